"""`mm convert` says what is wrong in its own words, and before the work where it can be known."""

import pytest
from mm_cli.convert import Conversion, convert
from mm_cli.main import app
from mm_cli.outputs import in_command_words
from mm_cli.processes import CannotContinue
from recorded_lines import FRAMES, NS, write

from mmquant.tape import read_tape

pytestmark = pytest.mark.kernels


def mm(*arguments):
    app(["convert", *map(str, arguments)], standalone_mode=False)


@pytest.mark.parametrize(
    ("said", "in_words"),
    [
        ('sort it, or pass repair=["order"]', "sort it, or pass --repair order"),
        ("repair with tape.repair('clock')", "repair with --repair clock"),
        ('; read with stamp_unit="us"', "; read with --stamp-unit us"),
        ("the market is unknown: pass market=", "the market is unknown: pass --market"),
        ("pass format=, one of raw, tape", "pass --format, one of raw, tape"),
        ("of tick_size 0.25: leave tick_size out", "of --tick-size 0.25: leave --tick-size out"),
        ("stamp_unit must be one of ns, us", "--stamp-unit must be one of ns, us"),
        ("/a/tick_size/b.gz: damaged", "/a/tick_size/b.gz: damaged"),
        ("no symbol=*/hour=*/part.parquet in it", "no symbol=*/hour=*/part.parquet in it"),
    ],
)
def test_remedies_are_the_commands_options(said, in_words):
    assert in_command_words(said, "") == in_words


def test_errors_and_reports_name_options_that_the_command_has(tmp_path, capsys):
    back = write(tmp_path, FRAMES, "back", step=-1000)
    micro = write(tmp_path, FRAMES, "micro", NS // 1000, 1)
    with pytest.raises(CannotContinue, match=r"back, line 2: .*or pass --repair order$"):
        mm(back, tmp_path / "x.tape")
    with pytest.raises(CannotContinue, match=r"micro, line 1: .*read with --stamp-unit us$"):
        mm(micro, tmp_path / "x.tape")
    with pytest.raises(CannotContinue, match="repair must be one of order, clock, duplicates"):
        mm(back, tmp_path / "x.tape", "--repair", "clokc")
    early = write(tmp_path, FRAMES, "early", NS - 10**9)
    mm(early, tmp_path / "x.tape")
    assert "repair with --repair clock" in capsys.readouterr().out
    assert len(read_tape(tmp_path / "x.tape"))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("memory://x", "would be lost when this command ends: name a file"),
        ("o.csv", "its name ends as another format's does"),
        ("none/x.npz", "there is no folder .*none to write"),
        ("nosuch://x/y", r"as one that fsspec knows .*, got 'nosuch://x/y'"),
    ],
)
def test_a_target_that_cannot_be_is_said_before_the_work(tmp_path, target, message):
    place = target if "://" in target else str(tmp_path / target)
    plan = Conversion(sources=("a file that is not there",), target=place)
    if target.startswith("nosuch"):
        pytest.importorskip("fsspec")
    with pytest.raises((ValueError, OSError), match=message):
        convert(plan, None)


def test_a_json_file_that_cannot_be_is_said_before_the_work(tmp_path):
    plan = Conversion(sources=("a file that is not there",), target=str(tmp_path / "x.tape"))
    with pytest.raises(ValueError, match=r"--json .* Is a directory: name a file"):
        convert(plan, tmp_path)
    with pytest.raises(ValueError, match=r"--json .* there is no folder .*none: make it first"):
        convert(plan, tmp_path / "none" / "x.json")
