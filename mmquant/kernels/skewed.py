"""The skewed maker: a spread of volatilities round a reservation price linear in the inventory.

With f the fair value, mu the drift, sigma the volatility (per square root of a second), T the
horizon in seconds, q the position and Q its limit, in ticks:

    half        = max(min_half_spread, volatility_multiple * sigma * sqrt(T))
    reservation = f + drift_weight * mu * T - inventory_skew * half * q / Q

The shape is that of Avellaneda and Stoikov (2008), equations 29 and 30 (a reservation price
linear in the inventory, quotes symmetric around it), with the spread in volatilities in place
of the risk aversion.
"""

import math
from typing import Any

from numpy.typing import NDArray

from mmquant._jit import njit
from mmquant.codes import Reason

__all__ = ["skewed_maker", "skewed_maker_path"]

_NONE = int(Reason.NONE)
_NOT_FINITE = int(Reason.NOT_FINITE)


@njit
def skewed_maker(inputs: NDArray[Any], params: NDArray[Any], out: NDArray[Any]) -> int:
    """Quote symmetrically round the reservation price.

    Parameters
    ----------
    inputs : ndarray of state.MODEL_INPUTS, shape (1,)
    params : float64 ndarray, shape (6,)
        min_half_spread_ticks, min_half_spread_bps, volatility_multiple, horizon_s, inventory_skew,
        drift_weight.
    out : ndarray of state.MODEL_QUOTES, shape (1,)
        Written.

    Returns
    -------
    int
        NONE, or NOT_FINITE where an intermediate result leaves the numbers.
    """
    i = inputs[0]
    o = out[0]
    horizon_s = params[3]
    half = max(
        params[0],
        params[1] * 1e-4 * i["fair_value_ticks"],
        params[2] * i["volatility_ticks_per_sqrt_s"] * math.sqrt(horizon_s),
    )
    inventory_shift = -params[4] * half * (i["position_lots"] / i["position_limit_lots"])
    drift_shift = params[5] * i["drift_ticks_per_s"] * horizon_s
    reservation = i["fair_value_ticks"] + drift_shift + inventory_shift
    if not (math.isfinite(reservation) and math.isfinite(half)):
        return _NOT_FINITE
    o["bid_ticks"] = reservation - half
    o["ask_ticks"] = reservation + half
    o["reservation_ticks"] = reservation
    o["inventory_shift_ticks"] = inventory_shift
    o["drift_shift_ticks"] = drift_shift
    o["volatility_term_ticks"] = half
    o["arrival_term_ticks"] = 0.0
    return _NONE


@njit
def skewed_maker_path(inputs: NDArray[Any], params: NDArray[Any], out: NDArray[Any]) -> None:
    """Fold skewed_maker over rows of inputs; a row without an answer is left at zeros.

    Parameters
    ----------
    inputs : ndarray of state.MODEL_INPUTS, shape (n,)
    params : float64 ndarray, shape (6,)
    out : ndarray of state.MODEL_QUOTES, shape (n,)
        Written.
    """
    for k in range(inputs.size):
        skewed_maker(inputs[k : k + 1], params, out[k : k + 1])
