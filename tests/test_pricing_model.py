"""A pricing model of one's own: the same function, and the same bits, in a notebook and live."""

import math
import os
from pathlib import Path

import numba
import numpy as np
import pandas as pd
import pytest
from test_pricing_kernel import PARAMS, RICH, S, Service

from mmquant import price_by_model
from mmquant._jit_model import bind_pricing_model, own_params
from mmquant.codes import PricingFlag
from mmquant.kernels.pricing import PUBLISH
from mmquant.kernels.pricing_model import pricing_model_path
from mmquant.pricing_model import load_fair_value, pricing_steps
from mmquant.state import PRICING_MODEL_INPUTS, PRICING_MODEL_PRICE
from mmquant.wire import encode

pytestmark = pytest.mark.kernels


@numba.njit
def leaning(inputs, params, out):
    signals = inputs[0]
    if signals["bid_lots"] == 13:
        return 81
    out[0]["fair_value_ticks"] = (
        signals["microprice_ticks"] + params[0] * signals["order_flow_lots"] / signals["ask_lots"]
    )
    return 0


@numba.njit
def forgetful(inputs, params, out):
    out[0]["fair_value_ticks"] = params[0]


class ModelService(Service):
    """A Service whose steps ask the model."""

    def __init__(self, model, params, own=0.25):
        super().__init__(params)
        self.steps = pricing_steps(model)
        self.own = np.array([own])

    def send(self, template, groups=None, **values):
        copied = {"instrument_id": 7, "received_ns": 11, "sent_ns": 13}
        words = np.frombuffer(encode(template, {**copied, **values}, groups), np.int64).copy()
        return self.steps.step(self.state, self.book, self.params, self.own, words, self.out)

    def refresh(self, now_ns):
        self.steps.refresh(self.state, self.book, self.params, self.own, now_ns, self.out)


def live_rows(service):
    """Step through some touches; return what was published, and the fair values."""
    assert service.snapshot(S, 1, 10, [(99, 5), (98, 2)], [(101, 15)]) == PUBLISH
    rows = [service.out[0].copy()]
    for i, lots in enumerate((6, 2, 9, 13, 4)):
        assert service.best((2 + i) * S, 1, 11 + i, (99 + i % 2, lots, 102, 3)) == PUBLISH
        rows.append(service.out[0].copy())
    service.refresh(9 * S)
    rows.append(service.out[0].copy())
    return pd.DataFrame(np.array(rows))


def test_live_and_notebook_give_the_same_bits():
    rows = live_rows(ModelService(leaning, RICH))
    prices = price_by_model(leaning, rows, [0.25])
    assert prices.index.equals(rows.index)
    refused = rows["bid_lots"] == 13
    assert prices.isna().tolist() == refused.tolist()
    assert prices[~refused].tolist() == rows["fair_value_ticks"][~refused].tolist()
    plain = live_rows(Service(RICH))
    assert plain.drop(columns=["fair_value_ticks", "flags"]).equals(
        rows.drop(columns=["fair_value_ticks", "flags"])
    )


@numba.njit
def leaning_on_noise(inputs, params, out):
    signals = inputs[0]
    if np.isnan(signals["realised_ticks_per_sqrt_s"]):
        return 7
    noise, volatility = signals["noise_ticks"], signals["yang_zhang_ticks_per_sqrt_s"]
    out[0]["fair_value_ticks"] = signals["mid_ticks"] + params[0] * noise - volatility
    return 0


def test_realised_measures_are_given_to_a_model_while_they_are_not_stale():
    service = ModelService(leaning_on_noise, RICH)  # windows of two seconds, of four mids at least
    service.snapshot(S, 1, 10, [(99, 5)], [(101, 15)])
    rows = []
    for second in (2, 3, 4, 5, 6, 7, 8, 13, 14):
        service.best(second * S, 1, 10 + second, (99 + second % 3, second, 102, 3))
        rows.append(service.out[0].copy())
    rows = pd.DataFrame(np.array(rows))
    has_measures = rows["flags"] & PricingFlag.REALISED > 0
    assert has_measures.tolist() == [False] * 2 + [True] * 5 + [False, True]
    prices = price_by_model(leaning_on_noise, rows, [0.25])
    assert prices.isna().tolist() == (~has_measures).tolist()
    assert prices[has_measures].tolist() == rows["fair_value_ticks"][has_measures].tolist()
    assert (rows["realised_ticks_per_sqrt_s"] > 0.0).tolist() == [False] * 2 + [True] * 7


def test_a_model_that_refuses_takes_live_away():
    rows = live_rows(ModelService(leaning, PARAMS))
    refused = rows[rows["bid_lots"] == 13].iloc[0]
    assert int(refused["flags"]) & PricingFlag.NO_FAIR_VALUE
    assert not int(refused["flags"]) & PricingFlag.LIVE
    assert refused["fair_value_ticks"] == 0.0
    assert rows["flags"].iloc[5] & PricingFlag.LIVE


@numba.njit
def always(inputs, params, out):
    out[0]["fair_value_ticks"] = params[0]
    return 0


@pytest.mark.parametrize("value", [0.0, -0.0, -5.0, math.inf, -math.inf, math.nan])
def test_what_is_no_price_is_no_fair_value_live_and_in_a_notebook(value):
    rows = live_rows(ModelService(always, PARAMS, value))
    assert (rows["flags"] & PricingFlag.NO_FAIR_VALUE > 0).all()
    assert (rows["flags"] & PricingFlag.LIVE == 0).all()
    assert (rows["fair_value_ticks"] == 0.0).all()
    assert np.isnan(price_by_model(always, rows, [value])).all()


def test_a_blend_that_its_signals_take_below_0_is_none():
    rows = live_rows(Service({**PARAMS, "depth_imbalance_ticks": 1000.0}))
    below = rows["microprice_ticks"] + 1000.0 * rows["depth_imbalance"] < 0.0
    assert 0 < below.sum() < len(rows)
    assert (rows["flags"] & PricingFlag.NO_FAIR_VALUE > 0).tolist() == below.tolist()
    assert (rows["fair_value_ticks"] > 0.0).tolist() == (~below).tolist()


def test_a_structured_array_is_a_table_as_a_frame_is():
    rows = live_rows(ModelService(leaning, RICH))
    prices = price_by_model(leaning, rows.to_records(index=False), [0.25])
    assert prices.tobytes() == price_by_model(leaning, rows, [0.25]).to_numpy().tobytes()


def test_what_is_missing_is_nan_and_a_price_of_nothing_too():
    columns = {"microprice_ticks": [100.0, 0.0], "ask_lots": [3, 3], "order_flow_lots": [6.0, 6.0]}
    prices = price_by_model(leaning, columns, [0.5])
    assert prices[0] == 101.0
    assert np.isnan(prices[1])
    assert np.isnan(price_by_model(leaning, {"ask_lots": [3]}, [0.5])[0])


def test_a_model_that_reads_past_its_params_is_refused():
    columns = {"microprice_ticks": [100.0], "ask_lots": [3], "order_flow_lots": [6.0]}
    with pytest.raises(IndexError, match=r"with 0 params: pass price_by_model every number"):
        price_by_model(leaning, columns)
    model, params = load_fair_value(leaning, (), Path())
    out = np.empty(1)
    with pytest.raises(IndexError):
        pricing_model_path(model, *arguments(params), out)


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="Python checks by itself")
@pytest.mark.skipif(os.environ.get("NUMBA_BOUNDSCHECK") == "1", reason="all reads are checked")
def test_live_what_lies_past_the_params_is_no_number():
    # Live nothing is checked: a price that is no number is not quoted.
    out = np.zeros(1)
    pricing_model_path(bind_pricing_model(leaning), *arguments(own_params([])), out)
    assert np.isnan(out[0])
    pricing_model_path(bind_pricing_model(leaning), *arguments(own_params([0.5])), out)
    assert out[0] == 101.0


def arguments(params):
    """Return a row of signals, the parameters and room for a price."""
    rows = np.zeros(1, PRICING_MODEL_INPUTS)
    rows["microprice_ticks"], rows["ask_lots"], rows["order_flow_lots"] = 100.0, 3, 6.0
    return rows, params, np.zeros(1, PRICING_MODEL_PRICE)


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: price_by_model(leaning.py_func, {"ask_lots": [1]}),
            TypeError,
            "decorated with numba.njit",
        ),
        (
            lambda: price_by_model(forgetful, {"ask_lots": [1]}),
            TypeError,
            r"forgetful \(.*, line \d+\) must answer an int, got none",
        ),
        (lambda: pricing_steps(leaning.py_func), TypeError, "decorated with numba.njit"),
        (lambda: price_by_model(leaning, {"asks": [1]}), ValueError, "a column a model knows"),
    ],
)
def test_what_is_no_model_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize(
    ("params", "error", "text"),
    [
        (0.5, ValueError, "params must be one-dimensional, got one value, .*0.5.*: pass a column"),
        ([[0.5]], ValueError, r"params must be one-dimensional, got shape \(1, 1\)"),
        (pd.DataFrame({"a": [0.5]}), ValueError, "params must be one-dimensional, got shape"),
        (None, TypeError, "params must be numbers, got None"),
        (["x"], TypeError, "params must be numbers, got dtype <U1"),
    ],
)
def test_params_that_are_no_list_of_numbers_are_refused_by_name(params, error, text):
    with pytest.raises(error, match=text):
        price_by_model(leaning, {"microprice_ticks": [100.0]}, params)
