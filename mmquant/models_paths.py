"""a quoting model, and a market that is what the models assume -> what it earns, path by path.

paths = simulate_model("avellaneda_stoikov", {"risk_aversion_per_tick": 0.1}, paths=1000, seed=1,
                       steps=200, step_s=0.005, volatility_ticks_per_sqrt_s=2.0,
                       arrival_rate_per_s=140.0, arrival_decay_per_tick=1.5)

The experiment of Avellaneda and Stoikov (2008), section 3.3, for every model of `mmquant.models`.
No book, no queue, no latency: it checks models against papers, and says nothing of a market.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmquant._checks import number, whole
from mmquant.codes import Reason
from mmquant.models import MODELS, model_params
from mmquant.state import MODEL_QUOTES

__all__ = ["SimulatedPaths", "simulate_model"]

_COLUMNS = MODEL_QUOTES.names or ()
_BID, _ASK = _COLUMNS.index("bid_ticks"), _COLUMNS.index("ask_ticks")


class SimulatedPaths(NamedTuple):
    """What a model made on each path: columns of shape (paths,).

    `profit_ticks` is cash and the last position at the last price, `inventory_orders` that
    position, `spread_ticks` the mean distance from bid to ask while both were quoted.
    """

    profit_ticks: NDArray[np.float64]
    inventory_orders: NDArray[np.float64]
    spread_ticks: NDArray[np.float64]

    def summary(self) -> dict[str, float]:
        """Return means and standard deviations over the paths: a row of the paper's tables."""
        return {
            "spread": float(np.nanmean(self.spread_ticks)),
            "profit": float(self.profit_ticks.mean()),
            "sd of profit": float(self.profit_ticks.std()),
            "final inventory": float(self.inventory_orders.mean()),
            "sd of final inventory": float(self.inventory_orders.std()),
        }


def simulate_model(
    model: str,
    parameters: Mapping[str, Any],
    *,
    paths: int,
    seed: int,
    steps: int,
    step_s: float,
    volatility_ticks_per_sqrt_s: float,
    arrival_rate_per_s: float,
    arrival_decay_per_tick: float,
    fair_value_ticks: float = 100.0,
) -> SimulatedPaths:
    """Let a model quote on simulated paths of price and fills.

    A step: the model quotes around the price, with the time left until the last step; each side
    at distance d is filled with probability A exp(-k d) dt (1 where that is more), independently;
    then the price goes up or down by sigma sqrt(dt). Quotes may lie beyond the price.

    Parameters
    ----------
    model : str
        A key of `mmquant.models.MODELS`.
    parameters : mapping of name to number
        Of that model, by name.
    paths, seed, steps : int
        The same seed gives the same paths.
    step_s : float
        dt. Fills of a step with A exp(-k d) dt well below 1 are those of continuous time.
    volatility_ticks_per_sqrt_s, arrival_rate_per_s, arrival_decay_per_tick : float
        sigma, A and k: of the market, and told to the model.
    fair_value_ticks : float
        The price at the start.

    Returns
    -------
    SimulatedPaths

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the rule and the value received; or why the model did not quote.
    """
    params = model_params(model, parameters)
    count, steps = whole("paths", paths, 1), whole("steps", steps, 1)
    dt = number("step_s", step_s, 1e-12)
    sigma = number("volatility_ticks_per_sqrt_s", volatility_ticks_per_sqrt_s, 0.0)
    rate = number("arrival_rate_per_s", arrival_rate_per_s, 1e-300)
    k = number("arrival_decay_per_tick", arrival_decay_per_tick, 1e-300)
    rng = np.random.default_rng(whole("seed", seed, 0))
    price = np.full(count, number("fair_value_ticks", fair_value_ticks, -math.inf))
    cash, inventory = np.zeros(count), np.zeros(count)
    width, quoted = np.zeros(count), np.zeros(count)
    market = [np.full(1, value) for value in (0.0, sigma, rate, k)]  # drift first
    lots = np.zeros(1, np.int64), np.ones(1, np.int64)
    quotes, reasons = np.empty((len(_COLUMNS), count)), np.empty(count, np.int64)
    for step in range(steps):
        left = np.full(1, (steps - step) * dt)
        MODELS[model].path((price, *market, inventory, left), lots, params, quotes, reasons)
        if reasons.any():
            why = Reason(int(reasons[reasons != 0][0])).name
            raise ValueError(f"{model} must quote on every path, got {why} in step {step}")
        bid, ask = quotes[_BID], quotes[_ASK]
        draws = rng.random((count, 3))
        lift = draws[:, 0] < rate * np.exp(-k * (ask - price)) * dt
        hit = draws[:, 1] < rate * np.exp(-k * (price - bid)) * dt
        both = np.isfinite(ask - bid)
        width += np.where(both, ask - bid, 0.0)
        quoted += both
        cash += np.where(lift, ask, 0.0) - np.where(hit, bid, 0.0)
        inventory += hit.astype(np.float64) - lift
        price += sigma * math.sqrt(dt) * np.where(draws[:, 2] < 0.5, 1.0, -1.0)
    spread = np.divide(width, quoted, out=np.full(count, np.nan), where=quoted > 0)
    return SimulatedPaths(cash + inventory * price, inventory, spread)
