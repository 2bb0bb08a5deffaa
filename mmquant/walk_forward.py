"""Windows in time: the best parameter set of each, measured in the time after it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mmquant._checks import number
from mmquant.backtest import TapeLike
from mmquant.backtest_metrics import ADDED
from mmquant.sweep_tasks import Set, Task, Work, done_of

if TYPE_CHECKING:
    import pandas

__all__ = ["WalkForward", "Window", "check_metric", "measure_windows", "windows_of"]

_S = 1_000_000_000
_MAX_S = 1e8
_MAX_WINDOWS = 10_000


class Window(NamedTuple):
    """A training window [start, split) and the test window [split, end) behind it."""

    start_ns: int
    split_ns: int
    end_ns: int


@dataclass(frozen=True)
class WalkForward:
    """What a walk through time came to.

    Attributes
    ----------
    frame : DataFrame
        A row a window: `train_start`, `test_start`, `test_end`; the values of the set chosen;
        `in_sample` and `out_of_sample`, the metric of that set in both; `in_sample_median`, of
        all sets; then every metric of the set chosen as `train.<name>` and `test.<name>`. NaN
        where a window had nothing to choose from (no event, or no finite metric).
    metric : str
    sets : int
        How many there were to choose from.
    """

    frame: "pandas.DataFrame"
    metric: str
    sets: int

    @property
    def measured(self) -> "pandas.DataFrame":
        """Both figures of the windows that have both."""
        return self.frame[["in_sample", "out_of_sample"]].dropna()

    @property
    def in_sample(self) -> float:
        """Mean over the windows of the metric of the set chosen, where it was chosen."""
        return float(self.measured["in_sample"].mean())

    @property
    def out_of_sample(self) -> float:
        """Mean over the windows of the metric of the set chosen, in the time after."""
        return float(self.measured["out_of_sample"].mean())

    @property
    def error(self) -> float:
        """Standard error of `out_of_sample`, windows independent; NaN below two."""
        values = self.measured["out_of_sample"]
        return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan

    @property
    def survives(self) -> float:
        """`out_of_sample` / `in_sample`; NaN where the latter is not positive: no gain to lose."""
        before = self.in_sample
        return self.out_of_sample / before if before > 0.0 else math.nan

    def summary(self) -> str:
        """Return in words how much of the in-sample figure survives."""
        n, measured = len(self.frame), len(self.measured)
        lines = [f"walk forward: {n} windows, {self.sets} sets, best by {self.metric}"]
        if measured < n:
            lines.append(f"{n - measured} windows had nothing to choose or to measure")
        if not measured:
            return "\n".join(lines)
        better = int((self.measured["out_of_sample"] > 0.0).sum())
        lines += [
            f"in sample      {self.in_sample:.6g} (chosen; median of all sets "
            f"{float(self.frame['in_sample_median'].mean()):.6g})",
            f"out of sample  {self.out_of_sample:.6g} +/- {self.error:.2g}, "
            f"positive in {better} of {measured} windows",
        ]
        if math.isnan(self.survives):
            lines.append("survives       no share: the in-sample figure is not positive")
        else:
            lines.append(f"survives       {self.survives:.0%} of the in-sample figure")
        if measured < 10:
            lines.append(f"{measured} windows are few: the error itself is uncertain")
        return "\n".join(lines)


def check_metric(metric: str, train_s: float, test_s: float) -> None:
    """Refuse a sum over windows of unequal lengths."""
    if metric in ADDED and train_s != test_s:
        raise ValueError(
            f"metric must not be a sum where train_s and test_s differ, got {metric!r} with "
            f"{train_s} and {test_s}: take a rate such as net_per_hour, or equal lengths"
        )


def windows_of(tape: TapeLike, train_s: float, test_s: float, step_s: float | None) -> list[Window]:
    """Return the windows that fit into the tape, the first from its first event on.

    Raises
    ------
    ValueError
        None fits, or tests would overlap.
    """
    train_ns = round(number("train_s", train_s, 1e-3, _MAX_S) * _S)
    test_ns = round(number("test_s", test_s, 1e-3, _MAX_S) * _S)
    step = test_s if step_s is None else number("step_s", step_s, 1e-3, _MAX_S)
    if step < test_s:
        raise ValueError(
            f"step_s must be at least test_s = {test_s}, got {step_s}: no time is tested twice"
        )
    step_ns = round(step * _S)
    times = tape.events["received_ns"]
    begin, behind = (int(times[0]), int(times[-1]) + 1) if times.size else (0, 0)
    if behind - begin < train_ns + test_ns:
        raise ValueError(
            f"train_s + test_s must fit into the tape's {(behind - begin) / _S:.6g} s, got "
            f"{train_s} + {test_s}: take shorter windows or a longer tape"
        )
    count = (behind - begin - train_ns - test_ns) // step_ns + 1
    if count > _MAX_WINDOWS:
        raise ValueError(f"step_s must give at most {_MAX_WINDOWS} windows, got {count}")
    starts = [begin + k * step_ns for k in range(count)]
    return [Window(at, at + train_ns, at + train_ns + test_ns) for at in starts]


def measure_windows(
    work: Work,
    sets: Sequence[Set],
    windows: Sequence[Window],
    metric: str,
    lowest: bool,
    told: Callable[[int], None],
) -> WalkForward:
    """Backtest every set in every training window, then each window's best in its test window."""
    import pandas

    tasks = [Task((w.start_ns, w.split_ns), values) for w in windows for values in sets]
    trained = done_of(work, tasks, told)
    _check_known(trained, metric)
    n = len(sets)
    rows: list[dict[str, Any]] = []
    chosen: list[tuple[int, Set]] = []
    for k, window in enumerate(windows):
        every = trained[k * n : (k + 1) * n]
        figures = np.array([float(metrics.get(metric, math.nan)) for metrics in every])
        row: dict[str, Any] = {
            "train_start": pandas.Timestamp(window.start_ns, tz="UTC"),
            "test_start": pandas.Timestamp(window.split_ns, tz="UTC"),
            "test_end": pandas.Timestamp(window.end_ns, tz="UTC"),
        }
        rows.append(row)
        finite = np.isfinite(figures)
        if not finite.any():
            continue
        worst = math.inf if lowest else -math.inf
        ranked = np.where(finite, figures, worst)
        best = int(ranked.argmin() if lowest else ranked.argmax())
        chosen.append((k, sets[best]))
        row.update(sets[best])
        row["in_sample"] = float(figures[best])
        row["in_sample_median"] = float(np.median(figures[finite]))
        row.update({f"train.{name}": value for name, value in every[best].items()})
    tests = [Task((windows[k].split_ns, windows[k].end_ns), values) for k, values in chosen]
    before = len(tasks)
    tested = done_of(work, tests, lambda done: told(before + done))
    for (k, _), metrics in zip(chosen, tested, strict=True):
        rows[k]["out_of_sample"] = float(metrics.get(metric, math.nan))
        rows[k].update({f"test.{name}": value for name, value in metrics.items()})
    return WalkForward(_frame(rows, sets), metric, n)


def _check_known(trained: Sequence[dict[str, Any]], metric: str) -> None:
    names = {name for metrics in trained for name in metrics} - {"hash"}
    if names and metric not in names:
        known = ", ".join(sorted(names))
        raise ValueError(f"metric must be one that a window has, got {metric!r}: one of {known}")


def _frame(rows: list[dict[str, Any]], sets: Sequence[Set]) -> "pandas.DataFrame":
    import pandas

    frame = pandas.DataFrame(rows)
    names = list(dict.fromkeys(name for values in sets for name in values))
    first = ["train_start", "test_start", "test_end", *names]
    first += ["in_sample", "in_sample_median", "out_of_sample"]
    others = [name for name in frame.columns if name not in first]
    return frame.reindex(columns=first + others)
