"""Mid, microprice and imbalance: hand numbers, the right way round, twins, refusals."""

import numpy as np
import pandas as pd
import pytest
import reference_pricing
from hypothesis import given
from hypothesis import strategies as st

from mmquant.fair_value import imbalance, microprice, mid
from mmquant.kernels.fair_value import microprice_ticks

pytestmark = pytest.mark.kernels

prices = st.integers(1, 2**40)
sizes = st.integers(1, 2**40)


def test_hand_numbers_in_half_units():
    # bid 100 x 5, ask 100.5 x 3 at a tick of 0.5: mid 100.25, weighted mid 100.3125.
    assert mid(200, 201) / 2 == 100.25
    assert microprice(200, 5, 201, 3) / 2 == 100.3125
    assert imbalance(5, 3) == 0.25


def test_the_heavier_bid_pushes_the_price_up():
    assert microprice(100, 90, 102, 10) > mid(100, 102) > microprice(100, 10, 102, 90)
    assert imbalance(90, 10) > 0 > imbalance(10, 90)


def test_an_empty_touch_has_the_mid_and_no_imbalance():
    assert microprice(100, 0, 102, 0) == 101.0
    assert imbalance(0, 0) == 0.0


@given(prices, sizes, st.integers(1, 1000), sizes)
def test_the_microprice_is_its_formula_and_lies_within_the_touch(bid, bid_lots, spread, ask_lots):
    ask = bid + spread
    value = microprice_ticks(bid, bid_lots, ask, ask_lots)
    assert bid <= value <= ask
    twin = reference_pricing.microprice(bid, bid_lots, ask, ask_lots)
    assert value == pytest.approx(twin, rel=1e-12)


def test_arrays_broadcast_and_keep_their_shape():
    bids = np.array([[100, 101], [102, 103]])
    out = microprice(bids, 1, bids + 2, np.array([1, 3]))
    assert out.tolist() == [[101.0, 101.5], [103.0, 103.5]]
    assert mid(bids, bids + 1).shape == (2, 2)


def test_frames_come_back_as_frames():
    index = pd.date_range("2024", periods=2, freq="s")
    bids = pd.DataFrame({"a": [100, 101], "b": [102, 103]}, index=index)
    for out in (mid(bids, bids + 2), imbalance(bids, 7), microprice(bids, 1, bids + 2, bids)):
        assert out.index.equals(index)
        assert out.columns.tolist() == ["a", "b"]
    assert mid(bids, bids + 2)["b"].tolist() == [103.0, 104.0]
    assert microprice(100, 1, 102, pd.Series([1, 3], index=index)).tolist() == [101.0, 100.5]
    with pytest.raises(ValueError, match=r"got a Series of shape \(2,\) for \(2, 2\): pass"):
        mid(bids["a"], (bids + 2).to_numpy())


@pytest.mark.parametrize(
    ("error", "arguments", "text"),
    [
        (TypeError, (100.5, 1, 101, 1), "bid_ticks must be whole numbers"),
        (ValueError, (0, 1, 101, 1), "bid_lots must be 0 where bid_ticks are 0"),
        (ValueError, (-1, 0, 101, 1), "bid_ticks must be at least 0, got -1"),
        (ValueError, (100, 1, 101, -3), "ask_lots must be at least 0, got -3"),
    ],
)
def test_what_is_no_touch_is_refused(error, arguments, text):
    with pytest.raises(error, match=text):
        microprice(*arguments)
