"""A tape's prices and quantities: their common unit, and division by it."""

import numpy as np

from mmquant._jit import bare_njit as njit

__all__ = ["tape_divide", "tape_units"]


@njit
def _gcd(a: int, b: int) -> int:
    """Return the greatest common divisor of two numbers of which one may be 0."""
    while b != 0:
        a, b = b, a % b
    return a


@njit
def tape_units(events: np.ndarray, levels: np.ndarray, units: np.ndarray) -> None:
    """Fold the greatest common divisors of all prices and quantities into `units`.

    Parameters
    ----------
    events : ndarray of TAPE_EVENT
    levels : ndarray of int64
        The words of LEVEL records.
    units : ndarray of int64, shape (2 * instruments,)
        Changed in place: price and quantity unit of each instrument; 0 to begin with.
    """
    for i in range(events.size):
        e = events[i]
        at = 2 * e["first_level"]
        unit = 2 * e["instrument"]
        price, qty = units[unit], units[unit + 1]
        for _ in range(e["n_bids"] + e["n_asks"]):
            ticks, lots = levels[np.uint64(at)], levels[np.uint64(at + 1)]
            if price == 0 or ticks % price != 0:
                price = _gcd(ticks, price)
            if qty == 0 or lots % qty != 0:
                qty = _gcd(lots, qty)
            at += 2
        units[unit], units[unit + 1] = price, qty


@njit
def tape_divide(events: np.ndarray, levels: np.ndarray, units: np.ndarray) -> int:
    """Divide all prices and quantities by their units, which must divide them.

    Parameters
    ----------
    events, levels, units
        As of `tape_units`; `levels` are changed in place.

    Returns
    -------
    int
        -1, or the first event with a value that is no multiple: then the levels before it, and
        nothing else, are divided.
    """
    for i in range(events.size):
        e = events[i]
        unit = 2 * e["instrument"]
        price, qty = units[unit], units[unit + 1]
        first = 2 * e["first_level"]
        last = first + 2 * (e["n_bids"] + e["n_asks"])
        for at in range(first, last, 2):
            if levels[np.uint64(at)] % price != 0 or levels[np.uint64(at + 1)] % qty != 0:
                return i
        for at in range(first, last, 2):
            levels[np.uint64(at)] //= price
            levels[np.uint64(at + 1)] //= qty
    return -1
