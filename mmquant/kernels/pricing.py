"""The pricing service's one compiled call a message: follow, estimate, decide, fill the output."""

import math

import numpy as np

from mmquant import records
from mmquant._jit import njit
from mmquant.codes import BookCode, BookState, PricingFlag
from mmquant.kernels import wire
from mmquant.kernels.book import book_follow
from mmquant.kernels.fair_value import microprice_ticks, mid_ticks
from mmquant.kernels.volatility import (
    drift_ticks_per_s,
    volatility_step,
    volatility_ticks_per_sqrt_s,
    volatility_warm,
)

__all__ = ["NEED_SNAPSHOT", "PUBLISH", "QUIET", "pricing_refresh", "pricing_step"]

QUIET = 0
PUBLISH = 1
NEED_SNAPSHOT = 2

FLAG_LIVE = int(PricingFlag.LIVE)
FLAG_WARM = int(PricingFlag.WARM)
FLAG_TOUCH_FROM_BBO = int(PricingFlag.TOUCH_FROM_BBO)
STATE_LIVE = int(BookState.LIVE)
STATE_SYNCING = int(BookState.SYNCING)
CODE_NOT_SYNCED = int(BookCode.NOT_SYNCED)
CODE_GAP = int(BookCode.GAP)
CODE_BAD_LEVEL = int(BookCode.BAD_LEVEL)
BBO_WORDS = wire.HEADER_WORDS + records.BEST_BID_OFFER.itemsize // 8
TRADE_WORDS = wire.HEADER_WORDS + records.TRADE.itemsize // 8


@njit
def _take_bbo(state: np.ndarray, book: np.ndarray, words: np.ndarray) -> bool:
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
def _fill_touch(state: np.ndarray, book: np.ndarray, out: np.ndarray) -> int:
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
    live = b["synced"] == 1 and b["book_state"] == STATE_LIVE and s["feed_ok"] == 1
    if live and has_bid and has_ask and bid < ask:
        flags |= FLAG_LIVE
    return flags


@njit
def _is_change(state: np.ndarray, out: np.ndarray) -> bool:
    """Tell whether touch, flags or book state differ from what was last published."""
    s = state[0]
    o = out[0]
    return bool(
        _touch_changed(state, out)
        or o["flags"] != s["published_flags"]
        or o["book_state"] != s["published_book_state"]
    )


@njit
def _touch_changed(state: np.ndarray, out: np.ndarray) -> bool:
    """Tell whether a price or size of the touch differs from what was last published."""
    s = state[0]
    o = out[0]
    return bool(
        o["bid_ticks"] != s["published_bid_ticks"]
        or o["bid_lots"] != s["published_bid_lots"]
        or o["ask_ticks"] != s["published_ask_ticks"]
        or o["ask_lots"] != s["published_ask_lots"]
    )


@njit
def _mark_published(state: np.ndarray, out: np.ndarray) -> None:
    """Remember what `out` shows."""
    s = state[0]
    o = out[0]
    s["published_bid_ticks"] = o["bid_ticks"]
    s["published_bid_lots"] = o["bid_lots"]
    s["published_ask_ticks"] = o["ask_ticks"]
    s["published_ask_lots"] = o["ask_lots"]
    s["published_flags"] = o["flags"]
    s["published_book_state"] = o["book_state"]
    s["published"] += 1


@njit
def _fill_values(out: np.ndarray, state: np.ndarray, weight: float, flags: int) -> int:
    """Write the float fields; a value that is not finite becomes 0.0 and takes LIVE away."""
    o = out[0]
    micro = 0.0
    fair = 0.0
    if o["bid_lots"] > 0 and o["ask_lots"] > 0:
        mid = mid_ticks(o["bid_ticks"], o["ask_ticks"])
        micro = microprice_ticks(o["bid_ticks"], o["bid_lots"], o["ask_ticks"], o["ask_lots"])
        fair = mid + weight * (micro - mid)
    estimator = state[0]["volatility"][:]
    volatility = volatility_ticks_per_sqrt_s(estimator)
    drift = drift_ticks_per_s(estimator)
    if not (math.isfinite(fair) and math.isfinite(volatility) and math.isfinite(drift)):
        flags &= ~FLAG_LIVE
    o["microprice_ticks"] = micro
    o["fair_value_ticks"] = fair if math.isfinite(fair) else 0.0
    o["volatility_ticks_per_sqrt_s"] = volatility if math.isfinite(volatility) else 0.0
    o["drift_ticks_per_s"] = drift if math.isfinite(drift) else 0.0
    return flags


@njit
def _fill(
    state: np.ndarray,
    book: np.ndarray,
    params: np.ndarray,
    now_ns: int,
    out: np.ndarray,
    feed: int,
) -> None:
    """Fill `out` for `now_ns`; with `feed` 1 the estimators take in a live touch that is new."""
    s = state[0]
    b = book[0]
    p = params[0]
    o = out[0]
    o["now_ns"] = now_ns
    o["instrument_id"] = s["instrument_id"]
    o["epoch"] = s["epoch"]
    o["book_update_id"] = b["last_update_id"]
    o["trade_id"] = s["trade_id"]
    o["frame_ns"] = s["frame_ns"]
    o["collector_sent_ns"] = s["collector_sent_ns"]
    # A copy that waits for a snapshot is not in the state the collector last told of.
    o["book_state"] = b["book_state"] if b["synced"] == 1 else STATE_SYNCING
    flags = _fill_touch(state, book, out)
    estimator = s["volatility"][:]  # a plain array: one signature with calls from Python
    was_live = s["published_flags"] & FLAG_LIVE
    if feed == 1 and flags & FLAG_LIVE and (not was_live or _touch_changed(state, out)):
        volatility_step(
            estimator,
            mid_ticks(o["bid_ticks"], o["ask_ticks"]),
            now_ns,
            p["volatility_half_life_ns"],
            p["drift_half_life_ns"],
            p["max_gap_ns"],
        )
    if volatility_warm(estimator, p["warmup_ns"]):
        flags |= FLAG_WARM
    o["flags"] = _fill_values(out, state, p["microprice_weight"], flags)


@njit
def _take_input(state: np.ndarray, words: np.ndarray, received_ns: int, sent_ns: int) -> None:
    """Keep what the output copies from the newest input that may change it."""
    s = state[0]
    s["instrument_id"] = words[wire.INSTRUMENT_EPOCH] & wire.MASK_32
    s["epoch"] = (words[wire.INSTRUMENT_EPOCH] >> wire.EPOCH_SHIFT) & wire.MASK_32
    s["frame_ns"] = received_ns
    s["collector_sent_ns"] = sent_ns


@njit
def pricing_step(
    state: np.ndarray,
    book: np.ndarray,
    params: np.ndarray,
    words: np.ndarray,
    out: np.ndarray,
) -> int:
    """Take in one message of the market data or trades stream.

    The touch is the best bid and offer's where its update id is not behind the book's, else the
    book's. The estimators are fed with the mid of each new live touch at the message's now_ns.

    Parameters
    ----------
    state : ndarray of PRICING_STATE, shape (1,)
        Changed in place; starts as zeros. `feed_ok` is the caller's to set.
    book : ndarray of BOOK, shape (1,)
        Changed in place; zeroed memory is a valid start.
    params : ndarray of PRICING_PARAMS, shape (1,)
    words : ndarray of int64
        A BOOK_SNAPSHOT, BOOK_DELTA, BEST_BID_OFFER or TRADE from its header on; anything else
        is counted in `ignored`.
    out : ndarray of PRICING, shape (1,)
        Every field but seq, received_ns and sent_ns is written, unless the answer is QUIET:
        then it holds nothing of use. book_state is SYNCING while `book` waits for a snapshot.

    Returns
    -------
    int
        QUIET: nothing to send. PUBLISH: touch, flags or book state changed. NEED_SNAPSHOT: the
        book lost a message: `out` is to be sent too (its LIVE flag is off) and the collector
        asked for a snapshot.
    """
    s = state[0]
    s["messages"] += 1
    template = (words[0] >> wire.TEMPLATE_SHIFT) & wire.MASK_16 if words.size > 0 else 0
    lost = False
    if template == wire.TEMPLATE_TRADE and words.size >= TRADE_WORDS:
        s["trade_id"] = words[wire.TRADE_TRADE_ID]
        return QUIET
    if template == wire.TEMPLATE_BEST_BID_OFFER and words.size >= BBO_WORDS:
        if not _take_bbo(state, book, words):
            s["ignored"] += 1
            return QUIET
        _take_input(state, words, words[wire.BBO_RECEIVED_NS], words[wire.BBO_SENT_NS])
    elif words.size > wire.SNAPSHOT_SENT_NS and (
        template == wire.TEMPLATE_BOOK_DELTA or template == wire.TEMPLATE_BOOK_SNAPSHOT
    ):
        code = book_follow(book, words)
        lost = code == CODE_NOT_SYNCED or code == CODE_GAP or code == CODE_BAD_LEVEL
        # Deltas and snapshots bear both times in the same words (asserted by a test).
        _take_input(state, words, words[wire.DELTA_RECEIVED_NS], words[wire.DELTA_SENT_NS])
    else:
        s["ignored"] += 1
        return QUIET
    _fill(state, book, params, words[wire.NOW_NS], out, 1)
    if lost:
        # Not marked as published: should the caller not send it, the next message brings it.
        s["snapshots_needed"] += 1
        return NEED_SNAPSHOT
    if _is_change(state, out):
        _mark_published(state, out)
        return PUBLISH
    return QUIET


@njit
def pricing_refresh(
    state: np.ndarray, book: np.ndarray, params: np.ndarray, now_ns: int, out: np.ndarray
) -> None:
    """Fill `out` anew without a message, as when `feed_ok` changed or a republish is due.

    Parameters are those of `pricing_step`; `now_ns` is the time the output is computed for.
    Estimators are not fed. The output counts as published.
    """
    _fill(state, book, params, now_ns, out, 0)
    _mark_published(state, out)
