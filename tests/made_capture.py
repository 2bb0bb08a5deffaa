"""A capture made of the synthetic market, as a recording of its streams would be."""

from mm_venue import payloads
from mm_venue.instrument import default_instrument
from mm_venue.synthetic import SyntheticSource

from mmquant.codes import Market

START_NS = 1_770_000_000_000_000_000
STEP_NS = 20_000_000
SNAPSHOT_STEP = 10
LEVELS = 1_000


def made_capture(path, symbol, seconds=3, seed=1, market=Market.USDM, start_ns=START_NS):
    """Write a capture of depth, touches and trades, with a snapshot early on; return its path."""
    instrument = default_instrument(symbol, market)
    source = SyntheticSource(seed, [instrument], start_ns)
    name = symbol.lower()
    source.listen([f"{name}@depth@100ms", f"{name}@bookTicker", f"{name}@trade"])
    lines = []
    for step in range(1, seconds * 1_000_000_000 // STEP_NS):
        now_ns = start_ns + step * STEP_NS
        lines += [
            b'%d {"stream":"%b","data":%b}' % (now_ns, frame.stream.encode(), frame.data)
            for frame in source.poll(now_ns)
        ]
        if step == SNAPSHOT_STEP:
            book = source.listings[symbol].book
            answer = payloads.depth_answer(instrument, book, LEVELS, now_ns // 1_000_000)
            lines.append(b"%d %b" % (now_ns, answer))
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path
