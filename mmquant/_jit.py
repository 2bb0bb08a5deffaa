"""The one place that compiles: `njit` with an on-disk cache that cannot go stale."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numba

from mmquant._cache import cache_dir

__all__ = ["njit"]

if TYPE_CHECKING:

    def njit[F: Callable[..., object]](function: F) -> F:
        """Compile `function` (mypy sees the plain function)."""
        return function

else:
    numba.config.CACHE_DIR = str(cache_dir())

    def njit[F: Callable[..., object]](function: F) -> F:
        """Compile `function` with numba, the machine code cached on disk."""
        return numba.njit(cache=True)(function)
