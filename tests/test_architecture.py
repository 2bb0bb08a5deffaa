"""The shape of the project: imports go one way, files and functions stay small."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = sorted((ROOT / "mmquant").rglob("*.py"))
SERVICES = sorted((ROOT / "services").rglob("*.py"))
SOURCES = [*LIBRARY, *SERVICES, *sorted((ROOT / "tests").glob("*.py"))]
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 70

# What the library may import: nothing that opens a socket, and nothing of the services.
# sqlite3: the ledger's file is read as a tape is. bokeh, distributed, fsspec and pyarrow are
# imported by the functions that need them, which say how to install them.
LIBRARY_MAY = {
    name
    for name in (
        "mmquant numba llvmlite numpy pandas msgspec bokeh distributed fsspec pyarrow "
        "collections concurrent contextlib copy dataclasses decimal difflib enum fractions "
        "functools hashlib html importlib inspect io itertools json math multiprocessing os "
        "pathlib shutil sqlite3 sys tempfile threading time tomllib types typing warnings zipfile "
        "zlib"
    ).split()
}
KERNELS_MAY = (
    "mmquant._jit",
    "mmquant.codes",
    "mmquant.records",
    "mmquant.state",
    "mmquant.kernels",
    "numpy",
    "math",
    "typing",
)


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "mmquant":
                yield from (f"mmquant.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def name_of(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_the_library_knows_no_sockets_and_no_services(path):
    for module in imports_of(path):
        assert module.partition(".")[0] in LIBRARY_MAY, f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", [p for p in LIBRARY if p.parent.name == "kernels"], ids=name_of)
def test_kernels_know_only_kernels_and_records(path):
    for module in imports_of(path):
        assert module.startswith(KERNELS_MAY), f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", SERVICES, ids=name_of)
def test_aeron_is_imported_by_the_runtime_alone(path):
    if path.parent.name != "mm_runtime":
        assert "pyaeron" not in {module.partition(".")[0] for module in imports_of(path)}


@pytest.mark.parametrize("path", SERVICES, ids=name_of)
def test_services_know_each_other_only_by_messages(path):
    # The launcher starts them, and warms up their kernels; they all share the runtime.
    if path.parent.name == "mm_cli":
        return
    own = {path.parent.name, "mm_runtime"}
    for module in imports_of(path):
        package = module.partition(".")[0]
        assert not package.startswith(("mm_", "aeronmd")) or package in own


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_and_functions_stay_small_and_say_what_they_are(path):
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{name_of(path)} does not say what it is"
    assert len(text.splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            documented = ast.get_docstring(node, clean=False) or ""
            code = length - documented.count("\n")
            assert code <= MAX_FUNCTION_LINES, f"{name_of(path)}: {node.name} has {code} lines"
