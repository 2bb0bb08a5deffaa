"""Requests to the venue: their budget, replies that break or drip, and what is learnt from them."""

import random
import socket
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mm_collector import rest as rest_module
from mm_collector.budget import Budget, retry_after_ns
from mm_collector.instruments import Instruments
from mm_collector.live import Purpose
from mm_collector.rest import Reply, Rest
from mm_collector.snapshots import Snapshots
from mm_collector.venue import RULES
from mm_runtime.settings import CollectorSettings
from small_venue import FILTERS

from mmquant.codes import Market

S = 1_000_000_000
MINUTE = 60 * S
NOW = 1_700_000_000 * S


@given(st.lists(st.tuples(st.integers(0, 40 * S), st.integers(1, 30)), max_size=120))
def test_no_period_wherever_it_begins_has_more_than_the_limit(steps):
    budget, now, taken = Budget(100, MINUTE), NOW, []
    for pause, tokens in steps:
        now += pause
        ready = budget.ready_ns(tokens, now)
        spent = sum(n for at, n in taken if now - at < MINUTE)
        assert budget.take(tokens, now) == (spent + tokens <= 100) == (ready <= now)
        if ready <= now:
            taken.append((now, tokens))
        else:
            assert not budget.take(tokens, ready - 1)
            now = ready
            assert budget.take(tokens, now)
            taken.append((now, tokens))
    for began, _ in taken:
        assert sum(n for at, n in taken if began <= at < began + MINUTE) <= 100


def test_what_the_venue_counts_holds_until_its_minute_turns():
    budget = Budget(100, MINUTE)
    budget.observe_used(90, NOW, NOW + 20 * S)
    assert budget.take(10, NOW)
    assert not budget.take(1, NOW + 20 * S - 1)
    budget.observe_used(90, NOW, NOW + 60 * S)  # from an answer that tells no time
    assert budget.ready_ns(1, NOW) == NOW + 20 * S
    budget.observe_used(50, NOW + S, NOW + 20 * S)  # an answer that was overtaken
    assert not budget.take(1, NOW + S)
    assert budget.take(90, NOW + 20 * S)  # 10 of the last minute are ours
    budget.observe_used(95, NOW + 21 * S, NOW + 80 * S)
    assert not budget.take(6, NOW + 79 * S)
    assert budget.take(6, NOW + 80 * S)


def test_a_clock_that_is_set_back_does_not_lock_the_budget():
    budget = Budget(10, MINUTE)
    assert budget.take(10, NOW)
    assert not budget.take(10, NOW + 1)
    assert budget.take(10, NOW - 3_600 * S)


def test_retry_after_is_taken_as_it_is_and_guessed_where_it_is_none():
    assert retry_after_ns(429, "7") == 7 * S
    assert retry_after_ns(503, "7") == 7 * S
    assert retry_after_ns(418, None) == 120 * S
    assert retry_after_ns(418, "soon") == 120 * S
    assert retry_after_ns(500, None) == 0


@contextmanager
def answering(*parts, pause_s=0.0):
    """Serve one connection: take a request, send the parts with pauses between, and end."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def work():
            client, _ = server.accept()
            with client:
                client.recv(65_536)
                try:
                    for part in parts:
                        client.sendall(part)
                        time.sleep(pause_s)
                except OSError:
                    return

        thread = threading.Thread(target=work)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def fetched(url):
    asked = Rest(url, Budget(10, MINUTE)).get("/x?y=1", 1, NOW)
    return asked.result(timeout=10)


def test_a_refusal_whose_body_breaks_off_keeps_its_status_and_headers():
    head = b"HTTP/1.1 429 Too Many\r\nRetry-After: 9\r\nX-MBX-USED-WEIGHT-1M: 77\r\n"
    with answering(head + b"Content-Length: 500\r\n\r\n{") as url:
        reply = fetched(url)
    assert (reply.status, reply.retry_after_ns, reply.used_weight) == (429, 9 * S, 77)
    assert "HTTP 429" in reply.text


def test_an_answer_that_breaks_off_is_none():
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{") as url:
        reply = fetched(url)
    assert (reply.status, reply.body) == (0, b"")
    assert reply.text


def test_an_answer_of_garbage_is_none():
    with answering(b"\x00\xff" * 50 + b"\r\n\r\n") as url:
        assert fetched(url).status == 0


@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"]
)
def test_an_answer_that_drips_is_cut_off(monkeypatch, head):
    monkeypatch.setattr(rest_module, "_DEADLINE_S", 0.3)
    began = time.monotonic()
    with answering(head, *[b"x"] * 200, pause_s=0.02) as url:
        reply = fetched(url)
        assert time.monotonic() - began < 2
    assert reply.status == 0
    assert "no whole answer within 0.3 s" in reply.text


def test_a_redirection_is_said_and_not_followed():
    with answering(b"HTTP/1.1 301 Moved\r\nLocation: https://elsewhere\r\n\r\n") as url:
        reply = fetched(url)
    assert reply.text.endswith("/x?y=1: HTTP 301 https://elsewhere")


def test_the_system_s_proxies_are_not_used(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as url:
        assert fetched(url).status == 200


def test_the_venue_s_time_says_how_long_its_minute_goes_on():
    head = b"HTTP/1.1 200 OK\r\nX-MBX-USED-WEIGHT-1M: 10\r\nContent-Length: 2\r\n%b\r\n{}"
    with answering(head % b"Date: Tue, 14 Nov 2023 22:13:48 GMT\r\n") as url:
        rest = Rest(url, Budget(10, MINUTE))
        reply = rest.get("/", 0, NOW).result(timeout=10)
    rest.learn(reply, NOW)
    assert rest.budget.ready_ns(1, NOW) == NOW + 12 * S
    with answering(head % b"") as url:
        assert fetched(url).minute_left_s == 60


class ByHand(Rest):
    """Requests that the test answers."""

    def __init__(self):
        self.asked = []

        def keep(_call, _name):
            self.asked.append(Future())
            return self.asked[-1]

        super().__init__("http://127.0.0.1:9", Budget(1_000, MINUTE), keep)
        self.paths = []

    def get(self, path, weight, now_ns):
        self.paths.append(path)
        return super().get(path, weight, now_ns)


BANNED = Reply(418, b"", "HTTP 418", 120 * S)


def a_feed(wants_snapshot, purpose=None):
    sync = SimpleNamespace(
        wants_snapshot=lambda _now: wants_snapshot,
        on_snapshot_requested=lambda: None,
        last_update_id=1,
    )
    return SimpleNamespace(
        filters=SimpleNamespace(instrument=SimpleNamespace(symbol="BTCUSDT")),
        sync=sync,
        wanted_beside_live=lambda _now: purpose,
        live=SimpleNamespace(begin=lambda *_: None),
    )


def test_a_ban_is_learnt_from_a_request_whose_answer_nobody_awaits_any_more():
    rest = ByHand()
    snapshots, feed = Snapshots(rest, RULES[Market.USDM], 1000), a_feed(wants_snapshot=True)
    snapshots.ask([feed], NOW)
    snapshots.forget(feed)
    rest.asked[0].set_result(BANNED)
    assert snapshots.answers(NOW) == []
    assert rest.budget.is_blocked(NOW + 119 * S)


def test_a_ban_is_learnt_from_an_audit_that_a_recovery_has_overtaken():
    rest = ByHand()
    snapshots = Snapshots(rest, RULES[Market.USDM], 1000)
    snapshots.ask([a_feed(wants_snapshot=False, purpose=Purpose.AUDIT)], NOW)
    snapshots.ask([a_feed(wants_snapshot=True)], NOW)
    assert len(rest.asked) == 2
    rest.asked[0].set_result(BANNED)
    assert snapshots.answers(NOW) == []
    assert rest.budget.is_blocked(NOW)
    rest.asked[1].set_result(BANNED)
    assert len(snapshots.answers(NOW)) == 1


@pytest.mark.parametrize(("market", "requests"), [(Market.USDM, 1), (Market.SPOT, 2)])
def test_the_rules_of_all_symbols_come_with_one_answer_where_it_lists_all(market, requests):
    symbols = ("COINAUSDT", "COINBUSDT")
    body = orjson.dumps({"symbols": [{"symbol": name, "filters": FILTERS} for name in symbols]})
    config = CollectorSettings(market=market.name.lower(), symbols=symbols)
    rest, known = ByHand(), []
    wanted = Instruments(config, RULES[market], rest, random.Random(1))
    wanted.poll(NOW)
    for asked in rest.asked:
        asked.set_result(Reply(200, body, "", 0))
    known = wanted.poll(NOW)
    assert [filters.instrument.symbol for filters in known] == list(symbols)
    assert wanted.are_complete
    assert len(rest.paths) == requests
    assert all(("symbol=" in path) == (market is Market.SPOT) for path in rest.paths)
