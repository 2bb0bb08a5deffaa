"""A tape: market data as two tables, mapped or in memory, and what one asks of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmquant._checks import whole
from mmquant.codes import Market
from mmquant.records import LEVEL
from mmquant.state import TAPE_EVENT
from mmquant.tape import frames, parts, report
from mmquant.tape.times import Time, to_ns

if TYPE_CHECKING:
    import pandas

    from mmquant.book import OrderBook

__all__ = ["ReadNotes", "Tape", "TapeInstrument"]

_E8 = Decimal(10) ** -8
PROBLEMS_KEPT = 100


@dataclass(frozen=True, slots=True)
class TapeInstrument:
    """One instrument of a tape; tick and lot size in units of 1e-8, exact."""

    symbol: str
    market: Market
    tick_size_e8: int
    lot_size_e8: int

    @property
    def tick_size(self) -> Decimal:
        """The price of a tick."""
        return (self.tick_size_e8 * _E8).normalize()

    @property
    def lot_size(self) -> Decimal:
        """The quantity of a lot."""
        return (self.lot_size_e8 * _E8).normalize()


@dataclass(slots=True)
class ReadNotes:
    """What a reader saw that is not in the tables."""

    rows: int = 0  # lines, or rows of a table
    left_out: dict[str, int] = field(default_factory=dict)  # why -> how many
    problems: list[str] = field(default_factory=list)  # the first of them: where and what
    assumptions: list[str] = field(default_factory=list)  # what the source does not say
    trade_ids_missing: int = 0
    truncated: str = ""  # where and why a file ends before its end

    def leave_out(self, why: str, problem: str = "") -> None:
        """Count something left out; keep the first problems in words."""
        self.left_out[why] = self.left_out.get(why, 0) + 1
        if problem and len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(problem)


class Tape:
    """Recorded or synthetic market data, in the order it was received.

    Times of its frames are in UTC and say so; one without a zone that is passed means UTC.

    Parameters
    ----------
    events : ndarray of TAPE_EVENT
        See mmquant/state/tape.py for what a row is.
    levels : ndarray of LEVEL
        The prices and quantities of all events.
    instruments : sequence of TapeInstrument
        By index.
    source : str
        Where it comes from, in words.
    notes : ReadNotes, optional
        What the reader saw.
    repairs : sequence of str
        What was changed on demand, in words.

    Attributes
    ----------
    events, levels, instruments, source, notes, repairs
        As given.
    words : ndarray of int64, shape (2 * number of levels,)
        `levels` as the kernels take them.
    """

    def __init__(
        self,
        events: NDArray[Any],
        levels: NDArray[Any],
        instruments: Sequence[TapeInstrument],
        source: str,
        notes: ReadNotes | None = None,
        repairs: Sequence[str] = (),
    ) -> None:
        if events.dtype != TAPE_EVENT or levels.dtype != LEVEL:
            raise TypeError(
                f"events and levels must be arrays of TAPE_EVENT and LEVEL, got "
                f"{events.dtype} and {levels.dtype}: read them with mmquant.read_tape"
            )
        self.events = events
        self.levels = levels
        self.instruments = tuple(instruments)
        self.source = source
        self.notes = notes or ReadNotes()
        self.repairs = tuple(repairs)

    @property
    def words(self) -> NDArray[np.int64]:
        """The levels as int64 words: price, quantity, price, ..."""
        return self.levels.view(np.int64)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The instruments' symbols, by index."""
        return tuple(instrument.symbol for instrument in self.instruments)

    @property
    def start_ns(self) -> int:
        """Time the first event was received, 0 for an empty tape."""
        return int(self.events["received_ns"][0]) if self.events.size else 0

    @property
    def end_ns(self) -> int:
        """Time the last event was received, 0 for an empty tape."""
        return int(self.events["received_ns"][-1]) if self.events.size else 0

    @property
    def duration_s(self) -> float:
        """Seconds from the first event to the last."""
        return (self.end_ns - self.start_ns) / 1e9

    @property
    def rows(self) -> int:
        """Prices of its events: what other programs call rows; a slice may share more levels."""
        counts = (self.events[name].sum(dtype=np.int64) for name in ("n_bids", "n_asks"))
        return int(sum(counts))

    @property
    def nbytes(self) -> int:
        """Bytes of both tables."""
        return int(self.events.nbytes + self.levels.nbytes)

    def __len__(self) -> int:
        return int(self.events.size)

    def __repr__(self) -> str:
        what = f"{len(self)} events, {self.rows} rows, {self.duration_s:.1f} s"
        return f"Tape({', '.join(self.symbols)}: {what}, {self.source})"

    def index_of(self, symbol: str | None) -> int:
        """Return the index of a symbol; without one, of the only instrument.

        Raises
        ------
        ValueError
            The tape has no such symbol, or several and none was named.
        """
        if symbol is None:
            if len(self.instruments) != 1:
                raise ValueError(
                    f"symbol must be one of {', '.join(self.symbols)}, got none: name one"
                )
            return 0
        if symbol not in self.symbols:
            raise ValueError(f"symbol must be one of {', '.join(self.symbols)}, got {symbol!r}")
        return self.symbols.index(symbol)

    # what is in it

    def info(self) -> "report.TapeInfo":
        """Return what the tape holds: print it, or read its fields."""
        return report.describe(self)

    def report(self) -> "report.TapeReport":
        """Return what is wrong with it: gaps, clock skew, disorder. Nothing is changed."""
        return report.inspect(self)

    def to_frame(self, *, symbol: str | None = None) -> "pandas.DataFrame":
        """Return a row for each price: time, kind, side, price, quantity.

        Parameters
        ----------
        symbol : str, optional
            Only this instrument's.

        Raises
        ------
        ValueError
            More rows than fit: slice the tape first.
        """
        return frames.rows_frame(self, symbol)

    def trades(self, symbol: str | None = None) -> "pandas.DataFrame":
        """Return the trades: index the time received, price, quantity, side (1 a buy), id."""
        return frames.trades_frame(self, self.index_of(symbol))

    def touches(self, symbol: str | None = None) -> "pandas.DataFrame":
        """Return the best bid and offer after each event of the book, as the book has it.

        Prices and quantities are NaN where a side is empty; `bid_ticks`, `bid_lots` and so on,
        the same as exact whole numbers, have 0 lots there, and NO_BID or NO_ASK for a price, which
        `mid` and all signals take for none.
        """
        return frames.touches_frame(self, self.index_of(symbol))

    def resample(self, step: Time, symbol: str | None = None) -> "pandas.DataFrame":
        """Return bars of equal length: the mid's open to close, the touch, volumes, counts.

        Parameters
        ----------
        step : str, Timedelta, timedelta64 or int
            Length of a bar; an int is nanoseconds.
        symbol : str, optional
            Which instrument; needed where there are several.

        Returns
        -------
        DataFrame
            Index: the bars' begin (multiples of `step`). NaN before there is a touch.
        """
        return frames.bars_frame(self, self.index_of(symbol), to_ns("step", step))

    def depth(
        self, step: Time, ticks: int = 50, symbol: str | None = None, levels: int = 100
    ) -> "pandas.DataFrame":
        """Return the book on a time grid: a column a price, quantities, bids negative.

        Parameters
        ----------
        step
            As of `resample`.
        ticks : int
            Prices as far as this from the first mid and the last are kept.
        symbol
            As of `resample`.
        levels : int
            Levels a side that are looked at.
        """
        index = self.index_of(symbol)
        reach = whole("ticks", ticks, 1, 100_000)
        n = whole("levels", levels, 1, 10_000)
        return frames.depth_frame(self, index, to_ns("step", step), reach, n)

    def book_at(self, time: Time, symbol: str | None = None) -> "OrderBook":
        """Return the order book as it stood at a time received."""
        return frames.book_at(self, self.index_of(symbol), to_ns("time", time))

    # parts of it

    def slice(self, start: Time | None = None, end: Time | None = None) -> "Tape":
        """Return the events received in [start, end).

        A slice can be played by itself: where it begins in the midst of a book, the book as it
        stood comes first, as a snapshot. Where it does not, the levels are shared with this tape.

        Parameters
        ----------
        start, end : datetime-like, str or int, optional
            Times in UTC; an int is nanoseconds since the epoch.
        """
        first = None if start is None else to_ns("start", start)
        last = None if end is None else to_ns("end", end)
        return parts.slice_tape(self, first, last)

    def select(self, *symbols: str) -> "Tape":
        """Return the events of these instruments alone."""
        return parts.select(self, [self.index_of(symbol) for symbol in symbols])

    def chunks(self, events: int) -> Iterator["Tape"]:
        """Yield the tape in pieces of so many events: views, nothing is read before its turn.

        A piece goes on where the one before ended: it does not begin with a book.
        """
        n = whole("events", events, 1)
        for at in range(0, len(self), n):
            yield self.with_events(self.events[at : at + n])

    def repair(self, *what: str) -> "Tape":
        """Return a tape with what was asked for repaired, and said in `repairs`.

        Parameters
        ----------
        what : str
            "order": sorted by the time received (equal times keep their order); a recording's
            lines are better sorted as they are read, by `read_tape(..., repair="order")`.
            "clock": all times received moved by one offset, so that nothing is received before
            it happened. "duplicates": what bears TAPE_SKIP is taken out.

        Raises
        ------
        ValueError
            Another word.
        """
        tape = self
        for name in what:
            tape = parts.repair(tape, name)
        return tape

    def save(self, path: Path | str, **options: Any) -> None:
        """Write it: a folder *.tape (mapped when read), *.npz (hftbacktest), else Parquet.

        Parameters
        ----------
        path : path or fsspec address
            `name.tape`, `name.npz`, or a folder for Parquet (any fsspec address).
        options
            As of `mmquant.tape.native.save`, `npz.save` or `parquet.save`.
        """
        from mmquant.tape.write import save

        save(self, path, **options)

    def with_events(
        self, events: NDArray[Any], levels: NDArray[Any] | None = None, repair: str = ""
    ) -> "Tape":
        """Return a tape of other events over the same (or other) levels."""
        return Tape(
            events,
            self.levels if levels is None else levels,
            self.instruments,
            self.source,
            self.notes,
            (*self.repairs, repair) if repair else self.repairs,
        )
