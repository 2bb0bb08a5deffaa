"""What own orders took of displayed levels: each displayed lot once, while its level stands."""

from typing import Any

from numpy.typing import NDArray

from mmquant._jit import bare_njit as njit
from mmquant.kernels.queue_models import displayed_lots
from mmquant.state import MAX_TAKEN

__all__ = ["forget_taken", "take_lots", "takeable_lots", "taken_at"]


@njit
def taken_at(sim: NDArray[Any], slot: int, price_ticks: int) -> int:
    """Return the place of a price among those that own orders took from, -1 without."""
    s = sim[0]
    for i in range(s["taken"][slot]):
        if s["taken_ticks"][slot, i] == price_ticks:
            return i
    return -1


@njit
def takeable_lots(
    sim: NDArray[Any], slot: int, price_ticks: int, displayed: int, planned: int
) -> int:
    """Return what own orders may still take at a price; 0 where the table of them is full.

    `planned` prices that are not in it yet are to have a place before this one.
    """
    s = sim[0]
    at = taken_at(sim, slot, price_ticks)
    if at >= 0:
        return int(displayed - s["taken_lots"][slot, at])
    return displayed if s["taken"][slot] + planned < MAX_TAKEN else 0


@njit
def take_lots(sim: NDArray[Any], slot: int, price_ticks: int, qty_lots: int) -> None:
    """Note what was taken at a price."""
    s = sim[0]
    at = taken_at(sim, slot, price_ticks)
    if at < 0:
        at = s["taken"][slot]
        s["taken_ticks"][slot, at] = price_ticks
        s["taken_lots"][slot, at] = 0
        s["taken"][slot] = at + 1
    s["taken_lots"][slot, at] += qty_lots


@njit
def forget_taken(sim: NDArray[Any], book: NDArray[Any]) -> None:
    """Forget what was taken from levels that are gone; no more is taken than is displayed.

    A level that the book does not tell of any more may come back as it was: it is forgotten only
    where the table is full, for then nothing more could be taken at all.
    """
    s = sim[0]
    for slot in range(2):
        side = 2 * slot - 1  # slot 0: asks, taken by buys
        is_full = s["taken"][slot] == MAX_TAKEN
        i = 0
        while i < s["taken"][slot]:
            lots = displayed_lots(book, side, s["taken_ticks"][slot, i])
            if lots > 0:
                s["taken_lots"][slot, i] = min(lots, s["taken_lots"][slot, i])
            if lots > 0 or (lots < 0 and not is_full):
                i += 1
                continue
            last = s["taken"][slot] - 1
            s["taken_ticks"][slot, i] = s["taken_ticks"][slot, last]
            s["taken_lots"][slot, i] = s["taken_lots"][slot, last]
            s["taken"][slot] = last
