"""The levels of a frame, read by words of eight bytes, against JSON and decimals."""

import os
import re
from decimal import Decimal

import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmquant._jit import bare_njit, leading_zeros, load_word, trailing_zeros
from mmquant.kernels.levels import (
    LEVEL_REACH,
    LEVELS_AT,
    PRICE_UNIT,
    QTY_UNIT,
    _read_alike,
    read_levels,
)
from mmquant.kernels.tokens import FAILED
from mmquant.state import SYMBOL

pytestmark = pytest.mark.kernels

IS_COMPILED = not (os.environ.get("NUMBA_BOUNDSCHECK") or os.environ.get("NUMBA_DISABLE_JIT"))
MAX_ROWS = 20
BEFORE = b'{"b":'
PLAIN = re.compile(r"[0-9]{1,10}(\.[0-9]*)?")
USDM, SPOT = (1, 1, 3, 1), (2, 1, 5, 1)  # decimals and divisor of the tick, and of the lot


def units_of(text, decimals, divisor):
    """Return how many times divisor * 10**-decimals a text is; None for what is none of these."""
    if not isinstance(text, str) or not PLAIN.fullmatch(text):
        return None
    units = Decimal(text).scaleb(decimals) / divisor
    return int(units) if units == int(units) else None


def reference(text, units):
    """Return the levels that a list is, as JSON and decimals have it; None for what is none."""
    try:
        rows = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(rows, list) or orjson.dumps(rows) != text or len(rows) > MAX_ROWS:
        return None
    if not all(isinstance(row, list) and len(row) == 2 for row in rows):
        return None
    levels = [(units_of(price, *units[:2]), units_of(qty, *units[2:])) for price, qty in rows]
    return None if any(not ticks or lots is None for ticks, lots in levels) else levels


def symbol_of(units):
    symbol = np.zeros(1, SYMBOL).view(np.int64)
    symbol[PRICE_UNIT : PRICE_UNIT + 2] = units[:2]
    symbol[QTY_UNIT : QTY_UNIT + 2] = units[2:]
    return symbol


def found(text, units, behind=b"}"):
    """Return what the kernel reads of a list: its levels, None where it refuses them."""
    out = np.zeros(LEVELS_AT + 4 * MAX_ROWS, np.int64)
    n, at = read_levels(BEFORE + text + behind, len(BEFORE), symbol_of(units), 0, out, 0)
    if at != len(BEFORE) + len(text):
        assert at == FAILED or at < len(BEFORE) + len(text)
        return None
    return [tuple(row) for row in out[LEVELS_AT:].reshape(-1, 2)[:n].tolist()]


def listed(*rows):
    return orjson.dumps(rows)


FORMS = [  # what a level looks like, and how much of it counts
    (["64000.00", "1.200"], USDM),
    (["64000.01000000", "12.34567000"], SPOT),
    (["0.00001234", "98765432.00"], (8, 1, 0, 1)),
    (["0.2345", "1234"], (4, 1, 0, 1)),
    (["64000", "0.003"], (0, 500, 3, 3)),
    (["9876543.5", "7654321"], (1, 5, 1, 10)),
    (["1.0", "0.10000000"], (7, 1, 7, 1)),
    (["12345.0000000", "1."], (3, 1, 4, 1)),
]


@pytest.mark.parametrize(("level", "units"), FORMS)
def test_alike_levels_are_read_by_words(level, units):
    text = listed(*[level] * 5) + bytes(LEVEL_REACH)
    out = np.zeros(LEVELS_AT + 4 * MAX_ROWS, np.int64)
    n, at, has_ended = _read_alike(
        text, 3, symbol_of((*units[:1], 1, *units[2:3], 1)), 0, out, 0, 9
    )
    assert (n, at, has_ended) == (5, len(text) - LEVEL_REACH, True)


@pytest.mark.parametrize(("level", "units"), FORMS)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 7])
def test_no_byte_behind_the_end_is_needed(level, units, n):
    text = listed(*[level] * n)
    expected = reference(text, units)
    assert expected is not None
    for length in range(2 * LEVEL_REACH):
        assert found(text, units, b"7" * length + b"}") == expected


@pytest.mark.parametrize(("level", "units"), FORMS)
def test_any_other_byte_anywhere_is_judged_as_by_json_and_decimals(level, units):
    text = listed(*[level] * 5)
    some = [*b'\x00",./09:[\\]{\x7f\x80\xae\xb0\xff']  # not the brace: it ends the data
    others = [i for i in range(256) if i != ord("}")] if IS_COMPILED else some
    step = len(text) // 5
    for at in range(step, 2 * step + 4):
        for byte in others:
            changed = text[:at] + bytes([byte]) + text[at + 1 :]
            for behind in (b"}", b" " * LEVEL_REACH + b"}")[not IS_COMPILED :]:
                assert found(changed, units, behind) == reference(changed, units), changed


def digits(smallest, largest):
    return st.integers(smallest, largest).flatmap(
        lambda n: st.text("0123456789", min_size=n, max_size=n)
    )


NUMBERS = st.one_of(
    st.builds(lambda whole, rest: f"{whole}.{rest}", digits(1, 5), digits(3, 3)),
    st.builds(
        lambda whole, rest, n: f"{whole}.{rest}{'0' * n}",
        digits(0, 11),
        digits(0, 9),
        st.integers(0, 12),
    ),
    digits(0, 20),
    st.sampled_from(
        ["1e3", "1.5e1", "-1.0", "+1.0", " 1.0", "1.0 ", "0.000", "00.100", "1..0", "٣"]
    ),
)
LEVELS = st.lists(st.lists(NUMBERS, min_size=2, max_size=2), max_size=5)
UNITS = st.tuples(
    st.integers(0, 8),
    st.sampled_from([1, 1, 2, 5, 25]),
    st.integers(0, 8),
    st.sampled_from([1, 1, 3, 10]),
)


@given(LEVELS, st.integers(1, 3), UNITS, st.integers(0, LEVEL_REACH))
@example([["1234567.25", "1.5"]], 2, (2, 25, 1, 3), LEVEL_REACH)
@settings(max_examples=400 if IS_COMPILED else 100)
def test_levels_of_many_forms_are_exact_or_refused(levels, times, units, length):
    text = listed(*[level for level in levels for _ in range(times)])
    assert found(text, units, b"5" * length + b"}") == reference(text, units)


@given(st.lists(st.tuples(st.integers(1, 10**7), st.integers(0, 10**8)), max_size=MAX_ROWS), UNITS)
@settings(max_examples=400 if IS_COMPILED else 100)
def test_levels_as_a_venue_writes_them_come_back(levels, units):
    def text_of(n, decimals, divisor):
        return f"{Decimal(n * divisor).scaleb(-decimals):.8f}"

    rows = [(text_of(a, *units[:2]), text_of(b, *units[2:])) for a, b in levels]
    expected = levels if all(PLAIN.fullmatch(text) for row in rows for text in row) else None
    assert found(listed(*rows), units, bytes(LEVEL_REACH) + b"}") == expected


def test_more_levels_than_there_is_room_for_are_refused():
    for n, kind in ((MAX_ROWS, list), (MAX_ROWS + 1, type(None))):
        text = listed(*[["64000.00", "1.200"]] * n)
        assert isinstance(found(text, USDM, bytes(LEVEL_REACH) + b"}"), kind)


@bare_njit
def word_at(data, at):
    return load_word(data, at)


@bare_njit
def zeros_of(word):
    return trailing_zeros(word)


@bare_njit
def zeros_before(word):
    return leading_zeros(word)


def test_a_word_is_eight_bytes_and_no_more():
    data = bytes(range(120, 136))
    for at in range(9):
        assert word_at(data, at) % (1 << 64) == int.from_bytes(data[at : at + 8], "little")
    if not IS_COMPILED:  # what the other tests rely on where they say that nothing more is read
        with pytest.raises(IndexError):
            word_at(data, 9)


def test_trailing_zeros_are_counted():
    for n in range(64):
        assert zeros_of(-(1 << 63) if n == 63 else 1 << n) == n
        assert zeros_of(-(1 << n)) == n
    assert zeros_of(0) == 64


def test_leading_zeros_are_counted():
    for n in range(63):
        assert zeros_before(1 << n) == zeros_before((2 << n) - 1) == 63 - n
    assert zeros_before(-1) == zeros_before(-(1 << 63)) == 0
    assert zeros_before(0) == 64
