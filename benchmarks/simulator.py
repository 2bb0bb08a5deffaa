"""The simulator's event loop against hftbacktest: speed, and the same fills.

    python -m benchmarks.simulator [--seconds 100]

A synthetic market as dense as a real one, as two tapes: levels as they change (a row a message),
and as Binance batches them (what changed in 100 ms, trades at once). Both run our loop (the
venue's book and the trader's, order, cancel and response latency, queue model, two orders that
join the best prices each 100 ms) and hftbacktest's ROIVectorMarketDepthBacktest on the same rows,
in turns; hftbacktest lives in an environment of its own. Then both results stand side by side.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import peers
from benchmarks.simulator_loop import HEAD, LEVELS, TRADE, run
from mmquant.book import empty_book
from mmquant.codes import MarketEventKind
from mmquant.market import MarketParameters, SyntheticMarket
from mmquant.records import INSTRUMENT, LEVEL, QUOTES
from mmquant.simulator import recorded_latencies, simulator_params, simulator_state
from mmquant.state import ACCOUNT, EVENT, MAX_EVENTS, MAX_LEVELS

S = 10**9
FEED_NS = 20_000_003
ENTRY_NS = 5_000_017
RESPONSE_NS = 4_000_007
INTERVAL_NS = 100_000_000
START_NS = S
TURNS = 3

# As dense as USD-M BTCUSDT was in August 2024, depth@0ms: 1,740 levels and 62 trades a second.
DENSE = MarketParameters(limit_rate_per_s=900.0, market_rate_per_s=20.0)

PEER = Path(__file__).with_name("simulator_peer.py")


def market_rows(
    seconds: int, seed: int = 1, parameters: MarketParameters = DENSE
) -> NDArray[np.int64]:
    """Return rows of (kind, time_ns, side, price, lots): the book first, then what happens."""
    market = SyntheticMarket(seed, parameters, start_ns=START_NS)
    bids, asks = market.levels()
    first = [
        (MarketEventKind.LEVEL, START_NS, side, price, lots)
        for side, table in ((1, bids), (-1, asks))
        for price, lots in table.tolist()
    ]
    events = market.run(START_NS + seconds * S)
    columns = [events[name] for name in ("kind", "time_ns", "side", "price_ticks", "qty_lots")]
    return np.concatenate([np.array(first, np.int64), np.stack(columns, axis=1)])


def batched(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows as a venue batches them: levels each 100 ms, in their last state."""
    out: list[tuple[int, ...]] = []
    changed: dict[tuple[int, int], int] = {}
    due = int(rows[0, 1])

    def flush() -> None:
        out.extend((1, due, side, price, lots) for (side, price), lots in changed.items())
        changed.clear()

    for kind, ns, side, price, lots in rows.tolist():
        if ns > due:
            flush()
            due += -(-(ns - due) // 100_000_000) * 100_000_000
        if kind == MarketEventKind.LEVEL:
            changed[side, price] = lots
        else:
            out.append((kind, ns, side, price, lots))
    flush()
    return np.array(out, np.int64)


def to_words(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the tape of our loop: successive levels of one time are one message."""
    words: list[int] = []
    sides: tuple[list[int], list[int]] = ([], [])
    at = -1

    def flush() -> None:
        if sides[0] or sides[1]:
            head = (LEVELS, at, at + FEED_NS, len(sides[0]) // 2, len(sides[1]) // 2)
            words.extend([*head, *sides[0], *sides[1]])
            sides[0].clear()
            sides[1].clear()

    for kind, ns, side, price, lots in rows.tolist():
        if kind == MarketEventKind.LEVEL and ns == at:
            sides[side < 0].extend((price, lots))
            continue
        flush()
        at = ns if kind == MarketEventKind.LEVEL else -1
        if kind == MarketEventKind.LEVEL:
            sides[side < 0].extend((price, lots))
        else:
            words.extend((TRADE, ns, ns + FEED_NS, price, lots, side))
    flush()
    assert HEAD == 5
    return np.array(words, np.int64)


def play(words: NDArray[np.int64]) -> tuple[float, dict[str, Any]]:
    """Return the seconds of one run of our loop, and what came of it."""
    params = simulator_params(
        entry_latency_ns=ENTRY_NS,
        cancel_latency_ns=ENTRY_NS,
        response_latency_ns=RESPONSE_NS,
        fill_probability_factor=1.0,
        maker_fee_ppm=200,
        taker_fee_ppm=500,
        markout_horizon_ns=S,
        fill_model="risk_averse",
    )
    instrument = np.zeros(1, INSTRUMENT)
    instrument[0]["tick_size_e8"] = instrument[0]["lot_size_e8"] = 10**8
    account, out = np.zeros(1, ACCOUNT), np.zeros(4, np.int64)
    arrays = (empty_book(), empty_book(), simulator_state(1), account, params, instrument)
    levels, events = np.zeros(2 * MAX_LEVELS, LEVEL), np.zeros(MAX_EVENTS, EVENT)
    recorded, quotes = recorded_latencies(()), np.zeros(1, QUOTES)
    started = time.perf_counter()
    run(*arrays, recorded, words, INTERVAL_NS, START_NS, quotes, levels, events, out)
    seconds = time.perf_counter() - started
    a = account[0]
    return seconds, {
        "orders": int(out[0]),
        "fills": int(out[1]),
        "position": int(out[2]),
        "rejected": int(out[3]),
        "balance": int(a["cash_half_tick_lots"]) / 2,
        "fees": int(a["fees_micro_tick_lots"]) / 1e6,
    }


def peer_settings(rows: NDArray[np.int64]) -> str:
    """Return what the peer's script is told, as JSON."""
    return json.dumps(
        {
            "feed_ns": FEED_NS,
            "entry_ns": ENTRY_NS,
            "response_ns": RESPONSE_NS,
            "interval_ns": INTERVAL_NS,
            "lowest": float(rows[:, 3].min()),
            "highest": float(rows[:, 3].max()),
        }
    )


def play_peer(python: Path, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Return hftbacktest's best seconds on the same rows, and what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        np.save(path, rows)
        done = subprocess.run(
            [python, PEER, path, peer_settings(rows)], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(f"the peer's script failed: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(name: str, rows: NDArray[np.int64], python: Path | None) -> None:
    """Print speed and results of both on one tape."""
    words = to_words(rows)
    play(words)
    best, theirs = float("inf"), None
    for _ in range(TURNS):
        seconds, ours = play(words)
        best = min(best, seconds)
        if python is not None:
            turn = play_peer(python, rows)
            if theirs is None or turn["seconds"] < theirs["seconds"]:
                theirs = turn
    print(f"{name}: {len(rows):,} rows")
    print(f"  mmquant      {len(rows) / best / 1e6:7.1f} M rows/s  {ours}")
    if theirs is not None:
        if theirs["end_code"] != 1:  # it gave up before the end of the rows
            print(f"  hftbacktest  stopped early, no ratio: {theirs}; try fewer --seconds")
            return
        seconds = theirs.pop("seconds")
        print(f"  hftbacktest  {len(rows) / seconds / 1e6:7.1f} M rows/s  {theirs}")
        print(f"  ratio        {seconds / best:7.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=100, help="of the synthetic market")
    arguments = parser.parse_args()
    python = peers.venv("hftbacktest", ["hftbacktest==2.4.4"])
    rows = market_rows(arguments.seconds)
    compare("levels in 100 ms batches", batched(rows), python)
    compare("levels as they change", rows, python)


if __name__ == "__main__":
    main()
