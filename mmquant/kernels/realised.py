"""Realised variances of one stretch of prices: plain, bipower, two-scale and pre-averaged."""

import math

import numpy as np

from mmquant._jit import bare_njit as njit


@njit
def lagged_squares(prices: np.ndarray, lag: int) -> float:
    """Return the sum of (p[i + lag] - p[i])^2."""
    total = 0.0
    for i in range(prices.size - lag):
        move = prices[i + lag] - prices[i]
        total += move * move
    return total


@njit
def squares(prices: np.ndarray) -> float:
    """Return the sum of squared returns."""
    total = 0.0
    for i in range(1, prices.size):
        move = prices[i] - prices[i - 1]
        total += move * move
    return total


@njit
def bipower_variance(prices: np.ndarray) -> float:
    """Return pi/2 * n / (n - 1) * sum |r_i| |r_(i-1)| of n returns; NaN for fewer than two.

    Barndorff-Nielsen and Shephard (2004): single jumps do not count.
    """
    n = prices.size - 1
    if n < 2:
        return math.nan
    total = 0.0
    for i in range(2, prices.size):
        total += abs(prices[i] - prices[i - 1]) * abs(prices[i - 1] - prices[i - 2])
    return math.pi / 2.0 * n / (n - 1.0) * total


@njit
def two_scale_variance(prices: np.ndarray, scale: int) -> float:
    """Return the two-scale variance with subgrids of every `scale`-th price; NaN if too short.

    Zhang, Mykland and Ait-Sahalia (2005), with the small-sample factor: the average over the
    subgrids, less the noise that the full grid shows, over 1 - nbar / n.
    """
    n = prices.size - 1
    if scale < 2 or n < scale:
        return math.nan
    share = (n - scale + 1.0) / scale / n
    average = lagged_squares(prices, scale) / scale
    return (average - share * squares(prices)) / (1.0 - share)


@njit
def best_scale(prices: np.ndarray) -> int:
    """Return the two-scale estimator's scale of least error, from a first guess of n^(2/3).

    (12 noise^2 / IV^2)^(1/3) n^(2/3), noise = RV / 2n, volatility taken as constant.
    """
    n = prices.size - 1
    if n < 4:
        return 2
    growth = n ** (2.0 / 3.0)
    most = max(n // 4, 2)
    first = min(max(int(growth), 2), most)
    variance = two_scale_variance(prices, first)
    noise = squares(prices) / (2.0 * n)
    if not variance > 0.0:
        return first
    factor = (12.0 * noise * noise / (variance * variance)) ** (1.0 / 3.0)
    return min(max(int(factor * growth), 2), most)


@njit
def pre_averaged_variance(prices: np.ndarray, window: int) -> float:
    """Return the pre-averaged variance with windows of `window` returns; NaN if too short.

    Jacod, Li, Mykland, Podolskij and Vetter (2009) with g(x) = min(x, 1 - x), its constants in
    their finite-sample form, scaled to all returns and freed of the bias of its noise term.
    """
    n = prices.size - 1
    if window < 3 or n < window:  # with two, signal and noise cannot be told apart
        return math.nan
    g2 = 0.0
    slopes2 = 0.0
    for j in range(window):
        g = min(j / window, 1.0 - j / window)
        following = min((j + 1.0) / window, 1.0 - (j + 1.0) / window)
        g2 += g * g
        slopes2 += (following - g) * (following - g)
    # The weights rise by 1 / window a price and fall as fast, so a window's mean is what the prices
    # of its second half are above those of its first, over window. The odd one between has none.
    half = window // 2
    rest = window - half
    above = 0.0
    for j in range(half):
        above += prices[rest + j] - prices[j]
    total = above * above
    for i in range(n - window + 1):  # the window of the next price
        above += (prices[i + window] - prices[i + rest]) - (prices[i + half] - prices[i])
        total += above * above
    total /= window * window
    noise_share = slopes2 / (2.0 * g2)
    full = total / g2 * n / (n - window + 2.0)
    return (full - noise_share * squares(prices)) / (1.0 - noise_share)
