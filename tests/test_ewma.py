"""Decayed mean, variance and covariance: pandas and full-history twins, bits, and mistakes."""

import math
import os
import warnings

import numpy as np
import pandas as pd
import pytest
import reference_ewma
from hypothesis import given, settings
from hypothesis import strategies as st

import mmquant
from mmquant.ewma import (
    Ewma,
    ewm_correlation,
    ewm_covariance,
    ewm_grid,
    ewm_mean,
    ewm_variance,
)
from mmquant.kernels import ewma as kernels
from mmquant.kernels.ewma_grid import ewma_grid
from mmquant.kernels.ewma_moments import moments_path, moments_scale, moments_step
from mmquant.state import EWMA, EWMA_MOMENTS

pytestmark = pytest.mark.kernels

S = 10**9
INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT") == "1"
TIMES_NS = [0, 400_000_000, S, 1_100_000_000, 2_500_000_000, 4 * S, 4_200_000_000]
XS = [1.0, 3.0, 2.0, 5.0, 4.0, 0.0, 6.0]
# Of pandas 3.1.1, ewm(halflife="1.5s", times=..., adjust=...).mean().
PANDAS = {
    True: [
        1.0,
        2.0921573893881744,
        2.053562589367505,
        2.9518697616138145,
        3.33755824746055,
        1.9226061332207967,
        3.2167904391688658,
    ],
    False: [
        1.0,
        1.3375242077144245,
        1.497937233360326,
        1.656084770906823,
        2.772615678090476,
        1.386307839045238,
        1.793593101572787,
    ],
}

gaps = st.integers(0, 3 * S) | st.sampled_from([0, 60 * S, 10**17])
numbers = st.integers(-50, 50).map(lambda n: n / 2) | st.just(math.nan)
samples = st.lists(st.tuples(gaps, numbers, numbers), max_size=20)


def unzip(rows):
    ts = np.cumsum([0, *[row[0] for row in rows]])[1:].astype(np.int64)
    return np.array([row[1] for row in rows]), np.array([row[2] for row in rows]), ts


def random_samples(n, missing=0.0):
    rng = np.random.default_rng(3)
    ts = np.cumsum(rng.integers(0, 3 * S, n) * rng.integers(0, 2, n))
    xs = 100.0 + rng.normal(size=n)
    xs[rng.random(n) < missing] = np.nan
    return xs, ts


@pytest.mark.parametrize("adjust", [True, False])
def test_the_mean_equals_the_published_numbers(adjust):
    out = ewm_mean(XS, TIMES_NS, half_life_ns=1_500_000_000, adjust=adjust)
    assert out == pytest.approx(PANDAS[adjust], rel=1e-14)


@pytest.mark.parametrize("adjust", [True, False])
@pytest.mark.parametrize("missing", [0.0, 0.002, 0.3])
def test_the_mean_equals_that_of_pandas(adjust, missing):
    xs, ts = random_samples(3000, missing)
    for half_life_ns in (S // 3, 60 * S, 10**13):
        ewm = pd.Series(xs).ewm(
            halflife=pd.Timedelta(half_life_ns, unit="ns"), times=pd.to_datetime(ts), adjust=adjust
        )
        out = ewm_mean(xs, ts, half_life_ns=half_life_ns, adjust=adjust)
        np.testing.assert_allclose(out, ewm.mean().to_numpy(), rtol=1e-12)


@pytest.mark.parametrize("half_life_ns", [10**4, 10**6, 10**9])
def test_the_mean_is_exact_at_times_of_the_epoch_in_nanoseconds(half_life_ns):
    rng = np.random.default_rng(2)
    since = np.cumsum(rng.integers(1, half_life_ns // 5, 150))
    ts = 1_770_000_000 * S + since  # a float64 holds them to 256 ns
    xs = 3.0 + rng.normal(size=150)
    twin = reference_ewma.mean(xs, ts.tolist(), half_life_ns)
    out = ewm_mean(xs, ts, half_life_ns=half_life_ns)
    np.testing.assert_allclose(out, twin, rtol=2e-15)
    assert ewm_mean(xs, since, half_life_ns=half_life_ns).tobytes() == out.tobytes()


def test_a_large_grid_and_one_that_is_not_aligned_have_the_same_bits():
    n = 60 if INTERPRETED else 20_000  # compiled: larger than what stays in the caches
    rng = np.random.default_rng(8)
    xs, ts = rng.normal(size=n), np.cumsum(rng.integers(0, S, n))
    for half_lives in (np.arange(1, 33) * S, np.arange(1, 34) * S):  # whole groups, and one more
        for adjust in (True, False):
            grid = ewm_grid(xs, ts, half_lives_ns=half_lives, adjust=adjust)
            shifted = np.zeros(grid.size + 1)[1:].reshape(grid.shape)
            ewma_grid(half_lives, int(adjust), xs, ts, shifted)
            assert shifted.tobytes() == grid.tobytes()
            for k in (0, 15, 16, 31, half_lives.size - 1):
                path = ewm_mean(xs, ts, half_life_ns=int(half_lives[k]), adjust=adjust)
                assert np.ascontiguousarray(grid[:, k]).tobytes() == path.tobytes()


@pytest.mark.parametrize("adjust", [True, False])
@pytest.mark.parametrize("missing", [0.0, 0.002])
def test_path_grid_and_folded_steps_agree_to_the_last_bit(adjust, missing):
    xs, ts = random_samples(1500, missing)
    path = ewm_mean(xs, ts, half_life_ns=7 * S, adjust=adjust)
    stepper = Ewma(7 * S, adjust)
    steps = np.array([stepper.update(float(x), int(t)) for x, t in zip(xs, ts, strict=True)])
    assert path.tobytes() == steps.tobytes()
    grid = ewm_grid(xs, ts, half_lives_ns=[S, 7 * S] * 10, adjust=adjust)
    assert grid.shape == (1500, 20)
    assert all(grid[:, k].tobytes() == path.tobytes() for k in range(1, 20, 2))
    halves = Ewma(7 * S, adjust)
    cut = np.concatenate([halves.path(xs[:700], ts[:700]), halves.path(xs[700:], ts[700:])])
    assert cut.tobytes() == path.tobytes()


odd_values = st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1e308])
odd_gaps = st.sampled_from([-1, -3 * S, 0, 2**51 - 1, 2**51, 10**18])


@settings(max_examples=200 if not INTERPRETED else 40, deadline=None)
@given(
    st.integers(1, 40),
    st.dictionaries(st.integers(0, 39), odd_values, max_size=3),
    st.dictionaries(st.integers(0, 39), odd_gaps, max_size=3),
    st.integers(0, 40),
    st.booleans(),
)
def test_a_path_is_its_steps_whatever_is_odd_and_wherever(n, values, intervals, cut, adjust):
    xs = np.arange(n) * 0.1 - 1.0
    gaps_ns = np.full(n, S // 2)
    for at, value in values.items():
        xs[at % n] = value
    for at, gap_ns in intervals.items():
        gaps_ns[at % n] = gap_ns
    ts = np.cumsum(gaps_ns)
    state, folded = np.zeros(1, EWMA), np.zeros(1, EWMA)
    for each in (state, folded):
        each["half_life_ns"], each["adjust"] = S, adjust
    out = np.zeros(n)
    with np.errstate(over="ignore", invalid="ignore"):  # numpy's scalars, interpreted
        odd = kernels.ewma_path(state, xs[:cut], ts[:cut], out[:cut])
        odd += kernels.ewma_path(state, xs[cut:], ts[cut:], out[cut:])
        steps = np.array([kernels.ewma_step(folded, x, t) for x, t in zip(xs, ts, strict=True)])
    assert out.tobytes() == steps.tobytes()
    assert state.tobytes() == folded.tobytes()
    later = np.concatenate([ts[:1], ts[:-1]])
    is_odd = ~np.isfinite(xs) | (ts < later)
    if 0 < cut < n:
        is_odd[cut] = not np.isfinite(xs[cut])  # the second part does not know the time before
    assert odd == is_odd.sum()


@pytest.mark.parametrize("bias", [0, 1])
def test_moments_of_a_path_are_its_steps_folded_to_the_last_bit(bias):
    xs, ts = random_samples(800, 0.02)
    ys = 0.3 * xs + np.random.default_rng(9).normal(size=xs.size)
    ts[400:] += 10**13  # a gap that forgets
    folded, state = np.zeros(1, EWMA_MOMENTS), np.zeros(1, EWMA_MOMENTS)
    folded["half_life_ns"] = state["half_life_ns"] = 7 * S
    path, steps = np.empty((800, 3)), np.empty((800, 3))
    moments_path(state, xs, ys, ts, bias, path)
    for i in range(800):
        moments_step(folded, xs[i], ys[i], ts[i])
        scale = moments_scale(folded, bias)
        steps[i] = [folded[0][name] * scale for name in ("xx", "xy", "yy")]
    assert path.tobytes() == steps.tobytes()
    assert folded.tobytes() == state.tobytes()


def test_compiled_and_interpreted_give_the_same_bits():
    xs, ts = random_samples(600, 0.01)
    step = getattr(kernels.ewma_step, "py_func", kernels.ewma_step)
    for adjust in (0, 1):
        state = np.zeros(1, EWMA)
        state["half_life_ns"], state["adjust"] = 7 * S, adjust
        steps = np.array([step(state, x, t) for x, t in zip(xs, ts, strict=True)])
        path = ewm_mean(xs, ts, half_life_ns=7 * S, adjust=bool(adjust))
        assert steps.tobytes() == path.tobytes()


@settings(max_examples=30)
@given(samples)
def test_means_equal_their_definition(rows):
    xs, _, ts = unzip(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adjusted = ewm_mean(xs, ts, half_life_ns=2 * S)
        by_time = ewm_mean(xs, ts, half_life_ns=2 * S, adjust=False)
    twin = reference_ewma.mean(xs, ts.tolist(), 2 * S)
    np.testing.assert_allclose(adjusted, twin, rtol=1e-9, atol=1e-9)
    there = ~np.isnan(xs)
    twin = reference_ewma.mean_by_time(xs[there], ts[there].tolist(), 2 * S)
    np.testing.assert_allclose(by_time[there], twin, rtol=1e-9, atol=1e-9)


@settings(max_examples=30)
@given(samples, st.booleans())
def test_variance_and_covariance_equal_their_definition(rows, bias):
    xs, ys, ts = unzip(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        xy = ewm_covariance(xs, ys, ts, half_life_ns=30 * S, bias=bias)
        xx = ewm_variance(xs, ts, half_life_ns=30 * S, bias=bias)
    twin = reference_ewma.covariance(xs, ys, ts.tolist(), 30 * S, bias)
    np.testing.assert_allclose(xy, twin, rtol=1e-9, atol=1e-9)
    twin = reference_ewma.covariance(xs, xs, ts.tolist(), 30 * S, bias)
    np.testing.assert_allclose(xx, twin, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("halvings", [10, 45, 60, 400, 5_000])
def test_two_samples_far_apart_have_the_variance_of_two_samples(halvings):
    ts = np.array([0, 1, 2, halvings * S, halvings * S + 1])
    xs = 61_800.0 + np.array([0.1, -0.2, 0.15, 1.0, 0.9])
    ys = 5.0 - 2.0 * xs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        xx = ewm_variance(xs, ts, half_life_ns=S)
        xy = ewm_covariance(xs, ys, ts, half_life_ns=S)
        r = ewm_correlation(xs, ys, ts, half_life_ns=S)
    twin = reference_ewma.covariance(xs, xs, ts.tolist(), S, False)
    np.testing.assert_allclose(xx, twin, rtol=1e-9)
    # All that is old weighs as one sample, at its mean and with the spread of its own.
    old = xs[:3]
    together = (old.var() + (xs[3] - old.mean()) ** 2) / 2
    assert xx[3] == pytest.approx(together, rel=0.01)
    np.testing.assert_allclose(xy[1:], -2.0 * xx[1:], rtol=1e-9)
    np.testing.assert_allclose(r[1:], -1.0, rtol=1e-9)


@pytest.mark.parametrize("bias", [True, False])
def test_variance_and_covariance_equal_those_of_pandas_at_regular_times(bias):
    xs, _ = random_samples(1000, 0.01)
    ys = 0.5 * xs + np.random.default_rng(4).normal(size=1000)
    ts = np.arange(1000) * S
    ewm = pd.Series(xs).ewm(halflife=9)
    ours = ewm_variance(xs, ts, half_life_ns=9 * S, bias=bias)
    np.testing.assert_allclose(ours[10:], ewm.var(bias=bias).to_numpy()[10:], rtol=1e-9)
    ours = ewm_covariance(xs, ys, ts, half_life_ns=9 * S, bias=bias)
    theirs = ewm.cov(pd.Series(ys), bias=bias).to_numpy()
    np.testing.assert_allclose(ours[10:], theirs[10:], rtol=1e-9, atol=1e-12)
    ours = ewm_correlation(xs, ys, ts, half_life_ns=9 * S)
    np.testing.assert_allclose(ours[10:], ewm.corr(pd.Series(ys)).to_numpy()[10:], rtol=1e-9)


# ---- kinds of arguments ----


def test_the_answer_is_of_the_kind_that_was_passed():
    xs, ts = random_samples(40)
    stamps = pd.to_datetime(ts)
    series = pd.Series(xs, index=stamps, name="mid")
    plain = ewm_mean(xs, ts, half_life_ns=5 * S)
    out = ewm_mean(series, half_life_ns=5 * S)
    assert out.name == "mid"
    assert out.index.equals(series.index)
    assert out.to_numpy().tobytes() == plain.tobytes()
    frame = pd.DataFrame({"a": xs, "b": 2 * xs}, index=stamps)
    out = mmquant.ewm_mean(frame, half_life_ns=5 * S)
    assert list(out.columns) == ["a", "b"]
    assert out["a"].to_numpy().tobytes() == plain.tobytes()
    grid = ewm_grid(series, half_lives_ns=[S, 5 * S])
    assert list(grid.columns) == [S, 5 * S]
    assert ewm_mean(np.column_stack([xs, xs]), ts, half_life_ns=5 * S).shape == (40, 2)


@pytest.mark.parametrize("unit", ["ns", "us", "ms", "s"])
def test_times_of_any_unit_and_zone_mean_the_same(unit):
    xs, _ = random_samples(10)
    ts = np.arange(10) * S
    plain = ewm_mean(xs, ts, half_life_ns=5 * S)
    stamps = ts.astype("datetime64[ns]").astype(f"datetime64[{unit}]")
    assert ewm_mean(xs, stamps, half_life_ns=5 * S).tobytes() == plain.tobytes()
    zoned = pd.Series(stamps).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    assert ewm_mean(xs, zoned, half_life_ns=5 * S).tobytes() == plain.tobytes()
    indexed = pd.Series(xs, index=pd.DatetimeIndex(zoned))
    assert ewm_mean(indexed, half_life_ns=5 * S).to_numpy().tobytes() == plain.tobytes()


# ---- mistakes people make ----


def test_a_half_life_in_seconds_is_warned_of():
    with pytest.warns(UserWarning, match="half_life_ns=60 is below .* is it in nanoseconds"):
        out = ewm_mean([1.0, 2.0, 4.0], [0, S, 2 * S], half_life_ns=60)
    assert out.tolist() == [1.0, 2.0, 4.0]
    seconds = np.arange(3) * S
    for call in (
        lambda: ewm_grid([1.0, 2.0, 4.0], seconds, half_lives_ns=[S, 60]),
        lambda: Ewma(60).path([1.0, 2.0, 4.0], seconds),
        lambda: mmquant.trade_flow_imbalance([1, 1, 1], [1, 1, -1], seconds, half_life_ns=60),
        lambda: mmquant.decayed_order_flow(*[[1, 1, 1]] * 4, seconds, half_life_ns=60),
    ):
        with pytest.warns(UserWarning, match="half_life_ns=60 is below"):
            call()


@pytest.mark.parametrize(
    ("xs", "ts", "error", "text"),
    [
        ([1.0, 2.0], [1, 0], ValueError, "times must not decrease, got 0 after 1 at 1: sort"),
        ([1.0], [0, 1], ValueError, "values, times must be equally long, got values 1, times 2"),
        ([1.0, math.inf], [0, 1], ValueError, "values must not be infinite, got inf at 1"),
        ([1.0, 2.0], [0.5, 1.5], TypeError, "times must be datetime64 or whole nanoseconds"),
        (["a", "b"], [0, 1], TypeError, "values must be numbers"),
        ([1.0, 2.0], None, TypeError, "times must be given, got None"),
        ([1.0, 2.0], np.array(["NaT", "2024"], "M8[ns]"), ValueError, "NaT at 0"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(xs, ts, error, text):
    with pytest.raises(error, match=text):
        ewm_mean(xs, ts, half_life_ns=S)


@pytest.mark.parametrize("half_life", [0, -1, 1.5, True])
def test_a_half_life_that_is_no_positive_whole_number_is_refused(half_life):
    with pytest.raises((TypeError, ValueError), match="half_life_ns must be"):
        ewm_mean(XS, TIMES_NS, half_life_ns=half_life)


def test_duplicate_times_all_count_or_by_time_only_the_first():
    assert ewm_mean([1.0, 5.0], [0, 0], half_life_ns=S).tolist() == [1.0, 3.0]
    assert ewm_mean([1.0, 5.0], [0, 0], half_life_ns=S, adjust=False).tolist() == [1.0, 1.0]


def test_one_sample_none_and_only_missing_ones():
    assert ewm_mean([7.0], [0], half_life_ns=S).tolist() == [7.0]
    assert ewm_mean([], np.array([], np.int64), half_life_ns=S).size == 0
    assert np.isnan(ewm_mean([math.nan] * 3, [0, 1, 2], half_life_ns=S, warmup_ns=1)).all()
    assert np.isnan(ewm_variance([7.0], [0], half_life_ns=S)).all()
    assert ewm_variance([7.0], [0], half_life_ns=S, bias=True).tolist() == [0.0]


def test_equal_values_have_their_mean_and_no_variance():
    _, ts = random_samples(500)
    same = np.full(500, 61_800.1)
    assert ewm_mean(same, ts, half_life_ns=7 * S) == pytest.approx(same, rel=1e-14)
    assert (ewm_variance(same, ts, half_life_ns=7 * S)[1:] == 0.0).all()
    assert np.isnan(ewm_correlation(same, same, ts, half_life_ns=7 * S)).all()


def test_a_huge_gap_forgets_what_was_before():
    ts = np.array([0, S, 10**18, 10**18 + S])
    out = ewm_mean([100.0, 100.0, 1.0, 3.0], ts, half_life_ns=S)  # and warns of no unit
    assert out[2:].tolist() == [1.0, (0.5 * 1.0 + 3.0) / 1.5]


def test_a_sample_of_the_past_counts_as_of_now():
    mean = Ewma(S, adjust=False)
    mean.update(1.0, 10 * S)
    assert mean.update(100.0, 5 * S) == 1.0
    assert mean.state[0]["ts_ns"] == 10 * S


def test_warming_up_is_explicit():
    mean = Ewma(S, warmup_ns=2 * S)
    assert math.isnan(mean.value)
    assert not mean.warm
    warm = []
    for second in range(4):
        mean.update(1.0, second * S)
        warm.append(mean.warm)
    assert warm == [False, False, True, True]
    mean = Ewma(S, warmup_ns=2 * S)
    mean.update(math.nan, 0)
    mean.update(1.0, S)
    assert not mean.warm
    mean.update(math.nan, 3 * S)  # time runs on, and does not go back
    mean.update(math.nan, 2 * S)
    assert mean.warm
    path = Ewma(S, warmup_ns=2 * S)
    path.path([1.0, 1.0, 1.0], [0, 1, 2 * S])
    assert path.warm
    out = ewm_mean([math.nan, 1.0, 1.0, 1.0], np.arange(4) * S, half_life_ns=S, warmup_ns=2 * S)
    assert np.isnan(out).tolist() == [True, True, True, False]


@pytest.mark.parametrize("adjust", [True, False])
def test_a_mean_is_written_where_it_is_told_to(adjust):
    xs, times = np.array([1.0, np.nan, 3.0, 2.0]), np.array([0, 1, 5, 6]) * 10**9
    out = np.full(4, 7.0)
    given = ewm_mean(xs, times, half_life_ns=10**9, adjust=adjust, out=out)
    assert given is out
    assert out.tolist() == ewm_mean(xs, times, half_life_ns=10**9, adjust=adjust).tolist()
    series = pd.Series(xs, index=pd.to_datetime(times))
    spare = np.empty(4)
    assert ewm_mean(series, half_life_ns=10**9, adjust=adjust, out=spare).tolist() == out.tolist()
    assert spare.tolist() == out.tolist()


@pytest.mark.parametrize(
    ("values", "out", "text"),
    [
        (np.ones(3), np.empty(4), r"out must be a float64 array of shape \(3,\), got float64"),
        (np.ones(3), np.empty(3, np.float32), "got float32"),
        (np.ones(3), [0.0, 0.0, 0.0], "got list"),
        (np.ones(3), np.empty(6)[::2], "out must be contiguous"),
        (np.ones((3, 2)), np.empty(3), "out must be for one column"),
        (SHARED := np.ones(3), SHARED, "not share its memory"),
    ],
)
def test_an_out_that_cannot_be_written_is_refused(values, out, text):
    with pytest.raises(ValueError, match=text):
        ewm_mean(values, np.arange(3), half_life_ns=1, out=out)
