"""Slow twins of the signals: straight from the papers' formulas, sums in place of solutions."""

import math

import numpy as np


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


def sum_of_powers(matrix, doublings):
    """Return I + M + ... + M^(n - 1) and M^n for n = 2^doublings."""
    total, power = np.eye(len(matrix)), matrix
    for _ in range(doublings):
        total, power = total + power @ total, power @ power
    return total, power


def microprice_limit(stays, moves, drift, doublings, circle=60):
    """Sum B^i G1 over 2^doublings changes of the mid; then `circle` sums more, and their mean.

    A sum that goes round has a period that divides `circle` (60: for up to 6 states). Returns
    that mean, by how much a sum has grown at the end of the circle, and by how much B^i still
    changes: where that is not little, the sum has not got there.
    """
    visits, left = sum_of_powers(stays, 40)
    first, chain = visits @ drift, visits @ moves
    total, power = sum_of_powers(chain, doublings)
    begin = now = total @ first
    term, mean = power @ first, np.zeros(len(drift))
    for _ in range(circle):
        mean = mean + now / circle
        now, term = now + term, chain @ term
    unsettled = np.abs(power - power @ np.linalg.matrix_power(chain, circle)).max()
    return mean, np.abs(now - begin).max(), max(unsettled, np.abs(left).max())


def touch_chain(books, buckets, spreads):
    """Count a sequence of touches and its mirror image: stays, moves and drift by state."""
    size = buckets * spreads
    stays, moves, drift = np.zeros((size, size)), np.zeros((size, size)), np.zeros(size)
    old = None
    for bid, bid_lots, ask, ask_lots in zip(*(column.tolist() for column in books), strict=True):
        new = None
        if min(bid, bid_lots, ask_lots) > 0 and ask > bid:
            row = (min(ask - bid, spreads) - 1) * buckets
            share = min(bid_lots * buckets // (bid_lots + ask_lots), buckets - 1)
            new = (row + share, row + buckets - 1 - share, (bid + ask) / 2)
        if old is not None and new is not None:
            change = new[2] - old[2]
            for image, sign in ((0, 1), (1, -1)):
                (moves if change else stays)[old[image], new[image]] += 1
                drift[old[image]] += sign * change
        old = new
    visits = (stays + moves).sum(axis=1)
    for state in np.flatnonzero(visits == 0):
        moves[state, state // buckets * buckets + buckets - 1 - state % buckets] = 1
        visits[state] = 1
    return stays / visits[:, None], moves / visits[:, None], drift / visits


def signal_drift(values, ticks_per_s):
    """Sum of the signals that there are times their factors."""
    pairs = zip(values, ticks_per_s, strict=True)
    return sum((c * x for x, c in pairs if not math.isnan(x)), 0.0)
