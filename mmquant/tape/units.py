"""Prices and quantities in units of 1e-8 -> ticks and lots, in place; wrong units are refused."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant.codes import Market
from mmquant.decimals import to_e8
from mmquant.kernels.tape_units import tape_divide, tape_first_jump, tape_units
from mmquant.tape.core import TapeInstrument
from mmquant.tape.errors import TapeError

__all__ = ["Sizes", "settle_units"]

# What a user says of an instrument's tick or lot: one for all, or by symbol.
Sizes = str | Decimal | int | Mapping[str, str | Decimal | int] | None
MOST_JUMP = 5  # times: no market moves that far between two trades, a wrong unit does


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
        What errors name.

    Raises
    ------
    TapeError
        A price or quantity off its tick or lot; a price that jumps as only a wrong unit does.
    """
    words = levels.view(np.int64)
    units = np.zeros(2 * len(symbols), np.int64)
    tape_units(events, words, units)
    sizes = np.where(units > 0, units, 1)
    for index, symbol in enumerate(symbols):
        for place, field, given in ((0, "tick_size", tick_size), (1, "lot_size", lot_size)):
            size = _given_e8(field, given, symbol)
            seen = int(units[2 * index + place])
            if size and seen % size:
                raise TapeError(
                    f"{symbol} has values that are no multiples of {field} {Decimal(size) / 10**8}"
                    f": their greatest common unit is {Decimal(seen) / 10**8}; pass that, or "
                    f"leave {field} out",
                    path,
                )
            if size:
                sizes[2 * index + place] = size
    at = int(tape_first_jump(events, words, np.zeros(len(symbols), np.int64), MOST_JUMP))
    if at >= 0:
        price = Decimal(int(levels["price_ticks"][events["first_level"][at]])) / 10**8
        raise TapeError(
            f"the price {price:f} is more than {MOST_JUMP} times or less than a {MOST_JUMP}th of "
            f"the one before: is one of them in ticks, or of another symbol?",
            path,
            f"event {at}",
        )
    assert tape_divide(events, words, sizes) == -1
    return tuple(
        TapeInstrument(symbol, market, int(sizes[2 * index]), int(sizes[2 * index + 1]))
        for index, (symbol, market) in enumerate(zip(symbols, markets, strict=True))
    )
