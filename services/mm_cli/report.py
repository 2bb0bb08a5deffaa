"""What a run amounted to: the summary on the screen and the same as JSON."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mm_cli.launcher import Launcher
from mm_cli.monitor import HOPS, Desk, Monitor
from mmquant.codes import Stream
from mmquant.position_profit import profit_of

__all__ = ["Money", "money", "summarise", "summary_lines"]

_E8 = 1e8
_MICRO = 1e6
_RARE_PARTS = ("funding", "fee_revaluation")
_DECIMALS = 8  # of quantities: more are the float's, not the position's


@dataclass(frozen=True)
class Money:
    """An instrument's position and profit, in base and quote asset."""

    symbol: str
    position: float
    average_price: float
    orders: int
    fills: int
    total: float
    spread: float
    adverse_selection: float
    inventory: float
    fees: float
    funding: float
    fee_revaluation: float


def money(desk: Desk) -> Money | None:
    """Return the desk's accounts in units of the assets; None before the first position."""
    if desk.instrument is None or desk.position is None:
        return None
    instrument, position = desk.instrument[0], desk.position[0]
    tick, lot = instrument["tick_size_e8"] / _E8, instrument["lot_size_e8"] / _E8
    return Money(
        symbol=instrument["symbol"].decode(),
        position=round(float(position["position_lots"] * lot), _DECIMALS),
        average_price=float(position["average_price_ticks"] * tick),
        orders=int(position["orders"]),
        fills=int(position["fills"]),
        **profit_of(position, instrument),
    )


def summarise(launcher: Launcher) -> dict[str, Any]:
    """Return everything worth knowing of a run; see docs/summary.md for the keys."""
    monitor = launcher.monitor
    accounts = [m for m in map(money, monitor.desks.values()) if m is not None]
    counters = monitor.counters()
    dropped = {name.partition(".")[2]: count for name, count in counters.items() if _is_drop(name)}
    if counters["malformed"]:
        dropped["malformed_message"] = counters["malformed"]
    parts = ("total", "spread", "adverse_selection", "inventory", "fees", *_RARE_PARTS)
    return {
        "ended_because": launcher.ended_because or "interrupted",
        "streams": {str(int(s)): monitor.streams[s] for s in Stream},
        "lost": {str(int(s)): monitor.lost[s] for s in Stream if monitor.lost[s]},
        "orders": sum(m.orders for m in accounts),
        "fills": sum(m.fills for m in accounts),
        "position": round(sum(m.position for m in accounts), _DECIMALS),
        "positions": {m.symbol: m.position for m in accounts},
        "profit": {part: sum(getattr(m, part) for m in accounts) for part in parts},
        "bracket": {
            name.partition(".")[2]: count / _MICRO
            for name, count in counters.items()
            if name.startswith("bracket_profit.")
        },
        "frames": counters["frames"],
        "trading_s": (monitor.last_quote_ns - monitor.first_quote_ns) / 1e9,
        "gaps": counters["gaps"],
        "trade_gaps": counters["trade_gaps"],
        "resyncs": counters["resyncs"],
        "crossed": counters["crossed"],
        "dropped": dropped,
        "conflated": {
            name.partition(".")[2]: count
            for name, count in counters.items()
            if name.startswith("stream_conflated.")
        },
        "restarts": sum(launcher.restarts.values()),
        "restarts_by_name": {name: n for name, n in launcher.restarts.items() if n},
        "shm_bytes": launcher.shm_bytes,
        "latency_us": _latencies(monitor),
        "book_checks": {
            "compared": counters["book_checks"],
            "mismatches": counters["book_mismatches"],
        },
        "not_quoting": {
            name.partition(".")[2]: count
            for name, count in counters.items()
            if name.startswith("not_quoting.")
        },
        "venue": launcher.venue_status,
    }


def summary_lines(summary: dict[str, Any]) -> list[str]:
    """Return the summary as lines for people."""
    profit, checks = summary["profit"], summary["book_checks"]
    messages = ", ".join(f"{k}: {v}" for k, v in summary["streams"].items())
    lines = [
        f"ended because    {summary['ended_because']}",
        f"orders, fills    {summary['orders']}, {summary['fills']}",
        "position         "
        + (", ".join(f"{q:+.8g} {s}" for s, q in summary["positions"].items()) or "none"),
        f"profit           {profit['total']:+.4f} = spread {profit['spread']:+.4f}, adverse "
        f"selection {profit['adverse_selection']:+.4f}, inventory {profit['inventory']:+.4f}, "
        f"fees {0 - profit['fees']:+.4f}"
        + "".join(f", {_words(name)} {profit[name]:+.4f}" for name in _RARE_PARTS if profit[name]),
        "bracket          "
        + (", ".join(f"{name} {p:+.4f}" for name, p in summary["bracket"].items()) or "off"),
        f"messages         {messages}",
        f"lost messages    {_by_name(summary['lost'])}",
        f"venue frames     {summary['frames']}, dropped: {_by_name(summary['dropped'])}",
        f"book             {summary['gaps']} gaps, {summary['resyncs']} resyncs, "
        f"{summary['crossed']} crossed; touch against best bid/offer: "
        f"{checks['compared']} compared, {checks['mismatches']} mismatches",
        f"restarts         {_by_name(summary['restarts_by_name'])}",
        f"shared memory    {summary['shm_bytes'] / 2**20:.1f} MiB at most",
    ]
    latencies = summary["latency_us"]
    if latencies:
        lines.append(
            "latency, us      " + "  ".join(_latency_text(*item) for item in latencies.items())
        )
    return lines


def _words(name: str) -> str:
    return name.replace("_", " ")


def _is_drop(name: str) -> bool:
    return name.startswith(("dropped.", "stream_dropped."))


def _by_name(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _latency_text(hop: str, row: dict[str, float]) -> str:
    return f"{hop.replace('_', ' ')} {row['p50']:.0f}/{row['p99']:.0f}/{row['max']:.0f}"


def _latencies(monitor: Monitor) -> dict[str, dict[str, float]]:
    rows = monitor.latencies_ns()
    if not len(rows):
        return {}
    result = {}
    for column, hop in enumerate(HOPS):
        p50, p99, worst = np.percentile(rows[:, column], (50, 99, 100)) / 1e3
        result[hop] = {"p50": float(p50), "p99": float(p99), "max": float(worst)}
    return result
