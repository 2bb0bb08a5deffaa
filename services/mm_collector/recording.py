"""What the venue sends -> hourly gzip files of `<local ns> <json>` lines, one a symbol.

The feed only puts lines into a bounded queue; a thread of its own compresses and writes them.
Where the queue is full or the disk refuses, lines are dropped and counted, and a marker in the
file says how many. Markers have the shape of a combined frame of the stream `<symbol>@marker`, so
that readers of such files pass over them.
"""

import gzip
import json
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

__all__ = ["Recorder"]

log = logging.getLogger(__name__)

_HOUR_NS = 3_600_000_000_000
_LONGEST_TURN_NS = 1_000_000_000
_FLUSH_S = 1.0
_LEVEL = 6
_MAX_BATCH = 4_096


@dataclass(frozen=True, slots=True)
class _Line:
    symbol: str
    local_ns: int
    payload: bytes


class _HourFile:
    """The file of one symbol's present hour."""

    def __init__(self, directory: Path, prefix: str, hour: int) -> None:
        self.hour = hour
        stem = f"{prefix}_{time.strftime('%Y%m%d_%H', time.gmtime(hour * 3600))}"
        self._raw = _create(directory, stem)
        self._gzip = gzip.GzipFile(fileobj=self._raw, mode="wb", compresslevel=_LEVEL, mtime=0)

    def write(self, line: _Line) -> None:
        self._gzip.write(b"%d %b\n" % (line.local_ns, line.payload))

    def flush(self) -> None:
        self._gzip.flush()
        self._raw.flush()

    def close(self) -> None:
        try:
            self._gzip.close()
        finally:
            self._raw.close()


class Recorder:
    """Writes lines in the background.

    Parameters
    ----------
    directory
        Folder of the files, made where it is missing.
    market
        First part of the files' names.
    max_queue_bytes
        What may wait to be written.

    Attributes
    ----------
    written, dropped
        Lines that are in files, and that are not.
    """

    def __init__(self, directory: Path, market: str, max_queue_bytes: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.written = 0
        self.dropped = 0
        self._directory = directory
        self._market = market
        self._max_queue_bytes = max_queue_bytes
        self._queue: deque[_Line] = deque()
        self._queued_bytes = 0
        self._newest_ns: dict[str, int] = {}
        self._lost: dict[str, int] = {}  # symbol -> lines dropped since the last marker
        self._files: dict[str, _HourFile] = {}
        self._lock = threading.Condition()
        self._is_closing = False
        self._has_failed = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def frame(self, symbol: str, local_ns: int, payload: bytes) -> None:
        """Record a frame or a snapshot as it came; never waits for the disk."""
        if b"\n" in payload:  # the venue sends none; one here would forge a line
            payload = payload.replace(b"\n", b" ")
        with self._lock:
            # A frame may lie in the socket's queue while a snapshot is taken in: within a turn
            # the order counts. What is further back is the clock's fault, and is to be seen.
            newest_ns = self._newest_ns.get(symbol, 0)
            if newest_ns - _LONGEST_TURN_NS < local_ns < newest_ns:
                local_ns = newest_ns
            self._newest_ns[symbol] = local_ns
            if self._queued_bytes + len(payload) > self._max_queue_bytes:
                self._drop(symbol)
                return
            if self._lost.get(symbol):
                self._put(_marker(symbol, local_ns, "dropped", f"{self._lost.pop(symbol)} lines"))
            self._put(_Line(symbol, local_ns, payload))

    def mark(self, symbol: str, local_ns: int, kind: str, text: str) -> None:
        """Record that something happened: to the connection, the book, a frame or a snapshot."""
        marker = _marker(symbol, local_ns, kind, text)
        self.frame(symbol, local_ns, marker.payload)

    def close(self) -> None:
        """Write what is queued and close the files."""
        with self._lock:
            self._is_closing = True
            self._lock.notify()
        self._thread.join()

    # inner works

    def _put(self, line: _Line) -> None:
        self._queue.append(line)
        self._queued_bytes += len(line.payload)
        if len(self._queue) == 1:
            self._lock.notify()

    def _drop(self, symbol: str) -> None:
        self.dropped += 1
        self._lost[symbol] = self._lost.get(symbol, 0) + 1

    def _run(self) -> None:
        flush_at_s = time.monotonic() + _FLUSH_S
        while True:
            with self._lock:
                if not self._queue and not self._is_closing:
                    self._lock.wait(_FLUSH_S)
                size = min(len(self._queue), _MAX_BATCH)
                batch = [self._queue.popleft() for _ in range(size)]
                done = self._is_closing and not batch
            for line in batch:
                self._write(line)
            with self._lock:  # only now: what is being written still takes its room
                self._queued_bytes -= sum(len(line.payload) for line in batch)
            if done or time.monotonic() >= flush_at_s:
                flush_at_s = time.monotonic() + _FLUSH_S
                self._flush(close=done)
            if done:
                return

    def _write(self, line: _Line) -> None:
        hour = line.local_ns // _HOUR_NS
        try:
            file = self._files.get(line.symbol)
            if file is None or file.hour < hour:  # a late line stays with its neighbours
                if file is not None:
                    del self._files[line.symbol]
                    file.close()
                prefix = f"{self._market}_{line.symbol.lower()}"
                file = self._files[line.symbol] = _HourFile(self._directory, prefix, hour)
            file.write(line)
        except OSError as error:
            self._fail(error)
            with self._lock:
                self._drop(line.symbol)
            return
        self.written += 1
        self._has_failed = False

    def _flush(self, close: bool) -> None:
        for file in self._files.values():
            try:
                file.flush()
                if close:
                    file.close()
            except OSError as error:
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        if not self._has_failed:
            log.error("cannot record in %s: %s; lines are dropped", self._directory, error)
        self._has_failed = True


def _marker(symbol: str, local_ns: int, kind: str, text: str) -> _Line:
    data = {"e": "marker", "E": local_ns // 1_000_000, "s": symbol, "kind": kind, "text": text}
    frame = {"stream": f"{symbol.lower()}@marker", "data": data}
    return _Line(symbol, local_ns, json.dumps(frame, separators=(",", ":")).encode())


def _create(directory: Path, stem: str) -> BinaryIO:
    """Create a file that was not there: to one that ended abruptly nothing can be appended."""
    for number in range(1_000):
        path = directory / f"{stem}-{number:03}.gz"
        try:
            return path.open("xb")
        except FileExistsError:
            continue
    raise FileExistsError(f"{directory / stem}: a thousand files of one hour")
