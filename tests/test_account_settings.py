"""simulator.toml's [account] and [funding]: what they make of an instrument, what is refused."""

from decimal import Decimal

import numpy as np
import pytest
from mm_runtime.config import ConfigError, load
from mm_runtime.settings import SimulatorSettings

from mmquant.account_settings import account_of
from mmquant.accounting import Account
from mmquant.codes import FeeAsset, Market
from mmquant.configure import Config
from mmquant.records import INSTRUMENT
from mmquant.state import ACCOUNT

HOUR_NS = 3600 * 10**9
SIZES = {Market.USDM: (10**7, 10**5), Market.SPOT: (10**6, 10**3)}


def instrument(market):
    record = np.zeros(1, INSTRUMENT)
    record[0]["symbol"], record[0]["market"] = b"BTCUSDT", market
    record[0]["tick_size_e8"], record[0]["lot_size_e8"] = SIZES[market]
    return record


def made(market=Market.USDM, funding=None, **account):
    changes = {"account": account, "funding": funding or {}}
    return account_of(Config().changed(simulator=changes).simulator, instrument(market))


def test_by_default_spot_has_balances_and_usdm_is_a_linear_contract():
    spot, funding = made(Market.SPOT)
    assert (spot.kind, spot.fee_asset, funding.rate_e8) == ("spot", FeeAsset.RECEIVED, 0)
    linear, funding = made()
    assert (linear.kind, linear.fee_asset, funding.rate_e8) == ("linear", FeeAsset.QUOTE, 0)
    assert linear.empty().tobytes() == np.zeros(1, ACCOUNT).tobytes()
    assert linear.tick_lot_value == pytest.approx(0.1 * 0.001, rel=1e-15)


def test_an_inverse_lot_is_worth_its_size_over_the_price():
    kind, _ = made(kind="inverse", contract_size="100")
    account = Account(1)
    account.state = kind.empty()
    account.fill(1, 500_000, 1_000, 200, 1_000_000, 0)  # 1 contract of 100 at 50 000
    account.mark(1_250_000, 1)
    position = account.position()[0]
    coins = 100 / 50_000 - 100 / 62_500
    assert position["total_half_tick_lots"] / 2 * kind.tick_lot_value == pytest.approx(coins)
    fees = position["fees_micro_tick_lots"] * 1e-6 * kind.tick_lot_value
    assert fees == pytest.approx(100 / 50_000 * 200e-6)
    quote = position["total_half_tick_lots"] / 2 * position["quote_worth"] * 1e-4
    assert quote == pytest.approx(coins * 62_500)


def test_a_third_assets_price_is_counted_in_tick_lots():
    for market, account in ((Market.USDM, {}), (Market.SPOT, {})):
        kind, _ = made(market, fee_asset="other", fee_asset_price="612.5", **account)
        unit = Decimal("0.0001") if market is Market.USDM else Decimal("0.0000001")
        assert kind.fee_price_micro_tick_lots == Decimal("612.5") / unit * 10**6
        assert kind.fee_asset == FeeAsset.OTHER


def test_funding_is_of_contracts_and_at_whole_intervals():
    _, funding = made(funding={"rate_ppm": 34.75, "interval_h": 4})
    assert (funding.rate_e8, funding.interval_ns) == (3475, 4 * HOUR_NS)
    assert funding.after(0) == funding.after(4 * HOUR_NS - 1) == 4 * HOUR_NS
    assert funding.after(4 * HOUR_NS) == 8 * HOUR_NS
    assert made(Market.SPOT, {"rate_ppm": 34.75})[1].rate_e8 == 0


WRONG = [
    ({"kind": "swap"}, "account.kind: must be one of .*got 'swap'"),
    ({"kind": "spot"}, "kind: must be auto, linear or inverse for usdm:BTCUSDT, got 'spot'"),
    ({"fee_asset": "coins"}, "account.fee_asset: must be one of"),
    ({"fee_asset": "base"}, "fee_asset: must be auto, quote or other for usdm:BTCUSDT"),
    ({"kind": "inverse", "fee_asset": "received"}, "where kind is 'inverse', got 'received'"),
    ({"fee_asset": "other"}, "fee_asset_price: must be a decimal number .*got ''"),
    ({"fee_asset": "other", "fee_asset_price": "-1"}, "fee_asset_price: must be > 0, got '-1'"),
    ({"fee_asset": "other", "fee_asset_price": "1e14"}, "can be counted in"),
    ({"fee_asset_price": "600"}, "must be empty unless fee_asset is 'other', got '600'"),
    ({"contract_size": "100"}, "contract_size: must be '1' unless kind is 'inverse'"),
    ({"kind": "inverse", "contract_size": "0"}, "contract_size: must be > 0, got '0'"),
    ({"quote_balance": "much"}, "quote_balance: must be a decimal number .*got 'much'"),
    ({"base_balance": 0.5}, "base_balance: must be a decimal number in quotes .*got 0.5"),
    ({"other_balance": "Infinity"}, "other_balance: must be a decimal number"),
]


@pytest.mark.parametrize(("account", "words"), WRONG)
def test_what_makes_no_sense_is_refused_by_key_rule_and_value(account, words):
    with pytest.raises(ValueError, match=f"^simulator.toml: .*{words}"):
        made(**account)


@pytest.mark.parametrize(
    ("funding", "words"),
    [
        ({"rate_ppm": 30_001}, "rate_ppm: must be from -30000 to 30000, got 30001"),
        ({"rate_ppm": float("nan")}, "rate_ppm: must be from"),
        ({"rate_ppm": "100"}, "rate_ppm: must be from"),
        ({"interval_h": 3}, "interval_h: must be one of 1, 2, 4, 8, got 3"),
    ],
)
def test_funding_that_makes_no_sense_is_refused(funding, words):
    with pytest.raises(ValueError, match=f"^simulator.toml: funding.{words}"):
        made(funding=funding)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[account]\nkind = "swap"', "account.kind: must be one of 'auto'"),
        ('[account]\nfee_asset_price = "600"', "account.fee_asset_price: must be empty unless"),
        ('[account]\nquote_balance = "x"', "account.quote_balance: must be a decimal number"),
        ("[account]\nquote_balance = 5", "account.quote_balance: must be a string in quotes"),
        ("[funding]\ninterval_h = 3", "funding.interval_h: must be one of"),
        ("[funding]\nrate_ppm = 1e6", "funding.rate_ppm: must be <= 30000"),
        ("[account]\nkindd = 1", "account.kindd: unknown key, the nearest valid one is 'kind'"),
    ],
)
def test_the_services_say_it_with_the_file(tmp_path, text, words):
    (tmp_path / "simulator.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load("simulator", SimulatorSettings, tmp_path, {})
    assert str(caught.value).startswith(f"{tmp_path / 'simulator.toml'}: {words}")
