"""What the quoting models share: how they answer, how they refuse, and rows of arrays."""

import math
from typing import Any

from numpy.typing import NDArray

from mmquant._jit import njit
from mmquant.codes import Reason

__all__ = [
    "get_row",
    "in_range",
    "log_ratio",
    "prices_reason",
    "put_half_spread",
    "put_prices",
    "put_row",
    "refuse",
]

_NONE = int(Reason.NONE)
_NOT_FINITE = int(Reason.NOT_FINITE)
_PRICE_OUT_OF_RANGE = int(Reason.PRICE_OUT_OF_RANGE)
_MODEL_SPREAD = int(Reason.MODEL_SPREAD)
_MODEL_VOLATILITY = int(Reason.MODEL_VOLATILITY)
_MODEL_ARRIVALS = int(Reason.MODEL_ARRIVALS)
_FAR_TICKS = 2.0**53  # where a float stops telling ticks apart


@njit
def refuse(out: NDArray[Any], reason: int) -> int:
    """Write no quote, and return why."""
    o = out[0]
    o["bid_ticks"] = math.nan
    o["ask_ticks"] = math.nan
    o["reservation_ticks"] = math.nan
    o["inventory_shift_ticks"] = math.nan
    o["drift_shift_ticks"] = math.nan
    o["volatility_term_ticks"] = math.nan
    o["arrival_term_ticks"] = math.nan
    return reason


@njit
def in_range(
    fair_value_ticks: float,
    volatility_ticks_per_sqrt_s: float,
    arrival_rate_per_s: float,
    arrival_decay_per_tick: float,
    inventory_orders: float,
) -> int:
    """Return NONE, or why no model can quote with these: what it does not use is passed as 1."""
    if not (
        math.isfinite(fair_value_ticks)
        and math.isfinite(volatility_ticks_per_sqrt_s)
        and math.isfinite(arrival_rate_per_s)
        and math.isfinite(arrival_decay_per_tick)
        and math.isfinite(inventory_orders)
    ):
        return _NOT_FINITE
    if not 0.0 < fair_value_ticks <= _FAR_TICKS:
        return _PRICE_OUT_OF_RANGE
    if volatility_ticks_per_sqrt_s < 0.0:
        return _MODEL_VOLATILITY
    if not (arrival_rate_per_s > 0.0 and arrival_decay_per_tick > 0.0):
        return _MODEL_ARRIVALS
    return _NONE


@njit
def log_ratio(x: float) -> float:
    """Return ln(1 + x) / x for x >= 0, 1 at 0."""
    return float(math.log1p(x) / x) if x > 0.0 else 1.0


@njit
def prices_reason(bid_ticks: float, ask_ticks: float) -> int:
    """Return NONE, or why these are no quotes."""
    if not (math.isfinite(bid_ticks) and math.isfinite(ask_ticks)):
        return _NOT_FINITE
    if bid_ticks < -_FAR_TICKS or ask_ticks > _FAR_TICKS:
        return _PRICE_OUT_OF_RANGE
    return _NONE if bid_ticks < ask_ticks else _MODEL_SPREAD


@njit
def put_half_spread(
    out: NDArray[Any],
    fair_value_ticks: float,
    inventory_shift: float,
    drift_shift: float,
    half: float,
    volatility_term: float,
    arrival_term: float,
) -> int:
    """Write quotes `half` around the shifted fair value; return NONE, or why that is none."""
    reservation = fair_value_ticks + drift_shift + inventory_shift
    bid = reservation - half
    ask = reservation + half
    reason = prices_reason(bid, ask)
    if reason != _NONE:
        return refuse(out, reason)
    o = out[0]
    o["bid_ticks"] = bid
    o["ask_ticks"] = ask
    o["reservation_ticks"] = reservation
    o["inventory_shift_ticks"] = inventory_shift
    o["drift_shift_ticks"] = drift_shift
    o["volatility_term_ticks"] = volatility_term
    o["arrival_term_ticks"] = arrival_term
    return _NONE


@njit
def put_prices(
    out: NDArray[Any],
    fair_value_ticks: float,
    bid_ticks: float,
    ask_ticks: float,
    drift_shift: float,
    arrival_term: float,
) -> int:
    """Write two prices found apart, a side not quoted at -inf or inf; return NONE or why not.

    The parts of a single side: its distance from the reservation price is the arrivals' term.
    """
    if not (bid_ticks < ask_ticks):
        return refuse(out, _MODEL_SPREAD if bid_ticks >= ask_ticks else _NOT_FINITE)
    has_bid = math.isfinite(bid_ticks)
    has_ask = math.isfinite(ask_ticks)
    if not ((has_bid or has_ask) and math.isfinite(drift_shift)):
        return refuse(out, _NOT_FINITE)
    if (has_bid and abs(bid_ticks) > _FAR_TICKS) or (has_ask and abs(ask_ticks) > _FAR_TICKS):
        return refuse(out, _PRICE_OUT_OF_RANGE)
    volatility_term = 0.0
    if has_bid and has_ask:
        reservation = 0.5 * (bid_ticks + ask_ticks)
        volatility_term = 0.5 * (ask_ticks - bid_ticks) - arrival_term
    elif has_bid:
        reservation = bid_ticks + arrival_term
    else:
        reservation = ask_ticks - arrival_term
    o = out[0]
    o["bid_ticks"] = bid_ticks
    o["ask_ticks"] = ask_ticks
    o["reservation_ticks"] = reservation
    o["inventory_shift_ticks"] = reservation - fair_value_ticks - drift_shift
    o["drift_shift_ticks"] = drift_shift
    o["volatility_term_ticks"] = volatility_term
    o["arrival_term_ticks"] = arrival_term
    return _NONE


@njit
def _at(column: NDArray[Any], i: int) -> Any:
    return column[i] if column.size > 1 else column[0]


@njit
def get_row(
    values: tuple[NDArray[Any], ...], lots: tuple[NDArray[Any], ...], i: int, inputs: NDArray[Any]
) -> None:
    """Fill a model's inputs from row `i` of columns, each of shape (n,), or (1,) for all rows.

    `values`: fair value, drift, volatility, arrival rate, arrival decay, inventory, time left
    (float64); `lots`: position and its limit (int64).
    """
    row = inputs[0]
    row["fair_value_ticks"] = _at(values[0], i)
    row["drift_ticks_per_s"] = _at(values[1], i)
    row["volatility_ticks_per_sqrt_s"] = _at(values[2], i)
    row["arrival_rate_per_s"] = _at(values[3], i)
    row["arrival_decay_per_tick"] = _at(values[4], i)
    row["inventory_orders"] = _at(values[5], i)
    row["time_left_s"] = _at(values[6], i)
    row["position_lots"] = _at(lots[0], i)
    row["position_limit_lots"] = _at(lots[1], i)


@njit
def put_row(out: NDArray[Any], i: int, quotes: NDArray[Any]) -> None:
    """Copy a model's answer into column `i` of `quotes` (7, n), in the order of MODEL_QUOTES."""
    o = out[0]
    quotes[0, i] = o["bid_ticks"]
    quotes[1, i] = o["ask_ticks"]
    quotes[2, i] = o["reservation_ticks"]
    quotes[3, i] = o["inventory_shift_ticks"]
    quotes[4, i] = o["drift_shift_ticks"]
    quotes[5, i] = o["volatility_term_ticks"]
    quotes[6, i] = o["arrival_term_ticks"]
