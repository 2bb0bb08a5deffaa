"""The ledger under kill -9: what was published is there, once, and the position goes on exactly.

A process trades through the real ledger as mm_simulator does: it writes what happened, then
publishes it, here into a pipe. It is killed at a random instruction, from its first one on, more
than 200 times in a row on one file; after each kill the file is held against what the pipes told.
"""

import contextlib
import json
import os
import random
import select
import signal
import sqlite3
import time
import warnings

import numpy as np
import pytest
from mm_simulator.ledger import Ledger

from mmquant.account_settings import account_of
from mmquant.codes import FillKind, Liquidity, Market, OrderStatus, Template
from mmquant.configure import Config
from mmquant.kernels.accounting import account_fill
from mmquant.records import INSTRUMENT
from mmquant.state import ACCOUNT, EVENT

KILLS = 220
LONGEST_S = 0.02
PATIENCE_S = 30.0  # for a test that hangs
KEY = "usdm:BTCUSDT"
ALIVE = ("NEW", "OPEN")


class Desk:
    """The part of mm_simulator that trades: at random, through the real ledger."""

    def __init__(self, path, pipe, seed):
        self.random = random.Random(seed)
        self.pipe = pipe
        self.now_ns = 1_000_000_000 * seed
        self.ledger = Ledger(path, "NORMAL", self.now_ns)
        instrument = np.zeros(1, INSTRUMENT)
        instrument[0]["market"] = Market.USDM
        instrument[0]["tick_size_e8"] = instrument[0]["lot_size_e8"] = 10**5
        kind, _ = account_of(Config().simulator, instrument)
        self.ledger.keep_instrument(KEY, instrument, kind, self.now_ns)
        self.account, self.next_id, self.orders = np.zeros(1, ACCOUNT), 1, {}
        restored = self.ledger.restore(KEY)
        cancelled = []
        if restored is not None:
            self.account, self.next_id = restored.account, restored.next_order_id
            cancelled = [order[0] for order in restored.open_orders]
            self.ledger.cancel_open_orders(KEY, self.now_ns)
        s = self.account[0]
        self.publish(
            {"resumed": [int(s["position_lots"]), int(s["fills"])], "cancelled": cancelled}
        )

    def publish(self, message):
        os.write(self.pipe, json.dumps(message).encode() + b"\n")

    def order_event(self, order_id, status):
        price, filled = self.orders[order_id]
        event = np.zeros(1, EVENT)[0]
        event["template_id"], event["now_ns"] = Template.ORDER_UPDATE, self.now_ns
        event["order_id"], event["side"], event["qty_lots"] = order_id, 1, 1_000
        event["price_ticks"], event["filled_lots"], event["status"] = price, filled, status
        return event

    def fill_event(self, order_id):
        side, qty = self.random.choice((1, -1)), self.random.randint(1, 9)
        price, filled = self.orders[order_id]
        self.orders[order_id] = (price, filled + qty)
        fee = account_fill(self.account, side, price, qty, 200, 2 * price, self.now_ns, 10**9)
        s = self.account[0]
        event = np.zeros(1, EVENT)[0]
        event["template_id"], event["now_ns"] = Template.FILL, self.now_ns
        event["fill_id"], event["order_id"], event["side"] = s["last_fill_id"], order_id, side
        event["price_ticks"], event["qty_lots"] = price, qty
        event["fee_micro_tick_lots"], event["mark_half_ticks"] = fee, 2 * price
        event["position_lots"] = s["position_lots"]
        event["kind"], event["liquidity"] = FillKind.CROSS, Liquidity.MAKER
        return event

    def turn(self):
        """Let something happen, write it down, then tell of it."""
        self.now_ns += self.random.randint(0, 10**8)
        events = []
        for _ in range(self.random.randint(1, 3)):
            if self.orders and self.random.random() < 0.6:
                order_id = self.random.choice(list(self.orders))
                events.append(self.fill_event(order_id))
                events.append(self.order_event(order_id, OrderStatus.OPEN))
                if self.random.random() < 0.3:
                    events.append(self.order_event(order_id, OrderStatus.CANCELLED))
                    del self.orders[order_id]
            else:
                self.orders[self.next_id] = (self.random.randint(99_000, 101_000), 0)
                events.append(self.order_event(self.next_id, OrderStatus.OPEN))
                self.next_id += 1
        self.ledger.write(KEY, events, self.account, self.now_ns)
        for event in events:
            if event["template_id"] == Template.FILL:
                names = ("fill_id", "order_id", "side", "price_ticks", "qty_lots", "position_lots")
                self.publish({"fill": [int(event[name]) for name in names]})
            else:
                self.publish({"order": int(event["order_id"]), "filled": int(event["filled_lots"])})


def life(path, seed, chance):
    """Let a process trade for a while, kill it, and return what it published."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # The child calls no code that another thread may have left half done.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            desk = Desk(path, writing, seed)
            while True:
                desk.turn()
        except BaseException as error:
            os.write(writing, json.dumps({"failed": repr(error)}).encode() + b"\n")
        finally:
            os._exit(1)
    os.close(writing)
    # So many messages long it lives, whatever the machine is doing besides, and a moment more.
    wanted, told = chance.choice((0, 1, 1, 3, 10, 30)), b""
    while told.count(b"\n") < wanted and select.select([reading], [], [], PATIENCE_S)[0]:
        more = os.read(reading, 65_536)
        told += more
        if not more:
            break  # it has failed, which its last words tell
    time.sleep(chance.uniform(0.0, LONGEST_S))
    os.kill(pid, signal.SIGKILL)
    with os.fdopen(reading, "rb") as pipe:
        told = (told + pipe.read()).decode().splitlines()
    _, status = os.waitpid(pid, 0)
    messages = [json.loads(line) for line in told]
    assert os.WIFSIGNALED(status), messages[-1:]
    return messages


def written(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        names = "fill_id, order_id, side, price_ticks, qty_lots, position_lots"
        fills = database.execute(f"SELECT {names} FROM fills ORDER BY fill_id").fetchall()
        orders = database.execute("SELECT order_id, filled_lots, status, reason FROM orders")
        return fills, {row[0]: row[1:] for row in orders}


@pytest.fixture
def path(tmp_path):
    account_fill(np.zeros(1, ACCOUNT), 1, 1, 1, 0, 2, 0, 1)  # compiled before the forks
    return tmp_path / "ledger.sqlite"


@pytest.mark.long
def test_more_than_200_kills_lose_nothing_published_and_double_nothing(path):
    chance = random.Random(20261122)
    published, alive, resumed, cancelled, before = {}, set(), 0, 0, []
    for seed in range(1, KILLS + 1):
        told = life(path, seed, chance)
        if not path.exists():
            assert not told
            continue
        try:
            fills, orders = written(path)
        except sqlite3.OperationalError:
            assert not told  # killed before the first table was there
            continue
        for message in told:
            if "resumed" in message:
                resumed += 1
                position = sum(row[2] * row[4] for row in before)
                assert message["resumed"] == [position, len(before)]
                assert set(message["cancelled"]) == alive
                cancelled += len(alive)
            elif "fill" in message:
                fill_id = message["fill"][0]
                assert fill_id not in published, "a fill was published twice"
                published[fill_id] = tuple(message["fill"])
            else:
                assert orders[message["order"]][0] >= message["filled"]
        # Ids without a hole, each position the sum so far, and all that was told as it was told.
        assert [row[0] for row in fills] == list(range(1, len(fills) + 1))
        assert np.array_equal(np.cumsum([r[2] * r[4] for r in fills]), [r[5] for r in fills])
        assert fills[: len(before)] == before
        ids = {row[0]: row for row in fills}
        assert all(ids.get(fill_id) == row for fill_id, row in published.items())
        here = {i for i, row in orders.items() if row[1] in ALIVE}
        gone = {i for i in alive - here if orders[i][1:] != ("CANCELLED", "RESTARTED")}
        assert not gone, "an open order ended without a word"
        alive, before = here, fills
    assert resumed > KILLS // 2  # most lives came as far as trading
    assert cancelled > KILLS // 2
    assert len(published) > KILLS
    assert len(published) <= len(before)
    ledger = Ledger(path, "NORMAL", 0)
    restored = ledger.restore(KEY)
    ledger.close()
    assert int(restored.account[0]["position_lots"]) == before[-1][5]
    assert int(restored.account[0]["fills"]) == len(before)
