"""Recordings of several files and symbols, with the collector's markers, into one tape or none."""

import json
import tracemalloc

import numpy as np
import pytest
from mm_collector.recording import Recorder
from recorded_lines import FRAMES, MS, NS, SNAPSHOT, depth, trade, write

from mmquant.codes import TapeKind
from mmquant.state import TAPE_EVENT, TAPE_SKIP
from mmquant.tape import TapeError, read_capture, read_tape
from mmquant.tape.order import sort_in_place

pytestmark = pytest.mark.kernels
STEP_NS = 1_000_000


def recorded(folder, *lines, symbol="BTCUSDT", market="spot"):
    """Record frames, and (kind,) markers, by the recorder's own code; return the files."""
    recorder = Recorder(folder, market, 1 << 20)
    for i, line in enumerate(lines):
        if isinstance(line, tuple):
            recorder.mark(symbol, NS + i * STEP_NS - 10, line[0], "text")
        else:
            recorder.frame(symbol, NS + i * STEP_NS, line)
    recorder.close()
    return sorted(folder.iterdir())


def kinds_of(tape):
    return [
        f"{TapeKind(event['kind']).name}{' skipped' if event['flags'] & TAPE_SKIP else ''}"
        for event in tape.events
    ]


@pytest.mark.parametrize("kind", ["lost", "opened", "down", "buffering", "gap", "crossed", "stale"])
def test_after_a_marker_no_book_is_whole_though_the_ids_go_on(tmp_path, kind):
    later = SNAPSHOT.replace(b":5,", b":12,")
    lines = [*FRAMES, (kind,), depth(9, 10, [], []), depth(11, 13, [], []), later]
    tape = read_tape(recorded(tmp_path, *lines, depth(14, 14, [], [])))
    assert kinds_of(tape)[7:] == [
        "GAP",
        "DELTA skipped",
        "DELTA skipped",
        "SNAPSHOT",
        "DELTA",
        "DELTA",
    ]
    (gap,) = tape.report().gaps
    assert (gap.symbol, gap.end != "") == ("BTCUSDT", True)


@pytest.mark.parametrize("kind", ["live", "syncing", "snapshot_failed", "bad_frame", "dropped"])
def test_other_markers_break_nothing(tmp_path, kind):
    tape = read_tape(recorded(tmp_path, *FRAMES, (kind,), depth(9, 10, [], [])))
    assert kinds_of(tape)[6:] == ["TRADE", "DELTA"]
    assert not tape.report().gaps


def test_behind_a_handover_events_may_have_other_edges(tmp_path):
    before = [
        depth(4, 6, [("99", "1")], [], previous=3),
        SNAPSHOT,
        depth(9, 10, [], [], previous=6),
    ]
    overlapping = [depth(10, 12, [], [], previous=8), depth(14, 15, [], [], previous=12)]
    lines = [*before, ("handed_over",), *overlapping]
    tape = read_tape(recorded(tmp_path / "a", *lines, market="usdm"))
    assert not tape.report().gaps
    assert kinds_of(tape)[-2:] == ["DELTA", "DELTA"]
    missing = [*before, ("handed_over",), depth(12, 13, [], [], previous=11)]
    assert len(read_tape(recorded(tmp_path / "b", *missing, market="usdm")).report().gaps) == 1


def test_a_markers_time_never_lies_before_the_frames_before_it(tmp_path):
    """A marker bears the time of the turn that its frames came in: recordings have it so."""
    marker = {"stream": "x@marker", "data": {"e": "marker", "s": "BTCUSDT", "kind": "lost"}}
    data = b"".join(b"%d %b\n" % (NS + i * 1000, p) for i, p in enumerate(FRAMES))
    data += b"%d %b\n" % (NS + 3_500, json.dumps(marker).encode())
    path = tmp_path / "plain"
    path.write_bytes(data)
    tape = read_tape(path)
    assert kinds_of(tape)[-1] == "GAP"
    assert tape.end_ns == NS + 5_000


def test_the_recorder_keeps_the_order_of_a_turn_but_not_a_clock_that_steps_back(tmp_path):
    recorder = Recorder(tmp_path, "spot", 1 << 20)
    for late_ns in (0, 5, 3, 4, -2_000_000_000):
        recorder.frame("BTCUSDT", NS + late_ns, trade(1))
    recorder.close()
    stamps = [stamp - NS for stamp, _ in read_capture(sorted(tmp_path.iterdir()))]
    assert stamps == [0, 5, 5, 5, -2_000_000_000]


# several files


def eth(*frames):
    return [frame.replace(b"BTCUSDT", b"ETHUSDT") for frame in frames]


def test_a_snapshot_belongs_to_the_symbol_of_its_file(tmp_path):
    """One symbol's file ends in a gap; another's begins: each snapshot finds its own."""
    broken = [*FRAMES, depth(20, 21, [], [])]
    first = write(tmp_path, broken, "btc", NS)
    second = write(tmp_path, eth(*FRAMES), "eth", NS + 10**9)
    third = write(tmp_path, [*FRAMES[:3], *FRAMES[4:]], "btc2", NS + 2 * 10**9)
    tape = read_tape([first, second, third])
    snapshots = tape.events[tape.events["kind"] == TapeKind.SNAPSHOT]
    assert [tape.symbols[i] for i in snapshots["instrument"]] == ["BTCUSDT", "ETHUSDT", "BTCUSDT"]


def test_a_file_that_begins_with_a_snapshot_is_looked_into(tmp_path):
    first = write(tmp_path, FRAMES, "btc", NS)
    second = write(tmp_path, [SNAPSHOT, *eth(*FRAMES[:2], *FRAMES[3:])], "eth", NS + 10**9)
    tape = read_tape([first, second])
    snapshots = tape.events[tape.events["kind"] == TapeKind.SNAPSHOT]
    assert [tape.symbols[i] for i in snapshots["instrument"]] == ["BTCUSDT", "ETHUSDT"]
    assert np.count_nonzero(tape.select("BTCUSDT").events["kind"] == TapeKind.SNAPSHOT) == 1


def test_symbols_mixed_in_one_file_are_told_by_who_lacks_a_book(tmp_path):
    mixed = [*FRAMES[:2], SNAPSHOT, *FRAMES[3:], *eth(*FRAMES[:2]), SNAPSHOT, *eth(FRAMES[3])]
    tape = read_tape(write(tmp_path, mixed))
    snapshots = tape.events[tape.events["kind"] == TapeKind.SNAPSHOT]
    assert [tape.symbols[i] for i in snapshots["instrument"]] == ["BTCUSDT", "ETHUSDT"]
    both = [*FRAMES[:2], *eth(*FRAMES[:2]), SNAPSHOT]
    with pytest.raises(TapeError, match="line 5: a snapshot that may be of any of BTCUSDT, ETHU"):
        read_tape(write(tmp_path, both, "both"))


def test_each_files_own_order_is_held_to(tmp_path):
    """Merging several files sorts nothing that is wrong in one of them."""
    good = write(tmp_path, FRAMES, "good", NS)
    bad = write(tmp_path, eth(*FRAMES), "bad", NS + 10**9, step=-1000)
    with pytest.raises(TapeError, match=r"bad, line 2: not in order of time"):
        read_tape([good, bad])
    sorted_tape = read_tape([good, bad], repair=["order"])
    assert "steps back" in sorted_tape.repairs[0]
    assert (np.diff(sorted_tape.events["received_ns"]) >= 0).all()
    beside = write(tmp_path, eth(*FRAMES), "beside", NS + 500)
    assert read_tape([good, beside], repair=["order"]).repairs == ()


def test_each_files_own_unit_is_held_to(tmp_path):
    good = write(tmp_path, FRAMES, "good", NS)
    good.write_bytes(b"not a line\n" + good.read_bytes())  # has no first stamp: it is read first
    bad = write(tmp_path, eth(*FRAMES), "bad", NS // 1000, 1)
    with pytest.raises(TapeError, match=r"bad, line 1: the stamp .* not in the unit"):
        read_tape([good, bad])


# what lies where a tape is written


def rows(tape):
    return tape.events.tolist(), tape.levels.tolist()


def test_a_mapped_tape_may_be_saved_onto_itself(tmp_path):
    path = tmp_path / "x.tape"
    before = rows(read_tape(write(tmp_path, FRAMES), out=path))
    tape = read_tape(path)
    tape.save(path)
    assert rows(tape) == before == rows(read_tape(path))
    read_tape(path).slice(NS + 3_000).save(path)
    assert 0 < len(read_tape(path)) < len(before[0])
    assert sorted(file.name for file in path.iterdir()) == ["events.npy", "levels.npy", "tape.json"]


@pytest.mark.parametrize("wrong", ["order", "empty", "units"])
def test_a_tape_that_cannot_be_read_leaves_the_one_that_is_there(tmp_path, wrong):
    path = tmp_path / "x.tape"
    before = rows(read_tape(write(tmp_path, FRAMES), out=path))
    bad = {
        "order": lambda: write(tmp_path, FRAMES, "bad", step=-1000),
        "empty": lambda: write(tmp_path, [b'{"e":"nothing"}'], "bad"),
        "units": lambda: write(tmp_path, [trade(1), trade(2, price="1001")], "bad"),
    }[wrong]()
    with pytest.raises(TapeError, match="bad"):
        read_tape(bad, out=path)
    assert rows(read_tape(path)) == before
    assert sorted(file.name for file in path.iterdir()) == ["events.npy", "levels.npy", "tape.json"]


def test_out_takes_a_recording_as_it_is(tmp_path):
    with pytest.raises(ValueError, match=r"got repair=\['order'\]: read it without out"):
        read_tape(write(tmp_path, FRAMES), out=tmp_path / "x.tape", repair=["order"])


def test_an_aggregate_of_hidden_orders_alone_is_counted_and_makes_no_row(tmp_path):
    """USD-M: `nq` is what was traded of the book's orders; where it is 0, the book saw nothing."""
    hidden, shown = (
        b'{"e":"aggTrade","E":%d,"s":"BTCUSDT","a":%d,"p":"100.1","q":"0.5","nq":"%s","f":1,"l":1,'
        b'"T":%d,"m":false}' % (MS, number, part, MS)
        for number, part in ((1, b"0.000"), (2, b"0.200"))
    )
    tape = read_tape(write(tmp_path, [*FRAMES, hidden, shown]), progress=False)
    trades = tape.events[tape.events["kind"] == TapeKind.TRADE]
    lots = tape.levels["qty_lots"][trades["first_level"]] * tape.instruments[0].lot_size_e8
    assert tape.report().left_out == {"aggregate of hidden orders alone": 1}
    assert lots.tolist() == [50_000_000, 20_000_000], "the trade of the frames, and what was shown"


def test_events_are_sorted_in_place_with_little_memory():
    random = np.random.default_rng(3)
    events = np.zeros(100_000, TAPE_EVENT)
    events["received_ns"] = random.integers(0, 1_000, events.size)
    events["update_id"] = np.arange(events.size)
    events["flags"] = random.integers(0, 9, events.size)
    column = TAPE_EVENT.names.index("received_ns")
    expected = np.array(sorted(events.tolist(), key=lambda row: row[column]), TAPE_EVENT)
    tracemalloc.start()
    sort_in_place(events)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert events.tobytes() == expected.tobytes()
    assert peak / events.size < 30, "bytes an event"
