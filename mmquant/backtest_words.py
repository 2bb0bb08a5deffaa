"""A backtest's result in words: what happened, where the money came from, what to doubt."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmquant.codes import Reason

if TYPE_CHECKING:
    from mmquant.backtest_result import InstrumentResult, Result

__all__ = ["describe_doubts", "describe_run", "names_of"]

_S = 1_000_000_000
_FEW_FILLS = 100
_SHORT_S = 3_600.0


def names_of(kinds: Any, values: NDArray[Any]) -> list[str]:
    """Return the names of codes."""
    known = {int(kind): kind.name for kind in kinds}
    return [known.get(int(value), str(value)) for value in values]


def describe_doubts(result: "Result", one: "InstrumentResult") -> list[str]:
    """Return what speaks against believing one instrument's result."""
    fills, seconds, name = one.fills, one.seconds(), one.symbol
    found = []
    if not fills.size:
        reasons = names_of(Reason, np.unique(one.quotes["reason"]))
        why = ", ".join(reason for reason in reasons if reason != "NONE")
        found.append(f"{name}: no fill at all" + (f"; not quoted because of {why}" if why else ""))
    elif fills.size < _FEW_FILLS:
        found.append(
            f"{name}: only {fills.size} fills: below about {_FEW_FILLS} the profit is mostly luck"
        )
    found += [*one.faults.failures, *one.faults.doubts]
    profits = [under["net_profit"] for under in one.bracket().values()]
    if profits and min(profits) < 0 < max(profits):
        found.append(
            f"{name}: profit changes sign within the bracket ({min(profits):+.4f} to "
            f"{max(profits):+.4f}): the fills decide it, not the strategy"
        )
    if seconds < _SHORT_S:
        length = f"{seconds / 60:.0f} min" if seconds >= 120.0 else f"{seconds:.0f} s"
        found.append(f"{name}: a short sample, {length}: one regime of the market")
    quoted = one.quotes[(one.quotes["bid_ticks"] > 0) & (one.quotes["ask_ticks"] > 0)]
    if quoted.size:
        spread = float(np.median(quoted["ask_ticks"] - quoted["bid_ticks"]))
        mid = float(np.median((quoted["ask_ticks"] + quoted["bid_ticks"]) / 2))
        cost = 2 * mid * float(one.desk.sim_params[0]["maker_fee_ppm"]) / 1e6
        if spread < cost:
            found.append(
                f"{name}: the quoted spread (median {spread:.1f} ticks) is below the fees of a "
                f"round trip ({cost:.1f} ticks): no model can earn that back"
            )
    left = abs(float(one.desk.account[0]["position_lots"]))
    largest = float(np.abs(one.positions["position_lots"]).max()) if one.positions.size else 0.0
    if left and left >= 0.5 * largest:
        found.append(
            f"{name}: it ends with {left * one.lot:g}, half of its largest position or more: that "
            "part of the profit has not been made yet"
        )
    if int(one.run[0]["snapshots_needed"]):
        found.append(
            f"{name}: {one.run[0]['snapshots_needed']} updates did not fit the tape's book: it was "
            "away until the next snapshot"
        )
    if int(one.run[0]["orders_forgotten"]):
        found.append(f"{name}: {one.run[0]['orders_forgotten']} orders were too many to be known")
    return found


def describe_run(result: "Result", one: "InstrumentResult") -> list[str]:
    """Return what happened with one instrument, in words."""
    m, parts = result.metrics(one.symbol), one.parts()
    r = one.run[0]
    reasons = _reasons(one)
    return [
        f"{one.symbol}: {m['seconds'] / 3600:.2f} h, {int(r['market_events'])} market events, "
        f"{int(r['decisions'])} decisions{_prices(one)}",
        f"  profit       {m['net_profit']:+.4f} after fees = spread {parts['spread']:+.4f} "
        f"(what the quotes seemed to earn)",
        f"               adverse selection {parts['adverse_selection']:+.4f} (what the market took "
        f"back within {int(one.desk.sim_params[0]['markout_horizon_ns']) / _S:g} s)",
        f"               inventory {parts['inventory']:+.4f} (what the position made later), "
        f"fees {parts['fees']:+.4f}{_rest(parts)}",
        f"  fills        {m['fills']:.0f} of {m['orders']:.0f} orders, "
        f"{m['fills_per_hour']:.0f} an hour, notional {m['notional']:.0f}",
        f"  position     at most {m['max_position']:g}, {m['last_position']:+g} at the end; "
        f"deepest drawdown {m['max_drawdown']:.4f}",
        f"  both sides were quoted {100 * m['quoted_share']:.1f} % of the time"
        + (f"; not quoted: {reasons}" if reasons else ""),
        *_bracket(result, one),
    ]


def _bracket(result: "Result", one: "InstrumentResult") -> list[str]:
    """Return the profit of the same quotes under other fill models."""
    models = result.config.simulator["bracket"]
    words = [
        f"{name} {under['net_profit']:+.4f} ({models[name]}, {under['fills']:.0f} fills)"
        for name, under in one.bracket().items()
    ]
    return [f"  bracket      {', '.join(words)}"] if words else []


def _rest(parts: dict[str, float]) -> str:
    """Return the parts of the profit that most runs have not."""
    words = {"funding": "funding", "fee_revaluation": "what fees paid in coins gained since"}
    return "".join(f", {words[name]} {parts[name]:+.4f}" for name in words if parts[name])


def _prices(one: "InstrumentResult") -> str:
    """Return the range of the mid in the asset's unit: a wrong unit shows at once."""
    mids = one.mids()
    if not mids.size:
        return ""
    return f", mid {mids.min() * one.tick:.8g} to {mids.max() * one.tick:.8g}"


def _reasons(one: "InstrumentResult") -> str:
    """Return why nothing was quoted, by the time it lasted."""
    q = one.quotes
    if q.size == 0:
        return ""
    spans = np.diff(np.append(q["now_ns"], int(one.run[0]["now_ns"]))) / _S
    total = {
        name: float(spans[q["reason"] == value].sum())
        for value, name in zip(
            np.unique(q["reason"]), names_of(Reason, np.unique(q["reason"])), strict=True
        )
        if name != "NONE"
    }
    rows = sorted(total.items(), key=lambda item: -item[1])[:4]
    return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in rows)
