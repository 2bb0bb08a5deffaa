"""The collector on a venue of many symbols: gaps, hand-overs and wrong configuration."""

import os
import re
import time
from contextlib import contextmanager
from http import HTTPStatus
from types import SimpleNamespace

import pytest
from mm_collector.service import Collector
from mm_runtime.agent import CannotStart
from mm_runtime.clock import SystemClock
from mm_runtime.driver import Driver
from mm_runtime.settings import (
    AeronmdSettings,
    AeronSettings,
    CollectorSettings,
    ConnectionSettings,
    EndpointSettings,
    RecordSettings,
    RuntimeSettings,
    SyncSettings,
)
from mm_runtime.transport import Transport
from small_venue import SmallVenue
from venue_process import post
from venue_process import venue as offline_venue

from mmquant.codes import BookState, Reason, Stream, Template
from mmquant.tape import read_capture, read_tape
from mmquant.wire import Inbox

TWENTY = [f"COIN{chr(65 + i)}USDT" for i in range(20)]
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def runtime():
    directory = f"/dev/shm/mmquant-test-streams-{os.getpid()}"
    settings = RuntimeSettings(aeron=AeronSettings(directory=directory))
    driver = Driver(settings.aeron_directory(), AeronmdSettings())
    yield settings
    driver.close()


class Watched(Collector):
    """A collector that remembers its books' states and the time of each."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.history = []

    def publish_book_state(self, instrument_id, epoch, state, reason, text):
        self.history.append((time.monotonic(), instrument_id, state))
        super().publish_book_state(instrument_id, epoch, state, reason, text)

    def work(self, done, timeout_s=PATIENCE_S):
        deadline = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < deadline, (self.state, self.reason, self.counters)
            if not self.do_work():
                time.sleep(0.0005)

    def count(self, state):
        return [told for _, _, told in self.history].count(state)

    def are_live(self):
        feeds = self._feeds.values()
        return bool(feeds) and all(feed.sync.state is BookState.LIVE for feed in feeds)


@contextmanager
def collecting(runtime, venue, symbols, **settings):
    endpoints = EndpointSettings(rest_url=venue.rest_url, ws_url=venue.ws_url)
    config = CollectorSettings(symbols=tuple(symbols), endpoints=endpoints, **settings)
    collector = Watched(runtime, config, SystemClock(), seed=1)
    try:
        collector.on_start()
        yield collector
    finally:
        collector.on_close()


@pytest.fixture
def start():
    venues = []

    def make(symbols, rest_delay_s=0.0):
        venues.append(SmallVenue(symbols, rest_delay_s))
        return venues[-1]

    yield make
    for venue in venues:
        venue.close()


def test_of_twenty_symbols_one_gaps_each_second_and_the_others_stay_live(runtime, start):
    venue = start(TWENTY, rest_delay_s=0.03)
    with collecting(runtime, venue, TWENTY) as collector:
        collector.work(collector.are_live)
        assert all(size < 4_000 for _, size, _ in venue.requests)
        sent = [at for at, _, _ in venue.requests]
        assert len(sent) == 2
        assert sent[1] - sent[0] > 0.4
        collector.history.clear()
        for _ in range(4):
            venue.lost.add(TWENTY[6])
            until = time.monotonic() + 1.0
            collector.work(lambda until=until: time.monotonic() >= until)
        collector.work(collector.are_live)
        assert {instrument_id for _, instrument_id, _ in collector.history} == {7}
        gaps = [at for at, _, state in collector.history if state is BookState.GAP]
        lives = [at for at, _, state in collector.history if state is BookState.LIVE]
        assert len(gaps) == len(lives) == 4
        assert all(gap < live for gap, live in zip(gaps, lives, strict=True))
        assert collector.counters["snapshots"] == len(TWENTY) + 4, "one request a recovery"
        assert collector.counters["book_mismatches"] == 0
        assert collector.counters["book_checks"] > 100


def test_of_twenty_symbols_of_the_offline_venue_one_gaps_each_second(runtime):
    seconds, gapping = 10, TWENTY[6]
    with offline_venue("--market", "usdm", "--symbols", ",".join(TWENTY)) as (_, address):
        urls = SimpleNamespace(rest_url=f"http://{address}", ws_url=f"ws://{address}")
        patient = SyncSettings(stale_after_ms=10_000)  # a slow machine is no gap
        with collecting(runtime, urls, TWENTY, sync=patient) as collector:
            collector.work(collector.are_live)
            collector.history.clear()
            for round_ in range(1, seconds + 1):
                assert post(address, kind="drop", symbol=gapping)[0] == 200
                until = time.monotonic() + 1.0
                collector.work(lambda until=until: time.monotonic() >= until)
                # A slow machine takes longer: each gap is to be one by itself.
                collector.work(
                    lambda n=round_: collector.count(BookState.GAP) == n and collector.are_live()
                )
            counters = collector.counters
    assert {instrument_id for _, instrument_id, _ in collector.history} == {7}
    gaps = [at for at, _, state in collector.history if state is BookState.GAP]
    lives = [at for at, _, state in collector.history if state is BookState.LIVE]
    assert len(gaps) == len(lives) == seconds
    assert all(gap < live for gap, live in zip(gaps, lives, strict=True))
    assert counters["book_mismatches"] == 0
    assert counters["book_checks"] > 100


def trades_heard(runtime):
    """Return a transport to close, a function to poll and the list of (instrument, trade id)."""
    inbox, heard = Inbox(), []
    since_ns = time.time_ns()

    def on_trade():
        row = inbox.block(Template.TRADE)[0]
        if row["sent_ns"] > since_ns:  # else an earlier test's: the driver lets them linger
            heard.append((int(row["instrument_id"]), int(row["trade_id"])))

    transport = Transport(runtime)
    subscriber = transport.subscriber(Stream.TRADES, inbox, {Template.TRADE: on_trade})
    return transport, subscriber, heard


@pytest.mark.parametrize("reason", ["shutdown", "age"])
def test_a_replaced_connection_loses_and_doubles_nothing(runtime, start, reason, tmp_path):
    symbols = TWENTY[:3]
    venue = start(symbols)
    max_age = 1_380.0 if reason == "shutdown" else 2.0 / 60
    connection = ConnectionSettings(max_age_minutes=max_age)
    record = RecordSettings(enabled=True, directory=str(tmp_path))
    transport, subscriber, heard = trades_heard(runtime)
    with collecting(runtime, venue, symbols, connection=connection, record=record) as collector:

        def works_until(done):
            collector.work(lambda: subscriber.poll(100) * 0 or done())

        works_until(lambda: collector.are_live() and heard)
        if reason == "shutdown":
            venue.say_shutdown()
        works_until(lambda: collector.counters["handovers"] >= 1)
        until, enough = time.monotonic() + 0.5, collector.counters["depth_events"] + 45
        works_until(
            lambda: time.monotonic() > until and collector.counters["depth_events"] > enough
        )
        assert [state for _, _, state in collector.history if state is BookState.GAP] == []
        assert [s for _, _, s in collector.history].count(BookState.LIVE) == len(symbols)
        counters = collector.counters
    transport.close()
    assert counters["gaps"] == counters["trade_gaps"] == 0
    assert counters["server_shutdowns"] == (reason == "shutdown")
    for instrument_id in (1, 2, 3):
        ids = [trade_id for i, trade_id in heard if i == instrument_id]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
    lines = [payload for _, payload in read_capture(sorted(tmp_path.glob("*coina*")))]
    assert sum(b'"handed_over"' in line for line in lines) >= 1
    depths = [line for line in lines if b'"depthUpdate"' in line]
    assert len(depths) == len(set(depths)) > 10
    report = read_tape(sorted(tmp_path.iterdir()), progress=False).report()
    assert report.out_of_order == 0
    assert [gap.end for gap in report.gaps] == [""] * len(symbols), "at the collector's end alone"


def test_a_recordings_books_break_where_the_collectors_did(runtime, start, tmp_path):
    """A lost connection, and a book found crossed: no id is missing in either."""
    symbols = TWENTY[:2]
    venue = start(symbols)
    record = RecordSettings(enabled=True, directory=str(tmp_path))
    with collecting(runtime, venue, symbols, record=record) as collector:
        collector.work(collector.are_live)
        link = collector._streams.main
        link._fault = "cut by the test"
        collector.work(lambda: not collector.are_live())
        collector.work(collector.are_live)
        feed = collector._feeds[symbols[0]]
        feed.sync.on_crossed(time.time_ns(), "crossed by the test")
        collector.work(collector.are_live)
        until = collector.counters["depth_events"] + 10
        collector.work(lambda: collector.counters["depth_events"] > until)
    tape = read_tape(sorted(tmp_path.iterdir()), progress=False)
    report = tape.report()
    assert report.out_of_order == 0
    assert collector.counters["gaps"] == 0
    found = {symbol: [gap for gap in report.gaps if gap.symbol == symbol] for symbol in symbols}
    assert [len(found[symbol]) for symbol in symbols] == [3, 2], report
    assert all(gap.end for symbol in symbols for gap in found[symbol][:-1])
    assert not any(found[symbol][-1].end for symbol in symbols)


def test_a_connection_far_behind_its_replacement_loses_no_trade(runtime, start):
    venue = start(TWENTY[:2])
    venue.ticks_per_depth = 6
    transport, subscriber, heard = trades_heard(runtime)
    with collecting(runtime, venue, TWENTY[:2]) as collector:

        def works_until(done):
            collector.work(lambda: subscriber.poll(100) * 0 or done())

        works_until(lambda: collector.are_live() and heard)
        venue.ticks_behind = 5
        works_until(lambda: venue.steps % 6 == 3)  # so that it begins amid a depth event's time
        venue.say_shutdown()
        works_until(lambda: collector.counters["handovers"] == 1)
        until = time.monotonic() + 0.5
        works_until(lambda: time.monotonic() > until)
        assert collector.counters["gaps"] == collector.counters["trade_gaps"] == 0
    transport.close()
    for instrument_id in (1, 2):
        ids = [trade_id for i, trade_id in heard if i == instrument_id]
        assert ids == list(range(ids[0], ids[0] + len(ids)))


@pytest.mark.parametrize(
    ("market", "symbols", "text"),
    [
        ("usdm", ("COINAUSTD",), "COINAUSTD is not listed on usdm; nearest: COINAUSDT"),
        ("spot", ("COINAUSTD",), "COINAUSTD is not listed on spot; nearest: COINAUSDT"),
    ],
)
def test_a_wrong_symbol_ends_the_start_with_the_nearest_ones(runtime, start, market, symbols, text):
    ends_the_start(runtime, start(TWENTY), market, symbols, text)


@pytest.mark.parametrize(
    ("market", "status", "text"),
    [
        ("spot", 404, "has no spot market (HTTP 404); is it of market 'usdm'?"),
        ("usdm", 404, "has no usdm market (HTTP 404); is it of market 'spot'?"),
        ("spot", 451, "(HTTP 451), and without snapshots there is no book; try https://data-api."),
        ("usdm", 451, "no other public address serves usdm data"),
    ],
)
def test_an_address_that_serves_no_such_market_ends_the_start(runtime, start, market, status, text):
    venue = start(TWENTY)
    venue.refusals.append((status, {}))
    ends_the_start(runtime, venue, market, TWENTY[:1], text)


def ends_the_start(runtime, venue, market, symbols, text):
    with (
        pytest.raises(CannotStart, match=re.escape(text)),
        collecting(runtime, venue, symbols, market=market) as collector,
    ):
        collector.work(collector.are_live)


def test_an_address_that_does_not_exist_is_said_with_the_nearest_one(runtime):
    endpoints = EndpointSettings(rest_url="http://fapi.binance.invalid", ws_url="ws://127.0.0.1:9")
    config = CollectorSettings(symbols=("BTCUSDT",), endpoints=endpoints)
    collector = Watched(runtime, config, SystemClock(), seed=1)
    collector.on_start()
    collector.work(lambda: collector.reason is Reason.NO_INSTRUMENT)
    assert "did you mean fapi.binance.com?" in collector.text
    collector.on_close()


def test_a_firewall_at_the_start_is_said_and_waited_for(runtime, start):
    venue = start(TWENTY[:1])
    venue.refusals.append((403, {"Retry-After": "1"}))
    with collecting(runtime, venue, TWENTY[:1]) as collector:
        collector.work(lambda: collector.reason is Reason.NO_INSTRUMENT)
        assert "HTTP 403" in collector.text
        collector.work(collector.are_live)
    refused, answered = (at for at, path in venue.asked[:2])
    assert answered - refused >= 1.0


@pytest.mark.parametrize("status", [429, 418, 403, 451])
def test_a_refusal_stops_every_request_for_as_long_as_it_says(runtime, start, status):
    venue = start(TWENTY[:2])
    with collecting(runtime, venue, TWENTY[:2]) as collector:
        collector.work(collector.are_live)
        before = len(venue.asked)
        venue.refusals.append((status, {"Retry-After": "1"}))
        venue.lost.add(TWENTY[0])
        collector.work(lambda: collector.reason is Reason.REQUESTS_PAUSED)
        venue.lost.add(TWENTY[1])  # what one symbol was told holds for the address
        assert re.search(rf"HTTP {status}: no request before \d\d:\d\d:\d\d UTC", collector.text)
        pause_s = next(s for s in collector.samples() if s.metric == "request_pause_seconds")
        assert 0 < pause_s.value <= 1
        collector.work(collector.are_live)
        collector.work(lambda: collector.reason is Reason.NONE)
    refused, first = (at for at, _ in venue.asked[before : before + 2])
    assert first - refused >= 1.0


def test_the_weight_that_the_venue_counts_is_kept_to(runtime, start):
    venue = start(TWENTY[:1])
    with collecting(runtime, venue, TWENTY[:1]) as collector:
        collector.work(collector.are_live)
        venue.minute_turns_s = turns_s = time.time() + 4
        for used in (8_000, 9_000):  # of the 9000 that exchangeInfo allows: more than 2400
            collector.work(collector.are_live)
            venue.used_weight = used
            venue.lost.add(TWENTY[0])
            collector.work(lambda: not collector.are_live())
        collector.work(collector.are_live)
        venue.lost.add(TWENTY[0])
        asked = len(venue.asked)
        collector.work(lambda: collector.reason is Reason.REQUESTS_PAUSED)
        assert collector.text.endswith("the minute's request weight is used up")
        assert time.time() < turns_s
        collector.work(lambda: len(venue.asked) > asked or time.time() > turns_s - 0.1)
        assert len(venue.asked) == asked, "nothing is asked before the venue's minute turns"
        venue.used_weight = 0
        collector.work(collector.are_live)


def test_what_broke_a_symbol_s_depth_frame_is_its_gap_alone(runtime, start):
    venue = start(TWENTY[:2])
    with collecting(runtime, venue, TWENTY[:2]) as collector:
        collector.work(collector.are_live)
        collector.history.clear()
        name = f"{TWENTY[1].lower()}@depth@100ms"
        venue.send(f'{{"stream":"{name}","data":{{"e":"depthUpdate","E":1,"T":')
        venue.send('{"stream":"coinzusdt@depth@100ms","data":{}}')
        collector.work(lambda: collector.counters["dropped.unknown_kind"])
        assert [state for _, _, state in collector.history] == [
            BookState.GAP,
            BookState.BUFFERING,
        ]
        assert {instrument_id for _, instrument_id, _ in collector.history} == {2}
        collector.work(collector.are_live)
        assert collector.counters["dropped.not_json"] == 1


def test_a_venue_that_begins_its_trade_ids_anew_is_followed_at_once(runtime, start, caplog):
    venue = start(TWENTY[:1])
    venue.steps = 10_000
    transport, subscriber, heard = trades_heard(runtime)
    with collecting(runtime, venue, TWENTY[:1]) as collector:

        def works_until(done):
            collector.work(lambda: subscriber.poll(100) * 0 or done())

        works_until(lambda: collector.are_live() and len(heard) > 2)
        venue.restart()
        works_until(lambda: heard[-1][1] < 10_000)
        assert collector.counters["trade_restarts"] == 1
        assert collector.counters["trade_gaps"] == 0
    transport.close()


def test_a_symbol_that_is_not_traded_is_said(runtime, start):
    venue = start(TWENTY[:1])
    venue.status = "HALT"
    venue.mute = {"trade", "bookTicker", "depth@100ms"}
    with collecting(runtime, venue, TWENTY[:1]) as collector:
        collector.work(lambda: collector.text == "not LIVE: COINAUSDT (HALT at the start)")


def test_a_tick_that_has_changed_is_said_and_nothing_is_live_on_it(runtime, start):
    venue = start(TWENTY[:1])
    with collecting(runtime, venue, TWENTY[:1]) as collector:
        collector.work(collector.are_live)
        venue.bid = "99.05"
        collector.work(lambda: "off the tick known at the start" in collector.text)
        assert not collector.are_live()
        venue.bid = "99.0"
        collector.work(collector.are_live)
        collector.work(lambda: collector.reason is Reason.NONE)


def test_aggregates_stand_in_for_silent_trades_and_make_way_again(runtime, start):
    venue = start(TWENTY[:1])
    venue.mute = {"trade"}
    transport, subscriber, heard = trades_heard(runtime)
    connection = ConnectionSettings(first_frame_timeout_ms=300)
    with collecting(runtime, venue, TWENTY[:1], connection=connection) as collector:

        def works_until(done):
            collector.work(lambda: subscriber.poll(100) * 0 or done())

        works_until(lambda: collector.counters["aggregate_trades"] >= 3)
        venue.mute = set()
        aggregates = collector.counters["aggregate_trades"]
        works_until(lambda: len(heard) >= aggregates + 5)
        assert collector.counters["trade_gaps"] == 0
    transport.close()
    ids = [trade_id for _, trade_id in heard]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_a_venue_that_cannot_be_reached_is_tried_again(runtime, start):
    venue = start(TWENTY[:1])
    port = venue.rest_url.rpartition(":")[2]
    endpoints = EndpointSettings(rest_url="http://127.0.0.1:9", ws_url=venue.ws_url)
    assert port != "9"
    config = CollectorSettings(symbols=("COINAUSDT",), endpoints=endpoints)
    collector = Watched(runtime, config, SystemClock(), seed=1)
    collector.on_start()
    collector.work(lambda: collector.reason.name == "NO_INSTRUMENT")
    collector._rest.base_url = venue.rest_url  # it is back
    collector.work(collector.are_live)
    collector.on_close()


def test_a_quiet_symbol_does_not_cost_its_second_connection(runtime, start):
    venue = start(TWENTY[:1])
    venue.mute = {"trade", "aggTrade"}
    connection = ConnectionSettings(first_frame_timeout_ms=300, idle_timeout_ms=1_200)
    with collecting(runtime, venue, TWENTY[:1], connection=connection) as collector:
        collector.work(lambda: collector.counters["connections"] == 2)
        until = time.monotonic() + 3
        collector.work(lambda: time.monotonic() > until)
        counters = collector.counters
        assert (counters["connections"], counters["connection_failures"]) == (2, 0)


def test_a_half_open_connection_is_found_and_replaced(runtime):
    with offline_venue("--market", "usdm") as (_, address):
        venue = SimpleNamespace(rest_url=f"http://{address}", ws_url=f"ws://{address}")
        connection = ConnectionSettings(idle_timeout_ms=1_200)
        with collecting(runtime, venue, ["BTCUSDT"], connection=connection) as collector:
            collector.work(collector.are_live)
            assert post(address, kind="silence", duration_ms=600_000)[0] == 200
            collector.work(lambda: collector.counters["connection_failures"])
            assert "silent for" in collector.text
            collector.work(collector.are_live)
            assert collector.counters["connections"] == 2


def test_a_handshake_that_is_refused_is_said_and_its_pause_kept(runtime, start):
    venue = start(TWENTY[:1])
    venue.handshakes.append((HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "1"}))
    with collecting(runtime, venue, TWENTY[:1]) as collector:
        collector.work(lambda: collector.reason is Reason.CONNECTION_LOST)
        refused_s = time.monotonic()
        assert collector.text.endswith("handshake refused: HTTP 429, no attempt for 1 s")
        collector.work(collector.are_live)
        assert time.monotonic() - refused_s > 0.9


def test_a_replacement_that_is_refused_is_counted(runtime, start):
    venue = start(TWENTY[:1])
    with collecting(runtime, venue, TWENTY[:1]) as collector:
        collector.work(collector.are_live)
        venue.handshakes.append((HTTPStatus.SERVICE_UNAVAILABLE, {}))
        venue.say_shutdown()
        collector.work(lambda: collector.counters["handovers"])
        assert collector.counters["handovers_failed"] == 1
        assert collector.are_live()


def test_a_depth_stream_that_ceases_is_asked_for_again(runtime, start):
    venue = start(TWENTY[:2])
    connection = ConnectionSettings(first_frame_timeout_ms=300)
    sync = SyncSettings(stale_after_ms=200)
    with collecting(runtime, venue, TWENTY[:2], connection=connection, sync=sync) as collector:
        collector.work(collector.are_live)
        venue.cease(f"{TWENTY[0].lower()}@depth@100ms")
        collector.work(lambda: not collector.are_live())
        collector.work(collector.are_live)
        assert collector.counters["connections"] == 1
        # A slow machine may find the other one late, too.
        assert 1 in {i for _, i, state in collector.history if state is BookState.STALE}
