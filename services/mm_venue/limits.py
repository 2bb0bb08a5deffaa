"""The venue's limits for one client: request weight a minute with its bans, connection attempts."""

from collections import deque

import orjson

from mm_venue.http1 import Answer
from mmquant.codes import Market

__all__ = ["ConnectionAttempts", "RequestWeight", "too_many_requests"]

NS_PER_S = 1_000_000_000
NS_PER_MINUTE = 60 * NS_PER_S
WEIGHT_LIMIT = {Market.SPOT: 6000, Market.USDM: 2400}
# How many refused requests in a minute turn the refusal into a ban; the venue does not say.
REFUSALS_BEFORE_BAN = 20
FIRST_BAN_S = 120
LONGEST_BAN_S = 3 * 24 * 3600
ATTEMPTS = 300
ATTEMPTS_WINDOW_NS = 5 * NS_PER_MINUTE


def too_many_requests(status: int, retry_after_s: int, limit: int, now_ns: int) -> Answer:
    """Return the 429, or the 418 of a banned address, as the venue words it."""
    if status == 418:
        until_ms = (now_ns + retry_after_s * NS_PER_S) // 1_000_000
        text = f"Way too much request weight used; IP banned until {until_ms}. "
        text += "Please use WebSocket Streams for live updates to avoid bans."
    else:
        text = f"Too much request weight used; current limit is {limit} request weight per "
        text += "1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."
    body = orjson.dumps({"code": -1003, "msg": text})
    return Answer(status, body, {"Retry-After": str(retry_after_s)})


class RequestWeight:
    """Weight used in the present minute; beyond the limit 429, and on going on 418.

    Parameters
    ----------
    market : Market
        Whose limit holds.
    """

    def __init__(self, market: Market) -> None:
        self.limit = WEIGHT_LIMIT[market]
        self.used = 0
        self._minute = 0
        self._refusals = 0
        self._bans = 0
        self._banned_until_ns = 0

    def charge(self, weight: int, now_ns: int) -> Answer | None:
        """Charge a request; return its refusal, None where it may be answered."""
        if now_ns < self._banned_until_ns:
            return self._refusal(418, self._banned_until_ns, now_ns)
        minute = now_ns // NS_PER_MINUTE
        if minute != self._minute:
            self._minute = minute
            self.used = self._refusals = 0
        self.used += weight
        if self.used <= self.limit:
            return None
        self._refusals += 1
        if self._refusals <= REFUSALS_BEFORE_BAN:
            return self._refusal(429, (minute + 1) * NS_PER_MINUTE, now_ns)
        ban_s = min(FIRST_BAN_S << self._bans, LONGEST_BAN_S)
        self._bans = min(self._bans + 1, 20)
        self._banned_until_ns = now_ns + ban_s * NS_PER_S
        return self._refusal(418, self._banned_until_ns, now_ns)

    def _refusal(self, status: int, until_ns: int, now_ns: int) -> Answer:
        seconds = -((now_ns - until_ns) // NS_PER_S)
        return too_many_requests(status, seconds, self.limit, now_ns)


class ConnectionAttempts:
    """At most 300 WebSocket connections in five minutes."""

    def __init__(self) -> None:
        self._times: deque[int] = deque(maxlen=ATTEMPTS)

    def refused(self, now_ns: int) -> int:
        """Count an attempt; return after how many seconds to try again, 0 where it is welcome."""
        oldest = self._times[0] if len(self._times) == ATTEMPTS else None
        if oldest is not None and now_ns - oldest < ATTEMPTS_WINDOW_NS:
            return -((now_ns - oldest - ATTEMPTS_WINDOW_NS) // NS_PER_S)
        self._times.append(now_ns)
        return 0
