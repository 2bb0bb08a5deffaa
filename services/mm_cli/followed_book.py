"""A book as plain dictionaries that follows stream 10: slow, and obvious enough to judge by."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Difference", "FollowedBook", "compare"]

Levels = Iterable[tuple[int, int]]


@dataclass(frozen=True)
class Difference:
    """A level at which two books disagree, in ticks and lots; 0 lots is no level."""

    side: str
    price_ticks: int
    ours_lots: int
    theirs_lots: int


@dataclass
class FollowedBook:
    """One instrument's book from snapshots and deltas.

    A snapshot is loaded where the book is broken, of another epoch or behind; otherwise it is
    one more chance to find a difference, and `disagreements` counts those found.

    Attributes
    ----------
    known_low_ticks, known_high_ticks
        Beyond them the loaded snapshot said nothing.
    """

    epoch: int = -1
    update_id: int = -1
    is_live: bool = False
    is_whole: bool = False
    known_low_ticks: int = 0
    known_high_ticks: int = 0
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    holes: int = 0
    disagreements: int = 0

    def snapshot(
        self,
        epoch: int,
        update_id: int,
        is_live: bool,
        known: tuple[int, int],
        sides: tuple[Levels, Levels],
    ) -> None:
        """Take in a snapshot."""
        bids, asks = ({p: q for p, q in side if q} for side in sides)
        # What lies beyond the last level of a snapshot it does not say.
        low, high = max(known[0], min(bids, default=0)), min(known[1], max(asks, default=0))
        if self.is_whole and is_live and self.is_live and epoch == self.epoch:
            if update_id == self.update_id:
                low, high = max(low, self.known_low_ticks), min(high, self.known_high_ticks)
                self.disagreements += bool(compare(self, bids, asks, low, high))
                return
            if update_id < self.update_id:
                return
        self.epoch, self.update_id, self.is_live = epoch, update_id, is_live
        self.bids, self.asks = bids, asks
        self.known_low_ticks, self.known_high_ticks = low, high
        self.is_whole = True

    def delta(
        self, epoch: int, previous_id: int, last_id: int, sides: tuple[Levels, Levels]
    ) -> None:
        """Take in a delta; one that does not continue the book breaks it until a snapshot."""
        if epoch != self.epoch or last_id <= self.update_id:
            return
        if previous_id != self.update_id:
            self.holes += self.is_whole
            self.is_whole = False
            return
        for levels, changes in zip((self.bids, self.asks), sides, strict=True):
            for price, qty in changes:
                if qty:
                    levels[price] = qty
                else:
                    levels.pop(price, None)
        self.update_id = last_id


def compare(
    book: FollowedBook,
    bids: Mapping[int, int],
    asks: Mapping[int, int],
    low_ticks: int,
    high_ticks: int,
) -> list[Difference]:
    """Return where `book` differs from the levels of another within [low, high] ticks."""
    found = []
    for side, ours, theirs in (("bid", book.bids, bids), ("ask", book.asks, asks)):
        for price in sorted(ours.keys() | theirs.keys()):
            mine, other = ours.get(price, 0), theirs.get(price, 0)
            if low_ticks <= price <= high_ticks and mine != other:
                found.append(Difference(side, price, mine, other))
    return found
