"""What the book's facade takes: tables, words of sides, pairs and packed events; refusals."""

import copy
import pickle
from decimal import Decimal, localcontext

import numpy as np
import pandas as pd
import pytest
from test_book_events import event_words

from mmquant.book import OrderBook
from mmquant.codes import BookCode, BookEvent, Side
from mmquant.kernels.book import NO_ASK, NO_BID

pytestmark = pytest.mark.kernels


@pytest.mark.parametrize(
    "sides",
    [
        ["bid", "ask", None],
        ["BUY", "Sell", np.nan],
        np.array(["Bid", "SELL", ""]),
        pd.Series(["buy", "ask", "?"], dtype="category"),
        pd.Series(["bid", "sell", pd.NA], dtype="string"),
    ],
)
def test_words_of_sides_are_read_in_any_case_and_column(sides):
    rows = {"update_id": [1, 1, 2], "side": sides, "kind": ["DELTA", "delta", "Clear"]}
    rows |= {"price_ticks": [9, 11, 0], "qty_lots": [4, 5, 0]}
    touches = OrderBook("1", "1").replay(pd.DataFrame(rows))
    assert touches["bid_qty"].tolist()[:1] == [4.0]
    assert touches["ask_qty"].tolist()[:1] == [5.0]


def test_many_words_are_read_as_numbers_are():
    n = 4000
    rows = {"update_id": np.arange(n), "price_ticks": np.full(n, 9), "qty_lots": np.arange(n)}
    words = OrderBook("1", "1").replay(rows | {"side": np.tile(["bid", "buy"], n // 2)})
    numbers = OrderBook("1", "1").replay(rows | {"side": np.ones(n, np.int64)})
    assert words.tobytes() == numbers.tobytes()


@pytest.mark.parametrize(
    ("events", "error", "text"),
    [
        ([1], TypeError, "events must be a DataFrame, a structured array or a dict .* got list"),
        (None, TypeError, "got NoneType: pass pandas.DataFrame"),
        (np.zeros(3), ValueError, r"must have columns update_id and side, got \(\)"),
        ({"side": [1, 1]}, ValueError, "qty_lots must be equally long, got update_id 1, side 2"),
        ({"price_ticks": [[9]]}, ValueError, r"price_ticks must be one column, got shape \(1, 1\)"),
        ({"side": pd.Series([["bid"]])}, TypeError, "side must be words or numbers, got other"),
        ({"qty_lots": 1}, ValueError, r"qty_lots must be one column, got shape \(\)"),
        (
            {"side": pd.Series([1]), "qty_lots": pd.Series([1], index=[7])},
            ValueError,
            "side and qty_lots must have the same index, got 0 and 7 at 0",
        ),
    ],
)
def test_a_table_that_is_none_is_refused_by_name(events, error, text):
    if isinstance(events, dict):
        good = {"update_id": [1], "side": [1], "price_ticks": [9], "qty_lots": [1]}
        events = good | events
    book = OrderBook("1", "1")
    with pytest.raises(error, match=text):
        book.replay(events)
    assert book.state[0]["updates"] == 0


@pytest.mark.parametrize(
    ("buy", "sell"), [("buy", "sell"), ("bid", "ask"), ("Bid", "ASK"), (1, -1)]
)
def test_a_side_is_a_side_or_its_word(buy, sell):
    book = OrderBook("1", "1")
    book.load([(9, 4)], [(11, 5)], 1)
    assert book.depth_at(buy, 9) == book.depth_to(buy, 9) == 4
    assert book.depth_at(sell, 11) == book.depth_to(sell, 11) == 5
    assert book.cost_to_fill(buy, 1).worst_price == 11
    assert book.cost_to_fill(sell, 1).worst_price == 9
    assert book.would_cross(buy, 11)
    assert not book.would_cross(sell, 10)
    for call in (book.depth_at, book.depth_to, book.cost_to_fill, book.would_cross):
        for wrong in ("left", 2, None):
            with pytest.raises(ValueError, match=f"side must be Side.BUY, .* got {wrong!r}"):
                call(wrong, 9)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ([0, 1, 0, 0], "event must be an array of int64, .* got list: pass numpy.array"),
        (np.zeros(4), "event must be an array of int64, .* got float64"),
        (None, "got NoneType"),
        *(
            (np.array([0, 1, 0, 0]).astype(dtype), f"of int64, .* got {dtype} of shape")
            for dtype in ("int32", "int16", "uint64", "bool", ">i8")
        ),
        (np.zeros(8, np.int64)[::2], r"contiguous .* got int64 of shape \(4,\), not contiguous"),
        (np.zeros((1, 4), np.int64), r"of one dimension, got int64 of shape \(1, 4\)"),
    ],
)
def test_an_event_that_is_no_words_is_refused(event, text):
    book = OrderBook("1", "1")
    with pytest.raises(TypeError, match=text):
        book.step(event)
    assert book.state[0]["updates"] == 0
    words = np.array(event_words(BookEvent.DELTA, 1, [(9, 1)], [(10, 1)]), np.int64)
    assert book.step(words) == BookCode.OK


@pytest.mark.parametrize(
    ("levels", "error", "text"),
    [
        ([("10",)], ValueError, r"bids must be pairs \(price, quantity\), got \('10',\)"),
        ([("10", "1", "2")], ValueError, r"bids must be pairs .* got \('10', '1', '2'\)"),
        (["10"], ValueError, "bids must be pairs .* got '10'"),
        ({"10": "1"}, ValueError, "bids must be pairs .* got '10'"),
        (None, TypeError, "bids must be pairs .* got None"),
    ],
)
def test_levels_that_are_no_pairs_are_refused(levels, error, text):
    book = OrderBook("1", "1")
    with pytest.raises(error, match=text):
        book.apply(levels, [], 1)
    assert book.best_bid is None


def test_a_best_bid_and_offer_that_is_no_pair_is_refused():
    with pytest.raises(ValueError, match=r"ask must be pairs .* got \(11,\)"):
        OrderBook("1", "1").apply_bbo((9, 1), (11,), 1)


def test_the_update_id_is_that_of_the_newest_depth_event():
    book = OrderBook("1", "1")
    book.load([(9, 4)], [(11, 5)], 5)
    assert book.apply_bbo((10, 1), (11, 1), 9) == BookCode.OK
    assert book.last_update_id == 5
    assert repr(book).endswith("depth update 5)")
    assert book.apply([(8, 1)], [], 3) == BookCode.OK  # absolute levels: applied all the same
    assert book.last_update_id == 3
    updates = int(book.state[0]["updates"])
    book.clear()
    assert book.last_update_id == 0
    assert book.state[0]["updates"] == updates > 0


@pytest.mark.parametrize("kind", BookEvent)
def test_a_packed_event_with_a_negative_update_id_is_a_bad_level(kind):
    book = OrderBook("1", "1")
    book.load([(9, 4)], [(11, 5)], 5)
    before = book.top(2).tolist()
    levels = ([], []) if kind == BookEvent.CLEAR else ([(8, 1)], [(12, 1)])
    assert book.step(np.array(event_words(kind, -1, *levels), np.int64)) == BookCode.BAD_LEVEL
    assert (book.top(2).tolist(), book.last_update_id) == (before, 5)


@pytest.mark.parametrize(
    "ids",
    [
        [7, -1],
        [7.0, -1.0],
        ["7", "-1"],
        np.array([7, 2**63 + 5], np.uint64),
        np.array([7, 2**64 - 1], np.uint64),
        [7, 2**62 + 1],
    ],
)
@pytest.mark.parametrize("kind", ["delta", "snapshot", "clear", "bbo"])
def test_replay_refuses_an_update_id_out_of_range_and_applies_nothing(ids, kind):
    book = OrderBook("1", "1")
    rows = {"update_id": ids, "side": [1, 1], "kind": [kind] * 2}
    rows |= {"price_ticks": [9, 8], "qty_lots": [1, 1]}
    with pytest.raises(ValueError, match=r"update_id must be between 0 and \d+, got .* in row 1"):
        book.replay(rows)
    assert book.state[0]["updates"] == book.state[0]["bbos"] == 0


def replayed(**columns):
    rows = {"update_id": [1, 1], "side": [1, -1], "price": ["9", "11"], "quantity": [1, 1]}
    return OrderBook("0.01", "1E-8").replay(rows | columns)


@pytest.mark.parametrize("as_column", [list, lambda values: pd.Series(values, dtype=object)])
@pytest.mark.parametrize("number", [str, Decimal])
def test_replay_takes_decimals_as_exactly_as_apply_does(number, as_column):
    texts = ["41266380.65949277", "90000000000.00000001"]
    row = replayed(quantity=as_column([number(text) for text in texts]))[0]
    assert (row["bid_lots"], row["ask_lots"]) == (4126638065949277, 9 * 10**18 + 1)
    for column in ("price", "quantity"):
        off = as_column([number("11"), number("61800.120000001234")])
        with pytest.raises(
            ValueError, match=rf"{column} must be a multiple .* got .*618.* \(row 1"
        ):
            replayed(**{column: off})


def test_replay_takes_ints_exactly_and_floats_near_the_grid():
    rows = {"update_id": [1], "side": [1], "price": [2**53 - 1], "quantity": [2**62 + 1]}
    assert OrderBook("1", "1").replay(rows)["bid_lots"].tolist() == [2**62 + 1]
    mixed = np.array([61800.12, "61800.13"], object)
    assert replayed(price=mixed)[["bid_ticks", "ask_ticks"]].tolist() == [(6180012, 6180013)]
    with pytest.raises(ValueError, match=r"price must be whole multiples of 0\.01 .* in row 1"):
        replayed(price=np.array(["9", 61800.121], object))
    wrapped = {"quantity": np.array([2**63 + 1], np.uint64)}
    with pytest.raises(ValueError, match=r"quantity must .* \(int64 .* got 9223372036854775809"):
        OrderBook("0.01", "1").replay(rows | {"price": ["9"]} | wrapped)


@pytest.mark.parametrize("column", ["update_id", "price", "quantity"])
@pytest.mark.parametrize(
    "wrong", ["abc", None, "nan", Decimal("sNaN"), Decimal("Infinity"), True, [1], b"1", 1j]
)
def test_replay_names_column_row_and_value_of_what_is_no_number(column, wrong):
    values = np.array(["9", None], object)
    values[1] = wrong
    with pytest.raises((TypeError, ValueError), match=rf"^{column} must be .* got .*\(row 1\)"):
        replayed(**{column: values})


@pytest.mark.parametrize(
    ("sides", "events"),
    [
        ([1, -1, 1, -1], [[1, -1], [1, -1]]),
        ([1, 1], [[1], [1]]),
        ([-1, -1, 1, 1, -1], [[-1], [-1, 1], [1, -1]]),
        ([1, -1, -1, 1, -1], [[1, -1], [-1, 1], [-1]]),
    ],
)
def test_a_best_bid_and_offer_that_comes_again_is_an_event_in_replay_as_in_step(sides, events):
    rows = {"update_id": [4] + [5] * len(sides), "kind": ["bbo"] * (len(sides) + 1)}
    rows |= {"side": [1, *sides], "qty_lots": [1] * (len(sides) + 1)}
    rows["price_ticks"] = [9] + [10 if side == 1 else 12 for side in sides]
    touches = OrderBook("1", "1").replay(rows)
    stepped = OrderBook("1", "1")
    codes = [stepped.step(np.array(event_words(BookEvent.BBO, 4, [(9, 1)], []), np.int64))]
    for event in events:
        best = ([(10, 1)] if 1 in event else [], [(12, 1)] if -1 in event else [])
        codes.append(stepped.step(np.array(event_words(BookEvent.BBO, 5, *best), np.int64)))
    assert touches["code"].tolist() == codes
    assert codes[1:] == [BookCode.OK] + [BookCode.IGNORED] * (len(events) - 1)
    bid, ask = stepped.best_bid or (NO_BID, 0), stepped.best_ask or (NO_ASK, 0)
    assert touches[-1].tolist()[2:] == (*bid, *ask)


@pytest.mark.parametrize("sides", [[1, -1], [Side.BUY, Side.SELL], [1.0, np.int8(-1)], ["Bid", -1]])
def test_sides_and_kinds_that_are_numbers_among_objects_are_read(sides):
    rows = {"update_id": [1, 1], "price_ticks": [9, 11], "qty_lots": [4, 5]}
    rows |= {"side": pd.Series(sides, dtype=object)}
    rows |= {"kind": np.array([BookEvent.SNAPSHOT, 1], object)}
    assert OrderBook("1", "1").replay(rows).tolist() == [(1, 0, 9, 4, 11, 5)]
    for wrong in (0, 2, True, 0.5, "1", None):
        rows["side"] = np.array([1, wrong], object)
        with pytest.raises(ValueError, match=r"side must be one .* or \[-1, 1\], got .* in row 1"):
            OrderBook("1", "1").replay(rows)


def test_bytes_of_a_book_may_be_a_view_and_what_is_none_is_named():
    book = OrderBook("1", "1")
    book.load([(9, 4)], [(11, 5)], 5)
    data = book.to_bytes()
    for same in (bytearray(data), memoryview(data)):
        assert OrderBook.from_bytes(same).to_bytes() == data
    for wrong in (None, "text", np.frombuffer(data, np.uint8), [1]):
        with pytest.raises(TypeError, match=f"must be bytes, got {type(wrong).__name__}: pass"):
            OrderBook.from_bytes(wrong)


def test_an_override_that_ended_does_not_begin_again_where_ids_go_back():
    book = OrderBook("0.1", "0.001")
    book.load([("100", "1"), ("99.9", "2")], [("100.1", "1.5")], 5)
    book.apply_bbo(("100", "7"), ("100.1", "7"), 6)
    book.apply([("100", "3")], [], 7)
    assert (book.best_bid, book.best_ask) == ((100, 3), (Decimal("100.1"), Decimal("1.5")))
    book.apply([("99.9", "2")], [], 5)
    assert (book.best_bid, book.best_ask) == ((100, 3), (Decimal("100.1"), Decimal("1.5")))
    assert book.apply_bbo(("100", "8"), ("100.1", "8"), 6) == BookCode.OK
    assert book.best_bid == (100, 8)


@pytest.mark.parametrize("head", [[-1, 2], [4, 2], [9, 2], [0, 2**62 + 1], [0, -1]])
def test_a_packed_event_of_no_kind_or_id_is_a_bad_level(head):
    book = OrderBook("0.1", "0.001")
    book.load([("100", "1")], [], 1)
    assert book.step(np.array([*head, 1, 0, 1000, 0], np.int64)) == BookCode.BAD_LEVEL
    assert (book.best_bid, book.last_update_id) == ((100, 1), 1)


def two_sided():
    book = OrderBook("0.01", "0.001")
    book.load([("61800.25", "1.5"), ("61800.24", "2")], [("61800.26", "1234567.891")], 5)
    return book


def test_answers_are_exact_whatever_the_decimal_context_rounds_to():
    book, quantity = two_sided(), Decimal("1234567.891")
    plain = book.cost_to_fill("buy", quantity)
    with localcontext(prec=6):
        assert book.best_bid == (Decimal("61800.25"), Decimal("1.500"))
        assert book.best_ask == (Decimal("61800.26"), quantity)
        assert str(book.mid) == "61800.255"
        assert book.depth_at("ask", "61800.26") == book.depth_to("ask", "61800.26") == quantity
        assert book.cost_to_fill("buy", quantity) == plain
        assert book.load([("61800.25", "1")], [("61800.26", "1234567.8910")], 6) == BookCode.OK
    assert plain.cost == Decimal("61800.26") * quantity
    assert plain.average_price == Decimal("61800.26")


def test_a_copy_is_a_book_of_its_own():
    book = two_sided()
    for copied in (book.copy(), copy.copy(book), copy.deepcopy(book), pickle.loads(dumped(book))):
        assert copied.state.tobytes() == book.state.tobytes()
        copied.apply([("61800.25", "0")], [], 6)
        assert copied.best_bid == (Decimal("61800.24"), 2)
        assert book.best_bid == (Decimal("61800.25"), Decimal("1.5"))


def dumped(book):
    data = pickle.dumps(book)
    assert len(data) < 1000
    return data


def test_a_book_says_where_its_touch_is_from_and_what_was_dropped():
    book = two_sided()
    book.apply_bbo(("61800.25", "7"), ("61800.26", "1"), 8)
    assert "61800.26 by best bid and offer 8, depth update 5)" in repr(book)
    book.load([(k, 1) for k in range(1, 20_002)], [], 9)
    assert repr(book).endswith(" far levels dropped)")


def test_an_error_says_which_level_and_in_its_units():
    book = two_sided()
    with pytest.raises(
        ValueError, match=r"asks\[1\] price must be a multiple of 0\.01, got '9\.005'"
    ):
        book.apply([], [("9", "1"), ("9.005", "1")], 6)
    with pytest.raises(ValueError, match=r"quantity must be at least 0\.001, got '0'"):
        book.cost_to_fill("buy", "0")
    with pytest.raises(
        ValueError, match=r"must be at most 90071992547409\.92 .*got 1000000000000000"
    ):
        book.apply_bbo(("1000000000000000", "1"), ("0", "0"), 7)
    for size in ("1_0", "\uff11"):
        with pytest.raises(ValueError, match="lot_size must be of the digits 0 to 9, got"):
            OrderBook("0.1", size)


def test_a_depth_that_int64_does_not_hold_is_refused():
    book = OrderBook("0.1", "0.001")
    most = "9223372036854775.807"
    book.load([("100", most), ("99.9", most)], [], 1)
    assert book.depth_at("buy", "99.9") == Decimal(most)
    with pytest.raises(ValueError, match=r"quantity up to price must fit int64 lots, .*'99\.9'"):
        book.depth_to("buy", "99.9")


@pytest.mark.parametrize("column", ["price_ticks", "qty_lots", "side", "update_id"])
def test_replay_refuses_what_a_mask_hides(column):
    rows = {"update_id": [1, 2], "side": [1, 1], "price_ticks": [9, 9], "qty_lots": [1, 1]}
    rows[column] = np.ma.array(rows[column], mask=[0, 1])
    with pytest.raises(ValueError, match=f"{column} must not be missing, got a masked value at 1"):
        OrderBook("1", "1").replay(rows)


@pytest.mark.parametrize("dtype", ["m8[ns]", "M8[ns]", "M8[us]"])
@pytest.mark.parametrize("column", ["price", "quantity", "update_id"])
def test_replay_refuses_times_for_numbers(column, dtype):
    with pytest.raises(TypeError, match=f"{column} must be numbers, got dtype (date|time)"):
        replayed(**{column: np.array([5, 6]).astype(dtype)})


def test_replay_takes_a_price_once():
    with pytest.raises(ValueError, match="a column price_ticks or price, one, got"):
        replayed(price_ticks=[1, 2])
