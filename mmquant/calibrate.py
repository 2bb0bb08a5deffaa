"""trades + mids -> how often orders reach a depth, what trades lead to, how long drift lasts.

depths = arrival_depths(*trades_and_mids(tape))
depths = arrival_depths(price, side, mids, times, mid_times, venue_times)
fit = fit_arrivals(depths.depths_ticks, depths.seconds, sides=2)
curve = markout_curve(*trades_and_mids(tape), horizons_ns=[10**8, 10**9])

Prices are ticks (floats: mids lie between them), sides 1 where the aggressor bought and -1
where he sold. Formulas and when to use what: docs/estimators.md.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant import _arrays, _times
from mmquant._checks import MOST_WHOLE, whole
from mmquant.arrival_fits import (
    ArrivalCounts,
    ArrivalFit,
    arrival_counts,
    fit_arrivals,
    fit_arrivals_log_linear,
)
from mmquant.kernels import arrivals, forward

if TYPE_CHECKING:
    from mmquant.tape import Tape

__all__ = [
    "ArrivalCounts",
    "ArrivalDepths",
    "ArrivalFit",
    "DriftDecay",
    "MarkoutCurve",
    "TradesAndMids",
    "arrival_counts",
    "arrival_depths",
    "fit_arrivals",
    "fit_arrivals_log_linear",
    "fit_drift_decay",
    "markout_curve",
    "trades_and_mids",
]

_S_PER_NS = 1e-9
_MINUTE_NS = 60 * 10**9
_MOST_OF_ERRORS = 1e8  # beyond it a single horizon decides
_MOST_AWAY = 0.1  # of the mid, in the median: further away are prices of another unit


class ArrivalDepths(NamedTuple):
    """How far from the mid market orders reached, (n,) each, and the seconds observed."""

    depths_ticks: NDArray[np.float64]
    sides: NDArray[np.int64]
    seconds: float


class TradesAndMids(NamedTuple):
    """The first six arguments of `arrival_depths` and `markout_curve`: (n,) trades, (m,) mids."""

    prices_ticks: NDArray[np.float64]
    sides: NDArray[np.int64]
    mids_ticks: NDArray[np.float64]
    times: NDArray[np.int64]
    mid_times: NDArray[np.int64]
    venue_times: NDArray[np.int64]


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
    signs = _arrays.lots("sides", sides, -MOST_WHOLE)
    others = np.flatnonzero(abs(signs) != 1)
    if others.size > 0:
        at = others[0]
        raise ValueError(
            f"sides must be 1 or -1, got {signs[at]} at {at}: drop trades without a side"
        )
    return signs


def _horizons(horizons_ns: ArrayLike, least: int) -> NDArray[np.int64]:
    horizons = _arrays.lots("horizons_ns", horizons_ns, least)
    if horizons.size > 0 and horizons.max() > MOST_WHOLE:
        raise ValueError(
            f"horizons_ns must be at most {MOST_WHOLE}, got {horizons.max()}: leave it out"
        )
    return horizons


def _weights(errors: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return errors as multiples of the least, and this."""
    least, most = float(errors.min(initial=math.inf)), float(errors.max(initial=0.0))
    if not least > 0.0:
        raise ValueError(
            f"errors_ticks must be above 0, got {least}: leave such a horizon out, or pass the "
            f"error that it has"
        )
    if most > _MOST_OF_ERRORS * least:
        raise ValueError(
            f"errors_ticks must be within a factor of {_MOST_OF_ERRORS:.0e} of each other, got "
            f"{least} and {most}: leave out the horizon whose error is none"
        )
    return errors / least, least


def _orders(
    signs: NDArray[np.int64], ts_ns: NDArray[np.int64], venue_times: ArrayLike | None
) -> NDArray[np.int64]:
    """Return the number of the order that each trade is of, from 0 on."""
    stamps = ts_ns
    if venue_times is not None:
        stamps = _times.unchecked_times_ns(venue_times, None, "venue_times")
    _arrays.same_length(times=ts_ns, venue_times=stamps)
    orders = np.empty(signs.size, np.int64)
    arrivals.number_orders(signs, stamps, orders)
    return orders


def _warn_of_unit(xs: NDArray[np.float64], mids: NDArray[np.float64]) -> None:
    """Warn where the prices are far from the mids of their time."""
    known = ~np.isnan(xs - mids)
    if not known.any():
        return
    away, mid = float(np.median(abs(xs - mids)[known])), float(np.median(abs(mids[known])))
    if away > _MOST_AWAY * mid:
        _arrays.warn(
            f"prices_ticks are {away:.6g} away from mids_ticks of {mid:.6g} in the median, more "
            f"than a tenth: are both in ticks of one instrument?"
        )


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
        `venue_times` are the venue's, or those received where the tape has none: each trade of a
        recording is received by itself, the trades of one order were matched at one time.
        `arrival_depths(*trades_and_mids(tape))`.

    Raises
    ------
    ValueError
        The tape has no such instrument, or was not received in order.
    """
    from mmquant.tape.core import Tape  # the tape's code, if one is used
    from mmquant.tape.frames import touch_records, trade_records

    if not isinstance(tape, Tape):
        raise TypeError(f"tape must be a Tape, got {tape!r}: pass read_tape of a file")
    index = tape.index_of(symbol)
    trades, levels = trade_records(tape, index)
    touches = touch_records(tape, index)
    whole_touch = touches[(touches["bid_lots"] > 0) & (touches["ask_lots"] > 0)]
    mids = (whole_touch["bid_ticks"] + whole_touch["ask_ticks"]) / 2
    # Those that did not move, too: they say how long a mid is known to have held.
    mid_times = _times.times_ns(tape.events["received_ns"][whole_touch["update_id"]], None)
    times = _times.times_ns(np.ascontiguousarray(trades["received_ns"]), None)
    sides = np.where(trades["n_bids"] > 0, 1, -1)
    prices = levels["price_ticks"].astype(np.float64)
    venue_times = np.where(trades["venue_ns"] > 0, trades["venue_ns"], times)
    return TradesAndMids(prices, sides, mids, times, mid_times, venue_times)


def arrival_depths(
    prices_ticks: ArrayLike,
    sides: ArrayLike,
    mids_ticks: ArrayLike,
    times: ArrayLike | None = None,
    mid_times: ArrayLike | None = None,
    venue_times: ArrayLike | None = None,
    *,
    max_age_ns: int = _MINUTE_NS,
) -> ArrivalDepths:
    """Return how far beyond the mid that stood before it each market order reached.

    An order that walks the book is one arrival: trades of one side that were matched at one time
    of the venue (where that is not given, those of one time). It is dated at its first trade, and
    its depth is that of its farthest one from the mid before the first. Orders without a mid
    younger than `max_age_ns` are left out.

    Parameters
    ----------
    prices_ticks : array_like or Series of numbers, shape (n,)
    sides : array_like of int, shape (n,)
    mids_ticks : array_like or Series of numbers, shape (m,)
    times, mid_times : array_like of datetime64 or int64 nanoseconds, optional
        By default the DatetimeIndexes. A trade counts against the mid before its time: those
        received, of a recording.
    venue_times : array_like of datetime64 or int64 nanoseconds, shape (n,), optional
        When the venue matched each trade.
    max_age_ns : int
        Positive. A mid that is NaN is missing: the one before it stands.

    Returns
    -------
    ArrivalDepths
        Seconds are those in which a trade would have counted: from the first mid to the last,
        of each interval `max_age_ns` at most.

    Warns
    -----
    UserWarning
        The median price is more than a tenth of the mid away from it: not both are in ticks.
        No trade has a mid before it.
    """
    _arrays.same_index(prices_ticks=prices_ticks, sides=sides, times=times, venue_times=venue_times)
    _arrays.same_index(mids_ticks=mids_ticks, mid_times=mid_times)
    xs, signs = _arrays.ticks("prices_ticks", prices_ticks), _sides(sides)
    mids = _arrays.ticks("mids_ticks", mids_ticks)
    ts_ns = _times.times_ns(times, prices_ticks)
    mid_ts_ns = _times.times_ns(mid_times, mids_ticks, "mid_times")
    n = _arrays.same_length(prices_ticks=xs, sides=signs, times=ts_ns)
    _arrays.same_length(mids_ticks=mids, mid_times=mid_ts_ns)
    age_ns = whole("max_age_ns", max_age_ns, 1)
    before = np.empty(n)
    forward.price_at(mids, mid_ts_ns, ts_ns, 0, 1, age_ns, before)
    _warn_of_unit(xs, before)
    orders = _orders(signs, ts_ns, venue_times)
    if n > 0 and np.isnan(before).all():
        _arrays.warn(
            f"no trade has a mid before it that is younger than max_age_ns={age_ns}: are times and "
            f"mid_times of one clock?"
        )
    firsts = np.unique(orders, return_index=True)[1]
    farthest = np.full(firsts.size, np.nan)
    np.fmax.at(farthest, orders, signs * xs)
    depths = farthest - signs[firsts] * before[firsts]
    known = ~np.isnan(depths)
    # Each mid stands until the next one that is not missing, the last until the end of the times.
    stands_ns = np.diff(mid_ts_ns[~np.isnan(mids)], append=mid_ts_ns[-1:])
    seconds = float(np.minimum(stands_ns, age_ns).sum()) * _S_PER_NS
    return ArrivalDepths(depths[known], signs[firsts][known], seconds)


def markout_curve(
    prices_ticks: ArrayLike,
    sides: ArrayLike,
    mids_ticks: ArrayLike,
    times: ArrayLike | None = None,
    mid_times: ArrayLike | None = None,
    venue_times: ArrayLike | None = None,
    *,
    horizons_ns: ArrayLike,
    max_age_ns: int = _MINUTE_NS,
) -> MarkoutCurve:
    """Return the mean of side * (mid after the horizon - price) over trades.

    Of fills of one's own, pass one's own side (1 bought, -1 sold). A trade whose mid is not
    known at a horizon (the tape ends, the last mid is older than `max_age_ns`) is left out there.

    Parameters
    ----------
    prices_ticks, sides, mids_ticks, times, mid_times, venue_times, max_age_ns
        As of `arrival_depths`.
    horizons_ns : array_like of int, shape (m,)
        Not negative.

    Returns
    -------
    MarkoutCurve
        Errors take orders as independent, not the trades of one: see `arrival_depths`.
    """
    _arrays.same_index(prices_ticks=prices_ticks, sides=sides, times=times, venue_times=venue_times)
    _arrays.same_index(mids_ticks=mids_ticks, mid_times=mid_times)
    xs, signs = _arrays.ticks("prices_ticks", prices_ticks), _sides(sides)
    mids = _arrays.ticks("mids_ticks", mids_ticks)
    ts_ns = _times.times_ns(times, prices_ticks)
    mid_ts_ns = _times.times_ns(mid_times, mids_ticks, "mid_times")
    n = _arrays.same_length(prices_ticks=xs, sides=signs, times=ts_ns)
    _arrays.same_length(mids_ticks=mids, mid_times=mid_ts_ns)
    horizons = _horizons(horizons_ns, 0)
    age_ns = whole("max_age_ns", max_age_ns, 0)
    curve = MarkoutCurve(
        horizons.copy(),
        np.full(horizons.size, np.nan),
        np.full(horizons.size, np.nan),
        np.zeros(horizons.size, np.int64),
    )
    orders = _orders(signs, ts_ns, venue_times)
    later = np.empty(n)
    for i, horizon_ns in enumerate(horizons.tolist()):
        forward.price_at(mids, mid_ts_ns, ts_ns, horizon_ns, 0, age_ns, later)
        if i == 0:
            _warn_of_unit(xs, later)
        moves = signs * (later - xs)
        known = ~np.isnan(moves)
        moves, of = moves[known], orders[known]
        curve.trades[i] = moves.size
        if moves.size > 0:
            curve.mean_ticks[i] = moves.mean()
        count = np.count_nonzero(np.bincount(of))  # numpy.unique takes a hundred times as long
        if count > 1:
            sums = np.bincount(of, moves - moves.mean())
            curve.error_ticks[i] = math.sqrt(count / (count - 1) * (sums @ sums)) / moves.size
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
        Mean move until each horizon, and its standard error, above 0 and within a factor of 1e8 of
        each other; rows with NaN are left out.

    Returns
    -------
    DriftDecay
        Half-lives from a 30th of the first horizon to 30 times the last one are searched. `edge`
        says where the best of them is the first or last: choose other horizons then.
    """
    _arrays.same_index(
        horizons_ns=horizons_ns, responses_ticks=responses_ticks, errors_ticks=errors_ticks
    )
    us = _horizons(horizons_ns, 1).astype(np.float64)
    ys = _arrays.ticks("responses_ticks", responses_ticks)
    errors = _arrays.ticks("errors_ticks", errors_ticks)
    _arrays.same_length(horizons_ns=us, responses_ticks=ys, errors_ticks=errors)
    there = ~(np.isnan(ys) | np.isnan(errors))
    us, ys, errors = us[there], ys[there], errors[there]
    errors, unit_ticks = _weights(errors)
    different = np.unique(us).size
    if different < 3:
        raise ValueError(
            f"horizons_ns must hold 3 different ones in rows without NaN, got {different}: pass "
            f"more"
        )

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
    half_life_error_ns = math.inf if edge else h * float(spread[0]) * unit_ticks
    full_error_ticks = math.inf if edge == "long" else float(spread[1]) * unit_ticks
    return DriftDecay(h, full, half_life_error_ns, full_error_ticks, edge)
