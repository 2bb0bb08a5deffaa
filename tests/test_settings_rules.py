"""What a file of settings may say is the same for a backtest and for the services."""

import math
import typing
from pathlib import Path

import numpy as np
import pytest
from mm_runtime.config import ConfigError, load
from mm_runtime.settings import PricingSettings, SimulatorSettings, StrategySettings
from mm_runtime.settings import simulator as simulator_settings
from msgspec import inspect
from small_tape import make_tape

from mmquant import backtest
from mmquant.configure import Config
from mmquant.settings_rules import FILL_MODELS, RANGES, Range, check_settings
from mmquant.state import FILLS_KEPT, MAX_LEVELS, MAX_SIGNAL_LEVELS

CONFIG = Path(__file__).parents[1] / "config"
STRUCTS = {"pricing": PricingSettings, "strategy": StrategySettings, "simulator": SimulatorSettings}
ELSEWHERE = {"funding.rate_ppm"}  # mmquant.account_settings


def numbers_of(schema, table=""):
    """Yield the numeric keys of a struct with what the service accepts."""
    for field in schema.fields:
        kind = field.type
        if isinstance(kind, inspect.StructType):
            yield from numbers_of(kind, f"{field.name}.")
        elif isinstance(kind, inspect.IntType | inspect.FloatType):
            least = kind.gt if kind.ge is None else kind.ge
            is_whole = isinstance(kind, inspect.IntType)
            yield f"{table}{field.name}", Range(least, kind.le, is_whole, kind.ge is None)


@pytest.mark.parametrize("file", STRUCTS)
def test_every_number_of_a_service_has_the_librarys_range(file):
    found = dict(numbers_of(inspect.type_info(STRUCTS[file])))
    assert {key: span for key, span in found.items() if key not in ELSEWHERE} == RANGES[file]


def test_the_models_and_the_sizes_are_the_librarys():
    assert typing.get_args(simulator_settings.Model) == FILL_MODELS
    assert RANGES["strategy"]["gates.max_fills"].most == FILLS_KEPT
    assert RANGES["strategy"]["levels"].most <= MAX_LEVELS
    assert RANGES["pricing"]["depth_levels"].most == MAX_SIGNAL_LEVELS


def complaint(file, key, value):
    """Return what is said of one value, nothing where it is taken."""
    try:
        check_settings(file, getattr(Config().changed(**{file: {key: value}}), file))
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("file", STRUCTS)
def test_the_ends_of_every_range_are_taken_and_what_lies_beyond_is_named(file):
    for key, span in RANGES[file].items():
        rule = f"{file}.toml: {key}: must be {span}, got "
        most = np.int64(span.most) if span.is_whole else np.float64(span.most)
        for value in (span.most, most, *(() if span.is_open else (span.least,))):
            # Where a key does not go together with another's default that is another rule.
            assert rule not in complaint(file, key, value)
        step = 1 if span.is_whole else 1e-6 * max(1.0, abs(span.most))
        below = span.least if span.is_open else span.least - step
        for value in (below, span.most + step, math.nan, math.inf, True, "1", None):
            assert complaint(file, key, value) == f"{rule}{value!r}"


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("strategy", "levels", 10),
        ("strategy", "horizon_s", 1e6),
        ("strategy", "requote_ticks", 5_000_000),
        ("strategy", "min_life_ms", 10**7),
        ("strategy", "arrival_rate_per_s", 1e8),
        ("strategy", "republish_interval_ms", 1),
        ("strategy", "max_own_spread_ticks", 10**8),
        ("strategy", "soft_limit", 1.5),
        ("strategy", "rates.order_burst", 2),
        ("strategy", "rates.orders_per_s", 0),
        ("strategy", "position_limit_qty", "0.001"),
        ("strategy", "max_spread_ticks", 0),
        ("strategy", "min_spread_ticks", 300),
        ("strategy", "order_qty", "0"),
        ("strategy", "order_qty", "1e-2"),
        ("strategy", "gates.max_drawdown", "Infinity"),
        ("pricing", "publish_interval_ms", 1),
        ("pricing", "warmup_s", 1e7),
        ("pricing", "reference.max_age_s", 0),
        ("pricing", "drift", "signals"),
        ("pricing", "signal_drift.basis_ticks_per_s_per_bp", 0.5),
        ("simulator", "entry_latency_ms", 1e7),
        ("simulator", "fill_model", "fifo_l3"),
        ("simulator", "bracket.central", "magic"),
        ("simulator", "fees.usdm_maker_ppm", -20_000),
    ],
)
def test_what_a_service_refuses_a_backtest_refuses_by_the_key_of_the_file(file, key, value):
    variable = f"MM_{file.upper()}__{key.upper().replace('.', '__')}"
    told = f"'{value}'" if isinstance(value, str) else str(value)
    with pytest.raises(ConfigError):
        load(file, STRUCTS[file], CONFIG, {variable: told})
    near = {"min_spread_ticks": "max_spread_ticks"}.get(key, key)
    with pytest.raises(ValueError, match=rf"^{file}\.toml: {near}: must be .*got"):
        backtest.run(make_tape(20), **{file: {key: value}})


def test_an_unknown_key_of_a_table_is_named_as_it_was_written():
    words = r"^strategy\.toml: gates\.pauses: unknown key, the nearest valid one is 'pause_s'$"
    for changes in ({"gates.pauses": 1}, {"gates": {"pauses": 1}}):
        with pytest.raises(ValueError, match=words):
            backtest.run(make_tape(20), strategy=changes)
