"""settings -> the parameters of the quoting models, as mmquant.state.model_params lays them out."""

import math

import numpy as np
from numpy.typing import NDArray

from mmquant._checks import number, whole
from mmquant.models_exact import MAX_INVENTORY, steps_table

__all__ = [
    "avellaneda_stoikov_params",
    "avellaneda_stoikov_perpetual_params",
    "cartea_jaimungal_params",
    "glft_params",
    "glft_table_params",
    "skewed_params",
]

_Params = NDArray[np.float64]
# The table's risks, alpha / eta: from an inventory that costs nothing to a skew of 2 / k an order.
_FIRST_LOG_RISK = math.log(1e-7)
_LOG_RISK_STEP = 0.2
_RISKS = 89


def skewed_params(
    *,
    min_half_spread_ticks: float = 0.0,
    min_half_spread_bps: float = 0.0,
    volatility_multiple: float = 0.0,
    horizon_s: float = 1.0,
    inventory_skew: float = 1.0,
    drift_weight: float = 0.0,
) -> _Params:
    """Return the parameters of the skewed maker.

    Parameters
    ----------
    min_half_spread_ticks, min_half_spread_bps : float
        Least distance of a quote from the reservation price, in ticks and in 1/10 000 of the fair
        value; the larger counts, and at least one is positive.
    volatility_multiple : float
        The half-spread in standard deviations over the horizon.
    horizon_s : float
        Seconds over which volatility and drift count.
    inventory_skew : float
        Half-spreads by which the quotes shift against a position at its limit.
    drift_weight : float
        Share of the drift over the horizon that is added to the fair value.

    Returns
    -------
    ndarray of float64, shape (6,)

    Raises
    ------
    TypeError, ValueError
        Naming the parameter, the rule and the value received.
    """
    ticks = number("min_half_spread_ticks", min_half_spread_ticks, 0.0)
    bps = number("min_half_spread_bps", min_half_spread_bps, 0.0)
    if not (ticks >= 1e-3 or bps >= 1e-3):
        raise ValueError(
            f"min_half_spread_ticks or min_half_spread_bps must be at least 0.001, got {ticks} "
            f"and {bps}: give one, or both sides quote one price when volatility is nothing"
        )
    return np.array(
        [
            ticks,
            bps,
            number("volatility_multiple", volatility_multiple, 0.0),
            number("horizon_s", horizon_s, 0.0),
            number("inventory_skew", inventory_skew, 0.0),
            number("drift_weight", drift_weight, -math.inf),
        ]
    )


def avellaneda_stoikov_params(*, risk_aversion_per_tick: float) -> _Params:
    """Return the parameters of Avellaneda and Stoikov's model with a finite horizon.

    Parameters
    ----------
    risk_aversion_per_tick : float
        gamma, per tick and order, not negative; 0 quotes 1 / k on both sides.

    Returns
    -------
    ndarray of float64, shape (1,)

    Raises
    ------
    TypeError, ValueError
        Naming the parameter, the rule and the value received.
    """
    return np.array([number("risk_aversion_per_tick", risk_aversion_per_tick, 0.0)])


def avellaneda_stoikov_perpetual_params(
    *, risk_aversion_per_tick: float, max_inventory_orders: float
) -> _Params:
    """Return the parameters of Avellaneda and Stoikov's model with an infinite horizon.

    Parameters
    ----------
    risk_aversion_per_tick : float
        gamma, per tick and order, positive.
    max_inventory_orders : float
        At least 1: here the side that adds is no longer quoted.

    Returns
    -------
    ndarray of float64, shape (2,)

    Raises
    ------
    TypeError, ValueError
        Naming the parameter, the rule and the value received.
    """
    return np.array(
        [
            number("risk_aversion_per_tick", risk_aversion_per_tick, 1e-12),
            number("max_inventory_orders", max_inventory_orders, 1.0, 1e6),
        ]
    )


def glft_params(
    *,
    risk_aversion_per_tick: float,
    fill_risk_aversion_per_tick: float | None = None,
    order_size: float = 1.0,
    drift_weight: float = 0.0,
) -> _Params:
    """Return the parameters of the closed form of Gueant, Lehalle and Fernandez-Tapia.

    Parameters
    ----------
    risk_aversion_per_tick : float
        gamma, of a unit of the quantity that `order_size` counts; not negative.
    fill_risk_aversion_per_tick : float, optional
        xi, by default gamma (the 2013 paper); 0 for expected profit less a running penalty.
    order_size : float
        What one order carries, in the unit of gamma; positive. 1 if gamma is per order.
    drift_weight : float
        Share of the drift that is believed: an estimate is mostly noise.

    Returns
    -------
    ndarray of float64, shape (4,)

    Raises
    ------
    TypeError, ValueError
        Naming the parameter, the rule and the value received.
    """
    gamma = number("risk_aversion_per_tick", risk_aversion_per_tick, 0.0)
    xi = gamma
    if fill_risk_aversion_per_tick is not None:
        xi = number("fill_risk_aversion_per_tick", fill_risk_aversion_per_tick, 0.0)
    size = number("order_size", order_size, 1e-12)
    weight = number("drift_weight", drift_weight, -math.inf)
    if weight != 0.0 and gamma == 0.0:
        raise ValueError(
            f"drift_weight must be 0 where risk_aversion_per_tick is 0, got {weight}: without "
            f"risk aversion any drift would be followed without end"
        )
    return np.array([gamma, xi, size, weight])


def glft_table_params(
    *,
    risk_aversion_per_tick: float,
    max_inventory_orders: int,
    fill_risk_aversion_per_tick: float | None = None,
    order_size: float = 1.0,
    drift_weight: float = 0.0,
) -> _Params:
    """Return the parameters of the exact stationary solution, its table among them.

    Parameters
    ----------
    risk_aversion_per_tick : float
        gamma, of a unit of the quantity that `order_size` counts; not negative.
    max_inventory_orders : int
        1 to 200: here the side that adds is no longer quoted.
    fill_risk_aversion_per_tick, order_size, drift_weight
        As glft_params takes them. With a drift the table is larger: 1.5 MB for 30 orders.

    Returns
    -------
    ndarray of float64, shape (m,)

    Raises
    ------
    TypeError, ValueError
        Naming the parameter, the rule and the value received.
    """
    most = whole("max_inventory_orders", max_inventory_orders, 1, MAX_INVENTORY)
    head = glft_params(
        risk_aversion_per_tick=risk_aversion_per_tick,
        fill_risk_aversion_per_tick=fill_risk_aversion_per_tick,
        order_size=order_size,
        drift_weight=drift_weight,
    )
    log_risks = _FIRST_LOG_RISK + _LOG_RISK_STEP * np.arange(float(_RISKS))
    targets = np.arange(-1.0, most + 3.0) if drift_weight != 0.0 else np.zeros(1)
    layout = [most, _RISKS, _FIRST_LOG_RISK, _LOG_RISK_STEP, targets.size]
    table = steps_table(most, log_risks, targets)
    return np.concatenate([head, np.array(layout, np.float64), table.ravel()])


def cartea_jaimungal_params(
    *, inventory_penalty_ticks_per_s: float, drift_decay_per_s: float
) -> _Params:
    """Return the parameters of Cartea and Jaimungal's model.

    Parameters
    ----------
    inventory_penalty_ticks_per_s : float
        phi: what holding one order costs a second, n^2 of it for n; gamma sigma^2 / 2 stands for
        a risk aversion. Not negative.
    drift_decay_per_s : float
        zeta: the drift halves in ln 2 / zeta seconds; 0 for a constant one, not negative, and
        positive where there is no penalty.

    Returns
    -------
    ndarray of float64, shape (2,)

    Raises
    ------
    TypeError, ValueError
        Naming the parameter, the rule and the value received.
    """
    phi = number("inventory_penalty_ticks_per_s", inventory_penalty_ticks_per_s, 0.0)
    zeta = number("drift_decay_per_s", drift_decay_per_s, 0.0)
    if not phi + zeta > 0.0:
        raise ValueError(
            f"drift_decay_per_s must be positive where inventory_penalty_ticks_per_s is 0, got "
            f"{zeta}: a drift without end and a position without cost have no optimum"
        )
    return np.array([phi, zeta])
