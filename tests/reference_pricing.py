"""Slow twins of the volatility, the fair value and the pricing step: plain Python, full history."""

import math

import reference_signals
from reference_book import BAD_LEVEL, GAP, NOT_SYNCED, Book
from reference_realised import RealisedWindows

QUIET, PUBLISH, NEED_SNAPSHOT = 0, 1, 2
LIVE, WARM, TOUCH_FROM_BBO, STALE, LOST, JUMP, WARM_STARTED, NO_FAIR_VALUE = (
    2**bit for bit in range(8)
)
BASIS, CROSSED, ONE_SIDED, REALISED = 256, 512, 1024, 2048
STATE_LIVE, STATE_SYNCING, STATE_GAP, STATE_STALE = 3, 2, 4, 6


class Volatility:
    """Keeps every interval and weighs all of them anew on each question."""

    def __init__(
        self,
        volatility_half_life_ns,
        drift_half_life_ns,
        warmup_ns,
        max_gap_ns,
        jump_sigmas=math.inf,
        least_jump=1.0,
    ):
        self.jump_sigmas, self.least_jump = jump_sigmas, least_jump
        self.samples = self.gaps = self.jumps = 0
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
                limit = max(
                    self.jump_sigmas * self.volatility * math.sqrt(seconds), self.least_jump
                )
                limit = limit if limit > 0 else math.inf
                self.jumps += abs(move) > limit
                move = math.copysign(min(abs(move), limit), move)
            self.intervals.append((move, ts_ns - last_ns))
        else:
            self.gaps += 1
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
    def observed_ns(self):
        return sum(ns for _, ns in self.intervals)

    @property
    def warm(self):
        return self.observed_ns > 0 and self.observed_ns >= self.warmup_ns

    @property
    def warm_fraction(self):
        return min(self.observed_ns / max(self.warmup_ns, 1), 1.0)


def microprice(bid, bid_lots, ask, ask_lots):
    return (bid * ask_lots + ask * bid_lots) / (bid_lots + ask_lots)


class OrderFlow:
    """Keeps every book's flow and weighs all of them anew on each question."""

    def __init__(self, half_life_ns, levels):
        self.half_life_ns, self.levels = half_life_ns, levels
        self.last = None  # the levels of the book before, None: the next one starts anew
        self.clock_ns = None
        self.flows = []  # (lots, when)

    def update(self, bids, asks, ts_ns):
        self.clock_ns = ts_ns if self.clock_ns is None else max(self.clock_ns, ts_ns)
        bids, asks = bids[: self.levels], asks[: self.levels]
        if self.last is not None:
            flow = sum(
                reference_signals.order_flow(*change)
                for change in zip(self.last[0], bids, self.last[1], asks, strict=True)
            )
            self.flows.append((flow, self.clock_ns))
        self.last = bids, asks

    def lots(self, now_ns):
        if self.clock_ns is None:
            return 0.0
        now_ns = max(now_ns, self.clock_ns)
        return sum(q * 2.0 ** (-(now_ns - t) / self.half_life_ns) for q, t in self.flows)


class TradeFlow:
    def __init__(self, half_life_ns):
        self.half_life_ns = half_life_ns
        self.trades = []  # (lots, side, time on a clock that never goes back)

    def update(self, lots, side, ts_ns):
        ts_ns = max(ts_ns, self.trades[-1][2]) if self.trades else ts_ns
        self.trades.append((lots, side, ts_ns))

    @property
    def imbalance(self):
        if not self.trades:
            return 0.0
        columns = (list(column) for column in zip(*self.trades, strict=True))
        return reference_signals.trade_flow(*columns, self.half_life_ns)[-1]


PRICES = ("mid", "weighted_mid", "microprice", "stoikov", "vamp")
SIGNALS = {
    "depth_imbalance": "depth_imbalance_ticks",
    "order_flow_lots": "order_flow_ticks_per_lot",
    "trade_flow_imbalance": "trade_flow_ticks",
    "basis_bps": "basis_ticks_per_bp",
}


def blend(signals, params):
    """Weighted mean of the prices there are (the mid where none weighs), plus signals."""
    weights = {name: params.get(f"{name}_weight", 0.0) for name in PRICES}
    if sum(weights.values()) == 0.0:
        weights["mid"] = 1.0
    there = {k: w for k, w in weights.items() if w > 0 and math.isfinite(signals[f"{k}_ticks"])}
    if not there:
        return math.nan
    fair = sum(w * signals[f"{k}_ticks"] for k, w in there.items()) / sum(there.values())
    for name, factor in SIGNALS.items():
        if math.isfinite(signals[name]):
            fair += params.get(factor, 0.0) * signals[name]
    return fair


DRIFT_SIGNALS = (
    "depth_imbalance",
    "touch_imbalance",
    "order_flow_lots",
    "touch_flow_lots",
    "trade_flow_imbalance",
    "basis_bps",
)


def signal_drift(signals, params):
    """Sum of the signals that there are times ticks per s for a unit; the microprice's last."""
    factors = params.get("signal_drift_ticks_per_s", (0.0,) * 7)
    values = [signals[name] for name in DRIFT_SIGNALS]
    values.append(signals["microprice_ticks"] - signals["mid_ticks"])
    return reference_signals.signal_drift(values, factors)


def stoikov(bid, bid_lots, ask, ask_lots, table, buckets):
    if not table or ask <= bid:
        return math.nan
    row = min(ask - bid, len(table) // buckets) - 1
    column = min(int(bid_lots * buckets // (bid_lots + ask_lots)), buckets - 1)
    return (bid + ask) / 2 + table[row * buckets + column]


class Pricing:
    """`params` are PRICING_PARAMS by name; `table` is the Stoikov table, row by row."""

    def __init__(self, params, table=()):
        self.book = Book()
        self.params, self.table = params, table
        names = ("volatility_half_life_ns", "drift_half_life_ns", "warmup_ns", "max_gap_ns")
        sigmas = params.get("jump_sigmas", 0.0) or math.inf
        self.volatility = Volatility(*(params[name] for name in names), sigmas)
        self.depth_levels = max(params.get("depth_levels", 0), 1)
        self.flow_levels = max(params.get("order_flow_levels", 0), 1)
        second = 10**9
        half_life_ns = params.get("order_flow_half_life_ns", 0) or second
        self.order_flow = OrderFlow(half_life_ns, self.flow_levels)
        self.touch_flow = OrderFlow(half_life_ns, 1)
        self.trade_flow = TradeFlow(params.get("trade_flow_half_life_ns", 0) or second)
        self.window_ns = params.get("realised_window_ns", 0)
        self.realised = RealisedWindows(self.window_ns, params["max_gap_ns"])
        self.reference = (0.0, 0)  # the other market's price in ticks, and when
        self.feed_ok = False
        self.bbo = None  # (epoch, update id, bid, bid lots, ask, ask lots)
        self.trade_id = 0
        self.published = ((0, 0, 0, 0), 0, 0, 0.0)
        self.source = (0, 0, 0, 0)

    def trade(self, trade_id, lots, side, ts_ns):
        self.trade_id = trade_id
        self.trade_flow.update(lots, side, ts_ns)
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

    def _levels(self, touch):
        """Both sides: the touch, then the depth stream's levels strictly behind it."""
        n = max(self.depth_levels, self.flow_levels)
        bid, bid_lots, ask, ask_lots = touch
        bids = [(bid, bid_lots), *(row for row in self.book.top_bids() if row[0] < bid)]
        asks = [(ask, ask_lots), *(row for row in self.book.top_asks() if row[0] > ask)]
        return [(side + n * [(0, 0)])[:n] for side in (bids, asks)]

    def _answer(self, now_ns, lost):
        out = self.fill(now_ns, feed=True)
        if lost:
            return NEED_SNAPSHOT, out
        seen = self._seen(out)
        moved = abs(seen[3] - self.published[3]) > self.params.get("publish_ticks", 0.0)
        if seen[:3] == self.published[:3] and not moved:
            return QUIET, None
        self.published = seen
        return PUBLISH, out

    def refresh(self, now_ns):
        out = self.fill(now_ns, feed=False)
        self.published = self._seen(out)
        return out

    @staticmethod
    def _seen(out):
        return out["touch"], out["flags"], out["book_state"], out["fair_value_ticks"]

    def _signals(self, now_ns, touch, levels):
        bid, _, ask, _ = touch
        out = {f"{name}_ticks": math.nan for name in PRICES}
        out |= {"depth_imbalance": math.nan, "touch_imbalance": math.nan, "basis_bps": math.nan}
        out["order_flow_lots"] = self.order_flow.lots(now_ns)
        out["touch_flow_lots"] = self.touch_flow.lots(now_ns)
        out["trade_flow_imbalance"] = self.trade_flow.imbalance
        if not levels:
            return out
        bids, asks = (side[: self.depth_levels] for side in levels)
        b, a = sum(q for _, q in bids), sum(q for _, q in asks)
        out["mid_ticks"] = (bid + ask) / 2
        out["microprice_ticks"] = microprice(*touch)
        out["weighted_mid_ticks"] = microprice(bid, b, ask, a)
        out["vamp_ticks"] = reference_signals.vamp(bids, asks)
        out["depth_imbalance"] = (b - a) / (b + a)
        out["touch_imbalance"] = (touch[1] - touch[3]) / (touch[1] + touch[3])
        buckets = self.params.get("stoikov_buckets", 0)
        out["stoikov_ticks"] = stoikov(*touch, self.table, buckets)
        price, ts_ns = self.reference
        if price > 0 and now_ns - ts_ns <= self.params.get("reference_max_age_ns", 0):
            out["basis_bps"] = 1e4 * ((bid + ask) / 2 / price - 1)
        return out

    def _flags(self, touch, from_bbo):
        bid, bid_lots, ask, ask_lots = touch
        flags, synced, state = from_bbo, self.book.synced, self.book.book_state
        if bid_lots == 0 or ask_lots == 0:
            flags |= ONE_SIDED
        elif bid >= ask:
            flags |= CROSSED
        elif synced and state == STATE_LIVE and self.feed_ok:
            flags |= LIVE
        if not self.feed_ok or (synced and state == STATE_STALE):
            flags |= STALE
        if state == STATE_GAP if synced else self.book.loaded_once:
            flags |= LOST
        return flags

    def fill(self, now_ns, feed):
        touch, from_bbo = self._touch()
        flags = self._flags(touch, from_bbo)
        both = not flags & ONE_SIDED
        levels = self._levels(touch) if both else None
        jumps = self.volatility.jumps
        if feed and flags & LIVE:
            self.order_flow.update(*levels, now_ns)
            self.touch_flow.update(*levels, now_ns)
            stands_ns = now_ns - self.volatility.last[1] if self.volatility.last else now_ns
            stood = 2 * stands_ns >= self.params["max_gap_ns"]
            if stood or not self.published[1] & LIVE or touch != self.published[0]:
                self.volatility.update((touch[0] + touch[2]) / 2, now_ns)
                if self.window_ns:
                    self.realised.update((touch[0] + touch[2]) / 2, now_ns)
        elif feed:
            self.order_flow.last = self.touch_flow.last = None
        flags |= (self.volatility.jumps > jumps) * JUMP | self.volatility.warm * WARM
        signals = self._signals(now_ns, touch, levels)
        closed = self.realised.closed[-1] if self.realised.closed else {}
        if closed and now_ns - closed["end_ns"] <= 2 * self.window_ns:
            flags |= REALISED
        flags |= BASIS if math.isfinite(signals["basis_bps"]) else 0
        fair = blend(signals, self.params)
        drifts = (self.volatility.drift, signal_drift(signals, self.params))
        if not 0.0 < fair < math.inf:
            fair = math.nan
        if both and math.isnan(fair):
            flags = (flags | NO_FAIR_VALUE) & ~LIVE
        synced = self.book.synced
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
            "spread_ticks": touch[2] - touch[0] if both else 0,
            **{name: x if math.isfinite(x) else 0.0 for name, x in signals.items()},
            "fair_value_ticks": fair if math.isfinite(fair) else 0.0,
            "volatility_ticks_per_sqrt_s": self.volatility.volatility,
            "drift_ticks_per_s": drifts[self.params.get("drift_source", 0)],
            "ewma_drift_ticks_per_s": drifts[0],
            "signal_drift_ticks_per_s": drifts[1],
            "warm_fraction": self.volatility.warm_fraction,
            "samples": self.volatility.samples,
            "gaps": self.volatility.gaps,
            "jumps": self.volatility.jumps,
            "trades": len(self.trade_flow.trades),
            **{name: x for name, x in closed.items() if name.endswith(("_sqrt_s", "noise_ticks"))},
            "realised_samples": closed.get("samples", 0),
            "realised_end_ns": closed.get("end_ns", 0),
            "flags": flags,
            "book_state": self.book.book_state if synced else STATE_SYNCING,
        }
