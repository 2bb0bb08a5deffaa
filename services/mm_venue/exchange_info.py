"""Binance's exchangeInfo: symbols with all their filters, and the rate limits."""

from collections.abc import Sequence
from typing import Any

from mm_venue.instrument import Instrument, decimal_text
from mmquant.codes import Market

__all__ = ["exchange_info"]

SPOT_MIN_NOTIONAL = "5.00000000"
USDM_MIN_NOTIONAL = "50"


def _rate_limits(market: Market) -> list[dict[str, Any]]:
    rows = (
        [("REQUEST_WEIGHT", "MINUTE", 1, 6000), ("ORDERS", "SECOND", 10, 100)]
        if market == Market.SPOT
        else [("REQUEST_WEIGHT", "MINUTE", 1, 2400), ("ORDERS", "MINUTE", 1, 1200)]
    )
    keys = ("rateLimitType", "interval", "intervalNum", "limit")
    return [dict(zip(keys, row, strict=True)) for row in rows]


def _lot_filter(name: str, step: str, high: str) -> dict[str, str]:
    return {"filterType": name, "minQty": step, "maxQty": high, "stepSize": step}


def _spot_symbol(instrument: Instrument) -> dict[str, Any]:
    tick = decimal_text(instrument.tick_size_e8, 8)
    step = decimal_text(instrument.lot_size_e8, 8)
    return {
        "symbol": instrument.symbol,
        "status": "TRADING",
        "baseAsset": instrument.base_asset,
        "baseAssetPrecision": 8,
        "quoteAsset": instrument.quote_asset,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": tick,
                "maxPrice": "1000000.00000000",
                "tickSize": tick,
            },
            _lot_filter("LOT_SIZE", step, "9000.00000000"),
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": "0.00000000",
                "maxQty": "90.00000000",
                "stepSize": "0.00000000",
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": SPOT_MIN_NOTIONAL,
                "applyMinToMarket": True,
                "maxNotional": "9000000.00000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }


def _usdm_symbol(instrument: Instrument) -> dict[str, Any]:
    tick = decimal_text(instrument.tick_size_e8, instrument.price_decimals)
    step = decimal_text(instrument.lot_size_e8, instrument.qty_decimals)
    return {
        "symbol": instrument.symbol,
        "pair": instrument.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING",
        "baseAsset": instrument.base_asset,
        "quoteAsset": instrument.quote_asset,
        "marginAsset": instrument.quote_asset,
        "pricePrecision": instrument.price_decimals,
        "quantityPrecision": instrument.qty_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "filters": [
            # The tick stands in the middle on purpose: the order of the keys is not fixed.
            {
                "filterType": "PRICE_FILTER",
                "maxPrice": "4529764",
                "tickSize": tick,
                "minPrice": tick,
            },
            _lot_filter("LOT_SIZE", step, "1000"),
            _lot_filter("MARKET_LOT_SIZE", step, "120"),
            {"filterType": "MIN_NOTIONAL", "notional": USDM_MIN_NOTIONAL},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": "1.0500",
                "multiplierDown": "0.9500",
                "multiplierDecimal": "4",
            },
        ],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
    }


def exchange_info(instruments: Sequence[Instrument], now_ms: int) -> dict[str, Any]:
    """Return exchangeInfo with these symbols, all of one market."""
    market = instruments[0].market
    spot = market == Market.SPOT
    head: dict[str, Any] = {"timezone": "UTC", "serverTime": now_ms}
    if not spot:
        head["futuresType"] = "U_MARGINED"
    head["rateLimits"] = _rate_limits(market)
    head["exchangeFilters"] = []
    if not spot:
        assets = dict.fromkeys(instrument.quote_asset for instrument in instruments)
        head["assets"] = [{"asset": asset, "marginAvailable": True} for asset in assets]
    described = _spot_symbol if spot else _usdm_symbol
    head["symbols"] = [described(instrument) for instrument in instruments]
    return head
