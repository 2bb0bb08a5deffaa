"""What `mm run --venue binance` asks the venue before anything starts: the command itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_venue import SmallVenue
from venue_process import venue

ROOT = Path(__file__).parents[1]
ENDPOINTS = ("MM_COLLECTOR__ENDPOINTS__REST_URL", "MM_COLLECTOR__ENDPOINTS__WS_URL")


@pytest.fixture(scope="module")
def addresses():
    with (
        venue("--market", "usdm", "--symbols", "BTCUSDT,ETHUSDT") as (_, usdm),
        venue("--market", "spot", "--symbols", "BTCUSDT,ETHUSDT") as (_, spot),
    ):
        yield {"usdm": usdm, "spot": spot}


def run(tmp_path, rest_url, ws_url, *options):
    environment = {
        **os.environ,
        "MM_RUNTIME__AERON__DIRECTORY": f"/dev/shm/mmquant-test-check-{os.getpid()}",
        "MM_RUNTIME__STATE_DIRECTORY": str(tmp_path / "var"),
        "MM_RUNTIME__LOGS__DIRECTORY": str(tmp_path / "logs"),
        **dict(zip(ENDPOINTS, (rest_url, ws_url), strict=True)),
    }
    command = [sys.executable, "-m", "mm_cli.main", "run", "--venue", "binance", *options]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def is_refused(done, tmp_path, *texts):
    assert done.returncode == 2, done.stderr
    for text in texts:
        assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "var").exists(), "nothing has been started"


@pytest.mark.parametrize("market", ["usdm", "spot"])
def test_a_wrong_symbol_is_refused_with_the_nearest_ones(addresses, tmp_path, market):
    address = addresses[market]
    urls = f"http://{address}", f"ws://{address}"
    done = run(tmp_path, *urls, "--market", market, "--symbol", "BTCUSD", "--symbol", "ETHUSDT")
    is_refused(done, tmp_path, f"BTCUSD is not listed on {market}; nearest: BTCUSDT")


def test_a_wrong_market_is_refused_with_the_right_one(addresses, tmp_path):
    address = addresses["spot"]
    done = run(tmp_path, f"http://{address}", f"ws://{address}", "--market", "usdm")
    is_refused(done, tmp_path, "endpoints.rest_url:", "is it of market 'spot'?")
    done = run(
        tmp_path, f"http://{addresses['usdm']}", f"ws://{address}/nothing", "--market", "usdm"
    )
    is_refused(done, tmp_path, "endpoints.ws_url:", "wss://fstream.binance.com")


def test_a_wrong_address_is_refused_with_the_nearest_one(addresses, tmp_path):
    done = run(tmp_path, "http://fapi.binance.invalid", "ws://127.0.0.1:9")
    is_refused(done, tmp_path, "endpoints.rest_url:", "did you mean fapi.binance.com?")
    done = run(tmp_path, f"http://{addresses['usdm']}", "ws://fstream.binance.invalid")
    is_refused(done, tmp_path, "endpoints.ws_url:", "did you mean fstream.binance.com?")


def test_a_venue_out_of_reach_is_said_and_the_run_goes_on(tmp_path):
    done = run(tmp_path, "http://127.0.0.1:9", "ws://127.0.0.1:9", "--duration", "2")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if "mm_collector tries again" in line]
    assert len(said) == 2
    assert all("127.0.0.1:9" in line and "refused" in line for line in said)


def test_a_venue_that_refuses_now_is_said_and_the_run_goes_on(tmp_path):
    small = SmallVenue(["BTCUSDT"])
    small.refusals += [(429, {"Retry-After": "1"})]
    small.handshakes += [(503, {})]
    try:
        done = run(tmp_path, small.rest_url, small.ws_url, "--market", "usdm", "--duration", "2")
    finally:
        small.close()
    assert done.returncode == 0, done.stderr
    assert "HTTP 429" in done.stdout
    assert "HTTP 503" in done.stdout
