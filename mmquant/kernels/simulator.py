"""Simulator kernels: quotes and market -> fills, with every order's latency and end.

How an own order is filled, always at its own price and always as maker:

- CROSS: the venue's opposite touch reaches or passes it. At most the lots displayed there, each
  displayed lot once for as long as the touch keeps its price.
- THROUGH: a trade prints strictly beyond it. At most the printed lots over all own orders, and
  each order only with the chance `fill_probability_factor`. A print at its own price never
  fills it: our place in the queue is unknown, so we take it to be the last one.

Best price first, then the oldest order. The mark of a fill is the mid before the event that
filled it; the mark moves after the fills.

Order of things at one time: the market's event first, then entries that arrive, then
cancellations that arrive, then by order id. What is due strictly before an event comes before
it. An order being cancelled can still be filled, and its replacement already rests meanwhile:
both may fill, as at a real venue, so the position can pass the strategy's limit by that much.

Every function that takes `events` (shape (MAX_EVENTS,)) writes what happened from index `n` or 0
in order of time and returns the number of events written in total.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import njit
from mmquant.codes import FillKind, Liquidity, OrderStatus, Reason, Side, Template
from mmquant.kernels.accounting import account_fill, account_mark, account_to_position
from mmquant.kernels.orders import (
    advance_orders,
    cancel_order,
    enter_orders,
    reconcile_orders,
    remove_order,
    report_order,
)
from mmquant.state import NEVER_NS

__all__ = [
    "simulator_advance",
    "simulator_cancel_all",
    "simulator_on_quotes",
    "simulator_on_touch",
    "simulator_on_trade",
    "simulator_position",
]

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_OPEN = int(OrderStatus.OPEN)
_FILLED = int(OrderStatus.FILLED)
_CANCELLED = int(OrderStatus.CANCELLED)
_NONE = int(Reason.NONE)
_PULLED = int(Reason.PULLED)
_CROSS = int(FillKind.CROSS)
_THROUGH = int(FillKind.THROUGH)
_MAKER = int(Liquidity.MAKER)
_FILL = int(Template.FILL)
_UNIT = 2.0**-53


@njit
def _uniform(sim: NDArray[Any]) -> float:
    """Return the next random number in [0, 1): xorshift64 (Marsaglia 2003, shifts 13, 7, 17)."""
    s = sim[0]
    x = s["random"]
    x = x ^ (x << np.uint64(13))
    x = x ^ (x >> np.uint64(7))
    x = x ^ (x << np.uint64(17))
    s["random"] = x
    return float(x >> np.uint64(11)) * _UNIT


@njit
def simulator_advance(sim: NDArray[Any], now_ns: int, events: NDArray[Any]) -> int:
    """Let time pass without a message: entries and cancellations due arrive."""
    return advance_orders(sim, max(now_ns, sim[0]["now_ns"]), events, 0)


@njit
def simulator_on_quotes(
    sim: NDArray[Any],
    params: NDArray[Any],
    instrument: NDArray[Any],
    quotes: NDArray[Any],
    levels: NDArray[Any],
    now_ns: int,
    events: NDArray[Any],
) -> int:
    """Make the own orders those that the strategy wants.

    An order at a wanted side and price is kept, and shrinks in place where less is wanted.
    Every other is cancelled and every other level entered, each after its latency. Quotes with
    a reason cancel everything.

    Parameters
    ----------
    sim : ndarray of state.SIMULATOR_STATE, shape (1,)
        Updated in place.
    params : ndarray of state.SIMULATOR_PARAMS, shape (1,)
    instrument : ndarray of records.INSTRUMENT, shape (1,)
        Its filters reject what breaks them; tick and lot size positive.
    quotes : ndarray of records.QUOTES, shape (1,)
        `seq`, `instrument_id`, `epoch` and `reason` are read.
    levels : ndarray of records.LEVEL, shape (2 * MAX_LEVELS,)
        As strategy_step writes them: bids from 0, asks from MAX_LEVELS.
    now_ns : int
        An earlier time than the latest seen counts as that one.
    events : ndarray of state.EVENT, shape (MAX_EVENTS,)

    Returns
    -------
    int
        Number of events.
    """
    s = sim[0]
    q = quotes[0]
    now = max(now_ns, s["now_ns"])
    n = advance_orders(sim, now, events, 0)
    s["instrument_id"] = q["instrument_id"]
    s["epoch"] = q["epoch"]
    if q["reason"] != _NONE:
        for index in range(s["count"]):
            if s["orders"][index]["cancel_ns"] == NEVER_NS:
                cancel_order(sim, params, index, _PULLED, now)
        return advance_orders(sim, now, events, n)
    claimed, n = reconcile_orders(sim, params, levels, q["seq"], now, events, n)
    n = advance_orders(sim, now, events, n)  # what is cancelled at once makes room
    n = enter_orders(sim, params, instrument, levels, claimed, q["seq"], now, events, n)
    return advance_orders(sim, now, events, n)


@njit
def simulator_cancel_all(sim: NDArray[Any], now_ns: int, reason: int, events: NDArray[Any]) -> int:
    """End every order at once with `reason` (an int): a dead man's switch, or a restart."""
    s = sim[0]
    now = max(now_ns, s["now_ns"])
    n = advance_orders(sim, now, events, 0)
    for index in range(s["count"]):
        n = report_order(sim, index, _CANCELLED, reason, now, events, n)
    s["count"] = 0
    s["next_due_ns"] = NEVER_NS
    return n


@njit
def _next_order(sim: NDArray[Any], side: int, least_key: int, after_key: int, after_id: int) -> int:
    """Return the slot of the next open order to fill, -1 without one.

    The key is side times price, larger is better: an order comes up where its key is at least
    `least_key`, best key first, then the oldest, and behind (`after_key`, `after_id`).
    """
    s = sim[0]
    found = -1
    found_key = least_key - 1
    for i in range(s["count"]):
        order = s["orders"][i]
        if order["side"] != side or order["status"] != _OPEN:
            continue
        key = side * order["price_ticks"]
        if key > after_key or (key == after_key and order["order_id"] <= after_id):
            continue
        if key > found_key:
            found = i
            found_key = key
    return found


@njit
def _fill_order(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    index: int,
    qty_lots: int,
    kind: int,
    trade_id: int,
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Fill the order in slot `index` at its own price: a fill, then the order's update."""
    s = sim[0]
    p = params[0]
    order = s["orders"][index]
    side = order["side"]
    price = order["price_ticks"]
    mark = s["mark_half_ticks"]
    fee = account_fill(
        account, side, price, qty_lots, p["maker_fee_ppm"], mark, now_ns, p["markout_horizon_ns"]
    )
    order["filled_lots"] += qty_lots
    done = order["filled_lots"] >= order["qty_lots"]
    report_order(sim, index, _OPEN, _NONE, now_ns, events, n)
    e = events[n]
    e["qty_lots"] = qty_lots
    e["fill_id"] = account[0]["last_fill_id"]
    e["fee_micro_tick_lots"] = fee
    e["mark_half_ticks"] = mark
    e["trade_id"] = trade_id
    e["position_lots"] = account[0]["position_lots"]
    e["template_id"] = _FILL
    e["kind"] = kind
    e["liquidity"] = _MAKER
    n = report_order(sim, index, _FILLED if done else _OPEN, _NONE, now_ns, events, n + 1)
    if done:
        remove_order(sim, index)
    return n


@njit
def _match_touch(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    side: int,
    touch_ticks: int,
    touch_lots: int,
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Fill the orders of `side` that the venue's opposite touch reaches or passes."""
    used = sim[0]["used_lots"]
    slot = 0 if side > 0 else 1
    while touch_ticks > 0 and used[slot] < touch_lots:
        index = _next_order(sim, side, side * touch_ticks, NEVER_NS, 0)
        if index < 0:
            break
        order = sim[0]["orders"][index]
        qty = min(touch_lots - used[slot], order["qty_lots"] - order["filled_lots"])
        used[slot] += qty
        n = _fill_order(sim, account, params, index, qty, _CROSS, 0, now_ns, events, n)
    return n


@njit
def simulator_on_touch(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    bid_ticks: int,
    bid_lots: int,
    ask_ticks: int,
    ask_lots: int,
    now_ns: int,
    events: NDArray[Any],
) -> int:
    """Take over the venue's best bid and ask: fill what they reach, then move the mark.

    Parameters
    ----------
    sim : ndarray of state.SIMULATOR_STATE, shape (1,)
        Updated in place.
    account : ndarray of state.ACCOUNT, shape (1,)
        Updated in place.
    params : ndarray of state.SIMULATOR_PARAMS, shape (1,)
    bid_ticks, bid_lots, ask_ticks, ask_lots : int
        A price of 0 is an empty side: nothing is filled against it and the mark stays. A
        crossed touch (bid at or above ask) is no market at all and is left out.
    now_ns : int
        An earlier time than the latest seen counts as that one.
    events : ndarray of state.EVENT, shape (MAX_EVENTS,)

    Returns
    -------
    int
        Number of events.
    """
    s = sim[0]
    now = max(now_ns, s["now_ns"])
    n = advance_orders(sim, now - 1, events, 0)
    if 0 < ask_ticks <= bid_ticks:
        return advance_orders(sim, now, events, n)
    if ask_ticks != s["ask_ticks"]:
        s["used_lots"][0] = 0
    if bid_ticks != s["bid_ticks"]:
        s["used_lots"][1] = 0
    s["bid_ticks"] = bid_ticks
    s["bid_lots"] = bid_lots
    s["ask_ticks"] = ask_ticks
    s["ask_lots"] = ask_lots
    n = _match_touch(sim, account, params, _BUY, ask_ticks, ask_lots, now, events, n)
    n = _match_touch(sim, account, params, _SELL, bid_ticks, bid_lots, now, events, n)
    if bid_ticks > 0 and ask_ticks > 0:
        s["mark_half_ticks"] = bid_ticks + ask_ticks
        account_mark(account, bid_ticks + ask_ticks, now)
    return advance_orders(sim, now, events, n)


@njit
def simulator_on_trade(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    price_ticks: int,
    qty_lots: int,
    aggressor: int,
    trade_id: int,
    now_ns: int,
    events: NDArray[Any],
) -> int:
    """Fill the own orders that a trade printed through.

    Parameters
    ----------
    sim : ndarray of state.SIMULATOR_STATE, shape (1,)
        Updated in place.
    account : ndarray of state.ACCOUNT, shape (1,)
        Updated in place.
    params : ndarray of state.SIMULATOR_PARAMS, shape (1,)
    price_ticks, qty_lots : int
    aggressor : int
        codes.Side of the taker: a sale may fill our bids, a purchase our asks.
    trade_id : int
    now_ns : int
        An earlier time than the latest seen counts as that one.
    events : ndarray of state.EVENT, shape (MAX_EVENTS,)

    Returns
    -------
    int
        Number of events.
    """
    s = sim[0]
    now = max(now_ns, s["now_ns"])
    n = advance_orders(sim, now - 1, events, 0)
    side = -aggressor
    left = qty_lots
    key = NEVER_NS
    order_id = 0
    while left > 0:
        index = _next_order(sim, side, side * price_ticks + 1, key, order_id)
        if index < 0:
            break
        order = s["orders"][index]
        key = side * order["price_ticks"]
        order_id = order["order_id"]
        if _uniform(sim) >= params[0]["fill_probability_factor"]:
            continue
        qty = min(left, order["qty_lots"] - order["filled_lots"])
        left -= qty
        n = _fill_order(sim, account, params, index, qty, _THROUGH, trade_id, now, events, n)
    return advance_orders(sim, now, events, n)


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
