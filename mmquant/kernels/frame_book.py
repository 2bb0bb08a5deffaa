"""A parsed frame, or a frame's bytes, into the book: the venue's rules of its update ids."""

import numpy as np

from mmquant._jit import bare_njit
from mmquant.codes import BookCode, BookState, FrameKind
from mmquant.kernels.book import book_apply
from mmquant.kernels.frames import (
    INSTRUMENT,
    KIND,
    LAST_ID,
    N_ASKS,
    N_BIDS,
    PREVIOUS_BIT,
    PREVIOUS_ID,
    SEEN,
    frame_parse,
)
from mmquant.kernels.levels import LEVEL_WORDS, LEVELS_AT
from mmquant.state import FRAME

__all__ = ["frame_apply", "frame_parse_and_apply"]

DEPTH = int(FrameKind.DEPTH)
SNAPSHOT = int(FrameKind.SNAPSHOT)
OK = int(BookCode.OK)
IGNORED = int(BookCode.IGNORED)
NOT_SYNCED = int(BookCode.NOT_SYNCED)
GAP = int(BookCode.GAP)
CROSSED = int(BookCode.CROSSED)
STATE_SYNCING = int(BookState.SYNCING)
STATE_LIVE = int(BookState.LIVE)
STATE_GAP = int(BookState.GAP)
STATE_CROSSED = int(BookState.CROSSED)
BOOK_CODE = list(FRAME.names or ()).index("book_code")


@bare_njit
def _continues(out: np.ndarray, book: np.ndarray) -> int:
    """Hold a depth event's ids against a book's: OK, IGNORED, NOT_SYNCED or GAP."""
    b = book[0]
    if b["synced"] == 0:
        return NOT_SYNCED
    known, last, previous = b["last_update_id"], out[LAST_ID], out[PREVIOUS_ID]
    if out[SEEN] & PREVIOUS_BIT == 0:
        if last <= known:
            return IGNORED
        return OK if previous <= known else GAP
    if b["book_state"] == STATE_SYNCING:
        if last < known:
            return IGNORED
        return OK if previous <= known else GAP
    if last <= known:
        return IGNORED
    return OK if previous == known else GAP


@bare_njit
def frame_apply(out: np.ndarray, book: np.ndarray) -> int:
    """Bring a parsed snapshot or depth event into a book, by the venue's rules of its ids.

    An event covers the ids (previous, last]. Spot: it must not start beyond the book's id. USD-M
    (it names the event before): the first one must cover the snapshot's id, later ones continue
    the book exactly. The book's `book_state` is SYNCING after a snapshot, LIVE once an event has
    joined it, GAP or CROSSED where a new snapshot is needed.

    Parameters
    ----------
    out
        As filled by `frame_parse` or `snapshot_parse`.
    book : ndarray of BOOK, shape (1,)
        Changed in place; zeroed memory is a valid start. Its instrument is the caller's affair.

    Returns
    -------
    int
        A `BookCode`. OK, CROSSED: the levels were applied. IGNORED: the event is old, or no
        depth at all. NOT_SYNCED, GAP, BAD_LEVEL: nothing was applied, a snapshot is needed.
    """
    b = book[0]
    kind = out[KIND]
    if kind == SNAPSHOT:
        load = 1
    elif kind == DEPTH:
        load = 0
        code = _continues(out, book)
        if code == GAP:
            b["synced"] = 0
            b["gaps"] += 1
            b["book_state"] = STATE_GAP
        if code != OK:
            return code
    else:
        return IGNORED
    n_bids = out[N_BIDS]
    asks_at = LEVELS_AT + n_bids * LEVEL_WORDS
    code = book_apply(book, out, LEVELS_AT, n_bids, asks_at, out[N_ASKS], out[LAST_ID], load)
    if code == OK:
        b["book_state"] = STATE_SYNCING if load == 1 else STATE_LIVE
    else:
        b["synced"] = 0
        b["book_state"] = STATE_CROSSED if code == CROSSED else STATE_GAP
    return code


@bare_njit
def frame_parse_and_apply(
    data: bytes, symbols: np.ndarray, out: np.ndarray, books: np.ndarray
) -> int:
    """Parse a frame and bring a depth event into its instrument's book, in one call.

    Parameters
    ----------
    data, symbols, out
        As of `frame_parse`; in `out`, `book_code` is what `frame_apply` answered.
    books : ndarray of BOOK, shape (n,)
        The book of instrument i at i - 1.

    Returns
    -------
    int
        As of `frame_parse`.
    """
    kind = frame_parse(data, symbols, out)
    if kind == DEPTH:
        i = out[INSTRUMENT]
        out[BOOK_CODE] = frame_apply(out, books[i - 1 : i])
    return kind
