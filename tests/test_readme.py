"""What README.md and docs/*.md show of the library exists, and the research example runs."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mmquant
from mmquant.tape.synthetic import synthetic_tape

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
DOTTED = re.compile(r"(?<![\w./-])mmquant((?:\.[A-Za-z_]\w*)+)(?![\w/]|\.(?:md|py|toml)\b)")


def paragraphs(page):
    """Return the paragraphs that are Python: of indented and of fenced code."""
    text = page.read_text()
    fenced = re.findall(r"(?ms)^```(?:python)?\n(.*?)^```", text)
    indented = re.findall(r"(?m)(?:^ {4}.*\n)+", text)
    for block in [*fenced, *indented]:
        body = re.sub(r"(?m)^ {4}", "", block) if block in indented else block
        try:
            yield ast.parse(body)
        except SyntaxError:
            continue  # of the shell, or a table


def in_package(path):
    """Return what `mmquant.a.b` is, each name looked up in the one before."""
    value = mmquant
    for name in path.split("."):
        value = getattr(value, name)
    return value


def names_of(page):
    """Return what the page's Python imports of the library and uses of its modules."""
    found, modules = set(), {}
    for tree in paragraphs(page):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mmquant"):
                found |= {(node.module, alias.name) for alias in node.names}
                modules |= {alias.asname or alias.name: node.module for alias in node.names}
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                home = modules.get(node.value.id)
                if home is not None:
                    found.add((f"{home}.{node.value.id}", node.attr))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_the_pages_python_uses_is_there(page):
    for module, name in sorted(names_of(page)):
        try:
            home = importlib.import_module(module)
        except ModuleNotFoundError:  # of a class
            package, _, name_of_class = module.rpartition(".")
            home = getattr(importlib.import_module(package), name_of_class)
        assert hasattr(home, name) or importlib.import_module(f"{module}.{name}"), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_the_pages_name_of_mmquant_is_there(page):
    for path in sorted(set(DOTTED.findall(page.read_text()))):
        in_package(path.removeprefix("."))


def test_import_mmquant_alone_gives_every_module():
    code = (
        "import sys, mmquant; light = set(sys.modules); mmquant.backtest.run; mmquant.sweep.grid; "
        "mmquant.comparison.block_length; mmquant.plot.price_pane; "
        "print(sorted(name for name in light if name.partition('.')[0] in "
        "('numpy', 'numba', 'pandas', 'bokeh') or name.startswith('mmquant.')))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout == "[]\n"


def test_what_the_package_has_not_is_said():
    for name in ("nothing", "_nothing", "backtests"):
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
            getattr(mmquant, name)
    assert {"backtest", "plot", "sweep"} <= set(dir(mmquant))


def test_a_module_that_needs_what_is_not_installed_says_so(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("mmquant.plot")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(mmquant, "plot", raising=False)
    monkeypatch.setitem(sys.modules, "bokeh.models", None)
    with pytest.raises(ImportError, match=r"pip install 'mmquant\[research\]'"):
        mmquant.plot  # noqa: B018


def test_the_research_example_of_the_readme_runs(tmp_path):
    text = (ROOT / "README.md").read_text()
    lines = re.findall(r"(?m)^ {4}((?:tape|result) = .*|print\(result.*)$", text)
    assert len(lines) == 3
    synthetic_tape(2.0, 1).save(tmp_path / "capture.tape")
    code = "import mmquant\n" + "\n".join(lines).replace("capture.gz", "capture.tape")
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,  # compiled first, where nobody has
    )
    assert told.returncode == 0, told.stderr
    assert "BTCUSDT" in told.stdout
