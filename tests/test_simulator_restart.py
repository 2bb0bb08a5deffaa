"""After a kill: what was left open is ended for everybody before anything new is accepted."""

import contextlib
import sqlite3
import time

import numpy as np
import pytest
from mm_runtime.clock import SystemClock
from mm_runtime.service import Peer
from mm_runtime.settings import RuntimeSettings, SimulatorSettings
from mm_simulator.ledger import Ledger
from mm_simulator.service import Simulator

from mmquant.codes import Market, OrderStatus, Reason, Role, ServiceState, Template
from mmquant.records import LEVEL
from mmquant.state import ACCOUNT, EVENT
from mmquant.wire import Inbox, MessageBuffer

pytestmark = pytest.mark.kernels

KEY = "usdm:BTCUSDT"


class Heard:
    """The stream of fills and orders, and what the ledger said at each of its messages."""

    def __init__(self, path):
        self.path, self.inbox, self.said, self.seq = path, Inbox(), [], 0

    def next_seq(self):
        self.seq += 1
        return self.seq

    def offer(self, message):
        self.inbox.receive(message.payload())
        order = self.inbox.block(Template.ORDER_UPDATE)[0]
        names = ("seq", "order_id", "status", "reason")
        self.said.append((*(int(order[name]) for name in names), self.alive()))

    def alive(self):
        with contextlib.closing(sqlite3.connect(self.path)) as database:
            statement = "SELECT COUNT(*) FROM orders WHERE status IN ('NEW', 'OPEN')"
            return database.execute(statement).fetchone()[0]


@pytest.fixture
def path(tmp_path):
    """Return a ledger as a killed run leaves it: an open order and one on its way."""
    path = tmp_path / "ledger.sqlite"
    ledger, events = Ledger(path, "NORMAL", 0), np.zeros(2, EVENT)
    events["template_id"], events["side"] = Template.ORDER_UPDATE, 1
    events["price_ticks"], events["qty_lots"] = 100, 5
    events["order_id"] = [8, 9]
    events["status"] = [OrderStatus.OPEN, OrderStatus.NEW]
    ledger.write(KEY, events, np.zeros(1, ACCOUNT), 1)
    ledger.close()
    return path


def quotes():
    message = MessageBuffer(Template.QUOTES, (16, 16))
    message.block[0]["instrument_id"], message.block[0]["now_ns"] = 7, 10**15
    message.set_group(0, np.array([(100, 5)], LEVEL))
    message.set_group(1, np.array([(104, 5)], LEVEL))
    return message.payload()


def instrument():
    message = MessageBuffer(Template.INSTRUMENT)
    block = message.block[0]
    block["instrument_id"], block["symbol"], block["market"] = 7, b"BTCUSDT", Market.USDM
    block["tick_size_e8"] = block["lot_size_e8"] = 10**6
    return message.payload()


def test_what_a_killed_run_left_open_is_ended_before_new_quotes_are_accepted(path, monkeypatch):
    service = Simulator(RuntimeSettings(), SimulatorSettings(), SystemClock())
    heard = Heard(path)
    monkeypatch.setattr(service, "_ledger", Ledger(path, "NORMAL", 2), raising=False)
    monkeypatch.setattr(service, "_fills", heard, raising=False)
    monkeypatch.setattr(service, "_positions", heard, raising=False)
    monkeypatch.setattr(service, "request", lambda *_: None)
    service.peers[Role.MM_STRATEGY] = Peer(time.time_ns(), ServiceState.READY, Reason.NONE)
    service.inbox.receive(quotes())
    service._on_quotes()
    assert service.counters["early_quotes"] == 1
    assert heard.said == [], "quotes were accepted before the old orders were ended"
    service.inbox.receive(instrument())
    service._on_instrument()
    ended = (int(OrderStatus.CANCELLED), int(Reason.RESTARTED))
    # Published while the ledger still has them open, so that a kill between says it again.
    assert heard.said == [(1, 8, *ended, 2), (2, 9, *ended, 2)]
    assert heard.alive() == 0
    service.inbox.receive(quotes())
    service._on_quotes()
    pending = service._desks[7].pending
    assert [int(event["order_id"]) for event in pending] == [10, 11]
    assert all(event["status"] == OrderStatus.NEW for event in pending)
    service._ledger.close()
