"""A sweep's table -> the lines that fit a terminal, and whether any of it is worth anything."""

from typing import Any

__all__ = ["failure_of", "lines_of"]

_FILES = ("strategy.", "pricing.", "simulator.")
_MAIN = (
    "net_profit",
    "net_per_hour",
    "fills",
    "max_drawdown",
    "quoted_share",
    "spread",
    "adverse_selection",
    "inventory",
    "fees",
    "max_position",
    "fill_share",
    "orders",
)


def lines_of(table: Any, width: int, *, is_kept: bool) -> list[str]:
    """Return the table in lines: what varies, then as many of the main numbers as fit.

    Parameters
    ----------
    table : DataFrame
        Of mmquant.sweep.run.
    width : int
        Columns of the terminal.
    is_kept : bool
        Whether all of it is written to a file, so that nothing need be said of the rest.
    """
    keys = [name for name in table.columns if name.startswith(_FILES)]
    varied = [name for name in keys if table[name].astype(str).nunique() > 1] or keys
    main = [name for name in _MAIN if name in table.columns]
    if "no_number_s" in table.columns and (table["no_number_s"] > 0).any():
        main.insert(1, "no_number_s")
    shown = [*varied, *main]
    while len(shown) > len(varied) + 1 and _width(_text(table[shown])) > width:
        shown.pop()
    lines = _text(table[shown]).splitlines()
    more = len(table.columns) - len(shown)
    if more and not is_kept:
        lines.append(f"{more} columns more: --json FILE has all of them")
    return lines


def failure_of(table: Any) -> list[str]:
    """Return why no row is worth anything; nothing where some row is."""
    if "no_number_s" not in table.columns:
        return []
    blind = (table["no_number_s"] > 0) & (table["orders"] == 0)
    if not blind.all():
        return []
    return [
        f"the model answered no number in any of the {len(table)} sets, and nothing was quoted: "
        "mm backtest says where the model is and since when"
    ]


def _text(table: Any) -> str:
    text: str = table.to_string(float_format=lambda value: f"{value:.6g}")
    return text


def _width(text: str) -> int:
    return max(len(line) for line in text.splitlines())
