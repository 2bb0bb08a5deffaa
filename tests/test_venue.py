"""The offline venue over a real socket, and its parts without one."""

import asyncio
import gzip
import itertools
import json
import math
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from mm_venue.replay import CaptureSource
from reference_venue import NaiveBook
from venue_process import get, post, venue
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from mmquant.tape import read_capture

ROOT = Path(__file__).parents[1]
DATA = Path(__file__).parents[2] / "shared" / "data" / "binance"
REAL = {
    "usdm": [DATA / "usdm_btcusdt_20240808.gz"],
    "spot": [DATA / "spot_btcusdt_20240808.gz", DATA / "spot_btcusdt_20240809.gz"],
}
real = pytest.mark.skipif(not DATA.exists(), reason=f"no captures in {DATA}")
SECOND = 1_000_000_000
START_S = 60  # interpreted or with a cold cache it takes its time


def floats(levels):
    return [(float(price), float(qty)) for price, qty in levels]


def depth_path(usdm, limit=1000):
    base = "/fapi/v1" if usdm else "/api/v3"
    return f"{base}/depth?symbol=BTCUSDT&limit={limit}"


async def synchronised(socket_, address, usdm):
    """Follow BINANCE's procedure: buffer, snapshot, drop, apply."""
    buffer = [json.loads(await socket_.recv())["data"]]
    while True:
        status, snapshot, _ = await asyncio.to_thread(get, address, depth_path(usdm))
        assert status == 200
        if snapshot["lastUpdateId"] >= buffer[0]["U"]:
            break
    book = NaiveBook(snapshot, usdm)
    for event in buffer:
        book.apply(event)
    return book


@pytest.mark.parametrize("market", ["spot", "usdm"])
def test_a_naive_client_s_book_equals_the_synthetic_venue_s(market):
    usdm = market == "usdm"

    async def client(address):
        stream = "btcusdt@depth@100ms"
        matched = 0
        async with connect(f"ws://{address}/stream?streams={stream}") as socket_:
            book = await synchronised(socket_, address, usdm)
            for _ in range(60):
                book.apply(json.loads(await socket_.recv())["data"])
                _, true, _ = await asyncio.to_thread(get, address, "/debug/book?symbol=BTCUSDT")
                if true["update_id"] == book.id:
                    matched += 1
                    assert (floats(true["bids"]), floats(true["asks"])) == book.top(20)
                    if matched == 3:
                        return
        pytest.fail(f"the ids met only {matched} times")

    with venue("--market", market, "--seed", 5) as (_, address):
        asyncio.run(client(address))


def cut_capture(path, paths, lines):
    """Write the first lines of a capture for one test."""
    data = itertools.islice(read_capture(paths), lines)
    path.write_bytes(b"".join(b"%d %b\n" % line for line in data))
    return path


@real
@pytest.mark.parametrize("market", ["spot", "usdm"])
def test_a_naive_client_s_book_equals_the_capture_s(tmp_path, market):
    usdm = market == "usdm"
    capture = cut_capture(tmp_path / "cut", REAL[market], 4000)
    recorded = [payload for _, payload in read_capture([capture]) if b'"stream"' in payload]
    names = ["btcusdt@depth@0ms" if usdm else "btcusdt@depth@100ms"]
    names += ["btcusdt@trade", "btcusdt@bookTicker"]

    async def client(address):
        raw, depth, touches = [], [], {}
        target = "/public/stream" if usdm else "/stream"
        async with connect(
            f"ws://{address}{target}?streams={'/'.join(names)}", max_queue=None
        ) as socket_:
            snapshot = asyncio.create_task(asyncio.to_thread(get, address, depth_path(usdm)))
            while len(raw) < len(recorded):
                raw.append(await asyncio.wait_for(socket_.recv(decode=False), 15))
        status, body, _ = await snapshot
        assert status == 200
        assert raw == recorded
        for message in map(json.loads, raw):
            if "@depth" in message["stream"]:
                depth.append(message["data"])
            elif "@bookTicker" in message["stream"]:
                data = message["data"]
                touches[data["u"]] = tuple(float(data[key]) for key in "bBaA")
        book, compared = NaiveBook(body, usdm), 0
        for event in depth:
            book.apply(event)
            if not book.first and book.id in touches:
                compared += 1
                assert book.touch() == touches[book.id]
        assert compared > 20
        state = await asyncio.to_thread(get, address, "/debug/status")
        true = await asyncio.to_thread(get, address, "/debug/book?symbol=BTCUSDT&limit=50")
        return book, state[1], true[1]

    with venue("--replay", capture, "--speed", "max") as (_, address):
        book, state, true = asyncio.run(client(address))
    assert state["source"] == "capture"
    assert (state["played"], state["total"], state["finished"]) == (4000, 4000, True)
    assert (state["truncated"], state["malformed"], state["gaps"]) == (None, 0, 0)
    assert true["update_id"] == book.id == state["update_id"]
    assert (floats(true["bids"]), floats(true["asks"])) == book.top(50)


@real
def test_a_capture_at_max_waits_for_depth_and_serves_the_name_asked_for(tmp_path):
    capture = cut_capture(tmp_path / "cut", REAL["usdm"], 300)

    async def client(address):
        async with connect(f"ws://{address}/ws/btcusdt@trade") as early:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(early.recv(), 0.3)
        assert get(address, "/debug/status")[1]["played"] == 0
        async with connect(f"ws://{address}/stream") as socket_:
            request = {"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms"], "id": 7}
            await socket_.send(json.dumps(request))
            messages = [json.loads(await socket_.recv()) for _ in range(3)]
            assert {"result": None, "id": 7} in messages
            data = [message for message in messages if "stream" in message]
            assert {message["stream"] for message in data} == {"btcusdt@depth@100ms"}

    async def plain(address):
        async with connect(f"ws://{address}/ws/btcusdt@depth") as socket_:
            assert json.loads(await socket_.recv())["e"] == "depthUpdate"

    for one in (client, plain):  # each from the beginning: the first may hear it to the end
        with venue("--replay", capture, "--speed", "max") as (_, address):
            asyncio.run(one(address))


def test_streams_and_requests_of_one_connection():
    async def client(address):
        async with connect(f"ws://{address}/ws/btcusdt@bookTicker/btcusdt@trade") as socket_:
            message = json.loads(await socket_.recv())
            assert message["e"] in ("bookTicker", "trade")
            await socket_.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
            await socket_.send(
                '{"method":"UNSUBSCRIBE","params":["btcusdt@bookTicker","btcusdt@trade"],"id":2}'
            )
            await socket_.send('{"method":"SUBSCRIBE","params":["nosuch@depth"],"id":3}')
            answers = []
            while len(answers) < 3:
                message = json.loads(await socket_.recv())
                if "result" in message:
                    answers.append(message)
            assert answers == [
                {"result": ["btcusdt@bookTicker", "btcusdt@trade"], "id": 1},
                {"result": None, "id": 2},
                {"result": None, "id": 3},
            ]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(socket_.recv(), 0.3)
        async with connect(f"ws://{address}/market/ws/btcusdt@bookTicker") as wrong_route:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wrong_route.recv(), 0.3)

    with venue("--market", "usdm") as (_, address):
        asyncio.run(client(address))


async def ending_of(socket_, received):
    """Read until the venue closes; return how it did."""

    async def read():
        while True:
            received.append(json.loads(await socket_.recv()))

    with pytest.raises(ConnectionClosedError) as closed:
        await asyncio.wait_for(read(), 20)
    return closed.value


def test_too_many_messages_end_the_connection_and_long_ones_are_swallowed():
    async def client(address):
        async with connect(f"ws://{address}/ws") as socket_:
            names = ["x" * 5000]
            await socket_.send(json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1}))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(socket_.recv(), 0.3)
            for i in range(20):
                await socket_.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": i}))
            closed = await ending_of(socket_, [])
            assert (closed.rcvd.code, closed.rcvd.reason) == (1008, "Too many requests")
        with pytest.raises(InvalidStatus):
            await connect(f"ws://{address}/nowhere")

    with venue("--market", "spot") as (_, address):
        asyncio.run(client(address))


def test_pings_come_and_a_day_ends_in_scaled_time():
    async def client(address):
        async with connect(f"ws://{address}/ws/btcusdt@depth5@100ms") as socket_:
            began = time.monotonic()
            levels = []
            closed = await ending_of(socket_, levels)
            assert closed.rcvd.reason == "24 hours are over"
            assert time.monotonic() - began > 3.5  # the answers to its pings kept it
            assert all(len(m["bids"]) == len(m["asks"]) == 5 for m in levels)
            assert len(levels) > 5

    with venue("--market", "spot", "--time-scale", 24_000) as (_, address):
        asyncio.run(client(address))


def test_tls(tmp_path):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    made += ["-keyout", key, "-out", cert, "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1"]
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    subprocess.run(made, check=True, capture_output=True)
    trusted = ssl.create_default_context(cafile=cert)

    async def client(address):
        async with connect(f"wss://{address}/ws/btcusdt@bookTicker", ssl=trusted) as socket_:
            assert json.loads(await socket_.recv())["s"] == "BTCUSDT"

    with venue("--tls-cert", cert, "--tls-key", key) as (_, address):
        asyncio.run(client(address))
        url = f"https://{address}/fapi/v1/ping"
        with urllib.request.urlopen(url, timeout=15, context=trusted) as answer:
            assert answer.read() == b"{}"
    code, text = refused("--tls-cert", key, "--tls-key", cert)
    assert code == 2
    assert "PEM" in text


def test_rest_answers_of_spot():
    with venue("--market", "spot") as (_, address):
        assert get(address, "/api/v3/ping")[:2] == (200, {})
        assert abs(get(address, "/api/v3/time")[1]["serverTime"] - time.time() * 1000) < 5000
        status, info, headers = get(address, "/api/v3/exchangeInfo?symbol=BTCUSDT")
        assert status == 200
        assert int(headers["X-MBX-USED-WEIGHT-1M"]) >= 20
        symbol = info["symbols"][0]
        filters = {entry["filterType"]: entry for entry in symbol["filters"]}
        assert (symbol["baseAsset"], symbol["quoteAsset"]) == ("BTC", "USDT")
        assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
        assert filters["LOT_SIZE"]["stepSize"] == "0.00001000"
        assert filters["NOTIONAL"]["minNotional"] == "5.00000000"
        status, depth, _ = get(address, "/api/v3/depth?symbol=BTCUSDT&limit=5")
        assert sorted(depth) == ["asks", "bids", "lastUpdateId"]
        assert len(depth["bids"]) == len(depth["asks"]) == 5
        assert len(depth["bids"][0][0].partition(".")[2]) == 8
        assert float(depth["bids"][0][0]) < float(depth["asks"][0][0])
        assert get(address, "/api/v3/depth?symbol=NOPE")[:2] == (
            400,
            {"code": -1121, "msg": "Invalid symbol."},
        )
        assert get(address, "/api/v3/depth")[1]["code"] == -1102
        assert get(address, "/api/v3/exchangeInfo?symbol=NOPE")[1]["code"] == -1121
        assert get(address, "/fapi/v1/ping")[0] == 404
        assert get(address, "/nothing")[0] == 404


def test_rest_answers_of_usdm():
    with venue("--market", "usdm") as (_, address):
        info = get(address, "/fapi/v1/exchangeInfo")[1]
        assert info["futuresType"] == "U_MARGINED"
        filters = {entry["filterType"]: entry for entry in info["symbols"][0]["filters"]}
        assert filters["PRICE_FILTER"]["tickSize"] == "0.10"
        assert filters["LOT_SIZE"]["stepSize"] == "0.001"
        assert filters["MIN_NOTIONAL"] == {"filterType": "MIN_NOTIONAL", "notional": "50"}
        depth = get(address, depth_path(True, 10))[1]
        assert sorted(depth) == ["E", "T", "asks", "bids", "lastUpdateId"]
        assert len(depth["bids"][0][0].partition(".")[2]) == 2
        assert get(address, depth_path(True, 7))[1]["code"] == -4021
        status = get(address, "/debug/status")[1]
        assert (status["source"], status["total"], status["finished"]) == ("synthetic", None, False)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_a_second(signum):
    async def client(process, address):
        async with connect(f"ws://{address}/ws/btcusdt@bookTicker") as socket_:
            await socket_.recv()
            process.send_signal(signum)
            return await asyncio.to_thread(process.wait, 5)

    with venue() as (process, address):
        began = time.monotonic()
        assert asyncio.run(client(process, address)) == 0
        assert time.monotonic() - began < 2
        assert process.stderr.read() == ""


def test_with_a_folder_of_settings_it_has_an_hourly_log(tmp_path, monkeypatch):
    monkeypatch.setenv("MM_RUNTIME__LOGS__DIRECTORY", str(tmp_path))
    with venue("--config-dir", ROOT / "config") as (process, address):
        post(address, kind="drop")
        process.send_signal(signal.SIGTERM)
        assert process.wait(START_S) == 0
        console = process.stdout.read()
    (path,) = tmp_path.iterdir()
    assert re.fullmatch(r"mm_venue\.log\.\d{4}-\d\d-\d\d-\d\d", path.name)
    lines = path.read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        f"INFO mm_venue listening on {address}",
        "INFO mm_venue fault 1 armed: drop all",
        "INFO mm_venue stopped",
    ]
    assert console.splitlines() == lines, "what follows the announcement"


def refused(*arguments):
    command = [sys.executable, "-m", "mm_venue", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=START_S)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    return done.returncode, done.stderr


def test_a_port_in_use_is_one_line_and_code_2():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refused("--port", port) == (2, f"mm_venue: port {port} on 127.0.0.1 is in use\n")


def test_a_capture_without_snapshot_or_file_is_refused(tmp_path):
    capture = tmp_path / "bare"
    capture.write_bytes(b"1 " + depth_line(5, 7) + b"\n")
    code, text = refused("--replay", capture)
    assert code == 2
    assert "no REST snapshot" in text
    code, text = refused("--replay", tmp_path / "none")
    assert code == 2
    assert "none" in text


def depth_line(first, last, bid="100.00", qty="0.500"):
    return (
        b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1,"s":"BTCUSDT",'
        b'"U":%d,"u":%d,"b":[["%b","%b"]],"a":[]}}' % (first, last, bid.encode(), qty.encode())
    )


SNAPSHOT_LINE = b'{"lastUpdateId":10,"bids":[["99.00","1.000"]],"asks":[["101.00","1.000"]]}'


def written(path, payloads, step_ns=SECOND):
    path.write_bytes(
        gzip.compress(b"".join(b"%d %b\n" % (i * step_ns + 1, p) for i, p in enumerate(payloads)))
    )
    return path


def test_playback_takes_its_pace_from_the_capture(tmp_path):
    lines = [depth_line(9, 10), SNAPSHOT_LINE, depth_line(11, 12), b"not json", depth_line(13, 13)]
    source = CaptureSource([written(tmp_path / "c.gz", lines)], 2.0)
    source.start(100 * SECOND)
    played = [source.poll(100 * SECOND + int(half * SECOND / 2)) for half in range(5)]
    assert [[frame.data for frame in frames] for frames in played[1:4]] == [
        [],
        [lines[2].partition(b'"data":')[2][:-1]],
        [b"not json"],
    ]
    assert played[3][0].stream is None
    assert played[4][0].wrapped == lines[4]
    status = source.status()
    assert (status.played, status.finished, status.not_json, status.gaps) == (5, True, 1, 0)
    assert source.wait_ns(200 * SECOND) is None
    assert source.book.update_id == 13


def test_a_cut_capture_plays_what_there_is_and_says_so(tmp_path):
    lines = [SNAPSHOT_LINE] + [
        depth_line(11 + i, 11 + i, qty=f"{i}.{i * 7919:05d}") for i in range(3000)
    ]
    path = written(tmp_path / "cut.gz", lines)
    path.write_bytes(path.read_bytes()[:-3000])
    source = CaptureSource([path], math.inf)
    while not source.status().finished:
        assert len(source.poll(0)) <= 1
    status = source.status()
    assert 100 < status.played == status.total < 3001
    assert "cut short" in status.truncated
