"""Keeps what the streams said of books and quotes, to be judged afterwards."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mm_runtime.settings import RuntimeSettings
from mm_runtime.transport import Transport

from mm_cli.followed_book import FollowedBook
from mmquant.codes import BookState, PricingFlag, Role, Stream, Template
from mmquant.wire import Inbox

__all__ = ["BookWord", "PricingWord", "QuotesWord", "Recorder", "Recording", "StateWord"]

_POLL_LIMIT = 256


class BookWord(NamedTuple):
    """A snapshot, delta or best bid and offer of stream 10: what it says of its book."""

    instrument_id: int
    seq: int
    sent_ns: int
    is_live: bool
    update_id: int


class StateWord(NamedTuple):
    """A message of stream 11 about a book."""

    instrument_id: int
    seq: int
    now_ns: int
    state: BookState


class PricingWord(NamedTuple):
    """A message of stream 14; `input_ns` is `sent_ns` of the newest message it is made of."""

    instrument_id: int
    seq: int
    sent_ns: int
    input_ns: int
    is_live: bool


class QuotesWord(NamedTuple):
    """A message of stream 15."""

    instrument_id: int
    seq: int
    sent_ns: int
    pricing_seq: int
    levels: int


@dataclass
class Recording:
    """Everything kept, each stream in its publisher's order."""

    books: list[BookWord] = field(default_factory=list)
    states: list[StateWord] = field(default_factory=list)
    pricing: list[PricingWord] = field(default_factory=list)
    quotes: list[QuotesWord] = field(default_factory=list)


class Recorder:
    """Listens to the streams 10, 11, 14 and 15.

    Parameters
    ----------
    settings
        How to reach the media driver; raises DriverLost where there is none.

    Attributes
    ----------
    recording
        What was heard.
    books
        By instrument: the book as a reader of stream 10 has it.
    instruments
        By instrument: (symbol, tick size, lot size), both in units of 1e-8.
    """

    def __init__(self, settings: RuntimeSettings) -> None:
        self.recording = Recording()
        self.books: dict[int, FollowedBook] = {}
        self.instruments: dict[int, tuple[str, int, int]] = {}
        self._inbox = Inbox()
        self._transport = Transport(settings)
        handlers: dict[Stream, dict[Template, Callable[[], None]]] = {
            # What came of a message before the message: see `poll`.
            Stream.QUOTES: {Template.QUOTES: self._on_quotes},
            Stream.PRICING: {Template.PRICING: self._on_pricing},
            Stream.STATE: {
                Template.STATE: self._on_state,
                Template.INSTRUMENT: self._on_instrument,
            },
            Stream.MARKET_DATA: {
                Template.BOOK_SNAPSHOT: self._on_snapshot,
                Template.BOOK_DELTA: self._on_delta,
                Template.BEST_BID_OFFER: self._on_best_bid_offer,
            },
        }
        self._subscribers = [
            self._transport.subscriber(stream, self._inbox, of_stream)
            for stream, of_stream in handlers.items()
        ]

    def poll(self) -> int:
        """Take all that came; raises DriverLost once the driver is gone.

        Wherever the recording ends, it holds what its messages are made of: quotes are taken
        first, and then, to the last, the prices that were sent before them, and so on.
        """
        self._transport.check()
        count = 0
        for subscriber in self._subscribers:
            while taken := subscriber.poll(_POLL_LIMIT):
                count += taken
        return count

    def close(self) -> None:
        """Leave the driver."""
        self._transport.close()

    # messages

    def _on_snapshot(self) -> None:
        block = self._inbox.block(Template.BOOK_SNAPSHOT)[0]
        is_live = int(block["book_state"]) == BookState.LIVE
        self._keep_book(block, is_live, int(block["last_update_id"]))
        self._book(block).snapshot(
            int(block["epoch"]),
            int(block["last_update_id"]),
            is_live,
            (int(block["known_low_ticks"]), int(block["known_high_ticks"])),
            self._sides(Template.BOOK_SNAPSHOT),
        )

    def _on_delta(self) -> None:
        block = self._inbox.block(Template.BOOK_DELTA)[0]
        self._keep_book(block, True, int(block["last_update_id"]))
        self._book(block).delta(
            int(block["epoch"]),
            int(block["previous_update_id"]),
            int(block["last_update_id"]),
            self._sides(Template.BOOK_DELTA),
        )

    def _on_best_bid_offer(self) -> None:
        block = self._inbox.block(Template.BEST_BID_OFFER)[0]
        self._keep_book(block, True, int(block["update_id"]))

    def _on_state(self) -> None:
        block = self._inbox.block(Template.STATE)[0]
        if block["instrument_id"] and block["role"] == Role.MM_COLLECTOR:
            state = BookState(int(block["state"]))
            word = StateWord(*self._first(block), int(block["now_ns"]), state)
            self.recording.states.append(word)

    def _on_instrument(self) -> None:
        block = self._inbox.block(Template.INSTRUMENT)[0]
        sizes = int(block["tick_size_e8"]), int(block["lot_size_e8"])
        self.instruments[int(block["instrument_id"])] = (block["symbol"].decode(), *sizes)

    def _on_pricing(self) -> None:
        block = self._inbox.block(Template.PRICING)[0]
        times = int(block["sent_ns"]), int(block["collector_sent_ns"])
        is_live = bool(int(block["flags"]) & PricingFlag.LIVE)
        self.recording.pricing.append(PricingWord(*self._first(block), *times, is_live))

    def _on_quotes(self) -> None:
        block = self._inbox.block(Template.QUOTES)[0]
        levels = sum(len(self._inbox.group(Template.QUOTES, side)) for side in (0, 1))
        numbers = int(block["sent_ns"]), int(block["pricing_seq"])
        self.recording.quotes.append(QuotesWord(*self._first(block), *numbers, levels))

    # inner works

    def _keep_book(self, block: Any, is_live: bool, update_id: int) -> None:
        word = BookWord(*self._first(block), int(block["sent_ns"]), is_live, update_id)
        self.recording.books.append(word)

    def _first(self, block: Any) -> tuple[int, int]:
        return int(block["instrument_id"]), int(block["seq"])

    def _book(self, block: Any) -> FollowedBook:
        return self.books.setdefault(int(block["instrument_id"]), FollowedBook())

    def _sides(self, template: Template) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        bids, asks = (self._inbox.group(template, side).tolist() for side in (0, 1))
        return bids, asks
