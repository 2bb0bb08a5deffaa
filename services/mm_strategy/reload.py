"""Requests to take an edited strategy.toml: a file in the state directory, answered by another."""

import time
from pathlib import Path

import orjson

__all__ = ["ANSWER_FILE", "REQUEST_FILE", "ReloadRequests"]

REQUEST_FILE = "mm_strategy.restart"
ANSWER_FILE = "mm_strategy.restarted.json"
_LOOK_NS = 20_000_000


class ReloadRequests:
    """Looks for a request now and then, and answers it.

    Parameters
    ----------
    directory
        The service's state directory.
    """

    def __init__(self, directory: Path) -> None:
        self._request = directory / REQUEST_FILE
        self._answer = directory / ANSWER_FILE
        self._next_look_ns = 0
        self._request.unlink(missing_ok=True)  # this process has read the file already

    def is_there(self, now_ns: int) -> bool:
        """Return whether somebody asked since the last time; the request is taken away."""
        if now_ns < self._next_look_ns:
            return False
        self._next_look_ns = now_ns + _LOOK_NS
        try:
            self._request.unlink()
        except OSError:
            return False
        return True

    def answer(self, taken: bool, text: str) -> None:
        """Say what became of it."""
        part = self._answer.with_suffix(".part")
        part.write_bytes(orjson.dumps({"taken": taken, "text": text, "at_ns": time.time_ns()}))
        part.replace(self._answer)
