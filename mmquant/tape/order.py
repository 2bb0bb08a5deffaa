"""Where a tape goes back in time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["first_step_back"]

_PIECE = 1 << 20


def first_step_back(events: NDArray[Any]) -> int:
    """Return the first row received before the one in front of it, or -1."""
    for at in range(0, events.size, _PIECE):
        received = events["received_ns"][max(0, at - 1) : at + _PIECE]
        back = np.flatnonzero(np.diff(received) < 0)
        if back.size:
            return max(0, at - 1) + int(back[0]) + 1
    return -1
