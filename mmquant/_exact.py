"""A decimal that the user passes -> whole steps of tick or lot, exactly, and steps -> a decimal."""

from decimal import Context, Decimal, Inexact, InvalidOperation

import numpy as np

__all__ = ["Number", "exact_decimal", "exact_units", "in_units", "ratio_in_units"]

Number = str | int | Decimal

_INT64_MOST = 2**63 - 1
_MOST_EXPONENT = 40
# Contexts of their own: the user's may round to a few digits. A whole number of steps between the
# bounds of exponents has fewer digits than this, so that what does not come out exactly is none.
_EXACT = Context(prec=120, traps=[Inexact, InvalidOperation])
_ROUNDED = Context(prec=28)


def exact_decimal(field: str, value: Number) -> Decimal:
    """Return `value` as a finite Decimal, or say what is wrong with it."""
    if type(value) is not str and isinstance(value, np.integer):
        value = value if isinstance(value, np.timedelta64) else int(value)
    if not isinstance(value, (str, int, Decimal)) or isinstance(value, bool):
        raise TypeError(f"{field} must be a decimal string, got {value!r}: floats are not exact")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{field} must be a decimal number, got {value!r}") from None
    if isinstance(value, str) and ("_" in value or not value.isascii()):
        raise ValueError(f"{field} must be of the digits 0 to 9, got {value!r}")
    if not number.is_finite():
        raise ValueError(f"{field} must be finite, got {value!r}")
    if number and not -_MOST_EXPONENT <= number.adjusted() <= _MOST_EXPONENT:
        raise ValueError(
            f"{field} must be 0 or between 1e-{_MOST_EXPONENT} and 1e{_MOST_EXPONENT} in size, got "
            f"{value!r:.60}: check its exponent"
        )
    return number


def exact_units(field: str, value: Number, unit: Decimal, least: int) -> int:
    """Return how many times `unit` goes into `value`, exactly; `least` is in units."""
    number = exact_decimal(field, value)
    try:
        steps = _EXACT.divide(number, unit)
    except Inexact:
        steps = Decimal("0.5")  # no whole number
    count = int(steps)
    if steps != steps.to_integral_value():
        raise ValueError(f"{field} must be a multiple of {unit}, got {value!r}: check the filters")
    if count < least:
        lowest = in_units(least, unit) if least else 0
        raise ValueError(f"{field} must be at least {lowest}, got {value!r}: drop it")
    if count > _INT64_MOST:
        raise ValueError(
            f"{field} must be at most {in_units(_INT64_MOST, unit)} (int64 steps), got {value!r}: "
            f"check its unit"
        )
    return count


def in_units(steps: int, unit: Decimal) -> Decimal:
    """Return `steps` times `unit`, exactly, with the digits of `unit`."""
    return _EXACT.multiply(Decimal(int(steps)), unit)


def ratio_in_units(numerator: int, denominator: int, unit: Decimal) -> Decimal:
    """Return numerator / denominator times `unit`, to 28 digits."""
    return _ROUNDED.divide(in_units(numerator, unit), Decimal(int(denominator)))
