"""Gate kernels: what must hold before anything is quoted; the first that does not is the reason."""

import math

from mmquant._jit import bare_njit as njit
from mmquant.codes import BookState, PricingFlag, Reason, RiskState
from mmquant.records import Row

__all__ = ["market_gate", "open_gate", "risk_gate"]

_BOOK_LIVE = int(BookState.LIVE)
_FLAG_LIVE = int(PricingFlag.LIVE)
_FLAG_WARM = int(PricingFlag.WARM)
_FLAG_NO_FAIR_VALUE = int(PricingFlag.NO_FAIR_VALUE)
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
_NO_FAIR_VALUE = int(Reason.NO_FAIR_VALUE)
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
def _time_gate(state: Row, params: Row, inputs: Row, pricing: Row) -> int:
    """Compare the stamps on the message's way; a stamp of 0 means that there was no such hop."""
    heard_ns = inputs["heard_ns"]
    sent_ns = pricing["sent_ns"]
    collector_ns = pricing["collector_sent_ns"] if pricing["frame_ns"] != 0 else 0
    if state["book_ns"] - inputs["now_ns"] > params["max_skew_ns"]:
        return _CLOCK_SKEW  # our own clock went back: how old the book is cannot be told
    if sent_ns - heard_ns > params["max_skew_ns"]:
        return _CLOCK_SKEW
    if (
        collector_ns - pricing["received_ns"] > params["max_skew_ns"]
        and pricing["received_ns"] != 0
    ):
        return _CLOCK_SKEW
    if sent_ns != 0 and heard_ns - sent_ns > params["max_lag_ns"]:
        return _UPSTREAM_LAGS
    if collector_ns != 0 and pricing["received_ns"] - collector_ns > params["max_lag_ns"]:
        return _UPSTREAM_LAGS
    return _NONE


@njit
def _book_gate(state: Row, params: Row, inputs: Row, pricing: Row) -> int:
    if pricing["book_state"] != _BOOK_LIVE:
        return _BOOK_NOT_LIVE
    # Each of these takes LIVE from the flags, too: what is wrong is said, not what follows of it.
    if pricing["bid_ticks"] <= 0 or pricing["ask_ticks"] <= 0:
        return _NO_MARKET_DATA
    if pricing["bid_ticks"] >= pricing["ask_ticks"]:
        return _BOOK_CROSSED
    if pricing["flags"] & _FLAG_NO_FAIR_VALUE:
        return _NO_FAIR_VALUE
    if not pricing["flags"] & _FLAG_LIVE:
        return _BOOK_NOT_LIVE
    if inputs["now_ns"] - state["book_ns"] > params["max_book_age_ns"]:
        return _BOOK_STALE
    return _NONE


@njit
def market_gate(
    state: Row,
    params: Row,
    inputs: Row,
    pricing: Row,
    instrument: Row,
) -> int:
    """Return NONE, or the first codes.Reason why what is known does not suffice to quote.

    Each is released as soon as it no longer holds.

    Parameters
    ----------
    state : record of state.STRATEGY_STATE
        `book_ns` is read.
    params : record of state.STRATEGY_PARAMS
    inputs : record of state.STRATEGY_INPUTS
    pricing : record of records.PRICING
    instrument : record of records.INSTRUMENT
        `instrument_id` 0 where none is known yet.
    """
    if (
        instrument["instrument_id"] == 0
        or instrument["tick_size_e8"] <= 0
        or instrument["lot_size_e8"] <= 0
    ):
        return _NO_INSTRUMENT
    if not inputs["upstream_ok"]:
        return _UPSTREAM_SILENT
    if pricing["instrument_id"] != instrument["instrument_id"]:
        return _NO_INSTRUMENT
    reason = _time_gate(state, params, inputs, pricing)
    if reason == _NONE:
        reason = _book_gate(state, params, inputs, pricing)
    if reason != _NONE:
        return reason
    if not pricing["flags"] & _FLAG_WARM:
        return _NOT_WARM
    if not inputs["position_known"]:
        return _NO_POSITION
    if inputs["simulator_lag_ns"] > params["max_simulator_lag_ns"]:
        return _SIMULATOR_LAGS
    volatility = pricing["volatility_ticks_per_sqrt_s"]
    if not (
        math.isfinite(pricing["fair_value_ticks"]) and math.isfinite(pricing["drift_ticks_per_s"])
    ):
        return _NOT_FINITE
    if not math.isfinite(volatility) or volatility < 0.0:
        return _NOT_FINITE
    spread = pricing["ask_ticks"] - pricing["bid_ticks"]
    if spread < params["min_spread_ticks"]:
        return _SPREAD_TOO_NARROW
    if spread > params["max_spread_ticks"]:
        return _SPREAD_TOO_WIDE
    return open_gate(params, inputs)


@njit
def open_gate(params: Row, inputs: Row) -> int:
    """Return NONE, or why what is open at the venue is too much: all that a step reads of it.

    Parameters
    ----------
    params : record of state.STRATEGY_PARAMS
    inputs : record of state.STRATEGY_INPUTS
    """
    if inputs["open_orders"] > params["max_open_orders"]:
        return _OPEN_ORDERS
    if inputs["open_tick_lots"] > params["max_open_tick_lots"]:
        return _OPEN_NOTIONAL
    return _NONE


@njit
def risk_gate(state: Row, inputs: Row) -> tuple[int, int]:
    """Return (codes.RiskState, why it is not ACTIVE); a pause that is over ends here.

    Parameters
    ----------
    state : record of state.STRATEGY_STATE
        What kernels.watch has latched.
    inputs : record of state.STRATEGY_INPUTS
        `halt_reason` is read.
    """
    if inputs["halt_reason"] != _NONE:
        return _HALTED, inputs["halt_reason"]
    if state["halt_reason"] != _NONE:
        return _HALTED, state["halt_reason"]
    if state["pause_reason"] != _NONE:
        if state["now_ns"] < state["pause_until_ns"]:
            return _REDUCING, state["pause_reason"]
        state["pause_reason"] = _NONE
    return _ACTIVE, _NONE
