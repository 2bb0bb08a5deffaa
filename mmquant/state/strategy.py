"""Parameters, inputs and state of the strategy."""

from mmquant.records import record
from mmquant.state.trading import MAX_LEVELS

__all__ = [
    "FILLS_KEPT",
    "MINUTE_SLOTS",
    "STRATEGY_COUNTS",
    "STRATEGY_INPUTS",
    "STRATEGY_PARAMS",
    "STRATEGY_STATE",
]

FILLS_KEPT = 64  # the newest, for burst and markout; a power of two
MINUTE_SLOTS = 64  # seconds of profit kept; a power of two, at least 61

STRATEGY_PARAMS = record(
    [
        ("horizon_s", "<f8"),
        ("arrival_rate_per_s", "<f8"),
        ("arrival_decay_per_tick", "<f8"),
        ("max_volatility_ratio", "<f8"),
        ("volatility_baseline_ns", "<i8"),
        # orders
        ("order_lots", "<i8"),
        ("soft_limit_lots", "<i8"),  # from here on the side that adds fades linearly
        ("position_limit_lots", "<i8"),
        ("levels", "<i8"),
        ("spacing_ticks", "<i8"),
        ("spacing_ppm", "<i8"),  # of the mid, where more than spacing_ticks
        ("spacing_permille", "<i8"),  # each distance to the one before; 1000: arithmetic
        ("size_step_permille", "<i8"),  # added to each size, of the first one; 0: constant
        ("size_permille", "<i8"),  # each size to the one before; 1000: not geometric
        ("requote_ticks", "<i8"),  # a price moves only if it would move by this much
        ("min_life_ns", "<i8"),  # and only if it has stood as long as this
        ("order_ns", "<i8"),  # an order token comes each
        ("order_burst_ns", "<i8"),  # tokens kept, in their time
        ("cancel_ns", "<i8"),
        ("cancel_burst_ns", "<i8"),
        # gates
        ("min_spread_ticks", "<i8"),
        ("max_spread_ticks", "<i8"),
        ("min_own_spread_ticks", "<i8"),
        ("max_own_spread_ticks", "<i8"),
        ("max_book_age_ns", "<i8"),
        ("max_lag_ns", "<i8"),
        ("max_simulator_lag_ns", "<i8"),
        ("max_skew_ns", "<i8"),
        ("collar_ppm", "<i8"),
        ("max_open_orders", "<i8"),
        ("max_open_tick_lots", "<i8"),
        ("max_session_loss_half_tick_lots", "<i8"),
        ("max_drawdown_half_tick_lots", "<i8"),
        ("max_minute_loss_half_tick_lots", "<i8"),
        ("max_fills", "<i8"),  # within fill_window_ns, at most FILLS_KEPT
        ("fill_window_ns", "<i8"),
        ("markout_fills", "<i8"),  # judged together, at most FILLS_KEPT
        ("markout_ns", "<i8"),
        ("max_adverse_half_ticks", "<i8"),
        ("pause_ns", "<i8"),  # of a gate that is released by time
    ],
    320,
)
# What the strategy is told beside the pricing message. Times of its own clock, in ns.
STRATEGY_INPUTS = record(
    [
        ("now_ns", "<i8"),
        ("heard_ns", "<i8"),  # when the pricing message came
        ("position_lots", "<i8"),
        ("position_known", "<i8"),  # 1 if so, as below
        ("upstream_ok", "<i8"),
        ("halt_reason", "<i8"),  # latched from outside (kill switch, an earlier run), 0: none
        ("trade_ticks", "<i8"),  # last trade's price, 0: none yet
        ("open_orders", "<i8"),  # ours at the venue, as reported
        ("open_tick_lots", "<i8"),
        ("simulator_lag_ns", "<i8"),  # age of the market it matched last, as it says
    ],
    80,
)
# What a step alone can change comes first: it tells whether a decision has left its state the same.
STRATEGY_STATE = record(
    [
        ("started", "<i8"),  # 0 before the first step
        ("now_ns", "<i8"),  # the market's clock, never backwards
        ("bid_ticks", "<i8"),  # best price before the levels were filtered, 0: not quoted
        ("ask_ticks", "<i8"),
        ("bid_since_ns", "<i8"),
        ("ask_since_ns", "<i8"),
        ("position_lots", "<i8"),
        ("reason", "<i8"),
        ("bid_reason", "<i8"),
        ("ask_reason", "<i8"),
        ("risk_state", "<i8"),
        ("risk_reason", "<i8"),
        ("min_tick_lots", "<i8"),  # kept for the filters below
        ("max_tick_lots", "<i8"),
        ("min_notional_e8", "<i8"),
        ("max_notional_e8", "<i8"),
        ("tick_size_e8", "<i8"),
        ("lot_size_e8", "<i8"),
        ("book_ids", "<i8", (2,)),  # of the newest book, and when it came
        ("book_ns", "<i8"),
        ("order_tokens_ns", "<i8"),
        ("cancel_tokens_ns", "<i8"),
        ("tokens_at_ns", "<i8"),
        ("lowest_ticks", "<i8"),  # of the prices that the collar was asked about last
        ("highest_ticks", "<i8"),
        # latches
        ("halt_reason", "<i8"),
        ("pause_reason", "<i8"),
        ("pause_until_ns", "<i8"),
        # volatility, as it usually is
        ("baseline", "<f8"),
        ("baseline_from_ns", "<i8"),
        ("baseline_at_ns", "<i8"),
        # fills
        ("fills", "<i8"),
        ("matured", "<i8"),
        ("markout_from", "<i8"),  # fills before this one are judged no more
        # money, in half tick-lots after fees
        ("session_started", "<i8"),
        ("profit", "<i8"),
        ("session_start_profit", "<i8"),
        ("peak_profit", "<i8"),
        ("minute_second", "<i8"),
        # None of these changes in a step unless a count or a pause above, or its answer, tells it.
        ("minute_profit", "<i8", (MINUTE_SLOTS,)),  # the most within each second
        ("fill_ns", "<i8", (FILLS_KEPT,)),
        ("fill_signed_lots", "<i8", (FILLS_KEPT,)),
        ("fill_half_ticks", "<i8", (FILLS_KEPT,)),  # the mark at the fill
        ("move_lots", "<i8", (FILLS_KEPT,)),  # of the fills that are old enough: their size,
        ("move_half_ticks", "<i8", (FILLS_KEPT,)),  # and the move since, in our favour
        ("price_ticks", "<i8", (2 * MAX_LEVELS,)),  # the orders wanted last
        ("qty_lots", "<i8", (2 * MAX_LEVELS,)),
    ],
    8 * (40 + MINUTE_SLOTS + 5 * FILLS_KEPT + 4 * MAX_LEVELS),
)
STRATEGY_COUNTS = 40  # words before the tables
