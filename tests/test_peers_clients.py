"""Clients nobody here wrote, pointed at the offline venue by address: their books equal its own.

Each gets an environment of its own below var/peers, made once from PyPI.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from venue_process import get, venue

pytestmark = pytest.mark.peers

ROOT = Path(__file__).parents[1]
PEERS = ROOT / "var" / "peers"
SECONDS = 4
INSTALL_S = 300
SETTLING = 5  # states before a client with a lax first event is in step


@pytest.fixture(scope="module")
def peer():
    """Return a function: a package's name -> its interpreter; skips where it cannot be had."""

    def interpreter(package):
        folder = PEERS / package
        python = folder / "bin" / "python"
        mark = folder / "installed"
        if not mark.exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            command = [python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", package]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S)
            except subprocess.TimeoutExpired:
                pytest.skip(f"{package} could not be installed within {INSTALL_S} s")
            if done.returncode:
                last = done.stderr.strip().splitlines()[-1:]
                pytest.skip(f"{package} cannot be had from PyPI here: {last}")
            mark.touch()
        return python

    return interpreter


def states_of(python, script, *arguments):
    """Run a client against the venue; return what it printed, a state a line."""
    command = [python, ROOT / "tests" / "peers" / script, *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def compare(states, address):
    """Hold each state against the venue's true book at its id; return how many were equal."""

    def true(state):
        query = f"symbol={state['symbol']}&update_id={state['update_id']}&limit=5000"
        status, body, _ = get(address, f"/debug/book?{query}")
        assert status == 200, body
        return body

    equal = 0
    for state in states:
        book = true(state)
        for side in ("bids", "asks"):
            shown = [(float(p), float(q)) for p, q in state[side]]
            assert shown == [(float(p), float(q)) for p, q in book[side]], state["update_id"]
        equal += 1
    return equal


@pytest.mark.parametrize("market", ["spot", "usdm"])
def test_ccxt_s_books_are_the_venue_s(peer, market):
    symbols = ["BTCUSDT", "ETHUSDT"]
    python = peer("ccxt")
    with venue("--market", market, "--symbols", ",".join(symbols)) as (_, address):
        states = states_of(python, "ccxt_book.py", address, market, SECONDS, *symbols)
        assert compare(states, address) > 20
    assert {state["symbol"] for state in states} == {*symbols}


def test_python_binance_s_book_is_the_venue_s(peer):
    python = peer("python-binance")
    with venue("--market", "spot") as (_, address):
        script = "python_binance_book.py"
        states = states_of(python, script, address, "spot", SECONDS, "BTCUSDT")
        assert compare(states[SETTLING:], address) > 20
