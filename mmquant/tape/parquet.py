"""A tape as Parquet, a file for each symbol and hour, at any address fsspec knows.

    ADDRESS/symbol=BTCUSDT/hour=2024-08-08T23/part.parquet

A row is one level; what happened at once is told by the same `event` number. Prices are ticks and
quantities lots, the sizes stand in each file's metadata. Any reader of Parquet reads it.
"""

import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._whole_file import written_together
from mmquant.codes import Market
from mmquant.records import LEVEL
from mmquant.state import TAPE_EVENT
from mmquant.tape.core import ReadNotes, Tape, TapeInstrument
from mmquant.tape.errors import TapeError
from mmquant.tape.order import sort_in_place
from mmquant.tape.parts import packed
from mmquant.tape.progress import Progress
from mmquant.tape.store import Store

__all__ = ["check_address", "load", "save"]

HOUR_NS = 3_600_000_000_000
VERSION = 1
_META = b"mmquant"
_META_CRC = b"mmquant_crc32"  # of the one above: Parquet's checksums are of pages alone
_COLUMNS = ("event", "received_ns", "venue_ns", "update_id", "kind", "flags", "side")
_FILE = "part.parquet"
_ANEW = "copy it anew, or write it with Tape.save"


def _modules() -> tuple[Any, Any, Any]:
    """Return fsspec, pyarrow and pyarrow.parquet, or say how to get them."""
    try:
        fsspec = import_module("fsspec")
        pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise ImportError(f"Parquet needs {error.name}: pip install 'mmquant[research]'") from error
    return fsspec, pyarrow, parquet


def check_address(address: str) -> None:
    """Raise what is missing to reach an address, before there is anything to write there.

    Raises
    ------
    ImportError, ValueError
        A package that is not installed, a kind of address that there is not.
    """
    _reach(_modules()[0], address)


def _reach(fsspec: Any, address: str, **options: Any) -> tuple[Any, str]:
    """Return an address's file system and the place in it."""
    kind = address.partition("://")[0]
    try:
        fs, root = fsspec.core.url_to_fs(address, **options)
    except ImportError as error:
        raise ImportError(
            f"{address!r} needs the package for {kind}:// addresses ({error}): install it with "
            f"pip, or copy the files to a local folder"
        ) from error
    except ValueError as error:
        if "Protocol not known" not in str(error):
            raise
        raise ValueError(
            f"an address must begin as one that fsspec knows (s3://, gs://, file://), got "
            f"{address!r}: correct it, or name a local folder"
        ) from None
    return fs, str(root)


def save(tape: Tape, address: str, **options: Any) -> None:
    """Write a tape as Parquet, a file for each symbol and hour received.

    Parameters
    ----------
    tape : Tape
    address : str
        A folder, or any address of fsspec (`s3://bucket/folder`). Hours that are there already
        are replaced, others stay.
    options
        Passed to fsspec: keys, endpoints, ...

    Raises
    ------
    OSError
        Naming the file that could not be written. In a local folder nothing is changed then;
        elsewhere each file is whole, and those before it are written.
    """
    fsspec, pa, pq = _modules()
    fs, root = _reach(fsspec, address, **options)
    with written_together() as opened:
        for name, table in _hours(tape, root.rstrip("/"), pa):
            if "file" in fs.protocol:
                with opened(Path(name)) as file:
                    _write(pq, table, file)
            else:  # an object store publishes what it has when a file is closed, by an error, too
                whole = io.BytesIO()
                _write(pq, table, whole)
                fs.makedirs(name.rpartition("/")[0], exist_ok=True)
                fs.pipe_file(name, whole.getvalue())


def _write(pq: Any, table: Any, file: Any) -> None:
    pq.write_table(table, file, compression="zstd", write_page_checksum=True)


def _hours(tape: Tape, root: str, pa: Any) -> Iterator[tuple[str, Any]]:
    """Yield the files' names and what is to be in them."""
    for index, instrument in enumerate(tape.instruments):
        events = tape.events
        hours = events["received_ns"] // HOUR_NS
        own = events["instrument"] == index
        for hour in np.unique(hours[own]):
            table = _table(tape, events[own & (hours == hour)], instrument, pa)
            name = str(np.datetime64(int(hour), "h"))
            yield f"{root}/symbol={instrument.symbol}/hour={name}/{_FILE}", table


def _table(tape: Tape, events: NDArray[Any], instrument: TapeInstrument, pa: Any) -> Any:
    """Return a row for each level, and one without a price for an event that has none."""
    events, levels = packed(events, tape.levels)
    n_bids = events["n_bids"].astype(np.int64)
    counts = n_bids + events["n_asks"]
    rows = np.maximum(counts, 1)
    n = int(rows.sum())
    of = np.repeat(np.arange(events.size), rows)
    place = np.arange(n) - np.repeat(np.cumsum(rows) - rows, rows)
    is_empty = (counts == 0)[of]
    price, qty = np.zeros(n, np.int64), np.zeros(n, np.int64)
    price[~is_empty], qty[~is_empty] = levels["price_ticks"], levels["qty_lots"]
    side = np.where(is_empty, 0, np.where(place < n_bids[of], 1, -1)).astype(np.int8)
    columns: dict[str, Any] = {"event": of.astype(np.int32)}
    columns |= {name: events[name][of] for name in _COLUMNS[1:6]}
    columns |= {"side": side, "price_ticks": price, "qty_lots": qty}
    meta = {
        "version": VERSION,
        "events": int(events.size),
        "rows": n,
        "source": tape.source,
        "market": instrument.market.name.lower(),
        "tick_size_e8": instrument.tick_size_e8,
        "lot_size_e8": instrument.lot_size_e8,
        "notes": asdict(tape.notes),
        "repairs": list(tape.repairs),
    }
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    text = json.dumps(meta).encode()
    return table.replace_schema_metadata({_META: text, _META_CRC: b"%d" % zlib.crc32(text)})


def load(
    address: str, store: Store, symbol: str | None, progress: bool | None = None, **options: Any
) -> Tape:
    """Return the tape of a folder or address that `save` wrote; see `read_tape`.

    An hour of a symbol at a time goes into `store`.

    Raises
    ------
    TapeError
        Nothing there, files of another make, or damaged ones.
    """
    fsspec, _, pq = _modules()
    fs, root = _reach(fsspec, address, **options)
    names = sorted(fs.glob(f"{root.rstrip('/')}/symbol={symbol or '*'}/hour=*/{_FILE}"))
    if not names:
        wanted = f"symbol={symbol or '*'}/hour=*/{_FILE}"
        raise TapeError(f"no {wanted} in it: write it with Tape.save", address)
    symbols = list(dict.fromkeys(_symbol_of(name) for name in names))
    metas: dict[str, dict[str, Any]] = {}
    sizes = [fs.size(name) for name in names]
    with Progress("reading", sum(sizes), progress) as bar:
        for name, size in zip(names, sizes, strict=True):
            table, meta = _read(fs, pq, name)
            if meta["version"] != VERSION:
                raise TapeError(f"its version is {meta['version']}, known is {VERSION}", name)
            known = metas.setdefault(_symbol_of(name), meta)
            if any(known[key] != meta[key] for key in ("tick_size_e8", "lot_size_e8", "market")):
                raise TapeError(
                    "tick or lot size or market differ from those of an earlier hour: read the "
                    "hours as two tapes, or write them anew with one tick_size and lot_size",
                    name,
                )
            store.append(*_tables(table, symbols.index(_symbol_of(name))))
            bar.advance(size)
    events, levels = store.finish()
    if len(symbols) > 1:
        sort_in_place(events)
    return Tape(events, levels, *_described(symbols, metas, address))


def _read(fs: Any, pq: Any, name: str) -> tuple[Any, dict[str, Any]]:
    """Return a file's table and what `save` said of it, both held against their checksums."""
    try:
        with fs.open(name, "rb") as file:
            table = pq.read_table(file, partitioning=None, page_checksum_verification=True)
    except (OSError, ValueError) as error:
        raise TapeError(f"damaged, or no Parquet ({error}): {_ANEW}", name) from None
    try:
        text = table.schema.metadata[_META]
        meta: dict[str, Any] = json.loads(text)
    except (KeyError, TypeError, ValueError) as error:
        raise TapeError(f"not a file that Tape.save wrote ({error}): {_ANEW}", name) from None
    crc = table.schema.metadata.get(_META_CRC)
    if crc is not None and crc != b"%d" % zlib.crc32(text):
        raise TapeError(f"damaged: what it says of itself has another checksum: {_ANEW}", name)
    events = int(np.count_nonzero(np.diff(table.column("event").to_numpy(), prepend=-1)))
    for what, found in (("rows", table.num_rows), ("events", events)):
        if found != meta.get(what, found):  # older files do not say it
            raise TapeError(f"damaged: {meta[what]} {what} written, {found} read: {_ANEW}", name)
    return table, meta


def _symbol_of(name: str) -> str:
    return name.rpartition("symbol=")[2].partition("/")[0]


def _tables(table: Any, index: int) -> tuple[NDArray[Any], NDArray[Any]]:
    column = {name: table.column(name).to_numpy() for name in table.column_names}
    number, side = column["event"], column["side"]
    firsts = np.flatnonzero(np.diff(number, prepend=-1))
    events = np.zeros(firsts.size, TAPE_EVENT)
    for name in _COLUMNS[1:6]:
        events[name] = column[name][firsts]
    if firsts.size:
        events["n_bids"] = np.add.reduceat((side > 0).astype(np.int64), firsts)
        events["n_asks"] = np.add.reduceat((side < 0).astype(np.int64), firsts)
    events["instrument"] = index
    counts = events["n_bids"].astype(np.int64) + events["n_asks"]
    events["first_level"] = np.cumsum(counts) - counts
    filled = side != 0
    levels = np.zeros(int(filled.sum()), LEVEL)
    for name in LEVEL.names or ():
        levels[name] = column[name][filled]
    return events, levels


def _described(
    symbols: list[str], metas: dict[str, dict[str, Any]], address: str
) -> tuple[list[TapeInstrument], str, ReadNotes, list[str]]:
    """Return a tape's instruments, source, notes and repairs."""
    instruments = [
        TapeInstrument(
            name,
            Market[metas[name]["market"].upper()],
            metas[name]["tick_size_e8"],
            metas[name]["lot_size_e8"],
        )
        for name in symbols
    ]
    first = metas[symbols[0]]
    source = f"{first['source']}, from {address}"
    return instruments, source, ReadNotes(**first["notes"]), first["repairs"]
