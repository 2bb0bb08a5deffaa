"""What holds for every ladder, by plain arithmetic: inventory, filters, limits."""

from decimal import Decimal

from hypothesis import event, given, settings
from hypothesis import strategies as st
from strategy_bench import Bench

from mmquant.codes import QuoteClamp, Reason
from mmquant.kernels.gates import open_gate
from mmquant.kernels.limits import is_free_of_collar
from mmquant.kernels.quoting import has_settled
from mmquant.state import MAX_LEVELS

S = 10**9
E8 = 10**8


@st.composite
def ladders(draw):
    """Return the settings of a bench whose prices nothing forbids."""
    limit = draw(st.integers(1, 60))
    return {
        "model": [
            draw(st.floats(0.001, 4)),
            0.0,
            draw(st.floats(0, 3)),
            1.0,
            draw(st.floats(0, 3)),
            draw(st.floats(-1, 1)),
        ],
        "order_lots": draw(st.integers(1, 20)),
        "position_limit_lots": limit,
        "soft_limit_lots": draw(st.integers(0, limit)),
        "levels": draw(st.integers(1, 5)),
        "spacing_ticks": draw(st.integers(1, 4)),
        "size_step_permille": draw(st.sampled_from([0, 700])),
    }


@settings(deadline=None)
@given(
    ladders(),
    st.lists(st.integers(-70, 70), min_size=2, max_size=8),
    st.floats(990, 1010),
    st.floats(0, 5),
    st.floats(-3, 3),
    st.integers(0, 6),
)
def test_more_inventory_never_raises_an_order(ladder, positions, fair, sigma, drift, least_lots):
    market = {"fair_value_ticks": fair, "volatility_ticks_per_sqrt_s": sigma}
    market |= {"drift_ticks_per_s": drift, "bid_ticks": 998, "ask_ticks": 1003}
    best = {0: [], 1: []}
    for position in sorted(positions):
        bench = Bench(**ladder)  # a fresh state: nothing holds a price where it was
        bench.instrument[0]["min_qty_lots"] = least_lots
        for side, orders in enumerate(bench.orders({"position_lots": position}, **market)):
            best[side] += [orders[0][0]] if orders else []
    assert best[0] == sorted(best[0], reverse=True)
    assert best[1] == sorted(best[1], reverse=True)


def filters(draw, instrument):
    """Give the instrument filters of a venue."""
    names = ("min_price_ticks", "max_price_ticks")
    instrument["tick_size_e8"] = draw(st.sampled_from([10**6, 10**7, 1, 3 * 10**5]))
    instrument["lot_size_e8"] = draw(st.sampled_from([10**5, 10**8, 1]))
    for name, value in zip(names, draw(st.sampled_from([(0, 0), (995, 1006)])), strict=True):
        instrument[name] = value
    worth = int(instrument["tick_size_e8"]) * int(instrument["lot_size_e8"]) * 1000
    instrument["min_qty_lots"] = draw(st.sampled_from([0, 0, 3]))
    instrument["max_qty_lots"] = draw(st.sampled_from([0, 0, 12]))
    instrument["min_notional_e8"] = draw(st.sampled_from([0, 1, 4])) * worth // E8
    instrument["max_notional_e8"] = draw(st.sampled_from([0, 15, 25])) * worth // E8
    instrument["max_orders"] = draw(st.sampled_from([0, 0, 4]))
    for name, value in (("buy_up_e8", 1.004), ("buy_down_e8", 0.995), ("sell_down_e8", 0.999)):
        instrument[name] = draw(st.sampled_from([0, 0, round(value * E8)]))


def amount(number_e8):
    return Decimal(int(number_e8)) / E8


def breaks(bench, side, price_ticks, qty_lots):
    """Return the name of the first rule that an order breaks, "" where it breaks none."""
    i, p, q = bench.instrument[0], bench.pricing[0], bench.params[0]
    price = price_ticks * amount(i["tick_size_e8"])
    notional = price * qty_lots * amount(i["lot_size_e8"])
    mid = Decimal(int(p["bid_ticks"]) + int(p["ask_ticks"])) / 2
    up, down = ("buy_up_e8", "buy_down_e8") if side > 0 else ("sell_up_e8", "sell_down_e8")
    share = price_ticks / mid
    band = Decimal(int(q["collar_ppm"])) / 10**6
    trade = Decimal(int(bench.inputs[0]["trade_ticks"]))
    rules = {
        "price above zero": price_ticks > 0,
        "lots above zero": qty_lots > 0,
        "least price": price_ticks >= i["min_price_ticks"],
        "most price": not i["max_price_ticks"] or price_ticks <= i["max_price_ticks"],
        "least quantity": qty_lots >= i["min_qty_lots"],
        "most quantity": not i["max_qty_lots"] or qty_lots <= i["max_qty_lots"],
        "least notional": notional >= amount(i["min_notional_e8"]),
        "most notional": not i["max_notional_e8"] or notional <= amount(i["max_notional_e8"]),
        "percent price up": not i[up] or share <= amount(i[up]),
        "percent price down": not i[down] or share >= amount(i[down]),
        "collar of the mid": abs(price_ticks - mid) <= band * mid,
        "collar of the trade": not trade or abs(price_ticks - trade) <= band * trade,
        "post only": side * (price_ticks - int(p["ask_ticks" if side > 0 else "bid_ticks"])) < 0,
    }
    return next((name for name, holds in rules.items() if not holds), "")


def check_ladder(bench, position, orders):
    """Assert every rule of the ladder as a whole and of each of its orders."""
    q, i = bench.params[0], bench.instrument[0]
    limit = int(q["position_limit_lots"])
    for side, levels in zip((1, -1), orders, strict=True):
        assert [breaks(bench, side, *level) for level in levels] == [""] * len(levels)
        after = side * position + sum(lots for _, lots in levels)
        assert after <= limit or not levels
        assert len({price for price, _ in levels}) == len(levels) <= min(MAX_LEVELS, q["levels"])
    every = [level for side in orders for level in side]
    assert len(every) <= q["max_open_orders"]
    assert not i["max_orders"] or len(every) <= i["max_orders"]
    assert sum(price * lots for price, lots in every) <= q["max_open_tick_lots"]
    assert not all(orders) or orders[0][0][0] < orders[1][0][0]


def check_settled(draw, bench, told):
    """Assert that a step that has settled answers the same until what it reads is another."""
    if not has_settled(bench.out):
        event("not settled")
        return
    mid = int(bench.pricing[0]["bid_ticks"] + bench.pricing[0]["ask_ticks"])
    later = {"trade_ticks": draw(st.integers(990, 1015)), "open_orders": draw(st.integers(0, 6))}
    trades = [told["trade_ticks"], later["trade_ticks"]]
    if not all(is_free_of_collar(bench.state[0], bench.params[0], mid, trade) for trade in trades):
        event("settled, a trade moves the collar")
        later["trade_ticks"] = told["trade_ticks"]
    open_before, before = (
        int(bench.inputs[0]["open_orders"]),
        open_gate(bench.params[0], bench.inputs[0]),
    )
    bench.inputs[0]["open_orders"] = later["open_orders"]
    if open_gate(bench.params[0], bench.inputs[0]) != before:
        later["open_orders"] = open_before
    bench.inputs[0]["now_ns"] += 1_000
    was = [array.tobytes() for array in (bench.state, bench.out, bench.levels)]
    assert bench.step(told | later)[0] == 0
    assert [array.tobytes() for array in (bench.state, bench.out, bench.levels)] == was
    event("settled")


@settings(deadline=None, max_examples=200)
@given(ladders(), st.data())
def test_no_order_breaks_a_filter_or_a_limit(ladder, data):
    draw = data.draw
    ladder |= {"requote_ticks": draw(st.integers(1, 5))}
    ladder |= {"min_life_ns": draw(st.sampled_from([0, S]))}
    order_ns = draw(st.sampled_from([0, S]))
    ladder |= {"order_ns": order_ns, "order_burst_ns": 2 * ladder["levels"] * order_ns}
    ladder |= {"collar_ppm": draw(st.sampled_from([2_000, 5_000, 1_000_000]))}
    ladder |= {"max_open_orders": draw(st.sampled_from([2, 5, 32]))}
    ladder |= {"max_open_tick_lots": draw(st.sampled_from([20_000, 55_000, 2**62]))}
    ladder |= {"max_spread_ticks": 8}
    bench = Bench(**ladder)
    filters(draw, bench.instrument[0])
    for _ in range(draw(st.integers(1, 8))):
        bench.pass_time(draw(st.integers(0, S)))
        bid = draw(st.integers(992, 1008))
        position = draw(st.integers(-70, 70))
        told = {"position_lots": position, "trade_ticks": draw(st.sampled_from([0, 998, 1004]))}
        market = {"bid_ticks": bid, "ask_ticks": bid + draw(st.integers(1, 7))}
        market |= {"fair_value_ticks": bid + draw(st.floats(-6, 8))}
        market |= {"volatility_ticks_per_sqrt_s": draw(st.floats(0, 4))}
        got = bench.step(told, **market)
        check_ladder(bench, position, got[8:])
        check_settled(draw, bench, told)
        event("quoted" if got[1] == Reason.NONE else Reason(got[1]).name)
        event("without tokens" if got[4] & QuoteClamp.RATED else "with tokens")


@settings(deadline=None, max_examples=100)
@given(ladders(), st.data())
def test_what_has_settled_stands_until_something_else_is_heard(ladder, data):
    draw = data.draw
    ladder |= {
        "requote_ticks": draw(st.integers(1, 4)),
        "min_life_ns": draw(st.sampled_from([0, S])),
    }
    ladder |= {"order_ns": draw(st.sampled_from([0, S])), "order_burst_ns": 12 * S}
    ladder |= {"collar_ppm": draw(st.sampled_from([8_000, 1_000_000])), "max_open_orders": 4}
    ladder |= {"markout_fills": 2, "markout_ns": S, "max_adverse_half_ticks": 2, "pause_ns": S}
    ladder |= {"position_limit_lots": 200, "soft_limit_lots": draw(st.sampled_from([30, 200]))}
    bench = Bench(**ladder)
    position = 0
    for _ in range(draw(st.integers(1, 10))):
        bench.pass_time(draw(st.integers(0, S)))
        if draw(st.booleans()):
            side = draw(st.sampled_from([-1, 1]))
            position += side * 5
            bench.fill(side, 5, draw(st.integers(1_990, 2_010)), bench.now_ns)
        bid = draw(st.integers(996, 1_002))
        told = {"position_lots": position, "trade_ticks": draw(st.sampled_from([0, 998, 1004]))}
        market = {"bid_ticks": bid, "ask_ticks": bid + draw(st.integers(1, 7))}
        market |= {"fair_value_ticks": bid + draw(st.floats(-2, 5))}
        market |= {"volatility_ticks_per_sqrt_s": draw(st.floats(0, 4))}
        bench.step(told, **market)
        check_settled(draw, bench, told)
