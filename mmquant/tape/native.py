"""A tape as a folder: tape.json, events.npy and levels.npy, mapped into memory when read.

Any program that reads .npy reads the two tables; what their columns mean stands in
mmquant/state/tape.py.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmquant._whole_file import written_whole
from mmquant.codes import Market
from mmquant.records import LEVEL
from mmquant.state import TAPE_EVENT
from mmquant.tape.core import ReadNotes, Tape, TapeInstrument
from mmquant.tape.errors import TapeError
from mmquant.tape.parts import packed
from mmquant.tape.store import EVENTS, LEVELS, DiskStore, read_array

__all__ = ["HEADER", "SUFFIX", "load", "publish", "save"]

HEADER = "tape.json"
SUFFIX = ".tape"
VERSION = 1
_BLOCK = 1 << 18  # events written at once


def save(tape: Tape, path: Path) -> None:
    """Write a tape into a folder, made where it is missing; one that is there is replaced.

    It may be the tape's own: until all is written nothing of it is touched.
    """
    with DiskStore(path) as store:
        events = tape.events
        for at in range(0, len(events), _BLOCK):
            store.append(*packed(events[at : at + _BLOCK], tape.levels))
        store.finish()
        publish(tape, store)


def publish(tape: Tape, store: DiskStore) -> None:
    """Make what the store has finished the folder's tape; without a header it is none."""
    header = {
        "version": VERSION,
        "source": tape.source,
        "instruments": [
            {**asdict(one), "market": one.market.name.lower()} for one in tape.instruments
        ],
        "notes": asdict(tape.notes),
        "repairs": list(tape.repairs),
    }
    path = store.folder / HEADER
    with written_whole(path) as file:
        file.write((json.dumps(header, indent=1) + "\n").encode())
        file.flush()
        path.unlink(missing_ok=True)
        store.publish()


def load(path: Path) -> Tape:
    """Return the tape of a folder, mapped: changes to its arrays never reach the disk.

    Raises
    ------
    TapeError
        A folder that is no tape, or not whole.
    """
    try:
        header = json.loads((path / HEADER).read_text())
        instruments = [
            TapeInstrument(**{**one, "market": Market[one["market"].upper()]})
            for one in header["instruments"]
        ]
        notes = ReadNotes(**header["notes"])
        version, source, repairs = header["version"], header["source"], header["repairs"]
    except FileNotFoundError:
        raise TapeError(f"no {HEADER} in it: write it anew with Tape.save", path) from None
    except (ValueError, KeyError, TypeError) as error:
        raise TapeError(f"{HEADER} is damaged ({error}): write it anew", path) from None
    if version != VERSION:
        raise TapeError(f"its version is {version}, known is {VERSION}: convert it anew", path)
    tables: list[Any] = []
    for name, dtype in ((EVENTS, TAPE_EVENT), (LEVELS, LEVEL)):
        try:
            # Copied on write: writable arrays are one type for the kernels.
            table = read_array(path / name, "c")
        except (OSError, ValueError) as error:
            raise TapeError(f"{name} cannot be read ({error}): write it anew", path) from None
        if table.dtype != dtype:
            raise TapeError(f"{name} has columns {table.dtype.names}: write it anew", path)
        tables.append(table)
    return Tape(tables[0], tables[1], instruments, source, notes, repairs)
