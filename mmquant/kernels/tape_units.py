"""A tape's prices and quantities: their common unit, division by it, and which rows are odd."""

import numpy as np

from mmquant._jit import bare_njit as njit
from mmquant.codes import TapeKind

__all__ = ["tape_divide", "tape_first_jump", "tape_units"]

BBO, TRADE = int(TapeKind.BBO), int(TapeKind.TRADE)


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


@njit
def tape_first_jump(events: np.ndarray, levels: np.ndarray, last: np.ndarray, most: int) -> int:
    """Return the first trade or best bid whose price is `most` times the one before, or -1.

    Parameters
    ----------
    events, levels
        As of `tape_units`.
    last : ndarray of int64, shape (instruments,)
        Changed in place: each instrument's last such price, 0 where there is none yet.
    most : int
        Factor, above 1.
    """
    for i in range(events.size):
        e = events[i]
        if (e["kind"] != BBO and e["kind"] != TRADE) or e["n_bids"] + e["n_asks"] == 0:
            continue
        price = levels[2 * e["first_level"]]
        before = last[e["instrument"]]
        if before > 0 and price > 0 and (price // most > before or before // most > price):
            return i
        last[e["instrument"]] = price
    return -1
