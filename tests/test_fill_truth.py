"""The fill models against orders that really rest in an exchange's queues.

The central and the pessimistic one on enough orders for error bars, the others on a few.

benchmarks/fill_truth.py measures the rates; docs/fill-truth.md has its tables.
"""

import os

import numpy as np
import pytest

from benchmarks.fill_truth import LARGE_TICK, MARKETS, compare, mean_and_error

pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="minutes of market are for compiled kernels"
)
MODELS = {
    name: {"fill_model": name} for name in ("risk_averse", "prob_power", "cancel_ahead", "fifo_l3")
}


@pytest.fixture(scope="module")
def found():
    return compare(60, 5.0, 1, 1, MODELS, parameters=LARGE_TICK)


def test_who_sees_every_order_fills_at_the_true_moment(found):
    assert found["fifo_l3"].lots == found["truth"].lots
    assert np.array_equal(found["fifo_l3"].waited_s, found["truth"].waited_s, equal_nan=True)
    assert 10 < sum(found["truth"].lots) < 60


@pytest.fixture(scope="module", params=MARKETS)
def many(request):
    """Return a market's name, and what became of 800 orders in four seeds of it."""
    models = {"central": {"fill_model": "prob_draw"}, "risk_averse": MODELS["risk_averse"]}
    return request.param, compare(800, 5.0, 1, 4, models, parameters=MARKETS[request.param])


def bias(found, name):
    """Return the mean difference from the truth in points of the fill rate, and its error."""
    return mean_and_error(100.0 * (np.array(found[name].lots) - np.array(found["truth"].lots)))


@pytest.mark.kernels
def test_the_central_model_is_unbiased_within_its_error_bars(many):
    market, found = many
    mean, error = bias(found, "central")
    assert abs(mean) <= 3.0 * error
    assert error < 0.5
    if market == "large tick":  # where the place in the queue decides: a bias would be seen
        mean, error = bias(found, "risk_averse")
        assert mean < -3.0 * error


@pytest.mark.kernels
def test_the_pessimist_never_flatters_in_any_market(many):
    _, found = many
    fills_no_more_and_no_sooner(found["truth"], found["risk_averse"])


def test_the_pessimist_never_fills_what_was_not_filled_nor_before_it(found):
    fills_no_more_and_no_sooner(found["truth"], found["risk_averse"])


def test_trades_seen_late_fill_what_the_venue_filled_before_it_was_cancelled():
    """A fifth of each order's life is seen after its end; the rest of what is missed is careful."""
    models = {"risk_averse": MODELS["risk_averse"]}
    found = compare(400, 0.5, 1, 2, models, late_ns=100_000_000)
    truth, pessimist = found["truth"], found["risk_averse"]
    fills_no_more_and_no_sooner(truth, pessimist)
    assert sum(truth.lots) > 50
    assert sum(pessimist.lots) >= 0.95 * sum(truth.lots)


def fills_no_more_and_no_sooner(truth, pessimist):
    for true_lots, true_s, lots, waited_s in zip(
        truth.lots, truth.waited_s, pessimist.lots, pessimist.waited_s, strict=True
    ):
        assert lots <= true_lots
        assert not lots or waited_s >= true_s


def test_the_optimist_misses_nothing_and_the_others_lie_between(found):
    truth, optimist = found["truth"], found["cancel_ahead"]
    assert all(lots >= true for lots, true in zip(optimist.lots, truth.lots, strict=True))
    rates = [sum(found[name].lots) for name in ("risk_averse", "prob_power", "cancel_ahead")]
    assert rates == sorted(rates)
