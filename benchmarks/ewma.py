"""The exponentially weighted mean against its peers, in one run.

    python -m benchmarks.ewma [--samples 10000000]

Ten million samples at irregular times, half-life a minute: mmquant's function (checks, result
allocated, or written to `out`) and its kernel against pandas' ewm(times=...), a copy of the same
bytes (also with as much of it into new memory as a result is), and polars' ewm_mean_by in an
environment of its own, before and behind the others; then 32 half-lives at once against the scalar
recursion, on one core and on all. Each figure is the least of several turns taken in rotation; the
ratios are what counts.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pandas as pd

from benchmarks import peers
from mmquant._arrays import aligned_empty
from mmquant._jit import njit
from mmquant._jit_blocks import LANES_ALIGNMENT
from mmquant.ewma import ewm_mean
from mmquant.kernels.ewma import ewma_path
from mmquant.kernels.ewma_grid import ewma_grid
from mmquant.state import EWMA

HALF_LIFE_NS = 60 * 10**9
GRID = 32
# Reads xs.npy and ts_ns.npy in a folder, leaves means.npy there, prints its least seconds.
POLARS = """
import json, sys, time
from pathlib import Path
import numpy as np
import polars
folder, turns = Path(sys.argv[1]), int(sys.argv[2])
frame = polars.DataFrame({name: np.load(folder / f"{name}.npy") for name in ("xs", "ts_ns")})
frame = frame.with_columns(polars.col("ts_ns").cast(polars.Datetime("ns")))
means = polars.col("xs").ewm_mean_by("ts_ns", half_life="60s")
best = float("inf")
for _ in range(turns + 1):
    started = time.perf_counter()
    out = frame.select(means)
    best = min(best, time.perf_counter() - started)
np.save(folder / "means.npy", out["xs"].to_numpy())
print(json.dumps(best))
"""


@njit
def scalar_recursion(
    half_life_ns: int, xs: np.ndarray, ts_ns: np.ndarray, out: np.ndarray, column: int
) -> None:
    """Write the mean as one writes it first: the C library's exp, one sample after the other."""
    y = xs[0]
    out[0, column] = y
    for i in range(1, xs.size):
        d = math.exp(-0.6931471805599453 * (ts_ns[i] - ts_ns[i - 1]) / half_life_ns)
        y = d * y + (1.0 - d) * xs[i]
        out[i, column] = y


def least(turns: int, **functions: Callable[[], Any]) -> dict[str, float]:
    """Return each function's least seconds, all called in rotation after a first call."""
    best = dict.fromkeys(functions, math.inf)
    for function in functions.values():
        function()
    for _ in range(turns):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            best[name] = min(best[name], time.perf_counter() - started)
    return best


def show(best: dict[str, float], count: int, against: str) -> None:
    """Print nanoseconds a sample and how many times longer than `against` each took."""
    for name, seconds in best.items():
        ratio = seconds / best[against]
        print(f"  {name:28} {seconds * 1e9 / count:8.2f} ns   {ratio:6.2f} x {against}")


def polars_seconds(xs: Any, ts_ns: Any, ours: Any, turns: int) -> float | None:
    """Return polars' least seconds, None without it; state how far its means are from ours."""
    inside = peers.venv("polars", ["polars", "numpy"])
    if inside is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "xs.npy", xs)
        np.save(Path(folder) / "ts_ns.npy", ts_ns)
        seconds = float(peers.run(inside, POLARS, folder, str(turns)))
        theirs = np.load(Path(folder) / "means.npy")
    ewm_mean(xs, ts_ns, half_life_ns=HALF_LIFE_NS, adjust=False, out=ours)
    difference = np.max(np.abs(ours / theirs - 1.0))
    print(f"polars: {seconds / xs.size * 1e9:.2f} ns, relative difference {difference:.1e}")
    return seconds


def one_series(n: int, turns: int) -> None:
    """Time one half-life, and state the error against pandas."""
    rng = np.random.default_rng(1)
    xs = 100.0 + np.cumsum(rng.normal(size=n)) * 0.01
    ts_ns = np.cumsum(rng.exponential(1e9, n)).astype(np.int64)
    out = np.zeros(n)
    # 24 bytes a sample are read or written: as many as a copy of 12 moves.
    source, target = np.ones(n * 3 // 2), np.ones(n * 3 // 2)
    series = pd.Series(xs)
    stamps = pd.to_datetime(ts_ns)
    half_life = pd.Timedelta(HALF_LIFE_NS, unit="ns")

    def copy_allocated() -> Any:
        """Move as many bytes, eight a sample of them into new memory, as a result is."""
        np.copyto(target[: n // 2], source[: n // 2])
        return xs.copy()

    def kernel(adjust: int) -> None:
        state = np.zeros(1, EWMA)
        state["half_life_ns"] = HALF_LIFE_NS
        state["adjust"] = adjust
        ewma_path(state, xs, ts_ns, out)

    functions = {
        "copy": lambda: np.copyto(target, source),
        "copy_allocated": copy_allocated,
        "kernel": lambda: kernel(1),
        "kernel_by_time": lambda: kernel(0),
        "mmquant": lambda: ewm_mean(xs, ts_ns, half_life_ns=HALF_LIFE_NS),
        "mmquant_out": lambda: ewm_mean(xs, ts_ns, half_life_ns=HALF_LIFE_NS, out=out),
        "mmquant_by_time": lambda: ewm_mean(xs, ts_ns, half_life_ns=HALF_LIFE_NS, adjust=False),
        "mmquant_by_time_out": lambda: ewm_mean(
            xs, ts_ns, half_life_ns=HALF_LIFE_NS, adjust=False, out=out
        ),
        "pandas": lambda: series.ewm(halflife=half_life, times=stamps).mean(),
    }
    before = polars_seconds(xs, ts_ns, out, turns)
    best = least(turns, **functions)
    behind = polars_seconds(xs, ts_ns, out, turns)
    print(f"one half-life, {n} samples:")
    show(best, n, "copy")
    for ours in ("mmquant", "mmquant_by_time"):
        print(f"  {ours} / copy_allocated {best[ours] / best['copy_allocated']:.2f}")
    for ours in ("mmquant", "mmquant_out"):
        print(f"  pandas / {ours} {best['pandas'] / best[ours]:.1f}")
    if before is not None and behind is not None:
        for ours in ("mmquant_by_time", "mmquant_by_time_out"):
            print(f"  polars / {ours} {min(before, behind) / best[ours]:.1f}")
    for adjust in (True, False):
        truth = series.ewm(halflife=half_life, times=stamps, adjust=adjust).mean().to_numpy()
        ours = ewm_mean(xs, ts_ns, half_life_ns=HALF_LIFE_NS, adjust=adjust)
        print(f"  adjust={adjust}: relative difference {np.max(np.abs(ours / truth - 1.0)):.1e}")


def grid(n: int, turns: int) -> None:
    """Time 32 half-lives."""
    rng = np.random.default_rng(2)
    xs = rng.normal(size=n)
    ts_ns = np.cumsum(rng.exponential(1e9, n)).astype(np.int64)
    half_lives = np.geomspace(1e9, 1e12, GRID).astype(np.int64)
    out = aligned_empty(n, GRID, LANES_ALIGNMENT)  # as `ewm_grid` gives the kernel
    cores = numba.config.NUMBA_NUM_THREADS

    def scalar() -> None:
        for k in range(GRID):
            scalar_recursion(int(half_lives[k]), xs, ts_ns, out, k)

    def with_threads(threads: int, adjust: int) -> Callable[[], None]:
        def run() -> None:
            numba.set_num_threads(threads)
            ewma_grid(half_lives, adjust, xs, ts_ns, out)

        return run

    functions = {"scalar": scalar}
    for threads in sorted({1, cores}):
        functions[f"grid_{threads}_cores"] = with_threads(threads, 0)
        functions[f"grid_adjusted_{threads}_cores"] = with_threads(threads, 1)
    best = least(turns, **functions)
    print(f"{GRID} half-lives, {n} samples, a sample and half-life:")
    for name, seconds in best.items():
        each = seconds * 1e9 / n / GRID
        print(f"  {name:28} {each:8.2f} ns   scalar / it {best['scalar'] / seconds:6.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    one_series(arguments.samples, arguments.turns)
    grid(arguments.samples // 20, arguments.turns)


if __name__ == "__main__":
    main()
