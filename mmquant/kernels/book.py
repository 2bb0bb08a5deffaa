"""The order book: events of absolute level updates, snapshots, the best bid and offer stream.

Where the levels lie is `book_ring`'s affair, reading them `book_read`'s. A book is either applied
to directly (`book_apply`: whoever checks the venue's ids) or follows the messages of the market
data stream (`book_follow`: everybody downstream).

A best bid and offer (`book_bbo`) newer than the last depth event overrides the touch until a depth
event is as new. It is laid over the levels and never stored among them: what the depth stream said
is still there when the override ends, and what it says meanwhile is applied behind it.
"""

import numpy as np

from mmquant import records
from mmquant._jit import bare_inlined as inlined
from mmquant._jit import bare_njit as njit
from mmquant.codes import BookCode
from mmquant.kernels import wire
from mmquant.kernels.book_read import book_crossed, book_depth_at, book_top
from mmquant.kernels.book_ring import follow_touch, touch_target
from mmquant.kernels.book_store import MAX_PRICE_TICKS, any_flawed, store_side
from mmquant.kernels.book_tail import NO_ASK, NO_BID, tail_clear
from mmquant.state import BOOK_RING_TICKS

__all__ = [
    "MAX_PRICE_TICKS",
    "NO_ASK",
    "NO_BID",
    "apply_event",
    "book_apply",
    "book_bbo",
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

# Not literals: numba would compile what they are passed to for each of them.
BIDS = np.int64(1)
ASKS = np.int64(-1)
LEVEL_WORDS = wire.LEVEL_WORDS
LEVEL_BYTES = records.LEVEL.itemsize
DELTA_BLOCK_LENGTH = records.BOOK_DELTA.itemsize
SNAPSHOT_BLOCK_LENGTH = records.BOOK_SNAPSHOT.itemsize


@njit
def _clear_ring(lots: np.ndarray, first_ticks: int, after_ticks: int) -> None:
    """Empty the slots of the prices in [first_ticks, after_ticks), within one window."""
    n = after_ticks - first_ticks
    if n <= 0:
        return
    start = first_ticks & (BOOK_RING_TICKS - 1)
    n_first = min(n, BOOK_RING_TICKS - start)
    lots[start : start + n_first] = 0
    lots[: n - n_first] = 0


@njit
def book_clear(book: np.ndarray) -> None:
    """Empty `book` in place and mark it not synced; the counters stay.

    Parameters
    ----------
    book : ndarray of BOOK, shape (1,)
    """
    b = book[0]
    base = b["base_ticks"]
    end = b["end_ticks"]
    # Half a megabyte a side: only what may hold a level is emptied.
    first = max(base, b["bid_floor_ticks"])
    _clear_ring(b["bid_lots"], first, min(end, b["best_bid_ticks"] + 1))
    first = max(base, b["best_ask_ticks"])
    _clear_ring(b["ask_lots"], first, min(end, b["ask_ceiling_ticks"] + 1))
    b["base_ticks"] = 0
    b["end_ticks"] = BOOK_RING_TICKS
    b["best_bid_ticks"] = NO_BID
    b["best_bid_lots"] = 0
    b["best_ask_ticks"] = NO_ASK
    b["best_ask_lots"] = 0
    b["bid_floor_ticks"] = NO_ASK
    b["ask_ceiling_ticks"] = NO_BID
    tail_clear(b)
    b["last_update_id"] = 0
    b["epoch"] = 0
    b["known_low_ticks"] = 0
    b["known_high_ticks"] = 0
    b["synced"] = 0
    b["book_state"] = 0
    b["bbo_update_id"] = 0
    b["bbo_bid_ticks"] = NO_BID
    b["bbo_bid_lots"] = 0
    b["bbo_ask_ticks"] = NO_ASK
    b["bbo_ask_lots"] = 0


@njit
def _fits(words: np.ndarray, at: int, n: int) -> bool:
    """Tell whether `n` levels from word `at` on lie within `words`."""
    return n >= 0 and at >= 0 and at + n * LEVEL_WORDS <= words.size


@njit
def _best_of(words: np.ndarray, at: int, n: int, sign: int) -> int:
    """Return the best price of `n` levels with a quantity; NO_BID or NO_ASK without one."""
    flip = 0 if sign > 0 else -1  # the complement turns the order of prices round
    best = NO_BID if sign > 0 else ~NO_ASK
    for i in range(n):
        if words[np.uint64(at + i * LEVEL_WORDS + 1)] > 0:
            best = max(best, words[np.uint64(at + i * LEVEL_WORDS)] ^ flip)
    return best ^ flip


@njit
def _centre(book: np.ndarray, bid_ticks: int, ask_ticks: int) -> None:
    """Let the window of an empty book lie round the first prices that it gets."""
    b = book[0]
    base = touch_target(bid_ticks, ask_ticks, b["base_ticks"])
    b["base_ticks"] = base
    b["end_ticks"] = base + BOOK_RING_TICKS
    # Removals of what an empty book never had may have moved them, within another window.
    b["bid_floor_ticks"] = NO_ASK
    b["ask_ceiling_ticks"] = NO_BID


@inlined
def take_id(book: np.ndarray, update_id: int) -> None:
    """Make an event's id the book's; where ids go back, what had ended does not begin again."""
    b = book[0]
    if update_id < b["last_update_id"] and b["bbo_update_id"] <= b["last_update_id"]:
        b["bbo_update_id"] = 0
    b["last_update_id"] = update_id


@inlined
def apply_event(
    book: np.ndarray,
    words: np.ndarray,
    bids_at: int,
    n_bids: int,
    asks_at: int,
    n_asks: int,
    last_update_id: int,
    load: int,
) -> int:
    """Do what `book_apply` does within the caller: for a loop, where a call would cost much."""
    b = book[0]
    if not _fits(words, bids_at, n_bids) or not _fits(words, asks_at, n_asks):
        b["bad_levels"] += 1
        return BAD_LEVEL
    if any_flawed(words, bids_at, n_bids, asks_at, n_asks):
        b["bad_levels"] += 1
        return BAD_LEVEL
    if load == 1:
        book_clear(book)
        b["synced"] = 1
        b["loads"] += 1
    if b["best_bid_ticks"] == NO_BID and b["best_ask_ticks"] == NO_ASK:
        bid = _best_of(words, bids_at, n_bids, int(BIDS))
        ask = _best_of(words, asks_at, n_asks, int(ASKS))
        _centre(book, bid, ask)
    at = bids_at
    n = n_bids
    for side in range(2):  # one copy of the loop over levels
        store_side(book, 1 - 2 * side, words, at, n)
        at = asks_at
        n = n_asks
    follow_touch(book)
    take_id(book, last_update_id)
    b["updates"] += 1
    b["levels"] += n_bids + n_asks
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
        book_state and known range become 0 and are the caller's to set, and a best bid and
        offer is forgotten. 0: they are changes.

    Returns
    -------
    int
        `BookCode.OK`; `CROSSED` when best bid >= best ask of the depth stream after the event
        (the book stays readable); `BAD_LEVEL` when a price is not in [1, MAX_PRICE_TICKS], a
        quantity is negative or levels lie outside `words`: then nothing of the event was applied.
    """
    return apply_event(book, words, bids_at, n_bids, asks_at, n_asks, last_update_id, load)


@njit
def book_bbo(
    book: np.ndarray,
    update_id: int,
    bid_ticks: int,
    bid_lots: int,
    ask_ticks: int,
    ask_lots: int,
) -> int:
    """Take in a best bid and offer: while it is newer than the depth, it is the touch.

    Until a depth event with an update id at or above `update_id`, a side reads as: nothing better
    than the given price, the given size there, and the depth stream's levels behind it.

    Parameters
    ----------
    book : ndarray of BOOK, shape (1,)
        Changed in place.
    update_id : int
        In the numbering of the depth events.
    bid_ticks, bid_lots, ask_ticks, ask_lots : int
        A side with 0 lots is empty, whatever its price.

    Returns
    -------
    int
        `BookCode.OK`; `CROSSED` when the bid is not below the ask (taken in all the same);
        `IGNORED` when the book has an event or a best bid and offer as new; `BAD_LEVEL` when a
        price is out of [1, MAX_PRICE_TICKS] or a size negative: then nothing was changed.
    """
    b = book[0]
    if bid_lots < 0 or ask_lots < 0:
        b["bad_levels"] += 1
        return BAD_LEVEL
    bid = bid_ticks if bid_lots > 0 else NO_BID
    ask = ask_ticks if ask_lots > 0 else NO_ASK
    if (bid_lots > 0 and not 1 <= bid <= MAX_PRICE_TICKS) or (
        ask_lots > 0 and not 1 <= ask <= MAX_PRICE_TICKS
    ):
        b["bad_levels"] += 1
        return BAD_LEVEL
    if update_id <= b["last_update_id"] or update_id <= b["bbo_update_id"]:
        b["ignored"] += 1
        return IGNORED
    b["bbo_update_id"] = update_id
    b["bbo_bid_ticks"] = bid
    b["bbo_bid_lots"] = bid_lots
    b["bbo_ask_ticks"] = ask
    b["bbo_ask_lots"] = ask_lots
    b["bbos"] += 1
    if book_crossed(book):
        b["crossed"] += 1
        return CROSSED
    return OK


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
    sound = _fits(words, bids_at, n_bids) and _fits(words, asks_at, n_asks)
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
    code = book_apply(book, words, bids_at, n_bids, asks_at, n_asks, update_id, load)
    if code == BAD_LEVEL:
        b["synced"] = 0
    elif load == 1:
        b["epoch"] = epoch
        b["book_state"] = words[wire.SNAPSHOT_BOOK_STATE] & wire.MASK_16
        b["known_low_ticks"] = words[wire.SNAPSHOT_KNOWN_LOW_TICKS]
        b["known_high_ticks"] = words[wire.SNAPSHOT_KNOWN_HIGH_TICKS]
    return code
