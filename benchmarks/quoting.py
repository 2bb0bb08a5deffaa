"""Quotes of Avellaneda and Stoikov for ten million rows, against numpy, in one run.

    python -m benchmarks.quoting [--quotes 10000000]

The PATH (all seven columns of state.MODEL_QUOTES and a reason a row, what is not finite refused)
against the same formulas in vectorised numpy (the five columns that differ by row, nothing
checked) and against a loop over the elements with numpy's scalar functions, a thousandth of the
rows. Fair value, inventory, volatility and time left are columns; the arrival decay is one number,
then a column. Each figure is the least of several turns taken in rotation.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.ewma import least
from mmquant.models import MODELS, avellaneda_stoikov, model_params

GAMMA = 0.05
LOOP_SHARE = 1000  # the loop gets one row of so many

Columns = tuple[Any, Any, Any, Any, Any]


def vectorised(fair: Any, sigma: Any, k: Any, q: Any, left_s: Any) -> tuple[Any, ...]:
    """Return bid, ask, reservation, inventory shift and volatility term."""
    risk = GAMMA * sigma * sigma * left_s
    shift = -q * risk
    reservation = fair + shift
    volatility_term = 0.5 * risk
    half = volatility_term + np.log1p(GAMMA / k) / GAMMA
    return reservation - half, reservation + half, reservation, shift, volatility_term


def loop(columns: Columns, out: Any) -> None:
    """Do the same element by element."""
    fair, sigma, k, q, left_s = columns
    for i in range(out.shape[1]):
        k_i = k[i % k.size]
        out[:, i] = vectorised(fair[i], sigma[i], k_i, q[i], left_s[i])


def path_of(columns: Columns, quotes: Any, reasons: Any) -> Callable[[], None]:
    fair, sigma, k, q, left_s = columns
    nothing = np.zeros(1)
    values = (fair, nothing, sigma, nothing, k, q, left_s)
    for column in values:
        column.flags.writeable = False  # as the facade passes them
    lots = (np.zeros(1, np.int64), np.ones(1, np.int64))
    for column in lots:
        column.flags.writeable = False
    params = model_params("avellaneda_stoikov", {"risk_aversion_per_tick": GAMMA})
    return lambda: MODELS["avellaneda_stoikov"].path(values, lots, params, quotes, reasons)


def facade(columns: Columns) -> Any:
    fair, sigma, k, q, left_s = columns
    return avellaneda_stoikov(
        fair,
        q,
        volatility_ticks_per_sqrt_s=sigma,
        arrival_decay_per_tick=k,
        time_left_s=left_s,
        risk_aversion_per_tick=GAMMA,
    )


def compare(name: str, columns: Columns, turns: int) -> None:
    """Print what a quote costs each way, and that they agree."""
    n = columns[0].size
    quotes, reasons = np.empty((7, n)), np.empty(n, np.int64)
    few = np.empty((5, n // LOOP_SHARE))
    path = path_of(columns, quotes, reasons)
    best = least(
        turns,
        path=path,
        facade=lambda: facade(columns),
        vectorised=lambda: vectorised(*columns),
        loop=lambda: loop(columns, few),
    )
    expected = vectorised(*columns)
    worst = max(float(np.max(np.abs(a - b))) for a, b in zip(quotes[:2], expected, strict=False))
    best["loop"] *= n / few.shape[1]
    print(f"{name}, {n} quotes (largest difference {worst:.1e} ticks):")
    for way, seconds in best.items():
        ratio = seconds / best["path"]
        print(f"  {way:12} {seconds * 1e9 / n:9.2f} ns a quote   {ratio:8.2f} x path")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quotes", type=int, default=10_000_000)
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    n = arguments.quotes
    rng = np.random.default_rng(1)
    fair, sigma = rng.uniform(6e5, 7e5, n), rng.uniform(0.1, 5.0, n)
    q, left_s = rng.integers(-20, 21, n).astype(np.float64), rng.uniform(0.0, 60.0, n)
    compare("one arrival decay", (fair, sigma, np.array([0.3]), q, left_s), arguments.turns)
    decays = rng.uniform(0.1, 2.0, n)
    compare("a column of decays", (fair, sigma, decays, q, left_s), arguments.turns)


if __name__ == "__main__":
    main()
