"""Random faults for a running offline venue: armed over HTTP when they are due, and counted."""

import http.client
import logging
from collections import Counter
from typing import Any

import orjson
from mm_venue.faults import KINDS, Fault
from mm_venue.schedule import random_faults

from mmquant.codes import Market

__all__ = ["VenueFaults", "ask_venue"]

log = logging.getLogger("mm_launcher")

_TIMEOUT_S = 2.0
_PATH = "/debug/faults"


class VenueFaults:
    """Arms the faults that a seed draws; a venue that does not answer misses its faults.

    Parameters
    ----------
    address
        host:port of the venue.
    seed, rate
        Of the faults: the same seed and rate give the same faults at the same times; `rate` is
        how many a second, on average.
    market, symbols
        What the venue plays.

    Attributes
    ----------
    armed
        Faults the venue took, by kind.
    refused
        Faults that were due while no venue took them.
    """

    def __init__(
        self, address: str, seed: int, rate: float, market: Market, symbols: tuple[str, ...]
    ) -> None:
        self._address = address
        self._schedule = random_faults(seed, rate, market, symbols)
        self._next_ns, self._next = next(self._schedule)
        self._seen: Counter[str] = Counter()
        self._earlier: Counter[str] = Counter()  # of venues that have ended since
        self.armed: Counter[str] = Counter()
        self.refused = 0
        self.last_kind = ""

    def arm_due(self, elapsed_ns: int) -> None:
        """Arm what is due `elapsed_ns` after the schedule's beginning."""
        while self._next_ns <= elapsed_ns:
            self._arm(self._next)
            self._next_ns, self._next = next(self._schedule)

    def clear(self) -> bool:
        """Take back what waits in the venue; return whether it answered."""
        return ask_venue(self._address, "DELETE", _PATH) is not None

    def read(self) -> None:
        """Learn from the venue what has taken effect so far."""
        answer = ask_venue(self._address, "GET", _PATH)
        if answer is not None:
            self._seen = Counter(answer["injected"])

    def venue_ended(self) -> None:
        """Keep the counts of a venue whose successor begins anew."""
        self._earlier += self._seen
        self._seen = Counter()

    @property
    def injected(self) -> Counter[str]:
        """Faults that took effect, by kind, as far as `read` knows."""
        return self._earlier + self._seen

    def _arm(self, fault: Fault) -> None:
        taken = ("kind", "symbol", *KINDS[fault.kind].defaults)
        body = orjson.dumps({key: getattr(fault, key) for key in taken})
        if ask_venue(self._address, "POST", _PATH, body) is None:
            self.refused += 1
            return
        self.armed[fault.kind] += 1
        self.last_kind = fault.kind


def ask_venue(
    address: str, method: str, path: str, body: bytes = b"", timeout_s: float = _TIMEOUT_S
) -> dict[str, Any] | None:
    """Return what the venue answers to a request, None where it does not or refuses.

    No proxy is used, whatever the system says: the venue runs here.
    """
    connection = http.client.HTTPConnection(address, timeout=timeout_s)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        log.debug("the venue does not answer %s %s: %s", method, path, error)
        return None
    finally:
        connection.close()
    if answer.status != http.client.OK:
        log.debug("the venue answers %s %s with %d: %r", method, path, answer.status, text[:200])
        return None
    parsed: dict[str, Any] = orjson.loads(text)
    return parsed
