"""Volatility and drift while prices come in: hand numbers, a twin with the full history, rules."""

import math

import numpy as np
import pandas as pd
import pytest
import reference_pricing
from hypothesis import given, settings
from hypothesis import strategies as st

from mmquant.kernels.volatility import volatility_step
from mmquant.state import VOLATILITY
from mmquant.volatility import Volatility

pytestmark = pytest.mark.kernels

S = 10**9
FOREVER_NS = 10**18

samples = st.lists(
    st.tuples(
        st.integers(0, 3 * S) | st.sampled_from([0, 60 * S]),
        st.integers(-50, 50).map(lambda n: n / 2),
    ),
    max_size=25,
)


def unzip(gaps_and_xs):
    ts = np.cumsum([10**18, *[gap for gap, _ in gaps_and_xs]])[1:].astype(np.int64)
    return [x for _, x in gaps_and_xs], ts


def test_an_endless_half_life_gives_the_realised_volatility():
    prices = [100, 101, 101, 99, 100, 103, 102, 102, 104, 103, 101, 102, 100]
    estimate = Volatility(FOREVER_NS, FOREVER_NS)
    sigma, drift, _ = estimate.path(prices, [i * S // 2 for i in range(len(prices))])
    assert sigma[-1] == pytest.approx(2.2360679775, rel=1e-9)
    assert drift[-1] == pytest.approx(0.0, abs=1e-8)
    assert drift[1] == pytest.approx(2.0)


def test_two_intervals_by_hand():
    estimate = Volatility(S, 2 * S, warmup_ns=3 * S)
    _, _, warm = estimate.path([10.0, 12.0, 9.0], [0, S, 3 * S])
    assert estimate.volatility_ticks_per_sqrt_s == pytest.approx(
        math.sqrt((4 / 4 + 9) / (1 / 4 + 2))
    )
    assert estimate.drift_ticks_per_s == pytest.approx((2 / 2 - 3) / (1 / 2 + 2))
    assert warm.tolist() == [False, False, True]


@settings(max_examples=40)
@given(
    samples,
    st.sampled_from([2 * S, 100 * S]),
    st.sampled_from([2.0, math.inf]),
    st.sampled_from([0.0, 1.0, 30.0]),
)
def test_volatility_equals_its_twin_and_the_path_its_steps(
    gaps_and_xs, max_gap_ns, jump_sigmas, least_jump_ticks
):
    xs, ts = unzip(gaps_and_xs)
    settings = (4 * S, 9 * S, 3 * S, max_gap_ns, jump_sigmas, least_jump_ticks)
    stepper = Volatility(*settings)
    twin = reference_pricing.Volatility(*settings)
    path = Volatility(*settings).path(xs, ts)
    for x, t, *row in zip(xs, ts.tolist(), *path, strict=True):
        stepper.update(x, t)
        twin.update(x, t)
        steps = [stepper.volatility_ticks_per_sqrt_s, stepper.drift_ticks_per_s, stepper.warm]
        known = stepper.state[0]["observed_ns"] > 0
        assert np.isnan(row[:2]).tolist() == np.isnan(steps[:2]).tolist() == [not known] * 2
        expected = [twin.volatility, twin.drift, twin.warm]
        if known:
            assert row == steps
            assert row == pytest.approx(expected, rel=1e-7, abs=1e-7)
        else:  # the kernel's zeros
            assert [0.0, 0.0, row[2]] == [0.0, 0.0, steps[2]] == expected


def test_before_the_first_interval_nothing_is_known():
    estimate = Volatility(S, S)
    assert math.isnan(estimate.volatility_ticks_per_sqrt_s)
    assert math.isnan(estimate.drift_ticks_per_s)
    sigma, drift, warm = estimate.path([10.0], [0])
    assert np.isnan([*sigma, *drift]).all()
    assert not warm.any()
    sigma, drift, _ = estimate.path([10.0, 10.0], [0, S])  # known by what came before
    assert np.isnan(sigma).tolist() == np.isnan(drift).tolist() == [True, False]
    assert sigma[1] == drift[1] == 0.0  # a price that stands still is known to
    assert estimate.path([11.0], [2 * S]).volatility_ticks_per_sqrt_s[0] > 0.0


@pytest.mark.parametrize("n", [3, 63, 64, 65, 200])
def test_a_long_time_of_nothing_is_unknown_to_its_end(n):
    nothing = np.full(n, math.nan)
    nothing[n // 2] = 5.0
    gap_ns = 10 * S
    xs, ts = [*nothing, 6.0, 7.0], [*range(n), 100 * S, 101 * S]
    sigma, drift, _ = Volatility(S, S, max_gap_ns=gap_ns).path(xs, ts)
    assert np.isnan(sigma).tolist() == np.isnan(drift).tolist() == [True] * (n + 1) + [False]
    sigma, _, _ = Volatility(S, S, max_gap_ns=gap_ns).path(xs[:n], ts[:n])
    assert np.isnan(sigma).all()


def test_a_zero_interval_is_merged_into_the_next_sample():
    merged = Volatility(S, S)
    merged.path([10.0, 99.0, 12.0], [0, 0, S])
    plain = Volatility(S, S)
    plain.path([10.0, 12.0], [0, S])
    assert merged.volatility_ticks_per_sqrt_s == plain.volatility_ticks_per_sqrt_s == 2.0


def test_a_feed_gap_gives_neither_return_nor_time():
    estimate = Volatility(S, S, warmup_ns=3 * S, max_gap_ns=10 * S)
    sigma, drift, warm = estimate.path(
        [10.0, 11.0, 5000.0, 5001.0, 5002.0], [0, S, 12 * S, 13 * S, 14 * S]
    )
    assert sigma[2:] == pytest.approx([1.0] * 3)
    assert drift[2:] == pytest.approx([1.0] * 3)
    assert warm.tolist() == [False, False, False, False, True]
    assert estimate.state[0]["gaps"] == 1


def test_a_sample_that_is_not_finite_leaves_the_estimate_alone():
    state = np.zeros(1, VOLATILITY)
    for x, t in ((10.0, 0), (math.nan, S), (math.inf, S), (11.0, 2 * S)):
        volatility_step(state, x, t, S, S, 10 * S)
    assert state[0]["observed_ns"] == 2 * S
    assert state[0]["moves_ticks"] == 1.0


@pytest.mark.parametrize("field", ["volatility_half_life_ns", "drift_half_life_ns", "max_gap_ns"])
def test_settings_out_of_range_are_refused_by_name(field):
    good = {"volatility_half_life_ns": S, "drift_half_life_ns": S, "max_gap_ns": S}
    with pytest.raises(ValueError, match=f"{field} must be between 1 .* got 0"):
        Volatility(**{**good, field: 0})
    with pytest.raises(TypeError, match=f"{field} must be a whole number"):
        Volatility(**{**good, field: 1.5})
    with pytest.raises(ValueError, match="jump_sigmas must be finite and between"):
        Volatility(**good, jump_sigmas=0)
    with pytest.raises(ValueError, match="least_jump_ticks must be finite and between"):
        Volatility(**good, least_jump_ticks=-1.0)


def random_walk(n, sigma=2.0):
    rng = np.random.default_rng(5)
    ts = np.cumsum(rng.integers(S // 10, 2 * S, n))
    steps = rng.normal(size=n) * np.sqrt(np.diff(ts, prepend=0) / 1e9)
    return 1000.0 + sigma * np.cumsum(steps), ts


def test_one_bad_price_does_not_poison_the_estimate():
    prices, ts = random_walk(4000)
    bad = prices.copy()
    bad[3000] = 61_800.0
    clean = Volatility(300 * S, 300 * S).path(prices, ts).volatility_ticks_per_sqrt_s
    hit = Volatility(300 * S, 300 * S).path(bad, ts).volatility_ticks_per_sqrt_s
    poisoned = Volatility(300 * S, 300 * S, jump_sigmas=math.inf).path(bad, ts)
    assert clean[2999:] == pytest.approx(2.0, rel=0.2)
    assert hit[2999:] == pytest.approx(2.0, rel=0.35)
    assert poisoned.volatility_ticks_per_sqrt_s[3001] > 1000.0


def test_one_bad_price_does_not_poison_the_estimate_of_logarithms():
    prices, ts = random_walk(4000)
    prices += 59_000.0
    bad = prices.copy()
    bad[3000] *= 1.01
    settings = {"jump_sigmas": 6.0, "least_jump_ticks": 1.0 / 60_000}
    path = Volatility(300 * S, 300 * S, **settings).path(np.log(bad), ts)
    hit = path.volatility_ticks_per_sqrt_s * 60_000
    assert hit[2999:] == pytest.approx(2.0, rel=0.35)
    with pytest.warns(UserWarning, match=r"Pass least_jump_ticks=tick / price") as told:
        of_ticks = Volatility(300 * S, 300 * S).path(np.log(bad), ts)  # less than 1.0 is no jump
    assert told[0].filename == __file__
    assert of_ticks.volatility_ticks_per_sqrt_s[3001] * 60_000 > 15.0


def test_logarithms_are_told_once_also_one_by_one_and_ticks_are_not():
    logs = np.log(60_000.0 + np.arange(9.0))
    estimate = Volatility(S, S)
    estimate.update(float(logs[0]), 0)
    with pytest.warns(UserWarning, match="look like logarithms") as told:
        estimate.update(float(logs[1]), S)
    assert (len(told), told[0].filename) == (1, __file__)
    estimate.update(float(logs[2]), 2 * S)  # told before
    estimate.path(logs, np.arange(9, 18) * S)
    for chosen in ({"least_jump_ticks": 1e-5}, {"jump_sigmas": math.inf}):
        Volatility(S, S, **chosen).path(logs, np.arange(9) * S)
    for ticks in ([10.0, 10.5, 10.0], [-2.0, math.nan, 1.0], 60_000 + logs, [5.0] * 3, []):
        stamps = np.arange(len(ticks)) * S
        Volatility(S, S).path(ticks, stamps)
        stepper = Volatility(S, S)
        for x, t in zip(ticks, stamps, strict=True):
            stepper.update(float(x), int(t))


def test_a_price_that_never_moved_gives_no_scale_to_judge_by():
    estimate = Volatility(60 * S, 60 * S, least_jump_ticks=0.0)
    estimate.path([5.0] * 20 + [5.5, 5.0, 5.5], np.arange(23) * S)
    assert estimate.volatility_ticks_per_sqrt_s > 0.1


def test_a_new_level_of_volatility_takes_over_within_a_few_half_lives():
    prices, ts = random_walk(4000)
    after = prices.copy()
    after[2000:] = prices[2000] + 50.0 * (prices[2000:] - prices[2000])
    sigma = Volatility(60 * S, 60 * S).path(after, ts).volatility_ticks_per_sqrt_s
    later = ts > ts[2000] + 300 * S
    assert np.median(sigma[later]) == pytest.approx(100.0, rel=0.15)


def test_a_series_comes_back_as_series_on_its_index():
    prices, ts = random_walk(50)
    series = pd.Series(prices, index=pd.to_datetime(ts))
    path = Volatility(60 * S, 60 * S).path(series)
    assert path.warm.index.equals(series.index)
    plain = Volatility(60 * S, 60 * S).path(prices, ts)
    assert path.drift_ticks_per_s.to_numpy().tobytes() == plain.drift_ticks_per_s.tobytes()


def test_a_missing_price_is_left_out():
    whole = Volatility(S, S).path([10.0, 12.0], [0, S])
    holed = Volatility(S, S).path([10.0, math.nan, 12.0], [0, S // 2, S])
    assert holed.volatility_ticks_per_sqrt_s[-1] == whole.volatility_ticks_per_sqrt_s[-1]
