"""Estimators compiled and interpreted: the same bits, kernel by kernel."""

import math

import numpy as np
import pytest
from interpreted import interpreted

from mmquant.kernels import (
    bar_ranges,
    bars,
    ewma,
    ewma_moments,
    fair_value,
    realised,
    realised_window,
    volatility,
)
from mmquant.state import BAR, EWMA, EWMA_MOMENTS, REALISED, REALISED_WINDOW, VOLATILITY

S = 10**9
N = 400


def samples():
    """Return prices with a jump and a missing one, others beside them, and epoch times."""
    rng = np.random.default_rng(4)
    ts = 1_700_000_000 * S + np.cumsum(rng.integers(0, 3 * S, N) * rng.integers(0, 2, N))
    xs = 61_800.1 + np.cumsum(rng.normal(size=N))
    xs[300] += 500.0
    xs[[7, 150]] = math.nan
    return xs, 0.3 * xs + rng.normal(size=N), ts


def both(kernel, *arguments):
    """Return the answer and the arrays left behind, compiled and interpreted."""
    for function in (kernel, interpreted(kernel)):
        copied = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        answer = function(*copied)
        arrays = [a.tobytes() for a in copied if isinstance(a, np.ndarray)]
        yield np.asarray(answer, np.float64 if answer is not None else object).tolist(), arrays


def assert_same_bits(kernel, *arguments):
    (answer, arrays), (plain_answer, plain_arrays) = both(kernel, *arguments)
    assert arrays == plain_arrays
    assert answer == plain_answer or (math.isnan(answer) and math.isnan(plain_answer))


def test_what_is_called_interpreted_compiles_nothing():
    function = interpreted(volatility.volatility_path)
    step = function.__globals__["volatility_robust_step"]
    assert not hasattr(step, "py_func")
    assert not hasattr(step.__globals__["_capped"], "py_func")


@pytest.mark.parametrize("adjust", [0, 1])
def test_means(adjust):
    xs, _, ts = samples()
    state = np.zeros(1, EWMA)
    state["half_life_ns"], state["adjust"] = 7 * S, adjust
    assert_same_bits(ewma.ewma_path, state, xs, ts, np.zeros(N))


@pytest.mark.parametrize("bias", [0, 1])
def test_moments(bias):
    xs, ys, ts = samples()
    state = np.zeros(1, EWMA_MOMENTS)
    state["half_life_ns"] = 7 * S
    assert_same_bits(ewma_moments.moments_path, state, xs, ys, ts, bias, np.zeros((N, 3)))


@pytest.mark.parametrize("jump_sigmas", [6.0, math.inf])
def test_volatility_and_drift(jump_sigmas):
    xs, _, ts = samples()
    settings = 20 * S, 60 * S, 9 * S, 2 * S, jump_sigmas, 1.0
    outs = np.zeros(N), np.zeros(N), np.zeros(N, np.uint8)
    state = np.zeros(1, VOLATILITY)
    assert_same_bits(volatility.volatility_path, state, xs, ts, *settings, *outs)


@pytest.mark.parametrize(
    ("kernel", "arguments"),
    [
        (realised.squares, ()),
        (realised.lagged_squares, (5,)),
        (realised.bipower_variance, ()),
        (realised.two_scale_variance, (7,)),
        (realised.best_scale, ()),
        (realised.pre_averaged_variance, (10,)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_realised_variances(kernel, arguments):
    xs, _, _ = samples()
    assert_same_bits(kernel, xs[~np.isnan(xs)], *arguments)


def test_realised_windows():
    xs, _, ts = samples()
    state, out = np.zeros(1, REALISED_WINDOW), np.zeros(N, REALISED)
    assert_same_bits(realised_window.realised_window_path, state, xs, ts, 30 * S, 2 * S, out)


@pytest.mark.parametrize(
    ("kind", "size"), [(bars.BY_TIME, 30 * S), (bars.BY_TRADES, 7), (bars.BY_VOLUME, 50)]
)
def test_bars(kind, size):
    xs, _, ts = samples()
    lots = np.random.default_rng(5).integers(0, 9, N)
    assert_same_bits(
        bars.bar_path, np.zeros(1, BAR), kind, size, np.nan_to_num(xs), lots, ts, np.zeros(N, BAR)
    )


def test_variances_of_bars():
    rng = np.random.default_rng(6)
    paths = np.exp(0.01 * np.cumsum(rng.normal(size=(60, 50)), axis=1))
    columns = paths[:, 0].copy(), paths.max(axis=1), paths.min(axis=1), paths[:, -1].copy()
    for kind in (bar_ranges.PARKINSON, bar_ranges.GARMAN_KLASS, bar_ranges.ROGERS_SATCHELL):
        assert_same_bits(bar_ranges.bar_variance_path, kind, *columns, np.zeros(60))
    assert_same_bits(bar_ranges.yang_zhang_path, *columns, 5, np.zeros((60, 3)), np.zeros(60))


def test_fair_values():
    rng = np.random.default_rng(7)
    bid, lots, other_lots = rng.integers(1, 2**40, (3, N))
    ask = bid + rng.integers(1, 99, N)
    assert_same_bits(fair_value.microprice_path, bid, lots, ask, other_lots, np.zeros(N))
    assert_same_bits(fair_value.imbalance_path, lots, other_lots, np.zeros(N))
