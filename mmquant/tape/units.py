"""Prices and quantities in units of 1e-8 -> ticks and lots, in place; wrong units are refused."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant.codes import Market, TapeKind
from mmquant.decimals import to_e8
from mmquant.kernels.book import book_clear
from mmquant.kernels.tape_jumps import tape_first_jump
from mmquant.kernels.tape_units import tape_divide, tape_units
from mmquant.state import BOOK
from mmquant.tape.core import TapeInstrument
from mmquant.tape.errors import TapeError

__all__ = ["Place", "Sizes", "settle_units"]

# What a user says of an instrument's tick or lot: one for all, or by symbol.
Sizes = str | Decimal | int | Mapping[str, str | Decimal | int] | None
# An event and one of its levels -> the file and the place in it that they were read from.
Place = Callable[[int, int], tuple[Path | str, str]]
MOST_JUMP = 5  # times: no market moves that far between two trades, a wrong unit does
TOGETHER = 64  # instruments a pass: their books take memory only where they have levels
MANY_FAR = 100  # events that set none of a side near the touch: in real captures one at most


def _given_e8(field: str, sizes: Sizes, symbol: str) -> int:
    """Return the size the user gave for a symbol, 0 where none."""
    value = sizes.get(symbol) if isinstance(sizes, Mapping) else sizes
    if value is None:
        return 0
    if isinstance(value, float):
        raise TypeError(f'{field} must be a decimal string, got {value!r}: pass "{value}"')
    try:
        size = to_e8(f"{Decimal(value):f}")
    except (ValueError, ArithmeticError):
        raise ValueError(f"{field} must be a decimal number, got {value!r}") from None
    if size <= 0:
        raise ValueError(f"{field} must be positive, got {value!r}")
    return size


def settle_units(
    events: NDArray[Any],
    levels: NDArray[Any],
    symbols: Sequence[str],
    markets: Sequence[Market],
    tick_size: Sizes,
    lot_size: Sizes,
    path: Path | str,
    place: Place,
) -> tuple[TapeInstrument, ...]:
    """Divide all prices and quantities by tick and lot, and return the instruments.

    Parameters
    ----------
    events, levels
        Of a tape, in units of 1e-8; `levels` are changed in place.
    symbols, markets : sequences
        By index.
    tick_size, lot_size : str, Decimal, int or a mapping of symbols to them, optional
        Exact sizes. Without them: the greatest common divisor of what was seen, which is the
        true size or, where little was seen, a multiple of it.
    path
        What errors name that concern all of it.
    place
        What errors name that concern one price.

    Raises
    ------
    TapeError
        A price or quantity off its tick or lot; a price that jumps as only a wrong unit does.
    """
    for field, given in (("tick_size", tick_size), ("lot_size", lot_size)):
        unknown = sorted(set(given) - set(symbols)) if isinstance(given, Mapping) else ()
        if unknown:
            raise TapeError(
                f"{field} must name symbols of {', '.join(symbols)}, got {', '.join(unknown)}: "
                f"correct the name, or leave it out",
                path,
            )
    words = levels.view(np.int64)
    units = np.zeros(2 * len(symbols), np.int64)
    tape_units(events, words, units)
    sizes = np.where(units > 0, units, 1)
    for index, symbol in enumerate(symbols):
        for offset, field, given in ((0, "tick_size", tick_size), (1, "lot_size", lot_size)):
            size = _given_e8(field, given, symbol)
            seen = int(units[2 * index + offset])
            if size and seen % size:
                raise TapeError(
                    f"{symbol} has values that are no multiples of {field} {Decimal(size) / 10**8}"
                    f": their greatest common unit is {Decimal(seen) / 10**8}; pass that, or "
                    f"leave {field} out",
                    path,
                )
            if size:
                sizes[2 * index + offset] = size
    assert tape_divide(events, words, sizes) == -1
    instruments = tuple(
        TapeInstrument(symbol, market, int(sizes[2 * index]), int(sizes[2 * index + 1]))
        for index, (symbol, market) in enumerate(zip(symbols, markets, strict=True))
    )
    for first in range(0, len(instruments), TOGETHER):
        _check_jumps(events, levels, instruments, first, place)
    return instruments


def _check_jumps(
    events: NDArray[Any],
    levels: NDArray[Any],
    instruments: Sequence[TapeInstrument],
    first: int,
    place: Place,
) -> None:
    """Refuse prices of some instruments that lie where only a wrong unit puts them."""
    n = min(TOGETHER, len(instruments) - first)
    books = np.zeros(n, BOOK)
    for k in range(n):
        book_clear(books[k : k + 1])
    spare, bands, runs = (np.zeros(shape, np.int64) for shape in (2, (n, 2), (n, 2, 3)))
    words = levels.view(np.int64)
    rules = (MOST_JUMP, MANY_FAR, bands, runs)
    at, level = map(int, tape_first_jump(books, events, words, spare, first, *rules))
    if at < 0:
        return
    e = events[at]
    one = instruments[int(e["instrument"])]
    is_bid = level < int(e["first_level"]) + int(e["n_bids"])
    what = "price" if e["kind"] == TapeKind.TRADE else "bid" if is_bid else "ask"
    price, low, high = (
        f"{(int(ticks) * one.tick_size).normalize():f}"
        for ticks in (levels["price_ticks"][level], *bands[int(e["instrument"]) - first])
    )
    known = f", {low} to {high}" if high != "0" else ""
    raise TapeError(
        f"the {what} {price} of {one.symbol} is more than {MOST_JUMP} times or less than a "
        f"{MOST_JUMP}th of the touch or trade before it{known}, or of its other side: is one of "
        f"them in ticks, or of another symbol? Bring all prices into one unit, or take the row out",
        *place(at, level),
    )
