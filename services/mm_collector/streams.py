"""The links that carry a market's streams, and when a replacement may take over.

Depth, best bid/offer and trades come over one link. On USD-M the aggregated trades, which only
another route carries, get a second one as soon as a trade stream is silent.
"""

import random
from collections.abc import Iterable

from mm_runtime.settings import CollectorSettings

from mm_collector.budget import Budget
from mm_collector.feed import Feed
from mm_collector.frames import (
    AggregateTrade,
    BadFrame,
    DepthEvent,
    FrameReader,
    Message,
    Trade,
    VoidTrade,
)
from mm_collector.link import Link, LinkLimits
from mm_collector.venue import VenueRules, depth_stream, stream_names, trade_stream
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
        self._aggregate_names: set[str] = set()

    @property
    def links(self) -> list[Link]:
        """All links there are."""
        return [self.main] if self.aggregates is None else [self.main, self.aggregates]

    def want_aggregates(self, symbol: str) -> None:
        """Subscribe to the aggregated trades of a symbol whose trades are silent."""
        name = _aggregate_stream(symbol)
        self._aggregate_names.add(name)
        if self.aggregates is None:
            self.aggregates = self._link(self._rules.aggregate_path, [name])
        else:
            self.aggregates.add([name])

    def depth_stream(self, symbol: str) -> str:
        """Return the name of a symbol's depth stream."""
        return depth_stream(symbol, self._depth)

    def expect_depth(self, symbol: str, now_ns: int) -> None:
        """Ask anew for the depth of a symbol whose book is not LIVE, where it has ceased."""
        self.main.expect(self.depth_stream(symbol), now_ns)

    def hand_over(self, link: Link, feeds: Iterable[Feed], reader: FrameReader) -> None:
        """Let a link's replacement take over where the old connection has reached its beginning.

        From there on the new one has everything, so nothing is lost; what both delivered is
        told by its ids.
        """
        firsts = link.standby_firsts()
        if firsts is None:
            return
        is_ready = self._has_books if link is self.main else self._has_aggregates
        if all(is_ready(feed, firsts, reader) for feed in feeds):
            link.hand_over()

    def close(self) -> None:
        """Close every connection."""
        for link in self.links:
            link.close()

    def _has_books(self, feed: Feed, firsts: dict[str, bytes], reader: FrameReader) -> bool:
        """Return whether the old connection has reached the new one's beginning.

        The first depth event of the new one was sent after its SUBSCRIBE, but it may tell of
        changes from before. So only where the old one has come to that event's end has it brought
        what came before the SUBSCRIBE, trades included; their own ids tell the same.
        """
        symbol, trades = feed.filters.instrument.symbol, feed.trades
        name = self.depth_stream(symbol)
        payload = firsts.get(name)
        if payload is None:
            return self.main.is_quiet(name)
        trade = _parsed(firsts.get(trade_stream(symbol)), reader)
        if isinstance(trade, Trade | VoidTrade) and not trades.uses_aggregates:
            if 0 < trades.last_id < trade.trade_id - 1:
                return False
        event = _parsed(payload, reader)
        if feed.sync.state is not BookState.LIVE or not isinstance(event, DepthEvent):
            return True  # where it is no event it will cost a gap, whichever connection it is by
        return event.last <= feed.sync.last_update_id

    def _has_aggregates(self, feed: Feed, firsts: dict[str, bytes], reader: FrameReader) -> bool:
        name = _aggregate_stream(feed.filters.instrument.symbol)
        if name not in self._aggregate_names or not feed.trades.uses_aggregates:
            return True
        payload = firsts.get(name)
        if payload is None:
            assert self.aggregates is not None
            return self.aggregates.is_quiet(name)
        trade = _parsed(payload, reader)
        if not isinstance(trade, AggregateTrade):
            return True
        return trade.aggregate_id <= feed.trades.last_aggregate_id + 1

    def _link(self, path: str, names: list[str]) -> Link:
        return Link(f"{self._base}{path}", names, self._limits, self._attempts, self._rng)


def _aggregate_stream(symbol: str) -> str:
    return f"{symbol.lower()}@aggTrade"


def _parsed(payload: bytes | None, reader: FrameReader) -> Message | None:
    """Return what a frame says, None for one that breaks a rule."""
    if payload is None:
        return None
    try:
        return reader.parse_message(payload)
    except BadFrame:
        return None
