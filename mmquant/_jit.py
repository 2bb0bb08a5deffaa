"""The one place that compiles: `njit` with an on-disk cache that cannot go stale, and `fma`."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from mmquant._cache import cache_dir

__all__ = [
    "bare_inlined",
    "bare_njit",
    "fma",
    "njit",
    "njit_parallel",
    "prange",
]

if TYPE_CHECKING:

    def njit[F: Callable[..., object]](function: F) -> F:
        """Compile `function` (mypy sees the plain function)."""
        return function

    bare_njit = bare_inlined = njit

    def njit_parallel[F: Callable[..., object]](function: F) -> F:
        """Compile `function` with its `prange` loops spread over the cores."""
        return function

    prange = range
else:
    numba.config.CACHE_DIR = str(cache_dir())
    prange = numba.prange

    def njit[F: Callable[..., object]](function: F) -> F:
        """Compile `function` with numba, the machine code cached on disk.

        Nobody calls it as a C function, so that wrapper is not made.
        """
        return numba.njit(cache=True, no_cfunc_wrapper=True)(function)

    def bare_njit[F: Callable[..., object]](function: F) -> F:
        """Compile `function` without reference counts: it must not allocate.

        numba counts references with atomic instructions at each call. Without, a call from
        Python costs half as much, and calls among such functions nearly nothing.
        """
        return numba.njit(cache=True, no_cfunc_wrapper=True, _nrt=False)(function)

    def bare_inlined[F: Callable[..., object]](function: F) -> F:
        """Compile `function` into its bare callers: what is too large for LLVM to inline."""
        return numba.njit(cache=True, no_cfunc_wrapper=True, _nrt=False, inline="always")(function)

    def njit_parallel[F: Callable[..., object]](function: F) -> F:
        """Compile `function` with its `prange` loops spread over the cores."""
        return numba.njit(cache=True, parallel=True)(function)


def _fma_exactly(a: float, b: float, c: float) -> float:
    """Return a * b + c, rounded once (before Python 3.13 has it)."""
    if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):
        return a * b + c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    return float(exact) if exact else a * b + c


_python_fma: Callable[[float, float, float], float] = getattr(math, "fma", _fma_exactly)


def fma(a: float, b: float, c: float) -> float:
    """Return a * b + c with one rounding: the same bits compiled and interpreted.

    One instruction instead of two: it shortens the chain that a recursion waits for.
    """
    return _python_fma(a, b, c)


@intrinsic
def _machine_fma(_typing: Any, _a: Any, _b: Any, _c: Any) -> Any:
    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


@overload(fma)
def _compiled_fma(a: Any, b: Any, c: Any) -> Any:
    def one_instruction(a: Any, b: Any, c: Any) -> Any:
        return _machine_fma(a, b, c)  # type: ignore[call-arg]

    return one_instruction
