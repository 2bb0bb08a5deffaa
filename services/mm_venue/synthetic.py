"""Source: the seeded synthetic market, told as Binance tells it."""

import random
from collections.abc import Iterable, Sequence

from mm_venue import payloads
from mm_venue.book import TrueBook
from mm_venue.instrument import ONE_E8, Instrument
from mm_venue.source import Frame, SourceStatus
from mmquant.codes import Market, MarketEventKind, Side
from mmquant.market import MarketParameters, SyntheticMarket

__all__ = ["DepthBatch", "SyntheticSource"]

NS_PER_MS = 1_000_000
TICK_NS = 8 * NS_PER_MS
WARM_UP_NS = 20_000 * NS_PER_MS
LONGEST_STEP_NS = 2_000 * NS_PER_MS
FIRST_TRADE_ID = 5_000_000_001
FIRST_UPDATE_ID = {Market.SPOT: 90_000_000_000, Market.USDM: 9_000_000_000_000}
DEPTH_PERIODS_MS = {
    Market.SPOT: {"@depth": 1000, "@depth@100ms": 100, "@depth@0ms": 0},
    Market.USDM: {"@depth": 250, "@depth@500ms": 500, "@depth@100ms": 100, "@depth@0ms": 0},
}
# A USD-M id now and then belongs to nobody: before one tick in four up to 40 are skipped.
HOLE_ODDS = 4
HOLE_IDS = 40

BUY = int(Side.BUY)
TRADE = int(MarketEventKind.TRADE)


class DepthBatch:
    """The changes of one diff depth stream since its last event.

    Parameters
    ----------
    stream : str
        The stream's name.
    period_ns : int
        Least time between two events; 0 sends whatever each tick brought.
    update_id : int
        The book's id when the stream begins.
    """

    def __init__(self, stream: str, period_ns: int, update_id: int) -> None:
        self.stream = stream
        self._period_ns = period_ns
        self._due_ns = 0
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

    def flush(self, instrument: Instrument, now_ns: int) -> bytes | None:
        """Return the event that is due by now, None where there is none."""
        if now_ns < self._due_ns:
            return None
        if self._period_ns:
            self._due_ns = now_ns - now_ns % self._period_ns + self._period_ns
        if self._first is None:
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


class SyntheticSource:
    """A synthetic market in real time; nothing but the clock it is polled with moves it.

    Parameters
    ----------
    seed : int
        Of the market, and of the holes in USD-M's ids.
    instrument : Instrument
        What is traded; its sizes turn ticks and lots into prices and quantities.
    now_ns : int
        Present time.
    """

    lossless = False
    waits_for_client = False
    any_depth_name = False

    def __init__(self, seed: int, instrument: Instrument, now_ns: int) -> None:
        self.instrument = instrument
        self.book = TrueBook()
        self._played = 0
        self._trade_id = FIRST_TRADE_ID
        self._random = random.Random(seed)
        self._holes = 0
        self._behind_ns = 0
        # Sizes in whole coins stay the same whatever the lot.
        coarse = ONE_E8 // 1000 / instrument.lot_size_e8
        defaults = MarketParameters()
        parameters = MarketParameters(
            order_lots=max(1.0, defaults.order_lots * coarse),
            market_lots=max(1.0, defaults.market_lots * coarse),
        )
        self._market = SyntheticMarket(
            seed,
            parameters,
            start_ns=now_ns - WARM_UP_NS,
            price_ticks=64_000 * ONE_E8 // instrument.tick_size_e8,
            first_update_id=FIRST_UPDATE_ID[instrument.market],
        )
        self._market.run(now_ns)
        self._load_book()
        name = instrument.symbol.lower()
        self._trades = f"{name}@trade"
        self._tickers = f"{name}@bookTicker"
        self._batches = [
            DepthBatch(name + suffix, period_ms * NS_PER_MS, self.book.update_id)
            for suffix, period_ms in DEPTH_PERIODS_MS[instrument.market].items()
        ]

    def _load_book(self) -> None:
        tick, lot = self.instrument.tick_size_e8, self.instrument.lot_size_e8
        bids, asks = (
            [(price * tick, lots * lot) for price, lots in side.tolist()]
            for side in self._market.levels()
        )
        self.book.load(bids, asks, self._market.update_id)

    def start(self, now_ns: int) -> None:
        """Begin: the market runs already."""

    def wait_ns(self, now_ns: int) -> int | None:
        """Return the time between two ticks."""
        return TICK_NS

    def book_ready(self) -> bool:
        """Return True: the book is full from the start."""
        return True

    def status(self) -> SourceStatus:
        """Return the counters; a synthetic market has no end."""
        return SourceStatus(
            source="synthetic",
            played=self._played,
            total=None,
            finished=False,
            truncated=None,
            malformed=0,
            not_json=0,
            gaps=0,
            update_id=self.book.update_id,
        )

    def poll(self, now_ns: int) -> Sequence[Frame]:
        """Run the market up to now; return trades and touches at once, depth when due."""
        market_now = now_ns - self._behind_ns
        lag = market_now - int(self._market.state[0]["now_ns"])
        if lag > LONGEST_STEP_NS:
            # After a suspended process the market goes on where it was, not hours later.
            self._behind_ns += lag - TICK_NS
            market_now = now_ns - self._behind_ns
        events = self._market.run(market_now)
        if self.instrument.market == Market.USDM and not self._random.randrange(HOLE_ODDS):
            self._holes += self._random.randint(1, HOLE_IDS)
        frames = list(self._tell(events.tolist(), now_ns))
        for batch in self._batches:
            payload = batch.flush(self.instrument, now_ns)
            if payload is not None:
                frames.append(Frame(batch.stream, payload))
        self._played += len(frames)
        return frames

    def _tell(self, events: Iterable[tuple[int, ...]], now_ns: int) -> Iterable[Frame]:
        tick, lot = self.instrument.tick_size_e8, self.instrument.lot_size_e8
        book = self.book
        now_ms = now_ns // NS_PER_MS
        for kind, market_ns, market_id, side, price_ticks, lots in events:
            price, qty = price_ticks * tick, lots * lot
            time_ns = market_ns + self._behind_ns
            times_ms = (now_ms, time_ns // NS_PER_MS)
            if kind == TRADE:
                yield Frame(self._trades, self._trade(times_ms, price, qty, side))
                continue
            touch = book.touch
            update_id = market_id + self._holes
            (book.set_bid if side == BUY else book.set_ask)(price, qty)
            book.update_id = update_id
            for batch in self._batches:
                batch.add(side, price, qty, update_id, time_ns)
            if book.touch != touch:
                ticker = payloads.book_ticker(self.instrument, update_id, times_ms, book.touch)
                yield Frame(self._tickers, ticker)

    def _trade(self, times_ms: tuple[int, int], price: int, qty: int, aggressor: int) -> bytes:
        payload = payloads.trade(
            self.instrument, self._trade_id, times_ms, (price, qty), aggressor != BUY
        )
        self._trade_id += 1
        return payload
