"""The whole system over a tape: market -> pricing -> strategy -> simulator -> what is known of it.

One loop over the rows of one instrument (and of the one its basis is measured against) and the
timers between them; every decision is made by
the functions that run live: pricing_step, strategy_step and simulator_on_*. What is due before
the next row comes first: reports that reach the strategy, then funding, positions, repeated prices
and gates. Time is when a row was received; how long ago the venue sent it, and how long orders
and answers take, is the simulator's part.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import bare_inlined, bare_whole
from mmquant._jit import bare_njit as njit
from mmquant.codes import BookCode, OrderStatus, PricingFlag, TapeKind, Template
from mmquant.kernels import wire
from mmquant.kernels.backtest_bracket import (
    bracket_before,
    bracket_on_market,
    bracket_on_trade,
)
from mmquant.kernels.backtest_desk import (
    Desk,
    Rows,
    decide,
    decide_again,
    has_room,
    next_events,
    pay_funding,
    settle,
    tell_position,
    write_mark,
    write_sample,
)
from mmquant.kernels.gates import open_gate
from mmquant.kernels.limits import is_free_of_collar
from mmquant.kernels.pricing import (
    NEED_SNAPSHOT,
    PUBLISH,
    pricing_follow,
    pricing_refresh,
    pricing_step_behind,
)
from mmquant.kernels.pricing_model import pricing_model_refresh, pricing_model_step_behind
from mmquant.kernels.simulator import simulator_on_market, simulator_on_trade
from mmquant.kernels.tape_message import tape_message
from mmquant.kernels.watch import strategy_on_fill, strategy_on_position
from mmquant.state import MAX_KNOWN_ORDERS, NEVER_NS, TAPE_SKIP

__all__ = ["DONE", "FULL", "Desk", "Rows", "backtest_run"]

DONE = 0
FULL = 1

_BOOK_OK: Any = np.int64(BookCode.OK)
_SNAPSHOT = int(TapeKind.SNAPSHOT)
_GAP = int(TapeKind.GAP)
_FILL = int(Template.FILL)
_LIVE = int(PricingFlag.LIVE)
_NEW = int(OrderStatus.NEW)
_OPEN = int(OrderStatus.OPEN)


@bare_inlined
def _price(
    desk: Desk, state: NDArray[Any], book: NDArray[Any], book_code: int, draft: NDArray[Any]
) -> int:
    """Let a pricing hear of the message in `desk.words`; return what `pricing_step` does."""
    params, words = desk.pricing_params, desk.words
    if desk.pricing_model == 0:
        return pricing_step_behind(state, book, params, words, book_code, draft)
    own = desk.pricing_model_params
    return pricing_model_step_behind(
        desk.pricing_model, state, book, params, own, words, book_code, draft
    )


@njit
def _price_again(desk: Desk, now_ns: int) -> None:
    """Price anew without a message."""
    state, book, params = desk.pricing_state, desk.book, desk.pricing_params
    draft = desk.pricing_draft
    if desk.pricing_model == 0:
        pricing_refresh(state, book, params, now_ns, draft)
    else:
        own = desk.pricing_model_params
        pricing_model_refresh(desk.pricing_model, state, book, params, own, now_ns, draft)


@bare_inlined
def _publish_pricing(run: NDArray[Any], desk: Desk, model: Any, rows: Rows) -> None:
    """Let the strategy hear of `desk.pricing_draft`."""
    r = run[0]
    now = r["now_ns"]
    r["pricing_seq"] += 1
    desk.pricing[0] = desk.pricing_draft[0]
    p = desk.pricing[0]
    p["seq"] = r["pricing_seq"]
    p["received_ns"] = now
    p["sent_ns"] = now
    r["pricing_ns"] = now
    if now - r["sample_ns"] >= r["sample_interval_ns"]:
        write_sample(run, desk, rows)
    desk.inputs[0]["heard_ns"] = now
    decide(run, desk, model, rows)


@njit
def _note_order(run: NDArray[Any], desk: Desk, order_id: int, tick_lots: int) -> None:
    """Keep what is left of an order as reported; nothing of one that has ended."""
    r = run[0]
    count = r["known_orders"]
    at = count
    for i in range(count):
        if desk.known_ids[i] == order_id:
            at = i
            break
    inputs = desk.inputs[0]
    if at < count:
        inputs["open_tick_lots"] -= desk.known_tick_lots[at]
        if tick_lots == 0:
            count -= 1
            desk.known_ids[at] = desk.known_ids[count]
            desk.known_tick_lots[at] = desk.known_tick_lots[count]
    elif tick_lots > 0:
        if count == MAX_KNOWN_ORDERS:
            r["orders_forgotten"] += 1
            return
        count += 1
    if tick_lots > 0:
        desk.known_ids[at] = order_id
        desk.known_tick_lots[at] = tick_lots
        inputs["open_tick_lots"] += tick_lots
    r["known_orders"] = count
    inputs["open_orders"] = count


@njit
def _hear_event(run: NDArray[Any], desk: Desk, rows: Rows) -> None:
    """Let the strategy hear of the next fill or order update."""
    r = run[0]
    e = rows.events[r["events_told"]]
    r["events_told"] += 1
    if e["template_id"] == _FILL:
        r["is_settled"] = 0
        f = desk.fill[0]
        f["now_ns"] = e["now_ns"]
        f["side"] = e["side"]
        f["price_ticks"] = e["price_ticks"]
        f["qty_lots"] = e["qty_lots"]
        f["mark_half_ticks"] = e["mark_half_ticks"]
        f["fill_id"] = e["fill_id"]
        f["order_id"] = e["order_id"]
        f["position_lots"] = e["position_lots"]
        strategy_on_fill(desk.strategy_state, desk.strategy_params, desk.fill)
        return
    left = 0
    if e["status"] == _NEW or e["status"] == _OPEN:
        left = e["price_ticks"] * (e["qty_lots"] - e["filled_lots"])
    before = open_gate(desk.strategy_params[0], desk.inputs[0])
    _note_order(run, desk, e["order_id"], left)
    if open_gate(desk.strategy_params[0], desk.inputs[0]) != before:
        r["is_settled"] = 0


@bare_inlined
def _hear_position(run: NDArray[Any], desk: Desk, model: Any, rows: Rows) -> None:
    """Let the strategy hear of the next position."""
    r = run[0]
    desk.position[0] = rows.positions[r["positions_told"]]
    r["positions_told"] += 1
    r["is_settled"] = 0
    inputs = desk.inputs[0]
    lots = desk.position[0]["position_lots"]
    moved = inputs["position_known"] == 0 or inputs["position_lots"] != lots
    inputs["position_known"] = 1
    inputs["position_lots"] = lots
    strategy_on_position(desk.strategy_state, desk.strategy_params, desk.position)
    if moved or desk.strategy_state[0]["halt_reason"] != 0:
        decide(run, desk, model, rows)


@bare_inlined
def _event_due_ns(run: NDArray[Any], rows: Rows) -> int:
    r = run[0]
    if r["events_told"] == r["events"]:
        return NEVER_NS
    return rows.events[r["events_told"]]["known_ns"]  # type: ignore[no-any-return]


@bare_inlined
def _position_due_ns(run: NDArray[Any], rows: Rows) -> int:
    r = run[0]
    if r["positions_told"] == r["positions"]:
        return NEVER_NS
    return rows.positions_known_ns[r["positions_told"]]  # type: ignore[no-any-return]


@bare_inlined
def _next_due_ns(run: NDArray[Any], rows: Rows) -> int:
    """Return when something happens by itself."""
    r = run[0]
    reports = min(_event_due_ns(run, rows), _position_due_ns(run, rows))
    gates = min(r["decided_ns"] + r["gate_interval_ns"], r["pricing_ns"] + r["pricing_interval_ns"])
    positions = r["position_ns"] + r["position_interval_ns"]
    return min(reports, gates, positions, r["funding_ns"])  # type: ignore[no-any-return]


@bare_inlined
def _do_due(run: NDArray[Any], desk: Desk, model: Any, rows: Rows) -> None:
    """Do what is due first at `now_ns`: all reports, or one thing of the others."""
    r = run[0]
    now = r["now_ns"]
    if _event_due_ns(run, rows) <= now:
        while _event_due_ns(run, rows) <= now:
            _hear_event(run, desk, rows)
        return
    if _position_due_ns(run, rows) <= now:
        _hear_position(run, desk, model, rows)
        return
    r["timers"] += 1
    if r["funding_ns"] <= now:
        pay_funding(run, desk, rows)
    elif r["position_ns"] + r["position_interval_ns"] <= now:
        tell_position(run, desk, rows)
    elif r["pricing_ns"] + r["pricing_interval_ns"] <= now:
        _price_again(desk, now)
        desk.pricing_draft[0]["frame_ns"] = 0
        _publish_pricing(run, desk, model, rows)
    else:
        decide_again(run, desk, model, rows)


@bare_inlined
def _hear_trade(run: NDArray[Any], desk: Desk, price_ticks: int) -> None:
    """Let the strategy know the last trade's price: what it hears of the market by itself."""
    state, params, p = desk.strategy_state[0], desk.strategy_params[0], desk.pricing[0]
    mid = p["bid_ticks"] + p["ask_ticks"]
    was = desk.inputs[0]["trade_ticks"]
    if price_ticks == was:
        return
    desk.inputs[0]["trade_ticks"] = price_ticks
    if not (
        is_free_of_collar(state, params, mid, was)
        and is_free_of_collar(state, params, mid, price_ticks)
    ):
        run[0]["is_settled"] = 0


@bare_inlined
def _take_trade(run: NDArray[Any], desk: Desk, rows: Rows) -> int:
    """Let simulators and strategy hear of the trade in `desk.words`; return the events of it."""
    words = desk.words
    now = run[0]["now_ns"]
    n = simulator_on_trade(
        desk.sim,
        desk.account,
        desk.sim_params,
        desk.book,
        words[wire.TRADE_PRICE_TICKS],
        words[wire.TRADE_QTY_LOTS],
        words[wire.TRADE_AGGRESSOR],
        words[wire.TRADE_TRADE_ID],
        now,
        words[wire.TRADE_VENUE_NS],
        next_events(run, rows),
    )
    _hear_trade(run, desk, words[wire.TRADE_PRICE_TICKS])
    if desk.bracket.sim.size > 0:
        bracket_on_trade(
            desk.bracket,
            desk.book,
            desk.recorded,
            words[wire.TRADE_PRICE_TICKS],
            words[wire.TRADE_QTY_LOTS],
            words[wire.TRADE_AGGRESSOR],
            words[wire.TRADE_TRADE_ID],
            now,
            words[wire.TRADE_VENUE_NS],
        )
    return n


@njit
def _epoch_after(epoch: int, is_lost: int, kind: int) -> tuple[int, int]:
    """Return a book's epoch, and whether it is lost, after a row: a snapshot begins a new one."""
    if kind == _SNAPSHOT and (epoch == 0 or is_lost == 1):
        return epoch + 1, 0
    return epoch, 1 if kind == _GAP else is_lost


@bare_inlined
def _hear_reference(
    run: NDArray[Any], event: NDArray[Any], tape_words: NDArray[Any], desk: Desk
) -> None:
    """Let the pricing know the reference's mid after one of its rows, as mm_pricing does."""
    r = run[0]
    epoch, is_lost = _epoch_after(r["reference_epoch"], r["reference_is_lost"], event[0]["kind"])
    r["reference_epoch"] = epoch
    r["reference_is_lost"] = is_lost
    tape_message(
        event,
        tape_words,
        desk.reference_book,
        r["reference"] + 1,
        epoch,
        r["now_ns"],
        desk.words,
    )
    book = desk.reference_book
    code = pricing_follow(book, desk.words)
    _price(desk, desk.reference_state, book, code, desk.reference_draft)
    theirs = desk.reference_state[0]
    if theirs["published_flags"] & _LIVE != 0:
        mid = (theirs["published_bid_ticks"] + theirs["published_ask_ticks"]) / 2
        ticks = mid * r["reference_tick_size_e8"] / desk.instrument[0]["tick_size_e8"]
        desk.pricing_state[0]["reference_ticks"] = ticks
        desk.pricing_state[0]["reference_ns"] = r["now_ns"]


@bare_inlined
def _take_row(
    run: NDArray[Any],
    event: NDArray[Any],
    tape_words: NDArray[Any],
    desk: Desk,
    model: Any,
    rows: Rows,
) -> None:
    """Let everybody hear of one row of the tape."""
    r = run[0]
    now = r["now_ns"]
    r["market_events"] += 1
    r["levels"] += event[0]["n_bids"] + event[0]["n_asks"]
    epoch, is_lost = _epoch_after(r["epoch"], r["is_lost"], event[0]["kind"])
    r["epoch"] = epoch
    r["is_lost"] = is_lost
    template = tape_message(
        event,
        tape_words,
        desk.book,
        desk.instrument[0]["instrument_id"],
        epoch,
        now,
        desk.words,
    )
    words = desk.words
    has_bracket = desk.bracket.sim.size > 0
    code = _BOOK_OK
    if template == wire.TEMPLATE_TRADE:
        n = _take_trade(run, desk, rows)
    else:
        if has_bracket:
            bracket_before(desk.bracket, desk.book, now)
        code, n = simulator_on_market(
            desk.sim, desk.account, desk.sim_params, desk.book, words, next_events(run, rows)
        )
        if has_bracket:
            bracket_on_market(desk.bracket, desk.sim, desk.book, desk.recorded, code)
    settle(run, desk, rows, n)
    write_mark(run, desk, rows)
    # One stream, one book: the pricing reads what the simulator's has just followed.
    priced = _price(desk, desk.pricing_state, desk.book, code, desk.pricing_draft)
    if priced == NEED_SNAPSHOT:
        r["snapshots_needed"] += 1
    if priced == PUBLISH or priced == NEED_SNAPSHOT:
        _publish_pricing(run, desk, model, rows)


@njit
def _start(run: NDArray[Any], desk: Desk, rows: Rows, now_ns: int) -> None:
    r = run[0]
    r["started"] = 1
    r["now_ns"] = now_ns
    r["pricing_ns"] = now_ns
    r["quotes_ns"] = now_ns
    r["decided_ns"] = now_ns
    r["sample_ns"] = now_ns - r["sample_interval_ns"]
    if r["funding_rate_e8"] != 0:
        r["funding_ns"] = now_ns - now_ns % r["funding_interval_ns"] + r["funding_interval_ns"]
    tell_position(run, desk, rows)


@bare_whole
def backtest_run(
    run: NDArray[Any],
    tape_events: NDArray[Any],
    tape_words: NDArray[Any],
    last_row: int,
    desk: Desk,
    model: Any,
    rows: Rows,
) -> int:
    """Run over the rows of one instrument up to `last_row`, or until `rows` are full.

    Behind the tape's last row the position is told once more, as it is then.

    Parameters
    ----------
    run : ndarray of state.BACKTEST, shape (1,)
        Where it stands, updated in place: call again to go on.
    tape_events : ndarray of state.TAPE_EVENT, shape (n,)
        In order of `received_ns`; an earlier time than the one before counts as that one.
    tape_words : ndarray of int64
        The tape's levels.
    last_row : int
        The row to stop before, at most n.
    desk : Desk
    model : int
        From mmquant.quoting.bind_model.
    rows : Rows

    Returns
    -------
    int
        DONE or FULL.

    Raises
    ------
    Exception
        What the model raises.
    """
    r = run[0]
    while r["row"] < last_row:
        event = tape_events[r["row"] : r["row"] + 1]
        is_own = event[0]["instrument"] == r["instrument"]
        is_heard = is_own or event[0]["instrument"] == r["reference"]
        if not is_heard or event[0]["flags"] & TAPE_SKIP:
            r["row"] += 1
            r["skipped"] += 1
            continue
        if not has_room(run, rows):
            return FULL
        at = max(event[0]["received_ns"], r["now_ns"])
        if r["started"] == 0 and is_own:
            _start(run, desk, rows, at)
        if r["started"] == 1:
            due = max(_next_due_ns(run, rows), r["now_ns"])
            if due < at or (due == at and _goes_first(run, rows, at)):
                r["now_ns"] = due
                _do_due(run, desk, model, rows)
                continue
        r["now_ns"] = at
        r["row"] += 1
        if is_own:
            _take_row(run, event, tape_words, desk, model, rows)
        else:
            _hear_reference(run, event, tape_words, desk)
    if r["row"] == tape_events.size and r["started"] == 1:
        tell_position(run, desk, rows)  # what it all came to
    return DONE


@bare_inlined
def _goes_first(run: NDArray[Any], rows: Rows, at_ns: int) -> bool:
    """Tell whether a report reaches the strategy, or funding is due, no later than a message."""
    reports = min(_event_due_ns(run, rows), _position_due_ns(run, rows))
    return bool(min(reports, run[0]["funding_ns"]) <= at_ns)
