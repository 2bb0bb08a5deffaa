"""The venue's own true book: levels, touch, and the official rules for a capture's diffs."""

from collections import deque
from collections.abc import Iterable

__all__ = ["CaptureBook", "Touch", "TrueBook"]

Level = tuple[int, int]  # price, quantity; both integers of 1e-8
Touch = tuple[int, int, int, int]  # bid price, bid quantity, ask price, ask quantity

DIFFS_KEPT = 2000
CHANGES_KEPT = 100_000
MARKS_KEPT = 10_000


class TrueBook:
    """Both sides of a book as dictionaries, the best prices, and a bounded memory of its past.

    Changes belong to the `update_id` that is set when they are made.
    """

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.update_id = 0
        self.best_bid = 0
        self.best_ask = 0
        self._loaded_id = 0
        # What undoes each change: its id, whether it was a bid, the price, the quantity before.
        self._changes: deque[tuple[int, bool, int, int]] = deque(maxlen=CHANGES_KEPT)
        self._marks: deque[tuple[int, int]] = deque(maxlen=MARKS_KEPT)  # time, id

    def load(self, bids: Iterable[Level], asks: Iterable[Level], update_id: int) -> None:
        """Replace everything; the past is forgotten."""
        self.bids = {price: qty for price, qty in bids if qty}
        self.asks = {price: qty for price, qty in asks if qty}
        self.best_bid = max(self.bids, default=0)
        self.best_ask = min(self.asks, default=0)
        self.update_id = self._loaded_id = update_id
        self._changes.clear()
        self._marks.clear()

    def set_bid(self, price: int, qty: int) -> None:
        """Set a bid level to an absolute quantity, 0 to remove it."""
        bids = self.bids
        before = bids.get(price, 0)
        if before == qty:
            return
        self._changes.append((self.update_id, True, price, before))
        if qty:
            bids[price] = qty
            if price > self.best_bid:
                self.best_bid = price
        else:
            del bids[price]
            if price == self.best_bid:
                self.best_bid = max(bids, default=0)

    def set_ask(self, price: int, qty: int) -> None:
        """Set an ask level to an absolute quantity, 0 to remove it."""
        asks = self.asks
        before = asks.get(price, 0)
        if before == qty:
            return
        self._changes.append((self.update_id, False, price, before))
        if qty:
            asks[price] = qty
            if price < self.best_ask or not self.best_ask:
                self.best_ask = price
        else:
            del asks[price]
            if price == self.best_ask:
                self.best_ask = min(asks, default=0)

    def mark(self, now_ns: int) -> None:
        """Note that the present state holds now."""
        self._marks.append((now_ns, self.update_id))

    @property
    def oldest_id(self) -> int:
        """The oldest update id whose book is still known."""
        if len(self._changes) == CHANGES_KEPT:
            return self._changes[0][0]
        return self._loaded_id

    def id_at(self, time_ns: int) -> int:
        """Return the update id at a past time, the oldest known where that is forgotten."""
        known = [update_id for when, update_id in self._marks if when <= time_ns]
        return max(known[-1] if known else 0, self.oldest_id)

    def as_of(self, update_id: int) -> "TrueBook | None":
        """Return a copy of the book as it was at an update id, None where it is not known.

        An id between two changes has the state of the one before.
        """
        if not self.oldest_id <= update_id <= self.update_id:
            return None
        bids, asks = dict(self.bids), dict(self.asks)
        for changed_id, is_bid, price, qty in reversed(self._changes):
            if changed_id <= update_id:
                break
            (bids if is_bid else asks)[price] = qty
        book = TrueBook()
        book.load(bids.items(), asks.items(), update_id)
        return book

    @property
    def touch(self) -> Touch:
        """Best bid and offer with their quantities, zeros where a side is empty."""
        bid, ask = self.best_bid, self.best_ask
        return bid, self.bids.get(bid, 0), ask, self.asks.get(ask, 0)

    def top(self, limit: int) -> tuple[list[Level], list[Level]]:
        """Return the best `limit` levels of each side, best first."""
        bids = sorted(self.bids.items(), reverse=True)[:limit]
        asks = sorted(self.asks.items())[:limit]
        return bids, asks


class CaptureBook(TrueBook):
    """A book rebuilt from a capture: diffs wait for a snapshot, continuity is watched.

    After a hole in the ids the diffs go on being applied (each level set is still true) and
    `gaps` counts it; the next snapshot in the capture puts the book right.
    """

    def __init__(self) -> None:
        super().__init__()
        self.synced = False
        self.gaps = 0
        self._broken = False
        self._recent: deque[tuple[int, int, int | None, list[Level], list[Level]]] = deque(
            maxlen=DIFFS_KEPT
        )

    def snapshot(self, bids: list[Level], asks: list[Level], update_id: int) -> None:
        """Take in a REST snapshot and replay onto it the diffs that are newer."""
        if self.synced and not self._broken:
            return  # the diffs have carried the book past it
        newer = [diff for diff in self._recent if diff[1] > update_id]
        if newer and not _follows(update_id, *newer[0][:3]):
            return  # older than the diffs at hand: only a later one will do
        self.load(bids, asks, update_id)
        self.synced = True
        self._broken = False
        for diff in newer:
            self._apply(*diff)

    def diff(
        self, first: int, last: int, previous: int | None, bids: list[Level], asks: list[Level]
    ) -> None:
        """Take in one depth event; `previous` is USD-M's pu, None on spot."""
        self._recent.append((first, last, previous, bids, asks))
        if self.synced:
            self._apply(first, last, previous, bids, asks)

    def _apply(
        self, first: int, last: int, previous: int | None, bids: list[Level], asks: list[Level]
    ) -> None:
        if last <= self.update_id:
            return
        if not _follows(self.update_id, first, last, previous):
            self.gaps += 1
            self._broken = True
        self.update_id = last
        for price, qty in bids:
            self.set_bid(price, qty)
        for price, qty in asks:
            self.set_ask(price, qty)


def _follows(update_id: int, first: int, last: int, previous: int | None) -> bool:
    """Tell whether an event takes a book at `update_id` on without a hole.

    USD-M ids tile as (previous, last]; spot's as [first, last].
    """
    start = first - 1 if previous is None else previous
    return start <= update_id <= last
