"""The order book against two plain dicts, against hand cases, and on a real capture."""

import gzip
import json
import os
from decimal import Decimal

import numpy as np
import pytest
import reference_book
from hypothesis import given, settings
from hypothesis import strategies as st

from mmquant.book import OrderBook, empty_book
from mmquant.codes import BookCode, BookFault, BookState, Side, Template
from mmquant.kernels.book import (
    MAX_PRICE_TICKS,
    NO_ASK,
    NO_BID,
    book_apply,
    book_depth_at,
    book_follow,
    book_top,
)
from mmquant.kernels.book_check import book_check
from mmquant.records import LEVEL
from mmquant.state import BOOK, BOOK_TAIL_LEVELS
from mmquant.wire import encode

pytestmark = pytest.mark.kernels
INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT") == "1"


def pack(levels):
    return [{"price_ticks": tick, "qty_lots": qty} for tick, qty in levels]


def apply(book, bids, asks, update_id=1, load=0):
    words = np.array([*bids, *asks], np.int64).reshape(-1)
    return book_apply(book, words, 0, len(bids), 2 * len(bids), len(asks), update_id, load)


def message_words(template, values, bids, asks):
    data = encode(template, values, {"bids": pack(bids), "asks": pack(asks)})
    return np.frombuffer(data, np.int64).copy()


def delta(epoch, previous_id, update_id, bids=(), asks=()):
    values = {"epoch": epoch, "previous_update_id": previous_id, "last_update_id": update_id}
    return message_words(Template.BOOK_DELTA, values, bids, asks)


def snapshot(epoch, update_id, state=BookState.LIVE, bids=(), asks=()):
    values = {
        "epoch": epoch,
        "last_update_id": update_id,
        "book_state": int(state),
        "known_low_ticks": 7,
        "known_high_ticks": 9,
    }
    return message_words(Template.BOOK_SNAPSHOT, values, bids, asks)


def levels_of(book, n):
    out = np.empty(2 * n, LEVEL)
    n_bids, n_asks = book_top(book, out, n)
    pairs = [(int(row["price_ticks"]), int(row["qty_lots"])) for row in out]
    assert pairs[n_bids:n] == [(0, 0)] * (n - n_bids)
    assert pairs[n + n_asks :] == [(0, 0)] * (n - n_asks)
    return pairs[:n_bids], pairs[n : n + n_asks]


def assert_same(book, twin, n=12):
    b = book[0]
    bids, asks = twin.top_bids(), twin.top_asks()
    best_bid = bids[0] if bids else (NO_BID, 0)
    best_ask = asks[0] if asks else (NO_ASK, 0)
    assert (b["best_bid_ticks"], b["best_bid_lots"]) == best_bid
    assert (b["best_ask_ticks"], b["best_ask_lots"]) == best_ask
    assert b["last_update_id"] == twin.last_update_id
    assert levels_of(book, n) == (bids[:n], asks[:n])


def assert_invariants(book):
    assert BookFault(book_check(book)) == BookFault.NONE


level_lots = st.one_of(st.just(0), st.integers(1, 1000))
# Offsets from a walking centre: mostly near, sometimes anywhere inside or far outside the window.
offsets = st.one_of(
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(62_000, 70_000),
    st.integers(125_000, 280_000),
)
side_levels = st.lists(st.tuples(offsets, level_lots), max_size=6)
steps = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, -1, 5, 34_000, -34_000, 66_000, -140_000, 180_000]),
        side_levels,
        side_levels,
    ),
    min_size=1,
    max_size=7,
)


@settings(max_examples=8 if INTERPRETED else 25, deadline=None)
@given(steps)
def test_the_book_equals_two_dicts_wherever_the_price_walks(walk):
    book = empty_book()
    twin = reference_book.Book()
    centre = 1_000_000
    for update_id, (move, bid_levels, ask_levels) in enumerate(walk, 1):
        centre += move
        # What the walk passed over is removed, as a venue would.
        bids = [(t, 0) for t in twin.bids if t >= centre]
        asks = [(t, 0) for t in twin.asks if t <= centre]
        bids += [(centre - d, q) for d, q in bid_levels]
        asks += [(centre + d, q) for d, q in ask_levels]
        assert apply(book, bids, asks, update_id) == twin.apply(bids, asks, update_id)
        assert_same(book, twin)
    assert_invariants(book)
    for tick in [*twin.bids, *twin.asks, 1, 10**9]:
        assert book_depth_at(book, 1, tick) == twin.bids.get(tick, 0)
        assert book_depth_at(book, -1, tick) == twin.asks.get(tick, 0)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(95, 105), level_lots), max_size=5),
            st.lists(st.tuples(st.integers(95, 105), level_lots), max_size=5),
        ),
        max_size=10,
    )
)
def test_a_crossed_book_is_told_and_stays_readable(events):
    book = empty_book()
    twin = reference_book.Book()
    for update_id, (bids, asks) in enumerate(events, 1):
        assert apply(book, bids, asks, update_id) == twin.apply(bids, asks, update_id)
        assert_same(book, twin)


def test_a_price_that_walks_far_moves_the_window_and_loses_nothing():
    book = empty_book()
    twin = reference_book.Book()
    for update_id, centre in enumerate(range(1_000_000, 1_600_000, 40_000), 1):
        bids = [(centre - 1, 5), (centre - 20_000, update_id)]
        asks = [(t, 0) for t in twin.asks if t <= centre] + [(centre + 1, 7), (2_000_000, 9)]
        assert apply(book, bids, asks, update_id) == twin.apply(bids, asks, update_id) == 0
    assert_invariants(book)
    assert_same(book, twin, 40)
    assert book[0]["reanchors"] >= 10
    assert book[0]["tail_evicted"] == 0
    # All the way back: what lies in the overflow comes into the ring again.
    bids = [(t, 0) for t in twin.bids if t > 1_000_000]
    asks = [(1_000_005, 3)]
    assert apply(book, bids, asks, 99) == twin.apply(bids, asks, 99)
    assert_same(book, twin, 40)
    assert_invariants(book)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_overflow_grows_forgets_what_is_gone_and_is_read_in_order(sign):
    book = empty_book()
    apply(book, *(([(10_000_000, 1)], []) if sign > 0 else ([], [(10_000_000, 1)])))
    rng, levels = np.random.default_rng(7), {}
    for round_ in range(8 if INTERPRETED else 24):
        # Prices come, change, go and come again; those of a round lie where no other's did.
        offsets = 100_000 + 2_000 * round_ + rng.integers(0, 1_500, 1_000)
        changes = {int(10_000_000 - sign * offset): int(rng.integers(0, 3)) for offset in offsets}
        changes |= {tick: 0 for tick in list(levels)[: len(levels) // 2]}
        levels = {t: q for t, q in (levels | changes).items() if q}
        side = list(changes.items())
        assert apply(book, *((side, []) if sign > 0 else ([], side))) == 0
        assert book[0]["tail_bids" if sign > 0 else "tail_asks"] == len(levels)
    assert_invariants(book)
    read = levels_of(book, 1 + len(levels))[0 if sign > 0 else 1]
    assert read == [(10_000_000, 1), *sorted(levels.items(), reverse=sign > 0)]
    side = "bid" if sign > 0 else "ask"
    # 17,000 prices came by (6,000 interpreted), few are left.
    assert 0 < book[0][f"{side}_tail_doublings"] < 3
    assert len(levels) < book[0][f"{side}_tail_taken"]
    assert book[0]["tail_evicted"] == 0


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("was_there", [True, False], ids=["was there", "never was"])
def test_a_level_of_an_empty_book_leaves_no_bound_in_the_next_window(sign, was_there):
    book, twin = empty_book(), reference_book.Book()

    def change(side):
        both = (side, []) if sign > 0 else ([], side)
        assert apply(book, *both) == twin.apply(*both, 1)
        assert BookFault(book_check(book)) == BookFault.NONE
        assert_same(book, twin, 10)

    # Beyond the next window, behind its touch: what is gone moved the bound where scans stop.
    first, touch, far = (25_000, 400_000, 190_000) if sign > 0 else (400_000, 25_000, 190_000)
    if was_there:
        change([(first, 3)])
    change([(first, 0)])
    change([(touch, 7), (touch - sign, 7)])
    change([(far, 5)])
    assert book_depth_at(book, sign, far) == 5
    change([(touch, 0), (touch - sign, 0)])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_full_overflow_evicts_the_farthest_level_and_counts_it(sign):
    book = empty_book()
    touch = [(10_000_000, 1)]
    far = [(10_000_000 - sign * (100_000 + i), i + 1) for i in range(BOOK_TAIL_LEVELS)]
    apply(book, *((touch, []) if sign > 0 else ([], touch)))
    apply(book, *((far[::-1], []) if sign > 0 else ([], far)))
    assert book[0]["tail_evicted"] == 0
    nearer = (10_000_000 - sign * 99_000, 77)
    beyond = (10_000_000 - sign * 500_000, 78)
    apply(book, *(([nearer, beyond], []) if sign > 0 else ([], [nearer, beyond])))
    assert book[0]["tail_evicted"] == 2
    assert book_depth_at(book, sign, nearer[0]) == 77
    assert book_depth_at(book, sign, beyond[0]) == 0
    assert book_depth_at(book, sign, far[-1][0]) == 0
    assert book_depth_at(book, sign, far[-2][0]) == far[-2][1]
    assert_invariants(book)


@pytest.mark.parametrize(
    "bad", [(0, 1), (-5, 1), (100, -1), (MAX_PRICE_TICKS + 1, 1), (-(2**63), 0), (2**63 - 1, 1)]
)
def test_an_event_with_a_bad_level_leaves_the_book_as_it_was(bad):
    book = empty_book()
    apply(book, [(99, 1)], [(101, 2)])
    before = book.copy()
    for bids, asks in (([(98, 5), bad], [(102, 5)]), ([(98, 5)], [(102, 5), bad])):
        for load in (0, 1):
            assert apply(book, bids, asks, 2, load) == BookCode.BAD_LEVEL
    assert book[0]["bad_levels"] == 4
    book[0]["bad_levels"] = 0
    assert np.array_equal(book, before)


@pytest.mark.parametrize("n", [15, 16, 17, 31, 32, 33, 50])
def test_a_bad_level_is_found_wherever_it_stands_in_a_long_event(n):
    book = empty_book()
    levels = [(1_000 - i, i + 1) for i in range(n)]
    assert apply(book, levels, [(2_000, 1)]) == BookCode.OK
    before = book.copy()
    for bad in ((0, 1), (1_000, -1), (MAX_PRICE_TICKS + 1, 1), (-(2**63), 2**63 - 1)):
        for i in range(n):
            flawed = [*levels[:i], bad, *levels[i + 1 :]]
            assert apply(book, flawed, []) == BookCode.BAD_LEVEL
    assert book[0]["bad_levels"] == 4 * n
    book[0]["bad_levels"] = 0
    assert np.array_equal(book, before)
    assert apply(book, levels, [(MAX_PRICE_TICKS, 2**63 - 1)]) == BookCode.OK


def test_levels_outside_the_words_are_refused():
    book = empty_book()
    words = np.array([99, 1, 98, 1], np.int64)
    assert book_apply(book, words, 0, 3, 4, 0, 1, 0) == BookCode.BAD_LEVEL
    assert book_apply(book, words, 0, 2, 4, 1, 1, 0) == BookCode.BAD_LEVEL
    assert book_apply(book, words, 0, -1, 4, 0, 1, 0) == BookCode.BAD_LEVEL
    assert book_apply(book, words, 0, 2, 4, 0, 1, 0) == BookCode.OK


def test_follow_takes_a_snapshot_then_deltas_in_order():
    book = np.zeros(1, BOOK)
    assert book_follow(book, delta(1, 10, 11, [(99, 1)])) == BookCode.NOT_SYNCED
    assert book_follow(book, snapshot(1, 10, bids=[(99, 5)], asks=[(101, 6)])) == BookCode.OK
    assert (book[0]["known_low_ticks"], book[0]["known_high_ticks"]) == (7, 9)
    assert (book[0]["epoch"], book[0]["book_state"]) == (1, BookState.LIVE)
    assert book_follow(book, delta(1, 10, 12, [(100, 3)])) == BookCode.OK
    assert book_follow(book, delta(1, 10, 12, [(100, 4)])) == BookCode.IGNORED
    assert book_follow(book, snapshot(1, 11, BookState.STALE)) == BookCode.IGNORED
    assert book[0]["book_state"] == BookState.STALE
    assert book[0]["best_bid_ticks"] == 100
    assert book_follow(book, delta(1, 13, 14)) == BookCode.GAP
    assert book[0]["synced"] == 0
    assert book_follow(book, delta(1, 12, 13)) == BookCode.GAP
    assert book_follow(book, snapshot(1, 12, bids=[(98, 5)], asks=[(101, 6)])) == BookCode.OK
    assert levels_of(book, 3) == ([(98, 5)], [(101, 6)])


def test_a_snapshot_of_another_epoch_replaces_a_newer_book():
    book = np.zeros(1, BOOK)
    book_follow(book, snapshot(3, 500, bids=[(99, 5)]))
    assert book_follow(book, snapshot(4_000_000_000, 10, bids=[(98, 4)])) == BookCode.OK
    assert book[0]["epoch"] == 4_000_000_000
    assert levels_of(book, 2) == ([(98, 4)], [])
    assert book_follow(book, delta(3, 10, 11)) == BookCode.GAP


def test_a_state_change_at_the_same_update_id_is_loaded():
    book = np.zeros(1, BOOK)
    book_follow(book, snapshot(1, 5, bids=[(99, 5)]))
    assert book_follow(book, snapshot(1, 5, bids=[(99, 5)])) == BookCode.IGNORED
    assert book_follow(book, snapshot(1, 5, BookState.DOWN)) == BookCode.OK
    assert levels_of(book, 1) == ([], [])


def test_a_malformed_or_foreign_message_changes_no_level():
    book = np.zeros(1, BOOK)
    book_follow(book, snapshot(1, 5, bids=[(99, 5)], asks=[(101, 5)]))
    trade = np.frombuffer(encode(Template.TRADE, {}), np.int64).copy()
    assert book_follow(book, trade) == BookCode.IGNORED
    assert book_follow(book, np.zeros(0, np.int64)) == BookCode.IGNORED
    whole = delta(1, 5, 6, [(99, 7)], [(101, 7)])
    for size in range(1, whole.size):
        assert book_follow(book, whole[:size].copy()) == BookCode.BAD_LEVEL
        assert levels_of(book, 1) == ([(99, 5)], [(101, 5)])
        assert book[0]["synced"] == 0
    wide_entries = whole.copy()
    wide_entries[10] += 8
    assert book_follow(book, wide_entries) == BookCode.BAD_LEVEL


def test_a_block_with_appended_fields_is_read_by_its_length():
    book = np.zeros(1, BOOK)
    book_follow(book, snapshot(1, 5, bids=[(99, 5)], asks=[(101, 5)]))
    words = delta(1, 5, 6, [(99, 7)], [(101, 8)])
    longer = np.insert(words, 10, -1)
    longer[0] += 8
    assert book_follow(book, longer) == BookCode.OK
    assert levels_of(book, 1) == ([(99, 7)], [(101, 8)])


small_levels = st.lists(st.tuples(st.integers(0, 12), st.integers(-1, 3)), max_size=3)
messages = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(1, 2),
        st.integers(0, 4),
        st.integers(1, 6),
        st.sampled_from([BookState.LIVE, BookState.STALE]),
        small_levels,
        small_levels,
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(messages)
def test_follow_equals_its_twin_over_any_messages(sequence):
    book = np.zeros(1, BOOK)
    twin = reference_book.Book()
    for is_snapshot, epoch, previous_id, update_id, state, bids, asks in sequence:
        if is_snapshot:
            code = book_follow(book, snapshot(epoch, update_id, state, bids, asks))
            assert code == twin.follow_snapshot(epoch, update_id, state, bids, asks)
        else:
            code = book_follow(book, delta(epoch, previous_id, update_id, bids, asks))
            assert code == twin.follow_delta(epoch, previous_id, update_id, bids, asks)
        assert book[0]["synced"] == twin.synced
        if twin.loaded_once:
            assert_same(book, twin)


def test_the_facade_speaks_decimals_and_survives_bytes():
    book = OrderBook("0.10", "0.001")
    assert book.best_bid is None
    assert book.mid is None
    code = book.load([("61800.20", "2.507")], [("61800.3", "2.510"), ("61800.40", "1")], 7)
    assert code == BookCode.OK
    assert book.best_bid == (Decimal("61800.2"), Decimal("2.507"))
    assert book.best_ask == (Decimal("61800.3"), Decimal("2.51"))
    assert book.mid == Decimal("61800.25")
    assert book.top(2).tolist() == [(618002, 2507, 618003, 2510), (0, 0, 618004, 1000)]
    assert book.depth_at(Side.SELL, "61800.40") == 1
    copy = OrderBook.from_bytes(book.to_bytes())
    assert (
        repr(copy)
        == repr(book)
        == "OrderBook(bid 2.507 @ 61800.20, ask 2.510 @ 61800.30, depth update 7)"
    )
    copy.apply([("61800.20", "0.000")], [], 8)
    assert copy.best_bid is None
    assert book.best_bid is not None


@pytest.mark.parametrize(
    ("price", "quantity", "text"),
    [
        ("100.05", "1", "price must be a multiple of 0.1"),
        ("100.1", "0.0005", "quantity must be a multiple of 0.001"),
        ("0", "1", r"bids\[0\] price must be at least 0.1, got '0'"),
        ("100.1", "-1", r"bids\[0\] quantity must be at least 0, got"),
        ("abc", "1", "price must be a decimal number"),
        ("NaN", "1", "price must be finite"),
        ("1e16", "1", r"prices must be at most 900719925474099.2 \(2\^53 ticks\), got 1"),
    ],
)
def test_the_facade_refuses_what_is_not_exact(price, quantity, text):
    book = OrderBook("0.1", "0.001")
    with pytest.raises(ValueError, match=text):
        book.apply([(price, quantity)], [], 1)
    assert book.best_bid is None


def test_the_facade_refuses_floats_and_foreign_bytes():
    with pytest.raises(TypeError, match="floats are not exact"):
        OrderBook(0.1, "1")
    with pytest.raises(ValueError, match="tick_size must be positive"):
        OrderBook("0", "1")
    with pytest.raises(ValueError, match="to_bytes"):
        OrderBook.from_bytes(b"no book")


def capture_lines(captures, n):
    with gzip.open(captures / "usdm_btcusdt_20240808.gz", "rt") as file:
        for _, line in zip(range(n), file, strict=False):
            yield json.loads(line.split(" ", 1)[1])


def test_a_real_capture_agrees_with_its_best_bid_and_offer(captures):
    book = OrderBook("0.10", "0.001")
    touches, states, buffered, snapshot_id = {}, {}, [], None
    for data in capture_lines(captures, 1500):
        if "lastUpdateId" in data:
            snapshot_id = data["lastUpdateId"]
            book.load(data["bids"], data["asks"], snapshot_id)
        elif data["stream"].endswith("bookTicker"):
            t = data["data"]
            touches[t["u"]] = tuple(Decimal(t[k]) for k in ("b", "B", "a", "A"))
            continue
        elif "@depth" in data["stream"]:
            buffered.append(data["data"])
        while snapshot_id is not None and buffered:
            event = buffered.pop(0)
            if event["u"] < snapshot_id:
                continue
            if states:
                assert event["pu"] == book.last_update_id
            else:
                assert event["pu"] <= snapshot_id <= event["u"]
            assert book.apply(event["b"], event["a"], event["u"]) == BookCode.OK
            states[event["u"]] = (*book.best_bid, *book.best_ask)
    common = touches.keys() & states.keys()
    assert len(common) > 10
    assert all(touches[u] == states[u] for u in common)
    assert book.state[0]["tail_evicted"] == 0
