"""Addresses, paths, stream names, weights and exchangeInfo of Binance's two markets."""

from dataclasses import dataclass
from difflib import get_close_matches

import orjson

from mm_collector.feed import InstrumentFilters
from mm_collector.frames import Instrument
from mmquant.codes import Market
from mmquant.decimals import to_e8

__all__ = ["RULES", "UnknownSymbol", "VenueRules", "parse_instrument"]


class UnknownSymbol(Exception):
    """The venue does not list the symbol; the message names the nearest ones it does list."""


@dataclass(frozen=True, slots=True)
class VenueRules:
    """What differs between the markets."""

    market: Market
    rest_url: str
    ws_url: str
    rest_prefix: str
    stream_path: str
    default_depth: str
    max_snapshot_levels: int
    snapshot_weight: int
    exchange_info_weight: int
    weight_per_minute: int

    def snapshot_path(self, symbol: str, levels: int) -> str:
        """Return the path of a depth request."""
        return f"{self.rest_prefix}/depth?symbol={symbol}&limit={levels}"

    def exchange_info_path(self, symbol: str) -> str:
        """Return the path of the instrument rules (USD-M answers with all symbols)."""
        return f"{self.rest_prefix}/exchangeInfo?symbol={symbol}"

    def streams_url(self, base: str, symbols: list[str], depth: str) -> str:
        """Return the combined-stream address of diff depth, trades and best bid/offer."""
        kinds = (f"depth@{depth}" if depth else "depth", "trade", "bookTicker")
        names = [f"{symbol.lower()}@{kind}" for symbol in symbols for kind in kinds]
        return f"{base.rstrip('/')}{self.stream_path}?streams={'/'.join(names)}"


RULES = {
    Market.SPOT: VenueRules(
        market=Market.SPOT,
        rest_url="https://data-api.binance.vision",
        ws_url="wss://data-stream.binance.vision",
        rest_prefix="/api/v3",
        stream_path="/stream",
        default_depth="100ms",
        max_snapshot_levels=5000,
        snapshot_weight=250,
        exchange_info_weight=20,
        weight_per_minute=6000,
    ),
    # On USD-M, depth, bookTicker and (undocumented) trade come by the public route.
    Market.USDM: VenueRules(
        market=Market.USDM,
        rest_url="https://fapi.binance.com",
        ws_url="wss://fstream.binance.com",
        rest_prefix="/fapi/v1",
        stream_path="/public/stream",
        default_depth="100ms",
        max_snapshot_levels=1000,
        snapshot_weight=20,
        exchange_info_weight=1,
        weight_per_minute=2400,
    ),
}


def parse_instrument(body: bytes, symbol: str, market: Market) -> InstrumentFilters:
    """Return the rules of `symbol` in an exchangeInfo answer.

    Raises
    ------
    UnknownSymbol
        Where it is not listed.
    ValueError, KeyError
        Where the answer has not the documented shape.
    """
    rows = orjson.loads(body)["symbols"]
    found = next((row for row in rows if row["symbol"] == symbol), None)
    if found is None:
        near = get_close_matches(symbol, [row["symbol"] for row in rows], n=3)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        raise UnknownSymbol(f"{symbol} is not listed on {market.name.lower()}{hint}")
    filters = {row["filterType"]: row for row in found["filters"]}
    price, lot = filters["PRICE_FILTER"], filters["LOT_SIZE"]
    tick_e8, lot_e8 = to_e8(price["tickSize"]), to_e8(lot["stepSize"])
    if tick_e8 <= 0 or lot_e8 <= 0:
        raise ValueError(f"{symbol}: tick {price['tickSize']} or step {lot['stepSize']} is not > 0")
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
    least = notional.get("minNotional", notional.get("notional", "0"))
    return InstrumentFilters(
        Instrument(symbol, tick_e8, lot_e8),
        market,
        -(-to_e8(price["minPrice"]) // tick_e8),
        to_e8(price["maxPrice"]) // tick_e8,
        -(-to_e8(lot["minQty"]) // lot_e8),
        to_e8(lot["maxQty"]) // lot_e8,
        to_e8(least),
    )
