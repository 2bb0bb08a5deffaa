"""Checks shared by the facades: an error names the field, the rule, the value and the remedy."""

import math
import sys
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MOST_SIZE",
    "MOST_TICKS",
    "MOST_WHOLE",
    "flag",
    "number",
    "number_or_missing",
    "one_record",
    "whole",
]

MOST_WHOLE = 2**62  # leaves int64 room for a sum
MOST_TICKS = 2**53  # of prices, as MAX_PRICE_TICKS of the book: float64 holds each
MOST_SIZE = 1e140  # leaves float64 room for sums of squares


def _is_whole(value: object) -> TypeGuard[int | np.integer[Any]]:
    """Tell whether it is a whole number; numpy's timedelta64 is an integer to Python alone."""
    if isinstance(value, bool | np.timedelta64):
        return False
    return isinstance(value, int | np.integer)


def whole(field: str, value: object, least: int, most: int = MOST_WHOLE) -> int:
    """Return `value` as an int within [least, most], or say what is wrong with it."""
    if not _is_whole(value):
        raise TypeError(f"{field} must be a whole number, got {value!r}: pass an int")
    if not least <= value <= most:
        raise ValueError(f"{field} must be between {least} and {most}, got {value}")
    return int(value)


def number(field: str, value: object, least: float, most: float = math.inf) -> float:
    """Return `value` as a finite float within [least, most], or say what is wrong with it."""
    if not (_is_whole(value) or isinstance(value, float | np.floating)):
        raise TypeError(f"{field} must be a number, got {value!r}: pass a float")
    if not math.isfinite(value) or not least <= value <= most:
        raise ValueError(f"{field} must be finite and between {least} and {most}, got {value}")
    return float(value)


def number_or_missing(field: str, value: object) -> float:
    """Return `value` as a float of at most 1e140, NaN for NaN, pandas' NA and a masked one."""
    pandas = sys.modules.get("pandas")
    if value is np.ma.masked or (pandas is not None and value is pandas.NA):
        return math.nan
    if isinstance(value, float | np.floating) and math.isnan(value):
        return math.nan
    return number(field, value, -MOST_SIZE, MOST_SIZE)


def flag(field: str, value: object) -> int:
    """Return `value`, which is true or false, as 1 or 0, or say what it is."""
    if (isinstance(value, bool | np.bool_) or _is_whole(value)) and value in (0, 1):
        return int(value)
    raise TypeError(f"{field} must be True or False, got {value!r}: pass one of them")


def one_record(field: str, value: object, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return `value` if it is a writable one-element array of `dtype`, or say what it is not."""
    if not isinstance(value, np.ndarray) or value.dtype != dtype or value.shape != (1,):
        raise TypeError(
            f"{field} must be a one-element array of its record, got {value!r}: "
            f"make one with numpy.zeros(1, dtype) and fill its fields"
        )
    if not value.flags.writeable:
        raise ValueError(f"{field} must be writable, got a read-only array: pass a copy")
    return value
