"""The WebSocket shell against a real server: frames, pings, ends and reconnects."""

import dataclasses
import itertools
import json
import random
import socket
import threading
import time

import pytest
from mm_collector.budget import Budget
from mm_collector.link import Link, LinkEvent, LinkLimits
from mm_collector.subscriptions import Subscriptions
from websockets.sync.server import serve

MS = 1_000_000
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

    def start(handler):
        instance = serve(handler, "127.0.0.1", 0, compression=None, ping_interval=None)
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


def poll_until(link, done, timeout_s=10.0):
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


def test_a_silent_connection_is_given_up(server):
    def handler(connection):
        connection.send("hello")
        try:
            connection.recv()
        except Exception:
            return

    limits = dataclasses.replace(LIMITS, idle_timeout_ns=100 * MS)
    link = make(server(handler), limits)
    poll_until(link, lambda: link.failure.startswith("silent for"))
    assert not link.is_open
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
    request = json.loads(message)
    assert request["method"] == "SUBSCRIBE"
    assert len(message.encode()) < 4_000
    return request["params"]


def test_subscriptions_are_chunked_and_paced():
    names = [f"symbol{i:04}usdt@depth@100ms" for i in range(120)]
    subscriptions = Subscriptions(names, 10_000 * MS)
    asked, times = [], []
    for now_ms in range(1, 3_000, 10):
        message = subscriptions.next_message(now_ms * MS)
        if message is not None:
            asked.append(asked_of(message))
            times.append(now_ms)
    assert [len(chunk) for chunk in asked] == [50, 50, 20]
    assert list(itertools.chain(*asked)) == names
    assert all(later - earlier >= 500 for earlier, later in itertools.pairwise(times))


def test_long_names_make_smaller_chunks():
    subscriptions = Subscriptions(["x" * 200 + str(i) for i in range(40)], 10_000 * MS)
    assert len(asked_of(subscriptions.next_message(1))) < 20


def test_an_acknowledged_stream_that_delivers_nothing_is_asked_again_and_told():
    subscriptions = Subscriptions(["a@trade", "b@trade"], 100 * MS)
    asked_of(subscriptions.next_message(0))
    subscriptions.on_frame(b'{"result":null,"id":1}', 1)
    subscriptions.on_frame(b'{"stream":"a@trade","data":{}}', 2)
    assert subscriptions.silent(99 * MS) == []
    assert subscriptions.silent(100 * MS) == ["b@trade"]
    assert subscriptions.silent(101 * MS) == []
    assert asked_of(subscriptions.next_message(1_000 * MS)) == ["b@trade"]
    assert subscriptions.silent(1_199 * MS) == []  # twice as long the second time
    assert subscriptions.silent(1_200 * MS) == ["b@trade"]


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
    poll_until(link, lambda: link.give_up_standby(time.time_ns()))
    assert (link.is_open, link.abandoned) == (True, 1)
    poll_until(link, lambda: link.standby_firsts())  # and another one is tried
    link.close()
