"""Slow obvious twins of the filter, simulator and account kernels: ints, lists, dicts."""

import math
from fractions import Fraction
from itertools import pairwise

from mmquant.codes import FillKind, OrderStatus, Reason, Side, Template
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


# ---- filters ----


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


# ---- simulator ----


class ReferenceSimulator:
    """Own orders in a list; every method returns a list of event tuples.

    An order update is (ORDER_UPDATE, now, id, side, price, qty, filled, status, reason), a fill
    (FILL, now, id, side, price, qty, fill id, fee, mark, trade id, position, kind).
    """

    def __init__(self, params, instrument, random):
        self.params = params
        self.instrument = instrument
        self.random = random
        self.account = ReferenceAccount()
        self.orders = []
        self.entered = 0
        self.now = 0
        self.touch_prices = {Side.BUY: 0, Side.SELL: 0}  # the one that side trades against
        self.used = {Side.BUY: 0, Side.SELL: 0}
        self.mark = 0
        self.events = []

    def uniform(self):
        x = self.random
        x ^= (x << 13) & (2**64 - 1)
        x ^= x >> 7
        x ^= (x << 17) & (2**64 - 1)
        self.random = x
        return (x >> 11) / 2**53

    def update(self, o, now, status, reason=Reason.NONE):
        o["status"] = status
        if status in (OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED):
            self.orders = [other for other in self.orders if other is not o]
        row = (now, o["id"], o["side"], o["price"], o["qty"], o["filled"], status, reason)
        self.events.append((Template.ORDER_UPDATE, *row))

    def arrivals(self, until):
        while True:
            due = []
            for o in self.orders:
                if o["status"] == OrderStatus.NEW:
                    due.append((o["active"], 0, o["id"], o))
                elif o["cancel"] is not None:
                    due.append((o["cancel"], 1, o["id"], o))
            due = [entry for entry in due if entry[0] <= until]
            if not due:
                break
            ns, is_cancel, _, o = min(due, key=lambda entry: entry[:3])
            against = self.touch_prices[o["side"]]
            if is_cancel:
                self.update(o, ns, OrderStatus.CANCELLED, o["why"])
            elif self.mark == 0:
                self.update(o, ns, OrderStatus.REJECTED, Reason.NO_MARKET_DATA)
            elif against and (o["price"] - against) * o["side"] >= 0:
                self.update(o, ns, OrderStatus.REJECTED, Reason.WOULD_CROSS)
            else:
                self.update(o, ns, OrderStatus.OPEN)
        self.now = max(self.now, until)

    def start(self, now, market):
        self.events = []
        now = max(now, self.now)
        self.arrivals(now - 1 if market else now)
        return now

    def finish(self, now):
        self.arrivals(now)
        return self.events

    def advance(self, now):
        return self.finish(self.start(now, market=False))

    def cancel(self, o, now, why):
        o["cancel"] = max(now + self.params["cancel_latency_ns"], o["active"])
        o["why"] = why

    def quotes(self, bids, asks, now, reason):
        now = self.start(now, market=False)
        wanted = [(Side.BUY, *level) for level in bids] + [(Side.SELL, *level) for level in asks]
        for o in [o for o in self.orders if o["cancel"] is None]:
            left = o["qty"] - o["filled"]
            match = [w for w in wanted if w[:2] == (o["side"], o["price"])]
            if reason:
                self.cancel(o, now, Reason.PULLED)
            elif not match or match[0][2] > left:
                self.cancel(o, now, Reason.REPLACED)
            else:
                wanted.remove(match[0])
                if match[0][2] < left:
                    o["qty"] = o["filled"] + match[0][2]
                    self.update(o, now, o["status"])
        self.arrivals(now)
        for side, price, qty in [] if reason else wanted:
            self.enter(side, price, qty, now)
        return self.finish(now)

    def enter(self, side, price, qty, now):
        self.entered += 1
        o = {"id": self.entered, "side": side, "price": price, "qty": qty, "filled": 0}
        o |= {"active": now + self.params["entry_latency_ns"], "cancel": None, "why": None}
        reason = order_reason(self.instrument, price, qty)
        if len(self.orders) >= self.params["max_orders"]:
            reason = Reason.TOO_MANY_ORDERS
        if reason:
            self.update(o, now, OrderStatus.REJECTED, reason)
        else:
            self.orders.append(o)
            self.update(o, now, OrderStatus.NEW)

    def cancel_all(self, now, reason):
        now = self.start(now, market=False)
        for o in self.orders:
            self.update(o, now, OrderStatus.CANCELLED, reason)
        return self.events

    def fill(self, o, qty, kind, trade_id, now):
        params = self.params
        fee = self.account.fill(
            o["side"],
            o["price"],
            qty,
            params["maker_fee_ppm"],
            self.mark,
            now,
            params["markout_horizon_ns"],
        )
        o["filled"] += qty
        what = (now, o["id"], o["side"], o["price"], qty, len(self.account.fills), fee)
        self.events.append((Template.FILL, *what, self.mark, trade_id, self.account.position, kind))
        done = o["filled"] == o["qty"]
        self.update(o, now, OrderStatus.FILLED if done else OrderStatus.OPEN)

    def queue(self, side, reached):
        """Return the open orders of a side that satisfy `reached`, in the order they fill."""
        here = [o for o in self.orders if o["side"] == side and o["status"] == OrderStatus.OPEN]
        here = [o for o in here if reached(o["price"])]
        return sorted(here, key=lambda o: (-side * o["price"], o["id"]))

    def touch(self, bid, bid_lots, ask, ask_lots, now):
        now = self.start(now, market=True)
        if bid and ask and bid >= ask:
            return self.finish(now)
        sides = [(Side.BUY, ask, ask_lots), (Side.SELL, bid, bid_lots)]
        for side, price, _ in sides:
            if price != self.touch_prices[side]:
                self.used[side] = 0
            self.touch_prices[side] = price
        for side, price, lots in sides:
            reached = self.queue(side, lambda own, s=side, p=price: p and s * own >= s * p)
            for o in reached:
                qty = min(o["qty"] - o["filled"], lots - self.used[side])
                if qty > 0:
                    self.used[side] += qty
                    self.fill(o, qty, FillKind.CROSS, 0, now)
        if bid and ask:
            self.mark = bid + ask
            self.account.mark(self.mark, now)
        return self.finish(now)

    def trade(self, price, qty, aggressor, trade_id, now):
        now = self.start(now, market=True)
        side = Side(-aggressor)
        for o in self.queue(side, lambda own: side * own > side * price):
            if qty > 0 and self.uniform() < self.params["fill_probability_factor"]:
                part = min(qty, o["qty"] - o["filled"])
                qty -= part
                self.fill(o, part, FillKind.THROUGH, trade_id, now)
        return self.finish(now)


def times_never_go_backwards(events):
    return all(a[1] <= b[1] for a, b in pairwise(events))
