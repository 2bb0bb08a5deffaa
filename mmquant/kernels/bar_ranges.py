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
def _fill_moves(
    opens: np.ndarray, highs: np.ndarray, lows: np.ndarray, closes: np.ndarray, moves: np.ndarray
) -> None:
    """Write what `_variance` reads of each bar, NaN where it is none or has none before it."""
    moves[:1] = math.nan
    for i in range(1, opens.size):
        m = moves[i]
        if _is_bar(opens[i], highs[i], lows[i], closes[i]) and closes[i - 1] > 0.0:
            m[0] = math.log(opens[i] / closes[i - 1])
            m[1] = math.log(closes[i] / opens[i])
            m[2] = _rogers_satchell(opens[i], highs[i], lows[i], closes[i])
        else:
            m[:] = math.nan


@njit
def _variance(moves: np.ndarray) -> float:
    """Return the variance a bar of bars (n, 3): openings, open to close, Rogers and Satchell's."""
    n = moves.shape[0]
    if n < 2:
        return math.nan
    gaps = 0.0
    days = 0.0
    ranges = 0.0
    for i in range(n):
        gaps += moves[i, 0]
        days += moves[i, 1]
        ranges += moves[i, 2]
    gaps2 = 0.0
    days2 = 0.0
    for i in range(n):
        gap = moves[i, 0] - gaps / n
        day = moves[i, 1] - days / n
        gaps2 += gap * gap
        days2 += day * day
    k = 0.34 / (1.34 + (n + 1.0) / (n - 1.0))
    return float((gaps2 + k * days2) / (n - 1) + (1.0 - k) * ranges / n)


@njit
def yang_zhang(
    opens: np.ndarray, highs: np.ndarray, lows: np.ndarray, closes: np.ndarray, moves: np.ndarray
) -> float:
    """Return the variance a bar of bars 1 to n, bar 0 lending its close.

    NaN for n < 2, and where one of them is no bar or bar 0 has no close. `moves` is room for
    float64 (n + 1, 3).

    Yang and Zhang (2000): V_o + k V_c + (1 - k) V_RS with k = 0.34 / (1.34 + (n + 1) / (n - 1)),
    sample variances of the openings and of open to close, and the mean of Rogers and Satchell.
    """
    _fill_moves(opens, highs, lows, closes, moves)
    return _variance(moves[1:])


@njit
def yang_zhang_path(
    opens: np.ndarray,
    highs: np.ndarray,
    lows: np.ndarray,
    closes: np.ndarray,
    window: int,
    moves: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write `yang_zhang` of the last `window` bars and the one before; NaN until there are.

    `moves` is room for float64 (n, 3): the logarithms, which take the time, once for all windows.
    """
    _fill_moves(opens, highs, lows, closes, moves)
    for i in range(out.size):
        out[i] = _variance(moves[i + 1 - window : i + 1]) if i >= window else math.nan
