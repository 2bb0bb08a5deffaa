"""strategy.toml: the quotes and their limits."""

import re
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta

from mm_runtime.settings.base import Settings

__all__ = ["StrategySettings"]

_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")


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
