"""What is wrong with a file of market data: which file, where in it, and what to do.

TapeError is a ValueError; CaptureError is the TapeError of a recording of `<ns> <json>` lines.
"""

import zipfile
import zlib
from pathlib import Path

__all__ = ["CaptureError", "TapeError", "unreadable"]


class TapeError(ValueError):
    """Market data that cannot be used.

    Attributes
    ----------
    what : str
        What is wrong, and the remedy.
    path : str
        The file.
    where : str
        Where in it: "line 7", "row 12", or empty for the whole file.
    """

    def __init__(self, what: str, path: Path | str, where: str = "") -> None:
        super().__init__(f"{path}{', ' if where else ''}{where}: {what}")
        self.what = what
        self.path = str(path)
        self.where = where


class CaptureError(TapeError):
    """A capture that cannot be used: what is wrong, in which file, at which line."""

    def __init__(self, what: str, path: Path | str, line: int) -> None:
        super().__init__(what, path, f"line {line}")
        self.line = line


def unreadable(error: Exception) -> str:
    """Return in words why a file's bytes cannot be read, and the remedy."""
    if isinstance(error, zlib.error):
        return f"the packed data is damaged, here or before ({error}): copy or download it anew"
    if isinstance(error, zipfile.BadZipFile):
        return f"the zip is damaged or cut short ({error}): copy or download it anew"
    if isinstance(error, EOFError):
        return f"{error}: copy or download it anew"
    return str(error)
