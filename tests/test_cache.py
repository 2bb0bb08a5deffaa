"""Compiled code is found where it was put, also where nothing can be written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_CALL = """
from mmquant._cache import cache_dir
from mmquant.kernels.fair_value import mid_ticks
assert mid_ticks(1, 2) == 1.5
stats = mid_ticks.stats
print(cache_dir(), sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""
_LOAD = """
import sys
import numba
from mmquant.kernels.fair_value import mid_ticks
assert mid_ticks(1, 2) == 1.5
print(sum(mid_ticks.stats.cache_hits.values()), "numba.np.linalg" in sys.modules)
twice = numba.njit(lambda bid, ask: 2 * mid_ticks(bid, ask))
assert twice(1, 2) == 3.0
"""
_WHOLE = """
import numpy as np
from mmquant._jit import bare_inlined, bare_njit, bare_whole

@bare_njit
def part(values, factor):
    values[0] *= factor
    return values[0] + (part(values, factor - 1) if factor > 1 else 0)

@bare_whole
def whole(values, factor):
    return part(values, factor) + part(values[1:], factor)

@bare_njit
def other(values, factor):
    return part(values, factor)

values = np.array([1, 10])
answer = whole(values, 3), values.tolist()
assert answer == ((3 + 6 + 6) * 11, [6, 60]), answer
assert other(np.array([2, 3]), 2) == 8  # its part is not that of the program
library = next(iter(whole.overloads.values())).library
functions = [f for f in library._final_module.functions if not f.is_declaration]
print(*whole.stats.cache_hits.values(), {f.linkage.name for f in functions if "part" in f.name})
"""
_PARTS = """
import sys
import numba
import numpy as np
from mmquant._jit import bare_njit, njit

@njit
def doubled(values):
    if values.size == 0:
        raise ValueError("nothing to double", values.size)
    return 2.0 * values

@njit
def summed(values):
    return doubled(values).sum()

def is_callable(kernel):
    return [callable(one.entry_point) for one in kernel.overloads.values()]

def refuses(kernel):
    try:
        kernel(np.empty(0))
    except ValueError as error:
        return error.args == ("nothing to double", 0)

numbers = np.arange(4.0)
for name in sys.argv[1:]:
    if name == "summed":
        assert summed(numbers) == 12.0 and refuses(summed)
    elif name == "doubled":
        assert doubled(numbers).tolist() == [0.0, 2.0, 4.0, 6.0] and refuses(doubled)
    else:
        assert numba.njit(lambda values: summed(values) + 1)(numbers) == 13.0
    print(is_callable(summed), is_callable(doubled), end="; ")
print([sum(kernel.stats.cache_hits.values()) for kernel in (summed, doubled)])
"""
_READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to mount a folder read-only")
@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_a_read_only_cache_is_used_through_a_copy(tmp_path: Path) -> None:
    cache, temporary = tmp_path / "cache", tmp_path / "tmp"
    temporary.mkdir()
    environ = {**os.environ, "MMQUANT_CACHE_DIR": str(cache), "TMPDIR": str(temporary)}

    def call(*prefix: str) -> tuple[Path, str, str]:
        command = [*prefix, sys.executable, "-c", _CALL]
        ran = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True)
        folder, hits, misses = ran.stdout.split()
        return Path(folder), hits, misses

    folder, hits, misses = call()
    assert (folder.parent, hits, misses) == (cache, "0", "1")
    for _ in range(2):
        folder, hits, misses = call("unshare", "--mount", "sh", "-c", _READ_ONLY, str(cache))
        assert (folder.parent.parent, hits, misses) == (temporary, "1", "0")


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_what_is_loaded_needs_no_compiler_until_something_is_compiled_with_it(
    tmp_path: Path,
) -> None:
    environ = {**os.environ, "MMQUANT_CACHE_DIR": str(tmp_path)}

    def said() -> list[str]:
        command = [sys.executable, "-c", _LOAD]
        ran = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True)
        return ran.stdout.split()

    assert said() == ["0", "True"]
    assert said() == ["1", "False"]


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_the_parts_of_a_whole_program_are_its_own(tmp_path: Path) -> None:
    script = tmp_path / "whole_program.py"
    script.write_text(_WHOLE)
    environ = {**os.environ, "MMQUANT_CACHE_DIR": str(tmp_path)}

    def said() -> str:
        command = [sys.executable, str(script)]
        ran = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True)
        return ran.stdout.strip()

    assert said() == "{'internal'}"
    assert said() == "1 set()", "from the cache: machine code"


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_a_part_of_a_kernel_becomes_callable_where_python_calls_it(tmp_path: Path) -> None:
    script = tmp_path / "parts.py"
    script.write_text(_PARTS)
    environ = {**os.environ, "MMQUANT_CACHE_DIR": str(tmp_path)}

    def said(*calls: str) -> str:
        command = [sys.executable, str(script), *calls]
        ran = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True)
        return ran.stdout.strip()

    assert said("summed") == "[True] [False]; [0, 0]"
    assert said("summed") == "[True] []; [1, 0]", "from the cache, without its part"
    assert said("doubled", "summed") == "[] [True]; [True] [True]; [1, 1]", "of a part on disk"
    assert said("doubled") == "[] [True]; [0, 1]"
    (tmp_path / "parts.py").write_text(_PARTS + "# changed\n")  # nothing on disk is of it
    assert said("njit", "doubled", "summed").endswith("[True] [True]; [0, 0]")


def test_the_folder_is_the_same_with_and_without_numba() -> None:
    call = "from mmquant._cache import cache_dir; print(cache_dir())"
    folders = {
        subprocess.run(
            [sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        for script in (call, f"import numba; {call}")
    }
    assert len(folders) == 1


def test_an_import_alone_looks_at_no_cache(tmp_path: Path) -> None:
    environ = {**os.environ, "MMQUANT_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", "import mmquant.backtest"], env=environ, check=True)
    assert not (tmp_path / "cache").exists()
