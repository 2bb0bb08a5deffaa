"""Slow twins of the book kernels: two dicts of price -> quantity, no window, no overflow."""

NOT_SYNCED, GAP, IGNORED, CROSSED, BAD_LEVEL, OK = 2, 3, 1, 4, 5, 0
MAX_PRICE_TICKS = 2**53


class Book:
    def __init__(self):
        self.bids = {}
        self.asks = {}
        self.last_update_id = 0
        self.epoch = 0
        self.book_state = 0
        self.synced = False
        self.loaded_once = False

    def apply(self, bids, asks, last_update_id, load=False):
        for tick, qty in [*bids, *asks]:
            if not 1 <= tick <= MAX_PRICE_TICKS or qty < 0:
                return BAD_LEVEL
        if load:
            self.bids, self.asks = {}, {}
            self.synced = True
            self.loaded_once = True
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for tick, qty in levels:
                if qty == 0:
                    side.pop(tick, None)
                else:
                    side[tick] = qty
        self.last_update_id = last_update_id
        crossed = self.bids and self.asks and max(self.bids) >= min(self.asks)
        return CROSSED if crossed else OK

    def top_bids(self):
        return sorted(self.bids.items(), reverse=True)

    def top_asks(self):
        return sorted(self.asks.items())

    def follow_snapshot(self, epoch, update_id, book_state, bids, asks):
        if any(not 1 <= t <= MAX_PRICE_TICKS or q < 0 for t, q in [*bids, *asks]):
            self.synced = False
            return BAD_LEVEL
        if self.synced and epoch == self.epoch:
            if update_id < self.last_update_id or (
                update_id == self.last_update_id and book_state == self.book_state
            ):
                self.book_state = book_state
                return IGNORED
        code = self.apply(bids, asks, update_id, load=True)
        self.epoch = epoch
        self.book_state = book_state
        return code

    def follow_delta(self, epoch, previous_id, update_id, bids, asks):
        if any(not 1 <= t <= MAX_PRICE_TICKS or q < 0 for t, q in [*bids, *asks]):
            self.synced = False
            return BAD_LEVEL
        if self.synced and epoch == self.epoch and update_id <= self.last_update_id:
            return IGNORED
        if self.synced and epoch == self.epoch and previous_id == self.last_update_id:
            return self.apply(bids, asks, update_id)
        self.synced = False
        return GAP if self.loaded_once else NOT_SYNCED
