"""Tapes and models that are wrong: refused by name, row and remedy before anything is traded."""

import re
from pathlib import Path

import numba
import numpy as np
import pytest
from small_tape import make_tape

from mmquant import backtest, sweep
from mmquant._jit import njit
from mmquant.backtest_tape import check_tape, doubts_of
from mmquant.codes import TapeKind
from mmquant.state import TAPE_SKIP
from mmquant.tape.core import ReadNotes

pytestmark = pytest.mark.kernels

QUICK = {"pricing": {"warmup_s": 0.1}, "strategy": {"requote_ticks": 1}}


@njit
def counts_and_stops(inputs, params, out):
    """Quote, and divide by nothing at the call that `params[1]` counts down to."""
    i, o = inputs[0], out[0]
    params[1] -= 1.0
    o["bid_ticks"] = i["fair_value_ticks"] - params[0]
    o["ask_ticks"] = i["fair_value_ticks"] + params[0] + 1 // int(params[1])
    return 0


@njit
def crossed(inputs, params, out):
    """Answer a bid above the ask."""
    out[0]["bid_ticks"], out[0]["ask_ticks"] = 10.0, 5.0
    return 0


@njit
def prices_and_stops(inputs, params, out):
    """Price at the mid, and divide by nothing at the call that `params[0]` counts down to."""
    params[0] -= 1.0
    out[0]["fair_value_ticks"] = inputs[0]["mid_ticks"] + 1 // int(params[0])
    return 0


def set_at(table, name, row, value):
    def change(tape):
        getattr(tape, table)[name][row] = value

    return change


def in_microseconds(tape):
    for name in ("received_ns", "venue_ns"):
        tape.events[name] //= 1_000


def trade_of_two(tape):
    row = int(np.argmax(tape.events["kind"] == TapeKind.TRADE))
    tape.events["n_bids"][row], tape.events["n_asks"][row] = 1, 1


def without_tick(tape):
    tape.instruments[0].tick_size_e8 = 0


@pytest.mark.parametrize("path", ["x.gz", Path("x.gz"), 3])
def test_what_is_no_tape_is_refused_with_how_to_read_one(path):
    name = "path" if path == 3 else "'x.gz'"
    words = re.escape(f"read it first, mmquant.read_tape({name})")
    for run in (backtest.run, lambda tape: sweep.run(tape, [{"strategy.levels": 1}])):
        with pytest.raises(TypeError, match=f"^tape must be a mmquant.tape.Tape, got .*{words}"):
            run(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_at("events", "received_ns", 7, 1_700_000_000_000_000_001), r"event 7: .*repair\("),
        (in_microseconds, "event 0: received_ns must be nanoseconds .* microseconds: multiply"),
        (set_at("events", "venue_ns", 0, 1_700_000_000_123), "event 0: venue_ns .*milliseconds"),
        (set_at("events", "first_level", 9, 10**6), "event 9: its levels 1000000 to .*anew"),
        (set_at("events", "first_level", 9, -1), "event 9: its levels -1 to"),
        (set_at("events", "kind", 5, 99), "event 5: kind must be one of codes.TapeKind, got 99"),
        (set_at("events", "instrument", 5, 1), "event 5: instrument must be below 1"),
        (trade_of_two, "a trade must have one level, got 2"),
        (set_at("levels", "price_ticks", 11, 0), "event 1: .*got 0 and .* in level 11"),
        (set_at("levels", "price_ticks", 11, -5), "got -5 and"),
        (set_at("levels", "price_ticks", 11, 10**16), "whole ticks and lots, not units"),
        (set_at("levels", "qty_lots", 0, -1), "event 0: .*got 99.* and -1 in level 0|and -1 in"),
        (without_tick, "tick_size_e8 of BTCUSDT must be from 1 .*read it with tick_size="),
    ],
)
def test_what_is_wrong_with_a_tape_is_named_with_its_row(change, words):
    tape = make_tape(30)
    check_tape(tape)
    change(tape)
    with pytest.raises(ValueError, match=f"a small random tape.*({words})"):
        backtest.run(tape)


def test_what_means_nothing_is_no_fault():
    tape = make_tape(40)
    row = int(np.argmax(tape.events["kind"] == TapeKind.BBO))
    at = int(tape.events["first_level"][row])
    tape.levels[at] = (0, 0)  # a side of the touch that is not there
    check_tape(tape)
    tape.events["flags"][5] |= TAPE_SKIP
    tape.levels["price_ticks"][int(tape.events["first_level"][5])] = -1
    check_tape(tape)


def test_what_the_tape_lacks_stands_in_the_warnings():
    tape = make_tape(40)
    assert doubts_of(tape, [0]) == []
    tape.events["flags"][tape.events["kind"] == TapeKind.SNAPSHOT] |= TAPE_SKIP
    tape.notes = ReadNotes(
        left_out={"no JSON": 2}, problems=["a.gz, line 7: no JSON"], truncated="a.gz, line 90: cut"
    )
    result = backtest.run(tape, **QUICK)
    text = "\n".join(result.warnings())
    for words in (
        "BTCUSDT: the tape has no snapshot",
        "cut short: a.gz, line 90",
        "left out when it was read: 2 x no JSON (first: a.gz, line 7: no JSON)",
    ):
        assert words in text


def test_a_tape_without_depth_is_told_from_one_without_a_snapshot():
    tape = make_tape(40)
    tape.events["flags"][tape.events["kind"] == TapeKind.SNAPSHOT] |= TAPE_SKIP
    (told,) = doubts_of(tape, [0])
    assert "no snapshot" in told
    assert told.endswith("record one, or begin earlier")
    touch_and_trades = np.isin(tape.events["kind"], (TapeKind.BBO, TapeKind.TRADE))
    assert touch_and_trades.any()
    tape.events = tape.events[touch_and_trades]
    (told,) = doubts_of(tape, [0])
    assert "trades and best prices alone" in told
    assert told.endswith("take a recording (mm record) or Tardis' incremental_book_L2")


def with_gaps(*rows, again=None):
    """Return a tape whose book is lost at rows of deltas, and there once more at another."""
    tape = make_tape(400)
    events = tape.events
    deltas = np.flatnonzero(events["kind"] == TapeKind.DELTA)
    for row in deltas[list(rows)]:
        events["kind"][row] = TapeKind.GAP
        events["n_bids"][row] = events["n_asks"][row] = 0
    if again is not None:
        events["kind"][deltas[again]] = TapeKind.SNAPSHOT
    return tape, deltas


def test_a_gap_in_the_book_is_counted_with_its_time():
    assert not [line for line in doubts_of(make_tape(40), [0]) if "gap" in line]
    tape, deltas = with_gaps(20, 22, again=40)
    received = tape.events["received_ns"]
    away_s = (received[deltas[40]] - received[deltas[20]]) / 1e9
    total_s = (received[-1] - received[0]) / 1e9
    (told,) = doubts_of(tape, [0])
    assert told.startswith(
        f"BTCUSDT: 2 gaps in the book, {away_s:.1f} s of {total_s:.1f} s without one "
        f"(first at event {deltas[20]}):"
    )
    tape, deltas = with_gaps(20)
    (told,) = doubts_of(tape, [0])
    away_s = (tape.events["received_ns"][-1] - tape.events["received_ns"][deltas[20]]) / 1e9
    assert f"1 gap in the book, {away_s:.1f} s of" in told
    assert "no snapshot follows the last one" in told


def test_a_lost_book_and_missing_trades_stand_in_the_warnings():
    tape, _ = with_gaps(30)
    tape.notes = ReadNotes(trade_ids_missing=7)
    text = "\n".join(backtest.run(tape, **QUICK).warnings())
    assert "1 gap in the book" in text
    assert "7 trade ids are missing" in text


def test_a_reference_that_is_not_played_is_said():
    reference = {"reference.symbol": "ETHUSDT", "blend.basis_ticks_per_bp": 0.5}
    result = backtest.run(make_tape(60), pricing={**QUICK["pricing"], **reference})
    (told,) = [line for line in result.warnings() if "reference" in line]
    assert "ETHUSDT" in told
    assert not [line for line in backtest.run(make_tape(60), **QUICK).warnings() if "refer" in line]


def test_the_prices_are_said_in_the_assets_unit():
    result = backtest.run(make_tape(60), **QUICK)
    mids = result.instrument().mids() * 0.1
    assert f"mid {mids.min():.8g} to {mids.max():.8g}" in result.summary()


def test_a_model_that_raises_is_named_with_the_row():
    options = {"model": counts_and_stops, "model_parameters": {"half": 5.0, "calls": 30.0}}
    words = (
        r"strategy.toml: model counts_and_stops \(.*test_backtest_tape\.py, line \d+\) raised "
        r"ZeroDivisionError: .*"
        r"at event \d+ of a small random tape, received_ns 17\d+: answer a codes.Reason"
    )
    with pytest.raises(ValueError, match=words):
        backtest.run(make_tape(100), **options, **QUICK)


def test_a_fair_value_that_raises_is_named_too():
    pricing = {"fair_value": prices_and_stops, "fair_value_params": [30.0], **QUICK["pricing"]}
    words = r"pricing.toml: fair_value prices_and_stops \(.*\) raised ZeroDivisionError: .*at event"
    with pytest.raises(ValueError, match=words):
        backtest.run(make_tape(100), pricing=pricing)
    own = {"model": crossed, "pricing": pricing}
    with pytest.raises(ValueError, match=rf"strategy.toml: model crossed \(.*\) or {words}"):
        backtest.run(make_tape(100), **own)


def test_a_model_that_reads_past_its_parameters_is_refused():
    words = (
        r"model counts_and_stops .*raised IndexError: .*at event \d+ of .*: "
        r"set every parameter that it reads"
    )
    with pytest.raises(ValueError, match=words):
        backtest.run(make_tape(60), model=counts_and_stops, model_parameters={"half": 5.0}, **QUICK)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_a_model_that_does_not_compile_is_named_with_its_file():
    @numba.njit
    def unknown_field(inputs, params, out):
        out[0]["nothing"] = 1.0
        return 0

    words = r"model unknown_field \(.*test_backtest_tape\.py, line \d+\) cannot be compiled"
    with pytest.raises(TypeError, match=words):
        backtest.run(make_tape(20), model=unknown_field, **QUICK)


def test_a_model_with_a_memory_is_asked_each_time():
    # The library's are asked again only when something was heard; of others nobody knows.
    tape = make_tape(60)
    run = backtest.run(
        tape,
        model=counts_and_stops,
        model_parameters={"half": 5.0, "calls": 1e6},
        simulator={"fill_model": "cross"},
        **QUICK,
    ).instrument()
    asked = 1e6 - run.desk.model_params[1]
    live = run.quotes["reason"] == 0
    assert live.any()
    assert int(run.run[0]["is_settled"]) == 0
    since = run.quotes["now_ns"][np.argmax(live)]
    spans_ns = int(run.run[0]["now_ns"]) - int(since)
    assert asked >= spans_ns // 20_000_000, "each 20 ms at least"
