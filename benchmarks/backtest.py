"""The whole backtest against hftbacktest: speed, a fresh process, and memory, in one run.

    python -m benchmarks.backtest [--rows 2000000] [--turns 3]

A synthetic market, batched as Binance batches it (levels that changed in 100 ms, trades at once),
repeated until it has the rows. Ours is all that runs live: fair value and volatility, gates, a
model of the library, the ladder, the book, the simulator with latencies, the
queue, accounts and every row kept and hashed. hftbacktest 2.4.4 runs two orders that join the best
prices each 100 ms (ROIVectorMarketDepthBacktest). Both count their compiled loop alone; of ours the
whole of `backtest.run` is told as well, which checks the tape before and hashes the rows behind it.
The fresh processes begin with the interpreter and end with the result, files loaded; ours finds
its kernels compiled, hftbacktest compiles the strategy.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import peers
from benchmarks.simulator import (
    FEED_NS,
    PEER,
    batched,
    market_rows,
    peer_settings,
    play_peer,
)
from mmquant import backtest
from mmquant.codes import Market, MarketEventKind, TapeKind
from mmquant.records import LEVEL
from mmquant.state import TAPE_EVENT
from mmquant.tape import Tape, TapeInstrument

MARKET_S = 200
MS = 1_000_000
ONE_LOT = "0.001"
# Two sides of one lot each, near the touch, and nothing that stops it.
STRATEGY: dict[str, Any] = {
    "model": "skewed",
    "model_parameters": {
        "min_half_spread_ticks": 1.0,
        "volatility_multiple": 0.0,
        "horizon_s": 1.0,
        "inventory_skew": 0.0,
        "drift_weight": 0.0,
    },
    "levels": 1,
    "order_qty": ONE_LOT,
    "position_limit_qty": "1000",
    "requote_ticks": 1,
    "rates": {
        "orders_per_s": 1e3,
        "order_burst": 1_000,
        "cancels_per_s": 1e3,
        "cancel_burst": 1_000,
    },
    "gates.max_open_notional": "100000000",
    "gates.max_session_loss": "100000000",
    "gates.max_drawdown": "100000000",
    "gates.max_minute_loss": "100000000",
    "gates.max_fills": 64,
    "gates.fill_window_s": 0.001,
    "gates.max_adverse_markout_ticks": 1e6,
    "gates.max_volatility_ratio": 1e3,
}
SIMULATOR = {
    "entry_latency_ms": 5.000017,
    "cancel_latency_ms": 5.000017,
    "response_latency_ms": 4.000007,
    "fill_model": "risk_averse",
}
FRESH = """
import json, sys
from benchmarks.memory import peak_mb
from mmquant import backtest
from mmquant.tape import read_tape
told = json.loads(sys.argv[2])
result = backtest.run(read_tape(sys.argv[1]), told["strategy"], simulator=told["simulator"])
print(json.dumps({"hash": result.hash, "fills": result.metrics()["fills"], "peak_mb": peak_mb()}))
"""


def repeated(rows: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """Return the rows again and again, the book emptied in between, until there are `least`."""
    book: dict[tuple[int, int], int] = {}
    for kind, _, side, price, lots in rows.tolist():
        if kind == MarketEventKind.LEVEL:
            book[side, price] = lots
    end = int(rows[-1, 1])
    gone = [(1, end, side, price, 0) for (side, price), lots in book.items() if lots]
    once = np.concatenate((rows, np.array(gone, np.int64)))
    span = end - int(rows[0, 1]) + 100 * MS
    parts = []
    for k in range(-(-least // len(once))):
        part = once.copy()
        part[:, 1] += k * span
        parts.append(part)
    return np.concatenate(parts)[:least]


def to_tape(rows: NDArray[np.int64]) -> Tape:
    """Return the rows as a tape: levels of one time are one event, bids first."""
    is_level = rows[:, 0] == MarketEventKind.LEVEL
    begins = np.ones(len(rows), bool)
    begins[1:] = ~(is_level[1:] & is_level[:-1] & (rows[1:, 1] == rows[:-1, 1]))
    rows = rows[np.lexsort((-rows[:, 2], np.cumsum(begins)))]
    first = np.flatnonzero(begins)
    events = np.zeros(first.size, TAPE_EVENT)
    events["venue_ns"] = rows[first, 1]
    events["received_ns"] = rows[first, 1] + FEED_NS
    events["update_id"] = 1 + np.arange(first.size)
    events["first_level"] = first
    bids = np.add.reduceat((rows[:, 2] > 0).astype(np.int64), first)
    events["n_bids"] = bids
    events["n_asks"] = np.diff(first, append=len(rows)) - bids
    events["kind"] = np.where(is_level[first], TapeKind.DELTA, TapeKind.TRADE)
    events["kind"][0] = TapeKind.SNAPSHOT
    levels = np.zeros(len(rows), LEVEL)
    levels["price_ticks"], levels["qty_lots"] = rows[:, 3], rows[:, 4]
    instrument = TapeInstrument("BTCUSDT", Market.USDM, 10**7, 10**5)
    return Tape(events, levels, [instrument], "synthetic market")


def trade(tape: Tape) -> backtest.Result:
    """Return our backtest of the tape."""
    return backtest.run(tape, STRATEGY, simulator=SIMULATOR)


def fresh(command: list[Any]) -> tuple[float, float]:
    """Return seconds and peak megabytes of a process from its start to its end."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{command[:2]} failed: {done.stderr[-2000:]}")
    return seconds, float(json.loads(done.stdout.splitlines()[-1])["peak_mb"])


class LoopTimer:
    """Takes the place of the compiled loop in `mmquant.backtest` and sums the time within it."""

    def __init__(self) -> None:
        self.seconds, self._loop = 0.0, backtest.backtest_run
        backtest.backtest_run = self

    def __call__(self, *arguments: Any) -> int:
        started = time.perf_counter()
        code = self._loop(*arguments)
        self.seconds += time.perf_counter() - started
        return code


def show_speed(rows: NDArray[np.int64], tape: Tape, python: Path | None, turns: int) -> None:
    """Print rows a second of both, interleaved."""
    result = trade(tape)  # compiled from here on
    ours, whole, theirs, peer = [], [], [], {}
    timer = LoopTimer()
    for _ in range(turns):
        started, timer.seconds = time.perf_counter(), 0.0
        result = trade(tape)
        whole.append(time.perf_counter() - started)
        ours.append(timer.seconds)
        if python is not None:
            peer = play_peer(python, rows)
            theirs.append(peer.pop("seconds"))
    metrics, run = result.metrics(), result.instrument().run[0]
    print(f"{len(rows):,} rows in {len(tape):,} events, medians of {turns}")
    print(
        f"  mmquant      {len(rows) / median(ours) / 1e6:6.2f} M rows/s  "
        f"{int(run['decisions']):,} decisions, {metrics['orders']:.0f} orders, "
        f"{metrics['fills']:.0f} fills; {len(rows) / median(whole) / 1e6:.2f} with the result"
    )
    if not theirs:
        return
    print(f"  hftbacktest  {len(rows) / median(theirs) / 1e6:6.2f} M rows/s  {peer}")
    if peer["end_code"] == 1:  # else it gave up before the end of the rows
        print(f"  ratio        {median(theirs) / median(ours):6.2f}  (goal 4)")


def show_fresh(rows: NDArray[np.int64], tape: Tape, python: Path | None, turns: int) -> None:
    """Print seconds and memory of whole processes, interleaved."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = folder / "rows.tape"
        told = json.dumps({"strategy": STRATEGY, "simulator": SIMULATOR})
        tape.save(own)
        commands: dict[str, list[Any]] = {"mmquant": [sys.executable, "-c", FRESH, own, told]}
        if python is not None:
            np.save(folder / "rows.npy", rows)
            settings, events = peer_settings(rows), folder / "rows.npz"
            subprocess.run([python, PEER, folder / "rows.npy", settings, events], check=True)
            commands["hftbacktest"] = [python, PEER, events, settings]
        taken: dict[str, list[tuple[float, float]]] = {what: [] for what in commands}
        for _ in range(turns):
            for what, command in commands.items():
                taken[what].append(fresh(command))
    figures = {
        what: (median(s for s, _ in each), max(mb for _, mb in each))
        for what, each in taken.items()
    }
    print("a fresh process, from its start to the result")
    for what, (seconds, megabytes) in figures.items():
        print(f"  {what:12} {seconds:6.2f} s, {megabytes:6.0f} MB at most")
    if len(figures) == 2:
        (a, mine), (b, peers_) = figures.values()
        print(f"  ratio        {b / a:6.2f}  of time (goal: ours below 1.2 s)")
        print(f"  ratio        {mine / peers_:6.2f}  of memory (goal below 0.5)")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    python = peers.venv("hftbacktest", ["hftbacktest==2.4.4"])
    market = batched(market_rows(min(MARKET_S, 1 + arguments.rows // 1_500)))
    rows = repeated(market, arguments.rows)
    tape = to_tape(rows)
    print(json.dumps({"rows": len(rows), "cores": os.cpu_count()}))
    show_speed(rows, tape, python, arguments.turns)
    show_fresh(rows, tape, python, arguments.turns)


if __name__ == "__main__":
    main()
