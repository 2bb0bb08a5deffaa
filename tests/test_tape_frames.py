"""A tape's frames have UTC times, which join with a backtest's; what takes them keeps them."""

import numpy as np
import pandas as pd
import pytest

import mmquant
from mmquant import backtest
from mmquant.tape import read_tape, synthetic_tape

pytestmark = pytest.mark.kernels
S = 10**9


@pytest.fixture(scope="module")
def tape():
    """Return half a minute of the synthetic market."""
    return synthetic_tape(seconds=30, seed=3)


@pytest.fixture(scope="module")
def touches(tape):
    """Return its touches where both sides are there."""
    return tape.touches().dropna()


FRAMES = {
    "to_frame": lambda tape: tape.to_frame(),
    "trades": lambda tape: tape.trades(),
    "touches": lambda tape: tape.touches(),
    "resample": lambda tape: tape.resample("1s"),
    "depth": lambda tape: tape.depth("1s"),
    "nothing to see": lambda tape: tape.slice(end=tape.start_ns + 1).depth("1s"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_tapes_frames_say_that_their_times_are_utc(tape, name):
    frame = FRAMES[name](tape)
    assert str(frame.index.dtype) == "datetime64[ns, UTC]"
    assert frame.index.name == "time"


@pytest.mark.parametrize("name", ["to_frame", "trades"])
def test_so_do_the_venues_times_missing_or_not(tape, name):
    frame = FRAMES[name](tape)
    assert str(frame["venue_time"].dtype) == "datetime64[ns, UTC]"
    bare = tape.events.copy()
    bare["venue_ns"] = 0
    assert FRAMES[name](tape.with_events(bare))["venue_time"].isna().all()


def test_they_are_joined_with_the_frames_of_a_backtest(tape):
    result = backtest.run(tape)
    bars = tape.resample("1s")
    equity = result.equity()["equity"]
    joined = pd.merge_asof(bars, equity, left_index=True, right_index=True)
    assert joined["equity"].notna().sum() > 20
    mids = tape.touches()["mid"]
    both = mids[~mids.index.duplicated()].index.intersection(result.signals().index)
    assert len(both) > 100


def test_a_slice_takes_times_with_a_zone_and_naive_ones_as_utc(tape):
    at = pd.Timestamp(tape.start_ns + 10 * S)
    whole = tape.slice(tape.start_ns + 10 * S)
    assert 0 < len(whole) < len(tape)
    zoned = at.tz_localize("UTC")
    for start in (at, zoned, zoned.tz_convert("Asia/Tokyo"), str(at), str(zoned), at.to_numpy()):
        assert np.array_equal(tape.slice(start).events, whole.events), start
        assert tape.book_at(start).to_frame().equals(tape.book_at(at.value).to_frame())
    index = tape.trades().index
    assert len(tape.slice(index[2], index[40])) > 20


def test_a_frames_times_come_back_the_same_from_a_saved_tape(tape, tmp_path):
    tape.save(tmp_path / "x.tape")
    again = read_tape(tmp_path / "x.tape")
    assert again.trades().equals(tape.trades())


ONE_COLUMN = {
    "ewm_mean": lambda x: mmquant.ewm_mean(x, half_life_ns=S),
    "ewm_variance": lambda x: mmquant.ewm_variance(x, half_life_ns=S),
    "ewm_covariance": lambda x: mmquant.ewm_covariance(x, x, half_life_ns=S),
    "ewm_correlation": lambda x: mmquant.ewm_correlation(x, x, half_life_ns=S),
    "ewm_grid": lambda x: mmquant.ewm_grid(x, half_lives_ns=[S, 2 * S]),
    "Ewma": lambda x: mmquant.Ewma(S).path(x),
    "Volatility": lambda x: mmquant.Volatility(S, S).path(x).volatility_ticks_per_sqrt_s,
    "forward_moves": lambda x: mmquant.forward_moves(x, horizon_ns=S),
    "time_bars": lambda x: mmquant.time_bars(x, (x * 0 + 1).astype("int64"), interval_ns=S),
    "tick_bars": lambda x: mmquant.tick_bars(x, (x * 0 + 1).astype("int64"), trades=10),
    "volume_bars": lambda x: mmquant.volume_bars(x, (x * 0 + 1).astype("int64"), volume_lots=10),
    "realised_windows": lambda x: mmquant.realised_windows(x, window_ns=S),
}


@pytest.mark.parametrize("name", ONE_COLUMN)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_what_takes_a_tapes_times_gives_them_back(touches, name, zone):
    mids = (touches["bid_ticks"] + touches["ask_ticks"]) / 2
    bare = ONE_COLUMN[name](mids.tz_localize(None))
    found = ONE_COLUMN[name](mids.tz_convert(zone))
    assert str(found.index.tz) == zone
    assert found.index.tz_convert(None).equals(bare.index)
    assert np.array_equal(found.to_numpy(), bare.to_numpy(), equal_nan=True)


FIGURES = {
    "realised_variance": lambda t: mmquant.realised_variance(t["mid"]),
    "bipower_variance": lambda t: mmquant.bipower_variance(t["mid"]),
    "two_scale_variance": lambda t: mmquant.two_scale_variance(t["mid"]),
    "pre_averaged_variance": lambda t: mmquant.pre_averaged_variance(t["mid"]),
    "markout_curve": lambda t: (
        mmquant.markout_curve(
            t["mid"].iloc[::7], t["side"].iloc[::7], t["mid"], horizons_ns=[S // 10]
        ).mean_ticks
    ),
    "regress_drift": lambda t: (
        mmquant.regress_drift(t[["bid_lots"]], t["mid"], horizon_ns=S // 10).coefficients_per_s
    ),
    "drawdown": lambda t: mmquant.drawdown(t["mid"]),
    "sharpe": lambda t: mmquant.sharpe(t["mid"], interval_ns=S),
    "arrival_depths": lambda t: (
        mmquant.arrival_depths(t["mid"].iloc[::7], t["side"].iloc[::7], t["mid"]).depths_ticks
    ),
    "decayed_order_flow": lambda t: mmquant.decayed_order_flow(
        t["bid_ticks"], t["bid_lots"], t["ask_ticks"], t["ask_lots"], half_life_ns=S
    ).to_numpy(),
    "trade_flow_imbalance": lambda t: mmquant.trade_flow_imbalance(
        t["bid_lots"], t["side"], half_life_ns=S
    ).to_numpy(),
    "basis_bps": lambda t: mmquant.basis_bps(t["mid"], t["mid"], max_age_ns=S).to_numpy(),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_those_of_naive_times(touches, name):
    table = touches.assign(side=np.where(np.arange(len(touches)) % 3, 1, -1))
    found, bare = (FIGURES[name](one) for one in (table, table.tz_localize(None)))
    assert repr(found) == repr(bare)
