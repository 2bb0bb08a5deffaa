"""Faults over real sockets: what a client and a request see of each, and the true book beside."""

import asyncio
import contextlib
import json
import time

import pytest
from reference_venue import NaiveBook
from venue_process import get, post, venue
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, PayloadTooBig

STREAM = "btcusdt@depth@100ms"
SPOT_DEPTH = "/api/v3/depth?symbol=BTCUSDT&limit=5000"


@pytest.fixture(scope="module")
def spot():
    with venue("--market", "spot", "--symbols", "BTCUSDT,ETHUSDT") as (_, address):
        yield address


@pytest.fixture(scope="module")
def usdm():
    with venue("--market", "usdm", "--symbols", "BTCUSDT,ETHUSDT") as (_, address):
        yield address


async def inject(address, **fault):
    status, body = await asyncio.to_thread(post, address, **fault)
    assert status == 200, body
    return body["id"]


async def ask(address, target):
    return await asyncio.to_thread(get, address, target)


def listening(address, *streams, **options):
    return connect(f"ws://{address}/stream?streams={'/'.join(streams or [STREAM])}", **options)


async def closing_of(socket_):
    async def end():
        while True:
            await socket_.recv()

    with pytest.raises(ConnectionClosedError) as caught:
        await asyncio.wait_for(end(), 10)
    return caught.value


def test_bad_faults_are_refused_and_good_ones_listed(spot):
    status, body = post(spot, kind="dorp")
    assert status == 400
    assert "kind must be one of drop" in body["msg"]
    status, body = post(spot, kind="drop", symbol="NOPE")
    assert "BTCUSDT, ETHUSDT" in body["msg"]
    before = get(spot, "/debug/faults")[1]["injected"]
    number = post(spot, kind="drop", symbol="ETHUSDT", stream="trade", count=4)[1]["id"]
    listed = get(spot, "/debug/faults")[1]
    assert listed["injected"] == before
    assert listed["active"][-1] == {
        "id": number,
        "kind": "drop",
        "symbol": "ETHUSDT",
        "left": 4,
        "began": False,
    }
    deleted = asyncio.run(_delete(spot))
    assert json.loads(deleted)["cleared"] >= 1
    assert get(spot, "/debug/faults")[1]["active"] == []


async def _delete(address):
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"DELETE /debug/faults HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n\r\n")[2]


def test_a_reset_takes_the_symbol_s_connections_only(usdm):
    async def clients():
        async with listening(usdm) as btc, listening(usdm, "ethusdt@depth@100ms") as eth:
            await btc.recv()
            await inject(usdm, kind="disconnect", symbol="BTCUSDT")
            closed = await closing_of(btc)
            assert closed.rcvd is None
            assert isinstance(closed.__cause__, ConnectionResetError)
            before = await eth.recv()
            assert json.loads(before)["data"]["s"] == "ETHUSDT"

    asyncio.run(clients())


def test_silence_loses_what_was_due_and_answers_nothing(usdm):
    async def client():
        async with listening(usdm) as socket_:
            event = json.loads(await socket_.recv())["data"]
            began = time.monotonic()
            await inject(usdm, kind="silence", duration_ms=2500)
            with contextlib.suppress(TimeoutError):
                while True:  # what was on its way
                    event = json.loads(await asyncio.wait_for(socket_.recv(), 0.4))["data"]
            pong = await socket_.ping()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(pong), 0.2)
            later = json.loads(await socket_.recv())["data"]
            assert time.monotonic() - began > 2.4
            assert later["pu"] > event["u"]
            await asyncio.wait_for(pong, 2)

    asyncio.run(client())


@pytest.mark.parametrize("combined", [True, False])
def test_a_shutdown_is_announced_and_comes(spot, combined):
    async def client():
        path = f"stream?streams={STREAM}" if combined else f"ws/{STREAM}"
        async with connect(f"ws://{spot}/{path}") as socket_:
            await inject(spot, kind="server_shutdown", duration_ms=300)
            while True:
                message = json.loads(await socket_.recv())
                if combined and message["stream"] == "!serverShutdown":
                    message = message["data"]
                if message.get("e") == "serverShutdown":
                    break
            assert list(message) == ["e", "E"]
            began = time.monotonic()
            try:
                while True:
                    await asyncio.wait_for(socket_.recv(), 5)
            except Exception as closed:
                assert closed.rcvd.code == 1001  # noqa: PT017
            assert time.monotonic() - began > 0.2

    asyncio.run(client())


def test_the_24_hour_cut_garbage_truncated_and_oversized_frames(spot):
    async def client():
        async with listening(spot) as socket_:
            await inject(spot, kind="garbage", count=2)
            await inject(spot, kind="truncated", count=1)
            unreadable = 0
            for _ in range(10):
                try:
                    json.loads(await socket_.recv())
                except json.JSONDecodeError:
                    unreadable += 1
            assert unreadable == 3
            await inject(spot, kind="oversized", size=2_000_000)
            closed = await closing_of(socket_)
            assert closed.sent.code == 1009
            assert isinstance(closed.__cause__, PayloadTooBig)
        async with listening(spot) as socket_:
            await inject(spot, kind="day_cut")
            assert (await closing_of(socket_)).rcvd.reason == "24 hours are over"

    asyncio.run(client())


def test_rest_faults(usdm):
    depth = "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"
    post(usdm, kind="failing_rest", status=502)
    assert get(usdm, depth)[:2] == (
        502,
        {"code": -1001, "msg": "Internal error; unable to process your request."},
    )
    post(usdm, kind="rate_limit", status=418, retry_after_s=7, symbol="BTCUSDT")
    assert get(usdm, "/fapi/v1/ping")[0] == 200
    status, body, headers = get(usdm, depth)
    assert (status, body["code"], headers["Retry-After"]) == (418, -1003, "7")
    assert "banned until" in body["msg"]
    post(usdm, kind="rate_limit")
    status, body, headers = get(usdm, depth)
    assert (status, headers["Retry-After"]) == (429, "1")
    assert "2400 request weight" in body["msg"]
    post(usdm, kind="slow_rest", duration_ms=400)
    began = time.monotonic()
    assert get(usdm, depth)[0] == 200
    assert time.monotonic() - began > 0.4
    post(usdm, kind="clock_skew", offset_ms=-60_000, duration_ms=400)
    assert time.time() * 1000 - get(usdm, "/fapi/v1/time")[1]["serverTime"] > 55_000


def test_snapshots_behind_and_ahead_of_the_stream(spot):
    async def client():
        async with listening(spot) as socket_:
            first = json.loads(await socket_.recv())["data"]
            for _ in range(5):
                await socket_.recv()
            await inject(spot, kind="stale_snapshot", age_ms=3000)
            _, stale, _ = await ask(spot, SPOT_DEPTH)
            assert stale["lastUpdateId"] < first["U"]
            target = f"/debug/book?symbol=BTCUSDT&limit=5000&update_id={stale['lastUpdateId']}"
            _, true, _ = await ask(spot, target)
            assert (true["bids"], true["asks"]) == (stale["bids"], stale["asks"])
            await inject(spot, kind="snapshot_ahead", duration_ms=600)
            asked = asyncio.create_task(ask(spot, SPOT_DEPTH))
            events = []
            while not asked.done():
                try:
                    received = await asyncio.wait_for(socket_.recv(), 0.02)
                except TimeoutError:
                    continue
                events.append(json.loads(received)["data"])
            snapshot = (await asked)[1]
            assert all(event["u"] < snapshot["lastUpdateId"] for event in events)
            book = NaiveBook(snapshot, usdm=False)
            while book.first:  # what comes is at first older than the snapshot, and loses nothing
                event = json.loads(await socket_.recv())["data"]
                book.apply(event)
            target = f"/debug/book?symbol=BTCUSDT&limit=50&update_id={book.id}"
            _, true, _ = await ask(spot, target)
            shown = [[(float(p), float(q)) for p, q in true[side]] for side in ("bids", "asks")]
            assert tuple(shown) == book.top(50)

    asyncio.run(client())


def test_the_true_book_of_a_forgotten_id_is_404_with_the_range(spot):
    status, body, _ = get(spot, "/debug/book?symbol=BTCUSDT&update_id=5")
    assert status == 404
    assert 5 < body["first"] <= body["last"]
    now = get(spot, "/debug/book?symbol=BTCUSDT")[1]["update_id"]
    past = get(spot, f"/debug/book?symbol=BTCUSDT&update_id={body['first']}")
    assert (past[0], past[1]["update_id"]) == (200, body["first"])
    assert get(spot, f"/debug/book?symbol=BTCUSDT&update_id={now}")[0] == 200
    assert get(spot, "/debug/book?symbol=BTCUSDT&update_id=x")[0] == 400


def test_faults_by_seed_come_at_once_and_the_venue_lives(tmp_path):
    schedule = tmp_path / "faults.jsonl"
    schedule.write_text('{"at_ms": 0, "kind": "garbage"}\n')
    options = {"max_size": None, "close_timeout": 0.1}

    async def client(address):
        seen = 0
        deadline = time.monotonic() + 2.5
        while time.monotonic() < deadline:
            try:
                async with listening(address, STREAM, "btcusdt@trade", **options) as socket_:
                    while time.monotonic() < deadline:
                        await asyncio.wait_for(socket_.recv(), 0.5)
                        seen += 1
            except (ConnectionClosedError, TimeoutError, OSError):
                continue
            except Exception as closed:
                assert type(closed).__name__ == "ConnectionClosedOK"  # noqa: PT017
        return seen

    arguments = ("--fault-seed", 5, "--fault-rate", 40, "--faults", schedule)
    with venue("--market", "usdm", *arguments) as (process, address):
        assert asyncio.run(client(address)) > 5
        faults = get(address, "/debug/faults")[1]
        assert sum(faults["injected"].values()) > 15
        process.terminate()
        assert process.wait(5) == 0
        assert process.stderr.read() == ""
