"""config/*.toml -> the parameters that the kernels take: the files that the services read.

What a key may say is in mmquant.settings_rules, which the services read, too.
"""

import difflib
import math
import tomllib
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmquant._checks import number
from mmquant._jit_model import place_of
from mmquant.codes import Market
from mmquant.models import MODELS, model_params
from mmquant.own_modules import own_function
from mmquant.quoting import bind_model, own_params, strategy_params
from mmquant.settings_rules import DRIFTS, SIGNAL_DRIFT, check_settings
from mmquant.simulator_settings import simulator_params
from mmquant.state import MAX_STOIKOV_STATES, PRICING_PARAMS
from mmquant.stoikov import MicropriceModel

__all__ = [
    "Config",
    "load_config",
    "load_model",
    "model_name",
    "pricing_record",
    "simulator_record",
    "strategy_record",
]

_MS = 1_000_000
_S = 1_000_000_000
_E8 = 100_000_000
_MOST = 2**61
_NEVER_NS = 2**60
_PRICING_SPANS = (
    "volatility_half_life",
    "drift_half_life",
    "warmup",
    "max_gap",
    "order_flow_half_life",
    "trade_flow_half_life",
    "realised_window",
)
_PRICES = ("mid", "weighted_mid", "microprice", "stoikov", "vamp")
_FACTORS = (
    "depth_imbalance_ticks",
    "order_flow_ticks_per_lot",
    "trade_flow_ticks",
    "basis_ticks_per_bp",
)
_FREE = "model_parameters"  # its keys are the model's own

# What holds where a file says nothing: the defaults of the services.
DEFAULTS: dict[str, dict[str, Any]] = {
    "pricing": {
        "fair_value": "blend",
        "fair_value_params": (),
        "volatility_half_life_s": 60.0,
        "drift_half_life_s": 60.0,
        "drift": "ewma",
        "warmup_s": 1.0,
        "max_gap_s": 5.0,
        "jump_sigmas": 6.0,
        "realised_window_s": 60.0,
        "depth_levels": 5,
        "order_flow_levels": 3,
        "order_flow_half_life_s": 5.0,
        "trade_flow_half_life_s": 10.0,
        "stoikov_file": "",
        "publish_ticks": 0.0,
        "publish_interval_ms": 1_000,
        "blend": {
            "mid": 0.0,
            "weighted_mid": 0.0,
            "microprice": 1.0,
            "stoikov": 0.0,
            "vamp": 0.0,
            "depth_imbalance_ticks": 0.0,
            "order_flow_ticks_per_lot": 0.0,
            "trade_flow_ticks": 0.0,
            "basis_ticks_per_bp": 0.0,
        },
        "signal_drift": dict.fromkeys(SIGNAL_DRIFT.values(), 0.0),
        "reference": {"symbol": "", "max_age_s": 2.0},
        "warm_start": {"max_age_s": 600.0, "interval_s": 5.0},
    },
    "strategy": {
        "model": "skewed",
        "model_parameters": {
            "min_half_spread_ticks": 2.0,
            "volatility_multiple": 0.5,
            "horizon_s": 1.0,
            "inventory_skew": 1.0,
            "drift_weight": 0.1,
        },
        "horizon_s": 1.0,
        "arrival_rate_per_s": 1.0,
        "arrival_decay_per_tick": 0.1,
        "levels": 3,
        "order_qty": "0.010",
        "position_limit_qty": "0.100",
        "soft_limit": 1.0,
        "requote_ticks": 4,
        "min_life_ms": 0,
        "min_spread_ticks": 1,
        "max_spread_ticks": 200,
        "min_own_spread_ticks": 1,
        "max_own_spread_ticks": 20_000,
        "republish_interval_ms": 500,
        "ladder": {
            "spacing_ticks": 5,
            "spacing_bps": 0.0,
            "spacing_ratio": 1.0,
            "size_step": 0.0,
            "size_ratio": 1.0,
        },
        "rates": {
            "orders_per_s": 15.0,
            "order_burst": 150,
            "cancels_per_s": 100.0,
            "cancel_burst": 300,
        },
        "gates": {
            "max_book_age_ms": 5_000,
            "max_lag_ms": 1_000,
            "max_simulator_lag_ms": 1_000,
            "max_clock_skew_ms": 100,
            "collar_bps": 100.0,
            "max_open_orders": 60,
            "max_open_notional": "100000",
            "max_session_loss": "1000",
            "max_drawdown": "1000",
            "max_minute_loss": "250",
            "max_fills": 40,
            "fill_window_s": 1.0,
            "markout_fills": 32,
            "markout_horizon_ms": 1_000,
            "max_adverse_markout_ticks": 100.0,
            "max_volatility_ratio": 8.0,
            "volatility_baseline_s": 300.0,
            "pause_s": 10.0,
        },
    },
    "simulator": {
        "entry_latency_ms": 5.0,
        "cancel_latency_ms": 5.0,
        "response_latency_ms": 5.0,
        "entry_jitter": 0.0,
        "cancel_jitter": 0.0,
        "response_jitter": 0.0,
        "fill_model": "risk_averse",
        "queue_power": 1.0,
        "fill_probability_factor": 0.5,
        "seed": 1,
        "markout_horizon_ms": 1_000,
        "fees": {
            "spot_maker_ppm": 1_000,
            "spot_taker_ppm": 1_000,
            "usdm_maker_ppm": 200,
            "usdm_taker_ppm": 500,
        },
        "account": {
            "kind": "auto",
            "contract_size": "1",
            "fee_asset": "auto",
            "fee_asset_price": "",
            "base_balance": "0",
            "quote_balance": "0",
            "other_balance": "0",
        },
        "funding": {"rate_ppm": 0.0, "interval_h": 8},
        "bracket": {
            "enabled": True,
            "optimistic": "cancel_ahead",
            "central": "prob_draw",
            "pessimistic": "risk_averse",
        },
        "ledger": {"file": "ledger.sqlite", "synchronous": "FULL"},
    },
}


@dataclass(frozen=True)
class Config:
    """What pricing.toml, strategy.toml and simulator.toml say, as nested dicts.

    Attributes
    ----------
    pricing, strategy, simulator
        Every key of the file, with the services' defaults where it is silent.
    folder
        Where a model of one's own, `module:function`, is looked for.
    """

    pricing: dict[str, Any] = field(default_factory=lambda: deepcopy(DEFAULTS["pricing"]))
    strategy: dict[str, Any] = field(default_factory=lambda: deepcopy(DEFAULTS["strategy"]))
    simulator: dict[str, Any] = field(default_factory=lambda: deepcopy(DEFAULTS["simulator"]))
    folder: Path = Path()

    def changed(self, **changes: Mapping[str, Any] | None) -> "Config":
        """Return a copy with other values: `pricing=`, `strategy=`, `simulator=`.

        A key may name a table (`{"gates": {"pause_s": 5}}`) or a value in it
        (`{"gates.pause_s": 5}`); `model_parameters` given as a table replaces the whole of it.

        Raises
        ------
        ValueError
            A key that the file does not have, with the nearest that it has.
        """
        sections = {
            name: _merged(name, getattr(self, name), dict(values or {}))
            for name, values in changes.items()
        }
        return Config(**{**self.__dict__, **sections})


def load_config(folder: Path | str) -> Config:
    """Return what the .toml files in `folder` say; a file that is missing says nothing.

    Raises
    ------
    ValueError
        A file that is not TOML, or a key that it must not have.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"folder must be one with .toml files, got {folder}: there is none")
    changes: dict[str, dict[str, Any]] = {}
    for name in DEFAULTS:
        path = folder / f"{name}.toml"
        if not path.exists():
            continue
        try:
            changes[name] = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path}: not TOML: {error}") from None
    return Config(folder=folder).changed(**changes)


def _merged(
    file: str, old: dict[str, Any], changes: Mapping[str, Any], table: str = ""
) -> dict[str, Any]:
    """Return a file's values, or those of its `table` ("gates."), with the changes."""
    result = deepcopy(old)
    for key, value in changes.items():
        where = f"{file}.toml: {table}{key}"
        head, dot, rest = key.partition(".")
        if head not in result:
            near = difflib.get_close_matches(head, result, n=1, cutoff=0.0)
            raise ValueError(f"{where}: unknown key, the nearest valid one is {near[0]!r}")
        if head == _FREE and not dot and not isinstance(value, Mapping):
            raise TypeError(f"{where}: must be a table of names and numbers, got {value!r}")
        if head == _FREE:
            result[head] = {**result[head], rest: value} if dot else dict(value)
        elif isinstance(result[head], dict):
            inner = {rest: value} if dot else value
            if not isinstance(inner, Mapping):
                raise ValueError(f"{where}: must be a table, got {inner!r}")
            result[head] = _merged(file, result[head], inner, f"{table}{head}.")
        elif dot:
            raise ValueError(f"{where}: {head} is not a table")
        else:
            result[head] = value
    return result


def pricing_record(values: Mapping[str, Any], folder: Path = Path()) -> NDArray[Any]:
    """Return pricing.toml's values as a PRICING_PARAMS record.

    Parameters
    ----------
    values
        Of every key of the file.
    folder
        Where the file that `stoikov_file` names lies.

    Raises
    ------
    ValueError
        Naming the key, the rule and the value.
    """
    check_settings("pricing", values)
    params = np.zeros(1, PRICING_PARAMS)
    p = params[0]
    for name in _PRICING_SPANS:
        p[f"{name}_ns"] = round(values[f"{name}_s"] * _S)
    p["reference_max_age_ns"] = round(values["reference"]["max_age_s"] * _S)
    for name in ("jump_sigmas", "publish_ticks", "depth_levels", "order_flow_levels"):
        p[name] = values[name]
    blend = values["blend"]
    for name in _PRICES:
        p[f"{name}_weight"] = blend[name]
    for name in _FACTORS:
        p[name] = blend[name]
    p["drift_source"] = DRIFTS.index(values["drift"])
    p["signal_drift_ticks_per_s"] = [values["signal_drift"][key] for key in SIGNAL_DRIFT.values()]
    if values["stoikov_file"]:
        _put_table(p, folder / values["stoikov_file"])
    elif blend["stoikov"] > 0:
        raise ValueError("pricing.toml: blend.stoikov: must be 0 where stoikov_file is empty")
    return params


def _put_table(params: Any, path: Path) -> None:
    try:
        rows = MicropriceModel.from_json(path.read_text(encoding="utf-8")).adjustment_ticks
    except (OSError, ValueError) as error:
        raise ValueError(f"pricing.toml: stoikov_file: {path}: {error}") from None
    if rows.size > MAX_STOIKOV_STATES:
        raise ValueError(
            f"pricing.toml: stoikov_file: {path}: must have at most {MAX_STOIKOV_STATES} states, "
            f"got {rows.size}: fit fewer buckets or spreads"
        )
    params["stoikov_buckets"], params["stoikov_states"] = rows.shape[1], rows.size
    params["stoikov_adjustment_ticks"][: rows.size] = rows.reshape(-1)


def strategy_record(values: Mapping[str, Any], instrument: NDArray[Any]) -> NDArray[Any]:
    """Return strategy.toml's values for one instrument (records.INSTRUMENT), nothing being late.

    Raises
    ------
    TypeError, ValueError
        Naming the key, the rule and the value.
    """
    check_settings("strategy", values)
    tick_e8, lot_e8 = (int(instrument[0][name]) for name in ("tick_size_e8", "lot_size_e8"))
    limit = _lots(values, "position_limit_qty", lot_e8)
    ladder, rates, gates = values["ladder"], values["rates"], values["gates"]
    order_ns, cancel_ns = (round(_S / rates[key]) for key in ("orders_per_s", "cancels_per_s"))

    def tick_lots(key: str, parts: int) -> int:
        amount = Decimal(gates[key]) * parts * _E8 * _E8
        return min(_MOST, int(amount / (tick_e8 * lot_e8)))

    return strategy_params(
        order_lots=_lots(values, "order_qty", lot_e8),
        position_limit_lots=limit,
        soft_limit_lots=int(limit * values["soft_limit"]),
        horizon_s=values["horizon_s"],
        arrival_rate_per_s=values["arrival_rate_per_s"],
        arrival_decay_per_tick=values["arrival_decay_per_tick"],
        max_volatility_ratio=gates["max_volatility_ratio"],
        levels=values["levels"],
        spacing_ticks=ladder["spacing_ticks"],
        spacing_ppm=round(ladder["spacing_bps"] * 100),
        spacing_permille=round(ladder["spacing_ratio"] * 1_000),
        size_step_permille=round(ladder["size_step"] * 1_000),
        size_permille=round(ladder["size_ratio"] * 1_000),
        requote_ticks=values["requote_ticks"],
        min_life_ns=values["min_life_ms"] * _MS,
        order_ns=order_ns,
        order_burst_ns=order_ns * rates["order_burst"],
        cancel_ns=cancel_ns,
        cancel_burst_ns=cancel_ns * rates["cancel_burst"],
        min_spread_ticks=values["min_spread_ticks"],
        max_spread_ticks=values["max_spread_ticks"],
        min_own_spread_ticks=values["min_own_spread_ticks"],
        max_own_spread_ticks=values["max_own_spread_ticks"],
        max_book_age_ns=gates["max_book_age_ms"] * _MS,
        max_lag_ns=_NEVER_NS,
        max_simulator_lag_ns=_NEVER_NS,
        max_skew_ns=gates["max_clock_skew_ms"] * _MS,
        collar_ppm=max(1, round(gates["collar_bps"] * 100)),
        max_open_orders=gates["max_open_orders"],
        max_open_tick_lots=max(1, tick_lots("max_open_notional", 1)),
        max_session_loss_half_tick_lots=tick_lots("max_session_loss", 2),
        max_drawdown_half_tick_lots=tick_lots("max_drawdown", 2),
        max_minute_loss_half_tick_lots=tick_lots("max_minute_loss", 2),
        max_fills=gates["max_fills"],
        fill_window_ns=round(gates["fill_window_s"] * _S),
        markout_fills=gates["markout_fills"],
        markout_ns=gates["markout_horizon_ms"] * _MS,
        max_adverse_half_ticks=round(2 * gates["max_adverse_markout_ticks"]),
        pause_ns=round(gates["pause_s"] * _S),
        volatility_baseline_ns=round(gates["volatility_baseline_s"] * _S),
    )


def _lots(values: Mapping[str, Any], key: str, lot_e8: int) -> int:
    count, rest = divmod(Decimal(values[key]) * _E8, lot_e8)
    if rest:
        lot = Decimal(lot_e8) / _E8
        raise ValueError(
            f"strategy.toml: {key}: must be a multiple of the lot {lot}, got {values[key]}"
        )
    return int(count)


def simulator_record(values: Mapping[str, Any], market: Market) -> NDArray[Any]:
    """Return simulator.toml's values for a market as a SIMULATOR_PARAMS record.

    Raises
    ------
    TypeError, ValueError
        Naming the key, the rule and the value.
    """
    check_settings("simulator", values)
    fees = values["fees"]
    name = market.name.lower()
    return simulator_params(
        entry_latency_ns=round(values["entry_latency_ms"] * _MS),
        cancel_latency_ns=round(values["cancel_latency_ms"] * _MS),
        response_latency_ns=round(values["response_latency_ms"] * _MS),
        entry_jitter=values["entry_jitter"],
        cancel_jitter=values["cancel_jitter"],
        response_jitter=values["response_jitter"],
        markout_horizon_ns=round(values["markout_horizon_ms"] * _MS),
        maker_fee_ppm=fees[f"{name}_maker_ppm"],
        taker_fee_ppm=fees[f"{name}_taker_ppm"],
        fill_model=values["fill_model"],
        queue_power=values["queue_power"],
        fill_probability_factor=values["fill_probability_factor"],
    )


def load_model(
    model: str | Callable[..., int], parameters: Mapping[str, Any], folder: Path
) -> tuple[Any, NDArray[np.float64]]:
    """Return what strategy_step takes: the bound model, and its parameters.

    Parameters
    ----------
    model : str or function
        A name of the library, `module:function`, or an @njit function.
    parameters : mapping of name to number
        Of a function: its values in the order in which they stand.
    folder : Path
        Where a module is looked for first; an edited one is imported anew.

    Raises
    ------
    TypeError, ValueError
        There is no such model, it cannot be compiled, or a parameter is wrong.
    """
    if isinstance(model, str) and ":" not in model:
        params = model_params(model, parameters)
        return bind_model(MODELS[model].step), params
    function = _own(model, folder) if isinstance(model, str) else model
    numbers = [
        number(f"model_parameters: {name}", value, -math.inf) for name, value in parameters.items()
    ]
    return bind_model(function, boundscheck=True), own_params(numbers)


def model_name(model: str | Callable[..., int], folder: Path) -> str:
    """Return what a model is called in words: one of somebody's own with its file and line."""
    if isinstance(model, str) and ":" not in model:
        return model
    function = own_function(model, folder) if isinstance(model, str) else model
    name = model if isinstance(model, str) else getattr(function, "__name__", str(function))
    return f"{name} ({place_of(function)})"


def _own(name: str, folder: Path) -> Callable[..., int]:
    try:
        return own_function(name, folder)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"strategy.toml: model {name!r}: {error} (looked in {folder.resolve()})"
        ) from error
