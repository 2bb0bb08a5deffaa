"""What the array functions take and give: times, indices, names, zones, warnings, refusals."""

import math

import numpy as np
import pandas as pd
import pytest

import mmquant
from mmquant import realised, stoikov

S = 10**9
INDEX = pd.date_range("2026-03-01 12:00", periods=4, freq="s", tz="UTC")
XS = pd.Series([1.0, 3.0, 2.0, 5.0], index=INDEX, name="x")
LATER = XS.shift(1, freq="1s")
TICKS = pd.Series([100, 101, 102, 103], index=INDEX, name="bid")
ASKS = pd.Series([102, 102, 103, 105], index=INDEX, name="ask")
LOTS = pd.Series([1, 2, 3, 4], index=INDEX, name="size")
SIDES = pd.Series([1, -1, 1, 1], index=INDEX, name="side")
TOUCH = TICKS, LOTS, ASKS, LOTS


# ---- whole numbers as times ----


def looks_like(unit, calls):
    times = INDEX.as_unit(unit).asi8
    assert times[1] - times[0] == {"s": 1, "ms": 1000, "us": 1_000_000}[unit]
    for call in calls:
        with pytest.warns(UserWarning, match="looks like .* since 1970") as warned:
            call(times)
        about = [str(one.message) for one in warned if "looks like" in str(one.message)]
        assert len(about) == 1
        assert warned[0].filename == __file__
        yield about[0]


@pytest.mark.parametrize(
    ("unit", "name", "factor"),
    [("s", "seconds", 10**9), ("ms", "milliseconds", 10**6), ("us", "microseconds", 10**3)],
)
def test_an_epoch_in_another_unit_is_warned_of_once(unit, name, factor):
    xs, first = XS.to_numpy(), INDEX.as_unit(unit).asi8[0]
    calls = [
        lambda ts: mmquant.ewm_mean(xs, ts, half_life_ns=S),
        lambda ts: mmquant.ewm_mean(xs, ts.tolist(), half_life_ns=S),
        lambda ts: mmquant.ewm_mean(np.column_stack([xs, xs]), pd.Series(ts), half_life_ns=S),
        lambda ts: mmquant.ewm_grid(xs, ts, half_lives_ns=[S]),
        lambda ts: mmquant.ewm_variance(np.column_stack([xs, xs]), ts, half_life_ns=S),
        lambda ts: mmquant.ewm_correlation(xs, xs, ts, half_life_ns=S),
        lambda ts: mmquant.Volatility(S, S).path(xs, ts),
        lambda ts: mmquant.realised_variance(xs, ts),
        lambda ts: mmquant.time_bars(xs, [1, 1, 1, 1], ts, interval_ns=S),
        lambda ts: mmquant.regress_drift(xs, xs, ts, horizon_ns=int(ts[1] - ts[0])),
        lambda ts: mmquant.drawdown(xs, ts),
    ]
    for text in looks_like(unit, calls):
        assert text.startswith(f"times are taken as nanoseconds, but {first} looks like {name}")
        assert f"(2026-03-01): pass the DatetimeIndex itself, or times * {factor}" in text
    good = INDEX.as_unit("ns").asi8
    calls = [
        lambda ts: mmquant.basis_bps(xs, xs, good, ts, max_age_ns=S),
        lambda ts: mmquant.markout_curve(xs, [1] * 4, xs, good, ts, horizons_ns=[S]),
    ]
    for text, field in zip(looks_like(unit, calls), ("reference_times", "mid_times"), strict=True):
        assert text.startswith(f"{field} are taken as nanoseconds, but {first} looks like {name}")


@pytest.mark.parametrize(
    "times",
    [
        INDEX.as_unit("ns").asi8,
        [0, 1, 2, 3],
        [1, 2, 3, 4],
        [S, 2 * S, 3 * S, 4 * S],  # made up: from one second on
        np.array([1, 2, 3, 4]) * 1000 * S,
        [1_700_000_000] * 4,  # no span
        [10**12, 10**12 + 1, 10**12 + 2, 10**12 + 3],
        np.array([], np.int64),
    ],
)
def test_nanoseconds_and_made_up_times_are_not(times):
    mmquant.ewm_mean(XS.to_numpy()[: len(times)], times, half_life_ns=2**40)


def test_times_that_are_no_numbers_are_told_how_to_become_some():
    stamps = list(INDEX)
    for times in (stamps, [stamp.to_pydatetime() for stamp in stamps], ["2026-03-01"] * 4):
        with pytest.raises(TypeError, match=r"convert with pd\.DatetimeIndex\(times\)"):
            mmquant.ewm_mean(XS.to_numpy(), times, half_life_ns=S)
    with pytest.raises(TypeError, match="seconds \\* 1e9"):
        mmquant.ewm_mean(XS.to_numpy(), [0.0, 1.0, 2.0, 3.0], half_life_ns=S)
    with pytest.raises(ValueError, match="reference_times must not decrease"):
        mmquant.basis_bps([1.0], [1.0, 1.0], [0], [1, 0], max_age_ns=1)
    with pytest.raises(TypeError, match="mid_times must be given, got None"):
        mmquant.markout_curve([1.0], [1], [1.0], [0], horizons_ns=[1])


# ---- indices ----


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: mmquant.mid(TICKS, ASKS[::-1]), "bid_ticks and ask_ticks"),
        (lambda: mmquant.imbalance(LOTS, LOTS[:3]), "bid_lots and ask_lots"),
        (lambda: mmquant.microprice(TICKS, LOTS, ASKS, LOTS[::-1]), "ask_ticks and ask_lots"),
        (lambda: mmquant.vamp(TICKS, LOTS, ASKS[::-1], LOTS), "bid_lots and ask_ticks"),
        (lambda: mmquant.depth_imbalance(LOTS, LOTS[::-1]), "bid_lots and ask_lots"),
        (lambda: mmquant.order_flow_imbalance(TICKS, LOTS[::-1], 1, 1), "bid_ticks and bid_lots"),
        (
            lambda: mmquant.decayed_order_flow(*TOUCH, LATER.index.to_series(), half_life_ns=S),
            "ask_lots and times",
        ),
        (
            lambda: mmquant.trade_flow_imbalance(LOTS, SIDES[::-1], half_life_ns=S),
            "lots and sides",
        ),
        (lambda: mmquant.blend({"a": (XS, 1.0)}, {"a": (LATER, 1.0)}), "prices a and shifts a"),
        (lambda: mmquant.blend({"a": (XS, 1.0), "b": (LATER, 1.0)}), "prices a and prices b"),
        (
            lambda: mmquant.fit_microprice(TICKS, LOTS, ASKS, LOTS[::-1]),
            "ask_ticks and ask_lots",
        ),
        (
            lambda: mmquant.ewm_mean(XS, LATER.index.to_series(), half_life_ns=S),
            "values and times",
        ),
        (lambda: mmquant.ewm_grid(XS, pd.Series(range(4)), half_lives_ns=[S]), "values and times"),
        (lambda: mmquant.ewm_variance(XS, pd.Series(range(4)), half_life_ns=S), "values and times"),
        (lambda: mmquant.ewm_covariance(XS, LATER, half_life_ns=S), "x and y"),
        (lambda: mmquant.ewm_correlation(XS, LATER, half_life_ns=S), "x and y"),
        (lambda: mmquant.Ewma(S).path(XS, pd.Series(range(4))), "values and times"),
        (lambda: mmquant.Volatility(S, S).path(XS, pd.Series(range(4))), "xs_ticks and times"),
        (lambda: mmquant.realised_variance(XS, pd.Series(range(4))), "prices and times"),
        (lambda: mmquant.time_bars(XS, LOTS[::-1], interval_ns=S), "prices and lots"),
        (lambda: mmquant.parkinson(XS, XS, LATER, XS), "highs and lows"),
        (lambda: mmquant.yang_zhang(XS, XS, XS, LATER, window=2), "lows and closes"),
        (lambda: realised.to_bps(XS, LATER), "value_ticks and price_ticks"),
        (lambda: mmquant.regress_drift(LATER, XS, horizon_ns=S), "signals and prices_ticks"),
        (lambda: mmquant.forward_moves(XS, pd.Series(range(4)), horizon_ns=S), "prices_ticks and"),
        (
            lambda: mmquant.markout_curve(XS, SIDES[::-1], XS, horizons_ns=[S]),
            "prices_ticks and sides",
        ),
        (
            lambda: mmquant.arrival_depths(XS, SIDES, XS, None, pd.Series(range(4))),
            "mids_ticks and mid_times",
        ),
        (lambda: mmquant.drawdown(XS, pd.Series(range(4))), "equity and times"),
        (
            lambda: mmquant.glft(XS, LATER, **dict.fromkeys(GLFT, 1.0)),
            "fair_value_ticks and inventory_orders",
        ),
    ],
)
def test_values_of_different_indices_are_not_paired_by_position(call, names):
    with pytest.raises(ValueError, match=f"{names}.* must have the same index, got .*align them"):
        call()


GLFT = (
    "volatility_ticks_per_sqrt_s",
    "arrival_rate_per_s",
    "arrival_decay_per_tick",
    "risk_aversion_per_tick",
)


def test_the_remedy_for_different_indices_helps():
    with pytest.raises(ValueError, match="got 3 and 2 labels"):
        mmquant.mid(TICKS[:3], ASKS[:2])
    with pytest.raises(ValueError, match="got 0 and 2 at 0: align"):
        mmquant.mid(pd.Series([1, 2, 3]), pd.Series([2, 3, 4], index=[2, 1, 0]))
    a, b = TICKS, ASKS[1:]
    a, b = a.align(b, join="inner", axis=0)
    assert mmquant.mid(a, b).tolist() == [101.5, 102.5, 104.0]
    assert mmquant.mid(TICKS, ASKS[::-1].to_numpy()).index.equals(INDEX)


def test_indices_that_mean_the_same_are_the_same():
    copied = ASKS.set_axis(INDEX.copy(deep=True).as_unit("ns").rename("other"))
    assert mmquant.mid(TICKS, copied).tolist() == mmquant.mid(TICKS, ASKS).tolist()
    abroad = ASKS.tz_convert("Asia/Tokyo")
    assert mmquant.mid(TICKS, abroad).index.equals(INDEX)
    missing = pd.Series([1, 2], index=[math.nan, 1.0])
    assert mmquant.mid(missing, missing.copy()).tolist() == [1.0, 2.0]
    both = pd.MultiIndex.from_product([["a", "b"], ["c", "d"]])
    pairs = TICKS.set_axis(both)
    assert mmquant.mid(pairs, pairs).index.equals(both)
    with pytest.raises(ValueError, match=r"got \('a', 'c'\) and \('b', 'd'\) at 0"):
        mmquant.mid(pairs, pairs[::-1])


def test_columns_in_another_order_are_refused_and_other_columns_are_not():
    bids = pd.DataFrame({"a": [100], "b": [200]})
    asks = pd.DataFrame({"b": [202], "a": [102]})
    with pytest.raises(ValueError, match=r"columns in the same order.* pass ask_ticks\[bid_ticks"):
        mmquant.mid(bids, asks)
    assert mmquant.mid(bids, asks[bids.columns])["b"].tolist() == [201.0]
    named = bids + 2
    named.columns = ["ask_a", "ask_b"]
    assert mmquant.mid(bids, named).columns.tolist() == ["a", "b"]


# ---- names ----


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (mmquant.mid(TICKS, ASKS), "mid_ticks"),
        (mmquant.imbalance(LOTS, LOTS), "imbalance"),
        (mmquant.microprice(*TOUCH), "microprice_ticks"),
        (mmquant.vamp(*TOUCH), "vamp_ticks"),
        (mmquant.depth_imbalance(LOTS, LOTS), "depth_imbalance"),
        (mmquant.order_flow_imbalance(*TOUCH), "order_flow_lots"),
        (mmquant.decayed_order_flow(*TOUCH, half_life_ns=S), "decayed_order_flow_lots"),
        (mmquant.trade_flow_imbalance(LOTS, SIDES, half_life_ns=S), "trade_flow_imbalance"),
        (mmquant.basis_bps(XS, XS, max_age_ns=S), "basis_bps"),
        (mmquant.blend({"a": (XS, 1.0), "b": (XS, 1.0)}), "blend_ticks"),
        (mmquant.ewm_covariance(XS, XS, half_life_ns=S), "covariance"),
        (mmquant.ewm_correlation(XS, XS, half_life_ns=S), "correlation"),
        (mmquant.parkinson(XS, XS, XS, XS), "variance"),
        (mmquant.yang_zhang(XS, XS, XS, XS, window=2), "variance"),
        (mmquant.forward_moves(XS, horizon_ns=S), "move_ticks"),
        (mmquant.ewm_mean(XS, half_life_ns=S), "x"),
        (mmquant.ewm_variance(XS, half_life_ns=S), "x"),
        (mmquant.Ewma(S).path(XS), "x"),
    ],
)
def test_an_answer_is_called_what_it_is(answer, name):
    assert answer.name == name
    assert answer.index.equals(INDEX)


@pytest.mark.parametrize(
    "columns", [["a", "a"], ["a", "b"], pd.MultiIndex.from_product([[1], ["x", "y"]])]
)
def test_columns_of_one_name_are_all_there(columns):
    frame = pd.DataFrame({0: XS, 1: 2.0 * XS}).set_axis(columns, axis=1)
    for function in (mmquant.ewm_mean, mmquant.ewm_variance):
        out = function(frame, half_life_ns=S)
        assert out.columns.equals(frame.columns)
        assert out.index.equals(INDEX)
        for k in range(2):
            alone = function(frame.iloc[:, k], half_life_ns=S)
            assert out.iloc[:, k].to_numpy().tobytes() == alone.to_numpy().tobytes()
    assert mmquant.ewm_mean(frame.iloc[:, :0], half_life_ns=S).shape == (4, 0)


def test_coefficients_bear_the_names_of_their_signals():
    frame = pd.DataFrame({"flow": [1.0, 0.0, 2.0, 1.0], "basis": [0.0, 1.0, 1.0, 5.0]}, index=INDEX)
    fit = mmquant.regress_drift(frame, XS, horizon_ns=S)
    assert fit.coefficients_per_s.index.tolist() == ["flow", "basis"]
    assert fit.errors_per_s.index.tolist() == ["flow", "basis"]
    plain = mmquant.regress_drift(frame.to_numpy(), XS, horizon_ns=S)
    assert fit.coefficients_per_s.tolist() == plain.coefficients_per_s.tolist()
    assert (frame @ fit.coefficients_per_s).index.equals(INDEX)
    assert isinstance(plain.errors_per_s, np.ndarray)


# ---- zones ----


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_bars_begin_in_the_zone_of_their_trades(zone):
    prices = XS.tz_convert(zone)
    starts = INDEX[:-1].tz_convert(zone)
    bars = mmquant.time_bars(prices, LOTS.to_numpy(), interval_ns=S)
    assert bars.index.tolist() == starts.tolist()
    assert str(bars.index.tz) == zone
    plain = XS.reset_index(drop=True)
    given = mmquant.tick_bars(plain, LOTS.to_numpy(), prices.index, trades=1)
    assert str(given.index.tz) == zone
    given = mmquant.tick_bars(plain, LOTS.to_numpy(), pd.Series(prices.index), trades=1)
    assert str(given.index.tz) == zone
    naive = mmquant.time_bars(XS.tz_localize(None), LOTS.to_numpy(), interval_ns=S)
    assert naive.index.tz is None
    assert naive.index.tolist() == starts.tz_convert(None).tolist()


# ---- warnings and refusals ----


@pytest.mark.parametrize(
    "call",
    [
        lambda: mmquant.ewm_mean(XS, half_life_ns=60),
        lambda: mmquant.ewm_mean(XS.to_frame(), half_life_ns=60),
        lambda: mmquant.ewm_grid(XS, half_lives_ns=[60]),
        lambda: mmquant.ewm_variance(XS, half_life_ns=60),
        lambda: mmquant.ewm_variance(pd.concat([XS, XS], axis=1), half_life_ns=60),
        lambda: mmquant.ewm_covariance(XS, XS, half_life_ns=60),
        lambda: mmquant.ewm_correlation(XS, XS, half_life_ns=60),
        lambda: mmquant.Ewma(60).path(XS),
        lambda: mmquant.Volatility(60, S).path(XS),
        lambda: mmquant.trade_flow_imbalance(LOTS, SIDES, half_life_ns=60),
        lambda: mmquant.decayed_order_flow(*TOUCH, half_life_ns=60),
    ],
)
def test_a_warning_names_the_line_of_whom_it_concerns(call):
    with pytest.warns(UserWarning, match="half_life_ns=60 is below") as warned:
        call()
    assert [one.filename for one in warned] == [__file__]
    assert warned[0].lineno == call.__code__.co_firstlineno


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: mmquant.mid([1, 2, 3], [1, 2]),
            ValueError,
            r"bid_ticks, ask_ticks must broadcast to one shape, got bid_ticks \(3,\), ask_ticks",
        ),
        (
            lambda: mmquant.blend({"a": XS}),
            TypeError,
            r"prices a must be a pair, got Series: pass \{'a': \(values, weight\)\}",
        ),
        (
            lambda: mmquant.blend({"a": (XS, 1.0)}, {"b": (XS, 1.0, 2)}),
            TypeError,
            r"shifts b must be a pair, got 3 of them: pass \{'b': \(values, ticks_per_unit\)\}",
        ),
        (
            lambda: mmquant.imbalance(np.array([2**63], np.uint64), [1]),
            ValueError,
            "bid_lots must fit int64, got 9223372036854775808",
        ),
        (
            lambda: mmquant.depth_imbalance([1], np.array([2**63], np.uint64)),
            ValueError,
            "ask_lots must fit int64, got 9223372036854775808",
        ),
        (
            lambda: mmquant.ewm_mean([1.0], np.array([2**63], np.uint64), half_life_ns=S),
            ValueError,
            "times must fit int64, got 9223372036854775808",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_unsigned_numbers_that_fit_are_taken():
    assert mmquant.imbalance(np.array([3], np.uint64), np.array([1], np.uint8)).tolist() == [0.5]


# ---- broadcasting ----


@pytest.mark.parametrize("n", [2, 4])
def test_a_series_beside_a_frame_is_paired_by_row(n):
    index = INDEX[:n]
    column = np.arange(1, n + 1)
    frame = pd.DataFrame({"x": column, "y": 2 * column}, index)
    series = pd.Series(100 * column, index)
    flipped = pd.DataFrame({"x": [1e6] * n, "y": [5e5] * n}, index)
    pd.testing.assert_frame_equal(
        realised.to_bps(frame, series), pd.DataFrame({"x": [100.0] * n, "y": [200.0] * n}, index)
    )
    pd.testing.assert_frame_equal(realised.to_bps(series, frame), flipped)
    by_hand = {name: mmquant.mid(frame[name], series) for name in frame}
    pd.testing.assert_frame_equal(mmquant.mid(frame, series), pd.DataFrame(by_hand))
    pd.testing.assert_frame_equal(mmquant.mid(series, frame), pd.DataFrame(by_hand))
    by_hand = {name: mmquant.imbalance(series, frame[name]) for name in frame}
    pd.testing.assert_frame_equal(mmquant.imbalance(series, frame), pd.DataFrame(by_hand))
    by_hand = {name: mmquant.microprice(series, frame[name], series, series) for name in frame}
    pd.testing.assert_frame_equal(
        mmquant.microprice(series, frame, series, series), pd.DataFrame(by_hand)
    )


def test_a_plain_array_beside_a_frame_has_to_say_what_it_is():
    frame = pd.DataFrame({"x": [1, 2], "y": [1, 2]}, INDEX[:2])
    for call in (realised.to_bps, mmquant.mid, mmquant.imbalance):
        with pytest.raises(ValueError, match=r"must not be one-dimensional beside the DataFrame"):
            call(frame, np.array([100, 200]))
    with pytest.raises(ValueError, match=r"price_ticks.*DataFrame value_ticks.*\(2,\): pass price"):
        realised.to_bps(frame, [100, 200])
    prices = np.array([100.0, 200.0])
    assert realised.to_bps(frame, prices[:, None]).to_numpy().tolist() == [[100, 100], [100, 100]]
    assert realised.to_bps(frame, prices[None, :]).to_numpy().tolist() == [[100, 50], [200, 100]]
    assert realised.to_bps(frame, [100.0]).to_numpy().tolist() == [[100, 100], [200, 200]]


# ---- masks ----


def test_what_a_mask_hides_is_missing():
    ts = np.arange(5) * S
    masked = np.ma.array([1.0, 2, 1000, 4, 5], mask=[0, 0, 1, 0, 0])
    plain = np.array([1.0, 2, np.nan, 4, 5])
    for xs in (masked, np.ma.array([1, 2, 1000, 4, 5], mask=[0, 0, 1, 0, 0])):
        done = mmquant.ewm_mean(xs, ts, half_life_ns=S)
        assert done.tolist() == mmquant.ewm_mean(plain, ts, half_life_ns=S).tolist()
        both = mmquant.ewm_mean(np.ma.column_stack([xs, xs]), ts, half_life_ns=S)
        assert both[:, 1].tolist() == done.tolist()
        assert mmquant.realised_variance(xs, ts) == mmquant.realised_variance(plain, ts)
    assert mmquant.mid(np.ma.array([100, 102]), 104).tolist() == [102.0, 103.0]
    hidden = np.ma.array([1, 2, 3], mask=[0, 1, 0])
    with pytest.raises(ValueError, match="bid_ticks must not be missing, got a masked value at 1"):
        mmquant.mid(hidden, 4)
    with pytest.raises(ValueError, match="times must not be missing, got a masked value at 1"):
        mmquant.ewm_mean([1.0, 2.0, 3.0], hidden, half_life_ns=S)


def test_rows_of_different_lengths_are_refused_by_name():
    with pytest.raises(ValueError, match="values must be one array, got rows of different lengths"):
        mmquant.ewm_mean([[1.0, 2.0], [3.0]], [0, 1], half_life_ns=S)
    with pytest.raises(ValueError, match="bid_ticks must be one array, got rows of different"):
        mmquant.mid([[1, 2], [3]], 4)


# ---- nullable columns ----


def test_a_regression_leaves_out_rows_with_na():
    ts = np.arange(60) * S
    rng = np.random.default_rng(3)
    xs, prices = rng.normal(size=(60, 2)), np.cumsum(rng.normal(size=60))
    xs[7, 1] = np.nan
    plain = pd.DataFrame(xs, columns=["a", "b"])
    nullable = plain.astype("Float64")
    assert nullable["b"].isna().sum() == 1
    known = mmquant.regress_drift(plain, prices, ts, horizon_ns=S)
    done = mmquant.regress_drift(nullable, prices, ts, horizon_ns=S)
    assert done.coefficients_per_s.equals(known.coefficients_per_s)
    assert done[2:] == known[2:]


# ---- arguments that are named ----


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: mmquant.ewm_mean([1.0], [0], half_life_ns=S, adjust="no"), TypeError, "adjust"),
        (lambda: mmquant.ewm_grid([1.0], [0], half_lives_ns=[S], adjust=2), TypeError, "adjust"),
        (lambda: mmquant.ewm_variance([1.0], [0], half_life_ns=S, bias="x"), TypeError, "bias"),
        (lambda: mmquant.Ewma(S, adjust="no"), TypeError, "adjust must be True or False, got 'no'"),
        (lambda: mmquant.Ewma(S).update(np.ones(2), 1), TypeError, "x must be a number"),
        (
            lambda: mmquant.Volatility(S, S, jump_sigmas=np.array([6.0, 7.0])),
            TypeError,
            "jump_sigmas must be a number",
        ),
        (
            lambda: mmquant.ewm_mean([1.0], np.array(["1000-01-01"], "M8[s]"), half_life_ns=S),
            ValueError,
            "times must lie in the years 1824 to 2115.* got 1000-01-01",
        ),
        (
            lambda: mmquant.ewm_mean(
                [1.0],
                pd.DatetimeIndex(np.array(["1000-01-01"], "M8[s]")).tz_localize("UTC"),
                half_life_ns=S,
            ),
            ValueError,
            "times must lie in the years 1824 to 2115.* got 1000-01-01",
        ),
        (lambda: mmquant.blend([1]), TypeError, "prices must be a mapping .* got list"),
        (lambda: mmquant.blend({"a": (XS, 1.0)}, [1]), TypeError, "shifts must be a mapping"),
        (lambda: stoikov.MicropriceModel.from_json(None), ValueError, "text must be .* got None"),
        (lambda: mmquant.arrival_counts([1e12], 1.0), ValueError, "10000000 bins of bin_ticks=1.0"),
        (
            lambda: mmquant.fit_arrivals_log_linear([0.0, 1, 2, 3, 1e12], 1.0),
            ValueError,
            r"depths_ticks must lie in .* got one 1e\+12 beyond it",
        ),
    ],
)
def test_an_error_names_its_argument(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("missing", [pd.NA, np.nan, np.ma.masked, np.float32("nan")])
def test_a_missing_sample_of_any_kind_changes_nothing(missing):
    mean, sigma = mmquant.Ewma(S), mmquant.Volatility(S, S)
    for at, x in enumerate((1.0, 3.0)):
        mean.update(x, at * S)
        sigma.update(x, at * S)
    known = mean.value, sigma.drift_ticks_per_s
    mean.update(missing, S)
    sigma.update(missing, S)
    assert (mean.value, sigma.drift_ticks_per_s) == known
