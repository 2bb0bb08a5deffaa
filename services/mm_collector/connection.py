"""One open WebSocket: bytes in, whole frames out with their times, pings answered, no waiting.

The protocol itself is the `websockets` library's sans-I/O core; this module owns the socket.
"""

import socket
import ssl
import time
from collections import deque

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, InvalidURI, ProtocolError
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from mm_collector.budget import retry_after_ns

__all__ = ["Connection", "Refused", "open_connection"]

_CHUNK = 1 << 16  # a few hundred small frames: what is read is handled before it grows old
_MAX_FRAME_BYTES = 1 << 24


class Refused(ConnectionError):
    """The venue answered the handshake with another status: what it said, and how long to wait."""

    def __init__(self, status: int, retry_after: str | None) -> None:
        super().__init__(f"handshake refused: HTTP {status}")
        self.status = status
        self.retry_after_ns = retry_after_ns(status, retry_after)


class Connection:
    """A connection after its handshake.

    Attributes
    ----------
    frames
        Whole data frames not yet taken with the time they came off the socket, oldest first.
    backlog_bytes
        Size of those frames.
    received_ns
        When the newest bytes came off the socket.
    """

    def __init__(self, sock: socket.socket, protocol: ClientProtocol, now_ns: int) -> None:
        self.frames: deque[tuple[bytes, int]] = deque()
        self.backlog_bytes = 0
        self.opened_ns = now_ns
        self.received_ns = now_ns
        self._socket = sock
        self._protocol = protocol
        self._outgoing = bytearray()
        self._incoming = memoryview(bytearray(_CHUNK))  # recv would allocate it at every poll
        self._parts: list[bytes] = []

    def poll(self) -> bool:
        """Read once and write what is due; return whether anything came.

        Raises
        ------
        ConnectionError, OSError
            The connection is over; frames read before stay in `frames`.
        """
        heard = self._read()
        self._write()
        return heard

    def send(self, text: str) -> None:
        """Queue a text frame; it leaves with the next poll. Raises as `poll`."""
        self._check_open()
        self._protocol.send_text(text.encode())

    def ping(self) -> None:
        """Queue a ping; its answer counts as heard. Raises as `poll`."""
        self._check_open()
        self._protocol.send_ping(b"")

    def take(self) -> tuple[bytes, int]:
        """Take the oldest frame."""
        frame = self.frames.popleft()
        self.backlog_bytes -= len(frame[0])
        return frame

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    # inner works

    def _check_open(self) -> None:
        """Raise where the venue has closed already: it may do so together with the handshake."""
        if self._protocol.state is not State.OPEN:
            self._take_events()
            raise ConnectionResetError(f"closed by the venue{self._close_text()}")

    def _read(self) -> bool:
        self._take_events()  # what came in together with the handshake
        try:
            size = self._socket.recv_into(self._incoming)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        if not size:
            self._protocol.receive_eof()
            raise ConnectionResetError(f"closed by the venue{self._close_text()}")
        self.received_ns = time.time_ns()  # not the turn's time: other work may lie between
        self._protocol.receive_data(bytes(self._incoming[:size]))
        self._take_events()
        return True

    def _take_events(self) -> None:
        for event in self._protocol.events_received():
            if not isinstance(event, Frame):
                continue
            if event.opcode is Opcode.CLOSE:
                raise ConnectionResetError(f"closed by the venue{self._close_text()}")
            if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._parts.append(bytes(event.data))
                if event.fin:
                    frame = b"".join(self._parts)
                    self.frames.append((frame, self.received_ns))
                    self.backlog_bytes += len(frame)
                    self._parts.clear()
        if self._protocol.parser_exc is not None:
            raise ConnectionAbortedError(f"protocol broken: {self._protocol.parser_exc}")

    def _write(self) -> None:
        for data in self._protocol.data_to_send():
            self._outgoing += data
        if self._outgoing:
            try:
                sent = self._socket.send(self._outgoing)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return
            del self._outgoing[:sent]

    def _close_text(self) -> str:
        frame = self._protocol.close_rcvd
        if frame is None:
            return ""
        return f" ({' '.join(filter(None, ('code', str(frame.code), frame.reason)))})"


def open_connection(url: str, timeout_s: float) -> Connection:
    """Connect and shake hands, blocking; from there on nothing blocks.

    Raises
    ------
    Refused
        The venue's answer has another status than the one that was asked for.
    OSError
        No connection within the time.
    """
    deadline_s = time.monotonic() + timeout_s
    try:
        uri = parse_uri(url)
        sock = socket.create_connection((uri.host, uri.port), timeout=timeout_s)
    except (InvalidURI, ValueError) as error:
        raise ConnectionError(f"no address: {error}") from error
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if uri.secure:
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=uri.host)
        protocol = ClientProtocol(uri, max_size=_MAX_FRAME_BYTES)
        protocol.send_request(protocol.connect())
        sock.sendall(b"".join(protocol.data_to_send()))
        while protocol.state is State.CONNECTING:
            _receive(sock, protocol, deadline_s)
    except ProtocolError as error:
        sock.close()
        raise ConnectionError(f"handshake broken: {error}") from error
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return Connection(sock, protocol, time.time_ns())


def _receive(sock: socket.socket, protocol: ClientProtocol, deadline_s: float) -> None:
    """Read once of the answer to the handshake."""
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:  # the time is up, even where it drips
        raise TimeoutError("timed out")
    sock.settimeout(left_s)
    data = sock.recv(_CHUNK)
    if data:
        protocol.receive_data(data)
    else:
        protocol.receive_eof()  # it may be what ends a refusal
    refusal = protocol.handshake_exc
    if isinstance(refusal, InvalidStatus):
        answer = refusal.response
        raise Refused(answer.status_code, answer.headers.get("Retry-After"))
    if not data:
        raise ConnectionResetError("closed by the venue during the handshake")
    if refusal is not None:
        raise ConnectionError(f"handshake refused: {refusal}")
