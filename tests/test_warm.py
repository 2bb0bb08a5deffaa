"""Warming up compiles what the services call, once each, and they compile nothing more."""

import os
import subprocess
import sys

import pytest

# In a process of its own: other tests call the kernels with types of their own.
SCRIPT = """
import importlib, pkgutil
from mm_cli.warm import warm_all
warm_all()
import mmquant.kernels
called, several = 0, []
for found in pkgutil.iter_modules(mmquant.kernels.__path__, "mmquant.kernels."):
    module = importlib.import_module(found.name)
    for name, kernel in vars(module).items():
        if hasattr(kernel, "signatures") and kernel.__module__ == module.__name__:
            if len(kernel.signatures) > 1:
                several.append(f"{module.__name__}.{name}")
            called += len(kernel.signatures)
assert called >= 16, called
assert not several, several
"""

# Every public function of book and estimators, called with other arguments than warm() does.
ESTIMATORS = """
from numba.core.event import Listener, register
import mmquant
mmquant.warm()
import numpy as np, pandas as pd
from mmquant.kernels import (
    arrivals, bar_ranges, bars, ewma, ewma_grid, ewma_moments, forward, markouts, microprice,
    models_avellaneda_stoikov, models_cartea_jaimungal, models_glft, models_skewed, realised,
    realised_window, scan, signals, tape_book, tape_message, volatility,
)
modules = [
    arrivals, bar_ranges, bars, ewma, ewma_grid, ewma_moments, forward, markouts, microprice,
    models_avellaneda_stoikov, models_cartea_jaimungal, models_glft, models_skewed, realised,
    realised_window, scan, signals, tape_book, tape_message, volatility,
]
n, S = 50, 10**9
stamps = pd.date_range("2024", periods=n, freq="s")
price = pd.Series(100.0 + np.arange(n) % 3, index=stamps)
lots = pd.Series(1 + np.arange(n) % 3, index=stamps, dtype="int32")
frame = pd.DataFrame({"a": price, "b": price})
depth = pd.DataFrame({0: lots + 100, 1: lots + 99})
touch = (lots + 100, lots, lots + 101, lots)
levels = (depth, depth, depth + 3, depth)
sides = np.where(np.arange(n) % 2, 1, -1)
def use_book(f):
    book = f("0.1", "0.1")
    book.load([("64000.1", 1), ("64000.0", 2)], [("64000.2", 1)], update_id=10**12)
    book.apply([], [("64000.2", 0), ("64000.3", 1)], update_id=10**12 + 1)
    rows = {"update_id": 10**12 + 2, "side": ["bid"], "price": [64000.1], "quantity": [0.5]}
    book.replay(pd.DataFrame(rows))
    book.cost_to_fill(mmquant.codes.Side.BUY, "0.2")
    book.to_frame(5)
rates = {"arrival_rate_per_s": lots + 1.0, "arrival_decay_per_tick": 0.3}
market = {**rates, "volatility_ticks_per_sqrt_s": price}
table = mmquant.glft_table_params(risk_aversion_per_tick=0.2, max_inventory_orders=5)
fills = pd.DataFrame({
    "side": [1, -1], "price_ticks": 100, "qty_lots": 2, "mark_half_ticks": 201, "kind": 1,
    "fee_micro_tick_lots": 0, "now_ns": stamps[:2].as_unit("ns").asi8,
})
tape = mmquant.synthetic_tape(2.0)
calls = {
    "OrderBook": use_book,
    "ewm_mean": lambda f: f(frame, half_life_ns=9 * S),
    "ewm_variance": lambda f: f(frame, half_life_ns=9 * S),
    "ewm_covariance": lambda f: f(price, price, half_life_ns=9 * S),
    "ewm_correlation": lambda f: f(price, price, half_life_ns=9 * S),
    "ewm_grid": lambda f: f(price, half_lives_ns=[S]),
    "Ewma": lambda f: f(9 * S).path(price),
    "Volatility": lambda f: f(9 * S, 9 * S).path(price),
    "realised_variance": lambda f: f(price),
    "bipower_variance": lambda f: f(price),
    "two_scale_variance": lambda f: f(price, scale=3),
    "pre_averaged_variance": lambda f: f(price),
    "realised_windows": lambda f: f(price, window_ns=9 * S),
    "signature": lambda f: f(price, steps=[1, 2]),
    "noise_variance": lambda f: f(price),
    "time_bars": lambda f: f(price, lots, interval_ns=9 * S),
    "tick_bars": lambda f: f(price, lots, trades=3),
    "volume_bars": lambda f: f(price, lots, volume_lots=3),
    "parkinson": lambda f: f(price, price, price, price),
    "garman_klass": lambda f: f(price, price, price, price),
    "rogers_satchell": lambda f: f(price, price, price, price),
    "yang_zhang": lambda f: f(price, price, price, price, window=5),
    "mid": lambda f: f(touch[0], touch[2]),
    "imbalance": lambda f: f(touch[1], touch[3]),
    "microprice": lambda f: f(*touch),
    "vamp": lambda f: f(*levels),
    "depth_imbalance": lambda f: f(depth, depth),
    "order_flow_imbalance": lambda f: f(*levels),
    "trade_flow_imbalance": lambda f: f(lots, sides, half_life_ns=S),
    "decayed_order_flow": lambda f: f(*levels, half_life_ns=S),
    "basis_bps": lambda f: f(price, price, max_age_ns=S),
    "blend": lambda f: f({"a": (price, 1.0), "b": (price, 2.0)}),
    "signal_drift": lambda f: f({"a": (price, 1.0), "b": (price, 2.0)}),
    "fit_microprice": lambda f: f(*touch, buckets=5).apply(*touch),
    "arrival_depths": lambda f: f(price, sides, price),
    "arrival_counts": lambda f: f(price.to_numpy(), 9.0),
    "fit_arrivals": lambda f: f(price.to_numpy(), 9.0),
    "fit_arrivals_log_linear": lambda f: f(np.repeat([0.5, 1.5], [9, 3]), 9.0),
    "markout_curve": lambda f: f(price, sides, price, horizons_ns=[S]),
    "fit_drift_decay": lambda f: f([1, 2, 3], [1.0, 2.0, 2.5], [0.1, 0.1, 0.1]),
    "forward_moves": lambda f: f(price, horizon_ns=S),
    "skewed": lambda f: f(
        price, lots, position_limit_lots=9, volatility_ticks_per_sqrt_s=price, horizon_s=2.0,
        min_half_spread_ticks=1.0,
    ),
    "avellaneda_stoikov": lambda f: f(
        price, lots, volatility_ticks_per_sqrt_s=1.0, arrival_decay_per_tick=price,
        time_left_s=lots, risk_aversion_per_tick=0.2,
    ),
    "avellaneda_stoikov_perpetual": lambda f: f(
        price, 0.0, arrival_decay_per_tick=1.0, risk_aversion_per_tick=0.2,
        max_inventory_orders=9,
    ),
    "glft": lambda f: f(price, lots, risk_aversion_per_tick=0.2, **market),
    "glft_table": lambda f: f(price, 1, table, **market),
    "cartea_jaimungal": lambda f: f(
        price, 1, inventory_penalty_ticks_per_s=0.2, drift_decay_per_s=1.0, **rates
    ),
    "markouts": lambda f: f(fills, price, [S]),
    "synthetic_tape": lambda f: f(1.0),
    "trades_and_mids": lambda f: f(tape),
    "regress_drift": lambda f: f(price, price, horizon_ns=S),
}
# All that is public is called above, or is known to have no kernel, or has its own warm-up: that
# of the services (`mm warm`), or of a user's model, which is compiled where it is handed in.
NO_KERNEL = {
    "MarketParameters", "Side", "Tape", "TapeError", "cartea_jaimungal_exact", "compare",
    "drawdown", "explain", "glft_exact", "glft_table_params", "model_params", "read_ledger",
    "recorded_latencies", "sharpe", "simulator_params", "strategy_params", "time_at_limit",
    "turnover", "warm",
}
OWN_WARM_UP = {
    "Account", "Exchange", "Simulator", "SyntheticMarket", "bind_model", "decompose",
    "equity_curve", "price_by_model", "read_capture", "read_tape", "scan_capture",
    "simulate_model",
}
public = {name for name in mmquant.__all__ if callable(getattr(mmquant, name))}
unknown = public - calls.keys() - NO_KERNEL - OWN_WARM_UP
assert not unknown, f"{unknown} are public and in no list"
stray = (NO_KERNEL | OWN_WARM_UP) & (calls.keys() | (NO_KERNEL & OWN_WARM_UP))
assert not stray, f"{stray} are in two lists"
compiled, several = [], []
class Compiled(Listener):
    def on_start(self, event):
        compiled.append(event.data["dispatcher"].py_func.__qualname__)
    def on_end(self, event):
        pass
register("numba:compile", Compiled())
for name, call in calls.items():
    call(getattr(mmquant, name, None) or getattr(mmquant.models, name))
    assert not compiled, f"{name} compiled {compiled}"
mmquant.backtest.run(tape, {"levels": 2}, simulator={"fill_model": "prob_log"}).summary()
assert not compiled, f"a backtest compiled {compiled}"
for module in modules:
    for name, kernel in vars(module).items():
        if hasattr(kernel, "signatures") and kernel.__module__ == module.__name__:
            if len(kernel.signatures) > 1:
                several.append(f"{module.__name__}.{name}")
assert not several, several
"""


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_the_estimators_have_one_signature_each_and_no_first_call_compiles():
    fill = "import mmquant; mmquant.warm()"  # by another process: this one is to find it filled
    subprocess.run([sys.executable, "-c", fill], check=True)
    done = subprocess.run([sys.executable, "-c", ESTIMATORS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_every_kernel_of_the_services_has_one_signature_once_warm():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
