"""strategy.toml: the model, the orders and their limits, and the risk gates."""

import re
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, field

from mm_runtime.settings.base import Settings

__all__ = ["GateSettings", "LadderSettings", "RateSettings", "StrategySettings"]

_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_MODEL = r"^[A-Za-z_][A-Za-z0-9_.]*(:[A-Za-z_][A-Za-z0-9_]*)?$"
Ticks = Annotated[int, Meta(ge=1, le=1_000_000)]
WaitMs = Annotated[int, Meta(ge=10, le=600_000)]
PerSecond = Annotated[float, Meta(ge=0.1, le=10_000)]
Burst = Annotated[int, Meta(ge=1, le=10_000)]
Fills = Annotated[int, Meta(ge=1, le=64)]


def _check_decimal(key: str, text: str) -> Decimal:
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError(f"{key}: must be a decimal number such as '0.010', got {text!r}")
    return Decimal(text)


def _narrow() -> dict[str, int | float]:
    """Return parameters of the skewed maker that fill often."""
    return {
        "min_half_spread_ticks": 2.0,
        "volatility_multiple": 0.5,
        "horizon_s": 1.0,
        "inventory_skew": 1.0,
        "drift_weight": 0.1,
    }


class LadderSettings(Settings, frozen=True):
    """Distances and sizes behind the first order (strategy.toml, [ladder])."""

    spacing_ticks: Ticks = 5
    spacing_bps: Annotated[float, Meta(ge=0, le=1_000)] = 0.0
    spacing_ratio: Annotated[float, Meta(ge=1, le=10)] = 1.0
    size_step: Annotated[float, Meta(ge=0, le=100)] = 0.0
    size_ratio: Annotated[float, Meta(ge=0.01, le=10)] = 1.0


class RateSettings(Settings, frozen=True):
    """How many orders may be sent and cancelled (strategy.toml, [rates])."""

    orders_per_s: PerSecond = 15.0
    order_burst: Burst = 150
    cancels_per_s: PerSecond = 100.0
    cancel_burst: Burst = 300


class GateSettings(Settings, frozen=True):
    """What stops the quoting (strategy.toml, [gates])."""

    max_book_age_ms: WaitMs = 5_000
    max_lag_ms: WaitMs = 1_000
    max_simulator_lag_ms: WaitMs = 1_000
    max_clock_skew_ms: Annotated[int, Meta(ge=1, le=600_000)] = 100
    collar_bps: Annotated[float, Meta(ge=0.01, le=10_000)] = 100.0
    max_open_orders: Annotated[int, Meta(ge=2, le=200)] = 60
    max_open_notional: str = "100000"
    max_session_loss: str = "1000"
    max_drawdown: str = "1000"
    max_minute_loss: str = "250"
    max_fills: Fills = 40
    fill_window_s: Annotated[float, Meta(ge=0.001, le=3_600)] = 1.0
    markout_fills: Fills = 32
    markout_horizon_ms: Annotated[int, Meta(ge=1, le=600_000)] = 1_000
    max_adverse_markout_ticks: Annotated[float, Meta(ge=0, le=1_000_000)] = 100.0
    max_volatility_ratio: Annotated[float, Meta(ge=1, le=1_000)] = 8.0
    volatility_baseline_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 300.0
    pause_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 10.0

    def __post_init__(self) -> None:
        """Refuse money that is no number."""
        for key in ("max_open_notional", "max_session_loss", "max_drawdown", "max_minute_loss"):
            _check_decimal(key, getattr(self, key))


class StrategySettings(Settings, frozen=True):
    """Model, orders, limits: config/strategy.toml."""

    model: Annotated[str, Meta(pattern=_MODEL)] = "skewed"
    model_parameters: dict[str, int | float] = field(default_factory=_narrow)
    horizon_s: Annotated[float, Meta(gt=0, le=86_400)] = 1.0
    arrival_rate_per_s: Annotated[float, Meta(gt=0, le=1_000_000)] = 1.0
    arrival_decay_per_tick: Annotated[float, Meta(gt=0, le=1_000)] = 0.1
    levels: Annotated[int, Meta(ge=1, le=5)] = 3
    order_qty: str = "0.010"
    position_limit_qty: str = "0.100"
    soft_limit: Annotated[float, Meta(ge=0, le=1)] = 1.0
    requote_ticks: Ticks = 4
    min_life_ms: Annotated[int, Meta(ge=0, le=600_000)] = 0
    min_spread_ticks: Ticks = 1
    max_spread_ticks: Ticks = 200
    min_own_spread_ticks: Ticks = 1
    max_own_spread_ticks: Ticks = 20_000
    republish_interval_ms: Annotated[int, Meta(ge=10, le=60_000)] = 500
    ladder: LadderSettings = LadderSettings()
    rates: RateSettings = RateSettings()
    gates: GateSettings = GateSettings()

    def __post_init__(self) -> None:
        """Refuse orders of nothing, and limits that forbid the first order."""
        order = _check_decimal("order_qty", self.order_qty)
        limit = _check_decimal("position_limit_qty", self.position_limit_qty)
        if order <= 0:
            raise ValueError(f"order_qty: must be > 0, got {self.order_qty!r}")
        if limit < order:
            raise ValueError(
                f"position_limit_qty: must be >= order_qty ({self.order_qty}), "
                f"got {self.position_limit_qty!r}"
            )
        for kind in ("spread", "own_spread"):
            least, most = getattr(self, f"min_{kind}_ticks"), getattr(self, f"max_{kind}_ticks")
            if most < least:
                raise ValueError(
                    f"max_{kind}_ticks: must be >= min_{kind}_ticks ({least}), got {most}"
                )
        for kind in ("order", "cancel"):
            burst = getattr(self.rates, f"{kind}_burst")
            if burst < 2 * self.levels:
                raise ValueError(
                    f"rates.{kind}_burst: must be >= 2 * levels ({2 * self.levels}), got {burst}"
                )
