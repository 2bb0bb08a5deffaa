"""signals + a function of one's own -> the fair value: in a notebook, in the backtest and live.

    @numba.njit
    def model(inputs, params, out):
        s = inputs[0]
        out[0]["fair_value_ticks"] = s["microprice_ticks"] + params[0] * s["order_flow_lots"]
        return 0

    fair = price_by_model(model, frame, [0.02])

`state.pricing` says what a model is given. In pricing.toml it is `fair_value = "module:model"`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant import _arrays
from mmquant._jit_model import bind_pricing_model, own_params
from mmquant.codes import PricingFlag
from mmquant.kernels import pricing_model as kernels
from mmquant.own_modules import own_function
from mmquant.state import PRICING_MODEL_INPUTS, PRICING_MODEL_PRICE

__all__ = ["PricingSteps", "load_fair_value", "own_params", "price_by_model", "pricing_steps"]

Model = Callable[[NDArray[Any], NDArray[np.float64], NDArray[Any]], int]

# A price of 0.0 in a recorded pricing message is none.
_PRICES = (
    "mid_ticks",
    "weighted_mid_ticks",
    "microprice_ticks",
    "stoikov_ticks",
    "vamp_ticks",
    "blend_ticks",
)
_REALISED = (
    "realised_ticks_per_sqrt_s",
    "bipower_ticks_per_sqrt_s",
    "two_scale_ticks_per_sqrt_s",
    "pre_averaged_ticks_per_sqrt_s",
    "noise_ticks",
    "parkinson_ticks_per_sqrt_s",
    "garman_klass_ticks_per_sqrt_s",
    "rogers_satchell_ticks_per_sqrt_s",
    "yang_zhang_ticks_per_sqrt_s",
)


class PricingSteps(NamedTuple):
    """`pricing_step` and `pricing_refresh` with a model in the blend's place, one call each.

    Both take the model's parameters, a float64 array, behind `params`.
    """

    step: Callable[..., int]
    refresh: Callable[..., None]


def _inputs(columns: Mapping[str, ArrayLike]) -> NDArray[Any]:
    known = [name for name in PRICING_MODEL_INPUTS.names or () if name in columns]
    if not known:
        names = ", ".join(PRICING_MODEL_INPUTS.names or ())
        raise ValueError(f"inputs must have a column a model knows ({names}), got {list(columns)}")
    _arrays.same_index(**{name: columns[name] for name in columns})
    arrays: dict[str, NDArray[Any]] = {}
    for name in known:
        if PRICING_MODEL_INPUTS[name].kind == "i":
            arrays[name] = _arrays.lots(name, columns[name], 0)
        else:
            arrays[name] = _arrays.floats(name, columns[name])
    n = _arrays.same_length(**arrays)
    inputs = np.zeros(n, PRICING_MODEL_INPUTS)
    for name in PRICING_MODEL_INPUTS.names or ():
        if name in arrays:
            inputs[name] = arrays[name]
        elif PRICING_MODEL_INPUTS[name].kind == "f":
            inputs[name] = np.nan
    for name in _PRICES:
        inputs[name][inputs[name] == 0.0] = np.nan
    if "flags" in columns:
        flags = _arrays.lots("flags", columns["flags"], 0)
        inputs["basis_bps"][(flags & PricingFlag.BASIS) == 0] = np.nan
        for name in _REALISED:
            inputs[name][(flags & PricingFlag.REALISED) == 0] = np.nan
    return inputs


def price_by_model(model: Model, inputs: Mapping[str, ArrayLike], params: ArrayLike = ()) -> Any:
    """Return what a pricing model of your own says of each row of signals.

    Parameters
    ----------
    model : function compiled by numba.njit
        `model(inputs, params, out) -> int`, see `mmquant.state.pricing`.
    inputs : DataFrame, structured array or mapping of name to array_like, shape (n,)
        Columns named as the fields of PRICING_MODEL_INPUTS, such as recorded pricing messages
        have; others are not looked at. What is missing is NaN, a whole number 0; a price of 0.0
        is none; the basis and the realised measures are there only where `flags`, if given, say so.
    params : array_like of float, shape (p,)
        The model's own.

    Returns
    -------
    ndarray of float64 or Series, shape (n,)
        In ticks; NaN where the model answers anything but 0.

    Raises
    ------
    TypeError, ValueError
        A model that is not compiled or answers no int; no column that a model knows; params that
        are not numbers, or not one-dimensional.
    IndexError
        It reads past `params`.
    """
    if isinstance(inputs, np.ndarray):
        inputs = {name: inputs[name] for name in inputs.dtype.names or ()}
    rows = _inputs(inputs)
    out = np.empty(rows.size)
    own = np.array(_arrays.unchecked_floats("params", params))  # writable, as models are compiled
    address = bind_pricing_model(model, boundscheck=True)
    try:
        kernels.pricing_model_path(address, rows, own, np.zeros(1, PRICING_MODEL_PRICE), out)
    except IndexError as error:
        raise IndexError(
            f"model must not read past its arrays, got {error}, with {own.size} params: pass "
            f"price_by_model every number that it reads of them"
        ) from error
    template = _arrays.kind_of(inputs, *(inputs[name] for name in inputs))
    return _arrays.like(template, out, "fair_value_ticks")


def pricing_steps(model: Model) -> PricingSteps:
    """Return the pricing's step and refresh that ask `model`; only the model itself is compiled.

    The model is asked about every touch with two sides, LIVE or not.

    Raises
    ------
    TypeError
        As for `price_by_model`.
    """
    address = bind_pricing_model(model)
    return PricingSteps(
        partial(kernels.pricing_model_step, address),
        partial(kernels.pricing_model_refresh, address),
    )


def load_fair_value(
    fair_value: Model | str, params: ArrayLike, folder: Path
) -> tuple[Any, NDArray[np.float64]]:
    """Return what the backtest takes: the bound model, 0 for the blend, and its parameters.

    Parameters
    ----------
    fair_value : str or function
        "blend", `module:function`, or an @njit function.
    params : array_like of float
        The model's own: pricing.toml's `fair_value_params`.
    folder : Path
        Where the module is looked for first.

    Raises
    ------
    TypeError, ValueError
        There is no such function, it cannot be compiled, or a parameter is not finite.
    """
    own = own_params(params)
    if not np.isfinite(own).all():
        raise ValueError(f"pricing.toml: fair_value_params must be finite, got {own.tolist()}")
    if isinstance(fair_value, str):
        if fair_value == "blend":
            return 0, own
        if ":" not in fair_value:
            raise ValueError(
                f"pricing.toml: fair_value: must be 'blend' or 'module:function', got "
                f"{fair_value!r}"
            )
        try:
            fair_value = own_function(fair_value, folder)
        except (ImportError, AttributeError) as error:
            raise ValueError(
                f"pricing.toml: fair_value {fair_value!r}: {error} (looked in {folder.resolve()})"
            ) from error
    return bind_pricing_model(fair_value, boundscheck=True), own
