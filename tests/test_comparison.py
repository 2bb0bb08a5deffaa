"""Paired comparisons: exact where nothing differs, honest on series whose truth is known."""

from types import SimpleNamespace

import numpy as np
import pytest
from small_tape import make_tape

from mmquant import backtest, compare
from mmquant.comparison import block_length, bootstrap_means


def ar1(n, phi, seed, mean=0.0, count=None):
    """Return a stationary AR(1) series of unit innovations, or `count` of them."""
    shocks = np.random.default_rng(seed).standard_normal((count or 1, n))
    x = np.empty_like(shocks)
    x[:, 0] = shocks[:, 0] / np.sqrt(1.0 - phi**2)
    for t in range(1, n):
        x[:, t] = phi * x[:, t - 1] + shocks[:, t]
    return mean + (x if count else x[0])


def variance_of_mean(n, phi):
    """Return the exact variance of the mean of `ar1`."""
    k = np.arange(1, n)
    return (1.0 + 2.0 * ((1.0 - k / n) * phi**k).sum()) / (1.0 - phi**2) / n


def result_of(gains, symbols=("BTCUSDT",), source="a tape"):
    """Return what `compare` reads of a result: each instrument gains `gains`, a second each."""
    net = np.concatenate(([0.0], np.cumsum(gains)))
    now_ns = 10**18 + 10**9 * np.arange(net.size)
    one = SimpleNamespace(positions=np.zeros(1, [("now_ns", "i8")]), run=[{"now_ns": now_ns[-1]}])
    one.positions["now_ns"] = now_ns[0]
    import pandas

    return SimpleNamespace(
        symbols=list(symbols),
        source=source,
        instrument=lambda name: SimpleNamespace(**vars(one), symbol=name),
        equity=lambda name: pandas.DataFrame({"now_ns": now_ns, "net": net}),
    )


@pytest.mark.parametrize("phi", [0.0, 0.6])
def test_the_interval_covers_the_mean_as_often_as_it_says(phi):
    n, repeats, level = 2_000, 150, 0.9
    covered, variances = 0, []
    for seed, x in enumerate(ar1(n, phi, 1, mean=0.3, count=repeats)):
        means = bootstrap_means(x, block_length(x), 150, seed)
        low, high = np.quantile(means, [0.05, 0.95])
        covered += low <= 0.3 <= high
        variances.append(means.var())
    # Within three errors of a share of `repeats`.
    error = np.sqrt(level * (1.0 - level) / repeats)
    assert abs(covered / repeats - level) < 3.0 * error
    # The bias of a finite block, about -2 phi / (1 - phi^2) / block, is the dependent case's own.
    truth = variance_of_mean(n, phi)
    assert 0.8 * truth < np.mean(variances) < 1.05 * truth


def test_the_variance_of_the_draws_is_the_closed_form():
    # Politis and Romano 1994, lemma 1: exact given the series.
    x, block = ar1(200, 0.5, 3), 7.0
    n, p = x.size, 1.0 / block
    d = x - x.mean()
    truth = d @ d / n
    for i in range(1, n):
        weight = (1 - i / n) * (1 - p) ** i + (i / n) * (1 - p) ** (n - i)
        truth += 2.0 * weight * (d[:-i] @ d[i:]) / n
    means = bootstrap_means(x, block, 10_000, 1)
    assert means.var() * n == pytest.approx(truth, rel=4.0 * np.sqrt(2.0 / 10_000))
    assert means.mean() == pytest.approx(x.mean(), abs=4.0 * np.sqrt(truth / n / 10_000))


def test_with_blocks_of_one_it_is_the_plain_bootstrap():
    x = np.random.default_rng(5).standard_normal(500) + 0.1
    generator = np.random.default_rng(9)
    plain = np.array([x[generator.integers(500, size=500)].mean() for _ in range(300)])
    assert bootstrap_means(x, 1.0, 300, 9) == pytest.approx(plain, abs=1e-12)
    assert block_length(x) < 4.0, "independent samples need no blocks"


@pytest.mark.parametrize("phi", [0.3, 0.7, -0.5])
def test_the_block_length_is_that_of_an_ar1(phi):
    # Of an AR(1): G / g(0) = 2 phi / (1 - phi^2), so that b is known.
    n = 8_000
    truth = abs(2.0 * phi / (1.0 - phi**2)) ** (2.0 / 3.0) * n ** (1.0 / 3.0)
    estimates = [block_length(x) for x in ar1(n, phi, 1, count=6)]
    assert np.median(estimates) == pytest.approx(truth, rel=0.15)


def test_constant_and_wild_series_have_a_length_within_its_bounds():
    assert block_length(np.full(100, 0.1)) == 1.0
    walk = np.cumsum(np.random.default_rng(1).standard_normal(900))
    assert 1.0 <= block_length(walk) <= 90.0
    assert block_length(np.tile([1.0, -1.0], 200)) <= 60.0
    with pytest.raises(ValueError, match="at least 100 finite"):
        block_length([1.0, np.nan] * 100)


def test_a_result_against_itself_is_exactly_nothing():
    result = backtest.run(make_tape(250), pricing={"warmup_s": 0.1}, strategy={"requote_ticks": 1})
    same = compare(result, result, step_s=0.01)
    assert (same.difference, same.per_hour, same.low_per_hour, same.high_per_hour) == (0, 0, 0, 0)
    assert same.probability == 0.5
    assert "not told apart" in str(same)
    other = backtest.run(make_tape(250, seed=2))
    with pytest.raises(ValueError, match="of the same tape"):
        compare(result, other)
    with pytest.raises(ValueError, match="at least 100 steps of 1 s, got"):
        compare(result, result)


def test_a_difference_is_measured_pair_by_pair():
    # What the market does to both is large; what they differ by is small and falls out.
    market = 100.0 * ar1(1_800, 0.5, 1)
    edge = 0.02 + 0.05 * ar1(1_800, 0.4, 2)
    first, second = result_of(market + edge), result_of(market)
    told = compare(first, second, draws=2_000)
    assert told.difference == pytest.approx(edge.sum(), rel=1e-6)
    assert told.per_hour == pytest.approx(3600.0 * edge.mean(), rel=1e-6)
    assert 0.0 < told.low_per_hour < told.per_hour < told.high_per_hour
    assert told.probability > 0.99
    assert "they differ" in str(told)
    assert compare(first, second, draws=2_000) == told, "the seed's"
    back = compare(second, first, draws=2_000)
    assert back.low_per_hour == pytest.approx(-told.high_per_hour)
    assert back.probability == pytest.approx(1.0 - told.probability)
    coarse = compare(first, second, step_s=5.0, draws=2_000)
    assert coarse.samples == 360
    assert coarse.difference == pytest.approx(told.difference, rel=1e-6)


def test_several_instruments_add_up():
    gains = ar1(400, 0.2, 7)
    both = [result_of(k * gains, ("A", "B")) for k in (1.0, 2.0)]
    one = compare(*both, symbol="A", draws=200)
    assert compare(*both, draws=200).difference == pytest.approx(2.0 * one.difference)
    with pytest.raises(ValueError, match="of the same instruments, got A, B and A"):
        compare(both[0], result_of(gains, ("A",)))


def test_too_short_a_time_is_refused():
    a, b = result_of(ar1(300, 0.2, 1)), result_of(ar1(300, 0.2, 2))
    with pytest.raises(ValueError, match="at least 10 blocks of 40 s, got 300 s"):
        compare(a, b, block_s=40.0)
    with pytest.raises(ValueError, match="same tape, got a tape and another"):
        compare(a, result_of(np.zeros(300), source="another"))
    with pytest.raises(ValueError, match="level must be"):
        compare(a, b, level=1.0)
