"""strategy.toml: the model, the orders and their limits, and the risk gates."""

from functools import partial
from typing import Annotated

from msgspec import Meta, field, to_builtins

from mm_runtime.settings.base import Settings, within
from mmquant.settings_rules import check_strategy

__all__ = ["GateSettings", "LadderSettings", "RateSettings", "StrategySettings"]

_MODEL = r"^[A-Za-z_][A-Za-z0-9_.]*(:[A-Za-z_][A-Za-z0-9_]*)?$"
_in = partial(within, "strategy")


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

    spacing_ticks: Annotated[int, _in("ladder.spacing_ticks")] = 5
    spacing_bps: Annotated[float, _in("ladder.spacing_bps")] = 0.0
    spacing_ratio: Annotated[float, _in("ladder.spacing_ratio")] = 1.0
    size_step: Annotated[float, _in("ladder.size_step")] = 0.0
    size_ratio: Annotated[float, _in("ladder.size_ratio")] = 1.0


class RateSettings(Settings, frozen=True):
    """How many orders may be sent and cancelled (strategy.toml, [rates])."""

    orders_per_s: Annotated[float, _in("rates.orders_per_s")] = 15.0
    order_burst: Annotated[int, _in("rates.order_burst")] = 150
    cancels_per_s: Annotated[float, _in("rates.cancels_per_s")] = 100.0
    cancel_burst: Annotated[int, _in("rates.cancel_burst")] = 300


class GateSettings(Settings, frozen=True):
    """What stops the quoting (strategy.toml, [gates])."""

    max_book_age_ms: Annotated[int, _in("gates.max_book_age_ms")] = 5_000
    max_lag_ms: Annotated[int, _in("gates.max_lag_ms")] = 1_000
    max_simulator_lag_ms: Annotated[int, _in("gates.max_simulator_lag_ms")] = 1_000
    max_clock_skew_ms: Annotated[int, _in("gates.max_clock_skew_ms")] = 100
    collar_bps: Annotated[float, _in("gates.collar_bps")] = 100.0
    max_open_orders: Annotated[int, _in("gates.max_open_orders")] = 60
    max_open_notional: str = "100000"
    max_session_loss: str = "1000"
    max_drawdown: str = "1000"
    max_minute_loss: str = "250"
    max_fills: Annotated[int, _in("gates.max_fills")] = 40
    fill_window_s: Annotated[float, _in("gates.fill_window_s")] = 1.0
    markout_fills: Annotated[int, _in("gates.markout_fills")] = 32
    markout_horizon_ms: Annotated[int, _in("gates.markout_horizon_ms")] = 1_000
    max_adverse_markout_ticks: Annotated[float, _in("gates.max_adverse_markout_ticks")] = 100.0
    max_volatility_ratio: Annotated[float, _in("gates.max_volatility_ratio")] = 8.0
    volatility_baseline_s: Annotated[float, _in("gates.volatility_baseline_s")] = 300.0
    pause_s: Annotated[float, _in("gates.pause_s")] = 10.0


class StrategySettings(Settings, frozen=True):
    """Model, orders, limits: config/strategy.toml."""

    model: Annotated[str, Meta(pattern=_MODEL)] = "skewed"
    model_parameters: dict[str, int | float] = field(default_factory=_narrow)
    horizon_s: Annotated[float, _in("horizon_s")] = 1.0
    arrival_rate_per_s: Annotated[float, _in("arrival_rate_per_s")] = 1.0
    arrival_decay_per_tick: Annotated[float, _in("arrival_decay_per_tick")] = 0.1
    levels: Annotated[int, _in("levels")] = 3
    order_qty: str = "0.010"
    position_limit_qty: str = "0.100"
    soft_limit: Annotated[float, _in("soft_limit")] = 1.0
    requote_ticks: Annotated[int, _in("requote_ticks")] = 4
    min_life_ms: Annotated[int, _in("min_life_ms")] = 0
    min_spread_ticks: Annotated[int, _in("min_spread_ticks")] = 1
    max_spread_ticks: Annotated[int, _in("max_spread_ticks")] = 200
    min_own_spread_ticks: Annotated[int, _in("min_own_spread_ticks")] = 1
    max_own_spread_ticks: Annotated[int, _in("max_own_spread_ticks")] = 20_000
    republish_interval_ms: Annotated[int, _in("republish_interval_ms")] = 500
    ladder: LadderSettings = LadderSettings()
    rates: RateSettings = RateSettings()
    gates: GateSettings = GateSettings()

    def __post_init__(self) -> None:
        """Refuse orders of nothing, and limits that forbid the first order."""
        check_strategy(to_builtins(self))
