"""Captures by way of the offline venue into the collector: lines missing, several symbols."""

import gzip
import itertools
import os
import time
from types import SimpleNamespace

import pytest
from made_capture import START_NS, made_capture
from mm_runtime.driver import Driver
from mm_runtime.settings import AeronmdSettings, AeronSettings, PublishSettings, RuntimeSettings
from mm_venue.__main__ import make_source
from mm_venue.settings import VenueSettings
from test_collector_streams import collecting
from venue_process import get, venue

from mmquant.codes import BookState, Market
from mmquant.tape import CaptureError, read_capture

REPLAYED = PublishSettings(time_source="venue")


@pytest.fixture(scope="module")
def runtime():
    directory = f"/dev/shm/mmquant-test-replays-{os.getpid()}"
    aeron = AeronSettings(directory=directory, when_blocked="wait")
    settings = RuntimeSettings(aeron=aeron)
    driver = Driver(settings.aeron_directory(), AeronmdSettings())
    yield settings
    driver.close()


def played(runtime, files, market, symbols, speed):
    """Play captures; return the collector and the venue's last status."""
    with venue("--speed", speed, "--replay", *files) as (_, address):
        urls = SimpleNamespace(rest_url=f"http://{address}", ws_url=f"ws://{address}")
        with collecting(runtime, urls, symbols, market=market, publish=REPLAYED) as collector:
            status = {}

            def is_played():
                status.update(get(address, "/debug/status")[1])
                time.sleep(0.05)
                return status["finished"] and collector.counters["frames"] >= status["heard"]

            while not is_played():
                until = time.monotonic() + 0.2
                collector.work(lambda until=until: time.monotonic() > until)
            collector.work(collector.are_live)
            return collector, status


def with_two_holes(path, folder):
    """Return a copy without two depth lines after a third of them, and one after two thirds."""
    lines = [b"%d %b" % line for line in read_capture([path])]
    depths = [i for i, line in enumerate(lines) if b"@depth" in line[:60]]
    for at in (2 * len(depths) // 3, len(depths) // 3 + 1, len(depths) // 3):
        del lines[depths[at]]
    out = folder / "holes.capture"
    out.write_bytes(b"\n".join(lines) + b"\n")
    return out


@pytest.fixture(
    params=[
        "made",
        ("usdm_btcusdt_20240808.gz", "usdm", 2_000),
        ("spot_btcusdt_20240808.gz", "spot", 1_000),
    ],
    ids=["made", "usdm", "spot"],
)
def capture(request, tmp_path):
    """Return some seconds of a capture, and its market."""
    if request.param == "made":
        return made_capture(tmp_path / "made.capture", "BTCUSDT", seconds=6), "usdm"
    name, market, n_lines = request.param
    part = tmp_path / "part.capture"
    with gzip.open(request.getfixturevalue("captures") / name) as lines:
        part.write_bytes(b"".join(itertools.islice(lines, n_lines)))
    return part, market


def test_lines_missing_from_a_capture_are_gaps_and_the_rest_is_played(runtime, capture, tmp_path):
    whole, market = capture
    path = with_two_holes(whole, tmp_path)
    collector, status = played(runtime, [path], market, ["BTCUSDT"], 1)
    gaps = [number for _, number, state in collector.history if state is BookState.GAP]
    assert gaps == [1, 1]
    assert collector.counters["gaps"] == status["gaps"] == 2
    assert collector.counters["resyncs"] >= 2  # a snapshot may come too early for its gap
    assert status["played"] == status["total"] == sum(1 for _ in read_capture([path]))


def test_captures_of_several_symbols_are_played_at_once(runtime, tmp_path):
    symbols = ["BTCUSDT", "ETHUSDT"]
    files = [
        made_capture(tmp_path / symbol, symbol, seed=seed) for seed, symbol in enumerate(symbols)
    ]
    later = made_capture(
        tmp_path / "later", "BTCUSDT", seconds=1, seed=7, start_ns=START_NS + 3_600 * 10**9
    )
    collector, status = played(runtime, files, "usdm", symbols, 2)
    assert status["symbols"] == symbols
    assert {number for _, number, state in collector.history if state is BookState.LIVE} == {1, 2}
    assert collector.counters["gaps"] == collector.counters["book_mismatches"] == 0
    source = make_source(VenueSettings(replay=(files[0], files[1], later), speed="max"))
    lines = [sum(1 for _ in read_capture([path])) for path in (*files, later)]
    assert source.status().total == sum(lines)  # files of one symbol follow each other


def test_captures_that_are_played_at_once_keep_their_times(tmp_path):
    late_ns = START_NS + 500_000_000
    files = (
        made_capture(tmp_path / "a", "BTCUSDT", seconds=1),
        made_capture(tmp_path / "b", "ETHUSDT", seconds=1, start_ns=late_ns),
    )
    source = make_source(VenueSettings(replay=files, speed="2"))
    source.start(0)
    names = {frame.stream.partition("@")[0] for frame in source.poll(200_000_000)}
    assert names == {"btcusdt"}
    names = {frame.stream.partition("@")[0] for frame in source.poll(300_000_000)}
    assert names == {"btcusdt", "ethusdt"}
    assert source.wait_ns(300_000_000) > 0
    assert not source.status().finished
    while source.wait_ns(10**12) is not None:
        source.poll(10**12)
    assert source.status().finished
    # Where nothing may be lost: one frame at a time, the oldest first.
    source = make_source(VenueSettings(replay=files, speed="max"))
    order = []
    while source.wait_ns(0) is not None:
        order += [frame.stream.partition("@")[0] for frame in source.poll(0)]
    assert order.index("ethusdt") > 10
    assert "btcusdt" in order[order.index("ethusdt") :]


def test_captures_of_two_markets_are_refused(tmp_path):
    files = (
        made_capture(tmp_path / "a", "BTCUSDT", seconds=1),
        made_capture(tmp_path / "b", "ETHUSDT", seconds=1, market=Market.SPOT),
    )
    with pytest.raises(CaptureError, match="must be of one market, got spot, usdm"):
        make_source(VenueSettings(replay=files))
