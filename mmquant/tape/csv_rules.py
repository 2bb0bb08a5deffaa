"""What the rows of a table must hold (a side, prices above 0), and which market it is of."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmquant.codes import Market, TapeKind
from mmquant.kernels.tape_csv import DECIMAL
from mmquant.tape.core import ReadNotes
from mmquant.tape.csv_layout import Layout
from mmquant.tape.errors import TapeError

__all__ = ["BUY", "SELL", "TRUE", "check_rows", "market_of", "refuse_other"]

# First letters, as the compiled reader gives them.
TRUE, FALSE = (ord("t"), ord("T")), (ord("f"), ord("F"))
BUY = (ord("b"), ord("B"))  # buy, bid
SELL = (ord("s"), ord("S"), ord("a"), ord("A"))  # sell, ask
UNKNOWN = (ord("u"), ord("U"))
_LETTERS = {
    "is_snapshot": ((*TRUE, *FALSE), "true or false"),
    "maker": ((*TRUE, *FALSE), "true or false"),
    "side": ((*BUY, *SELL), "buy, sell, bid or ask"),
}
_PRICES = {"price": "qty", "bid": "bid_qty", "ask": "ask_qty"}  # column -> its quantity
_MARKETS = {"binance": Market.SPOT, "binance-us": Market.SPOT, "binance-futures": Market.USDM}
_E8 = 1e8


def refuse_other(name: str, given: str, held: str, path: Path) -> None:
    """Refuse what was given where the file says it, and otherwise."""
    if given != held:
        raise TapeError(
            f"{name} must be that of the file, {held}, got {given!r}: leave {name}= out", path
        )


def market_of(exchange: str, given: str | None, notes: ReadNotes, path: Path) -> Market:
    """Return the market that Tardis calls so, or the one given, or assume one and note it."""
    market = _MARKETS.get(exchange)
    if given:
        if market is not None:
            refuse_other("market", given.lower(), market.name.lower(), path)
        return Market[given.upper()]
    if market is None:
        text = f"the market of {exchange!r} is not known and taken for usdm: pass market="
        if text not in notes.assumptions:
            notes.assumptions.append(text)
    return market or Market.USDM


def check_rows(
    layout: Layout,
    rows: NDArray[np.int64],
    lines: NDArray[np.int64],
    path: Path,
    notes: ReadNotes,
) -> NDArray[np.int64]:
    """Return which rows to keep, those left out counted; refuse what no market has.

    Parameters
    ----------
    layout : Layout
    rows : ndarray of int64, shape (n, columns)
        Decimals in units of 1e-8.
    lines : ndarray of int64, shape (n,)
        The line of each row, for errors.
    path : Path
        What errors name.
    notes : ReadNotes
        Takes the counts.

    Raises
    ------
    TapeError
        A price that is not above 0, a quantity below 0, a side or boolean that is none.
    """

    def refuse(bad: NDArray[np.bool_], role: str, rule: str) -> None:
        if not bad.any():
            return
        at = int(bad.argmax())
        value = int(rows[at, layout.index(role)])
        is_decimal = dict(layout.columns)[role] == DECIMAL
        got = f"{value / _E8:.10g}" if is_decimal else f"one that begins with {chr(value)!r}"
        raise TapeError(
            f"{role} must be {rule}, got {got if value else 'nothing or 0'}: correct the row, or "
            f"take it out",
            path,
            f"line {lines[at]}",
        )

    keep = np.ones(len(rows), bool)
    if layout.kind == TapeKind.TRADE:
        keep = _whole_trades(layout, rows, notes)
    for role, (letters, rule) in _LETTERS.items():
        if layout.has(role):
            refuse(keep & ~np.isin(rows[:, layout.index(role)], letters), role, rule)
    for role, quantity in _PRICES.items():
        if not layout.has(role):
            continue
        prices, lots = rows[:, layout.index(role)], rows[:, layout.index(quantity)]
        refuse(lots < 0, quantity, "0 or more")
        # A best bid or offer without a quantity is none, and may have no price.
        is_needed = (lots > 0) if layout.kind == TapeKind.BBO else keep
        refuse((prices < 0) | ((prices == 0) & is_needed), role, "above 0")
    return np.flatnonzero(keep)


def _whole_trades(layout: Layout, rows: NDArray[np.int64], notes: ReadNotes) -> NDArray[np.bool_]:
    """Return which trades have a side and a quantity; Tardis has some of side `unknown`."""
    keep = np.ones(len(rows), bool)
    reasons = [("trade without a quantity", rows[:, layout.index("qty")] == 0)]
    if layout.has("side"):
        is_unknown = np.isin(rows[:, layout.index("side")], UNKNOWN)
        reasons.append(("trade without a side", is_unknown))
    for why, bad in reasons:
        n = int(np.count_nonzero(bad & keep))
        if n:
            notes.left_out[why] = notes.left_out.get(why, 0) + n
        keep &= ~bad
    return keep
