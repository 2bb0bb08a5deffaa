"""Slow obvious twins of the quoting, risk and account kernels: ints, lists, dicts."""

import math
from fractions import Fraction

from mmquant.codes import BookState, PricingFlag, Reason, Side
from mmquant.state import MAX_MARKOUTS

# ---- account ----


class ReferenceAccount:
    """Remembers every mark and every fill, and works everything out from them."""

    def __init__(self):
        self.marks = [(0, 0)]
        self.inventory_gain = 0
        self.fills = []
        self.cost = 0
        self.fees = 0
        self.dropped = 0

    @property
    def now(self):
        return self.marks[-1][0]

    @property
    def position(self):
        return sum(f["side"] * f["qty"] for f in self.fills)

    @property
    def last_mark(self):
        return self.marks[-1][1]

    def mark(self, mark, now):
        self.inventory_gain += self.position * (mark - self.last_mark)
        self.marks.append((max(now, self.now), mark))

    def fill(self, side, price, qty, ppm, mark, now, horizon):
        self.mark(mark, now)
        before = self.position
        if before * side >= 0:
            self.cost += side * 2 * price * qty
        else:
            closed = min(qty, abs(before))
            exact = Fraction(abs(self.cost) * closed, abs(before))
            self.cost += side * math.floor(exact + Fraction(1, 2))
            self.cost += side * 2 * price * (qty - closed)
        waiting = sum(f["due"] is not None and f["due"] >= self.now for f in self.fills)
        due = self.now + horizon if waiting < MAX_MARKOUTS else None
        self.dropped += due is None
        fee = price * qty * ppm
        self.fees += fee
        self.fills.append({"side": side, "price": price, "qty": qty, "mark": mark, "due": due})
        return fee

    def cash(self):
        return -sum(2 * f["side"] * f["qty"] * f["price"] for f in self.fills)

    def total(self):
        return self.cash() + self.position * self.last_mark

    def spread(self):
        return sum(f["side"] * f["qty"] * (f["mark"] - 2 * f["price"]) for f in self.fills)

    def adverse_selection(self, now):
        """Sum over the fills whose due time has passed at `now`."""
        gain = 0
        for f in self.fills:
            if f["due"] is not None and f["due"] < now:
                later = [mark for ns, mark in self.marks if ns <= f["due"]][-1]
                gain += f["side"] * f["qty"] * (later - f["mark"])
        return gain

    def inventory(self, now):
        return self.inventory_gain - self.adverse_selection(now)


# ---- risk and quoting ----


def minimum_tick_lots(min_notional_e8, tick_size_e8, lot_size_e8):
    return math.ceil(Fraction(min_notional_e8 * 10**8, tick_size_e8 * lot_size_e8))


def order_reason(i, price, qty):
    if price < 1 or price < i["min_price_ticks"] or 0 < i["max_price_ticks"] < price:
        return Reason.PRICE_OUT_OF_RANGE
    if qty < 1 or qty < i["min_qty_lots"]:
        return Reason.BELOW_MINIMUM_QUANTITY
    if 0 < i["max_qty_lots"] < qty:
        return Reason.ABOVE_MAXIMUM_QUANTITY
    if price * qty * i["tick_size_e8"] * i["lot_size_e8"] < i["min_notional_e8"] * 10**8:
        return Reason.BELOW_MINIMUM_NOTIONAL
    return Reason.NONE


def gate(params, p, i, position_known, upstream_ok):
    numbers = [p["fair_value_ticks"], p["volatility_ticks_per_sqrt_s"], p["drift_ticks_per_s"]]
    live = p["book_state"] == BookState.LIVE and p["flags"] & PricingFlag.LIVE
    rules = [
        (i["instrument_id"] != 0, Reason.NO_INSTRUMENT),
        (upstream_ok, Reason.UPSTREAM_SILENT),
        (i["instrument_id"] == p["instrument_id"], Reason.NO_INSTRUMENT),
        (live, Reason.BOOK_NOT_LIVE),
        (p["bid_ticks"] > 0 and p["ask_ticks"] > 0, Reason.NO_MARKET_DATA),
        (p["bid_ticks"] < p["ask_ticks"], Reason.BOOK_CROSSED),
        (p["flags"] & PricingFlag.WARM, Reason.NOT_WARM),
        (position_known, Reason.NO_POSITION),
        (all(math.isfinite(x) for x in numbers) and numbers[1] >= 0, Reason.NOT_FINITE),
        (p["ask_ticks"] - p["bid_ticks"] <= params["max_spread_ticks"], Reason.SPREAD_TOO_WIDE),
    ]
    return next((reason for holds, reason in rules if not holds), Reason.NONE)


def model_prices(params, fair, volatility, drift, position):
    half = max(
        params["min_half_spread_ticks"],
        params["volatility_multiple"] * volatility * math.sqrt(params["horizon_s"]),
    )
    share = position / params["position_limit_lots"]
    inventory_shift = -params["inventory_skew"] * half * share
    drift_shift = params["drift_weight"] * drift * params["horizon_s"]
    reservation = fair + drift_shift + inventory_shift
    return math.floor(reservation - half), math.ceil(reservation + half), reservation, half


class ReferenceStrategy:
    """One instrument's strategy; step returns (changed, reason, sides' reasons, bids, asks)."""

    def __init__(self, params):
        self.params = params
        self.held = {Side.BUY: None, Side.SELL: None}
        self.last = None

    def ladder(self, side, best, room, i):
        p = self.params
        levels, reasons = [], []
        for k in range(p["levels"]):
            price = best - side * k * p["level_spacing_ticks"]
            lots = min(p["order_lots"], room - sum(qty for _, qty in levels))
            reason = order_reason(i, price, lots)
            if lots <= 0:
                reason = Reason.INVENTORY_LIMIT
            elif reason and lots < p["order_lots"]:
                reason = order_reason(i, price, p["order_lots"]) or Reason.INVENTORY_LIMIT
            if not reason:
                levels.append((price, lots))
            reasons.append(reason)
        return levels, Reason.NONE if levels else next(r for r in reasons if r)

    def best_prices(self, p, position):
        params = self.params
        volatility, drift = p["volatility_ticks_per_sqrt_s"], p["drift_ticks_per_s"]
        bid, ask, *_ = model_prices(params, p["fair_value_ticks"], volatility, drift, position)
        bid, ask = min(bid, p["ask_ticks"] - 1), max(ask, p["bid_ticks"] + 1)
        kept_bid, kept_ask = self.held[Side.BUY], self.held[Side.SELL]
        near = params["requote_ticks"]
        if kept_bid is None or kept_bid >= p["ask_ticks"] or abs(kept_bid - bid) >= near:
            kept_bid = bid
        if kept_ask is None or kept_ask <= p["bid_ticks"] or abs(kept_ask - ask) >= near:
            kept_ask = ask
        return (kept_bid, kept_ask) if kept_bid < kept_ask else (bid, ask)

    def step(self, p, i, position, position_known, upstream_ok):
        position = position if position_known else 0
        reason = gate(self.params, p, i, position_known, upstream_ok)
        bids, asks, bid_reason, ask_reason = [], [], Reason.NONE, Reason.NONE
        self.held, held = {Side.BUY: None, Side.SELL: None}, self.held
        if not reason:
            self.held = held
            bid, ask = self.best_prices(p, position)
            limit = self.params["position_limit_lots"]
            bids, bid_reason = self.ladder(Side.BUY, bid, limit - position, i)
            asks, ask_reason = self.ladder(Side.SELL, ask, limit + position, i)
            self.held = {Side.BUY: bid if bids else None, Side.SELL: ask if asks else None}
            reason = bid_reason if bid_reason and ask_reason else Reason.NONE
        wanted = (reason, bid_reason, ask_reason, bids, asks)
        changed = self.last != (position, wanted)
        self.last = (position, wanted)
        return (int(changed), *wanted)
