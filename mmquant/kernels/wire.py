"""Where each message field lies, as int64 word offsets (the header is word 0): constants only.

A message viewed as int64 words is what the compiled kernels read. A field that shares its word
with others (marked "packed") is listed with the shift of its bits. Float fields are listed too:
their words hold the bits of a float64.
"""

from typing import Any

import numpy as np

from mmquant import records
from mmquant.codes import Template


def _word(dtype: np.dtype[Any], field: str) -> int:
    offset = int(dtype.fields[field][1])  # type: ignore[index]
    if offset % 8:
        raise TypeError(f"field {field} at byte {offset} does not start a word")
    return 1 + offset // 8


# Header (word 0): block_length is bits 0..15, template_id bits 16..31.
# A group header: entry length is bits 0..31, the number of entries bits 32..63.
HEADER_WORDS = records.HEADER.itemsize // 8
GROUP_WORDS = records.GROUP.itemsize // 8
LEVEL_WORDS = records.LEVEL.itemsize // 8
TEMPLATE_SHIFT = 16
COUNT_SHIFT = 32
MASK_16 = 0xFFFF
MASK_32 = 0xFFFFFFFF

TEMPLATE_BOOK_DELTA = int(Template.BOOK_DELTA)
TEMPLATE_BOOK_SNAPSHOT = int(Template.BOOK_SNAPSHOT)
TEMPLATE_BEST_BID_OFFER = int(Template.BEST_BID_OFFER)
TEMPLATE_TRADE = int(Template.TRADE)
TEMPLATE_PRICING = int(Template.PRICING)
TEMPLATE_QUOTES = int(Template.QUOTES)
TEMPLATE_ORDER_UPDATE = int(Template.ORDER_UPDATE)
TEMPLATE_FILL = int(Template.FILL)
TEMPLATE_POSITION = int(Template.POSITION)

# Common to every message. Packed: instrument_id bits 0..31, epoch bits 32..63.
SEQ = _word(records.BOOK_DELTA, "seq")
NOW_NS = _word(records.BOOK_DELTA, "now_ns")
INSTRUMENT_EPOCH = _word(records.BOOK_DELTA, "instrument_id")
EPOCH_SHIFT = 32

DELTA_VENUE_NS = _word(records.BOOK_DELTA, "venue_ns")
DELTA_FIRST_UPDATE_ID = _word(records.BOOK_DELTA, "first_update_id")
DELTA_LAST_UPDATE_ID = _word(records.BOOK_DELTA, "last_update_id")
DELTA_PREVIOUS_UPDATE_ID = _word(records.BOOK_DELTA, "previous_update_id")
DELTA_RECEIVED_NS = _word(records.BOOK_DELTA, "received_ns")
DELTA_SENT_NS = _word(records.BOOK_DELTA, "sent_ns")

SNAPSHOT_VENUE_NS = _word(records.BOOK_SNAPSHOT, "venue_ns")
SNAPSHOT_LAST_UPDATE_ID = _word(records.BOOK_SNAPSHOT, "last_update_id")
SNAPSHOT_KNOWN_LOW_TICKS = _word(records.BOOK_SNAPSHOT, "known_low_ticks")
SNAPSHOT_KNOWN_HIGH_TICKS = _word(records.BOOK_SNAPSHOT, "known_high_ticks")
SNAPSHOT_RECEIVED_NS = _word(records.BOOK_SNAPSHOT, "received_ns")
SNAPSHOT_SENT_NS = _word(records.BOOK_SNAPSHOT, "sent_ns")
SNAPSHOT_BOOK_STATE = _word(records.BOOK_SNAPSHOT, "book_state")  # packed: bits 0..15

BBO_VENUE_NS = _word(records.BEST_BID_OFFER, "venue_ns")
BBO_UPDATE_ID = _word(records.BEST_BID_OFFER, "update_id")
BBO_BID_TICKS = _word(records.BEST_BID_OFFER, "bid_ticks")
BBO_BID_LOTS = _word(records.BEST_BID_OFFER, "bid_lots")
BBO_ASK_TICKS = _word(records.BEST_BID_OFFER, "ask_ticks")
BBO_ASK_LOTS = _word(records.BEST_BID_OFFER, "ask_lots")
BBO_RECEIVED_NS = _word(records.BEST_BID_OFFER, "received_ns")
BBO_SENT_NS = _word(records.BEST_BID_OFFER, "sent_ns")

TRADE_VENUE_NS = _word(records.TRADE, "venue_ns")
TRADE_TRADE_ID = _word(records.TRADE, "trade_id")
TRADE_PRICE_TICKS = _word(records.TRADE, "price_ticks")
TRADE_QTY_LOTS = _word(records.TRADE, "qty_lots")
TRADE_AGGRESSOR = _word(records.TRADE, "aggressor")
TRADE_RECEIVED_NS = _word(records.TRADE, "received_ns")
TRADE_SENT_NS = _word(records.TRADE, "sent_ns")

PRICING_BOOK_UPDATE_ID = _word(records.PRICING, "book_update_id")
PRICING_BBO_UPDATE_ID = _word(records.PRICING, "bbo_update_id")
PRICING_TRADE_ID = _word(records.PRICING, "trade_id")
PRICING_BID_TICKS = _word(records.PRICING, "bid_ticks")
PRICING_BID_LOTS = _word(records.PRICING, "bid_lots")
PRICING_ASK_TICKS = _word(records.PRICING, "ask_ticks")
PRICING_ASK_LOTS = _word(records.PRICING, "ask_lots")
PRICING_MICROPRICE_TICKS = _word(records.PRICING, "microprice_ticks")  # float64
PRICING_FAIR_VALUE_TICKS = _word(records.PRICING, "fair_value_ticks")  # float64
PRICING_VOLATILITY_TICKS_PER_SQRT_S = _word(records.PRICING, "volatility_ticks_per_sqrt_s")
PRICING_DRIFT_TICKS_PER_S = _word(records.PRICING, "drift_ticks_per_s")  # float64
PRICING_FLAGS = _word(records.PRICING, "flags")  # packed: flags 0..31, book_state 32..63
PRICING_BOOK_STATE_SHIFT = 32
PRICING_FRAME_NS = _word(records.PRICING, "frame_ns")
PRICING_COLLECTOR_SENT_NS = _word(records.PRICING, "collector_sent_ns")
PRICING_RECEIVED_NS = _word(records.PRICING, "received_ns")
PRICING_SENT_NS = _word(records.PRICING, "sent_ns")

QUOTES_PRICING_SEQ = _word(records.QUOTES, "pricing_seq")
QUOTES_POSITION_SEQ = _word(records.QUOTES, "position_seq")
QUOTES_POSITION_LOTS = _word(records.QUOTES, "position_lots")
QUOTES_FAIR_VALUE_TICKS = _word(records.QUOTES, "fair_value_ticks")  # float64
QUOTES_RESERVATION_TICKS = _word(records.QUOTES, "reservation_ticks")  # float64
QUOTES_HALF_SPREAD_TICKS = _word(records.QUOTES, "half_spread_ticks")  # float64
QUOTES_INVENTORY_SHIFT_TICKS = _word(records.QUOTES, "inventory_shift_ticks")  # float64
QUOTES_DRIFT_SHIFT_TICKS = _word(records.QUOTES, "drift_shift_ticks")  # float64
QUOTES_VOLATILITY_TICKS_PER_SQRT_S = _word(records.QUOTES, "volatility_ticks_per_sqrt_s")
# Packed: reason bits 0..31, bid_reason 32..47, ask_reason 48..63.
QUOTES_REASON = _word(records.QUOTES, "reason")
QUOTES_BID_REASON_SHIFT = 32
QUOTES_ASK_REASON_SHIFT = 48
QUOTES_FRAME_NS = _word(records.QUOTES, "frame_ns")
QUOTES_COLLECTOR_SENT_NS = _word(records.QUOTES, "collector_sent_ns")
QUOTES_PRICING_RECEIVED_NS = _word(records.QUOTES, "pricing_received_ns")
QUOTES_PRICING_SENT_NS = _word(records.QUOTES, "pricing_sent_ns")
QUOTES_RECEIVED_NS = _word(records.QUOTES, "received_ns")
QUOTES_SENT_NS = _word(records.QUOTES, "sent_ns")

FILL_FILL_ID = _word(records.FILL, "fill_id")
FILL_ORDER_ID = _word(records.FILL, "order_id")
FILL_PRICE_TICKS = _word(records.FILL, "price_ticks")
FILL_QTY_LOTS = _word(records.FILL, "qty_lots")
FILL_FEE_MICRO_TICK_LOTS = _word(records.FILL, "fee_micro_tick_lots")
FILL_MARK_HALF_TICKS = _word(records.FILL, "mark_half_ticks")
FILL_TRADE_ID = _word(records.FILL, "trade_id")
FILL_POSITION_LOTS = _word(records.FILL, "position_lots")
FILL_SIDE = _word(records.FILL, "side")  # packed: side 0..15, kind 16..31, liquidity 32..47

POSITION_POSITION_LOTS = _word(records.POSITION, "position_lots")
POSITION_AVERAGE_PRICE_TICKS = _word(records.POSITION, "average_price_ticks")  # float64
POSITION_MARK_HALF_TICKS = _word(records.POSITION, "mark_half_ticks")
