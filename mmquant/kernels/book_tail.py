"""The sparse tail of a book: levels far from the touch, in a hash table a side.

Real streams put about one update in twenty there (orders at round prices far away), so setting
one costs a probe or two, whatever the tail holds. Reading in order of price is rare: it sorts
the keys once, and again only after keys have come or gone. The tail holds at most
`BOOK_TAIL_LEVELS` levels a side; beyond that the farthest one goes, counted in `tail_evicted`.

The table is interleaved (tick, lots), open addressing with linear probing, never more than half
full; tick 0 marks a free slot.
"""

import numpy as np

from mmquant._jit import bare_njit as njit
from mmquant.state import BOOK_TAIL_LEVELS, BOOK_TAIL_SLOTS

NO_BID = 0  # the price of a side without bids: below every price
NO_ASK = 1 << 62  # the price of a side without asks: above every price
NO_LOTS = np.int64(0)  # no literal: numba would compile what it is passed to for that alone

SLOT_MASK = BOOK_TAIL_SLOTS - 1
MASK_32 = 0xFFFFFFFF
MULTIPLIER = 1_640_531_527  # odd, near 2**32 times the golden section's smaller part
HASH_SHIFT = 32 - (BOOK_TAIL_SLOTS.bit_length() - 1)


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
def _home(tick: int) -> int:
    """Return the slot where the search for a price begins (Fibonacci hashing)."""
    folded = (tick ^ (tick >> 32)) & MASK_32
    return ((folded * MULTIPLIER) & MASK_32) >> HASH_SHIFT


@njit
def tail_find(table: np.ndarray, tick: int) -> int:
    """Return the word of `tick`'s slot, or of the free slot where it belongs."""
    slot = _home(tick)
    key = table[np.uint64(2 * slot)]
    while key != 0 and key != tick:
        slot = (slot + 1) & SLOT_MASK
        key = table[np.uint64(2 * slot)]
    return 2 * slot


@njit
def _remove(table: np.ndarray, at: int) -> None:
    """Free the slot at word `at`; the entries behind it move up, no search ends too early."""
    hole = at >> 1
    slot = (hole + 1) & SLOT_MASK
    while table[2 * slot] != 0:
        from_home = (slot - _home(table[2 * slot])) & SLOT_MASK
        if from_home >= ((slot - hole) & SLOT_MASK):
            table[2 * hole] = table[2 * slot]
            table[2 * hole + 1] = table[2 * slot + 1]
            hole = slot
        slot = (slot + 1) & SLOT_MASK
    table[2 * hole] = 0
    table[2 * hole + 1] = 0


@njit
def _farthest(table: np.ndarray, sign: int) -> int:
    """Return the lowest bid or the highest ask of a table that is not empty."""
    lowest = NO_ASK
    highest = NO_BID
    for slot in range(BOOK_TAIL_SLOTS):
        tick = table[2 * slot]
        if tick != 0:
            lowest = min(lowest, tick)
            highest = max(highest, tick)
    return lowest if sign > 0 else highest


@njit
def tail_set(book: np.ndarray, sign: int, tick: int, qty: int) -> None:
    """Set, replace or remove one level of the tail; when full the farthest one goes."""
    b = book[0]
    table = b["bid_tail"] if sign > 0 else b["ask_tail"]
    n = b["tail_bids"] if sign > 0 else b["tail_asks"]
    at = tail_find(table, tick)
    known = table[np.uint64(at)] == tick
    if known and qty > 0:
        table[np.uint64(at + 1)] = qty
        return
    if not known and qty == 0:
        return
    if known:
        _remove(table, at)
        n -= 1
    else:
        if n == BOOK_TAIL_LEVELS:
            b["tail_evicted"] += 1
            farthest = _farthest(table, sign)
            if (tick < farthest) if sign > 0 else (tick > farthest):
                return
            _remove(table, tail_find(table, farthest))
            at = tail_find(table, tick)
            n -= 1
        table[at] = tick
        table[at + 1] = qty
        n += 1
    if sign > 0:
        b["tail_bids"] = n
        b["tail_bids_sorted"] = 0
    else:
        b["tail_asks"] = n
        b["tail_asks_sorted"] = 0


@njit
def tail_lots(book: np.ndarray, sign: int, tick: int) -> int:
    """Return the lots at `tick` in the tail, 0 where there is no such level."""
    b = book[0]
    table = b["bid_tail"] if sign > 0 else b["ask_tail"]
    if (b["tail_bids"] if sign > 0 else b["tail_asks"]) == 0 or tick < 1:
        return 0
    at = tail_find(table, tick)
    return int(table[at + 1]) if table[at] == tick else 0


@njit
def _shell_sort(ticks: np.ndarray, n: int) -> None:
    """Sort the first `n` ticks ascending, in place."""
    gap = 1
    while gap < n // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, n):
            tick = ticks[i]
            at = i
            while at >= gap and ticks[at - gap] > tick:
                ticks[at] = ticks[at - gap]
                at -= gap
            ticks[at] = tick
        gap //= 3


@njit
def tail_sort(book: np.ndarray, sign: int) -> None:
    """Bring the list of a side's prices in the tail up to date: ascending, unless it is."""
    b = book[0]
    if (b["tail_bids_sorted"] if sign > 0 else b["tail_asks_sorted"]) == 1:
        return
    table = b["bid_tail"] if sign > 0 else b["ask_tail"]
    order = b["bid_tail_order"] if sign > 0 else b["ask_tail_order"]
    n = 0
    for slot in range(BOOK_TAIL_SLOTS):
        if table[2 * slot] != 0:
            order[n] = table[2 * slot]
            n += 1
    _shell_sort(order, n)
    if sign > 0:
        b["tail_bids_sorted"] = 1
    else:
        b["tail_asks_sorted"] = 1


@njit
def tail_next(book: np.ndarray, sign: int, tick: int) -> int:
    """Return the tail's best price strictly behind `tick`, or the side's NO_BID or NO_ASK."""
    b = book[0]
    n = b["tail_bids"] if sign > 0 else b["tail_asks"]
    none = NO_BID if sign > 0 else NO_ASK
    if n == 0:
        return none
    tail_sort(book, sign)
    order = b["bid_tail_order"] if sign > 0 else b["ask_tail_order"]
    if sign > 0:
        at = lower_bound(order, n, tick) - 1
        return int(order[at]) if at >= 0 else none
    at = lower_bound(order, n, tick + 1)
    return int(order[at]) if at < n else none


@njit
def tail_clear(book: np.ndarray) -> None:
    """Empty both sides' tails; an empty one costs nothing."""
    b = book[0]
    if b["tail_bids"] > 0:
        b["bid_tail"][:] = 0
    if b["tail_asks"] > 0:
        b["ask_tail"][:] = 0
    b["tail_bids"] = 0
    b["tail_asks"] = 0
    b["tail_bids_sorted"] = 0
    b["tail_asks_sorted"] = 0
