"""depth updates -> book: exact decimal prices and quantities over the compiled order book."""

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._checks import whole
from mmquant.codes import BookCode, Side
from mmquant.kernels import book as kernels
from mmquant.records import LEVEL
from mmquant.state import BOOK, BOOK_OVERFLOW_LEVELS, BOOK_RING_TICKS

__all__ = ["OrderBook", "empty_book"]

Number = str | int | Decimal
Levels = Iterable[tuple[Number, Number]]

TOP = np.dtype(
    [("bid_ticks", "<i8"), ("bid_lots", "<i8"), ("ask_ticks", "<i8"), ("ask_lots", "<i8")]
)

_MAGIC = b"mmqbook1"
_TEXT_BYTES = 32
_MAX_INT64 = 2**63 - 1


def empty_book() -> NDArray[Any]:
    """Return a cleared one-element BOOK array, ready for the kernels."""
    book = np.zeros(1, BOOK)
    kernels.book_clear(book)
    return book


def _decimal(field: str, value: Number) -> Decimal:
    if not isinstance(value, str | int | Decimal) or isinstance(value, bool):
        raise TypeError(f"{field} must be a decimal string, got {value!r}: floats are not exact")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{field} must be a decimal number, got {value!r}") from None
    if not number.is_finite():
        raise ValueError(f"{field} must be finite, got {value!r}")
    return number


def _units(field: str, value: Number, unit: Decimal, least: int) -> int:
    """Return how many times `unit` goes into `value`, exactly."""
    count = Fraction(_decimal(field, value)) / Fraction(unit)
    if count.denominator != 1:
        raise ValueError(f"{field} must be a multiple of {unit}, got {value!r}: check the filters")
    if not least <= count <= _MAX_INT64:
        raise ValueError(f"{field} must be at least {least} and fit int64, got {value!r}")
    return int(count)


class OrderBook:
    """A price-level book of one instrument: absolute quantities, 0 removes a level.

    Parameters
    ----------
    tick_size, lot_size : str, int or Decimal
        Smallest steps of price and quantity, positive.

    Attributes
    ----------
    state : ndarray of BOOK, shape (1,)
        What the kernels change.
    """

    def __init__(self, tick_size: Number, lot_size: Number) -> None:
        self.tick_size = _decimal("tick_size", tick_size)
        self.lot_size = _decimal("lot_size", lot_size)
        for field, size in (("tick_size", self.tick_size), ("lot_size", self.lot_size)):
            if size <= 0:
                raise ValueError(f"{field} must be positive, got {size}")
        self.state = empty_book()

    def apply(self, bids: Levels, asks: Levels, update_id: int) -> BookCode:
        """Apply one complete event of changed levels.

        Parameters
        ----------
        bids, asks : iterable of (price, quantity)
            Decimal strings, ints or Decimals.
        update_id : int
            The book's update id after the event.

        Returns
        -------
        BookCode
            OK, or CROSSED where best bid >= best ask after the event.

        Raises
        ------
        TypeError, ValueError
            A price off tick or not positive, a quantity off lot or negative; nothing was applied.
        """
        return self._event(bids, asks, update_id, load=0)

    def load(self, bids: Levels, asks: Levels, update_id: int) -> BookCode:
        """Replace the whole book by a snapshot; everything else is as in `apply`."""
        return self._event(bids, asks, update_id, load=1)

    def _event(self, bids: Levels, asks: Levels, update_id: int, load: int) -> BookCode:
        pairs = [
            [
                (_units("price", p, self.tick_size, 1), _units("quantity", q, self.lot_size, 0))
                for p, q in side
            ]
            for side in (bids, asks)
        ]
        n_bids, n_asks = len(pairs[0]), len(pairs[1])
        words = np.array(pairs[0] + pairs[1], np.int64).reshape(-1)
        ident = whole("update_id", update_id, 0)
        code = BookCode(
            kernels.book_apply(self.state, words, 0, n_bids, 2 * n_bids, n_asks, ident, load)
        )
        if code == BookCode.BAD_LEVEL:
            highest = kernels.MAX_PRICE_TICKS
            raise ValueError(f"prices must be at most {highest} ticks, got {words[0::2].max()}")
        return code

    def _best(self, side: str, none: int) -> tuple[Decimal, Decimal] | None:
        ticks = int(self.state[0][f"best_{side}_ticks"])
        if ticks == none:
            return None
        return ticks * self.tick_size, int(self.state[0][f"best_{side}_lots"]) * self.lot_size

    @property
    def best_bid(self) -> tuple[Decimal, Decimal] | None:
        """Price and quantity of the best bid, None where there is none."""
        return self._best("bid", kernels.NO_BID)

    @property
    def best_ask(self) -> tuple[Decimal, Decimal] | None:
        """Price and quantity of the best ask, None where there is none."""
        return self._best("ask", kernels.NO_ASK)

    @property
    def mid(self) -> Decimal | None:
        """Middle of the best prices, None where a side is empty."""
        bid, ask = self.best_bid, self.best_ask
        return None if bid is None or ask is None else (bid[0] + ask[0]) / 2

    @property
    def last_update_id(self) -> int:
        """Update id of the newest event."""
        return int(self.state[0]["last_update_id"])

    def top(self, n: int) -> NDArray[Any]:
        """Return the best `n` levels as a structured array (n,): ticks and lots, 0 where none."""
        depth = whole("n", n, 1, 2 * (BOOK_RING_TICKS + BOOK_OVERFLOW_LEVELS))
        levels = np.zeros(2 * depth, LEVEL)
        kernels.book_top(self.state, levels, depth)
        top = np.empty(depth, TOP)
        top["bid_ticks"], top["ask_ticks"] = levels["price_ticks"].reshape(2, depth)
        top["bid_lots"], top["ask_lots"] = levels["qty_lots"].reshape(2, depth)
        return top

    def depth_at(self, side: Side, price: Number) -> Decimal:
        """Return the quantity at `price` on the bids' (BUY) or the asks' (SELL) side."""
        sign = int(Side(side))
        tick = _units("price", price, self.tick_size, 1)
        return int(kernels.book_depth_at(self.state, sign, tick)) * self.lot_size

    def __repr__(self) -> str:
        def text(level: tuple[Decimal, Decimal] | None) -> str:
            return "none" if level is None else f"{level[1]} @ {level[0]}"

        bid, ask = text(self.best_bid), text(self.best_ask)
        return f"OrderBook(bid {bid}, ask {ask}, update {self.last_update_id})"

    def to_bytes(self) -> bytes:
        """Return the whole book as bytes, for `from_bytes`."""
        sizes = [str(size).encode() for size in (self.tick_size, self.lot_size)]
        if max(map(len, sizes)) > _TEXT_BYTES:
            raise ValueError(f"tick_size and lot_size must have at most {_TEXT_BYTES} digits")
        return _MAGIC + b"".join(s.ljust(_TEXT_BYTES) for s in sizes) + self.state.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "OrderBook":
        """Return the book that `to_bytes` wrote.

        Raises
        ------
        ValueError
            The bytes are not a book's.
        """
        head = len(_MAGIC) + 2 * _TEXT_BYTES
        if len(data) != head + BOOK.itemsize or not data.startswith(_MAGIC):
            raise ValueError(f"data must be what to_bytes returned, got {len(data)} other bytes")
        sizes = data[len(_MAGIC) : head].decode("ascii", "replace")
        book = cls(sizes[:_TEXT_BYTES].strip(), sizes[_TEXT_BYTES:].strip())
        state = np.frombuffer(data, BOOK, 1, head).copy()
        s = state[0]
        counts = (int(s["overflow_bids"]), int(s["overflow_asks"]))
        window = int(s["end_ticks"]) - int(s["base_ticks"])
        if not all(0 <= n <= BOOK_OVERFLOW_LEVELS for n in counts) or window != BOOK_RING_TICKS:
            raise ValueError("data must be what to_bytes returned, got a damaged book")
        book.state = state
        return book
