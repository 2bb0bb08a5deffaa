"""Which trades are of one order, and how many orders stop at a depth."""

import numpy as np

from mmquant._jit import njit

EDGE_SLACK = 1e-9  # of a bin: tenths are no binary fractions, 0.7 - 0.4 is to be 0.3


@njit
def number_orders(sides: np.ndarray, ts_ns: np.ndarray, orders: np.ndarray) -> int:
    """Write which order each trade is of: those of one time and side in a row are of one.

    A trade of the other side in between does not end an order: what was matched within one
    millisecond comes mixed.

    Parameters
    ----------
    sides, ts_ns : ndarray of int64, shape (n,)
        1 or -1, and the time of matching.
    orders : ndarray of int64, shape (n,)
        Of each trade its order, from 0 on as they begin.

    Returns
    -------
    int
        Orders.
    """
    count = 0
    bought, sold = -1, -1  # the last order of each side, and its time
    bought_ns, sold_ns = 0, 0
    for i in range(sides.size):
        if sides[i] > 0:
            if bought < 0 or ts_ns[i] != bought_ns:
                bought, bought_ns = count, ts_ns[i]
                count += 1
            orders[i] = bought
        else:
            if sold < 0 or ts_ns[i] != sold_ns:
                sold, sold_ns = count, ts_ns[i]
                count += 1
            orders[i] = sold
    return count


@njit
def count_by_depth(depths: np.ndarray, least: float, width: float, counts: np.ndarray) -> int:
    """Count depths into bins [least + j width, least + (j + 1) width); return how many fell in.

    A depth less than `EDGE_SLACK` of a bin below an edge is on it.
    """
    total = 0
    for i in range(depths.size):
        place = (depths[i] - least) / width + EDGE_SLACK
        if 0.0 <= place < counts.size:
            counts[int(place)] += 1.0
            total += 1
    return total
