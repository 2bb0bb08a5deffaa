"""The levels of one event: are they sound, and where do they go.

`book` applies whole events with these; where levels lie is `book_ring`'s affair and `book_tail`'s.
"""

import numpy as np

from mmquant._jit import bare_inlined as inlined
from mmquant._jit import bare_njit as njit
from mmquant._jit_blocks import PAIRS, pairs_outside
from mmquant.kernels import wire
from mmquant.kernels.book_ring import MASK, level_lots, next_level
from mmquant.kernels.book_tail import tail_set
from mmquant.state import BOOK_RING_TICKS

RING_BITS = BOOK_RING_TICKS.bit_length() - 1
NEAR_TICKS = 4  # as far behind a best price that is gone the next one mostly lies
PRICE_BITS = 53
MAX_PRICE_TICKS = 1 << PRICE_BITS  # a sum of two prices is exact in int64, one is exact in float64
LEVEL_WORDS = wire.LEVEL_WORDS


@njit
def _is_flawed(words: np.ndarray, at: int, n: int) -> bool:
    """Tell whether any of `n` levels has a price or quantity out of range.

    What can be known of a message before it is applied must cost little: a block of levels is a
    few instructions, and one that is not full begins earlier, over levels that were looked at.
    """
    if n < PAIRS:
        flaws = 0  # a difference is negative where a bound is broken: no branch in the loop
        for i in range(n):
            tick = int(words[np.uint64(at + i * LEVEL_WORDS)])
            qty = int(words[np.uint64(at + i * LEVEL_WORDS + 1)])
            flaws |= (tick - 1) | (MAX_PRICE_TICKS - tick) | qty
        return flaws < 0
    last = at + (n - PAIRS) * LEVEL_WORDS
    is_flawed = False
    block = at
    while block < last:
        is_flawed |= pairs_outside(words, block, PRICE_BITS)
        block += PAIRS * LEVEL_WORDS
    return is_flawed | pairs_outside(words, last, PRICE_BITS)


@inlined
def any_flawed(words: np.ndarray, bids_at: int, n_bids: int, asks_at: int, n_asks: int) -> bool:
    """Return what `_is_flawed` says of both sides, in one go where they lie behind each other."""
    if asks_at == bids_at + LEVEL_WORDS * n_bids:
        return _is_flawed(words, bids_at, n_bids + n_asks)
    return _is_flawed(words, bids_at, n_bids) or _is_flawed(words, asks_at, n_asks)


@njit
def set_best(book: np.ndarray, sign: int, best: int, lots: int) -> None:
    """Note the best price of a side and its size."""
    b = book[0]
    if sign > 0:
        b["best_bid_ticks"] = best
        b["best_bid_lots"] = lots
    else:
        b["best_ask_ticks"] = best
        b["best_ask_lots"] = lots


@njit
def _search_best(book: np.ndarray, sign: int, best: int) -> None:
    """Set the best price of a side where it may lie outside the window, or behind `best`."""
    lots = level_lots(book, sign, best)
    if lots == 0:
        best = next_level(book, sign, best)
        lots = level_lots(book, sign, best)
    set_best(book, sign, best, lots)


@inlined
def _find_best(book: np.ndarray, sign: int, lots: np.ndarray) -> None:
    """Set the best price of a side and its size: where it is gone, the next one behind it."""
    b = book[0]
    base = b["base_ticks"]
    best = b["best_bid_ticks"] if sign > 0 else b["best_ask_ticks"]
    if (best - base) >> RING_BITS != 0:
        _search_best(book, sign, best)
    else:
        room = best - base if sign > 0 else base + BOOK_RING_TICKS - 1 - best
        tick = best
        for _ in range(min(room, NEAR_TICKS)):
            if lots[np.uint64(tick) & MASK] > 0:
                break
            tick -= sign
        if lots[np.uint64(tick) & MASK] > 0:
            set_best(book, sign, tick, lots[np.uint64(tick) & MASK])
        else:
            _search_best(book, sign, best)  # seldom, so kept out of line


@njit
def _store_anywhere(book: np.ndarray, sign: int, words: np.ndarray, at: int, n: int) -> None:
    """Do what `store_side` does, but for finding the best price, wherever the best price lies."""
    b = book[0]
    lots = b["bid_lots"] if sign > 0 else b["ask_lots"]
    base = b["base_ticks"]
    best = b["best_bid_ticks"] if sign > 0 else b["best_ask_ticks"]
    for i in range(n):
        tick = words[np.uint64(at + i * LEVEL_WORDS)]
        qty = words[np.uint64(at + i * LEVEL_WORDS + 1)]
        if (tick > best if sign > 0 else tick < best) and qty > 0:
            best = tick
        if (tick - base) >> RING_BITS != 0:
            tail_set(b, sign, tick, qty)
            continue
        lots[np.uint64(tick) & MASK] = qty
        if sign > 0:
            b["bid_floor_ticks"] = min(b["bid_floor_ticks"], tick)
        else:
            b["ask_ceiling_ticks"] = max(b["ask_ceiling_ticks"], tick)
    if sign > 0:
        b["best_bid_ticks"] = best
    else:
        b["best_ask_ticks"] = best


@inlined
def store_side(book: np.ndarray, sign: int, words: np.ndarray, at: int, n: int) -> None:
    """Put `n` sound levels of one side where they belong, and find its best price anew.

    Nearly all levels lie between the side's best and its outermost price in the window: one
    comparison tells, and a processor guesses it. A best price that was removed is looked for
    behind the loop. A side whose best price is not in the window is for `_store_anywhere`.
    """
    b = book[0]
    lots = b["bid_lots"] if sign > 0 else b["ask_lots"]
    base = b["base_ticks"]
    low = b["bid_floor_ticks"] if sign > 0 else b["best_ask_ticks"]
    high = b["best_bid_ticks"] if sign > 0 else b["ask_ceiling_ticks"]
    best = high if sign > 0 else low
    end = at + n * LEVEL_WORDS
    if low <= high and (best - base) >> RING_BITS == 0:
        span = np.uint64(high - low)
        while at < end:
            tick = words[np.uint64(at)]
            qty = words[np.uint64(at + 1)]
            if np.uint64(tick - low) <= span:
                lots[np.uint64(tick) & MASK] = qty
            else:
                is_better = (tick > high) == (sign > 0)
                if (tick - base) >> RING_BITS == 0:
                    lots[np.uint64(tick) & MASK] = qty
                    if qty > 0 or not is_better:
                        low = min(low, tick)
                        high = max(high, tick)
                        span = np.uint64(high - low)
                elif qty > 0 and is_better:
                    break
                else:
                    tail_set(b, sign, tick, qty)
            at += LEVEL_WORDS
        if sign > 0:
            b["bid_floor_ticks"] = low
            b["best_bid_ticks"] = high
        else:
            b["ask_ceiling_ticks"] = high
            b["best_ask_ticks"] = low
    if at < end:
        _store_anywhere(book, sign, words, at, (end - at) // LEVEL_WORDS)
    _find_best(book, sign, lots)
