"""Sweeps: every set once, on all processes the same, going on after a stop."""

import json

import pytest
from small_tape import make_tape

from mmquant import backtest, sweep
from mmquant._jit import njit

pytestmark = pytest.mark.kernels

RISK = {"strategy__model_parameters__risk_aversion_per_tick": [0.01]}
CONFIG = backtest.Config().changed(pricing={"warmup_s": 0.1})


@njit
def quote_wide(inputs, params, out):
    """Quote 7 ticks from the fair value."""
    i, o = inputs[0], out[0]
    o["bid_ticks"] = i["fair_value_ticks"] - 7.0
    o["ask_ticks"] = i["fair_value_ticks"] + 7.0
    o["reservation_ticks"] = i["fair_value_ticks"]
    return 0


def test_a_grid_is_every_combination():
    sets = sweep.grid(strategy__requote_ticks=[1, 4], strategy__gates__pause_s=[5.0, 9.0])
    assert len(sets) == 4
    assert sets[1] == {"strategy.requote_ticks": 1, "strategy.gates.pause_s": 9.0}
    with pytest.raises(ValueError, match="<file>__<key>"):
        sweep.grid(requote_ticks=[1])


def test_a_random_search_is_the_seeds():
    ranges = {"strategy__requote_ticks": (1, 9), "strategy__horizon_s": (0.5, 2.0)}
    sets = sweep.random(20, 3, **ranges, simulator__fill_model=["cross", "risk_averse"])
    assert sets == sweep.random(20, 3, **ranges, simulator__fill_model=["cross", "risk_averse"])
    assert {type(row["strategy.requote_ticks"]) for row in sets} == {int}
    assert all(0.5 <= row["strategy.horizon_s"] <= 2.0 for row in sets)
    assert len({row["simulator.fill_model"] for row in sets}) == 2
    with pytest.raises(ValueError, match="low, high"):
        sweep.random(2, 1, strategy__levels=3)


def test_processes_give_what_one_gives_in_the_order_of_the_sets():
    tape = make_tape(60)
    sets = sweep.grid(strategy__requote_ticks=[1, 3], strategy__levels=[1, 2])
    alone = sweep.run(tape, sets, config=CONFIG, processes=1)
    told = []
    shared = sweep.run(
        tape, sets, config=CONFIG, processes=2, on_progress=lambda n, of: told.append((n, of))
    )
    assert alone.equals(shared)
    assert list(alone["strategy.levels"]) == [1, 2, 1, 2]
    assert told == [(k, 4) for k in (1, 2, 3, 4)]
    single = backtest.run(tape, strategy={"requote_ticks": 3, "levels": 2}, config=CONFIG)
    assert alone["hash"].iloc[3] == single.hash


def test_the_model_is_a_parameter_like_any_other(tmp_path):
    tape, path = make_tape(60), tmp_path / "results.jsonl"
    sets = sweep.grid(strategy__model=["glft"], **RISK)
    sets += sweep.grid(strategy__model=["skewed"], strategy__levels=[1, 2])
    sets += [{"strategy.model": quote_wide}, {}]
    table = sweep.run(tape, sets, config=CONFIG, processes=1, results=path)
    wanted = [
        {"model": "glft", "model_parameters": {"risk_aversion_per_tick": 0.01}},
        {"strategy": {"levels": 1}},  # the shared model keeps the shared parameters
        {"strategy": {"levels": 2}},
        {"model": quote_wide},
        {},
    ]
    hashes = [backtest.run(tape, config=CONFIG, **each).hash for each in wanted]
    assert list(table["hash"]) == hashes
    assert len(set(hashes)) == 5
    again = sweep.run(tape, sets, config=CONFIG, processes=1, results=path)
    assert list(again["hash"]) == hashes
    assert len(path.read_text().splitlines()) == 5, "nothing was done twice"
    other = sweep.run(tape, sets[3:4], config=CONFIG, model="skewed", processes=1)
    assert other["hash"][0] == hashes[3], "the set's model stands above the shared one"
    with pytest.raises(ValueError, match="risk_aversion_per_tick"):
        sweep.run(tape, sweep.grid(strategy__model=["glft"]), config=CONFIG, processes=1)


def test_a_sweep_goes_on_where_it_was_stopped(tmp_path):
    tape, path = make_tape(40), tmp_path / "results.jsonl"
    sets = sweep.grid(strategy__requote_ticks=[1, 2, 3])
    sweep.run(tape, sets[:2], config=CONFIG, results=path, processes=1)
    with path.open("ab") as file:
        file.write(b'{"key": "cut sho')  # a kill while a line was written
    done = []
    table = sweep.run(
        tape,
        sets,
        config=CONFIG,
        results=path,
        processes=1,
        on_progress=lambda n, of: done.append(n),
    )
    assert done == [3], "only the third was left"
    assert len(table) == 3
    lines = path.read_text().splitlines()
    assert len(lines) == 4
    assert json.loads(lines[-1])["set"] == {"strategy.requote_ticks": 3}
    other = make_tape(40, seed=9)
    sweep.run(other, sets[:1], config=CONFIG, results=path, processes=1)
    assert len(path.read_text().splitlines()) == 5, "another tape's results are others"


def test_a_wrong_set_is_said():
    with pytest.raises(ValueError, match="at least one"):
        sweep.run(make_tape(10), [])
    with pytest.raises(ValueError, match="nearest valid one"):
        sweep.run(make_tape(10), sweep.grid(strategy__nothing=[1]), processes=1)
