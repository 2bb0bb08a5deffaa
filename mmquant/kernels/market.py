"""Compiled steps of the synthetic market: random numbers, order flow, the book they make.

One ring of lots (and one of resting order counts) holds both sides: slot `tick & RING_MASK` is
a bid up to the best bid and an ask from the best ask on. Every candidate event's time is drawn
in advance and kept in the state, so the events do not depend on how time is cut into calls.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import njit
from mmquant.codes import MarketEventKind, Side

__all__ = [
    "RING",
    "STEP_EVENTS",
    "market_run",
    "market_start",
    "market_step",
    "random_bits",
    "random_normals",
    "random_unit",
]

Array = NDArray[Any]

RING = 4096  # ticks held: two depths and the widest spread must fit in
RING_MASK = RING - 1
STEP_EVENTS = 1024  # the most rows one step may write

# numpy integers, because numba compiles a function anew for each plain constant passed to it.
BUY: Any = np.int64(Side.BUY)
SELL: Any = np.int64(Side.SELL)
LEVEL: Any = np.int64(MarketEventKind.LEVEL)
TRADE: Any = np.int64(MarketEventKind.TRADE)
ZERO: Any = np.int64(0)
ONE: Any = np.int64(1)

NS_PER_S = 1_000_000_000
UNIT = 2.0**-53
LOW_32 = np.uint64(0xFFFFFFFF)
U11, U16, U24, U27 = np.uint64(11), np.uint64(16), np.uint64(24), np.uint64(27)
U32, U37, U40 = np.uint64(32), np.uint64(37), np.uint64(40)


@njit
def random_bits(state: Array) -> Any:
    """Return the next 64 random bits (xoroshiro128+, Blackman and Vigna 2018)."""
    s = state[0]
    a = s["random_0"]
    b = s["random_1"]
    # The sum modulo 2**64 by halves: a numpy scalar that overflows warns, compiled code wraps.
    low = (a & LOW_32) + (b & LOW_32)
    high = (a >> U32) + (b >> U32) + (low >> U32)
    b ^= a
    s["random_0"] = ((a << U24) | (a >> U40)) ^ b ^ (b << U16)
    s["random_1"] = (b << U37) | (b >> U27)
    return ((high & LOW_32) << U32) | (low & LOW_32)


@njit
def random_unit(state: Array) -> float:
    """Return a uniform number in (0, 1]."""
    return 1.0 - float(random_bits(state) >> U11) * UNIT


@njit
def random_normals(state: Array) -> tuple[float, float]:
    """Return two independent standard normal numbers (Marsaglia's polar method)."""
    while True:
        x = 2.0 * random_unit(state) - 1.0
        y = 2.0 * random_unit(state) - 1.0
        square = x * x + y * y
        if 0.0 < square < 1.0:
            scale = math.sqrt(-2.0 * math.log(square) / square)
            return x * scale, y * scale


@njit
def random_lots(state: Array, median_lots: float, log_sd: float) -> int:
    """Return a log-normal order size in lots, at least 1."""
    z, _ = random_normals(state)
    return max(1, int(median_lots * math.exp(log_sd * min(z, 4.0))))


@njit
def emit(
    state: Array, events: Array, n: int, kind: int, side: int, price_ticks: int, qty_lots: int
) -> int:
    """Write row `n` of `events`; a level change takes the next update id. Return n + 1."""
    s = state[0]
    if kind == LEVEL:
        s["update_id"] += 1
    events[n, 0] = kind
    events[n, 1] = s["now_ns"]
    events[n, 2] = s["update_id"]
    events[n, 3] = side
    events[n, 4] = price_ticks
    events[n, 5] = qty_lots
    return n + 1


@njit
def next_best(state: Array, lots: Array, side: int) -> int:
    """Return the price of the second best level; the side must hold two levels."""
    s = state[0]
    step = -side
    price: int = (s["best_bid_ticks"] if side == BUY else s["best_ask_ticks"]) + step
    while lots[price & RING_MASK] == 0:
        price += step
    return price


@njit
def may_empty(parameters: Array, state: Array, lots: Array, side: int, price: int) -> bool:
    """Tell whether the level at `price` may go: enough levels left and the spread in bounds."""
    s = state[0]
    p = parameters[0]
    if side == BUY:
        if s["bid_levels"] <= p["min_levels"]:
            return False
        if price != s["best_bid_ticks"]:
            return True
        return bool(s["best_ask_ticks"] - next_best(state, lots, side) <= p["max_spread_ticks"])
    if s["ask_levels"] <= p["min_levels"]:
        return False
    if price != s["best_ask_ticks"]:
        return True
    return bool(next_best(state, lots, side) - s["best_bid_ticks"] <= p["max_spread_ticks"])


@njit
def set_level(
    state: Array,
    lots: Array,
    orders: Array,
    events: Array,
    n: int,
    side: int,
    price: int,
    qty: int,
    count: int,
) -> int:
    """Set a populated level to `qty` lots in `count` orders, 0 to remove. Return the new n."""
    s = state[0]
    slot = price & RING_MASK
    gone = orders[slot] - count
    best_went = False
    if side == BUY:
        s["bid_orders"] -= gone
        if qty == 0:
            s["bid_levels"] -= 1
            best_went = price == s["best_bid_ticks"] and s["bid_levels"] > 0
            if best_went:
                s["best_bid_ticks"] = next_best(state, lots, side)
    else:
        s["ask_orders"] -= gone
        if qty == 0:
            s["ask_levels"] -= 1
            best_went = price == s["best_ask_ticks"] and s["ask_levels"] > 0
            if best_went:
                s["best_ask_ticks"] = next_best(state, lots, side)
    lots[slot] = qty
    orders[slot] = count
    return emit(state, events, n, LEVEL, side, price, qty)


@njit
def add_order(
    parameters: Array,
    state: Array,
    lots: Array,
    orders: Array,
    events: Array,
    n: int,
    side: int,
    price: int,
    qty: int,
) -> int:
    """Rest one order; a better best drops the levels now beyond the depth. Return the new n."""
    s = state[0]
    depth = parameters[0]["depth_ticks"]
    slot = price & RING_MASK
    fresh = 1 if lots[slot] == 0 else 0
    lots[slot] += qty
    orders[slot] += 1
    n = emit(state, events, n, LEVEL, side, price, lots[slot])
    if side == BUY:
        s["bid_levels"] += fresh
        s["bid_orders"] += 1
        old = s["best_bid_ticks"]
        better = price > old
        if better:
            s["best_bid_ticks"] = price
    else:
        s["ask_levels"] += fresh
        s["ask_orders"] += 1
        old = s["best_ask_ticks"]
        better = price < old
        if better:
            s["best_ask_ticks"] = price
    if better:
        far = old - side * depth
        while far != price - side * depth:
            if lots[far & RING_MASK] > 0:
                n = set_level(state, lots, orders, events, n, side, far, ZERO, ZERO)
            far += side
    return n


@njit
def reference_price(parameters: Array, state: Array, side: int) -> int:
    """Return the best price a maker would quote now: off the latent price, never crossing."""
    s = state[0]
    half = parameters[0]["half_spread_ticks"]
    if side == BUY:
        return int(min(s["best_ask_ticks"] - 1, math.floor(s["latent_ticks"] - half)))
    return int(max(s["best_bid_ticks"] + 1, math.ceil(s["latent_ticks"] + half)))


@njit
def arrive(
    parameters: Array, state: Array, lots: Array, orders: Array, events: Array, n: int, side: int
) -> int:
    """Rest an order at a random distance behind the reference price. Return the new n."""
    s = state[0]
    p = parameters[0]
    mean = p["near_ticks"] if random_unit(state) <= p["near_share"] else p["far_ticks"]
    distance = int(-mean * math.log(random_unit(state)))
    price = reference_price(parameters, state, side) - side * distance
    best = s["best_bid_ticks"] if side == BUY else s["best_ask_ticks"]
    qty = random_lots(state, p["order_lots"], p["order_log_sd"])
    if side * (best - price) >= p["depth_ticks"]:
        return n
    return add_order(parameters, state, lots, orders, events, n, side, price, qty)


@njit
def cancel(
    parameters: Array, state: Array, lots: Array, orders: Array, events: Array, n: int
) -> int:
    """Cancel one resting order, each as likely as any other. Return the new n."""
    s = state[0]
    pick = int((1.0 - random_unit(state)) * (s["bid_orders"] + s["ask_orders"]))
    if pick < s["bid_orders"]:
        side = BUY
        price = s["best_bid_ticks"]
    else:
        side = SELL
        pick -= s["bid_orders"]
        price = s["best_ask_ticks"]
    while pick >= orders[price & RING_MASK]:
        pick -= orders[price & RING_MASK]
        price -= side
    slot = price & RING_MASK
    count = orders[slot]
    if count == 1:
        if not may_empty(parameters, state, lots, side, price):
            return n
        return set_level(state, lots, orders, events, n, side, price, ZERO, ZERO)
    left = lots[slot] - lots[slot] // count
    return set_level(state, lots, orders, events, n, side, price, left, count - 1)


@njit
def fade(
    parameters: Array, state: Array, lots: Array, orders: Array, events: Array, n: int, side: int
) -> int:
    """Pull the whole best level, which the latent price has made a bad offer."""
    s = state[0]
    price = s["best_bid_ticks"] if side == BUY else s["best_ask_ticks"]
    if not may_empty(parameters, state, lots, side, price):
        return n
    return set_level(state, lots, orders, events, n, side, price, ZERO, ZERO)


@njit
def chase(
    parameters: Array, state: Array, lots: Array, orders: Array, events: Array, n: int, side: int
) -> int:
    """Improve the best price towards the reference price. Return the new n."""
    s = state[0]
    p = parameters[0]
    best = s["best_bid_ticks"] if side == BUY else s["best_ask_ticks"]
    gap = side * (reference_price(parameters, state, side) - best)
    if gap < 1:
        return n
    price = best + side * (gap - int((1.0 - random_unit(state)) * gap))
    qty = random_lots(state, p["order_lots"], p["order_log_sd"])
    return add_order(parameters, state, lots, orders, events, n, side, price, qty)


@njit
def take(
    parameters: Array,
    state: Array,
    lots: Array,
    orders: Array,
    events: Array,
    n: int,
    aggressor: int,
) -> int:
    """Execute a market order level by level and excite the next ones. Return the new n."""
    s = state[0]
    p = parameters[0]
    side = -aggressor
    want = random_lots(state, p["market_lots"], p["market_log_sd"])
    start = s["best_ask_ticks"] if side == SELL else s["best_bid_ticks"]
    if aggressor * (s["latent_ticks"] - start) > 1.0:
        # Informed: the touch is mispriced, so a larger order goes for all of it.
        want *= 4
    price = start
    while want > 0 and aggressor * (price - start) <= p["max_sweep_ticks"]:
        slot = price & RING_MASK
        resting = lots[slot]
        fill = min(want, resting)
        if fill == resting and not may_empty(parameters, state, lots, side, price):
            fill = resting - 1
            want = fill
        if fill == 0:
            break
        left = resting - fill
        count = ZERO if left == 0 else max(1, min(left, orders[slot] * left // resting))
        n = emit(state, events, n, TRADE, aggressor, price, fill)
        n = set_level(state, lots, orders, events, n, side, price, left, count)
        want -= fill
        price = s["best_ask_ticks"] if side == SELL else s["best_bid_ticks"]
    if aggressor == BUY:
        s["buy_excitation_per_s"] += p["excitation_per_s"]
        s["sell_excitation_per_s"] += p["cross_excitation_per_s"]
    else:
        s["sell_excitation_per_s"] += p["excitation_per_s"]
        s["buy_excitation_per_s"] += p["cross_excitation_per_s"]
    return n


@njit
def evolve(parameters: Array, state: Array, elapsed_s: float) -> None:
    """Move the latent price, its volatility and the decaying excitation by `elapsed_s`."""
    s = state[0]
    p = parameters[0]
    volatility = p["volatility_ticks_per_sqrt_s"] * math.exp(s["log_volatility"])
    z, w = random_normals(state)
    moved = s["latent_ticks"] + volatility * math.sqrt(elapsed_s) * z
    s["latent_ticks"] = max(moved, float(RING))
    keep = math.exp(-elapsed_s / p["volatility_memory_s"])
    s["log_volatility"] = (
        keep * s["log_volatility"] + p["log_volatility_sd"] * math.sqrt(1.0 - keep * keep) * w
    )
    decay = math.exp(-p["excitation_decay_per_s"] * elapsed_s)
    s["buy_excitation_per_s"] *= decay
    s["sell_excitation_per_s"] *= decay


@njit
def draw_next(parameters: Array, state: Array) -> None:
    """Set the intensities from now on and draw the time of the next candidate event."""
    s = state[0]
    p = parameters[0]
    pace = math.exp(s["log_volatility"])  # a volatile market is a busy one
    gap_bid = reference_price(parameters, state, BUY) - s["best_bid_ticks"]
    gap_ask = s["best_ask_ticks"] - reference_price(parameters, state, SELL)
    fade_per_tick = p["fade_rate_per_tick_s"] * pace
    chase_per_tick = p["chase_rate_per_tick_s"] * pace
    s["limit_rate"] = 2.0 * p["limit_rate_per_s"] * pace
    s["cancel_rate"] = p["cancel_rate_per_s"] * pace * (s["bid_orders"] + s["ask_orders"])
    s["fade_bid_rate"] = fade_per_tick * max(0, -gap_bid)
    s["fade_ask_rate"] = fade_per_tick * max(0, -gap_ask)
    s["chase_bid_rate"] = chase_per_tick * max(0, gap_bid)
    s["chase_ask_rate"] = chase_per_tick * max(0, gap_ask)
    mispriced = s["latent_ticks"] - 0.5 * (s["best_bid_ticks"] + s["best_ask_ticks"])
    lean = min(max(p["informed_per_tick"] * mispriced, -30.0), 30.0)
    buyers = 1.0 / (1.0 + math.exp(-lean))
    s["buy_rate"] = p["market_rate_per_s"] * pace * buyers
    s["sell_rate"] = p["market_rate_per_s"] * pace * (1.0 - buyers)
    total = s["limit_rate"] + s["cancel_rate"] + s["fade_bid_rate"] + s["fade_ask_rate"]
    total += s["chase_bid_rate"] + s["chase_ask_rate"] + s["buy_rate"] + s["sell_rate"]
    total += s["buy_excitation_per_s"] + s["sell_excitation_per_s"]
    s["total_rate"] = total
    wait_s = -math.log(random_unit(state)) / total
    s["next_ns"] = s["now_ns"] + 1 + int(wait_s * NS_PER_S)


@njit
def market_start(
    parameters: Array, state: Array, lots: Array, orders: Array, events: Array, target_orders: int
) -> None:
    """Fill an empty book round the latent price with `target_orders` a side, then draw ahead.

    The rows written to `events` are scratch. The best prices of `state` are those of the first
    orders; update_id counts from where it stood.
    """
    s = state[0]
    for side in (BUY, SELL):
        price = s["best_bid_ticks"] if side == BUY else s["best_ask_ticks"]
        add_order(parameters, state, lots, orders, events, ZERO, side, price, ONE)
    for _ in range(target_orders):
        arrive(parameters, state, lots, orders, events, ZERO, BUY)
        arrive(parameters, state, lots, orders, events, ZERO, SELL)
    draw_next(parameters, state)


@njit
def market_step(
    parameters: Array, state: Array, lots: Array, orders: Array, events: Array, n: int
) -> int:
    """Play the next candidate event (it may turn out to be none, by thinning).

    Parameters
    ----------
    parameters : MARKET_PARAMETERS array, shape (1,)
    state : MARKET_STATE array, shape (1,)
        Updated in place.
    lots, orders : int64 arrays, shape (RING,)
        Lots and resting orders a tick. Updated in place.
    events : int64 array, shape (capacity, 6)
        Rows as MARKET_EVENT; STEP_EVENTS must be free behind row `n`.
    n : int
        Rows written so far.

    Returns
    -------
    int
        Rows written now.
    """
    s = state[0]
    elapsed_s = (s["next_ns"] - s["now_ns"]) / NS_PER_S
    s["now_ns"] = s["next_ns"]
    pick = random_unit(state) * s["total_rate"]
    evolve(parameters, state, elapsed_s)
    if pick <= s["limit_rate"]:
        side = BUY if 2.0 * pick <= s["limit_rate"] else SELL
        n = arrive(parameters, state, lots, orders, events, n, side)
    else:
        n = _step_other(parameters, state, lots, orders, events, n, pick - s["limit_rate"])
    draw_next(parameters, state)
    return n


@njit
def _step_other(
    parameters: Array, state: Array, lots: Array, orders: Array, events: Array, n: int, pick: float
) -> int:
    s = state[0]
    if pick <= s["cancel_rate"]:
        return cancel(parameters, state, lots, orders, events, n)
    pick -= s["cancel_rate"]
    if pick <= s["fade_bid_rate"]:
        return fade(parameters, state, lots, orders, events, n, BUY)
    pick -= s["fade_bid_rate"]
    if pick <= s["fade_ask_rate"]:
        return fade(parameters, state, lots, orders, events, n, SELL)
    pick -= s["fade_ask_rate"]
    if pick <= s["chase_bid_rate"]:
        return chase(parameters, state, lots, orders, events, n, BUY)
    pick -= s["chase_bid_rate"]
    if pick <= s["chase_ask_rate"]:
        return chase(parameters, state, lots, orders, events, n, SELL)
    pick -= s["chase_ask_rate"]
    # The excitation has decayed since the draw: what is left over is a candidate refused.
    if pick <= s["buy_rate"] + s["buy_excitation_per_s"]:
        return take(parameters, state, lots, orders, events, n, BUY)
    pick -= s["buy_rate"] + s["buy_excitation_per_s"]
    if pick <= s["sell_rate"] + s["sell_excitation_per_s"]:
        return take(parameters, state, lots, orders, events, n, SELL)
    return n


@njit
def market_run(
    parameters: Array, state: Array, lots: Array, orders: Array, events: Array, until_ns: int
) -> int:
    """Step until the next candidate lies beyond `until_ns` or `events` is full; return the rows.

    Full means fewer than STEP_EVENTS rows are free: call again to go on from there.
    """
    n: int = ZERO
    room = events.shape[0] - STEP_EVENTS
    while n <= room and state[0]["next_ns"] <= until_ns:
        n = market_step(parameters, state, lots, orders, events, n)
    return n
