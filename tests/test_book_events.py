"""Packed book events, the override by a best bid and offer, reading, tables and bytes."""

import gzip
import json
import os
import random
from decimal import Decimal
from itertools import pairwise

import numba
import numpy as np
import pandas as pd
import pytest
import reference_book
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mmquant.book import OrderBook, empty_book
from mmquant.book_bytes import dump_book, restore_book
from mmquant.codes import BookCode, BookEvent, BookFault, Side
from mmquant.decimals import to_e8
from mmquant.kernels.book import NO_ASK, NO_BID, book_depth_at, book_top
from mmquant.kernels.book_check import book_check
from mmquant.kernels.book_path import book_path, book_step
from mmquant.kernels.book_read import book_cost, book_cumulative, book_would_cross
from mmquant.records import LEVEL
from mmquant.state import BOOK_TOUCH

pytestmark = pytest.mark.kernels

COMPILED = not numba.config.DISABLE_JIT
CHECKED = bool(numba.config.BOUNDSCHECK)
RANDOM_EVENTS = (20_000 if CHECKED else 100_000) if COMPILED else 500
RUNS = 4 if COMPILED else 1
CAPTURE_LINES = 60_000 if COMPILED else 3_000
if os.environ.get("MMQUANT_WHOLE_CAPTURES"):
    CAPTURE_LINES = 10**9
BLOCK = 500
CENTRE = 1_000_000


def event_words(kind, update_id, bids, asks):
    return [int(kind), update_id, len(bids), len(asks), *(x for row in (*bids, *asks) for x in row)]


def random_levels(rng, centre, sign):
    """Return levels near the touch, far inside the window, and far outside it."""
    levels = []
    lowest = -1 if rng.random() < 0.1 else 1
    for _ in range(rng.randrange(4)):
        reach = rng.choice((4, 4, 30, 40_000, 400_000))
        lots = rng.randrange(50) if rng.random() > 0.3 else 0
        levels.append((centre - sign * rng.randint(lowest, reach), lots))
    return levels


KINDS = [BookEvent.DELTA] * 120 + [BookEvent.BBO] * 78 + [BookEvent.SNAPSHOT, BookEvent.CLEAR]


def random_event(rng, centre, update_id):
    kind = rng.choice(KINDS)
    bids, asks = random_levels(rng, centre, 1), random_levels(rng, centre, -1)
    if rng.random() < 0.01:
        return kind, -update_id, bids, asks
    if kind == BookEvent.BBO:
        return kind, update_id + rng.randint(-2, 3), bids[:1], asks[:1]
    if kind == BookEvent.CLEAR:
        return kind, update_id, [], []
    if rng.random() < 0.01:
        bids.append((0, 1))
    return kind, update_id, bids, asks


def apply_to_twin(twin, kind, update_id, bids, asks):
    if update_id < 0:
        return BookCode.BAD_LEVEL
    if kind == BookEvent.CLEAR:
        twin.clear()
        twin.last_update_id = update_id
        return BookCode.OK
    if kind == BookEvent.BBO:
        return twin.apply_bbo(update_id, *(side[0] if side else None for side in (bids, asks)))
    return twin.apply(bids, asks, update_id, load=kind == BookEvent.SNAPSHOT)


def twin_touch(twin, code, update_id):
    return (update_id, code, *(twin.best(1) or (NO_BID, 0)), *(twin.best(-1) or (NO_ASK, 0)))


def assert_reads_alike(book, twin, rng, centre):
    assert BookFault(book_check(book)) == BookFault.NONE
    out = np.empty(40, LEVEL)
    book_top(book, out, 20)
    for sign, rows in ((1, out[:20]), (-1, out[20:])):
        view = twin.view(sign)
        assert twin.best(sign) == (view[0] if view else None)
        assert [row for row in rows.tolist() if row[1]] == view[:20]
        depths = dict(view)
        prices = [*depths, *(centre + rng.randint(-500_000, 500_000) for _ in range(20)), 0]
        for tick in prices:
            assert book_depth_at(book, sign, tick) == depths.get(tick, 0)
        for tick in prices[::5]:
            assert book_cumulative(book, sign, tick) == twin.cumulative(sign, tick)
        for lots in (1, 30, 200, 10**9):
            code, *rest = book_cost(book, sign, lots)
            assert tuple(rest) == twin.cost(sign, lots)
            assert code == (BookCode.OK if rest[0] == lots else BookCode.TOO_THIN)
        best = twin.view(-sign)[0][0] if twin.view(-sign) else None
        for tick in (centre - 2, centre, centre + 2):
            would = best is not None and (tick - best) * sign >= 0
            assert book_would_cross(book, sign, tick) == would


@settings(max_examples=RUNS, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(seed=st.integers(0, 2**32 - 1))
def test_random_events_of_every_kind_read_as_two_dicts_and_path_is_step_folded(seed):
    rng = random.Random(seed)
    book, folded, twin = empty_book(), empty_book(), reference_book.Book()
    centre = CENTRE
    for block in range(RANDOM_EVENTS // RUNS // BLOCK):
        words, starts, expected = [], [], []
        for i in range(BLOCK):
            centre += rng.choice((0, 0, 0, 1, -1))
            if rng.random() < 0.002:
                centre += rng.choice((-60_000, -20_000, 20_000, 60_000))
            event = random_event(rng, centre, block * BLOCK + i + 1)
            starts.append(len(words))
            words += event_words(*event)
            expected.append(twin_touch(twin, apply_to_twin(twin, *event), event[1]))
        words = np.array(words, np.int64)
        touches = np.zeros(BLOCK, BOOK_TOUCH)
        assert book_path(book, words, touches) == BLOCK
        assert touches.tolist() == expected
        assert [book_step(folded, words, at) for at in starts] == touches["code"].tolist()
        assert_reads_alike(book, twin, rng, centre)
    assert dump_book(folded) == dump_book(book)
    assert book[0]["tail_evicted"] == 0
    if COMPILED:  # enough events to have seen everything
        assert (
            min(book[0][name] for name in ("reanchors", "loads", "bbos", "crossed", "ignored")) > 0
        )


def test_a_newer_best_price_overrides_the_touch_and_hides_nothing_for_good():
    book = OrderBook("1", "1")
    book.load([(99, 5), (98, 6), (97, 7)], [(101, 5), (102, 6)], 10)
    assert book.apply_bbo((98, 3), (101, 9), 10) == BookCode.IGNORED
    assert book.apply_bbo((98, 3), (100, 9), 12) == BookCode.OK
    assert book.top(3).tolist() == [(98, 3, 100, 9), (97, 7, 101, 5), (0, 0, 102, 6)]
    assert book.depth_at(Side.BUY, 99) == 0
    # A depth event still behind it: what it says is kept, the override stays.
    assert book.apply([(96, 8)], [], 11) == BookCode.OK
    assert book.top(3).tolist() == [(98, 3, 100, 9), (97, 7, 101, 5), (96, 8, 102, 6)]
    # One as new: the depth stream is the truth again.
    book.apply([(98, 3), (99, 0)], [(100, 4)], 12)
    assert book.top(2).tolist() == [(98, 3, 100, 4), (97, 7, 101, 5)]
    # An empty side; a crossed pair is told and taken in.
    assert book.apply_bbo((0, 0), (100, 4), 13) == BookCode.OK
    assert (book.best_bid, book.best_ask) == (None, (100, 4))
    assert book.apply_bbo((100, 1), (100, 4), 14) == BookCode.CROSSED
    assert book.is_crossed
    book.load([(99, 1)], [(101, 1)], 5)
    assert book.best_bid == (99, 1)


def test_cost_depth_and_crossing_in_decimals():
    book = OrderBook("0.1", "0.01")
    book.load([("99.9", "1")], [("100.0", "1"), ("100.5", "2")], 1)
    cost = book.cost_to_fill(Side.BUY, "2")
    assert cost == (2, Decimal("200.5"), Decimal("100.25"), Decimal("100.5"), 0)
    thin = book.cost_to_fill(Side.SELL, "1.5")
    assert (thin.filled, thin.shortfall, thin.worst_price) == (1, Decimal("0.5"), Decimal("99.9"))
    book.apply([("99.9", 0)], [], 2)
    assert book.cost_to_fill(Side.SELL, 1) == (0, 0, None, None, 1)
    assert book.depth_to(Side.SELL, "100.4") == 1
    assert book.depth_to(Side.SELL, "100.5") == 3
    assert [book.would_cross(Side.BUY, p) for p in ("99.9", "100")] == [False, True]
    assert not book.would_cross(Side.SELL, "0.1")
    book.apply([], [("100.0", 2**55)], 3)
    with pytest.raises(ValueError, match="must fit int64"):
        book.cost_to_fill(Side.BUY, 2**55)


def test_a_far_order_is_kept_and_read():
    book = OrderBook("0.10", "0.001")
    book.load([("61800.2", "1"), ("1000.00", "3")], [("61800.3", "1"), ("900000", "2")], 1)
    assert book.depth_at(Side.BUY, "1000") == 3
    assert book.top(2)["bid_ticks"].tolist() == [618_002, 10_000]
    assert book.top(2)["ask_ticks"].tolist() == [618_003, 9_000_000]
    book.apply([("61800.2", 0)], [], 2)
    assert book.best_bid == (1000, 3)
    assert book.check() == BookFault.NONE


@pytest.mark.parametrize("size", [0, 3, 4, 7])
def test_words_that_end_too_early_change_nothing(size):
    book = OrderBook("1", "1")
    words = np.array(event_words(BookEvent.DELTA, 1, [(9, 1)], [(10, 1)])[:size], np.int64)
    assert book.step(words) == BookCode.TRUNCATED
    assert book.step(np.array([0, 1, -1, 0, 0, 0], np.int64)) == BookCode.TRUNCATED
    assert book.last_update_id == 0


def frame():
    return pd.DataFrame(
        {
            "update_id": [1, 1, 1, 2, 2, 3, 4, 5],
            "kind": ["snapshot"] * 3 + ["delta"] * 2 + ["bbo", "clear", "delta"],
            "side": ["ask", "bid", "ask", "bid", "ask", "bid", None, "bid"],
            "price": [100.3, 100.1, 100.4, 100.2, 100.3, 100.1, np.nan, 7.0],
            "quantity": [2.0, 1.0, 3.0, 0.5, 0.0, 0.2, np.nan, 0.1],
        },
        index=pd.to_datetime(np.arange(8) * 1000),
    )


def test_replay_of_a_frame_is_a_frame_with_its_index():
    events = frame()
    touches = OrderBook("0.1", "0.1").replay(events)
    assert touches.index.tolist() == events.index[[0, 3, 5, 6, 7]].tolist()
    assert touches["update_id"].tolist() == [1, 2, 3, 4, 5]
    assert touches["bid"].tolist()[:3] == [100.1, 100.2, 100.1]
    assert touches["bid_qty"].tolist()[:3] == [1.0, 0.5, 0.2]
    assert touches["ask"].tolist()[:2] == [100.3, 100.4]
    assert np.isnan(touches["ask"].iloc[2:]).all()
    assert np.isnan(touches["bid"].iloc[3])


def test_replay_of_columns_in_ticks_is_an_array():
    rows = {"update_id": np.array([1, 1]), "side": np.array([1, -1])}
    rows |= {"price_ticks": np.array([9, 11]), "qty_lots": np.array([4, 5])}
    touches = OrderBook("1", "1").replay(rows)
    assert touches.tolist() == [(1, 0, 9, 4, 11, 5)]
    assert OrderBook("1", "1").replay({name: column[:0] for name, column in rows.items()}).size == 0


@pytest.mark.parametrize("kinds", [[0, 2, 0], [0.0, 2.0, 0.0], ["delta", "clear", "delta"]])
@pytest.mark.parametrize("side", [0, 7, -1.0, np.nan])
def test_the_side_of_a_clear_row_is_not_read_whatever_it_is(kinds, side):
    rows = {"update_id": [1, 2, 3], "side": [1, side, -1], "kind": kinds}
    rows |= {"price_ticks": [9, 0, 11], "qty_lots": [4, 0, 5]}
    touches = OrderBook("1", "1").replay(pd.DataFrame(rows))
    assert touches["bid"].tolist()[0] == 9.0
    assert np.isnan(touches["bid"]).tolist() == [False, True, True]
    assert touches["ask"].tolist()[2] == 11.0


def test_sides_that_are_floats_are_read_and_others_named():
    rows = {"update_id": [1, 1], "side": [1.0, -1.0], "price_ticks": [9, 11], "qty_lots": [4, 5]}
    assert OrderBook("1", "1").replay(pd.DataFrame(rows))["ask"].tolist() == [11.0]
    for wrong in (0.5, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"side must be one of .* got .*{wrong}"):
            OrderBook("1", "1").replay(pd.DataFrame(rows | {"side": [1.0, wrong]}))


@pytest.mark.parametrize("steps", [10**6, 10**10, 10**12, 10**13, 2**45])
def test_floats_far_from_zero_still_have_to_lie_on_the_grid(steps):
    def replay(price):
        rows = {"update_id": [1], "side": [1], "price": [price], "qty_lots": [1]}
        return OrderBook("0.01", "1").replay({k: np.array(v) for k, v in rows.items()})

    assert replay(float(steps) / 100.0)["bid_ticks"].tolist() == [steps]
    with pytest.raises(ValueError, match=r"price must be whole multiples of 0\.01"):
        replay((float(steps) + 0.4) / 100.0)


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("price", 100.13, "price must be whole multiples of 0.1"),
        ("quantity", np.nan, "quantity must be whole multiples of 0.1"),
        ("side", "left", "side must be one of"),
        ("kind", "trade", "kind must be one of"),
    ],
)
def test_replay_names_what_is_wrong_and_applies_nothing(column, value, text):
    events = frame()
    events.loc[events.index[4], column] = value
    book = OrderBook("0.1", "0.1")
    with pytest.raises(ValueError, match=text):
        book.replay(events)
    with pytest.raises(ValueError, match="update_id and side"):
        book.replay(events.drop(columns="side"))
    assert book.best_ask is None


def test_a_book_is_shown_as_a_frame():
    book = OrderBook("0.1", "0.001")
    book.load([("61800.2", "2.507"), ("61800.1", "1")], [("61800.3", "2.510")], 7)
    shown = book.to_frame(2)
    assert shown["bid"].tolist() == [61800.2, 61800.1]
    assert shown["bid_cumulative_qty"].tolist() == [2.507, 3.507]
    assert shown["ask_qty"].iloc[0] == 2.51
    assert np.isnan(shown["ask"].iloc[1])


def test_bytes_hold_the_whole_book_and_damage_is_refused():
    book = OrderBook("0.1", "1")
    book.load([(100, 1), (99, 2), ("0.5", 3)], [(101, 1), (900_000, 4)], 7)
    book.apply_bbo((100, 5), (101, 6), 9)
    data = book.to_bytes()
    assert len(data) < 1_000
    copy = OrderBook.from_bytes(data)
    assert copy.to_bytes() == data
    assert copy.top(3).tolist() == book.top(3).tolist()
    assert copy.best_bid == (100, 5)
    for other in (book, copy):
        other.apply([(99, 0)], [(102, 1)], 10)
    assert copy.to_bytes() == book.to_bytes()
    version = 64 + 7
    with pytest.raises(ValueError, match="version 5, got 1"):
        OrderBook.from_bytes(data[:version] + b"\1" + data[version + 1 :])
    flips = [data[:i] + bytes([data[i] ^ 16]) + data[i + 1 :] for i in range(len(data))]
    del flips[version]
    for damaged in (b"no book", b"", data[:-1], data + b"\0", *flips):
        with pytest.raises(ValueError, match="to_bytes returned"):
            OrderBook.from_bytes(damaged)
    dumped = dump_book(book.state)  # without the checksum the book's own rules are left
    for damaged in (dumped[:-1], dumped[:-8] + (-1).to_bytes(8, "little", signed=True)):
        with pytest.raises(ValueError, match="to_bytes returned"):
            restore_book(damaged)


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("end_ticks", 5, BookFault.WINDOW),
        ("best_bid_ticks", 98, BookFault.BEST_PRICE),
        ("best_ask_lots", 7, BookFault.BEST_LOTS),
        ("bid_floor_ticks", 99, BookFault.RING_BOUND),
        ("tail_asks", 0, BookFault.TAIL_COUNT),
        ("bbo_bid_lots", 3, BookFault.BBO),
    ],
)
def test_a_broken_rule_is_named(field, value, fault):
    book = OrderBook("1", "1")
    book.load([(99, 1), (98, 1)], [(101, 1), (900_000, 1)], 1)
    assert book.check() == BookFault.NONE
    book.state[0][field] = value
    assert book.check() == fault


def capture_words(paths, lines):
    """Return packed events of a capture's depth and best prices, in order of arrival."""
    words, n, snapshot_id, buffered = [], 0, None, []

    def levels(pairs, scale=100_000_000):
        return [(to_e8(p), to_e8(q)) for p, q in pairs]

    def depth(e):
        return event_words(BookEvent.DELTA, e["u"], levels(e["b"]), levels(e["a"]))

    for path in paths:
        with gzip.open(path, "rt") as file:
            for line in file:
                n += 1
                if n > lines:
                    return words
                data = json.loads(line.split(" ", 1)[1])
                if "lastUpdateId" in data:
                    snapshot_id = data["lastUpdateId"]
                    both = levels(data["bids"]), levels(data["asks"])
                    words.append(event_words(BookEvent.SNAPSHOT, snapshot_id, *both))
                    words += [depth(e) for e in buffered if e["u"] >= snapshot_id]
                elif snapshot_id is None:
                    if "@depth" in data["stream"]:
                        buffered.append(data["data"])
                elif "@depth" in data["stream"]:
                    words.append(depth(data["data"]))
                elif data["stream"].endswith("bookTicker"):
                    t = data["data"]
                    best = levels([(t["b"], t["B"])]), levels([(t["a"], t["A"])])
                    words.append(event_words(BookEvent.BBO, t["u"], *best))
    return words


@pytest.mark.parametrize(
    ("files", "tick_e8", "lot_e8"),
    [
        (("usdm_btcusdt_20240808.gz",), 10_000_000, 100_000),
        (
            ("spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz"),
            1_000_000,
            1,
        ),  # far orders are older than the lot size
    ],
)
def test_real_captures_agree_with_their_best_prices_at_equal_ids(captures, files, tick_e8, lot_e8):
    events = capture_words([captures / name for name in files], CAPTURE_LINES)
    starts = np.concatenate(([0], np.cumsum([len(event) for event in events])))
    words = np.array([word for event in events for word in event], np.int64)
    for start, end in pairwise(starts):
        levels = words[start + 4 : end].reshape(-1, 2)
        assert not (levels % (tick_e8, lot_e8)).any()
        levels //= (tick_e8, lot_e8)
    kinds, ids = words[starts[:-1]], words[starts[:-1] + 1]
    is_bbo = kinds == BookEvent.BBO
    # The depth stream alone, then with the best prices laid over it.
    depth = np.concatenate([words[starts[i] : starts[i + 1]] for i in np.flatnonzero(~is_bbo)])
    alone = np.zeros(int((~is_bbo).sum()), BOOK_TOUCH)
    book = empty_book()
    assert book_path(book, depth, alone) == alone.size
    assert (alone["code"] == BookCode.OK).all()
    by_id = {row[0]: row[2:] for row in alone.tolist()}
    best = {ids[i]: tuple(words[starts[i] + 4 : starts[i] + 8]) for i in np.flatnonzero(is_bbo)}
    common = best.keys() & by_id.keys()
    assert len(common) > len(events) // 500
    assert all(best[i] == by_id[i] for i in common)
    assert book[0]["tail_evicted"] == 0
    assert BookFault(book_check(book)) == BookFault.NONE
    both = np.zeros(kinds.size, BOOK_TOUCH)
    assert book_path(empty_book(), words, both) == kinds.size
    assert not np.isin(both["code"], (BookCode.CROSSED, BookCode.BAD_LEVEL)).any()
    taken = is_bbo & (both["code"] == BookCode.OK)
    assert taken.sum() > is_bbo.sum() // 2
    assert all(best[row[0]] == row[2:] for row in both[taken].tolist())
    assert np.array_equal(both[~taken & ~is_bbo]["update_id"], alone["update_id"])
