"""The sparse tail of a book: levels far from the touch, in a hash table a side.

Real streams put about one update in twenty there (orders at round prices far away), so setting
one costs a probe or two, whatever the tail holds. Reading in order of price is rare: it sorts
the keys once, and again only after keys have come or gone. The tail holds at most
`BOOK_TAIL_LEVELS` levels a side; beyond that the farthest one goes, counted in `tail_evicted`.

The table is interleaved (tick, lots), open addressing with linear probing; tick 0 marks a free
slot. A level that is removed keeps its slot with no lots, for it often comes again. The table
begins small, so that it stays in the nearest caches and is emptied quickly; when it is full it is
built anew without the levels that are gone, twice as large where many are left.
"""

import numpy as np

from mmquant._jit import bare_njit as njit
from mmquant.records import Row
from mmquant.state import BOOK_TAIL_LEVELS, BOOK_TAIL_SLOTS

NO_BID = 0  # the price of a side without bids: below every price
NO_ASK = 1 << 62  # the price of a side without asks: above every price
NO_LOTS = np.int64(0)  # no literal: numba would compile what it is passed to for that alone

FIRST_BITS = 11  # of a slot's number, while the table has not been doubled
MOST_DOUBLINGS = BOOK_TAIL_SLOTS.bit_length() - 1 - FIRST_BITS
MASK_32 = 0xFFFFFFFF
MULTIPLIER = 1_640_531_527  # odd, near 2**32 times the golden section's smaller part


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
def tail_slots(doublings: int) -> int:
    """Return how many slots a table has."""
    return 1 << (FIRST_BITS + doublings)


@njit
def tail_find(table: np.ndarray, doublings: int, tick: int) -> int:
    """Return the word of `tick`'s slot, or of the free slot where it belongs."""
    folded = (tick ^ (tick >> 32)) & MASK_32
    slot = ((folded * MULTIPLIER) & MASK_32) >> (32 - FIRST_BITS - doublings)  # Fibonacci hashing
    key = table[np.uint64(2 * slot)]
    while key != 0 and key != tick:
        slot = (slot + 1) & (tail_slots(doublings) - 1)
        key = table[np.uint64(2 * slot)]
    return 2 * slot


@njit
def _farthest(table: np.ndarray, sign: int) -> int:
    """Return the word of the lowest bid or the highest ask of a table that has levels."""
    farthest = 0
    key = NO_ASK
    for slot in range(BOOK_TAIL_SLOTS):
        if table[2 * slot + 1] > 0 and sign * table[2 * slot] < key:
            key = sign * table[2 * slot]
            farthest = 2 * slot
    return farthest


@njit
def _build_anew(b: Row, sign: int) -> None:
    """Rid a table of the levels that are gone; double it where a quarter is in use."""
    table = b["bid_tail"] if sign > 0 else b["ask_tail"]
    order = b["bid_tail_order"] if sign > 0 else b["ask_tail_order"]
    doublings = b["bid_tail_doublings"] if sign > 0 else b["ask_tail_doublings"]
    kept_lots = b["kept_lots"]
    slots = tail_slots(doublings)
    n = 0
    for slot in range(slots):
        if table[2 * slot + 1] > 0:
            order[n] = table[2 * slot]
            kept_lots[n] = table[2 * slot + 1]
            n += 1
    table[: 2 * slots] = 0
    if 4 * n > slots and doublings < MOST_DOUBLINGS:
        doublings += 1
    for i in range(n):
        at = tail_find(table, doublings, order[i])
        table[at] = order[i]
        table[at + 1] = kept_lots[i]
    if sign > 0:
        b["bid_tail_taken"] = n
        b["bid_tail_doublings"] = doublings
        b["tail_bids_sorted"] = 0
    else:
        b["ask_tail_taken"] = n
        b["ask_tail_doublings"] = doublings
        b["tail_asks_sorted"] = 0


@njit
def _count(b: Row, sign: int, levels: int, taken: int) -> None:
    """Note that levels came or went, and slots were taken."""
    if sign > 0:
        b["tail_bids"] += levels
        b["bid_tail_taken"] += taken
        b["tail_bids_sorted"] = 0
    else:
        b["tail_asks"] += levels
        b["ask_tail_taken"] += taken
        b["tail_asks_sorted"] = 0


@njit
def _is_evicted(b: Row, sign: int, tick: int) -> bool:
    """Make place for a level in a tail that is full; tell whether it is the farthest itself."""
    table = b["bid_tail"] if sign > 0 else b["ask_tail"]
    b["tail_evicted"] += 1
    farthest = _farthest(table, sign)
    if sign * tick < sign * table[farthest]:
        return True
    table[farthest + 1] = 0
    _count(b, sign, -1, 0)
    return False


@njit
def _add(b: Row, sign: int, tick: int, qty: int) -> None:
    """Add a level to the tail; when full the farthest one goes."""
    table = b["bid_tail"] if sign > 0 else b["ask_tail"]
    n = b["tail_bids"] if sign > 0 else b["tail_asks"]
    if n == BOOK_TAIL_LEVELS and _is_evicted(b, sign, tick):
        return
    doublings = b["bid_tail_doublings"] if sign > 0 else b["ask_tail_doublings"]
    taken = b["bid_tail_taken"] if sign > 0 else b["ask_tail_taken"]
    slots = tail_slots(doublings)
    at = tail_find(table, doublings, tick)
    known = table[at] == tick
    # The largest table is filled farther: half of it may be levels.
    most = slots // 2 if slots < BOOK_TAIL_SLOTS else BOOK_TAIL_SLOTS // 4 * 3
    if not known and taken == most:
        _build_anew(b, sign)
        doublings = b["bid_tail_doublings"] if sign > 0 else b["ask_tail_doublings"]
        at = tail_find(table, doublings, tick)
    table[at] = tick
    table[at + 1] = qty
    _count(b, sign, 1, 0 if known else 1)


@njit
def tail_set(b: Row, sign: int, tick: int, qty: int) -> None:
    """Set, replace or remove one level of the tail; when full the farthest one goes.

    Whether a level that has a slot comes, stays or goes no processor can guess: no branch for it.
    """
    if sign > 0:
        table = b["bid_tail"]
        doublings = b["bid_tail_doublings"]
        n = b["tail_bids"]
    else:
        table = b["ask_tail"]
        doublings = b["ask_tail_doublings"]
        n = b["tail_asks"]
    at = tail_find(table, doublings, tick)
    known = table[np.uint64(at)] == tick
    more = np.int64(qty > 0) - np.int64(table[np.uint64(at + 1)] > 0)  # a free slot has no lots
    if known & (n + more <= BOOK_TAIL_LEVELS):
        table[np.uint64(at + 1)] = qty
        if sign > 0:
            b["tail_bids"] = n + more
            b["tail_bids_sorted"] &= np.int64(more == 0)
        else:
            b["tail_asks"] = n + more
            b["tail_asks_sorted"] &= np.int64(more == 0)
    elif qty > 0:
        taken = b["bid_tail_taken"] if sign > 0 else b["ask_tail_taken"]
        if not known and n < BOOK_TAIL_LEVELS and taken < tail_slots(doublings) >> 1:
            table[np.uint64(at)] = tick
            table[np.uint64(at + 1)] = qty
            _count(b, sign, 1, 1)
        else:
            _add(b, sign, tick, qty)


@njit
def tail_lots(b: Row, sign: int, tick: int) -> int:
    """Return the lots at `tick` in the tail, 0 where there is no such level."""
    table = b["bid_tail"] if sign > 0 else b["ask_tail"]
    if (b["tail_bids"] if sign > 0 else b["tail_asks"]) == 0 or tick < 1:
        return 0
    doublings = b["bid_tail_doublings"] if sign > 0 else b["ask_tail_doublings"]
    return int(table[tail_find(table, doublings, tick) + 1])  # 0 in a free slot


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
def tail_sort(b: Row, sign: int) -> None:
    """Bring the list of a side's prices in the tail up to date: ascending, unless it is."""
    if (b["tail_bids_sorted"] if sign > 0 else b["tail_asks_sorted"]) == 1:
        return
    table = b["bid_tail"] if sign > 0 else b["ask_tail"]
    order = b["bid_tail_order"] if sign > 0 else b["ask_tail_order"]
    doublings = b["bid_tail_doublings"] if sign > 0 else b["ask_tail_doublings"]
    n = 0
    for slot in range(tail_slots(doublings)):
        if table[2 * slot + 1] > 0:
            order[n] = table[2 * slot]
            n += 1
    _shell_sort(order, n)
    if sign > 0:
        b["tail_bids_sorted"] = 1
    else:
        b["tail_asks_sorted"] = 1


@njit
def tail_next(b: Row, sign: int, tick: int) -> int:
    """Return the tail's best price strictly behind `tick`, or the side's NO_BID or NO_ASK."""
    n = b["tail_bids"] if sign > 0 else b["tail_asks"]
    none = NO_BID if sign > 0 else NO_ASK
    if n == 0:
        return none
    tail_sort(b, sign)
    order = b["bid_tail_order"] if sign > 0 else b["ask_tail_order"]
    if sign > 0:
        at = lower_bound(order, n, tick) - 1
        return int(order[at]) if at >= 0 else none
    at = lower_bound(order, n, tick + 1)
    return int(order[at]) if at < n else none


@njit
def tail_clear(b: Row) -> None:
    """Empty both sides' tails; an empty one costs nothing."""
    if b["bid_tail_taken"] > 0:
        b["bid_tail"][: 2 * tail_slots(b["bid_tail_doublings"])] = 0
    if b["ask_tail_taken"] > 0:
        b["ask_tail"][: 2 * tail_slots(b["ask_tail_doublings"])] = 0
    b["tail_bids"] = 0
    b["tail_asks"] = 0
    b["bid_tail_taken"] = 0
    b["ask_tail_taken"] = 0
    b["bid_tail_doublings"] = 0
    b["ask_tail_doublings"] = 0
    b["tail_bids_sorted"] = 0
    b["tail_asks_sorted"] = 0
