"""Files of market data, of whatever format -> a tape."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mmquant.tape import native
from mmquant.tape.core import ReadNotes, Tape
from mmquant.tape.errors import TapeError
from mmquant.tape.order import first_step_back, sort_in_place
from mmquant.tape.progress import Progress
from mmquant.tape.raw import UNITS, RawReader, first_stamp
from mmquant.tape.store import DiskStore, MemoryStore, Store
from mmquant.tape.units import Sizes, settle_units

__all__ = ["FORMATS", "detect", "read_tape"]

FORMATS = ("raw", "tape", "npz", "tardis", "vision", "parquet")
_ZIP, _GZIP, _PARQUET = b"PK\x03\x04", b"\x1f\x8b", b"PAR1"
_HEAD = 4096
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
    repair: Sequence[str] = (),
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
        name does); of Parquet and tapes: the only one to read.
    market : str, optional
        "spot" or "usdm", for sources that do not say it.
    tick_size, lot_size : str, Decimal, int or a mapping of symbols to them, optional
        Exact sizes; without them the greatest common divisor of what was seen.
    stamp_unit : str
        Unit of a recording's stamps: "ns", "us", "ms" or "s".
    latency_ns : int
        For sources without a time received (data.binance.vision): it is the venue's plus this.
    repair : sequence of str
        As of `Tape.repair`. Without it, a file out of order is an error.
    out : path, optional
        A folder to write the tape into while it is read, for what is larger than memory
        (recordings, without `repair`); the tape returned is mapped from there. A tape that is
        there is replaced once all is read.
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
    kinds = [format or detect(path) for path in files]
    if format is not None and format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    if stamp_unit not in UNITS:
        raise ValueError(f"stamp_unit must be one of {', '.join(UNITS)}, got {stamp_unit!r}")
    if len(set(kinds)) != 1:
        raise ValueError(f"files must be of one format, got {', '.join(sorted(set(kinds)))}")
    kind = kinds[0]
    if out is not None and kind != "raw":
        raise ValueError(
            f"out is for recordings, got {kind}: read it, then tape.save({str(out)!r})"
        )
    if out is not None and repair:
        raise ValueError(
            f"out is for a recording as it is, got repair={list(repair)!r}: read it without out, "
            f"then tape.save({str(out)!r})"
        )
    if storage_options and kind != "parquet":
        raise ValueError(f"storage_options are for Parquet, got {kind}: leave them out")
    if kind in ("tape", "parquet") and len(files) != 1:
        raise ValueError(f"{kind} must be one folder, got {len(files)}")
    if kind == "raw":
        recordings = sorted((Path(path) for path in files), key=first_stamp)
        is_sorted = "order" in repair
        units = (tick_size, lot_size, UNITS[stamp_unit])
        if out is None:
            tape = _read_raw(recordings, MemoryStore(), is_sorted, *units, progress)
        else:
            with DiskStore(Path(out)) as store:
                tape = _read_raw(recordings, store, is_sorted, *units, progress)
                native.publish(tape, store)
    elif kind == "tape":
        tape = native.load(Path(files[0]))
        tape = tape if symbol is None else tape.select(symbol)
    elif kind == "npz":
        from mmquant.tape import npz

        tape = npz.load([Path(p) for p in files], symbol, market, tick_size, lot_size)
    elif kind == "parquet":
        from mmquant.tape import parquet

        tape = parquet.load(str(files[0]), symbol, **(storage_options or {}))
    else:
        from mmquant.tape import csv

        options: dict[str, Any] = {"tick_size": tick_size, "lot_size": lot_size}
        options |= {"symbol": symbol, "market": market, "latency_ns": latency_ns}
        tape = csv.load([Path(p) for p in files], kind, "order" in repair, progress, **options)
    tape = tape.repair(*repair)
    _check_order(tape.events, ", ".join(str(path) for path in files))
    return tape


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
            head = next(iter(read_chunks(file)), b"")
        except EOFError:
            raise TapeError("the gzip file is cut short in its first block", path) from None
        if not head:
            raise TapeError("the file is empty", path)
    return _detect_text(head, path)


def _detect_text(head: bytes, path: Path | str) -> str:
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
    notes = ReadNotes()
    total = sum(path.stat().st_size for path in paths if path.exists())
    with Progress("reading", total, progress) as bar:
        reader = RawReader(store, notes, stamp_ns, bar)
        for path in paths:
            reader.read(path)
        reader.finish()
    events, levels = store.finish()
    where = ", ".join(str(path) for path in paths)
    if not events.size:
        raise TapeError(_why_empty(notes), where)
    instruments = settle_units(
        events, levels, reader.symbols, reader.markets, tick_size, lot_size, where
    )
    source = f"recording {', '.join(path.name for path in paths)}"
    tape = Tape(events, levels, instruments, source, notes)
    ends = [*reader.starts[1:], None]
    parts = [events[start:end] for start, end in zip(reader.starts, ends, strict=True)]
    if sort and any(first_step_back(part) >= 0 for part in parts):
        return tape
    for path, part in zip(paths, parts, strict=True):
        _check_order(part, path)
    if first_step_back(events) >= 0:  # each file is in order: it is no repair to merge them
        sort_in_place(events)
    return tape


def _why_empty(notes: ReadNotes) -> str:
    seen = ", ".join(f"{n} x {why}" for why, n in notes.left_out.items())
    return f"no event in it ({seen or 'it is empty'}): is it a recording of <ns> <json> lines?"


def _check_order(events: NDArray[Any], where: Path | str) -> None:
    row = first_step_back(events)
    if row >= 0:
        now, before = events["received_ns"][row], events["received_ns"][row - 1]
        raise TapeError(
            f'not in order of time, {now} comes after {before}: sort it, or pass repair=["order"]',
            where,
            f"event {row}",
        )
