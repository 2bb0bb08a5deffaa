"""The compiled parser, with its fallback, against the parser of all JSON: event for event."""

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mm_collector.frames import FrameReader, Instrument, parse_frame, parse_snapshot
from reference_frames import (
    AGGREGATE,
    DEPTH,
    INSTRUMENTS,
    RAW,
    SEEDS,
    SNAPSHOT_OF,
    outcome,
    outcome_of,
    reference_outcome,
)

from mmquant.tape import read_capture

kernels = pytest.mark.kernels


def reader_of(instruments):
    reader = FrameReader()
    for instrument in instruments.values():
        reader.add(instrument)
    return reader


@pytest.fixture(scope="module")
def reader():
    return reader_of(INSTRUMENTS)


def agrees(reader, payload):
    found = outcome_of(reader, payload)
    assert found == reference_outcome(payload), payload
    return found


@kernels
@pytest.mark.parametrize("payload", SEEDS)
def test_every_shape_of_the_venue_is_read_without_the_fallback(reader, payload):
    before = reader.fallbacks
    assert isinstance(agrees(reader, payload), tuple)
    assert reader.fallbacks == before


# Legal JSON, or nearly, each a step off what the venue writes.
ODD = [
    (b'{"e"', b'{ "e"'),
    (b'"e":"depthUpdate",', b""),
    (b'"e":"depthUpdate"', b'"\\u0065":"depthUpdate"'),
    (b'"e":"depthUpdate"', b'"e":"depthUpdates"'),
    (b'"E":1770000000203', b'"E":1770000000203.0'),
    (b'"E":1770000000203', b'"E":1.77e12'),
    (b'"E":1770000000203', b'"E":-1770000000203'),
    (b'"T":1770000000201', b'"T":1' + 18 * b"0"),
    (b'"E":1770000000203,"T":1770000000201', b'"T":1770000000201'),
    (b'"s":"BTCUSDT"', b'"s":"BTCUSD"'),
    (b'"s":"BTCUSDT"', b'"s":""'),
    (b'"s":"BTCUSDT",', b""),
    (b'"U":100', b'"U":0100'),
    (b'"U":100', b'"U":"100"'),
    (b'"U":100', b'"U":999999999999999999'),
    (b'"U":100', b'"U":9999999999999999999'),
    (b'"U":100', b'"U":0'),
    (b'"u":160', b'"u":160,"u":161'),
    (b'"ps":"BTCUSDT"', b'"ps":"BTC\xc3\xa9"'),
    (b'"ps":"BTCUSDT"', b'"ps":"BTC\xff"'),
    (b'"ps":"BTCUSDT"', b'"ps":{"x":1}'),
    (b'"ps":"BTCUSDT"', b'"ps":null'),
    (b'"ps":"BTCUSDT"', b'"result":null'),
    (b'"ps":"BTCUSDT"', b'"a}":"b"'),
    (b'"pu":95', b'"pu":true'),
    (b'"64000.00"', b"64000.00"),
    (b'"64000.00"', b'"64000."'),
    (b'"64000.00"', b'".5"'),
    (b'"64000.00"', b'"64000"'),
    (b'"64000.00"', b'"0064000.0000000000000"'),
    (b'"64000.00"', b'"64000.05"'),
    (b'"64000.00"', b'"64000.000000001"'),
    (b'"64000.00"', b'"-64000.00"'),
    (b'"64000.00"', b'"+64000.00"'),
    (b'"64000.00"', b'"0.00"'),
    (b'"64000.00"', b'"9999999999.9"'),
    (b'"64000.00"', b'"92233720368.5"'),
    (b'"64000.00"', b'"92233720368547758080"'),
    (b'"64000.00"', b'"1e3"'),
    (b'"64000.00"', b'""'),
    (b'"64000.00"', b'" 64000.00"'),
    (b'"64000.00"', '"٣"'.encode()),
    (b'"1.200"', b'"1.2001"'),
    (b'"1.200"', b'"-0.000"'),
    (b'"1.200"', b'"-1.000"'),
    (b'"1.200"', b'"92233720368.54775807"'),
    (b'"1.200"', b'"1.200","x"'),
    (b',"1.200"', b""),
    (b'["64000.00","1.200"]', b"[]"),
    (b'["64000.00","1.200"],', b'["64000.00","1.200"],,'),
    (b'"b":[[', b'"c":[['),
    (b'"a":[["64000.10","0.000"]]', b'"a":[["64000.10","0.000"]'),
    (b'"a":[["64000.10","0.000"]]', b'"a":{}'),
    (b'"st":1}', b'"st":1}}'),
    (b'"st":1}', b'"st":1} '),
    (b'"st":1}', b'"st":1,}'),
    (b'"st":1}', b'"st":1}{}'),
]


@kernels
@pytest.mark.parametrize(("old", "new"), ODD)
def test_a_step_off_the_known_shapes_is_judged_as_by_the_parser_of_all_json(reader, old, new):
    assert DEPTH.count(old) == 1
    frame = DEPTH.replace(old, new)
    agrees(reader, frame)
    agrees(reader, b'{"stream":"btcusdt@depth","data":' + frame + b"}")


@kernels
@pytest.mark.parametrize(
    "visible", [b"", b'"nq":"0.000",', b'"nq":"0.301",', b'"nq":"0.2805",', b'"nq":0.28,']
)
def test_what_is_visible_of_an_aggregate_is_judged_by_both_alike(reader, visible):
    assert AGGREGATE.count(b'"nq":"0.280",') == 1
    agrees(reader, AGGREGATE.replace(b'"nq":"0.280",', visible))


@kernels
@pytest.mark.parametrize("payload", [payload for payload in RAW if b"[" not in payload])
def test_every_key_may_come_last_or_not_at_all(reader, payload):
    keys = payload[1:-1].split(b',"')
    keys = [keys[0], *(b'"' + key for key in keys[1:])]
    assert len(keys) > 5
    for i in range(len(keys)):
        rest = keys[:i] + keys[i + 1 :]
        agrees(reader, b"{" + b",".join([*rest, keys[i]]) + b"}")
        agrees(reader, b"{" + b",".join(rest) + b"}")
        agrees(reader, b"{" + b",".join([*keys, keys[i]]) + b"}")


@kernels
@pytest.mark.parametrize("payload", SEEDS)
def test_a_frame_cut_anywhere_is_not_read_past_its_end(reader, payload):
    for end in range(len(payload)):
        cut = payload[:end]
        assert isinstance(agrees(reader, cut), str)
        agrees(reader, cut + b"}")


EDITS = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.integers(0, 4),
        st.binary(max_size=4)
        | st.sampled_from([b'"', b"}", b"{", b"]", b"[", b",", b":", b".", b"0", b"9", b"-", b"e"]),
    ),
    max_size=4,
)


@kernels
@given(st.sampled_from(SEEDS), EDITS)
@settings(max_examples=100 if os.environ.get("NUMBA_DISABLE_JIT") else 1500)
def test_mutations_of_real_shapes_give_the_same_by_both_parsers(reader, seed, edits):
    frame = bytearray(seed)
    for at, size, text in edits:
        start = at % (len(frame) + 1)
        frame[start : start + size] = text
    agrees(reader, bytes(frame))


@kernels
@given(
    st.integers(0, 10**11),
    st.integers(0, 10**10),
    st.sampled_from(sorted(INSTRUMENTS)),
)
def test_numbers_are_exact_or_refused(reader, price, qty, symbol):
    def text(e8):
        return f"{e8 // 10**8}.{e8 % 10**8:08d}".encode()

    frame = b'{"u":1,"s":"%b","b":"%b","B":"%b","a":"%b","A":"1"}'
    unit = INSTRUMENTS[symbol]
    for price_e8, qty_e8 in (
        (price, qty),
        (price * unit.tick_size_e8, qty * unit.lot_size_e8 // 1000),
    ):
        agrees(reader, frame % (symbol.encode(), text(price_e8), text(qty_e8), text(price_e8 + 1)))


@kernels
def test_more_levels_than_a_frame_may_have_are_refused(reader):
    row = b'["64000.10","0.000"]'
    for levels, kind in ((16_384, tuple), (16_385, str)):
        frame = DEPTH.replace(row, b",".join([row] * levels))
        assert isinstance(agrees(reader, frame), kind)


def test_an_event_keeps_its_levels_when_the_next_frame_comes(reader):
    event = reader.parse(DEPTH)
    kept = event.bids.tolist()
    reader.parse(DEPTH.replace(b"64000.00", b"50000.00"))
    assert event.bids.tolist() == kept


def both(reader, instruments, payload, symbol):
    if payload.startswith(b'{"lastUpdateId"'):
        found = outcome(reader.parse_snapshot, payload, symbol)
        return found, outcome(parse_snapshot, payload, instruments[symbol])
    return outcome(reader.parse, payload), outcome(parse_frame, payload, instruments)


BINANCE = [
    (["usdm_btcusdt_20240808.gz"], 10_000_000, 100_000, False),
    # The venue's lot is 0.00001, and still a few levels came in finer quantities.
    (["spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz"], 1_000_000, 1_000, True),
]


@pytest.mark.parametrize(("names", "tick_e8", "lot_e8", "has_off_lot"), BINANCE)
def test_every_frame_of_the_captures_is_the_same(captures, names, tick_e8, lot_e8, has_off_lot):
    instruments = {SNAPSHOT_OF: Instrument(SNAPSHOT_OF, tick_e8, lot_e8)}
    reader = reader_of(instruments)
    frames = with_rounding = 0
    for _, payload in read_capture([captures / name for name in names]):
        rounded = reader.rounded.total()
        found, expected = both(reader, instruments, payload, SNAPSHOT_OF)
        assert found == expected, payload
        assert not isinstance(found, str), "refused"
        frames += 1
        with_rounding += reader.rounded.total() > rounded
    assert frames > 90_000
    assert reader.fallbacks == with_rounding
    assert (with_rounding > 0) == has_off_lot


@pytest.mark.parametrize("name", ["BINANCE", "BINANCE_FUTURES"])
def test_every_frame_of_many_symbols_is_the_same(captures, name):
    def lines(suffix):
        path: Path = captures.parent / "cryptofeed" / f"{name}.{suffix}.gz"
        with gzip.open(path) as file:
            return [line.partition(b": ")[2].strip() for line in file]

    payloads = [line for line in lines("ws.1.0") + lines("http.0.0") if line]
    symbols = {p.partition(b'"s":"')[2].partition(b'"')[0].decode() for p in payloads} - {""}
    assert len(symbols) >= 4
    instruments = {symbol: Instrument(symbol, 1, 1) for symbol in sorted(symbols)}
    reader = reader_of(instruments)
    events = 0
    for payload in payloads:
        found, expected = both(reader, instruments, payload, min(symbols))
        assert found == expected, payload
        events += isinstance(found, tuple)
    assert events > 200
    assert reader.fallbacks == len(payloads) - events
