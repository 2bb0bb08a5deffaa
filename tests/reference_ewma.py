"""Slow twins of the decayed averages: every weight from its definition."""

import math


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
    out = []
    for n in range(len(xs)):
        rows = [i for i in present(ts_ns, xs, ys) if i <= n]
        w = [2.0 ** (-(ts_ns[rows[-1]] - ts_ns[i]) / half_life_ns) for i in rows]
        total, squares = math.fsum(w), math.fsum(a * a for a in w)
        if not rows or (not bias and len(rows) < 2):
            out.append(math.nan)
            continue
        mx = math.fsum(a * xs[i] for a, i in zip(w, rows, strict=True)) / total
        my = math.fsum(a * ys[i] for a, i in zip(w, rows, strict=True)) / total
        products = math.fsum(a * (xs[i] - mx) * (ys[i] - my) for a, i in zip(w, rows, strict=True))
        out.append(products / total if bias else products * total / (total**2 - squares))
    return out
