"""How long `import mmquant` and the first call of its functions take, in fresh processes.

    python -m benchmarks.imports

Each is the best of several fresh processes, with byte code and compiled kernels cached, beside a
bare `import numba`. "First call" is importing the function's module and calling it once.
"""

import os
import subprocess
import sys

ROUNDS = 5
FIRST_CALLS = {
    "OrderBook.apply": "mmquant.OrderBook('1', '1').apply([(9, 1)], [(10, 1)], 1)",
    "OrderBook.replay": (
        "mmquant.OrderBook('1', '1').replay(dict(update_id=[1], side=[1], "
        "price_ticks=[9], qty_lots=[1]))"
    ),
    "OrderBook.to_frame": "mmquant.OrderBook('1', '1').to_frame()",
    "SyntheticMarket.run": "mmquant.SyntheticMarket(seed=1).run(until_ns=10**9)",
}


def seconds(before: str, timed: str) -> float:
    """Return the shortest time of `timed` after `before`, in fresh processes."""
    script = (
        f"import time\n{before}\nt = time.perf_counter()\n{timed}\nprint(time.perf_counter() - t)"
    )
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
        times.append(float(done.stdout))
    return min(times[1:])


def main() -> None:
    """Measure and print."""
    print(f"import numba:   {seconds('', 'import numba'):.3f} s")
    print(f"import mmquant: {seconds('', 'import mmquant'):.3f} s (to reach: 0.6)")
    for name, call in FIRST_CALLS.items():
        cold = seconds("import mmquant", call)
        warm = seconds("import mmquant, numba, numpy, pandas", call)
        print(f"first {name}: {cold:.3f} s; with numba and pandas imported {warm:.3f} s (0.3)")


if __name__ == "__main__":
    main()
