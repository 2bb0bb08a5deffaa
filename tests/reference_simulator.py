"""Slow obvious twin of the simulator's kernels: a dict of levels, orders in a list."""

from itertools import pairwise

from reference_gone import ReferenceGone
from reference_hearing import ReferenceHearing
from reference_queue import ReferenceQueue
from reference_strategy import venue_reason
from reference_trading import ReferenceAccount, order_reason

from mmquant.codes import (
    FillKind,
    FillModel,
    OrderEventKind,
    OrderKind,
    OrderStatus,
    Reason,
    Side,
    Template,
)
from mmquant.state import MAX_TAKEN

UNKNOWN = 2**53
ENDED = (OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED)


class ReferenceSimulator(ReferenceQueue, ReferenceHearing, ReferenceGone):
    """Every method returns a list of event tuples.

    An order update is (ORDER_UPDATE, now, id, side, price, qty, filled, status, reason), a fill
    (FILL, now, id, side, price, qty, fill id, fee, mark, trade id, position, kind, queue at
    entry, queue ahead, time in the queue).
    """

    def __init__(self, params, instrument, random):
        ReferenceQueue.__init__(self)
        ReferenceHearing.__init__(self)
        ReferenceGone.__init__(self)
        self.params = params
        self.model = params["fill_model"]
        self.instrument = instrument
        self.random = random
        self.account = ReferenceAccount()
        self.levels = {Side.BUY: {}, Side.SELL: {}}
        self.known = None  # (low, high): what lies outside is not known
        self.touched = {Side.BUY: None, Side.SELL: None}
        self.best = {Side.BUY: (0, 0), Side.SELL: (0, 0)}  # as last taken in, crossed ones not
        self.taken = {Side.BUY: {}, Side.SELL: {}}  # lots by price, by the level's side
        self.orders = []
        self.clients = {}
        self.entered = 0
        self.now = 0
        self.mark = 0
        self.arrival = 0
        self.places = 0  # taken by own orders so far
        self.book_at = 0  # the venue's time of the book
        self.events = []

    def uniform(self):
        x = self.random
        x ^= (x << 13) & (2**64 - 1)
        x ^= x >> 7
        x ^= (x << 17) & (2**64 - 1)
        self.random = x
        return (x >> 11) / 2**53

    # ---- reports ----

    def update(self, o, now, status, reason=Reason.NONE):
        if status == OrderStatus.CANCELLED and o["status"] == OrderStatus.OPEN:
            self.keep_gone(o, now, o["gone_there"])
        o["status"], o["reason"] = status, reason
        if status in ENDED:
            self.orders = [other for other in self.orders if other is not o]
        row = (now, o["id"], o["side"], o["price"], o["qty"], o["filled"], status, reason)
        self.events.append((Template.ORDER_UPDATE, *row))

    def account_fill(self, o, price, qty, kind, ahead, trade_id, now):
        takes = kind == FillKind.TAKE
        p = self.params
        fee = self.account.fill(
            o["side"],
            price,
            qty,
            p["taker_fee_ppm"] if takes else p["maker_fee_ppm"],
            self.mark,
            now,
            p["markout_horizon_ns"],
        )
        queue = (0, 0, 0) if takes else (o["entry_ahead"], told(ahead), now - o["queued"])
        what = (now, o["id"], o["side"], price, qty, len(self.account.fills), fee)
        position = self.account.position
        self.events.append((Template.FILL, *what, self.mark, trade_id, position, kind, *queue))

    def fill(self, o, price, qty, kind, ahead, trade_id, now):
        if "of" in o:
            self.fill_gone(o, qty, kind, ahead, trade_id, now)
            return
        o["filled"] += qty
        self.account_fill(o, price, qty, kind, ahead, trade_id, now)
        self.update(o, now, self.filled_status(o))

    def refuse(self, reason, now, order_id, side, price, qty):
        row = (now, order_id, side, price, qty, 0, OrderStatus.REJECTED, reason)
        self.events.append((Template.ORDER_UPDATE, *row))

    # ---- the book ----

    def shown(self, side, price):
        """Return the lots displayed at a price, None where nothing is known of it."""
        lots = self.levels[side].get(price, 0)
        if lots == 0 and self.known is not None:
            low, high = self.known
            if (side == Side.BUY and price < low) or (side == Side.SELL and price > high):
                return None
        return lots

    def free(self, side, price, planned=()):
        """Return what may be taken at a price; no more prices are kept than there is room for."""
        taken = self.taken[side]
        if len({*taken, *planned, price}) > MAX_TAKEN:
            return 0
        return self.levels[side].get(price, 0) - taken.get(price, 0)

    def crosses(self, side, price):
        touch = self.best[-side][0]
        return touch > 0 and (price >= touch if side == Side.BUY else price <= touch)

    # ---- at the venue ----

    def enter_queue(self, o, now):
        o["shown"] = self.shown(o["side"], o["price"])
        o["entry_ahead"] = -1 if o["shown"] is None else o["shown"]
        o["place"], o["shown_at"] = self.places, self.book_at
        self.places += 1
        known = max([float(o["entry_ahead"]), *self.older_ahead(o)])
        o["ahead"] = float(UNKNOWN) if o["shown"] is None else known
        o["queued"], o["arrival"] = now, self.arrival
        o["traded"] = o["unexplained"] = o["decrease"] = 0
        o["cut"] = 0.0
        o["behind"], o["guessed"] = [], False

    def reachable(self, o):
        """Return (price, lots) an order may take, best first."""
        side = Side(-o["side"])
        best = self.best[side][0]  # a crossed book is no market: the last sound touch counts
        prices = [p for p in self.levels[side] if best and side * p <= side * best]
        prices.sort(reverse=side == Side.BUY)
        if o["kind"] != OrderKind.MARKET:
            within = (lambda p: p <= o["price"]) if o["side"] > 0 else (lambda p: p >= o["price"])
            prices = [p for p in prices if within(p)]
        prices = prices[:MAX_TAKEN]
        lots, wanted, planned = [], o["qty"] - o["filled"], []
        for p in prices:
            lots.append((p, min(self.free(side, p, planned), wanted)))
            wanted -= lots[-1][1]
            planned += [p] if lots[-1][1] > 0 else []
        return lots

    def settle(self, o, now):
        if o["kind"] != OrderKind.POST_ONLY:
            for price, lots in self.reachable(o):
                qty = min(lots, o["qty"] - o["filled"])
                if qty > 0:
                    taken = self.taken[Side(-o["side"])]
                    taken[price] = taken.get(price, 0) + qty
                    self.fill(o, price, qty, FillKind.TAKE, 0, 0, now)
            if o["status"] == OrderStatus.FILLED:
                return
            if o["kind"] != OrderKind.LIMIT:
                self.update(o, now, OrderStatus.CANCELLED, Reason.REST_EXPIRED)
                return
        self.enter_queue(o, now)

    def arrive(self, o, now):
        if self.mark == 0:
            self.update(o, now, OrderStatus.REJECTED, Reason.NO_MARKET_DATA)
        elif self.is_full(now):
            self.update(o, now, OrderStatus.REJECTED, Reason.TOO_MANY_ORDERS)
        elif o["kind"] == OrderKind.POST_ONLY and self.crosses(o["side"], o["price"]):
            self.update(o, now, OrderStatus.REJECTED, Reason.WOULD_CROSS)
        elif o["kind"] == OrderKind.FOK and sum(q for _, q in self.reachable(o)) < o["qty"]:
            self.update(o, now, OrderStatus.REJECTED, Reason.NOT_FILLABLE)
        else:
            self.update(o, now, OrderStatus.OPEN)
            self.settle(o, now)

    def arrive_amendment(self, o, now):
        price, qty = o["amend_to"]
        o["amend"] = None
        keeps = price == o["price"] and qty <= o["qty"]
        cancelled_there, o["gone_there"] = o["gone_there"], o["amend_there"]
        if qty <= o["filled"]:
            self.update(o, now, OrderStatus.CANCELLED, Reason.BELOW_FILLED)
        elif not keeps and o["kind"] == OrderKind.POST_ONLY and self.crosses(o["side"], price):
            self.update(o, now, OrderStatus.CANCELLED, Reason.WOULD_CROSS)
        else:
            if not keeps or qty < o["qty"]:
                self.keep_gone(o, now, o["amend_there"])
            o["price"], o["qty"], o["gone_there"] = price, qty, cancelled_there
            self.update(o, now, OrderStatus.OPEN)
            if not keeps:
                o["there"] = o["amend_there"]
                self.settle(o, now)

    def arrivals(self, until):
        while True:
            due = []
            for o in self.orders:
                if o["status"] == OrderStatus.NEW:
                    due.append((o["active"], 0, o["id"], o))
                else:
                    due += [(o["amend"], 1, o["id"], o)] if o["amend"] is not None else []
                    due += [(o["cancel"], 2, o["id"], o)] if o["cancel"] is not None else []
            due = [entry for entry in due if entry[0] <= until]
            if not due:
                break
            ns, what, _, o = min(due, key=lambda entry: entry[:3])
            if what == 0:
                self.arrive(o, ns)
            elif what == 1:
                self.arrive_amendment(o, ns)
            else:
                self.update(o, ns, OrderStatus.CANCELLED, o["why"])
        self.now = max(self.now, until)

    def start(self, now, market):
        self.events, self.repeats = [], set()
        now = max(now, self.now)
        self.arrivals(now - 1 if market else now)
        return now

    def finish(self, now):
        self.arrivals(now)
        return self.answered()

    def advance(self, now):
        return self.finish(self.start(now, market=False))

    # ---- the trader ----

    def seen_after(self, now, latency):
        """Return when the market is seen that what is sent now meets at the venue."""
        return now + max(self.late, 0) + latency

    def there_after(self, now, latency):
        """Return when what is sent now is at the venue, by the venue's clock."""
        return now + max(-self.late, 0) + latency

    def send_cancel(self, o, now, why):
        latency = self.params["cancel_latency_ns"]
        o["cancel"] = max(self.seen_after(now, latency), o["active"])
        o["gone_there"] = max(self.there_after(now, latency), o["there"])
        o["why"] = why

    def send_amend(self, o, price, qty, now):
        latency = self.params["entry_latency_ns"]
        o["amend"] = max(self.seen_after(now, latency), o["active"])
        o["amend_there"] = max(self.there_after(now, latency), o["there"])
        o["amend_to"] = (price, qty)

    def quotes(self, bids, asks, now, reason, heard=None):
        now = self.start(now, market=False)
        heard = now if heard is None else min(heard, now)
        wanted = [(Side.BUY, *level) for level in bids] + [(Side.SELL, *level) for level in asks]
        wanted = wanted if reason else self.without_unheard(wanted, heard)
        for o in [o for o in self.orders if o["cancel"] is None]:
            price, qty = o["amend_to"] if o["amend"] is not None else (o["price"], o["qty"])
            known = self.heard_lots(o, heard)
            left = qty - known
            match = [w for w in wanted if w[:2] == (o["side"], price)]
            if reason:
                self.send_cancel(o, now, Reason.PULLED)
            elif not match or match[0][2] > left or (match[0][2] < left and o["amend"]):
                self.send_cancel(o, now, Reason.REPLACED)
            else:
                wanted.remove(match[0])
                if match[0][2] < left:
                    self.send_amend(o, price, known + match[0][2], now)
        self.arrivals(now)
        for side, price, qty in [] if reason else wanted:
            self.enter(OrderKind.POST_ONLY, side, price, qty, now)
        return self.finish(now)

    def enter(self, kind, side, price, qty, now, client=0, checked=False):
        self.entered += 1
        o = {"id": self.entered, "side": side, "price": price, "qty": qty, "filled": 0}
        latency = self.params["entry_latency_ns"]
        o |= {"active": self.seen_after(now, latency), "there": self.there_after(now, latency)}
        o |= {"cancel": None, "why": None, "kind": kind, "amend": None}
        o |= {"status": None, "gone_there": None}
        o |= {"entry_ahead": 0, "queued": 0}
        reason = Reason.NONE if checked else self.edge_reason(side, price, qty)
        if len(self.orders) >= self.params["max_orders"]:
            reason = Reason.TOO_MANY_ORDERS
        if reason:
            self.update(o, now, OrderStatus.REJECTED, reason)
            return
        if client:
            self.clients[client] = o | {"order": o}  # as it was sent, and as it is
        self.orders.append(o)
        self.update(o, now, OrderStatus.NEW)

    def filter_reason(self, kind, side, price, qty):
        if kind == OrderKind.MARKET:
            price = self.best[-side][0]
            if not price:
                return Reason.NO_MARKET_DATA
        return self.edge_reason(side, price, qty)

    def edge_reason(self, side, price, qty):
        if not self.mark:
            return order_reason(self.instrument, price, qty)
        return venue_reason(self.instrument, side, price, qty, self.mark)

    def is_full(self, now):
        """Tell whether as many rest as the venue allows: each until its cancellation is there."""
        resting = [o for o in self.orders if o["status"] == OrderStatus.OPEN]
        resting = [o for o in resting if o["cancel"] is None or o["cancel"] > now]
        return 0 < self.instrument["max_orders"] <= len(resting)

    def order(self, side, price, qty, now, kind, client_id):
        now = self.start(now, market=False)
        price = 0 if kind == OrderKind.MARKET else price
        known = self.clients.get(client_id)
        if known is not None:
            o = known["order"]
            asked = (side, kind, price, qty)
            if asked == tuple(known[name] for name in ("side", "kind", "price", "qty")):
                reason = o["reason"] if o["status"] in ENDED else Reason.NONE
                self.update(o, now, o["status"], reason)
                self.repeats.add(len(self.events) - 1)
            else:
                self.refuse(Reason.DUPLICATE_CLIENT_ID, now, 0, side, price, qty)
            return self.finish(now)
        reason = self.filter_reason(kind, side, price, qty)
        if not reason and len(self.orders) >= self.params["max_orders"]:
            reason = Reason.TOO_MANY_ORDERS
        if reason:
            self.refuse(reason, now, 0, side, price, qty)
        else:
            self.enter(kind, side, price, qty, now, client_id, checked=True)
        return self.finish(now)

    def change_reason(self, order_id):
        alive = [o for o in self.orders if o["id"] == order_id]
        if not alive:
            ended = 0 < order_id <= self.entered
            return None, Reason.ORDER_ENDED if ended else Reason.UNKNOWN_ORDER
        if alive[0]["cancel"] is not None:
            return None, Reason.CANCEL_IN_FLIGHT
        return alive[0], Reason.NONE

    def amend(self, price, qty, now, order_id):
        now = self.start(now, market=False)
        o, reason = self.change_reason(order_id)
        if o is not None:
            if o["amend"] is not None:
                reason = Reason.AMENDMENT_IN_FLIGHT
            elif o["kind"] not in (OrderKind.POST_ONLY, OrderKind.LIMIT):
                reason = Reason.INVALID_ORDER
            elif qty <= self.heard_lots(o, now):
                reason = Reason.BELOW_FILLED
            else:
                reason = self.edge_reason(o["side"], price, qty)
        if reason:
            self.refuse(reason, now, order_id, 0, price, qty)
        else:
            self.send_amend(o, price, qty, now)
        return self.finish(now)

    def cancel(self, now, order_id):
        now = self.start(now, market=False)
        o, reason = self.change_reason(order_id)
        if reason:
            self.refuse(reason, now, order_id, 0, 0, 0)
        else:
            self.send_cancel(o, now, Reason.CANCEL_REQUESTED)
        return self.finish(now)

    def cancel_all(self, now, reason):
        now = self.start(now, market=False)
        for o in self.orders:
            o["gone_there"] = self.venue_time(now, 0)
            self.update(o, now, OrderStatus.CANCELLED, reason)
        return self.answered()

    # ---- the market ----

    def touch(self, bid, bid_lots, ask, ask_lots, now):
        now = self.start(now, market=True)
        for side, price, lots in ((Side.BUY, bid, bid_lots), (Side.SELL, ask, ask_lots)):
            self.levels[side] = {price: lots} if price and lots else {}
        self.known = (bid or ask or 2**53, ask or bid or 1)
        return self.take_in(now, now)

    def depth(self, bids, asks, now, venue_ns):
        now = self.start(now, market=True)
        for side, changes in ((Side.BUY, bids), (Side.SELL, asks)):
            for price, lots in changes:
                self.levels[side][price] = lots
            self.levels[side] = {p: q for p, q in self.levels[side].items() if q}
        return self.take_in(now, venue_ns or now)

    def take_in(self, now, venue):
        self.book_at = venue
        self.newest = max(self.newest, venue)
        gone = self.still_there(self.newest, now)
        bids, asks = self.levels[Side.BUY], self.levels[Side.SELL]
        bid, ask = max(bids, default=0), min(asks, default=0)
        if bid and ask and bid >= ask:
            return self.finish(now)
        self.best = {Side.BUY: (bid, bids.get(bid, 0)), Side.SELL: (ask, asks.get(ask, 0))}
        for side in Side:
            level = self.levels[side]
            taken = {p: min(q, level.get(p, q)) for p, q in self.taken[side].items()}
            is_full = len(taken) == MAX_TAKEN
            unknown = {p: q for p, q in taken.items() if self.shown(side, p) is None}
            self.taken[side] = {p: q for p, q in taken.items() if p in level}
            self.taken[side] |= {} if is_full else unknown
        for side, other in ((Side.BUY, ask), (Side.SELL, bid)):
            for o in self.queue(side, lambda p, s=side, t=other: t and s * p >= s * t, gone):
                qty = min(o["qty"] - o["filled"], self.free(Side(-side), other))
                if qty > 0:
                    taken = self.taken[Side(-side)]
                    taken[other] = taken.get(other, 0) + qty
                    self.fill(o, o["price"], qty, FillKind.CROSS, o["ahead"], 0, now)
        for o in self.orders:
            if o["status"] == OrderStatus.OPEN:
                self.look(o, self.shown(o["side"], o["price"]), venue)
        if bid and ask:
            self.mark = bid + ask
            self.account.mark(self.mark, now)
        return self.finish(now)

    def order_event(self, kind, side, price, qty, arrival, now, trade_id):
        if kind == OrderEventKind.TRADE:
            return self.trade(price, qty, -side, trade_id, now, maker=arrival)
        now = self.start(now, market=True)
        if kind == OrderEventKind.ADD:
            self.arrival = max(self.arrival, arrival)
        else:
            for o in self.queue(side, lambda own: own == price):
                if arrival <= o["arrival"]:
                    o["ahead"] = max(0.0, o["ahead"] - qty)
        return self.finish(now)

    def trade(self, price, qty, aggressor, trade_id, now, venue=0, maker=None):
        now = self.start(now, market=True)
        side = Side(-aggressor)
        left = qty
        is_l3 = self.model == FillModel.FIFO_L3
        at = self.venue_time(now, venue)
        if not is_l3:
            self.forget_gone(at)
        places = set()
        gone = self.still_there(at, now)
        for o in self.queue(side, lambda own: side * own >= side * price, gone):
            if is_l3 and maker is None:
                break
            if o["place"] in places:
                continue
            places.add(o["place"])
            ahead = o["ahead"]
            through = o["price"] != price
            if through and left <= 0:
                continue
            if through and not is_l3 and at <= o["there"]:
                continue
            if through and self.model == FillModel.CROSS:
                reach = left if self.uniform() < self.params["fill_probability_factor"] else 0
            elif through:
                reach = left
            elif is_l3 and maker <= o["arrival"]:
                o["ahead"] = max(0.0, ahead - qty)
                reach = 0
            elif is_l3:
                reach = left
            elif self.model == FillModel.CROSS:
                reach = 0
            else:
                reach = self.printed(o, qty, left, at)
                for other in self.same_place(o) if "of" in o else []:
                    self.printed(other, qty, left, at)
            part = min(reach, left, o["qty"] - o["filled"])
            if part > 0:
                left -= part
                kind = FillKind.THROUGH if through else FillKind.TOUCH
                self.fill(o, o["price"], part, kind, ahead, trade_id, now)
        return self.finish(now)


def told(ahead):
    return -1 if ahead >= UNKNOWN else int(ahead)


def times_never_go_backwards(events):
    return all(a[1] <= b[1] for a, b in pairwise(events))
