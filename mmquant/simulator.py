"""quotes + market -> fills, position.

The rules of matching are those of `mmquant.kernels.simulator`, which also runs live.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._checks import number, one_record, whole
from mmquant.accounting import Account
from mmquant.codes import Reason, Side
from mmquant.kernels.simulator import (
    simulator_advance,
    simulator_cancel_all,
    simulator_on_quotes,
    simulator_on_touch,
    simulator_on_trade,
    simulator_position,
)
from mmquant.records import INSTRUMENT, LEVEL, POSITION, QUOTES
from mmquant.state import (
    EVENT,
    MAX_EVENTS,
    MAX_LEVELS,
    MAX_ORDERS,
    NEVER_NS,
    SIMULATOR_PARAMS,
    SIMULATOR_STATE,
)

__all__ = ["Simulator", "simulator_params", "simulator_state"]

Ladder = Sequence[tuple[int, int]]

_MOST_LATENCY_NS = 3600 * 10**9
_MOST_PPM = 100_000
_WORD = 2**64 - 1


def simulator_params(
    *,
    entry_latency_ns: int,
    cancel_latency_ns: int,
    fill_probability_factor: float,
    maker_fee_ppm: int,
    taker_fee_ppm: int,
    markout_horizon_ns: int,
    max_orders: int = MAX_ORDERS,
) -> NDArray[Any]:
    """Return the simulator's parameters as the record that the kernels take.

    Parameters
    ----------
    entry_latency_ns, cancel_latency_ns : int
        From the quotes to the order, or its cancellation, at the venue.
    fill_probability_factor : float
        Chance in [0, 1] that a trade printed through an order fills it.
    maker_fee_ppm, taker_fee_ppm : int
        Millionths of the notional, negative for a rebate. Orders are post-only, so no fill pays
        the taker's fee.
    markout_horizon_ns : int
        Time after a fill at which its adverse selection is measured.
    max_orders : int
        Own orders alive at once, at most MAX_ORDERS.

    Returns
    -------
    ndarray of state.SIMULATOR_PARAMS, shape (1,)

    Raises
    ------
    TypeError, ValueError
        Naming the field, the rule and the value received.
    """
    params = np.zeros(1, SIMULATOR_PARAMS)
    p = params[0]
    p["entry_latency_ns"] = whole("entry_latency_ns", entry_latency_ns, 0, _MOST_LATENCY_NS)
    p["cancel_latency_ns"] = whole("cancel_latency_ns", cancel_latency_ns, 0, _MOST_LATENCY_NS)
    p["fill_probability_factor"] = number(
        "fill_probability_factor", fill_probability_factor, 0.0, 1.0
    )
    p["maker_fee_ppm"] = whole("maker_fee_ppm", maker_fee_ppm, -_MOST_PPM, _MOST_PPM)
    p["taker_fee_ppm"] = whole("taker_fee_ppm", taker_fee_ppm, -_MOST_PPM, _MOST_PPM)
    p["markout_horizon_ns"] = whole("markout_horizon_ns", markout_horizon_ns, 1, _MOST_LATENCY_NS)
    p["max_orders"] = whole("max_orders", max_orders, 1, MAX_ORDERS)
    return params


def simulator_state(seed: int, next_order_id: int = 1) -> NDArray[Any]:
    """Return a simulator without orders.

    Parameters
    ----------
    seed : int
        The same seed and the same inputs give the same fills. Spread over the generator's state
        by splitmix64 (Steele, Lea, Flood 2014).
    next_order_id : int
        Above every id used before a restart.

    Returns
    -------
    ndarray of state.SIMULATOR_STATE, shape (1,)
    """
    z = (whole("seed", seed, 0) + 0x9E3779B97F4A7C15) & _WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _WORD
    state = np.zeros(1, SIMULATOR_STATE)
    state[0]["random"] = (z ^ (z >> 31)) or 1  # a generator at 0 stays there
    state[0]["next_order_id"] = whole("next_order_id", next_order_id, 1)
    state[0]["next_due_ns"] = NEVER_NS
    return state


class Simulator:
    """Own orders of one instrument against a market: quotes and market in, events out.

    Every method returns what happened as an array of state.EVENT, in order of time. A time
    earlier than the latest one seen counts as that one.

    Parameters
    ----------
    params : ndarray of state.SIMULATOR_PARAMS, shape (1,)
        From simulator_params.
    instrument : ndarray of records.INSTRUMENT, shape (1,)
        Tick and lot size positive.
    seed : int

    Attributes
    ----------
    account : accounting.Account
        Position and profit.
    """

    def __init__(self, params: NDArray[Any], instrument: NDArray[Any], seed: int) -> None:
        self.params = one_record("params", params, SIMULATOR_PARAMS)
        self.instrument = one_record("instrument", instrument, INSTRUMENT)
        for field in ("tick_size_e8", "lot_size_e8"):
            whole(f"instrument {field}", instrument[0][field], 1)
        self.state = simulator_state(seed)
        self.account = Account(int(params[0]["markout_horizon_ns"]))
        self._events = np.zeros(MAX_EVENTS, EVENT)
        self._quotes = np.zeros(1, QUOTES)
        self._quotes[0]["instrument_id"] = instrument[0]["instrument_id"]
        self._levels = np.zeros(2 * MAX_LEVELS, LEVEL)

    def _copy(self, count: int) -> NDArray[Any]:
        return self._events[:count].copy()

    def quotes(
        self, bids: Ladder, asks: Ladder, now_ns: int, reason: int = Reason.NONE
    ) -> NDArray[Any]:
        """Want these quotes: (price_ticks, qty_lots) a level, best first.

        A reason other than NONE cancels everything.
        """
        now = whole("now_ns", now_ns, 0)
        self._levels[:] = 0
        for field, first, ladder in (("bids", 0, bids), ("asks", MAX_LEVELS, asks)):
            if len(ladder) > MAX_LEVELS:
                raise ValueError(f"{field} must have at most {MAX_LEVELS} levels: {len(ladder)}")
            for k, (price, qty) in enumerate(ladder):
                level = (whole(f"{field} price_ticks", price, 1), whole(f"{field} lots", qty, 1))
                self._levels[first + k] = level
        self._quotes[0]["seq"] += 1
        self._quotes[0]["reason"] = int(reason)
        return self._copy(
            simulator_on_quotes(
                self.state,
                self.params,
                self.instrument,
                self._quotes,
                self._levels,
                now,
                self._events,
            )
        )

    def touch(
        self, bid_ticks: int, bid_lots: int, ask_ticks: int, ask_lots: int, now_ns: int
    ) -> NDArray[Any]:
        """See the venue's best bid and ask; price 0 is an empty side."""
        bid = whole("bid_ticks", bid_ticks, 0)
        ask = whole("ask_ticks", ask_ticks, 0)
        if 0 < ask <= bid:
            raise ValueError(f"bid_ticks must be below ask_ticks, got {bid} and {ask}")
        return self._copy(
            simulator_on_touch(
                self.state,
                self.account.state,
                self.params,
                bid,
                whole("bid_lots", bid_lots, 0),
                ask,
                whole("ask_lots", ask_lots, 0),
                whole("now_ns", now_ns, 0),
                self._events,
            )
        )

    def trade(
        self, price_ticks: int, qty_lots: int, aggressor: int, trade_id: int, now_ns: int
    ) -> NDArray[Any]:
        """See a trade print; `aggressor` is the Side of its taker."""
        if aggressor not in (Side.BUY, Side.SELL):
            raise ValueError(f"aggressor must be 1 (buy) or -1 (sell), got {aggressor}")
        return self._copy(
            simulator_on_trade(
                self.state,
                self.account.state,
                self.params,
                whole("price_ticks", price_ticks, 1),
                whole("qty_lots", qty_lots, 1),
                int(aggressor),
                whole("trade_id", trade_id, 0),
                whole("now_ns", now_ns, 0),
                self._events,
            )
        )

    def advance(self, now_ns: int) -> NDArray[Any]:
        """Let time pass without a message."""
        now = whole("now_ns", now_ns, 0)
        return self._copy(simulator_advance(self.state, now, self._events))

    def cancel_all(self, now_ns: int, reason: int) -> NDArray[Any]:
        """End every order at once."""
        now = whole("now_ns", now_ns, 0)
        return self._copy(simulator_cancel_all(self.state, now, int(reason), self._events))

    @property
    def orders(self) -> NDArray[Any]:
        """The orders alive, the oldest first (state.ORDER)."""
        s = self.state[0]
        return np.array(s["orders"][: int(s["count"])])

    def position(self, now_ns: int) -> NDArray[Any]:
        """Return the records.POSITION block at `now_ns`."""
        out = np.zeros(1, POSITION)
        now = whole("now_ns", now_ns, 0)
        simulator_position(self.state, self.account.state, now, out)
        return out
