"""ledger file -> DataFrames: the orders, fills and positions that the simulator wrote down."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmquant.codes import FeeAsset, FillKind, Liquidity, Side

__all__ = ["LEDGER_VERSION", "LedgerTables", "read_ledger"]

LEDGER_VERSION = 3
_TABLES = ("orders", "fills", "positions", "funding", "sessions", "instruments")
_NULLABLE = {"sessions": {"ended_ns": "Int64"}}
_E8 = 1e-8
_MICRO = 1e-6
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class LedgerTables:
    """What a ledger holds, as of one moment: a DataFrame a table.

    Attributes
    ----------
    orders, fills, positions, funding, sessions, instruments : DataFrame
        The columns of the tables (docs/ledger.md), exact integers; and for people `time` (UTC),
        `symbol`, `price`, `quantity` and what else has a unit, as floats in the quote or base
        asset (money of an inverse contract: coins), sides and kinds as words.
    """

    orders: Any
    fills: Any
    positions: Any
    funding: Any
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
                frame = pandas.DataFrame(cursor.fetchall(), columns=columns, dtype=object)
                # Whole numbers beside a NULL would become floats, which lose nanoseconds.
                frames[name] = frame.astype(_NULLABLE.get(name, {})).infer_objects()
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
    by_key = instruments.set_index("instrument")
    for name in ("orders", "fills", "positions", "funding"):
        frame = frames[name]
        time = frame["updated_ns" if name == "orders" else "time_ns"]
        frame["time"] = pandas.to_datetime(time, utc=True)
        known = by_key.reindex(frame["instrument"]).set_axis(frame.index)
        frame["symbol"], tick, lot = known["symbol"], known["tick_size"], known["lot_size"]
        if name == "positions":
            _value_positions(frame, known)
            continue
        if name == "funding":
            frame["rate"] = frame["rate_e8"] * _E8
            frame["price"] = frame["price_half_ticks"] / 2 * tick
            frame["position"] = frame["position_lots"] * lot
            frame["received"] = frame["funding_micro_tick_lots"] * _MICRO * known["tick_lot_value"]
            continue
        frame["side_name"] = frame["side"].map({int(s): s.name for s in Side})
        frame["price"] = frame["price_ticks"] * tick
        frame["quantity"] = frame["qty_lots"] * lot
        if name == "fills":
            _value_fees(frame, known)
            frame["kind_name"] = frame["kind"].map({int(k): k.name for k in FillKind})
            frame["liquidity_name"] = frame["liquidity"].map({int(k): k.name for k in Liquidity})
    for column in ("started", "ended"):
        sessions = frames["sessions"]
        sessions[column] = pandas.to_datetime(sessions[f"{column}_ns"], utc=True)
    return LedgerTables(**frames)


def _value_fees(frame: Any, known: Any) -> None:
    """Say what a fee was worth, in which asset it was paid, and how much of that."""
    money = known["tick_lot_value"]
    frame["fee"] = frame["fee_micro_tick_lots"] * _MICRO * money
    unit = _MICRO * money
    unit = unit.where(frame["fee_asset"] != FeeAsset.BASE, _MICRO * known["lot_size"])
    unit = unit.where(frame["fee_asset"] != FeeAsset.OTHER, _E8)
    frame["fee_paid"] = frame["fee_amount"] * unit
    frame["fee_asset_name"] = frame["fee_asset"].map({int(a): a.name for a in FeeAsset})


def _value_positions(frame: Any, known: Any) -> None:
    tick, lot, money = known["tick_size"], known["lot_size"], known["tick_lot_value"]
    lots = frame["position_lots"].astype(float)  # integers would wrap: a scale is up to 1e14
    held = lots.where(lots != 0)  # no position has no price
    frame["position"] = lots * lot
    cost, scale = frame["cost_half_tick_lots"], known["inverse_scale"]
    linear, inverse = cost / (2 * held), -scale * held / cost.where(cost != 0)
    frame["average_price"] = linear.where(scale == 0, inverse) * tick
    frame["mark_price"] = frame["mark_half_ticks"] / 2 * tick
    for part in ("total", "spread", "adverse_selection", "inventory"):
        frame[part] = frame[f"{part}_half_tick_lots"] / 2 * money
    frame["cash"] = frame["cash_half_tick_lots"] / 2 * money
    frame["fees"] = frame["fees_micro_tick_lots"] * _MICRO * money
    frame["funding"] = frame["funding_micro_tick_lots"] * _MICRO * money
    coins, coins_then = frame["base_fees_micro_lots"], frame["base_fees_micro_tick_lots"]
    now = coins * (frame["mark_half_ticks"] / 2)
    frame["fee_revaluation"] = (coins_then - now) * _MICRO * money
    frame["profit"] = frame["total"] - frame["fees"] + frame["funding"] + frame["fee_revaluation"]
    is_spot = known["kind"] == "spot"
    elsewhere = (coins_then + frame["other_fees_micro_tick_lots"]) * _MICRO * money
    held = {
        "base": frame["position"] - coins * _MICRO * lot,
        "quote": frame["cash"] - frame["fees"] + elsewhere + frame["funding"],
        "other": -_E8 * frame["other_fees_e8"],
    }
    for asset, amount in held.items():
        column = f"{asset}_balance"
        frame[column] = (known[column].astype(float) + amount).where(is_spot)
