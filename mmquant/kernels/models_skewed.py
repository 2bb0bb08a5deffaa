"""The skewed maker: a spread in volatilities with a floor, shifted against the inventory.

With f the fair value, mu the drift, sigma the volatility, T the horizon, q the position and Q
its limit in lots:

    half        = max(min_half_spread_ticks, min_half_spread_bps f / 10 000, multiple sigma sqrt(T))
    reservation = f + drift_weight mu T - inventory_skew half q / Q
    bid, ask    = reservation -+ half

The shape of Avellaneda and Stoikov (2008), equations 29 and 30, with the spread in volatilities
in place of the risk aversion. It needs no arrivals.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import njit
from mmquant.codes import Reason
from mmquant.kernels.models_parts import get_row, in_range, put_half_spread, put_row, refuse
from mmquant.state import MODEL_INPUTS, MODEL_QUOTES
from mmquant.state.model_params import (
    SKEWED_BPS,
    SKEWED_DRIFT_WEIGHT,
    SKEWED_HORIZON,
    SKEWED_INVENTORY_SKEW,
    SKEWED_TICKS,
    SKEWED_VOLATILITY_MULTIPLE,
)

__all__ = ["skewed", "skewed_path"]

_NONE = int(Reason.NONE)
_NOT_FINITE = int(Reason.NOT_FINITE)
_MODEL_INVENTORY = int(Reason.MODEL_INVENTORY)
_MODEL_PARAMETERS = int(Reason.MODEL_PARAMETERS)
_OF_A_BP = 1e-4


@njit
def skewed(inputs: NDArray[Any], params: NDArray[Any], out: NDArray[Any]) -> int:
    """Quote a spread in volatilities, at least a minimum, shifted against the inventory.

    Parameters
    ----------
    inputs : ndarray of state.MODEL_INPUTS, shape (1,)
        Read: fair value, drift, volatility, position and its limit in lots.
    params : float64 ndarray, shape (6,)
        As state.model_params lays out: none negative but drift_weight.
    out : ndarray of state.MODEL_QUOTES, shape (1,)
        Written; the arrivals' term is what the minimum adds to the volatility's.

    Returns
    -------
    int
        codes.Reason
    """
    i = inputs[0]
    if params.size <= SKEWED_DRIFT_WEIGHT:
        return refuse(out, _MODEL_PARAMETERS)
    fair = float(i["fair_value_ticks"])
    drift = float(i["drift_ticks_per_s"])
    sigma = float(i["volatility_ticks_per_sqrt_s"])
    horizon_s = float(params[SKEWED_HORIZON])
    ticks = float(params[SKEWED_TICKS])
    bps = float(params[SKEWED_BPS])
    multiple = float(params[SKEWED_VOLATILITY_MULTIPLE])
    skew = float(params[SKEWED_INVENTORY_SKEW])
    weight = float(params[SKEWED_DRIFT_WEIGHT])
    reason = in_range(fair, sigma, 1.0, 1.0, 0.0)
    if reason != _NONE:
        return refuse(out, reason)
    if not (math.isfinite(drift) and math.isfinite(ticks + bps + multiple + skew + horizon_s)):
        return refuse(out, _NOT_FINITE)
    if ticks < 0.0 or bps < 0.0 or multiple < 0.0 or skew < 0.0 or horizon_s < 0.0:
        return refuse(out, _MODEL_PARAMETERS)
    if i["position_limit_lots"] <= 0:
        return refuse(out, _MODEL_INVENTORY)
    drift_shift = weight * drift * horizon_s
    volatility_term = multiple * sigma * math.sqrt(horizon_s)
    half = max(ticks, bps * _OF_A_BP * fair, volatility_term)
    inventory_shift = -skew * half * (float(i["position_lots"]) / float(i["position_limit_lots"]))
    return put_half_spread(
        out, fair, inventory_shift, drift_shift, half, volatility_term, half - volatility_term
    )


@njit
def skewed_path(
    values: tuple[NDArray[Any], ...],
    lots: tuple[NDArray[Any], ...],
    params: NDArray[Any],
    quotes: NDArray[Any],
    reasons: NDArray[Any],
) -> None:
    """Fold skewed over columns, as models_avellaneda_stoikov.avellaneda_stoikov_path does."""
    inputs = np.zeros(1, MODEL_INPUTS)
    out = np.zeros(1, MODEL_QUOTES)
    for i in range(reasons.size):
        get_row(values, lots, i, inputs)
        reasons[i] = skewed(inputs, params, out)
        put_row(out, i, quotes)
