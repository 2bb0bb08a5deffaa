"""One instrument's feed: what is published when, and that a book that is not right is marked."""

import random
from collections import Counter

import numpy as np
import pytest
from mm_collector.feed import Feed, InstrumentFilters
from mm_collector.frames import BestBidOffer, DepthEvent, Instrument, Snapshot, Trade
from mm_collector.sync import BookSync, SyncLimits

from mmquant.codes import BookCode, BookState, Market, Template
from mmquant.kernels.book import book_follow
from mmquant.state import BOOK
from mmquant.wire import Inbox, decode

MS = 1_000_000
FILTERS = InstrumentFilters(
    Instrument("BTCUSDT", 10_000_000, 100_000), Market.SPOT, 1, 10**7, 1, 10**6, 5 * 10**8
)


class Recorder:
    """Stands where the publisher is: keeps every message that is offered, or refuses it."""

    def __init__(self):
        self.messages = []
        self.seq = 0
        self.accepts = True

    def next_seq(self):
        self.seq += 1
        return self.seq

    def offer(self, message):
        if self.accepts:
            self.messages.append(bytes(message.payload()))
        return self.accepts

    def take(self):
        taken = [decode(message) for message in self.messages]
        self.messages.clear()
        return taken


@pytest.fixture
def counters():
    return Counter()


@pytest.fixture
def out():
    return Recorder()


@pytest.fixture
def trades():
    return Recorder()


@pytest.fixture
def feed(out, trades, counters):
    sync = BookSync(
        Market.SPOT, SyncLimits(100, 2_000 * MS, 250 * MS, 1_000 * MS), random.Random(1)
    )
    feed = Feed(1, FILTERS, sync, out, trades, counters, snapshot_levels=10)
    sync.on_connected(0)
    return feed


def depth(first, last, bids=(), asks=()):
    return DepthEvent("BTCUSDT", 7 * MS, first, last, first - 1, list(bids), list(asks))


def go_live(feed, out):
    feed.on_depth(depth(5, 6, bids=[(99, 4)]), 10, 20)
    feed.sync.on_snapshot_requested()
    feed.on_snapshot(Snapshot(5, [(100, 1), (98, 2)], [(101, 3)]), 11, 21)
    taken = out.take()
    feed.transitions.clear()
    return taken


def test_nothing_but_a_marked_snapshot_goes_out_before_the_book_is_live(feed, out):
    feed.on_depth(depth(5, 6, bids=[(99, 4)]), 10, 20)
    feed.on_best_bid_offer(BestBidOffer("BTCUSDT", 0, 6, (100, 1), (101, 3)), 10, 20)
    kinds = [(template, block["book_state"]) for template, block, _ in out.take()]
    assert kinds == [(Template.BOOK_SNAPSHOT, BookState.BUFFERING)]


def test_going_live_publishes_the_whole_book_once(feed, out):
    *_, (template, block, groups) = go_live(feed, out)
    assert template == Template.BOOK_SNAPSHOT
    assert block["book_state"] == BookState.LIVE
    assert block["last_update_id"] == 6
    assert block["epoch"] > 0
    assert (block["known_low_ticks"], block["known_high_ticks"]) == (98, 101)
    assert [tuple(row.values()) for row in groups["bids"]] == [(100, 1), (99, 4), (98, 2)]
    assert [tuple(row.values()) for row in groups["asks"]] == [(101, 3)]
    assert not feed.sync.transitions


def test_a_follower_has_the_same_book_by_snapshot_and_deltas(feed, out):
    messages = []
    feed.on_depth(depth(5, 6, bids=[(99, 4)]), 10, 20)
    feed.sync.on_snapshot_requested()
    feed.on_snapshot(Snapshot(5, [(100, 1), (98, 2)], [(101, 3)]), 11, 21)
    feed.on_depth(depth(7, 8, bids=[(100, 0)], asks=[(102, 9)]), 12, 22)
    feed.on_depth(depth(8, 9, asks=[(101, 0)]), 13, 23)  # overlaps: legal on spot
    messages, out.messages = out.messages, []
    book, inbox = np.zeros(1, BOOK), Inbox()
    codes = []
    for message in messages:
        inbox.receive(message)
        codes.append(book_follow(book, inbox.words))
    assert codes[-3:] == [BookCode.OK] * 3
    row = book[0]
    assert (row["best_bid_ticks"], row["best_bid_lots"]) == (99, 4)
    assert (row["best_ask_ticks"], row["best_ask_lots"]) == (102, 9)
    assert row["last_update_id"] == 9


def test_a_delta_names_its_times_and_the_id_before_it(feed, out):
    go_live(feed, out)
    feed.on_depth(depth(7, 8, bids=[(97, 5)]), 31, 41)
    ((template, block, groups),) = out.take()
    assert template == Template.BOOK_DELTA
    assert (block["received_ns"], block["now_ns"], block["venue_ns"]) == (31, 41, 7 * MS)
    assert (block["previous_update_id"], block["last_update_id"]) == (6, 8)
    assert groups == {"bids": [{"price_ticks": 97, "qty_lots": 5}], "asks": []}


def test_a_gap_marks_the_book_and_the_next_epoch_is_a_new_one(feed, out):
    *_, (_, live, _) = go_live(feed, out)
    feed.on_depth(depth(9, 9), 12, 22)
    ((template, block, _),) = out.take()
    assert (template, block["book_state"]) == (Template.BOOK_SNAPSHOT, BookState.BUFFERING)
    assert block["epoch"] == live["epoch"]
    feed.sync.on_snapshot_requested()
    feed.on_snapshot(Snapshot(8, [(90, 1)], [(95, 1)]), 13, 23)
    *_, (_, again, groups) = out.take()
    assert again["book_state"] == BookState.LIVE
    assert again["epoch"] > live["epoch"]
    assert groups["bids"] == [{"price_ticks": 90, "qty_lots": 1}]


def test_a_crossed_book_is_not_published_and_starts_over(feed, out):
    go_live(feed, out)
    feed.on_depth(depth(7, 7, bids=[(101, 1)]), 12, 22)
    kinds = [(template, block.get("book_state")) for template, block, _ in out.take()]
    assert kinds == [(Template.BOOK_SNAPSHOT, BookState.BUFFERING)]
    assert feed.sync.crossings == 1
    assert [t.state for t in feed.transitions] == [BookState.CROSSED, BookState.BUFFERING]


def test_the_book_is_held_against_the_best_bid_and_offer_at_equal_ids(feed, out, counters):
    go_live(feed, out)
    at_six = BestBidOffer("BTCUSDT", 0, 6, (100, 1), (101, 3))
    feed.on_best_bid_offer(at_six, 12, 22)
    assert counters == {"book_checks": 1, "book_mismatches": 0}
    ahead = BestBidOffer("BTCUSDT", 0, 8, (100, 5), (101, 3))
    between = BestBidOffer("BTCUSDT", 0, 7, (100, 9), (101, 3))
    feed.on_best_bid_offer(between, 12, 22)
    feed.on_best_bid_offer(ahead, 12, 22)
    assert counters["book_checks"] == 1
    feed.on_depth(depth(7, 8, bids=[(100, 4)]), 13, 23)
    assert counters == {"book_checks": 2, "book_mismatches": 1}


def test_what_a_full_stream_refuses_is_made_good_by_a_snapshot(feed, out):
    go_live(feed, out)
    out.accepts = False
    feed.on_depth(depth(7, 8, bids=[(100, 0)]), 12, 22)
    assert feed.snapshot_due
    out.accepts = True
    feed.publish_snapshot(13, 23)
    assert not feed.snapshot_due
    ((_, block, groups),) = out.take()
    assert block["last_update_id"] == 8
    assert groups["bids"][0] == {"price_ticks": 99, "qty_lots": 4}


def test_trades_go_out_as_they_are_and_holes_in_their_ids_are_counted(feed, trades, counters):
    for trade_id in (5, 6, 9):
        feed.on_trade(Trade("BTCUSDT", 3, trade_id, 100, 2, -1), 12, 22)
    blocks = [block for _, block, _ in trades.take()]
    assert [(b["trade_id"], b["aggressor"], b["seq"]) for b in blocks] == [
        (5, -1, 1),
        (6, -1, 2),
        (9, -1, 3),
    ]
    assert counters["trade_gaps"] == 1
