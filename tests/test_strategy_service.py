"""The strategy service by itself, on a bus in memory: positions, settings, units and halts."""

import numpy as np
import pytest
from memory_bus import MemoryBus, SteppedClock
from mm_runtime.config import ConfigError
from mm_runtime.settings import AeronSettings, RuntimeSettings
from mm_strategy.latch import HALT_FILE
from mm_strategy.reload import ANSWER_FILE
from mm_strategy.service import build

from mmquant.codes import (
    BookState,
    PricingFlag,
    Reason,
    RiskState,
    Role,
    ServiceState,
    Stream,
    Template,
)
from mmquant.wire import Inbox, MessageBuffer

MS = 1_000_000
S = 1_000 * MS
PRICING = {"book_state": BookState.LIVE, "flags": int(PricingFlag.LIVE | PricingFlag.WARM)}
PRICING |= {"bid_ticks": 999, "ask_ticks": 1001, "fair_value_ticks": 1000.0}
PRICING |= {"volatility_ticks_per_sqrt_s": 1.0}
MOVED = {"bid_ticks": 1_009, "ask_ticks": 1_011, "fair_value_ticks": 1_010.0}
UPSTREAM = (Role.MM_COLLECTOR, Role.MM_PRICING, Role.MM_SIMULATOR)
UNITS = {"tick_size_e8": 10**7, "lot_size_e8": 10**5, "symbol": b"BTCUSDT"}


OWN_MODEL = """import numba
from sizes import HALF


@numba.njit
def quotes(inputs, params, out):
    out[0]["bid_ticks"] = inputs[0]["fair_value_ticks"] - HALF
    out[0]["ask_ticks"] = inputs[0]["fair_value_ticks"] + HALF
    return 0
"""


class StrategyBench:
    """Runs the service on the settings in `folder`; the test is everything round it."""

    def __init__(self, folder, when_blocked="conflate"):
        self.bus, self.clock, self.seq, self.inbox = MemoryBus(), SteppedClock(), 0, Inbox()
        self.quotes, self.words, self.var = [], [], folder / "var"
        heard = {Template.QUOTES: self._on_quotes}
        self.ears = [self.bus.subscriber(Stream.QUOTES, self.inbox, heard)]
        heard = {Template.STATE: self._on_state}
        self.ears.append(self.bus.subscriber(Stream.STATE, self.inbox, heard))
        aeron = AeronSettings(when_blocked=when_blocked)
        runtime = RuntimeSettings(state_directory=str(self.var), aeron=aeron)
        self.service = build(folder, runtime, self.clock)
        self.service.connect = self.bus.connect
        self.service.on_start()

    def _on_quotes(self):
        sides = [self.inbox.group(Template.QUOTES, side).tolist() for side in (0, 1)]
        self.quotes.append((self.inbox.block(Template.QUOTES)[0].copy(), *sides))

    def _on_state(self):
        self.words.append(self.inbox.block(Template.STATE)[0]["text"].decode())

    def send(self, stream, template, instrument_id=1, **values):
        message = MessageBuffer(template, (0,) if template is Template.HEARTBEAT else ())
        self.seq += 1
        said = {"seq": self.seq, "now_ns": self.clock.time_ns, "instrument_id": instrument_id}
        for name, value in (said | values).items():
            message.block[name] = value
        self.bus.publisher(stream, 1).offer(message)

    def instrument(self, instrument_id=1, **changes):
        self.send(Stream.STATE, Template.INSTRUMENT, instrument_id, **(UNITS | changes))

    def position(self, lots=0, instrument_id=1):
        self.send(Stream.POSITIONS, Template.POSITION, instrument_id, position_lots=lots)

    def pricing(self, instrument_id=1, **changes):
        book = {"book_update_id": self.seq}
        self.send(Stream.PRICING, Template.PRICING, instrument_id, **(PRICING | book | changes))

    def turn(self, wait_ns=0, simulator_lag_ns=0, silent=()):
        """Let time pass, with heartbeats; return the newest quotes message."""
        self.clock.time_ns += wait_ns
        for role in UPSTREAM:
            if role in silent:
                continue
            said = {"role": role, "state": ServiceState.READY}
            if role is Role.MM_SIMULATOR:
                said["lag_ns"] = simulator_lag_ns
            self.send(Stream.HEARTBEATS, Template.HEARTBEAT, 0, **said)
        self.service.do_work()
        for ear in self.ears:
            ear.poll(1_000)
        return self.quotes[-1][0] if self.quotes else None

    def quote(self):
        """Say what is needed to quote; return what is quoted."""
        self.instrument()
        self.position()
        self.turn()
        self.pricing()
        row = self.turn()
        assert row["reason"] == Reason.NONE, Reason(int(row["reason"])).name
        return self.quotes[-1][1:]


@pytest.fixture
def settings(tmp_path):
    """Return a function that writes strategy.toml."""

    def write(text="levels = 1\n"):
        (tmp_path / "strategy.toml").write_text(text)
        return tmp_path

    return write


def test_a_position_that_is_not_told_again_is_known_no_longer(settings):
    bench = StrategyBench(settings())
    bench.quote()
    for _ in range(2):
        bench.pricing()
        assert bench.turn(1_400 * MS)["reason"] == Reason.NONE
    assert bench.turn(300 * MS)["reason"] == Reason.NO_POSITION
    assert bench.quotes[-1][1:] == ([], [])
    bench.position()
    bench.pricing()
    assert bench.turn()["reason"] == Reason.NONE


def test_prices_that_come_as_the_position_grows_too_old_are_not_quoted_on(settings):
    bench = StrategyBench(settings())
    bench.quote()
    for told, reason in ((True, Reason.NONE), (False, Reason.NO_POSITION)):
        bench.pricing()
        bench.turn(2_900 * MS)
        count = len(bench.quotes)
        if told:
            bench.position()
        bench.pricing(**MOVED)
        bench.turn(200 * MS)
        assert {int(row["reason"]) for row, *_ in bench.quotes[count:]} == {reason}


@pytest.mark.parametrize("role", UPSTREAM)
def test_prices_that_come_as_a_heartbeat_is_missed_are_not_quoted_on(settings, role):
    bench = StrategyBench(settings())
    bench.quote()
    for silent, reason in (((), Reason.NONE), ((role,), Reason.UPSTREAM_SILENT)):
        bench.pricing()
        assert bench.turn()["reason"] == Reason.NONE
        count = len(bench.quotes)
        bench.pricing(**MOVED)
        bench.turn(1_100 * MS, silent=silent)
        assert {int(row["reason"]) for row, *_ in bench.quotes[count:]} == {reason}
    count = len(bench.quotes)
    bench.position()
    bench.pricing(**MOVED)  # heard with the heartbeat that is back: quoted on at once
    bench.turn()
    assert [int(row["reason"]) for row, *_ in bench.quotes[count:]] == [Reason.NONE]


def test_a_clock_that_goes_back_makes_no_position_young(settings):
    bench = StrategyBench(settings())
    bench.quote()
    assert bench.turn(-4 * S)["reason"] != Reason.NONE
    assert not bench.service._desks[1].inputs[0]["position_known"]


def test_in_a_replay_that_waits_no_position_is_too_old(settings):
    bench = StrategyBench(settings(), when_blocked="wait")
    bench.quote()
    bench.pricing()
    assert bench.turn(4 * S)["reason"] == Reason.NONE
    bench.pricing()
    assert bench.turn(simulator_lag_ns=3_600 * S)["reason"] == Reason.NONE


def test_quotes_are_pulled_from_one_heartbeat_of_a_late_simulator_to_the_next(settings):
    bench = StrategyBench(settings("levels = 1\n[gates]\nmax_simulator_lag_ms = 200\n"))
    bench.quote()
    count = len(bench.quotes)
    assert bench.turn(simulator_lag_ns=200 * MS)["reason"] == Reason.NONE
    assert bench.turn(simulator_lag_ns=200 * MS + 1)["reason"] == Reason.SIMULATOR_LAGS
    assert len(bench.quotes) == count + 1  # the very next message says so
    assert bench.quotes[-1][1:] == ([], [])
    assert bench.service.reason is Reason.SIMULATOR_LAGS
    assert bench.service.counters["not_quoting.simulator_lags"] == 1
    assert bench.turn()["reason"] == Reason.NONE
    count = len(bench.quotes)
    bench.pricing(**MOVED)
    assert bench.turn(simulator_lag_ns=200 * MS + 1)["reason"] == Reason.SIMULATOR_LAGS
    assert len(bench.quotes) == count + 1  # prices that came with the heartbeat are not quoted on
    bench.instrument(2)  # of which nothing was known when it began to lag
    bench.position(0, 2)
    bench.pricing(2)
    assert bench.turn(simulator_lag_ns=200 * MS + 1)["reason"] == Reason.SIMULATOR_LAGS
    assert bench.quotes[-1][0]["instrument_id"] == 2
    assert bench.turn(simulator_lag_ns=200 * MS)["reason"] == Reason.NONE
    assert bench.service.reason is Reason.NONE


def test_a_tick_that_changes_halts_and_everything_begins_anew(settings):
    bench = StrategyBench(settings())
    bench.quote()
    before = bench.service._desks[1].params.copy()
    bench.instrument(min_notional_e8=1)
    assert bench.turn()["reason"] == Reason.NONE  # a filter may change
    bench.instrument(tick_size_e8=2 * 10**7)
    row = bench.turn()
    assert (row["risk_state"], row["risk_reason"]) == (RiskState.HALTED, Reason.INSTRUMENT_CHANGED)
    assert bench.quotes[-1][1:] == ([], [])
    params = bench.service._desks[1].params
    assert 2 * params["max_open_tick_lots"][0] == before["max_open_tick_lots"][0]
    (bench.var / HALT_FILE).unlink()  # as `mm arm` does
    bench.instrument(tick_size_e8=2 * 10**7)
    assert bench.turn(20 * MS)["reason"] != Reason.NONE  # its position in the new lots is not known
    bench.position()
    bench.pricing()
    assert bench.turn()["reason"] == Reason.NONE


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ('levels = 1\nmodel = "glft2"\n', "model must be one of"),
        ("levels = 1\n[model_parameters]\nskew = 1\n", "parameters of skewed must be among"),
        ('levels = 1\nmodel = "nowhere_at_all:quotes"\n', "No module named"),
        ('levels = 1\norder_qty = "0.0105"\n', r"must be a multiple of the lot 0.001"),
        ("levels = 9\n", "levels: must be <= 5, got 9"),
    ],
)
def test_a_start_with_a_wrong_file_quotes_on_the_last_one_that_was_right(
    settings, wrong, complaint
):
    bench = StrategyBench(settings("levels = 2\n"))
    assert [len(side) for side in bench.quote()] == [2, 2]
    bench.service.on_close()
    bench = StrategyBench(settings(wrong))
    assert [len(side) for side in bench.quote()] == [2, 2]
    refused = [text for text in bench.words if text.startswith("settings refused, the last good")]
    assert len(refused) == 1
    assert complaint in bench.service._file.refused
    kept = (bench.var / "last_good" / "strategy.toml").read_text()
    assert kept == "levels = 2\n"
    bench.service.on_close()
    settings("levels = 3\n")
    bench.service.reload()
    assert bench.service._file.refused == ""


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("own.py", "def quotes(:\n", "SyntaxError"),
        ("own.py", "raise SystemExit('no')\n", "SystemExit: no"),
        ("own.py", "raise OSError('no disk')\n", "OSError: no disk"),
        ("own.py", "", "no function 'quotes'"),
        ("own.py", None, "No module named"),
        ("sizes.py", "HALF = missing\n", "NameError"),
    ],
)
def test_a_model_of_ones_own_that_breaks_is_quoted_as_it_was(
    settings, tmp_path, file, text, complaint
):
    (tmp_path / "own.py").write_text(OWN_MODEL)
    (tmp_path / "sizes.py").write_text("HALF = 3.0\n")
    settings('levels = 1\nmodel = "own:quotes"\n[model_parameters]\n')
    wanted = [[(997, 10)], [(1003, 10)]]
    bench = StrategyBench(tmp_path)
    assert list(bench.quote()) == wanted
    if text is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(text)
    bench.service.reload()  # the running service goes on, and says why
    assert bench.service.counters["settings_refused"] == 1
    bench.pricing()
    assert bench.turn(600 * MS)["reason"] == Reason.NONE
    assert list(bench.quotes[-1][1:]) == wanted
    assert any("old ones stay" in words for words in bench.words)
    assert complaint in (bench.var / ANSWER_FILE).read_text()
    for _ in range(2):  # and so does every one that starts
        bench.service.on_close()
        bench = StrategyBench(tmp_path)
        assert list(bench.quote()) == wanted
        assert complaint in bench.service._file.refused
        assert any(words.startswith("settings refused, the last good") for words in bench.words)
    (tmp_path / "own.py").write_text(OWN_MODEL)
    (tmp_path / "sizes.py").write_text("HALF = 8.0\n")
    bench.service.reload()
    assert bench.service._file.refused == ""
    bench.pricing(fair_value_ticks=1000.5)
    bench.turn(600 * MS)
    assert list(bench.quotes[-1][1:]) == [[(992, 10)], [(1009, 10)]]


def test_a_start_with_a_wrong_file_takes_the_own_model_that_was_with_the_right_one(
    settings, tmp_path
):
    (tmp_path / "own.py").write_text(OWN_MODEL)
    (tmp_path / "sizes.py").write_text("HALF = 3.0\n")
    bench = StrategyBench(settings('levels = 1\nmodel = "own:quotes"\n[model_parameters]\n'))
    bench.quote()
    bench.service.on_close()
    (tmp_path / "sizes.py").write_text("HALF = 4.0\n")
    assert list(StrategyBench(settings("levels = 9\n")).quote()) == [[(997, 10)], [(1003, 10)]]
    kept = tmp_path / "var" / "last_good" / "modules"
    assert sorted(path.name for path in kept.iterdir()) == ["own.py", "sizes.py"]
    StrategyBench(settings("levels = 2\n")).quote()  # a model of the library needs no files
    assert not kept.exists()


def test_without_a_right_file_a_wrong_model_does_not_start(settings):
    with pytest.raises(ConfigError, match="model must be one of"):
        StrategyBench(settings('model = "glft2"\n'))


def test_a_halt_is_kept_whatever_else_has_changed_before(settings):
    bench = StrategyBench(settings())
    bench.quote()
    desk = bench.service._desks[1]
    desk.state[0]["halt_reason"] = Reason.DRAWDOWN
    desk.state[0]["risk_state"], desk.state[0]["risk_reason"] = RiskState.HALTED, Reason.DRAWDOWN
    desk.state[0]["reason"] = Reason.DRAWDOWN
    desk.state[0]["qty_lots"] = desk.state[0]["price_ticks"] = 0
    bench.turn(20 * MS)
    assert (bench.var / HALT_FILE).exists()


def test_quotes_are_pulled_before_a_kill_is_written_down(settings, monkeypatch):
    bench = StrategyBench(settings())
    bench.quote()
    order = []
    monkeypatch.setattr(bench.service._latch, "close", lambda *_: order.append("written"))
    offer = bench.service._out.offer
    monkeypatch.setattr(
        bench.service._out, "offer", lambda message: order.append("pulled") or offer(message)
    )
    bench.service.kill_asked = True
    assert bench.turn()["risk_reason"] == Reason.KILLED
    assert order == ["pulled", "written"]


def test_each_time_a_side_is_left_out_its_reason_is_counted(settings):
    bench = StrategyBench(settings('levels = 1\nposition_limit_qty = "0.010"\n'))
    bench.quote()
    counters = bench.service.counters
    for lots, told in ((10, 1), (10, 1), (0, 1), (10, 2)):
        bench.position(lots)
        bench.turn(600 * MS)
        assert counters["side_not_quoting.inventory_limit"] == told
    assert counters["not_quoting.inventory_limit"] == 0


def test_one_instrument_is_pulled_while_the_other_is_quoted(settings):
    bench = StrategyBench(settings())
    bench.quote()
    bench.instrument(2)
    bench.position(0, 2)
    bench.turn()
    bench.pricing(2)
    bench.turn()
    bench.pricing(2, book_state=BookState.GAP)
    bench.pricing(1, fair_value_ticks=1001.0)
    bench.turn()
    last = {int(row["instrument_id"]): (int(row["reason"]), bids) for row, bids, _ in bench.quotes}
    assert last[1][0] == Reason.NONE
    assert np.size(last[1][1]) > 0
    assert last[2] == (Reason.BOOK_NOT_LIVE, [])
