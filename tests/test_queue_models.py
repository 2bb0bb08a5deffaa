"""Where an own order stands in the queue: published numbers, hand-made markets, properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulating import PARAMS, fills, instrument_with, venue

from mmquant.codes import FillModel, OrderEventKind, OrderStatus, Side, Template
from mmquant.kernels.queue_draw import drawn_behind, note_arrival
from mmquant.kernels.queue_models import (
    queue_enter,
    queue_level,
    queue_print,
    share_behind,
)
from mmquant.simulator import Simulator, simulator_params, simulator_state
from mmquant.state import MAX_ARRIVALS

pytestmark = pytest.mark.kernels

MODELS = [FillModel.RISK_AVERSE, FillModel.PROB_POWER, FillModel.PROB_LOG, FillModel.CANCEL_AHEAD]


@pytest.mark.parametrize(
    ("model", "power", "share"),
    [
        (FillModel.RISK_AVERSE, 1.0, 1.0),
        (FillModel.PROB_POWER, 2.0, 0.844827586207),
        (FillModel.PROB_LOG, 1.0, 0.553834514588),
        (FillModel.CANCEL_AHEAD, 1.0, 0.0),
    ],
)
def test_the_share_of_cancellations_behind_us_is_hftbacktests(model, power, share):
    assert share_behind(int(model), power, 30.0, 70.0) == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_the_first_and_the_last_of_a_queue_are_certain(model):
    assert share_behind(int(model), 3.0, 0.0, 5.0) == (0.0 if model == MODELS[3] else 1.0)
    assert share_behind(int(model), 3.0, 0.0, 0.0) == (0.0 if model == MODELS[3] else 1.0)
    assert share_behind(int(model), 3.0, 5.0, 0.0) == (1.0 if model == MODELS[0] else 0.0)


def queued(model, displayed, power=1.0):
    """Return a simulator's state with one order behind `displayed` lots, and its parameters."""
    sim = simulator_state(1)
    params = simulator_params(**(PARAMS | {"fill_model": model, "queue_power": power}))
    queue_enter(sim, 0, displayed, 0)
    return sim, params, sim[0]["orders"][0]


@pytest.mark.parametrize(
    ("model", "power", "ahead"),
    [
        (FillModel.RISK_AVERSE, 1.0, 25.0),
        (FillModel.PROB_POWER, 2.0, 23.5),
        (FillModel.PROB_LOG, 1.0, 18.560081217525),
    ],
)
def test_one_step_is_hftbacktests(model, power, ahead):
    """100 displayed, 30 ahead; 5 are printed, then 80 are displayed."""
    sim, params, order = queued(model, 100, power)
    order["ahead_lots"] = 30.0
    assert queue_print(sim, 0, 5, 5, 10) == 0
    assert order["ahead_lots"] == 25.0
    queue_level(sim, params, 0, 80, 10)
    assert order["ahead_lots"] == pytest.approx(ahead, abs=1e-11)


def test_a_print_is_not_counted_again_by_the_level_change_it_caused():
    sim, params, order = queued(FillModel.CANCEL_AHEAD, 100)
    queue_print(sim, 0, 30, 30, 10)
    queue_level(sim, params, 0, 70, 10)
    assert order["ahead_lots"] == 70.0
    queue_level(sim, params, 0, 60, 20)
    assert order["ahead_lots"] == 60.0


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("ahead", [100.0, 50.0, 0.0])
def test_a_late_print_explains_the_change_it_caused(model, ahead):
    """Trade before change or change before trade: nobody is counted twice in either order."""
    sim, params, order = queued(model, 100)
    order["ahead_lots"] = ahead
    late_sim, _, late = queued(model, 100)
    late["ahead_lots"] = ahead
    first = queue_print(sim, 0, 5, 5, 10)
    queue_level(sim, params, 0, 95, 10)
    queue_level(late_sim, params, 0, 95, 10)
    last = queue_print(late_sim, 0, 5, 5, 10)
    assert late["ahead_lots"] == order["ahead_lots"] == max(0.0, ahead - 5)
    assert first == last
    queue_level(late_sim, params, 0, 95, 11)
    assert late["ahead_lots"] == order["ahead_lots"]


def test_a_print_after_a_cancellation_is_not_excused_by_it():
    sim, params, order = queued(FillModel.RISK_AVERSE, 100)
    queue_level(sim, params, 0, 60, 10)
    assert queue_print(sim, 0, 20, 20, 11) == 0
    assert order["ahead_lots"] == 40.0


def test_an_order_that_the_book_does_not_reach_waits_for_a_level():
    sim, params, order = queued(FillModel.RISK_AVERSE, -1)
    assert queue_print(sim, 0, 10**9, 10**9, 10) == 0
    queue_level(sim, params, 0, 12, 20)
    assert order["ahead_lots"] == 12.0


def drawn(sim, ahead, back, gone, k=0):
    return drawn_behind(sim, 0, ahead, back, gone, 10**18 + 977 * k, 95)


def test_a_draw_takes_the_whole_change_with_the_odds_of_those_who_stand_there():
    sim, _, order = queued(FillModel.PROB_DRAW, 30)
    for lots in (10, 20, 30, 30, 40, 50):  # the mean is 30
        note_arrival(sim, 0, lots)
    sim[0]["arrivals_alike"] = 3  # of 6: a size says nothing
    answers = []
    for k in range(4_000):
        order["price_ticks"] = 640_000 + k % 7
        answers.append(drawn(sim, 90.0, 150.0, 25, k))
    assert set(answers) == {0.0, 1.0}
    share = 6 / (6 + 1 + 90 / 30)
    assert np.mean(answers) == pytest.approx(share, abs=4 * math.sqrt(0.25 / 4_000))
    correlation = np.corrcoef(answers[:-1], answers[1:])[0, 1]
    assert abs(correlation) < 4 / math.sqrt(4_000)
    assert drawn(sim, 4.0, 70.0, 5) == 1.0, "more than stood ahead"
    assert drawn(sim, 70.0, 4.0, 5) == 0.0


def test_a_feed_that_gives_sizes_away_is_believed_and_no_other():
    shares = {}
    for tells in (True, False):
        sim, _, _ = queued(FillModel.PROB_DRAW, 500)
        for lots in range(10, 60):
            note_arrival(sim, 0, lots)
        for lots in range(10, 40):  # more than the 5 ahead: each stood behind
            gone = lots if tells else 200 + lots
            assert drawn(sim, 5.0, 900.0, gone) == 1.0
        assert sim[0]["endings"] == 30
        assert sim[0]["endings_known"] == (30 if tells else 0)
        known = [drawn_behind(sim.copy(), 0, 300.0, 300.0, 45, k, 95) for k in range(200)]
        unknown = [drawn_behind(sim.copy(), 0, 300.0, 300.0, 145, k, 95) for k in range(200)]
        shares[tells] = (np.mean(known), np.mean(unknown))
    assert shares[True][0] > 0.9
    assert shares[True][1] < 0.1
    assert shares[False][1] > shares[True][1] + 0.3, "sizes say nothing there"


def test_no_more_sizes_are_kept_than_there_is_room_for():
    sim, _, order = queued(FillModel.PROB_DRAW, 30)
    for lots in range(1, MAX_ARRIVALS + 11):
        note_arrival(sim, 0, lots)
    assert order["arrivals"] == MAX_ARRIVALS
    assert order["arrival_lots"].tolist() == list(range(11, MAX_ARRIVALS + 11))


def test_a_level_that_vanishes_takes_everybody_along():
    sim, params, order = queued(FillModel.PROB_DRAW, 30)
    queue_level(sim, params, 0, 50, 1)
    assert order["arrivals"] == 1
    queue_level(sim, params, 0, 0, 2)
    assert (order["ahead_lots"], order["arrivals"], sim[0]["endings"]) == (0.0, 0, 0)


def test_no_own_order_overtakes_an_older_one_at_its_price():
    """50 lots do not fit between the two, nor before the first: they stood behind both."""
    sim, params, first = queued(FillModel.PROB_DRAW, 100)
    queue_enter(sim, 1, 100, 1)
    second = sim[0]["orders"][1]
    sim[0]["count"] = 2
    for order, ahead in ((first, 20.0), (second, 60.0)):
        order["status"], order["side"], order["price_ticks"] = OrderStatus.OPEN, Side.BUY, 100
        order["ahead_lots"] = ahead
    queue_level(sim, params, 0, 50, 2)
    queue_level(sim, params, 1, 50, 2)
    assert first["ahead_lots"] == 20.0
    assert second["ahead_lots"] >= 20.0


def test_own_orders_at_one_price_keep_their_order_in_every_draw():
    for k in range(300):
        moved = []
        for ahead in (20.0, 60.0):
            sim, params, order = queued(FillModel.PROB_DRAW, 100)
            order["ahead_lots"] = ahead
            queue_level(sim, params, 0, 90, 10**9 + 313 * k)
            moved.append(order["ahead_lots"])
        assert moved[0] in (10.0, 20.0)
        assert moved[1] in (50.0, 60.0)
        assert moved[0] == 20.0 or moved[1] == 50.0, "who is farther back moves up as well"


STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=30)


@given(st.sampled_from([*MODELS, FillModel.PROB_DRAW]), st.integers(0, 60), STEPS)
def test_the_estimate_lies_between_nothing_and_what_is_displayed(model, displayed, steps):
    sim, params, order = queued(model, displayed, 3.0)
    for k, (is_print, lots) in enumerate(steps):
        if is_print:
            before = order["ahead_lots"]
            reach = queue_print(sim, 0, max(lots, 1), max(lots, 1), k)
            assert 0 <= reach <= max(lots, 1)
            assert order["ahead_lots"] <= before
        else:
            queue_level(sim, params, 0, lots, k)
            assert order["ahead_lots"] <= lots
        assert order["ahead_lots"] >= 0.0


@given(st.sampled_from([FillModel.PROB_POWER, FillModel.PROB_DRAW]), st.integers(0, 60), STEPS)
def test_the_models_bound_each_other(between, displayed, steps):
    """Whatever happens, CANCEL_AHEAD stands no farther back than PROB, PROB than RISK_AVERSE."""
    models = (FillModel.CANCEL_AHEAD, between, FillModel.RISK_AVERSE)
    queues = [queued(model, displayed) for model in models]
    shown = displayed
    for k, (is_print, lots) in enumerate(steps):
        for sim, params, _ in queues:
            if is_print and 0 < lots <= shown:
                queue_print(sim, 0, lots, lots, k)
            queue_level(sim, params, 0, shown - lots if is_print and lots <= shown else lots, k)
        shown = shown - lots if is_print and lots <= shown else lots
        low, middle, high = (order["ahead_lots"] for _, _, order in queues)
        assert low <= middle + 1e-9
        assert middle <= high + 1e-9


# ---- whole markets ----


def test_a_fill_at_our_price_tells_of_the_queue():
    simulator = venue()
    simulator.order(Side.BUY, 100, 10, 0)
    simulator.advance(20)
    assert not fills(simulator.trade(100, 40, Side.SELL, 1, 30))
    assert not fills(simulator.depth([(100, 5)], [], 31))  # refilled behind us
    events = simulator.trade(100, 4, Side.SELL, 2, 50)
    assert fills(events) == [("TOUCH", 100, 4)]
    assert (events[0]["queue_entry_lots"], events[0]["queue_ahead_lots"]) == (40, 0)
    assert events[0]["queue_ns"] == 40


def test_a_print_reaches_us_only_with_what_is_left_of_it():
    simulator = venue()
    simulator.order(Side.BUY, 100, 10, 0)
    simulator.advance(20)
    assert fills(simulator.trade(100, 43, Side.SELL, 1, 30)) == [("TOUCH", 100, 3)]


def test_nobody_ahead_leaves_in_the_pessimistic_model_and_all_in_the_optimistic():
    for model, qty in ((FillModel.RISK_AVERSE, 0), (FillModel.CANCEL_AHEAD, 10)):
        simulator = venue(fill_model=model)
        simulator.order(Side.BUY, 100, 10, 0)
        simulator.depth([(100, 100)], [], 20)  # 60 joined behind
        simulator.depth([(100, 60)], [], 21)  # 40 left
        got = fills(simulator.trade(100, 12, Side.SELL, 1, 30))
        assert sum(q for _, _, q in got) == qty


def test_own_orders_at_one_price_fill_by_age_and_share_one_print():
    simulator = venue()
    simulator.order(Side.BUY, 100, 4, 0)
    simulator.order(Side.BUY, 100, 4, 1)
    simulator.order(Side.BUY, 101, 4, 2)
    simulator.advance(20)
    events = simulator.trade(100, 46, Side.SELL, 1, 30)
    assert fills(events) == [("THROUGH", 101, 4), ("TOUCH", 100, 2)]
    events = simulator.trade(100, 4, Side.SELL, 2, 31)
    assert fills(events) == [("TOUCH", 100, 2), ("TOUCH", 100, 2)]
    ids = [int(e["order_id"]) for e in events if e["template_id"] == Template.FILL]
    assert ids == [1, 2]


def test_a_touch_without_levels_fills_only_what_it_proves():
    """The best prices alone do not tell the queue at 98, so no print there reaches us."""
    simulator = Simulator(simulator_params(**PARAMS), instrument_with(), 1)
    simulator.touch(100, 5, 104, 5, 1)
    simulator.order(Side.BUY, 98, 4, 2)
    simulator.advance(20)
    assert not fills(simulator.trade(98, 1000, Side.SELL, 1, 30))
    simulator.touch(98, 7, 99, 5, 31)
    assert not fills(simulator.trade(98, 7, Side.SELL, 2, 40))
    assert fills(simulator.trade(98, 3, Side.SELL, 3, 41)) == [("TOUCH", 98, 3)]


def test_a_feed_with_order_ids_needs_no_estimate():
    simulator = venue(fill_model=FillModel.FIFO_L3)
    kinds = OrderEventKind
    simulator.order_event(kinds.ADD, Side.BUY, 100, 40, 5, 0)
    simulator.order(Side.BUY, 100, 10, 0)
    simulator.advance(20)
    simulator.order_event(kinds.ADD, Side.BUY, 100, 30, 6, 25)
    simulator.order_event(kinds.CANCEL, Side.BUY, 100, 30, 6, 26)  # behind us
    assert not fills(simulator.order_event(kinds.TRADE, Side.BUY, 100, 15, 5, 30))
    assert simulator.orders[0]["ahead_lots"] == 25.0
    simulator.order_event(kinds.CANCEL, Side.BUY, 100, 25, 5, 31)  # the rest ahead of us
    assert simulator.orders[0]["ahead_lots"] == 0.0
    events = simulator.order_event(kinds.TRADE, Side.BUY, 100, 4, 7, 32, 9)
    assert fills(events) == [("TOUCH", 100, 4)]
    assert events[0]["trade_id"] == 9
    assert not fills(simulator.trade(100, 50, Side.SELL, 10, 33))  # the order events tell


@pytest.mark.parametrize("model", [*MODELS, FillModel.CROSS])
@given(data=st.data())
def test_never_more_than_was_printed_or_displayed(model, data):
    """Over any prints and touches: each lot of the market fills one own lot at most."""
    simulator = venue(fill_model=model, entry_latency_ns=0)
    for price, qty in data.draw(st.lists(st.tuples(st.integers(96, 103), st.integers(1, 9)))):
        simulator.order(Side.BUY, price, qty, 0)
    now = 1
    for price, qty in data.draw(st.lists(st.tuples(st.integers(95, 103), st.integers(1, 99)))):
        now += 1
        events = simulator.trade(price, qty, Side.SELL, now, now)
        assert sum(q for _, _, q in fills(events)) <= qty
        assert all(p >= price for _, p, _ in fills(events))
        order_ids = [int(e["order_id"]) for e in events if e["template_id"] == Template.FILL]
        rank = [(-int(e["price_ticks"]), int(e["order_id"])) for e in events if e["kind"]]
        assert rank == sorted(rank)
        assert len(set(order_ids)) == len(order_ids)
    bought = simulator.position(now)[0]["position_lots"]
    events = simulator.depth([(p, 0) for p, _ in [(100, 0), (99, 0), (98, 0)]], [(95, 30)], now)
    crossed = [q for kind, _, q in fills(events) if kind == "CROSS"]
    assert sum(crossed) <= 30
    assert simulator.position(now)[0]["position_lots"] == bought + sum(crossed)
    assert not fills(simulator.depth([], [(95, 30)], now + 1))
