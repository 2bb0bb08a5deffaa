"""Pricing: one compiled call a market-data message, one message out where something changed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mm_runtime.clock import Clock
from mm_runtime.config import load
from mm_runtime.metrics_table import Sample
from mm_runtime.service import Service
from mm_runtime.settings import PricingSettings, RuntimeSettings

from mmquant.codes import (
    BookState,
    PricingFlag,
    Reason,
    RequestKind,
    Role,
    ServiceState,
    Stream,
    Template,
)
from mmquant.kernels.pricing import NEED_SNAPSHOT, PUBLISH, pricing_refresh, pricing_step
from mmquant.state import BOOK, PRICING_PARAMS, PRICING_STATE
from mmquant.wire import Inbox, MessageBuffer

__all__ = ["Pricing", "build", "warm_up"]

_MS = 1_000_000
_S = 1_000_000_000
_QUEUED = 4_096
_REQUEST_INTERVAL_NS = 200 * _MS


class _Engine:
    """What is kept of one instrument."""

    def __init__(self, instrument_id: int) -> None:
        self.instrument_id = instrument_id
        self.book = np.zeros(1, BOOK)
        self.state = np.zeros(1, PRICING_STATE)
        self.state[0]["instrument_id"] = instrument_id  # a trade may come before any book
        self.out = MessageBuffer(Template.PRICING)
        self.market_now_ns = 0
        self.published_ns = 0
        self.next_request_ns = 0


class Pricing(Service):
    """Agent of mm_pricing."""

    role = Role.MM_PRICING
    needs_peers = (Role.MM_COLLECTOR,)
    needs_streams = (Stream.MARKET_DATA,)
    is_journalled = True

    def __init__(self, settings: RuntimeSettings, config: PricingSettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self.config = config
        self._params = np.zeros(1, PRICING_PARAMS)
        params = self._params[0]
        params["volatility_half_life_ns"] = round(config.volatility_half_life_s * _S)
        params["drift_half_life_ns"] = round(config.drift_half_life_s * _S)
        params["warmup_ns"] = round(config.warmup_s * _S)
        params["max_gap_ns"] = round(config.max_gap_s * _S)
        params["microprice_weight"] = config.microprice_weight
        self._engines: dict[int, _Engine] = {}
        self._feed_ok = False
        self._next_state_ns = 0

    def start(self) -> None:
        """Open the streams; ask for the books at once."""
        warm_up()
        self._out = self.publish_on(Stream.PRICING, _QUEUED, conflate=not self.waits)
        books = (Template.BOOK_DELTA, Template.BOOK_SNAPSHOT, Template.BEST_BID_OFFER)
        on_books = dict.fromkeys(books, self._on_market)
        self.subscribe(Stream.TRADES, {Template.TRADE: self._on_market}, paced=True)
        self.subscribe(Stream.MARKET_DATA, on_books, paced=True)
        self.request(RequestKind.BOOK_SNAPSHOT)

    def duty(self, now_ns: int) -> int:
        """Handle market data; look after the feed; publish what is due."""
        work = self.poll(blocked=self._out.blocked)
        feed_ok = self.is_alive(Role.MM_COLLECTOR, now_ns)
        changed = feed_ok is not self._feed_ok
        self._feed_ok = feed_ok
        interval_ns = self.config.publish_interval_ms * _MS
        for engine in self._engines.values():
            if changed or now_ns - engine.published_ns >= interval_ns:
                engine.state[0]["feed_ok"] = feed_ok
                # The market's clock, which is not ours in a replay, must not jump here.
                engine.market_now_ns = max(engine.market_now_ns, int(engine.out.block[0]["now_ns"]))
                pricing_refresh(
                    engine.state, engine.book, self._params, engine.market_now_ns, engine.out.block
                )
                engine.out.block[0]["frame_ns"] = 0  # no frame is behind it
                self._publish(engine, now_ns)
        if changed or now_ns >= self._next_state_ns:
            self._next_state_ns = now_ns + 100 * _MS
            self.matters()  # when the state is looked at next
            self._tell_state()
        return work

    def samples(self) -> Iterator[Sample]:
        """Give what may be said of each instrument's fair value."""
        for engine in list(self._engines.values()):
            labels = (str(engine.instrument_id),)
            flags = int(engine.out.block[0]["flags"])
            yield Sample("pricing_live", bool(flags & PricingFlag.LIVE), labels)
            yield Sample("pricing_warm", bool(flags & PricingFlag.WARM), labels)

    # inner works

    def _on_market(self) -> None:
        received_ns = self.clock.now_ns()
        instrument_id = int(self.inbox.words[3]) & 0xFFFFFFFF
        engine = self._engines.get(instrument_id)
        if engine is None:
            engine = self._engines[instrument_id] = _Engine(instrument_id)
            engine.state[0]["feed_ok"] = self._feed_ok
        code = pricing_step(
            engine.state, engine.book, self._params, self.inbox.words, engine.out.block
        )
        if code in (PUBLISH, NEED_SNAPSHOT):  # without its book it says so: LIVE is off
            self._publish(engine, received_ns)
        if code == NEED_SNAPSHOT and received_ns >= engine.next_request_ns:
            engine.next_request_ns = received_ns + _REQUEST_INTERVAL_NS
            self.counters["snapshot_requests"] += 1
            self.request(RequestKind.BOOK_SNAPSHOT, instrument_id)

    def _publish(self, engine: _Engine, received_ns: int) -> None:
        block = engine.out.block[0]
        block["seq"] = self._out.next_seq()
        block["received_ns"], block["sent_ns"] = received_ns, self.clock.now_ns()
        engine.published_ns = received_ns
        self._out.offer(engine.out)

    def _tell_state(self) -> None:
        if not self._feed_ok:
            self.set_state(ServiceState.DEGRADED, Reason.UPSTREAM_SILENT, "no live collector")
            return
        if not self._engines:
            self.set_state(ServiceState.DEGRADED, Reason.NO_MARKET_DATA, "no book yet")
            return
        for engine in self._engines.values():
            flags = int(engine.out.block[0]["flags"])
            if not flags & PricingFlag.LIVE:
                state = BookState(int(engine.out.block[0]["book_state"])).name
                text = f"instrument {engine.instrument_id}: book {state}"
                self.set_state(ServiceState.DEGRADED, Reason.BOOK_NOT_LIVE, text)
                return
            if not flags & PricingFlag.WARM:
                text = f"instrument {engine.instrument_id}: estimates warm up"
                self.set_state(ServiceState.DEGRADED, Reason.NOT_WARM, text)
                return
        self.set_state(ServiceState.READY, Reason.NONE, "fair values are live and warm")


def warm_up() -> None:
    """Load (or compile) the service's kernels as they are called, before the first message."""
    engine, words = _Engine(0), Inbox().words
    params = np.zeros(1, PRICING_PARAMS)
    pricing_step(engine.state, engine.book, params, words, engine.out.block)
    pricing_refresh(engine.state, engine.book, params, 0, engine.out.block)


def build(config_dir: Path, settings: RuntimeSettings, clock: Clock) -> Pricing:
    """Return the service that pricing.toml describes."""
    return Pricing(settings, load("pricing", PricingSettings, config_dir), clock)
