"""Trades of tables that came twice are skipped, missing ids are counted, nameless ones are not."""

import pytest
from recorded_lines import MS

from mmquant.state import TAPE_SKIP
from mmquant.tape import csv, read_tape, trade_ids

pytestmark = pytest.mark.kernels
HEAD = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"


def tardis(path, ids, exchange="binance", side="buy"):
    """Write trades of these ids, each received at a time of its own."""
    row = f"{exchange},BTCUSDT,{MS}{{0:03}},{MS}{{0:03}},{{1}},{side},100.1,0.5\n"
    at = [int(str(one).lstrip("x-") or i + 1) for i, one in enumerate(ids)]
    path.write_text(HEAD + "".join(row.format(ms, one) for ms, one in zip(at, ids, strict=True)))
    return path


def vision(path, ids, is_aggregate):
    """Write trades; aggregates sum up ten trades each."""
    lines = []
    for one in ids:
        more = f"{one * 10},{one * 10 + 9},{MS + one}" if is_aggregate else f"1,{MS + one}"
        lines.append(f"{one},100.10,2,{more},true\n")
    path.write_text("".join(lines))
    return path


def skipped(tape):
    return (tape.events["flags"] & TAPE_SKIP != 0).tolist()


@pytest.mark.parametrize("piece", [1, 2, 1 << 20])
@pytest.mark.parametrize("is_mapped", [False, True])
@pytest.mark.parametrize("kind", ["tardis", "trades", "aggTrades"])
def test_trades_of_files_that_overlap_are_skipped_and_missing_ids_counted(
    tmp_path, monkeypatch, kind, is_mapped, piece
):
    monkeypatch.setattr(trade_ids, "_PIECE", piece)
    monkeypatch.setattr(csv, "TABLE_ROWS", 2)
    names = [tmp_path / f"BTCUSDT-{part}.csv" for part in "ab"]
    make = tardis if kind == "tardis" else lambda path, ids: vision(path, ids, kind[0] == "a")
    files = [make(*one) for one in zip(names, ([1, 2, 3, 4], [3, 4, 7, 8]), strict=True)]
    tape = read_tape(files, out=tmp_path / "x.tape" if is_mapped else None)
    assert skipped(tape) == [False, False, False, True, False, True, False, False]
    assert tape.report().trade_ids_missing == 2
    assert "2 trade ids are missing" in str(tape.report())
    assert len(tape.repair("duplicates")) == 6
    if is_mapped:
        assert skipped(read_tape(tmp_path / "x.tape")) == skipped(tape)


def test_trades_and_aggregates_of_the_same_ids_are_no_duplicates(tmp_path):
    files = [
        vision(tmp_path / "BTCUSDT-a.csv", [1, 2, 3], True),
        vision(tmp_path / "BTCUSDT-b.csv", [1, 2, 2, 3], False),
    ]
    tape = read_tape(files)
    assert skipped(tape).count(True) == 1
    assert tape.report().is_clean


def test_what_was_left_out_is_not_missing(tmp_path):
    files = [
        tardis(tmp_path / "a.csv", [1, 2, 5]),
        tardis(tmp_path / "b.csv", [3, 5, 9], side="unknown"),
    ]
    assert read_tape(files).report().trade_ids_missing == 1


def test_ids_are_missing_only_where_the_venue_counts_one_by_one(tmp_path):
    tape = read_tape(tardis(tmp_path / "a.csv", [1, 5, 5, 900], "deribit"))
    assert skipped(tape) == [False, False, True, False]
    assert tape.report().trade_ids_missing == 0


def test_book_tables_have_no_trade_ids(tmp_path):
    head = HEAD.replace("id,side,price,amount", "ask_amount,ask_price,bid_price,bid_amount")
    row = f"binance,BTCUSDT,{MS}000,{MS}000,1,100.2,100.1,1\n"
    (tmp_path / "q.csv").write_text(head + row + row)
    tape = read_tape(tmp_path / "q.csv")
    assert (skipped(tape), tape.report().trade_ids_missing) == ([False, False], 0)


@pytest.mark.parametrize(
    "ids", [["x-1", "x-2", "x-2", "x-3"], [1, "x-2", "x-2", 3], ["", "", 2, 3]]
)
def test_trades_whose_ids_are_no_numbers_are_numbered_and_never_skipped(tmp_path, ids):
    tape = read_tape(tardis(tmp_path / "a.csv", ids, "bybit"))
    assert skipped(tape) == [False] * 4
    own = tape.events["update_id"].tolist()
    assert own == ([1, 2, 3, 4] if ids[0] != 1 else [1, 2, 3, 3])
