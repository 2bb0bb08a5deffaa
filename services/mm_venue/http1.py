"""HTTP/1.1 as pure code: bytes of a request in, bytes of an answer out."""

from dataclasses import dataclass, field
from http import HTTPStatus

__all__ = ["Answer", "BadRequest", "Request", "take_request"]

MAX_HEAD_BYTES = 16_384
MAX_BODY_BYTES = 65_536
MAX_TARGET_CHARACTERS = 8_004


class BadRequest(Exception):
    """A request that cannot be read; the connection ends after the answer."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are lower case, `raw` is its head as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool
    raw: bytes

    @property
    def is_upgrade(self) -> bool:
        """Whether it asks for a WebSocket."""
        return self.headers.get("upgrade", "").lower() == "websocket"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer with a JSON body."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self, *, keep_alive: bool) -> bytes:
        """Return the bytes to send."""
        lines = {
            "Content-Type": "application/json;charset=UTF-8",
            "Content-Length": str(len(self.body)),
            "Connection": "keep-alive" if keep_alive else "close",
            **self.headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        phrase = HTTPStatus(self.status).phrase
        return f"HTTP/1.1 {self.status} {phrase}\r\n{head}\r\n".encode() + self.body


def take_request(buffer: bytearray) -> Request | None:
    """Take one whole request off the front of `buffer`; None where it is not whole yet.

    Raises
    ------
    BadRequest
        What arrived is no request, or beyond a bound.
    """
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > MAX_HEAD_BYTES:
            raise BadRequest(431, f"the head is longer than {MAX_HEAD_BYTES} bytes")
        return None
    raw = bytes(buffer[: end + 4])
    first, *lines = raw[:-4].decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequest(400, f"no HTTP/1.1 request: {first[:80]!r}")
    if len(words[1]) > MAX_TARGET_CHARACTERS:
        raise BadRequest(414, f"the address is longer than {MAX_TARGET_CHARACTERS} characters")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
        raise BadRequest(411, "a body needs its Content-Length")
    if int(length) > MAX_BODY_BYTES:
        raise BadRequest(413, f"the body is longer than {MAX_BODY_BYTES} bytes")
    whole = len(raw) + int(length)
    if len(buffer) < whole:
        return None
    body = bytes(buffer[len(raw) : whole])
    del buffer[:whole]
    connection = headers.get("connection", "").lower()
    keep_alive = words[2] != "HTTP/1.0" and "close" not in connection
    return Request(words[0], words[1], headers, body, keep_alive, raw)
