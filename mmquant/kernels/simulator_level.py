"""One level as it changes, for book and simulator at once: what most rows of a raw feed are.

Most changes of a level concern no own order, or only the queue of one that rests there. Then
nothing is due, nothing is reached, and all that is left of `simulator_on_book` is that queue, what
was taken from that level, and a new touch.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import bare_inlined
from mmquant._jit import bare_njit as njit
from mmquant.codes import OrderStatus
from mmquant.kernels.accounting import account_mark
from mmquant.kernels.book_level import book_apply_level
from mmquant.kernels.queue_models import displayed_lots, queue_level
from mmquant.kernels.requests import advance_orders
from mmquant.kernels.simulator import simulator_on_book
from mmquant.kernels.taken import forget_taken
from mmquant.state import MAX_TAKEN

__all__ = ["simulator_on_level"]

_ZERO: Any = np.int64(0)
_OPEN: Any = np.int64(OrderStatus.OPEN)
_QUEUE, _FILL = 1, 2  # bits of a concern


@bare_inlined
def _concern(sim: NDArray[Any], sign: int, tick: int, bid: int, ask: int) -> int:
    """Tell what a level means to the own orders: nothing, a queue that may move, or a fill.

    The opposite best price reaches an order that it may fill. The queue of one at the level's
    price may move, and of one with a print that no level has shown yet.
    """
    s = sim[0]
    orders = s["orders"]
    concern = 0
    for i in range(s["count"]):
        order = orders[i]
        price = order["price_ticks"]
        side = order["side"]
        is_open = order["status"] == _OPEN
        is_reached = side * (price - (ask if side > 0 else bid)) >= 0
        is_here = ((price == tick) & (side == sign)) | (order["traded_lots"] != 0)
        concern |= _FILL if is_open & is_reached else 0
        concern |= _QUEUE if is_open & is_here else 0
    return concern


@bare_inlined
def _is_taken(sim: NDArray[Any], sign: int, tick: int) -> bool:
    """Tell whether own orders took from a level, or no more levels to take from can be noted."""
    s = sim[0]
    found: bool = (s["taken"][0] == MAX_TAKEN) | (s["taken"][1] == MAX_TAKEN)
    for slot in range(2):  # both, because no processor can guess the side
        is_side = sign == 2 * slot - 1
        for i in range(s["taken"][slot]):
            found |= is_side & (s["taken_ticks"][slot, i] == tick)
    return found


@njit
def _move_queues(
    sim: NDArray[Any],
    params: NDArray[Any],
    book: NDArray[Any],
    sign: int,
    tick: int,
    venue_ns: int,
) -> None:
    """Let the orders that a level concerns take in what is displayed at their price."""
    s = sim[0]
    for index in range(s["count"]):
        order = s["orders"][index]
        price = order["price_ticks"]
        side = order["side"]
        is_here = (price == tick and side == sign) or order["traded_lots"] != 0
        if is_here and order["status"] == _OPEN:
            queue_level(sim, params, index, displayed_lots(book, side, price), venue_ns)


@bare_inlined
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
    n: int = _ZERO
    if s["next_due_ns"] < now:
        n = advance_orders(sim, account, params, book, now - 1, events, n)
    # What another level can do to an own order's: end a best bid and offer laid over the book, a
    # crossed book, or its level's place in a full tail.
    is_sound = (b["best_bid_ticks"] < b["best_ask_ticks"]) & (b["best_bid_lots"] > 0)
    is_sound &= b["bbo_update_id"] <= min(b["last_update_id"], last_update_id)
    evicted = b["tail_evicted"]
    book_apply_level(book, words, at, sign, last_update_id)
    bid = b["best_bid_ticks"]
    bid_lots = b["best_bid_lots"]
    ask = b["best_ask_ticks"]
    ask_lots = b["best_ask_lots"]
    is_sound &= (evicted == b["tail_evicted"]) & (bid < ask) & (bid_lots > 0) & (ask_lots > 0)
    is_plain = is_sound & (s["next_due_ns"] > now) & (s["mark_half_ticks"] != 0)
    newest_ns = max(s["newest_ns"], venue_ns)
    is_plain &= newest_ns > s["gone_there_ns"]  # or the touch may reach an order that is gone
    concern = _concern(sim, sign, words[at], bid, ask)
    if not is_plain or concern >= _FILL:
        return simulator_on_book(sim, account, params, book, now_ns, venue_ns, events, n)
    s["now_ns"] = now
    s["book_ns"] = venue_ns
    s["newest_ns"] = newest_ns
    s["bid_ticks"] = bid
    s["bid_lots"] = bid_lots
    s["ask_ticks"] = ask
    s["ask_lots"] = ask_lots
    s["mark_half_ticks"] = bid + ask
    if _is_taken(sim, sign, words[at]):
        forget_taken(sim, book)
    if concern == _QUEUE:
        _move_queues(sim, params, book, sign, words[at], venue_ns)
    is_late = a["waiting"] > 0 and a["waiting_due_ns"][a["waiting_first"]] < now
    if a["mark_half_ticks"] != bid + ask or is_late:
        account_mark(account, bid + ask, now)
    else:
        a["now_ns"] = max(now, a["now_ns"])
    return n
