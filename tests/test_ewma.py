"""Decayed averages against hand numbers and twins that keep the full history."""

import math

import numpy as np
import pytest
import reference_pricing
from hypothesis import given, settings
from hypothesis import strategies as st

from mmquant.ewma import Ewma, Volatility
from mmquant.kernels.ewma import volatility_step
from mmquant.state import VOLATILITY

pytestmark = pytest.mark.kernels

S = 10**9
FOREVER_NS = 10**18
TIMES_NS = [0, 400_000_000, S, 1_100_000_000, 2_500_000_000, 4 * S, 4_200_000_000]
XS = [1.0, 3.0, 2.0, 5.0, 4.0, 0.0, 6.0]
# The recursion by hand; pandas calls it ewm(halflife="1.5s", times=..., adjust=False).mean()
PANDAS = [
    1.0,
    1.3375242077144245,
    1.497937233360326,
    1.656084770906823,
    2.772615678090476,
    1.386307839045238,
    1.793593101572787,
]

samples = st.lists(
    st.tuples(
        st.integers(0, 3 * S) | st.sampled_from([0, 60 * S]),
        st.integers(-50, 50).map(lambda n: n / 2),
    ),
    max_size=20,
)


def unzip(gaps_and_xs):
    ts = np.cumsum([10**18, *[gap for gap, _ in gaps_and_xs]])[1:].astype(np.int64)
    return [x for _, x in gaps_and_xs], ts


def test_the_mean_equals_the_numbers_by_hand():
    assert Ewma(1_500_000_000).path(XS, TIMES_NS) == pytest.approx(PANDAS, rel=1e-14)


@settings(deadline=None)
@given(samples)
def test_the_mean_equals_its_definition_and_the_path_its_steps(gaps_and_xs):
    xs, ts = unzip(gaps_and_xs)
    path = Ewma(2 * S).path(xs, ts)
    stepper = Ewma(2 * S)
    assert [stepper.update(x, int(t)) for x, t in zip(xs, ts, strict=True)] == path.tolist()
    twin = reference_pricing.ewma(xs, ts.tolist(), 2 * S)
    assert path == pytest.approx(twin, rel=1e-9, abs=1e-9)


def test_a_mean_never_goes_back_in_time():
    mean = Ewma(S)
    mean.update(1.0, 10 * S)
    assert mean.update(100.0, 5 * S) == 1.0
    assert mean.state[0]["ts_ns"] == 10 * S


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


@settings(deadline=None)
@given(samples, st.sampled_from([2 * S, 100 * S]))
def test_volatility_equals_its_twin_and_the_path_its_steps(gaps_and_xs, max_gap_ns):
    xs, ts = unzip(gaps_and_xs)
    stepper = Volatility(4 * S, 9 * S, 3 * S, max_gap_ns)
    twin = reference_pricing.Volatility(4 * S, 9 * S, 3 * S, max_gap_ns)
    path = Volatility(4 * S, 9 * S, 3 * S, max_gap_ns).path(xs, ts)
    for x, t, *row in zip(xs, ts.tolist(), *path, strict=True):
        stepper.update(x, t)
        twin.update(x, t)
        steps = [stepper.volatility_ticks_per_sqrt_s, stepper.drift_ticks_per_s, stepper.warm]
        assert row == steps
        assert row == pytest.approx([twin.volatility, twin.drift, twin.warm], rel=1e-7, abs=1e-7)


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
    with pytest.raises(ValueError, match="half_life_ns must be"):
        Ewma(-1)


@pytest.mark.parametrize(
    ("xs", "ts", "text"),
    [
        ([1.0, math.nan], [0, 1], "finite"),
        ([1.0, 2.0], [1, 0], "must not decrease"),
        ([1.0], [0, 1], "equally long"),
    ],
)
def test_samples_that_make_no_sense_are_refused(xs, ts, text):
    with pytest.raises(ValueError, match=text):
        Ewma(S).path(xs, ts)
    with pytest.raises(ValueError, match=text):
        Volatility(S, S).path(xs, ts)
