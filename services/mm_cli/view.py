"""The live terminal view: services, market, quotes or why there are none, position, news."""

import time
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mm_cli.launcher import Launcher
from mm_cli.monitor import Desk
from mm_cli.report import Money, money
from mm_cli.why import clamp_words, reason_of
from mmquant.codes import (
    BookState,
    PricingFlag,
    Reason,
    RiskState,
    Role,
    ServiceState,
    Side,
)
from mmquant.risk import explain

__all__ = ["LiveView"]

_FRAME_S = 0.25
_LINE_S = 5.0
_E8 = 1e8
_ROLES = (Role.AERONMD, Role.MM_COLLECTOR, Role.MM_PRICING, Role.MM_STRATEGY, Role.MM_SIMULATOR)
_COLOURS = {
    ServiceState.READY: "green",
    ServiceState.STARTING: "cyan",
    ServiceState.DEGRADED: "yellow",
    ServiceState.REDUCING: "yellow",
    ServiceState.HALTED: "red",
    ServiceState.STOPPED: "red",
}


class LiveView:
    """Draws the launcher's state: a full screen on a terminal, else a line now and then.

    Parameters
    ----------
    title
        What runs, for the headline.
    console
        Where to draw.
    """

    def __init__(self, title: str, console: Console) -> None:
        self._title = title
        self._console = console
        self._live = (
            Live(console=console, screen=True, auto_refresh=False) if console.is_terminal else None
        )
        self._next_s = 0.0

    def __enter__(self) -> "LiveView":
        """Take over the terminal."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()

    def draw(self, launcher: Launcher) -> None:
        """Draw, if it is time to."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        if self._live is not None:
            self._next_s = now_s + _FRAME_S
            self._live.update(render(self._title, launcher), refresh=True)
        else:
            self._next_s = now_s + _LINE_S
            self._console.print(line(launcher), highlight=False, soft_wrap=True)


def render(title: str, launcher: Launcher) -> RenderableType:
    """Return the whole screen."""
    elapsed_s = int(time.monotonic() - launcher.started_s)
    head = Text(f" mmquant {title} ", style="bold reverse")
    head.append(f"  {elapsed_s // 60:02d}:{elapsed_s % 60:02d}   Ctrl-C ends it", style="dim")
    desks = launcher.monitor.desks
    parts: list[RenderableType] = [head, _services(launcher)]
    parts += [_instrument(desks[instrument_id]) for instrument_id in sorted(desks)]
    if not desks:
        parts.append(Panel("no market data yet", title="market", border_style="yellow"))
    parts.append(_news(launcher))
    parts.append(_messages(launcher))
    return Group(*parts)


def line(launcher: Launcher) -> str:
    """Return the state in one line, for logs and pipes."""
    elapsed_s = time.monotonic() - launcher.started_s
    parts = [f"{elapsed_s:6.1f} s"]
    for desk in launcher.monitor.desks.values():
        account = money(desk)
        if desk.instrument is None or account is None:
            continue
        tick = desk.instrument[0]["tick_size_e8"] / _E8
        touch = "no touch"
        if desk.pricing is not None:
            row = desk.pricing[0]
            touch = f"{row['bid_ticks'] * tick:.10g} / {row['ask_ticks'] * tick:.10g}"
        parts.append(
            f"{account.symbol} {touch}, quotes {_quotes_text(desk, tick)}, "
            f"position {account.position:+.8g}, profit {account.total:+.4f}, fills {account.fills}"
        )
    words = launcher.monitor.last_words
    parts += [
        f"{role.name.lower()} {words.get(role.name.lower(), beat.state.name)}"
        for role, beat in sorted(launcher.monitor.beats.items())
        if beat.state is not ServiceState.READY
    ]
    return " | ".join(parts)


def _services(launcher: Launcher) -> Table:
    table = Table(expand=True, title_justify="left", header_style="dim", box=None, pad_edge=True)
    for name, justify in (
        ("service", "left"),
        ("state", "left"),
        ("why", "left"),
        ("heartbeat", "right"),
        ("memory", "right"),
        ("restarts", "right"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    now_ns = time.time_ns()
    restarts = launcher.restarts
    for role in _ROLES:
        name = role.name.lower()
        beat = launcher.monitor.beats.get(role)
        if beat is None:
            table.add_row(name, Text("starting", style="cyan"), "", "", "", "")
            continue
        age_s = (now_ns - beat.heard_ns) / 1e9
        silent = age_s > launcher.settings.heartbeats.timeout_ms / 1_000
        style = "red" if silent else _COLOURS[beat.state]
        state = "SILENT" if silent else beat.state.name
        reason = "" if beat.reason is Reason.NONE else explain(beat.reason)
        table.add_row(
            name,
            Text(state, style=style),
            reason,
            f"{age_s:.1f} s",
            f"{beat.resident_bytes / 2**20:.0f} MiB",
            str(restarts.get(name, 0) or ""),
        )
    return table


def _instrument(desk: Desk) -> Panel:
    if desk.instrument is None or desk.pricing is None:
        return Panel("waiting for the instrument and its prices", border_style="yellow")
    tick = float(desk.instrument[0]["tick_size_e8"] / _E8)
    row = desk.pricing[0]
    grid = Table.grid(expand=True, padding=(0, 2))
    for _ in range(3):
        grid.add_column(ratio=1)
    flags = int(row["flags"])
    state = BookState(int(row["book_state"])).name
    warm = "" if flags & PricingFlag.WARM else ", warming up"
    mid = (row["bid_ticks"] + row["ask_ticks"]) / 2 * tick
    market = _pairs(
        ("book", f"{state}{warm}"),
        ("bid / ask", f"{row['bid_ticks'] * tick:,.10g} / {row['ask_ticks'] * tick:,.10g}"),
        ("mid", f"{mid:,.10g}"),
        ("fair value", f"{row['fair_value_ticks'] * tick:,.10g}"),
        ("volatility", f"{row['volatility_ticks_per_sqrt_s'] * tick:.4g} per sqrt(s)"),
        ("drift", f"{row['drift_ticks_per_s'] * tick:+.4g} per s"),
        *_drifts(row, tick),
    )
    grid.add_row(market, _quotes(desk, tick), _account(desk))
    symbol = desk.instrument[0]["symbol"].decode()
    colour = "green" if flags & PricingFlag.LIVE else "yellow"
    return Panel(Group(grid, _fills(desk, tick)), title=symbol, border_style=colour)


def _drifts(row: Any, tick: float) -> list[tuple[str, str]]:
    """Return both drifts where there are factors of signals: which one counts is a setting."""
    ewma, of_signals = (row[f"{name}_drift_ticks_per_s"] * tick for name in ("ewma", "signal"))
    return [("of mids / signals", f"{ewma:+.4g} / {of_signals:+.4g}")] if of_signals else []


def _quotes(desk: Desk, tick: float) -> RenderableType:
    lot = float(desk.instrument[0]["lot_size_e8"] / _E8) if desk.instrument is not None else 0.0
    if desk.quotes is None:
        return Text("no quotes yet", style="yellow")
    row = desk.quotes[0]
    state, why = RiskState(int(row["risk_state"])), reason_of(row["risk_reason"])
    lines = []
    if state is not RiskState.ACTIVE:
        lines.append(Text(f"{state.name} {explain(why)}", style="bold red"))
    if row["reason"]:
        lines.append(Text(f"not quoting: {explain(reason_of(row['reason']))}", style="bold yellow"))
        return Group(*lines)
    for side, levels, reason in (
        ("ask", reversed(desk.asks), row["ask_reason"]),
        ("bid", desk.bids, row["bid_reason"]),
    ):
        style = "red" if side == "ask" else "green"
        lines += [
            Text(f"{side}  {price * tick:>12,.10g}  x {lots * lot:.8g}", style=style)
            for price, lots in levels
        ]
        if reason:
            lines.append(Text(f"no {side}: {explain(reason_of(reason))}", style="yellow"))
        for words in clamp_words(int(row[f"{side}_clamps"])):
            lines.append(Text(f"{side} {words}", style="dim"))
    skew = (row["reservation_ticks"] - row["fair_value_ticks"]) * tick
    lines.append(Text(f"half spread {row['half_spread_ticks'] * tick:.4g}", style="dim"))
    lines.append(Text(f"reservation {skew:+.4g} from fair value", style="dim"))
    return Group(*lines)


def _account(desk: Desk) -> RenderableType:
    account = money(desk)
    if account is None:
        return Text("no position yet", style="yellow")
    return _pairs(
        ("position", _position_text(account)),
        ("profit", f"{account.total:+.4f}"),
        ("  spread", f"{account.spread:+.4f}"),
        ("  adverse selection", f"{account.adverse_selection:+.4f}"),
        ("  inventory", f"{account.inventory:+.4f}"),
        ("  fees", f"{0 - account.fees:+.4f}"),
        *((name, f"{amount:+.4f}") for name, amount in _rare_parts(account) if amount),
        ("orders, fills", f"{account.orders}, {account.fills}"),
    )


def _rare_parts(account: Money) -> tuple[tuple[str, float], ...]:
    """Return the parts of the profit that most accounts have not."""
    return ("  funding", account.funding), ("  fee revaluation", account.fee_revaluation)


def _position_text(account: Money) -> str:
    if not account.position:
        return "flat"
    return f"{account.position:+.8g} at {account.average_price:,.10g}"


def _fills(desk: Desk, tick: float) -> RenderableType:
    if not desk.fills:
        return Text("no fills yet", style="dim")
    lot = float(desk.instrument[0]["lot_size_e8"] / _E8) if desk.instrument is not None else 0.0
    text = Text("fills  ", style="dim")
    for fill in reversed(desk.fills):
        row = fill[0]
        bought = row["side"] == Side.BUY
        sign, style = ("+", "green") if bought else ("-", "red")
        text.append(
            f"{sign}{row['qty_lots'] * lot:.8g} @ {row['price_ticks'] * tick:,.10g}   ", style
        )
    text.no_wrap = True
    return text


def _news(launcher: Launcher) -> Panel:
    lines = []
    for when_ns, who, what in launcher.monitor.news:
        stamp = datetime.fromtimestamp(when_ns / 1e9, UTC).strftime("%H:%M:%S")
        entry = Text(f"{stamp}  {who:<20} {what}", no_wrap=True, overflow="ellipsis")
        lines.append(entry)
    return Panel(Group(*lines), title="state changes (UTC)", border_style="dim")


def _messages(launcher: Launcher) -> Text:
    monitor = launcher.monitor
    counts = "  ".join(f"{int(s)}:{n}" for s, n in sorted(monitor.streams.items()))
    text = f" messages by stream  {counts}   lost {sum(monitor.lost.values())}"
    rows = monitor.latencies_ns()
    if len(rows):
        recent = sorted(int(v) for v in rows[-500:, -1])
        text += f"   tick to quote {recent[len(recent) // 2] / 1e3:.0f} us"
    return Text(f"{text}   shared memory {launcher.shm_bytes / 2**20:.0f} MiB", style="dim")


def _quotes_text(desk: Desk, tick: float) -> str:
    if desk.quotes is None:
        return "none yet"
    reason = reason_of(desk.quotes[0]["reason"])
    if reason is not Reason.NONE:
        return f"none ({explain(reason)})"
    bid = f"{desk.bids[0][0] * tick:.10g}" if desk.bids else "-"
    ask = f"{desk.asks[0][0] * tick:.10g}" if desk.asks else "-"
    return f"{bid} / {ask}"


def _pairs(*rows: tuple[str, str]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim")
    table.add_column()
    for name, value in rows:
        table.add_row(name, value)
    return table
