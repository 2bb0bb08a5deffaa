"""Calibration: depths, markouts and decays by hand and from captures, mistakes by name."""

import gzip
import json
import math
from time import process_time

import numba
import numpy as np
import pandas as pd
import pytest

from mmquant.calibrate import (
    ArrivalDepths,
    arrival_depths,
    fit_arrivals,
    fit_arrivals_log_linear,
    fit_drift_decay,
    markout_curve,
    trades_and_mids,
)
from mmquant.tape import read_tape

pytestmark = pytest.mark.kernels

S = 10**9
K = 0.4


def test_depths_are_against_the_mid_before_and_an_order_counts_once():
    out = arrival_depths(
        [102.0, 103.0, 99.0, 99.5, 105.0],
        [1, 1, -1, 1, 1],
        [100.0, 101.0, 104.0],
        np.array([2, 2, 3, 3, 500]) * S,
        np.array([1, 2, 10]) * S,
        max_age_ns=20 * S,
    )
    # At 2 s the mid of 1 s counts; 102 and 103 are one order; nothing is known at 500 s.
    assert out.depths_ticks.tolist() == [3.0, 2.0, -1.5]
    assert out.sides.tolist() == [1, -1, 1]
    assert out.seconds == 9.0


def test_trades_that_were_matched_at_one_time_are_one_order():
    out = arrival_depths(
        [101.0, 99.0, 103.0, 98.0, 102.0, 104.0, 105.0],
        [1, -1, 1, -1, 1, 1, 1],
        [100.0, 101.0],
        np.array([20, 21, 22, 23, 24, 25, 41]),
        np.array([1, 22]),
        np.array([9, 9, 9, 9, 9, 10, 11]),
    )
    # The mid of 22 is new, but the first trades of both orders were before it. The last order is
    # received behind the last mid: what it was against is not known.
    assert out.depths_ticks.tolist() == [3.0, 2.0]
    assert out.sides.tolist() == [1, -1]
    with pytest.raises(ValueError, match="times, venue_times must be equally long"):
        arrival_depths([1.0], [1], [1.0], [0], [0], [1, 2])


def test_what_is_wrong_with_the_venues_times_is_said_of_them():
    trades, sides, mids = [101.0, 102.0], [1, 1], [100.0, 100.0]
    with pytest.raises(TypeError, match="venue_times must be datetime64 or whole nanoseconds"):
        arrival_depths(trades, sides, mids, [10, 11], [5, 20], [1.0, 2.0])
    prices = pd.Series(trades, [10, 11])
    with pytest.raises(ValueError, match="prices_ticks and venue_times must have the same index"):
        arrival_depths(prices, sides, mids, [10, 11], [5, 20], pd.Series([1, 2], [11, 10]))


def test_a_warning_names_the_line_of_the_user():
    with pytest.warns(UserWarning, match="away from mids_ticks") as told:
        arrival_depths([1_010.0], [1], [100.0] * 2, [10], [5, 20])
    assert told[0].filename == __file__


@pytest.mark.parametrize("stated", [True, False])
def test_an_order_without_a_mid_before_it_is_left_out_whole(stated):
    times = np.array([5, 5, 9]) if not stated else np.array([4, 6, 9])
    venue_times = np.array([1, 1, 2]) if stated else None
    out = arrival_depths([101.0, 102.0, 103.0], [1] * 3, [100.0] * 2, times, [5, 20], venue_times)
    assert out.depths_ticks.tolist() == [3.0]


def test_prices_of_another_unit_are_said():
    mids, times = np.full(9, 600_000.0), np.arange(9)
    with pytest.warns(UserWarning, match="540000 away from mids_ticks of 600000") as told:
        arrival_depths(mids / 10, np.ones(9, int), mids, times, times)
    assert told[0].filename == __file__
    with pytest.warns(UserWarning, match="are both in ticks of one instrument") as told:
        markout_curve(mids / 10, np.ones(9, int), mids, times, times, horizons_ns=[0, 1])
    assert (len(told), told[0].filename) == (1, __file__)


def test_seconds_are_those_in_which_a_trade_would_count():
    mids = [100.0, 100.0, math.nan, 100.0, math.nan]
    mid_times = np.array([0, 10, 14, 100, 103]) * S
    seconds = [5, 12, 15, 18, 24, 60, 99, 102]
    out = arrival_depths(
        [101.0] * len(seconds),
        [1] * len(seconds),
        mids,
        np.array(seconds) * S,
        mid_times,
        max_age_ns=8 * S,
    )
    # 8 s behind the mid of 0 s, 8 s behind that of 10 s (the one of 14 s is missing), and 3 s.
    assert out.seconds == 8.0 + 8.0 + 3.0
    assert out.depths_ticks.size == 5
    assert arrival_depths([], np.array([], np.int64), [], [], []).seconds == 0.0


def test_the_rate_of_arrivals_is_right_where_mids_grow_too_old():
    rng = np.random.default_rng(11)
    mid_times = np.cumsum(rng.exponential(30 * S, 4_000)).astype(np.int64)
    mids = np.where(rng.random(4_000) < 0.3, np.nan, 100.0)
    mids[0] = 100.0
    times = np.sort(rng.uniform(0, mid_times[-1], rng.poisson(0.2 * mid_times[-1] / S)))
    depths = rng.exponential(1 / K, times.size)
    out = arrival_depths(
        100.0 + depths,
        np.ones(times.size, np.int64),
        mids,
        times.astype(np.int64),
        mid_times,
        max_age_ns=20 * S,
    )
    assert 0.2 < out.seconds / (mid_times[-1] / S) < 0.6
    fit = fit_arrivals(out.depths_ticks, out.seconds)
    assert fit.intensity_per_s == pytest.approx(0.2, abs=4 * fit.intensity_error)
    assert fit.decay_per_tick == pytest.approx(K, abs=4 * fit.decay_error)


def test_markouts_by_hand():
    curve = markout_curve(
        [101.0, 99.0],
        [1, -1],
        pd.Series([100.0, 102.0, 98.0], index=pd.to_datetime([0, 2 * S, 5 * S])),
        np.array([1, 3]) * S,
        horizons_ns=[0, S, 2 * S, 4 * S],
    )
    assert curve.mean_ticks[:3].tolist() == [-2.0, -1.0, 1.0]
    assert curve.trades.tolist() == [2, 2, 2, 1]
    assert curve.mean_ticks[3] == -3.0


def test_trades_of_one_order_do_not_make_a_markout_more_certain():
    moves = np.random.default_rng(2).normal(size=50)
    mids, mid_times = 100.0 + np.append(moves, 0.0), np.arange(1, 52) * S
    curves = [
        markout_curve(
            np.full(50 * copies, 100.0),
            np.ones(50 * copies, int),
            mids,
            np.repeat(np.arange(50) * S, copies) + np.tile(np.arange(copies), 50),
            mid_times,
            np.repeat(np.arange(50) * S, copies),
            horizons_ns=[S],
        )
        for copies in (1, 8)
    ]
    assert curves[0].error_ticks[0] == pytest.approx(moves.std(ddof=1) / math.sqrt(50))
    assert curves[1].error_ticks[0] == pytest.approx(curves[0].error_ticks[0])
    assert curves[1].mean_ticks[0] == pytest.approx(curves[0].mean_ticks[0])
    assert curves[1].trades[0] == 400


def test_errors_of_a_markout_are_those_of_orders_counted_one_by_one():
    rng = np.random.default_rng(9)
    times = np.sort(rng.integers(0, 300, 500))
    sides, prices = rng.choice([-1, 1], 500), 100 + rng.normal(size=500)
    mids, mid_times = 100 + rng.normal(size=200), np.sort(rng.choice(320, 200, replace=False))
    curve = markout_curve(prices, sides, mids, times, mid_times, horizons_ns=[0, 5, 40])
    for i, horizon in enumerate(curve.horizons_ns):
        moves, orders = [], []
        for price, side, time in zip(prices, sides, times, strict=True):
            at = np.flatnonzero(mid_times <= time + horizon)
            if at.size > 0 and time + horizon <= mid_times[-1]:
                moves.append(side * (mids[at[-1]] - price))
                orders.append((time, side))
        mean = np.mean(moves)
        sums = {order: 0.0 for order in orders}
        for order, move in zip(orders, moves, strict=True):
            sums[order] += move - mean
        part = len(sums) / (len(sums) - 1)
        error = math.sqrt(part * sum(value**2 for value in sums.values())) / len(moves)
        assert curve.trades[i] == len(moves)
        assert curve.mean_ticks[i] == pytest.approx(mean)
        assert curve.error_ticks[i] == pytest.approx(error)
    assert curve.trades[-1] < 500


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the time is that of compiled kernels")
def test_markouts_of_a_million_fills_take_no_time_to_speak_of():
    n = 1_000_000
    times, prices, sides = np.arange(n) * 1_000, np.full(n, 100.0), np.ones(n, np.int64)
    markout_curve(prices[:9], sides[:9], prices[:9], times[:9], times[:9], horizons_ns=[1])
    began = process_time()
    curve = markout_curve(prices, sides, prices, times, times, horizons_ns=[1_000] * 8)
    assert process_time() - began < 3.0  # 0.4; 8 where numpy.unique counted the orders
    assert curve.trades.tolist() == [n - 1] * 8


def test_the_half_life_of_a_drift_is_found_again_within_its_error():
    rng = np.random.default_rng(1)
    us = np.geomspace(0.1 * S, 60 * S, 25).astype(np.int64)
    errors = np.full(25, 0.02)
    truth = 1.5 * (1 - 2.0 ** (-us / (4 * S)))
    fits = [fit_drift_decay(us, truth + errors * rng.normal(size=25), errors) for _ in range(40)]
    halves = np.array([fit.half_life_ns for fit in fits]) / S
    stated = np.mean([fit.half_life_error_ns for fit in fits]) / S
    assert halves.mean() == pytest.approx(4.0, abs=4 * stated / math.sqrt(40))
    assert halves.std() == pytest.approx(stated, rel=0.4)
    exact = fit_drift_decay(us, truth, errors)
    assert exact.half_life_ns == pytest.approx(4 * S, rel=1e-6)
    assert exact.full_ticks == pytest.approx(1.5, rel=1e-6)
    assert {fit.edge for fit in fits} | {exact.edge} == {""}


def test_horizons_that_do_not_show_the_half_life_are_said():
    us, errors = np.arange(1, 9) * S, np.full(8, 0.02)
    over = fit_drift_decay(us, np.full(8, 1.5), errors)  # the move was over before the first
    assert over.edge == "short"
    assert over.half_life_error_ns == math.inf
    assert over.full_ticks == pytest.approx(1.5, rel=1e-6)
    assert over.full_error_ticks < 0.02
    straight = fit_drift_decay(us, 0.5 * us / S, errors)  # it goes on: nobody sees the end
    assert straight.edge == "long"
    assert straight.half_life_ns > 8 * us.max()
    assert (straight.half_life_error_ns, straight.full_error_ticks) == (math.inf, math.inf)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: arrival_depths([1.0], [0], [1.0], [0], [0]), "sides must be 1 or -1"),
        (lambda: fit_drift_decay([1, 2], [1, 2], [1, 1]), "horizons_ns must hold 3"),
    ],
)
def test_mistakes_are_answered_by_name(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def ticks(price):
    return round(float(price) * 10)


def is_market(line):
    return b"@bookTicker" in line or b"@trade" in line


def first_lines(source, target, n):
    """Copy best prices and trades of a capture's start; return (time, message) of each."""
    with gzip.open(source, "rb") as lines, gzip.open(target, "wb") as out:
        rows = [line for line, _ in zip(lines, range(n), strict=False) if is_market(line)]
        out.writelines(rows)
    stamped = [line.split(b" ", 1) for line in rows]
    return [(int(stamp), json.loads(text)) for stamp, text in stamped]


def test_depths_of_a_tape_are_those_counted_by_hand(captures, tmp_path):
    path = tmp_path / "first.gz"
    mids, orders = [], {}
    messages = first_lines(captures / "usdm_btcusdt_20240808.gz", path, 4_000)
    for now_ns, message in messages:
        stream, data = message.get("stream", ""), message.get("data")
        if stream.endswith("@bookTicker"):
            mids.append((now_ns, (ticks(data["b"]) + ticks(data["a"])) / 2))
        elif stream.endswith("@trade"):
            before = [mid for stamp, mid in mids if stamp < now_ns]
            if before:
                # An order: the trades of one time of the venue, against the mid before the first.
                side = -1 if data["m"] else 1
                mid, reached = orders.get((data["T"], side), (before[-1], -math.inf))
                orders[data["T"], side] = mid, max(reached, side * ticks(data["p"]))
    tape = read_tape(path)
    depths = arrival_depths(*trades_and_mids(tape))
    orders = {key: reached - key[1] * mid for key, (mid, reached) in orders.items()}
    assert len(orders) > 50
    assert sorted(depths.depths_ticks.tolist()) == sorted(orders.values())
    curve = markout_curve(*trades_and_mids(tape, "BTCUSDT"), horizons_ns=[S // 10])
    assert curve.trades[0] > 50


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="a whole capture is for compiled kernels")
def test_a_whole_capture_has_orders_not_trades_and_says_that_no_law_fits(captures):
    tape = read_tape(captures / "usdm_btcusdt_20240808.gz")
    inputs = trades_and_mids(tape)
    assert np.unique(inputs.times).size == inputs.times.size == 21_313  # each has its own frame
    depths = arrival_depths(*inputs)
    assert depths.depths_ticks.size == 5_374
    options = {"sides": 2, "least_ticks": 0.5}
    with pytest.warns(UserWarning, match="law does not fit"):
        likely = fit_arrivals(depths.depths_ticks, depths.seconds, lattice_ticks=0.5, **options)
    assert likely.intensity_per_s == pytest.approx(7.98, abs=0.01)
    assert likely.decay_per_tick == pytest.approx(0.126, abs=0.001)
    with pytest.warns(UserWarning, match="law does not fit"):
        line = fit_arrivals_log_linear(depths.depths_ticks, depths.seconds, **options)
    assert min(likely.dispersion, line.dispersion) > 500


@pytest.mark.parametrize("error", [0.0, -1.0])
def test_a_decay_is_not_fitted_to_errors_that_are_none(error):
    us, errors = np.arange(1, 6) * S, np.array([1.0, 1.0, error, 1.0, 1.0])
    with pytest.raises(ValueError, match=f"errors_ticks must be above 0, got {error}"):
        fit_drift_decay(us, np.arange(5.0), errors)
    with pytest.raises(ValueError, match=r"horizons_ns must hold 3 .* got 2"):
        fit_drift_decay(us, [1.0, np.nan, np.nan, np.nan, 2.0], np.ones(5))


@pytest.mark.parametrize("scale", [1e-323, 1e-300, 1e-9, 1e12])
def test_a_decay_is_the_same_in_whatever_size_of_errors(scale):
    us = np.geomspace(0.1 * S, 60 * S, 25).astype(np.int64)
    rng = np.random.default_rng(3)
    curve = 1.5 * (1 - 2.0 ** (-us / (4 * S))) + 0.02 * rng.normal(size=25)
    plain = fit_drift_decay(us, curve, np.full(25, 1.0))
    other = fit_drift_decay(us, curve, np.full(25, scale))
    assert other.half_life_ns == pytest.approx(plain.half_life_ns, rel=1e-9)
    assert other.full_ticks == pytest.approx(plain.full_ticks, rel=1e-9)
    assert other.half_life_error_ns == pytest.approx(plain.half_life_error_ns * scale, rel=0.2)
    if scale > 1e-300:  # below are numbers of few digits
        assert other.full_error_ticks == pytest.approx(plain.full_error_ticks * scale, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: fit_drift_decay([1, 2, 3], [1.0, 2.0, 2.5], [1e-300, 1.0, 1.0]),
            r"errors_ticks must be within a factor of 1e\+08 of each other, got 1e-300 and 1.0",
        ),
        (
            lambda: fit_drift_decay([1, 2, 3], [1.0, 2.0, 1e308], [1.0] * 3),
            r"responses_ticks must be between .* got 1e\+308 at 2",
        ),
        (
            lambda: fit_drift_decay([1, 2, 3], [1.0, 2.0, 3.0], [1.0, 1e308, 1.0]),
            r"errors_ticks must be between .* got 1e\+308 at 1",
        ),
        (
            lambda: markout_curve([1e308], [1], [1.0], [0], [0], horizons_ns=[0]),
            r"prices_ticks must be between .* got 1e\+308 at 0",
        ),
        (
            lambda: arrival_depths([1.0], [1], [1.0, -1e308], [0], [0, 1]),
            r"mids_ticks must be between .* got -1e\+308 at 1",
        ),
        (
            lambda: markout_curve([1.0], [1], [1.0], [0], [0], horizons_ns=[2**63 - 1]),
            "horizons_ns must be at most 4611686018427387904, got 9223372036854775807",
        ),
    ],
)
def test_values_beyond_reason_are_refused_by_name(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_trades_that_meet_no_mid_are_said():
    with pytest.warns(UserWarning, match="no trade has a mid .* are times and mid_times of one"):
        out = arrival_depths([101.0], [1], [100.0, 100.0], [10], [10**15, 10**15 + 5])
    assert out.depths_ticks.size == 0


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: arrival_depths([1.0] * 2, [1, 2], [1.0], [0, 0], [0]),
            ValueError,
            "sides must be 1 or -1, got 2 at 1: drop trades without a side",
        ),
        (
            lambda: arrival_depths([1.0] * 2, [-2, 1], [1.0], [0, 0], [0]),
            ValueError,
            "sides must be 1 or -1, got -2 at 0",
        ),
        (
            lambda: fit_arrivals(ArrivalDepths(np.ones(5), np.ones(5), 9.0), 9.0),
            TypeError,
            "depths_ticks must be one array, got ArrivalDepths: pass its depths_ticks",
        ),
        (
            lambda: trades_and_mids("day.gz"),
            TypeError,
            "tape must be a Tape, got 'day.gz': pass read_tape",
        ),
    ],
)
def test_what_is_easily_mistaken_is_said(call, error, text):
    with pytest.raises(error, match=text):
        call()
