"""Exponentially weighted mean of irregular samples."""

import math

import numpy as np

from mmquant._jit import fma, njit, prefetch
from mmquant._jit_decays import INTERVALS, decays
from mmquant.kernels.decay import decay

AHEAD = 256  # samples that are asked for before their turn: 2 KB of each array


@njit
def ewma_step(state: np.ndarray, x: float, ts_ns: int) -> float:
    """Take in one sample and return the mean.

    With d = 2^(-dt / half_life), and `adjust` 1 (weights of samples, bias-corrected):
    num_n = d num_{n-1} + x_n, den_n = d den_{n-1} + 1, y = num / den. With `adjust` 0 (a sample
    weighs the time since the one before): y_n = d y_{n-1} + (1 - d) x_n, y_0 = x_0. They are
    pandas' ewm(halflife, times, adjust=...).mean().

    A sample that is not later than the one before comes at the same time; one that is not
    finite is left out, and the time since the last one that was not runs on.

    Parameters
    ----------
    state : ndarray of EWMA, shape (1,)
        Changed in place; `half_life_ns` and `adjust` are set, the rest starts as zeros.
    x : float
    ts_ns : int
        Time of the sample.

    Returns
    -------
    float
        The mean in units of x; NaN before the first sample.
    """
    s = state[0]
    if math.isfinite(x):
        if s["samples"] == 0:
            s["first_ns"] = ts_ns
            s["ts_ns"] = ts_ns
            s["seen_ns"] = ts_ns
            s["num"] = x
            s["den"] = 1.0
        else:
            elapsed_ns = max(ts_ns - s["ts_ns"], 0)
            d = decay(elapsed_ns * (1.0 / s["half_life_ns"]))
            if s["adjust"] == 1:
                s["num"] = fma(d, s["num"], x)
                s["den"] = fma(d, s["den"], 1.0)
            else:
                s["num"] = fma(d, s["num"], (1.0 - d) * x)
            s["ts_ns"] += elapsed_ns
        s["samples"] += 1
    if s["samples"] == 0:
        return math.nan
    s["seen_ns"] = max(s["seen_ns"], ts_ns)
    return float(s["num"] / s["den"])


@njit
def _fold_adjusted(
    state: np.ndarray, xs: np.ndarray, ts_ns: np.ndarray, out: np.ndarray, first: int
) -> int:
    """Fold sound samples from `first` on, INTERVALS in a turn, weights being of samples.

    Nothing waits for a division: it is done while the recursion waits for itself.

    Returns
    -------
    int
        The first sample that is not done.
    """
    s = state[0]
    per_ns = 1.0 / s["half_life_ns"]
    num, den = s["num"], s["den"]
    i = first
    while i + INTERVALS <= xs.size:
        prefetch(xs, i + AHEAD)
        prefetch(ts_ns, i + AHEAD)
        sound, d0, d1, d2, d3 = decays(ts_ns, i, per_ns)
        if not sound:
            break
        num0, den0 = fma(d0, num, xs[np.uint64(i)]), fma(d0, den, 1.0)
        num1, den1 = fma(d1, num0, xs[np.uint64(i + 1)]), fma(d1, den0, 1.0)
        num2, den2 = fma(d2, num1, xs[np.uint64(i + 2)]), fma(d2, den1, 1.0)
        num3, den3 = fma(d3, num2, xs[np.uint64(i + 3)]), fma(d3, den2, 1.0)
        if not math.isfinite(num3):  # one of the samples is not: what they gave is dropped
            break
        # Not `/`, which asks each divisor whether it is 0.
        out[np.uint64(i)] = np.true_divide(num0, den0)
        out[np.uint64(i + 1)] = np.true_divide(num1, den1)
        out[np.uint64(i + 2)] = np.true_divide(num2, den2)
        out[np.uint64(i + 3)] = np.true_divide(num3, den3)
        num, den = num3, den3
        i += INTERVALS
    s["num"], s["den"] = num, den
    return i


@njit
def _fold_by_time(
    state: np.ndarray, xs: np.ndarray, ts_ns: np.ndarray, out: np.ndarray, first: int
) -> int:
    """Do what `_fold_adjusted` does, weights being of time."""
    s = state[0]
    per_ns = 1.0 / s["half_life_ns"]
    num = s["num"]
    i = first
    while i + INTERVALS <= xs.size:
        prefetch(xs, i + AHEAD)
        prefetch(ts_ns, i + AHEAD)
        sound, d0, d1, d2, d3 = decays(ts_ns, i, per_ns)
        if not sound:
            break
        num0 = fma(d0, num, (1.0 - d0) * xs[np.uint64(i)])
        num1 = fma(d1, num0, (1.0 - d1) * xs[np.uint64(i + 1)])
        num2 = fma(d2, num1, (1.0 - d2) * xs[np.uint64(i + 2)])
        num3 = fma(d3, num2, (1.0 - d3) * xs[np.uint64(i + 3)])
        if not math.isfinite(num3):
            break
        out[np.uint64(i)] = num0
        out[np.uint64(i + 1)] = num1
        out[np.uint64(i + 2)] = num2
        out[np.uint64(i + 3)] = num3
        num = num3
        i += INTERVALS
    s["num"] = num
    return i


@njit
def ewma_path(state: np.ndarray, xs: np.ndarray, ts_ns: np.ndarray, out: np.ndarray) -> int:
    """Fold `ewma_step` over float64 samples `xs` at int64 `ts_ns` into float64 `out`, all (n,).

    Bit for bit what the steps give. The decays of a few samples are computed together (the
    recursion cannot be); samples among which one is NaN, or a time goes back, are done step by
    step.

    Returns
    -------
    int
        How many samples are not finite or earlier than the one before.
    """
    s = state[0]
    odd = 0
    i = 0
    while i < xs.size:
        if i > 0 and s["samples"] > 0 and s["ts_ns"] == ts_ns[i - 1]:
            first = i
            if s["adjust"] == 1:
                i = _fold_adjusted(state, xs, ts_ns, out, first)
            else:
                i = _fold_by_time(state, xs, ts_ns, out, first)
            s["samples"] += i - first
            s["ts_ns"] = ts_ns[i - 1]
            s["seen_ns"] = max(s["seen_ns"], s["ts_ns"])
        for k in range(i, min(i + INTERVALS, xs.size)):
            odd += not math.isfinite(xs[k]) or (k > 0 and ts_ns[k] < ts_ns[k - 1])
            out[k] = ewma_step(state, xs[k], ts_ns[k])
        i += INTERVALS
    return odd
