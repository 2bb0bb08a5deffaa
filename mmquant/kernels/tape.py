"""A recording's lines -> the rows of a tape: one compiled loop over many lines of a file.

A line is `<stamp> <frame>`. What the compiled parser does not know, snapshots, and depth events
that wait for one, are left to the caller, a line at a time.
"""

import numpy as np

from mmquant._jit import bare_njit as njit
from mmquant.codes import BookState, FrameKind, Side, TapeKind
from mmquant.kernels.frames import (
    AGGRESSOR,
    ASK_LOTS,
    ASK_TICKS,
    BID_LOTS,
    BID_TICKS,
    FIRST_ID,
    INSTRUMENT,
    KIND,
    LAST_ID,
    N_ASKS,
    N_BIDS,
    PREVIOUS_BIT,
    PREVIOUS_ID,
    PRICE_TICKS,
    QTY_LOTS,
    SEEN,
    VENUE_NS,
    frame_parse_at,
)
from mmquant.kernels.levels import LEVELS_AT
from mmquant.state import TAPE_AGGREGATE, TAPE_BUFFERED, TAPE_SKIP

__all__ = ["tape_lines", "tape_put"]

DONE = 0  # every line, up to the end
FULL = 1  # the tables have no room for a line more
OTHER = 2  # a line that is not one of the known frames: from payload_at to payload_end
NO_STAMP = 3  # a line without its time
WAITING = 4  # a depth event, written with TAPE_SKIP, that may fit a later snapshot: as OTHER
JOINED = 5  # what `tape_put` answers of an event that fits

DEPTH = int(FrameKind.DEPTH)
BEST_BID_OFFER = int(FrameKind.BEST_BID_OFFER)
TRADE = int(FrameKind.TRADE)
AGGREGATE_TRADE = int(FrameKind.AGGREGATE_TRADE)
SNAPSHOT = int(FrameKind.SNAPSHOT)
ROW_DELTA, ROW_SNAPSHOT = int(TapeKind.DELTA), int(TapeKind.SNAPSHOT)
ROW_BBO, ROW_TRADE, ROW_GAP = int(TapeKind.BBO), int(TapeKind.TRADE), int(TapeKind.GAP)
BUFFERING, SYNCING = int(BookState.BUFFERING), int(BookState.SYNCING)
LIVE, GAP = int(BookState.LIVE), int(BookState.GAP)
BUY = int(Side.BUY)

MAX_STAMP_DIGITS = 19
MAX_STAMP = 1 << 62
MAX_ROWS_A_LINE = 2
MAX_SIDE = 65_535  # levels a side of one event
ZERO, BLANK, LINE_END, RETURN = ord("0"), ord(" "), ord("\n"), ord("\r")


@njit
def _row(cursor: np.ndarray, events: np.ndarray, frame: np.ndarray, kind: int, flags: int) -> None:
    """Append the head of an event; its levels are appended before."""
    c = cursor[0]
    e = events[c["events"]]
    e["received_ns"] = c["received_ns"]
    e["venue_ns"] = frame[VENUE_NS]
    e["update_id"] = frame[LAST_ID]
    e["first_level"] = c["levels"]
    e["instrument"] = frame[INSTRUMENT] - 1
    e["kind"] = kind
    e["flags"] = flags
    e["n_bids"] = 0
    e["n_asks"] = 0
    c["events"] += 1


@njit
def _level(cursor: np.ndarray, levels: np.ndarray, ticks: int, lots: int) -> None:
    """Append one level."""
    at = 2 * cursor[0]["levels"]
    levels[at] = ticks
    levels[at + 1] = lots
    cursor[0]["levels"] += 1


@njit
def _put_touch(
    cursor: np.ndarray, events: np.ndarray, levels: np.ndarray, frame: np.ndarray
) -> None:
    """Append a best bid and offer; a side without a quantity is empty."""
    row = cursor[0]["events"]
    _row(cursor, events, frame, ROW_BBO, 0)
    if frame[BID_LOTS] > 0:
        events[row]["n_bids"] = 1
        _level(cursor, levels, frame[BID_TICKS], frame[BID_LOTS])
    if frame[ASK_LOTS] > 0:
        events[row]["n_asks"] = 1
        _level(cursor, levels, frame[ASK_TICKS], frame[ASK_LOTS])


@njit
def _put_trade(
    cursor: np.ndarray,
    events: np.ndarray,
    levels: np.ndarray,
    frame: np.ndarray,
    sync: np.ndarray,
) -> None:
    """Append a trade; one whose ids were seen is skipped, ids that are missing are counted."""
    s = sync[frame[INSTRUMENT] - 1]
    flags = TAPE_AGGREGATE if frame[KIND] == AGGREGATE_TRADE else 0
    last, first = s["last_trade_id"], frame[FIRST_ID]
    if last > 0 and first <= last:
        flags |= TAPE_SKIP
        s["duplicates"] += 1
    else:
        if last > 0:
            s["trade_gaps"] += first - last - 1
        s["last_trade_id"] = frame[LAST_ID]
    row = cursor[0]["events"]
    _row(cursor, events, frame, ROW_TRADE, flags)
    if frame[AGGRESSOR] == BUY:
        events[row]["n_bids"] = 1
    else:
        events[row]["n_asks"] = 1
    _level(cursor, levels, frame[PRICE_TICKS], frame[QTY_LOTS])


@njit
def _fits(s: np.ndarray, frame: np.ndarray) -> int:
    """Hold a depth event's ids against the book's: JOINED, DONE (old), or WAITING (a gap)."""
    known, last, previous = s["last_update_id"], frame[LAST_ID], frame[PREVIOUS_ID]
    if frame[SEEN] & PREVIOUS_BIT == 0:
        if last <= known:
            return DONE
        return JOINED if previous <= known else WAITING
    if s["book_state"] == SYNCING:
        if last < known:
            return DONE
        return JOINED if previous <= known else WAITING
    if last <= known:
        return DONE
    return JOINED if previous == known else WAITING


@njit
def _put_levels(
    cursor: np.ndarray,
    events: np.ndarray,
    levels: np.ndarray,
    frame: np.ndarray,
    kind: int,
    flags: int,
) -> None:
    """Append a depth event or a snapshot with all its levels."""
    c = cursor[0]
    row = c["events"]
    _row(cursor, events, frame, kind, flags)
    n_bids, n_asks = frame[N_BIDS], frame[N_ASKS]
    events[row]["n_bids"] = n_bids
    events[row]["n_asks"] = n_asks
    at = 2 * c["levels"]
    for i in range(2 * (n_bids + n_asks)):
        levels[np.uint64(at + i)] = frame[np.uint64(LEVELS_AT + i)]
    c["levels"] += n_bids + n_asks


@njit
def _put_snapshot(
    cursor: np.ndarray,
    events: np.ndarray,
    levels: np.ndarray,
    frame: np.ndarray,
    sync: np.ndarray,
) -> int:
    s = sync[frame[INSTRUMENT] - 1]
    state = s["book_state"]
    if frame[VENUE_NS] == 0:
        frame[VENUE_NS] = s["last_venue_ns"]  # spot's bears no time: no earlier than this
    is_old = (state == LIVE or state == SYNCING) and frame[LAST_ID] < s["last_update_id"]
    _put_levels(cursor, events, levels, frame, ROW_SNAPSHOT, TAPE_SKIP if is_old else 0)
    if is_old:
        return DONE
    s["last_update_id"] = frame[LAST_ID]
    s["book_state"] = SYNCING
    return JOINED


@njit
def tape_put(
    cursor: np.ndarray,
    events: np.ndarray,
    levels: np.ndarray,
    frame: np.ndarray,
    sync: np.ndarray,
    is_buffered: int,
) -> int:
    """Append one parsed frame.

    Parameters
    ----------
    cursor : ndarray of TAPE_CURSOR, shape (1,)
        Where the tables end; `received_ns` is the frame's.
    events : ndarray of TAPE_EVENT
    levels : ndarray of int64
        The words of LEVEL records. Both tables must have room.
    frame : ndarray of int64
        As filled by `frame_parse`; a snapshot's VENUE_NS as known.
    sync : ndarray of TAPE_SYNC, shape (instruments,)
        Changed in place.
    is_buffered : int
        1 for a depth event that came before its snapshot: one that is old is left out.

    Returns
    -------
    int
        JOINED, DONE (written with TAPE_SKIP, or left out), or for a depth event WAITING: written
        with TAPE_SKIP, behind a GAP where the book was whole before.
    """
    kind = frame[KIND]
    if kind == BEST_BID_OFFER:
        _put_touch(cursor, events, levels, frame)
        return JOINED
    if kind == TRADE or kind == AGGREGATE_TRADE:
        _put_trade(cursor, events, levels, frame, sync)
        return JOINED
    if kind == SNAPSHOT:
        return _put_snapshot(cursor, events, levels, frame, sync)
    s = sync[frame[INSTRUMENT] - 1]
    s["last_venue_ns"] = frame[VENUE_NS]
    code = WAITING
    is_whole = s["book_state"] == SYNCING or s["book_state"] == LIVE
    if is_whole:
        code = _fits(s, frame)
    if code == JOINED:
        flags = TAPE_BUFFERED if is_buffered == 1 else 0
        _put_levels(cursor, events, levels, frame, ROW_DELTA, flags)
        s["last_update_id"] = frame[LAST_ID]
        s["book_state"] = LIVE
        return JOINED
    if code == WAITING and is_whole:
        s["expected_id"] = s["last_update_id"]
        s["got_id"] = frame[PREVIOUS_ID]
        s["book_state"] = GAP
        _row(cursor, events, frame, ROW_GAP, 0)
    if is_buffered == 1:
        return code
    if code == DONE and s["book_state"] == LIVE:
        s["duplicates"] += 1
    _put_levels(cursor, events, levels, frame, ROW_DELTA, TAPE_SKIP)
    return code


@njit
def _stamp(data: bytes, at: int, most: int) -> tuple[int, int]:
    """Read a line's time, at most `most`; return it and the payload's begin, -1 without one."""
    start = at
    value = 0
    digit = data[np.uint64(at)] - ZERO
    while 0 <= digit <= 9 and at - start < MAX_STAMP_DIGITS:
        value = value * 10 + digit
        at += 1
        digit = data[np.uint64(at)] - ZERO
    if at == start or data[np.uint64(at)] != BLANK or value < 0 or value > most:
        return 0, -1
    return value, at + 1


@njit
def tape_lines(
    data: bytes,
    end: int,
    units: np.ndarray,
    symbols: np.ndarray,
    frame: np.ndarray,
    sync: np.ndarray,
    cursor: np.ndarray,
    events: np.ndarray,
    levels: np.ndarray,
) -> int:
    """Read lines into the tables until one needs the caller.

    Parameters
    ----------
    data : bytes
        Lines, each with its end.
    end : int
        Behind the last line's end.
    units : ndarray of int64, shape (2,)
        Nanoseconds in a unit of the lines' stamps, and of the venue's.
    symbols, frame : ndarray of int64
        As of `frame_parse`; `frame` is overwritten.
    sync : ndarray of TAPE_SYNC, shape (instruments,)
    cursor : ndarray of TAPE_CURSOR, shape (1,)
        Goes on from `at`.
    events : ndarray of TAPE_EVENT
    levels : ndarray of int64
        Room for one line more is half a frame's: else FULL.

    Returns
    -------
    int
        DONE; FULL; or OTHER, NO_STAMP, WAITING, with the line's payload in the cursor, which
        stands behind that line.
    """
    c = cursor[0]
    spare = frame.size
    most_stamp = MAX_STAMP // units[0]
    while c["at"] < end:
        if events.size - c["events"] < MAX_ROWS_A_LINE or levels.size - 2 * c["levels"] < spare:
            return FULL
        stamp, payload_at = _stamp(data, c["at"], most_stamp)
        after = -1
        if payload_at > 0:
            after = frame_parse_at(data, payload_at, units[1], symbols, frame)
            if after > 0 and data[np.uint64(after)] == RETURN:
                after += 1
            if after > 0 and data[np.uint64(after)] != LINE_END:
                after = -1
            c["received_ns"] = stamp * units[0]
        known = after > 0
        if not known:
            after = c["at"] if payload_at < 0 else payload_at
            while data[np.uint64(after)] != LINE_END:
                after += 1
        c["payload_at"] = payload_at
        c["payload_end"] = after
        c["at"] = after + 1
        c["line"] += 1
        if not known:
            return NO_STAMP if payload_at < 0 else OTHER
        if tape_put(cursor, events, levels, frame, sync, 0) == WAITING:
            return WAITING
    return DONE
