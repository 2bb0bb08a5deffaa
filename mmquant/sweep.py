"""tape + parameter sets -> a table of metrics, and of what holds in the time after.

Each process maps the tape once and compiles nothing that is in the cache. What is done is appended
to a file at once, a line a set, so that a sweep that was stopped goes on where it was.
"""

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmquant._checks import whole
from mmquant.backtest import Config, TapeLike
from mmquant.backtest_tape import check_kind
from mmquant.sweep_tasks import SECTIONS, Set, Task, Work, done_of
from mmquant.walk_forward import WalkForward, check_metric, measure_windows, windows_of

if TYPE_CHECKING:
    import pandas

__all__ = ["WalkForward", "grid", "random", "run", "walk_forward"]


def grid(**values: Sequence[Any]) -> list[Set]:
    """Return every combination of values, a dict a set.

    A name is `<file>__<key>`, tables of the file by further `__`:
    `grid(strategy__requote_ticks=[1, 4], strategy__gates__pause_s=[5.0, 10.0])`.

    Raises
    ------
    TypeError, ValueError
        A name that is none of these, or one value where a list of them must stand.
    """
    names = [_key(name) for name in values]
    for name, listed in values.items():
        if isinstance(listed, str | Mapping) or not isinstance(listed, Iterable):
            raise TypeError(f"{name} must be a list of values, got {listed!r}: write [{listed!r}]")
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
    if section not in SECTIONS or not rest:
        raise ValueError(
            f"names must be <file>__<key> with one of {', '.join(SECTIONS)}, got {name!r}"
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
    client: Any = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> "pandas.DataFrame":
    """Backtest every set; return a row a set in their order: its values, then its metrics.

    Parameters
    ----------
    tape : mmquant.tape.Tape
    sets : sequence of dict
        From `grid` or `random`, or dicts such as `{"strategy.requote_ticks": 4}`. The model is a
        value like any other, `strategy.model`: another one than the shared one takes the
        set's `strategy.model_parameters.<name>` alone, else its own defaults.
    config, model
        As of mmquant.backtest.run, shared by all sets that do not say otherwise.
    results : path, optional
        File to append to, and to take from what was done before on the same tape.
    processes : int, optional
        All cores when left out; 1 stays in this process.
    client : distributed.Client, optional
        A Dask cluster in place of processes here (`mmquant[cluster]`). The tape must be mapped
        from a folder that every worker sees; a worker that is lost costs its set once more.
    on_progress : function, optional
        Told how many are done of how many, in place of a bar.

    Returns
    -------
    DataFrame

    Warns
    -----
    UserWarning
        Where a set's model answered no number for a while, its column `no_number_s`.

    Raises
    ------
    TypeError, ValueError
        What backtest.run raises, of the first set that is wrong.
    """
    import pandas

    work = _work(tape, sets, config, model, results, processes, client)
    with _told("sweep", on_progress, len(sets)) as told:
        done = done_of(work, [Task(None, values) for values in sets], told)
    blind = [values for values, m in zip(sets, done, strict=True) if m.get("no_number_s", 0.0) > 0]
    if blind:
        warnings.warn(
            f"the model answered prices that are no numbers in {len(blind)} of {len(sets)} sets "
            f"(column no_number_s: for how long), the first is {blind[0]}: nothing is quoted then; "
            "backtest that set, its summary says since when",
            stacklevel=2,
        )
    rows = [{**values, **metrics} for values, metrics in zip(sets, done, strict=True)]
    return pandas.DataFrame(rows)


def walk_forward(
    tape: TapeLike,
    sets: Sequence[Set],
    *,
    train_s: float,
    test_s: float,
    step_s: float | None = None,
    metric: str = "net_per_hour",
    lowest: bool = False,
    config: Config | None = None,
    model: Callable[..., int] | str | None = None,
    results: Path | str | None = None,
    processes: int | None = None,
    client: Any = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> WalkForward:
    """Choose the best set in each training window; measure it in the time right after.

    Every window begins with the book as it stood, without orders, position or estimates: what
    pricing.toml's `warmup_s` takes is part of it.

    Parameters
    ----------
    tape : mmquant.tape.Tape
    sets : sequence of dict
        As of `run`. Of equal ones in a window the first is chosen.
    train_s, test_s : float
        Length of a training window, and of the test window behind it.
    step_s : float, optional
        From one training window's begin to the next one's; `test_s` when left out, and no less,
        so that no time is tested twice.
    metric : str
        A name of `result.metrics()`. Sums, such as net_profit, need `train_s` = `test_s`.
    lowest : bool
        Whether the lowest value is the best.
    config, model, results, processes, client
        As of `run`.
    on_progress : function, optional
        Told how many backtests are done of how many, in place of a bar.

    Returns
    -------
    WalkForward
        `frame` has a row a window; `summary()` says how much of the in-sample figure survives.

    Raises
    ------
    TypeError, ValueError
        A wrong argument, a tape shorter than one training and one test window, a metric that
        the backtests do not have, or what backtest.run raises.
    """
    work = _work(tape, sets, config, model, results, processes, client)
    check_metric(metric, train_s, test_s)
    windows = windows_of(tape, train_s, test_s, step_s)
    total = len(windows) * (len(sets) + 1)
    with _told("walk forward", on_progress, total) as told:
        return measure_windows(work, sets, windows, metric, lowest, told)


def _work(
    tape: TapeLike,
    sets: Sequence[Set],
    config: Config | None,
    model: Callable[..., int] | str | None,
    results: Path | str | None,
    processes: int | None,
    client: Any,
) -> Work:
    check_kind(tape)
    if not sets:
        raise ValueError("sets must hold at least one, got none: make them with sweep.grid")
    path = None if results is None else Path(results)
    return Work(tape, config or Config(), model, path, processes, client)


@contextmanager
def _told(
    title: str, on_progress: Callable[[int, int], None] | None, total: int
) -> Iterator[Callable[[int], None]]:
    """Give who is told how many are done: the caller's function, or a bar."""
    if on_progress is not None:
        yield lambda done: on_progress(done, total)
        return
    from mmquant.tape.progress import Progress

    with Progress(title, total) as bar:
        yield lambda done: bar.advance(done - bar.done)
