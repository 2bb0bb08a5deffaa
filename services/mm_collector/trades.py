"""One instrument's trades -> stream 13, each id once: from trades, or aggregates where silent.

USD-M documents only the aggregated trades, and a trade stream that the venue ends is silent, not
an error. So the rule: a trade stream that has said nothing for `silent_after_ns` makes way for
the aggregates, and has precedence again with its next new trade. Ids decide what is new, so
nothing is published twice, whichever comes first.
"""

import time
from collections import Counter

from mm_runtime.transport import Publisher

from mm_collector.frames import AggregateTrade, Trade, VoidTrade
from mmquant.codes import Template
from mmquant.wire import MessageBuffer

__all__ = ["TradeFeed"]


class TradeFeed:
    """Publishes one instrument's trades.

    Parameters
    ----------
    instrument_id
        Number of the instrument in all messages.
    publisher
        Of stream 13.
    counters
        The service's counters: trade_gaps, trade_duplicates, aggregate_trades.
    silent_after_ns
        Silence of the trade stream after which the aggregates count; 0 for never.
    """

    def __init__(
        self,
        instrument_id: int,
        publisher: Publisher,
        counters: Counter[str],
        silent_after_ns: int,
    ) -> None:
        self.uses_aggregates = False
        self._publisher = publisher
        self._counters = counters
        self._silent_after_ns = silent_after_ns
        self._message = MessageBuffer(Template.TRADE)
        self._message.block[0]["instrument_id"] = instrument_id
        self._last_id = 0
        self._heard_ns = 0

    def on_connected(self, now_ns: int) -> None:
        """Begin to wait for trades."""
        self._heard_ns = now_ns

    def on_time(self, now_ns: int) -> None:
        """Turn to the aggregates where the trades have been silent for too long."""
        if self._silent_after_ns and now_ns - self._heard_ns > self._silent_after_ns:
            self.uses_aggregates = True

    def on_trade(self, trade: Trade, epoch: int, received_ns: int, now_ns: int) -> bool:
        """Publish a trade; return whether it was new."""
        if not self._is_new(trade.trade_id, trade.trade_id, received_ns):
            return False
        self._publish(trade, trade.trade_id, epoch, received_ns, now_ns)
        return True

    def on_void(self, trade: VoidTrade, received_ns: int) -> bool:
        """Count its id; return whether it was new."""
        return self._is_new(trade.trade_id, trade.trade_id, received_ns)

    def on_aggregate(
        self, trade: AggregateTrade, epoch: int, received_ns: int, now_ns: int
    ) -> bool:
        """Publish an aggregate under its last id, if it is needed; return whether it was."""
        if not self.uses_aggregates or trade.last_trade_id <= self._last_id:
            return False
        if trade.first_trade_id <= self._last_id:
            # A part of it is published: the rest cannot be told from the sum, so it is a hole.
            self._counters["trade_gaps"] += 1
            self._last_id = trade.last_trade_id
            return False
        self._note_gap(trade.first_trade_id)
        self._last_id = trade.last_trade_id
        self._counters["aggregate_trades"] += 1
        self._publish(trade, trade.last_trade_id, epoch, received_ns, now_ns)
        return True

    def _is_new(self, first_id: int, last_id: int, received_ns: int) -> bool:
        if last_id <= self._last_id:
            self._counters["trade_duplicates"] += 1
            return False
        self._note_gap(first_id)
        self._last_id = last_id
        self._heard_ns = received_ns
        self.uses_aggregates = False
        return True

    def _note_gap(self, first_id: int) -> None:
        if self._last_id and first_id > self._last_id + 1:
            self._counters["trade_gaps"] += 1

    def _publish(
        self,
        trade: Trade | AggregateTrade,
        trade_id: int,
        epoch: int,
        received_ns: int,
        now_ns: int,
    ) -> None:
        block = self._message.block[0]
        block["now_ns"], block["epoch"] = now_ns, epoch
        block["venue_ns"], block["trade_id"] = trade.venue_ns, trade_id
        block["price_ticks"], block["qty_lots"] = trade.price_ticks, trade.qty_lots
        block["aggressor"], block["received_ns"] = trade.aggressor, received_ns
        block["seq"], block["sent_ns"] = self._publisher.next_seq(), time.time_ns()
        self._publisher.offer(self._message)
