"""Slow obvious twin of the strategy's step: one class, lists of orders, exact fractions."""

import math
from fractions import Fraction

from reference_trading import minimum_tick_lots, order_reason

from mmquant.codes import BookState, PricingFlag, QuoteClamp, Reason, RiskState, Side
from mmquant.state import FILLS_KEPT


def venue_reason(i, side, price, qty, reference_half):
    """All filters of the venue, in exact fractions."""
    reason = order_reason(i, price, qty)
    if reason:
        return reason
    notional_e16 = price * qty * i["tick_size_e8"] * i["lot_size_e8"]
    if 0 < i["max_notional_e8"] * 10**8 < notional_e16:
        return Reason.ABOVE_MAXIMUM_NOTIONAL
    up, down = (
        (i["buy_up_e8"], i["buy_down_e8"])
        if side == Side.BUY
        else (i["sell_up_e8"], i["sell_down_e8"])
    )
    share = Fraction(2 * price, reference_half) * 10**8
    if (up and share > up) or (down and share < down):
        return Reason.PERCENT_PRICE
    return Reason.NONE


class ReferenceStrategy:
    """One instrument's strategy.

    `ask(inputs)` is the model: it returns (reason, bid, ask) from a dict.
    """

    def __init__(self, params, ask):
        self.q = params
        self.ask = ask
        self.now = 0
        self.started = False
        self.best = {Side.BUY: 0, Side.SELL: 0}
        self.since = {Side.BUY: 0, Side.SELL: 0}
        self.orders = {Side.BUY: [], Side.SELL: []}
        self.book_ids, self.book_ns = None, 0
        self.tokens = {"order": 0, "cancel": 0}
        self.tokens_at = 0
        self.last = None
        self.halt = Reason.NONE
        self.paused = (Reason.NONE, 0)
        self.fills = []  # time, signed lots, mark, later move in our favour
        self.judged_from = 0
        self.profits = None  # (second, profit) as told
        self.baseline = None  # value, from, at

    # what is told

    def pause(self, reason, now):
        self.paused = (reason, now + self.q["pause_ns"])

    def position(self, total_half, fees_micro, now):
        now = max(now, self.now)
        profit = total_half - math.ceil(Fraction(2 * fees_micro, 10**6))
        second = now // 10**9
        if self.profits is None:
            self.profits = [(second, profit)]
        second = max(second, self.profits[-1][0])
        self.profits.append((second, profit))
        values = [value for _, value in self.profits]
        if not self.halt:
            if values[0] - profit > self.q["max_session_loss_half_tick_lots"]:
                self.halt = Reason.SESSION_LOSS
            elif max(values) - profit > self.q["max_drawdown_half_tick_lots"]:
                self.halt = Reason.DRAWDOWN
        best = max(self.profit_in(second - k) for k in range(61))
        if best - profit > self.q["max_minute_loss_half_tick_lots"]:
            self.pause(Reason.MINUTE_LOSS, now)

    def profit_in(self, second):
        """Return the most that was told within a second, or what was known before."""
        told = [value for at, value in self.profits if at == second]
        before = [value for at, value in self.profits if at < second]
        return max(told) if told else (before or [self.profits[0][1]])[-1]

    def fill(self, side, qty, mark, now):
        now = max(now, self.now)
        waiting = [n for n, other in enumerate(self.fills) if other[3] is None]
        if len(waiting) == FILLS_KEPT:
            self.judge(waiting[0], mark, now)
        self.fills.append([now, side * qty, mark, None])
        least = -self.q["order_burst_ns"]
        self.tokens["order"] = max(least, self.tokens["order"] - self.q["order_ns"])
        recent = self.fills[-self.q["max_fills"] :]
        full = len(recent) == self.q["max_fills"]
        if full and now - recent[0][0] <= self.q["fill_window_ns"]:
            self.pause(Reason.FILL_BURST, now)

    def judge(self, n, mid, now):
        """Note the move since a fill, and judge it with those before it."""
        fill = self.fills[n]
        fill[3] = (mid - fill[2]) * (1 if fill[1] > 0 else -1)
        first = n + 1 - self.q["markout_fills"]
        if first < self.judged_from:
            return
        judged = self.fills[first : n + 1]
        gained = sum(abs(size) * move for _, size, _, move in judged)
        lots = sum(abs(size) for _, size, *_ in judged)
        if gained < -self.q["max_adverse_half_ticks"] * lots:
            self.judged_from = n + 1
            self.pause(Reason.ADVERSE_MARKOUT, now)

    # gates

    def market_gate(self, x, p, i):
        q = self.q
        numbers = [p["fair_value_ticks"], p["volatility_ticks_per_sqrt_s"], p["drift_ticks_per_s"]]
        spread = p["ask_ticks"] - p["bid_ticks"]
        from_frame = p["frame_ns"] and p["collector_sent_ns"]
        hop = p["received_ns"] - p["collector_sent_ns"] if from_frame else 0
        way = x["heard_ns"] - p["sent_ns"]
        ahead = [self.book_ns - x["now_ns"], -way, -hop if p["received_ns"] else 0]
        skewed = max(ahead) > q["max_skew_ns"]
        late = (p["sent_ns"] and way > q["max_lag_ns"]) or hop > q["max_lag_ns"]
        rules = [
            (i["instrument_id"] and i["tick_size_e8"] > 0 < i["lot_size_e8"], "NO_INSTRUMENT"),
            (x["upstream_ok"], "UPSTREAM_SILENT"),
            (i["instrument_id"] == p["instrument_id"], "NO_INSTRUMENT"),
            (not skewed, "CLOCK_SKEW"),
            (not late, "UPSTREAM_LAGS"),
            (p["book_state"] == BookState.LIVE, "BOOK_NOT_LIVE"),
            (p["bid_ticks"] > 0 and p["ask_ticks"] > 0, "NO_MARKET_DATA"),
            (spread > 0, "BOOK_CROSSED"),
            (not p["flags"] & PricingFlag.NO_FAIR_VALUE, "NO_FAIR_VALUE"),
            (p["flags"] & PricingFlag.LIVE, "BOOK_NOT_LIVE"),
            (x["now_ns"] - self.book_ns <= q["max_book_age_ns"], "BOOK_STALE"),
            (p["flags"] & PricingFlag.WARM, "NOT_WARM"),
            (x["position_known"], "NO_POSITION"),
            (x["simulator_lag_ns"] <= q["max_simulator_lag_ns"], "SIMULATOR_LAGS"),
            (all(math.isfinite(n) for n in numbers) and numbers[1] >= 0, "NOT_FINITE"),
            (spread >= q["min_spread_ticks"], "SPREAD_TOO_NARROW"),
            (spread <= q["max_spread_ticks"], "SPREAD_TOO_WIDE"),
            (x["open_orders"] <= q["max_open_orders"], "OPEN_ORDERS"),
            (x["open_tick_lots"] <= q["max_open_tick_lots"], "OPEN_NOTIONAL"),
        ]
        return next((Reason[name] for holds, name in rules if not holds), Reason.NONE)

    def watch(self, p):
        q = self.q
        mid = p["bid_ticks"] + p["ask_ticks"]
        for n, fill in enumerate(self.fills):
            if fill[3] is not None or fill[0] + q["markout_ns"] > self.now:
                continue
            if not any(other[3] is None for other in self.fills[:n]):
                self.judge(n, mid, self.now)
        sigma = p["volatility_ticks_per_sqrt_s"]
        if self.baseline is None or self.baseline[1] == 0:
            self.baseline = (sigma, self.now, self.now)
            return
        value, start, at = self.baseline
        age = self.now - start
        if age * 10 >= q["volatility_baseline_ns"] and value > 0:
            if sigma > q["max_volatility_ratio"] * value:
                self.pause(Reason.VOLATILITY_JUMP, self.now)
        if self.now > at:
            share = min(1.0, (self.now - at) / min(age, q["volatility_baseline_ns"]))
            self.baseline = (value + share * (sigma - value), start, self.now)

    def risk(self, x):
        for halt in (Reason(x["halt_reason"]), self.halt):
            if halt:
                return RiskState.HALTED, halt
        if self.paused[0] and self.now < self.paused[1]:
            return RiskState.REDUCING, self.paused[0]
        self.paused = (Reason.NONE, 0)
        return RiskState.ACTIVE, Reason.NONE

    # orders

    def room(self, side, position, risk):
        if risk == RiskState.REDUCING:
            return max(0, -side * position)
        return max(0, self.q["position_limit_lots"] - side * position)

    def level_reason(self, i, side, price, qty, mid, trade):
        reason = venue_reason(i, side, price, qty, mid)
        band = trade * self.q["collar_ppm"] // 10**6
        # The band is rounded down to whole half ticks (ticks round the trade).
        far = abs(2 * price - mid) > mid * self.q["collar_ppm"] // 10**6
        if not reason and (far or (trade > 0 and abs(price - trade) > band)):
            return Reason.PRICE_COLLAR
        return reason

    def ladder(self, side, best, position, risk, i, mid, trade):
        q = self.q
        reducing = risk == RiskState.REDUCING
        limit = Reason.REDUCE_ONLY if reducing else Reason.INVENTORY_LIMIT
        room = self.room(side, position, risk)
        width = q["position_limit_lots"] - q["soft_limit_lots"]
        beyond = side * position - q["soft_limit_lots"]
        share = 1000
        if beyond > 0 and width > 0:
            share = max(0, (width - beyond) * 1000 // width)
        most = q["max_open_orders"] // 2
        if i["max_orders"]:
            most = min(most, i["max_orders"] // 2)
        worth = q["max_open_tick_lots"] // 2
        gap = max(q["spacing_ticks"], mid * q["spacing_ppm"] // (2 * 10**6))
        size, price = q["order_lots"], best
        levels, reasons, clamps = [], [], set()
        if share < 1000:
            clamps.add(QuoteClamp.FADED)
        for _ in range(q["levels"]):
            faded = size * share // 1000
            left = room - sum(lots for _, lots in levels)
            lots = min(faded, left)
            shrunk = Reason.NONE
            if lots < faded:
                shrunk = limit
            elif faded < size:
                shrunk = Reason.INVENTORY_SOFT_LIMIT
            if lots == 0 and shrunk:
                why = shrunk
            else:
                why = self.level_reason(i, side, price, lots, mid, trade)
                if why and shrunk:
                    why = self.level_reason(i, side, price, size, mid, trade) or shrunk
            if not why and len(levels) >= most:
                why = Reason.OPEN_ORDERS
            elif not why and lots * price > worth - sum(a * b for a, b in levels):
                why = Reason.OPEN_NOTIONAL
            if not why:
                levels.append((price, lots))
                if lots < faded:
                    clamps.add(QuoteClamp.REDUCED if reducing else QuoteClamp.LIMITED)
            else:
                clamps.add(self.clamp_of(why, reducing))
            reasons.append(why)
            price -= side * gap
            gap = gap * q["spacing_permille"] // 1000
            size = (
                size * q["size_permille"] // 1000
                + q["order_lots"] * q["size_step_permille"] // 1000
            )
        reason = Reason.NONE if levels else next(r for r in reasons if r)
        return levels, reason, sum(clamps)

    @staticmethod
    def clamp_of(why, reducing):
        return {
            Reason.INVENTORY_LIMIT: QuoteClamp.LIMITED,
            Reason.REDUCE_ONLY: QuoteClamp.REDUCED,
            Reason.INVENTORY_SOFT_LIMIT: QuoteClamp.FADED,
            Reason.PRICE_COLLAR: QuoteClamp.COLLARED,
            Reason.OPEN_ORDERS: QuoteClamp.CAPPED,
            Reason.OPEN_NOTIONAL: QuoteClamp.CAPPED,
        }.get(why, QuoteClamp.FILTERED)

    def best_prices(self, bid, ask, p):
        q = self.q
        far = 2**53
        bid = math.floor(max(-far, min(far, bid)))
        ask = max(math.ceil(max(-far, min(far, ask))), bid + 1)
        clamps = {Side.BUY: 0, Side.SELL: 0}
        post = {Side.BUY: min(bid, p["ask_ticks"] - 1), Side.SELL: max(ask, p["bid_ticks"] + 1)}
        for side, wanted in ((Side.BUY, bid), (Side.SELL, ask)):
            if post[side] != wanted:
                clamps[side] = QuoteClamp.POST_ONLY
        kept = dict(post)
        for side, touch in ((Side.BUY, p["ask_ticks"]), (Side.SELL, p["bid_ticks"])):
            held = self.best[side]
            rests = held > 0 and side * (touch - held) > 0
            near = abs(held - post[side]) < q["requote_ticks"]
            young = self.now - self.since[side] < q["min_life_ns"]
            if rests and (near or young):
                kept[side] = held
        held, wanted = (self.own_spread_reason(*pair.values()) for pair in (kept, post))
        if held == Reason.OWN_SPREAD_TOO_NARROW or (held and not wanted):
            kept = post
        for side in kept:
            if kept[side] != post[side]:
                clamps[side] |= QuoteClamp.HELD
        return kept, clamps

    def own_spread_reason(self, bid, ask):
        if ask - bid < self.q["min_own_spread_ticks"]:
            return Reason.OWN_SPREAD_TOO_NARROW
        too_wide = ask - bid > self.q["max_own_spread_ticks"]
        return Reason.OWN_SPREAD_TOO_WIDE if too_wide else Reason.NONE

    def withhold(self, orders, reasons):
        """Take both sides away where both are quoted and their spread is out of its bounds."""
        if not all(orders.values()):
            return Reason.NONE
        apart = self.own_spread_reason(*(levels[0][0] for levels in orders.values()))
        if apart:
            for side in orders:
                orders[side], reasons[side] = [], apart
        return apart

    def pay(self, orders, must):
        q = self.q
        for kind in self.tokens:
            burst = q[f"{kind}_burst_ns"]
            if not self.started:
                self.tokens[kind] = burst
            elif self.now > self.tokens_at:
                self.tokens[kind] = min(burst, self.tokens[kind] + self.now - self.tokens_at)
        self.tokens_at = self.now
        entered = cancelled = 0
        for side, held in self.orders.items():
            stays = [
                (price, lots)
                for price, lots in orders[side]
                if any(price == old and lots <= had for old, had in held)
            ]
            entered += len(orders[side]) - len(stays)
            cancelled += len(held) - len(stays)
        cost = {"order": entered * q["order_ns"], "cancel": cancelled * q["cancel_ns"]}
        if not must:
            if entered and cost["order"] > self.tokens["order"]:
                return Reason.ORDER_RATE
            if cancelled and cost["cancel"] > self.tokens["cancel"]:
                return Reason.CANCEL_RATE
        self.tokens["order"] -= cost["order"]
        floor = -q["cancel_burst_ns"]
        self.tokens["cancel"] = max(floor, self.tokens["cancel"] - cost["cancel"])
        return Reason.NONE

    def keep(self, side, wanted, best, i, p, mid, trade):
        touch = p["ask_ticks"] if side == Side.BUY else p["bid_ticks"]
        room, kept = sum(lots for _, lots in wanted), []
        for price, held in self.orders[side]:
            lots = min(held, room)
            stays = side * (best - price) >= 0 and side * (touch - price) > 0
            worth = sum(a * b for a, b in kept) + price * lots
            fits = worth <= self.q["max_open_tick_lots"] // 2 and len(kept) < len(wanted)
            if stays and fits and not self.level_reason(i, side, price, lots, mid, trade):
                kept.append((price, lots))
                room -= lots
        return kept

    def quote(self, bid, ask, x, p, i, position, risk):
        mid, trade = p["bid_ticks"] + p["ask_ticks"], x["trade_ticks"]
        best, clamps = self.best_prices(bid, ask, p)
        orders, reasons = {}, {}
        for side, model in ((Side.BUY, bid), (Side.SELL, ask)):
            levels, reason, more = self.ladder(side, best[side], position, risk, i, mid, trade)
            if math.isinf(model):
                levels, reason = [], Reason.INVENTORY_LIMIT
            orders[side], reasons[side] = levels, reason
            clamps[side] |= more
        lacking = self.pay(orders, must=bool(self.withhold(orders, reasons)))
        if lacking:
            for side in orders:
                if not reasons[side]:
                    clamps[side] = QuoteClamp.RATED
                    orders[side] = self.keep(side, orders[side], best[side], i, p, mid, trade)
                    reasons[side] = Reason.NONE if orders[side] else lacking
            self.withhold(orders, reasons)
            self.pay(orders, must=True)
            best = dict(self.best)
        self.note_best({side: best[side] if not reasons[side] else 0 for side in best})
        return orders, reasons, clamps

    def note_best(self, best):
        for side, price in best.items():
            if price != self.best[side]:
                self.best[side], self.since[side] = price, self.now

    def step(self, x, p, i):
        """Return (changed, reason, bid reason, ask reason, clamps, risk, bids, asks)."""
        position = x["position_lots"] if x["position_known"] else 0
        self.now = max(self.now, p["now_ns"])
        ids = (p["book_update_id"], p["bbo_update_id"])
        if not self.started or ids != self.book_ids:
            self.book_ids, self.book_ns = ids, x["heard_ns"]
        reason = self.market_gate(x, p, i)
        if not reason:
            self.watch(p)
        risk, why = self.risk(x)
        if risk == RiskState.HALTED:
            reason = why
        bid = ask = math.nan
        if not reason:
            reason, bid, ask = self.ask(p, position)
        orders, reasons = {Side.BUY: [], Side.SELL: []}, {Side.BUY: 0, Side.SELL: 0}
        clamps = {Side.BUY: 0, Side.SELL: 0}
        if not reason:
            orders, reasons, clamps = self.quote(bid, ask, x, p, i, position, risk)
            if all(reasons.values()):
                reason = why if risk == RiskState.REDUCING else reasons[Side.BUY]
        else:
            self.pay(orders, must=True)
            self.note_best({Side.BUY: 0, Side.SELL: 0})
        wanted = (reason, *reasons.values(), risk, why, orders)
        changed = self.last != (position, wanted)
        self.last, self.orders, self.started = (position, wanted), orders, True
        return (
            int(changed),
            reason,
            *reasons.values(),
            *clamps.values(),
            risk,
            why,
            orders[Side.BUY],
            orders[Side.SELL],
        )


__all__ = ["ReferenceStrategy", "minimum_tick_lots", "venue_reason"]
