"""Request kernels: entries, amendments and cancellations on their way to the venue, and there.

At the venue (`advance_orders`): a post-only order that would take is rejected; LIMIT takes what
it can and rests with the remainder; IOC and MARKET expire with it; FOK takes all or nothing. An
amendment keeps the place in the queue only where the price stays and the size does not grow; as
at the venue, one to a quantity that is filled already, or of a post-only order to a price where
it would take, ends the order.

On the way in (`send_request`): a request that cannot be right is answered by a rejection with
its reason, order id 0 or that of the order meant, and nothing else changes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import bare_njit as njit
from mmquant.codes import OrderAction, OrderKind, OrderStatus, Reason
from mmquant.kernels.gone_orders import keep_gone, tell_gone
from mmquant.kernels.matching import match_arrival
from mmquant.kernels.orders import (
    amend_order,
    cancel_order,
    client_at,
    earliest_due,
    edge_reason,
    end_order,
    find_order,
    has_no_room,
    known_filled_lots,
    report_order,
    send_order,
)
from mmquant.kernels.queue_models import displayed_lots, queue_enter
from mmquant.state import NEVER_NS

__all__ = ["advance_orders", "send_request"]

# numpy integers, because numba compiles a function anew for each plain constant passed to it.
_ZERO: Any = np.int64(0)
_ONE: Any = np.int64(1)
_NEW: Any = np.int64(OrderStatus.NEW)
_OPEN: Any = np.int64(OrderStatus.OPEN)
_CANCELLED: Any = np.int64(OrderStatus.CANCELLED)
_REJECTED: Any = np.int64(OrderStatus.REJECTED)
_NONE: Any = np.int64(Reason.NONE)
_NO_MARKET_DATA: Any = np.int64(Reason.NO_MARKET_DATA)
_WOULD_CROSS: Any = np.int64(Reason.WOULD_CROSS)
_UNKNOWN_ORDER: Any = np.int64(Reason.UNKNOWN_ORDER)
_ORDER_ENDED: Any = np.int64(Reason.ORDER_ENDED)
_CANCEL_IN_FLIGHT: Any = np.int64(Reason.CANCEL_IN_FLIGHT)
_AMENDMENT_IN_FLIGHT: Any = np.int64(Reason.AMENDMENT_IN_FLIGHT)
_DUPLICATE_CLIENT_ID: Any = np.int64(Reason.DUPLICATE_CLIENT_ID)
_NOT_FILLABLE: Any = np.int64(Reason.NOT_FILLABLE)
_REST_EXPIRED: Any = np.int64(Reason.REST_EXPIRED)
_BELOW_FILLED: Any = np.int64(Reason.BELOW_FILLED)
_INVALID_ORDER: Any = np.int64(Reason.INVALID_ORDER)
_TOO_MANY_ORDERS: Any = np.int64(Reason.TOO_MANY_ORDERS)
_CANCEL_REQUESTED: Any = np.int64(Reason.CANCEL_REQUESTED)
_POST_ONLY: Any = np.int64(OrderKind.POST_ONLY)
_LIMIT: Any = np.int64(OrderKind.LIMIT)
_FOK: Any = np.int64(OrderKind.FOK)
_MARKET: Any = np.int64(OrderKind.MARKET)
_ANY_PRICE = 2**60
_ACTION_NEW: Any = np.int64(OrderAction.NEW)
_ACTION_AMEND: Any = np.int64(OrderAction.AMEND)
_ACTION_CANCEL: Any = np.int64(OrderAction.CANCEL)


@njit
def _crosses(sim: NDArray[Any], side: int, price_ticks: int) -> bool:
    """Tell whether an order at this price would take."""
    s = sim[0]
    touch = s["ask_ticks"] if side > 0 else s["bid_ticks"]
    return bool(touch > 0 and side * (price_ticks - touch) >= 0)


@njit
def _settle(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    book: NDArray[Any],
    index: int,
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Let an order that is at the venue now take what it may, then rest or expire."""
    order = sim[0]["orders"][index]
    kind = order["kind"]
    side = order["side"]
    limit = order["price_ticks"]
    if kind != _POST_ONLY:
        if kind == _MARKET:
            limit = side * _ANY_PRICE
        wanted = order["qty_lots"] - order["filled_lots"]
        taken, n = match_arrival(sim, account, params, book, index, limit, _ZERO, now_ns, events, n)
        if taken >= wanted:
            return n
        if kind != _LIMIT:
            return end_order(sim, index, _CANCELLED, _REST_EXPIRED, now_ns, events, n)
    queue_enter(sim, index, displayed_lots(book, side, limit), now_ns)
    return n


@njit
def _arrive(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    book: NDArray[Any],
    index: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Open an order that reaches the venue, unless its kind forbids."""
    s = sim[0]
    order = s["orders"][index]
    now = order["active_ns"]
    kind = order["kind"]
    if s["mark_half_ticks"] == 0:
        return end_order(sim, index, _REJECTED, _NO_MARKET_DATA, now, events, n)
    if has_no_room(sim, now):
        return end_order(sim, index, _REJECTED, _TOO_MANY_ORDERS, now, events, n)
    if kind == _POST_ONLY and _crosses(sim, order["side"], order["price_ticks"]):
        return end_order(sim, index, _REJECTED, _WOULD_CROSS, now, events, n)
    if kind == _FOK:
        limit = order["price_ticks"]
        possible, n = match_arrival(sim, account, params, book, index, limit, _ONE, now, events, n)
        if possible < order["qty_lots"]:
            return end_order(sim, index, _REJECTED, _NOT_FILLABLE, now, events, n)
    order["status"] = _OPEN
    n = report_order(sim, index, _OPEN, _NONE, now, events, n)
    return _settle(sim, account, params, book, index, now, events, n)


@njit
def _arrive_amendment(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    book: NDArray[Any],
    index: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Give an open order the price and the quantity that were asked for.

    What it loses by that, a place in the queue or lots, is gone as if it was cancelled.
    """
    s = sim[0]
    order = s["orders"][index]
    now = order["amend_ns"]
    price = order["amend_price_ticks"]
    qty = order["amend_qty_lots"]
    order["amend_ns"] = NEVER_NS
    if qty <= order["filled_lots"]:
        order["cancel_there_ns"] = order["amend_there_ns"]
        return end_order(sim, index, _CANCELLED, _BELOW_FILLED, now, events, n)
    keeps_place = price == order["price_ticks"] and qty <= order["qty_lots"]
    if not keeps_place and order["kind"] == _POST_ONLY and _crosses(sim, order["side"], price):
        order["cancel_there_ns"] = order["amend_there_ns"]
        return end_order(sim, index, _CANCELLED, _WOULD_CROSS, now, events, n)
    if not keeps_place or qty < order["qty_lots"]:
        keep_gone(sim, index, order["amend_there_ns"], now)
    order["price_ticks"] = price
    order["qty_lots"] = qty
    if s["gone"] > 0:
        tell_gone(sim, index)
    n = report_order(sim, index, _OPEN, _NONE, now, events, n)
    if keeps_place:
        return n
    order["there_ns"] = order["amend_there_ns"]
    return _settle(sim, account, params, book, index, now, events, n)


@njit
def _let_arrive(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    book: NDArray[Any],
    until_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Let everything due up to `until_ns` arrive, in order of time."""
    s = sim[0]
    while s["next_due_ns"] <= until_ns:
        index = earliest_due(sim)
        if s["next_due_ns"] > until_ns:
            break
        order = s["orders"][index]
        if order["status"] == _NEW:
            n = _arrive(sim, account, params, book, index, events, n)
        elif order["amend_ns"] <= order["cancel_ns"]:
            n = _arrive_amendment(sim, account, params, book, index, events, n)
        else:
            n = end_order(sim, index, _CANCELLED, order["reason"], order["cancel_ns"], events, n)
    return n


@njit
def advance_orders(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    book: NDArray[Any],
    until_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Let time pass up to `until_ns`: nearly always one comparison, so that is compiled in."""
    s = sim[0]
    if s["next_due_ns"] <= until_ns:
        n = _let_arrive(sim, account, params, book, until_ns, events, n)
    s["now_ns"] = max(s["now_ns"], until_ns)
    return n


@njit
def _refuse(
    sim: NDArray[Any],
    request: NDArray[Any],
    reason: int,
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Answer a request with a rejection; nothing else changes."""
    s = sim[0]
    r = request[0]
    n = report_order(sim, s["count"], _REJECTED, reason, now_ns, events, n)
    e = events[n - 1]
    e["order_id"] = r["order_id"]
    e["client_id"] = r["client_id"]
    e["quotes_seq"] = 0
    e["side"] = r["side"] if abs(r["side"]) == 1 else 0
    e["price_ticks"] = r["price_ticks"]
    e["qty_lots"] = r["qty_lots"]
    e["filled_lots"] = 0
    return n


@njit
def _filter_reason(
    sim: NDArray[Any], instrument: NDArray[Any], kind: int, side: int, price: int, qty: int
) -> Any:
    """Return NONE, or the first of the venue's filters that an order breaks."""
    if kind == _MARKET:
        s = sim[0]
        price = s["ask_ticks"] if side > 0 else s["bid_ticks"]
        if price <= 0:
            return _NO_MARKET_DATA
    return edge_reason(sim, instrument, side, price, qty)


@njit
def _repeat_state(sim: NDArray[Any], at: int, now_ns: int, events: NDArray[Any], n: int) -> int:
    """Report the order of a client id once more, as it is or as it ended."""
    s = sim[0]
    client = s["client_table"][at]
    index = find_order(sim, client["order_id"])
    if index >= 0:
        return report_order(sim, index, s["orders"][index]["status"], _NONE, now_ns, events, n)
    n = report_order(sim, s["count"], client["status"], client["reason"], now_ns, events, n)
    e = events[n - 1]
    e["order_id"] = client["order_id"]
    e["client_id"] = client["client_id"]
    e["quotes_seq"] = 0
    e["side"] = client["side"]
    e["price_ticks"] = client["last_price_ticks"]
    e["qty_lots"] = client["last_qty_lots"]
    e["filled_lots"] = client["filled_lots"]
    e["is_repeat"] = 1
    return n


@njit
def _send_new(
    sim: NDArray[Any],
    params: NDArray[Any],
    instrument: NDArray[Any],
    recorded: NDArray[Any],
    request: NDArray[Any],
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Send a new order; a client id that is known gets the same order's state again."""
    s = sim[0]
    r = request[0]
    kind = r["kind"]
    side = r["side"]
    price = 0 if kind == _MARKET else r["price_ticks"]
    if abs(side) != 1 or not _POST_ONLY <= kind <= _MARKET:
        return _refuse(sim, request, _INVALID_ORDER, now_ns, events, n)
    at = client_at(sim, r["client_id"]) if r["client_id"] != 0 else -1
    if at >= 0:
        client = s["client_table"][at]
        same = client["side"] == side and client["kind"] == kind and client["price_ticks"] == price
        if not same or client["qty_lots"] != r["qty_lots"]:
            return _refuse(sim, request, _DUPLICATE_CLIENT_ID, now_ns, events, n)
        return _repeat_state(sim, at, now_ns, events, n)
    reason = _filter_reason(sim, instrument, kind, side, price, r["qty_lots"])
    if reason == _NONE and s["count"] >= params[0]["max_orders"]:
        reason = _TOO_MANY_ORDERS
    if reason != _NONE:
        return _refuse(sim, request, reason, now_ns, events, n)
    return send_order(
        sim,
        params,
        recorded,
        kind,
        side,
        price,
        r["qty_lots"],
        r["client_id"],
        _ZERO,
        _NONE,
        now_ns,
        events,
        n,
    )


@njit
def _change_reason(
    sim: NDArray[Any],
    instrument: NDArray[Any],
    request: NDArray[Any],
    index: int,
    known: int,
    now_ns: int,
) -> Any:
    """Return NONE, or why an order cannot be amended or cancelled, as far as the trader knows."""
    s = sim[0]
    r = request[0]
    if index < 0:
        return _ORDER_ENDED if 0 < known < s["next_order_id"] else _UNKNOWN_ORDER
    order = s["orders"][index]
    if order["cancel_ns"] != NEVER_NS:
        return _CANCEL_IN_FLIGHT
    if r["action"] == _ACTION_CANCEL:
        return _NONE
    if order["amend_ns"] != NEVER_NS:
        return _AMENDMENT_IN_FLIGHT
    if order["kind"] > _LIMIT:
        return _INVALID_ORDER
    if r["qty_lots"] <= known_filled_lots(sim, index, now_ns):
        return _BELOW_FILLED
    price = r["price_ticks"]
    return _filter_reason(sim, instrument, order["kind"], order["side"], price, r["qty_lots"])


@njit
def send_request(
    sim: NDArray[Any],
    params: NDArray[Any],
    instrument: NDArray[Any],
    recorded: NDArray[Any],
    request: NDArray[Any],
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Send what a state.ORDER_REQUEST asks for, or say at once why not."""
    r = request[0]
    if r["reason"] != _NONE:
        return _refuse(sim, request, r["reason"], now_ns, events, n)
    if r["action"] == _ACTION_NEW:
        return _send_new(sim, params, instrument, recorded, request, now_ns, events, n)
    if r["action"] != _ACTION_AMEND and r["action"] != _ACTION_CANCEL:
        return _refuse(sim, request, _INVALID_ORDER, now_ns, events, n)
    known = r["order_id"]
    if known == 0 and r["client_id"] != 0:
        at = client_at(sim, r["client_id"])
        known = sim[0]["client_table"][at]["order_id"] if at >= 0 else 0
    index = find_order(sim, known)
    reason = _change_reason(sim, instrument, request, index, known, now_ns)
    if reason != _NONE:
        return _refuse(sim, request, reason, now_ns, events, n)
    if r["action"] == _ACTION_CANCEL:
        cancel_order(sim, params, recorded, index, _CANCEL_REQUESTED, now_ns)
    else:
        amend_order(sim, params, recorded, index, r["price_ticks"], r["qty_lots"], now_ns)
    return n
