"""Calls of a user's model by its address: the caller's machine code stays cached, for any model.

A function as an argument costs numba 0.3 ms a call from Python, and one compiled in voids the
cache of its caller. An address is a plain integer. Interpreted it is the function itself.
"""

from collections.abc import Callable
from functools import cache
from inspect import signature as signature_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numba import config, types
from numba.core import cgutils, errors
from numba.core.dispatcher import Dispatcher
from numba.extending import intrinsic, overload
from numpy.typing import ArrayLike, NDArray

from mmquant.state import PRICING_MODEL_INPUTS, PRICING_MODEL_PRICE
from mmquant.state.model import MODEL_INPUTS, MODEL_QUOTES

__all__ = ["bind_model", "bind_pricing_model", "call_model", "own_params", "place_of"]

_typeof: Callable[[Any], Any] = numba.typeof


def _arguments(inputs: np.dtype[Any], out: np.dtype[Any]) -> tuple[Any, ...]:
    return tuple(_typeof(np.zeros(1, kind)) for kind in (inputs, np.dtype(np.float64), out))


_QUOTING = _arguments(MODEL_INPUTS, MODEL_QUOTES)
_PRICING = _arguments(PRICING_MODEL_INPUTS, PRICING_MODEL_PRICE)
_COMPILER = str(Path(numba.__file__).parent)  # faults in its files are of what was called
_GUARD = 64  # numbers on each side
_bound: list[Any] = []  # their machine code must outlive every call


@cache
def _with_boundscheck(model: Dispatcher) -> Dispatcher:
    options = {**model.targetoptions, "boundscheck": True}
    checked: Dispatcher = numba.jit(**options)(model.py_func)
    return checked


def _bind(model: Any, arguments: tuple[Any, ...], boundscheck: bool) -> Any:
    is_compiled = not config.DISABLE_JIT  # type: ignore[attr-defined]
    if not callable(model):
        raise TypeError(f"model must be a function decorated with numba.njit, got {model!r}")
    if is_compiled and not isinstance(model, Dispatcher):
        raise TypeError(
            f"{_named(model)} must be a function decorated with numba.njit, got a plain one: write "
            "@numba.njit above its def"
        )
    _check_arguments(model)
    if not is_compiled:
        return model
    if boundscheck:
        model = _with_boundscheck(model)
    try:
        model.compile(arguments)  # without an answer's type: numba would make a float an int
    except (errors.NumbaError, errors.UnsupportedBytecodeError, KeyError) as error:
        raise TypeError(
            f"{_named(model)} cannot be compiled for (inputs, params, out): {_why(error)}"
        ) from error
    compiled: Any = model.overloads[arguments]
    answer = compiled.signature.return_type
    if getattr(answer, "literal_type", answer) != types.int64:
        raise TypeError(f"{_named(model)} must answer an int, got {answer}: end with return 0")
    _bound.append(compiled)
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


def place_of(function: Any) -> str:
    """Return the file and the line at which a function, compiled or not, begins."""
    code = getattr(getattr(function, "py_func", function), "__code__", None)
    if code is None:
        return f"no function, {type(function).__name__}"
    return f"{code.co_filename}, line {code.co_firstlineno}"


def _named(model: Any) -> str:
    return f"model {getattr(model, '__name__', repr(model))} ({place_of(model)})"


def _check_arguments(model: Any) -> None:
    """Refuse what cannot be called with three arguments."""
    known = signature_of(getattr(model, "py_func", model))
    try:
        known.bind(None, None, None)
    except TypeError:
        raise TypeError(
            f"{_named(model)} must take (inputs, params, out), got {known}: give it these three "
            "arguments, used or not"
        ) from None


def _why(error: Exception) -> str:
    """Return what the compiler says first, and the line of somebody's own that it is about."""
    if isinstance(error, KeyError):
        return f"its record has no field {error}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Failed in nopython mode")]
    ends = ("During:", "There are", "File ")
    last = next((k for k, line in enumerate(lines) if line.startswith(ends)), len(lines))
    told = " ".join(lines[: max(1, last)])
    loc = getattr(error, "loc", None)
    places = [f"{loc.filename}, line {loc.line}"] if loc is not None else []
    for line in lines:
        path, bracket, number = line.rpartition(" at ")[2].rpartition(" (")
        if line.startswith("During:") and bracket and _COMPILER not in path:
            places.insert(0, f"{path}, line {number.rstrip(')')}")
            break
    return "; at ".join([told, *places[:1]])


def bind_model(model: Callable[..., int], *, boundscheck: bool = False) -> Any:
    """Return what `call_model` and `strategy_step` take for `model`: compile it and find it.

    Parameters
    ----------
    model : callable
        An @njit function `model(inputs, params, out) -> int`; see mmquant.state.model.
    boundscheck : bool
        Compile it once more, so that it raises IndexError where it reads past an array (its
        `params`, say), as backtests do; functions that it calls are as they are. Without, what
        lies there in memory is read: `own_params` puts NaN there.

    Returns
    -------
    int
        Its address, good for this process; where the JIT is off, the function itself.

    Raises
    ------
    TypeError
        If it is not compiled by numba, or cannot be compiled for these arguments.
    """
    return _bind(model, _QUOTING, boundscheck)


def bind_pricing_model(model: Callable[..., int], *, boundscheck: bool = False) -> Any:
    """Do as `bind_model` for a model of the fair value; see mmquant.state.pricing."""
    return _bind(model, _PRICING, boundscheck)


def own_params(values: ArrayLike) -> NDArray[np.float64]:
    """Return the parameters of a model of one's own, NaN before and behind them in memory.

    Live, its reads are not checked: one of the 64 numbers past the last makes its price NaN, which
    is not quoted, and not what happens to lie there.
    """
    numbers = np.asarray(values, np.float64)
    room = np.full(numbers.size + 2 * _GUARD, np.nan)
    own = room[_GUARD : _GUARD + numbers.size]
    own[:] = numbers
    return own


def call_model(model: Any, inputs: Any, params: Any, out: Any) -> int:
    """Return what the bound `model` answers; what it raises goes up to the caller of the kernel."""
    return int(model(inputs, params, out))


if TYPE_CHECKING:
    ...
else:

    @intrinsic
    def _call_at(_typing, _address, inputs, params, out):
        kinds = (inputs, params, out)
        if kinds not in (_QUOTING, _PRICING):
            raise errors.TypingError(f"no model takes {kinds}")

        def generate(context, builder, _signature, arguments):
            address, *rest = arguments
            convention = context.call_conv
            kind = convention.get_function_type(types.int64, kinds)
            function = builder.inttoptr(address, kind.as_pointer())
            status, result = convention.call_function(builder, function, types.int64, kinds, rest)
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            return result

        return types.int64(types.int64, *kinds), generate

    @overload(call_model)
    def _compiled_call(model, inputs, params, out):
        def by_address(model, inputs, params, out):
            return _call_at(model, inputs, params, out)

        return by_address
