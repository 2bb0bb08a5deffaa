"""The venue's own true book: levels, touch, and the official rules for a capture's diffs."""

from collections import deque
from collections.abc import Iterable

__all__ = ["CaptureBook", "Touch", "TrueBook"]

Level = tuple[int, int]  # price, quantity; both integers of 1e-8
Touch = tuple[int, int, int, int]  # bid price, bid quantity, ask price, ask quantity

DIFFS_KEPT = 2000


class TrueBook:
    """Both sides of a book as dictionaries, with the best prices kept up."""

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.update_id = 0
        self.best_bid = 0
        self.best_ask = 0

    def load(self, bids: Iterable[Level], asks: Iterable[Level], update_id: int) -> None:
        """Replace everything."""
        self.bids = {price: qty for price, qty in bids if qty}
        self.asks = {price: qty for price, qty in asks if qty}
        self.best_bid = max(self.bids, default=0)
        self.best_ask = min(self.asks, default=0)
        self.update_id = update_id

    def set_bid(self, price: int, qty: int) -> None:
        """Set a bid level to an absolute quantity, 0 to remove it."""
        if qty:
            self.bids[price] = qty
            self.best_bid = max(self.best_bid, price)
        elif self.bids.pop(price, 0) and price == self.best_bid:
            self.best_bid = max(self.bids, default=0)

    def set_ask(self, price: int, qty: int) -> None:
        """Set an ask level to an absolute quantity, 0 to remove it."""
        if qty:
            self.asks[price] = qty
            self.best_ask = min(self.best_ask or price, price)
        elif self.asks.pop(price, 0) and price == self.best_ask:
            self.best_ask = min(self.asks, default=0)

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
        for price, qty in bids:
            self.set_bid(price, qty)
        for price, qty in asks:
            self.set_ask(price, qty)
        self.update_id = last


def _follows(update_id: int, first: int, last: int, previous: int | None) -> bool:
    """Tell whether an event takes a book at `update_id` on without a hole.

    USD-M ids tile as (previous, last]; spot's as [first, last].
    """
    start = first - 1 if previous is None else previous
    return start <= update_id <= last
