"""`make bench` calls its benchmarks without arguments: each must begin."""

import argparse
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
((NAMES),) = re.findall(r"for name in ([a-z_ ]+); do", (ROOT / "Makefile").read_text())


class Begins(Exception):
    """The arguments were taken."""


@pytest.mark.parametrize("name", NAMES.split())
def test_a_benchmark_begins_without_arguments(name, monkeypatch, capsys):
    if "argparse" not in (ROOT / f"benchmarks/{name}.py").read_text():
        return  # it takes none at all
    parse = argparse.ArgumentParser.parse_args

    def begin(parser):
        parse(parser, [])
        raise Begins

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", begin)
    with pytest.raises(Begins):
        import_module(f"benchmarks.{name}").main()
