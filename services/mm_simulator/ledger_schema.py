"""The tables and views of the ledger, and how an older ledger becomes one of this version."""

import sqlite3

from mmquant.codes import FillKind, Liquidity, Side
from mmquant.ledger import LEDGER_VERSION

__all__ = ["NewerLedger", "prepare"]

_TABLES = (
    """CREATE TABLE IF NOT EXISTS sessions (
    session INTEGER PRIMARY KEY, started_ns INTEGER NOT NULL, pid INTEGER NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS orders (
    instrument TEXT NOT NULL, order_id INTEGER NOT NULL, session INTEGER NOT NULL,
    quotes_seq INTEGER NOT NULL, side INTEGER NOT NULL, price_ticks INTEGER NOT NULL,
    qty_lots INTEGER NOT NULL, filled_lots INTEGER NOT NULL, status TEXT NOT NULL,
    reason TEXT NOT NULL, updated_ns INTEGER NOT NULL,
    PRIMARY KEY (instrument, order_id)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS fills (
    instrument TEXT NOT NULL, fill_id INTEGER NOT NULL, session INTEGER NOT NULL,
    order_id INTEGER NOT NULL, trade_id INTEGER NOT NULL, time_ns INTEGER NOT NULL,
    side INTEGER NOT NULL, price_ticks INTEGER NOT NULL, qty_lots INTEGER NOT NULL,
    fee_micro_tick_lots INTEGER NOT NULL, mark_half_ticks INTEGER NOT NULL,
    position_lots INTEGER NOT NULL, kind INTEGER NOT NULL, liquidity INTEGER NOT NULL,
    PRIMARY KEY (instrument, fill_id)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS accounts (
    instrument TEXT PRIMARY KEY, layout TEXT NOT NULL, state BLOB NOT NULL,
    position_lots INTEGER NOT NULL, updated_ns INTEGER NOT NULL) WITHOUT ROWID""",
)
# Version 1 had the tables above and no version number.
_FROM_1_TO_2 = (
    "ALTER TABLE sessions ADD COLUMN ended_ns INTEGER",
    *(
        f"ALTER TABLE {table} ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0"
        for table, columns in (
            ("orders", ("client_id", "known_ns")),
            (
                "fills",
                ("client_id", "queue_entry_lots", "queue_ahead_lots", "queue_ns", "known_ns"),
            ),
        )
        for column in columns
    ),
    """CREATE TABLE instruments (
    instrument TEXT PRIMARY KEY, symbol TEXT NOT NULL, market TEXT NOT NULL,
    tick_size_e8 INTEGER NOT NULL, lot_size_e8 INTEGER NOT NULL, updated_ns INTEGER NOT NULL)
    WITHOUT ROWID""",
    """CREATE TABLE positions (
    instrument TEXT NOT NULL, session INTEGER NOT NULL, time_ns INTEGER NOT NULL,
    position_lots INTEGER NOT NULL, mark_half_ticks INTEGER NOT NULL,
    cost_half_tick_lots INTEGER NOT NULL, total_half_tick_lots INTEGER NOT NULL,
    spread_half_tick_lots INTEGER NOT NULL, adverse_selection_half_tick_lots INTEGER NOT NULL,
    inventory_half_tick_lots INTEGER NOT NULL, fees_micro_tick_lots INTEGER NOT NULL,
    funding_micro_tick_lots INTEGER NOT NULL, turnover_tick_lots INTEGER NOT NULL,
    fills INTEGER NOT NULL, is_kept INTEGER NOT NULL,
    PRIMARY KEY (instrument, session, time_ns)) WITHOUT ROWID""",
    """CREATE TABLE names (
    code TEXT NOT NULL, value INTEGER NOT NULL, name TEXT NOT NULL,
    PRIMARY KEY (code, value)) WITHOUT ROWID""",
)


class NewerLedger(sqlite3.DatabaseError):
    """The ledger was written by a newer program."""


def _decimal(e8: str) -> str:
    """Return SQL for a number of 1e-8 as decimal text, exactly."""
    digits = f"abs({e8}) / 100000000, abs({e8}) % 100000000"
    text = f"printf('%s%d.%08d', CASE WHEN ({e8}) < 0 THEN '-' ELSE '' END, {digits})"
    return f"rtrim(rtrim({text}, '0'), '.')"


def _time(ns: str) -> str:
    second = f"strftime('%Y-%m-%d %H:%M:%S', {ns} / 1000000000, 'unixepoch')"
    return f"{second} || printf('.%09d', {ns} % 1000000000)"


def _name(code: str, value: str) -> str:
    return f"(SELECT name FROM names WHERE code = '{code}' AND value = {value})"


_PRICE = _decimal("price_ticks * tick_size_e8")
_QUANTITY = _decimal("qty_lots * lot_size_e8")
_MONEY = "1e-16 * tick_size_e8 * lot_size_e8"
_SIZED = "JOIN instruments USING (instrument)"
_VIEWS = {
    "v_orders": f"""SELECT {_time("o.updated_ns")} AS time, symbol, market, session, order_id,
    {_name("side", "side")} AS side, {_PRICE} AS price, {_QUANTITY} AS quantity,
    {_decimal("filled_lots * lot_size_e8")} AS filled, status, reason
    FROM orders o {_SIZED}""",
    "v_fills": f"""SELECT {_time("time_ns")} AS time, symbol, market, session, fill_id, order_id,
    {_name("side", "side")} AS side, {_PRICE} AS price, {_QUANTITY} AS quantity,
    fee_micro_tick_lots * 1e-6 * {_MONEY} AS fee, {_name("kind", "kind")} AS kind,
    {_name("liquidity", "liquidity")} AS liquidity,
    {_decimal("mark_half_ticks * tick_size_e8 / 2")} AS mid_before,
    {_decimal("position_lots * lot_size_e8")} AS position_after, trade_id,
    {_decimal("queue_entry_lots * lot_size_e8")} AS queue_at_entry,
    {_decimal("queue_ahead_lots * lot_size_e8")} AS queue_at_fill,
    queue_ns * 1e-9 AS seconds_in_queue
    FROM fills {_SIZED}""",
    "v_positions": f"""SELECT {_time("time_ns")} AS time, symbol, market, session,
    {_decimal("position_lots * lot_size_e8")} AS position,
    cost_half_tick_lots * 0.5e-8 * tick_size_e8 / nullif(position_lots, 0) AS average_price,
    mark_half_ticks * 0.5e-8 * tick_size_e8 AS mark_price,
    (total_half_tick_lots * 0.5 - (fees_micro_tick_lots - funding_micro_tick_lots) * 1e-6)
        * {_MONEY} AS profit,
    spread_half_tick_lots * 0.5 * {_MONEY} AS spread,
    adverse_selection_half_tick_lots * 0.5 * {_MONEY} AS adverse_selection,
    inventory_half_tick_lots * 0.5 * {_MONEY} AS inventory,
    fees_micro_tick_lots * 1e-6 * {_MONEY} AS fees,
    funding_micro_tick_lots * 1e-6 * {_MONEY} AS funding, fills
    FROM positions {_SIZED}""",
    "v_sessions": f"""SELECT session, {_time("started_ns")} AS started,
    {_time("ended_ns")} AS ended, pid,
    (SELECT count(*) FROM fills f WHERE f.session = s.session) AS fills
    FROM sessions s""",
}


def prepare(database: sqlite3.Connection) -> None:
    """Make an empty file, or a ledger of an older version, one of this version; all or nothing.

    Raises
    ------
    NewerLedger
        Where a newer program wrote it: what this one does not know it could destroy.
    sqlite3.Error
        Where it is no ledger.
    """
    database.execute("BEGIN IMMEDIATE")
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > LEDGER_VERSION:
            raise NewerLedger(
                f"a ledger of version {version}, this program knows up to {LEDGER_VERSION}: "
                "use the newer program, or another file"
            )
        if version < LEDGER_VERSION:
            for statement in (*_TABLES, *_FROM_1_TO_2):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {LEDGER_VERSION}")
        # Views and names say nothing of their own: they are always those of this program.
        for name, query in _VIEWS.items():
            database.execute(f"DROP VIEW IF EXISTS {name}")
            database.execute(f"CREATE VIEW {name} AS {query}")
        codes = {"side": Side, "kind": FillKind, "liquidity": Liquidity}
        rows = [(code, int(one), one.name) for code, kind in codes.items() for one in kind]
        database.executemany("INSERT OR REPLACE INTO names VALUES (?, ?, ?)", rows)
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
