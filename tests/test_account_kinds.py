"""Linear, inverse and spot accounts, fees in any asset and funding, against fractions."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_accounts import ReferenceWallet

from mmquant.accounting import Account
from mmquant.codes import FeeAsset
from mmquant.kernels.accounting import account_fill, account_from_position, lot_value
from mmquant.records import INSTRUMENT, POSITION
from mmquant.state import ACCOUNT

pytestmark = pytest.mark.kernels

HORIZON_NS = 50
KINDS = st.one_of(
    st.tuples(st.just("linear"), st.sampled_from(list(FeeAsset))),
    st.tuples(st.just("inverse"), st.sampled_from([FeeAsset.QUOTE, FeeAsset.OTHER])),
)
FILL = st.tuples(
    st.just("fill"),
    st.sampled_from([1, -1]),
    st.integers(600_000, 680_000),
    st.integers(1, 5_000),
    st.integers(-300, 1_000),
)
MARK = st.tuples(st.just("mark"), st.integers(1_200_000, 1_360_000))
FUNDING = st.tuples(
    st.just("fund"), st.integers(-75_000, 75_000), st.integers(1_200_000, 1_360_000)
)
EVENTS = st.lists(st.one_of(FILL, FILL, FILL, MARK, FUNDING), max_size=120)
OTHER_PRICE = 6 * 10**15 + 7  # a coin of 600 where a tick-lot is 1e-7


def made(kind):
    contract, asset = kind
    account = Account(HORIZON_NS, contract=contract, fee_asset=asset)
    if asset == FeeAsset.OTHER:
        account.fee_price(OTHER_PRICE)
    scale = int(account.state[0]["inverse_scale"])
    return account, ReferenceWallet(asset, scale, OTHER_PRICE)


@settings(deadline=None, max_examples=60)
@given(KINDS, EVENTS)
def test_what_is_held_at_the_mark_is_the_equity_whatever_fees_are_paid_in(kind, events):
    account, wallet = made(kind)
    mark = 1_280_000
    account.mark(mark, 0)
    for now, (what, *event) in enumerate(events):
        if what == "fill":
            fee = account.fill(*event, mark, 10 * now)
            assert Fraction(fee, 10**6) == wallet.fill(*event)
        elif what == "mark":
            (mark,) = event
            account.mark(mark, 10 * now)
        else:
            assert Fraction(account.funding(*event, 10 * now), 10**6) == wallet.fund(*event)
    s = account.state[0]
    assert Fraction(account.equity_half_micro_tick_lots(), 2 * 10**6) == wallet.equity(mark)
    assert account.position_lots == wallet.position
    assert Fraction(int(s["base_fees_micro_lots"]), 10**6) == wallet.base_fees
    assert Fraction(int(s["funding_micro_tick_lots"]), 10**6) == wallet.funding
    assert Fraction(int(s["fees_micro_tick_lots"]), 10**6) == wallet.fees
    assert Fraction(-int(s["other_fees_e8"]), 10**8) == wallet.other
    assert s["turnover_tick_lots"] == wallet.turnover
    parts = ("spread", "adverse_selection", "inventory")
    total = int(s["cash_half_tick_lots"])
    total += account.position_lots * lot_value(int(s["inverse_scale"]), mark)
    assert total == sum(int(s[f"{part}_half_tick_lots"]) for part in parts)
    if account.position_lots == 0:
        assert s["cost_half_tick_lots"] == 0


@settings(deadline=None, max_examples=30)
@given(KINDS, EVENTS)
def test_a_position_message_restores_every_kind_of_account(kind, events):
    account, _ = made(kind)
    account.mark(1_280_000, 0)
    for what, *event in events:
        if what == "fill":
            account.fill(*event, 1_280_000, 5)
        elif what == "fund":
            account.funding(*event, 5)
    told = account.position()
    again, _ = made(kind)
    account_from_position(told, again.state)
    assert again.position().tobytes() == told.tobytes()
    assert again.equity_half_micro_tick_lots() == account.equity_half_micro_tick_lots()


def instrument(tick_e8, lot_e8):
    record = np.zeros(1, INSTRUMENT)
    record[0]["tick_size_e8"], record[0]["lot_size_e8"] = tick_e8, lot_e8
    return record


def test_a_spot_purchase_pays_its_fee_in_coins_and_a_sale_in_money():
    # BTCUSDT: tick 0.01, lot 0.00001. 0.5 bought at 60 000.00, 0.2 sold at 61 000.00, 0.1 %.
    account = Account(HORIZON_NS, fee_asset=FeeAsset.RECEIVED)
    account.mark(12_000_000, 0)
    account.fill(1, 6_000_000, 50_000, 1_000, 12_000_000, 1)
    account.fill(-1, 6_100_000, 20_000, 1_000, 12_200_000, 2)
    held = account.balances(instrument(10**6, 10**3), base=1, quote=Decimal("40000"))
    assert held == {
        "base": Decimal("1.3") - Decimal("0.0005"),
        "quote": Decimal("40000") - 30_000 + 12_200 - Decimal("12.2"),
        "other": 0,
    }
    profit = account.profit(instrument(10**6, 10**3))
    # 0.0005 coins were worth 30 when paid and are worth 30.5 at the mark.
    assert profit["fees"] == pytest.approx(42.2)
    assert profit["fee_revaluation"] == pytest.approx(-0.5)
    before = Decimal("40000") + 61_000  # at the present mark
    wealth = held["quote"] + held["base"] * 61_000
    assert profit["total"] == pytest.approx(float(wealth - before))


def test_a_fee_in_a_third_asset_costs_its_price():
    # Tick-lot 1e-4 quote; 600 a unit is 6e12 millionths of it. Notional 64 at 0.075 % = 0.048.
    account = Account(HORIZON_NS, fee_asset=FeeAsset.OTHER)
    account.fee_price(6 * 10**12)
    account.fill(1, 640_000, 1, 750, 1_280_000, 0)
    held = account.balances(instrument(10**7, 10**5), quote=100, other=1)
    assert held == {"base": Decimal("0.001"), "quote": 36, "other": 1 - Decimal("0.00008")}
    assert account.profit(instrument(10**7, 10**5))["fees"] == pytest.approx(0.048)


def test_an_inverse_contract_earns_coins():
    # 100 contracts of 100 USD (a lot each), bought at 50 000, worth 10 000 / 50 000 = 0.2 coins.
    account = Account(HORIZON_NS, contract="inverse")
    account.fill(1, 500_000, 100, 200, 1_000_000, 0)
    account.mark(1_250_000, 1)  # 62 500: worth 0.16 coins
    assert account.position()[0]["average_price_ticks"] == pytest.approx(500_000, rel=1e-12)
    profit = account.profit(instrument(10**7, 100 * 10**8))
    assert profit["total"] == pytest.approx(0.04 - 0.00004, rel=1e-9)
    assert profit["inventory"] == pytest.approx(0.04, rel=1e-9)
    assert profit["fees"] == pytest.approx(0.00004, rel=1e-9)
    paid = account.funding(10_000, 1_000_000, 2)  # 0.01 % of 0.2 coins
    assert paid < 0
    after = account.profit(instrument(10**7, 100 * 10**8))
    assert after["funding"] == pytest.approx(-0.00002, rel=1e-9)
    assert after["total"] == pytest.approx(profit["total"] - 0.00002, rel=1e-9)


def test_who_is_long_pays_funding_to_who_is_short():
    long, short = Account(HORIZON_NS), Account(HORIZON_NS)
    long.fill(1, 640_000, 10, 0, 1_280_000, 0)
    short.fill(-1, 640_000, 10, 0, 1_280_000, 0)
    # 6.4 million tick-lots at 0.01 % are 640.
    assert long.funding(10_000, 1_280_000, 5) == -640 * 10**6
    assert short.funding(10_000, 1_280_000, 5) == 640 * 10**6
    assert Account(HORIZON_NS).funding(10_000, 1_280_000, 5) == 0
    assert long.state[0]["mark_half_ticks"] == 1_280_000


def test_a_record_of_zeros_is_a_linear_account_with_fees_in_its_quote_asset():
    plain, facade = np.zeros(1, ACCOUNT), Account(HORIZON_NS)
    assert plain.tobytes() == facade.state.tobytes()
    account_fill(plain, 1, 100, 3, 10, 201, 1, HORIZON_NS)
    facade.fill(1, 100, 3, 10, 201, 1)
    assert plain.tobytes() == facade.state.tobytes()
    assert facade.position().dtype == POSITION


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Account(1, contract="swap"), ValueError, "contract must be one of"),
        (lambda: Account(1, fee_asset=9), ValueError, "fee_asset must be a codes.FeeAsset"),
        (
            lambda: Account(1, contract="inverse", fee_asset=FeeAsset.BASE),
            ValueError,
            "fee_asset must be QUOTE",
        ),
        (
            lambda: Account(1, fee_asset=FeeAsset.OTHER).fill(1, 1, 1, 1, 2, 0),
            RuntimeError,
            "call fee_price before",
        ),
        (lambda: Account(1).fee_price(0), ValueError, "micro_tick_lots must be between"),
        (lambda: Account(1).funding(10**9, 1, 0), ValueError, "rate_e8 must be between"),
        (lambda: Account(1).funding(1, 0, 0), ValueError, "price_half_ticks must be between"),
        (
            lambda: Account(1).balances(instrument(1, 1), base=0.5),
            TypeError,
            "base must be a Decimal",
        ),
        (
            lambda: Account(1, contract="inverse").balances(instrument(1, 1)),
            ValueError,
            "balances are of spot",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(call, error, message):
    with pytest.raises(error, match=message):
        call()
