"""seed + parameters -> a synthetic market: level changes and trades, with a known latent price."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant.kernels.market import RING, RING_MASK, STEP_EVENTS, market_run, market_start
from mmquant.state import MARKET_EVENT, MARKET_PARAMETERS, MARKET_STATE

__all__ = ["MarketParameters", "SyntheticMarket", "seed_words"]

MASK_64 = (1 << 64) - 1
BATCH_ROWS = 8192

# The rule each parameter obeys: (low, low allowed, high). High is always allowed.
_RULES: dict[str, tuple[float, bool, float]] = {
    "volatility_ticks_per_sqrt_s": (0.0, True, 1e4),
    "log_volatility_sd": (0.0, True, 2.0),
    "volatility_memory_s": (0.0, False, 1e6),
    "limit_rate_per_s": (0.0, False, 1e5),
    "near_share": (0.0, True, 1.0),
    "near_ticks": (0.0, False, 1e3),
    "far_ticks": (0.0, False, 1e3),
    "cancel_rate_per_s": (0.0, False, 1e3),
    "fade_rate_per_tick_s": (0.0, True, 1e4),
    "chase_rate_per_tick_s": (0.0, True, 1e4),
    "half_spread_ticks": (0.0, True, 1e2),
    "market_rate_per_s": (0.0, True, 1e4),
    "informed_per_tick": (0.0, True, 1e2),
    "excitation_per_s": (0.0, True, 1e4),
    "cross_excitation_per_s": (0.0, True, 1e4),
    "excitation_decay_per_s": (0.0, False, 1e4),
    "order_lots": (1.0, True, 1e9),
    "order_log_sd": (0.0, True, 3.0),
    "market_lots": (1.0, True, 1e9),
    "market_log_sd": (0.0, True, 3.0),
    "depth_ticks": (8, True, 1500),
    "max_spread_ticks": (2, True, 900),
    "max_sweep_ticks": (0, True, 500),
    "min_levels": (2, True, 100),
}


@dataclass(frozen=True, slots=True)
class MarketParameters:
    """What drives a synthetic market; the defaults look like USD-M BTCUSDT (tick 0.10, lot 0.001).

    Parameters
    ----------
    volatility_ticks_per_sqrt_s : float
        Volatility of the latent price where the log volatility is at its mean.
    log_volatility_sd, volatility_memory_s : float
        The log volatility is an Ornstein-Uhlenbeck process: stationary deviation, time constant.
    limit_rate_per_s : float
        Limit orders a side.
    near_share, near_ticks, far_ticks : float
        An order's distance behind the reference price is exponential with mean near_ticks for
        this share of orders, far_ticks for the rest.
    cancel_rate_per_s : float
        Cancellations a resting order (as in Cont, Stoikov and Talreja 2010).
    fade_rate_per_tick_s, chase_rate_per_tick_s : float
        Makers pull, or improve, the best price a tick it is off the latent price.
    half_spread_ticks : float
        The distance from the latent price makers keep.
    market_rate_per_s, informed_per_tick : float
        Market orders of both sides; a mispricing of x ticks makes a buy exp(informed * x) times
        as likely as a sell.
    excitation_per_s, cross_excitation_per_s, excitation_decay_per_s : float
        Hawkes intensities (Hawkes 1971): the jump in the same and in the other side's intensity
        after a market order, and the rate at which it decays.
    order_lots, order_log_sd, market_lots, market_log_sd : float
        Median and log deviation of the sizes of limit and market orders.
    depth_ticks, max_spread_ticks, max_sweep_ticks, min_levels : int
        Levels farther than this from the best are dropped; the spread never exceeds this; a
        market order never runs farther than this; a side never has fewer levels than this.

    Raises
    ------
    TypeError, ValueError
        On a parameter of the wrong type or out of its range; or where one market order would
        cause further ones without end.
    """

    volatility_ticks_per_sqrt_s: float = 18.0
    log_volatility_sd: float = 0.35
    volatility_memory_s: float = 90.0
    limit_rate_per_s: float = 90.0
    near_share: float = 0.5
    near_ticks: float = 6.0
    far_ticks: float = 55.0
    cancel_rate_per_s: float = 1.0
    fade_rate_per_tick_s: float = 30.0
    chase_rate_per_tick_s: float = 30.0
    half_spread_ticks: float = 0.6
    market_rate_per_s: float = 1.2
    informed_per_tick: float = 0.35
    excitation_per_s: float = 2.6
    cross_excitation_per_s: float = 0.4
    excitation_decay_per_s: float = 6.0
    order_lots: float = 60.0
    order_log_sd: float = 1.2
    market_lots: float = 40.0
    market_log_sd: float = 1.4
    depth_ticks: int = 200
    max_spread_ticks: int = 60
    max_sweep_ticks: int = 40
    min_levels: int = 8

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name), integer=field.type in (int, "int"))
        if self.excitation_per_s + self.cross_excitation_per_s >= self.excitation_decay_per_s:
            raise ValueError(
                "excitation_per_s + cross_excitation_per_s must be below excitation_decay_per_s "
                "(else trades explode), got "
                f"{self.excitation_per_s} + {self.cross_excitation_per_s} against "
                f"{self.excitation_decay_per_s}: lower the jumps or raise the decay"
            )
        if self.max_spread_ticks >= self.depth_ticks:
            raise ValueError(
                f"max_spread_ticks must be below depth_ticks, got {self.max_spread_ticks} against "
                f"{self.depth_ticks}: raise depth_ticks"
            )

    def record(self) -> NDArray[Any]:
        """Return the parameters as a MARKET_PARAMETERS array of one element."""
        values = tuple(getattr(self, name) for name in MARKET_PARAMETERS.names or ())
        return np.array([values], MARKET_PARAMETERS)


def _check(name: str, value: object, *, integer: bool) -> None:
    kinds: tuple[type, ...] = (int,) if integer else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        wanted = "an integer" if integer else "a number"
        raise TypeError(f"{name} must be {wanted}, got {value!r}: pass {wanted}")
    assert isinstance(value, (int, float))
    low, low_allowed, high = _RULES[name]
    if not (low <= value <= high) or (value == low and not low_allowed):
        rule = "from" if low_allowed else "above"
        raise ValueError(f"{name} must be {rule} {low} up to {high}, got {value}: choose within it")


def seed_words(seed: int) -> tuple[int, int]:
    """Return the generator's two 64-bit words for `seed` (splitmix64; Steele et al. 2014)."""
    words = []
    x = seed & MASK_64
    for _ in range(2):
        x = (x + 0x9E3779B97F4A7C15) & MASK_64
        z = x
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK_64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK_64
        words.append(z ^ (z >> 31))
    return words[0], words[1]


class SyntheticMarket:
    """A seeded market that is the same whatever the steps it is run in.

    Parameters
    ----------
    seed : int
        Any integer from 0 up to 2**64 - 1; the same seed gives the same events.
    parameters : MarketParameters, optional
        The defaults when left out.
    start_ns : int
        Time the market starts at; the book is full already.
    price_ticks : int
        Price it starts at; the latent price never falls below 4096 ticks.
    first_update_id : int
        Update id of the book at the start.

    Raises
    ------
    TypeError, ValueError
        On an argument of the wrong type or out of its range.
    """

    def __init__(
        self,
        seed: int,
        parameters: MarketParameters | None = None,
        *,
        start_ns: int = 0,
        price_ticks: int = 640_000,
        first_update_id: int = 1,
    ) -> None:
        limits = {
            "seed": (seed, 0, MASK_64),
            "start_ns": (start_ns, 0, 1 << 62),
            "price_ticks": (price_ticks, 2 * RING, 1 << 40),
            "first_update_id": (first_update_id, 0, 1 << 60),
        }
        for name, (value, low, high) in limits.items():
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be an integer, got {value!r}: pass an integer")
            if not low <= value <= high:
                raise ValueError(
                    f"{name} must be from {low} to {high}, got {value}: choose within it"
                )
        self.parameters = parameters or MarketParameters()
        self._parameters = self.parameters.record()
        self.state: NDArray[Any] = np.zeros(1, MARKET_STATE)
        self.lots = np.zeros(RING, np.int64)
        self.orders = np.zeros(RING, np.int64)
        self._rows = np.zeros((BATCH_ROWS, len(MARKET_EVENT.names or ())), np.int64)
        self.state["random_0"], self.state["random_1"] = seed_words(seed)
        self.state["now_ns"] = start_ns
        self.state["latent_ticks"] = price_ticks
        self.state["best_bid_ticks"] = price_ticks - 1
        self.state["best_ask_ticks"] = price_ticks + 1
        target = self.parameters.limit_rate_per_s / self.parameters.cancel_rate_per_s
        orders = int(max(target, 4 * self.parameters.min_levels))
        market_start(self._parameters, self.state, self.lots, self.orders, self._rows, orders)
        self.state["update_id"] = first_update_id

    @property
    def update_id(self) -> int:
        """Update id of the book as it stands."""
        return int(self.state[0]["update_id"])

    @property
    def latent_ticks(self) -> float:
        """The efficient price behind the market: the truth an estimator is judged by."""
        return float(self.state[0]["latent_ticks"])

    @property
    def best_ticks(self) -> tuple[int, int]:
        """Best bid and best ask."""
        s = self.state[0]
        return int(s["best_bid_ticks"]), int(s["best_ask_ticks"])

    def run(self, until_ns: int) -> NDArray[Any]:
        """Play the market up to and including `until_ns`.

        Returns
        -------
        ndarray of MARKET_EVENT, shape (events,)
            Oldest first. A level change raises update_id by 1; a trade bears the id of the book
            it met and comes before the level change it causes.
        """
        parts = []
        while int(self.state[0]["next_ns"]) <= until_ns:
            n = market_run(
                self._parameters, self.state, self.lots, self.orders, self._rows, until_ns
            )
            parts.append(self._rows[:n].copy())
        rows = np.concatenate(parts) if parts else self._rows[:0].copy()
        return rows.view(MARKET_EVENT)[:, 0]

    def levels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return bids and asks, best first: int64 arrays (levels, 2) of price ticks, lots."""
        s = self.state[0]
        reach = self.parameters.depth_ticks + 1
        sides = []
        for best, step in ((s["best_bid_ticks"], -1), (s["best_ask_ticks"], 1)):
            prices = int(best) + step * np.arange(reach, dtype=np.int64)
            lots = self.lots[prices & RING_MASK]
            sides.append(np.column_stack((prices, lots))[lots > 0])
        return sides[0], sides[1]


# One step may sweep this far or drop this many levels: rows and ring hold the widest market.
assert 2 * (int(_RULES["max_sweep_ticks"][2]) + 1) < STEP_EVENTS
assert int(_RULES["max_spread_ticks"][2]) + 2 < STEP_EVENTS
assert 2 * (int(_RULES["depth_ticks"][2]) + 1) + int(_RULES["max_spread_ticks"][2]) < RING
