"""How deep trades reach, and the exponential law fitted to it."""

import math

import numpy as np

from mmquant._jit import njit


@njit
def deepest(
    depths: np.ndarray, sides: np.ndarray, ts_ns: np.ndarray, out: np.ndarray, out_sides: np.ndarray
) -> int:
    """Merge trades of one time and side into the order that made them, at its largest depth.

    Parameters
    ----------
    depths : ndarray of float64, shape (n,)
        A trade whose depth is NaN is left out.
    sides, ts_ns : ndarray of int64, shape (n,)
    out : ndarray of float64, shape (n,)
    out_sides : ndarray of int64, shape (n,)

    Returns
    -------
    int
        Orders written.
    """
    count = 0
    last_ns = 0
    for i in range(depths.size):
        if math.isnan(depths[i]):
            continue
        if count > 0 and ts_ns[i] == last_ns and sides[i] == out_sides[count - 1]:
            out[count - 1] = max(out[count - 1], depths[i])
            continue
        out[count] = depths[i]
        out_sides[count] = sides[i]
        last_ns = ts_ns[i]
        count += 1
    return count


@njit
def count_by_depth(depths: np.ndarray, least: float, width: float, counts: np.ndarray) -> int:
    """Count depths into bins [least + j width, least + (j + 1) width); return how many fell in."""
    total = 0
    for i in range(depths.size):
        j = math.floor((depths[i] - least) / width)
        if 0 <= j < counts.size:
            counts[int(j)] += 1.0
            total += 1
    return total
