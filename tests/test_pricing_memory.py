"""What a restart of pricing finds: taken up where it fits, else left alone with a reason."""

import re

import numpy as np
import pytest
from mm_pricing.memory import Memory
from mm_pricing.parameters import check_pricing, load_model, load_table, pricing_params
from mm_runtime.config import ConfigError
from mm_runtime.settings import BlendSettings, PricingSettings, SignalDriftSettings
from test_pricing_kernel import S, Service

from mmquant.codes import Market, PricingFlag, Template
from mmquant.records import INSTRUMENT
from mmquant.state import PRICING_PARAMS, PRICING_STATE
from mmquant.stoikov import MicropriceModel

MAX_AGE_NS = 600 * S
CONFIG = PricingSettings(warmup_s=3.0)


def instrument(**changes):
    rules = np.zeros(1, INSTRUMENT)
    values = {"instrument_id": 7, "symbol": b"BTC/USDT", "market": Market.USDM}
    values |= {"tick_size_e8": 10_000_000, "lot_size_e8": 100_000}
    for name, value in {**values, **changes}.items():
        rules[0][name] = value
    return rules


@pytest.fixture
def memory(tmp_path):
    return Memory(tmp_path / "pricing", pricing_params(CONFIG), MAX_AGE_NS)


def service(config=CONFIG):
    made = Service({})
    made.params[0] = pricing_params(config)[0]
    return made


def warm_service():
    made = service()
    made.snapshot(S, 1, 10, [(99, 5)], [(101, 15)])
    for second, bid in enumerate((98, 99, 98, 97), start=2):
        made.best(second * S, 1, 9 + second, (bid, 5, 101, 5))
    assert made["flags"] & PricingFlag.WARM
    return made


def test_a_restart_is_warm_at_its_first_message(memory):
    old, new = warm_service(), service()
    memory.save(instrument(), old.state)
    assert memory.restore(instrument(), memory.read(instrument()), new.state, 6 * S) == ""
    new.snapshot(6 * S, 2, 50, [(97, 5)], [(101, 5)])
    assert new["flags"] == PricingFlag.LIVE | PricingFlag.WARM | PricingFlag.WARM_STARTED
    # The price held over the second between: an interval like any other.
    old.best(6 * S, 1, 90, (97, 5, 101, 6))
    assert new["volatility_ticks_per_sqrt_s"] == old["volatility_ticks_per_sqrt_s"] > 0
    assert new["drift_ticks_per_s"] == old["drift_ticks_per_s"]


def test_measures_and_the_open_window_go_on_behind_a_restart(memory):
    config = PricingSettings(warmup_s=3.0, realised_window_s=4.0)
    memory = Memory(memory.folder, pricing_params(config), MAX_AGE_NS)
    old, new = service(config), service(config)
    old.snapshot(S, 1, 10, [(99, 5)], [(101, 15)])
    for second in range(2, 8):  # a window is closed at 5 s, the next one has three mids
        old.best(second * S, 1, 9 + second, (98 - second % 2, 5, 101, 5))
    memory.save(instrument(), old.state)
    assert memory.restore(instrument(), memory.read(instrument()), new.state, 8 * S) == ""
    new.snapshot(8 * S, 2, 50, [(96, 5)], [(101, 5)])
    assert new["flags"] & PricingFlag.REALISED
    assert new["realised_end_ns"] == 5 * S
    old.best(8 * S, 1, 90, (96, 5, 101, 6))
    assert new["realised_ticks_per_sqrt_s"] == old["realised_ticks_per_sqrt_s"] > 0.0
    for made in (old, new):
        made.best(9 * S, int(made["epoch"]), 99, (95, 5, 101, 5))
        assert (made["realised_end_ns"], made["realised_samples"]) == (9 * S, 5)
    realised = [name for name in old.out.dtype.names if "_sqrt_s" in name or "noise" in name]
    assert [new[name] for name in realised] == [old[name] for name in realised]


def test_the_time_between_is_a_gap_where_it_is_long(memory):
    old, new = warm_service(), service()
    memory.save(instrument(), old.state)
    assert memory.restore(instrument(), memory.read(instrument()), new.state, 100 * S) == ""
    sigma = old["volatility_ticks_per_sqrt_s"]
    new.snapshot(100 * S, 2, 50, [(970, 5)], [(1010, 5)])
    assert (new["volatility_ticks_per_sqrt_s"], new["gaps"]) == (sigma, 1)
    assert new["flags"] & PricingFlag.WARM


def test_the_flow_goes_on_but_compares_no_books_across_the_restart(memory):
    old, new = warm_service(), service()
    old.delta(6 * S, 1, 10, 30, [(97, 40)], [])
    flow_lots = old["order_flow_lots"]
    assert flow_lots != 0.0
    memory.save(instrument(), old.state)
    memory.restore(instrument(), memory.read(instrument()), new.state, 6 * S)
    new.snapshot(6 * S, 2, 50, [(50, 5)], [(500, 5)])
    assert new["order_flow_lots"] == flow_lots


@pytest.mark.parametrize(
    ("now_ns", "rules", "config", "why"),
    [
        (4 * S, {}, CONFIG, "1.0 s ahead of the market's clock"),
        (5 * S + MAX_AGE_NS + 1, {}, CONFIG, "600.0 s old, at most 600 s are allowed"),
        (6 * S, {"tick_size_e8": 1}, CONFIG, "has another tick_size_e8: 10000000, not 1"),
        (6 * S, {"symbol": b"BTC:USDT"}, CONFIG, "nothing could be read from /"),
        (6 * S, {"market": Market.SPOT}, CONFIG, "nothing could be read from /"),
        (
            6 * S,
            {},
            PricingSettings(volatility_half_life_s=1.0),
            "is of other settings: volatility_half_life_s was 60, is 1",
        ),
        (
            6 * S,
            {},
            PricingSettings(realised_window_s=60.5, order_flow_levels=4, jump_sigmas=0.0),
            "is of other settings: order_flow_levels was 3, is 4, jump_sigmas was 6, is 0, "
            "realised_window_s was 60, is 60.5",
        ),
    ],
)
def test_what_does_not_fit_is_left_alone(memory, now_ns, rules, config, why):
    memory.save(instrument(), warm_service().state)
    other = Memory(memory.folder, pricing_params(config), MAX_AGE_NS)
    state = np.zeros(1, PRICING_STATE)
    stored = other.read(instrument(**rules))
    assert why in other.restore(instrument(**rules), stored, state, now_ns)
    assert not state.tobytes().strip(b"\0")


def test_a_file_of_another_version_says_so(memory):
    memory.save(instrument(), warm_service().state)
    path = memory.path(instrument())
    path.write_bytes(b"0123456789abcdef" + path.read_bytes()[16:])
    state = np.zeros(1, PRICING_STATE)
    why = memory.restore(instrument(), memory.read(instrument()), state, 6 * S)
    assert why == f"{path} is of another version"
    assert not state.tobytes().strip(b"\0")


def test_the_drift_is_of_other_signals_behind_a_restart_that_is_warm_at_once(memory):
    factors = SignalDriftSettings(order_flow_ticks_per_s_per_lot=0.5, trade_flow_ticks_per_s=2.0)
    config = PricingSettings(warmup_s=3.0, drift="signals", signal_drift=factors)
    old, new = warm_service(), service(config)
    trade = {"trade_id": 1, "qty_lots": 3, "aggressor": 1, "now_ns": 5 * S}
    old.send(Template.TRADE, **trade)
    old.delta(6 * S, 1, 10, 30, [(97, 40)], [])
    memory.save(instrument(), old.state)
    other = Memory(memory.folder, pricing_params(config), MAX_AGE_NS)
    assert other.restore(instrument(), other.read(instrument()), new.state, 6 * S) == ""
    new.snapshot(6 * S, 2, 50, [(97, 5)], [(101, 5)])
    assert new["flags"] == PricingFlag.LIVE | PricingFlag.WARM | PricingFlag.WARM_STARTED
    assert new["trade_flow_imbalance"] == 1.0
    assert new["drift_ticks_per_s"] == 0.5 * old["order_flow_lots"] + 2.0 != 0.0


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda data: data[:-1], "bytes, not"),
        (lambda data: b"", "nothing could be read from /"),
        (lambda data: data[:-8] + b"damaged!", "is damaged"),
    ],
)
def test_a_damaged_file_is_left_alone(memory, damage, why):
    memory.save(instrument(), warm_service().state)
    path = memory.path(instrument())
    path.write_bytes(damage(path.read_bytes()))
    state = np.zeros(1, PRICING_STATE)
    assert why in memory.restore(instrument(), memory.read(instrument()), state, 6 * S)
    assert not state.tobytes().strip(b"\0")


def test_a_half_written_file_is_never_seen(memory, monkeypatch):
    memory.save(instrument(), warm_service().state)
    before = memory.path(instrument()).read_bytes()

    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mm_pricing.memory.os.replace", no_room)
    later = warm_service()
    later.best(9 * S, 1, 99, (97, 5, 101, 9))
    with pytest.raises(OSError, match="No space"):
        memory.save(instrument(), later.state)
    assert memory.path(instrument()).read_bytes() == before


def test_nothing_is_stored_before_there_is_anything_or_where_it_is_switched_off(memory, tmp_path):
    memory.save(instrument(), np.zeros(1, PRICING_STATE))
    off = Memory(memory.folder, pricing_params(CONFIG), 0)
    off.save(instrument(), warm_service().state)
    assert not memory.folder.exists()
    assert "max_age_s is 0" in off.restore(instrument(), b"", np.zeros(1, PRICING_STATE), 6 * S)


def test_a_fitted_table_is_read_and_applied(tmp_path):
    table = MicropriceModel(np.array([[-0.25, 0.25], [-0.5, 0.5]]), 9)
    (tmp_path / "table.json").write_text(table.to_json())
    config = PricingSettings(
        stoikov_file="table.json", blend=BlendSettings(stoikov=1.0, microprice=0.0)
    )
    made = Service({})
    made.params[0] = pricing_params(config, load_table(config, tmp_path))[0]
    made.snapshot(S, 1, 10, [(99, 15)], [(101, 5)])
    assert made["stoikov_ticks"] == made["fair_value_ticks"] == 100.5
    assert table.apply([99], [15], [101], [5])[0] == 100.5


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"stoikov_file": "none.json"}, "No such file"),
        ({"stoikov_file": "bad.json"}, "text must be what to_json gives"),
        ({"blend": BlendSettings(stoikov=1.0)}, "must be 0 where stoikov_file is empty, got 1"),
    ],
)
def test_a_table_that_cannot_be_used_is_said(tmp_path, changes, why):
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ConfigError, match=why):
        load_table(PricingSettings(**changes), tmp_path)


def test_a_model_is_imported_from_the_configuration_folder(tmp_path):
    code = "import numba\n@numba.njit\ndef half(inputs, params, out):\n"
    code += "    out[0]['fair_value_ticks'] = inputs[0]['mid_ticks'] + 0.5\n    return 0\n"
    (tmp_path / "my_pricing_for_test.py").write_text(code)
    steps = load_model(PricingSettings(fair_value="my_pricing_for_test:half"), tmp_path)
    made = service()
    made.snapshot(S, 1, 10, [(99, 5)], [(101, 15)])
    steps.refresh(made.state, made.book, made.params, np.zeros(0), 2 * S, made.out)
    assert made["fair_value_ticks"] == 100.5


@pytest.mark.parametrize("name", ["no_such_module:model", "math:no_such_function"])
def test_a_model_that_is_not_there_is_said(tmp_path, name):
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path}/pricing.toml: fair_value: '")):
        load_model(PricingSettings(fair_value=name), tmp_path)


@pytest.mark.parametrize(
    ("text", "key"),
    [("depth_levels = 0", "depth_levels"), ('stoikov_file = "no.json"', "stoikov_file")],
)
def test_what_pricing_would_not_start_with_is_found_before(tmp_path, text, key):
    path = tmp_path / "pricing.toml"
    path.write_text("")
    check_pricing(tmp_path, {})
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(f"{path}: {key}: ")):
        check_pricing(tmp_path, {})


def test_symbols_without_ascii_have_files_of_their_own(tmp_path):
    memory = Memory(tmp_path, np.zeros(1, PRICING_PARAMS), 1)
    rows = np.zeros(3, INSTRUMENT)
    rows["symbol"] = [name.encode() for name in ("币安人生USDT", "龙虾你好USDT", "BTC/USDT")]
    rows["market"] = Market.USDM
    paths = {memory.path(rows[k : k + 1]) for k in range(3)}
    assert len(paths) == 3
    assert all(path.parent == tmp_path for path in paths)
