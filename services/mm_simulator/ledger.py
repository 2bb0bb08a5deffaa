"""The ledger: orders, fills and accounts in SQLite, written before anything is published.

A fill's key is (instrument, fill_id), an order's (instrument, order_id): writing one again
changes nothing. The account is stored as its record's bytes, together with the fills that led
to it, in one transaction: after a kill at any instruction the file holds both or neither.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mm_runtime.agent import CannotStart
from numpy.typing import NDArray

from mmquant.codes import OrderStatus, Reason, Template
from mmquant.state import ACCOUNT

__all__ = ["Ledger", "LedgerError", "Restored", "pack", "unpack"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    session INTEGER PRIMARY KEY, started_ns INTEGER NOT NULL, pid INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS orders (
    instrument TEXT NOT NULL, order_id INTEGER NOT NULL, session INTEGER NOT NULL,
    quotes_seq INTEGER NOT NULL, side INTEGER NOT NULL, price_ticks INTEGER NOT NULL,
    qty_lots INTEGER NOT NULL, filled_lots INTEGER NOT NULL, status TEXT NOT NULL,
    reason TEXT NOT NULL, updated_ns INTEGER NOT NULL,
    PRIMARY KEY (instrument, order_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fills (
    instrument TEXT NOT NULL, fill_id INTEGER NOT NULL, session INTEGER NOT NULL,
    order_id INTEGER NOT NULL, trade_id INTEGER NOT NULL, time_ns INTEGER NOT NULL,
    side INTEGER NOT NULL, price_ticks INTEGER NOT NULL, qty_lots INTEGER NOT NULL,
    fee_micro_tick_lots INTEGER NOT NULL, mark_half_ticks INTEGER NOT NULL,
    position_lots INTEGER NOT NULL, kind INTEGER NOT NULL, liquidity INTEGER NOT NULL,
    PRIMARY KEY (instrument, fill_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (
    instrument TEXT PRIMARY KEY, layout TEXT NOT NULL, state BLOB NOT NULL,
    position_lots INTEGER NOT NULL, updated_ns INTEGER NOT NULL) WITHOUT ROWID;
"""
_LAYOUT = hashlib.sha256(repr(ACCOUNT.descr).encode()).hexdigest()[:16]
_ALIVE = (OrderStatus.NEW.name, OrderStatus.OPEN.name)


class LedgerError(CannotStart):
    """The file cannot be used, or what it holds does not add up."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What an instrument's earlier sessions left."""

    account: NDArray[Any]
    next_order_id: int
    open_orders: list[tuple[int, int, int, int, int]]  # id, side, price, quantity, filled


def pack(restored: Restored | None) -> bytes:
    """Return what was restored as bytes, for the journal of a session."""
    if restored is None:
        return b""
    account = restored.account.tobytes().hex()
    return json.dumps([account, restored.next_order_id, restored.open_orders]).encode()


def unpack(data: bytes) -> Restored | None:
    """Return what `pack` was given."""
    if not data:
        return None
    account, next_order_id, orders = json.loads(data)
    state = np.frombuffer(bytearray.fromhex(account), ACCOUNT)
    return Restored(state, next_order_id, [tuple(order) for order in orders])


class Ledger:
    """One SQLite file in WAL mode.

    Parameters
    ----------
    path
        The file; made with its folder where it does not exist.
    synchronous
        "FULL": a published fill survives loss of power; "NORMAL": a kill of the process only.
    now_ns
        Start of the session.

    Raises
    ------
    LedgerError
        Where the file is not a ledger or cannot be opened.
    """

    def __init__(self, path: Path, synchronous: str, now_ns: int) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(f"{path}: {error}") from error
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(f"PRAGMA synchronous={synchronous}")
            self._db.executescript(_SCHEMA)
            row = self._db.execute(
                "INSERT INTO sessions (started_ns, pid) VALUES (?, ?) RETURNING session",
                (now_ns, os.getpid()),
            ).fetchone()
        except sqlite3.Error as error:
            self._db.close()
            raise LedgerError(f"{path}: {error}") from error
        self.path = path
        self.session = int(row[0])

    def restore(self, instrument: str) -> Restored | None:
        """Return what earlier sessions left of `instrument`; None where there were none.

        Raises
        ------
        LedgerError
            Where the account does not match the sum of the fills, or was written by a version
            with another layout: going on would lose money without a trace.
        """
        row = self._db.execute(
            "SELECT layout, state FROM accounts WHERE instrument = ?", (instrument,)
        ).fetchone()
        if row is None:
            return None
        layout, state = row
        if layout != _LAYOUT:
            raise LedgerError(f"{self.path}: {instrument} was written by another version")
        account = np.frombuffer(bytearray(state), ACCOUNT)
        (position,) = self._db.execute(
            "SELECT COALESCE(SUM(side * qty_lots), 0) FROM fills WHERE instrument = ?",
            (instrument,),
        ).fetchone()
        if position != account[0]["position_lots"]:
            raise LedgerError(
                f"{self.path}: {instrument} holds {account[0]['position_lots']} lots, "
                f"its fills add up to {position}"
            )
        open_orders = self._db.execute(
            "SELECT order_id, side, price_ticks, qty_lots, filled_lots FROM orders "
            f"WHERE instrument = ? AND status IN {_ALIVE}",
            (instrument,),
        ).fetchall()
        (last_order_id,) = self._db.execute(
            "SELECT COALESCE(MAX(order_id), 0) FROM orders WHERE instrument = ?", (instrument,)
        ).fetchone()
        return Restored(account, last_order_id + 1, open_orders)

    def cancel_open_orders(self, instrument: str, now_ns: int) -> None:
        """Mark the orders of a session that ended without a word."""
        self._db.execute(
            "UPDATE orders SET status = ?, reason = ?, updated_ns = ? "
            f"WHERE instrument = ? AND status IN {_ALIVE}",
            (OrderStatus.CANCELLED.name, Reason.RESTARTED.name, now_ns, instrument),
        )

    def write(
        self,
        instrument: str,
        events: Iterable[np.void],
        account: NDArray[Any] | None,
        now_ns: int,
    ) -> None:
        """Store what happened and the account it led to (None: unchanged), in one transaction."""
        execute = self._db.execute
        execute("BEGIN IMMEDIATE")
        try:
            for event in events:
                if event["template_id"] == Template.FILL:
                    self._write_fill(instrument, event)
                else:
                    self._write_order(instrument, event)
            if account is not None:
                position = int(account[0]["position_lots"])
                execute(
                    "INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?)",
                    (instrument, _LAYOUT, account.tobytes(), position, now_ns),
                )
            execute("COMMIT")
        except BaseException:
            execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _write_order(self, instrument: str, event: np.void) -> None:
        order = _integers(
            event, "order_id", "quotes_seq", "side", "price_ticks", "qty_lots", "filled_lots"
        )
        order_id, *rest = order
        self._db.execute(
            "INSERT OR REPLACE INTO orders (instrument, order_id, session, quotes_seq, side, "
            "price_ticks, qty_lots, filled_lots, status, reason, updated_ns) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                instrument,
                order_id,
                self.session,
                *rest,
                OrderStatus(int(event["status"])).name,
                Reason(int(event["reason"])).name,
                int(event["now_ns"]),
            ),
        )

    def _write_fill(self, instrument: str, event: np.void) -> None:
        fill_id, *rest = _integers(
            event,
            "fill_id",
            "order_id",
            "trade_id",
            "now_ns",
            "side",
            "price_ticks",
            "qty_lots",
            "fee_micro_tick_lots",
            "mark_half_ticks",
            "position_lots",
            "kind",
            "liquidity",
        )
        self._db.execute(
            "INSERT OR IGNORE INTO fills (instrument, fill_id, session, order_id, trade_id, "
            "time_ns, side, price_ticks, qty_lots, fee_micro_tick_lots, mark_half_ticks, "
            "position_lots, kind, liquidity) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (instrument, fill_id, self.session, *rest),
        )


def _integers(event: np.void, *names: str) -> list[int]:
    return [int(event[name]) for name in names]
