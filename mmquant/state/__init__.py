"""Every kernel's state and parameters as structured dtypes, declared once, with asserted sizes.

State is a one-element array of one of these, changed in place by the kernels. Its bytes are its
snapshot. A file for each stage; kernels import the names from here.
"""

from mmquant.state.account import ACCOUNT
from mmquant.state.backtest import (
    BACKTEST,
    BACKTEST_QUOTE,
    BACKTEST_SAMPLE,
    MAX_KNOWN_ORDERS,
)
from mmquant.state.book import BOOK, BOOK_RING_TICKS, BOOK_TAIL_LEVELS, BOOK_TAIL_SLOTS, BOOK_TOUCH
from mmquant.state.estimators import BAR, EWMA, EWMA_MOMENTS, TRADE_FLOW, VOLATILITY
from mmquant.state.exchange import (
    EXCHANGE_EVENT,
    EXCHANGE_ORDER,
    EXCHANGE_ORDERS,
    EXCHANGE_QUEUES,
    OWN_FILL,
)
from mmquant.state.frames import FRAME, SYMBOL
from mmquant.state.market import MARKET_EVENT, MARKET_PARAMETERS, MARKET_STATE
from mmquant.state.model import MODEL_INPUTS, MODEL_QUOTES
from mmquant.state.pricing import PRICING_PARAMS, PRICING_STATE
from mmquant.state.simulator import (
    EVENT,
    MAX_CLIENTS,
    MAX_TAKEN,
    ORDER,
    ORDER_REQUEST,
    RECORDED_LATENCY,
    SIMULATOR_PARAMS,
    SIMULATOR_STATE,
)
from mmquant.state.strategy import (
    FILLS_KEPT,
    MINUTE_SLOTS,
    STRATEGY_INPUTS,
    STRATEGY_PARAMS,
    STRATEGY_STATE,
)
from mmquant.state.tape import (
    TAPE_AGGREGATE,
    TAPE_BUFFERED,
    TAPE_EVENT,
    TAPE_LOCAL_ONLY,
    TAPE_SKIP,
    TAPE_SYNC,
    TAPE_VENUE_ONLY,
)
from mmquant.state.trading import MAX_EVENTS, MAX_LEVELS, MAX_MARKOUTS, MAX_ORDERS, NEVER_NS

__all__ = [
    "ACCOUNT",
    "BACKTEST",
    "BACKTEST_QUOTE",
    "BACKTEST_SAMPLE",
    "BAR",
    "BOOK",
    "BOOK_RING_TICKS",
    "BOOK_TAIL_LEVELS",
    "BOOK_TAIL_SLOTS",
    "BOOK_TOUCH",
    "EVENT",
    "EWMA",
    "EWMA_MOMENTS",
    "EXCHANGE_EVENT",
    "EXCHANGE_ORDER",
    "EXCHANGE_ORDERS",
    "EXCHANGE_QUEUES",
    "FILLS_KEPT",
    "FRAME",
    "MARKET_EVENT",
    "MARKET_PARAMETERS",
    "MARKET_STATE",
    "MAX_CLIENTS",
    "MAX_EVENTS",
    "MAX_KNOWN_ORDERS",
    "MAX_LEVELS",
    "MAX_MARKOUTS",
    "MAX_ORDERS",
    "MAX_TAKEN",
    "MINUTE_SLOTS",
    "MODEL_INPUTS",
    "MODEL_QUOTES",
    "NEVER_NS",
    "ORDER",
    "ORDER_REQUEST",
    "OWN_FILL",
    "PRICING_PARAMS",
    "PRICING_STATE",
    "RECORDED_LATENCY",
    "SIMULATOR_PARAMS",
    "SIMULATOR_STATE",
    "STRATEGY_INPUTS",
    "STRATEGY_PARAMS",
    "STRATEGY_STATE",
    "SYMBOL",
    "TAPE_AGGREGATE",
    "TAPE_BUFFERED",
    "TAPE_EVENT",
    "TAPE_LOCAL_ONLY",
    "TAPE_SKIP",
    "TAPE_SYNC",
    "TAPE_VENUE_ONLY",
    "TRADE_FLOW",
    "VOLATILITY",
]
