"""ledger file -> DataFrames: the orders, fills and positions that the simulator wrote down."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmquant.codes import FillKind, Liquidity, Side

__all__ = ["LEDGER_VERSION", "LedgerTables", "read_ledger"]

LEDGER_VERSION = 2
_TABLES = ("orders", "fills", "positions", "sessions", "instruments")
_E8 = 1e-8
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class LedgerTables:
    """What a ledger holds, as of one moment: a DataFrame a table.

    Attributes
    ----------
    orders, fills, positions, sessions, instruments : DataFrame
        The columns of the tables (docs/ledger.md), exact integers; and for people `time` (UTC),
        `symbol`, `price`, `quantity` and what else has a unit, as floats in the quote or base
        asset, sides and kinds as words.
    """

    orders: Any
    fills: Any
    positions: Any
    sessions: Any
    instruments: Any


def read_ledger(path: str | Path) -> LedgerTables:
    """Read a ledger, also while the simulator writes it.

    Parameters
    ----------
    path : str or Path
        The SQLite file; it is opened for reading only.

    Returns
    -------
    LedgerTables
        All tables as of one moment.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where it is no ledger, or one of another version.
    """
    import pandas

    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"path must be a ledger, got {file}: no such file")
    try:
        database = sqlite3.connect(
            f"{file.absolute().as_uri()}?mode=ro",
            timeout=_PATIENCE_S,
            isolation_level=None,
            uri=True,
        )
        try:
            database.execute("BEGIN")  # one moment for all tables
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version != LEDGER_VERSION:
                raise ValueError(
                    f"path must be a ledger of version {LEDGER_VERSION}, got version {version} "
                    f"in {file}: start the simulator once on an older one, it brings it up to date"
                )
            frames = {}
            for name in _TABLES:
                cursor = database.execute(f"SELECT * FROM {name}")
                columns = [column[0] for column in cursor.description]
                frames[name] = pandas.DataFrame(cursor.fetchall(), columns=columns)
        finally:
            database.close()
    except sqlite3.Error as error:
        raise ValueError(f"path must be a ledger, got {file}: {error}") from error
    return _for_people(frames)


def _for_people(frames: dict[str, Any]) -> LedgerTables:
    import pandas

    instruments = frames["instruments"]
    instruments["tick_size"] = instruments["tick_size_e8"] * _E8
    instruments["lot_size"] = instruments["lot_size_e8"] * _E8
    sizes = instruments.set_index("instrument")[["symbol", "tick_size", "lot_size"]]
    for name, time in (("orders", "updated_ns"), ("fills", "time_ns"), ("positions", "time_ns")):
        frame = frames[name]
        frame["time"] = pandas.to_datetime(frame[time], utc=True)
        known = sizes.reindex(frame["instrument"]).set_axis(frame.index)
        frame["symbol"], tick, lot = known["symbol"], known["tick_size"], known["lot_size"]
        if name == "positions":
            _value_positions(frame, tick, lot)
            continue
        frame["side_name"] = frame["side"].map({int(s): s.name for s in Side})
        frame["price"] = frame["price_ticks"] * tick
        frame["quantity"] = frame["qty_lots"] * lot
        if name == "fills":
            frame["fee"] = frame["fee_micro_tick_lots"] * 1e-6 * tick * lot
            frame["kind_name"] = frame["kind"].map({int(k): k.name for k in FillKind})
            frame["liquidity_name"] = frame["liquidity"].map({int(k): k.name for k in Liquidity})
    for column in ("started", "ended"):
        sessions = frames["sessions"]
        sessions[column] = pandas.to_datetime(sessions[f"{column}_ns"], utc=True)
    return LedgerTables(**frames)


def _value_positions(frame: Any, tick: Any, lot: Any) -> None:
    held = frame["position_lots"].where(frame["position_lots"] != 0)  # no position has no price
    frame["position"] = frame["position_lots"] * lot
    frame["average_price"] = frame["cost_half_tick_lots"] / (2 * held) * tick
    frame["mark_price"] = frame["mark_half_ticks"] / 2 * tick
    money = tick * lot
    for part in ("total", "spread", "adverse_selection", "inventory"):
        frame[part] = frame[f"{part}_half_tick_lots"] / 2 * money
    frame["fees"] = frame["fees_micro_tick_lots"] * 1e-6 * money
    frame["funding"] = frame["funding_micro_tick_lots"] * 1e-6 * money
    frame["profit"] = frame["total"] - frame["fees"] + frame["funding"]
