"""One level as it changes: what a feed that tells of levels one by one needs of `book_apply`."""

import numpy as np

from mmquant._jit import bare_njit as njit
from mmquant.codes import BookCode
from mmquant.kernels.book import MAX_PRICE_TICKS, RING_BITS, book_apply
from mmquant.kernels.book_ring import MASK, follow_touch, level_lots, next_level

__all__ = ["book_apply_level"]

OK = int(BookCode.OK)
CROSSED = int(BookCode.CROSSED)


@njit
def _best_moved(book: np.ndarray, sign: int, tick: int, qty: int) -> None:
    """Look for the best price behind one that is gone, and let the window follow."""
    b = book[0]
    if qty == 0:
        best = next_level(book, sign, tick)
        lots = level_lots(book, sign, best)
        if sign > 0:
            b["best_bid_ticks"] = best
            b["best_bid_lots"] = lots
        else:
            b["best_ask_ticks"] = best
            b["best_ask_lots"] = lots
    follow_touch(book)


@njit
def book_apply_level(
    book: np.ndarray, words: np.ndarray, at: int, sign: int, last_update_id: int
) -> int:
    """Apply one changed level: the same as `book_apply` of it, in fewer steps.

    Nearly every change lies within the window. Then the other side cannot be concerned, and the
    window only where the best price moves; everything else goes the long way.

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
    if at >= 0 and at + 1 < words.size:
        tick = words[np.uint64(at)]
        qty = words[np.uint64(at + 1)]
        best = b["best_bid_ticks"] if sign > 0 else b["best_ask_ticks"]
        behind = best - tick if sign > 0 else tick - best
        in_window = (tick - b["base_ticks"]) >> RING_BITS == 0
        is_sound = 1 <= tick <= MAX_PRICE_TICKS and 1 <= best <= MAX_PRICE_TICKS and qty >= 0
        if is_sound and in_window and (behind >= 0 or qty > 0):
            moves = behind < 0 or (behind == 0 and qty == 0)
            if sign > 0:
                b["bid_lots"][np.uint64(tick) & MASK] = qty
                b["bid_floor_ticks"] = min(b["bid_floor_ticks"], tick)
                if behind <= 0:
                    b["best_bid_ticks"] = tick
                    b["best_bid_lots"] = qty
            else:
                b["ask_lots"][np.uint64(tick) & MASK] = qty
                b["ask_ceiling_ticks"] = max(b["ask_ceiling_ticks"], tick)
                if behind <= 0:
                    b["best_ask_ticks"] = tick
                    b["best_ask_lots"] = qty
            if moves:
                _best_moved(book, sign, tick, qty)
            b["last_update_id"] = last_update_id
            b["updates"] += 1
            b["levels"] += 1
            if b["best_bid_ticks"] >= b["best_ask_ticks"]:
                b["crossed"] += 1
                return CROSSED
            return OK
    n_bids = np.int64(1 if sign > 0 else 0)
    n_asks = np.int64(0 if sign > 0 else 1)
    return book_apply(book, words, at, n_bids, at, n_asks, last_update_id, np.int64(0))  # type: ignore[arg-type]
