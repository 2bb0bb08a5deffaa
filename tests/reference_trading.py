"""Slow obvious twins of the filter and account kernels: ints, lists, dicts."""

import math
from fractions import Fraction

from mmquant.codes import Reason
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
