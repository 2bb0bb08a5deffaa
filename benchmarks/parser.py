"""The compiled parser against orjson with exact conversion, in one run, as ratios.

    python -m benchmarks.parser [CAPTURE...]

Every time is the shortest of many short runs, the variants taking turns, so that what else the
machine does disturbs all of them alike. With a USD-M BTCUSDT capture: frames a second of it.
"""

import argparse
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
from mm_collector.frames import BadFrame, FrameReader, Instrument, parse_frame
from numpy.typing import NDArray

from mmquant.codes import BookCode, FrameKind
from mmquant.parse import FrameParser
from mmquant.tape import read_capture

BTC = Instrument("BTCUSDT", 10_000_000, 100_000)  # tick 0.1, lot 0.001
ROUNDS = 300
MID_TENTHS = 640_000
PARSE_GOALS = {20: 8, 100: 20, 1000: 40}
BOOK_GOAL = 15


def depth_frame(levels: int, first: int, rng: random.Random) -> bytes:
    """Return a USD-M frame of `levels` levels in all, a third of them removals."""

    def side(sign: int) -> list[list[str]]:
        ticks = sorted(rng.sample(range(1, levels + 20), levels // 2))
        return [
            [
                f"{(MID_TENTHS + sign * tick) / 10:.2f}",
                "0.000" if rng.random() < 1 / 3 else f"{rng.uniform(0.001, 20):.3f}",
            ]
            for tick in ticks
        ]

    data = {"e": "depthUpdate", "E": 1770000000203, "T": 1770000000201, "s": "BTCUSDT"}
    ids = {"U": first, "u": first, "pu": first - 1}
    return orjson.dumps({**data, **ids, "b": side(-1), "a": side(1)})


def exact(payload: bytes) -> list[list[tuple[int, int]]]:
    """Return ticks and lots by orjson and the least that is exact for this one instrument."""
    data = orjson.loads(payload)
    return [
        [(int(price.replace(".", "")) // 10, int(qty.replace(".", ""))) for price, qty in data[k]]
        for k in ("b", "a")
    ]


def exact_arrays(payload: bytes) -> list[NDArray[np.int64]]:
    """Return what the compiled parser leaves behind: ticks and lots in arrays of integers."""
    return [np.array(rows, np.int64).reshape(-1, 2) for rows in exact(payload)]


class DictBook:
    """The usual book: floats in dictionaries, the best price by max and min."""

    def __init__(self) -> None:
        self.bids: dict[float, float] = {}
        self.asks: dict[float, float] = {}

    def on_frame(self, payload: bytes) -> tuple[float, float]:
        data = orjson.loads(payload)
        for book, rows in ((self.bids, data["b"]), (self.asks, data["a"])):
            for price_text, qty_text in rows:
                price, qty = float(price_text), float(qty_text)
                if qty == 0.0:
                    book.pop(price, None)
                else:
                    book[price] = qty
        return max(self.bids), min(self.asks)


def shortest_us(variants: dict[str, Callable[[], Any]], calls: int) -> dict[str, float]:
    """Return the shortest time of a call of each variant, in microseconds."""
    best = dict.fromkeys(variants, float("inf"))
    for _ in range(ROUNDS):
        for name, call in variants.items():
            started = time.perf_counter()
            for _ in range(calls):
                call()
            best[name] = min(best[name], (time.perf_counter() - started) / calls * 1e6)
    return best


def show_parsing() -> None:
    """Print the time to parse a depth frame."""
    parser, reader = FrameParser(), FrameReader()
    parser.add("BTCUSDT", BTC.tick_size_e8, BTC.lot_size_e8)
    reader.add(BTC)
    print("parse a depth frame, us (ratio to the compiled parser)")
    for levels, goal in PARSE_GOALS.items():
        payload = depth_frame(levels, 1, random.Random(levels))
        assert parser.parse(payload) is FrameKind.DEPTH
        assert [parser.bids.tolist(), parser.asks.tolist()] == exact(payload)
        times = shortest_us(
            {
                "compiled": lambda p=payload: parser.parse(p),
                "compiled, as an event": lambda p=payload: reader.parse(p),
                "orjson alone": lambda p=payload: orjson.loads(p),
                "orjson + int": lambda p=payload: exact(p),
                "orjson + int in arrays": lambda p=payload: exact_arrays(p),
                "orjson + checked": lambda p=payload: parse_frame(p, {"BTCUSDT": BTC}),
            },
            calls=max(5, 60 // levels),  # a call alone finds the caches full of the others
        )
        rows = ", ".join(f"{k} {t:.2f} ({t / times['compiled']:.1f}x)" for k, t in times.items())
        print(f"  {levels:5} levels, {len(payload):6} bytes: {rows}; goal {goal}x of the arrays")


def show_book() -> None:
    """Print the time to parse a frame and update a book, the best prices read."""
    parser, usual = FrameParser(), DictBook()
    parser.add("BTCUSDT", BTC.tick_size_e8, BTC.lot_size_e8)
    full = [[f"{(MID_TENTHS - i) / 10:.2f}", "1.000"] for i in range(1, 1001)]
    asks = [[f"{(MID_TENTHS + i) / 10:.2f}", "1.000"] for i in range(1, 1001)]
    parser.load(orjson.dumps({"lastUpdateId": 0, "bids": full, "asks": asks}), 1)
    usual.on_frame(orjson.dumps({"b": full, "a": asks}))
    rng = random.Random(50)
    frames = [depth_frame(50, first, rng) for first in range(1, 20_001)]
    best = {"compiled": float("inf"), "orjson + dict": float("inf")}
    for start in range(0, len(frames), 20):
        some = frames[start : start + 20]
        for name, call in (
            ("compiled", parser.parse_and_apply),
            ("orjson + dict", usual.on_frame),
        ):
            started = time.perf_counter()
            for payload in some:
                call(payload)
            best[name] = min(best[name], (time.perf_counter() - started) / len(some) * 1e6)
        assert parser.frame[0]["book_code"] == BookCode.OK
    book = parser.books[0]
    assert book["best_bid_ticks"] == round(10 * max(usual.bids))
    assert book["best_ask_ticks"] == round(10 * min(usual.asks))
    ratio = best["orjson + dict"] / best["compiled"]
    print("parse and update the book, 50 levels, us")
    print(f"  {best} ({ratio:.1f}x; goal {BOOK_GOAL}x)")


def show_capture(paths: list[str]) -> None:
    """Print frames a second of a whole capture."""
    payloads = [payload for _, payload in read_capture(paths)]
    parser, reader = FrameParser(), FrameReader()
    parser.add("BTCUSDT", BTC.tick_size_e8, BTC.lot_size_e8)
    reader.add(BTC)

    def slow(payload: bytes) -> None:
        parse_frame(payload, {"BTCUSDT": BTC})

    print(f"a whole capture, {len(payloads)} frames")
    variants: tuple[tuple[str, Callable[[bytes], Any]], ...] = (
        ("compiled", parser.parse),
        ("compiled, as events", reader.parse),
        ("compiled, into the book", parser.parse_and_apply),
        ("orjson + checked", slow),
    )
    for name, call in variants:
        best = float("inf")
        for _ in range(3):
            started = time.perf_counter()
            for payload in payloads:
                try:
                    call(payload)
                except BadFrame:
                    continue
            best = min(best, time.perf_counter() - started)
        print(f"  {name}: {len(payloads) / best:,.0f}/s")


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("captures", nargs="*", help="a recording of USD-M BTCUSDT")
    captures = arguments.parse_args().captures
    show_parsing()
    show_book()
    if captures:
        show_capture(captures)


if __name__ == "__main__":
    main()
