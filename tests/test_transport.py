"""Publishers and subscribers over a real media driver."""

import os
import time

import numpy as np
import pytest
from mm_runtime.driver import DirectoryInUse, Driver, is_directory_in_use
from mm_runtime.settings import AeronmdSettings, AeronSettings, RuntimeSettings, TermSettings
from mm_runtime.transport import DriverLost, Transport, shared_memory_bytes

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
