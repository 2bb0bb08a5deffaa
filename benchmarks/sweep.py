"""A sweep on two cores against one, and what Dask costs, in one run.

    python -m benchmarks.sweep [--sets 256] [--seconds 60] [--task-s 1.0]

The same parameter sets on one process and on two, interleaved; then tasks of about a second each
on two workers of a Dask cluster against two processes of our own. Ratios of one run.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from mmquant import backtest, sweep
from mmquant.tape import Tape, read_tape
from mmquant.tape.synthetic import synthetic_tape

CORES = 2
TURNS = 3
LONGEST_S = 3_600.0


def sets_of(count: int) -> list[dict[str, Any]]:
    """Return so many sets of one kind: the same work each."""
    return sweep.random(count, 1, strategy__model_parameters__min_half_spread_ticks=(1.0, 8.0))


def timed(tape: Tape, sets: list[dict[str, Any]], **options: Any) -> float:
    """Return the seconds of a sweep."""
    started = time.perf_counter()
    sweep.run(tape, sets, **options)
    return time.perf_counter() - started


def show_cores(tape: Tape, count: int) -> None:
    """Print what a second core brings."""
    sets = sets_of(count)
    one, two = [], []
    for _ in range(TURNS):
        one.append(timed(tape, sets, processes=1))
        two.append(timed(tape, sets, processes=CORES))
    print(f"{count} sets on {tape.rows:,} rows, medians of {TURNS}")
    print(f"  1 process    {median(one):7.2f} s")
    print(f"  {CORES} processes  {median(two):7.2f} s")
    print(f"  ratio        {median(one) / median(two):7.2f}  (goal 1.8)")


def tape_for(task_s: float, folder: Path) -> Tape:
    """Return a tape whose backtest takes about `task_s`, saved and mapped."""
    probe = synthetic_tape(30.0)
    backtest.run(probe)
    started = time.perf_counter()
    backtest.run(probe)
    taken = time.perf_counter() - started
    path = folder / "task.tape"
    synthetic_tape(min(LONGEST_S, 30.0 * task_s / taken)).save(path)
    return read_tape(path)


def show_cluster(task_s: float) -> None:
    """Print what Dask costs beside processes of our own."""
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        print("Dask left out: pip install 'mmquant[cluster]'")
        return
    with tempfile.TemporaryDirectory() as folder:
        tape = tape_for(task_s, Path(folder))
        sets = sets_of(10 * CORES)
        here, there = [], []
        with (
            LocalCluster(
                n_workers=CORES, threads_per_worker=1, processes=True, dashboard_address=":0"
            ) as cluster,
            Client(cluster) as client,
        ):
            timed(tape, sets[:CORES], client=client)  # every worker has imported
            for _ in range(TURNS):
                here.append(timed(tape, sets, processes=CORES))
                there.append(timed(tape, sets, client=client))
    each = median(here) * CORES / len(sets)
    print(f"{len(sets)} tasks of {each:.2f} s ({tape.duration_s:.0f} s of market)")
    print(f"  {CORES} processes     {median(here):7.2f} s")
    print(f"  {CORES} Dask workers  {median(there):7.2f} s")
    print(f"  overhead        {100 * (median(there) / median(here) - 1):6.1f} %  (goal below 10)")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=60.0, help="of market a set")
    parser.add_argument("--task-s", type=float, default=1.0, help="of a task on the cluster")
    arguments = parser.parse_args()
    tape = synthetic_tape(arguments.seconds)
    backtest.run(tape)  # compiled from here on
    show_cores(tape, arguments.sets)
    show_cluster(arguments.task_s)


if __name__ == "__main__":
    main()
