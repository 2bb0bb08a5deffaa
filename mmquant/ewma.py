"""samples at irregular times -> exponentially weighted mean, variance, covariance.

smooth = ewm_mean(mids, half_life_ns=60 * SECOND_NS)       # a Series with a DatetimeIndex
smooth = ewm_mean(mids, times, half_life_ns=60 * SECOND_NS)  # arrays; int64 times are nanoseconds

A NaN sample is missing: it changes nothing, and the answer there is the last one. Samples at
one time all count. docs/estimators.md says which estimator to use when.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant import _arrays, _times
from mmquant._checks import flag, number_or_missing, whole
from mmquant._jit_blocks import LANES_ALIGNMENT
from mmquant.kernels import ewma as kernels
from mmquant.kernels.ewma_grid import ewma_grid as grid_kernel
from mmquant.kernels.ewma_moments import moments_path
from mmquant.state import EWMA, EWMA_MOMENTS

__all__ = [
    "SECOND_NS",
    "Ewma",
    "ewm_correlation",
    "ewm_covariance",
    "ewm_grid",
    "ewm_mean",
    "ewm_variance",
]

SECOND_NS = 10**9


def _half_life(half_life_ns: object) -> int:
    return whole("half_life_ns", half_life_ns, 1)


def _blank_while_cold(
    out: NDArray[np.float64], values: NDArray[np.float64], times: NDArray[np.int64], warmup_ns: int
) -> None:
    """Write NaN where less than `warmup_ns` passed since the first sample that counts."""
    if warmup_ns > 0 and out.size > 0:
        counts = np.flatnonzero(~np.isnan(values))
        first_ns = times[counts[0]] if counts.size else times[-1]
        out[: np.searchsorted(times, first_ns + warmup_ns)] = np.nan


def _check_out(out: object, values: ArrayLike, n: int) -> None:
    """Refuse an `out` that the kernel cannot write, or that holds what it still has to read."""
    if not isinstance(out, np.ndarray) or out.dtype != np.float64 or out.shape != (n,):
        got = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ValueError(f"out must be a float64 array of shape ({n},), got {got}")
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError("out must be contiguous and writeable, got a view that is not: copy it")
    if np.ndim(values) != 1 or np.may_share_memory(out, np.asarray(values)):
        raise ValueError("out must be for one column and not share its memory: leave it away")


def ewm_mean(
    values: ArrayLike,
    times: ArrayLike | None = None,
    *,
    half_life_ns: int,
    adjust: bool = True,
    warmup_ns: int = 0,
    out: NDArray[np.float64] | None = None,
) -> Any:
    """Return the exponentially weighted mean after each sample.

    Equals pandas' `ewm(halflife, times, adjust=...).mean()`. With `adjust` every sample weighs
    2^(-age / half_life), bias-corrected; without, it weighs the time since the one before: exact
    for a value that holds until the next sample.

    Parameters
    ----------
    values : array_like, Series or DataFrame of numbers, shape (n,) or (n, columns)
        NaN is missing; infinity is refused, and so is beyond 1e140 what sums overflow with.
    times : array_like of datetime64 or int64 nanoseconds, shape (n,), optional
        Not decreasing; by default the DatetimeIndex of `values`.
    half_life_ns : int
        Positive.
    adjust : bool
    warmup_ns : int
        The mean is NaN until this much time has passed since the first sample.
    out : ndarray of float64, shape (n,), optional
        Written and returned in place of a new array, whose memory is a quarter of the time where
        it is large. For one column; not of `values` itself.

    Returns
    -------
    ndarray of float64, Series or DataFrame
        As `values`, its index kept; NaN before the first sample.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the rule and the value received.
    """
    half_life_ns = _half_life(half_life_ns)
    warmup_ns = whole("warmup_ns", warmup_ns, 0)
    _arrays.same_index(values=values, times=times)
    ts_ns = _times.unchecked_times_ns(times, values)
    _times.warn_of_unit("half_life_ns", half_life_ns, ts_ns)
    if out is not None:
        _check_out(out, values, ts_ns.size)

    def one(column: object) -> NDArray[np.float64]:
        xs = _arrays.unchecked_floats("values", column)
        _arrays.same_length(values=xs, times=ts_ns)
        means = np.empty(xs.size) if out is None else out
        # The kernel sees on its way whether anything is odd: no pass of its own to look for it.
        state = _state(half_life_ns, adjust)
        odd = kernels.ewma_path(state, xs, ts_ns, means)
        if odd > 0 or not math.isfinite(state[0]["num"]):  # infinite for good once it is
            _arrays.without_infinity("values", xs)
            _times.in_order(ts_ns)
        _blank_while_cold(means, xs, ts_ns, warmup_ns)
        return means

    return _arrays.column_wise(values, one)


def ewm_grid(
    values: ArrayLike,
    times: ArrayLike | None = None,
    *,
    half_lives_ns: ArrayLike,
    adjust: bool = True,
) -> Any:
    """Return the mean of `ewm_mean` under each half-life: the same bits, computed side by side.

    Parameters
    ----------
    values, times, adjust
        As of `ewm_mean`, values of shape (n,).
    half_lives_ns : array_like of int, shape (p,)
        Positive.

    Returns
    -------
    ndarray of float64, shape (n, p), or DataFrame
        A column a half-life; a DataFrame (columns named by half-life) for a Series.
    """
    half_lives = _arrays.lots("half_lives_ns", half_lives_ns, 1)
    _arrays.same_index(values=values, times=times)
    xs = _arrays.floats("values", values)
    ts_ns = _times.times_ns(times, values)
    _arrays.same_length(values=xs, times=ts_ns)
    if half_lives.size > 0:
        _times.warn_of_unit("half_life_ns", int(half_lives.min()), ts_ns)
    out = _arrays.aligned_empty(xs.size, half_lives.size, LANES_ALIGNMENT)
    grid_kernel(half_lives, flag("adjust", adjust), xs, ts_ns, out)
    return _arrays.like_columns(values, out, half_lives)


def _moments(
    xs: NDArray[np.float64],
    ys: NDArray[np.float64],
    ts_ns: NDArray[np.int64],
    half_life_ns: int,
    bias: bool,
) -> NDArray[np.float64]:
    state = np.zeros(1, EWMA_MOMENTS)
    state["half_life_ns"] = half_life_ns
    out = np.empty((xs.size, 3))
    moments_path(state, xs, ys, ts_ns, flag("bias", bias), out)
    return out


def _moments_of_pairs(
    x: ArrayLike, y: ArrayLike, times: ArrayLike | None, half_life_ns: int, bias: bool
) -> NDArray[np.float64]:
    half_life_ns = _half_life(half_life_ns)
    _arrays.same_index(x=x, y=y, times=times)
    xs, ys = _arrays.floats("x", x), _arrays.floats("y", y)
    ts_ns = _times.times_ns(times, _arrays.kind_of(x, y))
    _arrays.same_length(x=xs, y=ys, times=ts_ns)
    _times.warn_of_unit("half_life_ns", half_life_ns, ts_ns)
    return _moments(xs, ys, ts_ns, half_life_ns, bias)


def ewm_variance(
    values: ArrayLike,
    times: ArrayLike | None = None,
    *,
    half_life_ns: int,
    bias: bool = False,
) -> Any:
    """Return the exponentially weighted variance after each sample, in units of values squared.

    Weights are those of `ewm_mean` with `adjust`; `bias` as in pandas' `ewm(...).var(bias=...)`
    (which cannot take times). It is the variance of the samples; for the volatility of a price
    see `mmquant.volatility`.

    Parameters
    ----------
    values, times, half_life_ns
        As of `ewm_mean`.
    bias : bool
        Divide by the sum of weights instead of making it unbiased for independent samples.

    Returns
    -------
    ndarray of float64, Series or DataFrame
        NaN until there are two samples (with `bias`: one).
    """
    half_life_ns = _half_life(half_life_ns)
    _arrays.same_index(values=values, times=times)
    ts_ns = _times.times_ns(times, values)
    _times.warn_of_unit("half_life_ns", half_life_ns, ts_ns)

    def one(column: object) -> NDArray[np.float64]:
        xs = _arrays.floats("values", column)
        _arrays.same_length(values=xs, times=ts_ns)
        return np.ascontiguousarray(_moments(xs, xs, ts_ns, half_life_ns, bias)[:, 0])

    return _arrays.column_wise(values, one)


def ewm_covariance(
    x: ArrayLike,
    y: ArrayLike,
    times: ArrayLike | None = None,
    *,
    half_life_ns: int,
    bias: bool = False,
) -> Any:
    """Return the exponentially weighted covariance of two series after each pair.

    Parameters
    ----------
    x, y : array_like or Series of numbers, shape (n,)
        Sampled at the same times; a pair of which either is NaN is missing.
    times, half_life_ns, bias
        As of `ewm_variance`.

    Returns
    -------
    ndarray of float64 or Series, shape (n,)
    """
    products = _moments_of_pairs(x, y, times, half_life_ns, bias)
    covariances = np.ascontiguousarray(products[:, 1])
    return _arrays.like(_arrays.kind_of(x, y), covariances, "covariance")


def ewm_correlation(
    x: ArrayLike, y: ArrayLike, times: ArrayLike | None = None, *, half_life_ns: int
) -> Any:
    """Return the exponentially weighted correlation, NaN where either does not vary.

    Parameters are those of `ewm_covariance`.
    """
    # Unbiased: behind a long gap the biased ones are so small that their product is 0.
    xx, xy, yy = _moments_of_pairs(x, y, times, half_life_ns, False).T
    scale = np.sqrt(xx * yy)
    out = np.full(xx.size, np.nan)
    np.divide(xy, scale, out=out, where=scale > 0.0)
    return _arrays.like(_arrays.kind_of(x, y), out, "correlation")


def _state(half_life_ns: int, adjust: bool) -> NDArray[Any]:
    state = np.zeros(1, EWMA)
    state["half_life_ns"] = half_life_ns
    state["adjust"] = flag("adjust", adjust)
    return state


class Ewma:
    """The mean of `ewm_mean`, sample by sample: the same bits as over the whole array.

    Parameters
    ----------
    half_life_ns : int
        Time in which a sample's weight halves, positive.
    adjust : bool
        As of `ewm_mean`.
    warmup_ns : int
        Time since the first sample after which `warm` is true.

    Attributes
    ----------
    state : ndarray of EWMA, shape (1,)
        What the kernels change; copying it copies the estimator.
    """

    def __init__(self, half_life_ns: int, adjust: bool = True, warmup_ns: int = 0) -> None:
        self.state = _state(_half_life(half_life_ns), adjust)
        self.warmup_ns = whole("warmup_ns", warmup_ns, 0)

    def update(self, x: float, ts_ns: int) -> float:
        """Take in one sample and return the mean, cold (see `warm`) or not.

        A sample of the past counts as of now.
        """
        value = number_or_missing("x", x)
        return float(kernels.ewma_step(self.state, value, whole("ts_ns", ts_ns, -(2**62))))

    def path(self, values: ArrayLike, times: ArrayLike | None = None) -> Any:
        """Take in `values` at `times`, both (n,), and return the mean after each, as `update`."""
        _arrays.same_index(values=values, times=times)
        xs = _arrays.floats("values", values)
        ts_ns = _times.times_ns(times, values)
        _arrays.same_length(values=xs, times=ts_ns)
        _times.warn_of_unit("half_life_ns", int(self.state[0]["half_life_ns"]), ts_ns)
        out = np.empty(xs.size)
        kernels.ewma_path(self.state, xs, ts_ns, out)
        return _arrays.like(_arrays.kind_of(values), out)

    @property
    def value(self) -> float:
        """The mean, NaN before the first sample."""
        s = self.state[0]
        return float(s["num"] / s["den"]) if s["samples"] > 0 else float("nan")

    @property
    def warm(self) -> bool:
        """Whether there is a sample and `warmup_ns` has passed since the first."""
        s = self.state[0]
        return bool(s["samples"] > 0 and s["seen_ns"] - s["first_ns"] >= self.warmup_ns)

    def __repr__(self) -> str:
        s = self.state[0]
        return (
            f"Ewma(half_life_ns={s['half_life_ns']}, adjust={bool(s['adjust'])}, "
            f"value={self.value}, samples={s['samples']}, warm={self.warm})"
        )
