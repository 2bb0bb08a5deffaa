"""A recording into a tape, against hftbacktest's converter, in one run.

    python -m benchmarks.tape [CAPTURE.gz]    (USD-M, combined stream, gzip: what that one reads)

Without a capture there is nothing to measure. Both read the same file, one after the other,
several times; hftbacktest runs in an environment of its own. Rows are what each makes of the file:
it leaves out bookTicker, we do not. The ratio of rows a second counts only the rows both make.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks import peers
from mmquant.codes import TapeKind
from mmquant.tape import read_tape

REPEATS = 5
SCRIPT = """
import contextlib, io, json, sys, time
from hftbacktest.data.utils import binancefutures
with contextlib.redirect_stdout(io.StringIO()):
    binancefutures.convert(sys.argv[1], buffer_size=10_000_000)
    start = time.perf_counter()
    rows = binancefutures.convert(sys.argv[1], buffer_size=10_000_000)
    seconds = time.perf_counter() - start
print(json.dumps([seconds, len(rows)]))
"""


def show(capture: Path) -> None:
    """Measure and print."""
    read_tape(capture, progress=False)  # compiled from here on
    python = peers.venv("hftbacktest", ["hftbacktest"])
    own: list[float] = []
    other: list[float] = []
    peer_rows = 0
    for _ in range(REPEATS):
        start = time.perf_counter()
        tape = read_tape(capture, progress=False)
        own.append(time.perf_counter() - start)
        if python is not None:
            seconds, peer_rows = peers.run(python, SCRIPT, str(capture))
            other.append(seconds)
    events = tape.events
    common = events["kind"] != TapeKind.BBO
    rows = int((events["n_bids"].astype(np.int64) + events["n_asks"])[common].sum())
    best = statistics.median(own)
    print(f"mmquant:     {best:.3f} s, {tape.rows / best:,.0f} rows/s ({tape.rows:,} rows)")
    print(f"             {rows / best:,.0f} rows/s without the best bid and offer ({rows:,} rows)")
    print(f"             {tape.nbytes / tape.rows:.1f} B a row in memory, hftbacktest 64")
    if other:
        theirs = statistics.median(other)
        print(f"hftbacktest: {theirs:.3f} s, {peer_rows / theirs:,.0f} rows/s ({peer_rows:,} rows)")
        ratio = rows / best / (peer_rows / theirs)
        print(f"ratio: {theirs / best:.1f} of time, {ratio:.1f} of rows/s")


def main() -> None:
    """Parse the arguments and measure."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("capture", nargs="?", type=Path, help="a gzip recording of USD-M")
    capture = arguments.parse_args().capture
    if capture is None:
        print("no capture given: the reading of a recording is left out")
    else:
        show(capture)


if __name__ == "__main__":
    main()
