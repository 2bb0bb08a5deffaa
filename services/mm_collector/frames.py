"""Venue frames (bytes) -> events in ticks and lots; what breaks a rule is named, never guessed.

`FrameReader` is the fast way: the compiled parser, and behind it, for every shape that parser
does not know, `parse_frame` and `parse_snapshot`. Those know all JSON, name what is wrong with a
frame, and are what the compiled parser is held against. Decimal strings are converted exactly,
through integers in units of 1e-8, never through float.

A displayed quantity that is no multiple of the lot is rounded down to one, and counted: orders from
before a change of the lot may rest in a book for years, and one of them must not cost the others.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from mmquant.codes import FrameKind
from mmquant.decimals import to_e8
from mmquant.kernels import frames as words
from mmquant.parse import MAX_FRAME_LEVELS, FrameParser
from mmquant.records import LEVEL

__all__ = [
    "Acknowledgement",
    "AggregateTrade",
    "BadFrame",
    "BestBidOffer",
    "DepthEvent",
    "Event",
    "FrameReader",
    "Instrument",
    "Levels",
    "Message",
    "ServerShutdown",
    "Snapshot",
    "Trade",
    "VoidTrade",
    "parse_frame",
    "parse_snapshot",
]

Levels = NDArray[Any]  # of records.LEVEL, in the venue's order

_MS = 1_000_000
_MAX_SIDE_LEVELS = MAX_FRAME_LEVELS // 2
_MAX_INTEGER = 1 << 62  # of ids and milliseconds; what is larger would wrap in int64


class BadFrame(Exception):
    """A frame that is not applied; `kind` is the counter's name."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Instrument:
    """What of an instrument the parser needs."""

    symbol: str
    tick_size_e8: int
    lot_size_e8: int


@dataclass(slots=True)  # not frozen: that triples the time to make one
class DepthEvent:
    """A diff of the book. `previous` is the last update id before it in its stream.

    Its levels are its own: it may be kept.
    """

    symbol: str
    venue_ns: int
    first: int
    last: int
    previous: int
    bids: Levels
    asks: Levels


@dataclass(slots=True)
class BestBidOffer:
    """The touch after update `update_id`."""

    symbol: str
    venue_ns: int
    update_id: int
    bid: tuple[int, int]
    ask: tuple[int, int]


@dataclass(slots=True)
class Trade:
    """One print; `aggressor` is the taker's side (+1 bought, -1 sold)."""

    symbol: str
    venue_ns: int
    trade_id: int
    price_ticks: int
    qty_lots: int
    aggressor: int


@dataclass(slots=True)
class AggregateTrade:
    """The fills of one taker at one price: trades `first_trade_id` to `last_trade_id`.

    What hidden orders filled is not in the quantity (it took nothing from the book that is shown):
    0 lots where that was all.
    """

    symbol: str
    venue_ns: int
    first_trade_id: int
    last_trade_id: int
    price_ticks: int
    qty_lots: int
    aggressor: int
    aggregate_id: int


@dataclass(slots=True)
class Snapshot:
    """The book at `last_update_id`, as the venue's REST interface gave it."""

    last_update_id: int
    bids: Levels
    asks: Levels


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The venue's answer to a control message; it proves nothing about data to come."""

    text: str


@dataclass(frozen=True, slots=True)
class VoidTrade:
    """A trade id spent without a fill in the book: not published, but no hole in the ids."""

    symbol: str
    trade_id: int
    text: str


@dataclass(frozen=True, slots=True)
class ServerShutdown:
    """The venue is about to close the connection."""

    venue_ns: int


Event = DepthEvent | BestBidOffer | Trade | AggregateTrade
Message = Event | Acknowledgement | VoidTrade | ServerShutdown


class FrameReader:
    """The compiled parser for the instruments added to it, and all of JSON behind it.

    Attributes
    ----------
    fallbacks
        Frames and snapshots that the compiled parser did not know.
    rounded
        Displayed quantities that were no multiple of the lot, by symbol.
    """

    def __init__(self) -> None:
        self.fallbacks = 0
        self.rounded: Counter[str] = Counter()
        self._parser = FrameParser()
        self._instruments: dict[str, Instrument] = {}
        self._symbols = [""]  # by number, which begin at 1
        self._numbers: dict[str, int] = {}

    def add(self, instrument: Instrument) -> None:
        """Make an instrument known; raises ValueError for one that is known already."""
        symbol = instrument.symbol
        self._numbers[symbol] = self._parser.add(
            symbol, instrument.tick_size_e8, instrument.lot_size_e8
        )
        self._symbols.append(symbol)
        self._instruments[symbol] = instrument

    def parse(self, payload: bytes) -> Event | Acknowledgement:
        """Return the event in a frame, exactly as `parse_frame` does."""
        kind = self._parser.parse(payload)
        values = self._parser.values
        symbol = self._symbols[values[words.INSTRUMENT]]
        if kind == FrameKind.BEST_BID_OFFER:
            return BestBidOffer(
                symbol,
                values[words.VENUE_NS],
                values[words.LAST_ID],
                (values[words.BID_TICKS], values[words.BID_LOTS]),
                (values[words.ASK_TICKS], values[words.ASK_LOTS]),
            )
        if kind == FrameKind.DEPTH:
            return DepthEvent(
                symbol,
                values[words.VENUE_NS],
                values[words.FIRST_ID],
                values[words.LAST_ID],
                values[words.PREVIOUS_ID],
                *self._own_levels(),
            )
        if kind == FrameKind.UNKNOWN:
            self.fallbacks += 1
            return parse_frame(payload, self._instruments, self.rounded)
        trade = (values[words.PRICE_TICKS], values[words.QTY_LOTS], values[words.AGGRESSOR])
        venue_ns, last_id = values[words.VENUE_NS], values[words.LAST_ID]
        if kind == FrameKind.TRADE:
            return Trade(symbol, venue_ns, last_id, *trade)
        ids = (values[words.FIRST_ID], last_id)
        return AggregateTrade(symbol, venue_ns, *ids, *trade, values[words.AGGREGATE_ID])

    def parse_message(self, payload: bytes) -> Message:
        """Return what a frame says, the rare kinds included; raises BadFrame like `parse`."""
        try:
            return self.parse(payload)
        except BadFrame as error:
            if error.kind not in ("unknown_kind", "not_a_trade"):
                raise
            rare = _rare(payload, self._instruments)
            if rare is None:
                raise
            return rare

    def parse_snapshot(self, payload: bytes, symbol: str) -> Snapshot:
        """Return the depth snapshot in a REST body, exactly as `parse_snapshot` does."""
        kind = self._parser.parse_snapshot(payload, self._numbers[symbol])
        if kind == FrameKind.UNKNOWN:
            self.fallbacks += 1
            return parse_snapshot(payload, self._instruments[symbol], self.rounded)
        return Snapshot(self._parser.values[words.LAST_ID], *self._own_levels())

    def _own_levels(self) -> tuple[Levels, Levels]:
        values = self._parser.values
        n_bids = values[words.N_BIDS]
        levels = self._parser.levels[: n_bids + values[words.N_ASKS]].copy()  # one for both sides
        return levels[:n_bids], levels[n_bids:]


def parse_frame(
    payload: bytes, instruments: dict[str, Instrument], rounded: Counter[str] | None = None
) -> Event | Acknowledgement:
    """Return the event in a raw or combined-stream frame.

    Parameters
    ----------
    payload
        One whole text frame.
    instruments
        The subscribed instruments by symbol.
    rounded
        Counts, by symbol, the displayed quantities rounded down to a multiple of the lot.

    Raises
    ------
    BadFrame
        For everything else, by kind: not_json, unknown_kind, unknown_symbol, malformed,
        bad_price, bad_quantity, off_tick, off_lot, not_a_trade, too_many_levels.
    """
    try:
        frame = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise BadFrame("not_json", f"{error} in {payload[:80]!r}") from None
    if not isinstance(frame, dict):
        raise BadFrame("unknown_kind", repr(payload[:80]))
    data = frame.get("data", frame) if "stream" in frame else frame
    if not isinstance(data, dict):
        raise BadFrame("unknown_kind", repr(payload[:80]))
    kind = data.get("e")
    if kind is None and ("result" in data or "error" in data or "code" in data):
        return Acknowledgement(payload[:200].decode(errors="replace"))
    if kind is None and {"u", "b", "B", "a", "A"} <= data.keys():
        kind = "bookTicker"  # on spot it does not name itself
    if not isinstance(kind, str) or kind not in _PARSERS:
        raise BadFrame("unknown_kind", repr(payload[:80]))
    symbol = data.get("s")
    instrument = instruments.get(symbol) if isinstance(symbol, str) else None
    if instrument is None:
        raise BadFrame("unknown_symbol", repr(payload[:80]))
    try:
        return _PARSERS[kind](data, instrument, Counter() if rounded is None else rounded)
    except (LookupError, TypeError, ValueError) as error:
        raise BadFrame("malformed", f"{error!r} in {payload[:80]!r}") from None


def parse_snapshot(
    payload: bytes, instrument: Instrument, rounded: Counter[str] | None = None
) -> Snapshot:
    """Return the depth snapshot in a REST body; raises BadFrame like `parse_frame`."""
    rounded = Counter() if rounded is None else rounded
    try:
        body = orjson.loads(payload)
        return Snapshot(
            _integer(body["lastUpdateId"]),
            _levels(body["bids"], instrument, rounded),
            _levels(body["asks"], instrument, rounded),
        )
    except orjson.JSONDecodeError as error:
        raise BadFrame("not_json", f"snapshot: {error} in {payload[:80]!r}") from None
    except (LookupError, TypeError, ValueError) as error:
        raise BadFrame("malformed", f"snapshot: {error!r} in {payload[:80]!r}") from None


type _Data = dict[str, object]


def _depth(data: _Data, instrument: Instrument, rounded: Counter[str]) -> DepthEvent:
    first = _integer(data["U"])
    return DepthEvent(
        instrument.symbol,
        _nanoseconds(data.get("T", data["E"])),
        first,
        _integer(data["u"]),
        # On spot the ids are contiguous; on USD-M only `pu` names the event before.
        _integer(data["pu"]) if "pu" in data else first - 1,
        _levels(data["b"], instrument, rounded),
        _levels(data["a"], instrument, rounded),
    )


def _best_bid_offer(data: _Data, instrument: Instrument, rounded: Counter[str]) -> BestBidOffer:
    bid, ask = (
        (_ticks(data[price], instrument), _displayed_lots(data[size], instrument, rounded))
        for price, size in (("b", "B"), ("a", "A"))
    )
    time_ms = data.get("T", data.get("E", 0))  # spot sends no time at all
    return BestBidOffer(instrument.symbol, _nanoseconds(time_ms), _integer(data["u"]), bid, ask)


def _trade(data: _Data, instrument: Instrument, _rounded: Counter[str]) -> Trade:
    if data.get("X", "MARKET") != "MARKET" or not (to_e8(data["p"]) and to_e8(data["q"])):
        raise BadFrame("not_a_trade", f"X={data.get('X')} p={data['p']} q={data['q']}")
    lots = _lots(data["q"], instrument)
    return Trade(
        instrument.symbol,
        _nanoseconds(data["T"]),
        _integer(data["t"]),
        _ticks(data["p"], instrument),
        lots,
        -1 if data["m"] else 1,
    )


def _aggregate_trade(data: _Data, instrument: Instrument, _rounded: Counter[str]) -> AggregateTrade:
    first, last = _integer(data["f"]), _integer(data["l"])
    if first > last or not (to_e8(data["p"]) and to_e8(data["q"])):
        raise BadFrame("not_a_trade", f"aggTrade p={data['p']} q={data['q']} f={first} l={last}")
    lots = _lots(data["q"], instrument)
    visible_lots = _lots(data.get("nq", data["q"]), instrument)
    return AggregateTrade(
        instrument.symbol,
        _nanoseconds(data["T"]),
        first,
        last,
        _ticks(data["p"], instrument),
        min(lots, visible_lots),
        -1 if data["m"] else 1,
        _integer(data["a"]),
    )


def _rare(payload: bytes, instruments: dict[str, Instrument]) -> VoidTrade | ServerShutdown | None:
    frame = orjson.loads(payload)
    data = frame.get("data", frame) if isinstance(frame, dict) else None
    if not isinstance(data, dict):
        return None
    try:
        if data.get("e") == "serverShutdown":
            return ServerShutdown(_nanoseconds(data["E"]))
        instrument = instruments.get(str(data.get("s")))
        if instrument is not None and data.get("e") == "trade":
            text = f"X={data.get('X')} p={data['p']} q={data['q']}"
            return VoidTrade(instrument.symbol, _integer(data["t"]), text)
    except (LookupError, TypeError, ValueError) as error:
        raise BadFrame("malformed", f"{error!r} in {payload[:80]!r}") from None
    return None


_PARSERS: dict[object, Callable[[_Data, Instrument, Counter[str]], Event]] = {
    "depthUpdate": _depth,
    "bookTicker": _best_bid_offer,
    "trade": _trade,
    "aggTrade": _aggregate_trade,
}


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected an integer, got {value!r}")
    if not 0 <= value < _MAX_INTEGER:
        raise ValueError(f"expected an integer from 0 to 2**62, got {value}")
    return value


def _nanoseconds(value: object) -> int:
    milliseconds = _integer(value)
    if milliseconds > _MAX_INTEGER // _MS:
        raise ValueError(f"expected milliseconds since the epoch, got {value}")
    return milliseconds * _MS


def _levels(rows: object, instrument: Instrument, rounded: Counter[str]) -> Levels:
    if not isinstance(rows, list):
        raise TypeError(f"expected a list of levels, got {rows!r:.40}")
    if len(rows) > _MAX_SIDE_LEVELS:
        raise BadFrame("too_many_levels", f"{instrument.symbol}: {len(rows)} on one side")
    pairs = [
        (_ticks(row[0], instrument), _displayed_lots(row[1], instrument, rounded)) for row in rows
    ]
    return np.array(pairs, LEVEL)


def _ticks(text: object, instrument: Instrument) -> int:
    value = to_e8(text)
    ticks, rest = divmod(value, instrument.tick_size_e8)
    if value <= 0:
        raise BadFrame("bad_price", f"{instrument.symbol} price must be above 0, got {text}")
    if rest:
        raise BadFrame("off_tick", f"{instrument.symbol} price {text} is no multiple of the tick")
    return ticks


def _displayed_lots(text: object, instrument: Instrument, rounded: Counter[str]) -> int:
    value = to_e8(text)
    lots, rest = divmod(value, instrument.lot_size_e8)
    if value < 0:
        raise BadFrame("bad_quantity", f"{instrument.symbol} quantity below 0, got {text}")
    rounded[instrument.symbol] += rest > 0
    return lots


def _lots(text: object, instrument: Instrument) -> int:
    lots, rest = divmod(to_e8(text), instrument.lot_size_e8)
    if lots < 0:
        raise BadFrame("bad_quantity", f"{instrument.symbol} quantity below 0, got {text}")
    if rest:
        raise BadFrame("off_lot", f"{instrument.symbol} quantity {text} is no multiple of the lot")
    return lots
