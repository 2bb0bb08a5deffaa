"""Snapshot requests for all books: one a symbol at a time, within the address's budget."""

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass

from mm_collector.feed import Feed
from mm_collector.live import Purpose
from mm_collector.rest import Reply, Rest
from mm_collector.venue import VenueRules

__all__ = ["Answer", "Snapshots"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply for a feed, and how long the request took."""

    feed: Feed
    reply: Reply
    asked_ns: int


@dataclass(slots=True)
class _Request:
    feed: Feed
    asked: Future[Reply]
    asked_ns: int
    is_beside_live: bool


class Snapshots:
    """Requests under way.

    Parameters
    ----------
    rest
        The venue's REST interface.
    rules
        The market's.
    levels
        Levels a side of a snapshot that builds a book.
    """

    def __init__(self, rest: Rest, rules: VenueRules, levels: int) -> None:
        self._rest = rest
        self._rules = rules
        self._levels = levels
        self._requests: dict[str, _Request] = {}
        self._forgotten: list[Future[Reply]] = []  # of no use, but for what they say of the budget

    def ask(self, feeds: Iterable[Feed], now_ns: int) -> None:
        """Request what the books want and the budget allows; books that are not LIVE first."""
        idle = []
        for feed in feeds:
            under_way = self._requests.get(_symbol(feed))
            if under_way is None:
                idle.append(feed)
            elif not under_way.is_beside_live:
                continue
            # An audit of a book that is LIVE no more does not hold up its recovery.
            if feed.sync.wants_snapshot(now_ns) and self._request(feed, self._levels, now_ns):
                feed.sync.on_snapshot_requested()
        for feed in idle:
            purpose = feed.wanted_beside_live(now_ns)
            if purpose is None:
                continue
            levels = self._levels if purpose is Purpose.REFRESH else self._rules.audit_levels
            if self._request(feed, levels, now_ns, is_beside_live=True):
                feed.live.begin(purpose, feed.sync.last_update_id, now_ns)

    def answers(self, now_ns: int) -> list[Answer]:
        """Return what has been answered."""
        done = [symbol for symbol, request in self._requests.items() if request.asked.done()]
        found = []
        for symbol in done:
            request = self._requests.pop(symbol)
            reply = request.asked.result()
            self._rest.learn(reply, now_ns)
            found.append(Answer(request.feed, reply, request.asked_ns))
        for asked in [asked for asked in self._forgotten if asked.done()]:
            self._forgotten.remove(asked)
            self._rest.learn(asked.result(), now_ns)
        return found

    def forget(self, feed: Feed) -> None:
        """Ignore the answer to a request of before, as far as the feed is concerned."""
        request = self._requests.pop(_symbol(feed), None)
        if request is not None:
            self._forgotten.append(request.asked)

    def _request(self, feed: Feed, levels: int, now_ns: int, is_beside_live: bool = False) -> bool:
        symbol = _symbol(feed)
        path = self._rules.snapshot_path(symbol, levels)
        asked = self._rest.get(path, self._rules.weight_of(levels), now_ns)
        if asked is not None:
            self.forget(feed)
            self._requests[symbol] = _Request(feed, asked, now_ns, is_beside_live)
        return asked is not None


def _symbol(feed: Feed) -> str:
    return feed.filters.instrument.symbol
