"""Gates on the running system: each cause shows on stream 15, in the log and in `mm why`.

One run of the real services on the offline venue; its strategy.toml is edited while it quotes.
"""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
from gate_scenarios import HALTED, OF_A_SIDE, PAUSED, PULLED, UNJUDGED
from heard_and_said import lines_of
from live_desk import Desk, Voice
from mm_cli.control import arm, kill, restart
from mm_cli.launcher import Launcher, Plan, VenuePlan
from mm_cli.processes import CannotContinue
from own_model import code_block
from reasons_in_time import times_in_time

from mmquant.codes import Reason, Role, ServiceState, Stream, Template

ROOT = Path(__file__).parents[1]
OWN_MODELS = """
import math
import numba

@numba.njit
def blind(inputs, params, out):
    out[0]["bid_ticks"] = out[0]["ask_ticks"] = math.nan
    return 0

@numba.njit
def broken(inputs, params, out):
    return 1 // int(params[0])
"""


@contextmanager
def running(tmp_path, monkeypatch):
    """Run the system on settings of its own, recorded to `tmp_path / "session"`."""
    monkeypatch.setenv("MM_RUNTIME__AERON__DIRECTORY", f"/dev/shm/mmquant-gates-{os.getpid()}")
    monkeypatch.setenv("MM_RUNTIME__STATE_DIRECTORY", str(tmp_path / "var"))
    monkeypatch.setenv("MM_RUNTIME__LOGS__DIRECTORY", str(tmp_path / "logs"))
    monkeypatch.setenv("MM_RUNTIME__METRICS__ENABLED", "false")
    config_dir = tmp_path / "config"
    config_dir.mkdir()
    for path in (ROOT / "config").glob("*.toml"):
        (config_dir / path.name).write_text(path.read_text())
    (config_dir / "own_models.py").write_text(OWN_MODELS)
    (config_dir / "my_models.py").write_text(code_block("own-model", "python"))
    environment = {"MM_PRICING__WARMUP_S": "3"}
    session = tmp_path / "session"
    plan = Plan("gates", True, config_dir, VenuePlan(), environment, record=session)
    with Launcher(plan) as launcher:
        desk = Desk(launcher, config_dir, tmp_path / "logs")
        desk.watch_until(lambda: desk.quotes() is not None, "quotes")
        desk.take()
        yield desk


def said_by_mm_why(desk):
    command = [sys.executable, "-m", "mm_cli.main", "why", "--json"]
    command += ["--config-dir", str(desk.config_dir)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)[0]


# Each of these must have come, and all that come are judged to be in the very next quotes.
AT_ONCE = {reason for _, reason in PULLED + PAUSED + HALTED} - UNJUDGED
AT_ONCE |= {
    Reason.CLOCK_SKEW,
    Reason.UPSTREAM_LAGS,
    Reason.BOOK_CROSSED,
    Reason.NO_MARKET_DATA,
    Reason.BOOK_NOT_LIVE,
    Reason.SIMULATOR_LAGS,
    Reason.INSTRUMENT_CHANGED,
    Reason.UPSTREAM_SILENT,
    Reason.KILLED,
    Reason.NO_POSITION,
    Reason.NOT_WARM,
    Reason.NO_INSTRUMENT,
}


@pytest.mark.long
def test_each_gate_stops_at_once_says_why_and_lets_go(tmp_path, monkeypatch):
    with running(tmp_path, monkeypatch) as desk:
        go_through_the_gates(desk)
    counts = Counter()
    for lines in lines_of(tmp_path / "session", tmp_path):
        counts += times_in_time(lines)
    assert {reason for reason in AT_ONCE if not counts[reason]} == set()


def go_through_the_gates(desk):
    """Trip one gate after the other, and see each let go."""
    desk.quotes_again()
    assert desk.is_logged(Reason.NOT_WARM)  # before the first quote
    for changes, reason in PULLED + PAUSED:
        desk.take({"gates": {"pause_s": 0.3}} | changes)
        desk.sees(reason)
        desk.take()
        desk.quotes_again()
        assert desk.is_logged(reason) or reason in OF_A_SIDE
    for changes, reason in HALTED:
        desk.take(changes)
        desk.sees(reason)
        desk.take()
        time.sleep(0.1)
        desk.sees(reason)  # mended, and halted all the same
        beat = desk.launcher.monitor.beats[Role.MM_STRATEGY]
        desk.watch_until(lambda b=beat: b.state is ServiceState.HALTED, "HALTED in the heartbeat")
        assert f"by {reason.name}" in arm(desk.config_dir)
        desk.quotes_again()
        assert desk.is_logged(reason)
    hear_wrong_prices(desk)
    hear_other_filters(desk)
    hear_other_units(desk)
    hear_of_a_lag(desk)
    stop_by_hand(desk)
    lose_a_peer(desk)
    lose_the_collector(desk)
    lose_the_simulator(desk)
    stop_the_strategy(desk)
    restart_another(desk)
    edit_wrongly(desk)
    quote_by_the_documented_model(desk)
    start_with_what_is_wrong(desk)
    hear_of_an_unknown_instrument(desk)


def width_of(row):
    """Return how far apart the model wanted bid and ask."""
    return row["model_ask_ticks"] - row["model_bid_ticks"]


def hear_wrong_prices(desk):
    """Publish prices beside the pricing's own."""

    def ago(ns):
        return time.time_ns() - ns

    with Voice(desk, Stream.PRICING, Template.PRICING) as voice:
        for changes, reason in (
            (lambda: {"sent_ns": ago(-(10**9))}, Reason.CLOCK_SKEW),
            (lambda: {"sent_ns": ago(2 * 10**9)}, Reason.UPSTREAM_LAGS),
            (  # the hop from the collector
                lambda: {"frame_ns": 1, "received_ns": ago(0), "collector_sent_ns": ago(2 * 10**9)},
                Reason.UPSTREAM_LAGS,
            ),
            (lambda: {"bid_ticks": 10**9}, Reason.BOOK_CROSSED),
            (lambda: {"ask_ticks": 0}, Reason.NO_MARKET_DATA),
        ):

            def publish(changes=changes):
                pricing = desk.launcher.monitor.desks[1].pricing
                voice.say(pricing, **({"sent_ns": time.time_ns()} | changes()))

            desk.sees(reason, meanwhile=publish)
            desk.quotes_again()
            assert desk.is_logged(reason)


def hear_other_filters(desk):
    """Announce other rules of the venue, until the collector announces its own again."""
    own = desk.launcher.monitor.desks[1].instrument.copy()
    with Voice(desk, Stream.STATE, Template.INSTRUMENT) as voice:
        for changes, reason in (
            ({"min_notional_e8": 10**8 * 10**8}, Reason.BELOW_MINIMUM_NOTIONAL),
            ({"max_notional_e8": 1}, Reason.ABOVE_MAXIMUM_NOTIONAL),
            ({"min_qty_lots": 10**6, "max_qty_lots": 0}, Reason.BELOW_MINIMUM_QUANTITY),
            ({"max_qty_lots": 1}, Reason.ABOVE_MAXIMUM_QUANTITY),
            ({"max_price_ticks": 1}, Reason.PRICE_OUT_OF_RANGE),
            ({"buy_up_e8": 10**7, "sell_up_e8": 10**7}, Reason.PERCENT_PRICE),
        ):
            desk.sees(reason, meanwhile=lambda c=changes: voice.say(own, **c))
            desk.quotes_again()
            assert desk.is_logged(reason)


def hear_other_units(desk):
    """Announce another tick, until the collector announces its own again: halted until armed."""
    own = desk.launcher.monitor.desks[1].instrument.copy()
    with Voice(desk, Stream.STATE, Template.INSTRUMENT) as voice:
        other = {"tick_size_e8": 2 * own[0]["tick_size_e8"]}
        desk.sees(Reason.INSTRUMENT_CHANGED, meanwhile=lambda: voice.say(own, **other))
    beat = desk.launcher.monitor.beats[Role.MM_STRATEGY]
    desk.watch_until(lambda: beat.state is ServiceState.HALTED, "HALTED in the heartbeat")
    instruments = desk.launcher.monitor.desks[1]
    desk.watch_until(
        lambda: instruments.instrument[0]["tick_size_e8"] == own[0]["tick_size_e8"],
        "the collector's own announcement",
    )
    announced_ns = time.time_ns()
    desk.watch_until(
        lambda: desk.quotes()["received_ns"] > announced_ns, "quotes of one who has heard it, too"
    )
    desk.sees(Reason.INSTRUMENT_CHANGED)  # the old tick again, and halted all the same
    assert f"by {Reason.INSTRUMENT_CHANGED.name}" in arm(desk.config_dir)
    desk.quotes_again()
    assert desk.is_logged(Reason.INSTRUMENT_CHANGED)


def hear_of_a_lag(desk):
    """Say in the simulator's name that what it matches is old, until it says itself how it is."""
    said = {"role": Role.MM_SIMULATOR, "state": ServiceState.READY, "lag_ns": 2 * 10**9}
    with Voice(desk, Stream.HEARTBEATS, Template.HEARTBEAT) as voice:
        desk.sees(Reason.SIMULATOR_LAGS, meanwhile=lambda: voice.say(**said))
    desk.quotes_again()
    assert desk.is_logged(Reason.SIMULATOR_LAGS)


def hear_of_an_unknown_instrument(desk):
    """Hear prices of an instrument that nobody has announced; the last test of a run."""
    with Voice(desk, Stream.PRICING, Template.PRICING) as voice:

        def reason():
            pricing = desk.launcher.monitor.desks[1].pricing
            voice.say(pricing, instrument_id=99, sent_ns=time.time_ns())
            other = desk.launcher.monitor.desks.get(99)
            return None if other is None or other.quotes is None else other.quotes[0]["reason"]

        desk.watch_until(lambda: reason() == Reason.NO_INSTRUMENT, "NO_INSTRUMENT")
        assert desk.is_logged(Reason.NO_INSTRUMENT)
        instrument = desk.launcher.monitor.desks[1].instrument
        with Voice(desk, Stream.STATE, Template.INSTRUMENT) as announcer:
            announcer.say(instrument, instrument_id=99)
            desk.watch_until(lambda: reason() != Reason.NO_INSTRUMENT, "an announced instrument")


def stop_by_hand(desk):
    """Kill by command and by signal; it outlives a restart, and `mm arm` ends it."""
    kill(desk.config_dir, "a test")
    desk.sees(Reason.KILLED)
    found = said_by_mm_why(desk)
    assert (found["risk_state"], found["risk_reason"]) == ("HALTED", "KILLED")
    assert found["bid"]["orders"] == found["ask"]["orders"] == []
    child = desk.launcher.processes.children["mm_strategy"]
    child.process.send_signal(signal.SIGKILL)
    child.process.wait()
    desk.watch_until(lambda: desk.launcher.restarts["mm_strategy"] == 1, "a restart")
    halted_ns = time.time_ns()
    beats = desk.launcher.monitor.beats
    desk.watch_until(
        lambda: (
            beats[Role.MM_STRATEGY].heard_ns > halted_ns
            and beats[Role.MM_STRATEGY].state is ServiceState.HALTED
        ),
        "halted again after the restart",
    )
    assert "armed" in arm(desk.config_dir)
    desk.quotes_again()
    found = said_by_mm_why(desk)
    assert found["reason"] == "NONE"
    assert found["reservation"] == pytest.approx(
        found["fair_value"] + found["drift_shift"] + found["inventory_shift"], abs=1e-6
    )
    child.process.send_signal(signal.SIGUSR1)
    desk.sees(Reason.KILLED)
    arm(desk.config_dir)
    desk.quotes_again()


def lose_a_peer(desk):
    """Stop the pricing for a while: its heartbeat is missed, and it comes back."""
    pricing = desk.launcher.processes.children["mm_pricing"].process
    pricing.send_signal(signal.SIGSTOP)
    desk.sees(Reason.UPSTREAM_SILENT)
    pricing.send_signal(signal.SIGCONT)
    desk.quotes_again()
    # It begins anew with the estimates that it had stored: as a rule it is warm at once.
    pricing.send_signal(signal.SIGKILL)
    desk.sees(Reason.UPSTREAM_SILENT, Reason.NOT_WARM)
    desk.quotes_again()
    venue = desk.launcher.processes.children["mm_venue"].process
    venue.send_signal(signal.SIGKILL)
    desk.sees(Reason.BOOK_NOT_LIVE)
    desk.quotes_again()
    assert desk.is_logged(Reason.BOOK_NOT_LIVE)


def lose_the_collector(desk):
    """Stop the collector for a while: who is silent is said."""
    collector = desk.launcher.processes.children["mm_collector"].process
    collector.send_signal(signal.SIGSTOP)
    desk.sees(Reason.UPSTREAM_SILENT)
    desk.watch_until(lambda: desk.is_logged("(mm_collector)"), "who is silent")
    collector.send_signal(signal.SIGCONT)
    desk.quotes_again()


def lose_the_simulator(desk):
    """Stop the simulator, then let its heartbeat alone go on: the position is not known."""
    simulator = desk.launcher.processes.children["mm_simulator"].process
    simulator.send_signal(signal.SIGSTOP)
    desk.sees(Reason.UPSTREAM_SILENT)
    desk.watch_until(lambda: desk.is_logged("(mm_simulator)"), "who is silent")
    with Voice(desk, Stream.HEARTBEATS, Template.HEARTBEAT) as voice:
        said = {"role": Role.MM_SIMULATOR, "state": ServiceState.READY}
        desk.sees(Reason.NO_POSITION, meanwhile=lambda: voice.say(**said))
    assert desk.is_logged(Reason.NO_POSITION)
    simulator.send_signal(signal.SIGCONT)
    desk.quotes_again()


def stop_the_strategy(desk):
    """Freeze the strategy: the simulator cancels everything.

    Once more where it froze as it was pulling its orders, so that none was left to cancel.
    """
    assert any(is_cancelled_when_frozen(desk) for _ in range(5))


def is_cancelled_when_frozen(desk):
    """Freeze the strategy until no order is left; tell whether its silence ended any."""
    child = desk.launcher.processes.children["mm_strategy"].process
    desk.watch_until(lambda: desk.orders("NEW", "OPEN").size, "orders to be cancelled")
    child.send_signal(signal.SIGSTOP)
    beats, frozen_ns = desk.launcher.monitor.beats, time.time_ns()
    desk.watch_until(
        lambda: beats[Role.MM_SIMULATOR].reason is Reason.STRATEGY_SILENT, "the dead man's switch"
    )
    desk.watch_until(lambda: not desk.orders("NEW", "OPEN").size, "no order left")
    ended = desk.orders("CANCELLED")
    child.send_signal(signal.SIGCONT)
    desk.quotes_again()
    return ((ended["reason"] == "STRATEGY_SILENT") & (ended["updated_ns"] > frozen_ns)).any()


def quote_by_the_documented_model(desk):
    """Take the model and the settings of the documentation as they are printed there."""
    settings = tomllib.loads(code_block("own-model", "toml"))
    desk.take(settings)
    desk.quotes_again()
    ticks, per_volatility, _ = settings["model_parameters"].values()

    def wanted(row):
        return 2 * (ticks + per_volatility * row["volatility_ticks_per_sqrt_s"])

    desk.watch_until(
        lambda: width_of(desk.quotes()) == pytest.approx(wanted(desk.quotes())),
        "the own model's quotes",
    )


def restart_another(desk):
    """Restart the pricing by command: with wrong settings it goes on, with right ones anew."""
    path = desk.config_dir / "pricing.toml"
    right = path.read_text()

    def restart_pricing():
        command = [sys.executable, "-m", "mm_cli.main", "restart", "mm_pricing"]
        command += ["--config-dir", str(desk.config_dir)]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            desk.watch_until(lambda: process.poll() is not None, "an answer to mm restart")
            return process.returncode, process.stdout.read()

    before = desk.launcher.processes.children["mm_pricing"].process.pid
    no_model = right.replace('fair_value = "blend"', 'fair_value = "nowhere_at_all:price"')
    for wrong, complaint in ((right + "nonsense = 1\n", "nonsense"), (no_model, "fair_value")):
        path.write_text(wrong)
        code, said = restart_pricing()
        assert code != 0
        assert "goes on as before" in said
        assert complaint in said
    assert desk.launcher.processes.children["mm_pricing"].process.pid == before
    path.write_text(right)
    code, said = restart_pricing()
    assert code == 0, said
    assert desk.launcher.processes.children["mm_pricing"].process.pid != before
    desk.quotes_again()


def start_with_what_is_wrong(desk):
    """Kill the strategy while its file, then its model, is broken: it goes on, and says so.

    The model is the documentation's: the distance of its quotes tells it from any other.
    """
    settings = tomllib.loads(code_block("own-model", "toml"))
    ticks, per_volatility, _ = settings["model_parameters"].values()
    toml, module = desk.config_dir / "strategy.toml", desk.config_dir / "my_models.py"
    right = {path: path.read_text() for path in (toml, module)}

    def quotes_as_before():
        row = desk.quotes()
        wanted = 2 * (ticks + per_volatility * row["volatility_ticks_per_sqrt_s"])
        return width_of(row) == pytest.approx(wanted)

    for path, text in ((toml, "levels = 9\n"), (module, "raise SystemExit('broken')\n")):
        path.write_text(text)
        if path is module:
            with pytest.raises(CannotContinue, match=r"goes on as before: .*broken"):
                restart(desk.config_dir, "mm_strategy", lambda _: None)
            desk.quotes_again()
        child = desk.launcher.processes.children["mm_strategy"]
        before = child.process.pid
        child.process.send_signal(signal.SIGKILL)
        child.process.wait()
        desk.watch_until(lambda c=child, b=before: c.is_running and c.process.pid != b, "a restart")
        desk.quotes_again()
        desk.watch_until(quotes_as_before, "the quotes of the last good model")
        assert desk.is_logged("settings refused, the last good ones")
        path.write_text(right[path])
    restart(desk.config_dir, "mm_strategy", lambda _: None)
    desk.quotes_again()


def edit_wrongly(desk):
    """Write files that are wrong: they are refused with the reason, and the quotes go on."""
    for wrong, complaint in (
        ({"levels": 9}, "levels: must be <= 5, got 9"),
        ({"order_qty": "0.0105"}, r"must be a multiple of the lot 0\.001"),
        ({"model": "own_models:none"}, "has no function 'none'"),
        ({"model_parameters": {"skew": 1}}, "among"),
    ):
        with pytest.raises(CannotContinue, match=f"goes on as before: .*{complaint}"):
            desk.take(wrong)
        desk.quotes_again()
