"""collector.toml: where the market data comes from and how the book is kept right."""

from typing import Annotated, Literal

from msgspec import Meta

from mm_runtime.settings.base import Settings, Text, TimeoutMs

__all__ = [
    "CollectorSettings",
    "ConnectionSettings",
    "DepthSettings",
    "EndpointSettings",
    "PublishSettings",
    "RecordSettings",
    "SyncSettings",
]

_MAX_SYMBOL_BYTES = 24  # the field of the instrument message
_USDM_SNAPSHOT_LIMITS = (5, 10, 20, 50, 100, 500, 1000)


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
