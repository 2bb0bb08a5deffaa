"""Depth events and a snapshot -> a book that is LIVE, or says why it is not: a pure state machine.

    DOWN -> BUFFERING -> SYNCING -> LIVE -> GAP | CROSSED | STALE -> BUFFERING

No socket, no clock: times and events come in, events to apply and transitions come out. The
rules are the venue's own (local order book procedures of spot, as corrected in November 2025,
and of USD-M futures), in one form: an event covers the ids (previous, last].

- Spot: the first event after a snapshot with id L has previous <= L < last; afterwards an event
  whose ids overlap what is known is legal, one that starts beyond it is a gap.
- USD-M: the first event has previous <= L <= last (the venue asks for first <= L, which can
  never hold where L falls into a hole between two events' ids); afterwards previous must equal
  the last id exactly.
- Handed over to another connection, whose batches may have other edges: the first event beyond
  what is known has previous <= the last id < last on both markets.

Recovery is at once after a book that had been LIVE for a while. One that keeps failing soon
after it went LIVE (a venue whose own book is crossed) waits longer each time, with jitter.
"""

import random
from collections import deque
from dataclasses import dataclass

from mm_collector.frames import DepthEvent
from mmquant.codes import BookState, Market, Reason

__all__ = ["BookSync", "SyncLimits", "Transition"]


@dataclass(frozen=True, slots=True)
class SyncLimits:
    """Bounds of one book's synchronisation.

    Attributes
    ----------
    max_buffered_events
        Events kept while there is no snapshot; more, and buffering starts over.
    stale_after_ns
        Age of the newest depth event beyond which a LIVE book is STALE.
    retry_ns, max_retry_ns
        First and longest wait between two snapshot requests; doubling, jittered. A book LIVE
        for less than twice the first has failed soon.
    """

    max_buffered_events: int
    stale_after_ns: int
    retry_ns: int
    max_retry_ns: int


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state, to be told to the world."""

    state: BookState
    reason: Reason
    text: str


class BookSync:
    """Decides which depth events may be applied to one instrument's book.

    Parameters
    ----------
    market
        Whose rules apply.
    limits
        Bounds.
    rng
        Source of the jitter between snapshot requests.
    """

    def __init__(self, market: Market, limits: SyncLimits, rng: random.Random) -> None:
        self.state = BookState.DOWN
        self.last_update_id = 0
        self.gaps = 0
        self.crossings = 0
        self.duplicates = 0
        self.handovers = 0
        self.transitions: deque[Transition] = deque()
        self._market = market
        self._limits = limits
        self._rng = rng
        self._buffer: list[DepthEvent] = []
        self._snapshot_id: int | None = None  # loaded, but no event has joined it yet
        self._retry_at_ns = 0
        self._retry_ns = limits.retry_ns
        self._heard_ns = 0
        self._live_since_ns = 0
        self._soon_failed = 0  # times in a row that the book was LIVE for a moment only
        self._is_handed_over = False

    def on_connected(self, now_ns: int) -> None:
        """Start buffering: a new connection is a new book."""
        self._retry_at_ns = now_ns
        self._heard_ns = now_ns
        self._start_over(BookState.BUFFERING, Reason.STARTING, "connected")

    def on_disconnected(self, now_ns: int, text: str) -> None:
        """Nothing more is known of the book until the next connection."""
        if self.state is not BookState.DOWN:
            self._has_lasted(now_ns)
            self._start_over(BookState.DOWN, Reason.CONNECTION_LOST, text)

    def on_handover(self, now_ns: int) -> None:
        """Go on with another connection, all of whose events are still to come.

        They overlap what the old one delivered; only where the old one is right up to the new
        one's first event has nothing been lost, which the ids show.
        """
        self.handovers += 1
        self._is_handed_over = True
        self._heard_ns = now_ns
        self._buffer = []  # of a book that is not LIVE: the new connection has them, too

    def wants_snapshot(self, now_ns: int) -> bool:
        """Return whether a snapshot should be requested now.

        Only after the first buffered event: an earlier one is nearly always too old.
        """
        return (
            self.state is BookState.BUFFERING and bool(self._buffer) and now_ns >= self._retry_at_ns
        )

    def on_snapshot_requested(self) -> None:
        """Await the answer."""
        self._move(BookState.SYNCING, Reason.STARTING, "snapshot requested")

    def on_snapshot_failed(self, now_ns: int, text: str, wait_ns: int = 0) -> None:
        """Try again after the backoff, or after `wait_ns` where the venue asked for longer."""
        if self.state is BookState.SYNCING and self._snapshot_id is None:
            self._move(BookState.BUFFERING, Reason.SNAPSHOT_FAILED, text)
            self._back_off(now_ns, wait_ns)

    def on_snapshot(self, last_update_id: int, now_ns: int) -> list[DepthEvent] | None:
        """Return the buffered events to apply on top of the snapshot; None to discard it.

        The list is empty where the snapshot is newer than everything buffered: the book may
        be loaded but is not LIVE until an event has joined it.
        """
        if self.state is not BookState.SYNCING or self._snapshot_id is not None:
            return None
        kept = [event for event in self._buffer if not self._is_before(event, last_update_id)]
        if kept and kept[0].previous > last_update_id:
            text = f"snapshot {last_update_id} is older than the first event {kept[0].first}"
            self.on_snapshot_failed(now_ns, text)
            return None
        self._buffer = []
        self.last_update_id = last_update_id
        self._snapshot_id = last_update_id
        self._heard_ns = now_ns
        applied: list[DepthEvent] = []
        for event in kept:
            applied += self.on_event(event, now_ns)
        return applied

    def on_event(self, event: DepthEvent, now_ns: int) -> list[DepthEvent]:
        """Return the events that are to be applied now: this one, or none."""
        if self.state is BookState.LIVE:
            return self._continue(event, now_ns)
        if self._snapshot_id is not None:
            return self._join(event, self._snapshot_id, now_ns)
        if self.state in (BookState.BUFFERING, BookState.SYNCING):
            self._hold(event)
        return []

    def on_crossed(self, now_ns: int, text: str) -> None:
        """Resynchronise: a book that is crossed after a whole event is not the venue's."""
        self.crossings += 1
        self._fail(BookState.CROSSED, Reason.BOOK_CROSSED, text, now_ns)

    def on_mismatch(self, now_ns: int, text: str) -> None:
        """Resynchronise a book that is not the venue's, as an audit or the book itself says."""
        if self.state is BookState.LIVE or self._snapshot_id is not None:
            self._fail(BookState.GAP, Reason.GAP, text, now_ns)

    def on_lost(self, now_ns: int, text: str) -> None:
        """Count an event that came but cannot be read: a LIVE book has a gap at once.

        In every other state the ids of the next event tell it.
        """
        if self.state is BookState.LIVE:
            self.gaps += 1
            self._fail(BookState.GAP, Reason.GAP, text, now_ns)

    def on_time(self, now_ns: int) -> None:
        """Let a LIVE book that hears nothing become STALE; give up a snapshot nothing joins."""
        age_ns = now_ns - self._heard_ns
        if age_ns <= self._limits.stale_after_ns:
            return
        if self.state is BookState.LIVE:
            text = f"no event for {age_ns // 1_000_000} ms"
            self._fail(BookState.STALE, Reason.BOOK_STALE, text, now_ns)
        elif self._snapshot_id is not None:
            text = f"no event has joined snapshot {self._snapshot_id}"
            self._start_over(BookState.BUFFERING, Reason.SNAPSHOT_FAILED, text)
            self._back_off(now_ns, 0)

    # inner works

    def _is_before(self, event: DepthEvent, snapshot_id: int) -> bool:
        if self._market is Market.SPOT:
            return event.last <= snapshot_id
        return event.last < snapshot_id

    def _join(self, event: DepthEvent, snapshot_id: int, now_ns: int) -> list[DepthEvent]:
        if self._is_before(event, snapshot_id):
            return []
        if event.previous > snapshot_id:
            return self._gap(event, now_ns)
        self._snapshot_id = None
        self._is_handed_over = False
        self._live_since_ns = self._heard_ns = now_ns
        self.last_update_id = event.last
        self._move(BookState.LIVE, Reason.NONE, f"synchronised at {event.last}")
        return [event]

    def _continue(self, event: DepthEvent, now_ns: int) -> list[DepthEvent]:
        if event.last <= self.last_update_id:
            self.duplicates += 1
            return []
        if not self._follows(event, self.last_update_id):
            return self._gap(event, now_ns)
        self._is_handed_over = False
        self._heard_ns = now_ns  # a repeat of what is known is no sign of life
        self.last_update_id = event.last
        return [event]

    def _follows(self, event: DepthEvent, known_id: int) -> bool:
        if self._market is Market.SPOT or self._is_handed_over:
            return event.previous <= known_id
        return event.previous == known_id

    def _gap(self, event: DepthEvent, now_ns: int) -> list[DepthEvent]:
        self.gaps += 1
        text = f"after {self.last_update_id} came ({event.previous}, {event.last}]"
        self._fail(BookState.GAP, Reason.GAP, text, now_ns)
        self._hold(event)
        return []

    def _hold(self, event: DepthEvent) -> None:
        if self._buffer:
            newest = self._buffer[-1].last
            if event.last <= newest:
                self.duplicates += 1
                return
            if not self._follows(event, newest):
                self.gaps += 1
                self._buffer = []  # no snapshot can be joined to what lies before the hole
        if len(self._buffer) >= self._limits.max_buffered_events:
            # Without the oldest events no snapshot of that time can be joined: begin again.
            self._start_over(BookState.BUFFERING, Reason.OVERFLOW, "too many events buffered")
        self._buffer.append(event)

    def _fail(self, state: BookState, reason: Reason, text: str, now_ns: int) -> None:
        """Leave LIVE (or the joining of a snapshot), and begin to buffer anew."""
        if not self._has_lasted(now_ns):
            self._soon_failed += 1
        self._retry_at_ns = now_ns
        if self._soon_failed > 1:
            self._back_off(now_ns, 0)
        self._start_over(state, reason, text)
        self._move(BookState.BUFFERING, reason, "resynchronising")

    def _has_lasted(self, now_ns: int) -> bool:
        """Return whether the book was LIVE for long; then the waits begin anew."""
        was_live = self.state is BookState.LIVE
        if not was_live or now_ns - self._live_since_ns < 2 * self._limits.retry_ns:
            return False
        self._soon_failed = 0
        self._retry_ns = self._limits.retry_ns
        return True

    def _back_off(self, now_ns: int, at_least_ns: int) -> None:
        wait_ns = int(self._retry_ns * self._rng.uniform(0.5, 1.0))
        self._retry_at_ns = now_ns + max(wait_ns, at_least_ns)
        self._retry_ns = min(2 * self._retry_ns, self._limits.max_retry_ns)

    def _start_over(self, state: BookState, reason: Reason, text: str) -> None:
        self._buffer = []
        self._snapshot_id = None
        self._move(state, reason, text)

    def _move(self, state: BookState, reason: Reason, text: str) -> None:
        self.state = state
        self.transitions.append(Transition(state, reason, text))
