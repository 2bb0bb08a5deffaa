"""What can be set: one struct a .toml file, with defaults, types and ranges.

The defaults equal the files in config/, where every key is explained.
"""

from mm_runtime.settings.base import Settings
from mm_runtime.settings.collector import (
    CollectorSettings,
    ConnectionSettings,
    DepthSettings,
    EndpointSettings,
    PublishSettings,
    RecordSettings,
    SyncSettings,
)
from mm_runtime.settings.pricing import (
    BlendSettings,
    PricingSettings,
    ReferenceSettings,
    SignalDriftSettings,
    WarmStartSettings,
)
from mm_runtime.settings.recorder import RecorderSettings
from mm_runtime.settings.runtime import (
    AeronmdSettings,
    AeronSettings,
    HealthSettings,
    HeartbeatSettings,
    IdleSettings,
    LogSettings,
    MetricsSettings,
    RuntimeSettings,
    SessionSettings,
    TermSettings,
)
from mm_runtime.settings.simulator import (
    BracketSettings,
    FeeSettings,
    LedgerSettings,
    SimulatorSettings,
)
from mm_runtime.settings.strategy import (
    GateSettings,
    LadderSettings,
    RateSettings,
    StrategySettings,
)

__all__ = [
    "AeronSettings",
    "AeronmdSettings",
    "BlendSettings",
    "BracketSettings",
    "CollectorSettings",
    "ConnectionSettings",
    "DepthSettings",
    "EndpointSettings",
    "FeeSettings",
    "GateSettings",
    "HealthSettings",
    "HeartbeatSettings",
    "IdleSettings",
    "LadderSettings",
    "LedgerSettings",
    "LogSettings",
    "MetricsSettings",
    "PricingSettings",
    "PublishSettings",
    "RateSettings",
    "RecordSettings",
    "RecorderSettings",
    "ReferenceSettings",
    "RuntimeSettings",
    "SessionSettings",
    "Settings",
    "SignalDriftSettings",
    "SimulatorSettings",
    "StrategySettings",
    "SyncSettings",
    "TermSettings",
    "WarmStartSettings",
]
