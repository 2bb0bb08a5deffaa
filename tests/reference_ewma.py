"""Slow twins of the decayed averages: every weight from its definition."""

import math
from fractions import Fraction

MOST_HALVINGS = 1000  # in one interval: no weight becomes 0


def weights(ts_ns, half_life_ns):
    out = []
    for i, now_ns in enumerate(ts_ns):
        halvings = (now_ns - ts_ns[max(i - 1, 0)]) / half_life_ns
        out = [w * Fraction(2.0 ** -min(halvings, MOST_HALVINGS)) for w in out] + [Fraction(1)]
    return out


def present(ts_ns, *columns):
    """Return the indices of the rows without NaN."""
    return [i for i in range(len(ts_ns)) if not any(math.isnan(column[i]) for column in columns)]


def mean(xs, ts_ns, half_life_ns):
    out = []
    for n in range(len(xs)):
        rows = [i for i in present(ts_ns, xs) if i <= n]
        if not rows:
            out.append(math.nan)
            continue
        w = [2.0 ** (-(ts_ns[rows[-1]] - ts_ns[i]) / half_life_ns) for i in rows]
        out.append(math.fsum(a * xs[i] for a, i in zip(w, rows, strict=True)) / math.fsum(w))
    return out


def mean_by_time(xs, ts_ns, half_life_ns):
    """Weights from the definition: each sample's alpha times all later decays."""
    means = []
    for n in range(len(xs)):
        mean = 0.0
        for i in range(n + 1):
            own = 1.0 if i == 0 else 1.0 - 2.0 ** (-(ts_ns[i] - ts_ns[i - 1]) / half_life_ns)
            mean += own * 2.0 ** (-(ts_ns[n] - ts_ns[i]) / half_life_ns) * xs[i]
        means.append(mean)
    return means


def covariance(xs, ys, ts_ns, half_life_ns, bias):
    """In fractions: nothing cancels where one sample weighs next to nothing."""
    out = []
    for n in range(len(xs)):
        rows = [i for i in present(ts_ns, xs, ys) if i <= n]
        if not rows or (not bias and len(rows) < 2):
            out.append(math.nan)
            continue
        w = weights([ts_ns[i] for i in rows], half_life_ns)
        a, b = ([Fraction(column[i]) for i in rows] for column in (xs, ys))
        total, squares = sum(w), sum(v * v for v in w)
        mean_a = sum(v * x for v, x in zip(w, a, strict=True)) / total
        mean_b = sum(v * y for v, y in zip(w, b, strict=True)) / total
        rows = zip(w, a, b, strict=True)
        products = sum(v * (x - mean_a) * (y - mean_b) for v, x, y in rows)
        out.append(float(products / total if bias else products * total / (total**2 - squares)))
    return out
