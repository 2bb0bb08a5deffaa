"""Parts of a tape: slices that begin with a book, single instruments, and repairs."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmquant.book import empty_book
from mmquant.codes import BookState, TapeKind
from mmquant.kernels import book_read
from mmquant.kernels.book_tail import NO_ASK, NO_BID
from mmquant.kernels.tape_book import tape_book_path
from mmquant.records import LEVEL
from mmquant.state import BOOK_TOUCH, TAPE_EVENT, TAPE_SKIP

if TYPE_CHECKING:
    from mmquant.tape.core import Tape

_DAY_NS = 24 * 3600 * 10**9
_YEAR_1973_NS = 10**17

__all__ = ["bisect_ns", "check_repair", "packed", "play_book", "repair", "select", "slice_tape"]

_MOST_LEVELS = 65_535  # a side of one event
_REPAIRS = ("order", "clock", "duplicates")


def bisect_ns(events: NDArray[Any], time_ns: int) -> int:
    """Return the first row received at `time_ns` or later; reads a few rows, not the column."""
    low, high = 0, events.size
    while low < high:
        middle = (low + high) // 2
        if events[middle]["received_ns"] < time_ns:
            low = middle + 1
        else:
            high = middle
    return low


def play_book(tape: "Tape", index: int, row: int) -> NDArray[Any]:
    """Return one instrument's book (BOOK, shape (1,)) after the events before `row`."""
    book = empty_book()
    nothing = np.zeros(0, BOOK_TOUCH)
    spare = np.zeros(2, np.int64)
    tape_book_path(book, tape.events[:row], tape.words, spare, index, nothing)
    return book


def _check_unit(field: str, time_ns: int | None, first_ns: int) -> None:
    """Refuse a time that is one of the tape's day in seconds, milli- or microseconds."""
    for per_unit, unit in ((10**3, "microseconds"), (10**6, "milliseconds"), (10**9, "seconds")):
        if time_ns is not None and time_ns > 0 and abs(time_ns * per_unit - first_ns) < _DAY_NS:
            raise ValueError(
                f"{field} must be nanoseconds since the epoch, got {time_ns}, which would be "
                f"{unit}: multiply it by {per_unit}"
            )


def slice_tape(tape: "Tape", start_ns: int | None, end_ns: int | None) -> "Tape":
    """Return the events received in [start, end), behind the books as they stood."""
    events = tape.events
    if events.size and events["received_ns"][0] > _YEAR_1973_NS:  # else units cannot be told
        _check_unit("start", start_ns, int(events["received_ns"][0]))
        _check_unit("end", end_ns, int(events["received_ns"][0]))
    if start_ns is not None and end_ns is not None and end_ns < start_ns:
        raise ValueError(f"end must not be before start, got {end_ns} before {start_ns}")
    first = 0 if start_ns is None else bisect_ns(events, start_ns)
    last = events.size if end_ns is None else bisect_ns(events, end_ns)
    part = events[first:last]
    if first == 0 or not part.size:
        return tape.with_events(part)
    assert start_ns is not None
    heads, levels = _heads(tape, first, start_ns)
    if not heads.size:
        return tape.with_events(part)
    part, own = packed(part, tape.levels)
    part["first_level"] += levels.size
    return tape.with_events(np.concatenate((heads, part)), np.concatenate((levels, own)))


def packed(events: NDArray[Any], levels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return copies of events and of their levels alone, in the events' order."""
    counts = events["n_bids"].astype(np.int64) + events["n_asks"]
    ends = np.cumsum(counts)
    starts = ends - counts
    places = np.repeat(events["first_level"] - starts, counts) + np.arange(int(counts.sum()))
    events = events.copy()
    events["first_level"] = starts
    return events, levels[places]


def _heads(tape: "Tape", row: int, now_ns: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return a SNAPSHOT (and a BBO, where newer) for each live book before `row`."""
    heads: list[NDArray[Any]] = []
    parts: list[NDArray[Any]] = []
    at = 0
    for index in range(len(tape.instruments)):
        book = play_book(tape, index, row)
        b = book[0]
        venue_ns = _last_venue_ns(tape, index, row)
        if b["book_state"] == BookState.LIVE:
            touch = _touch_of(b)
            b["bbo_update_id"] = 0  # the depth alone
            bids, asks = _sides(book)
            parts += [bids, asks]
            counts = (bids.size, asks.size)
            kind = TapeKind.SNAPSHOT
            heads.append(_event(now_ns, venue_ns, b["last_update_id"], at, counts, index, kind))
            at += bids.size + asks.size
        else:
            touch = _touch_of(b)
        if touch is not None:
            update_id, bids, asks = touch
            parts += [bids, asks]
            counts = (bids.size, asks.size)
            heads.append(_event(now_ns, venue_ns, update_id, at, counts, index, TapeKind.BBO))
            at += bids.size + asks.size
    empty = np.zeros(0, TAPE_EVENT)
    return np.concatenate([empty, *heads]), np.concatenate([np.zeros(0, LEVEL), *parts])


def _event(
    now_ns: int,
    venue_ns: int,
    update_id: int,
    at: int,
    counts: tuple[int, int],
    index: int,
    kind: TapeKind,
) -> NDArray[Any]:
    values = (now_ns, venue_ns, update_id, at, *counts, index, int(kind), 0)
    return np.array([values], TAPE_EVENT)


def _touch_of(b: Any) -> tuple[int, NDArray[Any], NDArray[Any]] | None:
    """Return a best bid and offer that is newer than the depth: id, bid and ask."""
    if b["bbo_update_id"] <= b["last_update_id"]:
        return None
    sides = [
        np.array([(b[f"bbo_{side}_ticks"], b[f"bbo_{side}_lots"])], LEVEL)[
            : int(b[f"bbo_{side}_ticks"] != none)
        ]
        for side, none in (("bid", NO_BID), ("ask", NO_ASK))
    ]
    return int(b["bbo_update_id"]), sides[0], sides[1]


def _sides(book: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    out = np.zeros(2 * _MOST_LEVELS, LEVEL)
    book_read.book_top(book, out, _MOST_LEVELS)
    bids, asks = out[:_MOST_LEVELS], out[_MOST_LEVELS:]
    return bids[bids["qty_lots"] > 0], asks[asks["qty_lots"] > 0]


def _last_venue_ns(tape: "Tape", index: int, row: int) -> int:
    """Return the newest venue time of an instrument before a row, looking back a little."""
    seen = tape.events[max(0, row - 10_000) : row]
    times = seen["venue_ns"][seen["instrument"] == index]
    return int(times.max()) if times.size else 0


def select(tape: "Tape", indices: list[int]) -> "Tape":
    """Return the events of some instruments, numbered anew."""
    from mmquant.tape.core import Tape

    if not indices:
        raise ValueError("select needs at least one symbol, got none")
    events = tape.events[np.isin(tape.events["instrument"], indices)]
    numbers = np.zeros(len(tape.instruments), np.uint16)
    numbers[indices] = np.arange(len(indices))
    events["instrument"] = numbers[events["instrument"]]
    instruments = [tape.instruments[index] for index in indices]
    return Tape(events, tape.levels, instruments, tape.source, tape.notes, tape.repairs)


def check_repair(what: str) -> None:
    """Refuse a repair that there is not."""
    if what not in _REPAIRS:
        raise ValueError(f"repair must be one of {', '.join(_REPAIRS)}, got {what!r}")


def repair(tape: "Tape", what: str) -> "Tape":
    """Return the tape with one thing repaired; itself where there is nothing to repair."""
    check_repair(what)
    events = tape.events
    if what == "order":
        received = np.ascontiguousarray(events["received_ns"])
        wrong = int(np.count_nonzero(np.diff(received) < 0))
        if not wrong:
            return tape
        order = np.argsort(received, kind="stable")
        return tape.with_events(events[order], repair=f"order: sorted, {wrong} steps back in time")
    if what == "clock":
        known = events["venue_ns"] > 0
        lag = events["received_ns"][known] - events["venue_ns"][known]
        offset = -int(lag.min()) if lag.size else 0
        if offset <= 0:
            return tape
        moved = events.copy()
        moved["received_ns"] += offset
        return tape.with_events(moved, repair=f"clock: times received moved by {offset} ns")
    skipped = events["flags"] & TAPE_SKIP != 0
    n = int(np.count_nonzero(skipped))
    if not n:
        return tape
    return tape.with_events(events[~skipped], repair=f"duplicates: {n} events taken out")
