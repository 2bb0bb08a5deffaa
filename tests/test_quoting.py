"""The strategy's step against its twin, and what it must never do."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_strategy import ReferenceStrategy
from strategy_bench import SKEWED, Bench, broken_model, far_model

from mmquant.codes import PricingFlag, QuoteClamp, Reason, RiskState
from mmquant.models import MODELS, model_params
from mmquant.quoting import bind_model, strategy_params
from mmquant.state import MAX_LEVELS, STRATEGY_PARAMS

pytestmark = pytest.mark.kernels

S = 10**9


@st.composite
def benches(draw):
    limit = draw(st.integers(1, 60))
    order_ns = draw(st.sampled_from([0, 0, 10**8]))
    levels = draw(st.integers(1, 6))
    bench = Bench(
        order_lots=draw(st.integers(1, 20)),
        position_limit_lots=limit,
        soft_limit_lots=draw(st.integers(0, limit)),
        min_spread_ticks=draw(st.integers(1, 2)),
        max_spread_ticks=draw(st.integers(3, 8)),
        min_own_spread_ticks=draw(st.sampled_from([1, 1, 3])),
        max_own_spread_ticks=draw(st.sampled_from([2**40, 2**40, 8])),
        levels=levels,
        spacing_ticks=draw(st.integers(1, 4)),
        spacing_ppm=draw(st.sampled_from([0, 0, 3_000])),
        spacing_permille=draw(st.sampled_from([1_000, 1_000, 1_500])),
        size_step_permille=draw(st.sampled_from([0, 500])),
        size_permille=draw(st.sampled_from([1_000, 500, 1_300])),
        requote_ticks=draw(st.integers(1, 6)),
        min_life_ns=draw(st.sampled_from([0, 0, S])),
        order_ns=order_ns,
        order_burst_ns=2 * levels * order_ns,
        cancel_ns=order_ns,
        cancel_burst_ns=3 * levels * order_ns,
        max_book_age_ns=draw(st.sampled_from([S, 2**60])),
        max_lag_ns=S,
        max_simulator_lag_ns=S,
        max_skew_ns=S,
        collar_ppm=draw(st.sampled_from([3_000, 8_000, 1_000_000])),
        max_open_orders=draw(st.sampled_from([2, 6, 32])),
        max_open_tick_lots=draw(st.sampled_from([2**62, 60_000])),
        max_session_loss_half_tick_lots=draw(st.sampled_from([2**61, 900])),
        max_drawdown_half_tick_lots=draw(st.sampled_from([2**61, 600])),
        max_minute_loss_half_tick_lots=draw(st.sampled_from([2**61, 300])),
        max_fills=draw(st.integers(1, 4)),
        fill_window_ns=draw(st.sampled_from([0, S])),
        markout_fills=draw(st.integers(1, 3)),
        markout_ns=draw(st.sampled_from([0, S])),
        max_adverse_half_ticks=draw(st.sampled_from([0, 3, 2**40])),
        max_volatility_ratio=draw(st.sampled_from([1.5, 1e12])),
        volatility_baseline_ns=draw(st.sampled_from([1, 5 * S])),
        pause_ns=S,
        model=[
            draw(st.sampled_from([0.001, 0.5, 1.0, 3.25])),
            0.0,
            draw(st.floats(0, 3)),
            draw(st.floats(0, 4)),
            draw(st.floats(0, 2)),
            draw(st.floats(-1, 1)),
        ],
    )
    i = bench.instrument[0]
    i["min_price_ticks"], i["max_price_ticks"] = draw(st.sampled_from([(0, 0), (990, 1010)]))
    i["min_qty_lots"], i["max_qty_lots"] = draw(st.sampled_from([(0, 0), (3, 12)]))
    i["min_notional_e8"] = draw(st.sampled_from([0, 5 * 10**6, 4 * 10**8]))
    i["max_notional_e8"] = draw(st.sampled_from([0, 15 * 10**6]))
    i["max_orders"] = draw(st.sampled_from([0, 4]))
    multiples = st.sampled_from([(0, 0, 0, 0), (100_400_000, 0, 0, 99_600_000)])
    for name, value in zip(
        ("buy_up_e8", "buy_down_e8", "sell_up_e8", "sell_down_e8"), draw(multiples), strict=True
    ):
        i[name] = value
    return bench


def some_market(draw):
    bid = draw(st.integers(990, 1010))
    return {
        "bid_ticks": bid,
        "ask_ticks": bid + draw(st.integers(0, 9)),
        "fair_value_ticks": bid + draw(st.floats(-6, 6)),
        "volatility_ticks_per_sqrt_s": draw(st.floats(0, 4)),
        "drift_ticks_per_s": draw(st.floats(-3, 3)),
        "flags": draw(st.sampled_from([3, 3, 3, 3, 1])),
        "book_update_id": draw(st.integers(0, 2)),
        "sent_ns": draw(st.sampled_from([0, 0, 0, 0, 1])),
    }


def some_inputs(draw, limit):
    known = draw(st.sampled_from([1, 1, 1, 1, 0]))
    return {
        "position_lots": draw(st.integers(-limit - 5, limit + 5)),
        "position_known": known,
        "upstream_ok": draw(st.sampled_from([1, 1, 1, 1, 1, 0])),
        "trade_ticks": draw(st.sampled_from([0, 1000, 1004])),
        "simulator_lag_ns": draw(st.sampled_from([0] * 9 + [S + 1])),
        "open_orders": draw(st.sampled_from([0, 0, 0, 7])),
        "open_tick_lots": draw(st.sampled_from([0, 0, 0, 70_000])),
        "halt_reason": draw(st.sampled_from([0] * 9 + [int(Reason.KILLED)])),
    }


def tell(bench, twin, draw):
    """Sometimes let a fill or a position be told to both."""
    now = bench.now_ns + draw(st.integers(0, S))
    kind = draw(st.sampled_from(["nothing", "nothing", "fill", "position"]))
    if kind == "fill":
        side, qty, mark = draw(st.sampled_from([1, -1])), draw(st.integers(1, 9)), 2000
        bench.fill(side, qty, mark, now)
        twin.fill(side, qty, mark, now)
    elif kind == "position":
        total, fees = draw(st.integers(-1_000, 1_000)), draw(st.integers(-(10**6), 10**6))
        bench.position(total, fees, now)
        twin.position(total, fees, now)


def keeps_every_rule(bench, got, position):
    """Assert what holds for any input: limits, touch, one side below the other, reasons."""
    _, reason, bid_reason, ask_reason, _, _, risk, _, bids, asks = got
    limit = int(bench.params[0]["position_limit_lots"])
    bought, sold = (sum(qty for _, qty in side) for side in (bids, asks))
    assert position + bought <= limit or not bids
    assert position - sold >= -limit or not asks
    assert not (reason and (bids or asks))
    if bids and asks:
        least, most = (int(bench.params[0][f"{way}_own_spread_ticks"]) for way in ("min", "max"))
        assert least <= asks[0][0] - bids[0][0] <= most
    assert bool(bids) != bool(reason or bid_reason)
    assert bool(asks) != bool(reason or ask_reason)
    if risk == RiskState.REDUCING:
        assert bought <= max(0, -position)
        assert sold <= max(0, position)
    assert risk != RiskState.HALTED or not (bids or asks)
    p = bench.pricing[0]
    assert all(price < p["ask_ticks"] for price, _ in bids)
    assert all(price > p["bid_ticks"] for price, _ in asks)
    assert not (bids and asks and bids[0][0] >= asks[0][0])
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)


@settings(deadline=None)  # the first call compiles
@given(benches(), st.data())
def test_a_sequence_of_steps_is_that_of_the_twin_and_keeps_every_rule(bench, data):
    twin = ReferenceStrategy(
        {name: bench.params[0][name].item() for name in STRATEGY_PARAMS.names}, bench.ask
    )
    limit = int(bench.params[0]["position_limit_lots"])
    for _ in range(data.draw(st.integers(1, 10))):
        tell(bench, twin, data.draw)
        bench.pass_time(data.draw(st.integers(0, 2 * S)))
        inputs = some_inputs(data.draw, limit)
        got = bench.step(inputs, **some_market(data.draw))
        pricing = {name: bench.pricing[0][name].item() for name in bench.pricing.dtype.names}
        told = {name: bench.inputs[0][name].item() for name in bench.inputs.dtype.names}
        assert got == twin.step(told, pricing, bench.exact_instrument())
        keeps_every_rule(bench, got, inputs["position_lots"] if inputs["position_known"] else 0)


@settings(deadline=None)
@given(
    st.floats(),
    st.floats(),
    st.floats(),
    st.integers(-(2**53), 2**53),
    st.integers(-(2**53), 2**53),
    st.integers(-(2**48), 2**48),
    st.sampled_from([2**52, 2**62]),
)
def test_whatever_comes_in_nothing_wrong_goes_out(fair, sigma, drift, bid, ask, position, worth):
    bench = Bench(levels=5, max_spread_ticks=2**40, max_open_tick_lots=worth)
    with np.errstate(all="ignore"):  # numpy warns where the JIT is off
        got = bench.step(
            {"position_lots": position},
            fair_value_ticks=fair,
            volatility_ticks_per_sqrt_s=sigma,
            drift_ticks_per_s=drift,
            bid_ticks=bid,
            ask_ticks=ask,
        )
    keeps_every_rule(bench, got, position)
    if not all(map(math.isfinite, (fair, sigma, drift))) or sigma < 0 or not 0 < bid < ask:
        assert got[1] != Reason.NONE
    for orders in got[8:]:
        assert all(0 < price < 2**54 and 0 < lots <= 10 for price, lots in orders)


def test_the_quotes_are_symmetric_around_the_fair_value():
    assert Bench().step()[:2] == (1, 0)
    assert Bench().orders() == ([(999, 10)], [(1001, 10)])
    assert Bench().orders(volatility_ticks_per_sqrt_s=4.5) == ([(995, 10)], [(1005, 10)])


@settings(deadline=None)
@given(st.lists(st.integers(-50, 50), min_size=2, max_size=6))
def test_more_inventory_never_raises_a_price(positions):
    best = []
    for position in sorted(positions):
        bench = Bench()
        bench.step({"position_lots": position}, volatility_ticks_per_sqrt_s=9.5)
        best.append((bench.out[0]["model_bid_ticks"], bench.out[0]["model_ask_ticks"]))
    assert best == sorted(best, reverse=True)


def test_a_ladder_keeps_its_spacing_when_the_touch_pushes_it_back():
    bench = Bench(levels=3, spacing_ticks=2)
    assert bench.orders(fair_value_ticks=1004.0) == (
        [(1000, 10), (998, 10), (996, 10)],
        [(1005, 10), (1007, 10), (1009, 10)],
    )
    assert bench.out[0]["bid_clamps"] == QuoteClamp.POST_ONLY
    assert bench.out[0]["ask_clamps"] == 0


def test_distances_and_sizes_grow_as_they_are_told_to():
    bench = Bench(levels=4, spacing_ticks=2, spacing_permille=2_000, size_step_permille=500)
    bids, _ = bench.orders()
    assert [price for price, _ in bids] == [999, 997, 993, 985]
    assert [lots for _, lots in bids] == [10, 15, 20, 5]  # 50 in all is the limit
    geometric = Bench(levels=3, size_permille=500, spacing_ppm=10_000)
    assert geometric.orders()[0] == [(999, 10), (989, 5), (979, 2)]


def test_quantities_shrink_to_the_room_the_limit_leaves():
    bench = Bench(levels=3)
    bids, asks = bench.orders({"position_lots": 35})
    assert [qty for _, qty in bids] == [10, 5]
    assert [qty for _, qty in asks] == [10, 10, 10]
    assert bench.out[0]["bid_clamps"] == QuoteClamp.LIMITED


def test_beyond_the_soft_limit_one_side_fades_and_the_other_does_not():
    bench = Bench(soft_limit_lots=30)
    for position, lots in ((30, 10), (35, 7), (40, 5), (48, 1), (49, 0)):
        bids, asks = bench.orders({"position_lots": position})
        assert sum(qty for _, qty in bids) == lots
        assert asks[0][1] == 10
    assert bench.out[0]["bid_reason"] == Reason.INVENTORY_SOFT_LIMIT
    assert bench.orders({"position_lots": -40})[1][0][1] == 5


def test_a_side_at_its_limit_is_not_quoted_and_says_so():
    assert Bench().step({"position_lots": 50})[1:4] == (0, Reason.INVENTORY_LIMIT, 0)
    assert Bench().step({"position_lots": -60})[1:4] == (0, 0, Reason.INVENTORY_LIMIT)


def test_a_level_too_small_because_of_the_limit_names_the_limit():
    bench = Bench()
    bench.instrument[0]["min_qty_lots"] = 5
    assert bench.step({"position_lots": 47})[2] == Reason.INVENTORY_LIMIT


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("min_qty_lots", 11, Reason.BELOW_MINIMUM_QUANTITY),
        ("max_qty_lots", 9, Reason.ABOVE_MAXIMUM_QUANTITY),
        ("min_notional_e8", 11 * 10**8, Reason.BELOW_MINIMUM_NOTIONAL),
        ("max_notional_e8", 9 * 10**6, Reason.ABOVE_MAXIMUM_NOTIONAL),
        ("max_price_ticks", 998, Reason.PRICE_OUT_OF_RANGE),
    ],
)
def test_an_order_that_the_venue_would_refuse_is_not_quoted(field, value, reason):
    # 10 lots of 0.001 at 10.00 are a notional of 0.1.
    bench = Bench()
    bench.instrument[0][field] = value
    assert bench.step()[:4] == (1, reason, reason, reason)
    assert bench.out[0]["bid_clamps"] == QuoteClamp.FILTERED


def test_each_side_has_its_own_percent_price():
    bench = Bench()
    bench.instrument[0]["buy_down_e8"], bench.instrument[0]["sell_up_e8"] = 99_950_000, 0
    assert bench.step()[1:4] == (0, Reason.PERCENT_PRICE, 0)


def test_a_price_that_would_move_too_little_stays():
    bench = Bench(requote_ticks=3)
    bench.step(volatility_ticks_per_sqrt_s=5.0)
    assert bench.step(fair_value_ticks=1002.0)[0] == 0
    assert bench.step(fair_value_ticks=1002.0)[8] == [(995, 10)]
    assert bench.out[0]["bid_clamps"] == QuoteClamp.HELD
    assert bench.orders(fair_value_ticks=1003.0) == ([(998, 10)], [(1008, 10)])


def test_a_young_price_stays_however_far_it_would_move_unless_it_would_trade():
    bench = Bench(min_life_ns=S)
    bench.orders()
    bench.pass_time(S - 1)
    assert bench.orders(fair_value_ticks=990.0, bid_ticks=985)[0] == [(999, 10)]
    bench.pass_time(1)
    assert bench.orders(fair_value_ticks=990.0)[0] == [(989, 10)]
    assert bench.orders(fair_value_ticks=970.0, bid_ticks=970, ask_ticks=985)[0] == [(969, 10)]


def test_a_price_stays_only_while_it_is_post_only():
    bench = Bench(requote_ticks=5)
    bench.step()
    bids, _ = bench.orders(bid_ticks=997, ask_ticks=999, fair_value_ticks=998.5)
    assert bids == [(997, 10)]


def test_a_price_does_not_survive_a_pull():
    bench = Bench(requote_ticks=3)
    bench.step(volatility_ticks_per_sqrt_s=5.0)
    assert bench.step({"upstream_ok": 0})[:2] == (1, Reason.UPSTREAM_SILENT)
    assert bench.step({"upstream_ok": 0})[0] == 0
    assert bench.orders(fair_value_ticks=1001.0) == ([(996, 10)], [(1006, 10)])


def test_a_kept_bid_never_meets_an_ask_that_moved():
    bench = Bench(requote_ticks=6)
    bench.step(bid_ticks=985, volatility_ticks_per_sqrt_s=5.0)
    assert bench.orders(fair_value_ticks=993.0, volatility_ticks_per_sqrt_s=1.0) == (
        [(992, 10)],
        [(994, 10)],
    )


def test_a_new_position_is_published_even_with_the_same_quotes():
    bench = Bench()
    bench.model_params[4] = 0.0
    first = bench.step()
    assert bench.step()[0] == 0
    assert bench.step({"position_lots": 4}) == (1, *first[1:])


@pytest.mark.parametrize(
    ("answer", "reasons", "orders"),
    [
        ([-math.inf, 1002.0], (Reason.INVENTORY_LIMIT, 0), ([], [(1002, 10)])),
        ([998.0, math.inf], (0, Reason.INVENTORY_LIMIT), ([(998, 10)], [])),
    ],
)
def test_a_side_that_the_model_leaves_out_is_not_quoted(answer, reasons, orders):
    bench = Bench(model_function=far_model)
    bench.model_params[:] = answer
    assert bench.step()[1:4] == (0, *reasons)
    assert (bench.side(0), bench.side(MAX_LEVELS)) == orders


@pytest.mark.parametrize("name", ["avellaneda_stoikov_perpetual", "glft_table"])
def test_a_model_at_its_bound_quotes_only_what_leads_back(name):
    table = {"risk_aversion_per_tick": 0.05, "max_inventory_orders": 5}
    bench = Bench(model_function=MODELS[name].step, position_limit_lots=200, max_spread_ticks=100)
    bench.model_params = model_params(name, table)
    flat = bench.step()
    assert flat[1:4] == (0, 0, 0)
    assert all(flat[8:])
    for position, reasons in (
        (50, (Reason.INVENTORY_LIMIT, 0)),
        (-50, (0, Reason.INVENTORY_LIMIT)),
    ):
        got = bench.step({"position_lots": position})
        assert got[1:4] == (0, *reasons)
        assert [len(side) for side in got[8:]] == [int(reason == 0) for reason in reasons]
        assert math.isfinite(bench.out[0]["reservation_ticks"])


def test_what_a_model_raises_goes_up_and_leaves_the_state():
    bench = Bench(model_function=broken_model)
    bench.model_params[:] = [1.0, 1.0]
    bench.step()
    before = bench.state.copy()
    bench.model_params[:] = 0.0
    with pytest.raises(ZeroDivisionError):
        bench.step()
    after = bench.state.copy()
    for name in ("price_ticks", "qty_lots", "bid_ticks", "ask_ticks", "order_tokens_ns"):
        assert (before[name] == after[name]).all()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([math.nan, 1002.0], Reason.NOT_FINITE),
        ([-math.inf, math.inf], Reason.NOT_FINITE),
        ([1003.0, 1002.0], Reason.MODEL_SPREAD),
    ],
)
def test_an_answer_that_is_none_is_not_quoted(answer, reason):
    bench = Bench(model_function=far_model)
    bench.model_params[:] = answer
    assert bench.step()[1] == reason
    assert bench.step()[8:] == ([], [])


def test_the_quotes_name_their_inputs_and_their_parts():
    bench = Bench()
    inputs = ["seq", "epoch", "frame_ns", "collector_sent_ns", "received_ns", "sent_ns"]
    bench.step({"position_lots": 25}, **{name: 100 + k for k, name in enumerate(inputs)})
    o = bench.out[0]
    outputs = ["pricing_seq", "epoch", "frame_ns", "collector_sent_ns"]
    outputs += ["pricing_received_ns", "pricing_sent_ns"]
    assert [int(o[name]) for name in outputs] == list(range(100, 106))
    assert (o["instrument_id"], o["seq"], o["received_ns"], o["sent_ns"]) == (7, 0, 0, 0)
    assert (o["inventory_shift_ticks"], o["reservation_ticks"]) == (-0.5, 999.5)
    assert (o["volatility_term_ticks"], o["half_spread_ticks"]) == (1.0, 1.0)
    assert (o["model_bid_ticks"], o["model_ask_ticks"]) == (998.5, 1000.5)
    assert (o["bid_ticks"], o["ask_ticks"], o["position_lots"]) == (999, 1001, 25)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "glft_table"])
def test_every_model_of_the_library_quotes_through_the_step(name):
    values = {
        "skewed": SKEWED,
        "avellaneda_stoikov": [0.01],
        "avellaneda_stoikov_perpetual": [0.01, 6.0],
        "glft": [0.01, 0.01, 1.0, 0.0],
        "cartea_jaimungal": [0.01, 1.0],
    }
    bench = Bench(model_function=MODELS[name].step)
    bench.model_params = np.array(values[name], np.float64)
    assert bench.step()[:4] == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"order_lots": 0}, ValueError, "order_lots must be between 1 and .*, got 0"),
        ({"order_lots": 1.0}, TypeError, "order_lots must be a whole number, got 1.0"),
        ({"levels": 17}, ValueError, "levels must be between 1 and 16, got 17"),
        ({"horizon_s": math.nan}, ValueError, "horizon_s must be finite"),
        ({"soft_limit_lots": 51}, ValueError, "soft_limit_lots must be between 0 and 50, got 51"),
        ({"arrival_rate_per_s": "1"}, TypeError, "arrival_rate_per_s must be a number, got '1'"),
        ({"order_ns": 5}, ValueError, "order_burst_ns must be at least 10 .*, got 0"),
        ({"order_lot": 1}, TypeError, "order_lot is no parameter of the strategy"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(change, error, message):
    good = {"order_lots": 10, "position_limit_lots": 50, "max_spread_ticks": 20}
    with pytest.raises(error, match=message):
        strategy_params(**(good | change))


def test_only_a_compiled_function_is_a_model():
    def plain(inputs, params, out):
        return 0

    if type(far_model).__name__ == "function":  # the JIT is off: any function will do
        assert bind_model(plain) is plain
        return
    with pytest.raises(TypeError, match=r"must be a function decorated with numba\.njit"):
        bind_model(plain)


def test_a_live_flag_is_needed_as_the_twin_says():
    assert Bench().step(flags=int(PricingFlag.WARM))[1] == Reason.BOOK_NOT_LIVE
