"""What Prometheus is told of a service: its plain counts, read when they are asked for."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from mm_runtime.health_rules import Health, assess
from mm_runtime.health_watch import Watch
from mm_runtime.metrics_table import COUNTERS, METRICS, Buckets, Sample
from mm_runtime.service import Service
from mmquant import __version__
from mmquant.codes import Role, ServiceState

__all__ = ["ServiceCollector", "make_registry"]

# Counters without labels, by the service that has them.
_OWN_COUNTERS = {
    role: [
        name
        for name, metric in COUNTERS.items()
        if metric is not None
        and METRICS[metric].service == role.name.lower()
        and not METRICS[metric].labels
    ]
    for role in Role
}


class ServiceCollector(Collector):
    """Reads a service from another thread; it never writes to it and never waits for it."""

    def __init__(self, service: Service, watch: Watch) -> None:
        self._service = service
        self._watch = watch

    def collect(self) -> Iterable[Metric]:
        """Return every metric the service has at this moment."""
        families: dict[str, Metric] = {}
        for sample in self._samples():
            if sample.metric not in families:
                families[sample.metric] = _family(sample.metric)
            _add(families[sample.metric], sample)
        return families.values()

    def _samples(self) -> Iterator[Sample]:
        service = self._service
        health = assess(service, self._watch)
        yield Sample("build_info", 1, (__version__,))
        yield from _state_samples(service, health)
        yield from _loop_samples(service, self._watch)
        yield from _input_samples(service, health)
        yield from _transport_samples(service)
        yield from _counter_samples(service)
        yield from service.samples()


def make_registry(service: Service, watch: Watch) -> CollectorRegistry:
    """Return what one service serves: its own metrics and its process's."""
    registry = CollectorRegistry()
    registry.register(ServiceCollector(service, watch))
    ProcessCollector(namespace="mmquant", registry=registry)
    return registry


def _state_samples(service: Service, health: Health) -> Iterator[Sample]:
    yield Sample("healthy", health.healthy)
    for state in ServiceState:
        yield Sample("state", state is service.state, (state.name.lower(),))
    yield Sample("reason", 1, (service.reason.name.lower(),))
    yield Sample("state_age_seconds", health.state_s)
    for (state, reason), count in service.state_changes.copy().items():
        yield Sample("state_changes_total", count, (state.name.lower(), reason.name.lower()))


def _loop_samples(service: Service, watch: Watch) -> Iterator[Sample]:
    yield Sample("turns_total", service.turns)
    age_s = watch.turn_age_s()
    if age_s is not None:
        yield Sample("turn_age_seconds", age_s)
        yield Sample("longest_turn_seconds", watch.longest_turn_s())


def _input_samples(service: Service, health: Health) -> Iterator[Sample]:
    now_ns = service.clock.now_ns()
    for role, peer in service.peers.copy().items():
        age_s = max(0, now_ns - peer.heard_ns) / 1e9
        yield Sample("heartbeat_age_seconds", age_s, (role.name.lower(),))
    for one in health.inputs:
        kind, _, name = one.name.partition(".")
        if kind == "stream" and one.age_s is not None:
            yield Sample("input_age_seconds", one.age_s, (name,))


def _transport_samples(service: Service) -> Iterator[Sample]:
    for stream, subscriber in service.subscribers().items():
        labels = (stream.name.lower(),)
        yield Sample("messages_received_total", subscriber.received, labels)
        yield Sample("messages_malformed_total", subscriber.malformed, labels)
    for stream, publisher in service.publishers().items():
        labels = (stream.name.lower(),)
        yield Sample("messages_sent_total", publisher.sent, labels)
        yield Sample("messages_unheard_total", publisher.unheard, labels)
        yield Sample("messages_dropped_total", publisher.dropped, labels)
        yield Sample("messages_conflated_total", publisher.conflated, labels)
        yield Sample("messages_back_pressured_total", publisher.back_pressured, labels)
        yield Sample("messages_queued", publisher.queued, labels)


def _counter_samples(service: Service) -> Iterator[Sample]:
    counters = service.counters.copy()
    for name in _OWN_COUNTERS[service.role]:
        counters.setdefault(name, 0)  # a rise from 0 is seen only if the 0 was
    for name, count in counters.items():
        first, _, rest = name.partition(".")
        metric = COUNTERS.get(first, "events_total")
        if metric == "events_total":
            yield Sample(metric, count, (name,))
        elif metric is not None:
            yield Sample(metric, count, (rest,) if rest else ())


def _family(name: str) -> Metric:
    metric = METRICS[name]
    if metric.kind == "counter":
        base = metric.name.removesuffix("_total")
        return CounterMetricFamily(base, metric.meaning, labels=metric.labels)
    if metric.kind == "histogram":
        return HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    return GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)


def _add(family: Metric, sample: Sample) -> None:
    if isinstance(sample.value, Buckets):
        assert isinstance(family, HistogramMetricFamily)
        family.add_metric(sample.labels, list(sample.value.counts), sample.value.total)
    else:
        assert isinstance(family, CounterMetricFamily | GaugeMetricFamily)
        family.add_metric(sample.labels, float(sample.value))
