"""The WebSocket shell: bytes in, whole frames out, without waiting; reconnects with backoff.

The protocol itself is the `websockets` library's sans-I/O core; this module owns the socket.
"""

import random
import socket
import ssl
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from mm_collector.background import in_background

__all__ = ["Link", "LinkLimits"]

_CHUNK = 1 << 16  # a few hundred small frames: what is read is handled before it grows old
_MAX_FRAME_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Bounds of a connection: when it counts as dead, and how soon the next one is tried."""

    idle_timeout_ns: int
    connect_timeout_s: float
    backoff_ns: int
    max_backoff_ns: int


class Link:
    """One WebSocket connection that is kept up.

    Parameters
    ----------
    url
        ws:// or wss:// address with path and query.
    limits
        Timeouts and backoff.
    rng
        Source of the backoff's jitter.

    Attributes
    ----------
    frames
        Whole data frames not yet taken, oldest first.
    received_ns
        When the bytes of the newest frames came off the socket.
    is_open
        Whether data can flow.
    failure
        Why the last connection ended or could not be made; empty while all is well.
    """

    def __init__(self, url: str, limits: LinkLimits, rng: random.Random) -> None:
        self.url = url
        self.frames: deque[bytes] = deque()
        self.received_ns = 0
        self.is_open = False
        self.failure = ""
        self.connects = 0
        self._limits = limits
        self._rng = rng
        self._backoff_ns = limits.backoff_ns
        self._retry_at_ns = 0
        self._connecting: Future[tuple[socket.socket, ClientProtocol]] | None = None
        self._socket: socket.socket | None = None
        self._protocol: ClientProtocol | None = None
        self._outgoing = bytearray()
        self._parts: list[bytes] = []

    def poll(self, now_ns: int) -> int:
        """Connect, read and answer pings as far as possible now; return the frames read."""
        if self._socket is None:
            self._connect(now_ns)
            return 0
        before = len(self.frames)
        try:
            heard = self._read(self._socket, now_ns)
            self._write(self._socket)
        except (OSError, ProtocolError) as error:
            self._fail(f"{type(error).__name__}: {error}", now_ns)
            return len(self.frames) - before
        if heard:
            self._backoff_ns = self._limits.backoff_ns
        elif now_ns - self.received_ns > self._limits.idle_timeout_ns:
            silent_ms = (now_ns - self.received_ns) // 1_000_000
            self._fail(f"silent for {silent_ms} ms", now_ns)
        return len(self.frames) - before

    def close(self) -> None:
        """Close the socket; a connection attempt under way is abandoned."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self.is_open = False

    # inner works

    def _connect(self, now_ns: int) -> None:
        if self._connecting is None:
            if now_ns >= self._retry_at_ns:
                url, timeout_s = self.url, self._limits.connect_timeout_s
                self._connecting = in_background(lambda: _open(url, timeout_s), "connect")
            return
        if not self._connecting.done():
            return
        attempt, self._connecting = self._connecting, None
        error = attempt.exception()
        if error is not None:
            self._fail(f"cannot connect to {_address(self.url)}: {error}", now_ns)
            return
        self._socket, self._protocol = attempt.result()
        self._parts, self._outgoing = [], bytearray()
        self.received_ns = now_ns
        self.is_open, self.failure = True, ""
        self.connects += 1

    def _read(self, sock: socket.socket, now_ns: int) -> bool:
        protocol = self._protocol
        assert protocol is not None
        self._take_events(protocol)  # what came in together with the handshake
        try:
            data = sock.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        if not data:
            protocol.receive_eof()
            raise ConnectionResetError(f"closed by the venue{_close_text(protocol)}")
        self.received_ns = time.time_ns()  # not the turn's time: other work may lie between
        protocol.receive_data(data)
        self._take_events(protocol)
        return True

    def _take_events(self, protocol: ClientProtocol) -> None:
        for event in protocol.events_received():
            if not isinstance(event, Frame):
                continue
            if event.opcode is Opcode.CLOSE:
                raise ConnectionResetError(f"closed by the venue{_close_text(protocol)}")
            if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._parts.append(bytes(event.data))
                if event.fin:
                    self.frames.append(b"".join(self._parts))
                    self._parts.clear()
        if protocol.parser_exc is not None:
            raise ProtocolError(str(protocol.parser_exc))

    def _write(self, sock: socket.socket) -> None:
        assert self._protocol is not None
        for data in self._protocol.data_to_send():
            self._outgoing += data
        if self._outgoing:
            try:
                sent = sock.send(self._outgoing)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return
            del self._outgoing[:sent]

    def _fail(self, text: str, now_ns: int) -> None:
        self.close()
        self.failure = text
        self._retry_at_ns = now_ns + int(self._backoff_ns * self._rng.uniform(0.5, 1.0))
        self._backoff_ns = min(2 * self._backoff_ns, self._limits.max_backoff_ns)


def _open(url: str, timeout_s: float) -> tuple[socket.socket, ClientProtocol]:
    """Connect and shake hands, blocking; the socket comes back non-blocking."""
    uri = parse_uri(url)
    sock = socket.create_connection((uri.host, uri.port), timeout=timeout_s)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if uri.secure:
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=uri.host)
        protocol = ClientProtocol(uri, max_size=_MAX_FRAME_BYTES)
        protocol.send_request(protocol.connect())
        sock.sendall(b"".join(protocol.data_to_send()))
        while protocol.state is State.CONNECTING:
            data = sock.recv(_CHUNK)
            if not data:
                raise ConnectionResetError("closed by the venue during the handshake")
            protocol.receive_data(data)
            if protocol.handshake_exc is not None:
                raise ConnectionError(f"handshake refused: {protocol.handshake_exc}")
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock, protocol


def _close_text(protocol: ClientProtocol) -> str:
    frame = protocol.close_rcvd
    return "" if frame is None else f" (code {frame.code} {frame.reason})".rstrip()


def _address(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
