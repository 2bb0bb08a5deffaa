"""Single instructions: one rounding for a product and a sum, and what is asked for ahead."""

import math
from fractions import Fraction

import numba
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmquant._jit import _fma_exactly, bare_njit, fma, prefetch

pytestmark = pytest.mark.kernels


@bare_njit
def fused(a, b, c):
    return fma(a, b, c)


@bare_njit
def asked(array, at):
    prefetch(array, at)
    return array[0]


def by_fractions(a, b, c):
    """Return the number of 53 bits that is nearest to a * b + c."""
    if not all(map(math.isfinite, (a, b, c))):
        with np.errstate(invalid="ignore"):
            return float(np.float64(a) * np.float64(b) + np.float64(c))
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return a * b + c
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def bits(number):
    return "nan" if math.isnan(number) else float(number).hex()


@given(st.floats(), st.floats(), st.floats())
@example(0.7071067811865479, 1.7071067811865479e308, 1e308)
@example(-2.0, 1e308, 1.0)
@example(1e308, 1e308, -1e308)
@example(math.inf, 0.0, 1.0)
@example(math.inf, 1.0, -math.inf)
@example(1.0 + 2.0**-52, 1.0 + 2.0**-52, -1.0)
@example(-0.0, 1.0, 0.0)
def test_the_sum_is_rounded_once_whatever_the_numbers(a, b, c):
    assert bits(fused(a, b, c)) == bits(fma(a, b, c)) == bits(by_fractions(a, b, c))


def test_the_exact_way_is_the_same_where_python_has_none_of_its_own(monkeypatch):
    numbers = np.random.default_rng(1).normal(size=(300, 3)) * 10.0 ** np.arange(-150, 150)[:, None]
    own = [fma(*row) for row in numbers.tolist()]
    monkeypatch.setattr("mmquant._jit._python_fma", _fma_exactly)
    assert [fma(*row) for row in numbers.tolist()] == own
    assert fma(1e308, 10.0, 0.0) == math.inf
    assert math.isnan(fma(math.inf, 0.0, 1.0))


@pytest.mark.parametrize("at", [0, 7, 8, 4096, -1, -(1 << 40), 1 << 40])
def test_a_line_is_asked_for_wherever_it_lies(at):
    array = np.arange(8.0) + 1.0
    assert asked(array, at) == 1.0
    assert array.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is no machine code")
def test_asking_is_one_instruction():
    @numba.njit  # compiled now: what comes from a cache cannot be looked into
    def ask(array, at):
        prefetch(array, at)

    ask(np.ones(8), 3)
    assert "call void @llvm.prefetch" in "".join(ask.inspect_llvm().values())
