"""tape + parameter sets -> a table of metrics: all cores, resumable, in order.

Each process maps the tape once and compiles nothing that is in the cache. What is done is appended
to a file at once, a line a set, so that a sweep that was stopped goes on where it was.
"""

import hashlib
import itertools
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmquant import backtest
from mmquant._checks import whole
from mmquant.backtest import Config, TapeLike

if TYPE_CHECKING:
    import pandas

__all__ = ["grid", "random", "run"]

Set = dict[str, Any]
_SECTIONS = ("strategy", "pricing", "simulator")
_work: dict[str, Any] = {}  # of a worker: the tape and what all sets share


def grid(**values: Sequence[Any]) -> list[Set]:
    """Return every combination of values, a dict a set.

    A name is `<file>__<key>`, tables of the file by further `__`:
    `grid(strategy__requote_ticks=[1, 4], strategy__gates__pause_s=[5.0, 10.0])`.
    """
    names = [_key(name) for name in values]
    return [dict(zip(names, row, strict=True)) for row in itertools.product(*values.values())]


def random(n: int, seed: int, **ranges: Any) -> list[Set]:
    """Return `n` sets drawn at random: (low, high) uniformly, whole where both are; a list: one of.

    Names are those of `grid`.
    """
    whole("n", n, 1)
    generator = np.random.default_rng(seed)
    return [
        {_key(name): _draw(generator, name, what) for name, what in ranges.items()}
        for _ in range(n)
    ]


def _key(name: str) -> str:
    section, _, rest = name.partition("__")
    if section not in _SECTIONS or not rest:
        raise ValueError(
            f"names must be <file>__<key> with one of {', '.join(_SECTIONS)}, got {name!r}"
        )
    return f"{section}.{rest.replace('__', '.')}"


def _draw(generator: np.random.Generator, name: str, what: Any) -> Any:
    if isinstance(what, list):
        return what[int(generator.integers(len(what)))]
    if not (isinstance(what, tuple) and len(what) == 2 and what[0] <= what[1]):
        raise ValueError(f"{name} must be (low, high) or a list of choices, got {what!r}")
    low, high = what
    if isinstance(low, int) and isinstance(high, int):
        return int(generator.integers(low, high + 1))
    return float(generator.uniform(low, high))


def run(
    tape: TapeLike,
    sets: Sequence[Set],
    *,
    config: Config | None = None,
    model: Callable[..., int] | str | None = None,
    results: Path | str | None = None,
    processes: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> "pandas.DataFrame":
    """Backtest every set; return a row a set in their order: its values, then its metrics.

    Parameters
    ----------
    tape : mmquant.tape.Tape
    sets : sequence of dict
        From `grid` or `random`, or dicts such as `{"strategy.requote_ticks": 4}`.
    config, model
        As of mmquant.backtest.run, shared by all sets.
    results : path, optional
        File to append to, and to take from what was done before on the same tape.
    processes : int, optional
        All cores when left out; 1 stays in this process.
    on_progress : function, optional
        Told how many are done of how many.

    Returns
    -------
    DataFrame

    Raises
    ------
    TypeError, ValueError
        What backtest.run raises, of the first set that is wrong.
    """
    import pandas

    if not sets:
        raise ValueError("sets must hold at least one, got none: make them with sweep.grid")
    config = config or Config()
    shared = {"tape": tape, "config": config, "model": model}
    base = _digest(tape, config, model)
    keys = [hashlib.sha256((base + _text(values)).encode()).hexdigest() for values in sets]
    done = _read(Path(results)) if results is not None else {}
    left = [i for i, key in enumerate(keys) if key not in done]
    finished = len(sets) - len(left)
    for i, metrics in _metrics_of(shared, sets, left, processes):
        done[keys[i]] = metrics
        if results is not None:
            _append(Path(results), keys[i], sets[i], metrics)
        finished += 1
        if on_progress is not None:
            on_progress(finished, len(sets))
    rows = [{**values, **done[key]} for values, key in zip(sets, keys, strict=True)]
    return pandas.DataFrame(rows)


def _metrics_of(
    shared: dict[str, Any], sets: Sequence[Set], left: list[int], processes: int | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    count = min(len(left), whole("processes", processes or os.cpu_count() or 1, 1, 1024))
    if count <= 1:
        _work.update(shared)
        for i in left:
            yield i, _one((i, sets[i]))[1]
        return
    # A copy of this process has the tape already: its pages are shared, nothing is sent.
    _work.update(shared)
    with multiprocessing.get_context("fork").Pool(count) as pool:
        yield from pool.imap_unordered(_one, [(i, sets[i]) for i in left])


def _one(task: tuple[int, Set]) -> tuple[int, dict[str, Any]]:
    i, values = task
    changes: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    for key, value in values.items():
        section, _, rest = key.partition(".")
        if section not in changes:
            raise ValueError(f"sets must have keys <file>.<key>, got {key!r}")
        changes[section][rest] = value
    config = _work["config"].changed(**changes)
    model = _work["model"]
    parameters = None if model is None else config.strategy["model_parameters"]
    result = backtest.run(_work["tape"], config=config, model=model, model_parameters=parameters)
    return i, {**result.metrics(), "hash": result.hash}


def _digest(tape: TapeLike, config: Config, model: Any) -> str:
    """Return what tells one sweep's results from another's: the tape, the rest of the settings."""
    digest = hashlib.sha256()
    for array in (tape.events, tape.levels):
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    name = getattr(model, "__qualname__", str(model))
    digest.update(_text([config.pricing, config.strategy, config.simulator, name]).encode())
    return digest.hexdigest()


def _text(values: Any) -> str:
    return json.dumps(values, sort_keys=True, default=str)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    done = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
            done[row["key"]] = row["metrics"]
        except (ValueError, KeyError, TypeError):
            continue  # the line that was being written when the sweep was stopped
    return done


def _append(path: Path, key: str, values: Set, metrics: dict[str, Any]) -> None:
    line = _text({"key": key, "set": values, "metrics": metrics}) + "\n"
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # cut short by a kill: that line is lost, not this one
                line = "\n" + line
        file.write(line.encode())
