"""Checks shared by the facades: an error names the field, the rule, the value and the remedy."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_WHOLE", "number", "one_record", "whole"]

MOST_WHOLE = 2**62  # leaves int64 room for a sum


def whole(field: str, value: object, least: int, most: int = MOST_WHOLE) -> int:
    """Return `value` as an int within [least, most], or say what is wrong with it."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{field} must be a whole number, got {value!r}: pass an int")
    if not least <= value <= most:
        raise ValueError(f"{field} must be between {least} and {most}, got {value}")
    return int(value)


def number(field: str, value: object, least: float, most: float = math.inf) -> float:
    """Return `value` as a finite float within [least, most], or say what is wrong with it."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{field} must be a number, got {value!r}: pass a float")
    if not math.isfinite(value) or not least <= value <= most:
        raise ValueError(f"{field} must be finite and between {least} and {most}, got {value}")
    return float(value)


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
