"""Order kernels: the simulator's table of own orders and what is on its way to the venue.

The first `count` slots of `orders` are the orders alive, the oldest first. An order is NEW until
it reaches the venue at `active_ns`, then OPEN until it is filled or its cancellation arrives at
`cancel_ns`; an amendment arrives at `amend_ns`. At one time entries arrive first, then
amendments, then cancellations, and the oldest order first among them.

Every function that takes `events` (shape (MAX_EVENTS,)) writes from index `n` and returns the
number of events written in total.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import bare_njit as njit
from mmquant.codes import OrderKind, OrderStatus, Reason, Side, Template
from mmquant.kernels.gone_orders import keep_gone, tell_gone
from mmquant.kernels.latency import cancel_delay_ns, entry_delay_ns
from mmquant.kernels.risk import (
    maximum_tick_lots,
    minimum_tick_lots,
    order_reason,
    venue_reason,
)
from mmquant.state import MAX_CLIENTS, MAX_LEVELS, NEVER_NS

__all__ = [
    "amend_order",
    "cancel_order",
    "client_at",
    "earliest_due",
    "edge_reason",
    "end_order",
    "enter_orders",
    "find_order",
    "has_no_room",
    "known_filled_lots",
    "reconcile_orders",
    "remove_order",
    "report_order",
    "send_order",
]

# numpy integers, because numba compiles a function anew for each plain constant passed to it.
_ZERO: Any = np.int64(0)
_BUY: Any = np.int64(Side.BUY)
_SELL: Any = np.int64(Side.SELL)
_NEW: Any = np.int64(OrderStatus.NEW)
_OPEN: Any = np.int64(OrderStatus.OPEN)
_CANCELLED: Any = np.int64(OrderStatus.CANCELLED)
_REJECTED: Any = np.int64(OrderStatus.REJECTED)
_NONE: Any = np.int64(Reason.NONE)
_TOO_MANY_ORDERS: Any = np.int64(Reason.TOO_MANY_ORDERS)
_REPLACED: Any = np.int64(Reason.REPLACED)
_ORDER_UPDATE: Any = np.int64(Template.ORDER_UPDATE)
_POST_ONLY: Any = np.int64(OrderKind.POST_ONLY)
_LIMIT: Any = np.int64(OrderKind.LIMIT)


@njit
def report_order(
    sim: NDArray[Any],
    index: int,
    status: int,
    reason: int,
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Write the state of the order in slot `index` as an order update."""
    s = sim[0]
    order = s["orders"][index]
    e = events[n]
    e["now_ns"] = now_ns
    e["instrument_id"] = s["instrument_id"]
    e["epoch"] = s["epoch"]
    e["order_id"] = order["order_id"]
    e["quotes_seq"] = order["quotes_seq"]
    e["price_ticks"] = order["price_ticks"]
    e["qty_lots"] = order["qty_lots"]
    e["filled_lots"] = order["filled_lots"]
    e["fill_id"] = 0
    e["fee_micro_tick_lots"] = 0
    e["mark_half_ticks"] = 0
    e["trade_id"] = 0
    e["position_lots"] = 0
    e["template_id"] = _ORDER_UPDATE
    e["side"] = order["side"]
    e["status"] = status
    e["reason"] = reason
    e["kind"] = 0
    e["liquidity"] = 0
    e["client_id"] = order["client_id"]
    e["queue_entry_lots"] = 0
    e["queue_ahead_lots"] = 0
    e["queue_ns"] = 0
    e["known_ns"] = now_ns
    e["is_repeat"] = 0
    e["reserved"] = 0  # every byte is written: a backtest hashes rows in memory used before
    return n + 1


@njit
def remove_order(sim: NDArray[Any], index: int) -> None:
    """End the order in slot `index`: the younger ones move up."""
    s = sim[0]
    orders = s["orders"]
    last = s["count"] - 1
    for i in range(index, last):
        orders[i] = orders[i + 1]
    s["count"] = last


@njit
def earliest_due(sim: NDArray[Any]) -> int:
    """Return the slot of the next arrival, -1 without one; keep its time in `next_due_ns`."""
    s = sim[0]
    found = -1
    found_ns = NEVER_NS
    found_rank = 3
    for i in range(s["count"]):
        order = s["orders"][i]
        rank = 2
        due_ns = order["cancel_ns"]
        if order["status"] == _NEW:
            rank = 0
            due_ns = order["active_ns"]
        elif order["amend_ns"] <= due_ns and order["amend_ns"] != NEVER_NS:
            rank = 1
            due_ns = order["amend_ns"]
        if due_ns < found_ns or (due_ns == found_ns and rank < found_rank):
            found = i if due_ns != NEVER_NS else found
            found_ns = due_ns
            found_rank = rank
    s["next_due_ns"] = found_ns
    return found


@njit
def find_order(sim: NDArray[Any], order_id: int) -> int:
    """Return the slot of an order alive, -1 where it is not."""
    s = sim[0]
    for i in range(s["count"]):
        if s["orders"][i]["order_id"] == order_id:
            return i
    return -1


@njit
def client_at(sim: NDArray[Any], client_id: int) -> int:
    """Return the row of a client id in their table, -1 where it is new (or long forgotten)."""
    s = sim[0]
    for i in range(min(s["clients"], MAX_CLIENTS)):
        if s["client_table"][i]["client_id"] == client_id:
            return i
    return -1


@njit
def _keep_client(sim: NDArray[Any], index: int) -> None:
    """Keep the content of the order in slot `index`, in place of the oldest that has ended."""
    s = sim[0]
    order = s["orders"][index]
    at = s["clients"] % MAX_CLIENTS
    while find_order(sim, s["client_table"][at]["order_id"]) >= 0:  # fewer than rows are alive
        s["clients"] += 1
        at = s["clients"] % MAX_CLIENTS
    s["clients"] += 1
    client = s["client_table"][at]
    client["client_id"] = order["client_id"]
    client["order_id"] = order["order_id"]
    client["side"] = order["side"]
    client["kind"] = order["kind"]
    client["price_ticks"] = order["price_ticks"]
    client["qty_lots"] = order["qty_lots"]


@njit
def end_order(
    sim: NDArray[Any],
    index: int,
    status: int,
    reason: int,
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Report and remove the order in slot `index`; its client id goes on standing for its end.

    One that rested and is cancelled is gone: what the venue did before may still fill it.
    """
    s = sim[0]
    order = s["orders"][index]
    n = report_order(sim, index, status, reason, now_ns, events, n)
    if order["client_id"] != 0:
        client = s["client_table"][client_at(sim, order["client_id"])]
        client["status"] = status
        client["reason"] = reason
        client["last_price_ticks"] = order["price_ticks"]
        client["last_qty_lots"] = order["qty_lots"]
        client["filled_lots"] = order["filled_lots"]
    rested = order["status"] == _OPEN and order["kind"] <= _LIMIT
    if status == _CANCELLED and rested:
        keep_gone(sim, index, order["cancel_there_ns"], now_ns)
    if s["gone"] > 0:
        order["status"] = status
        order["reason"] = reason
        tell_gone(sim, index)
    remove_order(sim, index)
    return n


@njit
def cancel_order(
    sim: NDArray[Any],
    params: NDArray[Any],
    recorded: NDArray[Any],
    index: int,
    reason: int,
    now_ns: int,
) -> None:
    """Send the cancellation of one order; it never arrives before the order itself."""
    s = sim[0]
    order = s["orders"][index]
    delay = cancel_delay_ns(sim, params, recorded, now_ns)
    order["cancel_ns"] = max(now_ns + s["feed_latency_ns"] + delay, order["active_ns"])
    order["cancel_there_ns"] = max(now_ns + s["clock_ahead_ns"] + delay, order["there_ns"])
    order["reason"] = reason
    s["next_due_ns"] = min(s["next_due_ns"], order["cancel_ns"])


@njit
def amend_order(
    sim: NDArray[Any],
    params: NDArray[Any],
    recorded: NDArray[Any],
    index: int,
    price_ticks: int,
    qty_lots: int,
    now_ns: int,
) -> None:
    """Send another price and quantity for one order; never there before the order itself."""
    s = sim[0]
    order = s["orders"][index]
    delay = entry_delay_ns(sim, params, recorded, now_ns)
    order["amend_ns"] = max(now_ns + s["feed_latency_ns"] + delay, order["active_ns"])
    order["amend_there_ns"] = max(now_ns + s["clock_ahead_ns"] + delay, order["there_ns"])
    order["amend_price_ticks"] = price_ticks
    order["amend_qty_lots"] = qty_lots
    s["next_due_ns"] = min(s["next_due_ns"], order["amend_ns"])


@njit
def _find_level(levels: NDArray[Any], side: int, price_ticks: int, claimed: int) -> int:
    """Return the wanted level at this side and price that no order stands for yet, or -1."""
    first = 0 if side > 0 else MAX_LEVELS
    for i in range(first, first + MAX_LEVELS):
        if levels[i]["qty_lots"] > 0 and levels[i]["price_ticks"] == price_ticks:
            if not claimed & (1 << i):
                return i
    return -1


@njit
def _claim_unheard(sim: NDArray[Any], levels: NDArray[Any], heard_ns: int) -> int:
    """Return the bits of the levels that orders stand for whose end is not known by `heard_ns`."""
    s = sim[0]
    claimed = 0
    kept = 0
    for i in range(s["unheard"]):
        if s["unheard_known_ns"][i] <= heard_ns:
            continue
        side = s["unheard_side"][i]
        price = s["unheard_ticks"][i]
        s["unheard_known_ns"][kept] = s["unheard_known_ns"][i]
        s["unheard_side"][kept] = side
        s["unheard_ticks"][kept] = price
        kept += 1
        level = _find_level(levels, side, price, claimed)
        if level >= 0:
            claimed |= 1 << level
    s["unheard"] = kept
    return claimed


@njit
def known_filled_lots(sim: NDArray[Any], index: int, heard_ns: int) -> int:
    """Return how much of the order in slot `index` the trader who heard all up to then knows of."""
    s = sim[0]
    order = s["orders"][index]
    lots = order["filled_lots"]
    for i in range(s["late_fills"]):
        if s["late_known_ns"][i] > heard_ns and s["late_order_id"][i] == order["order_id"]:
            lots -= s["late_lots"][i]
    return int(lots)


@njit
def reconcile_orders(
    sim: NDArray[Any],
    params: NDArray[Any],
    recorded: NDArray[Any],
    levels: NDArray[Any],
    quotes_seq: int,
    now_ns: int,
    heard_ns: int,
) -> int:
    """Keep or shrink the orders still wanted, cancel the others; return the claimed bits.

    What is left of an order is what the trader, who heard all answers up to `heard_ns`, believes
    to be left.
    """
    s = sim[0]
    claimed = _claim_unheard(sim, levels, heard_ns)
    for index in range(s["count"]):
        order = s["orders"][index]
        if order["cancel_ns"] != NEVER_NS:
            continue
        is_amended = order["amend_ns"] != NEVER_NS
        price = order["amend_price_ticks"] if is_amended else order["price_ticks"]
        qty = order["amend_qty_lots"] if is_amended else order["qty_lots"]
        level = _find_level(levels, order["side"], price, claimed)
        excess = qty - known_filled_lots(sim, index, heard_ns)
        if level >= 0:
            excess -= levels[level]["qty_lots"]
        if level < 0 or excess < 0 or (excess > 0 and is_amended):
            cancel_order(sim, params, recorded, index, _REPLACED, now_ns)
            continue
        claimed |= 1 << level
        if excess > 0:  # less at the same price keeps its place in the queue
            order["quotes_seq"] = quotes_seq
            amend_order(sim, params, recorded, index, price, qty - excess, now_ns)
    return claimed


@njit
def edge_reason(
    sim: NDArray[Any], instrument: NDArray[Any], side: int, price_ticks: int, qty_lots: int
) -> Any:
    """Return NONE, or the first of the venue's filters that an order breaks on its way in.

    The mid stands for the price that the percent-price filter compares with: without one, that
    filter waits, as at a venue that has not traded yet.
    """
    i = instrument[0]
    tick = i["tick_size_e8"]
    lot = i["lot_size_e8"]
    least = minimum_tick_lots(i["min_notional_e8"], tick, lot) if i["min_notional_e8"] > 0 else 0
    mark = sim[0]["mark_half_ticks"]
    if mark <= 0:
        return order_reason(instrument[0], least, price_ticks, qty_lots)
    most = maximum_tick_lots(i["max_notional_e8"], tick, lot)
    return venue_reason(instrument[0], least, most, side, price_ticks, qty_lots, mark)


@njit
def has_no_room(sim: NDArray[Any], now_ns: int) -> bool:
    """Tell whether the venue, where an order arrives now, has as many open as it allows.

    One whose cancellation is at the venue is none of them, one whose cancellation is on its way
    still is.
    """
    s = sim[0]
    most = s["max_open_orders"]
    if most == 0 or s["count"] <= most:  # the one that arrives is among them
        return False
    resting = 0
    for i in range(s["count"]):
        order = s["orders"][i]
        if order["status"] == _OPEN and order["cancel_ns"] > now_ns:
            resting += 1
    return bool(resting >= most)


@njit
def send_order(
    sim: NDArray[Any],
    params: NDArray[Any],
    recorded: NDArray[Any],
    kind: int,
    side: int,
    price_ticks: int,
    qty_lots: int,
    client_id: int,
    quotes_seq: int,
    reason: int,
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Send one order: NEW, or REJECTED at once with `reason` or where the table is full."""
    s = sim[0]
    slot = s["count"]  # there is always one more than max_orders
    order = s["orders"][slot]
    order["order_id"] = s["next_order_id"]
    order["client_id"] = client_id
    order["quotes_seq"] = quotes_seq
    order["price_ticks"] = price_ticks
    order["qty_lots"] = qty_lots
    order["filled_lots"] = 0
    order["active_ns"] = now_ns
    order["amend_ns"] = NEVER_NS
    order["cancel_ns"] = NEVER_NS
    order["side"] = side
    order["kind"] = kind
    order["status"] = _NEW
    order["reason"] = _NONE
    s["next_order_id"] += 1
    if slot >= params[0]["max_orders"]:
        reason = _TOO_MANY_ORDERS
    if reason != _NONE:
        return report_order(sim, slot, _REJECTED, reason, now_ns, events, n)
    delay = entry_delay_ns(sim, params, recorded, now_ns)
    order["active_ns"] = now_ns + s["feed_latency_ns"] + delay
    order["there_ns"] = now_ns + s["clock_ahead_ns"] + delay
    if client_id != 0:
        _keep_client(sim, slot)
    s["count"] = slot + 1
    s["next_due_ns"] = min(s["next_due_ns"], order["active_ns"])
    return report_order(sim, slot, _NEW, _NONE, now_ns, events, n)


@njit
def enter_orders(
    sim: NDArray[Any],
    params: NDArray[Any],
    instrument: NDArray[Any],
    recorded: NDArray[Any],
    levels: NDArray[Any],
    claimed: int,
    quotes_seq: int,
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Send a post-only order for every wanted level that none stands for."""
    for k in range(2 * MAX_LEVELS):
        level = levels[k]
        if level["qty_lots"] <= 0 or claimed & (1 << k):
            continue
        side = _BUY if k < MAX_LEVELS else _SELL
        price = level["price_ticks"]
        qty = level["qty_lots"]
        reason = edge_reason(sim, instrument, side, price, qty)
        n = send_order(
            sim,
            params,
            recorded,
            _POST_ONLY,
            side,
            price,
            qty,
            _ZERO,
            quotes_seq,
            reason,
            now_ns,
            events,
            n,
        )
    return n
