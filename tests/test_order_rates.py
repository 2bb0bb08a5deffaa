"""Tokens for orders and cancellations: what stays without them, what goes, what it costs."""

import pytest
from strategy_bench import Bench

from mmquant.codes import QuoteClamp, Reason

pytestmark = pytest.mark.kernels

S = 10**9


def test_without_tokens_the_orders_stay_but_none_better_than_is_wanted_now():
    rates = {"order_ns": S, "order_burst_ns": 4 * S}
    bench = Bench(levels=2, **rates)
    assert bench.orders() == ([(999, 10), (998, 10)], [(1001, 10), (1002, 10)])
    # Bids from 1000 and asks from 1002 are wanted: the ask of 1001 is too cheap by now.
    assert bench.orders(fair_value_ticks=1001.0) == ([(999, 10), (998, 10)], [(1002, 10)])
    assert bench.out[0]["bid_clamps"] == bench.out[0]["ask_clamps"] == QuoteClamp.RATED
    bench.pass_time(2 * S)  # one order a side: the others stay where they are
    assert bench.orders() == ([(1000, 10), (999, 10)], [(1002, 10), (1003, 10)])


def test_without_tokens_no_bid_stays_above_a_fair_value_that_fell():
    bench = Bench(levels=2, order_ns=S, order_burst_ns=4 * S)
    bench.orders()
    got = bench.step(fair_value_ticks=990.0, bid_ticks=985)
    assert got[1:4] == (0, Reason.ORDER_RATE, 0)
    assert got[8:] == ([], [(1001, 10), (1002, 10)])


def test_without_tokens_what_stays_shrinks_with_the_limits():
    bench = Bench(levels=2, order_ns=S, order_burst_ns=4 * S, soft_limit_lots=30)
    bench.model_params[4] = 0.0  # no skew
    bench.orders()
    for position, bids in ((40, [(999, 10)]), (46, [(999, 4)]), (60, [])):
        got = bench.orders({"position_lots": position}, fair_value_ticks=1000.5)
        assert got == (bids, [(1002, 10)])


def test_fills_never_cost_more_than_a_burst():
    bench = Bench(order_ns=S, order_burst_ns=2 * S)
    for _ in range(9):
        bench.fill(1, 1, 2000, bench.now_ns)
    assert bench.state[0]["order_tokens_ns"] == -2 * S


def test_without_tokens_what_would_trade_goes_and_is_not_replaced():
    bench = Bench(order_ns=S, order_burst_ns=2 * S)
    bench.orders()
    got = bench.step(bid_ticks=1001, ask_ticks=1003, fair_value_ticks=1002.0)
    assert got[1:4] == (0, 0, Reason.ORDER_RATE)
    assert got[8:] == ([(999, 10)], [])


def test_pulling_is_always_allowed_and_what_it_lacks_is_owed():
    bench = Bench(cancel_ns=S, cancel_burst_ns=2 * S)
    for _ in range(3):
        bench.orders()
        assert bench.orders({"upstream_ok": 0}) == ([], [])
    assert bench.state[0]["cancel_tokens_ns"] == -2 * S
    assert bench.orders() != ([], [])  # entering needs no cancellation


def test_a_size_that_only_shrinks_costs_nothing():
    bench = Bench(order_ns=S, order_burst_ns=2 * S, cancel_ns=S, cancel_burst_ns=2 * S)
    bench.model_params[4] = 0.0  # no skew
    bench.orders()
    assert bench.orders({"position_lots": 45})[0] == [(999, 5)]
    assert bench.state[0]["order_tokens_ns"] == 0
