"""What a backtest depends on -> the key under which a file of results has its metrics.

All of it is in the key: the tape, the settings, the files that they name, the code of a model of
one's own with what it calls and closes over, and this package. What was edited is computed anew.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from mmquant._cache import source_digest
from mmquant.backtest import Config, TapeLike

__all__ = ["data_digest", "settings_digest", "task_key"]

_OWN_CODE = ("strategy.model", "pricing.fair_value")  # keys that may say module:function
_TABLE = "pricing.stoikov_file"


def data_digest(tape: TapeLike) -> str:
    """Return what tells one tape from another: its rows, and what they are counted in."""
    digest = hashlib.sha256(repr(list(tape.instruments)).encode())
    for array in (tape.events, tape.levels):
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()


def settings_digest(data: str, config: Config, model: Callable[..., int] | str | None) -> str:
    """Return what all backtests of a sweep share."""
    named = {
        "strategy.model": config.strategy["model"] if model is None else model,
        "pricing.fair_value": config.pricing["fair_value"],
        _TABLE: config.pricing["stoikov_file"],
    }
    settings = [config.pricing, config.strategy, config.simulator, model]
    return _sha([source_digest(), data, settings, list(_files(named, config.folder))])


def task_key(base: str, window_ns: Any, values: Mapping[str, Any], folder: Path) -> str:
    """Return the key of one backtest; `base` is what `settings_digest` gave."""
    return _sha([base, window_ns, values, list(_files(values, folder))])


def _sha(told: Any) -> str:
    text = json.dumps(told, sort_keys=True, default=lambda value: _told(value, ()))
    return hashlib.sha256(text.encode()).hexdigest()


def _files(values: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Yield digests of the files that some of the values name; who reads them says what is amiss.

    A module may import what lies beside it, so that is part of it.
    """
    paths = [folder / values[_TABLE]] if values.get(_TABLE) else []
    for key in _OWN_CODE:
        name = values.get(key)
        if isinstance(name, str) and ":" in name:
            paths += sorted(_folder_of(name.partition(":")[0], folder).glob("*.py"))
    for path in paths:
        if path.is_file():
            yield hashlib.sha256(path.read_bytes()).hexdigest()


def _folder_of(module: str, folder: Path) -> Path:
    beside = folder / f"{module.replace('.', '/')}.py"
    if beside.is_file():
        return beside.parent
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        spec = None
    return folder if spec is None or spec.origin is None else Path(spec.origin).parent


def _told(value: Any, seen: tuple[int, ...]) -> Any:
    """Return what a value that JSON does not know is told by: of a function its code."""
    function = getattr(value, "py_func", value)  # of a compiled one
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType):
        where = f"{function.__module__}.{function.__qualname__}"
        if id(function) in seen or where.startswith("mmquant."):  # which has a digest of its own
            return where
        return [where, _code(code), _bound(function, code, (*seen, id(function)))]
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    return str(value)


def _code(code: CodeType) -> list[Any]:
    """Return the instructions; a place in a file is not part of them."""
    constants = [_code(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return [code.co_code.hex(), code.co_names, code.co_varnames, constants]


def _bound(function: Any, code: CodeType, seen: tuple[int, ...]) -> dict[str, Any]:
    """Return the values that a function does not take from its arguments."""
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    bound = dict(zip(code.co_freevars, cells, strict=True))
    known = function.__globals__
    bound |= {name: known[name] for name in sorted(_names(code)) if name in known}
    bound |= {"defaults of it": function.__defaults__}
    return {name: _told(value, seen) for name, value in bound.items()}


def _names(code: CodeType) -> set[str]:
    inner = [_names(c) for c in code.co_consts if isinstance(c, CodeType)]
    return set(code.co_names).union(*inner)
