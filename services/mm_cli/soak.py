"""A long run under faults and kills, watched for what must not happen: growth, loss, surprises."""

import random
import time
from collections import Counter
from dataclasses import dataclass, field

from mm_cli.footprint import Footprint
from mm_cli.launcher import SERVICES, SYNTHETIC, Launcher
from mm_cli.venue_faults import VenueFaults
from mmquant.codes import Market

__all__ = ["LONGEST_WITHOUT_QUOTES_AT_END_S", "Kill", "Quiet", "Soak", "SoakPlan"]

LONGEST_WITHOUT_QUOTES_AT_END_S = 5.0
_SAMPLE_INTERVAL_S = 5.0
_READ_INTERVAL_S = 10.0
_PAUSE_S = 0.005  # between two looks at the streams: they hold many seconds of messages
_FAULTS_PER_KILL = 30
_CALM_SHARE = 0.2  # of the run, at the end and at most _CALM_S: time to heal
_CALM_S = 30.0
_LONGEST_RECOVERY_S = 30.0  # more at the end, where it does not quote yet
_TARGETS = ("aeronmd", "mm_venue", *SERVICES)


@dataclass(frozen=True)
class SoakPlan:
    """What a soak does.

    Attributes
    ----------
    duration_s
        How long it runs; longer by what a system that does not quote then needs to quote again,
        at most 30 s.
    seed
        Of the faults and kills.
    fault_interval_s
        Mean time between two faults of the venue. A process is killed every 30 times that, in
        the first half of the run only: memory is judged on lives that are long enough.
    """

    duration_s: float
    seed: int
    fault_interval_s: float

    @property
    def kill_interval_s(self) -> float:
        """Time between two kills."""
        return _FAULTS_PER_KILL * self.fault_interval_s

    @property
    def calm_s(self) -> float:
        """How long before the end no more faults come."""
        return min(_CALM_S, _CALM_SHARE * self.duration_s)


@dataclass(frozen=True)
class Kill:
    """One injected restart."""

    at_s: float
    service: str


@dataclass(frozen=True)
class Quiet:
    """A time without quotes, and the last thing that had been done to the system before."""

    seconds: float = 0.0
    at_s: float = 0.0
    after: str = ""


@dataclass
class Soak:
    """Drives a started launcher through a soak and keeps what it saw.

    Attributes
    ----------
    footprints
        Memory and handles by process.
    kills
        Injected restarts, in order.
    longest_quiet
        The longest time between two messages with quotes.
    complete
        Whether it ran to its end.
    failure
        Why it could not, "" where it was merely interrupted.
    """

    launcher: Launcher
    plan: SoakPlan
    footprints: dict[str, Footprint] = field(default_factory=dict)
    kills: list[Kill] = field(default_factory=list)
    longest_quiet: Quiet = field(default_factory=Quiet)
    complete: bool = False
    failure: str = ""
    ran_s: float = 0.0

    def __post_init__(self) -> None:
        market, symbol = SYNTHETIC
        self.faults = VenueFaults(
            self.launcher.venue_address,
            self.plan.seed,
            1.0 / self.plan.fault_interval_s,
            Market[market.upper()],
            (symbol,),
        )
        self._rng = random.Random(self.plan.seed)
        self._to_kill: list[str] = []
        self._started_s = time.monotonic()
        self._next_sample_s = 0.0
        self._next_read_s = 0.0
        self._next_kill_s = self.plan.kill_interval_s
        self._calm = False
        self._quoted_ns = 0
        self._done_to_it = ""

    def turn(self) -> bool:
        """Do what is due; return False once the time is over."""
        if self.launcher.watch() == 0:
            time.sleep(_PAUSE_S)
        self.ran_s = time.monotonic() - self._started_s
        self._watch_quotes()
        self._disturb()
        if self.ran_s >= self._next_sample_s:
            self._next_sample_s = self.ran_s + _SAMPLE_INTERVAL_S
            self._sample()
        if self.ran_s >= self._next_read_s:
            self._next_read_s = self.ran_s + _READ_INTERVAL_S
            self.faults.read()
        self.complete = self.ran_s >= self.plan.duration_s + (
            0.0 if self._is_quoting else _LONGEST_RECOVERY_S
        )
        return not self.complete

    def finish(self) -> None:
        """Take the last readings, while everything still runs."""
        self.faults.read()
        self._sample()

    @property
    def seconds_since_quotes(self) -> float:
        """Age of the newest message with quotes; the whole run's length where there was none."""
        if not self._quoted_ns:
            return self.ran_s
        return max(0.0, (time.time_ns() - self._quoted_ns) / 1e9)

    @property
    def restarts(self) -> dict[str, dict[str, int]]:
        """Restarts of each process, injected and not."""
        injected = Counter(kill.service for kill in self.kills)
        return {
            # A kill counts at once, the restart when the launcher has noticed.
            name: {"injected": injected[name], "not_injected": max(0, count - injected[name])}
            for name, count in self.launcher.restarts.items()
        }

    # inner works

    @property
    def _is_quoting(self) -> bool:
        return self.seconds_since_quotes <= LONGEST_WITHOUT_QUOTES_AT_END_S

    def _disturb(self) -> None:
        if self.ran_s >= self.plan.duration_s - self.plan.calm_s:
            self._calm = self._calm or self.faults.clear()
            return
        self.faults.arm_due(int(self.ran_s * 1e9))
        if self.faults.last_kind:
            self._done_to_it, self.faults.last_kind = self.faults.last_kind, ""
        if self.ran_s >= self._next_kill_s and self._next_kill_s <= self.plan.duration_s / 2:
            self._next_kill_s += self.plan.kill_interval_s
            self._kill()

    def _kill(self) -> None:
        if not self._to_kill:  # everybody's turn comes once before anybody's second
            self._to_kill = self._rng.sample(_TARGETS, len(_TARGETS))
        name = self._to_kill.pop()
        child = self.launcher.processes.children[name]
        if not child.is_running or child.process is None:
            return
        self._sample()
        if name == "mm_venue":
            self.faults.read()
            self.faults.venue_ended()
        child.process.kill()
        self.kills.append(Kill(round(self.ran_s, 1), name))
        self._done_to_it = f"kill of {name}"

    def _sample(self) -> None:
        children = self.launcher.processes.children
        driver = children["aeronmd"].process
        for name, child in children.items():
            if child.process is not None and driver is not None:
                footprint = self.footprints.setdefault(name, Footprint())
                footprint.take(self.ran_s, child.process.pid, driver.pid)

    def _watch_quotes(self) -> None:
        heard_ns = self.launcher.monitor.last_quote_ns
        if heard_ns == self._quoted_ns:
            return
        if self._quoted_ns:
            seconds = (heard_ns - self._quoted_ns) / 1e9
            if seconds > self.longest_quiet.seconds:
                self.longest_quiet = Quiet(seconds, self.ran_s, self._done_to_it)
        self._quoted_ns = heard_ns
