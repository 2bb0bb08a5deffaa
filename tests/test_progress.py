"""The bar of what takes long: where someone looks, after a moment, gone at the end."""

import io
from types import SimpleNamespace

import pytest
from small_tape import make_tape

from mmquant import backtest, sweep, sweep_tasks
from mmquant.tape import progress
from mmquant.tape.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    return clock


@pytest.fixture
def terminal(monkeypatch):
    return stderr(monkeypatch, Terminal())


def stderr(monkeypatch, out):
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=out))
    return out


def drawn(terminal):
    shown = [text.rstrip() for text in terminal.getvalue().split("\r")[1:]]
    return shown[:-1] if shown[-2:] == ["", ""] else shown  # wiped with spaces, and back


def test_a_bar_shows_share_and_time_left_and_goes(clock, terminal):
    with Progress("reading", 200) as bar:
        clock.now_s += 0.4
        bar.advance(20)  # what is over soon needs no bar
        assert drawn(terminal) == []
        clock.now_s += 0.6
        bar.advance(30)
        assert drawn(terminal) == ["reading [#######                       ]  25%, 3 s left"]
        bar.advance(10)  # at once after: not drawn again
        clock.now_s += 1.0
        bar.advance(240)
        assert bar.done == 300
    assert drawn(terminal)[1:] == [f"reading [{'#' * 30}] 100%, 0 s left", ""]


def test_of_an_unknown_length_nothing_is_claimed(clock, terminal):
    with Progress("reading", 0) as bar:
        clock.now_s += 9.0
        bar.advance(5)
    assert drawn(terminal) == [f"reading [{' ' * 30}]   0%, 0 s left", ""]


def test_it_shows_where_someone_looks_or_as_it_was_told(clock, terminal, monkeypatch):
    with Progress("reading", 10, shown=False) as bar:
        clock.now_s += 9.0
        bar.advance(5)
    assert terminal.getvalue() == ""
    with Progress("reading", 10, shown=True) as bar:
        clock.now_s += 0.01
        bar.advance(5)  # at once
    assert len(drawn(terminal)) == 2
    file = stderr(monkeypatch, io.StringIO())
    with Progress("reading", 10) as bar:
        clock.now_s += 9.0
        bar.advance(5)
    assert file.getvalue() == ""


def test_a_notebook_has_it_too_and_needs_no_escape_sequences(clock, monkeypatch):
    cell = stderr(
        monkeypatch, type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    )
    with Progress("reading", 10) as bar:
        clock.now_s += 9.0
        bar.advance(5)
    assert drawn(cell) == [f"reading [{'#' * 15:<30}]  50%, 9 s left", ""]
    assert "\x1b" not in cell.getvalue()


def test_a_backtest_has_a_bar_of_its_own(clock, terminal, monkeypatch):
    def slow(*arguments):
        clock.now_s += 1.0
        return compiled(*arguments)

    compiled = backtest.backtest_run
    monkeypatch.setattr(backtest, "backtest_run", slow)
    monkeypatch.setattr(backtest, "_ROWS_A_TURN", 5)
    tape = make_tape(10, symbols=("BTCUSDT", "ETHUSDT"))
    tape.events = tape.events[:10]
    backtest.run(tape)
    shown = [text.rpartition("] ")[2] for text in drawn(terminal)]
    assert shown == [" 25%, 3 s left", " 50%, 2 s left", " 75%, 1 s left", "100%, 0 s left", ""]
    assert drawn(terminal)[0].startswith("backtest [#######  ")
    told = []
    backtest.run(tape, on_progress=told.append)
    assert told == [0.25, 0.5, 0.75, 1.0]
    assert len(drawn(terminal)) == 5, "who is told has no bar"


@pytest.fixture
def slow(clock, monkeypatch):
    def metrics(*_):
        clock.now_s += 1.0
        return {"net_per_hour": 1.0}

    monkeypatch.setattr(sweep_tasks, "_metrics", metrics)


@pytest.mark.usefixtures("slow")
def test_a_sweep_has_a_bar_of_its_own(terminal):
    sweep.run(make_tape(10), [{}] * 4, processes=1)
    shown = [text.rpartition("] ")[2] for text in drawn(terminal)]
    assert shown == [" 25%, 3 s left", " 50%, 2 s left", " 75%, 1 s left", "100%, 0 s left", ""]
    assert drawn(terminal)[0].startswith("sweep [#######  ")


@pytest.mark.usefixtures("slow")
def test_who_is_told_of_a_sweep_has_no_bar(terminal):
    told = []
    sweep.run(make_tape(10), [{}, {}], processes=1, on_progress=lambda *at: told.append(at))
    assert told == [(1, 2), (2, 2)]
    assert terminal.getvalue() == ""
