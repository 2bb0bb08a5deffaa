"""What an update of the order book costs, against a plain store and against other books.

    python -m benchmarks.book [FOLDER]

FOLDER holds the recorded captures, by default where the tests look for them; where they are absent,
which is said, the generated market alone is measured. Every book gets the same diffs, message by
message, and its best prices are read after each message. Ours and the plain store (the quantity
written to a slot of an array, nothing else) run in one compiled loop each, alternating, the best
of many rounds: over all messages, which come from memory as a market's do, and over the first
few thousand, which mostly stay in the caches. Peers run in their own environments, at the same
diffs in the form that they document as the fastest, conversion not counted:

- mm-toolbox: `Orderbook(500)` (compiled), `update_full` a message, float arrays;
- nautilus_trader: `apply_deltas` a message, the deltas built beforehand;
- order-book: C, dictionaries of integer prices, a deletion guarded by `in`, `index(0)` a message.

They take a message at a time from Python, which is how they are used, so their time holds that
call; ours from Python is measured as well.
"""

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from benchmarks import peers
from mmquant.book import OrderBook, empty_book
from mmquant.decimals import to_e8
from mmquant.kernels.book_path import book_path
from mmquant.state import BOOK_TOUCH

ROUNDS = 200
MESSAGES = 3000  # a round of them is so short that a busy machine leaves some undisturbed
FOLDER = Path(__file__).parents[2] / "shared" / "data" / "binance"
MASK = np.uint64(65_535)
TWO = np.uint64(2)
CAPTURES = {
    "usdm": (["usdm_btcusdt_20240808.gz"], 10_000_000, 100_000),
    "spot": (
        ["spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz"],
        1_000_000,
        1,
    ),  # far orders predate the lot
}


@njit
def store(bids: Any, asks: Any, words: Any, n: int) -> None:
    at = 0
    for _ in range(n):
        n_bids = words[np.uint64(at + 2)]
        n_asks = words[np.uint64(at + 3)]
        at += 4
        for _ in range(n_bids):
            bids[np.uint64(words[np.uint64(at)]) & MASK] = words[np.uint64(at + 1)]
            at += 2
        for _ in range(n_asks):
            asks[np.uint64(words[np.uint64(at)]) & MASK] = words[np.uint64(at + 1)]
            at += 2


def packed(kind: int, update_id: int, bids: Any, asks: Any) -> Any:
    rows = np.concatenate([np.asarray(side, np.int64).reshape(-1, 2) for side in (bids, asks)])
    return np.concatenate([[kind, update_id, len(bids), len(asks)], rows.ravel()])


def side_levels(rng: Any, touch: int, sign: int, n: int) -> Any:
    """Return `n` or fewer changed levels, a third of them deletions, the touch among them."""
    near = rng.random(n) < 0.7
    offsets = np.where(near, rng.exponential(30, n), rng.random(n) * 20_000).astype(np.int64)
    ticks = touch - sign * np.unique(np.append(offsets, 0))
    lots = np.where(rng.random(ticks.size) < 0.33, 0, rng.integers(1, 5000, ticks.size))
    lots[0] = 7
    return np.column_stack([ticks, lots])


def generated(n: int = 20_000) -> list[Any]:
    """Return diffs of 18 to 110 levels round a touch that walks by single ticks."""
    rng = np.random.default_rng(1)
    sizes = np.clip(rng.lognormal(np.log(44), 0.42, n).astype(int), 18, 110)
    bid = 640_000
    events = []
    for i in range(n):
        old, bid = bid, bid + int(rng.choice([-1, 0, 0, 0, 1]))
        bids = side_levels(rng, bid, 1, sizes[i] // 2)
        asks = side_levels(rng, bid + 1, -1, sizes[i] // 2)
        if bid > old:
            asks = np.vstack([[[old + 1, 0]], asks])
        elif bid < old:
            bids = np.vstack([[[old, 0]], bids])
        events.append(packed(0, i + 1, bids, asks))
    return events


def captured(paths: Iterable[Path], tick_e8: int, lot_e8: int) -> list[Any]:
    """Return a capture's snapshot and depth events."""

    def levels(pairs: Any) -> list[tuple[int, int]]:
        return [(to_e8(p) // tick_e8, to_e8(q) // lot_e8) for p, q in pairs]

    events: list[Any] = []
    waiting: list[Any] = []
    for path in paths:
        with gzip.open(path, "rt") as file:
            for line in file:
                data = json.loads(line.split(" ", 1)[1])
                if "lastUpdateId" in data:
                    first = data["lastUpdateId"]
                    events.append(packed(1, first, levels(data["bids"]), levels(data["asks"])))
                    due = [e for e in waiting if e["u"] >= first]
                elif "@depth" in data["stream"]:
                    due = [data["data"]]
                    if not events:
                        waiting += due
                        continue
                else:
                    continue
                events += [packed(0, e["u"], levels(e["b"]), levels(e["a"])) for e in due]
    return events


def best_of(rounds: int, **functions: Callable[[], object]) -> dict[str, float]:
    """Return each function's shortest time; they take turns, so that all meet the same noise."""
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(rounds):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            best[name] = min(best[name], time.perf_counter() - started)
    return best


def compare_with_store(name: str, events: list[Any]) -> float:
    """Print ours against the plain store; return our nanoseconds a level."""
    words = np.concatenate(events)
    levels = (words.size - 4 * len(events)) // 2
    touches = np.zeros(len(events), BOOK_TOUCH)
    slots = np.zeros((2, 65_536), np.int64)
    book = empty_book()
    store(slots[0], slots[1], words, len(events))
    book_path(book, words, touches)
    best = best_of(
        max(ROUNDS * MESSAGES // len(events), 1),
        plain=lambda: store(slots[0], slots[1], words, len(events)),
        book=lambda: book_path(book, words, touches),
    )
    plain, ours = (best[key] / levels * 1e9 for key in ("plain", "book"))
    print(
        f"{name}: {len(events)} messages, {levels} levels: book {ours:.2f} ns a level, "
        f"plain store {plain:.2f}: {ours / plain:.2f} x (to reach: 3)"
    )
    return ours


def from_python(events: list[Any]) -> None:
    """Print what a message of 50 levels costs from Python."""
    book = OrderBook("1", "1")
    book.step(events[0])
    event = next(e for e in events if (e.size - 4) // 2 == 50)
    calls = 2000

    def messages() -> None:
        for _ in range(calls):
            book.step(event)

    seconds = best_of(ROUNDS, messages=messages)["messages"]
    print(f"from Python, 50 levels: {seconds / calls * 1e9:.0f} ns a message (to reach: 1000)")


# Each reads the diffs' file given as argument and prints nanoseconds a level.
_READ = """
import json, sys, time
import numpy as np
words = np.load(sys.argv[1]); at = 0; messages = []; levels = 0
while at < len(words):
    _, ident, nb, na = words[at:at + 4].tolist()
    rows = words[at + 4:at + 4 + 2 * (nb + na)].reshape(-1, 2)
    messages.append((ident, rows[:nb], rows[nb:])); levels += nb + na
    at += 4 + 2 * (nb + na)
def report(run, rounds=3):
    best = 9e9
    for _ in range(rounds):
        started = time.perf_counter(); run(); best = min(best, time.perf_counter() - started)
    print(json.dumps(best / levels * 1e9))
"""
PEERS = {
    "mm-toolbox": (
        ["mm-toolbox==0.2.1", "setuptools"],
        "3.12",
        100,
        _READ
        + """
from mm_toolbox.orderbook import Orderbook
base = np.arange(1.0, 501.0)
due = [(i, b.astype(float), a.astype(float)) for i, b, a in messages]
def run():
    # A round begins anew: what has an id that the book knows already is skipped by it, and it
    # cannot be refreshed once it has fewer levels.
    book = Orderbook(500)
    book.refresh(np.column_stack([640000 + base, base]), np.column_stack([640001 - base, base]), 0)
    for ident, bids, asks in due:
        book.update_full(asks, bids, ident)
        book.bids[0, 0], book.asks[0, 0]
due, whole, n = due[:20], due, levels
run(); due = whole[:500]
levels = sum(len(b) + len(a) for _, b, a in due)
report(run)
""",
    ),
    "nautilus_trader": (
        ["nautilus_trader"],
        None,
        50,
        _READ
        + """
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.data import BookOrder, OrderBookDelta, OrderBookDeltas
from nautilus_trader.model.enums import BookAction, BookType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Price, Quantity
name = InstrumentId.from_str("BTCUSDT.BINANCE")
messages = messages[:4000]; levels = sum(len(b) + len(a) for _, b, a in messages)
def delta(side, tick, lots, ident):
    action = BookAction.UPDATE if lots else BookAction.DELETE
    order = BookOrder(side, Price(tick, 0), Quantity(lots, 0), tick)
    return OrderBookDelta(name, action, order, 0, ident, 0, 0)
due = [OrderBookDeltas(name, [delta(s, int(t), int(q), i)
       for s, rows in ((OrderSide.BUY, b), (OrderSide.SELL, a)) for t, q in rows])
       for i, b, a in messages]
def run():
    book = OrderBook(name, BookType.L2_MBP)
    for deltas in due:
        book.apply_deltas(deltas)
        book.best_bid_price(), book.best_ask_price()
report(run)
""",
    ),
    "order-book": (
        ["order-book", "numpy"],
        None,
        50,
        _READ
        + """
from order_book import OrderBook
due = [(b.tolist(), a.tolist()) for _, b, a in messages]
def run():
    book = OrderBook()
    for both in due:
        for side, rows in zip((book.bids, book.asks), both):
            for tick, lots in rows:
                if lots:
                    side[tick] = lots
                elif tick in side:
                    del side[tick]
        book.bids.index(0), book.asks.index(0)
report(run)
""",
    ),
}


def compare_with_peers(events: list[Any], ours: float) -> None:
    """Print each peer's time a level and its ratio to ours."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "diffs.npy"
        np.save(path, np.concatenate(events))
        for name, (requirements, python, goal, script) in PEERS.items():
            inside = peers.venv(name, requirements, python)
            if inside is None:
                continue
            theirs = peers.run(inside, script, str(path))
            print(f"{name}: {theirs:.0f} ns a level: {theirs / ours:.0f} x (to reach: {goal})")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument(
        "folder", nargs="?", type=Path, default=FOLDER, help="of the recorded captures"
    )
    arguments = parser.parse_args()
    events = generated()
    ours = compare_with_store("generated", events[:MESSAGES])
    compare_with_store("generated, all", events)
    for name, (files, tick_e8, lot_e8) in CAPTURES.items():
        paths = [arguments.folder / file for file in files]
        missing = [path for path in paths if not path.is_file()]
        if missing:
            print(f"{name} left out: no capture {missing[0]}")
        else:
            messages = captured(paths, tick_e8, lot_e8)
            compare_with_store(name, messages[:MESSAGES])
            compare_with_store(f"{name}, all", messages)
    from_python(events)
    compare_with_peers(events, ours)


if __name__ == "__main__":
    main()
