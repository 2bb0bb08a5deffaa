"""A real Prometheus on the running system: what it scrapes, what the dashboards see, what fires."""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from mm_cli.launcher import Launcher, Plan, VenuePlan
from mm_runtime.health import SERVICES
from mm_runtime.metrics_table import METRICS
from monitoring_files import PROMETHEUS, ROOT, alert_expressions, metric_names, panel_expressions
from ports import free_base_port
from prometheus_client.parser import text_string_to_metric_families

from mmquant.codes import Role

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        shutil.which("prometheus") is None,
        reason="no Prometheus (apt-get install prometheus): nothing is scraped for real",
    ),
]
PATIENCE_S = 120.0  # a limit for a test that hangs, not a measurement
# What a healthy run has nothing to show of.
SILENT_IN_HEALTH = {"mmquant_frames_dropped_total", "mmquant_events_total"}
OF_SPOT = {"mmquant_balance"}
EMPTY_IN_HEALTH = {
    "overview.json: Alerts firing: A",
    "transport.json: Frames not used: A",
    "transport.json: Messages dropped and conflated: A",
    "transport.json: Messages dropped and conflated: B",
}


class System:
    """The pipeline under its launcher, and a Prometheus that scrapes it."""

    def __init__(self, launcher, base_port, url):
        self.launcher = launcher
        self.base_port = base_port
        self.url = url
        self.turn = launcher.watch

    def api(self, path, **parameters):
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            document = json.load(answer)
        assert document["status"] == "success", document
        return document["data"]

    def query(self, expression):
        return self.api("query", query=expression)["result"]

    def firing(self):
        return {
            (alert["labels"]["alertname"], alert["labels"].get("service"))
            for alert in self.api("alerts")["alerts"]
            if alert["state"] == "firing"
        }

    def metrics(self, service):
        port = self.base_port + int(Role[service.upper()])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return answer.read().decode()

    def wait_until(self, done, what):
        deadline = time.monotonic() + PATIENCE_S
        next_look_s = 0.0
        while True:
            assert time.monotonic() < deadline, f"never: {what}"
            if self.turn() == 0:
                time.sleep(0.002)
            if time.monotonic() >= next_look_s:
                next_look_s = time.monotonic() + 0.3
                try:
                    if done():
                        return
                except (urllib.error.URLError, ConnectionError):
                    continue  # Prometheus is still starting


def local_configuration(folder, base_port):
    """Write the project's own configuration, its services on this machine, and in a hurry."""
    text = (PROMETHEUS / "prometheus.yml").read_text()
    for service in SERVICES:
        port = int(Role[service.upper()])
        text = text.replace(f"{service}:{9810 + port}", f"127.0.0.1:{base_port + port}")
    text = text.replace(": 5s", ": 1s").replace(": 4s", ": 1s")
    (folder / "prometheus.yml").write_text(text)
    shutil.copy(PROMETHEUS / "alerts.yml", folder)


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    folder = tmp_path_factory.mktemp("monitoring")
    base_port = free_base_port()
    local_configuration(folder, base_port)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MM_RUNTIME__AERON__DIRECTORY", f"/dev/shm/mmquant-monitoring-{os.getpid()}")
        patch.setenv("MM_RUNTIME__STATE_DIRECTORY", str(folder / "var"))
        patch.setenv("MM_RUNTIME__LOGS__DIRECTORY", str(folder / "logs"))
        patch.setenv("MM_RUNTIME__METRICS__BASE_PORT", str(base_port))
        plan = Plan(
            name="test",
            fresh=True,
            config_dir=ROOT / "config",
            venue=VenuePlan(),
            # Quotes that fill quickly, and estimates that are warm at once.
            environment={
                "MM_STRATEGY__MODEL_PARAMETERS__VOLATILITY_MULTIPLE": "0.1",
                "MM_PRICING__WARMUP_S": "0.5",
            },
        )
        with Launcher(plan) as launcher, prometheus(folder, base_port) as url:
            system = System(launcher, base_port, url)
            system.wait_until(
                lambda: len(system.query('up{job="mmquant"} == 1')) == len(SERVICES),
                "all targets up",
            )
            system.wait_until(
                lambda: (
                    system.query("rate(mmquant_fills_total[1m]) > 0")
                    and system.query("rate(mmquant_quote_latency_seconds_count[1m]) > 0")
                ),
                "fills and quotes scraped",
            )
            yield system


class prometheus:
    """A Prometheus of our own: `with prometheus(folder, port) as url`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.command = [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]

    def __enter__(self) -> str:
        self.process = subprocess.Popen(self.command, stderr=subprocess.DEVNULL)
        return self.url

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def test_every_expression_of_dashboards_and_alerts_parses_and_the_panels_show_something(system):
    empty = set(panel_expressions())

    def all_show_something():  # a rate takes two scrapes of each service
        expressions = panel_expressions().items()
        empty.intersection_update({at for at, query in expressions if not system.query(query)})
        return empty <= EMPTY_IN_HEALTH

    system.wait_until(all_show_something, "a result of every panel")
    for expression in alert_expressions().values():
        system.query(expression)


def test_what_dashboards_and_alerts_ask_for_is_really_shown(system):
    shown = {
        family.name + ("_total" if family.type == "counter" else "")
        for service in SERVICES
        for family in text_string_to_metric_families(system.metrics(service))
    }
    asked = {
        name
        for expression in (*alert_expressions().values(), *panel_expressions().values())
        for name in metric_names(expression)
    }
    assert asked - shown <= SILENT_IN_HEALTH


def test_the_table_of_metrics_is_what_the_services_show(system):
    table = {metric.name: metric for metric in METRICS.values()}
    seen = set()
    for service in SERVICES:
        for family in text_string_to_metric_families(system.metrics(service)):
            name = family.name + ("_total" if family.type == "counter" else "")
            if name.startswith("mmquant_process_"):
                continue
            metric = table[name]
            assert family.type == metric.kind, name
            assert metric.service in ("", service), name
            for sample in family.samples:
                assert set(sample.labels) - {"le"} == set(metric.labels), name
            seen.add(name)
    assert set(table) - seen <= SILENT_IN_HEALTH | OF_SPOT


def test_the_figures_agree_with_the_ledger_and_with_each_other(system):
    text = system.metrics("mm_simulator")
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    desks = system.launcher.monitor.desks
    system.wait_until(
        lambda: int(desks[1].position[0]["fills"]) >= values["mmquant_fills_total", "BTCUSDT"],
        "the position that was scraped",
    )
    assert 0 < values["mmquant_fills_total", "BTCUSDT"]
    assert (
        values["mmquant_fills_total", "BTCUSDT"] <= values["mmquant_orders_placed_total", "BTCUSDT"]
    )
    assert abs(values["mmquant_position", "BTCUSDT"]) <= 0.1
    book = system.query('mmquant_book_state{state="live"}')[0]["metric"]
    assert (book["symbol"], book["service"]) == ("BTCUSDT", "mm_collector")
    latency = 'mmquant_quote_latency_seconds_sum{hop="%s"}'
    parts = ("collector", "collector_to_pricing", "pricing", "pricing_to_strategy", "strategy")
    text = system.metrics("mm_strategy")
    sums = {
        sample.labels["hop"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == latency.partition("{")[0]
    }
    assert sum(sums[part] for part in parts) == pytest.approx(sums["tick_to_quote"])


def test_nothing_fires_in_health_and_a_killed_service_does(system):
    assert system.firing() == set()
    assert {row["value"][1] for row in system.query("mmquant_healthy")} == {"1"}
    system.turn = system.launcher.monitor.poll  # streams are read, the dead stay dead
    process = system.launcher.processes.children["mm_pricing"].process
    process.send_signal(signal.SIGKILL)
    system.wait_until(lambda: ("ServiceDown", "mm_pricing") in system.firing(), "ServiceDown")
    strategy = system.query('mmquant_healthy{service="mm_strategy"}')[0]
    assert strategy["value"][1] == "0"
    assert system.query('mmquant_reason{service="mm_strategy"}')[0]["metric"]["reason"] == (
        "upstream_silent"
    )
    # Everybody else goes on.
    assert {row["metric"]["service"] for row in system.query("mmquant_healthy == 1")} >= {
        "aeronmd",
        "mm_collector",
    }
