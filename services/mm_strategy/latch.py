"""The halt that outlives a restart: a file in the state directory, there while nothing is quoted.

`mm kill` makes it, `mm arm` takes it away, and so may anybody with a shell: the file's existence
is what counts, whatever it says.
"""

import os
from contextlib import suppress
from pathlib import Path

import orjson

from mmquant.codes import Reason

__all__ = ["HALT_FILE", "Latch", "write_halt"]

HALT_FILE = "halted.json"
_LOOK_NS = 1_000_000


class Latch:
    """Looks at the file, and makes it.

    Parameters
    ----------
    directory
        The service's state directory; made if it is missing.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / HALT_FILE
        self.reason = Reason.NONE
        self._next_look_ns = 0
        self._unwritten: tuple[Reason, str, int] | None = None

    def look(self, now_ns: int) -> bool:
        """Look whether the file is there, at most once a millisecond; return True if that is new.

        Where it cannot be told, it is there.
        """
        if now_ns < self._next_look_ns:
            return False
        self._next_look_ns = now_ns + _LOOK_NS
        if self._unwritten is not None:  # a disk that was full: it halts all the same
            with suppress(OSError):
                write_halt(self.path, *self._unwritten)
                self._unwritten = None
            return False
        try:
            os.stat(self.path)
        except FileNotFoundError:
            was, self.reason = self.reason, Reason.NONE
            return was is not Reason.NONE
        except OSError:
            was, self.reason = self.reason, Reason.KILLED
            # It is made where it is not there: only taking it away takes the halt back.
            self._unwritten = (Reason.KILLED, "the file could not be looked for", now_ns)
            return was is Reason.NONE
        if self.reason is not Reason.NONE:
            return False
        self.reason = self._read()
        return True

    def close(self, reason: Reason, text: str, now_ns: int) -> None:
        """Make the file; one that is there stays as it is.

        Where it cannot be made now (OSError), the halt holds and making it is tried again.
        """
        self.reason = reason
        self._unwritten = (reason, text, now_ns)
        write_halt(self.path, reason, text, now_ns)
        self._unwritten = None

    def _read(self) -> Reason:
        try:
            return Reason(orjson.loads(self.path.read_bytes())["code"]) or Reason.KILLED
        except (OSError, ValueError, TypeError, KeyError):
            return Reason.KILLED


def write_halt(path: Path, reason: Reason, text: str, now_ns: int) -> None:
    """Make the file that halts: there at once, whole, and on the disk for good."""
    if path.exists():
        return
    content = {"reason": reason.name, "code": int(reason), "text": text, "since_ns": now_ns}
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(orjson.dumps(content))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name, too
    finally:
        os.close(folder)
