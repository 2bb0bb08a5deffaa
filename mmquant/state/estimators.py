"""State of the estimators: decayed averages, volatility, flow, bars."""

from mmquant.records import record

__all__ = [
    "BAR",
    "EWMA",
    "EWMA_MOMENTS",
    "MAX_SIGNAL_LEVELS",
    "ORDER_FLOW",
    "TRADE_FLOW",
    "VOLATILITY",
]

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
        ("seen_ns", "<i8"),  # the latest time since the first sample, of missing ones too
    ],
    64,
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
MAX_SIGNAL_LEVELS = 20  # of a side, for signals of several levels
# The decayed sum of the order flow imbalance, and the books it is measured from and to.
ORDER_FLOW = record(
    [
        ("half_life_ns", "<i8"),
        ("ts_ns", "<i8"),
        ("flow_lots", "<f8"),  # as of ts_ns
        ("touch_lots", "<f8"),  # of the best level alone
        ("books", "<i8"),  # taken in
        ("follows", "<i8"),  # 1: the levels below are the book before the next one
        ("bid_ticks", "<i8", (MAX_SIGNAL_LEVELS,)),
        ("bid_lots", "<i8", (MAX_SIGNAL_LEVELS,)),
        ("ask_ticks", "<i8", (MAX_SIGNAL_LEVELS,)),
        ("ask_lots", "<i8", (MAX_SIGNAL_LEVELS,)),
    ],
    6 * 8 + 4 * 8 * MAX_SIGNAL_LEVELS,
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
        ("jumps", "<i8"),  # moves that were cut to the limit
    ],
    80,
)
