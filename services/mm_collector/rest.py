"""The REST shell: GET requests in the background, within the venue's request-weight budget."""

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from mm_collector.background import in_background
from mm_collector.budget import PAUSES_S, Budget, number, retry_after_ns

__all__ = ["Reply", "Rest"]

_TIMEOUT_S = 10.0  # of one read
_DEADLINE_S = 30.0  # of the whole answer, however steadily it drips
_S = 1_000_000_000
_MINUTE_S = 60
_USED_WEIGHT = "X-MBX-USED-WEIGHT-1M"
_HEADERS = {"User-Agent": "mmquant", "Connection": "close"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: status 0 means no whole answer at all, then `text` says why.

    `minute_left_s` is how long the venue goes on counting the used weight.
    """

    status: int
    body: bytes
    text: str
    retry_after_ns: int
    used_weight: int | None = None
    minute_left_s: int = _MINUTE_S


class Rest:
    """GET requests to one host; the system's proxies are not used, as for the streams.

    Parameters
    ----------
    base_url
        http:// or https:// address without a path.
    budget
        The host's request-weight budget.
    run
        How a request is made: in the background, unless whoever asks may wait.
    """

    def __init__(
        self,
        base_url: str,
        budget: Budget,
        run: Callable[[Callable[[], Reply], str], Future[Reply]] = in_background,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.budget = budget
        self._run = run
        self._paused_by = 0

    def get(self, path: str, weight: int, now_ns: int) -> Future[Reply] | None:
        """Start a request, if the budget allows it now; the future never raises."""
        if not self.budget.take(weight, now_ns):
            return None
        url = self.base_url + path
        return self._run(lambda: _get(url), "rest")

    def obstacle(self, weight: int, now_ns: int) -> str:
        """Return why no request of this weight is made now, "" where one may be."""
        until_ns = self.budget.ready_ns(weight, now_ns)
        if until_ns <= now_ns:
            return ""
        if not self.budget.is_blocked(now_ns):
            return "the minute's request weight is used up"
        until = datetime.fromtimestamp(until_ns / _S, UTC)
        return f"HTTP {self._paused_by}: no request before {until:%H:%M:%S} UTC"

    def learn(self, reply: Reply, now_ns: int) -> None:
        """Let the budget know what a reply says about it."""
        if reply.used_weight is not None:
            until_ns = now_ns + reply.minute_left_s * _S
            self.budget.observe_used(reply.used_weight, now_ns, until_ns)
        if reply.status in PAUSES_S:
            self._paused_by = reply.status
            self.budget.block(now_ns + reply.retry_after_ns)


def _get(url: str) -> Reply:
    parts = urlsplit(url)
    target = parts._replace(scheme="", netloc="").geturl()
    is_secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
    head: http.client.HTTPResponse | None = None
    body, trouble = b"", ""
    try:
        with contextlib.closing(kind(parts.netloc, timeout=_TIMEOUT_S)) as connection:
            connection.connect()
            with _in_time(connection.sock):
                connection.request("GET", target, headers=_HEADERS)
                head = connection.getresponse()
                body = head.read()
    except (OSError, ValueError, http.client.HTTPException) as error:
        trouble = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if head is None or (trouble and head.status == http.HTTPStatus.OK):
        return Reply(0, b"", f"{parts.netloc}: {trouble}", 0)
    text = ""
    if head.status != http.HTTPStatus.OK:
        words = head.headers.get("Location") or body[:200].decode(errors="replace") or trouble
        text = f"{url}: HTTP {head.status} {words}"
    return Reply(
        head.status,
        body,
        text,
        retry_after_ns(head.status, head.headers.get("Retry-After")),
        number(head.headers.get(_USED_WEIGHT)),
        _minute_left_s(head.headers.get("Date")),
    )


@contextlib.contextmanager
def _in_time(sock: socket.socket) -> Iterator[None]:
    """Cut the socket off at the deadline, so that whoever reads from it goes on."""
    is_late = threading.Event()

    def cut() -> None:
        is_late.set()
        with contextlib.suppress(OSError):  # it may have ended by itself
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # below TLS, whose reader is at work

    timer = threading.Timer(_DEADLINE_S, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if not is_late.is_set():
            raise
    finally:
        timer.cancel()
        timer.join()
    if is_late.is_set():
        raise TimeoutError(f"no whole answer within {_DEADLINE_S:g} s")


def _minute_left_s(date: str | None) -> int:
    """Return how much of the venue's minute is left at most; all of it where it tells no time."""
    try:
        return _MINUTE_S - parsedate_to_datetime(date or "").second
    except ValueError:
        return _MINUTE_S
