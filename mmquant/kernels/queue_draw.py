"""On which side of an own order a cancellation stood: drawn, by odds that the sizes sharpen.

A cancelled order stood ahead of an own order or behind it, not a share of it here and there. How
many stand on each side gives the odds before anything else is known: behind, those that came
while it rested; ahead, the lots there divided by the mean size of what comes, and one more, for
the first of a queue is filled in part already (exact where sizes are exponential).

The size tells more: what came behind is known one by one, so a cancellation of just such a size
probably is one of those, and one of another size is not. How much that is worth depends on the
feed: one that tells of each change by itself gives sizes away, one that tells of 100 ms at once
mixes them. So it is measured while trading, where the answer is certain:

- of the cancellations larger than all that stood ahead (where that rests on no draw), hence
  behind, the share whose size was known (`endings_known` of `endings`) is the chance of a known
  size behind;
- of the arrivals, the share whose size stood there already (`arrivals_alike` of `arrivals`) is
  the chance of a known size for an order that is any other: one ahead.

Bayes' rule puts both together. Where they are the same, sizes say nothing and the numbers decide.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import bare_njit as njit
from mmquant.kernels.latency import uniform
from mmquant.state import MAX_ARRIVALS

__all__ = ["drawn_behind", "note_arrival"]

_ROUNDS = 4  # of the generator, to mix what identifies a change


@njit
def _known(sim: NDArray[Any], index: int, lots: int) -> int:
    """Return the place of a size among those behind the order in slot `index`, -1 without."""
    order = sim[0]["orders"][index]
    for i in range(order["arrivals"]):
        if order["arrival_lots"][i] == lots:
            return i
    return -1


@njit
def _forget(sim: NDArray[Any], index: int, at: int) -> None:
    """Drop one size."""
    order = sim[0]["orders"][index]
    last = order["arrivals"] - 1
    for i in range(at, last):
        order["arrival_lots"][i] = order["arrival_lots"][i + 1]
    order["arrivals"] = last


@njit
def note_arrival(sim: NDArray[Any], index: int, lots: int) -> None:
    """Keep the size of what has come behind the order in slot `index`.

    Parameters
    ----------
    sim : ndarray of state.SIMULATOR_STATE, shape (1,)
        Updated in place.
    index, lots : int
    """
    s = sim[0]
    order = s["orders"][index]
    s["arrivals"] += 1
    s["arrived_lots"] += lots
    if _known(sim, index, lots) >= 0:
        s["arrivals_alike"] += 1
    if order["arrivals"] == MAX_ARRIVALS:
        _forget(sim, index, 0)
    order["arrival_lots"][order["arrivals"]] = lots
    order["arrivals"] += 1


@njit
def _uniform_of(venue_ns: int, price_ticks: int, displayed: int) -> float:
    """Return a number in [0, 1) that a change of a level stands for."""
    x = np.uint64(venue_ns) ^ np.uint64(price_ticks) << np.uint64(40)
    x = x ^ np.uint64(displayed) << np.uint64(20) | np.uint64(1)
    u = 0.0
    for _ in range(_ROUNDS):
        x, u = uniform(x)
    return u


@njit
def drawn_behind(
    sim: NDArray[Any],
    index: int,
    ahead: float,
    back: float,
    gone: int,
    venue_ns: int,
    displayed: int,
) -> float:
    """Return whether cancelled lots stood behind the order in slot `index`, 1.0, or ahead, 0.0.

    Drawn from the change itself, so that every run is the same. More than stood on one side was
    on the other.

    Parameters
    ----------
    sim : ndarray of state.SIMULATOR_STATE, shape (1,)
        What is known of sizes is updated.
    index : int
    ahead, back : float
        Lots before and behind the order.
    gone : int
        Lots cancelled.
    venue_ns, displayed : int
        Time of the change, and the lots displayed after it.
    """
    s = sim[0]
    at = _known(sim, index, gone)
    is_known = at >= 0
    if gone > back:
        return 1.0 if gone > ahead else 0.0  # more than one order, or one ahead
    if gone > ahead:
        # A level that vanishes at once is many orders, and a guess proves nothing.
        if displayed > 0 and s["orders"][index]["is_guessed"] == 0:
            s["endings"] += 1
            s["endings_known"] += 1 if is_known else 0
        if is_known:
            _forget(sim, index, at)
        return 1.0
    s["orders"][index]["is_guessed"] = 1
    # A quarter of a case each way before anything was seen: then the sizes say nothing.
    chance_behind = (s["endings_known"] + 0.25) / (s["endings"] + 0.5)
    chance_ahead = (s["arrivals_alike"] + 0.25) / (s["arrivals"] + 0.5)
    if not is_known:
        chance_behind = 1.0 - chance_behind
        chance_ahead = 1.0 - chance_ahead
    order = s["orders"][index]
    behind = max(order["arrivals"], 1) * chance_behind
    before = (1.0 + ahead * s["arrivals"] / max(s["arrived_lots"], 1)) * chance_ahead
    u = _uniform_of(venue_ns, order["price_ticks"], displayed)
    if u * (behind + before) < before:
        return 0.0
    if is_known:
        _forget(sim, index, at)
    return 1.0
