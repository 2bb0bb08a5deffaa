"""The strategy's step: a pricing message -> the ladder wanted now, or the reason for none.

    gates -> model inputs -> model -> ladder -> filters -> hysteresis -> rate limit -> quotes

The model's bid is rounded down and its ask up, then the best prices are clamped to the touch, so
that no order trades at once; a clamp shifts the whole ladder, so levels keep their distances.
"""

import math
from typing import Any

from numpy.typing import NDArray

from mmquant._jit import bare_njit as njit
from mmquant._jit_model import call_model
from mmquant.codes import QuoteClamp, Reason, RiskState, Side
from mmquant.kernels.gates import market_gate, risk_gate
from mmquant.kernels.ladder import clear_levels, fill_ladder, keep_held
from mmquant.kernels.limits import spend_tokens
from mmquant.kernels.risk import maximum_tick_lots, minimum_tick_lots
from mmquant.kernels.watch import watch_market
from mmquant.records import Row
from mmquant.state import MAX_LEVELS

__all__ = ["has_settled", "strategy_step"]

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_NONE = int(Reason.NONE)
_NOT_FINITE = int(Reason.NOT_FINITE)
_MODEL_SPREAD = int(Reason.MODEL_SPREAD)
_OWN_SPREAD_TOO_NARROW = int(Reason.OWN_SPREAD_TOO_NARROW)
_OWN_SPREAD_TOO_WIDE = int(Reason.OWN_SPREAD_TOO_WIDE)
_INVENTORY_LIMIT = int(Reason.INVENTORY_LIMIT)
_INTERNAL_ERROR = int(Reason.INTERNAL_ERROR)
_LAST_REASON = max(int(reason) for reason in Reason)
_HALTED = int(RiskState.HALTED)
_REDUCING = int(RiskState.REDUCING)
_POST_ONLY = int(QuoteClamp.POST_ONLY)
_HELD = int(QuoteClamp.HELD)
_RATED = int(QuoteClamp.RATED)
_FAR_TICKS = 2.0**53  # where a float stops telling ticks apart


@njit
def _note_time(state: Row, inputs: Row, pricing: Row, instrument: Row) -> None:
    """Take over the market's time and the book's identity, and the notional limits if new."""
    state["now_ns"] = max(state["now_ns"], pricing["now_ns"])
    ids = state["book_ids"]
    if (
        state["started"] == 0
        or ids[0] != pricing["book_update_id"]
        or ids[1] != pricing["bbo_update_id"]
    ):
        ids[0] = pricing["book_update_id"]
        ids[1] = pricing["bbo_update_id"]
        state["book_ns"] = inputs["heard_ns"]
    if instrument["tick_size_e8"] <= 0 or instrument["lot_size_e8"] <= 0:
        return
    if (
        state["min_notional_e8"] != instrument["min_notional_e8"]
        or state["max_notional_e8"] != instrument["max_notional_e8"]
        or state["tick_size_e8"] != instrument["tick_size_e8"]
        or state["lot_size_e8"] != instrument["lot_size_e8"]
    ):
        state["min_notional_e8"] = instrument["min_notional_e8"]
        state["max_notional_e8"] = instrument["max_notional_e8"]
        state["tick_size_e8"] = instrument["tick_size_e8"]
        state["lot_size_e8"] = instrument["lot_size_e8"]
        state["min_tick_lots"] = minimum_tick_lots(
            instrument["min_notional_e8"], instrument["tick_size_e8"], instrument["lot_size_e8"]
        )
        state["max_tick_lots"] = maximum_tick_lots(
            instrument["max_notional_e8"], instrument["tick_size_e8"], instrument["lot_size_e8"]
        )


@njit
def _ask_model(
    state: Row,
    params: Row,
    model: Any,
    model_params: NDArray[Any],
    pricing: Row,
    position_lots: int,
    model_inputs: NDArray[Any],
    model_quotes: NDArray[Any],
) -> int:
    """Call the model; return its reason, or what is wrong with its answer."""
    m = model_inputs[0]
    m["now_ns"] = state["now_ns"]
    m["fair_value_ticks"] = pricing["fair_value_ticks"]
    m["drift_ticks_per_s"] = pricing["drift_ticks_per_s"]
    m["volatility_ticks_per_sqrt_s"] = pricing["volatility_ticks_per_sqrt_s"]
    m["arrival_rate_per_s"] = params["arrival_rate_per_s"]
    m["arrival_decay_per_tick"] = params["arrival_decay_per_tick"]
    m["inventory_orders"] = position_lots / params["order_lots"]
    m["inventory_limit_orders"] = params["position_limit_lots"] / params["order_lots"]
    m["time_left_s"] = params["horizon_s"]
    m["order_lots"] = params["order_lots"]
    m["position_lots"] = position_lots
    m["position_limit_lots"] = params["position_limit_lots"]
    m["bid_ticks"] = pricing["bid_ticks"]
    m["ask_ticks"] = pricing["ask_ticks"]
    a = model_quotes[0]
    a["bid_ticks"] = math.nan  # what a model forgets to answer is no number
    a["ask_ticks"] = math.nan
    a["reservation_ticks"] = 0.0
    a["inventory_shift_ticks"] = 0.0
    a["drift_shift_ticks"] = 0.0
    a["volatility_term_ticks"] = 0.0
    a["arrival_term_ticks"] = 0.0
    reason = call_model(model, model_inputs, model_params, model_quotes)
    if reason != _NONE:
        return reason if 0 < reason <= _LAST_REASON else _INTERNAL_ERROR
    bid = a["bid_ticks"]
    ask = a["ask_ticks"]
    # A side at minus (plus) infinity is not quoted; a number it must be.
    if math.isnan(bid) or math.isnan(ask) or (math.isinf(bid) and math.isinf(ask)):
        return _NOT_FINITE
    return _NONE if bid <= ask else _MODEL_SPREAD


@njit
def _copy_inputs(pricing: Row, instrument: Row, position_lots: int, out: Row) -> None:
    """Name in `out` the inputs, and clear the model's numbers."""
    out["now_ns"] = pricing["now_ns"]
    known_id = instrument["instrument_id"]
    out["instrument_id"] = known_id if known_id != 0 else pricing["instrument_id"]
    out["epoch"] = pricing["epoch"]
    out["pricing_seq"] = pricing["seq"]
    out["position_lots"] = position_lots
    out["fair_value_ticks"] = 0.0
    out["reservation_ticks"] = 0.0
    out["half_spread_ticks"] = 0.0
    out["inventory_shift_ticks"] = 0.0
    out["drift_shift_ticks"] = 0.0
    out["volatility_ticks_per_sqrt_s"] = 0.0
    out["volatility_term_ticks"] = 0.0
    out["arrival_term_ticks"] = 0.0
    out["model_bid_ticks"] = 0.0
    out["model_ask_ticks"] = 0.0
    out["bid_ticks"] = pricing["bid_ticks"]
    out["ask_ticks"] = pricing["ask_ticks"]
    out["bid_clamps"] = 0
    out["ask_clamps"] = 0
    out["frame_ns"] = pricing["frame_ns"]
    out["collector_sent_ns"] = pricing["collector_sent_ns"]
    out["pricing_received_ns"] = pricing["received_ns"]
    out["pricing_sent_ns"] = pricing["sent_ns"]


@njit
def _copy_parts(pricing: Row, model_quotes: Row, out: Row) -> None:
    """Write how the model's prices came about."""
    out["fair_value_ticks"] = pricing["fair_value_ticks"]
    out["volatility_ticks_per_sqrt_s"] = pricing["volatility_ticks_per_sqrt_s"]
    out["reservation_ticks"] = model_quotes["reservation_ticks"]
    out["half_spread_ticks"] = (
        model_quotes["volatility_term_ticks"] + model_quotes["arrival_term_ticks"]
    )
    out["inventory_shift_ticks"] = model_quotes["inventory_shift_ticks"]
    out["drift_shift_ticks"] = model_quotes["drift_shift_ticks"]
    out["volatility_term_ticks"] = model_quotes["volatility_term_ticks"]
    out["arrival_term_ticks"] = model_quotes["arrival_term_ticks"]
    out["model_bid_ticks"] = model_quotes["bid_ticks"]
    out["model_ask_ticks"] = model_quotes["ask_ticks"]


@njit
def _best_prices(
    state: Row,
    params: Row,
    pricing: Row,
    model_quotes: Row,
    out: Row,
) -> tuple[int, int]:
    """Round the model's prices, clamp them to the touch, and keep those not worth a move."""
    highest_bid = pricing["ask_ticks"] - 1
    lowest_ask = pricing["bid_ticks"] + 1
    wanted_bid = math.floor(max(-_FAR_TICKS, min(_FAR_TICKS, model_quotes["bid_ticks"])))
    wanted_ask = math.ceil(max(-_FAR_TICKS, min(_FAR_TICKS, model_quotes["ask_ticks"])))
    # A half-spread lost in rounding must not make us trade with ourselves.
    bid = min(wanted_bid, highest_bid)
    ask = max(max(wanted_ask, wanted_bid + 1), lowest_ask)
    out["bid_clamps"] = _POST_ONLY if bid < wanted_bid else 0
    out["ask_clamps"] = _POST_ONLY if ask > max(wanted_ask, wanted_bid + 1) else 0
    moved = abs(bid - state["bid_ticks"])
    young = state["now_ns"] - state["bid_since_ns"] < params["min_life_ns"]
    hold_bid = 0 < state["bid_ticks"] <= highest_bid and (moved < params["requote_ticks"] or young)
    moved = abs(ask - state["ask_ticks"])
    young = state["now_ns"] - state["ask_since_ns"] < params["min_life_ns"]
    hold_ask = state["ask_ticks"] >= lowest_ask and (moved < params["requote_ticks"] or young)
    held_bid = state["bid_ticks"] if hold_bid else bid
    held_ask = state["ask_ticks"] if hold_ask else ask
    # Held on one side and moved on the other, they may meet, or leave the bounds of our spread.
    if held_ask - held_bid < params["min_own_spread_ticks"]:
        return bid, ask
    if held_ask - held_bid > params["max_own_spread_ticks"] >= ask - bid:
        return bid, ask
    if held_bid != bid:
        out["bid_clamps"] |= _HELD
    if held_ask != ask:
        out["ask_clamps"] |= _HELD
    return held_bid, held_ask


@njit
def _own_spread_reason(params: Row, levels: NDArray[Any]) -> int:
    """Return NONE, or why bids and asks may not stand as they are; one side has no spread."""
    bid = levels[0]["price_ticks"]
    ask = levels[MAX_LEVELS]["price_ticks"]
    if bid == 0 or ask == 0:
        return _NONE
    if ask - bid < params["min_own_spread_ticks"]:
        return _OWN_SPREAD_TOO_NARROW
    return _OWN_SPREAD_TOO_WIDE if ask - bid > params["max_own_spread_ticks"] else _NONE


@njit
def _note_best(state: Row, bid_ticks: int, ask_ticks: int) -> None:
    """Keep the best prices, 0 where a side is not quoted, and since when they stand."""
    if bid_ticks != state["bid_ticks"]:
        state["bid_ticks"] = bid_ticks
        state["bid_since_ns"] = state["now_ns"]
    if ask_ticks != state["ask_ticks"]:
        state["ask_ticks"] = ask_ticks
        state["ask_since_ns"] = state["now_ns"]


@njit
def _keep_orders(
    state: Row,
    params: Row,
    inputs: Row,
    pricing: Row,
    instrument: Row,
    lacking: int,
    best: tuple[int, int],
    sides: tuple[int, int],
    out: Row,
    levels: NDArray[Any],
) -> tuple[int, int]:
    """Leave the orders as they were, for want of tokens; return the reasons of both sides.

    A side that is not to be quoted (a reason in `sides`) goes nevertheless, as does an order that
    may stand no longer or stands better than the best price wanted now.
    """
    mid = pricing["bid_ticks"] + pricing["ask_ticks"]
    trade = inputs["trade_ticks"]
    bid_reason, ask_reason = sides
    if bid_reason == _NONE:
        out["bid_clamps"] = _RATED
        touch = pricing["ask_ticks"]
        if not keep_held(state, params, instrument, _BUY, best[0], touch, mid, trade, levels):
            bid_reason = lacking
    if ask_reason == _NONE:
        out["ask_clamps"] = _RATED
        touch = pricing["bid_ticks"]
        if not keep_held(state, params, instrument, _SELL, best[1], touch, mid, trade, levels):
            ask_reason = lacking
    apart = _own_spread_reason(params, levels)  # what stays may be farther apart than is wanted
    if apart != _NONE:
        clear_levels(levels, 0, 2 * MAX_LEVELS)
        bid_reason = apart
        ask_reason = apart
    spend_tokens(state, params, levels, 1)
    return bid_reason, ask_reason


@njit
def _quote(
    state: Row,
    params: Row,
    inputs: Row,
    pricing: Row,
    instrument: Row,
    position_lots: int,
    risk_state: int,
    model_quotes: Row,
    out: Row,
    levels: NDArray[Any],
) -> tuple[int, int]:
    """Write the ladder; return the reasons of the bids and of the asks."""
    mid = pricing["bid_ticks"] + pricing["ask_ticks"]
    trade = inputs["trade_ticks"]
    bid, ask = _best_prices(state, params, pricing, model_quotes, out)
    state["lowest_ticks"] = bid
    state["highest_ticks"] = ask
    bid_reason, clamps = fill_ladder(
        state, params, instrument, _BUY, bid, position_lots, risk_state, mid, trade, levels
    )
    out["bid_clamps"] |= clamps
    ask_reason, clamps = fill_ladder(
        state, params, instrument, _SELL, ask, position_lots, risk_state, mid, trade, levels
    )
    out["ask_clamps"] |= clamps
    if math.isinf(model_quotes["bid_ticks"]):  # the model wants no more of this side
        clear_levels(levels, 0, MAX_LEVELS)
        bid_reason = _INVENTORY_LIMIT
    if math.isinf(model_quotes["ask_ticks"]):
        clear_levels(levels, MAX_LEVELS, 2 * MAX_LEVELS)
        ask_reason = _INVENTORY_LIMIT
    apart = _own_spread_reason(params, levels)
    if apart != _NONE:
        clear_levels(levels, 0, 2 * MAX_LEVELS)
        bid_reason = apart
        ask_reason = apart
    lacking = spend_tokens(state, params, levels, 1 if apart != _NONE else 0)
    if lacking != _NONE:
        bid_reason, ask_reason = _keep_orders(
            state,
            params,
            inputs,
            pricing,
            instrument,
            lacking,
            (bid, ask),
            (bid_reason, ask_reason),
            out,
            levels,
        )
        bid = state["bid_ticks"]
        ask = state["ask_ticks"]
    _note_best(state, bid if bid_reason == _NONE else 0, ask if ask_reason == _NONE else 0)
    return bid_reason, ask_reason


@njit
def _remember(state: Row, levels: NDArray[Any], position_lots: int, out: Row) -> int:
    """Keep what is wanted now; return 1 where it is not what was wanted before."""
    changed = 0
    if (
        state["started"] == 0
        or state["position_lots"] != position_lots
        or state["reason"] != out["reason"]
    ):
        changed = 1
    if state["bid_reason"] != out["bid_reason"] or state["ask_reason"] != out["ask_reason"]:
        changed = 1
    if state["risk_state"] != out["risk_state"] or state["risk_reason"] != out["risk_reason"]:
        changed = 1
    prices = state["price_ticks"]
    lots = state["qty_lots"]
    for first in (0, MAX_LEVELS):
        for i in range(first, first + MAX_LEVELS):
            price = levels[i]["price_ticks"]
            qty = levels[i]["qty_lots"]
            if qty == 0 and lots[i] == 0:  # behind the last of both there is nothing
                break
            if prices[i] != price or lots[i] != qty:
                changed = 1
                prices[i] = price
                lots[i] = qty
    state["started"] = 1
    state["position_lots"] = position_lots
    state["reason"] = out["reason"]
    state["bid_reason"] = out["bid_reason"]
    state["ask_reason"] = out["ask_reason"]
    state["risk_state"] = out["risk_state"]
    state["risk_reason"] = out["risk_reason"]
    return changed


@njit
def strategy_step(
    state: NDArray[Any],
    params: NDArray[Any],
    model: Any,
    model_params: NDArray[Any],
    inputs: NDArray[Any],
    pricing: NDArray[Any],
    instrument: NDArray[Any],
    model_inputs: NDArray[Any],
    model_quotes: NDArray[Any],
    out: NDArray[Any],
    levels: NDArray[Any],
) -> int:
    """Turn one pricing message into the quotes wanted now: the strategy's one call a message.

    Parameters
    ----------
    state : ndarray of state.STRATEGY_STATE, shape (1,)
        Updated in place; zeros at the start.
    params : ndarray of state.STRATEGY_PARAMS, shape (1,)
    model : int
        From mmquant.quoting.bind_model: good for this process.
    model_params : float64 ndarray, shape (n,)
        The model's own.
    inputs : ndarray of state.STRATEGY_INPUTS, shape (1,)
        `position_lots` is taken as 0 where it is not known.
    pricing : ndarray of records.PRICING, shape (1,)
    instrument : ndarray of records.INSTRUMENT, shape (1,)
    model_inputs, model_quotes : ndarray of state.MODEL_INPUTS and MODEL_QUOTES, shape (1,)
        What the model was asked and what it answered last: space to work in.
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

    Raises
    ------
    Exception
        What the model raises. Nothing may be quoted then: the state is as before the step.
    """
    s = state[0]
    q = params[0]
    x = inputs[0]
    p = pricing[0]
    i = instrument[0]
    o = out[0]
    position = x["position_lots"] if x["position_known"] else 0
    _note_time(s, x, p, i)
    _copy_inputs(p, i, position, o)
    reason = market_gate(s, q, x, p, i)
    if reason == _NONE:
        watch_market(s, q, p)
    risk_state, risk_reason = risk_gate(s, x)
    if risk_state == _HALTED:
        reason = risk_reason
    bid_reason = _NONE
    ask_reason = _NONE
    if reason == _NONE:
        reason = _ask_model(s, q, model, model_params, p, position, model_inputs, model_quotes)
    if reason == _NONE:
        _copy_parts(p, model_quotes[0], o)
        bid_reason, ask_reason = _quote(
            s, q, x, p, i, position, risk_state, model_quotes[0], o, levels
        )
        if bid_reason != _NONE and ask_reason != _NONE:
            reason = risk_reason if risk_state == _REDUCING else bid_reason
    else:
        clear_levels(levels, 0, 2 * MAX_LEVELS)
        spend_tokens(s, q, levels, 1)
        _note_best(s, 0, 0)
    o["reason"] = reason
    o["bid_reason"] = bid_reason
    o["ask_reason"] = ask_reason
    o["risk_state"] = risk_state
    o["risk_reason"] = risk_reason
    return _remember(s, levels, position, o)


@njit
def has_settled(out: NDArray[Any]) -> bool:
    """Tell whether the same step once more would answer the same and leave its state the same.

    It does where both sides are quoted and were paid for: the prices wanted are those that stand,
    so nothing moves and nothing is paid, and the market's clock stands still. Only so long as
    nothing it reads is another: of a trade that is `limits.is_free_of_collar`, of what is open
    `gates.open_gate`, of our own clock the book's age. A model must keep no state of its own.

    Parameters
    ----------
    out : ndarray of records.QUOTES, shape (1,)
        As `strategy_step` has written it.
    """
    o = out[0]
    return bool(
        o["reason"] == _NONE
        and o["bid_reason"] == _NONE
        and o["ask_reason"] == _NONE
        and (o["bid_clamps"] | o["ask_clamps"]) & _RATED == 0
    )
