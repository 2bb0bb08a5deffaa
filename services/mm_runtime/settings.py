"""What can be set: one struct a .toml file, with defaults, types and ranges.

The defaults equal the files in config/, where every key is explained.
"""

import os
import pwd
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = [
    "AeronSettings",
    "AeronmdSettings",
    "CollectorSettings",
    "ConnectionSettings",
    "DepthSettings",
    "EndpointSettings",
    "FeeSettings",
    "HealthSettings",
    "HeartbeatSettings",
    "IdleSettings",
    "LedgerSettings",
    "LogSettings",
    "MetricsSettings",
    "PricingSettings",
    "PublishSettings",
    "RecordSettings",
    "RuntimeSettings",
    "Settings",
    "SimulatorSettings",
    "StrategySettings",
    "SyncSettings",
    "TermSettings",
]

_MIN_TERM_BYTES = 64 * 1024
_MAX_TERM_BYTES = 1024 * 1024 * 1024
_MAX_SYMBOL_BYTES = 24  # the field of the instrument message
_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_MACHINE = r"^[A-Za-z0-9.-]+:[0-9]{1,5}$"
_MIN_PORT, _MAX_PORT = 1_024, 65_535
_USDM_SNAPSHOT_LIMITS = (5, 10, 20, 50, 100, 500, 1000)

Text = Annotated[str, Meta(min_length=1)]
TermBytes = Annotated[int, Meta(ge=_MIN_TERM_BYTES, le=_MAX_TERM_BYTES)]
Machine = Annotated[str, Meta(pattern=_MACHINE)]
TimeoutMs = Annotated[int, Meta(ge=100, le=600_000)]
HalfLifeS = Annotated[float, Meta(ge=0.01, le=86_400)]
LatencyMs = Annotated[float, Meta(ge=0, le=60_000)]
FeePpm = Annotated[int, Meta(ge=-10_000, le=100_000)]


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all settings: immutable, by name only, no unknown key."""


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

    directory: Text = "logs"
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


class RuntimeSettings(Settings, frozen=True):
    """What all services share: config/runtime.toml."""

    state_directory: Text = "var"
    aeron: AeronSettings = AeronSettings()
    heartbeats: HeartbeatSettings = HeartbeatSettings()
    logs: LogSettings = LogSettings()
    idle: IdleSettings = IdleSettings()
    metrics: MetricsSettings = MetricsSettings()
    health: HealthSettings = HealthSettings()

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


class EndpointSettings(Settings, frozen=True):
    """Addresses of the venue (collector.toml, [endpoints])."""

    rest_url: Annotated[str, Meta(pattern=r"^(https?://.+)?$")] = ""
    ws_url: Annotated[str, Meta(pattern=r"^(wss?://.+)?$")] = ""


class DepthSettings(Settings, frozen=True):
    """The depth stream and its snapshot (collector.toml, [depth])."""

    speed: Literal["", "100ms", "0ms"] = ""
    snapshot_limit: Annotated[int, Meta(ge=0, le=5_000)] = 0


class SyncSettings(Settings, frozen=True):
    """Bounds of a book's synchronisation (collector.toml, [sync])."""

    stale_after_ms: TimeoutMs = 2_000
    max_buffered_events: Annotated[int, Meta(ge=10, le=1_000_000)] = 5_000
    snapshot_retry_ms: Annotated[int, Meta(ge=50, le=60_000)] = 250
    request_weight_per_minute: Annotated[int, Meta(ge=0, le=100_000)] = 0
    audit_interval_s: Annotated[float, Meta(ge=0, le=86_400)] = 0.0


class PublishSettings(Settings, frozen=True):
    """What goes to the other services (collector.toml, [publish])."""

    snapshot_interval_ms: Annotated[int, Meta(ge=50, le=60_000)] = 1_000
    snapshot_levels: Annotated[int, Meta(ge=1, le=5_000)] = 1_000
    time_source: Literal["receive", "venue"] = "receive"


class ConnectionSettings(Settings, frozen=True):
    """The sockets (collector.toml, [connection])."""

    connect_timeout_ms: TimeoutMs = 10_000
    idle_timeout_ms: TimeoutMs = 30_000
    backoff_initial_ms: Annotated[int, Meta(ge=10, le=60_000)] = 200
    backoff_max_ms: Annotated[int, Meta(ge=10, le=600_000)] = 30_000
    max_age_minutes: Annotated[float, Meta(gt=0, le=1_440)] = 1_380.0
    first_frame_timeout_ms: TimeoutMs = 10_000
    max_backlog_megabytes: Annotated[int, Meta(ge=1, le=4_096)] = 64

    def __post_init__(self) -> None:
        """Refuse a backoff that would shrink."""
        if self.backoff_max_ms < self.backoff_initial_ms:
            raise ValueError(
                f"backoff_max_ms: must be >= backoff_initial_ms ({self.backoff_initial_ms}), "
                f"got {self.backoff_max_ms}"
            )


class RecordSettings(Settings, frozen=True):
    """The raw recording (collector.toml, [record])."""

    enabled: bool = False
    directory: Text = "recordings"
    max_queue_megabytes: Annotated[int, Meta(ge=1, le=4_096)] = 64


class CollectorSettings(Settings, frozen=True):
    """The collector: config/collector.toml."""

    venue: Literal["binance"] = "binance"
    market: Literal["spot", "usdm"] = "usdm"
    symbols: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=20)] = ("BTCUSDT",)
    endpoints: EndpointSettings = EndpointSettings()
    depth: DepthSettings = DepthSettings()
    sync: SyncSettings = SyncSettings()
    publish: PublishSettings = PublishSettings()
    connection: ConnectionSettings = ConnectionSettings()
    record: RecordSettings = RecordSettings()

    def __post_init__(self) -> None:
        """Refuse symbols and a snapshot limit that the venue cannot know."""
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError(f"symbols: must differ from each other, got {list(self.symbols)}")
        for symbol in self.symbols:
            if any(c.isspace() for c in symbol) or len(symbol.encode()) > _MAX_SYMBOL_BYTES:
                raise ValueError(
                    f"symbols: must have no spaces and at most {_MAX_SYMBOL_BYTES} bytes, "
                    f"got {symbol!r}"
                )
        limit = self.depth.snapshot_limit
        if self.market == "usdm" and limit and limit not in _USDM_SNAPSHOT_LIMITS:
            choices = ", ".join(str(n) for n in (0, *_USDM_SNAPSHOT_LIMITS))
            raise ValueError(
                f"depth.snapshot_limit: must be one of {choices} where market is 'usdm', "
                f"got {limit}"
            )


class PricingSettings(Settings, frozen=True):
    """The fair value: config/pricing.toml."""

    volatility_half_life_s: HalfLifeS = 60.0
    drift_half_life_s: HalfLifeS = 60.0
    warmup_s: Annotated[float, Meta(ge=0, le=86_400)] = 1.0
    max_gap_s: Annotated[float, Meta(gt=0, le=3_600)] = 5.0
    microprice_weight: Annotated[float, Meta(ge=0, le=1)] = 1.0
    publish_interval_ms: Annotated[int, Meta(ge=10, le=60_000)] = 1_000


class StrategySettings(Settings, frozen=True):
    """The quotes: config/strategy.toml."""

    model: Literal["skewed"] = "skewed"
    levels: Annotated[int, Meta(ge=1, le=5)] = 3
    order_qty: str = "0.010"
    position_limit_qty: str = "0.100"
    level_spacing_ticks: Annotated[int, Meta(ge=1, le=1_000_000)] = 5
    min_half_spread_ticks: Annotated[float, Meta(ge=0.5, le=1_000_000)] = 2.0
    volatility_multiple: Annotated[float, Meta(ge=0, le=100)] = 0.5
    horizon_s: Annotated[float, Meta(gt=0, le=3_600)] = 1.0
    inventory_skew: Annotated[float, Meta(ge=0, le=10)] = 1.0
    drift_weight: Annotated[float, Meta(ge=-10, le=10)] = 0.1
    requote_ticks: Annotated[int, Meta(ge=1, le=1_000_000)] = 4
    max_spread_ticks: Annotated[int, Meta(ge=1, le=1_000_000)] = 200
    republish_interval_ms: Annotated[int, Meta(ge=10, le=60_000)] = 500

    def __post_init__(self) -> None:
        """Refuse orders of nothing, and a limit that forbids the first order."""
        for key in ("order_qty", "position_limit_qty"):
            if _DECIMAL.fullmatch(getattr(self, key)) is None:
                raise ValueError(
                    f"{key}: must be a decimal number such as '0.010', got {getattr(self, key)!r}"
                )
        order, limit = Decimal(self.order_qty), Decimal(self.position_limit_qty)
        if order <= 0:
            raise ValueError(f"order_qty: must be > 0, got {self.order_qty!r}")
        if limit < order:
            raise ValueError(
                f"position_limit_qty: must be >= order_qty ({self.order_qty}), "
                f"got {self.position_limit_qty!r}"
            )


class FeeSettings(Settings, frozen=True):
    """Fees in millionths of the notional (simulator.toml, [fees])."""

    spot_maker_ppm: FeePpm = 1_000
    spot_taker_ppm: FeePpm = 1_000
    usdm_maker_ppm: FeePpm = 200
    usdm_taker_ppm: FeePpm = 500


class LedgerSettings(Settings, frozen=True):
    """The database of fills and positions (simulator.toml, [ledger])."""

    file: Text = "ledger.sqlite"
    synchronous: Literal["FULL", "NORMAL"] = "FULL"


class SimulatorSettings(Settings, frozen=True):
    """The paper venue: config/simulator.toml."""

    entry_latency_ms: LatencyMs = 5.0
    cancel_latency_ms: LatencyMs = 5.0
    fill_probability_factor: Annotated[float, Meta(ge=0, le=1)] = 0.5
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 1
    markout_horizon_ms: Annotated[int, Meta(ge=1, le=60_000)] = 1_000
    fees: FeeSettings = FeeSettings()
    ledger: LedgerSettings = LedgerSettings()
