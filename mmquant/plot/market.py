"""Prices with quotes and fills, and the book as a heat map."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmquant.plot.figures import (
    BUY,
    COLOURS,
    DECIMALS,
    SELL,
    Figure,
    empty,
    finish,
    line,
    new_figure,
    number,
)
from mmquant.plot.tables import frame, has, times

__all__ = ["book_heatmap", "price_pane"]

MOST_FILLS = 5_000
SMALLEST, LARGEST = 5.0, 18.0  # pixels across of a fill's mark
FEW_FILLS = 100  # where there are more, their marks are smaller
LEAST_ROOM = 0.3
MOST_CELLS = 1_000_000
_SHADES = 64
_SCALE = (0.1, 0.5, 0.75, 1.0)  # shares of all quantities, whose shades the legend shows


def price_pane(
    prices: pd.DataFrame,
    quotes: pd.DataFrame | None = None,
    fills: pd.DataFrame | None = None,
    title: str = "Price",
    unit: str = "quote asset",
) -> Figure:
    """Return the mid, the fair value, one's own quotes, and fills by size and side.

    Parameters
    ----------
    prices : DataFrame
        Index times; columns `mid`, and where wanted `fair`, `bid`, `ask` (the market's).
    quotes : DataFrame, optional
        Index times; columns `bid`, `ask`: one's own best quotes, NaN where there is none.
    fills : DataFrame, optional
        Index times; columns `price`, `quantity`, `side` (1 bought, -1 sold). A mark's area goes
        with the quantity. Of more than 5000 the largest are drawn, and the title says so.
    title : str
    unit : str
        Of the prices.

    Raises
    ------
    TypeError, ValueError
        A table without its columns.
    """
    table = frame("prices", prices, ("mid",))
    plot = new_figure(title, "time (UTC)", f"price ({unit})", is_time=True, height=380)
    if table.empty:
        return empty(plot)
    xs = times(table)
    for name, label, colour in (("bid", "best bid", "sky"), ("ask", "best ask", "orange")):
        if has(table, name):
            ys = table[name].to_numpy(np.float64)
            line(plot, xs, ys, label, COLOURS[colour], is_step=True, width=1.0)
    line(plot, xs, table["mid"].to_numpy(np.float64), "mid", COLOURS["black"], is_step=True)
    if has(table, "fair"):
        line(plot, xs, table["fair"].to_numpy(np.float64), "fair value", COLOURS["green"])
    if quotes is not None and not quotes.empty:
        own = frame("quotes", quotes, ("bid", "ask"))
        for name, label, colour in (("bid", "own bid", BUY), ("ask", "own ask", SELL)):
            ys = own[name].to_numpy(np.float64)
            line(plot, times(own), ys, label, colour, is_step=True, width=1.2, dash="dashed")
    if fills is not None and not fills.empty:
        _fills(plot, frame("fills", fills, ("price", "quantity", "side")))
    tooltips = [("price", f"@price{{{DECIMALS}}}"), ("quantity", "@quantity{0.[00000000]}")]
    return finish(plot, tooltips if fills is not None and not fills.empty else ())


def _fills(plot: Figure, fills: pd.DataFrame) -> None:
    if len(fills) > MOST_FILLS:
        plot.title.text += f" (the {MOST_FILLS} largest of {len(fills)} fills)"
        fills = fills.nlargest(MOST_FILLS, "quantity").sort_index()
    largest = float(fills["quantity"].max())
    room = max(LEAST_ROOM, min(1.0, (FEW_FILLS / len(fills)) ** 0.5))
    for side, label, colour, marker in (
        (1, "bought", BUY, "triangle"),
        (-1, "sold", SELL, "inverted_triangle"),
    ):
        own = fills[fills["side"] == side]
        if own.empty:
            continue
        quantity = own["quantity"].to_numpy(np.float64)
        share = np.sqrt(quantity / largest) if largest > 0 else np.zeros(len(own))
        source = {
            "x": times(own),
            "price": own["price"].to_numpy(np.float64),
            "quantity": quantity,
            "size": room * (SMALLEST + (LARGEST - SMALLEST) * share),
        }
        plot.scatter(
            x="x",
            y="price",
            size="size",
            marker=marker,
            color=colour,
            line_color="white",
            line_width=0.8 * room,
            legend_label=label,
            name="hover",
            source=source,
        )


def book_heatmap(
    depth: pd.DataFrame,
    prices: pd.DataFrame | None = None,
    fills: pd.DataFrame | None = None,
    title: str = "Order book",
    unit: str = "quote asset",
) -> Figure:
    """Return the resting quantity over time and price, darker where there is more.

    Parameters
    ----------
    depth : DataFrame
        Index times (equal steps), columns prices, ascending (equal steps); bids negative, asks
        positive: what `Tape.depth` returns. The shade goes with the rank of a quantity among all,
        so that one large order does not bleach the rest; the legend shows the shades of the
        quantities that a tenth, a half and three quarters do not exceed, and of the largest.
    prices, fills : DataFrame, optional
        As of `price_pane`; of prices the mid is drawn.
    title : str
    unit : str
        Of the prices. Quantities are in the base asset.

    Raises
    ------
    ValueError
        More than a million cells: take a longer step or fewer prices.
    """
    if not isinstance(depth, pd.DataFrame):
        raise TypeError(f"depth must be a DataFrame, got {type(depth).__name__}: use Tape.depth")
    plot = new_figure(title, "time (UTC)", f"price ({unit})", is_time=True, height=380)
    values = depth.to_numpy(np.float64) if depth.size else np.zeros((0, 0))
    sizes = np.abs(values)
    sizes = sizes[sizes > 0]
    if not sizes.size:
        return empty(plot)
    if values.size > MOST_CELLS:
        raise ValueError(
            f"depth must have at most {MOST_CELLS} cells, got {values.size}: take a longer step or "
            f"fewer prices"
        )
    xs = times(depth)
    grid = depth.columns.to_numpy(np.float64)
    # As bokeh counts time: milliseconds.
    start_ms = _milliseconds(xs[0])
    step_ms = (_milliseconds(xs[-1]) - start_ms) / (xs.size - 1) if xs.size > 1 else 1e3
    tick = float(np.median(np.diff(grid))) if grid.size > 1 else 1.0
    low, high = _seen(values)
    edges = np.quantile(sizes, np.linspace(0, 1, _SHADES + 1)[1:])
    plot.image_rgba(
        image=[_picture(values[:, low : high + 1], edges)],
        x=start_ms - step_ms,
        y=float(grid[low]) - tick / 2,
        dw=step_ms * xs.size,
        dh=tick * (high - low + 1),
    )
    plot.grid.visible = False
    plot.x_range.range_padding = plot.y_range.range_padding = 0
    if prices is not None and not prices.empty:
        table = frame("prices", prices, ("mid",))
        ys = table["mid"].to_numpy(np.float64)
        line(plot, times(table), ys, "mid", COLOURS["black"], is_step=True)
    _swatch(plot, xs, "bids", BUY)
    _swatch(plot, xs, "asks", SELL)
    if fills is not None and not fills.empty:
        _fills(plot, frame("fills", fills, ("price", "quantity", "side")))
    shown = np.unique(np.quantile(sizes, _SCALE))
    for place, (size, alpha) in enumerate(zip(shown, _alpha(shown, edges), strict=True)):
        text = "" if place else "quantity (base asset): "
        _swatch(plot, xs, text + number(size), COLOURS["black"], alpha)
    return finish(plot)


def _swatch(plot: Figure, xs: NDArray[Any], label: str, colour: str, alpha: float = 1.0) -> None:
    """Draw nothing to see in the figure, but a square in the legend."""
    plot.scatter(
        x=xs[:1],
        y=[np.nan],
        marker="square",
        size=12,
        color=colour,
        line_color=None,
        alpha=alpha,
        legend_label=label,
    )


def _milliseconds(time: Any) -> float:
    if isinstance(time, np.datetime64):
        return float(time.astype("datetime64[ns]").astype(np.int64)) / 1e6
    return float(time) * 1e3


def _seen(values: NDArray[np.float64]) -> tuple[int, int]:
    """Return the first and last column with anything in it."""
    used = np.flatnonzero((values != 0).any(axis=0))
    return int(used[0]), int(used[-1])


def _alpha(sizes: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how opaque quantities are by their rank among all; nothing is clear."""
    shade = np.searchsorted(edges, sizes, side="left") / (_SHADES - 1)
    return np.where(sizes > 0, 0.08 + 0.92 * np.clip(shade, 0, 1) ** 1.5, 0.0)


def _picture(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Return the picture: blue bids and red asks, opaque by rank; rows are prices."""
    picture: NDArray[Any] = np.zeros((*values.T.shape, 4), np.uint8)
    for place in range(3):
        bid, ask = (int(colour[1 + 2 * place : 3 + 2 * place], 16) for colour in (BUY, SELL))
        picture[:, :, place] = np.where(values < 0, bid, ask).T
    picture[:, :, 3] = (255 * _alpha(np.abs(values), edges)).T
    return np.ascontiguousarray(picture).view(np.uint32)[:, :, 0]
