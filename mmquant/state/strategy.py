"""Parameters and state of the strategy."""

from mmquant.records import record
from mmquant.state.trading import MAX_LEVELS

__all__ = ["STRATEGY_PARAMS", "STRATEGY_STATE"]

STRATEGY_PARAMS = record(
    [
        ("min_half_spread_ticks", "<f8"),
        ("volatility_multiple", "<f8"),
        ("horizon_s", "<f8"),
        ("drift_weight", "<f8"),
        ("inventory_skew", "<f8"),
        ("order_lots", "<i8"),
        ("position_limit_lots", "<i8"),
        ("levels", "<i8"),
        ("level_spacing_ticks", "<i8"),
        ("requote_ticks", "<i8"),  # a price moves only if it would move by this much
        ("max_spread_ticks", "<i8"),
    ],
    88,
)
STRATEGY_STATE = record(
    [
        ("started", "<i8"),  # 0 before the first step
        ("bid_ticks", "<i8"),  # best price quoted last, 0 where that side was not quoted
        ("ask_ticks", "<i8"),
        ("position_lots", "<i8"),
        ("reason", "<i8"),
        ("bid_reason", "<i8"),
        ("ask_reason", "<i8"),
        ("min_tick_lots", "<i8"),  # the least notional, kept for these three filters
        ("min_notional_e8", "<i8"),
        ("tick_size_e8", "<i8"),
        ("lot_size_e8", "<i8"),
        ("price_ticks", "<i8", (2 * MAX_LEVELS,)),
        ("qty_lots", "<i8", (2 * MAX_LEVELS,)),
    ],
    600,
)
