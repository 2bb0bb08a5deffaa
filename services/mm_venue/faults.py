"""What can go wrong on demand: the kinds of faults, their parameters and their rules."""

import msgspec

from mmquant.codes import Market

__all__ = ["KINDS", "Fault", "FaultError", "check_fault", "parse_fault"]

FRAME, CONNECTION, REQUEST = "frame", "connection", "request"
STREAMS = ("depth", "trade", "aggTrade", "bookTicker")


class FaultError(ValueError):
    """A fault that cannot be injected: the field, its rule and what was given."""


class Kind(msgspec.Struct, frozen=True):
    """One kind of fault: what it concerns, and the parameters it takes with their defaults."""

    concerns: str
    defaults: dict[str, int | str]


_SOME: dict[str, int | str] = {"count": 1}
_OF_STREAM: dict[str, int | str] = {"count": 1, "stream": "depth"}
KINDS: dict[str, Kind] = {
    "drop": Kind(FRAME, {**_OF_STREAM}),
    "duplicate": Kind(FRAME, {**_OF_STREAM}),
    "delay": Kind(FRAME, {"duration_ms": 500, "stream": "depth"}),
    "reorder": Kind(FRAME, {**_OF_STREAM}),
    "overlap": Kind(FRAME, {**_SOME}),
    "truncated": Kind(FRAME, {**_OF_STREAM}),
    "crossed": Kind(FRAME, {**_SOME}),
    "na_trade": Kind(FRAME, {**_SOME}),
    "clock_skew": Kind(FRAME, {"duration_ms": 5000, "offset_ms": 1270}),
    "garbage": Kind(CONNECTION, {**_SOME}),
    "oversized": Kind(CONNECTION, {**_SOME, "size": 17_000_000}),
    "disconnect": Kind(CONNECTION, {}),
    "silence": Kind(CONNECTION, {"duration_ms": 5000}),
    "server_shutdown": Kind(CONNECTION, {"duration_ms": 1000}),
    "day_cut": Kind(CONNECTION, {}),
    "stale_snapshot": Kind(REQUEST, {**_SOME, "age_ms": 2000}),
    "snapshot_ahead": Kind(REQUEST, {**_SOME, "duration_ms": 400}),
    "slow_rest": Kind(REQUEST, {**_SOME, "duration_ms": 2000}),
    "failing_rest": Kind(REQUEST, {**_SOME, "status": 503}),
    "rate_limit": Kind(REQUEST, {**_SOME, "status": 429, "retry_after_s": 1}),
}
_RANGES = {
    "count": (1, 10_000),
    "duration_ms": (1, 3_600_000),
    "age_ms": (1, 3_600_000),
    "offset_ms": (-86_400_000, 86_400_000),
    "size": (1, 1 << 26),
    "status": (400, 599),
    "retry_after_s": (0, 259_200),
}


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fault to come; `symbol` None concerns all. What a kind does not take is 0 or empty."""

    kind: str
    symbol: str | None = None
    count: int = 0
    duration_ms: int = 0
    age_ms: int = 0
    offset_ms: int = 0
    size: int = 0
    status: int = 0
    retry_after_s: int = 0
    stream: str = ""


def parse_fault(body: bytes, market: Market, symbols: tuple[str, ...]) -> Fault:
    """Return the fault in a JSON object, its defaults filled in.

    Raises
    ------
    FaultError
        What is wrong with it.
    """
    try:
        given = msgspec.json.decode(body, type=dict[str, int | str | None])
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise FaultError(f"a fault must be a JSON object of numbers and texts: {error}") from None
    return check_fault(given, market, symbols)


def check_fault(
    given: dict[str, int | str | None], market: Market, symbols: tuple[str, ...]
) -> Fault:
    """Return the fault `given` describes, its defaults filled in; raises FaultError."""
    name = given.get("kind")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise FaultError(f"kind must be one of {', '.join(KINDS)}, got {name!r}")
    taken = ("kind", "symbol", *kind.defaults)
    for key in given:
        if key not in taken:
            raise FaultError(f"{name} takes {', '.join(taken)}, got {key!r}")
    try:
        fault = msgspec.convert({**kind.defaults, **given}, Fault)
    except msgspec.ValidationError as error:
        raise FaultError(f"{name}: {error}") from None
    if fault.symbol is not None and fault.symbol not in symbols:
        raise FaultError(f"symbol must be one of {', '.join(symbols)}, got {fault.symbol!r}")
    for key in kind.defaults:
        value = getattr(fault, key)
        if key == "stream":
            if value not in STREAMS:
                raise FaultError(f"stream must be one of {', '.join(STREAMS)}, got {value!r}")
            continue
        low, high = _RANGES[key]
        if not low <= value <= high:
            raise FaultError(f"{key} must be {low} to {high}, got {value}")
    _check_kind(fault, market)
    return fault


def _check_kind(fault: Fault, market: Market) -> None:
    if fault.kind == "na_trade" and market != Market.USDM:
        raise FaultError("na_trade exists on usdm only: spot sends no trade without a fill")
    if fault.kind == "rate_limit" and fault.status not in (418, 429):
        raise FaultError(f"status of rate_limit must be 429 or 418, got {fault.status}")
    if fault.kind == "failing_rest" and fault.status < 500:
        raise FaultError(f"status of failing_rest must be 500 to 599, got {fault.status}")
