"""The REST shell: GET requests in the background, within the venue's request-weight budget."""

import http.client
import urllib.error
import urllib.request
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from mm_collector.background import in_background
from mm_collector.budget import TokenBucket

__all__ = ["Reply", "Rest"]

_TIMEOUT_S = 10.0
_S = 1_000_000_000
_USED_WEIGHT = "X-MBX-USED-WEIGHT-1M"
# Pauses for the whole address where the venue names none: a ban begins with two minutes.
_PAUSES_S = {403: 300, 418: 120, 429: 60, 451: 300}


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: status 0 means no answer at all, then `text` says why."""

    status: int
    body: bytes
    text: str
    retry_after_ns: int
    used_weight: int | None = None


class Rest:
    """GET requests to one host.

    Parameters
    ----------
    base_url
        http:// or https:// address without a path.
    budget
        The host's request-weight budget.
    """

    def __init__(self, base_url: str, budget: TokenBucket) -> None:
        self.base_url = base_url.rstrip("/")
        self.budget = budget
        self._paused_by = 0

    def get(self, path: str, weight: int, now_ns: int) -> Future[Reply] | None:
        """Start a request, if the budget allows it now; the future never raises."""
        if not self.budget.take(weight, now_ns):
            return None
        url = self.base_url + path
        return in_background(lambda: _get(url), "rest")

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
            self.budget.observe_used(reply.used_weight)
        if reply.status in _PAUSES_S:
            self._paused_by = reply.status
            self.budget.block(now_ns + reply.retry_after_ns)


def _get(url: str) -> Reply:
    request = urllib.request.Request(url, headers={"User-Agent": "mmquant"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            used = _number(response.headers.get(_USED_WEIGHT))
            return Reply(response.status, response.read(), "", 0, used)
    except urllib.error.HTTPError as error:
        body = error.read()
        text = f"{url}: HTTP {error.code} {body[:200].decode(errors='replace')}"
        pause_s = _number(error.headers.get("Retry-After"))
        pause_s = _PAUSES_S.get(error.code, 0) if pause_s is None else pause_s
        used = _number(error.headers.get(_USED_WEIGHT))
        return Reply(error.code, body, text, pause_s * _S, used)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        text = getattr(reason, "strerror", None) or str(reason)
        return Reply(0, b"", f"{urlsplit(url).netloc}: {text}", 0)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else None
