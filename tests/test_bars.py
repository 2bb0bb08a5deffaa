"""Bars against pandas and by hand, and their variances against published numbers."""

import math

import numpy as np
import pandas as pd
import pytest

from mmquant.bars import (
    garman_klass,
    parkinson,
    rogers_satchell,
    tick_bars,
    time_bars,
    volume_bars,
    yang_zhang,
)
from mmquant.kernels import bars as kernels
from mmquant.state import BAR

pytestmark = pytest.mark.kernels

S = 10**9
BARS = (
    [100, 101, 103, 102],
    [102, 104, 105, 103],
    [99, 100.5, 101, 100],
    [101, 103.5, 102, 100.5],
)


def trades(n=500):
    rng = np.random.default_rng(1)
    ts = 10**18 + np.cumsum(rng.integers(0, 4 * S, n) * rng.integers(0, 2, n))
    return 100 + np.cumsum(rng.integers(-2, 3, n)).astype(float), rng.integers(0, 9, n), ts


def test_bars_by_time_equal_those_of_pandas():
    prices, lots, ts = trades()
    series = pd.Series(prices, index=pd.to_datetime(ts))
    ours = time_bars(series, lots, interval_ns=30 * S)
    theirs = series.resample("30s").ohlc().dropna()[:-1]
    assert ours.index.tolist() == theirs.index.tolist()
    for name in ("open", "high", "low", "close"):
        assert ours[name].tolist() == theirs[name].tolist()
    volume = pd.Series(lots, index=series.index).resample("30s").sum()
    assert ours["volume_lots"].tolist() == volume[ours.index].tolist()
    assert time_bars(prices, lots, ts, interval_ns=30 * S)["close"].tolist() == ours.close.tolist()


def test_bars_by_number_and_volume_by_hand():
    prices, lots, ts = [5.0, 3.0, 4.0, 7.0, 6.0], [1, 4, 2, 9, 1], np.arange(5) * S
    bars = tick_bars(prices, lots, ts, trades=2)
    assert bars[["open", "high", "low", "close"]].tolist() == [(5, 5, 3, 3), (4, 7, 4, 7)]
    assert bars["volume_lots"].tolist() == [5, 11]
    assert bars["start_ns"].tolist() == [0, 2 * S]
    bars = volume_bars(prices, lots, ts, volume_lots=6)
    assert bars["trades"].tolist() == [3, 1]
    assert bars["volume_lots"].tolist() == [7, 9]


@pytest.mark.parametrize("kind", [kernels.BY_TIME, kernels.BY_TRADES, kernels.BY_VOLUME])
def test_the_path_is_its_steps(kind):
    prices, lots, ts = trades(200)
    size = 30 * S if kind == kernels.BY_TIME else 7
    path, steps = np.zeros(200, BAR), np.zeros(200, BAR)
    count = kernels.bar_path(np.zeros(1, BAR), kind, size, prices, lots, ts, path)
    bar, at = np.zeros(1, BAR), 0
    for price, lot, t in zip(prices, lots, ts, strict=True):
        at += kernels.bar_step(bar, kind, size, price, lot, t, steps, at)
    assert at == count > 5
    assert steps.tobytes() == path.tobytes()


def test_variances_of_bars_equal_the_published_numbers():
    assert parkinson(*BARS).mean() == pytest.approx(0.000400831617744, rel=1e-11)
    assert garman_klass(*BARS).mean() == pytest.approx(0.000457983055471, rel=1e-11)
    assert rogers_satchell(*BARS).mean() == pytest.approx(0.000443074568619, rel=1e-11)
    rolling = yang_zhang(*BARS, window=3)
    assert np.isnan(rolling[:3]).all()
    assert rolling[3] == pytest.approx(0.000466293671894, rel=1e-11)


@pytest.mark.parametrize(
    ("column", "value"), [(0, 200.0), (1, 100.0), (2, 104.0), (3, 90.0), (3, math.nan), (2, 0.0)]
)
def test_what_is_no_bar_has_no_variance_where_it_is_in_the_window(column, value):
    bars = [np.tile(prices, 3) for prices in BARS]
    sound = yang_zhang(*bars, window=3)
    bars[column] = bars[column].astype(float)
    bars[column][5] = value
    rolling = yang_zhang(*bars, window=3)
    assert np.isnan(rolling[5:8]).all()
    assert rolling[9:].tolist() == sound[9:].tolist()
    assert np.isnan(rogers_satchell(*bars)[5])


def test_rogers_and_satchell_do_not_see_a_drift_where_others_do():
    rng = np.random.default_rng(3)
    steps = rng.normal(size=(1000, 500)) / math.sqrt(500) + 2.0 / 500  # two sigmas a bar
    paths = np.exp(0.01 * np.cumsum(steps, axis=1))
    paths = np.column_stack([np.ones(1000), paths])
    bars = paths[:, 0], paths.max(axis=1), paths.min(axis=1), paths[:, -1]

    def mean_and_error(estimator):
        variances = np.asarray(estimator(*bars)) / 0.01**2
        return variances.mean(), variances.std() / math.sqrt(1000)

    mean, error = mean_and_error(rogers_satchell)
    assert mean == pytest.approx(0.921, abs=4 * error)  # what 500 ticks a bar show of 1
    for estimator in (parkinson, garman_klass):
        assert mean_and_error(estimator)[0] > 1.2


@pytest.mark.parametrize(
    ("estimator", "bias"), [(parkinson, 0.948), (garman_klass, 0.923), (rogers_satchell, 0.921)]
)
def test_bars_of_a_diffusion_show_its_volatility_less_what_500_ticks_miss(estimator, bias):
    rng = np.random.default_rng(2)
    paths = np.exp(0.01 * np.cumsum(rng.normal(size=(1000, 500)) / math.sqrt(500), axis=1))
    paths = np.column_stack([np.ones(1000), paths])
    bars = paths[:, 0], paths.max(axis=1), paths.min(axis=1), paths[:, -1]
    variances = np.asarray(estimator(*bars)) / 0.01**2
    error = variances.std() / math.sqrt(1000)
    assert variances.mean() == pytest.approx(bias, abs=4 * error)


def test_mistakes_are_answered():
    assert time_bars([], [], np.array([], np.int64), interval_ns=S).size == 0
    assert time_bars([1.0], [1], [0], interval_ns=S).size == 0
    assert math.isnan(parkinson([5.0], [4.0], [3.0], [4.0])[0])
    zero = [0.0, 0.0, 0.0, 0.0]
    assert np.isnan(yang_zhang(zero, zero, zero, zero, window=2)).all()
    for estimator in (parkinson, garman_klass, rogers_satchell):
        for missing in range(4):
            bar = [[math.nan if column == missing else 5.0] for column in range(4)]
            assert np.isnan(estimator(*bar)).all()
    with pytest.raises(ValueError, match="prices must be present, got nan at 0"):
        tick_bars([math.nan], [1], [0], trades=1)
    with pytest.raises(ValueError, match="interval_ns must be between 1"):
        time_bars([1.0], [1], [0], interval_ns=0)
    with pytest.raises(ValueError, match="times must not decrease"):
        time_bars([1.0, 1.0], [1, 1], [1, 0], interval_ns=S)
