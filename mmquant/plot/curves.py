"""Columns against an index: curves of a model by inventory, an estimate over time."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mmquant.plot.figures import COLOURS, Figure, empty, finish, line, new_figure
from mmquant.plot.tables import times

__all__ = ["curves"]

_CYCLE = ("blue", "red", "green", "orange", "pink", "sky", "black")


def curves(
    table: pd.DataFrame,
    y: str,
    x: str = "time (UTC)",
    title: str = "",
    dashed: Sequence[str] = (),
    height: int = 300,
) -> Figure:
    """Return each column as a line over the index, named in the legend as the column is.

    Parameters
    ----------
    table : DataFrame
        Index ascending times or numbers; columns of numbers, NaN where there is nothing.
    y, x : str
        What the axes show, with units.
    title : str
    dashed : sequence of str
        Columns drawn dashed, and in the colour of the one before them: an approximation beside
        what it approximates.
    height : int
        Pixels.

    Raises
    ------
    TypeError, ValueError
        No table; or a column to be dashed that it does not have, or that is its first.
    """
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"table must be a DataFrame, got {type(table).__name__}: use to_frame()")
    wrong = [name for name in dashed if name not in list(table.columns[1:])]
    if wrong:
        raise ValueError(f"dashed must name columns after the first, got {', '.join(wrong)}")
    is_time = isinstance(table.index, pd.DatetimeIndex)
    plot = new_figure(title, x, y, is_time=is_time, height=height)
    if table.empty:
        return empty(plot)
    colour = -1
    for name in table.columns:
        colour += name not in dashed
        ys = table[name].to_numpy(np.float64)
        shade = COLOURS[_CYCLE[colour % len(_CYCLE)]]
        line(plot, times(table), ys, str(name), shade, dash="dashed" if name in dashed else "solid")
    return finish(plot)
