"""The running system: real processes, real Aeron, a real WebSocket; quotes and fills come out."""

import contextlib
import gzip
import itertools
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest
from mm_cli.launcher import SERVICES, Launcher, Plan, VenuePlan
from mm_cli.processes import CannotContinue
from mm_cli.report import summarise
from mm_runtime.config import ConfigError

from mmquant.codes import Reason

ROOT = Path(__file__).parents[1]
ALL_FAULTS = bool(os.environ.get("MMQUANT_ALL_FAULTS"))
LAUNCH = [sys.executable, "-m", "mm_cli.main"]
# Generous: these are limits for a test that hangs, not measurements.
PATIENCE_S = 60.0


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """Give the run folders of its own and return them."""
    folders = {
        "MM_RUNTIME__AERON__DIRECTORY": f"/dev/shm/mmquant-test-{os.getpid()}",
        "MM_RUNTIME__STATE_DIRECTORY": str(tmp_path / "var"),
        "MM_RUNTIME__LOGS__DIRECTORY": str(tmp_path / "logs"),
    }
    for name, value in folders.items():
        monkeypatch.setenv(name, value)
    return folders


def demo_plan(**overrides):
    values = {"name": "test", "fresh": True, "config_dir": ROOT / "config", "venue": VenuePlan()}
    return Plan(**(values | overrides))


def replay_plan(*files):
    environment = {
        "MM_COLLECTOR__PUBLISH__TIME_SOURCE": "venue",
        "MM_RUNTIME__AERON__WHEN_BLOCKED": "wait",
        "MM_SIMULATOR__LEDGER__SYNCHRONOUS": "NORMAL",
    }
    return demo_plan(venue=VenuePlan(tuple(files), "max"), environment=environment)


def watch_until(launcher, done, what):
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline, f"never: {what}"
        if launcher.watch() == 0:
            time.sleep(0.001)


def is_quoting_since(launcher, time_ns):
    return lambda: launcher.monitor.last_quote_ns > time_ns


def fills_of(launcher):
    return sum(
        int(desk.position[0]["fills"])
        for desk in launcher.monitor.desks.values()
        if desk.position is not None
    )


def nothing_is_left(environment):
    directory = environment["MM_RUNTIME__AERON__DIRECTORY"]
    mark = f"MM_RUNTIME__AERON__DIRECTORY={directory}\0".encode()
    living = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if mark in (process / "environ").read_bytes() and int(process.name) != os.getpid():
                living.append((process / "cmdline").read_text().replace("\0", " "))
    return not Path(directory).exists() and not living


def test_the_demo_ends_by_itself_and_says_what_happened(environment, tmp_path):
    out = tmp_path / "summary.json"
    command = [*LAUNCH, "demo", "--duration", "10", "--json", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(out.read_text())
    assert all(summary["streams"][str(stream)] > 0 for stream in range(10, 18))
    assert summary["orders"] > 0
    assert summary["lost"] == {}
    assert (summary["gaps"], summary["crossed"], summary["resyncs"]) == (0, 0, 0)
    assert summary["dropped"] == {}
    assert summary["restarts"] == 0
    assert 0 < summary["shm_bytes"] < 512 * 2**20
    assert summary["book_checks"]["compared"] > 0
    assert summary["book_checks"]["mismatches"] == 0
    profit = summary["profit"]
    parts = profit["spread"] + profit["adverse_selection"] + profit["inventory"] - profit["fees"]
    assert profit["total"] == pytest.approx(parts, abs=1e-9)
    assert 0 < summary["latency_us"]["tick_to_quote"]["p50"]
    assert "profit" in done.stdout
    assert nothing_is_left(environment)
    names = {path.name for path in Path(environment["MM_RUNTIME__LOGS__DIRECTORY"]).iterdir()}
    for service in ("aeronmd", *SERVICES):
        assert any(re.fullmatch(rf"{service}\.log\.\d{{4}}-\d\d-\d\d-\d\d", n) for n in names)


def test_ctrl_c_ends_everything(environment):
    with subprocess.Popen(
        [*LAUNCH, "demo"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A suite that runs in the background ignores Ctrl-C, and hands that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "quotes" in line:
                break
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 0
    assert "interrupted" in rest
    assert nothing_is_left(environment)


# The containers' tests kill every one as well.
KILLED = ["aeronmd", "mm_venue", *SERVICES] if ALL_FAULTS else ["aeronmd", "mm_collector"]


@pytest.mark.parametrize("name", KILLED)
def test_a_killed_process_is_started_anew_and_quoting_resumes(environment, name):
    # Quotes that fill quickly, so that there is a position to lose.
    plan = demo_plan(environment={"MM_STRATEGY__MODEL_PARAMETERS__VOLATILITY_MULTIPLE": "0.1"})
    with Launcher(plan) as launcher:
        watch_until(launcher, lambda: fills_of(launcher) >= 2, "two fills")
        before = fills_of(launcher)
        process = launcher.processes.children[name].process
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed_ns = time.time_ns()
        launcher.watch()
        watch_until(launcher, lambda: launcher.restarts[name] >= 1, f"{name} is restarted")
        # Not the last quote of before the kill: one that was decided well after it.
        later_ns = killed_ns + 1_500_000_000
        watch_until(launcher, is_quoting_since(launcher, later_ns), "quotes again")
        watch_until(
            launcher, lambda: fills_of(launcher) > before, "fills go on from where they were"
        )
        summary = summarise(launcher)
    assert summary["restarts_by_name"][name] == 1
    ledger = Path(environment["MM_RUNTIME__STATE_DIRECTORY"]) / "test" / "ledger.sqlite"
    count, position = _ledger_totals(ledger)
    desk = launcher.monitor.desks[1]
    assert int(desk.position[0]["fills"]) == count
    assert int(desk.position[0]["position_lots"]) == position


def _ledger_totals(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        row = database.execute("SELECT COUNT(*), SUM(side * qty_lots) FROM fills").fetchone()
    return tuple(row)


def test_the_strategy_says_why_it_does_not_quote(environment):
    plan = demo_plan(environment={"MM_STRATEGY__MAX_SPREAD_TICKS": "1"})
    with Launcher(plan) as launcher:

        def says_so():
            desk = launcher.monitor.desks.get(1)
            return (
                desk is not None
                and desk.quotes is not None
                and (desk.quotes[0]["reason"] == Reason.SPREAD_TOO_WIDE)
            )

        watch_until(launcher, says_so, "the reason on stream 15")
        assert launcher.monitor.desks[1].bids == []


def test_a_second_launcher_on_the_same_directory_is_refused(environment):
    with Launcher(demo_plan()) as launcher:
        again = subprocess.run(
            [*LAUNCH, "demo", "--duration", "5"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert again.returncode == 2
        assert "is in use" in again.stderr
        assert again.stderr.count("\n") == 1
        watch_until(launcher, is_quoting_since(launcher, 0), "the first one goes on")


def test_a_wrong_configuration_is_refused_before_anything_starts(environment, monkeypatch):
    monkeypatch.setenv("MM_STRATEGY__LEVELS", "99")
    with pytest.raises(ConfigError, match=r"MM_STRATEGY__LEVELS: levels: .* 99"):
        Launcher(demo_plan())
    assert nothing_is_left(environment)


def test_a_fair_value_that_is_nowhere_is_refused_before_anything_starts(environment, monkeypatch):
    monkeypatch.setenv("MM_PRICING__FAIR_VALUE", "nowhere_at_all:price")
    with pytest.raises(ConfigError, match=r"pricing.toml: fair_value: 'nowhere_at_all:price'"):
        Launcher(demo_plan())
    assert nothing_is_left(environment)


def cut(path, lines, folder):
    """Return a copy of a capture's beginning; all of it where MMQUANT_WHOLE_CAPTURES says so."""
    if os.environ.get("MMQUANT_WHOLE_CAPTURES"):
        return path
    with gzip.open(path) as whole, gzip.open(folder / path.name, "wb") as part:
        part.writelines(itertools.islice(whole, lines))
    return folder / path.name


@pytest.mark.parametrize("name", ["usdm_btcusdt_20240808.gz", "spot_btcusdt_20240808.gz"])
def test_a_real_capture_is_traded_without_a_gap(environment, captures, tmp_path, name):
    with Launcher(replay_plan(cut(captures / name, 30_000, tmp_path))) as launcher:
        deadline = time.monotonic() + 300
        while not launcher.is_over():
            assert time.monotonic() < deadline
            if launcher.watch() == 0:
                time.sleep(0.001)
        summary = summarise(launcher)
    venue = summary["venue"]
    assert venue["finished"]
    assert summary["frames"] == venue["played"] - 1  # one line is the snapshot
    assert (summary["gaps"], summary["crossed"], summary["resyncs"]) == (0, 0, 0)
    assert summary["lost"] == {}
    assert summary["book_checks"]["compared"] > 100
    assert summary["book_checks"]["mismatches"] == 0
    assert summary["fills"] > 0


def _frame(kind, data):
    return orjson.dumps({"stream": f"btcusdt@{kind}", "data": data})


def _depth(first, last, previous, bids=(), asks=()):
    return _frame(
        "depth@100ms",
        {"e": "depthUpdate", "E": first, "T": first, "s": "BTCUSDT", "U": first, "u": last}
        | {"pu": previous, "b": list(bids), "a": list(asks)},
    )


def test_bad_frames_are_counted_by_kind_and_the_rest_goes_on(environment, tmp_path):
    snapshot = {
        "lastUpdateId": 1000,
        "bids": [["100.0", "5.001"], ["99.9", "1.000"]],
        "asks": [["100.1", "5.000"]],
    }
    trade = {"e": "trade", "E": 1, "T": 1, "s": "BTCUSDT", "t": 1, "p": "100.1", "q": "0.001"}
    trade |= {"X": "MARKET", "m": False}
    lines = [_depth(998, 1000, 990), orjson.dumps(snapshot)]
    lines += [
        _depth(last, last, last - 1, bids=[["99.8", f"{last}.000"]]) for last in range(1001, 1021)
    ]
    lines += [
        b"{ this is not json",
        _frame("trade", {"e": "mystery", "s": "BTCUSDT"}),
        _frame("trade", trade | {"p": "-1.0"}),
        _frame("trade", trade | {"q": "0.0001"}),
        _frame("trade", trade | {"p": "0", "q": "0", "X": "NA"}),
        _frame("trade", trade | {"t": 2}),
        _depth(1021, 1021, 1020, bids=[["99.7", "1.000"]]),
    ]
    capture = tmp_path / "bad.txt"
    capture.write_bytes(b"".join(b"%d %s\n" % row for row in enumerate(lines)))
    with Launcher(replay_plan(capture)) as launcher:  # played in no time: nobody may be late
        watch_until(launcher, launcher.is_over, "the capture is played")
        summary = summarise(launcher)
    assert summary["frames"] == summary["venue"]["played"] - 1 == len(lines) - 1
    assert summary["dropped"] == {
        "not_json": 1,
        "unknown_kind": 1,
        "bad_price": 1,
        "off_lot": 1,
        "not_a_trade": 1,
    }
    assert summary["streams"]["13"] == 1
    assert (summary["gaps"], summary["resyncs"], summary["crossed"]) == (0, 0, 0)


def test_an_order_size_that_the_instrument_does_not_have_ends_the_run(environment):
    plan = demo_plan(environment={"MM_STRATEGY__ORDER_QTY": '"0.0105"'})
    with (
        pytest.raises(CannotContinue, match=r"order_qty: must be a multiple of the lot 0\.001"),
        Launcher(plan) as launcher,
    ):
        watch_until(launcher, lambda: False, "the strategy refuses")
    assert nothing_is_left(environment)


def test_a_truncated_capture_is_played_to_its_end_and_said(environment, captures, tmp_path):
    whole = (captures / "usdm_btcusdt_20240808.gz").read_bytes()
    cut = tmp_path / "cut.gz"
    cut.write_bytes(whole[: len(whole) // 20])
    with Launcher(replay_plan(cut)) as launcher:
        watch_until(launcher, launcher.is_over, "the capture is played")
        summary = summarise(launcher)
    assert summary["frames"] > 1_000
    assert "cut.gz" in summary["venue"]["truncated"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"", "no line"), (b"1 {}\n", "depth"), (_depth(1, 2, 0).join([b"5 ", b"\n"]), "snapshot")],
)
def test_a_capture_that_cannot_be_played_is_refused_in_one_line(
    environment, tmp_path, content, complaint
):
    capture = tmp_path / "useless.txt"
    capture.write_bytes(content)
    done = subprocess.run(
        [*LAUNCH, "run", "--replay", str(capture)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "useless.txt" in done.stderr
    assert "Traceback" not in done.stderr
    assert nothing_is_left(environment)


def test_a_venue_out_of_reach_is_said_and_tried_again(environment, monkeypatch):
    monkeypatch.setenv("MM_COLLECTOR__ENDPOINTS__REST_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("MM_COLLECTOR__ENDPOINTS__WS_URL", "ws://127.0.0.1:9")
    with Launcher(demo_plan(venue=None)) as launcher:

        def says_so():
            return any(
                "127.0.0.1:9" in what and "next try" in what for _, _, what in launcher.monitor.news
            )

        watch_until(launcher, says_so, "the address and the next try on stream 11")
        assert launcher.restarts["mm_collector"] == 0


def test_the_live_venue_is_reached_by_address(environment, monkeypatch):
    venue = subprocess.Popen(
        [sys.executable, "-m", "mm_venue", "--port", "0", "--market", "spot"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert venue.stdout is not None
    address = venue.stdout.readline().split()[-1]
    monkeypatch.setenv("MM_COLLECTOR__ENDPOINTS__REST_URL", f"http://{address}")
    monkeypatch.setenv("MM_COLLECTOR__ENDPOINTS__WS_URL", f"ws://{address}")
    monkeypatch.setenv("MM_COLLECTOR__MARKET", "spot")
    try:
        with Launcher(demo_plan(venue=None, fresh=False)) as launcher:
            watch_until(launcher, is_quoting_since(launcher, 0), "quotes on a spot market")
    finally:
        venue.terminate()
        venue.wait()
        venue.stdout.close()
