"""The book's synchronisation: the venue's rules of both markets, against a naive model."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mm_collector.frames import DepthEvent
from mm_collector.sync import BookSync, SyncLimits

from mmquant.codes import BookState, Market, Reason

MS = 1_000_000
LIMITS = SyncLimits(
    max_buffered_events=50, stale_after_ns=2_000 * MS, retry_ns=250 * MS, max_retry_ns=4_000 * MS
)


def make(market=Market.SPOT):
    sync = BookSync(market, LIMITS, random.Random(1))
    sync.on_connected(0)
    return sync


def spot(first, last):
    return DepthEvent("BTCUSDT", 0, first, last, first - 1, [], [])


def usdm(first, last, previous):
    return DepthEvent("BTCUSDT", 0, first, last, previous, [], [])


def asked(sync, now_ns=0):
    assert sync.wants_snapshot(now_ns)
    sync.on_snapshot_requested()
    assert sync.state is BookState.SYNCING


def states(sync):
    moved = [transition.state for transition in sync.transitions]
    sync.transitions.clear()
    return moved


def test_a_snapshot_is_wanted_only_once_an_event_is_buffered():
    sync = make()
    assert not sync.wants_snapshot(0)
    assert sync.on_event(spot(5, 6), 0) == []
    assert sync.wants_snapshot(0)


def test_spot_joins_the_event_that_straddles_the_snapshot():
    sync = make()
    events = [spot(1, 4), spot(5, 8), spot(9, 12)]
    for event in events:
        sync.on_event(event, 0)
    asked(sync)
    assert sync.on_snapshot(6, 0) == events[1:]
    assert sync.state is BookState.LIVE
    assert sync.last_update_id == 12
    assert states(sync) == [BookState.BUFFERING, BookState.SYNCING, BookState.LIVE]


def test_spot_joins_an_event_that_starts_right_behind_the_snapshot():
    sync = make()
    sync.on_event(spot(1, 4), 0)
    sync.on_event(spot(5, 8), 0)
    asked(sync)
    assert sync.on_snapshot(4, 0) == [spot(5, 8)]
    assert sync.state is BookState.LIVE


def test_a_snapshot_older_than_the_first_event_is_asked_for_again_later():
    sync = make()
    sync.on_event(spot(10, 12), 0)
    asked(sync)
    assert sync.on_snapshot(8, 0) is None
    assert sync.state is BookState.BUFFERING
    assert not sync.wants_snapshot(0)
    asked(sync, 250 * MS)
    assert sync.on_snapshot(9, 250 * MS) == [spot(10, 12)]


def test_a_snapshot_newer_than_the_buffer_waits_for_the_event_that_joins_it():
    sync = make()
    sync.on_event(spot(1, 4), 0)
    asked(sync)
    assert sync.on_snapshot(9, 0) == []
    assert sync.state is BookState.SYNCING
    assert sync.on_event(spot(5, 9), 1) == []
    assert sync.on_event(spot(10, 11), 2) == [spot(10, 11)]
    assert sync.state is BookState.LIVE


def test_spot_accepts_an_overlap_and_ignores_a_repeat():
    sync = make()
    sync.on_event(spot(1, 4), 0)
    asked(sync)
    sync.on_snapshot(2, 0)
    assert sync.on_event(spot(3, 6), 1) == [spot(3, 6)]
    assert sync.on_event(spot(3, 6), 2) == []
    assert sync.duplicates == 1
    assert sync.state is BookState.LIVE


def test_a_lost_spot_event_is_a_gap_and_starts_over_with_what_came():
    sync = make()
    sync.on_event(spot(1, 4), 0)
    asked(sync)
    sync.on_snapshot(2, 0)
    states(sync)
    assert sync.on_event(spot(6, 7), 1) == []
    assert states(sync) == [BookState.GAP, BookState.BUFFERING]
    assert sync.gaps == 1
    asked(sync, 1)
    assert sync.on_snapshot(6, 2) == [spot(6, 7)]


def test_usdm_continuity_is_the_previous_id_not_the_first():
    sync = make(Market.USDM)
    sync.on_event(usdm(100, 110, 90), 0)
    asked(sync)
    assert sync.on_snapshot(105, 0) == [usdm(100, 110, 90)]
    assert sync.on_event(usdm(140, 150, 110), 1) == [usdm(140, 150, 110)]
    assert sync.on_event(usdm(151, 160, 149), 2) == []
    assert sync.gaps == 1


def test_usdm_joins_where_the_snapshot_lies_in_a_hole_of_ids():
    sync = make(Market.USDM)
    sync.on_event(usdm(100, 110, 90), 0)
    sync.on_event(usdm(140, 150, 110), 0)
    asked(sync)
    assert sync.on_snapshot(120, 0) == [usdm(140, 150, 110)]
    assert sync.state is BookState.LIVE


def test_usdm_keeps_the_event_that_ends_at_the_snapshot():
    sync = make(Market.USDM)
    sync.on_event(usdm(100, 110, 90), 0)
    asked(sync)
    assert sync.on_snapshot(110, 0) == [usdm(100, 110, 90)]


def test_a_live_book_that_hears_nothing_is_stale():
    sync = make()
    sync.on_event(spot(1, 4), 0)
    asked(sync)
    sync.on_snapshot(2, 0)
    states(sync)
    sync.on_time(2_000 * MS)
    assert sync.state is BookState.LIVE
    sync.on_time(2_001 * MS)
    assert states(sync) == [BookState.STALE, BookState.BUFFERING]


def test_repeats_are_no_sign_of_life():
    sync = make()
    sync.on_event(spot(1, 4), 0)
    asked(sync)
    sync.on_snapshot(2, 0)
    sync.on_event(spot(1, 4), 1_900 * MS)
    sync.on_time(2_001 * MS)
    assert sync.state is BookState.BUFFERING


def test_a_snapshot_that_nothing_joins_is_given_up():
    sync = make()
    sync.on_event(spot(1, 4), 0)
    asked(sync)
    sync.on_snapshot(10**9, 0)
    sync.on_event(spot(5, 6), 1)
    sync.on_time(2_001 * MS)
    assert sync.state is BookState.BUFFERING
    sync.on_event(spot(7, 8), 2_002 * MS)
    assert not sync.wants_snapshot(2_002 * MS)
    assert sync.wants_snapshot(2_251 * MS)


def test_a_hole_while_buffering_leaves_only_what_comes_after_it():
    sync = make()
    for event in (spot(1, 4), spot(7, 8), spot(5, 6), spot(9, 9)):
        sync.on_event(event, 0)
    asked(sync)
    assert sync.on_snapshot(7, 0) == [spot(7, 8), spot(9, 9)]


@pytest.mark.parametrize("market", [Market.SPOT, Market.USDM])
def test_a_handover_accepts_one_event_that_reaches_back(market):
    sync = make(market)
    sync.on_event(usdm(91, 110, 90), 0)
    asked(sync)
    sync.on_snapshot(105, 0)
    sync.on_handover(1)
    assert sync.on_event(usdm(96, 105, 95), 2) == []
    straddles = usdm(106, 115, 105)
    assert sync.on_event(straddles, 3) == [straddles]
    assert sync.state is BookState.LIVE
    assert sync.on_event(usdm(121, 130, 120), 4) == []
    assert sync.gaps == 1


def test_a_book_that_fails_as_soon_as_it_is_live_waits_longer_each_time():
    sync, now_ns, waits = make(), 0, []
    for i in range(5):
        sync.on_event(spot(10 * i + 1, 10 * i + 4), now_ns)
        started_ns = now_ns
        while not sync.wants_snapshot(now_ns):
            now_ns += 10 * MS
        waits.append((now_ns - started_ns) // MS)
        sync.on_snapshot_requested()
        sync.on_snapshot(10 * i + 2, now_ns)
        assert sync.state is BookState.LIVE
        sync.on_crossed(now_ns, "crossed")
    assert waits[:2] == [0, 0]
    assert 120 <= waits[2] < waits[4]
    assert sync.crossings == 5


def test_a_crossed_book_is_resynchronised():
    sync = make()
    sync.on_event(spot(1, 4), 0)
    asked(sync)
    sync.on_snapshot(2, 0)
    states(sync)
    sync.on_crossed(5, "100 >= 99")
    assert states(sync) == [BookState.CROSSED, BookState.BUFFERING]
    assert sync.crossings == 1


def test_failed_snapshots_back_off_and_honour_a_longer_wait():
    sync = make()
    sync.on_event(spot(1, 4), 0)
    asked(sync)
    sync.on_snapshot_failed(0, "HTTP 503")
    assert not sync.wants_snapshot(100 * MS)
    asked(sync, 250 * MS)
    sync.on_snapshot_failed(250 * MS, "HTTP 429", wait_ns=7_000 * MS)
    assert not sync.wants_snapshot(7_000 * MS)
    assert sync.wants_snapshot(7_250 * MS)


@pytest.mark.parametrize(("lasted_ms", "waits"), [(10_000, False), (100, True)])
def test_a_book_that_had_lasted_forgets_its_waits_with_the_connection(lasted_ms, waits):
    sync, now_ns = make(), 0
    for i in range(6):  # REST is out, and the wait grows
        sync.on_event(spot(2 * i + 1, 2 * i + 2), now_ns)
        now_ns += 4_000 * MS
        asked(sync, now_ns)
        if i < 5:
            sync.on_snapshot_failed(now_ns, "HTTP 503")
    assert sync.on_snapshot(11, now_ns)
    now_ns += lasted_ms * MS
    sync.on_disconnected(now_ns, "reset")
    sync.on_connected(now_ns)
    sync.on_event(spot(1_001, 1_002), now_ns)
    asked(sync, now_ns)
    assert sync.on_snapshot(900, now_ns) is None  # too old, as often behind a reconnect
    assert sync.wants_snapshot(now_ns + LIMITS.retry_ns) is not waits


def test_the_buffer_is_bounded():
    sync = make()
    for i in range(60):
        sync.on_event(spot(2 * i + 1, 2 * i + 2), 0)
    assert Reason.OVERFLOW in [transition.reason for transition in sync.transitions]
    asked(sync)
    assert sync.on_snapshot(110, 0) == [spot(2 * i + 1, 2 * i + 2) for i in range(55, 60)]


def test_an_answer_to_a_forgotten_request_changes_nothing():
    sync = make()
    sync.on_event(spot(1, 4), 0)
    assert sync.on_snapshot(2, 0) is None
    asked(sync)
    sync.on_disconnected(0, "gone")
    assert sync.on_snapshot(2, 0) is None
    assert sync.state is BookState.DOWN


def tiled(sizes, hole):
    """Return events that tile the ids: each covers (previous, last], USD-M with holes of ids."""
    events, last = [], 100
    for size in sizes:
        first = last + 1 + hole
        events.append(usdm(first, first + size, last))
        last = first + size
    return events


@pytest.mark.parametrize("market", [Market.SPOT, Market.USDM])
@given(
    sizes=st.lists(st.integers(0, 5), min_size=4, max_size=25),
    hole=st.integers(0, 3),
    snapshot_after=st.integers(1, 10),
    snapshot_id=st.integers(90, 180),
    lost=st.sets(st.integers(0, 24), max_size=3),
)
def test_what_is_applied_is_always_contiguous(
    market, sizes, hole, snapshot_after, snapshot_id, lost
):
    sync = make(market)
    events = tiled(sizes, 0 if market is Market.SPOT else hole)
    known = None  # the id up to which our book is right, None while it is not LIVE
    for i, event in enumerate(events):
        if i in lost:
            continue
        due = sync.on_event(event, i)
        if i == snapshot_after and sync.wants_snapshot(i):
            sync.on_snapshot_requested()
            loaded = sync.on_snapshot(snapshot_id, i)
            if loaded is not None:
                known, due = snapshot_id, loaded
        for applied in due:
            assert known is not None
            assert applied.previous <= known <= applied.last
            known = applied.last
        if sync.state is BookState.LIVE:
            assert known == sync.last_update_id == event.last
        if sync.state is BookState.BUFFERING:
            known = None
    if not lost and events[0].previous <= snapshot_id < events[-1].last and len(events) > 10:
        newest = events[snapshot_after].last
        if snapshot_id >= newest or any(e.last >= snapshot_id for e in events):
            assert sync.state is BookState.LIVE
