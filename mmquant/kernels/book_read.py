"""Reading a book: touch, best levels, depth, the cost to fill a quantity, crossing tests.

What is read is the depth stream's levels with a newer best bid and offer laid over the touch,
see `book.book_bbo`.
"""

import numpy as np

from mmquant._jit import bare_njit as njit
from mmquant.codes import BookCode
from mmquant.kernels.book_ring import level_lots, next_level
from mmquant.kernels.book_tail import NO_ASK, NO_BID

OK = int(BookCode.OK)
TOO_THIN = int(BookCode.TOO_THIN)
TOO_LARGE = int(BookCode.TOO_LARGE)

MAX_INT64 = 2**63 - 1


@njit
def book_touch(book: np.ndarray) -> tuple[int, int, int, int]:
    """Return best bid and ask as (bid_ticks, bid_lots, ask_ticks, ask_lots).

    Parameters
    ----------
    book : ndarray of BOOK, shape (1,)

    Returns
    -------
    tuple of int
        An empty side reads NO_BID or NO_ASK with 0 lots.
    """
    b = book[0]
    if b["bbo_update_id"] > b["last_update_id"]:
        return b["bbo_bid_ticks"], b["bbo_bid_lots"], b["bbo_ask_ticks"], b["bbo_ask_lots"]
    return b["best_bid_ticks"], b["best_bid_lots"], b["best_ask_ticks"], b["best_ask_lots"]


@njit
def book_crossed(book: np.ndarray) -> bool:
    """Tell whether best bid >= best ask."""
    bid, _, ask, _ = book_touch(book)
    return bool(bid >= ask)


@njit
def book_would_cross(book: np.ndarray, sign: int, tick: int) -> bool:
    """Tell whether a limit order at `tick` would trade at once; `sign` 1 buys, -1 sells."""
    bid, _, ask, _ = book_touch(book)
    return bool(tick >= ask if sign > 0 else tick <= bid)


@njit
def book_depth_at(book: np.ndarray, sign: int, tick: int) -> int:
    """Return the lots at price `tick` of side `sign`, 0 where there is no such level.

    Parameters
    ----------
    book : ndarray of BOOK, shape (1,)
    sign : int
        `Side.BUY` for bids, `Side.SELL` for asks.
    tick : int
        Any int64.
    """
    b = book[0]
    if b["bbo_update_id"] > b["last_update_id"]:
        touch = b["bbo_bid_ticks"] if sign > 0 else b["bbo_ask_ticks"]
        if tick == touch:
            return int(b["bbo_bid_lots"] if sign > 0 else b["bbo_ask_lots"])
        if (tick > touch) if sign > 0 else (tick < touch):
            return 0
    return level_lots(book, sign, tick)


@njit
def _first(book: np.ndarray, sign: int) -> int:
    """Return the best price of a side."""
    bid, _, ask, _ = book_touch(book)
    return bid if sign > 0 else ask


@njit
def book_top(book: np.ndarray, out_levels: np.ndarray, n: int) -> tuple[int, int]:
    """Write the best `n` levels a side: bids to entries [0, n), asks to [n, 2n), best first.

    Parameters
    ----------
    book : ndarray of BOOK, shape (1,)
    out_levels : ndarray of LEVEL, shape (2 * n,) or longer
        Overwritten; price and quantity are 0 where a side has fewer levels.
    n : int

    Returns
    -------
    tuple of int
        Number of bids and of asks written.
    """
    counts = (0, 0)
    for side in range(2):
        sign = 1 - 2 * side
        tick = _first(book, sign)
        none = NO_BID if sign > 0 else NO_ASK
        found = 0
        for i in range(n):
            row = side * n + i
            if tick == none:
                out_levels[row]["price_ticks"] = 0
                out_levels[row]["qty_lots"] = 0
                continue
            out_levels[row]["price_ticks"] = tick
            out_levels[row]["qty_lots"] = book_depth_at(book, sign, tick)
            found += 1
            tick = next_level(book, sign, tick)
        counts = (counts[1], found)
    return counts


@njit
def book_cumulative(book: np.ndarray, sign: int, limit_ticks: int) -> int:
    """Return the lots of a side from the touch to `limit_ticks`, that price included.

    Parameters
    ----------
    book : ndarray of BOOK, shape (1,)
    sign : int
        `Side.BUY` for bids, `Side.SELL` for asks.
    limit_ticks : int
        The worst price that counts.

    Returns
    -------
    int
        2**63 - 1 where the sum does not fit.
    """
    tick = _first(book, sign)
    none = NO_BID if sign > 0 else NO_ASK
    total = 0
    while tick != none and ((tick >= limit_ticks) if sign > 0 else (tick <= limit_ticks)):
        lots = book_depth_at(book, sign, tick)
        if lots > MAX_INT64 - total:
            return MAX_INT64
        total += lots
        tick = next_level(book, sign, tick)
    return total


@njit
def book_cost(book: np.ndarray, sign: int, lots: int) -> tuple[int, int, int, int]:
    """Return what taking `lots` from the book would cost, level by level.

    Parameters
    ----------
    book : ndarray of BOOK, shape (1,)
        Not changed.
    sign : int
        Of the order: `Side.BUY` takes the asks, `Side.SELL` the bids.
    lots : int
        At least 1.

    Returns
    -------
    tuple of int
        (code, filled_lots, cost_tick_lots, worst_ticks). The code is `BookCode.OK`; `TOO_THIN`
        when the side holds less, the rest then tells what there is; `TOO_LARGE` when price times
        quantity does not fit int64, the rest then tells of the levels before. worst_ticks is
        0 where nothing was filled.
    """
    tick = _first(book, -sign)
    none = NO_ASK if sign > 0 else NO_BID
    filled = 0
    cost = 0
    worst = 0
    while filled < lots:
        if tick == none:
            return TOO_THIN, filled, cost, worst
        take = min(lots - filled, book_depth_at(book, -sign, tick))
        if take > (MAX_INT64 - cost) // tick:
            return TOO_LARGE, filled, cost, worst
        filled += take
        cost += take * tick
        worst = tick
        tick = next_level(book, -sign, tick)
    return OK, filled, cost, worst
