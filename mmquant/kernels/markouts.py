"""Markout kernel: what the mark became a horizon after each fill, as the account counts it."""

from typing import Any

from numpy.typing import NDArray

from mmquant._jit import njit

__all__ = ["marks_after"]


@njit
def marks_after(
    fill_ns: NDArray[Any],
    mark_ns: NDArray[Any],
    marks_half_ticks: NDArray[Any],
    horizon_ns: int,
    out: NDArray[Any],
) -> int:
    """Write the last mark at or before each fill's time plus the horizon.

    Parameters
    ----------
    fill_ns : ndarray of int64, shape (n,)
        In order.
    mark_ns, marks_half_ticks : ndarray of int64, shape (m,)
        In order of time; of equal times the last one counts.
    horizon_ns : int
    out : ndarray of int64, shape (n,)
        0 where it is not known: no mark yet, or no mark later than that time (so that one more
        might still come at it).

    Returns
    -------
    int
        How many are known.
    """
    at = -1
    known = 0
    for i in range(fill_ns.size):
        due = fill_ns[i] + horizon_ns
        while at + 1 < mark_ns.size and mark_ns[at + 1] <= due:
            at += 1
        out[i] = 0
        if at >= 0 and at + 1 < mark_ns.size:
            out[i] = marks_half_ticks[at]
            known += 1
    return known
