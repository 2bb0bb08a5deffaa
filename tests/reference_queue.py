"""Slow obvious twin of the queue's kernels: where an own order stands, by each model."""

import math

from mmquant.codes import FillModel, OrderStatus

LATE_NS = 10**9
MAX_ARRIVALS = 64


class ReferenceQueue:
    """The part of the reference simulator that estimates; it has `model`, `params`, `orders`."""

    def __init__(self):
        self.endings = []  # of each order that ended behind: was its size known
        self.arrived = []  # (lots, such a size stood there already)

    def look(self, o, shown, venue):
        before, traded = o["shown"], o["traded"]
        if shown is None or (shown == before and traded == 0):
            return
        o["shown"], o["traded"] = shown, 0
        if self.model in (FillModel.CROSS, FillModel.FIFO_L3):
            return
        if venue <= o["there"]:
            o["ahead"], o["entry_ahead"] = float(shown), shown
            return
        gone = 0 if before is None else before - shown - traded
        ahead = o["ahead"]
        if gone > 0:
            back = before - ahead
            if self.model == FillModel.PROB_DRAW:
                behind = self.draw_behind(o, ahead, back, gone, venue, shown)
            else:
                behind = self.share_behind(ahead, back)
            o["ahead"] = ahead - (1 - behind) * gone + min(back - behind * gone, 0)
        if self.model == FillModel.PROB_DRAW:
            if before is not None and gone < 0:
                self.arrived.append((-gone, -gone in o["behind"]))
                o["behind"] = (o["behind"] + [-gone])[-MAX_ARRIVALS:]
            o["ahead"] = max([o["ahead"], *self.older_ahead(o)])
            if shown == 0:
                o["behind"], o["guessed"] = [], False
        o["ahead"] = max(0.0, min(o["ahead"], float(shown)))
        if gone > 0:
            if venue - o["decrease"] > LATE_NS:
                o["unexplained"], o["cut"] = 0, 0.0
            o["unexplained"] += gone
            o["cut"] += ahead - o["ahead"]
            o["decrease"] = venue

    def older_ahead(self, o):
        """Return what stands ahead of each own order that came to this price before."""
        return [
            other["ahead"]
            for other in self.orders
            if other["status"] == OrderStatus.OPEN
            and (other["side"], other["price"]) == (o["side"], o["price"])
            and other["place"] < o["place"]
        ]

    def share_behind(self, ahead, back):
        if self.model in (FillModel.RISK_AVERSE, FillModel.CANCEL_AHEAD):
            return float(self.model == FillModel.RISK_AVERSE)
        if ahead <= 0 or back <= 0:
            return 1.0 if ahead <= 0 else 0.0
        f = self.logarithm if self.model == FillModel.PROB_LOG else self.power
        return f(back) / (f(back) + f(ahead))

    def draw_behind(self, o, ahead, back, gone, venue, shown):
        """All that was cancelled stood on one side: which one, say its size and a hash."""
        is_known = gone in o["behind"]
        if gone > back:
            return float(gone > ahead)
        if gone > ahead:
            if shown > 0 and not o["guessed"]:
                self.endings.append(is_known)
            if is_known:
                o["behind"].remove(gone)
            return 1.0
        o["guessed"] = True
        known = (sum(self.endings) + 0.25) / (len(self.endings) + 0.5)
        alike = (sum(again for _, again in self.arrived) + 0.25) / (len(self.arrived) + 0.5)
        if not is_known:
            known, alike = 1 - known, 1 - alike
        behind = max(len(o["behind"]), 1) * known
        lots = sum(lots for lots, _ in self.arrived)
        before = (1 + ahead * len(self.arrived) / max(lots, 1)) * alike
        x = (venue ^ (o["price"] << 40) ^ (shown << 20) | 1) % 2**64
        for _ in range(4):
            x ^= x << 13 & 2**64 - 1
            x ^= x >> 7
            x ^= x << 17 & 2**64 - 1
        if (x >> 11) / 2**53 * (behind + before) < before:
            return 0.0
        if is_known:
            o["behind"].remove(gone)
        return 1.0

    def logarithm(self, x):
        return math.log(1.0 + x)

    def power(self, x):
        return x ** self.params["queue_power"]

    def printed(self, o, qty, left, venue):
        """Return what of a print at its price is left for an order."""
        if venue <= o["there"] or venue <= o["shown_at"]:
            return 0
        late, excused = 0, 0.0
        if venue > o["decrease"] or o["decrease"] - venue > LATE_NS:
            o["unexplained"], o["cut"] = 0, 0.0
        else:
            late = min(qty, o["unexplained"])
            excused = min(late, o["cut"])
            o["unexplained"] -= late
            o["cut"] -= excused
        o["traded"] += qty - late
        moved = max(0.0, left - excused)
        reach = moved - o["ahead"]
        o["ahead"] = max(0.0, o["ahead"] - moved)
        return max(0, math.floor(reach + 0.5))
