"""Venue frames -> events: exact decimals, and a name for everything that breaks a rule."""

import contextlib
from collections import Counter

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mm_collector.frames import (
    Acknowledgement,
    AggregateTrade,
    BadFrame,
    BestBidOffer,
    FrameReader,
    Instrument,
    Trade,
    parse_frame,
    parse_snapshot,
)
from reference_frames import plain

BTC = Instrument("BTCUSDT", 10_000_000, 100_000)  # tick 0.1, lot 0.001
KNOWN = {"BTCUSDT": BTC}

DEPTH = {
    "e": "depthUpdate",
    "E": 1770000000203,
    "T": 1770000000201,
    "s": "BTCUSDT",
    "U": 100,
    "u": 160,
    "pu": 95,
    "b": [["64000.00", "1.200"], ["63999.90", "0"]],
    "a": [["64000.10", "0.000"]],
    "new_key_of_tomorrow": {},
}
TRADE = {
    "e": "trade",
    "E": 1770000000204,
    "T": 1770000000203,
    "s": "BTCUSDT",
    "t": 81,
    "p": "64000.10",
    "q": "0.010",
    "X": "MARKET",
    "m": True,
}
AGGREGATE = {
    "e": "aggTrade",
    "E": 1770000000250,
    "T": 1770000000203,
    "s": "BTCUSDT",
    "a": 7,
    "p": "64000.10",
    "q": "0.300",
    "f": 81,
    "l": 84,
    "m": False,
}
BBO = {"u": 161, "s": "BTCUSDT", "b": "64000.00", "B": "12.345", "a": "64000.10", "A": "3.210"}


def parse(data):
    return parse_frame(orjson.dumps(data), KNOWN)


def kind_of(data):
    payload = data if isinstance(data, bytes) else orjson.dumps(data)
    with pytest.raises(BadFrame) as caught:
        parse_frame(payload, KNOWN)
    return caught.value.kind


def test_usdm_depth_keeps_its_previous_id_and_the_engine_time():
    event = parse({"stream": "btcusdt@depth", "data": DEPTH})
    assert plain(event) == (
        "DepthEvent",
        "BTCUSDT",
        1770000000201 * 10**6,
        100,
        160,
        95,
        [(640000, 1200), (639999, 0)],
        [(640001, 0)],
    )


def test_spot_depth_covers_the_ids_from_the_one_before_its_first():
    data = {key: value for key, value in DEPTH.items() if key not in ("pu", "T")}
    event = parse(data)
    assert (event.previous, event.venue_ns) == (99, 1770000000203 * 10**6)


def test_trades_name_the_aggressor():
    assert parse(TRADE) == Trade("BTCUSDT", 1770000000203 * 10**6, 81, 640001, 10, -1)
    assert parse({**TRADE, "m": False}).aggressor == 1


def test_aggregates_name_the_trades_they_are_made_of():
    expected = AggregateTrade("BTCUSDT", 1770000000203 * 10**6, 81, 84, 640001, 300, 1, 7)
    assert parse(AGGREGATE) == expected


@pytest.mark.parametrize(("visible", "lots"), [("0.280", 280), ("0.000", 0), ("0.300", 300)])
def test_what_hidden_orders_filled_is_not_in_an_aggregate(visible, lots):
    event = parse({**AGGREGATE, "nq": visible})
    assert (event.qty_lots, event.aggregate_id) == (lots, 7)
    reader = FrameReader()
    reader.add(BTC)
    assert reader.parse(orjson.dumps({**AGGREGATE, "nq": visible})) == event
    assert reader.fallbacks == (lots == 0)


def test_spot_best_bid_offer_has_neither_kind_nor_time():
    expected = BestBidOffer("BTCUSDT", 0, 161, (640000, 12345), (640001, 3210))
    assert parse(BBO) == expected
    assert parse({**BBO, "e": "bookTicker", "T": 5, "E": 6}).venue_ns == 5 * 10**6


def test_answers_to_control_messages_are_no_data():
    assert isinstance(parse({"result": None, "id": 1}), Acknowledgement)
    assert isinstance(parse({"error": {"code": 2, "msg": "x"}, "id": 1}), Acknowledgement)
    assert isinstance(parse({"code": 3, "msg": "Invalid JSON"}), Acknowledgement)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"{", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"[1]", "unknown_kind"),
        ({"e": "kline", "s": "BTCUSDT"}, "unknown_kind"),
        ({"stream": "x", "data": 5}, "unknown_kind"),
        ({**DEPTH, "s": "ETHUSDT"}, "unknown_symbol"),
        ({**DEPTH, "b": [["-1.0", "1"]]}, "bad_price"),
        ({**DEPTH, "b": [["0.00", "1"]]}, "bad_price"),
        ({**DEPTH, "b": [["1.05", "1"]]}, "off_tick"),
        ({**DEPTH, "a": [["1.0", "-1"]]}, "bad_quantity"),
        ({**TRADE, "q": "0.0105"}, "off_lot"),
        ({**DEPTH, "a": [["1.0", "NaN"]]}, "malformed"),
        ({**DEPTH, "a": [["1e5", "1"]]}, "malformed"),
        ({**DEPTH, "a": [[1.5, "1"]]}, "malformed"),
        ({**DEPTH, "a": 7}, "malformed"),
        ({**DEPTH, "a": [[]]}, "malformed"),
        ({**DEPTH, "a": [["1" * 30, "1"]]}, "malformed"),
        ({**DEPTH, "u": 2**63}, "malformed"),
        ({**DEPTH, "T": 2**61}, "malformed"),
        ({**DEPTH, "e": ["depthUpdate"]}, "unknown_kind"),
        ({**DEPTH, "s": {}}, "unknown_symbol"),
        ({**DEPTH, "u": "160"}, "malformed"),
        ({**DEPTH, "u": True}, "malformed"),
        ({k: v for k, v in DEPTH.items() if k != "U"}, "malformed"),
        ({**TRADE, "X": "NA", "p": "0", "q": "0"}, "not_a_trade"),
        ({**TRADE, "X": "INSURANCE_FUND"}, "not_a_trade"),
        ({**TRADE, "q": "0.000"}, "not_a_trade"),
        ({**AGGREGATE, "q": "0.000"}, "not_a_trade"),
        ({**AGGREGATE, "f": 90}, "not_a_trade"),
        ({**DEPTH, "a": [["1.0", "1"]] * 16_385}, "too_many_levels"),
    ],
)
def test_what_breaks_a_rule_is_named(data, kind):
    assert kind_of(data) == kind


def test_a_capped_quantity_is_rounded_down_not_refused():
    event = parse({**DEPTH, "b": [["1.0", "92233720368.54775807"]]})
    assert event.bids.tolist() == [(10, 92_233_720_368_547)]


def test_a_displayed_quantity_off_the_lot_is_rounded_down_and_counted():
    rounded = Counter()
    off = {**DEPTH, "b": [["64000.0", "1.2007"]], "a": [["64000.1", "0.0009"], ["64000.2", "1"]]}
    event = parse_frame(orjson.dumps(off), KNOWN, rounded)
    assert event.bids.tolist() == [(640000, 1200)]
    assert event.asks.tolist() == [(640001, 0), (640002, 1000)], "less than a lot is no level"
    assert rounded == {"BTCUSDT": 2}
    body = {"lastUpdateId": 7, "bids": [["1.0", "2.0005"]], "asks": []}
    assert parse_snapshot(orjson.dumps(body), BTC, rounded).bids.tolist() == [(10, 2000)]
    assert parse_frame(orjson.dumps({**BBO, "B": "12.3459"}), KNOWN, rounded).bid[1] == 12345
    assert rounded == {"BTCUSDT": 4}


def test_snapshots_are_read_like_events():
    body = {"lastUpdateId": 7, "bids": [["1.0", "2.000"]], "asks": [["1.1", "3.000"]]}
    snapshot = parse_snapshot(orjson.dumps(body), BTC)
    assert plain(snapshot) == ("Snapshot", 7, [(10, 2000)], [(11, 3000)])
    with pytest.raises(BadFrame, match="malformed"):
        parse_snapshot(b'{"code":-1121,"msg":"Invalid symbol."}', BTC)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*DEPTH, *TRADE, "stream", "data", "B", "A"]), inner, max_size=12
            )
        ),
    )
)
def test_no_json_whatsoever_raises_anything_else(value):
    with contextlib.suppress(BadFrame):
        assert parse_frame(orjson.dumps(value), KNOWN)
