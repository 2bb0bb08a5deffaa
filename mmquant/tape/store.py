"""Where a tape's two tables are put together: in memory, or on disk, block by block."""

import io
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from mmquant._whole_file import named
from mmquant.records import LEVEL
from mmquant.state import TAPE_EVENT

__all__ = ["DiskStore", "MemoryStore", "Store", "read_array", "write_array_header"]

EVENTS, LEVELS = "events.npy", "levels.npy"


class Store(Protocol):
    """Takes blocks of both tables and gives the whole tables back."""

    def append(self, events: NDArray[Any], levels: NDArray[Any]) -> None:
        """Append a block; its `first_level` counts from the block's first level."""

    def scratch(self) -> BinaryIO:
        """Return an empty file, gone once it is closed, where the tables are."""

    def finish(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return both tables."""


class MemoryStore:
    """Both tables in memory."""

    def __init__(self) -> None:
        self._events: list[NDArray[Any]] = []
        self._levels: list[NDArray[Any]] = []
        self._n_levels = 0

    def append(self, events: NDArray[Any], levels: NDArray[Any]) -> None:
        """Append a copy of a block."""
        block = events.copy()
        block["first_level"] += self._n_levels
        self._events.append(block)
        self._levels.append(levels.copy())
        self._n_levels += levels.size

    def scratch(self) -> BinaryIO:
        """Return an empty file in memory."""
        return io.BytesIO()

    def finish(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return both tables."""
        events, levels = self._events, self._levels
        self._events, self._levels = [], []
        if len(events) == 1:
            return events[0], levels[0]
        if not events:
            return np.zeros(0, TAPE_EVENT), np.zeros(0, LEVEL)
        return np.concatenate(events), np.concatenate(levels)


class DiskStore:
    """Both tables as .npy files in a folder, written block by block and mapped at the end.

    What the folder held stays until `publish`, mapped or not; without it nothing was written. An
    error of writing, a full disk's, names the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._n_events = 0
        self._n_levels = 0
        self._files: list[BinaryIO] = []
        for name, dtype in ((EVENTS, TAPE_EVENT), (LEVELS, LEVEL)):
            file = self._unpublished(name).open("wb")
            self._files.append(file)
            write_array_header(file, dtype, 0)

    def __enter__(self) -> "DiskStore":
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        for file, name in zip(self._files, (EVENTS, LEVELS), strict=True):
            with suppress(OSError):  # what waits to be written; `finish` was not reached
                file.close()
            self._unpublished(name).unlink(missing_ok=True)
        if self._is_new and not any(self.folder.iterdir()):
            self.folder.rmdir()
        # Readers name their own files, so what names none was written here.
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            raise named(error, self.folder) from error

    def append(self, events: NDArray[Any], levels: NDArray[Any]) -> None:
        """Write a block."""
        block = events.copy()
        block["first_level"] += self._n_levels
        self._files[0].write(block.tobytes())
        self._files[1].write(levels.tobytes())
        self._n_events += block.size
        self._n_levels += levels.size

    def scratch(self) -> BinaryIO:
        """Return an empty file on the tables' disk, without a name."""
        return cast(BinaryIO, tempfile.TemporaryFile(dir=self.folder))

    def finish(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Close the files and return them mapped: changes reach the disk."""
        sizes = (self._n_events, self._n_levels)
        for file, dtype, n in zip(self._files, (TAPE_EVENT, LEVEL), sizes, strict=True):
            file.seek(0)
            write_array_header(file, dtype, n)
            file.close()
        return tuple(read_array(self._unpublished(name), "r+") for name in (EVENTS, LEVELS))  # type: ignore[return-value]

    def publish(self) -> None:
        """Give the finished files their names; who has mapped their forerunners keeps those."""
        for name in (EVENTS, LEVELS):
            self._unpublished(name).replace(self.folder / name)

    def _unpublished(self, name: str) -> Path:
        return self.folder / f"{name}.part"


def write_array_header(file: BinaryIO, dtype: np.dtype[Any], n: int) -> None:
    """Write the head of an .npy file of n rows; it is as long for any n."""
    head = io.BytesIO()
    described = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": (n,),
    }
    np.lib.format.write_array_header_1_0(head, described)
    file.write(head.getvalue())


def read_array(path: Path, mode: Any) -> NDArray[Any]:
    """Return an .npy file mapped into memory; an empty one, which cannot be, as an array."""
    array = np.load(path, mmap_mode=mode) if _rows(path) else np.load(path)
    plain: NDArray[Any] = array.view(np.ndarray)  # numba knows a plain array, not a memmap
    return plain


def _rows(path: Path) -> int:
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, _ = np.lib.format.read_array_header_1_0(file)
    return int(shape[0])
