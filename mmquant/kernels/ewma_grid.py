"""Exponentially weighted means of one series under many half-lives at once."""

import math

import numpy as np

from mmquant._jit import fma, njit, njit_parallel, prange
from mmquant.kernels.decay import decay

LANES = 16  # half-lives that one pass over the samples serves


@njit
def _lanes(
    half_lives_ns: np.ndarray, adjust: int, xs: np.ndarray, ts_ns: np.ndarray, out: np.ndarray
) -> None:
    """Do what `ewma_path` does from an empty state for up to LANES half-lives."""
    num = np.zeros(LANES)
    den = np.ones(LANES)
    per_ns = np.ones(LANES)
    for k in range(half_lives_ns.size):
        per_ns[k] = 1.0 / half_lives_ns[k]
    lanes = half_lives_ns.size
    last_ns = 0
    samples = 0
    for i in range(xs.size):
        x = xs[i]
        row = out[i]
        if not math.isfinite(x):
            for k in range(lanes):
                row[k] = num[k] / den[k] if samples > 0 else math.nan
            continue
        if samples == 0:
            last_ns = ts_ns[i]
            num[:] = x
            for k in range(lanes):
                row[k] = x
        else:
            elapsed_ns = float(max(ts_ns[i] - last_ns, 0))
            if adjust == 1:
                for k in range(LANES):
                    d = decay(elapsed_ns * per_ns[k])
                    num[k] = fma(d, num[k], x)
                    den[k] = fma(d, den[k], 1.0)
                for k in range(lanes):
                    row[k] = num[k] / den[k]
            else:
                for k in range(LANES):
                    d = decay(elapsed_ns * per_ns[k])
                    num[k] = fma(d, num[k], (1.0 - d) * x)
                for k in range(lanes):
                    row[k] = num[k]  # their divisor stays 1
            last_ns = max(ts_ns[i], last_ns)
        samples += 1


@njit_parallel
def ewma_grid(
    half_lives_ns: np.ndarray, adjust: int, xs: np.ndarray, ts_ns: np.ndarray, out: np.ndarray
) -> None:
    """Write the mean after each sample under each half-life, bit for bit `ewma_path`'s.

    Parameters
    ----------
    half_lives_ns : ndarray of int64, shape (p,)
        Positive.
    adjust : int
        1 or 0, as in `ewma_step`.
    xs : ndarray of float64, shape (n,)
    ts_ns : ndarray of int64, shape (n,)
    out : ndarray of float64, shape (n, p)
    """
    groups = (half_lives_ns.size + LANES - 1) // LANES
    for g in prange(groups):
        first = g * LANES
        last = min(first + LANES, half_lives_ns.size)
        _lanes(half_lives_ns[first:last], adjust, xs, ts_ns, out[:, first:last])
