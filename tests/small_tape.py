"""A small random tape: snapshots, deltas, best bids and offers, trades, and a gap if wanted."""

from types import SimpleNamespace

import numpy as np

from mmquant.codes import Market, TapeKind
from mmquant.records import LEVEL
from mmquant.state import TAPE_EVENT

__all__ = ["make_tape"]

MS = 1_000_000
START_NS = 1_700_000_000_000_000_000


class _Writer:
    def __init__(self):
        self.events, self.levels = [], []

    def add(self, ns, kind, update_id, bids=(), asks=(), instrument=0, flags=0):
        row = (ns, ns - 3 * MS, update_id, len(self.levels), len(bids), len(asks))
        self.events.append((*row, instrument, int(kind), flags))
        self.levels += [*bids, *asks]

    def tape(self, symbols, market):
        names = [
            SimpleNamespace(
                symbol=symbol, market=market, tick_size_e8=10_000_000, lot_size_e8=100_000
            )
            for symbol in symbols
        ]
        return SimpleNamespace(
            events=np.array(self.events, TAPE_EVENT),
            levels=np.array(self.levels, LEVEL),
            instruments=names,
            source="a small random tape",
        )


def make_tape(
    steps=400, seed=1, symbols=("BTCUSDT",), gap_at=0, market=Market.USDM, start_ns=START_NS
):
    """Return a tape whose touch walks at random, all instruments in turn."""
    random, writer = np.random.default_rng(seed), _Writer()
    bids = [100_000 + 1_000 * k for k in range(len(symbols))]
    ids, trades, ns = [10] * len(symbols), 0, start_ns
    for step in range(steps):
        i = step % len(symbols)
        ns += int(random.integers(1, 15)) * MS
        bid, ids[i] = bids[i], ids[i] + 1
        side_bids = [(bid - k, 20 + k) for k in range(5)]
        side_asks = [(bid + 2 + k, 20 + k) for k in range(5)]
        if step < len(symbols) or step == gap_at + 20:
            writer.add(ns, TapeKind.SNAPSHOT, ids[i], side_bids, side_asks, i)
            continue
        if gap_at and step == gap_at:
            writer.add(ns, TapeKind.GAP, 0, instrument=i)
            continue
        if gap_at < step < gap_at + 20 and gap_at:
            continue
        move = int(random.integers(-2, 3))
        bids[i] = new = bid + move
        gone_bids = [(price, 0) for price, _ in side_bids if price > new]
        gone_asks = [(price, 0) for price, _ in side_asks if price < new + 2]
        fresh_bids = [(new - k, int(random.integers(5, 60))) for k in range(5)]
        fresh_asks = [(new + 2 + k, int(random.integers(5, 60))) for k in range(5)]
        writer.add(ns, TapeKind.DELTA, ids[i], gone_bids + fresh_bids, gone_asks + fresh_asks, i)
        ids[i] += 1
        touch = [(new, int(random.integers(1, 40)))], [(new + 2, int(random.integers(1, 40)))]
        writer.add(ns + MS // 2, TapeKind.BBO, ids[i], *touch, i)
        if random.random() < 0.6:
            trades += 1
            sells = random.random() < 0.5
            price = new - int(random.integers(0, 9)) if sells else new + 2 + int(random.integers(9))
            level = [(price, int(random.integers(1, 90)))]
            sides = ((), level) if sells else (level, ())
            writer.add(ns + MS // 2, TapeKind.TRADE, trades, *sides, i)
    return writer.tape(symbols, market)
