"""Every stream -> what the operator wants to know: a passive subscriber to all eight."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mm_runtime.clock import Clock
from mm_runtime.metrics_latency import HOPS
from mm_runtime.settings import RuntimeSettings
from mm_runtime.transport import Transport
from numpy.typing import NDArray

from mmquant.codes import BookState, Reason, Role, ServiceState, Stream, Template
from mmquant.records import FILL, INSTRUMENT, POSITION, PRICING, QUOTES
from mmquant.wire import Inbox

__all__ = ["HOPS", "Beat", "Desk", "Monitor"]

_KEPT_LATENCIES = 200_000
_POLL_LIMIT = 256


@dataclass
class Beat:
    """The last heartbeat of a service, and its counters over all its incarnations."""

    heard_ns: int
    state: ServiceState
    reason: Reason
    resident_bytes: int
    counters: dict[int, dict[str, int]] = field(default_factory=dict)

    def total(self) -> Counter[str]:
        """Return the counters summed over the service's restarts."""
        total: Counter[str] = Counter()
        for counters in self.counters.values():
            total.update(counters)
        return total


@dataclass
class Desk:
    """The newest messages about one instrument; None until one came."""

    instrument: NDArray[Any] | None = None
    pricing: NDArray[Any] | None = None
    quotes: NDArray[Any] | None = None
    bids: list[tuple[int, int]] = field(default_factory=list)
    asks: list[tuple[int, int]] = field(default_factory=list)
    position: NDArray[Any] | None = None
    fills: deque[NDArray[Any]] = field(default_factory=lambda: deque(maxlen=6))


class Monitor:
    """Counts every message, finds holes in the sequences, keeps the newest of each kind.

    Parameters
    ----------
    settings
        How to reach the media driver.
    clock
        For the age of what was heard.
    """

    def __init__(self, settings: RuntimeSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._transport: Transport | None = None
        self._inbox = Inbox()
        self.streams: Counter[int] = Counter()
        self.lost: Counter[int] = Counter()
        self.beats: dict[Role, Beat] = {}
        self.desks: dict[int, Desk] = {}
        self.news: deque[tuple[int, str, str]] = deque(maxlen=8)  # time, who, what
        self.last_words: dict[str, str] = {}  # the newest state change of each, with its text
        self.first_quote_ns = 0
        self.last_quote_ns = 0
        self._latencies = np.zeros((_KEPT_LATENCIES, len(HOPS)), np.int64)
        self.latencies_seen = 0
        self._last_seq: dict[tuple[int, int], int] = {}

    def connect(self) -> None:
        """Subscribe to everything; raises DriverLost where there is no driver."""
        transport = Transport(self._settings)
        handlers = {
            Template.HEARTBEAT: self._on_heartbeat,
            Template.STATE: self._on_state,
            Template.INSTRUMENT: self._on_instrument,
            Template.PRICING: self._on_pricing,
            Template.QUOTES: self._on_quotes,
            Template.FILL: self._on_fill,
            Template.POSITION: self._on_position,
        }
        self._subscribers = [
            transport.subscriber(stream, self._inbox, handlers, on_any=self._on_any)
            for stream in Stream
        ]
        self._transport = transport

    def poll(self) -> int:
        """Take what came; raises DriverLost once the driver is gone."""
        if self._transport is None:
            self.connect()
        assert self._transport is not None
        self._transport.check()
        return sum(subscriber.poll(_POLL_LIMIT) for subscriber in self._subscribers)

    def close(self) -> None:
        """Leave the driver; `poll` connects anew."""
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.close()
            self._last_seq.clear()  # what is sent until the next connection was not lost

    def latencies_ns(self) -> NDArray[np.int64]:
        """Return the kept latencies, a row a quote, a column a hop of `HOPS`."""
        return self._latencies[: min(self.latencies_seen, _KEPT_LATENCIES)]

    def counters(self) -> Counter[str]:
        """Return all services' counters in one."""
        total: Counter[str] = Counter()
        for beat in self.beats.values():
            total.update(beat.total())
        return total

    # messages

    def _on_any(self, stream: int, session: int) -> None:
        self.streams[stream] += 1
        seq = int(self._inbox.words[1])
        key = (stream, session)
        last = self._last_seq.get(key)
        if last is not None and seq > last + 1:
            self.lost[stream] += seq - last - 1
        self._last_seq[key] = seq

    def _desk(self, instrument_id: int) -> Desk:
        return self.desks.setdefault(instrument_id, Desk())

    def _on_heartbeat(self) -> None:
        block = self._inbox.block(Template.HEARTBEAT)[0]
        role = Role(int(block["role"]))
        beat = self.beats.setdefault(role, Beat(0, ServiceState.STARTING, Reason.STARTING, 0))
        beat.heard_ns = self._clock.now_ns()
        beat.state = ServiceState(int(block["state"]))
        beat.reason = Reason(int(block["reason"]))
        beat.resident_bytes = int(block["resident_bytes"])
        beat.counters[int(block["started_ns"])] = {
            row["name"].decode(): int(row["value"])
            for row in self._inbox.group(Template.HEARTBEAT, 0)
        }

    def _on_state(self) -> None:
        block = self._inbox.block(Template.STATE)[0]
        who = Role(int(block["role"])).name.lower()
        if block["instrument_id"]:
            state = BookState(int(block["state"])).name
            who = f"{who} book {block['instrument_id']}"
        else:
            state = ServiceState(int(block["state"])).name
        text = block["text"].decode(errors="replace")
        what = f"{state} {Reason(int(block['reason'])).name}"
        self.last_words[who] = f"{what}: {text}" if text else what
        self.news.append((int(block["now_ns"]), who, self.last_words[who]))

    def _on_instrument(self) -> None:
        block = self._inbox.block(Template.INSTRUMENT)
        self._desk(int(block[0]["instrument_id"])).instrument = _copy(block, INSTRUMENT)

    def _on_pricing(self) -> None:
        block = self._inbox.block(Template.PRICING)
        self._desk(int(block[0]["instrument_id"])).pricing = _copy(block, PRICING)

    def _on_quotes(self) -> None:
        block = self._inbox.block(Template.QUOTES)
        desk = self._desk(int(block[0]["instrument_id"]))
        desk.quotes = _copy(block, QUOTES)
        desk.bids, desk.asks = (
            [(int(row["price_ticks"]), int(row["qty_lots"])) for row in rows]
            for rows in (self._inbox.group(Template.QUOTES, side) for side in (0, 1))
        )
        if desk.bids or desk.asks:
            self.last_quote_ns = self._clock.now_ns()
            self.first_quote_ns = self.first_quote_ns or self.last_quote_ns
        row = desk.quotes[0]
        if row["frame_ns"]:
            slot = self.latencies_seen % _KEPT_LATENCIES
            for column, (start, end) in enumerate(HOPS.values()):
                self._latencies[slot, column] = row[end] - row[start]
            self.latencies_seen += 1

    def _on_fill(self) -> None:
        block = self._inbox.block(Template.FILL)
        self._desk(int(block[0]["instrument_id"])).fills.append(_copy(block, FILL))

    def _on_position(self) -> None:
        block = self._inbox.block(Template.POSITION)
        self._desk(int(block[0]["instrument_id"])).position = _copy(block, POSITION)


def _copy(block: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    kept = np.empty(1, dtype)
    kept[0] = block[0]
    return kept
