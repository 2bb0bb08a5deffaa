"""prices of a stretch of time -> its realised variance, with noise and jumps or without them.

day = two_scale_variance(mids, times)
day.volatility_per_sqrt_s

Prices in ticks give ticks per sqrt(s), logarithms of prices a relative volatility. NaN prices
are left out; an interval longer than `max_gap_ns` cuts the sample in stretches of which each is
estimated by itself, and its time does not count.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant import _arrays, _times
from mmquant._checks import number, whole
from mmquant.kernels import realised as kernels

__all__ = [
    "Realised",
    "Signature",
    "annualised",
    "bipower_variance",
    "noise_variance",
    "over_horizon",
    "pre_averaged_variance",
    "realised_variance",
    "signature",
    "to_bps",
    "two_scale_variance",
]

_DAY_NS = 24 * 3600 * 10**9
_S_PER_NS = 1e-9
SECONDS_A_YEAR = 365 * 86_400  # a market that never closes


class Realised(NamedTuple):
    """A variance over a sample.

    Attributes
    ----------
    variance : float
        Of the whole, in squared units of the price; a noise-robust one may be negative.
    seconds : float
        Observed, gaps left out.
    samples : int
    """

    variance: float
    seconds: float
    samples: int

    @property
    def volatility_per_sqrt_s(self) -> float:
        """sqrt(variance / seconds); 0 for a negative variance, NaN where no time was observed."""
        if not self.seconds > 0.0 or math.isnan(self.variance):
            return math.nan
        return math.sqrt(max(self.variance, 0.0) / self.seconds)


class Signature(NamedTuple):
    """Data of a signature plot: variance per second by sampling step, each (m,)."""

    steps: NDArray[np.int64]
    variance_per_s: NDArray[np.float64]


def _stretches(
    prices: ArrayLike, times: ArrayLike | None, max_gap_ns: int
) -> list[tuple[NDArray[np.float64], float]]:
    """Return prices and seconds of each stretch without a gap, of two samples or more."""
    _arrays.same_index(prices=prices, times=times)
    xs = _arrays.floats("prices", prices)
    ts_ns = _times.times_ns(times, prices)
    _arrays.same_length(prices=xs, times=ts_ns)
    gap_ns = whole("max_gap_ns", max_gap_ns, 1)
    _times.warn_of_unit("max_gap_ns", gap_ns, ts_ns)
    there = ~np.isnan(xs)
    if not there.all():
        xs, ts_ns = xs[there], ts_ns[there]
    cuts = np.flatnonzero(np.diff(ts_ns) > gap_ns) + 1
    bounds = [0, *cuts.tolist(), xs.size]
    parts = [(xs[a:b].copy(), ts_ns[a:b]) for a, b in pairwise(bounds)]
    return [(x, float(t[-1] - t[0]) * _S_PER_NS) for x, t in parts if x.size >= 2]


def _sum_up(
    prices: ArrayLike,
    times: ArrayLike | None,
    max_gap_ns: int,
    variance: Callable[[NDArray[np.float64]], float],
) -> Realised:
    stretches = _stretches(prices, times, max_gap_ns)
    done = [(variance(x), seconds, x.size) for x, seconds in stretches]
    done = [row for row in done if not math.isnan(row[0])]  # too short for the estimator
    if not done:
        return Realised(math.nan, 0.0, 0)
    variances, seconds, samples = zip(*done, strict=True)
    return Realised(math.fsum(variances), math.fsum(seconds), sum(samples))


def realised_variance(
    prices: ArrayLike, times: ArrayLike | None = None, *, max_gap_ns: int = _DAY_NS
) -> Realised:
    """Return the sum of squared returns: with the market's noise and all jumps in it.

    Parameters
    ----------
    prices : array_like or Series of numbers, shape (n,)
    times : array_like of datetime64 or int64 nanoseconds, shape (n,), optional
        By default the DatetimeIndex of `prices`.
    max_gap_ns : int
        Longest interval that counts as observed.

    Returns
    -------
    Realised
        NaN where no stretch has two samples.
    """
    return _sum_up(prices, times, max_gap_ns, lambda x: float(kernels.squares(x)))


def bipower_variance(
    prices: ArrayLike, times: ArrayLike | None = None, *, max_gap_ns: int = _DAY_NS
) -> Realised:
    """Return the bipower variation (Barndorff-Nielsen and Shephard 2004): without jumps.

    Noise is not removed: as in realised variance, twice its variance comes on top of each return,
    times 1 to 1.13. Sample at a step where the signature plot is flat.

    Parameters
    ----------
    prices, times, max_gap_ns
        As of `realised_variance`.

    Returns
    -------
    Realised
        NaN where no stretch has three samples.
    """
    return _sum_up(prices, times, max_gap_ns, lambda x: float(kernels.bipower_variance(x)))


def two_scale_variance(
    prices: ArrayLike,
    times: ArrayLike | None = None,
    *,
    scale: int | None = None,
    max_gap_ns: int = _DAY_NS,
) -> Realised:
    """Return the two-scale variance (Zhang, Mykland, Ait-Sahalia 2005): without noise.

    Parameters
    ----------
    prices, times, max_gap_ns
        As of `realised_variance`.
    scale : int, optional
        Samples a step of the slow scale, at least 2; by default the one of least error.
    """
    fixed = None if scale is None else whole("scale", scale, 2)

    def variance(x: NDArray[np.float64]) -> float:
        step = int(kernels.best_scale(x)) if fixed is None else fixed
        return float(kernels.two_scale_variance(x, step))

    return _sum_up(prices, times, max_gap_ns, variance)


def pre_averaged_variance(
    prices: ArrayLike,
    times: ArrayLike | None = None,
    *,
    window_factor: float = 0.5,
    max_gap_ns: int = _DAY_NS,
) -> Realised:
    """Return the pre-averaged variance (Jacod and others 2009): without noise.

    Parameters
    ----------
    prices, times, max_gap_ns
        As of `realised_variance`.
    window_factor : float
        The windows hold this times sqrt(n) returns (theta of the paper), 3 at the least.
    """
    theta = number("window_factor", window_factor, 1e-3)

    def variance(x: NDArray[np.float64]) -> float:
        window = max(round(theta * math.sqrt(x.size - 1)), 3)
        return float(kernels.pre_averaged_variance(x, window))

    return _sum_up(prices, times, max_gap_ns, variance)


def noise_variance(
    prices: ArrayLike, times: ArrayLike | None = None, *, max_gap_ns: int = _DAY_NS
) -> float:
    """Return the variance of independent noise on each price: realised variance / 2n.

    An upper bound: volatility is still in it.

    Parameters
    ----------
    prices, times, max_gap_ns
        As of `realised_variance`.

    Returns
    -------
    float
        In squared units of the price; NaN where no stretch has two samples.
    """
    stretches = _stretches(prices, times, max_gap_ns)
    returns = sum(x.size - 1 for x, _ in stretches)
    if returns == 0:
        return math.nan
    squares = math.fsum(float(kernels.squares(x)) for x, _ in stretches)
    return squares / (2.0 * returns)


def signature(
    prices: ArrayLike,
    times: ArrayLike | None = None,
    *,
    steps: ArrayLike,
    max_gap_ns: int = _DAY_NS,
) -> Signature:
    """Return the realised variance per second at each sampling step, averaged over its offsets.

    Flat where there is no noise; it rises towards small steps where there is.

    Parameters
    ----------
    prices, times, max_gap_ns
        As of `realised_variance`.
    steps : array_like of int, shape (m,)
        Samples from price to price, positive.
    """
    lags = _arrays.lots("steps", steps, 1)
    stretches = _stretches(prices, times, max_gap_ns)
    out = np.full(lags.size, np.nan)
    for i, lag in enumerate(lags.tolist()):
        # n returns in T seconds; n - lag + 1 overlapping ones of lag each.
        rows = [(x, s, x.size - 1) for x, s in stretches if x.size > lag and s > 0.0]
        if rows:
            total = math.fsum(
                float(kernels.lagged_squares(x, lag)) / lag * n / (n - lag + 1) for x, _, n in rows
            )
            out[i] = total / math.fsum(s for _, s, _ in rows)
    return Signature(lags.copy(), out)


def to_bps(value_ticks: ArrayLike, price_ticks: ArrayLike) -> Any:
    """Return ticks (per sqrt(s), per s, ...) as basis points of the price (per the same).

    Parameters
    ----------
    value_ticks, price_ticks : array_like, Series or DataFrame of numbers
        They broadcast against each other; beside a DataFrame a Series counts for its row.

    Returns
    -------
    ndarray of float64, Series or DataFrame
        Like the first DataFrame, else the first Series, if one is given; NaN where the price is
        0, which is none.
    """
    given = {"value_ticks": value_ticks, "price_ticks": price_ticks}
    numbers = {name: _arrays.shaped_floats(name, values) for name, values in given.items()}
    value, price = _arrays.by_row(given, numbers)[0].values()
    bps = np.asarray(1e4 * value / np.where(price == 0.0, np.nan, price))
    return _arrays.like(_arrays.kind_of(value_ticks, price_ticks), bps, "bps")


def _volatilities(values: ArrayLike) -> NDArray[np.float64]:
    if isinstance(values, tuple) and hasattr(values, "_fields"):  # a Realised, by mistake
        raise TypeError(
            f"volatility_per_sqrt_s must be numbers, got a {type(values).__name__}: pass its "
            f"volatility alone"
        )
    volatilities = _arrays.shaped_floats("volatility_per_sqrt_s", values)
    if (volatilities < 0.0).any():
        least = np.nanmin(volatilities)
        raise ValueError(
            f"volatility_per_sqrt_s must not be negative, got {least}: pass the square root of a "
            f"variance"
        )
    return volatilities


def annualised(volatility_per_sqrt_s: ArrayLike, seconds_a_year: float = SECONDS_A_YEAR) -> Any:
    """Return a volatility per sqrt(year).

    Parameters
    ----------
    volatility_per_sqrt_s : array_like, Series or DataFrame of numbers
        Not negative; NaN stays.
    seconds_a_year : float
        Of trading, at least 1; by default those of a market that never closes.

    Returns
    -------
    ndarray of float64, Series or DataFrame
        As `volatility_per_sqrt_s`.
    """
    factor = math.sqrt(number("seconds_a_year", seconds_a_year, 1.0))
    values = _volatilities(volatility_per_sqrt_s)
    return _arrays.like(_arrays.kind_of(volatility_per_sqrt_s), np.asarray(values * factor))


def over_horizon(volatility_per_sqrt_s: ArrayLike, horizon_s: float) -> Any:
    """Return the standard deviation of the move over a horizon.

    Parameters
    ----------
    volatility_per_sqrt_s : array_like, Series or DataFrame of numbers
        Not negative; NaN stays.
    horizon_s : float
        Seconds, not negative.

    Returns
    -------
    ndarray of float64, Series or DataFrame
        As `volatility_per_sqrt_s`, in the unit of the price.
    """
    factor = math.sqrt(number("horizon_s", horizon_s, 0.0))
    values = _volatilities(volatility_per_sqrt_s)
    return _arrays.like(_arrays.kind_of(volatility_per_sqrt_s), np.asarray(values * factor))
