"""depths that market orders reached -> A and k of the exponential law, and whether it holds.

fit = fit_arrivals(depths.depths_ticks, depths.seconds, sides=2)
counts = arrival_counts(depths.depths_ticks, depths.seconds, sides=2)

Formulas, and how to choose the depths: docs/estimators.md.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant import _arrays
from mmquant._checks import MOST_WHOLE, number, whole
from mmquant.kernels import arrivals

__all__ = [
    "ArrivalCounts",
    "ArrivalFit",
    "arrival_counts",
    "fit_arrivals",
    "fit_arrivals_log_linear",
]

_MOST_BINS = 10_000_000  # 80 MB a column
_LEAST_EXPECTED = 5.0  # orders in a bin, for chi-square to be near its law
_BINS = 4  # in 1 / k, and in the depths that are fitted
_MOST_SECONDS = MOST_WHOLE * 1e-9
_MOST_EXPONENT = 700.0  # exp of more is no number
_LEAST_WIDTH = 1e-9
_UNLIKELY_Z = 3.72  # one sample in 10 000 lies further out


class ArrivalCounts(NamedTuple):
    """Market orders by depth, (m,) each, and the seconds that one side was observed.

    `stopped` ended in [depth, depth + bin), `reached` went as far as the depth or further, and
    `reached_per_s` is their rate on one side: what the law says is A exp(-k depth).
    """

    depths_ticks: NDArray[np.float64]
    stopped: NDArray[np.int64]
    reached: NDArray[np.int64]
    reached_per_s: NDArray[np.float64]
    seconds: float


class ArrivalFit(NamedTuple):
    """lambda(depth) = intensity_per_s * exp(-decay_per_tick * depth) on one side.

    A and k of Avellaneda and Stoikov (2008), equation 12, with their standard errors.

    `dispersion` is Pearson's chi-square of the counts by depth over its `degrees_of_freedom`: about
    1 where the law holds. Above 1 both errors are multiplied by its root (quasi-likelihood:
    McCullagh and Nelder 1989, section 4.5). NaN where there are too few orders to tell.

    Errors take orders as independent of each other. That of A is too small where they come in
    bursts: what comes together in time changes no count by depth, so dispersion does not show it.
    Of BTCUSDT in 2024 counts in 10 s vary 45 (futures) and 27 times (spot) as much as independent
    ones: where the law fits, the error of A would be 5 to 7 times what is said. Fit windows that
    are longer than bursts, and take the spread of their A over the root of their number.
    """

    intensity_per_s: float
    decay_per_tick: float
    intensity_error: float
    decay_error: float
    arrivals: int
    dispersion: float = math.nan
    degrees_of_freedom: int = 0


def _reaches(
    depths: NDArray[np.float64], edge_ticks: float, width_ticks: float
) -> NDArray[np.bool_]:
    """Tell which depths are at an edge or beyond it, by the rule of bins `width_ticks` wide."""
    return np.asarray((depths - edge_ticks) / width_ticks >= -arrivals.EDGE_SLACK)


def _beyond(
    depths_ticks: ArrayLike, seconds: float, least_ticks: float, width_ticks: float
) -> NDArray[np.float64]:
    """Return the depths at or beyond `least_ticks`, checked."""
    if hasattr(depths_ticks, "depths_ticks"):
        kind = type(depths_ticks).__name__
        raise TypeError(f"depths_ticks must be one array, got {kind}: pass its depths_ticks")
    depths = _arrays.ticks("depths_ticks", depths_ticks)
    number("seconds", seconds, 1e-9, _MOST_SECONDS)
    number("least_ticks", least_ticks, -MOST_WHOLE, MOST_WHOLE)
    beyond: NDArray[np.float64] = depths[_reaches(depths, least_ticks, width_ticks)]
    return beyond


def _bins(span_ticks: float, bin_ticks: float) -> int:
    """Return how many bins reach `span_ticks` beyond the least, or say that they are too many."""
    places = span_ticks / bin_ticks + arrivals.EDGE_SLACK
    if not places < _MOST_BINS:
        raise ValueError(
            f"depths_ticks must lie in at most {_MOST_BINS} bins of bin_ticks={bin_ticks} from "
            f"least_ticks on, got one {span_ticks:.6g} beyond it: drop what is no depth, or make "
            f"bin_ticks more"
        )
    return max(math.floor(places) + 1, 0)


def _enough(
    beyond: NDArray[np.float64], least_ticks: float, most_ticks: float, width_ticks: float
) -> int:
    """Return how many orders stopped before `most_ticks`, or say that they are too few."""
    if most_ticks != math.inf:
        number("most_ticks", most_ticks, -MOST_WHOLE, MOST_WHOLE)
    if not most_ticks > least_ticks:
        raise ValueError(
            f"most_ticks must be above least_ticks={least_ticks}, got {most_ticks}: make it more"
        )
    stopped = beyond.size - int(np.count_nonzero(_reaches(beyond, most_ticks, width_ticks)))
    if stopped < 3:
        raise ValueError(
            f"depths_ticks must hold 3 orders at or beyond least_ticks={least_ticks} and below "
            f"most_ticks={most_ticks}, got {stopped}: pass a longer sample"
        )
    return stopped


def _at_zero(rate: float, decay_per_tick: float, least_ticks: float) -> float:
    """Return the rate at depth 0 of a law that has `rate` at `least_ticks`: A."""
    exponent = decay_per_tick * least_ticks
    if not abs(exponent) < _MOST_EXPONENT:
        raise ValueError(
            f"least_ticks must be within {_MOST_EXPONENT:.0f} / k of 0, got {least_ticks} with "
            f"k={decay_per_tick:.6g}: subtract it from depths_ticks, and pass 0"
        )
    return rate * math.exp(exponent)


def arrival_counts(
    depths_ticks: ArrayLike,
    seconds: float,
    *,
    sides: int = 1,
    least_ticks: float = 0.0,
    bin_ticks: float = 1.0,
) -> ArrivalCounts:
    """Count market orders by depth: what is to lie on the fitted line.

    Parameters
    ----------
    depths_ticks, seconds, sides, least_ticks, bin_ticks
        As of `fit_arrivals_log_linear`.

    Returns
    -------
    ArrivalCounts
        From `least_ticks` to the deepest order; of no depth where none lies there.
    """
    whole("sides", sides, 1, 2)
    width = number("bin_ticks", bin_ticks, _LEAST_WIDTH, MOST_WHOLE)
    beyond = _beyond(depths_ticks, seconds, least_ticks, width)
    bins = _bins(float(beyond.max()) - least_ticks, width) if beyond.size else 0
    counts = np.zeros(bins)
    arrivals.count_by_depth(beyond, float(least_ticks), width, counts)
    stopped = counts.astype(np.int64)
    reached = np.cumsum(stopped[::-1])[::-1]
    edges = least_ticks + width * np.arange(bins, dtype=np.float64)
    exposure_s = float(seconds * sides)
    rates = reached.astype(np.float64) / exposure_s
    return ArrivalCounts(edges, stopped, reached, rates, exposure_s)


def _dispersion(
    beyond: NDArray[np.float64],
    expected: float,
    decay_per_tick: float,
    least_ticks: float,
    most_ticks: float,
    step_ticks: float,
    *,
    counts_rest: bool = True,
) -> tuple[float, int]:
    """Return Pearson's chi-square of counts by depth over its degrees of freedom, and these.

    `expected` orders at or beyond `least_ticks`, by the law. Bins are a quarter of 1 / k wide (of
    the depths that are fitted, if less), or the next multiple of `step_ticks`, as long as 5 orders
    are expected in each; the last is open, and left out where the fit did not look at the rest.
    """
    width = min(1.0 / decay_per_tick, most_ticks - least_ticks) / _BINS
    if step_ticks > 0.0:
        width = step_ticks * max(1, math.ceil(width / step_ticks - arrivals.EDGE_SLACK))
    places = min(math.log(max(expected, 1.0)) / decay_per_tick, most_ticks - least_ticks) / width
    most_bins = 1 + math.floor(places + arrivals.EDGE_SLACK)  # beyond these too few are expected
    beyonds = expected * np.exp(-decay_per_tick * width * np.arange(most_bins))
    in_bins = -np.diff(beyonds)
    good = (beyonds[1:] >= _LEAST_EXPECTED) & (in_bins >= _LEAST_EXPECTED)
    bins = 1 + int(np.count_nonzero(good))
    law = np.append(in_bins[: bins - 1], beyonds[bins - 1])
    seen = np.zeros(bins)
    seen[-1] = beyond.size - arrivals.count_by_depth(beyond, float(least_ticks), width, seen[:-1])
    if not counts_rest:
        seen, law = seen[:-1], law[:-1]
    degrees = law.size - 2  # A and k are fitted
    if degrees < 1:
        return math.nan, 0
    return float(((seen - law) ** 2 / law).sum()) / degrees, degrees


def _told(fit: ArrivalFit) -> ArrivalFit:
    """Return the fit with errors as wide as its dispersion; warn where chance does not explain it.

    The limit is the chi-square that one sample in 10 000 exceeds (Wilson and Hilferty 1931).
    """
    if fit.degrees_of_freedom == 0:
        return fit
    part = 2.0 / (9.0 * fit.degrees_of_freedom)
    if fit.dispersion > (1.0 - part + _UNLIKELY_Z * math.sqrt(part)) ** 3:
        _arrays.warn(
            f"the exponential law does not fit these depths: dispersion {fit.dispersion:.3g} with "
            f"{fit.degrees_of_freedom} degrees of freedom, where 1 is expected. A="
            f"{fit.intensity_per_s:.3g} and k={fit.decay_per_tick:.3g} are not its rates: look at "
            f"arrival_counts, set lattice_ticks (or bin_ticks) to the distance of possible depths, "
            f"and fit between the least_ticks and most_ticks where you quote"
        )
    factor = math.sqrt(max(1.0, fit.dispersion))
    return fit._replace(
        intensity_error=fit.intensity_error * factor, decay_error=fit.decay_error * factor
    )


def fit_arrivals(
    depths_ticks: ArrayLike,
    seconds: float,
    *,
    sides: int = 1,
    least_ticks: float = 0.0,
    most_ticks: float = math.inf,
    lattice_ticks: float = 0.0,
) -> ArrivalFit:
    """Fit the arrival law by maximum likelihood.

    Depths beyond `least_ticks` are exponential, so k = (n - 1) / sum(x - x0), and arrivals at x0
    or beyond are Poisson, so A = n exp(k x0) / T. On a lattice they are geometric. Of an order
    that reached `most_ticks` no more than that is taken to be known: n counts those that stopped
    before, and x is at most this.

    Parameters
    ----------
    depths_ticks : array_like of float, shape (n,)
        Of `arrival_depths`; shallower ones than `least_ticks` are left out.
    seconds : float
        Observed.
    sides : int
        1 if the depths are of one side, 2 if of both: the intensity is that of one.
    least_ticks, most_ticks : float
        Where the law is to hold from, and to: the depths at which one quotes.
    lattice_ticks : float
        Distance of possible depths; 0 for any depth. On a lattice `least_ticks` and `most_ticks`
        are of them. Trades against the mid of a spread of one tick: 1.0, with `least_ticks` 0.5.
        Where spreads are of odd and even ticks: 0.5.

    Returns
    -------
    ArrivalFit
        Its errors take orders as independent of each other: see there what bursts do to that of A.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the rule and the value received.

    Warns
    -----
    UserWarning
        The law does not fit: its dispersion is one that fewer than one sample in 10 000 of the
        law would show.
    """
    whole("sides", sides, 1, 2)
    width = number("lattice_ticks", lattice_ticks, 0.0, MOST_WHOLE)
    if 0.0 < width < _LEAST_WIDTH:
        raise ValueError(
            f"lattice_ticks must be 0, or {_LEAST_WIDTH} or more, got {width}: pass 0 for any depth"
        )
    beyond = _beyond(depths_ticks, seconds, least_ticks, width or 1.0)
    stopped = _enough(beyond, least_ticks, most_ticks, width or 1.0)
    n = beyond.size
    excess = float((np.clip(beyond, least_ticks, most_ticks) - least_ticks).sum()) / stopped
    if not excess > 0.0:
        raise ValueError(f"depths_ticks must differ, got {n} equal ones: lower least_ticks")
    if width > 0.0:
        k = math.log1p(width / excess) / width
        k_error = -math.expm1(-k * width) / (width * math.sqrt(stopped * math.exp(-k * width)))
    else:
        k = (stopped - 1) / stopped / excess
        k_error = k / math.sqrt(stopped)
    intensity = _at_zero(n / (seconds * sides), k, least_ticks)
    error = intensity * math.sqrt(1.0 / n + (least_ticks * k_error) ** 2)
    spread = _dispersion(beyond, float(n), k, least_ticks, most_ticks, width)
    return _told(ArrivalFit(intensity, k, error, k_error, n, *spread))


def _line(
    counts: NDArray[np.float64], rest: int, width_ticks: float, *, are_all: bool
) -> tuple[float, float, float, float, float]:
    """Return the line ln(count + 1/2) = ln(first) - k x, weighted with what the law expects.

    And the error of k, the mean x and the sum of the weights. x is from the first bin on. The law
    is the likeliest one, of `rest` orders known that they went beyond the bins; they count where an
    order or more is expected, behind `counts` as empty if these are all.
    """
    stopped = float(counts.sum())
    steps = float(counts @ np.arange(counts.size)) + rest * counts.size
    k = math.log1p(stopped / steps) / width_ticks
    first = (stopped + rest) * -math.expm1(-k * width_ticks)
    if not first >= 1.0:
        raise ValueError(
            f"bin_ticks must hold an order or more in the first bin by the law, got "
            f"{width_ticks}: make it more"
        )
    bins = max(2, 1 + int(math.log(first) / (k * width_ticks)))
    bins = bins if are_all else min(bins, counts.size)
    seen = np.zeros(bins)
    seen[: counts.size] = counts[:bins]
    xs = width_ticks * np.arange(bins)
    weights, ys = first * np.exp(-k * xs), np.log(seen + 0.5)
    weight = float(weights.sum())
    x_mean, y_mean = float(weights @ xs) / weight, float(weights @ ys) / weight
    spread = float(weights @ (xs - x_mean) ** 2)
    k = -float((weights * (xs - x_mean)) @ ys) / spread
    if not k > 0.0:
        raise ValueError(f"depths_ticks must get rarer with depth, got a decay of {k}: more data")
    return math.exp(y_mean + k * x_mean), k, 1.0 / math.sqrt(spread), x_mean, weight


def fit_arrivals_log_linear(
    depths_ticks: ArrayLike,
    seconds: float,
    *,
    sides: int = 1,
    least_ticks: float = 0.0,
    most_ticks: float = math.inf,
    bin_ticks: float = 1.0,
) -> ArrivalFit:
    """Fit the arrival law to the logarithms of counts by depth, weighted with the law's counts.

    Orders are counted where they stop, in bins [x_j, x_j + w): ln(N_j + 1/2) = ln(A T (1 -
    exp(-k w))) - k x_j with variance 1 / E N_j, independent (cumulated counts are not), over the
    bins for which the likeliest law expects an order or more, empty ones among them. With a half
    added the logarithm of a count is almost without bias (Anscombe 1948); were the counts seen the
    weights, bins that happen to be full would weigh more, and k come out too small. Where the law
    holds it agrees with `fit_arrivals`; where it does not, each is off in its own way.

    Measured on 1500 samples each with k = 0.6 in bins of a tick: the mean of k is 0.592 of 30
    orders, 0.598 of 60, 0.600 of 300; in bins of 0.1 ticks, 0.589 of 300. That is a tenth of its
    error, a fifth in the latter; 95 to 98 % of intervals of 1.96 errors hold k and A.

    Parameters
    ----------
    depths_ticks, seconds, sides, least_ticks, most_ticks
        As of `fit_arrivals`; bins end at `most_ticks` or before.
    bin_ticks : float
        Positive; a multiple of the distance of possible depths. Ten million bins at most.

    Returns, raises and warns as `fit_arrivals`.
    """
    whole("sides", sides, 1, 2)
    width = number("bin_ticks", bin_ticks, _LEAST_WIDTH, MOST_WHOLE)
    beyond = _beyond(depths_ticks, seconds, least_ticks, width)
    _enough(beyond, least_ticks, most_ticks, width)
    reach = min(float(beyond.max()), most_ticks - width)
    counts = np.zeros(_bins(reach - least_ticks, width))
    n = int(arrivals.count_by_depth(beyond, float(least_ticks), width, counts))
    if np.count_nonzero(counts) < 2:
        raise ValueError(f"bin_ticks must leave 2 bins with orders, got {bin_ticks}: make it less")
    is_all = most_ticks == math.inf
    first, k, k_error, x_mean, weight = _line(counts, beyond.size - n, width, are_all=is_all)
    in_bin = -math.expm1(-k * width)
    expected = first / in_bin
    intensity = _at_zero(expected / (seconds * sides), k, least_ticks)
    slope = least_ticks + x_mean - width * math.exp(-k * width) / in_bin  # d ln A / d k
    error = intensity * math.sqrt(1.0 / weight + (slope * k_error) ** 2)
    dispersion = _dispersion(
        beyond, expected, k, least_ticks, most_ticks, width, counts_rest=is_all
    )
    return _told(ArrivalFit(intensity, k, error, k_error, n, *dispersion))
