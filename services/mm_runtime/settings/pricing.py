"""pricing.toml: fair value, its signals, volatility and drift."""

from typing import Annotated

from msgspec import Meta

from mm_runtime.settings.base import HalfLifeS, Settings

__all__ = ["BlendSettings", "PricingSettings", "ReferenceSettings", "WarmStartSettings"]

Weight = Annotated[float, Meta(ge=0, le=1_000)]
Factor = Annotated[float, Meta(ge=-1_000_000, le=1_000_000)]
Levels = Annotated[int, Meta(ge=1, le=20)]


class BlendSettings(Settings, frozen=True):
    """Weights of prices and factors of signals (pricing.toml, [blend])."""

    mid: Weight = 0.0
    weighted_mid: Weight = 0.0
    microprice: Weight = 1.0
    stoikov: Weight = 0.0
    vamp: Weight = 0.0
    depth_imbalance_ticks: Factor = 0.0
    order_flow_ticks_per_lot: Factor = 0.0
    trade_flow_ticks: Factor = 0.0
    basis_ticks_per_bp: Factor = 0.0

    def __post_init__(self) -> None:
        """Refuse a blend of nothing."""
        if self.mid + self.weighted_mid + self.microprice + self.stoikov + self.vamp <= 0:
            raise ValueError("microprice: some price must have a weight > 0, got none")


class ReferenceSettings(Settings, frozen=True):
    """The other instrument, for the basis (pricing.toml, [reference])."""

    symbol: Annotated[str, Meta(max_length=24)] = ""
    max_age_s: Annotated[float, Meta(gt=0, le=3_600)] = 2.0


class WarmStartSettings(Settings, frozen=True):
    """The stored estimates (pricing.toml, [warm_start])."""

    max_age_s: Annotated[float, Meta(ge=0, le=86_400)] = 600.0
    interval_s: Annotated[float, Meta(ge=0.1, le=3_600)] = 5.0


class PricingSettings(Settings, frozen=True):
    """The fair value: config/pricing.toml."""

    fair_value: Annotated[str, Meta(pattern=r"^(blend|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$")] = "blend"
    fair_value_params: Annotated[tuple[float, ...], Meta(max_length=1_000)] = ()
    volatility_half_life_s: HalfLifeS = 60.0
    drift_half_life_s: HalfLifeS = 60.0
    warmup_s: Annotated[float, Meta(ge=0, le=86_400)] = 1.0
    max_gap_s: Annotated[float, Meta(gt=0, le=3_600)] = 5.0
    jump_sigmas: Annotated[float, Meta(ge=0, le=1_000)] = 6.0
    depth_levels: Levels = 5
    order_flow_levels: Levels = 3
    order_flow_half_life_s: HalfLifeS = 5.0
    trade_flow_half_life_s: HalfLifeS = 10.0
    stoikov_file: str = ""
    publish_ticks: Annotated[float, Meta(ge=0, le=1_000)] = 0.0
    publish_interval_ms: Annotated[int, Meta(ge=10, le=60_000)] = 1_000
    blend: BlendSettings = BlendSettings()
    reference: ReferenceSettings = ReferenceSettings()
    warm_start: WarmStartSettings = WarmStartSettings()

    def __post_init__(self) -> None:
        """Refuse a limit on jumps that would cut what is no jump."""
        if 0 < self.jump_sigmas < 1:
            raise ValueError(f"jump_sigmas: must be 0 or at least 1, got {self.jump_sigmas}")
