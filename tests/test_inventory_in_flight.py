"""How far fills in flight carry the position beyond its limit: no farther than docs/risk.md says.

Strategy and simulator as services on a bus in memory, over a random market and slow ways.
"""

from bisect import bisect_right
from collections import Counter
from contextlib import closing

import numba
import pytest
from mm_runtime.session_file import Kind, SessionFile
from mm_runtime.settings import RateSettings, SimulatorSettings, StrategySettings
from recorded_session import record_session

from mmquant.codes import OrderStatus, Stream
from mmquant.wire import decode

pytestmark = pytest.mark.kernels

MS = 1_000_000
LIMIT_LOTS = 20
STEP_NS = 40 * MS  # the market's clock moves on by up to this much from turn to turn
ENDS = {OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED}


class Session:
    """What was said on streams 15 and 16, by the market's clock."""

    def __init__(self, folder):
        self.quotes, self.fills, self.orders = [], [], {}
        for path in folder.glob("streams-*.mms"):
            with closing(SessionFile(path)) as file:
                items = [item for item in file if item.kind == Kind.MESSAGE]
            for item in items:
                if item.stream in (Stream.QUOTES, Stream.FILLS):
                    self._take(*decode(item.payload))

    def _take(self, template, block, groups):
        if template.name == "QUOTES":
            self.quotes.append((block["now_ns"], groups))
        elif template.name == "FILL":
            self.fills.append(block)
        else:
            order = self.orders.setdefault(block["order_id"], {"from": block["now_ns"]} | block)
            if block["status"] in ENDS:
                order["until"] = block["now_ns"]

    def wanted_prices(self, side, now_ns):
        """Return the prices of a side in the newest quotes of that time."""
        k = bisect_right([at for at, _ in self.quotes], now_ns)
        groups = self.quotes[k - 1][1] if k else {}
        return {level["price_ticks"] for level in groups.get("bids" if side > 0 else "asks", ())}

    def wanted_no_longer(self, fill, way_ns):
        """Return the lots of a side that stood within one way and back, and are not wanted now."""
        now_ns, side = fill["now_ns"], fill["side"]
        prices = self.wanted_prices(side, now_ns)
        return sum(
            order["qty_lots"]
            for order in self.orders.values()
            if order["side"] == side
            and order["from"] <= now_ns
            and order.get("until", now_ns) >= now_ns - way_ns
            and order["price_ticks"] not in prices
        )


@pytest.mark.parametrize("seed", [1] if numba.config.DISABLE_JIT else [1, 2, 3])
@pytest.mark.parametrize("way_ms", [1.0, 60.0])
def test_the_position_goes_beyond_its_limit_by_what_is_wanted_no_longer_at_most(
    tmp_path, way_ms, seed
):
    ways = ("entry_latency_ms", "cancel_latency_ms", "response_latency_ms")
    config = StrategySettings(
        levels=2,
        position_limit_qty="0.020",
        requote_ticks=1,
        republish_interval_ms=20,
        rates=RateSettings(orders_per_s=10_000, order_burst=10_000),
    )
    simulator = SimulatorSettings(**dict.fromkeys(ways, way_ms))
    folder = record_session(tmp_path, 200, seed, simulator=simulator, config=config)
    session = Session(folder)
    way_ns = round(3 * way_ms * MS) + STEP_NS
    seen = Counter()
    for fill in session.fills:
        position = fill["position_lots"] * fill["side"]  # on the side of the fill
        if position <= LIMIT_LOTS:
            seen["within"] += 1
            continue
        seen["beyond"] += 1
        assert position <= LIMIT_LOTS + session.wanted_no_longer(fill, way_ns), fill
    assert seen["within"] > 20
    assert seen["beyond"] > 0 or way_ms < 20  # or nothing was shown
