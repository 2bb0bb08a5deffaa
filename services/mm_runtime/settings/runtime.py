"""runtime.toml and aeronmd.toml: what all services share, and the media driver."""

import os
import pwd
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from mm_runtime.settings.base import Settings, Text, TimeoutMs

__all__ = [
    "AeronSettings",
    "AeronmdSettings",
    "HealthSettings",
    "HeartbeatSettings",
    "IdleSettings",
    "LogSettings",
    "MetricsSettings",
    "RuntimeSettings",
    "SessionSettings",
    "TermSettings",
]

_MIN_TERM_BYTES = 64 * 1024
_MAX_TERM_BYTES = 1024 * 1024 * 1024
_MACHINE = r"^[A-Za-z0-9.-]+:[0-9]{1,5}$"
_MIN_PORT, _MAX_PORT = 1_024, 65_535
TermBytes = Annotated[int, Meta(ge=_MIN_TERM_BYTES, le=_MAX_TERM_BYTES)]
Machine = Annotated[str, Meta(pattern=_MACHINE)]


class TermSettings(Settings, frozen=True):
    """Length of a stream's log buffers (runtime.toml, [aeron.terms])."""

    market_data_bytes: TermBytes = 4_194_304
    trades_bytes: TermBytes = 4_194_304
    other_bytes: TermBytes = 1_048_576

    def __post_init__(self) -> None:
        """Refuse lengths that Aeron refuses."""
        for key in self.__struct_fields__:
            nbytes = getattr(self, key)
            if nbytes & (nbytes - 1):
                raise ValueError(f"{key}: must be a power of two, got {nbytes}")


class AeronSettings(Settings, frozen=True):
    """Where the media driver is and how to reach it (runtime.toml, [aeron])."""

    directory: str = ""
    channel: Annotated[str, Meta(pattern=r"^aeron:(ipc|udp)(\?.+)?$")] = "aeron:ipc"
    machines: Annotated[tuple[Machine, ...], Meta(max_length=16)] = ()
    machine: str = ""
    driver_timeout_ms: TimeoutMs = 2_000
    when_blocked: Literal["conflate", "wait"] = "conflate"
    terms: TermSettings = TermSettings()

    def __post_init__(self) -> None:
        """Refuse machines that cannot hear each other."""
        if len(self.machines) == 1:
            raise ValueError(
                f"machines: must name every machine, or none where all services run on one, "
                f"got {list(self.machines)}"
            )
        if self.machine not in (self.machines or ("",)):
            raise ValueError(
                f"machine: must be this machine's entry of machines ({list(self.machines)}), "
                f"got {self.machine!r}"
            )
        if self.machines and self.channel != "aeron:ipc":
            raise ValueError(
                f"channel: must stay 'aeron:ipc' where machines are named, got {self.channel!r}"
            )
        self._check_ports()

    def _check_ports(self) -> None:
        span = len(self.machines)
        taken: dict[tuple[str, int], str] = {}
        for machine in self.machines:
            host, _, port = machine.rpartition(":")
            if not _MIN_PORT <= int(port) <= _MAX_PORT - span:
                raise ValueError(
                    f"machines: ports must be >= {_MIN_PORT} and <= {_MAX_PORT - span}, "
                    f"got {machine!r}"
                )
            for offset in range(span + 1):
                other = taken.setdefault((host, int(port) + offset), machine)
                if other != machine or self.machines.count(machine) > 1:
                    raise ValueError(
                        f"machines: must differ, on one host by more than {span} ports, "
                        f"got {other!r} and {machine!r}"
                    )


class HeartbeatSettings(Settings, frozen=True):
    """How often services say that they live, and when they are taken for dead."""

    interval_ms: Annotated[int, Meta(ge=10, le=60_000)] = 250
    timeout_ms: TimeoutMs = 1_000

    def __post_init__(self) -> None:
        """Refuse a timeout that one late heartbeat would exceed."""
        if self.timeout_ms < 2 * self.interval_ms:
            raise ValueError(
                f"timeout_ms: must be >= 2 * interval_ms ({self.interval_ms}), "
                f"got {self.timeout_ms}"
            )


class LogSettings(Settings, frozen=True):
    """Hourly logs (runtime.toml, [logs])."""

    directory: Text = "var/logs"
    keep_files: Annotated[int, Meta(ge=1, le=100_000)] = 48
    max_megabytes: Annotated[int, Meta(ge=1, le=1_000_000)] = 256
    level: Literal["debug", "info", "warning", "error"] = "info"
    json: bool = False


class IdleSettings(Settings, frozen=True):
    """What a service does between two turns without work (runtime.toml, [idle])."""

    strategy: Literal["backoff", "yield", "busy_spin", "sleep"] = "backoff"
    max_park_us: Annotated[int, Meta(ge=1, le=1_000_000)] = 50


class MetricsSettings(Settings, frozen=True):
    """The HTTP server of every service, /metrics and /health (runtime.toml, [metrics])."""

    enabled: bool = True
    host: Text = "127.0.0.1"
    base_port: Annotated[int, Meta(ge=1_024, le=65_000)] = 9_810


class HealthSettings(Settings, frozen=True):
    """When a service counts as unhealthy (runtime.toml, [health])."""

    turn_timeout_ms: TimeoutMs = 1_000
    input_timeout_ms: TimeoutMs = 5_000
    grace_ms: TimeoutMs = 30_000


class SessionSettings(Settings, frozen=True):
    """Recorded sessions (runtime.toml, [session])."""

    directory: str = ""
    max_queue_megabytes: Annotated[int, Meta(ge=1, le=4_096)] = 64
    min_free_megabytes: Annotated[int, Meta(ge=0, le=1_000_000)] = 512


class RuntimeSettings(Settings, frozen=True):
    """What all services share: config/runtime.toml."""

    state_directory: Text = "var"
    aeron: AeronSettings = AeronSettings()
    heartbeats: HeartbeatSettings = HeartbeatSettings()
    logs: LogSettings = LogSettings()
    idle: IdleSettings = IdleSettings()
    metrics: MetricsSettings = MetricsSettings()
    health: HealthSettings = HealthSettings()
    session: SessionSettings = SessionSettings()

    def aeron_directory(self) -> Path:
        """Return the media driver's directory; by default one a user, in shared memory."""
        if self.aeron.directory:
            return Path(self.aeron.directory)
        try:
            user = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:  # a container's user without an entry
            user = str(os.getuid())
        return Path("/dev/shm") / f"aeron-mmquant-{user}"


class AeronmdSettings(Settings, frozen=True):
    """The media driver: config/aeronmd.toml."""

    threading: Literal["shared", "shared_network", "dedicated"] = "shared"
    client_liveness_timeout_ms: TimeoutMs = 2_000
    shared_memory_limit_bytes: Annotated[int, Meta(ge=16_777_216, le=2**40)] = 536_870_912
