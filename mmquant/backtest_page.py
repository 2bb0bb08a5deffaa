"""A backtest's result -> one HTML page that needs nothing else."""

import html
import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

    from mmquant.backtest_result import InstrumentResult, Result

__all__ = ["page_of"]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{ --page: #fff; --text: #111; --field: #f4f4f4; --line: #ccc }}
@media (prefers-color-scheme: dark) {{
:root {{ --page: #1a1a1a; --text: #e6e6e6; --field: #2a2a2a; --line: #555 }}
.plots {{ filter: invert(0.898) hue-rotate(180deg) }} /* white becomes the page's #1a1a1a */
}}
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em;
background: var(--page); color: var(--text) }}
pre {{ background: var(--field); padding: 1em; overflow-x: auto; white-space: pre-wrap }}
h2 {{ margin-top: 1.6em; font-size: 1.15em }}
table {{ border-collapse: collapse; font-size: 13px }}
td, th {{ border: 1px solid var(--line); padding: 2px 8px; text-align: right }}
thead th {{ background: var(--field) }}
</style>{head}</head><body>
<h1>{title}</h1><pre>{summary}</pre><div class="plots">{plots}</div>{tables}
<details><summary>Settings</summary><pre>{settings}</pre></details></body></html>
"""
_SHOWN = {  # of metrics: what it is, and how it is written
    "net_profit": ("profit after fees", "{:+,.4f}"),
    "gross_profit": ("profit before fees", "{:+,.4f}"),
    "fees": ("fees", "{:,.4f}"),
    "funding": ("funding received", "{:+,.4f}"),
    "fee_revaluation": ("what fees paid in coins gained since", "{:+,.4f}"),
    "net_per_hour": ("profit after fees an hour", "{:+,.4f}"),
    "max_drawdown": ("deepest drawdown", "{:,.4f}"),
    "sharpe_per_minute": ("Sharpe ratio of minutes", "{:.3f}"),
    "fills": ("fills", "{:,.0f}"),
    "orders": ("orders", "{:,.0f}"),
    "fill_share": ("share of orders with a fill", "{:.3f}"),
    "notional": ("notional traded", "{:,.0f}"),
    "max_position": ("largest position", "{:g}"),
    "last_position": ("position at the end", "{:+g}"),
    "holding_s": ("time that a position is held (s)", "{:,.1f}"),
    "quoted_share": ("share of time with both sides quoted", "{:.3f}"),
    "live_share": ("share of time with a live book", "{:.3f}"),
    "seconds": ("length (s)", "{:,.1f}"),
}


def page_of(result: "Result") -> str:
    """Return the page."""
    head, plots = _plots(result)
    tables = [
        f"<h2>{html.escape(one.symbol)}: {title}</h2>{text}"
        for one in result.instruments
        for title, text in _tables(result, one)
    ]
    config = result.config
    settings = {name: getattr(config, name) for name in ("strategy", "pricing", "simulator")}
    return _PAGE.format(
        title=html.escape(f"Backtest of {', '.join(result.symbols)}"),
        head=head,
        summary=html.escape(result.summary()),
        plots=plots,
        tables="".join(tables),
        settings=html.escape(json.dumps(settings, indent=2, default=str)),
    )


def _plots(result: "Result") -> tuple[str, str]:
    """Return scripts and figures with the library inside; nothing where it is not installed."""
    try:
        plot = import_module("mmquant.plot")
    except ImportError:
        return "", "<p>Plots need bokeh: pip install 'mmquant[research]'.</p>"
    script, place = plot.parts(result.plot())
    return script, place


def _tables(result: "Result", one: "InstrumentResult") -> list[tuple[str, str]]:
    metrics = result.metrics(one.symbol)
    rows = "".join(
        f"<tr><td style='text-align:left'>{label}</td><td>{form.format(metrics[name])}</td></tr>"
        for name, (label, form) in _SHOWN.items()
        if name in metrics
    )
    beside = []
    if one.bracket():
        title = f"the same quotes under other fill models ({one.money_asset})"
        frame = result.bracket(one.symbol).rename(columns=lambda name: name.replace("_", " "))
        beside = [(title, _html(frame, 4))]
    numbers = (f"numbers (money in the {one.money_asset})", f"<table>{rows}</table>")
    if not one.marks.size:  # without a mid there is nothing to hold a fill against
        return [numbers, *beside]
    return [
        numbers,
        (
            f"where the profit came from, by kind and side of fills ({one.money_asset})",
            _html(_money(result.decomposition(one.symbol), one), 4),
        ),
        ("after a fill, in ticks a lot", _html(_by_seconds(result.markouts(symbol=one.symbol)), 2)),
        *beside,
    ]


def _money(table: "pandas.DataFrame", one: "InstrumentResult") -> "pandas.DataFrame":
    """Return amounts of half tick-lots and the like in the asset of the profit."""
    import pandas

    unit = one.unit
    columns: dict[str, Any] = {"fills": table["fills"], "quantity": table["lots"] * one.lot}
    for name in table.columns:
        if name.endswith("_half_tick_lots"):
            columns[name.removesuffix("_half_tick_lots")] = table[name] / 2 * unit
        elif name.endswith("_micro_tick_lots"):
            columns[name.removesuffix("_micro_tick_lots")] = table[name] / 1e6 * unit
    return pandas.DataFrame(columns).rename(columns=lambda name: name.replace("_", " "))


def _by_seconds(table: "pandas.DataFrame") -> "pandas.DataFrame":
    """Return the rows of all kinds of fills, horizons in seconds."""
    rows = table[table.index.get_level_values("kind") == "all"].droplevel("kind").reset_index()
    rows["horizon_ns"] /= 1e9
    names = {"horizon_ns": "horizon (s)", "realised_error_ticks": "standard error of realised"}
    rows = rows.rename(columns=names)
    return rows.rename(columns=lambda name: name.removesuffix("_ticks")).set_index(
        ["horizon (s)", "side"]
    )


def _html(table: "pandas.DataFrame", digits: int) -> str:
    text: str = table.to_html(float_format=lambda value: f"{value:,.{digits}f}", border=0)
    return text
