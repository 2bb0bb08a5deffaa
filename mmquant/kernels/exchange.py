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
from mmquant.kernels.exchange_queue import (
    add_order,
    best_of,
    clear_level,
    emit_row,
    execute_level,
    remove_order,
    tell_level,
)
from mmquant.kernels.market import (
    RING_MASK,
    draw_next,
    evolve,
    may_empty,
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
CANCELLED: Any = np.int64(MarketEventKind.ORDER_CANCELLED)
ZERO: Any = np.int64(0)
ONE: Any = np.int64(1)


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
    if side * (best_of(state, side) - price) >= p["depth_ticks"]:
        return n
    n, _ = add_order(parameters, state, queues, lots, orders, events, n, side, price, qty, ZERO)
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
    price = best_of(state, side)
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
    n = emit_row(state, queues, events, n, CANCELLED, side, price, gone, slot)
    lots[ring] -= gone
    remove_order(state, queues, orders, slot)
    return tell_level(state, queues, lots, events, n, side, price)


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
    price = best_of(state, side)
    if orders[price & RING_MASK] == 0 or not may_empty(parameters, state, lots, side, price):
        return n
    return clear_level(state, queues, lots, orders, events, n, side, price, ZERO)


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
    best = best_of(state, side)
    gap = side * (reference_price(parameters, state, side) - best)
    if gap < 1:
        return n
    price = best + side * (gap - int((1.0 - random_unit(state)) * gap))
    qty = random_lots(state, p["order_lots"], p["order_log_sd"])
    n, _ = add_order(parameters, state, queues, lots, orders, events, n, side, price, qty, ZERO)
    return n


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
    start = best_of(state, side)
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
        n = execute_level(state, queues, lots, orders, events, n, side, price, fill)
        want -= fill
        price = best_of(state, side)
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
        price = best_of(state, side)
        add_order(parameters, state, queues, lots, orders, events, ZERO, side, price, ONE, ZERO)
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
    if side * (price_ticks - best_of(state, -side)) >= 0:
        return ZERO, ZERO + CROSSES
    of_market = best_of(state, side)
    while orders[of_market & RING_MASK] == 0:  # the market always has an order on each side
        of_market -= side
    depth = parameters[0]["depth_ticks"]
    too_deep = side * (best_of(state, side) - price_ticks) >= depth
    if too_deep or side * (price_ticks - of_market) >= depth:
        return ZERO, ZERO + TOO_FAR
    queues[0]["now_ns"] = now_ns
    n, slot = add_order(
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
    n = emit_row(state, queues, events, ZERO, CANCELLED, side, price, left, slot)
    lots[price & RING_MASK] -= left
    q["own_lots"][price & RING_MASK] -= left
    remove_order(state, queues, orders, slot)
    return tell_level(state, queues, lots, events, n, side, price)


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
