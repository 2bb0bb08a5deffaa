"""The pricing service, stepped by hand over a real media driver: it fails closed at once."""

import math
import os
import time
from contextlib import contextmanager

import numba
import pytest
from mm_cli.warm import warm_all
from mm_pricing.service import Pricing
from mm_runtime.clock import SystemClock
from mm_runtime.driver import Driver
from mm_runtime.settings import (
    AeronmdSettings,
    AeronSettings,
    PricingSettings,
    ReferenceSettings,
    RuntimeSettings,
)
from mm_runtime.transport import Transport

from mmquant.codes import (
    BookState,
    Market,
    PricingFlag,
    Reason,
    RequestKind,
    Role,
    ServiceState,
    Stream,
    Template,
)
from mmquant.pricing_model import pricing_steps
from mmquant.wire import Inbox, MessageBuffer

LEVELS = (2, 2)
WARM_LIVE = PricingFlag.LIVE | PricingFlag.WARM


class Collector:
    """Stands for the collector on the streams, and hears what pricing answers."""

    def __init__(self, settings):
        self.transport = Transport(settings)
        self.inbox, self.flags, self.requests = Inbox(), [], []
        self.newest, self.states = {}, []
        self.market_data = self.transport.publisher(Stream.MARKET_DATA, 10)
        self.heartbeats = self.transport.publisher(Stream.HEARTBEATS, 10)
        self.trades = self.transport.publisher(Stream.TRADES, 10)
        self.state = self.transport.publisher(Stream.STATE, 10)
        self.instruments = set()
        self.subscribers = [
            self.transport.subscriber(
                Stream.PRICING, self.inbox, {Template.PRICING: self._on_pricing}
            ),
            self.transport.subscriber(
                Stream.STATE,
                self.inbox,
                {Template.REQUEST: self._on_request, Template.STATE: self._on_state},
            ),
        ]

    def beat(self):
        beat = MessageBuffer(Template.HEARTBEAT, (0,))
        beat.block["role"], beat.block["state"] = Role.MM_COLLECTOR, ServiceState.READY
        self.heartbeats.offer(beat)

    def book(
        self,
        template,
        last_update_id,
        previous=0,
        instrument_id=1,
        bid_ticks=100,
        ask_ticks=0,
        sent_ns=0,
    ):
        message = MessageBuffer(template, LEVELS)
        row = message.block[0]
        row["instrument_id"], row["epoch"], row["now_ns"] = instrument_id, 7, last_update_id
        row["last_update_id"], row["sent_ns"] = last_update_id, sent_ns
        if template is Template.BOOK_SNAPSHOT:
            row["book_state"] = BookState.LIVE
        else:
            row["previous_update_id"] = previous
        bids = message.group(0, 1 if bid_ticks else 0)
        if bid_ticks:
            bids[0] = (bid_ticks, last_update_id)
        message.group(1, 1)[0] = (ask_ticks or bid_ticks + 1, 5)
        self.market_data.offer(message)

    def rules(self, instrument_id=1, symbol=b"BTCUSDT", tick_size_e8=10_000_000):
        message = MessageBuffer(Template.INSTRUMENT)
        row = message.block[0]
        row["instrument_id"], row["symbol"], row["market"] = instrument_id, symbol, Market.USDM
        row["tick_size_e8"], row["lot_size_e8"] = tick_size_e8, 100_000
        self.state.offer(message)

    def poll(self):
        return sum(subscriber.poll(10) for subscriber in self.subscribers)

    def trade(self):
        message = MessageBuffer(Template.TRADE)
        message.block["seq"], message.block["instrument_id"] = self.trades.next_seq(), 1
        self.trades.offer(message)

    def _on_state(self):
        row = self.inbox.block(Template.STATE)[0]
        self.states.append((Reason(int(row["reason"])), row["text"].decode()))

    def _on_pricing(self):
        row = self.inbox.block(Template.PRICING)[0].copy()
        self.newest[int(row["instrument_id"])] = row
        self.instruments.add(int(row["instrument_id"]))
        self.flags.append(int(self.inbox.block(Template.PRICING)[0]["flags"]))

    def _on_request(self):
        self.requests.append(int(self.inbox.block(Template.REQUEST)[0]["kind"]))


@pytest.fixture
def system(tmp_path):
    settings = RuntimeSettings(
        state_directory=str(tmp_path),
        aeron=AeronSettings(directory=f"/dev/shm/mmquant-test-{os.getpid()}"),
    )
    driver = Driver(settings.aeron_directory(), AeronmdSettings())
    collector = Collector(settings)
    pricing = Pricing(settings, PricingSettings(), SystemClock())
    pricing.on_start()
    yield pricing, collector
    pricing.on_close()
    collector.transport.close()
    driver.close()


def work_until(pricing, collector, done):
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        collector.beat()
        if not pricing.do_work() + collector.poll():
            time.sleep(0.0005)


def test_a_lost_delta_is_told_at_once_and_a_snapshot_heals_it(system):
    pricing, collector = system
    collector.book(Template.BOOK_SNAPSHOT, 10)
    work_until(pricing, collector, lambda: collector.flags[-1:] and collector.flags[-1] & 1)
    collector.flags.clear()
    collector.requests.clear()
    collector.book(Template.BOOK_DELTA, 14, previous=12)  # (10, 12] never came
    work_until(pricing, collector, lambda: collector.requests)
    assert collector.requests == [RequestKind.BOOK_SNAPSHOT]
    assert collector.flags
    assert not collector.flags[-1] & PricingFlag.LIVE
    collector.book(Template.BOOK_SNAPSHOT, 20)
    work_until(pricing, collector, lambda: collector.flags[-1] & PricingFlag.LIVE)


def test_a_trade_before_any_book_is_told_of_under_its_instrument(system):
    pricing, collector = system
    collector.trade()
    work_until(pricing, collector, lambda: collector.flags)
    assert collector.instruments == {1}


def test_a_restart_is_warm_at_once(system):
    pricing, collector = system
    s_ns = 10**9
    collector.rules()
    collector.book(Template.BOOK_SNAPSHOT, s_ns)
    work_until(pricing, collector, lambda: PricingFlag.LIVE & sum(collector.flags[-1:]))
    for update_id in (2 * s_ns, 3 * s_ns, 4 * s_ns):
        collector.book(Template.BOOK_DELTA, update_id, previous=update_id - s_ns)
    work_until(pricing, collector, lambda: WARM_LIVE & sum(collector.flags[-1:]) == WARM_LIVE)
    pricing.stop()
    again = Pricing(pricing.settings, PricingSettings(), SystemClock())
    again.on_start()
    try:
        collector.rules()
        work_until(again, collector, lambda: any(e.symbol for e in again._engines.values()))
        collector.flags.clear()
        collector.book(Template.BOOK_SNAPSHOT, 5 * s_ns)
        wanted = WARM_LIVE | PricingFlag.WARM_STARTED
        work_until(again, collector, lambda: wanted & sum(collector.flags[-1:]) == wanted)
        assert again.counters["warm_starts"] == 1
    finally:
        again.on_close()


def test_the_basis_is_measured_against_the_other_instrument_while_that_is_young(system):
    first, collector = system
    first.stop()
    config = PricingSettings(reference=ReferenceSettings(symbol="BTCUSDC", max_age_s=2.0))
    pricing = Pricing(first.settings, config, SystemClock())
    pricing.on_start()
    try:
        collector.rules()
        collector.rules(instrument_id=2, symbol=b"BTCUSDC", tick_size_e8=5_000_000)
        work_until(pricing, collector, lambda: pricing._reference is not None)
        s_ns = 10**9
        # 199.5 ticks of half the size are 99.75 of the other's ticks, whose mid is 100.5.
        collector.book(Template.BOOK_SNAPSHOT, s_ns, instrument_id=2, bid_ticks=199)
        work_until(pricing, collector, lambda: 2 in collector.newest)
        collector.book(Template.BOOK_SNAPSHOT, s_ns)

        def basis():
            row = collector.newest.get(1)
            return row is not None and row["flags"] & PricingFlag.BASIS and row

        work_until(pricing, collector, basis)
        assert basis()["basis_bps"] == pytest.approx(1e4 * (100.5 / 99.75 - 1.0))
        assert not collector.newest[2]["flags"] & PricingFlag.BASIS
        collector.book(Template.BOOK_DELTA, 4 * s_ns, previous=s_ns)  # the reference is 3 s old now
        work_until(pricing, collector, lambda: not basis())
        assert collector.newest[1]["flags"] & PricingFlag.LIVE
    finally:
        pricing.on_close()


@numba.njit
def own(inputs, params, out):
    """Raise for a bid of 200, know no price for one of 300."""
    bid = inputs[0]["bid_ticks"]
    if bid == 200:
        raise ValueError("no such price")
    out[0]["fair_value_ticks"] = math.nan if bid == 300 else bid + 0.25
    return 0


@contextmanager
def another(first, config, model=None):
    """Run a pricing of its own in the place of the first one."""
    first.stop()
    pricing = Pricing(first.settings, config, SystemClock(), None, model)
    pricing.on_start()
    try:
        yield pricing
    finally:
        pricing.on_close()


def test_a_collector_that_is_back_must_first_say_what_became_of_its_book(system):
    pricing, collector = system
    collector.book(Template.BOOK_SNAPSHOT, 10)
    work_until(pricing, collector, lambda: PricingFlag.LIVE & sum(collector.flags[-1:]))

    deadline = time.monotonic() + 20
    while not PricingFlag.STALE & collector.flags[-1]:  # not a word of the collector meanwhile
        assert time.monotonic() < deadline
        pricing.do_work()
        collector.poll()
    collector.flags.clear()
    collector.states.clear()
    work_until(pricing, collector, lambda: Reason.BOOK_NOT_LIVE in dict(collector.states))
    assert not any(PricingFlag.LIVE & flags for flags in collector.flags)
    assert "since the collector is back" in dict(collector.states)[Reason.BOOK_NOT_LIVE]
    collector.book(Template.BOOK_DELTA, 11, previous=10)
    work_until(pricing, collector, lambda: PricingFlag.LIVE & sum(collector.flags[-1:]))


def test_a_backlog_is_priced_as_stale_until_nothing_waits(system):
    pricing, collector = system
    collector.book(Template.BOOK_SNAPSHOT, 10)
    work_until(pricing, collector, lambda: PricingFlag.LIVE & sum(collector.flags[-1:]))
    collector.flags.clear()
    ids = iter(range(11, 10**6))

    def lags():
        """Let a delta more come that was sent half a minute ago."""
        last = next(ids)
        old_ns = time.time_ns() - 30 * 10**9
        collector.book(Template.BOOK_DELTA, last, last - 1, sent_ns=old_ns)
        return Reason.UPSTREAM_LAGS in dict(collector.states)

    work_until(pricing, collector, lags)
    assert "for more than" in dict(collector.states)[Reason.UPSTREAM_LAGS]
    assert PricingFlag.STALE & collector.flags[0]
    assert pricing.lag_ns >= 30 * 10**9
    work_until(pricing, collector, lambda: PricingFlag.LIVE & collector.flags[-1])
    last = next(ids)
    collector.book(Template.BOOK_DELTA, last, last - 1, sent_ns=time.time_ns())
    work_until(pricing, collector, lambda: collector.newest[1]["bid_lots"] == last)
    assert PricingFlag.LIVE & collector.flags[-1]
    assert pricing.lag_ns < 10**9


def test_a_model_that_raises_or_has_no_number_is_said_and_the_service_goes_on(system):
    first, collector = system
    config = PricingSettings(fair_value="mine:own", warmup_s=0.0)
    with another(first, config, pricing_steps(own)) as pricing:
        collector.book(Template.BOOK_SNAPSHOT, 10)
        work_until(pricing, collector, lambda: PricingFlag.LIVE & sum(collector.flags[-1:]))
        for bid_ticks, reason, text in (
            (200, Reason.INTERNAL_ERROR, "the fair value mine:own raised ValueError: no such pr"),
            (300, Reason.NO_FAIR_VALUE, "no fair value: mine:own has no number"),
        ):
            collector.states.clear()
            collector.book(Template.BOOK_SNAPSHOT, 2 * bid_ticks, bid_ticks=bid_ticks)
            work_until(pricing, collector, lambda r=reason: r in dict(collector.states))
            assert text in dict(collector.states)[reason]
            flags = collector.newest[1]["flags"]
            assert flags & (PricingFlag.NO_FAIR_VALUE | PricingFlag.LIVE) == 128
            assert collector.newest[1]["fair_value_ticks"] == 0.0
        assert pricing.counters["model_errors"] > 0
        collector.book(Template.BOOK_SNAPSHOT, 900, bid_ticks=100)
        work_until(pricing, collector, lambda: PricingFlag.LIVE & sum(collector.flags[-1:]))
        assert collector.newest[1]["fair_value_ticks"] == 100.25


def test_an_empty_side_and_a_crossed_book_are_named(system):
    pricing, collector = system
    for bid_ticks, reason in ((0, Reason.NO_MARKET_DATA), (102, Reason.BOOK_CROSSED)):
        collector.states.clear()
        collector.book(Template.BOOK_SNAPSHOT, 10 + bid_ticks, bid_ticks=bid_ticks, ask_ticks=101)
        work_until(pricing, collector, lambda r=reason: r in dict(collector.states))


def test_a_reference_that_the_collector_does_not_follow_is_said_once(system, monkeypatch):
    first, collector = system
    monkeypatch.setattr("mm_pricing.service._REFERENCE_WAIT_NS", 10**8)
    config = PricingSettings(reference=ReferenceSettings(symbol="btcusdt"))
    with another(first, config) as pricing:
        collector.rules()

        def told():
            return [text for _, text in collector.states if "reference.symbol" in text]

        work_until(pricing, collector, told)
        assert told() == [
            "no basis: reference.symbol 'btcusdt' must be another one of the collector's, got "
            "BTCUSDT"
        ]
        pricing._next_state_ns = 0
        pricing.do_work()
        collector.poll()
        assert len(told()) == 1


def test_what_stands_around_a_model_of_ones_own_is_compiled_beforehand(monkeypatch, tmp_path):
    called = []
    for name in ("mm_collector.feed", "mm_strategy.service", "mm_simulator.service"):
        monkeypatch.setattr(f"{name}.warm_up", lambda: None)
    monkeypatch.setattr("mm_pricing.service._warm_model", lambda *model: called.append(model))
    monkeypatch.setattr("mm_cli.warm.cache_dir", lambda: tmp_path)
    assert "kernels are compiled" in warm_all()
    ((steps, params),) = called
    assert callable(steps.step)
    assert params.size == 0
