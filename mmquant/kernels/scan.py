"""Searches for what an argument must not hold, in one pass and without a copy."""

import numpy as np

from mmquant._jit import njit


@njit
def first_decrease(ts_ns: np.ndarray) -> int:
    """Return the first index whose int64 time is before the one in front of it, or -1."""
    for i in range(1, ts_ns.size):
        if ts_ns[i] < ts_ns[i - 1]:
            return i
    return -1


@njit
def first_beyond(xs: np.ndarray, most: float) -> int:
    """Return the first index whose float64 value is above `most` in size, or -1; NaN is not."""
    for i in range(xs.size):
        if abs(xs[i]) > most:
            return i
    return -1
