"""A backtest's bracket: the same quotes under other fill models, as each alone sees them."""

import os

import pytest
from reference_backtest import ReferenceBacktest
from small_tape import make_tape

from mmquant import backtest
from mmquant.backtest import _Traded

# As in test_backtest.py.
pytestmark = [
    pytest.mark.kernels,
    pytest.mark.skipif(bool(os.environ.get("NUMBA_BOUNDSCHECK")), reason="stage by stage"),
]

MODELS = {"optimistic": "cancel_ahead", "central": "prob_draw", "pessimistic": "risk_averse"}
PRICING = {"warmup_s": 0.1}
STRATEGY = {"requote_ticks": 3, "levels": 2}
MS = 1_000_000
HOUR_NS = 3_600 * 10**9


def traded(tape, simulator=None, **more):
    simulator = {"markout_horizon_ms": 100, **(simulator or {})}
    options = {"strategy": STRATEGY, "pricing": PRICING, **more}
    return backtest.run(tape, simulator=simulator, **options)


@pytest.mark.parametrize(
    ("seed", "gap_at", "simulator"),
    [
        (1, 0, {"bracket.optimistic": "cross"}),
        (2, 70, {"response_jitter": 0.5, "entry_jitter": 0.5, "cancel_jitter": 0.5}),
        (3, 0, {"response_latency_ms": 0, "entry_latency_ms": 0, "cancel_latency_ms": 0}),
        (4, 0, {"funding.rate_ppm": 100.0, "fill_model": "prob_power"}),
    ],
)
def test_each_account_is_that_of_a_simulator_run_by_itself(seed, gap_at, simulator):
    start_ns = 1_700_000_000 * 10**9 // HOUR_NS * HOUR_NS + HOUR_NS - 300 * MS
    tape = make_tape(100, seed, gap_at=gap_at, start_ns=start_ns)
    simulator = {"funding.interval_h": 1, "markout_horizon_ms": 100, **simulator}
    one = traded(tape, simulator, bracket=True).instrument()
    changes = {"strategy": STRATEGY, "pricing": PRICING, "simulator": simulator}
    alone = _Traded(tape, 0, backtest.Config().changed(**changes), {}, 100.0, bracket=True)
    intervals = (1_000 * MS, 500 * MS, 20 * MS, 1_000 * MS)
    funding = (int(alone._run[0]["funding_rate_e8"]), HOUR_NS)
    ReferenceBacktest(tape, 0, alone._desk, alone._model, intervals, funding).run()
    ours, theirs = one.desk.bracket, alone._desk.bracket
    assert ours.account.tobytes() == theirs.account.tobytes()
    for name in ("now_ns", "next_order_id", "count", "gone", "known_ns", "latency_random"):
        assert ours.sim[name].tolist() == theirs.sim[name].tolist()
    assert (ours.account["fills"] > 3).all()
    assert bool(one.fundings.size) == ("funding.rate_ppm" in simulator)


def test_the_chosen_models_twin_is_the_same_to_the_last_bit_whatever_the_strategy_does():
    result = traded(make_tape(160, 2, gap_at=60), {"fill_model": "prob_draw"}, bracket=True)
    one = result.instrument()
    assert one.fills.size > 3
    assert one.desk.bracket.account[1].tobytes() == one.desk.account.tobytes()
    central, m = result.bracket().loc["central"], result.metrics()
    assert central["net_profit"] == m["net_profit"] == m["bracket_central_profit"]
    assert central["fills"] == m["fills"] == m["bracket_central_fills"]
    assert central["last_position"] == m["last_position"]
    assert one.bracket()["central"].items() >= one.parts().items()


def test_what_runs_beside_changes_no_row():
    tape = make_tape(100)
    without = traded(tape)
    assert traded(tape, bracket=True).hash == without.hash
    assert without.instrument().bracket() == {}
    assert not any("bracket" in name for name in without.metrics())
    assert "bracket" not in without.summary()
    with pytest.raises(ValueError, match="pass bracket=True to run"):
        without.bracket()


def test_the_bracket_is_told_wherever_the_profit_is(tmp_path):
    tape = make_tape(160, symbols=("BTCUSDT", "ETHUSDT"))
    result = traded(tape, {"bracket.enabled": False}, bracket=True)
    table = result.bracket("ETHUSDT")
    assert table["fill_model"].to_dict() == MODELS
    parts = ["spread", "adverse_selection", "inventory", "fees", "funding", "fee_revaluation"]
    assert table["net_profit"].tolist() == pytest.approx(table[parts].sum(axis=1).tolist())
    both = [result.metrics(symbol)["bracket_optimistic_profit"] for symbol in result.symbols]
    assert result.metrics()["bracket_optimistic_profit"] == pytest.approx(sum(both))
    assert "optimistic" in result.summary()
    assert "(cancel_ahead, " in result.summary()
    page = result.report(tmp_path / "report.html").read_text()
    assert "ETHUSDT: the same quotes under other fill models" in page


def test_a_profit_that_changes_sign_within_the_bracket_is_a_doubt():
    result = traded(make_tape(100), bracket=True)
    accounts = result.instrument().desk.bracket.account
    accounts["fees_micro_tick_lots"] = [-(10**12), 0, 10**12]
    assert "changes sign within the bracket" in "\n".join(result.warnings())
    accounts["fees_micro_tick_lots"] = 10**12
    assert "changes sign" not in "\n".join(result.warnings())


def test_a_model_that_there_is_not_is_refused_by_name():
    with pytest.raises(ValueError, match=r"bracket.central: must be one of"):
        traded(make_tape(20), {"bracket.central": "guess"}, bracket=True)
