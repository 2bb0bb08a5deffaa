"""Slow twins of the volatility, the fair value and the pricing step: plain Python, full history."""

import math

from reference_book import BAD_LEVEL, GAP, NOT_SYNCED, Book

QUIET, PUBLISH, NEED_SNAPSHOT = 0, 1, 2
LIVE, WARM, TOUCH_FROM_BBO = 1, 2, 4
STATE_LIVE, STATE_SYNCING = 3, 2


class Volatility:
    """Keeps every interval and weighs all of them anew on each question."""

    def __init__(
        self,
        volatility_half_life_ns,
        drift_half_life_ns,
        warmup_ns,
        max_gap_ns,
        jump_sigmas=math.inf,
    ):
        self.jump_sigmas = jump_sigmas
        self.samples = 0
        self.half_lives = (volatility_half_life_ns, drift_half_life_ns)
        self.warmup_ns = warmup_ns
        self.max_gap_ns = max_gap_ns
        self.last = None
        self.intervals = []  # (return, nanoseconds)

    def update(self, x, ts_ns):
        if self.last is None:
            self.last = (x, ts_ns)
            self.samples += 1
            return
        last_x, last_ns = self.last
        if ts_ns <= last_ns:
            return
        if ts_ns - last_ns <= self.max_gap_ns:
            move = x - last_x
            if self.samples > 10 and self.jump_sigmas < math.inf:
                seconds = max((ts_ns - last_ns) / 1e9, 1.0)
                limit = max(self.jump_sigmas * self.volatility * math.sqrt(seconds), 1.0)
                move = math.copysign(min(abs(move), limit), move)
            self.intervals.append((move, ts_ns - last_ns))
        self.last = (x, ts_ns)
        self.samples += 1

    def _ratio(self, half_life_ns, power):
        top = bottom = age_ns = 0.0
        for move, ns in reversed(self.intervals):
            weight = 2.0 ** (-age_ns / half_life_ns)
            top += weight * move**power
            bottom += weight * ns / 1e9
            age_ns += ns
        return top / bottom if bottom > 0 else 0.0

    @property
    def volatility(self):
        return math.sqrt(self._ratio(self.half_lives[0], 2))

    @property
    def drift(self):
        return self._ratio(self.half_lives[1], 1)

    @property
    def warm(self):
        observed_ns = sum(ns for _, ns in self.intervals)
        return observed_ns > 0 and observed_ns >= self.warmup_ns


def microprice(bid, bid_lots, ask, ask_lots):
    return (bid * ask_lots + ask * bid_lots) / (bid_lots + ask_lots)


class Pricing:
    def __init__(self, volatility, microprice_weight):
        self.book = Book()
        self.volatility = volatility
        self.weight = microprice_weight
        self.feed_ok = False
        self.bbo = None  # (epoch, update id, bid, bid lots, ask, ask lots)
        self.trade_id = 0
        self.published = ((0, 0, 0, 0), 0, 0)
        self.source = (0, 0, 0, 0)

    def trade(self, trade_id):
        self.trade_id = trade_id
        return QUIET, None

    def best(self, now_ns, source, bbo):
        epoch, update_id = bbo[0], bbo[1]
        if epoch != self.book.epoch:
            return QUIET, None
        if self.bbo is not None and self.bbo[0] == epoch and update_id < self.bbo[1]:
            return QUIET, None
        self.bbo = bbo
        self.source = source
        return self._answer(now_ns, False)

    def snapshot(self, now_ns, source, *args):
        code = self.book.follow_snapshot(*args)
        self.source = source
        return self._answer(now_ns, code in (GAP, NOT_SYNCED, BAD_LEVEL))

    def delta(self, now_ns, source, *args):
        code = self.book.follow_delta(*args)
        self.source = source
        return self._answer(now_ns, code in (GAP, NOT_SYNCED, BAD_LEVEL))

    def _touch(self):
        same = self.bbo is not None and self.bbo[0] == self.book.epoch
        if same and self.bbo[1] > 0 and self.bbo[1] >= self.book.last_update_id:
            bid, bid_lots, ask, ask_lots = self.bbo[2:]
            touch = (bid, bid_lots) if bid_lots > 0 else (0, 0)
            return touch + ((ask, ask_lots) if ask_lots > 0 else (0, 0)), TOUCH_FROM_BBO
        bids, asks = self.book.top_bids(), self.book.top_asks()
        return (bids[0] if bids else (0, 0)) + (asks[0] if asks else (0, 0)), 0

    def _answer(self, now_ns, lost):
        out = self.fill(now_ns, feed=True)
        if lost:
            return NEED_SNAPSHOT, out
        seen = (out["touch"], out["flags"], out["book_state"])
        if seen == self.published:
            return QUIET, None
        self.published = seen
        return PUBLISH, out

    def refresh(self, now_ns):
        out = self.fill(now_ns, feed=False)
        self.published = (out["touch"], out["flags"], out["book_state"])
        return out

    def fill(self, now_ns, feed):
        touch, flags = self._touch()
        bid, bid_lots, ask, ask_lots = touch
        both = bid_lots > 0 and ask_lots > 0
        synced = self.book.synced
        if synced and self.book.book_state == STATE_LIVE and self.feed_ok and both and bid < ask:
            flags |= LIVE
        mid = (bid + ask) / 2
        old_touch, old_flags, _ = self.published
        if feed and flags & LIVE and (not old_flags & LIVE or touch != old_touch):
            self.volatility.update(mid, now_ns)
        if self.volatility.warm:
            flags |= WARM
        micro = microprice(bid, bid_lots, ask, ask_lots) if both else 0.0
        instrument_id, epoch, frame_ns, collector_sent_ns = self.source
        return {
            "now_ns": now_ns,
            "instrument_id": instrument_id,
            "epoch": epoch,
            "frame_ns": frame_ns,
            "collector_sent_ns": collector_sent_ns,
            "book_update_id": self.book.last_update_id,
            "bbo_update_id": self.bbo[1] if self.bbo and self.bbo[0] == self.book.epoch else 0,
            "trade_id": self.trade_id,
            "touch": touch,
            "microprice_ticks": micro,
            "fair_value_ticks": mid + self.weight * (micro - mid) if both else 0.0,
            "volatility_ticks_per_sqrt_s": self.volatility.volatility,
            "drift_ticks_per_s": self.volatility.drift,
            "flags": flags,
            "book_state": self.book.book_state if synced else STATE_SYNCING,
        }
