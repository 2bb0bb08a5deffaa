"""What contradicts a file, or is not for its format, is refused and never passed over."""

import os

import pytest
from recorded_lines import FRAMES, MS, write

from mmquant.tape import TapeError, read_tape, synthetic_tape

pytestmark = pytest.mark.kernels
HEAD = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"


def table(tmp_path, trade_id="7"):
    path = tmp_path / "trades.csv"
    path.write_text(f"{HEAD}\nbinance,BTCUSDT,{MS}000,{MS}001,{trade_id},buy,100.1,2\n")
    return path


def test_a_market_that_there_is_not_is_refused_before_reading(tmp_path):
    synthetic_tape(1).save(tmp_path / "x.npz")
    none = tmp_path / "none"
    for path in (table(tmp_path), tmp_path / "x.npz", write(tmp_path, FRAMES), none):
        with pytest.raises(ValueError, match="market must be one of spot, usdm, got 'foo'"):
            read_tape(path, market="foo")


@pytest.mark.parametrize("digits", [20, 40])
def test_a_number_that_is_too_large_has_its_line(tmp_path, digits):
    with pytest.raises(TapeError, match=r"trades\.csv, line 2: id must be .* 64 bits, got '9999"):
        read_tape(table(tmp_path, "9" * digits))


def test_a_file_is_no_folder_and_a_folder_no_file(tmp_path):
    recording = write(tmp_path, FRAMES)
    synthetic_tape(1).save(tmp_path / "x.tape")
    for kind in ("tape", "parquet"):
        with pytest.raises(TapeError, match="must be a folder, got a file: leave format= out"):
            read_tape(recording, format=kind)
    for kind in ("raw", "npz", "tardis", "vision"):
        with pytest.raises(TapeError, match="must be a file, got a folder: leave format= out"):
            read_tape(tmp_path / "x.tape", format=kind)
        with pytest.raises(TapeError, match="no such file"):
            read_tape(tmp_path / "none", format=kind)


@pytest.mark.parametrize("name", ["o.npz", "o.parquet", "o.pq", "o.csv", "s3://bucket/o"])
def test_out_is_no_other_formats_name(tmp_path, name):
    path = table(tmp_path)
    with pytest.raises(ValueError, match=r"out must be a local folder|another format's"):
        read_tape(path, out=name if "://" in name else tmp_path / name)
    assert os.listdir(tmp_path) == ["trades.csv"]


def test_out_is_not_what_is_read(tmp_path):
    pytest.importorskip("pyarrow")
    synthetic_tape(1).save(tmp_path / "hours")
    with pytest.raises(ValueError, match=r"out must be a folder of its own, got .* holds Parquet"):
        read_tape(tmp_path / "hours", out=tmp_path / "hours")
    assert os.listdir(tmp_path / "hours") == ["symbol=BTCUSDT"]
