"""The ledger: what was written is what comes back, and what does not add up is refused."""

import contextlib
import sqlite3

import numpy as np
import pytest
from mm_simulator.ledger import Ledger, LedgerError

from mmquant.codes import OrderStatus, Reason, Template
from mmquant.kernels.accounting import account_fill
from mmquant.state import ACCOUNT, EVENT

KEY = "usdm:BTCUSDT"


def fill_event(account, order_id, side, price_ticks, qty_lots):
    fee = account_fill(account, side, price_ticks, qty_lots, 200, 2 * price_ticks, 10, 1_000)
    event = np.zeros(1, EVENT)[0]
    event["template_id"] = Template.FILL
    event["fill_id"] = account[0]["last_fill_id"]
    event["order_id"], event["side"] = order_id, side
    event["price_ticks"], event["qty_lots"] = price_ticks, qty_lots
    event["fee_micro_tick_lots"] = fee
    event["position_lots"] = account[0]["position_lots"]
    return event


def order_event(order_id, status, reason=Reason.NONE):
    event = np.zeros(1, EVENT)[0]
    event["template_id"] = Template.ORDER_UPDATE
    event["order_id"], event["side"], event["qty_lots"] = order_id, 1, 10
    event["price_ticks"], event["status"], event["reason"] = 640_000, status, reason
    return event


@pytest.fixture
def path(tmp_path):
    return tmp_path / "var" / "ledger.sqlite"


@pytest.fixture
def open_ledger(path):
    """Return a function that opens the ledger; what was opened is closed at the end."""
    opened = []

    def open_one(synchronous="NORMAL"):
        opened.append(Ledger(path, synchronous, 0))
        return opened[-1]

    yield open_one
    for ledger in opened:
        ledger.close()


def query(path, statement):
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        return database.execute(statement).fetchall()


def test_a_new_instrument_has_nothing_to_restore(path, open_ledger):
    assert open_ledger("FULL").restore(KEY) is None


def test_position_orders_and_ids_survive(path, open_ledger):
    account = np.zeros(1, ACCOUNT)
    ledger = open_ledger("NORMAL")
    fills = [fill_event(account, 4, 1, 640_000, 7), fill_event(account, 5, -1, 640_010, 2)]
    orders = [order_event(4, OrderStatus.FILLED), order_event(6, OrderStatus.OPEN)]
    ledger.write(KEY, [*fills, *orders], account, 99)
    # No close: a killed process does not close, either.
    restored = open_ledger("NORMAL").restore(KEY)
    assert restored is not None
    assert restored.account.tobytes() == account.tobytes()
    assert restored.account[0]["position_lots"] == 5
    assert restored.next_order_id == 7
    assert restored.open_orders == [(6, 1, 640_000, 10, 0)]


def test_the_restored_account_can_be_changed(path, open_ledger):
    account = np.zeros(1, ACCOUNT)
    open_ledger("NORMAL").write(KEY, [fill_event(account, 1, 1, 100, 1)], account, 0)
    restored = open_ledger("NORMAL").restore(KEY)
    account_fill(restored.account, 1, 100, 2, 200, 200, 10, 1_000)
    assert restored.account[0]["position_lots"] == 3


def test_writing_a_fill_again_changes_nothing(path, open_ledger):
    account = np.zeros(1, ACCOUNT)
    ledger = open_ledger("NORMAL")
    fill = fill_event(account, 1, 1, 640_000, 7)
    for _ in range(2):
        ledger.write(KEY, [fill], account, 1)
    assert ledger.restore(KEY).account[0]["position_lots"] == 7
    rows = query(path, "SELECT fill_id, qty_lots FROM fills")
    assert rows == [(1, 7)]


def test_orders_left_open_are_marked_as_ended_by_the_restart(path, open_ledger):
    account = np.zeros(1, ACCOUNT)
    ledger = open_ledger("NORMAL")
    ledger.write(
        KEY, [order_event(1, OrderStatus.OPEN), order_event(2, OrderStatus.NEW)], account, 1
    )
    ledger.cancel_open_orders(KEY, 5)
    rows = query(path, "SELECT status, reason, updated_ns FROM orders")
    assert rows == [("CANCELLED", "RESTARTED", 5)] * 2
    assert ledger.restore(KEY).open_orders == []


def test_an_account_that_its_fills_do_not_add_up_to_is_refused(path, open_ledger):
    account = np.zeros(1, ACCOUNT)
    ledger = open_ledger("NORMAL")
    ledger.write(KEY, [fill_event(account, 1, 1, 640_000, 7)], account, 1)
    ledger.close()
    query(path, "DELETE FROM fills")
    with pytest.raises(LedgerError, match="holds 7 lots, its fills add up to 0"):
        open_ledger("NORMAL").restore(KEY)


def test_an_account_of_another_layout_is_refused(path, open_ledger):
    account = np.zeros(1, ACCOUNT)
    open_ledger("NORMAL").write(KEY, [], account, 1)
    query(path, "UPDATE accounts SET layout = 'old'")
    with pytest.raises(LedgerError, match="another version"):
        open_ledger("NORMAL").restore(KEY)


def test_a_failed_write_leaves_nothing_half_written(path, open_ledger):
    account = np.zeros(1, ACCOUNT)
    ledger = open_ledger("NORMAL")
    fill = fill_event(account, 1, 1, 640_000, 7)
    broken = order_event(2, 99)  # no such status
    with pytest.raises(ValueError, match="99"):
        ledger.write(KEY, [fill, broken], account, 1)
    assert ledger.restore(KEY) is None
    ledger.write(KEY, [fill], account, 2)
    assert ledger.restore(KEY).account[0]["position_lots"] == 7


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "var").write_text("a file where the folder should be")
    with pytest.raises(LedgerError, match=r"ledger\.sqlite: .*var"):
        Ledger(tmp_path / "var" / "ledger.sqlite", "FULL", 0)


def test_a_file_that_is_no_ledger_is_named(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"this is no database, but it is long enough to be looked at" * 20)
    with pytest.raises(LedgerError, match=r"ledger\.sqlite: file is not a database"):
        Ledger(path, "FULL", 0)
