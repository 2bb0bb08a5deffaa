"""Asks a service for its health: `python -m mm_runtime.health SERVICE` exits with 0 or 1.

The health check of containers, so it starts quickly: no numba, no HTTP library.
"""

import argparse
import json
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mm_runtime.config import ConfigError, load
from mm_runtime.settings import RuntimeSettings
from mmquant.codes import Role

__all__ = ["OPTIONAL", "SERVICES", "NoAnswer", "ask", "explain", "main", "report"]

SERVICES = tuple(
    role.name.lower()
    for role in (
        Role.AERONMD,
        Role.MM_COLLECTOR,
        Role.MM_PRICING,
        Role.MM_STRATEGY,
        Role.MM_SIMULATOR,
    )
)
OPTIONAL = (Role.MM_RECORDER.name.lower(),)  # not part of every system
_TIMEOUT_S = 2.0
_MAX_BYTES = 1_000_000
_ANY_ADDRESS = ("0.0.0.0", "::", "")


class NoAnswer(Exception):
    """The service could not be asked; the message says why."""


def ask(service: str, settings: RuntimeSettings) -> dict[str, Any]:
    """Return what `service` answers to /health; docs/metrics.md has the keys.

    Raises
    ------
    NoAnswer
        Where nobody answers, or somebody else does.
    """
    metrics = settings.metrics
    if not metrics.enabled:
        raise NoAnswer("cannot be asked, metrics.enabled is false in runtime.toml")
    host = "127.0.0.1" if metrics.host in _ANY_ADDRESS else metrics.host
    port = metrics.base_port + int(Role[service.upper()])
    try:
        answer = _get(host, port)
    except (OSError, ValueError) as error:
        raise NoAnswer(f"no answer on {host}:{port}: {error}") from None
    directory = str(settings.aeron_directory())
    if (answer.get("service"), answer.get("aeron_directory")) != (service, directory):
        raise NoAnswer(
            f"{host}:{port} is answered by {answer.get('service')} of another run "
            f"(aeron.directory {answer.get('aeron_directory')}, here {directory}); "
            "give each run a metrics.base_port of its own"
        )
    return answer


def explain(answer: dict[str, Any]) -> str:
    """Return one line for people."""
    judgement = "healthy" if answer["healthy"] else f"unhealthy: {answer['why']}"
    if "state" not in answer:
        return f"{answer['service']}: {judgement}"
    state = f"{answer['state']} {answer['reason']} for {answer['state_s']:.0f} s"
    text = f": {answer['text']}" if answer["text"] else ""
    return f"{answer['service']}: {judgement} ({state}{text})"


def report(services: Sequence[str], settings: RuntimeSettings, as_json: bool) -> int:
    """Ask each of `services` and print a line for each; 0 if all of them are healthy, else 1."""
    answers = []
    for service in services:
        try:
            answers.append(ask(service, settings))
        except NoAnswer as error:
            answers.append({"service": service, "healthy": False, "why": str(error)})
    if as_json:
        print(json.dumps(answers, indent=2))
    else:
        for answer in answers:
            print(explain(answer))
    return 0 if all(answer["healthy"] for answer in answers) else 1


def main(arguments: list[str] | None = None) -> int:
    """Ask one service; print one line, and exit with 0 if it is healthy, else with 1."""
    parser = argparse.ArgumentParser(prog="python -m mm_runtime.health", description=__doc__)
    parser.add_argument("service", choices=(*SERVICES, *OPTIONAL))
    parser.add_argument("--config-dir", type=Path, default=Path("config"), help="folder of .toml")
    given = parser.parse_args(arguments)
    try:
        settings = load("runtime", RuntimeSettings, given.config_dir)
    except ConfigError as error:
        print(error)
        return 1
    return report([given.service], settings, as_json=False)


def _get(host: str, port: int) -> dict[str, Any]:
    request = f"GET /health HTTP/1.0\r\nHost: {host}\r\n\r\n".encode()
    received = b""
    with socket.create_connection((host, port), _TIMEOUT_S) as connection:
        connection.sendall(request)
        while len(received) < _MAX_BYTES and (part := connection.recv(65_536)):
            received += part
    document = json.loads(received.partition(b"\r\n\r\n")[2])
    if not isinstance(document, dict):
        raise ValueError("the answer is no health report")
    return document


if __name__ == "__main__":
    sys.exit(main())
