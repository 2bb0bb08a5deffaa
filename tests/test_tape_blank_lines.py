"""Tables are read however their lines and members lie: blank lines, no last one, cut archives."""

import gzip
import zipfile

import pytest
from recorded_lines import MS

from mmquant.tape import TapeError, csv, read_tape

pytestmark = pytest.mark.kernels
HEAD = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"
VISION_HEAD = "agg_trade_id,price,quantity,first_id,last_id,transact_time,is_buyer_maker"


def tardis(i, price="100.1"):
    return f"binance,BTCUSDT,{MS}{i:03},{MS}{i:03},{i},buy,{price},0.5"


def vision(i, price="100.1"):
    return f"{i},{price},2,{i},{i},{MS + i},true"


TABLES = pytest.mark.parametrize(("head", "row"), [(HEAD, tardis), (VISION_HEAD, vision)])


@TABLES
@pytest.mark.parametrize("is_gzip", [False, True])
def test_a_row_without_a_line_end_behind_the_names_is_read(tmp_path, head, row, is_gzip):
    path = tmp_path / "BTCUSDT-x.csv"
    names, text = f"{head}\n".encode(), row(1).encode()
    # Names of columns that are a member of their own come as a piece of their own.
    path.write_bytes(gzip.compress(names) + gzip.compress(text) if is_gzip else names + text)
    assert len(read_tape(path)) == 1


@TABLES
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("n_table", [1, 2, 1 << 16])
def test_blank_lines_are_passed_over_and_lines_counted(
    tmp_path, monkeypatch, head, row, end, n_table
):
    monkeypatch.setattr(csv, "TABLE_ROWS", n_table)
    monkeypatch.setattr(csv, "BLOCK_ROWS", n_table)
    path = tmp_path / "BTCUSDT-x.csv"
    lines = [head, "", row(1), row(2), "", "", row(3), row(4), "", "  ", ""]
    path.write_bytes(end.join(lines).encode())
    assert read_tape(path).events["update_id"].tolist() == [1, 2, 3, 4]
    for bad, message in (
        (row(4, "-1"), "line 8: price must be above 0"),
        (row(4, "abc"), "line 8: price must be a decimal"),
        (row(4, "9000"), "line 8: the price 9000 of BTCUSDT"),
        (row(1), "line 8: not in order"),
    ):
        path.write_bytes(end.join([*lines[:7], bad, "", ""]).encode())
        with pytest.raises(TapeError, match=message):
            read_tape(path)


def test_a_zip_that_was_cut_short_is_damaged(tmp_path):
    path = tmp_path / "BTCUSDT-aggTrades.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("BTCUSDT-aggTrades.csv", "\n".join(vision(i) for i in range(1, 99)))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(TapeError, match=r"zip, line 1: the zip is damaged or cut .*copy or downl"):
        read_tape(path)
