"""Where a tape goes back in time, and how it is put in order."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["first_step_back", "sort_in_place"]

_PIECE = 1 << 20


def first_step_back(events: NDArray[Any]) -> int:
    """Return the first row received before the one in front of it, or -1."""
    for at in range(0, events.size, _PIECE):
        received = events["received_ns"][max(0, at - 1) : at + _PIECE]
        back = np.flatnonzero(np.diff(received) < 0)
        if back.size:
            return max(0, at - 1) + int(back[0]) + 1
    return -1


def sort_in_place(events: NDArray[Any]) -> None:
    """Order events by the time received, equal times as they are; a column at a time.

    So a table on disk needs at most 24 bytes of memory an event, where a copy needs 40 and more.
    """
    order = np.argsort(np.ascontiguousarray(events["received_ns"]), kind="stable")
    for name in events.dtype.names or ():
        events[name] = events[name][order]
