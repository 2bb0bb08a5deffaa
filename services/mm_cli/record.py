"""`mm record`: the collector alone, in this process, with a media driver of its own."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from mm_collector.service import Collector
from mm_runtime.agent import CannotStart, run
from mm_runtime.clock import SystemClock
from mm_runtime.config import load
from mm_runtime.driver import Driver
from mm_runtime.logs import configure_logging
from mm_runtime.settings import AeronmdSettings, CollectorSettings, RuntimeSettings
from mm_runtime.transport import make_idle

from mm_cli.launcher import raise_on_terminate
from mm_cli.outputs import json_text
from mm_cli.processes import CannotContinue

__all__ = ["record_streams"]

_REPORT_S = 10.0


def record_streams(
    config_dir: Path,
    environment: Mapping[str, str],
    duration_s: float | None,
    say: Callable[[str], None],
    json_file: Path | None = None,
) -> None:
    """Record until interrupted, or for `duration_s`.

    Parameters
    ----------
    config_dir
        Folder of the .toml files.
    environment
        Configuration overrides.
    duration_s
        None for no end.
    say
        Told where the files are, and every ten seconds how it goes.
    json_file
        Where to write what was recorded.

    Raises
    ------
    ConfigError, CannotContinue
        The configuration is wrong or does not fit the venue, or nothing came: the reason.
    """
    environ = {**os.environ, **environment}
    settings = load("runtime", RuntimeSettings, config_dir, environ)
    config = load("collector", CollectorSettings, config_dir, environ)
    directory = Path(config.record.directory)
    before = _names_in(directory)
    raise_on_terminate()
    configure_logging("mm_collector", settings.logs, to_stdout=False)
    with contextlib.ExitStack() as stack:
        # Nobody listens, but the collector publishes all the same: to a driver nobody else has.
        scratch = Path(tempfile.mkdtemp(prefix="aeron-mm-record-", dir="/dev/shm"))
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        aeron = msgspec.structs.replace(settings.aeron, directory=str(scratch / "driver"))
        settings = msgspec.structs.replace(settings, aeron=aeron)
        driver = Driver(settings.aeron_directory(), AeronmdSettings())
        stack.callback(driver.close)
        collector = Collector(settings, config, SystemClock())
        say(f"recording {', '.join(config.symbols)} to {directory}; Ctrl-C ends it")
        deadline = _Deadline(collector, duration_s, say)
        try:
            run(collector, make_idle(settings.idle), deadline)
        except CannotStart as error:
            raise CannotContinue(str(error)) from None
        except KeyboardInterrupt:
            pass  # the agent has been closed, its files are complete
        say(deadline.line())
    told = deadline.summary()
    told |= {"market": config.market, "symbols": list(config.symbols)}
    told |= {"directory": str(directory), "files": sorted(_names_in(directory) - before)}
    if json_file is not None:
        json_file.write_text(json_text(told))
    if not told["lines"]:
        raise CannotContinue(
            f"nothing was recorded in {told['seconds']:.0f} s: {told['reason']} {told['text']}: is "
            "the venue reached from here, at [endpoints] of collector.toml? The log is in "
            f"{settings.logs.directory}"
        )


def _names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.glob("*.gz")}


class _Deadline:
    """Whether to go on; says now and then how it goes, and at the end how it went."""

    def __init__(
        self, collector: Collector, duration_s: float | None, say: Callable[[str], None]
    ) -> None:
        self._collector = collector
        self._say = say
        self._started_s = 0.0
        self._duration_s = duration_s
        self._next_report_s = 0.0
        # What the collector was before it was closed: then it is STOPPED, whatever ailed it.
        self._was = (collector.state, collector.reason, collector.text)

    def __call__(self) -> bool:
        now_s = time.monotonic()
        collector = self._collector
        self._was = (collector.state, collector.reason, collector.text)
        if not self._started_s:  # the collector has started
            self._started_s, self._next_report_s = now_s, now_s + _REPORT_S
        if now_s >= self._next_report_s:
            self._next_report_s = now_s + _REPORT_S
            self._say(self.line())
        return self._duration_s is None or now_s - self._started_s < self._duration_s

    def line(self) -> str:
        """Return in words how it goes."""
        told = self.summary()
        return (
            f"{told['lines']} lines, {told['dropped']} dropped, {told['gaps']} gaps, "
            f"{told['connections']} connections, {told['state']} {told['reason']}"
        )

    def summary(self) -> dict[str, Any]:
        """Return how it goes, for JSON."""
        counters = self._collector.counters
        state, reason, text = self._was
        return {
            "seconds": time.monotonic() - self._started_s if self._started_s else 0.0,
            "lines": counters["recorded"],
            "dropped": counters["record_dropped"],
            "gaps": counters["gaps"],
            "connections": counters["connections"],
            "state": state.name,
            "reason": reason.name,
            "text": text.partition("; next try in ")[0],
        }
