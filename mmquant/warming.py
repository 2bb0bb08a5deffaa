"""Compiles what a notebook calls once, so that no first call has to wait."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from mmquant import (
    accounting,
    backtest,
    bars,
    calibrate,
    ewma,
    fair_value,
    models,
    models_params,
    realised,
    realised_window,
    signals,
    stoikov,
    volatility,
)
from mmquant.book import OrderBook
from mmquant.codes import Side
from mmquant.market import Exchange
from mmquant.records import FILL
from mmquant.tape import read_tape, synthetic_tape

__all__ = ["warm"]

_S = 10**9


def _prices() -> tuple[Any, Any]:
    return 100.0 + np.arange(8.0) % 3.0, np.arange(8) * _S


def _warm_book() -> None:
    book = OrderBook("0.1", "0.1")
    book.load([("1.0", 1)], [("1.1", 1)], update_id=1)
    book.apply_bbo(("1.0", 2), ("1.1", 2), update_id=2)
    columns = {"update_id": [3], "side": [1], "price_ticks": [9], "qty_lots": [1]}
    book.replay({name: np.array(values) for name, values in columns.items()})
    book.step(np.array([0, 4, 0, 0]))
    book.depth_at(Side.BUY, "1.0")
    book.depth_to(Side.BUY, "1.0")
    book.cost_to_fill(Side.SELL, 1)
    book.would_cross(Side.BUY, "1.0")
    book.check()
    book.top(1)
    OrderBook.from_bytes(book.to_bytes()).clear()


def _warm_averages() -> None:
    xs, ts = _prices()
    ewma.ewm_mean(xs, ts, half_life_ns=_S)
    ewma.ewm_mean(xs[::-1].copy(), ts, half_life_ns=_S, adjust=False)
    ewma.ewm_grid(xs, ts, half_lives_ns=[_S, 2 * _S])
    ewma.ewm_covariance(xs, xs, ts, half_life_ns=_S)
    ewma.Ewma(_S).update(1.0, 0)
    estimate = volatility.Volatility(_S, _S)
    estimate.path(xs, ts)
    estimate.update(1.0, 9 * _S)
    _ = (estimate.volatility_ticks_per_sqrt_s, estimate.drift_ticks_per_s, estimate.warm)


def _warm_signals() -> None:
    _, ts = _prices()
    bid = 100 + np.arange(8) % 2
    lots = 1 + np.arange(8) % 3
    touch = (bid, lots, bid + 1, lots[::-1].copy())
    fair_value.mid(touch[0], touch[2])
    fair_value.imbalance(touch[1], touch[3])
    micro = fair_value.microprice(*touch)
    signals.vamp(*touch)
    signals.depth_imbalance(touch[1], touch[3])
    flow = signals.order_flow_imbalance(*touch)
    signals.decayed_order_flow(*touch, ts, half_life_ns=_S)
    signals.trade_flow_imbalance(lots, np.ones(8, np.int64), ts, half_life_ns=_S)
    signals.basis_bps(micro, micro, ts, ts, max_age_ns=_S)
    signals.blend({"micro": (micro, 1.0)}, {"flow": (flow, 0.1)})
    signals.signal_drift({"flow": (flow, 0.1)})
    stoikov.fit_microprice(*touch, buckets=2, max_spread_ticks=1).apply(*touch)


def _warm_samples() -> None:
    xs, ts = _prices()
    realised.realised_variance(xs, ts)
    realised.bipower_variance(xs, ts)
    realised.signature(xs, ts, steps=[1])
    realised.two_scale_variance(xs, ts)
    realised.pre_averaged_variance(xs, ts)
    realised_window.realised_windows(xs, ts, window_ns=_S)
    bars.tick_bars(xs, np.ones(8, np.int64), ts, trades=2)
    bars.parkinson(xs, xs, xs, xs)
    bars.yang_zhang(xs, xs, xs, xs, window=2)


def _warm_calibration() -> None:
    xs, ts = _prices()
    sides = 1 - 2 * (np.arange(8) % 2)
    calibrate.arrival_depths(xs, sides, xs, ts, ts)
    calibrate.fit_arrivals_log_linear([0.5, 1.5, 0.5, 0.6], 1.0)
    calibrate.markout_curve(xs, sides, xs, ts, ts, horizons_ns=[_S])


def _warm_models() -> None:
    orders = np.arange(-2.0, 3.0)
    fair = orders + 100.0
    rates = {"arrival_rate_per_s": 1.0, "arrival_decay_per_tick": 0.3}
    market = {**rates, "volatility_ticks_per_sqrt_s": 1.0}
    models.skewed(
        fair,
        np.arange(5),
        position_limit_lots=9,
        volatility_ticks_per_sqrt_s=1.0,
        min_half_spread_ticks=1.0,
    )
    models.avellaneda_stoikov(
        fair,
        orders,
        volatility_ticks_per_sqrt_s=1.0,
        arrival_decay_per_tick=0.3,
        time_left_s=9.0,
        risk_aversion_per_tick=0.1,
    )
    models.avellaneda_stoikov_perpetual(
        fair,
        orders,
        arrival_decay_per_tick=0.3,
        risk_aversion_per_tick=0.1,
        max_inventory_orders=9.0,
    )
    models.glft(fair, orders, risk_aversion_per_tick=0.1, **market)
    table = models_params.glft_table_params(risk_aversion_per_tick=0.1, max_inventory_orders=3)
    models.glft_table(fair, orders, table, **market)
    models.cartea_jaimungal(
        fair, orders, inventory_penalty_ticks_per_s=0.1, drift_decay_per_s=0.1, **rates
    )


def _warm_fills() -> None:
    fills = np.zeros(1, FILL)
    fills["side"], fills["price_ticks"], fills["qty_lots"], fills["mark_half_ticks"] = 1, 9, 1, 18
    accounting.markouts(fills, np.array([9.0, 9.0]), [1], np.array([0, 9]))


def _warm_tapes() -> None:
    frame = (
        b'%d {"stream":"btcusdt@depth","data":{"e":"depthUpdate","E":1000,"T":1000,"s":"BTCUSDT",'
        b'"U":5,"u":7,"pu":4,"b":[["100.50","0.300"]],"a":[["101.00","0.100"]]}}\n'
        b'%d {"stream":"btcusdt@trade","data":{"e":"trade","E":1000,"T":1000,"s":"BTCUSDT","t":1,'
        b'"p":"100.50","q":"0.100","X":"MARKET","m":true}}\n'
    )
    snapshot = b'%d {"lastUpdateId":6,"bids":[["100.00","1.200"]],"asks":[["101.50","0.900"]]}\n'
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "capture"
        path.write_bytes(frame % (_S, _S + 1) + snapshot % (_S + 2))
        tape = read_tape(path)
    calibrate.trades_and_mids(tape)
    tape.resample(_S)
    tape.depth(_S)
    tape.report()
    tape.slice(_S + 1)
    calibrate.trades_and_mids(synthetic_tape(1.0))


def _warm_backtests() -> None:
    backtest.run(synthetic_tape(1.0)).summary()
    exchange = Exchange(seed=1)
    lowest_bid = int(exchange.levels()[0][-1, 0])  # nobody sells that far
    order_id = exchange.place(Side.BUY, lowest_bid, 1)
    exchange.run(_S // 10)
    exchange.queue_ahead(order_id)
    exchange.cancel(order_id)


def warm() -> None:
    """Compile what `mmquant`'s book, estimators, models, tapes and backtests call, or load it.

    Some two minutes of one core the first time, seconds with the cache filled.
    A model of one's own is compiled by whoever passes it on.
    """
    _warm_book()
    _warm_averages()
    _warm_signals()
    _warm_samples()
    _warm_calibration()
    _warm_models()
    _warm_fills()
    _warm_tapes()
    _warm_backtests()
