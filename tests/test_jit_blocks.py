"""Blocks of words at once, against plain Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmquant._arrays import aligned_empty
from mmquant._jit import bare_njit
from mmquant._jit_blocks import (
    LANES,
    LANES_ALIGNMENT,
    PAIRS,
    UNION_WORDS,
    copy_lanes,
    pairs_outside,
    settle_copies,
    taken_words,
    union_of_words,
)

pytestmark = pytest.mark.kernels
BITS = 53


@bare_njit
def outside(words, at):
    return pairs_outside(words, at, BITS)


@bare_njit
def union(words, at):
    return union_of_words(words, at)


@bare_njit
def taken(words, at):
    return taken_words(words, at)


int64 = st.integers(-(2**63), 2**63 - 1)


@settings(deadline=None)
@given(st.integers(0, 2 * PAIRS - 1), int64, st.integers(0, 3))
def test_one_pair_out_of_range_is_seen_at_every_place(place, word, at):
    words = np.full(2 * PAIRS + 3, -1, np.int64)
    words[at : at + 2 * PAIRS] = 1
    assert not outside(words, at)
    words[at + place] = word
    assert outside(words, at) == (word < 0 if place % 2 else not 1 <= word <= 2**BITS)


@pytest.mark.parametrize("first", [0, 1, 2**BITS, 2**BITS + 1])
@pytest.mark.parametrize("second", [-1, 0, 2**63 - 1])
def test_the_bounds_belong_to_the_range(first, second):
    words = np.array([first, second] * PAIRS, np.int64)
    assert outside(words, 0) == (first in (0, 2**BITS + 1) or second < 0)


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, UNION_WORDS - 1), int64, max_size=5), st.integers(0, 2))
def test_words_are_united_and_marked(values, at):
    words = np.full(UNION_WORDS + 2, -1, np.int64)
    words[at : at + UNION_WORDS] = 0
    for place, word in values.items():
        words[at + place] = word
    expected, marks = 0, 0
    for place, word in values.items():
        expected |= word
        marks |= (word != 0) << place
    assert union(words, at) == expected
    assert taken(words, at) % 2**64 == marks


@bare_njit
def copied(values, out, at, past_caches):
    copy_lanes(values, out, at, past_caches)
    settle_copies()


@pytest.mark.parametrize("past_caches", [False, True])
def test_lanes_are_copied_where_they_belong(past_caches):
    values = np.arange(LANES + 2.0)
    out = aligned_empty(3, LANES, LANES_ALIGNMENT).reshape(-1)
    out[:] = -1.0
    copied(values, out, LANES, past_caches)
    assert out.tolist() == [-1.0] * LANES + list(range(LANES)) + [-1.0] * LANES
    if not past_caches:
        copied(values, out, 1, past_caches)
        assert out[:3].tolist() == [-1.0, 0.0, 1.0]
