"""The way of a quote: its stamps are kept as they are, and counted into histograms later."""

import numpy as np
from numpy.typing import NDArray

from mm_runtime.metrics_table import Buckets

__all__ = ["HOPS", "QuoteLatency"]

# Between which two stamps of the quotes message each hop lies.
HOPS = {
    "collector": ("frame_ns", "collector_sent_ns"),
    "collector_to_pricing": ("collector_sent_ns", "pricing_received_ns"),
    "pricing": ("pricing_received_ns", "pricing_sent_ns"),
    "pricing_to_strategy": ("pricing_sent_ns", "received_ns"),
    "strategy": ("received_ns", "sent_ns"),
    "tick_to_quote": ("frame_ns", "sent_ns"),
}
_STAMPS = (
    "frame_ns",
    "collector_sent_ns",
    "pricing_received_ns",
    "pricing_sent_ns",
    "received_ns",
    "sent_ns",
)
_STARTS = [_STAMPS.index(start) for start, _ in HOPS.values()]
_ENDS = [_STAMPS.index(end) for _, end in HOPS.values()]
_KEPT = 1_024
# Upper bounds in microseconds: 1, 2 and 5 a decade, from 5 us to 1 s.
_BOUNDS_US = [m * 10**e for e in range(6) for m in (1, 2, 5) if m * 10**e >= 5] + [1_000_000]
_BOUNDS_NS = np.array(_BOUNDS_US, np.int64) * 1_000
_LABELS = [*(f"{us / 1e6:g}" for us in _BOUNDS_US), "+Inf"]


class QuoteLatency:
    """Histograms of the hops: noting a quote is one copy, all else is done in `fold`."""

    def __init__(self) -> None:
        self._stamps = np.zeros((_KEPT, len(_STAMPS)), np.int64)
        self._count = 0
        self._counts = np.zeros((len(HOPS), len(_LABELS)), np.int64)
        self._totals_ns = np.zeros(len(HOPS), np.int64)

    def note(self, stamps_ns: NDArray[np.int64]) -> None:
        """Keep one quote's stamps, shape (6,), in the order in which they were taken."""
        self._stamps[self._count] = stamps_ns
        self._count += 1
        if self._count == _KEPT:
            self.fold()

    def fold(self) -> None:
        """Count what was kept; called by the service's own thread, after its work."""
        stamps = self._stamps[: self._count]
        self._count = 0
        hops_ns = stamps[:, _ENDS] - stamps[:, _STARTS]
        slots = np.searchsorted(_BOUNDS_NS, hops_ns)
        for hop in range(len(HOPS)):
            self._counts[hop] += np.bincount(slots[:, hop], minlength=len(_LABELS))
        self._totals_ns += hops_ns.sum(axis=0)

    def buckets(self) -> dict[str, Buckets]:
        """Return each hop's histogram, in seconds."""
        cumulative = self._counts.cumsum(axis=1).tolist()
        return {
            hop: Buckets(tuple(zip(_LABELS, counts, strict=True)), total / 1e9)
            for hop, counts, total in zip(HOPS, cumulative, self._totals_ns.tolist(), strict=True)
        }
