"""What one asks of a tape: bars, the book over time and at a time, parts of it, what is wrong."""

import numpy as np
import pandas as pd
import pytest
from recorded_lines import FRAMES, NS, SNAPSHOT, depth, trade, write

from mmquant.codes import TapeKind
from mmquant.tape import read_tape, synthetic_tape

pytestmark = pytest.mark.kernels
US = 1_000


@pytest.fixture
def tape(tmp_path):
    """Return the tape of FRAMES, a line each 1 us, and of a gap and a new book behind it."""
    later = SNAPSHOT.replace(b":5,", b":20,").replace(b'"100.2","2.0"', b'"100.3","4.0"')
    more = [depth(12, 13, [], []), later, depth(21, 22, [("100.0", "0"), ("99.8", "2")], [])]
    return read_tape(write(tmp_path, [*FRAMES, *more], step=US))


def test_bars_have_the_mids_course_the_touch_and_the_volumes(tape):
    start = NS // (4 * US) * 4 * US
    bars = tape.resample(4 * US)
    starts = pd.to_datetime([start, start + 4 * US, start + 8 * US], utc=True)
    assert bars.index.tolist() == starts.tolist()
    # The snapshot, and the event that waited for it: 100.0 and 100.2, then 100.1.
    first, second, third = (bars.iloc[i] for i in range(3))
    assert first[["open", "high", "low", "close"]].tolist() == [100.1, 100.1, 100.05, 100.1]
    assert first[["bid", "bid_qty", "ask", "ask_qty"]].tolist() == [100.0, 1.0, 100.2, 2.0]
    assert second[["open", "close", "buy_qty", "sell_qty"]].tolist() == [100.05, 100.15, 0.5, 0.0]
    assert (first["trades"], second["trades"], third["trades"]) == (0, 1, 0)
    assert third[["bid", "ask", "ask_qty"]].tolist() == [99.8, 100.3, 4.0]
    assert bars["updates"].tolist() == [3, 3, 1]  # the gap is one
    with pytest.raises(ValueError, match="step must be positive, got 0 ns"):
        tape.resample(0)


def test_the_book_over_time_has_a_column_a_price(tape):
    book = tape.depth(US, ticks=2)
    assert (book.index - pd.Timestamp(NS, tz="UTC")).tolist() == [
        pd.Timedelta(US * k, "ns") for k in range(1, 10)
    ]
    assert book.columns.tolist() == [
        99.6,
        99.7,
        99.8,
        99.9,
        100.0,
        100.1,
        100.2,
        100.3,
        100.4,
        100.5,
    ]
    empty, first, last = (book.iloc[k] for k in (0, 2, -1))
    assert not empty.any()
    assert first[first != 0].to_dict() == {99.9: -3.0, 100.0: -1.0, 100.2: 2.0}
    assert last[last != 0].to_dict() == {99.8: -2.0, 100.3: 4.0}


def test_the_book_at_a_time_is_the_one_of_the_events_up_to_it(tape):
    def at(us):
        frame = tape.book_at(NS + us * US).to_frame(9)
        sides = (frame[["bid", "bid_qty"]], frame[["ask", "ask_qty"]])
        return [[(float(p), float(q)) for p, q in side.dropna().to_numpy()] for side in sides]

    assert at(1) == [[], []]
    assert at(2) == [[(100.0, 1.0), (99.9, 3.0)], [(100.1, 0.5), (100.2, 2.0)]]
    assert at(8) == [[(99.8, 2.0)], [(100.3, 4.0)]]
    assert at(999) == at(8)
    assert at(-1) == [[], []]


def test_info_says_what_is_in_it(tape, tmp_path):
    info = tape.info()
    assert info.kinds == {"BTCUSDT": {"delta": 6, "snapshot": 2, "bbo": 1, "trade": 1, "gap": 1}}
    assert (info.events, info.rows) == (len(tape), tape.rows) == (11, tape.levels.size)
    assert info.instruments[0] == {
        "symbol": "BTCUSDT",
        "market": "spot",
        "tick_size": "0.1",
        "lot_size": "0.5",
    }
    assert info.duration_s == pytest.approx(8e-6)
    text = str(tape.repair("duplicates").info())
    assert "BTCUSDT (spot, tick 0.1, lot 0.5): 3 delta, 2 snapshot, 1 bbo" in text
    assert "repaired: duplicates: 3 events taken out" in text
    assert info.to_dict()["kinds"] == info.kinds


def test_clocks_that_disagree_are_said_and_moved_only_when_asked(tmp_path):
    """Received 1.27 s before the venue's time: no such thing happens."""
    behind = write(tmp_path, [trade(70), trade(71)], start=NS - 1_270_000_000, step=US)
    tape = read_tape(behind)
    report = tape.report()
    assert report.received_before_venue == 1.0
    assert report.latency_ms["min"] == pytest.approx(-1270.0)
    assert not report.is_clean
    assert "(by 1270.0 ms at most): the clocks disagree" in str(report)
    repaired = tape.repair("clock")
    assert repaired.repairs == ("clock: times received moved by 1270000000 ns",)
    assert repaired.report().received_before_venue == 0.0
    assert repaired.report().latency_ms["min"] == 0.0
    assert (np.diff(repaired.events["received_ns"]) == np.diff(tape.events["received_ns"])).all()
    assert tape.start_ns == NS - 1_270_000_000
    assert repaired.repair("clock") is repaired


def test_a_slice_begins_with_the_book_as_it_stood(tape):
    part = tape.slice(NS + 5 * US, NS + 6 * US)
    kinds = [TapeKind(kind).name for kind in part.events["kind"]]
    # The touch of BBO is newer than the depth, and comes behind the snapshot.
    assert kinds == ["SNAPSHOT", "BBO", "TRADE"]
    before, after = tape.book_at(NS + 4 * US), part.book_at(NS + 5 * US)
    assert before.top(9).tolist() == after.top(9).tolist()
    whole = tape.slice(NS, NS + 9 * US)
    assert whole.events.tobytes() == tape.events.tobytes()
    assert whole.levels is tape.levels
    in_a_gap = tape.slice(NS + 6 * US + 1)
    assert TapeKind(in_a_gap.events["kind"][-1]) is TapeKind.DELTA
    assert np.count_nonzero(in_a_gap.events["kind"] == TapeKind.SNAPSHOT) == 1
    assert not len(tape.slice(NS + 100 * US))
    with pytest.raises(ValueError, match="end must not be before start"):
        tape.slice(NS + 5, NS)


def test_any_slice_of_a_market_goes_on_as_the_whole_does():
    whole = synthetic_tape(0.4, 5)
    end = whole.book_at(whole.end_ns)
    for share in (0.2, 0.5, 0.9):
        start_ns = whole.start_ns + int(share * (whole.end_ns - whole.start_ns))
        book = whole.slice(start_ns).book_at(whole.end_ns)
        assert book.top(20).tolist() == end.top(20).tolist()


def test_chunks_are_the_tape_piece_by_piece(tape):
    pieces = list(tape.chunks(4))
    assert [len(piece) for piece in pieces] == [4, 4, 3]
    assert b"".join(piece.events.tobytes() for piece in pieces) == tape.events.tobytes()
    assert all(piece.levels is tape.levels for piece in pieces)
    assert all(piece.events.base is not None for piece in pieces)  # views
    with pytest.raises(ValueError, match="events must be"):
        next(tape.chunks(0))
