"""The containers on a real engine: up, healthy, quoting, killed, paused, edited, and gone."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.compose

ROOT = Path(__file__).parents[1]
PROJECT = "mmquant-test"
SERVICES = ("aeronmd", "mm_venue", "mm_collector", "mm_pricing", "mm_strategy", "mm_simulator")
PROFILES = ("offline", "monitoring", "record")
PROMETHEUS = "http://127.0.0.1:19090"
LEDGER = (
    "import sqlite3, sys; "
    "d = sqlite3.connect('file:/var/lib/mmquant/offline/ledger.sqlite?mode=ro', uri=True); "
    "print(*d.execute(*sys.argv[1:]).fetchone())"
)
FILLS = "SELECT COUNT(*), COALESCE(SUM(side * qty_lots), 0) FROM fills"
OPEN = "SELECT COUNT(*) FROM orders WHERE status IN ('NEW', 'OPEN')"
SILENCE_NS = 1_500_000_000  # what is heard until then may have been sent before
PATIENCE_S = 60.0  # how long something may take before it counts as never


def run(*command: str, timeout: float = 600) -> str:
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert ran.returncode == 0, f"{' '.join(command)}: {ran.stdout}{ran.stderr}"
    return ran.stdout


def try_to(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def compose(*arguments: str, timeout: float = 600) -> str:
    return run("docker", "compose", *arguments, timeout=timeout)


def go_away() -> None:
    compose(*(f"--profile={name}" for name in PROFILES), "down", "--volumes")


def container(service: str) -> str:
    return f"{PROJECT}-{service}-1"


def inspect(service: str, template: str) -> str:
    return run("docker", "inspect", "-f", template, container(service)).strip()


def wait_until(what, is_done, patience_s=PATIENCE_S):
    deadline = time.monotonic() + patience_s
    while not (answer := is_done()):
        assert time.monotonic() < deadline, f"{what}: not within {patience_s:g} s"
        time.sleep(0.05)
    return answer


class Probe:
    """What the streams carried, as a container on the same shared memory heard it."""

    def __init__(self) -> None:
        volumes = ["-v", f"{PROJECT}_aeron:/dev/shm/aeron"]
        with (ROOT / "tests" / "compose_probe.py").open() as script:
            self._process = subprocess.Popen(
                [
                    *("docker", "run", "-i", "--rm", "--name", f"{PROJECT}-probe", *volumes),
                    *(os.environ["MMQUANT_IMAGE"], "python3", "-"),
                ],
                stdin=script,
                stdout=subprocess.PIPE,
                text=True,
            )
        self.messages: list[dict] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self.messages.append(json.loads(line))

    def since(self, at_ns: int, kind: str) -> list[dict]:
        return [m for m in self.messages if m["kind"] == kind and m["at_ns"] > at_ns]

    def quoting_at_ns(self, since_ns: int) -> int:
        """Return when quotes first stood after `since_ns`, 0 if they have not yet."""
        return next((m["at_ns"] for m in self.since(since_ns, "quotes") if any(m["levels"])), 0)

    def connected_at_ns(self, since_ns: int) -> int:
        """Return when the probe first connected to a driver after `since_ns`, 0 if it did not."""
        return next((m["at_ns"] for m in self.since(since_ns, "connected")), 0)

    def pulled_at_ns(self, since_ns: int) -> int:
        """Return when it was first said after `since_ns` that, and why, nothing is quoted."""
        quotes = self.since(since_ns, "quotes")
        return next(
            (m["at_ns"] for m in quotes if not any(m["levels"]) and m["reason"] != "NONE"), 0
        )

    def position(self) -> tuple[int, int]:
        newest = self.since(0, "position")[-1]
        return newest["fills"], newest["lots"]

    def close(self) -> None:
        subprocess.run(["docker", "kill", f"{PROJECT}-probe"], capture_output=True, check=False)
        self._process.wait(10)
        self._reader.join()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Return the settings of the containers, with quotes that fill quickly."""
    folder = tmp_path_factory.mktemp("config")
    shutil.copytree(ROOT / "config", folder, dirs_exist_ok=True)
    edit(folder / "strategy.toml", "volatility_multiple", "0.1")
    edit(folder / "runtime.toml", "max_park_us", "1000")  # leaves the processors to other tests
    for gate in ("max_session_loss", "max_drawdown", "max_minute_loss"):  # such quotes lose money
        edit(folder / "strategy.toml", gate, '"1000000"')
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
    folder.parent.chmod(0o755)
    folder.parent.parent.chmod(0o755)
    return folder


def edit(path: Path, key: str, value: str) -> None:
    text, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", path.read_text())
    assert count == 1, f"{key} in {path}"
    path.write_text(text)


@pytest.fixture(scope="module")
def probe(config):
    """Bring the system up, offline, and put an ear on its streams."""
    environment = {
        "COMPOSE_PROJECT_NAME": PROJECT,
        "COMPOSE_PROFILES": "offline",
        "MMQUANT_IMAGE": "mmquant:test",
        "PROMETHEUS_IMAGE": "mmquant-prometheus:test",
        "PROMETHEUS_PORT": PROMETHEUS.rpartition(":")[2],
        "MM_CONFIG": str(config),
    }
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        compose("down", "--volumes")
        compose("build", "aeronmd")
        compose("up", "--detach", timeout=120)
        probe = Probe()
        yield probe
        probe.close()
    finally:
        with contextlib.suppress(AssertionError):
            go_away()
        os.environ.clear()
        os.environ.update(before)


def test_up_is_healthy_in_the_order_of_the_data(probe):
    wait_until("all healthy", lambda: statuses() == dict.fromkeys(SERVICES, "healthy"))
    started = [inspect(name, "{{.State.StartedAt}}") for name in SERVICES]
    assert started == sorted(started)


def statuses() -> dict[str, str]:
    rows = [json.loads(line) for line in compose("ps", "--format", "json").splitlines()]
    return {row["Service"]: row["Health"] for row in rows}


def test_quotes_and_fills_flow(probe):
    assert wait_until("quotes", lambda: probe.quoting_at_ns(0))
    assert wait_until("two fills", lambda: probe.since(0, "position") and probe.position()[0] >= 2)


def test_each_container_has_no_more_rights_than_it_needs(probe):
    for service in SERVICES:
        host = json.loads(inspect(service, "{{json .HostConfig}}"))
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert 0 < host["Memory"] <= 2**30
        assert 0 < host["NanoCpus"] <= 2 * 10**9
        assert inspect(service, "{{.Config.User}}") == "10001:10001"
        processes = run("docker", "exec", container(service), "cat", "/proc/1/cmdline")
        assert processes.startswith("tini\0")


def test_logs_are_named_by_the_hour_and_followed(probe):
    names = run("docker", "exec", container("mm_strategy"), "ls", "/var/log/mmquant").split()
    for service in SERVICES:
        assert any(re.fullmatch(rf"{service}\.log\.\d{{4}}-\d\d-\d\d-\d\d", n) for n in names)
        said = "INFO mm_venue listening on" if service == "mm_venue" else "READY"
        assert said in compose("logs", service)


def test_a_prometheus_beside_them_scrapes_them_all(probe, monkeypatch):
    base = os.environ.get("BASE_IMAGE", "python:3.13-slim-trixie")
    tag = os.environ["PROMETHEUS_IMAGE"]
    with (ROOT / "tests" / "prometheus.Dockerfile").open() as recipe:
        command = ["docker", "build", "-q", "-t", tag, "--build-arg", f"BASE_IMAGE={base}", "-"]
        subprocess.run(command, stdin=recipe, check=True, capture_output=True)
    monkeypatch.setenv("COMPOSE_PROFILES", "offline,monitoring,record")
    monkeypatch.setenv("MM_RUNTIME__SESSION__DIRECTORY", "/var/lib/mmquant/scraped")
    compose("up", "--detach", "--no-deps", "prometheus", "mm_recorder")
    scraped = {*SERVICES, "mm_recorder"} - {"mm_venue"}
    wait_until("all scraped", lambda: ask("up == 1", "service") == scraped)
    assert ask("mmquant_fills_total > 1", "service") == {"mm_simulator"}
    assert ask('mmquant_book_state{state="live"} == 1', "service") == {"mm_collector"}
    compose("rm", "--force", "--stop", "prometheus", "mm_recorder")


def ask(expression: str, label: str) -> set[str]:
    query = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"{PROMETHEUS}/api/v1/query?{query}", timeout=5) as answer:
            rows = json.load(answer)["data"]["result"]
    except OSError:  # it is starting
        return set()
    return {row["metric"][label] for row in rows}


def test_the_shared_memory_has_headroom(probe):
    used, size = (
        int(word)
        for word in run(
            "docker", "exec", container("aeronmd"), "sh", "-c",
            "df -B1 --output=used,size /dev/shm/aeron | tail -1",
        ).split()
    )  # fmt: skip
    assert size == 512 * 2**20
    assert used < size / 2


FAULTS = [("kill", name) for name in SERVICES] + (
    [(how, name) for how in ("restart", "pause") for name in SERVICES]
    if os.environ.get("MMQUANT_ALL_FAULTS")
    else [("restart", "mm_simulator"), ("pause", "aeronmd"), ("pause", "mm_strategy")]
)


@pytest.mark.parametrize(("how", "name"), FAULTS)
def test_the_system_quotes_again_after(probe, how, name):
    wait_until("quoting before it", lambda: probe.quoting_at_ns(time.time_ns() - 2_000_000_000))
    fills_before = probe.position()[0]
    began_ns = time.time_ns()
    returned_ns = strike(how, name)
    if name == "aeronmd":  # nobody can say so; what is heard anew comes over the next driver
        pulled_ns = wait_until("the ear connects anew", lambda: probe.connected_at_ns(began_ns))
    elif name == "mm_strategy":
        pulled_ns = began_ns + SILENCE_NS
    else:
        pulled_ns = wait_until("the quotes are pulled", lambda: probe.pulled_at_ns(began_ns))
    quoting_ns = wait_until(
        "quoting", lambda: probe.quoting_at_ns(max(pulled_ns, returned_ns if how == "pause" else 0))
    )
    after_s = max(0, quoting_ns - returned_ns) / 1e9
    print(f"{how} {name}: quoting {after_s:.1f} s after its return")
    wait_until("its position", lambda: probe.since(quoting_ns, "position"))
    # A fill may come between the two looks: they must agree sooner or later.
    wait_until("the ledger's position", lambda: ledger(FILLS) == probe.position())
    assert probe.position()[0] >= fills_before


def strike(how: str, name: str) -> int:
    """Do it, and return when the container was back, in nanoseconds."""
    if how == "restart":
        compose("restart", name)
    elif how == "pause":
        # The kernel gives up freezing a busy process now and then.
        wait_until("pausing", lambda: try_to("docker", "pause", container(name)))
        time.sleep(10)
        if name in ("aeronmd", "mm_strategy"):  # no message can say that the quotes are pulled
            wait_until("no open order", lambda: ledger(OPEN) == (0,))
        compose("unpause", name)
    else:
        restarts = inspect(name, "{{.RestartCount}}")
        os.kill(int(inspect(name, "{{.State.Pid}}")), signal.SIGKILL)
        wait_until("its restart", lambda: inspect(name, "{{.RestartCount}}") != restarts)
    if how == "pause":
        return time.time_ns()
    return np.datetime64(inspect(name, "{{.State.StartedAt}}").rstrip("Z"), "ns").astype(int)


def ledger(query: str) -> tuple[int, ...]:
    look = ("docker", "exec", container("mm_simulator"), "python3", "-c", LEDGER, query)
    return tuple(map(int, run(*look).split()))


def test_an_override_beside_the_compose_file_arrives(probe, tmp_path):
    file = shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    (tmp_path / ".env").write_text("MM_STRATEGY__MODEL_PARAMETERS__VOLATILITY_MULTIPLE=0.25\n")
    script = (
        "from mm_runtime.config import load; from mm_runtime.settings import StrategySettings; "
        "print(load('strategy', StrategySettings, '/etc/mmquant').model_parameters)"
    )
    once = ("run", "--rm", "--no-deps", "-T", "mm_strategy", "python3", "-c", script)
    assert "'volatility_multiple': 0.25" in compose("--file", str(file), *once)


def test_a_restart_takes_an_edited_setting(probe, config):
    edit(config / "strategy.toml", "levels", "2")
    compose("restart", "mm_strategy")
    since_ns = time.time_ns()
    wait_until("quoting", lambda: probe.quoting_at_ns(since_ns))
    quoted = [m["levels"] for m in probe.since(since_ns, "quotes") if any(m["levels"])]
    assert max(max(levels) for levels in quoted) == 2


def test_a_restart_with_a_wrong_setting_quotes_on_the_last_right_one(probe, config):
    edit(config / "strategy.toml", "levels", "-2")
    compose("restart", "mm_strategy")
    since_ns = time.time_ns()
    wait_until("quoting", lambda: probe.quoting_at_ns(since_ns))
    said = compose("logs", "--since", "1m", "mm_strategy")
    assert "settings refused, the last good ones: " in said
    assert "levels" in said
    quoted = [m["levels"] for m in probe.since(since_ns, "quotes") if any(m["levels"])]
    assert max(max(levels) for levels in quoted) == 2, "as it was before"
    wait_until("healthy", lambda: statuses()["mm_strategy"] == "healthy")
    edit(config / "strategy.toml", "levels", "2")


def test_a_machine_that_starts_anew_keeps_its_venue(probe):
    probe.close()
    compose("stop")  # with the last container the shared memory goes, as when a machine stops
    # The engine starts them all at once, in any order, and knows no `depends_on`.
    run("docker", "start", container("mm_simulator"), container("mm_collector"))
    assert "offline" not in run("docker", "exec", container("mm_collector"), "ls", "/dev/shm/aeron")
    for service in ("mm_simulator", "mm_collector"):
        environment = wait_until("its process", lambda name=service: environment_of(name))
        assert environment["MM_RUNTIME__STATE_DIRECTORY"] == "/var/lib/mmquant/offline"
        assert environment["MM_COLLECTOR__ENDPOINTS__REST_URL"] == "http://mm_venue:9443"
        assert environment["MM_COLLECTOR__ENDPOINTS__WS_URL"] == "ws://mm_venue:9443"
    run("docker", "start", *map(container, reversed(SERVICES)))
    wait_until("all healthy", lambda: statuses() == dict.fromkeys(SERVICES, "healthy"))
    folders = run("docker", "exec", container("mm_simulator"), "ls", "/var/lib/mmquant").split()
    assert "offline" in folders
    assert "binance" not in folders


def environment_of(service: str) -> dict[str, str]:
    """Return what the entrypoint gave the service itself; nothing before it has begun."""
    tini = inspect(service, "{{.State.Pid}}")
    children = Path(f"/proc/{tini}/task/{tini}/children").read_text().split()
    if not children or b"python3" not in Path(f"/proc/{children[0]}/cmdline").read_bytes():
        return {}
    text = Path(f"/proc/{children[0]}/environ").read_text()
    return dict(line.split("=", 1) for line in text.split("\0") if line)


def test_a_container_of_binance_refuses_to_run_beside_the_offline_venue(probe):
    """It is told to go down first, rather than mix two ledgers or two venues."""
    once = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "sh", "mm_pricing", "-c")
    script = (
        "echo $HOSTNAME binance >/var/lib/mmquant/venues/once; "
        "/opt/mmquant/entrypoint mm_pricing; code=$?; rm /var/lib/mmquant/venues/once; exit $code"
    )
    ran = subprocess.run(
        ("docker", "compose", *once, script),
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert ran.returncode == 2
    assert "mm_pricing: cannot start: its container is of a run against Binance" in ran.stderr


def test_down_and_up_again_resume_the_ledger_and_record_the_session(probe, monkeypatch):
    probe.close()
    compose("stop")
    exits = {name: inspect(name, "{{.State.ExitCode}}") for name in SERVICES}
    assert exits == dict.fromkeys(SERVICES, "0"), "each ends within its grace, none is killed"
    once = ("run", "--rm", "--no-deps", "-T")
    before = compose(*once, "mm_simulator", "python3", "-c", LEDGER, FILLS)
    fills_before = int(before.split()[0])
    assert fills_before >= 2
    compose("down")
    session = "/var/lib/mmquant/session"
    monkeypatch.setenv("COMPOSE_PROFILES", "offline,record")
    monkeypatch.setenv("MM_RUNTIME__SESSION__DIRECTORY", session)
    compose("up", "--detach", timeout=120)
    again = Probe()
    wait_until("its position", lambda: again.since(0, "position"))
    first_n = f"FROM (SELECT * FROM fills ORDER BY fill_id LIMIT {fills_before})"
    assert ledger(FILLS.replace("FROM fills", first_n)) == tuple(map(int, before.split()))
    wait_until("the ledger's position", lambda: ledger(FILLS) == again.position())
    assert again.position()[0] >= fills_before
    since_ns = time.time_ns()
    wait_until("quoting", lambda: again.quoting_at_ns(since_ns))
    again.close()
    compose("stop")
    verify = (*once, "mm_recorder", "mm", "verify-session", session)
    assert "EQUAL" in compose(*verify)


def test_down_leaves_nothing(probe):
    probe.close()
    profiles = [
        word for name in ("offline", "monitoring", "record") for word in ("--profile", name)
    ]
    compose(*profiles, "down", "--volumes")
    for kind in ("container", "volume", "network"):
        assert not run("docker", kind, "ls", "-q", "--filter", f"name={PROJECT}").strip()
