"""Cartea and Jaimungal's quotes with a running inventory penalty and a short-term drift.

A. Cartea, S. Jaimungal and J. Penalva (2015), Algorithmic and High-Frequency Trading, chapter 10:
maximise E[X + Q S - phi int Q^2 dt], fills at A exp(-k d) a second and side. Far from the end and
from the bounds of the inventory, with q in orders:

    delta_b, delta_a = 1 / k + (1 +- 2 q) / 2 a,    a = sqrt(phi e / (A k))
    drift shift      = mu / (zeta + 2 sqrt(A k phi / e))     of a drift that decays at rate zeta

The shift is the term in mu of the quadratic approximation of their Hamilton-Jacobi-Bellman
equation with d mu = -zeta mu dt (10.4.2): h = -a q^2 / 2 + b mu q gives 1 = (zeta + 2 A k a / e) b.
For zeta = 0 it is a mu / (2 phi), the skew towards the target position mu / (2 phi) of a constant
drift (Gueant and others 2013, proposition 4); for a drift shorter than a position is held it is
mu / zeta, all of the move to come.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import njit
from mmquant.codes import Reason
from mmquant.kernels.models_parts import get_row, in_range, put_half_spread, put_row, refuse
from mmquant.state import MODEL_INPUTS, MODEL_QUOTES
from mmquant.state.model_params import DRIFT_DECAY, INVENTORY_PENALTY

__all__ = ["cartea_jaimungal", "cartea_jaimungal_path"]

_NONE = int(Reason.NONE)
_NOT_FINITE = int(Reason.NOT_FINITE)
_MODEL_ARRIVALS = int(Reason.MODEL_ARRIVALS)
_MODEL_PARAMETERS = int(Reason.MODEL_PARAMETERS)


@njit
def cartea_jaimungal(inputs: NDArray[Any], params: NDArray[Any], out: NDArray[Any]) -> int:
    """Quote with a running inventory penalty and a drift that fades.

    Parameters
    ----------
    inputs : ndarray of state.MODEL_INPUTS, shape (1,)
        Read: fair value, drift, arrival rate and decay, inventory in orders.
    params : float64 ndarray, shape (2,)
        inventory_penalty_ticks_per_s (of one order held), drift_decay_per_s: not negative, and
        not both 0 with a drift.
    out : ndarray of state.MODEL_QUOTES, shape (1,)
        Written, with NaN where there is no quote.

    Returns
    -------
    int
        codes.Reason
    """
    i = inputs[0]
    if params.size <= DRIFT_DECAY:
        return refuse(out, _MODEL_PARAMETERS)
    fair = float(i["fair_value_ticks"])
    drift = float(i["drift_ticks_per_s"])
    rate = float(i["arrival_rate_per_s"])
    k = float(i["arrival_decay_per_tick"])
    q = float(i["inventory_orders"])
    phi = float(params[INVENTORY_PENALTY])
    zeta = float(params[DRIFT_DECAY])
    reason = in_range(fair, 1.0, rate, k, q)
    if reason != _NONE:
        return refuse(out, reason)
    if not (math.isfinite(drift) and math.isfinite(phi) and math.isfinite(zeta)):
        return refuse(out, _NOT_FINITE)
    if phi < 0.0 or zeta < 0.0:
        return refuse(out, _MODEL_PARAMETERS)
    speed = rate * k
    if not speed > 0.0:  # lost in rounding
        return refuse(out, _MODEL_ARRIVALS)
    skew = math.sqrt(phi * math.e / speed)
    drift_shift = 0.0
    if drift != 0.0:
        fading = zeta + 2.0 * math.sqrt(speed * phi / math.e)
        if not fading > 0.0:
            return refuse(out, _MODEL_PARAMETERS)
        drift_shift = drift / fading
    volatility_term = 0.5 * skew
    arrival_term = 1.0 / k
    half = volatility_term + arrival_term
    return put_half_spread(
        out, fair, 0.0 - q * skew, drift_shift, half, volatility_term, arrival_term
    )


@njit
def cartea_jaimungal_path(
    values: tuple[NDArray[Any], ...],
    lots: tuple[NDArray[Any], ...],
    params: NDArray[Any],
    quotes: NDArray[Any],
    reasons: NDArray[Any],
) -> None:
    """Fold cartea_jaimungal over columns, as avellaneda_stoikov_path does."""
    inputs = np.zeros(1, MODEL_INPUTS)
    out = np.zeros(1, MODEL_QUOTES)
    for i in range(reasons.size):
        get_row(values, lots, i, inputs)
        reasons[i] = cartea_jaimungal(inputs, params, out)
        put_row(out, i, quotes)
