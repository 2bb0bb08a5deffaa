"""One level as it changes, for book and simulator at once: what most rows of a raw feed are.

Most changes of a level concern no own order. Then nothing is due, nothing is reached, no queue
moves, and all that is left of `simulator_on_book` is a new best size.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import bare_njit as njit
from mmquant.codes import OrderStatus
from mmquant.kernels.accounting import account_mark
from mmquant.kernels.book_level import book_apply_level
from mmquant.kernels.requests import advance_orders
from mmquant.kernels.simulator import simulator_on_book

__all__ = ["simulator_on_level"]

_ZERO: Any = np.int64(0)
_OPEN: Any = np.int64(OrderStatus.OPEN)


@njit
def _is_concerned(sim: NDArray[Any], sign: int, tick: int, bid: int, ask: int) -> bool:
    """Tell whether an own order may be filled, or its queue may move.

    That is one at the level's price, one that the opposite best price reaches, or one with a
    print that no level has shown yet.
    """
    s = sim[0]
    orders = s["orders"]
    for i in range(s["count"]):
        order = orders[i]
        price = order["price_ticks"]
        side = order["side"]
        reached = ask <= price if side > 0 else bid >= price
        here = (price == tick and side == sign) or order["traded_lots"] != 0
        if order["status"] == _OPEN and (reached or here):
            return True
    return False


@njit
def simulator_on_level(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    book: NDArray[Any],
    words: NDArray[Any],
    at: int,
    sign: int,
    last_update_id: int,
    now_ns: int,
    venue_ns: int,
    events: NDArray[Any],
) -> int:
    """Apply one changed level to the venue's book and take it in.

    The same, bit for bit, as simulator_advance to `now_ns` - 1, `book_apply_level`, then
    simulator_on_book.

    Parameters
    ----------
    sim : ndarray of state.SIMULATOR_STATE, shape (1,)
        Updated in place. It has taken in the book as it was before.
    account : ndarray of state.ACCOUNT, shape (1,)
        Updated in place.
    params : ndarray of state.SIMULATOR_PARAMS, shape (1,)
    book : ndarray of state.BOOK, shape (1,)
        Updated in place.
    words : ndarray of int64
        The level's price in ticks at word `at`, its quantity in lots behind it.
    at, sign, last_update_id : int
        As in `book_apply_level`.
    now_ns, venue_ns : int
        As in simulator_on_book.
    events : ndarray of state.EVENT, shape (MAX_EVENTS,)

    Returns
    -------
    int
        Number of events.
    """
    s = sim[0]
    b = book[0]
    a = account[0]
    now = max(now_ns, s["now_ns"])
    n = advance_orders(sim, account, params, book, now - 1, events, _ZERO)
    # What another level can do to an own order's: end a best bid and offer laid over the book, a
    # crossed book, or its level's place in a full tail.
    was_sound = b["best_bid_ticks"] < b["best_ask_ticks"] and b["best_bid_lots"] > 0
    was_sound = was_sound and b["bbo_update_id"] <= min(b["last_update_id"], last_update_id)
    evicted = b["tail_evicted"]
    book_apply_level(book, words, at, sign, last_update_id)
    bid = b["best_bid_ticks"]
    bid_lots = b["best_bid_lots"]
    ask = b["best_ask_ticks"]
    ask_lots = b["best_ask_lots"]
    is_sound = was_sound and evicted == b["tail_evicted"] and bid < ask
    is_sound = is_sound and bid_lots > 0 and ask_lots > 0 and s["mark_half_ticks"] != 0
    is_idle = s["next_due_ns"] > now and s["taken"][0] + s["taken"][1] == 0
    if not (is_sound and is_idle) or _is_concerned(sim, sign, words[at], bid, ask):
        return simulator_on_book(sim, account, params, book, now_ns, venue_ns, events, n)
    s["now_ns"] = now
    s["book_ns"] = venue_ns
    s["bid_ticks"] = bid
    s["bid_lots"] = bid_lots
    s["ask_ticks"] = ask
    s["ask_lots"] = ask_lots
    s["mark_half_ticks"] = bid + ask
    is_late = a["waiting"] > 0 and a["waiting_due_ns"][a["waiting_first"]] < now
    if a["mark_half_ticks"] != bid + ask or is_late:
        account_mark(account, bid + ask, now)
    else:
        a["now_ns"] = max(now, a["now_ns"])
    return n
