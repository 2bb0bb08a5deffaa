"""Bars of trades, by time, number and volume."""

import numpy as np

from mmquant._jit import njit

BY_TIME = 0
BY_TRADES = 1
BY_VOLUME = 2


@njit
def _start(bar: np.ndarray, kind: int, size: int, price: float, ts_ns: int) -> None:
    b = bar[0]
    b["start_ns"] = ts_ns - ts_ns % size if kind == BY_TIME else ts_ns
    b["open"] = price
    b["high"] = price
    b["low"] = price
    b["volume_lots"] = 0
    b["trades"] = 0


@njit
def bar_step(
    bar: np.ndarray,
    kind: int,
    size: int,
    price: float,
    lots: int,
    ts_ns: int,
    out: np.ndarray,
    at: int,
) -> int:
    """Take in one trade; write the bar that it completes.

    A bar by time holds the trades of [start, start + size), start a multiple of `size`, and is
    complete once a later trade is there; an interval without trades has no bar. Bars by trades
    and by volume are complete with the trade that reaches `size`; no trade is split.

    Parameters
    ----------
    bar : ndarray of BAR, shape (1,)
        The bar that grows; starts as zeros.
    kind : int
        BY_TIME, BY_TRADES or BY_VOLUME.
    size : int
        Nanoseconds, trades or lots, positive.
    price : float
    lots, ts_ns : int
    out : ndarray of BAR
    at : int
        Where in `out` a complete bar is written.

    Returns
    -------
    int
        1 if one was, else 0.
    """
    b = bar[0]
    done = 0
    if kind == BY_TIME and b["trades"] > 0 and ts_ns - size >= b["start_ns"]:
        out[at] = b
        done = 1
        b["trades"] = 0
    if b["trades"] == 0:
        _start(bar, kind, size, price, ts_ns)
    b["high"] = max(b["high"], price)
    b["low"] = min(b["low"], price)
    b["close"] = price
    b["end_ns"] = ts_ns
    b["volume_lots"] += lots
    b["trades"] += 1
    full = (kind == BY_TRADES and b["trades"] >= size) or (
        kind == BY_VOLUME and b["volume_lots"] >= size
    )
    if full:
        out[at] = b
        done = 1
        b["trades"] = 0
    return done


@njit
def bar_path(
    bar: np.ndarray,
    kind: int,
    size: int,
    prices: np.ndarray,
    lots: np.ndarray,
    ts_ns: np.ndarray,
    out: np.ndarray,
) -> int:
    """Fold `bar_step` over trades (n,); return how many bars `out` (n,) got."""
    count = int(np.int64(0))  # a literal would compile `bar_step` twice
    for i in range(prices.size):
        count += bar_step(bar, kind, size, prices[i], lots[i], ts_ns[i], out, count)
    return count
