"""Quoting kernels: fair value and inventory -> the ladder wanted now, or the reason for none.

With f the fair value, mu the drift, sigma the volatility (per square root of a second), T the
horizon in seconds, q the position and Q its limit, in ticks:

    half        = max(min_half_spread, volatility_multiple * sigma * sqrt(T))
    reservation = f + drift_weight * mu * T - inventory_skew * half * q / Q
    bid_k       = floor(reservation - half) - k * spacing, at most the best ask - 1
    ask_k       = ceil(reservation + half)  + k * spacing, at least the best bid + 1

The shape is that of Avellaneda and Stoikov (2008), equations 29 and 30 (a reservation price
linear in the inventory, quotes symmetric around it), with the spread in volatilities in place
of the risk aversion. The post-only clamp shifts the whole ladder, so levels keep their spacing.
"""

import math
from typing import Any

from numpy.typing import NDArray

from mmquant._jit import njit
from mmquant.codes import Reason, Side
from mmquant.kernels.risk import minimum_tick_lots, order_reason, risk_gate
from mmquant.state import MAX_LEVELS

__all__ = ["quote_prices", "quote_prices_path", "strategy_step"]

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_NONE = int(Reason.NONE)
_NOT_FINITE = int(Reason.NOT_FINITE)
_INVENTORY_LIMIT = int(Reason.INVENTORY_LIMIT)
_FAR_TICKS = 2.0**53  # where a float stops telling ticks apart


@njit
def quote_prices(
    params: NDArray[Any],
    fair_value_ticks: float,
    volatility_ticks_per_sqrt_s: float,
    drift_ticks_per_s: float,
    position_lots: int,
) -> tuple[int, int, float, float, float, float]:
    """Return the best bid and ask of the model, before touch and filters, and what made them.

    Parameters
    ----------
    params : ndarray of state.STRATEGY_PARAMS, shape (1,)
    fair_value_ticks, volatility_ticks_per_sqrt_s, drift_ticks_per_s : float
        Finite, the volatility not negative.
    position_lots : int

    Returns
    -------
    tuple
        (bid_ticks, ask_ticks, reservation_ticks, half_spread_ticks, inventory_shift_ticks,
        drift_shift_ticks); bid and ask are 0 where an intermediate result is not finite.
    """
    p = params[0]
    horizon_s = p["horizon_s"]
    drift_shift = p["drift_weight"] * drift_ticks_per_s * horizon_s
    half = max(
        p["min_half_spread_ticks"],
        p["volatility_multiple"] * volatility_ticks_per_sqrt_s * math.sqrt(horizon_s),
    )
    inventory_shift = -p["inventory_skew"] * half * (position_lots / p["position_limit_lots"])
    reservation = fair_value_ticks + drift_shift + inventory_shift
    if not (math.isfinite(reservation) and math.isfinite(half)):
        return 0, 0, 0.0, 0.0, 0.0, 0.0
    bid = math.floor(max(-_FAR_TICKS, min(_FAR_TICKS, reservation - half)))
    ask = math.ceil(max(-_FAR_TICKS, min(_FAR_TICKS, reservation + half)))
    # A half-spread lost in rounding must not make us trade with ourselves.
    return bid, max(ask, bid + 1), reservation, half, inventory_shift, drift_shift


@njit
def quote_prices_path(
    params: NDArray[Any],
    fair_value_ticks: NDArray[Any],
    volatility_ticks_per_sqrt_s: NDArray[Any],
    drift_ticks_per_s: NDArray[Any],
    position_lots: NDArray[Any],
    ticks: NDArray[Any],
    shifts: NDArray[Any],
) -> None:
    """Fold quote_prices over arrays.

    Parameters
    ----------
    params : ndarray of state.STRATEGY_PARAMS, shape (1,)
    fair_value_ticks, volatility_ticks_per_sqrt_s, drift_ticks_per_s : float64 ndarray, shape (n,)
    position_lots : int64 ndarray, shape (n,)
    ticks : int64 ndarray, shape (n, 2)
        Written: bid and ask.
    shifts : float64 ndarray, shape (n, 4)
        Written: reservation, half-spread, inventory shift, drift shift.
    """
    for i in range(fair_value_ticks.size):
        bid, ask, reservation, half, inventory_shift, drift_shift = quote_prices(
            params,
            fair_value_ticks[i],
            volatility_ticks_per_sqrt_s[i],
            drift_ticks_per_s[i],
            position_lots[i],
        )
        ticks[i, 0] = bid
        ticks[i, 1] = ask
        shifts[i, 0] = reservation
        shifts[i, 1] = half
        shifts[i, 2] = inventory_shift
        shifts[i, 3] = drift_shift


@njit
def _clear_levels(levels: NDArray[Any], start: int, stop: int) -> None:
    for i in range(start, stop):
        levels[i]["price_ticks"] = 0
        levels[i]["qty_lots"] = 0


@njit
def _ladder(
    side: int,
    best_ticks: int,
    room_lots: int,
    params: NDArray[Any],
    instrument: NDArray[Any],
    min_tick_lots: int,
    levels: NDArray[Any],
) -> int:
    """Write one side's levels; return NONE, or why none of them is quoted.

    The quantities together never exceed `room_lots`, what the position limit leaves.
    """
    p = params[0]
    first = 0 if side > 0 else MAX_LEVELS
    reason = _NONE
    quoted = 0
    for k in range(p["levels"]):
        price = best_ticks - side * k * p["level_spacing_ticks"]
        lots = min(p["order_lots"], room_lots)
        if lots <= 0:
            why = _INVENTORY_LIMIT
        else:
            why = order_reason(instrument, min_tick_lots, price, lots)
            if why != _NONE and lots < p["order_lots"]:
                whole = order_reason(instrument, min_tick_lots, price, p["order_lots"])
                why = _INVENTORY_LIMIT if whole == _NONE else whole
        if why == _NONE:
            levels[first + quoted]["price_ticks"] = price
            levels[first + quoted]["qty_lots"] = lots
            quoted += 1
            room_lots -= lots
        elif reason == _NONE:
            reason = why
    _clear_levels(levels, first + quoted, first + MAX_LEVELS)
    return _NONE if quoted > 0 else reason


@njit
def _remember(
    state: NDArray[Any],
    levels: NDArray[Any],
    position_lots: int,
    reason: int,
    bid_reason: int,
    ask_reason: int,
) -> int:
    """Keep what is wanted now; return 1 where it is not what was wanted before."""
    s = state[0]
    changed = 0
    if s["started"] == 0 or s["position_lots"] != position_lots or s["reason"] != reason:
        changed = 1
    if s["bid_reason"] != bid_reason or s["ask_reason"] != ask_reason:
        changed = 1
    prices = s["price_ticks"]
    lots = s["qty_lots"]
    for i in range(2 * MAX_LEVELS):
        price = levels[i]["price_ticks"]
        qty = levels[i]["qty_lots"]
        if prices[i] != price or lots[i] != qty:
            changed = 1
            prices[i] = price
            lots[i] = qty
    s["started"] = 1
    s["position_lots"] = position_lots
    s["reason"] = reason
    s["bid_reason"] = bid_reason
    s["ask_reason"] = ask_reason
    return changed


@njit
def _min_tick_lots(state: NDArray[Any], instrument: NDArray[Any]) -> int:
    """Return the instrument's least notional in tick-lots, computed when its filters change."""
    s = state[0]
    i = instrument[0]
    if (
        s["min_notional_e8"] != i["min_notional_e8"]
        or s["tick_size_e8"] != i["tick_size_e8"]
        or s["lot_size_e8"] != i["lot_size_e8"]
    ):
        s["min_notional_e8"] = i["min_notional_e8"]
        s["tick_size_e8"] = i["tick_size_e8"]
        s["lot_size_e8"] = i["lot_size_e8"]
        s["min_tick_lots"] = minimum_tick_lots(
            i["min_notional_e8"], i["tick_size_e8"], i["lot_size_e8"]
        )
    return s["min_tick_lots"]  # type: ignore[no-any-return]


@njit
def _copy_inputs(
    pricing: NDArray[Any], instrument: NDArray[Any], position_lots: int, out: NDArray[Any]
) -> None:
    """Name in `out` the inputs, and clear the model's numbers."""
    p = pricing[0]
    o = out[0]
    o["now_ns"] = p["now_ns"]
    known_id = instrument[0]["instrument_id"]
    o["instrument_id"] = known_id if known_id != 0 else p["instrument_id"]
    o["epoch"] = p["epoch"]
    o["pricing_seq"] = p["seq"]
    o["position_lots"] = position_lots
    o["fair_value_ticks"] = 0.0
    o["reservation_ticks"] = 0.0
    o["half_spread_ticks"] = 0.0
    o["inventory_shift_ticks"] = 0.0
    o["drift_shift_ticks"] = 0.0
    o["volatility_ticks_per_sqrt_s"] = 0.0
    o["frame_ns"] = p["frame_ns"]
    o["collector_sent_ns"] = p["collector_sent_ns"]
    o["pricing_received_ns"] = p["received_ns"]
    o["pricing_sent_ns"] = p["sent_ns"]


@njit
def _held_prices(
    state: NDArray[Any], params: NDArray[Any], pricing: NDArray[Any], bid_ticks: int, ask_ticks: int
) -> tuple[int, int]:
    """Clamp the best prices to the live touch, then keep the last ones that moved too little."""
    s = state[0]
    highest_bid = pricing[0]["ask_ticks"] - 1
    lowest_ask = pricing[0]["bid_ticks"] + 1
    bid = min(bid_ticks, highest_bid)
    ask = max(ask_ticks, lowest_ask)
    requote = params[0]["requote_ticks"]
    held_bid = bid
    held_ask = ask
    if 0 < s["bid_ticks"] <= highest_bid and abs(bid - s["bid_ticks"]) < requote:
        held_bid = s["bid_ticks"]
    if s["ask_ticks"] >= lowest_ask and abs(ask - s["ask_ticks"]) < requote:
        held_ask = s["ask_ticks"]
    if held_bid >= held_ask:  # held on one side and moved on the other: they may meet
        return bid, ask
    return held_bid, held_ask


@njit
def _quote(
    state: NDArray[Any],
    params: NDArray[Any],
    pricing: NDArray[Any],
    instrument: NDArray[Any],
    position_lots: int,
    out: NDArray[Any],
    levels: NDArray[Any],
) -> tuple[int, int, int]:
    """Write the ladder; return the reasons of the whole, of the bids and of the asks."""
    s = state[0]
    p = pricing[0]
    o = out[0]
    volatility = p["volatility_ticks_per_sqrt_s"]
    bid, ask, reservation, half, inventory_shift, drift_shift = quote_prices(
        params, p["fair_value_ticks"], volatility, p["drift_ticks_per_s"], position_lots
    )
    if half == 0.0:  # not finite: a real half-spread is positive
        s["bid_ticks"] = 0
        s["ask_ticks"] = 0
        _clear_levels(levels, 0, 2 * MAX_LEVELS)
        return _NOT_FINITE, _NONE, _NONE
    bid, ask = _held_prices(state, params, pricing, bid, ask)
    limit = params[0]["position_limit_lots"]
    least = _min_tick_lots(state, instrument)
    bid_reason = _ladder(_BUY, bid, limit - position_lots, params, instrument, least, levels)
    ask_reason = _ladder(_SELL, ask, limit + position_lots, params, instrument, least, levels)
    s["bid_ticks"] = bid if bid_reason == _NONE else 0
    s["ask_ticks"] = ask if ask_reason == _NONE else 0
    o["fair_value_ticks"] = p["fair_value_ticks"]
    o["reservation_ticks"] = reservation
    o["half_spread_ticks"] = half
    o["inventory_shift_ticks"] = inventory_shift
    o["drift_shift_ticks"] = drift_shift
    o["volatility_ticks_per_sqrt_s"] = volatility
    reason = bid_reason if bid_reason != _NONE and ask_reason != _NONE else _NONE
    return reason, bid_reason, ask_reason


@njit
def strategy_step(
    state: NDArray[Any],
    params: NDArray[Any],
    pricing: NDArray[Any],
    instrument: NDArray[Any],
    position_lots: int,
    position_known: int,
    upstream_ok: int,
    out: NDArray[Any],
    levels: NDArray[Any],
) -> int:
    """Turn one pricing message into the quotes wanted now: the strategy's one call a message.

    Parameters
    ----------
    state : ndarray of state.STRATEGY_STATE, shape (1,)
        Updated in place; zeros at the start.
    params : ndarray of state.STRATEGY_PARAMS, shape (1,)
    pricing : ndarray of records.PRICING, shape (1,)
    instrument : ndarray of records.INSTRUMENT, shape (1,)
    position_lots : int
        Ignored (taken as 0) where `position_known` is 0.
    position_known, upstream_ok : int
        1 if so, else 0.
    out : ndarray of records.QUOTES, shape (1,)
        Always written, all but `seq`, `position_seq`, `received_ns` and `sent_ns`. `reason` is
        that of the gate, or of the bids where neither side can be quoted.
    levels : ndarray of records.LEVEL, shape (2 * MAX_LEVELS,)
        Always written: bids from 0, asks from MAX_LEVELS, best first, zeros behind the last.

    Returns
    -------
    int
        1 if this must be published: levels, a reason or the position behind them changed
        (after a fill the same ladder is sent again, so that what was filled is replaced).
    """
    s = state[0]
    o = out[0]
    position = position_lots if position_known else 0
    reason = risk_gate(params, pricing, instrument, position_known, upstream_ok)
    _copy_inputs(pricing, instrument, position, out)
    bid_reason = _NONE
    ask_reason = _NONE
    if reason == _NONE:
        reason, bid_reason, ask_reason = _quote(
            state, params, pricing, instrument, position, out, levels
        )
    else:
        s["bid_ticks"] = 0
        s["ask_ticks"] = 0
        _clear_levels(levels, 0, 2 * MAX_LEVELS)
    o["reason"] = reason
    o["bid_reason"] = bid_reason
    o["ask_reason"] = ask_reason
    return _remember(state, levels, position, reason, bid_reason, ask_reason)
