"""Queue kernels: how many market lots stand before an own order at its price.

An order takes its place behind all that is displayed at its price. Then

- a trade printed there takes from the front: the order moves up by all of it, and what is left
  of the print when nobody stands before the order fills it;
- a fall of the displayed size beyond what was printed is cancellations. The share of them that
  stood behind the order is 1 in RISK_AVERSE (nobody ahead ever leaves), f(back) / (f(back) +
  f(ahead)) in PROB_POWER (f = x ** queue_power) and PROB_LOG (f = log(1 + x), x in lots), 0 in
  CANCEL_AHEAD. Formulas as in hftbacktest's queue models. A cancelled order stood behind or ahead,
  not a share of it: PROB_DRAW draws which (`queue_draw`);
- the estimate always lies between 0 and what is displayed.

A feed may tell of a trade after the level change that the trade caused. Such a print, not later
in the venue's time than the change, explains the change afterwards: what the change already took
off the queue ahead, the print does not take again. One not later than the book by which an order
took its place is in that book already. A book seen after an order's arrival but made before it
gives the order its place anew: whoever is in it stood there first.

FIFO_L3 knows each order of the market by its arrival and needs no estimate; CROSS has no queue.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import bare_njit as njit
from mmquant.codes import FillModel, OrderStatus
from mmquant.kernels.book_read import book_depth_at
from mmquant.kernels.queue_draw import drawn_behind, note_arrival

__all__ = [
    "UNKNOWN_AHEAD",
    "displayed_lots",
    "queue_enter",
    "queue_level",
    "queue_print",
    "share_behind",
]

_CROSS: Any = np.int64(FillModel.CROSS)
_RISK_AVERSE: Any = np.int64(FillModel.RISK_AVERSE)
_PROB_LOG: Any = np.int64(FillModel.PROB_LOG)
_FIFO_L3: Any = np.int64(FillModel.FIFO_L3)
_CANCEL_AHEAD: Any = np.int64(FillModel.CANCEL_AHEAD)
_PROB_DRAW: Any = np.int64(FillModel.PROB_DRAW)
_OPEN: Any = np.int64(OrderStatus.OPEN)
_LATE_NS = 10**9  # a print this much behind a level change no longer explains it
UNKNOWN_AHEAD = 2**53  # where the book says nothing of the order's price


@njit
def displayed_lots(book: NDArray[Any], side: int, price_ticks: int) -> int:
    """Return the lots displayed at a price of one side, -1 where the book does not know.

    Parameters
    ----------
    book : ndarray of state.BOOK, shape (1,)
    side, price_ticks : int
    """
    lots = book_depth_at(book, side, price_ticks)
    b = book[0]
    if lots == 0 and b["known_high_ticks"] > 0:
        known = b["known_low_ticks"] if side > 0 else b["known_high_ticks"]
        if side * (price_ticks - known) < 0:
            return -1
    return lots


@njit
def share_behind(model: int, power: float, ahead: float, back: float) -> float:
    """Return the share of cancelled lots that stood behind an order.

    Parameters
    ----------
    model : int
        codes.FillModel.
    power : float
        Of PROB_POWER.
    ahead, back : float
        Lots before and behind the order.
    """
    if model == _RISK_AVERSE:
        return 1.0
    if model == _CANCEL_AHEAD:
        return 0.0
    if ahead <= 0.0:
        return 1.0
    if back <= 0.0:
        return 0.0
    if model == _PROB_LOG:
        behind = math.log(1.0 + back)
        before = math.log(1.0 + ahead)
    else:
        behind = back**power
        before = ahead**power
    return behind / (behind + before)


@njit
def _not_overtaken(sim: NDArray[Any], index: int, ahead: float) -> float:
    """Return `ahead`, or as many lots as stand before an older own order at the price."""
    s = sim[0]
    order = s["orders"][index]
    for i in range(s["count"]):
        other = s["orders"][i]
        if other["status"] != _OPEN or other["side"] != order["side"]:
            continue
        is_older = other["queue_seq"] < order["queue_seq"]
        if other["price_ticks"] == order["price_ticks"] and is_older:
            ahead = max(ahead, other["ahead_lots"])
    return ahead


@njit
def queue_enter(sim: NDArray[Any], index: int, displayed: int, now_ns: int) -> None:
    """Let the order in slot `index` take its place behind the `displayed` lots (-1: unknown)."""
    s = sim[0]
    order = s["orders"][index]
    order["queue_seq"] = s["queue_seq"]
    s["queue_seq"] += 1
    ahead = _not_overtaken(sim, index, float(displayed))
    order["ahead_lots"] = ahead if displayed >= 0 else float(UNKNOWN_AHEAD)
    order["entry_ahead_lots"] = displayed
    order["displayed_lots"] = displayed
    order["traded_lots"] = 0
    order["unexplained_lots"] = 0
    order["cut_lots"] = 0.0
    order["decrease_ns"] = 0
    order["queued_ns"] = now_ns
    order["arrival_id"] = s["arrival_id"]
    order["arrivals"] = 0
    order["is_guessed"] = 0
    order["shown_ns"] = s["book_ns"]


@njit
def queue_level(
    sim: NDArray[Any], params: NDArray[Any], index: int, displayed: int, venue_ns: int
) -> None:
    """Take in what is displayed at the price of the order in slot `index` now (-1: unknown)."""
    order = sim[0]["orders"][index]
    before = order["displayed_lots"]
    traded = order["traded_lots"]
    if displayed < 0 or (displayed == before and traded == 0):
        return
    order["displayed_lots"] = displayed
    order["traded_lots"] = 0
    model = params[0]["fill_model"]
    if model in (_CROSS, _FIFO_L3):
        return
    if venue_ns <= order["there_ns"]:  # seen late: all of them stood there before it
        order["ahead_lots"] = float(displayed)
        order["entry_ahead_lots"] = displayed
        return
    ahead = order["ahead_lots"]
    gone = before - displayed - traded
    moved = ahead
    if before >= 0 and gone > 0:
        back = before - ahead
        if model == _PROB_DRAW:
            behind = drawn_behind(sim, index, ahead, back, gone, venue_ns, displayed)
        else:
            behind = share_behind(model, params[0]["queue_power"], ahead, back)
        moved = ahead - (1.0 - behind) * gone + min(back - behind * gone, 0.0)
    if model == _PROB_DRAW:
        if before >= 0 and gone < 0:
            note_arrival(sim, index, -gone)
        moved = _not_overtaken(sim, index, moved)
        if displayed == 0:  # nobody stands ahead, nor behind
            order["arrivals"] = 0
            order["is_guessed"] = 0
    moved = max(0.0, min(moved, float(displayed)))
    order["ahead_lots"] = moved
    if before >= 0 and gone > 0:
        if venue_ns - order["decrease_ns"] > _LATE_NS:
            order["unexplained_lots"] = 0
            order["cut_lots"] = 0.0
        order["unexplained_lots"] += gone
        order["cut_lots"] += ahead - moved
        order["decrease_ns"] = venue_ns


@njit
def queue_print(
    sim: NDArray[Any], index: int, printed_lots: int, left_lots: int, venue_ns: int
) -> int:
    """Let a print at its price use up the queue before the order in slot `index`.

    Parameters
    ----------
    sim : ndarray of state.SIMULATOR_STATE, shape (1,)
        Updated in place.
    index : int
    printed_lots : int
        The print, which left the displayed size.
    left_lots : int
        What older own orders have left of it, which moves this one up.
    venue_ns : int
        When the venue matched it. Not later than the order's arrival, or than the book by which
        it took its place: that book shows the print already, which moves nothing.

    Returns
    -------
    int
        What is left of the print for the order, to the nearest lot.
    """
    order = sim[0]["orders"][index]
    if venue_ns <= max(order["there_ns"], order["shown_ns"]):
        return 0
    late = 0
    excused = 0.0
    if order["unexplained_lots"] > 0:
        if venue_ns > order["decrease_ns"] or order["decrease_ns"] - venue_ns > _LATE_NS:
            order["unexplained_lots"] = 0
            order["cut_lots"] = 0.0
        else:
            late = min(printed_lots, order["unexplained_lots"])
            excused = min(float(late), order["cut_lots"])
            order["unexplained_lots"] -= late
            order["cut_lots"] -= excused
    order["traded_lots"] += printed_lots - late
    taken = max(0.0, left_lots - excused)
    ahead = order["ahead_lots"]
    order["ahead_lots"] = max(0.0, ahead - taken)
    return int(max(0.0, math.floor(taken - ahead + 0.5)))
