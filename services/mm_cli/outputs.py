"""What a command writes and says: files looked at before the work, JSON, its own words."""

import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["check_writable", "in_command_words", "json_text"]

# What the library says in Python, and is an option of a command.
_REPAIR = re.compile(r"""(?:tape\.repair\(|repair=\[?)['"](\w+)['"][\])]?""")
_OPTION = re.compile(
    r"""\b(format|symbol|market|tick_size|lot_size|stamp_unit)=(?:['"](\w+)['"]|(?=[\s,;.:]|$))"""
)
_NAME = re.compile(r"(?<!\S)(tick_size|lot_size|stamp_unit)(?=\s)|^(format|repair)(?= must)")
_OF_SWEEPS = re.compile(r"\b(processes|results)=")
# How such a remedy begins, where it is another command's.
_LEAD = re.compile(r"(?:repair with|pass|read(?: it)? with) --(?!processes|results)")


def check_writable(option: str, path: Path | None) -> None:
    """Refuse a file that could not be written at the end, before the work is done.

    Raises
    ------
    ValueError
        Naming the option, the file and what is amiss.
    """
    if path is None:
        return
    folder = path.resolve().parent
    if path.is_dir():
        problem = "Is a directory: name a file"
    elif not folder.is_dir():
        problem = f"there is no folder {folder}: make it first"
    elif not os.access(path if path.exists() else folder, os.W_OK):
        problem = "Permission denied: choose another place"
    else:
        return
    raise ValueError(f"{option} {path} cannot be written: {problem}")


def json_text(told: Any, default: Callable[[Any], Any] = float) -> str:
    """Return `told` as JSON that every parser reads: what is no number is null.

    Parameters
    ----------
    told
        Dicts, lists, text and numbers.
    default
        What becomes of other values.
    """
    plain = _plain(told, default)
    return json.dumps(plain, indent=2, allow_nan=False) + "\n"


def _plain(value: Any, default: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner, default) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, default) for inner in value]
    if value is None or isinstance(value, str | int):
        return value
    if not isinstance(value, float):
        return _plain(default(value), default)
    return float(value) if math.isfinite(value) else None


def in_command_words(text: str, command: str = "mm convert FILE x.tape ") -> str:
    """Return what the library says with the remedies as options of `command`; "" is this one."""
    text = _REPAIR.sub(r"--repair \1", text)
    text = _OPTION.sub(lambda found: f"{_flag(found[1])} {found[2] or ''}".rstrip(), text)
    text = _NAME.sub(lambda found: _flag(found[0]), text)
    text = _OF_SWEEPS.sub(r"--\1 ", text)
    return (_LEAD.sub(f"{command}--", text) if command else text).rstrip()


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
