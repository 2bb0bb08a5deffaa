"""A market that is seen late, and not always equally late: what is older than an order is no fill.

Times in ms. An order sent at t is at the venue at t + ENTRY, by the venue's clock.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulating import fills, venue

from mmquant.codes import FillKind, FillModel, OrderEventKind, Side, Template
from mmquant.kernels.latency import note_feed

pytestmark = pytest.mark.kernels

MS = 1_000_000
ENTRY = 5
QUEUES = [model for model in FillModel if model not in (FillModel.CROSS, FillModel.FIFO_L3)]


def late_venue(book_late=2, **changes):
    """Return a simulator whose book's last message, seen at 10, was so late."""
    simulator = venue(entry_latency_ns=ENTRY * MS, **changes)
    hear_book(simulator, 10, book_late)
    return simulator


def hear_book(simulator, now, late):
    venue_ns = 0 if late is None else (now - late) * MS
    return note_feed(simulator.state, now * MS, venue_ns)


def order(simulator, price, now, side=Side.BUY):
    simulator.order(side, price, 5, now * MS)


def printed(simulator, price, qty, now, made_at):
    return fills(simulator.trade(price, qty, Side.SELL, now, now * MS, made_at * MS))


def ahead(simulator):
    return [float(o["ahead_lots"]) for o in simulator.orders]


def test_a_trade_that_is_older_than_an_order_does_not_fill_it_however_late_it_is_seen():
    """The book comes after 2 ms, trades after 30: seen at 60, this one was made at 30."""
    simulator = late_venue()
    order(simulator, 101, 50)  # at the venue at 55, on the market that is seen at 57
    assert not printed(simulator, 101, 9, 60, 30)
    assert not printed(simulator, 90, 9, 61, 31), "not by a trade through it, either"
    assert not printed(simulator, 90, 9, 85, 55), "the market comes first at one time"
    assert printed(simulator, 101, 2, 86, 56) == [("TOUCH", 101, 2)]
    assert printed(simulator, 90, 9, 86, 56) == [("THROUGH", 101, 3)]


def test_no_chance_is_drawn_for_a_trade_that_is_older_than_the_order():
    simulator = late_venue(fill_model=FillModel.CROSS, fill_probability_factor=0.5)
    order(simulator, 101, 50)
    before = int(simulator.state[0]["random"])
    assert not printed(simulator, 90, 9, 60, 30)
    assert int(simulator.state[0]["random"]) == before


@pytest.mark.parametrize("model", QUEUES)
def test_a_trade_that_the_book_shows_at_entry_does_not_move_the_queue_again(model):
    """Of 70 lots 30 were traded at 52; the order enters behind 40, then hears of the trade."""
    simulator = late_venue(fill_model=model)
    simulator.depth([(100, 70)], [], 20 * MS, venue_ns=18 * MS)
    order(simulator, 100, 46)  # at the venue at 51, on the market that is seen at 53
    simulator.depth([(100, 40)], [], 53 * MS, venue_ns=52 * MS)
    simulator.advance(54 * MS)
    for made_at in (49, 52):
        assert not printed(simulator, 100, 30, 82, made_at)
        assert ahead(simulator) == [40.0]
    assert not printed(simulator, 100, 30, 90, 60)
    assert ahead(simulator) == [10.0]


@pytest.mark.parametrize("model", QUEUES)
def test_who_stood_there_before_the_order_stands_ahead_of_it(model):
    """The book of 54 is seen at 84: what came until then came before the order, at 55."""
    simulator = late_venue(fill_model=model)
    order(simulator, 100, 50)
    simulator.depth([(100, 90)], [], 84 * MS, venue_ns=54 * MS)
    assert ahead(simulator) == [90.0]
    assert simulator.orders[0]["entry_ahead_lots"] == 90
    simulator.depth([(100, 95)], [], 86 * MS, venue_ns=56 * MS)
    assert ahead(simulator) == [90.0]


def test_an_amendment_is_at_the_venue_at_its_own_time():
    simulator = late_venue()
    order(simulator, 101, 50)
    simulator.advance(60 * MS)
    simulator.amend(102, 5, 70 * MS, order_id=1)
    simulator.advance(80 * MS)
    assert not printed(simulator, 102, 9, 100, 75)
    assert printed(simulator, 102, 9, 101, 76) == [("TOUCH", 102, 5)]


@pytest.mark.parametrize("ahead_ms", [0, 1270, 7_200_000])
def test_a_venues_clock_that_is_ahead_is_compared_with_itself(ahead_ms):
    simulator = late_venue(book_late=-ahead_ms)
    order(simulator, 101, 50)
    assert not printed(simulator, 101, 9, 80, 54 + ahead_ms)
    assert printed(simulator, 101, 9, 81, 56 + ahead_ms) == [("TOUCH", 101, 5)]


@pytest.mark.parametrize("book_late", [None, 2, -1270])
def test_where_a_trade_does_not_tell_its_time_it_is_as_late_as_the_book(book_late):
    simulator = late_venue(book_late=book_late)
    order(simulator, 101, 50)
    at = 55 + max(book_late or 0, 0)
    assert not fills(simulator.trade(101, 1, Side.SELL, 1, at * MS))
    assert fills(simulator.trade(101, 1, Side.SELL, 2, (at + 1) * MS)) == [("TOUCH", 101, 1)]


def test_how_late_the_book_is_say_a_messages_own_two_times():
    simulator = late_venue()
    simulator.advance(100 * MS)
    assert hear_book(simulator, 60, 3) == 57 * MS
    assert hear_book(simulator, 70, None) == 97 * MS, "an earlier time counts as the latest seen"
    order(simulator, 101, 100)
    assert simulator.orders[0]["active_ns"] == (100 + ENTRY + 3) * MS


def test_an_order_event_is_as_late_as_the_book_too():
    simulator = late_venue(book_late=-7)
    order(simulator, 101, 50)  # at the venue at 62, by its clock
    event = (OrderEventKind.TRADE, Side.BUY, 101, 2, 1)
    assert not fills(simulator.order_event(*event, 55 * MS))
    assert fills(simulator.order_event(*event, 56 * MS)) == [("TOUCH", 101, 2)]


@pytest.mark.parametrize("late", [20, 1270, -1270])
def test_a_trades_time_is_not_compared_with_a_book_that_tells_none(late):
    simulator = late_venue(book_late=None)
    order(simulator, 101, 50)
    assert printed(simulator, 101, 9, 3000, 3000 - late) == [("TOUCH", 101, 5)]
    simulator = late_venue(book_late=None)
    order(simulator, 101, 50)
    assert printed(simulator, 101, 9, 56, max(56 - late, 1)) == [("TOUCH", 101, 5)]


def test_a_trades_time_of_another_clock_is_not_compared():
    simulator = late_venue()
    order(simulator, 101, 20_000)
    assert printed(simulator, 101, 9, 20_008, 1) == [("TOUCH", 101, 5)]


STEP = st.tuples(
    st.sampled_from(["book", "order", "trade", "trade"]),
    st.integers(0, 12),  # elapsed
    st.integers(0, 40),  # how late it is seen
    st.integers(-3, 3),
)


@given(st.sampled_from([*QUEUES, FillModel.CROSS]), st.lists(STEP, max_size=40))
def test_no_trade_fills_an_order_that_was_not_at_the_venue_yet(model, steps):
    simulator = late_venue(fill_model=model, max_orders=8)
    now, sent_at, made_at = 50, {}, {}
    for number, (what, elapsed, late, offset) in enumerate(steps, 1):
        now += elapsed
        if what == "book":
            made = hear_book(simulator, now, late)
            events = simulator.depth([(101 + offset, number)], [], now * MS, venue_ns=made)
        elif what == "order":
            events = simulator.order(Side.BUY, 100 + offset, 5, now * MS)
            sent_at[int(events[-1]["order_id"])] = now
        else:
            made_at[number] = now - late
            events = simulator.trade(
                98 + offset, 9, Side.SELL, number, now * MS, made_at[number] * MS
            )
        for event in events[events["template_id"] == Template.FILL]:
            if event["kind"] != FillKind.CROSS:
                arrived = sent_at[int(event["order_id"])] + ENTRY
                assert made_at[int(event["trade_id"])] > arrived
