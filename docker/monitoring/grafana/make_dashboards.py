"""The dashboards as code: writes dashboards/*.json anew (python make_dashboards.py)."""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "dashboards"
PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
LOKI = {"type": "loki", "uid": "loki"}
GREEN, AMBER, RED, BLUE = "green", "orange", "red", "blue"
ROW_HEIGHT = 8
WIDTH = 24
TICK_TO_QUOTE = 'mmquant_quote_latency_seconds_bucket{hop="tick_to_quote"}'

Panel = dict[str, Any]
Query = tuple[str, str]  # expression, legend


def thresholds(*steps: tuple[float | None, str]) -> dict[str, Any]:
    """Return colours from each value upwards; the first value is None."""
    return {
        "mode": "absolute",
        "steps": [{"value": value, "color": colour} for value, colour in steps],
    }


PLAIN = thresholds((None, BLUE))
YES_IS_GOOD = thresholds((None, RED), (1, GREEN))


def up_to(amber: float, red: float) -> dict[str, Any]:
    """Return green, then amber and red from the values given."""
    return thresholds((None, GREEN), (amber, AMBER), (red, RED))


def _targets(queries: list[Query], instant: bool) -> list[dict[str, Any]]:
    return [
        {
            "refId": chr(ord("A") + i),
            "expr": expression,
            "legendFormat": legend,
            "datasource": PROMETHEUS,
            "instant": instant,
            "range": not instant,
        }
        for i, (expression, legend) in enumerate(queries)
    ]


def stat(
    title: str,
    queries: list[Query],
    unit: str = "none",
    colours: dict[str, Any] = PLAIN,
    words: dict[str, str] | None = None,
    text_mode: str = "auto",
    width: int = 4,
    about: str = "",
) -> Panel:
    """Return the present value, large; `words` stand for values (`{"1": "yes"}`)."""
    mappings = [{"type": "value", "options": {k: {"text": v} for k, v in (words or {}).items()}}]
    return {
        "type": "stat",
        "title": title,
        "description": about,
        "width": width,
        "height": 4,
        "datasource": PROMETHEUS,
        "targets": _targets(queries, instant=True),
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "decimals": None if unit != "none" or words else 2,
                "thresholds": colours,
                "mappings": mappings,
            },
            "overrides": [],
        },
        "options": {
            "colorMode": "background",
            "graphMode": "none",
            "textMode": text_mode,
            "reduceOptions": {"calcs": ["lastNotNull"]},
        },
    }


def graph(
    title: str,
    queries: list[Query],
    unit: str,
    colours: dict[str, Any] | None = None,
    width: int = 12,
    stacked: bool = False,
    log: bool = False,
    about: str = "",
) -> Panel:
    """Return values over time; thresholds are drawn where they are given."""
    custom: dict[str, Any] = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 20 if stacked else 5,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stacked else "none"},
        "scaleDistribution": {"type": "log", "log": 10} if log else {"type": "linear"},
        "thresholdsStyle": {"mode": "line" if colours else "off"},
    }
    return {
        "type": "timeseries",
        "title": title,
        "description": about,
        "width": width,
        "height": ROW_HEIGHT,
        "datasource": PROMETHEUS,
        "targets": _targets(queries, instant=False),
        "fieldConfig": {
            "defaults": {"unit": unit, "custom": custom, "thresholds": colours or PLAIN},
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def logs(title: str, expression: str) -> Panel:
    """Return the newest lines of the logs."""
    return {
        "type": "logs",
        "title": title,
        "width": WIDTH,
        "height": ROW_HEIGHT,
        "datasource": LOKI,
        "targets": [{"refId": "A", "expr": expression, "datasource": LOKI}],
        "options": {"showTime": False, "wrapLogMessage": True, "sortOrder": "Descending"},
    }


def alerts(title: str) -> Panel:
    """Return the alerts that fire at present, worst first."""
    expression = 'sum by (severity, alertname, service, symbol) (ALERTS{alertstate="firing"})'
    return {
        "type": "table",
        "title": title,
        "width": WIDTH,
        "height": 5,
        "datasource": PROMETHEUS,
        "targets": [{**_targets([(expression, "")], instant=True)[0], "format": "table"}],
        "fieldConfig": {"defaults": {"noValue": "no alert is firing"}, "overrides": []},
        "options": {"sortBy": [{"displayName": "severity"}]},
        "transformations": [
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True, "Value": True},
                    "indexByName": {"severity": 0, "alertname": 1, "service": 2, "symbol": 3},
                },
            }
        ],
    }


def dashboard(uid: str, title: str, panels: list[Panel], symbols: bool = False) -> dict[str, Any]:
    """Return a dashboard; panels flow from left to right in the order given."""
    x = y = height = 0
    for number, panel in enumerate(panels, start=1):
        width = panel.pop("width")
        if x + width > WIDTH:
            x, y, height = 0, y + height, 0
        position = {"x": x, "y": y, "w": width, "h": panel.pop("height")}
        panel.update(id=number, gridPos=position)
        x, height = x + width, max(height, position["h"])
    variable = {
        "name": "symbol",
        "label": "Symbol",
        "type": "query",
        "datasource": PROMETHEUS,
        "query": "label_values(mmquant_quoting, symbol)",
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
    }
    return {
        "uid": uid,
        "title": title,
        "tags": ["mmquant"],
        "timezone": "utc",
        "schemaVersion": 39,
        "editable": False,
        "refresh": "5s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {"list": [variable] if symbols else []},
        "links": [
            {"type": "dashboards", "tags": ["mmquant"], "title": "mmquant", "asDropdown": True}
        ],
        "panels": panels,
    }


def overview() -> dict[str, Any]:
    """Return the first look: is it up, is it quoting, what is wrong."""
    health = {"0": "unhealthy", "1": "healthy"}
    panels = [
        stat(
            "Health of each service",
            [('mmquant_healthy or on (service) (up{job="mmquant"} == 0)', "{{service}}")],
            colours=YES_IS_GOOD,
            words=health,
            text_mode="value_and_name",
            width=WIDTH,
            about="A service that does not answer counts as unhealthy.",
        ),
        alerts("Alerts firing"),
        stat("Quoting", [("mmquant_quoting", "{{symbol}}")], colours=YES_IS_GOOD,
             words={"0": "no quotes", "1": "quoting"}, text_mode="value_and_name"),
        stat("State of mm_strategy", [('mmquant_reason{service="mm_strategy"}', "{{reason}}")],
             text_mode="name", about="The reason of its state; none: all is well."),
        stat("Book", [('mmquant_book_state{state="live"}', "{{symbol}}")], colours=YES_IS_GOOD,
             words={"0": "not LIVE", "1": "LIVE"}, text_mode="value_and_name"),
        stat("Profit, net", [("sum(mmquant_profit)", "")],
             colours=thresholds((None, RED), (0, GREEN)), about="In the quote asset."),
        stat("Shared memory in use",
             [("mmquant_shared_memory_used_bytes / mmquant_shared_memory_limit_bytes", "")],
             unit="percentunit", colours=up_to(0.6, 0.8)),
        stat("Quote latency, p99",
             [(f"histogram_quantile(0.99, sum by (le) (rate({TICK_TO_QUOTE}[5m])))", "")],
             unit="s", colours=up_to(0.01, 0.05)),
        graph("Frames from the venue", [("rate(mmquant_frames_total[1m])", "frames")], "ops"),
        graph("Quotes and fills",
              [("sum(rate(mmquant_quotes_total[1m]))", "quotes"),
               ("sum by (symbol) (rate(mmquant_fills_total[1m]))", "fills {{symbol}}")], "ops"),
        graph("Resident memory", [("mmquant_process_resident_memory_bytes", "{{service}}")],
              "bytes", width=8),
        graph("Processor time", [("rate(mmquant_process_cpu_seconds_total[1m])", "{{service}}")],
              "percentunit", width=8, about="Of one core."),
        graph("Time since start",
              [("time() - mmquant_process_start_time_seconds", "{{service}}")], "s", width=8),
        logs("Warnings and errors", '{job="mmquant", level=~"WARNING|ERROR|CRITICAL"}'),
    ]  # fmt: skip
    return dashboard("mmquant-overview", "mmquant overview", panels)


def trading() -> dict[str, Any]:
    """Return what is quoted, what was filled, what it earned and where that came from."""
    chosen = '{symbol=~"$symbol"}'
    panels = [
        stat("Quoting", [(f"mmquant_quoting{chosen}", "{{symbol}}")], colours=YES_IS_GOOD,
             words={"0": "no quotes", "1": "quoting"}, text_mode="value_and_name", width=6),
        stat("Position", [(f"mmquant_position{chosen}", "{{symbol}}")], unit="none",
             text_mode="value_and_name", width=6, about="In the base asset."),
        stat("Profit, net", [(f"sum by (symbol) (mmquant_profit{chosen})", "{{symbol}}")],
             unit="none", colours=thresholds((None, RED), (0, GREEN)),
             text_mode="value_and_name", width=6, about="In the quote asset, after fees."),
        stat("Fills in the last hour",
             [(f"increase(mmquant_fills_total{chosen}[1h])", "{{symbol}}")],
             unit="none", text_mode="value_and_name", width=6),
        graph("Fair value and quotes",
              [(f"mmquant_fair_value{chosen}", "{{symbol}} fair value"),
               (f"mmquant_reservation_price{chosen}", "{{symbol}} reservation price"),
               (f"mmquant_quote_price{chosen}", "{{symbol}} {{side}}")], "none", width=WIDTH,
              about="In the quote asset."),
        graph("Position over time", [(f"mmquant_position{chosen}", "{{symbol}}")], "none",
              about="In the base asset."),
        graph("Profit by part", [(f"mmquant_profit{chosen}", "{{symbol}} {{part}}")], "none",
              about="In the quote asset; the parts add up to the net profit."),
        graph("Volatility", [(f"mmquant_volatility_per_sqrt_second{chosen}", "{{symbol}}")],
              "none", about="In the quote asset, a square root of a second."),
        graph("Half spread quoted",
              [('(mmquant_quote_price{symbol=~"$symbol",side="ask"} - on (symbol) '
                'mmquant_quote_price{symbol=~"$symbol",side="bid"}) / 2', "{{symbol}}")],
              "none", about="In the quote asset."),
        graph("Why there are no quotes",
              [("sum by (reason) (rate(mmquant_quotes_withheld_total[1m]))", "{{reason}}")],
              "ops", stacked=True, about="Quotes messages without quotes, by reason."),
        graph("Orders by what became of them",
              [("sum by (status) (rate(mmquant_order_updates_total[1m]))", "{{status}}")], "ops"),
    ]  # fmt: skip
    return dashboard("mmquant-trading", "mmquant trading", panels, symbols=True)


def transport() -> dict[str, Any]:
    """Return how long everything takes, and what is lost on the way."""

    def quantile(q: float, by: str, match: str) -> str:
        rate = f"rate(mmquant_quote_latency_seconds_bucket{match}[1m])"
        return f"histogram_quantile({q}, sum by ({by}) ({rate}))"

    whole = '{hop="tick_to_quote"}'
    panels = [
        graph("Tick to quote",
              [(quantile(q, "le", whole), f"p{q * 100:g}") for q in (0.5, 0.9, 0.99)], "s",
              colours=up_to(0.01, 0.05), log=True,
              about="From the frame off the socket to the quotes sent."),
        graph("Quote latency by hop, p99",
              [(quantile(0.99, "le, hop", '{hop!="tick_to_quote"}'), "{{hop}}")], "s", log=True),
        graph("Feed lag", [("mmquant_feed_lag_seconds", "lag")], "s", colours=up_to(0.5, 1),
              about="Age of the newest frame by the venue's stamp; below 0 a clock is wrong."),
        graph("Longest turn of the loop", [("mmquant_longest_turn_seconds", "{{service}}")], "s",
              colours=up_to(0.1, 0.5), log=True),
        graph("Messages sent",
              [("sum by (stream) (rate(mmquant_messages_sent_total[1m]))", "{{stream}}")], "ops"),
        graph("Messages dropped and conflated",
              [("sum by (service, stream) (rate(mmquant_messages_dropped_total[1m])) > 0",
                "{{service}} {{stream}} dropped"),
               ("sum by (service, stream) (rate(mmquant_messages_conflated_total[1m])) > 0",
                "{{service}} {{stream}} conflated")], "ops", about="Nothing drawn: nothing lost."),
        graph("Back-pressure",
              [("sum by (service, stream) (rate(mmquant_messages_back_pressured_total[1m]))",
                "{{service}} {{stream}}")], "ops", about="Offers refused: a subscriber is behind."),
        graph("Messages waiting", [("mmquant_messages_queued", "{{service}} {{stream}}")], "short"),
        graph("Shared memory",
              [("mmquant_shared_memory_used_bytes", "used"),
               ("mmquant_shared_memory_limit_bytes", "limit")], "bytes"),
        graph("Silence of inputs and peers",
              [("mmquant_input_age_seconds", "{{service}} hears {{stream}}"),
               ("mmquant_heartbeat_age_seconds", "{{service}} hears {{peer}}")], "s",
              colours=up_to(1, 5), log=True),
        graph("Books: gaps, crossings, resyncs",
              [("increase(mmquant_book_gaps_total[5m])", "gaps {{symbol}}"),
               ("increase(mmquant_book_crossings_total[5m])", "crossings {{symbol}}"),
               ("increase(mmquant_resyncs_total[5m])", "resyncs")], "short",
              about="In the last five minutes."),
        graph("Frames not used",
              [("sum by (cause) (rate(mmquant_frames_dropped_total[1m]))", "{{cause}}")], "ops"),
    ]  # fmt: skip
    return dashboard("mmquant-transport", "mmquant transport and latency", panels)


def documents() -> dict[str, str]:
    """Return the text of every dashboard's file by its name."""
    made = {"overview": overview(), "trading": trading(), "transport": transport()}
    return {f"{name}.json": json.dumps(what, indent=2) + "\n" for name, what in made.items()}


if __name__ == "__main__":
    for name, text in documents().items():
        (HERE / name).write_text(text)
