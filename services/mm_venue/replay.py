"""Source: a recorded capture, its frames byte for byte at its own pace, faster, or at once."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from mm_venue.book import CaptureBook, Level
from mm_venue.instrument import Instrument
from mm_venue.source import Frame, Listing, SourceStatus
from mmquant.decimals import to_e8
from mmquant.tape import CaptureError, CaptureReader, read_capture, scan_capture

__all__ = ["CaptureSource"]

FRAMES_PER_POLL = 256
_COMBINED = re.compile(rb'\{"stream":"([^"]+)","data":(\{.*\})\}', re.DOTALL)
_SNAPSHOT = b'{"lastUpdateId":'


class CaptureSource:
    """Plays files of `<local ns> <json>` lines.

    Parameters
    ----------
    paths : sequence of paths
        One recording, in order.
    speed : float
        1 is the pace it was recorded at; infinity as fast as the clients read.

    Raises
    ------
    CaptureError
        A capture that cannot be played: unreadable, mixed, or without a REST snapshot.
    """

    waits_for_client = True
    any_depth_name = True

    def __init__(self, paths: Sequence[Path | str], speed: float) -> None:
        info = scan_capture(paths)
        if not info.has_snapshot:
            where = ", ".join(str(path) for path in paths)
            raise CaptureError(
                "no REST snapshot (a line with lastUpdateId) in the capture: a book cannot be "
                "built from it",
                where,
                info.lines,
            )
        self.info = info
        self.market = info.market
        self.book = CaptureBook()
        instrument = Instrument(
            info.symbol,
            info.market,
            info.tick_size_e8,
            info.lot_size_e8,
            info.price_decimals,
            info.qty_decimals,
        )
        self.listings: Mapping[str, Listing] = {info.symbol: Listing(instrument, self.book)}
        self.lossless = math.isinf(speed)
        self._speed = speed
        self._reader: CaptureReader = read_capture(paths)
        self._next: tuple[int, bytes] | None = None
        self._started_ns = 0
        self._played = 0
        self._not_json = 0
        self._truncated = info.truncated
        self._finished = False
        self._advance()

    def start(self, now_ns: int) -> None:
        """Make the first line due now."""
        self._started_ns = now_ns

    @property
    def next_ns(self) -> int | None:
        """When the next line was recorded, None at the end."""
        return None if self._next is None else self._next[0]

    def listen(self, streams: Collection[str]) -> None:
        """Do nothing: a capture holds what it holds."""

    def book_ready(self) -> bool:
        """Whether the snapshot has been played and fitted the diffs."""
        return self.book.synced

    def wait_ns(self, now_ns: int) -> int | None:
        """Return the time until the next line, None at the end."""
        if self._next is None:
            return None
        if self.lossless:
            return 0
        after = (self._next[0] - self.info.first_ns) / self._speed
        return max(0, self._started_ns + int(after) - now_ns)

    def status(self) -> SourceStatus:
        """Return the counters."""
        return SourceStatus(
            source="capture",
            played=self._played,
            total=self.info.lines,
            finished=self._finished,
            truncated=self._truncated,
            malformed=self.info.malformed,
            not_json=self._not_json,
            gaps=self.book.gaps,
            update_id=self.book.update_id,
        )

    def poll(self, now_ns: int) -> Sequence[Frame]:
        """Play the lines due by now: one at a time where lossless, so that none runs ahead."""
        frames: list[Frame] = []
        most = 1 if self.lossless else FRAMES_PER_POLL
        while self._next is not None and len(frames) < most and not self.wait_ns(now_ns):
            frame = self._play(self._next[1])
            self._played += 1
            if frame is not None:
                frames.append(frame)
            self._advance()
        return frames

    def _advance(self) -> None:
        try:
            self._next = next(self._reader, None)
        except CaptureError as error:
            self._truncated = str(error)
            self._next = None
        self._finished = self._next is None

    def _play(self, line: bytes) -> Frame | None:
        matched = _COMBINED.fullmatch(line)
        if matched:
            stream = matched[1].decode(errors="replace")
            if "@depth" in stream:
                self._diff(matched[2])
            return Frame(stream, matched[2], line)
        if line.startswith(_SNAPSHOT):
            self._snapshot(line)
            return None
        self._not_json += not _parses(line)
        return Frame(None, line)

    def _diff(self, payload: bytes) -> None:
        try:
            data = orjson.loads(payload)
            ids = (data["U"], data["u"], data.get("pu"))
            bids, asks = _levels(data["b"]), _levels(data["a"])
        except (ValueError, KeyError, TypeError):
            self._not_json += 1
            return
        self.book.diff(*ids, bids, asks)

    def _snapshot(self, payload: bytes) -> None:
        try:
            data = orjson.loads(payload)
            update_id = int(data["lastUpdateId"])
            bids, asks = _levels(data["bids"]), _levels(data["asks"])
        except (ValueError, KeyError, TypeError):
            self._not_json += 1
            return
        self.book.snapshot(bids, asks, update_id)


def _levels(rows: list[Any]) -> list[Level]:
    return [(to_e8(price), to_e8(qty)) for price, qty in rows]


def _parses(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except ValueError:
        return False
    return True
