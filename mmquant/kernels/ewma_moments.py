"""Exponentially weighted variances and covariance of two irregularly sampled series."""

import math

import numpy as np

from mmquant._jit import njit
from mmquant.kernels.decay import decay


@njit
def moments_step(state: np.ndarray, x: float, y: float, ts_ns: int) -> None:
    """Take in one pair of samples: decayed means and sums of products of deviations.

    West's update (1979), the old weights decayed by d = 2^(-dt / half_life), the new one 1:
    stable for values far from 0. A pair that is not later than the one before comes at the
    same time; one of which either is not finite is left out.

    Parameters
    ----------
    state : ndarray of EWMA_MOMENTS, shape (1,)
        Changed in place; `half_life_ns` is set, the rest starts as zeros.
    x, y : float
    ts_ns : int
    """
    s = state[0]
    if not (math.isfinite(x) and math.isfinite(y)):
        return
    elapsed_ns = 0
    if s["samples"] == 0:
        s["first_ns"] = ts_ns
        s["ts_ns"] = ts_ns
    else:
        elapsed_ns = max(ts_ns - s["ts_ns"], 0)
    d = decay(elapsed_ns * (1.0 / s["half_life_ns"]))
    old_weight = d * s["weight"]
    s["cross_weight"] = d * d * s["cross_weight"] + 2.0 * old_weight
    s["weight"] = old_weight + 1.0
    # A deviation from the new mean is the one from the old mean times this: x - mean would cancel
    # to rounding errors where the old weight is small, and the scale would blow them up.
    share = 1.0 / s["weight"]  # of the new sample
    kept = old_weight * share
    dx = x - s["mean_x"]
    dy = y - s["mean_y"]
    s["mean_x"] += dx * share
    s["mean_y"] += dy * share
    s["xx"] = d * s["xx"] + dx * dx * kept
    s["xy"] = d * s["xy"] + dx * dy * kept
    s["yy"] = d * s["yy"] + dy * dy * kept
    s["ts_ns"] += elapsed_ns
    s["samples"] += 1


@njit
def moments_scale(state: np.ndarray, bias: int) -> float:
    """Return what turns a sum of products into a (co)variance; NaN where there is none yet.

    1 / W with `bias` 1, else W / (W^2 - sum w^2), the unbiased estimate for independent samples.
    """
    s = state[0]
    if s["samples"] == 0:
        return math.nan
    if bias == 1:
        return float(1.0 / s["weight"])
    if s["samples"] < 2 or s["cross_weight"] <= 0.0:
        return math.nan
    return float(s["weight"] / s["cross_weight"])


@njit
def moments_path(
    state: np.ndarray,
    xs: np.ndarray,
    ys: np.ndarray,
    ts_ns: np.ndarray,
    bias: int,
    out: np.ndarray,
) -> None:
    """Fold `moments_step`; row i of float64 `out` (n, 3) is var x, cov xy, var y after i."""
    for i in range(xs.size):
        moments_step(state, xs[i], ys[i], ts_ns[i])
        scale = moments_scale(state, bias)
        s = state[0]
        out[i, 0] = s["xx"] * scale
        out[i, 1] = s["xy"] * scale
        out[i, 2] = s["yy"] * scale
