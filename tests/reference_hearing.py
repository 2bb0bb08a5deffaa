"""Slow obvious twin of what the trader has heard of, and how late: answers are on their way."""

from mmquant.codes import OrderStatus, Template
from mmquant.state import MAX_ORDERS

ONE_CLOCK_NS = 10**10
UNTOLD = (OrderStatus.FILLED, OrderStatus.REJECTED)  # a cancellation was asked for


class ReferenceHearing:
    """The part of the reference simulator that answers; it has `params`, `now`, `events`."""

    def __init__(self):
        self.late = 0  # of the book's last message, negative where the venue's clock is ahead
        self.is_timed = None  # whether the book tells the venue's time
        self.answer_at = 0  # when the newest answer is
        self.late_fills = []  # (when it is known, order id, lots)
        self.late_ends = []  # (when it is known, side, price)
        self.repeats = set()  # which of the events are told once more

    def hear_feed(self, now, venue):
        """Learn from a message of the book how late it is seen; return the venue's time of it."""
        if venue > 0 and now - venue < ONE_CLOCK_NS:
            self.late, self.is_timed = now - venue, True
            return venue
        if self.is_timed is None:
            self.is_timed = False
        return self.venue_time(max(now, self.now), venue)

    def venue_time(self, now, venue):
        is_told = venue > 0 and now - venue < ONE_CLOCK_NS and self.is_timed is not False
        return venue if is_told else now - self.late

    def answered(self):
        """Send the answers to what has just happened, none before another; return the events."""
        for k, (template, now, order_id, side, price, qty, *rest) in enumerate(self.events):
            is_fill = template == Template.FILL
            if not is_fill and rest[1] == OrderStatus.NEW:
                continue  # the trader's own doing
            happened = now - max(self.late, 0)
            self.answer_at = max(
                self.answer_at, now, happened + self.params.get("response_latency_ns", 0)
            )
            if is_fill:
                self.late_fills.append((self.answer_at, order_id, qty))
            elif k in self.repeats:
                continue
            elif rest[1] == OrderStatus.FILLED or (rest[1] in UNTOLD and self.answer_at > now):
                self.late_ends.append((self.answer_at, side, price))
        return self.events

    def heard_lots(self, o, heard):
        """Return how much of an order the trader knows to be filled."""
        late = [lots for known, of, lots in self.late_fills if known > heard and of == o["id"]]
        return o["filled"] - sum(late)

    def without_unheard(self, wanted, heard):
        """Return what is wanted beside the orders whose end the trader has not heard of."""
        self.late_ends = [end for end in self.late_ends if end[0] > heard]
        assert len(self.late_ends) < MAX_ORDERS
        wanted = list(wanted)
        for _, side, price in self.late_ends:
            match = [w for w in wanted if w[:2] == (side, price)]
            if match:
                wanted.remove(match[0])
        return wanted
