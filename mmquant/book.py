"""depth updates -> book: exact decimal prices and quantities over the compiled order book."""

import zlib
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmquant._checks import whole
from mmquant._exact import Number, exact_decimal, exact_units, in_units, ratio_in_units
from mmquant.book_bytes import check_version, dump_book, restore_book
from mmquant.book_events import pack_events, side_sign, touches_frame
from mmquant.codes import BookCode, BookFault, Side
from mmquant.kernels import book as kernels
from mmquant.kernels import book_check, book_path, book_read
from mmquant.records import LEVEL
from mmquant.state import BOOK, BOOK_RING_TICKS, BOOK_TAIL_LEVELS, BOOK_TOUCH

if TYPE_CHECKING:
    import pandas

__all__ = ["FillCost", "OrderBook", "empty_book"]

Levels = Iterable[tuple[Number, Number]]

TOP = np.dtype(
    [("bid_ticks", "<i8"), ("bid_lots", "<i8"), ("ask_ticks", "<i8"), ("ask_lots", "<i8")]
)

_INT64 = np.dtype(np.int64)
_INT64_MOST = 2**63 - 1
_TEXT_BYTES = 32
_CHECKSUM_BYTES = 4  # CRC-32 of all that is before it


def empty_book() -> NDArray[Any]:
    """Return a cleared one-element BOOK array, ready for the kernels."""
    book = np.zeros(1, BOOK)
    kernels.book_clear(book)
    return book


def _pair(field: str, level: Any) -> tuple[Number, Number]:
    if not isinstance(level, tuple | list | np.ndarray) or len(level) != 2:
        raise ValueError(f"{field} must be pairs (price, quantity), got {level!r}: pass both")
    price, quantity = level
    return price, quantity


def _no_words(event: Any) -> TypeError:
    got = type(event).__name__
    if isinstance(event, np.ndarray):
        got = f"{event.dtype} of shape {event.shape}"
        got += "" if event.flags.c_contiguous else ", not contiguous"
    return TypeError(
        f"event must be an array of int64, contiguous and of one dimension, got {got}: "
        "pass numpy.array(event, numpy.int64)"
    )


class FillCost(NamedTuple):
    """What taking a quantity from the book costs."""

    filled: Decimal
    cost: Decimal  # sum of price times quantity
    average_price: Decimal | None  # None where nothing can be filled
    worst_price: Decimal | None
    shortfall: Decimal  # what the book is too thin for


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
        self.tick_size = exact_decimal("tick_size", tick_size)
        self.lot_size = exact_decimal("lot_size", lot_size)
        for field, size in (("tick_size", self.tick_size), ("lot_size", self.lot_size)):
            if size <= 0:
                raise ValueError(f"{field} must be positive, got {size}")
        self.state = empty_book()

    def apply(self, bids: Levels, asks: Levels, update_id: int) -> BookCode:
        """Apply one complete event of changed levels.

        Quantities are absolute, so an older event than the last is applied as well and its id is
        the book's then: whoever follows a feed checks ids before.

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
        pairs: list[list[tuple[int, int]]] = []
        for field, side in (("bids", bids), ("asks", asks)):
            if not isinstance(side, Iterable):
                raise TypeError(f"{field} must be pairs (price, quantity), got {side!r}: pass []")
            levels = [_pair(field, level) for level in side]
            pairs.append([])
            for i, level in enumerate(levels):
                try:
                    pairs[-1].append(self._steps(*level))
                except (TypeError, ValueError) as error:
                    raise type(error)(f"{field}[{i}] {error}") from None
        n_bids, n_asks = len(pairs[0]), len(pairs[1])
        words = np.array(pairs[0] + pairs[1], np.int64).reshape(-1)
        ident = whole("update_id", update_id, 0)
        code = BookCode(
            kernels.book_apply(self.state, words, 0, n_bids, 2 * n_bids, n_asks, ident, load)
        )
        if code == BookCode.BAD_LEVEL:
            raise self._too_high(int(words[0::2].max()))
        return code

    def _steps(self, price: Number, quantity: Number) -> tuple[int, int]:
        return (
            exact_units("price", price, self.tick_size, 1),
            exact_units("quantity", quantity, self.lot_size, 0),
        )

    def _too_high(self, ticks: int) -> ValueError:
        most, got = (in_units(n, self.tick_size) for n in (kernels.MAX_PRICE_TICKS, ticks))
        return ValueError(f"prices must be at most {most} (2^53 ticks), got {got}: check its unit")

    def clear(self) -> None:
        """Empty the book and forget its ids: `last_update_id` is 0 (behind a replayed clear, its).

        The counters of `state` (loads, updates, gaps, ...) stay.
        """
        kernels.book_clear(self.state)

    def apply_bbo(
        self, bid: tuple[Number, Number], ask: tuple[Number, Number], update_id: int
    ) -> BookCode:
        """Take in a best bid and offer: the touch until a depth event is as new.

        Parameters
        ----------
        bid, ask : (price, quantity)
            A side of quantity 0 is empty.
        update_id : int
            In the numbering of the depth events; `last_update_id` stays theirs.

        Returns
        -------
        BookCode
            OK, CROSSED, or IGNORED where the book is as new.
        """
        values = [whole("update_id", update_id, 0)]
        for field, level in (("bid", bid), ("ask", ask)):
            price, quantity = _pair(field, level)
            lots = exact_units(f"{field} quantity", quantity, self.lot_size, 0)
            ticks = exact_units(f"{field} price", price, self.tick_size, 1 if lots else 0)
            values += [ticks, lots]
        code = BookCode(kernels.book_bbo(self.state, *values))
        if code == BookCode.BAD_LEVEL:
            raise self._too_high(max(values[1::2]))
        return code

    def step(self, event: NDArray[np.int64]) -> int:
        """Apply one packed event (see `mmquant.kernels.book_path`); the fast way in.

        Parameters
        ----------
        event : ndarray of int64, contiguous
            kind, update_id, n_bids, n_asks, then pairs of ticks and lots, bids first.

        Returns
        -------
        int
            A BookCode: what an event says is checked by the kernel, which raises nothing. A
            kind that is none, and an update id below 0 or above 2^62, is BAD_LEVEL: nothing was
            applied.

        Raises
        ------
        TypeError
            Not a contiguous array of int64 with one dimension.
        """
        # The kernel would take other whole numbers as well, compiled anew for each kind.
        if not isinstance(event, np.ndarray) or event.dtype != _INT64:
            raise _no_words(event)
        if event.ndim != 1 or not event.flags.c_contiguous:
            raise _no_words(event)
        return book_path.book_step(self.state, event, 0)

    def replay(self, events: Any) -> Any:
        """Apply many events and return the touch after each.

        Parameters
        ----------
        events : DataFrame, structured array or dict of columns
            A row a level: `update_id`, not negative; `side` ("bid" or "buy", "ask" or "sell", or
            1, -1; in capitals as well); `price_ticks` or `price`;
            `qty_lots` or `quantity`; optional `kind` ("delta", "snapshot", "clear", "bbo", or its
            BookEvent). Consecutive rows of one update id and kind are one event; a second bid
            or ask of a "bbo" begins the next, and a side without a row is empty there. Floats must
            lie on the grid of tick and lot, all else is exact; NaN is refused (except in a "clear"
            row, whose side, price and quantity are not read).

        Returns
        -------
        DataFrame or ndarray of BOOK_TOUCH
            An entry an event. A DataFrame gets a DataFrame: update_id, code, bid, bid_qty, ask,
            ask_qty in units of price and quantity, NaN where a side is empty, then bid_ticks,
            bid_lots, ask_ticks, ask_lots, with the index label of each event's first row.
            Anything else gets ticks and lots alone. There an empty side reads NO_BID or NO_ASK
            with 0 lots, which `mid` and all signals take for none.

        Raises
        ------
        TypeError, ValueError
            No table, a column is missing or of another length, or a value is not what it must
            be; nothing was applied. An event
            with a price that is not positive or a negative quantity is not applied and its code
            is BAD_LEVEL.
        """
        words, firsts = pack_events(events, self.tick_size, self.lot_size)
        touches = np.zeros(firsts.size, BOOK_TOUCH)
        book_path.book_path(self.state, words, touches)
        if not hasattr(events, "index"):
            return touches
        return touches_frame(touches, self.tick_size, self.lot_size, events.index[firsts])

    @property
    def best_bid(self) -> tuple[Decimal, Decimal] | None:
        """Price and quantity of the best bid, None where there is none."""
        ticks, lots, _, _ = book_read.book_touch(self.state)
        return self._level(ticks, lots)

    @property
    def best_ask(self) -> tuple[Decimal, Decimal] | None:
        """Price and quantity of the best ask, None where there is none."""
        _, _, ticks, lots = book_read.book_touch(self.state)
        return self._level(ticks, lots)

    def _level(self, ticks: int, lots: int) -> tuple[Decimal, Decimal] | None:
        if not lots:
            return None
        return in_units(ticks, self.tick_size), in_units(lots, self.lot_size)

    @property
    def mid(self) -> Decimal | None:
        """Middle of the best prices, None where a side is empty."""
        bid, bid_lots, ask, ask_lots = book_read.book_touch(self.state)
        if not (bid_lots and ask_lots):
            return None
        return in_units(5 * (int(bid) + int(ask)), self.tick_size.scaleb(-1))

    @property
    def is_crossed(self) -> bool:
        """Whether best bid >= best ask."""
        return bool(book_read.book_crossed(self.state))

    @property
    def last_update_id(self) -> int:
        """Update id of the newest depth event, 0 for none; a best bid and offer leaves it be."""
        return int(self.state[0]["last_update_id"])

    def top(self, n: int) -> NDArray[Any]:
        """Return the best `n` levels as a structured array (n,): ticks and lots, 0 where none."""
        depth = whole("n", n, 1, 2 * (BOOK_RING_TICKS + BOOK_TAIL_LEVELS))
        levels = np.zeros(2 * depth, LEVEL)
        book_read.book_top(self.state, levels, depth)
        top = np.empty(depth, TOP)
        top["bid_ticks"], top["ask_ticks"] = levels["price_ticks"].reshape(2, depth)
        top["bid_lots"], top["ask_lots"] = levels["qty_lots"].reshape(2, depth)
        return top

    def depth_at(self, side: Side | str, price: Number) -> Decimal:
        """Return the quantity at `price` on the bids' (BUY) or the asks' (SELL) side.

        Sides are a Side or a word, here and below: "buy" or "bid", "sell" or "ask".
        """
        sign = side_sign(side)
        tick = exact_units("price", price, self.tick_size, 1)
        return in_units(book_read.book_depth_at(self.state, sign, tick), self.lot_size)

    def to_frame(self, n: int = 10) -> "pandas.DataFrame":
        """Return the best `n` levels as a DataFrame: prices, quantities, cumulative quantities.

        Floats, to look at and to plot; NaN where a side has fewer levels.
        """
        import pandas as pd

        top = self.top(n)
        columns = {}
        for side in ("bid", "ask"):
            empty = top[f"{side}_lots"] == 0
            lots = top[f"{side}_lots"].astype(np.float64)
            for name, steps, unit in (
                (side, top[f"{side}_ticks"], self.tick_size),
                (f"{side}_qty", lots, self.lot_size),
                (f"{side}_cumulative_qty", np.cumsum(lots), self.lot_size),
            ):
                up, down = unit.as_integer_ratio()  # 0.1 has no exact float, 10 has
                columns[name] = np.where(empty, np.nan, steps * float(up) / float(down))
        return pd.DataFrame(columns)

    def depth_to(self, side: Side | str, price: Number) -> Decimal:
        """Return the quantity of a side from the touch to `price`, that price included.

        Raises
        ------
        TypeError, ValueError
            A price off tick, or a sum too large for int64.
        """
        tick = exact_units("price", price, self.tick_size, 1)
        lots = book_read.book_cumulative(self.state, side_sign(side), tick)
        if lots == _INT64_MOST:
            raise ValueError(
                f"the quantity up to price must fit int64 lots, got more up to {price!r}: pass a "
                f"nearer price"
            )
        return in_units(lots, self.lot_size)

    def cost_to_fill(self, side: Side | str, quantity: Number) -> FillCost:
        """Return what an order of `quantity` that takes at once would cost.

        Parameters
        ----------
        side : Side or str
            Of the order: BUY ("buy", "bid") takes the asks.
        quantity : str, int or Decimal
            Positive.

        Raises
        ------
        TypeError, ValueError
            A quantity off lot or not positive, or too large for int64 arithmetic.
        """
        lots = exact_units("quantity", quantity, self.lot_size, 1)
        code, filled, cost, worst = book_read.book_cost(self.state, side_sign(side), lots)
        if code == BookCode.TOO_LARGE:
            raise ValueError(f"quantity times price must fit int64, got {quantity!r}: fill less")
        return FillCost(
            filled=in_units(filled, self.lot_size),
            cost=in_units(cost, in_units(1, self.tick_size) * self.lot_size),
            average_price=ratio_in_units(cost, filled, self.tick_size) if filled else None,
            worst_price=in_units(worst, self.tick_size) if filled else None,
            shortfall=in_units(lots - filled, self.lot_size),
        )

    def would_cross(self, side: Side | str, price: Number) -> bool:
        """Tell whether a limit order at `price` would trade at once."""
        tick = exact_units("price", price, self.tick_size, 1)
        return bool(book_read.book_would_cross(self.state, side_sign(side), tick))

    def check(self) -> BookFault:
        """Check every rule the book's layout rests on; NONE for a sound book."""
        return BookFault(book_check.book_check(self.state))

    def __repr__(self) -> str:
        def text(level: tuple[Decimal, Decimal] | None) -> str:
            return "none" if level is None else f"{level[1]} @ {level[0]}"

        bid, ask = text(self.best_bid), text(self.best_ask)
        b = self.state[0]
        touch = ""
        if b["bbo_update_id"] > b["last_update_id"]:
            touch = f" by best bid and offer {b['bbo_update_id']}"
        dropped = f", {b['tail_evicted']} far levels dropped" if b["tail_evicted"] else ""
        return (
            f"OrderBook(bid {bid}, ask {ask}{touch}, depth update {self.last_update_id}{dropped})"
        )

    def copy(self) -> "OrderBook":
        """Return a book of its own with the same levels and counters."""
        book = OrderBook(self.tick_size, self.lot_size)
        book.state = self.state.copy()
        return book

    __copy__ = copy

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        return OrderBook.from_bytes, (self.to_bytes(),)

    def to_bytes(self) -> bytes:
        """Return the whole book as bytes (16 a level), for `from_bytes`."""
        sizes = [str(size).encode() for size in (self.tick_size, self.lot_size)]
        if max(map(len, sizes)) > _TEXT_BYTES:
            raise ValueError(f"tick_size and lot_size must have at most {_TEXT_BYTES} digits")
        data = b"".join(size.ljust(_TEXT_BYTES) for size in sizes) + dump_book(self.state)
        return data + zlib.crc32(data).to_bytes(_CHECKSUM_BYTES, "little")

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> "OrderBook":
        """Return the book that `to_bytes` wrote.

        Parameters
        ----------
        data : bytes, bytearray or memoryview

        Raises
        ------
        TypeError, ValueError
            No bytes, or not a book's, of another version, or damaged.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(
                f"data must be bytes, got {type(data).__name__}: pass what to_bytes returned"
            )
        data = bytes(data)
        body, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
        check_version(body[2 * _TEXT_BYTES :])
        if zlib.crc32(body) != int.from_bytes(checksum, "little"):
            raise ValueError(f"data must be what to_bytes returned, got {len(data)} damaged bytes")
        state = restore_book(body[2 * _TEXT_BYTES :])
        sizes = data[: 2 * _TEXT_BYTES].decode("ascii", "replace")
        book = cls(sizes[:_TEXT_BYTES].strip(), sizes[_TEXT_BYTES:].strip())
        book.state = state
        return book
