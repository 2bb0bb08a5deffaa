"""What a storm of faults amounted to: numbers, the verdict by stated rules, lines for people."""

from typing import Any

import numpy as np

from mm_cli.chaos import Chaos
from mm_cli.live_check import check_live
from mmquant.codes import Stream

__all__ = ["chaos_lines", "chaos_report", "chaos_verdict"]

LEAST_FAULTS_PER_S = 200 / 60
_MAX_KEPT = 20


def chaos_report(chaos: Chaos) -> dict[str, Any]:
    """Return everything about a storm; see docs/testing.md for the keys."""
    monitor, faults, recorder = chaos.launcher.monitor, chaos.faults, chaos.recorder
    counters = monitor.counters()
    check = check_live(recorder.recording)
    books = recorder.recording.books
    # The time of all books together: shares are of that.
    span_ns = len(chaos.symbols) * max(1, books[-1].sent_ns - books[0].sent_ns) if books else 1
    conflated = {s: counters[f"stream_conflated.{int(s)}"] for s in Stream}
    by_symbol = _books(chaos)
    report: dict[str, Any] = {
        "complete": chaos.complete,
        "seconds": chaos.duration_s,
        "seed": chaos.seed,
        "faults": sum(faults.injected.values()),
        "faults_armed": sum(faults.armed.values()),
        "faults_by_kind": dict(sorted(faults.injected.items())),
        "gaps": counters["gaps"],
        "crossed": counters["crossed"],
        "resyncs": counters["resyncs"],
        "books_compared": chaos.compared.total(),
        "books_compared_after": chaos.compared_after.total(),
        "book_mismatches": sum(book["mismatches"] for book in by_symbol.values()),
        "books": by_symbol,
        "mismatches": chaos.differences,
        "audits": counters["audits"],
        "audit_mismatches": counters["audit_mismatches"],
        "touches_compared": counters["book_checks"],
        "touch_mismatches": counters["book_mismatches"],
        "quotes_while_not_live": len(check.violations),
        "violations": check.violations[:_MAX_KEPT],
        "pulls": len(check.pulls_ns),
        "pull_ms": _percentiles([ns / 1e6 for ns in check.pulls_ns]),
        "not_live_share": round(check.not_live_ns / span_ns, 4),
        "quoted_share": round(check.quoted_ns / span_ns, 4),
        "lost": sum(max(0, monitor.lost[s] - conflated[s]) for s in Stream),
        "lost_by_stream": {str(int(s)): monitor.lost[s] for s in Stream},
        "conflated": {str(int(s)): conflated[s] for s in Stream},
        "streams": {str(int(s)): monitor.streams[s] for s in Stream},
        "restarts": sum(chaos.launcher.restarts.values()),
        "healed_s": chaos.healed_s,
    }
    reasons = chaos_verdict(report)
    report["verdict"] = {"passed": chaos.complete and not reasons, "reasons": reasons}
    return report


def chaos_verdict(report: dict[str, Any]) -> list[str]:
    """Return what is wrong, a line each, by the rules of docs/testing.md; nothing where all is."""
    reasons = []
    if report["complete"] and report["faults"] < LEAST_FAULTS_PER_S * report["seconds"]:
        reasons.append(f"only {report['faults']} faults took effect")
    if report["book_mismatches"]:
        reasons.append(f"{report['book_mismatches']} books differ: {report['mismatches'][:1]}")
    if report["audit_mismatches"]:
        reasons.append(f"{report['audit_mismatches']} audits found a LIVE book wrong")
    if report["touch_mismatches"]:
        reasons.append(f"{report['touch_mismatches']} wrong touches of the book")
    if report["quotes_while_not_live"]:
        reasons.append(
            f"{report['quotes_while_not_live']} times quotes while not LIVE, first: "
            f"{report['violations'][0]}"
        )
    if report["lost"]:
        reasons.append(f"{report['lost']} messages lost")
    if report["restarts"]:
        reasons.append(f"{report['restarts']} restarts")
    if report["complete"] and report["healed_s"] is None:
        reasons.append("not healthy again after the faults")
    untold = [name for name, book in report["books"].items() if not book["compared_after"]]
    if report["complete"] and untold:
        reasons.append(f"not compared after the faults: {', '.join(untold)}")
    return reasons


def _books(chaos: Chaos) -> dict[str, dict[str, int]]:
    """Return by symbol how its book was found to be."""
    books, instruments = chaos.recorder.books, chaos.recorder.instruments
    disagreements = {
        row[0]: books[number].disagreements
        for number, row in instruments.items()
        if number in books
    }
    return {
        symbol: {
            "compared": chaos.compared[symbol],
            "compared_after": chaos.compared_after[symbol],
            "mismatches": chaos.mismatches[symbol] + disagreements.get(symbol, 0),
        }
        for symbol in chaos.symbols
    }


def chaos_lines(report: dict[str, Any]) -> list[str]:
    """Return the report as lines for people."""
    kinds = ", ".join(f"{n} {kind}" for kind, n in report["faults_by_kind"].items())
    pull, healed = report["pull_ms"], report["healed_s"]
    lines = [
        f"faults           {report['faults']} of {report['faults_armed']}: {kinds}",
        f"book             {report['gaps']} gaps, {report['crossed']} crossed, "
        f"{report['resyncs']} resyncs; not LIVE {report['not_live_share']:.0%} of the time",
        f"against venue    {report['books_compared']} books compared, "
        f"{report['books_compared_after']} of them afterwards; {report['book_mismatches']} differ",
        "                 "
        + ", ".join(f"{symbol} {book['compared']}" for symbol, book in report["books"].items())
        + f"; {report['audits']} audits, {report['audit_mismatches']} differ",
        f"quotes           out {report['quoted_share']:.0%} of the time; "
        f"{report['quotes_while_not_live']} times while not LIVE",
        f"pulled           {report['pulls']} times, after "
        f"{pull['p50']:.1f} ms (median), {pull['max']:.1f} ms at most",
        f"lost messages    {report['lost']}",
        "healed           " + ("never" if healed is None else f"after {healed:.1f} s"),
    ]
    lines += [f"VIOLATION        {text}" for text in report["violations"]]
    lines += [f"MISMATCH         {text}" for text in report["mismatches"]]
    reasons = report["verdict"]["reasons"]
    outcome = "PASSED" if report["verdict"]["passed"] else "FAILED: " + "; ".join(reasons)
    if not report["complete"] and not reasons:
        outcome = "INCOMPLETE: nothing wrong so far"
    return [*lines, f"verdict          {outcome}"]


def _percentiles(values_ms: list[float]) -> dict[str, float]:
    if not values_ms:
        return {"p50": 0.0, "p99": 0.0, "max": 0.0}
    p50, p99, worst = np.percentile(values_ms, (50, 99, 100))
    return {"p50": float(p50), "p99": float(p99), "max": float(worst)}
