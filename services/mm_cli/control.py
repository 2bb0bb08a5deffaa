"""`mm kill`, `mm arm`, `mm restart`: files in the state directory that the services look for."""

import time
from collections.abc import Callable
from pathlib import Path

import orjson
from mm_runtime.config import load
from mm_runtime.settings import RuntimeSettings
from mm_strategy.latch import HALT_FILE, write_halt

from mm_cli.processes import CannotContinue
from mm_cli.runs import state_directory
from mmquant.codes import Reason

__all__ = ["ANSWER", "REQUEST", "arm", "kill", "restart"]

REQUEST = "{service}.restart"
ANSWER = "{service}.restarted.json"
_PATIENCE_S = 15.0


def _directory(config_dir: Path) -> Path:
    return state_directory(load("runtime", RuntimeSettings, config_dir))


def kill(config_dir: Path, text: str) -> str:
    """Halt the strategy: it pulls its quotes at once, and quotes nothing until `arm`."""
    directory = _directory(config_dir)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / HALT_FILE
    if path.exists():
        return f"halted already, {_since(path)}"
    write_halt(path, Reason.KILLED, text, time.time_ns())
    return f"halted: {path} stands until `mm arm`"


def arm(config_dir: Path) -> str:
    """Take a halt back, whoever made it: the session begins anew."""
    path = _directory(config_dir) / HALT_FILE
    if not path.exists():
        return f"nothing is halted: there is no {path}"
    since = _since(path)
    path.unlink(missing_ok=True)
    return f"armed; it was halted {since}"


def _since(path: Path) -> str:
    try:
        content = orjson.loads(path.read_bytes())
        ago_s = (time.time_ns() - int(content["since_ns"])) / 1e9
        return f"for {ago_s:.0f} s by {content['reason']} ({content['text']})"
    except (OSError, ValueError, KeyError, TypeError):
        return f"by {path}, which does not say why"


def restart(config_dir: Path, service: str, say: Callable[[str], None]) -> None:
    """Let a service take its edited settings; raise CannotContinue where they are refused."""
    directory = _directory(config_dir)
    request = directory / REQUEST.format(service=service)
    answer = directory / ANSWER.format(service=service)
    answer.unlink(missing_ok=True)
    if not directory.is_dir():
        raise CannotContinue(f"nothing runs here: there is no {directory}")
    request.touch()
    deadline = time.monotonic() + _PATIENCE_S
    while not answer.exists():
        if time.monotonic() > deadline:
            request.unlink(missing_ok=True)
            raise CannotContinue(f"{service} does not answer: is it running? (`mm health`)")
        time.sleep(0.01)
    content = orjson.loads(answer.read_bytes())
    if not content["taken"]:
        raise CannotContinue(f"{service} goes on as before: {content['text']}")
    say(f"{service}: {content['text']}")
