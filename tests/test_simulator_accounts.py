"""The service keeps the account of simulator.toml, and the ledger has all of it."""

import contextlib
import sqlite3
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from mm_runtime.agent import CannotStart
from mm_runtime.settings.simulator import AccountSettings, FeeSettings, FundingSettings
from mm_simulator.ledger import Ledger, LedgerError
from reference_accounts import ReferenceWallet
from simulator_bench import MIDNIGHT_NS, SimulatorBench

from mmquant.account_settings import inverse_scale_at
from mmquant.codes import FeeAsset, Market, Side
from mmquant.ledger import read_ledger
from mmquant.position_profit import profit_of

S, HOUR = 10**9, 3600 * 10**9
START = MIDNIGHT_NS + 3 * HOUR
BID = {Market.USDM: 640_000, Market.SPOT: 6_400_000}
KEY = {Market.USDM: "usdm:BTCUSDT", Market.SPOT: "spot:BTCUSDT"}
FUNDED = FundingSettings(rate_ppm=100.0, interval_h=8)
TRADES = [(1, 0, 30), (1, 11, 20), (-1, 40, 25), (-1, -7, 60), (1, -20, 5)]
PARTS = ("spread", "adverse_selection", "inventory")

KINDS = [
    (Market.USDM, {}, FeeAsset.QUOTE),
    (Market.SPOT, {}, FeeAsset.RECEIVED),
    (Market.SPOT, {"fee_asset": "base"}, FeeAsset.BASE),
    (Market.SPOT, {"fee_asset": "quote"}, FeeAsset.QUOTE),
    (Market.SPOT, {"fee_asset": "other", "fee_asset_price": "612.5"}, FeeAsset.OTHER),
    (Market.USDM, {"fee_asset": "other", "fee_asset_price": "612.5"}, FeeAsset.OTHER),
    (Market.USDM, {"kind": "inverse", "contract_size": "100"}, FeeAsset.QUOTE),
    (
        Market.USDM,
        {
            "kind": "inverse",
            "contract_size": "10000",
            "fee_asset": "other",
            "fee_asset_price": "0.01",
        },
        FeeAsset.OTHER,
    ),
]


def ledger_of(folder):
    return folder / "ledger.sqlite"


def query(folder, statement):
    with contextlib.closing(sqlite3.connect(ledger_of(folder))) as database, database:
        return database.execute(statement).fetchall()


def last(table):
    """Return the newest row, its integers as Python's."""
    row = table.iloc[-1]
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in row.items()
    }


def traded(folder, market, account, now_ns=START, fees=None, **more):
    """Trade a little, across a time of funding, and return the bench."""
    bench = SimulatorBench(
        folder,
        now_ns,
        market,
        account=AccountSettings(**account),
        fees=fees or FeeSettings(),
        funding=FUNDED,
        **more,
    )
    for side, move, qty in TRADES[:3]:
        bench.trade(side, BID[market] + move, qty)
    bench.clock.time_ns = MIDNIGHT_NS + 8 * HOUR
    for side, move, qty in TRADES[3:]:
        bench.trade(side, BID[market] + move, qty)
    bench.book(BID[market] + 3)
    bench.turn(2 * S)
    return bench


@pytest.mark.parametrize(("market", "account", "asset"), KINDS)
@pytest.mark.parametrize("maker_ppm", [750, -50])
def test_the_ledger_has_what_each_account_holds(tmp_path, market, account, asset, maker_ppm):
    fees = FeeSettings(spot_maker_ppm=maker_ppm, usdm_maker_ppm=maker_ppm)
    bench = traded(tmp_path, market, account, fees=fees)
    kind = bench.desk.kind
    price = int(bench.account["other_price_micro_tick_lots"])
    wallet = ReferenceWallet(asset, kind.inverse_scale, price)
    tables = read_ledger(ledger_of(tmp_path))
    funding = tables.funding.to_dict("records")
    for fill in tables.fills.to_dict("records"):
        if funding and funding[0]["time_ns"] <= fill["time_ns"]:
            paid = funding.pop(0)
            wallet.fund(paid["rate_e8"], paid["price_half_ticks"])
        args = (fill["side"], fill["price_ticks"], fill["qty_lots"], maker_ppm)
        assert Fraction(fill["fee_micro_tick_lots"], 10**6) == wallet.fill(*args)
    row = last(tables.positions)
    assert row["position_lots"] == sum(side * qty for side, _, qty in TRADES) == wallet.position
    # Exactly: what is held at the mark is what was made.
    then, coins = row["base_fees_micro_tick_lots"], row["base_fees_micro_lots"]
    made = Fraction(row["total_half_tick_lots"], 2) - Fraction(row["fees_micro_tick_lots"], 10**6)
    made += Fraction(row["funding_micro_tick_lots"], 10**6)
    made += Fraction(then, 10**6) - Fraction(coins * row["mark_half_ticks"], 2 * 10**6)
    assert made == wallet.equity(row["mark_half_ticks"])
    worth = wallet.worth(row["mark_half_ticks"])
    total = Fraction(row["cash_half_tick_lots"], 2) + row["position_lots"] * worth
    assert total == Fraction(row["total_half_tick_lots"], 2)
    assert row["total_half_tick_lots"] == sum(row[f"{part}_half_tick_lots"] for part in PARTS)
    assert Fraction(coins, 10**6) == wallet.base_fees
    assert Fraction(-row["other_fees_e8"], 10**8) == wallet.other
    assert row["profit"] == pytest.approx(float(made) * kind.tick_lot_value, rel=1e-9)
    by_asset = tables.fills.groupby("fee_asset")["fee_amount"].sum().to_dict()
    assert by_asset.get(int(FeeAsset.BASE), 0) == coins
    assert by_asset.get(int(FeeAsset.OTHER), 0) == row["other_fees_e8"]
    view = query(tmp_path, "SELECT profit, funding FROM v_positions ORDER BY time DESC LIMIT 1")
    assert view == [(pytest.approx(row["profit"]), pytest.approx(row["funding"]))]
    if asset != FeeAsset.OTHER:
        spent = query(tmp_path, "SELECT SUM(fee) FROM v_fills")[0][0]
        assert spent == pytest.approx(row["fees"])


@pytest.mark.parametrize(("market", "account", "asset"), KINDS)
def test_a_restart_goes_on_and_a_replay_of_the_ledger_rebuilds(tmp_path, market, account, asset):
    bench = traded(tmp_path, market, account)
    before = bench.desk.main.account.copy()
    bench.close()
    again = SimulatorBench(
        tmp_path, bench.clock.time_ns, market, account=AccountSettings(**account), funding=FUNDED
    )
    before["now_ns"] = again.account["now_ns"]  # time goes on
    assert again.desk.main.account.tobytes() == before.tobytes()
    again.trade(1, BID[market], 7)
    assert again.account["position_lots"] == before[0]["position_lots"] + 7
    after = again.account.copy()
    again.close()
    query(tmp_path, "UPDATE accounts SET layout = 'another'")
    ledger = Ledger(ledger_of(tmp_path), "NORMAL", 0)
    replayed = ledger.restore(KEY[market]).account[0]
    ledger.close()
    names = ["position_lots", "cash_half_tick_lots", "cost_half_tick_lots", "fills"]
    names += ["spread_half_tick_lots", "funding_micro_tick_lots", "turnover_tick_lots"]
    names += [name for name in after.dtype.names if "fees_" in name]
    assert {name: replayed[name] for name in names} == {name: after[name] for name in names}


def test_a_spot_account_has_balances(tmp_path):
    account = {"base_balance": "1.5", "quote_balance": "20000", "fee_asset": "auto"}
    bench = SimulatorBench(tmp_path, START, Market.SPOT, account=AccountSettings(**account))
    buy = bench.trade(Side.BUY, BID[Market.SPOT], 50_000)
    sell = bench.trade(Side.SELL, BID[Market.SPOT] + 100, 20_000)
    held = bench.desk.balances()
    assert held == {
        "base": Decimal("1.5") + Decimal("0.5") * Decimal("0.999") - Decimal("0.2"),
        "quote": 20_000 - Decimal(buy) / 100 / 2 + Decimal(sell) / 100 / 5 * Decimal("0.999"),
        "other": 0,
    }
    bench.book(BID[Market.SPOT])
    bench.turn(2 * S)
    row = last(read_ledger(ledger_of(tmp_path)).positions)
    shown = query(tmp_path, "SELECT base, quote, other FROM v_balances ORDER BY time DESC LIMIT 1")
    for k, asset in enumerate(("base", "quote", "other")):
        assert row[f"{asset}_balance"] == pytest.approx(float(held[asset]), rel=1e-12)
        assert shown[0][k] == pytest.approx(float(held[asset]), rel=1e-12)
    samples = {s.labels[1]: s.value for s in bench.service.samples() if s.metric == "balance"}
    assert samples == {name: float(amount) for name, amount in held.items()}
    bench.close()
    other = AccountSettings(**(account | {"quote_balance": "30000"}))
    words = r"with quote_balance 20000, account.quote_balance of simulator.toml now has 30000"
    with pytest.raises(LedgerError, match=words):
        SimulatorBench(tmp_path, START, Market.SPOT, account=other)


def test_an_inverse_contract_pays_in_coins_and_the_strategy_hears_what_they_are_worth(tmp_path):
    account = AccountSettings(kind="inverse", contract_size="100")
    free = FeeSettings(usdm_maker_ppm=0)
    bench = SimulatorBench(tmp_path, START, account=account, fees=free)
    bench.trade(Side.BUY, 499_999, 1_000_000)  # 1000 of 100 each at 49 999.9, 2 coins
    bench.book(624_999)  # the mid is 62 500: they are worth 1.6
    bench.turn(2 * S)
    row = last(read_ledger(ledger_of(tmp_path)).positions)
    coins = 100_000 / 49_999.9 - 100_000 / 62_500
    assert row["profit"] == pytest.approx(coins, rel=1e-6)
    assert row["average_price"] == pytest.approx(49_999.9)
    told = profit_of(bench.positions[-1], bench.desk.instrument[0])
    assert told["total"] == pytest.approx(coins * 62_500, rel=1e-6)
    samples = {s.labels[1]: s.value for s in bench.service.samples() if s.metric == "profit"}
    assert sum(samples.values()) == pytest.approx(told["total"])
    view = query(tmp_path, "SELECT average_price FROM v_positions ORDER BY time DESC LIMIT 1")
    assert view == [(pytest.approx(49_999.9),)]
    assert bench.desk.kind.inverse_scale == inverse_scale_at(10**6) == 10**14  # of the first mid
    bench.close()
    again = SimulatorBench(tmp_path, bench.clock.time_ns, account=account, fees=free)
    again.book(6_249)  # another price by far: what is counted already stays as it is
    again.turn(2 * S)
    assert again.desk.kind.inverse_scale == again.account["inverse_scale"] == 10**14
    row = last(read_ledger(ledger_of(tmp_path)).positions)
    assert row["profit"] == pytest.approx(100_000 / 49_999.9 - 100_000 / 625, rel=1e-6)
    again.close()
    with pytest.raises(
        LedgerError, match=r"inverse_scale .*account\.kind of simulator\.toml now has 0"
    ):
        SimulatorBench(tmp_path, START, account=AccountSettings())


def test_an_account_that_is_none_of_the_instrument_stops_the_service(tmp_path):
    with pytest.raises(
        CannotStart, match=r"kind: must be auto, linear or inverse for usdm:BTCUSDT"
    ):
        SimulatorBench(tmp_path, START, account=AccountSettings(kind="spot"))


def test_every_row_has_its_time(tmp_path):
    bench = SimulatorBench(tmp_path, START)
    bench.turn(2 * S)  # no market yet
    for _ in range(2):
        bench.book(BID[Market.USDM])
        bench.turn(2 * S)
    times = [row[0] for row in query(tmp_path, "SELECT time_ns FROM positions ORDER BY time_ns")]
    assert len(times) > 1
    assert times[0] >= START
