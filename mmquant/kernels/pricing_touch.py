"""The touch that a pricing publishes: the newer of the book's and the best bid and offer's."""

import numpy as np

from mmquant._jit import bare_njit as njit
from mmquant.codes import BookState, PricingFlag
from mmquant.kernels import wire

__all__ = ["fill_touch", "take_bbo", "touch_changed"]

FLAG_LIVE = int(PricingFlag.LIVE)
FLAG_TOUCH_FROM_BBO = int(PricingFlag.TOUCH_FROM_BBO)
FLAG_STALE = int(PricingFlag.STALE)
FLAG_GAP = int(PricingFlag.GAP)
FLAG_CROSSED = int(PricingFlag.CROSSED)
FLAG_ONE_SIDED = int(PricingFlag.ONE_SIDED)
STATE_LIVE = int(BookState.LIVE)
STATE_GAP = int(BookState.GAP)
STATE_STALE = int(BookState.STALE)


@njit
def take_bbo(state: np.ndarray, book: np.ndarray, words: np.ndarray) -> bool:
    """Keep a best bid and offer of the book's epoch that is not older than the kept one."""
    s = state[0]
    epoch = (words[wire.INSTRUMENT_EPOCH] >> wire.EPOCH_SHIFT) & wire.MASK_32
    update_id = words[wire.BBO_UPDATE_ID]
    if epoch != book[0]["epoch"]:
        return False
    if s["bbo_epoch"] == epoch and update_id < s["bbo_update_id"]:
        return False
    s["bbo_epoch"] = epoch
    s["bbo_update_id"] = update_id
    s["bbo_bid_ticks"] = words[wire.BBO_BID_TICKS]
    s["bbo_bid_lots"] = words[wire.BBO_BID_LOTS]
    s["bbo_ask_ticks"] = words[wire.BBO_ASK_TICKS]
    s["bbo_ask_lots"] = words[wire.BBO_ASK_LOTS]
    return True


@njit
def fill_touch(state: np.ndarray, book: np.ndarray, out: np.ndarray) -> int:
    """Write the newer of both touches, an absent side as zeros; return its PricingFlag bits."""
    s = state[0]
    b = book[0]
    o = out[0]
    flags = 0
    same_epoch = s["bbo_epoch"] == b["epoch"]
    if same_epoch and s["bbo_update_id"] > 0 and s["bbo_update_id"] >= b["last_update_id"]:
        flags |= FLAG_TOUCH_FROM_BBO
        bid, bid_lots = s["bbo_bid_ticks"], s["bbo_bid_lots"]
        ask, ask_lots = s["bbo_ask_ticks"], s["bbo_ask_lots"]
    else:
        bid, bid_lots = b["best_bid_ticks"], b["best_bid_lots"]
        ask, ask_lots = b["best_ask_ticks"], b["best_ask_lots"]
    has_bid = bid > 0 and bid_lots > 0
    has_ask = ask > 0 and ask_lots > 0
    o["bid_ticks"] = bid if has_bid else 0
    o["bid_lots"] = bid_lots if has_bid else 0
    o["ask_ticks"] = ask if has_ask else 0
    o["ask_lots"] = ask_lots if has_ask else 0
    o["bbo_update_id"] = s["bbo_update_id"] if same_epoch else 0
    if not (has_bid and has_ask):
        flags |= FLAG_ONE_SIDED
    elif bid >= ask:
        flags |= FLAG_CROSSED
    elif b["synced"] == 1 and b["book_state"] == STATE_LIVE and s["feed_ok"] == 1:
        flags |= FLAG_LIVE
    return flags | _trouble(state, book)


@njit
def _trouble(state: np.ndarray, book: np.ndarray) -> int:
    """Return the PricingFlag bits of a silent feed and of a book that lost something."""
    b = book[0]
    synced = b["synced"] == 1
    flags = 0
    if state[0]["feed_ok"] != 1 or (synced and b["book_state"] == STATE_STALE):
        flags |= FLAG_STALE
    if (synced and b["book_state"] == STATE_GAP) or (not synced and b["loads"] > 0):
        flags |= FLAG_GAP
    return flags


@njit
def touch_changed(state: np.ndarray, out: np.ndarray) -> bool:
    """Tell whether a price or size of the touch differs from what was last published."""
    s = state[0]
    o = out[0]
    return bool(
        o["bid_ticks"] != s["published_bid_ticks"]
        or o["bid_lots"] != s["published_bid_lots"]
        or o["ask_ticks"] != s["published_ask_ticks"]
        or o["ask_lots"] != s["published_ask_lots"]
    )
