"""One compiled loop over a tape: the venue's book and the trader's, latencies, two orders.

The tape is int64 words, a message behind the other: kind, the venue's time, the time it is seen,
then for a change of levels n_bids, n_asks and pairs of price and lots (bids first), for a trade
price, lots and aggressor.

What the venue sees and what the trader sees meet only where he sends quotes: between two of these
times each side takes in its messages in one go.
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
_NEVER = np.int64(NEVER_NS)


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
def _venue_until(sim, account, params, book, recorded, words, at, until_ns, events, out):
    """Let the venue see the messages from word `at` on that it sends up to `until_ns`."""
    while at < words.size and words[at + 1] <= until_ns:
        now = words[at + 1]
        bids = words[at + 3]
        asks = words[at + 4]
        first = at + HEAD
        if words[at] == TRADE:
            side = words[first]
            n = simulator_on_trade(
                sim, account, params, book, bids, asks, side, at, now, now, events
            )
            step = HEAD + 1
        elif bids + asks == 1:
            sign = bids - asks
            n = simulator_on_level(
                sim, account, params, book, words, first, sign, at, now, now, events
            )
            step = HEAD + 2
        else:
            n = simulator_advance(sim, account, params, book, now - 1, events, _ZERO)
            book_apply(book, words, first, bids, first + 2 * bids, asks, at, _ZERO)
            n = simulator_on_book(sim, account, params, book, now, now, events, n)
            step = HEAD + 2 * (bids + asks)
        if n > 0:
            _count(sim, params, recorded, events, n, out)
        at += step
    return at


@njit
def _local_until(book, words, at, until_ns):
    """Let the trader see the messages from word `at` on that reach him up to `until_ns`."""
    while at < words.size and words[at + 2] <= until_ns:
        bids = words[at + 3]
        asks = words[at + 4]
        first = at + HEAD
        if words[at] == TRADE:
            step = HEAD + 1
        elif bids + asks == 1:
            book_apply_level(book, words, first, bids - asks, at)
            step = HEAD + 2
        else:
            book_apply(book, words, first, bids, first + 2 * bids, asks, at, _ZERO)
            step = HEAD + 2 * (bids + asks)
        at += step
    return at


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
    at_venue = 0
    at_local = 0
    timer = start_ns + interval_ns
    while True:
        at_venue = _venue_until(
            sim, account, params, venue, recorded, words, at_venue, timer, events, out
        )
        at_local = _local_until(local, words, at_local, timer)
        if at_local >= words.size:
            return at_venue
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
                _NEVER,
                events,
            )
            if n > 0:
                _count(sim, params, recorded, events, n, out)
        timer += interval_ns
