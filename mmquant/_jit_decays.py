"""The decays of a few intervals at once, in vector instructions that LLVM does not find itself.

Interpreted, they are `kernels.decay` of each. Where a recursion follows in the same loop LLVM
joins nothing, and one after the other they are four times as many instructions.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from mmquant._jit_blocks import load_words
from mmquant.kernels import decay as scalar

__all__ = ["INTERVALS", "LONGEST_BITS", "decays"]

INTERVALS = 4  # whose decays are computed at once: the floats of a vector register
LONGEST_BITS = 51  # an interval below 2^51 ns, 26 days, is a float without a conversion
FLOATS = ir.VectorType(ir.DoubleType(), INTERVALS)
WORDS = ir.VectorType(ir.IntType(64), INTERVALS)


def decays(ts_ns: np.ndarray, at: int, per_ns: float) -> tuple[bool, float, float, float, float]:
    """Return `decay` of each interval that ends at one of the INTERVALS times from `at` on.

    Parameters
    ----------
    ts_ns : ndarray of int64, contiguous
    at : int
        Above 0, at most the number of times less INTERVALS.
    per_ns : float
        One over the half-life.

    Returns
    -------
    bool, float, float, float, float
        Whether each interval is in [0, 2^LONGEST_BITS) ns, and the decays, which mean nothing
        if not.
    """
    elapsed_ns = [int(ts_ns[i]) - int(ts_ns[i - 1]) for i in range(at, at + INTERVALS)]
    if not all(0 <= elapsed < 1 << LONGEST_BITS for elapsed in elapsed_ns):
        return False, 1.0, 1.0, 1.0, 1.0
    one, two, three, four = (scalar.decay(elapsed * per_ns) for elapsed in elapsed_ns)
    return True, one, two, three, four


def _floats(value: float) -> ir.Constant:
    return ir.Constant(FLOATS, [value] * INTERVALS)


def _words(value: int) -> ir.Constant:
    return ir.Constant(WORDS, [value] * INTERVALS)


def _decay_of_vector(builder: ir.IRBuilder, halvings: Any) -> Any:
    """Do what `decay` does, operation by operation."""
    kind = ir.FunctionType(FLOATS, [FLOATS] * 3)
    name = f"llvm.fma.v{INTERVALS}f64"
    machine_fma = cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]

    def fused(a: Any, b: Any, c: Any) -> Any:
        return builder.call(machine_fma, [a, b, c])

    most = _floats(scalar.MOST_HALVINGS)
    t = builder.select(builder.fcmp_ordered("<", halvings, most), halvings, most)
    shifted = builder.fadd(t, _floats(scalar.ROUND))
    r = builder.fsub(t, builder.fsub(shifted, _floats(scalar.ROUND)))
    exponent = builder.sub(
        _words(scalar.EXPONENT_BIAS + scalar.ROUND_BITS), builder.bitcast(shifted, WORDS)
    )
    power = builder.bitcast(builder.shl(exponent, _words(scalar.MANTISSA_BITS)), FLOATS)
    r2 = builder.fmul(r, r)
    r4 = builder.fmul(r2, r2)
    c1, c2, c3, c4, c5, c6, c7, c8, c9, c10 = (
        _floats(getattr(scalar, f"C{power}")) for power in range(1, 11)
    )
    low = fused(fused(c3, r, c2), r2, fused(c1, r, _floats(1.0)))
    high = fused(fused(c7, r, c6), r2, fused(c5, r, c4))
    high = fused(fused(c10, r2, fused(c9, r, c8)), r4, high)
    return builder.fmul(power, fused(high, r4, low))


@intrinsic
def _machine_decays(_typing: Any, ts_ns: Any, at: Any, per_ns: Any, bounds: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        array, first, per, _ = arguments
        before = builder.sub(first, ir.Constant(first.type, 1))
        ends, begins = (
            load_words(context, builder, signature.args[0], (array, place), INTERVALS)
            for place in (first, before)
        )
        elapsed_ns = builder.sub(ends, begins)
        whole = ir.IntType(64 * INTERVALS)
        out_of_range = builder.bitcast(builder.and_(elapsed_ns, _words(-1 << LONGEST_BITS)), whole)
        sound = builder.icmp_unsigned("==", out_of_range, ir.Constant(whole, 0))
        # A whole number in the lowest bits of ROUND: exact below 2^LONGEST_BITS.
        shifted = builder.bitcast(builder.add(elapsed_ns, _words(scalar.ROUND_BITS)), FLOATS)
        elapsed_ns = builder.fsub(shifted, _floats(scalar.ROUND))
        per = builder.insert_element(_floats(ir.Undefined), per, ir.Constant(ir.IntType(32), 0))
        picks = ir.Constant(ir.VectorType(ir.IntType(32), INTERVALS), [0] * INTERVALS)
        halvings = builder.fmul(elapsed_ns, builder.shuffle_vector(per, per, picks))
        vector = _decay_of_vector(builder, halvings)
        places = [ir.Constant(ir.IntType(32), i) for i in range(INTERVALS)]
        each = [builder.extract_element(vector, place) for place in places]
        return context.make_tuple(builder, signature.return_type, [sound, *each])

    answer = types.Tuple((types.boolean, *[types.float64] * INTERVALS))  # type: ignore[no-untyped-call]
    return answer(ts_ns, at, types.float64, bounds), generate


@overload(decays)
def _compiled_decays(ts_ns: Any, at: Any, per_ns: Any) -> Any:
    def few_instructions(ts_ns: Any, at: Any, per_ns: Any) -> Any:
        # Read for the bounds check alone; without one nothing is left of it.
        bounds = ts_ns[np.uint64(at - 1)] ^ ts_ns[np.uint64(at + INTERVALS - 1)]
        return _machine_decays(ts_ns, at, per_ns, bounds)  # type: ignore[call-arg]

    return few_instructions
