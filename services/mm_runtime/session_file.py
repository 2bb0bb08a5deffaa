"""The files of a recorded session: records with a checksum, a background writer, a reader.

A file is the magic bytes, then records: a header of 32 bytes and the payload. See docs/session.md.
"""

import logging
import mmap
import shutil
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

__all__ = ["MAGIC", "Item", "Kind", "SessionError", "SessionFile", "SessionWriter", "pack"]

log = logging.getLogger(__name__)

MAGIC = b"MMSESS01"
_LENGTHS = struct.Struct("<II")  # payload bytes, CRC-32 of the rest of the header and the payload
_REST = struct.Struct("<QHHiq")  # index in the file, kind, stream, session, nanoseconds
_HEADER_BYTES = _LENGTHS.size + _REST.size
_WAKE_S = 0.02
_LOOK_AT_DISK_S = 1.0
_MEGABYTE = 1_000_000


class SessionError(ValueError):
    """A session that cannot be read: which file, where, and what is wrong with it."""


class Kind(IntEnum):
    """What a record of a session's file is."""

    OPENED = 1  # the first record: who writes, with which settings (JSON)
    MESSAGE = 2  # a message as received
    TURN = 3  # a turn of the service begins; session is its phase (journal.Phase)
    CLOCK = 4  # the service read the time
    OUTSIDE = 5  # what the service read from elsewhere (the ledger)
    PUBLICATION = 6  # the service publishes `stream` as `session`
    HOLE = 7  # records are missing here; session is how many
    CLOSED = 8  # the last record of a file that was closed in order (JSON)
    FAULT = 9  # the turn ended here by an exception


class Item(NamedTuple):
    """One record."""

    kind: int
    stream: int = 0
    session: int = 0
    now_ns: int = 0
    payload: bytes = b""


def pack(index: int, item: Item) -> bytes:
    """Return the bytes of record number `index` of a file."""
    rest = _REST.pack(index, item.kind, item.stream, item.session, item.now_ns)
    checksum = zlib.crc32(item.payload, zlib.crc32(rest))
    return _LENGTHS.pack(len(item.payload), checksum) + rest + item.payload


class SessionWriter:
    """Writes records in a thread of its own; whoever puts them never waits.

    Where more waits than `max_queue_bytes`, where the disk refuses, or has less than
    `min_free_bytes` left, records are dropped and counted, and a HOLE says so in the file.

    Parameters
    ----------
    path
        A new file; its folder is made where it is missing.
    max_queue_bytes, min_free_bytes
        The bounds.

    Attributes
    ----------
    dropped
        Records that are not in the file.
    """

    def __init__(self, path: Path, max_queue_bytes: int, min_free_bytes: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.dropped = 0
        self._file = path.open("xb")
        self._file.write(MAGIC)
        self._file.flush()
        self._max_queue_bytes = max_queue_bytes
        self._min_free_bytes = min_free_bytes
        self._queue: deque[tuple[Item, ...]] = deque()
        self._put_bytes = 0  # counted by whoever puts
        self._taken_bytes = 0  # counted by the thread
        self._missing = 0
        self._index = 0
        self._refused = ""
        self._look_at_disk_s = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="session", daemon=True)
        self._thread.start()

    def put(self, items: Iterable[Item]) -> bool:
        """Queue records that belong together; False (and counted) where all were dropped."""
        batch = tuple(items)
        size = sum(_HEADER_BYTES + len(item.payload) for item in batch)
        if self._refused or self._put_bytes - self._taken_bytes + size > self._max_queue_bytes:
            self.dropped += len(batch)
            self._missing += len(batch)
            return False
        if self._missing:
            batch = (Item(Kind.HOLE, session=self._missing), *batch)
            self._missing = 0
        self._put_bytes += size
        self._queue.append(batch)
        return True

    @property
    def refused(self) -> str:
        """Why nothing is written any more, "" while all is well."""
        return self._refused

    def close(self) -> None:
        """Write what waits and close the file."""
        self._closing.set()
        self._thread.join()
        try:
            self._file.close()
        except OSError as error:
            log.error("%s: %s", self.path, error)

    def _run(self) -> None:
        while not self._closing.wait(_WAKE_S):
            self._drain()
        self._drain()

    def _drain(self) -> None:
        try:
            self._check_disk()
            while self._queue:
                batch = self._queue.popleft()
                for item in batch:
                    self._file.write(pack(self._index, item))
                    self._index += 1
                    if item.kind != Kind.HOLE:
                        self._taken_bytes += _HEADER_BYTES + len(item.payload)
            self._file.flush()
            self._refused = ""
        except OSError as error:
            self._refuse(str(error))

    def _check_disk(self) -> None:
        now_s = time.monotonic()
        if now_s < self._look_at_disk_s:
            return
        self._look_at_disk_s = now_s + _LOOK_AT_DISK_S
        free = shutil.disk_usage(self.path.parent).free
        if free < self._min_free_bytes:
            raise OSError(f"only {free // _MEGABYTE} MB are left on the disk")

    def _refuse(self, why: str) -> None:
        if not self._refused:
            log.error("%s: not recorded any more: %s", self.path, why)
        self._refused = why


class SessionFile:
    """A file of a session, mapped into memory.

    Parameters
    ----------
    path
        What a SessionWriter wrote, to its end or to where the writer was killed.

    Attributes
    ----------
    tail_bytes
        Bytes at the end that are no whole record, once everything has been read: the writer
        was killed while it wrote.

    Raises
    ------
    SessionError
        Where it is no such file; while reading: where a record is not what was written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tail_bytes = 0
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
            if head != MAGIC:
                raise SessionError(
                    f"{path}: must begin with {MAGIC!r}, got {head!r}: no file of a session, or "
                    "one that another version wrote"
                )
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __iter__(self) -> Iterator[Item]:
        for offset, _ in self.offsets():
            yield self.read(offset)

    def offsets(self) -> Iterator[tuple[int, Item]]:
        """Yield where each record begins, with the record."""
        at, index, size = len(MAGIC), 0, len(self._map)
        while at < size:
            end = at + _HEADER_BYTES
            if end <= size:
                end += _LENGTHS.unpack_from(self._map, at)[0]
            if end > size:
                self.tail_bytes = size - at
                return
            yield at, self._checked(at, end, index)
            at, index = end, index + 1

    def read(self, offset: int) -> Item:
        """Return the record at an offset that `offsets` gave."""
        length, _ = _LENGTHS.unpack_from(self._map, offset)
        _, kind, stream, session, now_ns = _REST.unpack_from(self._map, offset + _LENGTHS.size)
        begin = offset + _HEADER_BYTES
        return Item(kind, stream, session, now_ns, self._map[begin : begin + length])

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()

    def _checked(self, at: int, end: int, index: int) -> Item:
        _, checksum = _LENGTHS.unpack_from(self._map, at)
        if zlib.crc32(self._map[at + _LENGTHS.size : end]) != checksum:
            raise SessionError(f"{self.path}: record {index} at byte {at} is damaged (checksum)")
        (written,) = struct.unpack_from("<Q", self._map, at + _LENGTHS.size)
        if written != index:
            raise SessionError(
                f"{self.path}: record {index} at byte {at} was number {written}: some are missing"
            )
        return self.read(at)
