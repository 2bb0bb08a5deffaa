"""Accounts -> where a backtest's profit came from, the chosen fill model's and the bracket's."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas

    from mmquant.backtest_result import InstrumentResult

__all__ = ["BRACKET", "bracket_frame", "bracket_profits", "profit_parts", "profits_of"]

BRACKET = ("optimistic", "central", "pessimistic")  # fill models of simulator.toml, [bracket]
_MICRO = 1e6


def profit_parts(account: Any, unit: float) -> dict[str, float]:
    """Return the parts of a profit in the asset it is counted in; their sum is all of it.

    Parameters
    ----------
    account : row of state.ACCOUNT
    unit : float
        What a tick-lot of its money is worth.
    """
    names = ("spread", "adverse_selection", "inventory")
    parts = {name: int(account[f"{name}_half_tick_lots"]) / 2 * unit for name in names}
    parts["fees"] = -int(account["fees_micro_tick_lots"]) / _MICRO * unit
    parts["funding"] = int(account["funding_micro_tick_lots"]) / _MICRO * unit
    return {**parts, "fee_revaluation": float(_fee_revaluation(account)) * unit}


def _fee_revaluation(rows: Any) -> Any:
    """Return what lots paid as fees cost less by now, in tick-lots: of an account, of positions.

    In floats: over many rows the exact number of each is not needed.
    """
    now = rows["base_fees_micro_lots"] * (rows["mark_half_ticks"] / 2.0)
    return (rows["base_fees_micro_tick_lots"] - now) / _MICRO


def profits_of(one: "InstrumentResult") -> dict[str, NDArray[np.float64]]:
    """Return what was made by the time of each position message, in the asset of the profit."""
    p = one.positions
    gross = p["total_half_tick_lots"] / 2 * one.unit
    fees = p["fees_micro_tick_lots"] / _MICRO * one.unit
    funding = p["funding_micro_tick_lots"] / _MICRO * one.unit
    revaluation = _fee_revaluation(p) * one.unit
    return {
        "gross": gross,
        "fees": fees,
        "funding": funding,
        "fee_revaluation": revaluation,
        "net": gross - fees + funding + revaluation,
    }


def bracket_profits(accounts: NDArray[Any], unit: float, lot: float) -> dict[str, dict[str, float]]:
    """Return profit after fees, its parts, fills and last position under each of BRACKET.

    `accounts` are theirs (state.ACCOUNT): none where nothing ran beside, and nothing is returned.
    """
    found = {}
    for name, account in zip(BRACKET, accounts, strict=False):
        parts = profit_parts(account, unit)
        found[name] = {
            "net_profit": sum(parts.values()),
            **parts,
            "fills": float(account["fills"]),
            "last_position": float(account["position_lots"]) * lot,
        }
    return found


def bracket_frame(
    profits: Mapping[str, Mapping[str, float]], models: Mapping[str, Any]
) -> "pandas.DataFrame":
    """Return `bracket_profits` as a table, with the fill model that each name stands for."""
    import pandas

    frame = pandas.DataFrame(list(profits.values()), index=list(profits))
    frame.insert(0, "fill_model", [models[name] for name in profits])
    frame.index.name = "bracket"
    return frame
