"""Parameters and state of the synthetic market (mmquant/market.py), and the events it writes."""

from mmquant.records import record

__all__ = ["MARKET_EVENT", "MARKET_PARAMETERS", "MARKET_STATE"]

MARKET_PARAMETERS = record(
    [
        ("volatility_ticks_per_sqrt_s", "<f8"),
        ("log_volatility_sd", "<f8"),
        ("volatility_memory_s", "<f8"),
        ("limit_rate_per_s", "<f8"),
        ("near_share", "<f8"),
        ("near_ticks", "<f8"),
        ("far_ticks", "<f8"),
        ("cancel_rate_per_s", "<f8"),
        ("fade_rate_per_tick_s", "<f8"),
        ("chase_rate_per_tick_s", "<f8"),
        ("half_spread_ticks", "<f8"),
        ("market_rate_per_s", "<f8"),
        ("informed_per_tick", "<f8"),
        ("excitation_per_s", "<f8"),
        ("cross_excitation_per_s", "<f8"),
        ("excitation_decay_per_s", "<f8"),
        ("order_lots", "<f8"),
        ("order_log_sd", "<f8"),
        ("market_lots", "<f8"),
        ("market_log_sd", "<f8"),
        ("depth_ticks", "<i8"),
        ("max_spread_ticks", "<i8"),
        ("max_sweep_ticks", "<i8"),
        ("min_levels", "<i8"),
    ],
    192,
)
MARKET_STATE = record(
    [
        ("random_0", "<u8"),
        ("random_1", "<u8"),
        ("now_ns", "<i8"),  # time of the last candidate event
        ("next_ns", "<i8"),  # time of the next one, drawn already
        ("update_id", "<i8"),
        ("best_bid_ticks", "<i8"),
        ("best_ask_ticks", "<i8"),
        ("bid_levels", "<i8"),
        ("ask_levels", "<i8"),
        ("bid_orders", "<i8"),
        ("ask_orders", "<i8"),
        ("latent_ticks", "<f8"),
        ("log_volatility", "<f8"),  # log of the volatility over its long-run value
        ("buy_excitation_per_s", "<f8"),
        ("sell_excitation_per_s", "<f8"),
        # intensities from now_ns to next_ns, events per second
        ("limit_rate", "<f8"),
        ("cancel_rate", "<f8"),
        ("fade_bid_rate", "<f8"),
        ("fade_ask_rate", "<f8"),
        ("chase_bid_rate", "<f8"),
        ("chase_ask_rate", "<f8"),
        ("buy_rate", "<f8"),
        ("sell_rate", "<f8"),
        ("total_rate", "<f8"),
    ],
    192,
)
# One row of the int64 array the market kernels write; side is the book's side of a level
# change and the aggressor of a trade; qty_lots is absolute for a level, the fill of a trade.
MARKET_EVENT = record(
    [
        ("kind", "<i8"),
        ("time_ns", "<i8"),
        ("update_id", "<i8"),
        ("side", "<i8"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
    ],
    48,
)
