"""`module:function` of somebody's own -> the function, as its file is now.

Two folders may each have a `my_model.py`, and a file is edited while a notebook goes on: a module
is filed under the name of its folder, not under its own, and imported anew where a file changed.
"""

import hashlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType

__all__ = ["own_files", "own_function"]

_lock = threading.RLock()  # what imports is the process's, and a cluster's worker has threads
_read: dict[str, dict[Path, bytes]] = {}  # a folder's package -> its files as they were imported


def own_function(name: str, folder: Path) -> Callable[..., int]:
    """Return the function that `module:function` names.

    Parameters
    ----------
    name : str
    folder : Path
        Where the module is looked for first, before where Python looks. It may import others of
        its folder by their names.

    Raises
    ------
    ImportError
        There is no such module, or its code raises something.
    AttributeError
        It has no such function.
    """
    module_name, _, function_name = name.partition(":")
    with _lock:
        module = _module(module_name, folder.resolve())
    if not hasattr(module, function_name):
        place = getattr(module, "__file__", None) or f"module {module_name}"
        raise AttributeError(f"{place} has no function {function_name!r}")
    function: Callable[..., int] = getattr(module, function_name)
    return function


def own_files(name: str, folder: Path) -> dict[str, bytes]:
    """Return the files behind `module:function` as they were imported last, by their place.

    Parameters
    ----------
    name : str
    folder : Path
        As for own_function, which has been asked for this function before.

    Returns
    -------
    dict
        Paths from the folder that the module was found in, and what stands there: the module and
        what it imports of its folder. Empty where it is none of somebody's own.
    """
    module_name, _, _ = name.partition(":")
    with _lock:
        home = _home(module_name.partition(".")[0], folder.resolve())
        if home is None:
            return {}
        read = _read.get(_package_of(home), {})
        return {str(path.relative_to(home)): text for path, text in read.items()}


def _package_of(home: Path) -> str:
    return f"own_{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"


def _module(name: str, folder: Path) -> ModuleType:
    home = _home(name.partition(".")[0], folder)
    if home is None:
        return _imported(name)
    package = _package_of(home)
    if any(_content(path) != was for path, was in _read.pop(package, {}).items()):
        for other in _modules_of(package):
            del sys.modules[other]
    if package not in sys.modules:
        parent = sys.modules[package] = ModuleType(package)
        parent.__path__ = [str(home)]
    try:
        with _siblings(home, package):
            return _imported(name, f"{package}.")
    finally:
        files = (getattr(sys.modules[other], "__file__", None) for other in _modules_of(package))
        _read[package] = {Path(file): _content(Path(file)) for file in files if file}


def _imported(name: str, prefix: str = "") -> ModuleType:
    try:
        return import_module(prefix + name)
    except (Exception, SystemExit) as error:  # whatever its code raises, it is not to be had
        told = str(error).replace(prefix, "") if prefix else str(error)  # as its author calls it
        raise ImportError(f"{type(error).__name__}: {told}") from error


def _modules_of(package: str) -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == package]


def _home(top: str, folder: Path) -> Path | None:
    """Return the folder that has the module's file, or None where it is none of somebody's own."""
    if (folder / f"{top}.py").is_file() or (folder / top).is_dir():
        return folder
    places = (Path(place).resolve() for place in sys.path)
    return next((place for place in places if (place / f"{top}.py").is_file()), None)


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


@contextmanager
def _siblings(home: Path, package: str) -> Iterator[None]:
    """Let `import other` find the folder's own other.py, and leave no trace of that name."""
    names = [path.stem for path in home.glob("*.py") if not path.stem.startswith("__")]
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    finder = _Finder(package, names)
    writes_no_bytecode = sys.dont_write_bytecode
    # Python knows an edited file by its length and the second; of a model that may not be enough.
    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, finder)
    invalidate_caches()
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        sys.dont_write_bytecode = writes_no_bytecode
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


class _Finder(MetaPathFinder):
    """Finds the modules of a folder under the name of its package."""

    def __init__(self, package: str, names: Sequence[str]) -> None:
        self._package = package
        self._names = frozenset(names)

    def find_spec(
        self, fullname: str, path: object, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """Return how to import a module of the folder; None for any other."""
        if path is not None or fullname not in self._names:
            return None
        return spec_from_loader(fullname, _Alias(f"{self._package}.{fullname}"))


class _Alias(Loader):
    """Imports a module by another name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module, which keeps its own specification."""
        self._own = import_module(self._name)
        self._own_spec = self._own.__spec__
        return self._own

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing more: it has run."""
        module.__spec__ = self._own_spec
