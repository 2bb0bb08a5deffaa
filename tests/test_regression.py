"""Drift by regression: a known one found again, errors that are right, mistakes by name."""

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def exact_fit(xs, ys):
    """Solve the normal equations in whole fractions: no rounding at all."""
    rows = [[Fraction(float(x)) for x in row] for row in xs]
    k = len(rows[0])
    matrix = [
        [sum(row[i] * row[j] for row in rows) for j in range(k)]
        + [sum(row[i] * Fraction(float(y)) for row, y in zip(rows, ys, strict=True))]
        for i in range(k)
    ]
    for i in range(k):  # positive definite: no pivot is 0
        matrix[i] = [value / matrix[i][i] for value in matrix[i]]
        for j in range(k):
            if j != i:
                factor = matrix[j][i]
                pairs = zip(matrix[j], matrix[i], strict=True)
                matrix[j] = [a - factor * b for a, b in pairs]
    return np.array([float(row[-1]) for row in matrix])


def two_signals(n=200, apart=1.0, seed=4):
    """Return signals that are `apart` from each other, a price that both foretell, and times."""
    rng = np.random.default_rng(seed)
    first, own = rng.normal(size=(2, n))
    xs = np.column_stack([first, first + apart * own])
    moves = xs @ [1.0, 2.0] + rng.normal(size=n)
    return xs, np.concatenate([[1e3], 1e3 + np.cumsum(moves)])[:-1], np.arange(n) * S


@pytest.mark.parametrize("apart", [1.0, 1e-4, 1e-6])
@pytest.mark.parametrize("scales", [(1.0, 1.0), (1e-9, 1e9), (1e9, 1e-9), (1e-90, 1e90)])
def test_coefficients_are_those_of_exact_fractions(scales, apart):
    xs, prices, ts = two_signals(apart=apart)
    xs = xs * scales
    fit = regress_drift(xs, prices, ts, horizon_ns=S)
    truth = exact_fit(xs[:-1], np.diff(prices))
    assert fit.coefficients_per_s == pytest.approx(truth, rel=1e-8)
    assert (fit.errors_per_s > 0).all()


@pytest.mark.parametrize("apart", [1.0, 1e-3, 1e-5])
@given(exponents=st.tuples(st.integers(-90, 90), st.integers(-90, 90)), signs=st.booleans())
def test_signals_in_other_units_have_the_same_errors_in_those(apart, exponents, signs):
    xs, prices, ts = two_signals(apart=apart)
    scales = 10.0 ** np.array(exponents) * (-1.0 if signs else 1.0)
    plain = regress_drift(xs, prices, ts, horizon_ns=5 * S)
    scaled = regress_drift(xs * scales, prices, ts, horizon_ns=5 * S)
    assert scaled.errors_per_s * abs(scales) == pytest.approx(plain.errors_per_s, rel=1e-6)
    assert scaled.coefficients_per_s * scales == pytest.approx(plain.coefficients_per_s, rel=1e-6)
    assert scaled.r_squared == pytest.approx(plain.r_squared, rel=1e-9)


def test_signals_that_say_the_same_are_named():
    xs, prices, ts = two_signals(apart=1e-9)
    other = np.random.default_rng(0).normal(size=ts.size)
    three = np.column_stack([xs[:, 0], 1e-9 * other, 1e6 * xs[:, 1]])
    with pytest.raises(ValueError, match=r"signals must be independent.* columns 0, 2: drop one"):
        regress_drift(three, prices, ts, horizon_ns=S)
    index = pd.to_datetime(ts)
    frame = pd.DataFrame(three, index, ["imbalance", "flow", "pressure"])
    with pytest.raises(ValueError, match=r"columns 'imbalance', 'pressure': drop one"):
        regress_drift(frame, pd.Series(prices, index), horizon_ns=S)
    odd = np.arange(ts.size) % 2
    dummies = np.column_stack([np.ones(ts.size), odd, 1 - odd, other])  # one is the sum of two
    with pytest.raises(ValueError, match=r"columns 0, 1, 2: drop one"):
        regress_drift(dummies, prices, ts, horizon_ns=S)


def test_a_sample_without_rows_says_why():
    xs, prices, ts = two_signals()
    missing = np.full_like(xs, math.nan)
    for values, text in (
        (
            (missing, prices, ts, S),
            r"signals must have a row without NaN .* got NaN in each of 199",
        ),
        (
            (xs, prices, ts, 900 * S),
            "horizon_ns must be at most the 199000000000 that times span, got 9",
        ),
        ((xs, missing[:, 0], ts, S), "prices_ticks must hold numbers, got NaN alone"),
        ((xs[:3], prices[:3], ts[:3], 10**9), r"rows than columns, got 2 of 2 columns"),
    ):
        with pytest.raises(ValueError, match=text):
            regress_drift(*values[:3], horizon_ns=values[3])
    with pytest.raises(ValueError, match=r"max_age_ns must be .* got 500000000, less"):
        regress_drift(xs, prices, ts * 3, horizon_ns=S, max_age_ns=S // 2)
    half = np.where(np.arange(xs.size).reshape(xs.shape) % 3 == 0, math.nan, xs)
    empty = np.column_stack([half[:, 0], missing[:, 0]])
    with pytest.raises(ValueError, match=r"column 1 is NaN in all of them"):
        regress_drift(empty, prices, ts, horizon_ns=S)


def test_a_horizon_in_which_nothing_moves_is_said():
    xs, prices, ts = two_signals()
    with pytest.warns(UserWarning, match="no price moves within horizon_ns=1: .* nanoseconds"):
        fit = regress_drift(xs, prices, ts, horizon_ns=1)
    assert fit.coefficients_per_s.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("value", [1e130, 1e-307])
def test_signals_beyond_reason_are_refused(value):
    xs, prices, ts = two_signals()
    with pytest.raises(ValueError, match=r"signals must .* in column 1: scale it"):
        regress_drift(np.sign(xs) * [1.0, value], prices, ts, horizon_ns=S)
    with pytest.raises(ValueError, match=r"prices_ticks must be between .*, got 1e\+303"):
        regress_drift(xs, prices * 1e300, ts, horizon_ns=S)
    with pytest.raises(ValueError, match="signals must not be 0 alone, got it in column 0"):
        regress_drift(xs * [0.0, 1.0], prices, ts, horizon_ns=S)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: regress_drift([[1.0]], [1.0], [0], horizon_ns=1), "horizon_ns must be at most"),
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
