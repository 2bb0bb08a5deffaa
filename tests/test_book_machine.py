"""The order book against two dictionaries, whatever hypothesis does to it in whatever order."""

import os

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from reference_book import Book

from mmquant.book import empty_book
from mmquant.book_bytes import dump_book, restore_book
from mmquant.codes import BookFault
from mmquant.kernels.book import book_apply, book_bbo, book_clear
from mmquant.kernels.book_check import book_check
from mmquant.kernels.book_read import book_cost, book_cumulative, book_depth_at, book_top
from mmquant.records import LEVEL
from mmquant.state import BOOK_RING_TICKS

pytestmark = pytest.mark.kernels

CHEAP = os.environ.get("NUMBA_BOUNDSCHECK") or os.environ.get("NUMBA_DISABLE_JIT")
DEPTH = 6
NEAR = st.tuples(st.integers(-40, 40), st.integers(0, 5))
FAR = st.tuples(st.integers(-3 * BOOK_RING_TICKS, 3 * BOOK_RING_TICKS), st.integers(0, 5))
LEVELS = st.lists(st.one_of(NEAR, NEAR, NEAR, FAR), max_size=8)
SIDES = st.sampled_from([1, -1])


class BookMachine(RuleBasedStateMachine):
    """Every way to change a book; a centre that walks, so that the window has to follow."""

    @initialize(centre=st.integers(1, 10**9))
    def begin(self, centre):
        self.book, self.twin = empty_book(), Book()
        self.centre, self.update_id = centre, 0

    def priced(self, levels):
        return [(max(self.centre + offset, 1), lots) for offset, lots in levels]

    def apply(self, bids, asks, load):
        self.update_id += 1
        rows = [*bids, *asks]
        words = np.array(rows, np.int64).ravel() if rows else np.zeros(0, np.int64)
        counts = (0, len(bids), 2 * len(bids), len(asks))
        code = book_apply(self.book, words, *counts, self.update_id, load)
        assert code == self.twin.apply(bids, asks, self.update_id, load == 1)

    @rule(bids=LEVELS, asks=LEVELS)
    def change(self, bids, asks):
        self.apply(self.priced(bids), self.priced(asks), 0)

    @rule(bids=LEVELS, asks=LEVELS, back=st.integers(1, 4))
    def change_by_an_older_event(self, bids, asks, back):
        self.update_id = max(self.update_id - back, 0)
        self.apply(self.priced(bids), self.priced(asks), 0)

    @rule(bids=LEVELS, asks=LEVELS)
    def snapshot(self, bids, asks):
        self.apply(self.priced(bids), self.priced(asks), 1)

    @rule(bids=LEVELS, asks=LEVELS)
    def all_gone(self, bids, asks):
        """Remove every level, and some that never were."""
        gone = [[(tick, 0) for tick in side] for side in (self.twin.bids, self.twin.asks)]
        never = [[(tick, 0) for tick, _ in self.priced(side)] for side in (bids, asks)]
        self.apply(gone[0] + never[0], gone[1] + never[1], 0)

    @rule(lots=st.sampled_from([-1, 1]), tick=st.sampled_from([0, -5, 2**53 + 1, -(2**63)]))
    def bad_level(self, lots, tick):
        bad = [(self.centre, -1)] if lots < 0 else [(tick, 1)]
        self.update_id -= 1  # apply counts one on: nothing of it may be taken in
        self.apply([(self.centre + 1, 3)], bad, 0)

    @rule(touch=st.tuples(NEAR, NEAR), ahead=st.integers(-1, 2))
    def best_bid_offer(self, touch, ahead):
        bid, ask = self.priced(touch)
        code = book_bbo(self.book, self.update_id + ahead, *bid, *ask)
        assert code == self.twin.apply_bbo(self.update_id + ahead, bid, ask)

    @rule()
    def clear(self):
        book_clear(self.book)
        self.twin.clear()

    @rule(sign=SIDES, n=st.integers(1, 3))
    def take_the_best_away(self, sign, n):
        levels = self.twin.top_bids() if sign > 0 else self.twin.top_asks()
        gone = [(tick, 0) for tick, _ in levels[:n]]
        self.apply(gone if sign > 0 else [], [] if sign > 0 else gone, 0)

    @rule(ticks=st.integers(-2 * BOOK_RING_TICKS, 2 * BOOK_RING_TICKS))
    def walk(self, ticks):
        self.centre = max(self.centre + ticks, 1)

    @rule()
    def through_bytes(self):
        self.book = restore_book(dump_book(self.book))

    @precondition(lambda self: self.twin.view(1) or self.twin.view(-1))
    @rule(sign=SIDES, offset=st.integers(-50, 50), lots=st.integers(1, 30))
    def read_deep(self, sign, offset, lots):
        limit = max(self.centre + offset, 1)
        assert book_cumulative(self.book, sign, limit) == self.twin.cumulative(sign, limit)
        assert book_cost(self.book, sign, lots)[1:] == self.twin.cost(sign, lots)
        held = dict(self.twin.view(sign))
        assert book_depth_at(self.book, sign, limit) == held.get(limit, 0)

    @invariant()
    def reads_alike_and_is_sound(self):
        if not hasattr(self, "book"):
            return
        assert book_check(self.book) == BookFault.NONE
        top = np.zeros(2 * DEPTH, LEVEL)
        counts = book_top(self.book, top, DEPTH)
        for sign, first, count in ((1, 0, counts[0]), (-1, DEPTH, counts[1])):
            expected = self.twin.view(sign)[:DEPTH]
            assert top[first : first + count].tolist() == expected
        assert self.book[0]["last_update_id"] == self.twin.last_update_id
        assert self.book[0]["tail_evicted"] == 0


TestBookMachine = BookMachine.TestCase
TestBookMachine.settings = settings(
    max_examples=3 if CHEAP else 60, stateful_step_count=10 if CHEAP else 40
)
