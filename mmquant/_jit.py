"""The one place that compiles: `njit` with an on-disk cache that cannot go stale."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numba

from mmquant._cache import cache_dir

__all__ = ["bare_inlined", "bare_njit", "njit"]

if TYPE_CHECKING:

    def njit[F: Callable[..., object]](function: F) -> F:
        """Compile `function` (mypy sees the plain function)."""
        return function

    bare_njit = bare_inlined = njit

else:
    numba.config.CACHE_DIR = str(cache_dir())

    def njit[F: Callable[..., object]](function: F) -> F:
        """Compile `function` with numba, the machine code cached on disk."""
        return numba.njit(cache=True)(function)

    def bare_njit[F: Callable[..., object]](function: F) -> F:
        """Compile `function` without reference counts: it must not allocate.

        A call from Python costs half as much, and calls among such functions nearly nothing.
        """
        return numba.njit(cache=True, _nrt=False)(function)

    def bare_inlined[F: Callable[..., object]](function: F) -> F:
        """Compile `function` into its bare callers: what is too large for LLVM to inline."""
        return numba.njit(cache=True, _nrt=False, inline="always")(function)
