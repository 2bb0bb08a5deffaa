"""Gone orders: as they were before a cancellation or an amendment, for what is seen too late.

What the venue did before a cancellation or an amendment arrived there met the order as it was,
however late it is seen. So each is kept as it was then, behind the own orders alive in the same
table, from slot GONE_FROM on, in no order. `filled_lots` is what the venue had filled of it by
then, as far as is known, `last_*` what has become of the order since: its price and quantity now,
and all that is filled of it.

Trades are told in the order in which they were matched, so one matched later than the venue let
an order go says that none from before it is still to come.
"""

from typing import Any

from numpy.typing import NDArray

from mmquant._jit import bare_njit as njit
from mmquant.state import GONE_FROM, MAX_GONE

__all__ = ["drop_order", "fill_gone_lots", "forget_gone", "keep_gone", "tell_gone"]


@njit
def _oldest_gone(sim: NDArray[Any]) -> int:
    """Return the slot of the gone order that left the venue first."""
    orders = sim[0]["orders"]
    found = GONE_FROM
    for slot in range(GONE_FROM + 1, GONE_FROM + MAX_GONE):
        order, first = orders[slot], orders[found]
        is_same = order["cancel_there_ns"] == first["cancel_there_ns"]
        is_older = is_same and order["queue_seq"] < first["queue_seq"]
        if order["cancel_there_ns"] < first["cancel_there_ns"] or is_older:
            found = slot
    return found


@njit
def keep_gone(sim: NDArray[Any], index: int, there_ns: int, now_ns: int) -> None:
    """Keep the order in slot `index` as it rested until now, at the venue until `there_ns`.

    Where there is no room it takes the place of the oldest.
    """
    s = sim[0]
    if s["gone"] < MAX_GONE:
        slot = GONE_FROM + s["gone"]
        s["gone"] += 1
    else:
        slot = _oldest_gone(sim)
    s["orders"][slot] = s["orders"][index]
    order = s["orders"][slot]
    order["cancel_ns"] = now_ns
    order["cancel_there_ns"] = there_ns
    s["gone_there_ns"] = max(s["gone_there_ns"], there_ns)


@njit
def tell_gone(sim: NDArray[Any], index: int) -> None:
    """Tell those kept of the order in slot `index` what has become of it."""
    s = sim[0]
    order = s["orders"][index]
    for slot in range(GONE_FROM, GONE_FROM + s["gone"]):
        other = s["orders"][slot]
        if other["order_id"] == order["order_id"]:
            other["status"] = order["status"]
            other["reason"] = order["reason"]
            other["last_price_ticks"] = order["price_ticks"]
            other["last_qty_lots"] = order["qty_lots"]
            other["last_filled_lots"] = order["filled_lots"]


@njit
def fill_gone_lots(sim: NDArray[Any], slot: int, qty_lots: int) -> int:
    """Fill the gone order in `slot`; return how many of the lots are new to the order.

    At the venue these lots came before all that was filled of the order later, which had so much
    less left for it. What was told of that is not taken back, so they are new only where the order
    is not filled yet of all it may be: what it wants by now, or was filled of before it wanted
    less; no more than it was, where that is full.
    """
    s = sim[0]
    order = s["orders"][slot]
    order["filled_lots"] += qty_lots
    most = order["filled_lots"]
    if most < order["qty_lots"]:
        most = max(most, order["last_qty_lots"])
    new = max(0, min(qty_lots, most - order["last_filled_lots"]))
    for other_slot in range(GONE_FROM, GONE_FROM + s["gone"]):
        other = s["orders"][other_slot]
        if other["order_id"] != order["order_id"]:
            continue
        if other_slot != slot and other["cancel_there_ns"] >= order["cancel_there_ns"]:
            other["filled_lots"] += qty_lots
        other["last_filled_lots"] += new
        other["last_qty_lots"] = max(other["last_qty_lots"], other["last_filled_lots"])
    return int(new)


@njit
def _drop_gone(sim: NDArray[Any], slot: int) -> None:
    """Forget the gone order in `slot`; the last one takes it."""
    s = sim[0]
    s["gone"] -= 1
    last = GONE_FROM + s["gone"]
    if slot != last:
        s["orders"][slot] = s["orders"][last]


@njit
def drop_order(sim: NDArray[Any], order_id: int) -> None:
    """Forget all that is kept of an order: nothing of it can be filled any more."""
    s = sim[0]
    slot = GONE_FROM
    while slot < GONE_FROM + s["gone"]:
        if s["orders"][slot]["order_id"] == order_id:
            _drop_gone(sim, slot)
        else:
            slot += 1


@njit
def forget_gone(sim: NDArray[Any], venue_ns: int) -> None:
    """Forget the gone orders that had left the venue before it matched what is seen now."""
    s = sim[0]
    slot = GONE_FROM
    while slot < GONE_FROM + s["gone"]:
        if s["orders"][slot]["cancel_there_ns"] < venue_ns:
            _drop_gone(sim, slot)
        else:
            slot += 1
