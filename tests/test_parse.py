"""The parser's facade, and parse plus book update in one call against a dictionary."""

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmquant.codes import BookCode, BookState, FrameKind
from mmquant.parse import FrameParser

pytestmark = pytest.mark.kernels


@pytest.fixture(scope="module")
def known():
    """Return one parser for all tests: its book is large, and every test loads it anew."""
    parser = FrameParser()
    parser.add("BTCUSDT", 10_000_000, 100_000)
    return parser


def snapshot(last, bids=(("100.0", "1"),), asks=(("100.1", "2"),)):
    return orjson.dumps({"lastUpdateId": last, "bids": bids, "asks": asks})


def event(first, last, previous=None, bids=(), asks=(), symbol="BTCUSDT"):
    data = {"e": "depthUpdate", "E": 1, "s": symbol, "U": first, "u": last}
    if previous is not None:
        data["pu"] = previous
    return orjson.dumps({**data, "b": bids, "a": asks})


def applied(parser, payload):
    assert parser.parse_and_apply(payload) is FrameKind.DEPTH
    return BookCode(int(parser.frame[0]["book_code"]))


def test_a_book_that_was_never_loaded_is_not_synced():
    parser = FrameParser()
    parser.add("ETHUSDT", 1_000_000, 10_000)
    assert applied(parser, event(1, 2, symbol="ETHUSDT")) is BookCode.NOT_SYNCED


def test_spot_joins_a_snapshot_by_ids_that_follow_or_overlap(known):
    assert known.load(snapshot(10), 1) is BookCode.OK
    book = known.books[0]
    assert book["book_state"] == BookState.SYNCING
    assert applied(known, event(8, 10)) is BookCode.IGNORED
    assert applied(known, event(9, 12, bids=[["100.0", "3"]])) is BookCode.OK
    assert (book["book_state"], book["best_bid_lots"]) == (BookState.LIVE, 3000)
    assert applied(known, event(12, 14)) is BookCode.OK
    assert applied(known, event(16, 17)) is BookCode.GAP
    assert book["book_state"] == BookState.GAP
    assert applied(known, event(15, 18)) is BookCode.NOT_SYNCED


def test_usdm_covers_the_snapshot_first_and_then_continues_exactly(known):
    known.load(snapshot(10), 1)
    assert applied(known, event(7, 9, previous=5)) is BookCode.IGNORED
    assert applied(known, event(12, 15, previous=9)) is BookCode.OK  # 10 fell into a hole of ids
    assert applied(known, event(12, 15, previous=9)) is BookCode.IGNORED
    assert applied(known, event(16, 19, previous=15)) is BookCode.OK
    assert applied(known, event(18, 22, previous=17)) is BookCode.GAP
    known.load(snapshot(10), 1)
    assert applied(known, event(12, 15, previous=11)) is BookCode.GAP


def test_a_crossed_book_must_be_loaded_anew(known):
    known.load(snapshot(10), 1)
    assert applied(known, event(11, 11, bids=[["100.1", "1"]])) is BookCode.CROSSED
    assert known.books[0]["book_state"] == BookState.CROSSED
    assert applied(known, event(12, 12)) is BookCode.NOT_SYNCED


def test_a_frame_of_no_known_shape_touches_no_book(known):
    known.load(snapshot(10), 1)
    before = known.books.tobytes()
    off_tick = event(11, 11, bids=[["99.9", "1"], ["99.95", "1"]])
    assert known.parse_and_apply(off_tick) is FrameKind.UNKNOWN
    assert known.parse_and_apply(b'{"result":null,"id":1}') is FrameKind.UNKNOWN
    assert known.parse_and_apply(event(11, 11, symbol="X")) is FrameKind.UNKNOWN
    assert known.books.tobytes() == before
    with pytest.raises(ValueError, match="must be a depth snapshot"):
        known.load(b"{}", 1)


levels = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 5)).map(lambda x: [f"{x[0]}.5", f"{x[1]}.000"]),
    max_size=4,
)
higher = levels.map(lambda rows: [["1" + price, qty] for price, qty in rows])


@given(st.lists(st.tuples(levels, higher, st.integers(1, 3)), max_size=8))
@settings(max_examples=40)  # each one loads the book anew
def test_one_call_an_event_keeps_the_book_of_a_dictionary(known, events):
    assert known.load(snapshot(10, [["0.5", "1"]], [["30.0", "2"]]), 1) is BookCode.OK
    naive = {("b", 5): 1000, ("a", 300): 2000}
    last = 10
    for bids, asks, step in events:
        assert applied(known, event(last + 1, last + step, bids=bids, asks=asks)) is BookCode.OK
        last += step
        for side, rows in (("b", bids), ("a", asks)):
            for price, qty in rows:
                naive[side, int(price.replace(".", ""))] = int(qty.replace(".", ""))
    book = known.books[0]
    assert book["last_update_id"] == last
    bids = [ticks for (side, ticks), lots in naive.items() if side == "b" and lots]
    asks = [ticks for (side, ticks), lots in naive.items() if side == "a" and lots]
    assert book["best_bid_ticks"] == max(bids, default=0)
    assert book["best_ask_ticks"] == min(asks)


def test_levels_land_in_one_record_array_bids_first(known):
    known.parse(event(1, 2, bids=[["100.0", "1"], ["99.0", "0"]], asks=[["101.0", "2"]]))
    assert known.bids.tolist() == [(1000, 1000), (990, 0)]
    assert known.asks.tolist() == [(1010, 2000)]
    assert np.shares_memory(known.bids, known.levels)
    assert known.levels[:3]["price_ticks"].tolist() == [1000, 990, 1010]


def test_many_symbols_are_found_and_told_apart():
    parser = FrameParser()
    names = [f"{letter}{i}USDT" for i in range(150) for letter in ("A", "LONGERNAME", "A_B")]
    for number, name in enumerate(names, start=1):
        assert parser.add(name, 1, 1) == number
    for number, name in enumerate(names, start=1):
        assert parser.parse(event(1, 2, symbol=name)) is FrameKind.DEPTH
        assert parser.frame[0]["instrument"] == number
    assert parser.parse(event(1, 2, symbol="A1USD")) is FrameKind.UNKNOWN


def test_a_symbol_beyond_ascii_is_left_to_the_other_parser():
    parser = FrameParser()
    for symbol in ("币安USDT", "X" * 29, 'A"B'):
        parser.add(symbol, 1, 1)
        assert parser.parse(event(1, 2, symbol=symbol)) is FrameKind.UNKNOWN


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises((TypeError, ValueError), match="price size must be"):
        FrameParser().add("BTCUSDT", size, 1)


def test_a_symbol_is_added_once(known):
    with pytest.raises(ValueError, match="symbol must be new"):
        known.add("BTCUSDT", 1, 1)
