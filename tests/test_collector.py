"""The collector as an agent, stepped by hand: two symbols, a real WebSocket, REST and Aeron."""

import http.server
import os
import queue
import threading
import time
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from mm_collector.service import Collector
from mm_runtime.clock import SystemClock
from mm_runtime.driver import Driver
from mm_runtime.settings import (
    AeronmdSettings,
    AeronSettings,
    CollectorSettings,
    EndpointSettings,
    RuntimeSettings,
)
from mm_runtime.transport import Transport
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from mmquant.codes import BookState, RequestKind, Role, Stream, Template
from mmquant.wire import Inbox, MessageBuffer

SYMBOLS = ("BTCUSDT", "ETHUSDT")
PATIENCE_S = 20.0


def listing(symbol):
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.1", "maxPrice": "0", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
        {"filterType": "MIN_NOTIONAL", "notional": "5"},
    ]
    return {"symbol": symbol, "filters": filters}


class Rest(http.server.BaseHTTPRequestHandler):
    """Answers exchangeInfo and depth as USD-M does."""

    def do_GET(self):
        parts = urlsplit(self.path)
        if parts.path == "/fapi/v1/exchangeInfo":
            body = {"symbols": [listing(symbol) for symbol in SYMBOLS]}
        else:
            price = 100 + SYMBOLS.index(parse_qs(parts.query)["symbol"][0])
            bids, asks = [[f"{price}.0", "1.000"]], [[f"{price}.1", "2.000"]]
            body = {"lastUpdateId": self.server.update_id, "bids": bids, "asks": asks}
        data = orjson.dumps(body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def rest():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Rest) as server:
        server.update_id = 10
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def stream():
    """Yield an address and a queue: what is put there goes to the client."""
    frames = queue.Queue()

    def handler(connection):
        try:
            while (frame := frames.get()) is not None:
                connection.send(frame)
        except ConnectionClosed:
            return

    with serve(handler, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}", frames
        frames.put(None)
        server.shutdown()
        thread.join()


class Ears:
    """Hears what the collector publishes."""

    def __init__(self, settings):
        self.inbox = Inbox()
        self.states, self.ids, self.deltas, self.symbols = {}, {}, [], {}
        self.transport = Transport(settings)
        market_data = {
            Template.BOOK_SNAPSHOT: self._on_snapshot,
            Template.BOOK_DELTA: self._on_delta,
        }
        self.subscribers = [
            self.transport.subscriber(Stream.MARKET_DATA, self.inbox, market_data),
            self.transport.subscriber(
                Stream.STATE, self.inbox, {Template.INSTRUMENT: self._on_instrument}
            ),
        ]

    def poll(self):
        return sum(subscriber.poll(10) for subscriber in self.subscribers)

    def _on_snapshot(self):
        row = self.inbox.block(Template.BOOK_SNAPSHOT)[0]
        instrument_id = int(row["instrument_id"])
        self.states.setdefault(instrument_id, []).append(BookState(int(row["book_state"])))
        self.ids[instrument_id] = int(row["last_update_id"])

    def _on_delta(self):
        row = self.inbox.block(Template.BOOK_DELTA)[0]
        self.deltas.append((int(row["instrument_id"]), int(row["last_update_id"])))

    def _on_instrument(self):
        row = self.inbox.block(Template.INSTRUMENT)[0]
        self.symbols[int(row["instrument_id"])] = row["symbol"].decode()


def depth(symbol, first, last, previous):
    data = {"e": "depthUpdate", "E": 1, "T": 1, "s": symbol, "U": first, "u": last, "pu": previous}
    data |= {"b": [["99.0", f"{last}.000"]], "a": []}
    return orjson.dumps({"stream": f"{symbol.lower()}@depth@100ms", "data": data}).decode()


@pytest.fixture
def system(rest, stream):
    """Yield a collector, its ears and the frames' queue, all connected."""
    url, frames = stream
    settings = RuntimeSettings(
        aeron=AeronSettings(directory=f"/dev/shm/mmquant-test-{os.getpid()}")
    )
    config = CollectorSettings(
        symbols=SYMBOLS,
        endpoints=EndpointSettings(rest_url=f"http://127.0.0.1:{rest.server_port}", ws_url=url),
    )
    driver = Driver(settings.aeron_directory(), AeronmdSettings())
    ears = Ears(settings)
    collector = Collector(settings, config, SystemClock(), seed=1)
    collector.on_start()
    yield collector, ears, frames
    collector.on_close()
    ears.transport.close()
    driver.close()


def work_until(collector, ears, done):
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline
        if not collector.do_work() + ears.poll():
            time.sleep(0.0005)


def test_who_asks_for_a_book_hears_its_rules_at_once(system):
    collector, ears, frames = system
    for symbol in SYMBOLS:
        frames.put(depth(symbol, 9, 11, 8))
    work_until(collector, ears, lambda: is_live(ears, 1, 2) and len(ears.symbols) == 2)
    collector._next_snapshot_ns = 2 * collector.clock.now_ns()  # none that comes by itself
    ears.symbols.clear()
    request = MessageBuffer(Template.REQUEST)
    request.block["role"], request.block["kind"] = Role.MM_PRICING, RequestKind.BOOK_SNAPSHOT
    request.block["instrument_id"] = 2
    asking = ears.transport.publisher(Stream.STATE, 10)
    asking.offer(request)
    work_until(collector, ears, lambda: ears.symbols)
    assert ears.symbols == {2: "ETHUSDT"}


def is_live(ears, *instrument_ids):
    return all(ears.states.get(i, [None])[-1] is BookState.LIVE for i in instrument_ids)


def test_two_symbols_are_live_and_a_gap_in_one_leaves_the_other_alone(system, rest):
    collector, ears, frames = system
    for symbol in SYMBOLS:
        frames.put(depth(symbol, 9, 11, 8))
    work_until(collector, ears, lambda: is_live(ears, 1, 2))
    assert ears.symbols == {1: "BTCUSDT", 2: "ETHUSDT"}
    assert ears.ids == {1: 11, 2: 11}

    ears.states.clear()
    rest.update_id = 29
    frames.put(depth("BTCUSDT", 25, 30, 24))  # (11, 24] is lost
    frames.put(depth("ETHUSDT", 12, 15, 11))
    work_until(collector, ears, lambda: is_live(ears, 1) and (2, 15) in ears.deltas)
    assert BookState.BUFFERING in ears.states[1]
    assert set(ears.states.get(2, [])) <= {BookState.LIVE}
    assert ears.ids[1] == 30
    work_until(collector, ears, lambda: collector.counters["gaps"] == 1)  # counted each second


def test_a_bad_depth_frame_is_dropped_whole_and_costs_one_resynchronisation(system, rest):
    collector, ears, frames = system
    for symbol in SYMBOLS:
        frames.put(depth(symbol, 9, 11, 8))
    work_until(collector, ears, lambda: is_live(ears, 1, 2))
    rest.update_id = 20
    good = depth("BTCUSDT", 12, 15, 11)
    frames.put(good.replace('"99.0"', '"-99.0"'))
    frames.put(depth("BTCUSDT", 16, 21, 15))
    work_until(collector, ears, lambda: ears.ids[1] == 21 and is_live(ears, 1))
    assert collector.counters["dropped.bad_price"] == 1
    assert (1, 15) not in ears.deltas
