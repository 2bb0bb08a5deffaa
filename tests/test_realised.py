"""Realised variances: published path, simulated diffusions of known volatility, gaps, units."""

import math

import numpy as np
import pandas as pd
import pytest
import reference_realised

from mmquant.kernels import realised as kernels
from mmquant.realised import (
    annualised,
    bipower_variance,
    noise_variance,
    over_horizon,
    pre_averaged_variance,
    realised_variance,
    signature,
    to_bps,
    two_scale_variance,
)

pytestmark = pytest.mark.kernels

S = 10**9
PATH = [100, 101, 101, 99, 100, 103, 102, 102, 104, 103, 101, 102, 100]
TIMES = np.arange(13) * S // 2
SIGMA = 2.0
EVERY = [realised_variance, bipower_variance, two_scale_variance, pre_averaged_variance]


def test_the_published_path():
    day = realised_variance(PATH, TIMES)
    assert (day.variance, day.seconds, day.samples) == (30.0, 6.0, 13)
    assert day.volatility_per_sqrt_s == pytest.approx(2.2360679775)
    assert bipower_variance(PATH, TIMES).variance == pytest.approx(27.4175358859)
    assert noise_variance(PATH, TIMES) == 1.25
    for scale, expected in ((2, 14.3076923077), (3, 4.6153846154), (4, 7.5384615385)):
        assert two_scale_variance(PATH, TIMES, scale=scale).variance == pytest.approx(expected)
    plot = signature(PATH, TIMES, steps=[1, 2, 3])
    assert plot.variance_per_s[0] == 5.0
    assert plot.variance_per_s[1] == pytest.approx(21.5 * 12 / 11 / 6)


def diffusions(paths, n, noise, jump=0.0, seed=1):
    """Prices of volatility SIGMA a sqrt(s) at random times over about n seconds."""
    rng = np.random.default_rng(seed)
    for _ in range(paths):
        ts = np.cumsum(rng.exponential(S, n)).astype(np.int64)
        seconds = np.diff(ts, prepend=0) / S
        prices = 1000.0 + np.cumsum(SIGMA * np.sqrt(seconds) * rng.normal(size=n))
        prices[n // 2 :] += jump
        yield prices + noise * rng.normal(size=n), ts


def relative(estimates):
    """Mean of variance rates over the true one, and its standard error."""
    rates = np.array([e.variance / e.seconds / SIGMA**2 for e in estimates])
    return rates.mean(), rates.std(ddof=1) / math.sqrt(rates.size)


@pytest.mark.parametrize(
    "estimator",
    [realised_variance, bipower_variance, two_scale_variance, pre_averaged_variance],
    ids=lambda f: f.__name__,
)
def test_a_clean_diffusion_has_its_volatility(estimator):
    mean, error = relative([estimator(*path) for path in diffusions(40, 2000, 0.0)])
    # Bipower under random sampling times loses E[sqrt(dt)]^2 / E[dt] = pi/4 by definition.
    truth = math.pi / 4 if estimator is bipower_variance else 1.0
    assert mean == pytest.approx(truth, abs=4 * error + 0.005)


@pytest.mark.parametrize(
    "estimator", [two_scale_variance, pre_averaged_variance], ids=lambda f: f.__name__
)
def test_noise_is_removed_within_the_error_bars(estimator):
    paths = list(diffusions(40, 4000, 4.0))
    noisy, _ = relative([realised_variance(*path) for path in paths])
    assert noisy == pytest.approx(1.0 + 2 * 16.0 / SIGMA**2, rel=0.05)
    mean, error = relative([estimator(*path) for path in paths])
    assert error < 0.05
    assert mean == pytest.approx(1.0, abs=4 * error + 0.01)


def regular(n, jump, seed=2):
    rng = np.random.default_rng(seed)
    prices = np.cumsum(SIGMA * rng.normal(size=n))
    prices[n // 2 :] += jump
    return prices, np.arange(n) * S


def test_bipower_passes_over_a_jump():
    prices, ts = regular(20_000, 500.0)
    assert realised_variance(prices, ts).variance / 20_000 > 12.0
    # Relative sd of bipower_variance: sqrt(2.6 / n); the jump adds about 2 * 500 * |r| once.
    assert bipower_variance(prices, ts).variance / 20_000 == pytest.approx(
        4.0, rel=4 * 0.0114 + 0.03
    )


@pytest.mark.parametrize("noise", [0.5, 2.0, 20.0])
def test_bipower_has_the_noise_in_it_as_is_documented(noise):
    n, paths = 4_000, 40
    rng = np.random.default_rng(8)
    rates = []
    for _ in range(paths):
        prices = np.cumsum(SIGMA * rng.normal(size=n)) + noise * rng.normal(size=n)
        rates.append(bipower_variance(prices, np.arange(n) * S).variance / (n - 1))
    error = np.std(rates, ddof=1) / math.sqrt(paths)
    variance = SIGMA**2 + 2 * noise**2  # of a return; neighbours share a price and its noise
    rho = -(noise**2) / variance
    truth = variance * (math.sqrt(1 - rho**2) + rho * math.asin(rho))
    assert np.mean(rates) == pytest.approx(truth, abs=4 * error)
    assert 1.0 <= truth / variance < 1.13


def test_the_signature_is_flat_without_noise_and_rises_with_it():
    clean = signature(*regular(20_000, 0.0), steps=[1, 10]).variance_per_s
    assert clean == pytest.approx([4.0, 4.0], rel=0.1)
    prices, ts = regular(20_000, 0.0)
    noisy = signature(prices + np.random.default_rng(3).normal(size=20_000) * 5, ts, steps=[1, 10])
    assert noisy.variance_per_s == pytest.approx([4.0 + 50.0, 4.0 + 5.0], rel=0.1)


@pytest.mark.parametrize(
    "estimator", [realised_variance, bipower_variance, two_scale_variance, pre_averaged_variance]
)
def test_a_gap_gives_neither_return_nor_time(estimator):
    prices, ts = regular(400, 0.0)
    later_prices = np.concatenate([prices, 61_800.0 + prices])
    later_ts = np.concatenate([ts, ts + 10**6 * S])
    both = estimator(later_prices, later_ts, max_gap_ns=60 * S)
    one = estimator(prices, ts)
    assert both.seconds == 2 * one.seconds
    assert both.variance == pytest.approx(2 * one.variance, rel=1e-9)


def test_missing_prices_are_left_out_and_the_index_gives_the_times():
    series = pd.Series([1.0, math.nan, 3.0], index=pd.to_datetime([0, S, 2 * S]))
    assert realised_variance(series).variance == 4.0
    assert realised_variance(series).seconds == 2.0


def test_mistakes_are_answered():
    assert math.isnan(realised_variance([1.0], [0]).volatility_per_sqrt_s)
    assert math.isnan(bipower_variance([1.0, 2.0], [0, S]).variance)
    assert math.isnan(realised_variance([1.0, 2.0], [0, 0]).volatility_per_sqrt_s)
    assert realised_variance([5.0] * 4, np.arange(4) * S).volatility_per_sqrt_s == 0.0
    assert math.isnan(noise_variance([1.0], [0]))
    assert math.isnan(pre_averaged_variance([1.0, 2.0, 3.0], [0, S, 2 * S]).variance)
    assert pre_averaged_variance([1.0, 2.0, 1.0, 2.0], np.arange(4) * S).samples == 4
    with pytest.raises(ValueError, match="times must not decrease"):
        realised_variance([1.0, 2.0], [1, 0])
    with pytest.raises(ValueError, match="scale must be between 2"):
        two_scale_variance(PATH, TIMES, scale=1)


def test_units():
    assert to_bps(3.0, 60_000.0) == 0.5
    assert annualised(1.0) == pytest.approx(5615.69, abs=0.01)
    assert annualised(1.0, 252 * 23_400) == pytest.approx(2428.33, abs=0.01)
    assert over_horizon(2.0, 9.0) == 6.0


def test_a_price_of_0_is_none_and_a_volatility_is_not_negative():
    bps = to_bps([3.0, 3.0, math.nan], [0.0, 60_000.0, 1.0])
    assert np.isnan(bps).tolist() == [True, False, True]
    assert math.isnan(to_bps(3.0, 0.0))
    for call in (annualised, lambda sigma: over_horizon(sigma, 4.0)):
        with pytest.raises(ValueError, match=r"volatility_per_sqrt_s must not be negative, got -0"):
            call([math.nan, 1.0, -0.01])
        assert np.isnan(call([math.nan, 1.0])).tolist() == [True, False]


def test_units_keep_the_kind_and_the_index():
    index = pd.date_range("2024", periods=2, freq="s")
    sigma = pd.Series([1.0, 2.0], index=index, name="sigma")
    frame = pd.DataFrame({"a": sigma, "b": sigma})
    for done in (annualised(sigma), over_horizon(sigma, 4.0), to_bps(sigma, [2.0, 4.0])):
        assert done.index.equals(index)
    assert annualised(sigma).name == over_horizon(sigma, 4.0).name == "sigma"
    assert to_bps(3.0, sigma).name == to_bps(sigma, sigma).name == "bps"
    assert to_bps(3.0, sigma).tolist() == [3e4, 1.5e4]
    assert to_bps(frame, 2.0).columns.tolist() == ["a", "b"]
    assert over_horizon(frame, 4.0)["b"].tolist() == [2.0, 4.0]
    assert annualised(frame).index.equals(index)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: to_bps(np.inf, 100.0), ValueError, "value_ticks must not be infinite, got inf"),
        (lambda: to_bps(1.0, [1, -np.inf]), ValueError, "price_ticks must not be .* got -inf at 1"),
        (lambda: to_bps("a", 100.0), TypeError, "value_ticks must be numbers, got dtype <U1"),
        (lambda: annualised(np.inf), ValueError, "volatility_per_sqrt_s must not be infinite"),
        (lambda: annualised("x"), TypeError, "volatility_per_sqrt_s must be numbers, got dtype"),
        (lambda: annualised(None), TypeError, "volatility_per_sqrt_s must be numbers, got None"),
        (lambda: annualised(realised_variance(PATH, TIMES)), TypeError, "got a Realised: pass its"),
        (lambda: over_horizon(np.inf, 1.0), ValueError, "volatility_per_sqrt_s must not be inf"),
    ],
)
def test_what_is_no_volatility_is_refused_by_name(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("window", [3, 4, 5, 8, 31, 32, 60])
@pytest.mark.parametrize("kind", ["ticks", "logarithms"])
def test_pre_averaging_equals_the_sum_of_every_window(window, kind):
    mids = (1_200_000 + np.cumsum(np.random.default_rng(1).integers(-3, 4, 60 + window))) / 2
    prices = mids if kind == "ticks" else np.log(mids)
    for part in (prices, prices[: window + 1], prices[: window + 2]):
        expected = reference_realised.pre_averaged(part, window)
        scale = float(np.sum(np.diff(part) ** 2))
        found = kernels.pre_averaged_variance(part.copy(), window)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9 * scale)
