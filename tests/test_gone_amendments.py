"""What an amendment took from an order is filled by what the venue did before, and seen too late.

Times in ms, as in test_gone_orders: what is sent at t is at the venue at t + 5 by its clock, and
meets the market that is seen at t + 7.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulating import fills, statuses
from test_gone_orders import MS, QUEUES, late_venue, let_through, printed

from mmquant.codes import FillModel, Side

pytestmark = pytest.mark.kernels


def amended(price, qty, at=101, of=5, **changes):
    """Return a simulator whose bid rested from 25 on, until 55 as it was; that is seen at 57."""
    simulator = late_venue(**changes)
    simulator.order(Side.BUY, at, of, 20 * MS, client_id=7)
    simulator.advance(40 * MS)
    simulator.amend(price, qty, 50 * MS, order_id=1)
    assert statuses(simulator.advance(57 * MS)) == [("OPEN", "NONE")]
    return simulator


@pytest.mark.parametrize("model", QUEUES)
def test_less_was_more_when_the_trade_was_matched(model):
    simulator = amended(101, 2, fill_model=model)
    events = printed(simulator, 101, 4, 90, 55)
    assert fills(events) == [("TOUCH", 101, 4)]
    assert statuses(events) == [("FILLED", "NONE")]
    assert [(int(e["qty_lots"]), int(e["filled_lots"])) for e in events] == [(4, 4), (4, 4)]
    assert events[0]["position_lots"] == simulator.position(90 * MS)[0]["position_lots"] == 4
    assert simulator.orders.size == 0
    assert fills(printed(simulator, 90, 9, 91, 55)) == [("THROUGH", 101, 1)]
    assert simulator.state[0]["gone"] == 0, "it is filled"


def test_what_was_matched_later_finds_less_and_ends_the_waiting():
    simulator = amended(101, 2)
    assert fills(printed(simulator, 101, 1, 90, 55)) == [("TOUCH", 101, 1)]
    assert fills(printed(simulator, 90, 9, 91, 56)) == [("THROUGH", 101, 1)]
    assert simulator.state[0]["gone"] == 0


def test_it_was_filled_at_its_old_price_and_has_less_left_at_the_new_one():
    simulator = amended(100, 5)
    events = printed(simulator, 101, 3, 90, 54)
    assert fills(events) == [("TOUCH", 101, 3)]
    assert statuses(events) == [("OPEN", "NONE")]
    assert (events[1]["price_ticks"], events[1]["filled_lots"]) == (100, 3)
    assert fills(printed(simulator, 90, 9, 91, 60)) == [("THROUGH", 100, 2)]


def test_one_that_was_filled_before_it_was_to_be_larger_has_ended():
    simulator = amended(100, 9)
    events = printed(simulator, 90, 7, 90, 54)
    assert fills(events) == [("THROUGH", 101, 5)]
    assert statuses(events) == [("FILLED", "NONE")]
    assert not fills(printed(simulator, 90, 9, 91, 60))


@pytest.mark.parametrize(("qty", "more"), [(5, 0), (2, 2)])
def test_what_was_told_of_the_new_price_is_not_filled_once_more_at_the_old_one(qty, more):
    """The ask comes down to it at 103; then a trade is seen that had 4 of it at 101."""
    simulator = amended(103, qty)
    assert fills(simulator.depth([], [(103, 9)], 62 * MS, venue_ns=60 * MS)) == [
        ("CROSS", 103, qty)
    ]
    events = printed(simulator, 101, 4, 90, 54)
    assert sum(lots for _, _, lots in fills(events)) == more
    assert statuses(events) == [("FILLED", "NONE")] * (more > 0)
    again = simulator.order(Side.BUY, 101, 5, 92 * MS, client_id=7)
    assert (again[0]["price_ticks"], again[0]["filled_lots"]) == (103, qty + more)


def test_all_of_it_stands_in_one_place_and_moves_up_together():
    simulator = amended(100, 4, at=100, of=9)  # behind 40
    assert not fills(printed(simulator, 100, 38, 90, 50))
    assert [float(o["ahead_lots"]) for o in simulator.orders] == [2.0]
    assert fills(printed(simulator, 100, 3, 91, 50)) == [("TOUCH", 100, 1)]
    assert fills(printed(simulator, 100, 9, 92, 60)) == [("TOUCH", 100, 3)]


def test_amended_twice_and_cancelled_it_is_filled_as_it_was_each_time():
    simulator = amended(101, 6, of=9)
    simulator.amend(101, 3, 60 * MS, order_id=1)  # there at 65
    simulator.cancel(70 * MS, order_id=1)  # there at 75
    simulator.advance(90 * MS)
    assert simulator.state[0]["gone"] == 3
    assert fills(printed(simulator, 101, 1, 90, 55)) == [("TOUCH", 101, 1)]  # of 9
    assert fills(printed(simulator, 101, 1, 90, 65)) == [("TOUCH", 101, 1)]  # of 6
    events = printed(simulator, 101, 9, 90, 75)  # of 3
    assert fills(events) == [("TOUCH", 101, 1)]
    assert statuses(events) == [("CANCELLED", "CANCEL_REQUESTED")]


def test_what_takes_nothing_away_keeps_nothing():
    simulator = amended(101, 5)
    assert simulator.state[0]["gone"] == 0


PRICES = st.integers(98, 103)  # below the best ask, beyond every trade
STEP = st.tuples(
    st.sampled_from(["order", "amend", "amend", "cancel", "trade", "trade"]),
    st.integers(0, 9),  # elapsed
    st.integers(2, 60),  # how late a trade is seen, at least
    PRICES,
    st.integers(1, 9),
    st.integers(0, 3),  # which of the orders alive
)


@given(st.sampled_from([*QUEUES, FillModel.CROSS]), st.lists(STEP, max_size=40))
def test_a_trade_through_fills_what_the_venue_had_at_its_time(model, steps):
    """Amended and cancelled at random: held against the venue's own order of things."""
    simulator = late_venue(fill_model=model)
    seen, at_venue, filled = [], [], {}
    now = 50
    for number, (what, elapsed, late, _, qty, _) in enumerate(steps):
        now += elapsed
        if what == "trade":
            seen.append((max([now + late, *(at for at, *_ in seen)]), number, qty))
            at_venue.append((now, 0, number, ("trade", number, qty)))
    made = {event[1]: at for at, _, _, event in at_venue}
    now = 50
    for what, elapsed, _, price, qty, which in steps:
        now += elapsed
        while seen and seen[0][0] < now:
            let_through(simulator, seen.pop(0), made, filled)
        alive = [int(order_id) for order_id in simulator.orders["order_id"]]
        chosen = alive[which % len(alive)] if alive else 0
        if what == "order" and len(alive) < 8:
            events = simulator.order(Side.BUY, price, qty, now * MS)
            chosen, rank = int(events[-1]["order_id"]), 1
        elif what == "amend" and alive:
            events, rank = simulator.amend(price, qty, now * MS, order_id=chosen), 2
        elif what == "cancel" and alive:
            events, rank = simulator.cancel(now * MS, order_id=chosen), 3
        else:
            continue
        own = events[events["order_id"] == chosen]
        if "REJECTED" not in [status for status, _ in statuses(own)]:
            at_venue.append((now + 5, rank, chosen, (what, chosen, price, qty)))
    for trade in seen:
        let_through(simulator, trade, made, filled)
    assert filled == by_the_venue(sorted(at_venue))
    lots = sum(filled.values())
    assert simulator.position(now * MS)[0]["position_lots"] == lots


def by_the_venue(events):
    """Play what happened in the venue's time; return lots by (order, trade)."""
    filled, orders, places = {}, {}, 0  # order id: [price, place, lots, filled]
    for _, _, _, (what, key, *values) in events:
        places += 1
        if what == "order":
            orders[key] = [values[0], places, values[1], 0]
        elif what == "amend" and key in orders:
            price, qty = values
            old_price, place, lots, done = orders.pop(key)
            if qty > done:
                keeps = price == old_price and qty <= lots
                orders[key] = [price, place if keeps else places, qty, done]
        elif what == "cancel":
            orders.pop(key, None)
        elif what == "trade":
            (left,) = values
            for order_id in sorted(orders, key=lambda i: (-orders[i][0], orders[i][1])):
                part = min(left, orders[order_id][2] - orders[order_id][3])
                if part:
                    filled[order_id, key] = part
                    orders[order_id][3] += part
                    left -= part
                if orders[order_id][3] == orders[order_id][2]:
                    del orders[order_id]
    return filled
