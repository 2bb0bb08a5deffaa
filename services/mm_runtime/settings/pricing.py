"""pricing.toml: fair value, its signals, volatility and drift."""

import re
from functools import partial
from typing import Annotated, Literal

from msgspec import Meta, structs, to_builtins

from mm_runtime.settings.base import Settings, within
from mmquant.settings_rules import check_basis, check_blend, check_drift, check_jumps

__all__ = [
    "BlendSettings",
    "PricingSettings",
    "ReferenceSettings",
    "SignalDriftSettings",
    "WarmStartSettings",
]

_in = partial(within, "pricing")
# One range for all: a test holds each key's against the library's.
_DriftFactor = Annotated[float, _in("signal_drift.depth_imbalance_ticks_per_s")]
_FAIR_VALUE = r"blend|[A-Za-z_][\w.]*:[A-Za-z_]\w*"


class BlendSettings(Settings, frozen=True):
    """Weights of prices and factors of signals (pricing.toml, [blend])."""

    mid: Annotated[float, _in("blend.mid")] = 0.0
    weighted_mid: Annotated[float, _in("blend.weighted_mid")] = 0.0
    microprice: Annotated[float, _in("blend.microprice")] = 1.0
    stoikov: Annotated[float, _in("blend.stoikov")] = 0.0
    vamp: Annotated[float, _in("blend.vamp")] = 0.0
    depth_imbalance_ticks: Annotated[float, _in("blend.depth_imbalance_ticks")] = 0.0
    order_flow_ticks_per_lot: Annotated[float, _in("blend.order_flow_ticks_per_lot")] = 0.0
    trade_flow_ticks: Annotated[float, _in("blend.trade_flow_ticks")] = 0.0
    basis_ticks_per_bp: Annotated[float, _in("blend.basis_ticks_per_bp")] = 0.0

    def __post_init__(self) -> None:
        """Refuse a blend of nothing."""
        try:
            check_blend(structs.asdict(self))
        except ValueError as error:
            raise ValueError(str(error).removeprefix("blend.")) from None


class SignalDriftSettings(Settings, frozen=True):
    """Factors of the signals that foretell the drift (pricing.toml, [signal_drift])."""

    depth_imbalance_ticks_per_s: _DriftFactor = 0.0
    touch_imbalance_ticks_per_s: _DriftFactor = 0.0
    order_flow_ticks_per_s_per_lot: _DriftFactor = 0.0
    touch_flow_ticks_per_s_per_lot: _DriftFactor = 0.0
    trade_flow_ticks_per_s: _DriftFactor = 0.0
    basis_ticks_per_s_per_bp: _DriftFactor = 0.0
    microprice_ticks_per_s_per_tick: _DriftFactor = 0.0


class ReferenceSettings(Settings, frozen=True):
    """The other instrument, for the basis (pricing.toml, [reference])."""

    symbol: Annotated[str, Meta(max_length=24)] = ""
    max_age_s: Annotated[float, _in("reference.max_age_s")] = 2.0


class WarmStartSettings(Settings, frozen=True):
    """The stored estimates (pricing.toml, [warm_start])."""

    max_age_s: Annotated[float, _in("warm_start.max_age_s")] = 600.0
    interval_s: Annotated[float, _in("warm_start.interval_s")] = 5.0


class PricingSettings(Settings, frozen=True):
    """The fair value: config/pricing.toml."""

    fair_value: str = "blend"
    fair_value_params: Annotated[tuple[float, ...], Meta(max_length=1_000)] = ()
    volatility_half_life_s: Annotated[float, _in("volatility_half_life_s")] = 60.0
    drift_half_life_s: Annotated[float, _in("drift_half_life_s")] = 60.0
    drift: Literal["ewma", "signals"] = "ewma"
    warmup_s: Annotated[float, _in("warmup_s")] = 1.0
    max_gap_s: Annotated[float, _in("max_gap_s")] = 5.0
    jump_sigmas: Annotated[float, _in("jump_sigmas")] = 6.0
    realised_window_s: Annotated[float, _in("realised_window_s")] = 60.0
    depth_levels: Annotated[int, _in("depth_levels")] = 5
    order_flow_levels: Annotated[int, _in("order_flow_levels")] = 3
    order_flow_half_life_s: Annotated[float, _in("order_flow_half_life_s")] = 5.0
    trade_flow_half_life_s: Annotated[float, _in("trade_flow_half_life_s")] = 10.0
    stoikov_file: str = ""
    publish_ticks: Annotated[float, _in("publish_ticks")] = 0.0
    publish_interval_ms: Annotated[int, _in("publish_interval_ms")] = 1_000
    blend: BlendSettings = BlendSettings()
    signal_drift: SignalDriftSettings = SignalDriftSettings()
    reference: ReferenceSettings = ReferenceSettings()
    warm_start: WarmStartSettings = WarmStartSettings()

    def __post_init__(self) -> None:
        """Refuse what no range of one key can say."""
        if not re.fullmatch(_FAIR_VALUE, self.fair_value):
            raise ValueError(
                f"fair_value: must be 'blend' or 'module:function', got {self.fair_value!r}"
            )
        if self.fair_value == "blend" and self.fair_value_params:
            raise ValueError(
                f"fair_value_params: must be empty for the blend, got "
                f"{list(self.fair_value_params)}: name the function that reads them as fair_value"
            )
        values = to_builtins(self)
        check_jumps(values)
        check_basis(values)
        check_drift(values)
