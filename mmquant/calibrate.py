"""trades + mids -> how often orders reach a depth, what trades lead to, how long drift lasts.

depths = arrival_depths(trades.price, trades.side, mids, trades.time, mids_time)
fit = fit_arrivals(depths.depths_ticks, depths.seconds, sides=2)
curve = markout_curve(price, side, mids, times, mid_times, horizons_ns=[10**8, 10**9])
curve = markout_curve(*trades_and_mids(tape), horizons_ns=[10**8, 10**9])

Prices are ticks (floats: mids lie between them), sides 1 where the aggressor bought and -1
where he sold. Formulas and when to use what: docs/estimators.md.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant import _arrays
from mmquant._checks import number, whole
from mmquant.kernels import arrivals, forward

if TYPE_CHECKING:
    from mmquant.tape import Tape

__all__ = [
    "ArrivalDepths",
    "ArrivalFit",
    "DriftDecay",
    "MarkoutCurve",
    "TradesAndMids",
    "arrival_depths",
    "fit_arrivals",
    "fit_arrivals_log_linear",
    "fit_drift_decay",
    "markout_curve",
    "trades_and_mids",
]

_S_PER_NS = 1e-9
_MINUTE_NS = 60 * 10**9


class ArrivalDepths(NamedTuple):
    """How far from the mid market orders reached, (n,) each, and the seconds observed."""

    depths_ticks: NDArray[np.float64]
    sides: NDArray[np.int64]
    seconds: float


class TradesAndMids(NamedTuple):
    """The first five arguments of `arrival_depths` and `markout_curve`: (n,) trades, (m,) mids."""

    prices_ticks: NDArray[np.float64]
    sides: NDArray[np.int64]
    mids_ticks: NDArray[np.float64]
    times: NDArray[np.int64]
    mid_times: NDArray[np.int64]


class ArrivalFit(NamedTuple):
    """lambda(depth) = intensity_per_s * exp(-decay_per_tick * depth) on one side.

    A and k of Avellaneda and Stoikov (2008), equation 12, with their standard errors.
    """

    intensity_per_s: float
    decay_per_tick: float
    intensity_error: float
    decay_error: float
    arrivals: int


class MarkoutCurve(NamedTuple):
    """Mean move in the aggressor's favour after a trade, measured from its price, (m,) each."""

    horizons_ns: NDArray[np.int64]
    mean_ticks: NDArray[np.float64]
    error_ticks: NDArray[np.float64]
    trades: NDArray[np.int64]


class DriftDecay(NamedTuple):
    """response(u) = full_ticks * (1 - 2^(-u / half_life_ns)), with standard errors.

    `edge` is "" where the horizons show the half-life. "short": the move was over before the first
    of them, "long": it goes on as straight behind the last; then `half_life_ns` is but the end of
    what was searched, and errors are infinite (of the whole move for "long" alone).
    """

    half_life_ns: float
    full_ticks: float
    half_life_error_ns: float
    full_error_ticks: float
    edge: str = ""


def _sides(sides: ArrayLike) -> NDArray[np.int64]:
    signs = _arrays.lots("sides", sides, -1)
    if signs.size > 0 and not (abs(signs) == 1).all():
        raise ValueError("sides must be 1 or -1, got another value: drop trades without a side")
    return signs


def trades_and_mids(tape: "Tape", symbol: str | None = None) -> TradesAndMids:
    """Return a tape's trades, and its mid after each event that left a touch of two sides.

    Parameters
    ----------
    tape : Tape
        Of `read_tape`. What bears TAPE_SKIP is left out.
    symbol : str, optional
        Which instrument; needed where there are several.

    Returns
    -------
    TradesAndMids
        Times are those received: at one time the mid, as the tape has it, is what came first.
        `arrival_depths(*trades_and_mids(tape))`.

    Raises
    ------
    ValueError
        The tape has no such instrument, or was not received in order.
    """
    from mmquant.tape.frames import touch_records, trade_records  # the tape's code, if one is used

    index = tape.index_of(symbol)
    trades, levels = trade_records(tape, index)
    touches = touch_records(tape, index)
    whole_touch = touches[(touches["bid_lots"] > 0) & (touches["ask_lots"] > 0)]
    mids = (whole_touch["bid_ticks"] + whole_touch["ask_ticks"]) / 2
    # Those that did not move, too: they say how long a mid is known to have held.
    mid_times = _arrays.times_ns(tape.events["received_ns"][whole_touch["update_id"]], None)
    times = _arrays.times_ns(np.ascontiguousarray(trades["received_ns"]), None)
    sides = np.where(trades["n_bids"] > 0, 1, -1)
    prices = levels["price_ticks"].astype(np.float64)
    return TradesAndMids(prices, sides, mids, times, mid_times)


def arrival_depths(
    prices_ticks: ArrayLike,
    sides: ArrayLike,
    mids_ticks: ArrayLike,
    times: ArrayLike | None = None,
    mid_times: ArrayLike | None = None,
    *,
    max_age_ns: int = _MINUTE_NS,
) -> ArrivalDepths:
    """Return how far beyond the mid that stood before it each market order reached.

    Trades of one time and side are one order, at its deepest: an order that walks the book is
    one arrival. Trades without a mid younger than `max_age_ns` are left out.

    Parameters
    ----------
    prices_ticks : array_like or Series of numbers, shape (n,)
    sides : array_like of int, shape (n,)
    mids_ticks : array_like or Series of numbers, shape (m,)
    times, mid_times : array_like of datetime64 or int64 nanoseconds, optional
        By default the DatetimeIndexes.
    max_age_ns : int
        Positive. A mid that is NaN is missing: the one before it stands.

    Returns
    -------
    ArrivalDepths
        Seconds are those in which a trade would have counted: from the first mid to the last,
        of each interval `max_age_ns` at most.
    """
    _arrays.same_index(prices_ticks=prices_ticks, sides=sides, times=times)
    _arrays.same_index(mids_ticks=mids_ticks, mid_times=mid_times)
    xs, signs = _arrays.floats("prices_ticks", prices_ticks), _sides(sides)
    mids = _arrays.floats("mids_ticks", mids_ticks)
    ts_ns = _arrays.times_ns(times, prices_ticks)
    mid_ts_ns = _arrays.times_ns(mid_times, mids_ticks, "mid_times")
    n = _arrays.same_length(prices_ticks=xs, sides=signs, times=ts_ns)
    _arrays.same_length(mids_ticks=mids, mid_times=mid_ts_ns)
    age_ns = whole("max_age_ns", max_age_ns, 1)
    before = np.empty(n)
    forward.price_at(mids, mid_ts_ns, ts_ns, 0, 1, age_ns, before)
    depths, out_sides = np.empty(n), np.empty(n, np.int64)
    count = int(arrivals.deepest(signs * (xs - before), signs, ts_ns, depths, out_sides))
    # Each mid stands until the next one that is not missing, the last until the end of the times.
    stands_ns = np.diff(mid_ts_ns[~np.isnan(mids)], append=mid_ts_ns[-1:])
    seconds = float(np.minimum(stands_ns, age_ns).sum()) * _S_PER_NS
    return ArrivalDepths(depths[:count].copy(), out_sides[:count].copy(), seconds)


def _beyond(depths_ticks: ArrayLike, seconds: float, least_ticks: float) -> NDArray[np.float64]:
    depths = _arrays.floats("depths_ticks", depths_ticks)
    number("seconds", seconds, 1e-9)
    number("least_ticks", least_ticks, -math.inf)
    beyond: NDArray[np.float64] = depths[depths >= least_ticks]
    if beyond.size < 3:
        raise ValueError(
            f"depths_ticks must hold 3 orders at or beyond least_ticks={least_ticks}, got "
            f"{beyond.size}: pass a longer sample"
        )
    return beyond


def fit_arrivals(
    depths_ticks: ArrayLike,
    seconds: float,
    *,
    sides: int = 1,
    least_ticks: float = 0.0,
    lattice_ticks: float = 0.0,
) -> ArrivalFit:
    """Fit the arrival law by maximum likelihood.

    Depths beyond `least_ticks` are exponential, so k = (n - 1) / sum(x - x0), and arrivals at x0
    or beyond are Poisson, so A = n exp(k x0) / T. On a lattice they are geometric.

    Parameters
    ----------
    depths_ticks : array_like of float, shape (n,)
        Of `arrival_depths`; shallower ones than `least_ticks` are left out.
    seconds : float
        Observed.
    sides : int
        1 if the depths are of one side, 2 if of both: the intensity is that of one.
    least_ticks : float
        Where the law is to hold from.
    lattice_ticks : float
        Distance of possible depths; 0 for any depth. On a lattice `least_ticks` is one of them.
        Trades against the mid of a spread of one tick: 1.0, with `least_ticks` 0.5. Where spreads
        are of odd and even ticks: 0.5.

    Returns
    -------
    ArrivalFit

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the rule and the value received.
    """
    beyond = _beyond(depths_ticks, seconds, least_ticks)
    whole("sides", sides, 1, 2)
    width = number("lattice_ticks", lattice_ticks, 0.0)
    n = beyond.size
    excess = float((beyond - least_ticks).mean())
    if not excess > 0.0:
        raise ValueError(f"depths_ticks must differ, got {n} equal ones: lower least_ticks")
    if width > 0.0:
        k = math.log1p(width / excess) / width
        k_error = -math.expm1(-k * width) / (width * math.sqrt(n * math.exp(-k * width)))
    else:
        k = (n - 1) / n / excess
        k_error = k / math.sqrt(n)
    intensity = n / (seconds * sides) * math.exp(k * least_ticks)
    relative_error = math.sqrt(1.0 / n + (least_ticks * k_error) ** 2)
    return ArrivalFit(intensity, k, intensity * relative_error, k_error, n)


def fit_arrivals_log_linear(
    depths_ticks: ArrayLike,
    seconds: float,
    *,
    sides: int = 1,
    least_ticks: float = 0.0,
    bin_ticks: float = 1.0,
) -> ArrivalFit:
    """Fit the arrival law to the logarithms of counts by depth, weighted with the counts.

    Orders are counted where they stop, in bins [x_j, x_j + w): ln N_j = ln(A T (1 - exp(-k w)))
    - k x_j with variance 1 / N_j, independent (cumulated counts are not); empty bins are left
    out. Looks at the shape where `fit_arrivals` takes it for granted: the two should agree.

    Parameters
    ----------
    depths_ticks, seconds, sides, least_ticks
        As of `fit_arrivals`.
    bin_ticks : float
        Positive; a multiple of the distance of possible depths.
    """
    beyond = _beyond(depths_ticks, seconds, least_ticks)
    whole("sides", sides, 1, 2)
    width = number("bin_ticks", bin_ticks, 1e-9)
    counts = np.zeros(int((beyond.max() - least_ticks) / width) + 1)
    n = int(arrivals.count_by_depth(beyond, least_ticks, width, counts))
    filled = counts > 0
    if filled.sum() < 2:
        raise ValueError(f"bin_ticks must leave 2 bins with orders, got {bin_ticks}: make it less")
    weights = counts[filled]
    edges = least_ticks + width * np.flatnonzero(filled)
    logs = np.log(weights)
    x_mean, y_mean = np.average(edges, weights=weights), np.average(logs, weights=weights)
    spread = float((weights * (edges - x_mean) ** 2).sum())
    k = -float((weights * (edges - x_mean) * (logs - y_mean)).sum()) / spread
    k_error = 1.0 / math.sqrt(spread)
    if not k > 0.0:
        raise ValueError(f"depths_ticks must get rarer with depth, got a decay of {k}: more data")
    in_bin = -math.expm1(-k * width)
    intensity = math.exp(y_mean + k * x_mean) / (seconds * sides * in_bin)
    slope = x_mean - width * math.exp(-k * width) / in_bin  # d ln A / d k
    relative_error = math.sqrt(1.0 / weights.sum() + (slope * k_error) ** 2)
    return ArrivalFit(intensity, k, intensity * relative_error, k_error, n)


def markout_curve(
    prices_ticks: ArrayLike,
    sides: ArrayLike,
    mids_ticks: ArrayLike,
    times: ArrayLike | None = None,
    mid_times: ArrayLike | None = None,
    *,
    horizons_ns: ArrayLike,
    max_age_ns: int = _MINUTE_NS,
) -> MarkoutCurve:
    """Return the mean of side * (mid after the horizon - price) over trades.

    Of fills of one's own, pass one's own side (1 bought, -1 sold). A trade whose mid is not
    known at a horizon (the tape ends, the last mid is older than `max_age_ns`) is left out there.

    Parameters
    ----------
    prices_ticks, sides, mids_ticks, times, mid_times, max_age_ns
        As of `arrival_depths`.
    horizons_ns : array_like of int, shape (m,)
        Not negative.

    Returns
    -------
    MarkoutCurve
        Errors take trades as independent.
    """
    _arrays.same_index(prices_ticks=prices_ticks, sides=sides, times=times)
    _arrays.same_index(mids_ticks=mids_ticks, mid_times=mid_times)
    xs, signs = _arrays.floats("prices_ticks", prices_ticks), _sides(sides)
    mids = _arrays.floats("mids_ticks", mids_ticks)
    ts_ns = _arrays.times_ns(times, prices_ticks)
    mid_ts_ns = _arrays.times_ns(mid_times, mids_ticks, "mid_times")
    n = _arrays.same_length(prices_ticks=xs, sides=signs, times=ts_ns)
    _arrays.same_length(mids_ticks=mids, mid_times=mid_ts_ns)
    horizons = _arrays.lots("horizons_ns", horizons_ns, 0)
    age_ns = whole("max_age_ns", max_age_ns, 0)
    curve = MarkoutCurve(
        horizons.copy(),
        np.full(horizons.size, np.nan),
        np.full(horizons.size, np.nan),
        np.zeros(horizons.size, np.int64),
    )
    later = np.empty(n)
    for i, horizon_ns in enumerate(horizons.tolist()):
        forward.price_at(mids, mid_ts_ns, ts_ns, horizon_ns, 0, age_ns, later)
        moves = signs * (later - xs)
        moves = moves[~np.isnan(moves)]
        curve.trades[i] = moves.size
        if moves.size > 0:
            curve.mean_ticks[i] = moves.mean()
        if moves.size > 1:
            curve.error_ticks[i] = moves.std(ddof=1) / math.sqrt(moves.size)
    return curve


def fit_drift_decay(
    horizons_ns: ArrayLike, responses_ticks: ArrayLike, errors_ticks: ArrayLike
) -> DriftDecay:
    """Fit how long a short-term drift lasts to the moves that follow it.

    A drift a that decays by half every h moves the price by c (1 - 2^(-u / h)) until u: weighted
    least squares, errors of the curve taken as independent. (Of overlapping horizons they hang
    together: the errors of the fit are then too small.)

    Parameters
    ----------
    horizons_ns : array_like of int, shape (m,)
        At least 3 different ones, positive.
    responses_ticks, errors_ticks : array_like of float, shape (m,)
        Mean move until each horizon, and its standard error; rows with NaN are left out.

    Returns
    -------
    DriftDecay
        Half-lives from a 30th of the first horizon to 30 times the last one are searched. `edge`
        says where the best of them is the first or last: choose other horizons then.
    """
    _arrays.same_index(
        horizons_ns=horizons_ns, responses_ticks=responses_ticks, errors_ticks=errors_ticks
    )
    us = _arrays.lots("horizons_ns", horizons_ns, 1).astype(np.float64)
    ys = _arrays.floats("responses_ticks", responses_ticks)
    errors = _arrays.floats("errors_ticks", errors_ticks)
    _arrays.same_length(horizons_ns=us, responses_ticks=ys, errors_ticks=errors)
    there = ~(np.isnan(ys) | np.isnan(errors)) & (errors > 0.0)
    us, ys, errors = us[there], ys[there], errors[there]
    if np.unique(us).size < 3:
        raise ValueError(f"horizons_ns must hold 3 different ones, got {us.size}: pass more")

    def best(half_life_ns: float) -> tuple[float, float]:
        shape = -np.expm1(-math.log(2.0) * us / half_life_ns) / errors
        full = float(shape @ (ys / errors) / (shape @ shape))
        return float(((ys / errors - full * shape) ** 2).sum()), full

    grid = np.geomspace(us.min() / 30.0, us.max() * 30.0, 400)
    edges = {0: "short", grid.size - 1: "long"}
    edge = edges.get(int(np.argmin([best(h)[0] for h in grid])), "")
    for _ in range(4):  # each finds the place 200 times more exactly
        at = int(np.argmin([best(h)[0] for h in grid]))
        grid = np.geomspace(grid[max(at - 1, 0)], grid[min(at + 1, grid.size - 1)], 400)
    h = float(grid[200])
    full = best(h)[1]
    decays = np.exp2(-us / h)
    by_log_h = -full * decays * math.log(2.0) * us / h
    jacobian = np.column_stack([by_log_h, 1.0 - decays]) / errors[:, None]
    spread = np.sqrt(np.diag(np.linalg.pinv(jacobian.T @ jacobian)))
    half_life_error_ns = math.inf if edge else h * float(spread[0])
    full_error_ticks = math.inf if edge == "long" else float(spread[1])
    return DriftDecay(h, full, half_life_error_ns, full_error_ticks, edge)
