"""The drift of signals: the library's, the service's, and the way from a fit to both."""

import math
import os
import tomllib

import numpy as np
import pandas as pd
import pytest
import reference_signals
from hypothesis import given
from hypothesis import strategies as st
from mm_pricing.parameters import pricing_params
from mm_runtime.config import load
from mm_runtime.settings import PricingSettings
from small_tape import make_tape
from test_pricing_kernel import PARAMS, S, Service, live_service

import mmquant
from mmquant import backtest
from mmquant.codes import PricingFlag, Side, Template
from mmquant.configure import pricing_record
from mmquant.kernels import signals as kernels
from mmquant.settings_rules import SIGNAL_DRIFT
from mmquant.tape import read_tape

pytestmark = pytest.mark.kernels

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT") == "1"
no_bounds = pytest.mark.skipif(bool(os.environ.get("NUMBA_BOUNDSCHECK")), reason="stage by stage")
NAMES = list(SIGNAL_DRIFT)
# Two levels a side, a touch of 6 and 2 lots on a spread of 2, a trade of a buyer, a basis of 25 %.
VALUES = {
    "depth_imbalance": (6 + 4 - 2 - 3) / 15,
    "touch_imbalance": (6 - 2) / 8,
    "order_flow_lots": 2.0,
    "touch_flow_lots": 1.0,
    "trade_flow_imbalance": 1.0,
    "basis_bps": 2500.0,
    "microprice_minus_mid_ticks": 0.5,
}


def priced(params):
    """Return a service behind a book, a trade and a delta, with a reference that is young."""
    service = Service({**PARAMS, "depth_levels": 2, "order_flow_levels": 2, **params})
    service.params[0]["reference_max_age_ns"] = 2 * S
    service.state[0]["reference_ticks"], service.state[0]["reference_ns"] = 80.0, S
    service.snapshot(S, 1, 10, [(99, 5), (98, 3)], [(101, 2), (102, 3)])
    trade = {"trade_id": 1, "qty_lots": 4, "aggressor": int(Side.BUY), "now_ns": S}
    service.send(Template.TRADE, **trade)
    service.delta(S, 1, 10, 11, [(99, 6), (98, 4)], [])
    return service


@pytest.mark.parametrize("name", NAMES)
def test_each_factor_is_of_its_signal(name):
    factors = [0.25 * (name == other) for other in NAMES]
    service = priced({"signal_drift_ticks_per_s": factors})
    assert service["signal_drift_ticks_per_s"] == 0.25 * VALUES[name]
    assert service["drift_ticks_per_s"] == service["ewma_drift_ticks_per_s"]


def test_the_source_is_what_the_strategy_and_models_are_given_and_both_are_beside_it():
    factors = {"signal_drift_ticks_per_s": [1.0] * 7}
    for source in (0, 1):
        service = priced({**factors, "drift_source": source})
        service.best(2 * S, 1, 12, (100, 6, 102, 2))
        drifts = [service[f"{kind}drift_ticks_per_s"] for kind in ("", "ewma_", "signal_")]
        assert drifts[0] == drifts[1 + source]
        assert drifts[1] == 1.0  # a tick in a second
        assert drifts[2] != 1.0
        given = service.state[0]["inputs"][0]
        names = [f"{kind}drift_ticks_per_s" for kind in ("", "ewma_", "signal_")]
        assert [given[name] for name in names] == drifts


def test_a_signal_that_is_not_there_adds_nothing_and_the_price_stays_live():
    service = priced({"signal_drift_ticks_per_s": [0, 0.5, 0, 0, 0, 2.0, 0], "drift_source": 1})
    assert service["drift_ticks_per_s"] == 0.5 * 0.5 + 2.0 * 2500.0
    service.refresh(3 * S + 1)
    assert service["flags"] & (PricingFlag.LIVE | PricingFlag.BASIS) == PricingFlag.LIVE
    assert service["drift_ticks_per_s"] == 0.5 * 0.5
    service.delta(3 * S + 1, 1, 11, 12, [], [(101, 0), (102, 0)])  # no touch
    assert service["drift_ticks_per_s"] == 0.0


def test_warm_is_the_volatility_whatever_the_drift_is_of():
    params = {**PARAMS, "drift_source": 1, "signal_drift_ticks_per_s": [1.0] * 7}
    services = live_service(), live_service(params)
    for second in range(2, 6):
        for service in services:
            service.best(second * S, 1, 10 + second, (99 + second % 2, 5, 102, 5))
        plain, of_signals = services
        assert of_signals["flags"] == plain["flags"]
        assert bool(of_signals["flags"] & PricingFlag.WARM) == (second >= 4)


# the library


rows = st.lists(
    st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(math.nan)), min_size=7, max_size=7),
    min_size=1,
    max_size=6,
)
factors_of_all = st.lists(st.floats(-1e6, 1e6), min_size=7, max_size=7)


@given(rows, factors_of_all, st.permutations(range(7)))
def test_a_drift_of_signals_is_its_twin_and_its_steps_in_any_order(values, factors, order):
    columns = np.array(values).T
    signals = {NAMES[k]: (columns[k], factors[k]) for k in order}
    drift = mmquant.signal_drift(signals)
    twin = [reference_signals.signal_drift(row, factors) for row in values]
    np.testing.assert_allclose(drift, twin, rtol=1e-12, atol=1e-2)  # of terms up to 1e12
    steps = [kernels.signal_drift_step(np.array(row), np.array(factors)) for row in values]
    assert drift.tobytes() == np.array(steps).tobytes()


def test_a_drift_of_ones_own_signals_keeps_the_index():
    index = pd.date_range("2024", periods=3, freq="s")
    own = pd.Series([1.0, math.nan, 3.0], index=index)
    drift = mmquant.signal_drift({"own": (own, 0.5), "other": (2.0 * own, 0.25)})
    assert drift.tolist() == [1.0, 0.0, 3.0]
    assert drift.name == "signal_drift_ticks_per_s"
    assert drift.index.equals(index)


@pytest.mark.parametrize(
    ("signals", "error", "words"),
    [
        ([1.0], TypeError, r"signals must be a mapping of name to \(values, ticks_per_s\)"),
        ({}, ValueError, "signals must name at least one, got none: pass"),
        ({"a": [1.0]}, TypeError, "signals a must be a pair, got list: pass"),
        ({"a": ([1.0], math.inf)}, ValueError, "factor of a must be finite"),
        (
            {"a": ([1.0], 1.0), "b": ([1.0, 2.0], 1.0)},
            ValueError,
            "signals a, signals b must be equally long",
        ),
        ({"a": ([math.inf], 1.0)}, ValueError, "signals a must not be infinite"),
    ],
)
def test_a_drift_of_what_is_no_signal_is_refused_by_name(signals, error, words):
    with pytest.raises(error, match=words):
        mmquant.signal_drift(signals)


# from a fit to the settings


def fit_of(frame, names, horizon_ns):
    return mmquant.regress_drift(frame[names], frame["mid_ticks"], horizon_ns=horizon_ns)


@no_bounds
def test_a_fit_goes_into_a_backtest_and_into_the_file_with_the_same_numbers(tmp_path):
    names = ["touch_imbalance", "order_flow_lots", "trade_flow_imbalance"]
    quick = {"sample_ms": 10.0, "strategy": {"requote_ticks": 1}}
    tape = make_tape(100 if INTERPRETED else 600)
    fit = fit_of(backtest.run(tape, **quick).signals(), names, S // 10)
    settings = fit.settings()
    assert settings["drift"] == "signals"
    by_key = {SIGNAL_DRIFT[name]: c for name, c in fit.coefficients_per_s.items()}
    assert {key: c for key, c in settings["signal_drift"].items() if c} == by_key
    (tmp_path / "pricing.toml").write_text(f'drift = "signals"\n\n{fit.to_toml()}')
    live = pricing_params(load("pricing", PricingSettings, tmp_path, {}))
    config = backtest.Config().changed(pricing=settings)
    assert pricing_record(config.pricing).tobytes() == live.tobytes()
    assert backtest.load_config(tmp_path).pricing == config.pricing

    frame = backtest.run(tape, pricing=settings, **quick).signals()
    assert_foretold(frame, fit)


def assert_foretold(frame, fit):
    """Hold the published drift against signals @ coefficients, and to the bit the library's."""
    names = list(fit.coefficients_per_s.index)
    assert frame["drift_ticks_per_s"].equals(
        frame["signal_drift_ticks_per_s"].rename("drift_ticks_per_s")
    )
    foretold = frame[names].fillna(0.0) @ fit.coefficients_per_s
    np.testing.assert_allclose(frame["signal_drift_ticks_per_s"], foretold, rtol=1e-9, atol=1e-12)
    terms = {name: (frame[name], fit.coefficients_per_s[name]) for name in reversed(names)}
    assert mmquant.signal_drift(terms).equals(frame["signal_drift_ticks_per_s"])
    assert frame["signal_drift_ticks_per_s"].nunique() > len(frame) // 10


@no_bounds
@pytest.mark.skipif(INTERPRETED, reason="a whole capture, interpreted, takes minutes")
def test_a_fit_on_a_real_capture_is_the_drift_that_is_published(captures):
    # One market; on a spread of a tick the microprice says what the imbalance of the touch says.
    names = [name for name in NAMES if name not in ("basis_bps", "touch_imbalance")]
    tape = read_tape(captures / "usdm_btcusdt_20240808.gz")
    start_ns = int(tape.events["received_ns"][0])
    tape = tape.slice(start_ns, start_ns + 60 * S)
    frame = backtest.run(tape).signals()
    assert frame["basis_bps"].isna().all()
    fit = fit_of(frame, names, S)
    assert fit.samples > 0.7 * len(frame)
    traded = backtest.run(tape, pricing=fit.settings())
    assert_foretold(traded.signals(), fit)
    assert traded.hash != backtest.run(tape).hash


@no_bounds
def test_rows_without_a_touch_are_no_samples():
    tape = make_tape(60)
    frame = backtest.run(tape, sample_ms=1.0).signals()
    no_touch = ~((frame["bid_lots"] > 0) & (frame["ask_lots"] > 0))
    for name in ("mid_ticks", "depth_imbalance", "touch_imbalance", "microprice_minus_mid_ticks"):
        assert frame[name].isna().equals(no_touch.rename(name)), name


def test_a_fit_that_cannot_be_set_says_why():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(size=(50, 2)), columns=["touch_imbalance", "mine"])
    mids, times = rng.normal(size=50).cumsum(), np.arange(50) * S
    fit = mmquant.regress_drift(frame, mids, times, horizon_ns=S)
    with pytest.raises(ValueError, match=r"signals must be those of \[signal_drift\].*got 'mine'"):
        fit.settings()
    fit = mmquant.regress_drift(frame.to_numpy(), mids, times, horizon_ns=S)
    with pytest.raises(TypeError, match=r"signals must have names, got coefficients .*a DataFrame"):
        fit.to_toml()
    fit = mmquant.regress_drift(frame[["touch_imbalance"]], mids, times, horizon_ns=S)
    table = tomllib.loads(fit.to_toml())["signal_drift"]
    assert table["touch_imbalance_ticks_per_s"] == fit.coefficients_per_s["touch_imbalance"]
    assert sum(map(bool, table.values())) == 1
