"""The tape's kernels against their slow twins, on random rows, tables and recordings."""

import numpy as np
import pytest
import reference_book
import reference_tape as twin
from hypothesis import given
from hypothesis import strategies as st
from test_tape_formats import NS, depth, trade

from mmquant.book import empty_book
from mmquant.codes import TapeKind
from mmquant.kernels import tape_csv
from mmquant.kernels.tape_book import tape_bars, tape_book_path, tape_book_step, tape_depths
from mmquant.kernels.tape_jumps import tape_first_jump
from mmquant.kernels.tape_message import MESSAGE_WORDS, tape_message
from mmquant.kernels.tape_npz import npz_group, npz_merge, npz_pair
from mmquant.kernels.tape_units import tape_divide, tape_units
from mmquant.records import LEVEL
from mmquant.state import BOOK_TOUCH, TAPE_BAR, TAPE_EVENT
from mmquant.tape import read_tape
from mmquant.wire import encode

pytestmark = pytest.mark.kernels
INSTRUMENTS = 2
SPARE = 2
MOST_LEVELS = 40

prices = st.integers(95, 105)
lots = st.integers(0, 6)
side = st.lists(st.tuples(prices, lots), max_size=4)


def table(events):
    """Return twin events as TAPE_EVENT and the words of their levels."""
    rows, levels = [], []
    for received, kind, update_id, bids, asks, instrument, flags in events:
        head = (received, received, update_id, len(levels), len(bids), len(asks))
        rows.append((*head, instrument, int(kind), flags))
        levels += [*bids, *asks]
    words = np.array(levels, np.int64).reshape(-1)
    return np.array(rows, TAPE_EVENT), np.concatenate((words, np.zeros(SPARE, np.int64)))


# units


@st.composite
def priced(draw):
    """Return rows of a tape whose values have common divisors, and these."""
    steps = draw(st.lists(st.integers(1, 40), min_size=2 * INSTRUMENTS, max_size=2 * INSTRUMENTS))
    rows = []
    for instrument, kind, levels in draw(
        st.lists(
            st.tuples(st.integers(0, INSTRUMENTS - 1), st.sampled_from(list(TapeKind)), side),
            max_size=12,
        )
    ):
        price, qty = steps[2 * instrument : 2 * instrument + 2]
        rows.append((instrument, kind, [(p * price, q * qty) for p, q in levels]))
    return rows


def events_of(rows):
    return table(
        (i, kind, i, levels, [], instrument, 0) for i, (instrument, kind, levels) in enumerate(rows)
    )


@given(priced(), priced())
def test_units_are_the_greatest_common_divisors(first, second):
    units, known = np.zeros(2 * INSTRUMENTS, np.int64), [0] * 2 * INSTRUMENTS
    for rows in (first, second):
        tape_units(*events_of(rows), units)
        known = twin.units_of([(row[0], row[2]) for row in rows], known)
    assert units.tolist() == known


@given(priced(), st.lists(st.integers(1, 9), min_size=4, max_size=4))
def test_levels_are_divided_up_to_the_first_that_is_no_multiple(rows, units):
    events, words = events_of(rows)
    odd = tape_divide(events, words, np.array(units, np.int64))
    at, levels = twin.divided([(row[0], row[2]) for row in rows], units)
    assert odd == at
    assert words[: words.size - SPARE].reshape(-1, 2).tolist() == [list(pair) for pair in levels]


# tables

fields = st.one_of(
    st.integers(0, 10**12).map(str),
    st.decimals(0, 10**9, places=8).map(lambda value: f"{value:f}"),
    st.sampled_from(["1.", "0.100000000000", "0.123456789", "12345678901", "9" * 18, "9" * 19, ""]),
    st.sampled_from(["buy", "true", '"x"', "-1", "1e5", ".5", " 1"]),
)


@given(
    st.lists(st.tuples(st.lists(fields, min_size=2, max_size=4), st.sampled_from("\n\r,"))),
    st.lists(st.integers(0, 3), min_size=2, max_size=3),
    st.integers(1, 5),
)
def test_rows_of_a_table_are_read_exactly_or_refused_with_their_column(rows, columns, room):
    lines = [",".join(row) + end.replace("\n", "") for row, end in rows]
    data = "".join(line + "\n" for line in lines).encode()
    out = np.zeros((room, len(columns)), np.int64)
    where = np.zeros(3, np.int64)
    code = tape_csv.csv_rows(data, len(data), np.array(columns, np.int64), out, where)
    ended, read, at, column = twin.csv_rows(data, columns, room)
    names = {tape_csv.DONE: "done", tape_csv.FULL: "full", tape_csv.BAD: "bad"}
    assert names[code] == ended
    assert out[: where[1]].tolist() == read
    assert where[0] == at
    if ended == "bad":
        assert where[2] == column


# hftbacktest's rows

moments = st.tuples(st.integers(1, 3), st.integers(1, 2))
whom = st.sampled_from([twin.EXCH, twin.LOCAL, twin.EXCH | twin.LOCAL])


def columns_of(rows):
    """Return ev, times, prices and quantities of twin rows."""
    ev = np.array([row[0] | row[1] | row[2] for row in rows], np.int64)
    times = np.array([row[3:5] for row in rows], np.int64).reshape(-1, 2)
    return ev, times, *(np.array([row[k] for row in rows], np.int64) for k in (5, 6))


@given(
    st.lists(
        st.tuples(whom, st.sampled_from([twin.BUY, twin.SELL]), st.just(1), moments, st.booleans()),
        max_size=12,
    ),
    st.none() | st.integers(0, 11),
)
def test_rows_written_twice_are_paired(drawn, nobody):
    rows = [(who, way, code, *at, 100 + odd, 1) for who, way, code, at, odd in drawn]
    rows.sort(key=lambda row: row[3])  # as hftbacktest has them, for the venue at least
    if nobody is not None and nobody < len(rows):
        rows[nobody] = (0, *rows[nobody][1:])
    ev, times, px, qty = columns_of(rows)
    order, flags = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.uint8)
    n = npz_pair(ev, times, px, qty, np.zeros(len(rows), np.int64), order, flags)
    known = twin.npz_pair(rows)
    if n < 0:
        assert n == known
    else:
        assert list(zip(order[:n].tolist(), flags[:n].tolist(), strict=True)) == known


@given(st.lists(st.tuples(moments, whom), max_size=12))
def test_two_orders_of_the_same_rows_are_merged(rows):
    times = np.array([at for at, _ in rows], np.int64).reshape(-1, 2)
    orders = []
    for k, bit in ((0, twin.EXCH), (1, twin.LOCAL)):
        own = [i for i, (_, who) in enumerate(rows) if who & bit]
        orders.append(np.array(sorted(own, key=lambda i, k=k: rows[i][0][k]), np.int64))
    picks, marks = np.zeros((2, orders[0].size + orders[1].size), np.int64)
    n = npz_merge(times, *orders, picks, marks)
    merged = list(zip(picks[:n].tolist(), marks[:n].tolist(), strict=True))
    known = twin.npz_merge([at for at, _ in rows], *(order.tolist() for order in orders))
    assert merged == known


# Runs of one moment, so that whole books come up, too.
runs = st.tuples(
    st.sampled_from([0, twin.BUY, twin.SELL, twin.BUY, twin.SELL]),
    st.sampled_from([twin.DEPTH, twin.TRADE, twin.CLEAR, twin.SNAPSHOT, twin.BBO]),
    st.lists(prices, min_size=1, max_size=3),
)
some_prices = st.lists(prices, min_size=1, max_size=3)
books = st.tuples(some_prices, some_prices)


@st.composite
def moments_of_rows(draw):
    """Return rows, moment by moment, and their flags: runs of a kind, and whole books."""
    rows, flags = [], []
    for at in range(draw(st.integers(0, 4))):
        flag = draw(st.sampled_from([0, twin.VENUE_ONLY]))
        together = []
        for part in draw(st.lists(runs | books, min_size=1, max_size=3)):
            if len(part) == 3:
                way, code, levels = part
                together += [(way, code, price) for price in levels]
                continue
            for way, levels in zip((twin.BUY, twin.SELL), part, strict=True):
                reach = levels[-1] + draw(st.sampled_from([0, 0, 0, 1]))
                together.append((way, twin.CLEAR, reach))
                together += [(way, twin.SNAPSHOT, price) for price in levels]
        moment = draw(st.sampled_from([(at, at), (1, 1)]))
        rows += [(0, way, code, *moment, price, 1) for way, code, price in together]
        flags += [flag] * len(together)
    return rows, flags


@given(moments_of_rows())
def test_rows_of_one_moment_and_kind_are_one_event(drawn):
    rows, flags = drawn
    ev, times, px, qty = columns_of(rows)
    words = np.column_stack((px, qty)).reshape(-1).astype(np.int64)
    events = np.zeros(len(rows), TAPE_EVENT)
    n, n_levels = npz_group(ev, times, np.array(flags, np.uint8), words, events)
    levels = [tuple(pair) for pair in words.reshape(-1, 2).tolist()]
    found, at = [], 0
    for e in events[:n]:
        assert int(e["first_level"]) == at
        asks = at + int(e["n_bids"])
        end = asks + int(e["n_asks"])
        head = tuple(int(e[name]) for name in ("kind", "flags", "venue_ns", "received_ns"))
        found.append((*head, levels[at:asks], levels[asks:end]))
        at = end
    assert n_levels == at
    assert found == twin.npz_group(rows, flags)


# the book


@st.composite
def histories(draw, prices=prices):
    """Return events of two instruments, in the order received."""
    side = st.lists(st.tuples(prices, lots), max_size=4)
    events, received, update_id = [], 0, 0
    for _ in range(draw(st.integers(0, 25))):
        received += draw(st.integers(0, 7))
        update_id += draw(st.integers(0, 2))
        kind = draw(st.sampled_from([*TapeKind, TapeKind.DELTA, TapeKind.SNAPSHOT]))
        bids, asks = draw(side), draw(side)
        if kind == TapeKind.TRADE:
            level = [(draw(prices), draw(st.integers(1, 5)))]
            bids, asks = (level, []) if draw(st.booleans()) else ([], level)
        elif kind in (TapeKind.CLEAR, TapeKind.BBO):
            bids, asks = bids[:1], asks[:1]
        elif kind == TapeKind.GAP:
            bids, asks = [], []
        instrument, skip = draw(st.sampled_from([0, 0, 0, 1])), draw(st.sampled_from([0, 0, 0, 1]))
        events.append((received, kind, update_id, bids, asks, instrument, skip))
    return events


def touch_of(row):
    return tuple(
        (int(row[f"{name}_ticks"]), int(row[f"{name}_lots"])) if row[f"{name}_lots"] else None
        for name in ("bid", "ask")
    )


@given(histories())
def test_the_touch_after_every_event_is_the_dicts(history):
    events, words = table(history)
    touches = np.zeros(len(history), BOOK_TOUCH)
    n = tape_book_path(empty_book(), events, words, np.zeros(2, np.int64), 0, touches)
    found = [(int(t["update_id"]), int(t["code"]), *touch_of(t)) for t in touches[:n]]
    assert found == twin.touches(history, 0)


@st.composite
def quoted(draw):
    """Return events of two instruments round 100, with levels far behind the touch among them."""
    bid, ask = st.sampled_from([99, 98, 97, 40, 20, 1]), st.sampled_from([101, 102, 103, 250, 900])
    wrong = st.sampled_from([0] * 30 + [1])
    events = []
    for at in range(draw(st.integers(1, 30))):
        kind = TapeKind.SNAPSHOT if at < INSTRUMENTS else draw(st.sampled_from(_QUOTED))
        levels = [
            draw(st.lists(st.tuples(price, st.sampled_from([0, 1, 2])), max_size=3))
            for price in (bid, ask)
        ]
        if at < INSTRUMENTS:
            levels = [[(99, 1), *levels[0]], [(101, 1), *levels[1]]]
        elif kind == TapeKind.DELTA and draw(st.sampled_from([0, 0, 1])):  # all that is near goes
            near = [(99, 98, 97), (101, 102, 103)]
            levels = [
                [*((price, 0) for price in prices if way), *side]
                for prices, way, side in zip(
                    near, draw(st.permutations([1, 0])), levels, strict=True
                )
            ]
        elif kind == TapeKind.BBO:
            levels = [side[:1] for side in levels]
        elif kind == TapeKind.TRADE:
            levels = draw(st.sampled_from([[[(99, 1)], []], [[], [(102, 1)]]]))
        if draw(wrong):
            levels = [[(price * 10, lots) for price, lots in side] for side in levels]
        instrument = at if at < INSTRUMENTS else draw(st.integers(0, INSTRUMENTS - 1))
        skip = draw(wrong) if at >= INSTRUMENTS else 0
        events.append((at, kind, at + 1, *levels, instrument, skip))
    return events


_QUOTED = [*[TapeKind.DELTA] * 9, TapeKind.BBO, TapeKind.TRADE, TapeKind.GAP, TapeKind.SNAPSHOT]


@given(quoted() | histories(), st.integers(2, 5), st.integers(1, 4))
def test_the_first_price_that_is_far_off_is_found(history, most, many):
    assert jump_of(history, most, many) == (twin.first_jump(history, most, many) or (-1, -1))


def jump_of(history, most, many):
    events, words = table(history)
    books, spare = np.concatenate([empty_book()] * INSTRUMENTS), np.zeros(2, np.int64)
    state = np.zeros((INSTRUMENTS, 2), np.int64), np.zeros((INSTRUMENTS, 2, 3), np.int64)
    return tape_first_jump(books, events, words, spare, 0, most, many, *state)


@pytest.mark.parametrize(
    ("sides", "found"),
    [
        (["d", [], [(101, 0), (900, 1)]], (1, 4)),  # becomes the touch
        (["d", [], [(101, 0)]], (-1, -1)),  # what was there is the touch now
        (["d", [], [(101, 0)], "d", [(990, 1)], []], (2, 4)),  # a wide touch tells nothing
        (["d", [(99, 0)], [], "d", [(1, 1)], []], (-1, -1)),  # into an empty side
        (["b", [(99, 1)], [(1001, 1)]], (1, 4)),
        (["s", [(10, 1)], [(101, 1)]], (1, 3)),
        (["d", [(1, 1)], []] * 3, (-1, -1)),
        (["d", [(1, 1)], []] * 4, (1, 3)),
        ([*["d", [(1, 1)], []] * 3, "d", [(1, 1), (98, 1)], [], "d", [(1, 1)], []], (-1, -1)),
    ],
)
def test_what_is_far_off_and_what_is_not(sides, found):
    kinds = {"d": TapeKind.DELTA, "b": TapeKind.BBO, "s": TapeKind.SNAPSHOT}
    rows = [(TapeKind.SNAPSHOT, [(99, 1)], [(101, 1), (900, 1)])]
    rows += [(kinds[sides[i]], *sides[i + 1 : i + 3]) for i in range(0, len(sides), 3)]
    history = [(i, kind, i + 1, *both, 0, 0) for i, (kind, *both) in enumerate(rows)]
    assert jump_of(history, 5, 4) == found == (twin.first_jump(history, 5, 4) or (-1, -1))


def test_a_first_best_bid_and_offer_far_apart_is_found():
    assert jump_of([(0, TapeKind.BBO, 1, [(99, 1)], [(1001, 1)], 1, 0)], 5, 4) == (0, 1)


@given(histories())
def test_the_path_is_the_step_folded(history):
    events, words = table(history)
    whole, folded, spare = empty_book(), empty_book(), np.zeros(2, np.int64)
    tape_book_path(whole, events, words, spare, 0, np.zeros(0, BOOK_TOUCH))
    for row in np.flatnonzero(events["instrument"] == 0).tolist():
        tape_book_step(folded, events, row, words, spare)
    assert whole.tobytes() == folded.tobytes()


@given(histories())
def test_messages_are_those_a_collector_would_have_sent(history):
    events, words = table(history)
    book, known, spare = empty_book(), reference_book.Book(), np.zeros(2, np.int64)
    for row, event in enumerate(history):
        now_ns = 1_000 + row
        out = np.zeros(MESSAGE_WORDS + 2 * MOST_LEVELS, np.int64)
        code = tape_message(events[row : row + 1], words, book, 1, 5, now_ns, out)
        template, values, bids, asks = twin.message(known, event, now_ns)
        values |= {"now_ns": now_ns, "instrument_id": 1, "epoch": 5, "venue_ns": event[0]}
        groups = {}
        if bids is not None:
            pairs = {"bids": bids, "asks": asks}
            groups = {
                name: [{"price_ticks": tick, "qty_lots": qty} for tick, qty in levels]
                for name, levels in pairs.items()
            }
        assert code == template
        sent = encode(template, values, groups)
        assert out.tobytes()[: len(sent)] == sent
        tape_book_step(book, events, row, words, spare)
        twin.book_step(known, event)


@given(histories(), st.integers(0, 12), st.integers(1, 9), st.integers(1, 12))
def test_bars_are_what_fell_into_them(history, start_ns, step_ns, n):
    events, words = table(history)
    bars = np.zeros(n, TAPE_BAR)
    spare = np.zeros(2, np.int64)
    tape_bars(empty_book(), events, words, spare, 0, start_ns, step_ns, bars)
    assert bars.tolist() == twin.bars(history, 0, start_ns, step_ns, n)


@given(histories(), st.lists(st.integers(-1, 120), max_size=6).map(sorted), st.integers(1, 3))
def test_the_book_at_a_time_is_the_one_built_from_the_beginning(history, times_ns, n):
    events, words = table(history)
    out = np.zeros((len(times_ns), 2 * n, 2), np.int64)
    times, top = np.array(times_ns, np.int64), np.zeros(2 * n, LEVEL)
    tape_depths(empty_book(), events, words, np.zeros(2, np.int64), 0, times, top, n, out)
    known = twin.depths(history, 0, times_ns, n)
    assert [[tuple(level) for level in row] for row in out.tolist()] == [
        [tuple(level) for level in row] for row in known
    ]


# recordings


def snapshot(number, bids, asks):
    sides = [",".join(f'["{p}","{q}"]' for p, q in levels) for levels in (bids, asks)]
    return f'{{"lastUpdateId":{number},"bids":[{sides[0]}],"asks":[{sides[1]}]}}'.encode()


def best(number, bid, ask):
    return (
        f'{{"u":{number},"s":"BTCUSDT","b":"{bid[0]}","B":"{bid[1]}","a":"{ask[0]}","A":"{ask[1]}"}}'
    ).encode()


decimals = st.tuples(
    st.sampled_from(["100.0", "100.1", "99.95"]), st.sampled_from(["0", "1.0", "0.25"])
)
decimal_side = st.lists(decimals, max_size=3)


@st.composite
def recordings(draw):
    """Return the market and lines: events that fit, are missing, come twice; snapshots; damage."""
    is_usdm, known, trades, lines = draw(st.booleans()), 100, 7, []
    last = known
    kinds = ["depth"] * 5 + ["lost", "again", "snapshot", "snapshot", "trade", "best", "damage"]
    for kind in ["depth", *draw(st.lists(st.sampled_from(kinds), max_size=25))]:
        if kind in ("depth", "lost"):
            previous = last + 3 * (kind == "lost")
            last = previous + draw(st.integers(1, 3))
            first = [("100.0", "1.0")] if not lines else []
            sides = first + draw(decimal_side), draw(decimal_side)
            line = depth(previous + 1, last, *sides, previous if is_usdm else None)
        elif kind == "again":
            line = draw(st.sampled_from(lines))
        elif kind == "snapshot":
            number = last + draw(st.integers(-6, 2))
            line = snapshot(number, [("99.0", "2.0")], draw(decimal_side))
        elif kind == "trade":
            trades += draw(st.integers(-1, 3))
            line = trade(trades, maker=draw(st.sampled_from(["true", "false"])))
        elif kind == "best":
            line = best(last, draw(decimals), draw(decimals))
        else:
            line = draw(st.sampled_from([b"nothing", b"{nothing", b""]))
        lines.append(line)
    return is_usdm, lines


@given(recordings())
def test_a_recording_becomes_the_rows_that_the_venues_rules_give(tmp_path_factory, recording):
    is_usdm, payloads = recording
    lines = [b"%d %b" % (NS + 1000 * i, payload) for i, payload in enumerate(payloads)]
    path = tmp_path_factory.getbasetemp() / "recording"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    tape = read_tape(path)
    one = tape.instruments[0]
    sizes = one.tick_size_e8, one.lot_size_e8
    found = []
    for e in tape.events:
        at, n_bids = int(e["first_level"]), int(e["n_bids"])
        levels = [
            (int(level["price_ticks"]) * sizes[0], int(level["qty_lots"]) * sizes[1])
            for level in tape.levels[at : at + n_bids + int(e["n_asks"])]
        ]
        head = int(e["kind"]), int(e["update_id"]), int(e["flags"])
        found.append((*head, levels[:n_bids], levels[n_bids:]))
    known, trade_gaps = twin.recording(lines, is_usdm)
    assert found == known
    assert tape.notes.trade_ids_missing == trade_gaps
    assert (np.diff(tape.events["received_ns"]) >= 0).all()
