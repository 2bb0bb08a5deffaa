"""quotes + market -> fills, position.

The rules of matching are those of `mmquant.kernels.simulator`, which also runs live.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._checks import one_record, whole
from mmquant.accounting import Account
from mmquant.book import empty_book
from mmquant.codes import BookCode, OrderAction, OrderEventKind, OrderKind, Reason, Side
from mmquant.kernels.book import MAX_PRICE_TICKS, book_apply
from mmquant.kernels.latency import simulator_respond
from mmquant.kernels.simulator import (
    simulator_advance,
    simulator_cancel_all,
    simulator_on_book,
    simulator_on_order_event,
    simulator_on_quotes,
    simulator_on_trade,
    simulator_position,
    simulator_submit,
)
from mmquant.records import INSTRUMENT, LEVEL, POSITION, QUOTES
from mmquant.simulator_settings import recorded_latencies, simulator_params, simulator_state
from mmquant.state import (
    EVENT,
    MAX_EVENTS,
    MAX_LEVELS,
    NEVER_NS,
    ORDER_REQUEST,
    SIMULATOR_PARAMS,
)

__all__ = ["Simulator", "recorded_latencies", "simulator_params", "simulator_state"]

Ladder = Sequence[tuple[int, int]]


def _steps(value: float, off_grid: Reason) -> tuple[int, Reason]:
    """Return a price in ticks or a quantity in lots as an int, or the reason it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"price_ticks and qty_lots must be numbers, got {value!r}: pass an int")
    if not math.isfinite(value):
        return 0, Reason.NOT_FINITE
    if abs(value) > MAX_PRICE_TICKS:
        too_large = off_grid == Reason.OFF_TICK
        return 0, Reason.PRICE_OUT_OF_RANGE if too_large else Reason.ABOVE_MAXIMUM_QUANTITY
    if value != int(value):
        is_part = off_grid == Reason.OFF_LOT and 0 < value < 1
        return 0, Reason.BELOW_MINIMUM_QUANTITY if is_part else off_grid
    return int(value), Reason.NONE


class Simulator:
    """Own orders of one instrument against a market: orders and market in, events out.

    Every method returns what happened as an array of state.EVENT, in order of time. A time
    earlier than the latest one seen counts as that one. The market comes by `depth` (all levels)
    or `touch` (the best ones alone: the queue at other prices is then unknown, and nothing is
    filled from it), and `trade`.

    Parameters
    ----------
    params : ndarray of state.SIMULATOR_PARAMS, shape (1,)
        From simulator_params.
    instrument : ndarray of records.INSTRUMENT, shape (1,)
        Tick and lot size positive.
    seed : int
    recorded : ndarray of state.RECORDED_LATENCY, shape (n,), optional
        From recorded_latencies; they replace the latencies of `params`.

    Attributes
    ----------
    account : accounting.Account
        Position and profit.
    """

    def __init__(
        self,
        params: NDArray[Any],
        instrument: NDArray[Any],
        seed: int,
        recorded: NDArray[Any] | None = None,
    ) -> None:
        self.params = one_record("params", params, SIMULATOR_PARAMS)
        self.instrument = one_record("instrument", instrument, INSTRUMENT)
        for field in ("tick_size_e8", "lot_size_e8"):
            whole(f"instrument {field}", instrument[0][field], 1)
        self.recorded = recorded_latencies(()) if recorded is None else recorded
        self.state = simulator_state(seed)
        self.state[0]["instrument_id"] = instrument[0]["instrument_id"]
        self.account = Account(int(params[0]["markout_horizon_ns"]))
        self.book = empty_book()
        self._events = np.zeros(MAX_EVENTS, EVENT)
        self._quotes = np.zeros(1, QUOTES)
        self._quotes[0]["instrument_id"] = instrument[0]["instrument_id"]
        self._levels = np.zeros(2 * MAX_LEVELS, LEVEL)
        self._request = np.zeros(1, ORDER_REQUEST)

    @property
    def _venue(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        return self.state, self.account.state, self.params

    def _seen_at(self, now_ns: int) -> int:
        """Return when a book is seen that comes at `now_ns`: never before what was seen last."""
        return max(whole("now_ns", now_ns, 0), int(self.state[0]["now_ns"]))

    def _answer(self, count: int) -> NDArray[Any]:
        simulator_respond(self.state, self.params, self.recorded, self._events, count)
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
        return self._answer(
            simulator_on_quotes(
                *self._venue,
                self.instrument,
                self.book,
                self.recorded,
                self._quotes,
                self._levels,
                now,
                NEVER_NS,
                self._events,
            )
        )

    def order(
        self,
        side: int,
        price_ticks: float,
        qty_lots: float,
        now_ns: int,
        *,
        kind: int = OrderKind.POST_ONLY,
        client_id: int = 0,
    ) -> NDArray[Any]:
        """Send a new order; what is wrong with it comes back as a rejection with its reason.

        Parameters
        ----------
        side : int
            codes.Side.
        price_ticks, qty_lots : int or float
            A MARKET order's price is not read.
        now_ns : int
        kind : int
            codes.OrderKind.
        client_id : int
            Sent again, it answers with the state of the order it stands for and sends nothing.
            0 is none.
        """
        return self._submit(
            OrderAction.NEW, side, price_ticks, qty_lots, kind, 0, client_id, now_ns
        )

    def amend(
        self,
        price_ticks: float,
        qty_lots: float,
        now_ns: int,
        *,
        order_id: int = 0,
        client_id: int = 0,
    ) -> NDArray[Any]:
        """Ask for another price and total quantity of an order, named by either id.

        It keeps its place in the queue only at the same price and with no more than it had.
        """
        return self._submit(
            OrderAction.AMEND, 0, price_ticks, qty_lots, 0, order_id, client_id, now_ns
        )

    def cancel(self, now_ns: int, *, order_id: int = 0, client_id: int = 0) -> NDArray[Any]:
        """Ask for the cancellation of an order, named by either id."""
        return self._submit(OrderAction.CANCEL, 0, 0, 0, 0, order_id, client_id, now_ns)

    def _submit(
        self,
        action: OrderAction,
        side: int,
        price_ticks: float,
        qty_lots: float,
        kind: int,
        order_id: int,
        client_id: int,
        now_ns: int,
    ) -> NDArray[Any]:
        now = whole("now_ns", now_ns, 0)
        price, reason = (
            (0, Reason.NONE) if kind == OrderKind.MARKET else _steps(price_ticks, Reason.OFF_TICK)
        )
        qty, qty_reason = _steps(qty_lots, Reason.OFF_LOT)
        r = self._request[0]
        r["action"], r["order_id"] = action, whole("order_id", order_id, 0)
        r["client_id"] = whole("client_id", client_id, 0)
        r["side"], r["kind"] = int(side), int(kind)
        r["price_ticks"], r["qty_lots"] = price, qty
        r["reason"] = reason or qty_reason
        return self._answer(
            simulator_submit(
                *self._venue,
                self.instrument,
                self.book,
                self.recorded,
                self._request,
                now,
                self._events,
            )
        )

    def depth(
        self,
        bids: Ladder,
        asks: Ladder,
        now_ns: int,
        *,
        venue_ns: int = 0,
        snapshot: bool = False,
    ) -> NDArray[Any]:
        """See changed levels of the venue's book: (price_ticks, qty_lots), 0 lots remove one.

        Parameters
        ----------
        bids, asks : sequence of (int, int)
        now_ns : int
            When it is seen.
        venue_ns : int
            When the venue made the change; 0: at `now_ns`.
        snapshot : bool
            The levels replace the whole book.
        """
        now = self._seen_at(now_ns)
        n = simulator_advance(*self._venue, self.book, now - 1, self._events, 0)
        self._apply(bids, asks, load=int(snapshot))
        at = whole("venue_ns", venue_ns, 0) or now
        n = simulator_on_book(*self._venue, self.book, now, at, self._events, n)
        return self._answer(n)

    def _apply(self, bids: Ladder, asks: Ladder, load: int = 0) -> None:
        words = np.array([*bids, *asks], np.int64).reshape(-1)
        code = book_apply(self.book, words, 0, len(bids), 2 * len(bids), len(asks), 0, load)
        if code == BookCode.BAD_LEVEL:
            raise ValueError(
                f"levels must have prices from 1 to {MAX_PRICE_TICKS} and lots from 0, got "
                f"bids {list(bids)} and asks {list(asks)}"
            )

    def touch(
        self, bid_ticks: int, bid_lots: int, ask_ticks: int, ask_lots: int, now_ns: int
    ) -> NDArray[Any]:
        """See the venue's best bid and ask alone; price 0 is an empty side."""
        bid = whole("bid_ticks", bid_ticks, 0)
        ask = whole("ask_ticks", ask_ticks, 0)
        if 0 < ask <= bid:
            raise ValueError(f"bid_ticks must be below ask_ticks, got {bid} and {ask}")
        bids = [(bid, whole("bid_lots", bid_lots, 0))] if bid else []
        asks = [(ask, whole("ask_lots", ask_lots, 0))] if ask else []
        now = self._seen_at(now_ns)
        n = simulator_advance(*self._venue, self.book, now - 1, self._events, 0)
        s, b = self.state[0], self.book[0]
        old_bids = [(int(s["bid_ticks"]), 0)] if s["bid_ticks"] else []
        old_asks = [(int(s["ask_ticks"]), 0)] if s["ask_ticks"] else []
        self._apply([*old_bids, *bids], [*old_asks, *asks])
        # Outside the touch nothing is known.
        b["known_low_ticks"] = bid or ask or MAX_PRICE_TICKS
        b["known_high_ticks"] = ask or bid or 1
        n = simulator_on_book(*self._venue, self.book, now, now, self._events, n)
        return self._answer(n)

    def trade(
        self,
        price_ticks: int,
        qty_lots: int,
        aggressor: int,
        trade_id: int,
        now_ns: int,
        venue_ns: int = 0,
    ) -> NDArray[Any]:
        """See a trade print; `aggressor` is the Side of its taker, `venue_ns` 0 is `now_ns`."""
        if aggressor not in (Side.BUY, Side.SELL):
            raise ValueError(f"aggressor must be 1 (buy) or -1 (sell), got {aggressor}")
        return self._answer(
            simulator_on_trade(
                *self._venue,
                self.book,
                whole("price_ticks", price_ticks, 1),
                whole("qty_lots", qty_lots, 1),
                int(aggressor),
                whole("trade_id", trade_id, 0),
                whole("now_ns", now_ns, 0),
                whole("venue_ns", venue_ns, 0),
                self._events,
            )
        )

    def order_event(
        self,
        kind: int,
        side: int,
        price_ticks: int,
        qty_lots: int,
        arrival_id: int,
        now_ns: int,
        trade_id: int = 0,
    ) -> NDArray[Any]:
        """See one resting order of the market come, go or be filled (model FIFO_L3).

        Parameters
        ----------
        kind : int
            codes.OrderEventKind.
        side, price_ticks, qty_lots : int
            Of the resting order; its lots that came, went or were filled.
        arrival_id : int
            Grows with the time at which orders took their place.
        now_ns, trade_id : int
        """
        return self._answer(
            simulator_on_order_event(
                *self._venue,
                self.book,
                int(OrderEventKind(kind)),
                int(Side(side)),
                whole("price_ticks", price_ticks, 1),
                whole("qty_lots", qty_lots, 1),
                whole("arrival_id", arrival_id, 1),
                whole("trade_id", trade_id, 0),
                whole("now_ns", now_ns, 0),
                self._events,
            )
        )

    def advance(self, now_ns: int) -> NDArray[Any]:
        """Let time pass without a message."""
        now = whole("now_ns", now_ns, 0)
        return self._answer(simulator_advance(*self._venue, self.book, now, self._events, 0))

    def cancel_all(self, now_ns: int, reason: int) -> NDArray[Any]:
        """End every order at once."""
        now = whole("now_ns", now_ns, 0)
        return self._answer(
            simulator_cancel_all(*self._venue, self.book, now, int(reason), self._events)
        )

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
