"""Runs one service as a process: arguments, configuration, logs, signals, exit codes."""

import argparse
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mm_runtime.agent import CannotStart, run
from mm_runtime.clock import Clock, SystemClock
from mm_runtime.config import ConfigError, load
from mm_runtime.logs import configure_logging
from mm_runtime.metrics_server import serve_in_background
from mm_runtime.process import die_with_launcher, sleep_precisely
from mm_runtime.service import Service
from mm_runtime.settings import RuntimeSettings
from mm_runtime.transport import DriverLost, make_idle
from mmquant.codes import Role

__all__ = ["EXIT_CANNOT_START", "EXIT_DRIVER_LOST", "main"]

EXIT_CANNOT_START = 2  # starting anew is no help
EXIT_DRIVER_LOST = 75  # "temporary failure": the supervisor starts the service anew
_DRIVER_WAIT_S = 10.0


def main(role: Role, build: Callable[[Path, RuntimeSettings, Clock], Service]) -> None:
    """Run the service that `build` makes from the configuration folder until told to stop.

    Exits with 0 after SIGTERM or SIGINT, 2 where the configuration is wrong or it cannot start,
    75 where the media driver is lost, 1 on a fault.
    """
    name = role.name.lower()
    parser = argparse.ArgumentParser(prog=name, description=f"the service {name} of mmquant")
    parser.add_argument("--config-dir", type=Path, default=Path("config"), help="folder of .toml")
    parser.add_argument("--quiet", action="store_true", help="log to files only")
    arguments = parser.parse_args()
    try:
        settings = load("runtime", RuntimeSettings, arguments.config_dir)
        configure_logging(name, settings.logs, to_stdout=not arguments.quiet)
        service = build(arguments.config_dir, settings, SystemClock())
    except ConfigError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(EXIT_CANNOT_START)
    sys.exit(_run(name, service, settings))


def _run(name: str, service: Service, settings: RuntimeSettings) -> int:
    log = logging.getLogger(name)
    stopping = _on_stop_signals()
    die_with_launcher()
    sleep_precisely()
    serve_in_background(service)
    log.info("starting, pid %d", os.getpid())
    gc.freeze()  # what start-up made stays: do not scan it again and again
    try:
        run(_Started(service, stopping), make_idle(settings.idle), lambda: not stopping)
    except (CannotStart, ConfigError) as error:
        log.error("cannot start: %s", error)
        print(f"{name}: {error}", file=sys.stderr)
        return EXIT_CANNOT_START
    except DriverLost as error:
        log.error("media driver lost: %s", error)
        return EXIT_DRIVER_LOST
    except Exception:
        log.exception("fault")
        return 1
    log.info("stopped")
    return 0


class _Started:
    """The service, waiting at its start for a media driver that is itself just starting."""

    def __init__(self, service: Service, stopping: list[int]) -> None:
        self._service = service
        self._stopping = stopping
        self.do_work = service.do_work
        self.on_close = service.on_close

    def on_start(self) -> None:
        deadline = time.monotonic() + _DRIVER_WAIT_S
        while True:
            try:
                return self._service.on_start()
            except DriverLost:
                if self._stopping or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


def _on_stop_signals() -> list[int]:
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, _frame: received.append(signum))
    return received
