"""Faults planned ahead: from a file, or at random from a seed."""

import random
from collections.abc import Iterator
from heapq import merge
from pathlib import Path

import orjson

from mm_venue.faults import Fault, FaultError, check_fault
from mmquant.codes import Market

__all__ = ["planned_faults", "random_faults", "read_faults"]

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
LONGEST_FILE_LINES = 100_000

# Kind, how often in proportion, and the ranges its numbers are drawn from: short enough for a
# client with ordinary timeouts to live through one after the other.
_RANDOM: tuple[tuple[str, int, dict[str, tuple[int, int]]], ...] = (
    ("drop", 6, {"count": (1, 3)}),
    ("duplicate", 4, {"count": (1, 3)}),
    ("delay", 3, {"duration_ms": (50, 800)}),
    ("reorder", 4, {"count": (1, 2)}),
    ("overlap", 4, {"count": (1, 2)}),
    ("truncated", 3, {"count": (1, 2)}),
    ("crossed", 3, {"count": (1, 2)}),
    ("na_trade", 4, {"count": (1, 3)}),
    ("clock_skew", 2, {"duration_ms": (200, 2000), "offset_ms": (-2000, 2000)}),
    ("garbage", 3, {"count": (1, 3)}),
    ("oversized", 1, {}),
    ("disconnect", 2, {}),
    ("silence", 1, {"duration_ms": (200, 3000)}),
    ("server_shutdown", 1, {"duration_ms": (100, 1000)}),
    ("day_cut", 1, {}),
    ("stale_snapshot", 3, {"count": (1, 2), "age_ms": (300, 5000)}),
    ("snapshot_ahead", 3, {"count": (1, 1), "duration_ms": (100, 500)}),
    ("slow_rest", 2, {"count": (1, 2), "duration_ms": (100, 1500)}),
    ("failing_rest", 3, {"count": (1, 2), "status": (500, 504)}),
    ("rate_limit", 2, {"count": (1, 2), "retry_after_s": (0, 1)}),
)


def random_faults(
    seed: int, rate: float, market: Market, symbols: tuple[str, ...]
) -> Iterator[tuple[int, Fault]]:
    """Yield (nanoseconds since the beginning, fault) for ever: the same for the same arguments.

    Parameters
    ----------
    seed : int
    rate : float
        Faults a second, on average; the times between them are exponential.
    market : Market
        A kind the market does not know is left out.
    symbols : tuple of str
        One of them, or all, is concerned.
    """
    rng = random.Random(seed)
    rows = [row for row in _RANDOM if market == Market.USDM or row[0] != "na_trade"]
    weights = [row[1] for row in rows]
    at_ns = 0
    while True:
        at_ns += int(rng.expovariate(rate) * NS_PER_S)
        kind, _, ranges = rng.choices(rows, weights)[0]
        drawn: dict[str, int | str | None] = {
            key: rng.randint(low, high) for key, (low, high) in ranges.items()
        }
        symbol = rng.choice((None, *symbols))
        yield at_ns, check_fault({"kind": kind, "symbol": symbol, **drawn}, market, symbols)


def read_faults(path: Path, market: Market, symbols: tuple[str, ...]) -> list[tuple[int, Fault]]:
    """Return the faults of a file of JSON lines `{"at_ms": 1000, "kind": "drop", ...}`.

    Raises
    ------
    FaultError
        A line that is none, a file that cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as problem:
        raise FaultError(f"faults must be a file that can be read: {problem}") from None
    if len(lines) > LONGEST_FILE_LINES:
        raise FaultError(f"{path} must have at most {LONGEST_FILE_LINES} lines, got {len(lines)}")
    faults = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            given = orjson.loads(line)
            if not isinstance(given, dict):
                raise FaultError(f"a fault must be a JSON object, got {line[:80]!r}")
            at_ms = given.pop("at_ms", None)
            if not isinstance(at_ms, int | float) or not 0 <= at_ms < 1e12:
                raise FaultError(f"at_ms must be 0 or more milliseconds, got {at_ms!r}")
            faults.append((int(at_ms * NS_PER_MS), check_fault(given, market, symbols)))
        except (orjson.JSONDecodeError, FaultError) as problem:
            raise FaultError(f"{path}, line {number}: {problem}") from None
    return sorted(faults, key=lambda one: one[0])


def planned_faults(
    path: str, seed: int, rate: float, market: Market, symbols: tuple[str, ...]
) -> Iterator[tuple[int, Fault]]:
    """Return what file and seed plan, in order; no path and no rate plan nothing."""
    from_file = read_faults(Path(path), market, symbols) if path else []
    at_random = random_faults(seed, rate, market, symbols) if rate else iter(())
    return merge(from_file, at_random, key=lambda one: one[0])
