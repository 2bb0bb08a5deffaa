"""Watches a service's loop and inputs from another thread, so that a frozen loop is seen."""

import time
from collections.abc import Callable

from mm_runtime.service import Service
from mmquant.codes import Stream

__all__ = ["Watch"]

_WINDOW_S = 15.0


class Watch:
    """When a service's counts last moved, as seen by whoever calls `look` a few times a second.

    The service itself does no more than count; all times here are this thread's.

    Parameters
    ----------
    service
        The service that is watched.
    monotonic
        Clock in seconds.
    """

    def __init__(self, service: Service, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._service = service
        self._monotonic = monotonic
        self._turns = 0
        self._turned_s: float | None = None
        self._received: dict[Stream, int] = {}
        self._heard_s: dict[Stream, float] = {}
        self._window_ends_s = 0.0
        self._longest_turns_ns = (0, 0)  # of the last full window and of the present one

    def look(self) -> None:
        """Note what has moved since the last call."""
        now_s, service = self._monotonic(), self._service
        if service.turns != self._turns:
            self._turns, self._turned_s = service.turns, now_s
        for stream, subscriber in service.subscribers().items():
            if subscriber.received != self._received.get(stream, 0):
                self._received[stream], self._heard_s[stream] = subscriber.received, now_s
        before, present = self._longest_turns_ns
        present = max(present, service.longest_turn_ns)
        service.longest_turn_ns = 0
        if now_s >= self._window_ends_s:
            self._window_ends_s = now_s + _WINDOW_S
            before, present = present, 0
        self._longest_turns_ns = (before, present)

    def turn_age_s(self) -> float | None:
        """Return for how long the loop has not been seen to turn; None before its first turn."""
        return None if self._turned_s is None else self._monotonic() - self._turned_s

    def input_age_s(self, stream: Stream) -> float | None:
        """Return for how long nothing came on `stream`; None before the first message."""
        heard_s = self._heard_s.get(stream)
        return None if heard_s is None else self._monotonic() - heard_s

    def longest_turn_s(self) -> float:
        """Return the longest time from turn to turn in the last 15 to 30 s."""
        stalled_s = self.turn_age_s() or 0.0  # a turn that has not ended yet
        return max(stalled_s, max(self._longest_turns_ns) / 1e9)
