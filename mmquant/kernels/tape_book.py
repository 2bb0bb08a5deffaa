"""A tape's events -> the book, one event or many; bars and samples of the book on a time grid."""

import numpy as np

from mmquant._jit import bare_njit as njit
from mmquant.codes import BookCode, BookState, TapeKind
from mmquant.kernels.book import book_apply, book_bbo, book_clear
from mmquant.kernels.book_read import book_top, book_touch
from mmquant.kernels.book_tail import NO_ASK, NO_BID
from mmquant.state import TAPE_SKIP

__all__ = ["tape_bars", "tape_book_path", "tape_book_step", "tape_depths"]

DELTA, SNAPSHOT = int(TapeKind.DELTA), int(TapeKind.SNAPSHOT)
CLEAR, BBO = int(TapeKind.CLEAR), int(TapeKind.BBO)
TRADE, GAP = int(TapeKind.TRADE), int(TapeKind.GAP)
OK, IGNORED = int(BookCode.OK), int(BookCode.IGNORED)
BID, ASK = np.int64(1), np.int64(-1)  # a plain int would compile _clear_side once for each
STATE_LIVE, STATE_GAP = int(BookState.LIVE), int(BookState.GAP)


@njit
def _clear_side(
    book: np.ndarray, sign: np.int64, limit: int, update_id: int, words: np.ndarray
) -> int:
    """Remove a side's levels from the best to `limit`."""
    b = book[0]
    code = OK
    while True:
        if sign > 0:
            best = b["best_bid_ticks"]
            if best == NO_BID or best < limit:
                return code
        else:
            best = b["best_ask_ticks"]
            if best == NO_ASK or best > limit:
                return code
        words[0] = best
        words[1] = 0
        if sign > 0:
            code = book_apply(book, words, 0, 1, 2, 0, update_id, 0)
        else:
            code = book_apply(book, words, 0, 0, 0, 1, update_id, 0)


@njit
def tape_book_step(
    book: np.ndarray, events: np.ndarray, row: int, levels: np.ndarray, words: np.ndarray
) -> int:
    """Bring one event of a tape into its instrument's book.

    Parameters
    ----------
    book : ndarray of BOOK, shape (1,)
        Changed in place; it must have been through `book_clear` once. `book_state` is LIVE from
        a snapshot on, GAP from a gap on.
    events : ndarray of TAPE_EVENT
    row : int
        Which event.
    levels : ndarray of int64
        The words of the tape's levels.
    words : ndarray of int64, shape (2,)
        Overwritten.

    Returns
    -------
    int
        A `BookCode`: as `book_apply` and `book_bbo`; IGNORED for what is not the book's.
    """
    e = events[row]
    kind = e["kind"]
    if kind == TRADE or e["flags"] & TAPE_SKIP != 0:
        return IGNORED
    bids_at = 2 * e["first_level"]
    n_bids, n_asks = int(e["n_bids"]), int(e["n_asks"])
    asks_at = bids_at + 2 * n_bids
    update_id = e["update_id"]
    if kind == DELTA:
        return book_apply(book, levels, bids_at, n_bids, asks_at, n_asks, update_id, 0)
    if kind == SNAPSHOT:
        code = book_apply(book, levels, bids_at, n_bids, asks_at, n_asks, update_id, 1)
        book[0]["book_state"] = STATE_LIVE
        return code
    if kind == BBO:
        bid = levels[bids_at] if n_bids > 0 else 0
        bid_lots = levels[bids_at + 1] if n_bids > 0 else 0
        ask = levels[asks_at] if n_asks > 0 else 0
        ask_lots = levels[asks_at + 1] if n_asks > 0 else 0
        return book_bbo(book, update_id, bid, bid_lots, ask, ask_lots)
    if kind == GAP:
        book[0]["synced"] = 0
        book[0]["book_state"] = STATE_GAP
        return OK
    if n_bids + n_asks == 0:
        book_clear(book)
        return OK
    code = OK
    if n_bids > 0:
        code = _clear_side(book, BID, levels[bids_at], update_id, words)
    if n_asks > 0:
        code = _clear_side(book, ASK, levels[asks_at], update_id, words)
    return code


@njit
def tape_book_path(
    book: np.ndarray,
    events: np.ndarray,
    levels: np.ndarray,
    words: np.ndarray,
    instrument: int,
    touches: np.ndarray,
) -> int:
    """Bring one instrument's events into its book; note the touch after each that is its.

    Parameters
    ----------
    book, levels, words
        As of `tape_book_step`.
    events : ndarray of TAPE_EVENT
    instrument : int
        Index of the instrument; events of others are passed over.
    touches : ndarray of BOOK_TOUCH
        Overwritten as far as it goes; empty where only the book is wanted.

    Returns
    -------
    int
        How many events of the book there were: as many touches.
    """
    n = 0
    for row in range(events.size):
        e = events[row]
        if e["instrument"] != instrument or e["kind"] == TRADE or e["flags"] & TAPE_SKIP != 0:
            continue
        code = tape_book_step(book, events, row, levels, words)
        if n < touches.size:
            bid_ticks, bid_lots, ask_ticks, ask_lots = book_touch(book)
            touch = touches[n]
            touch["update_id"] = row
            touch["code"] = code
            touch["bid_ticks"] = bid_ticks
            touch["bid_lots"] = bid_lots
            touch["ask_ticks"] = ask_ticks
            touch["ask_lots"] = ask_lots
        n += 1
    return n


@njit
def _note_mid(bar: np.ndarray, half_ticks: int) -> None:
    """Take a mid into a bar."""
    if bar["updates"] == 0:
        bar["open_half_ticks"] = half_ticks
        bar["high_half_ticks"] = half_ticks
        bar["low_half_ticks"] = half_ticks
    bar["high_half_ticks"] = max(bar["high_half_ticks"], half_ticks)
    bar["low_half_ticks"] = min(bar["low_half_ticks"], half_ticks)
    bar["close_half_ticks"] = half_ticks
    bar["updates"] += 1


@njit
def tape_bars(
    book: np.ndarray,
    events: np.ndarray,
    levels: np.ndarray,
    words: np.ndarray,
    instrument: int,
    start_ns: int,
    step_ns: int,
    bars: np.ndarray,
) -> None:
    """Sum up one instrument's events in bars of equal length.

    Parameters
    ----------
    book, events, levels, words, instrument
        As of `tape_book_path`.
    start_ns, step_ns : int
        Bar k is [start + k * step, start + (k + 1) * step) of the times received.
    bars : ndarray of TAPE_BAR, zeroed
        Changed in place; events before the first or behind the last bar are not in any. In a bar
        without an update the touch and the close are those before it.
    """
    at = 0
    for row in range(events.size):
        e = events[row]
        if e["instrument"] != instrument:
            continue
        if e["received_ns"] < start_ns:
            tape_book_step(book, events, row, levels, words)
            continue
        k = (e["received_ns"] - start_ns) // step_ns
        if k >= bars.size:
            break
        while at < k:
            _carry(bars, at)
            at += 1
        bar = bars[k]
        if e["kind"] == TRADE:
            if e["flags"] & TAPE_SKIP == 0:
                lots = levels[2 * e["first_level"] + 1]
                bar["trades"] += 1
                if e["n_bids"] > 0:
                    bar["buy_lots"] += lots
                else:
                    bar["sell_lots"] += lots
            continue
        if tape_book_step(book, events, row, levels, words) == IGNORED:
            continue
        bid_ticks, bid_lots, ask_ticks, ask_lots = book_touch(book)
        if bid_lots > 0 and ask_lots > 0 and bid_ticks < ask_ticks:
            bar["bid_ticks"], bar["bid_lots"] = bid_ticks, bid_lots
            bar["ask_ticks"], bar["ask_lots"] = ask_ticks, ask_lots
            _note_mid(bar, bid_ticks + ask_ticks)
    while at < bars.size - 1:
        _carry(bars, at)
        at += 1


@njit
def _carry(bars: np.ndarray, at: int) -> None:
    """Begin the bar behind `at` with what stood at its end."""
    old, new = bars[at], bars[at + 1]
    new["bid_ticks"], new["bid_lots"] = old["bid_ticks"], old["bid_lots"]
    new["ask_ticks"], new["ask_lots"] = old["ask_ticks"], old["ask_lots"]
    new["close_half_ticks"] = old["close_half_ticks"]
    new["open_half_ticks"] = old["close_half_ticks"]
    new["high_half_ticks"] = old["close_half_ticks"]
    new["low_half_ticks"] = old["close_half_ticks"]


@njit
def tape_depths(
    book: np.ndarray,
    events: np.ndarray,
    levels: np.ndarray,
    words: np.ndarray,
    instrument: int,
    times_ns: np.ndarray,
    top: np.ndarray,
    n: int,
    out: np.ndarray,
) -> None:
    """Note the best levels of one instrument's book at given times.

    Parameters
    ----------
    book, events, levels, words, instrument
        As of `tape_book_path`.
    times_ns : ndarray of int64, shape (k,), ascending
        The book is noted as after the last event received by then.
    top : ndarray of LEVEL, shape (2 * n,)
        Overwritten.
    n : int
        Levels a side.
    out : ndarray of int64, shape (k, 2 * n, 2)
        Overwritten: bids, then asks, best first, (ticks, lots), 0 where there is no level.
    """
    k = 0
    for row in range(events.size + 1):
        is_end = row == events.size
        while k < times_ns.size and (is_end or events[row]["received_ns"] > times_ns[k]):
            book_top(book, top, n)
            for i in range(2 * n):
                out[k, i, 0] = top[i]["price_ticks"]
                out[k, i, 1] = top[i]["qty_lots"]
            k += 1
        if is_end or k == times_ns.size:
            return
        if events[row]["instrument"] == instrument:
            tape_book_step(book, events, row, levels, words)
