"""Queues of the exchange: single orders at a price, first in first out, and what is told of them.

See kernels/exchange.py, whose flow comes here.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import njit
from mmquant.codes import MarketEventKind, Side
from mmquant.kernels.market import RING_MASK, next_best
from mmquant.state import EXCHANGE_ORDERS

__all__ = [
    "add_order",
    "best_of",
    "clear_level",
    "emit_row",
    "execute_level",
    "remove_order",
    "tell_level",
]

Array = NDArray[Any]

# numpy integers, because numba compiles a function anew for each plain constant passed to it.
BUY: Any = np.int64(Side.BUY)
LEVEL: Any = np.int64(MarketEventKind.LEVEL)
TRADE: Any = np.int64(MarketEventKind.TRADE)
ADDED: Any = np.int64(MarketEventKind.ORDER_ADDED)
CANCELLED: Any = np.int64(MarketEventKind.ORDER_CANCELLED)
ZERO: Any = np.int64(0)
ONE: Any = np.int64(1)


@njit
def best_of(state: Array, side: int) -> Any:
    """Return the best price of a side."""
    return state[0]["best_bid_ticks"] if side == BUY else state[0]["best_ask_ticks"]


@njit
def emit_row(
    state: Array,
    queues: Array,
    events: Array,
    n: int,
    kind: int,
    side: int,
    price: int,
    qty: int,
    slot: int,
) -> int:
    """Write row `n`; a level change takes the next update id and names no order (slot 0)."""
    s = state[0]
    if kind == LEVEL:
        s["update_id"] += 1
    order = queues[0]["orders"][slot]
    events[n, 0] = kind
    events[n, 1] = queues[0]["now_ns"]
    events[n, 2] = s["update_id"]
    events[n, 3] = side
    events[n, 4] = price
    events[n, 5] = qty
    events[n, 6] = order["order_id"]
    events[n, 7] = order["is_own"]
    return n + 1


@njit
def remove_order(state: Array, queues: Array, orders: Array, slot: int) -> None:
    """Take an order out of its queue and free its slot."""
    s = state[0]
    q = queues[0]
    o = q["orders"][slot]
    ring = o["price_ticks"] & RING_MASK
    if o["previous"] == 0:
        q["first"][ring] = o["next"]
    else:
        q["orders"][o["previous"]]["next"] = o["next"]
    if o["next"] == 0:
        q["last"][ring] = o["previous"]
    else:
        q["orders"][o["next"]]["previous"] = o["previous"]
    if o["is_own"] == 0:
        orders[ring] -= 1
        if o["side"] == BUY:
            s["bid_orders"] -= 1
            s["bid_levels"] -= 1 if orders[ring] == 0 else 0
        else:
            s["ask_orders"] -= 1
            s["ask_levels"] -= 1 if orders[ring] == 0 else 0
    o["order_id"] = 0
    o["next"] = q["free"]
    q["free"] = slot


@njit
def tell_level(
    state: Array, queues: Array, lots: Array, events: Array, n: int, side: int, price: int
) -> int:
    """Write the level as it now stands; an empty best one hands on to the next."""
    s = state[0]
    left = lots[price & RING_MASK]
    if left == 0 and price == best_of(state, side):
        if side == BUY:
            s["best_bid_ticks"] = next_best(state, lots, side)
        else:
            s["best_ask_ticks"] = next_best(state, lots, side)
    return emit_row(state, queues, events, n, LEVEL, side, price, left, ZERO)


@njit
def clear_level(
    state: Array,
    queues: Array,
    lots: Array,
    orders: Array,
    events: Array,
    n: int,
    side: int,
    price: int,
    own_too: int,
) -> int:
    """Cancel the orders of a level, own ones too if asked."""
    q = queues[0]
    ring = price & RING_MASK
    slot = q["first"][ring]
    while slot > 0:
        o = q["orders"][slot]
        behind = o["next"]
        if o["is_own"] == 0 or own_too == 1:
            n = emit_row(state, queues, events, n, CANCELLED, side, price, o["qty_lots"], slot)
            lots[ring] -= o["qty_lots"]
            if o["is_own"] == 1:
                q["own_lots"][ring] -= o["qty_lots"]
            remove_order(state, queues, orders, slot)
        slot = behind
    return tell_level(state, queues, lots, events, n, side, price)


@njit
def add_order(
    parameters: Array,
    state: Array,
    queues: Array,
    lots: Array,
    orders: Array,
    events: Array,
    n: int,
    side: int,
    price: int,
    qty: int,
    is_own: int,
) -> tuple[int, int]:
    """Rest an order at the end of its queue; return the new n and its slot, 0 without room.

    A better best drops the levels now beyond the depth, own orders with them.
    """
    s = state[0]
    q = queues[0]
    slot: Any = q["free"]
    if slot == 0 and q["used"] == EXCHANGE_ORDERS:
        q["refused"] += 1
        return n, ZERO
    if slot == 0:
        q["used"] += 1
        slot = q["used"]
    else:
        q["free"] = q["orders"][slot]["next"]
    ring = price & RING_MASK
    o = q["orders"][slot]
    o["order_id"] = q["next_order_id"]
    o["side"] = side
    o["price_ticks"] = price
    o["qty_lots"] = qty
    o["next"] = 0
    o["previous"] = q["last"][ring]
    o["is_own"] = is_own
    o["entry_ahead_lots"] = lots[ring]
    o["placed_ns"] = q["now_ns"]
    q["next_order_id"] += 1
    if o["previous"] == 0:
        q["first"][ring] = slot
    else:
        q["orders"][o["previous"]]["next"] = slot
    q["last"][ring] = slot
    lots[ring] += qty
    if is_own == 1:
        q["own_lots"][ring] += qty
    elif side == BUY:
        s["bid_levels"] += 1 if orders[ring] == 0 else 0
        s["bid_orders"] += 1
        orders[ring] += 1
    else:
        s["ask_levels"] += 1 if orders[ring] == 0 else 0
        s["ask_orders"] += 1
        orders[ring] += 1
    n = emit_row(state, queues, events, n, ADDED, side, price, qty, slot)
    n = emit_row(state, queues, events, n, LEVEL, side, price, lots[ring], ZERO)
    old = best_of(state, side)
    if side * (price - old) <= 0:
        return n, slot
    if side == BUY:
        s["best_bid_ticks"] = price
    else:
        s["best_ask_ticks"] = price
    depth = parameters[0]["depth_ticks"]
    far = old - side * depth
    while far != price - side * depth:
        if lots[far & RING_MASK] > 0:
            n = clear_level(state, queues, lots, orders, events, n, side, far, ONE)
        far += side
    return n, slot


@njit
def execute_level(
    state: Array,
    queues: Array,
    lots: Array,
    orders: Array,
    events: Array,
    n: int,
    side: int,
    price: int,
    qty: int,
) -> int:
    """Fill `qty` lots of a level from the front of its queue, a trade for each order."""
    q = queues[0]
    ring = price & RING_MASK
    lots[ring] -= qty
    while qty > 0:
        slot = q["first"][ring]
        o = q["orders"][slot]
        part = min(qty, o["qty_lots"])
        n = emit_row(state, queues, events, n, TRADE, -side, price, part, slot)
        qty -= part
        o["qty_lots"] -= part
        if o["is_own"] == 1:
            q["own_lots"][ring] -= part
        if o["qty_lots"] == 0:
            remove_order(state, queues, orders, slot)
    return tell_level(state, queues, lots, events, n, side, price)
