"""Mids in windows of time, one behind the other -> the realised measures of each window.

A window reaches from its first mid to the first one at or behind its end, with which the next
window begins: no move and no time between windows is lost. Of a price that stands there is one
sample, however often it is told of: bipower variation and noise are of moves, and messages that
change a size alone would water them down.
"""

import math

import numpy as np

from mmquant._jit import bare_njit as njit
from mmquant.kernels.bar_ranges import (
    GARMAN_KLASS,
    PARKINSON,
    ROGERS_SATCHELL,
    bar_variance,
    yang_zhang,
)
from mmquant.kernels.realised import (
    best_scale,
    bipower_variance,
    pre_averaged_variance,
    squares,
    two_scale_variance,
)
from mmquant.state import MAX_WINDOW_MIDS, WINDOW_BARS

__all__ = ["LEAST_MIDS", "realised_window_path", "realised_window_step"]

LEAST_MIDS = 4  # samples; of fewer, not every measure can be computed
WINDOW_FACTOR = 0.5  # pre-averaging's, as mmquant.pre_averaged_variance has it by default
S_PER_NS = 1e-9


@njit
def _per_sqrt_s(variance: float, seconds: float) -> float:
    """Return sqrt(variance / seconds), 0.0 for a negative variance, NaN for none."""
    if math.isnan(variance):
        return math.nan
    return math.sqrt(max(variance, 0.0) / seconds)


@njit
def _fill_bars(state: np.ndarray, n: int) -> None:
    """Write open, high, low and close of WINDOW_BARS equal parts of the time of `n` mids.

    Row 0 is the first mid alone. A mid stands until the next one: a bar opens where the one
    before it closed, and one without a mid is flat.
    """
    s = state[0]
    times_ns, mids = s["times_ns"], s["mids_ticks"]
    part_ns = (times_ns[n - 1] - times_ns[0]) // WINDOW_BARS
    close = mids[0]
    i = 0
    for k in range(WINDOW_BARS + 1):
        end_ns = times_ns[0] + k * part_ns if k < WINDOW_BARS else times_ns[n - 1]
        s["opens_ticks"][k] = high = low = close
        while i < n and times_ns[i] <= end_ns:
            close = mids[i]
            high = max(high, close)
            low = min(low, close)
            i += 1
        s["highs_ticks"][k] = high
        s["lows_ticks"][k] = low
        s["closes_ticks"][k] = close


@njit
def _fill_ranges(state: np.ndarray, n: int, seconds: float) -> None:
    """Write the measures by range, which are of logarithms, times the last mid."""
    s = state[0]
    c = s["closed"][0]
    _fill_bars(state, n)
    opens, highs = s["opens_ticks"][:], s["highs_ticks"][:]
    lows, closes = s["lows_ticks"][:], s["closes_ticks"][:]
    parkinson = 0.0
    garman_klass = 0.0
    rogers_satchell = 0.0
    for k in range(1, WINDOW_BARS + 1):
        parkinson += bar_variance(PARKINSON, opens[k], highs[k], lows[k], closes[k])
        garman_klass += bar_variance(GARMAN_KLASS, opens[k], highs[k], lows[k], closes[k])
        rogers_satchell += bar_variance(ROGERS_SATCHELL, opens[k], highs[k], lows[k], closes[k])
    mid = s["mids_ticks"][n - 1]
    whole = WINDOW_BARS * yang_zhang(opens, highs, lows, closes, s["moves"][:])
    c["parkinson_ticks_per_sqrt_s"] = _per_sqrt_s(parkinson, seconds) * mid
    c["garman_klass_ticks_per_sqrt_s"] = _per_sqrt_s(garman_klass, seconds) * mid
    c["rogers_satchell_ticks_per_sqrt_s"] = _per_sqrt_s(rogers_satchell, seconds) * mid
    c["yang_zhang_ticks_per_sqrt_s"] = _per_sqrt_s(whole, seconds) * mid


@njit
def _close(state: np.ndarray, n: int) -> None:
    """Write the measures of the first `n` mids."""
    s = state[0]
    c = s["closed"][0]
    mids = s["mids_ticks"][:n]
    c["start_ns"] = s["times_ns"][0]
    c["end_ns"] = s["times_ns"][n - 1]
    c["samples"] = n
    seconds = (c["end_ns"] - c["start_ns"]) * S_PER_NS
    variance = squares(mids)
    c["realised_ticks_per_sqrt_s"] = _per_sqrt_s(variance, seconds)
    c["bipower_ticks_per_sqrt_s"] = _per_sqrt_s(bipower_variance(mids), seconds)
    two_scale = two_scale_variance(mids, best_scale(mids))
    c["two_scale_ticks_per_sqrt_s"] = _per_sqrt_s(two_scale, seconds)
    window = max(round(WINDOW_FACTOR * math.sqrt(n - 1)), 3)
    c["pre_averaged_ticks_per_sqrt_s"] = _per_sqrt_s(pre_averaged_variance(mids, window), seconds)
    c["noise_ticks"] = math.sqrt(variance / (2.0 * (n - 1)))
    _fill_ranges(state, n, seconds)


@njit
def _cut(state: np.ndarray, window_ns: int) -> int:
    """Close the window at the last mid before a gap, if it has enough; return 1 if so."""
    s = state[0]
    n = s["mids"]
    if s["times_ns"][n - 1] < s["seen_ns"]:  # the price stood until then
        s["times_ns"][n] = s["seen_ns"]
        s["mids_ticks"][n] = s["mids_ticks"][n - 1]
        n += 1
    if n < LEAST_MIDS or s["seen_ns"] - s["times_ns"][0] < window_ns - window_ns // 2:
        return 0
    _close(state, n)
    return 1


@njit
def realised_window_step(
    state: np.ndarray, x_ticks: float, ts_ns: int, window_ns: int, max_gap_ns: int
) -> int:
    """Take in one mid; close the window that it ends.

    Samples are the first mid, those that moved, and all from the window's end on. A window is
    closed by the first mid at or behind its end, or as the buffer is full, and never with fewer
    than LEAST_MIDS samples: it then goes on. That mid is the last of it and the first of the next.

    A mid at (or before) the time of the last one is left out, as in `volatility_robust_step`, and
    so is one that is not finite. An interval longer than `max_gap_ns` cuts: what came before,
    until the last mid told of, is closed where it has half of the window's time and LEAST_MIDS
    samples, else dropped, and a new window begins behind it.

    Parameters
    ----------
    state : ndarray of REALISED_WINDOW, shape (1,)
        Changed in place; starts as zeros.
    x_ticks : float
    ts_ns : int
    window_ns, max_gap_ns : int
        Positive.

    Returns
    -------
    int
        1: `closed` is of a new window.
    """
    s = state[0]
    if not math.isfinite(x_ticks):
        return 0
    n = s["mids"]
    has_closed = 0
    if n > 0:
        if ts_ns <= s["seen_ns"]:
            return 0
        if ts_ns - s["seen_ns"] > max_gap_ns:
            has_closed = _cut(state, window_ns)
            n = 0
    s["seen_ns"] = ts_ns
    is_over = n > 0 and ts_ns - s["times_ns"][0] >= window_ns
    if n > 0 and not is_over and x_ticks == s["mids_ticks"][n - 1]:
        return 0
    s["times_ns"][n] = ts_ns
    s["mids_ticks"][n] = x_ticks
    n += 1
    if (is_over and n >= LEAST_MIDS) or n == MAX_WINDOW_MIDS:
        _close(state, n)
        s["times_ns"][0] = ts_ns
        s["mids_ticks"][0] = x_ticks
        n = 1
        has_closed = 1
    s["mids"] = n
    return has_closed


@njit
def realised_window_path(
    state: np.ndarray,
    xs_ticks: np.ndarray,
    ts_ns: np.ndarray,
    window_ns: int,
    max_gap_ns: int,
    out: np.ndarray,
) -> int:
    """Fold `realised_window_step` over mids; write each window that is closed, return how many.

    Parameters
    ----------
    state : ndarray of REALISED_WINDOW, shape (1,)
        Changed in place.
    xs_ticks : ndarray of float64, shape (n,)
    ts_ns : ndarray of int64, shape (n,)
    window_ns, max_gap_ns : int
    out : ndarray of REALISED, shape (n // 3 + 1,) or longer
        A window has LEAST_MIDS samples, of which it shares one with the next.
    """
    count = 0
    for i in range(xs_ticks.size):
        if realised_window_step(state, xs_ticks[i], ts_ns[i], window_ns, max_gap_ns) == 1:
            out[count] = state[0]["closed"][0]
            count += 1
    return count
