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
        [
            ("REQUEST_WEIGHT", "MINUTE", 1, 6000),
            ("ORDERS", "SECOND", 10, 100),
            ("ORDERS", "DAY", 1, 200_000),
            ("RAW_REQUESTS", "MINUTE", 5, 300_000),
        ]
        if market == Market.SPOT
        else [
            ("REQUEST_WEIGHT", "MINUTE", 1, 2400),
            ("ORDERS", "MINUTE", 1, 1200),
            ("ORDERS", "SECOND", 10, 300),
        ]
    )
    keys = ("rateLimitType", "interval", "intervalNum", "limit")
    return [dict(zip(keys, row, strict=True)) for row in rows]


def _filter(name: str, **fields: Any) -> dict[str, Any]:
    return {"filterType": name, **fields}


def _spot_filters(tick: str, step: str) -> list[dict[str, Any]]:
    return [
        _filter("PRICE_FILTER", minPrice=tick, maxPrice="1000000.00000000", tickSize=tick),
        _filter("LOT_SIZE", minQty=step, maxQty="9000.00000000", stepSize=step),
        _filter("ICEBERG_PARTS", limit=100),
        _filter(
            "MARKET_LOT_SIZE", minQty="0.00000000", maxQty="90.00000000", stepSize="0.00000000"
        ),
        _filter(
            "TRAILING_DELTA",
            minTrailingAboveDelta=10,
            maxTrailingAboveDelta=2000,
            minTrailingBelowDelta=10,
            maxTrailingBelowDelta=2000,
        ),
        _filter(
            "PERCENT_PRICE_BY_SIDE",
            bidMultiplierUp="5",
            bidMultiplierDown="0.2",
            askMultiplierUp="5",
            askMultiplierDown="0.2",
            avgPriceMins=5,
        ),
        _filter(
            "NOTIONAL",
            minNotional=SPOT_MIN_NOTIONAL,
            applyMinToMarket=True,
            maxNotional="9000000.00000000",
            applyMaxToMarket=False,
            avgPriceMins=5,
        ),
        _filter("MAX_NUM_ORDERS", maxNumOrders=200),
        _filter("MAX_NUM_ORDER_LISTS", maxNumOrderLists=20),
        _filter("MAX_NUM_ALGO_ORDERS", maxNumAlgoOrders=5),
        _filter("MAX_NUM_ORDER_AMENDS", maxNumOrderAmends=10),
    ]


def _usdm_filters(tick: str, step: str) -> list[dict[str, Any]]:
    return [
        # The tick stands in the middle on purpose: the order of the keys is not fixed.
        _filter("PRICE_FILTER", maxPrice="4529764", tickSize=tick, minPrice=tick),
        _filter("LOT_SIZE", minQty=step, maxQty="1000", stepSize=step),
        _filter("MARKET_LOT_SIZE", minQty=step, maxQty="120", stepSize=step),
        _filter("MAX_NUM_ORDERS", limit=200),
        _filter("MIN_NOTIONAL", notional=USDM_MIN_NOTIONAL),
        _filter(
            "PERCENT_PRICE",
            multiplierUp="1.0500",
            multiplierDown="0.9500",
            multiplierDecimal="4",
        ),
        _filter("POSITION_RISK_CONTROL", positionControlSide="NONE"),
    ]


def _spot_symbol(instrument: Instrument) -> dict[str, Any]:
    tick = decimal_text(instrument.tick_size_e8, 8)
    step = decimal_text(instrument.lot_size_e8, 8)
    allowed = (
        "icebergAllowed ocoAllowed otoAllowed opoAllowed quoteOrderQtyMarketAllowed "
        "allowTrailingStop cancelReplaceAllowed amendAllowed pegInstructionsAllowed "
        "isSpotTradingAllowed"
    )
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
        **dict.fromkeys(allowed.split(), True),
        "isMarginTradingAllowed": False,
        "filters": _spot_filters(tick, step),
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
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": instrument.base_asset,
        "quoteAsset": instrument.quote_asset,
        "marginAsset": instrument.quote_asset,
        "pricePrecision": instrument.price_decimals,
        "quantityPrecision": instrument.qty_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": ["PoW"],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": _usdm_filters(tick, step),
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID", "COPY"],
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
