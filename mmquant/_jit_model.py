"""Calls of a quoting model by its address: the caller's machine code stays cached, for any model.

A function as an argument costs numba 0.3 ms a call from Python, and one compiled in voids the
cache of its caller. An address is a plain integer. Interpreted it is the function itself.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numba import config, types
from numba.core import cgutils, errors
from numba.core.dispatcher import Dispatcher
from numba.extending import intrinsic, overload

from mmquant.state.model import MODEL_INPUTS, MODEL_QUOTES

__all__ = ["bind_model", "call_model"]

_typeof: Callable[[Any], Any] = numba.typeof
_ARGUMENTS = (
    _typeof(np.zeros(1, MODEL_INPUTS)),
    _typeof(np.zeros(1, np.float64)),
    _typeof(np.zeros(1, MODEL_QUOTES)),
)
_SIGNATURE = types.int64(*_ARGUMENTS)
_bound: list[Any] = []  # their machine code must outlive every call


def bind_model(model: Callable[..., int]) -> Any:
    """Return what `call_model` and `strategy_step` take for `model`: compile it and find it.

    Parameters
    ----------
    model : callable
        An @njit function `model(inputs, params, out) -> int`; see mmquant.state.model.

    Returns
    -------
    int
        Its address, good for this process; where the JIT is off, the function itself.

    Raises
    ------
    TypeError
        If it is not compiled by numba, or cannot be compiled for these arguments.
    """
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return model
    if not isinstance(model, Dispatcher):
        raise TypeError(f"model must be a function decorated with numba.njit, got {model!r}")
    try:
        model.compile(_SIGNATURE)
    except (errors.NumbaError, KeyError) as error:
        lines = [text for text in str(error).splitlines() if text.strip()]
        raise TypeError(
            f"model {model.py_func.__name__} cannot be compiled for (inputs, params, out): "
            f"{'; '.join(lines[:3])}"
        ) from error
    compiled: Any = model.get_compile_result(_SIGNATURE)
    _bound.append(compiled)
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


def call_model(model: Any, inputs: Any, params: Any, out: Any) -> int:
    """Return what the bound `model` answers; what it raises goes up to the caller of the kernel."""
    return int(model(inputs, params, out))


if TYPE_CHECKING:
    ...
else:

    @intrinsic
    def _call_at(_typing, _address, _inputs, _params, _out):
        def generate(context, builder, _signature, arguments):
            address, *rest = arguments
            convention = context.call_conv
            kind = convention.get_function_type(types.int64, _ARGUMENTS)
            function = builder.inttoptr(address, kind.as_pointer())
            status, result = convention.call_function(
                builder, function, types.int64, _ARGUMENTS, rest
            )
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            return result

        return types.int64(types.int64, *_ARGUMENTS), generate

    @overload(call_model)
    def _compiled_call(model, inputs, params, out):
        def by_address(model, inputs, params, out):
            return _call_at(model, inputs, params, out)

        return by_address
