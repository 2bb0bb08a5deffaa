"""Where a tape goes back in time or into another unit of it, and how it is put in order."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant.tape.errors import TapeError

__all__ = ["FAR_OFF", "check_order", "first_far_step", "first_step_back", "sort_in_place"]

FAR_OFF = 50  # times: a clock is never wrong by that much, a unit is
_EPOCH_NS = 10**17  # 1973 in nanoseconds: below are times that count from somewhere else
_PIECE = 1 << 20


def first_step_back(events: NDArray[Any]) -> int:
    """Return the first row received before the one in front of it, or -1."""
    for at in range(0, events.size, _PIECE):
        received = events["received_ns"][max(0, at - 1) : at + _PIECE]
        back = np.flatnonzero(np.diff(received) < 0)
        if back.size:
            return max(0, at - 1) + int(back[0]) + 1
    return -1


def first_far_step(times_ns: NDArray[np.int64]) -> int:
    """Return the first row FAR_OFF times away from the one in front of it, or -1."""
    for at in range(0, times_ns.size, _PIECE):
        times = np.ascontiguousarray(times_ns[max(0, at - 1) : at + _PIECE])
        low, high = np.minimum(times[1:], times[:-1]), np.maximum(times[1:], times[:-1])
        far = np.flatnonzero((high > _EPOCH_NS) & (high // FAR_OFF > low))
        if far.size:
            return max(0, at - 1) + int(far[0]) + 1
    return -1


def check_order(
    events: NDArray[Any], path: Path | str, where: Callable[[int], str], sort: bool
) -> None:
    """Refuse a step into another unit of time and, unless they will be sorted, a step back.

    Parameters
    ----------
    events : ndarray of TAPE_EVENT
        Of one file, as it has them.
    path
        What errors name.
    where : callable
        A row's place in the file.
    sort : bool
        Whether steps back will be repaired.

    Raises
    ------
    TapeError
    """
    received = events["received_ns"]
    row = first_far_step(received)
    if row >= 0:
        raise TapeError(
            f"{received[row]} ns comes after {received[row - 1]} ns: one of them is in another "
            f"unit of time. Bring all times into one unit",
            path,
            where(row),
        )
    row = -1 if sort else first_step_back(events)
    if row >= 0:
        raise TapeError(
            f"not in order of time, {received[row]} comes after {received[row - 1]}: sort it, or "
            f'pass repair=["order"]',
            path,
            where(row),
        )


def sort_in_place(events: NDArray[Any]) -> None:
    """Order events by the time received, equal times as they are; a column at a time.

    So a table on disk needs at most 24 bytes of memory an event, where a copy needs 40 and more.
    """
    order = np.argsort(np.ascontiguousarray(events["received_ns"]), kind="stable")
    for name in events.dtype.names or ():
        events[name] = events[name][order]
