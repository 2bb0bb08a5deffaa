"""Compiled steps of the exchange: the synthetic market's flow against queues of single orders.

Prices, sizes and times come from the market's own kernels; here each level is a queue, first in
first out, in which own orders rest among the market's. `lots` (RING,) holds the lots of a level,
own ones included, `orders` (RING,) its orders of the market alone: own orders are never picked by
its cancellations, and the levels counted in the state are those where the market has an order.

Every function that takes `events` (shape (rows, 8), see EXCHANGE_EVENT) writes from row `n` and
returns the number of rows written in total; STEP_ROWS must be free behind `n`.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import njit
from mmquant.codes import MarketEventKind, Side
from mmquant.kernels.market import (
    RING_MASK,
    draw_next,
    evolve,
    may_empty,
    next_best,
    random_lots,
    random_unit,
    reference_price,
)
from mmquant.state import EXCHANGE_ORDERS

__all__ = [
    "CROSSES",
    "FULL",
    "STEP_ROWS",
    "TOO_FAR",
    "exchange_ahead",
    "exchange_cancel",
    "exchange_place",
    "exchange_run",
    "exchange_start",
    "exchange_step",
]

Array = NDArray[Any]

# Rows of one step: every order may end, and each level that it ends on changes.
STEP_ROWS = EXCHANGE_ORDERS + 4096
CROSSES, TOO_FAR, FULL = -1, -2, -3  # instead of an own order's slot
NS_PER_S = 1_000_000_000

# numpy integers, because numba compiles a function anew for each plain constant passed to it.
BUY: Any = np.int64(Side.BUY)
SELL: Any = np.int64(Side.SELL)
LEVEL: Any = np.int64(MarketEventKind.LEVEL)
TRADE: Any = np.int64(MarketEventKind.TRADE)
ADDED: Any = np.int64(MarketEventKind.ORDER_ADDED)
CANCELLED: Any = np.int64(MarketEventKind.ORDER_CANCELLED)
ZERO: Any = np.int64(0)
ONE: Any = np.int64(1)


@njit
def _best(state: Array, side: int) -> Any:
    return state[0]["best_bid_ticks"] if side == BUY else state[0]["best_ask_ticks"]


@njit
def _emit(
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
def _remove(state: Array, queues: Array, orders: Array, slot: int) -> None:
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
def _tell_level(
    state: Array, queues: Array, lots: Array, events: Array, n: int, side: int, price: int
) -> int:
    """Write the level as it now stands; an empty best one hands on to the next."""
    s = state[0]
    left = lots[price & RING_MASK]
    if left == 0 and price == _best(state, side):
        if side == BUY:
            s["best_bid_ticks"] = next_best(state, lots, side)
        else:
            s["best_ask_ticks"] = next_best(state, lots, side)
    return _emit(state, queues, events, n, LEVEL, side, price, left, ZERO)


@njit
def _clear_level(
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
            n = _emit(state, queues, events, n, CANCELLED, side, price, o["qty_lots"], slot)
            lots[ring] -= o["qty_lots"]
            if o["is_own"] == 1:
                q["own_lots"][ring] -= o["qty_lots"]
            _remove(state, queues, orders, slot)
        slot = behind
    return _tell_level(state, queues, lots, events, n, side, price)


@njit
def _add(
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
    n = _emit(state, queues, events, n, ADDED, side, price, qty, slot)
    n = _emit(state, queues, events, n, LEVEL, side, price, lots[ring], ZERO)
    old = _best(state, side)
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
            n = _clear_level(state, queues, lots, orders, events, n, side, far, ONE)
        far += side
    return n, slot


@njit
def _arrive(
    parameters: Array,
    state: Array,
    queues: Array,
    lots: Array,
    orders: Array,
    events: Array,
    n: int,
    side: int,
) -> int:
    """Rest an order at a random distance behind the reference price."""
    p = parameters[0]
    mean = p["near_ticks"] if random_unit(state) <= p["near_share"] else p["far_ticks"]
    distance = int(-mean * math.log(random_unit(state)))
    price = reference_price(parameters, state, side) - side * distance
    qty = random_lots(state, p["order_lots"], p["order_log_sd"])
    if side * (_best(state, side) - price) >= p["depth_ticks"]:
        return n
    n, _ = _add(parameters, state, queues, lots, orders, events, n, side, price, qty, ZERO)
    return n


@njit
def _cancel(
    parameters: Array,
    state: Array,
    queues: Array,
    lots: Array,
    orders: Array,
    events: Array,
    n: int,
) -> int:
    """Cancel one order of the market, each as likely as any other."""
    s = state[0]
    q = queues[0]
    pick = int((1.0 - random_unit(state)) * (s["bid_orders"] + s["ask_orders"]))
    side = BUY
    if pick >= s["bid_orders"]:
        side = SELL
        pick -= s["bid_orders"]
    price = _best(state, side)
    while pick >= orders[price & RING_MASK]:
        pick -= orders[price & RING_MASK]
        price -= side
    ring = price & RING_MASK
    if orders[ring] == 1 and not may_empty(parameters, state, lots, side, price):
        return n
    slot = q["first"][ring]
    while pick > 0 or q["orders"][slot]["is_own"] == 1:
        pick -= 1 - q["orders"][slot]["is_own"]
        slot = q["orders"][slot]["next"]
    gone = q["orders"][slot]["qty_lots"]
    n = _emit(state, queues, events, n, CANCELLED, side, price, gone, slot)
    lots[ring] -= gone
    _remove(state, queues, orders, slot)
    return _tell_level(state, queues, lots, events, n, side, price)


@njit
def _fade(
    parameters: Array,
    state: Array,
    queues: Array,
    lots: Array,
    orders: Array,
    events: Array,
    n: int,
    side: int,
) -> int:
    """Pull the market's orders of the best level, which the latent price has made a bad offer."""
    price = _best(state, side)
    if orders[price & RING_MASK] == 0 or not may_empty(parameters, state, lots, side, price):
        return n
    return _clear_level(state, queues, lots, orders, events, n, side, price, ZERO)


@njit
def _chase(
    parameters: Array,
    state: Array,
    queues: Array,
    lots: Array,
    orders: Array,
    events: Array,
    n: int,
    side: int,
) -> int:
    """Improve the best price towards the reference price."""
    p = parameters[0]
    best = _best(state, side)
    gap = side * (reference_price(parameters, state, side) - best)
    if gap < 1:
        return n
    price = best + side * (gap - int((1.0 - random_unit(state)) * gap))
    qty = random_lots(state, p["order_lots"], p["order_log_sd"])
    n, _ = _add(parameters, state, queues, lots, orders, events, n, side, price, qty, ZERO)
    return n


@njit
def _execute(
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
        n = _emit(state, queues, events, n, TRADE, -side, price, part, slot)
        qty -= part
        o["qty_lots"] -= part
        if o["is_own"] == 1:
            q["own_lots"][ring] -= part
        if o["qty_lots"] == 0:
            _remove(state, queues, orders, slot)
    return _tell_level(state, queues, lots, events, n, side, price)


@njit
def _take(
    parameters: Array,
    state: Array,
    queues: Array,
    lots: Array,
    orders: Array,
    events: Array,
    n: int,
    aggressor: int,
) -> int:
    """Execute a market order level by level and excite the next ones.

    Where the market must keep the level, its last lot stays.
    """
    s = state[0]
    p = parameters[0]
    side = -aggressor
    want = random_lots(state, p["market_lots"], p["market_log_sd"])
    start = _best(state, side)
    if aggressor * (s["latent_ticks"] - start) > 1.0:
        # Informed: the touch is mispriced, so a larger order goes for all of it.
        want *= 4
    price = start
    while want > 0 and aggressor * (price - start) <= p["max_sweep_ticks"]:
        ring = price & RING_MASK
        fill = min(want, lots[ring])
        of_market = lots[ring] - queues[0]["own_lots"][ring]
        if 0 < of_market <= fill and not may_empty(parameters, state, lots, side, price):
            fill = of_market - 1
            want = fill
        if fill == 0:
            break
        n = _execute(state, queues, lots, orders, events, n, side, price, fill)
        want -= fill
        price = _best(state, side)
    if aggressor == BUY:
        s["buy_excitation_per_s"] += p["excitation_per_s"]
        s["sell_excitation_per_s"] += p["cross_excitation_per_s"]
    else:
        s["sell_excitation_per_s"] += p["excitation_per_s"]
        s["buy_excitation_per_s"] += p["cross_excitation_per_s"]
    return n


@njit
def exchange_start(
    parameters: Array,
    state: Array,
    queues: Array,
    lots: Array,
    orders: Array,
    events: Array,
    target_orders: int,
) -> None:
    """Fill an empty book round the latent price with `target_orders` a side, then draw ahead.

    The rows written to `events` are scratch.
    """
    q = queues[0]
    q["now_ns"] = state[0]["now_ns"]
    q["next_order_id"] = 1
    for side in (BUY, SELL):
        price = _best(state, side)
        _add(parameters, state, queues, lots, orders, events, ZERO, side, price, ONE, ZERO)
    for _ in range(target_orders):
        _arrive(parameters, state, queues, lots, orders, events, ZERO, BUY)
        _arrive(parameters, state, queues, lots, orders, events, ZERO, SELL)
    draw_next(parameters, state)


@njit
def exchange_step(
    parameters: Array,
    state: Array,
    queues: Array,
    lots: Array,
    orders: Array,
    events: Array,
    n: int,
) -> int:
    """Play the next candidate event of the market, as market_step does.

    Parameters
    ----------
    parameters : MARKET_PARAMETERS array, shape (1,)
    state : MARKET_STATE array, shape (1,)
        Updated in place, as are `queues`, `lots` and `orders`.
    queues : EXCHANGE_QUEUES array, shape (1,)
    lots, orders : int64 arrays, shape (RING,)
    events : int64 array, shape (rows, 8)
    n : int

    Returns
    -------
    int
        Rows written now.
    """
    s = state[0]
    elapsed_s = (s["next_ns"] - s["now_ns"]) / NS_PER_S
    s["now_ns"] = s["next_ns"]
    queues[0]["now_ns"] = s["now_ns"]
    pick = random_unit(state) * s["total_rate"]
    evolve(parameters, state, elapsed_s)
    if pick <= s["limit_rate"]:
        side = BUY if 2.0 * pick <= s["limit_rate"] else SELL
        n = _arrive(parameters, state, queues, lots, orders, events, n, side)
    else:
        pick -= s["limit_rate"]
        n = _step_other(parameters, state, queues, lots, orders, events, n, pick)
    draw_next(parameters, state)
    return n


@njit
def _step_other(
    parameters: Array,
    state: Array,
    queues: Array,
    lots: Array,
    orders: Array,
    events: Array,
    n: int,
    pick: float,
) -> int:
    s = state[0]
    if pick <= s["cancel_rate"]:
        return _cancel(parameters, state, queues, lots, orders, events, n)
    pick -= s["cancel_rate"]
    if pick <= s["fade_bid_rate"]:
        return _fade(parameters, state, queues, lots, orders, events, n, BUY)
    pick -= s["fade_bid_rate"]
    if pick <= s["fade_ask_rate"]:
        return _fade(parameters, state, queues, lots, orders, events, n, SELL)
    pick -= s["fade_ask_rate"]
    if pick <= s["chase_bid_rate"]:
        return _chase(parameters, state, queues, lots, orders, events, n, BUY)
    pick -= s["chase_bid_rate"]
    if pick <= s["chase_ask_rate"]:
        return _chase(parameters, state, queues, lots, orders, events, n, SELL)
    pick -= s["chase_ask_rate"]
    # The excitation has decayed since the draw: what is left over is a candidate refused.
    if pick <= s["buy_rate"] + s["buy_excitation_per_s"]:
        return _take(parameters, state, queues, lots, orders, events, n, BUY)
    pick -= s["buy_rate"] + s["buy_excitation_per_s"]
    if pick <= s["sell_rate"] + s["sell_excitation_per_s"]:
        return _take(parameters, state, queues, lots, orders, events, n, SELL)
    return n


@njit
def exchange_run(
    parameters: Array,
    state: Array,
    queues: Array,
    lots: Array,
    orders: Array,
    events: Array,
    until_ns: int,
) -> int:
    """Step until the next candidate lies beyond `until_ns` or `events` is full; return the rows.

    Full means fewer than STEP_ROWS are free: call again to go on from there.
    """
    n: int = ZERO
    room = events.shape[0] - STEP_ROWS
    while n <= room and state[0]["next_ns"] <= until_ns:
        n = exchange_step(parameters, state, queues, lots, orders, events, n)
    return n


@njit
def exchange_place(
    parameters: Array,
    state: Array,
    queues: Array,
    lots: Array,
    orders: Array,
    events: Array,
    side: int,
    price_ticks: int,
    qty_lots: int,
    now_ns: int,
) -> tuple[int, int]:
    """Let an own post-only order arrive at `now_ns`, before the market's next event.

    Returns
    -------
    (int, int)
        Rows written from 0; the order's slot, or CROSSES, TOO_FAR (it, or the market's best order
        seen from it, lies beyond the depth kept), FULL.
    """
    if side * (price_ticks - _best(state, -side)) >= 0:
        return ZERO, ZERO + CROSSES
    of_market = _best(state, side)
    while orders[of_market & RING_MASK] == 0:  # the market always has an order on each side
        of_market -= side
    depth = parameters[0]["depth_ticks"]
    too_deep = side * (_best(state, side) - price_ticks) >= depth
    if too_deep or side * (price_ticks - of_market) >= depth:
        return ZERO, ZERO + TOO_FAR
    queues[0]["now_ns"] = now_ns
    n, slot = _add(
        parameters, state, queues, lots, orders, events, ZERO, side, price_ticks, qty_lots, ONE
    )
    return n, slot if slot > 0 else ZERO + FULL


@njit
def exchange_cancel(
    state: Array,
    queues: Array,
    lots: Array,
    orders: Array,
    events: Array,
    slot: int,
    now_ns: int,
) -> int:
    """Cancel the own order in `slot`; return the rows written from 0."""
    q = queues[0]
    o = q["orders"][slot]
    q["now_ns"] = now_ns
    side = o["side"]
    price = o["price_ticks"]
    left = o["qty_lots"]
    n = _emit(state, queues, events, ZERO, CANCELLED, side, price, left, slot)
    lots[price & RING_MASK] -= left
    q["own_lots"][price & RING_MASK] -= left
    _remove(state, queues, orders, slot)
    return _tell_level(state, queues, lots, events, n, side, price)


@njit
def exchange_ahead(queues: Array, slot: int) -> int:
    """Return the lots in front of the order in `slot`, own ones included."""
    q = queues[0]
    ahead = 0
    slot = q["orders"][slot]["previous"]
    while slot > 0:
        ahead += q["orders"][slot]["qty_lots"]
        slot = q["orders"][slot]["previous"]
    return ahead
