"""Runs the proofs on the demo system: `mm soak` and `mm chaos`."""

import signal
import time
from pathlib import Path
from typing import Any

from mm_runtime.logs import configure_logging
from rich.console import Console

from mm_cli.chaos import Chaos
from mm_cli.chaos_report import chaos_lines, chaos_report
from mm_cli.launcher import Launcher, Plan, raise_on_terminate
from mm_cli.outputs import json_text
from mm_cli.processes import CannotContinue
from mm_cli.soak import Soak, SoakPlan
from mm_cli.soak_report import progress_line, soak_lines, soak_report
from mm_cli.warm import ensure_warm

__all__ = ["run_chaos", "run_soak"]

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
_PROGRESS_INTERVAL_S = 60.0


def run_soak(plan: Plan, soak_plan: SoakPlan, json_file: Path | None) -> int:
    """Run a soak, tell the outcome, write it as JSON; return the exit code."""
    console = Console()
    raise_on_terminate()
    ensure_warm(print)
    with Launcher(plan) as launcher:
        configure_logging("mm_launcher", launcher.settings.logs, to_stdout=False)
        soak = Soak(launcher, soak_plan)
        next_line_s = time.monotonic() + _PROGRESS_INTERVAL_S
        try:
            while soak.turn():
                if time.monotonic() >= next_line_s:
                    next_line_s += _PROGRESS_INTERVAL_S
                    console.print(progress_line(soak), highlight=False, soft_wrap=True)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the report must be written
        except CannotContinue as error:
            soak.failure = str(error)
        soak.finish()
        report = soak_report(soak)  # before the stop, which is no part of the run
    return _tell(report, soak_lines(report), console, json_file)


def run_chaos(plan: Plan, duration_s: float, json_file: Path | None) -> int:
    """Run a storm of faults, tell the outcome, write it as JSON; return the exit code."""
    assert plan.venue is not None
    console = Console()
    raise_on_terminate()
    ensure_warm(print)
    with Launcher(plan) as launcher:
        configure_logging("mm_launcher", launcher.settings.logs, to_stdout=False)
        chaos = Chaos(launcher, duration_s, plan.venue.seed)
        try:
            chaos.run()
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the report must be written
        chaos.faults.read()
        report = chaos_report(chaos)
        chaos.close()
    return _tell(report, chaos_lines(report), console, json_file)


def _tell(
    report: dict[str, Any], lines: list[str], console: Console, json_file: Path | None
) -> int:
    for text in lines:
        console.print(text, highlight=False, soft_wrap=True, markup=False)
    if json_file is not None:
        json_file.write_text(json_text(report))
    if report["verdict"]["reasons"]:
        return EXIT_FAILED
    return 0 if report["complete"] else EXIT_INTERRUPTED
