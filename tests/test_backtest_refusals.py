"""What a backtest, its result and a sweep are given wrongly is refused by name, and at once."""

import math

import pytest
from small_tape import make_tape

from mmquant import backtest, sweep
from mmquant._jit import njit

pytestmark = pytest.mark.kernels
TAPE = make_tape(20)
FIRST, SECOND = "BTCUSDT", "ETHUSDT"


@njit
def own(inputs, params, out):
    """Quote a tick beside the fair value."""
    out[0]["bid_ticks"] = inputs[0]["fair_value_ticks"] - params[0]
    out[0]["ask_ticks"] = inputs[0]["fair_value_ticks"] + params[0]
    return 0


@pytest.mark.parametrize(
    ("filters", "error", "words"),
    [
        (["min_qty_lots"], TypeError, r"filters must be a mapping .*, got \['min_qty_lots'\]"),
        ("min_qty_lots", TypeError, "filters must be a mapping .*, got 'min_qty_lots'"),
        ({"foo": 1}, ValueError, "filters must be among min_price_ticks, .*, got 'foo'"),
        ({"symbol": 1}, ValueError, "filters must be among .*, got 'symbol'"),
        ({"tick_size_e8": 1}, ValueError, "filters must be among .*, got 'tick_size_e8'"),
        ({"min_qty_lots": "a"}, TypeError, "filters: min_qty_lots must be a whole .*, got 'a'"),
        ({"min_qty_lots": 1.5}, TypeError, "filters: min_qty_lots must be a whole .*, got 1.5"),
        ({"min_qty_lots": True}, TypeError, "filters: min_qty_lots must be a whole .*, got True"),
        ({"max_orders": -1}, ValueError, "filters: max_orders must be between 0 and .*, got -1"),
        ({"max_orders": 10**30}, ValueError, "filters: max_orders must be between 0 and"),
    ],
)
def test_filters_are_whole_numbers_that_the_venue_asks_for(filters, error, words):
    with pytest.raises(error, match=words):
        backtest.run(TAPE, filters=filters)


@pytest.mark.parametrize(
    ("value", "error"),
    [("a", TypeError), (None, TypeError), ([1.0], TypeError), (math.nan, ValueError)],
)
def test_a_parameter_of_an_own_model_is_named(value, error):
    with pytest.raises(error, match=r"model_parameters: d must be "):
        backtest.run(TAPE, model=own, model_parameters={"distance": 1.0, "d": value})
    with pytest.raises(TypeError, match=r"model_parameters: must be a table .*, got \[1\.0\]"):
        backtest.run(TAPE, model=own, model_parameters=[1.0])


@pytest.mark.parametrize(
    ("symbols", "error", "words"),
    [
        ([FIRST, FIRST], ValueError, "symbols must name each one once, got BTCUSDT, BTCUSDT"),
        (FIRST, TypeError, r"symbols must be a list .*, got 'BTCUSDT'"),
        ([], ValueError, "symbols must name at least one, got none"),
        (["XRPUSDT"], ValueError, "symbols must be among BTCUSDT, got 'XRPUSDT'"),
    ],
)
def test_symbols_are_a_list_that_names_each_once(symbols, error, words):
    with pytest.raises(error, match=words):
        backtest.run(TAPE, symbols=symbols)


@pytest.mark.parametrize("config", ["config", {"strategy": {}}])
def test_a_config_is_one(config):
    with pytest.raises(TypeError, match=r"config must be a Config, got .*: load_config"):
        backtest.run(TAPE, config=config)


def test_markouts_take_their_symbol_first_as_all_tables_do():
    tape = make_tape(200, symbols=(FIRST, SECOND))
    result = backtest.run(tape, pricing={"warmup_s": 0.1}, strategy={"requote_ticks": 1})
    named = result.markouts(SECOND)
    assert len(named)
    assert named.equals(result.markouts(symbol=SECOND))
    assert not named.equals(result.markouts(FIRST))
    with pytest.raises(ValueError, match=r"symbol must be one of BTCUSDT, ETHUSDT, got \[1\]"):
        result.markouts([1])


@pytest.mark.parametrize("text", ["a,b\n1,2\n", '{"a": 1}\n{"a": 2}\n', "# notes\nof mine\n"])
def test_a_file_that_is_no_sweeps_is_no_results(tmp_path, text):
    path = tmp_path / "notes"
    path.write_text(text)
    sets = sweep.grid(strategy__levels=[1])
    with pytest.raises(ValueError, match=r"results must be a file of a sweep, .*notes is another"):
        sweep.run(TAPE, sets, results=path, processes=1)
    assert path.read_text() == text
