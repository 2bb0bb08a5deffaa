"""book, trades, other markets -> signals, and their blend as the fair value.

flow = order_flow_imbalance(bid_ticks, bid_lots, ask_ticks, ask_lots)
fair = blend({"microprice": (micro, 1.0)}, {"flow": (flow, 0.02)})

Books are arrays of int64 ticks and lots with a row a book and a column a level, best first (a
1-d array has the touch alone). A level that is not there has 0 lots, and whatever `OrderBook` says
for its price (0, NO_BID, NO_ASK); prices are at most 2^53 ticks. DataFrames and Series come back
as such.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant import _arrays, _sides, _times
from mmquant._checks import MOST_SIZE, number, whole
from mmquant.kernels import signals as kernels
from mmquant.settings_rules import SIGNAL_DRIFT
from mmquant.state import MAX_SIGNAL_LEVELS, ORDER_FLOW, TRADE_FLOW

__all__ = [
    "basis_bps",
    "blend",
    "decayed_order_flow",
    "depth_imbalance",
    "order_flow_imbalance",
    "signal_drift",
    "trade_flow_imbalance",
    "vamp",
]

_Book = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _book(
    bid_ticks: ArrayLike,
    bid_lots: ArrayLike,
    ask_ticks: ArrayLike,
    ask_lots: ArrayLike,
    times: ArrayLike | None = None,
) -> _Book:
    _arrays.same_index(
        bid_ticks=bid_ticks, bid_lots=bid_lots, ask_ticks=ask_ticks, ask_lots=ask_lots, times=times
    )
    book = {
        "bid_ticks": _arrays.levels("bid_ticks", bid_ticks, 0),
        "bid_lots": _arrays.levels("bid_lots", bid_lots, 0),
        "ask_ticks": _arrays.levels("ask_ticks", ask_ticks, 0),
        "ask_lots": _arrays.levels("ask_lots", ask_lots, 0),
    }
    _arrays.same_shape(**book)
    _sides.check_ticks("bid_ticks", book["bid_ticks"])
    _sides.check_ticks("ask_ticks", book["ask_ticks"])
    _sides.check_sides(book)
    return book["bid_ticks"], book["bid_lots"], book["ask_ticks"], book["ask_lots"]


def vamp(
    bid_ticks: ArrayLike, bid_lots: ArrayLike, ask_ticks: ArrayLike, ask_lots: ArrayLike
) -> Any:
    """Return the volume-adjusted mid price of all levels given, in ticks.

    (sum Pb_i Qa_i + sum Pa_i Qb_i) / (sum Qb_i + sum Qa_i): prices times opposite sizes, level
    by level, as hftbacktest defines it; the microprice for one level.

    Parameters
    ----------
    bid_ticks, bid_lots, ask_ticks, ask_lots : array_like of int, shape (n, levels) or (n,)

    Returns
    -------
    ndarray of float64 or Series, shape (n,)
        NaN where no level has both sides.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the rule and the value received.
    """
    book = _book(bid_ticks, bid_lots, ask_ticks, ask_lots)
    out = np.empty(book[1].shape[0])
    kernels.vamp_path(*book, out)
    template = _arrays.kind_of(bid_ticks, bid_lots, ask_ticks, ask_lots)
    return _arrays.like(template, out, "vamp_ticks")


def depth_imbalance(bid_lots: ArrayLike, ask_lots: ArrayLike) -> Any:
    """Return (bids - asks) / (bids + asks) of the lots on all levels given, in [-1, 1].

    Parameters
    ----------
    bid_lots, ask_lots : array_like of int, shape (n, levels) or (n,)

    Returns
    -------
    ndarray of float64 or Series, shape (n,)
        0 for an empty book.
    """
    _arrays.same_index(bid_lots=bid_lots, ask_lots=ask_lots)
    bids = _arrays.levels("bid_lots", bid_lots, 0)
    asks = _arrays.levels("ask_lots", ask_lots, 0)
    _arrays.same_shape(bid_lots=bids, ask_lots=asks)
    out = np.empty(bids.shape[0])
    kernels.depth_imbalance_path(bids, asks, out)
    return _arrays.like(_arrays.kind_of(bid_lots, ask_lots), out, "depth_imbalance")


def order_flow_imbalance(
    bid_ticks: ArrayLike, bid_lots: ArrayLike, ask_ticks: ArrayLike, ask_lots: ArrayLike
) -> Any:
    """Return the order flow imbalance of each book against the one before, in lots.

    Cont, Kukanov and Stoikov (2014), J. Financial Econometrics 12(1), for the touch; level by
    level as Xu, Gould and Howison (2018). Sum it over an interval for the interval's.

    Parameters
    ----------
    bid_ticks, bid_lots, ask_ticks, ask_lots : array_like of int, shape (n, levels) or (n,)

    Returns
    -------
    ndarray of int64, Series or DataFrame
        Of the shape of the inputs; the first row is 0.
    """
    book = _book(bid_ticks, bid_lots, ask_ticks, ask_lots)
    _sides.check_lots(_sides.MOST_FLOW_LOTS, bid_lots=book[1], ask_lots=book[3])
    out = np.empty(book[1].shape, np.int64)
    kernels.order_flow_path(*book, out)
    template = _arrays.kind_of(bid_ticks, bid_lots, ask_ticks, ask_lots)
    if np.ndim(bid_lots) == 1:
        return _arrays.like(template, np.ascontiguousarray(out[:, 0]), "order_flow_lots")
    return _arrays.like_columns(template, out, range(out.shape[1]))


def decayed_order_flow(
    bid_ticks: ArrayLike,
    bid_lots: ArrayLike,
    ask_ticks: ArrayLike,
    ask_lots: ArrayLike,
    times: ArrayLike | None = None,
    *,
    half_life_ns: int,
) -> Any:
    """Return the decayed sum of the order flow imbalance over all levels given, in lots.

    What mm_pricing publishes as `order_flow_lots`: F = 2^(-dt / half_life) F + the row's flow.

    Parameters
    ----------
    bid_ticks, bid_lots, ask_ticks, ask_lots : array_like of int, shape (n, levels) or (n,)
        At most 20 levels.
    times : array_like of datetime64 or int64 nanoseconds, shape (n,), optional
        By default the DatetimeIndex of `bid_ticks`.
    half_life_ns : int
        Positive.

    Returns
    -------
    ndarray of float64 or Series, shape (n,)
        The first is 0.
    """
    book = _book(bid_ticks, bid_lots, ask_ticks, ask_lots, times)
    _sides.check_lots(_sides.MOST_FLOW_LOTS, bid_lots=book[1], ask_lots=book[3])
    whole("levels", book[1].shape[1], 1, MAX_SIGNAL_LEVELS)
    ts_ns = _times.times_ns(times, bid_ticks)
    _arrays.same_length(bid_ticks=book[0][:, 0], times=ts_ns)
    state = np.zeros(1, ORDER_FLOW)
    state["half_life_ns"] = whole("half_life_ns", half_life_ns, 1)
    _times.warn_of_unit("half_life_ns", int(half_life_ns), ts_ns)
    out = np.empty(ts_ns.size)
    kernels.decayed_order_flow_path(state, *book, ts_ns, out)
    template = _arrays.kind_of(bid_ticks, bid_lots, ask_ticks, ask_lots)
    return _arrays.like(template, out, "decayed_order_flow_lots")


def trade_flow_imbalance(
    lots: ArrayLike, sides: ArrayLike, times: ArrayLike | None = None, *, half_life_ns: int
) -> Any:
    """Return (bought - sold) / (bought + sold) of decayed volumes after each trade, in [-1, 1].

    Parameters
    ----------
    lots : array_like of int, shape (n,)
    sides : array_like of int, shape (n,)
        1 where the aggressor bought, -1 where he sold, 0 where it is not known.
    times : array_like of datetime64 or int64 nanoseconds, shape (n,), optional
        By default the DatetimeIndex of `lots`.
    half_life_ns : int
        Positive.

    Returns
    -------
    ndarray of float64 or Series, shape (n,)
    """
    _arrays.same_index(lots=lots, sides=sides, times=times)
    sizes = _arrays.lots("lots", lots, 0)
    signs = _arrays.lots("sides", sides, -1)
    if signs.size > 0 and signs.max() > 1:
        raise ValueError(f"sides must be 1, 0 or -1, got {signs.max()}: map the venue's flag")
    ts_ns = _times.times_ns(times, lots)
    n = _arrays.same_length(lots=sizes, sides=signs, times=ts_ns)
    state = np.zeros(1, TRADE_FLOW)
    state["half_life_ns"] = whole("half_life_ns", half_life_ns, 1)
    _times.warn_of_unit("half_life_ns", int(half_life_ns), ts_ns)
    out = np.empty(n)
    kernels.trade_flow_path(state, sizes, signs, ts_ns, out)
    return _arrays.like(_arrays.kind_of(lots, sides), out, "trade_flow_imbalance")


def basis_bps(
    prices: ArrayLike,
    references: ArrayLike,
    times: ArrayLike | None = None,
    reference_times: ArrayLike | None = None,
    *,
    max_age_ns: int,
) -> Any:
    """Return how far each price lies above the other market's last one, in basis points of it.

    Parameters
    ----------
    prices : array_like or Series of numbers, shape (n,)
    references : array_like or Series of numbers, shape (m,)
        In the same unit.
    times, reference_times : array_like of datetime64 or int64 nanoseconds, optional
        Of each; by default their DatetimeIndex.
    max_age_ns : int
        An older reference is none, not negative.

    Returns
    -------
    ndarray of float64 or Series, shape (n,)
        NaN without a reference that is young enough, and where a price is missing.

    Notes
    -----
    A price of an empty side (0, or NO_ASK in ticks) is missing, as NaN is; a reference that is
    missing leaves the one before it standing. Prices above 2^53 are refused.
    """
    _arrays.same_index(prices=prices, times=times)
    _arrays.same_index(references=references, reference_times=reference_times)
    xs = _sides.known_prices("prices", _arrays.floats("prices", prices))
    ys = _sides.known_prices("references", _arrays.floats("references", references))
    ts_ns = _times.times_ns(times, prices)
    reference_ts_ns = _times.times_ns(reference_times, references, "reference_times")
    _arrays.same_length(prices=xs, times=ts_ns)
    _arrays.same_length(references=ys, reference_times=reference_ts_ns)
    out = np.empty(xs.size)
    age_ns = whole("max_age_ns", max_age_ns, 0)
    _times.warn_of_unit("max_age_ns", age_ns, reference_ts_ns)
    kernels.basis_path(xs, ts_ns, ys, reference_ts_ns, age_ns, out)
    return _arrays.like(_arrays.kind_of(prices), out, "basis_bps")


def _columns(
    field: str, terms: Mapping[str, tuple[ArrayLike, float]], factor: str, least: float
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Return the values of each term, named for messages, and the factors."""
    if not isinstance(terms, Mapping):
        raise TypeError(
            f"{field} must be a mapping of name to (values, {factor}), got "
            f"{type(terms).__name__}: pass {{name: (values, {factor})}}"
        )
    for name, term in terms.items():
        if not isinstance(term, tuple | list) or len(term) != 2:
            got = f"{len(term)} of them" if isinstance(term, tuple) else type(term).__name__
            raise TypeError(
                f"{field} {name} must be a pair, got {got}: pass {{{name!r}: (values, {factor})}}"
            )
    factors = [
        number(f"factor of {name}", term[1], least, MOST_SIZE) for name, term in terms.items()
    ]
    return {f"{field} {name}": term[0] for name, term in terms.items()}, np.array(factors)


def blend(
    prices: Mapping[str, tuple[ArrayLike, float]],
    shifts: Mapping[str, tuple[ArrayLike, float]] | None = None,
) -> Any:
    """Return the fair value: the weighted mean of prices, plus signals times ticks per unit.

    A price that is NaN passes its weight on to the others, a signal that is NaN adds nothing.

    Parameters
    ----------
    prices : mapping of name to (values in ticks, weight)
        Values (n,); weights not negative, at least one positive; only their ratios count.
    shifts : mapping of name to (values, ticks per unit), optional

    Returns
    -------
    ndarray of float64 or Series, shape (n,)
        NaN where every price is.
    """
    columns, weights = _columns("prices", prices, "weight", 0.0)
    if not (weights > 0.0).any():
        raise ValueError(f"prices must have a positive weight, got {weights.tolist()}: give one")
    signals, ticks_per_unit = _columns(
        "shifts", {} if shifts is None else shifts, "ticks_per_unit", -MOST_SIZE
    )
    terms = columns | signals
    _arrays.same_index(**terms)
    arrays = {name: _arrays.floats(name, values) for name, values in terms.items()}
    n = _arrays.same_length(**arrays)
    price_rows = np.column_stack([arrays[name] for name in columns])
    signal_rows = np.empty((n, 0))
    if signals:
        signal_rows = np.column_stack([arrays[name] for name in signals])
    out = np.empty(n)
    kernels.blend_path(price_rows, weights, signal_rows, ticks_per_unit, out)
    return _arrays.like(_arrays.kind_of(*terms.values()), out, "blend_ticks")


def signal_drift(signals: Mapping[str, tuple[ArrayLike, float]]) -> Any:
    """Return the drift that signals foretell: the sum of each times its factor.

    What mm_pricing publishes as `signal_drift_ticks_per_s`, with the factors of [signal_drift]:

        signal_drift({name: (frame[name], c) for name, c in fit.coefficients_per_s.items()})

    A signal that is NaN adds nothing. Those that have a factor in pricing.toml are added in the
    order in which they stand there, to the same bits, then others as they come.

    Parameters
    ----------
    signals : mapping of name to (values, ticks per s for a unit)
        Values (n,); names as in pricing messages, or of one's own.

    Returns
    -------
    ndarray of float64 or Series, shape (n,)
        In ticks per s.

    Raises
    ------
    TypeError, ValueError
        Naming the signal, the rule and the value received.
    """
    columns, ticks_per_s = _columns("signals", signals, "ticks_per_s", -MOST_SIZE)
    if not columns:
        raise ValueError("signals must name at least one, got none: pass {name: (values, factor)}")
    places = {name: place for place, name in enumerate(SIGNAL_DRIFT)}
    order = np.argsort([places.get(name, len(places)) for name in signals], kind="stable")
    _arrays.same_index(**columns)
    arrays = {name: _arrays.floats(name, values) for name, values in columns.items()}
    n = _arrays.same_length(**arrays)
    rows = np.column_stack(list(arrays.values()))[:, order]
    out = np.empty(n)
    kernels.signal_drift_path(np.ascontiguousarray(rows), ticks_per_s[order], out)
    return _arrays.like(_arrays.kind_of(*columns.values()), out, "signal_drift_ticks_per_s")
