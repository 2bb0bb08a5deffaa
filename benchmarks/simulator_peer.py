"""hftbacktest's side of the benchmarks simulator and backtest; runs in its own environment.

    python simulator_peer.py ROWS.npy SETTINGS [EVENTS.npz]

Plays the rows twice, the first part to compile, and prints the second run as JSON; with a third
argument it only writes them as hftbacktest's own file. Given such a file in place of the rows, it
loads and plays it once, as a user's script does.
"""

import json
import sys
import time

import numpy as np
from hftbacktest import (
    BUY,
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    GTX,
    LIMIT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    ROIVectorMarketDepthBacktest,
)
from hftbacktest.types import event_dtype
from memory import peak_mb  # beside this file, which runs as a script
from numba import njit


@njit
def trade(hbt, interval_ns, out):
    """Join the best prices each interval; return why and when it ended (1: no more rows)."""
    next_id = 1
    while True:
        code = hbt.elapse(interval_ns)
        if code != 0:
            return code, hbt.current_timestamp
        hbt.clear_inactive_orders(0)
        depth = hbt.depth(0)
        bid = depth.best_bid_tick
        ask = depth.best_ask_tick
        if depth.best_bid_qty <= 0 or depth.best_ask_qty <= 0 or bid >= ask:
            continue
        has_bid = False
        has_ask = False
        values = hbt.orders(0).values()
        while values.has_next():
            order = values.get()
            is_buy = order.side == BUY
            if order.req == 4:  # being cancelled
                continue
            if order.price_tick == (bid if is_buy else ask):
                if is_buy:
                    has_bid = True
                else:
                    has_ask = True
            else:
                hbt.cancel(0, order.order_id, False)
        if not has_bid:
            hbt.submit_buy_order(0, next_id, float(bid), 1.0, GTX, LIMIT, False)
            next_id += 1
            out[0] += 1
        if not has_ask:
            hbt.submit_sell_order(0, next_id, float(ask), 1.0, GTX, LIMIT, False)
            next_id += 1
            out[0] += 1


def events_of(rows, feed_ns):
    """Return the rows as hftbacktest's events, seen `feed_ns` later."""
    events = np.zeros(len(rows), event_dtype)
    is_level = rows[:, 0] == 1
    is_buy = rows[:, 2] > 0
    what = np.where(is_level, DEPTH_EVENT, TRADE_EVENT) | np.where(is_buy, BUY_EVENT, SELL_EVENT)
    events["ev"] = (what | EXCH_EVENT | LOCAL_EVENT).astype(np.uint64)
    events["exch_ts"] = rows[:, 1]
    events["local_ts"] = rows[:, 1] + feed_ns
    events["px"] = rows[:, 3]
    events["qty"] = rows[:, 4]
    return events


def play(events, s):
    """Return the seconds of one run of events or a file of them, and what came of it."""
    asset = (
        BacktestAsset()
        .data(events)
        .linear_asset(1.0)
        .constant_order_latency(s["entry_ns"], s["response_ns"])
        .risk_adverse_queue_model()
        .partial_fill_exchange()
        .trading_value_fee_model(0.0002, 0.0005)
        .tick_size(1.0)
        .lot_size(1.0)
        .roi_lb(s["lowest"] - 1000.0)
        .roi_ub(s["highest"] + 1000.0)
    )
    hbt = ROIVectorMarketDepthBacktest([asset])
    out = np.zeros(4, np.int64)
    started = time.perf_counter()
    code, ended_ns = trade(hbt, s["interval_ns"], out)
    seconds = time.perf_counter() - started
    state = hbt.state_values(0)
    result = {
        "seconds": seconds,
        "end_code": int(code),
        "ended_ns": int(ended_ns),
        "orders": int(out[0]),
        "fills": int(state.num_trades),
        "position": int(state.position),
        "balance": float(state.balance),
        "fees": float(state.fee),
    }
    hbt.close()
    return result


def main():
    """Do what the arguments say."""
    path, settings = sys.argv[1], json.loads(sys.argv[2])
    if path.endswith(".npz"):
        result = play(path, settings)
        print(json.dumps({**result, "peak_mb": peak_mb()}))
        return
    events = events_of(np.load(path), settings["feed_ns"])
    if len(sys.argv) > 3:
        np.savez(sys.argv[3], data=events)
        return
    play(events[: min(len(events), 20_000)], settings)
    print(json.dumps(play(events, settings)))


if __name__ == "__main__":
    main()
