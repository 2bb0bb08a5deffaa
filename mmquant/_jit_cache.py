"""Kernels on disk: their machine code is loaded, and what others inline of them when one does."""

import zlib
from functools import cache
from typing import Any

from llvmlite import binding
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.compiler import CompileResult
from numba.core.runtime import _nrt_python  # type: ignore[attr-defined]

from mmquant._jit_compiler import PART, PartLibrary

__all__ = ["KernelCache"]


class _KernelFiles(CompileResultCacheImpl):
    """Keeps a third thing of each kernel: its functions' names, without what they stand for.

    numba parses a kernel's LLVM code whenever it loads the kernel, for these names, and needs it
    only to compile another kernel with it: a fifth of the time that loading takes.
    """

    def reduce(self, cres: Any) -> Any:
        (name, kind, data), *rest = super().reduce(cres)  # type: ignore[no-untyped-call]
        if kind == PART:
            return (name, kind, zlib.compress(data)), *rest
        machine_code, bitcode = data
        symbols = _symbols(cres.library._get_module_for_linking())
        return (name, kind, (machine_code, zlib.compress(bitcode), symbols)), *rest

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        (name, kind, data), *rest = payload
        if kind == PART:
            return _part(target_context, name, zlib.decompress(data), *rest)
        machine_code, compressed, symbols = data
        payload = ((name, kind, (machine_code, symbols)), *rest)
        cres = super().rebuild(target_context, payload)  # type: ignore[no-untyped-call]
        library: Any = cres.library
        library._get_module_for_linking = cache(
            lambda: binding.parse_bitcode(zlib.decompress(compressed))
        )
        return cres


def _part(context: Any, name: str, bitcode: bytes, *rest: Any) -> Any:
    """Return a part as it was compiled: numba's own way would make machine code of it."""
    fndesc, environment, signature, objectmode, lifted, annotation, reload_init, referenced = rest
    for run in reload_init:
        run()
    result: Any = CompileResult
    return result(
        target_context=context,
        typing_context=context.typing_context,
        library=PartLibrary.of_bitcode(context.codegen(), name, bitcode),
        environment=environment,
        entry_point=object(),
        fndesc=fndesc,
        type_annotation=annotation,
        signature=signature,
        objectmode=objectmode,
        lifted=lifted,
        typing_error=None,
        call_helper=None,
        metadata=None,
        reload_init=reload_init,
        referenced_envs=referenced,
    )


class KernelCache(FunctionCache):
    """A function's cache on disk."""

    _impl_class = _KernelFiles

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled function as it was saved, None where there is none.

        numba gets ready to compile first, a quarter of a second once: it does so anyway, later,
        where something has to be compiled. What is loaded needs its runtime's addresses alone.
        """
        _add_runtime()
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]


@cache
def _add_runtime() -> None:
    for name, address in _nrt_python.c_helpers.items():
        binding.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)


def _symbols(module: Any) -> bytes:
    """Return the bitcode of a module that defines functions of the same names, and no more."""
    names = [
        function.name
        for function in module.functions
        if not function.is_declaration and function.linkage != binding.Linkage.internal
    ]
    code = "\n".join(f'define void @"{name}"() {{ ret void }}' for name in names)
    bitcode: bytes = binding.parse_assembly(code).as_bitcode()
    return bitcode
