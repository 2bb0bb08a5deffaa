"""names and numbers -> the records that the simulator's kernels take."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant._checks import number, whole
from mmquant.codes import FillModel
from mmquant.state import (
    MAX_ORDERS,
    NEVER_NS,
    RECORDED_LATENCY,
    SIMULATOR_PARAMS,
    SIMULATOR_STATE,
)

__all__ = ["fill_model_of", "recorded_latencies", "simulator_params", "simulator_state"]

_MOST_LATENCY_NS = 3600 * 10**9
_MOST_PPM = 100_000
_MOST_JITTER = 3.0
_WORD = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15


def fill_model_of(name: str | int) -> FillModel:
    """Return the fill model of a name ("risk_averse") or number.

    Raises
    ------
    ValueError
        Where there is no such model.
    """
    names = {model.name.lower(): model for model in FillModel}
    if isinstance(name, str):
        if name not in names:
            raise ValueError(f"fill_model must be one of {', '.join(names)}, got {name!r}")
        return names[name]
    return FillModel(whole("fill_model", name, 1, max(FillModel)))


def simulator_params(
    *,
    entry_latency_ns: int,
    cancel_latency_ns: int,
    fill_probability_factor: float,
    maker_fee_ppm: int,
    taker_fee_ppm: int,
    markout_horizon_ns: int,
    max_orders: int = MAX_ORDERS,
    response_latency_ns: int = 0,
    entry_jitter: float = 0.0,
    cancel_jitter: float = 0.0,
    response_jitter: float = 0.0,
    fill_model: str | int = FillModel.RISK_AVERSE,
    queue_power: float = 1.0,
) -> NDArray[Any]:
    """Return the simulator's parameters as the record that the kernels take.

    Parameters
    ----------
    entry_latency_ns, cancel_latency_ns : int
        From the quotes to the order, or its cancellation, at the venue.
    fill_probability_factor : float
        Model "cross": chance in [0, 1] that a trade printed through an order fills it.
    maker_fee_ppm, taker_fee_ppm : int
        Millionths of the notional, negative for a rebate.
    markout_horizon_ns : int
        Time after a fill at which its adverse selection is measured.
    max_orders : int
        Own orders alive at once, at most MAX_ORDERS.
    response_latency_ns : int
        From what happens at the venue to the trader's knowing it.
    entry_jitter, cancel_jitter, response_jitter : float
        Standard deviation of the logarithm of each latency, whose median is the above; 0: it is
        constant.
    fill_model : str or int
        codes.FillModel or its name in lower case.
    queue_power : float
        Model "prob_power": n of f(x) = x ** n. 1: every lot is as likely to be cancelled.

    Returns
    -------
    ndarray of state.SIMULATOR_PARAMS, shape (1,)

    Raises
    ------
    TypeError, ValueError
        Naming the field, the rule and the value received.
    """
    params = np.zeros(1, SIMULATOR_PARAMS)
    p = params[0]
    latencies = {
        "entry_latency_ns": entry_latency_ns,
        "cancel_latency_ns": cancel_latency_ns,
        "response_latency_ns": response_latency_ns,
    }
    for name, value in latencies.items():
        p[name] = whole(name, value, 0, _MOST_LATENCY_NS)
    jitters = {
        "entry_jitter": entry_jitter,
        "cancel_jitter": cancel_jitter,
        "response_jitter": response_jitter,
    }
    for name, jitter in jitters.items():
        p[name] = number(name, jitter, 0.0, _MOST_JITTER)
    p["fill_probability_factor"] = number(
        "fill_probability_factor", fill_probability_factor, 0.0, 1.0
    )
    p["maker_fee_ppm"] = whole("maker_fee_ppm", maker_fee_ppm, -_MOST_PPM, _MOST_PPM)
    p["taker_fee_ppm"] = whole("taker_fee_ppm", taker_fee_ppm, -_MOST_PPM, _MOST_PPM)
    p["markout_horizon_ns"] = whole("markout_horizon_ns", markout_horizon_ns, 1, _MOST_LATENCY_NS)
    p["max_orders"] = whole("max_orders", max_orders, 1, MAX_ORDERS)
    p["fill_model"] = fill_model_of(fill_model)
    p["queue_power"] = number("queue_power", queue_power, 0.1, 10.0)
    return params


def _mixed(z: int) -> int:
    """Return splitmix64 of `z` (Steele, Lea, Flood 2014), never 0."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _WORD
    return (z ^ (z >> 31)) or 1  # a generator at 0 stays there


def simulator_state(seed: int, next_order_id: int = 1) -> NDArray[Any]:
    """Return a simulator without orders.

    Parameters
    ----------
    seed : int
        The same seed and the same inputs give the same fills and latencies.
    next_order_id : int
        Above every id used before a restart.

    Returns
    -------
    ndarray of state.SIMULATOR_STATE, shape (1,)
    """
    start = (whole("seed", seed, 0) + _GOLDEN) & _WORD
    state = np.zeros(1, SIMULATOR_STATE)
    state[0]["random"] = _mixed(start)
    state[0]["latency_random"] = _mixed((start + _GOLDEN) & _WORD)
    state[0]["next_order_id"] = whole("next_order_id", next_order_id, 1)
    state[0]["next_due_ns"] = NEVER_NS
    return state


def recorded_latencies(rows: ArrayLike) -> NDArray[Any]:
    """Return recorded ways of orders as the array that the kernels interpolate.

    Parameters
    ----------
    rows : array_like of int, shape (n, 3)
        When each was sent, was at the venue, and was answered, in nanoseconds, in order of time.
        No rows: the parameters tell the latencies.

    Returns
    -------
    ndarray of state.RECORDED_LATENCY, shape (n,)

    Raises
    ------
    ValueError
        Where a row goes back in time, or the rows do.
    """
    table = np.asarray(rows, np.int64).reshape(-1, 3)
    if (table < 1).any() or (np.diff(table, axis=1) < 0).any():
        raise ValueError("each recorded latency must be sent, at the venue, answered, all positive")
    if (np.diff(table[:, :2], axis=0) < 0).any():
        raise ValueError("recorded latencies must be in order of their times")
    out = np.zeros(len(table), RECORDED_LATENCY)
    for k, name in enumerate(("request_ns", "venue_ns", "response_ns")):
        out[name] = table[:, k]
    return out
