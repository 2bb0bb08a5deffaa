"""Stoikov's micro-price: published chain, sums over paths, fit to books of a known chain."""

import copy
import json
import pickle

import numba
import numpy as np
import pytest
import reference_signals
from hypothesis import assume, given
from hypothesis import strategies as st

from mmquant.kernels.microprice import estimated_microprice
from mmquant.stoikov import MicropriceModel, fit_microprice, solve_adjustments
from mmquant.tape import read_tape

pytestmark = pytest.mark.kernels

Q = np.array([[0.5, 0.2, 0.05], [0.15, 0.5, 0.15], [0.05, 0.2, 0.5]])
R1 = np.array([[0.2, 0.05], [0.1, 0.1], [0.05, 0.2]]) @ [-0.5, 0.5]
R2 = np.array([[0.05, 0.1, 0.1], [0.05, 0.1, 0.05], [0.1, 0.1, 0.05]])


def test_the_published_chain_has_its_limit():
    assert solve_adjustments(Q, R2, R1) == pytest.approx([-0.125, 0.0, 0.125], abs=1e-12)


def test_sums_over_paths_lead_to_the_same():
    six = reference_signals.microprice_adjustments(Q.tolist(), R2.tolist(), R1.tolist(), 6)
    assert six == pytest.approx([-0.1249999294, 0.0, 0.1249999294], abs=1e-9)
    many = reference_signals.microprice_adjustments(Q.tolist(), R2.tolist(), R1.tolist(), 30)
    assert solve_adjustments(Q, R2, R1) == pytest.approx(many, abs=1e-9)


def probabilities(counts):
    """Chains of few states: each row has stays, then moves, of small counts."""
    counts = np.array(counts, float)
    shares = counts / counts.sum(axis=1, keepdims=True)
    return shares[:, : len(counts)], shares[:, len(counts) :]


def chains(size):
    """Random chains, many with several closed classes, transient states and fixed circles."""
    row = st.lists(st.sampled_from([0, 0, 0, 1, 2, 3]), min_size=2 * size, max_size=2 * size)
    return st.tuples(
        st.lists(row.filter(any), min_size=size, max_size=size),
        st.lists(st.integers(-4, 4), min_size=size, max_size=size),
        st.booleans(),
    )


@given(st.integers(1, 6).flatmap(chains))
def test_the_limit_is_what_sums_over_many_changes_tend_to_or_there_is_none(chain):
    counts, values, cancels = chain
    stays, moves = probabilities(counts)
    drift = np.array(values) / 4
    if cancels:  # what differences of a potential sum to round a chain
        drift = drift - (stays + moves) @ drift
    mean, growth, unsettled = reference_signals.microprice_limit(stays, moves, drift, 14)
    if unsettled > 1e-10:
        assume(not (np.linalg.matrix_power(stays, 10_000) < 1e-9).all())
        with pytest.raises(ValueError, match="books must lead to a change of the mid"):
            solve_adjustments(stays, moves, drift)
    elif growth > 1e-6:
        with pytest.raises(ValueError, match="so the sum has no limit"):
            solve_adjustments(stays, moves, drift)
    else:
        np.testing.assert_allclose(solve_adjustments(stays, moves, drift), mean, atol=1e-7)


def test_several_closed_classes_have_their_own_constants():
    # States 0 and 1 lead to each other alone, so do 2 and 3; 4 leads to either.
    stays = np.zeros((5, 5))
    moves = np.zeros((5, 5))
    moves[0, :2] = moves[1, :2] = moves[2, 2:4] = moves[3, 2:4] = (0.75, 0.25)
    moves[4, [0, 3]] = 0.5
    drift = np.array([0.25, -0.75, -0.5, 1.5, 1.0])
    # One change later each class is at its own mean, 0: G* = G1, and 4 adds what it lands on.
    expected = [0.25, -0.75, -0.5, 1.5, 1.0 + 0.5 * 0.25 + 0.5 * 1.5]
    assert solve_adjustments(stays, moves, drift) == pytest.approx(expected, abs=1e-14)


def test_a_bounce_has_the_mean_of_its_two_sums():
    swap = np.array([[0.0, 1.0], [1.0, 0.0]])
    limit = solve_adjustments(np.zeros((2, 2)), swap, np.array([-1.0, 1.0]))
    assert limit == pytest.approx([-0.5, 0.5], abs=1e-15)  # of 0 and 1


def test_rounding_leaves_no_constant_behind():
    # By hand: G1 = -+0.2 and B = [[.6, .4], [.4, .6]], so G* = -+0.2 / (1 - 0.2).
    bid = np.array([100, 100, 99, 99, 99, 99])
    books = (bid, np.array([3, 1, 2, 1, 3, 3]), bid + 1, np.array([2, 3, 3, 2, 1, 2]))
    table = fit_microprice(*books, buckets=2, max_spread_ticks=1).adjustment_ticks
    assert table == pytest.approx(np.array([[-0.25, 0.25]]), abs=1e-15)


def test_parts_that_seldom_meet_keep_their_digits():
    # The sides of the book change once in a million steps.
    rare = 1e-6
    stays = np.array([[0.5, 0.0], [0.0, 0.5]])
    moves = np.array([[0.5 - rare, rare], [rare, 0.5 - rare]])
    limit = solve_adjustments(stays, moves, np.array([-0.25, 0.25]))
    assert limit == pytest.approx([-0.125 / rare, 0.125 / rare], rel=1e-9)


@pytest.mark.parametrize(
    ("stays", "moves", "drift", "text"),
    [
        ([[0.5]], [[0.4]], [0.0], "rows of stays plus moves must sum to 1, got 0.9"),
        ([[-0.5]], [[1.5]], [0.0], "stays and moves must not be negative"),
        ([[0.5]], [[np.nan]], [0.0], "stays and moves must not be negative"),
        ([[0.5]], [[0.5]], [np.inf], "and drift finite"),
        ([[0.5]], [[0.5, 0.5]], [0.0], r"must have shape \(s, s\) .* got \(1, 1\), \(1, 2\)"),
        (np.eye(2), [[0, 0], [0, 0]], [0.0, 0.0], "books must lead to a change of the mid"),
        # A row of thirds is not quite one: I - Q is not quite singular.
        (np.full((3, 3), 1 / 3), np.zeros((3, 3)), np.ones(3), "books must lead to a change"),
    ],
)
def test_what_is_no_chain_is_refused(stays, moves, drift, text):
    with pytest.raises(ValueError, match=text):
        solve_adjustments(np.array(stays, float), np.array(moves, float), np.array(drift))


def touches(n, seed=1):
    """Books of a chain on five buckets and two spreads; heavier bids lead up."""
    rng = np.random.default_rng(seed)
    rows = []
    mid_half_ticks, share, spread = 2000, 2, 1
    for _ in range(n):
        if rng.random() < 0.3:
            up = rng.random() < 0.1 + 0.2 * share
            new_spread = int(rng.integers(1, 3))
            # A mid in half ticks has the spread's parity.
            move = 2 if new_spread == spread else 1
            mid_half_ticks += move if up else -move
            spread, share = new_spread, int(rng.integers(0, 5))
        else:
            share = int(np.clip(share + rng.integers(-1, 2), 0, 4))
        bid_lots = 20 * share + 10
        bid = (mid_half_ticks - spread) // 2
        rows.append((bid, bid_lots, bid + spread, 100 - bid_lots))
    return [np.array(column) for column in zip(*rows, strict=True)]


def test_a_fit_equals_the_walk_through_its_own_counts():
    books = touches(3000)
    model = fit_microprice(*books, buckets=5, max_spread_ticks=2)
    table = model.adjustment_ticks
    assert model.steps == 2999
    assert (table == -table[:, ::-1]).all()
    stays, moves, drift = reference_signals.touch_chain(books, 5, 2)
    walk = reference_signals.microprice_adjustments(
        stays.tolist(), moves.tolist(), drift.tolist(), 12
    )
    assert table.reshape(-1) == pytest.approx(walk, abs=1e-6)


touch_rows = st.tuples(
    st.integers(98, 102), st.integers(0, 6), st.integers(1, 3), st.integers(1, 6)
)


def assert_as_summed(books, buckets, spreads, doublings):
    """Hold a fit against the sums; return whether it has a limit, None for no telling."""
    chain = reference_signals.touch_chain(books, buckets, spreads)
    mean, growth, unsettled = reference_signals.microprice_limit(*chain, doublings)
    if unsettled > 1e-6:
        return None
    if growth > 1e-5:
        with pytest.raises(ValueError, match="so the sum has no limit"):
            fit_microprice(*books, buckets=buckets, max_spread_ticks=spreads)
        return False
    table = fit_microprice(*books, buckets=buckets, max_spread_ticks=spreads).adjustment_ticks
    assert (table == -table[:, ::-1]).all()
    np.testing.assert_allclose(table.reshape(-1), mean, atol=1e-6)
    return True


@given(st.lists(touch_rows, min_size=3, max_size=40), st.integers(2, 3), st.integers(1, 2))
def test_a_fit_to_any_books_is_antisymmetric_and_what_its_sums_tend_to(rows, buckets, spreads):
    bid, bid_lots, spread, ask_lots = np.array(rows).T
    steps = (bid_lots[1:] > 0) & (bid_lots[:-1] > 0)
    assume(steps.any())
    assert_as_summed((bid, bid_lots, bid + spread, ask_lots), buckets, spreads, 20)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="a whole capture is for compiled kernels")
def test_slices_of_a_capture_have_the_limit_of_their_sums(captures):
    frame = read_tape(captures / "usdm_btcusdt_20240808.gz").touches()
    columns = [
        frame[name].to_numpy() for name in ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots")
    ]
    seen = []
    for begin in range(0, len(frame) - 431, 432):
        books = [column[begin : begin + 432] for column in columns]
        seen.append(assert_as_summed(books, 4, 2, 22))
    assert len(seen) == 168
    assert seen.count(True) > 80


def test_applied_is_what_the_kernel_of_mm_pricing_gives_bit_for_bit():
    books = touches(2000, seed=4)
    model = fit_microprice(*books, buckets=5, max_spread_ticks=2)
    table = MicropriceModel.from_json(model.to_json()).adjustment_ticks.reshape(-1).copy()
    live = [estimated_microprice(*row, table, 5) for row in zip(*books, strict=True)]
    assert model.apply(*books).tobytes() == np.array(live).tobytes()


def test_the_heavier_bid_pushes_up_and_the_price_predicts_the_mid():
    books = touches(20_000, seed=2)
    model = fit_microprice(*books, buckets=5, max_spread_ticks=2)
    assert (np.diff(model.adjustment_ticks, axis=1) > 0).all()
    fresh = touches(20_000, seed=3)
    mids = (fresh[0] + fresh[2]) / 2
    later = mids[40:] - mids[:-40]
    gain = (model.apply(*fresh) - mids)[:-40]
    slope = float(gain @ later / (gain @ gain))
    noise = np.std(later - gain) / np.std(gain) / np.sqrt(later.size)
    assert slope == pytest.approx(1.0, abs=6 * noise)  # gains of near steps hang together


def test_wide_spreads_and_states_never_met_are_taken_care_of():
    books = touches(500)
    model = fit_microprice(*books, buckets=5, max_spread_ticks=3)
    wide = model.apply([90], [30], [110], [10])
    assert wide[0] == 100.0 + model.adjustment_ticks[2, 3]
    assert (model.adjustment_ticks[2] == 0.0).all()


def test_a_side_of_0_lots_is_no_touch():
    books = touches(500)
    model = fit_microprice(*books, buckets=5, max_spread_ticks=2)
    applied = model.apply([90] * 4, [0, 0, 30, 1], [91] * 4, [0, 10, 0, 1])
    assert np.isnan(applied).tolist() == [True, True, True, False]
    # Nor does a step to or from it count.
    holed = [column.copy() for column in books]
    holed[1][200] = 0
    assert fit_microprice(*holed, buckets=5, max_spread_ticks=2).steps == model.steps - 2


def test_a_chain_without_a_limit_is_refused():
    # The bid is always the heavier one and the mid always rises: no end to what is expected.
    bid = np.arange(100, 130)
    books = (bid, np.full(30, 9), bid + 1, np.full(30, 1))
    with pytest.raises(ValueError, match="got some that never do, so the sum has no limit"):
        fit_microprice(*books, buckets=4, max_spread_ticks=1)
    # One book the other way round, and every state leads to its mirror image.
    turned = [
        np.append(column, value) for column, value in zip(books, (130, 1, 131, 9), strict=True)
    ]
    model = fit_microprice(*turned, buckets=4, max_spread_ticks=1)
    assert np.isfinite(model.adjustment_ticks).all()
    assert model.adjustment_ticks[0, 3] > 1.0

    # Shares that fall on the buckets' edges: the mirror image of an odd bucket is an even one.
    with pytest.raises(ValueError, match="ask for fewer buckets"):
        fit_microprice(*touches(500), buckets=10, max_spread_ticks=2)


def test_a_fit_to_nothing_is_refused():
    with pytest.raises(ValueError, match="books must hold a step from touch to touch, got none"):
        fit_microprice([1], [1], [2], [1])
    with pytest.raises(ValueError, match="books must lead to a change of the mid"):
        fit_microprice([1, 1, 1], [1, 1, 1], [2, 2, 2], [1, 1, 1])
    with pytest.raises(ValueError, match="buckets must be between 2"):
        fit_microprice([1], [1], [2], [1], buckets=1)


TABLE = [[-0.25, 0.25], [-0.5, 0.5]]


def test_models_of_one_table_and_steps_are_equal_and_one_key():
    model = MicropriceModel(np.array(TABLE), 9)
    twins = (MicropriceModel.from_json(model.to_json()), copy.deepcopy(model))
    for twin in (*twins, pickle.loads(pickle.dumps(model))):
        assert model == twin
        assert hash(model) == hash(twin)
    zeros = [MicropriceModel(np.array([[0.0, zero]]), 9) for zero in (0.0, -0.0)]
    assert zeros[0] == zeros[1]
    assert len(set(zeros)) == 1
    others = (MicropriceModel(np.array(TABLE), 8), MicropriceModel(np.array(TABLE[:1]), 9))
    for other in (*others, MicropriceModel(np.array(TABLE[::-1]), 9), "model", None):
        assert model != other


def test_a_model_keeps_its_table_whatever_becomes_of_the_array():
    table = np.array(TABLE)
    model = MicropriceModel(table, 9)
    table[0, 0] = 7.0
    assert model.adjustment_ticks.tolist() == TABLE
    with pytest.raises(ValueError, match="read-only"):
        model.adjustment_ticks[0, 0] = 7.0
    assert model.apply([100], [1], [101], [3]).tolist() == [100.25]


@pytest.mark.parametrize(
    ("table", "steps", "text"),
    [
        (TABLE, float("inf"), "steps must be a whole number, got inf"),
        (TABLE, float("nan"), "steps must be a whole number, got nan"),
        (TABLE, 2.5, "steps must be a whole number, got 2.5"),
        (TABLE, True, "steps must be a whole number, got True"),
        (TABLE, -1, "steps must be between 0 .* got -1"),
        (TABLE, 10**30, "steps must be between 0"),
        ([[1e300, -1e300]], 5, r"adjustment_ticks must be .* within 1e\+06 of 0, got 1e\+300"),
        ([[10**400]], 5, "adjustment_ticks must fit float64"),
        ([[float("nan")]], 5, "adjustment_ticks must be .* got nan"),
        ([[None]], 5, "adjustment_ticks must be .* got nan"),
        ([["a"]], 5, "adjustment_ticks must be numbers"),
        ([0.5], 5, r"adjustment_ticks must be rows .* got shape \(1,\)"),
        ([[]], 5, r"adjustment_ticks must be rows .* got shape \(1, 0\)"),
        ([[1.0], [1.0, 2.0]], 5, "adjustment_ticks must be one array, got rows of different"),
    ],
)
def test_a_text_that_is_no_model_is_refused_by_value(table, steps, text):
    written = json.dumps({"adjustment_ticks": table, "steps": steps})
    with pytest.raises(ValueError, match=text):
        MicropriceModel.from_json(written)
    with pytest.raises((TypeError, ValueError), match=text):
        MicropriceModel(table, steps)
