"""One level as it changes: what a feed that tells of levels one by one needs of `book_apply`."""

import numpy as np

from mmquant._jit import bare_inlined
from mmquant._jit import bare_njit as njit
from mmquant.codes import BookCode
from mmquant.kernels.book import book_apply, take_id
from mmquant.kernels.book_ring import MASK, follow_touch, level_lots, next_level
from mmquant.kernels.book_store import MAX_PRICE_TICKS, RING_BITS, set_best

__all__ = ["book_apply_level"]

OK = int(BookCode.OK)
CROSSED = int(BookCode.CROSSED)


@njit
def _best_moved(book: np.ndarray, sign: int, tick: int, qty: int) -> None:
    """Look for the best price behind one that is gone, and let the window follow."""
    if qty == 0:
        best = next_level(book, sign, tick)
        set_best(book, sign, best, level_lots(book, sign, best))
    follow_touch(book)


@njit
def _long_way(book: np.ndarray, words: np.ndarray, at: int, sign: int, last_update_id: int) -> int:
    """Apply one level as an event like any other."""
    n_bids = np.int64(1 if sign > 0 else 0)
    n_asks = np.int64(0 if sign > 0 else 1)
    return book_apply(book, words, at, n_bids, at, n_asks, last_update_id, np.int64(0))  # type: ignore[arg-type]


@bare_inlined
def book_apply_level(
    book: np.ndarray, words: np.ndarray, at: int, sign: int, last_update_id: int
) -> int:
    """Apply one changed level: the same as `book_apply` of it, in fewer steps.

    Nearly every change lies within the window. Then the other side cannot be concerned, and the
    window only where the best price moves; everything else goes the long way. No processor can
    guess the side of a level nor whether it is the best: both sides' fields are written, with
    what they were where nothing changes, and the only branch is for a best price that moves.

    Parameters
    ----------
    book : ndarray of BOOK, shape (1,)
        Changed in place. It must have been through `book_clear` or a load once.
    words : ndarray of int64
        The level's price in ticks at word `at`, its quantity in lots behind it.
    at : int
    sign : int
        `Side.BUY` for a bid, `Side.SELL` for an ask.
    last_update_id : int
        The book's update id after the event.

    Returns
    -------
    int
        As `book_apply`.
    """
    b = book[0]
    if at < 0 or at + 1 >= words.size:
        return _long_way(book, words, at, sign, last_update_id)
    tick = words[np.uint64(at)]
    qty = words[np.uint64(at + 1)]
    is_bid = sign > 0
    bid = b["best_bid_ticks"]
    bid_lots = b["best_bid_lots"]
    ask = b["best_ask_ticks"]
    ask_lots = b["best_ask_lots"]
    floor = b["bid_floor_ticks"]
    ceiling = b["ask_ceiling_ticks"]
    best = bid if is_bid else ask
    behind = best - tick if is_bid else tick - best
    is_sound = (1 <= tick) & (tick <= MAX_PRICE_TICKS) & (qty >= 0)
    is_sound &= (1 <= best) & (best <= MAX_PRICE_TICKS) & ((behind >= 0) | (qty > 0))
    if not (is_sound & ((tick - b["base_ticks"]) >> RING_BITS == 0)):
        return _long_way(book, words, at, sign, last_update_id)
    lots = b["bid_lots"] if is_bid else b["ask_lots"]
    lots[np.uint64(tick) & MASK] = qty
    is_best_bid = is_bid & (behind <= 0)
    is_best_ask = (not is_bid) & (behind <= 0)
    b["best_bid_ticks"] = tick if is_best_bid else bid
    b["best_bid_lots"] = qty if is_best_bid else bid_lots
    b["best_ask_ticks"] = tick if is_best_ask else ask
    b["best_ask_lots"] = qty if is_best_ask else ask_lots
    b["bid_floor_ticks"] = min(floor, tick if is_bid else floor)
    b["ask_ceiling_ticks"] = max(ceiling, ceiling if is_bid else tick)
    if (behind < 0) | ((behind == 0) & (qty == 0)):
        _best_moved(book, sign, tick, qty)
    take_id(book, last_update_id)
    b["updates"] += 1
    b["levels"] += 1
    if b["best_bid_ticks"] >= b["best_ask_ticks"]:
        b["crossed"] += 1
        return CROSSED
    return OK
