"""State of the compiled parser (mmquant/parse.py)."""

from mmquant.records import record

__all__ = ["FRAME", "SYMBOL"]

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
        ("visible_lots", "<i8"),  # of an aggregate: without what hidden orders filled
        ("n_bids", "<i8"),  # the levels are with the caller: bids first, then asks
        ("n_asks", "<i8"),
        ("aggressor", "<i8"),  # Side of the taker
        ("is_market", "<i8"),  # 1: the trade says that it came of a market's matching
    ],
    23 * 8,
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
