"""What the strategy heard and said in its true order, and whether each reason came in time.

A recorded session's journal is run again, and judged by what its messages contain.
"""

from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from mm_cli.session_replay import ReplayedJournal, replay_service
from mm_runtime.session_file import SessionFile
from orjson import loads

from mmquant.codes import BookState, PricingFlag, Reason, Stream, Template
from mmquant.wire import decode

__all__ = ["Line", "lines_of", "times_in_time"]

MS = 1_000_000
# The first quotes behind a message of this kind say that the reason holds by now.
BORNE_BY = {
    Reason.SESSION_LOSS: Template.POSITION,
    Reason.DRAWDOWN: Template.POSITION,
    Reason.MINUTE_LOSS: Template.POSITION,
    Reason.FILL_BURST: Template.FILL,
    Reason.SIMULATOR_LAGS: Template.HEARTBEAT,
    Reason.INSTRUMENT_CHANGED: Template.INSTRUMENT,
}


@dataclass
class Line:
    """A message that was heard, or quotes that were said."""

    is_said: bool
    template: Template
    row: dict[str, Any]
    settings: dict[str, Any]  # strategy.toml as it counted then
    heard_ns: int = 0

    @property
    def reasons(self):
        names = ("reason", "bid_reason", "ask_reason", "risk_reason")
        return {Reason(self.row[name]) for name in names if self.is_said} - {Reason.NONE}


class _Journal(ReplayedJournal):
    """Notes what it plays back."""

    def __init__(self, file):
        self.lines, self.is_new_turn = [], True
        super().__init__(file)
        self.settings = self.opened["config"]
        self.heard_of = self._note

    def begin(self, phase):
        super().begin(phase)
        self.is_new_turn = True

    def now_ns(self):
        value = super().now_ns()
        if self.is_new_turn:
            self.is_new_turn = False
        elif self.lines and not (self.lines[-1].is_said or self.lines[-1].heard_ns):
            self.lines[-1].heard_ns = value
        return value

    def outside(self, fetch):
        value = super().outside(fetch)
        if value[:2] == b"1{":
            self.settings = loads(value[1:])
        return value

    def _note(self, item):
        template, row, _ = decode(item.payload)
        self.lines.append(Line(False, template, row, self.settings))

    def said(self, stream, session, message):
        if stream == Stream.QUOTES:
            template, row, _ = decode(message)
            self.lines.append(Line(True, template, row, self.settings))


def lines_of(session, scratch):
    """Return the lines of each incarnation of the strategy in a recorded session."""
    found = []
    for number, path in enumerate(sorted((session / "journals").glob("mm_strategy-*.mms"))):
        folder = scratch / f"replayed-{number}"
        folder.mkdir()
        with closing(SessionFile(path)) as file:
            journal = _Journal(file)
            for _ in replay_service(journal, journal.said, folder):
                pass
        found.append(journal.lines)
    return found


def causes_in(line):
    """Return the reasons that a pricing message bears by itself."""
    p, s = line.row, line.settings
    gates, late_ns = s["gates"], line.heard_ns - p["sent_ns"]
    spread = p["ask_ticks"] - p["bid_ticks"]
    has_both = p["bid_ticks"] > 0 and p["ask_ticks"] > 0
    is_live = p["book_state"] == BookState.LIVE and p["flags"] & PricingFlag.LIVE
    bears = {
        Reason.BOOK_NOT_LIVE: not is_live,
        Reason.NOT_WARM: not p["flags"] & PricingFlag.WARM,
        Reason.NO_MARKET_DATA: not has_both,
        Reason.BOOK_CROSSED: has_both and spread <= 0,
        Reason.SPREAD_TOO_NARROW: 0 < spread < s["min_spread_ticks"],
        Reason.SPREAD_TOO_WIDE: spread > s["max_spread_ticks"],
        Reason.CLOCK_SKEW: -late_ns > gates["max_clock_skew_ms"] * MS,
        Reason.UPSTREAM_LAGS: p["sent_ns"] and late_ns > gates["max_lag_ms"] * MS,
    }
    return {reason for reason, is_borne in bears.items() if is_borne}


def times_in_time(lines):
    """Assert that each reason came with the very next quotes; return how often each was new.

    A pricing message that bears a cause is answered before the next is heard: by quotes made of it
    that name a reason, unless those in force did so already. What another message or new settings
    bear is named by the first quotes behind them. Silence is no message: it is counted only.
    """
    counts = Counter()
    in_force, since_said = {}, {}
    pending = None  # the pricing message that has not been followed by another message yet
    for line in lines:
        key = line.row["instrument_id"]
        if line.is_said:
            new = line.reasons - (in_force[key].reasons if key in in_force else set())
            was_quoting = key in in_force and in_force[key].row["reason"] == Reason.NONE
            if pending is not None and pending.row["instrument_id"] == key:
                assert line.row["pricing_seq"] == pending.row["seq"]
                counts.update(new & causes_in(pending))
            elif key in in_force and line.settings != in_force[key].settings:
                counts.update(new)  # the first quotes by these settings, which bear it
            for reason in new & BORNE_BY.keys() if was_quoting else ():
                assert BORNE_BY[reason] in since_said[key], reason
                counts[reason] += 1
            if was_quoting and Reason.UPSTREAM_SILENT in new:
                counts[Reason.UPSTREAM_SILENT] += 1
            in_force[key], since_said[key] = line, set()
        else:
            assert_answered(pending, in_force)
            pending = line if line.template is Template.PRICING else None
            keys = [key] if key else list(in_force)
            for one in keys:
                since_said.setdefault(one, set()).add(line.template)
    return counts


def assert_answered(pending, in_force):
    """Assert that quotes with a reason are in force after a message that bears a cause."""
    if pending is None or not causes_in(pending):
        return
    quotes = in_force.get(pending.row["instrument_id"])
    assert quotes is not None
    assert quotes.row["reason"] != Reason.NONE, (causes_in(pending), pending.row["seq"])
