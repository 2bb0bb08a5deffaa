"""Brings the whole system up on one machine, watches it, and takes it down without a trace."""

import gc
import json
import logging
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mm_pricing.parameters import check_pricing
from mm_runtime.clock import SystemClock
from mm_runtime.config import load
from mm_runtime.driver import is_directory_in_use
from mm_runtime.settings import (
    AeronmdSettings,
    CollectorSettings,
    PricingSettings,
    RecorderSettings,
    RuntimeSettings,
    Settings,
    SimulatorSettings,
    StrategySettings,
)
from mm_runtime.transport import DriverLost, shared_memory_bytes

from mm_cli.monitor import Monitor
from mm_cli.processes import CannotContinue, Child, Processes
from mm_cli.restarts import Restarts
from mm_cli.runs import announce_run, forget_run
from mm_cli.venue_faults import ask_venue
from mm_cli.warm import warm_all
from mmquant.codes import Role

__all__ = ["SERVICES", "SYNTHETIC", "Launcher", "Plan", "VenuePlan", "raise_on_terminate"]

log = logging.getLogger("mm_launcher")

_SETTINGS: dict[str, type[Settings]] = {
    "aeronmd": AeronmdSettings,
    "collector": CollectorSettings,
    "pricing": PricingSettings,
    "strategy": StrategySettings,
    "simulator": SimulatorSettings,
}
SYNTHETIC = ("usdm", "BTCUSDT")  # market and symbol of the synthetic market
SERVICES = ("mm_collector", "mm_pricing", "mm_strategy", "mm_simulator")
RECORDER = "mm_recorder"
_START_TIMEOUT_S = 60.0  # a long recording is looked through first
_STOP_TIMEOUT_S = 1.5
_DRAIN_S = 1.0  # from the last frame taken to the last thing it leads to
_LOST_S = 20.0  # without a frame: those that are missing are lost
_STATUS_INTERVAL_S = 0.2
_STATUS_TIMEOUT_S = 0.5  # meanwhile nobody takes the services' messages


@dataclass(frozen=True)
class VenuePlan:
    """What the offline venue plays: captures, or else the synthetic market of this seed.

    Captures know their own market and symbols.
    """

    replay: tuple[Path, ...] = ()
    speed: str = "1"
    seed: int = 1
    market: str = SYNTHETIC[0]
    symbols: tuple[str, ...] = SYNTHETIC[1:]


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes
    ----------
    name
        Folder of the run's state below the configured state directory.
    fresh
        Forget what an earlier run left.
    venue
        The offline venue to start; None where the services go to Binance.
    environment
        Configuration overrides for the services.
    duration_s
        Ends by itself after this long; None: when stopped, or when the replay is played.
    record
        Folder to record the session to, for `mm verify-session`; None: it is not recorded.
    """

    name: str
    fresh: bool
    config_dir: Path
    venue: VenuePlan | None = None
    environment: dict[str, str] = field(default_factory=dict)
    duration_s: float | None = None
    record: Path | None = None


class Launcher:
    """Runs a plan. Use: `with Launcher(plan) as launcher: launcher.run(draw)`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        environ = {**os.environ, **plan.environment}
        self.settings = load("runtime", RuntimeSettings, plan.config_dir, environ)
        for name, settings in _SETTINGS.items():  # all of it is right, or nothing starts
            load(name, settings, plan.config_dir, environ)
        check_pricing(plan.config_dir, environ)
        if plan.record is not None:
            load("recorder", RecorderSettings, plan.config_dir, environ)
            _check_is_new(plan.record)
        self.directory = self.settings.aeron_directory()
        self.state_directory = Path(self.settings.state_directory) / plan.name
        self.monitor = Monitor(self.settings, SystemClock())
        self.processes = Processes(self.state_directory / "stderr")
        # mm_strategy takes an edited file while it runs, without a break in its quotes.
        checks: dict[str, Callable[[], object]] = {
            f"mm_{name}": partial(load, name, settings, plan.config_dir, environ)
            for name, settings in _SETTINGS.items()
            if name not in ("aeronmd", "strategy")
        }
        # Its table and its model, too: one that cannot start would take the others with it.
        checks["mm_pricing"] = partial(check_pricing, plan.config_dir, environ)
        self._restarts = Restarts(self.state_directory, checks)
        warm_all()  # so that its copies, the services, need not
        gc.freeze()
        self.started_s = time.monotonic()
        self.shm_bytes = 0
        self.venue_status: dict[str, Any] = {}
        self.ended_because = ""
        self._venue_port = 0
        self._next_status_s = 0.0
        self._quiet_since_s = 0.0
        self._quiet_count = -1

    def __enter__(self) -> "Launcher":
        """Start everything; on any failure stop what was started."""
        if is_directory_in_use(self.directory):
            raise CannotContinue(
                f"{self.directory} is in use: another mmquant runs there. Stop it, or set "
                "MM_RUNTIME__AERON__DIRECTORY to another folder of shared memory."
            )
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        self.stop()

    def run(self, draw: Callable[["Launcher"], None]) -> None:
        """Watch over the system and call `draw` often, until the end of the plan."""
        while not self.is_over():
            if self.watch() == 0:
                time.sleep(0.0005)
            draw(self)

    def watch(self) -> int:
        """Do one turn: dead children, messages, the venue's progress; return messages taken."""
        if "aeronmd" in self.processes.revive():
            self.monitor.close()
            # What it left looks alive for as long as its last heartbeat is young.
            shutil.rmtree(self.directory, ignore_errors=True)
        count = 0
        try:
            count = self.monitor.poll()
        except DriverLost:
            self.monitor.close()
        now_s = time.monotonic()
        if now_s >= self._next_status_s:
            self._next_status_s = now_s + _STATUS_INTERVAL_S
            self.shm_bytes = max(self.shm_bytes, shared_memory_bytes(self.directory))
            self._restart_on_request()
            if self.plan.venue is not None and self.plan.venue.replay:
                self._ask_venue()
        return count

    def is_over(self) -> bool:
        """Return whether the time is up or the replay has been played and digested."""
        now_s = time.monotonic()
        limit_s = self.plan.duration_s
        if limit_s is not None and now_s - self.started_s >= limit_s:
            self.ended_because = f"{limit_s:g} s are over"
        elif self.venue_status.get("finished"):
            # Snapshots and repeated quotes go on for ever; frames are what must be digested.
            frames = self.monitor.counters()["frames"]
            if frames != self._quiet_count:
                self._quiet_count, self._quiet_since_s = frames, now_s
            # A lost connection takes frames with it that nobody will ever count.
            all_taken = frames >= self.venue_status["heard"]
            if now_s - self._quiet_since_s > (_DRAIN_S if all_taken else _LOST_S):
                self.ended_because = "the capture has been played"
        return bool(self.ended_because)

    def stop(self) -> None:
        """Stop everything in the order in which it depends on each other."""
        names = self.processes.children
        self.processes.stop([n for n in SERVICES if n in names], _STOP_TIMEOUT_S)
        try:
            while self.monitor.poll():  # the services' last words
                continue
        except DriverLost:
            log.info("the driver is gone already")
        self.monitor.close()
        for name in (RECORDER, "mm_venue", "aeronmd"):  # the recorder hears the goodbyes
            self.processes.stop([name] if name in names else [], 1.0)
        shutil.rmtree(self.directory, ignore_errors=True)
        forget_run(self.settings)

    @property
    def venue_address(self) -> str:
        """host:port of the offline venue, also of the next one where it has to be restarted."""
        return f"127.0.0.1:{self._venue_port}"

    @property
    def restarts(self) -> dict[str, int]:
        """How often each child had to be started anew."""
        return {name: child.restarts for name, child in self.processes.children.items()}

    # inner works

    def _start(self) -> None:
        # Everything at once, as copies of this process: each waits for what it needs.
        shutil.rmtree(self.directory, ignore_errors=True)  # a killed driver's looks alive a while
        if self.plan.fresh:
            shutil.rmtree(self.state_directory, ignore_errors=True)
        (self.state_directory / "stderr").mkdir(parents=True, exist_ok=True)
        announce_run(self.settings, self.state_directory)
        environment = {
            **self.plan.environment,
            "MM_RUNTIME__STATE_DIRECTORY": str(self.state_directory),
        }
        config = ("--config-dir", str(self.plan.config_dir), "--quiet")
        aeronmd = self.processes.add("aeronmd", ("aeronmd", *config), environment)
        self.processes.fork(aeronmd)
        if self.plan.venue is not None:
            environment |= self._start_venue(self.plan.venue)
        recorders: tuple[str, ...] = ()
        if self.plan.record is not None:
            environment["MM_RUNTIME__SESSION__DIRECTORY"] = str(self.plan.record.resolve())
            recorders = (RECORDER,)
        names = (*recorders, *SERVICES)
        children = {n: self.processes.add(n, (n, *config), environment) for n in names}
        # A capture is played as soon as the collector listens: nobody else may be late then.
        is_replay = self.plan.venue is not None and bool(self.plan.venue.replay)
        first = children.pop(SERVICES[0]) if is_replay else None
        for child in children.values():
            self.processes.fork(child)
        if first is not None:
            self._await_beats(list(children))
            self.processes.start(first)

    def _await_beats(self, names: list[str]) -> None:
        """Listen until each of these services has been heard."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while missing := [n for n in names if Role[n.upper()] not in self.monitor.beats]:
            if self.watch() == 0:
                time.sleep(0.0005)
            if time.monotonic() > deadline:
                raise CannotContinue(
                    f"not heard of within {_START_TIMEOUT_S:g} s: {', '.join(missing)}"
                )

    def _restart_on_request(self) -> None:
        for name in self._restarts.due():
            log.info("%s is started anew, as asked", name)
            self.processes.stop([name], _STOP_TIMEOUT_S)
            self.processes.start(self.processes.children[name])
            self._restarts.answer(name, True, "started anew")

    def _start_venue(self, plan: VenuePlan) -> dict[str, str]:
        """Start the offline venue; return what makes the collector go there."""
        self._venue_port = _free_port()  # the same one again if it has to be restarted
        market, symbols = plan.market, plan.symbols
        command = ["mm_venue", "--config-dir", str(self.plan.config_dir)]
        command += ["--port", str(self._venue_port), "--seed", str(plan.seed)]
        if plan.replay:
            command += ["--speed", plan.speed, "--replay", *map(str, plan.replay)]
        else:
            command += ["--market", market, "--symbols", ",".join(symbols)]
        venue = self.processes.add("mm_venue", command, {})
        self.processes.fork(venue)
        if plan.replay:
            market, symbols = self._await_venue(venue)
        address = self.venue_address
        return {
            "MM_COLLECTOR__MARKET": market,
            "MM_COLLECTOR__SYMBOLS": json.dumps(symbols),
            "MM_COLLECTOR__ENDPOINTS__REST_URL": f"http://{address}",
            "MM_COLLECTOR__ENDPOINTS__WS_URL": f"ws://{address}",
        }

    def _await_venue(self, venue: Child) -> tuple[str, tuple[str, ...]]:
        """Return market and symbols of the captures, once the venue has looked through them."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._ask_venue():
            if not venue.is_running:
                raise CannotContinue(venue.last_words() or "mm_venue ended at its start")
            if time.monotonic() > deadline:
                raise CannotContinue(f"mm_venue has not started within {_START_TIMEOUT_S:g} s")
            time.sleep(0.02)
        return str(self.venue_status["market"]), tuple(self.venue_status["symbols"])

    def _ask_venue(self) -> bool:
        status = ask_venue(self.venue_address, "GET", "/debug/status", timeout_s=_STATUS_TIMEOUT_S)
        if status is not None:
            self.venue_status = status
        return status is not None


def _check_is_new(folder: Path) -> None:
    if any(folder.glob("*.mms")):
        raise CannotContinue(f"{folder} holds a recorded session already: give another folder")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def raise_on_terminate() -> None:
    """Let SIGTERM end the launcher the way Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
