"""2^(-t) by a polynomial, of one time or of the four intervals of a few vector instructions."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from mmquant._jit import bare_njit as njit
from mmquant._jit import fma

INTERVALS = 4  # whose decays are computed at once: the floats of a vector register
LONGEST_BITS = 51  # an interval below 2^51 ns, 26 days, is a float without a conversion
FLOATS = ir.VectorType(ir.DoubleType(), INTERVALS)
WORDS = ir.VectorType(ir.IntType(64), INTERVALS)

# Adding this rounds a float to a whole number, which then stands in its lowest bits.
ROUND = 1.5 * 2.0**52
ROUND_BITS = 0x4338000000000000
EXPONENT_BIAS = 1023
MANTISSA_BITS = 52
MOST_HALVINGS = 1000.0  # beyond it 2^-t is 0 for every purpose, and nearly out of float64

# (2^-r - 1) / r for |r| <= 1/2, interpolated at the Chebyshev nodes with 60 digits: p(0) = 1, so
# that no time means no decay; the relative error of 2^-r is below 1e-15.
C1 = -0.6931471805599462
C2 = 0.24022650695910075
C3 = -0.05550410866465167
C4 = 0.009618129107618665
C5 = -0.0013333558200794592
C6 = 0.00015403530424776529
C7 = -1.5252672924850737e-05
C8 = 1.3215451633221434e-06
C9 = -1.0205905413765595e-07
C10 = 7.070977866508138e-09


@njit
def decay(halvings: float) -> float:
    """Return 2^-halvings for halvings >= 0 (of a finite number), 2^-1000 at the least.

    Monotone up to rounding; relative error below 1e-15; the same bits compiled, interpreted and
    vectorised, for every operation is rounded as written.
    """
    t = halvings if halvings < MOST_HALVINGS else MOST_HALVINGS
    shifted = t + ROUND
    r = t - (shifted - ROUND)
    exponent = EXPONENT_BIAS + ROUND_BITS - np.float64(shifted).view(np.int64)
    power = np.int64(exponent << MANTISSA_BITS).view(np.float64)
    r2 = r * r
    r4 = r2 * r2
    low = fma(fma(C3, r, C2), r2, fma(C1, r, 1.0))
    high = fma(fma(C7, r, C6), r2, fma(C5, r, C4))
    high = fma(fma(C10, r2, fma(C9, r, C8)), r4, high)
    return float(power * fma(high, r4, low))


def decays(ts_ns: np.ndarray, at: int, per_ns: float) -> tuple[bool, float, float, float, float]:
    """Return `decay` of each interval that ends at one of the INTERVALS times from `at` on.

    One after the other they are four times as many instructions, and LLVM does not join them
    where a recursion follows in the same loop.

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
    one, two, three, four = (decay(elapsed * per_ns) for elapsed in elapsed_ns)
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

    most = _floats(MOST_HALVINGS)
    t = builder.select(builder.fcmp_ordered("<", halvings, most), halvings, most)
    shifted = builder.fadd(t, _floats(ROUND))
    r = builder.fsub(t, builder.fsub(shifted, _floats(ROUND)))
    exponent = builder.sub(_words(EXPONENT_BIAS + ROUND_BITS), builder.bitcast(shifted, WORDS))
    power = builder.bitcast(builder.shl(exponent, _words(MANTISSA_BITS)), FLOATS)
    r2 = builder.fmul(r, r)
    r4 = builder.fmul(r2, r2)
    c1, c2, c3, c4, c5 = (_floats(c) for c in (C1, C2, C3, C4, C5))
    c6, c7, c8, c9, c10 = (_floats(c) for c in (C6, C7, C8, C9, C10))
    low = fused(fused(c3, r, c2), r2, fused(c1, r, _floats(1.0)))
    high = fused(fused(c7, r, c6), r2, fused(c5, r, c4))
    high = fused(fused(c10, r2, fused(c9, r, c8)), r4, high)
    return builder.fmul(power, fused(high, r4, low))


@intrinsic
def _machine_decays(_typing: Any, ts_ns: Any, at: Any, per_ns: Any, bounds: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        array, first, per, _ = arguments
        data = context.make_array(signature.args[0])(context, builder, array).data
        ends = builder.gep(data, [first])
        begins = builder.gep(ends, [ir.Constant(first.type, -1)])
        ends, begins = (
            builder.load(builder.bitcast(place, WORDS.as_pointer()), align=8)
            for place in (ends, begins)
        )
        elapsed_ns = builder.sub(ends, begins)
        whole = ir.IntType(64 * INTERVALS)
        out_of_range = builder.bitcast(builder.and_(elapsed_ns, _words(-1 << LONGEST_BITS)), whole)
        sound = builder.icmp_unsigned("==", out_of_range, ir.Constant(whole, 0))
        # A whole number in the lowest bits of ROUND: exact below 2^LONGEST_BITS.
        shifted = builder.bitcast(builder.add(elapsed_ns, _words(ROUND_BITS)), FLOATS)
        elapsed_ns = builder.fsub(shifted, _floats(ROUND))
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
