"""Figures of one look: colours that the colour-blind tell apart, sizes, axes; saving to a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    from bokeh.layouts import column as column_of
    from bokeh.models import DatetimeTickFormatter, HoverTool, NumeralTickFormatter
    from bokeh.plotting import figure
    from bokeh.resources import INLINE, Resources
except ImportError as error:
    raise ImportError("plots need bokeh: pip install 'mmquant[research]'") from error

from mmquant.plot.tables import thin

__all__ = [
    "BUY",
    "COLOURS",
    "DECIMALS",
    "SELL",
    "Figure",
    "empty",
    "finish",
    "line",
    "new_figure",
    "number",
    "parts",
    "save",
    "stack",
]

Figure = Any  # bokeh's figure: it has no useful static type
# Okabe and Ito (2008): told apart with every common kind of colour blindness, and in print.
COLOURS = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "blue": "#0072B2",
    "red": "#D55E00",
    "pink": "#CC79A7",
    "grey": "#8C8C8C",
}
BUY, SELL = COLOURS["blue"], COLOURS["red"]
WIDTH, HEIGHT = 900, 300
DECIMALS = "0,0.[00000000]"  # as many as the finest tick size has
_TIMES = {
    "microseconds": "%H:%M:%S.%3N",
    "milliseconds": "%H:%M:%S.%3N",
    "seconds": "%H:%M:%S",
    "minsec": "%H:%M:%S",
    "minutes": "%H:%M",
    "hourmin": "%H:%M",
    "hours": "%H:%M",
    "days": "%d %b",
}
_DAY = dict.fromkeys(_TIMES, "%d %b %Y") | {"days": "%Y", "months": "%Y", "years": ""}


def new_figure(
    title: str,
    x: str,
    y: str,
    *,
    is_time: bool = False,
    is_log_x: bool = False,
    is_log_y: bool = False,
    height: int = HEIGHT,
) -> Figure:
    """Return an empty figure; a time axis reads UTC, the day below its first time."""
    plot = figure(
        title=title,
        width=WIDTH,
        height=height,
        sizing_mode="stretch_width",
        x_axis_type="datetime" if is_time else ("log" if is_log_x else "linear"),
        y_axis_type="log" if is_log_y else "linear",
        x_axis_label=x,
        y_axis_label=y,
        tools="pan,xwheel_zoom,box_zoom,reset,save",
        toolbar_location="right",
        output_backend="canvas",
        min_border_left=80,
    )
    plot.title.text_font_size = "12pt"
    plot.toolbar.logo = None
    plot.grid.grid_line_color = "#E6E6E6"
    plot.outline_line_color = None
    for axis in plot.axis:
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = "10pt"
        axis.major_label_text_font_size = "9pt"
        axis.minor_tick_line_color = None
    numbers = NumeralTickFormatter(format=DECIMALS)
    if is_time:
        plot.xaxis.formatter = DatetimeTickFormatter(
            **_TIMES,
            boundary_scaling=False,
            context_which="all",
            context=DatetimeTickFormatter(**_DAY, boundary_scaling=False, hide_repeats=True),
        )
    elif is_log_x:
        plot.xaxis.formatter = numbers
    plot.yaxis.formatter = numbers
    return plot


def empty(plot: Figure, text: str = "no data") -> Figure:
    """Say in the figure that there is nothing to draw."""
    # At 1, which a logarithmic axis has as well.
    plot.text(x=[1], y=[1], text=[text], text_align="center", text_color=COLOURS["grey"])
    plot.axis.visible = False
    plot.grid.visible = False
    return plot


def number(value: float) -> str:
    """Return a number with three digits; of one from 1000 on all digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 1e3 else f"{value:.3g}"


def line(
    plot: Figure,
    xs: NDArray[Any],
    ys: NDArray[np.float64],
    label: str,
    colour: str,
    *,
    is_step: bool = False,
    width: float = 1.5,
    dash: str = "solid",
) -> None:
    """Draw a line, thinned to what the eye can tell; a single point is drawn as one."""
    rows = thin(xs, ys)
    xs, ys = xs[rows], ys[rows]
    options = {"legend_label": label, "color": colour} if label else {"color": colour}
    if ys.size == 1:
        plot.scatter(x=xs, y=ys, size=7, **options)
    elif is_step:
        plot.step(x=xs, y=ys, mode="after", line_width=width, line_dash=dash, **options)
    else:
        plot.line(x=xs, y=ys, line_width=width, line_dash=dash, **options)


def finish(plot: Figure, tooltips: Sequence[tuple[str, str]] = ()) -> Figure:
    """Place the legend above the data and add what hovering tells.

    Above, not beside: figures under each other keep one width.
    """
    if plot.legend:
        legend = plot.legend[0]
        legend.click_policy = "hide"
        legend.label_text_font_size = "9pt"
        legend.spacing = 16  # pixels: from a text to the next entry's line
        legend.label_standoff = 4
        legend.margin = legend.padding = 0
        legend.border_line_color = None
        legend.background_fill_color = None
        legend.location = "left"
        legend.orientation = "horizontal"
        plot.add_layout(legend, "above")
    if tooltips:
        named = [one for one in plot.renderers if one.name == "hover"]
        plot.add_tools(HoverTool(tooltips=list(tooltips), renderers=named or "auto"))
    return plot


def stack(*figures: Figure) -> Any:
    """Return figures under each other with one common x axis: pan one, all move."""
    if not figures:
        raise ValueError("stack needs at least one figure, got none")
    for other in figures[1:]:
        other.x_range = figures[0].x_range
    for other in figures[:-1]:
        other.xaxis.axis_label = None
        for axis in other.xaxis:
            if isinstance(axis.formatter, DatetimeTickFormatter):
                axis.formatter.context = None
    return column_of(*figures, sizing_mode="stretch_width")


def save(what: Any, path: Path | str, title: str = "mmquant") -> Path:
    """Write a figure or a stack as one HTML file that needs nothing else."""
    from bokeh.embed import file_html

    target = Path(path)
    target.write_text(file_html(what, INLINE, title), encoding="utf-8")
    return target


def parts(what: Any) -> tuple[str, str]:
    """Return what a page of one's own needs of a figure: scripts, the library among them; places.

    Only the library's core is in it, without tables and formulas: a megabyte instead of four.
    """
    from bokeh.embed import components

    script, place = components(what)
    return Resources(mode="inline", components=["bokeh"]).render() + script, place
