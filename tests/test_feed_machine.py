"""The sync machine's faulty world once more, as bytes: frames -> parser -> feed -> published book.

What the venue sends is rendered as it writes it, depth frames and the bodies of snapshots, and
more goes wrong: what is no frame, frames cut short, crossed events and crossed snapshots, messages
that nobody takes. Two books follow: one by what the feed publishes, one by the compiled parser
and book alone (`FrameParser`, loaded anew where it gives up). Whenever one of them says LIVE, its
levels are the venue's at its own update id.
"""

import json
import random
from collections import Counter, deque
from decimal import Decimal

import numpy as np
import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from mm_collector.feed import Feed, InstrumentFilters
from mm_collector.frames import BadFrame, FrameReader, Instrument
from mm_collector.live import LiveSnapshots, Purpose
from mm_collector.trades import TradeFeed
from test_feed import Recorder
from test_sync_machine import MS, SIDES, SyncMachine

from mmquant.codes import BookState, FrameKind, Market
from mmquant.kernels.book import book_follow
from mmquant.kernels.book_read import book_top
from mmquant.parse import FrameParser
from mmquant.records import LEVEL
from mmquant.state import BOOK
from mmquant.wire import Inbox

SYMBOL = "BTCUSDT"
TICK_E8, LOT_E8 = 10_000_000, 100_000
DEPTH = 10  # levels a side: more than the venue has
READER = FrameReader()
READER.add(Instrument(SYMBOL, TICK_E8, LOT_E8))

NO_FRAMES = [  # what may come in a frame's place
    lambda frame: frame[: len(frame) // 2],
    lambda frame: frame[:-1],
    lambda frame: frame + frame,
    lambda frame: b"\xff\x00" + frame,
    lambda frame: frame.replace(b'"u":', b'"u":-'),
    lambda frame: frame.replace(b'"U":', b'"W":'),
    lambda frame: frame.replace(SYMBOL.encode(), b"ETHUSDT"),
    lambda frame: frame.replace(b'"b":[', b'"b":[["0.05","1"],'),
    lambda frame: frame.replace(b'"a":[', b'"a":[["1.1","-1"],'),
    lambda frame: frame.replace(b'"a":[', b'"a":[["1.1"],'),
    lambda frame: b"",
]


def texts(levels, market):
    """Return levels as the venue writes them: with eight decimals on spot, few on USD-M."""
    digits = (8, 8) if market is Market.SPOT else (2, 3)
    return [
        [
            f"{Decimal(ticks * TICK_E8).scaleb(-8):.{digits[0]}f}",
            f"{Decimal(lots * LOT_E8).scaleb(-8):.{digits[1]}f}",
        ]
        for ticks, lots in levels
    ]


def depth_frame(event, market):
    """Return an event's frame: raw or combined, as the venue writes it."""
    data = {"e": "depthUpdate", "E": 1_770_000_000_203, "s": SYMBOL}
    data |= {"U": event.first, "u": event.last}
    if market is Market.USDM:
        data |= {"T": 1_770_000_000_201, "pu": event.previous}
    data |= {"b": texts(event.bids, market), "a": texts(event.asks, market)}
    if event.last % 3 == 0:
        data = {"stream": "btcusdt@depth", "data": data}
    return orjson.dumps(data)


def snapshot_body(update_id, book, market):
    rows = [
        sorted(((t, lots) for (side, t), lots in book.items() if side == s), reverse=s == "bids")
        for s in SIDES
    ]
    times = {"E": 1_770_000_000_210, "T": 1_770_000_000_205} if market is Market.USDM else {}
    sides = dict(zip(SIDES, (texts(side, market) for side in rows), strict=True))
    return orjson.dumps({"lastUpdateId": update_id, **times, **sides})


def held(book):
    """Return a compiled book as the sync machine's venue keeps its own."""
    top = np.zeros(2 * DEPTH, LEVEL)
    n_bids, n_asks = book_top(book, top, DEPTH)
    return {("bids", t): lots for t, lots in top[:n_bids].tolist()} | {
        ("asks", t): lots for t, lots in top[DEPTH : DEPTH + n_asks].tolist()
    }


class FeedMachine(SyncMachine):
    """The machine with the collector's feed and two compiled books in its naive book's place."""

    def __init__(self):
        super().__init__()
        self.counters, self.out = Counter(), Recorder()
        filters = InstrumentFilters(
            Instrument(SYMBOL, TICK_E8, LOT_E8), self.market, 1, 10**7, 1, 10**6, 0
        )
        live = LiveSnapshots(10_000 * MS, 10, random.Random(1))
        trades = TradeFeed(1, Recorder(), self.counters, 5_000 * MS)
        self.feed = Feed(1, filters, self.sync, live, trades, self.out, self.counters, DEPTH, 1_000)
        self.follower, self.inbox = np.zeros(1, BOOK), Inbox()
        self.parser = FrameParser()
        self.parser.add(SYMBOL, TICK_E8, LOT_E8)
        self.parser.load(b'{"lastUpdateId":1,"bids":[],"asks":[]}', 1)
        self.heard = deque(maxlen=64)  # frames of this connection, for the second book

    # faults that only bytes have

    @precondition(lambda self: self.wire)
    @rule(spoil=st.sampled_from(NO_FRAMES))
    def garble(self, spoil):
        """Get something else in the place of a frame: it is refused, and so lost."""
        payload = spoil(depth_frame(self.wire.pop(0), self.market))
        with pytest.raises(BadFrame):
            READER.parse_message(payload)
        self.feed.on_bad_depth("a bad frame", self.now_ns, self.now_ns)
        assert self.sync.state is not BookState.LIVE
        before = self.parser.books.tobytes()
        assert self.parser.parse_and_apply(payload) is FrameKind.UNKNOWN
        assert self.parser.books.tobytes() == before

    @precondition(lambda self: self.wire)
    @rule()
    def deliver_with_blanks(self):
        """Get a frame that only the parser of all JSON knows: the second book misses it."""
        frame = depth_frame(self.wire.pop(0), self.market)
        self.take(json.dumps(json.loads(frame)).encode())

    @precondition(lambda self: self.sync.state is BookState.LIVE)
    @rule()
    def cross(self):
        """Get an event that crosses the book."""
        self.deliver_all()
        self.venue.change(("bids", 1), self.venue.id % 5, 0)
        event = self.venue.event(self.venue.sent_id, self.venue.id)
        self.venue.sent_id = self.venue.id
        event.bids.append((16, 1))
        event.asks.append((11, 1))
        self.take(depth_frame(event, self.market))
        assert self.sync.state is not BookState.LIVE

    @precondition(lambda self: self.reply is not None)
    @rule()
    def answer_crossed(self):
        self.reply = None
        crossed = {("bids", 16): 1, ("asks", 11): 1}
        body = snapshot_body(self.venue.id, crossed, self.market)
        self.feed.on_snapshot(READER.parse_snapshot(body, SYMBOL), self.now_ns, self.now_ns)
        assert self.sync.state is not BookState.LIVE

    @precondition(lambda self: self.wire)
    @rule()
    def deliver_while_nobody_listens(self):
        """Publish into a full stream: the feed remembers that it owes a snapshot."""
        self.out.accepts = False
        self.deliver()
        self.out.accepts = True
        self.check()

    # what a LIVE feed hears besides

    @rule()
    def touch(self):
        """Get the best bid and offer: the feed holds its book against it at equal ids."""
        book = self.venue.at(self.venue.id)
        bids, asks = ([(t, n) for (side, t), n in book.items() if side == s] for s in SIDES)
        if bids and asks:
            (bid, bid_size), (ask, ask_size) = texts([max(bids), min(asks)], self.market)
            data = {"u": self.venue.id, "s": SYMBOL, "b": bid, "B": bid_size}
            bbo = READER.parse_message(orjson.dumps({**data, "a": ask, "A": ask_size}))
            self.feed.on_best_bid_offer(bbo, self.now_ns, self.now_ns)

    @precondition(lambda self: self.sync.state is BookState.LIVE and not self.feed.live.purpose)
    @rule(purpose=st.sampled_from(Purpose))
    def ask_beside(self, purpose):
        self.feed.live.begin(purpose, self.sync.last_update_id, self.now_ns)

    @precondition(lambda self: self.feed.live.purpose)
    @rule(back=st.integers(0, 6))
    def answer_beside(self, back):
        """Answer an audit, or a refresh, which puts the snapshot in the LIVE book's place."""
        update_id = max(1_000, self.venue.id - back)
        self.load(update_id)

    @precondition(lambda self: self.parser.books[0]["book_state"] != BookState.LIVE)
    @rule(back=st.integers(0, 6))
    def load_second(self, back):
        update_id = max(1_000, self.venue.id - back)
        self.load_parser(snapshot_body(update_id, self.venue.at(update_id), self.market))

    # what hears of it

    def connect(self):
        self.heard.clear()
        self.feed.on_connected(self.now_ns, self.now_ns)

    def disconnect(self, text):
        self.feed.on_disconnected(text, self.now_ns, self.now_ns)

    def keep_time(self):
        self.feed.on_time(self.now_ns, self.now_ns)

    def load(self, update_id):
        body = snapshot_body(update_id, self.venue.at(update_id), self.market)
        self.feed.on_snapshot(READER.parse_snapshot(body, SYMBOL), self.now_ns, self.now_ns)
        self.load_parser(body)

    def load_parser(self, body):
        self.parser.load(body, 1)
        for payload in self.heard:
            self.parser.parse_and_apply(payload)
        self.check()

    def fail_snapshot(self, pause_ns):
        body = snapshot_body(self.venue.id, self.venue.at(self.venue.id), self.market)
        with pytest.raises(BadFrame) as caught:
            READER.parse_snapshot(body[:-2], SYMBOL)
        self.feed.on_snapshot_failed(str(caught.value), pause_ns, self.now_ns, self.now_ns)

    def hear(self, event):
        self.past.append(event)
        self.take(depth_frame(event, self.market))

    def take(self, payload):
        self.heard.append(payload)
        self.feed.on_depth(READER.parse_message(payload), self.now_ns, self.now_ns)
        self.parser.parse_and_apply(payload)
        self.check()

    # what must hold

    def check(self):
        if self.out.accepts and self.feed.snapshot_due:
            self.feed.publish_snapshot(self.now_ns, self.now_ns)
        for message in self.out.messages:
            self.inbox.receive(message)
            book_follow(self.follower, self.inbox.words)
        self.out.messages.clear()
        for book in (self.follower, *np.split(self.parser.books, len(self.parser.books))):
            if book[0]["book_state"] == BookState.LIVE and book[0]["synced"]:
                assert held(book) == self.venue.at(book[0]["last_update_id"])
        if self.sync.state is BookState.LIVE and self.out.accepts:
            assert self.follower[0]["book_state"] == BookState.LIVE
            assert self.follower[0]["last_update_id"] == self.sync.last_update_id
        assert not self.counters["audit_mismatches"]
        assert not self.counters["book_mismatches"]

    def teardown(self):
        """Without faults both books come back."""
        super().teardown()
        assert self.parser.books[0]["book_state"] == BookState.LIVE
        assert held(self.follower) == held(self.parser.books[:1]) == self.venue.at(self.venue.id)


class UsdmFeedMachine(FeedMachine):
    """The same on USD-M: `pu` names the event before, and ids have holes."""

    market = Market.USDM


TestSpotFeed = FeedMachine.TestCase
TestUsdmFeed = UsdmFeedMachine.TestCase
TestSpotFeed.settings = TestUsdmFeed.settings = settings(
    max_examples=40, stateful_step_count=50, deadline=None
)
