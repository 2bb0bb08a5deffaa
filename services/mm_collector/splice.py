"""A snapshot asked for while the book is LIVE + the events since -> what lies beyond its id.

The book goes on meanwhile. Whether the snapshot is older or newer than the book, the events that
follow the request tell exactly how the two differ, so that it can be held against the book (an
audit) or put under the events in the book's place (a refresh of its known range).
"""

from mm_collector.frames import DepthEvent, Levels

__all__ = ["Splice", "differences"]


class Splice:
    """The events applied to a LIVE book since a snapshot was asked for.

    Parameters
    ----------
    asked_at_id
        The book's last update id at the request.
    max_events
        Bound; with more, the snapshot is of no use.
    """

    def __init__(self, asked_at_id: int, max_events: int) -> None:
        self.is_usable = True
        self._asked_at_id = asked_at_id
        self._known_id = asked_at_id
        self._max_events = max_events
        self._events: list[DepthEvent] = []

    def note(self, event: DepthEvent) -> None:
        """Keep an event that has just been applied."""
        self._known_id = event.last
        self.is_usable = len(self._events) < self._max_events
        if self.is_usable:
            self._events.append(event)

    def reaches(self, update_id: int) -> bool:
        """Return whether the book has come as far as the snapshot."""
        return self._known_id >= update_id

    def after(self, update_id: int) -> list[DepthEvent] | None:
        """Return the events that end beyond the snapshot's id; None where they are not known.

        The first of them may reach back before the id: levels are absolute, so it may be
        applied on top of the snapshot all the same.
        """
        if update_id < self._asked_at_id or not self.is_usable:
            return None
        return [event for event in self._events if event.last > update_id]


def differences(
    ours: tuple[Levels, Levels],
    theirs: tuple[Levels, Levels],
    later: list[DepthEvent],
    known: tuple[int, int],
) -> list[str]:
    """Return where the book differs from a snapshot, apart from what changed after it.

    Parameters
    ----------
    ours, theirs
        Bids and asks of the book and of the snapshot, best first; ours reach at least as deep.
    later
        The events that end beyond the snapshot's id and are in the book.
    known
        Lowest and highest price that the book knows about; nothing is compared beyond.
    """
    found = []
    for side, sign, book, snapshot, changed, edge in (
        ("bid", 1, ours[0], theirs[0], [event.bids for event in later], known[0]),
        ("ask", -1, ours[1], theirs[1], [event.asks for event in later], known[1]),
    ):
        touched = {ticks for levels in changed for ticks, _ in levels}
        if not len(snapshot):
            continue
        deepest = max(sign * edge, min(sign * ticks for ticks, _ in snapshot))
        mine, other = (
            {t: lots for t, lots in levels if sign * t >= deepest and t not in touched and lots}
            for levels in (book, snapshot)
        )
        for ticks in sorted(mine.keys() | other.keys()):
            if mine.get(ticks, 0) != other.get(ticks, 0):
                ours_lots, their_lots = mine.get(ticks, 0), other.get(ticks, 0)
                found.append(f"{side} {ticks} ticks: {ours_lots} lots, the venue {their_lots}")
    return found
