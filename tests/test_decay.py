"""2^(-t), one at a time and four at once: the power of two, and the same bits in every mode."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmquant._jit import bare_njit
from mmquant._jit_decays import INTERVALS, LONGEST_BITS, decays
from mmquant.kernels.decay import decay

pytestmark = pytest.mark.kernels


@bare_njit
def compiled_decays(ts_ns, at, per_ns):
    return decays(ts_ns, at, per_ns)


@given(st.floats(0.0, 990.0))
def test_the_decay_is_a_power_of_two(halvings):
    assert decay(halvings) == pytest.approx(2.0**-halvings, rel=1e-15)


def test_no_time_is_no_decay_and_endless_time_almost_everything():
    assert decay(0.0) == 1.0
    assert decay(1e9) == 2.0**-1000


def test_compiled_and_interpreted_give_the_same_bits():
    interpreted = getattr(decay, "py_func", decay)
    halvings = np.linspace(0.0, 1100.0, 4001)
    assert [decay(t) for t in halvings] == [interpreted(t) for t in halvings]


intervals = st.one_of(
    st.integers(0, 10**10),
    st.integers(0, 1 << LONGEST_BITS),
    st.sampled_from([0, 1, (1 << LONGEST_BITS) - 1, 1 << LONGEST_BITS, 2**60, -1, -(2**60)]),
)


@settings(deadline=None)
@given(
    st.lists(intervals, min_size=INTERVALS, max_size=INTERVALS),
    st.integers(-(2**60), 2**60),
    st.integers(1, 3),
    st.integers(1, 2**60),
)
def test_four_at_once_are_four_times_one(elapsed_ns, first_ns, at, half_life_ns):
    times = np.cumsum([first_ns, *elapsed_ns], dtype=np.int64)
    ts_ns = np.concatenate([np.full(at - 1, 7), times])
    sound, *four = compiled_decays(ts_ns, at, 1.0 / half_life_ns)
    assert sound == all(0 <= elapsed < 1 << LONGEST_BITS for elapsed in elapsed_ns)
    if sound:
        assert four == [decay(elapsed * (1.0 / half_life_ns)) for elapsed in elapsed_ns]
