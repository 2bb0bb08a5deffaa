"""`mm convert`: market data from one format to another, with a report of what it holds."""

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmquant.tape import Tape, read_tape
from mmquant.tape.write import check_target

# What the library says in Python, and is an option of this command.
_REPAIR = re.compile(r"""(?:tape\.repair\(|repair=\[?)['"](\w+)['"][\])]?""")
_OPTION = re.compile(
    r"""\b(format|symbol|market|tick_size|lot_size|stamp_unit)=(?:['"](\w+)['"]|(?=[\s,;.:]|$))"""
)
_NAME = re.compile(r"(?<!\S)(tick_size|lot_size|stamp_unit)(?=\s)|^(format|repair)(?= must)")

__all__ = ["Conversion", "convert", "in_own_words"]


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


def in_own_words(text: str) -> str:
    """Return what the library says with its remedies as this command's options."""
    text = _REPAIR.sub(r"--repair \1", text)
    text = _OPTION.sub(lambda found: f"{_flag(found[1])} {found[2] or ''}".rstrip(), text)
    return _NAME.sub(lambda found: _flag(found[0]), text)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def convert(plan: Conversion, json_file: Path | None) -> list[str]:
    """Convert, and return what to print.

    Raises
    ------
    mmquant.tape.TapeError, ValueError, OSError
        What is wrong with which file, and the remedy; a target that cannot be, before any work.
    """
    if plan.target.startswith("memory://"):
        raise ValueError(
            f"{plan.target} would be lost when this command ends: name a file, a folder or another "
            f"address"
        )
    check_target(plan.target)
    if "://" in plan.target:
        from mmquant.tape.parquet import check_address

        check_address(plan.target)
    if json_file is not None:
        _check_json(json_file)
    started_s = time.perf_counter()
    is_mapped = plan.target.rstrip("/").endswith(".tape") and "://" not in plan.target
    is_raw = plan.format in (None, "raw") and is_mapped and not plan.repair
    tape = _read(plan, Path(plan.target) if is_raw and _are_raw(plan) else None)
    read_s = time.perf_counter() - started_s
    if not (is_raw and _are_raw(plan)):
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
        json_file.write_text(json.dumps(summary, indent=2) + "\n")
    return [
        str(info),
        in_own_words(str(report)),
        f"{plan.target}: {len(tape):,} events, {tape.rows:,} rows in {total_s:.2f} s",
    ]


def _check_json(path: Path) -> None:
    """Refuse a file that cannot be written."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} for --json: Is a directory, name a file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} for --json: there is no folder {path.parent}, make it")


def _are_raw(plan: Conversion) -> bool:
    from mmquant.tape.read import detect

    return plan.format == "raw" or all(detect(path) == "raw" for path in plan.sources)


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
