"""What all tests share: hypothesis without a clock, and the captures where they lie."""

from pathlib import Path

import pytest
from hypothesis import settings

# Compiling on the first call makes any deadline meaningless.
settings.register_profile("mmquant", deadline=None)
settings.load_profile("mmquant")

CAPTURES = Path(__file__).parents[2] / "shared" / "data" / "binance"


@pytest.fixture(scope="session")
def captures() -> Path:
    """Return the folder of the recorded captures; skip where they are absent."""
    if not CAPTURES.is_dir():
        pytest.skip(f"no captures in {CAPTURES}: tests on recorded data are left out")
    return CAPTURES
