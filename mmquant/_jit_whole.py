"""A kernel and all that it calls, compiled as one program: nobody else calls its parts.

numba passes an array as seven words and must, since any function may be called from anywhere.
Functions that are private to a program LLVM passes only what they read, and inlines where they are
called once.
"""

import hashlib
from typing import Any

from llvmlite.binding import Linkage
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

__all__ = ["WholeProgram"]

_NAME_BYTES = 96  # with types it has thousands


class _WholeLibrary(JITCodeLibrary):
    def _optimize_final_module(self) -> None:
        defined = [f for f in self._final_module.functions if not f.is_declaration]
        own = "".join(f.name for f in defined if f.linkage == Linkage.external)
        digest = hashlib.sha256(own.encode()).hexdigest()[:16]
        for i, function in enumerate(f for f in defined if f.linkage == Linkage.linkonce_odr):
            function.linkage = "internal"
            # The linker takes a local function for the one of the same name elsewhere, which is
            # called in another way.
            function.name = f"{digest}.{i}.{function.name[:_NAME_BYTES]}"
        super()._optimize_final_module()  # type: ignore[no-untyped-call]


class WholeProgram(Compiler):
    """numba's compiler, its outcome such a program."""

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, *rest: Any) -> None:
        if library is None:
            codegen = targetctx.codegen()
            library = _WholeLibrary(codegen, "whole program")  # type: ignore[no-untyped-call]
            library.enable_object_caching()
        super().__init__(typingctx, targetctx, library, *rest)  # type: ignore[no-untyped-call]
