"""One market, recorded live and traded again as a tape: which streams are equal, and which not."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import recorded_session
from mm_cli.verify import verify_session
from mm_runtime.session_file import Kind, SessionFile
from recorded_session import SmallMarket, record_session

from mmquant import backtest
from mmquant.codes import Market, Side, Stream, TapeKind, Template
from mmquant.records import LEVEL
from mmquant.state import TAPE_EVENT
from mmquant.tape import Tape, TapeInstrument
from mmquant.wire import decode

pytestmark = pytest.mark.kernels
CONFIG = Path(__file__).parents[1] / "config"
CHANGED = {
    "warmup_s = 1.0": "warmup_s = 0.1",
    'drift = "ewma"': 'drift = "signals"',
    "touch_imbalance_ticks_per_s = 0.0": "touch_imbalance_ticks_per_s = 0.7",
    "touch_flow_ticks_per_s_per_lot = 0.0": "touch_flow_ticks_per_s_per_lot = -0.003",
    "microprice_ticks_per_s_per_tick = 0.0": "microprice_ticks_per_s_per_tick = 0.11",
}
STEPS = 160  # before the market loses its first delta, which a tape says otherwise
# Not trade_flow_imbalance: live a turn takes in all its trades first, then what the book did.
SEEN = (
    "bid_ticks",
    "bid_lots",
    "ask_ticks",
    "ask_lots",
    "microprice_ticks",
    "fair_value_ticks",
    "volatility_ticks_per_sqrt_s",
    "drift_ticks_per_s",
    "ewma_drift_ticks_per_s",
    "signal_drift_ticks_per_s",
    "mid_ticks",
    "depth_imbalance",
    "touch_imbalance",
    "order_flow_lots",
    "touch_flow_lots",
    "basis_bps",
    "flags",
    "book_state",
)


def heard(session, *streams):
    """Return what the recorder heard of some streams, in order of the messages' time."""
    file = SessionFile(next(session.glob("streams-*.mms")))
    items = [item for item in file if item.kind == Kind.MESSAGE and item.stream in streams]
    file.close()
    return sorted((decode(item.payload) for item in items), key=lambda found: found[1]["now_ns"])


def row_of(template, block, groups):
    """Return kind, id, bids and asks of a message of the market."""
    if template is Template.TRADE:
        level = [(block["price_ticks"], block["qty_lots"])]
        is_buy = block["aggressor"] == Side.BUY
        return TapeKind.TRADE, block["trade_id"], level * is_buy, level * (not is_buy)
    if template is Template.BEST_BID_OFFER:
        sides = [[(block[f"{side}_ticks"], block[f"{side}_lots"])] for side in ("bid", "ask")]
        return TapeKind.BBO, block["update_id"], *sides
    assert template is Template.BOOK_SNAPSHOT
    sides = [[(row["price_ticks"], row["qty_lots"]) for row in side] for side in groups.values()]
    return TapeKind.SNAPSHOT, block["last_update_id"], *sides


def tape_of(session):
    """Return the market of a session as a tape: received when the collector sent it."""
    events, levels = [], []
    for template, block, groups in heard(session, Stream.MARKET_DATA, Stream.TRADES):
        kind, update_id, bids, asks = row_of(template, block, groups)
        now_ns = int(block["now_ns"])
        sizes = (len(levels), len(bids), len(asks))
        events.append((now_ns, int(block["venue_ns"]), int(update_id), *sizes, 0, int(kind), 0))
        levels += [*bids, *asks]
    instrument = TapeInstrument("BTCUSDT", Market.USDM, 10_000_000, 100_000)
    return Tape(np.array(events, TAPE_EVENT), np.array(levels, LEVEL), [instrument], "a session")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of settings: the services' own, soon warm, with a drift of signals."""
    folder = tmp_path_factory.mktemp("settings")
    for path in CONFIG.glob("*.toml"):
        shutil.copy(path, folder)
    text = (folder / "pricing.toml").read_text()
    for old, new in CHANGED.items():
        assert text.count(f"\n{old}\n") == 1
        text = text.replace(f"\n{old}\n", f"\n{new}\n")
    (folder / "pricing.toml").write_text(text)
    return folder


class HeardMarket(SmallMarket):
    """A market whose collector is heard before its first price, as a tape's always is."""

    is_heard = False

    def step(self):
        """Beat alone at first: of prices without a heartbeat live estimates learn nothing."""
        if self.is_heard:
            super().step()
        else:
            self.beat()
            self.is_heard = True


def test_a_session_verified_live_is_priced_the_same_in_a_backtest(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(recorded_session, "SmallMarket", HeardMarket)
    session = record_session(tmp_path, STEPS, pricing_dir=folder)
    live = verify_session(session, lambda turns, service: None)
    assert live.verdict == "EQUAL"
    assert set(live.messages) >= {"pricing", "quotes", "fills", "positions"}

    config = backtest.load_config(folder)
    result = backtest.run(tape_of(session), config=config, sample_ms=0.001)
    samples = result.instrument().samples
    # Prices that a message made, by its time; those that are only repeated follow other timers.
    prices = {
        int(block["now_ns"]): block
        for _, block, _ in heard(session, Stream.PRICING)
        if block["frame_ns"]
    }
    times = samples["now_ns"].tolist()
    both = [row for row, now_ns in enumerate(times) if now_ns in prices]
    assert len(both) == len(prices) > STEPS // 2
    for name in SEEN:
        assert samples[name][both].tolist() == [prices[times[row]][name] for row in both], name
    assert samples["drift_ticks_per_s"].tolist() == samples["signal_drift_ticks_per_s"].tolist()
    assert len(set(samples["drift_ticks_per_s"].tolist())) > STEPS // 10
