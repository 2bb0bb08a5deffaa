"""The gate's every reason, and the venue's filters in exact integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_trading import gate, minimum_tick_lots, order_reason

from mmquant.codes import BookState, PricingFlag, Reason
from mmquant.kernels import risk
from mmquant.quoting import strategy_params
from mmquant.records import INSTRUMENT, PRICING
from mmquant.risk import explain

pytestmark = pytest.mark.kernels

FILTERS = [name for name in INSTRUMENT.names if name.endswith(("_ticks", "_lots", "_e8"))]
LIVE_AND_WARM = int(PricingFlag.LIVE | PricingFlag.WARM)


def good_inputs():
    params = strategy_params(
        order_lots=10,
        position_limit_lots=50,
        min_half_spread_ticks=1.0,
        volatility_multiple=1.0,
        horizon_s=1.0,
        max_spread_ticks=20,
    )
    pricing = np.zeros(1, PRICING)
    p = pricing[0]
    p["instrument_id"] = 7
    p["bid_ticks"], p["ask_ticks"] = 999, 1001
    p["fair_value_ticks"], p["volatility_ticks_per_sqrt_s"] = 1000.0, 1.0
    p["flags"], p["book_state"] = LIVE_AND_WARM, BookState.LIVE
    instrument = np.zeros(1, INSTRUMENT)
    instrument[0]["instrument_id"] = 7
    instrument[0]["tick_size_e8"] = instrument[0]["lot_size_e8"] = 10**4
    return params, pricing, instrument


def test_all_well_lets_the_quotes_through():
    assert risk.risk_gate(*good_inputs(), 1, 1) == Reason.NONE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"book_state": BookState.GAP}, Reason.BOOK_NOT_LIVE),
        ({"book_state": BookState.STALE}, Reason.BOOK_NOT_LIVE),
        ({"flags": PricingFlag.WARM}, Reason.BOOK_NOT_LIVE),
        ({"flags": PricingFlag.LIVE}, Reason.NOT_WARM),
        ({"bid_ticks": 0}, Reason.NO_MARKET_DATA),
        ({"ask_ticks": 0}, Reason.NO_MARKET_DATA),
        ({"bid_ticks": 1001}, Reason.BOOK_CROSSED),
        ({"fair_value_ticks": np.nan}, Reason.NOT_FINITE),
        ({"drift_ticks_per_s": np.inf}, Reason.NOT_FINITE),
        ({"volatility_ticks_per_sqrt_s": np.inf}, Reason.NOT_FINITE),
        ({"volatility_ticks_per_sqrt_s": -1.0}, Reason.NOT_FINITE),
        ({"ask_ticks": 1019}, Reason.NONE),
        ({"ask_ticks": 1020}, Reason.SPREAD_TOO_WIDE),
        ({"instrument_id": 8}, Reason.NO_INSTRUMENT),
    ],
)
def test_each_fault_of_the_pricing_has_its_reason(changes, reason):
    params, pricing, instrument = good_inputs()
    for field, value in changes.items():
        pricing[0][field] = value
    assert risk.risk_gate(params, pricing, instrument, 1, 1) == reason


def test_each_missing_input_has_its_reason():
    params, pricing, instrument = good_inputs()
    assert risk.risk_gate(params, pricing, instrument, 0, 1) == Reason.NO_POSITION
    assert risk.risk_gate(params, pricing, instrument, 1, 0) == Reason.UPSTREAM_SILENT
    unknown = np.zeros(1, INSTRUMENT)
    assert risk.risk_gate(params, pricing, unknown, 1, 0) == Reason.NO_INSTRUMENT


@settings(deadline=None)  # the first call compiles
@given(st.data())
def test_the_first_rule_broken_gives_the_reason(data):
    params, pricing, instrument = good_inputs()
    p = pricing[0]
    p["book_state"] = data.draw(st.sampled_from([BookState.LIVE, BookState.SYNCING]))
    p["flags"] = data.draw(st.sampled_from([1, 2, 3, 3, 3]))
    p["bid_ticks"] = data.draw(st.sampled_from([0, 999, 999, 1001, 970]))
    p["fair_value_ticks"] = data.draw(st.sampled_from([1000.0, 1000.0, np.nan]))
    known, upstream = data.draw(st.tuples(st.integers(0, 1), st.integers(0, 1)))
    instrument[0]["instrument_id"] = data.draw(st.sampled_from([7, 7, 8, 0]))
    code = risk.risk_gate(params, pricing, instrument, known, upstream)
    assert code == gate(params[0], p, instrument[0], known, upstream)


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
    assert risk.order_reason(instrument, least, price, qty) == order_reason(exact, price, qty)


def test_a_maximum_of_zero_is_no_maximum():
    instrument = np.zeros(1, INSTRUMENT)
    instrument[0]["tick_size_e8"] = instrument[0]["lot_size_e8"] = 1
    assert risk.order_reason(instrument, 0, 2**50, 2**50) == Reason.NONE


def test_every_reason_can_be_explained():
    for reason in Reason:
        assert explain(reason).startswith(reason.name)
    assert explain(4) == "BOOK_NOT_LIVE: the book is not synchronised with the venue"
    with pytest.raises(ValueError, match="got 9999"):
        explain(9999)
