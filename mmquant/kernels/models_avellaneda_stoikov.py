"""Avellaneda and Stoikov's quotes (2008), with a finite and with an infinite horizon.

M. Avellaneda and S. Stoikov, High-frequency trading in a limit order book, Quantitative Finance
8(3), 217-224. Inventory q in orders, risk aversion gamma per tick and order, volatility sigma in
ticks per square root of a second, arrivals A exp(-k d) a second and side, tau seconds left:

    finite (29, 30)     r = s - q gamma sigma^2 tau
                        bid, ask = r -+ (gamma sigma^2 tau / 2 + ln(1 + gamma / k) / gamma)
    infinite (2.3)      exp(gamma (rb - s)) = (Q^2 - (q + 1)^2) / (Q^2 - q^2)
                        exp(gamma (s - ra)) = (Q^2 - (q - 1)^2) / (Q^2 - q^2)
                        bid, ask = rb - c, ra + c,    c = ln(1 + gamma / k) / gamma  (18, 19)

Infinite, Q = max_inventory + 1 with the discount rate omega = gamma^2 sigma^2 Q^2 / 2 that the
paper names the natural choice: sigma cancels. rb is the paper's; its printed ra, s + ln(1 +
(1 - 2 q) / (Q^2 - q^2)) / gamma, misses a sign (the indifference v(x + ra, q - 1) = v(x, q) gives
the one above): it is not the mirror image of rb and would still sell at the lower bound.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._jit import njit
from mmquant.codes import Reason
from mmquant.kernels.models_parts import (
    get_row,
    in_range,
    log_ratio,
    prices_reason,
    put_half_spread,
    put_prices,
    put_row,
    refuse,
)
from mmquant.state import MODEL_INPUTS, MODEL_QUOTES
from mmquant.state.model_params import MAX_INVENTORY, RISK_AVERSION

__all__ = [
    "avellaneda_stoikov",
    "avellaneda_stoikov_path",
    "avellaneda_stoikov_perpetual",
    "avellaneda_stoikov_perpetual_path",
]

_NONE = int(Reason.NONE)
_NOT_FINITE = int(Reason.NOT_FINITE)
_MODEL_HORIZON = int(Reason.MODEL_HORIZON)
_MODEL_PARAMETERS = int(Reason.MODEL_PARAMETERS)
_MOST_ORDERS = 1e6  # its square still tells orders apart


@njit
def _reason(fair: float, sigma: float, k: float, q: float, left_s: float, gamma: float) -> int:
    reason = in_range(fair, sigma, 1.0, k, q)
    if reason != _NONE:
        return reason
    if not (math.isfinite(left_s) and math.isfinite(gamma)):
        return _NOT_FINITE
    if left_s < 0.0:
        return _MODEL_HORIZON
    return _NONE if gamma >= 0.0 else _MODEL_PARAMETERS


@njit
def _inventory_terms(sigma: float, q: float, left_s: float, gamma: float) -> tuple[float, float]:
    """Return the shift of the reservation price and the volatility's part of the half-spread."""
    risk = gamma * sigma * sigma * left_s
    return 0.0 - q * risk, 0.5 * risk


@njit
def avellaneda_stoikov(inputs: NDArray[Any], params: NDArray[Any], out: NDArray[Any]) -> int:
    """Quote with a finite horizon: equations 29 and 30.

    Parameters
    ----------
    inputs : ndarray of state.MODEL_INPUTS, shape (1,)
        Read: fair value, volatility, arrival decay, inventory in orders, time left.
    params : float64 ndarray, shape (1,)
        risk_aversion_per_tick (not negative; 0 is the limit).
    out : ndarray of state.MODEL_QUOTES, shape (1,)
        Written, with NaN where there is no quote.

    Returns
    -------
    int
        codes.Reason
    """
    i = inputs[0]
    if params.size <= RISK_AVERSION:
        return refuse(out, _MODEL_PARAMETERS)
    fair = float(i["fair_value_ticks"])
    sigma = float(i["volatility_ticks_per_sqrt_s"])
    k = float(i["arrival_decay_per_tick"])
    q = float(i["inventory_orders"])
    left_s = float(i["time_left_s"])
    gamma = float(params[RISK_AVERSION])
    reason = _reason(fair, sigma, k, q, left_s, gamma)
    if reason != _NONE:
        return refuse(out, reason)
    shift, volatility_term = _inventory_terms(sigma, q, left_s, gamma)
    arrival_term = log_ratio(gamma / k) / k
    half = volatility_term + arrival_term
    return put_half_spread(out, fair, shift, 0.0, half, volatility_term, arrival_term)


@njit
def avellaneda_stoikov_path(
    values: tuple[NDArray[Any], ...],
    lots: tuple[NDArray[Any], ...],
    params: NDArray[Any],
    quotes: NDArray[Any],
    reasons: NDArray[Any],
) -> None:
    """Fold avellaneda_stoikov over columns: the same operations, without the records between.

    Parameters
    ----------
    values, lots : tuple of float64 and of int64 ndarrays, shape (n,) or (1,)
        As models_parts.get_row takes them.
    params : float64 ndarray
    quotes : float64 ndarray, shape (7, n)
        Written, in the order of state.MODEL_QUOTES.
    reasons : int64 ndarray, shape (n,)
        Written.
    """
    if params.size <= RISK_AVERSION:
        quotes[:] = math.nan
        reasons[:] = _MODEL_PARAMETERS
        return
    fairs, _, sigmas, _, ks, qs, lefts = values
    bids, asks, reservations = quotes[0], quotes[1], quotes[2]
    shifts, drift_shifts, volatility_terms = quotes[3], quotes[4], quotes[5]
    arrival_terms = quotes[6]
    gamma = float(params[RISK_AVERSION])
    last_k = math.nan
    arrival_term = 0.0
    for i in range(reasons.size):
        fair = float(fairs[i] if fairs.size > 1 else fairs[0])
        sigma = float(sigmas[i] if sigmas.size > 1 else sigmas[0])
        k = float(ks[i] if ks.size > 1 else ks[0])
        q = float(qs[i] if qs.size > 1 else qs[0])
        left_s = float(lefts[i] if lefts.size > 1 else lefts[0])
        reason = _reason(fair, sigma, k, q, left_s, gamma)
        shift = volatility_term = reservation = half = math.nan
        if reason == _NONE:
            if k != last_k:
                arrival_term = log_ratio(gamma / k) / k
                last_k = k
            shift, volatility_term = _inventory_terms(sigma, q, left_s, gamma)
            half = volatility_term + arrival_term
            reservation = fair + 0.0 + shift
            reason = prices_reason(reservation - half, reservation + half)
            if reason != _NONE:
                shift = volatility_term = reservation = half = math.nan
        reasons[i] = reason
        bids[i] = reservation - half
        asks[i] = reservation + half
        reservations[i] = reservation
        shifts[i] = shift
        drift_shifts[i] = 0.0 if reason == _NONE else math.nan
        volatility_terms[i] = volatility_term
        arrival_terms[i] = arrival_term if reason == _NONE else math.nan


@njit
def avellaneda_stoikov_perpetual(
    inputs: NDArray[Any], params: NDArray[Any], out: NDArray[Any]
) -> int:
    """Quote with an infinite horizon (section 2.3), between bounds of the inventory.

    Parameters
    ----------
    inputs : ndarray of state.MODEL_INPUTS, shape (1,)
        Read: fair value, arrival decay, inventory in orders.
    params : float64 ndarray, shape (2,)
        risk_aversion_per_tick (positive), max_inventory_orders (at least 1).
    out : ndarray of state.MODEL_QUOTES, shape (1,)
        Written; at a bound the side that would add is at -inf or inf, and beyond a bound the
        quotes are those at it.

    Returns
    -------
    int
        codes.Reason
    """
    i = inputs[0]
    if params.size <= MAX_INVENTORY:
        return refuse(out, _MODEL_PARAMETERS)
    fair = float(i["fair_value_ticks"])
    k = float(i["arrival_decay_per_tick"])
    q = float(i["inventory_orders"])
    gamma = float(params[RISK_AVERSION])
    most = float(params[MAX_INVENTORY])
    reason = in_range(fair, 1.0, 1.0, k, q)
    if reason != _NONE:
        return refuse(out, reason)
    if not (math.isfinite(gamma) and math.isfinite(most)):
        return refuse(out, _NOT_FINITE)
    if not (gamma > 0.0 and 1.0 <= most <= _MOST_ORDERS):
        return refuse(out, _MODEL_PARAMETERS)
    q = min(max(q, -most), most)  # beyond a bound the way back must stay open
    arrival_term = log_ratio(gamma / k) / k
    held = (most + 1.0 - q) * (most + 1.0 + q)
    after_buy = (most - q) * (most + 2.0 + q)
    after_sale = (most + 2.0 - q) * (most + q)
    bid = -math.inf
    ask = math.inf
    if after_buy > 0.0:
        bid = fair + math.log(after_buy / held) / gamma - arrival_term
    if after_sale > 0.0:
        ask = fair - math.log(after_sale / held) / gamma + arrival_term
    return put_prices(out, fair, bid, ask, 0.0, arrival_term)


@njit
def avellaneda_stoikov_perpetual_path(
    values: tuple[NDArray[Any], ...],
    lots: tuple[NDArray[Any], ...],
    params: NDArray[Any],
    quotes: NDArray[Any],
    reasons: NDArray[Any],
) -> None:
    """Fold avellaneda_stoikov_perpetual over columns, as avellaneda_stoikov_path does."""
    inputs = np.zeros(1, MODEL_INPUTS)
    out = np.zeros(1, MODEL_QUOTES)
    for i in range(reasons.size):
        get_row(values, lots, i, inputs)
        reasons[i] = avellaneda_stoikov_perpetual(inputs, params, out)
        put_row(out, i, quotes)
