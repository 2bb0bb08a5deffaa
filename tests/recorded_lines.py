"""A few lines of a recording: two depth events, their snapshot, an event more, a touch, a trade."""

import gzip

__all__ = ["BBO", "FRAMES", "MS", "NS", "SNAPSHOT", "depth", "trade", "write"]

NS = 1_770_000_000_000_000_000
MS = NS // 10**6


def depth(first, last, bids, asks, previous=None, ms=MS, symbol="BTCUSDT"):
    pu = "" if previous is None else f'"pu":{previous},'
    sides = [",".join(f'["{p}","{q}"]' for p, q in side) for side in (bids, asks)]
    return (
        f'{{"stream":"x@depth","data":{{"e":"depthUpdate","E":{ms},"s":"{symbol}","U":{first},'
        f'"u":{last},{pu}"b":[{sides[0]}],"a":[{sides[1]}]}}}}'
    ).encode()


def trade(number, price="100.1", qty="0.5", maker="false", ms=MS):
    return (
        f'{{"stream":"x@trade","data":{{"e":"trade","E":{ms},"s":"BTCUSDT","t":{number},'
        f'"p":"{price}","q":"{qty}","T":{ms},"m":{maker},"M":true}}}}'
    ).encode()


BBO = b'{"u":9,"s":"BTCUSDT","b":"100.0","B":"1.0","a":"100.1","A":"2.0"}'
SNAPSHOT = b'{"lastUpdateId":5,"bids":[["100.0","1.0"]],"asks":[["100.2","2.0"]]}'
FRAMES = [
    depth(1, 3, [("99.0", "9")], []),
    depth(4, 6, [("99.9", "3.0")], [("100.1", "0.5")]),
    SNAPSHOT,
    depth(7, 8, [], [("100.1", "0")]),
    BBO,
    trade(70),
]


def write(tmp_path, payloads, name="x.gz", start=NS, step=1000):
    lines = b"".join(b"%d %b\n" % (start + i * step, p) for i, p in enumerate(payloads))
    path = tmp_path / name
    path.write_bytes(gzip.compress(lines) if name.endswith("gz") else lines)
    return path
