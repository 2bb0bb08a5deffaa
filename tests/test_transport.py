"""Publishers and subscribers over a real media driver."""

import json
import os
import time

import numpy as np
import pytest
from mm_runtime.channels import publication_channel, subscription_channels
from mm_runtime.config import ConfigError, load
from mm_runtime.driver import DirectoryInUse, Driver, is_directory_in_use
from mm_runtime.settings import AeronmdSettings, AeronSettings, RuntimeSettings, TermSettings
from mm_runtime.transport import DriverLost, Publisher, Transport, shared_memory_bytes

from mmquant.codes import Stream, Template
from mmquant.records import LEVEL
from mmquant.wire import Inbox, MessageBuffer


@pytest.fixture
def settings(tmp_path):
    terms = TermSettings(market_data_bytes=1 << 20, trades_bytes=1 << 16, other_bytes=1 << 16)
    return RuntimeSettings(
        aeron=AeronSettings(directory=f"/dev/shm/mmquant-test-{os.getpid()}", terms=terms)
    )


@pytest.fixture
def driver(settings):
    driver = Driver(settings.aeron_directory(), AeronmdSettings())
    yield driver
    driver.close()


@pytest.fixture
def transport(settings, driver):
    transport = Transport(settings)
    yield transport
    transport.close()


def drain(subscriber, limit=10, idle_turns=200):
    quiet = 0
    while quiet < idle_turns:
        quiet = 0 if subscriber.poll(limit) else quiet + 1
        time.sleep(0.0001)


def trade(publisher, message):
    message.block[0]["seq"] = publisher.next_seq()
    return publisher.offer(message)


def test_messages_longer_than_a_fragment_survive_any_poll_limit(transport):
    publisher = transport.publisher(Stream.MARKET_DATA, queue_limit=1_000)
    inbox, seen = Inbox(), []
    template = Template.BOOK_SNAPSHOT
    handlers = {template: lambda: seen.append((inbox.words[1], len(inbox.group(template, 0))))}
    subscriber = transport.subscriber(Stream.MARKET_DATA, inbox, handlers)
    message = MessageBuffer(template, (1_000, 1_000))
    levels = np.ones(1_000, LEVEL)
    for seq in range(1, 41):
        message.block[0]["seq"] = seq
        message.set_group(0, levels)
        message.set_group(1, levels)
        publisher.offer(message)
        subscriber.poll(7)  # ends in the middle of a message
        publisher.flush()
    while publisher.blocked:
        publisher.flush()
        subscriber.poll(7)
    drain(subscriber, 7)
    assert seen == [(seq, 1_000) for seq in range(1, 41)]
    assert subscriber.malformed == 0


def test_a_subscriber_that_stops_polling_meets_a_bounded_queue(transport):
    publisher = transport.publisher(Stream.TRADES, queue_limit=5)
    inbox, seen = Inbox(), []
    handlers = {Template.TRADE: lambda: seen.append(int(inbox.words[1]))}
    subscriber = transport.subscriber(Stream.TRADES, inbox, handlers)
    message = MessageBuffer(Template.TRADE)
    kept = sum(trade(publisher, message) for _ in range(2_000))
    assert publisher.dropped == 2_000 - kept > 0
    assert publisher.blocked
    while publisher.blocked:
        subscriber.poll(50)
        publisher.flush()
    drain(subscriber)
    # Exactly the newest are missing, and every one is counted.
    assert seen == list(range(1, kept + 1))


def test_the_end_of_a_term_costs_no_message(transport):
    publisher = transport.publisher(Stream.TRADES, queue_limit=0)
    subscriber = transport.subscriber(Stream.TRADES, Inbox(), {})
    message = MessageBuffer(Template.TRADE)
    while not subscriber.received:
        trade(publisher, message)
        subscriber.poll(10)
        time.sleep(0.001)
    for _ in range(1_200):  # a term of 64 KiB holds about 500
        trade(publisher, message)
        subscriber.poll(10)
        time.sleep(0.001)  # slow enough that nothing else can be a reason to refuse
    drain(subscriber)
    assert (publisher.dropped, publisher.back_pressured) == (0, 0)
    assert subscriber.received == publisher.sent


def test_conflation_keeps_the_newest(transport):
    publisher = transport.publisher(Stream.QUOTES, queue_limit=1, conflate=True)
    inbox, seen = Inbox(), []
    handlers = {Template.TRADE: lambda: seen.append(int(inbox.words[1]))}
    subscriber = transport.subscriber(Stream.QUOTES, inbox, handlers)
    message = MessageBuffer(Template.TRADE)
    for _ in range(2_000):
        assert trade(publisher, message)
    assert publisher.conflated > 0
    while publisher.blocked:
        subscriber.poll(50)
        publisher.flush()
    drain(subscriber)
    assert seen[-1] == 2_000
    assert len(seen) == 2_000 - publisher.conflated


def test_conflation_keeps_the_newest_of_each_instrument():
    class Stream:
        takes, heard = False, []

        def offer(self, payload):
            if self.takes:
                inbox = Inbox()
                inbox.receive(payload)
                self.heard.append((int(inbox.words[1]), int(inbox.words[3])))
            return self.takes

    stream = Stream()
    publisher = Publisher(stream, queue_limit=1, conflate=True)
    message = MessageBuffer(Template.QUOTES, (1, 1))
    for instrument_id in (1, 2, 1, 1, 2, 3):  # the pull of one is not lost to another's quotes
        message.block[0]["instrument_id"] = instrument_id
        assert trade(publisher, message)
    assert (publisher.queued, publisher.conflated, publisher.dropped) == (3, 3, 0)
    stream.takes = True
    assert publisher.flush() == 3
    assert stream.heard == [(4, 1), (5, 2), (6, 3)]


def test_what_nobody_hears_is_counted_and_not_queued(transport):
    publisher = transport.publisher(Stream.FILLS, queue_limit=5)
    message = MessageBuffer(Template.FILL)
    assert trade(publisher, message)
    assert (publisher.unheard, publisher.sent, publisher.blocked) == (1, 0, False)


def test_messages_of_another_schema_are_counted_and_skipped(transport):
    publisher = transport.publisher(Stream.FILLS, queue_limit=5)
    inbox, seen = Inbox(), []
    subscriber = transport.subscriber(
        Stream.FILLS, inbox, {Template.TRADE: lambda: seen.append(int(inbox.words[1]))}
    )
    message = MessageBuffer(Template.TRADE)
    trade(publisher, message)
    message.words[0] ^= 1 << 32  # another schema id
    trade(publisher, message)
    drain(subscriber)
    assert (seen, subscriber.malformed) == ([1], 1)


def test_no_driver_is_said_at_once(settings):
    with pytest.raises(DriverLost, match="no media driver is running in"):
        Transport(settings)


def test_one_driver_a_directory_and_nothing_left_behind(settings):
    directory = settings.aeron_directory()
    driver = Driver(directory, AeronmdSettings())
    assert is_directory_in_use(directory)
    with pytest.raises(DirectoryInUse, match="in use by another media driver"):
        Driver(directory, AeronmdSettings())
    assert 0 < shared_memory_bytes(directory) < 512 * 2**20
    driver.close()
    assert not directory.exists()
    assert not is_directory_in_use(directory)


def test_a_lost_driver_is_noticed(settings, driver):
    transport = Transport(settings)
    transport.check()
    driver.close()

    def wait():
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            transport.check()
            time.sleep(0.05)

    with pytest.raises(DriverLost):
        wait()
    transport.close()


MACHINES = ("127.0.0.1:47310", "127.0.0.1:47320", "127.0.0.1:47330")


@pytest.fixture
def cluster():
    """Three machines on loopback, each with a driver of its own and two clients."""
    drivers, clients = [], []
    for i, machine in enumerate(MACHINES):
        directory = f"/dev/shm/mmquant-test-{os.getpid()}-{i}"
        aeron = AeronSettings(directory=directory, machines=MACHINES, machine=machine)
        settings = RuntimeSettings(aeron=aeron)
        drivers.append(Driver(settings.aeron_directory(), AeronmdSettings()))
        clients.append((Transport(settings), Transport(settings)))
    yield clients
    for pair in clients:
        for client in pair:
            client.close()
    for driver in drivers:
        driver.close()


def test_over_three_machines_everybody_hears_everything_once(cluster):
    message = MessageBuffer(Template.BOOK_SNAPSHOT, (1_000, 1_000))
    message.set_group(0, np.ones(1_000, LEVEL))  # longer than a datagram
    message.set_group(1, np.ones(1_000, LEVEL))
    publishers = [t.publisher(Stream.STATE, queue_limit=0) for pair in cluster for t in pair]
    heard = [[] for _ in publishers]
    subscribers = []
    for transport, seen in zip((t for pair in cluster for t in pair), heard, strict=True):
        inbox = Inbox()
        handlers = {Template.BOOK_SNAPSHOT: lambda i=inbox, s=seen: s.append(tuple(i.words[1:3]))}
        subscribers.append(transport.subscriber(Stream.STATE, inbox, handlers))

    def take_until(done):
        deadline = time.monotonic() + 20
        while not done() and time.monotonic() < deadline:
            for subscriber in subscribers:
                subscriber.poll(64)

    def greet():
        for i, publisher in enumerate(publishers):
            message.words[1], message.words[2] = 0, i
            publisher.offer(message)
        return all({i for _, i in seen} == set(range(6)) for seen in heard)

    take_until(greet)
    sent = []
    for seq in range(1, 21):
        for i, publisher in enumerate(publishers):
            message.words[1], message.words[2] = seq, i
            while not publisher.offer(message):
                [subscriber.poll(64) for subscriber in subscribers]
            sent.append((seq, i))
        take_until(lambda s=seq: all(sum(n == s for n, _ in seen) >= 6 for seen in heard))
    drain(subscribers[0])
    heard = [[each for each in seen if each[0]] for seen in heard]  # without the greetings
    assert [sorted(seen) for seen in heard] == [sorted(sent)] * len(heard)


def test_a_machine_alone_is_not_held_up_by_the_missing_ones(cluster):
    transport, other = cluster[0]
    publisher = transport.publisher(Stream.TRADES, queue_limit=0)
    inbox, seen = Inbox(), []
    handlers = {Template.TRADE: lambda: seen.append(int(inbox.words[1]))}
    subscriber = other.subscriber(Stream.TRADES, inbox, handlers)
    message = MessageBuffer(Template.TRADE)
    deadline = time.monotonic() + 60
    count = 110_000  # more than all of the stream's buffers hold
    while len(seen) < count:
        assert time.monotonic() < deadline
        if publisher.seq < count and not trade(publisher, message):
            publisher.seq -= 1
        if publisher.seq % 100 == 0 or publisher.seq == count:
            subscriber.poll(1_000)
    assert seen == list(range(1, count + 1))


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ({"machines": ["10.0.0.1:40100"]}, "machines: must name every machine, or none"),
        ({"machine": "10.0.0.1:40100"}, "machine: must be this machine's entry of machines"),
        (
            {"machines": ["a:40100", "b:40100"], "machine": "c:40100"},
            "machine: must be this machine's entry of machines (['a:40100', 'b:40100']), got 'c",
        ),
        (
            {"machines": ["a:40100", "b:40100"], "machine": "a:40100", "channel": "aeron:udp?x=y"},
            "channel: must stay 'aeron:ipc' where machines are named, got 'aeron:udp?x=y'",
        ),
        (
            {"machines": ["a:40100", "a:40102"], "machine": "a:40100"},
            "machines: must differ, on one host by more than 2 ports, got 'a:40100' and 'a:40102'",
        ),
        (
            {"machines": ["a:40100", "a:40100"], "machine": "a:40100"},
            "machines: must differ",
        ),
        (
            {"machines": ["a:40100", "b:80"], "machine": "a:40100"},
            "machines: ports must be >= 1024 and <= 65533, got 'b:80'",
        ),
        ({"machines": ["a", "b:40100"]}, "got 'a'"),
    ],
)
def test_machines_that_cannot_hear_each_other_are_refused(tmp_path, rows, complaint):
    lines = [f"{key} = {json.dumps(value)}" for key, value in rows.items()]
    (tmp_path / "runtime.toml").write_text("\n".join(["[aeron]", *lines]))
    with pytest.raises(ConfigError) as caught:
        load("runtime", RuntimeSettings, tmp_path, {})
    assert complaint in str(caught.value)


def test_the_default_is_one_machine_and_one_channel():
    settings = AeronSettings()
    assert subscription_channels(settings) == ["aeron:ipc"]
    assert publication_channel(settings, 65_536, "x") == "aeron:ipc?term-length=65536|alias=x"
