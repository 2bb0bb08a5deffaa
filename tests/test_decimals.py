"""Decimal strings are integers of 1e-8, exactly, or they are refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmquant.decimals import to_e8


@given(st.integers(-(10**18), 10**18), st.integers(0, 3))
def test_decimal_strings_are_exact(units, more_zeros):
    text = f"{Decimal(units).scaleb(-8):.8f}" + "0" * more_zeros
    assert to_e8(text) == units


@pytest.mark.parametrize(
    "text", ["", ".", "1.2.3", "1_0", "+1", " 1", "٣", "1.000000001", "92233720369", "--1", 1.0]
)
def test_what_is_no_plain_decimal_is_refused(text):
    with pytest.raises(ValueError, match="decimal"):
        to_e8(text)
