"""A recording of `<stamp> <json>` lines -> a tape, through the compiled parser.

Books are put together by the venue's rules: a depth event waits for a snapshot, and those that
came before it and fit stand behind it, at its time (TAPE_BUFFERED).
"""

import zlib
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant.codes import BookState, FrameKind, Market, TapeKind
from mmquant.kernels import frames as frame_kernels
from mmquant.kernels import tape as kernels
from mmquant.kernels.levels import LEVELS_AT
from mmquant.parse import MAX_FRAME_LEVELS, FrameParser
from mmquant.records import LEVEL
from mmquant.state import TAPE_CURSOR, TAPE_EVENT, TAPE_SYNC
from mmquant.tape.capture import STAMP_DIGITS, read_capture, read_chunks
from mmquant.tape.core import ReadNotes
from mmquant.tape.errors import CaptureError, unreadable
from mmquant.tape.lines import sorted_lines
from mmquant.tape.order import FAR_OFF
from mmquant.tape.progress import Progress
from mmquant.tape.raw_frames import LATEST_MS, data_of, is_micro, market_of, may_be_known
from mmquant.tape.store import Store

__all__ = ["UNITS", "RawReader", "first_stamp"]

MOST_INSTRUMENTS = 4_096
BLOCK_EVENTS = 1 << 16
BLOCK_LEVELS = 1 << 18
MOST_WAITING = 20_000  # depth events kept for a snapshot; older ones are given up
NS_PER_MS, NS_PER_US = 1_000_000, 1_000
_LOOKED_AHEAD = 1_000  # lines of a file that begins with a snapshot
UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_SNAPSHOT = b'{"lastUpdateId":'
_WITHOUT_BOOK = (BookState.BUFFERING, BookState.GAP)
# The collector's markers: what became of its connection, and each state of its book. After these
# no book is whole, whatever the ids say: a crossed one, or one behind a lost connection.
_BREAKS = frozenset(
    {"opened", "lost"}
    | {state.name.lower() for state in BookState}
    - {BookState.LIVE.name.lower(), BookState.SYNCING.name.lower()}
)


class RawReader:
    """Reads recordings into a store.

    Parameters
    ----------
    store : Store
        What the tables are written to, prices and quantities in units of 1e-8.
    notes : ReadNotes
        Filled in while reading.
    stamp_ns : int
        Nanoseconds in a unit of the lines' stamps.
    progress : Progress
        Told about the bytes read.
    """

    def __init__(self, store: Store, notes: ReadNotes, stamp_ns: int, progress: Progress) -> None:
        self.symbols: list[str] = []
        self.markets: list[Market] = []
        self.starts: list[int] = []  # each file's first event
        self.steps_back = 0  # that were sorted
        self._store = store
        self._notes = notes
        self._progress = progress
        self._parser = FrameParser()
        self._frame = np.zeros(LEVELS_AT + 2 * MAX_FRAME_LEVELS, np.int64)
        self._sync = np.zeros(0, TAPE_SYNC)
        self._cursor = np.zeros(1, TAPE_CURSOR)
        self._events = np.zeros(BLOCK_EVENTS, TAPE_EVENT)
        self._levels = np.zeros(2 * BLOCK_LEVELS, np.int64)
        self._units = np.array([stamp_ns, NS_PER_MS], np.int64)
        self._waiting: dict[int, deque[bytes]] = {}
        self._path = Path()
        self._is_cut = False  # this file ends before its end
        self._numbers: NDArray[np.int64] | None = None  # of the lines, where they were sorted
        self._plausible = False
        self._market: Market | None = None
        self._written = 0  # events in the store
        self._newest_ns = 0  # time of this file's newest event in the store
        self._here: set[int] = set()  # symbols that this file was seen to name

    def read(self, path: Path, sort: bool = False) -> None:
        """Read one file, its lines as they are or in order of their stamps.

        Sorted it is held in memory as a whole. What fits together is decided in that order.

        Raises
        ------
        CaptureError
            A file that is missing or corrupt; stamps in the wrong unit; too many symbols. One
            that is cut short is read as far as it goes, and noted.
        """
        self._flush()
        self._path = path
        self._plausible = False
        self._newest_ns = 0
        self._here.clear()
        self.starts.append(self._written)
        self._cursor[0]["line"] = 0
        self._numbers = None
        self._is_cut = False
        rest = b""
        for chunk in self._chunks(path, sort):
            if not self._cursor[0]["line"]:
                self._check_market(chunk)
            data = rest + chunk if rest else chunk
            end = data.rfind(b"\n") + 1
            if end:
                self._take(data, end)
            rest = data[end:]
        if rest and not self._is_cut:
            self._take(rest + b"\n", len(rest) + 1)
        self._notes.rows += int(self._cursor[0]["line"])

    def _chunks(self, path: Path, sort: bool) -> Iterator[bytes]:
        """Yield a file's bytes; what is wrong with reading them, not with what is written."""
        try:
            yield from self._sorted(path) if sort else read_chunks(path, self._progress.advance)
        except EOFError as error:
            line = int(self._cursor[0]["line"]) + 1
            self._notes.truncated = f"{path}, line {line}: {error}"
            self._is_cut = True
        except (zlib.error, OSError) as error:
            line = int(self._cursor[0]["line"]) + 1
            raise CaptureError(unreadable(error), path, line) from error

    def finish(self) -> None:
        """Write what is left."""
        self._flush()
        self._notes.trade_ids_missing += int(self._sync["trade_gaps"].sum())

    def _sorted(self, path: Path) -> Iterator[bytes]:
        """Yield all lines of a file at once, in order of their stamps."""
        pieces: list[bytes] = []
        cut: EOFError | None = None
        try:
            pieces.extend(read_chunks(path, self._progress.advance))
        except EOFError as error:
            cut = error
        data = b"".join(pieces)
        if cut is None and not data.endswith(b"\n"):
            data += b"\n"
        data, self._numbers, back = sorted_lines(data[: data.rfind(b"\n") + 1])
        self.steps_back += back
        yield data
        if cut is not None:
            raise cut

    @property
    def _line(self) -> int:
        """Number of the newest line in its file."""
        line = int(self._cursor[0]["line"])
        return line if self._numbers is None or not line else int(self._numbers[line - 1])

    # the loop

    def _take(self, data: bytes, end: int) -> None:
        c = self._cursor[0]
        c["at"] = 0
        while True:
            code = kernels.tape_lines(
                data,
                end,
                self._units,
                self._parser.symbol_words,
                self._frame,
                self._sync,
                self._cursor,
                self._events,
                self._levels,
            )
            if not self._plausible and c["events"]:
                self._check_units()
            if code == kernels.DONE:
                return
            if code == kernels.FULL:
                self._flush()
                continue
            payload = data[int(c["payload_at"]) : int(c["payload_end"])]
            if code == kernels.WAITING:
                self._wait(int(self._frame[frame_kernels.INSTRUMENT]) - 1, payload)
            elif code == kernels.NO_STAMP:
                self._check_stamp(data, c)
                self._problem("no_stamp", "no `<ns> ` before the payload", data, c)
            else:
                self._other(payload.removesuffix(b"\r"))

    def _flush(self) -> None:
        c = self._cursor[0]
        n_events, n_levels = int(c["events"]), int(c["levels"])
        if n_events:
            levels = self._levels[: 2 * n_levels].view(LEVEL)
            events = self._events[:n_events]
            self._store.append(events, levels)
            self._written += n_events
            self._newest_ns = int(events["received_ns"][-1])
            self._here.update(np.unique(events["instrument"]).tolist())
        c["events"] = c["levels"] = 0

    def _room(self) -> None:
        """Make room for one event more."""
        c = self._cursor[0]
        spare = self._levels.size - 2 * int(c["levels"])
        if self._events.size - int(c["events"]) < 2 or spare < self._frame.size:
            self._flush()

    def _problem(self, why: str, text: str, data: bytes, c: Any) -> None:
        end = int(c["payload_end"])
        start = data.rfind(b"\n", 0, end) + 1
        text = f"{self._path}, line {self._line}: {text}: {data[start:end][:60]!r}"
        self._notes.leave_out(why, text)

    def _check_stamp(self, data: bytes, c: Any) -> None:
        """Refuse a line whose stamp is none only because no time is that late."""
        end = int(c["payload_end"])
        stamp, blank, _ = data[data.rfind(b"\n", 0, end) + 1 : end].partition(b" ")
        if blank and stamp.isdigit() and len(stamp) <= STAMP_DIGITS:
            raise CaptureError(
                f"the stamp {int(stamp)} is not in the unit it should be: as {self._unit_name} it "
                f"lies beyond every date. Bring all stamps into one unit",
                self._path,
                self._line,
            )

    @property
    def _unit_name(self) -> str:
        return next(name for name, ns in UNITS.items() if ns == self._units[0])

    # lines that the compiled loop leaves

    def _wait(self, index: int, payload: bytes) -> None:
        """Keep a depth event until a snapshot comes."""
        self._waiting.setdefault(index, deque(maxlen=MOST_WAITING)).append(payload)

    def _other(self, payload: bytes) -> None:
        if payload.startswith(_SNAPSHOT):
            self._snapshot(payload)
            return
        data = data_of(payload)
        if not data:
            text = f"{self._path}, line {self._line}: not a frame of the venue: {payload[:60]!r}"
            self._notes.leave_out("malformed", text)
            return
        symbol = data.get("s")
        if data.get("e") == "marker":
            self._marker(data)
        elif isinstance(symbol, str) and symbol not in self.symbols and may_be_known(data):
            self._add(symbol, market_of(data))
            self._again(payload, data)
        elif isinstance(symbol, str) and is_micro(data) and self._units[1] == NS_PER_MS:
            self._units[1] = NS_PER_US
            self._again(payload, data)
        else:
            self._unused(data)

    def _unused(self, data: dict[str, Any]) -> None:
        """Count a frame that no row is made of."""
        known = ("depthUpdate", "bookTicker", "trade", "aggTrade")
        if data.get("e") == "trade" and data.get("X", "MARKET") != "MARKET":
            self._notes.leave_out("trade not of the market")
        elif data.get("e") == "aggTrade" and not str(data.get("nq", "1")).strip("0."):
            self._notes.leave_out("aggregate of hidden orders alone")
        elif data.get("e") in known or (data.get("e") is None and "u" in data):
            self._notes.leave_out(
                "malformed", f"{self._path}, line {self._line}: {data.get('e')} of unknown shape"
            )
        else:
            self._notes.leave_out(f"stream {data.get('e', 'unknown')}")

    def _again(self, payload: bytes, data: dict[str, Any]) -> None:
        """Take a frame whose symbol or unit has just become known."""
        if is_micro(data):
            self._units[1] = NS_PER_US
        code = frame_kernels.frame_parse_at(
            payload + b"\n", 0, int(self._units[1]), self._parser.symbol_words, self._frame
        )
        if code != len(payload):
            self._unused(data)
            return
        self._room()
        if self._put(0) == kernels.WAITING:
            self._wait(int(self._frame[frame_kernels.INSTRUMENT]) - 1, payload)

    def _put(self, is_buffered: int) -> int:
        code = kernels.tape_put(
            self._cursor, self._events, self._levels, self._frame, self._sync, is_buffered
        )
        return int(code)

    def _add(self, symbol: str, market: Market) -> None:
        if len(self.symbols) == MOST_INSTRUMENTS:
            raise CaptureError(
                f"more than {MOST_INSTRUMENTS} symbols: name those you want",
                self._path,
                self._line,
            )
        self._parser.add(symbol, 1, 1)
        self.symbols.append(symbol)
        self.markets.append(market)
        self._sync = np.concatenate((self._sync, np.zeros(1, TAPE_SYNC)))
        self._sync[-1]["book_state"] = BookState.BUFFERING

    def _marker(self, data: dict[str, Any]) -> None:
        """Note what the recorder says; after some of it no book is whole."""
        kind, symbol = str(data.get("kind")), data.get("s")
        self._notes.leave_out(f"marker {kind}")
        if kind == "dropped":
            text = f"{self._path}, line {self._line}: dropped {data.get('text')}"
            self._notes.problems.append(text)
        if symbol not in self.symbols:
            return
        index = self.symbols.index(str(symbol))
        self._here.add(index)
        is_whole = self._sync[index]["book_state"] in (BookState.SYNCING, BookState.LIVE)
        if kind in _BREAKS and is_whole:
            self._break(index)
        elif kind == "handed_over":
            # The new connection's events overlap the old one's, and may have other edges.
            self._waiting.pop(index, None)
            if is_whole:
                self._sync[index]["book_state"] = BookState.SYNCING

    def _break(self, index: int) -> None:
        """Write a GAP: from here on the book waits for a snapshot."""
        self._sync[index]["book_state"] = BookState.GAP
        self._waiting.pop(index, None)
        self._room()
        c = self._cursor[0]
        at = int(c["events"])
        newest_ns = int(self._events[at - 1]["received_ns"]) if at else self._newest_ns
        row = self._events[at]
        # A marker bears the time of the collector's turn, which may have begun before the frame.
        row["received_ns"], row["venue_ns"] = max(int(c["received_ns"]), newest_ns), 0
        row["update_id"] = self._sync[index]["last_update_id"]
        row["first_level"] = c["levels"]
        row["n_bids"] = row["n_asks"] = row["flags"] = 0
        row["instrument"], row["kind"] = index, TapeKind.GAP
        c["events"] += 1

    def _snapshot(self, payload: bytes) -> None:
        """Write a snapshot and, behind it, what waited for it and fits."""
        index = self._snapshot_of()
        if self._parser.parse_snapshot(payload, index + 1) != FrameKind.SNAPSHOT:
            self._notes.leave_out(
                "malformed", f"{self._path}, line {self._line}: not a snapshot: {payload[:60]!r}"
            )
            return
        words = self._parser.words
        values = self._parser.frame[0]
        n = LEVELS_AT + 2 * int(values["n_bids"] + values["n_asks"])
        self._frame[:n] = words[:n]
        stamp = int(values["engine_ms"] or values["event_ms"])
        unit = NS_PER_US if stamp > LATEST_MS else NS_PER_MS
        self._frame[frame_kernels.VENUE_NS] = stamp * unit
        self._room()
        waiting = self._waiting.pop(index, None)
        if self._put(0) != kernels.JOINED or waiting is None:
            return
        kept: list[bytes] = []
        for event in waiting:
            frame_kernels.frame_parse_at(
                event + b"\n", 0, int(self._units[1]), self._parser.symbol_words, self._frame
            )
            self._room()
            if self._put(1) == kernels.WAITING:
                kept.append(event)
        for event in kept:
            self._wait(index, event)

    def _snapshot_of(self) -> int:
        """Return whose snapshot it is: it names no symbol, but its file does."""
        events = self._events[: int(self._cursor[0]["events"])]
        self._here.update(np.unique(events["instrument"]).tolist())
        if not self._here:
            data = self._first_named()
            if data is not None and data["s"] not in self.symbols:
                self._add(data["s"], market_of(data))
            if data is not None:
                self._here.add(self.symbols.index(data["s"]))
        among = self._here or range(len(self.symbols))
        lacking = [i for i in among if self._sync[i]["book_state"] in _WITHOUT_BOOK]
        for one in (among, lacking):
            if len(one) == 1:
                return next(iter(one))
        raise CaptureError(
            f"a snapshot that may be of any of {', '.join(self.symbols) or 'no symbol'}: "
            f"record each symbol into a file of its own",
            self._path,
            self._line,
        )

    def _first_named(self) -> dict[str, Any] | None:
        """Return the first frame of the file that names its symbol, where it begins with none."""
        try:
            for _, payload in islice(read_capture([self._path]), _LOOKED_AHEAD):
                data = {} if payload.startswith(_SNAPSHOT) else data_of(payload)
                symbol = data.get("s")
                if symbol in self.symbols or (isinstance(symbol, str) and may_be_known(data)):
                    return data
        except CaptureError:
            pass  # cut short: said when it is read that far
        return None

    def _check_market(self, chunk: bytes) -> None:
        """Refuse files of both markets: they name their symbols alike."""
        if b'"depthUpdate"' not in chunk:
            return
        market = Market.USDM if b'"pu":' in chunk else Market.SPOT
        if self._market is not None and self._market != market:
            raise CaptureError(
                f"depth events of {market.name} behind files of {self._market.name}: read the two "
                f"markets as two tapes",
                self._path,
                1,
            )
        self._market = market

    def _check_units(self) -> None:
        """Hold the lines' stamps against the venue's: a wrong unit is a factor of a thousand."""
        seen = self._events[: int(self._cursor[0]["events"])]
        stamped = np.flatnonzero(seen["venue_ns"] > 0)
        if not stamped.size:
            return
        self._plausible = True
        row = seen[stamped[0]]
        received, venue = int(row["received_ns"]), int(row["venue_ns"])
        if received * FAR_OFF < venue or venue * FAR_OFF < received:
            stamp = received // int(self._units[0])
            fits = next(
                (
                    f'; read with stamp_unit="{name}"'
                    for name, ns in UNITS.items()
                    if stamp * ns < venue * FAR_OFF and venue < stamp * ns * FAR_OFF
                ),
                "",
            )
            raise CaptureError(
                f"the stamp {stamp} is not in the unit it should be: the venue's time is "
                f"{venue} ns{fits}",
                self._path,
                1,
            )


def first_stamp(path: Path) -> int:
    """Return a file's first stamp, or 0 where it has none: files are read in that order."""
    try:
        for chunk in read_chunks(path):
            stamp = chunk[:32].partition(b" ")[0]
            return int(stamp) if stamp.isdigit() else 0
    except (EOFError, OSError, zlib.error):
        return 0  # whoever reads it will say what is wrong
    return 0
