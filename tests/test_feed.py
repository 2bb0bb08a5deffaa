"""One instrument's feed: what is published when, and that a book that is not right is marked."""

import random
from collections import Counter

import numpy as np
import pytest
from mm_collector.feed import Feed, InstrumentFilters
from mm_collector.frames import (
    AggregateTrade,
    BestBidOffer,
    DepthEvent,
    Instrument,
    Snapshot,
    Trade,
    VoidTrade,
)
from mm_collector.live import LiveSnapshots, Purpose
from mm_collector.sync import BookSync, SyncLimits
from mm_collector.trades import TradeFeed

from mmquant.codes import BookCode, BookState, Market, Template
from mmquant.kernels.book import book_follow
from mmquant.state import BOOK
from mmquant.wire import Inbox, decode

MS = 1_000_000
AUDIT_NS, SILENT_NS = 10_000 * MS, 5_000 * MS
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
    live = LiveSnapshots(AUDIT_NS, 10, random.Random(1))
    prints = TradeFeed(1, trades, counters, SILENT_NS)
    feed = Feed(1, FILTERS, sync, live, prints, out, counters, snapshot_levels=10, asked_levels=2)
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
        feed.trades.on_trade(Trade("BTCUSDT", 3, trade_id, 100, 2, -1), 1, 12, 22)
    blocks = [block for _, block, _ in trades.take()]
    assert [(b["trade_id"], b["aggressor"], b["seq"]) for b in blocks] == [
        (5, -1, 1),
        (6, -1, 2),
        (9, -1, 3),
    ]
    assert counters["trade_gaps"] == 1


def test_a_repeated_trade_is_not_published_and_a_void_one_is_no_hole(feed, trades, counters):
    for trade_id in (5, 6, 6, 5):
        feed.trades.on_trade(Trade("BTCUSDT", 3, trade_id, 100, 2, -1), 1, 12, 22)
    feed.trades.on_void(VoidTrade("BTCUSDT", 7, "X=NA"), 13)
    feed.trades.on_trade(Trade("BTCUSDT", 3, 8, 100, 2, -1), 1, 12, 22)
    assert [block["trade_id"] for _, block, _ in trades.take()] == [5, 6, 8]
    assert (counters["trade_duplicates"], counters["trade_gaps"]) == (2, 0)


def test_aggregates_stand_in_for_silent_trades_and_make_way_for_the_next_one(
    feed, trades, counters
):
    prints = feed.trades
    prints.on_connected(0)
    prints.on_trade(Trade("BTCUSDT", 3, 5, 100, 2, -1), 1, 10, 20)
    assert not prints.on_aggregate(AggregateTrade("BTCUSDT", 3, 6, 7, 100, 4, 1, 31), 1, 11, 21)
    prints.on_time(SILENT_NS + 11)
    assert prints.uses_aggregates
    assert not prints.on_aggregate(AggregateTrade("BTCUSDT", 3, 4, 5, 100, 4, 1, 30), 1, 12, 22)
    assert prints.on_aggregate(AggregateTrade("BTCUSDT", 3, 6, 9, 100, 4, 1, 31), 1, 12, 22)
    for trade_id in (8, 9, 10):  # the trades come back, late
        prints.on_trade(Trade("BTCUSDT", 3, trade_id, 100, 2, -1), 1, 13, 23)
    assert not prints.on_aggregate(AggregateTrade("BTCUSDT", 3, 10, 10, 100, 2, 1, 32), 1, 14, 24)
    assert [block["trade_id"] for _, block, _ in trades.take()] == [5, 9, 10]
    assert (counters["trade_gaps"], counters["aggregate_trades"]) == (0, 1)


def aggregate(first, last, own, venue_ns=3, lots=4):
    return AggregateTrade("BTCUSDT", venue_ns, first, last, 100, lots, 1, own)


def test_ids_spent_without_a_fill_are_no_hole_between_aggregates(feed, trades, counters):
    prints = feed.trades
    prints.on_time(SILENT_NS + 1)
    # Of 7 and 8 no aggregate tells; of 31 none came; 32 is of hidden orders alone.
    for first, last, own, lots in ((5, 6, 29, 4), (9, 9, 30, 4), (12, 12, 32, 0), (13, 14, 33, 4)):
        prints.on_aggregate(aggregate(first, last, own, lots=lots), 1, 11, 21)
    assert counters["trade_gaps"] == 1
    assert [block["trade_id"] for _, block, _ in trades.take()] == [6, 9, 14]


def test_aggregates_that_nobody_took_are_a_hole_once_they_stand_in(feed, counters):
    prints = feed.trades
    prints.on_trade(Trade("BTCUSDT", 3, 5, 100, 2, -1), 1, 10, 20)
    prints.on_aggregate(aggregate(4, 5, 30), 1, 11, 21)
    prints.on_aggregate(aggregate(6, 7, 31), 1, 12, 22)  # while the trades are waited for
    prints.on_time(SILENT_NS + 11)
    assert prints.on_aggregate(aggregate(8, 8, 32), 1, 13, 23)
    assert counters["trade_gaps"] == 1


def test_ids_that_begin_anew_behind_a_lost_connection_are_another_life(feed, trades, counters):
    prints = feed.trades
    prints.on_connected(0)
    for trade_id in (1_000, 1_001):
        prints.on_trade(Trade("BTCUSDT", 7, trade_id, 100, 2, -1), 1, 10, 20)
    prints.on_trade(Trade("BTCUSDT", 9, 4, 100, 2, -1), 1, 11, 21)  # late, of this life
    assert (counters["trade_duplicates"], counters["trade_restarts"]) == (1, 0)
    prints.on_connected(20)
    assert not prints.on_trade(Trade("BTCUSDT", 7, 1_001, 100, 2, -1), 1, 21, 31)  # a repeat
    for trade_id in (3, 4, 5):
        assert prints.on_trade(Trade("BTCUSDT", 8, trade_id, 100, 2, -1), 1, 22, 32)
    assert not prints.on_trade(Trade("BTCUSDT", 9, 3, 100, 2, -1), 1, 23, 33)
    assert [block["trade_id"] for _, block, _ in trades.take()] == [1_000, 1_001, 3, 4, 5]
    assert list(prints.restarts) == ["3 after 1001"]
    assert (counters["trade_restarts"], counters["trade_gaps"]) == (1, 0)


def test_aggregates_of_another_life_are_taken_as_well(feed, trades, counters):
    prints = feed.trades
    prints.on_connected(0)
    prints.on_time(SILENT_NS + 1)
    prints.on_aggregate(aggregate(1_000, 1_001, 500), 1, 10, 20)
    prints.on_connected(20)
    assert not prints.on_aggregate(aggregate(1_000, 1_001, 500), 1, 21, 31)  # a repeat
    for first in (3, 4):
        assert prints.on_aggregate(aggregate(first, first, first, venue_ns=8), 1, 22, 32)
    assert [block["trade_id"] for _, block, _ in trades.take()] == [1_001, 3, 4]
    assert (counters["trade_restarts"], counters["trade_gaps"]) == (1, 0)


def audit(feed, snapshot, at_ns=20_000 * MS):
    assert feed.wanted_beside_live(at_ns) is Purpose.AUDIT
    feed.live.begin(Purpose.AUDIT, feed.sync.last_update_id, at_ns)
    feed.on_snapshot(snapshot, at_ns, at_ns)


def test_an_audit_holds_the_book_against_a_snapshot_that_is_ahead_of_it(feed, out, counters):
    go_live(feed, out)
    audit(feed, Snapshot(8, [(100, 1), (99, 9)], [(101, 3)]))
    assert counters["audits"] == 0  # the book is not there yet
    feed.on_depth(depth(7, 9, bids=[(99, 7)]), 20_001 * MS, 22)  # 99 changed after the snapshot
    assert (counters["audits"], counters["audit_mismatches"]) == (1, 0)
    assert feed.sync.state is BookState.LIVE


def test_an_audit_that_finds_a_difference_resynchronises(feed, out, counters):
    go_live(feed, out)
    audit(feed, Snapshot(6, [(100, 1), (99, 5)], [(101, 3)]))
    assert (counters["audits"], counters["audit_mismatches"]) == (1, 1)
    assert [t.state for t in feed.transitions] == [BookState.GAP, BookState.BUFFERING]
    assert "bid 99 ticks: 4 lots, the venue 5" in feed.transitions[0].text


def test_an_audit_is_silent_about_what_the_book_does_not_know(feed, out, counters):
    go_live(feed, out)  # a snapshot of two levels asked for: bids are known down to 98
    audit(feed, Snapshot(6, [(100, 1), (99, 4), (98, 2), (97, 8)], [(101, 3)]))
    assert (counters["audits"], counters["audit_mismatches"]) == (1, 0)


@pytest.mark.parametrize("purpose", Purpose)
def test_a_crossed_snapshot_beside_a_live_book_is_not_used(feed, out, counters, purpose):
    go_live(feed, out)
    feed.live.begin(purpose, feed.sync.last_update_id, 600 * MS)
    feed.on_snapshot(Snapshot(6, [(103, 2)], [(102, 3)]), 602 * MS, 22)
    assert feed.sync.state is BookState.LIVE
    assert counters == {f"{purpose.value}_failures": 1}
    assert feed.wanted_beside_live(300 * MS) is None
    feed.on_depth(depth(7, 7, bids=[(97, 5)]), 603 * MS, 23)
    assert [template for template, _, _ in out.take()] == [Template.BOOK_DELTA]


def test_what_the_book_refuses_resynchronises(feed, out):
    go_live(feed, out)
    feed.on_depth(depth(7, 7, bids=[(99, -1)]), 12, 22)
    ((_, block, _),) = out.take()
    assert block["book_state"] == BookState.BUFFERING
    assert [t.state for t in feed.transitions] == [BookState.GAP, BookState.BUFFERING]
    assert feed.transitions[0].text == "the book refuses event 7: BAD_LEVEL"


def test_a_snapshot_that_the_book_refuses_is_not_gone_on_with(feed, out):
    feed.on_depth(depth(5, 6, bids=[(99, 4)]), 10, 20)
    feed.sync.on_snapshot_requested()
    feed.on_snapshot(Snapshot(5, [(100, -1)], [(101, 3)]), 11, 21)
    assert feed.sync.state is BookState.BUFFERING
    assert all(block["book_state"] != BookState.LIVE for _, block, _ in out.take())


def test_what_was_buffered_behind_a_crossed_event_is_not_applied(feed, out):
    for event in (depth(5, 6), depth(7, 7, bids=[(101, 1)]), depth(8, 8, bids=[(101, 0)])):
        feed.on_depth(event, 10, 20)
    feed.sync.on_snapshot_requested()
    feed.on_snapshot(Snapshot(5, [(100, 1)], [(101, 3)]), 11, 21)
    assert feed.sync.crossings == 1
    assert [block["last_update_id"] for _, block, _ in out.take()][-1] == 7


def test_a_depth_event_that_cannot_be_read_is_a_gap_at_once(feed, out):
    feed.on_bad_depth("malformed: x", 9, 19)
    assert feed.sync.state is BookState.BUFFERING  # nothing to lose yet
    go_live(feed, out)
    feed.on_bad_depth("malformed: x", 12, 22)
    ((_, block, _),) = out.take()
    assert block["book_state"] == BookState.BUFFERING
    assert feed.sync.gaps == 1
    assert feed.transitions[0].text == "malformed: x"


def test_an_audit_older_than_its_request_is_left_out(feed, out, counters):
    go_live(feed, out)
    audit(feed, Snapshot(5, [(100, 7)], [(101, 3)]))
    assert counters == {"audit_skipped": 1}


def test_near_the_edge_of_what_is_known_the_book_is_refreshed_and_stays_live(feed, out, counters):
    go_live(feed, out)
    assert feed.wanted_beside_live(300 * MS) is None
    feed.on_depth(depth(7, 7, bids=[(100, 0), (99, 0)]), 12, 22)  # the touch is at the edge, 98
    out.take()
    assert feed.wanted_beside_live(600 * MS) is Purpose.REFRESH
    feed.live.begin(Purpose.REFRESH, feed.sync.last_update_id, 600 * MS)
    feed.on_depth(depth(8, 9, bids=[(97, 3)]), 601 * MS, 22)
    out.take()
    feed.on_snapshot(Snapshot(8, [(98, 2), (90, 4)], [(101, 3)]), 602 * MS, 22)
    ((_, block, groups),) = out.take()
    assert (block["book_state"], block["last_update_id"]) == (BookState.LIVE, 9)
    assert block["known_low_ticks"] == 90
    assert [tuple(row.values()) for row in groups["bids"]] == [(98, 2), (97, 3), (90, 4)]
    assert feed.wanted_beside_live(900 * MS) is None
    assert counters["refreshes"] == 1


def test_a_crossed_snapshot_is_not_loaded(feed, out):
    feed.on_depth(depth(5, 6, bids=[(99, 4)]), 10, 20)
    feed.sync.on_snapshot_requested()
    feed.on_snapshot(Snapshot(5, [(101, 1)], [(101, 3)]), 11, 21)
    assert feed.sync.state is BookState.BUFFERING
    assert all(not groups["bids"] for _, _, groups in out.take())


def test_a_repeated_touch_is_published_once(feed, out):
    go_live(feed, out)
    for update_id in (7, 7, 6):
        feed.on_best_bid_offer(BestBidOffer("BTCUSDT", 0, update_id, (100, 1), (101, 3)), 12, 22)
    assert len(out.take()) == 1
