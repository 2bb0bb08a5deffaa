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
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core.types.function_type import CompileResultWAP
from numpy.typing import ArrayLike, NDArray

from mmquant import _arrays
from mmquant._jit import njit, njit_uncached
from mmquant.codes import PricingFlag
from mmquant.kernels import pricing as kernels
from mmquant.state import PRICING_MODEL_INPUTS, PRICING_MODEL_PRICE

__all__ = ["PricingSteps", "price_by_model", "pricing_steps"]

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


class PricingSteps(NamedTuple):
    """`pricing_step` and `pricing_refresh` with a model in the blend's place, one call each.

    Both take the model's parameters, a float64 array, behind `params`.
    """

    step: Callable[..., int]
    refresh: Callable[..., None]


def _signature() -> Any:
    arrays = (np.zeros(1, PRICING_MODEL_INPUTS), np.zeros(1), np.zeros(1, PRICING_MODEL_PRICE))
    return numba.types.int64(*(numba.typeof(array) for array in arrays))  # type: ignore[no-untyped-call]


def _checked(model: Model) -> Model:
    """Compile a model for its one signature; return what cached code can be called with."""
    if not hasattr(_model_path, "overloads"):  # compiling is switched off
        return model
    if not hasattr(model, "overloads"):
        raise TypeError(f"model must be compiled, got {model!r}: put @numba.njit above it")
    signature = _signature()
    model.compile(signature.args)  # type: ignore[attr-defined]
    compiled = model.overloads[signature.args]
    answer = compiled.signature.return_type
    if not isinstance(answer, numba.types.Integer | numba.types.IntegerLiteral):
        raise TypeError(f"model must answer an int, got {answer}: return 0 where it has a price")

    # One type for all models, also those whose answer is a constant: cached code fits it.
    @numba.njit(signature)  # type: ignore[untyped-decorator]
    def same_type(inputs: NDArray[Any], params: NDArray[np.float64], out: NDArray[Any]) -> int:
        return model(inputs, params, out)

    return CompileResultWAP(same_type.overloads[signature.args])


@njit
def _model_path(
    model: Model,
    inputs: NDArray[Any],
    params: NDArray[np.float64],
    price: NDArray[Any],
    out: NDArray[np.float64],
) -> None:
    for i in range(out.size):
        price[0]["fair_value_ticks"] = np.nan
        code = model(inputs[i : i + 1], params, price)
        out[i] = price[0]["fair_value_ticks"] if code == 0 else np.nan


def _inputs(columns: Mapping[str, ArrayLike]) -> NDArray[Any]:
    known = [name for name in PRICING_MODEL_INPUTS.names or () if name in columns]
    if not known:
        names = ", ".join(PRICING_MODEL_INPUTS.names or ())
        raise ValueError(f"inputs must have a column a model knows ({names}), got {list(columns)}")
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
    return inputs


def price_by_model(model: Model, inputs: Mapping[str, ArrayLike], params: ArrayLike = ()) -> Any:
    """Return what a pricing model of your own says of each row of signals.

    Parameters
    ----------
    model : function compiled by numba.njit
        `model(inputs, params, out) -> int`, see `mmquant.state.pricing`.
    inputs : DataFrame or mapping of name to array_like, shape (n,)
        Columns named as the fields of PRICING_MODEL_INPUTS, such as recorded pricing messages
        have; others are not looked at. What is missing is NaN, a whole number 0; a price of 0.0
        is none, and the basis is one only where `flags`, if there, say so.
    params : array_like of float, shape (p,)
        The model's own.

    Returns
    -------
    ndarray of float64 or Series, shape (n,)
        In ticks; NaN where the model answers anything but 0.

    Raises
    ------
    TypeError, ValueError
        A model that is not compiled or answers no int; no column that a model knows.
    """
    rows = _inputs(inputs)
    out = np.empty(rows.size)
    own = np.array(params, np.float64)
    _model_path(_checked(model), rows, own, np.zeros(1, PRICING_MODEL_PRICE), out)
    return _arrays.like(_arrays.kind_of(inputs, *(inputs[name] for name in inputs)), out)


def pricing_steps(model: Model) -> PricingSteps:
    """Return the pricing's step and refresh with `model` compiled into them.

    Compiled anew in each process, some seconds: only the pricing's halves come from the cache. The
    model is asked about every touch with two sides, LIVE or not.

    Raises
    ------
    TypeError
        As for `price_by_model`.
    """
    _checked(model)
    take, close = kernels.pricing_take, kernels.pricing_close
    take_refresh, close_refresh = kernels.pricing_take_refresh, kernels.pricing_close_refresh
    quiet = kernels.QUIET

    @njit_uncached
    def ask(state: NDArray[Any], model_params: NDArray[np.float64], out: NDArray[Any]) -> int:
        if out[0]["bid_lots"] <= 0 or out[0]["ask_lots"] <= 0:
            return 0
        return int(model(state[0]["inputs"][:], model_params, state[0]["price"][:]))

    @njit_uncached
    def step(
        state: NDArray[Any],
        book: NDArray[Any],
        params: NDArray[Any],
        model_params: NDArray[np.float64],
        words: NDArray[np.int64],
        out: NDArray[Any],
    ) -> int:
        code = take(state, book, params, words, out)
        if code == quiet:
            return quiet
        return close(state, params, out, code, ask(state, model_params, out))

    @njit_uncached
    def refresh(
        state: NDArray[Any],
        book: NDArray[Any],
        params: NDArray[Any],
        model_params: NDArray[np.float64],
        now_ns: int,
        out: NDArray[Any],
    ) -> None:
        take_refresh(state, book, params, now_ns, out)
        close_refresh(state, out, ask(state, model_params, out))

    return PricingSteps(step, refresh)
