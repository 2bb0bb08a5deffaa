"""The collector: connects to the venue, keeps each symbol's book right, publishes market data."""

import random
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from mm_runtime.clock import Clock
from mm_runtime.config import load
from mm_runtime.metrics_table import Sample
from mm_runtime.service import Service
from mm_runtime.settings import CollectorSettings, RuntimeSettings

from mm_collector.feed import Feed, warm_up
from mm_collector.frames import (
    Acknowledgement,
    BadFrame,
    BestBidOffer,
    DepthEvent,
    FrameReader,
    Trade,
)
from mm_collector.link import Link, LinkLimits
from mm_collector.rest import Reply, Rest, WeightBudget
from mm_collector.sync import BookSync, SyncLimits
from mm_collector.venue import RULES, UnknownSymbol, VenueRules, parse_instrument
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
_FRAMES_PER_TURN = 64
_LOGGED_DROPS_PER_KIND = 5
_QUEUED_TRADES = 65_536
_QUEUED_MARKET_DATA = 1_024  # only where nothing may be lost: while it queues, nothing is read


@dataclass(slots=True)
class _Wanted:
    """A symbol whose rules are not known yet."""

    symbol: str
    asked: Future[Reply] | None = None
    retry_at_ns: int = 0
    backoff_ns: int = 0


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
        self._rest = Rest(rest_url, WeightBudget(weight))
        depth = config.depth.speed or self._rules.default_depth
        ws_url = config.endpoints.ws_url or self._rules.ws_url
        limits = LinkLimits(
            config.connection.idle_timeout_ms * _MS,
            config.connection.connect_timeout_ms / 1_000,
            config.connection.backoff_initial_ms * _MS,
            config.connection.backoff_max_ms * _MS,
        )
        url = self._rules.streams_url(ws_url, list(config.symbols), depth)
        self._link = Link(url, limits, self._rng)
        self._was_open = False
        self._reported_failure = ""
        self._wanted = [_Wanted(symbol) for symbol in config.symbols]
        self._feeds: dict[str, Feed] = {}
        self._reader = FrameReader()
        self._snapshots: dict[str, Future[Reply]] = {}
        self._next_snapshot_ns = 0
        self._now_ns = 0  # the market's clock

    def start(self) -> None:
        """Open the streams."""
        warm_up()
        queue_limit = _QUEUED_MARKET_DATA if self.waits else 0
        self._market_data = self.publish_on(Stream.MARKET_DATA, queue_limit)
        self._trades = self.publish_on(Stream.TRADES, _QUEUED_TRADES)
        self.subscribe(Stream.STATE, {Template.REQUEST: self._on_request})

    def duty(self, now_ns: int) -> int:
        """Poll everything that may have news; the venue's frames last."""
        work = self.poll()
        if self.config.publish.time_source == "receive":
            self._now_ns = now_ns
        work += self._poll_instruments(now_ns)
        if not self._wanted:
            work += self._poll_snapshots(now_ns)
            work += self._poll_link(now_ns)
            self._keep_time(now_ns)
        return work

    def stop(self) -> None:
        """Tell everybody that the books end here."""
        now_ns = self.clock.now_ns()
        for feed in self._feeds.values():
            feed.on_disconnected("collector stops", now_ns, self._now_ns)
        self._link.close()

    def samples(self) -> Iterator[Sample]:
        """Give the feed's lag and each book's state and faults."""
        yield Sample("feed_lag_seconds", self.lag_ns / 1e9)
        for symbol, feed in list(self._feeds.items()):
            sync = feed.sync
            for state in BookState:
                yield Sample("book_state", state is sync.state, (symbol, state.name.lower()))
            yield Sample("book_gaps_total", sync.gaps, (symbol,))
            yield Sample("book_crossings_total", sync.crossings, (symbol,))
            yield Sample("book_duplicates_total", sync.duplicates, (symbol,))

    # the venue's rules for our symbols

    def _poll_instruments(self, now_ns: int) -> int:
        work = 0
        for wanted in list(self._wanted):
            if wanted.asked is None:
                weight = self._rules.exchange_info_weight
                if now_ns >= wanted.retry_at_ns and self._rest.budget.take(weight, now_ns):
                    path = self._rules.exchange_info_path(wanted.symbol)
                    wanted.asked = self._rest.get(path)
            elif wanted.asked.done():
                reply, wanted.asked = wanted.asked.result(), None
                work += 1
                self._on_instrument(wanted, reply, now_ns)
        return work

    def _on_instrument(self, wanted: _Wanted, reply: Reply, now_ns: int) -> None:
        try:
            if reply.status != 200:
                raise UnknownSymbol(reply.text)
            filters = parse_instrument(reply.body, wanted.symbol, self._rules.market)
        except (UnknownSymbol, KeyError, TypeError, ValueError) as error:
            connection = self.config.connection
            wanted.backoff_ns = min(
                max(2 * wanted.backoff_ns, connection.backoff_initial_ms * _MS),
                connection.backoff_max_ms * _MS,
            )
            wait_ns = max(int(wanted.backoff_ns * self._rng.uniform(0.5, 1)), reply.retry_after_ns)
            wanted.retry_at_ns = now_ns + wait_ns
            text = f"exchangeInfo: {error}; next try in {wait_ns // _MS} ms"
            self.log.warning("%s", text)
            self.set_state(ServiceState.DEGRADED, Reason.NO_INSTRUMENT, text)
            return
        self._wanted.remove(wanted)
        limits = SyncLimits(
            self.config.sync.max_buffered_events,
            self.config.sync.stale_after_ms * _MS,
            self.config.sync.snapshot_retry_ms * _MS,
            self.config.connection.backoff_max_ms * _MS,
        )
        symbol = wanted.symbol
        self._reader.add(filters.instrument)
        self._feeds[symbol] = Feed(
            self.config.symbols.index(symbol) + 1,
            filters,
            BookSync(self._rules.market, limits, self._rng),
            self._market_data,
            self._trades,
            self.counters,
            self.config.publish.snapshot_levels,
        )
        self.log.info("instrument %s: %s", symbol, filters)

    # snapshots

    def _poll_snapshots(self, now_ns: int) -> int:
        work = 0
        for symbol, feed in self._feeds.items():
            asked = self._snapshots.get(symbol)
            if asked is None:
                if feed.sync.wants_snapshot(now_ns) and self._rest.budget.take(
                    self._rules.snapshot_weight, now_ns
                ):
                    levels = self.config.depth.snapshot_limit or self._rules.max_snapshot_levels
                    path = self._rules.snapshot_path(symbol, levels)
                    self._snapshots[symbol] = self._rest.get(path)
                    feed.sync.on_snapshot_requested()
            elif asked.done():
                del self._snapshots[symbol]
                work += 1
                self._on_snapshot(feed, asked.result(), now_ns)
        return work

    def _on_snapshot(self, feed: Feed, reply: Reply, now_ns: int) -> None:
        try:
            if reply.status != 200:
                raise BadFrame("snapshot_failed", reply.text)
            snapshot = self._reader.parse_snapshot(reply.body, feed.filters.instrument.symbol)
        except BadFrame as error:
            self._drop(error)
            if reply.status in (418, 429):
                self._rest.budget.block(now_ns + reply.retry_after_ns)
            feed.sync.on_snapshot_failed(now_ns, str(error), reply.retry_after_ns)
            return
        if feed.sync.state is BookState.SYNCING:
            self.counters["snapshots"] += 1
        feed.on_snapshot(snapshot, now_ns, self._now_ns)

    # frames

    def _poll_link(self, now_ns: int) -> int:
        if self._is_held():
            return 0  # the socket fills up and holds the venue back: nothing is lost
        link = self._link
        if not link.frames:
            link.poll(now_ns)
        if link.is_open != self._was_open:
            self._was_open = link.is_open
            self._on_link_changed(now_ns)
        elif link.failure != self._reported_failure:
            self._report_failure()
        work = 0
        while link.frames and work < _FRAMES_PER_TURN:
            self._on_frame(link.frames.popleft(), link.received_ns)
            work += 1
            if self._is_held():
                break
        return work

    def _is_held(self) -> bool:
        return self.waits and (self._market_data.blocked or self._trades.blocked)

    def _on_link_changed(self, now_ns: int) -> None:
        for feed in self._feeds.values():
            if self._link.is_open:
                feed.sync.on_connected(now_ns)
            else:
                feed.on_disconnected(self._link.failure, now_ns, self._now_ns)
        self._snapshots.clear()  # an answer to a request of the old connection is of no use
        self._report_failure()

    def _report_failure(self) -> None:
        self._reported_failure = self._link.failure
        if self._link.failure:
            self.counters["connection_failures"] += 1
            self.log.warning("connection: %s; reconnecting with backoff", self._link.failure)
            self.set_state(ServiceState.DEGRADED, Reason.CONNECTION_LOST, self._link.failure)
        else:
            self.counters["connections"] += 1
            self.log.info("connected to %s", self._link.url)

    def _on_frame(self, payload: bytes, received_ns: int) -> None:
        self.counters["frames"] += 1
        try:
            event = self._reader.parse(payload)
        except BadFrame as error:
            self._drop(error)
            return
        if isinstance(event, Acknowledgement):
            self.log.info("venue says %s", event.text)
            return
        if self.config.publish.time_source == "venue":
            self._now_ns = max(self._now_ns, event.venue_ns)
        now_ns = self._now_ns
        feed = self._feeds[event.symbol]
        if isinstance(event, DepthEvent):
            self.counters["depth_events"] += 1
            feed.on_depth(event, received_ns, now_ns)
        elif isinstance(event, BestBidOffer):
            feed.on_best_bid_offer(event, received_ns, now_ns)
        elif isinstance(event, Trade):
            feed.on_trade(event, received_ns, now_ns)
        self.lag_ns = received_ns - event.venue_ns if event.venue_ns else self.lag_ns

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
        is_behind = (
            bool(self._link.frames) or self._is_held()
        )  # then silence is ours, not the venue's
        for feed in self._feeds.values():
            if not is_behind:
                feed.on_time(now_ns, self._now_ns)
            while feed.transitions:
                moved = feed.transitions.popleft()
                self.publish_book_state(
                    feed.instrument_id, feed.epoch, moved.state, moved.reason, moved.text
                )
                if moved.state is BookState.LIVE:
                    self.counters["syncs"] += 1
            if periodic:
                self._publish_instrument(feed)
            if (periodic or feed.snapshot_due) and not self._market_data.blocked:
                feed.publish_snapshot(now_ns, self._now_ns)
        if periodic:
            self._count_syncs()
        if self._link.is_open:
            self._tell_state()

    def _publish_instrument(self, feed: Feed) -> None:
        publisher = self.publisher(Stream.STATE)
        block = feed.instrument.block[0]
        block["seq"], block["now_ns"] = publisher.next_seq(), self._now_ns
        publisher.offer(feed.instrument)

    def _tell_state(self) -> None:
        failures = [f for f in self._feeds.values() if f.failure is not Reason.NONE]
        if not failures:
            self.set_state(ServiceState.READY, Reason.NONE, "all books LIVE")
        else:
            names = ", ".join(f.filters.instrument.symbol for f in failures)
            self.set_state(ServiceState.DEGRADED, failures[0].failure, f"not LIVE: {names}")

    def _count_syncs(self) -> None:
        feeds = self._feeds.values()
        self.counters["gaps"] = sum(feed.sync.gaps for feed in feeds)
        self.counters["crossed"] = sum(feed.sync.crossings for feed in feeds)
        self.counters["duplicates"] = sum(feed.sync.duplicates for feed in feeds)
        self.counters["resyncs"] = max(0, self.counters["syncs"] - len(feeds))

    def _on_request(self) -> None:
        request = self.inbox.block(Template.REQUEST)[0]
        if request["kind"] == RequestKind.BOOK_SNAPSHOT:
            wanted = int(request["instrument_id"])
            for feed in self._feeds.values():
                if wanted in (0, feed.instrument_id):
                    feed.snapshot_due = True


def build(config_dir: Path, settings: RuntimeSettings, clock: Clock) -> Collector:
    """Return the collector that collector.toml describes."""
    return Collector(settings, load("collector", CollectorSettings, config_dir), clock)
