"""What the venue allows an address in a period of time: counted here, corrected by what it says."""

from collections import deque

__all__ = ["PAUSES_S", "Budget", "number", "retry_after_ns"]

_S = 1_000_000_000
# Pauses for the whole address where the venue names none: a ban begins with two minutes.
PAUSES_S = {403: 300, 418: 120, 429: 60, 451: 300}


class Budget:
    """A limit that holds over every period, wherever it begins: spent is spent for a whole period.

    What costs more than the limit is let through once nothing else counts.

    Parameters
    ----------
    capacity
        Tokens a period.
    period_ns
        Length of the period.
    """

    def __init__(self, capacity: int, period_ns: int) -> None:
        self._capacity = capacity
        self._period_ns = period_ns
        self._taken: deque[tuple[int, int]] = deque()  # when, tokens; oldest first
        self._sum = 0  # of those
        self._used = 0  # as the venue counts it, and what was taken since it said so
        self._used_until_ns = 0
        self._blocked_until_ns = 0

    def take(self, tokens: int, now_ns: int) -> bool:
        """Take `tokens` if they are there and the venue has not asked for a pause."""
        # A clock set back leaves times to come: they say nothing.
        while self._taken and not 0 <= now_ns - self._taken[0][0] < self._period_ns:
            self._sum -= self._taken.popleft()[1]
        if self.ready_ns(tokens, now_ns) > now_ns:
            return False
        self._taken.append((now_ns, tokens))
        self._sum += tokens
        self._used += tokens
        return True

    def ready_ns(self, tokens: int, now_ns: int) -> int:
        """Return when so many tokens can be taken: not after `now_ns` where they can be now."""
        ready_ns = self._blocked_until_ns
        if now_ns < self._used_until_ns and self._used + tokens > self._capacity:
            ready_ns = max(ready_ns, self._used_until_ns)
        free = self._capacity - self._sum
        for taken_ns, count in tuple(self._taken):  # a copy: metrics are read by another thread
            if free >= tokens:
                break
            free += count
            ready_ns = max(ready_ns, taken_ns + self._period_ns)
        return ready_ns

    def is_blocked(self, now_ns: int) -> bool:
        """Return whether the venue has asked for a pause that is not over."""
        return now_ns < self._blocked_until_ns

    def block(self, until_ns: int) -> None:
        """Honour the venue's Retry-After, for everything from this address."""
        self._blocked_until_ns = max(self._blocked_until_ns, until_ns)

    def limit(self, capacity: int) -> None:
        """Learn the venue's own limit."""
        self._capacity = capacity

    def observe_used(self, used: int, now_ns: int, until_ns: int) -> None:
        """Learn what the venue counts as used, by whomever, in its period that ends `until_ns`.

        Its periods begin by its own clock: until the present one is over, nothing comes back.
        """
        if now_ns < self._used_until_ns:
            self._used = max(self._used, used)  # answers may overtake each other
            self._used_until_ns = min(self._used_until_ns, until_ns)
        else:
            self._used, self._used_until_ns = used, until_ns


def retry_after_ns(status: int, header: str | None) -> int:
    """Return how long to wait after an answer with this status and Retry-After."""
    seconds = number(header)
    return (PAUSES_S.get(status, 0) if seconds is None else seconds) * _S


def number(text: str | None) -> int | None:
    """Return the number in a header, None where there is none."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else None
