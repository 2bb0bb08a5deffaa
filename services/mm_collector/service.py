"""The collector: connects to the venue, keeps each symbol's book right, publishes market data."""

import random
from collections.abc import Iterator
from pathlib import Path

from mm_runtime.clock import Clock
from mm_runtime.config import load
from mm_runtime.metrics_table import Sample
from mm_runtime.service import Service
from mm_runtime.settings import CollectorSettings, RuntimeSettings

from mm_collector.budget import Budget
from mm_collector.feed import Feed, InstrumentFilters, warm_up
from mm_collector.frames import (
    Acknowledgement,
    AggregateTrade,
    BadFrame,
    BestBidOffer,
    DepthEvent,
    Event,
    FrameReader,
    ServerShutdown,
    VoidTrade,
)
from mm_collector.instruments import Instruments
from mm_collector.journal import Journal
from mm_collector.link import Link, LinkEvent
from mm_collector.live import LiveSnapshots
from mm_collector.rest import Rest
from mm_collector.snapshots import Answer, Snapshots
from mm_collector.streams import Streams
from mm_collector.subscriptions import stream_of
from mm_collector.sync import BookSync, SyncLimits
from mm_collector.trades import TradeFeed
from mm_collector.venue import RULES, VenueRules
from mmquant.codes import (
    BookState,
    Market,
    Reason,
    RequestKind,
    Role,
    ServiceState,
    Stream,
    Template,
)

__all__ = ["Collector", "build"]

_MS = 1_000_000
_MINUTE_NS = 60_000 * _MS
_FRAMES_PER_TURN = 64
_LOGGED_DROPS_PER_KIND = 5
_QUEUED_TRADES = 65_536
_QUEUED_MARKET_DATA = 1_024  # only where nothing may be lost: while it queues, nothing is taken


class Collector(Service):
    """Agent of mm_collector; see the package's docstring."""

    role = Role.MM_COLLECTOR
    must_be_ready = True

    def __init__(
        self, settings: RuntimeSettings, config: CollectorSettings, clock: Clock, seed: int = 0
    ) -> None:
        super().__init__(settings, clock)
        self.config = config
        self._rng = random.Random(seed or None)
        self._rules: VenueRules = RULES[Market[config.market.upper()]]
        weight = config.sync.request_weight_per_minute or self._rules.weight_per_minute
        rest_url = config.endpoints.rest_url or self._rules.rest_url
        self._rest = Rest(rest_url, Budget(weight, _MINUTE_NS))
        self._levels = config.depth.snapshot_limit or self._rules.max_snapshot_levels
        self._wanted = Instruments(config, self._rules, self._rest, self._rng)
        self._snapshots = Snapshots(self._rest, self._rules, self._levels)
        self._streams = Streams(config, self._rules, self.waits, self._rng)
        self._journal = Journal(config, self.counters)
        self._feeds: dict[str, Feed] = {}
        self._feeds_by_depth: dict[str, Feed] = {}  # by the depth stream's name
        self._off_tick: set[str] = set()  # symbols whose prices do not fit the tick we know
        self._reader = FrameReader()
        self._next_snapshot_ns = 0
        self._now_ns = 0  # the market's clock
        self._reported_failures: dict[str, str] = {}

    def start(self) -> None:
        """Open the streams."""
        warm_up()
        self._journal.open()
        queue_limit = _QUEUED_MARKET_DATA if self.waits else 0
        self._market_data = self.publish_on(Stream.MARKET_DATA, queue_limit)
        self._trades = self.publish_on(Stream.TRADES, _QUEUED_TRADES)
        self.subscribe(Stream.STATE, {Template.REQUEST: self._on_request})

    def duty(self, now_ns: int) -> int:
        """Poll everything that may have news; the venue's frames last."""
        work = self.poll()
        if self.config.publish.time_source == "receive":
            self._now_ns = now_ns
        if not self._wanted.are_complete:
            return work + self._poll_instruments(now_ns)
        work += self._poll_snapshots(now_ns)
        for link in self._streams.links:
            work += self._poll_link(link, now_ns)
        self._keep_time(now_ns)
        return work

    def stop(self) -> None:
        """Tell everybody that the books end here."""
        now_ns = self.clock.now_ns()
        for feed in self._feeds.values():
            feed.on_disconnected("collector stops", now_ns, self._now_ns)
            symbol = feed.filters.instrument.symbol
            self._journal.mark(symbol, now_ns, BookState.DOWN.name.lower(), "collector stops")
        self._streams.close()
        self._journal.close()

    def samples(self) -> Iterator[Sample]:
        """Give the feed's lag and each book's state and faults."""
        yield Sample("feed_lag_seconds", self.lag_ns / 1e9)
        now_ns = self.clock.now_ns()
        ready_ns = self._rest.budget.ready_ns(self._rules.weight_of(self._levels), now_ns)
        yield Sample("request_pause_seconds", max(0, ready_ns - now_ns) / 1e9)
        for symbol, feed in list(self._feeds.items()):
            sync = feed.sync
            for state in BookState:
                yield Sample("book_state", state is sync.state, (symbol, state.name.lower()))
            yield Sample("book_gaps_total", sync.gaps, (symbol,))
            yield Sample("book_crossings_total", sync.crossings, (symbol,))
            yield Sample("book_duplicates_total", sync.duplicates, (symbol,))

    # the venue's rules for our symbols

    def _poll_instruments(self, now_ns: int) -> int:
        known = self._wanted.poll(now_ns)
        for filters in known:
            self._add_feed(filters)
        if self._wanted.trouble:
            text = f"{self._wanted.trouble}; next try in {self._wanted.retry_in_ms} ms"
            self.log.warning("%s", text)
            self.set_state(ServiceState.DEGRADED, Reason.NO_INSTRUMENT, text)
            self._wanted.trouble = ""
        return len(known)

    def _add_feed(self, filters: InstrumentFilters) -> None:
        config, symbol = self.config, filters.instrument.symbol
        limits = SyncLimits(
            config.sync.max_buffered_events,
            config.sync.stale_after_ms * _MS,
            config.sync.snapshot_retry_ms * _MS,
            config.connection.backoff_max_ms * _MS,
        )
        audit_ns = int(config.sync.audit_interval_s * 1_000 * _MS)
        silent_ns = config.connection.first_frame_timeout_ms * _MS
        instrument_id = config.symbols.index(symbol) + 1
        self._reader.add(filters.instrument)
        self._feeds[symbol] = Feed(
            instrument_id,
            filters,
            BookSync(self._rules.market, limits, self._rng),
            LiveSnapshots(audit_ns, config.sync.max_buffered_events, self._rng),
            TradeFeed(
                instrument_id,
                self._trades,
                self.counters,
                silent_ns if self._rules.aggregate_path else 0,
            ),
            self._market_data,
            self.counters,
            config.publish.snapshot_levels,
            self._levels,
        )
        self._feeds_by_depth[self._streams.depth_stream(symbol)] = self._feeds[symbol]
        self.log.info("instrument %s: %s", symbol, filters)
        if filters.status != "TRADING":
            self.log.warning("%s is not traded now: the venue says %s", symbol, filters.status)

    # snapshots

    def _poll_snapshots(self, now_ns: int) -> int:
        answers = self._snapshots.answers(now_ns)
        for answer in answers:
            self._on_snapshot(answer, now_ns)
        self._snapshots.ask(self._feeds.values(), now_ns)
        return len(answers)

    def _on_snapshot(self, answer: Answer, now_ns: int) -> None:
        feed, reply = answer.feed, answer.reply
        symbol = feed.filters.instrument.symbol
        try:
            if reply.status != 200:
                raise BadFrame("snapshot_failed", reply.text)
            snapshot = self._reader.parse_snapshot(reply.body, symbol)
        except BadFrame as error:
            self._drop(error)
            self._note_tick(error, symbol)
            self._journal.mark(symbol, now_ns, "snapshot_failed", str(error))
            feed.on_snapshot_failed(str(error), reply.retry_after_ns, now_ns, self._now_ns)
            return
        self._journal.frame(symbol, now_ns, reply.body)
        if feed.sync.state is BookState.SYNCING:
            self.counters["snapshots"] += 1
        self.counters["snapshot_us"] = (now_ns - answer.asked_ns) // 1_000
        feed.on_snapshot(snapshot, now_ns, self._now_ns)

    # frames

    def _poll_link(self, link: Link, now_ns: int) -> int:
        link.poll(now_ns)  # even where frames must wait: the venue's pings must not
        work = 0
        while work < _FRAMES_PER_TURN and not self._is_held():
            if link.has_frames:
                payload, received_ns = link.take()
                self._on_frame(link, payload, received_ns)
            elif link.events:
                self._on_link_event(link, link.events.popleft(), now_ns)
            else:
                break
            work += 1
        if link.standby_firsts() is not None and not link.has_frames and not link.events:
            self._streams.hand_over(link, self._feeds.values(), self._reader)
            link.give_up_standby(now_ns)
        while link.abandoned:
            self.counters["handovers_failed"] += 1
            text = link.abandoned.popleft()
            self.log.warning("a new connection to %s could not take over: %s", link.url, text)
        if link.failure != self._reported_failures.get(link.url, ""):
            self._report_failure(link)
        while link.silent:
            self.counters["silent_streams"] += 1
            self.log.warning("stream %s delivers nothing: asked again", link.silent.popleft())
        return work

    def _is_held(self) -> bool:
        return self.waits and (self._market_data.blocked or self._trades.blocked)

    def _on_link_event(self, link: Link, event: LinkEvent, now_ns: int) -> None:
        if event is LinkEvent.OPENED:
            self.counters["connections"] += 1
            self.log.info("connected to %s", link.url)
        elif event is LinkEvent.HANDED_OVER:
            self.counters["handovers"] += 1
            self.log.info("a new connection to %s has taken over", link.url)
        if link is not self._streams.main:
            return
        for symbol, feed in self._feeds.items():
            self._journal.mark(symbol, now_ns, event.name.lower(), link.failure)
            if event is LinkEvent.OPENED:
                self._snapshots.forget(feed)  # an answer for the old connection is of no use
                feed.on_connected(now_ns, self._now_ns)
            elif event is LinkEvent.LOST:
                feed.on_disconnected(link.failure, now_ns, self._now_ns)
            else:
                feed.sync.on_handover(now_ns)

    def _report_failure(self, link: Link) -> None:
        self._reported_failures[link.url] = link.failure
        if not link.failure:
            return
        self.counters["connection_failures"] += 1
        self.log.warning("connection: %s; reconnecting with backoff", link.failure)
        if link is self._streams.main and not link.is_open:
            self.set_state(ServiceState.DEGRADED, Reason.CONNECTION_LOST, link.failure)

    def _on_frame(self, link: Link, payload: bytes, received_ns: int) -> None:
        try:
            event = self._reader.parse_message(payload)
        except BadFrame as error:
            self.counters["frames"] += 1
            self._drop(error)
            self._journal.bad_frame(payload, received_ns, str(error))
            feed = self._feeds_by_depth.get(stream_of(payload))
            if feed is not None:
                self._note_tick(error, feed.filters.instrument.symbol)
                feed.on_bad_depth(str(error), received_ns, self._now_ns)
            return
        if isinstance(event, Acknowledgement):  # an answer: no market data
            self.log.info("venue says %s", event.text)
            return
        self.counters["frames"] += 1
        if isinstance(event, ServerShutdown):
            self.counters["server_shutdowns"] += 1
            self.log.warning("the venue is about to close the connection: replacing it")
            link.renew()
        elif self._on_event(event, received_ns):
            self._journal.frame(event.symbol, received_ns, payload)

    def _on_event(self, event: Event | VoidTrade, received_ns: int) -> bool:
        """Give an event to its feed; return whether it was new."""
        feed = self._feeds[event.symbol]
        if isinstance(event, VoidTrade):
            self.counters["dropped.not_a_trade"] += 1
            return feed.trades.on_void(event, received_ns)
        if self.config.publish.time_source == "venue":
            self._now_ns = max(self._now_ns, event.venue_ns)
        now_ns = self._now_ns
        self.lag_ns = received_ns - event.venue_ns if event.venue_ns else self.lag_ns
        if isinstance(event, DepthEvent):
            self.counters["depth_events"] += 1
            return feed.on_depth(event, received_ns, now_ns)
        if isinstance(event, BestBidOffer):
            return feed.on_best_bid_offer(event, received_ns, now_ns)
        if isinstance(event, AggregateTrade):
            return feed.trades.on_aggregate(event, feed.epoch, received_ns, now_ns)
        return feed.trades.on_trade(event, feed.epoch, received_ns, now_ns)

    def _note_tick(self, error: BadFrame, symbol: str) -> None:
        if error.kind == "off_tick":
            self._off_tick.add(symbol)

    def _drop(self, error: BadFrame) -> None:
        name = f"dropped.{error.kind}"
        self.counters[name] += 1
        if self.counters[name] <= _LOGGED_DROPS_PER_KIND:
            self.log.warning("dropped a frame: %s", error)

    # time and telling

    def _keep_time(self, now_ns: int) -> None:
        periodic = now_ns >= self._next_snapshot_ns
        if periodic:
            self._next_snapshot_ns = now_ns + self.config.publish.snapshot_interval_ms * _MS
        main = self._streams.main
        is_behind = main.has_frames or self._is_held()  # then silence is ours, not the venue's
        for symbol, feed in self._feeds.items():
            if not is_behind:
                feed.on_time(now_ns, self._now_ns)
                if main.is_open:
                    self._watch_trades(symbol, feed, now_ns)
                    if feed.sync.state is not BookState.LIVE:
                        self._streams.expect_depth(symbol, now_ns)
            self._tell_transitions(symbol, feed, now_ns)
            if periodic:
                self._publish_instrument(feed)
            if (periodic or feed.snapshot_due) and not self._market_data.blocked:
                feed.publish_snapshot(now_ns, self._now_ns)
        if periodic:
            self._count_syncs()
        if main.is_open:
            self._tell_state(now_ns)

    def _watch_trades(self, symbol: str, feed: Feed, now_ns: int) -> None:
        had_aggregates = feed.trades.uses_aggregates
        feed.trades.on_time(now_ns)
        if feed.trades.uses_aggregates and not had_aggregates:
            self.log.info("no trades of %s for a while: aggregated trades may stand in", symbol)
            self._streams.want_aggregates(symbol)

    def _tell_transitions(self, symbol: str, feed: Feed, now_ns: int) -> None:
        while feed.trades.restarts:
            self.log.warning(
                "trade ids of %s begin anew: %s", symbol, feed.trades.restarts.popleft()
            )
        while feed.transitions:
            moved = feed.transitions.popleft()
            self.publish_book_state(
                feed.instrument_id, feed.epoch, moved.state, moved.reason, moved.text
            )
            self._journal.mark(symbol, now_ns, moved.state.name.lower(), moved.text)
            if moved.state is BookState.LIVE:
                self.counters["syncs"] += 1
                self._off_tick.discard(symbol)

    def _publish_instrument(self, feed: Feed) -> None:
        publisher = self.publisher(Stream.STATE)
        block = feed.instrument.block[0]
        block["seq"], block["now_ns"] = publisher.next_seq(), self._now_ns
        publisher.offer(feed.instrument)

    def _tell_state(self, now_ns: int) -> None:
        failures = [f for f in self._feeds.values() if f.failure is not Reason.NONE]
        if not failures:
            self.set_state(ServiceState.READY, Reason.NONE, "all books LIVE")
        else:
            names = ", ".join(self._told(f.filters) for f in failures)
            obstacle = self._rest.obstacle(self._rules.weight_of(self._levels), now_ns)
            reason = Reason.REQUESTS_PAUSED if obstacle else failures[0].failure
            text = f"not LIVE: {names}{'; ' if obstacle else ''}{obstacle}"
            self.set_state(ServiceState.DEGRADED, reason, text)

    def _told(self, filters: InstrumentFilters) -> str:
        """Return a symbol, with what of the venue's rules for it may be why it is not LIVE."""
        symbol, status = filters.instrument.symbol, filters.status
        if symbol in self._off_tick:
            # Others reckon in the old ticks, too: a new tick in mid-run would be a wrong price.
            return f"{symbol} (prices off the tick known at the start: stop all, start anew)"
        return symbol if status == "TRADING" else f"{symbol} ({status} at the start)"

    def _count_syncs(self) -> None:
        feeds = self._feeds.values()
        self.counters["gaps"] = sum(feed.sync.gaps for feed in feeds)
        self.counters["crossed"] = sum(feed.sync.crossings for feed in feeds)
        self.counters["duplicates"] = sum(feed.sync.duplicates for feed in feeds)
        self.counters["rounded_levels"] = self._reader.rounded.total()
        self.counters["resyncs"] = max(0, self.counters["syncs"] - len(feeds))
        self._journal.count()

    def _on_request(self) -> None:
        request = self.inbox.block(Template.REQUEST)[0]
        if request["kind"] == RequestKind.BOOK_SNAPSHOT:
            wanted = int(request["instrument_id"])
            for feed in self._feeds.values():
                if wanted in (0, feed.instrument_id):
                    self._publish_instrument(feed)  # what a book is stored under goes before it
                    feed.snapshot_due = True


def build(config_dir: Path, settings: RuntimeSettings, clock: Clock) -> Collector:
    """Return the collector that collector.toml describes."""
    return Collector(settings, load("collector", CollectorSettings, config_dir), clock)
