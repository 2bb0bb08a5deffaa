"""The ledger: orders, fills, funding and accounts in SQLite, written before it is published.

A fill's key is (instrument, fill_id), an order's (instrument, order_id), a payment of funding's
(instrument, time_ns): writing one again changes nothing. The account is stored as its record's
bytes, together with the fills and payments that led to it, in one transaction: after a kill at
any instruction the file holds both or neither.

It stays bounded: fills are kept for ever, of the orders without a fill the newest, of positions
each for a day, one a minute for 90 days.
"""

import hashlib
import json
import logging
import math
import os
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from mm_runtime.agent import CannotStart
from numpy.typing import NDArray

from mm_simulator.desk import Paid
from mm_simulator.ledger_schema import prepare
from mmquant.account_settings import AccountKind
from mmquant.codes import FeeAsset, Market, OrderStatus, Reason, Side, Template
from mmquant.kernels.accounting import account_replay
from mmquant.records import FILL
from mmquant.state import ACCOUNT

__all__ = ["Ledger", "LedgerError", "Restored", "pack", "unpack"]


def _layout(fields: list[Any]) -> str:
    return hashlib.sha256(repr(fields).encode()).hexdigest()[:16]


_LAYOUT = _layout(ACCOUNT.descr)
# Fields are only appended: an account of fewer has zeros for the others.
_LAYOUTS = {
    _layout(ACCOUNT.descr[:k]): np.dtype(ACCOUNT.descr[:k]).itemsize
    for k in range(1, len(ACCOUNT.descr) + 1)
}
_ALIVE = (OrderStatus.NEW.name, OrderStatus.OPEN.name)
_ORDER_FIELDS = (
    "order_id",
    "quotes_seq",
    "side",
    "price_ticks",
    "qty_lots",
    "filled_lots",
    "client_id",
    "known_ns",
)
_FILL_FIELDS = (
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
    "client_id",
    "queue_entry_lots",
    "queue_ahead_lots",
    "queue_ns",
    "known_ns",
)
_POSITION_FIELDS = (
    "position_lots",
    "mark_half_ticks",
    "cost_half_tick_lots",
    "spread_half_tick_lots",
    "adverse_selection_half_tick_lots",
    "inventory_half_tick_lots",
    "fees_micro_tick_lots",
    "funding_micro_tick_lots",
    "turnover_tick_lots",
    "fills",
    "cash_half_tick_lots",
    "base_fees_micro_lots",
    "base_fees_micro_tick_lots",
    "other_fees_e8",
    "other_fees_micro_tick_lots",
)
_WHO = {
    "tick_size_e8": "the venue",
    "lot_size_e8": "the venue",
    "inverse_scale": "account.kind of simulator.toml",
    "tick_lot_value": "account.contract_size of simulator.toml",
}
_ROUNDING = 1e-12  # of sizes that were computed in another order
_MINUTE_NS = 60 * 10**9
_DAY_NS = 24 * 60 * _MINUTE_NS
_KEPT_DAYS = 90
_KEPT_ORDERS = 1_000_000  # an instrument, without a fill
_PRUNE_POSITIONS = 600  # written between two looks at what is too old


class LedgerError(CannotStart):
    """The file cannot be used, or what it holds does not add up."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What an instrument's earlier sessions left."""

    account: NDArray[Any]
    next_order_id: int
    open_orders: list[tuple[int, int, int, int, int]]  # id, side, price, quantity, filled
    funded_ns: int  # up to when funding is booked; 0: nobody knows


def pack(restored: Restored | None) -> bytes:
    """Return what was restored as bytes, for the journal of a session."""
    if restored is None:
        return b""
    account = restored.account.tobytes().hex()
    rest = [restored.next_order_id, restored.open_orders, restored.funded_ns]
    return json.dumps([account, *rest]).encode()


def unpack(data: bytes) -> Restored | None:
    """Return what `pack` was given."""
    if not data:
        return None
    account, next_order_id, orders, funded_ns = json.loads(data)
    state = np.frombuffer(bytearray.fromhex(account), ACCOUNT)
    return Restored(state, next_order_id, [tuple(order) for order in orders], funded_ns)


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
            prepare(self._db)
            row = self._db.execute(
                "INSERT INTO sessions (started_ns, pid) VALUES (?, ?) RETURNING session",
                (now_ns, os.getpid()),
            ).fetchone()
        except sqlite3.Error as error:
            self._db.close()
            raise LedgerError(f"{path}: {error}") from error
        self._kept_ns: dict[str, int] = {}
        self._until_prune: dict[str, int] = {}
        self.path = path
        self.session = int(row[0])
        self.is_closed = False

    def keep_instrument(
        self, instrument: str, record: NDArray[Any], kind: AccountKind, now_ns: int
    ) -> None:
        """Write down the symbol, what ticks and lots of `instrument` stand for, and its account.

        Parameters
        ----------
        instrument
            Its key in the ledger.
        record
            records.INSTRUMENT, shape (1,).
        kind
            What its account is.
        now_ns
            Present time.

        Raises
        ------
        LedgerError
            Where the venue has changed a size, or somebody the account, since the fills were
            counted in it.
        """
        row = record[0]
        counted = {
            "tick_size_e8": int(row["tick_size_e8"]),
            "lot_size_e8": int(row["lot_size_e8"]),
            "inverse_scale": kind.inverse_scale,
            "tick_lot_value": kind.tick_lot_value,
            "base_balance": str(kind.base_balance),
            "quote_balance": str(kind.quote_balance),
            "other_balance": str(kind.other_balance),
        }
        known = self._db.execute(
            f"SELECT {', '.join(counted)} FROM instruments WHERE instrument = ? AND "
            "EXISTS (SELECT 1 FROM fills WHERE fills.instrument = instruments.instrument)",
            (instrument,),
        ).fetchone()
        for (name, now), then in zip(counted.items(), known or (), strict=False):
            if _differ(then, now):
                who = _WHO.get(name, f"account.{name} of simulator.toml")
                raise LedgerError(
                    f"{self.path}: the fills of {instrument} are counted with {name} {then}, {who} "
                    f"now has {now}: keep this file and begin another one"
                )
        head = {
            "instrument": instrument,
            "symbol": row["symbol"].decode(),
            "market": Market(int(row["market"])).name,
            "kind": kind.kind,
            "updated_ns": now_ns,
        }
        self._insert("INSERT OR REPLACE INTO instruments", head | counted)

    def restore(self, instrument: str) -> Restored | None:
        """Return what earlier sessions left of `instrument`; None where there were none.

        An account of another version's layout is counted anew from its fills: position,
        total, spread and fees are exact, markouts are lost.

        Raises
        ------
        LedgerError
            Where the account does not match the sum of the fills, or a fill is missing: going on
            would lose money without a trace.
        """
        row = self._db.execute(
            "SELECT layout, state, funded_ns FROM accounts WHERE instrument = ?", (instrument,)
        ).fetchone()
        (is_known,) = self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM orders WHERE instrument = ?)", (instrument,)
        ).fetchone()
        if row is None and not is_known:
            return None
        layout, state, funded_ns = row or ("none", b"", 0)
        if len(state) == _LAYOUTS.get(layout):
            account = np.frombuffer(bytearray(state).ljust(ACCOUNT.itemsize, b"\0"), ACCOUNT)
        else:
            account = self._replay(instrument)
        position, fills, last = self._db.execute(
            "SELECT COALESCE(SUM(side * qty_lots), 0), COUNT(*), COALESCE(MAX(fill_id), 0) "
            "FROM fills WHERE instrument = ?",
            (instrument,),
        ).fetchone()
        if position != account[0]["position_lots"]:
            raise LedgerError(
                f"{self.path}: {instrument} holds {account[0]['position_lots']} lots, "
                f"its fills add up to {position}"
            )
        if not fills == last == account[0]["last_fill_id"]:
            raise LedgerError(
                f"{self.path}: {instrument} has had {account[0]['last_fill_id']} fills, "
                f"{fills} are written down, the last of them with id {last}"
            )
        (paid,) = self._db.execute(
            "SELECT COALESCE(SUM(funding_micro_tick_lots), 0) FROM funding WHERE instrument = ?",
            (instrument,),
        ).fetchone()
        if paid != account[0]["funding_micro_tick_lots"]:
            raise LedgerError(
                f"{self.path}: {instrument} has received "
                f"{account[0]['funding_micro_tick_lots']} millionths of a tick-lot of funding, "
                f"its payments add up to {paid}"
            )
        open_orders = self._db.execute(
            "SELECT order_id, side, price_ticks, qty_lots, filled_lots FROM orders "
            f"WHERE instrument = ? AND status IN {_ALIVE}",
            (instrument,),
        ).fetchall()
        (last_order_id,) = self._db.execute(
            "SELECT COALESCE(MAX(order_id), 0) FROM orders WHERE instrument = ?", (instrument,)
        ).fetchone()
        return Restored(account, last_order_id + 1, open_orders, funded_ns)

    def _replay(self, instrument: str) -> NDArray[Any]:
        """Return the account that all fills and payments lead to."""
        names = [name for name in _FILL_FIELDS if name in (FILL.names or ())]
        columns = ", ".join("time_ns" if name == "now_ns" else name for name in names)
        rows = self._db.execute(
            f"SELECT {columns} FROM fills WHERE instrument = ? ORDER BY fill_id", (instrument,)
        ).fetchall()
        fills = np.zeros(len(rows), FILL)
        for name, values in zip(names, zip(*rows, strict=True), strict=False):
            fills[name] = values
        account = np.zeros(1, ACCOUNT)
        (account[0]["inverse_scale"],) = self._db.execute(
            "SELECT COALESCE(MAX(inverse_scale), 0) FROM instruments WHERE instrument = ?",
            (instrument,),
        ).fetchone()
        code = account_replay(account, fills)
        if code < 0:
            raise LedgerError(
                f"{self.path}: {instrument}: the fills before fill {fills[-1 - code]['fill_id']} "
                "do not add up to the position it ends at"
            )
        self._put_payments(instrument, account[0])
        logging.getLogger("mm_simulator").warning(
            "%s has no account of this version: counted anew from %d fills", instrument, code
        )
        return account

    def _put_payments(self, instrument: str, account: Any) -> None:
        """Set what fills alone do not tell: fees by asset, and funding."""
        for asset, amount, worth in (
            (FeeAsset.BASE, "base_fees_micro_lots", "base_fees_micro_tick_lots"),
            (FeeAsset.OTHER, "other_fees_e8", "other_fees_micro_tick_lots"),
        ):
            account[amount], account[worth] = self._db.execute(
                "SELECT COALESCE(SUM(fee_amount), 0), COALESCE(SUM(fee_micro_tick_lots), 0) "
                "FROM fills WHERE instrument = ? AND fee_asset = ?",
                (instrument, int(asset)),
            ).fetchone()
        (account["funding_micro_tick_lots"],) = self._db.execute(
            "SELECT COALESCE(SUM(funding_micro_tick_lots), 0) FROM funding WHERE instrument = ?",
            (instrument,),
        ).fetchone()

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
        payments: Iterable[Paid] = (),
        funded_ns: int = 0,
    ) -> None:
        """Store what happened and the account it led to (None: unchanged), in one transaction.

        Raises
        ------
        sqlite3.Error
            Where nothing could be written: the file is as it was before.
        LedgerError
            Where another fill or payment of the same key is there already.
        """
        execute = self._db.execute
        execute("BEGIN IMMEDIATE")
        try:
            for event in events:
                if event["template_id"] == Template.FILL:
                    self._write_fill(instrument, event, account)
                else:
                    self._write_order(instrument, event)
            for paid in payments:
                self._insert_once("funding", "time_ns", instrument, asdict(paid))
            if account is not None:
                position = int(account[0]["position_lots"])
                execute(
                    "INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?, ?)",
                    (instrument, _LAYOUT, account.tobytes(), position, now_ns, funded_ns),
                )
                if now_ns:  # before the market's first message there is no time
                    self._write_position(instrument, account, now_ns)
            execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk has ended it already
                execute("ROLLBACK")
            raise

    def close(self, now_ns: int | None = None) -> None:
        """Close the file; with a time, say that the session ended then in good order."""
        try:
            if now_ns is not None:
                self._db.execute(
                    "UPDATE sessions SET ended_ns = ? WHERE session = ?", (now_ns, self.session)
                )
        finally:
            self._db.close()
            self.is_closed = True

    def _write_order(self, instrument: str, event: np.void) -> None:
        self._insert(
            "INSERT OR REPLACE INTO orders",
            {
                "instrument": instrument,
                "session": self.session,
                **_integers(event, _ORDER_FIELDS),
                "status": OrderStatus(int(event["status"])).name,
                "reason": Reason(int(event["reason"])).name,
                "updated_ns": int(event["now_ns"]),
            },
        )

    def _write_fill(self, instrument: str, event: np.void, account: NDArray[Any] | None) -> None:
        row = _integers(event, _FILL_FIELDS)
        row["time_ns"] = row.pop("now_ns")
        row["fee_asset"], row["fee_amount"] = _fee_paid(row, account)
        self._insert_once("fills", "fill_id", instrument, row)

    def _write_position(self, instrument: str, account: NDArray[Any], now_ns: int) -> None:
        """Add a row to the positions; the first one of a minute is kept for long."""
        row = _integers(account[0], _POSITION_FIELDS)
        parts = ("spread", "adverse_selection", "inventory")
        row["total_half_tick_lots"] = sum(row[f"{part}_half_tick_lots"] for part in parts)
        kept_ns = self._kept_ns.get(instrument, -_MINUTE_NS)
        is_first = now_ns // _MINUTE_NS != kept_ns // _MINUTE_NS
        row["is_kept"] = int(is_first or now_ns == kept_ns)  # also where it is written once more
        if is_first:
            self._kept_ns[instrument] = now_ns
        head = {"instrument": instrument, "session": self.session, "time_ns": now_ns}
        self._insert("INSERT OR REPLACE INTO positions", {**head, **row})
        left = self._until_prune.get(instrument, 0)
        self._until_prune[instrument] = left - 1 if left else _PRUNE_POSITIONS
        if left == 0:
            self._prune(instrument, now_ns)

    def _prune(self, instrument: str, now_ns: int) -> None:
        """Forget positions that are too old, and orders without a fill beyond the newest."""
        self._db.execute(
            "DELETE FROM positions WHERE instrument = ? AND (time_ns < ? OR time_ns < ? "
            "AND is_kept = 0)",
            (instrument, now_ns - _KEPT_DAYS * _DAY_NS, now_ns - _DAY_NS),
        )
        self._db.execute(
            "DELETE FROM orders WHERE instrument = ? AND filled_lots = 0 "
            f"AND status NOT IN {_ALIVE} AND order_id <= "
            "(SELECT MAX(order_id) FROM orders WHERE instrument = ?) - ?",
            (instrument, instrument, _KEPT_ORDERS),
        )

    def _insert_once(self, table: str, key: str, instrument: str, row: dict[str, Any]) -> None:
        """Add a row; where its key is there already, it must say the same."""
        head = {"instrument": instrument, "session": self.session}
        if self._insert(f"INSERT OR IGNORE INTO {table}", head | row) == 1:
            return
        known = self._db.execute(
            f"SELECT {', '.join(row)} FROM {table} WHERE instrument = ? AND {key} = ?",
            (instrument, row[key]),
        ).fetchone()
        if known != tuple(row.values()):
            raise LedgerError(
                f"{self.path}: {table} of {instrument}: {key} {row[key]} must be written once, "
                f"got {tuple(row.values())} where {known} is written: keep this file and begin "
                "another one"
            )

    def _insert(self, insert: str, row: dict[str, Any]) -> int:
        """Return how many rows that has written."""
        columns, marks = ", ".join(row), ", ".join("?" * len(row))
        statement = f"{insert} ({columns}) VALUES ({marks})"
        return self._db.execute(statement, tuple(row.values())).rowcount


def _differ(then: Any, now: Any) -> bool:
    """Tell whether two figures differ: decimals as text, floats but for their rounding."""
    if isinstance(then, str):
        return Decimal(then) != Decimal(now)
    return not math.isclose(then, now, rel_tol=_ROUNDING)


def _fee_paid(fill: dict[str, int], account: NDArray[Any] | None) -> tuple[int, int]:
    """Return the asset that a fee was paid in, and how much of it, as the account has it.

    In millionths of a lot, units of 1e-8 of the third asset, or millionths of a tick-lot.
    """
    fee = fill["fee_micro_tick_lots"]
    if account is None:
        return int(FeeAsset.QUOTE), fee
    asset, price = (int(account[0][n]) for n in ("fee_asset", "other_price_micro_tick_lots"))
    if asset == FeeAsset.BASE or (asset == FeeAsset.RECEIVED and fill["side"] == Side.BUY):
        return int(FeeAsset.BASE), fee // fill["price_ticks"]  # exact: it is a multiple
    if asset == FeeAsset.OTHER and price > 0:
        return int(FeeAsset.OTHER), fee * 100_000_000 // price
    return int(FeeAsset.QUOTE), fee


def _integers(row: np.void, names: tuple[str, ...]) -> dict[str, int]:
    return {name: int(row[name]) for name in names}
