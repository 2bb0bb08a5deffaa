"""Gate kernels: what must hold before anything is quoted; the first that does not is the reason."""

import math
from typing import Any

from numpy.typing import NDArray

from mmquant._jit import bare_njit as njit
from mmquant.codes import BookState, PricingFlag, Reason, RiskState

__all__ = ["market_gate", "open_gate", "risk_gate"]

_BOOK_LIVE = int(BookState.LIVE)
_FLAG_LIVE = int(PricingFlag.LIVE)
_FLAG_WARM = int(PricingFlag.WARM)
_ACTIVE = int(RiskState.ACTIVE)
_REDUCING = int(RiskState.REDUCING)
_HALTED = int(RiskState.HALTED)
_NONE = int(Reason.NONE)
_NO_INSTRUMENT = int(Reason.NO_INSTRUMENT)
_NO_MARKET_DATA = int(Reason.NO_MARKET_DATA)
_BOOK_NOT_LIVE = int(Reason.BOOK_NOT_LIVE)
_BOOK_STALE = int(Reason.BOOK_STALE)
_BOOK_CROSSED = int(Reason.BOOK_CROSSED)
_NOT_WARM = int(Reason.NOT_WARM)
_NOT_FINITE = int(Reason.NOT_FINITE)
_NO_POSITION = int(Reason.NO_POSITION)
_UPSTREAM_SILENT = int(Reason.UPSTREAM_SILENT)
_SPREAD_TOO_WIDE = int(Reason.SPREAD_TOO_WIDE)
_SPREAD_TOO_NARROW = int(Reason.SPREAD_TOO_NARROW)
_CLOCK_SKEW = int(Reason.CLOCK_SKEW)
_UPSTREAM_LAGS = int(Reason.UPSTREAM_LAGS)
_SIMULATOR_LAGS = int(Reason.SIMULATOR_LAGS)
_OPEN_ORDERS = int(Reason.OPEN_ORDERS)
_OPEN_NOTIONAL = int(Reason.OPEN_NOTIONAL)


@njit
def _time_gate(
    state: NDArray[Any], params: NDArray[Any], inputs: NDArray[Any], pricing: NDArray[Any]
) -> int:
    """Compare the stamps on the message's way; a stamp of 0 means that there was no such hop."""
    q = params[0]
    p = pricing[0]
    heard_ns = inputs[0]["heard_ns"]
    sent_ns = p["sent_ns"]
    collector_ns = p["collector_sent_ns"] if p["frame_ns"] != 0 else 0
    if state[0]["book_ns"] - inputs[0]["now_ns"] > q["max_skew_ns"]:
        return _CLOCK_SKEW  # our own clock went back: how old the book is cannot be told
    if sent_ns - heard_ns > q["max_skew_ns"]:
        return _CLOCK_SKEW
    if collector_ns - p["received_ns"] > q["max_skew_ns"] and p["received_ns"] != 0:
        return _CLOCK_SKEW
    if sent_ns != 0 and heard_ns - sent_ns > q["max_lag_ns"]:
        return _UPSTREAM_LAGS
    if collector_ns != 0 and p["received_ns"] - collector_ns > q["max_lag_ns"]:
        return _UPSTREAM_LAGS
    return _NONE


@njit
def _book_gate(
    state: NDArray[Any], params: NDArray[Any], inputs: NDArray[Any], pricing: NDArray[Any]
) -> int:
    p = pricing[0]
    if p["book_state"] != _BOOK_LIVE or not p["flags"] & _FLAG_LIVE:
        return _BOOK_NOT_LIVE
    if inputs[0]["now_ns"] - state[0]["book_ns"] > params[0]["max_book_age_ns"]:
        return _BOOK_STALE
    if p["bid_ticks"] <= 0 or p["ask_ticks"] <= 0:
        return _NO_MARKET_DATA
    if p["bid_ticks"] >= p["ask_ticks"]:
        return _BOOK_CROSSED
    return _NONE


@njit
def market_gate(
    state: NDArray[Any],
    params: NDArray[Any],
    inputs: NDArray[Any],
    pricing: NDArray[Any],
    instrument: NDArray[Any],
) -> int:
    """Return NONE, or the first codes.Reason why what is known does not suffice to quote.

    Each is released as soon as it no longer holds.

    Parameters
    ----------
    state : ndarray of state.STRATEGY_STATE, shape (1,)
        `book_ns` is read.
    params : ndarray of state.STRATEGY_PARAMS, shape (1,)
    inputs : ndarray of state.STRATEGY_INPUTS, shape (1,)
    pricing : ndarray of records.PRICING, shape (1,)
    instrument : ndarray of records.INSTRUMENT, shape (1,)
        `instrument_id` 0 where none is known yet.
    """
    i = instrument[0]
    p = pricing[0]
    if i["instrument_id"] == 0 or i["tick_size_e8"] <= 0 or i["lot_size_e8"] <= 0:
        return _NO_INSTRUMENT
    if not inputs[0]["upstream_ok"]:
        return _UPSTREAM_SILENT
    if p["instrument_id"] != i["instrument_id"]:
        return _NO_INSTRUMENT
    reason = _time_gate(state, params, inputs, pricing)
    if reason == _NONE:
        reason = _book_gate(state, params, inputs, pricing)
    if reason != _NONE:
        return reason
    if not p["flags"] & _FLAG_WARM:
        return _NOT_WARM
    if not inputs[0]["position_known"]:
        return _NO_POSITION
    if inputs[0]["simulator_lag_ns"] > params[0]["max_simulator_lag_ns"]:
        return _SIMULATOR_LAGS
    volatility = p["volatility_ticks_per_sqrt_s"]
    if not (math.isfinite(p["fair_value_ticks"]) and math.isfinite(p["drift_ticks_per_s"])):
        return _NOT_FINITE
    if not math.isfinite(volatility) or volatility < 0.0:
        return _NOT_FINITE
    spread = p["ask_ticks"] - p["bid_ticks"]
    if spread < params[0]["min_spread_ticks"]:
        return _SPREAD_TOO_NARROW
    if spread > params[0]["max_spread_ticks"]:
        return _SPREAD_TOO_WIDE
    return open_gate(params, inputs)


@njit
def open_gate(params: NDArray[Any], inputs: NDArray[Any]) -> int:
    """Return NONE, or why what is open at the venue is too much: all that a step reads of it.

    Parameters
    ----------
    params : ndarray of state.STRATEGY_PARAMS, shape (1,)
    inputs : ndarray of state.STRATEGY_INPUTS, shape (1,)
    """
    if inputs[0]["open_orders"] > params[0]["max_open_orders"]:
        return _OPEN_ORDERS
    if inputs[0]["open_tick_lots"] > params[0]["max_open_tick_lots"]:
        return _OPEN_NOTIONAL
    return _NONE


@njit
def risk_gate(state: NDArray[Any], inputs: NDArray[Any]) -> tuple[int, int]:
    """Return (codes.RiskState, why it is not ACTIVE); a pause that is over ends here.

    Parameters
    ----------
    state : ndarray of state.STRATEGY_STATE, shape (1,)
        What kernels.watch has latched.
    inputs : ndarray of state.STRATEGY_INPUTS, shape (1,)
        `halt_reason` is read.
    """
    s = state[0]
    if inputs[0]["halt_reason"] != _NONE:
        return _HALTED, inputs[0]["halt_reason"]
    if s["halt_reason"] != _NONE:
        return _HALTED, s["halt_reason"]
    if s["pause_reason"] != _NONE:
        if s["now_ns"] < s["pause_until_ns"]:
            return _REDUCING, s["pause_reason"]
        s["pause_reason"] = _NONE
    return _ACTIVE, _NONE
