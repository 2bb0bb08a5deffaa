"""`mm record`: the collector alone, in this process, with a media driver of its own."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

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
from mm_cli.processes import CannotContinue

__all__ = ["record_streams"]

_REPORT_S = 10.0


def record_streams(
    config_dir: Path,
    environment: Mapping[str, str],
    duration_s: float | None,
    say: Callable[[str], None],
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

    Raises
    ------
    ConfigError, CannotContinue
        The configuration is wrong, or does not fit the venue.
    """
    environ = {**os.environ, **environment}
    settings = load("runtime", RuntimeSettings, config_dir, environ)
    config = load("collector", CollectorSettings, config_dir, environ)
    raise_on_terminate()
    configure_logging("mm_collector", settings.logs, to_stdout=False)
    with contextlib.ExitStack() as stack:
        # Nobody listens, but the collector publishes all the same: to a driver nobody else has.
        directory = Path(tempfile.mkdtemp(prefix="aeron-mm-record-", dir="/dev/shm"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        aeron = msgspec.structs.replace(settings.aeron, directory=str(directory / "driver"))
        settings = msgspec.structs.replace(settings, aeron=aeron)
        driver = Driver(settings.aeron_directory(), AeronmdSettings())
        stack.callback(driver.close)
        collector = Collector(settings, config, SystemClock())
        say(f"recording {', '.join(config.symbols)} to {config.record.directory}; Ctrl-C ends it")
        try:
            run(collector, make_idle(settings.idle), _Deadline(collector, duration_s, say))
        except CannotStart as error:
            raise CannotContinue(str(error)) from None
        except KeyboardInterrupt:
            pass  # the agent has been closed, its files are complete
        say(_line(collector))


class _Deadline:
    """Whether to go on; says now and then how it goes."""

    def __init__(
        self, collector: Collector, duration_s: float | None, say: Callable[[str], None]
    ) -> None:
        self._collector = collector
        self._say = say
        self._started_s = 0.0
        self._duration_s = duration_s
        self._next_report_s = 0.0

    def __call__(self) -> bool:
        now_s = time.monotonic()
        if not self._started_s:  # the collector has started
            self._started_s, self._next_report_s = now_s, now_s + _REPORT_S
        if now_s >= self._next_report_s:
            self._next_report_s = now_s + _REPORT_S
            self._say(_line(self._collector))
        return self._duration_s is None or now_s - self._started_s < self._duration_s


def _line(collector: Collector) -> str:
    counters = collector.counters
    return (
        f"{counters['recorded']} lines, {counters['record_dropped']} dropped, "
        f"{counters['gaps']} gaps, {counters['connections']} connections, "
        f"{collector.state.name} {collector.reason.name}"
    )
