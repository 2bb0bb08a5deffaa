"""The dead man's switch: no order stands, and none is entered, while the strategy is silent."""

import pytest
from simulator_bench import MIDNIGHT_NS, SimulatorBench

from mmquant.codes import Reason, Role, ServiceState, Stream, Template

pytestmark = pytest.mark.kernels

MS = 1_000_000
BID = 100_000


@pytest.fixture
def bench(tmp_path):
    bench = SimulatorBench(tmp_path, MIDNIGHT_NS)
    bench.book(BID)
    bench.beat()
    bench.turn(MS)
    yield bench
    bench.close()


def orders(bench):
    """Return the number of orders alive after the quotes were told once more."""
    bench.book(BID)
    bench.quote([(BID, 3)], [(BID + 2, 3)])
    bench.turn(MS)
    bench.turn(MS)
    return int(bench.desk.main.sim[0]["count"])


def test_quotes_that_come_without_a_heartbeat_enter_nothing(bench):
    assert orders(bench) == 2
    bench.turn(bench.service.settings.heartbeats.timeout_ms * MS + MS)
    assert bench.desk.main.sim[0]["count"] == 0
    assert bench.service.reason is not Reason.NONE
    for told in (1, 2):  # its heartbeats are lost, its quotes are not
        assert orders(bench) == 0
        assert bench.service.counters["silent_quotes"] == told
    bench.beat()
    assert orders(bench) == 2


def test_the_heartbeat_says_how_old_the_market_was_that_is_matched(bench):
    beats = []
    heard = {Template.HEARTBEAT: lambda: beats.append(bench.inbox.block(Template.HEARTBEAT).copy())}
    ear = bench.bus.subscriber(Stream.HEARTBEATS, bench.inbox, heard)

    def lag_ns(wait_ns, **sent):
        bench.clock.time_ns += wait_ns
        values = {"bid_ticks": BID, "ask_ticks": BID + 2, "bid_lots": 1, "ask_lots": 1}
        bench.send(Stream.MARKET_DATA, Template.BEST_BID_OFFER, **values, **sent)
        bench.turn(2_000 * MS)
        ear.poll(100)
        return int(beats[-1]["lag_ns"][0])

    now_ns = bench.clock.time_ns
    assert 2_000 * MS <= lag_ns(0, sent_ns=now_ns) < 2_001 * MS
    trade = {"price_ticks": BID, "qty_lots": 1, "aggressor": 1}
    bench.send(Stream.TRADES, Template.TRADE, **trade, sent_ns=bench.clock.time_ns - 700 * MS)
    bench.turn(1_000 * MS)
    ear.poll(100)
    assert 1_700 * MS <= beats[-1]["lag_ns"] < 1_701 * MS
    assert lag_ns(0, sent_ns=bench.clock.time_ns + 10**12) == 0  # of a clock that goes ahead
    assert lag_ns(0) == 0  # it does not say


def test_quotes_behind_a_goodbye_enter_nothing(bench):
    assert orders(bench) == 2
    said = {"role": Role.MM_STRATEGY, "state": ServiceState.STOPPED}
    bench.send(Stream.HEARTBEATS, Template.HEARTBEAT, [[]], **said)
    assert [orders(bench) for _ in range(2)] == [0, 0]
