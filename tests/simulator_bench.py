"""The simulator service by itself, on a bus in memory: the test is its market and its strategy."""

import weakref
from collections import Counter

import numpy as np
from memory_bus import MemoryBus, SteppedClock
from mm_runtime.settings import RuntimeSettings, SimulatorSettings
from mm_simulator.service import Simulator

from mmquant.codes import BookState, Market, Role, ServiceState, Side, Stream, Template
from mmquant.records import LEVEL
from mmquant.wire import Inbox, MessageBuffer

__all__ = ["MIDNIGHT_NS", "SIZES", "SimulatorBench"]

MIDNIGHT_NS = 1_700_006_400 * 10**9  # 2023-11-15 00:00 UTC
SIZES = {Market.USDM: (10**7, 10**5), Market.SPOT: (10**6, 10**3)}  # tick and lot, of BTCUSDT
NOW = {"entry_latency_ms": 0.0, "cancel_latency_ms": 0.0, "response_latency_ms": 0.0}
NOW |= {"markout_horizon_ms": 1}


class SimulatorBench:
    """Runs the service on the ledger in `folder` from `now_ns` on."""

    def __init__(self, folder, now_ns, market=Market.USDM, heard=None, bus=None, **config):
        self.bus, self.clock, self.market = bus or MemoryBus(), SteppedClock(now_ns), market
        self.seqs, self.update_id, self.inbox = Counter(), 0, Inbox()
        self.positions, self.heard = [], heard
        self.bus.subscriber(Stream.POSITIONS, self.inbox, {Template.POSITION: self._on_position})
        self.ears = self.bus.subscriptions[int(Stream.POSITIONS)][-1]
        runtime = RuntimeSettings(state_directory=str(folder))
        self.service = Simulator(runtime, SimulatorSettings(**(NOW | config)), self.clock)
        self.service.connect = self.bus.connect
        self.service.on_start()
        # A test that kills the service leaves nobody to close its ledger.
        weakref.finalize(self, self.service._ledger._db.close)
        tick, lot = SIZES[market]
        sizes = {"tick_size_e8": tick, "lot_size_e8": lot, "max_qty_lots": 10**9}
        limits = {"min_price_ticks": 1, "max_price_ticks": 10**9, "min_qty_lots": 1}
        self.send(
            Stream.STATE, Template.INSTRUMENT, symbol=b"BTCUSDT", market=market, **sizes, **limits
        )
        self.turn()

    def _on_position(self):
        self.positions.append(self.inbox.block(Template.POSITION)[0].copy())

    def send(self, stream, template, groups=(), **values):
        message = MessageBuffer(template, tuple(max(1, len(rows)) for rows in groups))
        self.seqs[stream] += 1
        values |= {"seq": self.seqs[stream], "now_ns": self.clock.time_ns, "instrument_id": 1}
        for name, value in values.items():
            message.block[name] = value
        for k, rows in enumerate(groups):
            message.set_group(k, np.array(rows, LEVEL))
        self.bus.publisher(stream, 1).offer(message)

    def turn(self, wait_ns=0):
        """Let time pass, then the service have its turn; hear what it said."""
        self.clock.time_ns += wait_ns
        self.service.do_work()
        self.hear()

    def hear(self):
        while self.ears.queue:
            _, _, message = self.ears.queue.popleft()
            self.inbox.receive(message)
            self._on_position()
            if self.heard is not None:
                self.heard(self.positions[-1])

    def beat(self):
        """Say that the strategy lives."""
        said = {"role": Role.MM_STRATEGY, "state": ServiceState.READY}
        self.send(Stream.HEARTBEATS, Template.HEARTBEAT, [[]], **said)

    def quote(self, bids, asks, position_seq=None):
        """Want these orders, knowing of the newest position, or of the one with this number."""
        if position_seq is None:
            position_seq = int(self.positions[-1]["seq"]) if self.positions else 0
        known = {"epoch": 1, "position_seq": position_seq}
        self.send(Stream.QUOTES, Template.QUOTES, [bids, asks], **known)

    def book(self, bid):
        """Show a book whose best bid is `bid`, its best ask two ticks above."""
        self.update_id += 1
        values = {"last_update_id": self.update_id, "book_state": BookState.LIVE, "epoch": 1}
        values |= {"venue_ns": self.clock.time_ns, "known_low_ticks": 1}
        sides = [[(bid - k, 50) for k in range(3)], [(bid + 2 + k, 50) for k in range(3)]]
        self.send(
            Stream.MARKET_DATA, Template.BOOK_SNAPSHOT, sides, known_high_ticks=10**9, **values
        )

    def join(self, side, bid, qty_lots):
        """Quote one order at the touch; return its price."""
        price = bid if side == Side.BUY else bid + 2
        self.book(bid)
        self.beat()
        self.turn(1_000_000)
        wanted = [[(price, qty_lots)], []] if side == Side.BUY else [[], [(price, qty_lots)]]
        self.quote(*wanted)
        self.turn(1_000_000)
        return price

    def hit(self, side, price, qty_lots):
        """Let a trade go through what was quoted."""
        at = price - 5 * side
        values = {"price_ticks": at, "qty_lots": qty_lots, "aggressor": -side, "trade_id": 1}
        self.send(Stream.TRADES, Template.TRADE, venue_ns=self.clock.time_ns, **values)
        self.turn(1_000_000)

    def trade(self, side, bid, qty_lots):
        """Quote one order at the touch, and let a trade go through it; return its price."""
        price = self.join(side, bid, qty_lots)
        self.hit(side, price, qty_lots)
        return price

    @property
    def desk(self):
        return self.service._desks[1]

    @property
    def account(self):
        return self.desk.main.account[0]

    def close(self):
        self.service.on_close()
        self.hear()
