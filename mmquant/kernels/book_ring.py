"""Where a book's levels lie: a dense ring of ticks round the touch, a sorted overflow beyond.

A side's levels near the touch lie in a ring of `BOOK_RING_TICKS` slots (the slot of a price is
its low bits); the others lie in an ascending overflow array. When the touch drifts by more than
a quarter of the ring, the window moves and levels change places; none is lost by that. Only a
full overflow loses one: the farthest from the touch, counted in `overflow_evicted`.

A side is named by its sign, `Side.BUY` (1) for bids and `Side.SELL` (-1) for asks.
"""

import numpy as np

from mmquant._jit import njit
from mmquant.state import BOOK_OVERFLOW_LEVELS, BOOK_RING_TICKS

NO_BID = 0  # best_bid_ticks of a side without bids: below every price
NO_ASK = 1 << 62  # best_ask_ticks of a side without asks: above every price

MASK = np.uint64(BOOK_RING_TICKS - 1)
HALF_RING_TICKS = BOOK_RING_TICKS // 2
MAX_DRIFT_TICKS = BOOK_RING_TICKS // 4


@njit
def lower_bound(ticks: np.ndarray, n: int, tick: int) -> int:
    """Return the first of `n` ascending positions whose tick is not below `tick`."""
    low = 0
    high = n
    while low < high:
        middle = (low + high) >> 1
        if ticks[middle] < tick:
            low = middle + 1
        else:
            high = middle
    return low


@njit
def _open_slot(ticks: np.ndarray, lots: np.ndarray, at: int, n: int) -> None:
    """Shift the entries [at, n) up by one."""
    i = n
    while i > at:
        ticks[i] = ticks[i - 1]
        lots[i] = lots[i - 1]
        i -= 1


@njit
def _replace_farthest(
    ticks: np.ndarray, lots: np.ndarray, sign: int, at: int, tick: int, qty: int
) -> None:
    """Insert into full arrays at `at`; the lowest bid or the highest ask falls out."""
    last = BOOK_OVERFLOW_LEVELS - 1
    if sign > 0:
        if at == 0:
            return  # the new level is itself the farthest
        for i in range(at - 1):
            ticks[i] = ticks[i + 1]
            lots[i] = lots[i + 1]
        at -= 1
    else:
        if at > last:
            return
        _open_slot(ticks, lots, at, last)
    ticks[at] = tick
    lots[at] = qty


@njit
def overflow_set(book: np.ndarray, sign: int, tick: int, qty: int) -> None:
    """Set, replace or remove one level outside the window; when full the farthest one goes."""
    b = book[0]
    if sign > 0:
        ticks, lots, n = b["overflow_bid_ticks"], b["overflow_bid_lots"], b["overflow_bids"]
    else:
        ticks, lots, n = b["overflow_ask_ticks"], b["overflow_ask_lots"], b["overflow_asks"]
    at = lower_bound(ticks, n, tick)
    known = at < n and ticks[at] == tick
    if known and qty > 0:
        lots[at] = qty
        return
    if not known and qty == 0:
        return
    if known:
        n -= 1
        for i in range(at, n):
            ticks[i] = ticks[i + 1]
            lots[i] = lots[i + 1]
    elif n < BOOK_OVERFLOW_LEVELS:
        _open_slot(ticks, lots, at, n)
        ticks[at] = tick
        lots[at] = qty
        n += 1
    else:
        b["overflow_evicted"] += 1
        _replace_farthest(ticks, lots, sign, at, tick, qty)
    if sign > 0:
        b["overflow_bids"] = n
    else:
        b["overflow_asks"] = n


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
    if b["base_ticks"] <= tick < b["end_ticks"]:
        slot = np.uint64(tick) & MASK
        return int(b["bid_lots"][slot] if sign > 0 else b["ask_lots"][slot])
    if sign > 0:
        ticks, lots, n = b["overflow_bid_ticks"], b["overflow_bid_lots"], b["overflow_bids"]
    else:
        ticks, lots, n = b["overflow_ask_ticks"], b["overflow_ask_lots"], b["overflow_asks"]
    at = lower_bound(ticks, n, tick)
    if at < n and ticks[at] == tick:
        return int(lots[at])
    return 0


@njit
def next_level(book: np.ndarray, sign: int, tick: int) -> int:
    """Return the best price of a side strictly behind `tick`, or its NO_BID or NO_ASK."""
    b = book[0]
    base = b["base_ticks"]
    end = b["end_ticks"]
    if sign > 0:
        lots, ticks, n = b["bid_lots"], b["overflow_bid_ticks"], b["overflow_bids"]
        i = lower_bound(ticks, n, tick) - 1
        far = ticks[i] if i >= 0 else NO_BID
        at = min(tick, end) - 1
        if far >= end:
            return int(far)
        base = max(base, b["bid_floor_ticks"])
    else:
        lots, ticks, n = b["ask_lots"], b["overflow_ask_ticks"], b["overflow_asks"]
        i = lower_bound(ticks, n, tick + 1)
        far = ticks[i] if i < n else NO_ASK
        at = max(tick + 1, base)
        if far < base:
            return int(far)
        end = min(end, b["ask_ceiling_ticks"] + 1)
    while base <= at < end:
        if lots[np.uint64(at) & MASK] > 0:
            return int(at)
        at -= sign
    return int(far)


@njit
def touch_target(bid_ticks: int, ask_ticks: int, base_ticks: int) -> int:
    """Return the base of the window centred on the touch; an empty book keeps its window."""
    if bid_ticks == NO_BID and ask_ticks == NO_ASK:
        return base_ticks
    if bid_ticks == NO_BID:
        centre = ask_ticks
    elif ask_ticks == NO_ASK:
        centre = bid_ticks
    else:
        centre = (bid_ticks + ask_ticks) >> 1
    return max(centre - HALF_RING_TICKS, 0)


@njit
def _move_side(book: np.ndarray, sign: int, new_base: int) -> None:
    """Move one side's levels between ring and overflow for a window that starts at `new_base`."""
    b = book[0]
    new_end = new_base + BOOK_RING_TICKS
    low = b["base_ticks"]
    high = b["end_ticks"]
    if new_base > low:
        high = min(high, new_base)
    else:
        low = max(low, new_end)
    if sign > 0:
        lots = b["bid_lots"]
        low = max(low, b["bid_floor_ticks"])
        high = min(high, b["best_bid_ticks"] + 1)
    else:
        lots = b["ask_lots"]
        low = max(low, b["best_ask_ticks"])
        high = min(high, b["ask_ceiling_ticks"] + 1)
    for tick in range(low, high):
        slot = np.uint64(tick) & MASK
        if lots[slot] > 0:
            overflow_set(book, sign, tick, lots[slot])
            lots[slot] = 0
    if sign > 0:
        b["bid_floor_ticks"] = max(b["bid_floor_ticks"], new_base)
    else:
        b["ask_ceiling_ticks"] = min(b["ask_ceiling_ticks"], new_end - 1)
    _enter_window(book, sign, new_base)


@njit
def _enter_window(book: np.ndarray, sign: int, new_base: int) -> None:
    """Move the overflow levels of one side that lie in the new window into the ring."""
    b = book[0]
    if sign > 0:
        ticks, far_lots, n = b["overflow_bid_ticks"], b["overflow_bid_lots"], b["overflow_bids"]
    else:
        ticks, far_lots, n = b["overflow_ask_ticks"], b["overflow_ask_lots"], b["overflow_asks"]
    first = lower_bound(ticks, n, new_base)
    after = lower_bound(ticks, n, new_base + BOOK_RING_TICKS)
    if first == after:
        return
    lots = b["bid_lots"] if sign > 0 else b["ask_lots"]
    for i in range(first, after):
        lots[np.uint64(ticks[i]) & MASK] = far_lots[i]
    if sign > 0:
        b["bid_floor_ticks"] = min(b["bid_floor_ticks"], ticks[first])
        b["overflow_bids"] = n - (after - first)
    else:
        b["ask_ceiling_ticks"] = max(b["ask_ceiling_ticks"], ticks[after - 1])
        b["overflow_asks"] = n - (after - first)
    for i in range(after, n):
        ticks[first + i - after] = ticks[i]
        far_lots[first + i - after] = far_lots[i]


@njit
def follow_touch(book: np.ndarray) -> None:
    """Move the window when the touch has drifted by more than a quarter of it."""
    b = book[0]
    base = b["base_ticks"]
    target = touch_target(b["best_bid_ticks"], b["best_ask_ticks"], base)
    if abs(target - base) <= MAX_DRIFT_TICKS:
        return
    for side in range(2):
        _move_side(book, 1 - 2 * side, target)
    b["base_ticks"] = target
    b["end_ticks"] = target + BOOK_RING_TICKS
    b["reanchors"] += 1
