"""Rows of a table in CSV -> int64 columns: whole numbers, exact decimals, first letters."""

import numpy as np

from mmquant._jit import bare_njit as njit

__all__ = ["csv_rows"]

INTEGER, DECIMAL, LETTER, SKIPPED = 0, 1, 2, 3  # what a column is read as
DONE, FULL, BAD = 0, 1, 2

E8_DIGITS = 8
MAX_DIGITS = 18
MAX_WHOLE_DIGITS = 10
COMMA, LINE_END, RETURN, DOT, QUOTE = ord(","), ord("\n"), ord("\r"), ord("."), ord('"')
ZERO = ord("0")
BAD_FIELD = -1


@njit
def _is_end(byte: int) -> bool:
    return byte == COMMA or byte == LINE_END or byte == RETURN


@njit
def _integer(data: bytes, at: int) -> tuple[int, int]:
    """Read a whole number up to the field's end; return it and where that is."""
    start = at
    value = 0
    digit = data[np.uint64(at)] - ZERO
    while 0 <= digit <= 9:
        value = value * 10 + digit
        at += 1
        digit = data[np.uint64(at)] - ZERO
    if at == start or at - start > MAX_DIGITS or not _is_end(data[np.uint64(at)] + 0):
        return 0, BAD_FIELD
    return value, at


@njit
def _decimal(data: bytes, at: int) -> tuple[int, int]:
    """Read a decimal in units of 1e-8, exactly; return it and the field's end."""
    start = at
    value = 0
    digit = data[np.uint64(at)] - ZERO
    while 0 <= digit <= 9:
        value = value * 10 + digit
        at += 1
        digit = data[np.uint64(at)] - ZERO
    if at == start or at - start > MAX_WHOLE_DIGITS:
        return 0, BAD_FIELD
    missing = E8_DIGITS
    if digit == DOT - ZERO:
        at += 1
        digit = data[np.uint64(at)] - ZERO
        while missing > 0 and 0 <= digit <= 9:
            value = value * 10 + digit
            missing -= 1
            at += 1
            digit = data[np.uint64(at)] - ZERO
        while digit == 0:
            at += 1
            digit = data[np.uint64(at)] - ZERO
    if not _is_end(data[np.uint64(at)] + 0):
        return 0, BAD_FIELD
    for _ in range(missing):
        value *= 10
    return value, at


@njit
def _letter(data: bytes, at: int) -> tuple[int, int]:
    """Return a field's first byte, 0 where it is empty, and the field's end."""
    first = data[np.uint64(at)] + 0
    if first == QUOTE:
        return 0, BAD_FIELD
    value = 0 if _is_end(first) else first
    while not _is_end(data[np.uint64(at)] + 0):
        at += 1
    return value, at


@njit
def csv_rows(data: bytes, end: int, columns: np.ndarray, out: np.ndarray, where: np.ndarray) -> int:
    """Read rows until the end, until the table is full, or until a field is not what it must be.

    Parameters
    ----------
    data : bytes
        Whole rows, each with its line's end.
    end : int
        Behind the last one.
    columns : ndarray of int64, shape (k,)
        INTEGER, DECIMAL (in units of 1e-8), LETTER (the first byte) or SKIPPED, of each column.
    out : ndarray of int64, shape (n, k)
        Overwritten from row `where[1]` on.
    where : ndarray of int64, shape (3,)
        Changed in place: the position in `data`, rows written, the column of a BAD field (k:
        the row has too many columns). After BAD, the position is that row's begin.

    Returns
    -------
    int
        DONE, FULL or BAD.
    """
    at = where[0]
    while at < end:
        row = where[1]
        if row == out.shape[0]:
            return FULL
        where[0] = at
        for column in range(columns.size):
            where[2] = column
            what = columns[column]
            if what == INTEGER:
                value, at = _integer(data, at)
            elif what == DECIMAL:
                value, at = _decimal(data, at)
            else:
                value, at = _letter(data, at)
            if at < 0:
                return BAD
            out[row, column] = value
            is_last = column == columns.size - 1
            if not is_last:
                if data[np.uint64(at)] != COMMA:
                    return BAD
                at += 1
        where[2] = columns.size
        if data[np.uint64(at)] == RETURN:
            at += 1
        if data[np.uint64(at)] != LINE_END:
            return BAD
        at += 1
        where[0] = at
        where[1] = row + 1
    return DONE
