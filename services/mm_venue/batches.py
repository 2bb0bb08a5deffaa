"""What the synthetic market sends in intervals: depth diffs, top levels, aggregated trades."""

from mm_venue import payloads
from mm_venue.book import TrueBook
from mm_venue.instrument import Instrument
from mmquant.codes import Market, Side

__all__ = ["AggregateTrades", "DepthBatch", "TopLevels", "batch_for"]

NS_PER_MS = 1_000_000
DIFF_PERIODS_MS = {
    Market.SPOT: {"depth": 1000, "depth@100ms": 100, "depth@0ms": 0},
    Market.USDM: {"depth": 250, "depth@500ms": 500, "depth@100ms": 100, "depth@0ms": 0},
}
TOP_PERIODS_MS = {
    Market.SPOT: {"": 1000, "@100ms": 100},
    Market.USDM: {"": 250, "@500ms": 500, "@100ms": 100},
}
TOP_LEVELS = (5, 10, 20)
AGGREGATE_PERIOD_MS = 100

BUY = int(Side.BUY)


def batch_for(market: Market, kind: str, update_id: int) -> "DepthBatch | TopLevels | None":
    """Return what makes the stream `<symbol>@<kind>` from now on, None where there is none."""
    period_ms = DIFF_PERIODS_MS[market].get(kind)
    if period_ms is not None:
        return DepthBatch(period_ms * NS_PER_MS, update_id)
    for levels in TOP_LEVELS:
        suffix = kind.removeprefix(f"depth{levels}")
        if suffix != kind and suffix in TOP_PERIODS_MS[market]:
            return TopLevels(TOP_PERIODS_MS[market][suffix] * NS_PER_MS, levels, update_id)
    return None


class _Interval:
    """Tells when the next event is due, on whole multiples of a period."""

    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self._due_ns = 0

    def is_due(self, now_ns: int) -> bool:
        """Return whether an event is due by now, and wait for the next period if so."""
        if now_ns < self._due_ns:
            return False
        if self._period_ns:
            self._due_ns = now_ns - now_ns % self._period_ns + self._period_ns
        return True


class DepthBatch:
    """The changes of one diff depth stream since its last event.

    Parameters
    ----------
    period_ns : int
        Least time between two events; 0 sends whatever each tick brought.
    update_id : int
        The book's id when the stream begins.
    """

    def __init__(self, period_ns: int, update_id: int) -> None:
        self._interval = _Interval(period_ns)
        self._first: int | None = None
        self._last = self._previous = update_id
        self._engine_ns = 0
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}

    def add(self, side: int, price: int, qty: int, update_id: int, time_ns: int) -> None:
        """Note a change; of several to one level the last counts."""
        if self._first is None:
            self._first = update_id
        self._last = update_id
        self._engine_ns = time_ns
        (self._bids if side == BUY else self._asks)[price] = qty

    def flush(self, instrument: Instrument, book: TrueBook, now_ns: int) -> bytes | None:
        """Return the event that is due by now, None where there is none."""
        if not self._interval.is_due(now_ns) or self._first is None:
            return None
        payload = payloads.depth_update(
            instrument,
            (self._first, self._last, self._previous),
            (now_ns // NS_PER_MS, self._engine_ns // NS_PER_MS),
            sorted(self._bids.items(), reverse=True),
            sorted(self._asks.items()),
        )
        self._previous = self._last
        self._first = None
        self._bids.clear()
        self._asks.clear()
        return payload


class TopLevels:
    """One partial depth stream: the best levels, where anything changed.

    Parameters
    ----------
    period_ns : int
        Least time between two events.
    levels : int
        A side.
    update_id : int
        The book's id when the stream begins.
    """

    def __init__(self, period_ns: int, levels: int, update_id: int) -> None:
        self._interval = _Interval(period_ns)
        self._levels = levels
        self._previous = update_id
        self._first: int | None = None
        self._engine_ns = 0

    def add(self, side: int, price: int, qty: int, update_id: int, time_ns: int) -> None:
        """Note that something changed."""
        if self._first is None:
            self._first = update_id
        self._engine_ns = time_ns

    def flush(self, instrument: Instrument, book: TrueBook, now_ns: int) -> bytes | None:
        """Return the event that is due by now, None where there is none."""
        if not self._interval.is_due(now_ns) or self._first is None:
            return None
        ids = (self._first, book.update_id, self._previous)
        self._previous = book.update_id
        self._first = None
        if instrument.market == Market.SPOT:
            return payloads.depth_answer(instrument, book, self._levels, now_ns // NS_PER_MS)
        times_ms = (now_ns // NS_PER_MS, self._engine_ns // NS_PER_MS)
        return payloads.depth_update(instrument, ids, times_ms, *book.top(self._levels))


class AggregateTrades:
    """Fills of one taker at one price as one; USD-M gathers them for 100 ms, spot for one tick.

    Parameters
    ----------
    market : Market
    first_id : int
        Of the first aggregate.
    """

    def __init__(self, market: Market, first_id: int) -> None:
        period_ms = AGGREGATE_PERIOD_MS if market == Market.USDM else 0
        self._interval = _Interval(period_ms * NS_PER_MS)
        self._next_id = first_id
        # By price and side: quantity, first and last trade id, time.
        self._fills: dict[tuple[int, bool], tuple[int, int, int, int]] = {}

    def add(self, trade_id: int, fill: tuple[int, int], maker_bought: bool, time_ms: int) -> None:
        """Note a trade."""
        price, qty = fill
        key = (price, maker_bought)
        before, first, _, _ = self._fills.get(key, (0, trade_id, 0, 0))
        self._fills[key] = (before + qty, first, trade_id, time_ms)

    def flush(self, instrument: Instrument, now_ns: int) -> list[bytes]:
        """Return the aggregates that are due by now."""
        if not self._fills or not self._interval.is_due(now_ns):
            return []
        made = []
        for (price, maker_bought), (qty, first, last, time_ms) in self._fills.items():
            ids = (self._next_id, first, last)
            times_ms = (now_ns // NS_PER_MS, time_ms)
            made.append(
                payloads.aggregate_trade(instrument, ids, times_ms, (price, qty), maker_bought)
            )
            self._next_id += 1
        self._fills.clear()
        return made
