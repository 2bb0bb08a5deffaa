"""Pricing: one compiled call a market-data message, one message out where something changed."""

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from mm_runtime.clock import Clock
from mm_runtime.config import load
from mm_runtime.market_age import SENT_WORDS, age_ns
from mm_runtime.metrics_table import Sample
from mm_runtime.service import Service
from mm_runtime.settings import PricingSettings, RuntimeSettings
from numpy.typing import NDArray

from mm_pricing.memory import Memory
from mm_pricing.parameters import load_model, load_table, pricing_params
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
from mmquant.kernels import wire
from mmquant.kernels.pricing import (
    NEED_SNAPSHOT,
    PUBLISH,
    QUIET,
    pricing_close,
    pricing_close_refresh,
    pricing_refresh,
    pricing_step,
)
from mmquant.kernels.pricing_model import blend_model
from mmquant.pricing_model import PricingSteps, own_params, pricing_steps
from mmquant.records import INSTRUMENT
from mmquant.state import BOOK, PRICING_PARAMS, PRICING_STATE
from mmquant.stoikov import MicropriceModel
from mmquant.wire import Inbox, MessageBuffer

__all__ = ["Pricing", "build", "warm_up", "warm_up_model"]

_MS = 1_000_000
_S = 1_000_000_000
_QUEUED = 4_096
_REQUEST_INTERVAL_NS = 200 * _MS
_REFERENCE_WAIT_NS = 10 * _S  # the collector names its instruments each second
_LOGGED_ERRORS = 10
_REFUSED = int(Reason.INTERNAL_ERROR)
_BOOKS = (Template.BOOK_DELTA, Template.BOOK_SNAPSHOT)


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
        self.rules = np.zeros(1, INSTRUMENT)  # instrument_id 0: not known yet
        self.symbol = ""
        self.may_restore = True
        self.stored_ns = 0
        self.is_heard = True  # the book has been told of since the feed was silent
        self.model_error = ""  # what the model of one's own raised for the newest message

    def set_reference(self, other: "_Engine", now_ns: int) -> None:
        """Take the other's mid, if it is LIVE, as this one's reference, in this one's ticks."""
        theirs, tick_size_e8 = other.state[0], int(self.rules[0]["tick_size_e8"])
        if tick_size_e8 > 0 and theirs["published_flags"] & PricingFlag.LIVE:
            mid = (int(theirs["published_bid_ticks"]) + int(theirs["published_ask_ticks"])) / 2
            ticks = mid * int(other.rules[0]["tick_size_e8"]) / tick_size_e8
            self.state[0]["reference_ticks"], self.state[0]["reference_ns"] = ticks, now_ns


class Pricing(Service):
    """Agent of mm_pricing."""

    role = Role.MM_PRICING
    needs_peers = (Role.MM_COLLECTOR,)
    needs_streams = (Stream.MARKET_DATA,)
    is_journalled = True

    def __init__(
        self,
        settings: RuntimeSettings,
        config: PricingSettings,
        clock: Clock,
        table: MicropriceModel | None = None,
        model: PricingSteps | None = None,
    ) -> None:
        super().__init__(settings, clock)
        self.config = config
        self._params = pricing_params(config, table)
        self._model = model
        self._model_params = own_params(config.fair_value_params)
        self._memory = Memory(
            Path(settings.state_directory) / "pricing",
            self._params,
            round(config.warm_start.max_age_s * _S),
        )
        self._store_interval_ns = round(config.warm_start.interval_s * _S)
        self._store_failed = False
        self._model_errors: set[str] = set()
        self._engines: dict[int, _Engine] = {}
        self._reference: _Engine | None = None
        self._feed_ok = False
        self._feed_since_ns = 0
        self._is_behind = False  # what is handled was sent longer ago than a silence takes
        self._has_priced = False  # in this turn
        self._named_reference = False
        self._next_state_ns = 0

    def start(self) -> None:
        """Open the streams; ask for the books at once."""
        warm_up()
        if self._model is not None:
            _warm_model(self._model, self._model_params)
        self._out = self.publish_on(Stream.PRICING, _QUEUED, conflate=not self.waits)
        books = (Template.BOOK_DELTA, Template.BOOK_SNAPSHOT, Template.BEST_BID_OFFER)
        on_books = {book: partial(self._on_market, SENT_WORDS[book]) for book in books}
        on_trade = partial(self._on_market, SENT_WORDS[Template.TRADE])
        self.subscribe(Stream.STATE, {Template.INSTRUMENT: self._on_instrument})
        self.subscribe(Stream.TRADES, {Template.TRADE: on_trade}, paced=True)
        self.subscribe(Stream.MARKET_DATA, on_books, paced=True)
        self.request(RequestKind.BOOK_SNAPSHOT)

    def duty(self, now_ns: int) -> int:
        """Handle market data; look after the feed; publish what is due."""
        self._has_priced = False
        work = self.poll(blocked=self._out.blocked)
        feed_ok = self.is_alive(Role.MM_COLLECTOR, now_ns)
        changed = feed_ok is not self._feed_ok
        self._feed_ok = feed_ok
        if changed:
            self._feed_since_ns = now_ns
        if self._is_behind and not self._has_priced:  # nothing waits any more
            changed = True
            self._set_behind(False)
        interval_ns = self.config.publish_interval_ms * _MS
        for engine in self._engines.values():
            if changed or now_ns - engine.published_ns >= interval_ns:
                # A collector that is back, or a new one, has yet to say what became of its book.
                engine.is_heard = engine.is_heard and not (changed and not feed_ok)
                self._set_feed(engine)
                # The market's clock, which is not ours in a replay, must not jump here.
                engine.market_now_ns = max(engine.market_now_ns, int(engine.out.block[0]["now_ns"]))
                self._refresh(engine)
                engine.out.block[0]["frame_ns"] = 0  # no frame is behind it
                self._publish(engine, now_ns)
            if now_ns - engine.stored_ns >= self._store_interval_ns:
                engine.stored_ns = now_ns
                self._store(engine)
        if changed or now_ns >= self._next_state_ns:
            self._next_state_ns = now_ns + 100 * _MS
            self.matters()  # when the state is looked at next
            self._tell_state()
            self._miss_reference(now_ns)
        return work

    def stop(self) -> None:
        """Store the estimates for the next start."""
        for engine in self._engines.values():
            self._store(engine)

    def samples(self) -> Iterator[Sample]:
        """Give what may be said of each instrument's fair value."""
        for engine in list(self._engines.values()):
            labels = (str(engine.instrument_id),)
            row = engine.out.block[0]
            flags = int(row["flags"])
            yield Sample("pricing_live", bool(flags & PricingFlag.LIVE), labels)
            yield Sample("pricing_warm", bool(flags & PricingFlag.WARM), labels)
            yield Sample("pricing_warm_started", bool(flags & PricingFlag.WARM_STARTED), labels)
            yield Sample("pricing_jumps_total", int(row["jumps"]), labels)
            yield Sample("pricing_data_gaps_total", int(row["gaps"]), labels)

    # inner works

    def _note_age(self, received_ns: int, sent_word: int) -> None:
        """Let the heartbeat say how old the market is that is priced; too old, it is STALE."""
        self.lag_ns = age_ns(self.inbox.words, sent_word, received_ns)
        is_behind = self.lag_ns > self._timeout_ns and not self.waits
        if is_behind is not self._is_behind:
            self._set_behind(is_behind)

    def _set_behind(self, is_behind: bool) -> None:
        self._is_behind = is_behind
        for engine in self._engines.values():
            self._set_feed(engine)

    def _set_feed(self, engine: _Engine) -> None:
        ok = self._feed_ok and engine.is_heard and not self._is_behind
        engine.state[0]["feed_ok"] = ok

    def _on_market(self, sent_word: int) -> None:
        received_ns = self.clock.now_ns()
        self._note_age(received_ns, sent_word)
        self._has_priced = True
        instrument_id = int(self.inbox.words[3]) & 0xFFFFFFFF
        engine = self._engine(instrument_id)
        if engine.may_restore and engine.symbol:
            self._restore(engine, int(self.inbox.words[wire.NOW_NS]))
        if not engine.is_heard and self.inbox.header[0]["template_id"] in _BOOKS:
            engine.is_heard = True
            self._set_feed(engine)
        code = self._step(engine, self.inbox.words)
        if code in (PUBLISH, NEED_SNAPSHOT):  # without its book it says so: LIVE is off
            self._publish(engine, received_ns)
        if code == NEED_SNAPSHOT and received_ns >= engine.next_request_ns:
            engine.next_request_ns = received_ns + _REQUEST_INTERVAL_NS
            self.counters["snapshot_requests"] += 1
            self.request(RequestKind.BOOK_SNAPSHOT, instrument_id)
        if engine is self._reference:
            now_ns = int(self.inbox.words[wire.NOW_NS])
            for other in self._engines.values():
                if other is not engine:
                    other.set_reference(engine, now_ns)

    def _step(self, engine: _Engine, words: NDArray[np.int64]) -> int:
        state, book, out = engine.state, engine.book, engine.out.block
        if self._model is None:
            return pricing_step(state, book, self._params, words, out)
        try:
            code = self._model.step(state, book, self._params, self._model_params, words, out)
        except Exception as error:  # somebody's own code: whatever it raises
            self._refuse(engine, error)
            code = PUBLISH if book[0]["synced"] else NEED_SNAPSHOT
            return pricing_close(state, self._params, out, code, _REFUSED)
        if code != QUIET:  # of a trade, say, it is not asked
            engine.model_error = ""
        return code

    def _refresh(self, engine: _Engine) -> None:
        state, book, out = engine.state, engine.book, engine.out.block
        now_ns = engine.market_now_ns
        if self._model is None:
            pricing_refresh(state, book, self._params, now_ns, out)
        else:
            try:
                self._model.refresh(state, book, self._params, self._model_params, now_ns, out)
            except Exception as error:
                self._refuse(engine, error)
                pricing_close_refresh(state, out, _REFUSED)
            else:
                engine.model_error = ""

    def _refuse(self, engine: _Engine, error: Exception) -> None:
        """Note what the model of one's own raised; once in the log, with its place."""
        told = f"{type(error).__name__}: {error}"
        self.counters["model_errors"] += 1
        if told not in self._model_errors and len(self._model_errors) < _LOGGED_ERRORS:
            self._model_errors.add(told)
            self.log.error("the fair value %s raised", self.config.fair_value, exc_info=error)
        engine.model_error = told

    def _engine(self, instrument_id: int) -> _Engine:
        engine = self._engines.get(instrument_id)
        if engine is None:
            engine = self._engines[instrument_id] = _Engine(instrument_id)
            self._set_feed(engine)
            engine.stored_ns = self.clock.now_ns()
        return engine

    def _on_instrument(self) -> None:
        rules = self.inbox.block(Template.INSTRUMENT)
        engine = self._engine(int(rules[0]["instrument_id"]))
        engine.rules[0] = rules[0]
        engine.symbol = rules[0]["symbol"].decode()
        if engine.symbol == self.config.reference.symbol:
            self._reference = engine

    def _read_memory(self, engine: _Engine) -> bytes:
        """Return the stored estimates; a recorded session keeps them."""
        try:
            return self._memory.read(engine.rules)
        except OSError as error:
            self.log.warning("%s: stored estimates cannot be read: %s", engine.symbol, error)
            return b""

    def _restore(self, engine: _Engine, now_ns: int) -> None:
        engine.may_restore = False
        data = self.outside(lambda: self._read_memory(engine))
        why = self._memory.restore(engine.rules, data, engine.state, now_ns)
        if why:
            self.log.info("%s: estimates start cold: %s", engine.symbol, why)
            return
        self.counters["warm_starts"] += 1
        seconds = int(engine.state[0]["restored_ns"]) / _S
        self.log.info("%s: estimates go on from %.1f s stored", engine.symbol, seconds)

    def _store(self, engine: _Engine) -> None:
        if not engine.symbol or engine.may_restore:  # what is stored has not been looked at yet
            return
        try:
            self._memory.save(engine.rules, engine.state)
        except OSError as error:
            self.counters["stores_failed"] += 1
            if not self._store_failed:
                self.log.warning("the estimates cannot be stored: %s", error)
            self._store_failed = True
        else:
            self._store_failed = False

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
                reason, text = self._why_not_live(engine, flags)
                text = f"instrument {engine.instrument_id}: {text}"
                self.set_state(ServiceState.DEGRADED, reason, text)
                return
            if not flags & PricingFlag.WARM:
                text = f"instrument {engine.instrument_id}: estimates warm up"
                self.set_state(ServiceState.DEGRADED, Reason.NOT_WARM, text)
                return
        self.set_state(ServiceState.READY, Reason.NONE, "fair values are live and warm")

    def _why_not_live(self, engine: _Engine, flags: int) -> tuple[Reason, str]:
        if self._is_behind:
            # Said once: how old exactly is in the heartbeat.
            seconds = self._timeout_ns / _S
            return Reason.UPSTREAM_LAGS, f"market data waits here for more than {seconds:g} s"
        state = BookState(int(engine.out.block[0]["book_state"]))
        if state is not BookState.LIVE:
            return Reason.BOOK_NOT_LIVE, f"book {state.name}"
        if not engine.is_heard:
            return Reason.BOOK_NOT_LIVE, "nothing of the book since the collector is back"
        if flags & PricingFlag.CROSSED:
            return Reason.BOOK_CROSSED, "best bid at or above best ask"
        if flags & PricingFlag.ONE_SIDED:
            return Reason.NO_MARKET_DATA, "a side of the book is empty"
        if engine.model_error:
            name = self.config.fair_value
            return Reason.INTERNAL_ERROR, f"the fair value {name} raised {engine.model_error}"
        if flags & PricingFlag.NO_FAIR_VALUE:
            return Reason.NO_FAIR_VALUE, f"no fair value: {self.config.fair_value} has no number"
        return Reason.BOOK_NOT_LIVE, f"book {state.name}, flags {flags}"

    def _miss_reference(self, now_ns: int) -> None:
        """Say once that the basis will never be known."""
        symbol = self.config.reference.symbol
        known = [engine.symbol for engine in self._engines.values() if engine.symbol]
        late = self._feed_ok and now_ns - self._feed_since_ns > _REFERENCE_WAIT_NS
        if not symbol or not known or not late or self._named_reference:
            return
        if self._reference is not None and len(known) > 1:
            return
        self._named_reference = True
        self.say(
            logging.WARNING,
            f"no basis: reference.symbol {symbol!r} must be another one of the collector's, "
            f"got {', '.join(known)}",
        )


def warm_up() -> None:
    """Load (or compile) the service's kernels as they are called, before the first message."""
    engine, words = _Engine(0), Inbox().words
    params = np.zeros(1, PRICING_PARAMS)
    pricing_step(engine.state, engine.book, params, words, engine.out.block)
    pricing_refresh(engine.state, engine.book, params, 0, engine.out.block)


def warm_up_model() -> None:
    """Do as `warm_up` for what stands around a model of one's own."""
    _warm_model(pricing_steps(blend_model), own_params(()))


def _warm_model(model: PricingSteps, model_params: NDArray[np.float64]) -> None:
    engine, params = _Engine(0), np.zeros(1, PRICING_PARAMS)
    state, book, out = engine.state, engine.book, engine.out.block
    model.step(state, book, params, model_params, Inbox().words, out)
    model.refresh(state, book, params, model_params, 0, out)
    pricing_close(state, params, out, PUBLISH, _REFUSED)
    pricing_close_refresh(state, out, _REFUSED)


def build(config_dir: Path, settings: RuntimeSettings, clock: Clock) -> Pricing:
    """Return the service that pricing.toml describes."""
    config = load("pricing", PricingSettings, config_dir)
    table, model = load_table(config, config_dir), load_model(config, config_dir)
    service = Pricing(settings, config, clock, table, model)
    service.config_dir = config_dir  # where whoever computes a recorded session finds both
    return service
