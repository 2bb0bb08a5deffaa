"""Files of market data, of whatever format -> a tape."""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mmquant._checks import whole
from mmquant.codes import Market
from mmquant.tape import native
from mmquant.tape.core import ReadNotes, Tape
from mmquant.tape.errors import TapeError, unreadable
from mmquant.tape.lines import line_of
from mmquant.tape.order import check_order, first_step_back, sort_in_place
from mmquant.tape.parts import check_repair
from mmquant.tape.progress import Progress
from mmquant.tape.raw import UNITS, RawReader, first_stamp
from mmquant.tape.store import DiskStore, MemoryStore, Store
from mmquant.tape.units import Sizes, settle_units
from mmquant.tape.write import check_out

__all__ = ["FORMATS", "WRITTEN_WHILE_READ", "detect", "read_tape"]

FORMATS = ("raw", "tape", "npz", "tardis", "vision", "parquet")
WRITTEN_WHILE_READ = ("raw", "tardis", "vision", "parquet")
_ZIP, _GZIP, _PARQUET = b"PK\x03\x04", b"\x1f\x8b", b"PAR1"
_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "UTF-8", "sed '1s/^\\xEF\\xBB\\xBF//' FILE > NEW"),
    (b"\xff\xfe", "UTF-16", "iconv -f UTF-16 -t UTF-8 FILE > NEW"),
    (b"\xfe\xff", "UTF-16", "iconv -f UTF-16 -t UTF-8 FILE > NEW"),
)
_FOLDERS = ("tape", "parquet")
_HEAD = 4096
MOST_LATENCY_NS = 3_600 * 10**9
Paths = Path | str | Sequence[Path | str]


def read_tape(
    paths: Paths,
    *,
    format: str | None = None,
    symbol: str | None = None,
    market: str | None = None,
    tick_size: Sizes = None,
    lot_size: Sizes = None,
    stamp_unit: str = "ns",
    latency_ns: int = 0,
    repair: str | Sequence[str] = (),
    out: Path | str | None = None,
    progress: bool | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Tape:
    """Read market data into a tape.

    Parameters
    ----------
    paths : path, address or sequence of paths
        Recordings of `<ns> <json>` lines (plain or gzip), a *.tape folder, hftbacktest's *.npz,
        CSV of Tardis (incremental_book_L2, trades, book_ticker, quotes) or of data.binance.vision
        (trades, aggTrades, bookTicker; .zip too), or a folder or fsspec address of our Parquet.
        Several files become one tape, merged by the time received.
    format : str, optional
        One of "raw", "tape", "npz", "tardis", "vision", "parquet"; else told by content.
    symbol : str, optional
        What an .npz or a CSV of data.binance.vision holds, which do not say it (the latter's
        name does); of recordings, Parquet and tapes: the only one to read.
    market : str, optional
        "spot" or "usdm", for sources that do not say it; of Tardis, where the exchange does not.
        Where they do say it: an error if it is another.
    tick_size, lot_size : str, Decimal, int or a mapping of symbols to them, optional
        Exact sizes; without them the greatest common divisor of what was seen. Not of Parquet
        and tapes, which have their own.
    stamp_unit : str
        Unit of a recording's stamps: "ns", "us", "ms" or "s".
    latency_ns : int
        For sources without a time received (data.binance.vision): it is the venue's plus this.
    repair : str or sequence of str
        As of `Tape.repair`. Without it, a file out of order is an error; with "order" the lines of
        a recording are sorted before it is decided which of them fit together.
    out : path, optional
        A folder to write the tape into while it is read, for what is larger than memory
        (recordings, CSV and Parquet, without `repair`); the tape returned is mapped from there. A
        tape that is there is replaced once all is read.
    progress : bool, optional
        Whether to draw a bar; without it: on a terminal and in a notebook.
    storage_options : mapping, optional
        Of Parquet: passed to fsspec, as the options of `Tape.save` are: keys, endpoints, ...

    Raises
    ------
    TapeError
        What is wrong with which file, where in it, and the remedy.
    """
    files = [paths] if isinstance(paths, str | Path) else list(paths)
    if not files:
        raise ValueError("paths must name at least one file, got none")
    _check_words(format, market, stamp_unit)
    kinds = [format or detect(path) for path in files]
    if len(set(kinds)) != 1:
        raise ValueError(f"files must be of one format, got {', '.join(sorted(set(kinds)))}")
    kind = kinds[0]
    repair = (repair,) if isinstance(repair, str) else tuple(repair)
    is_sorted = "order" in repair
    _check_asked(kind, len(files), repair, out, storage_options)
    is_sized = tick_size is not None or lot_size is not None
    latency_ns = whole("latency_ns", latency_ns, 0, MOST_LATENCY_NS)
    _check_options(kind, symbol, is_sized, stamp_unit, latency_ns, out)
    for path in files:
        _check_place(path, kind)
    _check_once(files)
    sizes = (tick_size, lot_size)

    def read(store: Store) -> Tape:
        if kind == "raw":
            recordings = sorted((Path(path) for path in files), key=first_stamp)
            return _read_raw(recordings, store, is_sorted, *sizes, UNITS[stamp_unit], progress)
        if kind == "parquet":
            from mmquant.tape import parquet

            return parquet.load(str(files[0]), store, symbol, progress, **(storage_options or {}))
        from mmquant.tape import csv

        options: dict[str, Any] = {"tick_size": tick_size, "lot_size": lot_size}
        options |= {"symbol": symbol, "market": market, "latency_ns": latency_ns}
        return csv.load([Path(p) for p in files], kind, store, is_sorted, progress, **options)

    if kind == "tape":
        tape = native.load(Path(files[0]))
    elif kind == "npz":
        from mmquant.tape import npz

        tape = npz.load([Path(p) for p in files], symbol, market, *sizes, is_sorted, progress)
    elif out is None:
        tape = read(MemoryStore())
    else:
        check_out(out)
        with DiskStore(Path(out)) as store:
            tape = read(store)
            _check_said(tape, kind, market, files)
            native.publish(tape, store)
    _check_said(tape, kind, market, files)
    if kind in ("raw", "tape") and symbol is not None:
        tape = tape.select(symbol)
    tape = tape.repair(*repair)
    where = ", ".join(str(path) for path in files)
    check_order(tape.events, where, lambda row: f"event {row}", sort=False)
    return tape


def _check_asked(
    kind: str,
    n_files: int,
    repair: tuple[str, ...],
    out: Path | str | None,
    storage_options: Mapping[str, Any] | None,
) -> None:
    """Refuse what is not for files of this format."""
    for word in repair:
        check_repair(word)
    if out is not None and kind not in WRITTEN_WHILE_READ:
        raise ValueError(
            f"out is for recordings, CSV and Parquet, got {kind}: read it, then "
            f"tape.save({str(out)!r})"
        )
    if out is not None and repair:
        raise ValueError(
            f"out is for what is read as it is, got repair={list(repair)!r}: read it without out, "
            f"then tape.save({str(out)!r})"
        )
    if storage_options and kind != "parquet":
        raise ValueError(f"storage_options are for Parquet, got {kind}: leave them out")
    if kind in ("tape", "parquet") and n_files != 1:
        raise ValueError(f"{kind} must be one folder, got {n_files}")


def _check_options(
    kind: str,
    symbol: str | None,
    is_sized: bool,
    stamp_unit: str,
    latency_ns: int,
    out: Path | str | None,
) -> None:
    """Refuse options that would change nothing in files of this format."""
    if is_sized and kind in _FOLDERS:
        raise ValueError(
            f"tick_size and lot_size are for what does not say them, got {kind}, which has its "
            f"own: leave them out"
        )
    if stamp_unit != "ns" and kind != "raw":
        raise ValueError(
            f"stamp_unit is for recordings, got {stamp_unit!r} for {kind}: leave it out"
        )
    if latency_ns != 0 and kind != "vision":
        raise ValueError(
            f"latency_ns is for data.binance.vision, which has no time received, got {latency_ns} "
            f"for {kind}: leave it out"
        )
    if kind == "raw" and symbol is not None and out is not None:
        raise ValueError(
            f"out takes all symbols of a recording, got symbol={symbol!r}: read it without out, "
            f"then tape.save({str(out)!r})"
        )


def _check_said(tape: Tape, kind: str, market: str | None, files: Sequence[Path | str]) -> None:
    """Refuse another market than the one that the files name."""
    if market is None or kind not in ("raw", *_FOLDERS):
        return
    held = {one.market.name.lower() for one in tape.instruments} - {market.lower()}
    if held:
        raise TapeError(
            f"market must be that of the file, {held.pop()}, got {market!r}: leave market= out",
            ", ".join(str(path) for path in files),
        )


def _check_words(format: str | None, market: str | None, stamp_unit: str) -> None:
    """Refuse a format, a market or a unit that there is not."""
    if format is not None and format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    if stamp_unit not in UNITS:
        raise ValueError(f"stamp_unit must be one of {', '.join(UNITS)}, got {stamp_unit!r}")
    known = [one.name.lower() for one in Market]
    if market is not None and (not isinstance(market, str) or market.lower() not in known):
        raise ValueError(f"market must be one of {', '.join(known)}, got {market!r}")


def _check_place(path: Path | str, kind: str) -> None:
    """Refuse a file where the format is a folder, and a folder where it is a file."""
    if "://" in str(path):
        return
    file = Path(path)
    if not file.exists():
        raise TapeError("there is no such file", path)
    if file.is_dir() != (kind in _FOLDERS):
        is_what, must = ("a folder", "a file") if file.is_dir() else ("a file", "a folder")
        raise TapeError(
            f"format {kind!r} must be {must}, got {is_what}: leave format= out, or name another",
            path,
        )


def _check_once(files: Sequence[Path | str]) -> None:
    """Refuse a file given twice, by whatever name: its best bids and offers would count twice."""
    if len(files) < 2:
        return
    known: dict[tuple[int, int], Path | str] = {}
    of_size: dict[int, list[Path | str]] = {}
    for path in files:
        stat = Path(path).stat()
        place = (stat.st_dev, stat.st_ino)
        if place in known:
            raise TapeError(f"it is {known[place]}, given already: name each file once", path)
        known[place] = path
        of_size.setdefault(stat.st_size, []).append(path)
    for alike in of_size.values():
        contents: dict[str, Path | str] = {}
        for path in alike if len(alike) > 1 else ():
            with Path(path).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest in contents:
                raise TapeError(
                    f"its content is that of {contents[digest]}: name each recording once", path
                )
            contents[digest] = path


def detect(path: Path | str) -> str:
    """Return the format of a file or folder, told by its content.

    Raises
    ------
    TapeError
        None of the known ones.
    """
    text = str(path)
    if "://" in text:
        return "parquet"
    file = Path(path)
    if file.is_dir():
        return (
            "tape" if (file / native.HEADER).exists() or file.suffix == native.SUFFIX else "parquet"
        )
    if not file.exists():
        raise TapeError("there is no such file", path)
    with file.open("rb") as opened:
        head = opened.read(_HEAD)
    if not head:
        raise TapeError("the file is empty", path)
    if head.startswith(_PARQUET):
        raise TapeError("a single Parquet file: name the folder that holds symbol=.../", path)
    if head.startswith(_ZIP):
        return "npz" if file.suffix == ".npz" else "vision"
    if head.startswith(_GZIP):
        from mmquant.tape.capture import read_chunks

        head = b""
        try:
            head = next(filter(None, read_chunks(file)), b"")
        except (EOFError, zlib.error) as error:
            raise TapeError(unreadable(error), path) from None
        if not head:
            raise TapeError("the file is empty", path)
    return _detect_text(head, path)


def _detect_text(head: bytes, path: Path | str) -> str:
    for mark, name, remedy in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            raise TapeError(
                f"text must be plain UTF-8, it begins with the byte order mark of {name}: convert "
                f"it (unpacked) with {remedy}",
                path,
                "line 1",
            )
    line = head.partition(b"\n")[0].strip()
    stamp, space, rest = line.partition(b" ")
    if space and stamp.isdigit() and rest[:1] == b"{":
        return "raw"
    if line.startswith(b"exchange,symbol,timestamp,local_timestamp"):
        return "tardis"
    if line.count(b",") >= 5:
        return "vision"
    # Perhaps only the first line is odd: the reader will name it.
    if any(b" {" in other[:22] for other in head.split(b"\n")[1:5]):
        return "raw"
    raise TapeError(
        f"not a known format; it begins with {line[:60]!r}: pass format=, one of "
        f"{', '.join(FORMATS)}",
        path,
        "line 1",
    )


def _read_raw(
    paths: Sequence[Path],
    store: Store,
    sort: bool,
    tick_size: Sizes,
    lot_size: Sizes,
    stamp_ns: int,
    progress: bool | None,
) -> Tape:
    where = ", ".join(str(path) for path in paths)
    reader, notes = _play(paths, store, stamp_ns, progress, ())
    events, levels = store.finish()
    if not events.size:
        raise TapeError(_why_empty(notes), where)

    def line(path: Path, first: int, row: int) -> str:
        e = events[first + row]
        number = line_of(path, int(e["received_ns"]) // stamp_ns, int(e["update_id"]))
        return f"line {number}" if number else f"event {row}"

    unsorted = []
    for path, first, part in _files(paths, reader, events):
        check_order(part, path, partial(line, path, first), sort)
        if sort and first_step_back(part) >= 0:
            unsorted.append(path)
    if unsorted:  # what fits together is decided anew, of the lines as they should have come
        store = MemoryStore()
        reader, notes = _play(paths, store, stamp_ns, progress, unsorted)
        events, levels = store.finish()

    def place(row: int, _: int) -> tuple[Path, str]:
        files = _files(paths, reader, events)
        path, first = [(path, first) for path, first, _ in files if first <= row][-1]
        return path, line(path, first, row - first)

    instruments = settle_units(
        events, levels, reader.symbols, reader.markets, tick_size, lot_size, where, place
    )
    source = f"recording {', '.join(path.name for path in paths)}"
    back = reader.steps_back
    repairs = [f"order: sorted, {back} steps back in time"] if back else []
    if first_step_back(events) >= 0:  # each file is in order: it is no repair to merge them
        sort_in_place(events)
    return Tape(events, levels, instruments, source, notes, repairs)


def _play(
    paths: Sequence[Path],
    store: Store,
    stamp_ns: int,
    progress: bool | None,
    unsorted: Sequence[Path],
) -> tuple[RawReader, ReadNotes]:
    """Read recordings into a store, the lines of those that are unsorted in order of time."""
    notes = ReadNotes()
    total = sum(path.stat().st_size for path in paths if path.exists())
    with Progress("reading", total, progress) as bar:
        reader = RawReader(store, notes, stamp_ns, bar)
        for path in paths:
            reader.read(path, path in unsorted)
        reader.finish()
    return reader, notes


def _files(
    paths: Sequence[Path], reader: RawReader, events: NDArray[Any]
) -> list[tuple[Path, int, NDArray[Any]]]:
    """Return each file with its first event and its part of the table."""
    ends = [*reader.starts[1:], events.size]
    spans = zip(paths, reader.starts, ends, strict=True)
    return [(path, start, events[start:end]) for path, start, end in spans]


def _why_empty(notes: ReadNotes) -> str:
    if notes.truncated:
        return f"nothing of it can be read, {notes.truncated}: copy or download it anew"
    seen = ", ".join(f"{n} x {why}" for why, n in notes.left_out.items())
    first = f", first {notes.problems[0]}" if notes.problems else ""
    return (
        f"no event in it ({seen or 'it is empty'}{first}): is it a recording of <ns> <json> lines?"
    )
