"""Limit kernels: how much a side may quote, the collar round the market, and tokens for orders."""

from typing import Any

from numpy.typing import NDArray

from mmquant._jit import bare_njit as njit
from mmquant.codes import Reason, RiskState
from mmquant.kernels.risk import scaled
from mmquant.records import Row
from mmquant.state import MAX_LEVELS

__all__ = ["collar_bounds", "faded_permille", "is_free_of_collar", "side_room", "spend_tokens"]

_NONE = int(Reason.NONE)
_ORDER_RATE = int(Reason.ORDER_RATE)
_CANCEL_RATE = int(Reason.CANCEL_RATE)
_REDUCING = int(RiskState.REDUCING)
_MILLION = 1_000_000
_WHOLE = 1_000


@njit
def side_room(params: Row, side: int, position_lots: int, risk_state: int) -> int:
    """Return the lots that a side may quote in total: what the position limit leaves.

    Parameters
    ----------
    params : record of state.STRATEGY_PARAMS
    side : int
        codes.Side.
    position_lots : int
    risk_state : int
        codes.RiskState; REDUCING leaves what closes the position.
    """
    if risk_state == _REDUCING:
        return max(0, -side * position_lots)
    limit: int = params["position_limit_lots"]
    return max(0, limit - side * position_lots)


@njit
def faded_permille(params: Row, side: int, position_lots: int) -> int:
    """Return the share of its size that a side quotes: beyond the soft limit it fades linearly."""
    beyond = side * position_lots - params["soft_limit_lots"]
    width = params["position_limit_lots"] - params["soft_limit_lots"]
    if beyond <= 0 or width <= 0:
        return _WHOLE
    share: int = (width - beyond) * _WHOLE // width
    return max(0, share)


@njit
def collar_bounds(params: Row, mid_half_ticks: int, trade_ticks: int) -> tuple[int, int]:
    """Return the lowest and highest price within the collar of mid and last trade (0: none)."""
    ppm = params["collar_ppm"]
    band = scaled(mid_half_ticks, ppm, _MILLION)
    low = -((band - mid_half_ticks) // 2)
    high = (mid_half_ticks + band) // 2
    if trade_ticks > 0:
        trade_band = scaled(trade_ticks, ppm, _MILLION)
        low = max(low, trade_ticks - trade_band)
        high = min(high, trade_ticks + trade_band)
    return low, high


@njit
def is_free_of_collar(state: Row, params: Row, mid_half_ticks: int, trade_ticks: int) -> bool:
    """Tell whether no price that the last step asked about would be outside of the collar.

    Parameters
    ----------
    state : record of state.STRATEGY_STATE
    params : record of state.STRATEGY_PARAMS
    mid_half_ticks, trade_ticks : int
        As for `collar_bounds`, which is all that a step reads of the last trade.
    """
    low, high = collar_bounds(params, mid_half_ticks, trade_ticks)
    return bool(low <= state["lowest_ticks"] and state["highest_ticks"] <= high)


@njit
def _count_changes(state: Row, levels: NDArray[Any]) -> tuple[int, int]:
    """Return (orders to enter, orders to cancel) from what was wanted last to `levels`.

    An order that only shrinks is neither; one that grows is both.
    """
    held_price = state["price_ticks"]
    held_lots = state["qty_lots"]
    entered = 0
    held = 0
    stayed = 0
    for first in (0, MAX_LEVELS):
        for i in range(first, first + MAX_LEVELS):
            if held_lots[i] == 0:
                break
            held += 1
        for i in range(first, first + MAX_LEVELS):
            if levels[i]["qty_lots"] == 0:
                break
            found = 0
            for k in range(first, first + MAX_LEVELS):
                if held_lots[k] == 0:
                    break
                if held_price[k] == levels[i]["price_ticks"]:
                    found = held_lots[k]
                    break
            if found >= levels[i]["qty_lots"]:
                stayed += 1
            else:
                entered += 1
    return entered, held - stayed


@njit
def spend_tokens(state: Row, params: Row, levels: NDArray[Any], must: int) -> int:
    """Pay for the change from what was wanted last to `levels`, or say what is lacking.

    Two buckets of integers: a token comes each `order_ns` (`cancel_ns`) of the market's clock, up
    to the burst. Cancelling everything is always allowed (`must` 1), and what it lacks is owed.

    Parameters
    ----------
    state : record of state.STRATEGY_STATE
        Updated in place.
    params : record of state.STRATEGY_PARAMS
    levels : ndarray of records.LEVEL, shape (2 * MAX_LEVELS,)
    must : int
        1: pay in any case.

    Returns
    -------
    int
        NONE where it was paid, else ORDER_RATE or CANCEL_RATE, and nothing was paid.
    """
    passed_ns = state["now_ns"] - state["tokens_at_ns"]
    if state["started"] == 0:
        state["order_tokens_ns"] = params["order_burst_ns"]
        state["cancel_tokens_ns"] = params["cancel_burst_ns"]
    elif passed_ns > 0:
        state["order_tokens_ns"] = min(
            params["order_burst_ns"], state["order_tokens_ns"] + passed_ns
        )
        state["cancel_tokens_ns"] = min(
            params["cancel_burst_ns"], state["cancel_tokens_ns"] + passed_ns
        )
    state["tokens_at_ns"] = state["now_ns"]
    entered, cancelled = _count_changes(state, levels)
    orders_ns = entered * params["order_ns"]
    cancels_ns = cancelled * params["cancel_ns"]
    if not must:
        if entered > 0 and orders_ns > state["order_tokens_ns"]:
            return _ORDER_RATE
        if cancelled > 0 and cancels_ns > state["cancel_tokens_ns"]:
            return _CANCEL_RATE
    state["order_tokens_ns"] -= orders_ns
    state["cancel_tokens_ns"] = max(
        -params["cancel_burst_ns"], state["cancel_tokens_ns"] - cancels_ns
    )
    return _NONE
