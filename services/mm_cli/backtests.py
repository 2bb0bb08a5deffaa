"""`mm backtest`, `mm report`, `mm sweep` and `mm init`: a folder of settings tried on a tape."""

import re
import tomllib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mm_cli.outputs import json_text
from mmquant import backtest, sweep
from mmquant.backtest import Config, load_config
from mmquant.backtest_result import Result
from mmquant.configure import DEFAULTS
from mmquant.tape import Tape, read_tape
from mmquant.tape.synthetic import synthetic_tape

__all__ = ["as_json", "init_folder", "run_backtest", "run_sweep", "tape_of"]

_FILES = ("pricing.toml", "strategy.toml", "simulator.toml")
_MODEL = '''"""Where to quote: a model of one's own. It runs here, in `mm backtest`, and live."""

import numba


@numba.njit
def quotes(inputs, params, out):
    """Quote a distance around a price that leans against the position."""
    i = inputs[0]
    half = params[0] + params[1] * i["volatility_ticks_per_sqrt_s"]
    shift = -params[2] * i["inventory_orders"]
    reservation = i["fair_value_ticks"] + shift
    out[0]["bid_ticks"] = reservation - half
    out[0]["ask_ticks"] = reservation + half
    # What explains the quotes in `mm why`; left out, it shows as zero.
    out[0]["reservation_ticks"] = reservation
    out[0]["inventory_shift_ticks"] = shift
    out[0]["volatility_term_ticks"] = half
    return 0
'''
_PARAMETERS = """[model_parameters]
# Distance of the first order from the reservation price, in ticks.
half_spread_ticks = 2.0
# And for each tick of volatility a square root of a second.
per_volatility = 0.5
# Shift against the position, in ticks for each order held.
per_order_ticks = 1.0
"""
_README = """# A strategy

    mm backtest {name}                                    on a synthetic market
    mm backtest {name} --tape recording.gz                on a recording
    mm report {name} --output report.html                 the same as one page with plots
    mm sweep {name} --vary strategy.requote_ticks=1,4,8   one key over several values

`my_model.py` says where to quote; `strategy.toml` has its parameters, the ladder, the limits and
the gates; `pricing.toml` the fair value; `simulator.toml` how fills come about. To run it live on
paper, copy these files into the folder of the settings (`config/`).
"""


def init_folder(folder: Path, config_dir: Path) -> list[Path]:
    """Write a starting folder: settings with their comments, a model of one's own, how to go on.

    Raises
    ------
    ValueError
        The folder exists and is not empty: nothing is written over.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} must be new or empty, it holds files: choose another name")
    folder.mkdir(parents=True, exist_ok=True)
    texts = {name: (config_dir / name).read_text(encoding="utf-8") for name in _FILES}
    own = re.sub(r"^model = .*$", 'model = "my_model:quotes"', texts["strategy.toml"], flags=re.M)
    texts["strategy.toml"] = re.sub(
        r"^\[model_parameters\]\n.*?(?=^(?:# [^\n]*\n)*\n?\[|\Z)",
        _PARAMETERS + "\n",
        own,
        flags=re.M | re.S,
    )
    texts["my_model.py"] = _MODEL
    texts["README.md"] = _README.format(name=folder)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def tape_of(paths: Sequence[str], seconds: float, seed: int) -> Tape:
    """Return the tape of the files or the address, or a synthetic one where there are none."""
    return read_tape(list(paths)) if paths else synthetic_tape(seconds, seed)


def run_backtest(
    folder: Path,
    tape: Tape,
    changes: Sequence[str],
    on_progress: Any = None,
    *,
    bracket: bool = False,
) -> Result:
    """Trade the tape with the folder's settings and the changes, `file.key=value` each.

    Raises
    ------
    TypeError, ValueError
        What is wrong with which key, file or model.
    """
    return backtest.run(
        tape,
        config=_config(folder, changes),
        bracket=bracket,
        on_progress=on_progress,
    )


def run_sweep(
    folder: Path,
    tape: Tape,
    varied: Sequence[str],
    changes: Sequence[str],
    results: Path | None,
    processes: int | None,
    on_progress: Any = None,
) -> tuple[Any, list[str]]:
    """Try every combination of the values, `file.key=value,value` each, and say what to doubt.

    Parameters
    ----------
    folder, tape, changes
        As of run_backtest, the same for every combination.
    varied, results, processes, on_progress
        As of mmquant.sweep.run.

    Returns
    -------
    DataFrame, list of str
        A row a combination, and the warnings.
    """
    values: dict[str, list[Any]] = {}
    for text in varied:
        name, _, listed = text.partition("=")
        section, key, _ = _change(f"{name}=0")
        is_text = _is_text(section, key)
        if not listed:
            raise ValueError(f"--vary must be file.key=value,value, got {text!r}")
        keyword = f"{section}__{key.replace('.', '__')}"
        if keyword in values or any(change.startswith(f"{name}=") for change in changes):
            raise ValueError(f"--vary must name {name} once, and --set another key, got {text!r}")
        values[keyword] = [_value(one, is_text) for one in listed.split(",")]
    if not values:
        raise ValueError("--vary must name at least one key, such as strategy.requote_ticks=1,4,8")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("ignore")  # what is meant for who writes the code
        warnings.simplefilter("always", UserWarning)
        table = sweep.run(
            tape,
            sweep.grid(**values),
            config=_config(folder, changes),
            results=results,
            processes=processes,
            on_progress=on_progress,
        )
    return table, [str(warning.message) for warning in said]


def _config(folder: Path, changes: Sequence[str]) -> Config:
    """Return the folder's settings with the changes, `file.key=value` each."""
    sections: dict[str, dict[str, Any]] = {}
    for change in changes:
        section, key, value = _change(change)
        sections.setdefault(section, {})[key] = value
    return load_config(folder).changed(**sections)


def as_json(result: Result) -> str:
    """Return metrics, warnings, failures and hash as JSON."""
    told = {
        "source": result.source,
        "hash": result.hash,
        "warnings": result.warnings(),
        "failures": result.failures(),
        "metrics": {one.symbol: result.metrics(one.symbol) for one in result.instruments},
    }
    return json_text(told)


def _change(text: str) -> tuple[str, str, Any]:
    name, equals, value = text.partition("=")
    section, _, key = name.partition(".")
    if section not in ("pricing", "strategy", "simulator") or not key or not equals:
        raise ValueError(
            f"a change must be pricing., strategy. or simulator.key=value, got {text!r}"
        )
    return section, key, _value(value, _is_text(section, key))


def _is_text(section: str, key: str) -> bool:
    """Tell whether a key's value is text: a quantity is, so that it stays the exact decimal."""
    value: Any = DEFAULTS[section]
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return isinstance(value, str)


def _value(text: str, is_text: bool) -> Any:
    """Return a value as TOML has it; what is no TOML is text, and what is text needs no quotes."""
    try:
        value = tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text
    return value if isinstance(value, str) or not is_text else text
