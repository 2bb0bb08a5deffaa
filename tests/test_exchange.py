"""The exchange of single orders: against its twin, and what a real venue promises."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_exchange import ReferenceExchange
from reference_market import Book

from mmquant.kernels import exchange as kernels
from mmquant.market import Exchange, MarketParameters

pytestmark = pytest.mark.kernels

SECOND = 1_000_000_000
LEVEL, TRADE, ADDED, CANCELLED = 1, 2, 3, 4
INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT") == "1"

# What we do: after a while, place near the best of a side, or cancel one of ours.
ACTION = st.tuples(
    st.integers(0, 100_000_000),
    st.sampled_from([1, -1]),
    st.integers(-3, 12),  # ticks behind the best
    st.integers(1, 300),
    st.one_of(st.none(), st.integers(0, 20)),
)
ACTIONS = st.lists(ACTION, max_size=8)
SMALL = MarketParameters(limit_rate_per_s=60.0, cancel_rate_per_s=3.0, market_rate_per_s=6.0)
WILD = MarketParameters(
    limit_rate_per_s=60.0,
    cancel_rate_per_s=3.0,
    volatility_ticks_per_sqrt_s=200.0,
    market_rate_per_s=30.0,
    market_lots=2000.0,
    fade_rate_per_tick_s=200.0,
    depth_ticks=30,
    max_spread_ticks=10,
    min_levels=2,
)


def act(exchange, twin, actions):
    """Do the same to both; yield the events of each after every action."""
    now, ids = 0, []
    for wait, side, behind, qty, cancelled in actions:
        now += wait
        yield exchange.run(now).tolist(), twin.run(now)
        if cancelled is None:
            price = exchange.best_ticks[0 if side == 1 else 1] - side * behind
            order_id = exchange.place(side, price, qty)
            assert order_id == twin.place(side, price, qty)
            if order_id:
                ids.append(order_id)
                assert exchange.queue_ahead(order_id) == twin.ahead(order_id)
        elif ids:
            order_id = ids[cancelled % len(ids)]
            assert exchange.cancel(order_id) == twin.cancel(order_id)
    now += SECOND // 10
    yield exchange.run(now).tolist(), twin.run(now)


@given(st.integers(0, 2**64 - 1), st.sampled_from([SMALL, WILD]), ACTIONS)
@settings(max_examples=4 if INTERPRETED else 20, deadline=None)
def test_every_event_is_that_of_the_twin(seed, parameters, actions):
    exchange, twin = Exchange(seed, parameters), ReferenceExchange(seed, parameters)
    for here, there in act(exchange, twin, actions):
        assert here == there
    for side, levels in zip((1, -1), exchange.levels(), strict=True):
        assert dict(levels.tolist()) == {p: twin.lots(side, p) for p in twin.queues[side]}
    s = exchange.state[0]
    assert s["bid_levels"] == len(twin.of_market(1))
    assert s["ask_levels"] == len(twin.of_market(-1))
    assert s["bid_orders"] + s["ask_orders"] == exchange.orders.sum()


def followed(exchange, events, book, queues):
    """Rebuild levels and queues from the events alone, checking each."""
    for kind, _, update_id, side, price, lots, order_id, _own in events.tolist():
        if kind == LEVEL:
            assert update_id == book.update_id + 1
            book.update_id = update_id
            book.set_level(side, price, lots)
            queue = queues.get((side, price), [])
            assert lots == sum(qty for _, qty in queue)
            bid, ask = book.best
            assert bid < ask
        elif kind == ADDED:
            queues.setdefault((side, price), []).append((order_id, lots))
        elif kind == TRADE:
            queue = queues[-side, price]
            assert queue[0][0] == order_id, "not the first of the queue"
            assert price == book.best[1 if side == 1 else 0]
            left = queue[0][1] - lots
            assert left >= 0
            queue[0:1] = [(order_id, left)] if left else []
        else:
            queues[side, price].remove((order_id, lots))


def queues_of(exchange):
    """Return the queues as they stand: {(side, price): [(id, lots)]}."""
    q = exchange.queues[0]
    found = {}
    for first in q["first"][q["first"] > 0].tolist():
        slot, rows = first, []
        while slot:
            o = q["orders"][slot]
            rows.append((int(o["order_id"]), int(o["qty_lots"])))
            slot = int(o["next"])
        found[int(o["side"]), int(o["price_ticks"])] = rows
    return found


@given(st.integers(0, 2**64 - 1), st.sampled_from([SMALL, WILD]), ACTIONS)
@settings(max_examples=4 if INTERPRETED else 20, deadline=None)
def test_the_feed_rebuilds_the_queues_first_in_first_out_and_no_lot_is_lost(
    seed, parameters, actions
):
    exchange = Exchange(seed, parameters)
    bids, asks = exchange.levels()
    book = Book(bids.tolist(), asks.tolist(), exchange.update_id)
    queues = queues_of(exchange)
    now, ids = 0, []
    for wait, side, behind, qty, cancelled in actions:
        now += wait
        followed(exchange, exchange.run(now), book, queues)
        if cancelled is None:
            best = exchange.best_ticks[0 if side == 1 else 1]
            ids.append((exchange.place(side, best - side * behind, qty), qty))
        elif ids and ids[-1][0]:
            exchange.cancel(ids[-1][0])
    events = exchange.run(now + SECOND // 5)
    followed(exchange, events, book, queues)
    assert {key: queue for key, queue in queues.items() if queue} == queues_of(exchange)
    fills = exchange.fills()
    for order_id, qty in ids:
        mine = fills[fills["order_id"] == order_id]
        assert mine["qty_lots"].sum() <= qty
        assert (mine["time_ns"] > mine["placed_ns"]).all()


def test_an_own_order_is_filled_when_all_ahead_is_gone_and_not_before():
    exchange = Exchange(5)
    seen = 0
    for round_ in range(1, 9 if INTERPRETED else 40):
        exchange.run(round_ * SECOND)
        bid, _ = exchange.best_ticks
        order_id = exchange.place(1, bid, 2)
        ahead = exchange.queue_ahead(order_id)
        assert ahead == dict(exchange.levels()[0].tolist())[bid] - 2
        events = exchange.run(round_ * SECOND + SECOND // 2)
        fills = exchange.fills()
        if order_id in fills["order_id"]:
            seen += 1
            first = fills[fills["order_id"] == order_id][0]
            assert first["entry_ahead_lots"] == ahead
            at = np.flatnonzero((events["order_id"] == order_id) & (events["kind"] == TRADE))[0]
            gone = events[:at]
            added = gone[(gone["kind"] == ADDED) & (gone["order_id"] > order_id)]["order_id"]
            here = gone[(gone["price_ticks"] == bid) & ~np.isin(gone["order_id"], added)]
            left = here[np.isin(here["kind"], (TRADE, CANCELLED))]["qty_lots"].sum()
            assert left == ahead
        exchange.cancel(order_id)
    assert seen > 0


@given(seed=st.integers(0, 2**64 - 1), cuts=st.lists(st.integers(0, SECOND), max_size=6))
@settings(max_examples=5 if INTERPRETED else 20, deadline=None)
def test_events_do_not_depend_on_how_time_is_cut(seed, cuts):
    whole = Exchange(seed).run(SECOND)
    market = Exchange(seed)
    parts = [market.run(cut) for cut in [*sorted(cuts), SECOND]]
    assert np.array_equal(np.concatenate(parts), whole)


def test_run_is_step_folded():
    stepped, run = Exchange(9), Exchange(9)
    n = 0
    while stepped.state[0]["next_ns"] <= SECOND:
        n = kernels.exchange_step(*stepped._all, np.int64(n))
    events = run.run(SECOND)
    assert np.array_equal(events, stepped._rows[:n].view(events.dtype)[:, 0])
    assert stepped.queues.tobytes() == run.queues.tobytes()


def test_same_numbers_compiled_and_interpreted():
    code = (
        "import hashlib; from mmquant.market import Exchange;"
        "e = Exchange(7); e.run(10**8); e.place(1, e.best_ticks[0], 9);"
        "print(hashlib.sha256(e.run(10**9).tobytes()).hexdigest())"
    )
    other = {**os.environ, "NUMBA_DISABLE_JIT": "0" if INTERPRETED else "1"}
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], env=other, cwd=root, capture_output=True, text=True
    )
    exchange = Exchange(7)
    exchange.run(10**8)
    exchange.place(1, exchange.best_ticks[0], 9)
    here = hashlib.sha256(exchange.run(10**9).tobytes()).hexdigest()
    assert (done.stdout.strip(), done.stderr) == (here, "")


@pytest.mark.skipif(INTERPRETED, reason="minutes of market are for the compiled kernels")
def test_a_few_minutes_look_like_a_market():
    exchange = Exchange(1)
    spreads, changes, trades, levels = [], 0, 0, []
    for second in range(300):
        events = exchange.run((second + 1) * SECOND)
        changes += int((events["kind"] == LEVEL).sum())
        trades += int((events["kind"] == TRADE).sum())
        bid, ask = exchange.best_ticks
        spreads.append(ask - bid)
        levels.extend(len(side) for side in exchange.levels())
    assert 200 <= changes / 300 <= 700
    assert 2 <= trades / 300 <= 30
    assert np.mean(np.array(spreads) <= 5) > 0.9
    assert 30 <= np.mean(levels) <= 70
    assert exchange.queues[0]["refused"] == 0


def test_a_full_exchange_refuses_and_counts():
    exchange = Exchange(1)
    exchange.queues[0]["used"] = 8192
    exchange.queues[0]["free"] = 0
    with pytest.raises(ValueError, match="needs room among the exchange's orders"):
        exchange.place(1, exchange.best_ticks[0], 1)
    assert exchange.queues[0]["refused"] == 1


def test_what_makes_no_sense_is_refused():
    exchange = Exchange(1)
    bid, ask = exchange.best_ticks
    before = exchange.state.tobytes()
    assert exchange.place(1, ask, 1) == 0  # it would take
    assert exchange.place(-1, bid, 1) == 0
    for arguments, message in [
        ((2, bid, 1), "side must be 1"),
        ((1, 0, 1), "price_ticks must be between 1"),
        ((1, bid, 0), "qty_lots must be between 1"),
        ((1, bid - 500, 1), "price_ticks must lie within 200 ticks"),
    ]:
        with pytest.raises(ValueError, match=message):
            exchange.place(*arguments)
    with pytest.raises(ValueError, match="order_id must be one that place returned, got 3"):
        exchange.cancel(3)
    with pytest.raises(ValueError, match="depth_ticks must be at most 1000"):
        Exchange(1, MarketParameters(depth_ticks=1200))
    assert exchange.state.tobytes() == before
    order_id = exchange.place(1, bid, 1)
    assert exchange.cancel(order_id) == 1
    assert exchange.cancel(order_id) == 0
    with pytest.raises(ValueError, match="it ended"):
        exchange.queue_ahead(order_id)


@pytest.mark.skipif(INTERPRETED, reason="plain Python has no signatures")
def test_one_signature_a_kernel():
    exchange = Exchange(1)
    exchange.cancel(exchange.place(1, exchange.best_ticks[0], 1))
    exchange.run(SECOND)
    for name, kernel in vars(kernels).items():
        if hasattr(kernel, "signatures"):
            assert len(kernel.signatures) <= 1, name
