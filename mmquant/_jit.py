"""The one place that compiles: `njit` with an on-disk cache that cannot go stale."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numba

from mmquant._cache import cache_dir

__all__ = ["njit", "njit_uncounted"]

if TYPE_CHECKING:

    def njit[F: Callable[..., object]](function: F) -> F:
        """Compile `function` (mypy sees the plain function)."""
        return function

    def njit_uncounted[F: Callable[..., object]](function: F) -> F:
        """Compile `function` without reference counts."""
        return function

else:
    numba.config.CACHE_DIR = str(cache_dir())

    def njit[F: Callable[..., object]](function: F) -> F:
        """Compile `function` with numba, the machine code cached on disk."""
        return numba.njit(cache=True)(function)

    def njit_uncounted[F: Callable[..., object]](function: F) -> F:
        """Compile `function`, which must not allocate, without counting references to arrays.

        numba counts them with atomic instructions at each call between compiled functions: half
        the time of a book update.
        """
        return numba.njit(cache=True, _nrt=False)(function)
