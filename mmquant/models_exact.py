"""arrivals, risk, bounds of the inventory -> the exact optimal quotes, and their live table.

What the closed forms of `mmquant.models` approximate: with fills at A exp(-k d) a second and side
and a bounded inventory, the control problems of Gueant, Lehalle and Fernandez-Tapia and of Cartea
and Jaimungal become linear, v' = M v with M tridiagonal.

exact = glft_exact([-1, 0, 1], risk_aversion_per_tick=0.01, max_inventory_orders=30,
                   volatility_ticks_per_sqrt_s=0.3, arrival_rate_per_s=0.9,
                   arrival_decay_per_tick=0.3, time_left_s=600.0)
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmquant._arrays import lots
from mmquant._checks import number, whole

__all__ = ["ExactQuotes", "cartea_jaimungal_exact", "glft_exact", "steps_table"]

MAX_INVENTORY = 200  # orders: matrices of 401 x 401
_TERMS = 24  # of the exponential's series, for a norm of at most 1
_HALVINGS = 80  # of the interval around the least eigenvalue
_MOST_S = 1e12


class ExactQuotes(NamedTuple):
    """Distances of the optimal quotes from the fair value; shapes as the inventories'.

    `bid_distance_ticks` is inf at the upper bound and `ask_distance_ticks` at the lower one: no
    quote. `value_ticks` is what the market maker earns from here, above cash and position at
    the fair value: the certainty equivalent (Gueant), h (Cartea and Jaimungal); NaN where the
    time left is infinite.
    """

    bid_distance_ticks: NDArray[np.float64]
    ask_distance_ticks: NDArray[np.float64]
    value_ticks: NDArray[np.float64]


def _log_values(
    costs: NDArray[np.float64], down: float, up: float, log_end: NDArray[np.float64], left_s: float
) -> tuple[NDArray[np.float64], float]:
    """Return ln(exp(-M t) z) less a number, and that number.

    M has `costs` on its diagonal, -down and -up beside it. Scaling and squaring of the matrix
    shifted until no entry is negative: sums of positive terms alone, so that even the least
    values keep their digits, and no time is too long.
    """
    size = costs.size
    shift = float(costs.max())
    gains = np.diag(shift - costs)
    gains += np.diag(np.full(size - 1, up), 1) + np.diag(np.full(size - 1, down), -1)
    norm = float(gains.sum(axis=1).max()) * left_s
    squarings = max(0, math.ceil(math.log2(norm))) if norm > 1.0 else 0
    step = gains * (left_s / 2.0**squarings)
    power = np.eye(size)
    total = np.eye(size)
    for term in range(1, _TERMS):
        power = power @ step / term
        total += power
    log_scale = 0.0
    for _ in range(squarings):
        total = total @ total
        most = float(total.max())
        total /= most
        log_scale = 2.0 * log_scale + math.log(most)
    most_end = float(log_end.max())
    with np.errstate(divide="ignore"):
        logs = np.log(total @ np.exp(log_end - most_end))
    return logs, log_scale + most_end - shift * left_s


def _stationary_steps(costs: NDArray[np.float64], down: float, up: float) -> NDArray[np.float64]:
    """Return ln(f_n / f_(n+1)) of the eigenvector of the least eigenvalue of M, along axis 0.

    Ratios of neighbours from both bounds inwards, where they are stable (f grows), so that even
    the least entries keep their digits.
    """
    size = costs.shape[0]
    low = costs.min(axis=0) - down - up
    high = costs.min(axis=0)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        ratio = costs[0] - middle
        below = ratio > 0.0  # all pivots positive: the middle is below every eigenvalue
        for n in range(1, size):
            ratio = costs[n] - middle - down * up / np.where(below, ratio, 1.0)
            below &= ratio > 0.0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    grows = np.empty((size - 1, *costs.shape[1:]))  # f_(n+1) / f_n from below
    falls = np.empty_like(grows)  # f_n / f_(n+1) from above
    grows[0] = (costs[0] - low) / up
    falls[-1] = (costs[-1] - low) / down
    for n in range(1, size - 1):
        grows[n] = (costs[n] - low - down / grows[n - 1]) / up
        falls[-1 - n] = (costs[-1 - n] - low - up / falls[-n]) / down
    middle_at = np.argmin(costs, axis=0)
    from_below = np.arange(size - 1).reshape(-1, *([1] * (costs.ndim - 1))) < middle_at
    return np.where(
        from_below,
        -np.log(np.where(from_below, grows, 1.0)),
        np.log(np.where(from_below, 1.0, falls)),
    )


def _quotes(
    inventory: ArrayLike,
    costs: NDArray[np.float64],
    gains: tuple[float, float],
    log_end: NDArray[np.float64],
    left_s: float,
    k: float,
    own_spread: float,
    unit: float,
) -> ExactQuotes:
    """Solve the problem and read the quotes at the inventories asked for."""
    down, up = gains
    most = costs.size // 2
    at = np.asarray(inventory)
    flat = lots("inventory_orders", at.reshape(-1), -most)
    if flat.size > 0 and flat.max() > most:
        raise ValueError(f"inventory_orders must be at most {most}, got {flat.max()}: drop it")
    if math.isinf(left_s):
        steps = _stationary_steps(costs, down, up)
        values = np.full(costs.size, math.nan)
    else:
        logs, level = _log_values(costs, down, up, log_end, left_s)
        steps = logs[:-1] - logs[1:]
        values = (logs + level) * (unit / k)
    bids = np.append(steps / k + own_spread, math.inf)
    asks = np.append(math.inf, own_spread - steps / k)
    index = flat + most
    return ExactQuotes(*(column[index].reshape(at.shape) for column in (bids, asks, values)))


def _time_left(value: float) -> float:
    return math.inf if value == math.inf else number("time_left_s", value, 0.0, _MOST_S)


def glft_exact(
    inventory_orders: ArrayLike,
    *,
    risk_aversion_per_tick: float,
    max_inventory_orders: int,
    volatility_ticks_per_sqrt_s: float,
    arrival_rate_per_s: float,
    arrival_decay_per_tick: float,
    time_left_s: float = math.inf,
    drift_ticks_per_s: float = 0.0,
    fill_risk_aversion_per_tick: float | None = None,
    order_size: float = 1.0,
) -> ExactQuotes:
    """Return the exact optimal quotes with bounds of the inventory.

    Gueant, Lehalle and Fernandez-Tapia (2013), propositions 1, 2 and 4, theorems 1 and 2 (with
    `time_left_s` infinite), and Gueant (2017) for order size and fill risk aversion.

    Parameters
    ----------
    inventory_orders : array_like of int
        Positions in order sizes, within the bounds.
    risk_aversion_per_tick : float
        gamma, of a unit of the quantity that `order_size` counts; not negative.
    max_inventory_orders : int
        Bound on either side, 1 to 200.
    volatility_ticks_per_sqrt_s, drift_ticks_per_s : float
    arrival_rate_per_s, arrival_decay_per_tick : float
        A and k of A exp(-k d), positive.
    time_left_s : float
    fill_risk_aversion_per_tick : float, optional
        xi, by default gamma; 0 for the expected profit less a running penalty.
    order_size : float
        Positive.

    Returns
    -------
    ExactQuotes

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the rule and the value received.
    """
    most = whole("max_inventory_orders", max_inventory_orders, 1, MAX_INVENTORY)
    gamma = number("risk_aversion_per_tick", risk_aversion_per_tick, 0.0)
    sigma = number("volatility_ticks_per_sqrt_s", volatility_ticks_per_sqrt_s, 0.0)
    rate = number("arrival_rate_per_s", arrival_rate_per_s, 1e-300)
    k = number("arrival_decay_per_tick", arrival_decay_per_tick, 1e-300)
    drift = number("drift_ticks_per_s", drift_ticks_per_s, -math.inf)
    size = number("order_size", order_size, 1e-300)
    xi = gamma
    if fill_risk_aversion_per_tick is not None:
        xi = number("fill_risk_aversion_per_tick", fill_risk_aversion_per_tick, 0.0)
    x = xi * size / k
    share = math.log1p(x) / x if x > 0.0 else 1.0
    eta = rate * math.exp(-share * (1.0 + x))
    n = np.arange(-most, most + 1.0)
    costs = 0.5 * k * gamma * sigma**2 * size * n**2 - k * drift * n
    end = np.zeros(n.size)
    left_s = _time_left(time_left_s)
    return _quotes(inventory_orders, costs, (eta, eta), end, left_s, k, share / k, size)


def cartea_jaimungal_exact(
    inventory_orders: ArrayLike,
    *,
    inventory_penalty_ticks_per_s: float,
    max_inventory_orders: int,
    buy_rate_per_s: float,
    sell_rate_per_s: float,
    arrival_decay_per_tick: float,
    time_left_s: float = math.inf,
    terminal_penalty_ticks: float = 0.0,
    drift_ticks_per_s: float = 0.0,
) -> ExactQuotes:
    """Return the exact optimal quotes with a running inventory penalty.

    Cartea, Jaimungal and Penalva (2015), chapter 10.2, with a constant drift.

    Parameters
    ----------
    inventory_orders : array_like of int
        Positions in order sizes, within the bounds.
    inventory_penalty_ticks_per_s : float
        phi: what holding one order costs a second, n^2 of it for n; not negative.
    max_inventory_orders : int
        Bound on either side, 1 to 200.
    buy_rate_per_s, sell_rate_per_s : float
        Market orders that buy (they hit our ask) and that sell; positive.
    arrival_decay_per_tick : float
        kappa, positive.
    time_left_s : float
    terminal_penalty_ticks : float
        alpha: what ends with n orders costs alpha n^2; not negative.
    drift_ticks_per_s : float

    Returns
    -------
    ExactQuotes

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the rule and the value received.
    """
    most = whole("max_inventory_orders", max_inventory_orders, 1, MAX_INVENTORY)
    phi = number("inventory_penalty_ticks_per_s", inventory_penalty_ticks_per_s, 0.0)
    k = number("arrival_decay_per_tick", arrival_decay_per_tick, 1e-300)
    buys = number("buy_rate_per_s", buy_rate_per_s, 1e-300)
    sells = number("sell_rate_per_s", sell_rate_per_s, 1e-300)
    alpha = number("terminal_penalty_ticks", terminal_penalty_ticks, 0.0)
    drift = number("drift_ticks_per_s", drift_ticks_per_s, -math.inf)
    n = np.arange(-most, most + 1.0)
    costs = phi * k * n**2 - k * drift * n
    gains = (buys / math.e, sells / math.e)
    end = -alpha * k * n**2
    left_s = _time_left(time_left_s)
    return _quotes(inventory_orders, costs, gains, end, left_s, k, 1.0 / k, 1.0)


def steps_table(
    max_inventory_orders: int, log_risks: NDArray[np.float64], targets: NDArray[np.float64]
) -> NDArray[Any]:
    """Return ln(f_n / f_(n+1)) over sqrt(risk), what `kernels.models_glft.glft_table` looks up.

    Parameters
    ----------
    max_inventory_orders : int
        Q.
    log_risks : ndarray of float64, shape (r,)
        ln(alpha / eta).
    targets : ndarray of float64, shape (t,)
        mu / (gamma sigma^2 D), in orders.

    Returns
    -------
    ndarray of float64, shape (r, t, 2 Q)
    """
    n = np.arange(-max_inventory_orders, max_inventory_orders + 1.0)[:, None, None]
    risks = np.exp(log_risks)[None, :, None]
    costs = risks * (n - targets[None, None, :]) ** 2
    steps = _stationary_steps(costs, 1.0, 1.0) / np.sqrt(risks)
    return np.ascontiguousarray(np.moveaxis(steps, 0, -1))
