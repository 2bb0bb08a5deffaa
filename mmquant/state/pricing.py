"""Parameters and state of the pricing, what a pricing model is given, what a restart finds.

A pricing model of one's own is a plain @njit function `model(inputs, params, out) -> int`:
`inputs` is a PRICING_MODEL_INPUTS record of shape (1,), not to be changed, `params` a float64
array of the model's own parameters, `out` a PRICING_MODEL_PRICE record of shape (1,). It answers
codes.Reason.NONE, or why it has no fair value; one that is not finite is none either. It has the
same form live, in the backtest and in `signals.price_by_model`.
"""

from mmquant.records import record
from mmquant.state.estimators import (
    MAX_SIGNAL_LEVELS,
    ORDER_FLOW,
    REALISED_WINDOW,
    TRADE_FLOW,
    VOLATILITY,
)

__all__ = [
    "DRIFT_SIGNALS",
    "MAX_STOIKOV_STATES",
    "PRICING_MEMORY",
    "PRICING_MODEL_INPUTS",
    "PRICING_MODEL_PRICE",
    "PRICING_PARAMS",
    "PRICING_SHAPE",
    "PRICING_STATE",
]

MAX_STOIKOV_STATES = 1_024
DRIFT_SIGNALS = 7  # signals that a drift may be of: settings_rules.SIGNAL_DRIFT names them
# Zeroed memory past the fifth field is the microprice alone, of one level, with no limit on jumps.
PRICING_PARAMS = record(
    [
        ("volatility_half_life_ns", "<i8"),
        ("drift_half_life_ns", "<i8"),
        ("warmup_ns", "<i8"),
        ("max_gap_ns", "<i8"),
        ("microprice_weight", "<f8"),  # of the blend, as the four below; their ratios count
        ("mid_weight", "<f8"),
        ("weighted_mid_weight", "<f8"),
        ("stoikov_weight", "<f8"),
        ("vamp_weight", "<f8"),
        ("depth_imbalance_ticks", "<f8"),  # ticks of fair value a unit of the signal, as below
        ("order_flow_ticks_per_lot", "<f8"),
        ("trade_flow_ticks", "<f8"),
        ("basis_ticks_per_bp", "<f8"),
        ("jump_sigmas", "<f8"),  # 0: every move counts in full
        ("publish_ticks", "<f8"),  # a fair value that moved by more is published
        ("depth_levels", "<i8"),  # of VAMP, weighted mid and depth imbalance; 0 is 1
        ("order_flow_levels", "<i8"),  # 0 is 1
        ("order_flow_half_life_ns", "<i8"),  # 0 is a second
        ("trade_flow_half_life_ns", "<i8"),  # 0 is a second
        ("reference_max_age_ns", "<i8"),
        ("stoikov_buckets", "<i8"),  # 0: no table
        ("stoikov_states", "<i8"),
        ("realised_window_ns", "<i8"),  # 0: no realised measures
        ("drift_source", "<i8"),  # 0: drift_ticks_per_s is that of the mids, 1: of the signals
        ("signal_drift_ticks_per_s", "<f8", (DRIFT_SIGNALS,)),  # a unit of each signal
        ("stoikov_adjustment_ticks", "<f8", (MAX_STOIKOV_STATES,)),
    ],
    24 * 8 + 8 * DRIFT_SIGNALS + 8 * MAX_STOIKOV_STATES,
)
# NaN where there is none: `microprice` and the touch are there in every book with two sides.
PRICING_MODEL_INPUTS = record(
    [
        ("now_ns", "<i8"),
        ("bid_ticks", "<i8"),
        ("bid_lots", "<i8"),
        ("ask_ticks", "<i8"),
        ("ask_lots", "<i8"),
        ("mid_ticks", "<f8"),
        ("weighted_mid_ticks", "<f8"),
        ("microprice_ticks", "<f8"),
        ("stoikov_ticks", "<f8"),
        ("vamp_ticks", "<f8"),
        ("blend_ticks", "<f8"),  # the fair value of the configured blend
        ("depth_imbalance", "<f8"),
        ("order_flow_lots", "<f8"),
        ("trade_flow_imbalance", "<f8"),
        ("basis_bps", "<f8"),
        ("volatility_ticks_per_sqrt_s", "<f8"),
        ("drift_ticks_per_s", "<f8"),
        ("warm_fraction", "<f8"),
        ("touch_imbalance", "<f8"),
        ("touch_flow_lots", "<f8"),
        ("realised_ticks_per_sqrt_s", "<f8"),  # of the last window closed, while REALISED is set
        ("bipower_ticks_per_sqrt_s", "<f8"),
        ("two_scale_ticks_per_sqrt_s", "<f8"),
        ("pre_averaged_ticks_per_sqrt_s", "<f8"),
        ("noise_ticks", "<f8"),
        ("parkinson_ticks_per_sqrt_s", "<f8"),
        ("garman_klass_ticks_per_sqrt_s", "<f8"),
        ("rogers_satchell_ticks_per_sqrt_s", "<f8"),
        ("yang_zhang_ticks_per_sqrt_s", "<f8"),
        ("ewma_drift_ticks_per_s", "<f8"),  # of the mids; drift_ticks_per_s is this or the next
        ("signal_drift_ticks_per_s", "<f8"),  # of the signals, whatever the fair value
    ],
    248,
)
PRICING_MODEL_PRICE = record([("fair_value_ticks", "<f8")], 8)
PRICING_STATE = record(
    [
        ("volatility", VOLATILITY, (1,)),
        ("order_flow", ORDER_FLOW, (1,)),
        ("trade_flow", TRADE_FLOW, (1,)),
        ("feed_ok", "<i8"),  # set from outside: the feed's heartbeats are fresh
        ("reference_ns", "<i8"),  # set from outside: the other market's last mid and its time,
        ("reference_ticks", "<f8"),  # in this market's ticks; 0.0 for none
        ("restored_ns", "<i8"),  # observed time that a stored state brought along; 0: none
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
        ("published_fair_value_ticks", "<f8"),
        ("messages", "<i8"),  # counters
        ("published", "<i8"),
        ("snapshots_needed", "<i8"),
        ("ignored", "<i8"),
        ("inputs", PRICING_MODEL_INPUTS, (1,)),  # of the newest output
        ("price", PRICING_MODEL_PRICE, (1,)),
        ("prices_ticks", "<f8", (5,)),  # scratch of the blend
        ("weights", "<f8", (5,)),
        ("signals", "<f8", (4,)),
        ("ticks_per_unit", "<f8", (4,)),
        ("drift_signals", "<f8", (DRIFT_SIGNALS,)),  # what the drift is of, NaN where there is none
        ("bid_ticks", "<i8", (MAX_SIGNAL_LEVELS,)),  # the levels the signals are of
        ("bid_lots", "<i8", (MAX_SIGNAL_LEVELS,)),
        ("ask_ticks", "<i8", (MAX_SIGNAL_LEVELS,)),
        ("ask_lots", "<i8", (MAX_SIGNAL_LEVELS,)),
        ("realised", REALISED_WINDOW, (1,)),  # last: what each message touches stays together
    ],
    80
    + ORDER_FLOW.itemsize
    + 40
    + 26 * 8
    + 248
    + 8
    + 18 * 8
    + 8 * DRIFT_SIGNALS
    + 4 * 8 * MAX_SIGNAL_LEVELS
    + REALISED_WINDOW.itemsize,
)
# The parameters that the stored sums depend on: under others they mean something else.
PRICING_SHAPE = record(
    [
        ("volatility_half_life_ns", "<i8"),
        ("drift_half_life_ns", "<i8"),
        ("order_flow_half_life_ns", "<i8"),
        ("trade_flow_half_life_ns", "<i8"),
        ("order_flow_levels", "<i8"),
        ("max_gap_ns", "<i8"),
        ("jump_sigmas", "<f8"),
        ("realised_window_ns", "<i8"),
    ],
    64,
)
# What is stored of an instrument, so that a restart does not begin cold: one record, one file.
PRICING_MEMORY = record(
    [
        ("layout", "S32"),  # digest of this record's fields: the version
        ("checksum", "<i8"),  # CRC-32 of the bytes behind it
        ("symbol", "S24"),
        ("market", "<i8"),
        ("tick_size_e8", "<i8"),
        ("lot_size_e8", "<i8"),
        ("now_ns", "<i8"),  # the market's time of the newest output
        ("settings", PRICING_SHAPE, (1,)),
        ("volatility", VOLATILITY, (1,)),
        ("order_flow", ORDER_FLOW, (1,)),
        ("trade_flow", TRADE_FLOW, (1,)),
        ("realised", REALISED_WINDOW, (1,)),
    ],
    56 + 5 * 8 + 64 + 80 + ORDER_FLOW.itemsize + 40 + REALISED_WINDOW.itemsize,
)
