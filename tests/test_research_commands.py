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
from mm_cli import backtests
from mm_cli.main import app
from mm_cli.outputs import in_command_words
from mm_cli.processes import CannotContinue
from own_model import code_block
from typer.testing import CliRunner

from mmquant.tape import read_tape
from mmquant.tape.synthetic import synthetic_tape

ROOT = Path(__file__).parents[1]
SHORT = ("--seconds", "2")
VARY = ("--vary", "strategy.levels=1,2")


def mm(*arguments, folder, **environment):
    """Run `mm` as plain Python, so that a short tape compiles nothing."""
    return subprocess.run(
        [sys.executable, "-m", "mm_cli.main", *arguments],
        cwd=folder,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", **environment},
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
    assert "mm: " not in told.stderr
    rows = json.loads((workshop / "s.json").read_text())
    assert [row["strategy.levels"] for row in rows] == [1, 3]
    assert rows[0]["orders"] < rows[1]["orders"]


def strictly(path):
    """Return a file's JSON as a parser reads it that knows no NaN."""

    def refuse(word):
        raise ValueError(f"{path}: {word} is no JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_every_file_is_json_for_strict_parsers(workshop):
    tape = synthetic_tape(1.0, 1)
    for name in ("received_ns", "venue_ns"):  # of two minutes without a fill there is no Sharpe
        tape.events[name][-1:] += 121_000_000_000
    tape.save(workshop / "long.tape")
    long = ("--tape", "long.tape")
    quiet = ("--set", "pricing.warmup_s=1000")
    told = mm("backtest", "mine", *long, *quiet, "--json", "n.json", folder=workshop)
    assert told.returncode == 0, told.stderr
    assert strictly(workshop / "n.json")["metrics"]["BTCUSDT"]["sharpe_per_minute"] is None
    varied = ("--vary", "strategy.levels=1", *quiet, "--json", "m.json", "--results", "m.jsonl")
    told = mm("sweep", "mine", *long, *varied, folder=workshop)
    assert told.returncode == 0, told.stderr
    (row,) = strictly(workshop / "m.json")
    assert row["sharpe_per_minute"] is None
    assert strictly(workshop / "m.jsonl")["metrics"]["sharpe_per_minute"] is None
    again = mm("sweep", "mine", *long, *varied, folder=workshop)
    assert again.stdout == told.stdout
    assert len((workshop / "m.jsonl").read_text().splitlines()) == 1


def test_a_sweeps_shared_changes_and_the_columns_that_fit(workshop):
    varied = ("--vary", "strategy.levels=1,2", "--vary", "strategy.requote_ticks=4")
    files = ("--set", "strategy.order_qty='0.020'", "--json", "wide.json")
    told = mm("sweep", "mine", *SHORT, *varied, *files, folder=workshop, COLUMNS="60")
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert lines[0].split()[:2] == ["strategy.levels", "net_profit"]
    assert max(len(line) for line in lines) <= 60
    rows = strictly(workshop / "wide.json")
    assert {"strategy.requote_ticks", "fees", "hash"} <= set(rows[0])
    told = mm("sweep", "mine", *SHORT, *varied, folder=workshop, COLUMNS="60")
    assert "columns more: --json FILE has all of them" in told.stdout
    assert told.stdout.splitlines()[1] != lines[1], "another size of the orders"


@pytest.fixture(scope="module")
def blind(workshop):
    """Return a folder whose model answers no number."""
    folder = workshop / "blind"
    shutil.copytree(workshop / "mine", folder)
    text = (folder / "my_model.py").read_text()
    (folder / "my_model.py").write_text(text.replace("reservation + half", "float('nan')"))
    return folder


@pytest.mark.parametrize(
    "command", [("backtest",), ("report", "--output", "blind.html"), ("sweep", *VARY)]
)
def test_a_model_without_a_number_fails_the_command(workshop, blind, command):
    told = mm(command[0], "blind", *SHORT, *command[1:], "--json", "bl.json", folder=workshop)
    assert told.returncode == 1
    assert "Traceback" not in told.stderr
    if command[0] == "sweep":
        assert "no number in any of the 2 sets" in told.stderr
        assert "no_number_s" in told.stdout
        assert all(row["no_number_s"] > 0 for row in strictly(workshop / "bl.json"))
        return
    place = rf"my_model:quotes \({re.escape(str(blind))}/my_model\.py, line \d+\) never answered"
    words = rf"mm: BTCUSDT: the model {place} .* first at event \d+ of the tape, received_ns \d+"
    assert re.search(words, told.stderr), told.stderr
    (failure,) = strictly(workshop / "bl.json")["failures"]
    assert failure in told.stderr
    assert command[0] == "backtest" or (workshop / "blind.html").exists()


def test_remedies_are_in_the_commands_own_words(workshop):
    tape = synthetic_tape(0.5, 1)
    tape.events["received_ns"][5] -= 10**12
    tape.save(workshop / "disorder.tape")
    told = mm("backtest", "mine", "--tape", "disorder.tape", folder=workshop)
    assert told.returncode == 2
    assert told.stderr.rstrip().endswith("mm convert FILE x.tape --repair order")
    told = mm("convert", "disorder.tape", "there.npz", folder=workshop)
    assert "repair(" not in told.stdout + told.stderr
    assert "--repair order" in told.stdout + told.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('; read with stamp_unit="us"', "; mm convert FILE x.tape --stamp-unit us"),
        ("by 1000, or read with stamp_unit=", "by 1000, or mm convert FILE x.tape --stamp-unit"),
        ("sort it, or pass repair=['order']", "sort it, or mm convert FILE x.tape --repair order"),
        ("repair with tape.repair('clock')", "mm convert FILE x.tape --repair clock"),
        ("unknown: pass symbol=", "unknown: mm convert FILE x.tape --symbol"),
        ("an error of another kind", "an error of another kind"),
    ],
)
def test_every_remedy_of_the_library_has_its_option(text, words):
    assert in_command_words(text) == words


@pytest.mark.parametrize("option", ["--json", "--output", "--results"])
def test_a_file_that_cannot_be_written_is_said_before_the_work(workshop, monkeypatch, option):
    monkeypatch.chdir(workshop)
    monkeypatch.setattr(backtests, "tape_of", lambda *_: pytest.fail("the work was begun"))
    command = {"--json": "backtest", "--output": "report", "--results": "sweep"}[option]
    vary = VARY if command == "sweep" else ()
    for place, words in (
        ("nowhere/x", f"there is no folder {workshop / 'nowhere'}: make it first"),
        (".", "Is a directory: name a file"),
    ):
        told = CliRunner().invoke(app, [command, "mine", *vary, option, place])
        assert told.exit_code == 2
        assert f"mm: {option} {place} cannot be written: {words}" in told.stderr.replace("\n", " ")
    with pytest.raises(CannotContinue, match=r"--json nowhere/x cannot be written"):
        app(["demo", "--json", "nowhere/x"], standalone_mode=False)


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
        (("sweep", "mine", *VARY, *VARY), "--vary must name strategy.levels once"),
        (("sweep", "mine", *VARY, "--set", "strategy.levels=1"), "and --set another key"),
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
    assert told.stderr.startswith("mm: "), "a bar is for terminals"


def test_a_quantity_needs_no_quotes_to_stay_the_exact_decimal(workshop, monkeypatch):
    monkeypatch.chdir(workshop)
    seen = []
    monkeypatch.setattr(backtests.sweep, "run", lambda tape, sets, **_: seen.extend(sets))
    for varied in ("0.010,0.020", '"0.010","0.020"'):
        backtests.run_sweep(
            Path("mine"), None, [f"strategy.order_qty={varied}"], [], None, processes=1
        )
    assert [one["strategy.order_qty"] for one in seen] == ["0.010", "0.020"] * 2
    config = backtests._config(
        Path("mine"), ["strategy.order_qty=0.010", "simulator.account.quote_balance=1000.10"]
    )
    assert config.strategy["order_qty"] == "0.010"
    assert config.simulator["account"]["quote_balance"] == "1000.10"
    assert backtests._config(Path("mine"), ["strategy.levels=2"]).strategy["levels"] == 2
