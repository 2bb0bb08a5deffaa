"""Matching kernels: the market's events against the own orders.

How an own order is filled, at its own price as maker unless it takes:

- CROSS: the venue's opposite touch reaches or passes it. At most the lots displayed there.
- THROUGH: a trade prints strictly beyond it. At most the printed lots over all own orders; in
  model CROSS each order only with the chance `fill_probability_factor`.
- TOUCH: a trade prints at its price and more than the queue ahead. Never in model CROSS.
- TAKE: on arrival, from what the other side displays, at those prices, as taker.

Best price first, then whoever took his place first. A print's lots fill one own order each, and
a displayed lot that an own order took or was crossed by is taken for as long as the level stands.
A print fills no order that reached the venue no earlier than the venue matched it. One that was
cancelled or amended meanwhile it fills as it was, where that reached the venue no earlier, and so
does a touch (`gone_orders`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import bare_njit as njit
from mmquant.codes import FillKind, FillModel, Liquidity, OrderStatus, Reason, Template
from mmquant.kernels.accounting import account_fill
from mmquant.kernels.book_read import book_depth_at
from mmquant.kernels.book_ring import next_level
from mmquant.kernels.book_tail import NO_ASK, NO_BID
from mmquant.kernels.gone_orders import drop_order, fill_gone_lots, forget_gone, tell_gone
from mmquant.kernels.latency import uniform
from mmquant.kernels.orders import client_at, end_order, find_order, report_order
from mmquant.kernels.queue_models import UNKNOWN_AHEAD, queue_print
from mmquant.kernels.taken import take_lots, takeable_lots, taken_at
from mmquant.state import GONE_FROM, MAX_TAKEN, NEVER_NS

__all__ = [
    "fill_order",
    "match_arrival",
    "match_print",
    "match_touch",
]

# numpy integers, because numba compiles a function anew for each plain constant passed to it.
_ZERO: Any = np.int64(0)
_NEVER: Any = np.int64(NEVER_NS)
_NOBODY: Any = np.int64(-1)
_OPEN: Any = np.int64(OrderStatus.OPEN)
_FILLED: Any = np.int64(OrderStatus.FILLED)
_NONE: Any = np.int64(Reason.NONE)
_CROSS: Any = np.int64(FillKind.CROSS)
_THROUGH: Any = np.int64(FillKind.THROUGH)
_TOUCH: Any = np.int64(FillKind.TOUCH)
_TAKE: Any = np.int64(FillKind.TAKE)
_MODEL_CROSS: Any = np.int64(FillModel.CROSS)
_MODEL_L3: Any = np.int64(FillModel.FIFO_L3)
_MAKER: Any = np.int64(Liquidity.MAKER)
_TAKER: Any = np.int64(Liquidity.TAKER)
_FILL: Any = np.int64(Template.FILL)


@njit
def _next_order(
    sim: NDArray[Any],
    side: int,
    least_key: int,
    after_key: int,
    after_seq: int,
    gone_ns: int,
    venue_ns: int,
) -> int:
    """Return the slot of the next open order to fill, -1 without one.

    The key is side times price, larger is better: an order comes up where its key is at least
    `least_key`, best key first, then by its place, and behind (`after_key`, `after_seq`). So do,
    where `gone_ns` is not 0, the orders that are gone and were at the venue at `venue_ns`, also
    just when they left it, if that is known since before `gone_ns`. Of an order that was amended
    in its place the one that was there comes up alone: the first to go.
    """
    s = sim[0]
    found = -1
    found_key = least_key
    found_seq = _NEVER
    alive = s["count"]
    gone = s["gone"] if gone_ns > 0 else 0
    for k in range(alive + gone):
        i = k if k < alive else GONE_FROM + k - alive
        order = s["orders"][i]
        if order["side"] != side:
            continue
        if k < alive:
            is_there = order["status"] == _OPEN
        else:
            until_ns = order["cancel_there_ns"]
            is_there = order["there_ns"] < venue_ns <= until_ns
            is_there &= venue_ns < until_ns or order["cancel_ns"] < gone_ns
        if not is_there:
            continue
        key = side * order["price_ticks"]
        seq = order["queue_seq"]
        if key < least_key or key > after_key or (key == after_key and seq <= after_seq):
            continue
        is_next = key > found_key or (key == found_key and seq < found_seq)
        if k >= alive and key == found_key and seq == found_seq:
            there_ns = s["orders"][found]["cancel_there_ns"]
            is_next = found < GONE_FROM or order["cancel_there_ns"] < there_ns
        if is_next:
            found = i
            found_key = key
            found_seq = seq
    return found


@njit
def _write_fill(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    index: int,
    price_ticks: int,
    qty_lots: int,
    kind: int,
    ahead_lots: float,
    trade_id: int,
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Let the account have a fill of the order in slot `index`, and report it."""
    s = sim[0]
    p = params[0]
    order = s["orders"][index]
    side = order["side"]
    mark = s["mark_half_ticks"]
    takes = kind == _TAKE
    ppm = p["taker_fee_ppm"] if takes else p["maker_fee_ppm"]
    horizon = p["markout_horizon_ns"]
    fee = account_fill(account, side, price_ticks, qty_lots, ppm, mark, now_ns, horizon)
    report_order(sim, index, _OPEN, _NONE, now_ns, events, n)
    e = events[n]
    e["price_ticks"] = price_ticks
    e["qty_lots"] = qty_lots
    e["fill_id"] = account[0]["last_fill_id"]
    e["fee_micro_tick_lots"] = fee
    e["mark_half_ticks"] = mark
    e["trade_id"] = trade_id
    e["position_lots"] = account[0]["position_lots"]
    e["template_id"] = _FILL
    e["kind"] = kind
    e["liquidity"] = _TAKER if takes else _MAKER
    if not takes:
        e["queue_entry_lots"] = order["entry_ahead_lots"]
        e["queue_ahead_lots"] = int(ahead_lots) if ahead_lots < UNKNOWN_AHEAD else -1
        e["queue_ns"] = now_ns - order["queued_ns"]
    return n + 1


@njit
def _report_gone(
    sim: NDArray[Any],
    slot: int,
    new_lots: int,
    is_full: bool,
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Report the order that has new lots by the gone one in `slot`, as it is now.

    Where that one is full, the order ended there at the venue, whatever was asked for since.
    """
    s = sim[0]
    gone = s["orders"][slot]
    index = find_order(sim, gone["order_id"])
    if index >= 0:
        order = s["orders"][index]
        order["filled_lots"] += new_lots
        if not is_full and order["filled_lots"] < order["qty_lots"]:
            return report_order(sim, index, _OPEN, _NONE, now_ns, events, n)
        order["qty_lots"] = order["filled_lots"]
        return end_order(sim, index, _FILLED, _NONE, now_ns, events, n)
    if new_lots == 0:
        return n
    if gone["client_id"] != 0:
        at = client_at(sim, gone["client_id"])
        if at >= 0 and s["client_table"][at]["order_id"] == gone["order_id"]:
            s["client_table"][at]["last_qty_lots"] = gone["last_qty_lots"]
            s["client_table"][at]["filled_lots"] = gone["last_filled_lots"]
    report_order(sim, slot, gone["status"], gone["reason"], now_ns, events, n)
    e = events[n]
    e["price_ticks"] = gone["last_price_ticks"]
    e["qty_lots"] = gone["last_qty_lots"]
    e["filled_lots"] = gone["last_filled_lots"]
    return n + 1


@njit
def fill_order(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    index: int,
    price_ticks: int,
    qty_lots: int,
    kind: int,
    ahead_lots: float,
    trade_id: int,
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Fill the order in slot `index`: a fill, then the order's update.

    One that is gone has what is new to the order: it may have been filled otherwise since.
    """
    s = sim[0]
    order = s["orders"][index]
    is_gone = index >= GONE_FROM
    new = qty_lots
    if is_gone:
        new = fill_gone_lots(sim, index, qty_lots)
    else:
        order["filled_lots"] += qty_lots
    is_full = order["filled_lots"] >= order["qty_lots"]
    if new > 0:
        n = _write_fill(
            sim,
            account,
            params,
            index,
            price_ticks,
            new,
            kind,
            ahead_lots,
            trade_id,
            now_ns,
            events,
            n,
        )
    if is_gone:
        if new > 0 or is_full:
            n = _report_gone(sim, index, new, is_full, now_ns, events, n)
        if is_full:
            drop_order(sim, order["order_id"])
        return n
    if is_full:
        return end_order(sim, index, _FILLED, _NONE, now_ns, events, n)
    if s["gone"] > 0:
        tell_gone(sim, index)
    return report_order(sim, index, _OPEN, _NONE, now_ns, events, n)


@njit
def match_touch(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    side: int,
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Fill the orders of `side` that the venue's opposite touch reaches or passes.

    Also one that is gone, where all of the book is from before it left: what is newer in it may
    be the very touch.
    """
    s = sim[0]
    slot = 0 if side > 0 else 1
    tick = s["ask_ticks"] if side > 0 else s["bid_ticks"]
    displayed = s["ask_lots"] if side > 0 else s["bid_lots"]
    newest_ns = s["newest_ns"]
    is_late = newest_ns <= s["gone_there_ns"] and params[0]["fill_model"] != _MODEL_L3
    gone_ns = now_ns if is_late else _ZERO
    while tick > 0:
        index = _next_order(sim, side, side * tick, _NEVER, _NOBODY, gone_ns, newest_ns)
        if index < 0:
            break
        left = takeable_lots(sim, slot, tick, displayed, _ZERO)
        if left <= 0:
            break
        order = s["orders"][index]
        qty = min(left, order["qty_lots"] - order["filled_lots"])
        take_lots(sim, slot, tick, qty)
        ahead = order["ahead_lots"]
        price = order["price_ticks"]
        n = fill_order(
            sim, account, params, index, price, qty, _CROSS, ahead, _ZERO, now_ns, events, n
        )
    return n


@njit
def _reach(
    sim: NDArray[Any],
    params: NDArray[Any],
    index: int,
    at_price: bool,
    printed: int,
    left: int,
    arrival_id: int,
    venue_ns: int,
) -> int:
    """Return the lots of a print that reach an own order; `left` of it no own order has had."""
    s = sim[0]
    model = params[0]["fill_model"]
    order = s["orders"][index]
    if model == _MODEL_L3:
        if at_price and arrival_id <= order["arrival_id"]:  # it filled an order before ours
            order["ahead_lots"] = max(0.0, order["ahead_lots"] - printed)
            return 0
        return left
    if at_price and model != _MODEL_CROSS:
        return queue_print(sim, index, printed, left, venue_ns)
    if at_price or venue_ns <= order["there_ns"]:
        return 0
    if model == _MODEL_CROSS:
        x, u = uniform(s["random"])
        s["random"] = x
        return left if u < params[0]["fill_probability_factor"] else 0
    return left


@njit
def _move_same_place(sim: NDArray[Any], slot: int, printed: int, left: int, venue_ns: int) -> None:
    """Let a print move up what the gone order in `slot` has become in the same place since."""
    s = sim[0]
    gone = s["orders"][slot]
    for k in range(s["count"] + s["gone"]):
        i = k if k < s["count"] else GONE_FROM + k - s["count"]
        order = s["orders"][i]
        is_same = order["order_id"] == gone["order_id"] and order["queue_seq"] == gone["queue_seq"]
        if is_same and i != slot:
            queue_print(sim, i, printed, left, venue_ns)


@njit
def match_print(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    side: int,
    price_ticks: int,
    qty_lots: int,
    arrival_id: int,
    trade_id: int,
    now_ns: int,
    venue_ns: int,
    events: NDArray[Any],
    n: int,
) -> int:
    """Fill the own orders of `side` that a print reaches, and move the others up the queue."""
    s = sim[0]
    left = qty_lots
    key = _NEVER
    seq = _NOBODY
    gone_ns = _ZERO
    if s["gone"] > 0 and params[0]["fill_model"] != _MODEL_L3:
        forget_gone(sim, venue_ns)
        gone_ns = now_ns
    while True:
        index = _next_order(sim, side, side * price_ticks, key, seq, gone_ns, venue_ns)
        if index < 0:
            return n
        order = s["orders"][index]
        key = side * order["price_ticks"]
        seq = order["queue_seq"]
        at_price = order["price_ticks"] == price_ticks
        if left <= 0 and not at_price:
            continue
        ahead = order["ahead_lots"]
        reach = _reach(sim, params, index, at_price, qty_lots, left, arrival_id, venue_ns)
        if index >= GONE_FROM and at_price and params[0]["fill_model"] != _MODEL_CROSS:
            _move_same_place(sim, index, qty_lots, left, venue_ns)
        qty = min(reach, left, order["qty_lots"] - order["filled_lots"])
        if qty <= 0:
            continue
        left -= qty
        kind = _TOUCH if at_price else _THROUGH
        price = order["price_ticks"]
        n = fill_order(
            sim, account, params, index, price, qty, kind, ahead, trade_id, now_ns, events, n
        )


@njit
def match_arrival(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    book: NDArray[Any],
    index: int,
    limit_ticks: int,
    is_test: int,
    now_ns: int,
    events: NDArray[Any],
    n: int,
) -> tuple[int, int]:
    """Let the order in slot `index` take what the other side displays up to `limit_ticks`.

    Returns
    -------
    tuple of int
        The lots taken (with `is_test` 1: that could be, and nothing happens), and n. Where all
        was taken the order is gone.
    """
    s = sim[0]
    order = s["orders"][index]
    side = order["side"]
    slot = 0 if side > 0 else 1
    tick = s["ask_ticks"] if side > 0 else s["bid_ticks"]
    wanted = order["qty_lots"] - order["filled_lots"]
    taken = 0
    levels = 0
    planned = 0
    while NO_BID < tick < NO_ASK and taken < wanted and levels < MAX_TAKEN:
        if side * (tick - limit_ticks) > 0:
            break
        lots = takeable_lots(sim, slot, tick, book_depth_at(book, -side, tick), planned)
        qty = min(wanted - taken, lots)
        if qty > 0:
            taken += qty
            if is_test == 1:
                planned += 1 if taken_at(sim, slot, tick) < 0 else 0
            else:
                take_lots(sim, slot, tick, qty)
                n = fill_order(
                    sim, account, params, index, tick, qty, _TAKE, 0.0, _ZERO, now_ns, events, n
                )
        tick = next_level(book, -side, tick)
        levels += 1
    return taken, n
