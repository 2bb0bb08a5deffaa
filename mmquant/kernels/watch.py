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
def _pause(state: NDArray[Any], params: NDArray[Any], reason: int, now_ns: int) -> None:
    state[0]["pause_reason"] = reason
    state[0]["pause_until_ns"] = now_ns + params[0]["pause_ns"]


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
def _minute_loss(state: NDArray[Any], profit: int, second: int) -> int:
    """Note the profit of a second; return what was lost since the best of the last minute."""
    s = state[0]
    kept = s["minute_profit"]
    missed = second - s["minute_second"]
    if missed > 0:
        for k in range(max(1, missed - MINUTE_SLOTS + 1), missed + 1):
            # Nothing was heard in between: what was known last went on.
            kept[(s["minute_second"] + k) % MINUTE_SLOTS] = profit if k == missed else s["profit"]
        s["minute_second"] = second
    slot = s["minute_second"] % MINUTE_SLOTS
    kept[slot] = max(kept[slot], profit)
    best = profit
    for k in range(_MINUTE_S + 1):
        best = max(best, kept[(s["minute_second"] - k) % MINUTE_SLOTS])
    return best - profit


@njit
def _profit_half_tick_lots(position: NDArray[Any]) -> int:
    """Return what a position message says was made, all told, rounded against us."""
    p = position[0]
    # Fees in the base asset are lots that are gone: they cost what those are worth by now.
    spent = p["fees_micro_tick_lots"] - p["base_fees_micro_tick_lots"]
    mark = p["mark_half_ticks"]
    coins = p["base_fees_micro_lots"]
    part = coins % _MICRO  # of a lot: its product with a price near 2**53 would overflow
    rest = 2 * (p["funding_micro_tick_lots"] - spent) - part * (mark % _MICRO)
    profit: int = p["total_half_tick_lots"] - coins // _MICRO * mark - part * (mark // _MICRO)
    profit += rest // _MICRO
    worth = p["quote_worth"]  # 0.0: an older sender knew linear contracts alone
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
    profit = _profit_half_tick_lots(position)
    second = now_ns // _SECOND_NS
    if s["session_started"] == 0:
        s["session_started"] = 1
        s["session_start_profit"] = profit
        s["peak_profit"] = profit
        s["minute_second"] = second
        for k in range(MINUTE_SLOTS):
            s["minute_profit"][k] = profit
    s["peak_profit"] = max(s["peak_profit"], profit)
    lost_in_minute = _minute_loss(state, profit, second)
    s["profit"] = profit
    if s["halt_reason"] == _NONE:
        if s["session_start_profit"] - profit > q["max_session_loss_half_tick_lots"]:
            s["halt_reason"] = _SESSION_LOSS
        elif s["peak_profit"] - profit > q["max_drawdown_half_tick_lots"]:
            s["halt_reason"] = _DRAWDOWN
    if lost_in_minute > q["max_minute_loss_half_tick_lots"]:
        _pause(state, params, _MINUTE_LOSS, now_ns)


@njit
def _judge_oldest(
    state: NDArray[Any], params: NDArray[Any], mid_half_ticks: int, now_ns: int
) -> None:
    """Note the move since the oldest fill that waits; pause where the latest ones lost too much."""
    s = state[0]
    q = params[0]
    slot = s["matured"] % FILLS_KEPT
    signed_lots = s["fill_signed_lots"][slot]
    moved = mid_half_ticks - s["fill_half_ticks"][slot]
    s["move_lots"][slot] = abs(signed_lots)
    s["move_half_ticks"][slot] = moved if signed_lots > 0 else -moved
    s["matured"] += 1
    first = s["matured"] - q["markout_fills"]
    if first < s["markout_from"]:
        return
    gained = 0
    lots = 0
    for k in range(first, s["matured"]):
        size = s["move_lots"][k % FILLS_KEPT]
        gained += size * s["move_half_ticks"][k % FILLS_KEPT]
        lots += size
    if gained < -q["max_adverse_half_ticks"] * lots:
        s["markout_from"] = s["matured"]
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
        _judge_oldest(state, params, f["mark_half_ticks"], now_ns)
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
            _pause(state, params, _FILL_BURST, now_ns)


@njit
def _mature_fills(state: NDArray[Any], params: NDArray[Any], mid_half_ticks: int) -> None:
    """Judge each fill that is old enough by the mid as it is now."""
    s = state[0]
    while s["matured"] < s["fills"]:
        slot = s["matured"] % FILLS_KEPT
        if s["fill_ns"][slot] + params[0]["markout_ns"] > s["now_ns"]:
            return
        _judge_oldest(state, params, mid_half_ticks, s["now_ns"])


@njit
def _watch_volatility(state: NDArray[Any], params: NDArray[Any], volatility: float) -> None:
    """Compare the volatility with its average over the time of the baseline."""
    s = state[0]
    now_ns = s["now_ns"]
    span_ns = params[0]["volatility_baseline_ns"]
    if s["baseline_from_ns"] == 0:
        s["baseline"] = volatility
        s["baseline_from_ns"] = now_ns
        s["baseline_at_ns"] = now_ns
        return
    age_ns = now_ns - s["baseline_from_ns"]
    if age_ns * _BASELINE_SHARE >= span_ns and s["baseline"] > 0.0:
        if volatility > params[0]["max_volatility_ratio"] * s["baseline"]:
            _pause(state, params, _VOLATILITY_JUMP, now_ns)
    passed_ns = now_ns - s["baseline_at_ns"]
    if passed_ns > 0:
        share = min(1.0, passed_ns / min(age_ns, span_ns))
        s["baseline"] += share * (volatility - s["baseline"])
        s["baseline_at_ns"] = now_ns


@njit
def watch_market(state: NDArray[Any], params: NDArray[Any], pricing: NDArray[Any]) -> None:
    """Judge fills and volatility by a pricing message that passed the market's gate.

    Parameters
    ----------
    state : ndarray of state.STRATEGY_STATE, shape (1,)
        Updated in place; `now_ns` is that of the message already.
    params : ndarray of state.STRATEGY_PARAMS, shape (1,)
    pricing : ndarray of records.PRICING, shape (1,)
    """
    p = pricing[0]
    _mature_fills(state, params, p["bid_ticks"] + p["ask_ticks"])
    _watch_volatility(state, params, p["volatility_ticks_per_sqrt_s"])
