"""Every small named number that travels in a message or comes back from a kernel."""

from enum import IntEnum

__all__ = [
    "BookCode",
    "BookEvent",
    "BookFault",
    "BookState",
    "FeeAsset",
    "FillKind",
    "FillModel",
    "FrameKind",
    "Liquidity",
    "Market",
    "MarketEventKind",
    "OrderAction",
    "OrderEventKind",
    "OrderKind",
    "OrderStatus",
    "PricingFlag",
    "QuoteClamp",
    "Reason",
    "RequestKind",
    "RiskState",
    "Role",
    "ServiceState",
    "Side",
    "Stream",
    "TapeKind",
    "Template",
]


class Stream(IntEnum):
    """Aeron stream ids: the contract between the services."""

    MARKET_DATA = 10
    STATE = 11
    HEARTBEATS = 12
    TRADES = 13
    PRICING = 14
    QUOTES = 15
    FILLS = 16
    POSITIONS = 17


class Template(IntEnum):
    """SBE template id of each message."""

    BOOK_DELTA = 1
    BOOK_SNAPSHOT = 2
    BEST_BID_OFFER = 3
    INSTRUMENT = 4
    STATE = 5
    REQUEST = 6
    HEARTBEAT = 7
    TRADE = 8
    PRICING = 9
    QUOTES = 10
    ORDER_UPDATE = 11
    FILL = 12
    POSITION = 13


class Role(IntEnum):
    """Who sent a message; the name in lower case is the service's name."""

    AERONMD = 1
    MM_COLLECTOR = 2
    MM_PRICING = 3
    MM_STRATEGY = 4
    MM_SIMULATOR = 5
    MM_VENUE = 6
    MM_LAUNCHER = 7
    MM_RECORDER = 8


class Market(IntEnum):
    """Which rules of the venue apply."""

    SPOT = 1
    USDM = 2


class Side(IntEnum):
    """Direction of a trade or an order: the sign of the position change."""

    BUY = 1
    SELL = -1


class BookState(IntEnum):
    """State of the local copy of a venue's book. Only LIVE may be quoted on."""

    DOWN = 0
    BUFFERING = 1
    SYNCING = 2
    LIVE = 3
    GAP = 4
    CROSSED = 5
    STALE = 6


class ServiceState(IntEnum):
    """State of a service."""

    STARTING = 0
    READY = 1
    DEGRADED = 2
    HALTED = 3
    STOPPED = 4
    REDUCING = 5


class Reason(IntEnum):
    """Why a service is not doing its job, or why there are no quotes. NONE means all is well."""

    NONE = 0
    STARTING = 1
    NO_INSTRUMENT = 2
    NO_MARKET_DATA = 3
    BOOK_NOT_LIVE = 4
    BOOK_STALE = 5
    BOOK_CROSSED = 6
    NOT_WARM = 7
    NOT_FINITE = 8
    NO_POSITION = 9
    INVENTORY_LIMIT = 10
    UPSTREAM_SILENT = 11
    SPREAD_TOO_WIDE = 12
    BELOW_MINIMUM_NOTIONAL = 13
    STOPPING = 14
    CONNECTION_LOST = 15
    GAP = 16
    DRIVER_LOST = 17
    WOULD_CROSS = 18
    STRATEGY_SILENT = 19
    REPLACED = 20
    PULLED = 21
    RESTARTED = 22
    OFF_TICK = 23
    BELOW_MINIMUM_QUANTITY = 24
    ABOVE_MAXIMUM_QUANTITY = 25
    TOO_MANY_ORDERS = 26
    INTERNAL_ERROR = 27
    SNAPSHOT_FAILED = 28
    OVERFLOW = 29
    PRICE_OUT_OF_RANGE = 30
    CLOCK_SKEW = 31
    UPSTREAM_LAGS = 32
    SPREAD_TOO_NARROW = 33
    PRICE_COLLAR = 34
    OPEN_NOTIONAL = 35
    OPEN_ORDERS = 36
    ORDER_RATE = 37
    CANCEL_RATE = 38
    SESSION_LOSS = 39
    DRAWDOWN = 40
    MINUTE_LOSS = 41
    FILL_BURST = 42
    ADVERSE_MARKOUT = 43
    VOLATILITY_JUMP = 44
    KILLED = 45
    PERCENT_PRICE = 46
    ABOVE_MAXIMUM_NOTIONAL = 47
    INVENTORY_SOFT_LIMIT = 48
    REDUCE_ONLY = 49
    INSTRUMENT_CHANGED = 50
    MODEL_VOLATILITY = 51
    MODEL_ARRIVALS = 52
    MODEL_HORIZON = 53
    MODEL_INVENTORY = 54
    MODEL_PARAMETERS = 55
    MODEL_SPREAD = 56
    MODEL_TABLE = 57
    SIMULATOR_LAGS = 58
    OWN_SPREAD_TOO_NARROW = 59
    OWN_SPREAD_TOO_WIDE = 60
    UNKNOWN_ORDER = 61
    ORDER_ENDED = 62
    CANCEL_IN_FLIGHT = 63
    AMENDMENT_IN_FLIGHT = 64
    DUPLICATE_CLIENT_ID = 65
    NOT_FILLABLE = 66
    REST_EXPIRED = 67
    OFF_LOT = 68
    BELOW_FILLED = 69
    INVALID_ORDER = 70
    CANCEL_REQUESTED = 71
    NO_FAIR_VALUE = 72
    REQUESTS_PAUSED = 91


class RiskState(IntEnum):
    """What the risk gates allow: all quotes, only those that shrink the position, or none."""

    ACTIVE = 0
    REDUCING = 1
    HALTED = 2


class QuoteClamp(IntEnum):
    """Bits of a side in the quotes message: what made it differ from what the model wanted."""

    POST_ONLY = 1  # moved away from the other side's touch
    HELD = 2  # stays where it was: the move is not worth the place in the queue
    FADED = 4  # smaller: the position is beyond the soft limit
    LIMITED = 8  # smaller or fewer: the position limit leaves no more room
    FILTERED = 16  # levels dropped that the venue would refuse
    COLLARED = 32  # levels dropped that lie too far from the mid or the last trade
    CAPPED = 64  # levels dropped: open notional or number of orders
    RATED = 128  # no tokens left to change the orders: they stay, or go where they may not
    REDUCED = 256  # no more than closes the position


class RequestKind(IntEnum):
    """What one service asks of another on the state stream."""

    BOOK_SNAPSHOT = 1


class BookCode(IntEnum):
    """What a book kernel answers."""

    OK = 0
    IGNORED = 1
    NOT_SYNCED = 2
    GAP = 3
    CROSSED = 4
    BAD_LEVEL = 5
    TOO_THIN = 6
    TOO_LARGE = 7
    TRUNCATED = 8


class BookEvent(IntEnum):
    """What a packed book event does."""

    DELTA = 0
    SNAPSHOT = 1
    CLEAR = 2
    BBO = 3


class BookFault(IntEnum):
    """Which rule of its layout a book breaks: what `book_check` answers."""

    NONE = 0
    WINDOW = 1  # the ring's window is not BOOK_RING_TICKS long
    RING_LOTS = 2  # a negative quantity, or one at a price below 1
    RING_BOUND = 3  # a level behind the bound where scans stop
    BEST_PRICE = 4  # a level before the best price
    BEST_LOTS = 5  # the best price has no level, or another size
    TAIL_COUNT = 6  # the tail holds another number of levels than it counts
    TAIL_LEVEL = 7  # a level that belongs into the ring, or without a quantity
    TAIL_LOST = 8  # a level that a look-up does not find
    TAIL_ORDER = 9  # the list of the tail's prices does not ascend or names no level
    BBO = 10  # a best price without a size, or a size without a price


class PricingFlag(IntEnum):
    """Bits of the pricing message's `flags`."""

    LIVE = 1  # may be quoted on: a LIVE book in step, both sides, a fair value, a heard feed
    WARM = 2  # volatility and drift have seen enough
    TOUCH_FROM_BBO = 4  # a best bid and offer is newer than the book's last update
    STALE = 8  # the feed is silent, or the collector calls its book STALE
    GAP = 16  # a message of the book was lost, here or at the collector: wait for a snapshot
    JUMP = 32  # the move to this mid was beyond the limit, and counted as a move of the limit
    WARM_STARTED = 64  # the estimates still rest mainly on a stored state
    NO_FAIR_VALUE = 128  # the blend has no price, or the model of one's own refused
    BASIS = 256  # basis_bps is measured against a reference that is young enough
    CROSSED = 512  # best bid >= best ask
    ONE_SIDED = 1024  # a side of the touch is empty
    REALISED = 2048  # the realised measures are of a window that ended two windows ago at most


class OrderStatus(IntEnum):
    """Life of a simulated order."""

    NEW = 1
    OPEN = 2
    FILLED = 3
    CANCELLED = 4
    REJECTED = 5


class OrderAction(IntEnum):
    """What a request asks of the venue."""

    NEW = 1
    AMEND = 2
    CANCEL = 3


class OrderKind(IntEnum):
    """How an order may trade: LIMIT and POST_ONLY rest until cancelled, the others never rest."""

    POST_ONLY = 1  # rejected where it would take
    LIMIT = 2
    IOC = 3  # what cannot be taken at once expires
    FOK = 4  # all at once or rejected
    MARKET = 5  # an IOC at any price


class FillModel(IntEnum):
    """Where in the queue an own order is thought to stand, see kernels/queue_models.py."""

    CROSS = 1
    RISK_AVERSE = 2
    PROB_POWER = 3
    PROB_LOG = 4
    FIFO_L3 = 5
    CANCEL_AHEAD = 6  # the optimistic bound
    PROB_DRAW = 7


class FillKind(IntEnum):
    """How a fill came about."""

    CROSS = 1  # the opposite touch reached the order
    THROUGH = 2  # a trade printed beyond it
    TOUCH = 3  # a trade printed at its price and used up the queue ahead
    TAKE = 4  # it took what the other side displayed


class OrderEventKind(IntEnum):
    """What happened to one order of the market (feeds with order ids)."""

    ADD = 1
    CANCEL = 2
    TRADE = 3


class Liquidity(IntEnum):
    """Which fee applies."""

    MAKER = 1
    TAKER = 2


class FeeAsset(IntEnum):
    """What fees are paid in."""

    QUOTE = 0  # the asset that profit is counted in (of an inverse contract, its coin)
    BASE = 1
    RECEIVED = 2  # what the fill brings in: the base asset of a purchase, else the quote asset
    OTHER = 3


class MarketEventKind(IntEnum):
    """What a row of the synthetic market's events says."""

    LEVEL = 1
    TRADE = 2
    # of the exchange alone: its orders one by one (a trade names the one it filled)
    ORDER_ADDED = 3
    ORDER_CANCELLED = 4


class FrameKind(IntEnum):
    """What the compiled parser found in a venue's frame."""

    UNKNOWN = 0  # not in the shapes it knows: a parser of all JSON must decide
    DEPTH = 1
    BEST_BID_OFFER = 2
    TRADE = 3
    AGGREGATE_TRADE = 4
    SNAPSHOT = 5


class TapeKind(IntEnum):
    """What an event of a tape is; the first four are as in `BookEvent`."""

    DELTA = 0
    SNAPSHOT = 1
    CLEAR = 2
    BBO = 3
    TRADE = 4
    GAP = 5
