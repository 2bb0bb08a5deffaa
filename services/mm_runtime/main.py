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
from mm_runtime.metrics_server import MetricsEndpoint
from mm_runtime.process import die_with_launcher, share_one_heap, sleep_precisely
from mm_runtime.service import Service
from mm_runtime.settings import RuntimeSettings
from mm_runtime.transport import DriverLost, is_driver_alive, make_idle
from mmquant.codes import Role

__all__ = ["EXIT_CANNOT_START", "main"]

EXIT_CANNOT_START = 2  # starting anew is no help
_DRIVER_POLL_S = 0.02
_STILL_WAITING_S = 10.0


def main(role: Role, build: Callable[[Path, RuntimeSettings, Clock], Service]) -> None:
    """Run the service that `build` makes from the configuration folder until told to stop.

    Where the media driver is lost the service is built anew in this process and waits for
    the next driver: start and recovery are one path.

    Exits with 0 after SIGTERM or SIGINT, 2 where the configuration is wrong or it cannot start,
    1 on a fault.
    """
    name = role.name.lower()
    parser = argparse.ArgumentParser(prog=name, description=f"the service {name} of mmquant")
    parser.add_argument("--config-dir", type=Path, default=Path("config"), help="folder of .toml")
    parser.add_argument("--quiet", action="store_true", help="log to files only")
    arguments = parser.parse_args()
    try:
        settings = load("runtime", RuntimeSettings, arguments.config_dir)
        configure_logging(name, settings.logs, to_stdout=not arguments.quiet)
        sys.exit(_run(role, lambda: build(arguments.config_dir, settings, SystemClock()), settings))
    except (CannotStart, ConfigError) as error:
        logging.getLogger(name).error("cannot start: %s", error)
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(EXIT_CANNOT_START)


def _run(role: Role, build: Callable[[], Service], settings: RuntimeSettings) -> int:
    log = logging.getLogger(role.name.lower())
    stopping = _on_stop_signals()
    die_with_launcher()
    sleep_precisely()
    share_one_heap()
    endpoint = MetricsEndpoint(settings.metrics)
    log.info("starting, pid %d", os.getpid())
    while not stopping:
        if role is not Role.AERONMD:  # which brings its own driver
            _await_driver(settings, stopping, log)
        service = build()
        endpoint.show(service)
        gc.collect()
        gc.freeze()  # what start-up made stays: do not scan it again and again
        try:
            run(service, make_idle(settings.idle), lambda: not stopping)
        except DriverLost as error:
            log.warning("media driver lost: %s", error)
            time.sleep(_DRIVER_POLL_S)
        except (CannotStart, ConfigError):
            raise
        except Exception:
            log.exception("fault")
            return 1
    log.info("stopped")
    return 0


def _await_driver(settings: RuntimeSettings, stopping: list[int], log: logging.Logger) -> None:
    directory, timeout_ms = settings.aeron_directory(), settings.aeron.driver_timeout_ms
    say_at = time.monotonic() + _STILL_WAITING_S
    while not (stopping or is_driver_alive(directory, timeout_ms)):
        if time.monotonic() > say_at:
            say_at += _STILL_WAITING_S
            log.warning("waiting for a media driver in %s", directory)
        time.sleep(_DRIVER_POLL_S)


def _on_stop_signals() -> list[int]:
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, _frame: received.append(signum))
    return received
