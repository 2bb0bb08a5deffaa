"""Source: the seeded synthetic market of one or more symbols, told as Binance tells it."""

import random
from collections.abc import Collection, Iterable, Mapping, Sequence

from mm_venue import payloads
from mm_venue.batches import DIFF_PERIODS_MS, AggregateTrades, DepthBatch, TopLevels, batch_for
from mm_venue.book import TrueBook
from mm_venue.instrument import ONE_E8, Instrument
from mm_venue.source import Frame, Listing, SourceStatus
from mmquant.codes import Market, MarketEventKind, Side
from mmquant.market import MarketParameters, SyntheticMarket

__all__ = ["SyntheticSource"]

NS_PER_MS = 1_000_000
TICK_NS = 8 * NS_PER_MS
WARM_UP_NS = 20_000 * NS_PER_MS
LONGEST_STEP_NS = 2_000 * NS_PER_MS
FIRST_TRADE_ID = 5_000_000_001
FIRST_AGGREGATE_ID = 2_800_000_001
FIRST_UPDATE_ID = {Market.SPOT: 90_000_000_000, Market.USDM: 9_000_000_000_000}
# A USD-M id now and then belongs to nobody: before one tick in four up to 40 are skipped.
HOLE_ODDS = 4
HOLE_IDS = 40
SEEDS = 1 << 64

BUY = int(Side.BUY)
TRADE = int(MarketEventKind.TRADE)


class _Symbol:
    """The market of one symbol and what it has to tell.

    Parameters
    ----------
    seed : int
        Of the market, and of the holes in USD-M's ids.
    instrument : Instrument
        What is traded; its sizes turn ticks and lots into prices and quantities.
    now_ns : int
        Present time.
    """

    def __init__(self, seed: int, instrument: Instrument, now_ns: int) -> None:
        self.instrument = instrument
        self.book = TrueBook()
        self._name = instrument.symbol.lower()
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
        self._batches: dict[str, DepthBatch | TopLevels] = {}
        self._aggregates = AggregateTrades(instrument.market, FIRST_AGGREGATE_ID)
        self._tells_trades = self._tells_touches = self._tells_aggregates = False
        self.listen({"trade", "bookTicker", "aggTrade", *DIFF_PERIODS_MS[instrument.market]})

    def _load_book(self) -> None:
        tick, lot = self.instrument.tick_size_e8, self.instrument.lot_size_e8
        bids, asks = (
            [(price * tick, lots * lot) for price, lots in side.tolist()]
            for side in self._market.levels()
        )
        self.book.load(bids, asks, self._market.update_id)

    def listen(self, kinds: Collection[str]) -> None:
        """Make the streams of these kinds (`depth@100ms`, ...) and no others from now on."""
        self._tells_trades = "trade" in kinds
        self._tells_touches = "bookTicker" in kinds
        self._tells_aggregates = "aggTrade" in kinds
        for kind in self._batches.keys() - set(kinds):
            del self._batches[kind]
        for kind in kinds:
            if kind not in self._batches:
                batch = batch_for(self.instrument.market, kind, self.book.update_id)
                if batch is not None:
                    self._batches[kind] = batch

    def poll(self, now_ns: int) -> list[Frame]:
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
        for kind, batch in self._batches.items():
            payload = batch.flush(self.instrument, self.book, now_ns)
            if payload is not None:
                frames.append(Frame(f"{self._name}@{kind}", payload))
        if self._tells_aggregates:
            made = self._aggregates.flush(self.instrument, now_ns)
            frames += [Frame(f"{self._name}@aggTrade", payload) for payload in made]
        return frames

    def _tell(self, events: Iterable[tuple[int, ...]], now_ns: int) -> Iterable[Frame]:
        tick, lot = self.instrument.tick_size_e8, self.instrument.lot_size_e8
        book, batches = self.book, list(self._batches.values())
        now_ms = now_ns // NS_PER_MS
        for kind, market_ns, market_id, side, price_ticks, lots in events:
            price, qty = price_ticks * tick, lots * lot
            time_ns = market_ns + self._behind_ns
            times_ms = (now_ms, time_ns // NS_PER_MS)
            if kind == TRADE:
                yield from self._trade(times_ms, (price, qty), side)
                continue
            touch = book.touch
            update_id = book.update_id = market_id + self._holes
            (book.set_bid if side == BUY else book.set_ask)(price, qty)
            for batch in batches:
                batch.add(side, price, qty, update_id, time_ns)
            if self._tells_touches and book.touch != touch:
                ticker = payloads.book_ticker(self.instrument, update_id, times_ms, book.touch)
                yield Frame(f"{self._name}@bookTicker", ticker)

    def _trade(
        self, times_ms: tuple[int, int], fill: tuple[int, int], aggressor: int
    ) -> Iterable[Frame]:
        trade_id, maker_bought = self._trade_id, aggressor != BUY
        self._trade_id += 1
        if self._tells_aggregates:
            self._aggregates.add(trade_id, fill, maker_bought, times_ms[1])
        if self._tells_trades:
            payload = payloads.trade(self.instrument, trade_id, times_ms, fill, maker_bought)
            yield Frame(f"{self._name}@trade", payload)


class SyntheticSource:
    """Synthetic markets in real time or faster; nothing but the clock `poll` is given moves them.

    Until `listen` is called it makes every stream but the partial depth.

    Parameters
    ----------
    seed : int
        Of the first symbol's market; each further one has the next.
    instruments : sequence of Instrument
        What is traded, all of one market.
    now_ns : int
        Present time.
    speed : float
        How fast the markets' time passes: the stamps in their frames run ahead of the clock.
    """

    lossless = False
    waits_for_client = False
    any_depth_name = False

    def __init__(
        self, seed: int, instruments: Sequence[Instrument], now_ns: int, speed: float = 1.0
    ) -> None:
        self.market = instruments[0].market
        self._started_ns = now_ns
        self._speed = speed
        self._symbols = {
            instrument.symbol: _Symbol((seed + i) % SEEDS, instrument, now_ns)
            for i, instrument in enumerate(instruments)
        }
        self.listings: Mapping[str, Listing] = {
            symbol: Listing(one.instrument, one.book) for symbol, one in self._symbols.items()
        }
        self._played = 0

    def start(self, now_ns: int) -> None:
        """Begin: the markets run already."""

    def listen(self, streams: Collection[str]) -> None:
        """Make these streams only."""
        kinds: dict[str, set[str]] = {symbol: set() for symbol in self._symbols}
        for stream in streams:
            name, _, kind = stream.partition("@")
            # Stream names are lower case; a symbol in capitals names no stream.
            if name == name.lower() and name.upper() in kinds:
                kinds[name.upper()].add(kind)
        for symbol, wanted in kinds.items():
            self._symbols[symbol].listen(wanted)

    def wait_ns(self, now_ns: int) -> int | None:
        """Return the time between two ticks."""
        return int(TICK_NS / self._speed)

    def book_ready(self) -> bool:
        """Return True: the books are full from the start."""
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
            update_id=next(iter(self._symbols.values())).book.update_id,
        )

    def poll(self, now_ns: int) -> Sequence[Frame]:
        """Run the markets up to now."""
        market_ns = self._started_ns + int((now_ns - self._started_ns) * self._speed)
        frames: list[Frame] = []
        for symbol in self._symbols.values():
            frames += symbol.poll(market_ns)
            symbol.book.mark(now_ns)
        self._played += len(frames)
        return frames
