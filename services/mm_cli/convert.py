"""`mm convert`: market data from one format to another, with a report of what it holds."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mm_cli.outputs import check_writable, in_command_words, json_text
from mmquant.tape import Tape, read_tape
from mmquant.tape.write import check_target

__all__ = ["Conversion", "convert"]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What to convert: see `mmquant.read_tape` for the fields."""

    sources: tuple[str, ...]  # as text: a Path makes `s3:/b` of an address
    target: str
    format: str | None = None
    symbol: str | None = None
    market: str | None = None
    tick_size: str | None = None
    lot_size: str | None = None
    stamp_unit: str = "ns"
    repair: tuple[str, ...] = ()


def convert(plan: Conversion, json_file: Path | None) -> list[str]:
    """Convert, and return what to print.

    Raises
    ------
    mmquant.tape.TapeError, ValueError, OSError
        What is wrong with which file, and the remedy; a target that cannot be, before any work.
    """
    check_writable("--json", json_file)
    if plan.target.startswith("memory://"):
        raise ValueError(
            f"{plan.target} would be lost when this command ends: name a file, a folder or another "
            f"address"
        )
    check_target(plan.target)
    if "://" in plan.target:
        from mmquant.tape.parquet import check_address

        check_address(plan.target)
    started_s = time.perf_counter()
    is_mapped = plan.target.rstrip("/").endswith(".tape") and "://" not in plan.target
    is_written_at_once = is_mapped and not plan.repair and _is_in_blocks(plan)
    tape = _read(plan, Path(plan.target) if is_written_at_once else None)
    read_s = time.perf_counter() - started_s
    if not is_written_at_once:
        tape.save(plan.target)
    total_s = time.perf_counter() - started_s
    info, report = tape.info(), tape.report()
    if json_file is not None:
        summary: dict[str, Any] = {
            "target": plan.target,
            "read_s": read_s,
            "total_s": total_s,
            "info": info.to_dict(),
            "report": report.to_dict(),
        }
        json_file.write_text(json_text(summary))
    return [
        str(info),
        in_command_words(str(report), ""),
        f"{plan.target}: {len(tape):,} events, {tape.rows:,} rows in {total_s:.2f} s",
    ]


def _is_in_blocks(plan: Conversion) -> bool:
    from mmquant.tape.read import WRITTEN_WHILE_READ, detect

    kind = plan.format or detect(plan.sources[0])
    # Of a recording all symbols are written; one alone is taken from the whole.
    return kind in WRITTEN_WHILE_READ and not (kind == "raw" and plan.symbol)


def _read(plan: Conversion, out: Path | None) -> Tape:
    return read_tape(
        list(plan.sources),
        format=plan.format,
        symbol=plan.symbol,
        market=plan.market,
        tick_size=plan.tick_size,
        lot_size=plan.lot_size,
        stamp_unit=plan.stamp_unit,
        repair=plan.repair,
        out=out,
    )
