"""How long imports and first calls of public functions take, in fresh processes.

    python -m benchmarks.imports

Each process imports a name (`from mmquant import ewm_mean`, which brings numba), makes its input,
and calls it once: import and call are timed apart, each the least of several processes, with byte
code and compiled kernels cached. What answers with a DataFrame is called with pandas imported.
"""

import json
import os
import subprocess
import sys

ROUNDS = 5
MOST_IMPORT_S, MOST_CALL_S = 0.6, 0.3
INPUT = """
import numpy as np
n = 2000
rng = np.random.default_rng(1)
ts = np.cumsum(rng.integers(1, 10**9, n))
xs = 100.0 + np.cumsum(rng.normal(size=n)) * 0.01
bids = 10_000 + np.cumsum(rng.integers(-1, 2, n))
asks = bids + 1 + rng.integers(0, 2, n)
lots = rng.integers(1, 100, n)
sides = rng.choice([-1, 1], n)
S = 10**9
"""
TICKS = "half_life_ns=60 * S"
CALLS = {  # name to import: what is called of it
    "OrderBook": "OrderBook('1', '1').apply([(9, 1)], [(10, 1)], 1)",
    "ewm_mean": f"ewm_mean(xs, ts, {TICKS})",
    "ewm_covariance": f"ewm_covariance(xs, xs, ts, {TICKS})",
    "ewm_grid": "ewm_grid(xs, ts, half_lives_ns=[S, 2 * S])",
    "Volatility": "Volatility(60 * S, 60 * S).path(xs * 10, ts)",
    "realised_variance": "realised_variance(xs, ts)",
    "two_scale_variance": "two_scale_variance(xs, ts, scale=5)",
    "time_bars": "time_bars(xs, lots, ts, interval_ns=10 * S)",
    "microprice": "microprice(bids, lots, asks, lots)",
    "vamp": "vamp(bids, lots, asks, lots)",
    "order_flow_imbalance": "order_flow_imbalance(bids, lots, asks, lots)",
    "trade_flow_imbalance": f"trade_flow_imbalance(lots, sides, ts, {TICKS})",
    "fit_microprice": "fit_microprice(bids, lots, asks, rng.permutation(lots), buckets=2)",
    "fit_arrivals": "fit_arrivals(rng.exponential(2.0, n), 60.0)",
    "markout_curve": "markout_curve(xs, sides, xs, ts, ts, horizons_ns=[S])",
    "regress_drift": "regress_drift(xs, xs, ts, horizon_ns=S)",
    "glft": (
        "glft(100.0, 1.0, volatility_ticks_per_sqrt_s=1.0, arrival_rate_per_s=1.0, "
        "arrival_decay_per_tick=0.5, risk_aversion_per_tick=0.01)"
    ),
    "SyntheticMarket": "SyntheticMarket(seed=1).run(until_ns=S)",
}
FRAMES = {"OrderBook": "OrderBook('1', '1').to_frame()"}
SCRIPT = """
import json, time
{before}
started = time.perf_counter()
{imported}
import_s = time.perf_counter() - started
{given}
started = time.perf_counter()
{call}
print(json.dumps([import_s, time.perf_counter() - started]))
"""


def least_seconds(imported: str, given: str = "", call: str = "", before: str = "") -> list[float]:
    """Return the least seconds of the import and of the call, each of its own fresh processes."""
    script = SCRIPT.format(before=before, imported=imported, given=given, call=call)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    times = []
    for _ in range(ROUNDS + 1):  # the first fills the caches
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        times.append(json.loads(done.stdout))
    return [min(each) for each in zip(*times[1:], strict=True)]


def main() -> None:
    """Measure and print."""
    print(f"import numba    {least_seconds('import numba')[0]:.3f} s")
    print(f"import mmquant  {least_seconds('import mmquant')[0]:.3f} s")
    print(f"{'name':22} from mmquant import it ({MOST_IMPORT_S})  first call ({MOST_CALL_S})")
    for before, calls in (("", CALLS), ("import pandas", FRAMES)):
        for name, call in calls.items():
            import_s, call_s = least_seconds(f"from mmquant import {name}", INPUT, call, before)
            print(f"{name:22} {import_s:.3f} s  {call_s:.3f} s  {call}")


if __name__ == "__main__":
    main()
