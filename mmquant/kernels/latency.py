"""Latency kernels: how long an order, its cancellation and the venue's answer are on their way.

Each is constant, jittered or interpolated from recorded ones. Jittered: the median times
exp(jitter * z), z standard normal, from a generator of its own, so that latencies do not change
which fills are drawn. Recorded: linear between the rows, the first and the last row's beyond.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import bare_njit as njit
from mmquant.codes import OrderStatus, Template
from mmquant.state import MAX_LATE_FILLS, MAX_ORDERS

__all__ = [
    "cancel_delay_ns",
    "entry_delay_ns",
    "note_feed",
    "simulator_respond",
    "uniform",
    "venue_time_ns",
]

_NEW = int(OrderStatus.NEW)
_FILLED = int(OrderStatus.FILLED)
_REJECTED = int(OrderStatus.REJECTED)
_ORDER_UPDATE = int(Template.ORDER_UPDATE)
_UNIT = 2.0**-53
_TWO_PI = 2.0 * math.pi
_MOST_NS = 3600 * 10**9  # a jittered latency is cut there
_ONE_CLOCK_NS = 10 * 10**9  # times farther apart are not of one clock
_TIMED, _UNTIMED = 1, 2  # `clock`: the book tells the venue's time; it never has


@njit
def uniform(x: Any) -> tuple[Any, float]:
    """Return the generator's next state and a number in [0, 1).

    xorshift64 (Marsaglia 2003, shifts 13, 7, 17); the state `x` is a np.uint64, never 0.
    """
    x = x ^ (x << np.uint64(13))
    x = x ^ (x >> np.uint64(7))
    x = x ^ (x << np.uint64(17))
    return x, float(x >> np.uint64(11)) * _UNIT


@njit
def _jittered(sim: NDArray[Any], median_ns: int, jitter: float) -> int:
    """Return a log-normal latency; without jitter the median, and nothing is drawn."""
    if jitter == 0.0 or median_ns == 0:
        return median_ns
    s = sim[0]
    x, u = uniform(s["latency_random"])
    x, v = uniform(x)
    s["latency_random"] = x
    z = math.sqrt(-2.0 * math.log(1.0 - u)) * math.cos(_TWO_PI * v)  # Box and Muller 1958
    return int(min(round(median_ns * math.exp(jitter * z)), _MOST_NS))


@njit
def _row_before(recorded: NDArray[Any], from_request: bool, at_ns: int) -> int:
    """Return the last row whose time is not after `at_ns`, -1 where there is none."""
    low = 0
    high = recorded.size
    while low < high:
        middle = (low + high) >> 1
        row = recorded[middle]
        ns = row["request_ns"] if from_request else row["venue_ns"]
        if ns <= at_ns:
            low = middle + 1
        else:
            high = middle
    return low - 1


@njit
def _interpolated(recorded: NDArray[Any], from_request: bool, at_ns: int) -> int:
    """Return the way to the venue of what is sent at `at_ns`, or the answer's way back."""
    i = _row_before(recorded, from_request, at_ns)
    a = recorded[max(i, 0)]
    b = recorded[min(i + 1, recorded.size - 1)]
    if from_request:
        t = a["request_ns"]
        first = a["venue_ns"] - t
        span = b["request_ns"] - t
        second = b["venue_ns"] - b["request_ns"]
    else:
        t = a["venue_ns"]
        first = a["response_ns"] - t
        span = b["venue_ns"] - t
        second = b["response_ns"] - b["venue_ns"]
    if i < 0 or span <= 0:
        return int(first)
    return int(first) + int((second - first) / span * (at_ns - t))


@njit
def entry_delay_ns(
    sim: NDArray[Any], params: NDArray[Any], recorded: NDArray[Any], now_ns: int
) -> int:
    """Return how long an order or an amendment sent at `now_ns` is on its way.

    Parameters
    ----------
    sim : ndarray of state.SIMULATOR_STATE, shape (1,)
        Its generator moves where the latency is jittered.
    params : ndarray of state.SIMULATOR_PARAMS, shape (1,)
    recorded : ndarray of state.RECORDED_LATENCY, shape (n,)
        In order of time; empty: the parameters tell.
    now_ns : int
    """
    if recorded.size > 0:
        return _interpolated(recorded, True, now_ns)
    p = params[0]
    return _jittered(sim, p["entry_latency_ns"], p["entry_jitter"])


@njit
def cancel_delay_ns(
    sim: NDArray[Any], params: NDArray[Any], recorded: NDArray[Any], now_ns: int
) -> int:
    """Return how long a cancellation is on its way; everything else as in entry_delay_ns."""
    if recorded.size > 0:
        return _interpolated(recorded, True, now_ns)
    p = params[0]
    return _jittered(sim, p["cancel_latency_ns"], p["cancel_jitter"])


@njit
def venue_time_ns(sim: NDArray[Any], now_ns: int, venue_ns: int) -> int:
    """Return the venue's time of what is seen at `now_ns`, on the clock of the book's messages.

    Parameters
    ----------
    sim : ndarray of state.SIMULATOR_STATE, shape (1,)
    now_ns : int
    venue_ns : int
        As told. Where it is not (0), or by another clock than ours or the book's, the event is
        as late as the book's last message.
    """
    s = sim[0]
    if venue_ns > 0 and now_ns - venue_ns < _ONE_CLOCK_NS and s["clock"] != _UNTIMED:
        return venue_ns
    at: int = now_ns - s["feed_latency_ns"] + s["clock_ahead_ns"]
    return at


@njit
def note_feed(sim: NDArray[Any], now_ns: int, venue_ns: int) -> int:
    """Measure how late a message of the book is seen; return the venue's time of it.

    How late it is say its own two times alone. One that is seen before it was made says how far
    the venue's clock is ahead of ours. One that does not tell when it was made is as late as the
    one before, and where `now_ns` is earlier than the latest seen it counts as seen at that one.
    """
    s = sim[0]
    if venue_ns > 0 and now_ns - venue_ns < _ONE_CLOCK_NS:
        s["clock"] = _TIMED
        s["feed_latency_ns"] = max(now_ns - venue_ns, 0)
        s["clock_ahead_ns"] = max(venue_ns - now_ns, 0)
        return venue_ns
    if s["clock"] != _TIMED:
        s["clock"] = _UNTIMED
    return venue_time_ns(sim, max(now_ns, s["now_ns"]), venue_ns)


@njit
def _note_unheard(sim: NDArray[Any], side: int, price_ticks: int) -> None:
    """Remember that the trader still counts on an order at this side and price.

    Where there is no room the oldest is forgotten: it is known soonest.
    """
    s = sim[0]
    if side == 0:  # a refused request may have none
        return
    at = s["unheard"]
    if at == MAX_ORDERS:
        at -= 1
        for i in range(at):
            s["unheard_known_ns"][i] = s["unheard_known_ns"][i + 1]
            s["unheard_side"][i] = s["unheard_side"][i + 1]
            s["unheard_ticks"][i] = s["unheard_ticks"][i + 1]
    s["unheard_known_ns"][at] = s["known_ns"]
    s["unheard_side"][at] = side
    s["unheard_ticks"][at] = price_ticks
    s["unheard"] = at + 1


@njit
def _note_late_fill(sim: NDArray[Any], order_id: int, lots: int) -> None:
    """Remember a fill that the trader does not know of yet; forget what he knows by now."""
    s = sim[0]
    known = 0
    while known < s["late_fills"] and s["late_known_ns"][known] <= s["heard_ns"]:
        known += 1
    if s["late_fills"] == MAX_LATE_FILLS and known == 0:
        known = 1  # the oldest is known soonest
    kept = s["late_fills"] - known
    for i in range(kept):
        s["late_known_ns"][i] = s["late_known_ns"][i + known]
        s["late_order_id"][i] = s["late_order_id"][i + known]
        s["late_lots"][i] = s["late_lots"][i + known]
    s["late_known_ns"][kept] = s["known_ns"]
    s["late_order_id"][kept] = order_id
    s["late_lots"][kept] = lots
    s["late_fills"] = kept + 1


@njit
def simulator_respond(
    sim: NDArray[Any], params: NDArray[Any], recorded: NDArray[Any], events: NDArray[Any], n: int
) -> None:
    """Set `known_ns` of the first `n` events: when the trader learns of what happened.

    The answers come in the order they were sent: none overtakes another. What happened on a
    market seen late (`feed_latency_ns`) happened that much earlier, so its answer may be known
    at once when the market's own news of it arrives. Until the trader hears that an order was
    filled, all of it or a part, or rejected, his quotes count on it (`reconcile_orders`); that it
    is told once more (`is_repeat`) is no news. What is known at once is heard later still by who is
    on another machine, so fills are noted whenever they are known.

    Parameters
    ----------
    sim : ndarray of state.SIMULATOR_STATE, shape (1,)
        Updated in place.
    params : ndarray of state.SIMULATOR_PARAMS, shape (1,)
    recorded : ndarray of state.RECORDED_LATENCY, shape (n,)
    events : ndarray of state.EVENT, shape (MAX_EVENTS,)
    n : int
    """
    s = sim[0]
    p = params[0]
    for i in range(n):
        e = events[i]
        if e["status"] == _NEW and e["template_id"] == _ORDER_UPDATE:
            e["known_ns"] = e["now_ns"]  # the trader's own doing
            continue
        venue_ns = e["now_ns"] - s["feed_latency_ns"]
        if recorded.size > 0:
            delay = _interpolated(recorded, False, venue_ns)
        else:
            delay = _jittered(sim, p["response_latency_ns"], p["response_jitter"])
        known = max(e["now_ns"], venue_ns + delay)
        s["known_ns"] = max(s["known_ns"], known)
        e["known_ns"] = s["known_ns"]
        if e["template_id"] != _ORDER_UPDATE:
            _note_late_fill(sim, e["order_id"], e["qty_lots"])
        elif e["is_repeat"] == 0:
            is_late_no = e["status"] == _REJECTED and e["known_ns"] > e["now_ns"]
            if e["status"] == _FILLED or is_late_no:
                _note_unheard(sim, e["side"], e["price_ticks"])
