"""Ladder kernels: a side's best price -> its levels, through sizes, limits and filters."""

from typing import Any

from numpy.typing import NDArray

from mmquant._jit import bare_njit as njit
from mmquant.codes import QuoteClamp, Reason, RiskState
from mmquant.kernels.limits import collar_bounds, faded_permille, side_room
from mmquant.kernels.risk import is_worth_less, order_reason, percent_bounds, scaled
from mmquant.records import Row
from mmquant.state import MAX_LEVELS

__all__ = ["clear_levels", "fill_ladder", "keep_held"]

_NONE = int(Reason.NONE)
_INVENTORY_LIMIT = int(Reason.INVENTORY_LIMIT)
_INVENTORY_SOFT_LIMIT = int(Reason.INVENTORY_SOFT_LIMIT)
_REDUCE_ONLY = int(Reason.REDUCE_ONLY)
_ABOVE_MAXIMUM_NOTIONAL = int(Reason.ABOVE_MAXIMUM_NOTIONAL)
_PERCENT_PRICE = int(Reason.PERCENT_PRICE)
_PRICE_COLLAR = int(Reason.PRICE_COLLAR)
_OPEN_ORDERS = int(Reason.OPEN_ORDERS)
_OPEN_NOTIONAL = int(Reason.OPEN_NOTIONAL)
_REDUCING = int(RiskState.REDUCING)
_FADED = int(QuoteClamp.FADED)
_LIMITED = int(QuoteClamp.LIMITED)
_FILTERED = int(QuoteClamp.FILTERED)
_COLLARED = int(QuoteClamp.COLLARED)
_CAPPED = int(QuoteClamp.CAPPED)
_REDUCED = int(QuoteClamp.REDUCED)
_MOST_GAP_TICKS = 2**40
_MOST_LOTS = 2**48
_MILLION = 1_000_000
_WHOLE = 1_000


@njit
def clear_levels(levels: NDArray[Any], start: int, stop: int) -> None:
    """Empty the levels from `start` to `stop`."""
    for i in range(start, stop):
        levels[i]["price_ticks"] = 0
        levels[i]["qty_lots"] = 0


@njit
def _level_reason(
    state: Row,
    instrument: Row,
    percent: tuple[int, int],
    collar: tuple[int, int],
    price_ticks: int,
    qty_lots: int,
) -> int:
    """Return NONE, or what speaks against an order of this price and size by itself.

    As venue_reason, with what is the same for all levels of a side worked out before.
    """
    reason = order_reason(instrument, state["min_tick_lots"], price_ticks, qty_lots)
    if reason != _NONE:
        return reason
    if not is_worth_less(price_ticks, qty_lots, state["max_tick_lots"] + 1):
        return _ABOVE_MAXIMUM_NOTIONAL
    if not percent[0] <= price_ticks <= percent[1]:
        return _PERCENT_PRICE
    return _NONE if collar[0] <= price_ticks <= collar[1] else _PRICE_COLLAR


@njit
def _note_price(state: Row, price_ticks: int) -> None:
    """Keep how far the prices reach that the collar is asked about."""
    state["lowest_ticks"] = min(state["lowest_ticks"], price_ticks)
    state["highest_ticks"] = max(state["highest_ticks"], price_ticks)


@njit
def _shrunk_reason(full_lots: int, faded_lots: int, lots: int, limit_reason: int) -> int:
    """Return the limit that made an order smaller than it may be."""
    if lots < faded_lots:
        return limit_reason
    return _INVENTORY_SOFT_LIMIT if faded_lots < full_lots else _NONE


@njit
def _clamp_of(reason: int, limit_clamp: int) -> int:
    """Return the codes.QuoteClamp of a level that was dropped for `reason`."""
    if reason in (_INVENTORY_LIMIT, _REDUCE_ONLY):
        return limit_clamp
    if reason == _INVENTORY_SOFT_LIMIT:
        return _FADED
    if reason == _PRICE_COLLAR:
        return _COLLARED
    return _CAPPED if reason in (_OPEN_ORDERS, _OPEN_NOTIONAL) else _FILTERED


@njit
def fill_ladder(
    state: Row,
    params: Row,
    instrument: Row,
    side: int,
    best_ticks: int,
    position_lots: int,
    risk_state: int,
    mid_half_ticks: int,
    trade_ticks: int,
    levels: NDArray[Any],
) -> tuple[int, int]:
    """Write one side's levels; return (NONE or why none is quoted, codes.QuoteClamp bits).

    Level k lies the sum of k distances behind the best price, and each distance and size follows
    from the one before. A level that something speaks against is left out, the others stay.

    Parameters
    ----------
    state : record of state.STRATEGY_STATE
        The notional limits are read, how far the prices reach is noted.
    params : record of state.STRATEGY_PARAMS
    instrument : record of records.INSTRUMENT
    side : int
        codes.Side.
    best_ticks : int
    position_lots : int
    risk_state : int
        codes.RiskState, ACTIVE or REDUCING.
    mid_half_ticks : int
        Twice the market's mid.
    trade_ticks : int
        Price of the last trade, 0 where none is known.
    levels : ndarray of records.LEVEL, shape (2 * MAX_LEVELS,)
        The side's half is written: best first, zeros behind the last.
    """
    first = 0 if side > 0 else MAX_LEVELS
    reducing = risk_state == _REDUCING
    limit_reason = _REDUCE_ONLY if reducing else _INVENTORY_LIMIT
    limit_clamp = _REDUCED if reducing else _LIMITED
    room = side_room(params, side, position_lots, risk_state)
    share = faded_permille(params, side, position_lots)
    most_orders = params["max_open_orders"] // 2
    if instrument["max_orders"] > 0:
        most_orders = min(most_orders, instrument["max_orders"] // 2)
    left_tick_lots = params["max_open_tick_lots"] // 2
    gap = max(params["spacing_ticks"], scaled(mid_half_ticks, params["spacing_ppm"], 2 * _MILLION))
    percent = percent_bounds(instrument, side, mid_half_ticks)
    collar = collar_bounds(params, mid_half_ticks, trade_ticks)
    step = scaled(params["order_lots"], params["size_step_permille"], _WHOLE)
    price = best_ticks
    size = params["order_lots"]
    reason = _NONE
    clamps = _FADED if share < _WHOLE else 0
    quoted = 0
    for _ in range(params["levels"]):
        _note_price(state, price)
        full = min(size, _MOST_LOTS)
        faded = full * share // _WHOLE
        lots = min(faded, room)
        shrunk = _shrunk_reason(full, faded, lots, limit_reason)
        why = shrunk
        if lots > 0 or shrunk == _NONE:
            why = _level_reason(state, instrument, percent, collar, price, lots)
            if why != _NONE and shrunk != _NONE:
                whole = _level_reason(state, instrument, percent, collar, price, full)
                why = shrunk if whole == _NONE else whole
        if why == _NONE and quoted >= most_orders:
            why = _OPEN_ORDERS
        elif why == _NONE and not is_worth_less(price, lots, left_tick_lots + 1):
            why = _OPEN_NOTIONAL
        if why == _NONE:
            levels[first + quoted]["price_ticks"] = price
            levels[first + quoted]["qty_lots"] = lots
            quoted += 1
            room -= lots
            left_tick_lots -= lots * price
            if lots < faded:
                clamps |= limit_clamp
        else:
            clamps |= _clamp_of(why, limit_clamp)
            reason = why if reason == _NONE else reason
        price -= side * gap
        gap = min(_MOST_GAP_TICKS, gap * params["spacing_permille"] // _WHOLE)
        size = min(_MOST_LOTS, size * params["size_permille"] // _WHOLE + step)
    clear_levels(levels, first + quoted, first + MAX_LEVELS)
    return (_NONE if quoted > 0 else reason), clamps


@njit
def keep_held(
    state: Row,
    params: Row,
    instrument: Row,
    side: int,
    best_ticks: int,
    touch_ticks: int,
    mid_half_ticks: int,
    trade_ticks: int,
    levels: NDArray[Any],
) -> int:
    """Write a side's orders as they were, but those that may stay no longer; return how many stay.

    None stays that would trade or stands better than the price wanted now, and what stays is no
    more than is wanted now, in lots and in orders: the limits count whatever the tokens allow.

    Parameters
    ----------
    state, params, instrument : record of
        As for fill_ladder.
    side : int
        codes.Side.
    best_ticks : int
        The side's best price as it is wanted now.
    touch_ticks : int
        The other side's best price: the order would trade there.
    mid_half_ticks, trade_ticks : int
        For the filters and the collar.
    levels : ndarray of records.LEVEL, shape (2 * MAX_LEVELS,)
        The side's half holds what is wanted now, and what stays is written in its place.
    """
    first = 0 if side > 0 else MAX_LEVELS
    room_lots = 0
    last = first
    for i in range(first, first + MAX_LEVELS):
        room_lots += levels[i]["qty_lots"]
        last += levels[i]["qty_lots"] > 0
    left_tick_lots = params["max_open_tick_lots"] // 2
    percent = percent_bounds(instrument, side, mid_half_ticks)
    collar = collar_bounds(params, mid_half_ticks, trade_ticks)
    kept = first
    for i in range(first, first + MAX_LEVELS):
        price = state["price_ticks"][i]
        held = state["qty_lots"][i]
        if held == 0 or kept == last:
            break
        lots = min(held, room_lots)
        _note_price(state, price)
        if side * (price - best_ticks) > 0 or side * (price - touch_ticks) >= 0:
            continue
        if _level_reason(state, instrument, percent, collar, price, lots) != _NONE:
            continue
        if is_worth_less(price, lots, left_tick_lots + 1):
            levels[kept]["price_ticks"] = price
            levels[kept]["qty_lots"] = lots
            room_lots -= lots
            left_tick_lots -= lots * price
            kept += 1
    for i in range(kept, first + MAX_LEVELS):
        levels[i]["price_ticks"] = 0
        levels[i]["qty_lots"] = 0
    return kept - first
