"""Metrics: what a scrape says of a service's counts, latencies and books, and what it costs."""

import re
from pathlib import Path

import numpy as np
import pytest
from mm_runtime.clock import SystemClock
from mm_runtime.health_watch import Watch
from mm_runtime.metrics import make_registry
from mm_runtime.metrics_latency import HOPS, QuoteLatency
from mm_runtime.metrics_table import COUNTERS, METRICS
from mm_runtime.service import Service
from mm_runtime.settings import RuntimeSettings
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from mmquant.codes import Reason, Role, ServiceState
from mmquant.records import QUOTES

DOCS = Path(__file__).parents[1] / "docs" / "metrics.md"
US = 1_000


class Quiet(Service):
    """A collector without streams."""

    role = Role.MM_COLLECTOR

    def duty(self, now_ns):
        return 0

    def _publish_state(self, *_):
        pass


@pytest.fixture
def service():
    return Quiet(RuntimeSettings(), SystemClock())


def scrape(service):
    """Return every sample's value by name and sorted labels."""
    text = generate_latest(make_registry(service, Watch(service))).decode()
    return {
        (sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_state_is_one_hot_and_its_changes_are_counted(service):
    service.set_state(ServiceState.READY, Reason.NONE)
    service.set_state(ServiceState.DEGRADED, Reason.GAP, "after 3")
    service.set_state(ServiceState.DEGRADED, Reason.GAP, "after 4")
    service.set_state(ServiceState.READY, Reason.NONE)
    shown = scrape(service)
    states = {key[1]: value for key, value in shown.items() if key[0] == "mmquant_state"}
    assert states.pop("state=ready") == 1
    assert set(states.values()) == {0}
    assert len(states) == len(ServiceState) - 1
    changes = "mmquant_state_changes_total"
    assert shown[changes, "reason=none", "state=ready"] == 2
    assert shown[changes, "reason=gap", "state=degraded"] == 1
    assert shown["mmquant_reason", "reason=none"] == 1


def test_counters_have_their_own_names_or_else_one_for_all(service):
    service.counters.update({"frames": 7, "dropped.bad_json": 2, "new_thing.a": 3, "gaps": 4444})
    shown = scrape(service)
    assert shown["mmquant_frames_total",] == 7
    assert shown["mmquant_frames_dropped_total", "cause=bad_json"] == 2
    assert shown["mmquant_events_total", "event=new_thing.a"] == 3
    assert 4444 not in shown.values(), "shown by symbol, from the books"


def test_a_counter_is_there_before_its_first_count(service):
    shown = scrape(service)
    assert shown["mmquant_resyncs_total",] == 0
    assert ("mmquant_quotes_total",) not in shown, "another service's"


def test_the_process_is_described(service):
    shown = scrape(service)
    assert shown["mmquant_process_resident_memory_bytes",] > 10**7
    assert shown["mmquant_process_start_time_seconds",] > 10**9


def test_every_named_counter_leads_to_a_counter_of_the_table():
    for metric in filter(None, COUNTERS.values()):
        assert METRICS[metric].kind == "counter"


def test_latencies_are_counted_into_their_buckets():
    latency = QuoteLatency()
    frame_ns = 10**18
    stamps = np.array([0, 4, 10, 110, 150, 1_150]) * US + frame_ns
    for _ in range(3_000):  # more than are kept between two foldings
        latency.note(stamps)
    latency.fold()
    shown = latency.buckets()
    assert list(shown) == list(HOPS)
    expected_us = {
        "collector": 4,
        "collector_to_pricing": 6,
        "pricing": 100,
        "pricing_to_strategy": 40,
        "strategy": 1_000,
        "tick_to_quote": 1_150,
    }
    for hop, buckets in shown.items():
        assert buckets.total == pytest.approx(3_000 * expected_us[hop] / 1e6)
        for bound, count in buckets.counts:  # at most, as Prometheus means it
            assert count == (3_000 if expected_us[hop] / 1e6 <= float(bound) else 0), (hop, bound)


def test_the_stamps_of_the_hops_lie_together_in_the_message():
    names = QUOTES.names
    assert names is not None
    first = names.index("frame_ns")
    assert names[first : first + 6] == tuple(
        dict.fromkeys(stamp for hop in HOPS.values() for stamp in hop)
    )


def test_the_page_lists_every_metric_as_it_is():
    rows = re.findall(
        r"^\| `(mmquant_\w+)` \| (\w+) \| (.+?) \| (\w+) \| (.+) \|$", DOCS.read_text(), re.M
    )
    listed = {
        (name, kind, tuple(re.findall(r"`(\w+)`", labels)), "" if of == "all" else of, meaning)
        for name, kind, labels, of, meaning in rows
    }
    assert listed == {(m.name, m.kind, m.labels, m.service, m.meaning) for m in METRICS.values()}
    assert len(rows) == len(METRICS)


def test_names_follow_the_conventions():
    for metric in METRICS.values():
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert not re.search(r"_(ms|us|ns|kb|mb)(_|$)", metric.name)
