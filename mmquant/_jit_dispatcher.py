"""Kernels as Python sees them: those that it never calls are compiled as parts of others alone."""

from typing import Any

from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher
from numba.core.sigutils import normalize_signature

from mmquant._jit_compiler import KernelCompiler, PartLibrary

__all__ = ["KernelDispatcher"]


class KernelDispatcher(CPUDispatcher):
    """A function that Python calls or other kernels do, compiled as far as is needed."""

    _cache: Any
    targetctx: Any  # numba's own has no types

    def add_overload(self, cres: Any) -> None:
        """Note what was compiled; Python is not told of a part."""
        if not isinstance(cres.library, PartLibrary):
            super().add_overload(cres)
            return
        if cres.entry_point is None:  # compiled just now, not loaded
            cres = cres._replace(entry_point=object())
            self.targetctx.insert_user_function(cres.entry_point, cres.fndesc, [cres.library])
        self.overloads[tuple(cres.signature.args)] = cres

    def compile(self, sig: Any) -> Any:
        """Compile a signature; what is known as a part becomes callable where it is no part."""
        with global_compiler_lock:
            entry = super().compile(sig)
            if KernelCompiler.depth > 0:
                return entry
            args, _ = normalize_signature(sig)  # type: ignore[no-untyped-call]
            cres: Any = self.overloads[tuple(args)]
            if isinstance(cres.library, PartLibrary):
                cres = self._callable(cres)
                self._cache.save_overload(sig, cres)
            # Its parts print, and raise with values of the moment, through these.
            for env in cres._find_referenced_environments():
                cres.codegen.set_env(env.env_name, env)
            return cres.entry_point

    def _callable(self, part: Any) -> Any:
        """Return a part with a function for Python."""
        context = self.targetctx
        library = context.codegen().create_library(part.library.name)
        library.enable_object_caching()
        library.add_linking_library(part.library)
        as_compiled = context.subtarget(enable_nrt=self.targetoptions.get("_nrt", True))
        as_compiled.create_cpython_wrapper(library, part.fndesc, part.environment, part.call_helper)
        entry = context.get_executable(library, part.fndesc, part.environment)
        context.remove_user_function(part.entry_point)
        context.insert_user_function(entry, part.fndesc, [library])
        cres = part._replace(library=library, entry_point=entry)
        self.add_overload(cres)
        return cres
