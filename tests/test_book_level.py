"""A level at a time by the short way is book_apply of it, the whole state equal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmquant.book import empty_book
from mmquant.codes import BookCode
from mmquant.kernels.book import MAX_PRICE_TICKS, book_apply, book_bbo
from mmquant.kernels.book_level import book_apply_level

pytestmark = pytest.mark.kernels

NEAR = st.integers(90, 110)
FAR = st.sampled_from([-1, 0, 1, 33_000, 70_000, 10**9, MAX_PRICE_TICKS, MAX_PRICE_TICKS + 1])
LEVELS = st.tuples(
    st.sampled_from([1, -1]), st.one_of(NEAR, NEAR, NEAR, FAR), st.sampled_from([0, 0, 1, 5, -1])
)


def apply_long(book, sign, tick, qty, update_id):
    words = np.array([tick, qty], np.int64)
    return book_apply(book, words, 0, int(sign > 0), 0, int(sign < 0), update_id, 0)


def apply_short(book, sign, tick, qty, update_id):
    return book_apply_level(book, np.array([tick, qty], np.int64), 0, sign, update_id)


@settings(max_examples=60, deadline=None)
@given(st.lists(LEVELS, max_size=60))
def test_the_short_way_leaves_what_the_long_way_leaves(levels):
    short, long = empty_book(), empty_book()
    for i, level in enumerate(levels):
        assert apply_short(short, *level, i + 1) == apply_long(long, *level, i + 1)
        if i % 16 == 7:
            for book in (short, long):
                book_bbo(book, i + 3, 98, 2, 99, 2)
    assert short.tobytes() == long.tobytes()


def test_levels_behind_at_and_before_the_best():
    book = empty_book()
    told = [(1, 100, 5), (-1, 102, 5), (1, 99, 3), (1, 100, 2), (1, 101, 1), (1, 101, 0)]
    for i, level in enumerate(told):
        assert apply_short(book, *level, i + 1) == BookCode.OK
    b = book[0]
    assert (b["best_bid_ticks"], b["best_bid_lots"]) == (100, 2)
    assert (b["best_ask_ticks"], b["best_ask_lots"]) == (102, 5)
    assert (b["last_update_id"], b["updates"], b["levels"]) == (6, 6, 6)


def test_words_outside_and_bad_values_are_refused():
    book = empty_book()
    words = np.array([100, 5], np.int64)
    assert book_apply_level(book, words, 1, 1, 1) == BookCode.BAD_LEVEL
    assert book_apply_level(book, words, -1, 1, 1) == BookCode.BAD_LEVEL
    assert apply_short(book, 1, 100, -1, 1) == BookCode.BAD_LEVEL
    assert book[0]["updates"] == 0
    assert book[0]["bad_levels"] == 3
