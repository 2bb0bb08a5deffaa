"""book state -> bytes and back: scalars and levels only, with a version in front."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant.codes import BookFault
from mmquant.kernels import book as kernels
from mmquant.kernels.book_check import book_check
from mmquant.kernels.book_tail import tail_set
from mmquant.records import LEVEL
from mmquant.state import BOOK, BOOK_RING_TICKS, BOOK_TAIL_LEVELS

__all__ = ["check_version", "dump_book", "restore_book"]

_MAGIC = b"mmqbook"
_VERSION = 5
_SCALARS = int(BOOK.fields["bid_lots"][1])  # type: ignore[index]  # bytes in front of the ring
_COUNTS = np.dtype(
    [("ring_bids", "<i8"), ("ring_asks", "<i8"), ("tail_bids", "<i8"), ("tail_asks", "<i8")]
)
# How the levels came to lie where they do, and what was read last: not what the book holds.
_CACHED = (
    *("tail_bids", "tail_asks", "tail_bids_sorted", "tail_asks_sorted"),
    *("bid_tail_taken", "ask_tail_taken", "bid_tail_doublings", "ask_tail_doublings"),
)
_HEAD = len(_MAGIC) + 1
_MOST = (BOOK_RING_TICKS, BOOK_RING_TICKS, BOOK_TAIL_LEVELS, BOOK_TAIL_LEVELS)


def _ring_levels(book: NDArray[Any], side: str) -> NDArray[Any]:
    base = int(book[0]["base_ticks"])
    slots = np.flatnonzero(book[0][f"{side}_lots"])
    levels = np.zeros(slots.size, LEVEL)
    levels["price_ticks"] = base + ((slots - base) & (BOOK_RING_TICKS - 1))
    levels["qty_lots"] = book[0][f"{side}_lots"][slots]
    return levels


def _tail_levels(book: NDArray[Any], side: str) -> NDArray[Any]:
    pairs = book[0][f"{side}_tail"].reshape(-1, 2)
    used = pairs[pairs[:, 1] != 0]
    levels = np.zeros(len(used), LEVEL)
    levels["price_ticks"], levels["qty_lots"] = used.T
    return np.sort(levels, order="price_ticks")


def dump_book(book: NDArray[Any]) -> bytes:
    """Return a one-element BOOK array as bytes: 16 a level and a few hundred besides."""
    parts = [
        *(_ring_levels(book, side) for side in ("bid", "ask")),
        *(_tail_levels(book, side) for side in ("bid", "ask")),
    ]
    counts = np.array([tuple(len(part) for part in parts)], _COUNTS)
    scalars = book.copy()
    for name in _CACHED:
        scalars[name] = 0
    head = _MAGIC + bytes([_VERSION]) + scalars.tobytes()[:_SCALARS] + counts.tobytes()
    return head + b"".join(part.tobytes() for part in parts)


def check_version(data: bytes) -> None:
    """Raise ValueError where `data` does not begin as `dump_book` does now."""
    if not data.startswith(_MAGIC) or len(data) < _HEAD + _SCALARS + _COUNTS.itemsize:
        raise ValueError(f"data must be what to_bytes returned, got {len(data)} other bytes")
    if data[len(_MAGIC)] != _VERSION:
        raise ValueError(
            f"data must be of version {_VERSION}, got {data[len(_MAGIC)]}: save it anew"
        )


def restore_book(data: bytes) -> NDArray[Any]:
    """Return the book that `dump_book` wrote.

    Raises
    ------
    ValueError
        Another version, or bytes that are no sound book.
    """
    check_version(data)
    counts = np.frombuffer(data, _COUNTS, 1, _HEAD + _SCALARS)[0].item()
    at = _HEAD + _SCALARS + _COUNTS.itemsize
    sound = all(0 <= n <= most for n, most in zip(counts, _MOST, strict=True))
    if not sound or len(data) != at + LEVEL.itemsize * sum(counts):
        raise ValueError(f"data must be what to_bytes returned, got {len(data)} damaged bytes")
    book = np.zeros(1, BOOK)
    kernels.book_clear(book)
    book.view(np.uint8)[:_SCALARS] = np.frombuffer(data, np.uint8, _SCALARS, _HEAD)
    for name in _CACHED:  # as the levels to come make them
        book[name] = 0
    ends = np.cumsum(counts)
    every = np.frombuffer(data, LEVEL, int(ends[-1]), at)
    if (every["qty_lots"] <= 0).any():
        raise ValueError("data must be what to_bytes returned, got levels without a quantity")
    ring_bids, ring_asks, tail_bids, tail_asks = np.split(every, ends[:-1])
    for side, levels in (("bid", ring_bids), ("ask", ring_asks)):
        book[0][f"{side}_lots"][levels["price_ticks"] & (BOOK_RING_TICKS - 1)] = levels["qty_lots"]
    for sign, levels in ((1, tail_bids), (-1, tail_asks)):
        for tick, lots in levels.tolist():
            tail_set(book[0], sign, tick, lots)
    fault = BookFault(book_check(book))
    if fault != BookFault.NONE:
        raise ValueError(f"data must be what to_bytes returned, got a damaged book: {fault.name}")
    return book
