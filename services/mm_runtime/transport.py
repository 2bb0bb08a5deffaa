"""Aeron for the services: publishers that never spin, subscribers that decode in place.

The only module that imports the Aeron binding. A refused offer is a value here, not an
exception: what waits, what is conflated and what is dropped is the publisher's policy, and all
of it is counted.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pyaeron

from mm_runtime.agent import Idle
from mm_runtime.channels import publication_channel, subscription_channels
from mm_runtime.settings import IdleSettings, RuntimeSettings
from mmquant.codes import Stream, Template
from mmquant.wire import Inbox, MessageBuffer

__all__ = ["DriverLost", "Publisher", "Subscriber", "Transport", "make_idle"]

log = logging.getLogger(__name__)

_DRIVER_ERRORS = (pyaeron.AeronError, pyaeron.DriverTimeout)
_INSTRUMENT = slice(24, 28)  # of a message, behind its header, its number and its time
_BIG_STREAMS = {Stream.MARKET_DATA: "market_data_bytes", Stream.TRADES: "trades_bytes"}


class DriverLost(Exception):
    """The media driver is gone or has given this client up; connect anew."""


class Publisher:
    """One stream's publication, with a bounded queue for what the stream refuses.

    Parameters
    ----------
    publication
        An exclusive Aeron publication.
    queue_limit
        Messages kept while the stream refuses. With 0 a refused message is dropped.
    conflate
        Keep only the newest refused message of each instrument (latest wins): right where a
        message replaces the one before it.
    """

    def __init__(
        self, publication: pyaeron.ExclusivePublication, queue_limit: int, conflate: bool = False
    ) -> None:
        self._publication = publication
        self._queue: deque[bytes] = deque()
        self._queue_limit = queue_limit
        self._conflate = conflate
        self.seq = 0
        self.sent = 0
        self.back_pressured = 0
        self.conflated = 0
        self.dropped = 0
        self.unheard = 0

    @property
    def session_id(self) -> int:
        """Aeron's number of this publication, which subscribers see with each message."""
        return int(self._publication.session_id)

    @property
    def blocked(self) -> bool:
        """Whether earlier messages still wait for the stream."""
        return bool(self._queue)

    @property
    def queued(self) -> int:
        """How many messages wait for the stream."""
        return len(self._queue)

    def next_seq(self) -> int:
        """Return the sequence number of the next message and take it."""
        self.seq += 1
        return self.seq

    def offer(self, message: MessageBuffer) -> bool:
        """Send `message` now or queue it; False if it was dropped (counted)."""
        if self._queue:
            self.flush()
        if not self._queue and self._try(message.payload()):
            return True
        return self._enqueue(bytes(message.payload()))

    def flush(self) -> int:
        """Send what waits, oldest first, until refused again; return how many went."""
        sent = 0
        while self._queue and self._try(self._queue[0]):
            self._queue.popleft()
            sent += 1
        return sent

    def close(self) -> None:
        """Close the publication."""
        self._publication.close()

    def _try(self, payload: bytes | memoryview) -> bool:
        try:
            answer = self._publication.offer(payload)
            if answer == pyaeron.ADMIN_ACTION:
                # The term was full, and that offer has begun the next one: there is room now.
                answer = self._publication.offer(payload)
        except pyaeron.PublicationClosed as error:
            raise DriverLost(str(error)) from error
        if answer:
            self.sent += 1
            return True
        if answer == pyaeron.NOT_CONNECTED:
            self.unheard += 1  # nobody subscribes: the same as sent, and counted apart
            return True
        self.back_pressured += 1
        return False

    def _enqueue(self, payload: bytes) -> bool:
        if self._conflate:
            for k, waiting in enumerate(self._queue):
                if waiting[_INSTRUMENT] == payload[_INSTRUMENT]:
                    del self._queue[k]  # and the newest goes last: numbers never go back
                    self.conflated += 1
                    break
        elif len(self._queue) >= self._queue_limit:
            self.dropped += 1
            return False
        self._queue.append(payload)
        return True


class Subscriber:
    """One stream's subscription: decodes each message into a reused inbox and dispatches it.

    Parameters
    ----------
    subscriptions
        Aeron's subscriptions to the stream: one for each channel it comes on.
    inbox
        Where messages are copied to before they are handled; may be shared by the subscribers
        of one agent, which handles one message at a time.
    handlers
        What to call for each template; others are ignored.
    on_any
        Called first for every message that can be read, with stream and session id.
    on_bytes
        Called before that for every message, also one that cannot be read, with stream and
        session id and a copy of its bytes.
    """

    def __init__(
        self,
        subscriptions: Sequence[pyaeron.Subscription],
        inbox: Inbox,
        handlers: Mapping[Template, Callable[[], None]],
        on_any: Callable[[int, int], None] | None = None,
        on_bytes: Callable[[int, int, bytes], None] | None = None,
    ) -> None:
        # One handler object for good for each: the binding keeps half assembled messages with the
        # handler it was given, and a bound method is a new object each time it is looked up.
        self._sources = [(each, partial(self._on_fragment)) for each in subscriptions]
        self._on_any = on_any
        self._on_bytes = on_bytes
        self._handlers = {int(template): handler for template, handler in handlers.items()}
        self._receive = inbox.receive
        self.received = 0
        self.malformed = 0

    def poll(self, limit: int) -> int:
        """Handle up to `limit` fragments of each channel; return how many there were."""
        count = 0
        for subscription, handler in self._sources:
            count += subscription.poll(handler, limit)
        return count

    def close(self) -> None:
        """Close the subscriptions."""
        for subscription, _ in self._sources:
            subscription.close()

    def _on_fragment(self, buffer: pyaeron.BufferView, header: pyaeron.Header) -> None:
        if self._on_bytes is not None:
            self._on_bytes(header.stream_id, header.session_id, bytes(buffer))
        template = self._receive(buffer)
        if template == 0:
            self.malformed += 1
            return
        self.received += 1
        if self._on_any is not None:
            self._on_any(header.stream_id, header.session_id)
        handler = self._handlers.get(template)
        if handler is not None:
            handler()


class Transport:
    """The process's client of the media driver.

    Raises
    ------
    DriverLost
        From the constructor where no driver answers, later from `check`.
    """

    def __init__(self, settings: RuntimeSettings) -> None:
        self._settings = settings.aeron
        self.directory = settings.aeron_directory()
        self._lost = ""
        self._publishers: list[Publisher] = []
        self._subscribers: list[Subscriber] = []
        timeout_ms = self._settings.driver_timeout_ms
        if not is_driver_alive(self.directory, timeout_ms):
            raise DriverLost(f"no media driver is running in {self.directory}")
        context = pyaeron.Context(
            dir=str(self.directory), driver_timeout_ms=timeout_ms, error_handler=self._on_error
        )
        try:
            self._client = pyaeron.Aeron(context=context)
        except _DRIVER_ERRORS as error:
            raise DriverLost(f"cannot reach the driver in {self.directory}: {error}") from error

    def publisher(self, stream: Stream, queue_limit: int, conflate: bool = False) -> Publisher:
        """Add this process's publication of `stream`."""
        terms = self._settings.terms
        length = getattr(terms, _BIG_STREAMS.get(stream, "other_bytes"))
        channel = publication_channel(self._settings, length, stream.name.lower())
        try:
            publication = self._client.add_exclusive_publication(channel, int(stream))
        except _DRIVER_ERRORS as error:
            raise DriverLost(f"no publication of {stream.name}: {error}") from error
        publisher = Publisher(publication, queue_limit, conflate)
        self._publishers.append(publisher)
        return publisher

    def subscriber(
        self,
        stream: Stream,
        inbox: Inbox,
        handlers: Mapping[Template, Callable[[], None]],
        on_any: Callable[[int, int], None] | None = None,
        on_bytes: Callable[[int, int, bytes], None] | None = None,
    ) -> Subscriber:
        """Subscribe to `stream`; see Subscriber for the arguments."""
        try:
            subscriptions = [
                self._client.add_subscription(channel, int(stream))
                for channel in subscription_channels(self._settings)
            ]
        except _DRIVER_ERRORS as error:
            raise DriverLost(f"no subscription of {stream.name}: {error}") from error
        subscriber = Subscriber(subscriptions, inbox, handlers, on_any, on_bytes)
        self._subscribers.append(subscriber)
        return subscriber

    def check(self) -> None:
        """Raise DriverLost if the driver has gone since the last call."""
        if self._lost:
            raise DriverLost(self._lost)

    def close(self) -> None:
        """Close everything that was opened here."""
        for publisher in self._publishers:
            publisher.close()
        for subscriber in self._subscribers:
            subscriber.close()
        self._client.close()

    def _on_error(self, code: int, message: str) -> None:
        # Called by the client's conductor: it must not raise; `check` tells the agent's thread.
        # The first line says it all; the rest is the C library's call stack.
        self._lost = f"{message.strip().splitlines()[0] if message.strip() else code}"


def is_driver_alive(directory: Path, timeout_ms: int) -> bool:
    """Return whether a media driver's heartbeat in `directory` is younger than the timeout."""
    return bool(pyaeron.is_driver_active(str(directory), timeout_ms))


def shared_memory_bytes(directory: Path) -> int:
    """Return the bytes really in use by a driver's files (they are sparse)."""
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:  # a log buffer that was just released
            continue
    return total


def make_idle(settings: IdleSettings) -> Idle:
    """Return the configured idle strategy (all of them drop the interpreter's lock)."""
    strategy = pyaeron.IdleStrategy
    park_ns = settings.max_park_us * 1000
    idle: Idle
    match settings.strategy:
        case "busy_spin":
            idle = strategy.busy_spin()
        case "yield":
            idle = strategy.yielding()
        case "sleep":
            idle = strategy.sleeping(park_ns)
        case _:
            idle = strategy.backoff(max_park_ns=park_ns)
    return idle
