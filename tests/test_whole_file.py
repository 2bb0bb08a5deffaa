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


def test_a_link_stays_one_and_what_it_points_to_is_written(tmp_path):
    folder, link = tmp_path / "folder", tmp_path / "link.html"
    folder.mkdir()
    link.symlink_to(folder / "page.html")
    for text in (b"old", b"new"):  # the first makes the page
        with written_whole(link) as file:
            file.write(text)
        assert link.is_symlink()
        assert (folder / "page.html").read_bytes() == text
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match=r"link\.html'"):
        written_whole_with(link, full)
    assert [path.name for path in folder.iterdir()] == ["page.html"]
