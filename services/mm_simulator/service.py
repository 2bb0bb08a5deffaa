"""Simulator: quotes become orders, the live market fills them, a ledger keeps everything."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mm_runtime.clock import Clock
from mm_runtime.config import load
from mm_runtime.metrics_table import Sample
from mm_runtime.service import Service
from mm_runtime.settings import RuntimeSettings, SimulatorSettings
from numpy.typing import NDArray

from mm_simulator.ledger import Ledger, Restored, pack, unpack
from mmquant.codes import (
    BookCode,
    BookState,
    Market,
    OrderStatus,
    Reason,
    RequestKind,
    Role,
    ServiceState,
    Stream,
    Template,
)
from mmquant.kernels.book import book_follow
from mmquant.kernels.simulator import (
    simulator_cancel_all,
    simulator_on_quotes,
    simulator_on_touch,
    simulator_on_trade,
    simulator_position,
)
from mmquant.records import INSTRUMENT, LEVEL, POSITION
from mmquant.simulator import simulator_params, simulator_state
from mmquant.state import ACCOUNT, BOOK, EVENT, MAX_EVENTS, MAX_LEVELS
from mmquant.wire import Inbox, MessageBuffer

__all__ = ["Simulator", "build", "warm_up"]

_MS = 1_000_000
_E8 = 1e8
_MICRO = 1e6
_QUEUED_FILLS = 65_536
_POSITION_INTERVAL_NS = 1_000 * _MS
_REQUEST_INTERVAL_NS = 200 * _MS
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
)


class _Desk:
    """Orders and account of one instrument, and the venue's touch as its book and BBO give it."""

    def __init__(self, instrument: NDArray[Any], config: SimulatorSettings) -> None:
        self.instrument = instrument
        row = instrument[0]
        self.instrument_id = int(row["instrument_id"])
        market = Market(int(row["market"]))
        self.key = f"{market.name.lower()}:{row['symbol'].decode()}"
        fees = config.fees
        maker, taker = (
            (fees.spot_maker_ppm, fees.spot_taker_ppm)
            if market is Market.SPOT
            else (fees.usdm_maker_ppm, fees.usdm_taker_ppm)
        )
        self.params = simulator_params(
            entry_latency_ns=round(config.entry_latency_ms * _MS),
            cancel_latency_ns=round(config.cancel_latency_ms * _MS),
            markout_horizon_ns=round(config.markout_horizon_ms * _MS),
            maker_fee_ppm=maker,
            taker_fee_ppm=taker,
            fill_probability_factor=config.fill_probability_factor,
        )
        self.sim = simulator_state(seed=config.seed)
        self.sim[0]["instrument_id"] = self.instrument_id
        self.account = np.zeros(1, ACCOUNT)
        self.book = np.zeros(1, BOOK)
        self.bbo_update_id = 0
        self.levels = np.zeros(2 * MAX_LEVELS, LEVEL)
        self.pending: list[np.void] = []
        self.has_fills = False
        self.position_ns = 0
        self.next_request_ns = 0

    @property
    def now_ns(self) -> int:
        """The market's clock."""
        return int(self.sim[0]["now_ns"])


class Simulator(Service):
    """Agent of mm_simulator."""

    role = Role.MM_SIMULATOR
    needs_peers = (Role.MM_COLLECTOR, Role.MM_STRATEGY)
    needs_streams = (Stream.MARKET_DATA, Stream.QUOTES)
    is_journalled = True

    def __init__(self, settings: RuntimeSettings, config: SimulatorSettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self.config = config
        self._desks: dict[int, _Desk] = {}
        self._events = np.zeros(MAX_EVENTS, EVENT)
        self._order = MessageBuffer(Template.ORDER_UPDATE)
        self._fill = MessageBuffer(Template.FILL)
        self._position = MessageBuffer(Template.POSITION)
        self._strategy_ok = False

    def start(self) -> None:
        """Open the ledger and the streams."""
        path = Path(self.settings.state_directory) / self.config.ledger.file
        self._ledger = Ledger(path, self.config.ledger.synchronous, self.clock.now_ns())
        warm_up()
        self._fills = self.publish_on(Stream.FILLS, _QUEUED_FILLS)
        self._positions = self.publish_on(Stream.POSITIONS, queue_limit=1, conflate=True)
        self.subscribe(Stream.STATE, {Template.INSTRUMENT: self._on_instrument})
        self.subscribe(Stream.QUOTES, {Template.QUOTES: self._on_quotes})
        self.subscribe(Stream.TRADES, {Template.TRADE: self._on_trade}, paced=True)
        on_market = {
            Template.BOOK_DELTA: self._on_book,
            Template.BOOK_SNAPSHOT: self._on_book,
            Template.BEST_BID_OFFER: self._on_best_bid_offer,
        }
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
            if desk.pending or now_ns - desk.position_ns >= _POSITION_INTERVAL_NS:
                self._settle(desk, now_ns)
        self._tell_state(now_ns)
        return work

    def stop(self) -> None:
        """Cancel every order and close the ledger."""
        try:
            self._cancel_everything(Reason.STOPPING)
            for desk in self._desks.values():
                self._settle(desk, self.clock.now_ns())
        finally:
            self._ledger.close(self.clock.now_ns())

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
        desk = _Desk(instrument, self.config)
        self._ledger.keep_instrument(desk.key, instrument, self.clock.now_ns())
        restored = unpack(self.outside(lambda: pack(self._ledger.restore(desk.key))))
        if restored is not None:
            self._resume(desk, restored)
        self._desks[instrument_id] = desk
        self.request(RequestKind.BOOK_SNAPSHOT, instrument_id)

    def _on_quotes(self) -> None:
        block = self.inbox.block(Template.QUOTES)
        desk = self._desks.get(int(block[0]["instrument_id"]))
        if desk is None:
            self.counters["early_quotes"] += 1
            return
        desk.levels["qty_lots"] = 0
        for side in (0, 1):
            rows = self.inbox.group(Template.QUOTES, side)[:MAX_LEVELS]
            desk.levels[side * MAX_LEVELS : side * MAX_LEVELS + len(rows)] = rows
        now_ns = int(block[0]["now_ns"])
        n = simulator_on_quotes(
            desk.sim, desk.params, desk.instrument, block, desk.levels, now_ns, self._events
        )
        self._keep(desk, n)

    def _on_trade(self) -> None:
        trade = self.inbox.block(Template.TRADE)[0]
        desk = self._desks.get(int(trade["instrument_id"]))
        if desk is None:
            return
        n = simulator_on_trade(
            desk.sim,
            desk.account,
            desk.params,
            int(trade["price_ticks"]),
            int(trade["qty_lots"]),
            int(trade["aggressor"]),
            int(trade["trade_id"]),
            int(trade["now_ns"]),
            self._events,
        )
        self._keep(desk, n)

    def _on_best_bid_offer(self) -> None:
        bbo = self.inbox.block(Template.BEST_BID_OFFER)[0]
        desk = self._desks.get(int(bbo["instrument_id"]))
        if desk is None or bbo["epoch"] != desk.book[0]["epoch"]:
            return
        desk.bbo_update_id = int(bbo["update_id"])
        if desk.bbo_update_id >= desk.book[0]["last_update_id"]:
            self._move_touch(
                desk,
                int(bbo["bid_ticks"]),
                int(bbo["bid_lots"]),
                int(bbo["ask_ticks"]),
                int(bbo["ask_lots"]),
                int(bbo["now_ns"]),
            )

    def _on_book(self) -> None:
        words = self.inbox.words
        desk = self._desks.get(int(words[3]) & 0xFFFFFFFF)
        if desk is None:
            return
        epoch = int(desk.book[0]["epoch"])
        code = book_follow(desk.book, words)
        if code in (BookCode.GAP, BookCode.NOT_SYNCED):
            now_ns = self.clock.now_ns()
            if now_ns >= desk.next_request_ns:
                desk.next_request_ns = now_ns + _REQUEST_INTERVAL_NS
                self.request(RequestKind.BOOK_SNAPSHOT, desk.instrument_id)
            return
        book = desk.book[0]
        if book["epoch"] != epoch:
            desk.bbo_update_id = 0
        is_live = book["synced"] and book["book_state"] == BookState.LIVE
        if code == BookCode.OK and is_live and book["last_update_id"] > desk.bbo_update_id:
            self._move_touch(
                desk,
                int(book["best_bid_ticks"]),
                int(book["best_bid_lots"]),
                int(book["best_ask_ticks"]),
                int(book["best_ask_lots"]),
                int(words[2]),
            )

    # inner works

    def _move_touch(
        self,
        desk: _Desk,
        bid_ticks: int,
        bid_lots: int,
        ask_ticks: int,
        ask_lots: int,
        now_ns: int,
    ) -> None:
        n = simulator_on_touch(
            desk.sim,
            desk.account,
            desk.params,
            bid_ticks if bid_lots else 0,
            bid_lots,
            ask_ticks if ask_lots else 0,
            ask_lots,
            now_ns,
            self._events,
        )
        self._keep(desk, n)

    def _keep(self, desk: _Desk, n_events: int) -> None:
        for i in range(n_events):
            event = self._events[i].copy()
            desk.pending.append(event)
            desk.has_fills |= event["template_id"] == Template.FILL

    def _settle(self, desk: _Desk, now_ns: int) -> None:
        """Write what happened to the ledger, then publish it."""
        events, desk.pending = desk.pending, []
        tells_position = desk.has_fills or now_ns - desk.position_ns >= _POSITION_INTERVAL_NS
        account = desk.account if tells_position else None
        self._ledger.write(desk.key, events, account, desk.now_ns)
        for event in events:
            self._publish_event(event)
        if tells_position:
            self._publish_position(desk, now_ns)

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

    def _publish_position(self, desk: _Desk, now_ns: int) -> None:
        desk.has_fills, desk.position_ns = False, now_ns
        simulator_position(desk.sim, desk.account, desk.now_ns, self._position.block)
        self._position.block[0]["seq"] = self._positions.next_seq()
        self._positions.offer(self._position)

    def _cancel_everything(self, reason: Reason) -> None:
        for desk in self._desks.values():
            self._keep(desk, simulator_cancel_all(desk.sim, desk.now_ns, int(reason), self._events))

    def _resume(self, desk: _Desk, restored: Restored) -> None:
        desk.account = restored.account
        desk.sim[0]["next_order_id"] = restored.next_order_id
        desk.sim[0]["now_ns"] = desk.account[0]["now_ns"]
        self._ledger.cancel_open_orders(desk.key, self.clock.now_ns())
        for order_id, side, price_ticks, qty_lots, filled_lots in restored.open_orders:
            block = self._order.block[0]
            block["now_ns"], block["instrument_id"] = desk.now_ns, desk.instrument_id
            block["order_id"], block["side"] = order_id, side
            block["price_ticks"], block["qty_lots"] = price_ticks, qty_lots
            block["filled_lots"] = filled_lots
            block["status"], block["reason"] = OrderStatus.CANCELLED, Reason.RESTARTED
            block["seq"] = self._fills.next_seq()
            self._fills.offer(self._order)
        self.log.info(
            "%s resumes with %d lots after %d fills; %d open orders cancelled",
            desk.key,
            desk.account[0]["position_lots"],
            desk.account[0]["fills"],
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


def _desk_samples(desk: _Desk) -> Iterator[Sample]:
    told = np.zeros(1, POSITION)
    simulator_position(desk.sim, desk.account, desk.now_ns, told)
    instrument, position = desk.instrument[0], told[0]
    tick, lot = (float(instrument[name]) / _E8 for name in ("tick_size_e8", "lot_size_e8"))
    labels = (instrument["symbol"].decode(),)
    yield Sample("position", int(position["position_lots"]) * lot, labels)
    yield Sample("position_price", float(position["average_price_ticks"]) * tick, labels)
    yield Sample("mark_price", int(position["mark_half_ticks"]) / 2 * tick, labels)
    for part in ("spread", "adverse_selection", "inventory"):
        amount = int(position[f"{part}_half_tick_lots"]) / 2 * tick * lot
        yield Sample("profit", amount, (*labels, part))
    fees = int(position["fees_micro_tick_lots"]) / _MICRO * tick * lot
    yield Sample("profit", -fees, (*labels, "fees"))
    yield Sample("open_orders", int(position["open_orders"]), labels)
    yield Sample("orders_placed_total", int(position["orders"]), labels)
    yield Sample("fills_total", int(position["fills"]), labels)


def warm_up() -> None:
    """Load (or compile) the service's kernels as they are called, before the first message."""
    instrument = np.zeros(1, INSTRUMENT)
    instrument[0]["market"] = Market.USDM
    instrument[0]["tick_size_e8"] = instrument[0]["lot_size_e8"] = 1
    desk, inbox, events = (
        _Desk(instrument, SimulatorSettings()),
        Inbox(),
        np.zeros(MAX_EVENTS, EVENT),
    )
    book_follow(desk.book, inbox.words)
    quotes = inbox.block(Template.QUOTES)
    simulator_on_quotes(desk.sim, desk.params, instrument, quotes, desk.levels, 0, events)
    simulator_on_touch(desk.sim, desk.account, desk.params, 0, 0, 0, 0, 0, events)
    simulator_on_trade(desk.sim, desk.account, desk.params, 1, 0, 1, 0, 0, events)
    simulator_cancel_all(desk.sim, 0, int(Reason.STOPPING), events)
    simulator_position(desk.sim, desk.account, 0, MessageBuffer(Template.POSITION).block)


def build(config_dir: Path, settings: RuntimeSettings, clock: Clock) -> Simulator:
    """Return the service that simulator.toml describes."""
    return Simulator(settings, load("simulator", SimulatorSettings, config_dir), clock)
