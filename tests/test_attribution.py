"""Markouts and the profit fill by fill, against the account and sums by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmquant.accounting import Account, decompose, equity_curve, markouts
from mmquant.codes import FillKind
from mmquant.records import FILL

pytestmark = pytest.mark.kernels

HORIZON_NS = 50
STEP = st.tuples(
    st.integers(0, 40),  # time to the next mid
    st.integers(190, 210),
    st.lists(
        st.tuples(
            st.integers(0, 30),  # time after that mid
            st.sampled_from([1, -1]),
            st.integers(80, 120),
            st.integers(1, 9),
            st.integers(-50, 500),
            st.sampled_from(list(FillKind)),
        ),
        max_size=2,
    ),
)


def played(steps):
    """Return the account of a run, its fills and its mids."""
    account, now, mids, rows = Account(HORIZON_NS), 1000, [], []
    for wait, mark, fills in steps:
        now += wait
        account.mark(mark, now)
        mids.append((now, mark))
        for after, side, price, qty, ppm, kind in fills:
            now += after
            fee = account.fill(side, price, qty, ppm, mark, now)
            rows.append((now, side, price, qty, mark, kind, fee))
    mids.append((now + 1, mids[-1][1]))
    account.mark(mids[-1][1], now + 1)
    fills = np.zeros(len(rows), FILL)
    names = "now_ns side price_ticks qty_lots mark_half_ticks kind fee_micro_tick_lots".split()
    for name, values in zip(names, zip(*rows, strict=True), strict=False):
        fills[name] = values
    times, marks = zip(*mids, strict=True)
    return account, fills, pd.Series(np.array(marks) / 2, index=np.array(times))


@settings(deadline=None, max_examples=60)
@given(st.lists(STEP, min_size=1, max_size=40))
def test_the_parts_of_all_fills_are_those_of_the_account(steps):
    account, fills, mids = played(steps)
    table = decompose(fills, mids, HORIZON_NS, mids.index)
    s, everything = account.state[0], table.loc[("all", "all")]
    for part in ("spread", "adverse_selection", "inventory"):
        assert everything[f"{part}_half_tick_lots"] == s[f"{part}_half_tick_lots"], part
    assert everything["fees_micro_tick_lots"] == s["fees_micro_tick_lots"]
    assert everything["matured"] == s["markouts"]
    assert everything["net_micro_tick_lots"] * 2 == account.equity_half_micro_tick_lots()
    single = table.loc[[(k, s) for k, s in table.index if k != "all" and s != "all"]]
    assert (single.sum() == everything).all()
    sides = table.loc[[("all", "buy"), ("all", "sell")]]
    assert (sides.sum() == everything).all()
    curve = equity_curve(fills, mids, mids.index)
    assert curve["position_lots"].iloc[-1] == account.position_lots
    assert curve["total_half_tick_lots"].iloc[-1] == everything["total_half_tick_lots"]
    assert curve["fees_micro_tick_lots"].iloc[-1] == everything["fees_micro_tick_lots"]


def frame():
    times = pd.to_datetime([1_000, 2_000, 2_010, 9_000])
    return pd.DataFrame(
        {
            "side": [1, 1, -1, -1],
            "price_ticks": [99, 100, 102, 103],
            "qty_lots": [3, 1, 2, 1],
            "mark_half_ticks": [200, 202, 202, 204],
            "kind": [FillKind.CROSS, FillKind.THROUGH, FillKind.THROUGH, FillKind.CROSS],
            "fee_micro_tick_lots": [5, 5, 5, 5],
        },
        index=times,
    )


MIDS = pd.Series([100.0, 101.0, 99.5, 102.0], pd.to_datetime([500, 1_500, 3_000, 9_000]))


def test_markouts_by_hand():
    table = markouts(frame(), MIDS, [1_000])
    # At 2000 the mid is 101, at 3000 (a mid at that very time) 99.5, at 3010 too, at 10000 unknown.
    every = table.loc[(1_000, "all", "all")]
    assert (every["fills"], every["lots"]) == (3, 6)
    assert every["realised_ticks"] == pytest.approx((3 * 2 - 0.5 + 2 * 2.5) / 6)
    assert every["effective_ticks"] == pytest.approx((3 * 1 + 1 * 1 + 2 * 1) / 6)
    assert every["impact_ticks"] == pytest.approx(
        every["effective_ticks"] - every["realised_ticks"], abs=1e-15
    )
    assert table.loc[(1_000, "through", "sell"), "realised_ticks"] == 2.5
    assert table.loc[(1_000, "cross", "sell"), "fills"] == 0
    assert np.isnan(table.loc[(1_000, "cross", "sell"), "realised_ticks"])
    at_once = markouts(frame(), MIDS, [0]).loc[(0, "all", "buy")]
    assert at_once["fills"] == 2


def test_the_error_of_far_apart_fills_is_the_usual_one_and_of_one_burst_is_none():
    n = 400
    rng = np.random.default_rng(3)
    times = np.arange(n) * 10_000
    fills = frame().iloc[[0] * n].set_index(pd.to_datetime(times))
    later = 2 * rng.integers(95, 106, n)
    marks = np.stack([np.full(n, 200), later], axis=1).ravel() / 2
    stamps = np.stack([times, times + 100], axis=1).ravel()
    mids = pd.Series([*marks, 100.0], pd.to_datetime([*stamps, n * 10_000]))
    row = markouts(fills, mids, [200]).loc[(200, "all", "all")]
    realised = later / 2 - 99
    assert row["realised_error_ticks"] == pytest.approx(realised.std(ddof=1) / np.sqrt(n))
    burst = frame().iloc[[0] * n].set_index(pd.to_datetime(np.arange(n)))
    row = markouts(burst, mids, [10_000]).loc[(10_000, "all", "all")]
    assert row["fills"] == n
    assert np.isnan(row["realised_error_ticks"])


def test_no_fills_are_no_profit():
    table = decompose(np.zeros(0, FILL), MIDS, 10)
    assert (table == 0).all().all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"fills": frame().drop(columns="kind")}, TypeError, "fills must have the column kind"),
        ({"fills": frame().iloc[::-1]}, ValueError, "times must not decrease"),
        ({"fills": frame().assign(side=2)}, ValueError, "fills side must be 1"),
        ({"fills": np.zeros(2)}, TypeError, "fills must be records.FILL"),
        ({"mids": MIDS + 0.25}, ValueError, "mids must be positive multiples of half a tick"),
        ({"mids": MIDS.iloc[:0]}, ValueError, "mids must hold at least one"),
        ({"mids": MIDS.iloc[:3]}, ValueError, "mids must reach the last fill"),
        ({"horizon_ns": 0}, ValueError, "horizon_ns must be between 1"),
    ],
)
def test_arguments_that_make_no_sense_are_named(change, error, message):
    arguments = {"fills": frame(), "mids": MIDS, "horizon_ns": 10} | change
    with pytest.raises(error, match=message):
        decompose(**arguments)
