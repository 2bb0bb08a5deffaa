"""Token buckets: what the venue allows an address in a period of time."""

__all__ = ["TokenBucket"]


class TokenBucket:
    """Tokens refilled evenly over the period; the bucket starts full.

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
        self._tokens = float(capacity)
        self._filled_ns = 0
        self._blocked_until_ns = 0

    def take(self, tokens: int, now_ns: int) -> bool:
        """Take `tokens` if they are there and the venue has not asked for a pause."""
        elapsed_ns = max(0, now_ns - self._filled_ns) if self._filled_ns else 0
        self._filled_ns = now_ns
        refilled = self._tokens + elapsed_ns / self._period_ns * self._capacity
        self._tokens = min(float(self._capacity), refilled)
        if now_ns < self._blocked_until_ns or self._tokens < tokens:
            return False
        self._tokens -= tokens
        return True

    def ready_ns(self, tokens: int, now_ns: int) -> int:
        """Return when so many tokens can be taken: not after `now_ns` where they can be now."""
        missing = tokens - self._tokens
        refilled_ns = self._filled_ns + int(missing / self._capacity * self._period_ns)
        return max(self._blocked_until_ns, refilled_ns if missing > 0 else 0)

    def is_blocked(self, now_ns: int) -> bool:
        """Return whether the venue has asked for a pause that is not over."""
        return now_ns < self._blocked_until_ns

    def block(self, until_ns: int) -> None:
        """Honour the venue's Retry-After, for everything from this address."""
        self._blocked_until_ns = max(self._blocked_until_ns, until_ns)

    def limit(self, capacity: int) -> None:
        """Learn the venue's own limit."""
        self._tokens = min(self._tokens + max(0, capacity - self._capacity), float(capacity))
        self._capacity = capacity

    def observe_used(self, used: int) -> None:
        """Learn how much of the period's tokens the venue counts as used, by whomever."""
        self._tokens = min(self._tokens, float(max(0, self._capacity - used)))
