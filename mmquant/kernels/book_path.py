"""A sequence of packed book events: STEP applies one, PATH all of them, noting each touch.

An event is int64 words: kind (`BookEvent`), update_id, n_bids, n_asks, then the bids and the asks
as pairs (price in ticks, quantity in lots). Events lie one behind the other. Update ids are 0 or
more. A BBO has at most one level a side; a CLEAR has none.
"""

import numpy as np

from mmquant._jit import bare_inlined as inlined
from mmquant._jit import bare_njit as njit
from mmquant.codes import BookCode, BookEvent
from mmquant.kernels import wire
from mmquant.kernels.book import BAD_LEVEL, OK, apply_event, book_bbo, book_clear
from mmquant.kernels.book_read import book_touch

DELTA = int(BookEvent.DELTA)
SNAPSHOT = int(BookEvent.SNAPSHOT)
CLEAR = int(BookEvent.CLEAR)
BBO = int(BookEvent.BBO)
TRUNCATED = int(BookCode.TRUNCATED)

MOST_UPDATE_ID = 1 << 62  # as of `OrderBook.apply`
LEVEL_WORDS = wire.LEVEL_WORDS
KIND = 0  # words of an event
UPDATE_ID = 1
N_BIDS = 2
N_ASKS = 3
EVENT_WORDS = 4  # its levels begin here


@njit
def _best_bid_offer(book: np.ndarray, words: np.ndarray, at: int, n_bids: int, n_asks: int) -> int:
    """Take in the BBO event at word `at`."""
    if n_bids > 1 or n_asks > 1:
        book[0]["bad_levels"] += 1
        return BAD_LEVEL
    levels = at + EVENT_WORDS
    bid_ticks = 0
    bid_lots = 0
    if n_bids == 1:
        bid_ticks = words[levels]
        bid_lots = words[levels + 1]
        levels += LEVEL_WORDS
    ask_ticks = 0
    ask_lots = 0
    if n_asks == 1:
        ask_ticks = words[levels]
        ask_lots = words[levels + 1]
    return book_bbo(book, words[at + UPDATE_ID], bid_ticks, bid_lots, ask_ticks, ask_lots)


@inlined
def book_step(book: np.ndarray, words: np.ndarray, at: int) -> int:
    """Apply the packed event at word `at`.

    Parameters
    ----------
    book : ndarray of BOOK, shape (1,)
        Changed in place. It must have been through `book_clear` or a load once.
    words : ndarray of int64
        Packed events.
    at : int
        Where the event begins.

    Returns
    -------
    int
        As `book_apply` and `book_bbo`; `BAD_LEVEL` as well when the update id is below 0 or above
        2^62 or the kind is no BookEvent, and `TRUNCATED` when the event does not lie within
        `words`: then nothing of it was applied.
    """
    if at < 0 or at + EVENT_WORDS > words.size:
        return TRUNCATED
    n_bids = words[np.uint64(at + N_BIDS)]
    n_asks = words[np.uint64(at + N_ASKS)]
    bids_at = at + EVENT_WORDS
    room = (words.size - bids_at) // LEVEL_WORDS
    if n_bids < 0 or n_asks < 0 or n_bids > room or n_asks > room - n_bids:
        return TRUNCATED
    update_id = words[np.uint64(at + UPDATE_ID)]
    if update_id < 0 or update_id > MOST_UPDATE_ID:  # no best bid and offer has id 0
        book[0]["bad_levels"] += 1
        return BAD_LEVEL
    kind = words[np.uint64(at + KIND)]
    if kind < DELTA or kind > BBO:
        book[0]["bad_levels"] += 1
        return BAD_LEVEL
    if kind == BBO:
        return _best_bid_offer(book, words, at, n_bids, n_asks)
    if kind == CLEAR:
        book_clear(book)
        book[0]["last_update_id"] = update_id
        return OK
    asks_at = bids_at + LEVEL_WORDS * n_bids
    load = 1 if kind == SNAPSHOT else 0
    return apply_event(book, words, bids_at, n_bids, asks_at, n_asks, update_id, load)


@njit
def book_path(book: np.ndarray, words: np.ndarray, touches: np.ndarray) -> int:
    """Apply packed events one after the other and note the touch after each.

    Parameters
    ----------
    book : ndarray of BOOK, shape (1,)
        Changed in place.
    words : ndarray of int64
        Packed events.
    touches : ndarray of BOOK_TOUCH, shape (n,)
        Overwritten; n is the number of events to apply.

    Returns
    -------
    int
        Events applied: n, or fewer when `words` end before.
    """
    at = 0
    for i in range(touches.size):
        code = book_step(book, words, at)
        if code == TRUNCATED:
            return i
        bid_ticks, bid_lots, ask_ticks, ask_lots = book_touch(book)
        touch = touches[i]
        touch["update_id"] = words[np.uint64(at + UPDATE_ID)]
        touch["code"] = code
        touch["bid_ticks"] = bid_ticks
        touch["bid_lots"] = bid_lots
        touch["ask_ticks"] = ask_ticks
        touch["ask_lots"] = ask_lots
        n_levels = words[np.uint64(at + N_BIDS)] + words[np.uint64(at + N_ASKS)]
        at += EVENT_WORDS + LEVEL_WORDS * n_levels
    return touches.size
