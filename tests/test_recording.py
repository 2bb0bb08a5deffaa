"""The raw recording: what comes is in the files, nothing waits for the disk, others read it."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import orjson
import pytest
from mm_collector import recording
from mm_collector.recording import Recorder
from mm_venue.replay import CaptureSource
from small_venue import SmallVenue

from mmquant.codes import Market
from mmquant.tape import read_capture, scan_capture

ROOT = Path(__file__).parents[1]
HOUR_NS = 3_600_000_000_000
START_NS = 1_770_000_000_000_000_000 // HOUR_NS * HOUR_NS + HOUR_NS - 2_000_000_000


def depth(first, last, previous):
    data = {"e": "depthUpdate", "E": 1_770_000_000_000, "T": 1_770_000_000_000, "s": "BTCUSDT"}
    data |= {"U": first, "u": last, "pu": previous}
    data |= {"b": [["99.0", f"{last}.000"]], "a": [["101.0", "1.000"]]}
    return orjson.dumps({"stream": "btcusdt@depth@100ms", "data": data})


def trade(trade_id):
    data = {"e": "trade", "E": 1_770_000_000_000, "T": 1_770_000_000_000, "s": "BTCUSDT"}
    data |= {"t": trade_id, "p": "100.0", "q": "0.010", "X": "MARKET", "m": True}
    return orjson.dumps({"stream": "btcusdt@trade", "data": data})


SNAPSHOT = orjson.dumps(
    {
        "lastUpdateId": 12,
        "E": 1_770_000_000_000,
        "T": 1_770_000_000_000,
        "bids": [["98.0", "1.000"]],
        "asks": [["102.0", "1.000"]],
    }
)


def record(directory, symbols=("BTCUSDT",)):
    """Record four seconds around the full hour: one depth and one trade each 100 ms."""
    recorder = Recorder(directory, "usdm", 1 << 20)
    for symbol in symbols:
        recorder.mark(symbol, START_NS, "opened", "")
    for i in range(40):
        now_ns = START_NS + i * 100_000_000
        for symbol in symbols:
            for frame in (depth(10 * i + 1, 10 * i + 8, 10 * i - 2), trade(i + 1)):
                named = frame.replace(b"BTC", symbol[:3].encode())
                named = named.replace(b"btc", symbol[:3].lower().encode())
                recorder.frame(symbol, now_ns, named)
            if i == 2:
                recorder.frame(symbol, now_ns + 1, SNAPSHOT)
                recorder.mark(symbol, now_ns + 2, "live", "synchronised at 18")
    recorder.close()
    return recorder


def test_frames_are_in_hourly_files_as_they_came(tmp_path):
    recorder = record(tmp_path, ("BTCUSDT", "ETHUSDT"))
    files = sorted(path.name for path in tmp_path.iterdir())
    assert [name[:13] for name in files] == ["usdm_btcusdt_"] * 2 + ["usdm_ethusdt_"] * 2
    lines = list(read_capture(sorted(tmp_path.glob("*btc*"))))
    assert len(lines) == 40 * 2 + 3
    assert recorder.written == 2 * len(lines)
    assert (START_NS + 200_000_000, depth(21, 28, 18)) in lines
    assert [stamp for stamp, _ in lines] == sorted(stamp for stamp, _ in lines)
    first_hour = list(read_capture([sorted(tmp_path.glob("*btc*"))[0]]))
    assert {stamp // HOUR_NS for stamp, _ in first_hour} == {START_NS // HOUR_NS}


def test_our_own_replay_plays_a_recording(tmp_path):
    record(tmp_path)
    paths = sorted(tmp_path.iterdir())
    info = scan_capture(paths)
    assert (info.market, info.symbol, info.malformed) == (Market.USDM, "BTCUSDT", 0)
    source = CaptureSource(paths, float("inf"))
    source.start(0)
    frames = []
    while not source.status().finished:
        frames += source.poll(0)
    assert source.book_ready()
    assert source.status().gaps == 0
    assert source.status().not_json == 0
    assert source.book.update_id == 398
    assert sum(frame.stream == "btcusdt@marker" for frame in frames) == 2


def test_hftbacktest_converts_a_recording(tmp_path):
    python = ROOT / "var" / "peers" / "hftbacktest" / "bin" / "python"
    if not python.exists():
        pytest.skip("no var/peers/hftbacktest: python -m venv there and pip install hftbacktest")
    record(tmp_path)
    script = (
        "import sys, json, numpy as np\n"
        "from hftbacktest.data.utils import binancefutures\n"
        "out = [binancefutures.convert(p, buffer_size=10_000) for p in sys.argv[1:]]\n"
        "rows = np.concatenate(out)\n"
        "kinds = rows['ev'] & 0xff\n"
        "counts = zip(*np.unique(kinds, return_counts=True))\n"
        "print(json.dumps({int(k): int(n) for k, n in counts}))\n"
    )
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    run = subprocess.run(
        [str(python), "-c", script, *paths], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    kinds = json.loads(run.stdout.splitlines()[-1])
    # 1 depth, 2 trade, 3 depth cleared, 4 snapshot level, as hftbacktest numbers its events
    assert kinds == {"1": 80, "2": 40, "3": 2, "4": 2}


def test_a_full_queue_drops_counts_and_says_so_in_the_file(tmp_path, monkeypatch):
    gate = threading.Event()
    write = recording._HourFile.write

    def slow(self, line):
        gate.wait(10)
        write(self, line)

    monkeypatch.setattr(recording._HourFile, "write", slow)
    recorder = Recorder(tmp_path, "usdm", 10_000)
    for i in range(100):
        recorder.frame("BTCUSDT", START_NS + i, b'{"x":"%s"}' % (b"y" * 490))
    assert recorder.dropped >= 75
    gate.set()
    deadline = time.monotonic() + 10
    while recorder._queued_bytes and time.monotonic() < deadline:
        time.sleep(0.001)
    recorder.frame("BTCUSDT", START_NS + 200, b"{}")
    recorder.close()
    payloads = [payload for _, payload in read_capture(list(tmp_path.iterdir()))]
    assert len(payloads) == 100 - recorder.dropped + 2
    marker = json.loads(payloads[-2])["data"]
    assert (marker["kind"], marker["text"]) == ("dropped", f"{recorder.dropped} lines")


def test_a_disk_that_refuses_is_counted_and_does_not_stop_the_feed(tmp_path, caplog):
    recorder = Recorder(tmp_path / "recordings", "usdm", 1 << 20)
    shutil.rmtree(tmp_path / "recordings")
    for i in range(10):
        recorder.frame("BTCUSDT", START_NS + i, b"{}")
    recorder.close()
    assert (recorder.written, recorder.dropped) == (0, 10)
    assert caplog.text.count("cannot record") == 1


def test_a_second_recording_of_the_same_hour_is_a_file_of_its_own(tmp_path):
    for _ in range(2):
        recorder = Recorder(tmp_path, "spot", 1 << 20)
        recorder.frame("BTCUSDT", START_NS, b"{}")
        recorder.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    assert [gzip.open(path).read() for path in files] == [b"%d {}\n" % START_NS] * 2


def test_a_line_end_in_a_payload_forges_no_line(tmp_path):
    recorder = Recorder(tmp_path, "spot", 1 << 20)
    recorder.frame("BTCUSDT", START_NS, b'{"a":\n1}')
    recorder.close()
    assert [payload for _, payload in read_capture(list(tmp_path.iterdir()))] == [b'{"a": 1}']


def test_mm_record_records_a_venue_and_nothing_else_runs(tmp_path):
    venue = SmallVenue(["BTCUSDT", "ETHUSDT"])
    environ = {
        **os.environ,
        "MM_COLLECTOR__ENDPOINTS__REST_URL": venue.rest_url,
        "MM_COLLECTOR__ENDPOINTS__WS_URL": venue.ws_url,
        "MM_RUNTIME__LOGS__DIRECTORY": str(tmp_path / "logs"),
    }
    command = [sys.executable, "-m", "mm_cli.main", "record", "--duration", "3"]
    command += ["--symbol", "btcusdt", "--symbol", "ETHUSDT", "--directory", str(tmp_path / "raw")]
    command += ["--json", str(tmp_path / "told.json")]
    try:
        run = subprocess.run(
            command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=120
        )
    finally:
        venue.close()
    assert run.returncode == 0, run.stderr
    assert "0 dropped, 0 gaps, 1 connections" in run.stdout.splitlines()[-1]
    for symbol in ("btcusdt", "ethusdt"):
        paths = sorted((tmp_path / "raw").glob(f"usdm_{symbol}_*.gz"))
        info = scan_capture(paths)
        assert (info.symbol, info.snapshots) == (symbol.upper(), 1)
        assert info.streams[f"{symbol}@depth@100ms"] > 10
        assert info.streams[f"{symbol}@marker"] >= 3
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["files"] == sorted(path.name for path in (tmp_path / "raw").iterdir())
    assert told["lines"] > 20
    assert (told["state"], told["symbols"]) == ("READY", ["BTCUSDT", "ETHUSDT"])


def test_mm_record_that_hears_nothing_says_why_and_fails(tmp_path):
    environ = {
        **os.environ,
        "MM_COLLECTOR__ENDPOINTS__REST_URL": "http://127.0.0.1:9",  # nobody is there
        "MM_RUNTIME__LOGS__DIRECTORY": str(tmp_path / "logs"),
        "NUMBA_DISABLE_JIT": "1",
    }
    command = [sys.executable, "-m", "mm_cli.main", "record", "--duration", "1"]
    command += ["--directory", str(tmp_path / "raw"), "--json", str(tmp_path / "told.json")]
    run = subprocess.run(
        command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 2
    words = "mm: nothing was recorded in 1 s: NO_INSTRUMENT exchangeInfo: 127.0.0.1:9: "
    assert run.stderr.splitlines()[-1].startswith(words), run.stderr
    told = json.loads((tmp_path / "told.json").read_text())
    assert (told["lines"], told["files"], told["reason"]) == (0, [], "NO_INSTRUMENT")
