"""trades -> bars by time, number and volume, and the volatility that bars show.

bars = time_bars(prices, lots, times, interval_ns=60 * 10**9)
variance = parkinson(bars["open"], bars["high"], bars["low"], bars["close"])

The variances are of logarithms, per bar: divide by the bar's seconds for a rate. The bar that
still grows at the end of the trades is left out: it is not complete.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant import _arrays, _times
from mmquant._checks import MOST_WHOLE, whole
from mmquant.kernels import bar_ranges, bars
from mmquant.state import BAR

__all__ = [
    "garman_klass",
    "parkinson",
    "rogers_satchell",
    "tick_bars",
    "time_bars",
    "volume_bars",
    "yang_zhang",
]


def _bars(kind: int, size: int, prices: ArrayLike, lots: ArrayLike, times: ArrayLike | None) -> Any:
    _arrays.same_index(prices=prices, lots=lots, times=times)
    xs = _arrays.floats("prices", prices)
    if np.isnan(xs).any():
        at = int(np.flatnonzero(np.isnan(xs))[0])
        raise ValueError(f"prices must be present, got nan at {at}: a trade has a price")
    sizes = _arrays.lots("lots", lots, 0)
    ts_ns = _times.times_ns(times, prices)
    n = _arrays.same_length(prices=xs, lots=sizes, times=ts_ns)
    if kind == bars.BY_TIME:
        _times.warn_of_unit("interval_ns", size, ts_ns)
    if float(sizes.sum(dtype=np.float64)) > MOST_WHOLE:
        raise ValueError(
            f"lots must sum up to at most {MOST_WHOLE}, got {sizes.max()} at {np.argmax(sizes)}: "
            f"count in larger lots"
        )
    out = np.zeros(n, BAR)
    count = int(bars.bar_path(np.zeros(1, BAR), kind, size, xs, sizes, ts_ns, out))
    out = out[:count].copy()
    return _times.like_records(prices, times, out, "start")


def time_bars(
    prices: ArrayLike, lots: ArrayLike, times: ArrayLike | None = None, *, interval_ns: int
) -> Any:
    """Return a bar for each interval in which there was a trade.

    Intervals begin at multiples of `interval_ns` since the epoch, in UTC whatever the zone.

    Parameters
    ----------
    prices : array_like or Series of numbers, shape (n,)
        Of the trades, in any unit; NaN is refused.
    lots : array_like of int, shape (n,)
    times : array_like of datetime64 or int64 nanoseconds, shape (n,), optional
        By default the DatetimeIndex of `prices`.
    interval_ns : int
        Positive.

    Returns
    -------
    ndarray of state.BAR, or DataFrame indexed by the bars' start if `prices` is of pandas
        The start is in the time zone of the times, if they have one.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the rule and the value received.
    """
    size = whole("interval_ns", interval_ns, 1)
    return _bars(bars.BY_TIME, size, prices, lots, times)


def tick_bars(
    prices: ArrayLike, lots: ArrayLike, times: ArrayLike | None = None, *, trades: int
) -> Any:
    """Return a bar for every `trades` trades; the rest is that of `time_bars`."""
    return _bars(bars.BY_TRADES, whole("trades", trades, 1), prices, lots, times)


def volume_bars(
    prices: ArrayLike, lots: ArrayLike, times: ArrayLike | None = None, *, volume_lots: int
) -> Any:
    """Return bars that end with the trade that brings them to `volume_lots` or above.

    The rest is that of `time_bars`; no trade is split between bars.
    """
    return _bars(bars.BY_VOLUME, whole("volume_lots", volume_lots, 1), prices, lots, times)


def _columns(
    opens: ArrayLike, highs: ArrayLike, lows: ArrayLike, closes: ArrayLike
) -> tuple[NDArray[np.float64], ...]:
    _arrays.same_index(opens=opens, highs=highs, lows=lows, closes=closes)
    columns = {
        "opens": _arrays.floats("opens", opens),
        "highs": _arrays.floats("highs", highs),
        "lows": _arrays.floats("lows", lows),
        "closes": _arrays.floats("closes", closes),
    }
    _arrays.same_length(**columns)
    return tuple(columns.values())


def _variances(
    kind: int, opens: ArrayLike, highs: ArrayLike, lows: ArrayLike, closes: ArrayLike
) -> Any:
    o, h, l, c = _columns(opens, highs, lows, closes)  # noqa: E741
    out = np.empty(o.size)
    bar_ranges.bar_variance_path(kind, o, h, l, c, out)
    return _arrays.like(_arrays.kind_of(opens, highs, lows, closes), out, "variance")


def parkinson(opens: ArrayLike, highs: ArrayLike, lows: ArrayLike, closes: ArrayLike) -> Any:
    """Return each bar's variance by Parkinson (1980): five times the information of the close.

    Too small where a bar holds few trades (5 % at 500): the true extremes are not seen.

    Parameters
    ----------
    opens, highs, lows, closes : array_like or Series of numbers, shape (n,)
        Prices, positive.

    Returns
    -------
    ndarray of float64 or Series, shape (n,)
        Of the logarithm, per bar; NaN where the four are no bar.
    """
    return _variances(bar_ranges.PARKINSON, opens, highs, lows, closes)


def garman_klass(opens: ArrayLike, highs: ArrayLike, lows: ArrayLike, closes: ArrayLike) -> Any:
    """Return each bar's variance by Garman and Klass (1980); the rest is that of `parkinson`."""
    return _variances(bar_ranges.GARMAN_KLASS, opens, highs, lows, closes)


def rogers_satchell(opens: ArrayLike, highs: ArrayLike, lows: ArrayLike, closes: ArrayLike) -> Any:
    """Return each bar's variance by Rogers and Satchell (1991), whatever the drift.

    The rest is that of `parkinson`.
    """
    return _variances(bar_ranges.ROGERS_SATCHELL, opens, highs, lows, closes)


def yang_zhang(
    opens: ArrayLike, highs: ArrayLike, lows: ArrayLike, closes: ArrayLike, *, window: int
) -> Any:
    """Return the variance a bar over the last `window` bars by Yang and Zhang (2000).

    With the jumps from close to open, whatever the drift; the rest is that of `parkinson`.

    Parameters
    ----------
    opens, highs, lows, closes
        As of `parkinson`.
    window : int
        At least 2; the close before them is used as well.

    Returns
    -------
    ndarray of float64 or Series, shape (n,)
        NaN where there are not enough bars yet, or one of them is no bar: none stands in for it.
    """
    o, h, l, c = _columns(opens, highs, lows, closes)  # noqa: E741
    window = whole("window", window, 2)
    out = np.empty(o.size)
    bar_ranges.yang_zhang_path(o, h, l, c, window, np.empty((o.size, 3)), out)
    return _arrays.like(_arrays.kind_of(opens, highs, lows, closes), out, "variance")
