"""Realised measures by window of time: the twin, each rule by hand, the library's function."""

import math

import numpy as np
import pandas as pd
import pytest
import reference_realised
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_realised import MOST_MIDS, RealisedWindows, assert_same, samples_of

import mmquant
from mmquant.kernels.realised_window import realised_window_step
from mmquant.state import MAX_WINDOW_MIDS, REALISED, REALISED_WINDOW

pytestmark = pytest.mark.kernels

S = 10**9
START_NS = 1_700_000_000 * S
RANGES = [f"{kind}_ticks_per_sqrt_s" for kind in reference_realised.RANGES]
WHOLE = 2_000


def walk(n, seed=1, step_ns=S // 10):
    """Return mids in half ticks and increasing times."""
    rng = np.random.default_rng(seed)
    times = START_NS + np.cumsum(rng.integers(1, 2 * step_ns, n))
    return (1_200_000 + np.cumsum(rng.integers(-3, 4, n))) / 2, times


def fold(mids, times, window_ns, max_gap_ns):
    """Step through mids; return the windows that were closed, and the state."""
    state, rows = np.zeros(1, REALISED_WINDOW), []
    for x, ts_ns in zip(mids, times, strict=True):
        if realised_window_step(state, float(x), int(ts_ns), window_ns, max_gap_ns) == 1:
            rows.append(state[0]["closed"][0].copy())
    return np.array(rows, REALISED), state


samples = st.lists(
    st.tuples(
        st.sampled_from([1, S // 5, S // 2, S, S, S, 2 * S, 3 * S, 0, 3 * S + 1, -S]),
        st.one_of(st.integers(190, 210).map(lambda x: x / 2), st.just(math.nan)),
    ),
    min_size=8,
    max_size=40,
)


@pytest.mark.filterwarnings("ignore:window_ns=1 is below")
@settings(max_examples=150, deadline=None)
@given(samples, st.sampled_from([1, S, 2 * S, 3 * S + 1, 5 * S]))
def test_the_kernel_equals_its_twin_over_gaps_equal_times_and_boundaries(rows, window_ns):
    twin, state, times = RealisedWindows(window_ns, 3 * S), np.zeros(1, REALISED_WINDOW), []
    now_ns = START_NS
    for elapsed_ns, x in rows:
        now_ns += elapsed_ns
        times.append(now_ns)
        had = len(twin.closed)
        twin.update(x, now_ns)
        answer = realised_window_step(state, x, now_ns, window_ns, 3 * S)
        assert answer == len(twin.closed) - had
        assert state[0]["mids"] == len(twin.samples)
        if twin.closed:
            assert_same(state[0]["closed"][0], twin.closed[-1])
    if times == sorted(times):
        mids = np.array([x for _, x in rows], float)
        path = mmquant.realised_windows(
            mids, np.array(times, np.int64), window_ns=window_ns, max_gap_ns=3 * S
        )
        assert path.tobytes() == fold(mids, times, window_ns, 3 * S)[0].tobytes()
        assert len(path) == len(twin.closed)


def test_windows_are_the_librarys_measures_of_their_mids():
    mids, times = walk(WHOLE)
    windows = mmquant.realised_windows(mids, times, window_ns=5 * S)
    assert len(windows) > WHOLE // 60
    assert windows["end_ns"][:-1].tolist() == windows["start_ns"][1:].tolist()
    assert windows["start_ns"][0] == times[0]
    for row in windows:
        inside = (times >= row["start_ns"]) & (times <= row["end_ns"])
        samples = samples_of(list(zip(mids[inside], times[inside], strict=True)), 5 * S)
        assert len(samples) < inside.sum()
        assert_same(row, reference_realised.measures(*zip(*samples, strict=True)))
    covered = times <= windows["end_ns"][-1]
    whole = mmquant.realised_variance(mids[covered], times[covered])
    seconds = (windows["end_ns"] - windows["start_ns"]) / S
    parts = windows["realised_ticks_per_sqrt_s"] ** 2 * seconds
    assert parts.sum() == pytest.approx(whole.variance, rel=1e-12)  # no move lies between windows
    assert seconds.sum() == pytest.approx(whole.seconds, rel=1e-12)


def test_a_window_ends_with_the_first_mid_at_its_end():
    times = START_NS + np.array([0, S, 3 * S, 5 * S, 6 * S, 8 * S, 10 * S - 1, 10 * S])
    windows = mmquant.realised_windows(np.arange(8.0) + 100, times, window_ns=5 * S)
    assert (windows["end_ns"] - START_NS).tolist() == [5 * S, 10 * S]
    assert windows["samples"].tolist() == [4, 5]
    sooner = mmquant.realised_windows(np.arange(8.0) + 100, times, window_ns=5 * S - 1)
    assert (sooner["end_ns"] - START_NS).tolist() == [5 * S, 10 * S - 1]


def test_a_window_of_too_few_mids_goes_on():
    times = START_NS + np.arange(5) * 10 * S
    windows = mmquant.realised_windows([100, 101, 102, 103, 104], times, window_ns=S)
    assert windows["samples"].tolist() == [4]
    assert windows["end_ns"][0] == times[3]
    assert windows["realised_ticks_per_sqrt_s"][0] == math.sqrt(3 / 30)


def test_a_price_that_stands_is_one_sample():
    times = START_NS + np.arange(13) * S // 2
    mids = [100, 100, 100, 101, 101, 99, 99, 99, 99, 102, 102, 102, 102]
    row = mmquant.realised_windows(mids, times, window_ns=6 * S)[0]
    moved, at = [100, 101, 99, 102, 102], times[[0, 3, 5, 9, 12]]  # and the window's end
    assert row["samples"] == 5
    assert_same(row, reference_realised.measures(moved, at.tolist()))
    every = mmquant.bipower_variance(mids, times).volatility_per_sqrt_s
    assert row["bipower_ticks_per_sqrt_s"] > every == 0.0
    assert row["realised_ticks_per_sqrt_s"] == math.sqrt(14 / 6)


def test_a_window_that_a_gap_ends_reaches_to_the_last_mid_told_of():
    times = START_NS + np.array([0, 1, 2, 3, 9, 20, 21]) * S
    mids = [100, 101, 102, 103, 103, 103, 103]
    row = mmquant.realised_windows(mids, times, window_ns=10 * S, max_gap_ns=8 * S)[0]
    assert (row["end_ns"], row["samples"]) == (times[4], 5)
    assert row["realised_ticks_per_sqrt_s"] == math.sqrt(3 / 9)


def test_a_full_buffer_closes_the_window_early():
    assert MAX_WINDOW_MIDS == MOST_MIDS
    mids, times = walk(2 * MOST_MIDS + 10)
    mids = mids + np.arange(mids.size) * 2.0  # all move
    rows, state = fold(mids, times, 10**6 * S, 10 * S)
    assert rows["samples"].tolist() == [MOST_MIDS, MOST_MIDS]
    assert state[0]["mids"] == 12
    for row, first in zip(rows, (0, MOST_MIDS - 1), strict=True):
        part = slice(first, first + MOST_MIDS)
        assert_same(row, reference_realised.measures(mids[part], times[part]))


@pytest.mark.parametrize(("before_ns", "kept"), [(5 * S, [6]), (5 * S - 1, [])])
def test_a_gap_keeps_what_has_half_of_its_time(before_ns, kept):
    first = START_NS + np.array([0, S, 2 * S, 3 * S, 4 * S, before_ns])
    times = np.concatenate([first, first[-1] + 4 * S + np.arange(3) * S])
    windows = mmquant.realised_windows(
        np.arange(9.0) + 50, times, window_ns=10 * S, max_gap_ns=3 * S
    )
    assert windows["samples"].tolist() == kept
    assert windows["end_ns"].tolist() == [first[-1]] * len(kept)


def test_behind_a_gap_a_window_begins_anew():
    times = START_NS + np.array([0, S, 2 * S, 20 * S, 21 * S, 22 * S, 25 * S])
    mids = [100, 101, 102, 900, 901, 902, 901]
    windows = mmquant.realised_windows(mids, times, window_ns=5 * S, max_gap_ns=3 * S)
    assert windows["start_ns"].tolist() == [times[3]]
    assert windows["realised_ticks_per_sqrt_s"][0] == math.sqrt(3 / 5)


def test_a_price_that_stands_and_a_negative_variance_are_0():
    times = START_NS + np.arange(40) * S
    flat = mmquant.realised_windows(np.full(40, 100.0), times, window_ns=37 * S)
    assert flat["samples"].tolist() == [4]  # the first, and three from the window's end on
    assert [flat[name][0] for name in REALISED.names[3:]] == [0.0] * 9
    bounce = 100.0 + np.arange(40) % 2 + np.arange(40) % 3 * 0.1  # nothing but noise
    windows = mmquant.realised_windows(bounce, times, window_ns=39 * S)
    for name in ("two_scale", "pre_averaged"):
        assert getattr(mmquant, f"{name}_variance")(bounce, times).variance < 0.0
        assert windows[f"{name}_ticks_per_sqrt_s"][0] == 0.0
    assert windows["noise_ticks"][0] == math.sqrt(mmquant.noise_variance(bounce, times)) > 0.0


def test_ranges_are_0_to_1_on_a_known_path_and_nan_of_no_price():
    times = START_NS + np.arange(21) * S // 2
    mids = np.where(np.arange(21) % 2, 202.0, 200.0)
    row = mmquant.realised_windows(mids, times, window_ns=10 * S)[0]
    one_bar = math.log(202 / 200) ** 2 / (4 * math.log(2))  # each opens at 200, sees 202, closes
    assert row["parkinson_ticks_per_sqrt_s"] == pytest.approx(math.sqrt(one_bar) * 200.0)
    below = mmquant.realised_windows(mids - 201.0, times, window_ns=10 * S)[0]
    assert below["realised_ticks_per_sqrt_s"] == row["realised_ticks_per_sqrt_s"]
    assert all(math.isnan(below[name]) for name in RANGES)


def test_measures_of_a_diffusion_are_its_volatility():
    rng = np.random.default_rng(7)
    times = START_NS + np.arange(WHOLE) * S // 10
    mids = 60_000.0 + np.cumsum(rng.normal(size=WHOLE) * 2.0 * math.sqrt(0.1))
    windows = mmquant.realised_windows(mids, times, window_ns=WHOLE * S // 40)
    for name in ("realised_ticks_per_sqrt_s", "bipower_ticks_per_sqrt_s", *RANGES):
        # Ten bars of a few mids each miss some of the extremes.
        assert np.sqrt(np.mean(windows[name] ** 2)) == pytest.approx(2.0, rel=0.3), name


def test_the_kind_and_the_index_are_kept():
    mids, times = walk(200)
    plain = mmquant.realised_windows(mids, times, window_ns=5 * S)
    index = pd.to_datetime(times, utc=True).tz_convert("Europe/Berlin")
    frame = mmquant.realised_windows(pd.Series(mids, index), window_ns=5 * S)
    assert frame.index.name == "end"
    assert str(frame.index.tz) == "Europe/Berlin"
    assert frame.index.as_unit("ns").asi8.tolist() == plain["end_ns"].tolist()
    assert frame.columns.tolist() == [name for name in REALISED.names if name != "end_ns"]
    assert frame["noise_ticks"].tolist() == plain["noise_ticks"].tolist()
    missing = np.insert(mids, 50, math.nan)
    again = mmquant.realised_windows(missing, np.insert(times, 50, times[50]), window_ns=5 * S)
    assert again.tobytes() == plain.tobytes()
    assert mmquant.realised_windows([], np.zeros(0, np.int64), window_ns=S).size == 0


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"window_ns": 0}, ValueError, "window_ns must be between 1"),
        ({"window_ns": 1.5}, TypeError, "window_ns must be a whole number"),
        ({"max_gap_ns": 0}, ValueError, "max_gap_ns must be between 1"),
        ({"times": [S, 0]}, ValueError, "times must not decrease"),
        ({"mids_ticks": [1.0, math.inf]}, ValueError, "mids_ticks must not be infinite"),
    ],
)
def test_mistakes_are_answered(changes, error, text):
    good = {"mids_ticks": [1.0, 2.0], "times": [0, S], "window_ns": S}
    with pytest.raises(error, match=text):
        mmquant.realised_windows(**good | changes)
