"""When a replacement may take over: the old connection has reached the beginning of the new one."""

import random
from collections import Counter

import orjson
import pytest
from mm_collector.feed import Feed, InstrumentFilters
from mm_collector.frames import FrameReader, Instrument
from mm_collector.live import LiveSnapshots
from mm_collector.streams import Streams
from mm_collector.sync import BookSync, SyncLimits
from mm_collector.trades import TradeFeed
from mm_collector.venue import RULES
from mm_runtime.settings import CollectorSettings
from test_feed import MS, Recorder
from test_feed_machine import snapshot_body

from mmquant.codes import Market

SYMBOLS = ("BTCUSDT", "ETHUSDT")


class Standby:
    """Stands where a link is that has a replacement."""

    def __init__(self, *frames):
        self.firsts = {orjson.loads(frame)["stream"]: frame for frame in frames}
        self.quiet = set()
        self.has_handed_over = False

    def standby_firsts(self):
        return self.firsts

    def is_quiet(self, name):
        return name in self.quiet

    def hand_over(self):
        self.has_handed_over = True


def frame(symbol, kind, **fields):
    data = {"E": 1, "T": 1, "s": symbol, **fields}
    return orjson.dumps({"stream": f"{symbol.lower()}@{kind}", "data": data})


def depth(symbol, first, last, previous):
    more = {"U": first, "u": last, "pu": previous, "b": [], "a": []}
    return frame(symbol, "depth@100ms", e="depthUpdate", **more)


def trade(symbol, trade_id):
    more = {"t": trade_id, "p": "6.0", "q": "1.0", "X": "MARKET", "m": True}
    return frame(symbol, "trade", e="trade", **more)


def aggregate(symbol, own, first, last):
    more = {"a": own, "p": "6.0", "q": "1.0", "f": first, "l": last, "m": True}
    return frame(symbol, "aggTrade", e="aggTrade", **more)


class World:
    """Two symbols' feeds, LIVE at update id 110 with trade 50 as the last, and their streams."""

    def __init__(self):
        self.streams = Streams(CollectorSettings(symbols=SYMBOLS), RULES[Market.USDM], False, None)
        self.reader, self.feeds = FrameReader(), {}
        for number, symbol in enumerate(SYMBOLS, start=1):
            instrument = Instrument(symbol, 10_000_000, 100_000)
            self.reader.add(instrument)
            rng, counters = random.Random(1), Counter()
            self.feeds[symbol] = Feed(
                number,
                InstrumentFilters(instrument, Market.USDM, 1, 10**7, 1, 10**6, 0),
                BookSync(Market.USDM, SyncLimits(100, 2_000 * MS, 250 * MS, 1_000 * MS), rng),
                LiveSnapshots(0, 10, rng),
                TradeFeed(number, Recorder(), counters, 5_000 * MS),
                Recorder(),
                counters,
                10,
                1_000,
            )
            feed = self.feeds[symbol]
            feed.on_connected(0, 0)
            self.hear(depth(symbol, 101, 110, 100))
            feed.sync.on_snapshot_requested()
            body = snapshot_body(105, {("bids", 1): 1}, Market.USDM)
            feed.on_snapshot(self.reader.parse_snapshot(body, symbol), 0, 0)
            self.hear(trade(symbol, 50))

    def hear(self, payload):
        event = self.reader.parse_message(payload)
        feed = self.feeds[event.symbol]
        if b"depthUpdate" in payload:
            feed.on_depth(event, 0, 0)
        elif b"aggTrade" in payload:
            feed.trades.on_aggregate(event, 1, 0, 0)
        else:
            feed.trades.on_trade(event, 1, 0, 0)

    def is_handed_over(self, link):
        self.streams.hand_over(link, self.feeds.values(), self.reader)
        return link.has_handed_over


@pytest.fixture
def world():
    return World()


def test_the_old_connection_must_come_to_the_end_of_the_new_one_s_first_event(world):
    world.streams.main = link = Standby(*(depth(symbol, 111, 120, 110) for symbol in SYMBOLS))
    assert not world.is_handed_over(link)  # nothing is missing of the books, but of the trades
    world.hear(depth("BTCUSDT", 111, 120, 110))
    assert not world.is_handed_over(link)
    world.hear(depth("ETHUSDT", 111, 120, 110))
    assert world.is_handed_over(link)


def test_batches_of_other_edges_are_passed_too(world):
    world.streams.main = link = Standby(
        depth("BTCUSDT", 106, 115, 105), depth("ETHUSDT", 90, 110, 89)
    )
    assert not world.is_handed_over(link)
    world.hear(depth("BTCUSDT", 111, 118, 110))
    assert world.is_handed_over(link)


def test_the_trades_between_must_have_come(world):
    world.streams.main = link = Standby(
        *(depth(symbol, 101, 110, 100) for symbol in SYMBOLS), trade("BTCUSDT", 52)
    )
    assert not world.is_handed_over(link)
    world.hear(trade("BTCUSDT", 51))
    assert world.is_handed_over(link)


def test_a_symbol_of_which_the_new_one_has_nothing_is_waited_for_unless_quiet(world):
    world.streams.main = link = Standby(depth("BTCUSDT", 101, 110, 100))
    assert not world.is_handed_over(link)
    link.quiet.add("ethusdt@depth@100ms")
    assert world.is_handed_over(link)


def test_every_symbol_s_aggregates_must_go_on(world):
    for symbol in SYMBOLS:
        world.streams.want_aggregates(symbol)
        world.feeds[symbol].trades.uses_aggregates = True
        world.hear(aggregate(symbol, 7, 51, 51))
    world.streams.aggregates = link = Standby(aggregate("BTCUSDT", 8, 52, 53))
    assert not world.is_handed_over(link)
    link.firsts["ethusdt@aggTrade"] = aggregate("ETHUSDT", 9, 53, 53)
    assert not world.is_handed_over(link)  # 8 is still to come by the old one
    world.hear(aggregate("ETHUSDT", 8, 52, 52))
    assert world.is_handed_over(link)


def test_aggregates_of_nobody_are_not_waited_for(world):
    world.streams.want_aggregates("BTCUSDT")
    world.streams.aggregates = link = Standby()
    assert world.is_handed_over(link)  # its trades are back
    world.feeds["BTCUSDT"].trades.uses_aggregates = True
    link.has_handed_over = False
    assert not world.is_handed_over(link)
