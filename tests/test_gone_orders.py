"""Trades seen after an order was cancelled, and matched before: the venue filled it.

Times in ms. The book is seen 2 after it was made. An order sent at t is at the venue at t + 5 by
its clock, and so is a cancellation; both meet the market that is seen at t + 7.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulating import fills, statuses, venue

from mmquant.codes import FillKind, FillModel, OrderKind, Reason, Side, Template
from mmquant.kernels.latency import note_feed
from mmquant.state import MAX_GONE

pytestmark = pytest.mark.kernels

MS = 1_000_000
QUEUES = [model for model in FillModel if model not in (FillModel.CROSS, FillModel.FIFO_L3)]


def late_venue(**changes):
    latencies = {"entry_latency_ns": 5 * MS, "cancel_latency_ns": 5 * MS}
    simulator = venue(**(latencies | changes))
    note_feed(simulator.state, 10 * MS, 8 * MS)
    return simulator


def printed(simulator, price, qty, now, made_at):
    return simulator.trade(price, qty, Side.SELL, made_at, now * MS, made_at * MS)


def cancelled(price=101, qty=5, **changes):
    """Return a simulator whose bid rested from 25 to 55, by the venue's clock."""
    simulator = late_venue(**changes)
    simulator.order(Side.BUY, price, qty, 20 * MS, client_id=7)
    simulator.advance(40 * MS)
    simulator.cancel(50 * MS, order_id=1)
    assert statuses(simulator.advance(57 * MS)) == [("CANCELLED", "CANCEL_REQUESTED")]
    return simulator


@pytest.mark.parametrize("model", QUEUES)
def test_what_was_matched_while_the_order_rested_fills_it_however_late_it_is_seen(model):
    simulator = cancelled(fill_model=model)
    events = printed(simulator, 101, 2, 90, 55)  # the market comes first at one time
    assert fills(events) == [("TOUCH", 101, 2)]
    assert statuses(events) == [("CANCELLED", "CANCEL_REQUESTED")]
    assert [(int(e["order_id"]), int(e["filled_lots"])) for e in events] == [(1, 2), (1, 2)]
    assert events[0]["position_lots"] == simulator.position(90 * MS)[0]["position_lots"] == 2
    assert simulator.orders.size == 0
    assert fills(printed(simulator, 90, 9, 91, 55)) == [("THROUGH", 101, 3)]
    assert not fills(printed(simulator, 90, 9, 92, 55)), "it is filled"


def test_what_was_matched_later_does_not_fill_it_and_ends_the_waiting():
    simulator = cancelled()
    assert simulator.state[0]["gone"] == 1
    assert not fills(printed(simulator, 90, 9, 90, 56))
    assert simulator.state[0]["gone"] == 0
    assert not fills(printed(simulator, 90, 9, 91, 55)), "trades come as they were matched"


def test_a_trade_before_the_order_was_there_does_not_fill_it_either():
    simulator = cancelled()
    assert not fills(printed(simulator, 90, 9, 90, 25))
    assert fills(printed(simulator, 90, 9, 91, 26)) == [("THROUGH", 101, 5)]


def test_a_trade_of_the_time_at_which_it_was_cancelled_is_not_late():
    simulator = venue(entry_latency_ns=0, cancel_latency_ns=0)
    simulator.order(Side.BUY, 101, 5, 20)
    simulator.cancel(50, order_id=1)
    assert not fills(simulator.trade(90, 9, Side.SELL, 1, 50))
    assert not fills(simulator.trade(90, 9, Side.SELL, 2, 51))


def test_its_queue_is_as_it_was_and_the_level_that_fell_already_is_explained():
    simulator = cancelled(price=100, qty=9)  # behind 40
    assert not fills(printed(simulator, 100, 38, 90, 50))
    assert fills(printed(simulator, 100, 5, 91, 50)) == [("TOUCH", 100, 3)]
    simulator = late_venue()
    simulator.order(Side.BUY, 100, 9, 20 * MS)
    simulator.depth([(100, 10)], [], 40 * MS, venue_ns=38 * MS)
    simulator.cancel(50 * MS, order_id=1)
    assert not fills(printed(simulator, 100, 30, 90, 38)), "it caused the fall"
    assert fills(printed(simulator, 100, 12, 91, 50)) == [("TOUCH", 100, 2)]


def test_each_lot_fills_once_of_those_gone_and_alive_by_price_then_by_place():
    simulator = late_venue()
    for price in (99, 101, 101):
        simulator.order(Side.BUY, price, 5, 20 * MS)
    simulator.advance(40 * MS)
    simulator.cancel(50 * MS, order_id=2)
    simulator.advance(60 * MS)
    events = printed(simulator, 98, 12, 90, 40)
    found = [(int(e["order_id"]), int(e["qty_lots"])) for e in events if e["kind"]]
    assert found == [(2, 5), (3, 5), (1, 2)]
    assert [s for s, _ in statuses(events)] == ["CANCELLED", "FILLED", "OPEN"]


def test_however_a_resting_order_is_cancelled():
    simulator = late_venue()
    simulator.order(Side.BUY, 101, 5, 20 * MS)
    simulator.order(Side.BUY, 100, 5, 20 * MS)
    simulator.amend(104, 5, 50 * MS, order_id=2)  # would cross at 55
    simulator.advance(57 * MS)
    simulator.cancel_all(60 * MS, Reason.STRATEGY_SILENT)  # at 58
    events = printed(simulator, 90, 99, 90, 55)
    assert fills(events) == [("THROUGH", 101, 5), ("THROUGH", 100, 5)]
    reasons = [("CANCELLED", "STRATEGY_SILENT"), ("CANCELLED", "WOULD_CROSS")]
    assert statuses(events) == reasons
    simulator.order(Side.BUY, 103, 5, 100 * MS, kind=OrderKind.IOC)
    assert statuses(simulator.advance(110 * MS))[-1] == ("CANCELLED", "REST_EXPIRED")
    assert simulator.state[0]["gone"] == 0, "it never rested"


def test_the_oldest_is_forgotten_where_too_many_are_gone():
    simulator = late_venue()
    for k in range(MAX_GONE + 1):
        simulator.order(Side.BUY, 101, 1, (100 + 10 * k) * MS)
        simulator.advance((109 + 10 * k) * MS)
        simulator.cancel((109 + 10 * k) * MS, order_id=k + 1)
    simulator.advance(5_000 * MS)
    assert simulator.state[0]["gone"] == MAX_GONE
    assert not fills(printed(simulator, 90, 9, 5_001, 110)), "the first, which rested alone"
    assert fills(printed(simulator, 90, 9, 5_001, 120)) == [("THROUGH", 101, 1)]


def test_the_trader_counts_on_nothing_and_a_repeated_client_id_tells_the_fill():
    simulator = cancelled(response_latency_ns=20 * MS)
    (event, _) = printed(simulator, 101, 5, 60, 55)
    assert event["known_ns"] > event["now_ns"]
    assert statuses(simulator.quotes([(101, 5)], [], 61 * MS)) == [("NEW", "NONE")]
    again = simulator.order(Side.BUY, 101, 5, 62 * MS, client_id=7)
    assert statuses(again) == [("CANCELLED", "CANCEL_REQUESTED")]
    assert again[0]["filled_lots"] == 5


STEP = st.tuples(
    st.sampled_from(["order", "cancel", "trade", "trade"]),
    st.integers(0, 9),  # elapsed
    st.integers(2, 60),  # how late a trade is seen, at least
    st.integers(1, 9),
)


@given(st.sampled_from([*QUEUES, FillModel.CROSS]), st.lists(STEP, max_size=60))
def test_a_trade_through_fills_exactly_what_was_at_the_venue(model, steps):
    """Trades are later than the book by what varies: held against intervals of venue time."""
    simulator = late_venue(fill_model=model)
    seen, made = [], {}
    rested, filled = {}, {}  # order id: from, to, lots
    times = [50 + sum(step[1] for step in steps[: k + 1]) for k in range(len(steps))]
    for number, (now, (what, _, late, qty)) in enumerate(zip(times, steps, strict=True)):
        if what == "trade":
            seen.append((max([now + late, *(at for at, *_ in seen)]), number, qty))
            made[number] = now
    for now, (what, _, _, qty) in zip(times, steps, strict=True):
        while seen and seen[0][0] < now:
            let_through(simulator, seen.pop(0), made, filled)
        if what == "order" and simulator.orders.size < 8:
            events = simulator.order(Side.BUY, 100, qty, now * MS)
            rested[int(events[-1]["order_id"])] = [now + 5, 2**40, qty]
        elif what == "cancel" and simulator.orders.size:
            order_id = int(simulator.orders["order_id"][0])
            answer = statuses(simulator.cancel(now * MS, order_id=order_id))
            if "REJECTED" not in [status for status, _ in answer]:
                rested[order_id][1] = max(now + 5, rested[order_id][0])
    for trade in seen:
        let_through(simulator, trade, made, filled)
    quantities = {number: steps[number][3] for number in made}
    assert filled == by_intervals(rested, made, quantities)


def let_through(simulator, trade, made, filled):
    now, number, qty = trade
    events = simulator.trade(90, qty, Side.SELL, number, now * MS, made[number] * MS)
    for event in events[events["template_id"] == Template.FILL]:
        assert event["kind"] == FillKind.THROUGH
        assert event["trade_id"] == number
        key = (int(event["order_id"]), number)
        filled[key] = filled.get(key, 0) + int(event["qty_lots"])


def by_intervals(rested, made, quantities):
    filled, left = {}, {order_id: lots for order_id, (_, _, lots) in rested.items()}
    for number, at in made.items():
        printed_lots = quantities[number]
        for order_id, (since, until, _) in rested.items():
            lots = min(printed_lots, left[order_id]) if since < at <= until else 0
            if lots:
                filled[order_id, number] = lots
                left[order_id] -= lots
                printed_lots -= lots
    return filled
