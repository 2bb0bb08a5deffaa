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
        self.bbo = None  # (update_id, bid, ask), a side is (tick, lots) or None

    def apply(self, bids, asks, last_update_id, load=False):
        for tick, qty in [*bids, *asks]:
            if not 1 <= tick <= MAX_PRICE_TICKS or qty < 0:
                return BAD_LEVEL
        if load:
            self.clear()
            self.synced = True
            self.loaded_once = True
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for tick, qty in levels:
                if qty == 0:
                    side.pop(tick, None)
                else:
                    side[tick] = qty
        has_ended = self.bbo is not None and self.bbo[0] <= self.last_update_id
        if has_ended and last_update_id < self.last_update_id:
            self.bbo = None
        self.last_update_id = last_update_id
        crossed = self.bids and self.asks and max(self.bids) >= min(self.asks)
        return CROSSED if crossed else OK

    def clear(self):
        self.bids, self.asks = {}, {}
        self.bbo = None
        self.synced = False
        self.last_update_id = 0

    def apply_bbo(self, update_id, bid, ask):
        for side in (bid, ask):
            if side and (side[1] < 0 or (side[1] > 0 and not 1 <= side[0] <= MAX_PRICE_TICKS)):
                return BAD_LEVEL
        if update_id <= max(self.last_update_id, self.bbo[0] if self.bbo else 0):
            return IGNORED
        bid, ask = (side if side and side[1] else None for side in (bid, ask))
        self.bbo = (update_id, bid, ask)
        return CROSSED if bid and ask and bid[0] >= ask[0] else OK

    def view(self, sign):
        """Return a side's levels, best first, with a newer best price laid over them."""
        levels = self.top_bids() if sign > 0 else self.top_asks()
        if self.bbo is None or self.bbo[0] <= self.last_update_id:
            return levels
        touch = self.bbo[1] if sign > 0 else self.bbo[2]
        if touch is None:
            return []
        return [touch] + [level for level in levels if (touch[0] - level[0]) * sign > 0]

    def best(self, sign):
        """Return the first level of `view`, None where there is none; without sorting them."""
        if self.bbo is not None and self.bbo[0] > self.last_update_id:
            return self.bbo[1] if sign > 0 else self.bbo[2]
        levels = self.bids if sign > 0 else self.asks
        tick = (max if sign > 0 else min)(levels, default=None)
        return None if tick is None else (tick, levels[tick])

    def cumulative(self, sign, limit):
        return sum(q for t, q in self.view(sign) if (t - limit) * sign >= 0)

    def cost(self, sign, lots):
        """Return filled, cost and worst price of taking `lots`."""
        filled = cost = worst = 0
        for tick, qty in self.view(-sign):
            take = min(qty, lots - filled)
            if take:
                filled, cost, worst = filled + take, cost + take * tick, tick
        return filled, cost, worst

    def top_bids(self):
        return sorted(self.bids.items(), reverse=True)

    def top_asks(self):
        return sorted(self.asks.items())

    def follow_snapshot(self, epoch, update_id, book_state, bids, asks):
        if self.synced and epoch == self.epoch:
            if update_id < self.last_update_id or (
                update_id == self.last_update_id and book_state == self.book_state
            ):
                self.book_state = book_state
                return IGNORED
        code = self.apply(bids, asks, update_id, load=True)
        if code == BAD_LEVEL:
            self.synced = False
            return code
        self.epoch = epoch
        self.book_state = book_state
        return code

    def follow_delta(self, epoch, previous_id, update_id, bids, asks):
        if self.synced and epoch == self.epoch and update_id <= self.last_update_id:
            return IGNORED
        if self.synced and epoch == self.epoch and previous_id == self.last_update_id:
            code = self.apply(bids, asks, update_id)
            self.synced = code != BAD_LEVEL
            return code
        self.synced = False
        return GAP if self.loaded_once else NOT_SYNCED
