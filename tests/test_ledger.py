"""The ledger: what was written is what comes back, and what does not add up is refused."""

import contextlib
import dataclasses
import hashlib
import sqlite3

import mm_simulator.ledger
import numpy as np
import pandas as pd
import pytest
from mm_simulator import ledger_schema
from mm_simulator.desk import Paid
from mm_simulator.ledger import Ledger, LedgerError

from mmquant.account_settings import account_of
from mmquant.accounting import decompose
from mmquant.codes import FillKind, Liquidity, Market, OrderStatus, Reason, Template
from mmquant.configure import Config
from mmquant.kernels.accounting import account_fill, account_mark
from mmquant.ledger import LEDGER_VERSION, read_ledger
from mmquant.records import INSTRUMENT
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
    event["mark_half_ticks"] = 2 * price_ticks
    event["position_lots"] = account[0]["position_lots"]
    event["kind"], event["liquidity"] = FillKind.CROSS, Liquidity.MAKER
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


def test_another_fill_under_the_same_id_is_refused(path, open_ledger):
    account = np.zeros(1, ACCOUNT)
    ledger = open_ledger()
    fill = fill_event(account, 1, 1, 640_000, 7)
    ledger.write(KEY, [fill], account, 1)
    fill["qty_lots"] = 8
    with pytest.raises(LedgerError, match="fills of usdm:BTCUSDT: fill_id 1 must be written once"):
        ledger.write(KEY, [fill], account, 2)
    paid = Paid(5, 100, 1_280_000, 7, -9)
    ledger.write(KEY, [], account, 2, [paid])
    ledger.write(KEY, [], account, 2, [paid])
    with pytest.raises(LedgerError, match="funding of usdm:BTCUSDT: time_ns 5 must be written"):
        ledger.write(KEY, [], account, 2, [dataclasses.replace(paid, position_lots=8)])
    assert query(path, "SELECT qty_lots FROM fills") == [(7,)]
    assert query(path, "SELECT position_lots FROM funding") == [(7,)]


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


def test_an_account_of_another_layout_is_counted_anew_from_its_fills(path, open_ledger):
    account = np.zeros(1, ACCOUNT)
    ledger = open_ledger("NORMAL")
    fills = [fill_event(account, i, side, 100 + i, 3) for i, side in enumerate((1, 1, -1, -1, -1))]
    ledger.write(KEY, fills, account, 1)
    query(path, "UPDATE accounts SET layout = 'old', state = x'00'")
    again = open_ledger("NORMAL").restore(KEY).account[0]
    for name in ("position_lots", "cash_half_tick_lots", "fees_micro_tick_lots", "last_fill_id"):
        assert again[name] == account[0][name], name
    assert again["spread_half_tick_lots"] == account[0]["spread_half_tick_lots"]
    query(path, "DELETE FROM fills WHERE fill_id = 2")
    with pytest.raises(LedgerError, match="before fill 3 do not add up"):
        open_ledger("NORMAL").restore(KEY)


def test_an_account_with_a_fill_missing_or_doubled_is_refused(path, open_ledger):
    account = np.zeros(1, ACCOUNT)
    ledger = open_ledger("NORMAL")
    fills = [fill_event(account, i, side, 100, 3) for i, side in enumerate((1, -1, 1))]
    ledger.write(KEY, fills, account, 1)
    query(path, "DELETE FROM fills WHERE fill_id < 3")  # the lots still add up
    with pytest.raises(LedgerError, match="has had 3 fills, 1 are written down"):
        open_ledger("NORMAL").restore(KEY)


def test_orders_without_an_account_are_not_forgotten(open_ledger):
    open_ledger().write(KEY, [order_event(7, OrderStatus.OPEN)], None, 1)
    restored = open_ledger().restore(KEY)
    assert restored.account.tobytes() == np.zeros(1, ACCOUNT).tobytes()
    assert restored.next_order_id == 8
    assert restored.open_orders == [(7, 1, 640_000, 10, 0)]


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


OLD = """
CREATE TABLE sessions (
    session INTEGER PRIMARY KEY, started_ns INTEGER NOT NULL, pid INTEGER NOT NULL);
CREATE TABLE orders (
    instrument TEXT NOT NULL, order_id INTEGER NOT NULL, session INTEGER NOT NULL,
    quotes_seq INTEGER NOT NULL, side INTEGER NOT NULL, price_ticks INTEGER NOT NULL,
    qty_lots INTEGER NOT NULL, filled_lots INTEGER NOT NULL, status TEXT NOT NULL,
    reason TEXT NOT NULL, updated_ns INTEGER NOT NULL,
    PRIMARY KEY (instrument, order_id)) WITHOUT ROWID;
CREATE TABLE fills (
    instrument TEXT NOT NULL, fill_id INTEGER NOT NULL, session INTEGER NOT NULL,
    order_id INTEGER NOT NULL, trade_id INTEGER NOT NULL, time_ns INTEGER NOT NULL,
    side INTEGER NOT NULL, price_ticks INTEGER NOT NULL, qty_lots INTEGER NOT NULL,
    fee_micro_tick_lots INTEGER NOT NULL, mark_half_ticks INTEGER NOT NULL,
    position_lots INTEGER NOT NULL, kind INTEGER NOT NULL, liquidity INTEGER NOT NULL,
    PRIMARY KEY (instrument, fill_id)) WITHOUT ROWID;
CREATE TABLE accounts (
    instrument TEXT PRIMARY KEY, layout TEXT NOT NULL, state BLOB NOT NULL,
    position_lots INTEGER NOT NULL, updated_ns INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO sessions VALUES (1, 5, 77);
INSERT INTO orders VALUES ('usdm:BTCUSDT', 9, 1, 1, 1, 640000, 10, 0, 'OPEN', 'NONE', 6);
INSERT INTO fills VALUES
    ('usdm:BTCUSDT', 1, 1, 8, 0, 6, -1, 640000, 4, 512000000, 1280000, -4, 1, 1);
INSERT INTO accounts VALUES ('usdm:BTCUSDT', 'first', x'00', -4, 6);
"""


def test_a_ledger_of_the_first_version_is_brought_up_to_date(path, open_ledger):
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(OLD)
    restored = open_ledger().restore(KEY)
    assert restored.account[0]["position_lots"] == -4
    assert restored.account[0]["fees_micro_tick_lots"] == 512_000_000
    assert restored.open_orders == [(9, 1, 640_000, 10, 0)]
    assert restored.next_order_id == 10
    assert query(path, "PRAGMA user_version") == [(LEDGER_VERSION,)]
    assert query(path, "SELECT session, ended_ns FROM sessions") == [(1, None), (2, None)]
    assert read_ledger(path).fills["qty_lots"].tolist() == [4]


def test_a_ledger_of_the_second_version_keeps_its_account_and_money(path, open_ledger):
    account = np.zeros(1, ACCOUNT)
    fills = [fill_event(account, 4, 1, 640_000, 7), fill_event(account, 5, -1, 640_010, 2)]
    account_mark(account, 1_280_100, 20)
    s = account[0]
    old = np.dtype(ACCOUNT.descr[:-1])  # the record then had one field less
    layout = hashlib.sha256(repr(old.descr).encode()).hexdigest()[:16]
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        for statement in (*ledger_schema._TABLES, *ledger_schema._FROM_1_TO_2):
            database.execute(statement)
        state = account.tobytes()[: old.itemsize]
        database.execute("INSERT INTO accounts VALUES (?, ?, ?, 5, 20)", (KEY, layout, state))
        for fill in fills:
            names = ("fill_id", "order_id", "side", "price_ticks", "qty_lots")
            names += ("fee_micro_tick_lots", "mark_half_ticks", "position_lots")
            values = [int(fill[name]) for name in names]
            database.execute(
                f"INSERT INTO fills (instrument, session, trade_id, time_ns, kind, liquidity, "
                f"{', '.join(names)}) VALUES (?, 1, 0, 9, 1, 1, {', '.join('?' * len(names))})",
                (KEY, *values),
            )
        database.execute(
            "INSERT INTO positions VALUES (?, 1, 20, 5, 1280100, 0, ?, 0, 0, 0, 0, 0, 0, 2, 1)",
            (KEY, int(s["cash_half_tick_lots"]) + 5 * 1_280_100),
        )
        database.execute(
            "INSERT INTO instruments VALUES (?, 'BTCUSDT', 'USDM', 1000, 100, 1)", (KEY,)
        )
        database.execute("PRAGMA user_version = 2")
    ledger = open_ledger()
    restored = ledger.restore(KEY)
    assert restored.account.tobytes() == account.tobytes()
    assert restored.funded_ns == 0
    keep(ledger, instrument(1_000, 100), 30)  # 1e-16 * 1000 * 100 is not 1e-11 to the last bit
    tables = read_ledger(path)
    assert tables.fills["fee_amount"].tolist() == [
        int(fill["fee_micro_tick_lots"]) for fill in fills
    ]
    assert set(tables.fills["fee_asset_name"]) == {"QUOTE"}
    assert tables.positions["cash_half_tick_lots"].tolist() == [s["cash_half_tick_lots"]]
    assert tables.instruments["tick_lot_value"].tolist() == [pytest.approx(1e-11)]
    assert len(tables.funding) == 0


def test_a_ledger_of_a_newer_version_is_left_alone(path, open_ledger):
    open_ledger().close()
    query(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="version 99, this program knows up to"):
        Ledger(path, "FULL", 0)
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="got version 99"):
        read_ledger(path)


def instrument(tick_e8=10**7, lot_e8=10**5):
    record = np.zeros(1, INSTRUMENT)
    record[0]["symbol"], record[0]["market"] = b"BTCUSDT", Market.USDM
    record[0]["tick_size_e8"], record[0]["lot_size_e8"] = tick_e8, lot_e8
    return record


def keep(ledger, record, now_ns, **account):
    """Tell the ledger of an instrument and of its account."""
    config = Config().changed(simulator={"account": account}).simulator
    kind, _ = account_of(config, record)
    ledger.keep_instrument(KEY, record, kind, now_ns)
    return kind


def test_a_changed_tick_is_refused_once_there_are_fills(path, open_ledger):
    account = np.zeros(1, ACCOUNT)
    ledger = open_ledger()
    keep(ledger, instrument(), 1)
    keep(ledger, instrument(tick_e8=10**6), 2)
    ledger.write(KEY, [fill_event(account, 1, 1, 640_000, 7)], account, 3)
    keep(ledger, instrument(tick_e8=10**6), 4)
    with pytest.raises(LedgerError, match="the venue now has"):
        keep(ledger, instrument(), 5)


def test_a_person_reads_prices_and_quantities(path, open_ledger):
    account = np.zeros(1, ACCOUNT)
    ledger = open_ledger()
    keep(ledger, instrument(), 1)
    now_ns = 1_700_000_000_000_000_005
    events = [
        fill_event(account, 4, -1, 640_001, 7),
        order_event(4, OrderStatus.FILLED),
    ]
    ledger.write(KEY, events, account, now_ns)
    ledger.close(now_ns)
    columns = "symbol, side, price, quantity, round(fee, 9), kind, mid_before, position_after"
    assert query(path, f"SELECT {columns} FROM v_fills") == [
        ("BTCUSDT", "SELL", "64000.1", "0.007", 0.08960014, "CROSS", "64000.1", "-0.007")
    ]
    assert query(path, "SELECT time, position, average_price, fills FROM v_positions") == [
        ("2023-11-14 22:13:20.000000005", "-0.007", pytest.approx(64000.1), 1)
    ]
    assert query(path, "SELECT side, price, quantity, status FROM v_orders") == [
        ("BUY", "64000", "0.01", "FILLED")
    ]
    assert query(path, "SELECT ended, fills FROM v_sessions") == [
        ("2023-11-14 22:13:20.000000005", 1)
    ]


def test_half_an_odd_tick_and_an_unknown_queue_are_read_as_they_are(path, open_ledger):
    account = np.zeros(1, ACCOUNT)
    ledger = open_ledger()
    keep(ledger, instrument(tick_e8=1), 1)
    fills = [fill_event(account, 4, 1, 640_001, 7) for _ in range(2)]
    for fill, ahead in zip(fills, (-1, 0), strict=True):
        fill["mark_half_ticks"], fill["queue_entry_lots"] = 1_280_003, ahead
        fill["queue_ahead_lots"] = 5 * ahead + 5
    fills[0]["queue_ahead_lots"] = -1
    ledger.write(KEY, fills, account, 3)
    columns = "mid_before, queue_at_entry, queue_at_fill"
    assert query(path, f"SELECT {columns} FROM v_fills") == [
        ("0.006400015", None, None),
        ("0.006400015", "0", "0.005"),
    ]


def test_times_are_whole_nanoseconds_where_a_session_was_killed(path, open_ledger):
    open_ledger()
    now_ns = 1_700_000_000_000_000_005
    Ledger(path, "NORMAL", now_ns).close(now_ns + 2)
    sessions = read_ledger(path).sessions
    assert sessions["ended_ns"].tolist() == [pd.NA, now_ns + 2]
    assert sessions["started_ns"].tolist() == [0, now_ns]
    assert sessions["ended"].iloc[1].value == now_ns + 2


def test_tables_become_frames_while_the_ledger_is_written(path, open_ledger):
    account = np.zeros(1, ACCOUNT)
    ledger = open_ledger()
    keep(ledger, instrument(), 1)
    ledger.write(KEY, [fill_event(account, 4, 1, 640_001, 7)], account, 3)
    ledger.write(KEY, [order_event(5, OrderStatus.OPEN)], None, 4)
    tables = read_ledger(path)
    fill = tables.fills.iloc[0]
    assert (fill["price_ticks"], fill["qty_lots"], fill["side_name"]) == (640_001, 7, "BUY")
    assert fill["price"] == pytest.approx(64000.1)
    assert fill["quantity"] == pytest.approx(0.007)
    assert fill["fee"] == pytest.approx(0.007 * 64000.1 * 200e-6)
    assert (fill["symbol"], fill["kind_name"]) == ("BTCUSDT", "CROSS")
    assert str(tables.fills["time"].dtype).startswith("datetime64[ns, UTC")
    held = tables.positions.iloc[0]
    assert held["average_price"] == pytest.approx(64000.1)
    assert held["profit"] == pytest.approx(-fill["fee"])
    assert tables.orders["status"].tolist() == ["OPEN"]
    assert tables.sessions["ended"].isna().all()
    ledger.write(KEY, [fill_event(account, 4, 1, 640_001, 7)], account, 5)
    assert len(tables.fills) == 1
    assert len(read_ledger(path).fills) == 2


def test_the_fills_of_a_ledger_can_be_taken_apart(path, open_ledger):
    account = np.zeros(1, ACCOUNT)
    ledger = open_ledger()
    keep(ledger, instrument(), 1)
    fills = [fill_event(account, i, side, 100 + i, 3) for i, side in enumerate((1, -1, -1))]
    ledger.write(KEY, fills, account, 1)
    mids = pd.Series([101.0, 103.5], index=pd.to_datetime([0, 20], utc=True))
    table = decompose(read_ledger(path).fills, mids, 5)
    everything = table.loc[("all", "all")]
    account_mark(account, 207, 20)
    s = account[0]
    total = s["cash_half_tick_lots"] + s["position_lots"] * 207
    assert everything["total_half_tick_lots"] == total
    assert everything["fees_micro_tick_lots"] == s["fees_micro_tick_lots"]
    assert table.loc[("cross", "sell"), "lots"] == 6


def test_an_empty_ledger_has_empty_frames(path, open_ledger):
    open_ledger()
    tables = read_ledger(str(path))
    assert len(tables.orders) == len(tables.fills) == len(tables.positions) == 0
    assert "price" in tables.fills


def test_what_is_no_ledger_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_ledger(tmp_path / "none.sqlite")
    other = tmp_path / "other.sqlite"
    other.write_bytes(b"this is no database, but it is long enough to be looked at" * 20)
    with pytest.raises(ValueError, match="file is not a database"):
        read_ledger(other)


def test_the_first_position_of_a_minute_is_kept_though_it_is_written_again(path, open_ledger):
    account, second = np.zeros(1, ACCOUNT), 10**9
    ledger = open_ledger()
    for now_ns in (60 * second, 60 * second, 61 * second, 61 * second, 120 * second):
        ledger.write(KEY, [], account, now_ns)
    rows = query(path, "SELECT time_ns, is_kept FROM positions")
    assert rows == [(60 * second, 1), (61 * second, 0), (120 * second, 1)]


def test_positions_are_thinned_and_orders_without_fills_forgotten(path, open_ledger, monkeypatch):
    monkeypatch.setattr(mm_simulator.ledger, "_PRUNE_POSITIONS", 50)
    monkeypatch.setattr(mm_simulator.ledger, "_KEPT_ORDERS", 20)
    account = np.zeros(1, ACCOUNT)
    ledger = open_ledger()
    day, second = 86_400 * 10**9, 10**9
    filled = order_event(1, OrderStatus.CANCELLED)
    filled["filled_lots"] = 3
    alive = order_event(2, OrderStatus.OPEN)
    ledger.write(KEY, [filled, alive], None, 0)
    for i in range(180):
        order = order_event(10 + i, OrderStatus.CANCELLED)
        ledger.write(KEY, [order], account, (60 + i) * second)
    for i in range(51):
        ledger.write(KEY, [], account, 2 * day + i * second)
    old = query(path, f"SELECT time_ns, is_kept FROM positions WHERE time_ns < {day}")
    assert old == [(60 * second, 1), (120 * second, 1), (180 * second, 1)]
    assert query(path, "SELECT COUNT(*) FROM orders WHERE order_id >= 10") == [(20,)]
    assert query(path, "SELECT order_id FROM orders WHERE order_id < 10") == [(1,), (2,)]
    for i in range(51):
        ledger.write(KEY, [], account, 100 * day + i * second)
    (oldest,) = query(path, "SELECT MIN(time_ns) FROM positions")[0]
    assert oldest >= 10 * day
