"""fair value + inventory -> quotes.

`strategy_params` makes the parameters, `skewed_quotes` shows in a notebook what they lead to;
the whole decision, with risk gate, touch, filters and hysteresis, is
`mmquant.kernels.quoting.strategy_step`, the function that also runs live.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant._checks import number, one_record, whole
from mmquant.kernels.quoting import quote_prices_path
from mmquant.state import MAX_LEVELS, STRATEGY_PARAMS

__all__ = ["SkewedQuotes", "skewed_quotes", "strategy_params"]

_MOST_TICKS = 2**40
_MOST_LOTS = 2**48


class SkewedQuotes(NamedTuple):
    """Quotes and what made them; every array has the shape of the inputs."""

    bid_ticks: NDArray[np.int64]
    ask_ticks: NDArray[np.int64]
    reservation_ticks: NDArray[np.float64]
    half_spread_ticks: NDArray[np.float64]
    inventory_shift_ticks: NDArray[np.float64]
    drift_shift_ticks: NDArray[np.float64]


def strategy_params(
    *,
    order_lots: int,
    position_limit_lots: int,
    min_half_spread_ticks: float,
    volatility_multiple: float,
    horizon_s: float,
    max_spread_ticks: int,
    inventory_skew: float = 1.0,
    drift_weight: float = 0.0,
    levels: int = 1,
    level_spacing_ticks: int = 1,
    requote_ticks: int = 1,
) -> NDArray[Any]:
    """Return the strategy's parameters as the record that the kernels take.

    Parameters
    ----------
    order_lots : int
        Quantity of each level.
    position_limit_lots : int
        Position plus everything wanted on one side never exceeds it, on either side.
    min_half_spread_ticks : float
        Least distance of a quote from the reservation price, positive.
    volatility_multiple : float
        The half-spread in standard deviations over the horizon.
    horizon_s : float
        Seconds over which volatility and drift count.
    max_spread_ticks : int
        Nothing is quoted in a market wider than this.
    inventory_skew : float
        Half-spreads by which the quotes shift against a position at its limit.
    drift_weight : float
        Share of the drift over the horizon that is added to the fair value.
    levels : int
        Levels a side, at most MAX_LEVELS.
    level_spacing_ticks : int
    requote_ticks : int
        A quote moves only if its price would change by at least this; 1 follows every change.

    Returns
    -------
    ndarray of state.STRATEGY_PARAMS, shape (1,)

    Raises
    ------
    TypeError, ValueError
        Naming the field, the rule and the value received.
    """
    params = np.zeros(1, STRATEGY_PARAMS)
    p = params[0]
    p["order_lots"] = whole("order_lots", order_lots, 1, _MOST_LOTS)
    p["position_limit_lots"] = whole("position_limit_lots", position_limit_lots, 1, _MOST_LOTS)
    p["min_half_spread_ticks"] = number("min_half_spread_ticks", min_half_spread_ticks, 1e-3)
    p["volatility_multiple"] = number("volatility_multiple", volatility_multiple, 0.0)
    p["horizon_s"] = number("horizon_s", horizon_s, 0.0)
    p["max_spread_ticks"] = whole("max_spread_ticks", max_spread_ticks, 1)
    p["inventory_skew"] = number("inventory_skew", inventory_skew, 0.0)
    p["drift_weight"] = number("drift_weight", drift_weight, -np.inf)
    p["levels"] = whole("levels", levels, 1, MAX_LEVELS)
    p["level_spacing_ticks"] = whole("level_spacing_ticks", level_spacing_ticks, 1, _MOST_TICKS)
    p["requote_ticks"] = whole("requote_ticks", requote_ticks, 1, _MOST_TICKS)
    return params


def skewed_quotes(
    fair_value_ticks: ArrayLike,
    volatility_ticks_per_sqrt_s: ArrayLike,
    drift_ticks_per_s: ArrayLike,
    position_lots: ArrayLike,
    params: NDArray[Any],
) -> SkewedQuotes:
    """Return the model's best bid and ask for every input, before touch, filters and hysteresis.

    Scalars and arrays of any shape, broadcast against each other. The formulas are in
    mmquant.kernels.quoting; Avellaneda and Stoikov (2008), equations 29 and 30, are the model.

    Parameters
    ----------
    fair_value_ticks, volatility_ticks_per_sqrt_s, drift_ticks_per_s : array_like of float
        Finite, the volatility not negative.
    position_lots : array_like of int
    params : ndarray of state.STRATEGY_PARAMS, shape (1,)
        From strategy_params.

    Returns
    -------
    SkewedQuotes

    Raises
    ------
    TypeError, ValueError
        Naming the field, the rule and the value received.
    """
    one_record("params", params, STRATEGY_PARAMS)
    position = np.asarray(position_lots)
    if not np.issubdtype(position.dtype, np.integer):
        raise TypeError(f"position_lots must be whole numbers, got {position.dtype}: round first")
    fields = {
        "fair_value_ticks": np.asarray(fair_value_ticks, np.float64),
        "volatility_ticks_per_sqrt_s": np.asarray(volatility_ticks_per_sqrt_s, np.float64),
        "drift_ticks_per_s": np.asarray(drift_ticks_per_s, np.float64),
    }
    for field, values in fields.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{field} must be finite, got {values[~np.isfinite(values)][0]}")
    volatility = fields["volatility_ticks_per_sqrt_s"]
    if (volatility < 0.0).any():
        raise ValueError(
            f"volatility_ticks_per_sqrt_s must not be negative, got {volatility.min()}"
        )
    *arrays, positions = np.broadcast_arrays(*fields.values(), position.astype(np.int64))
    shape = positions.shape
    fair, sigma, drift = (array.flatten() for array in arrays)
    ticks = np.empty((fair.size, 2), np.int64)
    shifts = np.empty((fair.size, 4), np.float64)
    quote_prices_path(params, fair, sigma, drift, positions.flatten(), ticks, shifts)
    bid, ask = (ticks[:, k].reshape(shape) for k in range(2))
    return SkewedQuotes(bid, ask, *(shifts[:, k].reshape(shape) for k in range(4)))
