"""Funding kernel: what is due before the time of funding, then who is long pays who is short."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import bare_njit as njit
from mmquant.kernels.accounting import account_funding
from mmquant.kernels.simulator import simulator_advance

__all__ = ["simulator_on_funding"]

_ZERO: Any = np.int64(0)


@njit
def simulator_on_funding(
    sim: NDArray[Any],
    account: NDArray[Any],
    params: NDArray[Any],
    book: NDArray[Any],
    rate_e8: int,
    due_ns: int,
    events: NDArray[Any],
) -> tuple[int, int]:
    """Book the funding of `due_ns`, the position valued at the account's mark (twice the mid).

    Parameters
    ----------
    sim : ndarray of state.SIMULATOR_STATE, shape (1,)
        Updated in place: orders that arrive before `due_ns` do so first.
    account : ndarray of state.ACCOUNT, shape (1,)
        Updated in place.
    params : ndarray of state.SIMULATOR_PARAMS, shape (1,)
    book : ndarray of state.BOOK, shape (1,)
    rate_e8 : int
        Rate for the interval in units of 1e-8; where positive, who is long pays who is short.
    due_ns : int
        Time of funding.
    events : ndarray of state.EVENT, shape (MAX_EVENTS,)

    Returns
    -------
    tuple of int
        What was received in millionths of a tick-lot (negative: paid), and the number of events.
    """
    n = simulator_advance(sim, account, params, book, due_ns - 1, events, _ZERO)
    return account_funding(account, rate_e8, account[0]["mark_half_ticks"], due_ns), n
