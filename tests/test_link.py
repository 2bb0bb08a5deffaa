"""The WebSocket shell against a real server: frames, pings, ends and reconnects."""

import contextlib
import dataclasses
import http
import json
import random
import socket
import threading
import time

import pytest
from mm_collector.budget import Budget
from mm_collector.link import Link, LinkEvent, LinkLimits
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

MS = 1_000_000
PATIENCE_S = 60.0  # for a test that hangs, not a measurement
LIMITS = LinkLimits(
    idle_timeout_ns=60_000 * MS,
    connect_timeout_s=2.0,
    backoff_ns=20 * MS,
    max_backoff_ns=80 * MS,
    max_age_ns=3_600_000 * MS,
    first_frame_timeout_ns=300 * MS,
    max_backlog_bytes=1 << 20,
    waits=False,
)


@pytest.fixture
def server():
    """Return a function that serves a handler and gives its address."""
    running = []

    def start(handler, **options):
        instance = serve(handler, "127.0.0.1", 0, compression=None, ping_interval=None, **options)
        thread = threading.Thread(target=instance.serve_forever)
        thread.start()
        running.append((instance, thread))
        port = instance.socket.getsockname()[1]
        return f"ws://127.0.0.1:{port}/stream"

    yield start
    while MADE:
        MADE.pop().close()
    for instance, thread in running:
        instance.shutdown()
        thread.join()


MADE = []  # links still to be closed: an open one would keep its server from ending


class Taken(Link):
    """A link that takes its frames and events as its owner does, unless it is slow."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.frames, self.history, self.is_slow = [], [], False

    def poll(self, now_ns):
        super().poll(now_ns)
        while self.has_frames or self.events:
            if self.has_frames:
                if self.is_slow:
                    break
                self.frames.append(self.take()[0])
            else:
                self.history.append(self.events.popleft())


def poll_until(link, done, timeout_s=PATIENCE_S):
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, f"nothing happened; failure={link.failure!r}"
        link.poll(time.time_ns())
        time.sleep(0.001)


def make(url, limits=LIMITS, names=(), attempts=100):
    bucket = Budget(attempts, 3_600_000_000_000)
    link = Taken(url, names, limits, bucket, random.Random(1))
    MADE.append(link)
    return link


def test_frames_arrive_whole_and_in_order_with_the_path_asked_for(server):
    paths = []

    def handler(connection):
        paths.append(connection.request.path)
        connection.send("one")
        connection.send(iter(["tw", "o"]))  # in two fragments
        connection.send("x" * 200_000)
        connection.recv()

    link = make(server(handler))
    poll_until(link, lambda: len(link.frames) == 3)
    assert [len(frame) for frame in link.frames] == [3, 3, 200_000]
    assert link.frames[:2] == [b"one", b"two"]
    assert paths == ["/stream"]
    assert link.is_open
    assert link.history == [LinkEvent.OPENED]
    link.close()


@pytest.mark.parametrize("size", [5, 400_000])
def test_pings_are_answered_while_frames_are_left_waiting(server, size):
    answered = threading.Event()

    def handler(connection):
        connection.send("x" * size)
        if connection.ping("payload").wait(5):
            answered.set()
        connection.recv()

    link = make(server(handler))
    link.is_slow = True
    poll_until(link, answered.is_set)
    assert link.frames == []
    link.is_slow = False
    poll_until(link, lambda: link.frames)
    assert len(link.frames[0]) == size
    link.close()


@pytest.mark.parametrize("waits", [False, True])
def test_a_backlog_beyond_its_bound_ends_the_connection_or_holds_the_venue_back(server, waits):
    sent = []

    def handler(connection):
        try:
            for _ in range(400):
                connection.send("x" * 100_000)
                sent.append(1)
            connection.recv()
        except Exception:
            return

    limits = dataclasses.replace(LIMITS, waits=waits)
    link = make(server(handler), limits)
    link.is_slow = True
    if waits:
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            link.poll(time.time_ns())
            time.sleep(0.001)
        assert len(sent) < 400
        link.is_slow = False
        poll_until(link, lambda: len(link.frames) == 400)
        assert link.connects == 1
    else:
        poll_until(link, lambda: "faster than they are handled" in link.failure)
    link.close()


def test_a_closed_connection_is_reported_and_made_anew(server):
    count = []

    def handler(connection):
        count.append(1)
        if len(count) == 1:
            connection.close(1008, "Too many requests")
        else:
            connection.send("again")
            connection.recv()

    link = make(server(handler))
    failures = set()

    def done():
        failures.add(link.failure)
        return bool(link.frames)

    poll_until(link, done)
    opened, lost = LinkEvent.OPENED, LinkEvent.LOST
    assert link.history == [opened, lost, opened]
    assert link.connects == 2
    assert any("1008" in text and "Too many requests" in text for text in failures)
    assert link.failure == ""
    link.close()


def test_a_reset_is_reported_and_made_anew(server):
    count = []

    def handler(connection):
        count.append(1)
        if len(count) == 1:
            connection.socket.shutdown(socket.SHUT_RDWR)
        else:
            connection.send("again")
            connection.recv()

    link = make(server(handler))
    poll_until(link, lambda: bool(link.frames))
    assert link.connects == 2
    link.close()


def test_nobody_listening_is_said_and_tried_again_with_backoff():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    link = make(f"ws://127.0.0.1:{port}/ws")
    poll_until(link, lambda: bool(link.failure))
    assert f"cannot connect to ws://127.0.0.1:{port}/ws" in link.failure
    assert not link.is_open
    link.close()


@pytest.mark.parametrize("url", ["ws://a..b/x", "ws://:1/x", "ws://h:99999/x"])
def test_what_is_no_address_is_said(url):
    link = make(url)
    poll_until(link, lambda: link.failure)
    assert "no address" in link.failure


def hold(connection):
    """Keep a connection, and do nothing with it but answer its pings."""
    with contextlib.suppress(ConnectionClosed):
        for _ in connection:
            pass


def test_a_connection_without_a_sign_of_life_is_given_up(server):
    def handler(connection):
        connection.send("hello")
        connection.protocol.send_frame = lambda _frame: None  # no pong
        hold(connection)

    link = make(server(handler), dataclasses.replace(LIMITS, idle_timeout_ns=1_200 * MS))
    poll_until(link, lambda: link.failure.startswith("silent for"))
    assert not link.is_open
    link.close()


def test_a_connection_where_there_is_nothing_to_say_is_kept(server):
    pongs = []

    def handler(connection):
        send = connection.protocol.send_frame
        connection.protocol.send_frame = lambda frame: pongs.append(frame) or send(frame)
        hold(connection)

    link = make(server(handler), dataclasses.replace(LIMITS, idle_timeout_ns=1_200 * MS))
    until = time.monotonic() + 3
    poll_until(link, lambda: time.monotonic() > until)
    assert (link.connects, link.history) == (1, [LinkEvent.OPENED])
    assert 3 <= len(pongs) <= 5, "one each half of the time"
    link.close()


def refusing(status, headers, refused):
    """Return what answers a handshake with this status, and notes when."""

    def answer(connection, _request):
        refused.append(time.monotonic())
        response = connection.respond(status, "no")
        response.headers.update(headers)
        return response

    return answer


@pytest.mark.parametrize("status", [http.HTTPStatus.TOO_MANY_REQUESTS, http.HTTPStatus.IM_A_TEAPOT])
def test_a_handshake_that_is_refused_keeps_every_link_away_for_as_long_as_it_says(server, status):
    refused = []
    url = server(hold, process_request=refusing(status, {"Retry-After": "1"}, refused))
    link = make(url)
    poll_until(link, lambda: link.failure)
    assert f"HTTP {status}, no attempt for 1 s" in link.failure
    other = Taken(server(hold), (), LIMITS, link._attempts, random.Random(1))
    MADE.append(other)
    poll_until(other, lambda: other.is_open)  # of the same address
    assert time.monotonic() - refused[0] > 0.95
    poll_until(link, lambda: len(refused) > 1)
    assert refused[1] - refused[0] > 0.95


def test_a_venue_that_is_away_for_a_while_is_believed_and_keeps_no_other_link_away(server):
    refused = []
    status = http.HTTPStatus.SERVICE_UNAVAILABLE
    link = make(server(hold, process_request=refusing(status, {"Retry-After": "1"}, refused)))
    poll_until(link, lambda: len(refused) > 1)
    assert refused[1] - refused[0] > 0.95
    assert not link._attempts.is_blocked(time.time_ns())


def test_a_handshake_that_is_refused_without_a_time_waits_for_a_minute(server):
    link = make(server(hold, process_request=refusing(http.HTTPStatus.TOO_MANY_REQUESTS, {}, [])))
    poll_until(link, lambda: link.failure)
    assert "HTTP 429, no attempt for 60 s" in link.failure
    assert link._attempts.is_blocked(time.time_ns() + 58_000 * MS)


def test_a_refusal_that_only_the_end_of_the_connection_ends_is_understood():
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse():
            client, _ = listening.accept()
            with client:
                client.recv(65_536)
                client.sendall(b"HTTP/1.1 418 Banned\r\nRetry-After: 5\r\n\r\nno")

        thread = threading.Thread(target=refuse)
        thread.start()
        link = make(f"ws://127.0.0.1:{listening.getsockname()[1]}/stream")
        poll_until(link, lambda: link.failure)
        thread.join()
    assert "HTTP 418, no attempt for 5 s" in link.failure


def test_a_handshake_that_drips_ends_at_the_time_to_connect():
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip():
            client, _ = listening.accept()
            with client, contextlib.suppress(OSError):
                while True:
                    client.sendall(b"H")
                    time.sleep(0.02)

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"ws://127.0.0.1:{listening.getsockname()[1]}/stream"
        link = make(url, dataclasses.replace(LIMITS, connect_timeout_s=0.3))
        poll_until(link, lambda: link.failure, timeout_s=2)
        thread.join()
    assert link.failure.endswith("timed out")


@pytest.mark.parametrize("says", ["acknowledgement", "shutdown", "data"])
def test_only_data_make_an_attempt_a_success(server, says):
    frames = {
        "acknowledgement": '{"result":null,"id":1}',
        "shutdown": '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}',
        "data": '{"stream":"a","data":{}}',
    }

    def handler(connection):
        with contextlib.suppress(ConnectionClosed):
            asked_of(connection.recv())
            connection.send(frames[says])

    limits = dataclasses.replace(LIMITS, backoff_ns=20 * MS, max_backoff_ns=100_000 * MS)
    link = make(server(handler), limits, names=["a"])
    began = time.monotonic()
    # Waits of 20, 40, ... 1280 ms at most; behind data each is of 10 to 20 ms.
    poll_until(link, lambda: link.connects == (8 if says == "data" else 7), timeout_s=PATIENCE_S)
    if says != "data":
        assert time.monotonic() - began > 0.5 * (20 + 40 + 80 + 160 + 320 + 640) / 1e3
    assert (link._backoff._wait_ns <= 40 * MS) is (says == "data")


def test_a_replacement_that_cannot_be_made_is_told(server):
    attempts = []

    def answer(connection, _request):
        attempts.append(1)
        return connection.respond(http.HTTPStatus.FORBIDDEN, "no") if len(attempts) > 1 else None

    link = make(server(numbered([]), process_request=answer), names=["a"])
    poll_until(link, lambda: link.frames)
    link.renew()
    poll_until(link, lambda: link.abandoned)
    assert "HTTP 403, no attempt for 300 s" in link.abandoned[0]
    assert (link.is_open, link.failure) == (True, "")
    link.close()


def test_a_replacement_that_ends_is_told(server):
    connections = []

    def handler(connection):
        if not connections:
            numbered(connections)(connection)

    link = make(server(handler), names=["a"])
    poll_until(link, lambda: link.frames)
    link.renew()
    poll_until(link, lambda: link.abandoned)
    assert "closed by the venue" in link.abandoned[0]
    link.close()


def test_a_stream_that_ceases_is_asked_for_again_and_then_elsewhere(server):
    asked = []

    def handler(connection):
        asked.append([])
        with contextlib.suppress(ConnectionClosed):
            for message in connection:
                asked[-1].append(asked_of(message))
                if len(asked[-1]) == 1:
                    connection.send('{"stream":"a","data":{}}')
                    connection.send('{"stream":"b","data":{}}')

    link = make(server(handler), dataclasses.replace(LIMITS, first_frame_timeout_ns=50 * MS))
    link.add(["a", "b"])

    def done():
        link.expect("a", time.time_ns())
        return link.standby_firsts()

    poll_until(link, done)
    assert asked[0][:2] == [["a", "b"], ["a"]]
    assert set(link.silent) == {"a"}
    link.hand_over()
    poll_until(link, lambda: LinkEvent.HANDED_OVER in link.history)
    assert link.connects == 2
    link.close()


def test_a_quiet_connection_is_replaced_by_one_as_quiet(server):
    limits = dataclasses.replace(LIMITS, idle_timeout_ns=1_200 * MS)
    link = make(server(hold), limits, names=["a"])
    poll_until(link, lambda: link.is_open)
    link.renew()
    poll_until(link, lambda: link.standby_firsts() is not None)
    assert not link.is_quiet("a")
    poll_until(link, lambda: link.is_quiet("a"))  # a pong says that it has waited long enough
    link.close()


def test_connection_attempts_keep_to_the_limit_of_the_address():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    limits = dataclasses.replace(LIMITS, backoff_ns=1, max_backoff_ns=1)
    link = make(f"ws://127.0.0.1:{port}/ws", limits, attempts=3)
    attempts = []
    dial = link._attempts.take
    link._attempts.take = lambda tokens, now_ns: dial(tokens, now_ns) and not attempts.append(1)
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        link.poll(time.time_ns())
        time.sleep(0.001)
    assert len(attempts) == 3


def asked_of(message):
    return json.loads(message)["params"]


def numbered(connections):
    """Return a handler that sends numbered frames of the stream `a`, the same to everybody."""

    def handler(connection):
        connections.append(connection)
        asked_of(connection.recv())
        try:
            while True:
                number = time.monotonic_ns() // (5 * MS)
                connection.send(f'{{"stream":"a","data":{{"n":{number}}}}}')
                time.sleep(0.005)
        except Exception:
            return

    return handler


def test_a_replacement_delivers_before_the_old_connection_goes(server):
    connections = []
    link = make(server(numbered(connections)), names=["a"])
    poll_until(link, lambda: len(link.frames) > 5)
    link.renew()
    poll_until(link, lambda: link.standby_firsts())
    assert link.connects == 2
    before = len(link.frames)
    poll_until(link, lambda: len(link.frames) > before + 5)  # the old one still delivers
    link.hand_over()
    poll_until(link, lambda: link.history == [LinkEvent.OPENED, LinkEvent.HANDED_OVER])
    after = len(link.frames)
    poll_until(link, lambda: len(link.frames) > after + 5)
    assert link.connects == 2
    assert connections[0].state.name in ("CLOSING", "CLOSED") or connections[0].close() is None
    link.close()


def test_a_connection_that_ends_while_its_replacement_is_ready_is_replaced_at_once(server):
    connections = []
    link = make(server(numbered(connections)), names=["a"])
    poll_until(link, lambda: len(link.frames) > 5)
    link.renew()
    poll_until(link, lambda: link.standby_firsts())
    connections[0].socket.shutdown(socket.SHUT_RDWR)
    poll_until(link, lambda: LinkEvent.HANDED_OVER in link.history)
    assert LinkEvent.LOST not in link.history
    link.close()


def test_a_connection_is_replaced_at_its_age_and_a_late_replacement_is_given_up(server):
    limits = dataclasses.replace(LIMITS, max_age_ns=200 * MS, first_frame_timeout_ns=50 * MS)
    link = make(server(numbered([])), limits, names=["a"])
    poll_until(link, lambda: link.standby_firsts())
    poll_until(link, lambda: link.give_up_standby(time.time_ns()) or link.abandoned)
    assert (link.is_open, *link.abandoned) == (True, "it was not ready within 150 ms")
    poll_until(link, lambda: link.standby_firsts())  # and another one is tried
    link.close()
