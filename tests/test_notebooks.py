"""The notebooks run, are stored with their outputs, stay small, and compute nothing themselves."""

import ast
import gzip
import json
import os
import re
from pathlib import Path

import pytest
from ports import free_base_port

import mmquant

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_BYTES = 300_000
ABSOLUTE = re.compile(r"(?<![\w.:/*])/(?:home|root|tmp|usr|var|work|opt|Users|mnt)\b|[A-Z]:\\\\")
# What only a formula of one's own would need: the library's functions have these inside.
MATHS = {"numpy", "math", "scipy", "statistics", "cmath"}
FORMULAS = {"exp", "log", "log1p", "expm1", "sqrt", "power", "cumsum", "cumprod", "rolling", "ewm"}
ONLY_NOTEBOOK = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem[:2])


def cells(path, kind):
    return [one for one in json.loads(path.read_text())["cells"] if one["cell_type"] == kind]


def code(path):
    return ["".join(cell["source"]) for cell in cells(path, "code")]


def texts(value):
    """Yield every text of a notebook that is not a picture."""
    if isinstance(value, dict):
        for key, one in value.items():
            if key != "image/png":
                yield from texts(one)
    elif isinstance(value, list):
        if all(isinstance(one, str) for one in value):
            yield "".join(value)
        else:
            for one in value:
                yield from texts(one)
    elif isinstance(value, str):
        yield value


def test_there_are_five():
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05"]


@ONLY_NOTEBOOK
def test_it_is_stored_with_its_outputs_and_small(path):
    stored = cells(path, "code")
    assert all(cell["execution_count"] == i + 1 for i, cell in enumerate(stored))
    outputs = [output for cell in stored for output in cell["outputs"]]
    assert all(output["output_type"] != "error" for output in outputs)
    assert all(output.get("name") != "stderr" for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert path.stat().st_size < MOST_BYTES, "run it with tools/run-notebooks"


@ONLY_NOTEBOOK
def test_it_names_no_place_of_a_machine(path):
    assert not [text for text in texts(json.loads(path.read_text())) if ABSOLUTE.search(text)]


def test_places_of_a_machine_are_found():
    assert ABSOLUTE.search("in /home/me/x")
    assert ABSOLUTE.search('"/tmp/a"')
    assert not ABSOLUTE.search("profit / tmp, config/var, https://a.b/home")


@ONLY_NOTEBOOK
def test_it_defines_no_maths_of_its_own(path):
    for node in ast.walk(ast.parse("\n".join(code(path)))):
        assert not isinstance(node, ast.FunctionDef | ast.ClassDef), f"{path.name}: {node.name}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not MATHS & {name.partition(".")[0] for name in names}, path.name
        if isinstance(node, ast.Attribute):
            assert node.attr not in FORMULAS, f"{path.name}: .{node.attr}"
        if isinstance(node, ast.BinOp):
            assert not isinstance(node.op, ast.Pow), f"{path.name}: a power"


@ONLY_NOTEBOOK
def test_every_step_is_explained(path):
    kinds = [one["cell_type"] for one in json.loads(path.read_text())["cells"]]
    assert kinds[0] == "markdown" == kinds[-1]
    assert "code code code code" not in " ".join(kinds)


@pytest.mark.parametrize(
    "path", [path for path in NOTEBOOKS if "MMQUANT_CAPTURES" in path.read_text()]
)
def test_it_takes_the_last_recording_and_no_other_file(path, tmp_path, monkeypatch, capsys):
    tree = ast.parse("\n".join(code(path)))
    imports = [one for one in tree.body if isinstance(one, ast.Import | ast.ImportFrom)]
    at = next(i for i, one in enumerate(tree.body) if "MMQUANT_CAPTURES" in ast.unparse(one))
    # The folder, the recordings, the search, and what is made of them.
    search = compile(ast.Module([*imports, *tree.body[at : at + 4]], []), path.name, "exec")
    read = []
    tape = mmquant.synthetic_tape(1)
    monkeypatch.setattr(mmquant, "read_tape", lambda path: read.append(path.name) or tape)
    monkeypatch.setattr(mmquant, "synthetic_tape", lambda **_: tape)
    monkeypatch.setenv("MMQUANT_CAPTURES", str(tmp_path))
    (tmp_path / "sub").mkdir()
    for name, text in (
        ("sub/z.ws.gz", b'wss://a/b -> {}\n1.5: {"stream": "a"}'),
        ("sub/z.http.gz", b'https://a/b -> 1.5: {"a": 1}'),
        ("sub/z.empty.gz", b""),
    ):
        (tmp_path / name).write_bytes(gzip.compress(text))
    exec(search, {})
    assert read == []
    assert "names no folder with recordings (*.gz with lines of <ns>" in capsys.readouterr().out
    for name in ("a.gz", "sub/b.gz"):
        (tmp_path / name).write_bytes(gzip.compress(b'1723161254036059768 {"stream": "a"}\n'))
    exec(search, {})
    assert read == ["b.gz"]
    assert capsys.readouterr().out == ""


@ONLY_NOTEBOOK
def test_it_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("MM_RUNTIME__METRICS__BASE_PORT", str(free_base_port()))
    monkeypatch.setenv("MM_RUNTIME__AERON__DIRECTORY", str(Path("/dev/shm") / tmp_path.name))
    monkeypatch.setenv("MMQUANT_DEMO_SECONDS", "3")
    monkeypatch.delenv("MMQUANT_CAPTURES", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "services")]))
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=300)
    client.execute(cwd=str(path.parent))
    if path.stem.startswith("05"):
        said = "".join(texts([cell.get("outputs", []) for cell in notebook.cells]))
        assert "exit code 0 (0: every byte is equal)" in said
