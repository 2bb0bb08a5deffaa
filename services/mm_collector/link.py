"""A WebSocket that is kept up: connected anew with backoff, replaced before it grows too old.

Make before break: the replacement connects and delivers beside the old connection, its frames
are held, and only when its owner finds that the old one has reached the beginning of the new one
does it take over (`hand_over`). What dies before that is replaced at once all the same.
"""

import random
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from mm_collector.background import in_background
from mm_collector.budget import PAUSES_S, Budget
from mm_collector.connection import Connection, Refused, open_connection
from mm_collector.subscriptions import Subscriptions

__all__ = ["Link", "LinkEvent", "LinkLimits"]

_READS_PER_POLL = 256
_UNSERVED_NS = 1_000_000_000  # frames may wait; pings not longer than this
_LEAST_PING_NS = 500_000_000  # the venue takes 5 messages a second
_RENEWAL_AGE = 10  # first frame timeouts a connection lives before a lost stream ends it


class LinkEvent(Enum):
    """What has become of the connection."""

    OPENED = "opened"
    LOST = "lost"
    HANDED_OVER = "handed over"


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Bounds of a connection.

    Attributes
    ----------
    idle_timeout_ns
        Silence after which it counts as dead; after half of it a ping asks for a sign of life.
    connect_timeout_s
        Of a connection attempt.
    backoff_ns, max_backoff_ns
        First and longest wait before another attempt; doubling, jittered.
    max_age_ns
        Age at which it is replaced.
    first_frame_timeout_ns
        Within which each stream has to deliver.
    max_backlog_bytes
        Frames read and not taken.
    waits
        At that bound stop reading (the sender waits) instead of giving the connection up.
    """

    idle_timeout_ns: int
    connect_timeout_s: float
    backoff_ns: int
    max_backoff_ns: int
    max_age_ns: int
    first_frame_timeout_ns: int
    max_backlog_bytes: int
    waits: bool


@dataclass(slots=True)
class _Leg:
    """A connection and what it is subscribed to."""

    connection: Connection
    subscriptions: Subscriptions
    pinged_ns: int = 0


class _Backoff:
    """When the next attempt may be made."""

    def __init__(self, limits: LinkLimits, rng: random.Random) -> None:
        self.retry_at_ns = 0
        self._limits = limits
        self._rng = rng
        self._wait_ns = limits.backoff_ns

    def reset(self) -> None:
        self._wait_ns = self._limits.backoff_ns

    def fail(self, now_ns: int, at_least_ns: int = 0) -> None:
        wait_ns = max(int(self._wait_ns * self._rng.uniform(0.5, 1.0)), at_least_ns)
        self.retry_at_ns = now_ns + wait_ns
        self._wait_ns = min(2 * self._wait_ns, self._limits.max_backoff_ns)


class Link:
    """One WebSocket connection that is kept up.

    Parameters
    ----------
    url
        ws:// or wss:// address with path.
    names
        Streams to subscribe to.
    limits
        Timeouts, bounds and backoff.
    attempts
        The venue's limit of connection attempts by address, shared by all links.
    rng
        Source of the backoff's jitter.

    Attributes
    ----------
    events
        What became of the connection; to be taken once no frames from before are left.
    silent
        Streams found not to deliver, to be told.
    abandoned
        Why replacements could not be made, or take over, to be told.
    connects
        Connections made.
    failure
        Why the last connection ended or could not be made; empty while all is well.
    """

    def __init__(
        self,
        url: str,
        names: Iterable[str],
        limits: LinkLimits,
        attempts: Budget,
        rng: random.Random,
    ) -> None:
        self.url = url
        self.events: deque[LinkEvent] = deque()
        self.failure = ""
        self.connects = 0
        self.abandoned: deque[str] = deque(maxlen=1_000)
        self.silent: deque[str] = deque(maxlen=1_000)
        self._names = dict.fromkeys(names)
        self._limits = limits
        self._attempts = attempts
        self._backoff = _Backoff(limits, rng)
        self._standby_backoff = _Backoff(limits, rng)
        self._dialling: Future[Connection] | None = None
        self._leg: _Leg | None = None
        self._standby: _Leg | None = None
        self._left: deque[tuple[bytes, int]] = deque()  # of a connection that has ended
        self._is_ageing = False
        self._fault = ""  # what ended the connection, until its events are taken
        self._served_ns = 0

    @property
    def is_open(self) -> bool:
        """Whether data can flow."""
        return self._leg is not None

    @property
    def has_frames(self) -> bool:
        """Whether frames wait to be taken."""
        if self._left:
            return True
        return not self.events and self._leg is not None and bool(self._leg.connection.frames)

    def take(self) -> tuple[bytes, int]:
        """Take the oldest frame and the time it came; only while `has_frames`."""
        if self._left:
            return self._left.popleft()
        assert self._leg is not None
        return self._leg.connection.take()

    def add(self, names: Iterable[str]) -> None:
        """Subscribe to more streams."""
        new = dict.fromkeys(name for name in names if name not in self._names)
        self._names |= new
        for leg in (self._leg, self._standby):
            if leg is not None and new:
                leg.subscriptions.add(new)

    def renew(self) -> None:
        """Replace the connection as soon as another one delivers."""
        self._is_ageing = True

    def expect(self, name: str, now_ns: int) -> None:
        """Ask anew for a stream that delivers no more; in vain, and the connection is replaced."""
        if self._leg is not None:
            self._leg.subscriptions.expect(name, now_ns)

    def poll(self, now_ns: int) -> None:
        """Connect, read, subscribe and answer pings as far as possible now."""
        if not self.events:  # what came before must be taken first
            if self._fault:
                self._on_lost(now_ns)
            self._dial(now_ns)
        leg = self._leg
        if leg is None or self._fault:
            return
        if not self.has_frames or now_ns - self._served_ns > _UNSERVED_NS:
            self._served_ns = now_ns
            try:
                self._exchange(leg, now_ns)
            except OSError as error:
                self._fault = str(error) or type(error).__name__
                return
            self._look_for_silent(leg, now_ns)
        if self._standby is not None:
            self._serve_standby(self._standby, now_ns)

    def close(self) -> None:
        """Close everything; a connection attempt under way is abandoned."""
        for leg in (self._leg, self._standby):
            if leg is not None:
                leg.connection.close()
        self._leg = self._standby = None
        self._fault = ""

    # the replacement

    def standby_firsts(self) -> dict[str, bytes] | None:
        """Return the first frame of each stream of the replacement; None where there is none."""
        return None if self._standby is None else self._standby.subscriptions.firsts

    def is_quiet(self, name: str) -> bool:
        """Return whether neither connection has got the stream for a while."""
        leg, standby = self._leg, self._standby
        assert leg is not None
        assert standby is not None
        since_ns = max(standby.connection.opened_ns, leg.subscriptions.heard.get(name, 0))
        return standby.connection.received_ns - since_ns > self._limits.first_frame_timeout_ns

    def hand_over(self) -> None:
        """Let the replacement take over, its frames from the first one on."""
        leg, standby = self._leg, self._standby
        assert leg is not None
        assert standby is not None
        leg.connection.close()
        self._left.extend(leg.connection.frames)
        self._promote(standby)

    def give_up_standby(self, now_ns: int) -> None:
        """Drop a replacement that has not become ready in time."""
        standby = self._standby
        timeout_ns = 3 * self._limits.first_frame_timeout_ns
        if standby is not None and now_ns - standby.connection.opened_ns > timeout_ns:
            text = f"it was not ready within {timeout_ns // 1_000_000} ms"
            self._abandon(standby, text, now_ns)

    def _abandon(self, standby: _Leg, text: str, now_ns: int) -> None:
        standby.connection.close()
        self._standby = None
        self.abandoned.append(text)
        self._standby_backoff.fail(now_ns)

    def _promote(self, standby: _Leg) -> None:
        self._leg, self._standby = standby, None
        self._is_ageing, self._fault = False, ""
        self._standby_backoff.reset()
        self.events.append(LinkEvent.HANDED_OVER)

    # inner works

    def _dial(self, now_ns: int) -> None:
        if self._leg is not None and now_ns - self._leg.connection.opened_ns > (
            self._limits.max_age_ns
        ):
            self._is_ageing = True
        if self._dialling is None:
            backoff = self._backoff if self._leg is None else self._standby_backoff
            wanted = self._leg is None or (self._is_ageing and self._standby is None)
            if wanted and now_ns >= backoff.retry_at_ns and self._attempts.take(1, now_ns):
                url, timeout_s = self.url, self._limits.connect_timeout_s
                self._dialling = in_background(lambda: open_connection(url, timeout_s), "connect")
        elif self._dialling.done():
            attempt, self._dialling = self._dialling, None
            error = attempt.exception()
            if error is None:
                self._on_connected(attempt.result(), now_ns)
            else:
                self._on_refused(error, now_ns)

    def _on_refused(self, error: BaseException, now_ns: int) -> None:
        text = f"cannot connect to {_address(self.url)}: {error}"
        pause_ns = 0
        if isinstance(error, Refused) and error.retry_after_ns:
            pause_ns = error.retry_after_ns
            text += f", no attempt for {pause_ns / 1e9:g} s"
            if error.status in PAUSES_S:  # for the whole address
                self._attempts.block(now_ns + pause_ns)
        if self._leg is not None:
            self._standby_backoff.fail(now_ns, pause_ns)
            self.abandoned.append(text)
        else:
            self._backoff.fail(now_ns, pause_ns)
            self.failure = text

    def _on_connected(self, connection: Connection, now_ns: int) -> None:
        subscriptions = Subscriptions(self._names, self._limits.first_frame_timeout_ns)
        leg = _Leg(connection, subscriptions)
        self.connects += 1
        connection.opened_ns = connection.received_ns = now_ns
        if self._leg is not None:
            self._standby = leg
            return
        self._leg, self._is_ageing = leg, False
        self.failure = ""
        self.events.append(LinkEvent.OPENED)

    def _serve_standby(self, standby: _Leg, now_ns: int) -> None:
        try:
            self._exchange(standby, now_ns)
            if standby.connection.backlog_bytes > self._limits.max_backlog_bytes:
                raise ConnectionAbortedError("it could not take over")
        except OSError as error:
            self._abandon(standby, str(error) or type(error).__name__, now_ns)

    def _exchange(self, leg: _Leg, now_ns: int) -> None:
        connection, subscriptions = leg.connection, leg.subscriptions
        message = subscriptions.next_message(now_ns)
        if message is not None:
            connection.send(message)
        waiting = len(connection.frames)
        reads = _READS_PER_POLL if waiting else 1  # behind: look for the pings among the rest
        try:
            while reads and not self._is_full(connection) and connection.poll():
                reads -= 1
        finally:
            for i in range(waiting, len(connection.frames)):
                subscriptions.on_frame(*connection.frames[i])
            if subscriptions.heard:  # a handshake and an acknowledgement are no success
                self._backoff.reset()
        if not connection.frames:
            self._look_for_life(leg, now_ns)

    def _look_for_life(self, leg: _Leg, now_ns: int) -> None:
        """Tell a connection where there is nothing to say from one that is dead."""
        heard_ns = leg.connection.received_ns
        silent_ns, limit_ns = now_ns - heard_ns, self._limits.idle_timeout_ns
        if silent_ns > limit_ns:
            raise TimeoutError(f"silent for {silent_ns // 1_000_000} ms")
        if silent_ns > max(limit_ns // 2, _LEAST_PING_NS) and leg.pinged_ns < heard_ns:
            leg.pinged_ns = now_ns
            leg.connection.ping()

    def _look_for_silent(self, leg: _Leg, now_ns: int) -> None:
        subscriptions = leg.subscriptions
        late = subscriptions.silent(now_ns)
        self.silent.extend(late)
        age_ns = now_ns - leg.connection.opened_ns
        # A stream that was there, is gone and does not come back: elsewhere it may be alive.
        if age_ns > _RENEWAL_AGE * self._limits.first_frame_timeout_ns:
            self._is_ageing |= any(name in subscriptions.firsts for name in late)

    def _is_full(self, connection: Connection) -> bool:
        if connection.backlog_bytes <= self._limits.max_backlog_bytes:
            return False
        if not self._limits.waits and self._leg and connection is self._leg.connection:
            raise ConnectionAbortedError("given up: frames come faster than they are handled")
        return True

    def _on_lost(self, now_ns: int) -> None:
        leg = self._leg
        assert leg is not None
        leg.connection.close()
        self._left.extend(leg.connection.frames)
        self._leg = None
        self.failure, self._fault = self._fault, ""
        if self._standby is not None:
            self._promote(self._standby)
            return
        self._backoff.fail(now_ns)
        self.events.append(LinkEvent.LOST)


def _address(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
