"""The pricing's signals: levels of book and best bid and offer, flows, prices, and their blend."""

import math

import numpy as np

from mmquant._jit import bare_njit as njit
from mmquant.codes import PricingFlag
from mmquant.kernels.book_ring import level_lots, next_level
from mmquant.kernels.book_tail import NO_ASK, NO_BID
from mmquant.kernels.fair_value import imbalance, microprice_ticks, mid_ticks
from mmquant.kernels.microprice import estimated_microprice
from mmquant.kernels.signals import (
    basis_bps,
    blend_step,
    depth_imbalance,
    order_flow_lots,
    order_flow_step,
    signal_drift_step,
    touch_flow_lots,
    trade_flow_now,
    vamp_ticks,
)
from mmquant.kernels.volatility import drift_ticks_per_s, volatility_ticks_per_sqrt_s
from mmquant.state import MAX_SIGNAL_LEVELS

__all__ = ["clear_levels", "fill_signals", "half_life_or_second", "read_levels", "take_flow"]

FLAG_BASIS = int(PricingFlag.BASIS)
FLAG_REALISED = int(PricingFlag.REALISED)
SECOND_NS = 1_000_000_000


@njit
def half_life_or_second(half_life_ns: int) -> int:
    """Return the half-life, a second for the 0 of zeroed parameters."""
    return half_life_ns if half_life_ns > 0 else SECOND_NS


@njit
def _depth(levels: int) -> int:
    """Return a number of levels within what there is room for, 1 at the least."""
    return min(max(levels, 1), MAX_SIGNAL_LEVELS)


@njit
def clear_levels(state: np.ndarray) -> None:
    """Empty the levels that the signals are of."""
    s = state[0]
    for i in range(MAX_SIGNAL_LEVELS):
        s["bid_ticks"][i] = 0
        s["bid_lots"][i] = 0
        s["ask_ticks"][i] = 0
        s["ask_lots"][i] = 0


@njit
def read_levels(state: np.ndarray, book: np.ndarray, params: np.ndarray, out: np.ndarray) -> None:
    """Write the best levels: the touch of `out`, then the depth stream's strictly behind it.

    Both sides of the touch are there. A level that is not reads 0 ticks, 0 lots.
    """
    s = state[0]
    o = out[0]
    p = params[0]
    n = max(_depth(p["depth_levels"]), _depth(p["order_flow_levels"]))
    for side in range(2):
        sign = 1 - 2 * side
        ticks = s["bid_ticks"] if sign > 0 else s["ask_ticks"]
        lots = s["bid_lots"] if sign > 0 else s["ask_lots"]
        none = NO_BID if sign > 0 else NO_ASK
        tick = o["bid_ticks"] if sign > 0 else o["ask_ticks"]
        ticks[0] = tick
        lots[0] = o["bid_lots"] if sign > 0 else o["ask_lots"]
        for i in range(1, n):
            if tick != none:
                tick = next_level(book, sign, tick)
            ticks[i] = tick if tick != none else 0
            lots[i] = level_lots(book, sign, tick) if tick != none else 0


@njit
def take_flow(state: np.ndarray, params: np.ndarray, now_ns: int) -> None:
    """Let the order flow take in the levels that were read."""
    s = state[0]
    p = params[0]
    flow = s["order_flow"][:]
    flow[0]["half_life_ns"] = half_life_or_second(p["order_flow_half_life_ns"])
    order_flow_step(
        flow,
        s["bid_ticks"][:],
        s["bid_lots"][:],
        s["ask_ticks"][:],
        s["ask_lots"][:],
        _depth(p["order_flow_levels"]),
        now_ns,
    )


@njit
def _fill_prices(state: np.ndarray, params: np.ndarray, out: np.ndarray) -> None:
    """Write every price of the touch and its levels into `inputs`."""
    s = state[0]
    p = params[0]
    i = s["inputs"][0]
    bid, bid_lots, ask, ask_lots = i["bid_ticks"], i["bid_lots"], i["ask_ticks"], i["ask_lots"]
    depth = _depth(p["depth_levels"])
    bids = 0
    asks = 0
    for k in range(depth):
        bids += s["bid_lots"][k]
        asks += s["ask_lots"][k]
    i["mid_ticks"] = mid_ticks(bid, ask)
    i["microprice_ticks"] = microprice_ticks(bid, bid_lots, ask, ask_lots)
    i["weighted_mid_ticks"] = microprice_ticks(bid, bids, ask, asks)
    i["vamp_ticks"] = vamp_ticks(
        s["bid_ticks"][:], s["bid_lots"][:], s["ask_ticks"][:], s["ask_lots"][:], depth
    )
    i["touch_imbalance"] = imbalance(bid_lots, ask_lots)
    i["depth_imbalance"] = depth_imbalance(s["bid_lots"][:], s["ask_lots"][:], depth)
    if p["stoikov_buckets"] > 0:
        table = p["stoikov_adjustment_ticks"][: p["stoikov_states"]]
        i["stoikov_ticks"] = estimated_microprice(
            bid, bid_lots, ask, ask_lots, table, p["stoikov_buckets"]
        )


@njit
def _blend(state: np.ndarray, params: np.ndarray) -> float:
    """Return the fair value of the configured blend; the mid where no price has a weight."""
    s = state[0]
    p = params[0]
    i = s["inputs"][0]
    prices, weights = s["prices_ticks"][:], s["weights"][:]
    signals, ticks_per_unit = s["signals"][:], s["ticks_per_unit"][:]
    prices[0], weights[0] = i["mid_ticks"], p["mid_weight"]
    prices[1], weights[1] = i["weighted_mid_ticks"], p["weighted_mid_weight"]
    prices[2], weights[2] = i["microprice_ticks"], p["microprice_weight"]
    prices[3], weights[3] = i["stoikov_ticks"], p["stoikov_weight"]
    prices[4], weights[4] = i["vamp_ticks"], p["vamp_weight"]
    total = 0.0
    for k in range(weights.size):
        total += weights[k]
    if total == 0.0:
        weights[0] = 1.0
    signals[0], ticks_per_unit[0] = i["depth_imbalance"], p["depth_imbalance_ticks"]
    signals[1], ticks_per_unit[1] = i["order_flow_lots"], p["order_flow_ticks_per_lot"]
    signals[2], ticks_per_unit[2] = i["trade_flow_imbalance"], p["trade_flow_ticks"]
    signals[3], ticks_per_unit[3] = i["basis_bps"], p["basis_ticks_per_bp"]
    return blend_step(prices, weights, signals, ticks_per_unit)


@njit
def _fill_drifts(state: np.ndarray, params: np.ndarray) -> None:
    """Write the drift of the mids, that of the signals, and the one of both that counts."""
    s = state[0]
    p = params[0]
    i = s["inputs"][0]
    signals = s["drift_signals"][:]  # in the order of settings_rules.SIGNAL_DRIFT
    signals[0] = i["depth_imbalance"]
    signals[1] = i["touch_imbalance"]
    signals[2] = i["order_flow_lots"]
    signals[3] = i["touch_flow_lots"]
    signals[4] = i["trade_flow_imbalance"]
    signals[5] = i["basis_bps"]
    signals[6] = i["microprice_ticks"] - i["mid_ticks"]
    ewma = drift_ticks_per_s(s["volatility"][:])
    of_signals = signal_drift_step(signals, p["signal_drift_ticks_per_s"][:])
    i["ewma_drift_ticks_per_s"] = ewma
    i["signal_drift_ticks_per_s"] = of_signals
    i["drift_ticks_per_s"] = of_signals if p["drift_source"] == 1 else ewma


@njit
def _fill_realised(state: np.ndarray, params: np.ndarray, now_ns: int) -> int:
    """Write the realised measures into `inputs`, NaN without or stale; return REALISED or 0."""
    s = state[0]
    i = s["inputs"][0]
    c = s["realised"][0]["closed"][0]
    if c["samples"] == 0 or now_ns - c["end_ns"] > 2 * params[0]["realised_window_ns"]:
        i["realised_ticks_per_sqrt_s"] = i["bipower_ticks_per_sqrt_s"] = math.nan
        i["two_scale_ticks_per_sqrt_s"] = i["pre_averaged_ticks_per_sqrt_s"] = math.nan
        i["parkinson_ticks_per_sqrt_s"] = i["garman_klass_ticks_per_sqrt_s"] = math.nan
        i["rogers_satchell_ticks_per_sqrt_s"] = i["yang_zhang_ticks_per_sqrt_s"] = math.nan
        i["noise_ticks"] = math.nan
        return 0
    i["realised_ticks_per_sqrt_s"] = c["realised_ticks_per_sqrt_s"]
    i["bipower_ticks_per_sqrt_s"] = c["bipower_ticks_per_sqrt_s"]
    i["two_scale_ticks_per_sqrt_s"] = c["two_scale_ticks_per_sqrt_s"]
    i["pre_averaged_ticks_per_sqrt_s"] = c["pre_averaged_ticks_per_sqrt_s"]
    i["noise_ticks"] = c["noise_ticks"]
    i["parkinson_ticks_per_sqrt_s"] = c["parkinson_ticks_per_sqrt_s"]
    i["garman_klass_ticks_per_sqrt_s"] = c["garman_klass_ticks_per_sqrt_s"]
    i["rogers_satchell_ticks_per_sqrt_s"] = c["rogers_satchell_ticks_per_sqrt_s"]
    i["yang_zhang_ticks_per_sqrt_s"] = c["yang_zhang_ticks_per_sqrt_s"]
    return FLAG_REALISED


@njit
def fill_signals(state: np.ndarray, params: np.ndarray, now_ns: int, out: np.ndarray) -> int:
    """Write all signals into `inputs` as of `now_ns`, NaN where there is none.

    The touch is that of `out`, the levels are those that `read_levels` left.

    Returns
    -------
    int
        PricingFlag bits: BASIS, REALISED.
    """
    s = state[0]
    p = params[0]
    o = out[0]
    i = s["inputs"][0]
    i["now_ns"] = now_ns
    i["bid_ticks"], i["bid_lots"] = o["bid_ticks"], o["bid_lots"]
    i["ask_ticks"], i["ask_lots"] = o["ask_ticks"], o["ask_lots"]
    i["mid_ticks"] = i["weighted_mid_ticks"] = i["microprice_ticks"] = math.nan
    i["stoikov_ticks"] = i["vamp_ticks"] = i["blend_ticks"] = math.nan
    i["depth_imbalance"] = i["touch_imbalance"] = i["basis_bps"] = math.nan
    i["order_flow_lots"] = order_flow_lots(s["order_flow"][:], now_ns)
    i["touch_flow_lots"] = touch_flow_lots(s["order_flow"][:], now_ns)
    i["trade_flow_imbalance"] = trade_flow_now(s["trade_flow"][:])
    estimator = s["volatility"][:]
    i["volatility_ticks_per_sqrt_s"] = volatility_ticks_per_sqrt_s(estimator)
    observed_ns = estimator[0]["observed_ns"]
    i["warm_fraction"] = 0.0
    if observed_ns > 0:
        i["warm_fraction"] = min(observed_ns / max(p["warmup_ns"], 1), 1.0)
    flags = _fill_realised(state, params, now_ns)
    if o["bid_lots"] > 0 and o["ask_lots"] > 0:
        _fill_prices(state, params, out)
        if s["reference_ticks"] > 0.0 and now_ns - s["reference_ns"] <= p["reference_max_age_ns"]:
            i["basis_bps"] = basis_bps(i["mid_ticks"], s["reference_ticks"])
            flags |= FLAG_BASIS
        i["blend_ticks"] = _blend(state, params)
    _fill_drifts(state, params)
    return flags
