"""mids -> realised measures of volatility by window of time, as mm_pricing publishes them.

windows = realised_windows(mids_ticks, times, window_ns=60 * 10**9)
windows["two_scale_ticks_per_sqrt_s"]

The measures of each window are those of its samples, the mids that moved:
`mmquant.realised_variance` and so on.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mmquant import _arrays, _times
from mmquant._checks import whole
from mmquant.kernels import realised_window as kernels
from mmquant.state import REALISED, REALISED_WINDOW

__all__ = ["realised_windows"]

_DAY_NS = 24 * 3600 * 10**9


def realised_windows(
    mids_ticks: ArrayLike,
    times: ArrayLike | None = None,
    *,
    window_ns: int,
    max_gap_ns: int = _DAY_NS,
) -> Any:
    """Return the realised measures of each window of time, as `Realised.volatility_per_sqrt_s`.

    A window reaches from its first mid to the first one `window_ns` or more later, with which the
    next one begins. Its samples are these two and the mids between that moved: of a price that
    stands there is one, however often it is told of, or the returns of 0 would water down bipower
    variation and noise. With 4096 samples it is closed early; with fewer than four it goes on,
    every mid from its end on being one.

    A mid at the time of the last one is left out. An interval longer than `max_gap_ns` ends a
    window at the last mid before it; the window is dropped where it has not half of its time or
    not four samples. The last one, which is not over, is left out.

    The measures by range are those of ten bars, equal parts of a window's time in which a mid
    stands until the next one, times the window's last mid.

    Parameters
    ----------
    mids_ticks : array_like or Series of numbers, shape (n,)
        In ticks, or any unit that the measures are then in, but no logarithms; NaN is left out.
    times : array_like of datetime64 or int64 nanoseconds, shape (n,), optional
        By default the DatetimeIndex of `mids_ticks`.
    window_ns : int
        Positive.
    max_gap_ns : int
        Longest interval that counts as observed.

    Returns
    -------
    ndarray of state.REALISED, or DataFrame indexed by the windows' end if `mids_ticks` is of pandas
        The end, the time of a window's last sample, is in the time zone of the times, if they have
        one. A measure by range is NaN where a mid is not positive.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the rule and the value received.
    """
    _arrays.same_index(mids_ticks=mids_ticks, times=times)
    xs = _arrays.floats("mids_ticks", mids_ticks)
    ts_ns = _times.times_ns(times, mids_ticks)
    n = _arrays.same_length(mids_ticks=xs, times=ts_ns)
    window = whole("window_ns", window_ns, 1)
    gap = whole("max_gap_ns", max_gap_ns, 1)
    _times.warn_of_unit("window_ns", window, ts_ns)
    _times.warn_of_unit("max_gap_ns", gap, ts_ns)
    out = np.zeros(n // 3 + 1, REALISED)
    state = np.zeros(1, REALISED_WINDOW)
    count = int(kernels.realised_window_path(state, xs, ts_ns, window, gap, out))
    out = out[:count].copy()
    return _times.like_records(mids_ticks, times, out, "end")
