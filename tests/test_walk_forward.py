"""Walking forward: the windows, what is chosen in them, what is left of it afterwards."""

import dataclasses
import itertools
import math

import numpy as np
import pandas
import pytest

from mmquant import backtest, sweep
from mmquant.tape import Tape
from mmquant.tape.synthetic import START_NS, synthetic_tape
from mmquant.walk_forward import windows_of

S = 1_000_000_000
CONFIG = backtest.Config().changed(pricing={"warmup_s": 0.1})
SETS = sweep.grid(strategy__requote_ticks=[1, 8], strategy__levels=[1, 3])


@pytest.fixture(scope="module")
def tape():
    return synthetic_tape(2.0, seed=3)


def test_windows_follow_each_other_and_end_within_the_tape(tape):
    windows = windows_of(tape, 0.5, 0.25, None)
    begin, end = tape.start_ns, tape.end_ns
    assert [w.start_ns for w in windows] == [begin + k * S // 4 for k in range(len(windows))]
    assert all(w.split_ns - w.start_ns == S // 2 for w in windows)
    assert all(w.end_ns - w.split_ns == S // 4 for w in windows)
    assert windows[-1].end_ns <= end + 1 < windows[-1].end_ns + S // 4
    tested = [(w.split_ns, w.end_ns) for w in windows]
    assert all(a[1] == b[0] for a, b in itertools.pairwise(tested))
    assert len(windows_of(tape, 0.5, 0.25, 0.5)) == math.ceil(len(windows) / 2)
    whole = windows_of(tape, (end + 1 - begin) / S - 0.25, 0.25, None)
    assert [w.end_ns for w in whole] == [end + 1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"train_s": 1.0, "test_s": 2.0}, r"fit into the tape's 2 s, got 1\.0 \+ 2\.0"),
        ({"train_s": 0.0, "test_s": 1.0}, "train_s must be finite and between"),
        ({"train_s": 0.5, "test_s": 0.5, "step_s": 0.25}, "no time is tested twice"),
        ({"train_s": 0.5, "test_s": 0.25, "metric": "net_profit"}, "take a rate such as"),
        ({"train_s": 1.0, "test_s": 0.5, "metric": "profit"}, "'profit': one of .*net_per_hour"),
    ],
)
def test_what_cannot_be_walked_is_refused(tape, options, words):
    with pytest.raises(ValueError, match=words):
        sweep.walk_forward(tape, SETS[:1], config=CONFIG, processes=1, **options)


def test_each_window_is_the_sweep_and_the_backtest_of_its_slices(tape, tmp_path):
    told, path = [], tmp_path / "results.jsonl"
    options = {"train_s": 0.6, "test_s": 0.4, "config": CONFIG, "results": path}
    walked = sweep.walk_forward(
        tape, SETS, processes=2, on_progress=lambda n, of: told.append((n, of)), **options
    )
    frame = walked.frame
    assert len(frame) == 3
    assert told == [(k, 15) for k in range(1, 16)]
    for k, row in frame.iterrows():
        start, split, end = (row[name].value for name in ("train_start", "test_start", "test_end"))
        assert start == START_NS + S // 1000 + k * 4 * S // 10
        table = sweep.run(tape.slice(start, split), SETS, config=CONFIG, processes=1)
        best = int(table["net_per_hour"].argmax())
        assert {name: row[name] for name in SETS[best]} == SETS[best]
        assert row["in_sample"] == table["net_per_hour"][best] == row["train.net_per_hour"]
        assert row["in_sample_median"] == table["net_per_hour"].median()
        config = CONFIG.changed(
            strategy={name.partition(".")[2]: value for name, value in SETS[best].items()}
        )
        after = backtest.run(tape.slice(split, end), config=config)
        assert row["test.hash"] == after.hash
        assert row["out_of_sample"] == after.metrics()["net_per_hour"]
    again = sweep.walk_forward(
        tape, SETS, processes=1, on_progress=lambda n, of: told.append((n, of)), **options
    )
    pandas.testing.assert_frame_equal(again.frame, frame, check_dtype=False)
    assert len(told) == 15, "nothing was left to do"
    worst = sweep.walk_forward(tape, SETS, lowest=True, processes=1, **options)
    assert (worst.frame["in_sample"] <= frame["in_sample"]).all()


def test_several_symbols_are_walked_by_what_they_make_together(tape):
    both = two_symbols(tape)
    options = {"train_s": 0.9, "test_s": 0.9, "config": CONFIG, "processes": 1}
    row = sweep.walk_forward(both, SETS[:2], **options).frame.iloc[0]
    start, split = row["train_start"].value, row["test_start"].value
    parts = backtest.run(both.slice(start, split), config=CONFIG.changed(strategy=chosen(row)))
    profit = sum(parts.metrics(symbol)["net_profit"] for symbol in ("BTCUSDT", "TWIN"))
    seconds = max(parts.metrics(symbol)["seconds"] for symbol in ("BTCUSDT", "TWIN"))
    assert row["in_sample"] == pytest.approx(profit / seconds * 3600.0)
    assert row["train.fills_per_hour"] == pytest.approx(row["train.fills"] / seconds * 3600.0)


def two_symbols(tape):
    """Return a tape on which the one instrument trades twice."""
    twins = np.repeat(tape.events, 2)
    twins["instrument"][1::2] = 1
    twin = dataclasses.replace(tape.instruments[0], symbol="TWIN")
    return Tape(twins, tape.levels, [tape.instruments[0], twin], "twins")


def chosen(row):
    return {name.partition(".")[2]: row[name] for name in SETS[0]}


def test_the_summary_says_what_survives():
    frame = pandas.DataFrame(
        {
            "in_sample": [4.0, 2.0, 6.0, np.nan],
            "in_sample_median": [1.0, 1.0, 1.0, np.nan],
            "out_of_sample": [2.0, -1.0, 2.0, np.nan],
        }
    )
    walked = sweep.WalkForward(frame, "net_per_hour", 9)
    assert (walked.in_sample, walked.out_of_sample, walked.survives) == (4.0, 1.0, 0.25)
    assert walked.error == pytest.approx(1.0)
    text = walked.summary()
    for words in (
        "4 windows, 9 sets",
        "25% of the in-sample",
        "in 2 of 3",
        "1 windows had nothing",
    ):
        assert words in text
    losing = sweep.WalkForward(frame.assign(in_sample=-1.0), "net_per_hour", 9)
    assert math.isnan(losing.survives)
    assert "no share" in losing.summary()


def test_a_window_without_events_chooses_nothing(tape):
    events = tape.events
    half = START_NS + S
    silent = tape.with_events(
        events[(events["received_ns"] < half - 3 * S // 10) | (events["received_ns"] >= half)]
    )
    options = {"train_s": 0.1, "test_s": 0.1, "config": CONFIG, "processes": 1}
    frame = sweep.walk_forward(silent, SETS[:1], **options).frame
    missing = frame["in_sample"].isna()
    assert 1 <= missing.sum() < len(frame)
    assert frame["out_of_sample"][missing].isna().all()
