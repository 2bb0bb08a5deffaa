"""What Compose makes of its files, without starting the system: limits, overrides, two machines."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from mm_runtime.config import load
from mm_runtime.settings import CollectorSettings, RuntimeSettings

pytestmark = pytest.mark.compose

ROOT = Path(__file__).parents[1]
OURS = {
    "aeronmd", "mm_collector", "mm_pricing", "mm_recorder", "mm_simulator", "mm_strategy",
    "mm_venue",
}  # fmt: skip
PROFILES = ("--profile", "offline", "--profile", "monitoring", "--profile", "record")
MACHINES = ["10.0.0.1:40100", "10.0.0.2:40100"]


def services(folder=ROOT, *files, **environment):
    """Return each service as Compose understands it."""
    given = [word for name in files for word in ("-f", name)]
    command = ["docker", "compose", *given, *PROFILES, "config", "--format", "json"]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MM_")}
    done = subprocess.run(
        command, cwd=folder, env=clean | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["services"]


def environment_of(service):
    """Return what reaches the container: the engine leaves out what has no value."""
    given = service.get("environment", {})
    return {key: value for key, value in given.items() if value is not None}


def test_every_container_is_limited_and_has_no_rights():
    found = services()
    assert found.keys() > OURS
    for name, one in found.items():
        assert one["read_only"], name
        assert one["cap_drop"] == ["ALL"], name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert int(one["mem_limit"]) <= 2**30, name
        assert 0 < one["cpus"] <= 2, name
        assert 0 < one["pids_limit"] <= 256, name
        assert one["logging"]["options"]["mode"] == "non-blocking", name


def test_without_overrides_the_files_alone_count():
    for name in OURS:
        assert not environment_of(services()[name]), name


@pytest.fixture
def copy(tmp_path):
    """Return a folder with the compose file, for a .env beside it."""
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    return tmp_path


def test_overrides_in_the_file_and_where_compose_is_called_reach_every_service(copy):
    (copy / ".env").write_text(
        'MM_LOG=error\nMM_COLLECTOR__SYMBOLS=["ETHUSDT", "BTCUSDT"]\nMM_RUNTIME__LOGS__JSON=true\n'
        "MM_RUNTIME__SESSION__DIRECTORY=/var/lib/mmquant/one\n"
    )
    found = services(copy, MM_LOG="debug")
    for name in OURS:
        environment = environment_of(found[name])
        assert environment["MM_LOG"] == "debug", "who calls stands above the file"
        runtime = load("runtime", RuntimeSettings, ROOT / "config", environment)
        assert runtime.logs.json
        assert runtime.session.directory == "/var/lib/mmquant/one"
        collector = load("collector", CollectorSettings, ROOT / "config", environment)
        assert list(collector.symbols) == ["ETHUSDT", "BTCUSDT"]
    assert "MM_LOG" not in environment_of(found["prometheus"])


@pytest.mark.parametrize("machine", MACHINES)
def test_the_example_of_two_machines_gives_each_service_its_addresses(machine):
    files = ("docker-compose.yml", "docker/multi-host.example.yml")
    found = services(ROOT, *files, MACHINE=machine)
    for name in OURS - {"mm_venue", "mm_recorder"}:
        runtime = load("runtime", RuntimeSettings, ROOT / "config", environment_of(found[name]))
        assert list(runtime.aeron.machines) == MACHINES, name
        assert runtime.aeron.machine == machine, name
        shares_the_host = found[name].get("network_mode") == "host"
        assert shares_the_host == (name == "aeronmd"), "it alone opens UDP sockets"
    # Prometheus asks aeronmd by its name, on the address where its metrics are served.
    aeronmd = load("runtime", RuntimeSettings, ROOT / "config", environment_of(found["aeronmd"]))
    assert aeronmd.metrics.host == "172.17.0.1"
    assert found["prometheus"]["extra_hosts"] == ["aeronmd=host-gateway"]
