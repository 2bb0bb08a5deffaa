"""Where a backtest stands, and what it writes beside events (EVENT) and positions (POSITION)."""

from mmquant.records import record

__all__ = [
    "BACKTEST",
    "BACKTEST_FUNDING",
    "BACKTEST_MARK",
    "BACKTEST_QUOTE",
    "BACKTEST_SAMPLE",
    "MAX_KNOWN_ORDERS",
]

MAX_KNOWN_ORDERS = 512  # own orders that the strategy believes to be alive

BACKTEST = record(
    [
        ("started", "<i8"),
        ("now_ns", "<i8"),
        ("row", "<i8"),  # of the tape, the next one
        ("instrument", "<i8"),  # of the tape, from 0
        ("epoch", "<i8"),
        ("is_lost", "<i8"),  # a GAP came: the next snapshot begins an epoch
        ("reference", "<i8"),  # the instrument that the basis is measured against, -1 without one
        ("reference_epoch", "<i8"),
        ("reference_is_lost", "<i8"),
        ("reference_tick_size_e8", "<i8"),
        ("is_pure", "<i8"),  # asked the same, the model answers the same
        ("is_settled", "<i8"),  # deciding anew changes nothing until something is heard
        # what each service does after so long without a message
        ("pricing_interval_ns", "<i8"),
        ("quotes_interval_ns", "<i8"),
        ("gate_interval_ns", "<i8"),
        ("position_interval_ns", "<i8"),
        ("sample_interval_ns", "<i8"),
        ("funding_interval_ns", "<i8"),
        ("funding_rate_e8", "<i8"),
        ("funding_ns", "<i8"),  # when it is due next, NEVER_NS without funding
        # and when it did it last
        ("pricing_ns", "<i8"),
        ("quotes_ns", "<i8"),
        ("decided_ns", "<i8"),
        ("position_ns", "<i8"),
        ("sample_ns", "<i8"),
        ("pricing_seq", "<i8"),
        ("quotes_seq", "<i8"),
        ("position_seq", "<i8"),
        # rows written, and how many of them the strategy knows of
        ("events", "<i8"),
        ("events_told", "<i8"),
        ("positions", "<i8"),
        ("positions_told", "<i8"),
        ("quotes", "<i8"),
        ("samples", "<i8"),
        ("fundings", "<i8"),
        ("marks", "<i8"),
        ("mark_half_ticks", "<i8"),  # of the last row of marks
        ("known_orders", "<i8"),
        ("orders_forgotten", "<i8"),  # beyond MAX_KNOWN_ORDERS
        # counters
        ("market_events", "<i8"),
        ("levels", "<i8"),
        ("skipped", "<i8"),
        ("snapshots_needed", "<i8"),
        ("timers", "<i8"),
        ("decisions", "<i8"),
    ],
    45 * 8,
)
# A quotes message: the first order of each side, and the parts of the reservation price.
BACKTEST_QUOTE = record(
    [
        ("now_ns", "<i8"),
        ("seq", "<i8"),
        ("pricing_seq", "<i8"),
        ("position_lots", "<i8"),
        ("bid_ticks", "<i8"),  # 0 without one
        ("bid_lots", "<i8"),  # of all levels of the side
        ("ask_ticks", "<i8"),
        ("ask_lots", "<i8"),
        ("fair_value_ticks", "<f8"),
        ("reservation_ticks", "<f8"),
        ("half_spread_ticks", "<f8"),
        ("inventory_shift_ticks", "<f8"),
        ("drift_shift_ticks", "<f8"),
        ("volatility_ticks_per_sqrt_s", "<f8"),
        ("reason", "<u4"),
        ("bid_reason", "<u2"),
        ("ask_reason", "<u2"),
        ("risk_state", "<u4"),
        ("risk_reason", "<u4"),
    ],
    128,
)
# A payment of funding.
BACKTEST_FUNDING = record(
    [
        ("now_ns", "<i8"),
        ("rate_e8", "<i8"),
        ("price_half_ticks", "<i8"),
        ("position_lots", "<i8"),
        ("funding_micro_tick_lots", "<i8"),  # received, negative where paid
    ],
    40,
)
# The mid that the account is valued at, each time that it is another.
BACKTEST_MARK = record([("now_ns", "<i8"), ("half_ticks", "<i8")], 16)
# The market as the strategy sees it, at most once a sample interval.
BACKTEST_SAMPLE = record(
    [
        ("now_ns", "<i8"),
        ("bid_ticks", "<i8"),
        ("bid_lots", "<i8"),
        ("ask_ticks", "<i8"),
        ("ask_lots", "<i8"),
        ("microprice_ticks", "<f8"),
        ("fair_value_ticks", "<f8"),
        ("volatility_ticks_per_sqrt_s", "<f8"),
        ("drift_ticks_per_s", "<f8"),
        ("position_lots", "<i8"),  # ours, at the venue
        ("flags", "<u4"),
        ("book_state", "<u4"),
        ("mid_ticks", "<f8"),
        ("depth_imbalance", "<f8"),
        ("touch_imbalance", "<f8"),
        ("order_flow_lots", "<f8"),
        ("touch_flow_lots", "<f8"),
        ("trade_flow_imbalance", "<f8"),
        ("basis_bps", "<f8"),
        ("ewma_drift_ticks_per_s", "<f8"),
        ("signal_drift_ticks_per_s", "<f8"),
    ],
    160,
)
