"""The one place that compiles: `njit` with an on-disk cache that cannot go stale, and intrinsics.

These are single instructions that Python has no word for; interpreted, they are plain functions.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from mmquant._cache import cache_dir
from mmquant._jit_cache import KernelCache
from mmquant._jit_compiler import KernelCompiler, WholeProgram
from mmquant._jit_dispatcher import KernelDispatcher

__all__ = [
    "bare_inlined",
    "bare_njit",
    "bare_whole",
    "fma",
    "leading_zeros",
    "load_word",
    "njit",
    "njit_parallel",
    "prange",
    "prefetch",
    "trailing_zeros",
]


class _LateCache:
    """Stands for a function's cache on disk until something is asked of it, which takes its place.

    numba looks at the folder, at the source and whether it may write for each function that it
    decorates, a third of an import. Most are only ever called by others, and compiled with them.
    """

    def __init__(self, dispatcher: Any) -> None:
        self._dispatcher = dispatcher

    def __getattr__(self, name: str) -> Any:
        function = self._dispatcher.py_func
        self._dispatcher._cache = KernelCache(function)  # type: ignore[no-untyped-call]
        return getattr(self._dispatcher._cache, name)


if TYPE_CHECKING:

    def njit[F: Callable[..., object]](function: F) -> F:
        """Compile `function` (mypy sees the plain function)."""
        return function

    bare_njit = bare_inlined = bare_whole = njit

    def njit_parallel[F: Callable[..., object]](function: F) -> F:
        """Compile `function` with its `prange` loops spread over the cores."""
        return function

    prange = range
else:
    numba.config.CACHE_DIR = str(cache_dir())
    prange = numba.prange

    def _compiled(function, compiler=KernelCompiler, **options):
        """Return what numba makes of `function`, its cache on disk looked for when needed."""
        if numba.config.DISABLE_JIT:
            return function
        options = {"nopython": True, "boundscheck": None, **options}
        compiled = KernelDispatcher(function, targetoptions=options, pipeline_class=compiler)
        compiled._cache = _LateCache(compiled)
        return compiled

    def njit[F: Callable[..., object]](function: F) -> F:
        """Compile `function` with numba, the machine code cached on disk.

        Nobody calls it as a C function, so that wrapper is not made.
        """
        return _compiled(function, no_cfunc_wrapper=True)

    def bare_njit[F: Callable[..., object]](function: F) -> F:
        """Compile `function` without reference counts: it must not allocate.

        numba counts references with atomic instructions at each call. Without, a call from
        Python costs half as much, and calls among such functions nearly nothing.
        """
        return _compiled(function, no_cfunc_wrapper=True, _nrt=False)

    def bare_inlined[F: Callable[..., object]](function: F) -> F:
        """Compile `function` into its bare callers: what is too large for LLVM to inline."""
        return _compiled(function, no_cfunc_wrapper=True, _nrt=False, inline="always")

    def bare_whole[F: Callable[..., object]](function: F) -> F:
        """Compile `function` and all it calls as one program: for what Python alone calls."""
        return _compiled(function, WholeProgram, no_cfunc_wrapper=True, _nrt=False)

    def njit_parallel[F: Callable[..., object]](function: F) -> F:
        """Compile `function` with its `prange` loops spread over the cores."""
        return _compiled(function, parallel=True)


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
    try:
        return _python_fma(a, b, c)
    except OverflowError:  # Python raises where a processor answers with an infinity,
        return math.copysign(math.inf, a * b + c)
    except ValueError:  # or, where no number is right, with NaN
        return math.nan


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


def load_word(data: bytes, at: int) -> int:
    """Return the eight bytes from `at` on as one integer, the first lowest.

    Compiled it is an int64, interpreted it is never negative: the same 64 bits.
    """
    if not 0 <= at <= len(data) - 8:
        raise IndexError(f"a word must lie within {len(data)} bytes, got {at}")
    return int.from_bytes(data[at : at + 8], "little")


@intrinsic
def _machine_load(_typing: Any, data: Any, at: Any, last: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        byte = builder.gep(array.data, [arguments[1]])
        return builder.load(builder.bitcast(byte, ir.IntType(64).as_pointer()), align=1)

    return types.int64(data, at, last), generate


@overload(load_word)
def _compiled_load_word(data: Any, at: Any) -> Any:
    def one_instruction(data: Any, at: Any) -> Any:
        # The last byte is read for the bounds check alone; without one nothing is left of it.
        return _machine_load(data, at, data[np.uint64(at + 7)])  # type: ignore[call-arg]

    return one_instruction


def trailing_zeros(word: int) -> int:
    """Return how many of a word's lowest bits are 0: 64 for no bit at all."""
    word = int(word)
    return (word & -word).bit_length() - 1 if word else 64


@intrinsic
def _machine_trailing_zeros(_typing: Any, word: Any) -> Any:
    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), generate


@overload(trailing_zeros)
def _compiled_trailing_zeros(word: Any) -> Any:
    def one_instruction(word: Any) -> Any:
        return _machine_trailing_zeros(word)  # type: ignore[call-arg]

    return one_instruction


def leading_zeros(word: int) -> int:
    """Return how many of an int64's highest bits are 0: 64 for no bit at all."""
    return 64 - (int(word) & (1 << 64) - 1).bit_length()


@intrinsic
def _machine_leading_zeros(_typing: Any, word: Any) -> Any:
    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), generate


@overload(leading_zeros)
def _compiled_leading_zeros(word: Any) -> Any:
    def one_instruction(word: Any) -> Any:
        return _machine_leading_zeros(word)  # type: ignore[call-arg]

    return one_instruction


def prefetch(array: np.ndarray, at: int) -> None:
    """Ask for the cache line of element `at`, which may lie outside: nothing waits for it.

    A loop over arrays from memory that computes between two reads leaves the processor too few
    reads to have under way at once: it asks by itself for what lies a few hundred elements ahead.
    """


@intrinsic
def _machine_prefetch(_typing: Any, array: Any, at: Any) -> Any:
    byte = ir.IntType(8).as_pointer()
    flag = ir.IntType(32)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")  # type: ignore[no-untyped-call]
        builder.call(function, [place, flag(0), flag(3), flag(1)])  # to read, into all caches, data
        return context.get_dummy_value()

    return types.none(array, at), generate


@overload(prefetch)
def _compiled_prefetch(array: Any, at: Any) -> Any:
    def one_instruction(array: Any, at: Any) -> Any:
        return _machine_prefetch(array, at)  # type: ignore[call-arg]

    return one_instruction
