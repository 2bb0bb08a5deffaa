"""Every metric of every service: name, type, labels, meaning (docs/metrics.md repeats it)."""

from dataclasses import dataclass, replace
from typing import NamedTuple

__all__ = ["COUNTERS", "METRICS", "Buckets", "Metric", "Sample"]


class Buckets(NamedTuple):
    """A histogram's state: cumulative counts by upper bound, and the sum of all values."""

    counts: tuple[tuple[str, int], ...]
    total: float


class Sample(NamedTuple):
    """One value of a metric of `METRICS`, with the values of its labels in their order."""

    metric: str
    value: float | Buckets
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as Prometheus knows it; a counter's name ends in `_total`.

    `service` is the one that shows it; "": every service does.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str
    service: str = ""


def _counter(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(f"mmquant_{name}_total", "counter", labels, meaning)


def _gauge(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(f"mmquant_{name}", "gauge", labels, meaning)


_METRICS_OF = {
    "": (
        _gauge("build_info", "1, with the version that runs", "version"),
        _gauge("healthy", "1 if /health says so, else 0"),
        _gauge("state", "1 for the state the service is in, 0 for the others", "state"),
        _gauge("reason", "1 for the reason of that state; the others are absent", "reason"),
        _gauge("state_age_seconds", "time in that state"),
        _counter("state_changes", "changes of state, by the new one", "state", "reason"),
        _counter("turns", "turns of the service's loop"),
        _gauge("turn_age_seconds", "time since the loop was last seen to turn"),
        _gauge("longest_turn_seconds", "longest time between two turns in the last 15 to 30 s"),
        _gauge("heartbeat_age_seconds", "time since a service was last heard of", "peer"),
        _gauge("input_age_seconds", "time since the last message on a stream it needs", "stream"),
        _counter("messages_received", "messages received", "stream"),
        _counter("messages_malformed", "messages received that cannot be read", "stream"),
        _counter("messages_sent", "messages sent", "stream"),
        _counter("messages_unheard", "messages nobody subscribed to", "stream"),
        _counter("messages_dropped", "messages dropped: their queue was full", "stream"),
        _counter(
            "messages_conflated", "messages replaced by newer ones while they waited", "stream"
        ),
        _counter("messages_back_pressured", "offers refused: a subscriber is behind", "stream"),
        _gauge("messages_queued", "messages that wait for the stream", "stream"),
        _counter("events", "what has no metric of its own, by its name in the heartbeats", "event"),
    ),
    "aeronmd": (
        _gauge("driver_active", "1 if Aeron's media driver gives signs of life"),
        _gauge("shared_memory_used_bytes", "shared memory in use by Aeron"),
        _gauge("shared_memory_limit_bytes", "shared memory Aeron may use"),
    ),
    "mm_collector": (
        _gauge("feed_lag_seconds", "age of the newest frame when it came, by the venue's stamp"),
        _counter("frames", "frames received from the venue"),
        _counter("frames_dropped", "frames that were not used", "cause"),
        _counter("depth_events", "depth events received"),
        _counter("connections", "connections made to the venue"),
        _counter("connection_failures", "connections lost or refused"),
        _counter("snapshots", "snapshots taken from the venue to synchronise a book"),
        _counter("resyncs", "books synchronised anew"),
        _counter("trade_gaps", "holes in the ids of trades"),
        _counter(
            "book_checks", "comparisons of a book's touch with the venue's best bid and offer"
        ),
        _counter("book_mismatches", "those that differed"),
        _gauge("book_state", "1 for the state the book is in, 0 for the others", "symbol", "state"),
        _counter("book_gaps", "holes in the ids of depth events", "symbol"),
        _counter("book_crossings", "times a book was found crossed", "symbol"),
        _counter("book_duplicates", "depth events known already", "symbol"),
        _counter("rounded_levels", "displayed quantities that were no multiple of the lot"),
        _gauge("request_pause_seconds", "time until a snapshot may be asked for, 0 if at once"),
    ),
    "mm_pricing": (
        _counter("snapshot_requests", "snapshots asked of the collector: a book was lost"),
        _gauge("pricing_live", "1 if the fair value rests on a LIVE book", "instrument"),
        _gauge("pricing_warm", "1 if the estimates have seen enough data", "instrument"),
        _gauge("pricing_warm_started", "1 while they rest mainly on a stored state", "instrument"),
        _counter("pricing_jumps", "moves that were cut to the limit of a jump", "instrument"),
        _counter("pricing_data_gaps", "pauses too long to learn from", "instrument"),
        _counter("warm_starts", "stored estimates that were taken up"),
        _counter("stores_failed", "times the estimates could not be stored"),
        _counter("model_errors", "times the fair value of one's own raised an exception"),
    ),
    "mm_strategy": (
        _counter("quotes", "quotes messages sent, those without quotes included"),
        _counter("quotes_withheld", "quotes messages without quotes", "reason"),
        _counter("sides_withheld", "times that bids or asks were left out anew", "reason"),
        _gauge("quoting", "1 if quotes stand, 0 if none are wanted", "symbol"),
        _gauge("risk_state", "0 ACTIVE, 1 REDUCING (only what shrinks), 2 HALTED", "symbol"),
        _gauge("quoted_levels", "orders wanted", "symbol", "side"),
        _gauge("quote_price", "best price wanted, in the quote asset", "symbol", "side"),
        _gauge("fair_value", "fair value in the quote asset", "symbol"),
        _gauge("reservation_price", "price the quotes are set round, in the quote asset", "symbol"),
        _gauge("volatility_per_sqrt_second", "in the quote asset", "symbol"),
        Metric(
            "mmquant_quote_latency_seconds",
            "histogram",
            ("hop",),
            "way of a quote from the frame that caused it, by hop; tick_to_quote is all of it",
        ),
    ),
    "mm_simulator": (
        _gauge("position", "position in the base asset", "symbol"),
        _gauge("position_price", "average price of the position in the quote asset", "symbol"),
        _gauge("mark_price", "mid price the position is valued at, in the quote asset", "symbol"),
        _gauge(
            "profit", "parts of the profit in the quote asset; their sum is all", "symbol", "part"
        ),
        _gauge("balance", "what a spot account holds: base, quote, other", "symbol", "asset"),
        _gauge("open_orders", "orders that rest", "symbol"),
        _counter("orders_placed", "orders placed, over the ledger's life", "symbol"),
        _counter("fills", "fills, over the ledger's life", "symbol"),
        _counter("order_updates", "order updates published", "status"),
        _gauge(
            "bracket_profit",
            "profit after fees under each model of the bracket, since the service's start",
            "symbol",
            "model",
        ),
        _counter("bracket_fills", "fills under each model of the bracket", "symbol", "model"),
    ),
}

METRICS = {
    metric.name.removeprefix("mmquant_"): replace(metric, service=service)
    for service, metrics in _METRICS_OF.items()
    for metric in metrics
}

# A service's counters by their name in the heartbeats: `name`, or `name.value` for the one label.
# None: what it counts is shown in another way.
COUNTERS: dict[str, str | None] = {
    "bracket_profit": None,
    "book_checks": "book_checks_total",
    "book_mismatches": "book_mismatches_total",
    "connection_failures": "connection_failures_total",
    "connections": "connections_total",
    "crossed": None,
    "depth_events": "depth_events_total",
    "dropped": "frames_dropped_total",
    "duplicates": None,
    "fills": None,
    "frames": "frames_total",
    "gaps": None,
    "model_errors": "model_errors_total",
    "not_quoting": "quotes_withheld_total",
    "orders": "order_updates_total",
    "quotes": "quotes_total",
    "resyncs": "resyncs_total",
    "rounded_levels": "rounded_levels_total",
    "shm_bytes": None,
    "side_not_quoting": "sides_withheld_total",
    "snapshot_requests": "snapshot_requests_total",
    "snapshots": "snapshots_total",
    "stores_failed": "stores_failed_total",
    "trade_gaps": "trade_gaps_total",
    "warm_starts": "warm_starts_total",
}
