"""Drawdown, Sharpe ratio, time at limit and turnover, by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from mmquant.accounting import drawdown, sharpe, time_at_limit, turnover

DAY = 86_400 * 10**9


def test_the_deepest_fall_is_found_with_its_times():
    found = drawdown([0.0, 3.0, 1.0, 2.0, -1.0, 2.0, 3.0, 2.5], np.arange(8) * 10)
    assert (found.depth, found.peak_ns, found.trough_ns, found.recovered_ns) == (4.0, 10, 40, 60)
    assert drawdown([0.0, 2.0, 1.0], [1, 2, 3]).recovered_ns is None
    flat = drawdown([0.0, 1.0, 1.0, 2.0], [0, 1, 2, 3])
    assert flat.depth == 0.0
    assert flat.peak_ns == flat.trough_ns == flat.recovered_ns


def test_the_ratio_is_of_the_gains_between_samples():
    gains = np.array([1.0, -0.5, 2.0, 0.25] * 10)
    equity = np.concatenate(([7.0], 7.0 + np.cumsum(gains)))
    daily = sharpe(equity, np.arange(41) * DAY, interval_ns=DAY)
    assert daily.ratio == pytest.approx(gains.mean() / gains.std(ddof=1))
    assert daily.annualised == pytest.approx(daily.ratio * math.sqrt(365))
    assert daily.error == pytest.approx(math.sqrt((1 + daily.ratio**2 / 2) / 40))
    assert (daily.samples, daily.span_ns, daily.note) == (40, 40 * DAY, "")
    two = sharpe(equity, np.arange(41) * DAY, interval_ns=2 * DAY)
    pairs = gains.reshape(-1, 2).sum(axis=1)
    assert two.ratio == pytest.approx(pairs.mean() / pairs.std(ddof=1))


def test_the_last_value_before_a_sample_counts_and_the_rest_of_an_interval_is_left_out():
    found = sharpe([0.0, 5.0, 1.0, 4.0, 100.0], [0, 9, 10, 29, 35], interval_ns=10)
    gains = np.array([1.0, 0.0, 3.0])  # at 0, 10, 20, 30: 0, 1, 1, 4
    assert found.samples == 3
    assert found.ratio == pytest.approx(gains.mean() / gains.std(ddof=1))


def test_a_short_run_is_not_annualised_and_says_so():
    index = pd.date_range("2026-01-01", periods=100, freq="min")
    short = sharpe(pd.Series(np.arange(100) % 7 + np.arange(100.0), index), interval_ns=60 * 10**9)
    assert math.isfinite(short.ratio)
    assert math.isnan(short.annualised)
    assert short.note == "not annualised: 0.0688 days of data, at least 30 are needed"
    still = sharpe([1.0, 1.0, 1.0], [0, 20 * DAY, 40 * DAY], interval_ns=DAY)
    assert math.isnan(still.ratio)
    assert math.isnan(still.annualised)
    assert still.note == "no ratio: 40 gains that do not differ"


@pytest.mark.parametrize("first", [0.0, 1e6, -3e4])
def test_the_gains_of_a_straight_line_do_not_differ(first):
    days = np.arange(401)
    equity = first + 0.7 * days
    assert np.diff(equity).std() > 0.0, "but for rounding"
    found = sharpe(equity, days * DAY, interval_ns=DAY)
    assert math.isnan(found.ratio)
    assert found.note == "no ratio: 400 gains that do not differ"
    wavy = sharpe(equity + 1e-3 * (days % 2), days * DAY, interval_ns=DAY)
    assert wavy.ratio == pytest.approx(0.7 / 1e-3, rel=0.01)


def test_time_at_the_limit_counts_both_sides_until_the_position_changes():
    assert time_at_limit([0, 5, -5, 1, 5], [0, 10, 30, 40, 100], limit_lots=5) == 0.3


def test_turnover_by_hand():
    found = turnover([100, 101], [4, 4], [0, 4, 0], [0, 10, 30])
    assert (found.lots, found.tick_lots) == (8, 804)
    assert found.mean_position_lots == pytest.approx(80 / 30)
    assert found.turns == pytest.approx(8 / (2 * 80 / 30))
    assert found.holding_ns == pytest.approx(20.0)
    idle = turnover([], [], [0, 0], [0, 10])
    assert idle.turns == math.inf
    assert math.isnan(idle.holding_ns)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sharpe([], [], interval_ns=1), "equity must hold at least 1 sample"),
        (lambda: sharpe([1.0, math.nan], [0, 1], interval_ns=1), "equity must not be missing"),
        (lambda: sharpe([1.0], [0], interval_ns=0), "interval_ns must be between 1"),
        (lambda: sharpe([1.0], [0], interval_ns=1, least_days=0.1), "least_days must be finite"),
        (lambda: drawdown([1.0, 2.0], [1, 0]), "times must not decrease"),
        (lambda: time_at_limit([1], [1], limit_lots=1), "positions_lots must span some time"),
        (lambda: turnover([1], [1, 2], [0, 0], [0, 1]), "must be equally long"),
    ],
)
def test_arguments_that_make_no_sense_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
