"""mm init, backtest, report and sweep: a new folder is tried at once, and what is wrong is said."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from mm_cli.main import app
from mm_cli.processes import CannotContinue
from own_model import code_block
from typer.testing import CliRunner

from mmquant.tape import read_tape
from mmquant.tape.synthetic import synthetic_tape

ROOT = Path(__file__).parents[1]
SHORT = ("--seconds", "2")


def mm(*arguments, folder):
    """Run `mm` as plain Python, so that a short tape compiles nothing."""
    return subprocess.run(
        [sys.executable, "-m", "mm_cli.main", *arguments],
        cwd=folder,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """Return a folder in which `mm init mine` was run."""
    folder = tmp_path_factory.mktemp("workshop")
    made = mm("init", "mine", folder=folder)
    assert made.returncode == 0, made.stderr
    return folder


def test_a_new_folder_backtests_at_once_and_again_the_same(workshop):
    first = mm("backtest", "mine", *SHORT, "--json", "a.json", folder=workshop)
    assert first.returncode == 0, first.stderr
    assert "what speaks against believing it" in first.stdout
    assert mm("backtest", "mine", *SHORT, "--json", "b.json", folder=workshop).returncode == 0
    a, b = (json.loads((workshop / name).read_text()) for name in ("a.json", "b.json"))
    assert a == b
    assert a["metrics"]["BTCUSDT"]["orders"] > 0
    changed = mm(
        "backtest",
        "mine",
        *SHORT,
        "--set",
        "strategy.levels=1",
        "--json",
        "c.json",
        folder=workshop,
    )
    assert changed.returncode == 0, changed.stderr
    c = json.loads((workshop / "c.json").read_text())
    assert c["metrics"]["BTCUSDT"]["orders"] < a["metrics"]["BTCUSDT"]["orders"]


def test_the_documented_model_backtests(workshop):
    """The model and its settings as docs/own-model.md prints them."""
    folder = workshop / "documented"
    shutil.copytree(ROOT / "config", folder)
    (folder / "my_models.py").write_text(code_block("own-model", "python"))
    settings = (folder / "strategy.toml").read_text()
    head, _, rest = settings.partition("[model_parameters]")
    head = re.sub(r"(?m)^model = .*$", "", head)
    model, parameters = code_block("own-model", "toml").split("\n\n")
    rest = rest[rest.index("[ladder]") :]
    (folder / "strategy.toml").write_text(f"{model}\n{head}{parameters}\n{rest}")
    told = mm("backtest", "documented", *SHORT, "--json", "d.json", folder=workshop)
    assert told.returncode == 0, told.stderr
    found = json.loads((workshop / "d.json").read_text())
    assert found["metrics"]["BTCUSDT"]["orders"] > 0


def test_the_report_is_one_page(workshop):
    told = mm("report", "mine", *SHORT, "--output", "page.html", folder=workshop)
    assert told.returncode == 0, told.stderr
    page = (workshop / "page.html").read_text()
    assert "adverse selection" in page
    assert "<script src=" not in page
    assert "<link" not in page


def test_a_sweep_gives_a_row_a_set(workshop):
    told = mm(
        "sweep",
        "mine",
        *SHORT,
        "--vary",
        "strategy.levels=1,3",
        "--json",
        "s.json",
        folder=workshop,
    )
    assert told.returncode == 0, told.stderr
    rows = json.loads((workshop / "s.json").read_text())
    assert [row["strategy.levels"] for row in rows] == [1, 3]
    assert rows[0]["orders"] < rows[1]["orders"]


def test_init_takes_the_shipped_settings_whatever_lies_in_config(workshop):
    """Somebody's own ./config may name another model, or be no start for anybody."""
    here = workshop / "elsewhere"
    (here / "config").mkdir(parents=True)
    (here / "config" / "strategy.toml").write_text('model = "glft"\n[model_parameters]\n')
    told = mm("init", "mine", folder=here)
    assert told.returncode == 0, told.stderr
    text = (here / "mine" / "strategy.toml").read_text()
    assert re.findall(r"(?m)^model = .*$", text) == ['model = "my_model:quotes"']
    assert text == (workshop / "mine" / "strategy.toml").read_text()


def test_a_wheel_brings_the_settings_along(tmp_path):
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    installed, workplace = tmp_path / "site", tmp_path / "here"
    workplace.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    code = "import mm_cli.main as m; print(m.__file__); m.main()"
    told = subprocess.run(
        [sys.executable, "-c", code, "init", "mine"],
        cwd=workplace,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(str(installed))
    assert (workplace / "mine" / "strategy.toml").read_text().count("my_model:quotes") == 1
    shipped = {path.name: path.read_bytes() for path in (installed / "mm_cli/config").iterdir()}
    assert shipped == {path.name: path.read_bytes() for path in (ROOT / "config").iterdir()}


def test_addresses_are_written_and_read_on_the_command_line(workshop):
    address = (workshop / "parquet").as_uri()
    synthetic_tape(0.5, 1).save(workshop / "plain.tape")
    told = mm("convert", "plain.tape", address, folder=workshop)
    assert told.returncode == 0, told.stderr
    told = mm("convert", address, "back.tape", "--json", "c.json", folder=workshop)
    assert told.returncode == 0, told.stderr
    told = mm("backtest", "mine", "--tape", address, "--json", "e.json", folder=workshop)
    assert told.returncode == 0, told.stderr
    assert "address" not in told.stderr
    assert json.loads((workshop / "e.json").read_text())["source"].endswith(f"from {address}")
    there, back = (read_tape(workshop / name) for name in ("plain.tape", "back.tape"))
    assert there.events.size == back.events.size


def test_a_tape_may_be_converted_onto_itself(workshop):
    synthetic_tape(0.3, 2).save(workshop / "self.tape")
    before = read_tape(workshop / "self.tape").events.tobytes()
    told = mm("convert", "self.tape", "self.tape", folder=workshop)
    assert told.returncode == 0, told.stderr
    assert read_tape(workshop / "self.tape").events.tobytes() == before


def test_what_is_not_installed_is_said_in_a_line(workshop, monkeypatch):
    monkeypatch.chdir(workshop)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    told = CliRunner().invoke(app, ["backtest", "mine", "--tape", "file:///nowhere"])
    assert told.exit_code == 2
    assert "pip install 'mmquant[research]'" in told.stderr.replace("\n", " ")
    with pytest.raises(CannotContinue, match=r"pip install 'mmquant\[research\]'"):
        app(["convert", "file:///nowhere", "x.tape"], standalone_mode=False)
    with pytest.raises(CannotContinue, match="Is a directory"):
        app(["convert", "plain.tape", "y.tape", "--json", "."], standalone_mode=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("init", "mine"), "choose another name"),
        (("backtest", "nowhere"), "there is none"),
        (("backtest", "mine", "--tape", "nothing.gz"), "nothing.gz"),
        (("backtest", "mine", "--set", "levels=1"), "strategy. or simulator.key=value"),
        (("backtest", "mine", "--set", "strategy.level=1"), "nearest valid one is"),
        (("sweep", "mine"), "--vary must name at least one key"),
        (("backtest", "mine", "--json", "."), "Is a directory"),
        (("sweep", "mine", "--vary", "strategy.levels=1", "--json", "."), "Is a directory"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(workshop, monkeypatch, arguments, words):
    monkeypatch.chdir(workshop)
    more = SHORT if arguments[0] != "init" else ()
    told = CliRunner().invoke(app, [*arguments, *more])
    assert told.exit_code == 2
    assert words in told.stderr.replace("\n", " ")
    assert "Traceback" not in told.stderr
