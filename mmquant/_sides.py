"""The sides of books, as arrays of ticks and lots: what an empty one reads, what none may read.

`OrderBook.replay` and `Tape.touches` give an empty side 0 lots and the price NO_BID or NO_ASK,
`OrderBook.top` 0 for both: 0 is no price on either side, NO_ASK none of an ask.
"""

import numpy as np
from numpy.typing import NDArray

from mmquant.kernels.book import MAX_PRICE_TICKS, NO_ASK, NO_BID

__all__ = [
    "MOST_FLOW_LOTS",
    "check_lots",
    "check_sides",
    "check_ticks",
    "known_prices",
    "without_empty",
]

MOST_FLOW_LOTS = 1 << 56  # whole sums over 20 levels of two sides do not wrap


def _is_none(ticks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return where there is no price."""
    none: NDArray[np.bool_] = (ticks == NO_BID) | (ticks == NO_ASK)
    return none


def _has_none(ticks: NDArray[np.int64]) -> bool:
    """Tell at a glance whether a price is none somewhere, which in most books it is not."""
    return ticks.size > 0 and bool(ticks.min() == NO_BID or ticks.max() == NO_ASK)


def without_empty(out: NDArray[np.float64], *ticks: NDArray[np.int64]) -> None:
    """Set `out` to NaN where one of `ticks` is no price."""
    for side in ticks:
        if _has_none(side):
            out[_is_none(side)] = np.nan


def check_ticks(field: str, ticks: NDArray[np.int64]) -> None:
    """Refuse prices that no book holds; `field` begins with the side, "bid" or "ask"."""
    if ticks.size == 0 or ticks.max() <= MAX_PRICE_TICKS:
        return
    is_beyond = ticks > MAX_PRICE_TICKS
    if field.startswith("ask"):
        is_beyond &= ticks != NO_ASK
    if is_beyond.any():
        at = int(np.argmax(is_beyond))
        raise ValueError(
            f"{field} must be at most {MAX_PRICE_TICKS}, or 0 where there is none, got "
            f"{ticks.reshape(-1)[at]} at {at}: drop it, or count in larger ticks"
        )


def check_lots(most: int, **lots: NDArray[np.int64]) -> None:
    """Refuse sizes above `most`: whole numbers that are made of them would wrap."""
    for field, sizes in lots.items():
        if sizes.size > 0 and sizes.max() > most:
            at = int(np.argmax(sizes))
            raise ValueError(
                f"{field} must be at most {most}, got {sizes.reshape(-1)[at]} at {at}: count in "
                f"larger lots"
            )


def check_sides(book: dict[str, NDArray[np.int64]]) -> None:
    """Refuse sizes without a price in `bid_ticks`, `bid_lots`, `ask_ticks` and `ask_lots`."""
    for side in ("bid", "ask"):
        ticks, lots = book[f"{side}_ticks"], book[f"{side}_lots"]
        if not _has_none(ticks):
            continue
        is_odd = _is_none(ticks) & (lots > 0)
        if is_odd.any():
            at = int(np.argmax(is_odd))
            raise ValueError(
                f"{side}_lots must be 0 where {side}_ticks are 0 or NO_ASK, an empty side, got "
                f"{lots.reshape(-1)[at]} at {at}: drop that row, or set its lots to 0"
            )


def known_prices(field: str, prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return prices of any unit with NaN where a side is empty; refuse what no book holds."""
    is_empty = (prices == NO_BID) | (prices == NO_ASK)
    known = np.where(is_empty, np.nan, prices) if is_empty.any() else prices
    is_beyond = np.abs(known) > MAX_PRICE_TICKS
    if is_beyond.any():
        at = int(np.argmax(is_beyond))
        raise ValueError(
            f"{field} must be at most {MAX_PRICE_TICKS}, got {known[at]} at {at}: drop or mask it"
        )
    return known
