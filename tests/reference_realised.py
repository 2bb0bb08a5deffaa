"""Slow twins of pre-averaging and of the realised windows: whole lists, the library's functions."""

import math
from itertools import pairwise

import numpy as np

import mmquant

BARS, LEAST_MIDS, MOST_MIDS = 10, 4, 4096
EXACT = (
    "start_ns",
    "end_ns",
    "samples",
    "realised_ticks_per_sqrt_s",
    "bipower_ticks_per_sqrt_s",
    "two_scale_ticks_per_sqrt_s",
    "pre_averaged_ticks_per_sqrt_s",
    "noise_ticks",
)
RANGES = ("parkinson", "garman_klass", "rogers_satchell", "yang_zhang")


def pre_averaged(prices, window):
    """Jacod and others (2009), every window summed anew with its weights."""
    moves = np.diff(prices)
    n = moves.size
    weights = [min(j / window, 1.0 - j / window) for j in range(window + 1)]
    total = sum(
        sum(weights[j] * moves[i + j - 1] for j in range(1, window)) ** 2
        for i in range(n - window + 2)
    )
    squares = sum(w * w for w in weights)
    slopes = sum((b - a) ** 2 for a, b in pairwise(weights))
    share = slopes / (2.0 * squares)
    full = total / squares * n / (n - window + 2.0)
    return (full - share * float(np.sum(moves**2))) / (1.0 - share)


def bars_of(mids, times):
    """Return opens, highs, lows, closes: the first mid, then BARS parts of the time."""
    part_ns = (times[-1] - times[0]) // BARS
    ends = [times[0] + k * part_ns for k in range(BARS)] + [times[-1]]
    rows, start_ns, last = [], times[0] - 1, mids[0]
    for end_ns in ends:
        stood = [last, *(x for x, t in zip(mids, times, strict=True) if start_ns < t <= end_ns)]
        rows.append((stood[0], max(stood), min(stood), stood[-1]))
        start_ns, last = end_ns, stood[-1]
    return np.array(rows, float).T.copy()


def measures(mids, times):
    """Return the fields of REALISED by name."""
    xs, ts = np.array(mids, float), np.array(times, np.int64)
    bars = bars_of(mids, times)
    variances = {
        "parkinson": sum(mmquant.parkinson(*bars)[1:]),
        "garman_klass": sum(mmquant.garman_klass(*bars)[1:]),
        "rogers_satchell": sum(mmquant.rogers_satchell(*bars)[1:]),
        "yang_zhang": BARS * mmquant.yang_zhang(*bars, window=BARS)[-1],
    }
    seconds = (times[-1] - times[0]) / 1e9
    ranges = {name: math.sqrt(max(v, 0.0) / seconds) * mids[-1] for name, v in variances.items()}
    whole = {
        "realised": mmquant.realised_variance(xs, ts),
        "bipower": mmquant.bipower_variance(xs, ts),
        "two_scale": mmquant.two_scale_variance(xs, ts),
        "pre_averaged": mmquant.pre_averaged_variance(xs, ts),
    }
    rates = ranges | {name: value.volatility_per_sqrt_s for name, value in whole.items()}
    out = {"start_ns": times[0], "end_ns": times[-1], "samples": len(mids)}
    out["noise_ticks"] = math.sqrt(mmquant.noise_variance(xs, ts))
    return out | {f"{name}_ticks_per_sqrt_s": value for name, value in rates.items()}


def samples_of(mids, window_ns):
    """Return of (mid, time) the first, those that moved and those from the window's end on."""
    kept = mids[:1]
    for x, ts_ns in mids[1:]:
        if x != kept[-1][0] or ts_ns - mids[0][1] >= window_ns:
            kept.append((x, ts_ns))
    return kept


class RealisedWindows:
    """Keeps all mids of the open window; `closed` is what was closed, the newest last."""

    def __init__(self, window_ns, max_gap_ns):
        self.window_ns, self.max_gap_ns = window_ns, max_gap_ns
        self.mids, self.closed = [], []

    def update(self, x, ts_ns):
        if not math.isfinite(x) or (self.mids and ts_ns <= self.mids[-1][1]):
            return
        if self.mids and ts_ns - self.mids[-1][1] > self.max_gap_ns:
            kept = self.samples
            if kept[-1] != self.mids[-1]:
                kept.append(self.mids[-1])
            if len(kept) >= LEAST_MIDS and 2 * self.span_ns >= self.window_ns:
                self.close(kept)
            self.mids = []
        self.mids.append((x, ts_ns))
        n = len(self.samples)
        if n == MOST_MIDS or (n >= LEAST_MIDS and self.span_ns >= self.window_ns):
            self.close(self.samples)
            self.mids = self.mids[-1:]

    @property
    def samples(self):
        return samples_of(self.mids, self.window_ns)

    @property
    def span_ns(self):
        return self.mids[-1][1] - self.mids[0][1]

    def close(self, kept):
        self.closed.append(measures(*zip(*kept, strict=True)))


def assert_same(row, expected):
    """Hold a record against what `measures` gave: the same bits but for the ranges' sums."""
    for name in EXACT:
        assert row[name] == expected[name], name
    for name in (f"{kind}_ticks_per_sqrt_s" for kind in RANGES):
        assert math.isclose(row[name], expected[name], rel_tol=1e-9, abs_tol=1e-6), name
