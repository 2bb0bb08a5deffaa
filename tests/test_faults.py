"""Faults without a socket: what each does to the frames, and that the true book stays true."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mm_venue.book import CHANGES_KEPT, TrueBook
from mm_venue.faults import KINDS, Fault, FaultError, check_fault, parse_fault
from mm_venue.injector import MAX_ARMED, Injector
from mm_venue.instrument import default_instrument
from mm_venue.schedule import planned_faults, random_faults, read_faults
from mm_venue.source import Frame
from mm_venue.synthetic import SyntheticSource
from reference_venue import NaiveBook

from mmquant.codes import Market

SYMBOLS = ("BTCUSDT",)
MS = 1_000_000
START = 1_700_000_000_000 * MS
DIFF, TRADES = "btcusdt@depth@100ms", "btcusdt@trade"


class Play:
    """A synthetic market of four seconds, clean and as sent with faults armed at the start."""

    def __init__(self, market, *faults, steps=500, symbols=SYMBOLS, schedule=()):
        instruments = [default_instrument(symbol, market) for symbol in symbols]
        self.source = SyntheticSource(7, instruments, START)
        self.source.listen({DIFF, TRADES, "btcusdt@aggTrade"})
        self.injector = Injector(self.source.listings)
        self.book = self.source.listings["BTCUSDT"].book
        self.first = self.book.as_of(self.book.update_id)
        self.clean, self.sent, self.times = [], [], []
        for fault in faults:
            self.injector.arm(check_fault(fault, market, symbols), START)
        schedule = list(schedule)
        for now in range(START, START + steps * 8 * MS, 8 * MS):
            while schedule and START + schedule[0][0] <= now:
                self.injector.arm(schedule.pop(0)[1], now)
            frames = self.source.poll(now)
            sent = frames if self.injector.is_idle else self.injector.distort(frames, now)
            self.clean += frames
            self.sent += sent
            self.times += [now] * len(sent)

    def of(self, stream, frames=None):
        return [json.loads(f.data) for f in frames or self.sent if f.stream == stream]

    def snapshot(self):
        rows = [[[p / 1e8, q / 1e8] for p, q in side] for side in self.first.top(5000)]
        return {"lastUpdateId": self.first.update_id, "bids": rows[0], "asks": rows[1]}

    def is_true(self, naive):
        true = self.book.as_of(naive.id).top(5000)
        return naive.top(5000) == tuple([(p / 1e8, q / 1e8) for p, q in side] for side in true)


BOTH = pytest.mark.parametrize("market", [Market.SPOT, Market.USDM])


def test_without_a_fault_the_frames_are_the_very_same():
    play = Play(Market.USDM)
    assert play.injector.is_idle
    assert all(a is b for a, b in zip(play.clean, play.sent, strict=True))


def test_drop_duplicate_and_reorder():
    clean, ids = Play(Market.SPOT), {}
    for kind in ("drop", "duplicate", "reorder"):
        play = Play(Market.SPOT, {"kind": kind, "count": 2})
        assert play.of(DIFF, play.clean) == clean.of(DIFF)
        assert play.of(TRADES) == clean.of(TRADES)
        assert play.injector.is_idle
        assert play.injector.injected == {kind: 1}
        assert play.injector.touched == {kind: 2}
        ids[kind] = [event["u"] for event in play.of(DIFF)]
    a, b, c, d, *rest = [event["u"] for event in clean.of(DIFF)]
    assert ids["drop"] == [c, d, *rest]
    assert ids["duplicate"] == [a, a, b, b, c, d, *rest]
    assert ids["reorder"] == [b, a, d, c, *rest]


def test_a_fault_ends_also_where_another_has_doubled_its_frame():
    twice = [{"kind": "duplicate", "count": 1}] * 3
    play = Play(Market.USDM, *twice, {"kind": "drop", "count": 1})
    assert play.injector.active == []
    assert len(play.sent) < len(play.clean) + 10


def test_trades_can_be_dropped_and_leave_a_hole_in_their_ids():
    play = Play(Market.USDM, {"kind": "drop", "stream": "trade", "count": 3})
    clean = [trade["t"] for trade in play.of(TRADES, play.clean)]
    assert [trade["t"] for trade in play.of(TRADES)] == clean[3:]
    assert play.of(DIFF) == play.of(DIFF, play.clean)


def test_delay_holds_everything_of_the_stream_in_order():
    play = Play(Market.USDM, {"kind": "delay", "duration_ms": 1000})
    assert play.of(DIFF) == play.of(DIFF, play.clean)
    late = [t for f, t in zip(play.sent, play.times, strict=True) if f.stream == DIFF]
    first = json.loads(next(f.data for f in play.clean if f.stream == DIFF))["E"]
    assert late[0] // MS - first in range(1000, 1020)
    assert late.count(late[0]) in (10, 11)
    assert play.injector.is_idle


def test_delays_of_two_symbols_do_not_wait_for_each_other():
    injector = Injector({})
    for symbol, duration_ms in (("BTCUSDT", 900), ("ETHUSDT", 100)):
        fault = {"kind": "delay", "symbol": symbol, "duration_ms": duration_ms}
        injector.arm(check_fault(fault, Market.SPOT, ("BTCUSDT", "ETHUSDT")), START)
    slow, fast = (
        Frame(f"{name}@depth", b"%d" % i) for i, name in enumerate(("btcusdt", "ethusdt"))
    )
    assert injector.distort([slow, fast], START) == []
    assert injector.distort([], START + 100 * MS) == [fast]
    assert injector.distort([], START + 899 * MS) == []
    assert injector.distort([fast], START + 900 * MS) == [slow, fast]
    assert injector.is_idle


def test_what_is_held_back_is_bounded(monkeypatch):
    monkeypatch.setattr("mm_venue.injector.MAX_HELD", 20)
    injector = Injector({})
    injector.arm(check_fault({"kind": "delay"}, Market.SPOT, SYMBOLS), START)
    frames = [Frame(DIFF, b"%d" % i) for i in range(21)]
    assert injector.distort(frames, START) == []
    assert injector.distort([], START) == frames


@BOTH
def test_overlap_is_legal_on_spot_and_a_break_on_usdm(market):
    play = Play(market, {"kind": "overlap", "count": 2})
    naive, previous, breaks = NaiveBook(play.snapshot(), market == Market.USDM), None, 0
    naive.first = False
    for event, clean in zip(play.of(DIFF), play.of(DIFF, play.clean), strict=True):
        assert event["u"] == clean["u"]
        if previous and event["U"] <= previous["u"]:
            breaks += 1
            assert event["U"] == previous["U"]
            assert event.get("pu") == previous.get("pu")
            assert {*map(tuple, clean["b"])} <= {*map(tuple, event["b"])}
        for side in "ba":
            naive.set(side, event[side])
        naive.id = event["u"]
        assert play.is_true(naive)
        previous = clean
    assert breaks == play.injector.touched["overlap"] == 2


def test_a_truncated_frame_is_cut_in_both_forms():
    play = Play(Market.SPOT, {"kind": "truncated"})
    frame = next(f for f in play.sent if f.stream == DIFF)
    whole = next(f for f in play.clean if f.stream == DIFF)
    assert frame.data == whole.data[: len(whole.data) // 2]
    for form in (frame.data, frame.wrapped):
        with pytest.raises(json.JSONDecodeError):
            json.loads(form)
    assert [f.data for f in play.sent].count(frame.data) == 1


@BOTH
def test_crossed_events_are_mended_by_the_next(market):
    play = Play(market, {"kind": "crossed", "count": 2})
    naive, crossed, last_wrong = NaiveBook(play.snapshot(), False), [], False
    for number, event in enumerate(play.of(DIFF)):
        for side in "ba":
            naive.set(side, event[side])
        naive.id = event["u"]
        bid, _, ask, _ = naive.touch()
        if bid >= ask:
            crossed.append(number)
        last_wrong = not play.is_true(naive)
        assert last_wrong == (bid >= ask)
    assert crossed == [0, 1]
    assert not last_wrong
    ids = [(e["U"], e["u"]) for e in play.of(DIFF)]
    assert ids == [(e["U"], e["u"]) for e in play.of(DIFF, play.clean)]


def test_na_trades_spend_ids_without_a_fill():
    play = Play(Market.USDM, {"kind": "na_trade", "count": 3})
    trades, clean = play.of(TRADES), play.of(TRADES, play.clean)
    ids = [trade["t"] for trade in trades]
    assert ids == list(range(ids[0], ids[0] + len(clean) + 3))
    spent = [trade for trade in trades if trade["X"] == "NA"]
    assert [(trade["p"], trade["q"]) for trade in spent] == [("0", "0")] * 3
    filled = [(t["p"], t["q"], t["T"]) for t in trades if t["X"] == "MARKET"]
    assert filled == [(t["p"], t["q"], t["T"]) for t in clean]
    aggregates = play.of("btcusdt@aggTrade")
    assert aggregates[-1]["l"] in ids
    with pytest.raises(FaultError, match="usdm only"):
        check_fault({"kind": "na_trade"}, Market.SPOT, SYMBOLS)


def test_clock_skew_moves_the_times_for_a_while():
    play = Play(Market.USDM, {"kind": "clock_skew", "duration_ms": 1000, "offset_ms": -1270})
    pairs = list(zip(play.of(DIFF), play.of(DIFF, play.clean), strict=True))
    moved = [(sent["E"] - clean["E"], sent["T"] - clean["T"]) for sent, clean in pairs]
    assert set(moved) == {(-1270, -1270), (0, 0)}
    assert moved.index((0, 0)) in range(8, 12)
    assert moved == sorted(moved)
    assert play.injector.is_idle


def test_requests_meet_their_faults_once_each():
    injector = Injector({})
    for kind, symbol in (
        ("stale_snapshot", None),
        ("failing_rest", "BTCUSDT"),
        ("slow_rest", None),
    ):
        injector.arm(check_fault({"kind": kind, "symbol": symbol}, Market.USDM, SYMBOLS), START)
    assert injector.request_fault(None, is_depth=False).kind == "slow_rest"
    assert injector.request_fault("ETHUSDT", is_depth=True).kind == "stale_snapshot"
    assert injector.request_fault("ETHUSDT", is_depth=True) is None
    assert injector.request_fault("BTCUSDT", is_depth=True).kind == "failing_rest"
    assert injector.request_fault("BTCUSDT", is_depth=True) is None
    assert injector.is_idle


def test_one_symbol_s_fault_leaves_the_others_alone():
    fault = {"kind": "drop", "symbol": "ETHUSDT", "count": 5}
    play = Play(Market.USDM, fault, symbols=("BTCUSDT", "ETHUSDT"))
    assert play.of(DIFF) == play.of(DIFF, play.clean)
    assert not play.injector.injected


def test_clearing_lets_go_of_what_is_held():
    injector = Injector({})
    for kind in ("reorder", "delay"):
        injector.arm(check_fault({"kind": kind}, Market.SPOT, SYMBOLS), START)
    one, other = Frame(DIFF, b"{}"), Frame("ethusdt@depth", b"[]")
    assert injector.distort([one, other], START) == []
    assert injector.clear() == 2
    assert sorted(f.data for f in injector.distort([], START)) == [b"[]", b"{}"]
    assert injector.is_idle


def test_what_waits_is_bounded():
    injector = Injector({})
    for _ in range(MAX_ARMED):
        injector.arm(Fault("drop", count=1, stream="depth"), START)
    with pytest.raises(FaultError, match="clear"):
        injector.arm(Fault("drop", count=1, stream="depth"), START)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("[]", "JSON object"),
        ("{", "JSON object"),
        ('{"kind":"dropp"}', "kind must be one of drop, "),
        ('{"kind":"drop","count":0}', "count must be 1 to 10000, got 0"),
        ('{"kind":"drop","count":"two"}', "Expected `int`"),
        ('{"kind":"drop","size":5}', "drop takes kind, symbol, count, stream, got 'size'"),
        ('{"kind":"drop","stream":"kline"}', "stream must be one of depth, trade"),
        ('{"kind":"drop","symbol":"ETHUSDT"}', "symbol must be one of BTCUSDT, got 'ETHUSDT'"),
        ('{"kind":"rate_limit","status":500}', "429 or 418, got 500"),
        ('{"kind":"failing_rest","status":404}', "500 to 599, got 404"),
    ],
)
def test_a_fault_that_breaks_a_rule_names_it(body, says):
    with pytest.raises(FaultError) as caught:
        parse_fault(body.encode(), Market.USDM, SYMBOLS)
    assert says in str(caught.value)


def test_the_same_seed_gives_the_same_faults_and_the_same_frames():
    def schedule(seed):
        return list(itertools.islice(random_faults(seed, 20.0, Market.USDM, SYMBOLS), 300))

    assert schedule(3) == schedule(3) != schedule(4)
    assert {fault.kind for _, fault in schedule(3)} == set(KINDS)
    assert schedule(3)[-1][0] / 1e9 == pytest.approx(15, rel=0.3)
    spot = itertools.islice(random_faults(3, 20.0, Market.SPOT, SYMBOLS), 300)
    assert {fault.kind for _, fault in spot} == {*KINDS} - {"na_trade"}
    one, two = (Play(Market.USDM, schedule=schedule(3)) for _ in range(2))
    assert one.sent == two.sent
    assert one.injector.injected == two.injector.injected
    assert len(one.injector.injected) > 6
    assert one.sent != one.clean


def test_a_schedule_file_is_read_in_order_and_its_faults_are_named(tmp_path):
    path = tmp_path / "faults.jsonl"
    path.write_text('{"at_ms": 900, "kind": "drop"}\n\n{"at_ms": 20, "kind": "silence"}\n')
    faults = read_faults(path, Market.SPOT, SYMBOLS)
    assert [(at_ns, fault.kind) for at_ns, fault in faults] == [
        (20 * MS, "silence"),
        (900 * MS, "drop"),
    ]
    both = planned_faults(str(path), 1, 1.0, Market.SPOT, SYMBOLS)
    times = [at_ns for at_ns, _ in itertools.islice(both, 50)]
    assert times == sorted(times)
    assert {20 * MS, 900 * MS} <= {*times}
    for text, says in (
        ('{"kind":"drop"}', "at_ms"),
        ('{"at_ms":1,"kind":"x"}', "line 1: kind"),
        ("[]", "JSON object"),
        ("{", "line 1"),
    ):
        path.write_text(text)
        with pytest.raises(FaultError, match=says):
            read_faults(path, Market.SPOT, SYMBOLS)
    with pytest.raises(FaultError, match="can be read"):
        read_faults(tmp_path / "none", Market.SPOT, SYMBOLS)


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(1, 6), st.integers(0, 3), st.integers(1, 3)),
        max_size=60,
    )
)
def test_the_book_of_any_past_id_is_the_one_there_was(changes):
    book = TrueBook()
    book.load([(5, 1)], [(9, 1)], 10)
    past = {10: (dict(book.bids), dict(book.asks))}
    for is_bid, price, qty, step in changes:
        book.update_id += step
        (book.set_bid if is_bid else book.set_ask)(price if is_bid else price + 6, qty)
        past[book.update_id] = (dict(book.bids), dict(book.asks))
        assert book.best_bid == max(book.bids, default=0)
        assert book.best_ask == min(book.asks, default=0)
    newest = None
    for update_id in range(10, book.update_id + 1):
        newest = past.get(update_id, newest)
        then = book.as_of(update_id)
        assert (then.bids, then.asks) == newest
    assert book.as_of(9) is None
    assert book.as_of(book.update_id + 1) is None


def test_the_memory_of_a_book_is_bounded():
    book = TrueBook()
    book.load([], [], 0)
    for update_id in range(1, CHANGES_KEPT + 50):
        book.update_id = update_id
        book.set_bid(1, update_id)
        if update_id % 1000 == 0:
            book.mark(update_id)
    assert book.oldest_id == 50
    assert book.as_of(49) is None
    assert book.as_of(50).bids == {1: 50}
    assert book.id_at(2500) == 2000
    assert book.id_at(10) == 50
