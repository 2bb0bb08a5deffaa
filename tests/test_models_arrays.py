"""Quoting models over arrays: the bits of single steps, frames, and refused settings."""

import math

import numpy as np
import pandas as pd
import pytest
from model_cases import BAD, EVERY, MARKET, MOST, PARAMS, step

from mmquant.codes import Reason
from mmquant.models import (
    MODELS,
    glft,
    model_params,
    skewed,
)

pytestmark = pytest.mark.kernels


@EVERY
def test_arrays_have_the_bits_of_single_steps(model):
    rng = np.random.default_rng(11)
    n = 40
    columns = [
        rng.uniform(500, 1500, n),
        rng.normal(0, 0.1, n),
        rng.exponential(0.5, n),
        rng.exponential(1.0, n),
        np.array([0.3]),  # one value for all rows
        rng.uniform(-MOST - 1, MOST + 1, n),
        rng.uniform(-5, 60, n),
    ]
    columns[0][3] = math.nan
    lots = [rng.integers(-30, 30, n), np.array([24])]
    quotes, reasons = np.empty((7, n)), np.empty(n, np.int64)
    MODELS[model].path(tuple(columns), tuple(lots), PARAMS[model], quotes, reasons)
    names = [*BAD, "position_lots", "position_limit_lots"]
    for i in range(n):
        row = {
            name: column[i % column.size]
            for name, column in zip(names, [*columns, *lots], strict=True)
        }
        reason, alone = step(model, **row)
        assert reasons[i] == reason
        assert quotes[:, i].tobytes() == np.array(list(alone.values())).tobytes()
    assert len(set(reasons.tolist())) > 1


def test_arrays_of_many_rows_have_the_bits_of_single_steps():
    rng = np.random.default_rng(12)
    n = 1100
    for decays in (np.array([0.3]), rng.uniform(0.01, 3.0, n)):
        columns = [np.zeros(1)] * 7
        columns[0], columns[2], columns[4] = (
            rng.uniform(500, 1500, n),
            rng.exponential(1, n),
            decays,
        )
        columns[5], columns[6] = rng.normal(0, 5, n), rng.uniform(0, 9, n)
        columns[6][600] = -1.0
        columns[5][1099] = 1e300
        quotes, reasons = np.empty((7, n)), np.empty(n, np.int64)
        lots = (np.zeros(1, np.int64), np.ones(1, np.int64))
        params = PARAMS["avellaneda_stoikov"]
        MODELS["avellaneda_stoikov"].path(tuple(columns), lots, params, quotes, reasons)
        for i in [*range(0, n, 37), 600, 1099]:
            row = {name: column[i % column.size] for name, column in zip(BAD, columns, strict=True)}
            reason, alone = step("avellaneda_stoikov", **row)
            assert reasons[i] == reason
            assert quotes[:, i].tobytes() == np.array(list(alone.values())).tobytes()
        assert np.flatnonzero(reasons).tolist() == [600, 1099]


def test_series_give_a_frame_with_their_index_and_numbers_give_one_row():
    index = pd.date_range("2024-01-01", periods=3, freq="s")
    fair = pd.Series([1000.0, math.nan, 1001.0], index)
    frame = glft(fair, [0, 1, 2], risk_aversion_per_tick=0.01, **MARKET)
    assert isinstance(frame, pd.DataFrame)
    assert frame.index.equals(index)
    assert frame["reason"].tolist() == [Reason.NONE, Reason.NOT_FINITE, Reason.NONE]
    assert frame["bid_ticks"].isna().tolist() == [False, True, False]
    one = glft(1000.0, 0, risk_aversion_per_tick=0.01, **MARKET)
    assert one.bid_ticks.tolist() == frame["bid_ticks"].tolist()[:1]
    quotes = skewed(
        [1000.0, 1000.0],
        [5, -5],
        position_limit_lots=10,
        volatility_ticks_per_sqrt_s=0.0,
        min_half_spread_bps=10.0,
    )
    assert quotes.bid_ticks.tolist() == [998.5, 999.5]


@pytest.mark.parametrize(
    ("model", "table", "message"),
    [
        ("stoikov", {}, "model must be one of skewed, .* got 'stoikov'"),
        (
            "glft",
            {"gamma": 1.0},
            "parameters of glft must be among risk_aversion_per_tick, .* gamma",
        ),
        ("glft", {}, "parameters of glft must have risk_aversion_per_tick"),
        ("glft", {"risk_aversion_per_tick": math.nan}, "risk_aversion_per_tick must be finite"),
        ("glft", {"risk_aversion_per_tick": 0.0, "drift_weight": 1.0}, "drift_weight must be 0"),
        ("glft", {"risk_aversion_per_tick": 1.0, "order_size": 0.0}, "order_size must be finite"),
        ("skewed", {"volatility_multiple": 2.0}, "min_half_spread_ticks or min_half_spread_bps"),
        (
            "glft_table",
            {"risk_aversion_per_tick": 1.0, "max_inventory_orders": 500},
            "max_inventory_orders must be between 1 and 200, got 500",
        ),
        (
            "avellaneda_stoikov_perpetual",
            {"risk_aversion_per_tick": 0.0, "max_inventory_orders": 5},
            "risk_aversion_per_tick must be finite",
        ),
        (
            "cartea_jaimungal",
            {"inventory_penalty_ticks_per_s": 0.0, "drift_decay_per_s": 0.0},
            "drift_decay_per_s must be positive",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(model, table, message):
    with pytest.raises(ValueError, match=message):
        model_params(model, table)


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="must be equally long"):
        glft([1.0, 2.0], [1, 2, 3], risk_aversion_per_tick=0.01, **MARKET)
