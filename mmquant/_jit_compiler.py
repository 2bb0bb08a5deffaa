"""numba's compiler as the kernels need it: with short names, and for whole programs.

A whole program is a kernel and all that it calls: nobody else calls its parts. numba passes an
array as seven words and must, since any function may be called from anywhere. Functions that are
private to a program LLVM passes only what they read, and inlines where they are called once.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from llvmlite.binding import Linkage
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.funcdesc import default_mangler

__all__ = ["KernelCompiler", "WholeProgram"]

_DIGEST_BYTES = 16


def _name(
    name: str, argument_types: Sequence[Any], *, abi_tags: Sequence[str] = (), uid: Any = None
) -> str:
    """Return a function's symbol, with a digest of its types where numba spells them out.

    A record's type names all its fields: symbols of forty thousand bytes, some hundred times.
    """
    digest = _digest(",".join(map(str, argument_types)))
    symbol: str = default_mangler(  # type: ignore[no-untyped-call]
        name, (), abi_tags=(*abi_tags, digest), uid=uid
    )
    return symbol


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_BYTES]


class KernelCompiler(Compiler):
    """numba's compiler, with short names."""

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, *rest: Any) -> None:
        super().__init__(typingctx, targetctx, library, *rest)  # type: ignore[no-untyped-call]
        self.state.targetctx = self.state.targetctx.subtarget(mangler=_name)


class _WholeLibrary(JITCodeLibrary):
    def _optimize_final_module(self) -> None:
        defined = [f for f in self._final_module.functions if not f.is_declaration]
        digest = _digest("".join(f.name for f in defined if f.linkage == Linkage.external))
        for function in defined:
            if function.linkage == Linkage.linkonce_odr:
                function.linkage = "internal"  # linked in: an own function is external
                # The linker takes a local function for the one of the same name elsewhere,
                # which is called in another way.
                function.name = f"{function.name}.{digest}"
        super()._optimize_final_module()  # type: ignore[no-untyped-call]


class WholeProgram(KernelCompiler):
    """numba's compiler, its outcome a whole program."""

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, *rest: Any) -> None:
        if library is None:
            codegen = targetctx.codegen()
            library = _WholeLibrary(codegen, "whole program")  # type: ignore[no-untyped-call]
            library.enable_object_caching()
        super().__init__(typingctx, targetctx, library, *rest)
