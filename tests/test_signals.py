"""Signals: published numbers, twins, what is missing, and what is refused."""

import math

import numpy as np
import pandas as pd
import pytest
import reference_signals
from hypothesis import given, settings
from hypothesis import strategies as st

from mmquant.fair_value import imbalance, microprice, mid
from mmquant.kernels import signals as kernels
from mmquant.signals import (
    basis_bps,
    blend,
    decayed_order_flow,
    depth_imbalance,
    order_flow_imbalance,
    trade_flow_imbalance,
    vamp,
)
from mmquant.state import ORDER_FLOW, TRADE_FLOW

pytestmark = pytest.mark.kernels

S = 10**9
# At a tick of 0.5: bids (100, 5) (99.5, 7) (99, 11), asks (100.5, 3) (101, 2) (102, 9).
BID_TICKS, BID_LOTS = [[200, 199, 198]], [[5, 7, 11]]
ASK_TICKS, ASK_LOTS = [[201, 202, 204]], [[3, 2, 9]]


def first(levels, *books):
    return [np.array(book)[:, :levels] for book in books]


@pytest.mark.parametrize(
    ("levels", "price", "rho"),
    [(1, 100.3125, 0.25), (2, 100.5, 0.4117647059), (3, 100.5810810811, 0.2432432432)],
)
def test_vamp_and_imbalance_of_n_levels_by_hand(levels, price, rho):
    book = first(levels, BID_TICKS, BID_LOTS, ASK_TICKS, ASK_LOTS)
    assert vamp(*book)[0] / 2 == pytest.approx(price, rel=1e-11)
    assert depth_imbalance(book[1], book[3])[0] == pytest.approx(rho, rel=1e-9)


def test_one_level_is_the_microprice_and_the_imbalance_of_the_touch():
    touch = ([200, 210], [5, 1], [201, 215], [3, 4])
    assert vamp(*touch) == pytest.approx(microprice(*touch), rel=1e-15)
    assert depth_imbalance(touch[1], touch[3]).tolist() == imbalance(touch[1], touch[3]).tolist()


def test_order_flow_imbalance_equals_the_example_of_its_definition():
    flow = order_flow_imbalance(
        [200, 200, 201, 201, 200, 200],
        [5, 8, 2, 2, 6, 6],
        [202, 202, 202, 203, 202, 202],
        [4, 4, 3, 7, 5, 1],
    )
    assert flow.tolist() == [0, 3, 3, 3, -7, 4]


ticks = st.integers(95, 100)
sizes = st.integers(0, 4)
books = st.lists(
    st.tuples(
        st.lists(st.tuples(ticks, sizes), min_size=2, max_size=2),
        st.lists(st.tuples(ticks.map(lambda t: t + 6), sizes), min_size=2, max_size=2),
    ),
    min_size=1,
    max_size=10,
)


@settings(max_examples=50)
@given(books)
def test_book_signals_equal_their_twins(rows):
    bids = np.array([row[0] for row in rows])
    asks = np.array([row[1] for row in rows])
    book = (bids[:, :, 0], bids[:, :, 1], asks[:, :, 0], asks[:, :, 1])
    twin = [reference_signals.vamp(b, a) for b, a in rows]
    np.testing.assert_allclose(vamp(*book), twin, rtol=1e-12)
    flow = order_flow_imbalance(*book)
    assert flow[0].tolist() == [0, 0]
    for i in range(1, len(rows)):
        for k in range(2):
            (old_bids, old_asks), (new_bids, new_asks) = rows[i - 1], rows[i]
            twin = reference_signals.order_flow(old_bids[k], new_bids[k], old_asks[k], new_asks[k])
            assert flow[i, k] == twin


trades = st.lists(
    st.tuples(st.integers(0, 5), st.integers(-1, 1), st.integers(0, 3 * S)), min_size=1, max_size=20
)


@settings(max_examples=50)
@given(trades)
def test_trade_flow_equals_its_twin(rows):
    lots, sides = [row[0] for row in rows], [row[1] for row in rows]
    ts = 10**18 + np.cumsum([row[2] for row in rows])
    out = trade_flow_imbalance(lots, sides, ts, half_life_ns=2 * S)
    twin = reference_signals.trade_flow(lots, sides, ts.tolist(), 2 * S)
    assert out == pytest.approx(twin, rel=1e-9, abs=1e-9)


def test_the_basis_is_to_the_last_reference_that_is_young_enough():
    out = basis_bps(
        [101.0, 101.0, math.nan, 99.0, 99.0],
        [100.0, 110.0],
        np.array([0, 10, 20, 30, 100]),
        np.array([5, 30]),
        max_age_ns=10,
    )
    assert out[1] == pytest.approx(100.0)
    assert out[3] == pytest.approx(-1000.0)
    assert np.isnan(out).tolist() == [True, False, True, False, True]


def test_a_missing_reference_does_not_hide_the_one_before_it():
    references = [100.0, math.nan, math.nan]
    out = basis_bps(
        [101.0, 101.0, 101.0], references, np.array([5, 10, 11]), np.array([0, 4, 8]), max_age_ns=10
    )
    assert out[:2] == pytest.approx([100.0, 100.0])
    assert math.isnan(out[2])


def test_a_blend_weighs_what_there_is():
    nan = math.nan
    out = blend(
        {"a": ([10.0, 10.0, nan, nan], 3.0), "b": ([14.0, nan, 14.0, nan], 1.0)},
        {"flow": ([2.0, nan, 0.0, 1.0], 0.5)},
    )
    assert out[:3].tolist() == [12.0, 10.0, 14.0]
    assert math.isnan(out[3])
    assert blend({"a": ([10.0], 1.0)}).tolist() == [10.0]


def test_a_blend_of_mid_and_microprice_is_the_fair_value_of_the_service():
    touch = (np.array([200, 210]), np.array([5, 1]), np.array([201, 215]), np.array([3, 4]))
    m, w = mid(touch[0], touch[2]), microprice(*touch)
    out = blend({"mid": (m, 0.7), "microprice": (w, 0.3)})
    assert out == pytest.approx(m + 0.3 * (w - m), rel=1e-15)


def test_the_decayed_order_flow_is_the_decayed_sum_of_all_levels():
    rng = np.random.default_rng(5)
    bid_ticks = 100 - np.arange(3) - rng.integers(0, 3, (40, 1))
    ask_ticks = 101 + np.arange(3) + rng.integers(0, 3, (40, 1))
    lots = rng.integers(0, 9, (2, 40, 3))
    ts_ns = np.cumsum(rng.integers(0, 2 * S, 40))
    book = (bid_ticks, lots[0], ask_ticks, lots[1])
    flows = order_flow_imbalance(*book).sum(axis=1)
    expected = [
        sum(q * 2.0 ** (-(now - t) / S) for q, t in zip(flows[: i + 1], ts_ns, strict=False))
        for i, now in enumerate(ts_ns)
    ]
    out = decayed_order_flow(*book, ts_ns, half_life_ns=S)
    assert out == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_the_paths_of_both_flows_are_their_steps_folded_to_the_last_bit():
    rng = np.random.default_rng(6)
    n = 500
    ts_ns = np.cumsum(rng.integers(0, 2 * S, n))
    lots, sides = rng.integers(0, 99, n), rng.integers(-1, 2, n)
    trades = np.zeros(1, TRADE_FLOW)
    trades["half_life_ns"] = S
    steps = [kernels.trade_flow_step(trades, *row) for row in zip(lots, sides, ts_ns, strict=True)]
    path = trade_flow_imbalance(lots, sides, ts_ns, half_life_ns=S)
    assert path.tobytes() == np.array(steps).tobytes()
    bids = 100 - np.arange(3) - rng.integers(0, 3, (n, 1))
    sizes = rng.integers(0, 9, (2, n, 3))
    book = (bids, sizes[0], bids + 9, sizes[1])
    state = np.zeros(1, ORDER_FLOW)
    state["half_life_ns"] = S
    rows = zip(*book, ts_ns, strict=True)
    steps = [kernels.order_flow_step(state, *levels, 3, now_ns) for *levels, now_ns in rows]
    path = decayed_order_flow(*book, ts_ns, half_life_ns=S)
    assert path.tobytes() == np.array(steps).tobytes()


def test_series_and_frames_come_back_on_their_index():
    index = pd.date_range("2024", periods=2, freq="s")
    frame = [pd.DataFrame(np.repeat(b, 2, axis=0), index=index) for b in (BID_TICKS, BID_LOTS)]
    frame += [pd.DataFrame(np.repeat(b, 2, axis=0), index=index) for b in (ASK_TICKS, ASK_LOTS)]
    assert vamp(*frame).index.equals(index)
    assert order_flow_imbalance(*frame).shape == (2, 3)
    assert order_flow_imbalance(*frame).index.equals(index)
    assert mid(frame[0][0], frame[2][0]).index.equals(index)
    lots = pd.Series([1, 2], index=index)
    assert trade_flow_imbalance(lots, [1, -1], half_life_ns=S).index.equals(index)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: vamp([1.5], [1], [2], [1]), TypeError, "bid_ticks must be whole numbers"),
        (lambda: vamp([1], [-1], [2], [1]), ValueError, "bid_lots must be at least 0, got -1"),
        (lambda: vamp([1, 2], [1], [2], [1]), ValueError, "must have one shape, got bid_ticks"),
        (
            lambda: trade_flow_imbalance([1], [2], [0], half_life_ns=S),
            ValueError,
            "sides must be 1, 0 or -1, got 2",
        ),
        (lambda: blend({"a": ([1.0], 0.0)}), ValueError, "prices must have a positive weight"),
        (lambda: blend({"a": ([1.0], -1.0)}), ValueError, "factor of a must be finite and between"),
        (
            lambda: basis_bps([1.0], [1.0], [0], [0], max_age_ns=-1),
            ValueError,
            "max_age_ns must be between 0",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(call, error, text):
    with pytest.raises(error, match=text):
        call()
