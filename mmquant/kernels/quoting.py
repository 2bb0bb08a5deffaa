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
def _note_time(
    state: NDArray[Any], inputs: NDArray[Any], pricing: NDArray[Any], instrument: NDArray[Any]
) -> None:
    """Take over the market's time and the book's identity, and the notional limits if new."""
    s = state[0]
    p = pricing[0]
    i = instrument[0]
    s["now_ns"] = max(s["now_ns"], p["now_ns"])
    ids = s["book_ids"]
    if s["started"] == 0 or ids[0] != p["book_update_id"] or ids[1] != p["bbo_update_id"]:
        ids[0] = p["book_update_id"]
        ids[1] = p["bbo_update_id"]
        s["book_ns"] = inputs[0]["heard_ns"]
    if i["tick_size_e8"] <= 0 or i["lot_size_e8"] <= 0:
        return
    if (
        s["min_notional_e8"] != i["min_notional_e8"]
        or s["max_notional_e8"] != i["max_notional_e8"]
        or s["tick_size_e8"] != i["tick_size_e8"]
        or s["lot_size_e8"] != i["lot_size_e8"]
    ):
        s["min_notional_e8"] = i["min_notional_e8"]
        s["max_notional_e8"] = i["max_notional_e8"]
        s["tick_size_e8"] = i["tick_size_e8"]
        s["lot_size_e8"] = i["lot_size_e8"]
        s["min_tick_lots"] = minimum_tick_lots(
            i["min_notional_e8"], i["tick_size_e8"], i["lot_size_e8"]
        )
        s["max_tick_lots"] = maximum_tick_lots(
            i["max_notional_e8"], i["tick_size_e8"], i["lot_size_e8"]
        )


@njit
def _ask_model(
    state: NDArray[Any],
    params: NDArray[Any],
    model: Any,
    model_params: NDArray[Any],
    pricing: NDArray[Any],
    position_lots: int,
    model_inputs: NDArray[Any],
    model_quotes: NDArray[Any],
) -> int:
    """Call the model; return its reason, or what is wrong with its answer."""
    q = params[0]
    p = pricing[0]
    m = model_inputs[0]
    m["now_ns"] = state[0]["now_ns"]
    m["fair_value_ticks"] = p["fair_value_ticks"]
    m["drift_ticks_per_s"] = p["drift_ticks_per_s"]
    m["volatility_ticks_per_sqrt_s"] = p["volatility_ticks_per_sqrt_s"]
    m["arrival_rate_per_s"] = q["arrival_rate_per_s"]
    m["arrival_decay_per_tick"] = q["arrival_decay_per_tick"]
    m["inventory_orders"] = position_lots / q["order_lots"]
    m["inventory_limit_orders"] = q["position_limit_lots"] / q["order_lots"]
    m["time_left_s"] = q["horizon_s"]
    m["order_lots"] = q["order_lots"]
    m["position_lots"] = position_lots
    m["position_limit_lots"] = q["position_limit_lots"]
    m["bid_ticks"] = p["bid_ticks"]
    m["ask_ticks"] = p["ask_ticks"]
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
    o["volatility_term_ticks"] = 0.0
    o["arrival_term_ticks"] = 0.0
    o["model_bid_ticks"] = 0.0
    o["model_ask_ticks"] = 0.0
    o["bid_ticks"] = p["bid_ticks"]
    o["ask_ticks"] = p["ask_ticks"]
    o["bid_clamps"] = 0
    o["ask_clamps"] = 0
    o["frame_ns"] = p["frame_ns"]
    o["collector_sent_ns"] = p["collector_sent_ns"]
    o["pricing_received_ns"] = p["received_ns"]
    o["pricing_sent_ns"] = p["sent_ns"]


@njit
def _copy_parts(pricing: NDArray[Any], model_quotes: NDArray[Any], out: NDArray[Any]) -> None:
    """Write how the model's prices came about."""
    p = pricing[0]
    a = model_quotes[0]
    o = out[0]
    o["fair_value_ticks"] = p["fair_value_ticks"]
    o["volatility_ticks_per_sqrt_s"] = p["volatility_ticks_per_sqrt_s"]
    o["reservation_ticks"] = a["reservation_ticks"]
    o["half_spread_ticks"] = a["volatility_term_ticks"] + a["arrival_term_ticks"]
    o["inventory_shift_ticks"] = a["inventory_shift_ticks"]
    o["drift_shift_ticks"] = a["drift_shift_ticks"]
    o["volatility_term_ticks"] = a["volatility_term_ticks"]
    o["arrival_term_ticks"] = a["arrival_term_ticks"]
    o["model_bid_ticks"] = a["bid_ticks"]
    o["model_ask_ticks"] = a["ask_ticks"]


@njit
def _best_prices(
    state: NDArray[Any],
    params: NDArray[Any],
    pricing: NDArray[Any],
    model_quotes: NDArray[Any],
    out: NDArray[Any],
) -> tuple[int, int]:
    """Round the model's prices, clamp them to the touch, and keep those not worth a move."""
    s = state[0]
    q = params[0]
    o = out[0]
    highest_bid = pricing[0]["ask_ticks"] - 1
    lowest_ask = pricing[0]["bid_ticks"] + 1
    wanted_bid = math.floor(max(-_FAR_TICKS, min(_FAR_TICKS, model_quotes[0]["bid_ticks"])))
    wanted_ask = math.ceil(max(-_FAR_TICKS, min(_FAR_TICKS, model_quotes[0]["ask_ticks"])))
    # A half-spread lost in rounding must not make us trade with ourselves.
    bid = min(wanted_bid, highest_bid)
    ask = max(max(wanted_ask, wanted_bid + 1), lowest_ask)
    o["bid_clamps"] = _POST_ONLY if bid < wanted_bid else 0
    o["ask_clamps"] = _POST_ONLY if ask > max(wanted_ask, wanted_bid + 1) else 0
    moved = abs(bid - s["bid_ticks"])
    young = s["now_ns"] - s["bid_since_ns"] < q["min_life_ns"]
    hold_bid = 0 < s["bid_ticks"] <= highest_bid and (moved < q["requote_ticks"] or young)
    moved = abs(ask - s["ask_ticks"])
    young = s["now_ns"] - s["ask_since_ns"] < q["min_life_ns"]
    hold_ask = s["ask_ticks"] >= lowest_ask and (moved < q["requote_ticks"] or young)
    held_bid = s["bid_ticks"] if hold_bid else bid
    held_ask = s["ask_ticks"] if hold_ask else ask
    # Held on one side and moved on the other, they may meet, or leave the bounds of our spread.
    if held_ask - held_bid < q["min_own_spread_ticks"]:
        return bid, ask
    if held_ask - held_bid > q["max_own_spread_ticks"] >= ask - bid:
        return bid, ask
    if held_bid != bid:
        o["bid_clamps"] |= _HELD
    if held_ask != ask:
        o["ask_clamps"] |= _HELD
    return held_bid, held_ask


@njit
def _own_spread_reason(params: NDArray[Any], levels: NDArray[Any]) -> int:
    """Return NONE, or why bids and asks may not stand as they are; one side has no spread."""
    bid = levels[0]["price_ticks"]
    ask = levels[MAX_LEVELS]["price_ticks"]
    if bid == 0 or ask == 0:
        return _NONE
    if ask - bid < params[0]["min_own_spread_ticks"]:
        return _OWN_SPREAD_TOO_NARROW
    return _OWN_SPREAD_TOO_WIDE if ask - bid > params[0]["max_own_spread_ticks"] else _NONE


@njit
def _note_best(state: NDArray[Any], bid_ticks: int, ask_ticks: int) -> None:
    """Keep the best prices, 0 where a side is not quoted, and since when they stand."""
    s = state[0]
    if bid_ticks != s["bid_ticks"]:
        s["bid_ticks"] = bid_ticks
        s["bid_since_ns"] = s["now_ns"]
    if ask_ticks != s["ask_ticks"]:
        s["ask_ticks"] = ask_ticks
        s["ask_since_ns"] = s["now_ns"]


@njit
def _keep_orders(
    state: NDArray[Any],
    params: NDArray[Any],
    inputs: NDArray[Any],
    pricing: NDArray[Any],
    instrument: NDArray[Any],
    lacking: int,
    best: tuple[int, int],
    sides: tuple[int, int],
    out: NDArray[Any],
    levels: NDArray[Any],
) -> tuple[int, int]:
    """Leave the orders as they were, for want of tokens; return the reasons of both sides.

    A side that is not to be quoted (a reason in `sides`) goes nevertheless, as does an order that
    may stand no longer or stands better than the best price wanted now.
    """
    p = pricing[0]
    o = out[0]
    mid = p["bid_ticks"] + p["ask_ticks"]
    trade = inputs[0]["trade_ticks"]
    bid_reason, ask_reason = sides
    if bid_reason == _NONE:
        o["bid_clamps"] = _RATED
        touch = p["ask_ticks"]
        if not keep_held(state, params, instrument, _BUY, best[0], touch, mid, trade, levels):
            bid_reason = lacking
    if ask_reason == _NONE:
        o["ask_clamps"] = _RATED
        touch = p["bid_ticks"]
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
    state: NDArray[Any],
    params: NDArray[Any],
    inputs: NDArray[Any],
    pricing: NDArray[Any],
    instrument: NDArray[Any],
    position_lots: int,
    risk_state: int,
    model_quotes: NDArray[Any],
    out: NDArray[Any],
    levels: NDArray[Any],
) -> tuple[int, int]:
    """Write the ladder; return the reasons of the bids and of the asks."""
    s = state[0]
    p = pricing[0]
    o = out[0]
    mid = p["bid_ticks"] + p["ask_ticks"]
    trade = inputs[0]["trade_ticks"]
    bid, ask = _best_prices(state, params, pricing, model_quotes, out)
    s["lowest_ticks"] = bid
    s["highest_ticks"] = ask
    bid_reason, clamps = fill_ladder(
        state, params, instrument, _BUY, bid, position_lots, risk_state, mid, trade, levels
    )
    o["bid_clamps"] |= clamps
    ask_reason, clamps = fill_ladder(
        state, params, instrument, _SELL, ask, position_lots, risk_state, mid, trade, levels
    )
    o["ask_clamps"] |= clamps
    if math.isinf(model_quotes[0]["bid_ticks"]):  # the model wants no more of this side
        clear_levels(levels, 0, MAX_LEVELS)
        bid_reason = _INVENTORY_LIMIT
    if math.isinf(model_quotes[0]["ask_ticks"]):
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
        bid = s["bid_ticks"]
        ask = s["ask_ticks"]
    _note_best(state, bid if bid_reason == _NONE else 0, ask if ask_reason == _NONE else 0)
    return bid_reason, ask_reason


@njit
def _remember(
    state: NDArray[Any], levels: NDArray[Any], position_lots: int, out: NDArray[Any]
) -> int:
    """Keep what is wanted now; return 1 where it is not what was wanted before."""
    s = state[0]
    o = out[0]
    changed = 0
    if s["started"] == 0 or s["position_lots"] != position_lots or s["reason"] != o["reason"]:
        changed = 1
    if s["bid_reason"] != o["bid_reason"] or s["ask_reason"] != o["ask_reason"]:
        changed = 1
    if s["risk_state"] != o["risk_state"] or s["risk_reason"] != o["risk_reason"]:
        changed = 1
    prices = s["price_ticks"]
    lots = s["qty_lots"]
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
    s["started"] = 1
    s["position_lots"] = position_lots
    s["reason"] = o["reason"]
    s["bid_reason"] = o["bid_reason"]
    s["ask_reason"] = o["ask_reason"]
    s["risk_state"] = o["risk_state"]
    s["risk_reason"] = o["risk_reason"]
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
    o = out[0]
    position = inputs[0]["position_lots"] if inputs[0]["position_known"] else 0
    _note_time(state, inputs, pricing, instrument)
    _copy_inputs(pricing, instrument, position, out)
    reason = market_gate(state, params, inputs, pricing, instrument)
    if reason == _NONE:
        watch_market(state, params, pricing)
    risk_state, risk_reason = risk_gate(state, inputs)
    if risk_state == _HALTED:
        reason = risk_reason
    bid_reason = _NONE
    ask_reason = _NONE
    if reason == _NONE:
        reason = _ask_model(
            state, params, model, model_params, pricing, position, model_inputs, model_quotes
        )
    if reason == _NONE:
        _copy_parts(pricing, model_quotes, out)
        bid_reason, ask_reason = _quote(
            state,
            params,
            inputs,
            pricing,
            instrument,
            position,
            risk_state,
            model_quotes,
            out,
            levels,
        )
        if bid_reason != _NONE and ask_reason != _NONE:
            reason = risk_reason if risk_state == _REDUCING else bid_reason
    else:
        clear_levels(levels, 0, 2 * MAX_LEVELS)
        spend_tokens(state, params, levels, 1)
        _note_best(state, 0, 0)
    o["reason"] = reason
    o["bid_reason"] = bid_reason
    o["ask_reason"] = ask_reason
    o["risk_state"] = risk_state
    o["risk_reason"] = risk_reason
    return _remember(state, levels, position, out)


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
