"""Exponentially weighted means of one series under many half-lives at once."""

import math

import numpy as np

from mmquant._jit import bare_njit, fma, njit_parallel, prange
from mmquant._jit_blocks import LANES, LANES_ALIGNMENT, copy_lanes, settle_copies
from mmquant.kernels.decay import decay

# Where the lanes of a group begin, in one array: so LLVM sees that they do not overlap. The first
# are one over the half-lives.
NUM = LANES
DEN = 2 * LANES
MEAN = 3 * LANES
CACHED_BYTES = 1 << 22  # a larger result does not stay in the caches until it is read


@bare_njit
def _take_in(x: float, elapsed_ns: float, adjust: int, lanes: np.ndarray) -> None:
    """Do what `ewma_step` does with one more sample, for LANES half-lives."""
    if adjust == 1:
        for k in range(LANES):
            d = decay(elapsed_ns * lanes[np.uint64(k)])
            num = fma(d, lanes[np.uint64(NUM + k)], x)
            den = fma(d, lanes[np.uint64(DEN + k)], 1.0)
            lanes[np.uint64(NUM + k)] = num
            lanes[np.uint64(DEN + k)] = den
            # Not `/`, which asks each divisor whether it is 0: one after the other, not by lanes.
            lanes[np.uint64(MEAN + k)] = np.true_divide(num, den)
    else:
        for k in range(LANES):
            d = decay(elapsed_ns * lanes[np.uint64(k)])
            mean = fma(d, lanes[np.uint64(MEAN + k)], (1.0 - d) * x)  # their divisor stays 1
            lanes[np.uint64(MEAN + k)] = mean


@bare_njit
def _path(
    lanes: np.ndarray,
    adjust: int,
    xs: np.ndarray,
    ts_ns: np.ndarray,
    out: np.ndarray,
    columns: tuple[int, int, int],
    past_caches: bool,
) -> None:
    """Do what `ewma_path` does from an empty state, for some of the columns of rows in `out`.

    `columns` are the first, how many (LANES at the most), and how many a row has.
    """
    at, n, size = columns
    last_ns = 0
    samples = 0
    for i in range(xs.size):
        x = xs[np.uint64(i)]
        if math.isfinite(x):
            t_ns = ts_ns[np.uint64(i)]
            if samples == 0:
                last_ns = t_ns
                lanes[NUM:DEN] = x
                lanes[MEAN:] = x
            else:
                _take_in(x, float(max(t_ns - last_ns, 0)), adjust, lanes)
                last_ns = max(t_ns, last_ns)
            samples += 1
        if n == LANES:
            copy_lanes(lanes[MEAN:], out, at, past_caches)
        else:
            for k in range(n):
                out[at + k] = lanes[MEAN + k]
        at += size
    settle_copies()


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
    out : ndarray of float64, shape (n, p), contiguous
    """
    size = half_lives_ns.size
    flat = out.reshape(-1)
    past_caches = (
        flat.nbytes > CACHED_BYTES and (flat.ctypes.data | 8 * size) % LANES_ALIGNMENT == 0
    )
    for g in prange((size + LANES - 1) // LANES):
        first = g * LANES
        n = min(LANES, size - first)
        lanes = np.ones(MEAN + LANES)
        for k in range(n):
            lanes[k] = 1.0 / half_lives_ns[first + k]
        lanes[MEAN:] = math.nan
        _path(lanes, adjust, xs, ts_ns, flat, (first, n, size), past_caches)
