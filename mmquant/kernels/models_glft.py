"""The quotes of Gueant, Lehalle and Fernandez-Tapia: closed form, and exact by a table.

O. Gueant, C.-A. Lehalle and J. Fernandez-Tapia (2013), Dealing with the inventory risk, Math.
Financ. Econ. 7, 477-507, with order size D and fill risk aversion xi of O. Gueant (2017), Optimal
market making, Appl. Math. Finance 24, 4.6-4.7 (xi = gamma: the 2013 paper; xi = 0: expected profit
less gamma / 2 sigma^2 int q^2 dt). Inventory n in orders of D units, x = xi D / k:

    c1 = ln(1 + x) / (xi D),    c2 = sqrt(gamma / (2 A D k) (1 + x)^(1 + 1 / x))
    closed form (propositions 3, 4):  half = c1 + D sigma c2 / 2
        reservation = s - D sigma c2 n + sigma c2 mu / (gamma sigma^2)
    exact, stationary, |n| <= Q (theorems 1, 2 and proposition 4, f the eigenvector of the least
    eigenvalue of alpha n^2 - k mu n on the diagonal and -eta beside it):
        delta_b = c1 + ln(f_n / f_(n+1)) / k,    delta_a = c1 + ln(f_n / f_(n-1)) / k
        alpha = k gamma sigma^2 D / 2,    eta = A (1 + x)^-(1 + 1 / x)

f depends on alpha / eta, on mu / (gamma sigma^2 D), the target position in orders, and on Q
alone, so one table over the first two serves any volatility, arrivals and drift (see
mmquant.models_table, which makes it). Between its nodes: cubic in both, linear in the inventory.
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
    put_half_spread,
    put_prices,
    put_row,
    refuse,
)
from mmquant.state import MODEL_INPUTS, MODEL_QUOTES
from mmquant.state.model_params import (
    DRIFT_WEIGHT,
    FILL_RISK_AVERSION,
    ORDER_SIZE,
    RISK_AVERSION,
    TABLE_MAX_INVENTORY,
    TABLE_RISK_FIRST_LOG,
    TABLE_RISK_STEP_LOG,
    TABLE_RISKS,
    TABLE_TARGETS,
    TABLE_VALUES,
)

__all__ = ["glft", "glft_path", "glft_table", "glft_table_path"]

_NONE = int(Reason.NONE)
_NOT_FINITE = int(Reason.NOT_FINITE)
_MODEL_VOLATILITY = int(Reason.MODEL_VOLATILITY)
_MODEL_ARRIVALS = int(Reason.MODEL_ARRIVALS)
_MODEL_PARAMETERS = int(Reason.MODEL_PARAMETERS)
_MODEL_TABLE = int(Reason.MODEL_TABLE)
_MOST = 1e300  # leaves room for a product
_MOST_LOG = 700.0  # exp of it is finite


@njit
def _reason(inputs: NDArray[Any], params: NDArray[Any], least_gamma: float) -> int:
    """Return NONE if market and the parameters of `glft` are usable, else why not."""
    i = inputs[0]
    if params.size <= DRIFT_WEIGHT:
        return _MODEL_PARAMETERS
    reason = in_range(
        float(i["fair_value_ticks"]),
        float(i["volatility_ticks_per_sqrt_s"]),
        float(i["arrival_rate_per_s"]),
        float(i["arrival_decay_per_tick"]),
        float(i["inventory_orders"]),
    )
    if reason != _NONE:
        return reason
    gamma = float(params[RISK_AVERSION])
    xi = float(params[FILL_RISK_AVERSION])
    size = float(params[ORDER_SIZE])
    weight = float(params[DRIFT_WEIGHT])
    if not math.isfinite(float(i["drift_ticks_per_s"])):
        return _NOT_FINITE
    if not (
        math.isfinite(gamma) and math.isfinite(xi) and math.isfinite(size) and math.isfinite(weight)
    ):
        return _NOT_FINITE
    if gamma < least_gamma or xi < 0.0 or not size > 0.0:
        return _MODEL_PARAMETERS
    return _NONE


@njit
def glft(inputs: NDArray[Any], params: NDArray[Any], out: NDArray[Any]) -> int:
    """Quote by the closed form: propositions 3 and 4.

    Parameters
    ----------
    inputs : ndarray of state.MODEL_INPUTS, shape (1,)
        Read: fair value, drift, volatility, arrival rate and decay, inventory in orders.
    params : float64 ndarray, shape (4,)
        As state.model_params lays out: none negative but drift_weight, order_size positive.
        A drift that counts needs a positive volatility and risk aversion.
    out : ndarray of state.MODEL_QUOTES, shape (1,)
        Written, with NaN where there is no quote.

    Returns
    -------
    int
        codes.Reason
    """
    reason = _reason(inputs, params, 0.0)
    if reason != _NONE:
        return refuse(out, reason)
    i = inputs[0]
    sigma = float(i["volatility_ticks_per_sqrt_s"])
    k = float(i["arrival_decay_per_tick"])
    gamma = float(params[RISK_AVERSION])
    size = float(params[ORDER_SIZE])
    x = float(params[FILL_RISK_AVERSION]) * size / k
    speed = 2.0 * float(i["arrival_rate_per_s"]) * size * k
    if not (x < _MOST and speed > 0.0):
        return refuse(out, _MODEL_ARRIVALS)
    share = log_ratio(x)
    c2 = math.sqrt(gamma / speed * math.exp(share * (1.0 + x)))
    skew = sigma * c2 * size
    drift = float(params[DRIFT_WEIGHT]) * float(i["drift_ticks_per_s"])
    drift_shift = 0.0
    if drift != 0.0:
        if not sigma * gamma > 0.0:
            return refuse(out, _MODEL_VOLATILITY if gamma > 0.0 else _MODEL_PARAMETERS)
        drift_shift = c2 * drift / (gamma * sigma)
    volatility_term = 0.5 * skew
    arrival_term = share / k
    half = volatility_term + arrival_term
    return put_half_spread(
        out,
        float(i["fair_value_ticks"]),
        0.0 - float(i["inventory_orders"]) * skew,
        drift_shift,
        half,
        volatility_term,
        arrival_term,
    )


@njit
def glft_path(
    values: tuple[NDArray[Any], ...],
    lots: tuple[NDArray[Any], ...],
    params: NDArray[Any],
    quotes: NDArray[Any],
    reasons: NDArray[Any],
) -> None:
    """Fold glft over columns, as models_avellaneda_stoikov.avellaneda_stoikov_path does."""
    inputs = np.zeros(1, MODEL_INPUTS)
    out = np.zeros(1, MODEL_QUOTES)
    for i in range(reasons.size):
        get_row(values, lots, i, inputs)
        reasons[i] = glft(inputs, params, out)
        put_row(out, i, quotes)


@njit
def _weights(t: float) -> tuple[float, float, float, float]:
    """Return what the nodes -1, 0, 1 and 2 weigh in the cubic through them at t in [0, 1]."""
    below = t + 1.0
    above = t - 1.0
    far = t - 2.0
    return (
        -t * above * far / 6.0,
        below * above * far / 2.0,
        -below * t * far / 2.0,
        below * t * above / 6.0,
    )


@njit
def _cell(params: NDArray[Any], risk: int, risk_at: float, first: int, stride: int) -> float:
    """Interpolate between four risks at one target and inventory."""
    w0, w1, w2, w3 = _weights(risk_at)
    at = first + (risk - 1) * stride
    return float(
        w0 * params[at]
        + w1 * params[at + stride]
        + w2 * params[at + 2 * stride]
        + w3 * params[at + 3 * stride]
    )


@njit
def _node(
    params: NDArray[Any], risk: int, risk_at: float, target: float, targets: int, m: int, width: int
) -> float:
    """Interpolate the table at the whole inventory `m` above the lower bound."""
    stride = targets * width
    if targets == 1:
        return _cell(params, risk, risk_at, TABLE_VALUES + m, stride)
    j = int(target)
    w0, w1, w2, w3 = _weights(target - j)
    first = TABLE_VALUES + j * width + m  # the nodes start at a target of -1
    return (
        w0 * _cell(params, risk, risk_at, first, stride)
        + w1 * _cell(params, risk, risk_at, first + width, stride)
        + w2 * _cell(params, risk, risk_at, first + 2 * width, stride)
        + w3 * _cell(params, risk, risk_at, first + 3 * width, stride)
    )


@njit
def _step_value(
    params: NDArray[Any], risk: int, risk_at: float, target: float, inventory: float
) -> float:
    """Return ln(f_n / f_(n+1)) over sqrt(alpha / eta), for -Q <= n <= Q - 1."""
    targets = int(params[TABLE_TARGETS])
    most = int(params[TABLE_MAX_INVENTORY])
    width = 2 * most
    n = inventory
    sign = 1.0
    if target < 0.0:  # the mirror image
        n = -inventory - 1.0
        target = -target
        sign = -1.0
    at = min(max(n + most, 0.0), width - 1.0)
    m = int(at)
    value = _node(params, risk, risk_at, target, targets, m, width)
    if at > m:
        above = _node(params, risk, risk_at, target, targets, m + 1, width)
        value += (at - m) * (above - value)
    return sign * value


@njit
def _table_reason(params: NDArray[Any]) -> int:
    """Return NONE if the table is as long as it says."""
    if params.size <= TABLE_VALUES:
        return _MODEL_PARAMETERS
    most = params[TABLE_MAX_INVENTORY]
    risks = params[TABLE_RISKS]
    targets = params[TABLE_TARGETS]
    first = params[TABLE_RISK_FIRST_LOG]
    step = params[TABLE_RISK_STEP_LOG]
    if not (1.0 <= most <= 1e6 and 4.0 <= risks <= 1e6):
        return _MODEL_PARAMETERS
    if not (abs(first) <= _MOST_LOG and step > 1e-6 and first + risks * step <= _MOST_LOG):
        return _MODEL_PARAMETERS
    if not (targets == 1.0 or targets == most + 4.0):
        return _MODEL_PARAMETERS
    if params.size != TABLE_VALUES + int(risks) * int(targets) * 2 * int(most):
        return _MODEL_PARAMETERS
    return _NONE


@njit
def _put_table_quotes(
    inputs: NDArray[Any],
    params: NDArray[Any],
    log_risk: float,
    target: float,
    arrival_term: float,
    out: NDArray[Any],
) -> int:
    """Look up both sides, and what of them is the drift's; write them."""
    i = inputs[0]
    fair = float(i["fair_value_ticks"])
    k = float(i["arrival_decay_per_tick"])
    most = params[TABLE_MAX_INVENTORY]
    # Beyond a bound the way back must stay open.
    n = min(max(float(i["inventory_orders"]), -most), most)
    last = params[TABLE_RISKS] - 1.0
    at = (log_risk - params[TABLE_RISK_FIRST_LOG]) / params[TABLE_RISK_STEP_LOG]
    if not at <= last:
        return refuse(out, _MODEL_TABLE)
    at = max(at, 0.0)  # below the table inventory costs next to nothing
    log_risk = params[TABLE_RISK_FIRST_LOG] + at * params[TABLE_RISK_STEP_LOG]
    risk = int(min(max(math.floor(at), 1.0), last - 2.0))
    scale = math.exp(0.5 * log_risk) / k
    bid = -math.inf
    ask = math.inf
    level = 0.0  # twice the reservation price, or one side of it, without and with drift
    flat_level = 0.0
    if n <= most - 1.0:
        buy = scale * _step_value(params, risk, at - risk, target, n)
        bid = fair - arrival_term - buy
        level -= buy
        if target != 0.0:
            flat_level -= scale * _step_value(params, risk, at - risk, 0.0, n)
    if n >= 1.0 - most:
        sell = scale * _step_value(params, risk, at - risk, target, n - 1.0)
        ask = fair + arrival_term - sell
        level -= sell
        if target != 0.0:
            flat_level -= scale * _step_value(params, risk, at - risk, 0.0, n - 1.0)
    sides = 2.0 if 1.0 - most <= n <= most - 1.0 else 1.0
    drift_shift = (level - flat_level) / sides if target != 0.0 else 0.0
    return put_prices(out, fair, bid, ask, drift_shift, arrival_term)


@njit
def glft_table(inputs: NDArray[Any], params: NDArray[Any], out: NDArray[Any]) -> int:
    """Quote the exact stationary solution within the bounds of the inventory, from its table.

    Parameters
    ----------
    inputs : ndarray of state.MODEL_INPUTS, shape (1,)
        Read: fair value, drift, volatility, arrival rate and decay, inventory in orders.
    params : float64 ndarray
        As state.model_params lays out, made by mmquant.models.glft_table_params. The target
        position of the drift is cut to the bounds of the inventory.
    out : ndarray of state.MODEL_QUOTES, shape (1,)
        Written; at a bound the side that would leave it is at -inf or inf, and beyond a bound
        the quotes are those at it.

    Returns
    -------
    int
        codes.Reason
    """
    reason = _reason(inputs, params, 0.0)
    if reason == _NONE:
        reason = _table_reason(params)
    if reason != _NONE:
        return refuse(out, reason)
    i = inputs[0]
    sigma = float(i["volatility_ticks_per_sqrt_s"])
    k = float(i["arrival_decay_per_tick"])
    gamma = float(params[RISK_AVERSION])
    size = float(params[ORDER_SIZE])
    most = float(params[TABLE_MAX_INVENTORY])
    x = float(params[FILL_RISK_AVERSION]) * size / k
    held = gamma * sigma * sigma * size
    rate = float(i["arrival_rate_per_s"])
    risk = 0.5 * k * held
    if not (x < _MOST and rate > 1.0 / _MOST):
        return refuse(out, _MODEL_ARRIVALS)
    if not (math.isfinite(risk) and math.isfinite(held)):
        return refuse(out, _NOT_FINITE)
    share = log_ratio(x)
    log_risk = -_MOST_LOG
    if risk > 0.0:
        log_risk = math.log(risk) - math.log(rate) + share * (1.0 + x)
    drift = float(params[DRIFT_WEIGHT]) * float(i["drift_ticks_per_s"])
    target = 0.0
    if drift != 0.0 and params[TABLE_TARGETS] > 1.0:
        if not held > 0.0:
            return refuse(out, _MODEL_VOLATILITY if gamma > 0.0 else _MODEL_PARAMETERS)
        target = min(max(drift / held, -most), most)
    return _put_table_quotes(inputs, params, log_risk, target, share / k, out)


@njit
def glft_table_path(
    values: tuple[NDArray[Any], ...],
    lots: tuple[NDArray[Any], ...],
    params: NDArray[Any],
    quotes: NDArray[Any],
    reasons: NDArray[Any],
) -> None:
    """Fold glft_table over columns, as models_avellaneda_stoikov.avellaneda_stoikov_path does."""
    inputs = np.zeros(1, MODEL_INPUTS)
    out = np.zeros(1, MODEL_QUOTES)
    for i in range(reasons.size):
        get_row(values, lots, i, inputs)
        reasons[i] = glft_table(inputs, params, out)
        put_row(out, i, quotes)
