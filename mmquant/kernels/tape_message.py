"""A row of a tape -> the message that the collector would have sent of it."""

from typing import Any

import numpy as np

from mmquant import records
from mmquant._jit import bare_njit as njit
from mmquant.codes import BookState, Side, TapeKind
from mmquant.kernels import wire
from mmquant.kernels.book_ring import level_lots

__all__ = ["MESSAGE_WORDS", "tape_message"]

_SNAPSHOT = int(TapeKind.SNAPSHOT)
_CLEAR = int(TapeKind.CLEAR)
_BBO = int(TapeKind.BBO)
_TRADE = int(TapeKind.TRADE)
_GAP = int(TapeKind.GAP)
_LIVE = int(BookState.LIVE)
_STATE_GAP = int(BookState.GAP)
_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_MOST_TICKS = 1 << 53
_VERSION = records.SCHEMA_ID << 32 | records.SCHEMA_VERSION << 48
_GROUP = records.LEVEL.itemsize
_DELTA_HEAD = records.BOOK_DELTA.itemsize | wire.TEMPLATE_BOOK_DELTA << 16 | _VERSION
_SNAPSHOT_HEAD = records.BOOK_SNAPSHOT.itemsize | wire.TEMPLATE_BOOK_SNAPSHOT << 16 | _VERSION
_BBO_HEAD = records.BEST_BID_OFFER.itemsize | wire.TEMPLATE_BEST_BID_OFFER << 16 | _VERSION
_TRADE_HEAD = records.TRADE.itemsize | wire.TEMPLATE_TRADE << 16 | _VERSION
_DELTA_GROUPS = wire.HEADER_WORDS + records.BOOK_DELTA.itemsize // 8
_SNAPSHOT_GROUPS = wire.HEADER_WORDS + records.BOOK_SNAPSHOT.itemsize // 8
# Words of the longest message beside its levels.
MESSAGE_WORDS = _SNAPSHOT_GROUPS + 2 * wire.GROUP_WORDS


@njit
def _copy(levels: np.ndarray, at: int, n: int, words: np.ndarray, to: int) -> None:
    """Copy `n` words, several an instruction: an unsigned index is never one from the end."""
    for k in range(n):
        words[np.uint64(to + k)] = levels[np.uint64(at + k)]


@njit
def _copy_groups(
    levels: np.ndarray, at: int, n_bids: int, n_asks: int, words: np.ndarray, to: int
) -> None:
    """Lay out both sides of levels that lie one behind the other from word `at` on."""
    words[to] = _GROUP | n_bids << wire.COUNT_SHIFT
    to += wire.GROUP_WORDS
    _copy(levels, at, 2 * n_bids, words, to)
    to += 2 * n_bids
    at += 2 * n_bids
    words[to] = _GROUP | n_asks << wire.COUNT_SHIFT
    to += wire.GROUP_WORDS
    _copy(levels, at, 2 * n_asks, words, to)


@njit
def _clear_side(
    book: np.ndarray, side: int, best: int, limit: int, words: np.ndarray, at: int
) -> int:
    """Write the removal of a side's levels from the best to `limit`; return how many."""
    n = 0
    price = best
    while (price - limit) * side >= 0 and at + 2 * n + 1 < words.size:
        if level_lots(book, side, price) > 0:
            words[at + 2 * n] = price
            words[at + 2 * n + 1] = 0
            n += 1
        price -= side
    return n


@njit
def _clear_groups(
    book: np.ndarray, levels: np.ndarray, at: int, n_bids: int, n_asks: int, words: np.ndarray
) -> None:
    """Lay out the removals that a CLEAR of prices stands for."""
    b = book[0]  # not its touch, over which a newer best bid and offer may lie
    to = _DELTA_GROUPS
    n = 0
    if n_bids > 0 and b["best_bid_lots"] > 0:
        best = b["best_bid_ticks"]
        n = _clear_side(book, _BUY, best, levels[at], words, to + wire.GROUP_WORDS)
    words[to] = _GROUP | n << wire.COUNT_SHIFT
    to += wire.GROUP_WORDS + 2 * n
    n = 0
    if n_asks > 0 and b["best_ask_lots"] > 0:
        best = b["best_ask_ticks"]
        n = _clear_side(book, _SELL, best, levels[at + 2 * n_bids], words, to + wire.GROUP_WORDS)
    words[to] = _GROUP | n << wire.COUNT_SHIFT


@njit
def _write_touch(
    levels: np.ndarray, at: int, n_bids: int, n_asks: int, update_id: int, words: np.ndarray
) -> None:
    words[0] = _BBO_HEAD
    words[wire.BBO_UPDATE_ID] = update_id
    for k in range(4):
        words[wire.BBO_BID_TICKS + k] = 0
    if n_bids > 0:
        words[wire.BBO_BID_TICKS] = levels[at]
        words[wire.BBO_BID_LOTS] = levels[at + 1]
        at += 2
    if n_asks > 0:
        words[wire.BBO_ASK_TICKS] = levels[at]
        words[wire.BBO_ASK_LOTS] = levels[at + 1]


@njit
def tape_message(
    event: np.ndarray,
    levels: np.ndarray,
    book: np.ndarray,
    instrument_id: int,
    epoch: int,
    now_ns: int,
    words: np.ndarray,
) -> int:
    """Write the message of one row of a tape.

    Parameters
    ----------
    event : ndarray of TAPE_EVENT, shape (1,)
    levels : ndarray of int64
        The tape's levels as words.
    book : ndarray of BOOK, shape (1,)
        As its reader has it: a delta follows it, a CLEAR removes what it holds.
    instrument_id, epoch, now_ns : int
    words : ndarray of int64
        Written: MESSAGE_WORDS and two a level; a CLEAR of more levels is cut short.

    Returns
    -------
    int
        The message's template.
    """
    e = event[0]
    kind = e["kind"]
    at = 2 * e["first_level"]
    n_bids: Any = np.int64(e["n_bids"])
    n_asks: Any = np.int64(e["n_asks"])
    b = book[0]
    words[wire.SEQ] = 0
    words[wire.NOW_NS] = now_ns
    words[wire.INSTRUMENT_EPOCH] = instrument_id | epoch << wire.EPOCH_SHIFT
    words[wire.DELTA_VENUE_NS] = e["venue_ns"]  # in every message at the same place
    if kind == _TRADE:
        words[0] = _TRADE_HEAD
        words[wire.TRADE_TRADE_ID] = e["update_id"]
        words[wire.TRADE_PRICE_TICKS] = levels[at]
        words[wire.TRADE_QTY_LOTS] = levels[at + 1]
        words[wire.TRADE_AGGRESSOR] = _BUY if n_bids > 0 else _SELL
        words[wire.TRADE_RECEIVED_NS] = now_ns
        words[wire.TRADE_SENT_NS] = now_ns
        return wire.TEMPLATE_TRADE
    if kind == _BBO:
        _write_touch(levels, at, n_bids, n_asks, e["update_id"], words)
        words[wire.BBO_RECEIVED_NS] = now_ns
        words[wire.BBO_SENT_NS] = now_ns
        return wire.TEMPLATE_BEST_BID_OFFER
    empties = kind == _CLEAR and n_bids + n_asks == 0
    if kind == _SNAPSHOT or kind == _GAP or empties:
        words[0] = _SNAPSHOT_HEAD
        words[wire.SNAPSHOT_LAST_UPDATE_ID] = (
            b["last_update_id"] if kind == _GAP else e["update_id"]
        )
        words[wire.SNAPSHOT_KNOWN_LOW_TICKS] = 0
        words[wire.SNAPSHOT_KNOWN_HIGH_TICKS] = _MOST_TICKS
        words[wire.SNAPSHOT_RECEIVED_NS] = now_ns
        words[wire.SNAPSHOT_SENT_NS] = now_ns
        words[wire.SNAPSHOT_BOOK_STATE] = _STATE_GAP if kind == _GAP else _LIVE
        _copy_groups(levels, at, n_bids, n_asks, words, _SNAPSHOT_GROUPS)
        return wire.TEMPLATE_BOOK_SNAPSHOT
    words[0] = _DELTA_HEAD
    words[wire.DELTA_FIRST_UPDATE_ID] = b["last_update_id"] + 1
    words[wire.DELTA_LAST_UPDATE_ID] = e["update_id"]
    words[wire.DELTA_PREVIOUS_UPDATE_ID] = b["last_update_id"]
    words[wire.DELTA_RECEIVED_NS] = now_ns
    words[wire.DELTA_SENT_NS] = now_ns
    if kind == _CLEAR:
        _clear_groups(book, levels, at, n_bids, n_asks, words)
    else:
        _copy_groups(levels, at, n_bids, n_asks, words, _DELTA_GROUPS)
    return wire.TEMPLATE_BOOK_DELTA
