"""Every kernel's state and parameters as structured dtypes, declared once, with asserted sizes.

State is a one-element array of one of these, changed in place by the kernels. Its bytes are its
snapshot. A file for each stage; kernels import the names from here.
"""

from mmquant.state.account import ACCOUNT
from mmquant.state.book import BOOK, BOOK_RING_TICKS, BOOK_TAIL_LEVELS, BOOK_TAIL_SLOTS, BOOK_TOUCH
from mmquant.state.estimators import BAR, EWMA, EWMA_MOMENTS, TRADE_FLOW, VOLATILITY
from mmquant.state.frames import FRAME, SYMBOL
from mmquant.state.market import MARKET_EVENT, MARKET_PARAMETERS, MARKET_STATE
from mmquant.state.model import MODEL_INPUTS, MODEL_QUOTES
from mmquant.state.pricing import PRICING_PARAMS, PRICING_STATE
from mmquant.state.simulator import EVENT, ORDER, SIMULATOR_PARAMS, SIMULATOR_STATE
from mmquant.state.strategy import STRATEGY_PARAMS, STRATEGY_STATE
from mmquant.state.tape import (
    TAPE_AGGREGATE,
    TAPE_BAR,
    TAPE_BARE,
    TAPE_BUFFERED,
    TAPE_CURSOR,
    TAPE_EVENT,
    TAPE_LOCAL_ONLY,
    TAPE_SKIP,
    TAPE_SYNC,
    TAPE_VENUE_ONLY,
)
from mmquant.state.trading import MAX_EVENTS, MAX_LEVELS, MAX_MARKOUTS, MAX_ORDERS, NEVER_NS

__all__ = [
    "ACCOUNT",
    "BAR",
    "BOOK",
    "BOOK_RING_TICKS",
    "BOOK_TAIL_LEVELS",
    "BOOK_TAIL_SLOTS",
    "BOOK_TOUCH",
    "EVENT",
    "EWMA",
    "EWMA_MOMENTS",
    "FRAME",
    "MARKET_EVENT",
    "MARKET_PARAMETERS",
    "MARKET_STATE",
    "MAX_EVENTS",
    "MAX_LEVELS",
    "MAX_MARKOUTS",
    "MAX_ORDERS",
    "MODEL_INPUTS",
    "MODEL_QUOTES",
    "NEVER_NS",
    "ORDER",
    "PRICING_PARAMS",
    "PRICING_STATE",
    "SIMULATOR_PARAMS",
    "SIMULATOR_STATE",
    "STRATEGY_PARAMS",
    "STRATEGY_STATE",
    "SYMBOL",
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
    "TRADE_FLOW",
    "VOLATILITY",
]
