"""Simulator kernels: what is wanted and what the market does -> fills, one call a message.

The venue's side of paper trading: its book as the caller keeps it, the own orders that rest
there or are on their way. Queue, fills and latencies are in `queue_models`, `matching` and
`latency`, arrivals in `requests`.

Order of things at one time: the market's event first, then entries that arrive, then amendments,
then cancellations, then by order id. What is due strictly before an event comes before it, and
meets the book as it was before: change the book only after `simulator_advance` up to the
nanosecond before. A level change comes after the trades that caused it where the feed tells
them in that order. An order being cancelled can still be filled, and its replacement already
rests meanwhile: both may fill, as at a real venue, so the position can pass the strategy's
limit by that much.

Every function that takes `events` (shape (MAX_EVENTS,)) writes what happened from index `n`, or
0, in order of time and returns the number of events written in total.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import bare_njit as njit
from mmquant.codes import BookCode, BookState, FillModel, OrderEventKind, OrderStatus, Reason, Side
from mmquant.kernels import wire
from mmquant.kernels.accounting import account_mark, account_to_position
from mmquant.kernels.book import book_bbo, book_follow
from mmquant.kernels.book_read import book_touch
from mmquant.kernels.latency import note_feed, venue_time_ns
from mmquant.kernels.matching import match_print, match_touch
from mmquant.kernels.orders import cancel_order, end_order, enter_orders, reconcile_orders
from mmquant.kernels.queue_models import displayed_lots, queue_level
from mmquant.kernels.requests import advance_orders, send_request
from mmquant.kernels.taken import forget_taken
from mmquant.state import NEVER_NS

__all__ = [
    "simulator_advance",
    "simulator_cancel_all",
    "simulator_on_book",
    "simulator_on_market",
    "simulator_on_order_event",
    "simulator_on_quotes",
    "simulator_on_trade",
    "simulator_position",
    "simulator_submit",
]

# numpy integers, because numba compiles a function anew for each plain constant passed to it.
_ZERO: Any = np.int64(0)
_BUY: Any = np.int64(Side.BUY)
_SELL: Any = np.int64(Side.SELL)
_OPEN: Any = np.int64(OrderStatus.OPEN)
_CANCELLED: Any = np.int64(OrderStatus.CANCELLED)
_NONE: Any = np.int64(Reason.NONE)
_PULLED: Any = np.int64(Reason.PULLED)
_BOOK_OK: Any = np.int64(BookCode.OK)
_IGNORED: Any = np.int64(BookCode.IGNORED)
_LIVE: Any = np.int64(BookState.LIVE)
_MODEL_L3: Any = np.int64(FillModel.FIFO_L3)
_ADD: Any = np.int64(OrderEventKind.ADD)
_TRADE: Any = np.int64(OrderEventKind.TRADE)


@njit
def simulator_advance(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    book: NDArray[Any],
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Let time pass without a message: what is on its way up to `now_ns` arrives."""
    return advance_orders(sim, account, params, book, max(now_ns, sim[0]["now_ns"]), events, n)


@njit
def simulator_on_quotes(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    instrument: NDArray[Any],
    book: NDArray[Any],
    recorded: NDArray[Any],
    quotes: NDArray[Any],
    levels: NDArray[Any],
    now_ns: int,
    heard_ns: int,
    events: NDArray[Any],
) -> int:
    """Make the own orders those that the strategy wants.

    An order at a wanted side and price is kept, and amended to less where less is wanted. Every
    other is cancelled and every other level entered, each after its latency. Quotes with a
    reason cancel everything.

    Parameters
    ----------
    sim : ndarray of state.SIMULATOR_STATE, shape (1,)
        Updated in place.
    account : ndarray of state.ACCOUNT, shape (1,)
        Updated in place.
    params : ndarray of state.SIMULATOR_PARAMS, shape (1,)
    instrument : ndarray of records.INSTRUMENT, shape (1,)
        Its filters reject what breaks them; tick and lot size positive.
    book : ndarray of state.BOOK, shape (1,)
        The venue's, as it stands.
    recorded : ndarray of state.RECORDED_LATENCY, shape (n,)
        Empty where the parameters tell the latencies.
    quotes : ndarray of records.QUOTES, shape (1,)
        `seq`, `instrument_id`, `epoch` and `reason` are read.
    levels : ndarray of records.LEVEL, shape (2 * MAX_LEVELS,)
        As strategy_step writes them: bids from 0, asks from MAX_LEVELS.
    now_ns : int
        An earlier time than the latest seen counts as that one.
    heard_ns : int
        The quotes were made by who had heard all answers up to then; beyond `now_ns`: all of them.
    events : ndarray of state.EVENT, shape (MAX_EVENTS,)

    Returns
    -------
    int
        Number of events.
    """
    s = sim[0]
    q = quotes[0]
    now = max(now_ns, s["now_ns"])
    heard = min(heard_ns, now)
    s["heard_ns"] = max(s["heard_ns"], heard)
    n = advance_orders(sim, account, params, book, now, events, _ZERO)
    s["instrument_id"] = q["instrument_id"]
    s["epoch"] = q["epoch"]
    s["max_open_orders"] = instrument[0]["max_orders"]
    if q["reason"] != _NONE:
        for index in range(s["count"]):
            if s["orders"][index]["cancel_ns"] == NEVER_NS:
                cancel_order(sim, params, recorded, index, _PULLED, now)
        return advance_orders(sim, account, params, book, now, events, n)
    seq = q["seq"]
    claimed = reconcile_orders(sim, params, recorded, levels, seq, now, heard)
    # What is cancelled at once makes room.
    n = advance_orders(sim, account, params, book, now, events, n)
    n = enter_orders(sim, params, instrument, recorded, levels, claimed, seq, now, events, n)
    return advance_orders(sim, account, params, book, now, events, n)


@njit
def simulator_submit(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    instrument: NDArray[Any],
    book: NDArray[Any],
    recorded: NDArray[Any],
    request: NDArray[Any],
    now_ns: int,
    events: NDArray[Any],
) -> int:
    """Send one order, amendment or cancellation: `request` is a state.ORDER_REQUEST, shape (1,).

    What is wrong with it is answered at once by a rejection, and nothing changes. Everything
    else as in simulator_on_quotes.
    """
    now = max(now_ns, sim[0]["now_ns"])
    n = advance_orders(sim, account, params, book, now, events, _ZERO)
    sim[0]["max_open_orders"] = instrument[0]["max_orders"]
    sim[0]["heard_ns"] = now
    n = send_request(sim, params, instrument, recorded, request, now, events, n)
    return advance_orders(sim, account, params, book, now, events, n)


@njit
def simulator_cancel_all(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    book: NDArray[Any],
    now_ns: int,
    reason: int,
    events: NDArray[Any],
) -> int:
    """End every order at once with `reason` (an int): a dead man's switch, or a restart."""
    s = sim[0]
    now = max(now_ns, s["now_ns"])
    n = advance_orders(sim, account, params, book, now, events, _ZERO)
    there_ns = venue_time_ns(sim, now, _ZERO)
    while s["count"] > 0:
        s["orders"][0]["cancel_there_ns"] = there_ns
        n = end_order(sim, _ZERO, _CANCELLED, reason, now, events, n)
    s["next_due_ns"] = NEVER_NS
    return n


@njit
def simulator_on_book(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    book: NDArray[Any],
    now_ns: int,
    venue_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Take in the venue's changed book: fill what its touch reaches, move queues and mark.

    Parameters
    ----------
    sim : ndarray of state.SIMULATOR_STATE, shape (1,)
        Updated in place.
    account : ndarray of state.ACCOUNT, shape (1,)
        Updated in place.
    params : ndarray of state.SIMULATOR_PARAMS, shape (1,)
    book : ndarray of state.BOOK, shape (1,)
        After the change; simulator_advance to `now_ns` - 1 came before it. A crossed book is no
        market at all and is left out; an empty side fills nothing and leaves the mark.
    now_ns : int
        An earlier time than the latest seen counts as that one.
    venue_ns : int
        When the venue made the change: tells which trades it already shows.
    events : ndarray of state.EVENT, shape (MAX_EVENTS,)
    n : int
        Events written before.

    Returns
    -------
    int
        Number of events in total.
    """
    s = sim[0]
    now = max(now_ns, s["now_ns"])
    n = advance_orders(sim, account, params, book, now - 1, events, n)
    s["book_ns"] = venue_ns
    s["newest_ns"] = max(s["newest_ns"], venue_ns)
    bid, bid_lots, ask, ask_lots = book_touch(book)
    if bid_lots > 0 and ask_lots > 0 and bid >= ask:
        return advance_orders(sim, account, params, book, now, events, n)
    s["bid_ticks"] = bid if bid_lots > 0 else 0
    s["bid_lots"] = bid_lots
    s["ask_ticks"] = ask if ask_lots > 0 else 0
    s["ask_lots"] = ask_lots
    if s["taken"][0] + s["taken"][1] > 0:
        forget_taken(sim, book)
    if s["count"] > 0 or s["newest_ns"] <= s["gone_there_ns"]:
        n = match_touch(sim, account, params, _BUY, now, events, n)
        n = match_touch(sim, account, params, _SELL, now, events, n)
        for index in range(s["count"]):
            order = s["orders"][index]
            if order["status"] == _OPEN:
                lots = displayed_lots(book, order["side"], order["price_ticks"])
                queue_level(sim, params, index, lots, venue_ns)
    if bid_lots > 0 and ask_lots > 0:
        s["mark_half_ticks"] = bid + ask
        account_mark(account, bid + ask, now)
    return advance_orders(sim, account, params, book, now, events, n)


@njit
def simulator_on_market(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    book: NDArray[Any],
    words: NDArray[Any],
    events: NDArray[Any],
) -> tuple[int, int]:
    """Take in one message of the market data stream: the book's, or a best bid and offer.

    Parameters
    ----------
    sim : ndarray of state.SIMULATOR_STATE, shape (1,)
        Updated in place. `feed_latency_ns` becomes the message's, and delays what is sent next;
        `book_ns` its time on the venue's clock.
    account : ndarray of state.ACCOUNT, shape (1,)
        Updated in place.
    params : ndarray of state.SIMULATOR_PARAMS, shape (1,)
    book : ndarray of state.BOOK, shape (1,)
        Follows the message. Nothing is filled while it is not synchronised and LIVE.
    words : ndarray of int64
        The message from its header on.
    events : ndarray of state.EVENT, shape (MAX_EVENTS,)

    Returns
    -------
    tuple of int
        The BookCode of `book_follow` or `book_bbo`, and the number of events.
    """
    b = book[0]
    now = words[wire.NOW_NS]
    n = simulator_advance(sim, account, params, book, now - 1, events, _ZERO)
    epoch = (words[wire.INSTRUMENT_EPOCH] >> wire.EPOCH_SHIFT) & wire.MASK_32
    if (words[0] >> wire.TEMPLATE_SHIFT) & wire.MASK_16 == wire.TEMPLATE_BEST_BID_OFFER:
        if epoch != b["epoch"] or b["synced"] == 0:
            return _IGNORED, n
        venue_ns = words[wire.BBO_VENUE_NS]
        code = book_bbo(
            book,
            words[wire.BBO_UPDATE_ID],
            words[wire.BBO_BID_TICKS],
            words[wire.BBO_BID_LOTS],
            words[wire.BBO_ASK_TICKS],
            words[wire.BBO_ASK_LOTS],
        )
    else:
        venue_ns = words[wire.DELTA_VENUE_NS]  # in a snapshot at the same place
        code = book_follow(book, words)
    if code != _BOOK_OK or b["synced"] == 0 or b["book_state"] != _LIVE:
        return code, simulator_advance(sim, account, params, book, now, events, n)
    venue_ns = note_feed(sim, now, venue_ns)
    return code, simulator_on_book(sim, account, params, book, now, venue_ns, events, n)


@njit
def simulator_on_trade(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    book: NDArray[Any],
    price_ticks: int,
    qty_lots: int,
    aggressor: int,
    trade_id: int,
    now_ns: int,
    venue_ns: int,
    events: NDArray[Any],
) -> int:
    """Fill the own orders that a trade reaches or prints through.

    Parameters
    ----------
    sim : ndarray of state.SIMULATOR_STATE, shape (1,)
        Updated in place.
    account : ndarray of state.ACCOUNT, shape (1,)
        Updated in place.
    params : ndarray of state.SIMULATOR_PARAMS, shape (1,)
        In model FIFO_L3 nothing is filled here: simulator_on_order_event tells of the trades.
    book : ndarray of state.BOOK, shape (1,)
    price_ticks, qty_lots : int
    aggressor : int
        codes.Side of the taker: a sale may fill our bids, a purchase our asks.
    trade_id : int
    now_ns : int
        An earlier time than the latest seen counts as that one.
    venue_ns : int
        When the venue matched it; 0 where the feed does not tell.
    events : ndarray of state.EVENT, shape (MAX_EVENTS,)

    Returns
    -------
    int
        Number of events.
    """
    s = sim[0]
    now = max(now_ns, s["now_ns"])
    n = advance_orders(sim, account, params, book, now - 1, events, _ZERO)
    if s["count"] + s["gone"] > 0 and params[0]["fill_model"] != _MODEL_L3:
        at = venue_time_ns(sim, now, venue_ns)
        n = match_print(
            sim,
            account,
            params,
            -aggressor,
            price_ticks,
            qty_lots,
            _ZERO,
            trade_id,
            now,
            at,
            events,
            n,
        )
    return advance_orders(sim, account, params, book, now, events, n)


@njit
def simulator_on_order_event(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    book: NDArray[Any],
    kind: int,
    side: int,
    price_ticks: int,
    qty_lots: int,
    arrival_id: int,
    trade_id: int,
    now_ns: int,
    events: NDArray[Any],
) -> int:
    """Take in what happened to one resting order of the market, in model FIFO_L3.

    Parameters
    ----------
    sim : ndarray of state.SIMULATOR_STATE, shape (1,)
        Updated in place.
    account : ndarray of state.ACCOUNT, shape (1,)
        Updated in place.
    params : ndarray of state.SIMULATOR_PARAMS, shape (1,)
    book : ndarray of state.BOOK, shape (1,)
        Levels and touch still come by simulator_on_book.
    kind : int
        codes.OrderEventKind: it rests now, is gone without a trade, or was filled.
    side, price_ticks : int
        Of the resting order.
    qty_lots : int
        What came, went, or was filled.
    arrival_id : int
        Grows with the time at which orders took their place in the queue.
    trade_id, now_ns : int
    events : ndarray of state.EVENT, shape (MAX_EVENTS,)

    Returns
    -------
    int
        Number of events.
    """
    s = sim[0]
    now = max(now_ns, s["now_ns"])
    n = advance_orders(sim, account, params, book, now - 1, events, _ZERO)
    if kind == _ADD:
        s["arrival_id"] = max(s["arrival_id"], arrival_id)
    elif kind == _TRADE:
        n = match_print(
            sim,
            account,
            params,
            side,
            price_ticks,
            qty_lots,
            arrival_id,
            trade_id,
            now,
            venue_time_ns(sim, now, _ZERO),
            events,
            n,
        )
    else:
        for index in range(s["count"]):
            order = s["orders"][index]
            is_there = order["status"] == _OPEN and order["price_ticks"] == price_ticks
            if is_there and order["side"] == side and arrival_id <= order["arrival_id"]:
                order["ahead_lots"] = max(0.0, order["ahead_lots"] - qty_lots)
    return advance_orders(sim, account, params, book, now, events, n)


@njit
def simulator_position(
    sim: NDArray[Any], account: NDArray[Any], now_ns: int, out: NDArray[Any]
) -> None:
    """Fill `out` (records.POSITION, shape (1,)), all but `seq`, at `now_ns`."""
    s = sim[0]
    account_to_position(
        account,
        s["instrument_id"],
        s["epoch"],
        s["next_order_id"] - 1,
        s["count"],
        max(now_ns, s["now_ns"]),
        out,
    )
