"""What a soak amounted to: the numbers, the verdict by stated rules, lines for people."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from mm_cli.footprint import Footprint
from mm_cli.report import summarise
from mm_cli.soak import LONGEST_WITHOUT_QUOTES_AT_END_S, Soak
from mm_cli.trend import Trend, fit_trend
from mmquant.codes import Stream

__all__ = ["progress_line", "soak_lines", "soak_report", "verdict", "warmup_s"]

GROWTH_LIMIT_KIB = 2048.0  # two of the arenas that Python's allocator takes at a time
GROWTH_LIMIT_HANDLES = 8.0
SHARED_MEMORY_LIMIT_BYTES = 512 * 2**20
_LONGEST_WARMUP_S = 600.0
_WARMUP_SHARE = 0.25
_NOT_JUDGED = ("mm_venue",)  # a tool: it keeps a long past of its books on purpose
_KEPT = (
    "streams", "orders", "fills", "position", "profit", "frames", "gaps", "resyncs", "crossed",
    "trade_gaps", "dropped", "book_checks", "not_quoting", "shm_bytes", "latency_us",
)  # fmt: skip


def warmup_s(duration_s: float) -> float:
    """Return how much of each process's life is left out of its trend."""
    return min(_LONGEST_WARMUP_S, _WARMUP_SHARE * duration_s)


def soak_report(soak: Soak) -> dict[str, Any]:
    """Return everything about a soak; see docs/testing.md for the keys."""
    launcher, faults = soak.launcher, soak.faults
    summary = summarise(launcher)
    warmup = warmup_s(soak.plan.duration_s)
    counters = launcher.monitor.counters()
    report: dict[str, Any] = {
        "complete": soak.complete,
        "failure": soak.failure,
        "planned_s": soak.plan.duration_s,
        "ran_s": round(soak.ran_s, 1),
        "seed": soak.plan.seed,
        "fault_interval_s": soak.plan.fault_interval_s,
        "warmup_s": warmup,
        "memory": {name: _memory(one, warmup) for name, one in soak.footprints.items()},
        "handles": {name: _handles(one, warmup) for name, one in soak.footprints.items()},
        "restarts": soak.restarts,
        "kills": [asdict(kill) for kill in soak.kills],
        "lost": {str(int(s)): launcher.monitor.lost[s] for s in Stream},
        "conflated": _by_stream(counters, "stream_conflated"),
        "dropped_messages": _by_stream(counters, "stream_dropped"),
        "faults": {
            "armed": sum(faults.armed.values()),
            "armed_by_kind": dict(sorted(faults.armed.items())),
            "injected": sum(faults.injected.values()),
            "injected_by_kind": dict(sorted(faults.injected.items())),
            "refused": faults.refused,
        },
        "longest_without_quotes": asdict(soak.longest_quiet),
        "seconds_since_quotes_at_end": round(soak.seconds_since_quotes, 3),
        **{key: summary[key] for key in _KEPT},
        "series": {name: _series(one) for name, one in soak.footprints.items()},
    }
    reasons = verdict(report)
    report["verdict"] = {"passed": soak.complete and not reasons, "reasons": reasons}
    return report


def verdict(report: dict[str, Any]) -> list[str]:
    """Return what is wrong, a line each, by the rules of docs/testing.md; nothing where all is."""
    reasons = [report["failure"]] if report["failure"] else []
    for name, memory in report["memory"].items():
        if name not in _NOT_JUDGED and not memory["flat"]:
            reasons.append(
                f"{name}: private memory grows by {memory['slope_kib_per_min']:.1f} KiB/min "
                f"(standard error {memory['standard_error_kib_per_min']:.1f}), "
                f"{memory['growth_kib']:.0f} KiB in all"
            )
    for name, handles in report["handles"].items():
        if name not in _NOT_JUDGED and not handles["flat"]:
            reasons.append(f"{name}: open handles grow by {handles['growth']:.0f}")
    for name, restarts in report["restarts"].items():
        if restarts["not_injected"]:
            reasons.append(f"{name}: {restarts['not_injected']} restarts that were not injected")
    for stream, lost in report["lost"].items():
        unexplained = lost - report["conflated"].get(stream, 0)
        if unexplained > 0:
            reasons.append(f"stream {stream}: {unexplained} messages lost")
    reasons += [f"stream {s}: nothing heard" for s, heard in report["streams"].items() if not heard]
    if not report["faults"]["injected"]:
        reasons.append("no fault took effect: nothing was tried")
    if not report["book_checks"]["compared"]:
        reasons.append("no touch of the book was compared")
    if report["book_checks"]["mismatches"]:
        reasons.append(f"{report['book_checks']['mismatches']} wrong touches of the book")
    if report["shm_bytes"] > SHARED_MEMORY_LIMIT_BYTES:
        reasons.append(f"{report['shm_bytes']} bytes of shared memory in use")
    if report["seconds_since_quotes_at_end"] > LONGEST_WITHOUT_QUOTES_AT_END_S:
        reasons.append(f"no quotes for {report['seconds_since_quotes_at_end']:.1f} s at the end")
    return reasons


def soak_lines(report: dict[str, Any]) -> list[str]:
    """Return the report as lines for people."""
    faults, quiet, profit = report["faults"], report["longest_without_quotes"], report["profit"]
    kinds = ", ".join(f"{n} {kind}" for kind, n in faults["injected_by_kind"].items())
    kills = ", ".join(f"{kill['service']} at {kill['at_s']:.0f} s" for kill in report["kills"])
    lines = [
        f"ran              {report['ran_s']:.0f} of {report['planned_s']:.0f} s"
        + ("" if report["complete"] else " (INCOMPLETE: interrupted)"),
        f"faults           {faults['injected']} took effect of {faults['armed']}: {kinds}",
        f"kills            {kills or 'none'}",
    ]
    for name, memory in report["memory"].items():
        lines.append(_memory_line(name, memory, report["handles"][name]))
    odd = {n: r["not_injected"] for n, r in report["restarts"].items() if r["not_injected"]}
    lines += [
        f"restarts         not injected: {odd or 'none'}",
        f"messages         {report['streams']}; lost {sum(report['lost'].values())}, "
        f"conflated {sum(report['conflated'].values())}, "
        f"dropped {sum(report['dropped_messages'].values())}",
        f"book             {report['gaps']} gaps, {report['resyncs']} resyncs, "
        f"{report['book_checks']['compared']} touches compared, "
        f"{report['book_checks']['mismatches']} wrong",
        f"without quotes   at most {quiet['seconds']:.2f} s, after {quiet['after'] or 'nothing'}",
        f"fills            {report['fills']} of {report['orders']} orders, "
        f"profit {profit['total']:+.4f}",
        f"shared memory    {report['shm_bytes'] / 2**20:.1f} MiB at most",
    ]
    reasons = report["verdict"]["reasons"]
    outcome = "PASSED" if report["verdict"]["passed"] else "FAILED: " + "; ".join(reasons)
    if not report["complete"] and not reasons:
        outcome = "INCOMPLETE: nothing wrong so far"
    return [*lines, f"verdict          {outcome}"]


def progress_line(soak: Soak) -> str:
    """Return how it goes, in one line."""
    minutes, seconds = divmod(int(soak.ran_s), 60)
    monitor = soak.launcher.monitor
    age_s = soak.seconds_since_quotes
    memory = " ".join(
        f"{name.removeprefix('mm_')} {one.resident_kib[-1] / 1024:.0f}"
        for name, one in soak.footprints.items()
        if one.resident_kib
    )
    odd = sum(row["not_injected"] for row in soak.restarts.values())
    return (
        f"{minutes:02d}:{seconds:02d} "
        f"{'quoting' if age_s < 1 else f'no quotes for {age_s:.1f} s'}, "
        f"faults {sum(soak.faults.armed.values())}, kills {len(soak.kills)}, other restarts {odd}, "
        f"lost {sum(monitor.lost.values())}, longest without quotes "
        f"{soak.longest_quiet.seconds:.1f} s; MiB: {memory}"
    )


def _memory(footprint: Footprint, warmup: float) -> dict[str, Any]:
    trend = fit_trend(footprint.lives(footprint.private_kib, warmup))
    whole = fit_trend(footprint.lives(footprint.resident_kib, warmup))
    return {
        "slope_kib_per_min": _slope(trend),
        "standard_error_kib_per_min": trend.standard_error_per_min if trend else 0.0,
        "growth_kib": trend.growth if trend else 0.0,
        "resident_slope_kib_per_min": _slope(whole),
        "resident_standard_error_kib_per_min": whole.standard_error_per_min if whole else 0.0,
        "resident_max_kib": max(footprint.resident_kib, default=0),
        "private_max_kib": max(footprint.private_kib, default=0),
        "samples": trend.samples if trend else 0,
        "lives": trend.pieces if trend else 0,
        "span_min": trend.span_min if trend else 0.0,
        "judged": trend is not None,
        "flat": trend is None or trend.is_flat(GROWTH_LIMIT_KIB),
    }


def _handles(footprint: Footprint, warmup: float) -> dict[str, Any]:
    trend = fit_trend(footprint.lives(footprint.handles, warmup))
    return {
        "min": min(footprint.handles, default=0),
        "max": max(footprint.handles, default=0),
        "last": footprint.handles[-1] if footprint.handles else 0,
        "slope_per_min": _slope(trend),
        "growth": trend.growth if trend else 0.0,
        "flat": trend is None or trend.is_flat(GROWTH_LIMIT_HANDLES),
    }


def _slope(trend: Trend | None) -> float:
    return trend.slope_per_min if trend else 0.0


def _series(footprint: Footprint) -> dict[str, Any]:
    columns = ("at_s", "life", "resident_kib", "private_kib", "handles")
    return {name: getattr(footprint, name) for name in columns}


def _by_stream(counters: Counter[str], prefix: str) -> dict[str, int]:
    return {str(int(s)): counters[f"{prefix}.{int(s)}"] for s in Stream}


def _memory_line(name: str, memory: dict[str, Any], handles: dict[str, Any]) -> str:
    return (
        f"{name:<16} {memory['resident_max_kib'] / 1024:.1f} MiB at most, private "
        f"{memory['slope_kib_per_min']:+.1f} ± {memory['standard_error_kib_per_min']:.1f} KiB/min, "
        f"resident {memory['resident_slope_kib_per_min']:+.1f} ± "
        f"{memory['resident_standard_error_kib_per_min']:.1f} KiB/min over "
        f"{memory['span_min']:.1f} min; handles {handles['min']}-{handles['max']}"
    )
