"""One rounding for a product and a sum, as exact fractions have it, compiled or not."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmquant._jit import _fma_exactly, bare_njit, fma

pytestmark = pytest.mark.kernels


@bare_njit
def fused(a, b, c):
    return fma(a, b, c)


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
