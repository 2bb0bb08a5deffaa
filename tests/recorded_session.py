"""A session of all services in one process: a small random market, recorded and journalled."""

import numpy as np
from memory_bus import MemoryBus, SteppedClock
from mm_pricing.service import Pricing, build
from mm_recorder.service import Recorder
from mm_runtime.settings import (
    PricingSettings,
    RecorderSettings,
    RuntimeSettings,
    SessionSettings,
    SimulatorSettings,
    StrategySettings,
)
from mm_runtime.transport import DriverLost
from mm_simulator.service import Simulator
from mm_strategy.reload import LastGood
from mm_strategy.service import Strategy

from mmquant.codes import BookState, Market, Role, ServiceState, Stream, Template
from mmquant.wire import MessageBuffer

__all__ = ["SmallMarket", "record_session"]

LEVELS = 5
MS = 1_000_000


class SmallMarket:
    """Stands for the collector: a book that walks at random, now and then with a lost delta."""

    def __init__(self, bus, clock, seed):
        self.clock, self.random = clock, np.random.default_rng(seed)
        self.market_data = bus.publisher(Stream.MARKET_DATA, 1)
        self.trades = bus.publisher(Stream.TRADES, 1)
        self.states = bus.publisher(Stream.STATE, 1)
        self.heartbeats = bus.publisher(Stream.HEARTBEATS, 1)
        self.bid, self.update_id, self.trade_id = 640_000, 1, 0
        self.steps = 0

    def message(self, publisher, template, capacities=(), **values):
        message = MessageBuffer(template, capacities)
        now_ns = self.clock.now_ns()
        values |= {"seq": publisher.next_seq(), "now_ns": now_ns, "instrument_id": 1, "epoch": 7}
        if "received_ns" in message.block.dtype.names:
            values |= {"received_ns": now_ns - 5_000, "sent_ns": now_ns, "venue_ns": now_ns}
        for name, value in values.items():
            message.block[name] = value
        return message

    def beat(self):
        values = {"role": Role.MM_COLLECTOR, "state": ServiceState.READY}
        self.heartbeats.offer(self.message(self.heartbeats, Template.HEARTBEAT, (0,), **values))

    def instrument(self):
        values = {"symbol": b"BTCUSDT", "tick_size_e8": 10_000_000, "lot_size_e8": 100_000}
        values |= {"min_price_ticks": 1, "max_price_ticks": 10**9, "min_qty_lots": 1}
        values |= {"max_qty_lots": 10**6, "market": Market.USDM}
        self.states.offer(self.message(self.states, Template.INSTRUMENT, **values))

    def snapshot(self):
        values = {"last_update_id": self.update_id, "book_state": BookState.LIVE}
        values |= {"known_low_ticks": self.bid - 1000, "known_high_ticks": self.bid + 1000}
        sizes = (LEVELS, LEVELS)
        message = self.message(self.market_data, Template.BOOK_SNAPSHOT, sizes, **values)
        k = np.arange(LEVELS)
        for side, first, step in ((0, self.bid, -1), (1, self.bid + 2, 1)):
            rows = message.group(side, LEVELS)
            rows["price_ticks"], rows["qty_lots"] = first + step * k, 20 + k
        self.market_data.offer(message)

    def best(self):
        self.update_id += 1
        values = {"update_id": self.update_id, "bid_ticks": self.bid, "ask_ticks": self.bid + 2}
        values |= {"bid_lots": self.random.integers(1, 50), "ask_lots": self.random.integers(1, 50)}
        self.market_data.offer(self.message(self.market_data, Template.BEST_BID_OFFER, **values))

    def trade(self):
        self.trade_id += 1
        side = int(self.random.choice((-1, 1)))
        values = {"trade_id": self.trade_id, "aggressor": side, "qty_lots": 30}
        values["price_ticks"] = self.bid + 1 + side * int(self.random.integers(1, 12))
        self.trades.offer(self.message(self.trades, Template.TRADE, **values))

    def lost_delta(self):
        values = {"previous_update_id": self.update_id + 50, "last_update_id": self.update_id + 51}
        self.market_data.offer(
            self.message(self.market_data, Template.BOOK_DELTA, (0, 0), **values)
        )

    def step(self):
        self.steps += 1
        self.clock.time_ns += int(self.random.integers(1, 20)) * MS
        if self.steps % 10 == 1:
            self.beat()
        if self.steps % 50 == 1:
            self.instrument()
            self.snapshot()
        self.bid += int(self.random.integers(-2, 3))
        self.best()
        if self.random.random() < 0.5:
            self.trade()
        if self.steps % 170 == 0:
            self.lost_delta()


class LosesDriver:
    """Stands for the publication of a service whose media driver has gone."""

    session_id = 0

    def offer(self, payload):
        raise DriverLost("gone")


def record_session(
    folder,
    steps=400,
    seed=1,
    kill_at=0,
    lose_at=0,
    simulator=None,
    start_ns=None,
    pricing_dir=None,
    config=None,
):
    """Record a session to `folder`; the prices are those of pricing.toml in `pricing_dir`, if any.

    At step `kill_at` the strategy dies and comes again; from `lose_at` on it finds its media driver
    gone with its next quotes, closes, and comes again.
    """
    bus, clock = MemoryBus(), SteppedClock()
    clock.time_ns = clock.time_ns if start_ns is None else start_ns
    runtime = RuntimeSettings(
        state_directory=str(folder / "var"), session=SessionSettings(directory=str(folder / "s"))
    )
    config = config or StrategySettings(requote_ticks=1)

    def strategy():
        return Strategy(runtime, config, clock, LastGood(folder, folder))

    recorder = Recorder(runtime, RecorderSettings(), clock)
    agents = [
        recorder,
        Pricing(runtime, PricingSettings(warmup_s=0.1), clock)
        if pricing_dir is None
        else build(pricing_dir, runtime, clock),
        strategy(),
        Simulator(runtime, simulator or SimulatorSettings(entry_latency_ms=1.0), clock),
    ]
    for agent in agents:
        agent.connect = bus.connect
        agent.on_start()
    market = SmallMarket(bus, clock, seed)
    for step in range(1, steps + 1):
        market.step()
        if step == kill_at:
            agents[2].journal._writer.close()  # what a killed process leaves: no last words
            agents[2] = strategy()
            agents[2].connect = bus.connect
            agents[2].on_start()
        if step == lose_at:
            agents[2]._publishers[Stream.QUOTES]._publication = LosesDriver()
        for turn in range(4):
            clock.time_ns += 17 * MS * (turn == 3)  # a turn without a message, some time later
            for agent in list(agents):
                try:
                    agent.do_work()
                except DriverLost:
                    agent.on_close()
                    agents[2] = strategy()
                    agents[2].connect = bus.connect
                    agents[2].on_start()
    for agent in (*agents[1:], recorder):
        recorder.do_work()
        agent.on_close()
    return folder / "s"
