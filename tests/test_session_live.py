"""Sessions of real processes verify: real captures, random faults of the venue, kills, restarts."""

import gzip
import itertools
import os
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from mm_cli.launcher import SYNTHETIC, Launcher, Plan, VenuePlan
from mm_cli.venue_faults import VenueFaults
from mm_cli.verify import verify_session

from mmquant.codes import Market

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
# Generous: a limit for a test that hangs, not a measurement.
PATIENCE_S = 60.0
VERIFIED = {"pricing", "quotes", "fills", "positions"}
# Quotes that fill quickly, so that there are fills and positions to verify.
EAGER = {
    "MM_STRATEGY__MODEL_PARAMETERS__VOLATILITY_MULTIPLE": "0.1",
    "MM_PRICING__WARMUP_S": "0.5",
    "MM_COLLECTOR__CONNECTION__BACKOFF_MAX_MS": "500",
    "MM_STRATEGY__GATES__MAX_SESSION_LOSS": "1000000",
    "MM_STRATEGY__GATES__MAX_DRAWDOWN": "1000000",
}
PATIENT = {
    "MM_COLLECTOR__PUBLISH__TIME_SOURCE": "venue",
    "MM_RUNTIME__AERON__WHEN_BLOCKED": "wait",
    "MM_SIMULATOR__LEDGER__SYNCHRONOUS": "NORMAL",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Give the run folders of its own; return where its session goes."""
    monkeypatch.setenv("MM_RUNTIME__AERON__DIRECTORY", f"/dev/shm/mmquant-session-{os.getpid()}")
    monkeypatch.setenv("MM_RUNTIME__STATE_DIRECTORY", str(tmp_path / "var"))
    monkeypatch.setenv("MM_RUNTIME__LOGS__DIRECTORY", str(tmp_path / "logs"))
    monkeypatch.setenv("MM_RUNTIME__METRICS__ENABLED", "false")
    return tmp_path / "session"


def verified(folder):
    return verify_session(folder, lambda turns, service: None)


def told(result):
    """Return what a failing comparison is to show."""
    return [result.problems, *((s.journal, s.problem, s.difference) for s in result.services)]


def compared(result):
    return sum((Counter(service.compared) for service in result.services), Counter())


def cut(path, lines, folder):
    """Return a copy of a capture's beginning; all of it where MMQUANT_WHOLE_CAPTURES says so."""
    if os.environ.get("MMQUANT_WHOLE_CAPTURES"):
        return path
    with gzip.open(path) as whole, gzip.open(folder / path.name, "wb") as part:
        part.writelines(itertools.islice(whole, lines))
    return folder / path.name


@pytest.mark.parametrize("name", ["usdm_btcusdt_20240808.gz", "spot_btcusdt_20240808.gz"])
def test_a_real_capture_is_computed_to_the_same_bytes(folder, captures, tmp_path, name):
    # Not "max": on a machine that is busy a strategy would have its first prices at the end.
    venue = VenuePlan((cut(captures / name, 5_000, tmp_path),), "20")
    plan = Plan("test", True, ROOT / "config", venue, PATIENT, record=folder)
    with Launcher(plan) as launcher:
        deadline = time.monotonic() + 5 * PATIENCE_S
        while not launcher.is_over():
            assert time.monotonic() < deadline
            if launcher.watch() == 0:
                time.sleep(0.001)
    result = verified(folder)
    assert result.is_equal, told(result)
    assert {service.ended for service in result.services} == {"in order"}
    assert all(service.inputs_checked == service.inputs > 0 for service in result.services)
    assert result.messages["trades"] > 300
    # All that was sent was heard, and all that was heard was computed.
    assert compared(result) == {name: result.messages[name] for name in VERIFIED}


def watch_until(launcher, done, what):
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline, f"never: {what}"
        if launcher.watch() == 0:
            time.sleep(0.001)


def storm(launcher, rounds, seed, faults_per_s=3.0):
    """Let faults come to the venue, and meanwhile end services, round by round.

    A round is names and signals; it waits until the system has come back and quoted for a while.
    The same seed gives the same faults. Return how many faults took effect.
    """
    market, symbol = SYNTHETIC
    address = launcher.venue_address
    faults = VenueFaults(address, seed, faults_per_s, Market[market.upper()], (symbol,))
    began_ns = time.monotonic_ns()

    def is_quoted(since_ns):
        faults.arm_due(time.monotonic_ns() - began_ns)
        return launcher.monitor.last_quote_ns > since_ns

    for ended in [*rounds, {}]:
        # Not the last quotes of somebody who has ended: these are of one started anew.
        later_ns = time.time_ns() + 1_000_000_000
        watch_until(launcher, partial(is_quoted, later_ns), "quotes in the storm")
        before = launcher.restarts
        for name, how in ended.items():
            launcher.processes.children[name].process.send_signal(how)
        watch_until(
            launcher,
            lambda names=ended, old=before: all(launcher.restarts[n] > old[n] for n in names),
            f"{', '.join(ended)} started anew",
        )
    faults.read()
    return faults.injected.total()


ROUNDS = [
    {"mm_simulator": signal.SIGKILL},
    {"mm_strategy": signal.SIGKILL, "mm_pricing": signal.SIGTERM},
]


def test_faults_kills_and_restarts_are_computed_to_the_same_bytes(folder):
    plan = Plan("test", True, ROOT / "config", VenuePlan(), EAGER, record=folder)
    with Launcher(plan) as launcher:
        assert storm(launcher, ROUNDS, seed=3) > 0
    result = verified(folder)
    assert result.is_equal, told(result)
    ends = Counter((service.service, service.ended) for service in result.services)
    assert ends == {
        **{(name, "in order"): 1 for name in ("mm_simulator", "mm_strategy")},
        **{(name, "killed"): 1 for name in ("mm_simulator", "mm_strategy")},
        ("mm_pricing", "in order"): 2,
    }
    assert set(compared(result)) == VERIFIED
    assert [s for s in result.services if s.inputs_checked != s.inputs] == [], told(result)
    # What a killed one had not written down yet is all that could not be compared.
    beyond = sum(sum(service.beyond.values()) for service in result.services)
    heard = sum(result.messages[name] for name in VERIFIED)
    assert compared(result).total() + beyond == heard
