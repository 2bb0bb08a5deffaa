"""The tables and views of the ledger, and how an older ledger becomes one of this version."""

import sqlite3

from mmquant.codes import FeeAsset, FillKind, Liquidity, Side
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

_FROM_2_TO_3 = (
    *(
        f"ALTER TABLE {table} ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0"
        for table, columns in (
            ("fills", ("fee_asset", "fee_amount")),
            ("accounts", ("funded_ns",)),
            ("instruments", ("inverse_scale",)),
            (
                "positions",
                (
                    "cash_half_tick_lots",
                    "base_fees_micro_lots",
                    "base_fees_micro_tick_lots",
                    "other_fees_e8",
                    "other_fees_micro_tick_lots",
                ),
            ),
        )
        for column in columns
    ),
    "ALTER TABLE instruments ADD COLUMN kind TEXT NOT NULL DEFAULT 'linear'",
    "ALTER TABLE instruments ADD COLUMN tick_lot_value REAL NOT NULL DEFAULT 0",
    *(
        f"ALTER TABLE instruments ADD COLUMN {asset}_balance TEXT NOT NULL DEFAULT '0'"
        for asset in ("base", "quote", "other")
    ),
    # Until then every contract was linear, every fee in the quote asset.
    "UPDATE fills SET fee_amount = fee_micro_tick_lots",
    "UPDATE positions SET cash_half_tick_lots = "
    "total_half_tick_lots - position_lots * mark_half_ticks",
    "UPDATE instruments SET tick_lot_value = 1e-16 * tick_size_e8 * lot_size_e8",
    """CREATE TABLE funding (
    instrument TEXT NOT NULL, time_ns INTEGER NOT NULL, session INTEGER NOT NULL,
    rate_e8 INTEGER NOT NULL, price_half_ticks INTEGER NOT NULL, position_lots INTEGER NOT NULL,
    funding_micro_tick_lots INTEGER NOT NULL,
    PRIMARY KEY (instrument, time_ns)) WITHOUT ROWID""",
)


class NewerLedger(sqlite3.DatabaseError):
    """The ledger was written by a newer program."""


def _decimal(number: str, places: int = 8) -> str:
    """Return SQL for a number of 1e-8, or of so many places, as decimal text, exactly."""
    one = 10**places
    digits = f"abs({number}) / {one}, abs({number}) % {one}"
    text = f"printf('%s%d.%0{places}d', CASE WHEN ({number}) < 0 THEN '-' ELSE '' END, {digits})"
    return f"rtrim(rtrim({text}, '0'), '.')"


def _queue(lots: str) -> str:
    """Return SQL for a queue as decimal text; one that is not known (-1) is NULL."""
    return f"CASE WHEN {lots} >= 0 THEN {_decimal(f'{lots} * lot_size_e8')} END"


def _time(ns: str) -> str:
    second = f"strftime('%Y-%m-%d %H:%M:%S', {ns} / 1000000000, 'unixepoch')"
    return f"{second} || printf('.%09d', {ns} % 1000000000)"


def _name(code: str, value: str) -> str:
    return f"(SELECT name FROM names WHERE code = '{code}' AND value = {value})"


_PRICE = _decimal("price_ticks * tick_size_e8")
_QUANTITY = _decimal("qty_lots * lot_size_e8")
_MONEY = "tick_lot_value"
# Lots that were paid as fees are gone: what they were worth then, and now.
_REVALUATION = "(base_fees_micro_tick_lots - base_fees_micro_lots * 0.5 * mark_half_ticks) * 1e-6"
_OUTSIDE = "(base_fees_micro_tick_lots + other_fees_micro_tick_lots)"
_SPENT = f"(fees_micro_tick_lots - {_OUTSIDE} - funding_micro_tick_lots) * 1e-6"
_AVERAGE = """CASE WHEN inverse_scale = 0
        THEN cost_half_tick_lots * 0.5 / nullif(position_lots, 0)
        ELSE -1.0 * inverse_scale * position_lots / nullif(cost_half_tick_lots, 0) END"""
_SIZED = "JOIN instruments USING (instrument)"
_VIEWS = {
    "v_orders": f"""SELECT {_time("o.updated_ns")} AS time, symbol, market, session, order_id,
    {_name("side", "side")} AS side, {_PRICE} AS price, {_QUANTITY} AS quantity,
    {_decimal("filled_lots * lot_size_e8")} AS filled, status, reason
    FROM orders o {_SIZED}""",
    "v_fills": f"""SELECT {_time("time_ns")} AS time, symbol, market, session, fill_id, order_id,
    {_name("side", "side")} AS side, {_PRICE} AS price, {_QUANTITY} AS quantity,
    fee_micro_tick_lots * 1e-6 * {_MONEY} AS fee,
    {_name("fee_asset", "fee_asset")} AS fee_asset,
    CASE fee_asset WHEN {int(FeeAsset.BASE)} THEN fee_amount * 1e-14 * lot_size_e8
        WHEN {int(FeeAsset.OTHER)} THEN fee_amount * 1e-8
        ELSE fee_amount * 1e-6 * {_MONEY} END AS fee_paid,
    {_name("kind", "f.kind")} AS kind,
    {_name("liquidity", "liquidity")} AS liquidity,
    {_decimal("mark_half_ticks * tick_size_e8 * 5", places=9)} AS mid_before,
    {_decimal("position_lots * lot_size_e8")} AS position_after, trade_id,
    {_queue("queue_entry_lots")} AS queue_at_entry,
    {_queue("queue_ahead_lots")} AS queue_at_fill,
    queue_ns * 1e-9 AS seconds_in_queue
    FROM fills f {_SIZED}""",
    "v_positions": f"""SELECT {_time("time_ns")} AS time, symbol, market, session,
    {_decimal("position_lots * lot_size_e8")} AS position,
    {_AVERAGE} * 1e-8 * tick_size_e8 AS average_price,
    mark_half_ticks * 0.5e-8 * tick_size_e8 AS mark_price,
    (total_half_tick_lots * 0.5 - (fees_micro_tick_lots - funding_micro_tick_lots) * 1e-6
        + {_REVALUATION}) * {_MONEY} AS profit,
    spread_half_tick_lots * 0.5 * {_MONEY} AS spread,
    adverse_selection_half_tick_lots * 0.5 * {_MONEY} AS adverse_selection,
    inventory_half_tick_lots * 0.5 * {_MONEY} AS inventory,
    fees_micro_tick_lots * 1e-6 * {_MONEY} AS fees,
    funding_micro_tick_lots * 1e-6 * {_MONEY} AS funding,
    {_REVALUATION} * {_MONEY} AS fee_revaluation, fills
    FROM positions {_SIZED}""",
    "v_balances": f"""SELECT {_time("time_ns")} AS time, symbol, market, session,
    base_balance + (position_lots - base_fees_micro_lots * 1e-6) * lot_size_e8 * 1e-8 AS base,
    quote_balance + (cash_half_tick_lots * 0.5 - {_SPENT}) * {_MONEY} AS quote,
    other_balance - other_fees_e8 * 1e-8 AS other
    FROM positions {_SIZED} WHERE instruments.kind = 'spot'""",
    "v_funding": f"""SELECT {_time("time_ns")} AS time, symbol, market, session,
    rate_e8 * 1e-8 AS rate, price_half_ticks * 0.5e-8 * tick_size_e8 AS price,
    {_decimal("position_lots * lot_size_e8")} AS position,
    funding_micro_tick_lots * 1e-6 * {_MONEY} AS received
    FROM funding {_SIZED}""",
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
            steps = _FROM_2_TO_3 if version == 2 else (*_TABLES, *_FROM_1_TO_2, *_FROM_2_TO_3)
            for statement in steps:
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {LEDGER_VERSION}")
        # Views and names say nothing of their own: they are always those of this program.
        for name, query in _VIEWS.items():
            database.execute(f"DROP VIEW IF EXISTS {name}")
            database.execute(f"CREATE VIEW {name} AS {query}")
        codes = {"side": Side, "kind": FillKind, "liquidity": Liquidity, "fee_asset": FeeAsset}
        rows = [(code, int(one), one.name) for code, kind in codes.items() for one in kind]
        database.executemany("INSERT OR REPLACE INTO names VALUES (?, ?, ?)", rows)
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
