"""The pricing with a model of one's own between its halves, and the model over an array.

The model is an address (`mmquant._jit_model.bind_pricing_model`): this machine code is cached and
serves every model.
"""

from typing import Any

import numpy as np

from mmquant._jit import bare_njit as njit
from mmquant._jit_model import call_model
from mmquant.kernels.fair_value import is_price
from mmquant.kernels.pricing import (
    QUIET,
    pricing_close,
    pricing_close_refresh,
    pricing_follow,
    pricing_take,
    pricing_take_refresh,
)


@njit
def blend_model(inputs: np.ndarray, params: np.ndarray, out: np.ndarray) -> int:
    """Answer the blend, as a model: what all around a model is compiled with beforehand."""
    out[0]["fair_value_ticks"] = inputs[0]["blend_ticks"]
    return 0


@njit
def _ask(state: np.ndarray, model: Any, model_params: np.ndarray, out: np.ndarray) -> int:
    """Let the model replace the blend where the touch has two sides; return its answer."""
    if out[0]["bid_lots"] <= 0 or out[0]["ask_lots"] <= 0:
        return 0
    s = state[0]
    s["price"][0]["fair_value_ticks"] = np.nan  # one that sets none has none
    return call_model(model, s["inputs"][:], model_params, s["price"][:])


@njit
def pricing_model_step_behind(
    model: Any,
    state: np.ndarray,
    book: np.ndarray,
    params: np.ndarray,
    model_params: np.ndarray,
    words: np.ndarray,
    book_code: int,
    out: np.ndarray,
) -> int:
    """Do as `pricing_step_behind`, the fair value being the model's, as in `pricing_model_step`."""
    code = pricing_take(state, book, params, words, book_code, out)
    if code == QUIET:
        return QUIET
    return pricing_close(state, params, out, code, _ask(state, model, model_params, out))


@njit
def pricing_model_step(
    model: Any,
    state: np.ndarray,
    book: np.ndarray,
    params: np.ndarray,
    model_params: np.ndarray,
    words: np.ndarray,
    out: np.ndarray,
) -> int:
    """Do as `pricing_step`, the fair value being the model's.

    Parameters
    ----------
    model : int
        From bind_pricing_model: good for this process.
    model_params : ndarray of float64, shape (p,)
        The model's own; the other parameters and the answer are those of `pricing_step`.
    """
    code = pricing_follow(book, words)
    return pricing_model_step_behind(model, state, book, params, model_params, words, code, out)


@njit
def pricing_model_refresh(
    model: Any,
    state: np.ndarray,
    book: np.ndarray,
    params: np.ndarray,
    model_params: np.ndarray,
    now_ns: int,
    out: np.ndarray,
) -> None:
    """Do as `pricing_refresh`, the fair value being the model's."""
    pricing_take_refresh(state, book, params, now_ns, out)
    pricing_close_refresh(state, out, _ask(state, model, model_params, out))


@njit
def pricing_model_path(
    model: Any, inputs: np.ndarray, params: np.ndarray, price: np.ndarray, out: np.ndarray
) -> None:
    """Write the model's fair value of each row of inputs, NaN where it has none.

    Parameters
    ----------
    model : int
        From bind_pricing_model.
    inputs : ndarray of PRICING_MODEL_INPUTS, shape (n,)
    params : ndarray of float64, shape (p,)
    price : ndarray of PRICING_MODEL_PRICE, shape (1,)
        Space to work in.
    out : ndarray of float64, shape (n,)
    """
    for i in range(out.size):
        price[0]["fair_value_ticks"] = np.nan
        code = call_model(model, inputs[i : i + 1], params, price)
        fair = price[0]["fair_value_ticks"]
        out[i] = fair if code == 0 and is_price(fair) else np.nan
