"""Configuration: files and environment in, typed settings or one clear line out."""

import re
import tomllib
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mm_runtime.config import ConfigError, load
from mm_runtime.settings import (
    AeronmdSettings,
    CollectorSettings,
    PricingSettings,
    RuntimeSettings,
    SimulatorSettings,
    StrategySettings,
    TermSettings,
)
from msgspec import Meta, Struct

CONFIG = Path(__file__).parents[1] / "config"
FILES = {
    "runtime": RuntimeSettings,
    "aeronmd": AeronmdSettings,
    "collector": CollectorSettings,
    "pricing": PricingSettings,
    "strategy": StrategySettings,
    "simulator": SimulatorSettings,
}


class Inventory(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    position_limit_lots: Annotated[int, Meta(ge=1)] = 10
    skew: float = 1.0


class Example(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    symbols: tuple[Annotated[str, Meta(min_length=1)], ...] = ("BTCUSDT",)
    inventory: Inventory = Inventory()


class Demanding(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    account: str


def message_of(directory: Path, text: str, environ: dict[str, str] | None = None) -> str:
    """Return the complaint about `text` as strategy.toml, its folder cut off."""
    (directory / "strategy.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load("strategy", Example, directory, environ or {})
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(f"{directory}/", "config/")


@pytest.mark.parametrize("name", FILES)
def test_every_file_loads_and_says_the_defaults(name):
    assert load(name, FILES[name], CONFIG, {}) == FILES[name]()


@pytest.mark.parametrize("name", FILES)
def test_every_file_holds_every_key(name):
    def keys_of(value: object) -> object:
        if isinstance(value, Struct):
            return {key: keys_of(getattr(value, key)) for key in value.__struct_fields__}
        return {key: keys_of(v) for key, v in value.items()} if isinstance(value, dict) else None

    data = tomllib.loads((CONFIG / f"{name}.toml").read_text())
    assert keys_of(data) == keys_of(FILES[name]())


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.toml")), ids=lambda path: path.name)
def test_every_key_is_explained_directly_above_with_its_range(path):
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"\w+ *=", line) is None:
            continue
        comment = []
        while number and lines[number - 1].startswith("#"):
            number -= 1
            comment.append(lines[number])
        assert comment, f"{path.name}: {line}: no comment above"
        assert "Range: " in " ".join(comment), f"{path.name}: {line}: no range"


def test_a_value_out_of_range_names_file_key_rule_and_value(tmp_path):
    text = "[inventory]\nposition_limit_lots = 0"
    expected = "config/strategy.toml: inventory.position_limit_lots: must be >= 1, got 0"
    assert message_of(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("inventory = 3", "inventory: must be a table, got 3"),
        ("inventory.skew = 'high'", "inventory.skew: must be a number, got 'high'"),
        ("inventory.position_limit_lots = 1.0", "must be an integer, got 1.0"),
        ("inventory.position_limit_lots = true", "must be an integer, got True"),
        ("symbols = 'BTCUSDT'", "symbols: must be an array, got 'BTCUSDT'"),
        ("symbols = ['A', 3]", "symbols[1]: must be a string in quotes, got 3"),
        ("symbols = ['A', '']", "symbols[1]: must be a string in quotes of length >= 1, got ''"),
        ("symbols = [[['" + 200 * "x" + "']]]", "xxx..."),
    ],
)
def test_a_value_of_a_wrong_kind_says_what_it_should_be(tmp_path, text, complaint):
    assert message_of(tmp_path, text).endswith(complaint)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_numbers_that_are_not_finite_are_refused(tmp_path, value):
    text = f"inventory.skew = {value}"
    expected = f"config/strategy.toml: inventory.skew: must be a finite number, got {value}"
    assert message_of(tmp_path, text) == expected


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_numbers_of_a_list_that_are_not_finite_are_refused(tmp_path, value):
    path = tmp_path / "pricing.toml"
    path.write_text(f"fair_value_params = [1.0, {value}]")
    expected = f"{path}: fair_value_params[1]: must be a finite number, got {value}"
    with pytest.raises(ConfigError, match=re.escape(expected)):
        load("pricing", PricingSettings, tmp_path, {})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('fair_value = "blnd"', "fair_value: must be 'blend' or 'module:function', got 'blnd'"),
        (
            "blend.basis_ticks_per_bp = 0.5",
            "blend.basis_ticks_per_bp: must be 0 where reference.symbol is empty, got 0.5: name",
        ),
        (
            "signal_drift.basis_ticks_per_s_per_bp = -0.5",
            "signal_drift.basis_ticks_per_s_per_bp: must be 0 where reference.symbol is empty, "
            "got -0.5: name the other instrument there, or set the factor to 0",
        ),
        ('drift = "signal"', "drift: must be one of 'ewma', 'signals', got 'signal'"),
        (
            'drift = "signals"',
            "drift: must be 'ewma' where every factor of [signal_drift] is 0, got 'signals': set",
        ),
        (
            "signal_drift.depth_imbalance = 1.0",
            "signal_drift.depth_imbalance: unknown key, the nearest valid one is "
            "'depth_imbalance_ticks_per_s'",
        ),
        (
            "signal_drift.trade_flow_ticks_per_s = 1e7",
            "signal_drift.trade_flow_ticks_per_s: must be <= 1000000.0, got 10000000.0",
        ),
    ],
)
def test_a_price_or_drift_that_cannot_be_says_what_it_should_be(tmp_path, text, complaint):
    path = tmp_path / "pricing.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(f"{path}: {complaint}")):
        load("pricing", PricingSettings, tmp_path, {})


def test_an_unknown_key_names_the_nearest_valid_one(tmp_path):
    expected = "config/strategy.toml: inventory.scew: unknown key, the nearest valid one is 'skew'"
    assert message_of(tmp_path, "[inventory]\nscew = 1.0") == expected
    expected = "config/strategy.toml: inventry: unknown key, the nearest valid one is 'inventory'"
    assert message_of(tmp_path, "[inventry]\nskew = 1.0") == expected


def test_a_missing_key_is_named(tmp_path):
    (tmp_path / "demanding.toml").touch()
    with pytest.raises(ConfigError, match=r"demanding\.toml: account: is missing"):
        load("demanding", Demanding, tmp_path, {})


@pytest.mark.parametrize(
    ("text", "place"),
    [("a = 1\nb = = 2\n", "line 2, column 5"), ("a = 1\nb = [1,", "line 2, column 8")],
)
def test_a_file_that_is_not_toml_names_line_and_column(tmp_path, text, place):
    assert message_of(tmp_path, text).startswith(f"config/strategy.toml: {place}: not TOML: ")


def test_a_file_that_is_not_text_is_named(tmp_path):
    (tmp_path / "strategy.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match=r"strategy\.toml: must be UTF-8 text, byte 5 is not"):
        load("strategy", Example, tmp_path, {})


def test_a_missing_file_says_where_it_is_looked_for(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load("strategy", Example, tmp_path / "nowhere", {})
    where = tmp_path / "nowhere"
    expected = f"{where}/strategy.toml: not found, strategy.toml is looked for in {where}"
    assert str(caught.value) == expected


def test_a_folder_in_place_of_the_file_is_named(tmp_path):
    (tmp_path / "strategy.toml").mkdir()
    with pytest.raises(ConfigError, match=r"strategy\.toml: cannot be read: Is a directory"):
        load("strategy", Example, tmp_path, {})


def test_the_environment_stands_above_the_file(tmp_path):
    (tmp_path / "strategy.toml").write_text("[inventory]\nskew = 2.0\nposition_limit_lots = 7")
    environ = {
        "MM_STRATEGY__INVENTORY__SKEW": "0.5",
        "MM_STRATEGY__SYMBOLS": '["ETHUSDT", "BNBUSDT"]',
        "MM_STRATEGY_INVENTORY": "not an override",
        "MM_PRICING__INVENTORY__SKEW": "of another file",
    }
    settings = load("strategy", Example, tmp_path, environ)
    inventory = Inventory(skew=0.5, position_limit_lots=7)
    assert settings == Example(symbols=("ETHUSDT", "BNBUSDT"), inventory=inventory)


@pytest.mark.parametrize("text", ["0.020", '"0.020"', "'0.020'"])
def test_a_text_key_takes_the_environment_with_or_without_quotes(text):
    environ = {"MM_STRATEGY__ORDER_QTY": text}
    assert load("strategy", StrategySettings, CONFIG, environ).order_qty == "0.020"


@pytest.mark.parametrize("text", ["a b", "", "1\nlevels = 2", "aeron:udp?endpoint=host:4|mtu=8k"])
def test_what_is_not_toml_is_plain_text(text):
    environ = {"MM_RUNTIME__STATE_DIRECTORY": text or "x"}
    assert load("runtime", RuntimeSettings, CONFIG, environ).state_directory == (text or "x")


def test_choices_are_taken_from_the_environment_and_listed_when_wrong():
    environ = {"MM_RUNTIME__IDLE__STRATEGY": "yield"}
    assert load("runtime", RuntimeSettings, CONFIG, environ).idle.strategy == "yield"
    with pytest.raises(ConfigError) as caught:
        load("runtime", RuntimeSettings, CONFIG, {"MM_RUNTIME__IDLE__STRATEGY": "spin"})
    assert str(caught.value) == (
        "MM_RUNTIME__IDLE__STRATEGY: idle.strategy: must be one of 'backoff', 'busy_spin', "
        "'sleep', 'yield', got 'spin'"
    )


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("INVENTORY__POSITION_LIMIT_LOTS", "0", "inventory.position_limit_lots: must be >= 1"),
        ("INVENTORY__SKEWED", "1", "inventory.skewed: unknown key"),
        ("INVENTORY", "3", "inventory: must be a table, got 3"),
        ("SYMBOLS", '["A", ""]', "symbols[1]: must be"),
        ("INVENTORY__SKEW__X", "1", "inventory.skew: must be a number"),
        ("", "1", "unknown key"),
    ],
)
def test_an_override_names_its_variable_and_not_the_file(tmp_path, variable, value, complaint):
    message = message_of(tmp_path, "", {f"MM_STRATEGY__{variable}": value})
    assert message.startswith(f"MM_STRATEGY__{variable}: ")
    assert complaint in message


def test_a_rule_between_keys_names_the_variable_that_broke_it():
    with pytest.raises(ConfigError) as caught:
        load("strategy", StrategySettings, CONFIG, {"MM_STRATEGY__ORDER_QTY": "5"})
    assert str(caught.value) == (
        "MM_STRATEGY__ORDER_QTY: position_limit_qty: must be >= order_qty (5), got '0.100'"
    )


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("strategy", "order_qty = 0.01", "order_qty: must be a string in quotes, got 0.01"),
        (
            "strategy",
            "order_qty = '1e-3'",
            "must be a decimal number in quotes such as '0.010', got '1e-3'",
        ),
        ("strategy", "order_qty = '0.000'", "order_qty: must be > 0, got '0.000'"),
        ("strategy", "levels = 6", "levels: must be <= 5, got 6"),
        ("runtime", "aeron.terms.other_bytes = 65537", "must be a power of two, got 65537"),
        ("runtime", "aeron.terms.other_bytes = 32768", "must be >= 65536, got 32768"),
        (
            "runtime",
            "heartbeats.interval_ms = 1500",
            "heartbeats.timeout_ms: must be >= 2 * interval_ms (1500), got 1000",
        ),
        ("runtime", "aeron.channel = 'udp'", "^aeron:(ipc|udp)(\\\\?.+)?$', got 'udp'"),
        ("pricing", "realised_window_s = 0.5", "realised_window_s: must be >= 1.0, got 0.5"),
        ("pricing", "jump_sigmas = 0.5", "jump_sigmas: must be 0 or at least 1, got 0.5"),
        ("collector", "symbols = []", "symbols: must be an array of length >= 1, got []"),
        ("collector", "symbols = ['A', 'A']", "symbols: must differ from each other"),
        ("collector", "symbols = ['BTC USDT']", "must have no spaces and at most 24 bytes"),
        ("collector", "depth.snapshot_limit = 5000", "depth.snapshot_limit: must be one of 0, 5,"),
        (
            "collector",
            "connection.backoff_max_ms = 100",
            "connection.backoff_max_ms: must be >= backoff_initial_ms (200), got 100",
        ),
    ],
)
def test_each_rule_of_the_services_is_said(tmp_path, name, text, complaint):
    (tmp_path / f"{name}.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(name, FILES[name], tmp_path, {})
    assert str(caught.value).startswith(f"{tmp_path}/{name}.toml: ")
    assert complaint in str(caught.value)


def test_the_spot_market_takes_its_own_snapshot_limits(tmp_path):
    (tmp_path / "collector.toml").write_text("market = 'spot'\ndepth.snapshot_limit = 5000")
    assert load("collector", CollectorSettings, tmp_path, {}).depth.snapshot_limit == 5000


@given(power=st.integers(16, 30))
def test_every_power_of_two_in_range_is_a_term_length(power):
    assert TermSettings(other_bytes=2**power).other_bytes == 2**power


def test_the_drivers_directory_is_one_a_user_unless_it_is_set():
    assert str(RuntimeSettings().aeron_directory()).startswith("/dev/shm/aeron-mmquant-")
    environ = {"MM_RUNTIME__AERON__DIRECTORY": "/dev/shm/here"}
    assert load("runtime", RuntimeSettings, CONFIG, environ).aeron_directory() == Path(
        "/dev/shm/here"
    )


def test_the_drivers_directory_needs_no_user_entry(monkeypatch):
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert RuntimeSettings().aeron_directory() == Path("/dev/shm/aeron-mmquant-4711")
