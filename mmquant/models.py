"""fair value, volatility, arrivals, inventory -> what a quoting model wants, and why.

quotes = avellaneda_stoikov(fair, inventory, volatility_ticks_per_sqrt_s=sigma, time_left_s=60.0,
                            arrival_decay_per_tick=0.3, risk_aversion_per_tick=0.01)

Every argument is a number or a column; a Series among them makes the answer a DataFrame with its
index. The compiled models behind these (`MODELS`) are the ones that quote live. docs/models.md
says which to use when, `mmquant.models_exact` has the solutions that they approximate.
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant import _arrays
from mmquant.kernels import models_avellaneda_stoikov as kernels_as
from mmquant.kernels import models_cartea_jaimungal as kernels_cj
from mmquant.kernels import models_glft as kernels_glft
from mmquant.kernels import models_skewed as kernels_skewed
from mmquant.models_params import (
    avellaneda_stoikov_params,
    avellaneda_stoikov_perpetual_params,
    cartea_jaimungal_params,
    glft_params,
    glft_table_params,
    skewed_params,
)
from mmquant.state import MODEL_QUOTES

__all__ = [
    "MODELS",
    "Model",
    "ModelQuotes",
    "avellaneda_stoikov",
    "avellaneda_stoikov_params",
    "avellaneda_stoikov_perpetual",
    "avellaneda_stoikov_perpetual_params",
    "cartea_jaimungal",
    "cartea_jaimungal_params",
    "glft",
    "glft_params",
    "glft_table",
    "glft_table_params",
    "model_params",
    "skewed",
    "skewed_params",
]

_Params = NDArray[np.float64]
_MOST_LOTS = 2**62


class ModelQuotes(NamedTuple):
    """Quotes and their parts, each of shape (n,); NaN, and the codes.Reason, where there are none.

    reservation = fair value + inventory shift + drift shift = (bid + ask) / 2, and (ask - bid) / 2
    = volatility term + arrival term. A side that is not quoted at a bound of the inventory is at
    -inf (bid) or inf (ask).
    """

    bid_ticks: Any
    ask_ticks: Any
    reservation_ticks: Any
    inventory_shift_ticks: Any
    drift_shift_ticks: Any
    volatility_term_ticks: Any
    arrival_term_ticks: Any
    reason: Any


class Model(NamedTuple):
    """A quoting model: its STEP, its PATH, and what makes its parameters."""

    step: Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], int]
    path: Callable[..., None]
    params: Callable[..., _Params]


MODELS: dict[str, Model] = {
    "skewed": Model(kernels_skewed.skewed, kernels_skewed.skewed_path, skewed_params),
    "avellaneda_stoikov": Model(
        kernels_as.avellaneda_stoikov,
        kernels_as.avellaneda_stoikov_path,
        avellaneda_stoikov_params,
    ),
    "avellaneda_stoikov_perpetual": Model(
        kernels_as.avellaneda_stoikov_perpetual,
        kernels_as.avellaneda_stoikov_perpetual_path,
        avellaneda_stoikov_perpetual_params,
    ),
    "glft": Model(kernels_glft.glft, kernels_glft.glft_path, glft_params),
    "glft_table": Model(kernels_glft.glft_table, kernels_glft.glft_table_path, glft_table_params),
    "cartea_jaimungal": Model(
        kernels_cj.cartea_jaimungal, kernels_cj.cartea_jaimungal_path, cartea_jaimungal_params
    ),
}


def model_params(model: str, parameters: Mapping[str, Any]) -> _Params:
    """Return the parameters of a model by name, from a table as strategy.toml has it.

    Parameters
    ----------
    model : str
        A key of MODELS.
    parameters : mapping of name to number
        The arguments of that model's function in MODELS.

    Returns
    -------
    ndarray of float64, shape (m,)
        Writable, contiguous: what the model's STEP takes.

    Raises
    ------
    TypeError, ValueError
        Naming the model or the parameter, the rule, what was received and what there is.
    """
    if model not in MODELS:
        raise ValueError(f"model must be one of {', '.join(MODELS)}, got {model!r}")
    known = inspect.signature(MODELS[model].params).parameters
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise ValueError(
            f"parameters of {model} must be among {', '.join(known)}, got {', '.join(unknown)}"
        )
    missing = [
        name
        for name, parameter in known.items()
        if parameter.default is inspect.Parameter.empty and name not in parameters
    ]
    if missing:
        raise ValueError(f"parameters of {model} must have {', '.join(missing)}, got none: add it")
    return MODELS[model].params(**parameters)


_COLUMNS = (
    "fair_value_ticks",
    "drift_ticks_per_s",
    "volatility_ticks_per_sqrt_s",
    "arrival_rate_per_s",
    "arrival_decay_per_tick",
    "inventory_orders",
    "time_left_s",
)


def _quotes(model: str, params: _Params, **given: Any) -> Any:
    """Fold a model over the columns given, and return them like what came in."""
    _arrays.same_index(**given)
    values = {
        name: _arrays.unchecked_floats(name, np.atleast_1d(given.get(name, 0.0)))
        for name in _COLUMNS
    }
    lots = {
        "position_lots": _arrays.lots(
            "position_lots", np.atleast_1d(given.get("position_lots", 0)), -_MOST_LOTS
        ),
        "position_limit_lots": _arrays.lots(
            "position_limit_lots", np.atleast_1d(given.get("position_limit_lots", 1)), 1
        ),
    }
    long = {name: column for name, column in (values | lots).items() if column.size != 1}
    n = _arrays.same_length(**long) if long else 1
    quotes = np.empty((len(MODEL_QUOTES.names or ()), n))
    reasons = np.empty(n, np.int64)
    MODELS[model].path(tuple(values.values()), tuple(lots.values()), params, quotes, reasons)
    answer = ModelQuotes._make([*quotes, reasons])
    template = _arrays.kind_of(*given.values())
    if template is None:
        return answer
    return sys.modules["pandas"].DataFrame(
        answer._asdict(),
        index=template.index,  # type: ignore[attr-defined]
    )


def skewed(
    fair_value_ticks: ArrayLike,
    position_lots: ArrayLike,
    *,
    position_limit_lots: ArrayLike,
    volatility_ticks_per_sqrt_s: ArrayLike,
    drift_ticks_per_s: ArrayLike = 0.0,
    **parameters: float,
) -> Any:
    """Return the quotes of the skewed maker: mmquant.kernels.models_skewed has the formulas.

    Parameters
    ----------
    fair_value_ticks, volatility_ticks_per_sqrt_s, drift_ticks_per_s : array_like of float
        A number or a column, as all of these.
    position_lots, position_limit_lots : array_like of int
    **parameters : float
        Of skewed_params.

    Returns
    -------
    ModelQuotes, or DataFrame of its fields where an argument is of pandas
        With a reason in place of quotes where an input is out of range or not finite.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the rule and the value received.
    """
    return _quotes(
        "skewed",
        model_params("skewed", parameters),
        fair_value_ticks=fair_value_ticks,
        position_lots=position_lots,
        position_limit_lots=position_limit_lots,
        volatility_ticks_per_sqrt_s=volatility_ticks_per_sqrt_s,
        drift_ticks_per_s=drift_ticks_per_s,
    )


def avellaneda_stoikov(
    fair_value_ticks: ArrayLike,
    inventory_orders: ArrayLike,
    *,
    volatility_ticks_per_sqrt_s: ArrayLike,
    arrival_decay_per_tick: ArrayLike,
    time_left_s: ArrayLike,
    risk_aversion_per_tick: float,
) -> Any:
    """Return the quotes of Avellaneda and Stoikov (2008), equations 29 and 30.

    Parameters
    ----------
    fair_value_ticks, inventory_orders, volatility_ticks_per_sqrt_s : array_like of float
        A number or a column, as all of these; the inventory in order sizes.
    arrival_decay_per_tick : array_like of float
        k of A exp(-k d).
    time_left_s : array_like of float
    risk_aversion_per_tick : float
        gamma, per tick and order.

    Returns
    -------
    ModelQuotes, or DataFrame of its fields where an argument is of pandas
        With a reason in place of quotes where an input is out of range or not finite.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the rule and the value received.
    """
    return _quotes(
        "avellaneda_stoikov",
        avellaneda_stoikov_params(risk_aversion_per_tick=risk_aversion_per_tick),
        fair_value_ticks=fair_value_ticks,
        inventory_orders=inventory_orders,
        volatility_ticks_per_sqrt_s=volatility_ticks_per_sqrt_s,
        arrival_decay_per_tick=arrival_decay_per_tick,
        time_left_s=time_left_s,
    )


def avellaneda_stoikov_perpetual(
    fair_value_ticks: ArrayLike,
    inventory_orders: ArrayLike,
    *,
    arrival_decay_per_tick: ArrayLike,
    risk_aversion_per_tick: float,
    max_inventory_orders: float,
) -> Any:
    """Return the quotes of Avellaneda and Stoikov (2008), section 2.3: no horizon.

    Arguments, answer and errors as those of avellaneda_stoikov and
    avellaneda_stoikov_perpetual_params.
    """
    return _quotes(
        "avellaneda_stoikov_perpetual",
        avellaneda_stoikov_perpetual_params(
            risk_aversion_per_tick=risk_aversion_per_tick,
            max_inventory_orders=max_inventory_orders,
        ),
        fair_value_ticks=fair_value_ticks,
        inventory_orders=inventory_orders,
        arrival_decay_per_tick=arrival_decay_per_tick,
    )


def glft(
    fair_value_ticks: ArrayLike,
    inventory_orders: ArrayLike,
    *,
    volatility_ticks_per_sqrt_s: ArrayLike,
    arrival_rate_per_s: ArrayLike,
    arrival_decay_per_tick: ArrayLike,
    drift_ticks_per_s: ArrayLike = 0.0,
    **parameters: Any,
) -> Any:
    """Return the quotes of the closed form of Gueant, Lehalle and Fernandez-Tapia.

    Parameters
    ----------
    fair_value_ticks, inventory_orders, volatility_ticks_per_sqrt_s : array_like of float
        A number or a column, as all of these; the inventory in order sizes.
    arrival_rate_per_s, arrival_decay_per_tick : array_like of float
        A and k of A exp(-k d), the fills a second and side.
    drift_ticks_per_s : array_like of float
    **parameters
        Of glft_params. drift_weight is 0 unless given.

    Returns
    -------
    ModelQuotes, or DataFrame of its fields where an argument is of pandas
        With a reason in place of quotes where an input is out of range or not finite.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the rule and the value received.
    """
    return _quotes(
        "glft",
        model_params("glft", parameters),
        fair_value_ticks=fair_value_ticks,
        inventory_orders=inventory_orders,
        volatility_ticks_per_sqrt_s=volatility_ticks_per_sqrt_s,
        arrival_rate_per_s=arrival_rate_per_s,
        arrival_decay_per_tick=arrival_decay_per_tick,
        drift_ticks_per_s=drift_ticks_per_s,
    )


def glft_table(
    fair_value_ticks: ArrayLike,
    inventory_orders: ArrayLike,
    params: NDArray[np.float64],
    *,
    volatility_ticks_per_sqrt_s: ArrayLike,
    arrival_rate_per_s: ArrayLike,
    arrival_decay_per_tick: ArrayLike,
    drift_ticks_per_s: ArrayLike = 0.0,
) -> Any:
    """Return the exact stationary quotes within bounds of the inventory, looked up in a table.

    `params` is from glft_table_params, the rest as glft takes it; the table costs most of the
    time, so make it once. Answer and errors are those of glft.
    """
    return _quotes(
        "glft_table",
        params,
        fair_value_ticks=fair_value_ticks,
        inventory_orders=inventory_orders,
        volatility_ticks_per_sqrt_s=volatility_ticks_per_sqrt_s,
        arrival_rate_per_s=arrival_rate_per_s,
        arrival_decay_per_tick=arrival_decay_per_tick,
        drift_ticks_per_s=drift_ticks_per_s,
    )


def cartea_jaimungal(
    fair_value_ticks: ArrayLike,
    inventory_orders: ArrayLike,
    *,
    arrival_rate_per_s: ArrayLike,
    arrival_decay_per_tick: ArrayLike,
    drift_ticks_per_s: ArrayLike = 0.0,
    inventory_penalty_ticks_per_s: float,
    drift_decay_per_s: float,
) -> Any:
    """Return the quotes of Cartea and Jaimungal: running inventory penalty, fading drift.

    Arguments, answer and errors as those of glft and cartea_jaimungal_params.
    """
    return _quotes(
        "cartea_jaimungal",
        cartea_jaimungal_params(
            inventory_penalty_ticks_per_s=inventory_penalty_ticks_per_s,
            drift_decay_per_s=drift_decay_per_s,
        ),
        fair_value_ticks=fair_value_ticks,
        inventory_orders=inventory_orders,
        arrival_rate_per_s=arrival_rate_per_s,
        arrival_decay_per_tick=arrival_decay_per_tick,
        drift_ticks_per_s=drift_ticks_per_s,
    )
