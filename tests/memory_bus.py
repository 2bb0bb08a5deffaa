"""Streams between agents of one process: real publishers and subscribers, no media driver."""

from collections import deque
from itertools import count
from types import SimpleNamespace

from mm_runtime.transport import Publisher, Subscriber

__all__ = ["MemoryBus", "SteppedClock"]


class SteppedClock:
    """A clock that moves on by `step_ns` whenever it is read."""

    def __init__(self, now_ns=1_700_000_000_000_000_000, step_ns=1_000):
        self.time_ns, self.step_ns = now_ns, step_ns

    def now_ns(self):
        self.time_ns += self.step_ns
        return self.time_ns


class _Subscription:
    def __init__(self):
        self.queue = deque()

    def poll(self, handler, limit):
        n = min(limit, len(self.queue))
        for _ in range(n):
            stream, session, message = self.queue.popleft()
            handler(message, SimpleNamespace(stream_id=stream, session_id=session))
        return n

    def close(self):
        self.queue.clear()


class _Publication:
    def __init__(self, bus, stream):
        self.bus, self.stream, self.session_id = bus, int(stream), next(bus.sessions)

    def offer(self, payload):
        for subscription in self.bus.subscriptions[self.stream]:
            subscription.queue.append((self.stream, self.session_id, bytes(payload)))
        return True

    def close(self):
        pass


class MemoryBus:
    """Stands for Transport: `agent.connect = bus.connect`."""

    def __init__(self):
        self.sessions = count(101)
        self.subscriptions = {stream: [] for stream in range(10, 18)}

    def connect(self, settings):
        return self

    def publisher(self, stream, queue_limit, conflate=False):
        return Publisher(_Publication(self, stream), queue_limit, conflate)

    def subscriber(self, stream, inbox, handlers, on_any=None, on_bytes=None):
        subscription = _Subscription()
        self.subscriptions[int(stream)].append(subscription)
        return Subscriber([subscription], inbox, handlers, on_any, on_bytes)

    def check(self):
        pass

    def close(self):
        pass
