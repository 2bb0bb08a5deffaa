"""What all tests share: hypothesis without a clock, and the captures where they lie."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Compiling on the first call makes any deadline meaningless. The same properties run in three
# modes: all examples compiled, fewer with array bounds checked and as plain Python.
_COMPILED = not (os.environ.get("NUMBA_BOUNDSCHECK") or os.environ.get("NUMBA_DISABLE_JIT"))
settings.register_profile("mmquant", deadline=None, max_examples=100 if _COMPILED else 20)
settings.load_profile("mmquant")

CAPTURES = Path(__file__).parents[2] / "shared" / "data" / "binance"


@pytest.fixture(scope="session")
def captures() -> Path:
    """Return the folder of the recorded captures; skip where they are absent."""
    if not CAPTURES.is_dir():
        pytest.skip(f"no captures in {CAPTURES}: tests on recorded data are left out")
    return CAPTURES
