"""A write that a lock or a full disk refuses: the ledger still adds up, nothing told is lost."""

import contextlib
import sqlite3

import pytest
from simulator_bench import MIDNIGHT_NS, SimulatorBench

from mmquant.codes import Side
from mmquant.ledger import read_ledger

pytestmark = pytest.mark.kernels


def locked(bench, path):
    """Trade while another program holds the ledger for longer than the service has patience."""
    bench.service._ledger._db.execute("PRAGMA busy_timeout = 1")
    price = bench.join(Side.BUY, 640_000, 4)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            bench.hit(Side.BUY, price, 4)
        yield


def keep_trading(bench):
    for k in range(1_000):
        bench.trade(Side.BUY, 640_000 + k % 7, 4)


def full(bench, path):
    """Trade until there is no room for another page."""
    database = bench.service._ledger._db
    (most,) = database.execute("PRAGMA max_page_count").fetchone()
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        keep_trading(bench)
    yield
    if not bench.service._ledger.is_closed:
        database.execute(f"PRAGMA max_page_count = {most}")


def traded(folder):
    """Return a service that has bought 3 lots."""
    bench = SimulatorBench(folder, MIDNIGHT_NS)
    bench.trade(Side.BUY, 640_000, 3)
    return bench


@pytest.mark.parametrize("refused", [locked, full])
def test_a_write_that_is_refused_once_is_made_at_the_close_as_a_whole(tmp_path, refused):
    file, bench = tmp_path / "ledger.sqlite", traded(tmp_path)
    for _ in refused(bench, file):
        before = len(read_ledger(file).fills)
        assert bench.positions[-1]["fills"] == before, "told what is not written"
    bench.close()  # as the runner does after any fault
    tables = read_ledger(file)
    assert len(tables.fills) == bench.account["fills"] >= before
    assert tables.fills["qty_lots"].sum() == bench.account["position_lots"]
    assert tables.sessions["ended_ns"].notna().all()
    again = SimulatorBench(tmp_path, MIDNIGHT_NS + 3600 * 10**9)
    assert again.account["position_lots"] == bench.account["position_lots"]


@pytest.mark.parametrize("refused", [locked, full])
def test_a_write_that_is_refused_for_good_loses_nothing_that_was_told(tmp_path, refused):
    file, bench = tmp_path / "ledger.sqlite", traded(tmp_path)
    for _ in refused(bench, file):
        with pytest.raises(sqlite3.OperationalError, match=r"locked|full"):
            bench.close()
    told, tables = bench.positions[-1], read_ledger(file)
    assert tables.fills["qty_lots"].sum() == told["position_lots"]
    assert tables.sessions["ended_ns"].isna().all(), "it did not end in good order"
    again = SimulatorBench(tmp_path, MIDNIGHT_NS + 3600 * 10**9)
    assert again.account["position_lots"] == told["position_lots"]
    assert again.account["fills"] == told["fills"]
