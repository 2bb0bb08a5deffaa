"""The REST shell: GET requests in the background, within the venue's request-weight budget."""

import urllib.error
import urllib.request
from concurrent.futures import Future
from dataclasses import dataclass
from urllib.parse import urlsplit

from mm_collector.background import in_background

__all__ = ["Reply", "Rest", "WeightBudget"]

_TIMEOUT_S = 10.0
_MINUTE_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: status 0 means no answer at all, then `text` says why."""

    status: int
    body: bytes
    text: str
    retry_after_ns: int


class WeightBudget:
    """A token bucket in request weight, refilled evenly over the minute.

    Parameters
    ----------
    per_minute
        The venue's limit; the bucket starts full.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._tokens = float(per_minute)
        self._filled_ns = 0
        self._blocked_until_ns = 0

    def take(self, weight: int, now_ns: int) -> bool:
        """Take `weight` if it is there and the venue has not asked for a pause."""
        elapsed_ns = max(0, now_ns - self._filled_ns) if self._filled_ns else 0
        self._filled_ns = now_ns
        refilled = self._tokens + elapsed_ns / _MINUTE_NS * self._per_minute
        self._tokens = min(float(self._per_minute), refilled)
        if now_ns < self._blocked_until_ns or self._tokens < weight:
            return False
        self._tokens -= weight
        return True

    def block(self, until_ns: int) -> None:
        """Honour the venue's Retry-After."""
        self._blocked_until_ns = max(self._blocked_until_ns, until_ns)


class Rest:
    """GET requests to one host.

    Parameters
    ----------
    base_url
        http:// or https:// address without a path.
    budget
        The host's request-weight budget.
    """

    def __init__(self, base_url: str, budget: WeightBudget) -> None:
        self.base_url = base_url.rstrip("/")
        self.budget = budget

    def get(self, path: str) -> Future[Reply]:
        """Start a request; the future never raises."""
        url = self.base_url + path
        return in_background(lambda: _get(url), "rest")


def _get(url: str) -> Reply:
    request = urllib.request.Request(url, headers={"User-Agent": "mmquant"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            return Reply(response.status, response.read(), "", 0)
    except urllib.error.HTTPError as error:
        body = error.read()
        text = f"{url}: HTTP {error.code} {body[:200].decode(errors='replace')}"
        return Reply(error.code, body, text, _retry_after_ns(error.headers.get("Retry-After")))
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        text = getattr(reason, "strerror", None) or str(reason)
        return Reply(0, b"", f"{urlsplit(url).netloc}: {text}", 0)


def _retry_after_ns(text: str | None) -> int:
    return int(text) * 1_000_000_000 if text is not None and text.isdigit() else 0
