"""What the quoting models tend to: risk aversions towards zero, horizons towards none."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_cases import near, step

from mmquant.codes import Reason
from mmquant.models import model_params
from mmquant.models_exact import glft_exact

pytestmark = pytest.mark.kernels

tiny = st.floats(-300.0, -7.0).map(lambda power: 10.0**power)


def quotes_of(model, table, inputs):
    reason, quotes = step(model, model_params(model, table), **inputs)
    assert reason == Reason.NONE
    return quotes["bid_ticks"], quotes["ask_ticks"]


@settings(deadline=None)
@given(st.fixed_dictionaries(near), st.floats(1e-4, 2.0), tiny)
def test_a_fill_risk_aversion_towards_zero_is_none(i, gamma, xi):
    table = {"risk_aversion_per_tick": gamma, "drift_weight": 0.0}
    none = quotes_of("glft", table | {"fill_risk_aversion_per_tick": 0.0}, i)
    some = quotes_of("glft", table | {"fill_risk_aversion_per_tick": xi}, i)
    # Both terms change by a share of xi / k; the prices themselves are doubles near the fair value.
    fair, x = i["fair_value_ticks"], xi / i["arrival_decay_per_tick"]
    for a, b in zip(some, none, strict=True):
        assert abs(a - b) <= x * abs(b - fair) + 1e-9 * max(1.0, fair, abs(b))


@settings(deadline=None)
@given(st.fixed_dictionaries(near), tiny, st.sampled_from(["avellaneda_stoikov", "glft"]))
def test_a_risk_aversion_towards_zero_asks_for_the_arrivals_alone(i, gamma, model):
    bid, ask = quotes_of(model, {"risk_aversion_per_tick": gamma}, i)
    k, sigma = i["arrival_decay_per_tick"], i["volatility_ticks_per_sqrt_s"]
    n = i["inventory_orders"]
    fair, left_s, rate = i["fair_value_ticks"], i["time_left_s"], i["arrival_rate_per_s"]
    shift = (abs(n) + 0.5) * gamma * sigma**2 * left_s
    if model == "glft":
        shift = (
            (abs(n) + 0.5) * sigma * math.sqrt(gamma * (1 + gamma / k) ** 2 * 3 / (2 * rate * k))
        )
    most = shift + gamma / k**2 + 1e-9 * max(1.0, fair)
    assert abs(bid - (fair - 1 / k)) <= most
    assert abs(ask - (fair + 1 / k)) <= most


@settings(deadline=None, max_examples=30)
@given(
    st.floats(6.0, 12.0),
    st.floats(0.05, 1.0),
    st.floats(0.1, 2.0),
    st.floats(0.1, 1.0),
    st.floats(1e-3, 0.1),
    st.floats(-0.005, 0.005),
)
def test_a_long_horizon_is_no_horizon(power, sigma, rate, decay, gamma, drift):
    market = {"volatility_ticks_per_sqrt_s": sigma, "arrival_rate_per_s": rate}
    market |= {"arrival_decay_per_tick": decay, "drift_ticks_per_s": drift}
    market |= {"risk_aversion_per_tick": gamma, "max_inventory_orders": 5}
    n = np.arange(-5, 6)
    long = glft_exact(n, time_left_s=10.0**power, **market)
    forever = glft_exact(n, **market)
    for name in ("bid_distance_ticks", "ask_distance_ticks"):
        a, b = getattr(long, name), getattr(forever, name)
        assert np.array_equal(np.isfinite(a), np.isfinite(b))
        assert a[np.isfinite(a)] == pytest.approx(b[np.isfinite(b)], abs=1e-6)


@settings(deadline=None)
@given(st.fixed_dictionaries(near), st.floats(0.0, 300.0), st.floats(1e-4, 2.0))
def test_no_horizon_is_too_long_for_finite_quotes_or_a_reason(i, power, gamma):
    params = model_params("avellaneda_stoikov", {"risk_aversion_per_tick": gamma})
    reason, quotes = step("avellaneda_stoikov", params, **(i | {"time_left_s": 10.0**power}))
    prices = quotes["bid_ticks"], quotes["ask_ticks"]
    if reason == Reason.NONE:
        assert all(map(math.isfinite, prices))
        assert prices[0] < prices[1]
    else:
        assert all(map(math.isnan, prices))
