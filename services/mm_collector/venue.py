"""Addresses, paths, stream names, weights and exchangeInfo of Binance's two markets."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from mm_collector.feed import InstrumentFilters
from mm_collector.frames import Instrument
from mmquant.codes import Market
from mmquant.decimals import to_e8

__all__ = [
    "RULES",
    "UnknownSymbol",
    "VenueRules",
    "depth_stream",
    "nearest_host",
    "parse_instruments",
    "parse_weight_limit",
    "stream_names",
    "trade_stream",
]

_HOSTS = (
    "api.binance.com",
    *(f"api{suffix}.binance.com" for suffix in ("1", "2", "3", "4", "-gcp")),
    "data-api.binance.vision",
    "testnet.binance.vision",
    "fapi.binance.com",
    "demo-fapi.binance.com",
)
_STREAM_HOSTS = (
    "stream.binance.com",
    "data-stream.binance.vision",
    "stream.testnet.binance.vision",
    "fstream.binance.com",
    "demo-fstream.binance.com",
)


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
    depth_weights: tuple[tuple[int, int], ...]  # up to so many levels, weight
    exchange_info_weight: int
    lists_one: bool  # exchangeInfo of one symbol; else it answers with all of them always
    weight_per_minute: int
    audit_levels: int
    aggregate_path: str  # of the combined streams that carry aggTrade where trade is silent

    def snapshot_path(self, symbol: str, levels: int) -> str:
        """Return the path of a depth request."""
        return f"{self.rest_prefix}/depth?symbol={quote(symbol)}&limit={levels}"

    def weight_of(self, levels: int) -> int:
        """Return the request weight of a depth request."""
        return next(weight for most, weight in self.depth_weights if levels <= most)

    def exchange_info_path(self, symbol: str = "") -> str:
        """Return the path of the rules of one instrument, or of all."""
        query = f"?symbol={quote(symbol)}" if symbol and self.lists_one else ""
        return f"{self.rest_prefix}/exchangeInfo{query}"


def depth_stream(symbol: str, depth: str) -> str:
    """Return the name of a symbol's diff depth stream."""
    return f"{symbol.lower()}@depth{f'@{depth}' if depth else ''}"


def trade_stream(symbol: str) -> str:
    """Return the name of a symbol's trade stream."""
    return f"{symbol.lower()}@trade"


def stream_names(symbols: Sequence[str], depth: str) -> list[str]:
    """Return the streams to subscribe to.

    The depth streams stand last: once the last of them delivers, all have been subscribed to.
    """
    names = [
        name
        for symbol in symbols
        for name in (trade_stream(symbol), f"{symbol.lower()}@bookTicker")
    ]
    return names + [depth_stream(symbol, depth) for symbol in symbols]


RULES = {
    Market.SPOT: VenueRules(
        market=Market.SPOT,
        rest_url="https://data-api.binance.vision",
        ws_url="wss://data-stream.binance.vision",
        rest_prefix="/api/v3",
        stream_path="/stream",
        default_depth="100ms",
        max_snapshot_levels=5000,
        depth_weights=((100, 5), (500, 25), (1000, 50), (5000, 250)),
        exchange_info_weight=20,
        lists_one=True,
        weight_per_minute=6000,
        audit_levels=100,
        aggregate_path="",
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
        depth_weights=((50, 2), (100, 5), (500, 10), (1000, 20)),
        exchange_info_weight=1,
        lists_one=False,
        weight_per_minute=2400,
        audit_levels=50,
        aggregate_path="/market/stream",
    ),
}


def parse_instruments(
    body: bytes, symbols: Sequence[str], market: Market
) -> list[InstrumentFilters]:
    """Return the rules of `symbols` in an exchangeInfo answer.

    Raises
    ------
    UnknownSymbol
        Where one is not listed.
    ValueError, KeyError
        Where the answer has not the documented shape.
    """
    rows = {row["symbol"]: row for row in orjson.loads(body)["symbols"]}
    for symbol in symbols:
        if symbol not in rows:
            near = get_close_matches(symbol, rows, n=3)
            hint = f"; nearest: {', '.join(near)}" if near else ""
            raise UnknownSymbol(f"{symbol} is not listed on {market.name.lower()}{hint}")
    return [_instrument(symbol, rows[symbol], market) for symbol in symbols]


def _instrument(symbol: str, found: dict[str, Any], market: Market) -> InstrumentFilters:
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
        to_e8(notional.get("maxNotional", "0")),
        **_percent_price(filters),
        max_orders=_most_orders(filters),
        status=str(found.get("status", "TRADING")),
    )


def _percent_price(filters: dict[str, dict[str, str]]) -> dict[str, int]:
    """Return the multiples of the reference price a price may have; 0 where there is no bound."""
    sided = filters.get("PERCENT_PRICE_BY_SIDE")
    if sided is not None:
        return {
            "buy_up_e8": to_e8(sided["bidMultiplierUp"]),
            "buy_down_e8": to_e8(sided["bidMultiplierDown"]),
            "sell_up_e8": to_e8(sided["askMultiplierUp"]),
            "sell_down_e8": to_e8(sided["askMultiplierDown"]),
        }
    both = filters.get("PERCENT_PRICE")
    if both is None:
        return {}
    # On USD-M only the side that could trade far from the market is bounded.
    return {"buy_up_e8": to_e8(both["multiplierUp"]), "sell_down_e8": to_e8(both["multiplierDown"])}


def _most_orders(filters: dict[str, dict[str, str]]) -> int:
    row = filters.get("MAX_NUM_ORDERS", {})
    return int(row.get("maxNumOrders", row.get("limit", 0)))


def parse_weight_limit(body: bytes) -> int | None:
    """Return the request weight a minute that an exchangeInfo answer allows, if it says so."""
    for row in orjson.loads(body).get("rateLimits", ()):
        kind = (row.get("rateLimitType"), row.get("interval"), row.get("intervalNum"))
        if kind == ("REQUEST_WEIGHT", "MINUTE", 1) and row["limit"] > 0:
            return int(row["limit"])
    return None


def nearest_host(url: str) -> str:
    """Return a known host that looks like the one of `url`, "" where none does, or it is one."""
    parts = urlsplit(url)
    hosts = _STREAM_HOSTS if parts.scheme in ("ws", "wss") else _HOSTS
    near = get_close_matches(parts.hostname or "", hosts, n=1)
    return "" if not near or near[0] == parts.hostname else near[0]
