"""Damaged files, wrong words and places that cannot be written are said, with the remedy."""

import gzip
import json
import os
import zlib
from pathlib import Path

import pytest
from recorded_lines import FRAMES, MS, trade, write
from test_tape_formats import rows

from mmquant.tape import TapeError, read_tape, synthetic_tape
from mmquant.tape.write import check_target

pytestmark = pytest.mark.kernels


@pytest.fixture(scope="module")
def tape():
    return synthetic_tape(2, seed=3)


# Parquet


def part_of(tape, folder):
    pytest.importorskip("pyarrow")
    tape.save(folder)
    (part,) = Path(folder).glob("*/*/part.parquet")
    return part


def test_no_byte_of_a_parquet_file_changes_unseen(tape, tmp_path):
    part = part_of(tape, tmp_path / "pq")
    data, known = part.read_bytes(), rows(tape)
    for at in range(4, len(data), len(data) // 40):
        part.write_bytes(
            data[:at] + bytes(byte ^ 0xFF for byte in data[at : at + 50]) + data[at + 50 :]
        )
        said = ""
        try:
            assert rows(read_tape(tmp_path / "pq")) == known, f"bytes from {at} on"
        except TapeError as error:
            said = str(error)
        assert not said or "part.parquet" in said
        assert not said or "copy it anew, or write it with Tape.save" in said


def test_a_parquet_file_holds_as_many_rows_and_events_as_it_says(tape, tmp_path):
    part = part_of(tape, tmp_path / "pq")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(part, partitioning=None)
    meta = json.loads(table.schema.metadata[b"mmquant"])
    assert (meta["events"], meta["rows"]) == (len(tape), table.num_rows)
    parquet.write_table(table.slice(0, table.num_rows - 9), part)
    with pytest.raises(
        TapeError, match=r"part\.parquet: damaged: \d+ rows written, \d+ read: copy"
    ):
        read_tape(tmp_path / "pq")
    wrong = json.dumps({**meta, "tick_size_e8": 7}).encode()
    both = {**table.schema.metadata, b"mmquant": wrong}
    parquet.write_table(table.replace_schema_metadata(both), part)
    with pytest.raises(TapeError, match=r"part\.parquet: damaged: what it says of itself"):
        read_tape(tmp_path / "pq")
    old = {key: value for key, value in meta.items() if key not in ("events", "rows")}
    parquet.write_table(table.replace_schema_metadata({b"mmquant": json.dumps(old)}), part)
    assert rows(read_tape(tmp_path / "pq")) == rows(tape)


# packed files


def test_packed_files_that_end_early_or_are_damaged_say_so(tmp_path):
    path = write(tmp_path, [trade(i, qty=f"0.{i * 7919 % 9973 + 1}") for i in range(1, 3000)])
    data = path.read_bytes()
    for cut in (12, 40, 60):
        path.write_bytes(data[:cut])
        with pytest.raises(TapeError, match=r"x\.gz.* cut short.*: copy or download it anew"):
            read_tape(path)
    middle = len(data) // 2
    path.write_bytes(
        data[:middle]
        + bytes(byte ^ 0xFF for byte in data[middle : middle + 9])
        + data[middle + 9 :]
    )
    with pytest.raises(
        TapeError, match=r"x\.gz.*the packed data is damaged, here or before.*download"
    ):
        read_tape(path)
    head = zlib.compress(b"", wbits=31)[:10]
    path.write_bytes(head + b"\xff" * 50)
    with pytest.raises(TapeError, match=r"x\.gz: the packed data is damaged.*download it anew"):
        read_tape(path)
    book = tmp_path / "book.csv.gz"
    row = f"binance,X,{MS}000,{MS}001,7,sell,5,2\n"
    table = f"exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n{row * 999}"
    book.write_bytes(gzip.compress(table.encode())[:-9])
    with pytest.raises(TapeError, match=r"book\.csv\.gz.*cut short: copy or download it anew"):
        read_tape(book)


# reports and words


def test_the_first_problems_are_printed_with_their_lines(tmp_path):
    bad = [b"{oops"] * 7
    report = read_tape(write(tmp_path, [*FRAMES, *bad], "plain")).report()
    text = str(report)
    assert "left out: 7 x malformed" in text
    assert text.count("plain, line ") == 5
    assert "plain, line 7: not a frame of the venue: b'{oops'" in text
    assert text.endswith("and 2 more, see .problems")
    path = write(tmp_path, bad, "bad")
    with pytest.raises(TapeError, match=r"7 x malformed, first .*bad, line 1: not a frame"):
        read_tape(path, format="raw")


def test_a_repair_may_be_one_word_and_must_be_known(tmp_path):
    path = write(tmp_path, [trade(1, ms=MS + 5)])
    assert (
        read_tape(path, repair="clock").repairs == read_tape(path, repair=["clock"]).repairs != ()
    )
    for wrong in ("clokc", ["order", "clokc"]):
        with pytest.raises(
            ValueError, match="must be one of order, clock, duplicates, got 'clokc'"
        ):
            read_tape(tmp_path / "nothing", format="raw", repair=wrong)


def test_times_that_are_none_are_named(tape):
    with pytest.raises(ValueError, match=r"step must be a length such as '250ms', got 'foo'"):
        tape.resample("foo")
    with pytest.raises(ValueError, match=r"start must be a time such as .*, got 'foo'"):
        tape.slice("foo")


def test_a_slice_counts_its_own_rows(tape):
    empty = tape.slice("2001-01-01", "2001-01-02")
    assert (len(empty), empty.rows) == (0, 0)
    assert "no event in it\n0 events, 0 rows" in str(empty.info())
    half = tape.slice(None, tape.start_ns + 10**9)
    assert 0 < half.rows == len(half.to_frame()) < tape.rows == tape.levels.size


# where a tape is written


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("o.csv", ValueError, "name ends as another format's does"),
        ("s3://bucket/o.csv", ValueError, "name ends as another format's does"),
        ("file/x.tape", OSError, "cannot be written .*choose a folder"),
        ("file", OSError, "is a file, what is written there a folder"),
        ("file.tape", OSError, "is a file, what is written there a folder"),
        ("none/x.npz", OSError, "no folder .*none to write x.npz into: make it"),
        ("folder.npz", OSError, "is a folder, an .npz is a file"),
        ("/proc/x.tape", OSError, "cannot be written .*choose a folder"),
    ],
)
def test_places_that_cannot_be_written_are_said_first(tape, tmp_path, name, error, message):
    for file in ("file", "file.tape"):
        (tmp_path / file).write_text("")
    (tmp_path / "folder.npz").mkdir()
    there = sorted(os.listdir(tmp_path))
    place = name if "://" in name else str(tmp_path / name)
    for call in (check_target, tape.save):
        with pytest.raises(error, match=message):
            call(place)
    assert sorted(os.listdir(tmp_path)) == there


def test_a_recording_that_cannot_be_read_leaves_no_folder(tmp_path):
    back = write(tmp_path, FRAMES, "back", step=-1000)
    with pytest.raises(TapeError, match="not in order"):
        read_tape(back, out=tmp_path / "x.tape")
    (tmp_path / "taken.tape").write_text("")
    with pytest.raises(OSError, match="is a file, what is written there a folder"):
        read_tape(back, out=tmp_path / "taken.tape")
    assert sorted(os.listdir(tmp_path)) == ["back", "taken.tape"]


def test_a_place_that_can_be_written_is_left_as_it_was(tape, tmp_path):
    for name in ("new/x.tape", "new/data", "x.npz", "btc.2024", "data.parquet", "memory://a/b"):
        check_target(name if "://" in name else tmp_path / name)
    assert not list(tmp_path.iterdir())
    tape.save(tmp_path / "x.tape")
    check_target(tmp_path / "x.tape")
    assert rows(read_tape(tmp_path / "x.tape")) == rows(tape)


# bars


@pytest.mark.parametrize("name", ["x.npz", "pq"])
def test_reading_shows_a_bar(tape, tmp_path, capsys, name):
    if name == "pq":
        pytest.importorskip("pyarrow")
    tape.save(tmp_path / name)
    capsys.readouterr()
    read_tape(tmp_path / name, progress=True)
    assert "reading [" in capsys.readouterr().err
    read_tape(tmp_path / name, progress=False)
    assert not capsys.readouterr().err
