"""A backtest's result -> its figures, under each other on one time axis."""

from typing import Any

import numpy as np
import pandas as pd

from mmquant.plot.figures import Figure, stack
from mmquant.plot.market import price_pane
from mmquant.plot.money import decomposition, equity, inventory
from mmquant.plot.research import markouts

__all__ = ["backtest"]

_PARTS = ("spread", "adverse_selection", "inventory")


def backtest(result: Any, symbol: str | None = None) -> Any:
    """Return prices with quotes and fills, position, equity, the profit's parts, and markouts.

    Parameters
    ----------
    result : mmquant.backtest.Result
    symbol : str, optional
        One instrument; all of them, under each other, when left out.
    """
    symbols = result.symbols if symbol is None else [symbol]
    return _column([figure for name in symbols for figure in _figures(result, name)])


def _column(figures: list[Figure]) -> Any:
    from bokeh.layouts import column

    return column(*figures, sizing_mode="stretch_width")


def _figures(result: Any, symbol: str) -> list[Any]:
    one = result.instrument(symbol)
    money = result.equity(symbol)
    limit = float(result.config.strategy["position_limit_qty"])
    held, earned = one.held_asset, one.money_asset
    timed = stack(
        price_pane(
            _prices(result, one),
            _quotes(result, one),
            result.fills(symbol),
            f"{symbol}: price, own quotes and fills",
        ),
        inventory(money["position"], limit, f"{symbol}: position", held),
        equity(money.assign(equity=money["net"]), earned, f"{symbol}: equity"),
        decomposition(_parts(one, money), earned, f"{symbol}: where the profit came from"),
    )
    if not one.marks.size:  # without a mid there is nothing to hold a fill against
        return [timed]
    return [timed, markouts(_markouts(result, symbol), title=f"{symbol}: after a fill")]


def _prices(result: Any, one: Any) -> pd.DataFrame:
    """Return the sampled touch, mid and fair value; missing where the book was not live."""
    signals = result.signals(one.symbol)
    live = (signals["bid_lots"] > 0) & (signals["ask_lots"] > 0)
    table = pd.DataFrame(index=signals.index)
    mid = (signals["bid_ticks"] + signals["ask_ticks"]) / 2
    table["mid"] = (mid * one.tick).where(live)
    fair = signals["fair_value_ticks"]
    table["fair"] = (fair * one.tick).where(live & (fair > 0))
    return table


def _quotes(result: Any, one: Any) -> pd.DataFrame:
    quotes = result.quotes(one.symbol)
    return pd.DataFrame(
        {
            "bid": (quotes["bid_ticks"] * one.tick).where(quotes["bid_lots"] > 0),
            "ask": (quotes["ask_ticks"] * one.tick).where(quotes["ask_lots"] > 0),
        }
    )


def _parts(one: Any, money: pd.DataFrame) -> pd.DataFrame:
    table = pd.DataFrame(index=money.index)
    for name in _PARTS:
        table[name] = one.positions[f"{name}_half_tick_lots"] / 2 * one.unit
    table["fees"] = money["fees"]
    for name in ("funding", "fee_revaluation"):
        if money[name].any():
            table[name] = money[name]
    return table


def _markouts(result: Any, symbol: str) -> dict[str, pd.DataFrame]:
    """Return what was left of the spread at each horizon, of all fills, buys and sells."""
    table = result.markouts(symbol=symbol)
    curves = {}
    for side in ("all", "buy", "sell"):
        keep = (table.index.get_level_values("kind") == "all") & (
            table.index.get_level_values("side") == side
        )
        rows = table[keep]
        if rows.empty:
            continue
        horizons = rows.index.get_level_values("horizon_ns").to_numpy(np.float64) / 1e9
        curves[side] = pd.DataFrame(
            {
                "horizon_s": horizons,
                "mean": rows["realised_ticks"].to_numpy(),
                "error": rows["realised_error_ticks"].to_numpy(),
            }
        )
    return curves
