"""Quoting models: their papers' formulas, limits, what they refuse, and the same bits as arrays."""

import math

import numpy as np
import pytest
import reference_models
from hypothesis import given, settings
from hypothesis import strategies as st
from model_cases import BAD, EVERY, GOOD, MARKET, MOST, PARAMS, USED, gammas, near, prices, step

from mmquant.codes import Reason
from mmquant.models import (
    avellaneda_stoikov,
    avellaneda_stoikov_perpetual,
    cartea_jaimungal,
    glft,
    model_params,
)
from mmquant.state import MODEL_INPUTS

pytestmark = pytest.mark.kernels


@settings(max_examples=60)
@given(st.fixed_dictionaries(near), gammas)
def test_avellaneda_and_stoikov_equal_their_indifference_prices(i, gamma):
    params = model_params("avellaneda_stoikov", {"risk_aversion_per_tick": gamma})
    reason, quotes = step("avellaneda_stoikov", params, **i)
    twin = reference_models.avellaneda_stoikov(
        i["fair_value_ticks"],
        i["inventory_orders"],
        i["volatility_ticks_per_sqrt_s"],
        i["arrival_decay_per_tick"],
        i["time_left_s"],
        gamma,
    )
    assert reason == Reason.NONE
    assert (quotes["bid_ticks"], quotes["ask_ticks"]) == pytest.approx(twin, rel=1e-9, abs=1e-6)


def test_avellaneda_and_stoikov_by_hand():
    q = avellaneda_stoikov(
        100.0,
        [0, 1, -1],
        volatility_ticks_per_sqrt_s=2.0,
        arrival_decay_per_tick=1.5,
        time_left_s=1.0,
        risk_aversion_per_tick=0.1,
    )
    assert (q.ask_ticks - q.bid_ticks).tolist() == pytest.approx([1.6907704227514238] * 3)
    assert q.reservation_ticks.tolist() == pytest.approx([100.0, 99.6, 100.4], abs=1e-12)
    assert 100.0 - q.bid_ticks[1] == pytest.approx(1.2453852113757119)
    assert q.ask_ticks[1] - 100.0 == pytest.approx(0.4453852113757119)


@pytest.mark.parametrize("q", range(-MOST, MOST + 1))
def test_the_perpetual_quotes_are_where_the_frozen_inventorys_value_stays(q):
    twin = reference_models.avellaneda_stoikov_perpetual(1000.0, q, 0.5, 0.3, 0.05, MOST)
    assert prices("avellaneda_stoikov_perpetual", inventory_orders=q) == pytest.approx(twin)


def test_the_perpetual_ask_is_the_papers_to_first_order():
    reserve = 1000.0 + math.log(1 + (1 - 2 * 3) / (1001.0**2 - 3**2)) / 0.05
    q = avellaneda_stoikov_perpetual(
        1000.0,
        3,
        arrival_decay_per_tick=0.3,
        risk_aversion_per_tick=0.05,
        max_inventory_orders=1000,
    )
    assert q.ask_ticks[0] - q.arrival_term_ticks[0] == pytest.approx(reserve, abs=1e-9)


@settings(max_examples=60)
@given(st.fixed_dictionaries(near), gammas, gammas, st.floats(0.1, 10.0))
def test_glft_equals_its_formulas(i, gamma, xi, size):
    table = {
        "risk_aversion_per_tick": gamma,
        "fill_risk_aversion_per_tick": xi,
        "order_size": size,
        "drift_weight": 1.0,
    }
    reason, quotes = step("glft", model_params("glft", table), **i)
    twin = reference_models.glft(
        i["fair_value_ticks"],
        i["inventory_orders"],
        i["volatility_ticks_per_sqrt_s"],
        i["arrival_rate_per_s"],
        i["arrival_decay_per_tick"],
        gamma,
        xi,
        size,
        i["drift_ticks_per_s"],
    )
    assert reason == Reason.NONE
    assert (quotes["bid_ticks"], quotes["ask_ticks"]) == pytest.approx(twin, rel=1e-8, abs=1e-6)


def test_glft_has_the_reference_values_of_its_paper():
    at = [-10, 0, 10]
    q = glft(1000.0, at, risk_aversion_per_tick=0.01, **MARKET)
    bids = [2.6342568733, 3.3129151986, 3.9915735239]
    assert (1000.0 - q.bid_ticks).tolist() == pytest.approx(bids, abs=1e-9)
    assert q.arrival_term_ticks[0] == pytest.approx(3.278982282299, abs=1e-12)
    assert 2 * q.volatility_term_ticks[0] == pytest.approx(0.067865832531, abs=1e-12)
    q = glft(1000.0, at, risk_aversion_per_tick=0.01, fill_risk_aversion_per_tick=0.0, **MARKET)
    bids = [2.6939000751, 3.3669877153, 4.0400753556]
    assert (1000.0 - q.bid_ticks).tolist() == pytest.approx(bids, abs=1e-9)
    for mu, bids, asks in (
        (
            0.001,
            [2.5588503927, 3.2375087180, 3.9161670433],
            None,
        ),
        (
            0.01,
            [1.8801920674, 2.5588503927, 3.2375087180],
            [4.7456383298, 4.0669800045, 3.3883216792],
        ),
    ):
        q = glft(
            1000.0,
            at,
            risk_aversion_per_tick=0.01,
            drift_weight=1.0,
            drift_ticks_per_s=mu,
            **MARKET,
        )
        assert (1000.0 - q.bid_ticks).tolist() == pytest.approx(bids, abs=1e-9)
        if asks:
            assert (q.ask_ticks - 1000.0).tolist() == pytest.approx(asks, abs=1e-9)
    for xi, bids in (
        (None, [2.6915754473, 3.1613012264, 3.6310270055]),
        (0.0, [2.9570659037, 3.4085868193, 3.8601077348]),
    ):
        q = glft(
            1000.0,
            [-3, 0, 3],
            risk_aversion_per_tick=0.01,
            fill_risk_aversion_per_tick=xi,
            order_size=5.0,
            **MARKET,
        )
        assert (1000.0 - q.bid_ticks).tolist() == pytest.approx(bids, abs=1e-9)


@settings(max_examples=60)
@given(st.fixed_dictionaries(near), st.floats(0.0, 1.0), st.floats(1e-3, 2.0))
def test_cartea_and_jaimungal_equal_their_formulas(i, phi, zeta):
    table = {"inventory_penalty_ticks_per_s": phi, "drift_decay_per_s": zeta}
    reason, quotes = step("cartea_jaimungal", model_params("cartea_jaimungal", table), **i)
    twin = reference_models.cartea_jaimungal(
        i["fair_value_ticks"],
        i["inventory_orders"],
        i["arrival_rate_per_s"],
        i["arrival_decay_per_tick"],
        phi,
        zeta,
        i["drift_ticks_per_s"],
    )
    assert reason == Reason.NONE
    assert (quotes["bid_ticks"], quotes["ask_ticks"]) == pytest.approx(twin, rel=1e-9, abs=1e-6)


def test_a_penalty_of_half_gamma_sigma_squared_is_glft_without_fill_risk_aversion():
    at = np.arange(-20, 21)
    for drift in (0.0, 0.003, -0.01):
        ours = cartea_jaimungal(
            1000.0,
            at,
            arrival_rate_per_s=0.9,
            arrival_decay_per_tick=0.3,
            inventory_penalty_ticks_per_s=0.01 * 0.09 / 2,
            drift_decay_per_s=0.0,
            drift_ticks_per_s=drift,
        )
        theirs = glft(
            1000.0,
            at,
            risk_aversion_per_tick=0.01,
            fill_risk_aversion_per_tick=0.0,
            drift_weight=1.0,
            drift_ticks_per_s=drift,
            **MARKET,
        )
        for one, other in zip(ours, theirs, strict=True):
            assert one == pytest.approx(other, abs=1e-11)


@settings(max_examples=60)
@given(
    st.fixed_dictionaries(near),
    st.floats(0.001, 50.0),
    st.floats(0.0, 20.0),
    st.floats(0.0, 5.0),
    st.floats(0.0, 60.0),
    st.floats(0.0, 3.0),
    st.floats(-1.0, 1.0),
)
def test_skewed_equals_its_formulas(i, ticks, bps, multiple, horizon, skew, weight):
    table = {
        "min_half_spread_ticks": ticks,
        "min_half_spread_bps": bps,
        "volatility_multiple": multiple,
        "horizon_s": horizon,
        "inventory_skew": skew,
        "drift_weight": weight,
    }
    reason, quotes = step("skewed", model_params("skewed", table), **i)
    twin = reference_models.skewed(
        i["fair_value_ticks"],
        i["position_lots"],
        24,
        i["volatility_ticks_per_sqrt_s"],
        i["drift_ticks_per_s"],
        *table.values(),
    )
    assert reason == Reason.NONE
    assert (quotes["bid_ticks"], quotes["ask_ticks"]) == pytest.approx(twin, rel=1e-9, abs=1e-9)


@EVERY
@settings(max_examples=60)
@given(st.fixed_dictionaries(near), st.floats(0.0, 5.0), st.integers(0, 50))
def test_bid_below_ask_parts_add_up_and_more_inventory_never_raises_a_quote(
    model, i, more, more_lots
):
    reason, quotes = step(model, **i)
    if reason != Reason.NONE:
        assert reason in (Reason.MODEL_TABLE, Reason.MODEL_SPREAD)
        assert all(math.isnan(value) for value in quotes.values())
        return
    bid, ask = quotes["bid_ticks"], quotes["ask_ticks"]
    assert bid < ask
    near_enough = {"rel": 1e-12, "abs": 1e-6}
    assert quotes["reservation_ticks"] == pytest.approx(
        i["fair_value_ticks"] + quotes["inventory_shift_ticks"] + quotes["drift_shift_ticks"],
        **near_enough,
    )
    half = quotes["volatility_term_ticks"] + quotes["arrival_term_ticks"]
    if math.isfinite(bid):
        assert quotes["reservation_ticks"] - half == pytest.approx(bid, **near_enough)
    if math.isfinite(ask):
        assert quotes["reservation_ticks"] + half == pytest.approx(ask, **near_enough)
    longer = {
        "inventory_orders": i["inventory_orders"] + more,
        "position_lots": i["position_lots"] + more_lots,
    }
    reason, quotes = step(model, **i | longer)
    if reason == Reason.NONE:
        slack = 1e-9 * i["fair_value_ticks"]
        assert quotes["bid_ticks"] <= bid + slack
        assert quotes["ask_ticks"] <= ask + slack


@EVERY
def test_quotes_are_the_mirror_image_of_the_opposite_inventory_and_drift(model):
    for q in (0.0, 0.4, 1.0, 3.7, 6.0):
        opposite = {"inventory_orders": -q, "position_lots": -6, "drift_ticks_per_s": -0.01}
        bid, ask = prices(model, inventory_orders=q, position_lots=6)
        mirrored_bid, mirrored_ask = prices(model, **opposite)
        assert 1000.0 - bid == pytest.approx(mirrored_ask - 1000.0, abs=1e-9)
        assert ask - 1000.0 == pytest.approx(1000.0 - mirrored_bid, abs=1e-9)


@pytest.mark.parametrize("model", ["skewed", "glft", "glft_table", "cartea_jaimungal"])
def test_a_rising_price_raises_both_quotes(model):
    flat = prices(model, drift_ticks_per_s=0.0)
    for drift in (0.001, 0.01):
        up, down = prices(model, drift_ticks_per_s=drift), prices(model, drift_ticks_per_s=-drift)
        assert all(a > b > c for a, b, c in zip(up, flat, down, strict=True))


def test_limits_of_the_risk_aversions():
    for model in ("avellaneda_stoikov", "glft"):
        for gamma in (1e-12, 1e-300, 0.0):
            params = model_params(model, {"risk_aversion_per_tick": gamma})
            _, quotes = step(model, params, inventory_orders=5.0)
            assert quotes["ask_ticks"] - 1000.0 == pytest.approx(1 / 0.3, abs=1e-4)
    for xi in (1e-6, 1e-12, 1e-300, 0.0):
        table = {"risk_aversion_per_tick": 0.01, "fill_risk_aversion_per_tick": xi}
        _, quotes = step("glft", model_params("glft", table), volatility_ticks_per_sqrt_s=0.3)
        assert quotes["arrival_term_ticks"] == pytest.approx(1 / 0.3, rel=1e-5)
        assert 2 * quotes["volatility_term_ticks"] == pytest.approx(0.067308764021, rel=1e-5)


@EVERY
def test_what_is_not_finite_or_out_of_range_gives_a_reason_and_no_quote(model):
    cases = [(field, value) for field in USED[model] for value in (math.nan, math.inf, -math.inf)]
    cases += [(field, value) for field in USED[model] for value in BAD[field]]
    if model == "skewed":
        cases += [("position_limit_lots", 0), ("position_limit_lots", -1)]
    for field, value in cases:
        reason, quotes = step(model, **{field: value})
        assert Reason(reason) != Reason.NONE, (field, value)
        assert all(math.isnan(quote) for quote in quotes.values()), (field, value)
    for field in set(GOOD) - USED[model] - {"position_lots", "position_limit_lots"}:
        if np.issubdtype(MODEL_INPUTS[field], np.floating):
            assert step(model, **{field: math.nan}) == step(model), f"{field} is not read"


@pytest.mark.parametrize("model", ["glft_table", "avellaneda_stoikov_perpetual"])
def test_beyond_its_bound_a_model_quotes_the_way_back_as_at_the_bound(model):
    for sign in (1, -1):
        at_bound = step(model, inventory_orders=sign * float(MOST))
        for beyond in (MOST + 0.01, MOST + 7.0, 1e9):
            reason, quotes = step(model, inventory_orders=sign * beyond)
            assert (reason, quotes) == at_bound
            assert reason == Reason.NONE
            adds, reduces = ("bid_ticks", "ask_ticks") if sign > 0 else ("ask_ticks", "bid_ticks")
            assert quotes[adds] == -sign * math.inf
            assert math.isfinite(quotes[reduces])


@EVERY
def test_parameters_that_make_no_sense_give_a_reason_and_no_quote(model):
    params = PARAMS[model]
    head = params[: min(params.size, 9)]
    cases = [params[:k].copy() for k in range(head.size)]
    for k in range(head.size):
        for value in (math.nan, math.inf, -math.inf):
            cases.append(params.copy())
            cases[-1][k] = value
    for case in cases:
        reason, quotes = step(model, case)
        assert Reason(reason) in (Reason.MODEL_PARAMETERS, Reason.NOT_FINITE), case[:9]
        assert all(math.isnan(quote) for quote in quotes.values())


@EVERY
@settings(max_examples=60)
@given(
    st.fixed_dictionaries({field: st.floats() for field in BAD}),
    st.integers(-(2**62), 2**62),
    st.integers(0, 2**62),
)
def test_any_numbers_give_two_prices_apart_or_a_reason(model, i, position, limit):
    reason, quotes = step(model, **i, position_lots=position, position_limit_lots=limit)
    if reason == Reason.NONE:
        assert quotes["bid_ticks"] < quotes["ask_ticks"]
        assert math.isfinite(quotes["reservation_ticks"])
    else:
        assert Reason(reason) in list(Reason)
        assert all(math.isnan(quote) for quote in quotes.values())
