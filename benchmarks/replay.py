"""How many frames a second the whole pipeline trades, and how long a quote takes.

    python -m benchmarks.replay CAPTURE...

plays a recorded capture at the highest speed, then one minute of the synthetic market in real
time, and prints throughput, losses, and the latency of each hop.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MM = (sys.executable, "-m", "mm_cli.main")


def run(*arguments: str) -> dict[str, Any]:
    """Run `mm` and return its summary."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "summary.json"
        subprocess.run([*MM, *arguments, "--json", str(out)], check=True, stdout=subprocess.DEVNULL)
        summary: dict[str, Any] = json.loads(out.read_text())
    return summary


def show_latency(summary: dict[str, Any]) -> None:
    """Print each hop's percentiles."""
    for hop, row in summary["latency_us"].items():
        print(f"  {hop:24} p50 {row['p50']:8.0f} us   p99 {row['p99']:8.0f} us")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("captures", nargs="*", help="a recording, in order")
    parser.add_argument("--seconds", type=int, default=60, help="of the synthetic market")
    arguments = parser.parse_args()
    if arguments.captures:
        summary = run("run", "--speed", "max", "--replay", *arguments.captures)
        seconds = summary["trading_s"]
        messages = sum(summary["streams"].values())
        print(f"replay at max: {summary['frames']} frames in {seconds:.1f} s")
        print(f"  frames in {summary['frames'] / seconds:,.0f}/s")
        print(f"  messages on all streams {messages / seconds:,.0f}/s")
        print(f"  lost {summary['lost'] or 'nothing'}, gaps {summary['gaps']}")
        print(f"  book against best bid and offer: {summary['book_checks']}")
    else:
        print("no capture given: the replay is left out")
    print(f"synthetic market in real time, {arguments.seconds} s:")
    show_latency(run("demo", "--duration", str(arguments.seconds)))


if __name__ == "__main__":
    main()
