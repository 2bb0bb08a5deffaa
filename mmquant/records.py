"""Every message as a structured dtype, declared once, with its size asserted.

All integers are little endian. Prices are ticks, quantities lots, times nanoseconds since the
epoch. A message is HEADER, then its block, then (where it has them) its groups, each a GROUP
header and its entries. All offsets are multiples of 8, so a message buffer viewed as int64
words is what the compiled kernels read.

Money is an integer too: half tick-lots (price in half ticks times lots), so that a mid price
and every profit made of mids is exact; fees in millionths of a tick-lot.
"""

from typing import Any

import numpy as np

from mmquant.codes import Template

__all__ = [
    "BLOCKS",
    "GROUP",
    "GROUPS",
    "HEADER",
    "LEVEL",
    "SCHEMA_ID",
    "SCHEMA_VERSION",
    "Row",
    "record",
]

# One element of an array of records. Kernels pass it on as one pointer, an array takes seven words.
Row = np.void

SCHEMA_ID = 77
SCHEMA_VERSION = 1

Fields = list[tuple[Any, ...]]


def record(fields: Fields, nbytes: int) -> np.dtype[Any]:
    """Return the packed dtype of `fields`; its size must be `nbytes`, a multiple of 8."""
    dtype = np.dtype(fields)
    if dtype.itemsize != nbytes or nbytes % 8:
        raise TypeError(f"record is {dtype.itemsize} bytes, declared {nbytes} (a multiple of 8)")
    for name in dtype.names or ():
        field = dtype.fields[name]  # type: ignore[index]
        if field[1] % field[0].base.alignment:
            raise TypeError(f"field {name} at byte {field[1]} is not aligned")
    return dtype


HEADER = record(
    [("block_length", "<u2"), ("template_id", "<u2"), ("schema_id", "<u2"), ("version", "<u2")], 8
)
GROUP = record([("block_length", "<u4"), ("num_in_group", "<u4")], 8)
LEVEL = record([("price_ticks", "<i8"), ("qty_lots", "<i8")], 16)
COUNTER = record([("name", "S40"), ("value", "<i8")], 48)

# seq counts the publisher's messages on its stream from 1; now_ns is the time the content was
# computed for; epoch is the book's (a new one each time it is synchronised anew).
_COMMON: Fields = [("seq", "<i8"), ("now_ns", "<i8"), ("instrument_id", "<u4"), ("epoch", "<u4")]

BOOK_DELTA = record(
    [
        *_COMMON,
        ("venue_ns", "<i8"),
        ("first_update_id", "<i8"),
        ("last_update_id", "<i8"),
        ("previous_update_id", "<i8"),  # last_update_id of the book before this delta
        ("received_ns", "<i8"),
        ("sent_ns", "<i8"),
    ],
    72,
)
BOOK_SNAPSHOT = record(
    [
        *_COMMON,
        ("venue_ns", "<i8"),
        ("last_update_id", "<i8"),
        ("known_low_ticks", "<i8"),  # outside [low, high] the venue's snapshot said nothing
        ("known_high_ticks", "<i8"),
        ("received_ns", "<i8"),
        ("sent_ns", "<i8"),
        ("book_state", "<u4"),
        ("reserved", "<u4"),
    ],
    80,
)
BEST_BID_OFFER = record(
    [
        *_COMMON,
        ("venue_ns", "<i8"),
        ("update_id", "<i8"),
        ("bid_ticks", "<i8"),
        ("bid_lots", "<i8"),
        ("ask_ticks", "<i8"),
        ("ask_lots", "<i8"),
        ("received_ns", "<i8"),
        ("sent_ns", "<i8"),
    ],
    88,
)
INSTRUMENT = record(
    [
        *_COMMON,
        ("symbol", "S24"),
        ("tick_size_e8", "<i8"),  # tick size in units of 1e-8 of the quote asset
        ("lot_size_e8", "<i8"),
        ("min_price_ticks", "<i8"),
        ("max_price_ticks", "<i8"),
        ("min_qty_lots", "<i8"),
        ("max_qty_lots", "<i8"),
        ("min_notional_e8", "<i8"),
        ("market", "<u4"),
        ("reserved", "<u4"),
        ("max_notional_e8", "<i8"),  # these: 0 where the venue has no such rule
        ("buy_up_e8", "<i8"),  # highest price of a buy as a multiple of the reference price
        ("buy_down_e8", "<i8"),  # lowest
        ("sell_up_e8", "<i8"),
        ("sell_down_e8", "<i8"),
        ("max_orders", "<i8"),  # open at once
    ],
    160,
)
STATE = record(
    [
        *_COMMON,
        ("role", "<u2"),
        ("state", "<u2"),  # ServiceState, or BookState where instrument_id is not 0
        ("reason", "<u2"),
        ("reserved", "<u2"),
        ("text", "S128"),
    ],
    160,
)
REQUEST = record(
    [*_COMMON, ("role", "<u2"), ("kind", "<u2"), ("reserved", "<u4")],
    32,
)
HEARTBEAT = record(
    [
        *_COMMON,
        ("role", "<u2"),
        ("state", "<u2"),
        ("reason", "<u2"),
        ("reserved", "<u2"),
        ("pid", "<i8"),
        ("started_ns", "<i8"),
        ("messages_in", "<i8"),
        ("messages_out", "<i8"),
        ("lag_ns", "<i8"),  # age of the newest input when it was handled
        ("resident_bytes", "<i8"),
    ],
    80,
)
TRADE = record(
    [
        *_COMMON,
        ("venue_ns", "<i8"),
        ("trade_id", "<i8"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("aggressor", "<i8"),  # Side of the taker
        ("received_ns", "<i8"),
        ("sent_ns", "<i8"),
    ],
    80,
)
PRICING = record(
    [
        *_COMMON,
        ("book_update_id", "<i8"),
        ("bbo_update_id", "<i8"),
        ("trade_id", "<i8"),
        ("bid_ticks", "<i8"),
        ("bid_lots", "<i8"),
        ("ask_ticks", "<i8"),
        ("ask_lots", "<i8"),
        ("microprice_ticks", "<f8"),
        ("fair_value_ticks", "<f8"),
        ("volatility_ticks_per_sqrt_s", "<f8"),
        ("drift_ticks_per_s", "<f8"),
        ("flags", "<u4"),
        ("book_state", "<u4"),
        ("frame_ns", "<i8"),  # when the frame behind this message came off the socket
        ("collector_sent_ns", "<i8"),
        ("received_ns", "<i8"),
        ("sent_ns", "<i8"),
        # Signals behind the fair value (docs/pricing.md); a price is 0.0 where there is none.
        ("spread_ticks", "<i8"),
        ("mid_ticks", "<f8"),
        ("weighted_mid_ticks", "<f8"),  # as the microprice, with the sizes of N levels
        ("stoikov_ticks", "<f8"),  # Stoikov's estimated micro-price
        ("vamp_ticks", "<f8"),  # of N levels
        ("depth_imbalance", "<f8"),  # of N levels, in [-1, 1]
        ("order_flow_lots", "<f8"),  # decayed sum over M levels
        ("trade_flow_imbalance", "<f8"),  # of decayed volumes, in [-1, 1]
        ("basis_bps", "<f8"),  # means something only with PricingFlag.BASIS
        ("warm_fraction", "<f8"),  # of the warm-up that is behind, in [0, 1]
        ("samples", "<i8"),  # mids the volatility has taken in, gaps and jumps among them
        ("gaps", "<i8"),
        ("jumps", "<i8"),
        ("trades", "<i8"),
        ("touch_imbalance", "<f8"),  # of the best level alone, in [-1, 1]
        ("touch_flow_lots", "<f8"),  # decayed order flow of the best level alone
        # Measures of the last window of time that was closed, 0 before; PricingFlag.REALISED says
        # that they are not stale.
        ("realised_ticks_per_sqrt_s", "<f8"),
        ("bipower_ticks_per_sqrt_s", "<f8"),
        ("two_scale_ticks_per_sqrt_s", "<f8"),
        ("pre_averaged_ticks_per_sqrt_s", "<f8"),
        ("noise_ticks", "<f8"),
        ("parkinson_ticks_per_sqrt_s", "<f8"),
        ("garman_klass_ticks_per_sqrt_s", "<f8"),
        ("rogers_satchell_ticks_per_sqrt_s", "<f8"),
        ("yang_zhang_ticks_per_sqrt_s", "<f8"),
        ("realised_samples", "<i8"),  # mids of the window that moved, and its first and last
        ("realised_end_ns", "<i8"),  # its end, the time of its last mid
        ("ewma_drift_ticks_per_s", "<f8"),  # of the mids; drift_ticks_per_s is this or the next
        ("signal_drift_ticks_per_s", "<f8"),  # the sum of signals times their factors
    ],
    384,
)
QUOTES = record(
    [
        *_COMMON,
        ("pricing_seq", "<i8"),
        ("position_seq", "<i8"),
        ("position_lots", "<i8"),
        ("fair_value_ticks", "<f8"),
        ("reservation_ticks", "<f8"),
        ("half_spread_ticks", "<f8"),
        ("inventory_shift_ticks", "<f8"),
        ("drift_shift_ticks", "<f8"),
        ("volatility_ticks_per_sqrt_s", "<f8"),
        ("reason", "<u4"),  # NONE, or why nothing is quoted
        ("bid_reason", "<u2"),  # NONE, or why this side alone is not quoted
        ("ask_reason", "<u2"),
        ("frame_ns", "<i8"),
        ("collector_sent_ns", "<i8"),
        ("pricing_received_ns", "<i8"),
        ("pricing_sent_ns", "<i8"),
        ("received_ns", "<i8"),
        ("sent_ns", "<i8"),
        ("volatility_term_ticks", "<f8"),  # part of the half-spread, as are the arrivals'
        ("arrival_term_ticks", "<f8"),
        ("model_bid_ticks", "<f8"),  # what the model wanted, before limits and filters
        ("model_ask_ticks", "<f8"),
        ("bid_ticks", "<i8"),  # the market's touch
        ("ask_ticks", "<i8"),
        ("bid_clamps", "<u2"),  # QuoteClamp: what made the side differ from the model's
        ("ask_clamps", "<u2"),
        ("risk_state", "<u2"),  # RiskState
        ("risk_reason", "<u2"),  # why not ACTIVE
    ],
    208,
)
ORDER_UPDATE = record(
    [
        *_COMMON,
        ("order_id", "<i8"),
        ("quotes_seq", "<i8"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("filled_lots", "<i8"),
        ("side", "<i2"),
        ("status", "<u2"),
        ("reason", "<u2"),
        ("reserved", "<u2"),
        ("client_id", "<i8"),  # 0 without one
        ("known_ns", "<i8"),  # when the trader learns of it
    ],
    88,
)
FILL = record(
    [
        *_COMMON,
        ("fill_id", "<i8"),
        ("order_id", "<i8"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("fee_micro_tick_lots", "<i8"),
        ("mark_half_ticks", "<i8"),  # twice the mid just before the fill
        ("trade_id", "<i8"),  # the print that filled it, 0 where the touch crossed
        ("position_lots", "<i8"),  # after the fill
        ("side", "<i2"),
        ("kind", "<u2"),
        ("liquidity", "<u2"),
        ("reserved", "<u2"),
        ("client_id", "<i8"),
        ("queue_entry_lots", "<i8"),  # market lots ahead as the order took its place, -1: not known
        ("queue_ahead_lots", "<i8"),  # and just before the fill; both 0 for a taker
        ("queue_ns", "<i8"),  # time between the two
        ("known_ns", "<i8"),  # when the trader learns of it
    ],
    136,
)
POSITION = record(
    [
        *_COMMON,
        ("position_lots", "<i8"),
        ("average_price_ticks", "<f8"),
        ("mark_half_ticks", "<i8"),
        ("realised_tick_lots", "<f8"),
        ("unrealised_tick_lots", "<f8"),
        ("total_half_tick_lots", "<i8"),  # before fees: spread + adverse_selection + inventory
        ("spread_half_tick_lots", "<i8"),
        ("adverse_selection_half_tick_lots", "<i8"),
        ("inventory_half_tick_lots", "<i8"),
        ("fees_micro_tick_lots", "<i8"),
        ("last_fill_id", "<i8"),
        ("orders", "<i8"),  # orders sent so far
        ("fills", "<i8"),
        ("open_orders", "<i8"),
        ("funding_micro_tick_lots", "<i8"),  # received; profit = total - fees + funding
        ("turnover_tick_lots", "<i8"),
        ("base_fees_micro_lots", "<i8"),  # the part of the fees that was paid in the base asset,
        ("base_fees_micro_tick_lots", "<i8"),  # and its worth when paid
        ("other_fees_e8", "<i8"),
        ("other_fees_micro_tick_lots", "<i8"),
        # What a tick-lot above is worth in tick-lots of the quote asset: 1; of an inverse
        # contract, which pays in coins, at the mark.
        ("quote_worth", "<f8"),
    ],
    192,
)

BLOCKS: dict[Template, np.dtype[Any]] = {
    Template.BOOK_DELTA: BOOK_DELTA,
    Template.BOOK_SNAPSHOT: BOOK_SNAPSHOT,
    Template.BEST_BID_OFFER: BEST_BID_OFFER,
    Template.INSTRUMENT: INSTRUMENT,
    Template.STATE: STATE,
    Template.REQUEST: REQUEST,
    Template.HEARTBEAT: HEARTBEAT,
    Template.TRADE: TRADE,
    Template.PRICING: PRICING,
    Template.QUOTES: QUOTES,
    Template.ORDER_UPDATE: ORDER_UPDATE,
    Template.FILL: FILL,
    Template.POSITION: POSITION,
}

GROUPS: dict[Template, tuple[tuple[str, np.dtype[Any]], ...]] = {
    Template.BOOK_DELTA: (("bids", LEVEL), ("asks", LEVEL)),
    Template.BOOK_SNAPSHOT: (("bids", LEVEL), ("asks", LEVEL)),
    Template.HEARTBEAT: (("counters", COUNTER),),
    Template.QUOTES: (("bids", LEVEL), ("asks", LEVEL)),
}
