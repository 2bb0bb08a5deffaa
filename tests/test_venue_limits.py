"""The offline venue's clockworks and bounds without a socket: HTTP, pings, weights, attempts."""

import json

import pytest
from mm_venue.book import TrueBook
from mm_venue.http1 import Answer, BadRequest, take_request
from mm_venue.instrument import default_instrument
from mm_venue.lifetime import Lifetime
from mm_venue.limits import ConnectionAttempts, RequestWeight
from mm_venue.rest import Rest
from mm_venue.source import Listing

from mmquant.codes import Market

SECOND = 1_000_000_000
START = 1_700_000_040 * SECOND  # a whole minute


def request_of(*parts):
    buffer = bytearray()
    for part in parts[:-1]:
        buffer += part
        assert take_request(buffer) is None
    buffer += parts[-1]
    return take_request(buffer), bytes(buffer)


def test_a_request_is_taken_whole_and_what_follows_stays():
    head = b"POST /debug/faults HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
    request, rest = request_of(head[:20], head[20:], b"ab", b"cdGET")
    assert (request.method, request.target, request.body) == ("POST", "/debug/faults", b"abcd")
    assert (request.keep_alive, request.raw, rest) == (True, head, b"GET")
    request, _ = request_of(b"GET / HTTP/1.1\r\nConnection: close\r\nUpgrade: WebSocket\r\n\r\n")
    assert (request.keep_alive, request.is_upgrade) == (False, True)
    assert not request_of(b"GET / HTTP/1.0\r\n\r\n")[0].keep_alive


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / SPDY/3\r\n\r\n", 400),
        (b"GET /" + b"x" * 8004 + b" HTTP/1.1\r\n\r\n", 414),
        (b"x" * 16_385, 431),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", 413),
    ],
)
def test_a_request_beyond_a_bound_is_refused(raw, status):
    with pytest.raises(BadRequest) as caught:
        take_request(bytearray(raw))
    assert caught.value.status == status


def test_an_answer_says_how_long_it_is():
    head, _, body = (
        Answer(429, b"{}", {"Retry-After": "3"}).encode(keep_alive=False).partition(b"\r\n\r\n")
    )
    assert head.splitlines()[0] == b"HTTP/1.1 429 Too Many Requests"
    assert {b"Content-Length: 2", b"Retry-After: 3", b"Connection: close"} <= {*head.splitlines()}
    assert body == b"{}"


@pytest.mark.parametrize(
    ("market", "every_s", "overdue_s"), [(Market.SPOT, 20, 60), (Market.USDM, 180, 600)]
)
def test_pings_and_the_pong_that_keeps_the_connection(market, every_s, overdue_s):
    life = Lifetime(market, 1.0, START)
    assert life.ping(START + every_s * SECOND - 1) is None
    asked = START + every_s * SECOND
    payload = life.ping(asked)
    assert payload == str(asked // 1_000_000).encode()
    life.pong(payload, asked + SECOND)
    assert life.ended(asked + 2 * overdue_s * SECOND) == ""
    assert life.ping(asked + every_s * SECOND)
    life.pong(b"unasked", asked + every_s * SECOND)
    later = asked + (every_s + overdue_s) * SECOND + 1
    # An unsolicited pong keeps a USD-M connection, not one of spot.
    assert life.ended(later) == ("no pong" if market == Market.SPOT else "")


def test_a_later_ping_does_not_put_off_the_deadline():
    life = Lifetime(Market.SPOT, 1.0, START)
    for second in range(80):
        life.ping(START + second * SECOND)
    assert life.ended(START + 80 * SECOND) == ""
    assert life.ended(START + 81 * SECOND) == "no pong"


def test_a_day_is_24_hours_and_can_be_scaled():
    for scale in (1.0, 1000.0):
        life = Lifetime(Market.USDM, scale, START)
        day = int(24 * 3600 * SECOND / scale)
        assert life.ended(START + day - 1) == ""
        assert life.ended(START + day) == "24 hours are over"


def test_weight_beyond_the_limit_is_429_and_going_on_is_418():
    weight = RequestWeight(Market.USDM)
    assert weight.charge(2400, START) is None
    refusals = [weight.charge(1, START + 20 * SECOND) for _ in range(21)]
    assert [refusal.status for refusal in refusals] == [429] * 20 + [418]
    assert refusals[0].headers["Retry-After"] == "40"
    assert json.loads(refusals[0].body)["code"] == -1003
    assert refusals[-1].headers["Retry-After"] == "120"
    banned = weight.charge(1, START + 80 * SECOND)
    assert (banned.status, banned.headers["Retry-After"]) == (418, "60")
    assert weight.charge(1, START + 140 * SECOND) is None
    assert weight.used == 1


def test_connections_are_limited_to_300_in_five_minutes():
    attempts = ConnectionAttempts()
    assert [attempts.refused(START + i) for i in range(300)] == [0] * 300
    assert attempts.refused(START + 100 * SECOND) == 200
    assert attempts.refused(START + 300 * SECOND) == 0


class OneBook:
    """As much of a source as REST needs."""

    def __init__(self, market, listings):
        self.market = market
        self.listings = listings

    def book_ready(self):
        return True


@pytest.mark.parametrize(
    ("market", "weights"),
    [
        (Market.SPOT, {1: 5, 100: 5, 101: 25, 500: 25, 1000: 50, 1001: 250, 9999: 250}),
        (Market.USDM, {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}),
    ],
)
def test_depth_costs_what_the_venue_says(market, weights):
    book = TrueBook()
    book.load([(5, 1)], [(9, 1)], 10)
    symbols = ("BTCUSDT", "ETHUSDT")
    listings = {symbol: Listing(default_instrument(symbol, market), book) for symbol in symbols}
    rest = Rest(OneBook(market, listings))
    base = "/api/v3" if market == Market.SPOT else "/fapi/v1"
    used = 0
    for limit, weight in weights.items():
        answer = rest.answer("GET", f"{base}/depth?symbol=ETHUSDT&limit={limit}", START)
        used += weight
        assert (answer.status, answer.headers["X-MBX-USED-WEIGHT-1M"]) == (200, str(used))
    for target, code in (
        (f"{base}/depth", -1102),
        (f"{base}/depth?symbol=btcusdt", -1121),
        (f"{base}/depth?symbol=BTCUSDT&limit=x", -1100 if market == Market.SPOT else -4021),
        (f"{base}/depth?symbol=BTCUSDT&limit=0", -1130 if market == Market.SPOT else -4021),
    ):
        answer = rest.answer("GET", target, START)
        assert (answer.status, json.loads(answer.body)["code"]) == (400, code)
    assert rest.answer("POST", f"{base}/depth", START).status == 405
    info = json.loads(rest.answer("GET", f"{base}/exchangeInfo", START).body)
    assert [row["symbol"] for row in info["symbols"]] == list(symbols)
    wanted = f'{base}/exchangeInfo?symbols=["ETHUSDT"]'
    info = json.loads(rest.answer("GET", wanted, START).body)
    shown = ["ETHUSDT"] if market == Market.SPOT else list(symbols)
    assert [row["symbol"] for row in info["symbols"]] == shown
