"""What a tape must be before it is traded: the loop reads its arrays without looking again."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant.codes import TapeKind
from mmquant.records import LEVEL
from mmquant.state import TAPE_EVENT, TAPE_SKIP
from mmquant.tape.order import first_step_back

__all__ = ["check_kind", "check_tape", "doubts_of"]

_KINDS = frozenset(int(kind) for kind in TapeKind)
_MOST = 2**52  # of a price in ticks or a quantity in lots
_MOST_SIZE_E8 = 2**52
# Where the nanoseconds of 2001 to 2103 would lie in another unit.
_UNITS = {"microseconds": 1_000, "milliseconds": 1_000_000}
_EARLIEST_NS, _LATEST_NS = 10**18, 42 * 10**17


def check_kind(tape: Any) -> None:
    """Refuse what is no tape at all, such as the path of one; TypeError with the remedy."""
    if hasattr(tape, "events") and hasattr(tape, "levels"):
        return
    is_path = isinstance(tape, str | PurePath)
    remedy = f"mmquant.read_tape({str(tape)!r})" if is_path else "mmquant.read_tape(path)"
    raise TypeError(f"tape must be a mmquant.tape.Tape, got {tape!r:.80}: read it first, {remedy}")


def check_tape(tape: Any) -> None:
    """Refuse a tape that cannot be traded.

    Raises
    ------
    TypeError, ValueError
        Naming the tape's source, the row, the rule, what was found and the remedy.
    """
    check_kind(tape)
    if tape.events.dtype != TAPE_EVENT or tape.levels.dtype != LEVEL:
        raise TypeError(
            f"tape must have events of TAPE_EVENT and levels of LEVEL, got {tape.events.dtype}: "
            "read one with mmquant.read_tape"
        )
    if tape.events.size == 0:
        raise ValueError("tape must hold at least one event, got none: nothing can be traded")
    _check_sizes(tape)
    _check_stamps(tape)
    _check_rows(tape)
    _check_levels(tape)


def _wrong(tape: Any, row: int, what: str) -> ValueError:
    return ValueError(f"{tape.source}, event {row}: {what}")


def _check_sizes(tape: Any) -> None:
    for one in tape.instruments:
        for name in ("tick_size_e8", "lot_size_e8"):
            value = getattr(one, name)
            if not 1 <= value <= _MOST_SIZE_E8:
                raise ValueError(
                    f"{tape.source}: {name} of {one.symbol} must be from 1 to 2**52 units of 1e-8, "
                    f"got {value}: read it with tick_size= and lot_size="
                )


def _check_stamps(tape: Any) -> None:
    events = tape.events
    for name in ("received_ns", "venue_ns"):
        first = int(events[name][0])
        for unit, ns in _UNITS.items():
            if _EARLIEST_NS // ns <= first < _LATEST_NS // ns:
                raise _wrong(
                    tape,
                    0,
                    f"{name} must be nanoseconds since 1970, got {first}, which looks like "
                    f"{unit}: multiply both times by {ns}, or read with stamp_unit=",
                )
    row = first_step_back(events)
    if row >= 0:
        now, before = int(events["received_ns"][row]), int(events["received_ns"][row - 1])
        raise _wrong(
            tape,
            row,
            f"must be in the order of received_ns, {now} comes after {before}: "
            'tape.repair("order")',
        )


def _check_rows(tape: Any) -> None:
    events = tape.events
    count = events["n_bids"].astype(np.int64) + events["n_asks"]
    first = events["first_level"]
    row = _first((first < 0) | (first > tape.levels.size - count))
    if row >= 0:
        raise _wrong(
            tape,
            row,
            f"its levels {int(first[row])} to {int(first[row] + count[row])} must lie within the "
            f"{tape.levels.size} of the tape: it was cut or put together wrongly, write it anew",
        )
    row = _first(~np.isin(events["kind"], list(_KINDS)))
    if row >= 0:
        raise _wrong(
            tape, row, f"kind must be one of codes.TapeKind, got {int(events['kind'][row])}"
        )
    row = _first(events["instrument"] >= len(tape.instruments))
    if row >= 0:
        raise _wrong(
            tape,
            row,
            f"instrument must be below {len(tape.instruments)}, the number of the tape's, got "
            f"{int(events['instrument'][row])}: give every symbol a TapeInstrument",
        )
    row = _first((events["kind"] == TapeKind.TRADE) & (count != 1))
    if row >= 0:
        raise _wrong(tape, row, f"a trade must have one level, got {int(count[row])}")


def _check_levels(tape: Any) -> None:
    """Look at prices and quantities; only where some are wrong, for the event they belong to."""
    prices, lots = tape.levels["price_ticks"], tape.levels["qty_lots"]
    # All bits that occur, in one pass: where none is of the sign or from _MOST on, all are within.
    bits = int(np.bitwise_or.reduce(np.ascontiguousarray(tape.levels).view(np.int64)))
    if not prices.size or (0 <= bits < _MOST and prices.min() > 0):
        return
    wrong = (prices <= 0) | (prices >= _MOST) | (lots < 0) | (lots >= _MOST)
    events = tape.events
    # The limit of a CLEAR may be any price, and an absent side of a BBO is all zeros.
    matters = (events["kind"] != TapeKind.CLEAR) & (events["flags"] & TAPE_SKIP == 0)
    is_empty = (prices == 0) & (lots == 0)
    for row in np.flatnonzero(matters):
        event = events[row]
        at = int(event["first_level"])
        part = slice(at, at + int(event["n_bids"]) + int(event["n_asks"]))
        bad = wrong[part] & ~is_empty[part] if event["kind"] == TapeKind.BBO else wrong[part]
        k = _first(bad)
        if k >= 0:
            raise _wrong(
                tape,
                int(row),
                f"prices must be from 1 to 2**52 ticks and quantities from 0 to 2**52 lots, got "
                f"{int(prices[at + k])} and {int(lots[at + k])} in level {at + k}: whole ticks "
                "and lots, not units of the assets or 1e-8",
            )


def _first(found: NDArray[np.bool_]) -> int:
    """Return the first row where it is so, or -1."""
    row = int(np.argmax(found)) if found.size else 0
    return row if found.size and found[row] else -1


def doubts_of(tape: Any, numbers: Sequence[int]) -> list[str]:
    """Return what the tape itself says against believing a result from it."""
    events = tape.events
    begins = (events["kind"] == TapeKind.SNAPSHOT) | (
        (events["kind"] == TapeKind.CLEAR) & (events["n_bids"] == 0) & (events["n_asks"] == 0)
    )
    begins &= events["flags"] & TAPE_SKIP == 0
    is_depth = np.isin(events["kind"], (TapeKind.DELTA, TapeKind.SNAPSHOT, TapeKind.CLEAR))
    found = []
    for number in numbers:
        own, symbol = events["instrument"] == number, tape.instruments[number].symbol
        if not (is_depth & own).any():
            found.append(
                f"{symbol}: the tape has trades and best prices alone, so there is no book to "
                "trade on: data.binance.vision has none, take a recording (mm record) or Tardis' "
                "incremental_book_L2"
            )
        elif not (begins & own).any():
            found.append(
                f"{symbol}: the tape has no snapshot, so there is no book to trade on: record one, "
                "or begin earlier"
            )
    for number in numbers:
        found += _gap_doubts(tape, number, begins)
    notes = getattr(tape, "notes", None)
    if notes is None:
        return found
    if notes.trade_ids_missing:
        found.append(
            f"{notes.trade_ids_missing} trade ids are missing from the recording: what those "
            "trades would have filled is missing, too"
        )
    if notes.truncated:
        found.append(f"the recording is cut short: {notes.truncated}")
    if notes.left_out:
        left_out = ", ".join(f"{n} x {why}" for why, n in notes.left_out.items())
        first = f" (first: {notes.problems[0]})" if notes.problems else ""
        found.append(f"left out when it was read: {left_out}{first}")
    return found


def _gap_doubts(tape: Any, number: int, begins: NDArray[np.bool_]) -> list[str]:
    """Return how often an instrument's book is lost and how long it is away; no line for never."""
    events = tape.events
    is_gap = events["kind"] == TapeKind.GAP
    rows = np.flatnonzero((is_gap | begins) & (events["instrument"] == number))
    gaps = is_gap[rows]
    if not gaps.any():
        return []
    ends_ns = np.append(events["received_ns"][rows[1:]], events["received_ns"][-1])
    away_s = float((ends_ns - events["received_ns"][rows])[gaps].sum()) / 1e9
    total_s = float(events["received_ns"][-1] - events["received_ns"][0]) / 1e9
    count = int(gaps.sum())
    tail = "" if begins[rows[-1]] else ", and no snapshot follows the last one"
    return [
        f"{tape.instruments[number].symbol}: {count} gap{'s' if count > 1 else ''} in the book, "
        f"{away_s:.1f} s of {total_s:.1f} s without one (first at event {int(rows[gaps][0])}{tail})"
        ": nothing is quoted then, and what is said an hour is of the whole time"
    ]
