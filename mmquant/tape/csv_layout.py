"""The tables in CSV that are known: their columns, and how each is told from the others."""

from dataclasses import dataclass
from pathlib import Path

from mmquant.codes import Market, TapeKind
from mmquant.kernels.tape_csv import DECIMAL, INTEGER, LETTER, SKIPPED
from mmquant.tape.errors import TapeError

__all__ = ["NO_ROW", "Layout", "is_begun", "layout_of"]

_TARDIS = (("exchange", LETTER), ("symbol", LETTER), ("time", INTEGER), ("received", INTEGER))
_BOOLEANS = (b"true", b"false")
NO_ROW = (
    "no row in it: a table must have one at least besides the names of its columns; leave the file "
    "out, or download it again"
)


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of table: its columns as (role, how it is read)."""

    name: str
    kind: TapeKind  # of its events; DELTA for a book, which has snapshots, too
    columns: tuple[tuple[str, int], ...]
    market: Market | None = None

    def index(self, role: str) -> int:
        """Return the place of a column."""
        return [name for name, _ in self.columns].index(role)

    def has(self, role: str) -> bool:
        """Tell whether there is such a column."""
        return any(name == role for name, _ in self.columns)


_BOOK = Layout(
    "tardis incremental_book_L2",
    TapeKind.DELTA,
    (*_TARDIS, ("is_snapshot", LETTER), ("side", LETTER), ("price", DECIMAL), ("qty", DECIMAL)),
)
_TRADES = Layout(
    "tardis trades",
    TapeKind.TRADE,
    (*_TARDIS, ("id", INTEGER), ("side", LETTER), ("price", DECIMAL), ("qty", DECIMAL)),
)
_TRADES_WITHOUT_IDS = Layout(
    "tardis trades",
    TapeKind.TRADE,
    (*_TARDIS, ("name", SKIPPED), ("side", LETTER), ("price", DECIMAL), ("qty", DECIMAL)),
)
_QUOTES = Layout(
    "tardis quotes",
    TapeKind.BBO,
    (*_TARDIS, ("ask_qty", DECIMAL), ("ask", DECIMAL), ("bid", DECIMAL), ("bid_qty", DECIMAL)),
)
_TARDIS_BY_COLUMN = {b"is_snapshot": _BOOK, b"id": _TRADES, b"ask_amount": _QUOTES}

_ID_PRICE_QTY = (("id", INTEGER), ("price", DECIMAL), ("qty", DECIMAL))
_QUOTE_TIME_MAKER = (("quote_qty", SKIPPED), ("time", INTEGER), ("maker", LETTER))
_FIRST_LAST_TIME_MAKER = (
    ("first_id", INTEGER),
    ("last_id", INTEGER),
    ("time", INTEGER),
    ("maker", LETTER),
)
_BEST = (("best", LETTER),)
# data.binance.vision writes some files with names of columns and some without; what tells them
# apart is where the booleans stand.
_VISION = {
    "nnnnnb": Layout(
        "USD-M trades", TapeKind.TRADE, (*_ID_PRICE_QTY, *_QUOTE_TIME_MAKER), Market.USDM
    ),
    "nnnnnbb": Layout(
        "spot trades", TapeKind.TRADE, (*_ID_PRICE_QTY, *_QUOTE_TIME_MAKER, *_BEST), Market.SPOT
    ),
    "nnnnnnb": Layout(
        "USD-M aggTrades", TapeKind.TRADE, (*_ID_PRICE_QTY, *_FIRST_LAST_TIME_MAKER), Market.USDM
    ),
    "nnnnnnbb": Layout(
        "spot aggTrades",
        TapeKind.TRADE,
        (*_ID_PRICE_QTY, *_FIRST_LAST_TIME_MAKER, *_BEST),
        Market.SPOT,
    ),
    "nnnnnnn": Layout(
        "USD-M bookTicker",
        TapeKind.BBO,
        (
            ("id", INTEGER),
            ("bid", DECIMAL),
            ("bid_qty", DECIMAL),
            ("ask", DECIMAL),
            ("ask_qty", DECIMAL),
            ("time", INTEGER),
            ("event_time", SKIPPED),
        ),
        Market.USDM,
    ),
}


def is_begun(head: bytes) -> bool:
    """Tell whether there are two lines that are not blank: a row behind the names of columns."""
    return bool(head.strip().count(b"\n"))


def layout_of(head: bytes, source: str, path: Path) -> tuple[Layout, bool]:
    """Return the layout of a file and whether its first line names the columns.

    Parameters
    ----------
    head : bytes
        The file's beginning.
    source : str
        "tardis" or "vision".
    path : Path
        What errors name.

    Raises
    ------
    TapeError
        A table that is none of the known ones.
    """
    first, _, rest = head.partition(b"\n")
    # The first row is behind blank lines, if there are any.
    row_at = len(rest) - len(rest.lstrip())
    lines = [first.rstrip(b"\r"), rest[row_at:].partition(b"\n")[0].rstrip(b"\r")]
    if source == "tardis":
        names = lines[0].split(b",")
        layout = _TARDIS_BY_COLUMN.get(names[4]) if len(names) == 8 else None
        if layout is None:
            raise TapeError(
                f"columns must be those of incremental_book_L2, trades, book_ticker or quotes, "
                f"got {lines[0][:90]!r}",
                path,
                "line 1",
            )
        row = lines[1].split(b",")
        if layout is _TRADES and len(row) == 8 and not row[4].isdigit():
            layout = _TRADES_WITHOUT_IDS
        return layout, True
    has_names = lines[0][:1].isalpha()
    if not (has_names or lines[0][:1].isdigit()):
        raise TapeError(
            f"the first row must begin with a number or a column's name, got {lines[0][:30]!r}: "
            f"write the table as plain UTF-8 without a mark, blanks or quotes before it",
            path,
            "line 1",
        )
    if has_names and not any(lines[1:]):
        raise TapeError(NO_ROW, path)
    fields = lines[1 if has_names else 0].split(b",")
    pattern = "".join("b" if field.lower() in _BOOLEANS else "n" for field in fields)
    if pattern not in _VISION:
        raise TapeError(
            f"no table of data.binance.vision that is known (trades, aggTrades, bookTicker), it "
            f"begins with {lines[0][:60]!r}: pass format= where it is another",
            path,
            "line 1",
        )
    return _VISION[pattern], has_names
