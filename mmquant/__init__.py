"""mmquant: market making from research to live paper trading with one set of compiled functions.

Names are imported when first used, so that `import mmquant` costs next to nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    # order book and prices
    "OrderBook": "book",
    "Side": "codes",
    # decayed averages, volatility and drift
    "Ewma": "ewma",
    "Volatility": "volatility",
    "ewm_mean": "ewma",
    "ewm_correlation": "ewma",
    "ewm_covariance": "ewma",
    "ewm_grid": "ewma",
    "ewm_variance": "ewma",
    "bipower_variance": "realised",
    "noise_variance": "realised",
    "pre_averaged_variance": "realised",
    "realised_variance": "realised",
    "realised_windows": "realised_window",
    "signature": "realised",
    "two_scale_variance": "realised",
    # bars
    "garman_klass": "bars",
    "parkinson": "bars",
    "rogers_satchell": "bars",
    "tick_bars": "bars",
    "time_bars": "bars",
    "volume_bars": "bars",
    "yang_zhang": "bars",
    # fair value and signals
    "imbalance": "fair_value",
    "microprice": "fair_value",
    "mid": "fair_value",
    "basis_bps": "signals",
    "blend": "signals",
    "depth_imbalance": "signals",
    "fit_microprice": "stoikov",
    "order_flow_imbalance": "signals",
    "decayed_order_flow": "signals",
    "price_by_model": "pricing_model",
    "signal_drift": "signals",
    "trade_flow_imbalance": "signals",
    "vamp": "signals",
    # calibration
    "arrival_counts": "arrival_fits",
    "arrival_depths": "calibrate",
    "fit_arrivals": "arrival_fits",
    "fit_arrivals_log_linear": "arrival_fits",
    "fit_drift_decay": "calibrate",
    "forward_moves": "regression",
    "markout_curve": "calibrate",
    "regress_drift": "regression",
    "trades_and_mids": "calibrate",
    # quotes and risk
    "explain": "risk",
    "bind_model": "quoting",
    "strategy_params": "quoting",
    # quoting models
    "avellaneda_stoikov": "models",
    "avellaneda_stoikov_perpetual": "models",
    "cartea_jaimungal": "models",
    "cartea_jaimungal_exact": "models_exact",
    "glft": "models",
    "glft_exact": "models_exact",
    "glft_table": "models",
    "glft_table_params": "models_params",
    "model_params": "models",
    "simulate_model": "models_paths",
    # fills and money
    "Account": "accounting",
    "compare": "comparison",
    "decompose": "accounting",
    "drawdown": "accounting",
    "equity_curve": "accounting",
    "markouts": "accounting",
    "read_ledger": "ledger",
    "sharpe": "accounting",
    "time_at_limit": "accounting",
    "turnover": "accounting",
    "Simulator": "simulator",
    "recorded_latencies": "simulator",
    "simulator_params": "simulator",
    # markets
    "Exchange": "market",
    "MarketParameters": "market",
    "SyntheticMarket": "market",
    # recorded market data
    "Tape": "tape",
    "TapeError": "tape",
    "read_capture": "tape",
    "read_tape": "tape",
    "scan_capture": "tape",
    "synthetic_tape": "tape",
    # the cache of compiled code
    "warm": "warming",
}

# Modules that are used by their own names, `mmquant.backtest.run`; so is every other one.
_MODULES = ("backtest", "calibrate", "comparison", "models", "plot", "sweep")

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    """Import a public name from the module it lives in, or a module of the package."""
    home = _HOMES.get(name)
    if home is None:
        return _module(name)
    value = getattr(import_module(f"mmquant.{home}"), name)
    globals()[name] = value
    return value


def _module(name: str) -> Any:
    unknown = AttributeError(f"module 'mmquant' has no attribute {name!r}")
    if name.startswith("_"):
        raise unknown
    try:
        return import_module(f"mmquant.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"mmquant.{name}":
            raise  # it is there, and needs what is not installed
        raise unknown from None


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
