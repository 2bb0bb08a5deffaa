"""The lines of a recording: which one an event came from, and all of them in order of time."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmquant.tape.capture import STAMP_DIGITS, read_capture
from mmquant.tape.errors import CaptureError

__all__ = ["line_of", "sorted_lines"]

_MOST = 2**63 - 1


def line_of(path: Path, stamp: int, update_id: int) -> int:
    """Return the line an event came from, 0 where none is found.

    Looked for only when an error must name it: so events need not carry it. An event that waited
    for its snapshot bears the snapshot's stamp, so that its id counts for more.
    """
    within, last = b":%d," % update_id, b":%d}" % update_id
    by_id = by_stamp = 0
    reader = read_capture([path])
    try:
        for seen, payload in reader:
            is_stamp, has_id = seen == stamp, within in payload or last in payload
            number = reader.lines + reader.malformed
            if is_stamp and has_id:
                return number
            by_id = by_id or (number if has_id else 0)
            by_stamp = by_stamp or (number if is_stamp else 0)
    except CaptureError:
        pass  # cut short: the event was read before that
    return by_id or by_stamp


def sorted_lines(data: bytes) -> tuple[bytes, NDArray[np.int64], int]:
    """Return whole lines in order of their stamps, equal ones as they are.

    Parameters
    ----------
    data : bytes
        Lines, each with its end. One without a stamp stays behind the line before it.

    Returns
    -------
    tuple of bytes, ndarray of int64, shape (lines,), and int
        The lines, the number that each had, from 1, and how often the stamps stepped back.
    """
    lines = data.split(b"\n")[:-1]
    stamps = np.zeros(len(lines), np.int64)
    last = 0
    for i, line in enumerate(lines):
        stamp = line.partition(b" ")[0]
        if stamp.isdigit() and len(stamp) <= STAMP_DIGITS:
            last = min(int(stamp), _MOST)
        stamps[i] = last
    order = np.argsort(stamps, kind="stable")
    back = int(np.count_nonzero(np.diff(stamps) < 0))
    return b"".join(lines[i] + b"\n" for i in order.tolist()), order + 1, back
