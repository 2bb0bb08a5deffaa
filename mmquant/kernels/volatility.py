"""Volatility and drift of a price sampled at irregular times, as ratios of decayed sums."""

import math

import numpy as np

from mmquant._jit import bare_njit as njit

LN2 = math.log(2.0)
S_PER_NS = 1e-9
# A move is a jump if it exceeds its limit in standard deviations over at least this time.
JUMP_LEAST_S = 1.0
JUMP_AFTER_SAMPLES = 10  # and the next: before, there is no scale to judge by


@njit
def volatility_ticks_per_sqrt_s(state: np.ndarray) -> float:
    """Return the volatility of a VOLATILITY state, 0.0 before the first interval."""
    s = state[0]
    if s["squares_s"] <= 0.0:
        return 0.0
    return math.sqrt(s["squares_ticks2"] / s["squares_s"])


@njit
def _capped(
    state: np.ndarray, move: float, elapsed_s: float, jump_sigmas: float, least_jump_ticks: float
) -> float:
    """Return the move, or the largest of its sign that is no jump."""
    s = state[0]
    if s["samples"] <= JUMP_AFTER_SAMPLES or jump_sigmas == math.inf:
        return move
    sigma = volatility_ticks_per_sqrt_s(state)
    limit = max(jump_sigmas * sigma * math.sqrt(max(elapsed_s, JUMP_LEAST_S)), least_jump_ticks)
    if limit <= 0.0:  # the price never moved: there is no scale to judge by
        return move
    return max(-limit, min(limit, move))


@njit
def volatility_robust_step(
    state: np.ndarray,
    x_ticks: float,
    ts_ns: int,
    volatility_half_life_ns: int,
    drift_half_life_ns: int,
    max_gap_ns: int,
    jump_sigmas: float,
    least_jump_ticks: float,
) -> None:
    """Take in one price: decayed sums of returns, of their squares, and of the time they took.

    sigma^2 = sum w r^2 / sum w dt and mu = sum w r / sum w dt, w = 2^(-age / half_life): ratio
    estimators, unbiased under irregular sampling. The clock of the decay is observed time.

    A price at (or before) the time of the last one is merged into the next sample: the next
    return is measured from the price before both. An interval longer than `max_gap_ns` gives
    neither a return nor time, and measuring starts anew behind it: a silent feed says nothing
    about how the price moved. A price that is not finite is left out.

    A move of more than `jump_sigmas` of the volatility so far, over the interval but at least a
    second, counts as a move of that size (of at least `least_jump_ticks`): one bad price cannot
    poison the estimate, a new regime takes it over within a few samples. Such moves are counted
    in `jumps`. The first eleven prices are taken as they are.

    Parameters
    ----------
    state : ndarray of VOLATILITY, shape (1,)
        Changed in place; starts as zeros.
    x_ticks : float
    ts_ns : int
    volatility_half_life_ns, drift_half_life_ns, max_gap_ns : int
        Positive.
    jump_sigmas : float
        At least 1; infinity for no limit.
    least_jump_ticks : float
        In the unit of `x_ticks`, not negative: where the price hardly moves, one tick is no jump.
    """
    s = state[0]
    if not math.isfinite(x_ticks):
        return
    elapsed_ns = ts_ns - s["ts_ns"]
    if s["samples"] > 0 and elapsed_ns <= 0:
        return
    if s["samples"] > 0 and elapsed_ns <= max_gap_ns:
        elapsed_s = elapsed_ns * S_PER_NS
        whole_move = x_ticks - s["x_ticks"]
        move = _capped(state, whole_move, elapsed_s, jump_sigmas, least_jump_ticks)
        if move != whole_move:
            s["jumps"] += 1
        decay = math.exp(-LN2 * elapsed_ns / volatility_half_life_ns)
        s["squares_ticks2"] = decay * s["squares_ticks2"] + move * move
        s["squares_s"] = decay * s["squares_s"] + elapsed_s
        decay = math.exp(-LN2 * elapsed_ns / drift_half_life_ns)
        s["moves_ticks"] = decay * s["moves_ticks"] + move
        s["moves_s"] = decay * s["moves_s"] + elapsed_s
        s["observed_ns"] += elapsed_ns
    elif s["samples"] > 0:
        s["gaps"] += 1
    s["x_ticks"] = x_ticks
    s["ts_ns"] = ts_ns
    s["samples"] += 1


@njit
def volatility_step(
    state: np.ndarray,
    x_ticks: float,
    ts_ns: int,
    volatility_half_life_ns: int,
    drift_half_life_ns: int,
    max_gap_ns: int,
) -> None:
    """Do `volatility_robust_step` with no limit on moves."""
    volatility_robust_step(
        state,
        x_ticks,
        ts_ns,
        volatility_half_life_ns,
        drift_half_life_ns,
        max_gap_ns,
        math.inf,
        0.0,
    )


@njit
def drift_ticks_per_s(state: np.ndarray) -> float:
    """Return the drift of a VOLATILITY state, 0.0 before the first interval."""
    s = state[0]
    if s["moves_s"] <= 0.0:
        return 0.0
    return float(s["moves_ticks"] / s["moves_s"])


@njit
def volatility_warm(state: np.ndarray, warmup_ns: int) -> bool:
    """Tell whether time was observed at all, and for at least `warmup_ns` since the start."""
    observed_ns = state[0]["observed_ns"]
    return bool(observed_ns > 0 and observed_ns >= warmup_ns)


@njit
def volatility_path(
    state: np.ndarray,
    xs_ticks: np.ndarray,
    ts_ns: np.ndarray,
    volatility_half_life_ns: int,
    drift_half_life_ns: int,
    warmup_ns: int,
    max_gap_ns: int,
    jump_sigmas: float,
    least_jump_ticks: float,
    out_volatility: np.ndarray,
    out_drift: np.ndarray,
    out_warm: np.ndarray,
) -> None:
    """Fold `volatility_robust_step` over prices; write what is known after each.

    Parameters
    ----------
    state : ndarray of VOLATILITY, shape (1,)
        Changed in place.
    xs_ticks : ndarray of float64, shape (n,)
    ts_ns : ndarray of int64, shape (n,)
    volatility_half_life_ns, drift_half_life_ns, warmup_ns, max_gap_ns : int
    jump_sigmas, least_jump_ticks : float
    out_volatility, out_drift : ndarray of float64, shape (n,)
        Ticks per sqrt(s), and ticks per s.
    out_warm : ndarray of uint8, shape (n,)
    """
    for i in range(xs_ticks.size):
        volatility_robust_step(
            state,
            xs_ticks[i],
            ts_ns[i],
            volatility_half_life_ns,
            drift_half_life_ns,
            max_gap_ns,
            jump_sigmas,
            least_jump_ticks,
        )
        out_volatility[i] = volatility_ticks_per_sqrt_s(state)
        out_drift[i] = drift_ticks_per_s(state)
        out_warm[i] = volatility_warm(state, warmup_ns)
