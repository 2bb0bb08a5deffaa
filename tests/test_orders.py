"""Order-level requests: kinds, amendments, ids, and what is refused without a trace."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulating import BIDS, PARAMS, bare, fills, instrument_with, statuses, venue

from mmquant.codes import Liquidity, OrderKind, Reason, Side
from mmquant.simulator import Simulator, simulator_params
from mmquant.state import MAX_CLIENTS, MAX_TAKEN

pytestmark = pytest.mark.kernels

NAN = float("nan")


def sent(simulator, side, price, qty, now=0, **what):
    """Send an order and let it arrive; return what happened at the venue."""
    assert statuses(simulator.order(side, price, qty, now, **what)) == [("NEW", "NONE")]
    return simulator.advance(now + 10)


def rejection(events):
    assert len(events) == 1
    ((status, reason),) = statuses(events)
    assert status == "REJECTED"
    return reason


# ---- kinds ----


def test_post_only_is_rejected_by_the_book_of_its_arrival_not_of_its_departure():
    simulator = venue()
    assert statuses(simulator.order(Side.BUY, 103, 5, 0)) == [("NEW", "NONE")]
    simulator.depth([], [(103, 9)], 9)
    assert rejection(simulator.advance(10)) == "WOULD_CROSS"
    assert simulator.position(10)[0]["position_lots"] == 0


def test_a_limit_order_takes_what_is_displayed_and_rests_with_the_remainder():
    simulator = venue()
    events = sent(simulator, Side.BUY, 105, 120, kind=OrderKind.LIMIT)
    assert fills(events) == [("TAKE", 104, 40), ("TAKE", 105, 60)]
    assert {int(e["liquidity"]) for e in events if e["fill_id"]} == {Liquidity.TAKER}
    assert events[1]["fee_micro_tick_lots"] == 104 * 40 * 500
    assert simulator.orders[0]["filled_lots"] == 100
    assert simulator.orders[0]["ahead_lots"] == 0.0
    assert not fills(simulator.depth([], [(105, 60)], 20))  # taken already, though displayed
    assert fills(simulator.depth([], [(105, 66)], 21)) == []  # the touch is 104, taken too
    assert fills(simulator.depth([], [(104, 47)], 22)) == [("CROSS", 105, 7)]


def test_the_same_liquidity_is_not_taken_twice_by_two_orders():
    simulator = venue()
    assert fills(sent(simulator, Side.BUY, 0, 30, kind=OrderKind.MARKET)) == [("TAKE", 104, 30)]
    events = sent(simulator, Side.BUY, 0, 30, 20, kind=OrderKind.MARKET)
    assert fills(events) == [("TAKE", 104, 10), ("TAKE", 105, 20)]
    simulator.depth([], [(104, 0)], 40)
    simulator.depth([], [(104, 25)], 41)  # a new level
    events = sent(simulator, Side.BUY, 104, 30, 50, kind=OrderKind.IOC)
    assert fills(events) == [("TAKE", 104, 25)]
    assert statuses(events)[-1] == ("CANCELLED", "REST_EXPIRED")


def test_ioc_and_market_expire_and_fok_takes_all_or_nothing():
    simulator = venue()
    events = sent(simulator, Side.SELL, 99, 150, kind=OrderKind.IOC)
    assert fills(events) == [("TAKE", 100, 40), ("TAKE", 99, 60)]
    assert statuses(events)[-1] == ("CANCELLED", "REST_EXPIRED")
    assert rejection(sent(simulator, Side.SELL, 98, 81, 20, kind=OrderKind.FOK)) == "NOT_FILLABLE"
    events = sent(simulator, Side.SELL, 98, 80, 40, kind=OrderKind.FOK)
    assert fills(events) == [("TAKE", 98, 80)]
    events = sent(simulator, Side.SELL, 0, 5, 60, kind=OrderKind.MARKET)
    assert statuses(events)[-1] == ("CANCELLED", "REST_EXPIRED")
    assert simulator.orders.size == 0
    assert simulator.position(60)[0]["position_lots"] == -180


def test_all_or_nothing_counts_the_places_that_it_will_need_itself():
    """Of 15 levels something was taken, 16 are remembered: of two new ones only one can be."""
    simulator = venue()
    asks = [(price, 10) for price in range(104, 119)]
    simulator.depth([], asks, 1)
    assert len(fills(sent(simulator, Side.BUY, 0, 150, 2, kind=OrderKind.MARKET))) == 15
    simulator.depth([], [(102, 10), (103, 10)], 20)
    events = sent(simulator, Side.BUY, 103, 15, 21, kind=OrderKind.FOK)
    assert rejection(events) == "NOT_FILLABLE"
    assert simulator.position(31)[0]["position_lots"] == 150
    events = sent(simulator, Side.BUY, 103, 10, 40, kind=OrderKind.FOK)
    assert fills(events) == [("TAKE", 102, 10)]


def taken(simulator, ask, lots, now, wanted=5):
    """Let the best ask be so, buy there at once, and return what was had."""
    simulator.touch(100, 5, ask, lots, now)
    events = sent(simulator, Side.BUY, ask, wanted, now, kind=OrderKind.IOC)
    return sum(qty for _, _, qty in fills(events))


def test_what_was_taken_stays_taken_while_the_book_does_not_tell_of_its_level():
    simulator = Simulator(simulator_params(**PARAMS), instrument_with(), 1)
    assert taken(simulator, 104, 5, 1) == 5
    assert taken(simulator, 103, 3, 20) == 3
    assert taken(simulator, 104, 5, 40) == 0, "the best prices alone do not say that it was gone"
    assert taken(simulator, 104, 7, 60) == 2
    simulator.touch(100, 5, 105, 5, 80)  # now it is gone
    assert taken(simulator, 104, 5, 100) == 5


def test_levels_that_the_book_does_not_tell_of_make_room_for_new_ones():
    simulator = Simulator(simulator_params(**PARAMS), instrument_with(), 1)
    asks = range(130, 130 - MAX_TAKEN - 4, -1)
    assert [taken(simulator, ask, 5, 20 * k) for k, ask in enumerate(asks, 1)] == [5] * len(asks)


# ---- amendments ----


def queue_of(simulator):
    return [(int(o["order_id"]), float(o["ahead_lots"])) for o in simulator.orders]


def test_an_amendment_keeps_its_place_only_at_the_same_price_and_smaller():
    simulator = venue()
    sent(simulator, Side.BUY, 100, 10)
    simulator.trade(100, 25, Side.SELL, 1, 20)
    simulator.depth([(100, 90)], [], 21)
    assert queue_of(simulator) == [(1, 15.0)]
    assert not simulator.amend(100, 6, 30, order_id=1).size
    assert statuses(simulator.advance(40)) == [("OPEN", "NONE")]
    assert queue_of(simulator) == [(1, 15.0)]
    assert simulator.orders[0]["qty_lots"] == 6
    simulator.amend(100, 7, 50, order_id=1)
    simulator.advance(60)
    assert queue_of(simulator) == [(1, 90.0)]
    simulator.amend(99, 7, 70, order_id=1)
    simulator.advance(80)
    assert queue_of(simulator) == [(1, 60.0)]


def test_an_amendment_that_comes_too_late_ends_the_order_as_at_the_venue():
    simulator = venue()
    sent(simulator, Side.BUY, 101, 10)
    simulator.amend(101, 4, 20, order_id=1)
    assert fills(simulator.trade(101, 5, Side.SELL, 1, 25)) == [("TOUCH", 101, 5)]
    assert statuses(simulator.advance(30)) == [("CANCELLED", "BELOW_FILLED")]
    sent(simulator, Side.BUY, 101, 10, 40)
    simulator.amend(104, 10, 60, order_id=2)
    assert statuses(simulator.advance(70)) == [("CANCELLED", "WOULD_CROSS")]
    sent(simulator, Side.BUY, 101, 10, 80, kind=OrderKind.LIMIT)
    simulator.amend(104, 10, 100, order_id=3)
    assert fills(simulator.advance(110)) == [("TAKE", 104, 10)]


# ---- client ids ----


def test_a_client_id_sent_again_changes_nothing_and_tells_the_state():
    simulator = venue()
    sent(simulator, Side.BUY, 100, 10, client_id=77)
    before = bare(simulator)
    events = simulator.order(Side.BUY, 100, 10, 20, client_id=77)
    assert statuses(events) == [("OPEN", "NONE")]
    assert (events[0]["order_id"], events[0]["client_id"]) == (1, 77)
    assert rejection(simulator.order(Side.BUY, 99, 10, 20, client_id=77)) == "DUPLICATE_CLIENT_ID"
    assert bare(simulator) == before
    simulator.cancel(30, client_id=77)
    assert statuses(simulator.advance(40)) == [("CANCELLED", "CANCEL_REQUESTED")]
    events = simulator.order(Side.BUY, 100, 10, 50, client_id=77)
    assert statuses(events) == [("CANCELLED", "CANCEL_REQUESTED")]
    assert rejection(simulator.order(Side.BUY, 100, 9, 50, client_id=77)) == "DUPLICATE_CLIENT_ID"
    assert simulator.orders.size == 0


@pytest.mark.parametrize(
    ("price", "end", "status", "lots"),
    [
        (101, lambda s: s.trade(100, 10, Side.SELL, 1, 20), ("FILLED", "NONE"), 10),
        (101, lambda s: s.cancel_all(20, Reason.STOPPING), ("CANCELLED", "STOPPING"), 0),
        (104, lambda s: s.advance(20), ("REJECTED", "WOULD_CROSS"), 0),
    ],
)
def test_a_client_id_stands_for_its_orders_end_as_well(price, end, status, lots):
    simulator = venue()
    simulator.order(Side.SELL, 110, 10, 0)  # takes the place in the table
    simulator.order(Side.BUY, price, 10, 1, client_id=77)
    simulator.advance(15)
    end(simulator)
    before = bare(simulator)
    events = simulator.order(Side.BUY, price, 10, 30, client_id=77)
    assert statuses(events) == [status]
    names = ("order_id", "client_id", "side", "price_ticks", "qty_lots", "filled_lots")
    assert [int(events[0][name]) for name in names] == [2, 77, 1, price, 10, lots]
    assert bare(simulator) == before


def test_a_client_id_sent_again_after_the_end_is_no_news_that_quotes_wait_for():
    simulator = venue(response_latency_ns=30)
    sent(simulator, Side.BUY, 101, 5, client_id=77)
    assert statuses(simulator.trade(90, 9, Side.SELL, 1, 20)) == [("FILLED", "NONE")]
    assert statuses(simulator.quotes([(101, 5)], [], 40)) == []  # he hears of it at 50
    again = simulator.order(Side.BUY, 101, 5, 45, client_id=77)
    assert (statuses(again), again[0]["known_ns"]) == ([("FILLED", "NONE")], 75)
    assert statuses(simulator.quotes([(101, 5)], [], 49)) == []
    assert statuses(simulator.quotes([(101, 5)], [], 50)) == [("NEW", "NONE")]


def test_a_client_id_stands_for_what_was_sent_whatever_was_amended():
    simulator = venue()
    sent(simulator, Side.BUY, 100, 10, client_id=77)
    simulator.amend(99, 8, 20, client_id=77)
    simulator.advance(30)
    events = simulator.order(Side.BUY, 100, 10, 40, client_id=77)
    assert statuses(events) == [("OPEN", "NONE")]
    assert (events[0]["price_ticks"], events[0]["qty_lots"]) == (99, 8)
    assert rejection(simulator.order(Side.BUY, 99, 8, 40, client_id=77)) == "DUPLICATE_CLIENT_ID"


def test_an_order_that_lives_is_not_forgotten_whatever_came_since():
    simulator = venue(entry_latency_ns=0, cancel_latency_ns=0)
    simulator.order(Side.BUY, 99, 10, 0, client_id=1)
    for k in range(2, 2 * MAX_CLIENTS):
        simulator.order(Side.BUY, 98, 10, k, client_id=k)
        simulator.cancel(k, client_id=k)
    events = simulator.order(Side.BUY, 99, 10, 9_000, client_id=1)
    assert (int(events[0]["order_id"]), simulator.orders.size) == (1, 1)
    assert statuses(simulator.order(Side.BUY, 98, 10, 9_000, client_id=2)) == [
        ("NEW", "NONE"),
        ("OPEN", "NONE"),
    ]  # forgotten long ago
    newest = 2 * MAX_CLIENTS - 1
    events = simulator.order(Side.BUY, 98, 10, 9_000, client_id=newest)
    assert statuses(events) == [("CANCELLED", "CANCEL_REQUESTED")]


# ---- refused ----


def busy():
    """Return a venue with order 1 filled, 2 resting, 3 resting and being cancelled."""
    simulator = venue(instrument=instrument_with(min_qty_lots=2, max_qty_lots=500))
    sent(simulator, Side.BUY, 103, 4)
    simulator.trade(102, 4, Side.SELL, 1, 20)
    sent(simulator, Side.BUY, 102, 9, 30)
    sent(simulator, Side.SELL, 105, 9, 50)
    simulator.trade(102, 3, Side.SELL, 2, 65)
    simulator.cancel(70, order_id=3)
    return simulator


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda s: s.order(Side.BUY, 100.5, 5, 70), Reason.OFF_TICK),
        (lambda s: s.order(Side.BUY, NAN, 5, 70), Reason.NOT_FINITE),
        (lambda s: s.order(Side.BUY, math.inf, 5, 70), Reason.NOT_FINITE),
        (lambda s: s.order(Side.BUY, 100, NAN, 70), Reason.NOT_FINITE),
        (lambda s: s.order(Side.BUY, 100, 5.5, 70), Reason.OFF_LOT),
        (lambda s: s.order(Side.BUY, 100, 0.5, 70), Reason.BELOW_MINIMUM_QUANTITY),
        (lambda s: s.order(Side.BUY, 100, 1, 70), Reason.BELOW_MINIMUM_QUANTITY),
        (lambda s: s.order(Side.BUY, 100, 0, 70), Reason.BELOW_MINIMUM_QUANTITY),
        (lambda s: s.order(Side.BUY, 100, -5, 70), Reason.BELOW_MINIMUM_QUANTITY),
        (lambda s: s.order(Side.BUY, 100, 501, 70), Reason.ABOVE_MAXIMUM_QUANTITY),
        (lambda s: s.order(Side.BUY, 100, 1e300, 70), Reason.ABOVE_MAXIMUM_QUANTITY),
        (lambda s: s.order(Side.BUY, 0, 5, 70), Reason.PRICE_OUT_OF_RANGE),
        (lambda s: s.order(Side.BUY, -1, 5, 70), Reason.PRICE_OUT_OF_RANGE),
        (lambda s: s.order(Side.BUY, 1e300, 5, 70), Reason.PRICE_OUT_OF_RANGE),
        (lambda s: s.order(0, 100, 5, 70), Reason.INVALID_ORDER),
        (lambda s: s.order(Side.BUY, 100, 5, 70, kind=9), Reason.INVALID_ORDER),
        (lambda s: s.cancel(70, order_id=99), Reason.UNKNOWN_ORDER),
        (lambda s: s.cancel(70), Reason.UNKNOWN_ORDER),
        (lambda s: s.cancel(70, client_id=5), Reason.UNKNOWN_ORDER),
        (lambda s: s.cancel(70, order_id=1), Reason.ORDER_ENDED),
        (lambda s: s.cancel(70, order_id=3), Reason.CANCEL_IN_FLIGHT),
        (lambda s: s.amend(100, 5, 70, order_id=99), Reason.UNKNOWN_ORDER),
        (lambda s: s.amend(103, 3, 70, order_id=1), Reason.ORDER_ENDED),
        (lambda s: s.amend(105, 3, 70, order_id=3), Reason.CANCEL_IN_FLIGHT),
        (lambda s: s.amend(102, 3, 70, order_id=2), Reason.BELOW_FILLED),
        (lambda s: s.amend(102.5, 5, 70, order_id=2), Reason.OFF_TICK),
        (lambda s: s.amend(NAN, 5, 70, order_id=2), Reason.NOT_FINITE),
        (lambda s: s.amend(102, 501, 70, order_id=2), Reason.ABOVE_MAXIMUM_QUANTITY),
    ],
)
def test_a_request_that_cannot_be_right_is_refused_and_changes_nothing(call, reason):
    simulator = busy()
    before = bare(simulator)
    assert rejection(call(simulator)) == reason.name
    assert bare(simulator) == before


def test_one_amendment_is_on_its_way_at_a_time():
    simulator = busy()
    assert not simulator.amend(102, 8, 70, order_id=2).size
    before = bare(simulator)
    assert rejection(simulator.amend(102, 7, 71, order_id=2)) == "AMENDMENT_IN_FLIGHT"
    assert bare(simulator) == before


def test_without_a_market_nothing_is_taken():
    simulator = venue()
    simulator.depth([(p, 0) for p, _ in BIDS], [], 1)
    assert rejection(simulator.order(Side.SELL, 0, 5, 2, kind=OrderKind.MARKET)) == "NO_MARKET_DATA"


def test_a_full_table_refuses():
    simulator = venue(max_orders=1)
    simulator.order(Side.BUY, 99, 5, 0)
    assert rejection(simulator.order(Side.BUY, 98, 5, 0)) == "TOO_MANY_ORDERS"


@pytest.mark.parametrize("qty", ["5", None, True])
def test_what_is_no_number_is_a_mistake_of_the_program(qty):
    with pytest.raises(TypeError, match="price_ticks and qty_lots must be numbers, got"):
        venue().order(Side.BUY, 100, qty, 0)


@given(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(list(OrderKind)),
    st.sampled_from(list(Side)),
)
def test_any_numbers_are_an_order_or_a_refusal_without_a_trace(price, qty, kind, side):
    simulator = venue()
    before = bare(simulator)
    events = simulator.order(side, price, qty, 0, kind=kind)
    ((status, reason),) = statuses(events)
    if status == "REJECTED":
        assert reason != "NONE"
        assert bare(simulator) == before
    else:
        assert kind == OrderKind.MARKET or price == int(price)
        assert qty == int(qty) > 0
