"""Sweeps: every set once, on all processes the same, going on after a stop."""

import json
import os
import re
import signal

import numpy as np
import pytest
from small_tape import make_tape

from mmquant import backtest, sweep, sweep_keys, sweep_tasks
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
    for value in (3, "cross", {"a": 1}, None):
        words = re.escape(f"strategy__levels must be a list of values, got {value!r}: write [")
        with pytest.raises(TypeError, match=words):
            sweep.grid(strategy__levels=value)
    assert len(sweep.grid(strategy__levels=range(1, 4), strategy__requote_ticks=(1, 2))) == 6


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


def made(half_ticks, table=()):
    """Return a model as a factory makes them: all of one name."""
    sizes = np.array(table)

    @njit
    def quote(inputs, params, out):
        return shifted(half_ticks) + sizes.size

    return quote


@njit
def shifted(ticks):
    return ticks + SHIFT


SHIFT = 1


def keys_of(folder, values, model=None):
    config = backtest.load_config(folder)
    base = sweep_keys.settings_digest("tape", config, model)
    return sweep_keys.task_key(base, None, values, folder)


def test_the_key_of_a_result_knows_the_code_of_a_model(tmp_path, monkeypatch):
    def key(model):
        shared = keys_of(tmp_path, {}, model)
        assert keys_of(tmp_path, {"strategy.model": model}) != shared
        return shared, keys_of(tmp_path, {"strategy.model": model})

    seen = {key(made(1)), key(made(2)), key(made(1, (1.0, 2.0))), key(made(1, (1.0, 3.0)))}
    assert key(made(1)) in seen
    assert len(seen) == 4, "what a model closes over is part of it"
    monkeypatch.setitem(globals(), "SHIFT", 2)
    assert key(made(1)) not in seen, "what it calls uses another number"
    monkeypatch.setattr(sweep_keys, "source_digest", lambda: "another version of the package")
    assert key(quote_wide) not in {key(made(1))} | seen


def test_the_key_of_a_result_knows_the_files_that_are_named(tmp_path):
    (tmp_path / "mine.py").write_text("from helper import WIDTH\n")
    values = {"strategy.model": "mine:quote", "pricing.stoikov_file": "table.json"}
    keys = {keys_of(tmp_path, values)}
    for name, text in (("mine.py", "# edited"), ("helper.py", "WIDTH = 3"), ("table.json", "{}")):
        (tmp_path / name).write_text(text)
        keys.add(keys_of(tmp_path, values))
    assert len(keys) == 4
    assert keys_of(tmp_path, values) in keys
    (tmp_path / "strategy.toml").write_text('model = "mine:quote"')
    shared = keys_of(tmp_path, {})
    (tmp_path / "mine.py").write_text("# edited again")
    assert keys_of(tmp_path, {}) != shared
    tape, other = make_tape(10), make_tape(10)
    assert sweep_keys.data_digest(tape) == sweep_keys.data_digest(other)
    object.__setattr__(other.instruments[0], "tick_size_e8", 7)
    assert sweep_keys.data_digest(tape) != sweep_keys.data_digest(other)


def test_a_killed_process_is_named_with_its_set_and_the_rest_is_kept(tmp_path, monkeypatch):
    tape, path = make_tape(40), tmp_path / "results.jsonl"
    sets = sweep.grid(strategy__requote_ticks=[1, 2, 3, 4])
    metrics = sweep_tasks._metrics

    def killed_at_three(part, config, model, task):
        if task.values["strategy.requote_ticks"] == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return metrics(part, config, model, task)

    monkeypatch.setattr(sweep_tasks, "_metrics", killed_at_three)
    options = {"config": CONFIG, "results": path, "processes": 2}
    with pytest.raises(RuntimeError, match=r"_ticks': 3\} was lost \(exit code -9"):
        sweep.run(tape, sets, **options)
    assert path.exists(), "what was done before is kept"
    monkeypatch.setattr(sweep_tasks, "_metrics", metrics)
    assert len(sweep.run(tape, sets, **options)) == 4


def test_what_a_process_raises_is_raised(monkeypatch):
    class Odd(Exception):
        def __init__(self, one, two):
            super().__init__(one + two)

    def fail(*_):
        raise Odd("a", "b")  # which no pipe takes

    monkeypatch.setattr(sweep_tasks, "_metrics", fail)
    with pytest.raises(RuntimeError, match="Odd: ab"):
        sweep.run(make_tape(10), [{}, {}], config=CONFIG, processes=2)


def test_a_wrong_set_is_said():
    with pytest.raises(ValueError, match="at least one"):
        sweep.run(make_tape(10), [])
    with pytest.raises(ValueError, match="nearest valid one"):
        sweep.run(make_tape(10), sweep.grid(strategy__nothing=[1]), processes=1)
