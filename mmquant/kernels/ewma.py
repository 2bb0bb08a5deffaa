"""Exponentially weighted mean of irregular samples."""

import math

import numpy as np

from mmquant._jit import fma, njit
from mmquant.kernels.decay import decay

BLOCK = 512  # samples whose decays are computed at once: they stay in the nearest cache


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
def _decays(ts_ns: np.ndarray, xs: np.ndarray, half_life_ns: int, out: np.ndarray) -> int:
    """Write each interval's decay; count what forbids the fast way: NaN, or time going back."""
    per_ns = 1.0 / half_life_ns
    odd = 0
    for i in range(out.size):
        elapsed_ns = ts_ns[i + 1] - ts_ns[i]
        odd += (elapsed_ns < 0) + (not math.isfinite(xs[i]))
        out[i] = decay(elapsed_ns * per_ns)
    return odd


@njit
def _fold_adjusted(state: np.ndarray, xs: np.ndarray, out: np.ndarray) -> None:
    """Replace the decays in `out` by means, weights being of samples.

    Nothing waits for a division: it is done while the recursion waits for itself.
    """
    s = state[0]
    num = s["num"]
    den = s["den"]
    for i in range(out.size):
        d = out[i]
        num = fma(d, num, xs[i])
        den = fma(d, den, 1.0)
        out[i] = num / den
    s["num"] = num
    s["den"] = den


@njit
def _fold_by_time(state: np.ndarray, xs: np.ndarray, out: np.ndarray) -> None:
    """Replace the decays in `out` by means, weights being of time."""
    s = state[0]
    num = s["num"]
    for i in range(out.size):
        d = out[i]
        num = fma(d, num, (1.0 - d) * xs[i])
        out[i] = num
    s["num"] = num


@njit
def ewma_path(state: np.ndarray, xs: np.ndarray, ts_ns: np.ndarray, out: np.ndarray) -> int:
    """Fold `ewma_step` over float64 samples `xs` at int64 `ts_ns` into float64 `out`, all (n,).

    Bit for bit what the steps give. The decays of a block are computed together (they vectorise,
    the recursion does not); a block with a NaN or a time that goes back is done step by step.

    Returns
    -------
    int
        Number of such blocks: 0 if every sample was finite and no time went back.
    """
    s = state[0]
    odd_blocks = 0
    for start in range(0, xs.size, BLOCK):
        block_xs = xs[start : start + BLOCK]
        block_ts = ts_ns[start : start + BLOCK]
        block_out = out[start : start + BLOCK]
        block_out[0] = ewma_step(state, block_xs[0], block_ts[0])
        rest = block_out[1:]
        if math.isfinite(block_xs[0]) and s["ts_ns"] == block_ts[0]:
            if _decays(block_ts, block_xs[1:], s["half_life_ns"], rest) == 0:
                if s["adjust"] == 1:
                    _fold_adjusted(state, block_xs[1:], rest)
                else:
                    _fold_by_time(state, block_xs[1:], rest)
                s["ts_ns"] = block_ts[block_ts.size - 1]
                s["seen_ns"] = max(s["seen_ns"], s["ts_ns"])
                s["samples"] += rest.size
                continue
        odd_blocks += 1
        for i in range(1, block_out.size):
            block_out[i] = ewma_step(state, block_xs[i], block_ts[i])
    return odd_blocks
