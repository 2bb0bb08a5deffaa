"""The metrics of one instrument's quotes."""

from collections.abc import Iterator

from mm_runtime.metrics_table import Sample

from mm_strategy.desk import Desk
from mmquant.state import MAX_LEVELS

__all__ = ["desk_samples"]

_E8 = 100_000_000


def desk_samples(desk: Desk) -> Iterator[Sample]:
    """Give the quotes that are wanted and what they were made of."""
    instrument, quotes = desk.instrument[0], desk.out.block[0]
    symbol = instrument["symbol"].decode()
    if not symbol:  # not announced yet
        return
    tick = float(instrument["tick_size_e8"]) / _E8
    yield Sample("quoting", bool((desk.levels["qty_lots"] > 0).any()), (symbol,))
    yield Sample("risk_state", int(quotes["risk_state"]), (symbol,))
    for side, start in (("bid", 0), ("ask", MAX_LEVELS)):
        rows = desk.levels[start : start + MAX_LEVELS]
        wanted = rows[rows["qty_lots"] > 0]
        yield Sample("quoted_levels", len(wanted), (symbol, side))
        if len(wanted):
            yield Sample("quote_price", float(wanted[0]["price_ticks"]) * tick, (symbol, side))
    if quotes["fair_value_ticks"]:
        yield Sample("fair_value", float(quotes["fair_value_ticks"]) * tick, (symbol,))
        yield Sample("reservation_price", float(quotes["reservation_ticks"]) * tick, (symbol,))
        volatility = float(quotes["volatility_ticks_per_sqrt_s"]) * tick
        yield Sample("volatility_per_sqrt_second", volatility, (symbol,))
