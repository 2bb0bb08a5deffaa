"""Order kernels: the simulator's table of own orders, their way to the venue and their end.

The first `count` slots of `orders` are the orders alive, the oldest first. An order is NEW until
it reaches the venue at `active_ns`, then OPEN until it is filled or its cancellation arrives at
`cancel_ns`. At one time entries arrive before cancellations, and the oldest order first.

Every function that takes `events` (shape (MAX_EVENTS,)) writes from index `n` and returns the
number of events written in total.
"""

from typing import Any

from numpy.typing import NDArray

from mmquant._jit import njit
from mmquant.codes import OrderStatus, Reason, Side, Template
from mmquant.kernels.risk import minimum_tick_lots, order_reason
from mmquant.state import MAX_LEVELS, NEVER_NS

__all__ = [
    "advance_orders",
    "cancel_order",
    "enter_orders",
    "reconcile_orders",
    "remove_order",
    "report_order",
]

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_NEW = int(OrderStatus.NEW)
_OPEN = int(OrderStatus.OPEN)
_CANCELLED = int(OrderStatus.CANCELLED)
_REJECTED = int(OrderStatus.REJECTED)
_NONE = int(Reason.NONE)
_NO_MARKET_DATA = int(Reason.NO_MARKET_DATA)
_WOULD_CROSS = int(Reason.WOULD_CROSS)
_TOO_MANY_ORDERS = int(Reason.TOO_MANY_ORDERS)
_REPLACED = int(Reason.REPLACED)
_ORDER_UPDATE = int(Template.ORDER_UPDATE)


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
def _earliest_due(sim: NDArray[Any]) -> int:
    """Return the slot of the next arrival, -1 without one; keep its time in `next_due_ns`."""
    s = sim[0]
    found = -1
    found_ns = NEVER_NS
    found_new = False
    for i in range(s["count"]):
        order = s["orders"][i]
        is_new = order["status"] == _NEW
        due_ns = order["active_ns"] if is_new else order["cancel_ns"]
        # At one time an entry arrives before a cancellation, and the oldest order first.
        if due_ns < found_ns or (due_ns == found_ns and is_new and not found_new):
            found = i
            found_ns = due_ns
            found_new = is_new
    s["next_due_ns"] = found_ns
    return found


@njit
def _arrive(sim: NDArray[Any], index: int, events: NDArray[Any], n: int) -> int:
    """Open an order that reaches the venue, unless it would take: it is post-only."""
    s = sim[0]
    order = s["orders"][index]
    side = order["side"]
    touch = s["ask_ticks"] if side > 0 else s["bid_ticks"]
    reason = _NONE
    if s["mark_half_ticks"] == 0:
        reason = _NO_MARKET_DATA
    elif touch > 0 and side * (order["price_ticks"] - touch) >= 0:
        reason = _WOULD_CROSS
    if reason == _NONE:
        order["status"] = _OPEN
        return report_order(sim, index, _OPEN, _NONE, order["active_ns"], events, n)
    n = report_order(sim, index, _REJECTED, reason, order["active_ns"], events, n)
    remove_order(sim, index)
    return n


@njit
def advance_orders(sim: NDArray[Any], until_ns: int, events: NDArray[Any], n: int) -> int:
    """Let every entry and cancellation due up to `until_ns` arrive, in order of time."""
    s = sim[0]
    while s["next_due_ns"] <= until_ns:
        index = _earliest_due(sim)
        if s["next_due_ns"] > until_ns:
            break
        order = s["orders"][index]
        if order["status"] == _NEW:
            n = _arrive(sim, index, events, n)
        else:
            n = report_order(sim, index, _CANCELLED, order["reason"], order["cancel_ns"], events, n)
            remove_order(sim, index)
    s["now_ns"] = max(s["now_ns"], until_ns)
    return n


@njit
def cancel_order(
    sim: NDArray[Any], params: NDArray[Any], index: int, reason: int, now_ns: int
) -> None:
    """Send the cancellation of one order; it never arrives before the order itself."""
    s = sim[0]
    order = s["orders"][index]
    order["cancel_ns"] = max(now_ns + params[0]["cancel_latency_ns"], order["active_ns"])
    order["reason"] = reason
    if order["status"] == _OPEN:
        s["next_due_ns"] = min(s["next_due_ns"], order["cancel_ns"])


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
def reconcile_orders(
    sim: NDArray[Any],
    params: NDArray[Any],
    levels: NDArray[Any],
    quotes_seq: int,
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> tuple[int, int]:
    """Keep or shrink the orders still wanted, cancel the others; return (claimed bits, n)."""
    s = sim[0]
    claimed = 0
    for index in range(s["count"]):
        order = s["orders"][index]
        if order["cancel_ns"] != NEVER_NS:
            continue
        level = _find_level(levels, order["side"], order["price_ticks"], claimed)
        excess = order["qty_lots"] - order["filled_lots"]
        if level >= 0:
            excess -= levels[level]["qty_lots"]
        if level < 0 or excess < 0:
            cancel_order(sim, params, index, _REPLACED, now_ns)
            continue
        claimed |= 1 << level
        if excess > 0:  # less at the same price keeps its place in the queue
            order["qty_lots"] -= excess
            order["quotes_seq"] = quotes_seq
            n = report_order(sim, index, order["status"], _NONE, now_ns, events, n)
    return claimed, n


@njit
def _enter(
    sim: NDArray[Any],
    params: NDArray[Any],
    instrument: NDArray[Any],
    min_tick_lots: int,
    side: int,
    price_ticks: int,
    qty_lots: int,
    quotes_seq: int,
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Send one order: NEW, or REJECTED at once where the table is full or a filter breaks it."""
    s = sim[0]
    slot = s["count"]  # there is always one more than max_orders
    order = s["orders"][slot]
    order["order_id"] = s["next_order_id"]
    order["quotes_seq"] = quotes_seq
    order["price_ticks"] = price_ticks
    order["qty_lots"] = qty_lots
    order["filled_lots"] = 0
    order["active_ns"] = now_ns + params[0]["entry_latency_ns"]
    order["cancel_ns"] = NEVER_NS
    order["side"] = side
    order["status"] = _NEW
    order["reason"] = _NONE
    s["next_order_id"] += 1
    if slot >= params[0]["max_orders"]:
        return report_order(sim, slot, _REJECTED, _TOO_MANY_ORDERS, now_ns, events, n)
    reason = order_reason(instrument, min_tick_lots, price_ticks, qty_lots)
    if reason != _NONE:
        return report_order(sim, slot, _REJECTED, reason, now_ns, events, n)
    s["count"] = slot + 1
    s["next_due_ns"] = min(s["next_due_ns"], order["active_ns"])
    return report_order(sim, slot, _NEW, _NONE, now_ns, events, n)


@njit
def enter_orders(
    sim: NDArray[Any],
    params: NDArray[Any],
    instrument: NDArray[Any],
    levels: NDArray[Any],
    claimed: int,
    quotes_seq: int,
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Send an order for every wanted level that none stands for."""
    i = instrument[0]
    least = minimum_tick_lots(i["min_notional_e8"], i["tick_size_e8"], i["lot_size_e8"])
    for k in range(2 * MAX_LEVELS):
        level = levels[k]
        if level["qty_lots"] <= 0 or claimed & (1 << k):
            continue
        side = _BUY if k < MAX_LEVELS else _SELL
        price = level["price_ticks"]
        qty = level["qty_lots"]
        n = _enter(sim, params, instrument, least, side, price, qty, quotes_seq, now_ns, events, n)
    return n
