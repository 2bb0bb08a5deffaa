"""Variances of a bar from its open, high, low and close, relative and squared."""

import math

import numpy as np

from mmquant._jit import bare_njit as njit

PARKINSON = 0
GARMAN_KLASS = 1
ROGERS_SATCHELL = 2


@njit
def _is_bar(opened: float, high: float, low: float, close: float) -> bool:
    """Tell whether the four are a bar of positive prices; with a NaN they are not."""
    return low > 0.0 and low <= opened and low <= close and high >= opened and high >= close


@njit
def _rogers_satchell(opened: float, high: float, low: float, close: float) -> float:
    """Return u (u - c) + d (d - c) with u, d, c the logarithms of high, low, close to open."""
    c = math.log(close / opened)
    u = math.log(high / opened)
    d = math.log(low / opened)
    return u * (u - c) + d * (d - c)


@njit
def bar_variance(kind: int, opened: float, high: float, low: float, close: float) -> float:
    """Return the variance over one bar, of logarithms; NaN if it is no bar of prices.

    Parkinson (1980): ln(H/L)^2 / 4 ln 2. Garman and Klass (1980): ln(H/L)^2 / 2 - (2 ln 2 - 1)
    ln(C/O)^2. Rogers and Satchell (1991), free of drift: u (u - c) + d (d - c).
    """
    if not _is_bar(opened, high, low, close):
        return math.nan
    spread = math.log(high / low)
    if kind == PARKINSON:
        return spread * spread / (4.0 * math.log(2.0))
    c = math.log(close / opened)
    if kind == GARMAN_KLASS:
        return 0.5 * spread * spread - (2.0 * math.log(2.0) - 1.0) * c * c
    return _rogers_satchell(opened, high, low, close)


@njit
def bar_variance_path(
    kind: int,
    opens: np.ndarray,
    highs: np.ndarray,
    lows: np.ndarray,
    closes: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fold `bar_variance` over float64 arrays (n,) into `out` (n,)."""
    for i in range(out.size):
        out[i] = bar_variance(kind, opens[i], highs[i], lows[i], closes[i])


@njit
def yang_zhang(opens: np.ndarray, highs: np.ndarray, lows: np.ndarray, closes: np.ndarray) -> float:
    """Return the variance a bar of bars 1 to n, bar 0 lending its close.

    NaN for n < 2, and where one of them is no bar or bar 0 has no close.

    Yang and Zhang (2000): V_o + k V_c + (1 - k) V_RS with k = 0.34 / (1.34 + (n + 1) / (n - 1)),
    sample variances of the openings and of open to close, and the mean of Rogers and Satchell.
    """
    n = opens.size - 1
    if n < 2:
        return math.nan
    gaps = 0.0
    days = 0.0
    ranges = 0.0
    for i in range(1, n + 1):
        if not (_is_bar(opens[i], highs[i], lows[i], closes[i]) and closes[i - 1] > 0.0):
            return math.nan
        gaps += math.log(opens[i] / closes[i - 1]) / n
        days += math.log(closes[i] / opens[i]) / n
        ranges += _rogers_satchell(opens[i], highs[i], lows[i], closes[i]) / n
    gaps2 = 0.0
    days2 = 0.0
    for i in range(1, n + 1):
        gap = math.log(opens[i] / closes[i - 1]) - gaps
        day = math.log(closes[i] / opens[i]) - days
        gaps2 += gap * gap / (n - 1)
        days2 += day * day / (n - 1)
    k = 0.34 / (1.34 + (n + 1.0) / (n - 1.0))
    return gaps2 + k * days2 + (1.0 - k) * ranges


@njit
def yang_zhang_path(
    opens: np.ndarray,
    highs: np.ndarray,
    lows: np.ndarray,
    closes: np.ndarray,
    window: int,
    out: np.ndarray,
) -> None:
    """Write `yang_zhang` of the last `window` bars and the one before; NaN until there are."""
    for i in range(out.size):
        out[i] = math.nan
        if i >= window:
            first = i - window
            out[i] = yang_zhang(
                opens[first : i + 1],
                highs[first : i + 1],
                lows[first : i + 1],
                closes[first : i + 1],
            )
