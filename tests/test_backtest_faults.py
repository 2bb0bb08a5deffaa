"""A model that answers what cannot be traded on is named with its file, since when, how often."""

import math
import os
import warnings

import numpy as np
import pytest
from numba import config
from small_tape import make_tape

from mmquant import backtest, sweep
from mmquant._jit import njit
from mmquant.codes import Reason

pytestmark = [
    pytest.mark.kernels,
    pytest.mark.skipif(bool(os.environ.get("NUMBA_BOUNDSCHECK")), reason="stage by stage"),
]

QUICK = {"pricing": {"warmup_s": 0.1}, "strategy": {"requote_ticks": 1}}
FAULTS = [Reason.NOT_FINITE, Reason.MODEL_SPREAD, Reason.INTERNAL_ERROR]
PLACE = r"\(.*test_backtest_faults\.py, line \d+\)"


@njit
def not_a_number(inputs, params, out):
    """Answer no number."""
    out[0]["bid_ticks"] = out[0]["ask_ticks"] = math.nan
    return 0


@njit
def crossed(inputs, params, out):
    """Answer a bid above the ask."""
    out[0]["bid_ticks"], out[0]["ask_ticks"] = 10.0, 5.0
    return 0


@njit
def unknown_reason(inputs, params, out):
    """Answer a reason that there is not."""
    return 9_999


@njit
def refuses(inputs, params, out):
    """Refuse by a reason of its own."""
    return 57


@njit
def number_when_flat(inputs, params, out):
    """Quote near the fair value, and no number while there is a position."""
    i = inputs[0]
    distance = params[0] if i["inventory_orders"] == 0 else math.nan
    out[0]["bid_ticks"] = i["fair_value_ticks"] - distance
    out[0]["ask_ticks"] = i["fair_value_ticks"] + params[0]
    return 0


@njit
def price_of_nothing(inputs, params, out):
    """Price no number."""
    out[0]["fair_value_ticks"] = math.nan
    return 0


@njit
def price_at_even_mids(inputs, params, out):
    """Price at the mid, where that is a whole and even number."""
    mid = inputs[0]["mid_ticks"]
    out[0]["fair_value_ticks"] = mid
    return 0 if mid % 2 == 0 else 1


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (not_a_number, r"but prices that are no numbers \(NOT_FINITE\)"),
        (crossed, r"but a bid above its ask \(MODEL_SPREAD\)"),
        (unknown_reason, r"but a reason that there is not \(INTERNAL_ERROR\)"),
    ],
)
def test_a_model_that_never_answers_a_price_is_a_failure(model, words):
    tape = make_tape(60)
    result = backtest.run(tape, model=model, **QUICK)
    one = result.instrument()
    assert one.fills.size == 0
    (told,) = result.failures()
    first_ns = int(one.quotes["now_ns"][np.isin(one.quotes["reason"], FAULTS)][0])
    row = int(np.flatnonzero(tape.events["received_ns"] <= first_ns)[-1])
    assert told in result.warnings()
    name = model.__name__
    since = f"first at event {row} of the tape, received_ns {first_ns}: "
    pattern = rf"BTCUSDT: the model {name} {PLACE} never answered what can be quoted, {words}, "
    with pytest.raises(RuntimeError, match=pattern + since):
        raise RuntimeError(told)


def test_a_model_that_answers_no_number_now_and_then_is_a_warning_with_its_count():
    parameters = {"distance": 1.0}
    simulator = {"fill_model": "cross"}
    result = backtest.run(
        make_tape(200),
        model=number_when_flat,
        model_parameters=parameters,
        simulator=simulator,
        **QUICK,
    )
    assert not result.failures()
    (told,) = [line for line in result.warnings() if "NOT_FINITE" in line and "model" in line]
    quotes = result.instrument().quotes
    count = int((quotes["reason"] == Reason.NOT_FINITE).sum())
    seconds = result.metrics()["no_number_s"]
    assert count > 0
    assert seconds > 0
    times = "once" if count == 1 else f"{count} times"
    assert f"(NOT_FINITE) {times}, {seconds:.1f} s in all, first at event" in told
    assert "codes.Reason" in told


def test_a_model_that_refuses_or_quotes_does_nothing_wrong():
    for options in ({"model": refuses}, {}):
        result = backtest.run(make_tape(60), **options, **QUICK)
        assert not result.failures()
        assert result.metrics()["no_number_s"] == 0.0


def test_a_fair_value_without_a_price_is_named_and_not_only_a_book_that_is_not_live():
    pricing = {**QUICK["pricing"], "fair_value": price_of_nothing}
    (told,) = backtest.run(make_tape(60), pricing=pricing).failures()
    assert told.startswith("BTCUSDT: the fair value price_of_nothing (")
    assert "never had a price" in told
    pricing["fair_value"] = price_at_even_mids
    result = backtest.run(make_tape(200), pricing=pricing)
    assert not result.failures()
    assert [line for line in result.warnings() if "price_at_even_mids" in line and "had no" in line]


@njit
def sets_nothing(inputs, params, out):
    return 0


@njit
def answers_a_share(inputs, params, out):
    return 0.9


def test_a_fair_value_that_sets_no_price_has_none():
    pricing = {**QUICK["pricing"], "fair_value": sets_nothing}
    (told,) = backtest.run(make_tape(60), pricing=pricing).failures()
    assert "the fair value sets_nothing (" in told
    assert "never had a price" in told


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_an_answer_that_is_no_whole_number_is_refused():
    with pytest.raises(TypeError, match=r"answers_a_share .* must answer an int, got float64"):
        backtest.run(make_tape(20), model=answers_a_share, **QUICK)
    pricing = {**QUICK["pricing"], "fair_value": answers_a_share}
    with pytest.raises(TypeError, match=r"answers_a_share .* must answer an int, got float64"):
        backtest.run(make_tape(20), pricing=pricing)


def test_a_sweep_warns_and_has_a_column():
    with pytest.warns(UserWarning, match="in 1 of 2 sets.*strategy.levels.: 2") as said:
        table = sweep.run(
            make_tape(60),
            [
                {"strategy.model": "skewed", "strategy.levels": 1},
                {"strategy.model": not_a_number, "strategy.levels": 2},
            ],
            config=backtest.Config().changed(**QUICK),
            processes=1,
            on_progress=lambda done, of: None,
        )
    assert said[0].filename == __file__
    assert table["no_number_s"].tolist()[0] == 0.0
    assert table["no_number_s"].tolist()[1] > 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sweep.run(make_tape(30), [{"strategy.levels": 1}], processes=1)
