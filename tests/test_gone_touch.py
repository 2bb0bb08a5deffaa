"""A book seen after an order was cancelled, and made before, that reaches it: the venue filled it.

Times in ms, as in test_gone_orders: what is sent at t is at the venue at t + 5 by its clock, and
meets the market that is seen at t + 7.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulating import fills, statuses, venue
from test_gone_orders import MS, QUEUES, cancelled, late_venue, printed

from mmquant.codes import FillModel, OrderStatus, Reason, Side, Template

pytestmark = pytest.mark.kernels


def asked(simulator, price, qty, now, made_at):
    """Let the best ask be `price`; the bids are out of its way."""
    levels = [(price, qty), (120, 50)]
    return simulator.depth([(90, 50)], levels, now * MS, snapshot=True, venue_ns=made_at * MS)


@pytest.mark.parametrize("model", [*QUEUES, FillModel.CROSS])
def test_a_late_touch_fills_what_was_cancelled_since_at_most_what_it_displays(model):
    simulator = cancelled(fill_model=model)  # from 25 to 55
    events = asked(simulator, 101, 2, 90, 55)
    assert fills(events) == [("CROSS", 101, 2)]
    assert statuses(events) == [("CANCELLED", "CANCEL_REQUESTED")]
    assert not fills(asked(simulator, 101, 2, 91, 55)), "each displayed lot once"
    assert fills(asked(simulator, 99, 9, 92, 55)) == [("CROSS", 101, 3)]
    assert not fills(printed(simulator, 90, 9, 93, 55)), "it is filled"
    assert simulator.position(93 * MS)[0]["position_lots"] == 5


def test_a_touch_from_when_it_was_not_there_does_not_fill_it():
    assert not fills(asked(cancelled(), 101, 9, 90, 56))
    assert not fills(asked(cancelled(), 101, 9, 90, 25))
    assert fills(asked(cancelled(), 101, 9, 90, 26)) == [("CROSS", 101, 5)]


def test_a_book_that_holds_anything_newer_says_nothing_of_the_time_before():
    """The ask of 60 is still the best one in the book that a change of 50 arrives in."""
    simulator = cancelled()
    assert not fills(asked(simulator, 101, 9, 62, 60))
    assert not fills(simulator.depth([(89, 7)], [], 90 * MS, venue_ns=50 * MS))
    assert fills(printed(simulator, 90, 9, 91, 55)) == [("THROUGH", 101, 5)]


def test_a_book_of_an_earlier_time_counts_as_of_the_latest_seen():
    """What is sent takes no time: bought at 20, cancelled at 50."""
    simulator = venue(entry_latency_ns=0, cancel_latency_ns=0, fill_model=FillModel.CROSS)
    simulator.order(Side.BUY, 101, 5, 20)
    simulator.cancel(50, order_id=1)
    assert simulator.state[0]["gone"] == 1
    assert not fills(simulator.touch(99, 9, 101, 9, 49))
    assert not fills(simulator.depth([], [(101, 7)], 49))
    assert simulator.state[0]["book_ns"] == 50


def test_of_one_amended_in_its_place_it_fills_what_was_there_once():
    simulator = late_venue()
    simulator.order(Side.BUY, 101, 9, 20 * MS)
    simulator.advance(40 * MS)
    simulator.amend(101, 4, 50 * MS, order_id=1)  # there at 55
    simulator.advance(57 * MS)
    events = asked(simulator, 101, 6, 90, 55)
    assert fills(events) == [("CROSS", 101, 6)]
    assert statuses(events) == [("FILLED", "NONE")]
    assert simulator.orders.size == 0


STEP = st.tuples(
    st.sampled_from(["order", "cancel", "book", "book"]),
    st.integers(0, 9),  # elapsed
    st.integers(2, 60),  # how late a book is seen, at least
    st.integers(99, 104),
)


@given(st.sampled_from([*QUEUES, FillModel.CROSS]), st.lists(STEP, max_size=60))
def test_a_late_touch_fills_exactly_what_was_at_the_venue(model, steps):
    """Enough is displayed for all. Alive here, an order is also filled by what is older than it."""
    simulator = late_venue(fill_model=model)
    seen, rested, filled, now = [], {}, {}, 50
    for what, elapsed, late, price in steps:
        now += elapsed
        if what == "book":
            seen.append((max([now + late, *(at + 1 for at, *_ in seen)]), now, price))
    waiting, now = list(seen), 50
    for what, elapsed, _, price in steps:
        now += elapsed
        while waiting and waiting[0][0] <= now:
            look(simulator, waiting.pop(0), filled)
        if what == "order" and simulator.orders.size < 8:
            events = simulator.order(Side.BUY, price - 1, 5, now * MS)
            hear(events, filled)
            rested[int(events[-1]["order_id"])] = [price - 1, now, 2**40]
        elif what == "cancel" and simulator.orders.size:
            order_id = int(simulator.orders["order_id"][0])
            events = simulator.cancel(now * MS, order_id=order_id)
            hear(events, filled)
            if not is_refused(events, order_id):
                rested[order_id][2] = now
    for book in waiting:
        look(simulator, book, filled)
    hear(simulator.advance(10_000 * MS), filled)
    rejected = {order_id for order_id, at in filled.items() if at is None}
    for order_id, (price, sent, cancel) in rested.items():
        reached = [
            made
            for at, made, ask in seen
            if ask <= price
            and sent + 7 < at
            and (at <= cancel + 7 or sent + 5 < made <= cancel + 5)
        ]
        if order_id not in rejected:
            assert filled.get(order_id) == (reached[0] if reached else None), order_id
    assert simulator.position(now * MS)[0]["position_lots"] == 5 * len(set(filled) - rejected)


def look(simulator, book, filled):
    now, made_at, price = book
    hear(asked(simulator, price, 999, now, made_at), filled, made_at)


def is_refused(events, order_id):
    own = events[events["order_id"] == order_id]
    return "REJECTED" in [status for status, _ in statuses(own)]


def hear(events, filled, made_at=None):
    """Note when the book was made that filled an order, None for one that was rejected."""
    for event in events:
        if event["template_id"] == Template.FILL:
            assert made_at is not None, "nothing but a book fills"
            assert int(event["order_id"]) not in filled, "filled twice"
            filled[int(event["order_id"])] = made_at
        elif event["status"] == OrderStatus.REJECTED:
            if event["reason"] == Reason.WOULD_CROSS:
                filled[int(event["order_id"])] = None
