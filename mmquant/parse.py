"""a venue's frames (bytes) -> ticks and lots, or straight into a book: the compiled parser.

It knows the shapes that Binance sends (spot and USD-M; raw and combined frames of depth,
bookTicker, trade and aggTrade, and REST depth snapshots) and answers UNKNOWN to everything else,
which is then a full JSON parser's to judge. What it does take, it takes exactly.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._checks import whole
from mmquant.codes import BookCode, FrameKind
from mmquant.decimals import E8_DIGITS
from mmquant.kernels import frame_book
from mmquant.kernels import frames as kernels
from mmquant.kernels.tokens import NAME_BYTES, NAME_WORD_BYTES
from mmquant.records import LEVEL
from mmquant.state import BOOK, FRAME, SYMBOL

__all__ = ["MAX_FRAME_LEVELS", "FrameParser", "warm_up"]

MAX_FRAME_LEVELS = 32_768  # both sides together; more is no frame of this venue
_MAX_INSTRUMENTS = 1 << 16
_FEWEST_ENTRIES = 64
_INT64_MAX = 2**63 - 1
_KINDS = tuple(FrameKind)  # by value: a call of the enumeration costs more than a parse


class FrameParser:
    """Parses frames of the instruments added to it.

    Attributes
    ----------
    frame : ndarray of FRAME, shape (1,)
        What the last frame said. Overwritten by the next call, as are `bids` and `asks`.
    values : memoryview
        The same record as int64 words in the order of its fields: cheap to read one by one.
    levels : ndarray of LEVEL, shape (MAX_FRAME_LEVELS,)
        The last depth event's or snapshot's bids, behind them its asks.
    books : ndarray of BOOK, shape (number of instruments,)
        What `parse_and_apply` changes; made at its first use.

    Examples
    --------
    >>> parser = FrameParser()
    >>> parser.add("BTCUSDT", tick_size_e8=10_000_000, lot_size_e8=100_000)
    1
    >>> frame = b'{"u":7,"s":"BTCUSDT","b":"64000.0","B":"1.5","a":"64000.1","A":"2"}'
    >>> parser.parse(frame).name, int(parser.frame[0]["ask_ticks"])
    ('BEST_BID_OFFER', 640001)
    """

    def __init__(self) -> None:
        nbytes = FRAME.itemsize + MAX_FRAME_LEVELS * LEVEL.itemsize
        self._out = np.zeros(nbytes // 8, np.int64)
        self.values = memoryview(self._out)[: FRAME.itemsize // 8]
        self.frame: NDArray[Any] = self._out[: len(self.values)].view(FRAME)
        self.levels: NDArray[Any] = self._out[len(self.values) :].view(LEVEL)
        self.books: NDArray[Any] = np.zeros(0, BOOK)
        self._instruments: list[tuple[str, NDArray[Any]]] = []
        self._symbols = np.zeros(_FEWEST_ENTRIES, SYMBOL).view(np.int64)

    def add(self, symbol: str, tick_size_e8: int, lot_size_e8: int) -> int:
        """Make an instrument known; return its number, from 1 in the order of adding.

        Parameters
        ----------
        symbol : str
            As the frames name it. One that is not plain ASCII of at most 28 characters is never
            found: all its frames are UNKNOWN.
        tick_size_e8, lot_size_e8 : int
            Steps of price and quantity in units of 1e-8, positive.

        Raises
        ------
        TypeError, ValueError
            A size is no positive int; the symbol is known already; there are 65536 of them.
        """
        if any(symbol == known for known, _ in self._instruments):
            raise ValueError(f"symbol must be new, got {symbol!r} a second time")
        number = whole("number of instruments", len(self._instruments) + 1, 1, _MAX_INSTRUMENTS)
        entry = np.zeros(1, SYMBOL)
        row = entry[0]
        row["number"] = number
        for field, size in (("price", tick_size_e8), ("qty", lot_size_e8)):
            decimals, divisor = _steps(whole(f"{field} size", size, 1, _INT64_MAX))
            row[f"{field}_decimals"], row[f"{field}_divisor"] = decimals, divisor
        for i, word in enumerate(_name_words(symbol)):
            row[f"name_{i}"] = word
        self._instruments.append((symbol, entry.view(np.int64)))
        self._rebuild()
        return number

    def parse(self, payload: bytes) -> FrameKind:
        """Parse one raw or combined-stream frame into `frame` and `levels`."""
        code = kernels.frame_parse(payload, self._symbols, self._out)
        return _KINDS[code]

    def parse_snapshot(self, payload: bytes, number: int) -> FrameKind:
        """Parse a REST depth answer for instrument `number`: SNAPSHOT or UNKNOWN."""
        _, symbol = self._instruments[whole("number", number, 1, len(self._instruments)) - 1]
        code = kernels.snapshot_parse(payload, symbol, self._out)
        return _KINDS[code]

    def parse_and_apply(self, payload: bytes) -> FrameKind:
        """Parse one frame and bring a depth event into its instrument's book, in one call.

        Whether it was applied is in `frame[0]["book_code"]`, a BookCode; a book that was never
        loaded (see `load`) answers NOT_SYNCED.
        """
        if len(self.books) < len(self._instruments):
            self._grow_books()
        code = frame_book.frame_parse_and_apply(payload, self._symbols, self._out, self.books)
        return _KINDS[code]

    def load(self, payload: bytes, number: int) -> BookCode:
        """Load instrument `number`'s book from a REST depth answer.

        Raises
        ------
        ValueError
            The answer is not of the known shape.
        """
        if len(self.books) < len(self._instruments):
            self._grow_books()
        if self.parse_snapshot(payload, number) != FrameKind.SNAPSHOT:
            raise ValueError(f"payload must be a depth snapshot, got {payload[:80]!r}")
        book = self.books[number - 1 : number]
        return BookCode(frame_book.frame_apply(self._out, book))

    @property
    def words(self) -> NDArray[np.int64]:
        """What the kernels write: the words of `frame`, behind them those of `levels`."""
        return self._out

    @property
    def symbol_words(self) -> NDArray[np.int64]:
        """The table of instruments as the kernels read it; another one after `add`."""
        return self._symbols

    @property
    def bids(self) -> NDArray[Any]:
        """The last depth event's or snapshot's bids: a view, valid until the next call."""
        return self.levels[: self.values[kernels.N_BIDS]]

    @property
    def asks(self) -> NDArray[Any]:
        """The asks, as `bids`."""
        n_bids = self.values[kernels.N_BIDS]
        return self.levels[n_bids : n_bids + self.values[kernels.N_ASKS]]

    def _grow_books(self) -> None:
        grown = np.zeros(len(self._instruments), BOOK)
        grown[: len(self.books)] = self.books
        self.books = grown

    def _rebuild(self) -> None:
        entries = _FEWEST_ENTRIES
        while entries < 2 * len(self._instruments):
            entries *= 2
        table = np.zeros(entries, SYMBOL).view(np.int64)
        for _, words in self._instruments:
            name = [int(word) for word in words[: NAME_BYTES // NAME_WORD_BYTES]]
            if any(name):
                at = kernels.symbol_entry(table, *name)
                table[at : at + words.size] = words
        self._symbols = table


def _steps(size_e8: int) -> tuple[int, int]:
    """Return decimals and divisor of a size of divisor * 10**-decimals, decimals in [0, 8]."""
    decimals = E8_DIGITS
    while decimals and size_e8 % 10 == 0:
        size_e8 //= 10
        decimals -= 1
    return decimals, size_e8


def _name_words(symbol: str) -> tuple[int, ...]:
    """Pack a symbol as the kernels do; all zero where they would never find it."""
    name = symbol.encode()
    if len(name) > NAME_BYTES or not all(32 <= c < 127 and c not in b'"\\}' for c in name):
        name = b""
    return tuple(
        int.from_bytes(name[i : i + NAME_WORD_BYTES], "big")
        for i in range(0, NAME_BYTES, NAME_WORD_BYTES)
    )


def warm_up() -> None:
    """Load (or compile) the parser's kernels as they are called, before the first frame."""
    parser = FrameParser()
    parser.add("A", 1, 1)
    parser.load(b'{"lastUpdateId":1,"bids":[],"asks":[]}', 1)
    for call in (parser.parse, parser.parse_and_apply):
        call(b'{"e":"depthUpdate","E":2,"s":"A","U":2,"u":2,"b":[],"a":[["1","1"]]}')
