"""Every format into the same tape, and what is wrong with a file said with its place."""

import gzip
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from recorded_lines import FRAMES, MS, NS, SNAPSHOT, depth, trade, write

from mmquant.codes import Market, TapeKind
from mmquant.state import TAPE_BUFFERED, TAPE_SKIP
from mmquant.tape import TapeError, npz, read_tape, synthetic_tape

pytestmark = pytest.mark.kernels
DATA = Path(__file__).parents[2] / "shared" / "data" / "binance"


def rows(tape):
    """Return what is in a tape, without where its levels lie."""
    names = [name for name in tape.events.dtype.names if name != "first_level"]
    heads = [tuple(int(e[name]) for name in names) for e in tape.events]
    counts = tape.events["n_bids"].astype(int) + tape.events["n_asks"]
    spans = zip(tape.events["first_level"], counts, strict=True)
    return heads, [tape.levels[at : at + n].tolist() for at, n in spans]


# recordings


@pytest.mark.parametrize("name", ["x.gz", "plain"])
def test_a_recording_becomes_a_book_that_fits_together(tmp_path, name):
    tape = read_tape(write(tmp_path, FRAMES, name))
    kinds = [TapeKind(kind).name for kind in tape.events["kind"]]
    assert kinds == ["DELTA", "DELTA", "SNAPSHOT", "DELTA", "DELTA", "BBO", "TRADE"]
    flags = tape.events["flags"].tolist()
    # Two came before the snapshot; the one that reaches beyond it stands again behind it.
    assert flags == [TAPE_SKIP, TAPE_SKIP, 0, TAPE_BUFFERED, 0, 0, 0]
    assert tape.events["received_ns"][3] == tape.events["received_ns"][2] == NS + 2000
    one = tape.instruments[0]
    assert (one.symbol, one.market, str(one.tick_size)) == ("BTCUSDT", Market.SPOT, "0.1")
    touches = tape.touches()
    assert touches[["bid", "bid_qty", "ask", "ask_qty"]].iloc[-1].tolist() == [100.0, 1, 100.1, 2]
    exact = touches[["bid_ticks", "bid_lots", "ask_ticks", "ask_lots"]]
    assert exact.dtypes.eq("int64").all()
    assert (exact["bid_ticks"].iloc[-1], exact["ask_ticks"].iloc[-1]) == (1000, 1001)
    assert exact["bid_lots"].iloc[-1] * one.lot_size == 1
    assert tape.trades()[["price", "quantity", "side"]].iloc[0].tolist() == [100.1, 0.5, 1]
    assert tape.report().before_snapshot == 2


def test_a_missing_event_is_a_gap_until_the_next_snapshot(tmp_path):
    late = SNAPSHOT.replace(b":5,", b":20,")
    frames = [*FRAMES, depth(11, 12, [], []), depth(13, 14, [], []), late, depth(21, 22, [], [])]
    tape = read_tape(write(tmp_path, frames))
    kinds = tape.events["kind"][7:].tolist()
    assert kinds == [TapeKind.GAP, 0, 0, TapeKind.SNAPSHOT, 0]
    assert tape.events["flags"][7:].tolist() == [0, TAPE_SKIP, TAPE_SKIP, 0, 0]
    (gap,) = tape.report().gaps
    assert (gap.symbol, gap.duration_s) == ("BTCUSDT", 2e-6)


def test_usdm_chains_by_the_event_before(tmp_path):
    frames = [
        depth(4, 6, [("99", "1")], [], previous=3),
        SNAPSHOT,
        depth(9, 10, [], [], previous=6),
        depth(12, 13, [], [], previous=11),
    ]
    tape = read_tape(write(tmp_path, frames))
    assert tape.instruments[0].market is Market.USDM
    kinds = tape.events["kind"].tolist()
    assert kinds == [0, TapeKind.SNAPSHOT, 0, 0, TapeKind.GAP, 0]


def test_microseconds_of_the_venue_are_taken_as_such(tmp_path):
    tape = read_tape(write(tmp_path, [trade(1, ms=MS * 1000 + 7)]))
    assert tape.events["venue_ns"][0] == NS + 7000


def test_trades_twice_are_skipped_and_missing_ones_counted(tmp_path):
    tape = read_tape(write(tmp_path, [trade(1), trade(2), trade(2), trade(5)]))
    assert tape.events["flags"].tolist() == [0, 0, TAPE_SKIP, 0]
    assert tape.report().trade_ids_missing == 2
    assert len(tape.repair("duplicates")) == 3


def test_files_of_several_symbols_are_merged_by_time(tmp_path):
    eth = [frame.replace(b"BTCUSDT", b"ETHUSDT") for frame in FRAMES]
    paths = [write(tmp_path, eth, "e", NS + 500), write(tmp_path, FRAMES, "b")]
    tape = read_tape(paths)
    assert sorted(tape.symbols) == ["BTCUSDT", "ETHUSDT"]
    assert (np.diff(tape.events["received_ns"]) >= 0).all()
    alone = read_tape(paths[1])
    assert rows(tape.select("BTCUSDT"))[1] == rows(alone)[1]


# bad recordings


def test_a_truncated_recording_is_read_as_far_as_it_goes_and_says_so(tmp_path):
    path = write(tmp_path, [trade(i, qty=f"0.{i % 997 + 1}") for i in range(1, 1000)])
    path.write_bytes(path.read_bytes()[:-1000])
    report = read_tape(path).report()
    assert "cut short" in report.truncated
    assert str(path) in report.truncated
    assert not report.is_clean


def test_wrong_units_unsorted_and_mixed_recordings_are_refused(tmp_path):
    micro = write(tmp_path, FRAMES, "micro", NS // 1000, 1)
    with pytest.raises(TapeError, match=r'micro, line 1: .*stamp_unit="us"'):
        read_tape(micro)
    assert len(read_tape(micro, stamp_unit="us")) == 7
    back = write(tmp_path, FRAMES, "back", step=-1000)
    with pytest.raises(TapeError, match=r'back, line 2: not in order.*repair=\["order"\]'):
        read_tape(back)
    assert "steps back" in read_tape(back, repair=["order"]).repairs[0]
    usdm = write(tmp_path, [depth(1, 2, [], [], previous=0)], "usdm", NS + 10**9)
    with pytest.raises(TapeError, match="two markets as two tapes"):
        read_tape([write(tmp_path, FRAMES, "spot"), usdm])
    in_ticks = write(tmp_path, [trade(1), trade(2, price="1001")], "ticks")
    with pytest.raises(TapeError, match="is one of them in ticks"):
        read_tape(in_ticks)
    with pytest.raises(TapeError, match=r"no multiples of tick_size 0\.25"):
        read_tape(write(tmp_path, FRAMES, "off"), tick_size="0.25")


def test_empty_missing_and_unknown_files_are_refused(tmp_path):
    for name, data, message in (
        ("none", None, "no such file"),
        ("empty", b"", "the file is empty"),
        ("empty.gz", gzip.compress(b""), "the file is empty"),
        ("prose", b"hello world\n", "not a known format"),
    ):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(TapeError, match=rf"{name}.*{message}"):
            read_tape(tmp_path / name)
    bad = tmp_path / "bad"
    bad.write_bytes(b"1 {}\nno stamp\n%d {oops\n" % NS)
    with pytest.raises(TapeError, match=r"bad: no event in it .*1 x no_stamp"):
        read_tape(bad)


# formats there and back


def test_native_npz_and_parquet_give_the_same_tape_back(tmp_path):
    tape = synthetic_tape(2, seed=3)
    tape.save(tmp_path / "a.tape")
    assert rows(read_tape(tmp_path / "a.tape")) == rows(tape)
    tape.save(tmp_path / "a.npz")
    back = read_tape(tmp_path / "a.npz", symbol="BTCUSDT")
    assert (npz.to_rows(back) == npz.to_rows(tape)).all()
    pytest.importorskip("pyarrow")
    tape.save(tmp_path / "parquet")
    again = read_tape(tmp_path / "parquet")
    assert rows(again) == rows(tape)
    assert again.instruments == tape.instruments


def test_parquet_lies_by_symbol_and_hour_at_any_address(tmp_path):
    pytest.importorskip("pyarrow")
    fsspec = pytest.importorskip("fsspec")
    tape = synthetic_tape(1)
    late = tape.with_events(tape.events.copy())
    late.events["received_ns"][len(late) // 2 :] += 3_600_000_000_000
    late.save("memory://bucket/data")
    names = fsspec.filesystem("memory").glob("/bucket/data/*/*/*")
    assert [name.rpartition("data/")[2] for name in sorted(names)] == [
        f"symbol=BTCUSDT/hour=2026-01-01T0{hour}/part.parquet" for hour in (0, 1)
    ]
    assert rows(read_tape("memory://bucket/data")) == rows(late)
    with pytest.raises(TapeError, match="symbol=ETHUSDT"):
        read_tape("memory://bucket/data", symbol="ETHUSDT")


def npz_file(tmp_path, values):
    data = np.zeros(len(values), npz.EVENT)
    for row, (ev, exch, local, px, qty) in zip(data, values, strict=True):
        row["ev"], row["exch_ts"], row["local_ts"] = ev, exch, local
        row["px"], row["qty"] = px, qty
    path = tmp_path / "x.npz"
    np.savez(path, data=data)
    return path, data


E, L, B, S = npz.EXCH, npz.LOCAL, npz.BUY, npz.SELL


def test_hftbacktests_flags_come_back_exactly(tmp_path):
    both = E | L
    values = [
        (both | B | npz.CLEAR, NS, NS + 5, 99.0, 0),
        (both | B | npz.SNAPSHOT, NS, NS + 5, 100.0, 1),
        (both | B | npz.SNAPSHOT, NS, NS + 5, 99.0, 2),
        (both | S | npz.CLEAR, NS, NS + 5, 101.0, 0),
        (both | S | npz.SNAPSHOT, NS, NS + 5, 101.0, 1),
        (E | S | npz.TRADE, NS + 1, NS + 9, 100.0, 0.5),  # received after what came later
        (both | B | npz.DEPTH, NS + 2, NS + 6, 100.0, 0),
        (both | S | npz.DEPTH, NS + 2, NS + 6, 100.5, 3),
        (both | B | npz.BBO, NS + 3, NS + 7, 99.0, 2),
        (both | S | npz.BBO, NS + 3, NS + 7, 100.5, 3),
        (L | S | npz.TRADE, NS + 1, NS + 9, 100.0, 0.5),
        (both | B | npz.CLEAR, NS + 4, NS + 10, 99.0, 0),
    ]
    path, data = npz_file(tmp_path, values)
    tape = read_tape(path, symbol="BTCUSDT")
    kinds = [TapeKind(kind).name for kind in tape.events["kind"]]
    assert kinds == ["SNAPSHOT", "DELTA", "BBO", "TRADE", "CLEAR"]
    assert (npz.to_rows(tape) == data).all()
    assert np.isnan(tape.touches()["bid"].iloc[-1])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((E | L | B | 10, NS, NS, 1.0, 1.0), "row 0: events of single orders"),
        ((E | L | B | 1, NS, NS, float("nan"), 1.0), "row 0: px and qty must be finite"),
        ((E | L | 1, NS, NS, 1.0, 1.0), "row 0: a level of neither side"),
        ((B | 1, NS, NS, 1.0, 1.0), "row 0: the row is neither EXCH_EVENT nor LOCAL_EVENT"),
        ((E | L | B | 1, NS // 1000, NS // 1000, 1.0, 1.0), "looks like microseconds"),
    ],
)
def test_bad_npz_rows_are_named(tmp_path, row, message):
    path, _ = npz_file(tmp_path, [row])
    with pytest.raises(TapeError, match=message):
        read_tape(path)


# CSV

BOOK_CSV = (
    "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n"
    f"binance,BTCUSDT,{MS * 1000},{MS * 1000 + 9},true,ask,100.1,2\n"
    f"binance,BTCUSDT,{MS * 1000},{MS * 1000 + 9},true,bid,100.0,1\n"
    f"binance,BTCUSDT,{MS * 1000 + 50},{MS * 1000 + 60},false,bid,99.9,1e-3\n"
    f"binance,BTCUSDT,{MS * 1000 + 50},{MS * 1000 + 60},false,ask,100.1,0\n"
)


def test_tardis_books_group_by_the_time_received(tmp_path):
    path = tmp_path / "book.csv.gz"
    path.write_bytes(gzip.compress(BOOK_CSV.encode()))
    tape = read_tape(path)
    heads, levels = rows(tape)
    assert [head[0] for head in heads] == [NS + 9000, NS + 60_000]
    assert tape.events["kind"].tolist() == [TapeKind.SNAPSHOT, TapeKind.DELTA]
    assert levels == [[(1000, 1000), (1001, 2000)], [(999, 1), (1001, 0)]]
    assert tape.symbols == ("BTCUSDT",)


def test_tardis_trades_and_quotes(tmp_path):
    head = "exchange,symbol,timestamp,local_timestamp,"
    (tmp_path / "t.csv").write_text(f"{head}id,side,price,amount\nb,X,{MS}000,{MS}001,7,sell,5,2\n")
    (tmp_path / "q.csv").write_text(
        f"{head}ask_amount,ask_price,bid_price,bid_amount\nb,X,{MS}000,{MS}002,2,5.5,5,1\n"
        f"b,X,{MS}000,{MS}003,,,5,1\n"
    )
    tape = read_tape([tmp_path / "t.csv", tmp_path / "q.csv"])
    assert tape.events["kind"].tolist() == [TapeKind.TRADE, TapeKind.BBO, TapeKind.BBO]
    assert tape.trades()["side"].tolist() == [-1]
    assert tape.events["n_asks"].tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("names", "line", "market", "kind"),
    [
        ("", f"9,100.10,2.0,3,4,{MS},True,True", Market.SPOT, TapeKind.TRADE),
        ("", f"9,100.10,2.0,200.2,{MS}000,True,True", Market.SPOT, TapeKind.TRADE),
        ("id,price,qty,quote_qty,time,is_buyer_maker\n", f"9,100.10,2,200.2,{MS},true",
         Market.USDM, TapeKind.TRADE),
        ("", f"9,100.10,2,3,4,{MS},true", Market.USDM, TapeKind.TRADE),
        ("update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,"
         "event_time\n", f"9,100.10,2,100.2,4,{MS},{MS}", Market.USDM, TapeKind.BBO),
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [True, False])
def test_tables_of_data_binance_vision(tmp_path, names, line, market, kind, packed):
    path = tmp_path / f"BTCUSDT-x.{'zip' if packed else 'csv'}"
    text = f"{names}{line}\n"
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("BTCUSDT-x.csv", text)
    else:
        path.write_text(text)
    tape = read_tape(path, latency_ns=5)
    one = tape.instruments[0]
    assert (one.symbol, one.market, len(tape)) == ("BTCUSDT", market, 1)
    assert tape.events["kind"][0] == kind
    assert (tape.events["venue_ns"][0], tape.events["received_ns"][0]) == (NS, NS + 5)
    assert tape.to_frame()["price"].iloc[0] == 100.1
    if kind == TapeKind.TRADE:
        assert tape.trades()["side"].tolist() == [-1]  # the buyer was the maker


def test_bad_tables_are_refused_with_line_and_column(tmp_path):
    path = tmp_path / "BTCUSDT-x.csv"
    good = f"9,100.10,2,3,4,{MS},true\n"
    for text, message in (
        (
            good + f"9,abc,2,3,4,{MS},true\n",
            "line 2: price must be a decimal of 8 places at most, got 'abc'",
        ),
        (good + "9,1\n", "line 2: 7 columns expected, got 2"),
        (good + f"9,100.10,2,3,4,{MS - 1},true\n", "line 2: not in order of time"),
        (good + f"9,100.10,2,3,4,{MS}000,true\n", "line 2: the time must be in the unit of the fi"),
        (good.replace(str(MS), str(MS // 1000)), "must be milliseconds or microseconds"),
        (good + f"9,9000.10,2,3,4,{MS},true\n", "line 2: the price 9000.1 of BTCUSDT is more t"),
    ):
        path.write_text(text)
        with pytest.raises(TapeError, match=rf"BTCUSDT-x\.csv.*{message}"):
            read_tape(path)
    mixed = BOOK_CSV + f"binance,ETHUSDT,{MS}050,{MS}060,false,bid,9,1\n"
    (tmp_path / "mixed.csv").write_text(mixed)
    with pytest.raises(TapeError, match=r"mixed\.csv, line 6: mixed symbols: BTCUSDT"):
        read_tape(tmp_path / "mixed.csv")


VISION_NAMES = "agg_trade_id,price,quantity,first_id,last_id,transact_time,is_buyer_maker"


@pytest.mark.parametrize("names", [BOOK_CSV.partition("\n")[0], VISION_NAMES])
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_a_table_of_column_names_alone_has_no_row(tmp_path, names, end):
    path, good = tmp_path / "BTCUSDT-empty.csv", tmp_path / "BTCUSDT-x.csv"
    path.write_text(names + end)
    good.write_text(f"9,100.10,2,3,4,{MS},true\n")
    for files in (path, [good, path]) if names == VISION_NAMES else (path,):
        with pytest.raises(TapeError, match=r"BTCUSDT-empty\.csv: no row in it: .* leave the file"):
            read_tape(files)


def test_an_archive_of_column_names_alone_has_no_row(tmp_path):
    with zipfile.ZipFile(tmp_path / "BTCUSDT-aggTrades.zip", "w") as archive:
        archive.writestr("BTCUSDT-aggTrades.csv", VISION_NAMES + "\n")
    with pytest.raises(TapeError, match=r"BTCUSDT-aggTrades\.zip: no row in it: a table must"):
        read_tape(tmp_path / "BTCUSDT-aggTrades.zip")


def test_a_table_that_was_sorted_says_so_though_it_is_one_of_several(tmp_path):
    path, other = tmp_path / "BTCUSDT-x.csv", tmp_path / "BTCUSDT-y.csv"
    path.write_text(f"9,100.10,2,3,4,{MS},true\n10,100.10,2,3,4,{MS - 1},true\n")
    other.write_text(f"8,100.10,2,3,4,{MS - 5},true\n")
    assert read_tape([path, other], repair=["order"]).repairs == (
        "order: sorted, 1 steps back in time",
    )


def test_more_levels_at_once_than_an_event_has_are_said_with_their_row(tmp_path, monkeypatch):
    monkeypatch.setattr("mmquant.tape.csv.MAX_SIDE", 0)
    (tmp_path / "book.csv").write_text(BOOK_CSV)
    with pytest.raises(TapeError, match=r"book\.csv, line \d+: what is received at once"):
        read_tape(tmp_path / "book.csv")


def test_rows_of_an_npz_are_numbered_as_in_the_file(tmp_path):
    left_out = (E | L | B | 99, NS, NS, 1.0, 1.0)  # an event that no row is made of
    good = (E | L | B | 1, NS, NS, 1.0, 1.0)
    for bad, message in (
        ((E | L | B | 1, NS, NS, 1.0, -1.0), "row 2: px and qty must be finite"),
        ((B | 1, NS, NS, 1.0, 1.0), "row 2: the row is neither EXCH_EVENT nor LOCAL_EVENT"),
    ):
        path, _ = npz_file(tmp_path, [left_out, good, bad])
        with pytest.raises(TapeError, match=message):
            read_tape(path)
    stamps = (E | L | B | 1, NS // 1000, NS // 1000, 1.0, 1.0)
    path, _ = npz_file(tmp_path, [left_out, stamps])
    with pytest.raises(TapeError, match="row 1: exch_ts must be nanoseconds"):
        read_tape(path)


# real captures


@pytest.mark.skipif(not DATA.exists(), reason=f"no captures in {DATA}")
def test_the_real_captures_rebuild_to_the_venues_own_touch():
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        pytest.skip("minutes without the compiler")
    for files, deltas in (
        (["usdm_btcusdt_20240808.gz"], 6551),
        (["spot_btcusdt_20240809.gz", "spot_btcusdt_20240808.gz"], 6495),
    ):
        tape = read_tape([DATA / name for name in files])
        report = tape.report()
        assert (report.gaps, report.trade_ids_missing, report.left_out) == ((), 0, {})
        once = tape.events["flags"] & TAPE_BUFFERED == 0
        assert int(((tape.events["kind"] == TapeKind.DELTA) & once).sum()) == deltas
        touches = tape.touches()
        assert (touches["bid"] < touches["ask"]).all()


@pytest.mark.skipif(not DATA.exists(), reason=f"no captures in {DATA}: clock skew is not tested")
@pytest.mark.parametrize(
    ("files", "least_ms"),
    [
        (["usdm_btcusdt_20240808.gz"], -1272.402468),
        (["spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz"], -1276.159997),
    ],
)
def test_the_clock_of_the_real_captures_is_said_to_be_behind(files, least_ms):
    """The host that recorded them was 1.27 s behind the venue."""
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        pytest.skip("minutes without the compiler")
    tape = read_tape([DATA / name for name in files])
    report = tape.report()
    assert not report.is_clean
    assert report.received_before_venue == 1.0
    assert report.latency_ms["min"] == least_ms
    assert -1275.0 < report.latency_ms["median"] < -1265.0
    said = f"(by {-least_ms:.1f} ms at most): the clocks disagree; repair with tape.repair('clock')"
    assert said in str(report)
    moved = tape.repair("clock")
    assert moved.repairs == (f"clock: times received moved by {round(-least_ms * 1e6)} ns",)
    assert moved.report().received_before_venue == 0.0
    assert moved.report().latency_ms["min"] == 0.0
    assert 0.0 < moved.report().latency_ms["median"] < 10.0
