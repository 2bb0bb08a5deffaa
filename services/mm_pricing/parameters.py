"""pricing.toml -> the kernel's parameters, the Stoikov table and a model of one's own."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mm_runtime.config import ConfigError, load
from mm_runtime.settings import PricingSettings
from numpy.typing import NDArray

from mmquant.own_modules import own_function
from mmquant.pricing_model import PricingSteps, pricing_steps
from mmquant.settings_rules import DRIFTS, SIGNAL_DRIFT
from mmquant.state import MAX_STOIKOV_STATES, PRICING_PARAMS
from mmquant.stoikov import MicropriceModel

__all__ = ["check_pricing", "load_model", "load_table", "pricing_params"]

_S = 1_000_000_000
_IN_SECONDS = (
    "volatility_half_life",
    "drift_half_life",
    "warmup",
    "max_gap",
    "order_flow_half_life",
    "trade_flow_half_life",
    "realised_window",
)
_SAME = ("jump_sigmas", "publish_ticks", "depth_levels", "order_flow_levels")
_PRICES = ("mid", "weighted_mid", "microprice", "stoikov", "vamp")
_FACTORS = (
    "depth_imbalance_ticks",
    "order_flow_ticks_per_lot",
    "trade_flow_ticks",
    "basis_ticks_per_bp",
)


def pricing_params(config: PricingSettings, table: MicropriceModel | None = None) -> NDArray[Any]:
    """Return the PRICING_PARAMS record of shape (1,) that the settings describe."""
    record = np.zeros(1, PRICING_PARAMS)
    params = record[0]
    for name in _IN_SECONDS:
        params[f"{name}_ns"] = round(getattr(config, f"{name}_s") * _S)
    for name in _SAME:
        params[name] = getattr(config, name)
    for name in _PRICES:
        params[f"{name}_weight"] = getattr(config.blend, name)
    for name in _FACTORS:
        params[name] = getattr(config.blend, name)
    params["drift_source"] = DRIFTS.index(config.drift)
    factors = [getattr(config.signal_drift, key) for key in SIGNAL_DRIFT.values()]
    params["signal_drift_ticks_per_s"] = factors
    params["reference_max_age_ns"] = round(config.reference.max_age_s * _S)
    if table is not None:
        rows = table.adjustment_ticks
        params["stoikov_buckets"], params["stoikov_states"] = rows.shape[1], rows.size
        params["stoikov_adjustment_ticks"][: rows.size] = rows.reshape(-1)
    return record


def load_table(config: PricingSettings, config_dir: Path) -> MicropriceModel | None:
    """Read the table that `stoikov_file` names, if it names one.

    Raises
    ------
    ConfigError
        It cannot be read, is no table, or has more states than there is room for.
    """
    if not config.stoikov_file:
        if config.blend.stoikov > 0:
            raise ConfigError(
                f"{_file(config_dir)}: blend.stoikov: must be 0 where stoikov_file is empty, got "
                f"{config.blend.stoikov:g}: name a table, or set it to 0"
            )
        return None
    path = config_dir / config.stoikov_file
    try:
        table = MicropriceModel.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{_file(config_dir)}: stoikov_file: {path}: {error}") from None
    if table.adjustment_ticks.size > MAX_STOIKOV_STATES:
        raise ConfigError(
            f"{_file(config_dir)}: stoikov_file: {path}: must have at most {MAX_STOIKOV_STATES} "
            f"states, got {table.adjustment_ticks.size}: fit fewer buckets or spreads"
        )
    return table


def load_model(config: PricingSettings, config_dir: Path) -> PricingSteps | None:
    """Import and compile the function that `fair_value` names, None for the blend.

    The module is looked for in the configuration's folder, then where Python looks.

    Raises
    ------
    ConfigError
        There is no such function, or it has not the form of a pricing model.
    """
    if config.fair_value == "blend":
        return None
    try:
        return pricing_steps(own_function(config.fair_value, config_dir))
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{_file(config_dir)}: fair_value: {config.fair_value!r}: {error}"
        ) from None


def check_pricing(config_dir: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Refuse what mm_pricing would not start with: the settings, their table, their model.

    Raises
    ------
    ConfigError
    """
    config = load("pricing", PricingSettings, config_dir, environ)
    load_table(config, config_dir)
    load_model(config, config_dir)


def _file(config_dir: Path) -> Path:
    return config_dir / "pricing.toml"
