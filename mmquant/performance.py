"""Equity and positions through time -> drawdown, Sharpe ratio, time at limit, turnover."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mmquant import _arrays, _times
from mmquant._checks import number, whole

__all__ = ["Drawdown", "Sharpe", "Turnover", "drawdown", "sharpe", "time_at_limit", "turnover"]

_DAY_NS = 86_400 * 10**9
_ROUNDING = 1e-12  # of the equity: changes that are smaller are noise of its sums


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall of an equity curve from its highest point before.

    Attributes
    ----------
    depth : float
        Not negative, in the unit of the equity.
    peak_ns, trough_ns : int
        When it began and when it was deepest; equal where equity never fell.
    recovered_ns : int or None
        When the peak was reached again.
    """

    depth: float
    peak_ns: int
    trough_ns: int
    recovered_ns: int | None


@dataclass(frozen=True, slots=True)
class Sharpe:
    """The Sharpe ratio of an equity curve at a stated sampling.

    Attributes
    ----------
    ratio : float
        Mean over deviation (ddof 1) of the gain a sample; NaN below 2 samples, or where the gains
        do not differ by more than rounding.
    error : float
        Its standard error, sqrt((1 + ratio^2 / 2) / samples) (Lo 2002), gains independent.
    samples, interval_ns, span_ns : int
        Gains counted, time between samples, time covered.
    annualised : float
        ratio * sqrt(intervals a year), or NaN where the run is too short for it.
    note : str
        Empty, or why there is no annualised ratio.
    """

    ratio: float
    error: float
    samples: int
    interval_ns: int
    span_ns: int
    annualised: float
    note: str


@dataclass(frozen=True, slots=True)
class Turnover:
    """How much was traded, and how often the position was turned over.

    Attributes
    ----------
    lots : int
        Bought and sold.
    tick_lots : int
        Price times lots of all fills.
    mean_position_lots : float
        Mean over time of the position without its sign.
    turns : float
        lots / (2 * mean_position_lots); infinite where nothing was held for any time.
    holding_ns : float
        Mean time that a lot was held: the integral of the position over lots / 2.
    """

    lots: int
    tick_lots: int
    mean_position_lots: float
    turns: float
    holding_ns: float


def _curve(field: str, values: ArrayLike, times: ArrayLike | None) -> tuple[Any, Any]:
    _arrays.same_index(**{field: values, "times": times})
    ys = _arrays.floats(field, values)
    ts_ns = _times.times_ns(times, values)
    if _arrays.same_length(**{field: ys, "times": ts_ns}) == 0:
        raise ValueError(f"{field} must hold at least 1 sample, got none: the run is empty")
    if np.isnan(ys).any():
        at = int(np.flatnonzero(np.isnan(ys))[0])
        raise ValueError(f"{field} must not be missing, got NaN at {at}: drop that row")
    return ys, ts_ns


def drawdown(equity: ArrayLike, times: ArrayLike | None = None) -> Drawdown:
    """Return the deepest drawdown of an equity curve.

    Parameters
    ----------
    equity : array_like of float, shape (n,)
    times : array_like, shape (n,), optional
        datetime64 or int64 nanoseconds, in order; by default the DatetimeIndex of `equity`.
    """
    ys, ts_ns = _curve("equity", equity, times)
    highest = np.maximum.accumulate(ys)
    trough = int(np.argmax(highest - ys))
    peak = int(np.argmax(ys[: trough + 1] == highest[trough]))
    back = np.flatnonzero(ys[trough:] >= highest[trough])
    recovered = int(ts_ns[trough + back[0]]) if back.size else None
    depth = float(highest[trough] - ys[trough])
    return Drawdown(depth, int(ts_ns[peak]), int(ts_ns[trough]), recovered)


def sharpe(
    equity: ArrayLike,
    times: ArrayLike | None = None,
    *,
    interval_ns: int,
    least_days: float = 30.0,
    days_per_year: float = 365.0,
) -> Sharpe:
    """Return the Sharpe ratio of the gains between samples `interval_ns` apart.

    The curve is sampled at its first time and each whole interval after, the last value at or
    before counting; what is left of an interval at the end is dropped. The ratio depends on the
    sampling, so the sampling is an argument and stands in the answer. Gains are of money, not
    returns: a market maker has no capital that they would be a share of.

    A ratio of a few hours says nothing of a year: below `least_days` there is no annualised one,
    and `note` says why.

    Parameters
    ----------
    equity : array_like of float, shape (n,)
        Profit so far, fees included.
    times : array_like, shape (n,), optional
    interval_ns : int
    least_days : float
        At least 1.
    days_per_year : float
        365 where trading never stops, 252 on an exchange with holidays.

    Raises
    ------
    TypeError, ValueError
        Naming the argument.
    """
    ys, ts_ns = _curve("equity", equity, times)
    step = whole("interval_ns", interval_ns, 1)
    least = number("least_days", least_days, 1.0)
    year_ns = number("days_per_year", days_per_year, 1.0, 366.0) * _DAY_NS
    span_ns = int(ts_ns[-1] - ts_ns[0])
    n = span_ns // step
    asked = ts_ns[0] + step * np.arange(n + 1, dtype=np.int64)
    gains = np.diff(ys[np.searchsorted(ts_ns, asked, "right") - 1])
    deviation = float(gains.std(ddof=1)) if n > 1 else 0.0
    # The gains of a straight line differ by what its sums were rounded by.
    is_known = deviation > _ROUNDING * float(np.abs(ys).max())
    ratio = float(gains.mean()) / deviation if is_known else math.nan
    error = math.sqrt((1.0 + ratio**2 / 2.0) / n) if n > 0 else math.nan
    days = span_ns / _DAY_NS
    note = ""
    if math.isnan(ratio):
        note = f"no ratio: {n} gains that do not differ"
    elif days < least:
        note = f"not annualised: {days:.3g} days of data, at least {least:g} are needed"
    annualised = math.nan if note else ratio * math.sqrt(year_ns / step)
    return Sharpe(ratio, error, int(n), step, span_ns, annualised, note)


def _held(positions: ArrayLike, times: ArrayLike | None) -> tuple[Any, Any]:
    _arrays.same_index(positions_lots=positions, times=times)
    lots = _arrays.lots("positions_lots", positions, -(2**62))
    ts_ns = _times.times_ns(times, positions)
    if _arrays.same_length(positions_lots=lots, times=ts_ns) < 2 or ts_ns[-1] == ts_ns[0]:
        raise ValueError("positions_lots must span some time, got one moment: the run is empty")
    return np.abs(lots[:-1]), np.diff(ts_ns)


def time_at_limit(
    positions_lots: ArrayLike, times: ArrayLike | None = None, *, limit_lots: int
) -> float:
    """Return the share of time that the position, long or short, was at or above the limit.

    Parameters
    ----------
    positions_lots : array_like of int, shape (n,)
        From each time on; the last one only ends the one before.
    times : array_like, shape (n,), optional
    limit_lots : int
    """
    lots, spans = _held(positions_lots, times)
    return float(spans[lots >= whole("limit_lots", limit_lots, 1)].sum() / spans.sum())


def turnover(
    fills_ticks: ArrayLike,
    fills_lots: ArrayLike,
    positions_lots: ArrayLike,
    times: ArrayLike | None = None,
) -> Turnover:
    """Return how much was traded and how long it was held.

    Parameters
    ----------
    fills_ticks, fills_lots : array_like of int, shape (m,)
        Price and size of each fill.
    positions_lots : array_like of int, shape (n,)
        From each time on.
    times : array_like, shape (n,), optional
    """
    _arrays.same_index(fills_ticks=fills_ticks, fills_lots=fills_lots)
    prices = _arrays.lots("fills_ticks", fills_ticks, 1)
    sizes = _arrays.lots("fills_lots", fills_lots, 1)
    _arrays.same_length(fills_ticks=prices, fills_lots=sizes)
    lots, spans = _held(positions_lots, times)
    traded = int(sizes.sum())
    lot_ns = float(lots @ spans.astype(np.float64))
    mean = lot_ns / float(spans.sum())
    turns = traded / (2.0 * mean) if mean > 0.0 else math.inf
    holding_ns = lot_ns / (traded / 2.0) if traded else math.nan
    return Turnover(traded, int(prices @ sizes), mean, turns, holding_ns)
