"""A module of one's own: each folder's is its own, and an edited one is imported anew."""

import sys

import numba
import numpy as np
import pytest

from mmquant.backtest import load_config
from mmquant.configure import load_model
from mmquant.own_modules import own_files, own_function

MODEL = """import numba
from helpers import HALF


@numba.njit
def quotes(inputs, params, out):
    out[0]["bid_ticks"] = inputs[0]["fair_value_ticks"] - HALF
    out[0]["ask_ticks"] = inputs[0]["fair_value_ticks"] + HALF
    return 0
"""


def write(folder, half, module="my_model"):
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(MODEL)
    (folder / "helpers.py").write_text(f"HALF = {half}\n")
    return folder


def half_of(folder, name="my_model:quotes"):
    from mmquant.state import MODEL_INPUTS, MODEL_QUOTES

    inputs, out = np.zeros(1, MODEL_INPUTS), np.zeros(1, MODEL_QUOTES)
    own_function(name, folder)(inputs, np.zeros(0), out)
    return float(out[0]["ask_ticks"])


def test_each_folder_has_its_own_model_and_its_own_helpers(tmp_path):
    a, b = write(tmp_path / "a", 1.0), write(tmp_path / "b", 2.0)
    assert [half_of(folder) for folder in (a, b, a)] == [1.0, 2.0, 1.0]
    functions = [own_function("my_model:quotes", folder) for folder in (a, b, a)]
    assert functions[0] is functions[2] is not functions[1]  # what did not change compiles once


def test_a_backtest_trades_the_model_of_its_folder(tmp_path):
    bound = []
    for name, half in (("a", 1.0), ("b", 2.0)):
        folder = write(tmp_path / name, half)
        (folder / "strategy.toml").write_text('model = "my_model:quotes"\n[model_parameters]\n')
        config = load_config(folder)
        bound.append(load_model(config.strategy["model"], {}, config.folder)[0])
    assert bound[0] != bound[1]


@pytest.mark.parametrize("edited", ["helpers", "my_model"])
def test_an_edit_is_seen_however_soon_and_small_it_is(tmp_path, edited):
    folder = write(tmp_path / "a", 1.0)
    assert half_of(folder) == 1.0
    path = folder / f"{edited}.py"
    text = path.read_text()
    path.write_text(text.replace("1.0", "3.0") if edited == "helpers" else f"{text}# edited\n")
    before = own_function("my_model:quotes", folder)
    assert half_of(folder) == (3.0 if edited == "helpers" else 1.0)
    assert own_function("my_model:quotes", folder) is before
    path.write_text(path.read_text().replace("3.0", "4.0").replace("+ HALF", "+ 4.0"))
    assert half_of(folder) == 4.0


def test_what_a_module_imports_by_its_name_stays_out_of_the_process(tmp_path, monkeypatch):
    folder = write(tmp_path / "a", 1.0)
    mine = type(sys)("helpers")
    monkeypatch.setitem(sys.modules, "helpers", mine)
    path, finders = list(sys.path), list(sys.meta_path)
    assert half_of(folder) == 1.0
    assert sys.modules["helpers"] is mine
    assert "my_model" not in sys.modules
    assert (sys.path, sys.meta_path) == (path, finders)
    assert not sys.dont_write_bytecode or not (folder / "__pycache__").exists()


def test_a_module_where_python_looks_is_found_and_its_edits_too(tmp_path, monkeypatch):
    elsewhere = write(tmp_path / "elsewhere", 5.0, module="model_for_test")
    monkeypatch.syspath_prepend(str(elsewhere))
    assert half_of(tmp_path, "model_for_test:quotes") == 5.0
    (elsewhere / "helpers.py").write_text("HALF = 6.0\n")
    assert half_of(tmp_path, "model_for_test:quotes") == 6.0


def test_a_package_of_the_folder_is_imported_by_its_dotted_name(tmp_path):
    write(tmp_path, 1.0)
    package = tmp_path / "models"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "wide.py").write_text(MODEL.replace("from helpers", "from .parts"))
    (package / "parts.py").write_text("HALF = 7.0\n")
    assert half_of(tmp_path, "models.wide:quotes") == 7.0
    (package / "parts.py").write_text("HALF = 8.0\n")
    assert half_of(tmp_path, "models.wide:quotes") == 8.0


def test_the_files_of_a_model_are_told_as_they_were_imported(tmp_path):
    assert own_files("my_model:quotes", tmp_path) == {}
    folder = write(tmp_path / "a", 1.0)
    (folder / "another.py").write_text("unused = 1\n")
    half_of(folder)
    before = {name: (folder / name).read_bytes() for name in ("helpers.py", "my_model.py")}
    (folder / "helpers.py").write_text("HALF = 2.0\n")
    assert own_files("my_model:quotes", folder) == before
    half_of(folder)
    assert own_files("my_model:quotes", folder)["helpers.py"] == b"HALF = 2.0\n"
    assert own_files("math:sqrt", folder) == {}


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("raise SystemExit('enough')\n", ImportError, "SystemExit: enough"),
        ("raise OSError('no disk')\n", ImportError, "OSError: no disk"),
        ("def other():\n    pass\n", AttributeError, "quotes"),
        ("import nothing_at_all\n", ImportError, "nothing_at_all"),
    ],
)
def test_a_module_that_is_wrong_says_so_and_may_be_put_right(tmp_path, text, error, words):
    folder = write(tmp_path / "a", 1.0)
    assert half_of(folder) == 1.0
    (folder / "my_model.py").write_text(text)
    with pytest.raises(error, match=words):
        own_function("my_model:quotes", folder)
    (folder / "my_model.py").write_text(MODEL)
    assert half_of(folder) == 1.0


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="it is about compiled code")
def test_models_cached_on_disk_are_not_taken_for_each_other(tmp_path):
    """Two folders' models of one name, each loaded from numba's cache of an earlier process."""
    import subprocess

    cached = MODEL.replace("numba.njit", "numba.njit(cache=True)")
    for name, half in (("a", 1.0), ("b", 2.0)):
        (write(tmp_path / name, half) / "my_model.py").write_text(cached)
    code = """
import sys
import numpy as np
from pathlib import Path
from mmquant.own_modules import own_function
from mmquant.quoting import bind_model
from mmquant.state import MODEL_INPUTS, MODEL_QUOTES
for folder in sys.argv[1:]:
    model = own_function("my_model:quotes", Path(folder))
    bind_model(model)
    out = np.zeros(1, MODEL_QUOTES)
    model(np.zeros(1, MODEL_INPUTS), np.zeros(0), out)
    print(float(out[0]["ask_ticks"]), sum(model.stats.cache_hits.values()))
"""

    def run(*names):
        folders = [str(tmp_path / name) for name in names]
        told = subprocess.run(
            [sys.executable, "-c", code, *folders], capture_output=True, text=True, check=True
        )
        return told.stdout.split()

    assert run("a") == ["1.0", "0"]
    assert run("b") == ["2.0", "0"]
    assert run("a", "b") == ["1.0", "1", "2.0", "1"]


def test_what_is_not_there_is_named_as_its_author_calls_it(tmp_path):
    (tmp_path / "mine.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(ImportError, match="No module named 'nowhere_to_be_found'"):
        own_function("mine:f", tmp_path)
    (tmp_path / "other.py").write_text("def g():\n    return 1\n")
    with pytest.raises(AttributeError, match=r"other\.py has no function 'f'"):
        own_function("other:f", tmp_path)
    with pytest.raises(ImportError) as told:
        own_function("other.deeper:f", tmp_path)
    assert "own_" not in str(told.value)
