"""One changed level taken in at once is, bit for bit, what the long way makes of it."""

import numpy as np
import pytest

from mmquant.book import empty_book
from mmquant.codes import FillModel
from mmquant.kernels.book import book_bbo
from mmquant.kernels.book_level import book_apply_level
from mmquant.kernels.simulator import (
    simulator_advance,
    simulator_on_book,
    simulator_on_quotes,
    simulator_on_trade,
)
from mmquant.kernels.simulator_level import simulator_on_level
from mmquant.records import INSTRUMENT, LEVEL, QUOTES
from mmquant.simulator import recorded_latencies, simulator_params, simulator_state
from mmquant.state import ACCOUNT, BOOK, EVENT, MAX_EVENTS, MAX_LEVELS, MAX_TAKEN, NEVER_NS

pytestmark = pytest.mark.kernels

HEAD_BYTES = BOOK.fields["bid_lots"][1]
MIDDLE = 70_000  # near the end of a window, so that it moves


class Side:
    """One of two venues that see the same."""

    def __init__(self, model, at_once):
        self.params = simulator_params(
            entry_latency_ns=7,
            cancel_latency_ns=5,
            fill_probability_factor=0.5,
            maker_fee_ppm=200,
            taker_fee_ppm=500,
            markout_horizon_ns=60,
            fill_model=model,
        )
        self.at_once = at_once
        self.book, self.sim, self.account = empty_book(), simulator_state(3), np.zeros(1, ACCOUNT)
        self.venue = (self.sim, self.account, self.params)
        self.events = np.zeros(MAX_EVENTS, EVENT)
        self.instrument = np.zeros(1, INSTRUMENT)
        self.instrument[0]["tick_size_e8"] = self.instrument[0]["lot_size_e8"] = 10**8
        self.seq = 0

    def level(self, words, sign, update_id, now):
        made = now - update_id % 4
        if self.at_once:
            return simulator_on_level(
                *self.venue, self.book, words, 0, sign, update_id, now, made, self.events
            )
        n = simulator_advance(*self.venue, self.book, now - 1, self.events, 0)
        book_apply_level(self.book, words, 0, sign, update_id)
        return simulator_on_book(*self.venue, self.book, now, made, self.events, n)

    def bbo(self, update_id, bid, ask, now):
        book_bbo(self.book, update_id, bid, 3, ask, 4)
        return simulator_on_book(*self.venue, self.book, now, now, self.events, 0)

    def trade(self, price, qty, aggressor, now):
        return simulator_on_trade(
            *self.venue, self.book, price, qty, aggressor, now, now, now, self.events
        )

    def quotes(self, bid, ask, qty, now):
        quotes, levels = np.zeros(1, QUOTES), np.zeros(2 * MAX_LEVELS, LEVEL)
        self.seq += 1
        quotes[0]["seq"] = self.seq
        levels[0] = (bid, qty)
        levels[MAX_LEVELS] = (ask, qty)
        return simulator_on_quotes(
            *self.venue,
            self.instrument,
            self.book,
            recorded_latencies(()),
            quotes,
            levels,
            now,
            NEVER_NS,
            self.events,
        )

    def seen(self, n):
        head = self.book.view(np.uint8)[:HEAD_BYTES]  # the levels are compared in the end
        return [array.tobytes() for array in (self.sim, self.account, head, self.events[:n])]


def moves(rng, steps):
    """Yield (what, arguments): mostly levels near the touch, and what else a feed tells."""
    now = 1
    for i in range(steps):
        now += int(rng.integers(0, 6))
        what = rng.choice(["level", "trade", "quotes", "bbo"], p=[0.8, 0.1, 0.07, 0.03])
        sign = int(rng.choice([-1, 1]))
        far = int(rng.integers(-1, 6)) if i % 97 else 40_000
        price = MIDDLE - sign * (1 + far)
        if what == "level":
            words = np.array([price, rng.choice([0, 1, 2, 5, 9])], np.int64)
            yield what, (words, sign, i + 1, now)
        elif what == "trade":
            yield what, (price, int(rng.integers(1, 8)), -sign, now)
        elif what == "quotes":
            back = int(rng.integers(0, 4))  # a bid in the middle is reached by an ask there
            yield what, (MIDDLE - back, MIDDLE + max(back, 1), int(rng.integers(1, 9)), now)
        else:
            yield what, (i + int(rng.integers(0, 4)), MIDDLE - 1, MIDDLE + 1, now)


@pytest.mark.parametrize("model", list(FillModel))
def test_a_level_at_once_is_the_long_way_bit_for_bit(model):
    ours, slow = Side(model, True), Side(model, False)
    for what, arguments in moves(np.random.default_rng(int(model)), 400):
        n = getattr(ours, what)(*arguments)
        assert n == getattr(slow, what)(*arguments)
        assert ours.seen(n) == slow.seen(n), (what, arguments)
    assert ours.book.tobytes() == slow.book.tobytes()
    assert model == FillModel.FIFO_L3 or ours.account[0]["fills"] > 5


def test_what_was_taken_is_forgotten_with_its_level():
    sides = Side(FillModel.CROSS, True), Side(FillModel.CROSS, False)
    told = [
        ("level", (np.array([MIDDLE - 5, 9]), 1, 1, 1)),
        ("level", (np.array([MIDDLE + 5, 9]), -1, 2, 2)),
        ("quotes", (MIDDLE, MIDDLE + 9, 4, 3)),
        ("level", (np.array([MIDDLE, 6]), -1, 3, 20)),  # fills the bid: 4 lots are taken
        ("level", (np.array([MIDDLE + 7, 2]), -1, 4, 21)),
        ("level", (np.array([MIDDLE, 3]), -1, 5, 22)),
        ("level", (np.array([MIDDLE, 0]), -1, 6, 23)),
    ]
    taken = []
    for what, arguments in told:
        n = [getattr(side, what)(*arguments) for side in sides]
        assert n[0] == n[1]
        assert sides[0].seen(n[0]) == sides[1].seen(n[0]), (what, arguments)
        s = sides[0].sim[0]
        taken.append(int(s["taken_lots"][0, 0]) if s["taken"][0] else 0)
    assert taken == [0, 0, 0, 4, 4, 3, 0]


def test_a_full_table_of_what_was_taken_forgets_what_the_book_does_not_tell():
    sides = Side(FillModel.CROSS, True), Side(FillModel.CROSS, False)
    for side in sides:
        side.level(np.array([MIDDLE - 5, 9]), 1, 1, 1)
        side.level(np.array([MIDDLE + 5, 9]), -1, 2, 2)
        side.book[0]["known_low_ticks"], side.book[0]["known_high_ticks"] = MIDDLE - 50, MIDDLE + 50
        s = side.sim[0]
        s["taken"][1] = MAX_TAKEN
        s["taken_ticks"][1] = MIDDLE - 60 - np.arange(MAX_TAKEN)
        s["taken_lots"][1] = 1
        side.level(np.array([MIDDLE + 6, 9]), -1, 3, 3)
    assert sides[0].seen(0) == sides[1].seen(0)
    assert sides[0].sim[0]["taken"][1] == 0
