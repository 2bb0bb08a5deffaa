"""The pricing kernel against its twin over random messages, and each rule by hand."""

import math

import numpy as np
import pytest
import reference_pricing
from hypothesis import given, settings
from hypothesis import strategies as st

from mmquant.codes import BookState, PricingFlag, Template
from mmquant.kernels import wire
from mmquant.kernels.pricing import NEED_SNAPSHOT, PUBLISH, QUIET, pricing_refresh, pricing_step
from mmquant.records import PRICING
from mmquant.state import BOOK, PRICING_PARAMS, PRICING_STATE
from mmquant.wire import encode

pytestmark = pytest.mark.kernels

S = 10**9
LIVE, WARM, FROM_BBO = PricingFlag.LIVE, PricingFlag.WARM, PricingFlag.TOUCH_FROM_BBO
PARAMS = (4 * S, 9 * S, 3 * S, 5 * S, 0.5)
COPIED = {"instrument_id": 7, "received_ns": 11, "sent_ns": 13}


class Service:
    """What mm_pricing holds: the four records the kernel works on."""

    def __init__(self, params=PARAMS, feed_ok=1):
        self.state = np.zeros(1, PRICING_STATE)
        self.book = np.zeros(1, BOOK)
        self.params = np.array([params], PRICING_PARAMS)
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


def live_service():
    service = Service()
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


def test_a_trade_only_changes_the_trade_id():
    service = live_service()
    assert service.send(Template.TRADE, trade_id=77, now_ns=2 * S) == QUIET
    service.refresh(3 * S)
    assert service["trade_id"] == 77


def test_a_gap_takes_live_away_and_asks_for_a_snapshot():
    service = live_service()
    assert service.delta(2 * S, 1, 11, 12, [], []) == NEED_SNAPSHOT
    assert service["flags"] == 0
    assert service["book_state"] == BookState.SYNCING
    # Were it not sent, the next message brings it.
    assert service.best(3 * S, 1, 9, (99, 5, 101, 15)) == PUBLISH
    assert service["flags"] == 0
    assert service.snapshot(3 * S, 1, 12, [(99, 5)], [(101, 15)]) == PUBLISH
    assert service["flags"] == LIVE


@pytest.mark.parametrize(
    ("bids", "asks", "state"),
    [
        ([], [(101, 1)], BookState.LIVE),
        ([(99, 1)], [], BookState.LIVE),
        ([(101, 1)], [(101, 1)], BookState.LIVE),
        ([(99, 1)], [(101, 1)], BookState.STALE),
    ],
)
def test_a_book_that_cannot_be_quoted_on_is_not_live(bids, asks, state):
    service = live_service()
    assert service.snapshot(2 * S, 1, 11, bids, asks, state) == PUBLISH
    assert service["flags"] == 0
    assert service["book_state"] == state
    if not bids or not asks:
        assert (service["microprice_ticks"], service["fair_value_ticks"]) == (0.0, 0.0)


def test_a_silent_feed_is_shown_by_a_refresh():
    service = live_service()
    service.state[0]["feed_ok"] = 0
    service.refresh(5 * S)
    assert service["flags"] == 0
    assert service["now_ns"] == 5 * S
    assert service.best(6 * S, 1, 10, (99, 5, 101, 15)) == PUBLISH
    assert service["flags"] == FROM_BBO
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


def test_a_value_that_is_not_finite_is_never_sent():
    service = Service(params=(S, S, 0, S, math.nan))
    assert service.snapshot(S, 1, 10, [(99, 5)], [(101, 15)]) == PUBLISH
    assert service["flags"] == 0
    assert service["fair_value_ticks"] == 0.0


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
        st.tuples(st.just("trade"), st.integers(1, 99)),
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
        answer = service.send(Template.TRADE, trade_id=args[0], now_ns=now_ns)
        return answer, twin.trade(args[0])
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


@settings(max_examples=60, deadline=None)
@given(st.data(), messages)
def test_the_kernel_equals_its_twin_over_any_messages(data, sequence):
    service = Service()
    twin = reference_pricing.Pricing(reference_pricing.Volatility(*PARAMS[:4]), PARAMS[4])
    twin.feed_ok = True
    now_ns = S
    start = ("snapshot", 1, 0, [(99, 5)], [(101, 15)], True)
    for message in [start, *sequence]:
        now_ns += data.draw(gaps_ns)
        if message[0] == "refresh":
            service.state[0]["feed_ok"] = twin.feed_ok = message[1]
            service.refresh(now_ns)
            assert_same_output(service, twin.refresh(now_ns))
            continue
        answer, (expected_answer, expected) = feed(service, twin, message, now_ns)
        assert answer == expected_answer
        if expected is not None:
            assert_same_output(service, expected)
