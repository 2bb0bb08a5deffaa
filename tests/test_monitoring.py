"""The files of docker/monitoring: valid, consistent with each other, alerts held to their tests."""

import re
import runpy
import shutil
import subprocess
import tomllib

import pytest
from mm_runtime.health import OPTIONAL, SERVICES
from mm_runtime.metrics_table import METRICS
from monitoring_files import (
    FOLDER,
    PROMETHEUS,
    ROOT,
    alert_expressions,
    dashboards,
    metric_names,
    panel_expressions,
)

from mmquant.codes import Role

promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="no promtool (apt-get install prometheus): Prometheus' files are not checked",
)
KNOWN = {metric.name for metric in METRICS.values()} | {
    "mmquant_process_cpu_seconds_total",
    "mmquant_process_resident_memory_bytes",
    "mmquant_process_start_time_seconds",
}
GRID_WIDTH = 24


@promtool
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts_test.yml"),
        ("test", "rules", "alerts_hours_test.yml"),
    ],
    ids=lambda arguments: arguments[-1],
)
def test_promtool_accepts(arguments):
    command = ["promtool", *arguments]
    done = subprocess.run(command, cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_every_alert_has_a_test_in_which_it_fires():
    text = "".join(path.read_text() for path in sorted(PROMETHEUS.glob("*_test.yml")))
    fires = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n", text))
    assert fires == set(alert_expressions())


def test_every_alert_says_how_bad_it_is_and_what_to_do():
    text = (PROMETHEUS / "alerts.yml").read_text()
    rules = text.split("- alert: ")[1:]
    assert len(rules) == len(alert_expressions()) > 10
    for rule in rules:
        assert re.search(r"labels: \{severity: (critical|warning)\}", rule), rule
        assert re.search(r'summary: ".+"', rule), rule
        assert re.search(r"runbook: docs/operations\.md#[a-z-]+\n", rule), rule


def test_the_scrape_configuration_names_every_service_with_its_port():
    base = tomllib.loads((ROOT / "config" / "runtime.toml").read_text())["metrics"]["base_port"]
    text = (PROMETHEUS / "prometheus.yml").read_text()
    found = re.findall(r'targets: \["(\w+):(\d+)"\]\n +labels: \{service: (\w+)\}', text)
    assert found == [(name, str(base + int(Role[name.upper()])), name) for name in SERVICES]
    sometimes = re.findall(r"\{names: \[(\w+)\], type: A, port: (\d+),", text)
    assert sometimes == [(name, str(base + int(Role[name.upper()]))) for name in OPTIONAL]


@pytest.mark.parametrize(
    ("where", "expression"), [*alert_expressions().items(), *panel_expressions().items()]
)
def test_every_metric_that_is_asked_for_exists(where, expression):
    assert metric_names(expression) <= KNOWN
    assert metric_names(expression) or re.search(r"\b(up|ALERTS)\b", expression)


def test_the_dashboards_are_what_their_source_makes():
    source = runpy.run_path(str(FOLDER / "grafana" / "make_dashboards.py"))
    made = source["documents"]()
    on_disk = {p.name: p.read_text() for p in (FOLDER / "grafana" / "dashboards").iterdir()}
    assert on_disk == made, "run python docker/monitoring/grafana/make_dashboards.py"


@pytest.mark.parametrize("name", dashboards())
def test_panels_have_titles_and_units_and_do_not_overlap(name):
    panels = dashboards()[name]["panels"]
    titles = [panel["title"] for panel in panels]
    assert len(set(titles)) == len(titles) > 5
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= GRID_WIDTH
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] in ("stat", "timeseries"):
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
            assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"], panel["title"]


def test_dashboards_and_provisioning_agree_on_the_datasources():
    text = (FOLDER / "grafana" / "provisioning" / "datasources" / "mmquant.yml").read_text()
    uids = set(re.findall(r"uid: (\w+)", text))
    used = {
        target["datasource"]["uid"]
        for dashboard in dashboards().values()
        for panel in dashboard["panels"]
        for target in panel["targets"]
    }
    assert used == uids == {"prometheus", "loki"}
    assert len({dashboard["uid"] for dashboard in dashboards().values()}) == len(dashboards())


def test_the_log_shipper_reads_the_names_that_the_services_write():
    text = (FOLDER / "alloy" / "config.alloy").read_text()
    assert '"__path__" = "/logs/*.log.*"' in text
    pattern = re.search(r'stage\.regex \{\n +expression = "(.+)"', text)
    assert pattern is not None
    line = "2026-11-22T17:00:00.123Z WARNING mm_collector GAP after 3"
    found = re.match(pattern[1].replace("\\\\", "\\"), line)
    assert found is not None
    assert found.groupdict() == {
        "time": "2026-11-22T17:00:00.123Z",
        "level": "WARNING",
        "service": "mm_collector",
    }
