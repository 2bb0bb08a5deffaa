"""The launcher's part of `mm restart`: check the edited settings, then start the service anew."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import orjson
from mm_runtime.config import ConfigError

from mm_cli.control import ANSWER, REQUEST

__all__ = ["Restarts"]


class Restarts:
    """Looks for requests of services that do not answer themselves.

    Parameters
    ----------
    directory
        The run's state directory.
    checks
        By service: reads its settings, and raises ConfigError where they are wrong.
    """

    def __init__(self, directory: Path, checks: Mapping[str, Callable[[], object]]) -> None:
        self._directory = directory
        self._checks = checks

    def due(self) -> list[str]:
        """Return the services to start anew now; what is refused is answered, and goes on."""
        names = []
        for service, check in self._checks.items():
            request = self._directory / REQUEST.format(service=service)
            if not request.exists():
                continue
            request.unlink(missing_ok=True)
            try:
                check()
            except ConfigError as error:
                self.answer(service, False, str(error))
                continue
            names.append(service)
        return names

    def answer(self, service: str, taken: bool, text: str) -> None:
        """Say what became of a request."""
        path = self._directory / ANSWER.format(service=service)
        part = path.with_suffix(".part")
        part.write_bytes(orjson.dumps({"taken": taken, "text": text, "at_ns": time.time_ns()}))
        part.replace(path)
