"""The strategy's step against its twin, and what it must never do."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_trading import ReferenceStrategy, model_prices

from mmquant.codes import BookState, PricingFlag, Reason
from mmquant.kernels.quoting import quote_prices, strategy_step
from mmquant.quoting import skewed_quotes, strategy_params
from mmquant.records import INSTRUMENT, LEVEL, PRICING, QUOTES
from mmquant.state import MAX_LEVELS, STRATEGY_PARAMS, STRATEGY_STATE

pytestmark = pytest.mark.kernels

FILTERS = [name for name in INSTRUMENT.names if name.endswith(("_ticks", "_lots", "_e8", "_id"))]
PARAMS = {
    "order_lots": 10,
    "position_limit_lots": 50,
    "min_half_spread_ticks": 1.0,
    "volatility_multiple": 1.0,
    "horizon_s": 1.0,
    "max_spread_ticks": 20,
}


class Strategy:
    """The kernel with its buffers; step returns what the twin's does."""

    def __init__(self, **changes):
        self.params = strategy_params(**(PARAMS | changes))
        self.state = np.zeros(1, STRATEGY_STATE)
        self.out = np.zeros(1, QUOTES)
        self.levels = np.zeros(2 * MAX_LEVELS, LEVEL)
        self.instrument = np.zeros(1, INSTRUMENT)
        i = self.instrument[0]
        i["instrument_id"], i["tick_size_e8"], i["lot_size_e8"] = 7, 10**6, 10**5
        self.pricing = np.zeros(1, PRICING)
        p = self.pricing[0]
        p["instrument_id"], p["flags"] = 7, int(PricingFlag.LIVE | PricingFlag.WARM)
        p["book_state"], p["bid_ticks"], p["ask_ticks"] = BookState.LIVE, 999, 1001
        p["fair_value_ticks"], p["volatility_ticks_per_sqrt_s"] = 1000.0, 1.0

    def side(self, first):
        rows = self.levels[first : first + MAX_LEVELS].tolist()
        quoted = [row for row in rows if row[1]]
        assert rows == quoted + [(0, 0)] * (MAX_LEVELS - len(quoted))
        return quoted

    def step(self, position=0, known=1, upstream=1, **changes):
        for field, value in changes.items():
            self.pricing[0][field] = value
        changed = strategy_step(
            self.state,
            self.params,
            self.pricing,
            self.instrument,
            position,
            known,
            upstream,
            self.out,
            self.levels,
        )
        o = self.out[0]
        reasons = (int(o["reason"]), int(o["bid_reason"]), int(o["ask_reason"]))
        return (changed, *reasons, self.side(0), self.side(MAX_LEVELS))


@st.composite
def strategies(draw):
    strategy = Strategy(
        order_lots=draw(st.integers(1, 20)),
        position_limit_lots=draw(st.integers(1, 60)),
        min_half_spread_ticks=draw(st.sampled_from([0.001, 0.5, 1.0, 3.25])),
        volatility_multiple=draw(st.floats(0, 3)),
        horizon_s=draw(st.floats(0, 4)),
        max_spread_ticks=draw(st.integers(1, 8)),
        inventory_skew=draw(st.floats(0, 2)),
        drift_weight=draw(st.floats(-1, 1)),
        levels=draw(st.integers(1, MAX_LEVELS)),
        level_spacing_ticks=draw(st.integers(1, 4)),
        requote_ticks=draw(st.integers(1, 6)),
    )
    i = strategy.instrument[0]
    i["min_price_ticks"], i["max_price_ticks"] = draw(st.sampled_from([(0, 0), (990, 1010)]))
    i["min_qty_lots"], i["max_qty_lots"] = draw(st.sampled_from([(0, 0), (3, 12)]))
    i["min_notional_e8"] = draw(st.sampled_from([0, 5 * 10**6, 4 * 10**8]))
    return strategy


def market(draw):
    bid = draw(st.integers(990, 1010))
    return {
        "bid_ticks": bid,
        "ask_ticks": bid + draw(st.integers(0, 9)),
        "fair_value_ticks": bid + draw(st.floats(-6, 6)),
        "volatility_ticks_per_sqrt_s": draw(st.floats(0, 4)),
        "drift_ticks_per_s": draw(st.floats(-3, 3)),
        "flags": draw(st.sampled_from([3, 3, 3, 3, 1])),
    }


@settings(deadline=None)  # the first call compiles
@given(strategies(), st.data())
def test_a_sequence_of_steps_is_that_of_the_twin_and_keeps_every_rule(strategy, data):
    twin = ReferenceStrategy({name: strategy.params[0][name] for name in STRATEGY_PARAMS.names})
    exact = {name: int(strategy.instrument[0][name]) for name in FILTERS}
    limit = int(strategy.params[0]["position_limit_lots"])
    for _ in range(data.draw(st.integers(1, 8))):
        position = data.draw(st.integers(-limit - 5, limit + 5))
        known, upstream = data.draw(st.sampled_from([(1, 1), (1, 1), (1, 1), (0, 1), (1, 0)]))
        got = strategy.step(position, known, upstream, **market(data.draw))
        assert got == twin.step(strategy.pricing[0], exact, position, known, upstream)
        _, reason, bid_reason, ask_reason, bids, asks = got
        bought, sold = (sum(qty for _, qty in side) for side in (bids, asks))
        assert position + bought <= limit or not bids
        assert position - sold >= -limit or not asks
        assert not (reason and (bids or asks))
        assert bool(bids) != bool(reason or bid_reason)
        assert bool(asks) != bool(reason or ask_reason)
        p = strategy.pricing[0]
        assert all(price < p["ask_ticks"] for price, _ in bids)
        assert all(price > p["bid_ticks"] for price, _ in asks)
        assert not (bids and asks and bids[0] >= asks[0])


def test_the_quotes_are_symmetric_around_the_fair_value():
    assert Strategy().step() == (1, 0, 0, 0, [(999, 10)], [(1001, 10)])
    wide = Strategy().step(volatility_ticks_per_sqrt_s=4.5)
    assert wide[4:] == ([(995, 10)], [(1005, 10)])


def test_a_long_position_shifts_both_quotes_down():
    strategy = Strategy(inventory_skew=1.0)
    _, *_, bids, asks = strategy.step(25, volatility_ticks_per_sqrt_s=4.0)
    assert (bids, asks) == ([(994, 10)], [(1002, 10)])
    o = strategy.out[0]
    assert (o["inventory_shift_ticks"], o["reservation_ticks"]) == (-2.0, 998.0)
    assert (o["half_spread_ticks"], o["position_lots"]) == (4.0, 25)


def test_the_drift_shifts_both_quotes_along():
    strategy = Strategy(drift_weight=0.5)
    _, *_, bids, asks = strategy.step(drift_ticks_per_s=4.0)
    assert (bids, asks) == ([(1000, 10)], [(1003, 10)])
    assert strategy.out[0]["drift_shift_ticks"] == 2.0


def test_a_ladder_keeps_its_spacing_when_the_touch_pushes_it_back():
    strategy = Strategy(levels=3, level_spacing_ticks=2)
    *_, bids, asks = strategy.step(fair_value_ticks=1004.0)
    assert bids == [(1000, 10), (998, 10), (996, 10)]
    assert asks == [(1005, 10), (1007, 10), (1009, 10)]


def test_quantities_shrink_to_the_room_the_limit_leaves():
    strategy = Strategy(levels=3)
    _, reason, bid_reason, ask_reason, bids, asks = strategy.step(35)
    assert [qty for _, qty in bids] == [10, 5]
    assert [qty for _, qty in asks] == [10, 10, 10]
    assert (reason, bid_reason, ask_reason) == (0, 0, 0)


def test_a_side_at_its_limit_is_not_quoted_and_says_so():
    assert Strategy().step(50)[1:5] == (0, Reason.INVENTORY_LIMIT, 0, [])
    assert Strategy().step(-60)[1:4] == (0, 0, Reason.INVENTORY_LIMIT)


def test_a_level_too_small_because_of_the_limit_names_the_limit():
    strategy = Strategy()
    strategy.instrument[0]["min_qty_lots"] = 5
    assert strategy.step(47)[2] == Reason.INVENTORY_LIMIT


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("min_qty_lots", 11, Reason.BELOW_MINIMUM_QUANTITY),
        ("max_qty_lots", 9, Reason.ABOVE_MAXIMUM_QUANTITY),
        ("min_notional_e8", 11 * 10**8, Reason.BELOW_MINIMUM_NOTIONAL),
        ("max_price_ticks", 998, Reason.PRICE_OUT_OF_RANGE),
    ],
)
def test_an_order_that_the_venue_would_refuse_is_not_quoted(field, value, reason):
    # 10 lots of 0.001 at 10.00 are a notional of 0.1.
    strategy = Strategy()
    strategy.instrument[0][field] = value
    assert strategy.step()[:4] == (1, reason, reason, reason)


def test_a_price_that_would_move_too_little_stays():
    strategy = Strategy(requote_ticks=3)
    strategy.step(volatility_ticks_per_sqrt_s=5.0)
    assert strategy.step(fair_value_ticks=1002.0)[0] == 0
    assert strategy.side(0) == [(995, 10)]
    assert strategy.step(fair_value_ticks=1003.0)[4:] == ([(998, 10)], [(1008, 10)])


def test_a_price_stays_only_while_it_is_post_only():
    strategy = Strategy(requote_ticks=5)
    strategy.step()
    *_, bids, _ = strategy.step(bid_ticks=997, ask_ticks=999, fair_value_ticks=998.5)
    assert bids == [(997, 10)]


def test_a_price_does_not_survive_a_pull():
    strategy = Strategy(requote_ticks=3)
    strategy.step(volatility_ticks_per_sqrt_s=5.0)
    assert strategy.step(upstream=0)[:2] == (1, Reason.UPSTREAM_SILENT)
    assert strategy.step(upstream=0)[0] == 0
    assert strategy.step(fair_value_ticks=1001.0)[4:] == ([(996, 10)], [(1006, 10)])


def test_a_price_is_not_kept_for_a_side_that_was_not_quoted():
    strategy = Strategy(requote_ticks=3, inventory_skew=0.0)
    strategy.step(-50, volatility_ticks_per_sqrt_s=5.0)
    *_, bids, asks = strategy.step(0, fair_value_ticks=1001.0)
    assert (bids, asks) == ([(995, 10)], [(1006, 10)])


def test_a_kept_bid_never_meets_an_ask_that_moved():
    strategy = Strategy(requote_ticks=6)
    strategy.step(bid_ticks=985, volatility_ticks_per_sqrt_s=5.0)
    *_, bids, asks = strategy.step(fair_value_ticks=993.0, volatility_ticks_per_sqrt_s=1.0)
    assert (bids, asks) == ([(992, 10)], [(994, 10)])


def test_a_new_position_is_published_even_with_the_same_quotes():
    strategy = Strategy(inventory_skew=0.0)
    first = strategy.step(0)
    assert strategy.step(0)[0] == 0
    assert strategy.step(4) == (1, *first[1:])


def test_a_model_that_leaves_the_numbers_is_not_finite():
    strategy = Strategy(volatility_multiple=1e300)
    with np.errstate(over="ignore", invalid="ignore"):  # numpy warns where the JIT is off
        assert strategy.step(volatility_ticks_per_sqrt_s=1e300)[1:4] == (Reason.NOT_FINITE, 0, 0)
    assert [strategy.out[0][name] for name in ("reservation_ticks", "half_spread_ticks")] == [0, 0]


def test_a_price_far_outside_the_range_is_bounded():
    *_, bids, asks = Strategy().step(fair_value_ticks=1e300)
    assert bids == [(1000, 10)]
    assert asks == [(2**53 + 1, 10)]


def test_the_quotes_name_their_inputs():
    strategy = Strategy()
    inputs = ["seq", "now_ns", "epoch", "frame_ns", "collector_sent_ns", "received_ns", "sent_ns"]
    strategy.step(**{name: 100 + k for k, name in enumerate(inputs)})
    o = strategy.out[0]
    outputs = ["pricing_seq", "now_ns", "epoch", "frame_ns", "collector_sent_ns"]
    outputs += ["pricing_received_ns", "pricing_sent_ns"]
    assert [int(o[name]) for name in outputs] == list(range(100, 107))
    assert (o["instrument_id"], o["seq"], o["received_ns"], o["sent_ns"]) == (7, 0, 0, 0)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(1, 1e6), st.floats(0, 50), st.floats(-9, 9), st.integers(-60, 60)))
)
def test_the_path_is_the_step_folded_and_that_of_the_twin(rows):
    params = strategy_params(**PARAMS, drift_weight=0.3, inventory_skew=0.7)
    columns = [np.array([row[k] for row in rows]) for k in range(4)]
    quotes = skewed_quotes(*columns[:3], columns[3].astype(np.int64), params)
    for k, row in enumerate(rows):
        step = quote_prices(params, *row)
        assert step == tuple(column[k] for column in quotes)
        exact = {name: params[0][name] for name in STRATEGY_PARAMS.names}
        assert step[:4] == model_prices(exact, *row)


def test_skewed_quotes_broadcasts_scalars_and_refuses_what_is_no_number():
    params = strategy_params(**PARAMS)
    quotes = skewed_quotes(100.0, 2.0, 0.0, np.arange(-50, 51, 25), params)
    assert quotes.bid_ticks.tolist() == [100, 99, 98, 97, 96]
    assert skewed_quotes(100.0, 2.0, 0.0, 0, params).ask_ticks == 102
    with pytest.raises(ValueError, match="fair_value_ticks must be finite, got nan"):
        skewed_quotes(math.nan, 2.0, 0.0, 0, params)
    with pytest.raises(ValueError, match=r"must not be negative, got -2\.0"):
        skewed_quotes(100.0, -2.0, 0.0, 0, params)
    with pytest.raises(TypeError, match="position_lots must be whole numbers, got float64"):
        skewed_quotes(100.0, 2.0, 0.0, 0.5, params)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"order_lots": 0}, ValueError, "order_lots must be between 1 and .*, got 0"),
        ({"order_lots": 1.0}, TypeError, "order_lots must be a whole number, got 1.0"),
        ({"levels": 17}, ValueError, "levels must be between 1 and 16, got 17"),
        ({"horizon_s": math.nan}, ValueError, "horizon_s must be finite"),
        ({"min_half_spread_ticks": 0}, ValueError, "min_half_spread_ticks must be finite and"),
        ({"inventory_skew": "1"}, TypeError, "inventory_skew must be a number, got '1'"),
        ({"order_lot": 1}, TypeError, "order_lot"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(change, error, message):
    with pytest.raises(error, match=message):
        strategy_params(**(PARAMS | change))
