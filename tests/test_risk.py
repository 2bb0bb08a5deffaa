"""The venue's filters in exact integers, and every reason in words."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_strategy import venue_reason
from reference_trading import minimum_tick_lots, order_reason

from mmquant.codes import Reason, Side
from mmquant.kernels import risk
from mmquant.records import INSTRUMENT
from mmquant.risk import explain

pytestmark = pytest.mark.kernels

FILTERS = [name for name in INSTRUMENT.names if name.endswith(("_ticks", "_lots", "_e8"))]


@settings(deadline=None)
@given(st.integers(0, 10**13), st.integers(10**2, 10**12), st.integers(1, 10**12))
def test_the_minimum_notional_in_tick_lots_is_exact(min_notional_e8, tick_size_e8, lot_size_e8):
    least = risk.minimum_tick_lots(min_notional_e8, tick_size_e8, lot_size_e8)
    exact = minimum_tick_lots(min_notional_e8, tick_size_e8, lot_size_e8)
    if least == 2**62:  # given up: no order reaches it
        assert min_notional_e8 * 10**8 > 2**57 * max(tick_size_e8, lot_size_e8)
    else:
        assert least == exact


@settings(deadline=None)
@given(
    st.integers(-5, 2**45),
    st.integers(-5, 2**45),
    st.integers(0, 10**11),
    st.sampled_from([1, 10**2, 10**6, 10**8]),
    st.sampled_from([10**3, 10**8]),
)
def test_the_filters_agree_with_exact_arithmetic(price, qty, notional, tick_size, lot_size):
    instrument = np.zeros(1, INSTRUMENT)
    i = instrument[0]
    i["tick_size_e8"], i["lot_size_e8"], i["min_notional_e8"] = tick_size, lot_size, notional
    i["min_price_ticks"], i["max_price_ticks"] = 10, 2**44
    i["min_qty_lots"], i["max_qty_lots"] = 2, 2**43
    least = risk.minimum_tick_lots(notional, tick_size, lot_size)
    exact = {name: int(i[name]) for name in FILTERS}
    assert risk.order_reason(instrument[0], least, price, qty) == order_reason(exact, price, qty)


@settings(deadline=None)
@given(
    st.sampled_from(list(Side)),
    st.integers(-5, 2**30),
    st.integers(-5, 2**30),
    st.sampled_from([0, 10**8, 9 * 10**14]),
    st.tuples(*[st.sampled_from([0, 20_000_000, 95_000_000, 105_000_001, 500_000_000])] * 4),
    st.integers(2, 2**31),
)
def test_all_filters_agree_with_exact_arithmetic(side, price, qty, most, multiples, reference):
    instrument = np.zeros(1, INSTRUMENT)
    i = instrument[0]
    i["tick_size_e8"], i["lot_size_e8"], i["max_notional_e8"] = 10**6, 10**3, most
    names = ("buy_up_e8", "buy_down_e8", "sell_up_e8", "sell_down_e8")
    for name, value in zip(names, multiples, strict=True):
        i[name] = value
    exact = {name: int(i[name]) for name in FILTERS}
    limit = risk.maximum_tick_lots(most, 10**6, 10**3)
    # Half the examples near the reference, where the percentages decide.
    for near in (price, reference // 2 * 95 // 100, reference // 2):
        got = risk.venue_reason(instrument[0], 0, limit, side, near, qty, reference)
        assert got == venue_reason(exact, side, near, qty, reference)


@settings(deadline=None)
@given(st.integers(0, 10**15), st.integers(1, 10**9), st.integers(1, 10**9))
def test_the_maximum_notional_in_tick_lots_is_exact(most, tick_size, lot_size):
    limit = risk.maximum_tick_lots(most, tick_size, lot_size)
    if limit == 2**62:  # none, or beyond every order
        assert most == 0 or most * 10**8 > 2**57 * max(tick_size, lot_size)
    else:
        assert limit == most * 10**8 // (tick_size * lot_size)


def test_a_maximum_of_zero_is_no_maximum():
    instrument = np.zeros(1, INSTRUMENT)
    instrument[0]["tick_size_e8"] = instrument[0]["lot_size_e8"] = 1
    assert risk.order_reason(instrument[0], 0, 2**50, 2**50) == Reason.NONE


def test_every_reason_can_be_explained():
    for reason in Reason:
        assert explain(reason).startswith(reason.name)
    assert explain(4) == "BOOK_NOT_LIVE: the book is not synchronised with the venue"
    with pytest.raises(ValueError, match="got 9999"):
        explain(9999)
