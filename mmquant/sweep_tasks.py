"""(window of a tape, parameter set) -> metrics: on all cores or a cluster, resumable.

A worker on this machine is a copy of this process, which has the tape already. A worker of a
cluster maps the tape from its folder once; a task carries the set and the settings, no data.
"""

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmquant import backtest
from mmquant._checks import whole
from mmquant.backtest import Config, TapeLike
from mmquant.sweep_keys import data_digest, settings_digest, task_key
from mmquant.sweep_workers import WorkerLost, run_forked

__all__ = ["SECTIONS", "Set", "Task", "Work", "done_of"]

SECTIONS = ("strategy", "pricing", "simulator")
_MAX_PROCESSES = 1024
Set = dict[str, Any]
_here: dict[str, Any] = {}  # of a process: what all its tasks share, and the window it cut last


class Task(NamedTuple):
    """One backtest: the part of the tape received in [start, end), all of it for None."""

    window_ns: tuple[int, int] | None
    values: Set


@dataclass(frozen=True)
class Work:
    """What all tasks share, and where and how they are run.

    Attributes
    ----------
    tape, config, model
        As of mmquant.backtest.run.
    results : path or None
        File to append to, and to take from what was done before.
    processes : int or None
        All cores for None.
    client : distributed.Client or None
        A cluster in place of processes here.
    """

    tape: TapeLike
    config: Config
    model: Callable[..., int] | str | None
    results: Path | None
    processes: int | None
    client: Any


def done_of(work: Work, tasks: Sequence[Task], told: Callable[[int], None]) -> list[dict[str, Any]]:
    """Return the metrics of every task, in their order; `told` hears how many are done.

    Raises
    ------
    TypeError, ValueError
        What backtest.run raises, of the first task that is wrong.
    RuntimeError
        A process was killed: which set it was at. What was done before is in `results`.
    """
    data = data_digest(work.tape)
    base = settings_digest(data, work.config, work.model)
    keys = [task_key(base, task.window_ns, task.values, work.config.folder) for task in tasks]
    done = {} if work.results is None else _read(work.results)
    left = [i for i, key in enumerate(keys) if key not in done]
    finished = len(tasks) - len(left)
    for i, metrics in _metrics_of(work, data, tasks, left):
        done[keys[i]] = metrics
        if work.results is not None:
            _append(work.results, keys[i], tasks[i], metrics)
        finished += 1
        told(finished)
    return [done[key] for key in keys]


def _metrics_of(
    work: Work, data: str, tasks: Sequence[Task], left: Sequence[int]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield number and metrics of each task of `left`, as they come."""
    numbered = [(i, tasks[i]) for i in left]
    if work.client is not None:
        yield from _on_cluster(work, data, numbered)
        return
    cores = whole("processes", work.processes or os.cpu_count() or 1, 1, _MAX_PROCESSES)
    count = min(len(left), cores)
    _here.clear()
    _here.update(tape=work.tape, config=work.config, model=work.model)
    try:
        if count <= 1:
            for task in numbered:
                yield _one_here(task)
            return
        yield from run_forked(_one_here, numbered, count)
    except WorkerLost as lost:
        raise RuntimeError(
            f"the process that ran the set {lost.task[1].values} was lost (exit code "
            f"{lost.exit_code}): was it killed, or the memory full? Fewer processes= need less; "
            "with results= the same call goes on where it was"
        ) from lost
    finally:
        _here.clear()


def _one_here(numbered: tuple[int, Task]) -> tuple[int, dict[str, Any]]:
    i, task = numbered
    if _here.get("window_ns", None) != task.window_ns or "part" not in _here:
        _here.update(part=_part(_here["tape"], task.window_ns), window_ns=task.window_ns)
    return i, _metrics(_here["part"], _here["config"], _here["model"], task)


def _part(tape: Any, window_ns: tuple[int, int] | None) -> TapeLike:
    part: TapeLike = tape if window_ns is None else tape.slice(*window_ns)
    return part


def _metrics(tape: TapeLike, config: Config, model: Any, task: Task) -> dict[str, Any]:
    """Return the metrics of one set; none at all where its window holds no event."""
    changes: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for key, value in task.values.items():
        section, _, rest = key.partition(".")
        if section not in changes:
            raise ValueError(f"sets must have keys <file>.<key>, got {key!r}")
        changes[section][rest] = value
    own = changes["strategy"]
    if "model" in own:
        shared = config.strategy["model"] if model is None else model
        if own["model"] != shared:  # whose parameters are not this one's
            changes["strategy"] = {"model_parameters": {}, **own}
        model = None
    changed = config.changed(**changes)
    if task.window_ns is not None and tape.events.size == 0:
        return {}
    parameters = None if model is None else changed.strategy["model_parameters"]
    result = backtest.run(
        tape,
        config=changed,
        model=model,
        model_parameters=parameters,
        on_progress=lambda share: None,  # the sweep tells how far it is
    )
    return {**result.metrics(), "hash": result.hash}


# a cluster


def _on_cluster(
    work: Work, data: str, numbered: Sequence[tuple[int, Task]]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Let the workers of a dask.distributed client do the tasks; what a lost one had is redone."""
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise ImportError("client needs distributed: pip install 'mmquant[cluster]'") from None
    if not isinstance(work.client, Client):
        raise TypeError(f"client must be a distributed.Client, got {work.client!r}: make one")
    client: Any = work.client  # distributed has no types
    folder = str(_folder_of(work.tape))
    futures = {
        work.client.submit(_one_there, folder, data, work.config, work.model, task, pure=False): i
        for i, task in numbered
    }
    try:
        for future in as_completed(futures):  # type: ignore[no-untyped-call]
            yield futures[future], future.result()
    finally:
        client.cancel(list(futures))


def _folder_of(tape: TapeLike) -> Path:
    """Return the folder that the whole tape is mapped from."""
    folders = set()
    for array in (tape.events, tape.levels):
        mapped: Any = array
        while mapped is not None and not isinstance(mapped, np.memmap):
            mapped = getattr(mapped, "base", None)
        if mapped is None or mapped.size != array.size or mapped.filename is None:
            raise ValueError(
                "tape must be mapped from its folder where a client is given, got one in memory: "
                'tape.save("x.tape") where the workers see it, then mmquant.read_tape("x.tape")'
            )
        folders.add(Path(mapped.filename).resolve().parent)
    (folder,) = folders
    return folder


def _one_there(folder: str, data: str, config: Config, model: Any, task: Task) -> dict[str, Any]:
    return _metrics(_part_there(folder, data, task.window_ns), config, model, task)


@lru_cache(maxsize=1)
def _tape_there(folder: str, data: str) -> TapeLike:
    """Return the tape of a folder, mapped once a worker; it must be the sender's."""
    from mmquant.tape import read_tape

    tape = read_tape(folder)
    if data_digest(tape) != data:
        raise ValueError(
            f"{folder}: not the tape that was given (changed since, or another machine's): "
            "save it once more where every worker sees it, and read it from there"
        )
    return tape


@lru_cache(maxsize=1)
def _part_there(folder: str, data: str, window_ns: tuple[int, int] | None) -> TapeLike:
    return _part(_tape_there(folder, data), window_ns)


# the file of results


def _name(value: Any) -> str:
    """Return what a value that JSON does not know is told by: a function, such as a model."""
    return str(getattr(value, "__qualname__", value))


def _read(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    done = {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        try:
            row = json.loads(line)
            metrics = row["metrics"].items()
            done[row["key"]] = {name: math.nan if v is None else v for name, v in metrics}
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # the line that was being written when the sweep was stopped
    if not done and len(lines) > 1:
        raise ValueError(
            f"results must be a file of a sweep, {path} is another: name one that is not there yet"
        )
    return done


def _is_missing(value: Any) -> bool:
    """Tell whether it is a number that JSON does not have."""
    return isinstance(value, float) and not math.isfinite(value)


def _append(path: Path, key: str, task: Task, metrics: dict[str, Any]) -> None:
    known = {name: None if _is_missing(value) else value for name, value in metrics.items()}
    told: dict[str, Any] = {"key": key, "set": task.values, "metrics": known}
    if task.window_ns is not None:
        told["window_ns"] = task.window_ns
    line = json.dumps(told, default=_name) + "\n"  # in the metrics' own order, as a run gives them
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # cut short by a kill: that line is lost, not this one
                line = "\n" + line
        file.write(line.encode())
