"""A file is written whole, or what was there before stays."""

import errno

import pytest

from mmquant._whole_file import written_whole


def written_whole_with(path, error=None):
    with written_whole(path):
        if error is not None:
            raise error


def test_what_was_there_stays_until_all_is_written(tmp_path):
    path = tmp_path / "page.html"
    path.write_bytes(b"old")
    with written_whole(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    writing = written_whole(path)
    writing.__enter__().write(b"half")
    assert writing.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None) is not True
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"new"]


def test_an_error_of_writing_names_the_file(tmp_path):
    path = tmp_path / "page.html"
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match=r"No space left on device: '.*/page\.html'"):
        written_whole_with(path, full)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError, match=r"none/page\.html'"):
        written_whole_with(tmp_path / "none" / "page.html")
    with pytest.raises(IsADirectoryError):
        written_whole_with(tmp_path)
