"""mm_strategy's parts without a media driver: the halt, the settings, models, open orders."""

import os
import tomllib

import numba
import numpy as np
import pytest
from mm_cli.control import arm, kill
from mm_cli.restarts import Restarts
from mm_cli.runs import announce_run, forget_run, state_directory
from mm_cli.why import clamp_words, collect
from mm_runtime.config import ConfigError
from mm_runtime.settings import RuntimeSettings, StrategySettings
from mm_strategy.desk import Desk, desk_params, load_model
from mm_strategy.latch import HALT_FILE, Latch
from mm_strategy.reload import LastGood, ReloadRequests
from own_model import code_block
from strategy_bench import Bench

from mmquant.codes import QuoteClamp, Reason
from mmquant.records import INSTRUMENT

MS = 1_000_000


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Give settings whose state directory is a folder of the test's own."""
    monkeypatch.setenv("MM_RUNTIME__STATE_DIRECTORY", str(tmp_path / "var"))
    config = tmp_path / "config"
    config.mkdir()
    (config / "runtime.toml").write_text("")
    (config / "strategy.toml").write_text("levels = 2\n")
    return tmp_path


def btcusdt():
    instrument = np.zeros(1, INSTRUMENT)
    row = instrument[0]
    row["instrument_id"], row["tick_size_e8"], row["lot_size_e8"] = 1, 10**7, 10**5
    return instrument


def test_kill_makes_the_file_that_the_strategy_sees_and_arm_takes_it_away(folder):
    latch = Latch(folder / "var")
    assert not latch.look(0)
    assert "stands until `mm arm`" in kill(folder / "config", "a test")
    assert not latch.look(MS - 1)  # not looked at more than once a millisecond
    assert latch.look(MS)
    assert latch.reason is Reason.KILLED
    assert not latch.look(2 * MS)
    assert "by KILLED (a test)" in kill(folder / "config", "again")
    assert "by KILLED (a test)" in arm(folder / "config")
    assert latch.look(3 * MS)
    assert latch.reason is Reason.NONE
    assert "nothing is halted" in arm(folder / "config")


def test_a_halt_is_there_for_the_next_process_whatever_the_file_says(tmp_path):
    Latch(tmp_path).close(Reason.SESSION_LOSS, "lost", 5)
    later = Latch(tmp_path)
    assert later.look(0)
    assert later.reason is Reason.SESSION_LOSS
    for content in (b"", b"[]", b'{"code": 0}', b'{"code": 9999}'):
        (tmp_path / HALT_FILE).write_bytes(content)
        later = Latch(tmp_path)
        assert later.look(0)
        assert later.reason is Reason.KILLED


def test_a_halt_that_cannot_be_written_holds_and_is_written_later(tmp_path):
    latch = Latch(tmp_path / "var")
    (tmp_path / "var").rmdir()
    with pytest.raises(OSError, match="No such file"):
        latch.close(Reason.DRAWDOWN, "lost", 5)
    assert not latch.look(0)
    assert latch.reason is Reason.DRAWDOWN
    (tmp_path / "var").mkdir()
    assert not latch.look(MS)
    assert (tmp_path / "var" / HALT_FILE).exists()
    (tmp_path / "var" / HALT_FILE).unlink()
    assert latch.look(2 * MS)
    assert latch.reason is Reason.NONE


def test_a_file_that_cannot_be_looked_for_halts_until_it_is_taken_away(tmp_path, monkeypatch):
    latch = Latch(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr("os.stat", lambda path: (_ for _ in ()).throw(PermissionError(path)))
        assert latch.look(0)
    assert latch.reason is Reason.KILLED
    assert not latch.look(MS)  # the disk is well again, and there is no file: it is made
    assert not latch.look(2 * MS)
    assert latch.reason is Reason.KILLED
    assert (tmp_path / HALT_FILE).exists()
    (tmp_path / HALT_FILE).unlink()
    assert latch.look(3 * MS)
    assert latch.reason is Reason.NONE


def test_a_halt_is_on_the_disk_before_it_is_said_to_stand(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(
        "os.fsync", lambda file: synced.append(os.readlink(f"/proc/self/fd/{file}"))
    )
    Latch(tmp_path).close(Reason.DRAWDOWN, "lost", 5)
    assert synced == [str(tmp_path / HALT_FILE).replace(".json", ".part"), str(tmp_path)]


def test_the_commands_find_the_state_of_a_run_that_lives(folder):
    settings = RuntimeSettings(state_directory=str(folder / "var"))
    assert state_directory(settings) == folder / "var"
    announce_run(settings, folder / "var" / "demo")
    assert state_directory(settings) == folder / "var" / "demo"
    forget_run(settings)
    assert state_directory(settings) == folder / "var"


def test_a_request_is_answered_once(tmp_path):
    requests = ReloadRequests(tmp_path)
    assert not requests.is_there(0)
    (tmp_path / "mm_strategy.restart").touch()
    assert not requests.is_there(10 * MS)
    assert requests.is_there(20 * MS)
    assert not requests.is_there(40 * MS)
    (tmp_path / "mm_strategy.restart").touch()
    assert ReloadRequests(tmp_path).is_there(0), "one that was made while nobody looked"


def test_the_launcher_refuses_a_service_whose_settings_are_wrong(tmp_path):
    def wrong():
        raise ConfigError("pricing.toml: no")

    restarts = Restarts(tmp_path, {"mm_pricing": wrong, "mm_simulator": lambda: None})
    assert restarts.due() == []
    (tmp_path / "mm_pricing.restart").touch()
    (tmp_path / "mm_simulator.restart").touch()
    assert restarts.due() == ["mm_simulator"]
    assert b"pricing.toml: no" in (tmp_path / "mm_pricing.restarted.json").read_bytes()
    assert restarts.due() == []


def test_a_wrong_file_is_replaced_by_the_last_good_one(folder):
    file = LastGood(folder / "config", folder / "var")
    assert file.read_or_recall().levels == 2
    (folder / "config" / "strategy.toml").write_text("levels = 9\n")
    with pytest.raises(ConfigError, match="levels: must be <= 5, got 9"):
        file.read_or_recall()  # none has been kept yet
    (folder / "config" / "strategy.toml").write_text("levels = 3\n")
    assert file.read().levels == 3
    (folder / "config" / "strategy.toml").write_text("levels = 9\n")
    file.keep({})  # as it was read, not as it is by now
    assert file.read_or_recall().levels == 3
    assert "levels: must be <= 5, got 9" in file.refused
    with pytest.raises(ConfigError):
        file.read()


def test_what_proved_wrong_after_it_was_read_is_not_kept(folder):
    file = LastGood(folder / "config", folder / "var")
    file.read()
    file.forget()
    file.keep({})
    with pytest.raises(ConfigError, match="no such model"):
        file.recall("no such model")
    assert file.refused == ""


def test_settings_become_ticks_lots_and_nanoseconds():
    config = StrategySettings(soft_limit=0.5)
    params = desk_params(config, btcusdt(), lag_matters=True)[0]
    # A tick times a lot is 0.0001 of the quote asset.
    assert params["max_session_loss_half_tick_lots"] == 1_000 * 2 * 10_000
    assert params["max_open_tick_lots"] == 100_000 * 10_000
    assert (params["order_lots"], params["position_limit_lots"]) == (10, 100)
    assert (params["soft_limit_lots"], params["collar_ppm"]) == (50, 10_000)
    assert (params["order_ns"], params["order_burst_ns"]) == (66_666_667, 150 * 66_666_667)
    assert params["max_lag_ns"] == 1_000 * MS
    assert desk_params(config, btcusdt(), lag_matters=False)[0]["max_lag_ns"] == 2**60


@pytest.mark.parametrize(
    ("name", "values", "complaint"),
    [
        ("glft2", {}, "model must be one of skewed, "),
        ("skewed", {"skew": 1}, "parameters of skewed must be among"),
        ("nowhere_at_all:quotes", {}, "No module named 'nowhere_at_all'"),
        pytest.param(  # interpreted, no decorated function can be told from a plain one
            "own:plain",
            {},
            "must be a function decorated with",
            marks=pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled"),
        ),
        ("own:none", {}, "has no function 'none'"),
        ("own_wrong:quotes", {}, "SyntaxError: .* was never closed"),
        ("own:plain", {"a": float("nan")}, "model_parameters must be finite"),
    ],
)
def test_a_model_that_cannot_be_had_is_said(tmp_path, name, values, complaint):
    (tmp_path / "own.py").write_text("def plain(inputs, params, out):\n    return 0\n")
    (tmp_path / "own_wrong.py").write_text("def quotes(\n")
    with pytest.raises(ConfigError, match=complaint):
        load_model(name, values, tmp_path)


def test_the_documented_model_quotes_as_it_says(tmp_path):
    (tmp_path / "my_models.py").write_text(code_block("own-model", "python"))
    settings = tomllib.loads(code_block("own-model", "toml"))
    model = load_model(settings["model"], settings["model_parameters"], tmp_path)
    bench = Bench(levels=1)
    bench.handle, bench.model_params = model.handle, model.params
    # Half a spread of 2 + 0.5 * 3, and a tick down for the one order that is held.
    quoted = bench.step({"position_lots": 10}, volatility_ticks_per_sqrt_s=3.0)
    assert quoted[1:4] == (0, 0, 0)
    assert (bench.out[0]["model_bid_ticks"], bench.out[0]["model_ask_ticks"]) == (995.5, 1002.5)
    assert quoted[8:] == ([(995, 10)], [(1003, 10)])


@pytest.mark.skipif(
    numba.config.DISABLE_JIT or numba.config.BOUNDSCHECK == 1, reason="reads are checked"
)
def test_a_parameter_that_is_missing_live_is_no_number_and_nothing_is_quoted(tmp_path):
    (tmp_path / "my_models.py").write_text(code_block("own-model", "python"))
    model = load_model("my_models:quotes", {"half_spread_ticks": 2.0}, tmp_path)
    bench = Bench(levels=1)
    bench.handle, bench.model_params = model.handle, model.params
    assert bench.step()[1] == Reason.NOT_FINITE


def test_open_orders_are_counted_by_what_is_left_of_them():
    desk = Desk(1)
    for order_id, tick_lots in ((1, 500), (2, 300), (1, 200), (3, 0), (2, 0)):
        desk.note_order(order_id, tick_lots)
    assert (desk.inputs[0]["open_orders"], desk.inputs[0]["open_tick_lots"]) == (1, 200)
    desk.forget_orders()
    assert (desk.inputs[0]["open_orders"], desk.inputs[0]["open_tick_lots"]) == (0, 0)


def test_every_clamp_has_words():
    assert all(len(clamp_words(int(clamp))) == 1 for clamp in QuoteClamp)
    assert clamp_words(0) == []
    assert len(clamp_words(sum(QuoteClamp))) == len(QuoteClamp)


def test_nothing_heard_is_nothing_to_say():
    from mm_cli.monitor import Desk as Heard

    assert collect(Heard()) == {}
