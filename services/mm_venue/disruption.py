"""Carries out the faults of whole connections, and lets the scheduled ones begin in time."""

import random
from collections.abc import Collection, Iterator

import orjson

from mm_venue.connection import Connection, text_frame
from mm_venue.faults import Fault, FaultError
from mm_venue.injector import Injector

__all__ = ["Disruption"]

GOING_AWAY = 1001
POLICY_VIOLATION = 1008
GARBAGE_BYTES = 120
NS_PER_MS = 1_000_000


class Disruption:
    """What happens to connections.

    Parameters
    ----------
    injector : Injector
        Where faults wait.
    faults : iterator of (int, Fault)
        The schedule: nanoseconds since the beginning, in order.
    connections : collection of Connection
        Those that are open.
    """

    def __init__(
        self,
        injector: Injector,
        faults: Iterator[tuple[int, Fault]],
        connections: Collection[Connection],
    ) -> None:
        self._injector = injector
        self._faults = faults
        self._connections = connections
        self._random = random.Random(0)
        self._next = next(faults, None)
        self._started_ns = 0
        self._closing: list[tuple[int, Connection]] = []

    def start(self, now_ns: int) -> None:
        """Begin the schedule."""
        self._started_ns = now_ns

    def tend(self, now_ns: int) -> None:
        """Do what is due by now."""
        while self._started_ns and self._next and self._started_ns + self._next[0] <= now_ns:
            try:
                self._injector.arm(self._next[1], now_ns)
            except FaultError:
                break  # too many wait: this one as well
            self._next = next(self._faults, None)
        for fault in self._injector.connection_faults():
            self._carry_out(fault, now_ns)
        for when, connection in [one for one in self._closing if one[0] <= now_ns]:
            self._closing.remove((when, connection))
            connection.close(GOING_AWAY, "")

    def _carry_out(self, fault: Fault, now_ns: int) -> None:
        symbol = fault.symbol.lower() if fault.symbol else None
        hit = [
            connection
            for connection in self._connections
            if connection.is_open and (symbol is None or connection.session.listens_to(symbol))
        ]
        for connection in hit:
            self._disturb(connection, fault, now_ns)
        self._injector.carried_out(fault, len(hit))

    def _disturb(self, connection: Connection, fault: Fault, now_ns: int) -> None:
        if fault.kind == "disconnect":
            connection.reset()
        elif fault.kind == "silence":
            connection.mute(now_ns + fault.duration_ms * NS_PER_MS)
        elif fault.kind == "day_cut":
            connection.close(POLICY_VIOLATION, "24 hours are over")
        elif fault.kind == "server_shutdown":
            data = orjson.dumps({"e": "serverShutdown", "E": now_ns // NS_PER_MS})
            if connection.session.combined:
                data = b'{"stream":"!serverShutdown","data":%b}' % data
            connection.write(text_frame(data))
            self._closing.append((now_ns + fault.duration_ms * NS_PER_MS, connection))
        elif fault.kind == "oversized":
            padding = b"0" * fault.size
            for _ in range(fault.count):
                connection.write(text_frame(b'{"e":"oversized","padding":"%b"}' % padding))
        else:
            for _ in range(fault.count):
                connection.write(text_frame(self._garbage()))

    def _garbage(self) -> bytes:
        return bytes(self._random.choices(range(0x20, 0x7F), k=GARBAGE_BYTES))
