"""Drift by regression: a known one found again, errors that are right, mistakes by name."""

import math

import numpy as np
import pandas as pd
import pytest

from mmquant.regression import forward_moves, regress_drift

pytestmark = pytest.mark.kernels

S = 10**9


def drifting(n=20_000):
    """Return a slow signal, a price that drifts 0.5 ticks/s times it, and irregular times."""
    rng = np.random.default_rng(7)
    ts = np.cumsum(rng.integers(S // 100, S // 10, n))
    signal = np.convolve(rng.normal(size=n + 199), np.ones(200) / 14, "valid")
    seconds = np.diff(ts, append=ts[-1]) / S
    steps = 0.5 * signal * seconds + 0.05 * np.sqrt(seconds) * rng.normal(size=n)
    return signal, 1000 + np.concatenate([[0.0], np.cumsum(steps)[:-1]]), ts


def test_a_drift_that_a_signal_foretells_is_found_by_regression():
    signal, prices, ts = drifting()
    fit = regress_drift(signal, prices, ts, horizon_ns=S // 2)
    # The price after half a second is the last before it, 0.03 s old; the signal fades by 2 %.
    assert fit.coefficients_per_s[0] == pytest.approx(0.5 * 0.94 * 0.98, rel=0.05)
    assert fit.errors_per_s[0] < 0.02
    noise = np.random.default_rng(1).normal(size=signal.size)
    both = regress_drift(np.column_stack([signal, noise]), prices, ts, horizon_ns=S // 2)
    assert abs(both.coefficients_per_s[1]) < 4 * both.errors_per_s[1]


def null_fit(seed, horizon_ns=2 * S, n=2_000):
    """Regress a random walk on a slow signal that says nothing of it."""
    rng = np.random.default_rng(seed)
    ts = np.cumsum(rng.exponential(S // 10, n)).astype(np.int64)
    walk = np.cumsum(rng.normal(size=n) * np.sqrt(np.diff(ts, prepend=0) / S))
    signal = np.convolve(rng.normal(size=n + 99), np.ones(100) / 10, "valid")
    return signal, walk, ts, regress_drift(signal, walk, ts, horizon_ns=horizon_ns)


def test_errors_of_overlapping_moves_are_right():
    zs = [fit.coefficients_per_s[0] / fit.errors_per_s[0] for *_, fit in map(null_fit, range(200))]
    # Lags up to the horizon with weights that fall to 0 give 1.26.
    assert np.std(zs) == pytest.approx(1.0, abs=0.14)


def test_errors_of_overlapping_moves_are_the_sum_over_all_pairs():
    xs, walk, ts, fit = null_fit(1, n=300)
    xs = np.column_stack([xs, np.arange(300) % 7])
    fit = regress_drift(xs, walk, ts, horizon_ns=2 * S)
    moves = forward_moves(walk, ts, horizon_ns=2 * S)
    xs, ts, moves = xs[~np.isnan(moves)], ts[~np.isnan(moves)], moves[~np.isnan(moves)] / 2
    scores = xs * (moves - xs @ fit.coefficients_per_s)[:, None]
    apart = abs(ts[:, None] - ts)
    inverse = np.linalg.inv(xs.T @ xs)
    variances = [
        np.diag(inverse @ scores.T @ weights @ scores @ inverse)
        for weights in (apart < 2 * S, np.maximum(0.0, 1 - apart / (4 * S)))
    ]
    assert fit.errors_per_s == pytest.approx(np.sqrt(np.maximum(*variances)), rel=1e-9)


def test_what_comes_after_the_horizon_is_only_known_within_the_sample():
    moves = forward_moves([1.0, 2.0, 4.0, 9.0], np.array([0, 1, 2, 50]) * S, horizon_ns=S)
    assert moves[:3].tolist() == [1.0, 2.0, 0.0]
    assert math.isnan(moves[3])
    times = np.array([0, 1, 2, 50]) * S
    aged = forward_moves([1.0, 2.0, 4.0, 9.0], times, horizon_ns=9 * S, max_age_ns=7 * S)
    assert np.isnan(aged).tolist() == [False, True, True, True]
    holed = forward_moves([1.0, math.nan, 4.0, 9.0], times, horizon_ns=S)  # the last one stands
    assert holed[0] == 0.0
    assert np.isnan(holed).tolist() == [False, True, False, True]
    series = pd.Series([1.0, 2.0, 4.0, 9.0], index=pd.to_datetime(times), name="mid")
    same = forward_moves(series, horizon_ns=S)
    assert same.index.equals(series.index)
    assert same.to_numpy().tobytes() == moves.tobytes()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: regress_drift([[1.0]], [1.0], [0], horizon_ns=1), "signals must be independent"),
        (lambda: regress_drift([1.0, 2.0], [1.0], [0], horizon_ns=1), "signals must have a row"),
        (
            lambda: regress_drift([[1.0, 2.0], [3.0, math.inf]], [1.0, 2.0], [0, 1], horizon_ns=1),
            "signals must not be infinite, got inf at 1",
        ),
    ],
)
def test_mistakes_are_answered_by_name(call, text):
    with pytest.raises(ValueError, match=text):
        call()
