"""A backtest's rows -> the numbers that a sweep compares."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmquant.accounting import drawdown, sharpe, turnover
from mmquant.backtest_faults import no_number_s
from mmquant.backtest_profit import BRACKET, profits_of
from mmquant.codes import PricingFlag, Template

if TYPE_CHECKING:
    from mmquant.backtest_result import InstrumentResult

__all__ = ["ADDED", "metrics_of", "total_of"]

_S = 1_000_000_000
_MINUTE_NS = 60 * _S
# What is added up over instruments; over a longer time there is more of it.
ADDED = (
    "net_profit",
    "gross_profit",
    "fees",
    "funding",
    "fee_revaluation",
    "spread",
    "adverse_selection",
    "inventory",
    "fills",
    "orders",
    "filled_lots",
    "notional",
    "no_number_s",  # time for which the model's answer was no number
    *(f"bracket_{name}_{what}" for name in BRACKET for what in ("profit", "fills")),
)


def metrics_of(one: "InstrumentResult") -> dict[str, float]:
    """Return one instrument's numbers; money in the quote asset (inverse: coins)."""
    # Of plain arrays: pandas would cost a process half a second and 60 MB.
    is_fill = one.events["template_id"] == Template.FILL
    fills = {name: one.events[name][is_fill] for name in ("order_id", "price_ticks", "qty_lots")}
    count = fills["order_id"].size
    seconds = one.seconds()
    net, times_ns = profits_of(one)["net"], one.positions["now_ns"]
    parts = one.parts()
    gross = parts["spread"] + parts["adverse_selection"] + parts["inventory"]
    is_update = one.events["template_id"] == Template.ORDER_UPDATE
    ids = one.events["order_id"][is_update]
    entered = int(np.count_nonzero(np.bincount(ids)))  # they count from 1
    values = {
        "net_profit": sum(parts.values()),
        "gross_profit": gross,
        "fees": 0.0 - parts["fees"],  # no -0.0
        "funding": parts["funding"],
        "fee_revaluation": parts["fee_revaluation"],
        **{name: parts[name] for name in ("spread", "adverse_selection", "inventory")},
        "fills": float(count),
        "orders": float(entered),
        "filled_lots": float(fills["qty_lots"].sum()),
        "notional": float(one.desk.account[0]["turnover_tick_lots"]) * one.unit,
        "no_number_s": no_number_s(one.quotes, int(one.run[0]["now_ns"])),
        "seconds": seconds,
    }
    values |= _rates(values)
    for name, under in one.bracket().items():
        values[f"bracket_{name}_profit"] = under["net_profit"]
        values[f"bracket_{name}_fills"] = under["fills"]
    values["fill_share"] = float(np.unique(fills["order_id"]).size) / max(1, entered)
    values["max_drawdown"] = drawdown(net, times_ns).depth
    held = np.abs(one.positions["position_lots"])
    values["max_position"] = float(held.max()) * one.lot if held.size else 0.0
    values["last_position"] = float(one.desk.account[0]["position_lots"]) * one.lot
    live = one.samples["flags"] & PricingFlag.LIVE > 0
    values["live_share"] = float(live.mean()) if live.size else 0.0
    values["quoted_share"] = _quoted_share(one)
    if seconds >= 2.0 * _MINUTE_NS / _S:
        ratio = sharpe(net, times_ns, interval_ns=_MINUTE_NS)
        values["sharpe_per_minute"] = float(ratio.ratio)
    if count and seconds:
        turned = turnover(
            fills["price_ticks"],
            fills["qty_lots"],
            one.positions["position_lots"],
            one.positions["now_ns"],
        )
        values["holding_s"] = float(turned.holding_ns) / _S
    return values


def total_of(every: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the sums over instruments, and the rates of these."""
    names = [name for name in every[0] if name in ADDED]
    total = {name: sum(each[name] for each in every) for name in names}
    total["seconds"] = max(each["seconds"] for each in every)
    return total | _rates(total)


def _rates(values: dict[str, float]) -> dict[str, float]:
    """Return the sums that are given by the hour, too."""
    seconds = values["seconds"]
    sums = {"net_per_hour": "net_profit", "fills_per_hour": "fills"}
    return {name: values[of] / seconds * 3600.0 if seconds else 0.0 for name, of in sums.items()}


def _quoted_share(one: "InstrumentResult") -> float:
    """Return the share of time that both sides were quoted."""
    q = one.quotes
    if q.size == 0:
        return 0.0
    spans = np.diff(np.append(q["now_ns"], int(one.run[0]["now_ns"])))
    both = (q["bid_lots"] > 0) & (q["ask_lots"] > 0)
    begun = int(one.positions[0]["now_ns"])
    return float(spans[both].sum()) / max(1, int(one.run[0]["now_ns"]) - begun)
