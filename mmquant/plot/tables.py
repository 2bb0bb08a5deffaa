"""What a user passes to a plot -> checked columns; and thinning that keeps every extreme."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["column", "frame", "has", "series", "thin", "times"]

PIXELS = 1200  # columns of pixels that a line is thinned to


def frame(name: str, value: object, needed: tuple[str, ...]) -> pd.DataFrame:
    """Return `value` as a DataFrame with these columns, or say what it lacks."""
    if not isinstance(value, pd.DataFrame):
        raise TypeError(f"{name} must be a DataFrame, got {type(value).__name__}")
    missing = [column for column in needed if column not in value.columns]
    if missing:
        got = ", ".join(map(str, value.columns))
        raise ValueError(f"{name} must have columns {', '.join(needed)}, got {got}")
    return value


def series(name: str, value: object) -> pd.Series:
    """Return `value` as a Series of numbers."""
    if isinstance(value, pd.Series):
        return value.astype(np.float64)
    raise TypeError(f"{name} must be a Series with times as its index, got {type(value).__name__}")


def column(name: str, value: object) -> NDArray[np.float64]:
    """Return `value` as a one-dimensional float array."""
    array = np.asarray(value, np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {array.shape}: pass a column")
    return array


def has(table: pd.DataFrame, name: str) -> bool:
    """Tell whether a column is there and not all missing."""
    return name in table.columns and bool(table[name].notna().any())


def times(table: pd.DataFrame | pd.Series) -> NDArray[Any]:
    """Return the index as datetime64 in UTC; numbers stay seconds."""
    index = table.index
    if isinstance(index, pd.DatetimeIndex):
        if index.tz is not None:
            index = index.tz_convert(None)
        return np.asarray(index, "datetime64[ns]")
    return np.asarray(index, np.float64)


def _as_numbers(xs: NDArray[Any]) -> NDArray[np.int64] | NDArray[np.float64]:
    return xs.view(np.int64) if xs.dtype.kind == "M" else xs


def thin(xs: NDArray[Any], ys: NDArray[np.float64], pixels: int = PIXELS) -> NDArray[np.int64]:
    """Return the rows to draw: of each column of pixels the first, least, greatest and last.

    What is drawn covers the same pixels as all rows would: nothing is averaged and no extreme is
    lost. Missing values stay, so that a hole stays a hole.

    Parameters
    ----------
    xs : ndarray, shape (n,), ascending
    ys : ndarray of float64, shape (n,)
    pixels : int
        Columns; fewer than four rows a column are left as they are.
    """
    n = ys.size
    if n <= 4 * pixels:
        return np.arange(n)
    numbers = _as_numbers(xs)
    span = numbers[-1] - numbers[0]
    if span <= 0:
        return np.arange(n)
    edges = np.searchsorted(numbers, numbers[0] + span * (np.arange(pixels) / pixels))
    edges = np.unique(edges)
    ends = np.append(edges[1:], n)
    bucket = np.repeat(np.arange(edges.size), ends - edges)
    # Sorted by value within each bucket, the least is the first and the greatest the last.
    missing = np.isnan(ys)
    low = np.lexsort((np.where(missing, np.inf, ys), bucket))[edges]
    high = np.lexsort((np.where(missing, -np.inf, ys), bucket))[ends - 1]
    holes = np.flatnonzero(missing & ~np.roll(missing, 1))  # the begin of each hole
    return np.unique(np.concatenate((edges, low, high, ends - 1, holes)))
