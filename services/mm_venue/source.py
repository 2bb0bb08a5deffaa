"""Where market data comes from: the small interface both the seeded market and a capture have."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mm_venue.book import TrueBook
from mm_venue.instrument import Instrument
from mmquant.codes import Market

__all__ = ["Frame", "Listing", "Source", "SourceStatus"]


@dataclass(frozen=True, slots=True)
class Listing:
    """What is traded, and its true book as of the last frame taken."""

    instrument: Instrument
    book: TrueBook


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of one stream.

    `stream` None means that the stream is not known: `data` goes to every client as it is.
    `wrapped` is the combined form as recorded, None where it is still to be made.
    """

    stream: str | None
    data: bytes
    wrapped: bytes | None = None


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What /debug/status tells about the source."""

    source: str
    played: int
    total: int | None
    finished: bool
    truncated: str | None
    malformed: int
    not_json: int
    gaps: int
    update_id: int


class Source(Protocol):
    """A stream of frames in time, and the true books as of the last frame taken.

    Attributes
    ----------
    market : Market
        Whose rules and messages it speaks.
    listings : mapping
        By symbol: what is traded, with its true book at the present position.
    lossless : bool
        Play only while a client listens to depth, and no faster than all clients read.
    waits_for_client : bool
        Do not begin before a client listens to depth.
    any_depth_name : bool
        A subscription to any diff depth stream of a symbol gets the one there is.
    """

    market: Market
    listings: Mapping[str, Listing]
    lossless: bool
    waits_for_client: bool
    any_depth_name: bool

    def listen(self, streams: Collection[str]) -> None:
        """Note which streams anybody hears: others need not be made."""

    def start(self, now_ns: int) -> None:
        """Playing begins."""

    def poll(self, now_ns: int) -> Sequence[Frame]:
        """Take what is due by `now_ns`: at most one frame where lossless."""

    def wait_ns(self, now_ns: int) -> int | None:
        """Nanoseconds until something may be due, None when finished."""

    def book_ready(self) -> bool:
        """Whether the book may be shown."""

    def status(self) -> SourceStatus:
        """Return the counters."""
