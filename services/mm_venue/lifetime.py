"""When a connection is pinged, when a missing pong ends it, and when its 24 hours are over."""

from mmquant.codes import Market

__all__ = ["Lifetime"]

NS_PER_S = 1_000_000_000
# Seconds between pings, and until a pong is overdue.
PINGS_S = {Market.SPOT: (20, 60), Market.USDM: (180, 600)}
LONGEST_S = 24 * 3600
# However much time is scaled: a client must be able to answer, and within its message limit.
LEAST_PING_NS = NS_PER_S // 2
LEAST_OVERDUE_NS = 2 * NS_PER_S


class Lifetime:
    """The clockwork of one connection.

    Parameters
    ----------
    market : Market
        Whose intervals hold.
    time_scale : float
        All of them are divided by it; pings keep half a second apart, deadlines two seconds.
    now_ns : int
        When the connection began.
    """

    def __init__(self, market: Market, time_scale: float, now_ns: int) -> None:
        every_s, overdue_s = PINGS_S[market]
        self._every_ns = max(LEAST_PING_NS, int(every_s * NS_PER_S / time_scale))
        self._overdue_ns = max(LEAST_OVERDUE_NS, int(overdue_s * NS_PER_S / time_scale))
        self._ends_ns = now_ns + int(LONGEST_S * NS_PER_S / time_scale)
        # On USD-M any pong keeps the connection; on spot only the answer to a ping does.
        self._any_pong_counts = market == Market.USDM
        self._next_ping_ns = now_ns + self._every_ns
        self._heard_ns = now_ns
        self._asked = b""

    def ping(self, now_ns: int) -> bytes | None:
        """Return the payload of a ping that is due, None where none is."""
        if now_ns < self._next_ping_ns:
            return None
        if not self._asked:
            self._heard_ns = now_ns  # the deadline runs from the first unanswered ping
        self._next_ping_ns = now_ns + self._every_ns
        self._asked = str(now_ns // 1_000_000).encode()
        return self._asked

    def pong(self, payload: bytes, now_ns: int) -> None:
        """Note a pong."""
        if self._any_pong_counts or payload == self._asked:
            self._asked = b""
            self._heard_ns = now_ns

    def ended(self, now_ns: int) -> str:
        """Return why the connection is to be closed by now, empty where it is not."""
        if now_ns >= self._ends_ns:
            return "24 hours are over"
        if self._asked and now_ns - self._heard_ns > self._overdue_ns:
            return "no pong"
        return ""
