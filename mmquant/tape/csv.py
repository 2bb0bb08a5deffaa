"""Tables in CSV, of Tardis and of data.binance.vision -> a tape, prices read exactly."""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mmquant.codes import Market, TapeKind
from mmquant.decimals import to_e8
from mmquant.kernels.tape_csv import DECIMAL, DONE, FULL, INTEGER, csv_rows
from mmquant.records import LEVEL
from mmquant.state import TAPE_AGGREGATE, TAPE_EVENT
from mmquant.tape.capture import CHUNK_BYTES, read_chunks
from mmquant.tape.core import ReadNotes, Tape
from mmquant.tape.csv_layout import NO_ROW, Layout, is_begun, layout_of
from mmquant.tape.csv_rules import BUY, SELL, TRUE, check_rows, market_of, refuse_other
from mmquant.tape.errors import TapeError, unreadable
from mmquant.tape.order import first_step_back, sort_in_place
from mmquant.tape.progress import Progress
from mmquant.tape.store import Store
from mmquant.tape.trade_ids import TradeIds, skip_repeated
from mmquant.tape.units import Sizes, settle_units

__all__ = ["load"]

BLOCK_ROWS = 1 << 16  # read at once
TABLE_ROWS = 1 << 16  # made events of at once
MAX_SIDE = 65_535
_ZIP = b"PK\x03\x04"
_MILLIS = (10**11, 10**14)  # stamps of 1973 to 5138
_MICROS = (10**14, 10**17)
# Rows of a file, and the line of each.
_Rows = tuple[NDArray[np.int64], NDArray[np.int64]]
# Events, their levels, and the line in the file of each level.
_Table = tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]


def load(
    paths: Sequence[Path],
    source: str,
    store: Store,
    sort: bool,
    progress: bool | None,
    *,
    tick_size: Sizes,
    lot_size: Sizes,
    symbol: str | None,
    market: str | None,
    latency_ns: int,
) -> Tape:
    """Return the tape of one instrument's tables, merged by the time received; see `read_tape`.

    Parameters
    ----------
    source : str
        "tardis" or "vision".
    store : Store
        Takes the tables as they are read.
    sort : bool
        Whether a file out of order is sorted, in memory as a whole; else it is an error.
    """
    notes = ReadNotes()
    total = sum(path.stat().st_size for path in paths)
    readers, levels_of = [], [0]
    with closing(store.scratch()) as lines:  # of each level
        with Progress("reading", total, progress) as bar:
            for path in paths:
                readers.append(_Reader(path, source, notes, bar, latency_ns))
                readers[-1].read(sort, store, lines)
                levels_of.append(lines.tell() // 8)
        where = ", ".join(str(path) for path in paths)
        name, its_market = _instrument_of(readers, symbol, market, notes, where)
        events, levels = store.finish()
        if not events.size:
            raise TapeError("no row in it", where)
        notes.trade_ids_missing = _merge(events, levels, readers, levels_of)

        def place(_: int, level: int) -> tuple[Path, str]:
            lines.seek(8 * level)
            path = paths[int(np.searchsorted(levels_of, level, "right")) - 1]
            return path, f"line {int(np.frombuffer(lines.read(8), np.int64)[0])}"

        sizes = (tick_size, lot_size)
        instruments = settle_units(events, levels, [name], [its_market], *sizes, where, place)
    if source == "vision":
        notes.assumptions.append(f"received {latency_ns} ns after the venue's time: not recorded")
    names_of_files = ", ".join(path.name for path in paths)
    back = sum(reader.steps_back for reader in readers)
    repairs = [f"order: sorted, {back} steps back in time"] if back else []
    return Tape(events, levels, instruments, f"{source} {names_of_files}", notes, repairs)


def _instrument_of(
    readers: Sequence["_Reader"],
    symbol: str | None,
    market: str | None,
    notes: ReadNotes,
    where: str,
) -> tuple[str, Market]:
    """Return the one symbol and market of all files, or refuse several."""
    names = [reader.symbol(symbol) for reader in readers]
    markets = [reader.market(market, notes) for reader in readers]
    for values, what in (
        (names, "symbols"),
        ([reader.exchange for reader in readers], "exchanges"),
        ([one.name.lower() for one in markets], "markets"),
    ):
        if len(set(values)) != 1:
            raise TapeError(
                f"one tape holds one of them, got the {what} "
                f"{', '.join(sorted(set(values)))}: read them one by one",
                where,
            )
    return names[0], markets[0]


def _merge(
    events: NDArray[Any],
    levels: NDArray[Any],
    readers: Sequence["_Reader"],
    levels_of: list[int],
) -> int:
    """Bring the events of several files into one order, and number those that have no id.

    Trades that came twice are flagged; returns how many trade ids are missing.
    """
    if first_step_back(events) >= 0:
        sort_in_place(events)
    # Other venues number the trades of several instruments together, or with leaps.
    is_consecutive = readers[0].exchange.startswith("binance") or readers[0].is_vision
    files = [reader.trade_ids for reader in readers]
    missing = skip_repeated(events, levels, files, levels_of, is_consecutive)
    nameless = np.flatnonzero(events["update_id"] == 0)
    events["update_id"][nameless] = nameless + 1
    return missing


def _chunks(path: Path, bar: Progress) -> Iterator[bytes]:
    """Yield a file's bytes, unpacked: plain, gzip, or the one member of a zip."""
    with path.open("rb") as opened:
        is_zip = opened.read(len(_ZIP)) == _ZIP  # one cut short, too, which has no end to find
    if not is_zip:
        yield from read_chunks(path, bar.advance)
        return
    with zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if name.endswith(".csv")]
        if len(members) != 1:
            raise TapeError(f"must hold one .csv, got {archive.namelist()}", path)
        with archive.open(members[0]) as file:
            while data := file.read(CHUNK_BYTES):
                bar.advance(len(data) // 5)
                yield data


class _Reader:
    """Reads one file."""

    def __init__(
        self, path: Path, source: str, notes: ReadNotes, bar: Progress, latency_ns: int
    ) -> None:
        self.steps_back = 0  # that were sorted
        self.trade_ids = TradeIds()
        self.is_vision = source == "vision"
        self._path = path
        self._source = source
        self._notes = notes
        self._bar = bar
        self._latency_ns = latency_ns
        self._layout: Layout | None = None
        self._line = self._heads = 0  # lines done, and those of them with names of columns
        self._blanks: list[int] = []  # rows in front of each blank line
        self._first_time = self._last_received_ns = -1
        self.exchange = self._symbol = ""  # as the rows name them

    def symbol(self, given: str | None) -> str:
        """Return the symbol: as given, as the rows say it, or as the file's name does."""
        if given:
            # A name that no tape can have is given another.
            if self._symbol.isalnum() and self._symbol.isupper():
                refuse_other("symbol", given, self._symbol, self._path)
            return given
        name = self._symbol or self._path.name.partition("-")[0]
        if not name.isalnum() or not name.isupper():
            raise TapeError("its name does not begin with the symbol: pass symbol=", self._path)
        return name

    def market(self, given: str | None, notes: ReadNotes) -> Market:
        """Return the market: as the table or the rows' exchange has it, as given, or assumed."""
        of_table = self._layout.market if self._layout is not None else None
        if of_table is None:
            return market_of(self.exchange, given, notes, self._path)
        if given:
            refuse_other("market", given.lower(), of_table.name.lower(), self._path)
        return of_table

    def read(self, sort: bool, store: Store, level_lines: BinaryIO) -> None:
        """Put the file's events and levels, in units of 1e-8, into `store`; the levels' lines.

        To sort it, it is held in memory as a whole.
        """
        n_rows = 0
        for rows, lines in self._parts(is_whole=sort):
            n_rows += len(rows)
            events, levels, lines_of = self._table(rows, lines, sort)
            store.append(events, levels)
            level_lines.write(lines_of.tobytes())
        self._notes.rows += n_rows
        if not n_rows:
            raise TapeError(NO_ROW, self._path)

    def _parts(self, is_whole: bool) -> Iterator[_Rows]:
        """Yield the rows and their lines, what was received at once never in two parts.

        All of them in one part where `is_whole`.
        """
        held: list[NDArray[np.int64]] = []
        n = done = 0
        for block in self._blocks():
            held.append(block)
            n += len(block)
            if is_whole or n < TABLE_ROWS:
                continue
            rows = np.concatenate(held)
            cut = self._last_begin(rows) if n <= TABLE_ROWS + 2 * MAX_SIDE else n
            if cut:
                yield rows[:cut], self._lines(done, cut)
            held, n, done = [rows[cut:]], n - cut, done + cut
        if n:
            yield np.concatenate(held), self._lines(done, n)

    def _lines(self, done: int, n: int) -> NDArray[np.int64]:
        """Return the lines of the `n` rows behind the first `done`."""
        rows = np.arange(done, done + n)
        return 1 + self._heads + rows + np.searchsorted(self._blanks, rows, side="right")

    def _last_begin(self, rows: NDArray[np.int64]) -> int:
        """Return where what was received at once with the last row begins."""
        layout = self._layout
        assert layout is not None
        if layout.kind != TapeKind.DELTA:
            return len(rows)
        columns = [layout.index(role) for role in ("time", "received", "is_snapshot")]
        others = np.flatnonzero((rows[:, columns] != rows[-1, columns]).any(axis=1))
        return int(others[-1]) + 1 if others.size else 0

    def _blocks(self) -> Iterator[NDArray[np.int64]]:
        """Yield the rows of the file."""
        rest = b""
        try:
            for chunk in _chunks(self._path, self._bar):
                data = rest + chunk
                end = data.rfind(b"\n") + 1
                if end and (self._layout is not None or is_begun(data[:end])):
                    yield from self._take(data[:end])
                    data = data[end:]
                rest = data
        except (EOFError, zlib.error, zipfile.BadZipFile, OSError) as error:
            raise TapeError(unreadable(error), self._path, f"line {self._line + 1}") from error
        if rest:
            yield from self._take(rest + b"\n")

    def _table(self, rows: NDArray[np.int64], lines: NDArray[np.int64], sort: bool) -> _Table:
        """Return events and levels of rows, in units of 1e-8, and the levels' lines."""
        layout = self._layout
        assert layout is not None
        venue_ns, received_ns = self._times(layout, rows, lines)
        before = self._last_received_ns if self._last_received_ns >= 0 else received_ns[0]
        back = np.flatnonzero(np.diff(received_ns, prepend=before) < 0)
        if back.size and not sort:
            raise TapeError(
                'not in order of time: sort it, or pass repair=["order"]',
                self._path,
                f"line {lines[back[0]]}",
            )
        self._last_received_ns = int(received_ns[-1])
        keep = check_rows(layout, rows, lines, self._path, self._notes)
        if layout.kind == TapeKind.TRADE and layout.has("id") and keep.size < len(rows):
            self.trade_ids.left_out.append(np.delete(rows[:, layout.index("id")], keep))
        if back.size:
            self.steps_back = back.size
            keep = keep[np.argsort(received_ns[keep], kind="stable")]
        rows, lines = rows[keep], lines[keep]
        venue_ns, received_ns = venue_ns[keep], received_ns[keep]
        column = {role: rows[:, i] for i, (role, _) in enumerate(layout.columns)}
        if layout.kind == TapeKind.DELTA:
            return _book(column, venue_ns, received_ns, lines, self._path)
        if layout.has("last_id"):
            self.trade_ids.is_aggregate = True
            self.trade_ids.own.append(column["id"].copy())
        return _events(layout, column, venue_ns, received_ns, lines)

    def _take(self, data: bytes) -> list[NDArray[np.int64]]:
        """Return the rows of whole lines."""
        if self._layout is None:
            self._layout, has_names = layout_of(data, self._source, self._path)
            if has_names:
                data = data[data.find(b"\n") + 1 :]
                self._line = self._heads = 1
        layout = self._layout
        if self._source == "tardis" and data.strip():
            self._check_names(data)
        kinds = np.array([kind for _, kind in layout.columns], np.int64)
        out = np.zeros((max(1, min(BLOCK_ROWS, data.count(b"\n"))), kinds.size), np.int64)
        where = np.zeros(3, np.int64)
        blocks: list[NDArray[np.int64]] = []
        while True:
            before = int(where[1])
            code = csv_rows(data, len(data), kinds, out, where)
            self._line += int(where[1]) - before
            if code == DONE:
                break
            if code != FULL:
                self._odd(data, out, where)
                continue
            blocks.append(out.copy())
            where[1] = 0
        blocks.append(out[: int(where[1])].copy())
        return blocks

    def _odd(self, data: bytes, out: NDArray[np.int64], where: NDArray[np.int64]) -> None:
        """Read what the compiled reader does not: a blank line, an exponent, an empty field."""
        assert self._layout is not None
        start = int(where[0])
        end = data.find(b"\n", start)
        line = data[start:end].rstrip(b"\r")
        if not line.strip():
            self._blanks.append(self._line - self._heads - len(self._blanks))
            self._line += 1
            where[0] = end + 1
            return
        self._line += 1
        fields = line.split(b",")
        if len(fields) != len(self._layout.columns):
            raise TapeError(
                f"{len(self._layout.columns)} columns expected, got {len(fields)}: {line[:60]!r}",
                self._path,
                f"line {self._line}",
            )
        row = int(where[1])
        for column, (role, kind) in enumerate(self._layout.columns):
            text = fields[column].decode(errors="replace")
            try:
                if kind == DECIMAL:
                    out[row, column] = to_e8(f"{Decimal(text):f}") if text else 0
                elif kind == INTEGER:
                    is_nameless = role == "id" and self._source == "tardis" and not text.isdigit()
                    out[row, column] = 0 if is_nameless else int(text)
                else:
                    out[row, column] = fields[column][0] if text else 0
            except (ValueError, InvalidOperation, OverflowError) as error:
                rule = "a decimal of 8 places at most" if kind == DECIMAL else "a whole number"
                if isinstance(error, OverflowError):
                    rule += " of 64 bits"
                raise TapeError(
                    f"{role} must be {rule}, got {text[:60]!r}: correct the row, or take it out",
                    self._path,
                    f"line {self._line}",
                ) from None
        where[0], where[1] = end + 1, row + 1

    def _check_names(self, data: bytes) -> None:
        """Refuse a second exchange or symbol: count the rows that name the first ones."""
        if not self._symbol:
            first = data.lstrip().split(b",", 2)[:2]
            self.exchange, self._symbol = (name.decode(errors="replace") for name in first)
        named = f"{self.exchange},{self._symbol},".encode()
        if data.startswith(named) and data.count(b"\n" + named) + 1 == data.count(b"\n"):
            return
        for number, line in enumerate(data.splitlines(), start=self._line + 1):
            if line.startswith(named) or not line.strip():
                continue
            exchange = line.partition(b",")[0].decode(errors="replace")
            what, first_name = "symbols", self._symbol
            if exchange != self.exchange:
                what, first_name = "exchanges", self.exchange
            raise TapeError(
                f"mixed {what}: {first_name}, and here {line[:40]!r}: split the file",
                self._path,
                f"line {number}",
            )

    def _times(
        self, layout: Layout, rows: NDArray[np.int64], lines: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the venue's times and those received, in nanoseconds."""
        if self._first_time < 0:
            self._first_time = int(rows[0, layout.index("time")])
        first = self._first_time
        is_micro = self._source == "tardis" or _MICROS[0] <= first < _MICROS[1]
        unit = 1_000 if is_micro else 1_000_000
        low, high = _MICROS if is_micro else _MILLIS
        if self._source == "tardis":
            names = {"time": "timestamp", "received": "local_timestamp"}
            rule = "must be microseconds"
        else:
            names = {"time": "the time"}
            rule = "must be milliseconds or microseconds"
            if low <= first < high:
                rule = f"must be in the unit of the first, {first}"
        times: list[NDArray[np.int64]] = []
        for role, name in names.items():
            stamps = rows[:, layout.index(role)]
            odd = np.flatnonzero((stamps < low) | (stamps >= high))
            if odd.size:
                raise TapeError(
                    f"{name} {rule}, got {int(stamps[odd[0]])}: is it another unit? Bring all "
                    f"times into one",
                    self._path,
                    f"line {lines[odd[0]]}",
                )
            times.append(stamps * unit)
        return times[0], times[1] if len(times) == 2 else times[0] + self._latency_ns


def _events(
    layout: Layout,
    column: dict[str, NDArray[np.int64]],
    venue_ns: NDArray[np.int64],
    received_ns: NDArray[np.int64],
    lines: NDArray[np.int64],
) -> _Table:
    """Return a table's events and levels, and the levels' lines."""
    events = np.zeros(venue_ns.size, TAPE_EVENT)
    events["venue_ns"], events["received_ns"] = venue_ns, received_ns
    events["kind"] = layout.kind
    if layout.kind == TapeKind.BBO:
        events["update_id"] = column.get("id", 0)
        has_bid, has_ask = column["bid_qty"] > 0, column["ask_qty"] > 0
        events["n_bids"], events["n_asks"] = has_bid, has_ask
        both = np.zeros((events.size, 2), LEVEL)
        for place, side in enumerate(("bid", "ask")):
            both["price_ticks"][:, place] = column[side]
            both["qty_lots"][:, place] = column[f"{side}_qty"]
        counts = has_bid.astype(np.int64) + has_ask
        events["first_level"] = np.cumsum(counts) - counts
        has = np.column_stack((has_bid, has_ask))
        return events, both[has], np.repeat(lines, counts)
    if "maker" in column:
        is_buy = ~np.isin(column["maker"], TRUE)
    else:
        is_buy = np.isin(column["side"], BUY)
    events["update_id"] = column.get("last_id", column.get("id", 0))
    events["flags"] = TAPE_AGGREGATE if "last_id" in column else 0
    events["n_bids"], events["n_asks"] = is_buy, ~is_buy
    events["first_level"] = np.arange(events.size)
    levels = np.zeros(events.size, LEVEL)
    levels["price_ticks"], levels["qty_lots"] = column["price"], column["qty"]
    return events, levels, lines


def _book(
    column: dict[str, NDArray[np.int64]],
    venue_ns: NDArray[np.int64],
    received_ns: NDArray[np.int64],
    lines: NDArray[np.int64],
    path: Path,
) -> _Table:
    """Return the events of book rows, what was received at once, bids first; levels, lines."""
    is_snapshot = np.isin(column["is_snapshot"], TRUE)
    is_ask = np.isin(column["side"], SELL)
    is_first = np.ones(is_snapshot.size, bool)
    is_first[1:] = (
        (received_ns[1:] != received_ns[:-1])
        | (venue_ns[1:] != venue_ns[:-1])
        | (is_snapshot[1:] != is_snapshot[:-1])
    )
    event = np.cumsum(is_first) - 1
    order = np.lexsort((is_ask, event))
    firsts = np.flatnonzero(is_first)
    asks = np.add.reduceat(is_ask.astype(np.int64), firsts)
    counts = np.diff(firsts, append=is_snapshot.size)
    longest = np.maximum(asks, counts - asks)
    if int(longest.max()) > MAX_SIDE:
        at = int(longest.argmax())
        raise TapeError(
            f"what is received at once must have at most {MAX_SIDE} levels a side, got "
            f"{int(longest[at])}: are the times received of one value?",
            path,
            f"line {lines[firsts[at]]}",
        )
    events = np.zeros(firsts.size, TAPE_EVENT)
    events["venue_ns"], events["received_ns"] = venue_ns[firsts], received_ns[firsts]
    events["kind"] = np.where(is_snapshot[firsts], TapeKind.SNAPSHOT, TapeKind.DELTA)
    events["first_level"] = firsts
    events["n_bids"], events["n_asks"] = counts - asks, asks
    levels = np.zeros(order.size, LEVEL)
    levels["price_ticks"] = column["price"][order]
    levels["qty_lots"] = column["qty"][order]
    return events, levels, lines[order]
