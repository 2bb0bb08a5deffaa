"""Latencies: constant, jittered, recorded; what is on its way cannot have an effect before."""

import math
from statistics import NormalDist, median, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulating import PARAMS, fills, statuses, venue

from mmquant.codes import OrderStatus, Side, Template
from mmquant.kernels.latency import cancel_delay_ns, entry_delay_ns, simulator_respond
from mmquant.kernels.orders import known_filled_lots
from mmquant.simulator import recorded_latencies, simulator_params, simulator_state
from mmquant.state import EVENT, MAX_LATE_FILLS, NEVER_NS

pytestmark = pytest.mark.kernels

ROWS = [(1_000, 1_100, 1_130), (2_000, 2_300, 2_310), (3_000, 3_050, 3_250)]


def test_a_constant_latency_draws_nothing():
    sim, params = simulator_state(1), simulator_params(**PARAMS)
    before = sim.tobytes()
    assert entry_delay_ns(sim, params, recorded_latencies(()), 5) == 10
    assert cancel_delay_ns(sim, params, recorded_latencies(()), 5) == 5
    assert sim.tobytes() == before


def test_jitter_is_log_normal_about_the_median_and_repeats_with_the_seed():
    params = simulator_params(**(PARAMS | {"entry_latency_ns": 10**9, "entry_jitter": 0.5}))

    def draws(seed, n=4_000):
        sim = simulator_state(seed)
        return [entry_delay_ns(sim, params, recorded_latencies(()), 0) for _ in range(n)]

    logs = [math.log(ns / 10**9) for ns in draws(3)]
    assert abs(median(logs)) < 4 * 0.5 * 1.2533 / math.sqrt(4_000)
    assert abs(stdev(logs) - 0.5) < 4 * 0.5 / math.sqrt(2 * 4_000)
    below = sum(x < 0.5 * NormalDist().inv_cdf(0.9) for x in logs) / 4_000
    assert abs(below - 0.9) < 4 * math.sqrt(0.09 / 4_000)
    assert draws(3, 9) == draws(3, 9) != draws(4, 9)


@pytest.mark.parametrize(
    ("at_ns", "entry"),
    [(1, 100), (1_000, 100), (1_500, 200), (1_999, 299), (2_500, 175), (3_000, 50), (9_000, 50)],
)
def test_recorded_latencies_are_interpolated_and_held_beyond_the_ends(at_ns, entry):
    sim, params = simulator_state(1), simulator_params(**PARAMS)
    assert entry_delay_ns(sim, params, recorded_latencies(ROWS), at_ns) == entry


@pytest.mark.parametrize(
    ("at_ns", "response"), [(1, 30), (1_100, 30), (1_700, 20), (2_300, 10), (3_050, 200)]
)
def test_recorded_answers_go_by_the_venues_time(at_ns, response):
    sim, params, events = simulator_state(1), simulator_params(**PARAMS), np.zeros(1, EVENT)
    events[0]["now_ns"] = at_ns
    simulator_respond(sim, params, recorded_latencies(ROWS), events, 1)
    assert events[0]["known_ns"] == at_ns + response


def test_answers_do_not_overtake_each_other():
    params = simulator_params(**(PARAMS | {"response_latency_ns": 100, "response_jitter": 2.0}))
    sim, events = simulator_state(5), np.zeros(200, EVENT)
    events["now_ns"] = np.arange(200)
    events["status"] = OrderStatus.OPEN
    simulator_respond(sim, params, recorded_latencies(()), events, 200)
    assert (np.diff(events["known_ns"]) >= 0).all()
    assert (events["known_ns"] >= events["now_ns"]).all()
    assert len(set(events["known_ns"].tolist())) > 3


def test_quotes_count_on_an_order_until_its_end_is_heard_of():
    simulator = venue(response_latency_ns=50)
    simulator.quotes([(101, 5)], [], 0)
    simulator.advance(10)
    assert fills(simulator.trade(101, 5, Side.SELL, 1, 100)) == [("TOUCH", 101, 5)]
    assert not simulator.quotes([(101, 5)], [], 149).size
    assert statuses(simulator.quotes([(101, 5)], [], 150)) == [("NEW", "NONE")]
    simulator.depth([], [(101, 9)], 155)
    assert statuses(simulator.advance(160)) == [("REJECTED", "WOULD_CROSS")]
    assert not simulator.quotes([(101, 5)], [], 209).size
    assert statuses(simulator.quotes([(101, 5)], [], 210)) == [("NEW", "NONE")]


def partly_filled(lots):
    """Return a simulator whose order of 10 lots had some filled at 100, which is known at 150."""
    simulator = venue(response_latency_ns=50)
    simulator.quotes([(101, 10)], [], 0)
    simulator.advance(10)
    for _ in range(lots):
        assert fills(simulator.trade(101, 1, Side.SELL, 1, 100)) == [("TOUCH", 101, 1)]
    return simulator


def test_quotes_count_on_all_of_an_order_until_a_partial_fill_is_heard_of():
    simulator = partly_filled(3)
    assert not simulator.quotes([(101, 10)], [], 149).size
    assert not simulator.advance(149).size
    assert simulator.orders["cancel_ns"].tolist() == [NEVER_NS]
    assert statuses(simulator.quotes([(101, 10)], [], 150)) == [("NEW", "NONE")]


def test_a_smaller_quote_is_sent_by_what_is_known_to_be_filled():
    simulator = partly_filled(3)
    assert not simulator.quotes([(101, 8)], [], 120).size
    simulator.advance(130)
    assert simulator.orders["qty_lots"].tolist() == [8]  # of which 5 are left, not 8
    late = partly_filled(3)
    assert not late.quotes([(101, 6)], [], 150).size
    late.advance(160)
    assert late.orders["qty_lots"].tolist() == [9]


def test_an_amendment_below_what_is_filled_is_sent_by_who_cannot_know():
    simulator = partly_filled(3)
    assert not simulator.amend(101, 3, 120, order_id=1).size
    assert statuses(simulator.advance(130)) == [("CANCELLED", "BELOW_FILLED")]
    late = partly_filled(3)
    assert statuses(late.amend(101, 3, 150, order_id=1)) == [("REJECTED", "BELOW_FILLED")]


def test_more_late_fills_than_there_is_room_for_leave_the_newest_unknown():
    simulator = venue(response_latency_ns=50)
    simulator.quotes([(101, 500)], [], 0)
    simulator.advance(10)
    for k in range(MAX_LATE_FILLS + 20):
        simulator.trade(101, 1, Side.SELL, k, 100)
    assert known_filled_lots(simulator.state, 0, 100) == 20
    assert known_filled_lots(simulator.state, 0, 150) == MAX_LATE_FILLS + 20
    simulator.quotes([(101, 500)], [], 150)  # by who knows of them all
    simulator.trade(101, 1, Side.SELL, 1, 150)
    assert simulator.state[0]["late_fills"] == 1


def test_a_refused_request_of_no_side_is_no_order_to_count_on():
    simulator = venue(response_latency_ns=50)
    simulator.amend(103, 5, 0, order_id=9)
    assert statuses(simulator.quotes([], [(103, 5)], 10)) == [("NEW", "NONE")]


def test_a_market_seen_late_delays_what_is_sent_and_its_news_is_the_answer():
    """What we see at 50 is 30 old: our order meets the market that we shall see at 50 + 30 + 10."""
    simulator = venue(response_latency_ns=20)
    simulator.state[0]["feed_latency_ns"] = 30
    simulator.order(Side.BUY, 101, 5, 50)
    assert not simulator.advance(89).size
    events = simulator.advance(90)
    assert statuses(events) == [("OPEN", "NONE")]
    assert events[0]["known_ns"] == 90  # at the venue at 60, answered at 80, before the market's


def test_the_order_of_things_at_one_time():
    """The market first, then entries, amendments, cancellations, then the older order."""
    simulator = venue(entry_latency_ns=10, cancel_latency_ns=10)
    simulator.order(Side.BUY, 101, 5, 0)
    simulator.order(Side.BUY, 101, 5, 0)
    simulator.advance(10)
    simulator.cancel(20, order_id=1)
    simulator.amend(101, 4, 20, order_id=2)
    simulator.order(Side.BUY, 99, 5, 20)
    simulator.order(Side.BUY, 98, 5, 20)
    events = simulator.trade(101, 3, Side.SELL, 1, 30)
    told = [
        (int(e["order_id"]), OrderStatus(e["status"]).name)
        for e in events
        if e["template_id"] == Template.ORDER_UPDATE
    ]
    assert fills(events) == [("TOUCH", 101, 3)]
    assert told == [(1, "OPEN"), (3, "OPEN"), (4, "OPEN"), (2, "OPEN"), (1, "CANCELLED")]
    assert {int(e["now_ns"]) for e in events} == {30}


@given(
    st.integers(0, 50),
    st.integers(0, 50),
    st.floats(0.0, 2.0),
    st.lists(st.tuples(st.integers(0, 40), st.integers(95, 103)), min_size=1, max_size=20),
)
def test_no_fill_before_the_order_could_be_there_none_after_it_is_gone(
    entry, cancel, jitter, prints
):
    simulator = venue(entry_latency_ns=entry, cancel_latency_ns=cancel, entry_jitter=jitter)
    simulator.order(Side.BUY, 101, 50, 100)
    active = int(simulator.orders[0]["active_ns"]) if simulator.orders.size else 100
    assert active >= 100
    simulator.cancel(120, order_id=1)
    gone = int(simulator.orders[0]["cancel_ns"]) if simulator.orders.size else 10**9
    now = 100
    for elapsed, price in prints:
        now += elapsed
        for event in simulator.trade(price, 3, Side.SELL, 1, now):
            if event["template_id"] == Template.FILL:
                assert active <= event["now_ns"] <= gone
                assert event["known_ns"] >= event["now_ns"]


@pytest.mark.parametrize(
    "rows", [[(5, 4, 6)], [(5, 6, 5)], [(0, 6, 7)], [(5, 6, 7), (4, 8, 9)], [(5, 9, 9), (6, 8, 9)]]
)
def test_recorded_latencies_that_cannot_be_are_refused(rows):
    with pytest.raises(ValueError, match="recorded latenc"):
        recorded_latencies(rows)
