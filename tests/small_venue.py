"""A small venue for tests of the collector: many symbols, real sockets, faults on demand.

Its streams are USD-M's; of spot it has the rules of its symbols.
"""

import http.server
import math
import socket
import threading
import time
from urllib.parse import parse_qs, urlsplit

import orjson
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

TICK_S = 0.05
FILTERS = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.1", "maxPrice": "0", "tickSize": "0.10"},
    {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
    {"filterType": "MIN_NOTIONAL", "notional": "5"},
]


class SmallVenue:
    """Sends one depth event, one trade and one touch of every symbol each 50 ms."""

    def __init__(self, symbols, rest_delay_s=0.0):
        self.symbols = list(symbols)
        self.rest_delay_s = rest_delay_s
        self.lost = set()  # symbols whose next depth event is lost
        self.mute = set()  # kinds of streams that say nothing
        self.ticks_per_depth = 1  # a depth event tells of so many ticks
        self.ticks_behind = 0  # so far behind the others the oldest connection is
        self.refusals = []  # status and headers of the next answers to REST requests
        self.used_weight = 0  # as the headers tell
        self.minute_turns_s = 0.0  # when it begins to count anew, by its Date; 0: just has
        self.handshakes = []  # status and headers of the next answers to WebSockets
        self.asked = []  # time and path of every REST request
        self.steps = 0
        self.status = "TRADING"
        self.bid = "99.0"
        self.subscribed = {}  # connection -> names
        self._waiting = {}  # connection -> what it is sent later
        self.requests = []
        self._lock = threading.Lock()
        self._is_closing = threading.Event()
        self._stream = serve(
            self._handle, "127.0.0.1", 0, compression=None, process_request=self._shake_hands
        )
        self._rest = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._rest_handler())
        self.ws_url = f"ws://127.0.0.1:{self._stream.socket.getsockname()[1]}"
        self.rest_url = f"http://127.0.0.1:{self._rest.server_port}"
        targets = (self._stream.serve_forever, self._rest.serve_forever, self._play)
        self._threads = [threading.Thread(target=target) for target in targets]
        for thread in self._threads:
            thread.start()

    def close(self):
        self._is_closing.set()
        self._stream.shutdown()
        self._rest.shutdown()
        for thread in self._threads:
            thread.join()
        self._rest.server_close()

    def say_shutdown(self):
        """Announce the end of every connection there is now."""
        self.send('{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}')

    def send(self, frame):
        """Send one more frame to every connection."""
        with self._lock:
            for connection in self.subscribed:
                connection.send(frame)

    def restart(self):
        """End every connection, and begin all ids anew."""
        with self._lock:
            self.steps = 0
            for connection in list(self.subscribed):
                connection.socket.shutdown(socket.SHUT_RDWR)
            self.subscribed.clear()

    @property
    def update_id(self):
        return 1_000 + 10 * self.steps

    def cease(self, name):
        """Send the stream no more to those who are subscribed to it now."""
        with self._lock:
            for names in self.subscribed.values():
                names.discard(name)

    def _shake_hands(self, connection, _request):
        if not self.handshakes:
            return None
        status, headers = self.handshakes.pop(0)
        answer = connection.respond(status, "no")
        answer.headers.update(headers)
        return answer

    def _handle(self, connection):
        try:
            for message in connection:
                request = orjson.loads(message)
                with self._lock:
                    self.requests.append((time.monotonic(), len(message), request["params"]))
                    connection.send(orjson.dumps({"result": None, "id": request["id"]}).decode())
                    self.subscribed.setdefault(connection, set()).update(request["params"])
        except ConnectionClosed:
            pass
        finally:
            with self._lock:
                self.subscribed.pop(connection, None)

    def _play(self):
        while not self._is_closing.wait(TICK_S):
            with self._lock:
                self.steps += 1
                frames = {}
                for symbol in self.symbols:
                    frames |= self._frames(symbol)
                oldest = next(iter(self.subscribed), None)
                for connection, names in list(self.subscribed.items()):
                    waiting = self._waiting.setdefault(connection, [])
                    waiting.append([frames[name] for name in names & frames.keys()])
                    behind = self.ticks_behind if connection is oldest else 0
                    try:
                        while len(waiting) > behind:
                            for frame in waiting.pop(0):
                                connection.send(frame)
                    except ConnectionClosed:
                        self.subscribed.pop(connection, None)

    def _frames(self, symbol):
        last, name, ms = self.update_id, symbol.lower(), time.time_ns() // 1_000_000
        depth = {"e": "depthUpdate", "E": ms, "T": ms, "s": symbol, "U": last - 5, "u": last}
        depth |= {
            "pu": last - 10 * self.ticks_per_depth,
            "b": [[self.bid, f"{1 + self.steps % 9}.000"]],
            "a": [],
        }
        trade = {"e": "trade", "E": ms, "T": ms, "s": symbol, "t": self.steps}
        trade |= {"p": "99.5", "q": "0.010", "X": "MARKET", "m": True}
        touch = {"e": "bookTicker", "E": ms, "T": ms, "s": symbol, "u": last}
        touch |= {"b": self.bid, "B": depth["b"][0][1], "a": "101.0", "A": "1.000"}
        total = {"e": "aggTrade", "E": ms, "T": ms, "s": symbol, "a": self.steps, "p": "99.5"}
        total |= {"q": "0.010", "f": self.steps, "l": self.steps, "m": True}
        datas = {"trade": trade, "aggTrade": total, "bookTicker": touch, "depth@100ms": depth}
        if self.steps % self.ticks_per_depth:
            del datas["depth@100ms"]
        elif symbol in self.lost:
            self.lost.discard(symbol)
            del datas["depth@100ms"]
        return {
            f"{name}@{kind}": orjson.dumps({"stream": f"{name}@{kind}", "data": data}).decode()
            for kind, data in datas.items()
            if kind not in self.mute
        }

    def _rest_handler(venue):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                time.sleep(venue.rest_delay_s)
                parts = urlsplit(self.path)
                query = parse_qs(parts.query)
                venue.asked.append((time.monotonic(), parts.path))
                status, body, headers = 200, {}, {"X-MBX-USED-WEIGHT-1M": venue.used_weight}
                if venue.refusals:
                    status, more = venue.refusals.pop(0)
                    headers |= more
                elif query.get("symbol", venue.symbols)[0] not in venue.symbols:
                    status, body = 400, {"code": -1121, "msg": "Invalid symbol."}
                elif parts.path in ("/fapi/v1/exchangeInfo", "/api/v3/exchangeInfo"):
                    more = {"status": venue.status, "filters": FILTERS}
                    rows = [{"symbol": symbol, **more} for symbol in venue.symbols]
                    limits = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE"}
                    limits |= {"intervalNum": 1, "limit": 9_000}
                    body = {"symbols": rows, "rateLimits": [limits]}
                elif parts.path == "/fapi/v1/depth":
                    bids = [[venue.bid, f"{1 + venue.steps % 9}.000"]]
                    body = {"lastUpdateId": venue.update_id, "bids": bids}
                    body |= {"asks": [["101.0", "1.000"]]}
                else:
                    status = 404
                data = orjson.dumps(body)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": len(data)}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(data)

            def date_time_string(self, timestamp=None):
                left_s = math.ceil(venue.minute_turns_s - time.time())
                return super().date_time_string(60 - left_s if 0 < left_s <= 60 else 0)

            def log_message(self, *_):
                """Say nothing."""

        return Handler
