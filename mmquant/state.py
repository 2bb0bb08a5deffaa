"""Every kernel's state and parameters as structured dtypes, declared once, with asserted sizes.

State is a one-element array of one of these, changed in place by the kernels. Its bytes are its
snapshot.
"""

from mmquant.records import record

__all__ = [
    "ACCOUNT",
    "BAR",
    "BOOK",
    "BOOK_RING_TICKS",
    "BOOK_TAIL_LEVELS",
    "BOOK_TAIL_SLOTS",
    "BOOK_TOUCH",
    "EVENT",
    "EWMA",
    "EWMA_MOMENTS",
    "FRAME",
    "MARKET_EVENT",
    "MARKET_PARAMETERS",
    "MARKET_STATE",
    "MAX_EVENTS",
    "MAX_LEVELS",
    "MAX_MARKOUTS",
    "MAX_ORDERS",
    "NEVER_NS",
    "ORDER",
    "PRICING_PARAMS",
    "PRICING_STATE",
    "SIMULATOR_PARAMS",
    "SIMULATOR_STATE",
    "STRATEGY_PARAMS",
    "STRATEGY_STATE",
    "SYMBOL",
    "TRADE_FLOW",
    "VOLATILITY",
]

# ---- trading state ----
# Strategy, simulated orders and the account. A ladder is an array of 2 * MAX_LEVELS LEVEL
# entries: bids from index 0 and asks from MAX_LEVELS, best first, 0 lots = nothing quoted.

MAX_LEVELS = 16  # a side
MAX_ORDERS = 64  # own orders alive at once
# One call ends at most MAX_ORDERS orders that it found (opened, filled, reported, cancelled)
# and enters 2 * MAX_LEVELS new ones.
MAX_EVENTS = 4 * MAX_ORDERS + 2 * 2 * MAX_LEVELS
MAX_MARKOUTS = 1024  # fills that wait for their markout; a power of two
NEVER_NS = 2**63 - 1

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
ACCOUNT = record(
    [
        ("now_ns", "<i8"),
        ("position_lots", "<i8"),
        ("cost_half_tick_lots", "<i8"),  # what the open position cost (negative when short)
        ("cash_half_tick_lots", "<i8"),
        ("mark_half_ticks", "<i8"),
        ("spread_half_tick_lots", "<i8"),
        ("adverse_selection_half_tick_lots", "<i8"),
        ("inventory_half_tick_lots", "<i8"),
        ("fees_micro_tick_lots", "<i8"),
        ("fills", "<i8"),
        ("last_fill_id", "<i8"),
        ("markouts", "<i8"),
        ("markouts_dropped", "<i8"),  # fills that will never have one
        ("waiting_first", "<i8"),
        ("waiting", "<i8"),
        ("waiting_due_ns", "<i8", (MAX_MARKOUTS,)),
        ("waiting_signed_lots", "<i8", (MAX_MARKOUTS,)),
        ("waiting_mark_half_ticks", "<i8", (MAX_MARKOUTS,)),
    ],
    24696,
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
# ---- end of trading state ----

# --- book and pricing state -----------------------------------------------------------------

BOOK_RING_TICKS = 65_536  # a power of two: the slot of a price is its low bits
BOOK_TAIL_LEVELS = 8_192  # a side, for levels outside the ring's window
BOOK_TAIL_SLOTS = 2 * BOOK_TAIL_LEVELS  # of the tail's hash table; a power of two

BOOK = record(
    [
        ("base_ticks", "<i8"),  # the ring holds prices in [base_ticks, end_ticks)
        ("end_ticks", "<i8"),
        ("best_bid_ticks", "<i8"),  # of the depth stream; kernels.book.NO_BID where none
        ("best_bid_lots", "<i8"),
        ("best_ask_ticks", "<i8"),  # kernels.book.NO_ASK where there is none
        ("best_ask_lots", "<i8"),
        ("bid_floor_ticks", "<i8"),  # no bid in the ring lies below: where a scan may stop
        ("ask_ceiling_ticks", "<i8"),  # no ask in the ring lies above
        ("tail_bids", "<i8"),  # levels in the tail
        ("tail_asks", "<i8"),
        ("tail_bids_sorted", "<i8"),  # 1: bid_tail_order lists the tail's prices as they are
        ("tail_asks_sorted", "<i8"),
        ("last_update_id", "<i8"),
        ("epoch", "<i8"),
        ("known_low_ticks", "<i8"),
        ("known_high_ticks", "<i8"),
        ("synced", "<i8"),  # 1: every update since the snapshot was applied
        ("book_state", "<i8"),
        ("bbo_update_id", "<i8"),  # overrides the touch while above last_update_id
        ("bbo_bid_ticks", "<i8"),
        ("bbo_bid_lots", "<i8"),
        ("bbo_ask_ticks", "<i8"),
        ("bbo_ask_lots", "<i8"),
        ("loads", "<i8"),  # counters, never reset
        ("updates", "<i8"),
        ("levels", "<i8"),
        ("bbos", "<i8"),
        ("ignored", "<i8"),
        ("gaps", "<i8"),
        ("crossed", "<i8"),
        ("bad_levels", "<i8"),
        ("reanchors", "<i8"),
        ("tail_evicted", "<i8"),
        ("bid_lots", "<i8", (BOOK_RING_TICKS,)),
        ("ask_lots", "<i8", (BOOK_RING_TICKS,)),
        ("bid_tail", "<i8", (2 * BOOK_TAIL_SLOTS,)),  # pairs of tick and lots
        ("ask_tail", "<i8", (2 * BOOK_TAIL_SLOTS,)),
        ("bid_tail_order", "<i8", (BOOK_TAIL_LEVELS,)),  # ascending
        ("ask_tail_order", "<i8", (BOOK_TAIL_LEVELS,)),
        ("moving_lots", "<i8", (BOOK_TAIL_LEVELS,)),  # scratch of a moving window
    ],
    33 * 8 + 2 * 8 * BOOK_RING_TICKS + 4 * 8 * BOOK_TAIL_SLOTS + 3 * 8 * BOOK_TAIL_LEVELS,
)
# The touch after each event of a path.
BOOK_TOUCH = record(
    [
        ("update_id", "<i8"),  # of the event
        ("code", "<i8"),  # BookCode of the event
        ("bid_ticks", "<i8"),
        ("bid_lots", "<i8"),
        ("ask_ticks", "<i8"),
        ("ask_lots", "<i8"),
    ],
    48,
)
BAR = record(
    [
        ("start_ns", "<i8"),  # of the interval for bars by time, else of the first trade
        ("end_ns", "<i8"),  # of the last trade
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("volume_lots", "<i8"),
        ("trades", "<i8"),
    ],
    64,
)
EWMA = record(
    [
        ("half_life_ns", "<i8"),
        ("adjust", "<i8"),  # 1: weights of samples, bias-corrected; 0: weights of time
        ("first_ns", "<i8"),
        ("ts_ns", "<i8"),
        ("num", "<f8"),  # decayed sum, and of what it is divided by
        ("den", "<f8"),
        ("samples", "<i8"),
    ],
    56,
)
EWMA_MOMENTS = record(
    [
        ("half_life_ns", "<i8"),
        ("first_ns", "<i8"),
        ("ts_ns", "<i8"),
        ("weight", "<f8"),  # decayed number of samples
        ("cross_weight", "<f8"),  # sum of w_i w_j over pairs i != j
        ("mean_x", "<f8"),
        ("mean_y", "<f8"),
        ("xx", "<f8"),  # decayed sums of products of deviations
        ("xy", "<f8"),
        ("yy", "<f8"),
        ("samples", "<i8"),
    ],
    88,
)
TRADE_FLOW = record(
    [
        ("half_life_ns", "<i8"),
        ("ts_ns", "<i8"),
        ("bought_lots", "<f8"),  # decayed sums
        ("sold_lots", "<f8"),
        ("trades", "<i8"),
    ],
    40,
)
VOLATILITY = record(
    [
        ("ts_ns", "<i8"),  # time and value the next return is measured from
        ("x_ticks", "<f8"),
        ("squares_ticks2", "<f8"),  # decayed sum of squared returns, and of the time they took
        ("squares_s", "<f8"),
        ("moves_ticks", "<f8"),  # decayed sum of returns, and of the time they took
        ("moves_s", "<f8"),
        ("observed_ns", "<i8"),  # time seen since the first sample, gaps left out
        ("samples", "<i8"),
        ("gaps", "<i8"),
    ],
    72,
)
PRICING_PARAMS = record(
    [
        ("volatility_half_life_ns", "<i8"),
        ("drift_half_life_ns", "<i8"),
        ("warmup_ns", "<i8"),
        ("max_gap_ns", "<i8"),
        ("microprice_weight", "<f8"),
    ],
    40,
)
PRICING_STATE = record(
    [
        ("volatility", VOLATILITY, (1,)),
        ("feed_ok", "<i8"),  # set from outside: the feed's heartbeats are fresh
        ("instrument_id", "<i8"),  # of the newest input, as are the times below
        ("epoch", "<i8"),
        ("frame_ns", "<i8"),
        ("collector_sent_ns", "<i8"),
        ("trade_id", "<i8"),
        ("bbo_epoch", "<i8"),
        ("bbo_update_id", "<i8"),
        ("bbo_bid_ticks", "<i8"),
        ("bbo_bid_lots", "<i8"),
        ("bbo_ask_ticks", "<i8"),
        ("bbo_ask_lots", "<i8"),
        ("published_bid_ticks", "<i8"),  # what the last PUBLISH or refresh showed
        ("published_bid_lots", "<i8"),
        ("published_ask_ticks", "<i8"),
        ("published_ask_lots", "<i8"),
        ("published_flags", "<i8"),
        ("published_book_state", "<i8"),
        ("messages", "<i8"),  # counters
        ("published", "<i8"),
        ("snapshots_needed", "<i8"),
        ("ignored", "<i8"),
    ],
    72 + 22 * 8,
)


# --- market state: the synthetic market (mmquant/market.py) ---------------------------------
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

# --- frame state: the compiled parser (mmquant/parse.py) ------------------------------------
# What one frame of the venue said; 0 where its kind has no such field. The parser writes the
# record as int64 words and tells by their order what a JSON value must be.
FRAME = record(
    [
        ("kind", "<i8"),  # FrameKind
        ("seen", "<i8"),  # bit i: word i was in the frame
        ("instrument", "<i8"),  # number of the instrument, from 1
        ("symbol", "<i8"),  # its place in the table of symbols
        ("venue_ns", "<i8"),  # of the matching engine, where it says so, else of the event
        ("book_code", "<i8"),  # BookCode, where the levels were brought into a book
        ("event_ms", "<i8"),
        ("engine_ms", "<i8"),
        ("first_id", "<i8"),  # update ids of depth, trade ids of trades
        ("last_id", "<i8"),
        ("previous_id", "<i8"),  # last update id before this event, in its stream
        ("aggregate_id", "<i8"),
        ("bid_ticks", "<i8"),
        ("ask_ticks", "<i8"),
        ("price_ticks", "<i8"),
        ("bid_lots", "<i8"),
        ("ask_lots", "<i8"),
        ("qty_lots", "<i8"),
        ("n_bids", "<i8"),  # the levels are with the caller: bids first, then asks
        ("n_asks", "<i8"),
        ("aggressor", "<i8"),  # Side of the taker
        ("is_market", "<i8"),  # 1: the trade says that it came of a market's matching
    ],
    22 * 8,
)
# An entry of the open hash table of symbols: the name as seven bytes a word, big end first.
SYMBOL = record(
    [
        ("name_0", "<i8"),
        ("name_1", "<i8"),
        ("name_2", "<i8"),
        ("name_3", "<i8"),
        ("number", "<i8"),  # of the instrument, from 1; 0 marks a free entry
        ("price_decimals", "<i8"),  # tick size = price_divisor * 10 ** -price_decimals
        ("price_divisor", "<i8"),
        ("qty_decimals", "<i8"),
        ("qty_divisor", "<i8"),
    ],
    72,
)
