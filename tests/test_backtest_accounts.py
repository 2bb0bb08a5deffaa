"""The backtest keeps the account of simulator.toml: every kind, fees in any asset, funding."""

import os
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from reference_accounts import ReferenceWallet
from reference_backtest import ReferenceBacktest
from small_tape import make_tape

from mmquant import backtest
from mmquant.backtest import _Traded
from mmquant.codes import FeeAsset, Market

pytestmark = [
    pytest.mark.kernels,
    pytest.mark.skipif(bool(os.environ.get("NUMBA_BOUNDSCHECK")), reason="stage by stage"),
]

MS = 1_000_000
HOUR = 3600 * 10**9
MIDNIGHT_NS = 1_700_006_400 * 10**9  # 2023-11-15 00:00 UTC
QUICK = {"pricing": {"warmup_s": 0.1}, "strategy": {"requote_ticks": 3, "levels": 2}}
STEPS = 90
EIGHT = MIDNIGHT_NS + 8 * HOUR
START = EIGHT - 450 * MS
FUNDED = {"rate_ppm": 100.0}
KINDS = [
    (Market.USDM, {}, FeeAsset.QUOTE),
    (Market.SPOT, {}, FeeAsset.RECEIVED),
    (Market.SPOT, {"fee_asset": "base"}, FeeAsset.BASE),
    (Market.SPOT, {"fee_asset": "other", "fee_asset_price": "612.5"}, FeeAsset.OTHER),
    (Market.USDM, {"kind": "inverse", "contract_size": "100"}, FeeAsset.QUOTE),
    (
        Market.USDM,
        {
            "kind": "inverse",
            "contract_size": "100",
            "fee_asset": "other",
            "fee_asset_price": "0.01",
        },
        FeeAsset.OTHER,
    ),
]


def run(market=Market.USDM, **simulator):
    tape = make_tape(STEPS, 8, market=market, start_ns=START)
    return backtest.run(tape, simulator={"markout_horizon_ms": 50, **simulator}, **QUICK)


@pytest.mark.parametrize(("market", "account", "asset"), KINDS)
def test_the_parts_add_up_to_what_is_held(market, account, asset):
    rates = {"spot_maker_ppm": 750, "usdm_maker_ppm": -150}
    result = run(market, account=account, fees=rates, funding=FUNDED)
    one = result.instrument()
    a = one.desk.account[0]
    price = int(a["other_price_micro_tick_lots"])
    wallet = ReferenceWallet(asset, one.kind.inverse_scale, price)
    payments = list(one.fundings)
    assert len(payments) == (market is Market.USDM)
    for fill in one.fills:
        if payments and payments[0]["now_ns"] <= fill["now_ns"]:
            paid = payments.pop(0)
            wallet.fund(int(paid["rate_e8"]), int(paid["price_half_ticks"]))
        ppm = 750 if market is Market.SPOT else -150
        wallet.fill(*(int(fill[n]) for n in ("side", "price_ticks", "qty_lots")), ppm)
    equity = float(wallet.equity(int(a["mark_half_ticks"]))) * one.unit
    metrics, parts = result.metrics(), one.parts()
    assert one.fills.size > 5
    assert metrics["net_profit"] == pytest.approx(equity, rel=1e-9)
    assert sum(parts.values()) == pytest.approx(equity, rel=1e-9)
    assert parts["funding"] == pytest.approx(float(wallet.funding) * one.unit, rel=1e-9)
    assert metrics["funding"] == pytest.approx(result.funding()["amount"].sum(), rel=1e-9)
    assert metrics["fees"] == pytest.approx(float(wallet.fees) * one.unit, rel=1e-9)
    assert metrics["notional"] == pytest.approx(float(wallet.turnover) * one.unit)
    table = result.decomposition().loc[("all", "all")]
    assert table["total_half_tick_lots"] == int(a["cash_half_tick_lots"]) + round(
        2 * wallet.worth(int(a["mark_half_ticks"])) * wallet.position
    )
    assert table["fees_micro_tick_lots"] == Fraction(wallet.fees) * 10**6
    assert table["total_half_tick_lots"] / 2 * one.unit == pytest.approx(metrics["gross_profit"])
    curve = result.curve()
    assert curve["total_half_tick_lots"].iloc[-1] == table["total_half_tick_lots"]
    money = result.equity()
    net = money["gross"] - money["fees"] + money["funding"] + money["fee_revaluation"]
    assert (money["net"] == net).all()
    assert (money["funding"].iloc[-1] != 0) == (market is Market.USDM)


def test_a_spot_account_has_balances():
    start = {"base_balance": "2", "quote_balance": "50000.5"}
    one = run(Market.SPOT, account=start).instrument()
    bought = one.fills[one.fills["side"] > 0]["qty_lots"].sum()
    sold = one.fills[one.fills["side"] < 0]["qty_lots"].sum()
    base = 2 + Decimal("0.001") * (int(bought) * Decimal("0.999") - int(sold))
    assert one.balances()["base"] == base
    assert one.balances()["quote"] != Decimal("50000.5")
    with pytest.raises(ValueError, match="balances are of spot accounts, got linear"):
        run().instrument().balances()


def test_funding_is_that_of_the_slow_twin_row_by_row():
    tape = make_tape(STEPS, 5, start_ns=START)
    times = tape.events["received_ns"]
    times[np.searchsorted(times, EIGHT)] = EIGHT  # a message as the clock strikes
    simulator = {"markout_horizon_ms": 100, "funding": {"rate_ppm": -50.0, "interval_h": 1}}
    result = backtest.run(tape, simulator=simulator, **QUICK)
    one = result.instrument()
    config = backtest.Config().changed(simulator=simulator, **QUICK)
    traded = _Traded(tape, 0, config, {}, 100.0)
    intervals = (1_000 * MS, 500 * MS, 20 * MS, 1_000 * MS)
    twin = ReferenceBacktest(tape, 0, traded._desk, traded._model, intervals, (-5_000, HOUR))
    twin.run()
    assert [tuple(int(x) for x in row) for row in one.fundings] == twin.payments
    assert [row[0] for row in twin.payments] == [EIGHT]
    assert one.events.tobytes() == b"".join(event.tobytes() for event in twin.events)
    assert one.positions.tobytes() == b"".join(p.tobytes() for _, p in twin.positions)
    assert one.desk.account.tobytes() == traded._desk.account.tobytes()


def test_rows_in_memory_that_was_used_before_are_the_same(monkeypatch):
    def used(size):
        rows = room(size)
        for array in rows:
            array.view(np.uint8)[:] = 0xA5
        return rows

    first, room = run(funding=FUNDED), backtest._rows
    monkeypatch.setattr(backtest, "_rows", used)
    again = run(funding=FUNDED)
    assert again.instrument().fundings.size == 1
    assert again.hash == first.hash


def test_the_summary_and_the_page_name_funding(tmp_path):
    result = run(funding=FUNDED)
    assert ", funding " in result.summary()
    assert "funding received" in result.report(tmp_path / "r.html").read_text()
    assert "funding" not in run().summary()
    assert run(funding=FUNDED).hash == result.hash != run().hash


@pytest.mark.parametrize(
    ("account", "held", "earned"),
    [
        ({}, "base asset", "quote asset"),
        ({"kind": "inverse", "contract_size": "100"}, "contracts", "coin"),
    ],
)
def test_page_and_plots_say_what_is_held_and_earned(tmp_path, account, held, earned):
    result = run(account=account)
    page = result.report(tmp_path / "r.html").read_text()
    assert f"numbers (money in the {earned})" in page
    assert f"by kind and side of fills ({earned})" in page
    timed, _ = result.plot().children
    labels = [figure.yaxis.axis_label for figure in timed.children]
    assert labels[1:] == [f"position ({held})", f"profit ({earned})", f"profit ({earned})"]


def test_what_the_instrument_cannot_be_is_refused():
    words = "simulator.toml: account.kind: must be auto, linear or inverse for usdm:BTCUSDT"
    with pytest.raises(ValueError, match=words):
        run(account={"kind": "spot"})
    with pytest.raises(ValueError, match=r"simulator\.toml: funding\.interval_h"):
        run(funding={"interval_h": 5})
