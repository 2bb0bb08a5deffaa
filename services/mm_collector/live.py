"""When a LIVE book wants another snapshot, and the one that is under way.

Two purposes: an audit holds the book against a small snapshot at a set interval; a refresh takes
the place of the book where the touch has come near the edge of what the last snapshot said.
"""

import random
from enum import Enum

from mm_collector.frames import DepthEvent, Snapshot
from mm_collector.splice import Splice

__all__ = ["LiveSnapshots", "Purpose"]

_REFRESH_INTERVAL_NS = 10_000_000_000  # at least so long between two refreshes


class Purpose(Enum):
    """What a snapshot of a LIVE book is for."""

    AUDIT = "audit"
    REFRESH = "refresh"


class LiveSnapshots:
    """At most one snapshot under way beside a LIVE book.

    Parameters
    ----------
    audit_interval_ns
        Time between two audits, jittered; 0 for none.
    max_events
        Events kept while the answer is awaited.
    rng
        Source of the jitter.
    """

    def __init__(self, audit_interval_ns: int, max_events: int, rng: random.Random) -> None:
        self.purpose: Purpose | None = None
        self._audit_interval_ns = audit_interval_ns
        self._max_events = max_events
        self._rng = rng
        self._splice: Splice | None = None
        self._snapshot: Snapshot | None = None
        self._next_audit_ns = 0
        self._next_refresh_ns = 0

    def start(self, now_ns: int) -> None:
        """Begin the intervals anew: the book has gone LIVE."""
        self.cancel()
        self._next_audit_ns = now_ns + self._audit_wait_ns()

    def due(self, now_ns: int, is_near_edge: bool) -> Purpose | None:
        """Return what a snapshot is wanted for now."""
        if self.purpose is not None:
            return None
        if is_near_edge and now_ns >= self._next_refresh_ns:
            return Purpose.REFRESH
        if self._audit_interval_ns and now_ns >= self._next_audit_ns:
            return Purpose.AUDIT
        return None

    def begin(self, purpose: Purpose, asked_at_id: int, now_ns: int) -> None:
        """Note that the snapshot has been asked for."""
        self.purpose = purpose
        self._splice = Splice(asked_at_id, self._max_events)
        self._snapshot = None
        if purpose is Purpose.REFRESH:
            self._next_refresh_ns = now_ns + _REFRESH_INTERVAL_NS
        else:
            self._next_audit_ns = now_ns + self._audit_wait_ns()

    def note(self, event: DepthEvent) -> None:
        """Keep an applied event."""
        if self._splice is not None:
            self._splice.note(event)

    def answer(self, snapshot: Snapshot) -> None:
        """Take the venue's answer; `take` gives it back once the book has come as far."""
        if self._splice is not None:
            self._snapshot = snapshot

    def take(self) -> tuple[Purpose, Snapshot, list[DepthEvent] | None] | None:
        """Return purpose, snapshot and the events beyond it, None in their place: of no use."""
        splice, snapshot, purpose = self._splice, self._snapshot, self.purpose
        if splice is None or snapshot is None or purpose is None:
            return None
        if splice.is_usable and not splice.reaches(snapshot.last_update_id):
            return None
        self.cancel()
        return purpose, snapshot, splice.after(snapshot.last_update_id)

    def cancel(self) -> None:
        """Forget the snapshot under way: it failed, or the book is LIVE no more."""
        self.purpose = self._splice = self._snapshot = None

    def _audit_wait_ns(self) -> int:
        return int(self._audit_interval_ns * self._rng.uniform(0.75, 1.25))
