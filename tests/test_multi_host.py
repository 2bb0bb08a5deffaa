"""Two machines with a bad network between them: network namespaces, a media driver in each."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from lossy_wire import ip
from mm_cli.monitor import Monitor
from mm_cli.warm import warm_all
from mm_runtime.clock import SystemClock
from mm_runtime.config import load
from mm_runtime.process import LAUNCHER_VARIABLE
from mm_runtime.settings import RuntimeSettings
from mm_runtime.transport import DriverLost

from mmquant.codes import BookState, Stream

ROOT = Path(__file__).parents[1]
ALL_FAULTS = bool(os.environ.get("MMQUANT_ALL_FAULTS"))
CONFIG = ROOT / "config"
HOSTS = ("10.77.0.1", "10.77.0.2")
MACHINES = [f"{host}:40100" for host in HOSTS]
LOSS, DELAY_MS = 0.03, (5, 20)
VENUE_PORT = 9443  # nobody else is in the namespace
MARKET_SIDE = ("aeronmd", "mm_venue", "mm_collector")
TRADING_SIDE = ("aeronmd", "mm_pricing", "mm_strategy", "mm_simulator")
# Generous: these are limits for a test that hangs, not measurements.
PATIENCE_S = 60.0


def why_not():
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "no `ip` here (Debian: iproute2)"
    if not Path("/dev/net/tun").exists():
        return "no /dev/net/tun here"
    name = f"mmq-probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return "`ip netns add` is not allowed here"
    ip("netns", "delete", name)
    return ""


def favour(process):
    """Let a process have its core soon: the network is tested here, not a busy machine.

    Only what needs little of it, else everything beside this test would starve.
    """
    os.setpriority(os.PRIO_PROCESS, process.pid, -15)
    group = Path(f"/proc/{process.pid}/autogroup")
    if group.exists():
        group.write_text("-15")


class Machine:
    """A namespace with its services, watched over as a supervisor would."""

    def __init__(self, index, folder):
        self.namespace = f"mmq-{os.getpid()}-{index}"
        self.enter = ("ip", "netns", "exec", self.namespace)
        self.directory = Path(f"/dev/shm/mmquant-test-{os.getpid()}-machine-{index}")
        self.folder = folder / str(index)
        self.folder.mkdir()
        self.environment = {
            "MM_RUNTIME__AERON__DIRECTORY": str(self.directory),
            "MM_RUNTIME__AERON__MACHINES": json.dumps(MACHINES),
            "MM_RUNTIME__AERON__MACHINE": MACHINES[index],
            "MM_RUNTIME__STATE_DIRECTORY": str(self.folder / "var"),
            "MM_RUNTIME__LOGS__DIRECTORY": str(self.folder / "logs"),
            "MM_COLLECTOR__ENDPOINTS__REST_URL": f"http://127.0.0.1:{VENUE_PORT}",
            "MM_COLLECTOR__ENDPOINTS__WS_URL": f"ws://127.0.0.1:{VENUE_PORT}",
            # A busy machine may well leave a driver without a core for two seconds.
            "MM_RUNTIME__AERON__DRIVER_TIMEOUT_MS": "4000",
            "MM_AERONMD__CLIENT_LIVENESS_TIMEOUT_MS": "4000",
            # Quotes that fill quickly.
            "MM_STRATEGY__MODEL_PARAMETERS__VOLATILITY_MULTIPLE": "0.1",
            LAUNCHER_VARIABLE: str(os.getpid()),
        }
        self.processes = {}
        self.settings = load("runtime", RuntimeSettings, CONFIG, self.environment)
        self.monitor = Monitor(self.settings, SystemClock())

    def start(self, name):
        options = ["--port", str(VENUE_PORT)] if name == "mm_venue" else ["--quiet"]
        self.processes[name] = subprocess.Popen(
            [*self.enter, sys.executable, "-m", name, "--config-dir", str(CONFIG), *options],
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if name == "aeronmd":
            favour(self.processes[name])

    def kill(self, name):
        self.processes[name].kill()
        self.processes[name].wait()

    def watch(self):
        """Start anew what died; take what came."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                self.start(name)
        try:
            return self.monitor.poll()
        except DriverLost:
            # What the others sent while there was no driver here, nobody here could hear.
            self.monitor.close()
            self.monitor = Monitor(self.settings, SystemClock())
            return 0

    def close(self):
        self.monitor.close()
        for process in reversed(self.processes.values()):
            process.send_signal(signal.SIGTERM)
        for process in reversed(self.processes.values()):
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


@contextmanager
def wire_between(namespaces):
    """Join the namespaces; the dict it yields tells afterwards what was carried and dropped."""
    ends = [text for pair in zip(namespaces, HOSTS, strict=True) for text in pair]
    options = ["--loss", str(LOSS), "--delay-ms", *map(str, DELAY_MS)]
    command = [sys.executable, str(ROOT / "tests" / "lossy_wire.py"), *ends, *options]
    tally = {}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as wire:
        try:
            favour(wire)
            assert wire.stdout.readline() == "up\n"
            yield tally
        finally:
            wire.terminate()
            tally.update(json.loads(wire.stdout.readline() or "{}"))


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    reason = why_not()
    if reason:
        pytest.skip(f"{reason}: tests over two machines are left out")
    warm_all()  # compiling is not what is tested
    folder = tmp_path_factory.mktemp("machines")
    pair = [Machine(index, folder) for index in range(2)]
    with ExitStack() as stack:
        for machine in pair:
            ip("netns", "add", machine.namespace)
            stack.callback(ip, "netns", "delete", machine.namespace)
        tally = stack.enter_context(wire_between([machine.namespace for machine in pair]))
        for machine in pair:
            stack.callback(machine.close)
        market_side, trading_side = pair
        for name in MARKET_SIDE:
            market_side.start(name)
        watch_until([market_side], lambda: has_live_book(market_side), "a live book")
        for name in TRADING_SIDE:  # late: the book was live before anybody listened
            trading_side.start(name)
        yield pair
    for way in (0, 1):
        assert tally["dropped"][way] > 0.5 * LOSS * tally["carried"][way] > 0


def watch_until(machines, done, what):
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline, f"never: {what}"
        if sum(machine.watch() for machine in machines) == 0:
            time.sleep(0.001)


def has_live_book(machine):
    return machine.monitor.last_words.get("mm_collector book 1", "").startswith("LIVE")


def fills(machine):
    desk = machine.monitor.desks.get(1)
    return 0 if desk is None or desk.position is None else int(desk.position[0]["fills"])


def is_quoting(machines, since_ns):
    """Both machines hear quotes that are newer, made on a live book."""
    for machine in machines:
        desk = machine.monitor.desks.get(1)
        if desk is None or desk.pricing is None or machine.monitor.last_quote_ns <= since_ns:
            return False
    return int(desk.pricing[0]["book_state"]) == BookState.LIVE


def nothing_is_lost(machines):
    for machine in machines:
        counters = machine.monitor.counters()
        dropped = {name: n for name, n in counters.items() if "dropped" in name and n}
        assert (dict(machine.monitor.lost), dropped) == ({}, {})


@pytest.mark.long
def test_quotes_and_fills_flow_over_a_bad_network_and_nothing_is_lost(machines):
    watch_until(machines, lambda: fills(machines[0]) >= 3, "fills, heard on the other machine")
    watch_until(machines, lambda: is_quoting(machines, 0), "quotes on a live book")
    for machine in machines:
        assert all(machine.monitor.streams[stream] > 0 for stream in Stream)
    nothing_is_lost(machines)


@pytest.mark.long
@pytest.mark.parametrize(
    ("side", "name"),
    [
        (0, "mm_collector"),
        (1, "mm_simulator"),
        (1, "aeronmd"),
        *([(1, "mm_pricing"), (1, "mm_strategy"), (0, "aeronmd")] if ALL_FAULTS else []),
    ],
)
def test_whatever_is_killed_on_either_machine_quoting_resumes(machines, side, name):
    watch_until(machines, lambda: is_quoting(machines, 0), "quotes")
    machines[side].kill(name)
    killed_ns = time.time_ns()
    # Not the last quote of before the kill: one that was decided well after it.
    later_ns = killed_ns + 1_500_000_000
    watch_until(machines, lambda: is_quoting(machines, later_ns), "quotes again")
    print(f"{name}: quoting again {(time.time_ns() - killed_ns) / 1e9:.1f} s after the kill")
    nothing_is_lost(machines)
