"""Account kernels against their twin, and the profit identity to the last integer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_trading import ReferenceAccount

from mmquant.accounting import Account
from mmquant.kernels.accounting import (
    account_fill,
    account_from_position,
    account_mark,
    account_replay,
    account_to_position,
)
from mmquant.records import FILL, INSTRUMENT, POSITION
from mmquant.state import ACCOUNT, MAX_MARKOUTS

pytestmark = pytest.mark.kernels

HORIZON_NS = 50

MARK = st.tuples(st.just("mark"), st.integers(150, 250), st.integers(0, 40))
FILLED = st.tuples(
    st.just("fill"),
    st.sampled_from([1, -1]),
    st.integers(80, 120),
    st.integers(1, 9),
    st.integers(-50, 500),
    st.integers(0, 40),
)
EVENTS = st.lists(st.one_of(MARK, FILLED), max_size=60)


def position_of(account, now_ns):
    out = np.zeros(1, POSITION)
    account_to_position(account, 7, 3, 11, 2, now_ns, out)
    return out[0]


def run(events):
    """Feed both; yield the account, the twin and the time after each event."""
    account, twin, now = np.zeros(1, ACCOUNT), ReferenceAccount(), 1000
    for kind, *event in events:
        now += event[-1]
        if kind == "mark":
            account_mark(account, event[0], now)
            twin.mark(event[0], now)
        else:
            side, price, qty, ppm = event[:4]
            mark = twin.last_mark or 200
            fee = account_fill(account, side, price, qty, ppm, mark, now, HORIZON_NS)
            assert fee == twin.fill(side, price, qty, ppm, mark, now, HORIZON_NS)
        yield account, twin, now


@settings(deadline=None)  # the first call compiles
@given(EVENTS)
def test_every_number_is_that_of_the_twin_and_the_identity_is_exact(events):
    for account, twin, now in run(events):
        p = position_of(account, now)
        total = p["total_half_tick_lots"]
        parts = ("spread", "adverse_selection", "inventory")
        assert total == sum(int(p[f"{part}_half_tick_lots"]) for part in parts)
        assert total == twin.total()
        assert p["position_lots"] == twin.position
        assert p["spread_half_tick_lots"] == twin.spread()
        assert p["adverse_selection_half_tick_lots"] == twin.adverse_selection(now)
        assert p["inventory_half_tick_lots"] == twin.inventory(now)
        assert p["fees_micro_tick_lots"] == twin.fees
        assert p["fills"] == p["last_fill_id"] == len(twin.fills)
        assert account[0]["cost_half_tick_lots"] == twin.cost
        assert 2 * (p["realised_tick_lots"] + p["unrealised_tick_lots"]) == total
        if twin.position:
            assert p["average_price_ticks"] == twin.cost / (2 * twin.position)
        else:
            assert p["average_price_ticks"] == 0.0
            assert twin.cost == 0


@settings(deadline=None)  # the first call compiles
@given(EVENTS)
def test_an_account_restored_from_its_position_goes_on_alike(events):
    events = [*events, ("mark", 201, 1)]
    for account, _, now in run(events):
        before = np.zeros(1, POSITION)
        account_to_position(account, 7, 3, 11, 2, now, before)
        restored = np.zeros(1, ACCOUNT)
        account_from_position(before, restored)
        assert position_of(restored, now).tobytes() == before.tobytes()
    account_fill(account, 1, 100, 3, 10, 201, now + 1, HORIZON_NS)
    account_fill(restored, 1, 100, 3, 10, 201, now + 1, HORIZON_NS)
    assert (
        position_of(restored, now + 1)["total_half_tick_lots"]
        == (position_of(account, now + 1)["total_half_tick_lots"])
    )


def recorded_fills():
    fills = np.zeros(4, FILL)
    position = 0
    for i, (side, price, qty) in enumerate([(1, 100, 5), (1, 104, 5), (-1, 103, 12), (1, 99, 2)]):
        position += side * qty
        notional = price * qty
        fills[i]["now_ns"] = 1000 + i
        fills[i]["fill_id"] = i + 1
        fills[i]["price_ticks"] = price
        fills[i]["qty_lots"] = qty
        fills[i]["fee_micro_tick_lots"] = -3 * notional
        fills[i]["mark_half_ticks"] = 204 + i
        fills[i]["position_lots"] = position
        fills[i]["side"] = side
    return fills


def test_an_account_replayed_from_its_fills_has_position_spread_and_fees_exact():
    fills = recorded_fills()
    live = np.zeros(1, ACCOUNT)
    for f in fills:
        args = (int(f["side"]), int(f["price_ticks"]), int(f["qty_lots"]), -3)
        account_fill(live, *args, int(f["mark_half_ticks"]), int(f["now_ns"]), HORIZON_NS)
    replayed = Account.restore(HORIZON_NS, fills)
    here, there = replayed.position()[0], position_of(live, 1003)
    same = ["position_lots", "total_half_tick_lots", "spread_half_tick_lots", "last_fill_id"]
    for name in [*same, "fees_micro_tick_lots", "realised_tick_lots", "average_price_ticks"]:
        assert here[name] == there[name], name
    assert replayed.state[0]["markouts_dropped"] == 4


def test_a_replay_skips_the_fills_already_booked():
    fills = recorded_fills()
    half = Account.restore(HORIZON_NS, fills[:2])
    assert account_replay(half.state, fills) == 2
    assert half.position_lots == 0
    assert account_replay(half.state, fills) == 0


def test_a_replay_with_a_missing_fill_is_refused():
    with pytest.raises(ValueError, match="fill_id 3 where the fills before it lead to -7"):
        Account.restore(HORIZON_NS, np.delete(recorded_fills(), 1))


def test_the_markout_takes_the_last_mark_at_or_before_its_time():
    account = Account(HORIZON_NS)
    account.mark(200, 1000)
    account.fill(1, 99, 2, 0, 200, 1000)
    account.mark(190, 1049)
    account.mark(180, 1050)
    account.mark(184, 1050)
    assert account.state[0]["markouts"] == 0  # the time of the markout has not passed
    account.mark(300, 1051)
    assert account.state[0]["adverse_selection_half_tick_lots"] == 2 * (184 - 200)


def test_a_full_ring_drops_the_markout_and_counts_it():
    account, twin = np.zeros(1, ACCOUNT), ReferenceAccount()
    for i in range(MAX_MARKOUTS + 5):
        account_fill(account, 1, 100, 1, 0, 202, 1000, HORIZON_NS)
        twin.fill(1, 100, 1, 0, 202, 1000, HORIZON_NS)
        assert account[0]["markouts_dropped"] == max(0, i - MAX_MARKOUTS + 1)
    account_mark(account, 210, 1001)
    twin.mark(210, 1001)
    p = position_of(account, 2000)
    assert account[0]["markouts"] == MAX_MARKOUTS
    assert p["adverse_selection_half_tick_lots"] == twin.adverse_selection(2000)
    assert p["inventory_half_tick_lots"] == twin.inventory(2000)
    assert twin.dropped == 5


def test_a_time_that_goes_backwards_counts_as_the_latest():
    account = Account(HORIZON_NS)
    account.mark(200, 1000)
    account.mark(202, 900)
    assert account.state[0]["now_ns"] == 1000


def test_the_profit_adds_up_in_the_quote_currency():
    instrument = np.zeros(1, INSTRUMENT)
    instrument[0]["tick_size_e8"] = 10**6
    instrument[0]["lot_size_e8"] = 10**5
    account = Account(HORIZON_NS)
    account.mark(20_000, 0)
    account.fill(1, 9_990, 1000, 200, 20_000, 10)
    account.mark(19_998, 20)
    account.mark(20_010, 100)
    profit = account.profit(instrument)
    # 1 unit bought at 99.90 where the mid was 100, then 99.99, now 100.05; fee 0.02 percent.
    assert profit == pytest.approx(
        {
            "total": 0.15 - 0.01998,
            "spread": 0.10,
            "adverse_selection": -0.01,
            "inventory": 0.06,
            "fees": 0.01998,
            "funding": 0.0,
            "fee_revaluation": 0.0,
        }
    )


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"side": 2}, ValueError, "side must be 1"),
        ({"price_ticks": 0}, ValueError, "price_ticks must be between 1"),
        ({"price_ticks": 1.5}, TypeError, "price_ticks must be a whole number, got 1.5"),
        ({"qty_lots": -1}, ValueError, "qty_lots must be between 1"),
        ({"price_ticks": 2**40, "qty_lots": 2**20}, OverflowError, "too large to count exactly"),
    ],
)
def test_a_wrong_fill_is_refused_by_name(change, error, message):
    fill = {"side": 1, "price_ticks": 100, "qty_lots": 1, "fee_ppm": 0, "mark_half_ticks": 200}
    with pytest.raises(error, match=message):
        Account(HORIZON_NS).fill(**(fill | change), now_ns=0)
