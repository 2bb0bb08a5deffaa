"""What contradicts a file, or is not for its format, is refused and never passed over."""

import os
import sys

import numpy as np
import pytest
from mm_cli.convert import Conversion, convert
from recorded_lines import FRAMES, MS, NS, write

from mmquant.tape import TapeError, npz, read_tape, synthetic_tape

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


def test_a_symbol_picks_one_of_a_recording(tmp_path):
    eth = [frame.replace(b"BTCUSDT", b"ETHUSDT") for frame in FRAMES]
    files = [write(tmp_path, FRAMES, "b"), write(tmp_path, eth, "e", NS + 500)]
    assert read_tape(files, symbol="ETHUSDT").symbols == ("ETHUSDT",)
    with pytest.raises(ValueError, match="symbol must be one of BTCUSDT, ETHUSDT, got 'XRPUSDT'"):
        read_tape(files, symbol="XRPUSDT")
    with pytest.raises(ValueError, match="out takes all symbols of a recording, got symbol='ETHU"):
        read_tape(files, symbol="ETHUSDT", out=tmp_path / "x.tape")
    plan = Conversion(tuple(map(str, files)), str(tmp_path / "x.tape"), symbol="ETHUSDT")
    convert(plan, None)
    assert read_tape(tmp_path / "x.tape").symbols == ("ETHUSDT",)


@pytest.mark.parametrize("is_mapped", [False, True])
def test_another_market_than_the_files_is_refused(tmp_path, is_mapped):
    path = write(tmp_path, FRAMES)
    out = tmp_path / "x.tape" if is_mapped else None
    with pytest.raises(TapeError, match="market must be that of the file, spot, got 'usdm'"):
        read_tape(path, market="usdm", out=out)
    assert not (tmp_path / "x.tape").exists()
    assert len(read_tape(path, market="spot", out=out)) == 7


def test_options_that_are_not_for_a_format_are_refused(tmp_path):
    recording, csv = write(tmp_path, FRAMES), table(tmp_path)
    synthetic_tape(1).save(tmp_path / "x.tape")
    for path, options, message in (
        (tmp_path / "x.tape", {"tick_size": "0.1"}, "tick_size and lot_size are for what does not"),
        (tmp_path / "x.tape", {"lot_size": "1"}, "tick_size and lot_size are for what does not"),
        (recording, {"tick_size": {"ETH": "1"}}, "tick_size must name symbols of BTCUSDT, got ETH"),
        (csv, {"lot_size": {"ETH": "1"}}, "lot_size must name symbols of BTCUSDT, got ETH"),
        (csv, {"stamp_unit": "us"}, "stamp_unit is for recordings, got 'us' for tardis"),
        (csv, {"latency_ns": 5}, "latency_ns is for data.binance.vision, .*got 5 for tardis"),
        (recording, {"latency_ns": 5}, "latency_ns is for data.binance.vision, .*got 5 for raw"),
    ):
        with pytest.raises(ValueError, match=message):
            read_tape(path, **options)


@pytest.mark.parametrize("how", ["itself", "another path", "link", "hard link"])
@pytest.mark.parametrize("kind", ["raw", "tardis"])
def test_a_file_given_twice_is_refused_by_whatever_name(tmp_path, how, kind):
    path = write(tmp_path, FRAMES) if kind == "raw" else table(tmp_path)
    other = tmp_path / "other"
    if how == "itself":
        other = path
    elif how == "another path":
        (tmp_path / "folder").mkdir()
        other = tmp_path / "folder" / ".." / path.name
    elif how == "link":
        other.symlink_to(path)
    else:
        other.hardlink_to(path)
    with pytest.raises(TapeError, match="given already: name each file once"):
        read_tape([path, other])


def test_so_is_a_copy_of_it_and_no_file_that_is_only_as_long(tmp_path):
    path, other = write(tmp_path, FRAMES, "plain"), tmp_path / "other"
    other.write_bytes(path.read_bytes())
    with pytest.raises(TapeError, match=r"other: its content is that of .*plain: name each"):
        read_tape([path, other])
    other.write_bytes(path.read_bytes().replace(b'"100.1"', b'"100.2"'))
    assert len(read_tape([path, other])) > len(read_tape(path))


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("utf-8-sig", r"byte order mark of UTF-8: .* sed '1s/\^\\xEF"),
        ("utf-16", r"byte order mark of UTF-16: .* iconv -f UTF-16 -t UTF-8 FILE > NEW"),
    ],
)
def test_text_of_another_encoding_is_refused_with_the_command_that_converts_it(
    tmp_path, encoding, words
):
    path = table(tmp_path)
    path.write_text(path.read_text(), encoding=encoding)
    with pytest.raises(TapeError, match=words):
        read_tape(path)


def test_a_row_of_both_sides_is_refused(tmp_path):
    data = np.zeros(2, npz.EVENT)
    data["ev"] = npz.EXCH | npz.LOCAL | npz.BUY | npz.DEPTH
    data["ev"][1] |= npz.SELL
    data["exch_ts"] = data["local_ts"] = NS
    data["px"], data["qty"] = 100.0, 1.0
    np.savez(tmp_path / "x.npz", data=data)
    with pytest.raises(TapeError, match="row 1: of both sides: set BUY_EVENT or SELL_EVENT alone"):
        read_tape(tmp_path / "x.npz", symbol="X", market="spot")


def test_an_address_whose_package_is_missing_says_how_to_go_on(monkeypatch):
    pytest.importorskip("fsspec")
    pytest.importorskip("pyarrow")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    tape = synthetic_tape(1)
    for use in (read_tape, tape.save):
        with pytest.raises(ImportError, match=r"'s3://b/x' needs the package for s3:// .*s3fs.*"):
            use("s3://b/x")
        with pytest.raises(ValueError, match=r"an address must begin .*, got 'foo://b/x': correct"):
            use("foo://b/x")
