"""pricing.toml: fair value, volatility and drift."""

from typing import Annotated

from msgspec import Meta

from mm_runtime.settings.base import HalfLifeS, Settings

__all__ = ["PricingSettings"]


class PricingSettings(Settings, frozen=True):
    """The fair value: config/pricing.toml."""

    volatility_half_life_s: HalfLifeS = 60.0
    drift_half_life_s: HalfLifeS = 60.0
    warmup_s: Annotated[float, Meta(ge=0, le=86_400)] = 1.0
    max_gap_s: Annotated[float, Meta(gt=0, le=3_600)] = 5.0
    microprice_weight: Annotated[float, Meta(ge=0, le=1)] = 1.0
    publish_interval_ms: Annotated[int, Meta(ge=10, le=60_000)] = 1_000
