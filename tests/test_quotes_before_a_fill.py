"""Quotes that were made before the strategy heard of a fill, and arrive after it was told.

They say so themselves by the position that they rest on. An order of 5 lots is quoted; what the
strategy goes on wanting is 5 lots at the same price.
"""

import pytest
from simulator_bench import MIDNIGHT_NS, SimulatorBench

from mmquant.codes import Side

pytestmark = pytest.mark.kernels

BID = 1_000


@pytest.fixture
def bench(tmp_path):
    bench = SimulatorBench(tmp_path, MIDNIGHT_NS)
    bench.join(Side.BUY, BID, 5)
    yield bench
    bench.close()


def want(bench, position_seq):
    """Go on wanting the order; return how many have been sent by now, and what rests of which."""
    bench.beat()
    bench.quote([(BID, 5)], [], position_seq)
    bench.turn(1_000_000)
    orders = bench.desk.main.sim[0]
    rest = [int(o["qty_lots"] - o["filled_lots"]) for o in orders["orders"][: int(orders["count"])]]
    return int(orders["next_order_id"]) - 1, rest


def seq(bench):
    return int(bench.positions[-1]["seq"])


def test_an_order_that_is_filled_in_part_unheard_is_not_replaced(bench):
    before = seq(bench)
    bench.hit(Side.BUY, BID, 2)
    assert bench.positions[-1]["position_lots"] == 2, "it is told"
    assert want(bench, before) == (1, [3])
    assert want(bench, seq(bench)) == (2, [5]), "whoever knows of it wants a whole one anew"


def test_an_order_that_is_filled_unheard_is_not_entered_again(bench):
    before = seq(bench)
    bench.hit(Side.BUY, BID, 5)
    assert bench.positions[-1]["position_lots"] == 5, "it is told"
    assert want(bench, before) == (1, [])
    assert want(bench, before) == (1, []), "however often it is said"
    assert want(bench, seq(bench)) == (2, [5])


def test_of_two_fills_the_strategy_may_know_the_first(bench):
    bench.hit(Side.BUY, BID, 2)
    between = seq(bench)
    bench.hit(Side.BUY, BID, 1)
    bench.beat()
    bench.quote([(BID, 3)], [], between)  # what it believes to be left
    bench.turn(1_000_000)
    sim = bench.desk.main.sim[0]
    assert int(sim["next_order_id"]) == 2
    assert sim["orders"][0]["qty_lots"] - sim["orders"][0]["filled_lots"] == 2


def test_a_position_of_a_session_before_this_one_is_none_that_was_heard(bench):
    bench.hit(Side.BUY, BID, 5)
    assert want(bench, seq(bench) + 1_000) == (1, [])


def test_what_the_strategy_has_heard_of_is_not_kept(bench):
    for _ in range(5):
        bench.turn(1_100_000_000)
        bench.beat()
    bench.book(BID)
    want(bench, seq(bench))
    bench.hit(Side.BUY, BID, 5)
    want(bench, seq(bench))
    assert not bench.desk._unheard
    assert not bench.desk._told
