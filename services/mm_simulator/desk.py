"""One instrument at the paper venue: its book, our orders, our account, the bracket beside."""

from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
from mm_runtime.agent import CannotStart
from mm_runtime.settings import SimulatorSettings
from numpy.typing import NDArray

from mmquant.account_settings import AccountKind, Funding, account_of, inverse_scale_at
from mmquant.codes import BookCode, BookState, Market, Reason, Template
from mmquant.kernels.funding import simulator_on_funding
from mmquant.kernels.latency import simulator_respond
from mmquant.kernels.simulator import (
    simulator_advance,
    simulator_cancel_all,
    simulator_on_book,
    simulator_on_market,
    simulator_on_quotes,
    simulator_on_trade,
    simulator_position,
)
from mmquant.records import LEVEL, POSITION
from mmquant.simulator import recorded_latencies, simulator_params, simulator_state
from mmquant.state import BOOK, EVENT, MAX_EVENTS, MAX_LATE_FILLS, MAX_LEVELS, NEVER_NS

__all__ = ["Book", "Desk", "Paid", "Told"]

_MS = 1_000_000
_FEED = ("clock", "clock_ahead_ns", "feed_latency_ns")  # what the main book learns of the feed
_SUMS = ("fees_micro_tick_lots", "funding_micro_tick_lots", "cash_half_tick_lots")
_MOST_SUM = 2**62
_MOST_FUNDINGS = 64  # at once: after a long stop the others follow a turn later


@dataclass(slots=True)
class Book:
    """Orders and account under one fill model."""

    name: str
    params: NDArray[Any]
    sim: NDArray[Any]
    account: NDArray[Any]
    events: NDArray[Any]  # of one call

    @property
    def venue(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """What every kernel takes first."""
        return self.sim, self.account, self.params


@dataclass(frozen=True, slots=True)
class Told:
    """What is on its way to the trader: an event, or the position that a fill led to."""

    known_ns: int
    release_ns: int  # of the machine's clock: at the latest, where the market stands still
    record: np.void
    is_position: bool


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment of funding."""

    time_ns: int
    rate_e8: int
    price_half_ticks: int
    position_lots: int
    funding_micro_tick_lots: int  # received, negative where paid


class Desk:
    """Everything the simulator keeps of one instrument.

    Parameters
    ----------
    instrument : ndarray of records.INSTRUMENT, shape (1,)
    config : SimulatorSettings

    Raises
    ------
    CannotStart
        Where the account that is wanted is none of this instrument.
    """

    def __init__(self, instrument: NDArray[Any], config: SimulatorSettings) -> None:
        self.instrument = instrument
        row = instrument[0]
        self.instrument_id = int(row["instrument_id"])
        self.market = Market(int(row["market"]))
        self.key = f"{self.market.name.lower()}:{row['symbol'].decode()}"
        self._values = msgspec.to_builtins(config)
        self.kind, self._funding = self._account_of()
        self.kept_kind: AccountKind | None = None  # as the ledger has it
        self._needs_scale = self.kind.inverse_scale > 0
        self.main = self._book_of("main", config, config.fill_model)
        bracket = config.bracket
        models = {
            "optimistic": bracket.optimistic,
            "central": bracket.central,
            "pessimistic": bracket.pessimistic,
        }
        self.bracket = [
            self._book_of(name, config, model) for name, model in models.items() if bracket.enabled
        ]
        self.book = np.zeros(1, BOOK)
        self.recorded = recorded_latencies(())
        self.levels = np.zeros(2 * MAX_LEVELS, LEVEL)
        self.pending: list[np.void] = []
        self.paid: list[Paid] = []
        self._due_ns = 0  # not known before the market's time is
        self.is_of_now = False  # the market's clock is ours: it is no replay
        self._paid_ns = 0  # the last of them
        self.outbox: deque[Told] = deque()
        self._unheard: deque[tuple[int, int]] = deque(maxlen=MAX_LATE_FILLS)  # fill id, known_ns
        self._told: deque[tuple[int, int]] = deque(maxlen=MAX_LATE_FILLS)  # position seq, fill id
        self.has_fills = False
        self.position_ns = 0
        self.next_request_ns = 0

    def _account_of(self, *scale: int) -> tuple[AccountKind, Funding]:
        try:
            return account_of(self._values, self.instrument, *scale)
        except ValueError as error:
            raise CannotStart(str(error)) from None

    def _count_in(self, scale: int) -> None:
        """Count an inverse contract's coins in parts of this size from here on."""
        self._needs_scale = False
        self.kind, _ = self._account_of(scale)
        for one in self._all():
            self.kind.put(one.account)

    def _book_of(self, name: str, config: SimulatorSettings, model: str) -> Book:
        fees = config.fees
        maker, taker = (
            (fees.spot_maker_ppm, fees.spot_taker_ppm)
            if self.market is Market.SPOT
            else (fees.usdm_maker_ppm, fees.usdm_taker_ppm)
        )
        params = simulator_params(
            entry_latency_ns=round(config.entry_latency_ms * _MS),
            cancel_latency_ns=round(config.cancel_latency_ms * _MS),
            response_latency_ns=round(config.response_latency_ms * _MS),
            entry_jitter=config.entry_jitter,
            cancel_jitter=config.cancel_jitter,
            response_jitter=config.response_jitter,
            markout_horizon_ns=round(config.markout_horizon_ms * _MS),
            maker_fee_ppm=maker,
            taker_fee_ppm=taker,
            fill_model=model,
            queue_power=config.queue_power,
            fill_probability_factor=config.fill_probability_factor,
        )
        sim = simulator_state(seed=config.seed)
        sim[0]["instrument_id"] = self.instrument_id
        return Book(name, params, sim, self.kind.empty(), np.zeros(MAX_EVENTS, EVENT))

    @property
    def now_ns(self) -> int:
        """The market's clock."""
        return int(self.main.sim[0]["now_ns"])

    @property
    def funded_ns(self) -> int:
        """The time up to which funding is booked."""
        return max(self._paid_ns, min(self.now_ns, self._due_ns - 1))

    def resume(self, account: NDArray[Any], next_order_id: int, funded_ns: int) -> None:
        """Go on where an earlier session ended; `funded_ns` 0: it knew of no funding."""
        scale = int(account[0]["inverse_scale"])
        if self._needs_scale and scale and account[0]["mark_half_ticks"]:
            self._count_in(scale)
        self.kind.put(account)
        self.main.account = account
        self.main.sim[0]["next_order_id"] = next_order_id
        for one in self._all():
            one.sim[0]["now_ns"] = max(self.now_ns, int(account[0]["now_ns"]))
        if funded_ns:
            self._due_ns = self._funding.after(funded_ns)

    def fund(self, now_ns: int) -> None:
        """Book the funding that is due up to `now_ns`, before anything else of that time."""
        if now_ns < self._due_ns:
            return
        if self._funding.rate_e8 == 0 or self._due_ns == 0:
            self._due_ns = self._funding.after(now_ns)
            return
        for _ in range(_MOST_FUNDINGS):
            if now_ns < self._due_ns:
                return
            self._pay(self._due_ns)
            self._paid_ns = self._due_ns
            self._due_ns = self._funding.after(self._due_ns)

    def check_range(self) -> None:
        """Refuse to go on where the account's sums come near to what integers of 64 bits hold.

        Raises
        ------
        CannotStart
            Before anything wrong is written or told.
        """
        for name in _SUMS:
            if abs(int(self.main.account[0][name])) > _MOST_SUM:
                raise CannotStart(
                    f"{self.key}: {name} is near the end of its range: begin another ledger, or "
                    "count in a larger tick, lot or contract"
                )

    def _pay(self, due_ns: int) -> None:
        rate_e8 = self._funding.rate_e8
        for one in self._all():
            received, n = simulator_on_funding(*one.venue, self.book, rate_e8, due_ns, one.events)
            self._keep(one, n)
            if one is self.main:
                a = one.account[0]
                amounts = (int(a["mark_half_ticks"]), int(a["position_lots"]), int(received))
                self.paid.append(Paid(due_ns, rate_e8, *amounts))

    def on_quotes(self, block: NDArray[Any]) -> None:
        """Want what `levels` holds; `block` is the records.QUOTES that told of it.

        They rest on the position that they name: of a fill behind that one they know nothing,
        even where it is told by now.
        """
        heard_ns = self._heard_ns(int(block[0]["position_seq"]))
        self.fund(int(block[0]["now_ns"]))
        for one in self._all():
            n = simulator_on_quotes(
                *one.venue,
                self.instrument,
                self.book,
                self.recorded,
                block,
                self.levels,
                int(block[0]["now_ns"]),
                heard_ns,
                one.events,
            )
            self._keep(one, n)

    def _heard_ns(self, position_seq: int) -> int:
        """Return up to when who knows of this position has heard all fills."""
        while self._told and self._told[0][0] <= position_seq:
            _, fill_id = self._told.popleft()
            while self._unheard and self._unheard[0][0] <= fill_id:
                self._unheard.popleft()
        return self._unheard[0][1] - 1 if self._unheard else NEVER_NS

    def note_told(self, position_seq: int, position: np.void) -> None:
        """Keep by which position the strategy will know of which fills."""
        fill_id = int(position["last_fill_id"])
        if self._unheard and not (self._told and self._told[-1][1] == fill_id):
            self._told.append((position_seq, fill_id))

    def on_market(self, words: NDArray[Any]) -> BookCode:
        """Take in a message of the market data stream, and say what the book made of it."""
        now_ns = int(words[2])
        self.fund(now_ns)
        # What is due before still meets the book as it was.
        before = [
            simulator_advance(*one.venue, self.book, now_ns - 1, one.events, 0)
            for one in self.bracket
        ]
        main = self.main
        code, n = simulator_on_market(*main.venue, self.book, words, main.events)
        self._keep(main, n)
        if self._needs_scale and main.account[0]["mark_half_ticks"] > 0:  # nothing is held yet
            self._count_in(inverse_scale_at(int(main.account[0]["mark_half_ticks"])))
        book = self.book[0]
        is_taken = code == BookCode.OK and book["synced"] and book["book_state"] == BookState.LIVE
        at = (int(main.sim[0]["now_ns"]), int(main.sim[0]["book_ns"]))
        for one, n in zip(self.bracket, before, strict=True):
            for field in _FEED:
                one.sim[0][field] = main.sim[0][field]
            if is_taken:
                n = simulator_on_book(*one.venue, self.book, *at, one.events, n)
            else:
                n = simulator_advance(*one.venue, self.book, at[0], one.events, n)
            self._keep(one, n)
        return BookCode(code)

    def on_trade(self, trade: np.void) -> None:
        """Take in a trade (records.TRADE)."""
        self.fund(int(trade["now_ns"]))
        for one in self._all():
            n = simulator_on_trade(
                *one.venue,
                self.book,
                int(trade["price_ticks"]),
                int(trade["qty_lots"]),
                int(trade["aggressor"]),
                int(trade["trade_id"]),
                int(trade["now_ns"]),
                int(trade["venue_ns"]),
                one.events,
            )
            self._keep(one, n)

    def cancel_all(self, reason: Reason) -> None:
        """End every order at once."""
        for one in self._all():
            n = simulator_cancel_all(*one.venue, self.book, self.now_ns, int(reason), one.events)
            self._keep(one, n)

    def position(self, one: Book, out: NDArray[Any]) -> None:
        """Fill `out` (records.POSITION, shape (1,)), all but `seq`."""
        simulator_position(one.sim, one.account, self.now_ns, out)

    def balances(self) -> dict[str, Decimal]:
        """Return what a spot account holds of base, quote and third asset; of contracts nothing."""
        if self.kind.kind != "spot":
            return {}
        return self.kind.balances(self.main.account, self.instrument)

    def tell_later(self, event: np.void, now_ns: int) -> None:
        """Put an event on its way to the trader."""
        delay = int(event["known_ns"]) - int(event["now_ns"])
        self.outbox.append(Told(int(event["known_ns"]), now_ns + delay, event, False))

    def tell_position_later(self, now_ns: int) -> None:
        """Put the position behind the newest event on its way, as it is now."""
        out = np.zeros(1, POSITION)
        self.position(self.main, out)
        last = self.outbox[-1] if self.outbox else None
        known_ns, release_ns = (last.known_ns, last.release_ns) if last else (0, now_ns)
        self.outbox.append(Told(known_ns, release_ns, out[0], True))

    def is_due(self, now_ns: int) -> bool:
        """Tell whether something has reached the trader."""
        if not self.outbox:
            return False
        first = self.outbox[0]
        return first.known_ns <= self.now_ns or first.release_ns <= now_ns

    def warm_up(self) -> None:
        """Call what the bracket and a report call, with nothing in it."""
        for one in self.bracket:
            simulator_on_book(*one.venue, self.book, 0, 0, one.events, 0)
        simulator_respond(self.main.sim, self.main.params, self.recorded, self.main.events, 0)
        self._pay(1)

    def _all(self) -> list[Book]:
        return [self.main, *self.bracket]

    def _keep(self, one: Book, count: int) -> None:
        """Let what happened be answered; what happened to the main book is told."""
        if count == 0:
            return
        simulator_respond(one.sim, one.params, self.recorded, one.events, count)
        if one is not self.main:
            return
        for event in one.events[:count].copy():
            self.pending.append(event)
            if event["template_id"] == Template.FILL:
                self.has_fills = True
                self._unheard.append((int(event["fill_id"]), int(event["known_ns"])))
