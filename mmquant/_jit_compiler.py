"""numba's compiler as the kernels need it: with short names, parts of others, and whole programs.

A part is a function that another kernel calls while that one is compiled. numba makes machine code
of each, and a function for Python. Nobody may ever call it from there: a part stays LLVM code until
somebody does, which takes a third of the time.

A whole program is a kernel and all that it calls: nobody else calls its parts. numba passes an
array as seven words and must, since any function may be called from anywhere. Functions that are
private to a program LLVM passes only what they read, and inlines where they are called once.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar

from llvmlite.binding import Linkage, parse_bitcode
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.funcdesc import default_mangler

__all__ = ["PART", "KernelCompiler", "PartLibrary", "WholeProgram"]

PART = "part"  # the kind of such a library in a file
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


class PartLibrary(JITCodeLibrary):
    """The code of a part: never among what the machine can run."""

    def _optimize_final_module(self) -> None:
        """Leave it: what it is a part of is optimized as a whole."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()  # type: ignore[no-untyped-call]
        self._verify_declare_only_symbols()  # type: ignore[no-untyped-call]
        self._finalized = True

    def serialize_using_object_code(self) -> tuple[str, str, bytes]:
        """Return what a file keeps of it: there is no machine code."""
        module = self._get_module_for_linking()  # type: ignore[no-untyped-call]
        return self.name, PART, module.as_bitcode()

    @classmethod
    def of_bitcode(cls, codegen: Any, name: str, bitcode: bytes) -> "PartLibrary":
        """Return the library of which this was serialized."""
        library = cls(codegen, name)
        library._final_module = library._shared_module = parse_bitcode(bitcode)
        library._finalized = True
        return library


class KernelCompiler(Compiler):
    """numba's compiler, with short names and parts."""

    depth: ClassVar[int] = 0  # of kernels that are being compiled: each calls the next

    def __init__(
        self,
        typingctx: Any,
        targetctx: Any,
        library: Any,
        args: Any,
        return_type: Any,
        flags: Any,
        locals: Any,
    ) -> None:
        if library is None and KernelCompiler.depth > 0:
            library = PartLibrary(targetctx.codegen(), "part")  # type: ignore[no-untyped-call]
            flags = flags.copy()
            flags.no_compile = flags.no_cpython_wrapper = True
        super().__init__(  # type: ignore[no-untyped-call]
            typingctx, targetctx, library, args, return_type, flags, locals
        )
        self.state.targetctx = self.state.targetctx.subtarget(mangler=_name)

    def compile_extra(self, func: Any) -> Any:
        """Compile a function and, as parts, what it calls."""
        KernelCompiler.depth += 1  # numba's lock is held
        try:
            return super().compile_extra(func)  # type: ignore[no-untyped-call]
        finally:
            KernelCompiler.depth -= 1


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
        if library is None and KernelCompiler.depth == 0:
            codegen = targetctx.codegen()
            library = _WholeLibrary(codegen, "whole program")  # type: ignore[no-untyped-call]
            library.enable_object_caching()
        super().__init__(typingctx, targetctx, library, *rest)
