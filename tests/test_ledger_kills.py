"""The simulator under kill -9: what was published is there, once, and the position goes on exactly.

The service itself trades in a process of its own, its streams 16 and 17 going into a pipe as they
are published. It is killed at a random instruction, from its first one on, more than 200 times in
a row on one ledger; after each kill the ledger is held against what the pipes told.
"""

import contextlib
import os
import random
import select
import signal
import sqlite3
import time
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from memory_bus import MemoryBus
from mm_simulator.ledger import Ledger
from simulator_bench import MIDNIGHT_NS, SimulatorBench

from mmquant.codes import OrderStatus, Reason, Side, Stream, Template
from mmquant.wire import Inbox

KILLS = 220
LONGEST_S = 0.02
PATIENCE_S = 30.0  # for a test that hangs
KEY = "usdm:BTCUSDT"
ALIVE = ("NEW", "OPEN")
RESTARTED = (OrderStatus.CANCELLED, Reason.RESTARTED)
FILL = "fill_id, order_id, side, price_ticks, qty_lots, fee_micro_tick_lots, position_lots"
MS, HOUR_NS = 10**6, 3600 * 10**9


class Wire:
    """The way out of the process: a message that is offered to it has been published."""

    def __init__(self, pipe):
        self.pipe = pipe

    def append(self, told):
        _, _, message = told
        os.write(self.pipe, len(message).to_bytes(4, "little") + message)


def trade(folder, number, pipe):
    """Let the service quote and be hit at random, until it is killed."""
    chance, bus, bid = random.Random(number), MemoryBus(), 640_000
    for stream in (Stream.FILLS, Stream.POSITIONS):
        bus.subscriptions[int(stream)].append(SimpleNamespace(queue=Wire(pipe)))
    bench = SimulatorBench(folder, MIDNIGHT_NS + number * HOUR_NS, bus=bus)
    while True:
        bid += chance.randint(-2, 2)
        bench.book(bid)
        bench.beat()
        bench.turn(chance.choice((MS, 400 * MS)))
        sides = [
            [(best - side * k, chance.randint(1, 9)) for k in range(chance.randint(0, 3))]
            for side, best in ((Side.BUY, bid), (Side.SELL, bid + 2))
        ]
        bench.send(Stream.QUOTES, Template.QUOTES, sides, epoch=1)
        bench.turn(MS)
        for _ in range(chance.randint(0, 3)):
            side = chance.choice((Side.BUY, Side.SELL))
            bench.hit(side, bid + (side == Side.SELL) * 2, chance.randint(1, 12))


def frames(data):
    """Return the messages of a pipe."""
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def life(folder, number, chance):
    """Let a service trade for a while, kill it, and return what it published."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # The child calls no code that another thread may have left half done.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            trade(folder, number, writing)
        except BaseException as error:
            Wire(writing).append((0, 0, f"failed: {error!r}".encode()))
        finally:
            os._exit(1)
    os.close(writing)
    # So many messages long it lives, whatever the machine is doing besides, and a moment more.
    wanted, told = chance.choice((0, 1, 1, 3, 10, 30)), b""
    while len(frames(told)) < wanted and select.select([reading], [], [], PATIENCE_S)[0]:
        more = os.read(reading, 65_536)
        told += more
        if not more:
            break  # it has failed, which its last words tell
    time.sleep(chance.uniform(0.0, LONGEST_S))
    os.kill(pid, signal.SIGKILL)
    with os.fdopen(reading, "rb") as pipe:
        messages = frames(told + pipe.read())
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), messages[-1:]
    return messages


class Published:
    """All that the trader was told, over all lives."""

    def __init__(self):
        self.inbox, self.fills, self.restarted, self.lives = Inbox(), {}, set(), 0

    def take(self, messages, fills, orders):
        """Hold what one life told against the ledger that it left."""
        self.lives += bool(messages)
        for message in messages:
            template = self.inbox.receive(message)
            row = self.inbox.block(template)[0].copy()
            if template == Template.FILL:
                fill = tuple(int(row[name]) for name in FILL.split(", "))
                assert fill[0] not in self.fills, "a fill was published twice"
                assert fills[fill[0] - 1] == fill
                self.fills[fill[0]] = fill
            elif template == Template.ORDER_UPDATE:
                order_id = int(row["order_id"])
                assert orders[order_id][0] >= row["filled_lots"]
                if (row["status"], row["reason"]) == RESTARTED:
                    self.restarted.add(order_id)
            else:
                assert template == Template.POSITION
                count = int(row["fills"])
                assert row["last_fill_id"] == count <= len(fills)
                assert row["position_lots"] == sum(
                    side * lots for _, _, side, _, lots, *_ in fills[:count]
                )


def written(path):
    """Return fills and orders, having held the account against the fills."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        fills = database.execute(f"SELECT {FILL} FROM fills ORDER BY fill_id").fetchall()
        orders = database.execute("SELECT order_id, filled_lots, status, reason FROM orders")
        held = database.execute("SELECT position_lots FROM accounts").fetchone() or (0,)
        lots = [side * lots for _, _, side, _, lots, *_ in fills]
        assert [row[0] for row in fills] == list(range(1, len(fills) + 1)), "a hole"
        assert np.array_equal(np.cumsum(lots), [row[-1] for row in fills])
        assert held == (sum(lots),)
        return fills, {row[0]: row[1:] for row in orders}


@pytest.fixture
def folder(tmp_path):
    SimulatorBench(tmp_path / "warm", MIDNIGHT_NS).trade(Side.BUY, 640_000, 1)
    return tmp_path / "killed"  # what is compiled was so before the forks


@pytest.mark.long
def test_more_than_200_kills_lose_nothing_published_and_double_nothing(folder):
    chance, published = random.Random(20261122), Published()
    path, alive, cancelled, before = folder / "ledger.sqlite", set(), 0, []
    for number in range(1, KILLS + 1):
        told = life(folder, number, chance)
        if not path.exists():
            assert not told
            continue
        try:
            fills, orders = written(path)
        except sqlite3.OperationalError:
            assert not told  # killed before the first table was there
            continue
        published.take(told, fills, orders)
        assert fills[: len(before)] == before
        here = {i for i, row in orders.items() if row[1] in ALIVE}
        gone = alive - here
        assert all(orders[i][1:] == ("CANCELLED", "RESTARTED") for i in gone)
        assert gone <= published.restarted, "an open order ended without a word"
        cancelled += len(gone)
        alive, before = here, fills
    assert published.lives > KILLS // 2  # most came as far as trading
    assert cancelled > KILLS // 2
    assert KILLS < len(published.fills) <= len(before)
    ledger = Ledger(path, "NORMAL", 0)
    restored = ledger.restore(KEY)  # held against all fills once more
    ledger.close()
    assert int(restored.account[0]["position_lots"]) == before[-1][-1]
