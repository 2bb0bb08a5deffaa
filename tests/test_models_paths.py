"""Simulated paths of quoting models: the twin's, path by path, and closed forms."""

import math

import numpy as np
import pytest
import reference_models

import mmquant

PAPER = {
    "steps": 200,
    "step_s": 0.005,
    "volatility_ticks_per_sqrt_s": 2.0,
    "arrival_rate_per_s": 140.0,
    "arrival_decay_per_tick": 1.5,
}


@pytest.mark.parametrize("gamma", [0.1, 1.0])
def test_paths_equal_the_twins(gamma):
    parameters = {"risk_aversion_per_tick": gamma}
    ours = mmquant.simulate_model("avellaneda_stoikov", parameters, paths=4, seed=7, **PAPER)
    rng = np.random.default_rng(7)
    uniforms = np.stack([rng.random((4, 3)) for _ in range(200)], axis=1)
    for path in range(4):
        profit, q = reference_models.simulate(
            uniforms[path], 100.0, 2.0, 0.005, 1.5, 140.0, gamma, 0.0
        )
        assert ours.profit_ticks[path] == pytest.approx(profit, abs=1e-9)
        assert ours.inventory_orders[path] == q


def test_a_constant_spread_has_its_closed_form():
    half, paths = 0.745385, 4_000
    parameters = {"min_half_spread_ticks": half, "volatility_multiple": 0.0, "horizon_s": 0.0}
    parameters |= {"inventory_skew": 0.0}
    ours = mmquant.simulate_model("skewed", parameters, paths=paths, seed=1, **PAPER)
    p = 140.0 * math.exp(-1.5 * half) * 0.005
    row = ours.summary()
    assert row["spread"] == pytest.approx(2 * half, rel=1e-12)
    error = 13.4574 / math.sqrt(paths)
    assert row["profit"] == pytest.approx(400 * p * half, abs=4 * error)
    variance = 400 * p * (1 - p)
    assert row["sd of final inventory"] == pytest.approx(math.sqrt(variance), rel=0.05)


def test_a_side_that_is_not_quoted_is_not_filled():
    parameters = {"risk_aversion_per_tick": 0.1, "max_inventory_orders": 1}
    ours = mmquant.simulate_model(
        "avellaneda_stoikov_perpetual", parameters, paths=50, seed=3, **PAPER
    )
    assert np.abs(ours.inventory_orders).max() == 1.0
    assert np.isfinite(ours.spread_ticks).all()


def test_what_a_model_refuses_is_said():
    parameters = {"risk_aversion_per_tick": 0.01, "max_inventory_orders": 5}
    with pytest.raises(ValueError, match="glft_table must quote on every path, got MODEL_"):
        mmquant.simulate_model(
            "glft_table", parameters, paths=2, seed=1, **PAPER | {"arrival_rate_per_s": 1e-9}
        )
    with pytest.raises(ValueError, match="model must be one of"):
        mmquant.simulate_model("none", {}, paths=1, seed=1, **PAPER)
