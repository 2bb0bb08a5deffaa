"""What the files in docker/monitoring say, for the tests that hold them to the running system."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docker" / "monitoring"
PROMETHEUS = FOLDER / "prometheus"
METRIC_NAME = re.compile(r"\bmmquant_\w+")
_SUFFIXES = ("_bucket", "_count", "_sum")


def dashboards() -> dict[str, dict]:
    """Return every dashboard by its file's name."""
    files = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))
    return {path.name: json.loads(path.read_text()) for path in files}


def panel_expressions() -> dict[str, str]:
    """Return every PromQL expression of the dashboards, by dashboard, panel and query."""
    return {
        f"{name}: {panel['title']}: {target['refId']}": target["expr"].replace("$symbol", ".+")
        for name, dashboard in dashboards().items()
        for panel in dashboard["panels"]
        for target in panel["targets"]
        if target["datasource"]["type"] == "prometheus"
    }


def alert_expressions() -> dict[str, str]:
    """Return every rule's expression by its name."""
    text = (PROMETHEUS / "alerts.yml").read_text()
    return dict(re.findall(r"- alert: (\w+)\n +expr: >-\n +(.+)\n", text))


def metric_names(expression: str) -> set[str]:
    """Return the metrics that an expression speaks of; a histogram's series by its own name."""
    names = set()
    for name in METRIC_NAME.findall(expression):
        for suffix in _SUFFIXES:
            name = name.removesuffix(suffix)
        names.add(name)
    return names
