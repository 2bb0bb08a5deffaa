"""Every fault of a feed at random, against a naive dictionary book: LIVE means equal to the truth.

The truth is a history: the book at every id, kept as dictionaries. Events cut that history into
batches as the venue does (on USD-M with ids that belong to nobody), and whatever is lost,
repeated, reordered or late on the way, a LIVE book must equal the history at its own id.
"""

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from mm_collector.frames import DepthEvent
from mm_collector.sync import BookSync, SyncLimits

from mmquant.codes import BookState, Market

MS = 1_000_000
LIMITS = SyncLimits(
    max_buffered_events=12, stale_after_ns=2_000 * MS, retry_ns=50 * MS, max_retry_ns=200 * MS
)
SIDES = ("bids", "asks")


def put(book, levels):
    for key, lots in levels:
        if lots:
            book[key] = lots
        else:
            book.pop(key, None)


class Venue:
    """The truth at every id, and the events that one connection cuts it into."""

    def __init__(self, market):
        self.market = market
        self.id = 1_000
        self.changes = []  # (id, key, lots)
        self.sent_id = self.id
        self.truth = {self.id: {}}

    def change(self, key, lots, hole):
        self.id += 1 + (hole if self.market is Market.USDM else 0)
        self.changes.append((self.id, key, lots))
        book = dict(self.truth[max(self.truth)])
        put(book, [(key, lots)])
        self.truth[self.id] = book

    def at(self, update_id):
        return self.truth[max(known for known in self.truth if known <= update_id)]

    def event(self, previous, last):
        """Return the event of (previous, last]: of each level the newest change in it."""
        newest = {key: lots for i, key, lots in self.changes if previous < i <= last}
        ids = [i for i, _, _ in self.changes if previous < i <= last]
        first = previous + 1 if self.market is Market.SPOT else ids[0]
        sides = [[(t, lots) for (side, t), lots in newest.items() if side == s] for s in SIDES]
        return DepthEvent("BTCUSDT", 0, first, last, previous, *sides)


class SyncMachine(RuleBasedStateMachine):
    """The state machine with a naive book behind it, in a world that goes wrong."""

    market = Market.SPOT

    def __init__(self):
        super().__init__()
        self.venue = Venue(self.market)
        self.sync = BookSync(self.market, LIMITS, random.Random(1))
        self.now_ns = 1
        self.book = None
        self.wire = []  # events on their way
        self.past = []  # events delivered, to be repeated
        self.reply = None  # the snapshot on its way: id and levels
        self.sync.on_connected(self.now_ns)

    # the venue

    @rule(
        changes=st.lists(
            st.tuples(st.sampled_from(SIDES), st.integers(1, 6), st.integers(0, 4)),
            min_size=1,
            max_size=4,
        ),
        hole=st.integers(0, 3),
    )
    def trade_on(self, changes, hole):
        """Change the book and send an event."""
        for side, ticks, lots in changes:
            self.venue.change((side, ticks if side == "bids" else 10 + ticks), lots, hole)
        self.wire.append(self.venue.event(self.venue.sent_id, self.venue.id))
        self.venue.sent_id = self.venue.id

    # the way to us

    @precondition(lambda self: self.wire)
    @rule()
    def deliver(self):
        self.hear(self.wire.pop(0))

    @precondition(lambda self: self.wire)
    @rule()
    def deliver_all(self):
        while self.wire:
            self.hear(self.wire.pop(0))

    @precondition(lambda self: self.wire)
    @rule()
    def drop(self):
        self.wire.pop(0)

    @precondition(lambda self: self.sync.state is BookState.LIVE)
    @rule(lots=st.integers(0, 4), hole=st.integers(0, 3))
    def lose_one_of_two(self, lots, hole):
        """Lose an event from the middle of the stream of a LIVE book."""
        self.deliver_all()
        self.trade_on([("bids", 5, lots)], hole)
        self.wire.pop()
        self.trade_on([("bids", 6, lots)], hole)
        self.deliver_all()

    @precondition(lambda self: len(self.wire) > 1)
    @rule()
    def reorder(self):
        self.wire[0], self.wire[1] = self.wire[1], self.wire[0]

    @precondition(lambda self: self.past)
    @rule(back=st.integers(1, 5))
    def repeat(self, back):
        self.hear(self.past[-min(back, len(self.past))])

    @precondition(lambda self: self.past and self.market is Market.SPOT)
    @rule(back=st.integers(1, 5))
    def overlap(self, back):
        """Send an event whose ids reach back over some that have been delivered."""
        old = self.past[-min(back, len(self.past))]
        if old.previous < self.venue.id:
            self.hear(self.venue.event(old.previous, self.venue.id))

    @precondition(lambda self: self.venue.changes)
    @rule(back=st.integers(0, 6))
    def hand_over(self, back):
        """Go on with a connection that began earlier and cuts its batches elsewhere."""
        ids = [i for i, _, _ in self.venue.changes]
        begin = ids[-min(back + 1, len(ids))]
        while self.wire:
            self.hear(self.wire.pop(0))  # what the old one had delivered is taken first
        self.sync.on_handover(self.now_ns)
        if begin < self.venue.id:
            self.wire.append(self.venue.event(begin, self.venue.id))

    @rule()
    def reconnect(self):
        self.disconnect("reset")
        self.wire.clear()
        self.reply = None
        self.check()
        self.connect()

    @rule(wait_ms=st.sampled_from([1, 60, 300, 2_500]))
    def wait(self, wait_ms):
        """Let time pass; long silence makes a LIVE book STALE."""
        self.now_ns += wait_ms * MS
        self.keep_time()

    @precondition(lambda self: self.sync.state is BookState.LIVE)
    @rule()
    def cross(self):
        self.sync.on_crossed(self.now_ns, "crossed")

    # snapshots

    @precondition(lambda self: self.reply is None and self.sync.wants_snapshot(self.now_ns))
    @rule()
    def ask(self):
        self.sync.on_snapshot_requested()
        self.reply = "asked"

    @precondition(lambda self: self.sync.state is not BookState.LIVE and self.reply is None)
    @rule()
    def recover(self):
        """Let all go well for a moment, so that most of the time there is a book to break."""
        self.now_ns += 500 * MS
        self.trade_on([("bids", 2, 1 + self.venue.id % 3)], 1)
        self.deliver_all()
        if self.sync.wants_snapshot(self.now_ns):
            self.ask()
            self.answer(0)

    @precondition(lambda self: self.reply is not None)
    @rule(back=st.integers(-2, 12))
    def answer(self, back):
        """Answer: stale where `back` is large, in a hole of ids, or newer than the stream."""
        for _ in range(-back):
            self.venue.change(("bids", 1), self.venue.id % 5, 1)  # not sent yet
        update_id = max(1_000, self.venue.id - max(back, 0))
        self.reply = None
        self.load(update_id)
        if -back > 0:
            self.wire.append(self.venue.event(self.venue.sent_id, self.venue.id))
            self.venue.sent_id = self.venue.id

    @precondition(lambda self: self.reply is not None)
    @rule(pause_ms=st.sampled_from([0, 100]))
    def fail(self, pause_ms):
        self.reply = None
        self.fail_snapshot(pause_ms * MS)

    # what hears of it

    def connect(self):
        self.sync.on_connected(self.now_ns)

    def disconnect(self, text):
        self.sync.on_disconnected(self.now_ns, text)

    def keep_time(self):
        self.sync.on_time(self.now_ns)

    def load(self, update_id):
        due = self.sync.on_snapshot(update_id, self.now_ns)
        if due is not None:
            self.book = dict(self.venue.at(update_id))
            self.apply(due)

    def fail_snapshot(self, pause_ns):
        self.sync.on_snapshot_failed(self.now_ns, "HTTP 503", pause_ns)

    def hear(self, event):
        self.past.append(event)
        self.apply(self.sync.on_event(event, self.now_ns))

    def apply(self, events):
        for event in events:
            put(self.book, [(("bids", t), lots) for t, lots in event.bids])
            put(self.book, [(("asks", t), lots) for t, lots in event.asks])
        self.check()

    # what must hold

    def check(self):
        if self.sync.state is BookState.LIVE:
            assert self.book == self.venue.at(self.sync.last_update_id)

    @invariant()
    def is_right_or_says_not(self):
        self.check()

    def teardown(self):
        """Whatever has happened, a world without faults brings the book back."""
        self.wire.clear()
        self.reply = None
        self.disconnect("end")
        self.connect()
        for _ in range(3):
            self.now_ns += 500 * MS
            self.trade_on([("bids", 1, 1 + self.venue.id % 3)], 1)
            self.deliver()
            if self.sync.wants_snapshot(self.now_ns):
                self.ask()
                self.answer(0)
        assert self.sync.state is BookState.LIVE
        self.check()


class UsdmSyncMachine(SyncMachine):
    """The same on USD-M: `pu` names the event before, and ids have holes."""

    market = Market.USDM


TestSpot = SyncMachine.TestCase
TestUsdm = UsdmSyncMachine.TestCase
TestSpot.settings = TestUsdm.settings = settings(
    max_examples=40, stateful_step_count=50, deadline=None
)
