"""hftbacktest's .npz (its format since version 2) <-> a tape, with its event flags exactly.

A row there is one level; `ev` says what it is and for whom: EXCH_EVENT, that it happened at the
venue, LOCAL_EVENT, that it was received. Where the two orders differ it writes a row twice, once
for each: reading pairs them again, writing splits them as its `correct_event_order` does.

Prices there are floats. They are taken for the nearest multiple of 1e-8, and written back as
the float nearest to the tick's price.
"""

import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmquant._whole_file import written_whole
from mmquant.codes import Market, TapeKind
from mmquant.kernels.tape_npz import npz_group, npz_merge, npz_pair
from mmquant.records import LEVEL
from mmquant.state import TAPE_BARE, TAPE_EVENT, TAPE_SKIP
from mmquant.tape.core import ReadNotes, Tape
from mmquant.tape.errors import TapeError
from mmquant.tape.frames import in_prices, in_quantities
from mmquant.tape.order import first_far_step
from mmquant.tape.progress import Progress
from mmquant.tape.units import Sizes, settle_units

if TYPE_CHECKING:
    from mmquant.tape.core import TapeInstrument

__all__ = ["EVENT", "load", "save", "to_rows"]

EVENT = np.dtype(
    [
        ("ev", "<u8"),
        ("exch_ts", "<i8"),
        ("local_ts", "<i8"),
        ("px", "<f8"),
        ("qty", "<f8"),
        ("order_id", "<u8"),
        ("ival", "<i8"),
        ("fval", "<f8"),
    ]
)
EXCH, LOCAL, BUY, SELL = 1 << 31, 1 << 30, 1 << 29, 1 << 28
DEPTH, TRADE, CLEAR, SNAPSHOT, BBO = 1, 2, 3, 4, 5
_CODES = {
    DEPTH: TapeKind.DELTA,
    TRADE: TapeKind.TRADE,
    CLEAR: TapeKind.CLEAR,
    SNAPSHOT: TapeKind.SNAPSHOT,
    BBO: TapeKind.BBO,
}
_ORDERS = (10, 11, 12, 13)  # what single orders do: not in a book of levels
_CODE_BITS = 0xFF
_E8 = 1e8
_EXACT = 2.0**53
_MICROS = (10**15, 5 * 10**15)  # what a microsecond stamp of this age looks like
_MILLIS = (10**12, 5 * 10**12)


def load(
    paths: Sequence[Path],
    symbol: str | None,
    market: str | None,
    tick_size: Sizes,
    lot_size: Sizes,
    sort: bool,
    progress: bool | None,
) -> Tape:
    """Return the tape of one instrument's files, in the order given; see `read_tape`.

    Parameters
    ----------
    sort : bool
        Whether times received that step back will be sorted; else they are an error.

    Raises
    ------
    TapeError
        No such file, no hftbacktest rows in it, single orders' events, values that are not
        finite or not above 0, times in another unit or out of order.
    """
    notes = ReadNotes()
    if symbol is None:
        notes.assumptions.append("the symbol is unknown: pass symbol=")
    if market is None:
        notes.assumptions.append("the market is unknown and taken for usdm: pass market=")
    with Progress("reading", sum(path.stat().st_size for path in paths), progress) as bar:
        files = [_rows(path, bar) for path in paths]
    pieces = [_checked(path, rows, notes, sort) for path, rows in zip(paths, files, strict=True)]
    rows = np.concatenate(pieces) if len(pieces) > 1 else pieces[0]
    where = ", ".join(str(path) for path in paths)
    if not rows.size:
        raise TapeError("no row in it", where)
    notes.rows = rows.size
    events, levels = _tables(rows)
    prices = levels["price_ticks"].copy()  # still in units of 1e-8
    names = [symbol or "UNKNOWN"]
    markets = [Market[(market or "usdm").upper()]]

    def place(at: int, level: int) -> tuple[Path, str]:
        return _place_of(paths, files, events[at], prices[level])

    instruments = settle_units(events, levels, names, markets, tick_size, lot_size, where, place)
    _number(events)
    source = f"hftbacktest {', '.join(path.name for path in paths)}"
    return Tape(events, levels, instruments, source, notes)


def _place_of(
    paths: Sequence[Path], files: Sequence[NDArray[Any]], event: Any, price_e8: int
) -> tuple[Path, str]:
    """Return the file and row of an event's price."""
    for path, rows in zip(paths, files, strict=True):
        own = (rows["exch_ts"] == event["venue_ns"]) & (rows["local_ts"] == event["received_ns"])
        own &= np.abs(rows["px"] * _E8 - price_e8) < 1
        if own.any():
            return path, f"row {int(own.argmax())}"
    return paths[0], ""


class _Watched(io.FileIO):
    """A file that tells a bar how much of it was read."""

    def __init__(self, path: Path, bar: Progress) -> None:
        super().__init__(path)
        self._bar = bar

    def read(self, size: int | None = -1, /) -> bytes:
        """Read and tell."""
        data = super().read(-1 if size is None else size) or b""
        self._bar.advance(len(data))
        return data


def _rows(path: Path, bar: Progress) -> NDArray[Any]:
    try:
        with _Watched(path, bar) as opened, np.load(opened) as file:
            names = list(file.keys())
            if "data" not in names:
                raise TapeError(f"no array `data` in it, but {', '.join(names) or 'nothing'}", path)
            rows: NDArray[Any] = file["data"]
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        if isinstance(error, TapeError):
            raise
        raise TapeError(f"cannot be read ({error}): copy it anew", path) from None
    if rows.dtype.names != EVENT.names:
        raise TapeError(
            f"columns must be {', '.join(EVENT.names or ())}, got {rows.dtype.names}: files of "
            f"hftbacktest 1 are migrated by hftbacktest.data.utils.migration2",
            path,
        )
    return np.ascontiguousarray(rows.astype(EVENT, copy=False))


def _checked(path: Path, rows: NDArray[Any], notes: ReadNotes, sort: bool) -> NDArray[Any]:
    """Return the rows that a tape can hold, or say which one it cannot."""
    codes = rows["ev"] & _CODE_BITS
    orders = np.isin(codes, _ORDERS)
    if orders.any():
        raise TapeError(
            "events of single orders (level 3): only books of levels can be read",
            path,
            f"row {int(np.flatnonzero(orders)[0])}",
        )
    known = np.isin(codes, list(_CODES))
    sideless = rows["ev"] & (BUY | SELL) == 0
    if (sideless & np.isin(codes, [DEPTH, SNAPSHOT, BBO])).any():
        row = int(np.flatnonzero(sideless & np.isin(codes, [DEPTH, SNAPSHOT, BBO]))[0])
        raise TapeError("a level of neither side: set BUY_EVENT or SELL_EVENT", path, f"row {row}")
    two_sided = known & (rows["ev"] & (BUY | SELL) == BUY | SELL)
    if two_sided.any():
        row = int(np.flatnonzero(two_sided)[0])
        raise TapeError("of both sides: set BUY_EVENT or SELL_EVENT alone", path, f"row {row}")
    unsided = sideless & (codes == TRADE)
    if unsided.any():
        notes.left_out["trade without a side"] = int(np.count_nonzero(unsided))
        known &= ~unsided
    for code in np.unique(codes[~np.isin(codes, list(_CODES))]):
        notes.left_out[f"hftbacktest event {code}"] = int(np.count_nonzero(codes == code))
    numbers = np.flatnonzero(known)  # in the file
    rows, codes = rows[known], codes[known]
    nobodys = rows["ev"] & (EXCH | LOCAL) == 0
    whole = np.isfinite(rows["px"]) & np.isfinite(rows["qty"]) & (rows["qty"] >= 0)
    # Without a price a CLEAR is of the whole side, or book.
    whole |= codes == CLEAR
    fine = np.where(np.isfinite(rows["px"]), np.abs(rows["px"]) * _E8, 0.0) < _EXACT * 64
    # A best bid or offer without a quantity is none, and may have no price.
    priced = (rows["px"] > 0) | (codes == CLEAR) | ((codes == BBO) & (rows["qty"] == 0))
    for good, rule in (
        (whole, "px and qty must be finite, qty not negative"),
        (priced, "px must be above 0"),
        (fine, "px too large"),
    ):
        if not good.all():
            row = int(np.flatnonzero(~good)[0])
            text = f"{rule}, got px {rows['px'][row]} qty {rows['qty'][row]}: drop the row"
            raise TapeError(text, path, f"row {int(numbers[row])}")
    if nobodys.any():
        raise TapeError(
            "the row is neither EXCH_EVENT nor LOCAL_EVENT: set its flags",
            path,
            f"row {int(numbers[nobodys][0])}",
        )
    _check_times(path, rows, numbers, sort)
    return rows


def _check_times(path: Path, rows: NDArray[Any], numbers: NDArray[np.int64], sort: bool) -> None:
    """Refuse times in another unit, or among others, and times received out of order."""
    for name in ("exch_ts", "local_ts"):
        first = int(rows[name][0]) if rows.size else 0
        for (low, high), unit, factor in ((_MICROS, "micro", 1000), (_MILLIS, "milli", 1_000_000)):
            if low <= first < high:
                raise TapeError(
                    f"{name} must be nanoseconds, got {first}, which looks like {unit}seconds: "
                    f"multiply it by {factor}",
                    path,
                    f"row {int(numbers[0])}",
                )
        known = np.flatnonzero(rows[name] > 0)
        row = first_far_step(rows[name][known])
        if row >= 0:
            before, now = rows[name][known[row - 1]], rows[name][known[row]]
            raise TapeError(
                f"{name} {now} comes after {before}: one of them is in another unit of time. "
                f"Bring all times into nanoseconds",
                path,
                f"row {int(numbers[known[row]])}",
            )
    received = np.flatnonzero(rows["ev"] & LOCAL)
    back = np.flatnonzero(np.diff(rows["local_ts"][received]) < 0)
    if back.size and not sort:
        row = int(received[back[0] + 1])
        raise TapeError(
            f"not in order of time, local_ts {rows['local_ts'][row]} comes after "
            f"{rows['local_ts'][received[back[0]]]}: sort the rows, or pass "
            f'repair=["order"]',
            path,
            f"row {int(numbers[row])}",
        )


def _tables(rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the events and levels of rows, in units of 1e-8."""
    n = rows.size
    order = np.zeros(n, np.int64)
    flags = np.zeros(n, np.uint8)
    words = np.column_stack([rows[name].astype(np.int64) for name in ("exch_ts", "local_ts")])
    ev = rows["ev"].astype(np.int64)
    prices = np.rint(np.nan_to_num(rows["px"]) * _E8).astype(np.int64)
    lots = np.rint(np.nan_to_num(rows["qty"]) * _E8).astype(np.int64)
    n = int(npz_pair(ev, words, prices, lots, np.zeros(n, np.int64), order, flags))
    order, flags = order[:n], flags[:n]
    events = np.zeros(n, TAPE_EVENT)
    levels = np.zeros(n, LEVEL)
    levels["price_ticks"], levels["qty_lots"] = prices[order], lots[order]
    sorted_words = np.ascontiguousarray(words[order])
    n_events, n_levels = npz_group(
        np.ascontiguousarray(ev[order]), sorted_words, flags, levels.view(np.int64), events
    )
    events = events[:n_events].copy()
    book = np.flatnonzero(~np.isin(events["kind"], (TapeKind.TRADE, TapeKind.BBO)))
    if book.size and events["kind"][book[0]] != TapeKind.SNAPSHOT:
        # There a book needs no snapshot to be whole: it begins empty.
        first = np.zeros(1, TAPE_EVENT)
        for name in ("received_ns", "venue_ns"):
            first[name] = events[name][0]
        first["kind"] = TapeKind.SNAPSHOT
        events = np.concatenate((first, events))
    return events, levels[:n_levels]


def _number(events: NDArray[Any]) -> None:
    """Give the events ids: they have none, and the book needs them to ascend."""
    is_trade = events["kind"] == TapeKind.TRADE
    events["update_id"] = np.where(is_trade, np.cumsum(is_trade), np.arange(1, events.size + 1))


def to_rows(tape: Tape, symbol: str | None = None) -> NDArray[Any]:
    """Return one instrument's events as hftbacktest's rows, validated in both orders.

    A SNAPSHOT becomes, a side, a row that clears up to its last price and a row for each of its
    levels. Events that bear TAPE_SKIP are left out, and so are gaps, which it does not know.
    Where a message bears no venue time, it is the latest one before it.
    """
    index = tape.index_of(symbol)
    events = tape.events
    keep = (events["instrument"] == index) & (events["flags"] & TAPE_SKIP == 0)
    keep &= events["kind"] != TapeKind.GAP
    events = events[keep]
    rows = _flat(events, tape, tape.instruments[index])
    unknown = rows["exch_ts"] == 0
    if unknown.any():
        known = np.maximum.accumulate(rows["exch_ts"])
        rows["exch_ts"] = np.where(unknown, known, rows["exch_ts"])
    return _ordered(rows)


def _flat(events: NDArray[Any], tape: Tape, instrument: "TapeInstrument") -> NDArray[Any]:
    """Return a row for each level, in the tape's order, and those that clear."""
    n_bids = events["n_bids"].astype(np.int64)
    counts = n_bids + events["n_asks"]
    is_snapshot = events["kind"] == TapeKind.SNAPSHOT
    # The rows that clear: one a side of a snapshot; one for a CLEAR of everything.
    clearing = is_snapshot & (events["flags"] & TAPE_BARE == 0)
    before_bids = (clearing & (n_bids > 0)).astype(np.int64)
    before_asks = (clearing & (events["n_asks"] > 0)).astype(np.int64)
    alone = ((events["kind"] == TapeKind.CLEAR) & (counts == 0)).astype(np.int64)
    sizes = counts + before_bids + before_asks + alone
    n = int(sizes.sum())
    of = np.repeat(np.arange(events.size), sizes)
    place = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    bids_end = (before_bids + n_bids)[of]
    is_bid = place < bids_end
    in_side = np.where(is_bid, place - before_bids[of], place - bids_end - before_asks[of])
    clears = (in_side < 0) & is_snapshot[of]
    side_size = np.where(is_bid, n_bids[of], events["n_asks"].astype(np.int64)[of])
    in_side = np.where(clears, side_size - 1, in_side)
    at = events["first_level"][of] + np.where(is_bid, 0, n_bids[of]) + in_side
    empty = alone[of] == 1
    levels = tape.levels[np.where(empty, 0, at)] if tape.levels.size else np.zeros(n, LEVEL)
    codes = np.zeros(len(TapeKind), np.uint64)
    for number, kind in _CODES.items():
        codes[kind] = number
    rows = np.zeros(n, EVENT)
    code = np.where(clears, np.uint64(CLEAR), codes[events["kind"][of]])
    bare = (code == DEPTH) & (events["flags"][of] & TAPE_BARE != 0)
    code = np.where(bare, np.uint64(SNAPSHOT), code)
    side = np.where(empty, np.uint64(0), np.where(is_bid, np.uint64(BUY), np.uint64(SELL)))
    only = events["flags"][of]
    rows["ev"] = code | side | _FOR_WHOM[only & _ONLY]
    rows["exch_ts"], rows["local_ts"] = events["venue_ns"][of], events["received_ns"][of]
    rows["px"] = np.where(empty, 0.0, in_prices(instrument, levels["price_ticks"]))
    is_void = clears | (code == CLEAR)
    rows["qty"] = np.where(is_void, 0.0, in_quantities(instrument, levels["qty_lots"]))
    return rows


# TAPE_VENUE_ONLY and TAPE_LOCAL_ONLY -> for whom a row is.
_ONLY = np.uint8(8 | 16)
_FOR_WHOM = np.full(32, EXCH | LOCAL, np.uint64)
_FOR_WHOM[8], _FOR_WHOM[16] = EXCH, LOCAL


def _ordered(rows: NDArray[Any]) -> NDArray[Any]:
    """Return the rows in both orders at once: split where the orders differ."""
    exch, local = (
        of[np.argsort(rows[name][of], kind="stable")]
        for of, name in (
            (np.flatnonzero(rows["ev"] & EXCH), "exch_ts"),
            (np.flatnonzero(rows["ev"] & LOCAL), "local_ts"),
        )
    )
    picks = np.zeros(exch.size + local.size, np.int64)
    marks = np.zeros(picks.size, np.int64)
    times = np.column_stack((rows["exch_ts"], rows["local_ts"]))
    n = int(npz_merge(times, exch, local, picks, marks))
    out = rows[picks[:n]]
    out["ev"] = (out["ev"] & ~np.uint64(EXCH | LOCAL)) | marks[:n].astype(np.uint64)
    return out


def save(tape: Tape, path: Path, symbol: str | None = None) -> None:
    """Write one instrument as hftbacktest's .npz (see `to_rows`), or leave what was there."""
    rows = to_rows(tape, symbol)
    with written_whole(path) as file:
        np.savez_compressed(file, data=rows)
