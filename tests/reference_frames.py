"""What the compiled parser is held against: the parser of all JSON, and frames as they come."""

import numpy as np
from mm_collector.frames import BadFrame, Instrument, parse_frame, parse_snapshot

INSTRUMENTS = {
    "BTCUSDT": Instrument("BTCUSDT", 10_000_000, 100_000),  # tick 0.1, lot 0.001
    "1000SHIBUSDT": Instrument("1000SHIBUSDT", 250, 100_000_000),  # tick 0.0000025, lot 1
    "BTCUSDT_240628": Instrument("BTCUSDT_240628", 50_000_000_000, 300_000),  # tick 500, lot 0.003
}
SNAPSHOT_OF = "BTCUSDT"

DEPTH = (
    b'{"e":"depthUpdate","E":1770000000203,"T":1770000000201,"s":"BTCUSDT","ps":"BTCUSDT","U":100,'
    b'"u":160,"pu":95,"b":[["64000.00","1.200"],["63999.90","0"]],"a":[["64000.10","0.000"]],"st":1}'
)
SPOT_DEPTH = (
    b'{"e":"depthUpdate","E":1770000000200,"s":"BTCUSDT","U":100,"u":160,'
    b'"b":[["64000.10000000","1.20000000"]],"a":[]}'
)
BBO = (
    b'{"e":"bookTicker","u":161,"s":"BTCUSDT","ps":"BTCUSDT","b":"64000.00","B":"12.345",'
    b'"a":"64000.10","A":"3.210","T":1770000000201,"E":1770000000203,"st":1}'
)
SPOT_BBO = b'{"u":161,"s":"1000SHIBUSDT","b":"0.0100000","B":"12","a":"0.0100025","A":"3.00"}'
TRADE = (
    b'{"e":"trade","E":1770000000204,"T":1770000000203,"s":"BTCUSDT","t":81,"p":"64000.10",'
    b'"q":"0.010","X":"MARKET","m":true,"st":1}'
)
SPOT_TRADE = (
    b'{"e":"trade","E":1770000000123,"s":"BTCUSDT_240628","t":5000000001,"p":"64000","q":"0.003",'
    b'"T":1770000000120,"m":false,"M":true}'
)
AGGREGATE = (
    b'{"e":"aggTrade","E":1770000000250,"s":"BTCUSDT","a":2800000001,"p":"64000.10","q":"0.300",'
    b'"nq":"0.280","f":8100000001,"l":8100000007,"T":1770000000203,"m":false,"st":1}'
)
SNAPSHOT = b'{"lastUpdateId":150,"bids":[["64000.00","1.200"]],"asks":[["64000.10","0.800"]]}'
USDM_SNAPSHOT = (
    b'{"lastUpdateId":9000000000150,"E":1770000000210,"T":1770000000205,'
    b'"bids":[["64000.00","1.200"]],"asks":[["64000.10","0.800"],["64000.20","1"]]}'
)
RAW = (DEPTH, SPOT_DEPTH, BBO, SPOT_BBO, TRADE, SPOT_TRADE, AGGREGATE)
COMBINED = tuple(b'{"stream":"x@y","data":' + frame + b"}" for frame in RAW)
SEEDS = (*RAW, *COMBINED, SNAPSHOT, USDM_SNAPSHOT)


def plain(event):
    """Return an event as its kind and plain values."""
    fields = [getattr(event, name) for name in event.__slots__]
    values = [field.tolist() if isinstance(field, np.ndarray) else field for field in fields]
    return (type(event).__name__, *values)


def outcome(parse, *arguments):
    """Return the plain event that a parser gives, or the kind of its BadFrame."""
    try:
        return plain(parse(*arguments))
    except BadFrame as error:
        return error.kind


def outcome_of(reader, payload):
    """Return what the compiled parser with its fallback makes of a payload."""
    if payload.startswith(b'{"last'):
        return outcome(reader.parse_snapshot, payload, SNAPSHOT_OF)
    return outcome(reader.parse, payload)


def reference_outcome(payload):
    """Return what the parser of all JSON makes of a payload."""
    if payload.startswith(b'{"last'):
        return outcome(parse_snapshot, payload, INSTRUMENTS[SNAPSHOT_OF])
    return outcome(parse_frame, payload, INSTRUMENTS)
