"""What the strategy knows by a line of what it heard: peers, book, position, orders, halts."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from heard_and_said import Kind
from reason_latches import Latches

from mmquant.codes import OrderStatus, Reason, Role, ServiceState, Template

__all__ = ["Desk", "Known"]

MS = 1_000_000
NEEDED = (Role.MM_COLLECTOR, Role.MM_PRICING, Role.MM_SIMULATOR)
POSITION_AGE_NS = 3_000 * MS  # docs/risk.md
ALIVE = (OrderStatus.NEW, OrderStatus.OPEN)


@dataclass
class Desk:
    """What is known of one instrument."""

    instrument: dict[str, Any] | None = None
    pricing: dict[str, Any] | None = None
    heard_ns: int = 0  # the pricing message, as the book's below
    book_ids: tuple[int, int] | None = None
    book_ns: int = 0
    position_lots: int | None = None
    told_ns: int = 0  # the position
    trade_ticks: int = 0  # of the last trade, 0: none
    open_orders: dict[int, int] = field(default_factory=dict)  # price times lots left
    latches: Latches = field(default_factory=Latches)


class Known:
    """What is known of everything; `hear` takes line after line."""

    def __init__(self):
        self.desks = defaultdict(Desk)
        self.turn_ns, self.timeout_ns = 0, 0
        self.beats = {}
        self.halt = Reason.NONE
        self.hearing = {
            Template.HEARTBEAT: self._heartbeat,
            Template.INSTRUMENT: self._instrument,
            Template.POSITION: self._position,
            Template.FILL: self._fill,
            Template.ORDER_UPDATE: self._order,
            Template.TRADE: self._trade,
            Template.PRICING: self._pricing,
        }

    @property
    def silent(self):
        """Return who was not heard of in time by the clock of this turn, or has said goodbye."""
        return {role for role in NEEDED if not self._is_there(self.beats.get(role))}

    def _is_there(self, beat):
        if beat is None or beat.row["state"] == ServiceState.STOPPED:
            return False
        return abs(self.turn_ns - beat.now_ns) <= self.timeout_ns

    @property
    def simulator_lag_ns(self):
        beat = self.beats.get(Role.MM_SIMULATOR)
        return 0 if beat is None else beat.row["lag_ns"]

    def hear(self, line):
        """Take what a line tells; return whether it is to be answered before anything else."""
        if line.kind is Kind.TURN:
            self._begin_turn(line)
        elif line.kind is Kind.LOOKED:
            self._look(line.halt)
        elif line.template in self.hearing:
            return bool(self.hearing[line.template](line))
        return False

    def _begin_turn(self, line):
        if Role.MM_SIMULATOR in self.silent:  # in the turn that has ended
            for desk in self.desks.values():
                desk.position_lots = None
                desk.open_orders.clear()
        self.turn_ns = line.now_ns
        self.timeout_ns = line.settings["heartbeats"]["timeout_ms"] * MS
        for desk in self.desks.values():
            if abs(self.turn_ns - desk.told_ns) > POSITION_AGE_NS:
                desk.position_lots = None

    def _look(self, halt):
        self.halt = halt
        if halt is Reason.NONE:
            for desk in self.desks.values():
                desk.latches.arm()

    def _heartbeat(self, line):
        self.beats[Role(line.row["role"])] = line

    def _instrument(self, line):
        desk, sizes = self.desks[line.key], ("tick_size_e8", "lot_size_e8")
        was, desk.instrument = desk.instrument, line.row
        if was is None or all(was[size] == line.row[size] for size in sizes):
            return False
        self.halt = Reason.INSTRUMENT_CHANGED
        desk.position_lots, desk.trade_ticks = None, 0
        desk.open_orders.clear()
        desk.book_ns = desk.heard_ns
        desk.latches = Latches()
        if desk.pricing is not None:
            desk.latches.clock_ns = desk.pricing["now_ns"]
        return True

    def _position(self, line):
        desk = self.desks[line.key]
        has_moved = desk.position_lots != line.row["position_lots"]
        desk.position_lots, desk.told_ns = line.row["position_lots"], self.turn_ns
        if desk.instrument is None:
            return False
        reason = desk.latches.hear_profit(line, desk.instrument)
        self.halt = self.halt or reason
        return has_moved or reason is not Reason.NONE

    def _fill(self, line):
        desk = self.desks[line.key]
        if desk.instrument is not None:
            desk.latches.hear_fill(line)

    def _order(self, line):
        row, orders = line.row, self.desks[line.key].open_orders
        left = row["price_ticks"] * (row["qty_lots"] - row["filled_lots"])
        if row["status"] in ALIVE and left > 0:
            orders[row["order_id"]] = left
        else:
            orders.pop(row["order_id"], None)

    def _trade(self, line):
        self.desks[line.key].trade_ticks = line.row["price_ticks"]

    def _pricing(self, line):
        desk, row = self.desks[line.key], line.row
        desk.pricing, desk.heard_ns = row, line.now_ns
        desk.latches.clock_ns = max(desk.latches.clock_ns, row["now_ns"])
        ids = row["book_update_id"], row["bbo_update_id"]
        if ids != desk.book_ids:
            desk.book_ids, desk.book_ns = ids, line.now_ns
        return True
