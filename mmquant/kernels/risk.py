"""Risk kernels: what must hold before anything is quoted, and the venue's filters on an order."""

import math
from typing import Any

from numpy.typing import NDArray

from mmquant._jit import njit
from mmquant.codes import BookState, PricingFlag, Reason

__all__ = ["minimum_tick_lots", "order_reason", "risk_gate"]

_BOOK_LIVE = int(BookState.LIVE)
_FLAG_LIVE = int(PricingFlag.LIVE)
_FLAG_WARM = int(PricingFlag.WARM)
_NONE = int(Reason.NONE)
_NO_INSTRUMENT = int(Reason.NO_INSTRUMENT)
_NO_MARKET_DATA = int(Reason.NO_MARKET_DATA)
_BOOK_NOT_LIVE = int(Reason.BOOK_NOT_LIVE)
_BOOK_CROSSED = int(Reason.BOOK_CROSSED)
_NOT_WARM = int(Reason.NOT_WARM)
_NOT_FINITE = int(Reason.NOT_FINITE)
_NO_POSITION = int(Reason.NO_POSITION)
_UPSTREAM_SILENT = int(Reason.UPSTREAM_SILENT)
_SPREAD_TOO_WIDE = int(Reason.SPREAD_TOO_WIDE)
_PRICE_OUT_OF_RANGE = int(Reason.PRICE_OUT_OF_RANGE)
_BELOW_MINIMUM_QUANTITY = int(Reason.BELOW_MINIMUM_QUANTITY)
_ABOVE_MAXIMUM_QUANTITY = int(Reason.ABOVE_MAXIMUM_QUANTITY)
_BELOW_MINIMUM_NOTIONAL = int(Reason.BELOW_MINIMUM_NOTIONAL)
_UNREACHABLE = 2**62  # a notional in tick-lots beyond every order


@njit
def risk_gate(
    params: NDArray[Any],
    pricing: NDArray[Any],
    instrument: NDArray[Any],
    position_known: int,
    upstream_ok: int,
) -> int:
    """Return NONE, or the first codes.Reason that forbids quoting (no levels, all pulled).

    Parameters
    ----------
    params : ndarray of state.STRATEGY_PARAMS, shape (1,)
    pricing : ndarray of records.PRICING, shape (1,)
    instrument : ndarray of records.INSTRUMENT, shape (1,)
        `instrument_id` 0 where none is known yet.
    position_known, upstream_ok : int
        1 if so, else 0.
    """
    i = instrument[0]
    p = pricing[0]
    if i["instrument_id"] == 0 or i["tick_size_e8"] <= 0 or i["lot_size_e8"] <= 0:
        return _NO_INSTRUMENT
    if not upstream_ok:
        return _UPSTREAM_SILENT
    if p["instrument_id"] != i["instrument_id"]:
        return _NO_INSTRUMENT
    if p["book_state"] != _BOOK_LIVE or not p["flags"] & _FLAG_LIVE:
        return _BOOK_NOT_LIVE
    if p["bid_ticks"] <= 0 or p["ask_ticks"] <= 0:
        return _NO_MARKET_DATA
    if p["bid_ticks"] >= p["ask_ticks"]:
        return _BOOK_CROSSED
    if not p["flags"] & _FLAG_WARM:
        return _NOT_WARM
    if not position_known:
        return _NO_POSITION
    volatility = p["volatility_ticks_per_sqrt_s"]
    if not (math.isfinite(p["fair_value_ticks"]) and math.isfinite(p["drift_ticks_per_s"])):
        return _NOT_FINITE
    if not math.isfinite(volatility) or volatility < 0.0:
        return _NOT_FINITE
    if p["ask_ticks"] - p["bid_ticks"] > params[0]["max_spread_ticks"]:
        return _SPREAD_TOO_WIDE
    return _NONE


@njit
def _divide_e8_up(value: int, divisor: int) -> int:
    """Return ceil(value * 1e8 / divisor) digit by digit, without the product."""
    quotient = value // divisor
    remainder = value % divisor
    for _ in range(8):
        if quotient >= _UNREACHABLE // 16:
            return _UNREACHABLE
        remainder *= 10
        quotient = quotient * 10 + remainder // divisor
        remainder %= divisor
    return quotient + 1 if remainder > 0 else quotient


@njit
def minimum_tick_lots(min_notional_e8: int, tick_size_e8: int, lot_size_e8: int) -> int:
    """Return the least price in ticks times lots that reaches a minimum notional, exactly.

    That is ceil(min_notional_e8 * 1e8 / (tick_size_e8 * lot_size_e8)); both products would
    overflow, and two divisions that round up give the same as one. Where even the first, by
    the larger size, overflows, no order reaches the minimum that is returned.
    """
    first = _divide_e8_up(min_notional_e8, max(tick_size_e8, lot_size_e8))
    if first == _UNREACHABLE:
        return _UNREACHABLE
    second = min(tick_size_e8, lot_size_e8)
    return (first + second - 1) // second


@njit
def order_reason(
    instrument: NDArray[Any], min_tick_lots: int, price_ticks: int, qty_lots: int
) -> int:
    """Return NONE, or the codes.Reason of the first filter that an order breaks.

    Parameters
    ----------
    instrument : ndarray of records.INSTRUMENT, shape (1,)
        A maximum of 0 means none, as at the venue.
    min_tick_lots : int
        From minimum_tick_lots.
    price_ticks, qty_lots : int
    """
    i = instrument[0]
    if price_ticks < max(1, i["min_price_ticks"]):
        return _PRICE_OUT_OF_RANGE
    if i["max_price_ticks"] > 0 and price_ticks > i["max_price_ticks"]:
        return _PRICE_OUT_OF_RANGE
    if qty_lots < max(1, i["min_qty_lots"]):
        return _BELOW_MINIMUM_QUANTITY
    if i["max_qty_lots"] > 0 and qty_lots > i["max_qty_lots"]:
        return _ABOVE_MAXIMUM_QUANTITY
    # Divided, not multiplied: price times quantity may overflow.
    if qty_lots < (min_tick_lots + price_ticks - 1) // price_ticks:
        return _BELOW_MINIMUM_NOTIONAL
    return _NONE
