"""Slow obvious twin of the backtest's loop: messages as bytes, lists and dicts."""

from types import SimpleNamespace

import numpy as np
from mm_pricing.service import _Engine

from mmquant.codes import BookCode, BookState, OrderStatus, Side, TapeKind, Template
from mmquant.kernels.accounting import account_funding
from mmquant.kernels.latency import simulator_respond
from mmquant.kernels.pricing import NEED_SNAPSHOT, PUBLISH, pricing_refresh, pricing_step
from mmquant.kernels.quoting import strategy_step
from mmquant.kernels.simulator import (
    simulator_advance,
    simulator_on_book,
    simulator_on_market,
    simulator_on_quotes,
    simulator_on_trade,
    simulator_position,
)
from mmquant.kernels.watch import strategy_on_fill, strategy_on_position
from mmquant.records import FILL, POSITION, PRICING
from mmquant.state import BOOK, EVENT, MAX_EVENTS, NEVER_NS, TAPE_SKIP
from mmquant.wire import Inbox, encode

ALIVE = (OrderStatus.NEW, OrderStatus.OPEN)


class ReferenceBacktest:
    """One instrument; `desk` has parameters and states as the compiled loop takes them."""

    def __init__(
        self, tape, index, desk, model, intervals, funding=(0, 1), fair_value=None, reference=None
    ):
        self.tape, self.index, self.desk, self.model = tape, index, desk, model
        self.fair_value = fair_value  # PricingSteps of a model of one's own
        self.pricing_every, self.quotes_every, self.gates_every, self.position_every = intervals
        self.rate_e8, self.funding_every = funding
        self.payments = []
        self.written = np.zeros(MAX_EVENTS, EVENT)  # by one call of the simulator
        self.inbox = Inbox(8 * 1024 * 1024)
        self.now, self.began = 0, False
        self.epochs, self.lost = {}, set()  # by instrument
        # The basis is measured against this instrument, by what mm_pricing has of it.
        self.reference, self.theirs = reference, None
        if reference is not None:
            self.theirs = _Engine(reference + 1)
            self.theirs.state["feed_ok"] = 1
            self.theirs.rules["tick_size_e8"] = tape.instruments[reference].tick_size_e8
        self.events, self.told = [], 0
        self.positions, self.positions_told, self.marks = [], 0, []
        self.quote_rows = []
        self.known = {}
        self.pricing_seq = self.quotes_seq = 0
        self.pricing_book = np.zeros(1, BOOK)  # mm_pricing has one of its own
        self.draft = np.zeros(1, PRICING)  # the strategy hears of it where it is published
        b = desk.bracket
        self.beside = [  # simulators that nobody hears of
            (b.sim[k : k + 1], b.account[k : k + 1], b.params[k : k + 1], b.events[k])
            for k in range(b.sim.size)
        ]

    def run(self):
        for event in self.tape.events:
            is_own = event["instrument"] == self.index
            if not (is_own or event["instrument"] == self.reference) or event["flags"] & TAPE_SKIP:
                continue
            at = int(event["received_ns"])
            if is_own and not self.began:
                self.now, self.began = at, True
                self.pricing_at = self.quotes_at = self.decided_at = at
                self.funding_at = (at // self.funding_every + 1) * self.funding_every
                self.tell_position()
            at = max(at, self.now)
            while self.began and self.do_what_is_due(at):
                pass
            self.now = at
            if is_own:
                self.take(event)
            else:
                self.hear_reference(event)
        if self.began:
            self.tell_position()

    # what happens by itself

    def do_what_is_due(self, at):
        """Do the first thing that is due before the next message; False where there is none."""
        reports = []
        if self.told < len(self.events):
            reports.append(int(self.events[self.told]["known_ns"]))
        if self.positions_told < len(self.positions):
            reports.append(self.positions[self.positions_told][0])
        timers = [
            self.decided_at + self.gates_every,
            self.pricing_at + self.pricing_every,
            self.position_at + self.position_every,
        ]
        funding = [self.funding_at] if self.rate_e8 else []
        first = max(self.now, min(reports + timers + funding))
        goes_first = min([*reports, *funding, at + 1]) <= at
        if first > at or (first == at and not goes_first):
            return False
        self.now = first
        if self.told < len(self.events) and self.events[self.told]["known_ns"] <= self.now:
            self.told += 1
            self.hear(self.events[self.told - 1])
        elif reports and min(reports) <= self.now:
            self.positions_told += 1
            self.hear_position(self.positions[self.positions_told - 1][1])
        elif funding and self.funding_at <= self.now:
            self.pay_funding()
        elif self.position_at + self.position_every <= self.now:
            self.tell_position()
        elif self.pricing_at + self.pricing_every <= self.now:
            d = self.desk
            refresh, own = pricing_refresh, ()
            if self.fair_value is not None:
                refresh, own = self.fair_value.refresh, (d.pricing_model_params,)
            refresh(
                d.pricing_state, self.pricing_book, d.pricing_params, *own, self.now, self.draft
            )
            self.draft[0]["frame_ns"] = 0
            self.publish_pricing()
        else:
            self.decide()
        return True

    def hear(self, event):
        d = self.desk
        if event["template_id"] == Template.FILL:
            fill = np.zeros(1, FILL)
            for name in set(FILL.names) & set(event.dtype.names) - {"reserved"}:
                fill[0][name] = event[name]
            strategy_on_fill(d.strategy_state, d.strategy_params, fill)
            return
        left = int(event["qty_lots"]) - int(event["filled_lots"])
        self.known.pop(int(event["order_id"]), None)
        if event["status"] in ALIVE and left:
            self.known[int(event["order_id"])] = int(event["price_ticks"]) * left
        d.inputs[0]["open_orders"] = len(self.known)
        d.inputs[0]["open_tick_lots"] = sum(self.known.values())

    def hear_position(self, position):
        d = self.desk
        row = d.inputs[0]
        moved = not row["position_known"] or row["position_lots"] != position[0]["position_lots"]
        row["position_known"], row["position_lots"] = 1, position[0]["position_lots"]
        strategy_on_position(d.strategy_state, d.strategy_params, position)
        if moved or d.strategy_state[0]["halt_reason"]:
            self.decide()

    # what the market brings

    def message(self, event, book):
        """Return the message of a row as bytes."""
        number = int(event["instrument"])
        is_new = number in self.lost or number not in self.epochs
        if event["kind"] == TapeKind.SNAPSHOT and is_new:
            self.epochs[number] = self.epochs.get(number, 0) + 1
            self.lost.discard(number)
        if event["kind"] == TapeKind.GAP:
            self.lost.add(number)
        first, bids, asks = (int(event[name]) for name in ("first_level", "n_bids", "n_asks"))
        rows = self.tape.levels[first : first + bids + asks]
        groups = {"bids": rows[:bids], "asks": rows[bids:]}
        values = {
            "now_ns": self.now,
            "venue_ns": int(event["venue_ns"]),
            "epoch": self.epochs.get(number, 0),
        }
        values |= {"received_ns": self.now, "sent_ns": self.now, "instrument_id": number + 1}
        kind, update_id = TapeKind(int(event["kind"])), int(event["update_id"])
        last = int(book[0]["last_update_id"])
        if kind is TapeKind.TRADE:
            price, qty = (int(rows[0][name]) for name in ("price_ticks", "qty_lots"))
            side = Side.BUY if bids else Side.SELL
            values |= {"trade_id": update_id, "price_ticks": price, "qty_lots": qty}
            return encode(Template.TRADE, values | {"aggressor": int(side)})
        if kind is TapeKind.BBO:
            values["update_id"] = update_id
            for name, group in (("bid", rows[:bids]), ("ask", rows[bids:])):
                if len(group):
                    values[f"{name}_ticks"] = int(group[0]["price_ticks"])
                    values[f"{name}_lots"] = int(group[0]["qty_lots"])
            return encode(Template.BEST_BID_OFFER, values)
        if kind in (TapeKind.SNAPSHOT, TapeKind.GAP):
            state = BookState.GAP if kind is TapeKind.GAP else BookState.LIVE
            values |= {"last_update_id": last if kind is TapeKind.GAP else update_id}
            values |= {"known_high_ticks": 2**53, "book_state": int(state)}
            return encode(Template.BOOK_SNAPSHOT, values, groups)
        assert kind is TapeKind.DELTA, "of a CLEAR there is a test of its own"
        values |= {"first_update_id": last + 1, "last_update_id": update_id}
        return encode(Template.BOOK_DELTA, values | {"previous_update_id": last}, groups)

    def take(self, event):
        d = self.desk
        kind = int(event["kind"])
        assert self.inbox.receive(self.message(event, self.pricing_book))
        if kind == TapeKind.TRADE:
            trade = self.inbox.block(Template.TRADE)[0]
            names = ("price_ticks", "qty_lots", "aggressor", "trade_id")
            what = [int(trade[name]) for name in names]
            at = self.now, int(event["venue_ns"])
            n = simulator_on_trade(*self.venue, d.book, *what, *at, self.written)
            for *venue, events in self.beside:
                count = simulator_on_trade(*venue, d.book, *what, *at, events)
                self.answer(venue, events, count)
            d.inputs[0]["trade_ticks"] = trade["price_ticks"]
        else:
            counts = [
                simulator_advance(*venue, d.book, self.now - 1, events, 0)
                for *venue, events in self.beside
            ]
            code, n = simulator_on_market(*self.venue, d.book, self.inbox.words, self.written)
            self.show_book(BookCode(code), counts)
        self.settle(n)
        mark = int(d.account[0]["mark_half_ticks"])
        if mark != (self.marks[-1][1] if self.marks else 0):
            self.marks.append((self.now, mark))
        code = self.price(d.pricing_state, self.pricing_book, self.draft)
        if code in (PUBLISH, NEED_SNAPSHOT):
            self.publish_pricing()

    def price(self, state, book, draft):
        """Let a pricing hear of what is in the inbox."""
        d = self.desk
        step, own = pricing_step, ()
        if self.fair_value is not None:
            step, own = self.fair_value.step, (d.pricing_model_params,)
        return step(state, book, d.pricing_params, *own, self.inbox.words, draft)

    def hear_reference(self, event):
        theirs, d = self.theirs, self.desk
        assert self.inbox.receive(self.message(event, theirs.book))
        self.price(theirs.state, theirs.book, theirs.out.block)
        ours = SimpleNamespace(state=d.pricing_state, rules=d.instrument)
        _Engine.set_reference(ours, theirs, self.now)

    def show_book(self, code, counts):
        """Let the simulators beside see the book, and how late it is, as the chosen one does."""
        book, main = self.desk.book, self.desk.sim[0]
        is_live = book[0]["synced"] == 1 and book[0]["book_state"] == BookState.LIVE
        for (*venue, events), count in zip(self.beside, counts, strict=True):
            for name in ("clock", "clock_ahead_ns", "feed_latency_ns"):
                venue[0][0][name] = main[name]
            if code is BookCode.OK and is_live:
                made = int(main["book_ns"])
                count = simulator_on_book(*venue, book, self.now, made, events, count)
            else:
                count = simulator_advance(*venue, book, self.now, events, count)
            self.answer(venue, events, count)

    def answer(self, venue, events, count):
        simulator_respond(venue[0], venue[2], self.desk.recorded, events, count)

    # what follows

    def publish_pricing(self):
        self.pricing_seq += 1
        self.desk.pricing[:] = self.draft
        row = self.desk.pricing[0]
        row["seq"], row["received_ns"], row["sent_ns"] = self.pricing_seq, self.now, self.now
        self.pricing_at = self.now
        self.desk.inputs[0]["heard_ns"] = self.now
        self.decide()

    def decide(self):
        d = self.desk
        self.decided_at = self.now
        d.inputs[0]["now_ns"] = self.now
        changed = strategy_step(
            d.strategy_state,
            d.strategy_params,
            self.model,
            d.model_params,
            d.inputs,
            d.pricing,
            d.instrument,
            d.model_inputs,
            d.model_quotes,
            d.quotes,
            d.levels,
        )
        if not changed and self.now - self.quotes_at < self.quotes_every:
            return
        self.quotes_at = self.now
        self.quotes_seq += 1
        d.quotes[0]["seq"] = self.quotes_seq
        if changed:
            self.quote_rows.append((self.now, self.quotes_seq, d.quotes.tobytes()))
        what = (d.instrument, d.book, d.recorded, d.quotes, d.levels, self.now, NEVER_NS)
        self.settle(simulator_on_quotes(*self.venue, *what, self.written))
        for *venue, events in self.beside:
            self.answer(venue, events, simulator_on_quotes(*venue, *what, events))

    def pay_funding(self):
        d = self.desk
        due = self.funding_at
        self.settle(simulator_advance(*self.venue, d.book, due - 1, self.written, 0))
        lots, mark = (int(d.account[0][name]) for name in ("position_lots", "mark_half_ticks"))
        received = account_funding(d.account, self.rate_e8, mark, due)
        self.payments.append((due, self.rate_e8, mark, lots, received))
        for *venue, events in self.beside:
            count = simulator_advance(*venue, d.book, due - 1, events, 0)
            account_funding(venue[1], self.rate_e8, venue[1][0]["mark_half_ticks"], due)
            self.answer(venue, events, count)
        self.funding_at += self.funding_every
        self.tell_position()

    @property
    def venue(self):
        return self.desk.sim, self.desk.account, self.desk.sim_params

    def settle(self, n):
        d = self.desk
        simulator_respond(d.sim, d.sim_params, d.recorded, self.written, n)
        new = [self.written[i].copy() for i in range(n)]
        self.events += new
        if any(event["template_id"] == Template.FILL for event in new):
            self.tell_position()

    def tell_position(self):
        d = self.desk
        position = np.zeros(1, POSITION)
        simulator_position(d.sim, d.account, self.now, position)
        position[0]["seq"] = len(self.positions) + 1
        waiting = self.events[self.told :]
        known = max(self.now, int(waiting[-1]["known_ns"])) if waiting else self.now
        self.positions.append((known, position))
        self.position_at = self.now
