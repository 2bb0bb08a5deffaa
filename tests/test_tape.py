"""Reading captures: lines, damage, and what a scan learns."""

import gzip
from pathlib import Path

import pytest

from mmquant.codes import Market
from mmquant.tape import CaptureError, read_capture, scan_capture

DATA = Path(__file__).parents[2] / "shared" / "data" / "binance"
real = pytest.mark.skipif(not DATA.exists(), reason=f"no captures in {DATA}")

DEPTH = (
    b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":5,"u":7,'
    b'"b":[["100.50","0.300"]],"a":[["101.00","0.000"]]}}'
)
SNAPSHOT = b'{"lastUpdateId":6,"bids":[["100.00","1.200"]],"asks":[["101.50","0.900"]]}'


def write(path, lines, packed=True):
    data = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(data) if packed else data)
    return path


def stamped(payloads, start=1000):
    return [b"%d %b" % (start + i, payload) for i, payload in enumerate(payloads)]


@pytest.mark.parametrize("packed", [True, False])
def test_lines_of_several_files_come_in_order(tmp_path, packed):
    first = write(tmp_path / "a", stamped([DEPTH, SNAPSHOT]), packed)
    second = write(tmp_path / "b", stamped([DEPTH], 2000), packed)
    lines = list(read_capture([first, second]))
    assert lines == [(1000, DEPTH), (1001, SNAPSHOT), (2000, DEPTH)]


def test_gzip_files_of_several_members_are_read_through(tmp_path):
    path = tmp_path / "members.gz"
    path.write_bytes(gzip.compress(b"1 {}\n2 {") + gzip.compress(b"}\n3 {}\n"))
    assert [stamp for stamp, _ in read_capture([path])] == [1, 2, 3]


def test_a_last_line_without_its_end_counts(tmp_path):
    path = tmp_path / "plain"
    path.write_bytes(b"1 {}\n2 {}")
    assert list(read_capture([path])) == [(1, b"{}"), (2, b"{}")]


def test_malformed_lines_are_counted_and_named(tmp_path):
    path = write(tmp_path / "a.gz", [b"1 {}", b"{}", b"x {}", b"", b"2 {}"])
    reader = read_capture([path])
    assert [stamp for stamp, _ in reader] == [1, 2]
    assert (reader.lines, reader.malformed) == (2, 3)
    assert all(f"line {n}:" in text for n, text in zip((2, 3, 4), reader.problems, strict=True))
    assert all(str(path) in text for text in reader.problems)


def test_a_cut_file_gives_every_whole_line_and_then_says_so(tmp_path):
    lines = [b"%d {%d}" % (i, i * 7919) for i in range(5000)]
    path = write(tmp_path / "cut.gz", lines)
    path.write_bytes(path.read_bytes()[:-2000])
    reader = read_capture([path])
    read = []
    with pytest.raises(CaptureError, match="cut short") as caught:
        read.extend(reader)  # extend keeps what came before the error
    assert 1000 < len(read) < 5000
    assert [b"%d %b" % line for line in read] == lines[: len(read)]
    assert caught.value.line == len(read) + 1
    assert caught.value.path == str(path)


def test_a_corrupt_file_and_a_missing_one_are_capture_errors(tmp_path):
    path = write(tmp_path / "bad.gz", stamped([DEPTH] * 50))
    data = bytearray(path.read_bytes())
    data[20:40] = bytes(20)
    path.write_bytes(data)
    with pytest.raises(CaptureError, match=r"bad\.gz"):
        list(read_capture([path]))
    with pytest.raises(CaptureError, match=r"none\.gz"):
        list(read_capture([tmp_path / "none.gz"]))


def test_scan_learns_sizes_market_and_span(tmp_path):
    path = write(tmp_path / "a.gz", [*stamped([DEPTH, SNAPSHOT]), b"no stamp"])
    info = scan_capture([path])
    assert (info.market, info.symbol, info.has_snapshot) == (Market.SPOT, "BTCUSDT", True)
    assert (info.tick_size_e8, info.lot_size_e8) == (50_000_000, 30_000_000)
    assert (info.price_decimals, info.qty_decimals) == (2, 3)
    assert (info.first_ns, info.last_ns, info.lines, info.malformed) == (1000, 1001, 2, 1)
    assert dict(info.streams) == {"btcusdt@depth@100ms": 1}


def test_scan_refuses_nothing_to_play_and_mixed_symbols(tmp_path):
    with pytest.raises(CaptureError, match="no line"):
        scan_capture([write(tmp_path / "empty.gz", [])])
    other = DEPTH.replace(b"btcusdt", b"ethusdt").replace(b"BTCUSDT", b"ETHUSDT")
    with pytest.raises(CaptureError, match=r"BTCUSDT.*ETHUSDT"):
        scan_capture([write(tmp_path / "two.gz", stamped([DEPTH, other]))])


@real
def test_scan_of_the_real_captures():
    usdm = scan_capture([DATA / "usdm_btcusdt_20240808.gz"])
    assert (usdm.market, usdm.symbol, usdm.snapshots) == (Market.USDM, "BTCUSDT", 1)
    assert (usdm.tick_size_e8, usdm.lot_size_e8) == (10_000_000, 100_000)
    assert usdm.streams["btcusdt@depth@0ms"] == 6551
    assert usdm.streams["btcusdt@trade"] == 21313
    assert usdm.lines == 93_954
    spot = scan_capture([DATA / f"spot_btcusdt_2024080{day}.gz" for day in (8, 9)])
    assert (spot.market, spot.tick_size_e8) == (Market.SPOT, 1_000_000)
    assert spot.streams["btcusdt@depth@100ms"] == 6495
    assert (spot.malformed, spot.truncated) == (0, None)
