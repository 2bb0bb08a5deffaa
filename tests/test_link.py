"""The WebSocket shell against a real server: frames, pings, ends and reconnects."""

import random
import socket
import threading
import time

import pytest
from mm_collector.link import Link, LinkLimits
from websockets.sync.server import serve

MS = 1_000_000
LIMITS = LinkLimits(
    idle_timeout_ns=60_000 * MS, connect_timeout_s=2.0, backoff_ns=20 * MS, max_backoff_ns=80 * MS
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
        return f"ws://127.0.0.1:{port}/stream?streams=a/b"

    yield start
    for instance, thread in running:
        instance.shutdown()
        thread.join()


def poll_until(link, done, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, f"nothing happened; failure={link.failure!r}"
        link.poll(time.time_ns())
        time.sleep(0.001)


def make(url, limits=LIMITS):
    return Link(url, limits, random.Random(1))


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
    assert [*link.frames][:2] == [b"one", b"two"]
    assert paths == ["/stream?streams=a/b"]
    assert link.is_open
    assert link.received_ns > 0
    link.close()


def test_pings_are_answered_while_frames_are_left_waiting(server):
    answered = threading.Event()

    def handler(connection):
        connection.send("waits")
        if connection.ping("payload").wait(5):
            answered.set()
        connection.recv()

    link = make(server(handler))
    poll_until(link, answered.is_set)
    assert [*link.frames] == [b"waits"]
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

    limits = LinkLimits(100 * MS, 2.0, 20 * MS, 80 * MS)
    link = make(server(handler), limits)
    poll_until(link, lambda: link.failure.startswith("silent for"))
    assert not link.is_open
    link.close()
