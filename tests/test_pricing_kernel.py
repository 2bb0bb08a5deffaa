"""The pricing kernel against its twin over random messages, and each rule by hand."""

import math

import numpy as np
import pytest
import reference_pricing
from hypothesis import given, settings
from hypothesis import strategies as st

import mmquant
from mmquant.codes import BookState, PricingFlag, Template
from mmquant.kernels import wire
from mmquant.kernels.pricing import NEED_SNAPSHOT, PUBLISH, QUIET, pricing_refresh, pricing_step
from mmquant.records import PRICING
from mmquant.state import BOOK, PRICING_PARAMS, PRICING_STATE
from mmquant.wire import encode

pytestmark = pytest.mark.kernels

S = 10**9
LIVE, WARM, FROM_BBO = PricingFlag.LIVE, PricingFlag.WARM, PricingFlag.TOUCH_FROM_BBO
STALE, LOST, JUMP = PricingFlag.STALE, PricingFlag.GAP, PricingFlag.JUMP
PARAMS = {
    "volatility_half_life_ns": 4 * S,
    "drift_half_life_ns": 9 * S,
    "warmup_ns": 3 * S,
    "max_gap_ns": 5 * S,
    "microprice_weight": 0.5,
    "mid_weight": 0.5,
}
TABLE = [-0.4, 0.0, 0.4, -0.2, 0.1, 0.2]  # two spreads of three buckets
RICH = {
    **PARAMS,
    "weighted_mid_weight": 1.0,
    "stoikov_weight": 0.5,
    "vamp_weight": 2.0,
    "depth_imbalance_ticks": 0.25,
    "order_flow_ticks_per_lot": 0.01,
    "trade_flow_ticks": -0.5,
    "basis_ticks_per_bp": 0.001,
    "drift_source": 1,
    "signal_drift_ticks_per_s": [0.5, -0.25, 0.01, 0.02, 0.125, 0.001, -2.0],
    "jump_sigmas": 2.0,
    "publish_ticks": 0.01,
    "depth_levels": 3,
    "order_flow_levels": 2,
    "order_flow_half_life_ns": 2 * S,
    "trade_flow_half_life_ns": 3 * S,
    "reference_max_age_ns": 4 * S,
    "realised_window_ns": 2 * S,
    "stoikov_buckets": 3,
    "stoikov_states": len(TABLE),
}
COPIED = {"instrument_id": 7, "received_ns": 11, "sent_ns": 13}


class Service:
    """What mm_pricing holds: the four records the kernel works on."""

    def __init__(self, params=PARAMS, feed_ok=1):
        self.state = np.zeros(1, PRICING_STATE)
        self.book = np.zeros(1, BOOK)
        self.params = np.zeros(1, PRICING_PARAMS)
        for name, value in params.items():
            self.params[0][name] = value
        if "stoikov_states" in params:
            self.params[0]["stoikov_adjustment_ticks"][: len(TABLE)] = TABLE
        self.out = np.zeros(1, PRICING)
        self.state[0]["feed_ok"] = feed_ok

    def send(self, template, groups=None, **values):
        data = encode(template, {**COPIED, **values}, groups)
        words = np.frombuffer(data, np.int64).copy()
        return pricing_step(self.state, self.book, self.params, words, self.out)

    def refresh(self, now_ns):
        pricing_refresh(self.state, self.book, self.params, now_ns, self.out)

    def snapshot(self, now_ns, epoch, update_id, bids, asks, state=BookState.LIVE):
        values = {"now_ns": now_ns, "epoch": epoch, "last_update_id": update_id}
        values["book_state"] = int(state)
        return self.send(Template.BOOK_SNAPSHOT, groups(bids, asks), **values)

    def delta(self, now_ns, epoch, previous_id, update_id, bids, asks):
        values = {"now_ns": now_ns, "epoch": epoch, "last_update_id": update_id}
        values["previous_update_id"] = previous_id
        return self.send(Template.BOOK_DELTA, groups(bids, asks), **values)

    def best(self, now_ns, epoch, update_id, touch):
        names = ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots")
        values = dict(zip(names, touch, strict=True))
        values |= {"now_ns": now_ns, "epoch": epoch, "update_id": update_id}
        return self.send(Template.BEST_BID_OFFER, **values)

    def __getitem__(self, field):
        return self.out[0][field].item()

    @property
    def touch(self):
        return tuple(self[k] for k in ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots"))


def groups(bids, asks):
    return {
        name: [{"price_ticks": t, "qty_lots": q} for t, q in side]
        for name, side in (("bids", bids), ("asks", asks))
    }


def live_service(params=PARAMS):
    service = Service(params)
    assert service.snapshot(S, 1, 10, [(99, 5)], [(101, 15)]) == PUBLISH
    return service


def test_deltas_and_snapshots_bear_their_times_in_the_same_words():
    assert wire.DELTA_RECEIVED_NS == wire.SNAPSHOT_RECEIVED_NS
    assert wire.DELTA_SENT_NS == wire.SNAPSHOT_SENT_NS


def test_a_live_snapshot_is_priced_and_names_its_inputs():
    service = live_service()
    assert service["flags"] == LIVE
    assert service["book_state"] == BookState.LIVE
    assert service.touch == (99, 5, 101, 15)
    assert service["microprice_ticks"] == 99.5
    assert service["fair_value_ticks"] == 99.75
    assert (service["now_ns"], service["instrument_id"], service["epoch"]) == (S, 7, 1)
    assert (service["frame_ns"], service["collector_sent_ns"]) == (11, 13)
    assert (service["book_update_id"], service["bbo_update_id"]) == (10, 0)


def test_the_same_snapshot_again_is_quiet():
    service = live_service()
    assert service.snapshot(2 * S, 1, 10, [(99, 5)], [(101, 15)]) == QUIET


def test_a_newer_best_bid_and_offer_leads_the_book_until_the_book_is_newer():
    service = live_service()
    assert service.best(2 * S, 1, 12, (98, 1, 100, 1)) == PUBLISH
    assert service["flags"] == LIVE | FROM_BBO
    assert service.touch == (98, 1, 100, 1)
    assert service["bbo_update_id"] == 12
    assert service.delta(3 * S, 1, 10, 14, [(98, 2)], []) == PUBLISH
    assert service["flags"] == LIVE
    assert service.touch == (99, 5, 101, 15)
    assert service.best(4 * S, 1, 13, (90, 1, 91, 1)) == QUIET
    assert service.best(4 * S, 1, 11, (90, 1, 91, 1)) == QUIET
    assert service.best(4 * S, 2, 99, (90, 1, 91, 1)) == QUIET
    assert service.state[0]["ignored"] == 2


def test_a_trade_feeds_the_flow_and_is_not_published_by_itself():
    service = live_service()
    for trade_id, lots, side in ((76, 3, 1), (77, 1, -1)):
        answer = service.send(
            Template.TRADE, trade_id=trade_id, qty_lots=lots, aggressor=side, now_ns=2 * S
        )
        assert answer == QUIET
    service.refresh(3 * S)
    assert (service["trade_id"], service["trades"]) == (77, 2)
    assert service["trade_flow_imbalance"] == 0.5


def test_a_gap_takes_live_away_and_asks_for_a_snapshot():
    service = live_service()
    assert service.delta(2 * S, 1, 11, 12, [], []) == NEED_SNAPSHOT
    assert service["flags"] == LOST
    assert service["book_state"] == BookState.SYNCING
    # Were it not sent, the next message brings it.
    assert service.best(3 * S, 1, 9, (99, 5, 101, 15)) == PUBLISH
    assert service["flags"] == LOST
    assert service.snapshot(3 * S, 1, 12, [(99, 5)], [(101, 15)]) == PUBLISH
    assert service["flags"] == LIVE


@pytest.mark.parametrize(
    ("bids", "asks", "state", "flags"),
    [
        ([], [(101, 1)], BookState.LIVE, PricingFlag.ONE_SIDED),
        ([(99, 1)], [], BookState.LIVE, PricingFlag.ONE_SIDED),
        ([(101, 1)], [(101, 1)], BookState.LIVE, PricingFlag.CROSSED),
        ([(99, 1)], [(101, 1)], BookState.STALE, STALE),
        ([(99, 1)], [(101, 1)], BookState.GAP, LOST),
        ([(99, 1)], [(101, 1)], BookState.BUFFERING, 0),
    ],
)
def test_a_book_that_cannot_be_quoted_on_is_not_live_and_says_why(bids, asks, state, flags):
    service = live_service()
    assert service.snapshot(2 * S, 1, 11, bids, asks, state) == PUBLISH
    assert service["flags"] == flags
    assert service["book_state"] == state
    if not bids or not asks:
        assert (service["microprice_ticks"], service["fair_value_ticks"]) == (0.0, 0.0)


def test_a_silent_feed_is_shown_by_a_refresh():
    service = live_service()
    service.state[0]["feed_ok"] = 0
    service.refresh(5 * S)
    assert service["flags"] == STALE
    assert service["now_ns"] == 5 * S
    assert service.best(6 * S, 1, 10, (99, 5, 101, 15)) == PUBLISH
    assert service["flags"] == FROM_BBO | STALE
    service.state[0]["feed_ok"] = 1
    service.refresh(7 * S)
    assert service["flags"] == LIVE | FROM_BBO


def test_estimates_warm_up_and_a_gap_is_left_out():
    service = live_service()
    for second, bid in ((2, 100), (3, 99), (4, 100), (60, 100_000), (61, 100_001)):
        service.best(second * S, 1, 10 + second, (bid, 5, bid + 2, 5))
        assert bool(service["flags"] & WARM) == (second >= 4)
        assert service["volatility_ticks_per_sqrt_s"] == pytest.approx(1.0)
    assert service.state[0]["volatility"]["gaps"].item() == 1


def test_a_touch_that_stands_while_deltas_come_is_no_gap():
    service = live_service()
    for second in range(2, 60):
        answer = service.delta(second * S, 1, second + 8, second + 9, [(90, second)], [])
        # Taken in anew once half of the longest gap has passed, which warms it up.
        assert answer == (PUBLISH if second == 4 else QUIET)
    assert service.best(60 * S, 1, 100, (100, 5, 102, 5)) == PUBLISH
    estimate = service.state[0]["volatility"][0]
    assert (estimate["gaps"], estimate["observed_ns"], estimate["moves_s"] > 0) == (0, 59 * S, True)
    assert service["flags"] & WARM
    one_tick = math.sqrt(math.log(2.0) / 4.0)  # in a half-life of 4 s
    assert service["volatility_ticks_per_sqrt_s"] == pytest.approx(one_tick, rel=0.15)


def test_a_silent_feed_is_a_gap_though_the_touch_stands():
    service = live_service()
    assert service.delta(2 * S, 1, 10, 11, [(90, 1)], []) == QUIET
    assert service.delta(20 * S, 1, 11, 12, [(90, 2)], []) == QUIET
    assert service.best(21 * S, 1, 13, (100, 5, 102, 5)) == PUBLISH
    estimate = service.state[0]["volatility"][0]
    assert (estimate["gaps"], estimate["observed_ns"]) == (1, S)


def test_a_value_that_is_not_finite_is_never_sent():
    service = Service(params={**PARAMS, "microprice_weight": math.nan, "mid_weight": 0.0})
    assert service.snapshot(S, 1, 10, [(99, 5)], [(101, 15)]) == PUBLISH
    assert service["flags"] == PricingFlag.NO_FAIR_VALUE
    assert service["fair_value_ticks"] == 0.0


def test_without_weights_the_fair_value_is_the_mid():
    service = live_service({**PARAMS, "microprice_weight": 0.0, "mid_weight": 0.0})
    assert service["fair_value_ticks"] == 100.0


def test_a_jump_is_cut_counted_and_said_once():
    service = live_service({**PARAMS, "jump_sigmas": 6.0})
    for second in range(2, 20):
        bid = 99 + second % 2
        service.best(second * S, 1, 10 + second, (bid, 5, bid + 2, 5))
    sigma = service["volatility_ticks_per_sqrt_s"]
    assert (service["flags"] & JUMP, service["jumps"], service["samples"]) == (0, 0, 19)
    service.best(20 * S, 1, 30, (199, 5, 201, 5))
    assert service["flags"] & JUMP
    assert service["jumps"] == 1
    assert service["volatility_ticks_per_sqrt_s"] < 4 * sigma
    assert service.best(21 * S, 1, 31, (199, 6, 201, 5)) == PUBLISH
    assert not service["flags"] & JUMP


def test_a_level_behind_the_touch_is_published_where_it_moves_the_fair_value():
    plain = live_service()
    assert plain.delta(2 * S, 1, 10, 11, [(98, 40)], []) == QUIET
    deep = live_service({**PARAMS, "vamp_weight": 1.0, "depth_levels": 2})
    assert deep.delta(2 * S, 1, 10, 11, [(98, 40)], []) == QUIET  # VAMP counts pairs of levels
    assert deep.delta(2 * S, 1, 11, 12, [], [(103, 10)]) == PUBLISH
    assert deep["vamp_ticks"] == (99 * 15 + 101 * 5 + 98 * 10 + 103 * 40) / 70
    assert deep["depth_imbalance"] == (45 - 25) / 70
    assert deep["weighted_mid_ticks"] == pytest.approx((99 * 25 + 101 * 45) / 70)


def test_the_order_flow_decays_and_starts_anew_behind_a_gap():
    service = live_service()
    service.delta(2 * S, 1, 10, 11, [(99, 12)], [])
    assert service["order_flow_lots"] == 7.0
    service.refresh(3 * S)
    assert service["order_flow_lots"] == 3.5
    assert service.delta(3 * S, 1, 12, 13, [(99, 99)], []) == NEED_SNAPSHOT
    service.snapshot(3 * S, 1, 13, [(99, 99)], [(101, 15)])
    assert service["order_flow_lots"] == 3.5
    service.delta(4 * S, 1, 13, 14, [], [(101, 16)])
    assert service["order_flow_lots"] == 0.75


def test_a_basis_is_measured_while_the_reference_is_young():
    service = live_service({**PARAMS, "reference_max_age_ns": 2 * S})
    service.state[0]["reference_ticks"], service.state[0]["reference_ns"] = 80.0, S
    service.refresh(3 * S)
    assert service["flags"] == LIVE | PricingFlag.BASIS
    assert service["basis_bps"] == 2500.0
    service.refresh(3 * S + 1)
    assert service["flags"] == LIVE
    assert service["basis_bps"] == 0.0


def test_stored_estimates_are_warm_at_once_and_say_where_they_come_from():
    service = live_service()
    estimator = service.state[0]["volatility"]
    estimator["observed_ns"] = service.state[0]["restored_ns"] = 3 * S
    for second, bid in enumerate((98, 99, 98, 99), start=2):
        service.best(second * S, 1, 9 + second, (bid, 5, 101, 5))
        assert service["flags"] & WARM
        assert service["warm_fraction"] == 1.0
        assert bool(service["flags"] & PricingFlag.WARM_STARTED) == (second < 5)


def test_measures_of_a_closed_window_are_published_until_they_are_stale():
    service = live_service({**PARAMS, "realised_window_ns": 4 * S})
    times, bids = [S], [99]
    for second in range(2, 10):
        bid = 99 + second % 3
        assert service.best(second * S, 1, 10 + second, (bid, 5, bid + 2, 5)) == PUBLISH
        times.append(second * S)
        bids.append(bid)
        has_closed = second >= 5
        assert bool(service["flags"] & PricingFlag.REALISED) == has_closed
        assert service["realised_samples"] == 5 * has_closed
        assert service["realised_end_ns"] == (second >= 5) * 5 * S + (second >= 9) * 4 * S
        assert (service["realised_ticks_per_sqrt_s"] > 0.0) == has_closed
    mids, times = np.array(bids[4:]) + 1.0, np.array(times[4:])
    names = ("realised", "bipower", "two_scale", "pre_averaged")
    expected = {
        name: getattr(mmquant, f"{name}_variance")(mids, times).volatility_per_sqrt_s
        for name in names
    }
    assert {name: service[f"{name}_ticks_per_sqrt_s"] for name in names} == expected
    assert service["noise_ticks"] == math.sqrt(mmquant.noise_variance(mids, times))
    inputs = service.state[0]["inputs"][0]
    assert inputs["bipower_ticks_per_sqrt_s"] == expected["bipower"]
    service.refresh(17 * S)
    assert service["flags"] & PricingFlag.REALISED
    service.refresh(17 * S + 1)
    assert not service["flags"] & PricingFlag.REALISED
    assert service["realised_ticks_per_sqrt_s"] == expected["realised"]  # of realised_end_ns
    assert np.isnan([inputs[f"{name}_ticks_per_sqrt_s"] for name in names]).all()


def test_without_a_window_there_are_no_measures():
    service = live_service()
    for second in range(2, 40):
        service.best(second * S, 1, 10 + second, (99 + second % 2, 5, 102, 5))
    assert not service["flags"] & PricingFlag.REALISED
    assert (service["realised_ticks_per_sqrt_s"], service["realised_end_ns"]) == (0.0, 0)
    assert math.isnan(service.state[0]["inputs"][0]["noise_ticks"])


def test_foreign_and_truncated_messages_are_counted():
    service = live_service()
    best = encode(Template.BEST_BID_OFFER, {})
    for data in (encode(Template.REQUEST, {}), b"", best[:8], best[:40]):
        words = np.frombuffer(data, np.int64).copy()
        step = pricing_step(service.state, service.book, service.params, words, service.out)
        assert step == QUIET
    assert service.state[0]["ignored"] == 4


levels = st.lists(st.tuples(st.integers(95, 106), st.integers(0, 3)), max_size=3)
touches = st.tuples(
    st.integers(97, 100), st.integers(0, 3), st.integers(100, 103), st.integers(0, 3)
)
epochs = st.sampled_from([1, 1, 1, 1, 2])
messages = st.lists(
    st.one_of(
        st.tuples(st.just("snapshot"), epochs, st.integers(-1, 2), levels, levels, st.booleans()),
        st.tuples(st.just("delta"), epochs, st.integers(0, 9), levels, levels),
        st.tuples(st.just("best"), epochs, st.integers(-1, 2), touches),
        st.tuples(st.just("trade"), st.integers(1, 99), st.sampled_from([-1, 1])),
        st.tuples(st.just("reference"), st.integers(90, 110)),
        st.tuples(st.just("refresh"), st.booleans()),
    ),
    max_size=25,
)
gaps_ns = st.sampled_from([0, 1, S // 2, S, 3 * S, 8 * S])


def feed(service, twin, message, now_ns):
    """Give one message to both; ids continue the book's but for a gap now and then."""
    kind, *args = message
    known_id = twin.book.last_update_id
    if kind == "trade":
        lots, side = args
        values = {"trade_id": lots, "qty_lots": lots, "aggressor": side, "now_ns": now_ns}
        return service.send(Template.TRADE, **values), twin.trade(lots, lots, side, now_ns)
    source = (7, args[0], 11, 13)
    if kind == "best":
        epoch, ahead, touch = args
        answer = service.best(now_ns, epoch, known_id + ahead + 1, touch)
        return answer, twin.best(now_ns, source, (epoch, known_id + ahead + 1, *touch))
    if kind == "delta":
        epoch, luck, bids, asks = args
        ids = (known_id + (luck == 0), known_id + 2)
        answer = service.delta(now_ns, epoch, *ids, bids, asks)
        return answer, twin.delta(now_ns, source, epoch, *ids, bids, asks)
    epoch, ahead, bids, asks, is_live = args
    update_id = known_id + ahead + 1
    state = BookState.LIVE if is_live else BookState.STALE
    answer = service.snapshot(now_ns, epoch, update_id, bids, asks, state)
    return answer, twin.snapshot(now_ns, source, epoch, update_id, int(state), bids, asks)


def assert_same_output(service, expected):
    assert service.touch == expected["touch"]
    for field, value in expected.items():
        if isinstance(value, float):
            assert service[field] == pytest.approx(value, rel=1e-9, abs=1e-9), field
        elif field != "touch":
            assert service[field] == value, field


@pytest.mark.parametrize("params", [PARAMS, RICH], ids=["plain", "all signals"])
@settings(max_examples=60, deadline=None)
@given(st.data(), messages)
def test_the_kernel_equals_its_twin_over_any_messages(params, data, sequence):
    service = Service(params)
    twin = reference_pricing.Pricing(params, TABLE if "stoikov_states" in params else ())
    twin.feed_ok = True
    now_ns = S
    start = ("snapshot", 1, 0, [(99, 5)], [(101, 15)], True)
    moves = [("best", 1, 0, (98 + at % 3, 1, 101, 1)) for at in range(6)]  # close a window
    for at, message in enumerate([start, *moves, *sequence]):
        now_ns += S if at <= len(moves) else data.draw(gaps_ns)
        if message[0] == "reference":
            twin.reference = (float(message[1]), now_ns)
            service.state[0]["reference_ticks"], service.state[0]["reference_ns"] = twin.reference
            continue
        if message[0] == "refresh":
            service.state[0]["feed_ok"] = twin.feed_ok = message[1]
            service.refresh(now_ns)
            assert_same_output(service, twin.refresh(now_ns))
            continue
        answer, (expected_answer, expected) = feed(service, twin, message, now_ns)
        assert answer == expected_answer
        if expected is not None:
            assert_same_output(service, expected)
