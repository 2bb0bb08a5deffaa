"""Markouts, the intensity fit, the signature plot and the heat map of a sweep."""

from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import (
    BasicTicker,
    BasicTickFormatter,
    ColorBar,
    LinearColorMapper,
    NumeralTickFormatter,
    Whisker,
)
from bokeh.models import ColumnDataSource as Source
from bokeh.palettes import Cividis256

from mmquant.plot.figures import BUY, COLOURS, SELL, Figure, empty, finish, line, new_figure, number
from mmquant.plot.tables import column, frame

__all__ = ["intensity", "markouts", "signature_plot", "sweep_heatmap"]

_ERRORS = 1.96  # standard errors to each side: 95 %
_CYCLE = ("blue", "red", "green", "orange", "pink", "sky")
_MOST_LETTERS = 70  # that stand beside each other on a sweep's axis
_LEAST_DECIMAL = 1e-5  # what is less, as the variance of logarithms is, reads better by its power
_SIDES = {"all": COLOURS["black"], "buy": BUY, "sell": SELL}


def markouts(curves: dict[str, Any] | Any, unit: str = "ticks", title: str = "Markouts") -> Figure:
    """Return the mean move after a fill at each horizon, with 95 % intervals.

    Parameters
    ----------
    curves : DataFrame or MarkoutCurve, or a mapping of names to them
        A DataFrame: columns `horizon_s`, `mean`, `error` (the standard error); or what
        `mmquant.markout_curve` returns; or `result.markouts()` of a backtest, or rows of it. Those
        named `buy` and `sell` have the colours of fills elsewhere, `all` is black. A mean whose
        error is missing has no interval and is hollow.
    unit : str
        Of the moves.
    title : str
    """
    named = curves if isinstance(curves, dict) else {"": curves}
    plot = new_figure(title, "horizon (s), evenly spaced", f"mean move in favour ({unit})")
    tables = {label: _curve(curve).dropna(subset=["mean"]) for label, curve in named.items()}
    horizons = sorted({one for table in tables.values() for one in table["horizon_s"]})
    if not horizons:
        return empty(plot)
    plot.line(x=[-0.4, len(horizons) - 0.6], y=[0, 0], color=COLOURS["grey"], line_width=0.8)
    shades = _shades(list(tables))
    for place, (label, table) in enumerate(tables.items()):
        # Side by side, so that the intervals of several curves can be told apart.
        xs = np.searchsorted(horizons, table["horizon_s"]) + 0.12 * (place - (len(tables) - 1) / 2)
        _whiskers(plot, xs, table, label, shades[place])
    plot.xaxis.ticker = list(range(len(horizons)))
    plot.xaxis.major_label_overrides = {i: f"{one:g}" for i, one in enumerate(horizons)}
    return finish(plot)


def _shades(labels: list[str]) -> list[str]:
    """Return a colour a curve: a side's own, else the next that no side among them has."""
    taken = {_SIDES[label] for label in labels if label in _SIDES}
    free = cycle(COLOURS[name] for name in _CYCLE if COLOURS[name] not in taken)
    return [_SIDES[label] if label in _SIDES else next(free) for label in labels]


def _curve(curve: Any) -> pd.DataFrame:
    if isinstance(curve, pd.DataFrame) and "horizon_ns" in curve.index.names:
        return _of_result(curve)
    if isinstance(curve, pd.DataFrame):
        return frame("curves", curve, ("horizon_s", "mean", "error"))
    if not hasattr(curve, "mean_ticks"):
        raise TypeError(
            f"curves must be DataFrames or of mmquant.markout_curve, got {type(curve).__name__}"
        )
    return pd.DataFrame(
        {
            "horizon_s": curve.horizons_ns / 1e9,
            "mean": curve.mean_ticks,
            "error": curve.error_ticks,
        }
    )


def _of_result(table: pd.DataFrame) -> pd.DataFrame:
    """Return the curve of all fills in what `result.markouts()` returns, or a part of it."""
    rows = frame("curves", table, ("realised_ticks", "realised_error_ticks"))
    for level in ("kind", "side"):
        if level in rows.index.names and rows.index.get_level_values(level).nunique() > 1:
            rows = rows[rows.index.get_level_values(level) == "all"]
    return pd.DataFrame(
        {
            "horizon_s": rows.index.get_level_values("horizon_ns").to_numpy(np.float64) / 1e9,
            "mean": rows["realised_ticks"].to_numpy(),
            "error": rows["realised_error_ticks"].to_numpy(),
        }
    )


def _whiskers(plot: Figure, xs: Any, table: pd.DataFrame, label: str, colour: str) -> None:
    """Draw one curve with its 95 % intervals; a mean whose error is not known is hollow."""
    reach = _ERRORS * table["error"]
    source = Source(
        {
            "x": xs,
            "y": table["mean"],
            "low": table["mean"] - reach,
            "high": table["mean"] + reach,
            "fill": np.where(reach.isna(), "white", colour),
        }
    )
    options = {"legend_label": label} if label else {}
    whisker = Whisker(source=source, base="x", upper="high", lower="low", line_color=colour)
    whisker.upper_head.line_color = whisker.lower_head.line_color = colour
    plot.add_layout(whisker)
    # Invisible marks at the ends: the axis must reach as far as the intervals.
    plot.scatter(x="x", y="low", source=source, size=0, alpha=0)
    plot.scatter(x="x", y="high", source=source, size=0, alpha=0)
    plot.line(x="x", y="y", source=source, color=colour, line_width=1.5, **options)
    fill = {"color": colour, "fill_color": "fill"}
    plot.scatter(x="x", y="y", source=source, size=6, **fill, **options)


def intensity(
    depths_ticks: Any,
    seconds: float,
    fit: Any = None,
    bins: int = 40,
    title: str = "Arrivals by depth",
) -> Figure:
    """Return how often a market order reached each depth, and the fitted exponential.

    Parameters
    ----------
    depths_ticks : array_like, shape (n,)
        How far each market order reached from the mid (`mmquant.arrival_depths`).
    seconds : float
        How long was watched.
    fit : ArrivalFit or a mapping of names to them, optional
        `intensity_per_s` and `decay_per_tick`: A and k.
    bins : int
        Depths at which the rate is shown. The axis of rates is logarithmic: a straight line is
        an exponential. A fit is drawn down to a tenth of the least rate seen.
    title : str
    """
    depths = column("depths_ticks", depths_ticks)
    if seconds <= 0:
        raise ValueError(f"seconds must be positive, got {seconds}")
    plot = new_figure(title, "depth reached (ticks)", "market orders per s", is_log_y=True)
    reached = np.sort(depths[np.isfinite(depths) & (depths >= 0)])
    if not reached.size:
        return empty(plot)
    grid = np.linspace(0, reached[-1], max(2, bins))
    counts = reached.size - np.searchsorted(reached, grid, side="left")
    seen = counts > 0
    rates = counts[seen] / seconds
    plot.scatter(x=grid[seen], y=rates, size=6, color=COLOURS["blue"], legend_label="seen")
    fits = fit if isinstance(fit, dict) else {"fitted": fit}
    for (label, one), colour in zip(fits.items(), ("red", "green", "orange"), strict=False):
        if one is None or one.intensity_per_s <= 0:
            continue
        ys = one.intensity_per_s * np.exp(-one.decay_per_tick * grid)
        ys = np.where(ys >= rates.min() / 10, ys, np.nan)  # below lies nothing to compare with
        text = f"{label}: {one.intensity_per_s:.3g} exp(-{one.decay_per_tick:.3g} depth)"
        line(plot, grid, ys, text, COLOURS[colour])
    return finish(plot)


def signature_plot(
    steps: Any,
    variance_per_s: Any,
    efficient: float | None = None,
    x: str = "samples from price to price",
    title: str = "Signature plot",
    unit: str = "ticks",
) -> Figure:
    """Return the realised variance by sampling step: rising towards small steps is noise.

    Parameters
    ----------
    steps, variance_per_s : array_like, shape (m,)
        As `mmquant.signature` returns them.
    efficient : float, optional
        An estimate without the noise (two-scale, pre-averaged), drawn as a level.
    x, title : str
    unit : str
        Of the prices whose variance it is: "ticks"; "log price" where they are logarithms.
    """
    xs, ys = column("steps", steps), column("variance_per_s", variance_per_s)
    if xs.size != ys.size:
        raise ValueError(f"steps and variance_per_s must be equally long, got {xs.size}, {ys.size}")
    plot = new_figure(title, x, f"variance per s (squared {unit})", is_log_x=True)
    good = np.isfinite(ys)
    if not good.any():
        return empty(plot)
    if ys[good].max() < _LEAST_DECIMAL:
        plot.yaxis.formatter = BasicTickFormatter()  # powers of ten
    line(plot, xs[good], ys[good], "realised", COLOURS["blue"])
    plot.scatter(x=xs[good], y=ys[good], size=6, color=COLOURS["blue"])
    if efficient is not None:
        ends = xs[good][[0, -1]]
        level = np.full(2, float(efficient))
        line(plot, ends, level, "without noise", COLOURS["red"], dash="dashed")
    plot.y_range.start = 0
    return finish(plot)


def sweep_heatmap(
    results: pd.DataFrame, x: str, y: str, value: str, title: str | None = None
) -> Figure:
    """Return a value over two parameters of a sweep, its mean where several sets share a cell.

    Parameters
    ----------
    results : DataFrame
        A row a parameter set.
    x, y, value : str
        Columns; `x` and `y` of numbers or text. Axes are categories: each value of a parameter
        that was tried, numbers (also those in quotes) by size and before words. Sets without one
        of the two are left out.
    title : str, optional
    """
    table = frame("results", results, (x, y, value)).dropna(subset=[x, y])
    if table.empty:
        return empty(new_figure(title or value, x, y))
    cells = table.groupby([x, y], as_index=False)[value].mean()
    cells = cells[np.isfinite(cells[value])]
    columns = [_text(one) for one in sorted(table[x].unique(), key=_order)]
    rows = [_text(one) for one in sorted(table[y].unique(), key=_order)]
    plot = _categories(title or f"{value} by {x} and {y}", columns, rows, x, y)
    if cells.empty:
        return plot
    low, high = float(cells[value].min()), float(cells[value].max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    mapper = LinearColorMapper(palette=Cividis256, low=low, high=high)
    shade = (cells[value] - low) / (high - low)
    source = Source(
        {
            "x": [_text(one) for one in cells[x]],
            "y": [_text(one) for one in cells[y]],
            "value": cells[value],
            "text": [number(one) for one in cells[value]],
            "ink": np.where(shade > 0.5, "black", "white"),
        }
    )
    fill = {"field": "value", "transform": mapper}
    plot.rect(x="x", y="y", width=1, height=1, source=source, fill_color=fill, line_color="white")
    if len(columns) <= 14:
        plot.text(
            x="x",
            y="y",
            text="text",
            text_color="ink",
            text_align="center",
            text_baseline="middle",
            text_font_size="9pt",
            source=source,
        )
    bar = ColorBar(
        color_mapper=mapper,
        title=value,
        title_text_font_style="normal",
        ticker=BasicTicker(desired_num_ticks=6),
        formatter=NumeralTickFormatter(format="0,0.[0000]"),
    )
    plot.add_layout(bar, "right")
    return plot


def _text(one: Any) -> str:
    """Return a parameter's value as its axis shows it."""
    is_number = isinstance(one, int | float | np.number) and not isinstance(one, bool)
    return f"{one:.6g}" if is_number else str(one)


def _order(one: Any) -> tuple[bool, float, str]:
    """Return what values are sorted by: numbers and quantities in quotes by size, then words."""
    try:
        return False, float(one), ""
    except (TypeError, ValueError):
        return True, 0.0, str(one)


def _categories(title: str, columns: list[str], rows: list[str], x: str, y: str) -> Figure:
    from bokeh.plotting import figure

    plot = figure(
        title=title,
        x_range=columns,
        y_range=rows,
        width=720,
        height=max(260, min(700, 36 * len(rows) + 140)),
        x_axis_label=x,
        y_axis_label=y,
        tools="save",
        toolbar_location="right",
    )
    plot.title.text_font_size = "12pt"
    plot.toolbar.logo = None
    plot.grid.visible = False
    if sum(map(len, columns)) > _MOST_LETTERS:
        plot.xaxis.major_label_orientation = 0.8
    for axis in plot.axis:
        axis.axis_label_text_font_style = "normal"
    return plot
