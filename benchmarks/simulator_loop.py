"""One compiled loop over a tape: the venue's book and the trader's, latencies, two orders.

The tape is int64 words, a message behind the other: kind, the venue's time, the time it is seen,
then for a change of levels n_bids, n_asks and pairs of price and lots (bids first), for a trade
price, lots and aggressor.
"""

import numpy as np

from mmquant._jit import bare_njit as njit
from mmquant.codes import Template
from mmquant.kernels.book import book_apply
from mmquant.kernels.book_level import book_apply_level
from mmquant.kernels.book_read import book_touch
from mmquant.kernels.latency import simulator_respond
from mmquant.kernels.simulator import (
    simulator_advance,
    simulator_on_book,
    simulator_on_quotes,
    simulator_on_trade,
)
from mmquant.kernels.simulator_level import simulator_on_level
from mmquant.state import MAX_LEVELS, NEVER_NS

LEVELS, TRADE = 1, 2
HEAD = 5
_FILL = int(Template.FILL)
ORDERS, FILLS, POSITION, REJECTED = 0, 1, 2, 3
_ZERO = np.int64(0)


@njit
def _length(words: np.ndarray, at: int) -> int:
    if words[at] == TRADE:
        return HEAD + 1
    return HEAD + 2 * (words[at + 3] + words[at + 4])


@njit
def _count(sim, params, recorded, events, n, out):
    simulator_respond(sim, params, recorded, events, n)
    for i in range(n):
        e = events[i]
        if e["template_id"] == _FILL:
            out[FILLS] += 1
            out[POSITION] += e["side"] * e["qty_lots"]
        elif e["status"] == 1:
            out[ORDERS] += 1
        elif e["status"] == 5:
            out[REJECTED] += 1


@njit
def _at_venue(sim, account, params, book, recorded, words, at, events, out):
    """Let the venue see the message at word `at`."""
    now = words[at + 1]
    if words[at] == TRADE:
        price = words[at + 3]
        qty = words[at + 4]
        aggressor = words[at + 5]
        n = simulator_on_trade(
            sim, account, params, book, price, qty, aggressor, at, now, now, events
        )
    else:
        bids = words[at + 3]
        asks = words[at + 4]
        if bids + asks == 1:
            n = simulator_on_level(
                sim,
                account,
                params,
                book,
                words,
                at + HEAD,
                bids - asks,
                at,
                now,
                now,
                events,
            )
        else:
            n = simulator_advance(sim, account, params, book, now - 1, events, _ZERO)
            _apply(book, words, at)
            n = simulator_on_book(sim, account, params, book, now, now, events, n)
    if n > 0:
        _count(sim, params, recorded, events, n, out)


@njit
def _apply(book, words, at):
    bids = words[at + 3]
    asks = words[at + 4]
    first = at + HEAD
    if bids + asks == 1:
        book_apply_level(book, words, first, bids - asks, at)
        return
    book_apply(book, words, first, bids, first + 2 * bids, asks, at, _ZERO)


@njit
def run(
    venue,
    local,
    sim,
    account,
    params,
    instrument,
    recorded,
    words,
    interval_ns,
    start_ns,
    quotes,
    levels,
    events,
    out,
):
    """Play the tape; each `interval_ns` join the best prices that the trader sees."""
    end = words.size
    at_venue = 0
    at_local = 0
    timer = start_ns + interval_ns
    venue_ns = words[1]
    local_ns = words[2]
    while at_local < end:
        if venue_ns <= local_ns and venue_ns <= timer:
            _at_venue(sim, account, params, venue, recorded, words, at_venue, events, out)
            at_venue += _length(words, at_venue)
            venue_ns = words[at_venue + 1] if at_venue < end else NEVER_NS
            continue
        if local_ns <= timer:
            if words[at_local] == LEVELS:
                _apply(local, words, at_local)
            at_local += _length(words, at_local)
            local_ns = words[at_local + 2] if at_local < end else NEVER_NS
            continue
        bid, bid_lots, ask, ask_lots = book_touch(local)
        if bid_lots > 0 and ask_lots > 0 and bid < ask:
            quotes[0]["seq"] += 1
            levels[0]["price_ticks"] = bid
            levels[0]["qty_lots"] = 1
            levels[MAX_LEVELS]["price_ticks"] = ask
            levels[MAX_LEVELS]["qty_lots"] = 1
            n = simulator_on_quotes(
                sim,
                account,
                params,
                instrument,
                venue,
                recorded,
                quotes,
                levels,
                timer,
                events,
            )
            if n > 0:
                _count(sim, params, recorded, events, n, out)
        timer += interval_ns
    return at_venue
