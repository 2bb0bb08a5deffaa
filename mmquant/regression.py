"""signals + prices -> the drift that signals foretell, by regression on what came after.

moves = forward_moves(mids, times, horizon_ns=10**9)
fit = regress_drift(signals, mids, times, horizon_ns=10**9)
backtest.run(tape, pricing=fit.settings())
print(fit.to_toml())
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant import _arrays, _times
from mmquant._checks import whole
from mmquant.kernels import forward
from mmquant.settings_rules import SIGNAL_DRIFT

__all__ = ["Regression", "forward_moves", "regress_drift"]

_S_PER_NS = 1e-9
_MINUTE_NS = 60 * 10**9
_MOST_CONDITION = 1e8  # half the digits are left
_CONCERNED = 0.01  # of the largest weight in the sum of columns that is almost 0
_SIZES = (1e-100, 1e100)  # whose squares and inverses are numbers


class Regression(NamedTuple):
    """Coefficients (k,) of the drift in ticks per s on signals, errors, and the share explained.

    Of signals in a DataFrame the first two are Series named by its columns.
    """

    coefficients_per_s: Any
    errors_per_s: Any
    r_squared: float
    samples: int

    def settings(self) -> dict[str, Any]:
        """Return the keys of pricing.toml by which the fit is the drift, here and live.

        `backtest.run(tape, pricing=fit.settings())`: what was not fitted has a factor of 0.

        Raises
        ------
        TypeError
            The signals were not the columns of a DataFrame.
        ValueError
            A column is no signal of pricing messages.
        """
        fitted = self.coefficients_per_s
        if not hasattr(fitted, "items"):
            raise TypeError(
                f"signals must have names, got coefficients {np.ravel(fitted).tolist()}: pass "
                f"regress_drift a DataFrame, such as columns of backtest.Result.signals()"
            )
        for name in fitted.index:
            if name not in SIGNAL_DRIFT:
                raise ValueError(
                    f"signals must be those of [signal_drift] in pricing.toml "
                    f"({', '.join(SIGNAL_DRIFT)}), got {name!r}: rename the column, or fit without"
                )
        factors = {key: float(fitted.get(name, 0.0)) for name, key in SIGNAL_DRIFT.items()}
        return {"drift": "signals", "signal_drift": factors}

    def to_toml(self) -> str:
        """Return the table [signal_drift] for pricing.toml, in place of the one that stands there.

        Beside it `drift = "signals"` must be set. Raises what `settings` raises.
        """
        factors = self.settings()["signal_drift"]
        return "\n".join(["[signal_drift]", *(f"{key} = {factors[key]!r}" for key in factors), ""])


def forward_moves(
    prices_ticks: ArrayLike,
    times: ArrayLike | None = None,
    *,
    horizon_ns: int,
    max_age_ns: int = _MINUTE_NS,
) -> Any:
    """Return price after the horizon minus price: what a signal is to foretell.

    Parameters
    ----------
    prices_ticks, times, horizon_ns, max_age_ns
        As of `regress_drift`.

    Returns
    -------
    ndarray of float64 or Series, shape (n,)
        NaN where the price after the horizon is not known: the sample ends, or the last one is
        older than `max_age_ns`. A price that is NaN is missing: the one before it stands.
    """
    _arrays.same_index(prices_ticks=prices_ticks, times=times)
    moves, _ = _moves(prices_ticks, times, horizon_ns, max_age_ns)
    return _arrays.like(_arrays.kind_of(prices_ticks), moves, "move_ticks")


def _moves(
    prices_ticks: ArrayLike, times: ArrayLike | None, horizon_ns: int, max_age_ns: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the move after each time, and the times."""
    xs = _arrays.ticks("prices_ticks", prices_ticks)
    ts_ns = _times.times_ns(times, prices_ticks)
    n = _arrays.same_length(prices_ticks=xs, times=ts_ns)
    later = np.empty(n)
    horizon_ns = whole("horizon_ns", horizon_ns, 1)
    age_ns = whole("max_age_ns", max_age_ns, 0)
    forward.price_at(xs, ts_ns, ts_ns, horizon_ns, 0, age_ns, later)
    return later - xs, ts_ns


def _of_pairs(
    scores: NDArray[np.float64], ts_ns: NDArray[np.int64], reach_ns: int, *, are_faded: bool
) -> NDArray[np.float64]:
    """Return the sum over pairs of samples less than `reach_ns` apart of their scores' products.

    Each in both orders, (k, k); faded, by 1 - distance / reach. Sums of what follows a sample are
    differences of running sums: no loop over lags.
    """
    n = ts_ns.size
    ends = np.searchsorted(ts_ns, ts_ns + reach_ns)
    after = np.arange(1, n + 1)
    sums = np.zeros((n + 1, scores.shape[1]))
    np.cumsum(scores, axis=0, out=sums[1:])
    near = sums[ends] - sums[after]
    if are_faded:
        reaches = ((ts_ns - ts_ns[0]) / reach_ns)[:, None]
        np.cumsum(scores * reaches, axis=0, out=sums[1:])
        near = (1.0 + reaches) * near - (sums[ends] - sums[after])
    products = scores.T @ near
    return np.asarray(products + products.T)


def _named(places: NDArray[np.int64], names: Any) -> str:
    """Return how columns are called, one after another."""
    called = [repr(names[j]) if names is not None else str(j) for j in places.tolist()]
    return f"column{'s' if len(called) > 1 else ''} {', '.join(called)}"


def _columns(signals: ArrayLike, rows: int) -> NDArray[np.float64]:
    """Return signals as (rows, k), NaN where they are missing."""
    xs = _arrays.any_floats("signals", signals)
    xs = xs[:, None] if xs.ndim == 1 else xs
    if xs.ndim != 2 or xs.shape[0] != rows or xs.shape[1] == 0:
        raise ValueError(
            f"signals must have a row for each of {rows} prices, got shape {xs.shape}: align them "
            f"first"
        )
    return np.column_stack([_arrays.floats("signals", column) for column in xs.T])


def _check_moves(
    moves: NDArray[np.float64],
    ts_ns: NDArray[np.int64],
    prices_ticks: ArrayLike,
    horizon_ns: int,
    max_age_ns: int,
) -> None:
    """Say why no move is known, if none is."""
    if not np.isnan(moves).all():
        return
    if np.isnan(_arrays.floats("prices_ticks", prices_ticks)).all():
        raise ValueError("prices_ticks must hold numbers, got NaN alone or none: pass a sample")
    span_ns = int(ts_ns[-1] - ts_ns[0])
    if horizon_ns > span_ns:
        raise ValueError(
            f"horizon_ns must be at most the {span_ns} that times span, got {horizon_ns}: make it "
            f"less, or pass a longer sample"
        )
    raise ValueError(
        f"max_age_ns must be the age of a price after the horizon or more, got {max_age_ns}, less "
        f"than that of each: make it more"
    )


def _known_rows(
    xs: NDArray[np.float64], moves: NDArray[np.float64], names: Any
) -> NDArray[np.bool_]:
    """Tell which rows are known, or say why there are too few."""
    later = ~np.isnan(moves)
    there: NDArray[np.bool_] = later & ~np.isnan(xs).any(axis=1)
    rows, columns = int(there.sum()), xs.shape[1]
    if rows > columns:
        return there
    if rows > 0:
        raise ValueError(
            f"signals must have more rows than columns, got {rows} of {columns} columns without "
            f"NaN where the move is known: pass a longer sample, or fewer columns"
        )
    empty = np.flatnonzero(np.isnan(xs[later]).all(axis=0))
    which = f"{_named(empty, names)} is NaN in all of them, " if empty.size else ""
    raise ValueError(
        f"signals must have a row without NaN where the move is known, got NaN in each of "
        f"{int(later.sum())}: {which}drop such a column"
    )


def _decomposed(
    xs: NDArray[np.float64], names: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return orthonormal columns U (n, k), H (k, k) and scales (k,): xs = U inverse(H) scales.

    Of columns of one length, whatever their units: the products of columns, X'X, would hold no
    more than half the digits (Golub and Van Loan 2013, section 5.3).
    """
    sizes = abs(xs).max(axis=0)
    if not sizes.all():
        raise ValueError(
            f"signals must not be 0 alone, got it in {_named(np.flatnonzero(sizes == 0), names)}: "
            f"drop it"
        )
    odd = np.flatnonzero((sizes < _SIZES[0]) | (sizes > _SIZES[1]))
    if odd.size > 0:
        raise ValueError(
            f"signals must be between {_SIZES[0]} and {_SIZES[1]} in size, got at most "
            f"{sizes[odd[0]]} in {_named(odd[:1], names)}: scale it"
        )
    scales = sizes * np.linalg.norm(xs / sizes, axis=0)
    u, values, vt = np.linalg.svd(xs / scales, full_matrices=False)
    small = values * _MOST_CONDITION < values[0]
    if small.any():
        weights = abs(vt[small])
        concerned = (weights > _CONCERNED * weights.max(axis=1, keepdims=True)).any(axis=0)
        raise ValueError(
            f"signals must be independent (columns of one length with a condition of at most "
            f"{_MOST_CONDITION:.0e}), got {values[0] / max(values[-1], 1e-300):.1e} by "
            f"{_named(np.flatnonzero(concerned), names)}: drop one"
        )
    return u, vt.T / values, scales


def regress_drift(
    signals: ArrayLike,
    prices_ticks: ArrayLike,
    times: ArrayLike | None = None,
    *,
    horizon_ns: int,
    max_age_ns: int = _MINUTE_NS,
) -> Regression:
    """Regress the price's move over the horizon, per second, on signals (no constant).

    drift_ticks_per_s = signals @ coefficients_per_s. Moves of samples nearer than the horizon
    overlap, so errors are those of Hansen and Hodrick (1980): all such pairs count in full, by
    their times. Newey and West's (1987) weights, which fall to 0, are there for a positive answer;
    with lags up to the horizon alone they take a third of the overlap away. Theirs with lags up to
    twice the horizon stand where they are the larger: a variance of the former may come out small.

    Measured on 1000 random walks each (4000 samples at Poisson times 0.1 s apart, a horizon of
    2 s) that a signal does not foretell: the standard deviation of coefficient / error is 1.00 for
    a signal of autocorrelation 0.99 from sample to sample, 0.97 for 0.9, 0.94 for none. A sample
    of a few horizons or half-lives of the signal makes any such error too small.

    Parameters
    ----------
    signals : array_like of float, DataFrame or Series, shape (n, k) or (n,)
        Known at each time. A row with NaN is left out, infinity is refused. Units are free: errors
        go with them. Columns of which one is almost a sum of others are refused by name.
    prices_ticks : array_like or Series of numbers, shape (n,)
    times : array_like of datetime64 or int64 nanoseconds, shape (n,), optional
        By default the DatetimeIndex of `prices_ticks`.
    horizon_ns : int
        Positive.
    max_age_ns : int
        Oldest price that counts as the one after the horizon.

    Returns
    -------
    Regression

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the rule and the value received.

    Warns
    -----
    UserWarning
        No price moves within the horizon.
    """
    _arrays.same_index(signals=signals, prices_ticks=prices_ticks, times=times)
    moves, ts_ns = _moves(prices_ticks, times, horizon_ns, max_age_ns)
    names = getattr(signals, "columns", None)
    xs = _columns(signals, moves.size)
    _check_moves(moves, ts_ns, prices_ticks, horizon_ns, max_age_ns)
    there = _known_rows(xs, moves, names)
    xs, ys, ts_ns = xs[there], moves[there] / (horizon_ns * _S_PER_NS), ts_ns[there]
    u, half, scales = _decomposed(xs, names)
    parts = u.T @ ys
    beta = half @ parts / scales
    residuals = ys - u @ parts
    scores = u * residuals[:, None]
    own = scores.T @ scores
    full = own + _of_pairs(scores, ts_ns, horizon_ns, are_faded=False)
    faded = own + _of_pairs(scores, ts_ns, 2 * horizon_ns, are_faded=True)
    variances = [np.diag(half @ middle @ half.T) for middle in (full, faded)]
    errors = np.sqrt(np.maximum(np.maximum(*variances), 0.0)) / scales
    total = float(ys @ ys)
    if total == 0.0:
        _arrays.warn(
            f"no price moves within horizon_ns={horizon_ns}: coefficients and errors are 0, is it "
            f"in nanoseconds?"
        )
    explained = 1.0 - float(residuals @ residuals) / total if total > 0.0 else math.nan
    if names is not None:
        beta = _arrays.labelled(beta, names, "coefficients_per_s")
        errors = _arrays.labelled(errors, names, "errors_per_s")
    return Regression(beta, errors, explained, ys.size)
