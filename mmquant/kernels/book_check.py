"""A book's check of itself: every rule its layout rests on, the first broken one named."""

import numpy as np

from mmquant._jit import bare_njit as njit
from mmquant.codes import BookFault
from mmquant.kernels.book_ring import MASK, level_lots
from mmquant.kernels.book_tail import MOST_DOUBLINGS, NO_ASK, NO_BID, tail_lots, tail_slots
from mmquant.state import BOOK_RING_TICKS, BOOK_TAIL_LEVELS, BOOK_TAIL_SLOTS

NONE = int(BookFault.NONE)
WINDOW = int(BookFault.WINDOW)
RING_LOTS = int(BookFault.RING_LOTS)
RING_BOUND = int(BookFault.RING_BOUND)
BEST_PRICE = int(BookFault.BEST_PRICE)
BEST_LOTS = int(BookFault.BEST_LOTS)
TAIL_COUNT = int(BookFault.TAIL_COUNT)
TAIL_LEVEL = int(BookFault.TAIL_LEVEL)
TAIL_LOST = int(BookFault.TAIL_LOST)
TAIL_ORDER = int(BookFault.TAIL_ORDER)
BBO = int(BookFault.BBO)


@njit
def _ring_fault(book: np.ndarray, sign: int) -> int:
    """Check one side's ring: quantities, that none lies beyond its bounds, nor they outside."""
    b = book[0]
    lots = b["bid_lots"] if sign > 0 else b["ask_lots"]
    low = b["bid_floor_ticks"] if sign > 0 else b["best_ask_ticks"]
    high = b["best_bid_ticks"] if sign > 0 else b["ask_ceiling_ticks"]
    if (low < b["base_ticks"]) if sign > 0 else (high >= b["end_ticks"]):
        return RING_BOUND
    for tick in range(b["base_ticks"], b["end_ticks"]):
        qty = lots[np.uint64(tick) & MASK]
        if qty < 0:
            return RING_LOTS
        if qty > 0:
            if tick < 1:
                return RING_LOTS
            if (tick > high) if sign > 0 else (tick < low):
                return BEST_PRICE
            if (tick < low) if sign > 0 else (tick > high):
                return RING_BOUND
    return NONE


@njit
def _tail_fault(book: np.ndarray, sign: int) -> int:
    """Check one side's tail: its numbers, places, quantities and the list of its prices."""
    b = book[0]
    table = b["bid_tail"] if sign > 0 else b["ask_tail"]
    n = b["tail_bids"] if sign > 0 else b["tail_asks"]
    best = b["best_bid_ticks"] if sign > 0 else b["best_ask_ticks"]
    doublings = b["bid_tail_doublings"] if sign > 0 else b["ask_tail_doublings"]
    if not 0 <= doublings <= MOST_DOUBLINGS:
        return TAIL_COUNT
    found = 0
    taken = 0
    for slot in range(BOOK_TAIL_SLOTS):
        found += table[2 * slot + 1] != 0
        taken += table[2 * slot] != 0
    if not 0 <= n <= BOOK_TAIL_LEVELS or found != n:
        return TAIL_COUNT
    if taken != (b["bid_tail_taken"] if sign > 0 else b["ask_tail_taken"]):
        return TAIL_COUNT
    if taken >= tail_slots(doublings):
        return TAIL_COUNT
    for slot in range(BOOK_TAIL_SLOTS):
        tick = table[2 * slot]
        qty = table[2 * slot + 1]
        if qty == 0:
            continue
        if tick < 1 or qty < 0 or b["base_ticks"] <= tick < b["end_ticks"]:
            return TAIL_LEVEL
        if tail_lots(b, sign, tick) != qty:
            return TAIL_LOST
        if (tick > best) if sign > 0 else (tick < best):
            return BEST_PRICE
    if (b["tail_bids_sorted"] if sign > 0 else b["tail_asks_sorted"]) == 1:
        order = b["bid_tail_order"] if sign > 0 else b["ask_tail_order"]
        for i in range(n):
            if tail_lots(b, sign, order[i]) == 0 or (i > 0 and order[i - 1] >= order[i]):
                return TAIL_ORDER
    return NONE


@njit
def _bbo_fault(book: np.ndarray) -> int:
    """Check the best bid and offer: a price and a size, or neither."""
    b = book[0]
    bid = (b["bbo_bid_ticks"] == NO_BID) == (b["bbo_bid_lots"] == 0)
    ask = (b["bbo_ask_ticks"] == NO_ASK) == (b["bbo_ask_lots"] == 0)
    sound = bid and ask and b["bbo_bid_lots"] >= 0 and b["bbo_ask_lots"] >= 0
    return NONE if sound and b["bbo_bid_ticks"] >= NO_BID else BBO


@njit
def book_check(book: np.ndarray) -> int:
    """Check a book that has been through `book_clear` once; tens of thousands of steps.

    Parameters
    ----------
    book : ndarray of BOOK, shape (1,)
        Not changed.

    Returns
    -------
    int
        The first `BookFault` found, `NONE` for a sound book.
    """
    b = book[0]
    if b["base_ticks"] < 0 or b["end_ticks"] - b["base_ticks"] != BOOK_RING_TICKS:
        return WINDOW
    for side in range(2):
        sign = 1 - 2 * side
        code = _ring_fault(book, sign)
        if code == NONE:
            code = _tail_fault(book, sign)
        if code != NONE:
            return code
        best = b["best_bid_ticks"] if sign > 0 else b["best_ask_ticks"]
        lots = b["best_bid_lots"] if sign > 0 else b["best_ask_lots"]
        none = best == (NO_BID if sign > 0 else NO_ASK)
        if lots != level_lots(book, sign, best) or none != (lots == 0):
            return BEST_LOTS
    return _bbo_fault(book)
