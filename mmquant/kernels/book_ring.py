"""Where a book's levels lie: a dense ring of ticks round the touch, a sparse tail beyond.

A side's levels near the touch lie in a ring of `BOOK_RING_TICKS` slots (the slot of a price is
its low bits); the others lie in the tail, a hash table (`book_tail`). When the touch drifts by
more than a quarter of the ring, the window moves and levels change places; none is lost by that.

A side is named by its sign, `Side.BUY` (1) for bids and `Side.SELL` (-1) for asks.
"""

import numpy as np

from mmquant._jit import bare_njit as njit
from mmquant._jit import leading_zeros, trailing_zeros
from mmquant._jit_blocks import UNION_WORDS, taken_words, union_of_words
from mmquant.kernels.book_tail import (
    NO_ASK,
    NO_BID,
    NO_LOTS,
    tail_lots,
    tail_next,
    tail_set,
    tail_slots,
)
from mmquant.state import BOOK_RING_TICKS

MASK = np.uint64(BOOK_RING_TICKS - 1)
HALF_RING_TICKS = BOOK_RING_TICKS // 2
MAX_DRIFT_TICKS = BOOK_RING_TICKS // 4
CHUNK_TICKS = UNION_WORDS  # a scan skips that many empty slots at once; divides the ring


@njit
def level_lots(book: np.ndarray, sign: int, tick: int) -> int:
    """Return the lots that the depth stream left at `tick`, 0 where there is no such level."""
    b = book[0]
    if b["base_ticks"] <= tick < b["end_ticks"]:
        slot = np.uint64(tick) & MASK
        return int(b["bid_lots"][slot] if sign > 0 else b["ask_lots"][slot])
    return tail_lots(b, sign, tick)


@njit
def _scan(lots: np.ndarray, at: int, low: int, high: int, step: int) -> int:
    """Return the first tick with lots from `at` on within [low, high), -1 where there is none.

    The first price is asked for alone, for it mostly has some; then chunks are.
    """
    if not low <= at < high:
        return -1
    if lots[np.uint64(at) & MASK] > 0:
        return at
    first = at & ~(CHUNK_TICKS - 1)  # of the chunk
    passed = -2 << (at - first) if step < 0 else ~(-1 << (at - first))  # a bit a tick
    taken = taken_words(lots, first & (BOOK_RING_TICKS - 1)) & ~passed
    while taken == 0:
        first += step * CHUNK_TICKS
        if first >= high or first + CHUNK_TICKS <= low:
            return -1
        slot = first & (BOOK_RING_TICKS - 1)
        if union_of_words(lots, slot) != 0:
            taken = taken_words(lots, slot)
    bit = CHUNK_TICKS - 1 - leading_zeros(taken) if step < 0 else trailing_zeros(taken)
    return first + bit if low <= first + bit < high else -1


@njit
def next_level(book: np.ndarray, sign: int, tick: int) -> int:
    """Return the best price of a side strictly behind `tick`, or its NO_BID or NO_ASK."""
    b = book[0]
    base = b["base_ticks"]
    end = b["end_ticks"]
    if sign > 0:
        if tick > end and b["tail_bids"] > 0:
            far = tail_next(b, sign, tick)
            if far >= end:
                return far
        low = max(base, b["bid_floor_ticks"])
        found = _scan(b["bid_lots"], min(tick, end) - 1, low, end, -sign)
        if found >= 0:
            return found
        return tail_next(b, sign, base) if tick > base else tail_next(b, sign, tick)
    if tick < base and b["tail_asks"] > 0:
        far = tail_next(b, sign, tick)
        if far < base:
            return far
    high = min(end, b["ask_ceiling_ticks"] + 1)
    found = _scan(b["ask_lots"], max(tick + 1, base), base, high, -sign)
    if found >= 0:
        return found
    return tail_next(b, sign, max(tick, end - 1))


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
def _leave_window(book: np.ndarray, sign: int, new_base: int) -> None:
    """Move one side's levels outside a window that starts at `new_base` into the tail."""
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
    tick = _scan(lots, low, low, high, 1)
    while tick >= 0:
        slot = np.uint64(tick) & MASK
        tail_set(b, sign, tick, lots[slot])
        lots[slot] = 0
        tick = _scan(lots, tick + 1, low, high, 1)
    if sign > 0:
        b["bid_floor_ticks"] = max(b["bid_floor_ticks"], new_base)
    else:
        b["ask_ceiling_ticks"] = min(b["ask_ceiling_ticks"], new_end - 1)


@njit
def _lift(book: np.ndarray, sign: int, new_base: int) -> int:
    """Take the tail's levels that lie in the new window out; return how many there are."""
    b = book[0]
    if (b["tail_bids"] if sign > 0 else b["tail_asks"]) == 0:
        return 0
    table = b["bid_tail"] if sign > 0 else b["ask_tail"]
    doublings = b["bid_tail_doublings"] if sign > 0 else b["ask_tail_doublings"]
    n = 0
    for slot in range(tail_slots(doublings)):
        tick = table[2 * slot]
        if table[2 * slot + 1] > 0 and new_base <= tick < new_base + BOOK_RING_TICKS:
            b["moving_ticks"][n] = tick
            b["moving_lots"][n] = table[2 * slot + 1]
            n += 1
    for i in range(n):
        tail_set(b, sign, b["moving_ticks"][i], int(NO_LOTS))
    return n


@njit
def _drop_in(book: np.ndarray, sign: int, n: int) -> None:
    """Put the lifted levels into the ring."""
    b = book[0]
    lots = b["bid_lots"] if sign > 0 else b["ask_lots"]
    for i in range(n):
        tick = b["moving_ticks"][i]
        lots[np.uint64(tick) & MASK] = b["moving_lots"][i]
        if sign > 0:
            b["bid_floor_ticks"] = min(b["bid_floor_ticks"], tick)
        else:
            b["ask_ceiling_ticks"] = max(b["ask_ceiling_ticks"], tick)


@njit
def _move_window(book: np.ndarray, new_base: int) -> None:
    """Let the window start at `new_base`.

    What enters is lifted out of the tail before the ring's leaving levels go there, so that the
    tail is never fuller than it is in the end; the slots are free when it is dropped in.
    """
    b = book[0]
    for side in range(2):  # one call site of each callee: half the machine code
        sign = 1 - 2 * side
        n = _lift(book, sign, new_base)
        _leave_window(book, sign, new_base)
        _drop_in(book, sign, n)
    b["base_ticks"] = new_base
    b["end_ticks"] = new_base + BOOK_RING_TICKS
    b["reanchors"] += 1


@njit
def follow_touch(book: np.ndarray) -> None:
    """Move the window when the touch has drifted by more than a quarter of it."""
    b = book[0]
    base = b["base_ticks"]
    target = touch_target(b["best_bid_ticks"], b["best_ask_ticks"], base)
    if abs(target - base) > MAX_DRIFT_TICKS:
        _move_window(book, target)
