"""The fill models against orders that really rest in an exchange's queues, on a few of them.

benchmarks/fill_truth.py measures the rates; docs/fill-truth.md has its tables.
"""

import os

import numpy as np
import pytest

from benchmarks.fill_truth import LARGE_TICK, compare

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


def test_the_pessimist_never_fills_what_was_not_filled_nor_before_it(found):
    truth, pessimist = found["truth"], found["risk_averse"]
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
