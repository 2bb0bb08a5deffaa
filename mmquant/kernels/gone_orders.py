"""Gone orders: cancelled ones that a trade may still fill, matched before and seen after.

They stand behind the own orders alive in the same table, from slot GONE_FROM on, in no order, as
they were when their cancellation arrived. Trades are told in the order in which they were matched,
so one matched later than a cancellation says that none from before it is still to come.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import bare_njit as njit
from mmquant.codes import OrderStatus
from mmquant.state import GONE_FROM, MAX_GONE

__all__ = ["drop_gone", "forget_gone", "keep_gone"]

_CANCELLED: Any = np.int64(OrderStatus.CANCELLED)


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
def keep_gone(sim: NDArray[Any], index: int, reason: int, now_ns: int) -> None:
    """Keep the order in slot `index`, which rested until now, among the gone ones.

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
    order["status"] = _CANCELLED
    order["reason"] = reason
    order["cancel_ns"] = now_ns


@njit
def drop_gone(sim: NDArray[Any], slot: int) -> None:
    """Forget the gone order in `slot`; the last one takes it."""
    s = sim[0]
    s["gone"] -= 1
    last = GONE_FROM + s["gone"]
    if slot != last:
        s["orders"][slot] = s["orders"][last]


@njit
def forget_gone(sim: NDArray[Any], venue_ns: int) -> None:
    """Forget the gone orders that had left the venue before it matched what is seen now."""
    s = sim[0]
    slot = GONE_FROM
    while slot < GONE_FROM + s["gone"]:
        if s["orders"][slot]["cancel_there_ns"] < venue_ns:
            drop_gone(sim, slot)
        else:
            slot += 1
