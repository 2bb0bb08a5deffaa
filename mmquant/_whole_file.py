"""Files that are written whole, or what was there before stays."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO

__all__ = ["named", "written_together", "written_whole"]


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write to, which takes the name of `path` once all is written.

    A link stays one: what it points to is written.

    Raises
    ------
    OSError
        Naming `path`: no such folder, no space, no right to write there. Nothing is left then.
    """
    if path.exists() and not path.is_file():  # a device, or a folder, which says so itself
        with path.open("wb") as file:
            yield file
        return
    target = path.resolve() if path.is_symlink() else path
    part = _part(target)
    try:
        with part.open("wb") as file:
            yield file
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise named(error, path) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def written_together() -> Iterator[Callable[[Path], AbstractContextManager[IO[bytes]]]]:
    """Give what opens files, their folders made, which take their names once all are written.

    Raises
    ------
    OSError
        As of `written_whole`. No file and no folder of them is left then.
    """
    paths: list[Path] = []
    made: list[Path] = []

    @contextmanager
    def opened(path: Path) -> Iterator[IO[bytes]]:
        made.extend(folder for folder in reversed(path.parents) if not folder.exists())
        path.parent.mkdir(parents=True, exist_ok=True)
        paths.append(path)
        try:
            with _part(path).open("wb") as file:
                yield file
        except OSError as error:
            raise named(error, path) from error

    try:
        yield opened
        for path in paths:
            _part(path).replace(path)
    except BaseException:
        for path in paths:
            _part(path).unlink(missing_ok=True)
        for folder in reversed(made):
            with suppress(OSError):  # not empty: of somebody else
                folder.rmdir()
        raise


def named(error: OSError, path: Path) -> OSError:
    """Return the error, naming the file that was written: the system's own names none."""
    return OSError(error.errno, error.strerror or str(error), str(path))


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")
