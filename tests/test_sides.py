"""Books with an empty side, from their events to every function that takes them: NaN, no 2^62."""

import math

import numpy as np
import pandas as pd
import pytest
import reference_pricing
from hypothesis import given
from hypothesis import strategies as st

import mmquant
from mmquant import OrderBook
from mmquant.kernels.book import MAX_PRICE_TICKS, NO_ASK
from mmquant.stoikov import MicropriceModel

pytestmark = pytest.mark.kernels

S = 10**9
SIDES = ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots")


def one_sided_events(n=400, seed=3):
    """Events of the touch alone: now and then a side, or both, is taken away and comes back."""
    rng = np.random.default_rng(seed)
    mid, touch, rows = 1000, {}, []
    for ident in range(1, n + 1):
        mid += int(rng.integers(-1, 2))
        for side, tick in (("bid", mid), ("ask", mid + int(rng.integers(1, 3)))):
            if side in touch:
                rows.append((ident, side, touch.pop(side), 0))
            if rng.random() < 0.85:
                touch[side] = tick
                rows.append((ident, side, tick, int(rng.integers(1, 9))))
        if not rows or rows[-1][0] != ident:
            rows.append((ident, "bid", 1, 0))
    names = ("update_id", "side", "price_ticks", "qty_lots")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


EVENTS = one_sided_events()
TOUCHES = OrderBook("1", "1").replay({k: np.array(v) for k, v in EVENTS.items()})
EMPTY = (TOUCHES["bid_lots"] == 0) | (TOUCHES["ask_lots"] == 0)
TIMES = pd.date_range("2024", periods=TOUCHES.size, freq="250ms")


def inputs(kind):
    columns = {name: np.ascontiguousarray(TOUCHES[name]) for name in SIDES}
    if kind == "series":
        columns = {name: pd.Series(column, index=TIMES) for name, column in columns.items()}
    return columns


@pytest.fixture(params=["arrays", "series"])
def touch(request):
    return inputs(request.param)


def test_the_replay_has_all_kinds_of_empty_sides():
    assert 50 < EMPTY.sum() < 200
    assert (TOUCHES["ask_ticks"] == NO_ASK).any()
    assert (TOUCHES["bid_ticks"] == 0).any()
    assert ((TOUCHES["bid_lots"] == 0) & (TOUCHES["ask_lots"] == 0)).any()


@pytest.mark.parametrize("name", ["mid", "microprice", "vamp"])
def test_a_price_of_a_book_with_an_empty_side_is_nan(touch, name):
    columns = touch.values() if name != "mid" else (touch["bid_ticks"], touch["ask_ticks"])
    out = getattr(mmquant, name)(*columns)
    assert np.isnan(out).tolist() == EMPTY.tolist()
    twin = {
        "mid": lambda bid, _, ask, __: (bid + ask) / 2,
        "microprice": reference_pricing.microprice,
        "vamp": reference_pricing.microprice,
    }[name]
    rows = TOUCHES[list(SIDES)][~EMPTY].tolist()
    assert np.asarray(out)[~EMPTY] == pytest.approx([twin(*row) for row in rows], rel=1e-12)
    assert isinstance(out, pd.Series) == isinstance(touch["bid_ticks"], pd.Series)


def test_a_frame_of_books_has_nan_cell_by_cell():
    bids = pd.DataFrame({"a": [100, 0], "b": [102, 103]})
    asks = pd.DataFrame({"a": [101, 104], "b": [NO_ASK, 0]})
    lots = (bids > 0).astype("int64")
    expected = [[100.5, math.nan], [math.nan, math.nan]]
    np.testing.assert_array_equal(mmquant.mid(bids, asks), expected)
    sizes = ((asks > 0) & (asks < NO_ASK)).astype("int64")
    np.testing.assert_array_equal(mmquant.microprice(bids, lots, asks, sizes), expected)
    assert math.isnan(mmquant.mid(0, 100))


def test_what_counts_sizes_stays_a_number(touch):
    share = np.asarray(mmquant.imbalance(touch["bid_lots"], touch["ask_lots"]))
    assert (np.abs(share) <= 1).all()
    assert (share[TOUCHES["bid_lots"] == 0] <= 0).all()
    depth = mmquant.depth_imbalance(touch["bid_lots"], touch["ask_lots"])
    np.testing.assert_array_equal(share, depth)
    flow = mmquant.order_flow_imbalance(*touch.values())
    decayed = mmquant.decayed_order_flow(*touch.values(), times=TIMES, half_life_ns=S)
    assert np.abs(flow).max() <= 32
    assert np.abs(decayed).max() <= 32 * 10


def test_a_fit_counts_nothing_across_an_empty_side(touch):
    model = mmquant.fit_microprice(*touch.values(), buckets=3, max_spread_ticks=2)
    crossed = TOUCHES["ask_ticks"] <= TOUCHES["bid_ticks"]
    whole = ~(EMPTY | crossed)
    assert model.steps == (whole[1:] & whole[:-1]).sum()
    assert np.isnan(model.apply(*touch.values())).tolist() == (~whole).tolist()
    assert np.abs(model.adjustment_ticks).max() < 10


def test_estimates_of_its_mids_are_those_of_the_books_with_both_sides(touch):
    mids = np.asarray(mmquant.mid(touch["bid_ticks"], touch["ask_ticks"]))
    pairs = ((mids, TIMES), (mids[~EMPTY], TIMES[~EMPTY]))
    for function, options in (
        (mmquant.realised_variance, {}),
        (mmquant.bipower_variance, {}),
        (mmquant.two_scale_variance, {}),
        (mmquant.pre_averaged_variance, {}),
        (mmquant.noise_variance, {}),
        (mmquant.realised_windows, {"window_ns": 20 * S}),
    ):
        whole, kept = (function(*pair, **options) for pair in pairs)
        np.testing.assert_array_equal(np.asarray(whole).tolist(), np.asarray(kept).tolist())
    mean = mmquant.ewm_mean(mids, TIMES, half_life_ns=S)
    assert mean[~EMPTY].tolist() == mmquant.ewm_mean(*pairs[1], half_life_ns=S).tolist()
    moves = mmquant.forward_moves(mids, TIMES, horizon_ns=S)
    assert np.nanmax(np.abs(moves)) < 20


def test_a_basis_takes_an_empty_side_for_a_missing_price():
    prices = np.array([0, 101, NO_ASK, 101], np.int64)
    references = np.array([100, NO_ASK, 0, 50], np.int64)
    times = np.arange(4)
    out = mmquant.basis_bps(prices, references, times, times, max_age_ns=2)
    np.testing.assert_array_equal(out, [math.nan, 100.0, math.nan, 10_200.0])
    # The reference at 1 and 2 is missing: the one before stands until it is too old.
    out = mmquant.basis_bps([101.0] * 3, references[:3], times[:3], times[:3], max_age_ns=1)
    np.testing.assert_array_equal(out, [100.0, 100.0, math.nan])


def test_a_replayed_frame_has_the_ticks_and_lots_that_signals_take():
    frame = OrderBook("0.5", "0.1").replay(pd.DataFrame(EVENTS))
    for name in SIDES:
        assert frame[name].dtype == np.int64
        assert frame[name].tolist() == TOUCHES[name].tolist()
    mids = mmquant.mid(frame["bid_ticks"], frame["ask_ticks"])
    pd.testing.assert_series_equal(mids * 0.5, (frame["bid"] + frame["ask"]) / 2, check_names=False)


FUNCTIONS = {
    "mid": lambda b, bl, a, al: mmquant.mid(b, a),
    "microprice": mmquant.microprice,
    "vamp": mmquant.vamp,
    "order_flow_imbalance": mmquant.order_flow_imbalance,
    "decayed_order_flow": lambda *t: mmquant.decayed_order_flow(
        *t, times=[0] * len(t[0]), half_life_ns=S
    ),
    "fit_microprice": mmquant.fit_microprice,
    "apply": MicropriceModel(np.zeros((1, 2)), 1).apply,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_price_that_no_book_holds_is_refused(name):
    for at in (0, 2):
        for ticks in (MAX_PRICE_TICKS + 1, NO_ASK - 1, NO_ASK + 1, 2**63 - 1):
            row = [[100, 100], [1, 1], [101, 101], [1, 1]]
            row[at] = [row[at][0], ticks]
            text = rf"{SIDES[at]} must be at most {MAX_PRICE_TICKS}, or 0 .* got {ticks} at 1: drop"
            with pytest.raises(ValueError, match=text):
                FUNCTIONS[name](*row)
    with pytest.raises(ValueError, match="bid_ticks must be at most"):
        FUNCTIONS[name]([NO_ASK], [0], [101], [1])  # above every price: none of a bid


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "mid"])
def test_a_size_without_a_price_is_refused(name):
    for at, ticks in ((0, 0), (2, 0), (2, NO_ASK)):
        row = [[100], [1], [101], [1]]
        row[at] = [ticks]
        side = SIDES[at][:3]
        text = f"{side}_lots must be 0 where {side}_ticks are 0 or NO_ASK, an empty side, got 1 at"
        with pytest.raises(ValueError, match=text):
            FUNCTIONS[name](*row)


def test_sizes_whose_whole_sums_would_wrap_are_refused():
    for name in ("order_flow_imbalance", "decayed_order_flow", "fit_microprice", "apply"):
        with pytest.raises(ValueError, match=r"ask_lots must be at most \d+, got 9\d+ at 0: count"):
            FUNCTIONS[name]([100], [1], [101], [2**63 - 1])
    assert mmquant.imbalance(2**63 - 1, 2**63 - 1) == 0.0
    with pytest.raises(ValueError, match="prices must be at most"):
        mmquant.basis_bps([1e18], [1.0], [0], [0], max_age_ns=1)


prices = st.one_of(st.integers(1, 50), st.integers(MAX_PRICE_TICKS - 50, MAX_PRICE_TICKS))
any_lots = st.integers(0, 2**63 - 1)


@given(prices, any_lots, prices, any_lots)
def test_prices_of_books_with_both_sides_lie_within_the_touch(bid, bid_lots, ask, ask_lots):
    low, high = min(bid, ask), max(bid, ask)
    assert low <= mmquant.mid(bid, ask) <= high
    value = float(mmquant.microprice(bid, bid_lots, ask, ask_lots))
    assert value == pytest.approx(min(max(value, low), high), rel=0, abs=high * 2.0**-52)
