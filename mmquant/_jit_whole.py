"""A kernel and all that it calls, compiled as one program: nobody else calls its parts.

numba passes an array as seven words and must, since any function may be called from anywhere.
Functions that are private to a program LLVM passes only what they read, and inlines where they are
called once.
"""

from typing import Any

from llvmlite.binding import Linkage
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

__all__ = ["WholeProgram"]


class _WholeLibrary(JITCodeLibrary):
    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == Linkage.linkonce_odr:
                function.linkage = "internal"  # linked in: an own function is external
        super()._optimize_final_module()  # type: ignore[no-untyped-call]


class WholeProgram(Compiler):
    """numba's compiler, its outcome such a program."""

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, *rest: Any) -> None:
        if library is None:
            codegen = targetctx.codegen()
            library = _WholeLibrary(codegen, "whole program")  # type: ignore[no-untyped-call]
            library.enable_object_caching()
        super().__init__(typingctx, targetctx, library, *rest)  # type: ignore[no-untyped-call]
