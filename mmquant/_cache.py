"""Where compiled code is kept: a folder that a change of any source file gives a new name.

numba does not notice that a callee in another file changed, so the folder is keyed by a digest
of every source file of this package, of their place and of numba's version. Importing this
does not import numba.
"""

import hashlib
import os
from importlib.metadata import version
from pathlib import Path

__all__ = ["cache_dir"]

_ROOT = Path(__file__).parent


def _source_digest() -> str:
    # numba files its code under the source's path: another checkout has nothing compiled yet.
    digest = hashlib.sha256(f"{version('numba')} {_ROOT}".encode())
    for path in sorted(_ROOT.rglob("*.py")):
        digest.update(path.relative_to(_ROOT).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_dir() -> Path:
    """Return the folder of compiled kernels: in `$MMQUANT_CACHE_DIR` or the user's cache folder."""
    home = os.environ.get("MMQUANT_CACHE_DIR")
    xdg = os.environ.get("XDG_CACHE_HOME")
    base = Path(home) if home else Path(xdg or Path.home() / ".cache") / "mmquant"
    return base / _source_digest()
