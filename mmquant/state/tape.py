"""A tape's two tables: EVENTS, one row a message, and LEVELS, the prices and quantities they carry.

An event is what happened at once, and must be applied at once: a whole depth update, a whole
snapshot, a best bid and offer, a trade. Its levels lie together in the second table, LEVEL
records (price_ticks, qty_lots): bids first, then asks, beginning at `first_level`. Seen as int64
words they are what `book_apply` takes: bids at word 2 * first_level, asks behind them.

| kind (TapeKind) | levels | what to do with it |
|---|---|---|
| DELTA | n_bids, n_asks | change these levels (quantities absolute, 0 removes) |
| SNAPSHOT | n_bids, n_asks | the whole book: replaces what was there |
| CLEAR | at most one a side | remove a side's levels from the best to that price; none: all |
| BBO | at most one a side | the venue's best bid and offer; a side without one is empty |
| TRADE | one: a bid where the buyer took, else an ask | `update_id` is its trade id |
| GAP | none | messages are missing: the book must not be used until the next SNAPSHOT |

The flag TAPE_SKIP says of a DELTA or SNAPSHOT that the book must not take it (it came before the
first snapshot, after a gap, or twice): what is left fits together in the order of the rows.
Rows are in the order of `received_ns`.

Memory: 40 B an event and 16 B a level: a depth update of 20 levels costs 18 B a row of
hftbacktest's (which has 64), a best bid and offer 36, a trade 56.
"""

from mmquant.records import record

__all__ = [
    "TAPE_AGGREGATE",
    "TAPE_BAR",
    "TAPE_BARE",
    "TAPE_BUFFERED",
    "TAPE_CURSOR",
    "TAPE_EVENT",
    "TAPE_LOCAL_ONLY",
    "TAPE_SKIP",
    "TAPE_SYNC",
    "TAPE_VENUE_ONLY",
]

# Bits of `flags`.
TAPE_SKIP = 1  # no part of the book's history, see above
TAPE_BUFFERED = 2  # came before its snapshot, and stands where it could be applied: behind it
TAPE_AGGREGATE = 4  # a trade that sums up several of one price
TAPE_VENUE_ONLY = 8  # happened, but was never received (from hftbacktest's files)
TAPE_LOCAL_ONLY = 16  # was received, but does not count as happened at the venue (the same)

TAPE_BARE = 32  # a snapshot's levels that nothing clears the way for (the same)

TAPE_EVENT = record(
    [
        ("received_ns", "<i8"),
        ("venue_ns", "<i8"),  # 0 where the message bears no time (spot's best bid and offer)
        ("update_id", "<i8"),  # the last one it covers; a trade's id
        ("first_level", "<i8"),
        ("n_bids", "<u2"),
        ("n_asks", "<u2"),
        ("instrument", "<u2"),  # index into the tape's instruments, from 0
        ("kind", "<u1"),  # TapeKind
        ("flags", "<u1"),
    ],
    40,
)
# Where one instrument's book stands while a recording is read.
TAPE_SYNC = record(
    [
        ("book_state", "<i8"),  # BookState: BUFFERING, SYNCING, LIVE or GAP
        ("last_update_id", "<i8"),
        ("last_venue_ns", "<i8"),
        ("expected_id", "<i8"),  # of the last gap: the id that should have come before
        ("got_id", "<i8"),  # and what came
        ("last_trade_id", "<i8"),
        ("trade_gaps", "<i8"),  # ids missing between trades
        ("duplicates", "<i8"),  # depth events and trades that came a second time
    ],
    64,
)
# Where the reader of a recording stands.
TAPE_CURSOR = record(
    [
        ("at", "<i8"),  # behind the last line that is done
        ("line", "<i8"),  # lines done
        ("events", "<i8"),  # rows written
        ("levels", "<i8"),
        ("received_ns", "<i8"),  # of the last line
        ("payload_at", "<i8"),  # of a line that is left to the caller
        ("payload_end", "<i8"),
    ],
    56,
)
# What happened to one instrument in a stretch of time; the touch is the one at its end.
TAPE_BAR = record(
    [
        ("open_half_ticks", "<i8"),  # of the mid: bid_ticks + ask_ticks
        ("high_half_ticks", "<i8"),
        ("low_half_ticks", "<i8"),
        ("close_half_ticks", "<i8"),
        ("bid_ticks", "<i8"),
        ("bid_lots", "<i8"),
        ("ask_ticks", "<i8"),
        ("ask_lots", "<i8"),
        ("buy_lots", "<i8"),  # traded, by the taker's side
        ("sell_lots", "<i8"),
        ("trades", "<i8"),
        ("updates", "<i8"),  # of the book
    ],
    96,
)
