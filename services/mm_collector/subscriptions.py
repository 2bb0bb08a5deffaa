"""Stream names -> paced SUBSCRIBE messages, and which streams have really delivered: pure.

The venue acknowledges a name that does not exist, or that belongs to another route, and is then
silent for ever; a frame that is too long it does not even answer. So only data prove a stream.
"""

from collections import deque
from collections.abc import Iterable

import orjson

__all__ = ["Subscriptions", "stream_of"]

_MAX_NAMES = 50
_MAX_BYTES = 3_500  # the venue swallows frames of more than about 4096
_PACE_NS = 500_000_000  # of 5 messages a second on spot; pongs count, too
_HEAD = b'{"stream":"'


def stream_of(payload: bytes) -> str:
    """Return the stream's name of a combined frame, "" for anything else."""
    if not payload.startswith(_HEAD):
        return ""
    return payload[len(_HEAD) : payload.find(b'"', len(_HEAD))].decode(errors="replace")


class Subscriptions:
    """The subscriptions of one connection.

    Parameters
    ----------
    names
        Streams wanted.
    first_frame_timeout_ns
        A stream that has not delivered so long after its SUBSCRIBE is asked for again, and then
        after twice as long, and so on.

    Attributes
    ----------
    heard
        Stream -> when its newest frame came.
    firsts
        Stream -> its first frame.
    """

    def __init__(self, names: Iterable[str], first_frame_timeout_ns: int) -> None:
        self.heard: dict[str, int] = {}
        self.firsts: dict[str, bytes] = {}
        self._pending: deque[str] = deque(dict.fromkeys(names))
        self._awaited: dict[str, tuple[int, int]] = {}  # name -> deadline, timeout
        self._timeouts = dict.fromkeys(self._pending, first_frame_timeout_ns)
        self._first_frame_timeout_ns = first_frame_timeout_ns
        self._next_send_ns = 0
        self._next_id = 1

    def add(self, names: Iterable[str]) -> None:
        """Ask for more streams."""
        new = [name for name in dict.fromkeys(names) if name not in self._timeouts]
        self._pending.extend(new)
        self._timeouts |= dict.fromkeys(new, self._first_frame_timeout_ns)

    def next_message(self, now_ns: int) -> str | None:
        """Return the SUBSCRIBE message that may be sent now."""
        if not self._pending or now_ns < self._next_send_ns:
            return None
        names: list[str] = []
        size = 0
        while self._pending and len(names) < _MAX_NAMES:
            size += len(self._pending[0].encode()) + 3
            if size > _MAX_BYTES and names:
                break
            name = self._pending.popleft()
            names.append(name)
            timeout_ns = self._timeouts[name]
            self._awaited[name] = (now_ns + timeout_ns, timeout_ns)
        message = orjson.dumps({"method": "SUBSCRIBE", "params": names, "id": self._next_id})
        self._next_id += 1
        self._next_send_ns = now_ns + _PACE_NS
        return message.decode()

    def on_frame(self, payload: bytes, received_ns: int) -> None:
        """Note which stream has delivered; what was never asked for is none."""
        name = stream_of(payload)
        if name not in self._timeouts:
            return
        self.firsts.setdefault(name, payload)
        self._awaited.pop(name, None)
        self.heard[name] = received_ns

    def expect(self, name: str, now_ns: int) -> None:
        """Ask once more for a stream that has delivered and should do so still."""
        heard_ns = self.heard.get(name)
        if heard_ns is not None and now_ns - heard_ns > self._timeouts[name]:
            del self.heard[name]
            self._pending.append(name)

    def silent(self, now_ns: int) -> list[str]:
        """Return the streams whose first frame is overdue; they are asked for once more."""
        if not self._awaited:
            return []
        late = [name for name, (deadline_ns, _) in self._awaited.items() if now_ns >= deadline_ns]
        for name in late:
            self._timeouts[name] = 2 * self._awaited.pop(name)[1]
            self._pending.append(name)
        return late
