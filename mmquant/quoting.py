"""fair value + inventory -> quotes: the strategy's parameters, and how a model is bound to it.

The decision itself, with gates, ladder, filters and limits, is
`mmquant.kernels.quoting.strategy_step`, the function that also runs live.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._checks import number, whole
from mmquant._jit_model import bind_model, own_params
from mmquant.state import FILLS_KEPT, MAX_LEVELS, STRATEGY_PARAMS

__all__ = ["bind_model", "own_params", "strategy_params"]

_MOST_TICKS = 2**40
_MOST_LOTS = 2**48
_MOST_NS = 2**60
_SECOND_NS = 1_000_000_000
_PERMILLE = {
    "spacing_permille": (1_000, 10_000),
    "size_step_permille": (0, 100_000),
    "size_permille": (1, 10_000),
}
# What is counted in whole numbers: the least and the most.
_COUNTS = {
    "levels": (1, MAX_LEVELS),
    "spacing_ticks": (1, _MOST_TICKS),
    "spacing_ppm": (0, 100_000),
    **_PERMILLE,
    "requote_ticks": (1, _MOST_TICKS),
    "min_life_ns": (0, _MOST_NS),
    "order_ns": (0, 10 * _SECOND_NS),
    "order_burst_ns": (0, _MOST_NS),
    "cancel_ns": (0, 10 * _SECOND_NS),
    "cancel_burst_ns": (0, _MOST_NS),
    "min_spread_ticks": (1, _MOST_TICKS),
    "max_spread_ticks": (1, _MOST_TICKS),
    "min_own_spread_ticks": (1, _MOST_TICKS),
    "max_own_spread_ticks": (1, _MOST_TICKS),
    "max_book_age_ns": (1, _MOST_NS),
    "max_lag_ns": (1, _MOST_NS),
    "max_simulator_lag_ns": (1, _MOST_NS),
    "max_skew_ns": (1, _MOST_NS),
    "collar_ppm": (1, 1_000_000),
    "max_open_orders": (2, 2 * MAX_LEVELS * 8),
    "max_open_tick_lots": (1, 2**62),
    "max_session_loss_half_tick_lots": (0, 2**61),
    "max_drawdown_half_tick_lots": (0, 2**61),
    "max_minute_loss_half_tick_lots": (0, 2**61),
    "max_fills": (1, FILLS_KEPT),
    "fill_window_ns": (0, _MOST_NS),
    "markout_fills": (1, FILLS_KEPT),
    "markout_ns": (0, _MOST_NS),
    "max_adverse_half_ticks": (0, _MOST_TICKS),
    "pause_ns": (1, _MOST_NS),
    "volatility_baseline_ns": (1, _MOST_NS),
}
# What nothing is said about limits nothing.
_DEFAULTS = {
    "levels": 1,
    "spacing_ticks": 1,
    "spacing_ppm": 0,
    "spacing_permille": 1_000,
    "size_step_permille": 0,
    "size_permille": 1_000,
    "requote_ticks": 1,
    "min_life_ns": 0,
    "order_ns": 0,
    "order_burst_ns": 0,
    "cancel_ns": 0,
    "cancel_burst_ns": 0,
    "min_spread_ticks": 1,
    "min_own_spread_ticks": 1,
    "max_own_spread_ticks": _MOST_TICKS,
    "max_book_age_ns": _MOST_NS,
    "max_lag_ns": _MOST_NS,
    "max_simulator_lag_ns": _MOST_NS,
    "max_skew_ns": _MOST_NS,
    "collar_ppm": 1_000_000,
    "max_open_orders": 2 * MAX_LEVELS,
    "max_open_tick_lots": 2**62,
    "max_session_loss_half_tick_lots": 2**61,
    "max_drawdown_half_tick_lots": 2**61,
    "max_minute_loss_half_tick_lots": 2**61,
    "max_fills": FILLS_KEPT,
    "fill_window_ns": 0,
    "markout_fills": FILLS_KEPT,
    "markout_ns": _SECOND_NS,
    "max_adverse_half_ticks": _MOST_TICKS,
    "pause_ns": 10 * _SECOND_NS,
    "volatility_baseline_ns": 60 * _SECOND_NS,
}


def strategy_params(
    *,
    order_lots: int,
    position_limit_lots: int,
    max_spread_ticks: int,
    soft_limit_lots: int | None = None,
    horizon_s: float = 1.0,
    arrival_rate_per_s: float = 1.0,
    arrival_decay_per_tick: float = 1.0,
    max_volatility_ratio: float = 1e12,
    **counts: int,
) -> NDArray[Any]:
    """Return the strategy's parameters as the record that the kernels take.

    What is left out limits nothing (of the live service, strategy.toml has values for all).

    Parameters
    ----------
    order_lots : int
        Quantity of the first level.
    position_limit_lots : int
        Position plus everything wanted on one side never exceeds it, on either side.
    max_spread_ticks : int
        Nothing is quoted in a market wider than this.
    soft_limit_lots : int, optional
        From here on the side that adds to the position fades linearly, to nothing at the limit.
        Default: the limit, so nothing fades.
    horizon_s : float
        `time_left_s` of every model: the horizon rolls along.
    arrival_rate_per_s, arrival_decay_per_tick : float
        A and k of the fills' intensity A exp(-k d), for the models that use them; positive.
    max_volatility_ratio : float
        Volatility over its average of `volatility_baseline_ns` from which it is a jump.
    **counts : int
        Other fields of state.STRATEGY_PARAMS, whole numbers: levels, spacing_ticks, spacing_ppm (of
        the mid), spacing_permille and size_permille (to the level before), size_step_permille (of
        the first size), requote_ticks, min_life_ns; order_ns and cancel_ns (time of a token)
        with their bursts (tokens kept, in their time); the gates' bounds.

    Returns
    -------
    ndarray of state.STRATEGY_PARAMS, shape (1,)

    Raises
    ------
    TypeError, ValueError
        Naming the field, the rule and the value received.
    """
    for name in counts:
        if name not in _COUNTS:
            raise TypeError(
                f"{name} is no parameter of the strategy: use one of {', '.join(sorted(_COUNTS))}"
            )
    params = np.zeros(1, STRATEGY_PARAMS)
    p = params[0]
    p["order_lots"] = whole("order_lots", order_lots, 1, _MOST_LOTS)
    limit = whole("position_limit_lots", position_limit_lots, 1, _MOST_LOTS)
    p["position_limit_lots"] = limit
    soft = limit if soft_limit_lots is None else soft_limit_lots
    p["soft_limit_lots"] = whole("soft_limit_lots", soft, 0, limit)
    p["horizon_s"] = number("horizon_s", horizon_s, 0.0)
    p["arrival_rate_per_s"] = number("arrival_rate_per_s", arrival_rate_per_s, 0.0)
    p["arrival_decay_per_tick"] = number("arrival_decay_per_tick", arrival_decay_per_tick, 0.0)
    p["max_volatility_ratio"] = number("max_volatility_ratio", max_volatility_ratio, 1.0)
    given = {**_DEFAULTS, **counts, "max_spread_ticks": max_spread_ticks}
    for name, value in given.items():
        p[name] = whole(name, value, *_COUNTS[name])
    for kind in ("order", "cancel"):
        interval, burst = int(p[f"{kind}_ns"]), int(p[f"{kind}_burst_ns"])
        least = interval * int(p["levels"]) * 2
        if burst < least:
            raise ValueError(
                f"{kind}_burst_ns must be at least {least} ({kind}_ns for each level of both "
                f"sides), got {burst}: with less a ladder could never be replaced"
            )
    return params
