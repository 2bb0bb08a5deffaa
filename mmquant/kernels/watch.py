"""Watch kernels: fills, profit and volatility as they come -> halts and pauses of the strategy.

A loss of the session and a drawdown halt until they are taken back by hand. The others pause: for
`pause_ns` after they were last true, only orders that shrink the position are quoted. Money is
in half tick-lots of the quote asset after fees and funding, rounded against us.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import bare_njit as njit
from mmquant.codes import Reason
from mmquant.records import Row
from mmquant.state import FILLS_KEPT, MINUTE_SLOTS

__all__ = ["strategy_arm", "strategy_on_fill", "strategy_on_position", "watch_market"]

_NONE = int(Reason.NONE)
_SESSION_LOSS = int(Reason.SESSION_LOSS)
_DRAWDOWN = int(Reason.DRAWDOWN)
_MINUTE_LOSS = int(Reason.MINUTE_LOSS)
_FILL_BURST = int(Reason.FILL_BURST)
_ADVERSE_MARKOUT = int(Reason.ADVERSE_MARKOUT)
_VOLATILITY_JUMP = int(Reason.VOLATILITY_JUMP)
_SECOND_NS = 1_000_000_000
_MINUTE_S = 60
_MICRO = 1_000_000
_BASELINE_SHARE = 10  # of its time must have passed before the baseline counts


@njit
def _pause(state: Row, params: Row, reason: int, now_ns: int) -> None:
    state["pause_reason"] = reason
    state["pause_until_ns"] = now_ns + params["pause_ns"]


@njit
def strategy_arm(state: NDArray[Any]) -> None:
    """Take back every halt and pause: the session's profit and loss begin anew.

    Parameters
    ----------
    state : ndarray of state.STRATEGY_STATE, shape (1,)
    """
    s = state[0]
    s["halt_reason"] = _NONE
    s["pause_reason"] = _NONE
    s["session_started"] = 0
    s["markout_from"] = s["matured"]


@njit
def _minute_loss(state: Row, profit: int, second: int) -> int:
    """Note the profit of a second; return what was lost since the best of the last minute."""
    kept = state["minute_profit"]
    missed = second - state["minute_second"]
    if missed > 0:
        for k in range(max(1, missed - MINUTE_SLOTS + 1), missed + 1):
            # Nothing was heard in between: what was known last went on.
            kept[(state["minute_second"] + k) % MINUTE_SLOTS] = (
                profit if k == missed else state["profit"]
            )
        state["minute_second"] = second
    slot = state["minute_second"] % MINUTE_SLOTS
    kept[slot] = max(kept[slot], profit)
    best = profit
    for k in range(_MINUTE_S + 1):
        best = max(best, kept[(state["minute_second"] - k) % MINUTE_SLOTS])
    return best - profit


@njit
def _profit_half_tick_lots(position: Row) -> int:
    """Return what a position message says was made, all told, rounded against us."""
    # Fees in the base asset are lots that are gone: they cost what those are worth by now.
    spent = position["fees_micro_tick_lots"] - position["base_fees_micro_tick_lots"]
    mark = position["mark_half_ticks"]
    coins = position["base_fees_micro_lots"]
    part = coins % _MICRO  # of a lot: its product with a price near 2**53 would overflow
    rest = 2 * (position["funding_micro_tick_lots"] - spent) - part * (mark % _MICRO)
    profit: int = (
        position["total_half_tick_lots"] - coins // _MICRO * mark - part * (mark // _MICRO)
    )
    profit += rest // _MICRO
    worth = position["quote_worth"]  # 0.0: an older sender knew linear contracts alone
    if worth != 0.0 and worth != 1.0:
        profit = np.int64(np.floor(profit * worth))  # type: ignore[assignment]
    return profit


@njit
def strategy_on_position(state: NDArray[Any], params: NDArray[Any], position: NDArray[Any]) -> None:
    """Take the profit of a position message; the first one begins the session.

    Parameters
    ----------
    state : ndarray of state.STRATEGY_STATE, shape (1,)
        Updated in place.
    params : ndarray of state.STRATEGY_PARAMS, shape (1,)
    position : ndarray of records.POSITION, shape (1,)
    """
    s = state[0]
    q = params[0]
    p = position[0]
    now_ns = max(s["now_ns"], p["now_ns"])
    profit = _profit_half_tick_lots(p)
    second = now_ns // _SECOND_NS
    if s["session_started"] == 0:
        s["session_started"] = 1
        s["session_start_profit"] = profit
        s["peak_profit"] = profit
        s["minute_second"] = second
        for k in range(MINUTE_SLOTS):
            s["minute_profit"][k] = profit
    s["peak_profit"] = max(s["peak_profit"], profit)
    lost_in_minute = _minute_loss(s, profit, second)
    s["profit"] = profit
    if s["halt_reason"] == _NONE:
        if s["session_start_profit"] - profit > q["max_session_loss_half_tick_lots"]:
            s["halt_reason"] = _SESSION_LOSS
        elif s["peak_profit"] - profit > q["max_drawdown_half_tick_lots"]:
            s["halt_reason"] = _DRAWDOWN
    if lost_in_minute > q["max_minute_loss_half_tick_lots"]:
        _pause(s, q, _MINUTE_LOSS, now_ns)


@njit
def _judge_oldest(state: Row, params: Row, mid_half_ticks: int, now_ns: int) -> None:
    """Note the move since the oldest fill that waits; pause where the latest ones lost too much."""
    slot = state["matured"] % FILLS_KEPT
    signed_lots = state["fill_signed_lots"][slot]
    moved = mid_half_ticks - state["fill_half_ticks"][slot]
    state["move_lots"][slot] = abs(signed_lots)
    state["move_half_ticks"][slot] = moved if signed_lots > 0 else -moved
    state["matured"] += 1
    first = state["matured"] - params["markout_fills"]
    if first < state["markout_from"]:
        return
    gained = 0
    lots = 0
    for k in range(first, state["matured"]):
        size = state["move_lots"][k % FILLS_KEPT]
        gained += size * state["move_half_ticks"][k % FILLS_KEPT]
        lots += size
    if gained < -params["max_adverse_half_ticks"] * lots:
        state["markout_from"] = state["matured"]
        _pause(state, params, _ADVERSE_MARKOUT, now_ns)


@njit
def strategy_on_fill(state: NDArray[Any], params: NDArray[Any], fill: NDArray[Any]) -> None:
    """Take a fill of ours: for bursts, for what the price does after it, and its replacement.

    Parameters
    ----------
    state : ndarray of state.STRATEGY_STATE, shape (1,)
        Updated in place.
    params : ndarray of state.STRATEGY_PARAMS, shape (1,)
    fill : ndarray of records.FILL, shape (1,)
    """
    s = state[0]
    q = params[0]
    f = fill[0]
    now_ns = max(s["now_ns"], f["now_ns"])
    if s["fills"] - s["matured"] == FILLS_KEPT:  # no room to wait: the oldest is judged early
        _judge_oldest(s, q, f["mark_half_ticks"], now_ns)
    slot = s["fills"] % FILLS_KEPT
    s["fill_ns"][slot] = now_ns
    s["fill_signed_lots"][slot] = f["side"] * f["qty_lots"]
    s["fill_half_ticks"][slot] = f["mark_half_ticks"]
    s["fills"] += 1
    # The same quote sent again enters what was filled. A debt beyond the burst would only last.
    s["order_tokens_ns"] = max(-q["order_burst_ns"], s["order_tokens_ns"] - q["order_ns"])
    if s["fills"] >= q["max_fills"]:
        first_ns = s["fill_ns"][(s["fills"] - q["max_fills"]) % FILLS_KEPT]
        if now_ns - first_ns <= q["fill_window_ns"]:
            _pause(s, q, _FILL_BURST, now_ns)


@njit
def _mature_fills(state: Row, params: Row, mid_half_ticks: int) -> None:
    """Judge each fill that is old enough by the mid as it is now."""
    while state["matured"] < state["fills"]:
        slot = state["matured"] % FILLS_KEPT
        if state["fill_ns"][slot] + params["markout_ns"] > state["now_ns"]:
            return
        _judge_oldest(state, params, mid_half_ticks, state["now_ns"])


@njit
def _watch_volatility(state: Row, params: Row, volatility: float) -> None:
    """Compare the volatility with its average over the time of the baseline."""
    now_ns = state["now_ns"]
    span_ns = params["volatility_baseline_ns"]
    if state["baseline_from_ns"] == 0:
        state["baseline"] = volatility
        state["baseline_from_ns"] = now_ns
        state["baseline_at_ns"] = now_ns
        return
    age_ns = now_ns - state["baseline_from_ns"]
    if age_ns * _BASELINE_SHARE >= span_ns and state["baseline"] > 0.0:
        if volatility > params["max_volatility_ratio"] * state["baseline"]:
            _pause(state, params, _VOLATILITY_JUMP, now_ns)
    passed_ns = now_ns - state["baseline_at_ns"]
    if passed_ns > 0:
        share = min(1.0, passed_ns / min(age_ns, span_ns))
        state["baseline"] += share * (volatility - state["baseline"])
        state["baseline_at_ns"] = now_ns


@njit
def watch_market(state: Row, params: Row, pricing: Row) -> None:
    """Judge fills and volatility by a pricing message that passed the market's gate.

    Parameters
    ----------
    state : record of state.STRATEGY_STATE
        Updated in place; `now_ns` is that of the message already.
    params : record of state.STRATEGY_PARAMS
    pricing : record of records.PRICING
    """
    _mature_fills(state, params, pricing["bid_ticks"] + pricing["ask_ticks"])
    _watch_volatility(state, params, pricing["volatility_ticks_per_sqrt_s"])
