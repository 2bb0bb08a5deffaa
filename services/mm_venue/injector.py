"""Injects faults into what is sent: frames in, distorted frames out; the books stay true."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from mm_venue.faults import CONNECTION, FRAME, KINDS, REQUEST, Fault, FaultError
from mm_venue.source import Frame, Listing

__all__ = ["Injector"]

log = logging.getLogger("mm_venue")

MAX_ARMED = 1000
MAX_HELD = 100_000
NS_PER_MS = 1_000_000
NEVER_NS = 1 << 63

_DIFF = re.compile(r"[^@]+@depth(?:@\d+ms)?")
_TIMES = re.compile(rb'"([ET])":(\d+)')
_TRADE_IDS = re.compile(rb'"([tfl])":(\d+)')
_PRICE = re.compile(rb'"p":"[^"]*"')
_QTY = re.compile(rb'"q":"[^"]*"')
# The order in which several faults of one frame act: contents first, then presence and order.
_ORDER = "na_trade crossed overlap clock_skew truncated drop duplicate reorder delay".split()


@dataclass(slots=True)
class _Armed:
    """A fault that waits, or is under way."""

    id: int
    fault: Fault
    left: int
    until_ns: int = 0
    began: bool = False
    kept: dict[str, Frame] = field(default_factory=dict)  # by stream: held back, or sent before


class Injector:
    """All faults of one venue.

    Parameters
    ----------
    listings : mapping
        By symbol: the true books, which a crossed feed is made from.

    Attributes
    ----------
    injected : Counter
        Faults that took effect, by kind.
    touched : Counter
        Frames, connections or requests they concerned, by kind.
    """

    def __init__(self, listings: Mapping[str, Listing]) -> None:
        self.injected: Counter[str] = Counter()
        self.touched: Counter[str] = Counter()
        self._listings = listings
        self._armed: list[_Armed] = []
        self._last_id = 0
        self._held: list[tuple[int, Frame]] = []  # when to send what
        self._next_release_ns = NEVER_NS
        self._held_of: Counter[str | None] = Counter()  # frames held, by stream
        self._crossings: dict[str, int] = {}
        self._spent_ids: Counter[str] = Counter()
        self._handlers: dict[str, Callable[[_Armed, Frame, int], list[Frame]]] = {
            "drop": self._drop,
            "duplicate": self._duplicate,
            "delay": self._delay,
            "reorder": self._reorder,
            "overlap": self._overlap,
            "truncated": self._truncate,
            "crossed": self._cross,
            "na_trade": self._na_trade,
            "clock_skew": self._skew,
        }

    # arming

    def arm(self, fault: Fault, now_ns: int) -> int:
        """Let a fault wait for its chance; return its number.

        Raises
        ------
        FaultError
            Too many wait already.
        """
        if len(self._armed) >= MAX_ARMED:
            raise FaultError(f"at most {MAX_ARMED} faults may wait, got one more: clear them")
        self._last_id += 1
        armed = _Armed(self._last_id, fault, max(1, fault.count))
        if fault.kind == "clock_skew":
            armed.until_ns = now_ns + fault.duration_ms * NS_PER_MS
        self._armed.append(armed)
        log.info("fault %d armed: %s %s", armed.id, fault.kind, fault.symbol or "all")
        if KINDS[fault.kind].concerns == FRAME:
            self._armed.sort(key=_rank)
        return armed.id

    def clear(self) -> int:
        """Forget what waits; return how many. What is held back is sent at the next turn."""
        count = len(self._armed)
        for armed in self._armed:
            if armed.fault.kind == "reorder":
                for frame in armed.kept.values():
                    self._hold(0, frame)
        self._armed.clear()
        self._held = [(0, frame) for _, frame in self._held]
        self._next_release_ns = 0
        return count

    @property
    def active(self) -> list[dict[str, object]]:
        """The faults that wait or are under way."""
        return [
            {"id": armed.id, "kind": armed.fault.kind, "symbol": armed.fault.symbol}
            | {"left": armed.left, "began": armed.began}
            for armed in self._armed
        ]

    @property
    def is_idle(self) -> bool:
        """Whether frames pass as they are."""
        return not (self._armed or self._held or self._crossings or self._spent_ids)

    # frames

    def distort(self, frames: Sequence[Frame], now_ns: int) -> list[Frame]:
        """Return what is sent now instead of `frames`."""
        sent = self._released(now_ns) if self._held else []
        self._armed = [armed for armed in self._armed if not _expired(armed, now_ns)]
        frame_faults = [a for a in self._armed if KINDS[a.fault.kind].concerns == FRAME]
        for frame in frames:
            sent.extend(self._distort(frame, frame_faults, now_ns))
        return sent

    def _distort(self, frame: Frame, faults: list[_Armed], now_ns: int) -> list[Frame]:
        if frame.stream is None:
            return [frame]
        symbol, _, kind = frame.stream.partition("@")
        symbol = symbol.upper()
        frame = self._mended(self._renumbered(frame, symbol, kind))
        out = [frame]
        for armed in faults:
            fault = armed.fault
            if armed.left and fault.symbol in (None, symbol) and _is_of(fault, kind):
                handler = self._handlers[fault.kind]
                # A fault before this one may have made several of the frame: it takes its count.
                out = [
                    made
                    for one in out
                    for made in (handler(armed, one, now_ns) if armed.left else [one])
                ]
        if faults:
            self._armed = [armed for armed in self._armed if armed.left]
        if out and self._held_of[frame.stream]:
            # What comes behind a held frame of its stream waits with it.
            release_ns = max(when for when, one in self._held if one.stream == frame.stream)
            for one in out:
                self._hold(release_ns, one)
            return []
        return out

    def _released(self, now_ns: int) -> list[Frame]:
        """Let go of what is due; of everything where too much is held."""
        if len(self._held) > MAX_HELD:
            self._held = [(0, frame) for _, frame in self._held]
            self._next_release_ns = 0
        if now_ns < self._next_release_ns:
            return []
        due = [frame for when, frame in self._held if when <= now_ns]
        self._held = [(when, frame) for when, frame in self._held if when > now_ns]
        self._held_of = Counter(frame.stream for _, frame in self._held)
        self._next_release_ns = min((when for when, _ in self._held), default=NEVER_NS)
        return due

    def _hold(self, release_ns: int, frame: Frame) -> None:
        self._held.append((release_ns, frame))
        self._next_release_ns = min(self._next_release_ns, release_ns)
        self._held_of[frame.stream] += 1

    def hold(self, symbol: str, until_ns: int) -> None:
        """Hold back the depth of a symbol until then (a snapshot ahead of the stream)."""
        fault = Fault("delay", symbol, stream="depth", duration_ms=1)
        self._last_id += 1
        self._armed.append(_Armed(self._last_id, fault, 1, until_ns, began=True))

    def _hit(self, armed: _Armed, *, uses: int = 1) -> None:
        if not armed.began:
            armed.began = True
            self.injected[armed.fault.kind] += 1
        self.touched[armed.fault.kind] += 1
        armed.left -= uses

    def _drop(self, armed: _Armed, frame: Frame, now_ns: int) -> list[Frame]:
        self._hit(armed)
        return []

    def _duplicate(self, armed: _Armed, frame: Frame, now_ns: int) -> list[Frame]:
        self._hit(armed)
        return [frame, frame]

    def _delay(self, armed: _Armed, frame: Frame, now_ns: int) -> list[Frame]:
        if not armed.until_ns:
            armed.until_ns = now_ns + armed.fault.duration_ms * NS_PER_MS
        self._hit(armed, uses=0)
        self._hold(armed.until_ns, frame)
        return []

    def _reorder(self, armed: _Armed, frame: Frame, now_ns: int) -> list[Frame]:
        assert frame.stream is not None
        before = armed.kept.pop(frame.stream, None)
        if before is None:
            armed.kept[frame.stream] = frame
            return []
        self._hit(armed)
        return [frame, before]

    def _truncate(self, armed: _Armed, frame: Frame, now_ns: int) -> list[Frame]:
        self._hit(armed)
        half = frame.data[: len(frame.data) // 2]
        assert frame.stream is not None
        return [Frame(frame.stream, half, b'{"stream":"%b","data":%b' % (_name(frame), half))]

    def _overlap(self, armed: _Armed, frame: Frame, now_ns: int) -> list[Frame]:
        """Let an event reach back over the one before: both ranges, both sets of levels."""
        stream = frame.stream
        if stream is None or not _DIFF.fullmatch(stream):
            return [frame]
        before = armed.kept.get(stream)
        armed.kept[stream] = frame
        if before is None:
            return [frame]
        self._hit(armed)
        old, event = orjson.loads(before.data), orjson.loads(frame.data)
        for key in ("U", "pu"):
            if key in event:
                event[key] = old[key]
        for side in ("b", "a"):
            newest = {price: [price, qty] for price, qty in old[side] + event[side]}
            event[side] = list(newest.values())
        return [Frame(stream, orjson.dumps(event))]

    def _cross(self, armed: _Armed, frame: Frame, now_ns: int) -> list[Frame]:
        """Let one event end with a bid above the best ask; the stream's next takes it back."""
        stream = frame.stream
        if stream is None or not _DIFF.fullmatch(stream):
            return [frame]
        listing = self._listings[stream.partition("@")[0].upper()]
        event = orjson.loads(frame.data)
        book = listing.book.as_of(event["u"])
        if book is None or not book.best_ask:
            return [frame]
        self._hit(armed)
        instrument = listing.instrument
        price = book.best_ask + instrument.tick_size_e8
        self._crossings[stream] = price
        _set_bid(event, instrument.price_text(price), instrument.qty_text(instrument.lot_size_e8))
        return [Frame(stream, orjson.dumps(event))]

    def _mended(self, frame: Frame) -> Frame:
        price = self._crossings.pop(frame.stream, 0) if frame.stream else 0
        if not price or frame.stream is None:
            return frame
        listing = self._listings[frame.stream.partition("@")[0].upper()]
        event = orjson.loads(frame.data)
        book = listing.book.as_of(event["u"]) or listing.book
        instrument = listing.instrument
        qty = book.bids.get(price, 0)
        _set_bid(event, instrument.price_text(price), instrument.qty_text(qty))
        return Frame(frame.stream, orjson.dumps(event))

    def _na_trade(self, armed: _Armed, frame: Frame, now_ns: int) -> list[Frame]:
        """Spend a trade id without a fill; the trades behind it move up by one."""
        if frame.stream is None or not frame.stream.endswith("@trade"):
            return [frame]
        self._hit(armed)
        self._spent_ids[frame.stream.partition("@")[0].upper()] += 1
        nothing = _QTY.sub(b'"q":"0"', _PRICE.sub(b'"p":"0"', frame.data))
        nothing = nothing.replace(b'"X":"MARKET"', b'"X":"NA"')
        return [Frame(frame.stream, nothing), Frame(frame.stream, _moved(frame.data, 1))]

    def _renumbered(self, frame: Frame, symbol: str, kind: str) -> Frame:
        spent = self._spent_ids.get(symbol, 0)
        if not spent or kind not in ("trade", "aggTrade"):
            return frame
        return Frame(frame.stream, _moved(frame.data, spent))

    def _skew(self, armed: _Armed, frame: Frame, now_ns: int) -> list[Frame]:
        self._hit(armed, uses=0)
        offset_ms = armed.fault.offset_ms

        def shifted(match: re.Match[bytes]) -> bytes:
            return b'"%b":%d' % (match[1], int(match[2]) + offset_ms)

        return [Frame(frame.stream, _TIMES.sub(shifted, frame.data))]

    def skew_ns(self, now_ns: int) -> int:
        """Return how far off the venue's clock is now, where all symbols are concerned."""
        return sum(
            armed.fault.offset_ms * NS_PER_MS
            for armed in self._armed
            if armed.fault.kind == "clock_skew"
            and armed.fault.symbol is None
            and not _expired(armed, now_ns)
        )

    # connections and requests

    def connection_faults(self) -> list[Fault]:
        """Take the faults of whole connections: whoever carries one out calls `carried_out`."""
        taken = [a for a in self._armed if KINDS[a.fault.kind].concerns == CONNECTION]
        if taken:
            self._armed = [armed for armed in self._armed if armed not in taken]
        return [armed.fault for armed in taken]

    def carried_out(self, fault: Fault, connections: int) -> None:
        """Count a connection fault; one that met no connection did not happen."""
        if connections:
            self.injected[fault.kind] += 1
            self.touched[fault.kind] += connections

    def request_fault(self, symbol: str | None, *, is_depth: bool) -> Fault | None:
        """Take the fault a REST request meets, None where it meets none."""
        for armed in self._armed:
            fault = armed.fault
            if KINDS[fault.kind].concerns != REQUEST or fault.symbol not in (None, symbol):
                continue
            if is_depth or fault.kind not in ("stale_snapshot", "snapshot_ahead"):
                self._hit(armed)
                self._armed = [one for one in self._armed if one.left]
                return fault
        return None


def _rank(armed: _Armed) -> int:
    kind = armed.fault.kind
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def _expired(armed: _Armed, now_ns: int) -> bool:
    return 0 < armed.until_ns <= now_ns


def _is_of(fault: Fault, kind: str) -> bool:
    if fault.stream:
        return kind.startswith("depth") if fault.stream == "depth" else kind == fault.stream
    if fault.kind == "na_trade":
        return kind == "trade"
    return fault.kind == "clock_skew" or kind.startswith("depth")


def _name(frame: Frame) -> bytes:
    return (frame.stream or "").encode()


def _moved(data: bytes, by: int) -> bytes:
    def moved(match: re.Match[bytes]) -> bytes:
        return b'"%b":%d' % (match[1], int(match[2]) + by)

    return _TRADE_IDS.sub(moved, data)


def _set_bid(event: dict[str, list[list[str]]], price: str, qty: str) -> None:
    event["b"] = [row for row in event["b"] if row[0] != price] + [[price, qty]]
