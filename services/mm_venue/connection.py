"""One socket of the venue: HTTP requests, until one of them makes it a WebSocket."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Coroutine
from typing import Any, Protocol, cast

from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from mm_venue.http1 import Answer, BadRequest, Request, take_request
from mm_venue.lifetime import Lifetime
from mm_venue.session import Session

__all__ = ["Connection", "Host", "text_frame"]

MAX_MESSAGE_BYTES = 1 << 20
POLICY_VIOLATION = 1008
CLOSE_S = 0.3
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def text_frame(payload: bytes) -> bytes:
    """Return a whole WebSocket text frame, as a server sends it (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81" + bytes((size,)) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2) + payload
    return b"\x81\x7f" + size.to_bytes(8) + payload


class Host(Protocol):
    """What a connection asks of the venue it belongs to."""

    def now_ns(self) -> int:
        """Return the present time."""

    def admit(self, request: Request) -> tuple[Session, Lifetime] | Answer:
        """Let a WebSocket in, or say why not."""

    def answer(self, request: Request) -> Coroutine[Any, Any, Answer]:
        """Answer a plain request."""

    def joined(self, connection: "Connection") -> None:
        """Count a WebSocket in."""

    def subscriptions_changed(self) -> None:
        """Note that a client changed what it listens to."""

    def left(self, connection: "Connection") -> None:
        """Count a WebSocket out."""


class Connection(asyncio.Protocol):
    """The shell around the HTTP parser, the WebSocket core and a session.

    Attributes
    ----------
    session : Session
        Once it is a WebSocket.
    is_open : bool
        Whether frames can be sent.
    is_muted : bool
        Half open: nothing is read or sent, the socket stays.
    """

    session: Session
    lifetime: Lifetime

    def __init__(self, host: Host) -> None:
        self._host = host
        self._buffer = bytearray()
        self._websocket: ServerProtocol | None = None
        self._answering: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._parts: list[bytes] = []
        self.is_open = False
        self.is_muted = False
        self.muted_until_ns = 0

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """End: nobody waits for this client any more."""
        self._writable.set()
        if self._answering is not None:
            self._answering.cancel()
        if self._websocket is not None:
            self.is_open = False
            self._host.left(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes in."""
        if self._websocket is not None:
            self._receive(self._websocket, data)
            return
        self._buffer += data
        self._next_request()

    def pause_writing(self) -> None:
        """Note that the client reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Note that the client has caught up."""
        self._writable.set()

    # what the venue calls

    def write(self, frame: bytes) -> None:
        """Send a whole frame; lost where the connection is closed or half open."""
        if self.is_open and not self.is_muted:
            self._send(frame)

    async def drained(self) -> None:
        """Wait until the client has read what was sent."""
        await self._writable.wait()

    @property
    def unread_bytes(self) -> int:
        """Bytes the client has not taken yet."""
        return self._transport.get_write_buffer_size()

    def close(self, code: int, reason: str) -> None:
        """Close with a close frame; plain HTTP is cut off."""
        if self._transport.is_closing():
            return
        if self._websocket is None or self.is_muted:
            self._transport.abort()
            return
        if self._websocket.state is State.OPEN:
            self._websocket.send_close(code, reason)
            self._flush(self._websocket)
        self.is_open = False
        # What the client still sends is read until its own close frame: a socket closed with
        # unread data is reset, and the client would never see the code.
        asyncio.get_running_loop().call_later(CLOSE_S, self._transport.close)

    def reset(self) -> None:
        """Cut off without a word: the client sees a TCP reset."""
        self.is_open = False
        raw = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # it may be gone already
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def mute(self, until_ns: int) -> None:
        """Become half open until then."""
        self.muted_until_ns = max(self.muted_until_ns, until_ns)
        if not self.is_muted and self.is_open:
            self.is_muted = True
            self._transport.pause_reading()

    def tend(self, now_ns: int) -> None:
        """Do what the time demands: pings, the end of a silence, the end of its life."""
        if self.is_muted:
            if now_ns < self.muted_until_ns:
                return
            self.is_muted = False
            self._transport.resume_reading()
        if not self.is_open or self._websocket is None:
            return
        ended = self.lifetime.ended(now_ns)
        if ended:
            self.close(POLICY_VIOLATION, ended)
            return
        payload = self.lifetime.ping(now_ns)
        if payload is not None:
            self._websocket.send_ping(payload)
            self._flush(self._websocket)

    # inner works

    def _next_request(self) -> None:
        if self._answering is not None:
            return  # one after the other
        try:
            request = take_request(self._buffer)
        except BadRequest as problem:
            refusal = Answer(problem.status, b'{"code":-1000,"msg":"%b"}' % _plain(problem))
            self._transport.write(refusal.encode(keep_alive=False))
            self._transport.close()
            return
        if request is None:
            return
        if not request.is_upgrade:
            self._answering = asyncio.create_task(self._answer(request))
            return
        admitted = self._host.admit(request)
        if isinstance(admitted, Answer):
            self._transport.write(admitted.encode(keep_alive=False))
            self._transport.close()
            return
        self.session, self.lifetime = admitted
        self._shake_hands(request)

    async def _answer(self, request: Request) -> None:
        answer = await self._host.answer(request)
        self._transport.write(answer.encode(keep_alive=request.keep_alive))
        self._answering = None
        if request.keep_alive:
            self._next_request()
        else:
            self._transport.close()

    def _shake_hands(self, request: Request) -> None:
        websocket = ServerProtocol(max_size=MAX_MESSAGE_BYTES)
        websocket.receive_data(request.raw)
        for event in websocket.events_received():
            websocket.send_response(websocket.accept(event))  # type: ignore[arg-type]
        self._flush(websocket)
        if websocket.state is not State.OPEN:
            self._transport.close()
            return
        self._websocket = websocket
        self.is_open = True
        raw = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._host.joined(self)
        if self._buffer:
            early = bytes(self._buffer)
            self._buffer.clear()
            self._receive(websocket, early)

    def _receive(self, websocket: ServerProtocol, data: bytes) -> None:
        websocket.receive_data(data)
        for event in websocket.events_received():
            if isinstance(event, Frame) and self.is_open:
                self._take(websocket, event)
        self._flush(websocket)
        self.is_open = self.is_open and websocket.state is State.OPEN

    def _take(self, websocket: ServerProtocol, frame: Frame) -> None:
        now_ns = self._host.now_ns()
        if frame.opcode is Opcode.CLOSE:
            return
        if frame.opcode is Opcode.PONG:
            self.lifetime.pong(bytes(frame.data), now_ns)
        if self.session.is_flooded(now_ns):
            self.close(POLICY_VIOLATION, "Too many requests")
            return
        if frame.opcode in (Opcode.PING, Opcode.PONG):
            return  # the core has answered a ping
        self._parts.append(bytes(frame.data))
        if frame.fin:
            message = b"".join(self._parts)
            self._parts.clear()
            answer = self.session.on_message(message)
            if answer is not None and websocket.state is State.OPEN:
                websocket.send_text(answer)
            self._host.subscriptions_changed()

    def _flush(self, websocket: ServerProtocol) -> None:
        for data in websocket.data_to_send():
            if data:
                self._send(data)
            else:  # both close frames are through, or the client broke the protocol
                self._transport.close()

    def _send(self, data: bytes) -> None:
        if not self._transport.is_closing():  # the client may just have gone
            self._transport.write(data)


def _plain(problem: Exception) -> bytes:
    return str(problem).replace("\\", " ").replace('"', "'").encode()
