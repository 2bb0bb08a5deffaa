"""The backtest: equal to its slow twin bit for bit, the same on every run, honest in its words."""

import hashlib
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from mm_runtime.settings import PricingSettings, SimulatorSettings, StrategySettings
from reference_backtest import ReferenceBacktest
from small_tape import make_tape

from mmquant import backtest, configure
from mmquant._jit import njit
from mmquant.backtest import _Traded
from mmquant.codes import BookCode, Market, PricingFlag, Reason, TapeKind, Template
from mmquant.kernels.tape_message import MESSAGE_WORDS, tape_message
from mmquant.pricing_model import pricing_steps
from mmquant.records import INSTRUMENT, LEVEL
from mmquant.state import BOOK, TAPE_EVENT, TAPE_SKIP
from mmquant.wire import decode

# Its stages are bounds-checked by their own tests: all of them in one loop compile for minutes.
pytestmark = [
    pytest.mark.kernels,
    pytest.mark.skipif(bool(os.environ.get("NUMBA_BOUNDSCHECK")), reason="stage by stage"),
]

CONFIG = Path(__file__).parents[1] / "config"
MS = 1_000_000
QUICK = {"pricing": {"warmup_s": 0.1}, "strategy": {"requote_ticks": 3, "levels": 2}}


@njit
def far_away(inputs, params, out):
    """Quote `params[0]` ticks from the fair value."""
    i, o = inputs[0], out[0]
    o["bid_ticks"] = i["fair_value_ticks"] - params[0]
    o["ask_ticks"] = i["fair_value_ticks"] + params[0]
    o["reservation_ticks"] = i["fair_value_ticks"]
    return 0


@njit
def nothing_real(inputs, params, out):
    """Answer with prices that are no numbers."""
    out[0]["bid_ticks"] = np.nan
    out[0]["ask_ticks"] = np.nan
    return 0


@njit
def leaning(inputs, params, out):
    """Price `params[0]` ticks a traded balance from the mid; not at half a tick."""
    s = inputs[0]
    flow = s["trade_flow_imbalance"]
    out[0]["fair_value_ticks"] = s["mid_ticks"] + params[0] * (flow if math.isfinite(flow) else 0)
    return 0 if s["mid_ticks"] % 1 == 0 else 1


LEANING = {"fair_value": leaning, "fair_value_params": [4.0]}


@pytest.mark.parametrize(
    ("seed", "gap_at", "simulator", "pricing"),
    [
        (1, 0, {}, {}),
        (2, 70, {"fill_model": "prob_power"}, {}),
        (3, 0, {"response_latency_ms": 0, "entry_latency_ms": 0, "cancel_latency_ms": 0}, {}),
        (4, 60, {"fill_model": "cross", "entry_jitter": 0.5}, {}),
        (5, 60, {}, LEANING),
    ],
)
def test_every_row_is_that_of_the_slow_twin(seed, gap_at, simulator, pricing):
    tape = make_tape(120, seed, gap_at=gap_at)
    simulator = {"markout_horizon_ms": 100, **simulator}
    changes = {**QUICK, "pricing": {**QUICK["pricing"], **pricing}, "simulator": simulator}
    result = backtest.run(tape, **changes).instrument()
    config = backtest.Config().changed(**changes)
    traded = _Traded(tape, 0, config, {}, 100.0)
    intervals = (1_000 * MS, 500 * MS, 20 * MS, 1_000 * MS)
    steps = pricing_steps(pricing["fair_value"]) if pricing else None
    twin = ReferenceBacktest(tape, 0, traded._desk, traded._model, intervals, fair_value=steps)
    twin.run()
    assert result.events.tobytes() == b"".join(event.tobytes() for event in twin.events)
    assert result.positions.tobytes() == b"".join(p.tobytes() for _, p in twin.positions)
    assert result.marks.tolist() == twin.marks
    made = [(int(q["now_ns"]), int(q["seq"])) for q in result.quotes]
    assert made == [(now, seq) for now, seq, _ in twin.quote_rows]
    assert result.desk.account.tobytes() == traded._desk.account.tobytes()
    assert result.desk.strategy_state.tobytes() == traded._desk.strategy_state.tobytes()
    assert int(result.run[0]["known_orders"]) == len(twin.known)
    assert result.fills.size > 3


@pytest.mark.parametrize("gap_at", [0, 60])
def test_a_basis_is_measured_against_what_the_tape_has_beside(gap_at):
    tape = make_tape(240, 6, symbols=("BTCUSDT", "BTCUSDC"), gap_at=gap_at)
    tape.instruments[1].tick_size_e8 = 9_900_000
    basis = {"reference.symbol": "BTCUSDC", "blend.basis_ticks_per_bp": 0.05}
    changes = {**QUICK, "pricing": {**QUICK["pricing"], **basis, "reference.max_age_s": 0.05}}
    whole = backtest.run(tape, symbols=["BTCUSDT"], **changes)
    result = whole.instrument()
    config = backtest.Config().changed(**changes)
    traded = _Traded(tape, 0, config, {}, 100.0)
    intervals = (1_000 * MS, 500 * MS, 20 * MS, 1_000 * MS)
    twin = ReferenceBacktest(tape, 0, traded._desk, traded._model, intervals, reference=1)
    twin.run()
    assert result.events.tobytes() == b"".join(event.tobytes() for event in twin.events)
    made = [(int(q["now_ns"]), int(q["seq"])) for q in result.quotes]
    assert made == [(now, seq) for now, seq, _ in twin.quote_rows]
    assert result.desk.pricing.tobytes() == traded._desk.pricing.tobytes()
    assert result.fills.size > 3
    known = result.samples["flags"] & PricingFlag.BASIS > 0
    assert known.any()
    assert not known.all(), "too old now and then"
    alone = backtest.run(tape, symbols=["BTCUSDT"], **QUICK).instrument()
    assert result.quotes.tobytes() != alone.quotes.tobytes()
    assert not [line for line in whole.warnings() if "reference" in line]


def test_the_same_run_twice_has_one_hash_and_another_seed_another():
    tape = make_tape(100)
    simulator = {"fill_model": "cross", "fill_probability_factor": 0.5}
    first, second = (backtest.run(tape, simulator=simulator, **QUICK) for _ in range(2))
    assert first.hash == second.hash
    other = backtest.run(tape, simulator={**simulator, "seed": 2}, **QUICK)
    assert other.hash != first.hash


def test_rows_that_grow_give_the_same(monkeypatch):
    tape = make_tape(100)
    whole = backtest.run(tape, **QUICK)
    monkeypatch.setattr(backtest, "_MOST_ROWS", 1_100)  # one step may need 1,024
    monkeypatch.setattr(backtest, "_ROWS_A_TURN", 7)
    done = []
    grown = backtest.run(tape, on_progress=done.append, **QUICK)
    assert grown.hash == whole.hash
    assert grown.instrument().events.base.size > 1_100
    assert done == sorted(done)
    assert done[-1] == 1.0


def test_numbers_need_no_pandas():
    script = (
        "import sys; import test_backtest as t; from mmquant import backtest; "
        "m = backtest.run(t.make_tape(100), **t.QUICK).metrics(); "
        "assert 'pandas' not in sys.modules; print(m['net_profit'], m['max_drawdown'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parent,
        check=True,
        capture_output=True,
        text=True,
    )
    result = backtest.run(make_tape(100), **QUICK)
    net = result.equity()["net"]
    told = [float(word) for word in done.stdout.split()]
    assert told == [result.metrics()["net_profit"], (net.cummax() - net).max()]


def test_several_symbols_are_traded_each_by_itself():
    tape = make_tape(160, symbols=("BTCUSDT", "ETHUSDT"))
    both = backtest.run(tape, **QUICK)
    assert both.symbols == ["BTCUSDT", "ETHUSDT"]
    alone = backtest.run(tape, symbols=["ETHUSDT"], **QUICK)
    assert alone.instrument().events.tobytes() == both.instrument("ETHUSDT").events.tobytes()
    total = both.metrics()
    parts = [both.metrics(symbol) for symbol in both.symbols]
    assert total["net_profit"] == pytest.approx(sum(part["net_profit"] for part in parts))
    with pytest.raises(ValueError, match="BTCUSDT, ETHUSDT, got None"):
        both.fills()


def test_money_adds_up_in_every_table():
    result = backtest.run(make_tape(200), simulator={"markout_horizon_ms": 50}, **QUICK)
    one, m = result.instrument(), result.metrics()
    parts = one.parts()
    assert m["net_profit"] == pytest.approx(sum(parts.values()))
    fills = result.fills()
    mark = one.desk.account[0]["mark_half_ticks"] / 2 * one.tick
    cash = -(fills["side"] * fills["price"] * fills["quantity"]).sum()
    held = (fills["side"] * fills["quantity"]).sum()
    assert m["gross_profit"] == pytest.approx(cash + held * mark)
    assert m["fees"] == pytest.approx(fills["fee"].sum())
    table = result.decomposition().loc[("all", "all")]
    assert table["total_half_tick_lots"] / 2 * one.tick * one.lot == pytest.approx(
        m["gross_profit"]
    )
    equity = result.equity()
    assert (equity["net"] == equity["gross"] - equity["fees"]).all()
    assert equity["position_lots"].iloc[-1] == one.positions[-1]["position_lots"]
    assert len(result.orders()) + len(fills) == one.events.size
    markouts = result.markouts(horizons_ns=[50 * MS])
    assert set(markouts.index.get_level_values("horizon_ns")) == {50 * MS}


def test_what_is_said_of_fills_does_not_hang_on_how_often_the_market_is_sampled():
    tape = make_tape(200)
    often, seldom = (backtest.run(tape, sample_ms=ms, **QUICK) for ms in (1.0, 5_000.0))
    assert often.instrument().samples.size > 4 * seldom.instrument().samples.size
    horizons = [10 * MS, 100 * MS, 1_000 * MS]
    assert often.markouts(horizons_ns=horizons).equals(seldom.markouts(horizons_ns=horizons))
    parts = seldom.decomposition().loc[("all", "all")]
    metrics = seldom.metrics()
    for name in ("spread", "adverse_selection", "inventory"):
        assert parts[name] == pytest.approx(metrics[name], abs=1e-12)


def test_the_equity_ends_where_the_tape_does():
    result = backtest.run(make_tape(120), **QUICK)
    equity, metrics = result.equity(), result.metrics()
    assert equity.index[-1].value == int(result.instrument().run[0]["now_ns"])
    assert equity["net"].iloc[-1] == pytest.approx(metrics["net_profit"], abs=1e-12)
    assert metrics["max_drawdown"] >= -metrics["net_profit"] - 1e-12
    assert not (equity["mid"] <= 0).any()


def test_a_tape_without_a_book_has_a_page(tmp_path):
    tape = make_tape(60)
    tape.events = tape.events[tape.events["kind"] == TapeKind.TRADE]
    result = backtest.run(tape, **QUICK)
    assert result.instrument().mids().empty
    assert "numbers (money in" in result.report(tmp_path / "page.html").read_text()


def test_a_model_of_ones_own_quotes():
    tape = make_tape(120)
    result = backtest.run(tape, model=far_away, model_parameters={"distance": 7.0}, **QUICK)
    quotes = result.quotes()
    live = quotes[(quotes["bid_ticks"] > 0) & (quotes["ask_ticks"] > 0)]
    assert len(live) > 10
    assert 7.0 <= (live["fair_value_ticks"] - live["bid_ticks"]).median() < 8.0
    named = {"model": "test_backtest:far_away", "model_parameters": {"distance": 7.0}}
    config = backtest.Config(folder=Path(__file__).parent).changed(strategy=named)
    assert backtest.run(tape, config=config, **QUICK).hash == result.hash


def test_a_fair_value_of_ones_own_is_priced_as_it_is_live():
    tape = make_tape(120)
    result = backtest.run(tape, pricing={**QUICK["pricing"], **LEANING})
    assert result.hash != backtest.run(tape, pricing=QUICK["pricing"]).hash
    signals = result.signals()
    priced = signals[signals["fair_value_ticks"] > 0]
    away = priced["fair_value_ticks"] - (priced["bid_ticks"] + priced["ask_ticks"]) / 2
    assert 0.5 < away.abs().max() <= 4.0
    named = {**QUICK["pricing"], **LEANING, "fair_value": "test_backtest:leaning"}
    config = backtest.Config(folder=Path(__file__).parent).changed(pricing=named)
    assert backtest.run(tape, config=config).hash == result.hash


def test_a_model_that_answers_no_number_quotes_nothing_and_says_why():
    result = backtest.run(make_tape(60), model=nothing_real, **QUICK)
    assert result.instrument().fills.size == 0
    assert "NOT_FINITE" in "\n".join(result.warnings())


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_a_model_that_does_not_compile_is_named():
    with pytest.raises(TypeError, match="decorated with numba"):
        backtest.run(make_tape(20), model=len, **QUICK)


def test_the_summary_explains_itself_and_warns():
    result = backtest.run(make_tape(100), **QUICK)
    text = result.summary()
    for words in ("adverse selection", "after fees", result.hash, "an hour"):
        assert words in text
    doubts = "\n".join(result.warnings())
    assert "short sample" in doubts
    assert "below the fees of a round trip" in doubts
    assert "mostly luck" in doubts
    wide = backtest.run(make_tape(100), simulator={"fees.usdm_maker_ppm": 0}, **QUICK)
    assert "below the fees" not in "\n".join(wide.warnings())


def test_the_report_is_one_page_without_links(tmp_path):
    page = backtest.run(make_tape(100), **QUICK).report(tmp_path / "report.html").read_text()
    assert "adverse selection" in page
    assert not re.search(r"<(script|link|img|iframe)[^>]*\b(src|href)=", page)
    assert "where the profit came from" in page
    assert "requote_ticks" in page, "the settings are in it"
    bokeh = pytest.importorskip("bokeh")
    assert f'"version":"{bokeh.__version__}"' in page


def test_rows_to_be_skipped_are(tmp_path):
    tape = make_tape(80)
    before = backtest.run(tape, **QUICK)
    junk = np.zeros(3, TAPE_EVENT)
    junk["received_ns"], junk["flags"] = tape.events["received_ns"][10], TAPE_SKIP
    tape.events = np.concatenate([tape.events[:11], junk, tape.events[11:]])
    after = backtest.run(tape, **QUICK)
    assert after.hash == before.hash
    assert int(after.instrument().run[0]["skipped"]) == 3


def test_nothing_is_quoted_after_a_gap_until_a_snapshot():
    result = backtest.run(make_tape(160, gap_at=60), **QUICK)
    quotes = result.quotes()
    assert "BOOK_NOT_LIVE" in set(quotes["reason"])
    gap = quotes[quotes["reason"] == "BOOK_NOT_LIVE"]
    assert (gap["bid_lots"] == 0).all()
    after = quotes.index > gap.index[-1]
    assert (quotes["bid_lots"][after] > 0).any(), "it goes on after the snapshot"


@pytest.mark.parametrize("is_covered", [False, True], ids=["touch", "under a newer best bid"])
def test_a_clear_removes_levels_up_to_its_price(is_covered):
    book = np.zeros(1, BOOK)
    words = np.zeros(MESSAGE_WORDS + 64, np.int64)
    levels = np.array([(100, 1), (99, 2), (97, 3), (101, 4), (103, 5), (99, 0)], LEVEL)
    from mmquant.kernels.book import book_bbo, book_follow

    event = np.array([(1, 1, 5, 0, 3, 2, 0, TapeKind.SNAPSHOT, 0)], TAPE_EVENT)
    tape_message(event, levels.view(np.int64), book, 1, 1, 7, words)
    book_follow(book, words)
    if is_covered:  # the simulator's, laid over the levels of the book that both read
        assert book_bbo(book, 8, 98, 1, 104, 1) == BookCode.OK
    event = np.array([(1, 1, 6, 5, 1, 0, 0, TapeKind.CLEAR, 0)], TAPE_EVENT)
    tape_message(event, levels.view(np.int64), book, 1, 1, 8, words)
    template, block, groups = decode(words.view(np.uint8)[: 8 * (10 + 1 + 4 + 1)])
    assert template is Template.BOOK_DELTA
    assert block["previous_update_id"] == 5
    assert groups["bids"] == [{"price_ticks": p, "qty_lots": 0} for p in (100, 99)]
    book_follow(book, words)
    assert (book[0]["best_bid_ticks"], book[0]["best_ask_ticks"]) == (97, 101)


# configuration


def test_the_defaults_are_those_of_the_services():
    import msgspec

    structs = {
        "pricing": PricingSettings(),
        "strategy": StrategySettings(),
        "simulator": SimulatorSettings(),
    }
    for name, settings in structs.items():
        assert configure.DEFAULTS[name] == msgspec.to_builtins(settings), name


def test_the_shipped_files_are_read_as_the_services_read_them():
    from mm_pricing.parameters import pricing_params
    from mm_runtime.config import load
    from mm_simulator.desk import Desk as SimulatorDesk
    from mm_strategy.desk import desk_params

    config = backtest.load_config(CONFIG)
    instrument = np.zeros(1, INSTRUMENT)
    instrument["tick_size_e8"], instrument["lot_size_e8"] = 10_000_000, 100_000
    instrument["market"] = Market.USDM
    live = desk_params(load("strategy", StrategySettings, CONFIG), instrument, lag_matters=False)
    assert configure.strategy_record(config.strategy, instrument).tobytes() == live.tobytes()
    pricing = pricing_params(load("pricing", PricingSettings, CONFIG))
    assert configure.pricing_record(config.pricing).tobytes() == pricing.tobytes()
    sim = SimulatorDesk(instrument, load("simulator", SimulatorSettings, CONFIG)).main.params
    assert configure.simulator_record(config.simulator, Market.USDM).tobytes() == sim.tobytes()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strategy": {"requote_tick": 1}}, "nearest valid one is 'requote_ticks'"),
        ({"strategy": {"gates.pause": 1}}, "nearest valid one is 'pause_s'"),
        ({"strategy": {"gates": 3}}, "must be a table"),
        ({"strategy": {"levels.x": 3}}, "levels is not a table"),
        ({"strategy": {"order_qty": "0.0105"}}, "multiple of the lot 0.001"),
        ({"strategy": {"order_qty": 0.01}}, "in quotes such as"),
        ({"strategy": {"model": "nothing"}}, "model must be one of"),
        ({"strategy": {"model": "no_module:f"}}, "no_module"),
        ({"pricing": {"warmup_s": -1.0}}, "warmup_s"),
        ({"pricing": {"blend.microprice": -2.0}}, "blend.microprice: must be .* from 0 to 1000"),
        ({"pricing": {"blend.microprice": 0.0}}, "weight > 0"),
        ({"pricing": {"fair_value": "mid"}}, "must be 'blend' or 'module:function'"),
        (
            {"pricing": {"fair_value": "no_module:f"}},
            "fair_value 'no_module:f': ModuleNotFoundError: No module named",
        ),
        ({"pricing": {"fair_value_params": [np.nan]}}, "fair_value_params must be finite"),
        ({"pricing": {"realised_window_s": 0.5}}, "realised_window_s: must be a number from 1 to"),
        ({"pricing": {"jump_sigmas": 0.5}}, "jump_sigmas: must be 0 or at least 1, got 0.5"),
        ({"pricing": {"blend.stoikov": 1.0}}, "stoikov_file is empty"),
        ({"pricing": {"drift": "ewm"}}, "drift: must be one of 'ewma', 'signals', got 'ewm'"),
        ({"pricing": {"drift": "signals"}}, r"drift: must be 'ewma' where every factor of \[sign"),
        (
            {"pricing": {"signal_drift": {"depth_imbalance": 1.0}}},
            "signal_drift.depth_imbalance: unknown key, .* 'depth_imbalance_ticks_per_s'",
        ),
        (
            {"pricing": {"signal_drift.basis_ticks_per_s_per_bp": 1.0}},
            "signal_drift.basis_ticks_per_s_per_bp: must be 0 where reference.symbol is empty, got",
        ),
        ({"simulator": {"fill_model": "magic"}}, "magic"),
        ({"simulator": {"fees.usdm_maker_ppm": 10**9}}, "simulator.toml: fees.usdm_maker_ppm: "),
    ],
)
def test_a_wrong_value_is_named_with_its_key(changes, words):
    with pytest.raises((ValueError, TypeError), match=words):
        backtest.run(make_tape(20), **changes)


def test_a_wrong_tape_is_refused():
    tape = make_tape(20)
    tape.events = tape.events[:0]
    with pytest.raises(ValueError, match="at least one event"):
        backtest.run(tape)
    with pytest.raises(ValueError, match="among BTCUSDT, got 'X'"):
        backtest.run(make_tape(20), symbols=["X"])
    tape.events = np.zeros(3)
    with pytest.raises(TypeError, match="TAPE_EVENT"):
        backtest.run(tape)


def test_files_that_are_no_toml_are_named(tmp_path):
    (tmp_path / "strategy.toml").write_text("levels = = 3")
    with pytest.raises(ValueError, match=r"strategy\.toml: not TOML"):
        backtest.load_config(tmp_path)
    with pytest.raises(ValueError, match="there is none"):
        backtest.load_config(tmp_path / "nowhere")


def test_the_hash_covers_every_row():
    result = backtest.run(make_tape(60), **QUICK)
    digest = hashlib.sha256()
    result.instrument().feed(digest)
    assert digest.hexdigest() == result.hash
    result.instrument().quotes["reason"][-1] = Reason.STOPPING
    digest = hashlib.sha256()
    result.instrument().feed(digest)
    assert digest.hexdigest() != result.hash


def test_a_report_is_dark_where_the_reader_is_and_keeps_a_link(tmp_path):
    link = tmp_path / "latest.html"
    link.symlink_to(tmp_path / "page.html")
    page = backtest.run(make_tape(60), **QUICK).report(link).read_text()
    assert link.is_symlink()
    style = page.partition("<style>")[2].partition("</style>")[0]
    light, dark, rest = re.fullmatch(
        r"\s*(:root .*?)\n@media \(prefers-color-scheme: dark\) \{\n(.*?)\n\}\n(.*)", style, re.S
    ).groups()
    names = [re.findall(r"--\w+", part) for part in (light, dark)]
    assert names[0] == names[1] == ["--page", "--text", "--field", "--line"]
    assert ".plots" in dark
    assert "#" not in rest, "a colour of one mode alone"
