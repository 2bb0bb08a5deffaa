"""What was held, what it earned, and where that came from."""

import numpy as np
import pandas as pd

from mmquant.plot.figures import COLOURS, Figure, empty, finish, line, new_figure
from mmquant.plot.tables import frame, has, series, times

__all__ = ["decomposition", "equity", "inventory"]

_PARTS = (
    ("spread", "spread earned", "green", "solid"),
    ("adverse_selection", "adverse selection", "red", "solid"),
    ("inventory", "inventory", "orange", "solid"),
    ("fees", "fees", "pink", "solid"),
)
_RARE_PARTS = (
    ("funding", "funding", "sky", "solid"),
    ("fee_revaluation", "fees paid in coins, since", "pink", "dashed"),
)


def inventory(
    position: pd.Series,
    limit: float | None = None,
    title: str = "Position",
    unit: str = "base asset",
) -> Figure:
    """Return the position over time, and its limits where given.

    Parameters
    ----------
    position : Series
        Index times; positive is long.
    limit : float, optional
        Drawn on both sides.
    title : str
    unit : str
        Of the position.
    """
    values = series("position", position)
    plot = new_figure(title, "time (UTC)", f"position ({unit})", is_time=True, height=260)
    if values.empty:
        return empty(plot)
    xs, ys = times(values), values.to_numpy(np.float64)
    line(plot, xs, np.zeros(xs.size), "", COLOURS["grey"], width=0.8)
    if limit is not None:
        for sign in (1, -1):
            edge = np.full(2, sign * float(limit))
            ends = xs[[0, -1]]
            line(plot, ends, edge, "limit", COLOURS["red"], dash="dashed", width=1.0)
    line(plot, xs, ys, "position", COLOURS["blue"], is_step=True)
    return finish(plot)


def equity(table: pd.DataFrame, unit: str = "quote asset", title: str = "Equity") -> Figure:
    """Return the profit over time with and without fees.

    Parameters
    ----------
    table : DataFrame
        Index times; columns `equity` (after fees) and `fees` (paid so far, positive where they
        cost).
    unit : str
        What profit is counted in.
    title : str
    """
    frame("table", table, ("equity", "fees"))
    plot = new_figure(title, "time (UTC)", f"profit ({unit})", is_time=True)
    if table.empty:
        return empty(plot)
    xs, net = times(table), table["equity"].to_numpy(np.float64)
    gross = net + table["fees"].to_numpy(np.float64)
    line(plot, xs, np.zeros(xs.size), "", COLOURS["grey"], width=0.8)
    line(plot, xs, gross, "before fees", COLOURS["sky"], is_step=True)
    line(plot, xs, net, "after fees", COLOURS["blue"], is_step=True, width=2.0)
    return finish(plot)


def decomposition(
    table: pd.DataFrame, unit: str = "quote asset", title: str = "Where the profit came from"
) -> Figure:
    """Return the parts of the profit over time, or by kind of fill: they add up to the total.

    Parameters
    ----------
    table : DataFrame
        Index times; columns `spread`, `adverse_selection`, `inventory`, `fees` (positive where
        they cost), and where there are `funding` and `fee_revaluation`: each so far, such as
        `result.positions()` of a backtest has them.
        Total = spread + adverse_selection + inventory - fees + funding + fee_revaluation.
        Or an index of kinds and sides and the first four columns: `result.decomposition()`.
    unit : str
    title : str
    """
    frame("table", table, tuple(name for name, *_ in _PARTS))
    if table.index.nlevels > 1:
        return _by_fills(table, unit, title)
    plot = new_figure(title, "time (UTC)", f"profit ({unit})", is_time=True, height=340)
    if table.empty:
        return empty(plot)
    xs = times(table)
    total = np.zeros(xs.size)
    line(plot, xs, np.zeros(xs.size), "", COLOURS["grey"], width=0.8)
    for name, label, colour, dash in (*_PARTS, *_RARE_PARTS):
        is_rare = (name, label, colour, dash) in _RARE_PARTS
        if not has(table, name) or (is_rare and not table[name].any()):
            continue
        ys = table[name].to_numpy(np.float64) * (-1 if name == "fees" else 1)
        total += ys
        line(plot, xs, ys, label, COLOURS[colour], is_step=True, dash=dash)
    line(plot, xs, total, "total", COLOURS["black"], is_step=True, width=2.2)
    return finish(plot)


def _by_fills(table: pd.DataFrame, unit: str, title: str) -> Figure:
    """Return the parts as bars beside each other, a group a row of the table."""
    plot = new_figure(title, "fills", f"profit ({unit})", height=340)
    if table.empty:
        return empty(plot)
    groups = np.arange(len(table))
    width = 0.8 / (len(_PARTS) + 1)
    total = np.zeros(len(table))
    for place, (name, label, colour, _) in enumerate(_PARTS):
        ys = table[name].to_numpy(np.float64) * (-1 if name == "fees" else 1)
        total += ys
        xs = groups + width * (place - len(_PARTS) / 2)
        plot.vbar(x=xs, top=ys, width=width, color=COLOURS[colour], legend_label=label)
    xs = groups + width * (len(_PARTS) / 2)
    plot.vbar(x=xs, top=total, width=width, color=COLOURS["black"], legend_label="total")
    plot.xaxis.ticker = groups.tolist()
    names = [", ".join(map(str, row)) for row in table.index]
    plot.xaxis.major_label_overrides = dict(enumerate(names))
    return finish(plot)
