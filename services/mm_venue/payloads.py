"""Binance's JSON, exactly: stream payloads and depth answers."""

from collections.abc import Iterable

from mm_venue.book import Level, Touch, TrueBook
from mm_venue.instrument import Instrument
from mmquant.codes import Market

__all__ = ["aggregate_trade", "book_ticker", "depth_answer", "depth_update", "trade"]


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


def aggregate_trade(
    instrument: Instrument,
    ids: tuple[int, int, int],
    times_ms: tuple[int, int],
    fill: Level,
    buyer_is_maker: bool,
) -> bytes:
    """Return an aggregate: `ids` is its own, first and last trade id; times as of a trade."""
    own, first, last = ids
    event_ms, trade_ms = times_ms
    price, qty = instrument.price_text(fill[0]), instrument.qty_text(fill[1])
    head = f'{{"e":"aggTrade","E":{event_ms},"s":"{instrument.symbol}","a":{own},"p":"{price}",'
    trades = f'"f":{first},"l":{last},"T":{trade_ms},"m":{"true" if buyer_is_maker else "false"}'
    if instrument.market == Market.SPOT:
        return f'{head}"q":"{qty}",{trades},"M":true}}'.encode()
    return f'{head}"q":"{qty}","nq":"{qty}",{trades},"st":1}}'.encode()


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
