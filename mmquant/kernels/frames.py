"""A venue's frame, bytes to ticks and lots: one pass, no objects; exact, or "not a known shape".

What the scanner does not know (nesting, blanks, escapes, a long key, a key twice, a price off
its tick, a quantity beyond the venue's cap) it does not judge: it answers UNKNOWN, and a parser
of all JSON says what it is. What it accepts means the same there, and nothing is ever rounded.
"""

from typing import Any

import numpy as np

from mmquant._jit import bare_njit
from mmquant.codes import FrameKind, Side
from mmquant.kernels.levels import LEVELS_AT, PRICE_UNIT, QTY_UNIT, read_levels
from mmquant.kernels.tokens import (
    CLOSE_OBJECT,
    COLON,
    COMMA,
    FAILED,
    OPEN_OBJECT,
    QUOTE,
    read_boolean,
    read_decimal,
    read_integer,
    read_key,
    read_name,
    skip_scalar,
    skip_text,
)
from mmquant.state import FRAME
from mmquant.state import SYMBOL as SYMBOL_DTYPE

__all__ = ["frame_parse", "frame_parse_at", "snapshot_parse", "symbol_entry"]

UNKNOWN = int(FrameKind.UNKNOWN)
DEPTH = int(FrameKind.DEPTH)
BEST_BID_OFFER = int(FrameKind.BEST_BID_OFFER)
TRADE = int(FrameKind.TRADE)
AGGREGATE_TRADE = int(FrameKind.AGGREGATE_TRADE)
SNAPSHOT = int(FrameKind.SNAPSHOT)
BUY = int(Side.BUY)
SELL = int(Side.SELL)

MAX_TIME_NS = 1 << 62
NS_PER_MS = 1_000_000

SYMBOL_WORDS = SYMBOL_DTYPE.itemsize // 8
NUMBER = list(SYMBOL_DTYPE.names or ()).index("number")

# Where FRAME's fields lie, as words. Their order tells what the JSON value must be.
_WORDS = list(FRAME.names or ())
KIND = _WORDS.index("kind")
SEEN = _WORDS.index("seen")
INSTRUMENT = _WORDS.index("instrument")
SYMBOL = _WORDS.index("symbol")
VENUE_NS = _WORDS.index("venue_ns")
EVENT_MS = _WORDS.index("event_ms")  # from here on: unsigned integers
ENGINE_MS = _WORDS.index("engine_ms")
FIRST_ID = _WORDS.index("first_id")
LAST_ID = _WORDS.index("last_id")
PREVIOUS_ID = _WORDS.index("previous_id")
AGGREGATE_ID = _WORDS.index("aggregate_id")
BID_TICKS = _WORDS.index("bid_ticks")  # from here on: prices
ASK_TICKS = _WORDS.index("ask_ticks")
PRICE_TICKS = _WORDS.index("price_ticks")
BID_LOTS = _WORDS.index("bid_lots")  # from here on: quantities
ASK_LOTS = _WORDS.index("ask_lots")
QTY_LOTS = _WORDS.index("qty_lots")
VISIBLE_LOTS = _WORDS.index("visible_lots")
N_BIDS = _WORDS.index("n_bids")  # levels
N_ASKS = _WORDS.index("n_asks")
AGGRESSOR = _WORDS.index("aggressor")
IS_MARKET = _WORDS.index("is_market")
NOT_OURS = -1  # a key whose value is stepped over
FIRST_ENTRY: Any = np.int64(0)  # a plain 0 would compile the reading of levels once more


def _bits(*words: int) -> int:
    return sum(1 << word for word in words)


SYMBOL_BIT, PREVIOUS_BIT, ENGINE_BIT = _bits(SYMBOL), _bits(PREVIOUS_ID), _bits(ENGINE_MS)
VISIBLE_BIT = _bits(VISIBLE_LOTS)
NEEDED_BY_DEPTH = _bits(SYMBOL, EVENT_MS, FIRST_ID, LAST_ID, N_BIDS, N_ASKS)
NEEDED_BY_BBO = _bits(SYMBOL, LAST_ID, BID_TICKS, BID_LOTS, ASK_TICKS, ASK_LOTS)
NEEDED_BY_TRADE = _bits(SYMBOL, ENGINE_MS, LAST_ID, PRICE_TICKS, QTY_LOTS, AGGRESSOR)
NEEDED_BY_AGGREGATE = NEEDED_BY_TRADE | _bits(FIRST_ID, AGGREGATE_ID)
NEEDED_BY_SNAPSHOT = _bits(LAST_ID, N_BIDS, N_ASKS)

UPPER_A, UPPER_B, UPPER_E, UPPER_T, UPPER_U, UPPER_X = map(ord, "ABETUX")
LOWER_A, LOWER_B, LOWER_E, LOWER_F, LOWER_L, LOWER_M = map(ord, "abeflm")
LOWER_P, LOWER_Q, LOWER_S, LOWER_T, LOWER_U = map(ord, "pqstu")
LOWER_PU, LOWER_NQ = ord("p") + 256 * ord("u"), ord("n") + 256 * ord("q")


def _pack(text: str) -> int:
    return int.from_bytes(text.encode(), "big")


# Names as `read_name` packs them: the first seven letters, then the rest.
DEPTH_0, DEPTH_1 = _pack("depthUp"), _pack("date")
BBO_0, BBO_1 = _pack("bookTic"), _pack("ker")
AGGREGATE_0, AGGREGATE_1 = _pack("aggTrad"), _pack("e")
LAST_ID_0, LAST_ID_1 = _pack("lastUpd"), _pack("ateId")
NAME_TRADE, NAME_MARKET = _pack("trade"), _pack("MARKET")
NAME_STREAM, NAME_DATA = _pack("stream"), _pack("data")
NAME_BIDS, NAME_ASKS, NAME_E, NAME_T = _pack("bids"), _pack("asks"), _pack("E"), _pack("T")


@bare_njit
def symbol_entry(symbols: np.ndarray, word_0: int, word_1: int, word_2: int, word_3: int) -> int:
    """Return where the entry of a name begins, or the free one where it would go.

    Parameters
    ----------
    symbols : ndarray of int64
        The words of SYMBOL records, an open hash table: their number is a power of two, and at
        least one is free.
    word_0, word_1, word_2, word_3 : int
        The name as `read_name` packs it.
    """
    mixed = word_0 ^ word_1 ^ word_2 ^ word_3
    mixed ^= mixed >> 24
    mixed ^= mixed >> 11
    last = symbols.size // SYMBOL_WORDS - 1
    entry = (mixed & last) * SYMBOL_WORDS
    while symbols[entry + NUMBER] != 0 and (
        symbols[entry] != word_0
        or symbols[entry + 1] != word_1
        or symbols[entry + 2] != word_2
        or symbols[entry + 3] != word_3
    ):
        entry += SYMBOL_WORDS
        if entry == symbols.size:
            entry = 0
    return entry


@bare_njit
def _word_of_key(kind: int, key: int) -> int:
    """Return the word of FRAME that the key's value belongs to, `NOT_OURS` for other keys."""
    word = NOT_OURS
    if key == UPPER_E:
        word = EVENT_MS
    elif key == UPPER_T:
        word = ENGINE_MS
    elif key == LOWER_S:
        word = SYMBOL
    elif kind == DEPTH:
        if key == UPPER_U:
            word = FIRST_ID
        elif key == LOWER_U:
            word = LAST_ID
        elif key == LOWER_PU:
            word = PREVIOUS_ID
        elif key == LOWER_B:
            word = N_BIDS
        elif key == LOWER_A:
            word = N_ASKS
    elif kind == BEST_BID_OFFER:
        if key == LOWER_U:
            word = LAST_ID
        elif key == LOWER_B:
            word = BID_TICKS
        elif key == UPPER_B:
            word = BID_LOTS
        elif key == LOWER_A:
            word = ASK_TICKS
        elif key == UPPER_A:
            word = ASK_LOTS
    elif key == LOWER_P:
        word = PRICE_TICKS
    elif key == LOWER_Q:
        word = QTY_LOTS
    elif key == LOWER_M:
        word = AGGRESSOR
    elif kind == TRADE:
        if key == LOWER_T:
            word = LAST_ID
        elif key == UPPER_X:
            word = IS_MARKET
    elif key == LOWER_NQ:
        word = VISIBLE_LOTS
    elif key == LOWER_A:
        word = AGGREGATE_ID
    elif key == LOWER_F:
        word = FIRST_ID
    elif key == LOWER_L:
        word = LAST_ID
    return word


@bare_njit
def _read_named(data: bytes, at: int, word: int, symbols: np.ndarray, out: np.ndarray) -> int:
    """Read the value of `s`, `X` or `m`."""
    if word == AGGRESSOR:
        is_maker_bid, at = read_boolean(data, at)
        out[AGGRESSOR] = SELL if is_maker_bid == 1 else BUY
        return at
    word_0, word_1, word_2, word_3, at = read_name(data, at)
    if at < 0:
        return FAILED
    if word == IS_MARKET:
        out[IS_MARKET] = 1
        return at if word_0 == NAME_MARKET and word_1 == 0 else FAILED
    entry = symbol_entry(symbols, word_0, word_1, word_2, word_3)
    out[SYMBOL] = entry
    out[INSTRUMENT] = symbols[entry + NUMBER]
    return at if symbols[entry + NUMBER] > 0 else FAILED


@bare_njit
def _read_value(data: bytes, at: int, word: int, symbols: np.ndarray, out: np.ndarray) -> int:
    """Read the value that belongs to `word`; prices and quantities need the symbol before."""
    if out[SEEN] >> word & 1:
        return FAILED
    out[SEEN] |= 1 << word
    if EVENT_MS <= word <= AGGREGATE_ID:
        value, at = read_integer(data, at)
        out[word] = value
        return at
    if word < EVENT_MS or word > N_ASKS:
        return _read_named(data, at, word, symbols, out)
    if out[SEEN] & SYMBOL_BIT == 0:
        return FAILED
    entry = out[SYMBOL]
    if word == N_BIDS or word == N_ASKS:
        before = out[N_BIDS]
        if word == N_BIDS and out[SEEN] >> N_ASKS & 1:
            return FAILED  # the bids' levels lie first
        after, at = read_levels(data, at, symbols, entry, out, before)
        out[word] = after - before
        return at
    if data[np.uint64(at)] != QUOTE:
        return FAILED
    if word < BID_LOTS:
        unit = entry + PRICE_UNIT
    else:
        unit = entry + QTY_UNIT
    value, at = read_decimal(data, at + 1, symbols[unit], symbols[unit + 1])
    if value == 0 and word < BID_LOTS:
        return FAILED
    out[word] = value
    return at


@bare_njit
def _read_kind(data: bytes, at: int) -> tuple[int, int]:
    """Read what `e`, the first key, says; without it the frame can be spot's touch only."""
    if data[np.uint64(at + 1)] != LOWER_E or data[np.uint64(at + 2)] != QUOTE:
        return BEST_BID_OFFER, at
    _, at = read_key(data, at)
    if at < 0:
        return UNKNOWN, FAILED
    word_0, word_1, word_2, _, at = read_name(data, at)
    if at < 0 or data[np.uint64(at)] != COMMA:
        return UNKNOWN, FAILED
    at += 1
    if word_0 == DEPTH_0 and word_1 == DEPTH_1 and word_2 == 0:
        return DEPTH, at
    if word_0 == BBO_0 and word_1 == BBO_1 and word_2 == 0:
        return BEST_BID_OFFER, at
    if word_0 == NAME_TRADE and word_1 == 0:
        return TRADE, at
    if word_0 == AGGREGATE_0 and word_1 == AGGREGATE_1 and word_2 == 0:
        return AGGREGATE_TRADE, at
    return UNKNOWN, FAILED


@bare_njit
def _read_event(data: bytes, at: int, symbols: np.ndarray, out: np.ndarray) -> int:
    """Read one event's object; return the position behind it."""
    if data[np.uint64(at)] != OPEN_OBJECT or data[np.uint64(at + 1)] != QUOTE:
        return FAILED
    kind, at = _read_kind(data, at + 1)
    if at < 0:
        return FAILED
    out[KIND] = kind
    while True:
        key, at = read_key(data, at)
        if at < 0 or key == LOWER_E:  # the kind comes first or not at all
            return FAILED
        word = _word_of_key(kind, key)
        if word == NOT_OURS:
            at = skip_scalar(data, at)
        else:
            at = _read_value(data, at, word, symbols, out)
        if at < 0:
            return FAILED
        if data[np.uint64(at)] == CLOSE_OBJECT:
            return at + 1
        if data[np.uint64(at)] != COMMA:
            return FAILED
        at += 1


@bare_njit
def _is_whole(out: np.ndarray, stamp_ns: int) -> bool:
    """Tell whether all that the kind needs was there; derive the time and the missing ids."""
    kind, seen = out[KIND], out[SEEN]
    if kind == DEPTH:
        needed = NEEDED_BY_DEPTH
        if seen & PREVIOUS_BIT == 0:
            out[PREVIOUS_ID] = out[FIRST_ID] - 1
    elif kind == BEST_BID_OFFER:
        needed = NEEDED_BY_BBO
    else:
        needed = NEEDED_BY_TRADE if kind == TRADE else NEEDED_BY_AGGREGATE
        if kind == TRADE:
            out[FIRST_ID] = out[LAST_ID]
        elif seen & VISIBLE_BIT:
            out[QTY_LOTS] = min(out[QTY_LOTS], out[VISIBLE_LOTS])
        if out[QTY_LOTS] == 0 or out[FIRST_ID] > out[LAST_ID]:
            return False
    stamp = out[ENGINE_MS] if seen & ENGINE_BIT else out[EVENT_MS]
    if stamp > MAX_TIME_NS // stamp_ns:
        return False
    out[VENUE_NS] = stamp * stamp_ns
    return bool(seen & needed == needed)


@bare_njit
def _start(data: bytes, out: np.ndarray) -> bool:
    """Clear the frame; tell whether the data's first and last byte are an object's."""
    for i in range(LEVELS_AT):
        out[i] = 0
    n = len(data)
    return n > 1 and data[np.uint64(n - 1)] == CLOSE_OBJECT and data[np.uint64(0)] == OPEN_OBJECT


@bare_njit
def frame_parse_at(
    data: bytes, at: int, stamp_ns: int, symbols: np.ndarray, out: np.ndarray
) -> int:
    """Parse the frame that begins at `at`, as `frame_parse`: one of many in a recording.

    Parameters
    ----------
    data : bytes
        Its last byte must be a closing brace or a control character (the end of a line).
    at : int
        Where the frame begins.
    stamp_ns : int
        Unit of the venue's time stamps: NS_PER_MS, or 1000 where microseconds were asked for.
    symbols, out
        As of `frame_parse`.

    Returns
    -------
    int
        The position behind the frame, or FAILED where `frame_parse` would answer UNKNOWN.
    """
    for i in range(LEVELS_AT):
        out[i] = 0
    if data[np.uint64(at)] != OPEN_OBJECT:
        return FAILED
    depth = 0
    if data[np.uint64(at + 1)] == QUOTE:
        word_0, word_1, _, _, after = read_name(data, at + 1)
        if after > 0 and word_0 == NAME_STREAM and word_1 == 0 and data[np.uint64(after)] == COLON:
            at = skip_text(data, after + 1)
            if at < 0 or data[np.uint64(at)] != COMMA:
                return FAILED
            word_0, word_1, _, _, at = read_name(data, at + 1)
            if at < 0 or word_0 != NAME_DATA or word_1 != 0 or data[np.uint64(at)] != COLON:
                return FAILED
            at += 1
            depth = 1
    at = _read_event(data, at, symbols, out)
    if at < 0 or not _is_whole(out, stamp_ns):
        return FAILED
    if depth == 1 and (at >= len(data) or data[np.uint64(at)] != CLOSE_OBJECT):
        return FAILED
    return at + depth


@bare_njit
def frame_parse(data: bytes, symbols: np.ndarray, out: np.ndarray) -> int:
    """Parse a raw or combined-stream frame: depth, bookTicker, trade or aggTrade.

    Parameters
    ----------
    data : bytes
        One whole frame.
    symbols : ndarray of int64
        The instruments, see `symbol_entry`.
    out : ndarray of int64
        Overwritten: the words of one FRAME record, then the levels of a depth event as pairs
        (ticks, lots), the words of LEVEL records: bids, then asks.

    Returns
    -------
    int
        A `FrameKind`; UNKNOWN where the shape is not known, a value is not exact or legal, or
        a side has more levels than half of what `out` can hold: then nothing in `out` counts.
    """
    n = len(data)
    if n < 2 or data[np.uint64(n - 1)] != CLOSE_OBJECT:
        return UNKNOWN
    if frame_parse_at(data, 0, NS_PER_MS, symbols, out) != n:
        return UNKNOWN
    return int(out[KIND])


@bare_njit
def snapshot_parse(data: bytes, symbol: np.ndarray, out: np.ndarray) -> int:
    """Parse the body of a REST depth answer.

    Parameters
    ----------
    data : bytes
        The whole body.
    symbol : ndarray of int64
        The words of the instrument's SYMBOL record: the body does not name it.
    out
        As of `frame_parse`.

    Returns
    -------
    int
        `FrameKind.SNAPSHOT` or UNKNOWN.
    """
    if not _start(data, out):
        return UNKNOWN
    at = 1
    while True:
        word_0, word_1, word_2, _, at = read_name(data, at)
        if at < 0 or data[np.uint64(at)] != COLON or word_2 != 0:
            return UNKNOWN
        at += 1
        if word_0 == LAST_ID_0 and word_1 == LAST_ID_1:
            word = LAST_ID
        elif word_1 != 0:
            return UNKNOWN
        elif word_0 == NAME_BIDS:
            word = N_BIDS
        elif word_0 == NAME_ASKS and out[SEEN] >> N_BIDS & 1:
            word = N_ASKS
        elif word_0 == NAME_E:
            word = EVENT_MS
        elif word_0 == NAME_T:
            word = ENGINE_MS
        else:
            return UNKNOWN
        if out[SEEN] >> word & 1:
            return UNKNOWN
        out[SEEN] |= 1 << word
        if word == N_BIDS or word == N_ASKS:
            before = out[N_BIDS]
            value, at = read_levels(data, at, symbol, FIRST_ENTRY, out, before)
            value -= before
        else:
            value, at = read_integer(data, at)
        out[word] = value
        if at < 0:
            return UNKNOWN
        if data[np.uint64(at)] == CLOSE_OBJECT:
            break
        if data[np.uint64(at)] != COMMA:
            return UNKNOWN
        at += 1
    if at + 1 != len(data) or out[SEEN] & NEEDED_BY_SNAPSHOT != NEEDED_BY_SNAPSHOT:
        return UNKNOWN
    out[KIND] = SNAPSHOT
    out[INSTRUMENT] = symbol[NUMBER]
    return SNAPSHOT
