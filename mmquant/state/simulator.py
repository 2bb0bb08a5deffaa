"""Parameters and state of the simulator, and what its kernels report."""

from mmquant.records import record
from mmquant.state.trading import MAX_ORDERS

__all__ = ["EVENT", "ORDER", "SIMULATOR_PARAMS", "SIMULATOR_STATE"]

ORDER = record(
    [
        ("order_id", "<i8"),
        ("quotes_seq", "<i8"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("filled_lots", "<i8"),
        ("active_ns", "<i8"),  # when it reaches the venue
        ("cancel_ns", "<i8"),  # when its cancellation does, NEVER_NS without one
        ("side", "<i8"),
        ("status", "<i8"),
        ("reason", "<i8"),  # of the cancellation
    ],
    80,
)
SIMULATOR_PARAMS = record(
    [
        ("entry_latency_ns", "<i8"),
        ("cancel_latency_ns", "<i8"),
        ("markout_horizon_ns", "<i8"),
        ("max_orders", "<i8"),
        ("maker_fee_ppm", "<i8"),  # millionths of the notional, negative = rebate
        ("taker_fee_ppm", "<i8"),  # of an order that takes; post-only orders never do
        ("fill_probability_factor", "<f8"),
    ],
    56,
)
SIMULATOR_STATE = record(
    [
        ("now_ns", "<i8"),
        ("next_due_ns", "<i8"),  # no entry or cancellation arrives before this
        ("next_order_id", "<i8"),
        ("random", "<u8"),  # never 0
        ("bid_ticks", "<i8"),
        ("bid_lots", "<i8"),
        ("ask_ticks", "<i8"),
        ("ask_lots", "<i8"),
        ("used_lots", "<i8", (2,)),  # of the ask and of the bid, at their present price
        ("mark_half_ticks", "<i8"),
        ("instrument_id", "<i8"),
        ("epoch", "<i8"),
        ("count", "<i8"),  # orders alive: the first ones of the table, the oldest first
        ("orders", ORDER, (MAX_ORDERS + 1,)),  # one more to report a rejected order from
    ],
    5312,
)
# What a simulator kernel reports: fields named as in ORDER_UPDATE and FILL, 0 where unused.
EVENT = record(
    [
        ("now_ns", "<i8"),  # when it happened
        ("instrument_id", "<u4"),
        ("epoch", "<u4"),
        ("order_id", "<i8"),
        ("quotes_seq", "<i8"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("filled_lots", "<i8"),
        ("fill_id", "<i8"),
        ("fee_micro_tick_lots", "<i8"),
        ("mark_half_ticks", "<i8"),
        ("trade_id", "<i8"),
        ("position_lots", "<i8"),
        ("template_id", "<u2"),  # Template.ORDER_UPDATE or Template.FILL
        ("side", "<i2"),
        ("status", "<u2"),
        ("reason", "<u2"),
        ("kind", "<u2"),
        ("liquidity", "<u2"),
        ("reserved", "<u2", (2,)),
    ],
    112,
)
