"""Parameters and state of the simulator, what it is asked for, and what its kernels report."""

from mmquant.records import record
from mmquant.state.trading import MAX_GONE, MAX_ORDERS

__all__ = [
    "CLIENT",
    "EVENT",
    "GONE_FROM",
    "MAX_ARRIVALS",
    "MAX_CLIENTS",
    "MAX_LATE_FILLS",
    "MAX_TAKEN",
    "ORDER",
    "ORDER_REQUEST",
    "RECORDED_LATENCY",
    "SIMULATOR_PARAMS",
    "SIMULATOR_STATE",
]

MAX_TAKEN = 16  # levels a side of which we took something, at once
MAX_ARRIVALS = 64  # sizes known of what stands behind an own order: the newest
MAX_CLIENTS = 256  # client ids kept, to know a repeated one
MAX_LATE_FILLS = 128  # fills that the trader does not know of yet
GONE_FROM = MAX_ORDERS + 1  # the first slot of orders that are gone
ORDER = record(
    [
        ("order_id", "<i8"),
        ("client_id", "<i8"),  # 0 without one
        ("quotes_seq", "<i8"),  # of the quotes that wanted it, 0 without them
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("filled_lots", "<i8"),
        ("active_ns", "<i8"),  # when it reaches the venue
        ("amend_ns", "<i8"),  # when its amendment does, NEVER_NS without one
        ("amend_price_ticks", "<i8"),
        ("amend_qty_lots", "<i8"),
        ("cancel_ns", "<i8"),  # when its cancellation does, NEVER_NS without one
        ("queued_ns", "<i8"),  # when it took its place in the queue
        ("ahead_lots", "<f8"),  # market lots in front of it, as the model estimates
        ("entry_ahead_lots", "<i8"),  # as it took its place; -1 where the book did not tell
        ("displayed_lots", "<i8"),  # last seen at its price; -1 where the book does not tell
        ("traded_lots", "<i8"),  # printed at its price since then
        ("unexplained_lots", "<i8"),  # gone from its price without a print so far
        ("cut_lots", "<f8"),  # what `unexplained_lots` took off `ahead_lots`
        ("decrease_ns", "<i8"),  # the venue's time of the last of them
        ("arrival_id", "<i8"),  # newest market order when it took its place (fifo_l3)
        ("is_guessed", "<i8"),  # 1: `ahead_lots` rests on a draw (prob_draw)
        ("arrivals", "<i8"),  # how many sizes are known of what came behind it (prob_draw),
        ("arrival_lots", "<i8", (MAX_ARRIVALS,)),  # the oldest first
        ("side", "<i8"),
        ("kind", "<i8"),  # codes.OrderKind
        ("status", "<i8"),
        ("reason", "<i8"),  # of the cancellation
        ("there_ns", "<i8"),  # when it reached the venue, by the venue's clock
        ("amend_there_ns", "<i8"),  # when its amendment does, by the same
        ("shown_ns", "<i8"),  # the venue's time of the book by which it took its place
        ("queue_seq", "<i8"),  # grows with each place that an own order takes
        ("cancel_there_ns", "<i8"),  # when its cancellation is at the venue, by the venue's clock
        ("last_price_ticks", "<i8"),  # of one that is gone: what has become of the order since
        ("last_qty_lots", "<i8"),
        ("last_filled_lots", "<i8"),
    ],
    272 + 8 * MAX_ARRIVALS,
)
# What is kept of an order that came with a client id.
CLIENT = record(
    [
        ("client_id", "<i8"),
        ("order_id", "<i8"),
        ("side", "<i8"),  # these four: as it was sent
        ("kind", "<i8"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("status", "<i8"),  # and as it ended
        ("reason", "<i8"),
        ("last_price_ticks", "<i8"),
        ("last_qty_lots", "<i8"),
        ("filled_lots", "<i8"),
    ],
    88,
)
# What the order-level calls take. A `reason` other than NONE is a fault found on the way in: it
# is answered as a rejection.
ORDER_REQUEST = record(
    [
        ("action", "<i8"),  # codes.OrderAction
        ("order_id", "<i8"),  # of an amendment or a cancellation; 0 names by client_id
        ("client_id", "<i8"),
        ("side", "<i8"),
        ("kind", "<i8"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("reason", "<i8"),
    ],
    64,
)
# One order's way, recorded at a venue: sent, at the venue, answer received. All positive.
RECORDED_LATENCY = record(
    [("request_ns", "<i8"), ("venue_ns", "<i8"), ("response_ns", "<i8")],
    24,
)
SIMULATOR_PARAMS = record(
    [
        ("entry_latency_ns", "<i8"),  # median, where it is jittered
        ("cancel_latency_ns", "<i8"),
        ("markout_horizon_ns", "<i8"),
        ("max_orders", "<i8"),
        ("maker_fee_ppm", "<i8"),  # millionths of the notional, negative = rebate
        ("taker_fee_ppm", "<i8"),
        ("fill_probability_factor", "<f8"),  # of model CROSS
        ("response_latency_ns", "<i8"),
        ("entry_jitter", "<f8"),  # standard deviation of the latency's logarithm
        ("cancel_jitter", "<f8"),
        ("response_jitter", "<f8"),
        ("fill_model", "<i8"),  # codes.FillModel
        ("queue_power", "<f8"),  # of model PROB_POWER
    ],
    104,
)
SIMULATOR_STATE = record(
    [
        ("now_ns", "<i8"),
        ("next_due_ns", "<i8"),  # no entry, amendment or cancellation arrives before this
        ("next_order_id", "<i8"),
        ("random", "<u8"),  # of fills; never 0
        ("latency_random", "<u8"),  # of latencies; never 0
        ("known_ns", "<i8"),  # when the trader gets the newest report
        ("feed_latency_ns", "<i8"),  # how late the market below is seen
        ("bid_ticks", "<i8"),
        ("bid_lots", "<i8"),
        ("ask_ticks", "<i8"),
        ("ask_lots", "<i8"),
        ("mark_half_ticks", "<i8"),
        ("arrival_id", "<i8"),  # newest market order seen (fifo_l3)
        ("endings", "<i8"),  # cancellations that must have stood behind an own order (prob_draw),
        ("endings_known", "<i8"),  # and those of the size of something known to stand there
        ("arrivals", "<i8"),  # what came behind an own order,
        ("arrived_lots", "<i8"),  # all of it together,
        ("arrivals_alike", "<i8"),  # and what was of a size that stood there already
        ("instrument_id", "<i8"),
        ("epoch", "<i8"),
        ("taken", "<i8", (2,)),  # levels of asks and of bids that own orders took from
        ("taken_ticks", "<i8", (2, MAX_TAKEN)),
        ("taken_lots", "<i8", (2, MAX_TAKEN)),
        ("heard_ns", "<i8"),  # the trader knows of all answers up to then
        ("unheard", "<i8"),  # orders that ended without the trader's knowing it yet
        ("unheard_known_ns", "<i8", (MAX_ORDERS,)),
        ("unheard_side", "<i8", (MAX_ORDERS,)),
        ("unheard_ticks", "<i8", (MAX_ORDERS,)),
        ("clients", "<i8"),  # rows of their table gone through so far
        ("client_table", CLIENT, (MAX_CLIENTS,)),  # the newest, and those of orders alive
        ("max_open_orders", "<i8"),  # the venue's rule, 0 without one
        ("clock", "<i8"),  # 1: the book tells the venue's time, 2: it never has, 0: nothing heard
        ("clock_ahead_ns", "<i8"),  # by how much the venue's clock is ahead of ours, at least
        ("book_ns", "<i8"),  # the venue's time of the book as it was last taken in
        ("queue_seq", "<i8"),  # of the next place that an own order takes
        ("late_fills", "<i8"),  # fills that the trader may not know of yet, the oldest first
        ("late_known_ns", "<i8", (MAX_LATE_FILLS,)),
        ("late_order_id", "<i8", (MAX_LATE_FILLS,)),
        ("late_lots", "<i8", (MAX_LATE_FILLS,)),
        ("count", "<i8"),  # orders alive: the first ones of the table, the oldest first
        ("newest_ns", "<i8"),  # the venue's time of the newest book taken in so far
        ("gone_there_ns", "<i8"),  # when the last of those that are gone left the venue
        ("gone", "<i8"),  # orders as they were that may still be filled: from slot GONE_FROM on
        # One more than are alive, to report a rejected order from; then those that are gone.
        ("orders", ORDER, (GONE_FROM + MAX_GONE,)),
    ],
    8 * 35
    + 24 * MAX_LATE_FILLS
    + 24 * MAX_ORDERS
    + 32 * MAX_TAKEN
    + CLIENT.itemsize * MAX_CLIENTS
    + ORDER.itemsize * (GONE_FROM + MAX_GONE),
)
# What a simulator kernel reports: fields named as in ORDER_UPDATE and FILL, 0 where unused.
EVENT = record(
    [
        ("now_ns", "<i8"),  # when it happened at the venue
        ("instrument_id", "<u4"),
        ("epoch", "<u4"),
        ("order_id", "<i8"),
        ("quotes_seq", "<i8"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("filled_lots", "<i8"),
        ("fill_id", "<i8"),
        ("fee_micro_tick_lots", "<i8"),
        ("mark_half_ticks", "<i8"),
        ("trade_id", "<i8"),
        ("position_lots", "<i8"),
        ("template_id", "<u2"),  # Template.ORDER_UPDATE or Template.FILL
        ("side", "<i2"),
        ("status", "<u2"),
        ("reason", "<u2"),
        ("kind", "<u2"),
        ("liquidity", "<u2"),
        ("is_repeat", "<u2"),  # 1: told once more, no news (a client id that came again)
        ("reserved", "<u2"),
        ("client_id", "<i8"),
        ("queue_entry_lots", "<i8"),
        ("queue_ahead_lots", "<i8"),
        ("queue_ns", "<i8"),
        ("known_ns", "<i8"),  # when the trader learns of it: simulator_respond
    ],
    152,
)
