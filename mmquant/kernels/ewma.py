"""Decayed averages of irregular samples: a mean, and volatility with drift of a price."""

import math

import numpy as np

from mmquant._jit import njit

LN2 = math.log(2.0)
S_PER_NS = 1e-9


@njit
def ewma_step(state: np.ndarray, x: float, ts_ns: int) -> float:
    """Take in one sample and return the mean.

    y_n = d y_{n-1} + (1 - d) x_n with d = 2^(-dt / half_life), y_0 = x_0: the recursion of
    pandas' ewm(halflife, times, adjust=False). A sample that is not later than the one before
    has weight 0, one that is not finite is left out.

    Parameters
    ----------
    state : ndarray of EWMA, shape (1,)
        Changed in place; `half_life_ns` is set, the rest starts as zeros.
    x : float
    ts_ns : int
        Time of the sample.

    Returns
    -------
    float
        The mean in units of x.
    """
    s = state[0]
    if not math.isfinite(x):
        return float(s["value"])
    if s["samples"] == 0:
        s["value"] = x
        s["ts_ns"] = ts_ns
    else:
        elapsed_ns = max(ts_ns - s["ts_ns"], 0)
        decay = math.exp(-LN2 * elapsed_ns / s["half_life_ns"])
        s["value"] = decay * s["value"] + (1.0 - decay) * x
        s["ts_ns"] += elapsed_ns
    s["samples"] += 1
    return float(s["value"])


@njit
def ewma_path(state: np.ndarray, xs: np.ndarray, ts_ns: np.ndarray, out: np.ndarray) -> None:
    """Fold `ewma_step` over float64 samples `xs` at int64 `ts_ns` into float64 `out`, all (n,)."""
    for i in range(xs.size):
        out[i] = ewma_step(state, xs[i], ts_ns[i])


@njit
def volatility_step(
    state: np.ndarray,
    x_ticks: float,
    ts_ns: int,
    volatility_half_life_ns: int,
    drift_half_life_ns: int,
    max_gap_ns: int,
) -> None:
    """Take in one price: decayed sums of returns, of their squares, and of the time they took.

    sigma^2 = sum w r^2 / sum w dt and mu = sum w r / sum w dt, w = 2^(-age / half_life): ratio
    estimators, unbiased under irregular sampling. The clock of the decay is observed time.

    A price at (or before) the time of the last one is merged into the next sample: the next
    return is measured from the price before both. An interval longer than `max_gap_ns` gives
    neither a return nor time, and measuring starts anew behind it: a silent feed says nothing
    about how the price moved. A price that is not finite is left out.

    Parameters
    ----------
    state : ndarray of VOLATILITY, shape (1,)
        Changed in place; starts as zeros.
    x_ticks : float
    ts_ns : int
    volatility_half_life_ns, drift_half_life_ns, max_gap_ns : int
        Positive.
    """
    s = state[0]
    if not math.isfinite(x_ticks):
        return
    elapsed_ns = ts_ns - s["ts_ns"]
    if s["samples"] > 0 and elapsed_ns <= 0:
        return
    if s["samples"] > 0 and elapsed_ns <= max_gap_ns:
        move = x_ticks - s["x_ticks"]
        elapsed_s = elapsed_ns * S_PER_NS
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
def volatility_ticks_per_sqrt_s(state: np.ndarray) -> float:
    """Return the volatility of a VOLATILITY state, 0.0 before the first interval."""
    s = state[0]
    if s["squares_s"] <= 0.0:
        return 0.0
    return math.sqrt(s["squares_ticks2"] / s["squares_s"])


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
    out_volatility: np.ndarray,
    out_drift: np.ndarray,
    out_warm: np.ndarray,
) -> None:
    """Fold `volatility_step` over prices; write what is known after each.

    Parameters
    ----------
    state : ndarray of VOLATILITY, shape (1,)
        Changed in place.
    xs_ticks : ndarray of float64, shape (n,)
    ts_ns : ndarray of int64, shape (n,)
    volatility_half_life_ns, drift_half_life_ns, warmup_ns, max_gap_ns : int
    out_volatility, out_drift : ndarray of float64, shape (n,)
        Ticks per sqrt(s), and ticks per s.
    out_warm : ndarray of uint8, shape (n,)
    """
    for i in range(xs_ticks.size):
        volatility_step(
            state,
            xs_ticks[i],
            ts_ns[i],
            volatility_half_life_ns,
            drift_half_life_ns,
            max_gap_ns,
        )
        out_volatility[i] = volatility_ticks_per_sqrt_s(state)
        out_drift[i] = drift_ticks_per_s(state)
        out_warm[i] = volatility_warm(state, warmup_ns)
