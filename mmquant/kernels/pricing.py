"""The pricing service's one compiled call a message: follow, estimate, decide, fill the output.

`pricing_step` is `pricing_take` (follow the book, feed the estimators, compute every signal and
the blend) and `pricing_close` (the fair value, the flags, whether to publish). Between the two
stands a pricing model of one's own, where there is one: see `mmquant.pricing_model`.
"""

import math

import numpy as np

from mmquant import records
from mmquant._jit import bare_njit as njit
from mmquant.codes import BookCode, BookState, PricingFlag
from mmquant.kernels import wire
from mmquant.kernels.book import book_follow
from mmquant.kernels.fair_value import is_price, mid_ticks
from mmquant.kernels.pricing_signals import (
    clear_levels,
    fill_signals,
    half_life_or_second,
    read_levels,
    take_flow,
)
from mmquant.kernels.pricing_touch import fill_touch, take_bbo, touch_changed
from mmquant.kernels.realised_window import realised_window_step
from mmquant.kernels.signals import trade_flow_step
from mmquant.kernels.volatility import volatility_robust_step, volatility_warm

__all__ = [
    "NEED_SNAPSHOT",
    "PUBLISH",
    "QUIET",
    "pricing_close",
    "pricing_close_refresh",
    "pricing_refresh",
    "pricing_step",
    "pricing_take",
    "pricing_take_refresh",
]

QUIET = 0
PUBLISH = 1
NEED_SNAPSHOT = 2
# Not literals: numba would compile what they are passed to for each of them.
NO_MODEL = np.int64(0)  # a model's answer where there is none: the blend stands
FEED = np.int64(1)
NO_FEED = np.int64(0)

FLAG_LIVE = int(PricingFlag.LIVE)
FLAG_WARM = int(PricingFlag.WARM)
FLAG_JUMP = int(PricingFlag.JUMP)
FLAG_WARM_STARTED = int(PricingFlag.WARM_STARTED)
FLAG_NO_FAIR_VALUE = int(PricingFlag.NO_FAIR_VALUE)
FLAG_ONE_SIDED = int(PricingFlag.ONE_SIDED)
LEAST_JUMP_TICKS = 1.0
STATE_SYNCING = int(BookState.SYNCING)
CODE_OK = int(BookCode.OK)
CODE_NOT_SYNCED = int(BookCode.NOT_SYNCED)
CODE_GAP = int(BookCode.GAP)
CODE_BAD_LEVEL = int(BookCode.BAD_LEVEL)
BBO_WORDS = wire.HEADER_WORDS + records.BEST_BID_OFFER.itemsize // 8
TRADE_WORDS = wire.HEADER_WORDS + records.TRADE.itemsize // 8


@njit
def _is_change(state: np.ndarray, params: np.ndarray, out: np.ndarray) -> bool:
    """Tell whether touch, fair value, flags or book state differ from what was last published."""
    s = state[0]
    o = out[0]
    moved_ticks = abs(o["fair_value_ticks"] - s["published_fair_value_ticks"])
    return bool(
        touch_changed(state, out)
        or moved_ticks > params[0]["publish_ticks"]
        or o["flags"] != s["published_flags"]
        or o["book_state"] != s["published_book_state"]
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
    s["published_fair_value_ticks"] = o["fair_value_ticks"]
    s["published"] += 1


@njit
def _finite(value: float) -> float:
    """Return the value, 0.0 for one that is not finite: that is never sent."""
    return value if math.isfinite(value) else 0.0


@njit
def _fill_realised(state: np.ndarray, out: np.ndarray) -> None:
    """Write the measures of the last window that was closed, stale or not; 0.0 for none."""
    c = state[0]["realised"][0]["closed"][0]
    o = out[0]
    o["realised_ticks_per_sqrt_s"] = _finite(c["realised_ticks_per_sqrt_s"])
    o["bipower_ticks_per_sqrt_s"] = _finite(c["bipower_ticks_per_sqrt_s"])
    o["two_scale_ticks_per_sqrt_s"] = _finite(c["two_scale_ticks_per_sqrt_s"])
    o["pre_averaged_ticks_per_sqrt_s"] = _finite(c["pre_averaged_ticks_per_sqrt_s"])
    o["noise_ticks"] = _finite(c["noise_ticks"])
    o["parkinson_ticks_per_sqrt_s"] = _finite(c["parkinson_ticks_per_sqrt_s"])
    o["garman_klass_ticks_per_sqrt_s"] = _finite(c["garman_klass_ticks_per_sqrt_s"])
    o["rogers_satchell_ticks_per_sqrt_s"] = _finite(c["rogers_satchell_ticks_per_sqrt_s"])
    o["yang_zhang_ticks_per_sqrt_s"] = _finite(c["yang_zhang_ticks_per_sqrt_s"])
    o["realised_samples"] = c["samples"]
    o["realised_end_ns"] = c["end_ns"]


@njit
def _fill_values(state: np.ndarray, out: np.ndarray) -> None:
    """Write the signals and the counts; what there is not becomes 0.0."""
    s = state[0]
    o = out[0]
    i = s["inputs"][0]
    two_sided = o["bid_lots"] > 0 and o["ask_lots"] > 0
    o["spread_ticks"] = o["ask_ticks"] - o["bid_ticks"] if two_sided else 0
    o["mid_ticks"] = _finite(i["mid_ticks"])
    o["weighted_mid_ticks"] = _finite(i["weighted_mid_ticks"])
    o["microprice_ticks"] = _finite(i["microprice_ticks"])
    o["stoikov_ticks"] = _finite(i["stoikov_ticks"])
    o["vamp_ticks"] = _finite(i["vamp_ticks"])
    o["depth_imbalance"] = _finite(i["depth_imbalance"])
    o["touch_imbalance"] = _finite(i["touch_imbalance"])
    o["order_flow_lots"] = _finite(i["order_flow_lots"])
    o["touch_flow_lots"] = _finite(i["touch_flow_lots"])
    o["trade_flow_imbalance"] = _finite(i["trade_flow_imbalance"])
    o["basis_bps"] = _finite(i["basis_bps"])
    o["volatility_ticks_per_sqrt_s"] = _finite(i["volatility_ticks_per_sqrt_s"])
    o["drift_ticks_per_s"] = _finite(i["drift_ticks_per_s"])
    o["ewma_drift_ticks_per_s"] = _finite(i["ewma_drift_ticks_per_s"])
    o["signal_drift_ticks_per_s"] = _finite(i["signal_drift_ticks_per_s"])
    _fill_realised(state, out)
    o["warm_fraction"] = i["warm_fraction"]
    o["samples"] = s["volatility"][0]["samples"]
    o["gaps"] = s["volatility"][0]["gaps"]
    o["jumps"] = s["volatility"][0]["jumps"]
    o["trades"] = s["trade_flow"][0]["trades"]


@njit
def _feed(state: np.ndarray, params: np.ndarray, now_ns: int, out: np.ndarray, flags: int) -> int:
    """Let the estimators take in a touch; return PricingFlag bits: JUMP.

    Of a touch that is not LIVE they learn nothing, and the order flow starts anew behind it. One
    that stands is a price that did not move, not a pause: it is taken in anew half way to one.
    """
    s = state[0]
    p = params[0]
    o = out[0]
    if flags & FLAG_LIVE == 0:
        s["order_flow"][0]["follows"] = 0
        return 0
    take_flow(state, params, now_ns)
    estimator = s["volatility"][:]  # a plain array: one signature with calls from Python
    was_live = s["published_flags"] & FLAG_LIVE
    stands_ns = now_ns - estimator[0]["ts_ns"]
    if was_live and 2 * stands_ns < p["max_gap_ns"] and not touch_changed(state, out):
        return 0
    jumps = estimator[0]["jumps"]
    mid = mid_ticks(o["bid_ticks"], o["ask_ticks"])
    if p["realised_window_ns"] > 0:
        window = s["realised"][:]
        realised_window_step(window, mid, now_ns, p["realised_window_ns"], p["max_gap_ns"])
    volatility_robust_step(
        estimator,
        mid,
        now_ns,
        p["volatility_half_life_ns"],
        p["drift_half_life_ns"],
        p["max_gap_ns"],
        p["jump_sigmas"] if p["jump_sigmas"] > 0.0 else math.inf,
        LEAST_JUMP_TICKS,
    )
    return FLAG_JUMP if estimator[0]["jumps"] > jumps else 0


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
    flags = fill_touch(state, book, out)
    if flags & FLAG_ONE_SIDED:
        clear_levels(state)
    else:
        read_levels(state, book, params, out)
    if feed == 1:
        flags |= _feed(state, params, now_ns, out, flags)
    flags |= fill_signals(state, params, now_ns, out)
    estimator = s["volatility"][:]
    if volatility_warm(estimator, p["warmup_ns"]):
        flags |= FLAG_WARM
    since_ns = estimator[0]["observed_ns"] - s["restored_ns"]
    if s["restored_ns"] > 0 and since_ns < p["volatility_half_life_ns"]:
        flags |= FLAG_WARM_STARTED
    _fill_values(state, out)
    o["flags"] = flags
    s["price"][0]["fair_value_ticks"] = s["inputs"][0]["blend_ticks"]


@njit
def _fill_fair_value(state: np.ndarray, out: np.ndarray, model_code: int) -> None:
    """Write the fair value that stands in `price`; without one, a price, LIVE goes."""
    s = state[0]
    o = out[0]
    fair = s["price"][0]["fair_value_ticks"]
    two_sided = o["bid_lots"] > 0 and o["ask_lots"] > 0
    has_value = two_sided and model_code == 0 and is_price(fair)
    o["fair_value_ticks"] = fair if has_value else 0.0
    flags = int(o["flags"])
    if two_sided and not has_value:
        flags = (flags | FLAG_NO_FAIR_VALUE) & ~FLAG_LIVE
    i = s["inputs"][0]
    estimates = i["volatility_ticks_per_sqrt_s"] + i["drift_ticks_per_s"]
    if not math.isfinite(estimates):
        flags &= ~FLAG_LIVE
    o["flags"] = flags


@njit
def _take_input(state: np.ndarray, words: np.ndarray, received_ns: int, sent_ns: int) -> None:
    """Keep what the output copies from the newest input that may change it."""
    s = state[0]
    s["instrument_id"] = words[wire.INSTRUMENT_EPOCH] & wire.MASK_32
    s["epoch"] = (words[wire.INSTRUMENT_EPOCH] >> wire.EPOCH_SHIFT) & wire.MASK_32
    s["frame_ns"] = received_ns
    s["collector_sent_ns"] = sent_ns


@njit
def _take_trade(state: np.ndarray, params: np.ndarray, words: np.ndarray) -> None:
    """Let the trade flow take in a trade, by the time it was received as all else."""
    s = state[0]
    s["trade_id"] = words[wire.TRADE_TRADE_ID]
    flow = s["trade_flow"][:]
    flow[0]["half_life_ns"] = half_life_or_second(params[0]["trade_flow_half_life_ns"])
    trade_flow_step(
        flow, words[wire.TRADE_QTY_LOTS], words[wire.TRADE_AGGRESSOR], words[wire.NOW_NS]
    )


@njit
def _is_of_book(words: np.ndarray) -> bool:
    """Tell whether a message is one that the book follows."""
    if words.size <= wire.SNAPSHOT_SENT_NS:
        return False
    template = (words[0] >> wire.TEMPLATE_SHIFT) & wire.MASK_16
    return bool(template == wire.TEMPLATE_BOOK_DELTA or template == wire.TEMPLATE_BOOK_SNAPSHOT)


@njit
def pricing_follow(book: np.ndarray, words: np.ndarray) -> int:
    """Let the pricing's book follow a message, if it is one of the book's.

    Returns
    -------
    int
        The BookCode of `book_follow`; OK for a message of another kind.
    """
    return book_follow(book, words) if _is_of_book(words) else CODE_OK


@njit
def pricing_take(
    state: np.ndarray,
    book: np.ndarray,
    params: np.ndarray,
    words: np.ndarray,
    book_code: int,
    out: np.ndarray,
) -> int:
    """Do the first half of `pricing_step`: all but fair value and decision.

    `state["inputs"]` then holds the signals, `state["price"]` the blend as the fair value, which
    a model may change before `pricing_close`.

    Parameters
    ----------
    state, params, words, out
        As for `pricing_step`.
    book : ndarray of BOOK, shape (1,)
        Has followed the message.
    book_code : int
        What `pricing_follow` answered, or `book_follow` for whom the book belongs to.

    Returns
    -------
    int
        QUIET: nothing more to do. PUBLISH or NEED_SNAPSHOT: `pricing_close` is to be called.
    """
    s = state[0]
    s["messages"] += 1
    template = (words[0] >> wire.TEMPLATE_SHIFT) & wire.MASK_16 if words.size > 0 else 0
    lost = False
    if template == wire.TEMPLATE_TRADE and words.size >= TRADE_WORDS:
        _take_trade(state, params, words)
        return QUIET
    if template == wire.TEMPLATE_BEST_BID_OFFER and words.size >= BBO_WORDS:
        if not take_bbo(state, book, words):
            s["ignored"] += 1
            return QUIET
        _take_input(state, words, words[wire.BBO_RECEIVED_NS], words[wire.BBO_SENT_NS])
    elif _is_of_book(words):
        lost = book_code == CODE_NOT_SYNCED or book_code == CODE_GAP or book_code == CODE_BAD_LEVEL
        # Deltas and snapshots bear both times in the same words (asserted by a test).
        _take_input(state, words, words[wire.DELTA_RECEIVED_NS], words[wire.DELTA_SENT_NS])
    else:
        s["ignored"] += 1
        return QUIET
    _fill(state, book, params, words[wire.NOW_NS], out, int(FEED))
    return NEED_SNAPSHOT if lost else PUBLISH


@njit
def pricing_close(
    state: np.ndarray, params: np.ndarray, out: np.ndarray, code: int, model_code: int
) -> int:
    """Do the second half of `pricing_step`: fair value, flags, decision.

    Parameters
    ----------
    state, params, out
        As for `pricing_step`; the fair value is taken from `state["price"]`.
    code : int
        What `pricing_take` answered.
    model_code : int
        What the model answered: 0 (codes.Reason.NONE), or why there is no fair value.

    Returns
    -------
    int
        As of `pricing_step`.
    """
    _fill_fair_value(state, out, model_code)
    if code == NEED_SNAPSHOT:
        # Not marked as published: should the caller not send it, the next message brings it.
        state[0]["snapshots_needed"] += 1
        return NEED_SNAPSHOT
    if _is_change(state, params, out):
        _mark_published(state, out)
        return PUBLISH
    return QUIET


@njit
def pricing_step_behind(
    state: np.ndarray,
    book: np.ndarray,
    params: np.ndarray,
    words: np.ndarray,
    book_code: int,
    out: np.ndarray,
) -> int:
    """Do what `pricing_step` does behind `book`, which has followed the message for others too.

    `book_code` is as for `pricing_take`; the other parameters and the answer are those of
    `pricing_step`. What `book_bbo` lays over a book is not read.
    """
    code = pricing_take(state, book, params, words, book_code, out)
    if code == QUIET:
        return QUIET
    return pricing_close(state, params, out, code, int(NO_MODEL))


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
    book's. The volatility is fed with the mid of each new live touch, and of one that stands for
    half of max_gap_ns while messages come; the order flow with the levels of each live book, the
    trade flow with each trade, all at the message's now_ns.

    Parameters
    ----------
    state : ndarray of PRICING_STATE, shape (1,)
        Changed in place; starts as zeros. `feed_ok` and the reference are the caller's to set.
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
        QUIET: nothing to send. PUBLISH: touch, fair value, flags or book state changed.
        NEED_SNAPSHOT: the book lost a message: `out` is to be sent too (its LIVE flag is off)
        and the collector asked for a snapshot.
    """
    return pricing_step_behind(state, book, params, words, pricing_follow(book, words), out)


@njit
def pricing_take_refresh(
    state: np.ndarray, book: np.ndarray, params: np.ndarray, now_ns: int, out: np.ndarray
) -> None:
    """Do the first half of `pricing_refresh`, as `pricing_take` is that of `pricing_step`."""
    _fill(state, book, params, now_ns, out, int(NO_FEED))


@njit
def pricing_close_refresh(state: np.ndarray, out: np.ndarray, model_code: int) -> None:
    """Do the second half of `pricing_refresh`."""
    _fill_fair_value(state, out, model_code)
    _mark_published(state, out)


@njit
def pricing_refresh(
    state: np.ndarray, book: np.ndarray, params: np.ndarray, now_ns: int, out: np.ndarray
) -> None:
    """Fill `out` anew without a message, as when `feed_ok` changed or a republish is due.

    Parameters are those of `pricing_step`; `now_ns` is the time the output is computed for.
    Estimators are not fed, the order flow decays. The output counts as published.
    """
    pricing_take_refresh(state, book, params, now_ns, out)
    pricing_close_refresh(state, out, int(NO_MODEL))
