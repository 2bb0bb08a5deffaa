"""A file that is written whole, or what was there before stays."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["written_whole"]


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write to, which takes the name of `path` once all is written.

    Raises
    ------
    OSError
        Naming `path`: no such folder, no space, no right to write there. Nothing is left then.
    """
    if path.exists() and not path.is_file():  # a device, or a folder, which says so itself
        with path.open("wb") as file:
            yield file
        return
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise
