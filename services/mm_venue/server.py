"""The socket shell: one port for WebSocket and REST, and the loop that plays the source."""

import asyncio
import contextlib
import errno
import signal
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from mm_venue.rest import Answer, Rest
from mm_venue.session import Session, open_session
from mm_venue.source import Frame, Source
from mmquant.codes import Market

__all__ = ["PortInUseError", "Venue"]

NS_PER_S = 1_000_000_000
BOOK_WAIT_S = 10.0
LONGEST_SLEEP_S = 0.25
CLOSE_S = 0.3
YIELD_EVERY = 32
SLOW_CLIENT_BYTES = 16 << 20
# Seconds between pings and until the pong is overdue.
PINGS_S = {Market.SPOT: (20.0, 60.0), Market.USDM: (180.0, 600.0)}


class PortInUseError(OSError):
    """The venue's port belongs to another process."""


class Venue:
    """Serves one source to any number of clients.

    Parameters
    ----------
    source : Source
        Where the market data comes from.
    clock : callable
        Returns nanoseconds since the epoch.
    """

    def __init__(self, source: Source, clock: Callable[[], int] = time.time_ns) -> None:
        self._source = source
        self._clock = clock
        self._sessions: dict[ServerConnection, Session] = {}
        self._slow_clients = 0
        self._started = False
        self._symbol = source.instrument.symbol.lower()
        self._rest = Rest(source, lambda: len(self._sessions), lambda: self._slow_clients)
        self._book_ready = asyncio.Event()
        self._listeners_changed = asyncio.Event()

    async def run(self, host: str, port: int, on_listening: Callable[[str, int], None]) -> None:
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
        server = await self.listen(host, port)
        bound = server.sockets[0].getsockname()
        on_listening(bound[0], bound[1])
        playing = asyncio.create_task(self.play())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((playing, stopping), return_when=asyncio.FIRST_COMPLETED)
        server.close()
        stopping.cancel()
        if playing.done():
            playing.result()  # it ends only by an error, which must be seen
        playing.cancel()
        await asyncio.wait(
            (playing, asyncio.create_task(server.wait_closed())), timeout=2 * CLOSE_S
        )

    async def listen(self, host: str, port: int) -> Server:
        """Open the port; `play` has to run beside it."""
        every_s, overdue_s = PINGS_S[self._source.instrument.market]
        try:
            return await serve(
                self._handle,
                host,
                port,
                process_request=self._answer,
                compression=None,
                open_timeout=BOOK_WAIT_S + 5,
                ping_interval=every_s,
                ping_timeout=overdue_s,
                close_timeout=CLOSE_S,
                server_header=None,
            )
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                raise PortInUseError(f"port {port} on {host} is in use") from problem
            raise

    async def play(self) -> None:
        """Take frames from the source when they are due and send them; never returns."""
        sent = 0
        while True:
            if not self._may_play():
                self._listeners_changed.clear()
                await self._listeners_changed.wait()
                continue
            now_ns = self._clock()
            if not self._started:
                self._started = True
                self._source.start(now_ns)
            frames = self._source.poll(now_ns)
            if self._source.book_ready():
                self._book_ready.set()
            await self._send(frames)
            sent += len(frames)
            wait_ns = self._source.wait_ns(self._clock())
            if wait_ns is None:
                wait_ns = NS_PER_S
            if wait_ns:
                await asyncio.sleep(min(wait_ns / NS_PER_S, LONGEST_SLEEP_S))
            elif sent >= YIELD_EVERY:
                sent = 0
                await asyncio.sleep(0)

    def _may_play(self) -> bool:
        source = self._source
        if not (source.lossless or (source.waits_for_client and not self._started)):
            return True
        return any(session.wants_depth(self._symbol) for session in self._sessions.values())

    async def _send(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            for connection, session in list(self._sessions.items()):
                message = session.message_for(frame)
                if message is None:
                    continue
                if self._source.lossless:
                    with contextlib.suppress(ConnectionClosed):  # its handler takes it off
                        await connection.send(message, text=True)
                else:
                    self._push(connection, message)

    def _push(self, connection: ServerConnection, message: bytes) -> None:
        """Send without waiting; a client that does not read is cut off, as a live venue does."""
        broadcast((connection,), message, text=True)
        if connection.transport.get_write_buffer_size() > SLOW_CLIENT_BYTES:
            self._slow_clients += 1
            self._sessions.pop(connection, None)
            connection.transport.abort()

    async def _handle(self, connection: ServerConnection) -> None:
        request = connection.request
        session = self._open(request.path) if request else None
        if session is None:
            return  # _answer has refused such a path already
        self._sessions[connection] = session
        self._listeners_changed.set()
        try:
            async for message in connection:
                await connection.send(session.on_message(message), text=True)
                self._listeners_changed.set()
        except ConnectionClosed:
            pass  # a client may leave in any way
        finally:
            self._sessions.pop(connection, None)

    def _open(self, target: str) -> Session | None:
        market = self._source.instrument.market
        return open_session(target, market, any_depth_name=self._source.any_depth_name)

    async def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer plain HTTP; None lets a WebSocket handshake go on."""
        upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
        if upgrade and self._open(request.path) is not None:
            return None
        if self._rest.needs_book(request.path) and not self._source.book_ready():
            with contextlib.suppress(TimeoutError):  # the answer then says that it has no book
                await asyncio.wait_for(self._book_ready.wait(), BOOK_WAIT_S)
        return _response(self._rest.answer(request.path, self._clock()))


def _response(answer: Answer) -> Response:
    headers = Headers(
        {
            "Content-Type": "application/json;charset=UTF-8",
            "Content-Length": str(len(answer.body)),
            "Connection": "close",
            **answer.headers,
        }
    )
    return Response(answer.status, HTTPStatus(answer.status).phrase, headers, answer.body)
