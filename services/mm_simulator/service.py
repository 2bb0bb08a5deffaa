"""Simulator: quotes become orders, the live market fills them, a ledger keeps everything."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from mm_runtime.clock import Clock
from mm_runtime.config import load
from mm_runtime.market_age import SENT_WORDS, age_ns
from mm_runtime.metrics_table import Sample
from mm_runtime.service import Service
from mm_runtime.settings import RuntimeSettings, SimulatorSettings

from mm_simulator.desk import Book, Desk, Paid
from mm_simulator.ledger import Ledger, Restored, pack, unpack
from mmquant.codes import (
    BookCode,
    Market,
    OrderStatus,
    Reason,
    RequestKind,
    Role,
    ServiceState,
    Stream,
    Template,
)
from mmquant.position_profit import profit_of
from mmquant.records import INSTRUMENT, POSITION
from mmquant.state import MAX_LEVELS
from mmquant.wire import Inbox, MessageBuffer

__all__ = ["Simulator", "build", "warm_up"]

_MS = 1_000_000
_BRACKET_MODELS = 3
_E8 = 1e8
_MICRO = 1e6
_ONE_CLOCK_NS = 10 * 10**9  # times farther apart are not of one clock
_SILENCE_NS = 1_000 * _MS  # of the market: funding is booked by its clock, or that much later
_QUEUED_FILLS = 65_536
_POSITION_INTERVAL_NS = 1_000 * _MS
_REQUEST_INTERVAL_NS = 200 * _MS
_MARKET_DATA = (Template.BOOK_DELTA, Template.BOOK_SNAPSHOT, Template.BEST_BID_OFFER)
_ORDER_FIELDS = (
    "now_ns",
    "instrument_id",
    "epoch",
    "order_id",
    "quotes_seq",
    "price_ticks",
    "qty_lots",
    "filled_lots",
    "side",
    "status",
    "reason",
    "client_id",
    "known_ns",
)
_FILL_FIELDS = (
    "now_ns",
    "instrument_id",
    "epoch",
    "fill_id",
    "order_id",
    "price_ticks",
    "qty_lots",
    "fee_micro_tick_lots",
    "mark_half_ticks",
    "trade_id",
    "position_lots",
    "side",
    "kind",
    "liquidity",
    "client_id",
    "queue_entry_lots",
    "queue_ahead_lots",
    "queue_ns",
    "known_ns",
)


class Simulator(Service):
    """Agent of mm_simulator."""

    role = Role.MM_SIMULATOR
    needs_peers = (Role.MM_COLLECTOR, Role.MM_STRATEGY)
    needs_streams = (Stream.MARKET_DATA, Stream.QUOTES)
    is_journalled = True

    def __init__(self, settings: RuntimeSettings, config: SimulatorSettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self.config = config
        self._desks: dict[int, Desk] = {}
        self._order = MessageBuffer(Template.ORDER_UPDATE)
        self._fill = MessageBuffer(Template.FILL)
        self._position = MessageBuffer(Template.POSITION)
        self._strategy_ok = False
        self._has_ledger = False

    def start(self) -> None:
        """Open the ledger and the streams."""
        path = Path(self.settings.state_directory) / self.config.ledger.file
        self._ledger = Ledger(path, self.config.ledger.synchronous, self.clock.now_ns())
        self._has_ledger = True
        warm_up()
        self._fills = self.publish_on(Stream.FILLS, _QUEUED_FILLS)
        self._positions = self.publish_on(Stream.POSITIONS, queue_limit=1, conflate=True)
        self.subscribe(Stream.STATE, {Template.INSTRUMENT: self._on_instrument})
        self.subscribe(Stream.QUOTES, {Template.QUOTES: self._on_quotes})
        self.subscribe(Stream.TRADES, {Template.TRADE: self._on_trade}, paced=True)
        on_market = {name: partial(self._on_book, SENT_WORDS[name]) for name in _MARKET_DATA}
        self.subscribe(Stream.MARKET_DATA, on_market, paced=True)
        self.request(RequestKind.BOOK_SNAPSHOT)

    def duty(self, now_ns: int) -> int:
        """Handle what came, write it down, then tell of it."""
        work = self.poll(blocked=self._fills.blocked)
        strategy_ok = self.is_alive(Role.MM_STRATEGY, now_ns)
        if self._strategy_ok and not strategy_ok:
            self._cancel_everything(Reason.STRATEGY_SILENT)
        self._strategy_ok = strategy_ok
        for desk in self._desks.values():
            desk.is_of_now = desk.is_of_now or abs(now_ns - desk.now_ns) < _ONE_CLOCK_NS
            if desk.is_of_now:
                desk.fund(now_ns - _SILENCE_NS)
            if desk.pending or desk.paid or now_ns - desk.position_ns >= _POSITION_INTERVAL_NS:
                self._settle(desk, now_ns)
            while desk.is_due(now_ns):
                self._tell(desk)
        self._tell_state(now_ns)
        return work

    def stop(self) -> None:
        """Cancel every order and close the ledger, unless it is closed or never was open."""
        if not self._has_ledger or self._ledger.is_closed:
            return
        now_ns, ended_ns = self.clock.now_ns(), None
        try:
            self._cancel_everything(Reason.STOPPING)
            for desk in self._desks.values():
                self._settle(desk, now_ns)
                while desk.outbox:
                    self._tell(desk)
            ended_ns = now_ns
        finally:
            self._ledger.close(ended_ns)

    def samples(self) -> Iterator[Sample]:
        """Give position, profit and orders of each instrument."""
        for desk in list(self._desks.values()):
            yield from _desk_samples(desk)

    # messages in

    def _on_instrument(self) -> None:
        instrument_id = int(self.inbox.block(Template.INSTRUMENT)[0]["instrument_id"])
        desk = self._desks.get(instrument_id)
        if desk is not None:
            desk.instrument[0] = self.inbox.block(Template.INSTRUMENT)[0]
            return
        instrument = np.zeros(1, INSTRUMENT)
        instrument[0] = self.inbox.block(Template.INSTRUMENT)[0]
        now_ns = self.clock.now_ns()
        instrument[0]["now_ns"] = int(instrument[0]["now_ns"]) or now_ns
        desk = Desk(instrument, self.config)
        restored = unpack(self.outside(lambda: pack(self._ledger.restore(desk.key))))
        if restored is not None:
            desk.resume(restored.account, restored.next_order_id, restored.funded_ns)
        self._keep_kind(desk, now_ns)
        if restored is not None:
            self._say_ended(desk, restored)
        self._desks[instrument_id] = desk
        self.request(RequestKind.BOOK_SNAPSHOT, instrument_id)

    def _on_quotes(self) -> None:
        block = self.inbox.block(Template.QUOTES)
        desk = self._desks.get(int(block[0]["instrument_id"]))
        if desk is None:
            self.counters["early_quotes"] += 1
            return
        if not self.is_alive(Role.MM_STRATEGY, self.clock.now_ns()):
            self.counters["silent_quotes"] += 1  # repeated by one whose heartbeat is lost
            block[0]["reason"] = Reason.STRATEGY_SILENT  # any reason cancels everything
        if block[0]["position_seq"] > self._positions.seq:
            block[0]["position_seq"] = 0  # of a session before this one
        desk.levels["qty_lots"] = 0
        for side in (0, 1):
            rows = self.inbox.group(Template.QUOTES, side)[:MAX_LEVELS]
            desk.levels[side * MAX_LEVELS : side * MAX_LEVELS + len(rows)] = rows
        desk.on_quotes(block)

    def _on_trade(self) -> None:
        trade = self.inbox.block(Template.TRADE)[0]
        self._note_age(SENT_WORDS[Template.TRADE])
        desk = self._desks.get(int(trade["instrument_id"]))
        if desk is not None:
            desk.on_trade(trade)

    def _on_book(self, sent_word: int) -> None:
        words = self.inbox.words
        self._note_age(sent_word)
        desk = self._desks.get(int(words[3]) & 0xFFFFFFFF)
        if desk is None:
            return
        if desk.on_market(words) in (BookCode.GAP, BookCode.NOT_SYNCED):
            now_ns = self.clock.now_ns()
            if now_ns >= desk.next_request_ns:
                desk.next_request_ns = now_ns + _REQUEST_INTERVAL_NS
                self.request(RequestKind.BOOK_SNAPSHOT, desk.instrument_id)

    # inner works

    def _note_age(self, sent_word: int) -> None:
        """Let the heartbeat say how old the market was that is matched."""
        self.lag_ns = age_ns(self.inbox.words, sent_word, self._turn_ns)

    def _settle(self, desk: Desk, now_ns: int) -> None:
        """Write what happened to the ledger, then put it on its way to the trader.

        Where the ledger refuses, all of it stays with the desk: the account has it already, and
        a later write that had the account alone would leave a ledger that does not add up.
        """
        self.matters()  # what is put on its way now is sent in a later turn
        events, paid = desk.pending, desk.paid
        is_due = now_ns - desk.position_ns >= _POSITION_INTERVAL_NS
        tells_position = desk.has_fills or bool(paid) or is_due
        account = desk.main.account if tells_position else None
        desk.check_range()
        self._keep_kind(desk, now_ns)
        self._ledger.write(desk.key, events, account, desk.now_ns, paid, desk.funded_ns)
        desk.pending, desk.paid = [], []
        for one in paid:
            self._tell_paid(desk, one)
        for event in events:
            desk.tell_later(event, now_ns)
        if tells_position:
            desk.has_fills, desk.position_ns = False, now_ns
            desk.tell_position_later(now_ns)
            self._count_bracket()

    def _tell_paid(self, desk: Desk, paid: Paid) -> None:
        """Log a payment of funding; the position that follows carries what it came to."""
        self.counters["fundings"] += 1
        self.log.info(
            "%s funding at %d: rate %.8f on %d lots, received %.8g",
            desk.key,
            paid.time_ns,
            paid.rate_e8 / _E8,
            paid.position_lots,
            paid.funding_micro_tick_lots / _MICRO * desk.kind.tick_lot_value,
        )

    def _tell(self, desk: Desk) -> None:
        """Publish what has reached the trader."""
        told = desk.outbox.popleft()
        if told.is_position:
            self._position.block[0] = told.record
            seq = self._positions.next_seq()
            self._position.block[0]["seq"] = seq
            desk.note_told(seq, told.record)
            self._positions.offer(self._position)
        else:
            self._publish_event(told.record)

    def _publish_event(self, event: np.void) -> None:
        is_fill = event["template_id"] == Template.FILL
        message, fields = (self._fill, _FILL_FIELDS) if is_fill else (self._order, _ORDER_FIELDS)
        block = message.block[0]
        for name in fields:
            block[name] = event[name]
        block["seq"] = self._fills.next_seq()
        self._fills.offer(message)
        if is_fill:
            self.counters["fills"] += 1
        else:
            self.counters[f"orders.{OrderStatus(int(event['status'])).name.lower()}"] += 1

    def _count_bracket(self) -> None:
        """Let the heartbeat carry the profit under each model, in millionths of the quote asset."""
        for k in range(_BRACKET_MODELS):
            books = [(d, d.bracket[k]) for d in self._desks.values() if d.bracket]
            if books:
                total = sum(_net_profit(desk, book) for desk, book in books)
                self.counters[f"bracket_profit.{books[0][1].name}"] = round(total * _MICRO)

    def _cancel_everything(self, reason: Reason) -> None:
        for desk in self._desks.values():
            desk.cancel_all(reason)

    def _keep_kind(self, desk: Desk, now_ns: int) -> None:
        """Write down what the desk counts in, where that is new."""
        if desk.kept_kind is not desk.kind:
            self._ledger.keep_instrument(desk.key, desk.instrument, desk.kind, now_ns)
            desk.kept_kind = desk.kind

    def _say_ended(self, desk: Desk, restored: Restored) -> None:
        """Tell of the orders that an earlier session left open, then write it down."""
        for order_id, side, price_ticks, qty_lots, filled_lots in restored.open_orders:
            block = self._order.block[0]
            block["now_ns"], block["instrument_id"] = desk.now_ns, desk.instrument_id
            block["order_id"], block["side"] = order_id, side
            block["price_ticks"], block["qty_lots"] = price_ticks, qty_lots
            block["filled_lots"] = filled_lots
            block["client_id"], block["known_ns"] = 0, desk.now_ns
            block["status"], block["reason"] = OrderStatus.CANCELLED, Reason.RESTARTED
            block["seq"] = self._fills.next_seq()
            self._fills.offer(self._order)
        # Said before it is written: killed between the two, the next start says it again, where
        # the other order would never say it. An order that ended twice has ended.
        self._ledger.cancel_open_orders(desk.key, self.clock.now_ns())
        self.log.info(
            "%s resumes with %d lots after %d fills; %d open orders cancelled",
            desk.key,
            restored.account[0]["position_lots"],
            restored.account[0]["fills"],
            len(restored.open_orders),
        )

    def _tell_state(self, now_ns: int) -> None:
        if not self.is_alive(Role.MM_COLLECTOR, now_ns):
            self.set_state(ServiceState.DEGRADED, Reason.UPSTREAM_SILENT, "no live collector")
        elif not self._desks:
            self.set_state(ServiceState.DEGRADED, Reason.NO_INSTRUMENT, "no instrument yet")
        elif not self._strategy_ok:
            self.set_state(ServiceState.DEGRADED, Reason.STRATEGY_SILENT, "no live strategy")
        else:
            self.set_state(ServiceState.READY, Reason.NONE, "matching")


def _units(desk: Desk) -> tuple[float, float]:
    instrument = desk.instrument[0]
    return float(instrument["tick_size_e8"]) / _E8, float(instrument["lot_size_e8"]) / _E8


def _net_profit(desk: Desk, book: Book) -> float:
    """Return what a book has made after fees and funding, in the quote asset."""
    told = np.zeros(1, POSITION)
    desk.position(book, told)
    return profit_of(told[0], desk.instrument[0])["total"]


def _desk_samples(desk: Desk) -> Iterator[Sample]:
    told = np.zeros(1, POSITION)
    desk.position(desk.main, told)
    position = told[0]
    tick, lot = _units(desk)
    labels = (desk.instrument[0]["symbol"].decode(),)
    yield Sample("position", int(position["position_lots"]) * lot, labels)
    yield Sample("position_price", float(position["average_price_ticks"]) * tick, labels)
    yield Sample("mark_price", int(position["mark_half_ticks"]) / 2 * tick, labels)
    parts = profit_of(position, desk.instrument[0])
    for part in ("spread", "adverse_selection", "inventory", "funding", "fee_revaluation"):
        yield Sample("profit", parts[part], (*labels, part))
    yield Sample("profit", -parts["fees"], (*labels, "fees"))
    for asset, amount in desk.balances().items():
        yield Sample("balance", float(amount), (*labels, asset))
    yield Sample("open_orders", int(position["open_orders"]), labels)
    yield Sample("orders_placed_total", int(position["orders"]), labels)
    yield Sample("fills_total", int(position["fills"]), labels)
    for book in desk.bracket:
        yield Sample("bracket_profit", _net_profit(desk, book), (*labels, book.name))
        yield Sample("bracket_fills_total", int(book.account[0]["fills"]), (*labels, book.name))


def warm_up() -> None:
    """Load (or compile) the service's kernels as they are called, before the first message."""
    instrument = np.zeros(1, INSTRUMENT)
    instrument[0]["market"] = Market.USDM
    instrument[0]["tick_size_e8"] = instrument[0]["lot_size_e8"] = 1
    desk, inbox = Desk(instrument, SimulatorSettings()), Inbox()
    desk.on_market(inbox.words)
    desk.on_quotes(inbox.block(Template.QUOTES))
    trade = inbox.block(Template.TRADE)
    trade[0]["price_ticks"] = trade[0]["aggressor"] = 1
    desk.on_trade(trade[0])
    desk.warm_up()
    desk.cancel_all(Reason.STOPPING)
    desk.position(desk.main, np.zeros(1, POSITION))


def build(config_dir: Path, settings: RuntimeSettings, clock: Clock) -> Simulator:
    """Return the service that simulator.toml describes."""
    return Simulator(settings, load("simulator", SimulatorSettings, config_dir), clock)
