"""The order book: events of absolute level updates, snapshots, and reading the best levels.

Where the levels lie is `book_ring`'s affair. A book is either applied to directly (`book_apply`:
whoever checks the venue's ids) or follows the messages of the market data stream
(`book_follow`: everybody downstream).
"""

import numpy as np

from mmquant import records
from mmquant._jit import njit
from mmquant.codes import BookCode
from mmquant.kernels import wire
from mmquant.kernels.book_ring import (
    MASK,
    NO_ASK,
    NO_BID,
    book_depth_at,
    follow_touch,
    next_level,
    overflow_set,
    touch_target,
)
from mmquant.state import BOOK_RING_TICKS

__all__ = [
    "MAX_PRICE_TICKS",
    "NO_ASK",
    "NO_BID",
    "book_apply",
    "book_clear",
    "book_depth_at",
    "book_follow",
    "book_top",
]

OK = int(BookCode.OK)
IGNORED = int(BookCode.IGNORED)
NOT_SYNCED = int(BookCode.NOT_SYNCED)
GAP = int(BookCode.GAP)
CROSSED = int(BookCode.CROSSED)
BAD_LEVEL = int(BookCode.BAD_LEVEL)

MAX_PRICE_TICKS = 1 << 53  # a sum of two prices is exact in int64, one is exact in float64
LEVEL_WORDS = wire.LEVEL_WORDS
LEVEL_BYTES = records.LEVEL.itemsize
DELTA_BLOCK_LENGTH = records.BOOK_DELTA.itemsize
SNAPSHOT_BLOCK_LENGTH = records.BOOK_SNAPSHOT.itemsize


@njit
def book_clear(book: np.ndarray) -> None:
    """Empty `book` in place and mark it not synced; the counters stay.

    Parameters
    ----------
    book : ndarray of BOOK, shape (1,)
    """
    b = book[0]
    b["bid_lots"][:] = 0
    b["ask_lots"][:] = 0
    b["base_ticks"] = 0
    b["end_ticks"] = BOOK_RING_TICKS
    b["best_bid_ticks"] = NO_BID
    b["best_bid_lots"] = 0
    b["best_ask_ticks"] = NO_ASK
    b["best_ask_lots"] = 0
    b["bid_floor_ticks"] = NO_ASK
    b["ask_ceiling_ticks"] = NO_BID
    b["overflow_bids"] = 0
    b["overflow_asks"] = 0
    b["last_update_id"] = 0
    b["epoch"] = 0
    b["known_low_ticks"] = 0
    b["known_high_ticks"] = 0
    b["synced"] = 0
    b["book_state"] = 0


@njit
def _apply_bids(book: np.ndarray, words: np.ndarray, at: int, n: int) -> int:
    """Put `n` checked bids into the ring; return how many lie outside its window.

    The loop is kept bare: the best price sits in a local that only rises, levels outside are
    left to a second pass, and a best price that was removed is replaced once, by `_settle`.
    """
    b = book[0]
    lots = b["bid_lots"]
    base = b["base_ticks"]
    end = b["end_ticks"]
    best = b["best_bid_ticks"]
    floor = b["bid_floor_ticks"]
    outside = 0
    for i in range(n):
        tick = words[np.uint64(at + i * LEVEL_WORDS)]
        qty = words[np.uint64(at + i * LEVEL_WORDS + 1)]
        if base <= tick < end:
            lots[np.uint64(tick) & MASK] = qty
            floor = min(floor, tick)
        else:
            outside += 1
        if tick > best and qty > 0:
            best = tick
    b["best_bid_ticks"] = best
    b["bid_floor_ticks"] = floor
    return outside


@njit
def _apply_asks(book: np.ndarray, words: np.ndarray, at: int, n: int) -> int:
    """Put `n` checked asks into the ring: the mirror image of `_apply_bids`."""
    b = book[0]
    lots = b["ask_lots"]
    base = b["base_ticks"]
    end = b["end_ticks"]
    best = b["best_ask_ticks"]
    ceiling = b["ask_ceiling_ticks"]
    outside = 0
    for i in range(n):
        tick = words[np.uint64(at + i * LEVEL_WORDS)]
        qty = words[np.uint64(at + i * LEVEL_WORDS + 1)]
        if base <= tick < end:
            lots[np.uint64(tick) & MASK] = qty
            ceiling = max(ceiling, tick)
        else:
            outside += 1
        if tick < best and qty > 0:
            best = tick
    b["best_ask_ticks"] = best
    b["ask_ceiling_ticks"] = ceiling
    return outside


@njit
def _apply_outside(
    book: np.ndarray,
    words: np.ndarray,
    bids_at: int,
    n_bids: int,
    asks_at: int,
    n_asks: int,
) -> None:
    """Put the levels outside the window into the overflow, bids first."""
    b = book[0]
    base = b["base_ticks"]
    end = b["end_ticks"]
    for i in range(n_bids + n_asks):
        sign = 1 if i < n_bids else -1
        at = bids_at + i * LEVEL_WORDS if i < n_bids else asks_at + (i - n_bids) * LEVEL_WORDS
        tick = words[at]
        if tick < base or tick >= end:
            overflow_set(book, sign, tick, words[at + 1])


@njit
def _settle(book: np.ndarray) -> None:
    """Replace a best price whose level was removed, and read the sizes at the touch."""
    b = book[0]
    for side in range(2):  # one call site of each callee: half the machine code
        sign = 1 - 2 * side
        best = b["best_bid_ticks"] if sign > 0 else b["best_ask_ticks"]
        lots = book_depth_at(book, sign, best)
        if lots == 0:
            best = next_level(book, sign, best)
            lots = book_depth_at(book, sign, best)
        if sign > 0:
            b["best_bid_ticks"] = best
            b["best_bid_lots"] = lots
        else:
            b["best_ask_ticks"] = best
            b["best_ask_lots"] = lots


@njit
def _levels_ok(words: np.ndarray, at: int, n: int) -> bool:
    """Tell whether `n` levels lie within `words`, each with a legal price and quantity."""
    if n < 0 or at < 0 or at + n * LEVEL_WORDS > words.size:
        return False
    sound = True
    for i in range(n):
        tick = words[np.uint64(at + i * LEVEL_WORDS)]
        qty = words[np.uint64(at + i * LEVEL_WORDS + 1)]
        if tick < 1 or tick > MAX_PRICE_TICKS or qty < 0:
            sound = False  # no early exit: the loop stays free of branches
    return sound


@njit
def _anchor_empty(
    book: np.ndarray,
    words: np.ndarray,
    bids_at: int,
    n_bids: int,
    asks_at: int,
    n_asks: int,
) -> None:
    """Centre an empty book's window on the touch of the levels about to be applied."""
    b = book[0]
    bid = NO_BID
    for i in range(n_bids):
        if words[bids_at + i * LEVEL_WORDS + 1] > 0:
            bid = max(bid, words[bids_at + i * LEVEL_WORDS])
    ask = NO_ASK
    for i in range(n_asks):
        if words[asks_at + i * LEVEL_WORDS + 1] > 0:
            ask = min(ask, words[asks_at + i * LEVEL_WORDS])
    base = touch_target(bid, ask, b["base_ticks"])
    b["base_ticks"] = base
    b["end_ticks"] = base + BOOK_RING_TICKS


@njit
def _event(
    book: np.ndarray,
    words: np.ndarray,
    bids_at: int,
    n_bids: int,
    asks_at: int,
    n_asks: int,
    last_update_id: int,
    load: int,
) -> int:
    """Apply checked levels as one event, to an emptied book where `load` is 1."""
    b = book[0]
    if load == 1:
        book_clear(book)
    if b["best_bid_ticks"] == NO_BID and b["best_ask_ticks"] == NO_ASK:
        _anchor_empty(book, words, bids_at, n_bids, asks_at, n_asks)
    outside = _apply_bids(book, words, bids_at, n_bids)
    outside += _apply_asks(book, words, asks_at, n_asks)
    if outside > 0:
        _apply_outside(book, words, bids_at, n_bids, asks_at, n_asks)
    _settle(book)
    follow_touch(book)
    b["last_update_id"] = last_update_id
    b["updates"] += 1
    b["levels"] += n_bids + n_asks
    if load == 1:
        b["synced"] = 1
        b["loads"] += 1
    if b["best_bid_ticks"] >= b["best_ask_ticks"]:
        b["crossed"] += 1
        return CROSSED
    return OK


@njit
def book_apply(
    book: np.ndarray,
    words: np.ndarray,
    bids_at: int,
    n_bids: int,
    asks_at: int,
    n_asks: int,
    last_update_id: int,
    load: int,
) -> int:
    """Apply one complete event: absolute quantities, 0 removes a level (known or not).

    Parameters
    ----------
    book : ndarray of BOOK, shape (1,)
        Changed in place. It must have been through `book_clear` or a load once.
    words : ndarray of int64
        Levels as pairs (price in ticks, quantity in lots), in any order.
    bids_at, asks_at : int
        Word of each side's first level.
    n_bids, n_asks : int
        Number of levels.
    last_update_id : int
        The book's update id after the event.
    load : int
        1: the levels are a snapshot and replace the book, which is then synced; epoch,
        book_state and known range become 0 and are the caller's to set. 0: they are changes.

    Returns
    -------
    int
        `BookCode.OK`; `CROSSED` when best bid >= best ask after the event (the book stays
        readable); `BAD_LEVEL` when a price is not in [1, MAX_PRICE_TICKS], a quantity is
        negative or levels lie outside `words`: then nothing of the event was applied.
    """
    if not _levels_ok(words, bids_at, n_bids) or not _levels_ok(words, asks_at, n_asks):
        book[0]["bad_levels"] += 1
        return BAD_LEVEL
    return _event(book, words, bids_at, n_bids, asks_at, n_asks, last_update_id, load)


@njit
def _groups(words: np.ndarray, block_length: int) -> tuple[int, int, int, int, bool]:
    """Find both groups: bids_at, n_bids, asks_at, n_asks, and whether all is sound.

    The header's block length and the groups' entry length decide, never this reader's records:
    fields appended by a newer writer are stepped over.
    """
    none = (0, 0, 0, 0, False)
    at = wire.HEADER_WORDS + ((words[0] & wire.MASK_16) >> 3)
    if (words[0] & wire.MASK_16) < block_length or at >= words.size:
        return none
    bid_bytes = words[at] & wire.MASK_32
    n_bids = (words[at] >> wire.COUNT_SHIFT) & wire.MASK_32
    bids_at = at + wire.GROUP_WORDS
    at = bids_at + n_bids * LEVEL_WORDS
    if at >= words.size or bid_bytes != LEVEL_BYTES or (words[at] & wire.MASK_32) != LEVEL_BYTES:
        return none
    n_asks = (words[at] >> wire.COUNT_SHIFT) & wire.MASK_32
    asks_at = at + wire.GROUP_WORDS
    sound = _levels_ok(words, bids_at, n_bids) and _levels_ok(words, asks_at, n_asks)
    return bids_at, n_bids, asks_at, n_asks, sound


@njit
def _has_snapshot(book: np.ndarray, words: np.ndarray, epoch: int) -> bool:
    """Tell whether a snapshot says nothing new; its book_state is taken over then."""
    b = book[0]
    if b["synced"] == 0 or b["epoch"] != epoch:
        return False
    update_id = words[wire.SNAPSHOT_LAST_UPDATE_ID]
    state = words[wire.SNAPSHOT_BOOK_STATE] & wire.MASK_16
    older = update_id < b["last_update_id"]
    if older or (update_id == b["last_update_id"] and state == b["book_state"]):
        b["book_state"] = state
        b["ignored"] += 1
        return True
    return False


@njit
def _delta_code(book: np.ndarray, words: np.ndarray, epoch: int) -> int:
    """Return OK for a delta that continues the book; a gap leaves the book not synced."""
    b = book[0]
    follows = b["synced"] == 1 and b["epoch"] == epoch
    if follows and words[wire.DELTA_LAST_UPDATE_ID] <= b["last_update_id"]:
        b["ignored"] += 1
        return IGNORED
    if follows and words[wire.DELTA_PREVIOUS_UPDATE_ID] == b["last_update_id"]:
        return OK
    b["synced"] = 0
    if b["loads"] == 0:
        return NOT_SYNCED
    b["gaps"] += 1
    return GAP


@njit
def book_follow(book: np.ndarray, words: np.ndarray) -> int:
    """Follow the market data stream: take in one BOOK_SNAPSHOT or BOOK_DELTA message.

    A snapshot is loaded when the book is not synced, of another epoch or older, or when the
    snapshot's book_state differs at the same update id.

    Parameters
    ----------
    book : ndarray of BOOK, shape (1,)
        Changed in place; zeroed memory is a valid start.
    words : ndarray of int64
        The message from its header on; words behind it are not read.

    Returns
    -------
    int
        `BookCode.OK` or `CROSSED`: taken in. `IGNORED`: nothing new (a snapshot's book_state is
        taken over all the same), or another template. `NOT_SYNCED` (no snapshot was ever seen),
        `GAP` (the delta does not continue the book) and `BAD_LEVEL` (nothing of the message was
        applied): the book is not synced, a snapshot is needed.
    """
    b = book[0]
    template = (words[0] >> wire.TEMPLATE_SHIFT) & wire.MASK_16 if words.size > 0 else 0
    load = 1 if template == wire.TEMPLATE_BOOK_SNAPSHOT else 0
    if load == 0 and template != wire.TEMPLATE_BOOK_DELTA:
        b["ignored"] += 1
        return IGNORED
    block_length = SNAPSHOT_BLOCK_LENGTH if load == 1 else DELTA_BLOCK_LENGTH
    bids_at, n_bids, asks_at, n_asks, sound = _groups(words, block_length)
    if not sound:
        b["bad_levels"] += 1
        b["synced"] = 0  # the message is lost to this book
        return BAD_LEVEL
    epoch = (words[wire.INSTRUMENT_EPOCH] >> wire.EPOCH_SHIFT) & wire.MASK_32
    if load == 1:
        if _has_snapshot(book, words, epoch):
            return IGNORED
        update_id = words[wire.SNAPSHOT_LAST_UPDATE_ID]
    else:
        code = _delta_code(book, words, epoch)
        if code != OK:
            return code
        update_id = words[wire.DELTA_LAST_UPDATE_ID]
    code = _event(book, words, bids_at, n_bids, asks_at, n_asks, update_id, load)
    if load == 1:
        b["epoch"] = epoch
        b["book_state"] = words[wire.SNAPSHOT_BOOK_STATE] & wire.MASK_16
        b["known_low_ticks"] = words[wire.SNAPSHOT_KNOWN_LOW_TICKS]
        b["known_high_ticks"] = words[wire.SNAPSHOT_KNOWN_HIGH_TICKS]
    return code


@njit
def book_top(book: np.ndarray, out_levels: np.ndarray, n: int) -> tuple[int, int]:
    """Write the best `n` levels a side: bids to entries [0, n), asks to [n, 2n), best first.

    Parameters
    ----------
    book : ndarray of BOOK, shape (1,)
    out_levels : ndarray of LEVEL, shape (2 * n,) or longer
        Overwritten; price and quantity are 0 where a side has fewer levels.
    n : int

    Returns
    -------
    tuple of int
        Number of bids and of asks written.
    """
    b = book[0]
    counts = (0, 0)
    for side in range(2):
        sign = 1 - 2 * side
        tick = b["best_bid_ticks"] if sign > 0 else b["best_ask_ticks"]
        none = NO_BID if sign > 0 else NO_ASK
        found = 0
        for i in range(n):
            row = side * n + i
            if tick == none:
                out_levels[row]["price_ticks"] = 0
                out_levels[row]["qty_lots"] = 0
                continue
            out_levels[row]["price_ticks"] = tick
            out_levels[row]["qty_lots"] = book_depth_at(book, sign, tick)
            found += 1
            tick = next_level(book, sign, tick)
        counts = (counts[1], found)
    return counts
