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


def test_an_import_alone_looks_at_no_cache(tmp_path: Path) -> None:
    environ = {**os.environ, "MMQUANT_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", "import mmquant.backtest"], env=environ, check=True)
    assert not (tmp_path / "cache").exists()
