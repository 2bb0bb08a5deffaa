"""Parameters and state of the pricing."""

from mmquant.records import record
from mmquant.state.estimators import VOLATILITY

__all__ = ["PRICING_PARAMS", "PRICING_STATE"]

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
