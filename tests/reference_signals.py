"""Slow twins of the signals: plain Python, straight from the papers' formulas."""

import math


def vamp(bids, asks):
    pairs = [(b, a) for b, a in zip(bids, asks, strict=True) if b[1] > 0 and a[1] > 0]
    total = sum(b[1] + a[1] for b, a in pairs)
    if total == 0:
        return math.nan
    return sum(b[0] * a[1] + a[0] * b[1] for b, a in pairs) / total


def order_flow(old_bid, new_bid, old_ask, new_ask):
    """Sides are (price, size); an empty side stands at the worst price there is."""
    pb0, qb0 = old_bid if old_bid[1] else (-math.inf, 0)
    pb1, qb1 = new_bid if new_bid[1] else (-math.inf, 0)
    pa0, qa0 = old_ask if old_ask[1] else (math.inf, 0)
    pa1, qa1 = new_ask if new_ask[1] else (math.inf, 0)
    return (pb1 >= pb0) * qb1 - (pb1 <= pb0) * qb0 - (pa1 <= pa0) * qa1 + (pa1 >= pa0) * qa0


def trade_flow(lots, sides, ts_ns, half_life_ns):
    out = []
    for n in range(len(lots)):
        w = [2.0 ** (-(ts_ns[n] - t) / half_life_ns) for t in ts_ns[: n + 1]]
        total = sum(a * q * (s != 0) for a, q, s in zip(w, lots, sides, strict=False))
        signed = sum(a * q * s for a, q, s in zip(w, lots, sides, strict=False))
        out.append(signed / total if total > 0 else 0.0)
    return out


def microprice_adjustments(stays, moves, drift, changes):
    """Walk the chain change by change: no inverse, only sums over paths."""
    size = len(drift)

    def after_waiting(row):
        """Sum of row Q^j over j: expected visits before the mid changes."""
        visits = [0.0] * size
        while max(row) > 1e-16:
            visits = [v + r for v, r in zip(visits, row, strict=True)]
            row = [sum(row[i] * stays[i][j] for i in range(size)) for j in range(size)]
        return visits

    out = []
    for start in range(size):
        row = [float(i == start) for i in range(size)]
        total = 0.0
        for _ in range(changes):
            visits = after_waiting(row)
            total += sum(v * d for v, d in zip(visits, drift, strict=True))
            row = [sum(visits[i] * moves[i][j] for i in range(size)) for j in range(size)]
        out.append(total)
    return out


def signal_drift(values, ticks_per_s):
    """Sum of the signals that there are times their factors."""
    pairs = zip(values, ticks_per_s, strict=True)
    return sum((c * x for x, c in pairs if not math.isnan(x)), 0.0)
