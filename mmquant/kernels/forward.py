"""What a price was or became at given times, looked up without seeing further ahead."""

import math

import numpy as np

from mmquant._jit import njit


@njit
def price_at(
    prices: np.ndarray,
    ts_ns: np.ndarray,
    asked_ns: np.ndarray,
    shift_ns: int,
    before: int,
    max_age_ns: int,
    out: np.ndarray,
) -> None:
    """Write the last price at (or, with `before` 1, before) each asked time plus `shift_ns`.

    NaN where there is none yet, where the last is older than `max_age_ns`, and behind the last
    of the times: what the price was there is not known. A price that is NaN is missing: the one
    before it stands.

    Parameters
    ----------
    prices : ndarray of float64, shape (m,)
    ts_ns : ndarray of int64, shape (m,)
        In order.
    asked_ns : ndarray of int64, shape (n,)
        In order.
    shift_ns, before, max_age_ns : int
    out : ndarray of float64, shape (n,)
    """
    at = 0  # the first price that is not seen yet
    last = -1
    for i in range(asked_ns.size):
        when = asked_ns[i] + shift_ns
        while at < ts_ns.size and ts_ns[at] <= when - before:
            if not math.isnan(prices[at]):
                last = at
            at += 1
        out[i] = math.nan
        if last >= 0 and when - ts_ns[last] <= max_age_ns and when <= ts_ns[ts_ns.size - 1]:
            out[i] = prices[last]
