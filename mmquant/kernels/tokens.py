"""The tokens of compact JSON as a venue writes it: read at a position, or refused.

Every reader returns the position behind its token, `FAILED` for whatever it does not know. It
accepts only what is valid JSON, and less: no escapes, no blanks, no signs, no exponents.

Nothing is read past the end, without a test of it: the caller makes sure that the last byte is
a closing brace, no reader steps over one, and behind any byte that is not one there is another.
"""

import numpy as np

from mmquant._jit import bare_inlined, bare_njit

__all__ = [
    "CLOSE",
    "CLOSE_OBJECT",
    "COLON",
    "COMMA",
    "FAILED",
    "NAME_BYTES",
    "NAME_WORD_BYTES",
    "OPEN",
    "OPEN_OBJECT",
    "QUOTE",
    "read_boolean",
    "read_decimal",
    "read_integer",
    "read_key",
    "read_name",
    "skip_scalar",
    "skip_text",
]

FAILED = -1
NAME_WORD_BYTES = 7  # of a name packed into an int64, which stays positive
NAME_BYTES = 4 * NAME_WORD_BYTES
MAX_INTEGER_DIGITS = 18  # below 2**62, and no wrap in int64
MAX_WHOLE_DIGITS = 10  # with eight decimals below 2**63
SECOND = 256  # the key of two letters is first + SECOND * second

QUOTE = ord('"')
COMMA = ord(",")
COLON = ord(":")
DOT = ord(".")
ZERO = ord("0")
OPEN = ord("[")
CLOSE = ord("]")
OPEN_OBJECT = ord("{")
CLOSE_OBJECT = ord("}")
BACKSLASH = ord("\\")
BLANK = ord(" ")
DELETE = 127  # the first byte that is not printable ASCII
T, R, U, E = ord("t"), ord("r"), ord("u"), ord("e")
F, A, L, S = ord("f"), ord("a"), ord("l"), ord("s")


@bare_inlined
def _is_plain(byte: int) -> bool:
    """Tell whether a byte inside a string stands for itself (and is not the brace)."""
    return BLANK <= byte < DELETE and byte != QUOTE and byte != BACKSLASH and byte != CLOSE_OBJECT


@bare_njit
def read_integer(data: bytes, at: int) -> tuple[int, int]:
    """Read an unsigned integer of at most 18 digits; return it and the position behind."""
    start = at
    value = 0
    digit = data[np.uint64(at)] - ZERO
    while 0 <= digit <= 9:
        value = value * 10 + digit
        at += 1
        digit = data[np.uint64(at)] - ZERO
    digits = at - start
    if digits == 0 or digits > MAX_INTEGER_DIGITS:
        return 0, FAILED
    if digits > 1 and data[np.uint64(start)] == ZERO:
        return 0, FAILED
    return value, at


@bare_inlined
def read_decimal(data: bytes, at: int, decimals: int, divisor: int) -> tuple[int, int]:
    """Read a quoted decimal from behind its opening quote, in units of its instrument.

    Parameters
    ----------
    data : bytes
    at : int
        Position of the first digit.
    decimals, divisor : int
        The unit (a tick or a lot) is divisor * 10**-decimals, decimals in [0, 8].

    Returns
    -------
    tuple of int
        How many units it is, and the position behind the closing quote; `FAILED` where it is
        no whole number of them.
    """
    start = at
    value = 0
    digit = data[np.uint64(at)] - ZERO
    while 0 <= digit <= 9:
        value = value * 10 + digit
        at += 1
        digit = data[np.uint64(at)] - ZERO
    if at == start or at - start > MAX_WHOLE_DIGITS:
        return 0, FAILED
    missing = decimals
    if digit == DOT - ZERO:
        at += 1
        digit = data[np.uint64(at)] - ZERO
        while missing > 0 and 0 <= digit <= 9:
            value = value * 10 + digit
            missing -= 1
            at += 1
            digit = data[np.uint64(at)] - ZERO
        while digit == 0:  # finer than the unit: only zeros may follow
            at += 1
            digit = data[np.uint64(at)] - ZERO
    if digit != QUOTE - ZERO:
        return 0, FAILED
    for _ in range(missing):
        value *= 10
    if divisor != 1:
        units = value // divisor
        if units * divisor != value:
            return 0, FAILED
        value = units
    return value, at + 1


@bare_njit
def read_key(data: bytes, at: int) -> tuple[int, int]:
    """Read `"k":` or `"kk":`; return first + 256 * second letter, and the position behind."""
    if data[np.uint64(at)] != QUOTE:
        return 0, FAILED
    key = data[np.uint64(at + 1)] + 0
    if not _is_plain(key):
        return 0, FAILED
    at += 2
    second = data[np.uint64(at)] + 0
    if second != QUOTE:
        if not _is_plain(second):
            return 0, FAILED
        key += SECOND * second
        at += 1
    if data[np.uint64(at)] != QUOTE or data[np.uint64(at + 1)] != COLON:
        return 0, FAILED
    return key, at + 2


@bare_njit
def read_name(data: bytes, at: int) -> tuple[int, int, int, int, int]:
    """Read a quoted name of at most 28 plain bytes as four words, seven bytes a word.

    Returns
    -------
    tuple of int
        The four words (big end first, 0 where the name is shorter) and the position behind.
    """
    words = (0, 0, 0, 0, FAILED)
    if data[np.uint64(at)] != QUOTE:
        return words
    at += 1
    word_0 = word_1 = word_2 = word_3 = 0
    for i in range(NAME_BYTES + 1):
        byte = data[np.uint64(at)] + 0
        at += 1
        if byte == QUOTE:
            return word_0, word_1, word_2, word_3, at
        if not _is_plain(byte):
            return words
        if i < NAME_WORD_BYTES:
            word_0 = word_0 << 8 | byte
        elif i < 2 * NAME_WORD_BYTES:
            word_1 = word_1 << 8 | byte
        elif i < 3 * NAME_WORD_BYTES:
            word_2 = word_2 << 8 | byte
        else:
            word_3 = word_3 << 8 | byte
    return words


@bare_njit
def read_boolean(data: bytes, at: int) -> tuple[int, int]:
    """Read true or false; return 1 or 0, and the position behind."""
    first = data[np.uint64(at)] + 0
    if first == T:
        if (
            data[np.uint64(at + 1)] == R
            and data[np.uint64(at + 2)] == U
            and data[np.uint64(at + 3)] == E
        ):
            return 1, at + 4
    elif (
        first == F
        and data[np.uint64(at + 1)] == A
        and data[np.uint64(at + 2)] == L
        and data[np.uint64(at + 3)] == S
        and data[np.uint64(at + 4)] == E
    ):
        return 0, at + 5
    return 0, FAILED


@bare_njit
def skip_text(data: bytes, at: int) -> int:
    """Step over a quoted string of plain bytes."""
    if data[np.uint64(at)] != QUOTE:
        return FAILED
    at += 1
    while _is_plain(data[np.uint64(at)]):
        at += 1
    return at + 1 if data[np.uint64(at)] == QUOTE else FAILED


@bare_njit
def skip_scalar(data: bytes, at: int) -> int:
    """Step over a string, an unsigned integer or a boolean that nobody asked for."""
    first = data[np.uint64(at)] + 0
    if first == QUOTE:
        return skip_text(data, at)
    if first == T or first == F:
        return read_boolean(data, at)[1]
    return read_integer(data, at)[1]
