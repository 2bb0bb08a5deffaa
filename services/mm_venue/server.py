"""The venue's loop: it listens, plays the source, and sends each frame to whoever hears it."""

import asyncio
import contextlib
import errno
import logging
import signal
import ssl
import time
from collections.abc import Callable, Iterable, Sequence

from mm_venue.connection import Connection, text_frame
from mm_venue.debug import Debug
from mm_venue.disruption import Disruption
from mm_venue.faults import Fault
from mm_venue.http1 import Answer, Request
from mm_venue.injector import Injector
from mm_venue.lifetime import Lifetime
from mm_venue.limits import ConnectionAttempts
from mm_venue.rest import Rest, error, query_of
from mm_venue.session import Session, open_session
from mm_venue.source import Frame, Source
from mmquant.codes import Market

__all__ = ["PortInUseError", "Venue"]

log = logging.getLogger("mm_venue")

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
BOOK_WAIT_S = 10.0
LONGEST_SLEEP_S = 0.25
FAULT_SLEEP_S = 0.005
TEND_S = 0.02
CLOSE_S = 0.3
GOING_AWAY = 1001
YIELD_EVERY = 32
SLOW_CLIENT_BYTES = 16 << 20


class PortInUseError(OSError):
    """The venue's port belongs to another process."""


class Venue:
    """Serves one source to any number of clients.

    Parameters
    ----------
    source : Source
        Where the market data comes from.
    time_scale : float
        The venue's long times (pings, 24 hours) are divided by it.
    faults : iterable of (int, Fault)
        Faults to come, with the nanoseconds since the beginning, in order.
    clock : callable
        Returns nanoseconds since the epoch.
    """

    def __init__(
        self,
        source: Source,
        time_scale: float = 1.0,
        faults: Iterable[tuple[int, Fault]] = (),
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._source = source
        self._time_scale = time_scale
        self._clock = clock
        self._connections: dict[Connection, None] = {}
        # By stream: who hears it, and under which name. Made anew when anything changes.
        self._hearers: dict[str | None, list[tuple[Connection, str]]] = {}
        self._depth_is_heard = False
        self._counts = {"slow_clients": 0, "connects": 0, "heard": 0}
        self._started = False
        self._attempts = ConnectionAttempts()
        self._injector = Injector(source.listings)
        self._disruption = Disruption(self._injector, iter(faults), self._connections)
        self._rest = Rest(source)
        self._debug = Debug(source, self._injector, self._counters)
        self._book_ready = asyncio.Event()
        self._listeners_changed = asyncio.Event()

    def _counters(self) -> dict[str, int]:
        return {"clients": len(self._connections), **self._counts}

    async def run(
        self,
        host: str,
        port: int,
        on_listening: Callable[[str, int], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises
        ------
        PortInUseError
            The port is taken.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, stop.set)
        server = await self.listen(host, port, tls)
        bound = server.sockets[0].getsockname()
        on_listening(bound[0], bound[1])
        working = [asyncio.create_task(work) for work in (self.play(), self._tend())]
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((*working, stopping), return_when=asyncio.FIRST_COMPLETED)
        server.close()
        stopping.cancel()
        for task in working:
            if task.done():
                task.result()  # it ends only by an error, which must be seen
            task.cancel()
        for connection in list(self._connections):
            connection.close(GOING_AWAY, "")
        deadline = loop.time() + CLOSE_S
        while self._connections and loop.time() < deadline:
            await asyncio.sleep(0.005)

    async def listen(
        self, host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> asyncio.Server:
        """Open the port; `play` has to run beside it."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(lambda: Connection(self), host, port, ssl=tls)
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                raise PortInUseError(f"port {port} on {host} is in use") from problem
            raise

    async def play(self) -> None:
        """Take frames from the source when they are due and send them; never returns."""
        sent = 0
        while True:
            if not self._may_play():
                await self._listener()
                await self._send(())  # what a fault holds back
                continue
            now_ns = self._clock()
            if not self._started:
                self._started = True
                self._source.start(now_ns)
                self._disruption.start(now_ns)
            frames = self._source.poll(now_ns)
            if self._source.book_ready():
                self._book_ready.set()
            await self._send(frames)
            sent += len(frames)
            wait_ns = self._source.wait_ns(self._clock())
            if wait_ns is None:
                wait_ns = NS_PER_S
            if wait_ns:
                longest_s = LONGEST_SLEEP_S if self._injector.is_idle else FAULT_SLEEP_S
                await asyncio.sleep(min(wait_ns / NS_PER_S, longest_s))
            elif sent >= YIELD_EVERY:
                sent = 0
                await asyncio.sleep(0)

    def _may_play(self) -> bool:
        source = self._source
        if not (source.lossless or (source.waits_for_client and not self._started)):
            return True
        return self._depth_is_heard

    async def _listener(self) -> None:
        self._listeners_changed.clear()
        longest_s = None if self._injector.is_idle else FAULT_SLEEP_S
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._listeners_changed.wait(), longest_s)

    async def _tend(self) -> None:
        """Let time pass for the connections; never returns."""
        while True:
            await asyncio.sleep(TEND_S)
            now_ns = self._clock()
            for connection in list(self._connections):
                connection.tend(now_ns)
            self._disruption.tend(now_ns)

    # frames out

    async def _send(self, frames: Sequence[Frame]) -> None:
        if not self._injector.is_idle:
            heard = [frame for frame in frames if self._hearers_of(frame.stream)]
            frames = self._injector.distort(heard, self._clock())
        lossless = self._source.lossless
        for frame in frames:
            hearers = self._hearers_of(frame.stream)
            if not hearers:
                continue
            self._counts["heard"] += 1
            encoded: dict[tuple[tuple[bool, bool], str], bytes] = {}
            for connection, name in hearers:
                session = connection.session
                message = encoded.get((session.form_key, name))
                if message is None:
                    message = text_frame(session.form(frame, name))
                    encoded[session.form_key, name] = message
                connection.write(message)
                if lossless:
                    await connection.drained()
                elif connection.unread_bytes > SLOW_CLIENT_BYTES:
                    # A client that does not read is cut off, as a live venue does.
                    self._counts["slow_clients"] += 1
                    connection.reset()

    def _hearers_of(self, stream: str | None) -> list[tuple[Connection, str]]:
        hearers = self._hearers.get(stream)
        if hearers is None:
            named = ((one, one.session.name_for(stream)) for one in self._connections)
            hearers = [(one, name) for one, name in named if name is not None]
            self._hearers[stream] = hearers
        return hearers

    # what connections ask

    def now_ns(self) -> int:
        """Return the present time."""
        return self._clock()

    def admit(self, request: Request) -> tuple[Session, Lifetime] | Answer:
        """Let a WebSocket in, or say why not."""
        source, now_ns = self._source, self._clock()
        if source.market == Market.SPOT:
            wait_s = self._attempts.refused(now_ns)
            if wait_s:
                text = "Too many connection attempts; the limit is 300 in 5 minutes."
                refusal = error(429, -1003, text)
                return Answer(429, refusal.body, {"Retry-After": str(wait_s)})
        session = open_session(request.target, source.market, any_depth_name=source.any_depth_name)
        if session is None:
            return error(404, -1000, f"no such WebSocket path: {request.target[:200]}")
        return session, Lifetime(source.market, self._time_scale, now_ns)

    def joined(self, connection: Connection) -> None:
        """Count a WebSocket in."""
        self._counts["connects"] += 1
        self._connections[connection] = None
        log.info("a client joins, %d are connected", len(self._connections))
        self.subscriptions_changed()

    def left(self, connection: Connection) -> None:
        """Count a WebSocket out."""
        self._connections.pop(connection, None)
        log.info("a client leaves, %d are connected", len(self._connections))
        self.subscriptions_changed()

    def subscriptions_changed(self) -> None:
        """Ask everybody anew what he hears."""
        self._hearers.clear()
        symbols = [symbol.lower() for symbol in self._source.listings]
        self._depth_is_heard = any(
            one.session.wants_depth(symbol) for one in self._connections for symbol in symbols
        )
        self._listeners_changed.set()
        self._source.listen({name for one in self._connections for name in one.session.heard})

    async def answer(self, request: Request) -> Answer:
        """Answer a plain request."""
        if request.target.startswith("/debug/"):
            answer = self._debug.answer(request, self._clock())
            self._disruption.tend(self._clock())
            return answer
        is_depth = self._rest.is_depth(request.target)
        if is_depth and not self._source.book_ready():
            with contextlib.suppress(TimeoutError):  # the answer then says that it has no book
                await asyncio.wait_for(self._book_ready.wait(), BOOK_WAIT_S)
        symbol = query_of(request.target).get("symbol")
        fault = self._injector.request_fault(symbol, is_depth=is_depth)
        if fault is not None and fault.kind == "slow_rest":
            await asyncio.sleep(fault.duration_ms / 1000)
        elif fault is not None and fault.kind == "snapshot_ahead" and symbol is not None:
            # The stream stands still while the book moves on: what follows the snapshot is older.
            self._injector.hold(symbol, self._clock() + fault.duration_ms * NS_PER_MS)
            await asyncio.sleep(fault.duration_ms / 2000)
        now_ns = self._clock()
        now_ns += self._injector.skew_ns(now_ns)
        return self._rest.answer(request.method, request.target, now_ns, fault)
