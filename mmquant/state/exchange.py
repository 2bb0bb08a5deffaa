"""State of the exchange of individual orders (mmquant/market.py), and the events it writes."""

from mmquant.records import record

__all__ = ["EXCHANGE_EVENT", "EXCHANGE_ORDER", "EXCHANGE_ORDERS", "EXCHANGE_QUEUES", "OWN_FILL"]

EXCHANGE_ORDERS = 8192  # alive at once
_RING_TICKS = 4096

EXCHANGE_ORDER = record(
    [
        ("order_id", "<i8"),
        ("side", "<i8"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),  # left
        ("next", "<i8"),  # the one behind in its queue (or the next free slot), 0 without one
        ("previous", "<i8"),  # the one ahead
        ("is_own", "<i8"),
        ("entry_ahead_lots", "<i8"),  # in front of it when it came
        ("placed_ns", "<i8"),
    ],
    72,
)
# One queue a price, slot `tick & RING_MASK`; orders are named by their slot from 1 on.
EXCHANGE_QUEUES = record(
    [
        ("now_ns", "<i8"),  # time of what is being written
        ("next_order_id", "<i8"),
        ("free", "<i8"),  # first slot that is free again
        ("used", "<i8"),  # slots used so far
        ("refused", "<i8"),  # orders for which there was no slot
        ("first", "<i8", (_RING_TICKS,)),
        ("last", "<i8", (_RING_TICKS,)),
        ("own_lots", "<i8", (_RING_TICKS,)),
        ("orders", EXCHANGE_ORDER, (EXCHANGE_ORDERS + 1,)),
    ],
    40 + 3 * 8 * _RING_TICKS + 72 * (EXCHANGE_ORDERS + 1),
)
# One row of the int64 array the exchange kernels write. The first six fields are those of
# MARKET_EVENT; a trade names the resting order that it filled, an added or cancelled order itself.
EXCHANGE_EVENT = record(
    [
        ("kind", "<i8"),
        ("time_ns", "<i8"),
        ("update_id", "<i8"),
        ("side", "<i8"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("order_id", "<i8"),  # 0 for a level change
        ("is_own", "<i8"),
    ],
    64,
)
OWN_FILL = record(
    [
        ("time_ns", "<i8"),
        ("order_id", "<i8"),
        ("side", "<i8"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("placed_ns", "<i8"),
        ("entry_ahead_lots", "<i8"),
    ],
    56,
)
