"""The links that carry a market's streams, and when a replacement may take over.

Depth, best bid/offer and trades come over one link. On USD-M the aggregated trades, which only
another route carries, get a second one as soon as a trade stream is silent.
"""

import random
from collections.abc import Iterable

from mm_runtime.settings import CollectorSettings

from mm_collector.budget import Budget
from mm_collector.feed import Feed
from mm_collector.frames import BadFrame, DepthEvent, FrameReader
from mm_collector.link import Link, LinkLimits
from mm_collector.venue import VenueRules, depth_stream, stream_names
from mmquant.codes import BookState

__all__ = ["Streams"]

_MS = 1_000_000
_CONNECTS = 300  # attempts the venue allows an address in five minutes
_CONNECTS_PERIOD_NS = 300_000_000_000


class Streams:
    """The connections of one market.

    Parameters
    ----------
    config
        Symbols, addresses and bounds.
    rules
        The market's.
    waits
        Nothing may be lost for want of room: the venue is held back instead.
    rng
        Source of jitter.

    Attributes
    ----------
    main
        The link of the books.
    aggregates
        The link of the aggregated trades, where one is needed.
    """

    def __init__(
        self, config: CollectorSettings, rules: VenueRules, waits: bool, rng: random.Random
    ) -> None:
        connection = config.connection
        self._limits = LinkLimits(
            idle_timeout_ns=connection.idle_timeout_ms * _MS,
            connect_timeout_s=connection.connect_timeout_ms / 1_000,
            backoff_ns=connection.backoff_initial_ms * _MS,
            max_backoff_ns=connection.backoff_max_ms * _MS,
            max_age_ns=int(connection.max_age_minutes * 60_000 * _MS),
            first_frame_timeout_ns=connection.first_frame_timeout_ms * _MS,
            max_backlog_bytes=connection.max_backlog_megabytes << 20,
            waits=waits,
        )
        self._attempts = Budget(_CONNECTS, _CONNECTS_PERIOD_NS)
        self._rng = rng
        self._rules = rules
        self._base = (config.endpoints.ws_url or rules.ws_url).rstrip("/")
        self._depth = config.depth.speed or rules.default_depth
        names = stream_names(config.symbols, self._depth)
        self.main = self._link(rules.stream_path, names)
        self.aggregates: Link | None = None

    @property
    def links(self) -> list[Link]:
        """All links there are."""
        return [self.main] if self.aggregates is None else [self.main, self.aggregates]

    def want_aggregates(self, symbol: str) -> None:
        """Subscribe to the aggregated trades of a symbol whose trades are silent."""
        name = f"{symbol.lower()}@aggTrade"
        if self.aggregates is None:
            self.aggregates = self._link(self._rules.aggregate_path, [name])
        else:
            self.aggregates.add([name])

    def expect_depth(self, symbol: str, now_ns: int) -> None:
        """Ask anew for the depth of a symbol whose book is not LIVE, where it has ceased."""
        self.main.expect(depth_stream(symbol, self._depth), now_ns)

    def hand_over(self, feeds: Iterable[Feed], reader: FrameReader) -> None:
        """Let replacements take over where the old connection has reached their beginning.

        From there on the new one has everything, so nothing is lost; what both delivered is
        told by its ids.
        """
        firsts = self.main.standby_firsts()
        if firsts is not None and all(self._is_ready(feed, firsts, reader) for feed in feeds):
            self.main.hand_over()
        if self.aggregates is not None and self.aggregates.is_replaceable:
            self.aggregates.hand_over()

    def close(self) -> None:
        """Close every connection."""
        for link in self.links:
            link.close()

    def _is_ready(self, feed: Feed, firsts: dict[str, bytes], reader: FrameReader) -> bool:
        name = depth_stream(feed.filters.instrument.symbol, self._depth)
        payload = firsts.get(name)
        if payload is None:
            return self.main.is_quiet(name)
        if feed.sync.state is not BookState.LIVE:
            return True
        try:
            event = reader.parse_message(payload)
        except BadFrame:
            return True  # it will cost a gap, whichever connection it comes by
        return not isinstance(event, DepthEvent) or event.previous <= feed.sync.last_update_id

    def _link(self, path: str, names: list[str]) -> Link:
        return Link(f"{self._base}{path}", names, self._limits, self._attempts, self._rng)
