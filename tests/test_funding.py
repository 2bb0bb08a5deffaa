"""Funding: at the venue's times, once, whatever is killed when; live as in the backtest."""

import contextlib
import json
import os
import random
import select
import signal
import sqlite3
import time
import warnings
from itertools import pairwise

import numpy as np
import pytest
from mm_cli.verify import verify_session
from mm_runtime.settings import SimulatorSettings
from mm_runtime.settings.simulator import FundingSettings
from mm_simulator.ledger import Ledger, LedgerError
from recorded_session import record_session
from simulator_bench import MIDNIGHT_NS, SimulatorBench

from mmquant.codes import Market, Side
from mmquant.ledger import read_ledger

S, HOUR = 10**9, 3600 * 10**9
EIGHT = MIDNIGHT_NS + 8 * HOUR
BID = 640_000
FUNDED = FundingSettings(rate_ppm=100.0)
PAID = -10 * 640_001  # ten lots at the mid, a tick-lot 1e-4: 100 ppm is 100 micro tick-lots each
KILLS = 12


def funding_of(folder):
    frame = read_ledger(folder / "ledger.sqlite").funding
    return list(zip(frame["time_ns"], frame["funding_micro_tick_lots"], strict=True))


def opened(folder, now_ns, market=Market.USDM, **config):
    return SimulatorBench(folder, now_ns, market, **({"funding": FUNDED} | config))


def held(folder, now_ns, **config):
    """Return a service that holds ten lots, the mid at BID + 1."""
    bench = opened(folder, now_ns, **config)
    bench.trade(Side.BUY, BID, 10)
    bench.book(BID)
    bench.turn(1_000_000)
    return bench


def test_who_is_long_pays_at_eight_by_the_markets_clock(tmp_path):
    bench = held(tmp_path, EIGHT - 10 * S)
    assert funding_of(tmp_path) == []
    bench.clock.time_ns = EIGHT - 2_000
    bench.turn()
    assert funding_of(tmp_path) == []
    bench.clock.time_ns = EIGHT + 100
    bench.trade(Side.SELL, BID + 30, 4)  # it held ten as the clock struck
    assert funding_of(tmp_path) == [(EIGHT, 100 * PAID)]
    assert bench.account["funding_micro_tick_lots"] == 100 * PAID
    assert bench.positions[-1]["funding_micro_tick_lots"] == 100 * PAID
    assert bench.service.counters["fundings"] == 1
    row = read_ledger(tmp_path / "ledger.sqlite").funding.iloc[0]
    assert (row["position"], row["price"]) == (pytest.approx(0.01), pytest.approx(64_000.1))
    assert row["received"] == pytest.approx(-0.01 * 64_000.1 * 1e-4)
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
        view = "SELECT time, rate, price, position, received FROM v_funding"
        assert database.execute(view).fetchall() == [
            (
                "2023-11-15 08:00:00.000000000",
                pytest.approx(1e-4),
                pytest.approx(64_000.1),
                "0.01",
                pytest.approx(row["received"]),
            )
        ]


def test_where_the_market_is_silent_it_is_booked_a_second_later(tmp_path):
    bench = held(tmp_path, EIGHT - 10 * S)
    bench.clock.time_ns = EIGHT + S // 2
    bench.turn()
    assert funding_of(tmp_path) == []
    bench.turn(S)
    assert funding_of(tmp_path) == [(EIGHT, 100 * PAID)]
    for _ in range(3):
        bench.turn(HOUR)
    assert len(funding_of(tmp_path)) == 1


def test_a_stop_over_funding_times_owes_each_once(tmp_path):
    held(tmp_path, EIGHT - 10 * S)  # and is killed: no word of goodbye
    for _ in range(3):
        again = opened(tmp_path, EIGHT + 9 * HOUR)
        again.turn()
        again.book(BID)  # the market's clock tells what is due
        again.turn()
        expected = [(EIGHT, 100 * PAID), (EIGHT + 8 * HOUR, 100 * PAID)]
        assert funding_of(tmp_path) == expected
        assert again.account["funding_micro_tick_lots"] == 200 * PAID
        assert again.account["position_lots"] == 10


def test_after_a_long_stop_the_payments_come_turn_by_turn(tmp_path):
    held(tmp_path, EIGHT - 10 * S)
    again = opened(tmp_path, EIGHT + 300 * HOUR + 5 * S, funding=FundingSettings(100.0, 1))
    again.book(BID)
    again.turn()  # the message and the turn itself
    assert len(funding_of(tmp_path)) == 2 * 64
    while len(funding_of(tmp_path)) < 301:
        before = len(funding_of(tmp_path))
        again.turn()
        assert 0 < len(funding_of(tmp_path)) - before <= 64
    again.turn()
    times = [ns for ns, _ in funding_of(tmp_path)]
    assert times == [EIGHT + k * HOUR for k in range(301)]


def test_a_replay_of_the_past_pays_by_its_own_clock(tmp_path):
    bench = held(tmp_path, EIGHT - 10 * S)
    long_after_ns = EIGHT + 1_000 * HOUR
    bench.close()
    again = opened(tmp_path, long_after_ns)
    for market_ns in (EIGHT - 5 * S, EIGHT - S):
        again.clock.time_ns = market_ns
        again.book(BID)
        again.clock.time_ns = long_after_ns
        again.turn(2 * S)
        assert funding_of(tmp_path) == []
    again.clock.time_ns = EIGHT + S
    again.book(BID)
    again.clock.time_ns = long_after_ns
    again.turn(20 * S)
    assert funding_of(tmp_path) == [(EIGHT, 100 * PAID)]


def test_a_rate_that_is_set_later_is_owed_from_then_on(tmp_path):
    bench = held(tmp_path, EIGHT - 10 * S, funding=FundingSettings())
    bench.clock.time_ns = EIGHT + HOUR
    bench.book(BID)
    bench.turn(2 * S)
    assert funding_of(tmp_path) == []
    again = opened(tmp_path, EIGHT + 2 * HOUR)
    again.book(BID)
    again.turn(2 * S)
    assert funding_of(tmp_path) == []
    again.turn(7 * HOUR)
    assert funding_of(tmp_path) == [(EIGHT + 8 * HOUR, 100 * PAID)]


def test_spot_pays_no_funding(tmp_path):
    bench = opened(tmp_path, EIGHT - 10 * S, Market.SPOT)
    bench.trade(Side.BUY, BID, 10)
    bench.turn(10 * HOUR)
    assert funding_of(tmp_path) == []


def test_the_bracket_pays_too(tmp_path):
    bench = held(tmp_path, EIGHT - 10 * S)
    bench.turn(20 * S)
    for one in bench.desk.bracket:
        lots = int(one.account[0]["position_lots"])
        assert one.account[0]["funding_micro_tick_lots"] == 10 * lots * PAID
    assert any(one.account[0]["position_lots"] for one in bench.desk.bracket)


def test_payments_that_do_not_add_up_are_refused(tmp_path):
    held(tmp_path, EIGHT - 10 * S).turn(20 * S)
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database, database:
        database.execute("DELETE FROM funding")
    ledger = Ledger(tmp_path / "ledger.sqlite", "NORMAL", 0)
    with pytest.raises(LedgerError, match="of funding, its payments add up to 0"):
        ledger.restore("usdm:BTCUSDT")
    ledger.close()


def test_a_session_across_funding_computes_to_the_same_bytes(tmp_path):
    config = SimulatorSettings(entry_latency_ms=1.0, funding=FUNDED)
    session = record_session(tmp_path, 120, simulator=config, start_ns=EIGHT - 2 * S)
    ((paid_ns, amount),) = funding_of(tmp_path / "var")
    assert paid_ns == EIGHT
    assert amount != 0
    result = verify_session(session, lambda turns, service: None)
    assert result.is_equal


# killed with -9


def life(folder, now_ns, chance):
    """Let the service work through hours of seconds, kill it, and return what it published."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child shares nothing
        pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            trade(folder, now_ns, writing)
        except BaseException as error:
            os.write(writing, json.dumps({"failed": repr(error)}).encode() + b"\n")
        finally:
            os._exit(1)
    os.close(writing)
    wanted, told = chance.choice((0, 1, 2, 5, 12)), b""
    while told.count(b"\n") < wanted and select.select([reading], [], [], 30.0)[0]:
        more = os.read(reading, 65_536)
        told += more
        if not more:
            break
    time.sleep(chance.uniform(0.0, 0.02))
    os.kill(pid, signal.SIGKILL)
    with os.fdopen(reading, "rb") as pipe:
        told = (told + pipe.read()).decode().splitlines()
    _, status = os.waitpid(pid, 0)
    messages = [json.loads(line) for line in told]
    assert os.WIFSIGNALED(status), messages[-1:]
    return messages


def trade(folder, now_ns, pipe):
    def tell(position):
        names = ("now_ns", "position_lots", "funding_micro_tick_lots")
        os.write(pipe, json.dumps([int(position[name]) for name in names]).encode() + b"\n")

    bench = SimulatorBench(folder, now_ns, heard=tell, funding=FundingSettings(100.0, 1))
    step = 0
    while True:
        step += 1
        bench.trade(Side.BUY if step % 3 else Side.SELL, BID + step % 7, 1 + step % 5)
        bench.turn(17 * 60 * S)


def test_killed_at_any_instant_each_hour_is_paid_once(tmp_path):
    SimulatorBench(tmp_path / "warm", EIGHT).trade(Side.BUY, BID, 1)  # compiled before the forks
    chance, now_ns, told = random.Random(5), EIGHT - HOUR, []
    path = tmp_path / "ledger.sqlite"
    for lives in range(1, 5 * KILLS):
        told += life(tmp_path, now_ns, chance)
        if not path.exists():
            continue
        if lives >= KILLS and len(funding_of(tmp_path)) > KILLS:
            break  # how far a life comes is the machine's affair
        with contextlib.closing(sqlite3.connect(path)) as database:
            (known,) = database.execute("SELECT MAX(updated_ns) FROM accounts").fetchone()
        now_ns = (known or now_ns) + chance.randint(1, 3 * HOUR)
    ledger = Ledger(path, "NORMAL", 0)
    account = ledger.restore("usdm:BTCUSDT").account[0]  # held against fills and payments
    ledger.close()
    rows = funding_of(tmp_path)
    assert len(rows) > KILLS
    assert all(b[0] - a[0] == HOUR for a, b in pairwise(rows))
    sums = np.cumsum([amount for _, amount in rows])
    assert int(account["funding_micro_tick_lots"]) == sums[-1]
    for when_ns, _, funding in told:  # nothing was told that is not written
        so_far = sum(amount for ns, amount in rows if ns <= when_ns)
        assert funding == so_far
