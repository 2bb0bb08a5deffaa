"""What a backtest's loop works on, what it writes, and how its strategy decides."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import bare_inlined
from mmquant._jit import bare_njit as njit
from mmquant.codes import Template
from mmquant.kernels.backtest_bracket import Bracket, bracket_on_funding, bracket_on_quotes
from mmquant.kernels.funding import simulator_on_funding
from mmquant.kernels.latency import simulator_respond
from mmquant.kernels.quoting import has_settled, strategy_step
from mmquant.kernels.simulator import simulator_on_quotes, simulator_position
from mmquant.state import MAX_EVENTS, MAX_LEVELS, NEVER_NS, STRATEGY_COUNTS

__all__ = [
    "Desk",
    "Rows",
    "decide",
    "decide_again",
    "has_room",
    "next_events",
    "pay_funding",
    "settle",
    "tell_position",
    "write_sample",
]

_NEVER: Any = np.int64(NEVER_NS)
_FILL = int(Template.FILL)
_UNCHANGED: Any = np.int64(0)  # no literal: numba would compile anew what it is passed to


class Desk(NamedTuple):
    """State, parameters and space to work in of one instrument; arrays of one element mostly."""

    instrument: NDArray[Any]
    pricing_params: NDArray[Any]
    pricing_model: Any  # of the fair value, from bind_pricing_model; 0 for the blend
    pricing_model_params: NDArray[Any]
    pricing_state: NDArray[Any]
    pricing_draft: NDArray[Any]  # what pricing works on
    pricing: NDArray[Any]  # what it has published: the strategy knows no other
    reference_state: NDArray[Any]  # of the reference's pricing; no element without one
    reference_book: NDArray[Any]
    reference_draft: NDArray[Any]
    strategy_params: NDArray[Any]
    strategy_state: NDArray[Any]
    strategy_words: NDArray[Any]  # the same memory as int64
    strategy_before: NDArray[Any]  # room for a copy of the STRATEGY_COUNTS first of them
    model_params: NDArray[Any]
    inputs: NDArray[Any]
    model_inputs: NDArray[Any]
    model_quotes: NDArray[Any]
    quotes: NDArray[Any]
    levels: NDArray[Any]
    sim_params: NDArray[Any]
    sim: NDArray[Any]
    book: NDArray[Any]  # of the venue: simulator and pricing hear one stream, and share it
    account: NDArray[Any]
    recorded: NDArray[Any]
    fill: NDArray[Any]
    position: NDArray[Any]
    words: NDArray[Any]  # of one message
    known_ids: NDArray[Any]  # orders that the strategy believes to be alive
    known_tick_lots: NDArray[Any]
    bracket: Bracket


class Rows(NamedTuple):
    """What a run writes; where one is full the run stops and may go on with longer ones."""

    events: NDArray[Any]  # state.EVENT
    positions: NDArray[Any]  # records.POSITION
    positions_known_ns: NDArray[Any]
    quotes: NDArray[Any]  # state.BACKTEST_QUOTE
    samples: NDArray[Any]  # state.BACKTEST_SAMPLE
    fundings: NDArray[Any]  # state.BACKTEST_FUNDING
    marks: NDArray[Any]  # state.BACKTEST_MARK


@njit
def has_room(run: NDArray[Any], rows: Rows) -> bool:
    """Tell whether one more step fits, whatever it does."""
    r = run[0]
    return bool(
        r["events"] + 2 * MAX_EVENTS <= rows.events.size
        and r["positions"] + 5 <= rows.positions.size  # the last one of a run with them
        and r["quotes"] + 4 <= rows.quotes.size
        and r["samples"] + 4 <= rows.samples.size
        and r["fundings"] + 1 <= rows.fundings.size
        and r["marks"] + 1 <= rows.marks.size
    )


@njit
def tell_position(run: NDArray[Any], desk: Desk, rows: Rows) -> None:
    """Put the position as it is now on its way to the strategy, behind the newest event."""
    r = run[0]
    at = r["positions"]
    row = rows.positions[at : at + 1]
    simulator_position(desk.sim, desk.account, r["now_ns"], row)
    r["position_seq"] += 1
    row[0]["seq"] = r["position_seq"]
    known_ns = r["now_ns"]
    if r["events"] > r["events_told"]:
        known_ns = max(known_ns, rows.events[r["events"] - 1]["known_ns"])
    rows.positions_known_ns[at] = known_ns
    r["positions"] += 1
    r["position_ns"] = r["now_ns"]


@bare_inlined
def next_events(run: NDArray[Any], rows: Rows) -> NDArray[Any]:
    """Return where the simulator's next call writes its events."""
    at = run[0]["events"]
    return rows.events[at : at + MAX_EVENTS]


@bare_inlined
def settle(run: NDArray[Any], desk: Desk, rows: Rows, n: int) -> None:
    """Keep the `n` events of a call of the simulator; a fill tells the position, too."""
    if n == 0:
        return
    r = run[0]
    events = next_events(run, rows)
    simulator_respond(desk.sim, desk.sim_params, desk.recorded, events, n)
    has_fill = False
    for i in range(n):
        if events[i]["template_id"] == _FILL:
            has_fill = True
    r["events"] += n
    if has_fill:
        tell_position(run, desk, rows)


@njit
def pay_funding(run: NDArray[Any], desk: Desk, rows: Rows) -> None:
    """Book the funding that is due; it tells the position."""
    r = run[0]
    due_ns = r["funding_ns"]
    rate = r["funding_rate_e8"]
    price = desk.account[0]["mark_half_ticks"]
    events = next_events(run, rows)
    received, n = simulator_on_funding(
        desk.sim, desk.account, desk.sim_params, desk.book, rate, due_ns, events
    )
    settle(run, desk, rows, n)
    if desk.bracket.sim.size > 0:
        bracket_on_funding(desk.bracket, desk.book, desk.recorded, rate, due_ns)
    row = rows.fundings[r["fundings"]]
    row["now_ns"] = due_ns
    row["rate_e8"] = rate
    row["price_half_ticks"] = price
    row["position_lots"] = desk.account[0]["position_lots"]
    row["funding_micro_tick_lots"] = received
    r["fundings"] += 1
    r["funding_ns"] = due_ns + r["funding_interval_ns"]
    tell_position(run, desk, rows)


@bare_inlined
def write_mark(run: NDArray[Any], desk: Desk, rows: Rows) -> None:
    """Keep the mid that the account is valued at, where it is another."""
    r = run[0]
    half_ticks = desk.account[0]["mark_half_ticks"]
    if half_ticks == r["mark_half_ticks"]:
        return
    row = rows.marks[r["marks"]]
    row["now_ns"] = r["now_ns"]
    row["half_ticks"] = half_ticks
    r["marks"] += 1
    r["mark_half_ticks"] = half_ticks


@njit
def _write_quote(run: NDArray[Any], desk: Desk, rows: Rows) -> None:
    r = run[0]
    q = desk.quotes[0]
    row = rows.quotes[r["quotes"]]
    row["now_ns"] = r["now_ns"]
    row["seq"] = q["seq"]
    row["pricing_seq"] = q["pricing_seq"]
    row["position_lots"] = q["position_lots"]
    row["bid_ticks"] = desk.levels[0]["price_ticks"]
    row["ask_ticks"] = desk.levels[MAX_LEVELS]["price_ticks"]
    bid_lots = 0
    ask_lots = 0
    for k in range(MAX_LEVELS):
        bid_lots += desk.levels[k]["qty_lots"]
        ask_lots += desk.levels[MAX_LEVELS + k]["qty_lots"]
    row["bid_lots"] = bid_lots
    row["ask_lots"] = ask_lots
    row["fair_value_ticks"] = q["fair_value_ticks"]
    row["reservation_ticks"] = q["reservation_ticks"]
    row["half_spread_ticks"] = q["half_spread_ticks"]
    row["inventory_shift_ticks"] = q["inventory_shift_ticks"]
    row["drift_shift_ticks"] = q["drift_shift_ticks"]
    row["volatility_ticks_per_sqrt_s"] = q["volatility_ticks_per_sqrt_s"]
    row["reason"] = q["reason"]
    row["bid_reason"] = q["bid_reason"]
    row["ask_reason"] = q["ask_reason"]
    row["risk_state"] = q["risk_state"]
    row["risk_reason"] = q["risk_reason"]
    r["quotes"] += 1


@bare_inlined
def decide(run: NDArray[Any], desk: Desk, model: Any, rows: Rows) -> int:
    """Ask the strategy what it wants now, and tell the simulator; return 1 where it is new."""
    _note_decision(run, desk)
    changed = strategy_step(
        desk.strategy_state,
        desk.strategy_params,
        model,
        desk.model_params,
        desk.inputs,
        desk.pricing,
        desk.instrument,
        desk.model_inputs,
        desk.model_quotes,
        desk.quotes,
        desk.levels,
    )
    if run[0]["is_pure"] == 1 and has_settled(desk.quotes):
        run[0]["is_settled"] = 1
    _tell_quotes(run, desk, rows, changed)
    return changed


@bare_inlined
def _note_decision(run: NDArray[Any], desk: Desk) -> None:
    r = run[0]
    r["decisions"] += 1
    r["decided_ns"] = r["now_ns"]
    r["is_settled"] = 0
    desk.inputs[0]["now_ns"] = r["now_ns"]


@bare_inlined
def decide_again(run: NDArray[Any], desk: Desk, model: Any, rows: Rows) -> None:
    """Decide because time has passed; the strategy is not asked where its answer is known.

    That is where the last step has settled (`has_settled`), or found and left its state the same,
    and nothing it reads is another since: of the time that passes it reads the book's age alone. A
    model of one's own may keep a state of its own (`is_pure` 0), and is asked each time.
    """
    r = run[0]
    age_ns = r["now_ns"] - desk.strategy_state[0]["book_ns"]
    is_fresh = age_ns <= desk.strategy_params[0]["max_book_age_ns"]
    if r["is_settled"] == 1 and is_fresh:
        _note_decision(run, desk)
        r["is_settled"] = 1
        _tell_quotes(run, desk, rows, _UNCHANGED)
        return
    words = desk.strategy_words
    before = desk.strategy_before
    for k in range(STRATEGY_COUNTS):
        before[k] = words[k]
    is_same = decide(run, desk, model, rows) == 0
    for k in range(STRATEGY_COUNTS):
        if before[k] != words[k]:
            is_same = False
    if is_same and is_fresh and r["is_pure"] == 1:
        r["is_settled"] = 1


@bare_inlined
def _tell_quotes(run: NDArray[Any], desk: Desk, rows: Rows, changed: int) -> None:
    """Tell the simulator what the strategy wants, where that changed or is due."""
    r = run[0]
    now = r["now_ns"]
    if changed == 0 and now - r["quotes_ns"] < r["quotes_interval_ns"]:
        return
    r["quotes_ns"] = now
    r["quotes_seq"] += 1
    desk.quotes[0]["seq"] = r["quotes_seq"]
    if changed == 1:
        _write_quote(run, desk, rows)
    n = simulator_on_quotes(
        desk.sim,
        desk.account,
        desk.sim_params,
        desk.instrument,
        desk.book,
        desk.recorded,
        desk.quotes,
        desk.levels,
        now,
        _NEVER,
        next_events(run, rows),
    )
    settle(run, desk, rows, n)
    if desk.bracket.sim.size > 0:
        bracket_on_quotes(
            desk.bracket,
            desk.instrument,
            desk.book,
            desk.recorded,
            desk.quotes,
            desk.levels,
            now,
        )


@njit
def write_sample(run: NDArray[Any], desk: Desk, rows: Rows) -> None:
    """Keep what the strategy sees now."""
    r = run[0]
    p = desk.pricing[0]
    row = rows.samples[r["samples"]]
    row["now_ns"] = r["now_ns"]
    row["bid_ticks"] = p["bid_ticks"]
    row["bid_lots"] = p["bid_lots"]
    row["ask_ticks"] = p["ask_ticks"]
    row["ask_lots"] = p["ask_lots"]
    row["microprice_ticks"] = p["microprice_ticks"]
    row["fair_value_ticks"] = p["fair_value_ticks"]
    row["volatility_ticks_per_sqrt_s"] = p["volatility_ticks_per_sqrt_s"]
    row["drift_ticks_per_s"] = p["drift_ticks_per_s"]
    row["position_lots"] = desk.account[0]["position_lots"]
    row["flags"] = p["flags"]
    row["book_state"] = p["book_state"]
    row["mid_ticks"] = p["mid_ticks"]
    row["depth_imbalance"] = p["depth_imbalance"]
    row["touch_imbalance"] = p["touch_imbalance"]
    row["order_flow_lots"] = p["order_flow_lots"]
    row["touch_flow_lots"] = p["touch_flow_lots"]
    row["trade_flow_imbalance"] = p["trade_flow_imbalance"]
    row["basis_bps"] = p["basis_bps"]
    row["ewma_drift_ticks_per_s"] = p["ewma_drift_ticks_per_s"]
    row["signal_drift_ticks_per_s"] = p["signal_drift_ticks_per_s"]
    r["samples"] += 1
    r["sample_ns"] = r["now_ns"]
