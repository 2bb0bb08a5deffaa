"""Source: several captures at once, one a symbol, each line at the time it was recorded."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mm_venue.replay import CaptureSource
from mm_venue.source import Frame, Listing, Source, SourceStatus
from mmquant.tape import CaptureError, read_capture

__all__ = ["CaptureSources", "open_captures"]

_STREAM = b'{"stream":"'


def open_captures(paths: Sequence[Path], speed: float) -> Source:
    """Return what plays these files: those of one symbol in order, several symbols at once.

    Raises
    ------
    CaptureError
        A capture that cannot be played.
    """
    by_symbol: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        by_symbol[_symbol_of(path)].append(path)
    sources = [CaptureSource(files, speed) for files in by_symbol.values()]
    return sources[0] if len(sources) == 1 else CaptureSources(sources, speed)


def _symbol_of(path: Path) -> str:
    """Return whose streams a file has, by the first that is named."""
    try:
        for _, payload in read_capture([path]):
            if payload.startswith(_STREAM):
                name = payload[len(_STREAM) :].partition(b"@")[0]
                return name.decode(errors="replace").upper()
    except CaptureError:
        return ""  # whoever plays it says what is wrong
    return ""


class CaptureSources:
    """Plays captures of several symbols side by side.

    Parameters
    ----------
    sources : sequence of CaptureSource
        Of different symbols.
    speed : float
        Theirs.

    Raises
    ------
    CaptureError
        They are of more than one market.
    """

    waits_for_client = True
    any_depth_name = True

    def __init__(self, sources: Sequence[CaptureSource], speed: float) -> None:
        markets = {source.market for source in sources}
        if len(markets) > 1:
            names = ", ".join(sorted(market.name.lower() for market in markets))
            where = ", ".join(source.info.symbol for source in sources)
            raise CaptureError(f"captures must be of one market, got {names}", where, 1)
        self.market = sources[0].market
        self.lossless = sources[0].lossless
        self.listings: Mapping[str, Listing] = {
            symbol: listing for source in sources for symbol, listing in source.listings.items()
        }
        self._sources = sources
        self._speed = speed

    def start(self, now_ns: int) -> None:
        """Make the first line of all due now."""
        first_ns = min(source.info.first_ns for source in self._sources)
        for source in self._sources:
            source.start(now_ns + int((source.info.first_ns - first_ns) / self._speed))

    def listen(self, streams: Collection[str]) -> None:
        """Do nothing: a capture holds what it holds."""

    def book_ready(self) -> bool:
        """Whether every snapshot has been played and fitted the diffs."""
        return all(source.book_ready() for source in self._sources)

    def wait_ns(self, now_ns: int) -> int | None:
        """Return the time until the next line, None at the end of all."""
        waits = [source.wait_ns(now_ns) for source in self._sources]
        return min((wait for wait in waits if wait is not None), default=None)

    def poll(self, now_ns: int) -> Sequence[Frame]:
        """Play the lines due by now: where lossless only the oldest, so that none runs ahead."""
        if self.lossless:
            waiting = [source for source in self._sources if source.next_ns is not None]
            if not waiting:
                return []
            return min(waiting, key=lambda source: source.next_ns or 0).poll(now_ns)
        return [frame for source in self._sources for frame in source.poll(now_ns)]

    def status(self) -> SourceStatus:
        """Return the counters of all; the update id is the first one's."""
        parts = [source.status() for source in self._sources]
        return SourceStatus(
            source="capture",
            played=sum(part.played for part in parts),
            total=sum(part.total or 0 for part in parts),
            finished=all(part.finished for part in parts),
            truncated=next((part.truncated for part in parts if part.truncated), None),
            malformed=sum(part.malformed for part in parts),
            not_json=sum(part.not_json for part in parts),
            gaps=sum(part.gaps for part in parts),
            update_id=parts[0].update_id,
        )
