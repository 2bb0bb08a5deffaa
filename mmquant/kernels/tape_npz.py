"""hftbacktest's rows: pairing what it wrote twice, grouping rows into events, and the way back."""

import numpy as np

from mmquant._jit import bare_njit as njit
from mmquant.codes import TapeKind
from mmquant.state import TAPE_BARE, TAPE_LOCAL_ONLY, TAPE_VENUE_ONLY

__all__ = ["npz_group", "npz_merge", "npz_pair"]

EXCH, LOCAL = 1 << 31, 1 << 30
BUY, SELL = 1 << 29, 1 << 28
CODE_BITS = 0xFF
DEPTH, TRADE, CLEAR, SNAPSHOT, BBO = 1, 2, 3, 4, 5
ROW_DELTA, ROW_SNAPSHOT = int(TapeKind.DELTA), int(TapeKind.SNAPSHOT)
ROW_CLEAR, ROW_BBO, ROW_TRADE = int(TapeKind.CLEAR), int(TapeKind.BBO), int(TapeKind.TRADE)
MAX_SIDE = 65_535
TIME_EXCH, TIME_LOCAL = 0, 1
TAKEN = 255


@njit
def _is_same(
    ev: np.ndarray, times: np.ndarray, px: np.ndarray, qty: np.ndarray, a: int, b: int
) -> bool:
    """Tell whether two rows are the two halves of one."""
    return bool(
        times[a, TIME_EXCH] == times[b, TIME_EXCH]
        and times[a, TIME_LOCAL] == times[b, TIME_LOCAL]
        and px[a] == px[b]
        and qty[a] == qty[b]
        and (ev[a] | EXCH | LOCAL) == (ev[b] | EXCH | LOCAL)
    )


@njit
def npz_pair(
    ev: np.ndarray,
    times: np.ndarray,
    px: np.ndarray,
    qty: np.ndarray,
    venue: np.ndarray,
    order: np.ndarray,
    flags: np.ndarray,
) -> int:
    """Pair the rows that stand once for the venue and once for the trader.

    Parameters
    ----------
    ev : ndarray of int64, shape (n,)
    times : ndarray of int64, shape (n, 2)
        At the venue, received.
    px, qty : ndarray of int64, shape (n,)
    venue : ndarray of int64, shape (n,)
        Overwritten.
    order : ndarray of int64, shape (n,)
        Overwritten: the rows to keep, in the order they were received in. A row for the venue
        alone that has no other half stands where it was.
    flags : ndarray of uint8, shape (n,)
        Overwritten: TAPE_VENUE_ONLY, TAPE_LOCAL_ONLY or 0 of each of them.

    Returns
    -------
    int
        How many rows are kept, or -1 - row for one that is for nobody.
    """
    n_venue = 0
    for row in range(ev.size):
        whom = ev[row] & (EXCH | LOCAL)
        if whom == 0:
            return -1 - row
        flags[row] = 0
        if whom == EXCH:
            flags[row] = TAPE_VENUE_ONLY
            venue[n_venue] = row  # ascending in the venue's time, as the file is
            n_venue += 1
    for row in range(ev.size):
        if ev[row] & (EXCH | LOCAL) != LOCAL:
            continue
        flags[row] = TAPE_LOCAL_ONLY
        time = times[row, TIME_EXCH]
        low, high = 0, n_venue
        while low < high:
            middle = (low + high) // 2
            if times[venue[middle], TIME_EXCH] < time:
                low = middle + 1
            else:
                high = middle
        while low < n_venue and times[venue[low], TIME_EXCH] == time:
            other = venue[low]
            if flags[other] == TAPE_VENUE_ONLY and _is_same(ev, times, px, qty, row, other):
                flags[other] = TAKEN
                flags[row] = 0
                break
            low += 1
    kept = 0
    for row in range(ev.size):
        if flags[row] != TAKEN:
            order[kept] = row
            flags[kept] = flags[row]
            kept += 1
    return kept


@njit
def _side_end(ev: np.ndarray, times: np.ndarray, flags: np.ndarray, at: int, side: int) -> int:
    """Return the row behind a side's clearing and snapshot that begin at `at`, else `at`."""
    n = ev.size
    if at >= n or ev[at] & CODE_BITS != CLEAR or ev[at] & side == 0:
        return at
    end = at + 1
    while end < n and _goes_on(ev, times, flags, at, end):
        if ev[end] & CODE_BITS != SNAPSHOT or ev[end] & side == 0:
            break
        end += 1
    return end if 1 < end - at <= MAX_SIDE + 1 else at


@njit
def _goes_on(ev: np.ndarray, times: np.ndarray, flags: np.ndarray, first: int, row: int) -> bool:
    """Tell whether two rows are of one moment and for the same."""
    return bool(
        times[row, TIME_EXCH] == times[first, TIME_EXCH]
        and times[row, TIME_LOCAL] == times[first, TIME_LOCAL]
        and flags[row] == flags[first]
    )


@njit
def _group_end(ev: np.ndarray, times: np.ndarray, flags: np.ndarray, at: int) -> tuple[int, int]:
    """Return where the asks of an event begin, and its end: bids, then asks, of one code."""
    code = ev[at] & CODE_BITS
    most = 1 if code == TRADE or code == CLEAR else (MAX_SIDE if code != BBO else 1)
    asks = at
    n = ev.size
    while asks < n and asks - at < most and ev[asks] & BUY != 0:
        if ev[asks] & CODE_BITS != code or not _goes_on(ev, times, flags, at, asks):
            break
        asks += 1
    end = asks
    if (code == TRADE or code == CLEAR) and asks > at:
        return asks, end
    while end < n and end - asks < most and ev[end] & SELL != 0:
        if ev[end] & CODE_BITS != code or not _goes_on(ev, times, flags, at, end):
            break
        end += 1
    return asks, end


@njit
def _copy(levels: np.ndarray, source: int, target: int, n: int) -> None:
    """Move n levels towards the front."""
    for i in range(2 * n):
        levels[2 * target + i] = levels[2 * source + i]


@njit
def npz_group(
    ev: np.ndarray,
    times: np.ndarray,
    flags: np.ndarray,
    levels: np.ndarray,
    events: np.ndarray,
) -> tuple[int, int]:
    """Group rows into events: what is of one moment and kind, bids before asks.

    Parameters
    ----------
    ev, times, flags
        Of the rows as they were received, see `npz_pair`.
    levels : ndarray of int64, shape (2 * n,)
        A price and a quantity a row. Changed in place: what clears a side takes no level.
    events : ndarray of TAPE_EVENT, shape (n,)
        Overwritten as far as it goes; ids are the caller's.

    Returns
    -------
    tuple of int
        How many events, and how many levels.
    """
    at = n_events = n_levels = 0
    while at < ev.size:
        e = events[n_events]
        e["venue_ns"], e["received_ns"] = times[at, TIME_EXCH], times[at, TIME_LOCAL]
        e["instrument"], e["flags"], e["first_level"] = 0, flags[at], n_levels
        n_events += 1
        asks = _side_end(ev, times, flags, at, BUY)
        end = _side_end(ev, times, flags, asks, SELL)
        is_whole = asks > at and end > asks and _goes_on(ev, times, flags, at, asks)
        if is_whole and _clears_its_own(levels, at, asks, end):
            n_bids, n_asks = asks - at - 1, end - asks - 1
            _copy(levels, at + 1, n_levels, n_bids)
            _copy(levels, asks + 1, n_levels + n_bids, n_asks)
            e["kind"], e["n_bids"], e["n_asks"] = ROW_SNAPSHOT, n_bids, n_asks
            n_levels += n_bids + n_asks
            at = end
            continue
        asks, end = _group_end(ev, times, flags, at)
        code = ev[at] & CODE_BITS
        if end == at:  # a row without a side: what clears everything
            e["kind"], e["n_bids"], e["n_asks"] = ROW_CLEAR, 0, 0
            at += 1
            continue
        if code == DEPTH:
            kind = ROW_DELTA
        elif code == TRADE:
            kind = ROW_TRADE
        elif code == CLEAR:
            kind = ROW_CLEAR
        elif code == BBO:
            kind = ROW_BBO
        else:
            # Levels of a snapshot without clearing: a whole book only where none was before.
            kind = ROW_SNAPSHOT if n_events == 1 and asks > at and end > asks else ROW_DELTA
            e["flags"] |= TAPE_BARE
        e["kind"], e["n_bids"], e["n_asks"] = kind, asks - at, end - asks
        _copy(levels, at, n_levels, end - at)
        n_levels += end - at
        at = end
    return n_events, n_levels


@njit
def _clears_its_own(levels: np.ndarray, at: int, asks: int, end: int) -> bool:
    """Tell whether both clearings reach exactly to the last price of their side."""
    return bool(
        levels[2 * at] == levels[2 * (asks - 1)] and levels[2 * asks] == levels[2 * (end - 1)]
    )


@njit
def npz_merge(
    times: np.ndarray,
    exch: np.ndarray,
    local: np.ndarray,
    picks: np.ndarray,
    marks: np.ndarray,
) -> int:
    """Merge two orders of the same rows; a row that is next in both stands once.

    Parameters
    ----------
    times : ndarray of int64, shape (n, 2)
    exch, local : ndarray of int64
        Rows in the order of the venue's time, and in that of the time received.
    picks, marks : ndarray of int64, shape (exch.size + local.size,)
        Overwritten: which row, and EXCH, LOCAL or both.

    Returns
    -------
    int
        How many rows come out.
    """
    i = j = n = 0
    while i < exch.size or j < local.size:
        if j >= local.size:
            mark = EXCH
        elif i >= exch.size:
            mark = LOCAL
        elif exch[i] == local[j]:
            mark = EXCH | LOCAL
        else:
            a, b = exch[i], local[j]
            venue_a, venue_b = times[a, TIME_EXCH], times[b, TIME_EXCH]
            is_first = venue_a < venue_b or (
                venue_a == venue_b and times[a, TIME_LOCAL] < times[b, TIME_LOCAL]
            )
            mark = EXCH if is_first else LOCAL
        picks[n] = local[j] if mark == LOCAL else exch[i]
        marks[n] = mark
        n += 1
        i += 1 if mark & EXCH != 0 else 0
        j += 1 if mark & LOCAL != 0 else 0
    return n
