"""Tapes written while they are read: the same as in memory, for what is larger than memory."""

import os
import resource
import subprocess
import sys

import numpy as np
import pytest
from recorded_lines import BBO, FRAMES, MS, NS, SNAPSHOT, depth, trade, write

from mmquant.tape import TapeError, csv, read_tape

pytestmark = pytest.mark.kernels
US = 1_000
SPARE_BYTES = 32 << 20
BOOK_HEAD = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n"


def same(one, other):
    return (
        one.events.tobytes() == other.events.tobytes()
        and one.levels.tobytes() == other.levels.tobytes()
        and (one.instruments, one.source, one.notes, one.repairs)
        == (other.instruments, other.source, other.notes, other.repairs)
    )


def book_table(seed, n=200):
    """Return rows of a book in CSV, one to five received at once."""
    rng = np.random.default_rng(seed)
    lines, at = [], 0
    for i in range(n):
        at += int(rng.random() < 0.4)
        side = "ask" if rng.random() < 0.5 else "bid"
        ticks = int(rng.integers(1001, 1020) if side == "ask" else rng.integers(980, 1000))
        whether = "true" if i < 5 else "false"
        lines.append(
            f"binance,BTCUSDT,{MS}{at:03},{MS}{at + 9:03},{whether},{side},{ticks / 10:.1f},"
            f"{rng.integers(1, 9)}\n"
        )
    return BOOK_HEAD + "".join(lines)


def trade_table(n=200):
    head = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
    row = "binance,BTCUSDT,{0}{1:03},{0}{1:03},{1},{2},100.1,0.5\n"
    sides = ("buy", "sell", "unknown")
    return head + "".join(row.format(MS, i, sides[i % 3]) for i in range(n))


@pytest.fixture
def sources(tmp_path):
    """Return by format what `read_tape` may be given."""
    (tmp_path / "book.csv").write_text(book_table(1))
    (tmp_path / "trades.csv").write_text(trade_table())
    row = "{0},100.10,2,3,4,{1},true\n"
    vision = tmp_path / "BTCUSDT-aggTrades.csv"
    vision.write_text("".join(row.format(9 + i, MS + i) for i in range(50)))
    hours = tmp_path / "parquet"
    read_tape([tmp_path / "book.csv", tmp_path / "trades.csv"]).save(hours)
    eth = [frame.replace(b"BTCUSDT", b"ETHUSDT") for frame in FRAMES]
    read_tape(write(tmp_path, eth, "eth")).save(hours)
    return {
        "raw": write(tmp_path, FRAMES),
        "tardis": [tmp_path / "trades.csv", tmp_path / "book.csv"],
        "vision": vision,
        "parquet": hours,
    }


@pytest.mark.parametrize("kind", ["raw", "tardis", "vision", "parquet"])
def test_what_is_written_while_read_is_the_same_tape(sources, tmp_path, kind):
    mapped = read_tape(sources[kind], out=tmp_path / "x.tape")
    whole = read_tape(sources[kind])
    assert len(whole) > 6
    assert same(mapped, whole)
    assert same(read_tape(tmp_path / "x.tape"), whole)
    assert sorted(os.listdir(tmp_path / "x.tape")) == ["events.npy", "levels.npy", "tape.json"]
    if kind == "parquet":
        assert sorted(whole.symbols) == ["BTCUSDT", "ETHUSDT"]


@pytest.mark.parametrize("n_table", [1, 2, 7, 40])
@pytest.mark.parametrize("n_block", [1, 3])
def test_a_table_in_many_pieces_is_the_same_tape(sources, monkeypatch, n_table, n_block):
    whole = read_tape(sources["tardis"])
    monkeypatch.setattr(csv, "TABLE_ROWS", n_table)
    monkeypatch.setattr(csv, "BLOCK_ROWS", n_block)
    monkeypatch.setattr(csv, "CHUNK_BYTES", 100)
    pieces = read_tape(sources["tardis"])
    assert same(pieces, whole)
    assert whole.notes.left_out == {"trade without a side": 66}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"binance,BTCUSDT,{MS}000,{MS}000,false,bid,99,1", "line 202: not in order of time"),
        (f"binance,BTCUSDT,{MS}999,{MS}999,false,bid,999,1", "line 202: the bid 999 of BTCUSDT"),
        (f"binance,BTCUSDT,{MS}999,{MS}999,false,bid,-1,1", "line 202: price must be above 0"),
    ],
)
def test_a_bad_row_behind_the_first_piece_has_its_line(tmp_path, monkeypatch, row, message):
    monkeypatch.setattr(csv, "TABLE_ROWS", 16)
    monkeypatch.setattr(csv, "BLOCK_ROWS", 8)
    path = tmp_path / "book.csv"
    path.write_text(book_table(1) + row + "\n")
    with pytest.raises(TapeError, match=message):
        read_tape(path, out=tmp_path / "x.tape")
    assert os.listdir(tmp_path) == ["book.csv"]


def test_more_levels_at_once_than_an_event_holds_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(csv, "TABLE_ROWS", 16)
    monkeypatch.setattr(csv, "BLOCK_ROWS", 8)
    monkeypatch.setattr(csv, "MAX_SIDE", 50)
    row = f"binance,BTCUSDT,{MS}000,{MS}000,true,bid,99,1\n"
    path = tmp_path / "book.csv"
    path.write_text(BOOK_HEAD + row * 1_000)
    with pytest.raises(TapeError, match="must have at most 50 levels a side"):
        read_tape(path)


# larger than memory

LIMITED = """
import resource, sys
from mmquant.tape import read_tape

small, large, target, spare_bytes = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
read_tape(small, out=target, progress=False).report()  # whatever is loaded once is loaded now
(used_kb,) = [int(line.split()[1]) for line in open("/proc/self/status") if "VmData" in line]
most = used_kb * 1024 + spare_bytes
resource.setrlimit(resource.RLIMIT_DATA, (most, most))
tape = read_tape(large, out=target, progress=False)
assert not tape.report().gaps
print(len(tape), tape.nbytes)
try:
    read_tape(large, progress=False)
except MemoryError:
    print("too large for memory")
"""


def recordings(tmp_path, n):
    """Return a small recording and one of n lines."""
    side = [(f"{90 + k}.{k % 10}", "1.0") for k in range(10)]
    head = [depth(1, 1, side, []), SNAPSHOT.replace(b":5,", b":1,")]
    small = write(tmp_path, [*head, depth(2, 2, side, side), BBO, trade(1)], "small")
    asks = [(f"{110 + k}.{k % 10}", "1.0") for k in range(30)]
    line = depth(11111111, 22222222, side * 3, asks)
    with (tmp_path / "large").open("wb") as file:
        file.writelines(b"%d %b\n" % (NS + i * US, one) for i, one in enumerate(head))
        for i in range(2, n):
            one = line.replace(b"11111111", b"%d" % i).replace(b"22222222", b"%d" % i)
            file.write(b"%d %b\n" % (NS + i * US, one))
    return small, tmp_path / "large"


def tables(tmp_path, n):
    """Return a small table in CSV and one of n times 40 rows."""
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    small.write_text(book_table(1))
    sides = [("bid", f"{90 + k / 10:.1f}") for k in range(20)]
    sides += [("ask", f"{100 + k / 10:.1f}") for k in range(20)]
    rows = [f"binance,BTCUSDT,TIME,TIME,false,{side},{price},1.0\n" for side, price in sides]
    event = "".join(rows).encode()
    with large.open("wb") as file:
        file.write(BOOK_HEAD.encode())
        for i in range(n):
            file.write(event.replace(b"TIME", b"%d%03d" % (MS + i // 1000, i % 1000)))
    return small, large


@pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="minutes without the compiler"
)
@pytest.mark.parametrize(("make", "n"), [(recordings, 120_000), (tables, 160_000)])
def test_what_is_larger_than_memory_is_written_while_it_is_read(tmp_path, make, n):
    """Memory that a quarter of the tape would fill: mapped pages are the system's to drop."""
    assert hasattr(resource, "RLIMIT_DATA")
    small, large = make(tmp_path, n)
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            LIMITED,
            small,
            large,
            tmp_path / "x.tape",
            f"{SPARE_BYTES}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    counts, refused = told.stdout.splitlines()
    assert int(counts.split()[0]) >= n
    assert int(counts.split()[1]) > 3 * SPARE_BYTES
    assert refused == "too large for memory"
