"""The offline venue's parts without a socket: books, payloads, sessions, settings."""

import json
import tomllib
from pathlib import Path

import pytest
from mm_venue.__main__ import make_source
from mm_venue.book import CaptureBook
from mm_venue.instrument import decimal_text, default_instrument
from mm_venue.session import open_session
from mm_venue.settings import VenueSettings
from mm_venue.source import Frame
from mm_venue.synthetic import SyntheticSource
from reference_venue import NaiveBook

from mmquant.codes import Market

ROOT = Path(__file__).parents[1]
DATA = Path(__file__).parents[2] / "shared" / "data" / "binance"
REAL = {
    "usdm": [DATA / "usdm_btcusdt_20240808.gz"],
    "spot": [DATA / "spot_btcusdt_20240808.gz", DATA / "spot_btcusdt_20240809.gz"],
}
real = pytest.mark.skipif(not DATA.exists(), reason=f"no captures in {DATA}")
SECOND = 1_000_000_000
START_S = 60  # interpreted or with a cold cache it takes its time


def depth_line(first, last, bid="100.00", qty="0.500"):
    return (
        b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1,"s":"BTCUSDT",'
        b'"U":%d,"u":%d,"b":[["%b","%b"]],"a":[]}}' % (first, last, bid.encode(), qty.encode())
    )


SNAPSHOT_LINE = b'{"lastUpdateId":10,"bids":[["99.00","1.000"]],"asks":[["101.00","1.000"]]}'


def test_a_hole_in_the_capture_is_counted_and_the_next_snapshot_heals_it():
    book = CaptureBook()
    book.diff(8, 9, None, [(1, 1)], [])
    book.snapshot([(1, 5)], [(9, 5)], 9)
    book.diff(10, 10, None, [(2, 2)], [])
    book.diff(12, 12, None, [(3, 3)], [])
    assert (book.gaps, book.best_bid) == (1, 3)
    book.diff(13, 13, None, [(3, 0)], [])
    book.snapshot([(2, 7)], [(9, 5)], 12)
    assert (book.gaps, book.update_id, book.bids) == (1, 13, {2: 7})


@pytest.mark.parametrize("market", [Market.SPOT, Market.USDM])
def test_every_depth_stream_tiles_the_ids_and_agrees_with_the_touch(market):
    now = 1_700_000_000 * SECOND
    instrument = default_instrument("BTCUSDT", market)
    source = SyntheticSource(3, [instrument], now)
    true = source.listings["BTCUSDT"].book
    usdm = market == Market.USDM
    snapshot = {
        "lastUpdateId": true.update_id,
        **{
            name: [[decimal_text(p, 8), decimal_text(q, 8)] for p, q in side]
            for name, side in zip(("bids", "asks"), true.top(1000), strict=True)
        },
    }
    books, touches, holes, trades = {}, {}, 0, []
    for _ in range(400):
        now += 8_000_000
        for frame in source.poll(now):
            data = json.loads(frame.data)
            if "@depth" in frame.stream:
                book = books.setdefault(frame.stream, NaiveBook(snapshot, usdm))
                holes += usdm and data["U"] > data["pu"] + 1
                book.first = False  # the snapshot is of the stream's very beginning
                book.apply(data)
                if book.id in touches:
                    assert book.touch() == touches[book.id]
            elif "@trade" in frame.stream:
                trades.append(data["t"])
            elif "@bookTicker" in frame.stream:
                touches[data["u"]] = tuple(float(data[key]) for key in "bBaA")
        exact = books.get("btcusdt@depth@0ms")
        if exact and exact.id == true.update_id:
            top = [[(p / 1e8, q / 1e8) for p, q in side] for side in true.top(500)]
            assert exact.top(500) == tuple(top)
    assert len(books) == (4 if usdm else 3)
    assert (holes > 5) == usdm
    assert trades == list(range(trades[0], trades[0] + len(trades)))


def test_payloads_have_binance_s_keys_in_order():
    keys = {
        (Market.SPOT, "@trade"): "e E s t p q T m M",
        (Market.SPOT, "@bookTicker"): "u s b B a A",
        (Market.SPOT, "@depth@100ms"): "e E s U u b a",
        (Market.USDM, "@trade"): "e E T s t p q X m st",
        (Market.USDM, "@bookTicker"): "e u s ps b B a A T E st",
        (Market.USDM, "@depth@100ms"): "e E T s ps U u pu b a st",
    }
    for market in Market:
        now = 1_700_000_000 * SECOND
        source = SyntheticSource(1, [default_instrument("BTCUSDT", market)], now)
        frames = [frame for step in range(1, 300) for frame in source.poll(now + step * 10_000_000)]
        for (which, suffix), wanted in keys.items():
            if which == market:
                data = next(f.data for f in frames if f.stream == f"btcusdt{suffix}")
                assert list(json.loads(data)) == wanted.split()
                assert b" " not in data


def test_paths_open_the_right_sessions():
    def opened(target, market=Market.USDM):
        return open_session(target, market, any_depth_name=False)

    session = opened("/ws/btcusdt@trade/btcusdt@depth")
    assert list(session.streams) == ["btcusdt@trade", "btcusdt@depth"]
    assert not session.combined
    assert opened("/stream?streams=a@trade/b@depth").combined
    assert list(opened("/public/stream?streams=btcusdt%40trade").streams) == ["btcusdt@trade"]
    assert opened("/stream").streams == opened("/ws").streams == {}
    assert not opened("/market/ws/btcusdt@depth").wants_depth("btcusdt")
    assert opened("/public/ws/btcusdt@depth@100ms").wants_depth("btcusdt")
    assert opened("/private/ws") is None
    assert opened("/public") is None
    assert opened("/public/ws", Market.SPOT) is None


def test_requests_a_session_cannot_read_get_binance_s_errors():
    session = open_session("/ws", Market.SPOT, any_depth_name=True)

    def ask(text):
        return json.loads(session.on_message(text.encode()))

    assert ask("{")["code"] == 3
    assert ask('{"id":1}') == {
        "code": 2,
        "msg": "Invalid request: missing field `method`",
        "id": 1,
    }
    assert ask('{"method":"JUMP","id":4}')["id"] == 4
    assert "params" in ask('{"method":"SUBSCRIBE","params":"x","id":1}')["msg"]
    assert session.name_for(None) is None
    ask('{"method":"SUBSCRIBE","params":["a@depth"],"id":1}')
    assert session.name_for(None) == ""
    assert session.name_for("a@depth@0ms") == "a@depth"
    assert session.name_for("b@depth@0ms") is None
    assert session.name_for("a@depth5") is None


def test_properties_of_a_session():
    session = open_session("/public/ws/a@trade", Market.USDM, any_depth_name=False)

    def ask(method, params, request_id=5):
        request = {"method": method, "params": params, "id": request_id}
        return json.loads(session.on_message(json.dumps(request).encode()))

    frame = Frame("a@trade", b"{}")
    assert session.form(frame, "a@trade") == b"{}"
    assert ask("GET_PROPERTY", ["combined"]) == {"result": False, "id": 5}
    assert ask("SET_PROPERTY", ["combined", True]) == {"result": None, "id": 5}
    assert ask("GET_PROPERTY", ["combined"]) == {"result": True, "id": 5}
    assert session.form(frame, "a@trade") == b'{"stream":"a@trade","data":{}}'
    assert ask("GET_PROPERTY", ["colour"]) == {"code": 0, "msg": "Unknown property", "id": 5}
    no_boolean = {"code": 1, "msg": "Invalid value type: expected Boolean"}
    assert ask("SET_PROPERTY", ["combined", "yes"]) == no_boolean
    assert ask("SET_PROPERTY", [1])["msg"].endswith("property name must be a string")
    assert ask("GET_PROPERTY", ["combined", 1])["msg"].endswith("too many parameters")
    no_id = "Invalid request: request ID must be an unsigned integer"
    assert ask("LIST_SUBSCRIPTIONS", [], "x") == {"code": 2, "msg": no_id}
    assert ask("LIST_SUBSCRIPTIONS", [], -1)["msg"] == no_id


def test_limits_of_a_session():
    session = open_session("/ws", Market.SPOT, any_depth_name=False)
    names = [f"s{i}@trade" for i in range(1025)]
    for some in (names[:200], names[200:400], names[400:600], names[600:800], names[800:1024]):
        request = {"method": "SUBSCRIBE", "params": some, "id": 1}
        assert json.loads(session.on_message(json.dumps(request).encode()))["result"] is None
    one_more = {"method": "SUBSCRIBE", "params": names[1024:], "id": 1}
    assert json.loads(session.on_message(json.dumps(one_more).encode()))["code"] == 2
    assert len(session.streams) == 1024
    assert open_session("/ws/" + "/".join(names), Market.SPOT, any_depth_name=False) is None
    assert session.on_message(b"x" * 4089) is None
    assert session.on_message(b"x" * 4088) is not None
    assert [session.is_flooded(i * SECOND // 5) for i in range(20)] == [False] * 20
    assert [session.is_flooded(9 * SECOND + i) for i in range(6)] == [False] * 5 + [True]


def test_settings_file_and_defaults_are_the_same():
    values = tomllib.loads((ROOT / "config/venue.toml").read_text())
    assert (
        VenueSettings(
            **{**values, "replay": tuple(values["replay"]), "symbols": tuple(values["symbols"])}
        )
        == VenueSettings()
    )
    assert isinstance(make_source(VenueSettings()), SyntheticSource)


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 70000},
        {"market": "coinm"},
        {"symbols": ("btcusdt",)},
        {"speed": "fast"},
        {"seed": -1},
    ],
)
def test_settings_out_of_range_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        VenueSettings(**wrong)


def test_decimals_never_lose_digits():
    assert decimal_text(6_400_010_000_000, 2) == "64000.10"
    assert decimal_text(1_000, 3) == "0.00001"
    assert decimal_text(500_000_000, 0) == "5"


def test_a_faster_synthetic_market_makes_more_in_the_same_time():
    instruments = [default_instrument("BTCUSDT", Market.USDM)]
    depths = {}
    for speed in (1.0, 10.0):
        source = SyntheticSource(1, instruments, 10**18, speed)
        source.listen({"btcusdt@depth@100ms"})
        now_ns, times_ms = 10**18, []
        while now_ns < 10**18 + 10**9:
            now_ns += source.wait_ns(now_ns)
            times_ms += [json.loads(frame.data)["E"] for frame in source.poll(now_ns)]
        assert times_ms[-1] - times_ms[0] == pytest.approx(1_000 * speed, rel=0.15)
        depths[speed] = len(times_ms)
    assert depths[10.0] == pytest.approx(10 * depths[1.0], rel=0.2)


def test_a_synthetic_market_has_no_greatest_speed():
    with pytest.raises(ValueError, match="speed must be a number for the synthetic market"):
        VenueSettings(speed="max")
