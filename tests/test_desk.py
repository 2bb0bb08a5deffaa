"""The simulator service's desk: messages in; events, positions and the bracket out."""

import numpy as np
import pytest
from mm_runtime.agent import CannotStart
from mm_runtime.settings import SimulatorSettings
from mm_runtime.settings.simulator import BracketSettings, FundingSettings
from mm_simulator.desk import Desk
from simulating import instrument_with

from mmquant.codes import BookCode, BookState, FillKind, Market, Reason, Template
from mmquant.records import LEVEL, POSITION, QUOTES, TRADE
from mmquant.wire import Inbox, MessageBuffer

pytestmark = pytest.mark.kernels

MS = 1_000_000
NOW = 10**15
FEED = 30 * MS


def desk_with(now_ns=0, **changes):
    instrument = instrument_with(market=Market.USDM, now_ns=now_ns)
    return Desk(instrument, SimulatorSettings(**changes))


def snapshot(desk, bids, asks, now_ns, update_id=1, state=BookState.LIVE, late_ns=FEED):
    """Let a snapshot reach the desk, `late_ns` after the venue made it."""
    message = MessageBuffer(Template.BOOK_SNAPSHOT, (8, 8))
    block = message.block[0]
    block["now_ns"], block["venue_ns"] = now_ns, now_ns - late_ns
    block["instrument_id"], block["epoch"], block["last_update_id"] = 7, 3, update_id
    block["known_low_ticks"], block["known_high_ticks"] = 1, 10**6
    block["book_state"] = state
    for side, rows in enumerate((bids, asks)):
        message.set_group(side, np.array(rows, LEVEL))
    inbox = Inbox()
    inbox.receive(message.payload())
    return desk.on_market(inbox.words)


def quote(desk, bid, ask, now_ns):
    """Want these two, knowing of all that is known by now."""
    block, told = np.zeros(1, QUOTES), np.zeros(1, POSITION)
    told["last_fill_id"] = desk.main.account["last_fill_id"]
    desk.note_told(1, told[0])
    block[0]["now_ns"], block[0]["instrument_id"], block[0]["seq"] = now_ns, 7, 1
    block[0]["position_seq"] = 1
    desk.levels[:] = 0
    desk.levels[0], desk.levels[16] = (bid, 5), (ask, 5)
    desk.on_quotes(block)


def touch(desk, bid, ask, now_ns, update_id, epoch):
    """Let a best bid and offer reach the desk, which does not tell the venue's time."""
    message = MessageBuffer(Template.BEST_BID_OFFER)
    block = message.block[0]
    block["now_ns"], block["instrument_id"], block["epoch"] = now_ns, 7, epoch
    block["update_id"], block["bid_lots"], block["ask_lots"] = update_id, 9, 9
    block["bid_ticks"], block["ask_ticks"] = bid, ask
    inbox = Inbox()
    inbox.receive(message.payload())
    return desk.on_market(inbox.words)


def trade(desk, price, qty, aggressor, now_ns, late_ns=FEED):
    row = np.zeros(1, TRADE)[0]
    row["price_ticks"], row["qty_lots"], row["aggressor"] = price, qty, aggressor
    row["now_ns"], row["venue_ns"], row["trade_id"] = now_ns, now_ns - late_ns, 1
    desk.on_trade(row)


def test_a_quote_meets_the_market_after_feed_and_entry_latency_and_is_heard_of_later():
    desk = desk_with(entry_latency_ms=5.0, response_latency_ms=50.0)
    assert snapshot(desk, [(100, 40)], [(104, 40)], NOW) == BookCode.OK
    quote(desk, 101, 103, NOW)
    trade(desk, 101, 9, -1, NOW + 34 * MS)  # not there yet
    assert not desk.has_fills
    trade(desk, 101, 3, -1, NOW + 40 * MS)
    fills = [e for e in desk.pending if e["template_id"] == Template.FILL]
    assert [int(e["qty_lots"]) for e in fills] == [3]
    assert fills[0]["kind"] == FillKind.TOUCH
    assert fills[0]["now_ns"] == NOW + 40 * MS
    assert fills[0]["known_ns"] == NOW + 60 * MS  # 10 at the venue, and 50 back
    desk.tell_later(fills[0], NOW + 40 * MS)
    desk.tell_position_later(NOW + 40 * MS)
    assert not desk.is_due(NOW + 59 * MS)
    assert desk.is_due(NOW + 60 * MS)
    assert desk.outbox[1].is_position
    assert desk.outbox[1].record["position_lots"] == 3


def test_the_bracket_runs_beside_and_its_bounds_hold():
    desk = desk_with(bracket=BracketSettings(central="prob_power"))
    snapshot(desk, [(100, 40)], [(104, 40)], NOW)
    quote(desk, 100, 104, NOW)
    snapshot(desk, [(100, 80)], [(104, 40)], NOW + 100 * MS, 2)
    snapshot(desk, [(100, 40)], [(104, 40)], NOW + 200 * MS, 3)
    trade(desk, 100, 22, -1, NOW + 300 * MS)
    lots = {one.name: int(one.account[0]["position_lots"]) for one in desk.bracket}
    assert lots == {"optimistic": 5, "central": 2, "pessimistic": 0}
    assert int(desk.main.account[0]["position_lots"]) == 0
    desk.cancel_all(Reason.STOPPING)
    assert all(one.sim[0]["count"] == 0 for one in (desk.main, *desk.bracket))


@pytest.mark.parametrize("skew_ms", [0, -1270])
def test_the_same_model_beside_is_the_same_simulator_to_the_last_bit(skew_ms):
    """Each latency jittered, messages late by chance, books that are not live, a clock ahead."""
    values = {f"{name}_jitter": 0.8 for name in ("entry", "cancel", "response")}
    model = {"fill_model": "prob_draw", "bracket": BracketSettings(optimistic="cross")}
    desk = desk_with(**values, **model, response_latency_ms=40.0, fill_probability_factor=0.5)
    main, (_, same, _) = desk.main, desk.bracket
    rng, now = np.random.default_rng(5), NOW
    snapshot(desk, [(100, 40)], [(104, 40)], now)
    for k in range(2, 1_500):
        now += int(rng.integers(0, 30)) * MS
        late = (int(rng.integers(0, 50)) + skew_ms) * MS
        what, middle = rng.integers(10), 102 + int(rng.integers(-2, 3))
        if what < 4:
            sides = [
                [(middle + side * j, int(rng.integers(1, 60))) for j in (1, 2)] for side in (-1, 1)
            ]
            state = BookState.STALE if k % 50 == 0 else BookState.LIVE
            snapshot(desk, *sides, now, k, state, late)
        elif what < 5:
            touch(desk, middle - 1, middle + 1, now, k + 1, 3 if k % 3 else 2)
        elif what < 7:
            quote(desk, middle - 1, middle + 1, now)
        else:
            trade(desk, middle, int(rng.integers(1, 60)), 1 - 2 * int(rng.integers(2)), now, late)
        assert main.sim.tobytes() == same.sim.tobytes(), k
        assert main.account.tobytes() == same.account.tobytes(), k
    assert main.account[0]["fills"] > 50
    assert main.account[0]["fills"] != desk.bracket[0].account[0]["fills"]


def test_without_a_bracket_nothing_runs_beside():
    desk = desk_with(bracket=BracketSettings(enabled=False))
    assert desk.bracket == []


def test_nothing_is_filled_on_a_book_that_is_not_live():
    desk = desk_with()
    snapshot(desk, [(100, 40)], [(104, 40)], NOW)
    quote(desk, 101, 103, NOW)
    snapshot(desk, [(100, 40)], [(104, 40)], NOW + 50 * MS, 2)
    snapshot(desk, [(90, 40)], [(95, 40)], NOW + 60 * MS, 3, BookState.STALE)
    assert not desk.has_fills
    snapshot(desk, [(90, 40)], [(95, 40)], NOW + 70 * MS, 4)
    assert desk.has_fills


def test_a_best_bid_and_offer_of_an_earlier_time_does_not_fill_what_was_cancelled_since():
    desk = desk_with(entry_latency_ms=0.0, cancel_latency_ms=0.0)
    snapshot(desk, [(98, 40)], [(104, 40)], NOW, late_ns=0)
    quote(desk, 101, 110, NOW)
    quote(desk, 99, 110, NOW + 2)
    assert desk.main.sim[0]["gone"] == 1
    touch(desk, 98, 100, NOW + 1, 2, 3)
    assert not desk.has_fills
    assert desk.main.sim[0]["book_ns"] == NOW + 2


def test_funding_comes_after_what_arrived_before_and_before_what_comes_with_it():
    hour = 3600 * 10**9
    due = NOW - NOW % hour + hour
    funding = FundingSettings(rate_ppm=100.0, interval_h=1)
    desk = desk_with(due - 90 * MS, entry_latency_ms=5.0, funding=funding)
    snapshot(desk, [(100, 40)], [(104, 40)], due - 80 * MS)
    quote(desk, 101, 103, due - 60 * MS)
    trade(desk, 101, 5, -1, due - 20 * MS)  # five are held
    desk.pending.clear()
    quote(desk, 100, 103, due - 36 * MS)  # the clock stands at -20, so it arrives at +15
    snapshot(desk, [(100, 40)], [(108, 40)], due, 2)
    (paid,) = desk.paid
    assert (paid.time_ns, paid.rate_e8, paid.price_half_ticks) == (due, 10_000, 204)
    assert (paid.position_lots, paid.funding_micro_tick_lots) == (5, -5 * 102 * 100)
    assert desk.main.account[0]["funding_micro_tick_lots"] == -51_000
    assert desk.funded_ns == due
    desk.fund(due + hour - 1)
    assert len(desk.paid) == 1
    assert {e["now_ns"] < due for e in desk.pending} == {True}


def test_sums_near_the_end_of_their_range_stop_the_service():
    desk = desk_with()
    desk.check_range()
    desk.main.account[0]["fees_micro_tick_lots"] = -(2**62) - 1
    with pytest.raises(CannotStart, match="usdm:: fees_micro_tick_lots is near the end"):
        desk.check_range()
