"""Nullable and Arrow columns are numbers and times; what arithmetic cannot hold is refused."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import mmquant
from mmquant import _arrays

S = 10**9
INDEX = pd.date_range("2026-03-01", periods=4, freq="s", tz="Europe/Berlin")
FRAME = pd.DataFrame({"a": [1, 2, 3, 4], "b": [2, 3, 4, 6]}, index=INDEX)
XS = [1.0, 3.0, 2.0, 5.0]


@pytest.mark.parametrize("dtype", ["Int64", "int64[pyarrow]", "UInt32"])
def test_whole_numbers_of_a_nullable_frame_are_whole_numbers(dtype):
    frame = FRAME.astype(dtype)
    plain = mmquant.mid(FRAME, FRAME + 1)
    assert mmquant.mid(frame, frame + 1).equals(plain)
    assert mmquant.vamp(frame, frame, frame + 3, frame).tolist() == pytest.approx(
        mmquant.vamp(FRAME, FRAME, FRAME + 3, FRAME).tolist(), rel=0.0
    )
    assert mmquant.ewm_mean(frame, half_life_ns=S).equals(mmquant.ewm_mean(FRAME, half_life_ns=S))


@pytest.mark.parametrize("zone", ["Europe/Berlin", None])
def test_times_of_arrow_are_times(zone):
    index = INDEX.tz_convert(zone)
    arrow = index.astype(f"timestamp[ns{'' if zone is None else f', tz={zone}'}][pyarrow]")
    plain = mmquant.ewm_mean(XS, index, half_life_ns=S)
    assert mmquant.ewm_mean(XS, arrow, half_life_ns=S).tolist() == plain.tolist()
    assert mmquant.ewm_mean(XS, pd.Series(arrow), half_life_ns=S).tolist() == plain.tolist()
    indexed = mmquant.ewm_mean(pd.Series(XS, index=arrow), half_life_ns=S)
    assert indexed.tolist() == plain.tolist()
    assert indexed.index.equals(arrow)
    bars = mmquant.time_bars(pd.Series(XS, index=arrow), [1, 1, 1, 1], interval_ns=S)
    assert bars.index.equals(
        mmquant.time_bars(pd.Series(XS, index=index), [1] * 4, interval_ns=S).index
    )
    assert str(bars.index.tz) == str(zone)


@pytest.mark.parametrize("text", [["1", "2"], np.array([1.0, "2"], object), pd.Series(["1", "2"])])
def test_text_is_no_number(text):
    with pytest.raises(TypeError, match="values must be numbers, got"):
        mmquant.ewm_mean(text, [1, 2], half_life_ns=S)


def test_decimals_are_numbers():
    xs = np.array([Decimal("1.5"), 2], object)
    assert mmquant.ewm_mean(xs, [S, S], half_life_ns=S).tolist() == [1.5, 1.75]


CALLS = {
    "ewm_mean": lambda xs, ts: mmquant.ewm_mean(xs, ts, half_life_ns=S),
    "ewm_grid": lambda xs, ts: mmquant.ewm_grid(xs, ts, half_lives_ns=[S]),
    "ewm_variance": lambda xs, ts: mmquant.ewm_variance(xs, ts, half_life_ns=S),
    "Ewma.path": lambda xs, ts: mmquant.Ewma(S).path(xs, ts),
    "Volatility.path": lambda xs, ts: mmquant.Volatility(S, S, jump_sigmas=np.inf).path(xs, ts),
    "realised_variance": lambda xs, ts: mmquant.realised_variance(xs, ts),
    "forward_moves": lambda xs, ts: mmquant.forward_moves(xs, ts, horizon_ns=S),
    "basis_bps": lambda xs, ts: mmquant.basis_bps(xs, xs, ts, ts, max_age_ns=S),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("times", [[-(2**63), 2**63 - 1], [0, 2**62], [-(2**62), 0]])
def test_times_whose_differences_int64_does_not_hold_are_refused(name, times):
    with pytest.raises(ValueError, match=r"times must be within 2\^62 nanoseconds of 1970 .*, got"):
        CALLS[name]([1.0, 2.0], times)


@pytest.mark.filterwarnings("ignore:.* is below 1/50")
@pytest.mark.parametrize("name", CALLS)
def test_the_largest_times_are_taken_without_an_overflow(name):
    CALLS[name]([1.0, 2.0], [1 - 2**62, 2**62 - 1])


@pytest.mark.parametrize("year", ["1800-01-01", "2200-01-01"])
def test_a_year_out_of_reach_is_refused(year):
    with pytest.raises(ValueError, match="the years 1824 to 2115"):
        mmquant.ewm_mean([1.0], np.array([year], "M8[ns]"), half_life_ns=S)


@pytest.mark.parametrize("name", CALLS)
def test_values_of_which_sums_overflow_are_refused(name):
    xs = np.ones(40)
    xs[3:21] = 1.7e308
    with pytest.raises(ValueError, match=r"must be (at most 1e|between -).*, got 1.7e.308 at 3"):
        CALLS[name](xs, np.arange(40) * S)


def test_one_value_too_large_is_refused_sample_by_sample():
    mean = mmquant.Ewma(S)
    mean.update(1.0, 0)
    with pytest.raises(ValueError, match=r"x must be finite and between -1e\+140 and 1e\+140"):
        mean.update(1e308, S)
    assert mean.value == 1.0
    with pytest.raises(ValueError, match=r"x_ticks must be finite and between -1e\+140"):
        mmquant.Volatility(S, S).update(-1e200, 0)


@pytest.mark.parametrize("half_life", [np.timedelta64(1, "s"), pd.Timedelta("1s"), True, 1.0])
def test_a_half_life_is_a_whole_number_without_a_unit_of_its_own(half_life):
    with pytest.raises(TypeError, match="half_life_ns must be a whole number, got"):
        mmquant.ewm_mean([1.0], [0], half_life_ns=half_life)


@pytest.mark.parametrize("price", ["1e10000000", "-1e10000000", "1e-10000000", Decimal("1e41")])
def test_an_exponent_that_no_price_has_is_refused_at_once(price):
    book = mmquant.OrderBook("0.1", "0.001")
    with pytest.raises(ValueError, match="price must be 0 or between 1e-40 and 1e40 in size, got"):
        book.apply([(price, 1)], [], 1)


def test_whole_numbers_of_numpy_are_exact_prices():
    book = mmquant.OrderBook("0.1", "0.001")
    book.apply([(np.int64(3), np.uint8(2))], [], 1)
    assert book.best_bid == (3, 2)
    with pytest.raises(TypeError, match="floats are not exact"):
        book.apply([(np.float64(3), 1)], [], 2)


LOTS, MILLISECONDS = np.ones(1000, np.int64), np.arange(1000) * S // 1000
TOO_SHORT = {
    "interval_ns": lambda xs, ts: mmquant.time_bars(xs, LOTS, ts, interval_ns=60),
    "window_ns": lambda xs, ts: mmquant.realised_windows(xs, ts, window_ns=60),
    "max_gap_ns": lambda xs, ts: mmquant.realised_variance(xs, ts, max_gap_ns=60),
    "max_age_ns": lambda xs, ts: mmquant.basis_bps(xs, xs, ts, ts, max_age_ns=60),
}


@pytest.mark.parametrize("name", TOO_SHORT)
def test_a_time_that_looks_like_seconds_is_warned_of(name):
    xs = 100.0 + np.arange(1000) % 7
    with pytest.warns(UserWarning, match=f"{name}=60 is below 1/50 .*1000000 ns.*nanoseconds"):
        TOO_SHORT[name](xs, MILLISECONDS)


def test_a_gap_that_is_short_beside_the_night_alone_is_none_to_warn_of():
    days = (np.arange(10)[:, None] * 86_400 * S + MILLISECONDS[:100]).ravel()
    xs = 100.0 + np.arange(days.size) % 7
    assert mmquant.realised_variance(xs, days, max_gap_ns=S).seconds == pytest.approx(0.99)


def test_lots_of_which_volumes_overflow_are_refused():
    with pytest.raises(ValueError, match=r"lots must sum up to at most .* got 4611686018427387904"):
        mmquant.tick_bars([1.0, 1.0], [2**62, 2**62], [0, 1], trades=3)


@pytest.mark.filterwarnings("ignore:.* is below 1/50")
def test_a_bar_by_time_ends_however_far_the_next_trade_is():
    bars = mmquant.time_bars([1.0, 2.0], [1, 1], [1 - 2**62, 2**62 - 1], interval_ns=10)
    assert bars["close"].tolist() == [1.0]


def test_a_frame_of_one_dtype_is_read_without_copies_of_its_columns():
    frame = pd.DataFrame(np.arange(20.0).reshape(10, 2))
    assert np.shares_memory(_arrays.any_floats("x", frame), frame.to_numpy())
    whole = pd.DataFrame(np.arange(20).reshape(10, 2))
    assert np.shares_memory(_arrays.as_array("x", whole), whole.to_numpy())


def test_a_factor_of_which_a_blend_overflows_is_refused():
    with pytest.raises(ValueError, match=r"factor of s must be finite and between -1e\+140"):
        mmquant.blend({"a": ([1.0], 1.0)}, {"s": ([1e140], 1e200)})
