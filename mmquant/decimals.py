"""Decimal strings <-> integers of 1e-8, exactly: prices and quantities never pass through float."""

from functools import lru_cache

__all__ = ["E8_DIGITS", "to_e8"]

E8_DIGITS = 8  # the venue's finest tick and lot are 1e-8
_INT64_MAX = 2**63 - 1


@lru_cache(maxsize=65_536)  # the same prices and sizes come again and again
def to_e8(text: object) -> int:
    """Return a decimal string in units of 1e-8, exactly.

    Raises
    ------
    ValueError
        For anything but digits with at most one point, where decimals beyond the eighth are not
        zero, or where the integer does not fit into 64 bits.
    """
    if not isinstance(text, str) or not text.isascii():
        raise ValueError(f"expected a decimal string, got {text!r}")
    negative = text.startswith("-")
    whole, _, fraction = (text[1:] if negative else text).partition(".")
    digits = whole + fraction[:E8_DIGITS].ljust(E8_DIGITS, "0")
    rest = fraction[E8_DIGITS:]
    if not whole.isdigit() or not digits.isdigit() or rest.strip("0"):
        raise ValueError(f"expected a decimal string, got {text!r}")
    value = int(digits)
    if value > _INT64_MAX:
        raise ValueError(f"expected a decimal below 92233720368.54775808, got {text!r}")
    return -value if negative else value
