"""The recorder of the streams, over a real media driver."""

import os

import pytest
from mm_cli.recorder import Recorder
from mm_runtime.driver import Driver
from mm_runtime.settings import AeronmdSettings, AeronSettings, RuntimeSettings
from mm_runtime.transport import Transport

from mmquant.codes import Stream, Template
from mmquant.wire import MessageBuffer


@pytest.fixture
def settings():
    settings = RuntimeSettings(
        aeron=AeronSettings(directory=f"/dev/shm/mmquant-test-{os.getpid()}")
    )
    driver = Driver(settings.aeron_directory(), AeronmdSettings())
    yield settings
    driver.close()


def test_a_recording_holds_the_prices_of_its_quotes_wherever_it_ends(settings):
    recorder, transport = Recorder(settings), Transport(settings)
    prices = transport.publisher(Stream.PRICING, 0)
    quotes = transport.publisher(Stream.QUOTES, 0)
    price, quote = MessageBuffer(Template.PRICING), MessageBuffer(Template.QUOTES, (0, 0))
    rounds = 0
    while rounds < 4:
        for _ in range(300):  # more than one poll takes
            price.block["seq"] = prices.next_seq()
            assert prices.offer(price)
        quote.block["pricing_seq"] = prices.seq
        assert quotes.offer(quote)
        recorder.poll()
        recorded = recorder.recording
        rounds = len(recorded.quotes)
        if rounds:  # both ends have found each other
            assert recorded.pricing[-1].seq == recorded.quotes[-1].pricing_seq == prices.seq
    transport.close()
    recorder.close()
