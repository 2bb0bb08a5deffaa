"""One instrument's events -> its book, and what is published of it."""

import time
from collections import Counter, deque
from dataclasses import dataclass

import numpy as np
from mm_runtime.transport import Publisher

from mm_collector.frames import BestBidOffer, DepthEvent, Instrument, Levels, Snapshot
from mm_collector.live import LiveSnapshots, Purpose
from mm_collector.splice import differences
from mm_collector.sync import BookSync, Transition
from mm_collector.trades import TradeFeed
from mmquant import parse
from mmquant.codes import BookCode, BookState, Market, Reason, Template
from mmquant.kernels.book import MAX_PRICE_TICKS, book_follow, book_top
from mmquant.records import LEVEL
from mmquant.state import BOOK
from mmquant.wire import MessageBuffer

__all__ = ["Feed", "InstrumentFilters", "warm_up"]

_MAX_EVENT_LEVELS = 16_384
_MAX_PENDING_CHECKS = 4_096
_AUDITED_LEVELS = 1_000  # of ours a side: more than in any audit's snapshot
_EDGE_SHARE = 4  # the edge is near once a quarter of the known range is left
_EDGE_CHECK_NS = 250_000_000


@dataclass(frozen=True, slots=True)
class InstrumentFilters:
    """What the venue allows for an instrument, in ticks and lots."""

    instrument: Instrument
    market: Market
    min_price_ticks: int
    max_price_ticks: int
    min_qty_lots: int
    max_qty_lots: int
    min_notional_e8: int
    max_notional_e8: int = 0  # these: 0 where the venue has no such rule
    buy_up_e8: int = 0
    buy_down_e8: int = 0
    sell_up_e8: int = 0
    sell_down_e8: int = 0
    max_orders: int = 0
    status: str = "TRADING"  # what else it may be, only the venue knows


class Feed:
    """Keeps one instrument's book and publishes everything about it.

    Parameters
    ----------
    instrument_id
        Number of the instrument in all messages, from 1.
    filters
        The venue's rules for it.
    sync
        The state machine that decides what may be applied.
    live
        Snapshots beside the LIVE book.
    trades
        The instrument's trades.
    market_data
        Publisher of stream 10.
    counters
        The service's counters: book_checks, book_mismatches, audits, audit_mismatches, ...
    snapshot_levels
        Levels a side in published snapshots.
    asked_levels
        Levels a side asked of the venue: an answer with fewer is the whole book.
    """

    def __init__(
        self,
        instrument_id: int,
        filters: InstrumentFilters,
        sync: BookSync,
        live: LiveSnapshots,
        trades: TradeFeed,
        market_data: Publisher,
        counters: Counter[str],
        snapshot_levels: int,
        asked_levels: int,
    ) -> None:
        self.instrument_id = instrument_id
        self.filters = filters
        self.sync = sync
        self.live = live
        self.trades = trades
        self.snapshot_due = False
        self.transitions: deque[Transition] = deque()
        self.instrument = MessageBuffer(Template.INSTRUMENT)
        self.epoch = 0
        self._market_data = market_data
        self._counters = counters
        self._book = np.zeros(1, BOOK)
        self._delta = MessageBuffer(Template.BOOK_DELTA, (_MAX_EVENT_LEVELS, _MAX_EVENT_LEVELS))
        self._loaded = MessageBuffer(Template.BOOK_SNAPSHOT, (_MAX_EVENT_LEVELS, _MAX_EVENT_LEVELS))
        self._snapshot = MessageBuffer(Template.BOOK_SNAPSHOT, (snapshot_levels, snapshot_levels))
        self._bbo = MessageBuffer(Template.BEST_BID_OFFER)
        self._top = np.zeros(2 * snapshot_levels, LEVEL)
        self._audit_top = np.zeros(2 * _AUDITED_LEVELS, LEVEL)
        self._levels = snapshot_levels
        self._asked_levels = asked_levels
        self._bid_edge_ticks = 0  # the touch at these is near the edge of what is known
        self._ask_edge_ticks = 0
        self._next_edge_check_ns = 0
        self._unchecked: deque[tuple[int, int, int, int, int]] = deque()
        self._last_touch = (0, 0, 0, 0, 0)
        self._fill_instrument()

    # events in

    def on_depth(self, event: DepthEvent, received_ns: int, now_ns: int) -> bool:
        """Apply a depth event, if the rules allow it; return False for a repeat."""
        repeats = self.sync.duplicates
        self._apply_all(self.sync.on_event(event, received_ns), received_ns, now_ns)
        self._tell_transitions(received_ns, now_ns)
        self._use_live_snapshot(received_ns, now_ns)
        return self.sync.duplicates == repeats

    def on_bad_depth(self, text: str, received_ns: int, now_ns: int) -> None:
        """Note a depth event that came but cannot be read."""
        self.sync.on_lost(received_ns, text)
        self._tell_transitions(received_ns, now_ns)

    def on_snapshot(self, snapshot: Snapshot, received_ns: int, now_ns: int) -> None:
        """Load the venue's snapshot and apply what was buffered on top of it."""
        if self.live.purpose is not None:
            self.live.answer(snapshot)
            self._use_live_snapshot(received_ns, now_ns)
            return
        if _is_crossed(snapshot):
            self.sync.on_snapshot_failed(received_ns, "the snapshot is crossed")
        else:
            due = self.sync.on_snapshot(snapshot.last_update_id, received_ns)
            if due is not None:
                self._load(snapshot, received_ns, now_ns)
                self._apply_all(due, received_ns, now_ns)
        self._tell_transitions(received_ns, now_ns)

    def on_snapshot_failed(self, text: str, wait_ns: int, received_ns: int, now_ns: int) -> None:
        """Note that the snapshot asked for could not be had."""
        if self.live.purpose is not None:
            self._counters[f"{self.live.purpose.value}_failures"] += 1
            self.live.cancel()
        self.sync.on_snapshot_failed(received_ns, text, wait_ns)
        self._tell_transitions(received_ns, now_ns)

    def wanted_beside_live(self, received_ns: int) -> Purpose | None:
        """Return what another snapshot of the LIVE book is wanted for now."""
        if self.sync.state is not BookState.LIVE or received_ns < self._next_edge_check_ns:
            return None
        self._next_edge_check_ns = received_ns + _EDGE_CHECK_NS
        book = self._book[0]
        is_near = bool(
            (self._bid_edge_ticks and book["best_bid_ticks"] <= self._bid_edge_ticks)
            or (self._ask_edge_ticks and book["best_ask_ticks"] >= self._ask_edge_ticks)
        )
        return self.live.due(received_ns, is_near)

    def on_best_bid_offer(self, bbo: BestBidOffer, received_ns: int, now_ns: int) -> bool:
        """Publish the touch and hold the book against it at equal ids; False for a repeat."""
        (bid_ticks, bid_lots), (ask_ticks, ask_lots) = bbo.bid, bbo.ask
        touch = (bbo.update_id, bid_ticks, bid_lots, ask_ticks, ask_lots)
        if bbo.update_id < self._last_touch[0] or touch == self._last_touch:
            self._counters["touch_duplicates"] += 1
            return False
        self._last_touch = touch
        if self.sync.state is not BookState.LIVE:
            return True
        if bbo.update_id >= self.sync.last_update_id:
            if len(self._unchecked) >= _MAX_PENDING_CHECKS:
                self._unchecked.popleft()
            self._unchecked.append(touch)
            self._check_touch()
        publisher = self._market_data
        block = self._bbo.block[0]
        block["now_ns"], block["epoch"] = now_ns, self.epoch
        block["instrument_id"] = self.instrument_id
        block["venue_ns"], block["update_id"] = bbo.venue_ns, bbo.update_id
        block["bid_ticks"], block["bid_lots"] = bbo.bid
        block["ask_ticks"], block["ask_lots"] = bbo.ask
        block["received_ns"] = received_ns
        block["seq"], block["sent_ns"] = publisher.next_seq(), time.time_ns()
        self.snapshot_due |= not publisher.offer(self._bbo)
        return True

    def on_time(self, received_ns: int, now_ns: int) -> None:
        """Let the book grow stale, and tell of it."""
        self.sync.on_time(received_ns)
        self._tell_transitions(received_ns, now_ns)

    def on_connected(self, received_ns: int, now_ns: int) -> None:
        """Begin anew: another connection may belong to another life of the venue."""
        self._last_touch = (0, 0, 0, 0, 0)
        self.sync.on_connected(received_ns)
        self.trades.on_connected(received_ns)
        self._tell_transitions(received_ns, now_ns)

    def on_disconnected(self, text: str, received_ns: int, now_ns: int) -> None:
        """Mark the book: nothing is known from here on."""
        self.sync.on_disconnected(received_ns, text)
        self._tell_transitions(received_ns, now_ns)

    # messages out

    def publish_snapshot(self, received_ns: int, now_ns: int) -> None:
        """Publish the book as far as it is known, marked with its state."""
        publisher = self._market_data
        book, block = self._book[0], self._snapshot.block[0]
        block["now_ns"], block["epoch"] = now_ns, self.epoch
        block["instrument_id"] = self.instrument_id
        block["last_update_id"] = book["last_update_id"]
        block["known_low_ticks"] = book["known_low_ticks"]
        block["known_high_ticks"] = book["known_high_ticks"]
        block["book_state"], block["received_ns"] = self.sync.state, received_ns
        book_top(self._book, self._top, self._levels)
        for side, start in ((0, 0), (1, self._levels)):
            rows = self._top[start : start + self._levels]
            self._snapshot.set_group(side, rows[rows["qty_lots"] > 0])
        block["seq"], block["sent_ns"] = publisher.next_seq(), time.time_ns()
        self.snapshot_due = not publisher.offer(self._snapshot)

    # inner works

    def _apply_all(
        self, events: list[DepthEvent], received_ns: int, now_ns: int, is_silent: bool = False
    ) -> None:
        """Apply events up to the first that leaves no good book behind."""
        for event in events:
            if not self._apply(event, received_ns, now_ns, is_silent):
                return

    def _apply(self, event: DepthEvent, received_ns: int, now_ns: int, is_silent: bool) -> bool:
        block = self._delta.block[0]
        block["now_ns"], block["epoch"] = now_ns, self.epoch
        block["instrument_id"] = self.instrument_id
        block["venue_ns"] = event.venue_ns
        block["first_update_id"], block["last_update_id"] = event.first, event.last
        block["previous_update_id"] = self._book[0]["last_update_id"]
        block["received_ns"] = received_ns
        self._set_levels(self._delta, event.bids, event.asks)
        code = book_follow(self._book, self._delta.words)
        if code == BookCode.CROSSED:
            touch = f"{self._book[0]['best_bid_ticks']} >= {self._book[0]['best_ask_ticks']}"
            self.sync.on_crossed(received_ns, f"after {event.last}: {touch} ticks")
            return False
        if not self._is_taken(code, f"event {event.last}", received_ns):
            return False
        self._check_touch()
        self.live.note(event)
        if is_silent or not self._is_announced():
            return True  # still marked as not live downstream: the snapshot to come holds it
        publisher = self._market_data
        block["seq"], block["sent_ns"] = publisher.next_seq(), time.time_ns()
        self.snapshot_due |= not publisher.offer(self._delta)
        return True

    def _is_taken(self, code: int, what: str, received_ns: int) -> bool:
        """Return whether the book took a message in; where not, it is no longer the venue's."""
        if code in (BookCode.OK, BookCode.IGNORED):
            return True
        text = f"the book refuses {what}: {BookCode(code).name}"
        self.sync.on_mismatch(received_ns, text)
        return False

    def _load(self, snapshot: Snapshot, received_ns: int, now_ns: int) -> None:
        self.epoch = max(self.epoch + 1, time.time_ns() // 1_000_000_000)
        block = self._loaded.block[0]
        block["now_ns"], block["epoch"] = now_ns, self.epoch
        block["instrument_id"] = self.instrument_id
        block["last_update_id"] = snapshot.last_update_id
        block["known_low_ticks"] = min((ticks for ticks, _ in snapshot.bids), default=0)
        block["known_high_ticks"] = max((ticks for ticks, _ in snapshot.asks), default=0)
        block["book_state"] = BookState.LIVE
        self._set_levels(self._loaded, snapshot.bids, snapshot.asks)
        code = book_follow(self._book, self._loaded.words)
        self._is_taken(code, f"snapshot {snapshot.last_update_id}", received_ns)
        self._unchecked.clear()
        self._bid_edge_ticks = self._ask_edge_ticks = 0
        if len(snapshot.bids) >= self._asked_levels:
            low = int(block["known_low_ticks"])
            self._bid_edge_ticks = low + (snapshot.bids[0][0] - low) // _EDGE_SHARE
        if len(snapshot.asks) >= self._asked_levels:
            high = int(block["known_high_ticks"])
            self._ask_edge_ticks = high - (high - snapshot.asks[0][0]) // _EDGE_SHARE

    def _use_live_snapshot(self, received_ns: int, now_ns: int) -> None:
        taken = self.live.take()
        if taken is None:
            return
        purpose, snapshot, later = taken
        if later is None:
            self._counters[f"{purpose.value}_skipped"] += 1
        elif _is_crossed(snapshot):
            self._counters[f"{purpose.value}_failures"] += 1
        elif purpose is Purpose.AUDIT:
            self._audit(snapshot, later, received_ns)
        else:
            self._counters["refreshes"] += 1
            self._load(snapshot, received_ns, now_ns)
            self._apply_all(later, received_ns, now_ns, is_silent=True)
            self.publish_snapshot(received_ns, now_ns)
        self._tell_transitions(received_ns, now_ns)

    def _audit(self, snapshot: Snapshot, later: list[DepthEvent], received_ns: int) -> None:
        book_top(self._book, self._audit_top, _AUDITED_LEVELS)
        bids, asks = (side[side["qty_lots"] > 0] for side in np.split(self._audit_top, 2))
        self._counters["audits"] += 1
        row = self._book[0]
        known = (
            int(row["known_low_ticks"]) if self._bid_edge_ticks else 0,
            int(row["known_high_ticks"]) if self._ask_edge_ticks else MAX_PRICE_TICKS,
        )
        found = differences((bids, asks), (snapshot.bids, snapshot.asks), later, known)
        if found:
            self._counters["audit_mismatches"] += 1
            text = f"audit at {snapshot.last_update_id}: {len(found)} levels differ, {found[0]}"
            self.sync.on_mismatch(received_ns, text)

    def _set_levels(self, message: MessageBuffer, bids: Levels, asks: Levels) -> None:
        message.set_group(0, np.asarray(bids, LEVEL))
        message.set_group(1, np.asarray(asks, LEVEL))

    def _is_announced(self) -> bool:
        return self.sync.state is BookState.LIVE and not self.sync.transitions

    def _tell_transitions(self, received_ns: int, now_ns: int) -> None:
        moved = bool(self.sync.transitions)
        while self.sync.transitions:
            transition = self.sync.transitions.popleft()
            if transition.state is BookState.LIVE:
                self.live.start(received_ns)
            else:
                self.live.cancel()
            self.transitions.append(transition)
        if moved:
            self.publish_snapshot(received_ns, now_ns)

    def _check_touch(self) -> None:
        book = self._book[0]
        known_id = int(book["last_update_id"])
        while self._unchecked and self._unchecked[0][0] <= known_id:
            update_id, *touch = self._unchecked.popleft()
            if update_id < known_id:
                continue
            ours = [
                int(book[name])
                for name in ("best_bid_ticks", "best_bid_lots", "best_ask_ticks", "best_ask_lots")
            ]
            self._counters["book_checks"] += 1
            self._counters["book_mismatches"] += ours != touch

    def _fill_instrument(self) -> None:
        block, filters = self.instrument.block[0], self.filters
        block["instrument_id"] = self.instrument_id
        block["symbol"] = filters.instrument.symbol.encode()
        block["tick_size_e8"] = filters.instrument.tick_size_e8
        block["lot_size_e8"] = filters.instrument.lot_size_e8
        block["min_price_ticks"], block["max_price_ticks"] = (
            filters.min_price_ticks,
            filters.max_price_ticks,
        )
        block["min_qty_lots"], block["max_qty_lots"] = filters.min_qty_lots, filters.max_qty_lots
        block["min_notional_e8"], block["market"] = filters.min_notional_e8, filters.market
        block["max_notional_e8"], block["max_orders"] = filters.max_notional_e8, filters.max_orders
        for name in ("buy_up_e8", "buy_down_e8", "sell_up_e8", "sell_down_e8"):
            block[name] = getattr(filters, name)

    @property
    def failure(self) -> Reason:
        """Why the book is not LIVE, NONE where it is."""
        if self.sync.state is BookState.LIVE:
            return Reason.NONE
        if self.sync.state is BookState.DOWN:
            return Reason.CONNECTION_LOST
        return Reason.BOOK_NOT_LIVE


def _is_crossed(snapshot: Snapshot) -> bool:
    if not len(snapshot.bids) or not len(snapshot.asks):
        return False
    best_bid = max(ticks for ticks, _ in snapshot.bids)
    return bool(best_bid >= min(ticks for ticks, _ in snapshot.asks))


def warm_up() -> None:
    """Load (or compile) the service's kernels as they are called, before the first message."""
    parse.warm_up()
    message = MessageBuffer(Template.BOOK_SNAPSHOT, (1, 1))
    book = np.zeros(1, BOOK)
    book_follow(book, message.words)
    book_top(book, np.zeros(2, LEVEL), 1)
