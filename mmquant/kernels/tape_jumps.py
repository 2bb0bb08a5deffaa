"""A tape's prices held against those before them: what stands where only a wrong unit puts it."""

from typing import Any

import numpy as np

from mmquant._jit import bare_njit as njit
from mmquant.codes import TapeKind
from mmquant.kernels.book_read import book_touch
from mmquant.kernels.tape_book import tape_book_step
from mmquant.state import TAPE_SKIP

__all__ = ["tape_first_jump"]

DELTA, SNAPSHOT = int(TapeKind.DELTA), int(TapeKind.SNAPSHOT)
BBO, TRADE = int(TapeKind.BBO), int(TapeKind.TRADE)
NOWHERE = -1
COUNT, ROW, LEVEL = 0, 1, 2  # of a run


@njit
def _best(levels: np.ndarray, first: int, end: int, sign: int) -> int:
    """Return the level with the best price of those that have a quantity, or NOWHERE."""
    best = NOWHERE
    for level in range(first, end):
        if levels[2 * level + 1] <= 0:
            continue
        if best < 0 or (levels[2 * level] - levels[2 * best]) * sign > 0:
            best = level
    return best


@njit
def _whole_jump(
    levels: np.ndarray, first: int, asks: int, end: int, low: int, high: int, most: int
) -> int:
    """Return the level of a best bid and offer, a snapshot or a trade that is far off."""
    bid, ask = _best(levels, first, asks, 1), _best(levels, asks, end, -1)
    for level in (bid, ask):
        if level >= 0 and high > 0:
            price = levels[2 * level]
            if price > most * high or price * most < low:
                return level
    if bid >= 0 and ask >= 0:
        bid_price, ask_price = levels[2 * bid], levels[2 * ask]
        if ask_price > most * bid_price or bid_price > most * ask_price:
            return ask
    return NOWHERE


@njit
def _crossing(levels: np.ndarray, first: int, end: int, sign: int, limit: int) -> int:
    """Return the first level with a quantity that lies beyond `limit`, or NOWHERE."""
    for level in range(first, end):
        if levels[2 * level + 1] > 0 and (levels[2 * level] - limit) * sign > 0:
            return level
    return NOWHERE


@njit
def _long_run(
    levels: np.ndarray,
    first: int,
    end: int,
    sign: int,
    limit: int,
    many: int,
    run: np.ndarray,
    row: int,
) -> bool:
    """Go on counting events that set levels behind `limit` alone: tell whether they are many."""
    behind = NOWHERE
    for level in range(first, end):
        if levels[2 * level + 1] <= 0:
            continue
        if (limit - levels[2 * level]) * sign <= 0:
            run[COUNT] = 0
            return False
        if behind < 0:
            behind = level
    if behind >= 0:
        if run[COUNT] == 0:
            run[ROW], run[LEVEL] = row, behind
        run[COUNT] += 1
    return bool(run[COUNT] >= many)


@njit
def _set_at(levels: np.ndarray, first: int, end: int, price: int) -> int:
    """Return the level that sets a price, or NOWHERE."""
    for level in range(first, end):
        if levels[2 * level] == price and levels[2 * level + 1] > 0:
            return level
    return NOWHERE


@njit
def _delta_jump(
    levels: np.ndarray,
    first: int,
    asks: int,
    end: int,
    band: np.ndarray,
    most: int,
    many: int,
    runs: np.ndarray,
    row: int,
) -> tuple[int, int]:
    """Return a level better than the other side by far, or the first of many far behind."""
    low, high = band[0], band[1]
    odd = _crossing(levels, first, asks, 1, most * high)
    if odd < 0:
        odd = _crossing(levels, asks, end, -1, low // most)
    if odd >= 0:
        return row, odd
    if _long_run(levels, first, asks, 1, low // most, many, runs[0], row):
        return runs[0, ROW], runs[0, LEVEL]
    if _long_run(levels, asks, end, -1, most * high, many, runs[1], row):
        return runs[1, ROW], runs[1, LEVEL]
    return NOWHERE, NOWHERE


@njit
def tape_first_jump(
    books: np.ndarray,
    events: np.ndarray,
    levels: np.ndarray,
    words: np.ndarray,
    instrument: int,
    most: int,
    many: int,
    bands: np.ndarray,
    runs: np.ndarray,
) -> tuple[int, int]:
    """Return the first price of some instruments that lies where only a wrong unit puts it.

    What is known is the last touch or trade. Trades, best bids and offers and the best levels of
    snapshots must lie within `most` times of it, and of each other. A level of a depth event may
    lie far off behind the touch, as real ones do: it must not be better than the other side by
    that much, nor become the touch where another was, nor begin a run of many events without a
    near one.

    Parameters
    ----------
    books : ndarray of BOOK, shape (n,)
        Through `book_clear`; changed in place.
    events : ndarray of TAPE_EVENT
    levels : ndarray of int64
        The words of the tape's levels.
    words : ndarray of int64, shape (2,)
        Overwritten.
    instrument : int
        Index of the first; events of others than these n, and what bears TAPE_SKIP, are passed
        over.
    most : int
        Factor, above 1.
    many : int
        Events that set levels of a side, one after the other, and none of them near.
    bands : ndarray of int64, shape (n, 2), zeroed
        Changed in place: the last touch or trade of each.
    runs : ndarray of int64, shape (n, 2, 3), zeroed
        Changed in place.

    Returns
    -------
    tuple of int
        Event and level, or (-1, -1).
    """
    for row in range(events.size):
        e = events[row]
        k: Any = np.int64(e["instrument"]) - instrument
        if k < 0 or k >= books.size or e["flags"] & TAPE_SKIP != 0:
            continue
        kind = e["kind"]
        low, high = bands[k, 0], bands[k, 1]
        first: Any = np.int64(e["first_level"])
        asks = first + np.int64(e["n_bids"])
        end = asks + np.int64(e["n_asks"])
        if kind == TRADE or kind == BBO or kind == SNAPSHOT:
            odd = _whole_jump(levels, first, asks, end, low, high, most)
            if odd >= 0:
                return row, odd
        if kind == TRADE:
            bands[k, 0] = bands[k, 1] = levels[2 * first]
            continue
        book = books[k : k + 1]
        is_held = kind == DELTA and high > 0
        _, bid_lots, _, ask_lots = book_touch(book)
        had_bid, had_ask = is_held and bid_lots > 0, is_held and ask_lots > 0
        if is_held:
            odd_row, odd = _delta_jump(levels, first, asks, end, bands[k], most, many, runs[k], row)
            if odd >= 0:
                return odd_row, odd
        tape_book_step(book, events, row, levels, words)
        bid, bid_lots, ask, ask_lots = book_touch(book)
        if had_bid and bid_lots > 0 and bid * most < low:
            odd = _set_at(levels, first, asks, bid)
            if odd >= 0:
                return row, odd
        if had_ask and ask_lots > 0 and ask > most * high:
            odd = _set_at(levels, asks, end, ask)
            if odd >= 0:
                return row, odd
        if bid_lots > 0 and ask_lots > 0 and bid < ask <= most * bid:
            bands[k, 0], bands[k, 1] = bid, ask
    return NOWHERE, NOWHERE
