"""Stoikov's micro-price: published chain, sums over paths, fit to books of a known chain."""

import numpy as np
import pytest
import reference_signals

from mmquant.stoikov import fit_microprice, solve_adjustments

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
    assert table == pytest.approx(-table[:, ::-1], abs=1e-12)
    # The same chain, counted in plain Python with its mirror image.
    bid, bid_lots, ask, ask_lots = books
    share = bid_lots * 5 // (bid_lots + ask_lots)
    states = (ask - bid - 1) * 5 + share
    mirror = (ask - bid - 1) * 5 + 4 - share
    half = bid + ask
    stays, moves, drift = np.zeros((10, 10)), np.zeros((10, 10)), np.zeros(10)
    for path, sign in ((states, 1), (mirror, -1)):
        for old, new, change in zip(path[:-1], path[1:], np.diff(half), strict=True):
            (stays if change == 0 else moves)[old, new] += 1
            drift[old] += sign * change / 2
    visits = (stays + moves).sum(axis=1)
    walk = reference_signals.microprice_adjustments(
        (stays / visits[:, None]).tolist(),
        (moves / visits[:, None]).tolist(),
        (drift / visits).tolist(),
        12,
    )
    assert table.reshape(-1) == pytest.approx(walk, abs=1e-6)


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
