"""One instrument's trades -> stream 13, each id once: from trades, or aggregates where silent.

USD-M documents only the aggregated trades, and a trade stream that the venue ends is silent, not
an error. So the rule: a trade stream that has said nothing for `silent_after_ns` makes way for
the aggregates, and has precedence again with its next new trade. Ids decide what is new, so
nothing is published twice, whichever comes first.

A venue that was started anew may begin its ids anew. So behind a lost connection a lower id with
a later time than the last trade's is the first of a new life, not a repeat.
"""

import time
from collections import Counter, deque

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
        The service's counters: trade_gaps, trade_duplicates, trade_restarts, aggregate_trades.
    silent_after_ns
        Silence of the trade stream after which the aggregates count; 0 for never.

    Attributes
    ----------
    last_id
        Id of the newest trade, void and aggregated ones included.
    last_aggregate_id
        The aggregate up to whose end every trade is known; 0 where none is.
    restarts
        What is to be told of ids that began anew.
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
        self.last_id = 0
        self.last_aggregate_id = 0
        self.restarts: deque[str] = deque()
        self._last_venue_ns = 0
        self._may_restart = False
        self._heard_ns = 0

    def on_connected(self, now_ns: int) -> None:
        """Begin to wait for trades, perhaps of another life of the venue."""
        self._heard_ns = now_ns
        self._may_restart = True

    def on_time(self, now_ns: int) -> None:
        """Turn to the aggregates where the trades have been silent for too long."""
        if self._silent_after_ns and now_ns - self._heard_ns > self._silent_after_ns:
            self.uses_aggregates = True

    def on_trade(self, trade: Trade, epoch: int, received_ns: int, now_ns: int) -> bool:
        """Publish a trade; return whether it was new."""
        self._look_for_restart(trade.trade_id, trade.venue_ns)
        if not self._is_new(trade.trade_id, received_ns):
            return False
        self._last_venue_ns = trade.venue_ns
        self._publish(trade, trade.trade_id, epoch, received_ns, now_ns)
        return True

    def on_void(self, trade: VoidTrade, received_ns: int) -> bool:
        """Count its id; return whether it was new."""
        return self._is_new(trade.trade_id, received_ns)

    def on_aggregate(
        self, trade: AggregateTrade, epoch: int, received_ns: int, now_ns: int
    ) -> bool:
        """Publish an aggregate under its last id, if it is needed; return whether it was."""
        if self.uses_aggregates:
            self._look_for_restart(trade.last_trade_id, trade.venue_ns)
        if trade.last_trade_id <= self.last_id:
            self.last_aggregate_id = max(self.last_aggregate_id, trade.aggregate_id)
            return False
        if not self.uses_aggregates:
            return False
        is_part_known = trade.first_trade_id <= self.last_id
        if is_part_known or self._is_gap(trade):
            self._counters["trade_gaps"] += 1
        self.last_id, self.last_aggregate_id = trade.last_trade_id, trade.aggregate_id
        self._last_venue_ns = trade.venue_ns
        # The rest of one that is known in part cannot be told from the sum, so it is a hole; one
        # of hidden orders alone traded nothing in the book.
        if is_part_known or not trade.qty_lots:
            return False
        self._counters["aggregate_trades"] += 1
        self._publish(trade, trade.last_trade_id, epoch, received_ns, now_ns)
        return True

    def _look_for_restart(self, last_id: int, venue_ns: int) -> None:
        """Forget the ids of the venue's life before this one."""
        if not self._may_restart:
            return
        if last_id <= self.last_id and venue_ns > self._last_venue_ns:
            self._counters["trade_restarts"] += 1
            self.restarts.append(f"{last_id} after {self.last_id}")
            self.last_id = self.last_aggregate_id = 0
        self._may_restart = last_id <= self.last_id

    def _is_new(self, trade_id: int, received_ns: int) -> bool:
        if trade_id <= self.last_id:
            self._counters["trade_duplicates"] += 1
            return False
        if self.last_id and trade_id > self.last_id + 1:
            self._counters["trade_gaps"] += 1
        self.last_id = trade_id
        self._heard_ns = received_ns
        self.uses_aggregates = False
        return True

    def _is_gap(self, trade: AggregateTrade) -> bool:
        """Return whether something is missing before an aggregate.

        Their own ids tell it: trade ids that are spent without a fill are in no aggregate.
        """
        if self.last_aggregate_id:
            return trade.aggregate_id > self.last_aggregate_id + 1
        return 0 < self.last_id < trade.first_trade_id - 1

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
