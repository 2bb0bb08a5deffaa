"""Inputs and parameters that the tests of the quoting models share."""

import numpy as np
import pytest
from hypothesis import strategies as st

from mmquant.codes import Reason
from mmquant.models import MODELS, model_params
from mmquant.state import MODEL_INPUTS, MODEL_QUOTES

MOST = 8
TABLES = {
    "skewed": {"min_half_spread_ticks": 0.5, "volatility_multiple": 1.0, "drift_weight": 0.3},
    "avellaneda_stoikov": {"risk_aversion_per_tick": 0.05},
    "avellaneda_stoikov_perpetual": {"risk_aversion_per_tick": 0.05, "max_inventory_orders": MOST},
    "glft": {"risk_aversion_per_tick": 0.05, "drift_weight": 0.5},
    "glft_table": {
        "risk_aversion_per_tick": 0.05,
        "max_inventory_orders": MOST,
        "drift_weight": 0.5,
    },
    "cartea_jaimungal": {"inventory_penalty_ticks_per_s": 0.01, "drift_decay_per_s": 0.1},
}
PARAMS = {name: model_params(name, table) for name, table in TABLES.items()}
USED = {  # what each model reads
    "skewed": {"fair_value_ticks", "drift_ticks_per_s", "volatility_ticks_per_sqrt_s"},
    "avellaneda_stoikov": {
        "fair_value_ticks",
        "volatility_ticks_per_sqrt_s",
        "arrival_decay_per_tick",
        "inventory_orders",
        "time_left_s",
    },
    "avellaneda_stoikov_perpetual": {
        "fair_value_ticks",
        "arrival_decay_per_tick",
        "inventory_orders",
    },
    "cartea_jaimungal": {
        "fair_value_ticks",
        "drift_ticks_per_s",
        "arrival_rate_per_s",
        "arrival_decay_per_tick",
        "inventory_orders",
    },
}
USED["glft"] = USED["glft_table"] = USED["cartea_jaimungal"] | {"volatility_ticks_per_sqrt_s"}
GOOD = {
    "fair_value_ticks": 1000.0,
    "drift_ticks_per_s": 0.01,
    "volatility_ticks_per_sqrt_s": 0.5,
    "arrival_rate_per_s": 0.9,
    "arrival_decay_per_tick": 0.3,
    "inventory_orders": 2.0,
    "inventory_limit_orders": 8.0,
    "time_left_s": 30.0,
    "order_lots": 3,
    "position_lots": 6,
    "position_limit_lots": 24,
    "bid_ticks": 999,
    "ask_ticks": 1001,
}
EVERY = pytest.mark.parametrize("model", MODELS)


def step(model, params=None, **changes):
    """Return the reason and the quotes of one step."""
    inputs, out = np.zeros(1, MODEL_INPUTS), np.ones(1, MODEL_QUOTES)
    for field, value in (GOOD | changes).items():
        inputs[0][field] = value
    reason = MODELS[model].step(inputs, PARAMS[model] if params is None else params, out)
    return reason, {name: float(out[0][name]) for name in MODEL_QUOTES.names}


def prices(model, **changes):
    reason, quotes = step(model, **changes)
    assert reason == Reason.NONE
    return quotes["bid_ticks"], quotes["ask_ticks"]


near = {
    "fair_value_ticks": st.floats(1.0, 1e7),
    "drift_ticks_per_s": st.floats(-5.0, 5.0),
    "volatility_ticks_per_sqrt_s": st.floats(0.01, 20.0),
    "arrival_rate_per_s": st.floats(0.01, 200.0),
    "arrival_decay_per_tick": st.floats(0.01, 10.0),
    "inventory_orders": st.floats(-MOST, MOST),
    "time_left_s": st.floats(0.0, 1e4),
    "position_lots": st.integers(-100, 100),
}
gammas = st.floats(1e-4, 2.0)

BAD = {
    "fair_value_ticks": (0.0, -1.0, 1e300),
    "drift_ticks_per_s": (),
    "volatility_ticks_per_sqrt_s": (-1e-9, -1.0),
    "arrival_rate_per_s": (0.0, -1.0),
    "arrival_decay_per_tick": (0.0, -1.0),
    "inventory_orders": (),
    "time_left_s": (-1e-9,),
}
MARKET = {
    "volatility_ticks_per_sqrt_s": 0.3,
    "arrival_rate_per_s": 0.9,
    "arrival_decay_per_tick": 0.3,
}
