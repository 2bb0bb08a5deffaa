"""What determines a service's outputs, written down: its inputs in order, and every time it read.

With the journal the very same agent can be run again, see `mm verify-session`. A turn that heard
nothing, sent nothing and saw no peer come or go changes nothing, and is not kept.
"""

import json
import logging
import threading
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

from mm_runtime.clock import Clock
from mm_runtime.session_file import Item, Kind, SessionWriter
from mmquant.codes import Stream

__all__ = ["Journal", "Phase", "WrittenJournal", "journal_path"]

log = logging.getLogger(__name__)


class Phase(IntEnum):
    """Which of an agent's methods a turn is."""

    START = 0
    WORK = 1
    CLOSE = 2


class Journal(Clock, Protocol):
    """A clock that knows what else its service takes from outside: written, or played back."""

    def begin(self, phase: Phase) -> None:
        """Begin a turn."""
        ...

    def end(self, matters: bool, failed: bool = False) -> None:
        """End it, by an exception or not; where it does not matter it is forgotten."""
        ...

    def heard(self, stream: int, session: int, message: bytes) -> None:
        """Take note of a message that is about to be handled."""
        ...

    def publication(self, stream: Stream, session: int) -> None:
        """Take note of the session under which `stream` is published."""
        ...

    def outside(self, fetch: Callable[[], bytes]) -> bytes:
        """Return what `fetch` reads from a file or a database."""
        ...

    def close(self, words: dict[str, Any]) -> None:
        """Write the last words."""
        ...


def journal_path(directory: Path, service: str, started_ns: int, pid: int) -> Path:
    """Return where the journal of one incarnation of a service is."""
    return directory / "journals" / f"{service}-{started_ns}-{pid}.mms"


class WrittenJournal:
    """Journal of a running service.

    Parameters
    ----------
    clock
        The service's clock.
    writer
        Where records go. Once one had to be dropped the rest is of no use: writing ends.
    opened
        Who writes and with which settings: all that is needed to build the service again.

    Attributes
    ----------
    has_hole
        Whether records had to be dropped.
    """

    def __init__(self, clock: Clock, writer: SessionWriter, opened: dict[str, Any]) -> None:
        self.has_hole = False
        self._clock = clock
        self._writer = writer
        self._turn: list[Item] | None = None
        self._thread = threading.get_ident()
        self._write([Item(Kind.OPENED, now_ns=clock.now_ns(), payload=json.dumps(opened).encode())])

    def now_ns(self) -> int:
        """Return the time, and write it down; other threads (metrics) just get it."""
        now_ns = self._clock.now_ns()
        if self._turn is not None and threading.get_ident() == self._thread:
            self._turn.append(Item(Kind.CLOCK, now_ns=now_ns))
        return now_ns

    def begin(self, phase: Phase) -> None:
        """Begin a turn."""
        self._turn = [Item(Kind.TURN, session=phase)]

    def end(self, matters: bool, failed: bool = False) -> None:
        """End it; where it does not matter it is forgotten, unless it failed."""
        items, self._turn = self._turn, None
        if items is None:
            return
        if failed:
            items.append(Item(Kind.FAULT))
        if matters or failed:
            self._write(items)

    def heard(self, stream: int, session: int, message: bytes) -> None:
        """Write down a message that is about to be handled."""
        if self._turn is not None:
            self._turn.append(Item(Kind.MESSAGE, stream, session, 0, message))

    def publication(self, stream: Stream, session: int) -> None:
        """Write down the session under which `stream` is published."""
        if self._turn is not None:
            self._turn.append(Item(Kind.PUBLICATION, int(stream), session))

    def outside(self, fetch: Callable[[], bytes]) -> bytes:
        """Return what `fetch` reads, and write it down."""
        value = fetch()
        if self._turn is not None:
            self._turn.append(Item(Kind.OUTSIDE, payload=value))
        return value

    def close(self, words: dict[str, Any]) -> None:
        """Write the last words and close the file."""
        self._write([Item(Kind.CLOSED, payload=json.dumps(words).encode())])
        self._writer.close()

    def _write(self, items: list[Item]) -> None:
        if self.has_hole:
            return
        if not self._writer.put(items):
            self.has_hole = True
            log.error(
                "%s: its queue is full or the disk refuses: this session can be verified up to "
                "here only",
                self._writer.path,
            )
