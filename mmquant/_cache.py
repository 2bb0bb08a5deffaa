"""Where compiled code is kept: a folder that a change of any source file gives a new name.

numba does not notice that a callee in another file changed, so the folder is keyed by a digest
of every source file of this package, of their place and of numba's version. Importing this
does not import numba.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

__all__ = ["cache_dir", "source_digest"]

_ROOT = Path(__file__).parent


def source_digest(of_place: str = "") -> str:
    """Return a digest of every source file of this package, and of `of_place`."""
    digest = hashlib.sha256(of_place.encode())
    for path in sorted(_ROOT.rglob("*.py")):
        digest.update(path.relative_to(_ROOT).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_dir() -> Path:
    """Return the folder of compiled kernels: in `$MMQUANT_CACHE_DIR` or the user's cache folder.

    numba only reads from a folder that it can write to. One that is read-only, as in a
    container's image, is copied to the temporary folder.
    """
    home = os.environ.get("MMQUANT_CACHE_DIR")
    xdg = os.environ.get("XDG_CACHE_HOME")
    base = Path(home) if home else Path(xdg or Path.home() / ".cache") / "mmquant"
    # numba files its code under the source's path: another checkout has nothing compiled yet.
    folder = base / source_digest(f"{_numba_version()} {_ROOT}")
    if folder.is_dir() and not os.access(folder, os.W_OK):
        return _copy(folder)
    return folder


def _numba_version() -> str:
    numba = sys.modules.get("numba")  # asked for only where it is not here: that takes 20 ms
    return version("numba") if numba is None else str(numba.__version__)


def _copy(folder: Path) -> Path:
    copy = Path(tempfile.gettempdir()) / f"mmquant-{os.getuid()}" / folder.name
    if not copy.is_dir():
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=copy.parent) as unfinished:
            whole = Path(unfinished) / folder.name
            shutil.copytree(folder, whole)
            try:
                whole.rename(copy)
            except OSError:
                if not copy.is_dir():  # else another process was quicker
                    raise
    return copy
