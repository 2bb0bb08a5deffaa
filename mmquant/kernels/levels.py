"""The levels of a depth frame, `[["price","qty"],...]`: a word of eight bytes at a time.

Numbers of one list nearly always have the same digits before and behind the point (a quantity
behind it only). So the form of the list's first level is held against the next ones: where the
price ends is known before it is read, which byte must be what is one test of a word, and eight
digits become a number by three multiplications, each of which joins neighbours. A level of another
form, one with more digits, and those too near to the end of the data are read byte by byte.

The 64 bits of the machine and Python's unbounded integers give the same here: what is shifted up
has been masked before, and a sign is only ever masked or compared with zero.
"""

import numpy as np

from mmquant import records
from mmquant._jit import bare_inlined, bare_njit, load_word, trailing_zeros
from mmquant.kernels.tokens import CLOSE, COMMA, DOT, FAILED, OPEN, QUOTE, read_decimal
from mmquant.state import FRAME, SYMBOL

__all__ = ["LEVELS_AT", "LEVEL_REACH", "LEVEL_WORDS", "PRICE_UNIT", "QTY_UNIT", "read_levels"]

LEVEL_WORDS = records.LEVEL.itemsize // 8
LEVELS_AT = FRAME.itemsize // 8  # behind the record
PRICE_UNIT = list(SYMBOL.names or ()).index("price_decimals")  # and the divisor behind it
QTY_UNIT = list(SYMBOL.names or ()).index("qty_decimals")

WORD_BYTES = 8
# From a price's first digit to the end of the last word looked at: a number is eight digits, a
# point and eight more; three bytes lie between the two, and a word begins at the closing quote.
LEVEL_REACH = 2 * (WORD_BYTES + 1 + WORD_BYTES) + 3 + WORD_BYTES

EVERY_BYTE = 0x0101010101010101
LOW_BITS = 0x7F * EVERY_BYTE
HIGH_BITS = ~LOW_BITS
ABOVE_NINE = (0x80 - 10) * EVERY_BYTE  # added to a byte, sets its high bit from ten on
DIGIT_ZEROS = ord("0") * EVERY_BYTE
EVERY_SECOND, EVERY_FOURTH, LOWER_HALF = 0x00FF00FF00FF00FF, 0x0000FFFF0000FFFF, 0xFFFFFFFF

BETWEEN, BETWEEN_MASK = int.from_bytes(b'","', "little"), (1 << 24) - 1
NEXT, NEXT_MASK = int.from_bytes(b'"],["', "little"), (1 << 40) - 1
LAST, LAST_MASK = int.from_bytes(b'"]]', "little"), (1 << 24) - 1


@bare_inlined
def _bytes_below(n: int) -> int:
    """Return the mask of a word's first `n` bytes, n in [0, 8]."""
    return (1 << 8 * n) - 1 if n < WORD_BYTES else -1


@bare_inlined
def _not_digits(word: int) -> int:
    """Return the high bit of each byte above nine."""
    return ((word & LOW_BITS) + ABOVE_NINE | word) & HIGH_BITS


@bare_inlined
def _digits_at(data: bytes, at: int) -> int:
    """Return how many digits there are from a position on, at most eight."""
    return trailing_zeros(_not_digits(load_word(data, at) ^ DIGIT_ZEROS)) >> 3


@bare_inlined
def _number(word: int) -> int:
    """Return the number that a word's eight digits make, the first of them lowest."""
    pairs = (word * 10 + (word >> 8)) & EVERY_SECOND
    fours = (pairs * 100 + (pairs >> 16)) & EVERY_FOURTH
    return (fours * 10_000 + (fours >> 32)) & LOWER_HALF


@bare_njit
def _form(data: bytes, at: int) -> tuple[int, int, int]:
    """Return a number's digits before its point, whether it has one, and its digits behind."""
    whole = _digits_at(data, at)
    has_point = int(data[np.uint64(at + whole)] == DOT)
    return whole, has_point, _digits_at(data, at + whole + has_point)


@bare_inlined
def _excess(n_digits: int, n_zeros: int) -> int:
    """Return what, added to a word, sets the high bit of a byte that is not as it should be.

    Its first `n_zeros` bytes should be 0, those up to `n_digits` at most 9, the others 0.
    """
    digits = _bytes_below(n_digits) & ~_bytes_below(n_zeros)
    return ABOVE_NINE & digits | LOW_BITS & ~digits


@bare_njit
def _behind_point(digits: int, decimals: int) -> tuple[int, int, int, int]:
    """Return how to read a word that begins with a fraction, of which `decimals` digits count.

    Returns
    -------
    tuple of int
        The mask of the digits that count, the word's `_excess`, the high bits which that must
        not set, and by how many bits the digits are to be shifted up.
    """
    counted = min(digits, decimals)
    up = 8 * (WORD_BYTES - decimals) if decimals > 0 else 0
    return _bytes_below(counted), _excess(counted, 0), HIGH_BITS & _bytes_below(digits), up


@bare_njit
def _read_alike(
    data: bytes, at: int, symbols: np.ndarray, entry: int, out: np.ndarray, row: int, rows: int
) -> tuple[int, int, bool]:
    """Read levels as long as they have the form of the first, and eight digits are enough.

    Parameters
    ----------
    at : int
        A price's first digit.
    data, symbols, entry, out, row
        As of `read_levels`, but the divisors are left aside.
    rows : int
        Where to stop.

    Returns
    -------
    tuple
        The row behind the last level read; the first digit of the next one, or the position
        behind the list; whether the list has ended.
    """
    farthest = len(data) - LEVEL_REACH
    if at > farthest:
        return row, at, False
    whole, has_point, fraction = _form(data, at)
    _, qty_has_point, qty_fraction = _form(data, at + whole + has_point + fraction + 3)
    if whole == 0 or whole == WORD_BYTES:
        return row, at, False

    decimals, qty_decimals = int(symbols[entry + PRICE_UNIT]), int(symbols[entry + QTY_UNIT])
    too_long = max(whole + decimals - WORD_BYTES, 0)  # so many first digits must be zeros
    whole_mask = _bytes_below(whole)
    whole_zeros = DIGIT_ZEROS & whole_mask | (DOT if has_point else QUOTE) << 8 * whole
    whole_excess = _excess(whole, too_long)
    whole_high = HIGH_BITS & _bytes_below(whole + 1)
    whole_up = 8 * max(WORD_BYTES - decimals - whole, 0)
    whole_down = 8 * too_long
    fraction_mask, fraction_excess, fraction_high, fraction_up = _behind_point(fraction, decimals)
    qty_separator = DOT if qty_has_point else QUOTE
    qty_kept = _bytes_below(qty_decimals)
    qty_mask, qty_excess, qty_high, qty_up = _behind_point(qty_fraction, qty_decimals)
    qty_down = 4 * qty_decimals  # twice: a shift by 64 is undefined

    while row < rows and at <= farthest:
        word = load_word(data, at) ^ whole_zeros
        behind = load_word(data, at + whole + has_point) ^ DIGIT_ZEROS
        quote = at + whole + has_point + fraction
        if (
            (word + whole_excess | word) & whole_high
            or (behind + fraction_excess | behind) & fraction_high
            or load_word(data, quote) & BETWEEN_MASK != BETWEEN
        ):
            break
        ticks = _number(
            (word & whole_mask) << whole_up >> whole_down | (behind & fraction_mask) << fraction_up
        )
        word = load_word(data, quote + 3) ^ DIGIT_ZEROS
        ends = _not_digits(word)
        qty_whole = trailing_zeros(ends) >> 3
        quote += 3 + qty_whole
        if qty_whole == 0 or data[np.uint64(quote)] != qty_separator:
            break
        quote += qty_has_point
        behind = load_word(data, quote) ^ DIGIT_ZEROS
        quote += qty_fraction
        word = (word & ((ends & -ends) - 1 >> 7)) << 8 * (WORD_BYTES - qty_whole)
        if (behind + qty_excess | behind) & qty_high or word & qty_kept:
            break
        lots = _number(word >> qty_down >> qty_down | (behind & qty_mask) << qty_up)
        end = load_word(data, quote)
        is_next = end & NEXT_MASK == NEXT
        if ticks == 0 or not (is_next or end & LAST_MASK == LAST):
            break
        out[np.uint64(LEVELS_AT + row * LEVEL_WORDS)] = ticks
        out[np.uint64(LEVELS_AT + row * LEVEL_WORDS + 1)] = lots
        row += 1
        at = quote + 5
        if not is_next:
            return row, at - 2, True
    return row, at, False


@bare_njit
def _divide(out: np.ndarray, row: int, end: int, column: int, divisor: int) -> bool:
    """Divide a column of the levels from `row` to `end`; tell whether nothing remained."""
    for i in range(row, end):
        word = np.uint64(LEVELS_AT + i * LEVEL_WORDS + column)
        units = out[word] // divisor
        if units * divisor != out[word]:
            return False
        out[word] = units
    return True


@bare_njit
def _read_list(
    data: bytes, at: int, symbols: np.ndarray, entry: int, out: np.ndarray, row: int
) -> tuple[int, int]:
    """Read the levels as `read_levels` does, but leave the divisors aside."""
    if data[np.uint64(at)] != OPEN:
        return row, FAILED
    if data[np.uint64(at + 1)] == CLOSE:
        return row, at + 2
    if data[np.uint64(at + 1)] != OPEN or data[np.uint64(at + 2)] != QUOTE:
        return row, FAILED
    at += 3
    rows = row + (out.size - LEVELS_AT) // LEVEL_WORDS // 2
    while row < rows:
        row, at, has_ended = _read_alike(data, at, symbols, entry, out, row, rows)
        if has_ended:
            return row, at
        if row == rows:
            break
        ticks, at = read_decimal(data, at, symbols[entry + PRICE_UNIT], 1)
        if at < 0 or ticks == 0:
            break
        if data[np.uint64(at)] != COMMA or data[np.uint64(at + 1)] != QUOTE:
            break
        lots, at = read_decimal(data, at + 2, symbols[entry + QTY_UNIT], 1)
        if at < 0 or data[np.uint64(at)] != CLOSE:
            break
        out[np.uint64(LEVELS_AT + row * LEVEL_WORDS)] = ticks
        out[np.uint64(LEVELS_AT + row * LEVEL_WORDS + 1)] = lots
        row += 1
        if data[np.uint64(at + 1)] == CLOSE:
            return row, at + 2
        if (
            data[np.uint64(at + 1)] != COMMA
            or data[np.uint64(at + 2)] != OPEN
            or data[np.uint64(at + 3)] != QUOTE
        ):
            break
        at += 4
    return row, FAILED


@bare_njit
def read_levels(
    data: bytes, at: int, symbols: np.ndarray, entry: int, out: np.ndarray, row: int
) -> tuple[int, int]:
    """Read `[["price","qty"],...]`: of each number exactly what `read_decimal` accepts.

    Parameters
    ----------
    data : bytes
    at : int
        Position of the first bracket.
    symbols : ndarray of int64
        The words of SYMBOL records.
    entry : int
        Where the instrument's record begins.
    out : ndarray of int64
        A frame's words; the levels, pairs of ticks and lots, are written behind its record.
    row : int
        Which level there is the first to write.

    Returns
    -------
    tuple of int
        The row behind the last one, and the position behind the list; `FAILED` for what is no
        such list, is off the tick or the lot, or has more levels than half of what `out` holds.
    """
    end, at = _read_list(data, at, symbols, entry, out, row)
    price_divisor = symbols[entry + PRICE_UNIT + 1]
    if price_divisor != 1 and not _divide(out, row, end, 0, price_divisor):
        return end, FAILED
    qty_divisor = symbols[entry + QTY_UNIT + 1]
    if qty_divisor != 1 and not _divide(out, row, end, 1, qty_divisor):
        return end, FAILED
    return end, at
