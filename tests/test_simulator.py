"""The simulator's kernels against their twin, and what a fill must never be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_simulator import ReferenceSimulator, times_never_go_backwards
from simulating import hear_feed, instrument_with, quotes_by_who_heard, statuses

from mmquant.codes import (
    FillKind,
    FillModel,
    Liquidity,
    OrderEventKind,
    OrderKind,
    OrderStatus,
    Reason,
    Side,
    Template,
)
from mmquant.kernels.matching import match_print
from mmquant.kernels.requests import advance_orders
from mmquant.kernels.simulator import simulator_on_quotes, simulator_submit
from mmquant.records import INSTRUMENT
from mmquant.simulator import Simulator, simulator_params, simulator_state
from mmquant.state import MAX_EVENTS, MAX_LEVELS, MAX_ORDERS

pytestmark = pytest.mark.kernels

PARAMS = {
    "fill_model": FillModel.CROSS,
    "queue_power": 1.0,
    "entry_latency_ns": 10,
    "cancel_latency_ns": 5,
    "fill_probability_factor": 1.0,
    "maker_fee_ppm": 200,
    "taker_fee_ppm": 500,
    "markout_horizon_ns": 60,
}
FILTERS = [name for name in INSTRUMENT.names if name.endswith(("_ticks", "_lots", "_e8"))]
FILTERS += ["max_orders"]
EDGES = {"min_qty_lots": 2, "max_price_ticks": 104, "max_orders": 7, "max_notional_e8": 11 * 10**6}
EDGES |= {"buy_down_e8": 965 * 10**5, "sell_up_e8": 1035 * 10**5}
UPDATE_FIELDS = "now_ns order_id side price_ticks qty_lots filled_lots status reason".split()
FILL_FIELDS = (
    "now_ns order_id side price_ticks qty_lots fill_id fee_micro_tick_lots mark_half_ticks "
    "trade_id position_lots kind queue_entry_lots queue_ahead_lots queue_ns"
).split()


def simulator_with(seed=1, **changes):
    return Simulator(simulator_params(**(PARAMS | changes)), instrument_with(), seed)


def rows(events):
    """Return kernel events as the twin writes them."""
    out = []
    for e in events:
        fields = FILL_FIELDS if e["template_id"] == Template.FILL else UPDATE_FIELDS
        out.append((int(e["template_id"]), *(int(e[name]) for name in fields)))
    return out


def fills(events):
    return [
        (int(e["price_ticks"]), int(e["qty_lots"]), int(e["side"]))
        for e in events
        if e["template_id"] == Template.FILL
    ]


LEVELS = st.lists(
    st.tuples(st.integers(-3, 3), st.integers(1, 9)), max_size=3, unique_by=lambda x: x[0]
)
QUOTED = st.tuples(
    st.just("quotes"),
    LEVELS,
    LEVELS,
    st.sampled_from([0, 0, 0, 0, 7]),
    st.sampled_from([0, 0, 0, 30]),  # since when nothing was heard
)
TOUCHED = st.tuples(
    st.just("touch"), st.integers(-4, 4), st.integers(0, 9), st.integers(1, 3), st.integers(0, 9)
)
EMPTY = st.tuples(st.just("empty"), st.sampled_from([(96, 5, 0, 0), (0, 0, 104, 5), (0, 0, 0, 0)]))
CHANGES = st.lists(
    st.tuples(st.integers(-3, 3), st.integers(0, 30)), max_size=4, unique_by=lambda x: x[0]
)
LATE = st.none() | st.integers(0, 20)  # None: the venue's time is not told
DEEP = st.tuples(st.just("depth"), CHANGES, CHANGES, LATE)
TRADED = st.tuples(
    st.just("trade"),
    st.integers(-5, 5),
    st.integers(1, 30),
    st.sampled_from([1, -1]),
    LATE,
)
ORDERED = st.tuples(
    st.just("order"),
    st.sampled_from([1, -1]),
    st.integers(-5, 5),
    st.integers(1, 12),
    st.sampled_from(list(OrderKind)),
    st.sampled_from([0, 0, 1, 2]),
)
AMENDED = st.tuples(st.just("amend"), st.integers(-4, 4), st.integers(1, 12), st.integers(0, 12))
CANCELLED = st.tuples(st.just("cancel"), st.integers(0, 12))
RESTED = st.tuples(
    st.just("order_event"),
    st.sampled_from(list(OrderEventKind)),
    st.sampled_from([1, -1]),
    st.integers(0, 3),
    st.integers(1, 9),
    st.integers(1, 40),
)
FED = st.tuples(st.just("feed"), st.sampled_from([-7, -2, 0, 0, 3, 8, 10**10, None]))
OTHER = st.sampled_from([("advance",), ("cancel_all",)])
TOUCH_STEP = st.tuples(
    st.one_of(QUOTED, QUOTED, TOUCHED, TOUCHED, TRADED, TRADED, EMPTY, OTHER), st.integers(-3, 25)
)
STEP = st.tuples(
    st.one_of(
        QUOTED, DEEP, DEEP, TRADED, TRADED, ORDERED, ORDERED, AMENDED, CANCELLED, RESTED, FED
    ),
    st.integers(-3, 25),
)


def act(simulator, event, now):
    """Feed one event to a simulator (ours or the twin, which have the same methods)."""
    kind, *what = event
    if kind == "quotes":
        bids, asks, reason, since = what
        bids = [(98 + offset, qty) for offset, qty in bids]
        asks = [(102 + offset, qty) for offset, qty in asks]
        return quotes_by_who_heard(simulator, bids, asks, now, reason, now - since)
    if kind == "touch":
        mid, bid_lots, wide, ask_lots = what
        return simulator.touch(100 + mid - wide, bid_lots, 100 + mid + wide, ask_lots, now)
    if kind == "empty":
        return simulator.touch(*what[0], now)
    if kind == "depth":
        bids, asks, late = what
        levels = [[(middle + k, q) for k, q in side] for middle, side in ((98, bids), (102, asks))]
        return simulator.depth(*levels, now, venue_ns=0 if late is None else now - late)
    if kind == "trade":
        offset, qty, aggressor, late = what
        made = 0 if late is None else now - late
        return simulator.trade(100 + offset, qty, aggressor, 77, now, made)
    if kind == "order":
        side, offset, qty, order_kind, client = what
        price = 100 + offset
        return simulator.order(side, price, qty, now, kind=order_kind, client_id=client)
    if kind == "amend":
        return simulator.amend(100 + what[0], what[1], now, order_id=what[2])
    if kind == "cancel":
        return simulator.cancel(now, order_id=what[0])
    if kind == "order_event":
        event_kind, side, offset, qty, arrival = what
        price = 100 - side * (1 + offset)
        return simulator.order_event(event_kind, side, price, qty, arrival, now, trade_id=5)
    if kind == "feed":
        venue = 0 if what[0] is None else now - what[0]
        return hear_feed(simulator, now, venue)
    if kind == "cancel_all":
        return simulator.cancel_all(now, Reason.STRATEGY_SILENT)
    return simulator.advance(now)


def compare(first, steps, values, seed):
    """Hold a session against the twin's, event by event; return all events."""
    instrument = instrument_with(**EDGES)
    ours = Simulator(simulator_params(**values), instrument, seed)
    exact = {name: int(instrument[0][name]) for name in FILTERS}
    twin = ReferenceSimulator(values, exact, int(simulator_state(seed)[0]["random"]))
    now, everything = 1000, []
    for event, elapsed in [(first, 0), *steps]:
        now += elapsed
        events = rows(act(ours, event, now))
        assert events == act(twin, event, now), event
        everything += events
        check_account(ours, twin, twin.now)
    assert times_never_go_backwards(everything)
    check_orders(everything, values["entry_latency_ns"])


@given(
    st.lists(TOUCH_STEP, max_size=40),
    st.sampled_from([0, 3, 10]),
    st.sampled_from([0, 3, 10]),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(1, 8),
    st.integers(0, 2**40),
    st.sampled_from([FillModel.CROSS, FillModel.RISK_AVERSE]),
)
def test_a_session_of_quotes_and_touches_is_that_of_the_twin(
    steps, entry, cancel, chance, max_orders, seed, model
):
    values = PARAMS | {"max_orders": max_orders, "fill_probability_factor": chance}
    values |= {"entry_latency_ns": entry, "cancel_latency_ns": cancel, "fill_model": model}
    compare(("touch", 0, 5, 2, 5), steps, values, seed)


@given(
    st.lists(STEP, max_size=40),
    st.sampled_from([0, 3, 10]),
    st.sampled_from([0, 10]),
    st.sampled_from(list(FillModel)),
    st.sampled_from([1.0, 2.0]),
    st.sampled_from([0, 25]),
)
def test_a_session_with_all_levels_is_that_of_the_twin(
    steps, entry, cancel, model, power, response
):
    values = PARAMS | {"max_orders": 12, "fill_model": model, "queue_power": power}
    values |= {"response_latency_ns": response}
    values |= {"entry_latency_ns": entry, "cancel_latency_ns": cancel}
    start = ("depth", [(0, 9), (-1, 20), (1, 5)], [(0, 9), (-1, 4), (1, 20)], 0)
    compare(start, steps, values, 1)


def check_account(ours, twin, now):
    p = ours.position(now)[0]
    parts = ("spread", "adverse_selection", "inventory")
    total = p["total_half_tick_lots"]
    assert total == sum(int(p[f"{part}_half_tick_lots"]) for part in parts) == twin.account.total()
    assert p["adverse_selection_half_tick_lots"] == twin.account.adverse_selection(now)
    assert p["fees_micro_tick_lots"] == twin.account.fees
    assert p["open_orders"] == len(twin.orders)
    assert p["orders"] == twin.entered


def check_orders(events, entry_latency_ns):
    """No fill before the entry latency, none after the end, positions that add up."""
    entered, ended, filled, position = {}, {}, {}, 0
    for template, now, order_id, side, _, qty, *rest in events:
        refused = template == Template.ORDER_UPDATE and rest[1] == OrderStatus.REJECTED
        if refused and (order_id == 0 or side == 0):
            continue  # a request, not an order
        if order_id in ended and template == Template.ORDER_UPDATE:
            assert (rest[0], rest[1]) == (filled.get(order_id, 0), ended[order_id])
            continue  # told once more: its client id came again, or a late trade filled it
        if template == Template.FILL:
            assert now >= entered[order_id] + entry_latency_ns
            filled[order_id] = filled.get(order_id, 0) + qty
            position += side * qty
            assert rest[4] == position
        else:
            entered.setdefault(order_id, now)
            assert rest[0] == filled.get(order_id, 0) <= qty
            if rest[1] not in (OrderStatus.NEW, OrderStatus.OPEN):
                ended[order_id] = rest[1]


def resting(bids=(), asks=(), **changes):
    """Return a simulator whose quotes rest at the venue (touch 100 x 104) at time 100."""
    simulator = simulator_with(**changes)
    simulator.touch(100, 5, 104, 5, 0)
    simulator.quotes(bids, asks, 0)
    simulator.advance(100)
    return simulator


def test_an_order_is_new_at_once_and_open_after_its_latency():
    simulator = simulator_with()
    simulator.touch(100, 5, 104, 5, 0)
    assert rows(simulator.quotes([(99, 4)], [], 50)) == [(11, 50, 1, 1, 99, 4, 0, 1, 0)]
    assert rows(simulator.advance(59)) == []
    assert rows(simulator.advance(200)) == [(11, 60, 1, 1, 99, 4, 0, 2, 0)]


def test_nothing_is_filled_before_the_order_arrives_even_at_the_same_time():
    simulator = simulator_with()
    simulator.touch(100, 5, 104, 5, 0)
    simulator.quotes([(99, 4)], [], 50)
    assert statuses(simulator.trade(90, 9, Side.SELL, 1, 60)) == [("OPEN", "NONE")]
    assert fills(simulator.trade(90, 9, Side.SELL, 2, 60)) == []
    assert fills(simulator.trade(90, 9, Side.SELL, 3, 61)) == [(99, 4, 1)]


def test_a_post_only_order_that_would_cross_on_arrival_is_rejected():
    simulator = simulator_with()
    simulator.touch(100, 5, 104, 5, 0)
    simulator.quotes([(102, 4)], [(103, 4)], 50)
    events = simulator.touch(103, 5, 105, 5, 55)
    assert not events.size
    events = simulator.advance(60)
    assert statuses(events) == [("OPEN", "NONE"), ("REJECTED", "WOULD_CROSS")]


def test_an_order_without_a_market_is_rejected():
    simulator = simulator_with()
    simulator.quotes([(102, 4)], [], 50)
    assert statuses(simulator.advance(60)) == [("REJECTED", "NO_MARKET_DATA")]


def test_a_touch_that_reaches_an_order_fills_it_at_its_own_price():
    simulator = resting([(99, 4)])
    events = simulator.touch(95, 5, 97, 9, 120)
    assert fills(events) == [(99, 4, 1)]
    fill = events[0]
    assert (fill["kind"], fill["liquidity"]) == (FillKind.CROSS, Liquidity.MAKER)
    assert fill["mark_half_ticks"] == 204  # the mid before the touch that filled us
    assert fill["fee_micro_tick_lots"] == 99 * 4 * 200
    assert (fill["instrument_id"], fill["quotes_seq"], fill["fill_id"]) == (7, 1, 1)
    p = simulator.position(120)[0]
    assert p["spread_half_tick_lots"] == 4 * (204 - 198)
    assert p["inventory_half_tick_lots"] == 4 * (192 - 204)


def test_each_displayed_lot_fills_once_best_price_first():
    simulator = resting([(99, 4), (98, 4)])
    assert fills(simulator.touch(95, 5, 98, 6, 120)) == [(99, 4, 1), (98, 2, 1)]
    assert fills(simulator.touch(95, 5, 98, 6, 121)) == []
    assert fills(simulator.touch(95, 5, 98, 7, 122)) == [(98, 1, 1)]
    assert fills(simulator.touch(95, 5, 97, 7, 123)) == [(98, 1, 1)]


def test_a_print_through_fills_at_most_what_was_printed():
    simulator = resting([(99, 4), (98, 4), (97, 4)])
    assert fills(simulator.trade(97, 6, Side.SELL, 5, 120)) == [(99, 4, 1), (98, 2, 1)]
    assert fills(simulator.trade(97, 60, Side.SELL, 6, 121)) == [(98, 2, 1)]


def test_a_print_at_our_price_or_of_our_own_side_never_fills():
    simulator = resting([(99, 4)], [(105, 4)])
    assert not fills(simulator.trade(99, 50, Side.SELL, 5, 120))
    assert not fills(simulator.trade(105, 50, Side.BUY, 6, 120))
    assert not fills(simulator.trade(98, 50, Side.BUY, 7, 120))
    assert fills(simulator.trade(106, 50, Side.BUY, 8, 120)) == [(105, 4, -1)]


def test_a_cancelled_order_can_be_filled_until_the_cancellation_arrives():
    simulator = resting([(99, 4)])
    simulator.quotes([], [], 120)
    assert fills(simulator.trade(98, 3, Side.SELL, 5, 125)) == [(99, 3, 1)]
    assert statuses(simulator.advance(126)) == []
    assert simulator.orders.size == 0
    again = resting([(99, 4)])
    again.quotes([], [], 120)
    assert statuses(again.advance(125)) == [("CANCELLED", "REPLACED")]


def test_the_same_level_keeps_its_order_and_less_shrinks_in_place():
    simulator = resting([(99, 4)])
    assert not simulator.quotes([(99, 4)], [], 120).size
    assert not simulator.quotes([(99, 3)], [], 121).size
    assert rows(simulator.advance(131)) == [(11, 131, 1, 1, 99, 3, 0, 2, 0)]
    assert statuses(simulator.quotes([(99, 5)], [], 132)) == [("NEW", "NONE")]
    assert simulator.orders["order_id"].tolist() == [1, 2]


def test_a_reason_pulls_every_order_after_the_latency():
    simulator = resting([(99, 4)], [(106, 4)])
    assert not simulator.quotes([(99, 4)], [(106, 4)], 120, Reason.BOOK_NOT_LIVE).size
    assert statuses(simulator.advance(125)) == [("CANCELLED", "PULLED")] * 2


def test_cancel_all_ends_everything_at_once():
    simulator = resting([(99, 4)], [(106, 4)])
    events = simulator.cancel_all(120, Reason.STRATEGY_SILENT)
    assert statuses(events) == [("CANCELLED", "STRATEGY_SILENT")] * 2
    assert not fills(simulator.trade(1, 99, Side.SELL, 1, 121))


def test_a_full_table_rejects_and_never_grows():
    simulator = simulator_with(max_orders=2, cancel_latency_ns=1000)
    simulator.touch(100, 5, 104, 5, 0)
    simulator.quotes([(99, 4), (98, 4)], [], 0)
    events = simulator.quotes([(97, 4), (98, 4)], [], 20)
    assert statuses(events)[-1] == ("REJECTED", "TOO_MANY_ORDERS")
    assert simulator.orders.size == 2


def test_the_venue_rejects_what_is_far_off_worth_too_much_or_one_order_too_many():
    filters = {"max_notional_e8": 10**6, "buy_down_e8": 9 * 10**7, "max_orders": 2}
    instrument = instrument_with(**filters)  # 0.01 quote, 100 tick-lots of 0.0001
    simulator = Simulator(simulator_params(**PARAMS), instrument, 1)
    simulator.touch(100, 5, 104, 5, 0)
    events = simulator.quotes([(91, 1), (99, 2), (99, 1), (98, 1), (97, 1)], [], 0)
    assert statuses(events) == [
        ("REJECTED", "PERCENT_PRICE"),
        ("REJECTED", "ABOVE_MAXIMUM_NOTIONAL"),
        ("NEW", "NONE"),
        ("NEW", "NONE"),
        ("NEW", "NONE"),
    ]
    events = simulator.advance(10)  # it counts when they arrive
    assert statuses(events) == [
        ("OPEN", "NONE"),
        ("OPEN", "NONE"),
        ("REJECTED", "TOO_MANY_ORDERS"),
    ]


@pytest.mark.parametrize(("cancel_latency_ns", "is_late"), [(5, False), (10, False), (15, True)])
def test_an_order_counts_until_its_cancellation_is_at_the_venue(cancel_latency_ns, is_late):
    params = simulator_params(**(PARAMS | {"cancel_latency_ns": cancel_latency_ns}))
    simulator = Simulator(params, instrument_with(max_orders=2), 1)
    simulator.touch(100, 5, 104, 5, 0)
    simulator.quotes([(99, 1), (98, 1)], [], 0)
    simulator.advance(10)
    simulator.quotes([(97, 1), (96, 1)], [], 20)  # both replaced; the new ones arrive at 30
    new = [event for event in simulator.advance(40) if event["order_id"] > 2]
    rejected = [("REJECTED", "TOO_MANY_ORDERS")] * 2
    assert statuses(new) == (rejected if is_late else [("OPEN", "NONE")] * 2)


def test_the_venues_filters_reject():
    instrument = instrument_with(min_qty_lots=5, min_notional_e8=10**8)
    simulator = Simulator(simulator_params(**PARAMS), instrument, 1)
    events = simulator.quotes([(99, 4), (98, 6)], [], 0)
    assert statuses(events) == [
        ("REJECTED", "BELOW_MINIMUM_QUANTITY"),
        ("REJECTED", "BELOW_MINIMUM_NOTIONAL"),
    ]


def test_the_busiest_calls_stay_within_the_events_array():
    """Every slot taken, both ladders full: the bounds check would fail a write beyond."""
    simulator = simulator_with(entry_latency_ns=0, cancel_latency_ns=0)
    simulator.touch(1000, 5, 1040, 5, 0)
    bids = [(1000 - k, 4) for k in range(MAX_LEVELS)]
    asks = [(1040 + k, 4) for k in range(MAX_LEVELS)]
    assert simulator.quotes(bids, asks, 1).size == 4 * MAX_LEVELS
    lower = [(price - 100, qty) for price, qty in bids]
    assert simulator.quotes(lower, asks, 2).size == 3 * MAX_LEVELS
    slow = simulator_with(entry_latency_ns=50, cancel_latency_ns=500)
    slow.touch(1000, 5, 1040, 5, 0)
    for k in range(MAX_ORDERS // (2 * MAX_LEVELS)):
        slow.quotes([(p - 50 * k, q) for p, q in bids], [(p + 50 * k, q) for p, q in asks], k)
    assert slow.orders.size == MAX_ORDERS
    assert slow.touch(10, 900, 20, 900, 200).size <= MAX_EVENTS
    assert slow.position(200)[0]["position_lots"] == MAX_ORDERS // 2 * 4


def test_the_same_seed_gives_the_same_fills_and_another_seed_others():
    def session(seed):
        simulator = resting([(99 - k, 1) for k in range(8)], seed=seed, fill_probability_factor=0.5)
        return [fills(simulator.trade(90, 2, Side.SELL, k, 120 + k)) for k in range(6)]

    assert session(3) == session(3)
    assert len({str(session(seed)) for seed in range(6)}) > 1


def test_the_chance_of_a_fill_is_the_factor():
    at_once = {"entry_latency_ns": 0, "cancel_latency_ns": 0}
    simulator = simulator_with(fill_probability_factor=0.3, seed=12, **at_once)
    simulator.touch(100, 5, 104, 5, 0)
    filled = 0
    for k in range(1000):
        simulator.quotes([(99, 1)], [], 2 * k)
        filled += len(fills(simulator.trade(98, 1, Side.SELL, k, 2 * k + 1)))
    assert abs(filled - 300) < 5 * (1000 * 0.3 * 0.7) ** 0.5


def test_order_ids_go_on_after_a_restart():
    simulator = simulator_with()
    simulator.state = simulator_state(1, next_order_id=42)
    assert simulator.quotes([(99, 4)], [], 0)["order_id"].tolist() == [42]


@pytest.mark.skipif(not hasattr(simulator_on_quotes, "signatures"), reason="the JIT is off")
def test_a_kernel_has_one_signature_whatever_integers_come():
    simulator = resting([(99, 4)])
    simulator.quotes([(98, 4)], [], np.int64(500))
    simulator.order(np.int64(1), 98.0, np.int64(4), 600)
    assert [len(kernel.signatures) for kernel in (simulator_on_quotes, simulator_submit)] == [1, 1]
    for kernel in (advance_orders, match_print):  # none where the caller came from the cache
        assert len(kernel.signatures) <= 1


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"entry_latency_ns": -1}, ValueError, "entry_latency_ns must be between 0"),
        ({"fill_probability_factor": 1.5}, ValueError, "must be finite and between 0.0 and 1.0"),
        ({"max_orders": 65}, ValueError, "max_orders must be between 1 and 64, got 65"),
        ({"markout_horizon_ns": 0}, ValueError, "markout_horizon_ns must be between 1"),
        ({"maker_fee_ppm": 0.1}, TypeError, "maker_fee_ppm must be a whole number, got 0.1"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(change, error, message):
    with pytest.raises(error, match=message):
        simulator_params(**(PARAMS | change))


def test_a_wrong_input_is_refused_by_name():
    simulator = simulator_with()
    with pytest.raises(ValueError, match="bid_ticks must be below ask_ticks, got 101 and 101"):
        simulator.touch(101, 1, 101, 1, 0)
    with pytest.raises(ValueError, match="aggressor must be 1"):
        simulator.trade(101, 1, 0, 1, 0)
    with pytest.raises(ValueError, match="bids must have at most 16 levels: 17"):
        simulator.quotes([(100 - k, 1) for k in range(17)], [], 0)
    with pytest.raises(ValueError, match="instrument tick_size_e8 must be between 1"):
        Simulator(simulator_params(**PARAMS), np.zeros(1, INSTRUMENT), 1)
    with pytest.raises(TypeError, match="params must be a one-element array of its record"):
        Simulator(np.zeros(1), instrument_with(), 1)
