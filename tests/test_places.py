"""Own orders among themselves: who stands first fills first, and no lot of the market serves two.

Whatever is amended meanwhile.
"""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulating import ASKS, BIDS, fills, venue

from mmquant.codes import FillKind, FillModel, OrderKind, OrderStatus, Side, Template

pytestmark = pytest.mark.kernels

QUEUES = [model for model in FillModel if model not in (FillModel.CROSS, FillModel.FIFO_L3)]


def filled_ids(events):
    return [
        (int(e["order_id"]), int(e["qty_lots"]))
        for e in events
        if e["template_id"] == Template.FILL
    ]


def two_orders(price=100):
    simulator = venue()
    simulator.order(Side.BUY, price, 4, 0)
    simulator.order(Side.BUY, price, 4, 0)
    simulator.advance(10)
    return simulator


def test_an_order_that_queues_anew_stands_behind_the_one_that_stayed():
    simulator = two_orders()
    simulator.amend(100, 5, 20, order_id=1)
    simulator.advance(30)
    events = simulator.trade(100, 46, Side.SELL, 1, 40)
    assert filled_ids(events) == [(2, 4), (1, 2)]


def test_an_order_that_shrinks_keeps_its_place():
    simulator = two_orders()
    simulator.amend(100, 3, 20, order_id=1)
    simulator.advance(30)
    assert filled_ids(simulator.trade(100, 46, Side.SELL, 1, 40)) == [(1, 3), (2, 3)]


def test_of_what_arrives_at_one_time_the_order_comes_before_the_amendment():
    simulator = venue()
    simulator.order(Side.BUY, 99, 4, 0)
    simulator.advance(20)
    simulator.amend(101, 4, 20, order_id=1)
    simulator.order(Side.BUY, 101, 4, 20)
    simulator.advance(30)
    assert filled_ids(simulator.trade(101, 6, Side.SELL, 1, 40)) == [(2, 4), (1, 2)]


def test_a_touch_fills_by_place_as_well():
    simulator = two_orders(101)
    simulator.amend(101, 5, 20, order_id=1)
    simulator.advance(30)
    assert filled_ids(simulator.depth([], [(101, 6)], 40)) == [(2, 4), (1, 2)]


PRICES = st.integers(97, 106)
LOTS = st.integers(1, 30)
SIDES = st.sampled_from([Side.BUY, Side.SELL])
KINDS = st.sampled_from([OrderKind.POST_ONLY, OrderKind.LIMIT, OrderKind.IOC, OrderKind.MARKET])
LATE = st.integers(0, 8)
STEP = st.one_of(
    st.tuples(st.just("order"), SIDES, PRICES, LOTS, KINDS),
    st.tuples(st.just("amend"), st.integers(1, 12), PRICES, LOTS),
    st.tuples(st.just("level"), SIDES, PRICES, st.integers(0, 60), LATE),
    st.tuples(st.just("trade"), SIDES, PRICES, st.integers(1, 90), LATE),
)


class Watched:
    """A session, and what is known of it by its events alone."""

    def __init__(self, model, entry_ns):
        self.simulator = venue(fill_model=model, entry_latency_ns=entry_ns, max_orders=12)
        self.now = 0
        self.shown = {Side.BUY: dict(BIDS), Side.SELL: dict(ASKS)}
        self.offered = {side: Counter(levels) for side, levels in self.shown.items()}
        self.taken = {side: Counter() for side in self.shown}
        self.places = []  # ids of orders, as they took their places
        self.was = {}  # (price, lots) of each

    def step(self, what, a, price, lots, *more):
        self.now += 2
        simulator = self.simulator
        if what == "order":
            events = simulator.order(a, price, lots, self.now, kind=more[0])
        elif what == "amend":
            events = simulator.amend(price, lots, self.now, order_id=a)
        elif what == "trade":
            events = simulator.trade(price, lots, a, 1, self.now, max(self.now - more[0], 1))
        else:
            bids, asks = ([(price, lots)], []) if a == Side.BUY else ([], [(price, lots)])
            before = simulator.advance(self.now - 1)
            self.watch(before)
            self.show(a, price, lots)
            made = max(self.now - more[0], 1)
            events = simulator.depth(bids, asks, self.now, venue_ns=made)
        self.watch(events)
        return events

    def show(self, side, price, lots):
        before = self.shown[side].pop(price, 0)
        if lots:
            self.shown[side][price] = lots
            self.offered[side][price] += max(lots - before, 0)
        else:
            self.offered[side][price] = self.taken[side][price] = 0

    def watch(self, events):
        for e in events:
            order_id, side = int(e["order_id"]), int(e["side"])
            if e["template_id"] == Template.FILL:
                if e["kind"] in (FillKind.TAKE, FillKind.CROSS):
                    self.take(Side(-side), e)
            elif e["status"] == OrderStatus.OPEN and int(e["filled_lots"]) == 0:
                self.stand(order_id, int(e["price_ticks"]), int(e["qty_lots"]))

    def take(self, side, e):
        best = max if side == Side.BUY else min
        is_cross = e["kind"] == FillKind.CROSS
        price = best(self.shown[side]) if is_cross else int(e["price_ticks"])
        self.taken[side][price] += int(e["qty_lots"])
        assert self.taken[side][price] <= self.offered[side][price]

    def stand(self, order_id, price, lots):
        was = self.was.get(order_id)
        self.was[order_id] = (price, lots)
        if was is None or was[0] != price or was[1] < lots:
            self.places = [other for other in self.places if other != order_id] + [order_id]


@given(st.sampled_from(QUEUES), st.sampled_from([0, 3]), st.lists(STEP, max_size=40))
def test_nobody_overtakes_and_no_lot_serves_twice(model, entry_ns, steps):
    watched = Watched(model, entry_ns)
    for step in steps:
        events = watched.step(*step)
        got = fills(events)
        if step[0] == "trade":
            printed = [qty for kind, _, qty in got if kind in ("TOUCH", "THROUGH")]
            assert sum(printed) <= step[3]
        orders = watched.simulator.orders
        orders = orders[orders["status"] == OrderStatus.OPEN]
        here = sorted(orders, key=lambda o: (o["side"], o["price_ticks"], o["queue_seq"]))
        for one, other in pairwise(here):
            if (one["side"], one["price_ticks"]) == (other["side"], other["price_ticks"]):
                assert one["ahead_lots"] <= other["ahead_lots"]
                places = [watched.places.index(int(o["order_id"])) for o in (one, other)]
                if one["filled_lots"] == other["filled_lots"] == 0:
                    assert places == sorted(places)
