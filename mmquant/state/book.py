"""State of the order book, and what a path of it writes."""

from mmquant.records import record

__all__ = ["BOOK", "BOOK_RING_TICKS", "BOOK_TAIL_LEVELS", "BOOK_TAIL_SLOTS", "BOOK_TOUCH"]

BOOK_RING_TICKS = 131_072  # a power of two: the slot of a price is its low bits
BOOK_TAIL_LEVELS = 8_192  # a side, for levels outside the ring's window
BOOK_TAIL_SLOTS = 2 * BOOK_TAIL_LEVELS  # of the tail's hash table at its largest; a power of two
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
        ("bid_tail_taken", "<i8"),  # slots of the table that are not free: levels, and levels gone
        ("ask_tail_taken", "<i8"),
        ("bid_tail_doublings", "<i8"),  # of the table's size since it was empty
        ("ask_tail_doublings", "<i8"),
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
        ("bid_tail_order", "<i8", (BOOK_TAIL_LEVELS,)),  # ascending; scratch while a table is built
        ("ask_tail_order", "<i8", (BOOK_TAIL_LEVELS,)),
        ("kept_lots", "<i8", (BOOK_TAIL_LEVELS,)),  # scratch of a table that is built anew
        ("moving_ticks", "<i8", (BOOK_TAIL_LEVELS,)),  # scratch of a moving window
        ("moving_lots", "<i8", (BOOK_TAIL_LEVELS,)),
    ],
    37 * 8 + 2 * 8 * BOOK_RING_TICKS + 4 * 8 * BOOK_TAIL_SLOTS + 5 * 8 * BOOK_TAIL_LEVELS,
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
