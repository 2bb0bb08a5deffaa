"""Whole blocks of an array at once, in a few vector instructions that LLVM does not find itself.

What it makes of the plain loops is slower than one word after the other: it weaves several blocks
together. Interpreted, these are the plain loops.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

__all__ = [
    "LANES",
    "LANES_ALIGNMENT",
    "PAIRS",
    "UNION_WORDS",
    "copy_lanes",
    "load_words",
    "pairs_outside",
    "settle_copies",
    "taken_words",
    "union_of_words",
]

LANES = 16  # floats that are computed side by side
PAIRS = 16  # a block of pairs
UNION_WORDS = 64  # a block whose union is taken
VECTOR_WORDS = 4  # of a register
LANES_ALIGNMENT = 64  # a cache line: lanes written past the caches fill whole ones
WORD = ir.IntType(64)


def pairs_outside(words: np.ndarray, at: int, bits: int) -> bool:
    """Tell whether of PAIRS pairs a first is not in [1, 2**bits], or a second is below 0.

    Parameters
    ----------
    words : ndarray of int64
    at : int
        Of the first pair, not negative; all pairs lie within `words`.
    bits : int
        A literal below 63.
    """
    pairs = words[at : at + 2 * PAIRS].reshape(PAIRS, 2)
    return any(not 1 <= int(first) <= 1 << bits or second < 0 for first, second in pairs)


def union_of_words(words: np.ndarray, at: int) -> int:
    """Return UNION_WORDS int64 words from `at` on or-ed together; all lie within `words`."""
    return int(np.bitwise_or.reduce(words[at : at + UNION_WORDS]))


def taken_words(words: np.ndarray, at: int) -> int:
    """Return an int64 with bit i set where word `at` + i is not 0; UNION_WORDS of them."""
    bits = np.packbits(words[at : at + UNION_WORDS] != 0, bitorder="little")
    return int(bits.view(np.int64)[0])


def copy_lanes(values: np.ndarray, out: np.ndarray, at: int, past_caches: bool) -> None:
    """Write LANES floats to `out` from `at` on.

    Parameters
    ----------
    values : ndarray of float64
        Its first LANES are copied.
    out : ndarray of float64
    at : int
        Not negative; all lanes lie within `out`.
    past_caches : bool
        Write to memory without reading the lines first: for what is not read soon. The address
        must then be a multiple of LANES_ALIGNMENT bytes, and `settle_copies` must follow before
        another thread reads.
    """
    if past_caches and (out.ctypes.data + 8 * at) % LANES_ALIGNMENT != 0:
        raise ValueError(f"the address must be a multiple of {LANES_ALIGNMENT}")
    out[at : at + LANES] = values[:LANES]


def settle_copies() -> None:
    """Let every thread see what `copy_lanes` wrote past the caches."""


def load_words(context: Any, builder: ir.IRBuilder, kind: Any, arguments: Any, n: int) -> Any:
    """Return `n` words as a vector; `arguments` begin with an array and the place of the first.

    Raises
    ------
    TypeError
        An array that is not contiguous.
    """
    if kind.layout != "C":
        raise TypeError(
            f"words must be a contiguous array, got {kind}: np.ascontiguousarray(words) is one"
        )
    array, at, *_ = arguments
    data = context.make_array(kind)(context, builder, array).data
    first = builder.bitcast(builder.gep(data, [at]), ir.VectorType(WORD, n).as_pointer())
    return builder.load(first, align=8)


def _union(builder: ir.IRBuilder, vector: Any, n: int, least: int) -> Any:
    """Return a vector of `n` words, halves or-ed together down to `least` of them."""
    while n > least:
        n //= 2
        halves = []
        for first in (0, n):
            picks = [ir.Constant(ir.IntType(32), first + i) for i in range(n)]
            mask = ir.Constant(ir.VectorType(ir.IntType(32), n), picks)
            halves.append(builder.shuffle_vector(vector, vector, mask))
        vector = builder.or_(*halves)
    return vector


@intrinsic(prefer_literal=True)
def _machine_pairs(_typing: Any, words: Any, at: Any, bits: Any, last: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        block = load_words(context, builder, signature.args[0], arguments, 2 * PAIRS)
        # One less than a first in range has none of the upper bits, nor has a sound second a sign.
        less = builder.sub(block, ir.Constant(block.type, [1, 0] * PAIRS))
        flaws = _union(builder, less, 2 * PAIRS, VECTOR_WORDS)
        upper = [-1 << bits.literal_value, -1 << 63] * (VECTOR_WORDS // 2)
        wide = ir.IntType(64 * VECTOR_WORDS)
        flaws = builder.bitcast(builder.and_(flaws, ir.Constant(flaws.type, upper)), wide)
        return builder.icmp_unsigned("!=", flaws, ir.Constant(wide, 0))

    return types.boolean(words, at, bits, last), generate


@overload(pairs_outside, prefer_literal=True)
def _compiled_pairs(words: Any, at: Any, bits: Any) -> Any:
    def few_instructions(words: Any, at: Any, bits: Any) -> Any:
        # The last word is read for the bounds check alone; without one nothing is left of it.
        return _machine_pairs(words, at, bits, words[np.uint64(at + 2 * PAIRS - 1)])  # type: ignore[call-arg]

    return few_instructions


@intrinsic
def _machine_union(_typing: Any, words: Any, at: Any, last: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        block = load_words(context, builder, signature.args[0], arguments, UNION_WORDS)
        union = _union(builder, block, UNION_WORDS, 1)
        return builder.extract_element(union, ir.Constant(ir.IntType(32), 0))

    return types.int64(words, at, last), generate


@overload(union_of_words)
def _compiled_union(words: Any, at: Any) -> Any:
    def few_instructions(words: Any, at: Any) -> Any:
        return _machine_union(words, at, words[np.uint64(at + UNION_WORDS - 1)])  # type: ignore[call-arg]

    return few_instructions


@intrinsic
def _machine_taken(_typing: Any, words: Any, at: Any, last: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        block = load_words(context, builder, signature.args[0], arguments, UNION_WORDS)
        zeros = ir.Constant(block.type, [0] * UNION_WORDS)
        return builder.bitcast(builder.icmp_unsigned("!=", block, zeros), WORD)

    return types.int64(words, at, last), generate


@overload(taken_words)
def _compiled_taken(words: Any, at: Any) -> Any:
    def few_instructions(words: Any, at: Any) -> Any:
        return _machine_taken(words, at, words[np.uint64(at + UNION_WORDS - 1)])  # type: ignore[call-arg]

    return few_instructions


@intrinsic
def _machine_copy(_typing: Any, values: Any, out: Any, at: Any, past_caches: Any, last: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        source = context.make_array(kinds[0])(context, builder, arguments[0]).data
        target = context.make_array(kinds[1])(context, builder, arguments[1]).data
        vector = ir.VectorType(ir.DoubleType(), VECTOR_WORDS).as_pointer()
        source = builder.bitcast(source, vector)
        target = builder.bitcast(builder.gep(target, [arguments[2]]), vector)
        places = [ir.Constant(ir.IntType(32), i) for i in range(LANES // VECTOR_WORDS)]
        lanes = [builder.load(builder.gep(source, [place]), align=8) for place in places]
        temporal = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        with builder.if_else(arguments[3]) as (is_past, is_not):
            with is_past:
                for place, lane in zip(places, lanes, strict=True):
                    written = builder.store(lane, builder.gep(target, [place]), 8 * VECTOR_WORDS)
                    written.set_metadata("nontemporal", temporal)
            with is_not:
                for place, lane in zip(places, lanes, strict=True):
                    builder.store(lane, builder.gep(target, [place]), align=8)
        return context.get_dummy_value()

    return types.none(values, out, at, types.boolean, last), generate


@overload(copy_lanes)
def _compiled_copy(values: Any, out: Any, at: Any, past_caches: Any) -> Any:
    def few_instructions(values: Any, out: Any, at: Any, past_caches: Any) -> Any:
        last = values[np.uint64(LANES - 1)] + out[np.uint64(at + LANES - 1)]
        _machine_copy(values, out, at, past_caches, last)  # type: ignore[call-arg]

    return few_instructions


@intrinsic
def _machine_fence(_typing: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, _arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.none(), generate


@overload(settle_copies)
def _compiled_settle() -> Any:
    def one_instruction() -> Any:
        _machine_fence()  # type: ignore[call-arg]

    return one_instruction
