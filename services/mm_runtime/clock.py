"""The one place that reads the machine's time, so that tests can hand in their own."""

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """What an agent asks for the time."""

    def now_ns(self) -> int:
        """Return nanoseconds since the epoch (UTC)."""
        ...


class SystemClock:
    """The machine's real-time clock, comparable between the processes of one machine."""

    def now_ns(self) -> int:
        """Return nanoseconds since the epoch (UTC)."""
        return time.time_ns()
