"""A decimal that the user passes -> whole steps of tick or lot, exactly."""

from decimal import Decimal, InvalidOperation
from fractions import Fraction

import numpy as np

__all__ = ["Number", "exact_decimal", "exact_units"]

Number = str | int | Decimal

_INT64_MOST = 2**63 - 1
_MOST_EXPONENT = 40  # an exact fraction of 1e10000000 would take minutes


def exact_decimal(field: str, value: Number) -> Decimal:
    """Return `value` as a finite Decimal, or say what is wrong with it."""
    if isinstance(value, np.integer) and not isinstance(value, np.timedelta64):
        value = int(value)
    if not isinstance(value, str | int | Decimal) or isinstance(value, bool):
        raise TypeError(f"{field} must be a decimal string, got {value!r}: floats are not exact")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{field} must be a decimal number, got {value!r}") from None
    if not number.is_finite():
        raise ValueError(f"{field} must be finite, got {value!r}")
    if number and abs(number.adjusted()) > _MOST_EXPONENT:
        raise ValueError(
            f"{field} must be 0 or between 1e-{_MOST_EXPONENT} and 1e{_MOST_EXPONENT} in size, got "
            f"{value!r:.60}: check its exponent"
        )
    return number


def exact_units(field: str, value: Number, unit: Decimal, least: int) -> int:
    """Return how many times `unit` goes into `value`, exactly."""
    count = Fraction(exact_decimal(field, value)) / Fraction(unit)
    if count.denominator != 1:
        raise ValueError(f"{field} must be a multiple of {unit}, got {value!r}: check the filters")
    if not least <= count <= _INT64_MOST:
        raise ValueError(f"{field} must be at least {least} and fit int64, got {value!r}")
    return int(count)
