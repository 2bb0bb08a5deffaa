"""The same tape, strategy, latencies and queue model in hftbacktest: equal fills and money.

Orders of one lot, so that none is filled in parts; the risk-averse queue; post-only orders that
join the best prices each 100 ms. hftbacktest gets an environment of its own below var/peers.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import peers
from benchmarks.simulator import batched, market_rows, play, play_peer, to_words
from mmquant import MarketParameters

pytestmark = pytest.mark.peers

SAME = ("orders", "fills", "position", "balance")


@pytest.fixture(scope="module")
def python():
    """Return the interpreter that has hftbacktest; skip where it cannot be had."""
    found = peers.venv("hftbacktest", ["hftbacktest==2.4.4"])
    if found is None:
        pytest.skip("hftbacktest cannot be had from PyPI here")
    return found


@pytest.mark.parametrize(("seconds", "in_batches"), [(400, False), (1_200, True)])
def test_orders_fills_position_and_money_are_hftbacktests(python, seconds, in_batches):
    rows = market_rows(seconds, parameters=MarketParameters())  # hftbacktest ends on denser ones
    rows = batched(rows) if in_batches else rows
    assert len(rows) >= (300_000 if in_batches else 150_000)
    _, ours = play(to_words(rows))
    theirs = play_peer(python, rows)
    assert theirs["end_code"] == 1, "hftbacktest gave up before the last row"
    assert {name: ours[name] for name in SAME} == {name: theirs[name] for name in SAME}
    assert ours["fills"] > 1_000
    assert ours["fees"] == pytest.approx(theirs["fees"], rel=1e-12)
