"""What a command writes and says: files looked at before the work, JSON, its own words."""

import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["check_writable", "in_command_words", "json_text"]

# What the library says to pass it, and what to give a command; {} is where that option is.
_WORDS = (
    (re.compile(r"read(?: it)? with stamp_unit=(?:\"(\w+)\")?"), r"{}--stamp-unit \1"),
    (
        re.compile(r"(?:repair with |pass )?(?:tape\.repair\(|repair=\[)['\"](\w+)['\"][)\]]"),
        r"{}--repair \1",
    ),
    (re.compile(r"read it with tick_size= and lot_size="), "{}--tick-size T --lot-size L"),
    (re.compile(r"pass (symbol|market|format)="), r"{}--\1"),
    (re.compile(r"\bprocesses="), "--processes "),
    (re.compile(r"\bresults="), "--results "),
)


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
    """Return what the library says with the remedies as options of `command`."""
    for pattern, words in _WORDS:
        text = pattern.sub(words.replace("{}", command), text)
    return text.rstrip()
