"""Slow obvious twin of the exchange: a list of orders a price, in plain Python.

Random numbers, the latent price and the intensities are the market's own kernels, which have
their twins in reference_market.py.
"""

import math

import numpy as np

from mmquant.kernels import market as kernels
from mmquant.market import MarketParameters, seed_words
from mmquant.state import MARKET_STATE

BUY, SELL = 1, -1
LEVEL, TRADE, ADDED, CANCELLED = 1, 2, 3, 4


class ReferenceExchange:
    """Remembers every order and writes down what happens as tuples of EXCHANGE_EVENT."""

    def __init__(self, seed, parameters=None, price=640_000):
        self.p = parameters or MarketParameters()
        self.record = self.p.record()
        self.state = np.zeros(1, MARKET_STATE)
        self.state["random_0"], self.state["random_1"] = seed_words(seed)
        self.state["latent_ticks"] = price
        self.update_id, self.now, self.ids = 0, 0, 0
        self.events = []
        self.queues = {BUY: {price - 1: []}, SELL: {price + 1: []}}
        for side in (BUY, SELL):
            self.add(side, price - side, 1)
        target = self.p.limit_rate_per_s / self.p.cancel_rate_per_s
        for _ in range(int(max(target, 4 * self.p.min_levels))):
            self.arrive(BUY)
            self.arrive(SELL)
        self.draw_next()
        self.events = []
        self.update_id = 1

    # what stands in the book

    def best(self, side):
        return side * max(side * price for price in self.queues[side])

    def of_market(self, side):
        found = [(p, [o for o in queue if not o["own"]]) for p, queue in self.queues[side].items()]
        return sorted(((p, queue) for p, queue in found if queue), key=lambda row: -side * row[0])

    def lots(self, side, price):
        return sum(o["qty"] for o in self.queues[side].get(price, []))

    def may_empty(self, side, price):
        if len(self.of_market(side)) <= self.p.min_levels:
            return False
        if price != self.best(side):
            return True
        second = side * max(side * other for other in self.queues[side] if other != price)
        return abs(self.best(-side) - second) <= self.p.max_spread_ticks

    def reference_price(self, side):
        s, half = self.state[0], self.p.half_spread_ticks
        if side == BUY:
            return min(self.best(SELL) - 1, math.floor(s["latent_ticks"] - half))
        return max(self.best(BUY) + 1, math.ceil(s["latent_ticks"] + half))

    # what happens

    def tell(self, kind, side, price, qty, order=None):
        self.update_id += kind == LEVEL
        who = (order["id"], int(order["own"])) if order else (0, 0)
        self.events.append((kind, self.now, self.update_id, side, price, qty, *who))

    def tell_level(self, side, price):
        if not self.queues[side][price]:
            del self.queues[side][price]
        self.tell(LEVEL, side, price, self.lots(side, price))

    def add(self, side, price, qty, own=False):
        old = self.best(side)
        self.ids += 1
        order = {"id": self.ids, "qty": qty, "own": own}
        self.queues[side].setdefault(price, []).append(order)
        self.tell(ADDED, side, price, qty, order)
        self.tell(LEVEL, side, price, self.lots(side, price))
        if side * price > side * old:
            far = [p for p in self.queues[side] if side * (price - p) > self.p.depth_ticks]
            for p in sorted(far, key=lambda p: side * p):
                self.clear(side, p, own_too=True)
        return order

    def clear(self, side, price, own_too):
        for o in [o for o in self.queues[side][price] if own_too or not o["own"]]:
            self.tell(CANCELLED, side, price, o["qty"], o)
            self.queues[side][price].remove(o)
        self.tell_level(side, price)

    def random(self):
        return kernels.random_unit(self.state)

    def random_lots(self, median, deviation):
        return int(kernels.random_lots(self.state, median, deviation))

    def arrive(self, side):
        mean = self.p.near_ticks if self.random() <= self.p.near_share else self.p.far_ticks
        distance = int(-mean * math.log(self.random()))
        price = self.reference_price(side) - side * distance
        qty = self.random_lots(self.p.order_lots, self.p.order_log_sd)
        if side * (self.best(side) - price) < self.p.depth_ticks:
            self.add(side, price, qty)

    def cancel_one(self):
        flat = [
            (side, price, o)
            for side in (BUY, SELL)
            for price, queue in self.of_market(side)
            for o in queue
        ]
        side, price, order = flat[int((1.0 - self.random()) * len(flat))]
        alone = len([o for o in self.queues[side][price] if not o["own"]]) == 1
        if alone and not self.may_empty(side, price):
            return
        self.tell(CANCELLED, side, price, order["qty"], order)
        self.queues[side][price].remove(order)
        self.tell_level(side, price)

    def fade(self, side):
        price = self.best(side)
        market = [o for o in self.queues[side][price] if not o["own"]]
        if market and self.may_empty(side, price):
            self.clear(side, price, own_too=False)

    def chase(self, side):
        best = self.best(side)
        gap = side * (self.reference_price(side) - best)
        if gap >= 1:
            price = best + side * (gap - int((1.0 - self.random()) * gap))
            self.add(side, price, self.random_lots(self.p.order_lots, self.p.order_log_sd))

    def take(self, aggressor):
        side = -aggressor
        want = self.random_lots(self.p.market_lots, self.p.market_log_sd)
        start = self.best(side)
        if aggressor * (self.state[0]["latent_ticks"] - start) > 1.0:
            want *= 4
        while want > 0 and abs(self.best(side) - start) <= self.p.max_sweep_ticks:
            price = self.best(side)
            fill = min(want, self.lots(side, price))
            market = sum(o["qty"] for o in self.queues[side][price] if not o["own"])
            if 0 < market <= fill and not self.may_empty(side, price):
                fill = want = market - 1
            if fill == 0:
                break
            want -= fill
            while fill > 0:
                order = self.queues[side][price][0]
                part = min(fill, order["qty"])
                self.tell(TRADE, aggressor, price, part, order)
                fill -= part
                order["qty"] -= part
                if order["qty"] == 0:
                    self.queues[side][price].pop(0)
            self.tell_level(side, price)
        mine, other = "buy_excitation_per_s", "sell_excitation_per_s"
        if aggressor == SELL:
            mine, other = other, mine
        self.state[0][mine] += self.p.excitation_per_s
        self.state[0][other] += self.p.cross_excitation_per_s

    def draw_next(self):
        s = self.state[0]
        s["best_bid_ticks"], s["best_ask_ticks"] = self.best(BUY), self.best(SELL)
        s["bid_orders"] = sum(len(queue) for _, queue in self.of_market(BUY))
        s["ask_orders"] = sum(len(queue) for _, queue in self.of_market(SELL))
        kernels.draw_next(self.record, self.state)

    def step(self):
        s = self.state[0]
        elapsed_s = (s["next_ns"] - s["now_ns"]) / 1e9
        s["now_ns"] = s["next_ns"]
        self.now = int(s["now_ns"])
        pick = self.random() * s["total_rate"]
        kernels.evolve(self.record, self.state, elapsed_s)
        first = BUY if 2.0 * pick <= s["limit_rate"] else SELL
        choices = [
            (s["limit_rate"], lambda: self.arrive(first)),
            (s["cancel_rate"], self.cancel_one),
            (s["fade_bid_rate"], lambda: self.fade(BUY)),
            (s["fade_ask_rate"], lambda: self.fade(SELL)),
            (s["chase_bid_rate"], lambda: self.chase(BUY)),
            (s["chase_ask_rate"], lambda: self.chase(SELL)),
            (s["buy_rate"] + s["buy_excitation_per_s"], lambda: self.take(BUY)),
            (s["sell_rate"] + s["sell_excitation_per_s"], lambda: self.take(SELL)),
        ]
        for rate, happen in choices:
            if pick <= rate:
                happen()
                break
            pick -= rate
        self.draw_next()

    def run(self, until):
        while self.state[0]["next_ns"] <= until:
            self.step()
        self.now = until
        events, self.events = self.events, []
        return events

    # own orders

    def place(self, side, price, qty):
        if side * (price - self.best(-side)) >= 0:
            return 0
        return self.add(side, price, qty, own=True)["id"]

    def find(self, order_id):
        places = [(s, p, o) for s in self.queues for p, q in self.queues[s].items() for o in q]
        return next((place for place in places if place[2]["id"] == order_id), None)

    def cancel(self, order_id):
        found = self.find(order_id)
        if found is None:
            return 0
        side, price, order = found
        self.tell(CANCELLED, side, price, order["qty"], order)
        self.queues[side][price].remove(order)
        self.tell_level(side, price)
        return order["qty"]

    def ahead(self, order_id):
        side, price, order = self.find(order_id)
        queue = self.queues[side][price]
        return sum(o["qty"] for o in queue[: queue.index(order)])
