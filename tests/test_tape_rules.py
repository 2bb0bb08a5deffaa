"""Prices, times, sides and markets that only a mistake has are refused, wherever they stand."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from recorded_lines import BBO, FRAMES, MS, NS, SNAPSHOT, depth, trade, write
from test_tape_formats import BOOK_CSV, B, E, L, S, npz_file

from mmquant.codes import Market
from mmquant.tape import TapeError, npz, read_tape

pytestmark = pytest.mark.kernels
CRYPTOFEED = Path(__file__).parents[2] / "shared" / "data" / "cryptofeed"
HEAD = "exchange,symbol,timestamp,local_timestamp,"
BOOK_HEAD = BOOK_CSV.partition("\n")[0] + "\n"


def book_rows(*rows, exchange="binance"):
    """Return a book's table: two levels a side, then (side, price, quantity) a row each."""
    text = BOOK_HEAD
    start = [("bid", "100.0", 1), ("bid", "99.9", 1), ("ask", "100.1", 2), ("ask", "100.2", 2)]
    for side, price, qty in start:
        text += f"{exchange},BTCUSDT,{MS}000,{MS}009,true,{side},{price},{qty}\n"
    for i, (side, price, qty) in enumerate(rows):
        text += f"{exchange},BTCUSDT,{MS}{i + 50:03},{MS}{i + 60:03},false,{side},{price},{qty}\n"
    return text


def table(tmp_path, text, name="book.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


# prices


@pytest.mark.parametrize(
    ("frame", "what"),
    [
        (depth(9, 10, [("1000", "1")], [("1001", "1")]), "bid 1000"),
        (depth(9, 10, [("1000", "1")], []), "bid 1000"),
        (depth(9, 10, [], [("10.0", "1")]), "ask 10"),
        (depth(9, 10, [], [("100.2", "0"), ("1002", "1")]), "ask 1002"),  # it becomes the touch
        (BBO.replace(b'"a":"100.1"', b'"a":"1001"').replace(b":9,", b":11,"), "ask 1001"),
        (BBO.replace(b'"b":"100.0"', b'"b":"1000"').replace(b":9,", b":11,"), "bid 1000"),
        (trade(71, price="1001"), "price 1001"),
        (SNAPSHOT.replace(b"100.0", b"1000").replace(b"100.2", b"1002"), "bid 1000"),
        (SNAPSHOT.replace(b"100.2", b"1002"), "ask 1002"),
    ],
)
def test_a_price_in_another_unit_is_refused_with_its_line(tmp_path, frame, what):
    frame = frame.replace(b'"lastUpdateId":5', b'"lastUpdateId":12')
    good = FRAMES if b'"b":[]' not in frame else [*FRAMES[:4], FRAMES[5]]
    path = write(tmp_path, [*good, frame, trade(72)])
    place = (
        rf"line {len(good) + 1}: the {what} of BTCUSDT is more than 5 times or .*, 100\.?\d* to 1"
    )
    with pytest.raises(TapeError, match=place):
        read_tape(path)


def test_what_lies_far_behind_the_touch_is_no_error(tmp_path):
    far = [depth(9, 10, [("1.6", "0.001")], [("1000", "0.01")]), trade(71)]
    tape = read_tape(write(tmp_path, [*FRAMES, *far]))
    assert tape.touches()["ask"].iloc[-1] == 100.2
    # Near levels that were never heard of: one that stood far off is the touch for a while.
    bared = [*FRAMES[:4], far[0], depth(11, 12, [("99.9", "0"), ("100.0", "0"), ("99", "0")], [])]
    assert read_tape(write(tmp_path, [*bared, trade(70)])).touches()["bid"].iloc[-1] == 1.6


def test_many_levels_without_a_near_one_are_refused(tmp_path):
    far = [depth(9 + i, 9 + i, [], [(f"{1000 + i}", "1")]) for i in range(120)]
    assert len(read_tape(write(tmp_path, [*FRAMES, *far[:99]])))
    with pytest.raises(TapeError, match="line 7: the ask 1000 of BTCUSDT is more than 5 times"):
        read_tape(write(tmp_path, [*FRAMES, *far]))


def test_tables_and_their_trades_are_held_against_the_book(tmp_path):
    good = [("bid", "99.8", 1), ("ask", "1000.0", 1)]
    assert len(read_tape(table(tmp_path, book_rows(*good)))) == 3
    for bad, message in (
        ([*good, ("bid", "999", 1)], r"book\.csv, line 8: the bid 999 of BTCUSDT is more than 5"),
        ([*good, ("ask", "10.01", 1)], r"book\.csv, line 8: the ask 10\.01 of BTCUSDT is more"),
    ):
        with pytest.raises(TapeError, match=message):
            read_tape(table(tmp_path, book_rows(*bad)))
    in_ticks = f"{HEAD}id,side,price,amount\nbinance,BTCUSDT,{MS}000,{MS}055,7,sell,1001,2\n"
    trades = table(tmp_path, in_ticks, "trades.csv")
    with pytest.raises(TapeError, match=r"trades\.csv, line 2: the price 1001 of BTCUSDT"):
        read_tape([trades, table(tmp_path, book_rows(*good))])


def npz_rows(*more):
    both = E | L
    return [
        (both | B | npz.SNAPSHOT, NS, NS + 5, 100.0, 1),
        (both | S | npz.SNAPSHOT, NS, NS + 5, 101.0, 1),
        (both | B | npz.DEPTH, NS + 1, NS + 6, 99.0, 1),
        *((both | ev, *rest) for ev, *rest in more),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((B | npz.DEPTH, NS + 2, NS + 7, 1000.0, 1), "row 3: the bid 1000 of X is more than 5 tim"),
        ((S | npz.TRADE, NS + 2, NS + 7, 1000.0, 1), "row 3: the price 1000 of X is more than 5 t"),
        ((B | npz.DEPTH, NS + 2, NS + 7, -99.0, 1), r"row 3: px must be above 0, got px -99\.0"),
        ((S | npz.TRADE, NS + 2, NS + 7, 0.0, 1), r"row 3: px must be above 0, got px 0\.0"),
        ((B | npz.DEPTH, (NS + 2) // 1000, NS + 7, 99.0, 1), "row 3: exch_ts .*another unit of ti"),
        ((B | npz.DEPTH, NS + 2, NS + 1, 99.0, 1), r"row 3: not in order of time, local_ts \d+ co"),
    ],
)
def test_rows_of_an_npz_are_held_against_those_before(tmp_path, row, message):
    path, _ = npz_file(tmp_path, npz_rows(row))
    with pytest.raises(TapeError, match=message):
        read_tape(path, symbol="X")


@pytest.mark.skipif(not CRYPTOFEED.exists(), reason=f"no captures in {CRYPTOFEED}")
@pytest.mark.parametrize("venue", ["BINANCE", "BINANCE_FUTURES"])
def test_real_books_of_eight_symbols_raise_no_alarm(tmp_path, venue):
    """Each symbol's frames, behind its snapshot, as a recording of its own."""
    urls = gzip.open(CRYPTOFEED / f"{venue}.http.0.0.gz", "rt").read().splitlines()
    frames = gzip.open(CRYPTOFEED / f"{venue}.ws.1.0.gz", "rt").read().splitlines()[1:]
    symbols = {re.search(r"symbol=(\w+)", url)[1]: url for url in urls if "depth?" in url}
    assert len(symbols) == 4
    for symbol, url in symbols.items():
        own = [line.partition(": ") for line in frames if f'"s":"{symbol}"' in line]
        lines = [f"{int(float(stamp) * 1e9)} {payload}" for stamp, _, payload in own]
        first = lines[0].partition(" ")[0]
        snapshot = url.partition(": ")[2]
        path = tmp_path / symbol
        path.write_text("\n".join([lines[0], f"{first} {snapshot}", *lines[1:]]) + "\n")
        tape = read_tape(path)
        assert len(tape) > len(lines) // 2


# times


@pytest.mark.parametrize("sort", [False, True])
def test_a_stamp_in_another_unit_amid_others_is_refused_with_its_line(tmp_path, sort):
    repair = ["order"] if sort else []
    path = write(tmp_path, [*FRAMES, trade(71), trade(72)], "plain")
    lines = path.read_bytes().splitlines()
    stamp, _, payload = lines[6].partition(b" ")
    lines[6] = stamp[:-3] + b" " + payload
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(TapeError, match=r"plain, line 7: .*one of them is in another unit of time"):
        read_tape(path, repair=repair)
    micro = write(tmp_path, [*FRAMES, trade(71)], "plain", NS // 1000, 1).read_bytes().splitlines()
    micro[4] = micro[4].replace(b" ", b"000 ", 1)
    path.write_bytes(b"\n".join(micro) + b"\n")
    with pytest.raises(TapeError, match=r"line 5: the stamp .* as us it lies beyond every date"):
        read_tape(path, stamp_unit="us", repair=repair)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (f",{MS}060,", f",{MS}060000,", r"line 6: local_timestamp must be microseconds, got \d+"),
        (f"{MS}", f"{MS // 1000}", r"line 2: timestamp must be microseconds, got \d+"),
        (f"000,{MS}009,", f"000,{MS},", r"line 2: local_timestamp must be microseconds, got \d+"),
        (f"{MS}050", f"{MS}050000", r"line 6: timestamp must be microseconds, got \d+"),
    ],
)
def test_both_times_of_a_table_are_held_to_their_unit(tmp_path, old, new, message):
    text = book_rows(("bid", "99.8", 1)).replace(old, new)
    with pytest.raises(TapeError, match=rf"book\.csv, {message}"):
        read_tape(table(tmp_path, text))


# values and markets


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("bid", "-5", 1), "price must be above 0, got -5: correct the row"),
        (("bid", "0", 1), "price must be above 0, got nothing or 0"),
        (("bid", "", 1), "price must be above 0, got nothing or 0"),
        (("bid", "99.8", -3), "qty must be 0 or more, got -3"),
        (("foo", "99.8", 1), "side must be buy, sell, bid or ask, got one that begins with 'f'"),
    ],
)
def test_values_that_no_market_has_are_refused_with_their_line(tmp_path, row, message):
    path = table(tmp_path, book_rows(("bid", "99.7", 1), row))
    with pytest.raises(TapeError, match=rf"book\.csv, line 7: {message}"):
        read_tape(path)


def test_trades_need_a_side_and_a_price_or_are_counted(tmp_path):
    head, row = f"{HEAD}id,side,price,amount\n", "binance,X,{0}000,{0}001,{1},{2},{3},{4}\n"
    good = row.format(MS, 7, "sell", "5", "2")
    unknown, none = row.format(MS, 8, "unknown", "5", "2"), row.format(MS, 9, "buy", "0", "0")
    tape = read_tape(table(tmp_path, head + good + unknown + none, "trades.csv"))
    assert len(tape) == 1
    assert tape.report().left_out == {"trade without a quantity": 1, "trade without a side": 1}
    bad = table(tmp_path, head + good + row.format(MS, 8, "foo", "5", "2"), "trades.csv")
    with pytest.raises(TapeError, match=r"trades\.csv, line 3: side must be buy, sell"):
        read_tape(bad)
    vision = table(tmp_path, f"9,100.10,2,3,4,{MS},true\n10,-1,2,3,4,{MS},true\n", "BTCUSDT-x.csv")
    with pytest.raises(TapeError, match=r"BTCUSDT-x\.csv, line 2: price must be above 0, got -1"):
        read_tape(vision)


def test_an_exchange_has_its_market_and_two_are_not_mixed(tmp_path):
    for exchange, market, assumed in (
        ("binance", Market.SPOT, ()),
        ("binance-futures", Market.USDM, ()),
        ("kraken", Market.USDM, ("the market of 'kraken' is not known and taken for usdm: pass ma"
                                 "rket=",)),
    ):  # fmt: skip
        path = table(tmp_path, book_rows(exchange=exchange))
        tape = read_tape(path)
        assert (tape.instruments[0].market, tape.report().assumptions) == (market, assumed)
        if assumed:
            given = read_tape(path, market="spot")
            assert (given.instruments[0].market, given.report().assumptions) == (Market.SPOT, ())
        else:
            assert read_tape(path, market=market.name.lower()).instruments[0].market == market
    with pytest.raises(TapeError, match="market must be that of the file, spot, got 'usdm': leave"):
        read_tape(table(tmp_path, book_rows(exchange="binance")), market="usdm")
    with pytest.raises(TapeError, match="symbol must be that of the file, BTCUSDT, got 'ETHUSDT'"):
        read_tape(table(tmp_path, book_rows()), symbol="ETHUSDT")
    other = f"binance-futures,BTCUSDT,{MS}050,{MS}060,false,bid,99,1\n"
    with pytest.raises(TapeError, match=r"line 6: mixed exchanges: binance, and here b'binance-f"):
        read_tape(table(tmp_path, book_rows() + other))
    files = [
        table(tmp_path, book_rows(exchange=name), f"{name}.csv") for name in ("kraken", "okex")
    ]
    with pytest.raises(
        TapeError, match=r"okex\.csv: one tape holds .* the exchanges kraken, okex: read"
    ):
        read_tape(files)


# order


def test_lines_are_sorted_before_it_is_decided_what_fits(tmp_path):
    more = [depth(9 + i, 9 + i, [("99.5", f"{i + 1}")], []) for i in range(6)]
    frames = [*FRAMES, *more, trade(71), trade(72)]
    lines = [b"%d %b" % (NS + i * 1000, frame) for i, frame in enumerate(frames)]
    whole, swapped = tmp_path / "whole", tmp_path / "swapped"
    whole.write_bytes(b"\n".join(lines))
    moved = [*lines[:7], *lines[9:12], *lines[7:9], lines[13], lines[12]]
    swapped.write_bytes(b"\n".join(moved))
    good, back = read_tape(whole), read_tape(swapped, repair="order")
    assert back.events.tolist() == good.events.tolist()
    assert back.levels.tolist() == good.levels.tolist()
    assert back.repairs == ("order: sorted, 2 steps back in time",)
    assert str(back.report()) == str(good.report())
    with pytest.raises(TapeError, match=r"swapped, line 11: not in order of time"):
        read_tape(swapped)
    moved[8] = moved[8].partition(b" ")[0] + b" {oops"
    swapped.write_bytes(b"\n".join(moved))
    assert "swapped, line 9: not a frame" in read_tape(swapped, repair="order").report().problems[0]


def test_what_can_be_read_of_a_recording_cut_short_is_sorted(tmp_path):
    trades = [trade(i, qty=f"0.{i * 7919 % 9973 + 1}") for i in range(1, 400)]
    path = write(tmp_path, trades)
    swapped = write(tmp_path, [*trades[:5], trades[6], trades[5], *trades[7:]], "swapped.gz")
    lines = gzip.decompress(swapped.read_bytes()).splitlines(keepends=True)
    lines[5:7] = reversed(lines[5:7])
    for file, data in ((swapped, b"".join(lines)), (path, gzip.decompress(path.read_bytes()))):
        file.write_bytes(gzip.compress(data)[:-200])
    tape, back = read_tape(path), read_tape(swapped, repair="order")
    assert abs(len(back) - len(tape)) < 30
    assert "swapped.gz, line " in back.report().truncated
    assert (np.diff(back.events["received_ns"]) > 0).all()
    assert back.repairs == ("order: sorted, 1 steps back in time",)


def test_a_step_forward_into_another_unit_is_found():
    from mmquant.tape.order import first_far_step

    times = np.array([NS // 1000, NS // 1000 + 1, NS, NS + 1])
    assert first_far_step(times) == 2
    assert first_far_step(times[2:]) == first_far_step(np.array([1, 100, 10_000])) == -1


def test_the_line_is_that_of_the_file_it_stands_in(tmp_path):
    good = write(tmp_path, FRAMES, "good")
    eth = [frame.replace(b"BTCUSDT", b"ETHUSDT") for frame in (*FRAMES, trade(71, price="1001"))]
    bad = write(tmp_path, eth, "bad", NS + 500)  # beside the other in time
    with pytest.raises(TapeError, match="bad, line 7: the price 1001 of ETHUSDT"):
        read_tape([good, bad])
    tables = [table(tmp_path, book_rows(("bid", price, 1)), f"{price}.csv") for price in (99, 990)]
    with pytest.raises(TapeError, match=r"990\.csv, line 6: the bid 990 of BTCUSDT"):
        read_tape(tables)


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"\xff\xfe", b" ", b'"'])
def test_what_stands_before_the_first_row_is_refused_not_taken_for_names(tmp_path, before):
    path = tmp_path / "BTCUSDT-x.csv"
    rows = f"9,100.1,2,3,4,{MS},true\n10,100.2,2,3,4,{MS},true\n".encode()
    path.write_bytes(rows)
    assert len(read_tape(path)) == 2
    path.write_bytes(before + rows)
    for options in ({}, {"format": "vision"}):
        with pytest.raises(TapeError, match="line 1"):
            read_tape(path, **options)


@pytest.mark.parametrize("value", [1e6, "1ms", float("nan"), 10**19, -1])
def test_a_latency_is_whole_nanoseconds(tmp_path, value):
    path = table(tmp_path, f"9,100.1,2,3,4,{MS},true\n", "BTCUSDT-x.csv")
    with pytest.raises((TypeError, ValueError), match="latency_ns must be"):
        read_tape(path, latency_ns=value)


def test_a_slice_in_another_unit_is_refused_and_an_empty_tape_has_one_format(tmp_path):
    tape = read_tape(table(tmp_path, book_rows()))
    first = int(tape.events["received_ns"][0])
    for per_unit in (10**3, 10**6, 10**9):
        with pytest.raises(ValueError, match="start must be nanoseconds"):
            tape.slice(first // per_unit)
    with pytest.raises(ValueError, match="step must be a length"):
        tape.resample(None)
    empty = tape.slice(0, 1)
    assert len(empty) == 0
    for name in ("empty.npz", "empty"):
        with pytest.raises(ValueError, match="a tape without events"):
            empty.save(tmp_path / name)
