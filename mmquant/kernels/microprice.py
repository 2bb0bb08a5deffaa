"""Stoikov's estimated micro-price: states of the touch, and what they turn into."""

import numpy as np

from mmquant._jit import bare_njit as njit


@njit
def touch_state(
    bid_ticks: int, bid_lots: int, ask_ticks: int, ask_lots: int, buckets: int, max_spread: int
) -> int:
    """Return (spread - 1) * buckets + bucket of the bid's share, or -1 for no touch.

    A side of 0 lots is none. A spread beyond `max_spread` ticks is taken as that. The bucket is
    exact, in whole numbers.
    """
    if bid_lots <= 0 or ask_lots <= 0 or bid_ticks <= 0 or ask_ticks <= bid_ticks:
        return -1
    bucket = min(bid_lots * buckets // (bid_lots + ask_lots), buckets - 1)
    return (min(ask_ticks - bid_ticks, max_spread) - 1) * buckets + bucket


@njit
def count_transitions(
    states: np.ndarray,
    mids_half_ticks: np.ndarray,
    buckets: int,
    stays: np.ndarray,
    moves: np.ndarray,
    drift_half_ticks: np.ndarray,
) -> int:
    """Count each step from state to state, and its mirror image, by whether the mid moved.

    Parameters
    ----------
    states : ndarray of int64, shape (n,)
        Of `touch_state`; a step from or to -1 is left out.
    mids_half_ticks : ndarray of int64, shape (n,)
    buckets : int
    stays, moves : ndarray of float64, shape (s, s)
        Added to: steps at which the mid stayed, and moved.
    drift_half_ticks : ndarray of float64, shape (s,)
        Added to: by how much the mid moved from each state.

    Returns
    -------
    int
        Steps counted.
    """
    counted = 0
    for i in range(1, states.size):
        old = states[i - 1]
        new = states[i]
        if old < 0 or new < 0:
            continue
        change = mids_half_ticks[i] - mids_half_ticks[i - 1]
        # The mirror image: the bid's share b becomes 1 - b, and up becomes down.
        old_mirror = old + buckets - 1 - 2 * (old % buckets)
        new_mirror = new + buckets - 1 - 2 * (new % buckets)
        counted += 1
        if change == 0:
            stays[old, new] += 1.0
            stays[old_mirror, new_mirror] += 1.0
        else:
            moves[old, new] += 1.0
            moves[old_mirror, new_mirror] += 1.0
            drift_half_ticks[old] += change
            drift_half_ticks[old_mirror] -= change
    return counted


@njit
def touch_states_path(
    bid_ticks: np.ndarray,
    bid_lots: np.ndarray,
    ask_ticks: np.ndarray,
    ask_lots: np.ndarray,
    buckets: int,
    max_spread: int,
    out: np.ndarray,
) -> None:
    """Fold `touch_state` over int64 arrays (n,) into int64 `out` (n,)."""
    for i in range(out.size):
        out[i] = touch_state(
            bid_ticks[i], bid_lots[i], ask_ticks[i], ask_lots[i], buckets, max_spread
        )


@njit
def estimated_microprice(
    bid_ticks: int,
    bid_lots: int,
    ask_ticks: int,
    ask_lots: int,
    adjustment_ticks: np.ndarray,
    buckets: int,
) -> float:
    """Return the mid plus the adjustment of the touch's state; NaN for no touch.

    Parameters
    ----------
    bid_ticks, bid_lots, ask_ticks, ask_lots : int
    adjustment_ticks : ndarray of float64, shape (buckets * spreads,)
        By `touch_state`.
    buckets : int
    """
    state = touch_state(
        bid_ticks, bid_lots, ask_ticks, ask_lots, buckets, adjustment_ticks.size // buckets
    )
    if state < 0:
        return np.nan
    return float((bid_ticks + ask_ticks) / 2.0 + adjustment_ticks[state])


@njit
def estimated_microprice_path(
    bid_ticks: np.ndarray,
    bid_lots: np.ndarray,
    ask_ticks: np.ndarray,
    ask_lots: np.ndarray,
    adjustment_ticks: np.ndarray,
    buckets: int,
    out: np.ndarray,
) -> None:
    """Fold `estimated_microprice` over int64 arrays (n,) into float64 `out` (n,)."""
    for i in range(out.size):
        out[i] = estimated_microprice(
            bid_ticks[i], bid_lots[i], ask_ticks[i], ask_lots[i], adjustment_ticks, buckets
        )
