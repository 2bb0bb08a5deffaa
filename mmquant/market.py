"""seed + parameters -> a synthetic market: level changes and trades, with a known latent price.

`Exchange` is that market made of single orders in real queues, in which one's own orders rest.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._checks import whole
from mmquant.codes import MarketEventKind, Side
from mmquant.kernels.exchange import (
    CROSSES,
    FULL,
    STEP_ROWS,
    exchange_ahead,
    exchange_cancel,
    exchange_place,
    exchange_run,
    exchange_start,
)
from mmquant.kernels.market import RING, RING_MASK, STEP_EVENTS, market_run, market_start
from mmquant.state import (
    EXCHANGE_EVENT,
    EXCHANGE_QUEUES,
    MARKET_EVENT,
    MARKET_PARAMETERS,
    MARKET_STATE,
    OWN_FILL,
)

__all__ = ["Exchange", "MarketParameters", "SyntheticMarket", "seed_words"]

_Array = NDArray[Any]

MASK_64 = (1 << 64) - 1
BATCH_ROWS = 8192
_DEEPEST_EXCHANGE = 1000  # own levels may lie a depth farther out: all must fit into the ring

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
        self.state["random_0"], self.state["random_1"] = seed_words(seed)
        self.state["now_ns"] = start_ns
        self.state["latent_ticks"] = price_ticks
        self.state["best_bid_ticks"] = price_ticks - 1
        self.state["best_ask_ticks"] = price_ticks + 1
        target = self.parameters.limit_rate_per_s / self.parameters.cancel_rate_per_s
        self._begin(int(max(target, 4 * self.parameters.min_levels)))
        self.state["update_id"] = first_update_id

    def _begin(self, orders: int) -> None:
        """Fill the book with this many orders a side."""
        self._rows = np.zeros((BATCH_ROWS, len(MARKET_EVENT.names or ())), np.int64)
        market_start(self._parameters, self.state, self.lots, self.orders, self._rows, orders)

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


class Exchange(SyntheticMarket):
    """The synthetic market as an exchange: single orders, first in first out, ours among them.

    The flow is that of SyntheticMarket: limit orders, cancellations of single orders, market
    orders, uninformed and (with `informed_per_tick`) informed of the latent price. What a trader
    would see is what `run` returns; how an own order really fared is what `fills` says. A fill of
    ours takes what another would have got: with orders small against the market's, the market is
    nearly the one without us.

    Parameters
    ----------
    seed, parameters, start_ns, price_ticks, first_update_id
        As of SyntheticMarket; `depth_ticks` at most 1000. The same seed and the same own orders
        give the same events, whatever the steps it is run in.

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
        depth = (parameters or MarketParameters()).depth_ticks
        if depth > _DEEPEST_EXCHANGE:
            raise ValueError(
                f"depth_ticks must be at most {_DEEPEST_EXCHANGE} for an exchange, got {depth}"
            )
        self.queues: NDArray[Any] = np.zeros(1, EXCHANGE_QUEUES)
        self.now_ns = start_ns
        self._unread: list[NDArray[np.int64]] = []
        self._filled: list[NDArray[Any]] = []
        self._own: dict[int, tuple[int, int, int]] = {}  # id: slot, when it came, lots ahead then
        super().__init__(
            seed,
            parameters,
            start_ns=start_ns,
            price_ticks=price_ticks,
            first_update_id=first_update_id,
        )

    def _begin(self, orders: int) -> None:
        rows = 2 * STEP_ROWS
        self._rows = np.zeros((rows, len(EXCHANGE_EVENT.names or ())), np.int64)
        exchange_start(*self._all, orders)

    @property
    def _all(self) -> tuple[_Array, _Array, _Array, _Array, _Array, _Array]:
        return (self._parameters, self.state, self.queues, self.lots, self.orders, self._rows)

    def run(self, until_ns: int) -> NDArray[Any]:
        """Play the exchange up to and including `until_ns`.

        Returns
        -------
        ndarray of EXCHANGE_EVENT, shape (events,)
            Oldest first, all since the last call, those of own orders placed or cancelled
            between among them. LEVEL: what the level now holds, ours included; each raises
            update_id by 1. TRADE: one for each resting order filled (`order_id`), before the
            level change it causes; side is the taker's. ORDER_ADDED, ORDER_CANCELLED: single
            orders, for who follows them by id. `is_own` marks ours.
        """
        self.now_ns = max(self.now_ns, whole("until_ns", until_ns, 0))
        while int(self.state[0]["next_ns"]) <= until_ns:
            self._keep(exchange_run(*self._all, until_ns))
        unread, self._unread = self._unread, []
        rows = np.concatenate(unread) if unread else self._rows[:0].copy()
        return rows.view(EXCHANGE_EVENT)[:, 0]

    def _keep(self, n: int) -> None:
        rows = self._rows[:n].copy()
        self._unread.append(rows)
        events = rows.view(EXCHANGE_EVENT)[:, 0]
        ours = events[(events["is_own"] == 1) & (events["kind"] == MarketEventKind.TRADE)]
        if ours.size == 0:
            return
        fills = np.zeros(ours.size, OWN_FILL)
        for name in ("time_ns", "order_id", "price_ticks", "qty_lots"):
            fills[name] = ours[name]
        fills["side"] = -ours["side"]
        known = [self._own[order_id] for order_id in ours["order_id"].tolist()]
        fills["placed_ns"] = [placed for _, placed, _ in known]
        fills["entry_ahead_lots"] = [ahead for _, _, ahead in known]
        self._filled.append(fills)

    def place(self, side: int, price_ticks: int, qty_lots: int) -> int:
        """Let an own post-only order arrive now, at the time the exchange was run to.

        Parameters
        ----------
        side : int
            codes.Side: 1 buys, -1 sells.
        price_ticks, qty_lots : int

        Returns
        -------
        int
            Its id; 0 where it was rejected, because it would have taken.

        Raises
        ------
        TypeError, ValueError
            On an argument of the wrong type or out of its range, a price beyond the depth kept.
        """
        if side not in (Side.BUY, Side.SELL):
            raise ValueError(f"side must be 1 (buy) or -1 (sell), got {side}")
        price = whole("price_ticks", price_ticks, 1)
        qty = whole("qty_lots", qty_lots, 1, 10**9)
        ahead = int(self.lots[price & RING_MASK])
        n, slot = exchange_place(*self._all, int(side), price, qty, self.now_ns)
        if slot == CROSSES:
            return 0
        if slot == FULL:
            raise ValueError("place needs room among the exchange's orders: lower limit_rate_per_s")
        if slot < 0:
            raise ValueError(
                f"price_ticks must lie within {self.parameters.depth_ticks} ticks of the best "
                f"orders {self.best_ticks}, got {price}"
            )
        order_id = int(self.queues[0]["orders"][slot]["order_id"])
        self._own[order_id] = (slot, self.now_ns, ahead)
        self._keep(n)
        return order_id

    def _slot(self, order_id: int) -> int:
        if order_id not in self._own:
            raise ValueError(f"order_id must be one that place returned, got {order_id}")
        slot = self._own[order_id][0]
        return slot if self.queues[0]["orders"][slot]["order_id"] == order_id else 0

    def cancel(self, order_id: int) -> int:
        """Cancel an own order now; return the lots that were left of it, 0 where it has ended."""
        slot = self._slot(order_id)
        if slot == 0:
            return 0
        left = int(self.queues[0]["orders"][slot]["qty_lots"])
        self._keep(exchange_cancel(*self._all[1:], slot, self.now_ns))
        return left

    def queue_ahead(self, order_id: int) -> int:
        """Return the lots in front of an own order that rests."""
        slot = self._slot(order_id)
        if slot == 0:
            raise ValueError(f"order_id must be of an order that rests, got {order_id}: it ended")
        return int(exchange_ahead(self.queues, slot))

    def fills(self) -> NDArray[Any]:
        """Return the fills of own orders so far: the truth (OWN_FILL, oldest first)."""
        if not self._filled:
            return np.zeros(0, OWN_FILL)
        self._filled = [np.concatenate(self._filled)]
        return self._filled[0].copy()


# One step may sweep this far or drop this many levels: rows and ring hold the widest market.
assert 2 * (int(_RULES["max_sweep_ticks"][2]) + 1) < STEP_EVENTS
assert int(_RULES["max_spread_ticks"][2]) + 2 < STEP_EVENTS
assert 2 * (int(_RULES["depth_ticks"][2]) + 1) + int(_RULES["max_spread_ticks"][2]) < RING
assert 2 * (_DEEPEST_EXCHANGE + 1) + _DEEPEST_EXCHANGE + int(_RULES["max_spread_ticks"][2]) < RING
