"""Signals of book and trades: VAMP, depth imbalance, order flow, trade flow, basis, their blend."""

import math

import numpy as np

from mmquant._jit import bare_njit as njit
from mmquant.kernels.decay import decay

BPS = 1e4


@njit
def vamp_ticks(
    bid_ticks: np.ndarray,
    bid_lots: np.ndarray,
    ask_ticks: np.ndarray,
    ask_lots: np.ndarray,
    levels: int,
) -> float:
    """Return the volume-adjusted mid of `levels` levels in ticks: prices times opposite sizes.

    (sum Pb_i Qa_i + sum Pa_i Qb_i) / (sum Qb_i + sum Qa_i) over the levels that both sides have
    (0 lots: none); NaN without any. With one level it is the microprice.

    Parameters
    ----------
    bid_ticks, bid_lots, ask_ticks, ask_lots : ndarray of int64, shape (at least levels,)
        Best first.
    levels : int
    """
    # Relative to the best bid: products of ticks and lots would lose digits.
    base = bid_ticks[0]
    top = 0.0
    bottom = 0.0
    for i in range(levels):
        if bid_lots[i] > 0 and ask_lots[i] > 0:
            bid = float(bid_lots[i])
            ask = float(ask_lots[i])
            top += (bid_ticks[i] - base) * ask + (ask_ticks[i] - base) * bid
            bottom += bid + ask
    if bottom <= 0.0:
        return math.nan
    return float(base + top / bottom)


@njit
def depth_imbalance(bid_lots: np.ndarray, ask_lots: np.ndarray, levels: int) -> float:
    """Return (bids - asks) / (bids + asks) of the lots on `levels` levels; 0.0 without any."""
    bids = 0.0
    asks = 0.0
    for i in range(levels):
        bids += bid_lots[i]
        asks += ask_lots[i]
    if bids + asks <= 0.0:
        return 0.0
    return (bids - asks) / (bids + asks)


@njit
def order_flow(old_tick: int, old_lots: int, new_tick: int, new_lots: int, sign: int) -> int:
    """Return what one level's change adds (bids, sign 1) or takes away (asks, sign -1) in lots.

    Cont, Kukanov and Stoikov (2014): all of the new size where the price is better or the same,
    less all of the old one where it is worse or the same. A side of 0 lots is at the worst price.
    """
    better = new_lots > 0 and (old_lots == 0 or sign * new_tick >= sign * old_tick)
    worse = old_lots > 0 and (new_lots == 0 or sign * new_tick <= sign * old_tick)
    flow = 0
    if better:
        flow += new_lots
    if worse:
        flow -= old_lots
    return sign * flow


@njit
def order_flow_path(
    bid_ticks: np.ndarray,
    bid_lots: np.ndarray,
    ask_ticks: np.ndarray,
    ask_lots: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write each level's order flow imbalance from row to row, in lots; the first row is 0.

    Level by level as Xu, Gould and Howison (2018); level 0 is that of Cont, Kukanov and Stoikov.
    All arrays are int64 of shape (n, levels), best level first.
    """
    # Not literals: numba would compile `order_flow` for each of them.
    bid_side = int(np.int64(1))
    ask_side = int(np.int64(-1))
    for i in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[i, k] = 0
            if i > 0:
                j = i - 1
                out[i, k] = order_flow(
                    bid_ticks[j, k], bid_lots[j, k], bid_ticks[i, k], bid_lots[i, k], bid_side
                ) + order_flow(
                    ask_ticks[j, k], ask_lots[j, k], ask_ticks[i, k], ask_lots[i, k], ask_side
                )


@njit
def order_flow_step(
    state: np.ndarray,
    bid_ticks: np.ndarray,
    bid_lots: np.ndarray,
    ask_ticks: np.ndarray,
    ask_lots: np.ndarray,
    levels: int,
    ts_ns: int,
) -> float:
    """Take in one book and return the decayed order flow imbalance of its levels, in lots.

    F = 2^(-dt / half_life) F + sum over levels of `order_flow` against the book before: the
    sum over levels is that of Xu, Gould and Howison's (2018) vector. Where the state does not
    follow on (`follows` 0), the book only is what the next one is compared with.

    Parameters
    ----------
    state : ndarray of ORDER_FLOW, shape (1,)
        Changed in place; `half_life_ns` is set, the rest starts as zeros.
    bid_ticks, bid_lots, ask_ticks, ask_lots : ndarray of int64, shape (at least levels,)
        Best first, 0 lots for a level that is not there.
    levels : int
        At most MAX_SIGNAL_LEVELS.
    ts_ns : int
        A book of the past counts as of now.
    """
    s = state[0]
    elapsed_ns = max(ts_ns - s["ts_ns"], 0) if s["books"] > 0 else 0
    bid_side = int(np.int64(1))
    ask_side = int(np.int64(-1))
    flow = 0
    touch = 0
    for k in range(levels):
        if s["follows"] == 1:
            flow += order_flow(
                s["bid_ticks"][k], s["bid_lots"][k], bid_ticks[k], bid_lots[k], bid_side
            )
            flow += order_flow(
                s["ask_ticks"][k], s["ask_lots"][k], ask_ticks[k], ask_lots[k], ask_side
            )
        if k == 0:
            touch = flow
        s["bid_ticks"][k] = bid_ticks[k]
        s["bid_lots"][k] = bid_lots[k]
        s["ask_ticks"][k] = ask_ticks[k]
        s["ask_lots"][k] = ask_lots[k]
    kept = decay(elapsed_ns * (1.0 / s["half_life_ns"]))
    s["flow_lots"] = kept * s["flow_lots"] + flow
    s["touch_lots"] = kept * s["touch_lots"] + touch
    s["ts_ns"] = ts_ns if s["books"] == 0 else s["ts_ns"] + elapsed_ns
    s["books"] += 1
    s["follows"] = 1
    return float(s["flow_lots"])


@njit
def order_flow_lots(state: np.ndarray, now_ns: int) -> float:
    """Return the flow of an ORDER_FLOW state decayed to `now_ns`; 0.0 before the first book."""
    s = state[0]
    if s["books"] == 0:
        return 0.0
    elapsed_ns = max(now_ns - s["ts_ns"], 0)
    return float(decay(elapsed_ns * (1.0 / s["half_life_ns"])) * s["flow_lots"])


@njit
def touch_flow_lots(state: np.ndarray, now_ns: int) -> float:
    """Do as `order_flow_lots` for the best level alone."""
    s = state[0]
    if s["books"] == 0:
        return 0.0
    elapsed_ns = max(now_ns - s["ts_ns"], 0)
    return float(decay(elapsed_ns * (1.0 / s["half_life_ns"])) * s["touch_lots"])


@njit
def decayed_order_flow_path(
    state: np.ndarray,
    bid_ticks: np.ndarray,
    bid_lots: np.ndarray,
    ask_ticks: np.ndarray,
    ask_lots: np.ndarray,
    ts_ns: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fold `order_flow_step` over rows of int64 arrays (n, levels) into float64 `out` (n,)."""
    levels = int(bid_lots.shape[1])
    for i in range(out.size):
        out[i] = order_flow_step(
            state, bid_ticks[i], bid_lots[i], ask_ticks[i], ask_lots[i], levels, ts_ns[i]
        )


@njit
def trade_flow_now(state: np.ndarray) -> float:
    """Return (bought - sold) / (bought + sold) of a TRADE_FLOW state; 0.0 without a trade."""
    s = state[0]
    total = s["bought_lots"] + s["sold_lots"]
    if total <= 0.0:
        return 0.0
    return float((s["bought_lots"] - s["sold_lots"]) / total)


@njit
def trade_flow_step(state: np.ndarray, lots: int, side: int, ts_ns: int) -> float:
    """Take in one trade and return (bought - sold) / (bought + sold), both decayed, in [-1, 1].

    Parameters
    ----------
    state : ndarray of TRADE_FLOW, shape (1,)
        Changed in place; `half_life_ns` is set, the rest starts as zeros.
    lots : int
    side : int
        1 where the aggressor bought, -1 where he sold.
    ts_ns : int
        A trade of the past counts as of now.
    """
    s = state[0]
    elapsed_ns = max(ts_ns - s["ts_ns"], 0) if s["trades"] > 0 else 0
    d = decay(elapsed_ns * (1.0 / s["half_life_ns"]))
    s["bought_lots"] = d * s["bought_lots"] + (lots if side > 0 else 0)
    s["sold_lots"] = d * s["sold_lots"] + (lots if side < 0 else 0)
    s["ts_ns"] = ts_ns if s["trades"] == 0 else s["ts_ns"] + elapsed_ns
    s["trades"] += 1
    return trade_flow_now(state)


@njit
def trade_flow_path(
    state: np.ndarray, lots: np.ndarray, sides: np.ndarray, ts_ns: np.ndarray, out: np.ndarray
) -> None:
    """Fold `trade_flow_step` over int64 arrays (n,) into float64 `out` (n,)."""
    for i in range(out.size):
        out[i] = trade_flow_step(state, lots[i], sides[i], ts_ns[i])


@njit
def basis_bps(price: float, reference: float) -> float:
    """Return how far `price` lies above `reference`, in 1/10 000; NaN where either is none."""
    if not (price > 0.0 and reference > 0.0):
        return math.nan
    return BPS * (price - reference) / reference


@njit
def basis_path(
    prices: np.ndarray,
    ts_ns: np.ndarray,
    references: np.ndarray,
    reference_ts_ns: np.ndarray,
    max_age_ns: int,
    out: np.ndarray,
) -> None:
    """Write the basis of each price to the last reference at its time, if that is young enough.

    `prices`, `ts_ns` and `out` have shape (n,), the references (m,); both times in order. A
    reference that is NaN is missing: the one before it stands.
    """
    at = 0  # the first reference that is not seen yet
    last = -1
    for i in range(prices.size):
        while at < references.size and reference_ts_ns[at] <= ts_ns[i]:
            if not math.isnan(references[at]):
                last = at
            at += 1
        out[i] = math.nan
        if last >= 0 and ts_ns[i] - reference_ts_ns[last] <= max_age_ns:
            out[i] = basis_bps(prices[i], references[last])


@njit
def blend_step(
    prices: np.ndarray, weights: np.ndarray, shifts: np.ndarray, ticks_per_unit: np.ndarray
) -> float:
    """Return the weighted mean of the prices that there are, plus the signals that there are.

    sum w_i p_i / sum w_i over finite prices, plus sum c_j s_j over finite signals: a price that
    is missing passes its weight on, a signal that is missing says nothing. NaN without a price.

    Parameters
    ----------
    prices, weights : ndarray of float64, shape (p,)
        In ticks; weights not negative.
    shifts, ticks_per_unit : ndarray of float64, shape (q,)
    """
    top = 0.0
    bottom = 0.0
    for i in range(prices.size):
        if math.isfinite(prices[i]) and weights[i] > 0.0:
            top += weights[i] * prices[i]
            bottom += weights[i]
    if bottom <= 0.0:
        return math.nan
    fair = top / bottom
    for j in range(shifts.size):
        if math.isfinite(shifts[j]):
            fair += ticks_per_unit[j] * shifts[j]
    return fair


@njit
def blend_path(
    prices: np.ndarray,
    weights: np.ndarray,
    shifts: np.ndarray,
    ticks_per_unit: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fold `blend_step` over rows of `prices` (n, p) and `shifts` (n, q) into `out` (n,)."""
    for i in range(out.size):
        out[i] = blend_step(prices[i], weights, shifts[i], ticks_per_unit)


@njit
def signal_drift_step(signals: np.ndarray, ticks_per_s: np.ndarray) -> float:
    """Return the drift that signals foretell in ticks per s: sum c_j s_j over finite signals.

    A signal that is missing foretells nothing; 0.0 without any.

    Parameters
    ----------
    signals, ticks_per_s : ndarray of float64, shape (k,)
        Values, and ticks per s for a unit of each.
    """
    drift = 0.0
    for j in range(signals.size):
        if math.isfinite(signals[j]):
            drift += ticks_per_s[j] * signals[j]
    return drift


@njit
def signal_drift_path(signals: np.ndarray, ticks_per_s: np.ndarray, out: np.ndarray) -> None:
    """Fold `signal_drift_step` over rows of `signals` (n, k) into float64 `out` (n,)."""
    for i in range(out.size):
        out[i] = signal_drift_step(signals[i], ticks_per_s)


@njit
def vamp_path(
    bid_ticks: np.ndarray,
    bid_lots: np.ndarray,
    ask_ticks: np.ndarray,
    ask_lots: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fold `vamp_ticks` over rows of int64 arrays (n, levels) into float64 `out` (n,)."""
    for i in range(out.size):
        out[i] = vamp_ticks(bid_ticks[i], bid_lots[i], ask_ticks[i], ask_lots[i], bid_lots.shape[1])


@njit
def depth_imbalance_path(bid_lots: np.ndarray, ask_lots: np.ndarray, out: np.ndarray) -> None:
    """Fold `depth_imbalance` over rows of int64 arrays (n, levels) into float64 `out` (n,)."""
    for i in range(out.size):
        out[i] = depth_imbalance(bid_lots[i], ask_lots[i], bid_lots.shape[1])
