"""Two backtests of one tape -> which is better, by how much, and how sure that is.

Both saw the same market, so their gains are compared second by second: what the market did to
both falls out. Gains depend on each other over time, so the differences are drawn again in blocks
(the stationary bootstrap of Politis and Romano 1994), which keep what lies within a block.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant._checks import number, whole

if TYPE_CHECKING:
    from mmquant.backtest_result import Result

__all__ = ["Comparison", "block_length", "bootstrap_means", "compare"]

_S = 1_000_000_000
_LEAST_SAMPLES = 100
_LEAST_BLOCKS = 10
_BAND = 2.0  # c of Politis and White


@dataclass(frozen=True)
class Comparison:
    """How much better the first of two results is than the second, in the quote asset.

    Attributes
    ----------
    difference : float
        Net profit of the first less that of the second over the common time.
    per_hour, low_per_hour, high_per_hour : float
        The same an hour, and the interval of `level` around it.
    probability : float
        Share of the draws in which the first is better; one where both are equal counts half.
    samples : int
        Increments compared.
    step_s, block_s : float
        Time between samples, mean length of a block.
    level : float
    draws, seed : int
    """

    difference: float
    per_hour: float
    low_per_hour: float
    high_per_hour: float
    probability: float
    samples: int
    step_s: float
    block_s: float
    level: float
    draws: int
    seed: int

    def __str__(self) -> str:
        sure = self.low_per_hour > 0.0 or self.high_per_hour < 0.0
        verdict = "differ" if sure else "are not told apart"
        return (
            f"first less second: {self.difference:+.6g}, an hour {self.per_hour:+.6g} "
            f"({self.level:.0%}: {self.low_per_hour:+.6g} to {self.high_per_hour:+.6g}); "
            f"the first is better with probability {self.probability:.3f}: they {verdict} "
            f"({self.samples} steps of {self.step_s:g} s, blocks of {self.block_s:.3g} s)"
        )


def compare(
    first: "Result",
    second: "Result",
    *,
    symbol: str | None = None,
    step_s: float = 1.0,
    block_s: float | None = None,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 1,
) -> Comparison:
    """Compare two parameter sets that were backtested on the same tape.

    Parameters
    ----------
    first, second : mmquant.backtest_result.Result
    symbol : str, optional
        One instrument; without it, the sum of all.
    step_s : float
        Grid of the increments of `equity()["net"]`, the last value at or before counting. The
        equity is marked each second and at each fill: a finer grid learns nothing.
    block_s : float, optional
        Mean length of a block; without it, that of `block_length`.
    level : float
        Of the interval (percentiles of the draws), from 0.5 to 0.999.
    draws : int
    seed : int

    Returns
    -------
    Comparison

    Raises
    ------
    TypeError, ValueError
        A wrong argument, results of different tapes or instruments, or too short a time: fewer
        than 100 steps, or fewer than 10 blocks.
    """
    step_ns = round(number("step_s", step_s, 1e-3, 86_400.0) * _S)
    level = number("level", level, 0.5, 0.999)
    draws = whole("draws", draws, 100, 10_000_000)
    seed = whole("seed", seed, 0)
    gains = _gains(first, second, symbol, step_ns)
    step_s = step_ns / _S
    if gains.size < _LEAST_SAMPLES:
        raise ValueError(
            f"results must span at least {_LEAST_SAMPLES} steps of {step_s:g} s, got "
            f"{gains.size}: backtest a longer tape"
        )
    if block_s is None:
        block = block_length(gains)
    else:
        block = max(1.0, number("block_s", block_s, 1e-3) / step_s)
    if gains.size < _LEAST_BLOCKS * block:
        raise ValueError(
            f"results must span at least {_LEAST_BLOCKS} blocks of {block * step_s:.6g} s, got "
            f"{gains.size * step_s:.6g} s: backtest a longer tape"
        )
    means = bootstrap_means(gains, block, draws, seed)
    hourly = 3600.0 / step_s
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail]) * hourly
    better = float(np.mean(means > 0.0) + np.mean(means == 0.0) / 2.0)
    return Comparison(
        difference=float(gains.sum()),
        per_hour=float(gains.mean()) * hourly,
        low_per_hour=float(low),
        high_per_hour=float(high),
        probability=better,
        samples=int(gains.size),
        step_s=step_s,
        block_s=block * step_s,
        level=level,
        draws=draws,
        seed=seed,
    )


def _gains(
    first: "Result", second: "Result", symbol: str | None, step_ns: int
) -> NDArray[np.float64]:
    """Return the paired differences of the increments of both equities."""
    if first.symbols != second.symbols:
        raise ValueError(
            f"results must be of the same instruments, got {', '.join(first.symbols)} and "
            f"{', '.join(second.symbols)}: name one when backtesting"
        )
    names = first.symbols if symbol is None else [first.instrument(symbol).symbol]
    spans = [[_span(one.instrument(name)) for name in names] for one in (first, second)]
    if spans[0] != spans[1] or first.source != second.source:
        raise ValueError(
            f"results must be of the same tape, got {first.source} and {second.source} from "
            f"{spans[0][0]} and {spans[1][0]} ns: backtest both on one"
        )
    begin = min(start for start, _ in spans[0])
    end = max(last for _, last in spans[0])
    grid = begin + step_ns * np.arange((end - begin) // step_ns + 1, dtype=np.int64)
    total = np.zeros(grid.size)
    for name in names:
        total += _on_grid(first, name, grid) - _on_grid(second, name, grid)
    return np.diff(total)


def _span(one: Any) -> tuple[int, int]:
    """Return when an instrument's first and last row were received."""
    if not one.positions.size:
        return 0, 0
    return int(one.positions[0]["now_ns"]), int(one.run[0]["now_ns"])


def _on_grid(result: "Result", symbol: str, grid: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the net profit at each time, the last one at or before; 0 before there is one."""
    equity = result.equity(symbol)
    net = np.concatenate(([0.0], equity["net"].to_numpy()))
    values: NDArray[np.float64] = net[np.searchsorted(equity["now_ns"].to_numpy(), grid, "right")]
    return values


def block_length(values: ArrayLike) -> float:
    """Return the mean block length for the stationary bootstrap of a mean, in samples.

    b = (2 G^2 / D)^(1/3) n^(1/3), D = 2 g(0)^2, at most ceil(min(3 sqrt(n), n / 3)), at least 1;
    g(0) = sum of w(k / M) R(k) and G = sum of w(k / M) |k| R(k) over |k| <= M, R the
    autocovariances, w the flat-top window min(1, 2 (1 - |t|)). M = 2 m, where m is the lag
    behind which K = max(5, sqrt(log10 n)) autocorrelations are all below
    2 sqrt(log10(n) / n).

    Parameters
    ----------
    values : array_like of float, shape (n,)
        At least 100.

    References
    ----------
    Politis and White (2004), Automatic block-length selection for the dependent bootstrap,
    Econometric Reviews 23, 53-70, section 3 (the estimate of b, and M by the rule of its footnote
    c); D as corrected by Patton, Politis and White (2009), Econometric Reviews 28, 372-375.
    """
    x = _series(values)
    n = x.size
    if x.min() == x.max():
        return 1.0
    x = x - x.mean()
    variance = float(x @ x) / n
    near = max(5, math.ceil(math.sqrt(math.log10(n))))
    most = math.ceil(math.sqrt(n)) + near
    lags = [float(x[: n - k] @ x[k:]) / n for k in range(min(most + near, n - 1) + 1)]
    covariances = np.array(lags)
    small = np.abs(covariances / variance) < _BAND * math.sqrt(math.log10(n) / n)
    m = next((k for k in range(most) if small[k + 1 : k + 1 + near].all()), most)
    width = min(2 * max(m, 1), covariances.size - 1)
    k = np.arange(-width, width + 1)
    window = np.minimum(1.0, 2.0 * (1.0 - np.abs(k) / width))
    terms = window * covariances[np.abs(k)]
    spectrum, slope = float(terms.sum()), float((np.abs(k) * terms).sum())
    longest = math.ceil(min(3.0 * math.sqrt(n), n / 3.0))
    if spectrum <= 0.0:
        return float(longest)
    length = math.cbrt(2.0 * slope**2 / (2.0 * spectrum**2) * n)
    return min(max(1.0, length), float(longest))


def bootstrap_means(values: ArrayLike, block: float, draws: int, seed: int) -> NDArray[np.float64]:
    """Return the mean of each draw of the stationary bootstrap.

    A draw is as long as the series: blocks that begin anywhere and go on around the end, their
    lengths geometric with mean `block` (Politis and Romano 1994, JASA 89, 1303-1313, section 2).
    With `block` 1 it is the plain bootstrap.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        At least 100, finite.
    block : float
        From 1 to n.
    draws, seed : int

    Returns
    -------
    ndarray of float, shape (draws,)
    """
    x = _series(values)
    n = x.size
    block = number("block", block, 1.0, n)
    draws = whole("draws", draws, 1, 10_000_000)
    generator = np.random.default_rng(whole("seed", seed, 0))
    mean = x.mean()
    # Sums of blocks by two look-ups: of the series less its mean, twice behind itself.
    sums = np.concatenate(([0.0], np.cumsum(np.tile(x - mean, 2))))
    at_once = math.ceil(n / block + 4.0 * math.sqrt(n / block)) + 1
    means = np.empty(draws)
    for draw in range(draws):
        if block == 1.0:
            starts = generator.integers(n, size=n)
            means[draw] = mean + (sums[starts + 1] - sums[starts]).sum() / n
            continue
        ends = np.cumsum(np.minimum(generator.geometric(1.0 / block, at_once), n))
        while ends[-1] < n:
            more = np.minimum(generator.geometric(1.0 / block, at_once), n)
            ends = np.concatenate((ends, ends[-1] + np.cumsum(more)))
        count = int(np.searchsorted(ends, n)) + 1
        ends = np.minimum(ends[:count], n)
        lengths = np.diff(ends, prepend=0)
        starts = generator.integers(n, size=count)
        means[draw] = mean + (sums[starts + lengths] - sums[starts]).sum() / n
    return means


def _series(values: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or x.size < _LEAST_SAMPLES or not np.isfinite(x).all():
        raise ValueError(
            f"values must be at least {_LEAST_SAMPLES} finite numbers in a row, got shape "
            f"{x.shape}: take a longer time or a finer grid"
        )
    return x
