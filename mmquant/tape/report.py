"""What a tape holds, and what is wrong with it: gaps, clock skew, disorder, duplicates."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmquant.codes import TapeKind
from mmquant.state import TAPE_BUFFERED, TAPE_SKIP

if TYPE_CHECKING:
    from mmquant.tape.core import Tape

__all__ = ["Gap", "TapeInfo", "TapeReport", "describe", "inspect"]

GAPS_SHOWN = 10
PROBLEMS_SHOWN = 5
PIECE = 1 << 20  # events looked at together, so that a mapped tape is never read whole
_MS = 1e6


def _time(ns: int) -> str:
    text = str(np.datetime64(ns, "ns"))
    return text.replace("T", " ")[:-3]


@dataclass(frozen=True, slots=True)
class TapeInfo:
    """What a tape holds."""

    source: str
    instruments: tuple[dict[str, Any], ...]  # symbol, market, tick_size, lot_size
    start: str
    end: str
    duration_s: float
    events: int
    rows: int
    nbytes: int
    kinds: dict[str, dict[str, int]]  # symbol -> kind -> events
    repairs: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"{self.source}",
            f"{self.start} to {self.end} UTC ({self.duration_s:,.1f} s)"
            if self.events
            else "no event in it",
            f"{self.events:,} events, {self.rows:,} rows, {self.nbytes / 1e6:,.1f} MB",
        ]
        for one in self.instruments:
            kinds = ", ".join(f"{n:,} {k}" for k, n in self.kinds[one["symbol"]].items())
            lines.append(
                f"{one['symbol']} ({one['market']}, tick {one['tick_size']}, "
                f"lot {one['lot_size']}): {kinds or 'nothing'}"
            )
        lines += [f"repaired: {text}" for text in self.repairs]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch without a trustworthy book."""

    symbol: str
    start: str
    end: str  # when a snapshot ended it; empty where none did
    duration_s: float


@dataclass(frozen=True, slots=True)
class TapeReport:
    """What is wrong with a tape. Nothing of it is repaired."""

    gaps: tuple[Gap, ...]
    no_snapshot: tuple[str, ...]  # symbols with depth events that never begin with a book
    before_snapshot: int  # depth events that came before the first snapshot
    longest_silence_s: float
    longest_silence_at: str
    out_of_order: int  # steps back of the time received
    venue_out_of_order: int  # steps back of the venue's time, within one kind of message
    latency_ms: dict[str, float]  # received - venue: min, median, p99, max
    received_before_venue: float  # share of stamped events; above 0 the clocks disagree
    skipped: int  # events that bear TAPE_SKIP
    trade_ids_missing: int
    left_out: dict[str, int]
    problems: tuple[str, ...]
    assumptions: tuple[str, ...]
    truncated: str

    @property
    def is_clean(self) -> bool:
        """Whether there is nothing to repair or to know."""
        return not (
            self.gaps
            or self.no_snapshot
            or self.out_of_order
            or self.received_before_venue
            or self.trade_ids_missing
            or self.truncated
            or self.left_out.get("no_stamp")
            or self.left_out.get("malformed")
        )

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {**asdict(self), "is_clean": self.is_clean}


def _lines(report: TapeReport) -> list[str]:
    lines = ["clean" if report.is_clean else "not clean:"]
    for gap in report.gaps[:GAPS_SHOWN]:
        end = f"{gap.duration_s:.3f} s, until a snapshot" if gap.end else "and no snapshot after it"
        lines.append(f"gap in {gap.symbol} at {gap.start}: {end}")
    if len(report.gaps) > GAPS_SHOWN:
        lines.append(f"and {len(report.gaps) - GAPS_SHOWN} gaps more, see .gaps")
    lines += [
        f"{symbol}: depth updates, but no snapshot: the book is never whole"
        for symbol in report.no_snapshot
    ]
    if report.out_of_order:
        lines.append(f"{report.out_of_order} steps back in time: repair with tape.repair('order')")
    if report.received_before_venue:
        lines.append(
            f"{report.received_before_venue:.1%} of events received before they happened "
            f"(by {-report.latency_ms['min']:.1f} ms at most): the clocks disagree; "
            f"repair with tape.repair('clock')"
        )
    if report.trade_ids_missing:
        lines.append(f"{report.trade_ids_missing} trade ids are missing")
    if report.skipped:
        lines.append(
            f"{report.skipped} events are not part of the book's or the trades' history "
            f"({report.before_snapshot} of them before the first snapshot)"
        )
    if report.venue_out_of_order:
        lines.append(f"the venue's time steps back {report.venue_out_of_order} times")
    if report.latency_ms:
        text = ", ".join(f"{name} {value:.2f}" for name, value in report.latency_ms.items())
        lines.append(f"received - venue in ms: {text}")
    if report.longest_silence_at:
        lines.append(
            f"longest silence: {report.longest_silence_s:.3f} s from {report.longest_silence_at}"
        )
    lines += [f"left out: {n} x {why}" for why, n in report.left_out.items()]
    lines += [f"  {text}" for text in report.problems[:PROBLEMS_SHOWN]]
    if len(report.problems) > PROBLEMS_SHOWN:
        lines.append(f"  and {len(report.problems) - PROBLEMS_SHOWN} more, see .problems")
    lines += [f"assumed: {text}" for text in report.assumptions]
    if report.truncated:
        lines.append(f"cut short: {report.truncated}")
    return lines


def describe(tape: "Tape") -> TapeInfo:
    """Return what a tape holds."""
    n_kinds = len(TapeKind)
    counts = np.zeros(len(tape.instruments) * n_kinds, np.int64)
    for events in _pieces(tape.events):
        codes = events["instrument"].astype(np.int64) * n_kinds + events["kind"]
        counts += np.bincount(codes, minlength=counts.size)
    table = counts.reshape(-1, n_kinds)
    kinds = {
        one.symbol: {kind.name.lower(): int(row[kind]) for kind in TapeKind if row[kind]}
        for one, row in zip(tape.instruments, table, strict=True)
    }
    instruments = tuple(
        {
            "symbol": one.symbol,
            "market": one.market.name.lower(),
            "tick_size": f"{one.tick_size:f}",
            "lot_size": f"{one.lot_size:f}",
        }
        for one in tape.instruments
    )
    return TapeInfo(
        source=tape.source,
        instruments=instruments,
        start=_time(tape.start_ns) if len(tape) else "",
        end=_time(tape.end_ns) if len(tape) else "",
        duration_s=tape.duration_s,
        events=len(tape),
        rows=tape.rows,
        nbytes=tape.nbytes,
        kinds=kinds,
        repairs=tape.repairs,
    )


def _pieces(events: NDArray[Any]) -> Any:
    for at in range(0, events.size, PIECE):
        yield events[at : at + PIECE]


def inspect(tape: "Tape") -> TapeReport:
    """Return what is wrong with a tape."""
    gaps, no_snapshot, before = _gaps(tape)
    back, venue_back, silence_ns, silence_at_ns = _order(tape)
    latency, negative = _latency(tape)
    skipped = sum(int(np.count_nonzero(e["flags"] & TAPE_SKIP)) for e in _pieces(tape.events))
    notes = tape.notes
    return TapeReport(
        gaps=gaps,
        no_snapshot=no_snapshot,
        before_snapshot=before,
        longest_silence_s=silence_ns / 1e9,
        longest_silence_at=_time(silence_at_ns) if silence_ns else "",
        out_of_order=back,
        venue_out_of_order=venue_back,
        latency_ms=latency,
        received_before_venue=negative,
        skipped=skipped,
        trade_ids_missing=notes.trade_ids_missing,
        left_out=dict(notes.left_out),
        problems=tuple(notes.problems),
        assumptions=tuple(notes.assumptions),
        truncated=notes.truncated,
    )


def _gaps(tape: "Tape") -> tuple[tuple[Gap, ...], tuple[str, ...], int]:
    """Return the gaps, the symbols without a snapshot, and depth events before the first one."""
    open_since: dict[int, int] = {}
    begun: set[int] = set()
    has_depth: set[int] = set()
    before = 0
    gaps: list[Gap] = []
    for events in _pieces(tape.events):
        kinds, flags = events["kind"], events["flags"]
        deltas = kinds == TapeKind.DELTA
        has_depth.update(np.unique(events["instrument"][deltas]).tolist())
        skipped = flags & TAPE_SKIP != 0
        marks = (kinds == TapeKind.GAP) | ((kinds == TapeKind.SNAPSHOT) & ~skipped)
        late = set(range(len(tape.instruments))) - begun
        rows = np.flatnonzero(marks)
        if late:
            firsts = {index: events.size for index in late}
            for row in rows[kinds[rows] == TapeKind.SNAPSHOT][::-1]:
                if int(events["instrument"][row]) in firsts:
                    firsts[int(events["instrument"][row])] = int(row)
            for index, first in firsts.items():
                own = (events["instrument"] == index) & deltas & skipped
                before += int(np.count_nonzero(own[:first]))
        for row in rows:
            index, now_ns = int(events["instrument"][row]), int(events["received_ns"][row])
            if kinds[row] == TapeKind.GAP:
                open_since.setdefault(index, now_ns)
                continue
            begun.add(index)
            if index in open_since:
                since = open_since.pop(index)
                gaps.append(_gap(tape, index, since, now_ns))
    gaps += [_gap(tape, index, since, None) for index, since in open_since.items()]
    never = tuple(tape.symbols[index] for index in sorted(has_depth - begun))
    return tuple(gaps), never, before


def _gap(tape: "Tape", index: int, since_ns: int, until_ns: int | None) -> Gap:
    end = "" if until_ns is None else _time(until_ns)
    duration_s = ((tape.end_ns if until_ns is None else until_ns) - since_ns) / 1e9
    return Gap(tape.symbols[index], _time(since_ns), end, duration_s)


def _order(tape: "Tape") -> tuple[int, int, int, int]:
    """Return steps back of both times, the longest silence and where it began."""
    back = venue_back = silence_ns = silence_at_ns = 0
    last: int | None = None
    newest: dict[tuple[int, int], int] = {}
    for events in _pieces(tape.events):
        received = np.ascontiguousarray(events["received_ns"])
        if last is not None:
            received = np.concatenate(([last], received))
        steps = np.diff(received)
        back += int(np.count_nonzero(steps < 0))
        if steps.size and int(steps.max()) > silence_ns:
            at = int(steps.argmax())
            silence_ns, silence_at_ns = int(steps[at]), int(received[at])
        last = int(received[-1])
        # A buffered event stands behind its snapshot, which happened later.
        timed = (events["venue_ns"] > 0) & (events["flags"] & (TAPE_BUFFERED | TAPE_SKIP) == 0)
        for index in range(len(tape.instruments)):
            for kind in (TapeKind.DELTA, TapeKind.BBO, TapeKind.TRADE):
                own = timed & (events["instrument"] == index) & (events["kind"] == kind)
                times = events["venue_ns"][own]
                if not times.size:
                    continue
                before = newest.get((index, int(kind)), int(times[0]))
                venue_back += int(np.count_nonzero(np.diff(times, prepend=before) < 0))
                newest[index, int(kind)] = int(times[-1])
    return back, venue_back, silence_ns, silence_at_ns


def _latency(tape: "Tape") -> tuple[dict[str, float], float]:
    """Return the spread of received - venue in ms, and the share below 0."""
    n = len(tape)
    if not n:
        return {}, 0.0
    events = tape.events[:: max(1, n // 1_000_000)]  # a million of them tell enough
    known = (events["venue_ns"] > 0) & (events["flags"] & (TAPE_BUFFERED | TAPE_SKIP) == 0)
    lag = events["received_ns"][known] - events["venue_ns"][known]
    if not lag.size:
        return {}, 0.0
    low, median, high, most = np.percentile(lag, [0, 50, 99, 100]) / _MS
    spread = {"min": float(low), "median": float(median), "p99": float(high), "max": float(most)}
    return spread, float(np.mean(lag < 0))
