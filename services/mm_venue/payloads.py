"""Binance's JSON, exactly: stream payloads, depth answers and exchangeInfo."""

from collections.abc import Iterable
from typing import Any

from mm_venue.book import Level, Touch, TrueBook
from mm_venue.instrument import Instrument, decimal_text
from mmquant.codes import Market

__all__ = ["book_ticker", "depth_answer", "depth_update", "exchange_info", "trade"]

SPOT_MIN_NOTIONAL = "5.00000000"
USDM_MIN_NOTIONAL = "50"


def _levels(instrument: Instrument, levels: Iterable[Level]) -> str:
    price, qty = instrument.price_text, instrument.qty_text
    return ",".join(f'["{price(p)}","{qty(q)}"]' for p, q in levels)


def depth_update(
    instrument: Instrument,
    ids: tuple[int, int, int],
    times_ms: tuple[int, int],
    bids: Iterable[Level],
    asks: Iterable[Level],
) -> bytes:
    """Return a diff: `ids` is U, u, pu; `times_ms` event time, transaction time."""
    first, last, previous = ids
    event_ms, engine_ms = times_ms
    sides = f'"b":[{_levels(instrument, bids)}],"a":[{_levels(instrument, asks)}]'
    s = instrument.symbol
    if instrument.market == Market.SPOT:
        head = f'{{"e":"depthUpdate","E":{event_ms},"s":"{s}","U":{first},"u":{last},'
        return f"{head}{sides}}}".encode()
    head = f'{{"e":"depthUpdate","E":{event_ms},"T":{engine_ms},"s":"{s}","ps":"{s}",'
    return f'{head}"U":{first},"u":{last},"pu":{previous},{sides},"st":1}}'.encode()


def trade(
    instrument: Instrument,
    trade_id: int,
    times_ms: tuple[int, int],
    fill: Level,
    buyer_is_maker: bool,
) -> bytes:
    """Return a trade: `times_ms` is event time, trade time."""
    event_ms, trade_ms = times_ms
    s = instrument.symbol
    what = f'"p":"{instrument.price_text(fill[0])}","q":"{instrument.qty_text(fill[1])}"'
    maker = "true" if buyer_is_maker else "false"
    if instrument.market == Market.SPOT:
        return (
            f'{{"e":"trade","E":{event_ms},"s":"{s}","t":{trade_id},{what},'
            f'"T":{trade_ms},"m":{maker},"M":true}}'
        ).encode()
    return (
        f'{{"e":"trade","E":{event_ms},"T":{trade_ms},"s":"{s}","t":{trade_id},{what},'
        f'"X":"MARKET","m":{maker},"st":1}}'
    ).encode()


def book_ticker(
    instrument: Instrument, update_id: int, times_ms: tuple[int, int], touch: Touch
) -> bytes:
    """Return a best bid and offer: `times_ms` is event time, transaction time."""
    price, qty = instrument.price_text, instrument.qty_text
    bid, bid_qty, ask, ask_qty = touch
    s = instrument.symbol
    prices = f'"b":"{price(bid)}","B":"{qty(bid_qty)}","a":"{price(ask)}","A":"{qty(ask_qty)}"'
    if instrument.market == Market.SPOT:
        return f'{{"u":{update_id},"s":"{s}",{prices}}}'.encode()
    event_ms, engine_ms = times_ms
    return (
        f'{{"e":"bookTicker","u":{update_id},"s":"{s}","ps":"{s}",{prices},'
        f'"T":{engine_ms},"E":{event_ms},"st":1}}'
    ).encode()


def depth_answer(instrument: Instrument, book: TrueBook, limit: int, now_ms: int) -> bytes:
    """Return the REST depth of `book`."""
    bids, asks = book.top(limit)
    times = f'"E":{now_ms},"T":{now_ms},' if instrument.market == Market.USDM else ""
    return (
        f'{{"lastUpdateId":{book.update_id},{times}"bids":[{_levels(instrument, bids)}],'
        f'"asks":[{_levels(instrument, asks)}]}}'
    ).encode()


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


def exchange_info(instrument: Instrument, now_ms: int) -> dict[str, Any]:
    """Return exchangeInfo with the one symbol there is."""
    spot = instrument.market == Market.SPOT
    head: dict[str, Any] = {"timezone": "UTC", "serverTime": now_ms}
    if not spot:
        head["futuresType"] = "U_MARGINED"
    head["rateLimits"] = _rate_limits(instrument.market)
    head["exchangeFilters"] = []
    if not spot:
        head["assets"] = [{"asset": instrument.quote_asset, "marginAvailable": True}]
    head["symbols"] = [_spot_symbol(instrument) if spot else _usdm_symbol(instrument)]
    return head
