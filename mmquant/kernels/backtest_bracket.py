"""The bracket of a backtest: the same quotes and market under other fill models, side by side.

Nobody hears of what is filled here: the strategy knows the chosen model's position alone. Each
model has a simulator and an account of its own and shares book, latencies and the feed's times
with the chosen one, as the live simulator's bracket does.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import bare_njit as njit
from mmquant.codes import BookCode, BookState
from mmquant.kernels.funding import simulator_on_funding
from mmquant.kernels.latency import simulator_respond
from mmquant.kernels.simulator import (
    simulator_advance,
    simulator_on_book,
    simulator_on_quotes,
    simulator_on_trade,
)
from mmquant.state import NEVER_NS

__all__ = [
    "Bracket",
    "bracket_before",
    "bracket_on_funding",
    "bracket_on_market",
    "bracket_on_quotes",
    "bracket_on_trade",
]

_ZERO: Any = np.int64(0)
_NEVER: Any = np.int64(NEVER_NS)
_OK = int(BookCode.OK)
_LIVE = int(BookState.LIVE)


class Bracket(NamedTuple):
    """An element, or a row of `events`, a model; none where no bracket is wanted."""

    params: NDArray[Any]
    sim: NDArray[Any]
    account: NDArray[Any]
    events: NDArray[Any]  # of one call
    counts: NDArray[Any]  # of events, from before the market's message


@njit
def _model(bracket: Bracket, k: int) -> tuple[NDArray[Any], ...]:
    """Return simulator, account, parameters and events of a model, as the kernels take them."""
    return (
        bracket.sim[k : k + 1],
        bracket.account[k : k + 1],
        bracket.params[k : k + 1],
        bracket.events[k],
    )


@njit
def bracket_on_quotes(
    bracket: Bracket,
    instrument: NDArray[Any],
    book: NDArray[Any],
    recorded: NDArray[Any],
    quotes: NDArray[Any],
    levels: NDArray[Any],
    now_ns: int,
) -> None:
    """Let every model hear of the quotes; arguments as in simulator_on_quotes."""
    for k in range(bracket.sim.size):
        sim, account, params, events = _model(bracket, k)
        n = simulator_on_quotes(
            sim, account, params, instrument, book, recorded, quotes, levels, now_ns, _NEVER, events
        )
        simulator_respond(sim, params, recorded, events, n)


@njit
def bracket_before(bracket: Bracket, book: NDArray[Any], now_ns: int) -> None:
    """Let arrive what meets the book as it is before the message of `now_ns` changes it."""
    for k in range(bracket.sim.size):
        sim, account, params, events = _model(bracket, k)
        bracket.counts[k] = simulator_advance(sim, account, params, book, now_ns - 1, events, _ZERO)


@njit
def bracket_on_market(
    bracket: Bracket, main: NDArray[Any], book: NDArray[Any], recorded: NDArray[Any], code: int
) -> None:
    """Let every model see the book that `main` (the chosen model's simulator) has taken in.

    `code` is what simulator_on_market made of the message; bracket_before came before it.
    """
    m = main[0]
    is_taken = code == _OK and book[0]["synced"] != 0 and book[0]["book_state"] == _LIVE
    for k in range(bracket.sim.size):
        sim, account, params, events = _model(bracket, k)
        s = sim[0]
        s["clock"] = m["clock"]
        s["clock_ahead_ns"] = m["clock_ahead_ns"]
        s["feed_latency_ns"] = m["feed_latency_ns"]
        now = m["now_ns"]
        n = bracket.counts[k]
        if is_taken:
            n = simulator_on_book(sim, account, params, book, now, m["book_ns"], events, n)
        else:
            n = simulator_advance(sim, account, params, book, now, events, n)
        simulator_respond(sim, params, recorded, events, n)


@njit
def bracket_on_trade(
    bracket: Bracket,
    book: NDArray[Any],
    recorded: NDArray[Any],
    price_ticks: int,
    qty_lots: int,
    aggressor: int,
    trade_id: int,
    now_ns: int,
    venue_ns: int,
) -> None:
    """Let every model see a trade; arguments as in simulator_on_trade."""
    for k in range(bracket.sim.size):
        sim, account, params, events = _model(bracket, k)
        n = simulator_on_trade(
            sim,
            account,
            params,
            book,
            price_ticks,
            qty_lots,
            aggressor,
            trade_id,
            now_ns,
            venue_ns,
            events,
        )
        simulator_respond(sim, params, recorded, events, n)


@njit
def bracket_on_funding(
    bracket: Bracket, book: NDArray[Any], recorded: NDArray[Any], rate_e8: int, due_ns: int
) -> None:
    """Let every model's position pay, or be paid; arguments as in simulator_on_funding."""
    for k in range(bracket.sim.size):
        sim, account, params, events = _model(bracket, k)
        _, n = simulator_on_funding(sim, account, params, book, rate_e8, due_ns, events)
        simulator_respond(sim, params, recorded, events, n)
