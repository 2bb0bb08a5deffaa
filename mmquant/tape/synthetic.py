"""seed -> a tape of the synthetic market, with a known latent price: for tests and notebooks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._checks import number, whole
from mmquant.book import empty_book
from mmquant.codes import Market, MarketEventKind, TapeKind
from mmquant.kernels.tape_book import tape_book_path
from mmquant.market import MarketParameters, SyntheticMarket
from mmquant.records import LEVEL
from mmquant.state import BOOK_TOUCH, TAPE_EVENT
from mmquant.tape.core import Tape, TapeInstrument

__all__ = ["synthetic_tape"]

START_NS = 1_767_225_600_000_000_000  # 2026-01-01 00:00 UTC
NS_PER_S = 1_000_000_000
MAX_SECONDS = 3_600.0
_E8 = 100_000_000
_Part = tuple[NDArray[Any], NDArray[Any]]  # events and levels


def synthetic_tape(
    seconds: float = 60.0,
    seed: int = 1,
    parameters: MarketParameters | None = None,
    *,
    depth_interval_ms: int = 100,
    latency_ms: float = 1.0,
) -> Tape:
    """Return a tape of a synthetic market that looks like USD-M BTCUSDT (tick 0.1, lot 0.001).

    It holds what the venue's streams hold: a snapshot, depth updates at an interval, each trade,
    and the best bid and offer at each change. The same arguments give the same tape.

    Parameters
    ----------
    seconds : float
        How long, at most an hour.
    seed : int
        As of `SyntheticMarket`.
    parameters : MarketParameters, optional
        As of `SyntheticMarket`.
    depth_interval_ms : int
        Time between two depth updates.
    latency_ms : float
        Every message is received so much after it happened.
    """
    length_ns = int(number("seconds", seconds, 0.001, MAX_SECONDS) * NS_PER_S)
    step_ns = whole("depth_interval_ms", depth_interval_ms, 1, 60_000) * 1_000_000
    latency_ns = int(number("latency_ms", latency_ms, 0.0, 60_000.0) * 1e6)
    market = SyntheticMarket(seed, parameters, start_ns=START_NS)
    first = _snapshot(market)
    rows = market.run(START_NS + length_ns)
    changes = rows[rows["kind"] == MarketEventKind.LEVEL]
    parts = [first, _trades(rows), _touches(changes, first), _depth(changes, step_ns, length_ns)]
    events, levels = _join(parts)
    events["received_ns"] = events["venue_ns"] + latency_ns
    order = np.argsort(events["received_ns"], kind="stable")
    instrument = TapeInstrument("BTCUSDT", Market.USDM, _E8 // 10, _E8 // 1000)
    return Tape(events[order], levels, [instrument], f"synthetic market, seed {seed}")


def _join(parts: list[_Part]) -> _Part:
    """Return the parts behind each other, `first_level` counted through."""
    at = 0
    for events, levels in parts:
        events["first_level"] += at
        at += levels.size
    return (
        np.concatenate([events for events, _ in parts]),
        np.concatenate([levels for _, levels in parts]),
    )


def _snapshot(market: SyntheticMarket) -> _Part:
    bids, asks = market.levels()
    events = np.zeros(1, TAPE_EVENT)
    events["venue_ns"], events["update_id"] = START_NS, market.update_id
    events["n_bids"], events["n_asks"] = len(bids), len(asks)
    events["kind"] = TapeKind.SNAPSHOT
    levels = np.ascontiguousarray(np.concatenate((bids, asks))).view(LEVEL)[:, 0]
    return events, levels


def _heads(rows: NDArray[Any], kind: TapeKind) -> NDArray[Any]:
    """Return an event for each row of the market, with one level."""
    events = np.zeros(rows.size, TAPE_EVENT)
    events["venue_ns"], events["update_id"] = rows["time_ns"], rows["update_id"]
    events["first_level"] = np.arange(rows.size)
    events["n_bids"], events["n_asks"] = rows["side"] > 0, rows["side"] < 0
    events["kind"] = kind
    return events


def _levels(rows: NDArray[Any]) -> NDArray[Any]:
    levels = np.zeros(rows.size, LEVEL)
    levels["price_ticks"], levels["qty_lots"] = rows["price_ticks"], rows["qty_lots"]
    return levels


def _trades(rows: NDArray[Any]) -> _Part:
    trades = rows[rows["kind"] == MarketEventKind.TRADE]
    events = _heads(trades, TapeKind.TRADE)
    events["update_id"] = 1 + np.arange(trades.size)
    return events, _levels(trades)


def _touches(changes: NDArray[Any], first: _Part) -> _Part:
    """Return a best bid and offer for each change of the touch."""
    steps = _heads(changes, TapeKind.DELTA)
    steps["first_level"] += first[1].size
    every = np.concatenate((first[0], steps))
    words = np.concatenate((first[1], _levels(changes))).view(np.int64)
    touches = np.zeros(every.size, BOOK_TOUCH)
    tape_book_path(empty_book(), every, words, np.zeros(2, np.int64), 0, touches)
    fields = [touches[name] for name in ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots")]
    changed = np.zeros(every.size, bool)
    for column in fields:
        changed[1:] |= column[1:] != column[:-1]
    rows = np.flatnonzero(changed)
    events = np.zeros(rows.size, TAPE_EVENT)
    for name in ("venue_ns", "update_id"):
        events[name] = every[name][rows]
    events["first_level"] = 2 * np.arange(rows.size)
    events["n_bids"] = events["n_asks"] = 1
    events["kind"] = TapeKind.BBO
    levels = np.column_stack([column[rows] for column in fields]).astype(np.int64)
    return events, levels.reshape(-1).view(LEVEL)


def _depth(changes: NDArray[Any], step_ns: int, length_ns: int) -> _Part:
    """Return the depth updates: of each interval the last quantity of each price."""
    interval = -(-(changes["time_ns"] - START_NS) // step_ns)
    order = np.lexsort((changes["update_id"], changes["price_ticks"], -changes["side"], interval))
    rows, interval = changes[order], interval[order]
    is_last = np.ones(rows.size, bool)
    is_last[:-1] = (
        (interval[1:] != interval[:-1])
        | (rows["side"][1:] != rows["side"][:-1])
        | (rows["price_ticks"][1:] != rows["price_ticks"][:-1])
    )
    rows, interval = rows[is_last], interval[is_last]
    numbers, firsts = np.unique(interval, return_index=True)
    events = np.zeros(numbers.size, TAPE_EVENT)
    events["venue_ns"] = START_NS + np.minimum(numbers * step_ns, length_ns)
    events["update_id"] = np.maximum.reduceat(rows["update_id"], firsts) if rows.size else 0
    events["first_level"] = firsts
    bids = np.add.reduceat((rows["side"] > 0).astype(np.int64), firsts) if rows.size else 0
    events["n_bids"] = bids
    events["n_asks"] = np.diff(firsts, append=rows.size) - bids
    events["kind"] = TapeKind.DELTA
    return events, _levels(rows)
