"""What the strategy heard, saw and said in its true order: its journal run again, line by line."""

from contextlib import closing
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any
from unittest.mock import patch

from mm_cli.session_replay import ReplayedJournal, replay_service
from mm_runtime.session_file import SessionFile
from mm_strategy.service import Strategy
from orjson import loads

from mmquant.codes import Reason, Stream, Template
from mmquant.wire import decode

__all__ = ["Kind", "Line", "lines_of"]

_TAKEN = ("settings taken anew", "settings refused, the last good ones")


class Kind(Enum):
    """What a line is."""

    TURN = auto()  # one begins, and whatever the one before had to do is done
    LOOKED = auto()  # whether it is halted from outside, and that has changed
    HEARD = auto()
    DECIDED = auto()  # on one instrument; quotes are said where they are others than before
    SAID = auto()


@dataclass
class Line:
    """A message that was heard, quotes that were said, or what lies between."""

    kind: Kind
    settings: dict[str, Any]  # strategy.toml as it counted then, and runtime.toml's heartbeats
    now_ns: int = 0  # the turn's clock, when it was heard, or as of when it was decided
    template: Template | None = None
    row: dict[str, Any] = field(default_factory=dict)
    orders: tuple[list[dict[str, int]], ...] = ((), ())  # bids and asks, where it is quotes
    halt: Reason = Reason.NONE  # where it was looked for

    @property
    def key(self):
        return self.row["instrument_id"]

    @property
    def reasons(self):
        names = ("reason", "bid_reason", "ask_reason", "risk_reason")
        return {Reason(self.row[name]) for name in names} - {Reason.NONE}


class _Journal(ReplayedJournal):
    """Notes what it plays back."""

    def __init__(self, file):
        self.lines, self.is_new_turn, self.halt = [], False, Reason.NONE
        super().__init__(file)
        self.heartbeats = {"heartbeats": self.opened["runtime"]["heartbeats"]}
        self.settings = self.read = self.opened["config"] | self.heartbeats
        self.heard_of = self._hear

    def note(self, kind, **values):
        self.lines.append(Line(kind, self.settings, **values))

    def begin(self, phase):
        super().begin(phase)
        self.is_new_turn = True

    def now_ns(self):
        value = super().now_ns()
        if self.is_new_turn:
            self.is_new_turn = False
            self.note(Kind.TURN, now_ns=value)
        elif self.lines and self.lines[-1].kind is Kind.HEARD and not self.lines[-1].now_ns:
            self.lines[-1].now_ns = value
        return value

    def outside(self, fetch):
        value = super().outside(fetch)
        if value[:2] == b"1{":
            self.read = loads(value[1:]) | self.heartbeats
        elif value == b"killed":
            self._look(Reason.KILLED, is_new=True)
        elif value[1:].isdigit():
            self._look(Reason(int(value[1:])), is_new=value[:1] == b"1")
        return value

    def _look(self, halt, is_new):
        if is_new or halt is not self.halt:
            self.halt = halt
            self.note(Kind.LOOKED, halt=halt)

    def _hear(self, item):
        template, row, _ = decode(item.payload)
        self.note(Kind.HEARD, template=template, row=row)

    def said(self, stream, session, message):
        template, row, groups = decode(message)
        if template is Template.STATE and row["text"].startswith(_TAKEN):
            self.settings = self.read
        if stream == Stream.QUOTES:
            orders = groups["bids"], groups["asks"]
            values = {"now_ns": row["received_ns"], "template": template}
            self.note(Kind.SAID, **values, row=row, orders=orders)


def _noting(journal):
    """Let the replayed strategy's decisions be noted, too, said or not."""
    decide = Strategy._decide

    def noted(service, desk, now_ns, from_frame, publish):
        row = {"instrument_id": desk.instrument_id}
        journal.note(Kind.DECIDED, now_ns=now_ns, row=row)
        decide(service, desk, now_ns, from_frame, publish)

    return patch.object(Strategy, "_decide", noted)


def lines_of(session, scratch):
    """Return the lines of each incarnation of the strategy in a recorded session."""
    found = []
    for number, path in enumerate(sorted((session / "journals").glob("mm_strategy-*.mms"))):
        folder = scratch / f"replayed-{number}"
        folder.mkdir()
        with closing(SessionFile(path)) as file:
            journal = _Journal(file)
            with _noting(journal):
                for _ in replay_service(journal, journal.said, folder):
                    pass
        found.append(journal.lines)
    return found
