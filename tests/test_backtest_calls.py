"""What wakes a model in the backtest, and that its timers are the services'."""

import os

import numpy as np
import pytest
from mm_simulator import service as simulator_service
from mm_strategy import service as strategy_service
from small_tape import make_tape

from mmquant import backtest
from mmquant._jit import njit
from mmquant.codes import TapeKind
from mmquant.state import TAPE_SKIP

pytestmark = [
    pytest.mark.kernels,
    pytest.mark.skipif(bool(os.environ.get("NUMBA_BOUNDSCHECK")), reason="stage by stage"),
]

MS = 1_000_000
HOUR_NS = 3_600_000_000_000
CALLS = 4_000
QUICK = {"pricing": {"warmup_s": 0.0}, "strategy": {"requote_ticks": 1}}


@njit
def notes_its_calls(inputs, params, out):
    """Quote `params[0]` ticks from the fair value; keep the time of each call, within the hour."""
    i = inputs[0]
    params[1] += 1.0
    params[1 + int(params[1])] = i["now_ns"] % HOUR_NS
    out[0]["bid_ticks"] = i["fair_value_ticks"] - params[0]
    out[0]["ask_ticks"] = i["fair_value_ticks"] + params[0]
    return 0


def tape_with_trades_apart():
    """Return a tape whose trades come at times of their own, with a silence in its middle."""
    tape = make_tape(150)
    for name in ("received_ns", "venue_ns"):
        tape.events[name][len(tape.events) // 2 :] += 100 * MS
    tape.events["received_ns"][tape.events["kind"] == TapeKind.TRADE] += 137_911
    return tape


def calls_of(tape, distance):
    parameters = {"distance": distance, "calls": 0.0}
    parameters |= {f"time_{k}": 0.0 for k in range(CALLS)}
    result = backtest.run(tape, model=notes_its_calls, model_parameters=parameters, **QUICK)
    kept = result.instrument().desk.model_params
    assert 100 < kept[1] < CALLS
    base_ns = tape.events["received_ns"][0] // HOUR_NS * HOUR_NS
    return result.instrument(), base_ns + kept[2 : 2 + int(kept[1])].astype(np.int64)


def times_of(tape, *kinds):
    events = tape.events
    rows = np.isin(events["kind"], kinds) & (events["flags"] & TAPE_SKIP == 0)
    return set(events["received_ns"][rows].tolist())


def timers_between(times):
    """Return how often 20 ms pass between times without anything else."""
    return int(((np.diff(np.sort(times)) - 1) // (20 * MS)).sum())


def test_a_model_is_woken_by_the_book_and_by_time_but_not_by_a_trade():
    tape = tape_with_trades_apart()
    one, calls = calls_of(tape, 500.0)  # so far away that nothing is filled
    assert not one.fills.size
    book = times_of(tape, TapeKind.SNAPSHOT, TapeKind.DELTA, TapeKind.BBO)
    trades = times_of(tape, TapeKind.TRADE)
    assert len(trades) > 50
    # `now_ns` is the time of the prices that it decides on: the book's, on a timer the last one.
    assert set(calls.tolist()) <= book
    assert not set(calls.tolist()) & trades
    priced = np.unique(calls)
    assert calls.size - priced.size == timers_between(priced) == 5


def test_a_fill_wakes_a_model_when_the_position_is_known():
    tape = tape_with_trades_apart()
    one, calls = calls_of(tape, 1.0)
    moved = np.flatnonzero(np.diff(one.positions["position_lots"])) + 1
    known = one.positions["now_ns"][moved] + 5 * MS  # what the answer takes
    known = known[(known > calls[0]) & (known <= tape.events["received_ns"][-1])]
    assert known.size > 10
    priced = np.unique(calls)
    timers = timers_between(np.concatenate((priced, known)))
    assert calls.size - priced.size == known.size + timers


def test_the_timers_are_those_of_the_services():
    assert backtest._GATE_INTERVAL_NS == strategy_service._GATE_INTERVAL_NS
    assert backtest._POSITION_INTERVAL_NS == simulator_service._POSITION_INTERVAL_NS
