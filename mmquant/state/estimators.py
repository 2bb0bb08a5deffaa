"""State of the estimators: decayed averages, volatility, realised windows, flow, bars."""

from mmquant.records import record

__all__ = [
    "BAR",
    "EWMA",
    "EWMA_MOMENTS",
    "MAX_SIGNAL_LEVELS",
    "MAX_WINDOW_MIDS",
    "ORDER_FLOW",
    "REALISED",
    "REALISED_WINDOW",
    "TRADE_FLOW",
    "VOLATILITY",
    "WINDOW_BARS",
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
MAX_WINDOW_MIDS = 4_096  # samples; a window of time that has as many is closed early
WINDOW_BARS = 10  # equal parts of a window's time, for the measures by range
# The measures of one window of mids, from its first to its last.
REALISED = record(
    [
        ("start_ns", "<i8"),
        ("end_ns", "<i8"),
        ("samples", "<i8"),  # mids that moved, and the first and last; 0: no window yet
        ("realised_ticks_per_sqrt_s", "<f8"),
        ("bipower_ticks_per_sqrt_s", "<f8"),
        ("two_scale_ticks_per_sqrt_s", "<f8"),
        ("pre_averaged_ticks_per_sqrt_s", "<f8"),
        ("noise_ticks", "<f8"),
        ("parkinson_ticks_per_sqrt_s", "<f8"),
        ("garman_klass_ticks_per_sqrt_s", "<f8"),
        ("rogers_satchell_ticks_per_sqrt_s", "<f8"),
        ("yang_zhang_ticks_per_sqrt_s", "<f8"),
    ],
    96,
)
# The window that is open, and the measures of the last one that was closed.
REALISED_WINDOW = record(
    [
        ("mids", "<i8"),  # how many samples it holds
        ("seen_ns", "<i8"),  # time of the last mid, a sample or not
        ("closed", REALISED, (1,)),
        ("opens_ticks", "<f8", (WINDOW_BARS + 1,)),  # scratch: row 0 is the first mid alone
        ("highs_ticks", "<f8", (WINDOW_BARS + 1,)),
        ("lows_ticks", "<f8", (WINDOW_BARS + 1,)),
        ("closes_ticks", "<f8", (WINDOW_BARS + 1,)),
        ("moves", "<f8", (WINDOW_BARS + 1, 3)),  # scratch of `yang_zhang`
        ("times_ns", "<i8", (MAX_WINDOW_MIDS,)),
        ("mids_ticks", "<f8", (MAX_WINDOW_MIDS,)),
    ],
    16 + REALISED.itemsize + 7 * 8 * (WINDOW_BARS + 1) + 16 * MAX_WINDOW_MIDS,
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
