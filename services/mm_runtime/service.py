"""What every service shares: its streams, heartbeats, state changes and knowledge of its peers."""

import logging
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mm_runtime.clock import Clock
from mm_runtime.journal import Journal, Phase, WrittenJournal, journal_path
from mm_runtime.metrics_table import Sample
from mm_runtime.session_file import SessionWriter
from mm_runtime.session_version import own_version
from mm_runtime.settings import RuntimeSettings
from mm_runtime.transport import DriverLost, Publisher, Subscriber, Transport
from mmquant.codes import BookState, Reason, RequestKind, Role, ServiceState, Stream, Template
from mmquant.wire import Inbox, MessageBuffer

__all__ = ["Peer", "Service"]

_MAX_COUNTERS = 96
_POLL_LIMIT = 64
_MS = 1_000_000
_MEGABYTE = 1_000_000


@dataclass
class Peer:
    """What the last heartbeat of another service said, and when it came (our clock)."""

    heard_ns: int
    state: ServiceState
    reason: Reason
    lag_ns: int = 0


class Service(ABC):
    """Base of the services: an agent with a role.

    A subclass opens its streams in `start`, does its work in `duty` and releases what it
    holds in `stop`. It counts what happens in `counters`, which travel with the heartbeat.

    Attributes
    ----------
    needs_peers, needs_streams
        Without whose heartbeats and on which silent streams the service is unhealthy. A peer
        that is started later than the service does not belong here.
    is_journalled
        Whether it writes down its inputs where sessions are recorded. Such a service reads the
        time from `clock` alone, files and databases through `outside`, and calls `matters` where
        it changes, without a message and without sending, what a later output depends on.
    journal
        Where it writes them; None where no session is recorded.
    config, config_dir
        The service's own settings, and where they came from if it needs to know.
    must_be_ready
        Whether the service is unhealthy where it is not READY for longer than the grace.
    turns, longest_turn_ns
        Turns of the loop, and the longest time from one to the next; who reads the latter
        sets it to 0 again.
    """

    role: Role
    needs_peers: tuple[Role, ...] = ()
    needs_streams: tuple[Stream, ...] = ()
    must_be_ready = False
    is_journalled = False
    config: Any = None
    config_dir: Path | None = None

    def __init__(
        self,
        settings: RuntimeSettings,
        clock: Clock,
        connect: Callable[[RuntimeSettings], Transport] = Transport,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.log = logging.getLogger(self.role.name.lower())
        self.counters: Counter[str] = Counter()
        self.peers: dict[Role, Peer] = {}
        self.state = ServiceState.STARTING
        self.reason = Reason.STARTING
        self.text = ""
        self.state_since_ns = clock.now_ns()
        self.was_ready_ns = 0  # when the service was last READY and is no more; 0: never
        self.state_changes: Counter[tuple[ServiceState, Reason]] = Counter()
        self.turns = 0
        self.longest_turn_ns = 0
        self._turn_ns = 0
        self.lag_ns = 0
        self.inbox = Inbox()
        self.connect = connect
        self.journal: Journal | None = None
        self._has_mattered = False
        self._alive: dict[Role, bool] = {}
        self._bus: Transport | None = None
        self._publishers: dict[Stream, Publisher] = {}
        self._subscribers: list[Subscriber] = []
        self._by_stream: dict[Stream, Subscriber] = {}
        self._paced: list[Subscriber] = []
        self.waits = settings.aeron.when_blocked == "wait"
        self._heartbeat = MessageBuffer(Template.HEARTBEAT, (_MAX_COUNTERS,))
        self._state = MessageBuffer(Template.STATE)
        self._request = MessageBuffer(Template.REQUEST)
        self._interval_ns = settings.heartbeats.interval_ms * _MS
        self._timeout_ns = settings.heartbeats.timeout_ms * _MS
        self._next_heartbeat_ns = 0
        self._started_ns = clock.now_ns()

    # what a subclass provides

    def start(self) -> None:  # noqa: B027 - not every service has more to open
        """Open streams and warm up."""

    @abstractmethod
    def duty(self, now_ns: int) -> int:
        """Do the service's own work; return how much was done."""

    def stop(self) -> None:  # noqa: B027 - nor to release
        """Release what `start` acquired."""

    def fault(self) -> str:
        """Return what is wrong with the service itself, "" where nothing is.

        Called from another thread, like `samples`: both only read.
        """
        return ""

    def samples(self) -> Iterator[Sample]:
        """Give the metrics that only this service has; see `metrics_table`."""
        yield from ()

    # what a subclass uses

    def publish_on(self, stream: Stream, queue_limit: int, conflate: bool = False) -> Publisher:
        """Open this service's publication of `stream`."""
        publisher = self._transport().publisher(stream, queue_limit, conflate)
        self._publishers[stream] = publisher
        if self.journal is not None:
            self.journal.publication(stream, publisher.session_id)
        return publisher

    def publisher(self, stream: Stream) -> Publisher:
        """Return the publication that was opened of `stream`."""
        return self._publishers[stream]

    def subscribe(
        self,
        stream: Stream,
        handlers: Mapping[Template, Callable[[], None]],
        paced: bool = False,
    ) -> None:
        """Handle the messages of `stream`, polled once a turn in the order of subscribing.

        A paced stream is left to wait while `poll` is told that the output is blocked, where
        the configuration says that nothing may be lost (`when_blocked = "wait"`).
        """
        heard = None if self.journal is None else self._on_bytes
        subscriber = self._transport().subscriber(stream, self.inbox, handlers, on_bytes=heard)
        (self._paced if paced else self._subscribers).append(subscriber)
        self._by_stream[stream] = subscriber

    def poll(self, blocked: bool = False) -> int:
        """Poll every subscription once; return the number of messages handled."""
        return self.poll_heartbeats() + self.poll_others(blocked)

    def poll_heartbeats(self) -> int:
        """Poll the heartbeats, for a service that must know who is there before all else."""
        return self._subscribers[0].poll(_POLL_LIMIT)  # subscribed to first

    def poll_others(self, blocked: bool = False) -> int:
        """Poll everything but the heartbeats."""
        work = 0
        for subscriber in self._subscribers[1:]:
            work += subscriber.poll(_POLL_LIMIT)
        if not (blocked and self.waits):
            for subscriber in self._paced:
                work += subscriber.poll(_POLL_LIMIT)
        return work

    def request(self, kind: RequestKind, instrument_id: int = 0) -> None:
        """Ask on the state stream; instrument 0 stands for all of them."""
        publisher = self._publishers[Stream.STATE]
        block = self._request.block[0]
        block["seq"], block["now_ns"] = publisher.next_seq(), self.clock.now_ns()
        block["instrument_id"], block["role"], block["kind"] = instrument_id, self.role, kind
        publisher.offer(self._request)

    def on_heartbeat(self) -> None:
        """Note what another service says of itself."""
        beat = self.inbox.block(Template.HEARTBEAT)[0]
        role = Role(int(beat["role"]))
        if role is not self.role:
            state, reason = ServiceState(int(beat["state"])), Reason(int(beat["reason"]))
            self.peers[role] = Peer(self.clock.now_ns(), state, reason, int(beat["lag_ns"]))

    def is_alive(self, role: Role, now_ns: int) -> bool:
        """Return whether `role` has been heard of lately and has not said goodbye."""
        peer = self.peers.get(role)
        alive = (
            peer is not None
            and abs(now_ns - peer.heard_ns) <= self._timeout_ns  # a clock may go back
            and peer.state is not ServiceState.STOPPED
        )
        if self._alive.get(role) is not alive:
            self._alive[role] = alive
            self._has_mattered = True
        return alive

    def matters(self) -> None:
        """Say that this turn changes what later outputs depend on: the journal must have it."""
        self._has_mattered = True

    def outside(self, fetch: Callable[[], bytes]) -> bytes:
        """Return what `fetch` reads from a file or a database, with the journal's knowledge."""
        return fetch() if self.journal is None else self.journal.outside(fetch)

    def set_state(self, state: ServiceState, reason: Reason, text: str = "") -> None:
        """Publish and log a change of this service's state; no change, no message."""
        self.text = text
        if (state, reason) == (self.state, self.reason):
            return
        now_ns = self.clock.now_ns()
        if self.state is ServiceState.READY:
            self.was_ready_ns = now_ns
        self.state, self.reason, self.state_since_ns = state, reason, now_ns
        self.state_changes[state, reason] += 1
        level = logging.INFO if state is ServiceState.READY else logging.WARNING
        self.log.log(level, "%s: %s %s", state.name, reason.name, text)
        self._publish_state(0, 0, state, reason, text)
        self._next_heartbeat_ns = 0  # the heartbeat says it at once, too

    def say(self, level: int, text: str) -> None:
        """Log and publish something the operator must know while the state stays as it is."""
        self.log.log(level, "%s", text)
        self._publish_state(0, 0, self.state, self.reason, text)

    def publish_book_state(
        self, instrument_id: int, epoch: int, state: BookState, reason: Reason, text: str
    ) -> None:
        """Publish and log a change of one instrument's book state."""
        level = logging.INFO if state is not BookState.GAP else logging.WARNING
        self.log.log(level, "book %d %s: %s %s", instrument_id, state.name, reason.name, text)
        self._publish_state(instrument_id, epoch, state, reason, text)

    # what the watching thread reads

    def subscribers(self) -> dict[Stream, Subscriber]:
        """Return the subscriptions by stream."""
        return dict(self._by_stream)

    def publishers(self) -> dict[Stream, Publisher]:
        """Return the publications by stream."""
        return dict(self._publishers)

    # the agent

    def on_start(self) -> None:
        """Connect to the media driver and start the service."""
        self._bus = self.connect(self.settings)
        if self.journal is None and self.is_journalled and self.settings.session.directory:
            self.journal = self._open_journal(Path(self.settings.session.directory))
        if self.journal is None:
            self._open()
            return
        self.clock = self.journal
        self._journalled(Phase.START, self._open)

    def _open(self) -> None:
        self.publish_on(Stream.HEARTBEATS, queue_limit=16)
        self.publish_on(Stream.STATE, queue_limit=256)
        self.subscribe(Stream.HEARTBEATS, {Template.HEARTBEAT: self.on_heartbeat})
        self._publish_state(0, 0, self.state, self.reason, "")
        self.start()

    def do_work(self) -> int:
        """Do one turn: queues, duty, heartbeat."""
        self._transport().check()
        return self._turn() if self.journal is None else self._journalled(Phase.WORK, self._turn)

    def _turn(self) -> int:
        now_ns = self.clock.now_ns()
        if self.turns and now_ns - self._turn_ns > self.longest_turn_ns:
            self.longest_turn_ns = now_ns - self._turn_ns
        self._turn_ns = now_ns
        self.turns += 1
        work = 0
        for publisher in self._publishers.values():
            if publisher.blocked:
                work += publisher.flush()
        work += self.duty(now_ns)
        if now_ns >= self._next_heartbeat_ns:
            self._next_heartbeat_ns = now_ns + self._interval_ns
            self._beat(now_ns)
        return work

    def on_close(self) -> None:
        """Say goodbye, so that nobody waits for a timeout, and release everything."""
        bus = self._bus
        if bus is None:
            return
        try:
            if self.journal is None:
                self._say_goodbye(bus)
            else:
                self._journalled(Phase.CLOSE, lambda: self._say_goodbye(bus))
        except DriverLost as error:  # nobody is left to tell
            self.log.warning("closing without a goodbye: %s", error)
        finally:
            if self.journal is not None:
                self.journal.close(self._last_words())
            bus.close()

    # inner works

    def _say_goodbye(self, bus: Transport) -> None:
        self.stop()
        bus.check()
        if Stream.STATE not in self._publishers:  # it failed before anybody had heard of it
            return
        self.set_state(ServiceState.STOPPED, Reason.STOPPING)
        self._beat(self.clock.now_ns())

    def _open_journal(self, directory: Path) -> Journal:
        limits, now_ns = self.settings.session, self.clock.now_ns()
        writer = SessionWriter(
            journal_path(directory, self.role.name.lower(), now_ns, os.getpid()),
            limits.max_queue_megabytes * _MEGABYTE,
            limits.min_free_megabytes * _MEGABYTE,
        )
        opened = {
            "service": self.role.name.lower(),
            "pid": os.getpid(),
            **own_version(),
            "runtime": msgspec.to_builtins(self.settings),
            "config": msgspec.to_builtins(self.config),
            "config_dir": str(self.config_dir.resolve()) if self.config_dir else "",
        }
        return WrittenJournal(self.clock, writer, opened)

    def _journalled[T](self, phase: Phase, work: Callable[[], T]) -> T:
        journal = self.journal
        assert journal is not None
        journal.begin(phase)
        before = self._sent_so_far()
        self._has_mattered = False
        done = False
        try:
            result = work()
            done = True
        finally:
            # What was done before a fault may have been sent, too.
            sent = self._sent_so_far() != before
            matters = sent or self._has_mattered or phase is not Phase.WORK
            journal.end(matters, failed=not done)
        return result

    def _sent_so_far(self) -> int:
        return sum(publisher.seq for publisher in self._publishers.values())

    def _on_bytes(self, stream: int, session: int, message: bytes) -> None:
        assert self.journal is not None
        self._has_mattered = True
        self.journal.heard(stream, session, message)

    def _last_words(self) -> dict[str, Any]:
        names = ("sent", "unheard", "conflated", "dropped", "queued")
        return {
            str(int(stream)): {name: getattr(publisher, name) for name in names}
            for stream, publisher in self._publishers.items()
        }

    def _transport(self) -> Transport:
        if self._bus is None:
            raise RuntimeError(f"{type(self).__name__} is not started: call on_start first")
        return self._bus

    def _publish_state(
        self,
        instrument_id: int,
        epoch: int,
        state: ServiceState | BookState,
        reason: Reason,
        text: str,
    ) -> None:
        publisher = self._publishers[Stream.STATE]
        block = self._state.block[0]
        block["seq"] = publisher.next_seq()
        block["now_ns"] = self.clock.now_ns()
        block["instrument_id"], block["epoch"] = instrument_id, epoch
        block["role"], block["state"], block["reason"] = self.role, state, reason
        block["text"] = text.encode()[:128]
        publisher.offer(self._state)

    def _beat(self, now_ns: int) -> None:
        publisher = self._publishers[Stream.HEARTBEATS]
        block = self._heartbeat.block[0]
        block["seq"] = publisher.next_seq()
        block["now_ns"] = now_ns
        block["role"], block["state"], block["reason"] = self.role, self.state, self.reason
        block["pid"], block["started_ns"] = os.getpid(), self._started_ns
        block["messages_in"] = sum(s.received for s in (*self._subscribers, *self._paced))
        block["messages_out"] = sum(p.sent for p in self._publishers.values())
        block["lag_ns"] = self.lag_ns
        block["resident_bytes"] = _resident_bytes()
        counters = [*self.counters.items(), *self._transport_counters()][:_MAX_COUNTERS]
        entries = self._heartbeat.group(0, len(counters))
        for i, (name, value) in enumerate(counters):
            entries[i] = (name.encode()[:40], value)
        publisher.offer(self._heartbeat)

    def _transport_counters(self) -> list[tuple[str, int]]:
        rows = [("malformed", sum(s.malformed for s in (*self._subscribers, *self._paced)))]
        for stream, publisher in self._publishers.items():
            rows.append((f"sent.{int(stream)}", publisher.sent))
            names = ("dropped", "conflated", "back_pressured", "unheard")
            counts = {name: getattr(publisher, name) for name in names}
            rows += [(f"stream_{name}.{int(stream)}", n) for name, n in counts.items() if n]
        return rows


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
