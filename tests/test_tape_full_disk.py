"""A full disk: nothing is left, what was there stays, and the error names what was written."""

import os
import resource
import sys
from contextlib import contextmanager

import pytest
from recorded_lines import NS, SNAPSHOT, depth, write
from test_tape_out import book_table

from mmquant.tape import read_tape, synthetic_tape

pytestmark = pytest.mark.kernels
HOUR_NS = 3600 * 10**9


@contextmanager
def no_file_above(nbytes):
    """Let the system refuse to make a file longer, as a full disk does.

    What caches code must have done so before: Python keeps a file of bytecode that was cut short.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    writes_no_code, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, before[1]))
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes_no_code
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(autouse=True, scope="module")
def loaded(tmp_path_factory):
    """Compile and import what is used, see `no_file_above`."""
    folder = tmp_path_factory.mktemp("loaded")
    for source in tables(folder).values():
        tape = read_tape(source, out=folder / "x.tape")
    for name in ("y.tape", "y.npz", "hours"):
        tape.save(folder / name)
        read_tape(folder / name, **({"symbol": "X", "market": "spot"} if "npz" in name else {}))


def names_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tables(tmp_path):
    """Return by format a file of market data whose tables are larger than what is allowed."""
    updates = [depth(6 + k, 6 + k, [("100.0", str(1 + k % 7))], []) for k in range(3000)]
    table = tmp_path / "book.csv"
    table.write_text(book_table(1, 2400))
    return {"raw": write(tmp_path, [SNAPSHOT, *updates]), "tardis": table}


@pytest.fixture
def sources(tmp_path):
    return tables(tmp_path)


@pytest.mark.parametrize("kind", ["raw", "tardis"])
def test_read_into_a_folder_nothing_is_left_and_the_folder_is_named(sources, tmp_path, kind):
    out, before = tmp_path / "x.tape", names_below(tmp_path)
    with no_file_above(16_384), pytest.raises(OSError, match=r"File too large: '.*x\.tape'"):
        read_tape(sources[kind], out=out)
    assert names_below(tmp_path) == before
    read_tape(sources[kind]).slice(end=NS + 10_000).save(out)
    before = contents(out)
    with no_file_above(16_384), pytest.raises(OSError, match=r"x\.tape"):
        read_tape(sources[kind], out=out)
    assert contents(out) == before


def test_a_tape_that_is_saved_leaves_nothing_or_what_was_there(tmp_path):
    tape, small = synthetic_tape(seconds=3), synthetic_tape(seconds=1).slice(end=0)
    out = tmp_path / "x.tape"
    with no_file_above(4096), pytest.raises(OSError, match=r"File too large: '.*x\.tape'"):
        tape.save(out)
    assert not out.exists()
    small.save(out)
    before = contents(out)
    with no_file_above(4096), pytest.raises(OSError, match=r"x\.tape"):
        tape.save(out)
    assert contents(out) == before


def test_its_header_is_written_before_anything_is_replaced(tmp_path):
    out = tmp_path / "x.tape"
    empty = synthetic_tape(seconds=1).slice(end=0)
    empty.save(out)
    before = contents(out)
    empty.source = "x" * 10_000
    with no_file_above(4096), pytest.raises(OSError, match=r"tape\.json'"):
        empty.save(out)
    assert contents(out) == before


def test_parquet_is_written_whole_or_not_at_all(tmp_path):
    out = tmp_path / "hours"
    tape = synthetic_tape(seconds=30)
    short = tape.slice(end=tape.start_ns + 10**8)
    later = tape.with_events(tape.events.copy())
    later.events["received_ns"][len(later) // 100 :] += HOUR_NS  # the first hour is a small one
    with no_file_above(16_384), pytest.raises(OSError, match=r"File too large: '.*part\.parquet'"):
        later.save(out)
    assert not out.exists()
    short.save(out)
    before = contents(out)
    with no_file_above(16_384), pytest.raises(OSError, match=r"part\.parquet'"):
        later.save(out)
    assert contents(out) == before
    assert len(read_tape(out)) == len(short)
    later.save(out)
    assert not [name for name in names_below(out) if name.endswith(".part")]
    assert len(read_tape(out)) == len(later)


def test_an_object_store_is_given_whole_files(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    parquet = pytest.importorskip("pyarrow.parquet")
    tape = synthetic_tape(seconds=1)
    fs = fsspec.filesystem("memory")

    def fail(table, file, **options):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parquet, "write_table", fail)
        with pytest.raises(OSError, match="No space left on device"):
            tape.save("memory://whole")
    assert not fs.exists("/whole") or not fs.find("/whole")
    tape.save("memory://whole")
    assert len(read_tape("memory://whole")) == len(tape)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_small_disk_that_is_full_is_told_so(sources, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.system(f"mount -t tmpfs -o size=64k tmpfs {disk} 2>/dev/null") != 0:
        pytest.skip("no right to mount")
    try:
        for save in (
            lambda: read_tape(sources["raw"], out=disk / "x.tape"),
            lambda: synthetic_tape(seconds=9).save(disk / "x.tape"),
            lambda: synthetic_tape(seconds=60).save(disk / "hours"),
            lambda: synthetic_tape(seconds=60).save(disk / "x.npz"),
        ):
            with pytest.raises(OSError, match=rf"No space left on device: '{disk}"):
                save()
            assert names_below(disk) == []
    finally:
        os.system(f"umount {disk}")
