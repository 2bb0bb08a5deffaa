"""`mm why`: how the present quotes came about, or why there are none, in plain words."""

import time
from typing import Any

from mm_runtime.clock import SystemClock
from mm_runtime.settings import RuntimeSettings
from mm_runtime.transport import DriverLost
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mm_cli.monitor import Desk, Monitor
from mm_cli.processes import CannotContinue
from mmquant.codes import QuoteClamp, Reason, RiskState
from mmquant.risk import explain

__all__ = ["clamp_words", "collect", "describe", "listen", "print_why", "reason_of"]

_E8 = 1e8
_PATIENCE_S = 5.0
_CLAMPS = {
    QuoteClamp.POST_ONLY: "moved back so that it does not trade at once",
    QuoteClamp.HELD: "left where it was: the move is not worth the place in the queue",
    QuoteClamp.FADED: "smaller, the position is beyond the soft limit",
    QuoteClamp.LIMITED: "smaller or fewer, the position limit leaves no more room",
    QuoteClamp.FILTERED: "levels left out that the venue would refuse",
    QuoteClamp.COLLARED: "levels left out beyond the collar",
    QuoteClamp.CAPPED: "levels left out beyond the most open orders or their worth",
    QuoteClamp.RATED: "not requoted for want of order-rate tokens (of orders or of cancellations)",
    QuoteClamp.REDUCED: "no more than closes the position",
}


def clamp_words(bits: int) -> list[str]:
    """Return what the bits of a side say."""
    return [text for clamp, text in _CLAMPS.items() if bits & clamp]


def reason_of(number: int) -> Reason:
    """Return a reason; a model of one's own may answer any number."""
    try:
        return Reason(int(number))
    except ValueError:
        return Reason.INTERNAL_ERROR


def listen(settings: RuntimeSettings, patience_s: float = _PATIENCE_S) -> Monitor:
    """Listen until every instrument has been announced and quoted, or told why not.

    Raises
    ------
    CannotContinue
        Where nothing can be heard.
    """
    monitor = Monitor(settings, SystemClock())
    deadline = time.monotonic() + patience_s
    try:
        monitor.connect()
        while time.monotonic() < deadline:
            if monitor.poll() == 0:
                time.sleep(0.001)
            desks = monitor.desks.values()
            known = [desk for desk in desks if desk.instrument is not None]
            if known and all(desk.quotes is not None for desk in known):
                return monitor
    except DriverLost as error:
        raise CannotContinue(f"nothing runs on {settings.aeron_directory()}: {error}") from None
    finally:
        monitor.close()
    if not monitor.desks:
        beat = "; ".join(f"{who}: {what}" for who, what in monitor.last_words.items())
        raise CannotContinue(f"no quotes heard within {patience_s:g} s {beat}".strip())
    return monitor


def collect(desk: Desk) -> dict[str, Any]:
    """Return the parts of the newest quotes, prices in the quote asset."""
    if desk.quotes is None or desk.instrument is None:
        return {}
    row, instrument = desk.quotes[0], desk.instrument[0]
    tick, lot = float(instrument["tick_size_e8"]) / _E8, float(instrument["lot_size_e8"]) / _E8
    reason, why = reason_of(row["reason"]), reason_of(row["risk_reason"])
    digits = 10

    def price(name: str) -> float:
        return round(float(row[name]) * tick, digits)

    sides = {}
    for side, levels in (("bid", desk.bids), ("ask", desk.asks)):
        side_reason = reason_of(row[f"{side}_reason"])
        sides[side] = {
            "model": price(f"model_{side}_ticks"),
            "orders": [[round(p * tick, digits), round(q * lot, digits)] for p, q in levels],
            "reason": side_reason.name,
            "clamps": clamp_words(int(row[f"{side}_clamps"])),
        }
    return {
        "symbol": instrument["symbol"].decode(),
        "risk_state": RiskState(int(row["risk_state"])).name,
        "risk_reason": why.name,
        "reason": reason.name,
        "words": _sentence(RiskState(int(row["risk_state"])), reason, why),
        "position": round(float(row["position_lots"]) * lot, digits),
        "market_bid": price("bid_ticks"),
        "market_ask": price("ask_ticks"),
        "fair_value": price("fair_value_ticks"),
        "drift_shift": price("drift_shift_ticks"),
        "inventory_shift": price("inventory_shift_ticks"),
        "reservation": price("reservation_ticks"),
        "volatility_per_sqrt_s": price("volatility_ticks_per_sqrt_s"),
        "volatility_term": price("volatility_term_ticks"),
        "arrival_term": price("arrival_term_ticks"),
        "half_spread": price("half_spread_ticks"),
        **sides,
    }


def _sentence(state: RiskState, reason: Reason, why: Reason) -> str:
    if state is RiskState.HALTED:
        return f"Halted: {explain(why)}."
    text = "Quoting." if reason is Reason.NONE else f"Not quoting: {explain(reason)}."
    if state is RiskState.REDUCING:
        text += f" Only what shrinks the position is allowed: {explain(why)}."
    return text


def describe(desk: Desk) -> RenderableType:
    """Return the same as a table for the terminal."""
    found = collect(desk)
    if not found:
        return Text("no quotes yet", style="yellow")
    quoting = bool(desk.bids or desk.asks)
    head = Text(f"{found['symbol']}: {found['words']}", style="bold" if quoting else "bold yellow")
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(style="dim")
    rows = [
        ("market", f"{found['market_bid']:,.10g} / {found['market_ask']:,.10g}", "bid and ask"),
        ("position", f"{found['position']:+.8g}", "in the base asset"),
    ]
    if found["fair_value"]:
        rows += [
            ("fair value", f"{found['fair_value']:,.10g}", "what mm_pricing thinks it is worth"),
            ("drift", f"{found['drift_shift']:+.6g}", "where the price seems to go"),
            ("inventory", f"{found['inventory_shift']:+.6g}", "against the position"),
            ("reservation", f"{found['reservation']:,.10g}", "the three together"),
            ("volatility term", f"{found['volatility_term']:.6g}", "of the half spread"),
            ("arrival term", f"{found['arrival_term']:.6g}", "of the half spread"),
            ("half spread", f"{found['half_spread']:.6g}", "the two together"),
        ]
    for side in ("ask", "bid"):
        part = found[side]
        if found["fair_value"]:
            rows.append((f"{side} of the model", f"{part['model']:,.10g}", ""))
        for number, (level, size) in enumerate(part["orders"]):
            note = "; ".join(part["clamps"]) if number == 0 else ""
            rows.append((side, f"{level:,.10g}", f"x {size:.8g}  {note}"))
        if part["reason"] != "NONE":
            rows.append((f"no {side}", "", explain(Reason[part["reason"]])))
    for row in rows:
        table.add_row(*row)
    return Group(head, table)


def print_why(settings: RuntimeSettings, as_json: bool) -> bool:
    """Print it for every instrument; return whether all of them are quoted."""
    import orjson

    monitor = listen(settings)
    desks = [desk for _, desk in sorted(monitor.desks.items())]
    console = Console()
    if as_json:
        print(orjson.dumps([collect(desk) for desk in desks], option=orjson.OPT_INDENT_2).decode())
    else:
        for desk in desks:
            console.print(describe(desk))
    return all(desk.bids or desk.asks for desk in desks)
