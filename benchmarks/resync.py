"""How long a book is away: from a gap to LIVE again, on the offline venue over real sockets.

    python -m benchmarks.resync [--gaps 20] [--delay-ms 30]

The venue drops one depth event at a time and answers REST late by the delay. Printed: the time
from the gap's detection to LIVE, in milliseconds, the round trip of the snapshot request, and the
share of what is allowed: two round trips and 100 ms. The last line is the verdict, as is the
exit code: 1 where a gap took longer.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mm_collector.service import Collector
from mm_runtime.clock import SystemClock
from mm_runtime.driver import Driver
from mm_runtime.settings import (
    AeronmdSettings,
    AeronSettings,
    CollectorSettings,
    EndpointSettings,
    RuntimeSettings,
)

from mmquant.codes import BookState, Reason

ROOT = Path(__file__).parents[1]
SYMBOL = "BTCUSDT"
ALLOWED_MS = 100.0
PATIENCE_S = 30.0


class Watched(Collector):
    """A collector that notes when its book left LIVE, and when it was LIVE again."""

    left_s = 0.0
    live_s = 0.0

    def publish_book_state(
        self, instrument_id: int, epoch: int, state: BookState, reason: Reason, text: str
    ) -> None:
        """Note the time, and publish."""
        if state is BookState.GAP:
            self.left_s = time.perf_counter()
        elif state is BookState.LIVE:
            self.live_s = time.perf_counter()
        super().publish_book_state(instrument_id, epoch, state, reason, text)

    def work(self, done: Callable[[], bool]) -> None:
        """Turn until it is done."""
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            if time.monotonic() > deadline:
                raise SystemExit(f"not within {PATIENCE_S:g} s: {self.reason.name} {self.text}")
            if not self.do_work():
                time.sleep(0.0005)


def arm(address: str, **fault: Any) -> None:
    """Let the venue do something wrong."""
    body = json.dumps({"symbol": SYMBOL, **fault}).encode()
    request = urllib.request.Request(f"http://{address}/debug/faults", body, method="POST")
    urllib.request.urlopen(request, timeout=10).close()


def measure(collector: Watched, address: str, gaps: int, delay_ms: int) -> list[tuple[float, ...]]:
    """Return (away, round trip) in milliseconds of each gap."""
    collector.work(lambda: collector.live_s > 0)
    rows = []
    for _ in range(gaps):
        until = time.monotonic() + 0.6  # a book that fails again at once waits before it asks
        collector.work(lambda until=until: time.monotonic() > until)  # type: ignore[misc]
        began = time.perf_counter()
        arm(address, kind="slow_rest", count=1, duration_ms=delay_ms)
        arm(address, kind="drop", count=1, stream="depth")
        collector.work(lambda began=began: collector.live_s > collector.left_s > began)  # type: ignore[misc]
        away_ms = 1e3 * (collector.live_s - collector.left_s)
        rows.append((away_ms, collector.counters["snapshot_us"] / 1e3))
    return rows


def main() -> None:
    """Run the venue, the driver and a collector; print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gaps", type=int, default=20)
    parser.add_argument("--delay-ms", type=int, default=30)
    options = parser.parse_args()
    with ExitStack() as stack:
        command = [sys.executable, "-m", "mm_venue", "--port", "0"]
        venue = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        )
        stack.callback(venue.terminate)
        assert venue.stdout is not None
        address = venue.stdout.readline().split()[-1]
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm"))
        runtime = RuntimeSettings(aeron=AeronSettings(directory=f"{folder}/driver"))
        stack.callback(Driver(runtime.aeron_directory(), AeronmdSettings()).close)
        endpoints = EndpointSettings(rest_url=f"http://{address}", ws_url=f"ws://{address}")
        config = CollectorSettings(symbols=(SYMBOL,), endpoints=endpoints)
        collector = Watched(runtime, config, SystemClock(), seed=1)
        collector.log.disabled = True
        stack.callback(collector.on_close)
        collector.on_start()
        rows = measure(collector, address, options.gaps, options.delay_ms)
    away_ms, round_trip_ms = zip(*rows, strict=True)
    shares = [away / (2 * trip + ALLOWED_MS) for away, trip in rows]
    for name, values, unit in (
        ("gap to LIVE", away_ms, "ms"),
        ("round trip", round_trip_ms, "ms"),
        ("of the allowed", shares, ""),
    ):
        middle = statistics.median(values)
        print(f"{name:15} median {middle:7.2f} {unit:2}  most {max(values):7.2f} {unit}")
    late = sum(share > 1 for share in shares)
    print(f"{'FAIL' if late else 'PASS'}: {len(shares) - late} of {len(shares)} gaps in time")
    sys.exit(bool(late))


if __name__ == "__main__":
    main()
