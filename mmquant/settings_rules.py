"""What numbers pricing.toml, strategy.toml and simulator.toml may hold; the services read it here.

A backtest takes what a service takes, and refuses what a service refuses.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

__all__ = [
    "DRIFTS",
    "FILL_MODELS",
    "RANGES",
    "SIGNAL_DRIFT",
    "Range",
    "check_basis",
    "check_blend",
    "check_drift",
    "check_jumps",
    "check_settings",
    "check_strategy",
]


class Range(NamedTuple):
    """What a number may be.

    Attributes
    ----------
    least, most
        Both are allowed; `least` is not where `is_open`.
    is_whole, is_open
        Whether it is an integer, and whether it must be above `least`.
    """

    least: float
    most: float
    is_whole: bool = False
    is_open: bool = False

    def __str__(self) -> str:
        kind = "a whole number" if self.is_whole else "a number"
        if self.is_open:
            return f"{kind} above {self.least} and at most {self.most}"
        return f"{kind} from {self.least} to {self.most}"


_HALF_LIFE = Range(0.01, 86_400)
_WEIGHT = Range(0, 1_000)
_FACTOR = Range(-1_000_000, 1_000_000)
_SIGNAL_LEVELS = Range(1, 20, is_whole=True)
_TICKS = Range(1, 1_000_000, is_whole=True)
_WAIT_MS = Range(10, 600_000, is_whole=True)
_REPEAT_MS = Range(10, 60_000, is_whole=True)
_PER_SECOND = Range(0.1, 10_000)
_BURST = Range(1, 10_000, is_whole=True)
_FILLS = Range(1, 64, is_whole=True)
_LATENCY = Range(0, 60_000)
_JITTER = Range(0, 3)
_FEE = Range(-10_000, 100_000, is_whole=True)

DRIFTS = ("ewma", "signals")  # PRICING_PARAMS' drift_source counts them
# What signals are called in pricing messages -> their factors in [signal_drift]; the kernels add
# them in this order.
SIGNAL_DRIFT = {
    "depth_imbalance": "depth_imbalance_ticks_per_s",
    "touch_imbalance": "touch_imbalance_ticks_per_s",
    "order_flow_lots": "order_flow_ticks_per_s_per_lot",
    "touch_flow_lots": "touch_flow_ticks_per_s_per_lot",
    "trade_flow_imbalance": "trade_flow_ticks_per_s",
    "basis_bps": "basis_ticks_per_s_per_bp",
    "microprice_minus_mid_ticks": "microprice_ticks_per_s_per_tick",
}

RANGES: dict[str, dict[str, Range]] = {
    "pricing": {
        "volatility_half_life_s": _HALF_LIFE,
        "drift_half_life_s": _HALF_LIFE,
        "warmup_s": Range(0, 86_400),
        "max_gap_s": Range(0.001, 3_600),
        "jump_sigmas": Range(0, 1_000),
        "realised_window_s": Range(1, 3_600),
        "depth_levels": _SIGNAL_LEVELS,
        "order_flow_levels": _SIGNAL_LEVELS,
        "order_flow_half_life_s": _HALF_LIFE,
        "trade_flow_half_life_s": _HALF_LIFE,
        "publish_ticks": Range(0, 1_000),
        "publish_interval_ms": _REPEAT_MS,
        "blend.mid": _WEIGHT,
        "blend.weighted_mid": _WEIGHT,
        "blend.microprice": _WEIGHT,
        "blend.stoikov": _WEIGHT,
        "blend.vamp": _WEIGHT,
        "blend.depth_imbalance_ticks": _FACTOR,
        "blend.order_flow_ticks_per_lot": _FACTOR,
        "blend.trade_flow_ticks": _FACTOR,
        "blend.basis_ticks_per_bp": _FACTOR,
        **{f"signal_drift.{key}": _FACTOR for key in SIGNAL_DRIFT.values()},
        "reference.max_age_s": Range(0.001, 3_600),
        "warm_start.max_age_s": Range(0, 86_400),
        "warm_start.interval_s": Range(0.1, 3_600),
    },
    "strategy": {
        "horizon_s": Range(0, 86_400, is_open=True),
        "arrival_rate_per_s": Range(0, 1_000_000, is_open=True),
        "arrival_decay_per_tick": Range(0, 1_000, is_open=True),
        "levels": Range(1, 5, is_whole=True),
        "soft_limit": Range(0, 1),
        "requote_ticks": _TICKS,
        "min_life_ms": Range(0, 600_000, is_whole=True),
        "min_spread_ticks": _TICKS,
        "max_spread_ticks": _TICKS,
        "min_own_spread_ticks": _TICKS,
        "max_own_spread_ticks": _TICKS,
        "republish_interval_ms": _REPEAT_MS,
        "ladder.spacing_ticks": _TICKS,
        "ladder.spacing_bps": Range(0, 1_000),
        "ladder.spacing_ratio": Range(1, 10),
        "ladder.size_step": Range(0, 100),
        "ladder.size_ratio": Range(0.01, 10),
        "rates.orders_per_s": _PER_SECOND,
        "rates.order_burst": _BURST,
        "rates.cancels_per_s": _PER_SECOND,
        "rates.cancel_burst": _BURST,
        "gates.max_book_age_ms": _WAIT_MS,
        "gates.max_lag_ms": _WAIT_MS,
        "gates.max_simulator_lag_ms": _WAIT_MS,
        "gates.max_clock_skew_ms": Range(1, 600_000, is_whole=True),
        "gates.collar_bps": Range(0.01, 10_000),
        "gates.max_open_orders": Range(2, 200, is_whole=True),
        "gates.max_fills": _FILLS,
        "gates.fill_window_s": Range(0.001, 3_600),
        "gates.markout_fills": _FILLS,
        "gates.markout_horizon_ms": Range(1, 600_000, is_whole=True),
        "gates.max_adverse_markout_ticks": Range(0, 1_000_000),
        "gates.max_volatility_ratio": Range(1, 1_000),
        "gates.volatility_baseline_s": Range(0.1, 86_400),
        "gates.pause_s": Range(0.1, 86_400),
    },
    "simulator": {
        "entry_latency_ms": _LATENCY,
        "cancel_latency_ms": _LATENCY,
        "response_latency_ms": _LATENCY,
        "entry_jitter": _JITTER,
        "cancel_jitter": _JITTER,
        "response_jitter": _JITTER,
        "queue_power": Range(0.1, 10),
        "fill_probability_factor": Range(0, 1),
        "seed": Range(0, 2**63 - 1, is_whole=True),
        "markout_horizon_ms": Range(1, 60_000, is_whole=True),
        "fees.spot_maker_ppm": _FEE,
        "fees.spot_taker_ppm": _FEE,
        "fees.usdm_maker_ppm": _FEE,
        "fees.usdm_taker_ppm": _FEE,
    },
}
# Those that need no order ids of others, which Binance's feed does not have.
FILL_MODELS = ("cross", "risk_averse", "prob_power", "prob_log", "prob_draw", "cancel_ahead")

_MODEL_KEYS = ("fill_model", "bracket.optimistic", "bracket.central", "bracket.pessimistic")
_AMOUNTS = (
    "order_qty",
    "position_limit_qty",
    "gates.max_open_notional",
    "gates.max_session_loss",
    "gates.max_drawdown",
    "gates.max_minute_loss",
)
_DIGITS = 12  # before the point of an amount, and behind it
_PRICES = ("mid", "weighted_mid", "microprice", "stoikov", "vamp")


def _at(values: Mapping[str, Any], key: str) -> Any:
    table, dot, inner = key.rpartition(".")
    return values[table][inner] if dot else values[key]


def check_settings(file: str, values: Mapping[str, Any]) -> None:
    """Refuse what the services refuse to find in a file, whatever the instrument.

    Parameters
    ----------
    file : {"pricing", "strategy", "simulator"}
    values
        Of every key of the file, tables as mappings; of simulator.toml [account] and [funding]
        are looked at by mmquant.account_settings.

    Raises
    ------
    ValueError
        "<file>.toml: <key as the file has it>: rule, got value".
    """
    try:
        _check_numbers(RANGES[file], values)
        if file == "pricing":
            check_jumps(values)
            check_blend(values["blend"])
            check_basis(values)
            check_drift(values)
        elif file == "strategy":
            check_strategy(values)
        else:
            _check_fill_models(values)
    except ValueError as error:
        raise ValueError(f"{file}.toml: {error}") from None


def _check_numbers(ranges: Mapping[str, Range], values: Mapping[str, Any]) -> None:
    for key, span in ranges.items():
        value = _at(values, key)
        number = value.item() if type(value).__module__ == "numpy" else value
        is_number = isinstance(number, int if span.is_whole else int | float)
        is_within = is_number and not isinstance(number, bool) and span.least <= number <= span.most
        if not is_within or (span.is_open and number == span.least):
            raise ValueError(f"{key}: must be {span}, got {value!r}")


def _decimal(values: Mapping[str, Any], key: str) -> Decimal:
    text = _at(values, key)
    parts = text.split(".", 1) if isinstance(text, str) else [""]
    if not all(p.isascii() and p.isdigit() and len(p) <= _DIGITS for p in parts):
        raise ValueError(f"{key}: must be a decimal number in quotes such as '0.010', got {text!r}")
    return Decimal(text)


def check_blend(blend: Mapping[str, Any]) -> None:
    """Refuse a [blend] of nothing; ValueError "blend.<key>: rule, got value"."""
    if sum(blend[name] for name in _PRICES) <= 0:
        raise ValueError("blend.microprice: some price must have a weight > 0, got none")


def check_basis(values: Mapping[str, Any]) -> None:
    """Refuse a factor for a basis that is never known; ValueError "<key>: rule, got value"."""
    for key in ("blend.basis_ticks_per_bp", "signal_drift.basis_ticks_per_s_per_bp"):
        factor = _at(values, key)
        if factor != 0 and not values["reference"]["symbol"]:
            raise ValueError(
                f"{key}: must be 0 where reference.symbol is empty, got {factor:g}: name the other "
                f"instrument there, or set the factor to 0"
            )


def check_drift(values: Mapping[str, Any]) -> None:
    """Refuse a drift that there is not, or of no signal; ValueError "drift: rule, got value"."""
    drift = values["drift"]
    if drift not in DRIFTS:
        raise ValueError(f"drift: must be one of {', '.join(map(repr, DRIFTS))}, got {drift!r}")
    if drift == "signals" and not any(values["signal_drift"].values()):
        raise ValueError(
            "drift: must be 'ewma' where every factor of [signal_drift] is 0, got 'signals': set "
            "the factor of a signal, as mmquant.regress_drift fits it"
        )


def check_jumps(values: Mapping[str, Any]) -> None:
    """Refuse a limit on jumps that would cut what is no jump."""
    if 0 < values["jump_sigmas"] < 1:
        raise ValueError(f"jump_sigmas: must be 0 or at least 1, got {values['jump_sigmas']}")


def check_strategy(values: Mapping[str, Any]) -> None:
    """Refuse amounts that are no numbers, and keys of strategy.toml that do not go together.

    Raises
    ------
    ValueError
        "<key as the file has it>: rule, got value".
    """
    amounts = {key: _decimal(values, key) for key in _AMOUNTS}
    order, limit = amounts["order_qty"], amounts["position_limit_qty"]
    if order <= 0:
        raise ValueError(f"order_qty: must be > 0, got {values['order_qty']!r}")
    if limit < order:
        raise ValueError(
            f"position_limit_qty: must be >= order_qty ({values['order_qty']}), "
            f"got {values['position_limit_qty']!r}"
        )
    for kind in ("spread", "own_spread"):
        least, most = values[f"min_{kind}_ticks"], values[f"max_{kind}_ticks"]
        if most < least:
            raise ValueError(f"max_{kind}_ticks: must be >= min_{kind}_ticks ({least}), got {most}")
    for kind in ("order", "cancel"):
        burst, least = values["rates"][f"{kind}_burst"], 2 * values["levels"]
        if burst < least:
            raise ValueError(f"rates.{kind}_burst: must be >= 2 * levels ({least}), got {burst}")


def _check_fill_models(values: Mapping[str, Any]) -> None:
    for key in _MODEL_KEYS:
        if _at(values, key) not in FILL_MODELS:
            raise ValueError(
                f"{key}: must be one of {', '.join(FILL_MODELS)}, got {_at(values, key)!r}"
            )
